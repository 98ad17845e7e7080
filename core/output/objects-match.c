/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Which objects of two tiles are the same. Where tiles overlap, both have seen
 * the same pixels, so what they say there is compared: intersection over
 * union in the zone they share ranks the candidates, and the best one must
 * pass the test of min_overlap. Being the best keeps neighbours apart in dense
 * tissue: the boxes of two nuclei that lie across each other share more than
 * half of the smaller one, but each has a better counterpart, its own twin.
 *
 * Of two objects, one that touches a side of its tile which lies within the
 * other tile is cut there, and the other tile may know more of it. Where tiles
 * only meet, the lengths along the seam stand for the areas.
 */
#include "output/objects-private.h"

typedef struct
{
  UmedptFound *a, *b; /* of the new tile; found before */
  guint order; /* of a, in the tile */
  double strength; /* 0 … 1 */
  UmedptLinkKind kind; /* of a to b */
} Pair;

typedef struct
{
  double from, to;
} Interval;

typedef struct
{
  double a, b, both;
} Measures;

/* The sides of @of that lie within @other, in which an object that is cut
 * there goes on. */
static guint
facing_sides (const UmedptRect *of, const UmedptRect *other)
{
  const double seam = UMEDPT_OBJECTS_SEAM;
  guint sides = 0;

  if (of->x1 > other->x1 + seam)
    sides |= UMEDPT_SIDE_LEFT;
  if (of->y1 > other->y1 + seam)
    sides |= UMEDPT_SIDE_TOP;
  if (of->x2 < other->x2 - seam)
    sides |= UMEDPT_SIDE_RIGHT;
  if (of->y2 < other->y2 - seam)
    sides |= UMEDPT_SIDE_BOTTOM;
  return sides;
}

static double
area_of (const UmedptRect *rect)
{
  return MAX (rect->x2 - rect->x1, 0) * MAX (rect->y2 - rect->y1, 0);
}

static UmedptRect
common (const UmedptRect *a, const UmedptRect *b)
{
  UmedptRect rect = { MAX (a->x1, b->x1), MAX (a->y1, b->y1),
    MIN (a->x2, b->x2), MIN (a->y2, b->y2) };

  return rect;
}

static UmedptRect
bounds_of (const UmedptFound *found)
{
  const UmedptObject *object = &found->object;
  UmedptRect rect = { object->x1, object->y1, object->x2, object->y2 };

  return rect;
}

/* Areas within @zone and of the intersection. */
static void
measure_zone (const UmedptFound *a, const UmedptFound *b,
    const UmedptRect *zone, Measures *m)
{
  UmedptRect box_a = bounds_of (a), box_b = bounds_of (b), both;

  if (a->object.outline && b->object.outline) {
    umedpt_outlines_measure (a->object.outline, b->object.outline, zone, &m->a,
        &m->b, &m->both);
    return;
  }
  box_a = common (&box_a, zone);
  box_b = common (&box_b, zone);
  both = common (&box_a, &box_b);
  m->a = area_of (&box_a);
  m->b = area_of (&box_b);
  m->both = area_of (&both);
}

/* Two that are cut: only what both tiles have seen counts. Boxes that share but
 * a corner of it are neighbours; of outlines, one may be a branch of the other. */
static gboolean
compare_parts (Pair *pair, const Measures *m, double min_overlap)
{
  pair->kind = UMEDPT_LINK_UNION;
  if (!(pair->a->object.outline && pair->b->object.outline) &&
      pair->strength < min_overlap / 2)
    return FALSE;
  return pair->a->object.label == pair->b->object.label &&
      m->both >= min_overlap * MIN (m->a, m->b);
}

/* @cut and @other, which the tile of @cut does not see cut off. If its place is
 * another tile's, half of @min_overlap will do: of a small piece, a pixel more
 * or less is much. Another class may lie within an object, as nuclei in a
 * gland; it is a second opinion only if both tiles have seen the same shape. */
static gboolean
compare_cut (Pair *pair, const Measures *m, gboolean a_is_cut,
    double min_overlap)
{
  const UmedptFound *cut = a_is_cut ? pair->a : pair->b;
  const UmedptFound *other = a_is_cut ? pair->b : pair->a;
  double share = cut->in_core ? min_overlap : min_overlap / 2;
  gboolean covered = m->both >= share * cut->object.area;

  pair->kind = !covered ? UMEDPT_LINK_UNION
      : a_is_cut        ? UMEDPT_LINK_COVERED
                        : UMEDPT_LINK_COVERS;
  if (cut->object.label != other->object.label)
    return covered && pair->strength >= min_overlap;
  return covered || m->both >= min_overlap * other->object.area;
}

static gboolean
compare_twins (Pair *pair, const Measures *m, double min_overlap)
{
  const UmedptObject *a = &pair->a->object, *b = &pair->b->object;

  pair->kind = UMEDPT_LINK_TWIN;
  if (a->label == b->label)
    return m->both >= min_overlap * MIN (a->area, b->area);
  return m->both >= min_overlap * (a->area + b->area - m->both);
}

static gboolean
compare_in_zone (Pair *pair, const UmedptRect *zone, double min_overlap)
{
  const UmedptFound *a = pair->a, *b = pair->b;
  const UmedptRect *tile_a = &a->tile->bounds, *tile_b = &b->tile->bounds;
  gboolean a_is_cut = (a->sides & facing_sides (tile_a, tile_b)) != 0;
  gboolean b_is_cut = (b->sides & facing_sides (tile_b, tile_a)) != 0;
  UmedptRect box_a = bounds_of (a), box_b = bounds_of (b);
  UmedptRect both = common (&box_a, &box_b);
  Measures m;

  both = common (&both, zone);
  /* No test can be passed with less: spares measuring outlines. */
  if (area_of (&both) <= 0 ||
      (!(a_is_cut && b_is_cut) &&
          area_of (&both) <
              min_overlap / 2 * MIN (a->object.area, b->object.area)))
    return FALSE;
  measure_zone (a, b, zone, &m);
  if (m.both <= 0)
    return FALSE;
  pair->strength = m.both / (m.a + m.b - m.both);
  if (a_is_cut && b_is_cut)
    return compare_parts (pair, &m, min_overlap);
  if (a_is_cut || b_is_cut)
    return compare_cut (pair, &m, a_is_cut, min_overlap);
  return compare_twins (pair, &m, min_overlap);
}

/* Where an outline runs along its rightmost or leftmost, lowest or topmost
 * line, within @slack. */
static void
add_contacts (GArray *intervals, const UmedptFound *found, guint side,
    double slack)
{
  const UmedptObject *object = &found->object;
  const UmedptPolygon *outline = object->outline;
  gboolean upright = side == UMEDPT_SIDE_LEFT || side == UMEDPT_SIDE_RIGHT;
  double line = side == UMEDPT_SIDE_LEFT ? object->x1
      : side == UMEDPT_SIDE_RIGHT        ? object->x2
      : side == UMEDPT_SIDE_TOP          ? object->y1
                                         : object->y2;
  guint start = 0;

  if (!outline) {
    Interval all = { upright ? object->y1 : object->x1,
      upright ? object->y2 : object->x2 };

    g_array_append_val (intervals, all);
    return;
  }
  for (guint r = 0; r < outline->ends->len; r++) {
    guint end = g_array_index (outline->ends, guint, r), n = end - start;
    const UmedptPoint *p = &g_array_index (outline->points, UmedptPoint, start);

    for (guint i = 0; i < n; i++) {
      const UmedptPoint *q = &p[(i + 1) % n];
      double from = upright ? p[i].y : p[i].x, to = upright ? q->y : q->x;
      Interval piece = { MIN (from, to), MAX (from, to) };

      if (ABS ((upright ? p[i].x : p[i].y) - line) <= slack &&
          ABS ((upright ? q->x : q->y) - line) <= slack && from != to)
        g_array_append_val (intervals, piece);
    }
    start = end;
  }
}

static gint
compare_intervals (gconstpointer a, gconstpointer b)
{
  const Interval *p = a, *q = b;

  return (p->from > q->from) - (p->from < q->from);
}

/* Joins what overlaps, cut to @limits; returns the length. */
static double
tidy_intervals (GArray *intervals, Interval limits)
{
  double length = 0;
  guint n = 0;

  g_array_sort (intervals, compare_intervals);
  for (guint i = 0; i < intervals->len; i++) {
    Interval now = g_array_index (intervals, Interval, i), *last = NULL;

    now.from = MAX (now.from, limits.from);
    now.to = MIN (now.to, limits.to);
    if (!(now.from < now.to))
      continue;
    last = n > 0 ? &g_array_index (intervals, Interval, n - 1) : NULL;
    if (last && now.from <= last->to)
      last->to = MAX (last->to, now.to);
    else
      g_array_index (intervals, Interval, n++) = now;
  }
  g_array_set_size (intervals, n);
  for (guint i = 0; i < n; i++)
    length += g_array_index (intervals, Interval, i).to -
        g_array_index (intervals, Interval, i).from;
  return length;
}

static double
shared_length (GArray *a, GArray *b)
{
  double length = 0;
  guint i = 0, j = 0;

  while (i < a->len && j < b->len) {
    const Interval *p = &g_array_index (a, Interval, i);
    const Interval *q = &g_array_index (b, Interval, j);

    length += MAX (MIN (p->to, q->to) - MAX (p->from, q->from), 0);
    if (p->to < q->to)
      i++;
    else
      j++;
  }
  return length;
}

/* Tiles that only meet: both objects must be cut by the seam. @zone is the
 * seam, upright or level. */
static gboolean
compare_at_seam (Pair *pair, const UmedptRect *zone, gboolean upright,
    double min_overlap)
{
  const UmedptFound *a = pair->a, *b = pair->b;
  g_autoptr (GArray) at_a = NULL, at_b = NULL;
  const UmedptRect *tile_a = &a->tile->bounds, *tile_b = &b->tile->bounds;
  gboolean a_first =
      upright ? tile_a->x1 < tile_b->x1 : tile_a->y1 < tile_b->y1;
  guint near = upright ? UMEDPT_SIDE_RIGHT : UMEDPT_SIDE_BOTTOM;
  guint far = upright ? UMEDPT_SIDE_LEFT : UMEDPT_SIDE_TOP;
  guint side_a = a_first ? near : far, side_b = a_first ? far : near;
  Interval limits = { upright ? zone->y1 : zone->x1,
    upright ? zone->y2 : zone->x2 };
  double length_a, length_b, both;

  if (!(a->sides & side_a) || !(b->sides & side_b) ||
      a->object.label != b->object.label)
    return FALSE;
  at_a = g_array_new (FALSE, FALSE, sizeof (Interval));
  at_b = g_array_new (FALSE, FALSE, sizeof (Interval));
  add_contacts (at_a, a, side_a, UMEDPT_OBJECTS_SEAM / 2);
  add_contacts (at_b, b, side_b, UMEDPT_OBJECTS_SEAM / 2);
  length_a = tidy_intervals (at_a, limits);
  length_b = tidy_intervals (at_b, limits);
  both = shared_length (at_a, at_b);
  if (both <= 0 || both < min_overlap * MIN (length_a, length_b))
    return FALSE;
  pair->kind = UMEDPT_LINK_UNION;
  pair->strength = both / (length_a + length_b - both);
  return TRUE;
}

static gboolean
compare (Pair *pair, double min_overlap)
{
  const double seam = UMEDPT_OBJECTS_SEAM;
  UmedptRect zone = common (&pair->a->tile->bounds, &pair->b->tile->bounds);
  double width = zone.x2 - zone.x1, height = zone.y2 - zone.y1;

  if (width > seam && height > seam)
    return compare_in_zone (pair, &zone, min_overlap);
  if (width >= -seam && height > seam)
    return compare_at_seam (pair, &zone, TRUE, min_overlap);
  if (height >= -seam && width > seam)
    return compare_at_seam (pair, &zone, FALSE, min_overlap);
  return FALSE; /* corners that touch, or tiles apart */
}

static gint
compare_pairs (gconstpointer a, gconstpointer b)
{
  const Pair *p = a, *q = b;

  if (p->order != q->order)
    return p->order < q->order ? -1 : 1;
  if (p->b->tile->number != q->b->tile->number)
    return p->b->tile->number < q->b->tile->number ? -1 : 1;
  return (p->strength < q->strength) - (p->strength > q->strength);
}

static void
add_link (UmedptFound *from, UmedptFound *to, UmedptLinkKind kind,
    double strength)
{
  UmedptLink link = { to, kind, strength };

  if (!from->links)
    from->links = g_array_new (FALSE, FALSE, sizeof (UmedptLink));
  g_array_append_val (from->links, link);
}

/* @best_of_a: no other of b's tile is better for a; likewise for b. Twins must
 * be each other's best. What is cut belongs to its best counterpart, of which
 * there may be several parts. */
static void
link_pair (const Pair *pair, gboolean best_of_a, gboolean best_of_b)
{
  static const UmedptLinkKind back[] = { UMEDPT_LINK_TWIN, UMEDPT_LINK_COVERS,
    UMEDPT_LINK_COVERED, UMEDPT_LINK_UNION };
  gboolean linked = pair->kind == UMEDPT_LINK_TWIN ? best_of_a && best_of_b
      : pair->kind == UMEDPT_LINK_COVERED          ? best_of_a
      : pair->kind == UMEDPT_LINK_COVERS           ? best_of_b
                                                   : best_of_a || best_of_b;

  if (!linked)
    return;
  add_link (pair->a, pair->b, pair->kind, pair->strength);
  add_link (pair->b, pair->a, back[pair->kind], pair->strength);
}

static void
link_pairs (GArray *pairs)
{
  double best = 0;

  g_array_sort (pairs, compare_pairs);
  for (guint i = 0; i < pairs->len; i++)
    g_array_index (pairs, Pair, i).b->best = 0;
  for (guint i = 0; i < pairs->len; i++) {
    Pair *pair = &g_array_index (pairs, Pair, i);

    pair->b->best = MAX (pair->b->best, pair->strength);
  }
  for (guint i = 0; i < pairs->len; i++) {
    const Pair *pair = &g_array_index (pairs, Pair, i), *last = pair - 1;

    if (i == 0 || pair->order != last->order || pair->b->tile != last->b->tile)
      best = pair->strength;
    link_pair (pair, pair->strength >= best, pair->strength >= pair->b->best);
  }
}

void
umedpt_objects_match (GPtrArray *fresh, UmedptGrid *grid, double min_overlap)
{
  g_autoptr (GArray) pairs = g_array_new (FALSE, FALSE, sizeof (Pair));
  g_autoptr (GPtrArray) near = g_ptr_array_new ();

  for (guint i = 0; i < fresh->len; i++) {
    UmedptFound *a = g_ptr_array_index (fresh, i);

    umedpt_grid_find (grid, &a->item.bounds, near);
    for (guint j = 0; j < near->len; j++) {
      Pair pair = { a, g_ptr_array_index (near, j), i, 0, 0 };

      if (pair.b->object.task != a->object.task ||
          !compare (&pair, min_overlap))
        continue;
      a->met = pair.b->met = TRUE;
      g_array_append_val (pairs, pair);
    }
  }
  link_pairs (pairs);
}
