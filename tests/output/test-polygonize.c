/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Outlines of label images: filling them again must give the image back, pixel
 * by pixel, and their number, areas and holes must be those of a flood fill.
 * Rings must be simple: that is what programs which read them insist on.
 */
#include "output/polygonize.h"

#include <string.h>

#include "base/error.h"
#include "base/random.h"

typedef struct
{
  gint width, height;
  const guint8 *labels;
  double scale, x, y;
  guint8 *drawn;
  guint n_regions, n_holes;
  double area;
  double bottom; /* of the last region */
  gint fail_at; /* this many regions from now; -1: never */
} Image;

/* No vertex twice in a ring, only corners, and sides along the axes; the outer
 * ring goes clockwise, as y points down, and holes the other way. */
static void
check_ring (const UmedptPoint *p, guint n, gboolean hole)
{
  g_autoptr (GHashTable) seen =
      g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);

  double area = 0;

  g_assert_cmpuint (n, >=, 4);
  g_assert_cmpuint (n % 2, ==, 0);
  for (guint i = 0; i < n; i++) {
    const UmedptPoint *a = &p[i], *b = &p[(i + 1) % n], *c = &p[(i + 2) % n];
    gint64 key = (gint64) (a->y * 0x100000000) + (gint64) a->x;

    g_assert_true ((a->x == b->x) != (a->y == b->y));
    g_assert_true ((a->x == b->x) == (b->y == c->y));
    g_assert_true (g_hash_table_add (seen, g_memdup2 (&key, sizeof key)));
    area += b->x * (b->y - a->y);
  }
  g_assert_true (hole ? area < 0 : area > 0);
}

static gboolean
on_region (guint8 value, UmedptPolygon *polygon, gpointer data, GError **error)
{
  Image *image = data;
  UmedptRaster raster = { image->x, image->y, image->scale, image->width,
    image->height };
  g_autofree guint8 *alone =
      g_malloc0 ((gsize) image->width * (gsize) image->height);
  guint start = 0;
  gsize n = 0;

  g_assert_cmpint (value, !=, 0);
  for (guint k = 0; k < polygon->ends->len; k++) {
    guint end = g_array_index (polygon->ends, guint, k);

    check_ring (&g_array_index (polygon->points, UmedptPoint, start),
        end - start, k > 0);
    start = end;
  }
  umedpt_polygon_fill (polygon, &raster, alone, 1, value);
  for (gsize i = 0; i < (gsize) image->width * image->height; i++)
    if (alone[i]) {
      g_assert_cmpint (image->drawn[i], ==, 0);
      image->drawn[i] = value;
      n++;
    }
  g_assert_cmpfloat (polygon->area, ==,
      (double) n * image->scale * image->scale);
  g_assert_cmpfloat (polygon->y2, >=, image->bottom);
  image->bottom = polygon->y2;
  image->n_regions++;
  image->n_holes += polygon->ends->len - 1;
  image->area += polygon->area;
  umedpt_polygon_free (polygon);
  if (image->fail_at-- == 0) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_SPACE, "full");
    return FALSE;
  }
  return TRUE;
}

static gboolean
trace (Image *image, GError **error)
{
  g_autoptr (UmedptPolygonizer) polygonizer =
      umedpt_polygonizer_new (image->width, image->x, image->y, image->scale,
          on_region, image);

  for (gint y = 0; y < image->height; y++)
    if (!umedpt_polygonizer_add_row (polygonizer,
            image->labels + (gsize) y * image->width, error))
      return FALSE;
  return umedpt_polygonizer_finish (polygonizer, error);
}

static void
flood (const Image *image, guint8 *seen, gint start)
{
  g_autoptr (GArray) stack = g_array_new (FALSE, FALSE, sizeof (gint));
  const gint w = image->width;

  seen[start] = 1;
  g_array_append_val (stack, start);
  while (stack->len > 0) {
    gint i = g_array_index (stack, gint, stack->len - 1);
    const gint next[4] = { i % w > 0 ? i - 1 : -1, i % w < w - 1 ? i + 1 : -1,
      i - w, i + w < w * image->height ? i + w : -1 };

    g_array_set_size (stack, stack->len - 1);
    for (guint k = 0; k < 4; k++)
      if (next[k] >= 0 && !seen[next[k]] &&
          image->labels[next[k]] == image->labels[i]) {
        seen[next[k]] = 1;
        g_array_append_val (stack, next[k]);
      }
  }
}

static guint
count_regions (const Image *image)
{
  g_autofree guint8 *seen = g_malloc0 ((gsize) image->width * image->height);
  guint n = 0;

  for (gint i = 0; i < image->width * image->height; i++)
    if (image->labels[i] && !seen[i]) {
      flood (image, seen, i);
      n++;
    }
  return n;
}

static void
check (const guint8 *labels, gint width, gint height, double scale, double x,
    double y, guint *n_regions, guint *n_holes)
{
  g_autofree guint8 *drawn = g_malloc0 ((gsize) width * (gsize) height);
  g_autoptr (GError) error = NULL;
  Image image = { width, height, labels, scale, x, y, drawn, .bottom = -1e9,
    .fail_at = -1 };

  g_assert_true (trace (&image, &error));
  g_assert_no_error (error);
  g_assert_cmpmem (drawn, (gsize) width * height, labels,
      (gsize) width * height);
  g_assert_cmpuint (image.n_regions, ==, count_regions (&image));
  if (n_regions)
    *n_regions = image.n_regions;
  if (n_holes)
    *n_holes = image.n_holes;
}

/* A picture in which '.' is 0. */
static void
check_picture (const char *picture, guint regions, guint holes)
{
  g_auto (GStrv) lines = g_strsplit (picture, "\n", -1);
  const gint width = (gint) strlen (lines[0]);
  const gint height = (gint) g_strv_length (lines);
  g_autofree guint8 *labels = g_malloc0 ((gsize) width * (gsize) height);
  guint n_regions, n_holes;

  for (gint y = 0; y < height; y++)
    for (gint x = 0; x < width; x++)
      labels[y * width + x] =
          lines[y][x] == '.' ? 0 : (guint8) (lines[y][x] - '0');
  check (labels, width, height, 1, 0, 0, &n_regions, &n_holes);
  g_assert_cmpuint (n_regions, ==, regions);
  g_assert_cmpuint (n_holes, ==, holes);
}

static void
test_shapes (void)
{
  check_picture ("1", 1, 0);
  check_picture (".", 0, 0);
  check_picture ("1221", 3, 0);
  check_picture ("1\n2\n2\n.", 2, 0);
  check_picture ("111\n1.1\n111", 1, 1);
  check_picture ("111\n121\n111", 2, 1);
  /* rings in rings */
  check_picture ("11111\n1...1\n1.1.1\n1...1\n11111", 2, 1);
  check_picture (
      "1111111\n1.....1\n1.222.1\n1.2.2.1\n1.222.1\n1.....1\n1111111", 2, 2);
  /* U, and arches that meet, and part of which end earlier */
  check_picture ("1.1\n1.1\n111", 1, 0);
  check_picture ("111\n1.1\n1.1", 1, 0);
  check_picture ("11111\n1.1.1\n1.1..\n111..", 1, 1);
  check_picture ("1.1.1\n1.1.1\n11111", 1, 0);
  /* a comb whose teeth join from both ends */
  check_picture ("1.1.1.1\n111.111\n..1.1..\n..111..", 1, 0);
}

static void
test_corners (void)
{
  /* by a corner only: two regions */
  check_picture ("1.\n.1", 2, 0);
  check_picture (".1\n1.", 2, 0);
  check_picture ("12\n21", 4, 0);
  check_picture ("1.1\n.1.\n1.1", 5, 0);
  /* a hole that touches the outside by a corner is one all the same */
  check_picture ("11.\n1.1\n111", 1, 1);
  check_picture (".11\n1.1\n111", 1, 1);
  check_picture ("111\n1.1\n11.", 1, 1);
  check_picture ("111\n1.1\n.11", 1, 1);
  check_picture (".11.\n1..1\n1..1\n1111", 2, 0);
  /* two holes that touch each other, at a corner that is joined below */
  check_picture ("1111\n1.11\n11.1\n1111", 1, 2);
  check_picture ("1111\n11.1\n1.11\n1111", 1, 2);
  /* holes in a chain, which touches the outside at both ends */
  check_picture ("11111\n1.111\n11.11\n111.1\n1111.", 1, 3);
}

static void
test_checkerboard (void)
{
  enum
  {
    SIDE = 33
  };
  guint8 labels[SIDE * SIDE];
  guint n_regions, n_holes;

  for (guint i = 0; i < SIDE * SIDE; i++)
    labels[i] = i % 2;
  check (labels, SIDE, SIDE, 1, 0, 0, &n_regions, &n_holes);
  g_assert_cmpuint (n_regions, ==, SIDE * SIDE / 2);
  for (guint i = 0; i < SIDE * SIDE; i++)
    labels[i] = 1 + i % 2;
  check (labels, SIDE, SIDE, 1, 0, 0, &n_regions, &n_holes);
  g_assert_cmpuint (n_regions, ==, SIDE * SIDE);
  g_assert_cmpuint (n_holes, ==, 0);
  /* a net: every second pixel of every second row is a hole */
  for (guint i = 0; i < SIDE * SIDE; i++)
    labels[i] = !(i / SIDE % 2 && i % SIDE % 2);
  check (labels, SIDE, SIDE, 1, 0, 0, &n_regions, &n_holes);
  g_assert_cmpuint (n_regions, ==, 1);
  g_assert_cmpuint (n_holes, ==, (SIDE / 2) * (SIDE / 2));
}

static void
test_random (void)
{
  UmedptRandom random;

  umedpt_random_init (&random, 7);
  for (guint round = 0; round < 400; round++) {
    gint width = 1 + (gint) umedpt_random_below (&random, 40);
    gint height = 1 + (gint) umedpt_random_below (&random, 40);
    guint64 values = 2 + umedpt_random_below (&random, 3);
    guint64 stay = umedpt_random_below (&random, 10); /* of ten */
    g_autofree guint8 *labels = g_malloc0 ((gsize) width * (gsize) height);

    /* blotches: a pixel is often like its left or upper neighbour */
    for (gint i = 0; i < width * height; i++) {
      guint8 value = (guint8) umedpt_random_below (&random, values);

      if (umedpt_random_below (&random, 10) < stay && i >= width)
        value = labels[umedpt_random_below (&random, 2) ? i - 1 : i - width];
      labels[i] = value;
    }
    check (labels, width, height, 4, -128, 1e6, NULL, NULL);
  }
}

/* Whole words and what is left of them; equal rows. */
static void
test_wide (void)
{
  UmedptRandom random;

  umedpt_random_init (&random, 11);
  for (guint round = 0; round < 50; round++) {
    gint width = 500 + (gint) umedpt_random_below (&random, 40), height = 20;
    g_autofree guint8 *labels = g_malloc0 ((gsize) width * (gsize) height);

    for (guint k = 0; k < 12; k++) {
      gint x = (gint) umedpt_random_below (&random, (guint64) width);
      gint n = (gint) umedpt_random_below (&random, (guint64) (width - x)) + 1;
      gint y = (gint) umedpt_random_below (&random, (guint64) height);

      for (gint j = y; j < height && j < y + 6; j++)
        memset (labels + (gsize) j * width + x, (gint) (k * 23 % 256),
            (gsize) n);
    }
    check (labels, width, height, 1, 0, 0, NULL, NULL);
  }
}

static void
test_error (void)
{
  static const guint8 labels[] = { 1, 0, 2, 0, 3, 0, 0, 0, 0, 0, 4, 4, 4, 4,
    4 };
  guint8 drawn[15] = { 0 };
  g_autoptr (GError) error = NULL;
  Image image = { 5, 3, labels, 1, 0, 0, drawn, .bottom = -1, .fail_at = 1 };

  g_assert_false (trace (&image, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_SPACE);
  g_assert_cmpuint (image.n_regions, ==, 2);
  g_clear_error (&error);
  /* the region that only finish() completes */
  memset (drawn, 0, sizeof drawn);
  image.fail_at = 3;
  g_assert_false (trace (&image, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_SPACE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/polygonize/shapes", test_shapes);
  g_test_add_func ("/polygonize/corners", test_corners);
  g_test_add_func ("/polygonize/checkerboard", test_checkerboard);
  g_test_add_func ("/polygonize/random", test_random);
  g_test_add_func ("/polygonize/wide", test_wide);
  g_test_add_func ("/polygonize/error", test_error);
  return g_test_run ();
}
