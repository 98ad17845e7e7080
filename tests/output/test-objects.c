/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Objects made whole from tiles. Discs of pixels are what is to be found: each
 * tile finds, as boxes or as outlines, what it sees of them, and the merger
 * must give back every disc exactly, once, in any order of the tiles.
 */
#include "output/objects.h"

#include <math.h>

#include "base/random.h"
#include "collected.h"
#include "output/polygonize.h"

typedef struct
{
  gint x, y, r; /* the pixels whose centres are within r of (x, y) */
  gint hole; /* … but not within this */
} Disc;

typedef struct
{
  gint tile, overlap, columns, rows;
  gboolean outlines;
  gint jitter; /* tiles disagree on radii by up to this */
  double least; /* a smaller visible part is not found */
  UmedptRandom random;
} Scene;

typedef struct
{
  UmedptPolygon *outline;
  gdouble largest;
} Trace;

static gboolean
is_inside (const Disc *disc, gint radius, gint i, gint j)
{
  double dx = i + 0.5 - disc->x, dy = j + 0.5 - disc->y;
  double d = dx * dx + dy * dy;

  return d <= (double) radius * radius && d >= (double) disc->hole * disc->hole;
}

/* The largest region: a thin slice of a disc may be several. */
static gboolean
keep_largest (guint8 value, UmedptPolygon *polygon, gpointer data,
    GError **error)
{
  Trace *trace = data;

  if (polygon->area <= trace->largest) {
    umedpt_polygon_free (polygon);
    return TRUE;
  }
  umedpt_polygon_free (trace->outline);
  trace->outline = polygon;
  trace->largest = polygon->area;
  return TRUE;
}

static UmedptPolygon *
trace_pixels (const guint8 *pixels, gint x, gint y, gint width, gint height)
{
  Trace trace = { NULL, 0 };
  g_autoptr (UmedptPolygonizer) polygonizer =
      umedpt_polygonizer_new (width, x, y, 1, keep_largest, &trace);

  for (gint j = 0; j < height; j++)
    g_assert_true (umedpt_polygonizer_add_row (polygonizer,
        pixels + (gsize) j * (gsize) width, NULL));
  g_assert_true (umedpt_polygonizer_finish (polygonizer, NULL));
  return trace.outline;
}

/* What is visible of a disc within [x1, x2) x [y1, y2); FALSE if nothing. */
static gboolean
see_disc (const Disc *disc, gint radius, const gint window[4],
    gboolean outlines, UmedptObject *object)
{
  gint x1 = MAX (disc->x - radius, window[0]);
  gint y1 = MAX (disc->y - radius, window[1]);
  gint x2 = MIN (disc->x + radius, window[2]);
  gint y2 = MIN (disc->y + radius, window[3]);
  g_autofree guint8 *pixels = NULL;
  gint n = 0;

  if (x1 >= x2 || y1 >= y2)
    return FALSE;
  *object = (UmedptObject){ 0, 0, 0.5f, x2, y2, x1, y1, 0, NULL };
  pixels = g_malloc0 ((gsize) (x2 - x1) * (gsize) (y2 - y1));
  for (gint j = y1; j < y2; j++)
    for (gint i = x1; i < x2; i++) {
      if (!is_inside (disc, radius, i, j))
        continue;
      pixels[(j - y1) * (x2 - x1) + i - x1] = 1;
      object->x1 = MIN (object->x1, i);
      object->y1 = MIN (object->y1, j);
      object->x2 = MAX (object->x2, i + 1);
      object->y2 = MAX (object->y2, j + 1);
      n++;
    }
  object->area = n;
  if (n > 0 && outlines) {
    object->outline = trace_pixels (pixels, x1, y1, x2 - x1, y2 - y1);
    object->area = object->outline->area;
    object->x1 = object->outline->x1;
    object->y1 = object->outline->y1;
    object->x2 = object->outline->x2;
    object->y2 = object->outline->y2;
  } else if (n > 0) {
    object->area = (object->x2 - object->x1) * (object->y2 - object->y1);
  }
  return n > 0;
}

static void
get_tile (const Scene *scene, gint column, gint row, UmedptObjectTile *tile)
{
  gint step = scene->tile - scene->overlap;
  double half = scene->overlap / 2.0;

  tile->x1 = column * step;
  tile->y1 = row * step;
  tile->x2 = tile->x1 + scene->tile;
  tile->y2 = tile->y1 + scene->tile;
  tile->core_x1 = tile->x1 + (column > 0 ? half : 0);
  tile->core_y1 = tile->y1 + (row > 0 ? half : 0);
  tile->core_x2 = tile->x2 - (column + 1 < scene->columns ? half : 0);
  tile->core_y2 = tile->y2 - (row + 1 < scene->rows ? half : 0);
}

/* The visible part must be @least of the whole, as detectors have it. */
static GArray *
look (Scene *scene, const GArray *discs, const UmedptObjectTile *tile)
{
  const gint window[] = { (gint) tile->x1, (gint) tile->y1, (gint) tile->x2,
    (gint) tile->y2 };
  GArray *objects = g_array_new (FALSE, FALSE, sizeof (UmedptObject));

  for (guint i = 0; i < discs->len; i++) {
    const Disc *disc = &g_array_index (discs, Disc, i);
    gint radius = disc->r;
    UmedptObject object;

    if (disc->x + disc->r <= window[0] || disc->x - disc->r >= window[2] ||
        disc->y + disc->r <= window[1] || disc->y - disc->r >= window[3])
      continue;
    if (scene->jitter)
      radius += (gint) umedpt_random_below (&scene->random,
                    (guint) (2 * scene->jitter + 1)) -
          scene->jitter;
    if (!see_disc (disc, radius, window, scene->outlines, &object))
      continue;
    if (object.area < scene->least * radius * radius * 3) {
      umedpt_object_clear (&object);
      continue;
    }
    object.score =
        0.5f + (gfloat) umedpt_random_below (&scene->random, 1000) / 2001.0f;
    g_array_append_val (objects, object);
  }
  return objects;
}

typedef enum
{
  ROWS,
  COLUMNS,
  SERPENTINE,
  RANDOM,
} Order;

static gint *
make_order (Scene *scene, Order order)
{
  gint n = scene->columns * scene->rows;
  gint *tiles = g_new (gint, n);

  for (gint i = 0; i < n; i++) {
    gint row = i / scene->columns, column = i % scene->columns;

    if (order == SERPENTINE && row % 2)
      column = scene->columns - 1 - column;
    if (order == COLUMNS) {
      column = i / scene->rows;
      row = i % scene->rows;
    }
    tiles[i] = row * scene->columns + column;
  }
  for (gint i = n - 1; order == RANDOM && i > 0; i--) {
    gint j = (gint) umedpt_random_below (&scene->random, (guint) (i + 1));
    gint other = tiles[j];

    tiles[j] = tiles[i];
    tiles[i] = other;
  }
  return tiles;
}

/* @missing: (nullable) of each tile */
static void
merge (Scene *scene, const GArray *discs, Order order, const gboolean *missing,
    Collected *result)
{
  g_autofree gint *tiles = make_order (scene, order);
  g_autoptr (UmedptObjectMerger) merger =
      umedpt_object_merger_new (UMEDPT_OBJECTS_MIN_OVERLAP, collected_add,
          result);
  g_autoptr (GError) error = NULL;

  collected_init (result);
  for (gint i = 0; i < scene->columns * scene->rows; i++) {
    g_autoptr (GArray) objects = NULL;
    UmedptObjectTile tile;

    if (missing && missing[tiles[i]])
      continue;
    get_tile (scene, tiles[i] % scene->columns, tiles[i] / scene->columns,
        &tile);
    objects = look (scene, discs, &tile);
    umedpt_object_merger_add_tile (merger, &tile, objects, &error);
    g_assert_no_error (error);
    g_assert_cmpuint (objects->len, ==, 0);
  }
  umedpt_object_merger_finish (merger, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (umedpt_object_merger_get_n_waiting (merger), ==, 0);
}

static gint
scene_size (const Scene *scene, gint n)
{
  return n * (scene->tile - scene->overlap) + scene->overlap;
}

/* A disc in every cell of a grid that is no multiple of the tiles', so that
 * the seams cut them everywhere; each within its cell. */
static GArray *
make_grid (Scene *scene, gint cell, gint least, gint most)
{
  GArray *discs = g_array_new (FALSE, FALSE, sizeof (Disc));

  for (gint y = 0; y + cell <= scene_size (scene, scene->rows); y += cell)
    for (gint x = 0; x + cell <= scene_size (scene, scene->columns);
         x += cell) {
      gint r = least +
          (gint) umedpt_random_below (&scene->random,
              (guint) (most - least + 1));
      guint room = (guint) (cell - 2 * r - 2);
      Disc disc = { x + r + 1 +
            (gint) umedpt_random_below (&scene->random, room),
        y + r + 1 + (gint) umedpt_random_below (&scene->random, room), r, 0 };

      g_array_append_val (discs, disc);
    }
  return discs;
}

/* The object of a disc must be there exactly once. */
static void
check_disc (const Disc *disc, gboolean outlines, const Collected *result)
{
  const gint everywhere[] = { -100000, -100000, 100000, 100000 };
  UmedptObject whole;
  guint n = 0;

  g_assert_true (see_disc (disc, disc->r, everywhere, outlines, &whole));
  for (guint i = 0; i < result->objects->len; i++) {
    const UmedptObject *object = collected_nth (result, i);

    if (object->x2 <= whole.x1 || object->x1 >= whole.x2 ||
        object->y2 <= whole.y1 || object->y1 >= whole.y2)
      continue;
    n++;
    g_assert_cmpfloat (object->x1, ==, whole.x1);
    g_assert_cmpfloat (object->y1, ==, whole.y1);
    g_assert_cmpfloat (object->x2, ==, whole.x2);
    g_assert_cmpfloat (object->y2, ==, whole.y2);
    g_assert_cmpfloat_with_epsilon (object->area, whole.area, 1e-6);
    g_assert_cmpuint (g_array_index (result->rings, guint, i), ==,
        outlines ? 1 : 0);
  }
  g_assert_cmpuint (n, ==, 1);
  umedpt_object_clear (&whole);
}

static gint
compare_places (gconstpointer a, gconstpointer b)
{
  const UmedptObject *p = a, *q = b;

  if (p->y1 != q->y1)
    return p->y1 < q->y1 ? -1 : 1;
  return (p->x1 > q->x1) - (p->x1 < q->x1);
}

static void
test_grid (gconstpointer data)
{
  const gint overlap = GPOINTER_TO_INT (data) / 2;
  Scene scene = { 128, overlap, 9, 7, GPOINTER_TO_INT (data) % 2 == 1, 0, 0 };
  g_autoptr (GArray) discs = NULL;

  umedpt_random_init (&scene.random, 7);
  discs = make_grid (&scene, 44, 5, 19);
  for (Order order = ROWS; order <= RANDOM; order++) {
    Collected result;

    merge (&scene, discs, order, NULL, &result);
    for (guint i = 0; i < discs->len; i++)
      check_disc (&g_array_index (discs, Disc, i), scene.outlines, &result);
    g_assert_cmpuint (result.objects->len, ==, discs->len);
    collected_clear (&result);
  }
}

/* The order of tiles decides nothing but the order of the results. */
static void
test_any_order (void)
{
  Scene scene = { 128, 24, 8, 8, FALSE, 0, 0.3 };
  g_autoptr (GArray) discs = NULL;
  Collected results[2];

  umedpt_random_init (&scene.random, 3);
  discs = make_grid (&scene, 36, 6, 12);
  for (guint k = 0; k < 2; k++) {
    merge (&scene, discs, k ? RANDOM : ROWS, NULL, &results[k]);
    g_array_sort (results[k].objects, compare_places);
  }
  g_assert_cmpuint (results[0].objects->len, ==, results[1].objects->len);
  for (guint i = 0; i < results[0].objects->len; i++) {
    const UmedptObject *a = collected_nth (&results[0], i),
                       *b = collected_nth (&results[1], i);

    /* not their scores, which tiles draw as they come */
    g_assert_cmpmem (&a->x1, 5 * sizeof (double), &b->x1, 5 * sizeof (double));
  }
  collected_clear (&results[0]);
  collected_clear (&results[1]);
}

/* Tiles that could not be read take nothing from their neighbours: what a tile
 * has seen whole is there once, as it is; what any has seen is there. */
static void
test_missing (gconstpointer data)
{
  Scene scene = { 128, 48, 9, 9, GPOINTER_TO_INT (data), 0, 0 };
  gboolean missing[81];
  g_autoptr (GArray) discs = NULL;
  Collected result;
  guint n_whole = 0;

  umedpt_random_init (&scene.random, 11);
  discs = make_grid (&scene, 40, 5, 18);
  for (guint i = 0; i < 81; i++)
    missing[i] = umedpt_random_below (&scene.random, 3) == 0;
  merge (&scene, discs, ROWS, missing, &result);
  for (guint i = 0; i < discs->len; i++) {
    const Disc *disc = &g_array_index (discs, Disc, i);
    gboolean whole = FALSE, seen = FALSE, found = FALSE;

    for (gint t = 0; t < 81; t++) {
      UmedptObjectTile tile;
      UmedptObject object;

      get_tile (&scene, t % 9, t / 9, &tile);
      if (missing[t])
        continue;
      whole |= disc->x - disc->r > tile.x1 && disc->x + disc->r < tile.x2 &&
          disc->y - disc->r > tile.y1 && disc->y + disc->r < tile.y2;
      if (!see_disc (disc, disc->r,
              (gint[]){ (gint) tile.x1, (gint) tile.y1, (gint) tile.x2,
                  (gint) tile.y2 },
              FALSE, &object))
        continue;
      seen = TRUE;
    }
    if (whole)
      check_disc (disc, scene.outlines, &result);
    n_whole += whole;
    for (guint k = 0; k < result.objects->len; k++) {
      const UmedptObject *object = collected_nth (&result, k);

      found |= object->x1 < disc->x + disc->r &&
          object->x2 > disc->x - disc->r && object->y1 < disc->y + disc->r &&
          object->y2 > disc->y - disc->r;
    }
    g_assert_true (found == seen);
  }
  g_assert_cmpuint (n_whole, >, discs->len / 2);
  g_assert_cmpuint (n_whole, <, discs->len);
  collected_clear (&result);
}

/* One disc with a hole where four tiles meet: one object with a hole. */
static void
test_corner (void)
{
  const gint overlaps[] = { 0, 2, 10, 30 };

  for (guint k = 0; k < G_N_ELEMENTS (overlaps); k++)
    for (Order order = ROWS; order <= RANDOM; order++) {
      const Disc disc = { 101 - overlaps[k] / 2, 99 - overlaps[k] / 2, 40, 15 };
      Scene scene = { 100, overlaps[k], 2, 2, TRUE, 0, 0 };
      g_autoptr (GArray) discs = g_array_new (FALSE, FALSE, sizeof (Disc));
      const gint everywhere[] = { 0, 0, 1000, 1000 };
      UmedptObject whole;
      Collected result;

      umedpt_random_init (&scene.random, 1);
      g_array_append_val (discs, disc);
      merge (&scene, discs, order, NULL, &result);
      g_assert_true (see_disc (&disc, disc.r, everywhere, TRUE, &whole));
      g_assert_cmpuint (result.objects->len, ==, 1);
      g_assert_cmpuint (g_array_index (result.rings, guint, 0), ==, 2);
      g_assert_cmpfloat (collected_nth (&result, 0)->area, ==, whole.area);
      g_assert_cmpfloat (collected_nth (&result, 0)->x1, ==, whole.x1);
      g_assert_cmpfloat (collected_nth (&result, 0)->y2, ==, whole.y2);
      umedpt_object_clear (&whole);
      collected_clear (&result);
    }
}

/* Random nuclei, apart by a little, whose tiles disagree on their sizes and do
 * not find small pieces: no error in their number. */
static void
test_jitter (gconstpointer data)
{
  const gint size = 2048, overlap = GPOINTER_TO_INT (data) / 2;
  Scene scene = { 256, overlap, 0, 0, GPOINTER_TO_INT (data) % 2 == 1, 1, 0.3 };
  g_autoptr (GArray) discs = g_array_new (FALSE, FALSE, sizeof (Disc));
  Collected result;

  scene.columns = scene.rows = size / (256 - overlap);
  umedpt_random_init (&scene.random, 5);
  for (guint tries = 0; tries < 12000; tries++) {
    gint r = 5 + (gint) umedpt_random_below (&scene.random, 8);
    guint room = (guint) (scene_size (&scene, scene.columns) - 2 * r - 4);
    Disc disc = { r + 2 + (gint) umedpt_random_below (&scene.random, room),
      r + 2 + (gint) umedpt_random_below (&scene.random, room), r, 0 };
    gboolean free_there = TRUE;

    for (guint i = 0; i < discs->len && free_there; i++) {
      const Disc *other = &g_array_index (discs, Disc, i);

      free_there =
          hypot (other->x - disc.x, other->y - disc.y) >= other->r + disc.r + 4;
    }
    if (free_there)
      g_array_append_val (discs, disc);
  }
  for (Order order = ROWS; order <= RANDOM; order++) {
    merge (&scene, discs, order, NULL, &result);
    g_assert_cmpuint (result.objects->len, ==, discs->len);
    collected_clear (&result);
  }
  g_test_message ("%u discs", discs->len);
}

typedef struct
{
  guint8 *seen; /* of each object */
  gint side; /* so many in a row, and rows */
  guint n;
} Million;

#define CELL 32.0 /* pixels */

static gboolean
count_one (const UmedptObject *object, gpointer data, GError **error)
{
  Million *million = data;
  gint x = (gint) floor (object->x1 / CELL),
       y = (gint) floor (object->y1 / CELL);

  g_assert_cmpfloat (object->x2 - object->x1, ==, 20);
  g_assert_cmpfloat (object->y2 - object->y1, ==, 20);
  g_assert_cmpuint (million->seen[y * million->side + x]++, ==, 0);
  million->n++;
  return TRUE;
}

static void
look_at_million (const UmedptObjectTile *tile, gint side, GArray *objects)
{
  for (gint j = (gint) (tile->y1 / CELL) - 1; j < tile->y2 / CELL; j++)
    for (gint i = (gint) (tile->x1 / CELL) - 1; i < tile->x2 / CELL; i++) {
      double x = i * CELL + (i * 7 + j * 5) % 11;
      double y = j * CELL + (i * 3 + j * 8) % 11;
      UmedptObject object = { 0, 0, 0.9f, MAX (x, tile->x1), MAX (y, tile->y1),
        MIN (x + 20, tile->x2), MIN (y + 20, tile->y2), 0, NULL };

      object.area = (object.x2 - object.x1) * (object.y2 - object.y1);
      if (i >= 0 && j >= 0 && i < side && j < side && object.x1 < object.x2 &&
          object.y1 < object.y2)
        g_array_append_val (objects, object);
    }
}

/* A million objects in rows, fewer in other orders: all there, and no more in
 * memory than those of two rows or columns of tiles. */
static void
test_million (gconstpointer data)
{
  const Order order = GPOINTER_TO_INT (data);
  const guint side = order == ROWS ? 1000 : 600;
  g_autofree guint8 *seen = g_malloc0 ((gsize) side * side);
  Million million = { seen, (gint) side, 0 };
  g_autoptr (UmedptObjectMerger) merger =
      umedpt_object_merger_new (UMEDPT_OBJECTS_MIN_OVERLAP, count_one,
          &million);
  g_autoptr (GArray) objects =
      g_array_new (FALSE, FALSE, sizeof (UmedptObject));
  const gint n = (gint) (side * CELL / 960) + 1;
  Scene scene = { 1024, 64, n, n, FALSE, 0, 0 };
  g_autofree gint *tiles = make_order (&scene, order);
  guint most = 0;

  for (gint i = 0; i < scene.columns * scene.rows; i++) {
    UmedptObjectTile tile;

    get_tile (&scene, tiles[i] % scene.columns, tiles[i] / scene.columns,
        &tile);
    look_at_million (&tile, (gint) side, objects);
    g_assert_true (umedpt_object_merger_add_tile (merger, &tile, objects,
        NULL));
    most = MAX (most, umedpt_object_merger_get_n_waiting (merger));
  }
  g_assert_true (umedpt_object_merger_finish (merger, NULL));
  g_assert_cmpuint (million.n, ==, side * side);
  g_assert_cmpuint (most, <, side * side * 9 / 4 / (guint) n);
  g_test_message ("at most %u of %u objects waited", most, million.n);
}

int
main (int argc, char *argv[])
{
  g_test_init (&argc, &argv, NULL);
  for (gint overlap = 0; overlap <= 64; overlap = overlap ? 4 * overlap : 16)
    for (gint outlines = 0; outlines < 2; outlines++) {
      g_autofree char *grid = g_strdup_printf ("/objects/grid/%s/%d",
          outlines ? "outlines" : "boxes", overlap);

      g_test_add_data_func (grid, GINT_TO_POINTER (2 * overlap + outlines),
          test_grid);
    }
  g_test_add_func ("/objects/any-order", test_any_order);
  g_test_add_data_func ("/objects/missing/boxes", GINT_TO_POINTER (FALSE),
      test_missing);
  g_test_add_data_func ("/objects/missing/outlines", GINT_TO_POINTER (TRUE),
      test_missing);
  g_test_add_func ("/objects/corner", test_corner);
  for (gint overlap = 16; overlap <= 64; overlap *= 2)
    for (gint outlines = 0; outlines < 2; outlines++) {
      g_autofree char *jitter = g_strdup_printf ("/objects/jitter/%s/%d",
          outlines ? "outlines" : "boxes", overlap);

      g_test_add_data_func (jitter, GINT_TO_POINTER (2 * overlap + outlines),
          test_jitter);
    }
  g_test_add_data_func ("/objects/million/rows", GINT_TO_POINTER (ROWS),
      test_million);
  g_test_add_data_func ("/objects/million/columns", GINT_TO_POINTER (COLUMNS),
      test_million);
  g_test_add_data_func ("/objects/million/serpentine",
      GINT_TO_POINTER (SERPENTINE), test_million);
  return g_test_run ();
}
