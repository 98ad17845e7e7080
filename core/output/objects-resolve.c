/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What tiles have found that belongs together becomes whole objects. What is
 * covered by a whole one goes; of twins the one stays that lies in its tile's
 * core, else the better one; parts become their union: its score is the best
 * of theirs, its class the largest part's, its outline the outlines' union
 * with that one's area. Parts without outlines make a box: the bounds of all,
 * with the area of these bounds.
 *
 * The result does not depend on the order in which tiles came.
 */
#include "output/objects-private.h"

/* Sets of members of a component, as forests over their numbers. */
static guint
find_root (guint *parents, guint i)
{
  while (parents[i] != i) {
    parents[i] = parents[parents[i]];
    i = parents[i];
  }
  return i;
}

/* The smaller number stays the root: the first in the component's order. */
static void
join (guint *parents, guint a, guint b)
{
  a = find_root (parents, a);
  b = find_root (parents, b);
  parents[MAX (a, b)] = MIN (a, b);
}

static gint
compare_doubles (double a, double b)
{
  return (a > b) - (a < b);
}

/* By place: an order that only depends on what was found. */
static gint
compare_found (gconstpointer a, gconstpointer b)
{
  const UmedptFound *p = *(UmedptFound *const *) a;
  const UmedptFound *q = *(UmedptFound *const *) b;
  const double keys[][2] = { { p->object.y1, q->object.y1 },
    { p->object.x1, q->object.x1 }, { p->object.y2, q->object.y2 },
    { p->object.x2, q->object.x2 }, { p->object.label, q->object.label },
    { p->object.score, q->object.score },
    { p->tile->bounds.y1, q->tile->bounds.y1 },
    { p->tile->bounds.x1, q->tile->bounds.x1 } };

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    if (keys[i][0] != keys[i][1])
      return compare_doubles (keys[i][0], keys[i][1]);
  return 0;
}

/* Whether @a is to stay rather than its twin @b. */
static gboolean
is_better (const UmedptFound *a, const UmedptFound *b)
{
  if (a->in_core != b->in_core)
    return a->in_core;
  if (a->object.score != b->object.score)
    return a->object.score > b->object.score;
  if (a->object.area != b->object.area)
    return a->object.area > b->object.area;
  return a->index < b->index; /* by place */
}

/* The strongest link to what holds @found whole. */
static const UmedptLink *
best_cover (const UmedptFound *found)
{
  const UmedptLink *best = NULL;

  for (guint i = 0; found->links && i < found->links->len; i++) {
    const UmedptLink *link = &g_array_index (found->links, UmedptLink, i);

    if (link->kind != UMEDPT_LINK_COVERED)
      continue;
    if (!best || link->strength > best->strength ||
        (link->strength == best->strength &&
            link->other->index < best->other->index))
      best = link;
  }
  return best;
}

/* Whether a tile owns the place of this object and has found nothing there. */
static gboolean
is_refuted (const UmedptFound *found)
{
  return !found->sides && !found->in_core && found->owned && !found->met;
}

/* Where the side @line of a tile without overlap is drawn: at the left or
 * upper side of the tile that has the other part. Tiles' positions are
 * rounded, so that may be up to a pixel away. @own if there is no such part. */
static double
seam_of (const UmedptFound *found, guint side, double line, double own)
{
  const double slack = UMEDPT_OBJECTS_SEAM;

  for (guint i = 0; found->links && i < found->links->len; i++) {
    const UmedptFound *part = g_array_index (found->links, UmedptLink, i).other;
    const UmedptRect *tile = &part->tile->bounds;

    if (side == UMEDPT_SIDE_RIGHT && ABS (tile->x1 - line) <= slack)
      return tile->x1;
    if (side == UMEDPT_SIDE_BOTTOM && ABS (tile->y1 - line) <= slack)
      return tile->y1;
    if ((side == UMEDPT_SIDE_LEFT && ABS (tile->x2 - line) <= slack) ||
        (side == UMEDPT_SIDE_TOP && ABS (tile->y2 - line) <= slack))
      return line;
  }
  return own;
}

/* A copy of the outline, drawn to the seams it touches, so that no gap is left
 * between parts. */
static UmedptPolygon *
draw_to_seams (const UmedptFound *found)
{
  const UmedptObject *object = &found->object;
  const UmedptPolygon *from = object->outline;
  const UmedptRect *tile = &found->tile->bounds;
  UmedptPolygon *outline = umedpt_polygon_new ();
  UmedptRect to = { object->x1, object->y1, object->x2, object->y2 };

  if (found->sides & UMEDPT_SIDE_LEFT)
    to.x1 = seam_of (found, UMEDPT_SIDE_LEFT, tile->x1, to.x1);
  if (found->sides & UMEDPT_SIDE_TOP)
    to.y1 = seam_of (found, UMEDPT_SIDE_TOP, tile->y1, to.y1);
  if (found->sides & UMEDPT_SIDE_RIGHT)
    to.x2 = seam_of (found, UMEDPT_SIDE_RIGHT, tile->x2, to.x2);
  if (found->sides & UMEDPT_SIDE_BOTTOM)
    to.y2 = seam_of (found, UMEDPT_SIDE_BOTTOM, tile->y2, to.y2);
  g_array_append_vals (outline->points, from->points->data, from->points->len);
  g_array_append_vals (outline->ends, from->ends->data, from->ends->len);
  for (guint i = 0; i < outline->points->len; i++) {
    UmedptPoint *p = &g_array_index (outline->points, UmedptPoint, i);

    p->x = p->x == object->x1 ? to.x1 : p->x == object->x2 ? to.x2 : p->x;
    p->y = p->y == object->y1 ? to.y1 : p->y == object->y2 ? to.y2 : p->y;
  }
  return outline;
}

static void
free_outline (gpointer data)
{
  umedpt_polygon_free (data);
}

/* NULL if a part has none. */
static UmedptPolygon *
unite_outlines (GPtrArray *parts)
{
  g_autoptr (GPtrArray) outlines =
      g_ptr_array_new_with_free_func (free_outline);

  for (guint i = 0; i < parts->len; i++) {
    const UmedptFound *part = g_ptr_array_index (parts, i);

    if (!part->object.outline)
      return NULL;
    g_ptr_array_add (outlines, draw_to_seams (part));
  }
  return umedpt_outlines_unite (outlines);
}

static UmedptObject
unite (GPtrArray *parts)
{
  const UmedptFound *largest = g_ptr_array_index (parts, 0);
  UmedptObject object = largest->object;
  UmedptPolygon *outline = unite_outlines (parts);

  for (guint i = 1; i < parts->len; i++) {
    const UmedptFound *part = g_ptr_array_index (parts, i);

    object.x1 = MIN (object.x1, part->object.x1);
    object.y1 = MIN (object.y1, part->object.y1);
    object.x2 = MAX (object.x2, part->object.x2);
    object.y2 = MAX (object.y2, part->object.y2);
    object.score = MAX (object.score, part->object.score);
    if (part->object.area > largest->object.area)
      largest = part;
  }
  object.label = largest->object.label;
  object.area = (object.x2 - object.x1) * (object.y2 - object.y1);
  object.outline = outline;
  if (outline) {
    object.area = outline->area;
    object.x1 = outline->x1;
    object.y1 = outline->y1;
    object.x2 = outline->x2;
    object.y2 = outline->y2;
  }
  return object;
}

/* One part stays as it is; its outline is taken. */
static void
take (GPtrArray *parts, GArray *objects)
{
  UmedptFound *first = g_ptr_array_index (parts, 0);
  UmedptObject object;

  if (parts->len > 1) {
    object = unite (parts);
  } else {
    object = first->object;
    first->object.outline = NULL;
  }
  g_array_append_val (objects, object);
}

/* Joins twins, and the members of one object; @twins and @whole are forests
 * over the component. */
static void
join_members (GPtrArray *component, guint *twins, guint *whole)
{
  for (guint i = 0; i < component->len; i++) {
    const UmedptFound *found = g_ptr_array_index (component, i);
    const UmedptLink *cover = best_cover (found);

    for (guint j = 0; found->links && j < found->links->len; j++) {
      const UmedptLink *link = &g_array_index (found->links, UmedptLink, j);

      if (link->kind == UMEDPT_LINK_TWIN)
        join (twins, i, link->other->index);
      if (link->kind == UMEDPT_LINK_TWIN || link->kind == UMEDPT_LINK_UNION)
        join (whole, i, link->other->index);
    }
    if (cover)
      join (whole, i, cover->other->index);
  }
}

/* Marks what stays. Of each set of twins the best one
 * does, unless it is covered; of each whole at least the largest member. */
static void
choose (GPtrArray *component, guint *twins, guint *whole)
{
  const guint n = component->len;
  g_autofree UmedptFound **best = g_new0 (UmedptFound *, n);
  g_autofree UmedptFound **largest = g_new0 (UmedptFound *, n);
  g_autofree gboolean *has = g_new0 (gboolean, n);

  for (guint i = 0; i < n; i++) {
    UmedptFound *found = g_ptr_array_index (component, i);
    guint set = find_root (twins, i), object = find_root (whole, i);

    if (!largest[object] || found->object.area > largest[object]->object.area)
      largest[object] = found;
    if (!best_cover (found) && (!best[set] || is_better (found, best[set])))
      best[set] = found;
  }
  for (guint i = 0; i < n; i++) {
    UmedptFound *found = g_ptr_array_index (component, i);

    found->stays = best[find_root (twins, i)] == found;
    has[find_root (whole, i)] |= found->stays;
  }
  for (guint i = 0; i < n; i++)
    if (largest[i] && !has[i])
      largest[i]->stays = TRUE;
}

void
umedpt_objects_resolve (GPtrArray *component, GArray *objects)
{
  const guint n = component->len;
  g_autofree guint *twins = NULL, *whole = NULL;
  g_autofree GPtrArray **parts = NULL;

  if (n == 1) {
    if (!is_refuted (g_ptr_array_index (component, 0)))
      take (component, objects);
    return;
  }
  g_ptr_array_sort (component, compare_found);
  twins = g_new (guint, n);
  whole = g_new (guint, n);
  parts = g_new0 (GPtrArray *, n);
  for (guint i = 0; i < n; i++) {
    ((UmedptFound *) g_ptr_array_index (component, i))->index = i;
    twins[i] = whole[i] = i;
  }
  join_members (component, twins, whole);
  choose (component, twins, whole);
  for (guint i = 0; i < n; i++) {
    UmedptFound *found = g_ptr_array_index (component, i);
    guint object = find_root (whole, i);

    if (!found->stays)
      continue;
    if (!parts[object])
      parts[object] = g_ptr_array_new ();
    g_ptr_array_add (parts[object], found);
  }
  for (guint i = 0; i < n; i++)
    if (parts[i]) {
      take (parts[i], objects);
      g_ptr_array_unref (parts[i]);
    }
}
