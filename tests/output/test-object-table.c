/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The table of objects, read back cell by cell with the library's CSV reader.
 */
#include "output/object-table.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <sys/resource.h>

#include "base/error.h"
#include "data/csv.h"

static const char *const labels[] = { "Tumor", "a, \"b\"", "none", NULL };
static const guint32 colors[] = { 1, 2, 3 };
static const UmedptClassNames cells = { "cells", labels, colors };
static const UmedptClassNames glands = { "glands", NULL, colors };

typedef struct
{
  char *folder, *path;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture->folder = g_dir_make_tmp ("umedpt-XXXXXX", NULL);
  fixture->path = g_build_filename (fixture->folder, "a.csv", NULL);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_unlink (fixture->path);
  g_assert_cmpint (g_rmdir (fixture->folder), ==, 0); /* nothing else is left */
  g_free (fixture->path);
  g_free (fixture->folder);
}

static void
add (UmedptObjectTable *table, guint task, gint label, double area,
    gfloat score)
{
  const UmedptObject object = { task, label, score, 0, 0, 1, 1, area, NULL };

  umedpt_object_table_add (table, &object);
}

static UmedptCsv *
make_table (Fixture *fixture, double mpp)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptObjectTable) table =
      umedpt_object_table_new (fixture->path, "slide, 1", mpp, FALSE, &error);
  UmedptCsv *csv;

  g_assert_no_error (error);
  umedpt_object_table_add_task (table, 0, &cells);
  umedpt_object_table_add_task (table, 2, &glands);
  for (guint i = 0; i < 4; i++) {
    add (table, 0, 0, 100 + i, 0.5f);
    umedpt_object_table_add_area (table, 1e6);
  }
  add (table, 0, 1, 50, 0.25f);
  add (table, 0, 1, 150, 0.75f);
  add (table, 2, 0, 4e4, 1);
  g_assert_cmpuint (umedpt_object_table_get_count (table, 0, 0), ==, 4);
  g_assert_cmpuint (umedpt_object_table_get_count (table, 0, 2), ==, 0);
  g_assert_cmpuint (umedpt_object_table_get_count (table, 0, -1), ==, 6);
  g_assert_cmpuint (umedpt_object_table_get_count (table, 7, 0), ==, 0);
  g_assert_false (g_file_test (fixture->path, G_FILE_TEST_EXISTS));
  umedpt_object_table_finish (table, &error);
  g_assert_no_error (error);
  csv = umedpt_csv_load (fixture->path, &error);
  g_assert_no_error (error);
  return csv;
}

static void
check_row (const UmedptCsv *csv, guint i, const char *task, const char *class,
    const char *numbers)
{
  const UmedptCsvRow *row = &g_array_index (csv->rows, UmedptCsvRow, i);
  g_autofree char *found = g_strjoinv (" ", row->cells + 3);

  g_assert_cmpstr (row->cells[0], ==, "slide, 1");
  g_assert_cmpstr (row->cells[1], ==, task);
  g_assert_cmpstr (row->cells[2], ==, class);
  g_assert_cmpstr (found, ==, numbers);
}

/* 4 million pixels of half a micrometre are 1 mm². */
static void
test_known (Fixture *fixture, gconstpointer data)
{
  g_autoptr (UmedptCsv) csv = make_table (fixture, 0.5);
  g_autofree char *header = g_strjoinv (",", csv->header);

  g_assert_cmpstr (header, ==,
      "slide,task,class,count,area_mm2,density_per_mm2,mean_area_um2,"
      "mean_score");
  g_assert_cmpuint (csv->rows->len, ==, 6);
  check_row (csv, 0, "cells", "Tumor", "4 1 4 25.375 0.5");
  check_row (csv, 1, "cells", "a, \"b\"", "2 1 2 25 0.5");
  check_row (csv, 2, "cells", "none", "0 1 0  ");
  check_row (csv, 3, "cells", "all", "6 1 6 25.25 0.5");
  check_row (csv, 4, "glands", "glands", "1 1 1 10000 1");
  check_row (csv, 5, "glands", "all", "1 1 1 10000 1");
}

static void
test_unknown (Fixture *fixture, gconstpointer data)
{
  g_autoptr (UmedptCsv) csv = make_table (fixture, 0);

  check_row (csv, 0, "cells", "Tumor", "4    0.5");
  check_row (csv, 2, "cells", "none", "0    ");
}

/* Tasks and classes that nobody has named; no tile at all. */
static void
test_unnamed (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptObjectTable) table =
      umedpt_object_table_new (fixture->path, "slide, 1", 0.5, FALSE, &error);
  g_autoptr (UmedptCsv) csv = NULL;

  g_assert_no_error (error);
  add (table, 1, 1, 8, 0.5f);
  umedpt_object_table_finish (table, &error);
  g_assert_no_error (error);
  csv = umedpt_csv_load (fixture->path, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (csv->rows->len, ==, 3);
  check_row (csv, 0, "1", "0", "0 0   ");
  check_row (csv, 1, "1", "1", "1 0  2 0.5");
}

static void
test_refused (Fixture *fixture, gconstpointer data)
{
  g_autofree char *nowhere =
      g_build_filename (fixture->folder, "no", "a.csv", NULL);
  g_autoptr (UmedptObjectTable) table = NULL;
  g_autoptr (GError) error = NULL;
  struct rlimit old, now;

  umedpt_csv_free (make_table (fixture, 1));
  g_assert_null (umedpt_object_table_new (fixture->path, "s", 1, FALSE,
      &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_EXISTS);
  g_clear_error (&error);
  g_assert_null (umedpt_object_table_new (nowhere, "s", 1, FALSE, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NOT_FOUND);
  g_clear_error (&error);

  table = umedpt_object_table_new (fixture->path, "s", 1, TRUE, &error);
  g_assert_no_error (error);
  signal (SIGXFSZ, SIG_IGN);
  getrlimit (RLIMIT_FSIZE, &old);
  now = old;
  now.rlim_cur = 10;
  setrlimit (RLIMIT_FSIZE, &now);
  g_assert_false (umedpt_object_table_finish (table, &error));
  setrlimit (RLIMIT_FSIZE, &old);
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_SPACE);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, function) \
  g_test_add ("/object-table/" name, Fixture, NULL, set_up, function, tear_down)
  ADD ("known", test_known);
  ADD ("unknown", test_unknown);
  ADD ("unnamed", test_unnamed);
  ADD ("refused", test_refused);
  return g_test_run ();
}
