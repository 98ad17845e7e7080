/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The properties of the inference base class: what they are, and that they are
 * read and written under the object lock. What follows from them is decided in
 * gstumedptbase.c (when started) and gstumedptbatch.c (frame by frame).
 */
#include "common/gstumedptenums.h"
#include "inference/gstumedptbaseprivate.h"

enum
{
  PROP_0,
  PROP_MODEL_FILE,
  PROP_DEVICE,
  PROP_PRECISION,
  PROP_BATCH_SIZE,
  PROP_BATCH_TIMEOUT,
  PROP_QOS,
  PROP_POST_MESSAGES,
  PROP_INFERENCE_REGION,
  PROP_OBJECT_CLASS,
  PROP_TILE_SIZE,
  PROP_TILE_OVERLAP,
  PROP_INFERENCE_INTERVAL,
  PROP_HOLD_RESULTS,
  PROP_WAIT_FOR_RESULTS,
  PROP_STATS,
};

void
gst_umedpt_base_set_property (GObject *object, guint id, const GValue *value,
    GParamSpec *pspec)
{
  GstUmedptBasePrivate *priv =
      gst_umedpt_base_get_private (GST_UMEDPT_BASE (object));

  gboolean reload = FALSE;

  GST_OBJECT_LOCK (object);
  switch (id) {
    case PROP_MODEL_FILE:
      g_free (priv->model_file);
      priv->model_file = g_value_dup_string (value);
      priv->n_model_files++;
      reload = priv->session != NULL;
      break;
    case PROP_DEVICE:
      g_free (priv->device);
      priv->device = g_value_dup_string (value);
      break;
    case PROP_PRECISION:
      priv->precision = g_value_get_enum (value);
      break;
    case PROP_BATCH_SIZE:
      priv->batch_size = g_value_get_uint (value);
      break;
    case PROP_BATCH_TIMEOUT:
      priv->batch_timeout = g_value_get_uint64 (value);
      break;
    case PROP_QOS:
      priv->qos = g_value_get_boolean (value);
      break;
    case PROP_POST_MESSAGES:
      priv->post_messages = g_value_get_boolean (value);
      break;
    case PROP_INFERENCE_REGION:
      priv->look.region = g_value_get_enum (value);
      break;
    case PROP_OBJECT_CLASS:
      g_free (priv->look.object_class);
      priv->look.object_class = g_value_dup_string (value);
      break;
    case PROP_TILE_SIZE:
      priv->look.tile_size = g_value_get_uint (value);
      break;
    case PROP_TILE_OVERLAP:
      priv->look.tile_overlap = g_value_get_uint (value);
      break;
    case PROP_INFERENCE_INTERVAL:
      priv->interval = g_value_get_uint (value);
      break;
    case PROP_HOLD_RESULTS:
      priv->hold = g_value_get_uint64 (value);
      break;
    case PROP_WAIT_FOR_RESULTS:
      priv->wait_for_results = g_value_get_boolean (value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  GST_OBJECT_UNLOCK (object);
  if (reload)
    gst_umedpt_reload_begin (GST_UMEDPT_BASE (object));
}

void
gst_umedpt_base_get_property (GObject *object, guint id, GValue *value,
    GParamSpec *pspec)
{
  GstUmedptBasePrivate *priv =
      gst_umedpt_base_get_private (GST_UMEDPT_BASE (object));

  GST_OBJECT_LOCK (object);
  switch (id) {
    case PROP_MODEL_FILE:
      g_value_set_string (value, priv->model_file);
      break;
    case PROP_DEVICE:
      g_value_set_string (value, priv->device);
      break;
    case PROP_PRECISION:
      g_value_set_enum (value, priv->precision);
      break;
    case PROP_BATCH_SIZE:
      g_value_set_uint (value, priv->batch_size);
      break;
    case PROP_BATCH_TIMEOUT:
      g_value_set_uint64 (value, priv->batch_timeout);
      break;
    case PROP_QOS:
      g_value_set_boolean (value, priv->qos);
      break;
    case PROP_POST_MESSAGES:
      g_value_set_boolean (value, priv->post_messages);
      break;
    case PROP_INFERENCE_REGION:
      g_value_set_enum (value, (gint) priv->look.region);
      break;
    case PROP_OBJECT_CLASS:
      g_value_set_string (value, priv->look.object_class);
      break;
    case PROP_TILE_SIZE:
      g_value_set_uint (value, priv->look.tile_size);
      break;
    case PROP_TILE_OVERLAP:
      g_value_set_uint (value, priv->look.tile_overlap);
      break;
    case PROP_INFERENCE_INTERVAL:
      g_value_set_uint (value, priv->interval);
      break;
    case PROP_HOLD_RESULTS:
      g_value_set_uint64 (value, priv->hold);
      break;
    case PROP_WAIT_FOR_RESULTS:
      g_value_set_boolean (value, priv->wait_for_results);
      break;
    case PROP_STATS:
      g_value_take_boxed (value, gst_umedpt_stats_to_structure (&priv->stats));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  GST_OBJECT_UNLOCK (object);
}

#define READY \
  (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY)
#define PLAYING \
  (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING)

static void
install_model_properties (GObjectClass *object)
{
  /**
   * GstUmedptBase:model-file:
   *
   * The model: one safetensors file with its description in it. It is loaded
   * when the element goes to PAUSED, once per process for all elements that
   * name the same file, device and precision. Set later, the file is loaded
   * beside the stream and takes over between two batches
   * (#GstUmedptBase::model-updated); a bad one changes nothing.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_MODEL_FILE,
      g_param_spec_string ("model-file", "Model file",
          "The model, a safetensors file with its description", NULL, PLAYING));
  /**
   * GstUmedptBase:device:
   *
   * "auto", "cpu", "cuda", "cuda:0" or "ref" (slow, the specification).
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_DEVICE,
      g_param_spec_string ("device", "Device",
          "Where to compute: auto, cpu, cuda, cuda:N, ref",
          GST_UMEDPT_DEFAULT_DEVICE, READY));
  /**
   * GstUmedptBase:precision:
   *
   * The type of the matrix products.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_PRECISION,
      g_param_spec_enum ("precision", "Precision",
          "Type of the matrix products", GST_TYPE_UMEDPT_PRECISION,
          UMEDPT_PRECISION_AUTO, READY));
}

static void
install_batch_properties (GObjectClass *object)
{
  /**
   * GstUmedptBase:batch-size:
   *
   * Frames per call of the network.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_BATCH_SIZE,
      g_param_spec_uint ("batch-size", "Batch size",
          "Frames per call of the network", 1, 1024, 1, READY));
  /**
   * GstUmedptBase:batch-timeout:
   *
   * The longest time in nanoseconds that the first frame of a batch waits for
   * the others. 0 chooses: without end on input that is not live, until one
   * frame's time after the batch should be full on live input.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_BATCH_TIMEOUT,
      g_param_spec_uint64 ("batch-timeout", "Batch timeout",
          "Longest wait for a full batch in ns (0 = by kind of input)", 0,
          G_MAXINT64, 0, PLAYING));
  /**
   * GstUmedptBase:qos:
   *
   * Whether frames of a live stream that come too late for the sink are
   * passed on without inference. The frames themselves are never dropped, and
   * of a stream that is not live nothing is left out.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_QOS,
      g_param_spec_boolean ("qos", "Quality of service",
          "Pass late live frames on without inference", TRUE, PLAYING));
}

static void
install_region_properties (GObjectClass *object)
{
  /**
   * GstUmedptBase:inference-region:
   *
   * What of a frame goes through the network: all of it, resized; tiles of it,
   * whose results are put together; or the regions that others have marked
   * with GstVideoRegionOfInterestMeta.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_INFERENCE_REGION,
      g_param_spec_enum ("inference-region", "Inference region",
          "What of a frame goes through the network",
          GST_TYPE_UMEDPT_INFERENCE_REGION, GST_UMEDPT_REGION_FULL_FRAME,
          READY));
  /**
   * GstUmedptBase:object-class:
   *
   * With inference-region=roi-list, only regions of this type.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_OBJECT_CLASS,
      g_param_spec_string ("object-class", "Object class",
          "Type of the regions to look at (roi-list)", NULL, PLAYING));
  /**
   * GstUmedptBase:tile-size:
   *
   * Side of a tile in pixels of the frame, at least 32; 0 is the network's
   * input, so that nothing is resized.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_TILE_SIZE,
      g_param_spec_uint ("tile-size", "Tile size",
          "Side of a tile in pixels of the frame (0 = the network's input)", 0,
          16384, 0, READY));
  /**
   * GstUmedptBase:tile-overlap:
   *
   * Pixels of the frame that neighbouring tiles have in common at least; as
   * large as the objects to be found. More than half a tile counts as half.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_TILE_OVERLAP,
      g_param_spec_uint ("tile-overlap", "Tile overlap",
          "Pixels that neighbouring tiles share at least", 0, 8192, 32, READY));
}

static void
install_live_properties (GObjectClass *object)
{
  /**
   * GstUmedptBase:inference-interval:
   *
   * Every n-th frame is looked at; the others pass.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_INFERENCE_INTERVAL,
      g_param_spec_uint ("inference-interval", "Inference interval",
          "Look at every n-th frame", 1, G_MAXINT, 1, PLAYING));
  /**
   * GstUmedptBase:hold-results:
   *
   * How long in nanoseconds frames without results of their own carry the last
   * ones, which tell their age. 0 is never; where frames do not wait for their
   * results (wait-for-results=false) it is a second. Embeddings are not carried:
   * an embedding is of one picture.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_HOLD_RESULTS,
      g_param_spec_uint64 ("hold-results", "Hold results",
          "How long later frames carry the last results, ns", 0, G_MAXINT64, 0,
          PLAYING));
  /**
   * GstUmedptBase:wait-for-results:
   *
   * FALSE: frames pass at once, with the newest results there are, while
   * inference runs beside the stream on one frame after the other: pictures
   * have no delay, whatever the model. Such an element shares no features with
   * others.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_WAIT_FOR_RESULTS,
      g_param_spec_boolean ("wait-for-results", "Wait for results",
          "Whether a frame waits for its own results", TRUE, READY));
}

static void
install_report_properties (GObjectClass *object)
{
  /**
   * GstUmedptBase:post-messages:
   *
   * Posts an element message with every result, named as the tensor.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_POST_MESSAGES,
      g_param_spec_boolean ("post-messages", "Post messages",
          "Post an element message with every result", FALSE, PLAYING));
  /**
   * GstUmedptBase:stats:
   *
   * Since the start: frames-in, frames-out, inferred, encoded (images that
   * went through the encoder here), skipped-late, skipped-gap,
   * skipped-interval, batches (uint64), mean-fill (double, frames per batch),
   * inference-p50, inference-p95 (uint64, ns per batch, of the last 512; with
   * two under way on a device, one's wait for the other counts),
   * picture-p50, picture-p95 (uint64, ns that a frame was in the element),
   * age-p50, age-p95 (uint64, ns: how old the results on a frame were),
   * overhead-per-frame (uint64, ns spent in the element outside inference and
   * pushing), model-load (uint64, ns).
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_STATS,
      g_param_spec_boxed ("stats", "Statistics",
          "Frames, batches and times since the start", GST_TYPE_STRUCTURE,
          G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
}

void
gst_umedpt_base_install_properties (GObjectClass *object)
{
  install_model_properties (object);
  install_batch_properties (object);
  install_region_properties (object);
  install_live_properties (object);
  install_report_properties (object);
}
