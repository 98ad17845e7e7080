/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The element half of the inference base class: model, events, queries.
 * GstBaseTransform forwards events at once and knows nothing of batches, so
 * this class
 *   - runs and pushes the partial batch before every serialized event (EOS,
 *     SEGMENT, CAPS, GAP, STREAM_START, custom ones; TAG may overtake), and
 *     drops it on FLUSH_STOP;
 *   - adds what batching costs to the LATENCY answer, and on live input the
 *     measured time of the inference; without it a sink finds the first frame
 *     of every batch late;
 *   - takes QoS into its own hands: GstBaseTransform would drop late frames.
 * The frames' own path is in gstumedptstream.c, allocation in
 * gstumedptallocation.c, properties in gstumedptproperties.c.
 */
#include "common/gstumedptenums.h"
#include "common/gstumedpterror.h"
#include "common/gstumedptevents.h"
#include "inference/gstumedptbaseprivate.h"
#include "inference/gstumedptcuda.h"

GST_DEBUG_CATEGORY (gst_umedpt_base_debug);
#define GST_CAT_DEFAULT gst_umedpt_base_debug

G_DEFINE_ABSTRACT_TYPE_WITH_CODE (
    GstUmedptBase, gst_umedpt_base, GST_TYPE_BASE_TRANSFORM,
    G_ADD_PRIVATE (GstUmedptBase);
    GST_DEBUG_CATEGORY_INIT (gst_umedpt_base_debug, "umedptbase", 0,
        "UMedPT inference base class"));

#define PARENT GST_BASE_TRANSFORM_CLASS (gst_umedpt_base_parent_class)

GstUmedptBasePrivate *
gst_umedpt_base_get_private (GstUmedptBase *self)
{
  return gst_umedpt_base_get_instance_private (self);
}

static void
gst_umedpt_base_finalize (GObject *object)
{
  GstUmedptBasePrivate *priv =
      gst_umedpt_base_get_private (GST_UMEDPT_BASE (object));

  g_free (priv->model_file);
  g_free (priv->device);
  g_free (priv->look.object_class);
  g_clear_pointer (&priv->wanted, g_array_unref);
  g_object_unref (priv->cancellable);
  G_OBJECT_CLASS (gst_umedpt_base_parent_class)->finalize (object);
}

/* --- starting and stopping ---------------------------------------------- */

UmedptSession *
gst_umedpt_base_open_session (GstUmedptBase *self, GError **error)
{
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  g_autofree char *model_file = NULL, *device = NULL;
  UmedptPrecision precision = UMEDPT_PRECISION_AUTO;

  GST_OBJECT_LOCK (self);
  model_file = g_strdup (priv->model_file);
  device = g_strdup (priv->device);
  precision = priv->precision;
  GST_OBJECT_UNLOCK (self);
  if (!model_file || *model_file == '\0') {
    g_set_error_literal (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "No model is given; set model-file=FILE.");
    return NULL;
  }
  return umedpt_session_open (model_file, device, precision, error);
}

static gboolean
gst_umedpt_base_start (GstBaseTransform *trans)
{
  GstUmedptBase *self = GST_UMEDPT_BASE (trans);
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  GstClockTime begin = gst_util_get_timestamp ();
  g_autoptr (UmedptSession) session = NULL;
  g_autoptr (GError) error = NULL;
  gboolean wait = TRUE, renamed = FALSE;
  guint n_model_files = 0;

  GST_OBJECT_LOCK (self);
  n_model_files = priv->n_model_files;
  GST_OBJECT_UNLOCK (self);
  session = gst_umedpt_base_open_session (self, &error);
  if (!session ||
      !GST_UMEDPT_BASE_GET_CLASS (self)->check (self, session, &error)) {
    GST_UMEDPT_ELEMENT_ERROR (self, error, GST_UMEDPT_READING);
    return FALSE;
  }
  GST_OBJECT_LOCK (self);
  priv->stats = (GstUmedptStats){ 0 };
  priv->stats.model_load = gst_util_get_timestamp () - begin;
  wait = priv->wait_for_results;
  priv->capacity = wait ? priv->batch_size : 1;
  priv->live = FALSE;
  priv->frame_duration = priv->announced = priv->earliest = priv->position =
      GST_CLOCK_TIME_NONE;
  priv->inference = 0;
  GST_OBJECT_UNLOCK (self);
  priv->timer = gst_umedpt_timer_new (gst_umedpt_stream_timeout, self);
  priv->flow = GST_FLOW_OK;
  priv->model_sent = FALSE;
  priv->turn = 0;
  g_atomic_int_set (&priv->ask, TRUE);
  g_cancellable_reset (priv->cancellable);
  if (!wait)
    priv->beside = gst_umedpt_beside_new (self);
  GST_INFO_OBJECT (self, "model ready on %s",
      umedpt_session_get_device (session));
  gst_umedpt_cuda_offer (GST_ELEMENT (self), session);
  /* Last: the pads take data while this runs. Without a session it is
   * refused. */
  GST_OBJECT_LOCK (self);
  g_atomic_pointer_set (&priv->session, g_steal_pointer (&session));
  renamed = priv->n_model_files != n_model_files; /* while it was loaded */
  GST_OBJECT_UNLOCK (self);
  if (renamed)
    gst_umedpt_reload_begin (self);
  return TRUE;
}

/* The pads are inactive and nobody holds the stream lock, so a timer callback
 * that is under way ends by itself. Without a session no reload begins any
 * more, so it goes before the one that may be under way is waited for. */
static gboolean
gst_umedpt_base_stop (GstBaseTransform *trans)
{
  GstUmedptBase *self = GST_UMEDPT_BASE (trans);
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  UmedptSession *session = NULL;

  g_clear_pointer (&priv->timer, gst_umedpt_timer_free);
  g_clear_pointer (&priv->beside, gst_umedpt_beside_free);
  g_clear_pointer (&priv->ahead, gst_umedpt_ahead_free);
  GST_OBJECT_LOCK (self);
  session = g_steal_pointer (&priv->session);
  g_clear_pointer (&priv->wanted, g_array_unref);
  GST_OBJECT_UNLOCK (self);
  gst_umedpt_reload_end (self);
  gst_umedpt_stream_drop (self);
  gst_clear_buffer (&priv->last);
  g_clear_object (&session);
  return TRUE;
}

static GstStateChangeReturn
gst_umedpt_base_change_state (GstElement *element, GstStateChange transition)
{
  GstUmedptBasePrivate *priv =
      gst_umedpt_base_get_private (GST_UMEDPT_BASE (element));

  /* a running inference would hold up the shutdown */
  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY)
    g_cancellable_cancel (priv->cancellable);
  return GST_ELEMENT_CLASS (gst_umedpt_base_parent_class)
      ->change_state (element, transition);
}

/* --- latency ------------------------------------------------------------ */

GstClockTime
gst_umedpt_base_latency (GstUmedptBase *self)
{
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  GstClockTime latency = 0;
  guint batch = 0;

  GST_OBJECT_LOCK (self);
  batch = priv->session ? priv->capacity : priv->batch_size;
  if (batch > 1 && GST_CLOCK_TIME_IS_VALID (priv->frame_duration))
    latency = (batch - 1) * priv->frame_duration;
  if (batch > 1 && priv->batch_timeout > 0)
    latency =
        latency ? MIN (latency, priv->batch_timeout) : priv->batch_timeout;
  if (priv->live && !priv->beside)
    latency += gst_util_uint64_scale_int (priv->inference, 105, 100);
  GST_OBJECT_UNLOCK (self);
  return latency;
}

/* Only upwards: a smaller latency than announced costs a moment of delay, a
 * larger one costs frames. */
void
gst_umedpt_base_announce_latency (GstUmedptBase *self)
{
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  GstClockTime latency = gst_umedpt_base_latency (self);
  gboolean post = FALSE;

  GST_OBJECT_LOCK (self);
  post = GST_CLOCK_TIME_IS_VALID (priv->announced) &&
      latency > priv->announced + priv->announced / 4 + GST_MSECOND;
  if (post)
    priv->announced = latency;
  GST_OBJECT_UNLOCK (self);
  if (post)
    gst_element_post_message (GST_ELEMENT (self),
        gst_message_new_latency (GST_OBJECT (self)));
}

/* Asks upstream and adds our share. */
static gboolean
query_latency (GstUmedptBase *self, GstQuery *query)
{
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  GstClockTime min = 0, max = 0, own = 0;
  gboolean live = FALSE;

  if (!gst_pad_peer_query (GST_BASE_TRANSFORM_SINK_PAD (self), query))
    return FALSE;
  gst_query_parse_latency (query, &live, &min, &max);
  GST_OBJECT_LOCK (self);
  priv->live = live;
  GST_OBJECT_UNLOCK (self);
  own = gst_umedpt_base_latency (self);
  GST_OBJECT_LOCK (self);
  priv->announced = own;
  GST_OBJECT_UNLOCK (self);
  GST_DEBUG_OBJECT (self, "%s, our latency %" GST_TIME_FORMAT,
      live ? "live" : "not live", GST_TIME_ARGS (own));
  gst_query_set_latency (query, live, min + own,
      GST_CLOCK_TIME_IS_VALID (max) ? max + own : max);
  return TRUE;
}

/* The base class knows only the frames that generate_output() returned, not
 * those that a drained batch sent; a progress display would end too early. */
static gboolean
query_position (GstUmedptBase *self, GstQuery *query)
{
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  GstFormat format;
  GstClockTime position;

  gst_query_parse_position (query, &format, NULL);
  GST_OBJECT_LOCK (self);
  position = priv->position;
  GST_OBJECT_UNLOCK (self);
  if (format != GST_FORMAT_TIME || !GST_CLOCK_TIME_IS_VALID (position))
    return FALSE;
  gst_query_set_position (query, GST_FORMAT_TIME, (gint64) position);
  return TRUE;
}

/* Who asks which CUDA context to use may ask before there is a session. */
static gboolean
query_context (GstUmedptBase *self, GstQuery *query)
{
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  g_autofree char *device = NULL;

  GST_OBJECT_LOCK (self);
  device = g_strdup (priv->device);
  GST_OBJECT_UNLOCK (self);
  return gst_umedpt_cuda_answer (GST_ELEMENT (self), device, query);
}

static gboolean
gst_umedpt_base_query (GstBaseTransform *trans, GstPadDirection direction,
    GstQuery *query)
{
  if (direction == GST_PAD_SRC && GST_QUERY_TYPE (query) == GST_QUERY_LATENCY)
    return query_latency (GST_UMEDPT_BASE (trans), query);
  if (direction == GST_PAD_SRC &&
      GST_QUERY_TYPE (query) == GST_QUERY_POSITION &&
      query_position (GST_UMEDPT_BASE (trans), query))
    return TRUE;
  if (GST_QUERY_TYPE (query) == GST_QUERY_CONTEXT &&
      query_context (GST_UMEDPT_BASE (trans), query))
    return TRUE;
  return PARENT->query (trans, direction, query);
}

/* --- caps ---------------------------------------------------------------- */

/* Whether the input is live decides what may be skipped; a stream may start
 * before the pipeline has asked for its latency. */
static gboolean
upstream_is_live (GstBaseTransform *trans)
{
  g_autoptr (GstQuery) query = gst_query_new_latency ();
  gboolean live = FALSE;

  if (gst_pad_peer_query (GST_BASE_TRANSFORM_SINK_PAD (trans), query))
    gst_query_parse_latency (query, &live, NULL, NULL);
  return live;
}

void
gst_umedpt_base_forget_results (GstUmedptBase *self)
{
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);

  gst_clear_buffer (&priv->last);
  if (priv->beside)
    gst_umedpt_beside_drop (priv->beside);
}

/* Results that are in pixels of another size hold no longer. */
static gboolean
gst_umedpt_base_set_caps (GstBaseTransform *trans, GstCaps *in, GstCaps *out)
{
  GstUmedptBase *self = GST_UMEDPT_BASE (trans);
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  gboolean live = upstream_is_live (trans);
  GstVideoInfo info;

  if (!gst_video_info_from_caps (&info, in)) {
    GST_ERROR_OBJECT (self, "not video caps: %" GST_PTR_FORMAT, in);
    return FALSE;
  }
  priv->info = info;
  gst_umedpt_base_forget_results (self);
  g_atomic_int_set (&priv->ask, TRUE);
  GST_OBJECT_LOCK (self);
  priv->live = live;
  priv->frame_duration = info.fps_n > 0
      ? gst_util_uint64_scale_int (GST_SECOND, info.fps_d, info.fps_n)
      : GST_CLOCK_TIME_NONE;
  GST_OBJECT_UNLOCK (self);
  gst_umedpt_base_announce_latency (self);
  return TRUE;
}

/* --- events ------------------------------------------------------------- */

void
gst_umedpt_base_push_model (GstUmedptBase *self)
{
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  UmedptSession *session = g_atomic_pointer_get (&priv->session);
  UmedptModel *model = NULL;

  if (!session || priv->model_sent)
    return;
  model = umedpt_session_get_model (session);
  priv->model_sent = TRUE;
  gst_pad_push_event (GST_BASE_TRANSFORM_SRC_PAD (self),
      gst_umedpt_event_new_model (GST_UMEDPT_BASE_GET_CLASS (self)->result,
          umedpt_model_get_description (model)->arch,
          umedpt_model_get_hash (model),
          umedpt_session_get_embedding_size (session)));
}

static void
flush (GstUmedptBase *self, GstUmedptBasePrivate *priv)
{
  gst_umedpt_stream_drop (self);
  gst_umedpt_base_forget_results (self);
  g_atomic_int_set (&priv->ask, TRUE);
  priv->flow = GST_FLOW_OK;
  priv->turn = 0;
  g_cancellable_reset (priv->cancellable);
  GST_OBJECT_LOCK (self);
  priv->position = GST_CLOCK_TIME_NONE;
  priv->earliest = GST_CLOCK_TIME_NONE;
  GST_OBJECT_UNLOCK (self);
}

static gboolean
gst_umedpt_base_sink_event (GstBaseTransform *trans, GstEvent *event)
{
  GstUmedptBase *self = GST_UMEDPT_BASE (trans);
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  GstEventType type = GST_EVENT_TYPE (event);
  gboolean ok = FALSE;

  switch (type) {
    case GST_EVENT_FLUSH_START:
      g_cancellable_cancel (priv->cancellable);
      break;
    case GST_EVENT_FLUSH_STOP:
      flush (self, priv);
      break;
    case GST_EVENT_TAG:
      break;
    default:
      if (GST_EVENT_IS_SERIALIZED (event))
        gst_umedpt_stream_drain (self);
      if (type == GST_EVENT_STREAM_START)
        gst_umedpt_base_forget_results (self);
      break;
  }
  ok = PARENT->sink_event (trans, event);
  if (type == GST_EVENT_SEGMENT)
    gst_umedpt_base_push_model (self);
  return ok;
}

static gboolean
gst_umedpt_base_src_event (GstBaseTransform *trans, GstEvent *event)
{
  GstUmedptBase *self = GST_UMEDPT_BASE (trans);
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);

  if (GST_EVENT_TYPE (event) == GST_EVENT_RECONFIGURE)
    g_atomic_int_set (&priv->ask, TRUE);
  if (GST_EVENT_TYPE (event) == GST_EVENT_QOS) {
    GstClockTimeDiff diff = 0;
    GstClockTime timestamp = GST_CLOCK_TIME_NONE;
    double proportion = 1;

    gst_event_parse_qos (event, NULL, &proportion, &diff, &timestamp);
    GST_OBJECT_LOCK (self);
    priv->proportion = proportion;
    /* late by d, caught up after 2 d: the rule of GStreamer's decoders */
    if (GST_CLOCK_TIME_IS_VALID (timestamp))
      priv->earliest = diff > 0  ? timestamp + 2 * diff
          : timestamp + diff > 0 ? timestamp + diff
                                 : 0;
    GST_OBJECT_UNLOCK (self);
  }
  return PARENT->src_event (trans, event);
}

/* GstBaseTransform wants this function before it works in place; frames go
 * through submit_input_buffer and generate_output instead. */
static GstFlowReturn
gst_umedpt_base_transform_ip (GstBaseTransform *trans, GstBuffer *buffer)
{
  return GST_FLOW_OK;
}

/* --- class -------------------------------------------------------------- */

static void
gst_umedpt_base_class_init (GstUmedptBaseClass *klass)
{
  GObjectClass *object = G_OBJECT_CLASS (klass);
  GstBaseTransformClass *trans = GST_BASE_TRANSFORM_CLASS (klass);

  object->set_property = gst_umedpt_base_set_property;
  object->get_property = gst_umedpt_base_get_property;
  object->finalize = gst_umedpt_base_finalize;
  gst_umedpt_base_install_properties (object);
  /**
   * GstUmedptBase::model-updated:
   * @self: the element
   * @success: whether the element works with the new model from here on
   * @path: the file
   *
   * Another model-file was set while frames flowed, and has been loaded, or
   * refused: then the old model works on, and a warning on the bus says why.
   * Emitted in a thread of the element's.
   *
   * Since: 0.1
   */
  g_signal_new ("model-updated", G_TYPE_FROM_CLASS (klass), G_SIGNAL_RUN_LAST,
      0, NULL, NULL, NULL, G_TYPE_NONE, 2, G_TYPE_BOOLEAN, G_TYPE_STRING);
  gst_type_mark_as_plugin_api (GST_TYPE_UMEDPT_PRECISION, 0);
  gst_type_mark_as_plugin_api (GST_TYPE_UMEDPT_INFERENCE_REGION, 0);
  gst_type_mark_as_plugin_api (GST_TYPE_UMEDPT_BASE, 0);

  GST_ELEMENT_CLASS (klass)->change_state = gst_umedpt_base_change_state;
  trans->start = gst_umedpt_base_start;
  trans->stop = gst_umedpt_base_stop;
  trans->set_caps = gst_umedpt_base_set_caps;
  trans->query = gst_umedpt_base_query;
  trans->propose_allocation = gst_umedpt_base_propose_allocation;
  trans->sink_event = gst_umedpt_base_sink_event;
  trans->src_event = gst_umedpt_base_src_event;
  trans->submit_input_buffer = gst_umedpt_stream_submit;
  trans->generate_output = gst_umedpt_stream_generate;
  trans->transform_ip = gst_umedpt_base_transform_ip;
}

static void
gst_umedpt_base_init (GstUmedptBase *self)
{
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);

  priv->device = g_strdup (GST_UMEDPT_DEFAULT_DEVICE);
  priv->precision = UMEDPT_PRECISION_AUTO;
  priv->batch_size = 1;
  priv->interval = 1;
  priv->look.tile_overlap = 32;
  priv->wait_for_results = TRUE;
  priv->qos = TRUE;
  priv->frame_duration = priv->announced = priv->earliest = priv->position =
      GST_CLOCK_TIME_NONE;
  priv->cancellable = g_cancellable_new ();
  g_queue_init (&priv->ready);
  /* never passthrough: buffers get metas, so they must be writable */
  gst_base_transform_set_in_place (GST_BASE_TRANSFORM (self), TRUE);
  gst_base_transform_set_passthrough (GST_BASE_TRANSFORM (self), FALSE);
  gst_base_transform_set_qos_enabled (GST_BASE_TRANSFORM (self), FALSE);
}
