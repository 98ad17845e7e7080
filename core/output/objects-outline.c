/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Outlines as sets of points, by a sweep: the plane is cut into strips between
 * all y at which an outline has a corner or two of them cross. Within a strip
 * edges do not cross, so what is covered there is a row of trapezoids, and
 * areas are sums of theirs, exact but for rounding. The union's outline is the
 * sides of its trapezoids, and, between strips, the pieces of the line that
 * have something on one side only; objects-rings.c chains them. Outlines of
 * pixel masks, whose edges are all upright or level, need no crossing at all.
 */
#include "output/objects-private.h"

#include <math.h>
#include <string.h>

#define SAME UMEDPT_OUTLINES_SAME

typedef struct
{
  double x1, y1, x2, y2; /* y1 < y2 */
  double at, bottom; /* x where the strip begins, and ends */
  guint owner;
} Edge;

typedef struct
{
  double left1, left2, right1, right2; /* x at the top, and at the bottom */
} Trapezoid;

typedef struct _Sweep Sweep;
/* One row of what is covered by outlines: edges of a strip, from the left. */
typedef void (*StripFunc) (Sweep *sweep, const Edge *edges, guint n, double y1,
    double y2);

struct _Sweep
{
  GArray *edges; /* Edge, by y1 */
  GArray *ys; /* double, sorted, each once */
  GArray *active; /* Edge */
  guint8 *inside; /* of each outline */
  guint n_outlines;
  StripFunc func;

  double areas[3]; /* measure: a, b, both, within the zone */

  GArray *segments; /* unite */
  GArray *above; /* Trapezoid: of the last strip … */
  GArray *row; /* … and this one */
  GArray *ends; /* double: scratch */
  double y; /* where the last strip ended */
};

static gint
compare_doubles (gconstpointer a, gconstpointer b)
{
  const double *p = a, *q = b;

  return (*p > *q) - (*p < *q);
}

static gint
compare_edges (gconstpointer a, gconstpointer b)
{
  const Edge *p = a, *q = b;

  return (p->y1 > q->y1) - (p->y1 < q->y1);
}

static void
add_edge (Sweep *self, guint owner, const UmedptPoint *a, const UmedptPoint *b,
    double top, double bottom)
{
  const UmedptPoint *low = a->y < b->y ? a : b, *high = low == a ? b : a;
  Edge edge = { low->x, low->y, high->x, high->y, 0, 0, owner };
  double y1 = MAX (edge.y1, top), y2 = MIN (edge.y2, bottom);

  if (!(y1 < y2))
    return;
  g_array_append_val (self->edges, edge);
  g_array_append_val (self->ys, y1);
  g_array_append_val (self->ys, y2);
}

/* Its edges between @top and @bottom. */
static void
add_outline (Sweep *self, const UmedptPolygon *outline, double top,
    double bottom)
{
  guint start = 0;

  for (guint r = 0; r < outline->ends->len; r++) {
    guint end = g_array_index (outline->ends, guint, r), n = end - start;
    const UmedptPoint *points =
        &g_array_index (outline->points, UmedptPoint, start);

    for (guint i = 0; i < n; i++)
      add_edge (self, self->n_outlines, &points[i], &points[(i + 1) % n], top,
          bottom);
    start = end;
  }
  self->n_outlines++;
}

static double
edge_x (const Edge *edge, double y)
{
  if (edge->x1 == edge->x2 || y <= edge->y1)
    return edge->x1;
  if (y >= edge->y2)
    return edge->x2;
  return edge->x1 +
      (edge->x2 - edge->x1) * (y - edge->y1) / (edge->y2 - edge->y1);
}

/* Active edges from left to right, by where they begin and then by where they
 * end; they nearly are already. */
static void
sort_active (Edge *edges, guint n)
{
  for (guint i = 1; i < n; i++) {
    Edge edge = edges[i];
    guint j = i;

    for (; j > 0 &&
         (edges[j - 1].at > edge.at + SAME ||
             (edges[j - 1].at > edge.at - SAME &&
                 edges[j - 1].bottom > edge.bottom));
         j--)
      edges[j] = edges[j - 1];
    edges[j] = edge;
  }
}

/* Where the first two edges cross between @y1 and @y2, else @y2. Edges that
 * cross first are neighbours. */
static double
first_crossing (const Edge *edges, guint n, double y1, double y2)
{
  double first = y2;

  for (guint i = 0; i + 1 < n; i++) {
    const Edge *a = &edges[i], *b = &edges[i + 1];
    double before = b->at - a->at, after = b->bottom - a->bottom, y;

    if (after >= -SAME || before <= SAME)
      continue;
    y = y1 + (y2 - y1) * before / (before - after);
    if (y > y1 && y < first)
      first = y;
  }
  return first;
}

/* Strips between two neighbouring corners: one, unless edges cross. */
static void
sweep_between (Sweep *self, double y1, double y2)
{
  Edge *edges = (Edge *) (void *) self->active->data;
  guint n = self->active->len;

  while (n > 0 && y1 < y2) {
    double y;

    for (guint i = 0; i < n; i++) {
      edges[i].at = edge_x (&edges[i], y1);
      edges[i].bottom = edge_x (&edges[i], y2);
    }
    sort_active (edges, n);
    y = first_crossing (edges, n, y1, y2);
    if (y < y2)
      for (guint i = 0; i < n; i++)
        edges[i].bottom = edge_x (&edges[i], y);
    self->func (self, edges, n, y1, y);
    y1 = y;
  }
}

static void
sweep_run (Sweep *self)
{
  guint next = 0, n_ys = 0;
  double *ys = (double *) (void *) self->ys->data;

  g_array_sort (self->edges, compare_edges);
  g_array_sort (self->ys, compare_doubles);
  for (guint i = 0; i < self->ys->len; i++)
    if (n_ys == 0 || ys[i] > ys[n_ys - 1])
      ys[n_ys++] = ys[i];
  for (guint k = 0; k + 1 < n_ys; k++) {
    guint kept = 0;

    for (guint i = 0; i < self->active->len; i++) {
      Edge edge = g_array_index (self->active, Edge, i);

      if (edge.y2 > ys[k])
        g_array_index (self->active, Edge, kept++) = edge;
    }
    g_array_set_size (self->active, kept);
    for (; next < self->edges->len; next++) {
      Edge edge = g_array_index (self->edges, Edge, next);

      if (edge.y1 > ys[k])
        break;
      g_array_append_val (self->active, edge);
    }
    sweep_between (self, ys[k], ys[k + 1]);
  }
}

static void
sweep_init (Sweep *self, StripFunc func)
{
  *self = (Sweep){ 0 };
  self->edges = g_array_new (FALSE, FALSE, sizeof (Edge));
  self->ys = g_array_new (FALSE, FALSE, sizeof (double));
  self->active = g_array_new (FALSE, FALSE, sizeof (Edge));
  self->func = func;
}

static void
sweep_clear (Sweep *self)
{
  g_array_unref (self->edges);
  g_array_unref (self->ys);
  g_array_unref (self->active);
  g_free (self->inside);
}

/* Outlines 0 and 1, in the zone, which is outline 2. */
static void
measure_strip (Sweep *self, const Edge *edges, guint n, double y1, double y2)
{
  guint8 *inside = self->inside;

  inside[0] = inside[1] = inside[2] = FALSE;
  for (guint i = 0; i + 1 < n; i++) {
    const Edge *a = &edges[i], *b = &edges[i + 1];
    double area;

    inside[a->owner] ^= TRUE;
    if (!inside[2])
      continue;
    area = (b->at - a->at + b->bottom - a->bottom) / 2 * (y2 - y1);
    if (inside[0])
      self->areas[0] += area;
    if (inside[1])
      self->areas[1] += area;
    if (inside[0] && inside[1])
      self->areas[2] += area;
  }
}

void
umedpt_outlines_measure (const UmedptPolygon *a, const UmedptPolygon *b,
    const UmedptRect *zone, double *area_a, double *area_b, double *shared)
{
  const UmedptPoint corners[] = { { zone->x1, zone->y1 },
    { zone->x2, zone->y1 }, { zone->x2, zone->y2 }, { zone->x1, zone->y2 } };
  Sweep sweep;

  sweep_init (&sweep, measure_strip);
  add_outline (&sweep, a, zone->y1, zone->y2);
  add_outline (&sweep, b, zone->y1, zone->y2);
  add_edge (&sweep, 2, &corners[1], &corners[2], zone->y1, zone->y2);
  add_edge (&sweep, 2, &corners[3], &corners[0], zone->y1, zone->y2);
  sweep.inside = g_new0 (guint8, 3);
  sweep_run (&sweep);
  *area_a = MAX (sweep.areas[0], 0);
  *area_b = MAX (sweep.areas[1], 0);
  *shared = MAX (sweep.areas[2], 0);
  sweep_clear (&sweep);
}

static void
add_segment (Sweep *self, double x1, double y1, double x2, double y2)
{
  UmedptSegment segment = { { x1, y1 }, { x2, y2 }, FALSE, 0 };

  if (x1 != x2 || y1 != y2)
    g_array_append_val (self->segments, segment);
}

/* What the ends of a row's trapezoids, at the bottom or top, are along x. */
static void
add_ends (GArray *ends, GArray *row, gboolean bottom)
{
  g_array_set_size (ends, 0);
  for (guint i = 0; i < row->len; i++) {
    const Trapezoid *t = &g_array_index (row, Trapezoid, i);

    g_array_append_val (ends, *(bottom ? &t->left2 : &t->left1));
    g_array_append_val (ends, *(bottom ? &t->right2 : &t->right1));
  }
}

/* The pieces of the line between two rows that are covered from one side: an
 * odd number of ends before means covered. */
static void
close_line (Sweep *self, GArray *above, GArray *below, double y)
{
  g_autoptr (GArray) lower = g_array_new (FALSE, FALSE, sizeof (double));
  const double *p, *q;
  guint i = 0, j = 0;
  double x = 0;

  add_ends (self->ends, above, TRUE);
  add_ends (lower, below, FALSE);
  p = (const double *) (const void *) self->ends->data;
  q = (const double *) (const void *) lower->data;
  while (i < self->ends->len || j < lower->len) {
    double to = MIN (i < self->ends->len ? p[i] : G_MAXDOUBLE,
        j < lower->len ? q[j] : G_MAXDOUBLE);

    if (i % 2 == 0 && j % 2 == 1)
      add_segment (self, x, y, to, y);
    else if (i % 2 == 1 && j % 2 == 0)
      add_segment (self, to, y, x, y);
    x = to;
    while (i < self->ends->len && p[i] == x)
      i++;
    while (j < lower->len && q[j] == x)
      j++;
  }
}

/* Edges in the same place are passed at once, or the seam between two parts
 * would be a side. */
static void
unite_strip (Sweep *self, const Edge *edges, guint n, double y1, double y2)
{
  guint n_inside = 0;
  Trapezoid t = { 0 };
  GArray *row = self->row;

  g_array_set_size (row, 0);
  memset (self->inside, 0, self->n_outlines);
  for (guint i = 0; i < n;) {
    const Edge *first = &edges[i];
    gboolean before = n_inside > 0;

    for (; i < n && edges[i].at <= first->at + SAME &&
         edges[i].bottom <= first->bottom + SAME &&
         edges[i].bottom >= first->bottom - SAME;
         i++) {
      guint8 *inside = &self->inside[edges[i].owner];

      *inside ^= TRUE;
      n_inside += *inside ? 1 : -1;
    }
    if (before == (n_inside > 0))
      continue;
    if (!before) {
      t.left1 = first->at;
      t.left2 = first->bottom;
      continue;
    }
    t.right1 = MAX (first->at, t.left1);
    t.right2 = MAX (first->bottom, t.left2);
    g_array_append_val (row, t);
    add_segment (self, t.left2, y2, t.left1, y1);
    add_segment (self, t.right1, y1, t.right2, y2);
  }
  if (self->above->len > 0 && self->y != y1) {
    g_autoptr (GArray) nothing = g_array_new (FALSE, FALSE, sizeof (Trapezoid));

    close_line (self, self->above, nothing, self->y);
    g_array_set_size (self->above, 0);
  }
  close_line (self, self->above, row, y1);
  self->row = self->above;
  self->above = row;
  self->y = y2;
}

UmedptPolygon *
umedpt_outlines_unite (GPtrArray *outlines)
{
  UmedptPolygon *outline;
  Sweep sweep;

  sweep_init (&sweep, unite_strip);
  sweep.segments = g_array_new (FALSE, FALSE, sizeof (UmedptSegment));
  sweep.above = g_array_new (FALSE, FALSE, sizeof (Trapezoid));
  sweep.row = g_array_new (FALSE, FALSE, sizeof (Trapezoid));
  sweep.ends = g_array_new (FALSE, FALSE, sizeof (double));
  for (guint i = 0; i < outlines->len; i++)
    add_outline (&sweep, g_ptr_array_index (outlines, i), -G_MAXDOUBLE,
        G_MAXDOUBLE);
  sweep.inside = g_new0 (guint8, sweep.n_outlines);
  sweep_run (&sweep);
  g_array_set_size (sweep.row, 0);
  close_line (&sweep, sweep.above, sweep.row, sweep.y);
  outline = umedpt_segments_chain (sweep.segments);
  g_array_unref (sweep.segments);
  g_array_unref (sweep.above);
  g_array_unref (sweep.row);
  g_array_unref (sweep.ends);
  sweep_clear (&sweep);
  return outline;
}
