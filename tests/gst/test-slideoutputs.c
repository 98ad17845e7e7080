/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * umedptslidesink with all its files: discs that every seam of the tiles cuts
 * are counted once, by boxes, by masks and by the outlines of the slide's
 * mask, whatever is missing between them.
 */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "common.h"
#include "common/gstumedptresults.h"
#include "outputs.h"
#include "stream.h"

/* --- counts ------------------------------------------------------------- */

static const TestGrid grids[] = {
  { 64, 0, 1, 500, 400 },
  { 64, 16, 1, 500, 400 },
  { 64, 0, 1.37, 700, 500 },
  { 64, 16, 2.73, 1400, 1100 },
  { 64, 32, 0.5, 250, 200 },
  { 63, 15, 1.5, 640, 480, { 17, 33, 600, 400 } },
};

/* Each task has found each disc once. */
static void
check_table (const char *name, const char *task, guint n_discs)
{
  g_autofree char *content = test_read_file (name);
  g_auto (GStrv) lines = g_strsplit (content, "\n", -1);
  guint n_rows = 0;
  guint64 sum = 0;

  for (guint i = 1; lines[i]; i++) {
    g_auto (GStrv) cells = g_strsplit (lines[i], ",", -1);

    if (g_strv_length (cells) < 4 || !g_str_equal (cells[1], task) ||
        strlen (cells[2]) != 1)
      continue;
    n_rows++;
    sum += g_ascii_strtoull (cells[3], NULL, 10);
  }
  g_assert_cmpuint (n_rows, ==, DISC_CLASSES);
  g_assert_cmpuint (sum, ==, n_discs);
}

static void
test_counts (gconstpointer data)
{
  const TestGrid *grid = data;
  g_autoptr (GArray) discs = test_make_discs (grid);
  g_autofree char *name = g_strdup_printf ("counts-%d", (gint) (grid - grids));
  g_autofree char *table = g_strconcat (name, ".csv", NULL);
  g_autoptr (GstMessage) message = NULL;
  g_auto (TestOutputs) f = { 0 };

  test_outputs_init_all (&f, name, "instances=tissue");
  test_push_grid (f.h, grid);
  test_push_all (f.h, grid, discs, TEST_BOXES | TEST_MASK | TEST_TENSOR);
  g_assert_true (test_outputs_end (&f));
  message = test_pop_written (f.bus);
  g_assert_nonnull (message);
  g_assert_cmpuint (test_written (message, "detections"), ==, 2 * discs->len);
  g_assert_cmpuint (test_written (message, "regions"), ==, discs->len);
  g_assert_cmpuint (test_written (message, "mask"), ==, DISC_CLASSES + 1);
  g_assert_cmpuint (test_written (message, "features"), ==,
      test_count (message, "tiles"));
  g_assert_cmpuint (test_written (message, "heatmap"), ==,
      test_count (message, "expected"));
  check_table (table, "cells", discs->len);
  check_table (table, "tissue", discs->len);
}

/* --- kinds of masks ----------------------------------------------------- */

static void
set_square (guint8 *mask, gint planes, gint x, gint y, guint8 value)
{
  for (gint j = y; j < y + 4; j++)
    for (gint i = x; i < x + 4; i++)
      mask[(j * 32 + i) * planes] = value;
}

/* Two classes on the same place are two instances, but one region, of the last
 * class. */
static void
test_multilabel (void)
{
  guint8 mask[32 * 32 * 3] = { 0 };
  g_autoptr (GstMessage) message = NULL;
  g_auto (TestOutputs) f = { 0 };

  test_outputs_init (&f,
      "detections-location=@multi.geojson instances=m "
      "regions-location=@multi.regions.geojson "
      "mask-location=@multi.ome.tif");
  set_square (mask, 3, 4, 4, 1);
  set_square (mask + 1, 3, 4, 4, 1);
  set_square (mask + 2, 3, 20, 20, 1);
  test_push_grid (f.h, &test_one_tile);
  g_assert_cmpint (test_push_result (f.h, &test_one_tile, 0, "m",
                       test_new_mask ("a,b,c", 32, 3, FALSE, 64, mask)),
      ==, GST_FLOW_OK);
  g_assert_true (test_outputs_end (&f));
  message = test_pop_written (f.bus);
  g_assert_cmpuint (test_written (message, "detections"), ==, 3);
  g_assert_cmpuint (test_written (message, "regions"), ==, 2);
  g_assert_cmpuint (test_written (message, "mask"), ==, 4);
}

/* One label: yes or no. A mask without a background: all is a region but what
 * is undecided. */
static void
test_yes_or_no (void)
{
  const struct
  {
    const char *labels;
    guint n_regions;
  } rows[] = { { "a", 2 }, { "", 2 }, { "a,b,c", 3 } };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    guint8 mask[32 * 32] = { 0 };
    g_autofree char *properties =
        g_strdup_printf ("detections-location=@yes-%u.geojson instances=m "
                         "regions-location=@yes-%u.regions.geojson",
            i, i);
    g_autoptr (GstMessage) message = NULL;
    g_auto (TestOutputs) f = { 0 };

    test_outputs_init (&f, properties);
    if (i == 2)
      memset (mask, GST_UMEDPT_UNDECIDED, sizeof mask / 2);
    set_square (mask, 1, 4, 4, 1);
    set_square (mask, 1, 20, 20, 1);
    test_push_grid (f.h, &test_one_tile);
    g_assert_cmpint (test_push_result (f.h, &test_one_tile, 0, "m",
                         test_new_mask (rows[i].labels, 32, 1, FALSE, 64,
                             mask)),
        ==, GST_FLOW_OK);
    g_assert_true (test_outputs_end (&f));
    message = test_pop_written (f.bus);
    g_assert_cmpuint (test_written (message, "detections"), ==,
        rows[i].n_regions);
    g_assert_cmpuint (test_written (message, "regions"), ==, rows[i].n_regions);
    g_assert_cmpuint (test_written (message, "mask"), ==, G_MAXUINT64);
  }
  test_nothing_left (".mask"); /* the one that only outlines needed */
}

/* A square of 4 x 4 pixels of a mask is 8 x 8 of level 0, 4 µm². */
static void
test_min_area (void)
{
  for (guint i = 0; i < 2; i++) {
    guint8 mask[32 * 32] = { 0 };
    g_autofree char *properties = g_strdup_printf (
        "detections-location=@area-%u.geojson instances=m min-area=%s "
        "regions-location=@area-%u.regions.geojson",
        i, i == 0 ? "3.9" : "4.1", i);
    g_autoptr (GstMessage) message = NULL;
    g_auto (TestOutputs) f = { 0 };

    test_outputs_init (&f, properties);
    set_square (mask, 1, 4, 4, 1); /* inside */
    set_square (mask, 1, 28, 20, 1); /* at the border */
    test_push_grid (f.h, &test_one_tile);
    test_push_result (f.h, &test_one_tile, 0, "m",
        test_new_mask ("background,a,b,c", 32, 1, TRUE, 64, mask));
    g_assert_true (test_outputs_end (&f));
    message = test_pop_written (f.bus);
    g_assert_cmpuint (test_written (message, "detections"), ==, i == 0 ? 2 : 0);
    g_assert_cmpuint (test_written (message, "regions"), ==, i == 0 ? 2 : 0);
  }
}

/* --- tiles that are missing ---------------------------------------------- */

/* What cannot be read costs what only it has shown, no more. */
static void
test_bad_tile (void)
{
  const TestGrid *grid = &test_overlapping;
  g_autoptr (GArray) discs = test_make_discs (grid);
  g_autoptr (GstMessage) message = NULL;
  g_auto (TestOutputs) f = { 0 };

  test_outputs_init_all (&f, "bad", "");
  test_push_grid (f.h, grid);
  for (guint64 j = 0; j < test_grid_rows (grid); j++)
    for (guint64 i = 0; i < test_grid_columns (grid); i++)
      if (i == 2 && j == 1)
        test_push_bad (f.h, j * test_grid_columns (grid) + i);
      else
        test_push_discs (f.h, grid, i, j, discs,
            TEST_BOXES | TEST_MASK | TEST_TENSOR);
  g_assert_true (test_outputs_end (&f));
  message = test_pop_written (f.bus);
  g_assert_cmpuint (test_count (message, "bad-tiles"), ==, 1);
  g_assert_cmpuint (test_count (message, "tiles"), ==,
      test_count (message, "expected") - 1);
  /* the disc in its middle; all others reach into a neighbour */
  g_assert_cmpuint (test_written (message, "detections"), ==, discs->len - 1);
  g_clear_pointer (&message, gst_message_unref);
  message = test_pop (f.bus, GST_MESSAGE_WARNING);
  g_assert_null (message);
}

/* A slide without tissue, or without a readable tile, has its files as well. */
static void
test_empty (void)
{
  for (guint n_bad = 0; n_bad < 2; n_bad++) {
    g_autofree char *name = g_strdup_printf ("empty-%u", n_bad);
    g_autoptr (GstMessage) message = NULL;
    g_auto (TestOutputs) f = { 0 };

    test_outputs_init_all (&f, name, "instances=tissue");
    test_push_grid (f.h, &test_one_tile);
    if (n_bad > 0)
      test_push_bad (f.h, 0);
    g_assert_true (test_outputs_end (&f));
    message = test_pop_written (f.bus);
    g_assert_cmpuint (test_written (message, "detections"), ==, 0);
    g_assert_cmpuint (test_written (message, "regions"), ==, 0);
    g_assert_cmpuint (test_written (message, "table"), ==, 0);
    g_assert_cmpuint (test_written (message, "mask"), ==, 1);
    g_assert_cmpuint (test_written (message, "heatmap"), ==, 0);
    g_assert_cmpuint (test_written (message, "features"), ==, 0);
  }
}

/* What comes before a flush is void, in all files. */
static void
test_flush (void)
{
  const TestGrid *grid = &test_overlapping;
  g_autoptr (GArray) discs = test_make_discs (grid);
  g_autoptr (GstMessage) message = NULL;
  g_auto (TestOutputs) f = { 0 };
  GstSegment segment;

  test_outputs_init_all (&f, "flush", "instances=tissue");
  test_push_grid (f.h, grid);
  for (guint64 i = 0; i < test_grid_columns (grid); i++)
    test_push_discs (f.h, grid, i, 0, discs,
        TEST_BOXES | TEST_MASK | TEST_TENSOR);
  gst_harness_push_event (f.h, gst_event_new_flush_start ());
  gst_harness_push_event (f.h, gst_event_new_flush_stop (TRUE));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (f.h, gst_event_new_segment (&segment));
  test_push_all (f.h, grid, discs, TEST_BOXES | TEST_MASK | TEST_TENSOR);
  g_assert_true (test_outputs_end (&f));
  message = test_pop_written (f.bus);
  g_assert_cmpuint (test_written (message, "detections"), ==, 2 * discs->len);
  g_assert_cmpuint (test_written (message, "regions"), ==, discs->len);
  g_assert_cmpuint (test_count (message, "tiles"), ==,
      test_count (message, "expected"));
}

/* The heatmap of a classification alone, and of a regression, which has no
 * colours. */
static void
test_heatmap_of_values (void)
{
  const float values[] = { 0.2f, 0.7f, 0.1f };

  for (guint i = 0; i < 2; i++) {
    GstStructure *result = test_new_result (GST_UMEDPT_RESULT_VALUES,
        i == 0 ? "classification" : "regression", "a,b,c", 1, DISC_CLASSES);
    g_autofree char *properties =
        g_strdup_printf ("heatmap-location=@values-%u.png", i);
    g_autoptr (GstMessage) message = NULL;
    g_auto (TestOutputs) f = { 0 };

    test_outputs_init (&f, properties);
    test_set_bytes (result, "values", values, sizeof values);
    test_push_grid (f.h, &test_one_tile);
    g_assert_cmpint (test_push_result (f.h, &test_one_tile, 0, "v", result), ==,
        i == 0 ? GST_FLOW_OK : GST_FLOW_ERROR);
    if (i == 1) {
      test_outputs_error (&f, "umedptembed");
      continue;
    }
    g_assert_true (test_outputs_end (&f));
    message = test_pop_written (f.bus);
    g_assert_cmpuint (test_written (message, "heatmap"), ==, 1);
  }
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  for (guint i = 0; i < G_N_ELEMENTS (grids); i++) {
    g_autofree char *path = g_strdup_printf ("/slideoutputs/counts/%u", i);
    g_test_add_data_func (path, &grids[i], test_counts);
  }
  g_test_add_func ("/slideoutputs/multilabel", test_multilabel);
  g_test_add_func ("/slideoutputs/yes-or-no", test_yes_or_no);
  g_test_add_func ("/slideoutputs/min-area", test_min_area);
  g_test_add_func ("/slideoutputs/bad-tile", test_bad_tile);
  g_test_add_func ("/slideoutputs/empty", test_empty);
  g_test_add_func ("/slideoutputs/flush", test_flush);
  g_test_add_func ("/slideoutputs/heatmap-of-values", test_heatmap_of_values);
  return test_run ();
}
