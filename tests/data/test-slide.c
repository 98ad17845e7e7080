/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Slides: which reader takes a file, levels, the scale and its sources, pixels
 * against other decoders and a naive resampler in double precision, edges,
 * transparency, and damage of every kind.
 */
#include "fixture.h"

#include <math.h>
#include <string.h>

#include <glib/gstdio.h>
#include <openslide.h>

#include "base/error.h"
#include "data/slide-private.h"
#include "data/synth-scene.h"

static UmedptSynthOptions
small_synth (void)
{
  UmedptSynthOptions options = UMEDPT_SYNTH_OPTIONS_INIT;

  options.width = 1301;
  options.height = 1100;
  options.mpp = 0.5;
  options.quality = 0;
  return options;
}

/* What the reader must do, by the definition: the mean over the covered area
 * in premultiplied colours, or linear interpolation, laid on white. */
static void
naive_pixel (const guint8 *rgba, gint w, gint h, double x0, double y0,
    double ds, double out[3])
{
  double sum[4] = { 0 };

  if (ds < 1) {
    double cx = x0 + ds / 2, cy = y0 + ds / 2;

    for (gint c = 0; c < 3; c++)
      out[c] = 255;
    if (cx < 0 || cy < 0 || cx >= w || cy >= h)
      return;
    cx -= 0.5;
    cy -= 0.5;
    for (gint j = (gint) floor (cy); j <= (gint) floor (cy) + 1; j++)
      for (gint i = (gint) floor (cx); i <= (gint) floor (cx) + 1; i++) {
        double f = (1 - fabs (cx - i)) * (1 - fabs (cy - j));
        const guint8 *p =
            rgba + ((gsize) CLAMP (j, 0, h - 1) * w + CLAMP (i, 0, w - 1)) * 4;

        for (gint c = 0; c < 3; c++)
          sum[c] += f * p[c] * p[3] / 255.0;
        sum[3] += f * p[3];
      }
  } else {
    for (gint j = MAX (0, (gint) floor (y0)); j < MIN (h, y0 + ds); j++)
      for (gint i = MAX (0, (gint) floor (x0)); i < MIN (w, x0 + ds); i++) {
        double f = (MIN (i + 1, x0 + ds) - MAX (i, x0)) *
            (MIN (j + 1, y0 + ds) - MAX (j, y0)) / (ds * ds);
        const guint8 *p = rgba + ((gsize) j * w + i) * 4;

        for (gint c = 0; c < 3; c++)
          sum[c] += f * p[c] * p[3] / 255.0;
        sum[3] += f * p[3];
      }
  }
  for (gint c = 0; c < 3; c++)
    out[c] = sum[c] + 255 - sum[3];
}

/* Reads and compares with the naive resampler; the first level must be the one
 * that is used. Premultiplied bytes cost one rounding, the result another. */
static void
compare_naive (UmedptSlide *slide, const guint8 *rgba, gint w, gint h, double x,
    double y, double ds, double tolerance)
{
  enum
  {
    SIDE = 40
  };
  guint8 rgb[SIDE * SIDE * 3];
  double valid, opaque, worst = 0, want[3];
  g_autoptr (GError) error = NULL;

  umedpt_slide_read (slide, x, y, ds, SIDE, SIDE, rgb, SIDE * 3, &valid,
      &opaque, &error);
  g_assert_no_error (error);
  for (gint j = 0; j < SIDE; j++)
    for (gint i = 0; i < SIDE; i++) {
      naive_pixel (rgba, w, h, x + i * ds, y + j * ds, ds, want);
      for (gint c = 0; c < 3; c++)
        worst = MAX (worst, fabs (want[c] - rgb[(j * SIDE + i) * 3 + c]));
    }
  g_test_message ("at (%g, %g), downsample %g: worst %g", x, y, ds, worst);
  g_assert_cmpfloat (worst, <=, tolerance);
}

static void
test_resample (gconstpointer data)
{
  gboolean alpha = GPOINTER_TO_INT (data);
  gint w = 331, h = 257;
  g_autofree guint8 *rgba = fixture_pixels (w, h, 3, alpha);
  g_autofree char *path = fixture_path ("resample.png");
  static const double scales[] = { 1, 0.3, 0.999, 1.002004008, 1.5, 2, 3.7,
    7.25 };
  g_autoptr (UmedptSlide) slide = NULL;

  fixture_write_png (path, w, h, rgba);
  slide = fixture_open (path);
  g_assert_cmpstr (umedpt_slide_get_vendor (slide), ==, "image");
  for (guint i = 0; i < G_N_ELEMENTS (scales); i++) {
    compare_naive (slide, rgba, w, h, 32, 48, scales[i], alpha ? 1.01 : 0.51);
    compare_naive (slide, rgba, w, h, 10.25, 7.7, scales[i],
        alpha ? 1.01 : 0.51);
    compare_naive (slide, rgba, w, h, -13.5, -9, scales[i],
        alpha ? 1.01 : 0.51);
    compare_naive (slide, rgba, w, h, w - 20, h - 11.5, scales[i],
        alpha ? 1.01 : 0.51);
  }
}

/* The same through OpenSlide, whose level 0 is exact. */
static void
test_resample_openslide (void)
{
  gint w = 300, h = 200;
  g_autofree guint8 *rgba = fixture_pixels (w, h, 4, FALSE);
  g_autofree char *path = fixture_path ("tiled.tiff");
  FixtureTiff options = { FIXTURE_RGB, 0, TRUE };
  g_autoptr (UmedptSlide) slide = NULL;

  fixture_write_tiff (path, w, h, rgba, &options);
  slide = fixture_open (path);
  g_assert_cmpstr (umedpt_slide_get_vendor (slide), ==, "generic-tiff");
  compare_naive (slide, rgba, w, h, 0, 0, 1, 0.51);
  compare_naive (slide, rgba, w, h, -20, 180, 1, 0.51);
  compare_naive (slide, rgba, w, h, 17.5, 3.25, 2.7, 0.51);
  compare_naive (slide, rgba, w, h, 250, 150, 1.3, 0.51);
  compare_naive (slide, rgba, w, h, 50, 50, 0.5, 0.51);
}

/* A request far larger than a block is split, and nobody sees it. */
static void
test_split (void)
{
  gint w = 5000, h = 3000;
  g_autofree guint8 *rgba = fixture_pixels (w, h, 5, FALSE);
  g_autofree char *path = fixture_path ("large.png");
  g_autoptr (UmedptSlide) slide = NULL;

  fixture_write_png (path, w, h, rgba);
  slide = fixture_open (path);
  compare_naive (slide, rgba, w, h, 3.5, 2.25, 52.3, 0.51);
  compare_naive (slide, rgba, w, h, -100, -200, 55, 0.51);
}

static void
test_edges (void)
{
  guint8 rgb[100 * 100 * 3];
  g_autofree guint8 *rgba = fixture_pixels (150, 120, 6, FALSE);
  g_autofree char *path = fixture_path ("edges.png");
  g_autoptr (UmedptSlide) slide = NULL;
  g_autoptr (GError) error = NULL;
  double valid, opaque;

  fixture_write_png (path, 150, 120, rgba);
  slide = fixture_open (path);
  g_assert_true (umedpt_slide_read (slide, 100, 70, 1, 100, 100, rgb, 300,
      &valid, &opaque, &error));
  g_assert_cmpfloat_with_epsilon (valid, 0.25, 1e-12);
  g_assert_cmpfloat_with_epsilon (opaque, 0.25, 1e-12);
  g_assert_cmpint (memcmp (rgb, rgba + (70 * 150 + 100) * 4, 3), ==, 0);
  g_assert_cmpint (rgb[(49 * 100 + 50) * 3], ==, 255);
  g_assert_true (umedpt_slide_read (slide, -75, -60, 3, 100, 100, rgb, 300,
      &valid, &opaque, &error));
  g_assert_cmpfloat_with_epsilon (valid, 0.2, 1e-12); /* 150 x 120 of 300² */
  g_assert_cmpfloat_with_epsilon (opaque, 0.2, 1e-6);
  /* wholly outside: white, and no error */
  g_assert_true (umedpt_slide_read (slide, 1e6, -1e6, 1, 100, 100, rgb, 300,
      &valid, &opaque, &error));
  g_assert_cmpfloat (valid, ==, 0);
  g_assert_cmpfloat (opaque, ==, 0);
  for (gsize i = 0; i < sizeof rgb; i++)
    g_assert_cmpint (rgb[i], ==, 255);
  /* nonsense is an error */
  g_assert_false (umedpt_slide_read (slide, NAN, 0, 1, 100, 100, rgb, 300, NULL,
      NULL, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS);
  g_clear_error (&error);
  g_assert_false (umedpt_slide_read (slide, 0, 0, 0, 100, 100, rgb, 300, NULL,
      NULL, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS);
}

static void
test_alpha (void)
{
  guint8 rgba[64 * 64 * 4], rgb[64 * 64 * 3];
  g_autofree char *path = fixture_path ("alpha.png");
  g_autoptr (UmedptSlide) slide = NULL;
  double valid, opaque;

  memset (rgba, 0, sizeof rgba); /* black holes */
  for (gint i = 0; i < 64 * 16; i++) {
    rgba[4 * i] = 200;
    rgba[4 * i + 3] = 255;
  }
  fixture_write_png (path, 64, 64, rgba);
  slide = fixture_open (path);
  g_assert_true (umedpt_slide_read (slide, 0, 0, 1, 64, 64, rgb, 192, &valid,
      &opaque, NULL));
  g_assert_cmpfloat (valid, ==, 1);
  g_assert_cmpfloat_with_epsilon (opaque, 0.25, 1e-9);
  g_assert_cmpint (rgb[0], ==, 200);
  g_assert_cmpint (rgb[1], ==, 0);
  g_assert_cmpint (rgb[64 * 63 * 3], ==, 255); /* white, not black */
}

static void
test_levels (void)
{
  UmedptSynthOptions options = small_synth ();
  g_autofree char *path = fixture_write_synth ("levels.tiff", &options);
  g_autoptr (UmedptSlide) slide = fixture_open (path);
  const UmedptSlideLevel *level;

  g_assert_cmpuint (umedpt_slide_get_n_levels (slide), ==, 3);
  level = umedpt_slide_get_level (slide, 2);
  g_assert_cmpint (level->width, ==, 325);
  g_assert_cmpint (level->height, ==, 275);
  g_assert_cmpfloat_with_epsilon (level->downsample,
      (1301 / 325.0 + 1100 / 275.0) / 2, 1e-12);
  g_assert_cmpuint (umedpt_slide_best_level (slide, 0.25), ==, 0);
  g_assert_cmpuint (umedpt_slide_best_level (slide, 1), ==, 0);
  g_assert_cmpuint (umedpt_slide_best_level (slide, 1.99), ==, 0);
  /* 650 of 1301: its 2.0008 is 2 but for the rounding of the size */
  g_assert_cmpuint (umedpt_slide_best_level (slide, 2), ==, 1);
  g_assert_cmpuint (umedpt_slide_best_level (slide, 3.9), ==, 1);
  g_assert_cmpuint (umedpt_slide_best_level (slide, 4), ==, 2);
  g_assert_cmpuint (umedpt_slide_best_level (slide, 100), ==, 2);
}

/* Every pixel of a lossless slide is what was painted. */
static void
test_pixels (void)
{
  UmedptSynthOptions options = small_synth ();
  g_autofree char *path = fixture_write_synth ("pixels.tiff", &options);
  g_autoptr (UmedptSlide) slide = fixture_open (path);
  g_autoptr (UmedptSynthScene) scene = umedpt_synth_scene_new (&options, NULL);
  guint8 want[256 * 256 * 3], rgb[256 * 256 * 3];
  guint n = 0;

  for (gint64 y = 0; y + 256 <= options.height; y += 256)
    for (gint64 x = 0; x + 256 <= options.width; x += 256) {
      if (!umedpt_synth_scene_render (scene, x, y, want))
        continue;
      g_assert_true (umedpt_slide_read (slide, (double) x, (double) y, 1, 256,
          256, rgb, 768, NULL, NULL, NULL));
      g_assert_cmpmem (want, sizeof want, rgb, sizeof rgb);
      n++;
    }
  g_assert_cmpuint (n, >, 2);
}

static void
check_mpp (const char *path, double mpp, UmedptMppSource source,
    const char *problem)
{
  g_autoptr (UmedptSlide) slide = fixture_open (path);
  UmedptMppSource found;

  g_assert_cmpfloat_with_epsilon (umedpt_slide_get_mpp (slide, &found), mpp,
      1e-6);
  g_assert_cmpint (found, ==, source);
  if (problem == NULL) {
    g_assert_null (umedpt_slide_get_mpp_problem (slide));
  } else {
    g_assert_nonnull (strstr (umedpt_slide_get_mpp_problem (slide), problem));
    g_assert_nonnull (strstr (umedpt_slide_get_mpp_problem (slide),
        "slide-mpp"));
    g_assert_nonnull (strstr (umedpt_slide_get_mpp_problem (slide), path));
  }
}

static void
test_mpp (void)
{
  UmedptSynthOptions options = small_synth ();
  g_autofree char *known = fixture_write_synth ("known.tiff", &options);
  g_autofree char *none = NULL, *absurd = NULL;
  g_autofree char *strips = fixture_path ("strips.tiff");
  g_autofree guint8 *rgba = fixture_pixels (100, 80, 1, FALSE);
  FixtureTiff tiff = { FIXTURE_RGB, 16 };

  options.no_mpp = TRUE;
  none = fixture_write_synth ("none.tiff", &options);
  options.no_mpp = FALSE;
  options.absurd_dpi = TRUE;
  absurd = fixture_write_synth ("absurd.tiff", &options);
  check_mpp (known, 0.5, UMEDPT_MPP_TIFF_RESOLUTION, NULL);
  check_mpp (none, 0, UMEDPT_MPP_UNKNOWN, "no vendor tag");
  check_mpp (absurd, 0, UMEDPT_MPP_UNKNOWN, "352.778 x 352.778");

  tiff.x_per_cm = 40000;
  tiff.y_per_cm = 40400;
  fixture_write_tiff (strips, 100, 80, rgba, &tiff);
  check_mpp (strips, sqrt (1e4 / 40000 * 1e4 / 40400),
      UMEDPT_MPP_TIFF_RESOLUTION, NULL);
  tiff.y_per_cm = 44000;
  fixture_write_tiff (strips, 100, 80, rgba, &tiff);
  check_mpp (strips, 0, UMEDPT_MPP_UNKNOWN, "differs between the axes");
}

/* As in an Aperio slide: a thumbnail in strips between the tiled levels is no
 * level, and does not hide the larger one behind it. */
static void
test_thumbnail_between (void)
{
  const FixtureTiff options = {
    .kind = FIXTURE_RGB, .page = TRUE, .thumbnail = TRUE
  };
  g_autofree guint8 *rgba = fixture_pixels (400, 320, 12, FALSE);
  g_autofree char *path = fixture_path ("thumbnail.tiff");
  g_autoptr (GError) error = NULL;
  UmedptSlideReader *reader;

  fixture_write_tiff (path, 400, 320, rgba, &options);
  reader = umedpt_slide_reader_open_tiff (path, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (reader->levels->len, ==, 2);
  g_assert_cmpint (g_array_index (reader->levels, UmedptSlideLevel, 1).width,
      ==, 200);
  reader->klass->close (reader);
}

static void
check_tiff (const FixtureTiff *options, guint n_levels)
{
  gint w = 333, h = 270;
  g_autofree guint8 *rgba =
      fixture_pixels (w, h, 9, options->kind == FIXTURE_RGBA);
  g_autofree char *path = fixture_path ("kinds.tiff");
  g_autoptr (UmedptSlide) slide = NULL;

  fixture_write_tiff (path, w, h, rgba, options);
  for (gsize i = 0; i < (gsize) w * h; i++) {
    guint8 *p = rgba + 4 * i;

    if (options->kind == FIXTURE_GREY || options->kind == FIXTURE_GREY16)
      p[1] = p[2] = p[0];
    if (options->kind == FIXTURE_PALETTE) {
      p[1] = 255 - p[0];
      p[2] = 77;
    }
  }
  slide = fixture_open (path);
  g_assert_cmpstr (umedpt_slide_get_vendor (slide), ==, "tiff");
  g_assert_cmpuint (umedpt_slide_get_n_levels (slide), ==, n_levels);
  /* 16 bits: the low byte may round up */
  compare_naive (slide, rgba, w, h, 0, 0, 1, 1.01);
  compare_naive (slide, rgba, w, h, 290, 240.5, 1.7, 1.51);
}

static void
test_tiff_kinds (void)
{
  for (gint kind = FIXTURE_RGB; kind <= FIXTURE_PALETTE; kind++)
    for (gint rows = 1; rows < 300; rows = rows * 17 + 3) {
      FixtureTiff plain = { (FixtureKind) kind, rows };
      FixtureTiff packed = { (FixtureKind) kind, rows, TRUE };

      check_tiff (&plain, 1);
      check_tiff (&packed, 1);
    }
}

static void
test_tiff_pyramids (void)
{
  FixtureTiff sub = { FIXTURE_RGB, 32, TRUE, TRUE };
  FixtureTiff page = { FIXTURE_RGB, 32, TRUE, FALSE, TRUE };

  check_tiff (&sub, 2);
  check_tiff (&page, 2);
}

static void
expect_open_error (const char *path, UmedptError code, const char *text)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (umedpt_slide_open (path, &error));
  g_test_message ("%s", error->message);
  g_assert_error (error, UMEDPT_ERROR, code);
  g_assert_nonnull (strstr (error->message, path));
  g_assert_nonnull (strstr (error->message, text));
}

static void
test_refused (void)
{
  g_autofree char *path = fixture_path ("broken.svs");
  g_autofree char *folder = g_path_get_dirname (path);
  g_autofree char *missing = fixture_path ("missing.svs");

  g_assert_true (g_file_set_contents (path, "no slide at all", -1, NULL));
  expect_open_error (path, UMEDPT_ERROR_FORMAT, "6e 6f 20 73");
  g_assert_true (g_file_set_contents (path, "", 0, NULL));
  expect_open_error (path, UMEDPT_ERROR_FORMAT, "no bytes");
  g_assert_true (g_file_set_contents (path, "II*\0\377\377\377\377", 8, NULL));
  expect_open_error (path, UMEDPT_ERROR_FORMAT, "truncated or damaged");
  g_assert_true (g_file_set_contents (path, "\x89PNG\r\n\x1a\n", 8, NULL));
  expect_open_error (path, UMEDPT_ERROR_FORMAT, "damaged");
  g_assert_true (g_file_set_contents (path, "\xff\xd8\xff\xe0", 4, NULL));
  expect_open_error (path, UMEDPT_ERROR_FORMAT, "damaged");
  expect_open_error (missing, UMEDPT_ERROR_NOT_FOUND, "No such file");
  expect_open_error (folder, UMEDPT_ERROR_FORMAT, "not a regular file");
}

static void
test_truncated (void)
{
  UmedptSynthOptions options = small_synth ();
  g_autofree char *slide = fixture_write_synth ("cut.tiff", &options);
  g_autofree char *png = fixture_path ("cut.png");
  g_autofree char *jpeg = fixture_path ("cut.jpeg");
  g_autofree guint8 *rgba = fixture_pixels (200, 200, 2, FALSE);

  /* The directory of level 0 lies behind its tiles, at three quarters. */
  fixture_truncate (slide, 0.6);
  expect_open_error (slide, UMEDPT_ERROR_FORMAT, "");
  fixture_write_png (png, 200, 200, rgba);
  fixture_truncate (png, 0.7);
  expect_open_error (png, UMEDPT_ERROR_FORMAT, "truncated");
  fixture_write_jpeg (jpeg, 200, 200, rgba);
  g_object_unref (fixture_open (jpeg));
  fixture_truncate (jpeg, 0.7);
  expect_open_error (jpeg, UMEDPT_ERROR_FORMAT, "damaged");
}

/* A damaged strip is an error where it is needed, and only there. */
static void
test_damaged_strip (void)
{
  g_autofree guint8 *rgba = fixture_pixels (2000, 1600, 2, FALSE);
  g_autofree char *path = fixture_path ("strip.tiff");
  FixtureTiff options = { FIXTURE_RGB, 600, TRUE };
  g_autoptr (UmedptSlide) slide = NULL;
  g_autoptr (GError) error = NULL;
  guint8 rgb[64 * 64 * 3];

  fixture_write_tiff (path, 2000, 1600, rgba, &options);
  fixture_damage (path, 0, 1, 0);
  slide = fixture_open (path);
  for (guint round = 0; round < 3; round++) {
    g_assert_false (umedpt_slide_read (slide, 100, 700, 1, 64, 64, rgb, 192,
        NULL, NULL, &error));
    g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT);
    g_assert_nonnull (strstr (error->message, path));
    g_clear_error (&error);
    compare_naive (slide, rgba, 2000, 1600, 100, 500, 1, 0.51);
    compare_naive (slide, rgba, 2000, 1600, 100, 1300, 1, 0.51);
  }
}

static void
test_real (void)
{
  g_autofree char *cmu = fixture_real ("cmu-1-small-region.svs");
  g_autofree char *tcga = NULL;
  g_autoptr (UmedptSlide) slide = NULL;
  UmedptMppSource source;

  if (cmu == NULL)
    return;
  slide = fixture_open (cmu);
  g_assert_cmpint (umedpt_slide_get_level (slide, 0)->width, ==, 2220);
  g_assert_cmpint (umedpt_slide_get_level (slide, 0)->height, ==, 2967);
  g_assert_cmpfloat_with_epsilon (umedpt_slide_get_mpp (slide, &source), 0.499,
      1e-9);
  g_assert_cmpint (source, ==, UMEDPT_MPP_VENDOR);
  g_assert_cmpfloat (umedpt_slide_get_objective (slide), ==, 20);
  g_assert_cmpstr (umedpt_slide_get_vendor (slide), ==, "aperio");

  tcga = fixture_real ("tcga-jp2k.svs");
  if (tcga == NULL)
    return;
  g_clear_object (&slide);
  slide = fixture_open (tcga);
  g_assert_cmpint (umedpt_slide_get_level (slide, 0)->width, ==, 4443);
  g_assert_cmpint (umedpt_slide_get_level (slide, 0)->height, ==, 3567);
  g_assert_cmpuint (umedpt_slide_get_n_levels (slide), ==, 2);
  g_assert_cmpfloat (umedpt_slide_get_mpp (slide, &source), ==, 0);
  g_assert_cmpuint (umedpt_slide_best_level (slide, 2), ==, 1);
}

/* At the scale of a level, pixels are those of openslide_read_region() laid on
 * white, whichever way they came. */
static void
compare_openslide (const char *path)
{
  enum
  {
    SIDE = 200
  };
  openslide_t *osr = openslide_open (path);
  g_autoptr (UmedptSlide) slide = fixture_open (path);
  g_autofree guint32 *argb = g_new (guint32, SIDE * SIDE);
  g_autofree guint8 *rgb = g_malloc (SIDE * SIDE * 3);
  gint64 width, height;

  g_assert_nonnull (osr);
  openslide_get_level0_dimensions (osr, &width, &height);
  for (gint32 level = 0; level < openslide_get_level_count (osr); level++)
    for (gint i = 0; i < 12; i++) {
      gint64 x = g_test_rand_int_range (-SIDE, (gint32) width);
      gint64 y = g_test_rand_int_range (-SIDE, (gint32) height);
      gint worst = 0;

      openslide_read_region (osr, argb, x, y, level, SIDE, SIDE);
      g_assert_null (openslide_get_error (osr));
      g_assert_true (umedpt_slide_read (slide, (double) x, (double) y,
          openslide_get_level_downsample (osr, level), SIDE, SIDE, rgb,
          SIDE * 3, NULL, NULL, NULL));
      for (gint k = 0; k < SIDE * SIDE; k++)
        for (gint c = 0; c < 3; c++) {
          guint32 p = argb[k];
          gint want =
              (gint) MIN ((p >> (16 - 8 * c) & 255) + 255 - (p >> 24), 255);

          worst = MAX (worst, ABS (want - rgb[3 * k + c]));
        }
      g_test_message ("level %d at (%" G_GINT64_FORMAT ", %" G_GINT64_FORMAT
                      "): worst %d",
          level, x, y, worst);
      g_assert_cmpint (worst, ==, 0);
    }
  openslide_close (osr);
}

static void
test_openslide (void)
{
  UmedptSynthOptions options = small_synth ();
  g_autofree char *lossless = fixture_write_synth ("lossless.tiff", &options);
  g_autofree char *jpeg = NULL;

  compare_openslide (lossless);
  options.quality = 80;
  jpeg = fixture_write_synth ("jpeg.tiff", &options);
  compare_openslide (jpeg);
}

static void
test_real_openslide (void)
{
  g_autofree char *cmu = fixture_real ("cmu-1-small-region.svs");
  g_autofree char *tcga = cmu != NULL ? fixture_real ("tcga-jp2k.svs") : NULL;

  if (cmu != NULL)
    compare_openslide (cmu);
  if (tcga != NULL)
    compare_openslide (tcga);
}

static void
test_real_broken (void)
{
  g_autofree char *path = fixture_real ("broken.svs");

  if (path != NULL)
    expect_open_error (path, UMEDPT_ERROR_FORMAT, "supported are");
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/slide/resample", GINT_TO_POINTER (FALSE),
      test_resample);
  g_test_add_data_func ("/slide/resample-alpha", GINT_TO_POINTER (TRUE),
      test_resample);
  g_test_add_func ("/slide/resample-openslide", test_resample_openslide);
  g_test_add_func ("/slide/split", test_split);
  g_test_add_func ("/slide/edges", test_edges);
  g_test_add_func ("/slide/alpha", test_alpha);
  g_test_add_func ("/slide/levels", test_levels);
  g_test_add_func ("/slide/pixels", test_pixels);
  g_test_add_func ("/slide/mpp", test_mpp);
  g_test_add_func ("/slide/tiff-kinds", test_tiff_kinds);
  g_test_add_func ("/slide/tiff-pyramids", test_tiff_pyramids);
  g_test_add_func ("/slide/refused", test_refused);
  g_test_add_func ("/slide/truncated", test_truncated);
  g_test_add_func ("/slide/damaged-strip", test_damaged_strip);
  g_test_add_func ("/slide/openslide", test_openslide);
  g_test_add_func ("/slide/real", test_real);
  g_test_add_func ("/slide/real-openslide", test_real_openslide);
  g_test_add_func ("/slide/thumbnail-between", test_thumbnail_between);
  g_test_add_func ("/slide/real-broken", test_real_broken);
  status = g_test_run ();
  fixture_remove ();
  return status;
}
