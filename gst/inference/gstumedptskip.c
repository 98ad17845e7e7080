/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Frames that are not looked at: those that come too late in a live stream, and
 * what they and others carry instead of results of their own.
 */
#include "common/gstumedptmetaprivate.h"
#include "common/gstumedptresultsprivate.h"
#include "inference/gstumedptbaseprivate.h"

/* After a flush a frame may come before the segment that it belongs to; it has
 * no place in time then. */
guint64
gst_umedpt_base_running_time (GstUmedptBase *self, GstClockTime pts)
{
  const GstSegment *segment = &GST_BASE_TRANSFORM (self)->segment;

  return segment->format == GST_FORMAT_TIME
      ? gst_segment_to_running_time (segment, GST_FORMAT_TIME, pts)
      : GST_CLOCK_TIME_NONE;
}

guint64
gst_umedpt_base_stream_time (GstUmedptBase *self, GstClockTime pts)
{
  const GstSegment *segment = &GST_BASE_TRANSFORM (self)->segment;

  return segment->format == GST_FORMAT_TIME
      ? gst_segment_to_stream_time (segment, GST_FORMAT_TIME, pts)
      : GST_CLOCK_TIME_NONE;
}

/* --- late frames -------------------------------------------------------- */

gboolean
gst_umedpt_skip_is_late (GstUmedptBase *self, GstBuffer *buffer)
{
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  GstClockTime running =
      gst_umedpt_base_running_time (self, GST_BUFFER_PTS (buffer));
  gboolean late = FALSE;

  GST_OBJECT_LOCK (self);
  late = priv->live && priv->qos && GST_CLOCK_TIME_IS_VALID (running) &&
      GST_CLOCK_TIME_IS_VALID (priv->earliest) && running < priv->earliest;
  GST_OBJECT_UNLOCK (self);
  return late;
}

/* The frame goes out; the message says that its result is missing. */
void
gst_umedpt_skip_post_late (GstUmedptBase *self, GstBuffer *buffer)
{
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  GstClockTime pts = GST_BUFFER_PTS (buffer);
  guint64 running = gst_umedpt_base_running_time (self, pts);
  guint64 stream = gst_umedpt_base_stream_time (self, pts);
  GstMessage *message = NULL;

  GST_OBJECT_LOCK (self);
  priv->stats.skipped_late++;
  message = gst_message_new_qos (GST_OBJECT (self), TRUE, running, stream, pts,
      GST_BUFFER_DURATION (buffer));
  gst_message_set_qos_values (message, GST_CLOCK_DIFF (running, priv->earliest),
      priv->proportion, 1000000);
  gst_message_set_qos_stats (message, GST_FORMAT_BUFFERS, priv->stats.inferred,
      priv->stats.skipped_late);
  GST_OBJECT_UNLOCK (self);
  gst_element_post_message (GST_ELEMENT (self), message);
}

/* --- results of an earlier frame ---------------------------------------- */

/* The results are kept as they were, for the frame may also have those of other
 * elements, which are no concern of ours. */
void
gst_umedpt_skip_attach (GstUmedptBase *self, GstBuffer *results,
    GstBuffer *buffer)
{
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  gboolean hold = FALSE;

  gst_buffer_copy_umedpt_results (buffer, results);
  gst_buffer_copy_umedpt_tensors (buffer, results);
  GST_OBJECT_LOCK (self);
  hold = priv->hold > 0;
  GST_OBJECT_UNLOCK (self);
  if (hold)
    gst_buffer_replace (&priv->last, results);
}

/* Puts the newest results on a frame without its own, if they are young
 * enough. */
GstBuffer *
gst_umedpt_skip_attach_held (GstUmedptBase *self, GstBuffer *buffer)
{
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  GstClockTime hold = 0, now = GST_BUFFER_PTS (buffer), then = 0;

  GST_OBJECT_LOCK (self);
  hold = priv->hold;
  GST_OBJECT_UNLOCK (self);
  if (priv->beside && hold == 0)
    hold = GST_SECOND;
  if (!priv->last || hold == 0)
    return buffer;
  then = GST_BUFFER_PTS (priv->last);
  if (!GST_CLOCK_TIME_IS_VALID (now) || !GST_CLOCK_TIME_IS_VALID (then) ||
      now < then || now - then > hold)
    return buffer;
  buffer = gst_buffer_make_writable (buffer);
  gst_buffer_copy_umedpt_results (buffer, priv->last);
  GST_OBJECT_LOCK (self);
  gst_umedpt_stats_add_age (&priv->stats, now - then);
  GST_OBJECT_UNLOCK (self);
  return buffer;
}
