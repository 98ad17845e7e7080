/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The objects of gstumedpthysteresis.h. Boxes take their object greedily, best
 * first, as non-maximum suppression does it: with few objects, and a display
 * rather than a count as the aim, an optimal assignment would not be seen.
 */
#include "overlay/gstumedpthysteresis.h"

#include <math.h>

#define LEAST_IOU 0.3f

typedef struct
{
  GstUmedptBox box;
  GBytes *shape;
  gint64 hits[GST_UMEDPT_HYSTERESIS_MOST_HITS]; /* a ring of times */
  guint n_hits;
  gint64 last; /* the newest of them */
  guint64 seen; /* number of the observation that it was found in */
  gboolean shown;
} Object;

struct _GstUmedptHysteresis
{
  GArray *objects; /* of Object */
  guint64 observations;
  gint64 observed; /* time of the newest one */
  gint64 now; /* newest time of all */
};

static void
clear_object (gpointer data)
{
  Object *object = data;

  g_clear_pointer (&object->shape, g_bytes_unref);
}

GstUmedptHysteresis *
gst_umedpt_hysteresis_new (void)
{
  GstUmedptHysteresis *self = g_new0 (GstUmedptHysteresis, 1);

  self->objects = g_array_new (FALSE, FALSE, sizeof (Object));
  g_array_set_clear_func (self->objects, clear_object);
  gst_umedpt_hysteresis_reset (self);
  return self;
}

void
gst_umedpt_hysteresis_free (GstUmedptHysteresis *self)
{
  g_array_unref (self->objects);
  g_free (self);
}

void
gst_umedpt_hysteresis_reset (GstUmedptHysteresis *self)
{
  g_array_set_size (self->objects, 0);
  self->observed = self->now = G_MININT64;
}

/* --- matching ----------------------------------------------------------- */

/* Positions are any finite floats, whose sums and products need doubles. */
static gdouble
get_iou (const GstUmedptBox *a, const GstUmedptBox *b)
{
  const gdouble ax = (gdouble) a->x + a->width, ay = (gdouble) a->y + a->height;
  const gdouble bx = (gdouble) b->x + b->width, by = (gdouble) b->y + b->height;
  const gdouble w = MIN (ax, bx) - MAX (a->x, b->x);
  const gdouble h = MIN (ay, by) - MAX (a->y, b->y);

  if (!(w > 0 && h > 0))
    return 0;
  return w * h /
      ((gdouble) a->width * a->height + (gdouble) b->width * b->height - w * h);
}

/* Of two small boxes: 1 where one is on the other, 0 where they are too far
 * apart to be one object. */
static gdouble
get_nearness (const GstUmedptBox *a, const GstUmedptBox *b, gdouble most)
{
  const gdouble dx = a->x + a->width / 2.0 - (b->x + b->width / 2.0);
  const gdouble dy = a->y + a->height / 2.0 - (b->y + b->height / 2.0);
  const gdouble square = dx * dx + dy * dy;

  return square < most * most ? 1 - sqrt (square) / most : 0;
}

static gfloat
get_side (const GstUmedptBox *box)
{
  return MAX (box->width, box->height);
}

/* 0: not the same object; else more is better. What overlaps well is better
 * than all that is near. */
static gdouble
compare (const GstUmedptBox *a, const GstUmedptBox *b, gfloat small)
{
  const gfloat side = MAX (get_side (a), get_side (b));
  const gdouble iou = get_iou (a, b);

  if (iou >= LEAST_IOU)
    return iou;
  return side <= small ? LEAST_IOU * get_nearness (a, b, MAX (side, small / 2))
                       : 0;
}

/* The object of before this observation that @box shows, or NULL. */
static Object *
find_object (GstUmedptHysteresis *self, guint n_before, const GstUmedptBox *box,
    gfloat small)
{
  Object *best = NULL;
  gdouble best_match = 0;

  for (guint i = 0; i < n_before; i++) {
    Object *object = &g_array_index (self->objects, Object, i);
    gdouble match;

    if (object->box.label != box->label || object->seen == self->observations)
      continue;
    match = compare (&object->box, box, small);
    if (match > best_match) {
      best_match = match;
      best = object;
    }
  }
  return best;
}

/* --- observations ------------------------------------------------------- */

static Object *
add_object (GstUmedptHysteresis *self)
{
  const guint n = self->objects->len;

  if (n >= GST_UMEDPT_HYSTERESIS_MOST_OBJECTS)
    return NULL;
  g_array_set_size (self->objects, n + 1);
  g_array_index (self->objects, Object, n) = (Object){ 0 };
  return &g_array_index (self->objects, Object, n);
}

/* It is found at @at, in observation @number. */
static void
hit (Object *object, const GstUmedptHysteresisRule *rule, gint64 at,
    guint64 number)
{
  const guint size = GST_UMEDPT_HYSTERESIS_MOST_HITS;
  const guint wanted = CLAMP (rule->hits, 1, size);

  /* it was gone, even if nobody looked meanwhile */
  if (object->seen + 1 != number && at - object->last > rule->hold)
    object->shown = FALSE;
  object->seen = number;
  object->hits[object->n_hits++ % size] = at;
  object->last = at;
  if (object->n_hits >= 2 * size) /* never wraps, and is still full */
    object->n_hits -= size;
  if (object->n_hits >= wanted &&
      at - object->hits[(object->n_hits - wanted) % size] <= rule->window)
    object->shown = TRUE;
}

static void
drop_old (GstUmedptHysteresis *self, const GstUmedptHysteresisRule *rule,
    gint64 now)
{
  const gint64 limit = MAX (rule->window, rule->hold);

  for (guint i = self->objects->len; i > 0; i--)
    if (now - g_array_index (self->objects, Object, i - 1).last > limit)
      g_array_remove_index_fast (self->objects, i - 1);
}

static void
move_to (GstUmedptHysteresis *self, gint64 now)
{
  if (now < self->now)
    gst_umedpt_hysteresis_reset (self);
  self->now = now;
}

void
gst_umedpt_hysteresis_observe (GstUmedptHysteresis *self,
    const GstUmedptHysteresisRule *rule, gint64 at, const GstUmedptBox *boxes,
    GBytes *const *shapes, guint n_boxes)
{
  guint n_before = 0;

  if (at == self->observed)
    return;
  if (at < self->observed)
    gst_umedpt_hysteresis_reset (self);
  drop_old (self, rule, at);
  self->observed = at;
  self->observations++;
  n_before = self->objects->len;
  for (guint i = 0; i < n_boxes; i++) {
    Object *object = find_object (self, n_before, &boxes[i], rule->small);

    if (!object)
      object = add_object (self);
    if (!object)
      continue;
    object->box = boxes[i];
    g_clear_pointer (&object->shape, g_bytes_unref);
    object->shape = shapes ? g_bytes_ref (shapes[i]) : NULL;
    hit (object, rule, at, self->observations);
  }
}

void
gst_umedpt_hysteresis_list (GstUmedptHysteresis *self,
    const GstUmedptHysteresisRule *rule, gint64 now, gboolean present,
    GArray *tracked)
{
  move_to (self, now);
  for (guint i = 0; i < self->objects->len; i++) {
    Object *object = &g_array_index (self->objects, Object, i);
    const gboolean current = present && object->seen == self->observations;
    GstUmedptTracked item = { object->box, object->shape, FALSE };

    if (!current && now - object->last > rule->hold)
      object->shown = FALSE;
    item.confirmed = object->shown;
    if (object->shown || current)
      g_array_append_val (tracked, item);
  }
}
