/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The frames' way through an inference element: a frame waits until the batch
 * is full (or the wait has lasted long enough, or an event follows), the batch
 * runs, the frames leave in the order in which they came. Every frame that
 * comes in goes out, with its time stamps and flags; only its inference may be
 * left out, if it is late in a live stream, marked as a gap, or not its turn.
 * It may then carry the last results, for a limited time.
 *
 * A batch runs in the streaming thread. On a device that computes while the
 * processor does something else, and where no clock waits for the frames, it
 * runs beside (gstumedptahead.c), and the next one is collected meanwhile. All
 * functions here hold the stream lock. Frames that shall not wait for their
 * results at all are in gstumedptbeside.c.
 */
#include "common/gstumedpterror.h"
#include "common/gstumedptevents.h"
#include "inference/gstumedptbaseprivate.h"

GST_DEBUG_CATEGORY_EXTERN (gst_umedpt_base_debug);
#define GST_CAT_DEFAULT gst_umedpt_base_debug

/* --- a batch that was looked at ------------------------------------------ */

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
failure (GstUmedptBase *self, GstUmedptBasePrivate *priv, const GError *error)
{
  if (g_error_matches (error, UMEDPT_ERROR, UMEDPT_ERROR_CANCELLED) ||
      g_cancellable_is_cancelled (priv->cancellable))
    return GST_FLOW_FLUSHING;
  GST_UMEDPT_ELEMENT_ERROR (self, error, GST_UMEDPT_RUNNING);
  return GST_FLOW_ERROR;
}

/* (transfer full): @batch */
static GstFlowReturn
finish_batch (GstUmedptBase *self, GstUmedptBasePrivate *priv,
    GstUmedptBatch *batch)
{
  GstFlowReturn flow = GST_FLOW_OK;

  if (batch->error)
    flow = failure (self, priv, batch->error);
  else
    gst_umedpt_ready_add_batch (self, batch);
  if (flow == GST_FLOW_OK && batch->n_looked > 0) {
    count_batch (self, priv, batch->n_looked, batch->took);
    GST_LOG_OBJECT (self, "%u frames in %" GST_TIME_FORMAT, batch->n_looked,
        GST_TIME_ARGS (batch->took));
  }
  gst_umedpt_batch_free (batch);
  if (flow != GST_FLOW_OK)
    gst_umedpt_stream_drop (self);
  if (flow == GST_FLOW_ERROR)
    gst_pad_push_event (GST_BASE_TRANSFORM_SRC_PAD (self),
        gst_umedpt_event_new_failed ());
  return flow;
}

/* --- running a batch ----------------------------------------------------- */

static GstFlowReturn
push_ready (GstUmedptBase *self, GstUmedptBasePrivate *priv)
{
  GstFlowReturn flow = GST_FLOW_OK;
  GstBuffer *buffer = NULL;

  while (flow == GST_FLOW_OK && (buffer = gst_umedpt_ready_take (self)))
    flow = gst_pad_push (GST_BASE_TRANSFORM_SRC_PAD (self), buffer);
  return flow;
}

/* The oldest batch under way, if it is done or with @wait. */
static GstFlowReturn
finish_oldest (GstUmedptBase *self, GstUmedptBasePrivate *priv, gboolean wait)
{
  GstUmedptBatch *batch =
      priv->ahead ? gst_umedpt_ahead_take (priv->ahead, wait) : NULL;

  return batch ? finish_batch (self, priv, batch) : GST_FLOW_OK;
}

/* Pushes what is under way, all of it with @wait, else what is done. A batch
 * that fails must not take those before it along, so they leave first. */
static GstFlowReturn
push_ahead (GstUmedptBase *self, GstUmedptBasePrivate *priv, gboolean wait)
{
  GstFlowReturn flow = GST_FLOW_OK;

  do {
    flow = push_ready (self, priv);
    if (flow == GST_FLOW_OK)
      flow = finish_oldest (self, priv, wait);
  } while (flow == GST_FLOW_OK && priv->ready.length);
  return flow;
}

/* Whether batches run beside. A live frame's results are wanted before the next
 * one comes, and a processor has nothing else to compute with. */
static gboolean
works_ahead (GstUmedptBase *self, GstUmedptBasePrivate *priv)
{
  gboolean live = FALSE;

  GST_OBJECT_LOCK (self);
  live = priv->live;
  GST_OBJECT_UNLOCK (self);
  return !live && umedpt_session_has_device (priv->session);
}

static GstFlowReturn
run_ahead (GstUmedptBase *self, GstUmedptBasePrivate *priv,
    GstUmedptBatch *batch)
{
  GstFlowReturn flow = GST_FLOW_OK;

  if (!priv->ahead)
    priv->ahead = gst_umedpt_ahead_new (self);
  if (gst_umedpt_ahead_is_full (priv->ahead))
    flow = finish_oldest (self, priv, TRUE);
  if (flow == GST_FLOW_OK)
    gst_umedpt_ahead_put (priv->ahead, batch);
  else
    gst_umedpt_batch_free (batch);
  return flow;
}

/* A model that has been loaded meanwhile takes over between two batches, when
 * the frames of the old one have left. */
static GstFlowReturn
take_model (GstUmedptBase *self, GstUmedptBasePrivate *priv)
{
  GstFlowReturn flow = GST_FLOW_OK;

  if (!gst_umedpt_reload_is_done (self))
    return GST_FLOW_OK;
  flow = push_ahead (self, priv, TRUE);
  if (flow == GST_FLOW_OK)
    gst_umedpt_reload_take (self);
  return flow;
}

/* Runs the frames that have been collected. */
static GstFlowReturn
run_batch (GstUmedptBase *self, GstUmedptBasePrivate *priv)
{
  GstUmedptBatch *batch = NULL;
  GstFlowReturn flow = GST_FLOW_OK;

  gst_umedpt_timer_disarm (priv->timer);
  flow = take_model (self, priv);
  if (flow != GST_FLOW_OK)
    return flow;
  batch = g_steal_pointer (&priv->batch);
  gst_umedpt_batch_map (batch, priv->session, &priv->info);
  if (works_ahead (self, priv))
    return run_ahead (self, priv, batch);
  flow = push_ahead (self, priv, TRUE);
  if (flow != GST_FLOW_OK) {
    gst_umedpt_batch_free (batch);
    return flow;
  }
  gst_umedpt_batch_look (self, batch);
  return finish_batch (self, priv, batch);
}

/* --- frames that do not wait -------------------------------------------- */

static GstFlowReturn
pass_frame (GstUmedptBase *self, GstUmedptBasePrivate *priv,
    GstUmedptWaiting *frame)
{
  GstBuffer *newest = NULL;
  gboolean post = FALSE;

  if (gst_umedpt_beside_take_failure (priv->beside)) {
    gst_buffer_unref (frame->buffer);
    gst_pad_push_event (GST_BASE_TRANSFORM_SRC_PAD (self),
        gst_umedpt_event_new_failed ());
    return GST_FLOW_ERROR;
  }
  gst_umedpt_reload_take (self);
  newest = gst_umedpt_beside_get (priv->beside);
  if (newest) {
    gst_clear_buffer (&priv->last);
    priv->last = newest;
    GST_OBJECT_LOCK (self);
    post = priv->post_messages;
    GST_OBJECT_UNLOCK (self);
    if (post)
      gst_umedpt_ready_post_result (self, newest);
  }
  if (!frame->skip)
    gst_umedpt_beside_offer (priv->beside, frame->buffer, &priv->info);
  frame->buffer = gst_umedpt_skip_attach_held (self, frame->buffer);
  gst_umedpt_ready_add (self, priv->session, frame, frame->buffer);
  return GST_FLOW_OK;
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

/* Every frame of the interval's number but the first has no turn. */
static gboolean
has_turn (GstUmedptBase *self, GstUmedptBasePrivate *priv)
{
  guint interval = 1;

  GST_OBJECT_LOCK (self);
  interval = priv->interval;
  GST_OBJECT_UNLOCK (self);
  return priv->turn++ % interval == 0;
}

static GstFlowReturn
take_frame (GstUmedptBase *self, GstUmedptBasePrivate *priv, GstBuffer *buffer,
    GstClockTime arrived)
{
  gboolean gap = GST_BUFFER_FLAG_IS_SET (buffer, GST_BUFFER_FLAG_GAP);
  gboolean turn = gap || has_turn (self, priv);
  gboolean late =
      !gap && turn && !priv->beside && gst_umedpt_skip_is_late (self, buffer);
  GstUmedptWaiting frame = { buffer, arrived, gap || late || !turn };
  GstClockTime wait = GST_CLOCK_TIME_NONE;

  if (late)
    gst_umedpt_skip_post_late (self, buffer);
  GST_OBJECT_LOCK (self);
  priv->stats.frames_in++;
  priv->stats.skipped_gap += gap;
  priv->stats.skipped_interval += !turn;
  GST_OBJECT_UNLOCK (self);
  if (priv->beside)
    return pass_frame (self, priv, &frame);

  if (!priv->batch)
    priv->batch = gst_umedpt_batch_new (priv->capacity);
  gst_umedpt_batch_add (priv->batch, &frame);
  if (priv->batch->n == 1 && priv->capacity > 1) {
    wait = longest_wait (self, priv);
    if (GST_CLOCK_TIME_IS_VALID (wait))
      gst_umedpt_timer_arm (priv->timer, wait);
  }
  return GST_FLOW_OK;
}

GstFlowReturn
gst_umedpt_stream_submit (GstBaseTransform *trans, gboolean is_discont,
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
    gst_umedpt_stream_drain (self);
  begin = gst_util_get_timestamp ();
  flow = priv->flow;
  priv->flow = GST_FLOW_OK;
  if (flow != GST_FLOW_OK) {
    gst_buffer_unref (buffer);
    return flow;
  }
  flow = GST_BASE_TRANSFORM_CLASS (g_type_class_peek (GST_TYPE_BASE_TRANSFORM))
             ->submit_input_buffer (trans, is_discont, buffer);
  if (flow == GST_FLOW_OK && !priv->beside &&
      g_atomic_int_compare_and_exchange (&priv->ask, TRUE, FALSE))
    gst_umedpt_base_ask_downstream (self);
  if (flow == GST_FLOW_OK && trans->queued_buf)
    flow = take_frame (self, priv, g_steal_pointer (&trans->queued_buf), begin);
  count_overhead (self, priv, begin, 0);
  return flow;
}

/* A late or missing picture has nothing to wait for. */
static gboolean
batch_is_complete (GstUmedptBasePrivate *priv)
{
  const GstUmedptBatch *batch = priv->batch;

  return batch && (batch->n >= priv->capacity || batch->n_skipped == batch->n);
}

/* The inference's time is its own even where it is waited for. */
static GstFlowReturn
run_timed (GstUmedptBase *self, GstUmedptBasePrivate *priv, GstClockTime *took)
{
  const GstClockTime begin = gst_util_get_timestamp ();
  GstFlowReturn flow = GST_FLOW_OK;

  if (batch_is_complete (priv)) {
    flow = run_batch (self, priv);
    gst_umedpt_base_announce_latency (self);
  }
  if (flow == GST_FLOW_OK && !priv->ready.length)
    flow = finish_oldest (self, priv, FALSE);
  if (flow != GST_FLOW_OK)
    gst_umedpt_stream_drop (self);
  *took = gst_util_get_timestamp () - begin;
  return flow;
}

GstFlowReturn
gst_umedpt_stream_generate (GstBaseTransform *trans, GstBuffer **buffer)
{
  GstUmedptBase *self = GST_UMEDPT_BASE (trans);
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  GstClockTime begin = gst_util_get_timestamp (), took = 0;
  GstFlowReturn flow = GST_FLOW_OK;

  *buffer = NULL;
  if (!priv->ready.length)
    flow = run_timed (self, priv, &took);
  if (flow == GST_FLOW_OK)
    *buffer = gst_umedpt_ready_take (self);
  count_overhead (self, priv, begin, took);
  return flow;
}

/* For a call that has nobody to return a failure to. */
static GstFlowReturn
keep_flow (GstUmedptBase *self, GstUmedptBasePrivate *priv, GstFlowReturn flow)
{
  if (flow != GST_FLOW_OK) {
    GST_DEBUG_OBJECT (self, "pushing ended with %s", gst_flow_get_name (flow));
    gst_umedpt_stream_drop (self);
    priv->flow = flow;
  }
  return flow;
}

GstFlowReturn
gst_umedpt_stream_drain (GstUmedptBase *self)
{
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  GstFlowReturn flow = GST_FLOW_OK;

  if (priv->batch)
    flow = run_batch (self, priv);
  if (flow == GST_FLOW_OK)
    flow = push_ahead (self, priv, TRUE);
  return keep_flow (self, priv, flow);
}

void
gst_umedpt_stream_drop (GstUmedptBase *self)
{
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  GstUmedptWaiting *frame = NULL;
  GstUmedptBatch *batch = NULL;

  if (priv->timer)
    gst_umedpt_timer_disarm (priv->timer);
  while (priv->ahead && (batch = gst_umedpt_ahead_take (priv->ahead, TRUE)))
    gst_umedpt_batch_free (batch);
  while ((frame = g_queue_pop_head (&priv->ready))) {
    gst_buffer_unref (frame->buffer);
    g_free (frame);
  }
  g_clear_pointer (&priv->batch, gst_umedpt_batch_free);
}

/* --- from other threads -------------------------------------------------- */

void
gst_umedpt_stream_timeout (gpointer data)
{
  GstUmedptBase *self = GST_UMEDPT_BASE (data);
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  GstPad *pad = GST_BASE_TRANSFORM_SINK_PAD (self);

  GST_PAD_STREAM_LOCK (pad);
  if (gst_umedpt_timer_take (priv->timer)) {
    GST_DEBUG_OBJECT (self, "waited long enough, running %u of %u",
        priv->batch ? priv->batch->n : 0, priv->capacity);
    gst_umedpt_stream_drain (self);
  }
  GST_PAD_STREAM_UNLOCK (pad);
}

void
gst_umedpt_stream_deliver (GstUmedptBase *self)
{
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  GstPad *pad = GST_BASE_TRANSFORM_SINK_PAD (self);

  GST_PAD_STREAM_LOCK (pad);
  keep_flow (self, priv, push_ahead (self, priv, FALSE));
  GST_PAD_STREAM_UNLOCK (pad);
}
