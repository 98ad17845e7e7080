/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * RFC 7946, section 3.1.6: a polygon is an outer ring, counterclockwise as if
 * y pointed up, and its holes, clockwise; the last position repeats the first.
 * An outline has its rings in any order and fills them by the even-odd rule.
 * Those of our own tracing tell holes by their direction, and their signed
 * areas add up to the outline's; for others the rings are counted that lie
 * around each.
 *
 * Positions have two decimals, as QuPath writes them. They are written from
 * integers, since a slide's outlines are a hundred million numbers.
 */
#include "output/geojson-shape.h"

#include <math.h>

#define SCALE 100 /* two decimals */

typedef struct
{
  const UmedptPoint *points;
  guint n;
  double sum; /* of cross products: twice the area, with a sign */
  UmedptPoint inside; /* of what it encloses; valid if has_inside */
  gboolean has_inside;
  guint depth; /* even: an outer ring */
  gint parent; /* of a hole */
} Ring;

typedef struct
{
  gint64 x, y; /* hundredths */
} Position;

static void
append_number (GString *text, gint64 hundredths)
{
  guint64 value = (guint64) ABS (hundredths), whole = value / SCALE;
  char digits[24];
  guint rest = (guint) (value % SCALE), at = sizeof digits;

  if (rest) {
    if (rest % 10)
      digits[--at] = (char) ('0' + rest % 10);
    digits[--at] = (char) ('0' + rest / 10);
    digits[--at] = '.';
  }
  do
    digits[--at] = (char) ('0' + whole % 10);
  while (whole /= 10);
  if (hundredths < 0)
    digits[--at] = '-';
  g_string_append_len (text, digits + at, (gssize) (sizeof digits - at));
}

static void
append_position (GString *text, const Position *position)
{
  g_string_append_c (text, '[');
  append_number (text, position->x);
  g_string_append_c (text, ',');
  append_number (text, position->y);
  g_string_append_c (text, ']');
}

static Position
round_point (const UmedptPoint *point, double x, double y)
{
  Position position = { llround ((point->x - x) * SCALE),
    llround ((point->y - y) * SCALE) };

  return position;
}

/* Twice the area of what is left of a ring after rounding; relative to its
 * first point, so that nothing overflows. */
static double
rounded_sum (const GArray *ring)
{
  const Position *p = (const Position *) (const void *) ring->data;
  double sum = 0;

  for (guint i = 1; i + 1 < ring->len; i++)
    sum += (double) (p[i].x - p[0].x) * (double) (p[i + 1].y - p[0].y) -
        (double) (p[i + 1].x - p[0].x) * (double) (p[i].y - p[0].y);
  return sum;
}

/* A ring of positions that differ, closed, in the wanted direction. FALSE if
 * it vanished by rounding. */
static gboolean
append_ring (GString *text, const Ring *ring, gboolean hole, double x, double y)
{
  g_autoptr (GArray) kept =
      g_array_sized_new (FALSE, FALSE, sizeof (Position), ring->n);
  gboolean backwards;
  double sum;

  for (guint i = 0; i < ring->n; i++) {
    Position now = round_point (&ring->points[i], x, y);
    const Position *last =
        kept->len ? &g_array_index (kept, Position, kept->len - 1) : NULL;

    if (!last || now.x != last->x || now.y != last->y)
      g_array_append_val (kept, now);
  }
  sum = rounded_sum (kept);
  if (kept->len < 3 || sum == 0)
    return FALSE;
  backwards = (sum < 0) != hole;
  g_string_append_c (text, '[');
  for (guint i = 0; i <= kept->len; i++) {
    guint k = i % kept->len;

    if (backwards)
      k = (kept->len - k) % kept->len;
    if (i)
      g_string_append_c (text, ',');
    append_position (text, &g_array_index (kept, Position, k));
  }
  g_string_append_c (text, ']');
  return TRUE;
}

static gboolean
contains (const Ring *ring, const UmedptPoint *at)
{
  gboolean inside = FALSE;

  for (guint i = 0; i < ring->n; i++) {
    const UmedptPoint *a = &ring->points[i],
                      *b = &ring->points[(i + 1) % ring->n];

    if ((a->y <= at->y) != (b->y <= at->y) &&
        at->x >= a->x + (b->x - a->x) * (at->y - a->y) / (b->y - a->y))
      inside = !inside;
  }
  return inside;
}

/* A point that is enclosed and on no side: half way between the two lowest
 * corners, and between the first two sides there. */
static void
find_inside (Ring *ring)
{
  double low = G_MAXDOUBLE, next = G_MAXDOUBLE, y,
         xs[2] = { G_MAXDOUBLE, G_MAXDOUBLE };

  for (guint i = 0; i < ring->n; i++)
    low = MIN (low, ring->points[i].y);
  for (guint i = 0; i < ring->n; i++)
    if (ring->points[i].y > low)
      next = MIN (next, ring->points[i].y);
  y = low + (next - low) / 2;
  for (guint i = 0; i < ring->n; i++) {
    const UmedptPoint *a = &ring->points[i],
                      *b = &ring->points[(i + 1) % ring->n];
    double x;

    if ((a->y <= y) == (b->y <= y))
      continue;
    x = a->x + (b->x - a->x) * (y - a->y) / (b->y - a->y);
    xs[1] = MIN (xs[1], MAX (x, xs[0]));
    xs[0] = MIN (xs[0], x);
  }
  ring->inside.x = (xs[0] + xs[1]) / 2;
  ring->inside.y = y;
  ring->has_inside = TRUE;
}

static GArray *
list_rings (const UmedptPolygon *outline)
{
  GArray *rings = g_array_new (FALSE, TRUE, sizeof (Ring));
  guint start = 0;

  for (guint r = 0; r < outline->ends->len; r++) {
    guint end = g_array_index (outline->ends, guint, r);
    Ring ring = { .points =
                      &g_array_index (outline->points, UmedptPoint, start),
      .n = end - start,
      .parent = -1 };
    const UmedptPoint *p = ring.points;

    for (guint i = 1; i + 1 < ring.n; i++)
      ring.sum += (p[i].x - p[0].x) * (p[i + 1].y - p[0].y) -
          (p[i + 1].x - p[0].x) * (p[i].y - p[0].y);
    if (ring.n >= 3 && ring.sum != 0)
      g_array_append_val (rings, ring);
    start = end;
  }
  return rings;
}

/* Whether directions tell holes: the signed areas are the outline's area. */
static gboolean
has_directions (const GArray *rings, double area)
{
  double sum = 0, all = 0;

  for (guint i = 0; i < rings->len; i++) {
    sum += g_array_index (rings, Ring, i).sum;
    all += fabs (g_array_index (rings, Ring, i).sum);
  }
  return fabs (fabs (sum) - 2 * area) <= 1e-9 * all;
}

/* A ring that encloses a point of this one, which none crosses, is around it
 * if it is larger, else within it. */
static void
set_depths (GArray *rings, double area)
{
  gboolean directions = has_directions (rings, area);
  double sum = 0;

  for (guint i = 0; i < rings->len; i++)
    sum += g_array_index (rings, Ring, i).sum;
  for (guint i = 0; i < rings->len; i++) {
    Ring *ring = &g_array_index (rings, Ring, i);

    if (directions) {
      ring->depth = (ring->sum > 0) != (sum > 0);
      continue;
    }
    find_inside (ring);
    for (guint j = 0; j < rings->len; j++) {
      const Ring *other = &g_array_index (rings, Ring, j);

      ring->depth += fabs (other->sum) > fabs (ring->sum) &&
          contains (other, &ring->inside);
    }
  }
}

/* The smallest outer ring around each hole; the only one, mostly. */
static void
set_parents (GArray *rings)
{
  guint n_outer = 0, last = 0;

  for (guint i = 0; i < rings->len; i++)
    if (g_array_index (rings, Ring, i).depth % 2 == 0) {
      n_outer++;
      last = i;
    }
  for (guint i = 0; i < rings->len; i++) {
    Ring *hole = &g_array_index (rings, Ring, i);
    double least = G_MAXDOUBLE;

    if (hole->depth % 2 == 0)
      continue;
    if (n_outer == 1) {
      hole->parent = (gint) last;
      continue;
    }
    if (!hole->has_inside)
      find_inside (hole);
    for (guint j = 0; j < rings->len; j++) {
      const Ring *outer = &g_array_index (rings, Ring, j);

      if (outer->depth % 2 == 1 || fabs (outer->sum) >= least ||
          fabs (outer->sum) < fabs (hole->sum) ||
          !contains (outer, &hole->inside))
        continue;
      least = fabs (outer->sum);
      hole->parent = (gint) j;
    }
  }
}

/* The outer ring number @i with its holes; FALSE if it vanished. */
static gboolean
append_polygon (GString *text, const GArray *rings, guint i,
    const GArray *holes, double x, double y)
{
  g_string_append_c (text, '[');
  if (!append_ring (text, &g_array_index (rings, Ring, i), FALSE, x, y))
    return FALSE;
  for (guint k = 0; holes && k < holes->len; k++) {
    gsize length = text->len;

    g_string_append_c (text, ',');
    if (!append_ring (text,
            &g_array_index (rings, Ring, g_array_index (holes, guint, k)), TRUE,
            x, y))
      g_string_truncate (text, length);
  }
  g_string_append_c (text, ']');
  return TRUE;
}

/* The numbers of the holes of each ring that has any. */
static GPtrArray *
list_holes (const GArray *rings)
{
  GPtrArray *lists = g_ptr_array_new ();

  g_ptr_array_set_size (lists, (gint) rings->len);
  for (guint i = 0; i < rings->len; i++) {
    gint parent = g_array_index (rings, Ring, i).parent;

    if (parent < 0)
      continue;
    if (!lists->pdata[parent])
      lists->pdata[parent] = g_array_new (FALSE, FALSE, sizeof (guint));
    g_array_append_val ((GArray *) lists->pdata[parent], i);
  }
  return lists;
}

/* Appends the polygons of an outline with commas between; returns how many. */
static guint
append_polygons (GString *text, const UmedptPolygon *outline, double x,
    double y)
{
  g_autoptr (GArray) rings = list_rings (outline);
  g_autoptr (GPtrArray) holes = NULL;
  guint n = 0;

  set_depths (rings, outline->area);
  set_parents (rings);
  holes = list_holes (rings);
  for (guint i = 0; i < rings->len; i++) {
    gsize length = text->len;

    if (g_array_index (rings, Ring, i).depth % 2 == 1)
      continue;
    if (n > 0)
      g_string_append_c (text, ',');
    if (append_polygon (text, rings, i, g_ptr_array_index (holes, i), x, y))
      n++;
    else
      g_string_truncate (text, length);
  }
  for (guint i = 0; i < holes->len; i++)
    if (holes->pdata[i])
      g_array_unref (holes->pdata[i]);
  return n;
}

/* The bounds; at least a hundredth wide and high. */
static void
append_box (GString *text, const UmedptObject *object, double x, double y)
{
  const UmedptPoint low = { object->x1, object->y1 },
                    high = { object->x2, object->y2 };
  Position from = round_point (&low, x, y), to = round_point (&high, x, y);
  Position corners[5];

  to.x = MAX (to.x, from.x + 1);
  to.y = MAX (to.y, from.y + 1);
  corners[0] = corners[4] = from;
  corners[1] = (Position){ to.x, from.y };
  corners[2] = to;
  corners[3] = (Position){ from.x, to.y };
  g_string_append (text, "[[");
  for (guint i = 0; i < 5; i++) {
    if (i)
      g_string_append_c (text, ',');
    append_position (text, &corners[i]);
  }
  g_string_append (text, "]]");
}

void
umedpt_geojson_append_shape (GString *text, const UmedptObject *object,
    double x, double y)
{
  static const char polygon[] = "{\"type\":\"Polygon\",\"coordinates\":";
  static const char several[] = "{\"type\":\"MultiPolygon\",\"coordinates\":[";
  gsize start = text->len;
  guint n = 0;

  if (object->outline) {
    g_string_append (text, polygon);
    n = append_polygons (text, object->outline, x, y);
  }
  if (n == 0) {
    g_string_truncate (text, start);
    g_string_append (text, polygon);
    append_box (text, object, x, y);
  } else if (n > 1) {
    g_string_erase (text, (gssize) start, sizeof polygon - 1);
    g_string_insert (text, (gssize) start, several);
    g_string_append_c (text, ']');
  }
  g_string_append_c (text, '}');
}
