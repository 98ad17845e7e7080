/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The features writer: what is refused and in which words, and that a failure
 * of any kind leaves neither half a file nor a temporary one. What the files
 * contain is checked with h5py, NumPy and torch in read-back.py.
 */
#define _GNU_SOURCE
#include "output/features.h"

#include <glib/gstdio.h>
#include <hdf5.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

static const char *const suffixes[] = { "h5", "pt", "npy" };

typedef struct
{
  char *folder;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture->folder = g_dir_make_tmp ("umedpt-features-XXXXXX", NULL);
  g_assert_nonnull (fixture->folder);
}

static guint
count_files (const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  guint n = 0;

  while (g_dir_read_name (dir))
    n++;
  return n;
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GDir) dir = g_dir_open (fixture->folder, 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (dir))) {
    g_autofree char *path = g_build_filename (fixture->folder, name, NULL);
    g_unlink (path);
  }
  g_rmdir (fixture->folder);
  g_free (fixture->folder);
}

static char *
make_path (Fixture *fixture, const char *suffix)
{
  g_autofree char *name = g_strdup_printf ("slide.%s", suffix);
  return g_build_filename (fixture->folder, name, NULL);
}

static const UmedptFeatureInfo info = {
  .slide = "slide",
  .encoder = "swinv2-tiny",
  .level0_mpp = 0.25,
  .mpp = 0.5,
  .downsample = 2,
  .tile_size = 256,
};

static gboolean
append (UmedptFeatureWriter *writer, guint64 index, guint n_features,
    GError **error)
{
  g_autofree gfloat *row = g_new (gfloat, n_features);

  for (guint i = 0; i < n_features; i++)
    row[i] = index + i / 1024.0f;
  return umedpt_feature_writer_append (writer, index, 512 * index, 7, row,
      n_features, error);
}

/* The file and, for .npy and .pt, its two companions. */
static guint
files_of (const char *suffix)
{
  return strcmp (suffix, "h5") == 0 ? 1 : 3;
}

static void
test_write (Fixture *fixture, gconstpointer suffix)
{
  g_autofree char *path = make_path (fixture, suffix);
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptFeatureWriter) writer =
      umedpt_feature_writer_new (path, &info, FALSE, &error);

  g_assert_no_error (error);
  for (guint i = 0; i < 600; i++) {
    g_assert_true (append (writer, i, 96, &error));
    g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
  }
  g_assert_cmpuint (umedpt_feature_writer_get_n_rows (writer), ==, 600);
  umedpt_feature_writer_add_bad_tile (writer, 600, 1, 2, NULL);
  g_assert_true (umedpt_feature_writer_finish (writer, &error));
  g_assert_no_error (error);
  g_assert_true (g_file_test (path, G_FILE_TEST_IS_REGULAR));
  g_assert_cmpuint (count_files (fixture->folder), ==, files_of (suffix));

  /* Finished is finished. */
  g_assert_false (append (writer, 601, 96, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_IO);
  g_clear_error (&error);
  g_assert_false (umedpt_feature_writer_finish (writer, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_IO);
}

static void
test_suffix (Fixture *fixture, gconstpointer data)
{
  static const char *const wrong[] = { "slide.csv", "slide", "h5",
    "slide.h5.gz", "slide.safetensors" };

  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++) {
    g_autofree char *path = g_build_filename (fixture->folder, wrong[i], NULL);
    g_autoptr (GError) error = NULL;

    g_assert_null (umedpt_feature_writer_new (path, &info, FALSE, &error));
    g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS);
    g_assert_nonnull (strstr (error->message, ".h5"));
  }
  g_assert_cmpuint (count_files (fixture->folder), ==, 0);
}

static void
test_abandoned (Fixture *fixture, gconstpointer suffix)
{
  g_autofree char *path = make_path (fixture, suffix);
  g_autoptr (GError) error = NULL;
  UmedptFeatureWriter *writer =
      umedpt_feature_writer_new (path, &info, FALSE, &error);

  g_assert_no_error (error);
  for (guint i = 0; i < 300; i++)
    g_assert_true (append (writer, i, 96, &error));
  umedpt_feature_writer_free (writer);
  g_assert_cmpuint (count_files (fixture->folder), ==, 0);
}

static void
test_exists (Fixture *fixture, gconstpointer suffix)
{
  g_autofree char *path = make_path (fixture, suffix);
  g_autofree char *content = NULL;
  g_autoptr (GError) error = NULL;
  UmedptFeatureWriter *writer;

  g_assert_true (g_file_set_contents (path, "precious", -1, NULL));
  g_assert_null (umedpt_feature_writer_new (path, &info, FALSE, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_EXISTS);
  g_assert_nonnull (strstr (error->message, path));
  g_clear_error (&error);

  /* Asked to replace it, it stays until the new one is whole. */
  writer = umedpt_feature_writer_new (path, &info, TRUE, &error);
  g_assert_no_error (error);
  g_assert_true (append (writer, 0, 8, &error));
  g_assert_true (g_file_get_contents (path, &content, NULL, NULL));
  g_assert_cmpstr (content, ==, "precious");
  g_assert_true (umedpt_feature_writer_finish (writer, &error));
  umedpt_feature_writer_free (writer);
  g_clear_pointer (&content, g_free);
  g_assert_true (g_file_get_contents (path, &content, NULL, NULL));
  g_assert_cmpstr (content, !=, "precious");
  g_assert_cmpuint (count_files (fixture->folder), ==, files_of (suffix));
}

/* Appeared while we wrote: still not replaced, and ours not left behind. */
static void
test_overtaken (Fixture *fixture, gconstpointer suffix)
{
  g_autofree char *path = make_path (fixture, suffix);
  g_autofree char *content = NULL;
  g_autoptr (GError) error = NULL;
  UmedptFeatureWriter *writer =
      umedpt_feature_writer_new (path, &info, FALSE, &error);

  g_assert_no_error (error);
  g_assert_true (append (writer, 0, 8, &error));
  g_assert_true (g_file_set_contents (path, "faster", -1, NULL));
  g_assert_false (umedpt_feature_writer_finish (writer, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_EXISTS);
  umedpt_feature_writer_free (writer);
  g_assert_true (g_file_get_contents (path, &content, NULL, NULL));
  g_assert_cmpstr (content, ==, "faster");
  g_assert_cmpuint (count_files (fixture->folder), ==, 1);
}

static void
test_no_folder (Fixture *fixture, gconstpointer suffix)
{
  g_autofree char *name =
      g_strdup_printf ("missing/slide.%s", (const char *) suffix);
  g_autofree char *path = g_build_filename (fixture->folder, name, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_null (umedpt_feature_writer_new (path, &info, FALSE, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, path));
}

static void
test_unwritable (Fixture *fixture, gconstpointer suffix)
{
  g_autofree char *path = make_path (fixture, suffix);
  g_autoptr (GError) error = NULL;

  if (geteuid () == 0) {
    /* The superuser may write everywhere but here. */
    g_clear_pointer (&path, g_free);
    path = g_strdup_printf ("/proc/slide.%s", (const char *) suffix);
  } else {
    g_assert_cmpint (g_chmod (fixture->folder, 0500), ==, 0);
  }
  g_assert_null (umedpt_feature_writer_new (path, &info, FALSE, &error));
  g_chmod (fixture->folder, 0700);
  g_assert_nonnull (error);
  g_assert_true (error->domain == UMEDPT_ERROR);
  g_assert_true (error->code == UMEDPT_ERROR_IO ||
      error->code == UMEDPT_ERROR_NOT_FOUND);
  g_assert_nonnull (strstr (error->message, path));
}

static void
test_not_finite (Fixture *fixture, gconstpointer suffix)
{
  const gfloat bad[] = { NAN, INFINITY, -INFINITY };
  g_autofree char *path = make_path (fixture, suffix);
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptFeatureWriter) writer =
      umedpt_feature_writer_new (path, &info, FALSE, &error);

  g_assert_no_error (error);
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    gfloat row[8] = { 0 };

    row[5] = bad[i];
    g_assert_false (umedpt_feature_writer_append (writer, 4711, 12345, 67890,
        row, 8, &error));
    g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA);
    g_assert_nonnull (strstr (error->message, "4711"));
    g_assert_nonnull (strstr (error->message, "(12345, 67890)"));
    g_clear_error (&error);
  }
  g_assert_cmpuint (umedpt_feature_writer_get_n_rows (writer), ==, 0);
  /* Refused rows harm nothing: the first good one fixes the width. */
  g_assert_true (append (writer, 1, 16, &error));
  g_assert_false (append (writer, 2, 8, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE);
  g_clear_error (&error);
  g_assert_false (append (writer, 3, 0, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE);
  g_clear_error (&error);
  g_assert_true (umedpt_feature_writer_finish (writer, &error));
}

/* Each try has another limit, so that the disk is "full" while making the
 * file, in a chunk, in the header, in the directory, and at closing. */
static gboolean
write_under_limit (const char *path, rlim_t limit, GError **error)
{
  struct rlimit old, now;
  g_autoptr (UmedptFeatureWriter) writer = NULL;
  gboolean ok;

  getrlimit (RLIMIT_FSIZE, &old);
  now = old;
  now.rlim_cur = limit;
  setrlimit (RLIMIT_FSIZE, &now);
  writer = umedpt_feature_writer_new (path, &info, FALSE, error);
  ok = writer != NULL;
  for (guint i = 0; i < 700 && ok; i++)
    ok = append (writer, i, 1000, error);
  ok = ok && umedpt_feature_writer_finish (writer, error);
  if (!ok && writer) {
    /* It stays failed, and says so. */
    g_assert_false (umedpt_feature_writer_finish (writer, NULL));
    g_assert_false (append (writer, 0, 1000, NULL));
  }
  g_clear_pointer (&writer, umedpt_feature_writer_free);
  setrlimit (RLIMIT_FSIZE, &old);
  return ok;
}

static void
test_full (Fixture *fixture, gconstpointer suffix)
{
  const guint64 whole = 700 * 1000 * sizeof (gfloat);
  const guint64 limits[] = { 0, 1, 100, 2000, 5000, 1 << 20, whole / 2,
    whole - 1, whole, whole + 64, whole + 130, whole + 400 };
  g_autofree char *path = make_path (fixture, suffix);
  guint n_failed = 0;

  signal (SIGXFSZ, SIG_IGN);
  for (guint i = 0; i < G_N_ELEMENTS (limits); i++) {
    g_autoptr (GError) error = NULL;

    if (write_under_limit (path, limits[i], &error)) {
      g_assert_cmpuint (limits[i], >=, whole);
      g_assert_cmpuint (count_files (fixture->folder), ==, files_of (suffix));
      break;
    }
    n_failed++;
    g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_SPACE);
    g_assert_nonnull (strstr (error->message, "slide"));
    g_assert_cmpuint (count_files (fixture->folder), ==, 0);
  }
  g_assert_cmpuint (n_failed, >=, 8);
}

typedef struct
{
  const char *folder;
  guint number;
} Job;

static gpointer
write_one (gpointer data)
{
  Job *job = data;
  g_autofree char *path =
      g_strdup_printf ("%s/slide%u.h5", job->folder, job->number);
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptFeatureWriter) writer =
      umedpt_feature_writer_new (path, &info, FALSE, &error);

  g_assert_no_error (error);
  for (guint i = 0; i < 600; i++)
    g_assert_true (append (writer, i, 33, &error));
  g_assert_true (umedpt_feature_writer_finish (writer, &error));
  return NULL;
}

/* HDF5 is not thread-safe; our lock must make it so. */
static void
test_threads (Fixture *fixture, gconstpointer data)
{
  GThread *threads[8];
  Job jobs[8];

  for (guint i = 0; i < 8; i++) {
    jobs[i] = (Job){ fixture->folder, i };
    threads[i] = g_thread_new ("writer", write_one, &jobs[i]);
  }
  for (guint i = 0; i < 8; i++)
    g_thread_join (threads[i]);
  g_assert_cmpuint (count_files (fixture->folder), ==, 8);
}

static herr_t
print_nothing (hid_t stack, void *data)
{
  return 0;
}

/* A program's own handler of HDF5 errors is as it was, also after a failure,
 * and is not called for ours. */
static void
test_handler (Fixture *fixture, gconstpointer data)
{
  g_autofree char *path = make_path (fixture, "h5");
  g_autoptr (GError) error = NULL;
  H5E_auto2_t handler;
  void *user_data;

  H5Eset_auto2 (H5E_DEFAULT, print_nothing, &handler);
  signal (SIGXFSZ, SIG_IGN);
  g_assert_false (write_under_limit (path, 5000, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_SPACE);
  H5Eget_auto2 (H5E_DEFAULT, &handler, &user_data);
  g_assert_true (handler == print_nothing);
  g_assert_true (user_data == &handler);
}

/* The same input gives the same bytes. */
static void
test_reproducible (Fixture *fixture, gconstpointer suffix)
{
  g_autofree char *path = make_path (fixture, suffix);
  g_autofree char *content[2] = { NULL, NULL };
  gsize size[2];

  for (guint i = 0; i < 2; i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (UmedptFeatureWriter) writer =
        umedpt_feature_writer_new (path, &info, i > 0, &error);

    g_assert_no_error (error);
    for (guint j = 0; j < 300; j++)
      g_assert_true (append (writer, j, 50, &error));
    umedpt_feature_writer_add_bad_tile (writer, 300, 1, 2, "damaged");
    g_assert_true (umedpt_feature_writer_finish (writer, &error));
    g_assert_true (g_file_get_contents (path, &content[i], &size[i], NULL));
    if (i == 0)
      g_usleep (1100 * 1000); /* a file's times have seconds */
  }
  g_assert_cmpmem (content[0], size[0], content[1], size[1]);
  g_free (content[1]);
  content[1] = NULL;
}

static void
add (const char *name, const char *suffix,
    void (*test) (Fixture *, gconstpointer))
{
  g_autofree char *path = g_strdup_printf ("/features/%s%s%s", name,
      suffix ? "/" : "", suffix ? suffix : "");

  g_test_add (path, Fixture, suffix, set_up, test, tear_down);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (suffixes); i++) {
    add ("write", suffixes[i], test_write);
    add ("abandoned", suffixes[i], test_abandoned);
    add ("exists", suffixes[i], test_exists);
    add ("overtaken", suffixes[i], test_overtaken);
    add ("no-folder", suffixes[i], test_no_folder);
    add ("unwritable", suffixes[i], test_unwritable);
    add ("not-finite", suffixes[i], test_not_finite);
    add ("full", suffixes[i], test_full);
    add ("reproducible", suffixes[i], test_reproducible);
  }
  add ("suffix", NULL, test_suffix);
  add ("threads", NULL, test_threads);
  add ("handler", NULL, test_handler);
  return g_test_run ();
}
