/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * From the corners of a region to its rings. Where two cells of a value meet
 * by a corner only, both turn there, as if they were strangers. If they are of
 * one region, its outline touches itself there; exchanging the two successors
 * makes it two rings that touch: what OGC 06-103r4, 6.1.11 calls a valid
 * polygon. It always is, since the region hangs together by its sides: the way
 * from one cell to the other closes around what the second ring surrounds.
 */
#include "output/polygonize-private.h"

typedef struct
{
  guint32 start; /* corner */
  gint64 area; /* pixels; negative: a hole */
} Ring;

static gint
compare_places (gconstpointer a, gconstpointer b, gpointer data)
{
  const UmedptCorner *corners = data;
  const UmedptCorner *p = &corners[*(const guint32 *) a];
  const UmedptCorner *q = &corners[*(const guint32 *) b];

  if (p->y != q->y)
    return p->y < q->y ? -1 : 1;
  return (p->x > q->x) - (p->x < q->x);
}

/* Makes two rings where an outline touches itself. */
static void
part_rings (UmedptCorner *corners, guint32 first)
{
  g_autoptr (GArray) touching = g_array_new (FALSE, FALSE, sizeof (guint32));

  for (guint32 i = first; i != UMEDPT_NO_CORNER; i = corners[i].other)
    if (corners[i].touches)
      g_array_append_val (touching, i);
  g_array_sort_with_data (touching, compare_places, corners);
  for (guint k = 1; k < touching->len; k++) {
    const guint32 *pair = &g_array_index (touching, guint32, k - 1);
    UmedptCorner *a = &corners[pair[0]], *b = &corners[pair[1]];
    guint32 next = a->next;

    if (a->x != b->x || a->y != b->y)
      continue;
    a->next = b->next;
    b->next = next;
  }
}

/* The rings of a region, the outer one first. */
static GArray *
find_rings (UmedptCorner *corners, guint32 first)
{
  GArray *rings = g_array_new (FALSE, FALSE, sizeof (Ring));
  guint outer = 0;

  for (guint32 start = first; start != UMEDPT_NO_CORNER;
       start = corners[start].other) {
    /* Green's theorem, modulo 2^64: what overflows on the way cancels. */
    guint64 area = 0;
    Ring ring = { start };

    if (corners[start].seen)
      continue;
    for (guint32 i = start; !corners[i].seen;) {
      UmedptCorner *a = &corners[i], *b = &corners[a->next];

      area += (guint64) b->x * ((guint64) b->y - (guint64) a->y);
      a->seen = 1;
      i = a->next;
    }
    ring.area = (gint64) area;
    if (ring.area > 0)
      outer = rings->len;
    g_array_append_val (rings, ring);
  }
  if (outer > 0) {
    Ring ring = g_array_index (rings, Ring, outer);

    g_array_index (rings, Ring, outer) = g_array_index (rings, Ring, 0);
    g_array_index (rings, Ring, 0) = ring;
  }
  return rings;
}

UmedptPolygon *
umedpt_corners_to_polygon (UmedptCorner *corners, guint32 first, double x,
    double y, double scale)
{
  UmedptPolygon *polygon = umedpt_polygon_new ();
  g_autoptr (GArray) rings = NULL;
  gint64 area = 0;

  part_rings (corners, first);
  rings = find_rings (corners, first);
  for (guint k = 0; k < rings->len; k++) {
    const Ring *ring = &g_array_index (rings, Ring, k);
    guint32 i = ring->start;

    do {
      umedpt_polygon_add_point (polygon, x + corners[i].x * scale,
          y + corners[i].y * scale);
      i = corners[i].next;
    } while (i != ring->start);
    umedpt_polygon_end_ring (polygon, ring->area < 0);
    area += ring->area;
  }
  umedpt_polygon_finish (polygon);
  polygon->area = (double) area * scale * scale;
  return polygon;
}
