/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The path of a frame through an inference element: it waits until the batch
 * is full (or the wait has lasted long enough, or an event follows), the batch
 * runs, the frames leave in the order in which they came. Every frame that
 * comes in goes out, with its time stamps and flags; only its inference may be
 * left out, if it is late in a live stream or marked as a gap.
 *
 * Inference is synchronous in the streaming thread; what shall run beside it
 * gets a queue element.
 */
#include "gstumedptbaseprivate.h"
#include "gstumedpterror.h"
#include "gstumedptevents.h"

GST_DEBUG_CATEGORY_EXTERN (gst_umedpt_base_debug);
#define GST_CAT_DEFAULT gst_umedpt_base_debug

static UmedptPixels
pixels_of (GstVideoFormat format)
{
  switch (format) {
    case GST_VIDEO_FORMAT_BGR:
      return UMEDPT_PIXELS_BGR;
    case GST_VIDEO_FORMAT_RGBx:
    case GST_VIDEO_FORMAT_RGBA:
      return UMEDPT_PIXELS_RGBX;
    case GST_VIDEO_FORMAT_BGRx:
    case GST_VIDEO_FORMAT_BGRA:
      return UMEDPT_PIXELS_BGRX;
    case GST_VIDEO_FORMAT_GRAY8:
      return UMEDPT_PIXELS_GRAY8;
    default:
      return UMEDPT_PIXELS_RGB;
  }
}

/* After a flush a frame may come before the segment that it belongs to; it has
 * no place in time then. */
static guint64
running_time (GstUmedptBase *self, GstClockTime pts)
{
  const GstSegment *segment = &GST_BASE_TRANSFORM (self)->segment;

  return segment->format == GST_FORMAT_TIME
      ? gst_segment_to_running_time (segment, GST_FORMAT_TIME, pts)
      : GST_CLOCK_TIME_NONE;
}

static guint64
stream_time (GstUmedptBase *self, GstClockTime pts)
{
  const GstSegment *segment = &GST_BASE_TRANSFORM (self)->segment;

  return segment->format == GST_FORMAT_TIME
      ? gst_segment_to_stream_time (segment, GST_FORMAT_TIME, pts)
      : GST_CLOCK_TIME_NONE;
}

/* --- late frames -------------------------------------------------------- */

static gboolean
is_late (GstUmedptBase *self, GstUmedptBasePrivate *priv, GstBuffer *buffer)
{
  GstClockTime running = running_time (self, GST_BUFFER_PTS (buffer));
  gboolean late = FALSE;

  GST_OBJECT_LOCK (self);
  late = priv->live && priv->qos && GST_CLOCK_TIME_IS_VALID (running) &&
      GST_CLOCK_TIME_IS_VALID (priv->earliest) && running < priv->earliest;
  GST_OBJECT_UNLOCK (self);
  return late;
}

/* The frame goes out; the message says that its result is missing. */
static void
post_qos (GstUmedptBase *self, GstUmedptBasePrivate *priv, GstBuffer *buffer)
{
  GstClockTime pts = GST_BUFFER_PTS (buffer);
  guint64 running = running_time (self, pts);
  guint64 stream = stream_time (self, pts);
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

/* --- running a batch ---------------------------------------------------- */

static void
unmap_frames (GstUmedptBasePrivate *priv, guint n)
{
  for (guint i = 0; i < n; i++)
    gst_video_frame_unmap (&priv->frames[i]);
}

/* Maps the waiting frames that want inference; their number in @n. */
static gboolean
map_frames (GstUmedptBase *self, GstUmedptBasePrivate *priv, guint *n)
{
  *n = 0;
  for (guint i = 0; i < priv->n_waiting; i++) {
    GstVideoFrame *frame = &priv->frames[*n];

    if (priv->waiting[i].skip)
      continue;
    if (!gst_video_frame_map (frame, &priv->info, priv->waiting[i].buffer,
            GST_MAP_READ | GST_VIDEO_FRAME_MAP_FLAG_NO_REF)) {
      unmap_frames (priv, *n);
      GST_ELEMENT_ERROR (self, STREAM, FAILED,
          ("A video frame is smaller than its caps say or cannot be read."),
          ("gst_video_frame_map() failed"));
      return FALSE;
    }
    priv->images[*n] = (UmedptImage){
      .data = GST_VIDEO_FRAME_PLANE_DATA (frame, 0),
      .width = GST_VIDEO_FRAME_WIDTH (frame),
      .height = GST_VIDEO_FRAME_HEIGHT (frame),
      .stride = GST_VIDEO_FRAME_PLANE_STRIDE (frame, 0),
      .pixels = pixels_of (GST_VIDEO_FRAME_FORMAT (frame)),
    };
    (*n)++;
  }
  return TRUE;
}

static void
count_batch (GstUmedptBase *self, GstUmedptBasePrivate *priv, guint n,
    GstClockTime took)
{
  GST_OBJECT_LOCK (self);
  gst_umedpt_stats_add_batch (&priv->stats, n, took);
  priv->inference = priv->inference ? (7 * priv->inference + took) / 8 : took;
  GST_OBJECT_UNLOCK (self);
}

static GstFlowReturn
infer (GstUmedptBase *self, GstUmedptBasePrivate *priv, guint n,
    GstClockTime *took)
{
  g_autoptr (GError) error = NULL;
  GstClockTime begin = gst_util_get_timestamp ();
  gboolean ok = GST_UMEDPT_BASE_GET_CLASS (self)->infer (self, priv->session,
      priv->images, n, priv->cancellable, &error);

  *took = gst_util_get_timestamp () - begin;
  unmap_frames (priv, n);
  if (ok) {
    count_batch (self, priv, n, *took);
    GST_LOG_OBJECT (self, "%u frames in %" GST_TIME_FORMAT, n,
        GST_TIME_ARGS (*took));
    return GST_FLOW_OK;
  }
  if (g_error_matches (error, UMEDPT_ERROR, UMEDPT_ERROR_CANCELLED) ||
      g_cancellable_is_cancelled (priv->cancellable))
    return GST_FLOW_FLUSHING;
  GST_UMEDPT_ELEMENT_ERROR (self, error, GST_UMEDPT_RUNNING);
  return GST_FLOW_ERROR;
}

static void
post_result (GstUmedptBase *self, GstUmedptBasePrivate *priv, guint i,
    GstBuffer *buffer)
{
  GstUmedptBaseClass *klass = GST_UMEDPT_BASE_GET_CLASS (self);
  GstClockTime pts = GST_BUFFER_PTS (buffer);
  GstStructure *s = gst_structure_new (klass->tensor, "timestamp",
      G_TYPE_UINT64, pts, "stream-time", G_TYPE_UINT64, stream_time (self, pts),
      "running-time", G_TYPE_UINT64, running_time (self, pts), "duration",
      G_TYPE_UINT64, GST_BUFFER_DURATION (buffer), NULL);

  if (klass->describe)
    klass->describe (self, priv->session, i, s);
  gst_element_post_message (GST_ELEMENT (self),
      gst_message_new_element (GST_OBJECT (self), s));
}

/* Moves the waiting frames to the ready ones, with their results. */
static void
finish_frames (GstUmedptBase *self, GstUmedptBasePrivate *priv)
{
  gboolean post = FALSE;
  guint result = 0;

  GST_OBJECT_LOCK (self);
  post = priv->post_messages;
  GST_OBJECT_UNLOCK (self);
  for (guint i = 0; i < priv->n_waiting; i++) {
    GstBuffer *buffer = priv->waiting[i].buffer;

    if (!priv->waiting[i].skip) {
      /* others may hold the frame: the result goes on a copy that shares its
       * pixels */
      buffer = gst_buffer_make_writable (buffer);
      GST_UMEDPT_BASE_GET_CLASS (self)->attach (self, priv->session, result,
          buffer);
      if (post)
        post_result (self, priv, result, buffer);
      result++;
    }
    g_queue_push_tail (&priv->ready, buffer);
  }
  priv->n_waiting = priv->n_skipped = 0;
}

static GstFlowReturn
run_batch (GstUmedptBase *self, GstUmedptBasePrivate *priv, GstClockTime *took)
{
  GstFlowReturn flow = GST_FLOW_OK;
  guint n = 0;

  gst_umedpt_timer_disarm (priv->timer);
  *took = 0;
  if (!map_frames (self, priv, &n))
    flow = GST_FLOW_ERROR;
  else if (n > 0)
    flow = infer (self, priv, n, took);
  if (flow == GST_FLOW_OK)
    finish_frames (self, priv);
  else
    gst_umedpt_batch_drop (self);
  if (flow == GST_FLOW_ERROR)
    gst_pad_push_event (GST_BASE_TRANSFORM_SRC_PAD (self),
        gst_umedpt_event_new_failed ());
  return flow;
}

/* --- in and out --------------------------------------------------------- */

static void
count_overhead (GstUmedptBase *self, GstUmedptBasePrivate *priv,
    GstClockTime begin, GstClockTime inference)
{
  GstClockTime took = gst_util_get_timestamp () - begin;

  GST_OBJECT_LOCK (self);
  priv->stats.overhead += took > inference ? took - inference : 0;
  GST_OBJECT_UNLOCK (self);
}

/* How long the first frame of a batch may wait for the others: on live input
 * a frame's time longer than they should take, else until they come. */
static GstClockTime
longest_wait (GstUmedptBase *self, GstUmedptBasePrivate *priv)
{
  GstClockTime wait = GST_CLOCK_TIME_NONE;

  GST_OBJECT_LOCK (self);
  if (priv->batch_timeout > 0)
    wait = priv->batch_timeout;
  else if (priv->live && GST_CLOCK_TIME_IS_VALID (priv->frame_duration))
    wait = priv->frame_duration * priv->capacity;
  else if (priv->live)
    wait = 40 * GST_MSECOND;
  GST_OBJECT_UNLOCK (self);
  return wait;
}

static void
take_frame (GstUmedptBase *self, GstUmedptBasePrivate *priv, GstBuffer *buffer)
{
  gboolean gap = GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_GAP);
  gboolean late = !gap && is_late (self, priv, buffer);
  gboolean skip = gap || late;
  GstClockTime wait = GST_CLOCK_TIME_NONE;

  if (late)
    post_qos (self, priv, buffer);
  GST_OBJECT_LOCK (self);
  priv->stats.frames_in++;
  priv->stats.skipped_gap += gap;
  GST_OBJECT_UNLOCK (self);

  priv->waiting[priv->n_waiting++] = (GstUmedptWaiting){ buffer, skip };
  priv->n_skipped += skip;
  if (priv->n_waiting == 1 && priv->capacity > 1) {
    wait = longest_wait (self, priv);
    if (GST_CLOCK_TIME_IS_VALID (wait))
      gst_umedpt_timer_arm (priv->timer, wait);
  }
}

GstFlowReturn
gst_umedpt_batch_submit (GstBaseTransform *trans, gboolean is_discont,
    GstBuffer *buffer)
{
  GstUmedptBase *self = GST_UMEDPT_BASE (trans);
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  GstFlowReturn flow = GST_FLOW_OK;
  GstClockTime begin = 0;

  if (!g_atomic_pointer_get (&priv->session)) {
    gst_buffer_unref (buffer);
    return GST_FLOW_FLUSHING;
  }
  gst_umedpt_base_push_model (self);
  /* the base class marks the next buffer that leaves as DISCONT; that must be
   * this one, not the first of a batch (@is_discont stays set until then) */
  if (GST_BUFFER_IS_DISCONT (buffer))
    gst_umedpt_batch_drain (self);
  begin = gst_util_get_timestamp ();
  flow = priv->flow;
  priv->flow = GST_FLOW_OK;
  if (flow != GST_FLOW_OK) {
    gst_buffer_unref (buffer);
    return flow;
  }
  flow = GST_BASE_TRANSFORM_CLASS (g_type_class_peek (GST_TYPE_BASE_TRANSFORM))
             ->submit_input_buffer (trans, is_discont, buffer);
  if (flow == GST_FLOW_OK && trans->queued_buf)
    take_frame (self, priv, g_steal_pointer (&trans->queued_buf));
  count_overhead (self, priv, begin, 0);
  return flow;
}

/* A late or missing picture has nothing to wait for. */
static gboolean
batch_is_complete (GstUmedptBasePrivate *priv)
{
  return priv->n_waiting >= priv->capacity ||
      (priv->n_waiting > 0 && priv->n_skipped == priv->n_waiting);
}

static void
note_frame_out (GstUmedptBase *self, GstUmedptBasePrivate *priv,
    GstBuffer *buffer)
{
  GstClockTime end = GST_BUFFER_PTS (buffer);
  guint64 position;

  if (GST_CLOCK_TIME_IS_VALID (end) && GST_BUFFER_DURATION_IS_VALID (buffer))
    end += GST_BUFFER_DURATION (buffer);
  position = stream_time (self, end);
  GST_OBJECT_LOCK (self);
  priv->stats.frames_out++;
  if (GST_CLOCK_TIME_IS_VALID (position))
    priv->position = position;
  GST_OBJECT_UNLOCK (self);
}

GstFlowReturn
gst_umedpt_batch_generate (GstBaseTransform *trans, GstBuffer **buffer)
{
  GstUmedptBase *self = GST_UMEDPT_BASE (trans);
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  GstClockTime begin = gst_util_get_timestamp (), took = 0;
  GstFlowReturn flow = GST_FLOW_OK;

  *buffer = NULL;
  if (!priv->ready.length && batch_is_complete (priv)) {
    flow = run_batch (self, priv, &took);
    gst_umedpt_base_announce_latency (self);
  }
  if (flow == GST_FLOW_OK)
    *buffer = g_queue_pop_head (&priv->ready);
  if (*buffer)
    note_frame_out (self, priv, *buffer);
  count_overhead (self, priv, begin, took);
  return flow;
}

GstFlowReturn
gst_umedpt_batch_drain (GstUmedptBase *self)
{
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  GstFlowReturn flow = GST_FLOW_OK;
  GstClockTime took = 0;
  GstBuffer *buffer = NULL;

  if (priv->n_waiting > 0)
    flow = run_batch (self, priv, &took);
  while (flow == GST_FLOW_OK && (buffer = g_queue_pop_head (&priv->ready))) {
    note_frame_out (self, priv, buffer);
    flow = gst_pad_push (GST_BASE_TRANSFORM_SRC_PAD (self), buffer);
  }
  if (flow != GST_FLOW_OK) {
    GST_DEBUG_OBJECT (self, "draining ended with %s", gst_flow_get_name (flow));
    gst_umedpt_batch_drop (self);
    priv->flow = flow;
  }
  return flow;
}

void
gst_umedpt_batch_drop (GstUmedptBase *self)
{
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  GstBuffer *buffer = NULL;

  if (priv->timer)
    gst_umedpt_timer_disarm (priv->timer);
  while ((buffer = g_queue_pop_head (&priv->ready)))
    gst_buffer_unref (buffer);
  for (guint i = 0; i < priv->n_waiting; i++)
    gst_buffer_unref (priv->waiting[i].buffer);
  priv->n_waiting = priv->n_skipped = 0;
}

void
gst_umedpt_batch_timeout (gpointer data)
{
  GstUmedptBase *self = GST_UMEDPT_BASE (data);
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  GstPad *pad = GST_BASE_TRANSFORM_SINK_PAD (self);

  GST_PAD_STREAM_LOCK (pad);
  if (gst_umedpt_timer_take (priv->timer)) {
    GST_DEBUG_OBJECT (self, "waited long enough, running %u of %u",
        priv->n_waiting, priv->capacity);
    gst_umedpt_batch_drain (self);
  }
  GST_PAD_STREAM_UNLOCK (pad);
}
