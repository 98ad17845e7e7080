/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Batches that run while the next one is collected. A card computes by itself,
 * so whoever waits for one batch before the next is collected leaves it idle
 * for that long, and the processor while the card computes. Two threads run
 * one batch each: what one prepares for the card, or makes of its answers,
 * happens while the card works for the other.
 *
 * Batches leave in the order in which they came, in the streaming thread if
 * it comes by, else by a third thread: the last frames before a pause must not
 * wait for the next one.
 */
#include "inference/gstumedptbaseprivate.h"

#define N_WORKERS 2

struct _GstUmedptAhead
{
  GstUmedptBase *element; /* outlives this */
  GThread *workers[N_WORKERS], *deliverer;

  GMutex lock;
  GCond changed;
  GQueue batches; /* of GstUmedptBatch, the oldest first */
  gboolean ending;
};

/* The oldest batch that nobody runs. */
static GstUmedptBatch *
next_batch (GstUmedptAhead *self)
{
  for (GList *i = self->batches.head; i; i = i->next) {
    GstUmedptBatch *batch = i->data;

    if (batch->state == GST_UMEDPT_BATCH_FULL)
      return batch;
  }
  return NULL;
}

static gpointer
work (gpointer data)
{
  GstUmedptAhead *self = data;

  g_mutex_lock (&self->lock);
  while (!self->ending) {
    GstUmedptBatch *batch = next_batch (self);

    if (!batch) {
      g_cond_wait (&self->changed, &self->lock);
      continue;
    }
    batch->state = GST_UMEDPT_BATCH_RUNNING;
    g_mutex_unlock (&self->lock);
    gst_umedpt_batch_look (self->element, batch);
    g_mutex_lock (&self->lock);
    batch->state = GST_UMEDPT_BATCH_DONE;
    g_cond_broadcast (&self->changed);
  }
  g_mutex_unlock (&self->lock);
  return NULL;
}

/* With the lock. */
static gboolean
oldest_is_done (GstUmedptAhead *self)
{
  const GstUmedptBatch *oldest = g_queue_peek_head (&self->batches);

  return oldest && oldest->state == GST_UMEDPT_BATCH_DONE;
}

static gpointer
deliver (gpointer data)
{
  GstUmedptAhead *self = data;

  g_mutex_lock (&self->lock);
  while (!self->ending) {
    if (!oldest_is_done (self)) {
      g_cond_wait (&self->changed, &self->lock);
      continue;
    }
    g_mutex_unlock (&self->lock);
    gst_umedpt_stream_deliver (self->element);
    g_mutex_lock (&self->lock);
  }
  g_mutex_unlock (&self->lock);
  return NULL;
}

GstUmedptAhead *
gst_umedpt_ahead_new (GstUmedptBase *element)
{
  GstUmedptAhead *self = g_new0 (GstUmedptAhead, 1);

  self->element = element;
  g_mutex_init (&self->lock);
  g_cond_init (&self->changed);
  g_queue_init (&self->batches);
  for (guint i = 0; i < N_WORKERS; i++)
    self->workers[i] = g_thread_new ("umedpt-ahead", work, self);
  self->deliverer = g_thread_new ("umedpt-deliver", deliver, self);
  return self;
}

void
gst_umedpt_ahead_free (GstUmedptAhead *self)
{
  if (!self)
    return;
  g_mutex_lock (&self->lock);
  self->ending = TRUE;
  g_cond_broadcast (&self->changed);
  g_mutex_unlock (&self->lock);
  for (guint i = 0; i < N_WORKERS; i++)
    g_thread_join (self->workers[i]);
  g_thread_join (self->deliverer);
  g_queue_clear_full (&self->batches, (GDestroyNotify) gst_umedpt_batch_free);
  g_cond_clear (&self->changed);
  g_mutex_clear (&self->lock);
  g_free (self);
}

gboolean
gst_umedpt_ahead_is_full (GstUmedptAhead *self)
{
  gboolean full;

  g_mutex_lock (&self->lock);
  full = self->batches.length >= N_WORKERS;
  g_mutex_unlock (&self->lock);
  return full;
}

void
gst_umedpt_ahead_put (GstUmedptAhead *self, GstUmedptBatch *batch)
{
  g_mutex_lock (&self->lock);
  batch->state = GST_UMEDPT_BATCH_FULL;
  g_queue_push_tail (&self->batches, batch);
  g_cond_broadcast (&self->changed);
  g_mutex_unlock (&self->lock);
}

GstUmedptBatch *
gst_umedpt_ahead_take (GstUmedptAhead *self, gboolean wait)
{
  GstUmedptBatch *batch = NULL;

  g_mutex_lock (&self->lock);
  while (wait && self->batches.length && !oldest_is_done (self))
    g_cond_wait (&self->changed, &self->lock);
  if (oldest_is_done (self))
    batch = g_queue_pop_head (&self->batches);
  g_mutex_unlock (&self->lock);
  return batch;
}
