/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Writes one row per tile: the embedding that an inference element attached,
 * at the place that the source attached. Slide and model come with sticky
 * events (gstumedptevents.h), unreadable tiles with events in their place. The
 * file gets its name at EOS; what is stopped earlier leaves nothing behind.
 *
 * A flushing seek voids what came before, as everywhere in GStreamer: the file
 * is begun anew and holds what follows the seek. After EOS the file is there,
 * and whether another may replace it is up to overwrite, as ever.
 *
 * After an error, sources push EOS as if all was well. So the sink remembers
 * its own errors, and hears of the inference element's ("umedpt-failed"), lest
 * half a file be completed.
 */

/**
 * SECTION:element-umedptslidesink
 * @title: umedptslidesink
 *
 * Collects the embeddings of a slide's tiles in a file for pathology tools;
 * the suffix chooses HDF5 in TRIDENT's layout (.h5), a tensor for CLAM (.pt)
 * or NumPy (.npy). Takes tiles as fast as they come (sync=false) and never
 * drops one.
 *
 * At the end an element message "umedpt-features-written" is posted (path,
 * rows, bad-tiles, expected), and an INFO message for people.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 -e umedptslidesrc location=slide.svs tile-size=256 mpp=0.5 ! queue ! umedptembed model-file=model.safetensors batch-size=8 ! umedptslidesink features-location=slide.pt overwrite=true
 * ]|
 *
 * Since: 0.1
 */
#include "gstumedptslidesink.h"

#include <gst/video/video.h>

#include "gstumedpterror.h"
#include "gstumedptevents.h"
#include "gstumedptmetaprivate.h"
#include "output/features.h"

GST_DEBUG_CATEGORY_STATIC (gst_umedpt_slide_sink_debug);
#define GST_CAT_DEFAULT gst_umedpt_slide_sink_debug

struct _GstUmedptSlideSink
{
  GstBaseSink parent;

  /* properties, under the object lock */
  char *location;
  gboolean overwrite;

  /* from READY to PAUSED and back; in between, the streaming thread's */
  char *path; /* location as it was at the start */
  gboolean replace;
  gboolean failed; /* nothing is completed any more */
  GstStructure *slide; /* (nullable) of the "umedpt-slide" event */
  GstStructure *model; /* (nullable) of the "umedpt-model" event */
  UmedptFeatureWriter *writer; /* from the first tile on */
  guint64 n_bad;
};

enum
{
  PROP_0,
  PROP_FEATURES_LOCATION,
  PROP_OVERWRITE,
};

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE ("sink",
    GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS_ANY);

G_DEFINE_TYPE_WITH_CODE (GstUmedptSlideSink, gst_umedpt_slide_sink,
    GST_TYPE_BASE_SINK,
    GST_DEBUG_CATEGORY_INIT (gst_umedpt_slide_sink_debug, "umedptslidesink", 0,
        "Features of a slide's tiles into a file"));
GST_ELEMENT_REGISTER_DEFINE (umedptslidesink, "umedptslidesink", GST_RANK_NONE,
    GST_TYPE_UMEDPT_SLIDE_SINK);

static void
gst_umedpt_slide_sink_set_property (GObject *object, guint id,
    const GValue *value, GParamSpec *pspec)
{
  GstUmedptSlideSink *self = GST_UMEDPT_SLIDE_SINK (object);

  GST_OBJECT_LOCK (self);
  switch (id) {
    case PROP_FEATURES_LOCATION:
      g_free (self->location);
      self->location = g_value_dup_string (value);
      break;
    case PROP_OVERWRITE:
      self->overwrite = g_value_get_boolean (value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  GST_OBJECT_UNLOCK (self);
}

static void
gst_umedpt_slide_sink_get_property (GObject *object, guint id, GValue *value,
    GParamSpec *pspec)
{
  GstUmedptSlideSink *self = GST_UMEDPT_SLIDE_SINK (object);

  GST_OBJECT_LOCK (self);
  switch (id) {
    case PROP_FEATURES_LOCATION:
      g_value_set_string (value, self->location);
      break;
    case PROP_OVERWRITE:
      g_value_set_boolean (value, self->overwrite);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  GST_OBJECT_UNLOCK (self);
}

static void
gst_umedpt_slide_sink_finalize (GObject *object)
{
  g_free (GST_UMEDPT_SLIDE_SINK (object)->location);
  G_OBJECT_CLASS (gst_umedpt_slide_sink_parent_class)->finalize (object);
}

/* --- the writer --------------------------------------------------------- */

/* Tiles that should arrive, 0 = unknown. */
static guint64
expected_tiles (GstUmedptSlideSink *self)
{
  if (!self->slide)
    return 0;
  return gst_umedpt_get_uint64 (self->slide, "n-tiles") -
      gst_umedpt_get_uint64 (self->slide, "start-index");
}

/* The same tiles through the same model: the same features. */
static char *
make_config_hash (const char *plan_hash, const char *model_hash)
{
  g_autofree char *both =
      g_strconcat (plan_hash, model_hash ? model_hash : "", NULL);

  return g_compute_checksum_for_string (G_CHECKSUM_SHA256, both, -1);
}

/* @meta: (nullable): the tensor of the first tile, if there is one */
static gboolean
gst_umedpt_slide_sink_open (GstUmedptSlideSink *self,
    const GstUmedptTensorMeta *meta, GError **error)
{
  UmedptFeatureInfo info;
  const char *arch = NULL, *hash = NULL;
  g_autofree char *config_hash = NULL;

  if (self->writer)
    return TRUE;
  if (meta) {
    arch = meta->model_arch;
    hash = meta->model_hash;
  } else if (self->model) {
    arch = gst_structure_get_string (self->model, "arch");
    hash = gst_structure_get_string (self->model, "hash");
  }
  config_hash =
      make_config_hash (gst_structure_get_string (self->slide, "plan-hash"),
          hash);
  info = gst_umedpt_slide_to_feature_info (self->slide);
  info.encoder = arch;
  info.model_hash = hash;
  info.config_hash = config_hash;
  info.n_expected = expected_tiles (self);
  self->writer =
      umedpt_feature_writer_new (self->path, &info, self->replace, error);
  return self->writer != NULL;
}

/* --- starting and stopping ---------------------------------------------- */

/* Asks the writer whether it could: an existing file or a read-only folder
 * shall not come to light after hours of work. */
static gboolean
check_location (const char *path, gboolean replace, GError **error)
{
  UmedptFeatureInfo nothing = { 0 };
  g_autoptr (UmedptFeatureWriter) probe = NULL;

  if (!path || *path == '\0') {
    g_set_error_literal (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "No file is given for the features; set features-location=FILE.h5.");
    return FALSE;
  }
  probe = umedpt_feature_writer_new (path, &nothing, replace, error);
  return probe != NULL;
}

static gboolean
gst_umedpt_slide_sink_prepare (GstUmedptSlideSink *self)
{
  g_autoptr (GError) error = NULL;

  GST_OBJECT_LOCK (self);
  self->path = g_strdup (self->location);
  self->replace = self->overwrite;
  GST_OBJECT_UNLOCK (self);
  self->n_bad = 0;
  self->failed = FALSE;
  if (check_location (self->path, self->replace, &error))
    return TRUE;
  g_clear_pointer (&self->path, g_free);
  GST_UMEDPT_ELEMENT_ERROR (self, error, GST_UMEDPT_WRITING);
  return FALSE;
}

static void
gst_umedpt_slide_sink_reset (GstUmedptSlideSink *self)
{
  if (self->writer)
    GST_INFO_OBJECT (self, "stopped before the end; %s is not written",
        self->path);
  g_clear_pointer (&self->writer, umedpt_feature_writer_free);
  g_clear_pointer (&self->slide, gst_structure_free);
  g_clear_pointer (&self->model, gst_structure_free);
  g_clear_pointer (&self->path, g_free);
}

/* Not start() and stop(): GstBaseSink calls them between NULL and READY, where
 * properties may still change and a second run begins without them. */
static GstStateChangeReturn
gst_umedpt_slide_sink_change_state (GstElement *element,
    GstStateChange transition)
{
  GstUmedptSlideSink *self = GST_UMEDPT_SLIDE_SINK (element);
  GstStateChangeReturn result = GST_STATE_CHANGE_FAILURE;

  if (transition == GST_STATE_CHANGE_READY_TO_PAUSED &&
      !gst_umedpt_slide_sink_prepare (self))
    return GST_STATE_CHANGE_FAILURE;
  result = GST_ELEMENT_CLASS (gst_umedpt_slide_sink_parent_class)
               ->change_state (element, transition);
  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY ||
      (transition == GST_STATE_CHANGE_READY_TO_PAUSED &&
          result == GST_STATE_CHANGE_FAILURE))
    gst_umedpt_slide_sink_reset (self);
  return result;
}

/* --- tiles -------------------------------------------------------------- */

static gboolean
check_tensor (const GstUmedptTensorMeta *meta, GError **error)
{
  gsize size = meta->num_dims == 1 ? meta->dims[0] * sizeof (float) : 0;

  if (meta->data_type == GST_UMEDPT_TENSOR_F32 && size > 0 &&
      gst_buffer_get_size (meta->data) == size)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE,
      "The tensor '%s' is not a vector of 32-bit floats: type %d, %u "
      "dimensions, %" G_GSIZE_FORMAT " bytes.",
      g_quark_to_string (meta->id), meta->data_type, meta->num_dims,
      gst_buffer_get_size (meta->data));
  return FALSE;
}

static gboolean
gst_umedpt_slide_sink_append (GstUmedptSlideSink *self,
    const GstStructure *tile, const GstUmedptTensorMeta *meta, GError **error)
{
  GstMapInfo map = GST_MAP_INFO_INIT;
  gboolean ok = FALSE;

  if (!check_tensor (meta, error) ||
      !gst_umedpt_slide_sink_open (self, meta, error))
    return FALSE;
  if (!gst_buffer_map (meta->data, &map, GST_MAP_READ)) {
    g_set_error_literal (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
        "The memory of a tile's features cannot be read.");
    return FALSE;
  }
  ok = umedpt_feature_writer_append (self->writer,
      gst_umedpt_get_uint64 (tile, "index"), gst_umedpt_get_int64 (tile, "x"),
      gst_umedpt_get_int64 (tile, "y"), (const float *) map.data, meta->dims[0],
      error);
  gst_buffer_unmap (meta->data, &map);
  return ok;
}

/* FALSE: an ERROR is posted. */
static gboolean
gst_umedpt_slide_sink_take (GstUmedptSlideSink *self, GstBuffer *buffer)
{
  const GstStructure *tile = gst_buffer_get_umedpt_tile (buffer);
  const GstUmedptTensorMeta *meta =
      gst_buffer_get_umedpt_tensor_meta (buffer, GST_UMEDPT_TENSOR_EMBEDDING);
  g_autoptr (GError) error = NULL;

  if (!tile || !self->slide) {
    GST_ELEMENT_ERROR (self, STREAM, FORMAT,
        ("A picture without a place on a slide has arrived; the pipeline "
         "needs umedptslidesrc as its source."),
        ("%s", tile ? "no umedpt-slide event" : "no GstUmedptTileMeta"));
    return FALSE;
  }
  if (!meta) {
    GST_ELEMENT_ERROR (self, STREAM, FORMAT,
        ("A tile without features has arrived; the pipeline needs "
         "umedptembed between umedptslidesrc and umedptslidesink."),
        ("no GstUmedptTensorMeta '%s'", GST_UMEDPT_TENSOR_EMBEDDING));
    return FALSE;
  }
  if (gst_umedpt_slide_sink_append (self, tile, meta, &error))
    return TRUE;
  GST_UMEDPT_ELEMENT_ERROR (self, error, GST_UMEDPT_WRITING);
  return FALSE;
}

static GstFlowReturn
gst_umedpt_slide_sink_render (GstBaseSink *base, GstBuffer *buffer)
{
  GstUmedptSlideSink *self = GST_UMEDPT_SLIDE_SINK (base);

  if (!self->failed && !gst_umedpt_slide_sink_take (self, buffer))
    self->failed = TRUE;
  return self->failed ? GST_FLOW_ERROR : GST_FLOW_OK;
}

/* --- events ------------------------------------------------------------- */

static gboolean
gst_umedpt_slide_sink_bad_tile (GstUmedptSlideSink *self, const GstStructure *s)
{
  g_autoptr (GError) error = NULL;

  if (!self->slide || self->failed)
    return TRUE;
  if (!gst_umedpt_slide_sink_open (self, NULL, &error)) {
    self->failed = TRUE;
    GST_UMEDPT_ELEMENT_ERROR (self, error, GST_UMEDPT_WRITING);
    return FALSE;
  }
  self->n_bad++;
  umedpt_feature_writer_add_bad_tile (self->writer,
      gst_umedpt_get_uint64 (s, "index"), gst_umedpt_get_int64 (s, "x"),
      gst_umedpt_get_int64 (s, "y"), gst_structure_get_string (s, "reason"));
  return TRUE;
}

static void
report (GstUmedptSlideSink *self, guint64 rows, guint64 expected)
{
  g_autofree char *text = NULL;

  gst_element_post_message (GST_ELEMENT (self),
      gst_message_new_element (GST_OBJECT (self),
          gst_structure_new ("umedpt-features-written", "path", G_TYPE_STRING,
              self->path, "rows", G_TYPE_UINT64, rows, "bad-tiles",
              G_TYPE_UINT64, self->n_bad, "expected", G_TYPE_UINT64, expected,
              NULL)));
  text = g_strdup_printf ("Features of %" G_GUINT64_FORMAT
                          " tiles are written to '%s'; %" G_GUINT64_FORMAT
                          " tiles could not be read.",
      rows, self->path, self->n_bad);
  /* gst-launch-1.0 shows only the second text of an INFO */
  GST_ELEMENT_INFO (self, RESOURCE, WRITE, ("%s", text), ("%s", text));
  if (rows + self->n_bad != expected)
    GST_ELEMENT_WARNING (self, STREAM, FAILED,
        ("'%s' is not complete: of %" G_GUINT64_FORMAT
         " tiles %" G_GUINT64_FORMAT " have features and %" G_GUINT64_FORMAT
         " could not be read; the others did not arrive, as after a seek or "
         "an early end.",
            self->path, expected, rows, self->n_bad),
        (NULL));
}

/* Completes the file; an empty one if there was no tissue at all. */
static gboolean
gst_umedpt_slide_sink_finish (GstUmedptSlideSink *self)
{
  g_autoptr (GError) error = NULL;
  guint64 rows = 0;

  if (self->failed) {
    GST_INFO_OBJECT (self, "%s is not written after an error", self->path);
    return FALSE;
  }
  if (!self->slide) {
    GST_ELEMENT_ERROR (self, STREAM, FORMAT,
        ("The stream has ended without a slide; the pipeline needs "
         "umedptslidesrc as its source."),
        ("no umedpt-slide event"));
    return FALSE;
  }
  if (!gst_umedpt_slide_sink_open (self, NULL, &error) ||
      !umedpt_feature_writer_finish (self->writer, &error)) {
    GST_UMEDPT_ELEMENT_ERROR (self, error, GST_UMEDPT_WRITING);
    return FALSE;
  }
  rows = umedpt_feature_writer_get_n_rows (self->writer);
  g_clear_pointer (&self->writer, umedpt_feature_writer_free);
  report (self, rows, expected_tiles (self));
  return TRUE;
}

static void
keep_structure (GstStructure **kept, const GstStructure *s)
{
  g_clear_pointer (kept, gst_structure_free);
  *kept = gst_structure_copy (s);
}

static gboolean
gst_umedpt_slide_sink_custom_event (GstUmedptSlideSink *self, GstEvent *event)
{
  const GstStructure *s = gst_event_get_structure (event);

  if (gst_structure_has_name (s, GST_UMEDPT_EVENT_SLIDE))
    keep_structure (&self->slide, s);
  else if (gst_structure_has_name (s, GST_UMEDPT_EVENT_MODEL) &&
      g_strcmp0 (gst_structure_get_string (s, "tensor"),
          GST_UMEDPT_TENSOR_EMBEDDING) == 0)
    keep_structure (&self->model, s);
  else if (gst_structure_has_name (s, GST_UMEDPT_EVENT_BAD_TILE))
    return gst_umedpt_slide_sink_bad_tile (self, s);
  else if (gst_structure_has_name (s, GST_UMEDPT_EVENT_FAILED))
    self->failed = TRUE;
  return TRUE;
}

static gboolean
gst_umedpt_slide_sink_event (GstBaseSink *base, GstEvent *event)
{
  GstUmedptSlideSink *self = GST_UMEDPT_SLIDE_SINK (base);
  gboolean ok = TRUE;

  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_CUSTOM_DOWNSTREAM:
    case GST_EVENT_CUSTOM_DOWNSTREAM_STICKY:
      ok = gst_umedpt_slide_sink_custom_event (self, event);
      break;
    case GST_EVENT_FLUSH_STOP:
      g_clear_pointer (&self->writer, umedpt_feature_writer_free);
      self->n_bad = 0;
      self->failed = FALSE;
      break;
    case GST_EVENT_EOS:
      ok = gst_umedpt_slide_sink_finish (self);
      break;
    default:
      break;
  }
  if (!ok) {
    gst_event_unref (event);
    return FALSE;
  }
  return GST_BASE_SINK_CLASS (gst_umedpt_slide_sink_parent_class)
      ->event (base, event);
}

/* Only metas are read, so any layout of the rows will do. */
static gboolean
gst_umedpt_slide_sink_propose_allocation (GstBaseSink *base, GstQuery *query)
{
  gst_query_add_allocation_meta (query, GST_VIDEO_META_API_TYPE, NULL);
  return TRUE;
}

/* --- class -------------------------------------------------------------- */

#define FLAGS \
  (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY)

static void
gst_umedpt_slide_sink_class_init (GstUmedptSlideSinkClass *klass)
{
  GObjectClass *object = G_OBJECT_CLASS (klass);
  GstElementClass *element = GST_ELEMENT_CLASS (klass);
  GstBaseSinkClass *base = GST_BASE_SINK_CLASS (klass);

  object->set_property = gst_umedpt_slide_sink_set_property;
  object->get_property = gst_umedpt_slide_sink_get_property;
  object->finalize = gst_umedpt_slide_sink_finalize;
  /**
   * GstUmedptSlideSink:features-location:
   *
   * The file for the features; its suffix (.h5, .pt, .npy) chooses the format.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_FEATURES_LOCATION,
      g_param_spec_string ("features-location", "Features file",
          "File for the features: .h5, .pt or .npy", NULL, FLAGS));
  /**
   * GstUmedptSlideSink:overwrite:
   *
   * Whether an existing file may be replaced; that happens at the end, when
   * the new one is complete.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_OVERWRITE,
      g_param_spec_boolean ("overwrite", "Overwrite",
          "Replace an existing file", FALSE, FLAGS));

  gst_element_class_add_static_pad_template (element, &sink_template);
  gst_element_class_set_static_metadata (element, "UMedPT slide sink",
      "Sink/File", "Writes the features of a slide's tiles into a file",
      "The UMedPT in C authors");
  element->change_state = gst_umedpt_slide_sink_change_state;

  base->render = gst_umedpt_slide_sink_render;
  base->event = gst_umedpt_slide_sink_event;
  base->propose_allocation = gst_umedpt_slide_sink_propose_allocation;
}

static void
gst_umedpt_slide_sink_init (GstUmedptSlideSink *self)
{
  gst_base_sink_set_sync (GST_BASE_SINK (self), FALSE);
}
