/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Frames that are ready to leave: with what was found in them, in the order in
 * which they came. All functions hold the stream lock.
 */
#include "inference/gstumedptbaseprivate.h"
#include "inference/gstumedptfeatures.h"

void
gst_umedpt_ready_post_result (GstUmedptBase *self, GstBuffer *buffer)
{
  GstUmedptBaseClass *klass = GST_UMEDPT_BASE_GET_CLASS (self);
  GstClockTime pts = GST_BUFFER_PTS (buffer);
  GstStructure *s = gst_structure_new (klass->result, "timestamp",
      G_TYPE_UINT64, pts, "stream-time", G_TYPE_UINT64,
      gst_umedpt_base_stream_time (self, pts), "running-time", G_TYPE_UINT64,
      gst_umedpt_base_running_time (self, pts), "duration", G_TYPE_UINT64,
      GST_BUFFER_DURATION (buffer), NULL);

  if (klass->describe)
    klass->describe (self, buffer, s);
  gst_element_post_message (GST_ELEMENT (self),
      gst_message_new_element (GST_OBJECT (self), s));
}

/* The features go along where a later element wants them. */
static void
hand_on_features (GstUmedptBase *self, GstUmedptBasePrivate *priv,
    const GstUmedptLook *look, GstBuffer *buffer)
{
  g_autoptr (GArray) wanted = NULL;

  GST_OBJECT_LOCK (self);
  wanted = priv->wanted ? g_array_ref (priv->wanted) : NULL;
  GST_OBJECT_UNLOCK (self);
  if (look && look->shared) {
    GstUmedptView *view = &look->views[0];
    GstUmedptWanted what = { look->session, 0, 0 };

    umedpt_encoding_get_size (view->encoding, &what.width, &what.height);
    if (umedpt_encoding_has_features (view->encoding) &&
        gst_umedpt_features_are_wanted (wanted, &what))
      gst_umedpt_features_attach (buffer, view->encoding, view->index,
          look->checksum);
  }
  gst_umedpt_features_release (buffer, wanted);
}

void
gst_umedpt_ready_add (GstUmedptBase *self, UmedptSession *session,
    const GstUmedptWaiting *frame, GstBuffer *buffer)
{
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  GstUmedptBaseClass *klass = GST_UMEDPT_BASE_GET_CLASS (self);
  GstUmedptWaiting *done = g_new (GstUmedptWaiting, 1);

  if (klass->finish)
    buffer = klass->finish (self, session, buffer, &priv->info);
  *done = *frame;
  done->buffer = buffer;
  g_queue_push_tail (&priv->ready, done);
}

/* Results go on a copy that shares the frame's pixels where others hold it,
 * too. */
static GstBuffer *
finish_frame (GstUmedptBase *self, GstUmedptBasePrivate *priv,
    const GstUmedptLook *look, GstBuffer *results, GstBuffer *buffer)
{
  gboolean post = FALSE;

  GST_OBJECT_LOCK (self);
  post = priv->post_messages;
  gst_umedpt_stats_add_age (&priv->stats, 0);
  GST_OBJECT_UNLOCK (self);
  buffer = gst_buffer_make_writable (buffer);
  gst_umedpt_skip_attach (self, results, buffer);
  hand_on_features (self, priv, look, buffer);
  if (post)
    gst_umedpt_ready_post_result (self, buffer);
  return buffer;
}

static GstBuffer *
finish_skipped (GstUmedptBase *self, GstUmedptBasePrivate *priv,
    GstBuffer *buffer)
{
  buffer =
      gst_buffer_make_writable (gst_umedpt_skip_attach_held (self, buffer));
  hand_on_features (self, priv, NULL, buffer);
  return buffer;
}

void
gst_umedpt_ready_add_batch (GstUmedptBase *self, GstUmedptBatch *batch)
{
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  guint next = 0;

  for (guint i = 0; i < batch->n; i++) {
    GstUmedptWaiting *frame = &batch->frames[i];
    GstBuffer *buffer = g_steal_pointer (&frame->buffer);

    if (frame->skip) {
      buffer = finish_skipped (self, priv, buffer);
    } else {
      buffer = finish_frame (self, priv, &batch->looks[next],
          batch->results[next], buffer);
      next++;
    }
    gst_umedpt_ready_add (self, batch->session, frame, buffer);
  }
}

GstBuffer *
gst_umedpt_ready_take (GstUmedptBase *self)
{
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  g_autofree GstUmedptWaiting *frame = g_queue_pop_head (&priv->ready);
  GstBuffer *buffer = frame ? frame->buffer : NULL;
  GstClockTime end = GST_CLOCK_TIME_NONE;
  guint64 position = 0;

  if (!buffer)
    return NULL;
  end = GST_BUFFER_PTS (buffer);

  if (GST_CLOCK_TIME_IS_VALID (end) && GST_BUFFER_DURATION_IS_VALID (buffer))
    end += GST_BUFFER_DURATION (buffer);
  position = gst_umedpt_base_stream_time (self, end);
  GST_OBJECT_LOCK (self);
  gst_umedpt_stats_add_delay (&priv->stats,
      gst_util_get_timestamp () - frame->arrived);
  if (GST_CLOCK_TIME_IS_VALID (position))
    priv->position = position;
  GST_OBJECT_UNLOCK (self);
  return buffer;
}
