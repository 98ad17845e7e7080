/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Filling goes row by row with a list of the edges that cross it, kept up to
 * date from row to row (Foley et al., Computer Graphics, 2nd ed., section
 * 3.6), so an outline of many thousand points costs little per window. A pixel
 * belongs to the polygon if its centre does; upper and left edges count as
 * inside, so neighbours that share an edge share no pixel.
 */
#include "data/polygon.h"

#include <math.h>

typedef struct
{
  double y0, y1; /* crosses rows y0 <= y < y1 … */
  double x0, slope; /* … at x0 + slope (y - y0) */
} Edge;

UmedptPolygon *
umedpt_polygon_new (void)
{
  UmedptPolygon *self = g_new0 (UmedptPolygon, 1);

  self->points = g_array_new (FALSE, FALSE, sizeof (UmedptPoint));
  self->ends = g_array_new (FALSE, FALSE, sizeof (guint));
  return self;
}

/**
 * umedpt_polygon_free: (skip)
 * @self: (nullable) (transfer full): an outline
 *
 * Since: 0.1
 */
void
umedpt_polygon_free (UmedptPolygon *self)
{
  if (!self)
    return;
  g_array_unref (self->points);
  g_array_unref (self->ends);
  g_free (self);
}

void
umedpt_polygon_add_point (UmedptPolygon *self, double x, double y)
{
  UmedptPoint point = { x, y };

  g_array_append_val (self->points, point);
}

static guint
ring_start (const UmedptPolygon *self, guint ring)
{
  return ring == 0 ? 0 : g_array_index (self->ends, guint, ring - 1);
}

static const UmedptPoint *
point_at (const UmedptPolygon *self, guint i)
{
  return &g_array_index (self->points, UmedptPoint, i);
}

/* Twice the area is the sum of cross products; relative to the first point,
 * for precision far from the origin. */
void
umedpt_polygon_end_ring (UmedptPolygon *self, gboolean hole)
{
  guint start = ring_start (self, self->ends->len), end = self->points->len;
  double sum = 0;

  for (guint i = start + 1; i + 1 < end; i++) {
    const UmedptPoint *o = point_at (self, start), *a = point_at (self, i),
                      *b = point_at (self, i + 1);

    sum += (a->x - o->x) * (b->y - o->y) - (b->x - o->x) * (a->y - o->y);
  }
  self->area += (hole ? -1 : 1) * fabs (sum) / 2;
  g_array_append_val (self->ends, end);
}

void
umedpt_polygon_end_line (UmedptPolygon *self)
{
  guint start = ring_start (self, self->ends->len), end = self->points->len;
  double length = 0, radius;

  for (guint i = start; i + 1 < end; i++) {
    const UmedptPoint *a = point_at (self, i), *b = point_at (self, i + 1);

    length += hypot (b->x - a->x, b->y - a->y);
  }
  radius = MAX (sqrt (length), 0.5);
  self->radius = MAX (self->radius, radius);
  self->area += length * 2 * radius;
  g_array_append_val (self->ends, end);
}

gboolean
umedpt_polygon_finish (UmedptPolygon *self)
{
  self->x1 = self->y1 = G_MAXDOUBLE;
  self->x2 = self->y2 = -G_MAXDOUBLE;
  for (guint i = 0; i < self->points->len; i++) {
    const UmedptPoint *p = point_at (self, i);

    self->x1 = MIN (self->x1, p->x - self->radius);
    self->y1 = MIN (self->y1, p->y - self->radius);
    self->x2 = MAX (self->x2, p->x + self->radius);
    self->y2 = MAX (self->y2, p->y + self->radius);
  }
  self->area = MAX (self->area, 0);
  return self->ends->len > 0 && self->area > 0;
}

/* The square of the distance from (x, y) to the piece from @a to @b. */
static double
distance2 (const UmedptPoint *a, const UmedptPoint *b, double x, double y)
{
  double dx = b->x - a->x, dy = b->y - a->y, n = dx * dx + dy * dy;
  double t = n > 0 ? ((x - a->x) * dx + (y - a->y) * dy) / n : 0;

  t = CLAMP (t, 0, 1);
  dx = a->x + t * dx - x;
  dy = a->y + t * dy - y;
  return dx * dx + dy * dy;
}

gboolean
umedpt_polygon_contains (const UmedptPolygon *self, double x, double y)
{
  gboolean inside = FALSE;

  if (x < self->x1 || x > self->x2 || y < self->y1 || y > self->y2)
    return FALSE;
  for (guint r = 0; r < self->ends->len; r++) {
    guint start = ring_start (self, r), n = ring_start (self, r + 1) - start;

    for (guint i = 0; i < n; i++) {
      const UmedptPoint *a = point_at (self, start + i);
      const UmedptPoint *b = point_at (self, start + (i + 1) % n);

      if (self->radius > 0) {
        if (i + 1 < n && distance2 (a, b, x, y) <= self->radius * self->radius)
          return TRUE;
      } else if ((a->y <= y) != (b->y <= y) &&
          x >= a->x + (b->x - a->x) * (y - a->y) / (b->y - a->y)) {
        inside = !inside;
      }
    }
  }
  return inside;
}

static gint
compare_edges (gconstpointer a, gconstpointer b)
{
  const Edge *p = a, *q = b;

  return (p->y0 > q->y0) - (p->y0 < q->y0);
}

static gint
compare_doubles (gconstpointer a, gconstpointer b)
{
  const double *p = a, *q = b;

  return (*p > *q) - (*p < *q);
}

/* Adds the edge if a row between @top and @bottom may cross it. */
static void
add_edge (GArray *edges, const UmedptPoint *a, const UmedptPoint *b, double top,
    double bottom)
{
  const UmedptPoint *low = a->y < b->y ? a : b, *high = low == a ? b : a;
  Edge edge = { low->y, high->y, low->x, 0 };

  if (edge.y0 == edge.y1 || edge.y1 <= top || edge.y0 > bottom)
    return;
  edge.slope = (high->x - low->x) / (high->y - low->y);
  g_array_append_val (edges, edge);
}

/* The edges of all rings that can cross the raster, by their tops. */
static GArray *
collect_edges (const UmedptPolygon *self, const UmedptRaster *raster)
{
  GArray *edges = g_array_new (FALSE, FALSE, sizeof (Edge));
  double bottom = raster->y + raster->height * raster->scale;

  for (guint r = 0; r < self->ends->len; r++) {
    guint start = ring_start (self, r), n = ring_start (self, r + 1) - start;

    for (guint i = 0; i < n; i++)
      add_edge (edges, point_at (self, start + i),
          point_at (self, start + (i + 1) % n), raster->y, bottom);
  }
  g_array_sort (edges, compare_edges);
  return edges;
}

/* Column of the first pixel whose centre is at or right of @x. */
static gint
column (const UmedptRaster *raster, double x)
{
  double at = ceil ((x - raster->x) / raster->scale - 0.5);

  return (gint) CLAMP (at, 0, raster->width);
}

static void
fill_row (const UmedptRaster *raster, GArray *crossings, guint8 *row,
    guint step, guint8 value)
{
  g_array_sort (crossings, compare_doubles);
  for (guint i = 0; i + 1 < crossings->len; i += 2) {
    gint end = column (raster, g_array_index (crossings, double, i + 1));

    for (gint x = column (raster, g_array_index (crossings, double, i));
         x < end; x++)
      row[(gsize) x * step] = value;
  }
}

static void
fill_rings (const UmedptPolygon *self, const UmedptRaster *raster, guint8 *mask,
    guint step, guint8 value)
{
  g_autoptr (GArray) edges = collect_edges (self, raster);
  g_autoptr (GArray) active = g_array_new (FALSE, FALSE, sizeof (Edge));
  g_autoptr (GArray) crossings = g_array_new (FALSE, FALSE, sizeof (double));
  guint next = 0;

  for (gint j = 0; j < raster->height; j++) {
    double y = raster->y + (j + 0.5) * raster->scale;
    guint kept = 0;

    while (next < edges->len && g_array_index (edges, Edge, next).y0 <= y)
      g_array_append_val (active, g_array_index (edges, Edge, next++));
    g_array_set_size (crossings, 0);
    for (guint i = 0; i < active->len; i++) {
      Edge edge = g_array_index (active, Edge, i);
      double x = edge.x0 + edge.slope * (y - edge.y0);

      if (edge.y1 <= y)
        continue;
      g_array_index (active, Edge, kept++) = edge;
      g_array_append_val (crossings, x);
    }
    g_array_set_size (active, kept);
    fill_row (raster, crossings, mask + (gsize) j * raster->width * step, step,
        value);
  }
}

/* All within the radius of the piece from @a to @b. */
static void
fill_piece (const UmedptPoint *a, const UmedptPoint *b, double radius,
    const UmedptRaster *raster, guint8 *mask, guint step, guint8 value)
{
  double s = raster->scale, top = MIN (a->y, b->y) - radius - raster->y;
  double left = MIN (a->x, b->x) - radius, right = MAX (a->x, b->x) + radius;
  double bottom = MAX (a->y, b->y) + radius - raster->y;
  gint first = (gint) CLAMP (floor (top / s), 0, raster->height);
  gint last = (gint) CLAMP (ceil (bottom / s), 0, raster->height);

  for (gint j = first; j < last; j++)
    for (gint i = column (raster, left); i < column (raster, right); i++) {
      double x = raster->x + (i + 0.5) * s, y = raster->y + (j + 0.5) * s;

      if (distance2 (a, b, x, y) <= radius * radius)
        mask[((gsize) j * raster->width + i) * step] = value;
    }
}

void
umedpt_polygon_fill (const UmedptPolygon *self, const UmedptRaster *raster,
    guint8 *mask, guint step, guint8 value)
{
  double s = raster->scale;

  if (self->x2 <= raster->x || self->x1 >= raster->x + raster->width * s ||
      self->y2 <= raster->y || self->y1 >= raster->y + raster->height * s)
    return;
  if (self->radius == 0) {
    fill_rings (self, raster, mask, step, value);
    return;
  }
  for (guint r = 0; r < self->ends->len; r++)
    for (guint i = ring_start (self, r); i + 1 < ring_start (self, r + 1); i++)
      fill_piece (point_at (self, i), point_at (self, i + 1), self->radius,
          raster, mask, step, value);
}
