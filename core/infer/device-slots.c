/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A graph has fixed addresses: it reads its input where it was recorded and
 * leaves its results where they were. A slot is such a place for one number
 * and size of images: an input, and for each step that was asked for a graph
 * and its results. Images that come into the encoder take a slot of their
 * size, and keep it as long as their features may be asked for; a stream of
 * them finds the same one again and again. Several may be on their way, so
 * there are some of a size; when all are taken, images are computed without.
 *
 * A slot that is taken for the first time has no graphs and costs nothing: a
 * size that never comes back is not worth them. Those that were not used for
 * the longest time go first.
 */
#include "infer/device-slots.h"

#define MAX_SLOTS 10
/* Of a size: two elements that share features have two batches each under way,
 * and one between them; of large batches, which take much memory and gain
 * little, one is computed, one fetched, one on its way. */
#define MAX_SMALL 5
#define MAX_LARGE 3
#define LARGE 20 /* images */

struct _UmedptSlots
{
  UmedptBackend *backend;
  guint n_tasks, n_steps;
  GMutex lock;
  GQueue all; /* UmedptSlot, the last used first */
  guint max;
};

UmedptSlots *
umedpt_slots_new (UmedptBackend *backend, guint n_tasks)
{
  UmedptSlots *self = g_new0 (UmedptSlots, 1);

  self->backend = backend;
  self->n_tasks = n_tasks;
  self->n_steps = UMEDPT_STEP_HEADS + n_tasks;
  self->max = MAX_SLOTS;
  g_mutex_init (&self->lock);
  g_queue_init (&self->all);
  return self;
}

static UmedptSlot *
slot_new (UmedptSlots *self, guint n, gint width, gint height)
{
  UmedptSlot *slot = g_new0 (UmedptSlot, 1);

  slot->n = n;
  slot->width = width;
  slot->height = height;
  slot->outputs = g_new0 (UmedptTaskOutput, self->n_tasks);
  slot->steps = g_new0 (UmedptSlotStep, self->n_steps);
  return slot;
}

static void
free_graphs (UmedptSlots *self, UmedptSlot *slot)
{
  if (self->backend->queue)
    g_rec_mutex_lock (self->backend->queue);
  for (guint i = 0; i < self->n_steps; i++)
    if (slot->steps[i].graph)
      self->backend->graph_free (self->backend, slot->steps[i].graph);
  if (self->backend->queue)
    g_rec_mutex_unlock (self->backend->queue);
}

static void
slot_free (UmedptSlots *self, UmedptSlot *slot)
{
  free_graphs (self, slot);
  umedpt_features_clear (&slot->features);
  for (guint i = 0; i < self->n_tasks; i++)
    umedpt_task_output_clear (&slot->outputs[i]);
  g_clear_pointer (&slot->input, umedpt_tensor_unref);
  g_clear_pointer (&slot->groups, umedpt_tensor_unref);
  g_free (slot->outputs);
  g_free (slot->steps);
  g_free (slot);
}

void
umedpt_slots_free (UmedptSlots *self)
{
  UmedptSlot *slot;

  if (!self)
    return;
  while ((slot = g_queue_pop_head (&self->all)))
    slot_free (self, slot);
  g_mutex_clear (&self->lock);
  g_free (self);
}

/* Makes room for one more; FALSE if all are taken. */
static gboolean
make_room (UmedptSlots *self)
{
  GList *at = self->all.tail;

  if (g_queue_get_length (&self->all) < self->max)
    return TRUE;
  while (at && ((const UmedptSlot *) at->data)->taken)
    at = at->prev;
  if (!at)
    return FALSE;
  slot_free (self, at->data);
  g_queue_delete_link (&self->all, at);
  return TRUE;
}

/* (nullable) One that is there or a new one, which is then the first. */
static UmedptSlot *
find (UmedptSlots *self, guint n, gint width, gint height)
{
  const guint max = n < LARGE ? MAX_SMALL : MAX_LARGE;
  guint of_size = 0;

  for (GList *at = self->all.head; at; at = at->next) {
    UmedptSlot *slot = at->data;

    if (slot->n != n || slot->width != width || slot->height != height)
      continue;
    if (!slot->taken) {
      g_queue_unlink (&self->all, at);
      g_queue_push_head_link (&self->all, at);
      return slot;
    }
    of_size++;
  }
  if (self->max == 0 || of_size >= max || !make_room (self))
    return NULL;
  g_queue_push_head (&self->all, slot_new (self, n, width, height));
  return self->all.head->data;
}

UmedptSlot *
umedpt_slots_take (UmedptSlots *self, guint n, gint width, gint height)
{
  UmedptSlot *slot;

  g_mutex_lock (&self->lock);
  slot = find (self, n, width, height);
  if (slot)
    slot->taken = TRUE;
  g_mutex_unlock (&self->lock);
  for (guint i = 0; slot && i < self->n_steps; i++)
    slot->steps[i].ran = FALSE;
  return slot;
}

void
umedpt_slots_give (UmedptSlots *self, UmedptSlot *slot)
{
  gboolean forgotten;

  if (!slot)
    return;
  g_mutex_lock (&self->lock);
  slot->taken = FALSE;
  forgotten = slot->forgotten;
  g_mutex_unlock (&self->lock);
  if (forgotten)
    slot_free (self, slot);
}

gboolean
umedpt_slots_forget (UmedptSlots *self)
{
  guint n = 0; /* that have graphs */
  UmedptSlot *slot;

  g_mutex_lock (&self->lock);
  while ((slot = g_queue_pop_head (&self->all))) {
    n += slot->input != NULL;
    if (slot->taken)
      slot->forgotten = TRUE;
    else
      slot_free (self, slot);
  }
  if (n)
    self->max = n / 2;
  g_mutex_unlock (&self->lock);
  return n > 0;
}
