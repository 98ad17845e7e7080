/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Unions and areas of outlines: of pixel masks, pixel by pixel, and of stars,
 * whose sides cross at any angle.
 */
#include <math.h>

#include "base/random.h"
#include "output/objects-private.h"
#include "output/polygonize.h"

/* All regions of a noisy mask, as one outline. */
static gboolean
gather (guint8 value, UmedptPolygon *polygon, gpointer data, GError **error)
{
  UmedptPolygon *all = data;
  guint before = all->points->len;

  g_array_append_vals (all->points, polygon->points->data,
      polygon->points->len);
  for (guint r = 0; r < polygon->ends->len; r++) {
    guint end = before + g_array_index (polygon->ends, guint, r);

    g_array_append_val (all->ends, end);
  }
  all->area += polygon->area;
  umedpt_polygon_free (polygon);
  return TRUE;
}

#define NOISE 40 /* pixels */

static UmedptPolygon *
make_noise (UmedptRandom *random, guint8 *mask, double scale)
{
  UmedptPolygon *outline = umedpt_polygon_new ();
  g_autoptr (UmedptPolygonizer) polygonizer =
      umedpt_polygonizer_new (NOISE, 3, 5, scale, gather, outline);

  for (guint j = 0; j < NOISE; j++) {
    for (guint i = 0; i < NOISE; i++)
      mask[j * NOISE + i] = umedpt_random_below (random, 5) < 2;
    g_assert_true (umedpt_polygonizer_add_row (polygonizer, mask + j * NOISE,
        NULL));
  }
  g_assert_true (umedpt_polygonizer_finish (polygonizer, NULL));
  g_assert_true (umedpt_polygon_finish (outline));
  return outline;
}

/* No corner twice in a ring, and the areas of all with their signs make up the
 * outline's. */
static void
check_rings (const UmedptPolygon *outline)
{
  double area = 0;
  guint start = 0;

  for (guint r = 0; r < outline->ends->len; r++) {
    guint end = g_array_index (outline->ends, guint, r), n = end - start;
    const UmedptPoint *p = &g_array_index (outline->points, UmedptPoint, start);

    g_assert_cmpuint (n, >=, 3);
    for (guint i = 0; i < n; i++) {
      const UmedptPoint *q = &p[(i + 1) % n];

      area += ((p[i].x - p[0].x) * (q->y - p[0].y) -
                  (q->x - p[0].x) * (p[i].y - p[0].y)) /
          2;
      for (guint j = i + 1; j < n; j++)
        g_assert_true (p[i].x != p[j].x || p[i].y != p[j].y);
    }
    start = end;
  }
  g_assert_cmpfloat_with_epsilon (area, outline->area, 1e-6);
}

static void
free_outline (gpointer data)
{
  umedpt_polygon_free (data);
}

/* Unions of pixel masks, pixel by pixel; the areas of two and their
 * intersection. */
static void
test_pixels (void)
{
  UmedptRandom random;

  umedpt_random_init (&random, 17);
  for (guint run = 0; run < 60; run++) {
    const double scale = run % 2 ? 1 : 0.7;
    const UmedptRaster raster = { 3, 5, scale, NOISE, NOISE };
    const UmedptRect zone = { 3 + 5 * scale, 5 + 7 * scale, 3 + 30 * scale,
      5 + 33 * scale };
    g_autoptr (GPtrArray) outlines =
        g_ptr_array_new_with_free_func (free_outline);
    g_autoptr (UmedptPolygon) all = NULL;
    guint8 masks[3][NOISE * NOISE], drawn[NOISE * NOISE] = { 0 };
    double areas[3], counts[3] = { 0, 0, 0 }, n = 0;

    for (guint k = 0; k < 3; k++)
      g_ptr_array_add (outlines, make_noise (&random, masks[k], scale));
    all = umedpt_outlines_unite (outlines);
    check_rings (all);
    umedpt_polygon_fill (all, &raster, drawn, 1, 1);
    umedpt_outlines_measure (outlines->pdata[0], outlines->pdata[1], &zone,
        &areas[0], &areas[1], &areas[2]);
    for (guint i = 0; i < NOISE * NOISE; i++) {
      gboolean a = masks[0][i], b = masks[1][i], within;

      g_assert_cmpuint (drawn[i], ==, a || b || masks[2][i]);
      n += drawn[i];
      within =
          i % NOISE >= 5 && i % NOISE < 30 && i / NOISE >= 7 && i / NOISE < 33;
      counts[0] += within && a;
      counts[1] += within && b;
      counts[2] += within && a && b;
    }
    g_assert_cmpfloat_with_epsilon (all->area, n * scale * scale, 1e-6);
    for (guint k = 0; k < 3; k++)
      g_assert_cmpfloat_with_epsilon (areas[k], counts[k] * scale * scale,
          1e-6);
  }
}

/* A star about (50, 50), more or less. */
static UmedptPolygon *
make_star (UmedptRandom *random)
{
  UmedptPolygon *outline = umedpt_polygon_new ();
  const double x = 40 + 20 * umedpt_random_uniform (random);
  const double y = 40 + 20 * umedpt_random_uniform (random);

  for (guint i = 0; i < 24; i++) {
    double r = 5 + 30 * umedpt_random_uniform (random);

    umedpt_polygon_add_point (outline, x + r * cos (i * G_PI / 12),
        y + r * sin (i * G_PI / 12));
  }
  umedpt_polygon_end_ring (outline, FALSE);
  g_assert_true (umedpt_polygon_finish (outline));
  return outline;
}

/* Outlines that cross at any angle: the union holds what one of them holds,
 * and areas add up. */
static void
test_stars (void)
{
  const UmedptRect zone = { 0, 0, 100, 100 };
  UmedptRandom random;

  umedpt_random_init (&random, 23);
  for (guint run = 0; run < 200; run++) {
    g_autoptr (GPtrArray) outlines =
        g_ptr_array_new_with_free_func (free_outline);
    g_autoptr (UmedptPolygon) all = NULL;
    const UmedptPolygon *a, *b;
    double area_a, area_b, shared;

    g_ptr_array_add (outlines, make_star (&random));
    g_ptr_array_add (outlines, make_star (&random));
    a = outlines->pdata[0];
    b = outlines->pdata[1];
    all = umedpt_outlines_unite (outlines);
    check_rings (all);
    umedpt_outlines_measure (a, b, &zone, &area_a, &area_b, &shared);
    g_assert_cmpfloat_with_epsilon (area_a, a->area, 1e-6);
    g_assert_cmpfloat_with_epsilon (area_b, b->area, 1e-6);
    g_assert_cmpfloat_with_epsilon (all->area, area_a + area_b - shared, 1e-4);
    for (guint i = 0; i < 1000; i++) {
      double x = 100 * umedpt_random_uniform (&random);
      double y = 100 * umedpt_random_uniform (&random);

      g_assert_true (umedpt_polygon_contains (all, x, y) ==
          (umedpt_polygon_contains (a, x, y) ||
              umedpt_polygon_contains (b, x, y)));
    }
  }
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/objects-outline/pixels", test_pixels);
  g_test_add_func ("/objects-outline/stars", test_stars);
  return g_test_run ();
}
