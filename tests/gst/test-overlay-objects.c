/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What umedptoverlay knows of objects, without a frame: which box is which
 * object again, when one is shown, and the regions of a mask, which are
 * compared with those of a plain flood fill.
 */
#include "overlay/gstumedpthysteresis.h"
#include "overlay/gstumedptpaintregions.h"

#include <string.h>

#define MS GST_MSECOND

/* --- hysteresis --------------------------------------------------------- */

static const GstUmedptHysteresisRule rule = { 3, 200 * MS, 100 * MS, 30 };

/* Observes boxes at a time (ms) and tells how many are shown then; @pending:
 * (nullable): how many are not. */
static guint
see (GstUmedptHysteresis *self, gint64 ms, const GstUmedptBox *boxes, guint n,
    guint *pending)
{
  g_autoptr (GArray) tracked =
      g_array_new (FALSE, FALSE, sizeof (GstUmedptTracked));
  guint shown = 0;

  gst_umedpt_hysteresis_observe (self, &rule, ms * MS, boxes, NULL, n);
  gst_umedpt_hysteresis_list (self, &rule, ms * MS, TRUE, tracked);
  for (guint i = 0; i < tracked->len; i++)
    shown += g_array_index (tracked, GstUmedptTracked, i).confirmed;
  if (pending)
    *pending = tracked->len - shown;
  return shown;
}

/* The same for one box. */
static guint
see_one (GstUmedptHysteresis *self, gint64 ms, gfloat x, gfloat y, gfloat side,
    gint label)
{
  const GstUmedptBox box = { x, y, side, side, 0.9f, label };

  return see (self, ms, &box, 1, NULL);
}

/* How many are shown at a time without observation. */
static guint
look (GstUmedptHysteresis *self, gint64 ms)
{
  g_autoptr (GArray) tracked =
      g_array_new (FALSE, FALSE, sizeof (GstUmedptTracked));

  gst_umedpt_hysteresis_list (self, &rule, ms * MS, FALSE, tracked);
  return tracked->len;
}

/* Three hits in 200 ms, whatever is between them. */
static void
test_hits (void)
{
  g_autoptr (GstUmedptHysteresis) self = gst_umedpt_hysteresis_new ();

  g_assert_cmpuint (see_one (self, 0, 10, 10, 100, 0), ==, 0);
  g_assert_cmpuint (see (self, 40, NULL, 0, NULL), ==, 0);
  g_assert_cmpuint (see_one (self, 80, 12, 10, 100, 0), ==, 0);
  g_assert_cmpuint (see_one (self, 200, 14, 10, 100, 0), ==, 1);
}

/* Three hits in more than that are too few. */
static void
test_window (void)
{
  g_autoptr (GstUmedptHysteresis) self = gst_umedpt_hysteresis_new ();

  for (gint64 ms = 0; ms < 2000; ms += 101)
    g_assert_cmpuint (see_one (self, ms, 10, 10, 100, 0), ==, 0);
  for (gint64 ms = 3000; ms < 4000; ms += 100)
    g_assert_cmpuint (see_one (self, ms, 10, 10, 100, 0), ==, ms >= 3200);
}

static void
test_hold (void)
{
  g_autoptr (GstUmedptHysteresis) self = gst_umedpt_hysteresis_new ();

  for (gint64 ms = 0; ms <= 80; ms += 40)
    see_one (self, ms, 10, 10, 100, 0);
  g_assert_cmpuint (look (self, 120), ==, 1);
  g_assert_cmpuint (look (self, 180), ==, 1);
  g_assert_cmpuint (look (self, 181), ==, 0);
  /* it is back in time to be remembered, but has been away */
  g_assert_cmpuint (look (self, 190), ==, 0);
  g_assert_cmpuint (see_one (self, 270, 10, 10, 100, 0), ==, 0);
  g_assert_cmpuint (see_one (self, 280, 10, 10, 100, 0), ==, 1);
}

/* The same when nobody looked meanwhile. */
static void
test_hold_unseen (void)
{
  g_autoptr (GstUmedptHysteresis) self = gst_umedpt_hysteresis_new ();

  for (gint64 ms = 0; ms <= 80; ms += 40)
    see_one (self, ms, 10, 10, 100, 0);
  see (self, 120, NULL, 0, NULL);
  g_assert_cmpuint (see_one (self, 270, 10, 10, 100, 0), ==, 0);
}

/* More hits than are kept. */
static void
test_many_hits (void)
{
  g_autoptr (GstUmedptHysteresis) self = gst_umedpt_hysteresis_new ();

  for (gint64 ms = 0; ms < 10000; ms += 10)
    g_assert_cmpuint (see_one (self, ms, 10, 10, 100, 0), ==, ms >= 20);
}

static void
test_matching (void)
{
  g_autoptr (GstUmedptHysteresis) self = gst_umedpt_hysteresis_new ();

  /* large ones: moved by half they overlap by a third, by more too little */
  for (gint64 i = 0; i < 5; i++)
    g_assert_cmpuint (see_one (self, i * 40, (gfloat) i * 50, 0, 100, 0), ==,
        i >= 2);
  gst_umedpt_hysteresis_reset (self);
  for (gint64 i = 0; i < 5; i++)
    g_assert_cmpuint (see_one (self, i * 40, (gfloat) i * 60, 0, 100, 0), ==,
        0);
  /* small ones need not overlap, but have to be near */
  gst_umedpt_hysteresis_reset (self);
  for (gint64 i = 0; i < 5; i++)
    g_assert_cmpuint (see_one (self, i * 40, (gfloat) i * 14, 0, 5, 0), ==,
        i >= 2);
  gst_umedpt_hysteresis_reset (self);
  for (gint64 i = 0; i < 5; i++)
    g_assert_cmpuint (see_one (self, i * 40, (gfloat) i * 16, 0, 5, 0), ==, 0);
  /* another class is another object */
  gst_umedpt_hysteresis_reset (self);
  for (gint64 i = 0; i < 5; i++)
    g_assert_cmpuint (see_one (self, i * 40, 0, 0, 100, (gint) i), ==, 0);
}

/* Two that are close stay two, and a third is none of them. */
static void
test_two (void)
{
  g_autoptr (GstUmedptHysteresis) self = gst_umedpt_hysteresis_new ();
  guint pending = 0;

  for (gint64 i = 0; i < 4; i++) {
    const GstUmedptBox boxes[] = { { 0, 0, 100, 100, 0.9f, 0 },
      { 40, 0, 100, 100, 0.8f, 0 }, { 20, 0, 100, 100, 0.7f, 0 } };

    see (self, i * 40, boxes, i == 3 ? 3 : 2, &pending);
  }
  g_assert_cmpuint (pending, ==, 1);
  g_assert_cmpuint (look (self, 130), ==, 2);
}

/* One observation counts once, and one of before begins anew. */
static void
test_time (void)
{
  g_autoptr (GstUmedptHysteresis) self = gst_umedpt_hysteresis_new ();

  for (guint i = 0; i < 5; i++)
    g_assert_cmpuint (see_one (self, 40, 0, 0, 100, 0), ==, 0);
  see_one (self, 80, 0, 0, 100, 0);
  g_assert_cmpuint (see_one (self, 120, 0, 0, 100, 0), ==, 1);
  g_assert_cmpuint (see_one (self, 60, 0, 0, 100, 0), ==, 0);
  g_assert_cmpuint (see_one (self, 70, 0, 0, 100, 0), ==, 0);
  g_assert_cmpuint (see_one (self, 80, 0, 0, 100, 0), ==, 1);
  /* below zero, as when a stream is played backwards */
  for (gint64 ms = -1000; ms < -900; ms += 40)
    g_assert_cmpuint (see_one (self, ms, 0, 0, 100, 0), ==, ms >= -920);
}

/* Only so many are followed; the first ones. */
static void
test_most (void)
{
  g_autoptr (GstUmedptHysteresis) self = gst_umedpt_hysteresis_new ();
  const guint n = GST_UMEDPT_HYSTERESIS_MOST_OBJECTS + 100;
  g_autofree GstUmedptBox *boxes = g_new (GstUmedptBox, n);

  for (guint i = 0; i < n; i++)
    boxes[i] = (GstUmedptBox){ (gfloat) i * 200, 0, 100, 100, 0.5f, 0 };
  for (gint64 i = 0; i < 3; i++)
    see (self, i * 40, boxes, n, NULL);
  g_assert_cmpuint (look (self, 90), ==, GST_UMEDPT_HYSTERESIS_MOST_OBJECTS);
}

/* Positions that overflow floats when they are multiplied. */
static void
test_large (void)
{
  g_autoptr (GstUmedptHysteresis) self = gst_umedpt_hysteresis_new ();

  for (gint64 i = 0; i < 3; i++)
    g_assert_cmpuint (see_one (self, i * 40, -3e38f, -3e38f, 3e38f, 0), ==,
        i >= 2);
}

/* A shape lives as long as its object. */
static void
test_shapes (void)
{
  g_autoptr (GstUmedptHysteresis) self = gst_umedpt_hysteresis_new ();
  g_autoptr (GArray) tracked =
      g_array_new (FALSE, FALSE, sizeof (GstUmedptTracked));
  const GstUmedptBox box = { 0, 0, 100, 100, 0.9f, 0 };

  for (gint64 i = 0; i < 3; i++) {
    g_autofree char *text = g_strdup_printf ("shape %d", (gint) i);
    g_autoptr (GBytes) shape = g_bytes_new (text, strlen (text));

    gst_umedpt_hysteresis_observe (self, &rule, i * 40 * MS, &box, &shape, 1);
  }
  gst_umedpt_hysteresis_list (self, &rule, 120 * MS, FALSE, tracked);
  g_assert_cmpuint (tracked->len, ==, 1);
  g_assert_cmpmem (g_bytes_get_data (g_array_index (tracked, GstUmedptTracked,
                                         0)
                                         .shape,
                       NULL),
      7, "shape 2", 7);
}

/* --- regions ------------------------------------------------------------ */

/* Numbers the region of (x, y) and gives its area. */
static guint
flood (const guint8 *map, gint width, gint height, gint at, guint *numbers,
    guint number)
{
  const gint x = at % width, y = at / width;
  guint area = 1;

  numbers[at] = number;
  if (x > 0 && map[at - 1] == map[at] && !numbers[at - 1])
    area += flood (map, width, height, at - 1, numbers, number);
  if (x + 1 < width && map[at + 1] == map[at] && !numbers[at + 1])
    area += flood (map, width, height, at + 1, numbers, number);
  if (y > 0 && map[at - width] == map[at] && !numbers[at - width])
    area += flood (map, width, height, at - width, numbers, number);
  if (y + 1 < height && map[at + width] == map[at] && !numbers[at + width])
    area += flood (map, width, height, at + width, numbers, number);
  return area;
}

/* Each region of ours is one of the flood fill: it has its area, and all its
 * pixels have the same number; there are as many, the largest first. */
static void
check_regions (const guint8 *map, gint width, gint height,
    const GstUmedptClasses *classes)
{
  const guint n = (guint) (width * height);
  g_autofree guint *numbers = g_new0 (guint, n);
  g_autofree guint *areas = g_new0 (guint, n + 1);
  g_autoptr (GArray) runs = g_array_new (FALSE, FALSE, sizeof (GstUmedptRun));
  g_autoptr (GArray) boxes = g_array_new (FALSE, FALSE, sizeof (GstUmedptBox));
  g_autoptr (GPtrArray) shapes =
      g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
  guint n_regions = 0, before = G_MAXUINT;

  for (guint i = 0; i < n; i++)
    if (classes->drawn[map[i]] && !numbers[i]) {
      n_regions++;
      areas[n_regions] =
          flood (map, width, height, (gint) i, numbers, n_regions);
    }
  gst_umedpt_runs_find (runs, map, width, height, classes);
  gst_umedpt_regions_find ((const GstUmedptRun *) (gpointer) runs->data,
      runs->len, boxes, shapes);
  g_assert_cmpuint (boxes->len, ==, n_regions);
  g_assert_cmpuint (shapes->len, ==, n_regions);
  for (guint r = 0; r < n_regions; r++) {
    const GstUmedptBox *box = &g_array_index (boxes, GstUmedptBox, r);
    g_autofree guint8 *painted = g_malloc (n);
    guint area = 0, number = 0;
    gint x0 = width, y0 = height, x1 = 0, y1 = 0;

    memset (painted, GST_UMEDPT_UNDECIDED, n);
    gst_umedpt_regions_paint (painted, width, shapes->pdata[r]);
    for (guint i = 0; i < n; i++)
      if (painted[i] != GST_UMEDPT_UNDECIDED) {
        const gint x = (gint) i % width, y = (gint) i / width;

        g_assert_cmpuint (painted[i], ==, map[i]);
        g_assert_cmpint (box->label, ==, map[i]);
        g_assert_true (number == 0 || number == numbers[i]);
        number = numbers[i];
        area++;
        x0 = MIN (x0, x);
        y0 = MIN (y0, y);
        x1 = MAX (x1, x + 1);
        y1 = MAX (y1, y + 1);
      }
    g_assert_cmpuint (area, ==, areas[number]);
    g_assert_cmpuint (area, <=, before);
    before = area;
    g_assert_true (box->x == x0 && box->y == y0 && box->x + box->width == x1 &&
        box->y + box->height == y1);
  }
}

static void
test_regions (void)
{
  g_autoptr (GRand) random = g_rand_new_with_seed (5);
  GstUmedptClasses classes = { { FALSE } };
  guint8 map[23 * 19];

  classes.drawn[1] = classes.drawn[2] = TRUE;
  for (guint i = 0; i < 500; i++) {
    const gint width = g_rand_int_range (random, 1, 24);
    const gint height = g_rand_int_range (random, 1, 20);
    const gint values = g_rand_int_range (random, 2, 5);

    for (gint p = 0; p < width * height; p++)
      map[p] = (guint8) g_rand_int_range (random, 0, values);
    check_regions (map, width, height, &classes);
  }
}

/* --- edges -------------------------------------------------------------- */

/* By the definition: round each region the number of half steps along its
 * border, slanted ones as one, is that of all squares of four pixels. */
static guint
count_crossings (const guint8 *map, gint width, gint height, guint8 label)
{
  guint n = 0;

  for (gint y = 0; y < height; y++)
    for (gint x = 0; x < width; x++) {
      const gboolean in = map[y * width + x] == label;

      n += in && x == 0;
      n += in && x == width - 1;
      n += in && y == 0;
      n += in && y == height - 1;
      n += x + 1 < width && in != (map[y * width + x + 1] == label);
      n += y + 1 < height && in != (map[(y + 1) * width + x] == label);
    }
  return n;
}

/* Every crossing is where two edges meet; so lines are closed. A level edge
 * goes on over several crossings. */
static void
test_edges (void)
{
  g_autoptr (GRand) random = g_rand_new_with_seed (6);
  GstUmedptClasses classes = { { FALSE } };
  guint8 map[23 * 19];

  classes.drawn[1] = TRUE;
  for (guint i = 0; i < 500; i++) {
    g_autoptr (GArray) edges =
        g_array_new (FALSE, FALSE, sizeof (GstUmedptEdge));
    g_autoptr (GHashTable) ends = g_hash_table_new (NULL, NULL);
    const gint width = g_rand_int_range (random, 1, 24);
    const gint height = g_rand_int_range (random, 1, 20);
    GHashTableIter iter;
    gpointer times = NULL;

    for (gint p = 0; p < width * height; p++)
      map[p] = (guint8) g_rand_int_range (random, 0, 3);
    gst_umedpt_edges_find (edges, map, width, height, &classes);
    for (guint e = 0; e < edges->len; e++) {
      const GstUmedptEdge *edge = &g_array_index (edges, GstUmedptEdge, e);

      g_assert_cmpuint (edge->label, ==, 1);
      g_assert_cmpint (edge->y0, <=, edge->y1);
      for (gint x = edge->x0, y = edge->y0;;) {
        gpointer key = GINT_TO_POINTER (y * 100 + x + 1);
        const guint weight =
            (x == edge->x0 && y == edge->y0) || x == edge->x1 ? 1 : 2;

        g_hash_table_insert (ends, key,
            GUINT_TO_POINTER (GPOINTER_TO_UINT (g_hash_table_lookup (ends,
                                  key)) +
                weight));
        if (x == edge->x1 && y == edge->y1)
          break;
        x = edge->y0 == edge->y1 ? x + 2 : edge->x1;
        y = edge->y1;
      }
    }
    g_assert_cmpuint (g_hash_table_size (ends), ==,
        count_crossings (map, width, height, 1));
    g_hash_table_iter_init (&iter, ends);
    while (g_hash_table_iter_next (&iter, NULL, &times))
      g_assert_cmpuint (GPOINTER_TO_UINT (times), ==, 2);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/gst/objects/hits", test_hits);
  g_test_add_func ("/gst/objects/window", test_window);
  g_test_add_func ("/gst/objects/hold", test_hold);
  g_test_add_func ("/gst/objects/hold-unseen", test_hold_unseen);
  g_test_add_func ("/gst/objects/many-hits", test_many_hits);
  g_test_add_func ("/gst/objects/matching", test_matching);
  g_test_add_func ("/gst/objects/two", test_two);
  g_test_add_func ("/gst/objects/time", test_time);
  g_test_add_func ("/gst/objects/most", test_most);
  g_test_add_func ("/gst/objects/large", test_large);
  g_test_add_func ("/gst/objects/shapes", test_shapes);
  g_test_add_func ("/gst/objects/regions", test_regions);
  g_test_add_func ("/gst/objects/edges", test_edges);
  return g_test_run ();
}
