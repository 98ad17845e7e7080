/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The picture of a slide's results, read back from its PNG: colours where they
 * belong, the slide below them, a legend beside them; and that odd input and
 * failures leave no half of a file.
 */
#define _GNU_SOURCE
#include "output/heatmap.h"

#include <cairo.h>
#include <glib/gstdio.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "base/error.h"
#include "data/slide.h"
#include "data/synth.h"
#include "folder.h"

static void
set_up (Folder *folder, gconstpointer data)
{
  folder_init (folder, "slide.png");
}

static void
tear_down (Folder *folder, gconstpointer data)
{
  folder_clear (folder);
}

static UmedptHeatmap *
open_heatmap (Folder *fixture, const char *slide, gint64 width, gint64 height)
{
  g_autoptr (GError) error = NULL;
  UmedptHeatmap *heatmap =
      umedpt_heatmap_new (fixture->path, slide, width, height, FALSE, &error);

  g_assert_no_error (error);
  return heatmap;
}

/* Finishes, frees, and reads what was made. */
static cairo_surface_t *
read_back (Folder *fixture, UmedptHeatmap *heatmap)
{
  g_autoptr (GError) error = NULL;
  cairo_surface_t *picture;

  g_assert_true (umedpt_heatmap_finish (heatmap, &error));
  g_assert_no_error (error);
  umedpt_heatmap_free (heatmap);
  g_assert_cmpuint (folder_count (fixture), ==, 1);
  picture = cairo_image_surface_create_from_png (fixture->path);
  g_assert_cmpint (cairo_surface_status (picture), ==, CAIRO_STATUS_SUCCESS);
  g_unlink (fixture->path);
  return picture;
}

static guint32
color_at (cairo_surface_t *picture, gint x, gint y)
{
  const guint8 *row = cairo_image_surface_get_data (picture) +
      (gsize) y * (gsize) cairo_image_surface_get_stride (picture);

  g_assert_cmpint (x, <, cairo_image_surface_get_width (picture));
  g_assert_cmpint (y, <, cairo_image_surface_get_height (picture));
  return ((const guint32 *) (const void *) row)[x] & 0xffffff;
}

/* Each channel within one of what it should be. */
static void
check_color (cairo_surface_t *picture, gint x, gint y, guint32 wanted)
{
  guint32 found = color_at (picture, x, y);

  for (guint shift = 0; shift <= 16; shift += 8)
    if (ABS ((gint) (found >> shift & 0xff) - (gint) (wanted >> shift & 0xff)) >
        1)
      g_error ("(%d, %d) is #%06x, not #%06x", x, y, found, wanted);
}

static void
check_size (cairo_surface_t *picture, gint width, gint height)
{
  g_assert_cmpint (cairo_image_surface_get_width (picture), ==, width);
  g_assert_cmpint (cairo_image_surface_get_height (picture), ==, height);
}

static void
test_areas (Folder *fixture, gconstpointer data)
{
  UmedptHeatmap *heatmap = open_heatmap (fixture, NULL, 8192, 4096);
  cairo_surface_t *picture;

  /* two tiles side by side that overlap: no seam and no dark stripe */
  umedpt_heatmap_add_area (heatmap, 0, 0, 520, 512, 0xff0000, 0.5);
  umedpt_heatmap_add_area (heatmap, 512, 0, 512, 512, 0xff0000, 0.5);
  umedpt_heatmap_add_area (heatmap, 8000, 4000, 1000, 1000, 0x0000ff, 1);
  umedpt_heatmap_add_area (heatmap, 4000, 2000, 400, 400, 0x00ff00, 1);
  umedpt_heatmap_add_area (heatmap, 4100, 2100, 200, 200, 0xffffff, 0);
  umedpt_heatmap_add_point (heatmap, 40, 40, 0x00ff00);
  umedpt_heatmap_add_area (heatmap, 32, 32, 16, 16, 0x0000ff, 1);
  umedpt_heatmap_add_point (heatmap, 8191.9, 0, 0x123456);
  picture = read_back (fixture, heatmap);
  check_size (picture, 2048, 1024);
  for (gint x = 0; x < 256; x++)
    check_color (picture, x, 100, 0xff7f7f);
  check_color (picture, 256, 100, 0xffffff);
  check_color (picture, 100, 127, 0xff7f7f);
  check_color (picture, 100, 128, 0xffffff);
  check_color (picture, 1999, 1023, 0xffffff);
  check_color (picture, 2000, 1000, 0x0000ff);
  check_color (picture, 2047, 1023, 0x0000ff);
  check_color (picture, 1000, 500, 0x00ff00);
  check_color (picture, 1050, 550, 0xffffff);
  /* dots are above areas, whenever they come */
  check_color (picture, 10, 10, 0x00ff00);
  check_color (picture, 9, 11, 0x00ff00);
  check_color (picture, 8, 10, 0x0000ff);
  check_color (picture, 2047, 0, 0x123456);
  check_color (picture, 2046, 1, 0x123456);
  check_color (picture, 2045, 0, 0xffffff);
  cairo_surface_destroy (picture);
}

static void
test_mask (Folder *fixture, gconstpointer data)
{
  static const guint32 colors[] = { 0x000000, 0xff0000, 0x0000ff };
  static const guint8 mask[] = { 0, 1, 2, 255 };

  for (gint background = 0; background < 2; background++) {
    UmedptHeatmap *heatmap = open_heatmap (fixture, NULL, 400, 300);
    cairo_surface_t *picture;

    umedpt_heatmap_add_area (heatmap, 0, 0, 400, 300, 0x00ff00, 1);
    umedpt_heatmap_add_mask (heatmap, 100, 50, 200, 100, mask, 2, 2, background,
        colors, G_N_ELEMENTS (colors));
    /* partly outside; a class without a colour */
    umedpt_heatmap_add_mask (heatmap, 390, 290, 100, 100, (guint8[]){ 77 }, 1,
        1, background, colors, G_N_ELEMENTS (colors));
    picture = read_back (fixture, heatmap);
    check_size (picture, 400, 300);
    check_color (picture, 99, 50, 0x00ff00);
    check_color (picture, 100, 49, 0x00ff00);
    check_color (picture, 100, 50, background ? 0x00ff00 : 0x7f7f7f);
    check_color (picture, 199, 99, background ? 0x00ff00 : 0x7f7f7f);
    check_color (picture, 200, 50, 0xff7f7f);
    check_color (picture, 299, 99, 0xff7f7f);
    check_color (picture, 100, 100, 0x7f7fff);
    check_color (picture, 200, 100, 0x00ff00);
    check_color (picture, 300, 150, 0x00ff00);
    g_assert_cmpuint (color_at (picture, 399, 299), !=, 0x00ff00);
    cairo_surface_destroy (picture);
  }
}

static void
test_slide (Folder *fixture, gconstpointer data)
{
  UmedptSynthOptions options = UMEDPT_SYNTH_OPTIONS_INIT;
  g_autofree char *slide_path =
      g_build_filename (g_get_tmp_dir (), "umedpt-heatmap-XXXXXX.tif", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptSlide) slide = NULL;
  g_autofree guint8 *rgb = g_malloc (2048 * 1536 * 3);
  UmedptHeatmap *heatmap;
  cairo_surface_t *picture;

  g_close (g_mkstemp (slide_path), NULL);
  options.width = 8192;
  options.height = 6144;
  g_assert_true (umedpt_synth_write (slide_path, NULL, &options, &error));
  slide = umedpt_slide_open (slide_path, &error);
  g_assert_no_error (error);
  g_assert_true (umedpt_slide_read (slide, 0, 0, 4, 2048, 1536, rgb, 2048 * 3,
      NULL, NULL, &error));

  heatmap = open_heatmap (fixture, slide_path, 8192, 6144);
  umedpt_heatmap_add_area (heatmap, 4096, 3072, 400, 400, 0xff00ff, 1);
  picture = read_back (fixture, heatmap);
  check_size (picture, 2048, 1536);
  for (gint y = 0; y < 1536; y += 7)
    for (gint x = 0; x < 2048; x += 7) {
      const guint8 *p = rgb + ((gsize) y * 2048 + (gsize) x) * 3;
      gboolean inside = x >= 1024 && x < 1124 && y >= 768 && y < 868;

      check_color (picture, x, y,
          inside ? 0xff00ff
                 : (guint32) p[0] << 16 | (guint32) p[1] << 8 | p[2]);
    }
  cairo_surface_destroy (picture);
  g_unlink (slide_path);

  /* no slide there any more: white */
  heatmap = open_heatmap (fixture, slide_path, 8192, 6144);
  picture = read_back (fixture, heatmap);
  check_size (picture, 2048, 1536);
  check_color (picture, 1000, 1000, 0xffffff);
  cairo_surface_destroy (picture);
}

static void
test_legend (Folder *fixture, gconstpointer data)
{
  UmedptHeatmap *heatmap = open_heatmap (fixture, NULL, 300, 200);
  cairo_surface_t *picture;
  guint dark = 0;

  umedpt_heatmap_add_legend (heatmap, "tumour", 0xff0000);
  umedpt_heatmap_add_legend (heatmap, "\377 broken \001", 0x00ff00);
  picture = read_back (fixture, heatmap);
  g_assert_cmpint (cairo_image_surface_get_width (picture), >, 300 + 60);
  g_assert_cmpint (cairo_image_surface_get_height (picture), ==, 200);
  check_color (picture, 317, 17, 0xff0000);
  check_color (picture, 317, 41, 0x00ff00);
  for (gint y = 10; y < 34; y++)
    for (gint x = 334; x < cairo_image_surface_get_width (picture); x++)
      dark += (color_at (picture, x, y) & 0xff) < 128;
  g_assert_cmpuint (dark, >, 20); /* there is text */
  cairo_surface_destroy (picture);

  /* more than fits beside the slide, and more than is drawn at all */
  heatmap = open_heatmap (fixture, NULL, 10, 10);
  for (guint i = 0; i < 5000; i++)
    umedpt_heatmap_add_legend (heatmap, i % 2 ? "" : "a", 0x0000ff);
  picture = read_back (fixture, heatmap);
  g_assert_cmpint (cairo_image_surface_get_height (picture), ==, 24020);
  check_color (picture, 27, 24000, 0x0000ff);
  cairo_surface_destroy (picture);
}

static void
test_odd (Folder *fixture, gconstpointer data)
{
  static const double odd[] = { NAN, INFINITY, -INFINITY, 1e300, -1e300, -5,
    0 };
  static const guint8 mask[] = { 1 };
  static const guint32 colors[] = { 0, 0x00ff00 };
  UmedptHeatmap *heatmap = open_heatmap (fixture, NULL, 100, 100);
  cairo_surface_t *picture;

  for (guint i = 0; i < G_N_ELEMENTS (odd); i++)
    for (guint j = 0; j < G_N_ELEMENTS (odd); j++) {
      umedpt_heatmap_add_area (heatmap, odd[i], 20, odd[j], 2, 0xff0000, 1);
      umedpt_heatmap_add_mask (heatmap, 20, odd[i], 2, odd[j], mask, 1, 1, TRUE,
          colors, 2);
      umedpt_heatmap_add_point (heatmap, odd[i], odd[j], 0x0000ff);
    }
  picture = read_back (fixture, heatmap);
  check_size (picture, 100, 100);
  check_color (picture, 50, 50, 0xffffff);
  check_color (picture, 0, 0, 0x0000ff); /* the only point that is inside */
  check_color (picture, 2, 2, 0xffffff);
  cairo_surface_destroy (picture);

  heatmap = open_heatmap (fixture, NULL, G_GINT64_CONSTANT (1) << 40, 1);
  umedpt_heatmap_add_area (heatmap, 0, -1e12, 1e11, 2e12, 0xff0000, 1);
  picture = read_back (fixture, heatmap);
  check_size (picture, 2048, 1);
  check_color (picture, 0, 0, 0xff0000);
  check_color (picture, 2047, 0, 0xffffff);
  cairo_surface_destroy (picture);
}

static void
test_refused (Folder *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptHeatmap) heatmap = NULL;

  g_assert_null (umedpt_heatmap_new (fixture->path, NULL, 0, 5, FALSE, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE);
  g_clear_error (&error);
  g_assert_null (umedpt_heatmap_new ("/nowhere/at/all.png", NULL, 5, 5, FALSE,
      &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_true (g_file_set_contents (fixture->path, "mine", -1, NULL));
  g_assert_null (umedpt_heatmap_new (fixture->path, NULL, 5, 5, FALSE, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_EXISTS);
  g_clear_error (&error);
  heatmap = umedpt_heatmap_new (fixture->path, NULL, 5, 5, TRUE, &error);
  g_assert_true (umedpt_heatmap_finish (heatmap, &error));
  g_assert_false (umedpt_heatmap_finish (heatmap, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_IO);
  g_assert_cmpuint (folder_count (fixture), ==, 1);
}

static void
test_full (Folder *fixture, gconstpointer data)
{
  struct rlimit old, now;
  guint n_failed = 0;

  signal (SIGXFSZ, SIG_IGN);
  getrlimit (RLIMIT_FSIZE, &old);
  now = old;
  for (now.rlim_cur = 1;; now.rlim_cur = now.rlim_cur * 2 + 1) {
    UmedptHeatmap *heatmap = open_heatmap (fixture, NULL, 1000, 1000);
    g_autoptr (GError) error = NULL;
    gboolean ok;

    setrlimit (RLIMIT_FSIZE, &now);
    ok = umedpt_heatmap_finish (heatmap, &error);
    setrlimit (RLIMIT_FSIZE, &old);
    umedpt_heatmap_free (heatmap);
    if (ok)
      break;
    g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_SPACE);
    g_assert_cmpuint (folder_count (fixture), ==, 0);
    n_failed++;
  }
  g_assert_cmpuint (n_failed, >, 5);
  g_assert_cmpuint (folder_count (fixture), ==, 1);
}

#define TEST(name, function) \
  g_test_add ("/heatmap/" name, Folder, NULL, set_up, function, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  TEST ("areas", test_areas);
  TEST ("mask", test_mask);
  TEST ("slide", test_slide);
  TEST ("legend", test_legend);
  TEST ("odd", test_odd);
  TEST ("refused", test_refused);
  TEST ("full", test_full);
  return g_test_run ();
}
