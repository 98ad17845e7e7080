/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Pictures in parts: they are covered, evenly and with the overlap that was
 * asked for; boxes that seams have cut become one again; masks have no seams.
 */
#include <glib.h>
#include <math.h>
#include <string.h>

#include "infer/regions.h"

/* --- tiles -------------------------------------------------------------- */

/* The positions along x of tiles of a picture as high as a tile. */
static void
check_axis (gint size, gint side, gint overlap)
{
  g_autoptr (GArray) tiles = umedpt_regions_tile (size, side, side, overlap);
  const gint wanted = CLAMP (overlap, 0, side / 2);
  gint end = 0, least = G_MAXINT, most = 0;

  for (guint i = 0; i < tiles->len; i++) {
    const UmedptRegion *tile = &g_array_index (tiles, UmedptRegion, i);
    const gint step = i ? tile->x - tile[-1].x : 0;

    g_assert_cmpint (tile->width, ==, MIN (side, size));
    g_assert_cmpint (tile->height, ==, side);
    g_assert_cmpint (tile->y, ==, 0);
    if (i == 0)
      g_assert_cmpint (tile->x, ==, 0);
    else
      g_assert_cmpint (end - tile->x, >=, wanted);
    if (i + 1 < tiles->len && side > 2)
      g_assert_cmpint (tile->x % 2, ==, 0);
    end = tile->x + tile->width;
    if (i > 0) {
      least = MIN (least, step);
      most = MAX (most, step);
    }
  }
  g_assert_cmpint (end, ==, size);
  /* evenly, and no more of them than needed */
  if (tiles->len > 1) {
    const gint step = MAX ((side - wanted) & ~1, 1);
    g_assert_cmpint (most - least, <=, 4);
    g_assert_cmpint ((gint) tiles->len, ==,
        (size - side + step - 1) / step + 1);
  } else {
    g_assert_cmpint (size, <=, side);
  }
}

static void
test_tiles (void)
{
  for (gint size = 1; size <= 300; size += size < 80 ? 1 : 7)
    for (gint side = 1; side <= 70; side += side < 8 ? 1 : 9)
      for (gint overlap = 0; overlap <= 80; overlap += overlap < 4 ? 1 : 11)
        check_axis (size, side, overlap);
  check_axis (16384, 256, 32);
  check_axis (G_MAXINT, 1 << 24, 1 << 20);
}

/* Row by row, every pixel in at least one. */
static void
test_grid (void)
{
  g_autoptr (GArray) tiles = umedpt_regions_tile (150, 90, 64, 16);
  g_autofree guint8 *seen = g_new0 (guint8, 150 * 90);
  const UmedptRegion *last = NULL;

  g_assert_cmpuint (tiles->len, ==, 3 * 2);
  for (guint i = 0; i < tiles->len; i++) {
    const UmedptRegion *tile = &g_array_index (tiles, UmedptRegion, i);

    if (last)
      g_assert_true (tile->y > last->y ||
          (tile->y == last->y && tile->x > last->x));
    last = tile;
    for (gint y = 0; y < tile->height; y++)
      memset (seen + (tile->y + y) * 150 + tile->x, 1, (gsize) tile->width);
  }
  g_assert_null (memchr (seen, 0, 150 * 90));
}

/* --- boxes -------------------------------------------------------------- */

static void
add (GArray *all, const UmedptRegion *region, UmedptBox box)
{
  g_autoptr (GArray) boxes = g_array_new (FALSE, FALSE, sizeof (UmedptBox));

  g_array_append_val (boxes, box);
  /* the network sees regions at half their size */
  umedpt_regions_add_boxes (all, region, 150, 64, region->width / 2,
      region->height / 2, boxes);
}

static void
test_boxes (void)
{
  const UmedptRegion left = { 0, 0, 100, 64 }, right = { 50, 0, 100, 64 };
  g_autoptr (GArray) all = g_array_new (FALSE, FALSE, sizeof (UmedptRegionBox));
  g_autoptr (GArray) merged = NULL;
  const UmedptBox *box = NULL;

  /* whole in both, the right one better */
  add (all, &left, (UmedptBox){ 30, 5, 40, 15, 0, 0.6f });
  add (all, &right, (UmedptBox){ 5, 5, 15, 15, 0, 0.7f });
  /* cut by the end of the left one, whole in the right one; the cut one has the
   * better score */
  add (all, &left, (UmedptBox){ 40, 20, 50, 30, 1, 0.9f });
  add (all, &right, (UmedptBox){ 15, 20, 45, 30, 1, 0.5f });
  /* at the picture's own sides nothing is cut */
  add (all, &left, (UmedptBox){ 0, 0, 5, 5, 0, 0.3f });
  add (all, &right, (UmedptBox){ 45, 0, 50, 5, 0, 0.2f });
  /* the same place, another class */
  add (all, &left, (UmedptBox){ 30, 5, 40, 15, 1, 0.4f });

  for (guint i = 0; i < all->len; i++)
    g_assert_cmpint (g_array_index (all, UmedptRegionBox, i).cut, ==, i == 2);
  merged = umedpt_regions_merge_boxes (all, 0.5, 100);
  g_assert_cmpuint (merged->len, ==, 5);
  for (guint i = 1; i < merged->len; i++)
    g_assert_cmpfloat (g_array_index (merged, UmedptBox, i).score, <=,
        g_array_index (merged, UmedptBox, i - 1).score);
  box = &g_array_index (merged, UmedptBox, 0);
  g_assert_cmpfloat (box->score, ==, 0.7f);
  g_assert_cmpfloat (box->x1, ==, 60);
  g_assert_cmpfloat (box->x2, ==, 80);
  g_assert_cmpfloat (box->y1, ==, 10);
  g_assert_cmpfloat (box->y2, ==, 30);
  box = &g_array_index (merged, UmedptBox, 1);
  g_assert_cmpint (box->label, ==, 1);
  g_assert_cmpfloat (box->x1, ==, 80);
  g_assert_cmpfloat (box->x2, ==, 140);

  g_clear_pointer (&merged, g_array_unref);
  merged = umedpt_regions_merge_boxes (all, 0.5, 2);
  g_assert_cmpuint (merged->len, ==, 2);
  g_assert_cmpfloat (g_array_index (merged, UmedptBox, 1).score, ==, 0.5f);
}

/* --- masks -------------------------------------------------------------- */

/* Probabilities of @n pixels, @p for class 0. (transfer full) */
static gfloat *
constant (gint n, gfloat p)
{
  gfloat *values = g_new (gfloat, 2 * n);

  for (gint i = 0; i < n; i++) {
    values[2 * i] = p;
    values[2 * i + 1] = 1 - p;
  }
  return values;
}

/* Regions of different size that say the same; what none says is undecided. */
static void
test_constant (void)
{
  const UmedptRegion regions[] = { { 0, 0, 40, 31 }, { 17, 0, 30, 31 },
    { 45, 0, 10, 31 } };
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptCanvas) canvas = umedpt_canvas_new (61, 31, 2, &error);
  g_autofree gfloat *values = constant (16 * 16, 0.25f);
  gint width = 0, height = 0;
  guint8 mask[31 * 16 * 2];

  g_assert_no_error (error);
  umedpt_canvas_get_size (canvas, &width, &height);
  g_assert_cmpint (width, ==, 31);
  g_assert_cmpint (height, ==, 16);
  umedpt_canvas_decide (canvas, FALSE, 0, mask);
  for (gint i = 0; i < 31 * 16; i++)
    g_assert_cmpuint (mask[i], ==, UMEDPT_IGNORE_PIXEL);
  for (guint i = 0; i < G_N_ELEMENTS (regions); i++)
    umedpt_canvas_add (canvas, &regions[i], 16, 16, values);
  umedpt_canvas_decide (canvas, FALSE, 0.7, mask);
  for (gint i = 0; i < 31 * 16; i++)
    g_assert_cmpuint (mask[i], ==, i % 31 < 28 ? 1 : UMEDPT_IGNORE_PIXEL);
  umedpt_canvas_decide (canvas, FALSE, 0.8, mask);
  for (gint i = 0; i < 31 * 16; i++)
    g_assert_cmpuint (mask[i], ==, UMEDPT_IGNORE_PIXEL);
  umedpt_canvas_decide (canvas, TRUE, 0.2, mask);
  for (gint i = 0; i < 31 * 16; i++) {
    g_assert_cmpuint (mask[2 * i], ==, i % 31 < 28);
    g_assert_cmpuint (mask[2 * i + 1], ==, i % 31 < 28);
  }
}

/* Where two disagree, each wins on its own side, and the change is halfway. */
static void
test_blend (void)
{
  const UmedptRegion left = { 0, 0, 64, 8 }, right = { 32, 0, 64, 8 };
  g_autoptr (UmedptCanvas) canvas = umedpt_canvas_new (96, 8, 2, NULL);
  g_autofree gfloat *zero = constant (32 * 4, 0.9f);
  g_autofree gfloat *one = constant (32 * 4, 0.1f);
  guint8 mask[48 * 4];

  umedpt_canvas_add (canvas, &left, 32, 4, zero);
  umedpt_canvas_add (canvas, &right, 32, 4, one);
  umedpt_canvas_decide (canvas, FALSE, 0, mask);
  for (gint i = 0; i < 48 * 4; i++)
    g_assert_cmpuint (mask[i], ==, i % 48 >= 24);
}

/* A single region is what it was: pixel for pixel, at odd places as well. */
static void
test_single (void)
{
  const UmedptRegion region = { 6, 4, 32, 16 };
  g_autoptr (UmedptCanvas) canvas = umedpt_canvas_new (50, 30, 2, NULL);
  g_autofree gfloat *values = g_new (gfloat, 16 * 8 * 2);
  guint8 mask[25 * 15];

  for (gint i = 0; i < 16 * 8; i++) {
    values[2 * i] = i * 7 % 5 < 2 ? 0.8f : 0.3f;
    values[2 * i + 1] = 1 - values[2 * i];
  }
  umedpt_canvas_add (canvas, &region, 16, 8, values);
  umedpt_canvas_decide (canvas, FALSE, 0, mask);
  for (gint y = 0; y < 15; y++)
    for (gint x = 0; x < 25; x++) {
      const gint i = (y - 2) * 16 + x - 3;
      const gboolean in = x >= 3 && x < 19 && y >= 2 && y < 10;
      g_assert_cmpuint (mask[y * 25 + x], ==,
          in ? (i * 7 % 5 < 2 ? 0 : 1) : UMEDPT_IGNORE_PIXEL);
    }
}

/* Regions anywhere in the picture stay inside the canvas (for a sanitizer). */
static void
test_anywhere (void)
{
  g_autofree gfloat *values = constant (9 * 7, 0.75f);

  for (gint width = 1; width < 12; width++)
    for (gint x = 0; x < width; x++)
      for (gint w = 1; w <= width - x; w++) {
        const UmedptRegion region = { x, width - x - w, w, x + 1 };
        g_autoptr (UmedptCanvas) canvas =
            umedpt_canvas_new (width, width + 1, 2, NULL);
        guint8 mask[6 * 6];

        umedpt_canvas_add (canvas, &region, 9, 7, values);
        umedpt_canvas_decide (canvas, FALSE, 0.5, mask);
        g_assert_cmpuint (mask[region.y / 2 * ((width + 1) / 2) + x / 2], ==,
            0);
      }
}

static void
test_too_large (void)
{
  g_autoptr (GError) error = NULL;
  UmedptCanvas *canvas = umedpt_canvas_new (G_MAXINT, G_MAXINT, 255, &error);

  g_assert_null (canvas);
  g_assert_nonnull (error);
  g_assert_nonnull (strstr (error->message, "memory"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/regions/tiles", test_tiles);
  g_test_add_func ("/regions/grid", test_grid);
  g_test_add_func ("/regions/boxes", test_boxes);
  g_test_add_func ("/regions/constant", test_constant);
  g_test_add_func ("/regions/blend", test_blend);
  g_test_add_func ("/regions/single", test_single);
  g_test_add_func ("/regions/anywhere", test_anywhere);
  g_test_add_func ("/regions/too-large", test_too_large);
  return g_test_run ();
}
