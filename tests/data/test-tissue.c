/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The tissue mask: Otsu's threshold and its guards against inventing or
 * halving tissue, the area found against the truth of a synthetic slide, the
 * integral image against counting, specks, holes and damage.
 */
#include "fixture.h"

#include <math.h>
#include <string.h>

#include "data/synth-scene.h"
#include "data/tissue.h"

static void
test_threshold (void)
{
  guint64 h[256] = { 0 };

  g_assert_cmpuint (umedpt_tissue_threshold (h), ==, 13); /* nothing at all */
  h[0] = 1000;
  g_assert_cmpuint (umedpt_tissue_threshold (h), ==, 13); /* one value */
  for (guint i = 0; i < 10; i++)
    h[i] = 1000 - i * 50;
  g_assert_cmpuint (umedpt_tissue_threshold (h), ==, 13); /* noise on glass */
  for (guint i = 0; i < 10; i++)
    h[90 + i] = 700;
  /* two hills: anywhere between them parts them */
  g_assert_cmpuint (umedpt_tissue_threshold (h), >=, 13);
  g_assert_cmpuint (umedpt_tissue_threshold (h), <, 90);
  memset (h, 0, sizeof h);
  for (guint i = 60; i < 160; i++)
    h[i] = 500;
  g_assert_cmpuint (umedpt_tissue_threshold (h), ==, 13); /* tissue only */
}

/* A PNG of one colour with rectangles of another. */
static UmedptTissueMask *
mask_of (gint w, gint h, guint32 ground, guint32 colour, gint n,
    const gint boxes[][4])
{
  g_autofree guint8 *rgba = g_malloc ((gsize) w * h * 4);
  g_autofree char *path = fixture_path ("mask.png");
  g_autoptr (UmedptSlide) slide = NULL;
  g_autoptr (GError) error = NULL;
  UmedptTissueMask *mask;

  for (gint y = 0; y < h; y++)
    for (gint x = 0; x < w; x++) {
      guint32 c = ground;

      for (gint i = 0; i < n; i++)
        if (x >= boxes[i][0] && y >= boxes[i][1] &&
            x < boxes[i][0] + boxes[i][2] && y < boxes[i][1] + boxes[i][3])
          c = colour;
      for (gint k = 0; k < 4; k++)
        rgba[((gsize) y * w + x) * 4 + k] = (guint8) (c >> (24 - 8 * k));
    }
  fixture_write_png (path, w, h, rgba);
  slide = fixture_open (path);
  mask = umedpt_tissue_mask_new (slide, 0, &error);
  g_assert_no_error (error);
  return mask;
}

#define WHITE 0xf4f3f5ffu
#define PINK 0xe09ec4ffu
#define CLEAR 0x00000000u

static void
test_uniform (void)
{
  g_autoptr (UmedptTissueMask) white = mask_of (300, 200, WHITE, 0, 0, NULL);
  g_autoptr (UmedptTissueMask) clear = mask_of (300, 200, CLEAR, 0, 0, NULL);
  g_autoptr (UmedptTissueMask) pink = mask_of (300, 200, PINK, 0, 0, NULL);

  g_assert_cmpfloat (umedpt_tissue_mask_fraction (white, 0, 0, 300, 200), ==,
      0);
  g_assert_cmpfloat (umedpt_tissue_mask_fraction (clear, 0, 0, 300, 200), ==,
      0);
  g_assert_cmpfloat (umedpt_tissue_mask_fraction (pink, 0, 0, 300, 200), ==, 1);
}

static void
test_specks (void)
{
  static const gint boxes[][4] = { { 100, 50, 80, 60 }, { 20, 20, 2, 3 },
    { 250, 150, 1, 1 } };
  g_autoptr (UmedptTissueMask) mask = mask_of (300, 200, WHITE, PINK, 3, boxes);
  g_autoptr (UmedptTissueMask) holes =
      mask_of (300, 200, CLEAR, PINK, 1, boxes);

  g_assert_cmpfloat (umedpt_tissue_mask_fraction (mask, 10, 10, 30, 30), ==, 0);
  g_assert_cmpfloat (umedpt_tissue_mask_fraction (mask, 240, 140, 30, 30), ==,
      0);
  g_assert_cmpfloat (umedpt_tissue_mask_fraction (mask, 110, 60, 20, 20), ==,
      1);
  g_assert_cmpfloat_with_epsilon (umedpt_tissue_mask_fraction (mask, 90, 60, 20,
                                      20),
      0.5, 1e-9);
  g_assert_cmpfloat_with_epsilon (umedpt_tissue_mask_fraction (mask, 90.5,
                                      60.25, 20, 20),
      0.525, 1e-9);
  /* transparent is not tissue, though it is stored as black */
  g_assert_cmpfloat (umedpt_tissue_mask_fraction (holes, 0, 0, 100, 50), ==, 0);
  g_assert_cmpfloat (umedpt_tissue_mask_fraction (holes, 110, 60, 20, 20), ==,
      1);
  /* outside the slide there is none */
  g_assert_cmpfloat (umedpt_tissue_mask_fraction (mask, -500, -500, 100, 100),
      ==, 0);
}

static void
test_fraction (void)
{
  static const gint boxes[][4] = { { 13, 50, 80, 60 }, { 120, 90, 101, 77 },
    { 200, 10, 40, 90 } };
  g_autoptr (UmedptTissueMask) mask = mask_of (300, 200, WHITE, PINK, 3, boxes);
  gint w, h;
  const guint8 *pixels = umedpt_tissue_mask_get_pixels (mask, &w, &h);

  g_assert_cmpfloat (umedpt_tissue_mask_get_downsample (mask), ==, 1);
  for (gint y = -10; y < 200; y += 17)
    for (gint x = -10; x < 300; x += 13) {
      gint n = 0;

      for (gint j = MAX (y, 0); j < MIN (y + 31, h); j++)
        for (gint i = MAX (x, 0); i < MIN (x + 29, w); i++)
          n += pixels[(gsize) j * w + i];
      g_assert_cmpfloat_with_epsilon (umedpt_tissue_mask_fraction (mask, x, y,
                                          29, 31),
          n / (29.0 * 31.0), 1e-9);
    }
}

static UmedptSynthOptions
synth_options (void)
{
  UmedptSynthOptions options = UMEDPT_SYNTH_OPTIONS_INIT;

  options.width = 6000;
  options.height = 4000;
  options.seed = 5;
  return options;
}

/* The area found is that of the islands, which is known in closed form. */
static void
test_area (void)
{
  UmedptSynthOptions options = synth_options ();
  g_autofree char *path = fixture_write_synth ("area.tiff", &options);
  g_autoptr (UmedptSlide) slide = fixture_open (path);
  g_autoptr (UmedptSynthScene) scene = umedpt_synth_scene_new (&options, NULL);
  g_autoptr (UmedptTissueMask) mask =
      umedpt_tissue_mask_new (slide, 0.25, NULL);
  double want = 0, found;

  for (guint i = 0; i < scene->islands->len; i++)
    want += umedpt_synth_island_area (&g_array_index (scene->islands,
        UmedptSynthIsland, i));
  found = umedpt_tissue_mask_fraction (mask, 0, 0, 6000, 4000) * 6000 * 4000;
  g_test_message ("area %.0f, found %.0f, at a downsample of %g, threshold %u",
      want, found, umedpt_tissue_mask_get_downsample (mask),
      umedpt_tissue_mask_get_threshold (mask));
  g_assert_cmpfloat (fabs (found / want - 1), <, 0.02);
}

/* What cannot be read counts as tissue, so that its tiles are reported; the
 * rest of the mask is as it was. */
static void
test_damage (void)
{
  UmedptSynthOptions options = synth_options ();
  g_autofree char *path = NULL;
  g_autoptr (UmedptSlide) slide = NULL;
  g_autoptr (UmedptTissueMask) before = NULL, after = NULL;

  options.width = options.height = 500; /* one level */
  path = fixture_write_synth ("damage.tiff", &options);
  slide = fixture_open (path);
  before = umedpt_tissue_mask_new (slide, 0, NULL);
  g_clear_object (&slide);
  fixture_damage (path, 0, 1, 0);
  slide = fixture_open (path);
  after = umedpt_tissue_mask_new (slide, 0, NULL);
  g_assert_cmpfloat (umedpt_tissue_mask_fraction (after, 260, 4, 230, 230), ==,
      1);
  g_assert_cmpfloat (umedpt_tissue_mask_fraction (after, 0, 260, 250, 240), ==,
      umedpt_tissue_mask_fraction (before, 0, 260, 250, 240));
}

int
main (int argc, char **argv)
{
  int status;

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tissue/threshold", test_threshold);
  g_test_add_func ("/tissue/uniform", test_uniform);
  g_test_add_func ("/tissue/specks", test_specks);
  g_test_add_func ("/tissue/fraction", test_fraction);
  g_test_add_func ("/tissue/area", test_area);
  g_test_add_func ("/tissue/damage", test_damage);
  status = g_test_run ();
  fixture_remove ();
  return status;
}
