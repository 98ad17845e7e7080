/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Rings from the pieces of an outline, in any order: sorted by where they
 * begin, each finds its successor by bisection. A ring begins at its topmost
 * corner, of these the leftmost, so the result depends on the pieces alone.
 */
#include <math.h>

#include "output/objects-private.h"

static gint
compare_points (const UmedptPoint *a, const UmedptPoint *b)
{
  if (a->y != b->y)
    return a->y < b->y ? -1 : 1;
  return (a->x > b->x) - (a->x < b->x);
}

static gint
compare_segments (gconstpointer a, gconstpointer b)
{
  const UmedptSegment *p = a, *q = b;
  gint order = compare_points (&p->from, &q->from);

  return order ? order : compare_points (&p->to, &q->to);
}

/* How far @next turns to the right from @last, -π … π. */
static double
turn (const UmedptSegment *last, const UmedptSegment *next)
{
  double ax = last->to.x - last->from.x, ay = last->to.y - last->from.y;
  double bx = next->to.x - next->from.x, by = next->to.y - next->from.y;

  return atan2 (ax * by - ay * bx, ax * bx + ay * by);
}

/* The segment that goes on from @last. Where parts touch in a point there are
 * several; the sharpest turn to the right stays with the same part. */
static UmedptSegment *
next_segment (GArray *segments, const UmedptSegment *last)
{
  UmedptSegment *all = (UmedptSegment *) (void *) segments->data, *found = NULL;
  guint low = 0, high = segments->len;

  while (low < high) {
    guint middle = low + (high - low) / 2;

    if (compare_points (&all[middle].from, &last->to) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  for (; low < segments->len && compare_points (&all[low].from, &last->to) == 0;
       low++)
    if (!all[low].used &&
        (!found || turn (last, &all[low]) > turn (last, found)))
      found = &all[low];
  return found;
}

/* Whether @b, between @a and @c, is no corner. */
static gboolean
is_straight (const UmedptPoint *a, const UmedptPoint *b, const UmedptPoint *c)
{
  double ux = b->x - a->x, uy = b->y - a->y, vx = c->x - b->x, vy = c->y - b->y;
  double length = hypot (ux, uy) + hypot (vx, vy);

  return fabs (ux * vy - uy * vx) <= UMEDPT_OUTLINES_SAME * length &&
      ux * vx + uy * vy >= 0;
}

/* Ends a ring of @points that begins at its topmost corner; the sign of its
 * area tells outer rings and holes. What is thinner than rounding is none. */
static void
add_ring (UmedptPolygon *outline, GArray *points)
{
  const UmedptPoint *p = (const UmedptPoint *) (const void *) points->data;
  guint n = points->len, n_kept = 1;
  double sum = 0, length = 0;

  for (guint i = 0; i < n; i++) {
    const UmedptPoint *q = &p[(i + 1) % n];

    sum += (p[i].x - p[0].x) * (q->y - p[0].y) -
        (q->x - p[0].x) * (p[i].y - p[0].y);
    length += hypot (q->x - p[i].x, q->y - p[i].y);
  }
  if (fabs (sum) <= 10 * UMEDPT_OUTLINES_SAME * length)
    return;
  umedpt_polygon_add_point (outline, p[0].x, p[0].y);
  for (guint i = 1; i < n; i++) {
    const UmedptPoint *last =
        &g_array_index (outline->points, UmedptPoint, outline->points->len - 1);

    if (is_straight (last, &p[i], &p[(i + 1) % n]))
      continue;
    umedpt_polygon_add_point (outline, p[i].x, p[i].y);
    n_kept++;
  }
  if (n_kept >= 3)
    umedpt_polygon_end_ring (outline, sum < 0);
  else
    g_array_set_size (outline->points, outline->points->len - n_kept);
}

/* Adds where @segment begins. A ring must not touch itself (OGC 06-103r4,
 * 6.1.11): what has come back to a point is a ring of its own. Places of points
 * that went with one are out of date, which shows. */
static void
add_corner (UmedptPolygon *outline, GArray *points, GArray *segments,
    UmedptSegment *segment)
{
  const UmedptPoint *at = &segment->from;
  UmedptSegment *first = segment;

  while (first > (UmedptSegment *) (void *) segments->data &&
      compare_points (&first[-1].from, at) == 0)
    first--;
  if (first->place > 0 && first->place <= points->len &&
      compare_points (&g_array_index (points, UmedptPoint, first->place - 1),
          at) == 0) {
    const guint place = first->place - 1;
    g_autoptr (GArray) loop = g_array_new (FALSE, FALSE, sizeof (UmedptPoint));

    g_array_append_vals (loop, &g_array_index (points, UmedptPoint, place),
        points->len - place);
    add_ring (outline, loop);
    g_array_set_size (points, place);
  }
  g_array_append_val (points, segment->from);
  first->place = points->len;
}

UmedptPolygon *
umedpt_segments_chain (GArray *segments)
{
  g_autoptr (UmedptPolygon) outline = umedpt_polygon_new ();
  g_autoptr (GArray) points = g_array_new (FALSE, FALSE, sizeof (UmedptPoint));

  g_array_sort (segments, compare_segments);
  for (guint i = 0; i < segments->len; i++) {
    UmedptSegment *segment = &g_array_index (segments, UmedptSegment, i);
    const UmedptPoint start = segment->from;

    if (segment->used)
      continue;
    g_array_set_size (points, 0);
    while (segment) {
      segment->used = TRUE;
      add_corner (outline, points, segments, segment);
      if (compare_points (&segment->to, &start) == 0)
        break;
      segment = next_segment (segments, segment);
    }
    add_ring (outline, points);
  }
  return umedpt_polygon_finish (outline) ? g_steal_pointer (&outline) : NULL;
}
