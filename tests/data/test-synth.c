/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The synthetic slide: the same bytes from the same seed, nuclei and tissue
 * where the truth says, levels that average the one below, and clear errors.
 */
#include "fixture.h"

#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "base/error.h"
#include "data/synth-scene.h"

static UmedptSynthOptions
small (void)
{
  UmedptSynthOptions options = UMEDPT_SYNTH_OPTIONS_INIT;

  options.width = 1501;
  options.height = 1103;
  return options;
}

static char *
checksum (const UmedptSynthOptions *options, const char *name)
{
  g_autofree char *path = fixture_write_synth (name, options);
  g_autofree char *content = NULL;
  gsize size;

  g_assert_true (g_file_get_contents (path, &content, &size, NULL));
  return g_compute_checksum_for_data (G_CHECKSUM_SHA256,
      (const guchar *) content, size);
}

static void
test_same (void)
{
  UmedptSynthOptions options = small ();
  g_autofree char *a = NULL, *b = NULL, *c = NULL;

  options.n_threads = 1;
  a = checksum (&options, "a.tiff");
  options.n_threads = 7;
  b = checksum (&options, "b.tiff");
  options.seed = 2;
  c = checksum (&options, "c.tiff");
  g_assert_cmpstr (a, ==, b);
  g_assert_cmpstr (a, !=, c);
}

/* Nuclei are as many as asked for, apart, inside tissue, and where they are
 * the slide is darker and bluer than beside them. */
static void
test_nuclei (void)
{
  UmedptSynthOptions options = small ();
  g_autoptr (UmedptSynthScene) scene = NULL;
  g_autofree char *path = NULL;
  g_autoptr (UmedptSlide) slide = NULL;

  options.n_nuclei = 57;
  scene = umedpt_synth_scene_new (&options, NULL);
  g_assert_cmpuint (scene->nuclei->len, ==, 57);
  path = fixture_write_synth ("nuclei.tiff", &options);
  slide = fixture_open (path);
  for (guint i = 0; i < scene->nuclei->len; i++) {
    const UmedptSynthNucleus *n =
        &g_array_index (scene->nuclei, UmedptSynthNucleus, i);
    guint8 in[3 * 3 * 3], out[3];

    g_assert_cmpint (n->kind, <, UMEDPT_SYNTH_CLASSES);
    umedpt_slide_read (slide, (double) n->x - 1.5, (double) n->y - 1.5, 1, 3, 3,
        in, 9, NULL, NULL, NULL);
    umedpt_slide_read (slide, (double) n->x,
        (double) n->y - 1.6 * (double) n->radius, 1, 1, 1, out, 3, NULL, NULL,
        NULL);
    g_assert_cmpint (in[12], <, 170); /* red in the middle */
    g_assert_cmpint (in[14], >, in[12]); /* bluer than red */
    g_assert_cmpint (out[0], >, 190); /* pink around */
    g_assert_cmpint (out[1], <, 215); /* and not background */
  }
}

/* Each level is the 2 x 2 mean of the level below; lossless, so exactly. */
static void
test_levels (void)
{
  UmedptSynthOptions options = small ();
  g_autofree char *path = NULL;
  g_autoptr (UmedptSlide) slide = NULL;

  options.quality = 0;
  options.width = 2048; /* even levels: OpenSlide reads them unshifted */
  options.height = 1024;
  path = fixture_write_synth ("levels.tiff", &options);
  slide = fixture_open (path);
  g_assert_cmpuint (umedpt_slide_get_n_levels (slide), ==, 3);
  for (guint k = 1; k < 3; k++) {
    gint w = 2048 >> k, h = 1024 >> k;
    double ds = 1 << k;
    g_autofree guint8 *fine = g_malloc ((gsize) w * h * 12);
    g_autofree guint8 *coarse = g_malloc ((gsize) w * h * 3);

    g_assert_true (umedpt_slide_read (slide, 0, 0, ds / 2, 2 * w, 2 * h, fine,
        (gsize) w * 6, NULL, NULL, NULL));
    g_assert_true (umedpt_slide_read (slide, 0, 0, ds, w, h, coarse,
        (gsize) w * 3, NULL, NULL, NULL));
    for (gsize y = 0; y < (gsize) h; y++)
      for (gsize i = 0; i < (gsize) w * 3; i++) {
        const guint8 *p = fine + 2 * y * (gsize) w * 6 + (i / 3) * 6 + i % 3;
        gint sum = p[0] + p[3] + p[(gsize) w * 6] + p[(gsize) w * 6 + 3];

        g_assert_cmpint (coarse[y * (gsize) w * 3 + i], ==, (sum + 2) / 4);
      }
  }
}

/* Sizes that are awkward for tiles and halving. */
static void
test_sizes (void)
{
  static const gint64 sizes[][2] = { { 1, 1 }, { 255, 257 }, { 256, 256 },
    { 513, 1 }, { 1, 2000 }, { 1025, 769 }, { 5000, 300 } };

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    UmedptSynthOptions options = small ();
    g_autofree char *path = NULL;
    g_autoptr (UmedptSlide) slide = NULL;
    guint8 rgb[64 * 64 * 3];

    options.width = sizes[i][0];
    options.height = sizes[i][1];
    path = fixture_write_synth ("size.tiff", &options);
    slide = fixture_open (path);
    g_assert_cmpint (umedpt_slide_get_level (slide, 0)->width, ==, sizes[i][0]);
    g_assert_cmpint (umedpt_slide_get_level (slide, 0)->height, ==,
        sizes[i][1]);
    for (guint k = 0; k < umedpt_slide_get_n_levels (slide); k++)
      g_assert_true (umedpt_slide_read (slide, 0, 0,
          umedpt_slide_get_level (slide, k)->downsample, 64, 64, rgb, 192, NULL,
          NULL, NULL));
  }
}

static void
test_truth (void)
{
  UmedptSynthOptions options = small ();
  g_autofree char *path = fixture_path ("t.tiff");
  g_autofree char *truth = fixture_path ("t.truth.json");
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;

  options.n_nuclei = 3;
  g_assert_true (umedpt_synth_write (path, truth, &options, &error));
  g_assert_true (g_file_get_contents (truth, &text, NULL, NULL));
  g_assert_nonnull (strstr (text, "\"width\": 1501,"));
  g_assert_nonnull (strstr (text, "\"mpp\": 0.25,"));
  g_assert_nonnull (strstr (text, "[\"tumour\", \"lymphocyte\", \"stroma\"]"));
  g_assert_nonnull (strstr (text, "\"outline\": [["));
}

static void
expect_error (const char *path, const UmedptSynthOptions *options,
    UmedptError code)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (umedpt_synth_write (path, NULL, options, &error));
  g_test_message ("%s", error->message);
  g_assert_error (error, UMEDPT_ERROR, code);
  g_assert_false (g_file_test (path, G_FILE_TEST_IS_REGULAR));
}

static void
test_errors (void)
{
  UmedptSynthOptions options = small ();
  g_autofree char *path = fixture_path ("e.tiff");
  g_autofree char *full = fixture_path ("full.tiff");

  expect_error ("/nonexistent/slide.tiff", &options, UMEDPT_ERROR_IO);
  /* A full disk; by a link, so that no mistake can remove the device. What is
   * not a regular file is left alone. */
  if (g_file_test ("/dev/full", G_FILE_TEST_EXISTS)) {
    g_assert_cmpint (symlink ("/dev/full", full), ==, 0);
    expect_error (full, &options, UMEDPT_ERROR_NO_SPACE);
    g_assert_true (g_file_test (full, G_FILE_TEST_IS_SYMLINK));
  }
  options.n_nuclei = 1000000;
  expect_error (path, &options, UMEDPT_ERROR_SETTINGS);
  options = small ();
  options.width = 0;
  expect_error (path, &options, UMEDPT_ERROR_SETTINGS);
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/synth/same", test_same);
  g_test_add_func ("/synth/nuclei", test_nuclei);
  g_test_add_func ("/synth/levels", test_levels);
  g_test_add_func ("/synth/sizes", test_sizes);
  g_test_add_func ("/synth/truth", test_truth);
  g_test_add_func ("/synth/errors", test_errors);
  status = g_test_run ();
  fixture_remove ();
  return status;
}
