/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Inference beside the stream, for live pictures that must not wait: a thread
 * takes a frame, runs encoder and heads, and leaves the results for the frames
 * that come by meanwhile and after. It takes the next frame when it is done
 * with the last one; those between are not looked at. Nothing is queued, so
 * results are as young as the device allows.
 *
 * The thread works on a copy of the frame: downstream may draw on the frame
 * itself, which would cost a copy of every frame if this one were only shared.
 */
#include "common/gstumedpterror.h"
#include "inference/gstumedptbaseprivate.h"
#include "inference/gstumedptcuda.h"

struct _GstUmedptBeside
{
  GstUmedptBase *element; /* outlives this */
  GThread *thread;

  GMutex lock;
  GCond cond;
  gboolean ending;
  gboolean busy; /* from offer() until the results are there */
  GstBuffer *frame; /* (nullable) to be looked at */
  GstVideoInfo info; /* of that frame */
  guint64 generation; /* counts drops; older results are void */
  GstBuffer *results; /* (nullable) not fetched yet */
  gboolean failed;
};

/* @target gets what is found in @frame. */
static gboolean
look_at (GstUmedptBase *element, GstBuffer *frame, const GstVideoInfo *info,
    GstBuffer *target, GError **error)
{
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (element);
  g_autoptr (UmedptSession) session = NULL;
  GstUmedptLook look = { 0 };
  GstVideoFrame mapped;
  gboolean ok;

  GST_OBJECT_LOCK (element);
  session = g_object_ref (priv->session);
  GST_OBJECT_UNLOCK (element);
  if (!gst_umedpt_cuda_map (&mapped, info, frame,
          gst_umedpt_cuda_map_flags (session, &frame, 1))) {
    g_set_error_literal (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
        "A video frame is smaller than its caps say or cannot be read.");
    return FALSE;
  }
  ok = gst_umedpt_look (element, session, &mapped, &frame, 1, &look, error);
  gst_video_frame_unmap (&mapped);
  ok = ok &&
      GST_UMEDPT_BASE_GET_CLASS (element)->process (element, &look, target,
          error);
  gst_umedpt_look_clear (&look);
  return ok;
}

static void
count (GstUmedptBase *element, GstClockTime took)
{
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (element);

  GST_OBJECT_LOCK (element);
  gst_umedpt_stats_add_batch (&priv->stats, 1, took);
  GST_OBJECT_UNLOCK (element);
}

/* Without the lock. */
static GstBuffer *
run (GstUmedptBeside *self, GstBuffer *frame, const GstVideoInfo *info)
{
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self->element);
  GstBuffer *target = gst_buffer_new ();
  g_autoptr (GError) error = NULL;

  GST_BUFFER_PTS (target) = GST_BUFFER_PTS (frame);
  if (look_at (self->element, frame, info, target, &error))
    return target;
  gst_buffer_unref (target);
  if (!g_error_matches (error, UMEDPT_ERROR, UMEDPT_ERROR_CANCELLED) &&
      !g_cancellable_is_cancelled (priv->cancellable)) {
    GST_UMEDPT_ELEMENT_ERROR (self->element, error, GST_UMEDPT_RUNNING);
    g_mutex_lock (&self->lock);
    self->failed = TRUE;
    g_mutex_unlock (&self->lock);
  }
  return NULL;
}

static gpointer
work (gpointer data)
{
  GstUmedptBeside *self = data;

  g_mutex_lock (&self->lock);
  while (!self->ending) {
    GstBuffer *frame = g_steal_pointer (&self->frame);
    GstVideoInfo info = self->info;
    guint64 generation = self->generation;
    GstClockTime begin = gst_util_get_timestamp (), took = 0;
    GstBuffer *results = NULL;
    gboolean found = FALSE;

    if (!frame) {
      g_cond_wait (&self->cond, &self->lock);
      continue;
    }
    g_mutex_unlock (&self->lock);
    results = run (self, frame, &info);
    found = results != NULL;
    took = gst_util_get_timestamp () - begin;
    gst_buffer_unref (frame);
    g_mutex_lock (&self->lock);
    if (generation == self->generation && results) {
      gst_clear_buffer (&self->results);
      self->results = g_steal_pointer (&results);
    }
    gst_clear_buffer (&results);
    self->busy = self->frame != NULL;
    g_mutex_unlock (&self->lock);
    /* last: who sees the count finds the results */
    if (found)
      count (self->element, took);
    g_mutex_lock (&self->lock);
  }
  g_mutex_unlock (&self->lock);
  return NULL;
}

GstUmedptBeside *
gst_umedpt_beside_new (GstUmedptBase *element)
{
  GstUmedptBeside *self = g_new0 (GstUmedptBeside, 1);

  self->element = element;
  g_mutex_init (&self->lock);
  g_cond_init (&self->cond);
  self->thread = g_thread_new ("umedpt-beside", work, self);
  return self;
}

void
gst_umedpt_beside_free (GstUmedptBeside *self)
{
  if (!self)
    return;
  g_mutex_lock (&self->lock);
  self->ending = TRUE;
  g_cond_signal (&self->cond);
  g_mutex_unlock (&self->lock);
  g_thread_join (self->thread);
  gst_clear_buffer (&self->frame);
  gst_clear_buffer (&self->results);
  g_cond_clear (&self->cond);
  g_mutex_clear (&self->lock);
  g_free (self);
}

void
gst_umedpt_beside_offer (GstUmedptBeside *self, GstBuffer *buffer,
    const GstVideoInfo *info)
{
  GstBuffer *copy = NULL;
  gboolean busy;

  g_mutex_lock (&self->lock);
  busy = self->busy;
  g_mutex_unlock (&self->lock);
  /* only this thread makes it busy */
  if (busy)
    return;
  copy = gst_buffer_copy_deep (buffer);
  g_mutex_lock (&self->lock);
  gst_clear_buffer (&self->frame);
  self->frame = copy;
  self->info = *info;
  self->busy = TRUE;
  g_cond_signal (&self->cond);
  g_mutex_unlock (&self->lock);
}

GstBuffer *
gst_umedpt_beside_get (GstUmedptBeside *self)
{
  GstBuffer *results = NULL;

  g_mutex_lock (&self->lock);
  results = g_steal_pointer (&self->results);
  g_mutex_unlock (&self->lock);
  return results;
}

gboolean
gst_umedpt_beside_take_failure (GstUmedptBeside *self)
{
  gboolean failed;

  g_mutex_lock (&self->lock);
  failed = self->failed;
  self->failed = FALSE;
  g_mutex_unlock (&self->lock);
  return failed;
}

void
gst_umedpt_beside_drop (GstUmedptBeside *self)
{
  g_mutex_lock (&self->lock);
  gst_clear_buffer (&self->results);
  self->generation++;
  if (self->frame) { /* not taken yet: it would count as of this generation */
    gst_clear_buffer (&self->frame);
    self->busy = FALSE;
  }
  g_mutex_unlock (&self->lock);
}
