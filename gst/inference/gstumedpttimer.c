/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The timer of gstumedpttimer.h. A GstClock callback would run in the clock's
 * thread, which must never block; pushing a buffer may block for long.
 */
#include "inference/gstumedpttimer.h"

struct _GstUmedptTimer
{
  GstUmedptTimerFunc func;
  gpointer data;

  GThread *thread;
  GMutex lock;
  GCond cond;
  gint64 deadline; /* monotonic µs, 0 = none; under the lock */
  gboolean quit;
};

static gpointer
timer_thread (gpointer data)
{
  GstUmedptTimer *self = data;

  g_mutex_lock (&self->lock);
  while (!self->quit) {
    if (!self->deadline) {
      g_cond_wait (&self->cond, &self->lock);
    } else if (g_get_monotonic_time () < self->deadline) {
      g_cond_wait_until (&self->cond, &self->lock, self->deadline);
    } else {
      g_mutex_unlock (&self->lock);
      self->func (self->data);
      g_mutex_lock (&self->lock);
    }
  }
  g_mutex_unlock (&self->lock);
  return NULL;
}

GstUmedptTimer *
gst_umedpt_timer_new (GstUmedptTimerFunc func, gpointer data)
{
  GstUmedptTimer *self = g_new0 (GstUmedptTimer, 1);

  self->func = func;
  self->data = data;
  g_mutex_init (&self->lock);
  g_cond_init (&self->cond);
  return self;
}

void
gst_umedpt_timer_free (GstUmedptTimer *self)
{
  g_mutex_lock (&self->lock);
  self->quit = TRUE;
  g_cond_signal (&self->cond);
  g_mutex_unlock (&self->lock);
  if (self->thread)
    g_thread_join (self->thread);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->cond);
  g_free (self);
}

void
gst_umedpt_timer_arm (GstUmedptTimer *self, guint64 wait_ns)
{
  g_mutex_lock (&self->lock);
  self->deadline = g_get_monotonic_time () + (gint64) (wait_ns / 1000);
  if (!self->thread)
    self->thread = g_thread_new ("umedpt-timer", timer_thread, self);
  g_cond_signal (&self->cond);
  g_mutex_unlock (&self->lock);
}

/* No need to wake the thread: it finds no deadline when it next looks. */
void
gst_umedpt_timer_disarm (GstUmedptTimer *self)
{
  g_mutex_lock (&self->lock);
  self->deadline = 0;
  g_mutex_unlock (&self->lock);
}

gboolean
gst_umedpt_timer_take (GstUmedptTimer *self)
{
  gboolean due = FALSE;

  g_mutex_lock (&self->lock);
  due = self->deadline && g_get_monotonic_time () >= self->deadline;
  if (due)
    self->deadline = 0;
  g_mutex_unlock (&self->lock);
  return due;
}
