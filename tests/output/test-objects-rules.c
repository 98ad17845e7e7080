/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Which of two tiles' findings stays: two tiles side by side, and what must
 * come of each case by the rules.
 */
#include "output/objects.h"

#include <math.h>

#include "base/error.h"
#include "collected.h"

/* Two tiles side by side, 100 wide, that share @overlap. */
typedef struct
{
  UmedptObjectMerger *merger;
  UmedptObjectTile tiles[2];
  GArray *objects[2];
  Collected result;
} Pair;

static void
pair_init (Pair *pair, double overlap)
{
  collected_init (&pair->result);
  pair->merger = umedpt_object_merger_new (UMEDPT_OBJECTS_MIN_OVERLAP,
      collected_add, &pair->result);
  for (guint i = 0; i < 2; i++) {
    double x = i * (100 - overlap);

    pair->tiles[i] = (UmedptObjectTile){ x, 0, x + 100, 100,
      x + (i ? overlap / 2 : 0), 0, x + 100 - (i ? 0 : overlap / 2), 100 };
    pair->objects[i] = g_array_new (FALSE, FALSE, sizeof (UmedptObject));
  }
}

static void
pair_add (Pair *pair, guint tile, gint label, gfloat score, double x1,
    double y1, double x2, double y2)
{
  UmedptObject object = { 0, label, score, x1, y1, x2, y2,
    (x2 - x1) * (y2 - y1), NULL };

  g_array_append_val (pair->objects[tile], object);
}

static void
pair_finish (Pair *pair, gboolean second)
{
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < 2; i++) {
    if (i == 0 || second)
      umedpt_object_merger_add_tile (pair->merger, &pair->tiles[i],
          pair->objects[i], &error);
    g_assert_no_error (error);
  }
  umedpt_object_merger_finish (pair->merger, &error);
  g_assert_no_error (error);
}

static void
pair_clear (Pair *pair)
{
  umedpt_object_merger_free (pair->merger);
  g_array_unref (pair->objects[0]);
  g_array_unref (pair->objects[1]);
  collected_clear (&pair->result);
}

/* The overlap is 60 … 100, the cores meet at 80. */
static void
test_owner (void)
{
  Pair pair;

  /* seen by both: the owner's, though its score is lower */
  pair_init (&pair, 40);
  pair_add (&pair, 0, 0, 0.9f, 80, 10, 90, 20);
  pair_add (&pair, 1, 0, 0.6f, 81, 10, 91, 20);
  /* the other tile's word alone does not count … */
  pair_add (&pair, 0, 0, 0.9f, 82, 40, 92, 50);
  /* … but the owner's does */
  pair_add (&pair, 1, 0, 0.7f, 82, 70, 92, 80);
  pair_finish (&pair, TRUE);
  g_assert_cmpuint (pair.result.objects->len, ==, 2);
  g_assert_cmpfloat (collected_nth (&pair.result, 0)->x1, ==, 81);
  g_assert_cmpfloat (collected_nth (&pair.result, 0)->score, ==, 0.6f);
  g_assert_cmpfloat (collected_nth (&pair.result, 1)->y1, ==, 70);
  pair_clear (&pair);

  /* the owner was skipped */
  pair_init (&pair, 40);
  pair_add (&pair, 0, 0, 0.9f, 82, 40, 92, 50);
  pair_add (&pair, 0, 0, 0.8f, 90, 60, 100, 70);
  pair_finish (&pair, FALSE);
  g_assert_cmpuint (pair.result.objects->len, ==, 2);
  pair_clear (&pair);

  /* each owns its own version; each takes the other for the owner */
  pair_init (&pair, 40);
  pair_add (&pair, 0, 0, 0.5f, 74, 10, 84, 20);
  pair_add (&pair, 1, 0, 0.7f, 76, 10, 86, 20);
  pair_add (&pair, 0, 0, 0.5f, 76, 40, 86, 50);
  pair_add (&pair, 1, 0, 0.7f, 74, 40, 84, 50);
  pair_finish (&pair, TRUE);
  g_assert_cmpuint (pair.result.objects->len, ==, 2);
  g_assert_cmpfloat (collected_nth (&pair.result, 0)->score, ==, 0.7f);
  g_assert_cmpfloat (collected_nth (&pair.result, 1)->score, ==, 0.7f);
  pair_clear (&pair);
}

static void
test_classes (void)
{
  Pair pair;

  pair_init (&pair, 40);
  /* a piece that was taken for another class goes all the same … */
  pair_add (&pair, 0, 1, 0.9f, 90, 10, 100, 20);
  pair_add (&pair, 1, 0, 0.6f, 90, 10, 110, 20);
  /* … but nuclei in a gland are not pieces of it */
  pair_add (&pair, 0, 1, 0.9f, 70, 50, 78, 58);
  pair_add (&pair, 0, 1, 0.9f, 92, 50, 100, 58);
  pair_add (&pair, 1, 0, 0.6f, 65, 40, 110, 90);
  pair_finish (&pair, TRUE);
  g_assert_cmpuint (pair.result.objects->len, ==, 4);
  pair_clear (&pair);

  /* other tasks see other things */
  pair_init (&pair, 40);
  pair_add (&pair, 0, 0, 0.9f, 70, 10, 78, 20);
  pair_add (&pair, 1, 0, 0.9f, 72, 10, 89, 20);
  g_array_index (pair.objects[1], UmedptObject, 0).task = 1;
  pair_finish (&pair, TRUE);
  g_assert_cmpuint (pair.result.objects->len, ==, 2);
  pair_clear (&pair);
}

/* Boxes of two long nuclei that lie across each other share more than half of
 * the smaller one; both tiles see both. */
static void
test_dense (void)
{
  Pair pair;

  pair_init (&pair, 40);
  for (guint i = 0; i < 2; i++) {
    pair_add (&pair, i, 0, 0.9f, 66 + i, 10, 86 + i, 30);
    pair_add (&pair, i, 0, 0.8f, 72 + i, 12, 90 + i, 34 - i);
  }
  pair_finish (&pair, TRUE);
  g_assert_cmpuint (pair.result.objects->len, ==, 2);
  pair_clear (&pair);
}

/* A seam that cuts one thing twice; two things that only share the seam. */
static void
test_seam (void)
{
  Pair pair;

  pair_init (&pair, 0);
  pair_add (&pair, 0, 0, 0.5f, 60, 10, 100, 20);
  pair_add (&pair, 0, 0, 0.6f, 60, 30, 100, 40);
  pair_add (&pair, 1, 0, 0.7f, 100, 10, 140, 40);
  pair_add (&pair, 0, 0, 0.6f, 60, 50, 100, 60);
  pair_add (&pair, 1, 0, 0.7f, 100, 56, 140, 66);
  pair_add (&pair, 1, 0, 0.7f, 102, 70, 140, 80); /* not at the side */
  pair_add (&pair, 0, 0, 0.7f, 90, 70, 100, 80);
  pair_finish (&pair, TRUE);
  g_assert_cmpuint (pair.result.objects->len, ==, 5);
  g_assert_cmpfloat (collected_nth (&pair.result, 0)->x1, ==, 60);
  g_assert_cmpfloat (collected_nth (&pair.result, 0)->x2, ==, 140);
  g_assert_cmpfloat (collected_nth (&pair.result, 0)->y2, ==, 40);
  g_assert_cmpfloat (collected_nth (&pair.result, 0)->area, ==, 80 * 30);
  g_assert_cmpfloat (collected_nth (&pair.result, 0)->score, ==, 0.7f);
  pair_clear (&pair);
}

static UmedptPolygon *
make_ring (const double *xy, guint n)
{
  UmedptPolygon *outline = umedpt_polygon_new ();

  for (guint i = 0; i < n; i++)
    umedpt_polygon_add_point (outline, xy[2 * i], xy[2 * i + 1]);
  umedpt_polygon_end_ring (outline, FALSE);
  g_assert_true (umedpt_polygon_finish (outline));
  return outline;
}

static void
pair_add_outline (Pair *pair, guint tile, const double *xy, guint n)
{
  UmedptPolygon *outline = make_ring (xy, n);
  UmedptObject object = { 0, 0, 0.5f, outline->x1, outline->y1, outline->x2,
    outline->y2, outline->area, outline };

  g_array_append_val (pair->objects[tile], object);
}

/* Outlines that are not along the axes: a triangle cut by tiles that overlap,
 * drawn a little differently by each. Positions that were rounded leave a gap
 * of a pixel between tiles, but none in the object. */
static void
test_outlines (void)
{
  const double left[] = { 20, 50, 100, 10, 100, 90 };
  const double right[] = { 60, 70, 60, 30, 140, 50 };
  const double near[] = { 50, 20, 99.5, 20, 99.5, 40, 50, 40 };
  const double far[] = { 100, 20, 150, 20, 150, 40, 100, 40 };
  Pair pair;

  pair_init (&pair, 40);
  pair_add_outline (&pair, 0, left, 3);
  pair_add_outline (&pair, 1, right, 3);
  pair_finish (&pair, TRUE);
  g_assert_cmpuint (pair.result.objects->len, ==, 1);
  g_assert_cmpuint (g_array_index (pair.result.rings, guint, 0), ==, 1);
  /* the left one, and of the right one what lies beyond x = 100 */
  g_assert_cmpfloat_with_epsilon (collected_nth (&pair.result, 0)->area,
      3200 + 40 * 20 / 2, 1e-6);
  pair_clear (&pair);

  pair_init (&pair, 0);
  pair.tiles[0].x2 = pair.tiles[0].core_x2 = 99.5;
  pair_add_outline (&pair, 0, near, 4);
  pair_add_outline (&pair, 1, far, 4);
  pair_finish (&pair, TRUE);
  g_assert_cmpuint (pair.result.objects->len, ==, 1);
  g_assert_cmpuint (g_array_index (pair.result.rings, guint, 0), ==, 1);
  g_assert_cmpfloat_with_epsilon (collected_nth (&pair.result, 0)->area, 2000,
      1e-6);
  pair_clear (&pair);
}

static gboolean
refuse (const UmedptObject *object, gpointer data, GError **error)
{
  g_set_error_literal (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_SPACE, "full");
  return FALSE;
}

static void
test_errors (void)
{
  const UmedptObjectTile wrong[] = { { 0, 0, 0, 100, 0, 0, 0, 100 },
    { 0, 0, 100, 100, -1, 0, 100, 100 }, { NAN, 0, 100, 100, 0, 0, 100, 100 },
    { 0, 0, 1e12, 100, 0, 0, 100, 100 } };
  const UmedptObjectTile tile = { 0, 0, 100, 100, 0, 0, 100, 100 };
  g_autoptr (UmedptObjectMerger) merger =
      umedpt_object_merger_new (UMEDPT_OBJECTS_MIN_OVERLAP, refuse, NULL);
  g_autoptr (GArray) objects =
      g_array_new (FALSE, FALSE, sizeof (UmedptObject));
  UmedptObject object = { 0, 0, 0.5f, 10, 10, 20, 20, 100, NULL };
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++) {
    g_assert_false (umedpt_object_merger_add_tile (merger, &wrong[i], objects,
        &error));
    g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA);
    g_clear_error (&error);
  }
  for (guint i = 0; i < 4; i++) {
    UmedptObject bad = object;

    bad.x2 = i == 0 ? 10 : i == 1 ? INFINITY : bad.x2;
    bad.score = i == 2 ? NAN : bad.score;
    bad.area = i == 3 ? 0 : bad.area;
    bad.outline = make_ring ((double[]){ 10, 10, 20, 10, 20, 20 }, 3);
    g_array_append_val (objects, bad);
    g_assert_false (umedpt_object_merger_add_tile (merger, &tile, objects,
        &error));
    g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA);
    g_assert_cmpuint (objects->len, ==, 0);
    g_clear_error (&error);
  }
  g_array_append_val (objects, object);
  g_assert_true (umedpt_object_merger_add_tile (merger, &tile, objects, NULL));
  g_assert_false (umedpt_object_merger_finish (merger, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_SPACE);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/objects-rules/owner", test_owner);
  g_test_add_func ("/objects-rules/classes", test_classes);
  g_test_add_func ("/objects-rules/dense", test_dense);
  g_test_add_func ("/objects-rules/seam", test_seam);
  g_test_add_func ("/objects-rules/outlines", test_outlines);
  g_test_add_func ("/objects-rules/errors", test_errors);
  return g_test_run ();
}
