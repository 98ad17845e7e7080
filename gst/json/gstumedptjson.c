/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Writes down what buffers carry. A tap rather than a sink, so that it can be
 * in the middle of a display; it only reads, so buffers are neither copied nor
 * made writable. With output=text it is where pictures end and lines go on.
 *
 * The file is a record of what came by, in that order: after a seek it goes on,
 * and pts tell where. Making the line (gstumedptjsonwrite.c) and getting it to
 * the disk (gstumedptjsonfile.c) are elsewhere.
 */

/**
 * SECTION:element-umedptjson
 * @title: umedptjson
 *
 * Writes a line of JSON for every buffer that passes: its times, what was
 * found in it (classes, boxes, areas of masks), its place on a slide, on
 * request its embedding. docs/json-lines.md describes the fields.
 *
 * The lines go into a file while it runs, and are there even after a crash.
 * With output=text they replace the pictures downstream, as text/x-raw buffers
 * with the pictures' times, for appsink, filesink or tcpserversink; location
 * is optional then.
 *
 * Writing happens in the streaming thread; before a display, on a slow disk,
 * put a queue in front.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 -e filesrc location=video.mp4 ! decodebin ! videoconvert ! umedptembed model-file=model.safetensors ! umedptjson location=video.jsonl embedding=true ! fakesink
 * ]|
 * A line with its embedding for every frame of a video.
 * |[
 * gst-launch-1.0 -e umedptslidesrc location=slide.svs tile-size=256 mpp=0.5 ! queue ! umedptembed model-file=model.safetensors batch-size=8 ! umedptjson output=text embedding=true ! filesink location=slide.jsonl
 * ]|
 * The same for the tiles of a slide, as a stream of text.
 *
 * Since: 0.1
 */
#include "json/gstumedptjson.h"

#include <gst/video/video.h>

#include "common/gstumedptenums.h"
#include "common/gstumedpterror.h"
#include "common/gstumedptevents.h"
#include "json/gstumedptjsonfile.h"
#include "json/gstumedptjsonwrite.h"

GST_DEBUG_CATEGORY_STATIC (gst_umedpt_json_debug);
#define GST_CAT_DEFAULT gst_umedpt_json_debug

struct _GstUmedptJson
{
  GstBaseTransform parent;

  /* properties, under the object lock */
  char *location;
  GstUmedptJsonOutput output;
  GstUmedptMasks masks;
  gboolean embedding;
  gboolean append;
  gboolean flush_every_line;

  GstPoll *poll; /* what a blocked write waits in, and is woken from */

  /* from start to stop, the streaming thread's */
  GstUmedptJsonFile *file; /* (nullable) */
  gboolean text;
  gboolean failed;
  guint64 n_frames;
  gint width, height; /* 0 = unknown */
  gboolean live;
  GString *line; /* kept for its memory */
};

enum
{
  PROP_0,
  PROP_LOCATION,
  PROP_OUTPUT,
  PROP_EMBEDDING,
  PROP_MASKS,
  PROP_APPEND,
  PROP_FLUSH_EVERY_LINE,
};

#define TEXT_CAPS "text/x-raw, format=(string)utf8"

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE ("sink",
    GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS_ANY);
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE ("src",
    GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS_ANY);

G_DEFINE_TYPE_WITH_CODE (GstUmedptJson, gst_umedpt_json,
    GST_TYPE_BASE_TRANSFORM,
    GST_DEBUG_CATEGORY_INIT (gst_umedpt_json_debug, "umedptjson", 0,
        "Results as lines of JSON"));
GST_ELEMENT_REGISTER_DEFINE (umedptjson, "umedptjson", GST_RANK_NONE,
    GST_TYPE_UMEDPT_JSON);

#define PARENT GST_BASE_TRANSFORM_CLASS (gst_umedpt_json_parent_class)

static void
gst_umedpt_json_set_property (GObject *object, guint id, const GValue *value,
    GParamSpec *pspec)
{
  GstUmedptJson *self = GST_UMEDPT_JSON (object);

  GST_OBJECT_LOCK (self);
  switch (id) {
    case PROP_LOCATION:
      g_free (self->location);
      self->location = g_value_dup_string (value);
      break;
    case PROP_OUTPUT:
      self->output = g_value_get_enum (value);
      break;
    case PROP_EMBEDDING:
      self->embedding = g_value_get_boolean (value);
      break;
    case PROP_MASKS:
      self->masks = g_value_get_enum (value);
      break;
    case PROP_APPEND:
      self->append = g_value_get_boolean (value);
      break;
    case PROP_FLUSH_EVERY_LINE:
      self->flush_every_line = g_value_get_boolean (value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  GST_OBJECT_UNLOCK (self);
}

static void
gst_umedpt_json_get_property (GObject *object, guint id, GValue *value,
    GParamSpec *pspec)
{
  GstUmedptJson *self = GST_UMEDPT_JSON (object);

  GST_OBJECT_LOCK (self);
  switch (id) {
    case PROP_LOCATION:
      g_value_set_string (value, self->location);
      break;
    case PROP_OUTPUT:
      g_value_set_enum (value, self->output);
      break;
    case PROP_EMBEDDING:
      g_value_set_boolean (value, self->embedding);
      break;
    case PROP_MASKS:
      g_value_set_enum (value, self->masks);
      break;
    case PROP_APPEND:
      g_value_set_boolean (value, self->append);
      break;
    case PROP_FLUSH_EVERY_LINE:
      g_value_set_boolean (value, self->flush_every_line);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  GST_OBJECT_UNLOCK (self);
}

static void
gst_umedpt_json_finalize (GObject *object)
{
  GstUmedptJson *self = GST_UMEDPT_JSON (object);

  g_free (self->location);
  gst_poll_free (self->poll);
  g_string_free (self->line, TRUE);
  G_OBJECT_CLASS (gst_umedpt_json_parent_class)->finalize (object);
}

/* --- starting and stopping ---------------------------------------------- */

static gboolean
check_location (const char *location, gboolean text, GError **error)
{
  const gboolean none = !location || *location == '\0';

  if (none && !text)
    g_set_error_literal (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "No file is given for the lines; set location=FILE.jsonl, or "
        "output=text.");
  else if (g_strcmp0 (location, "-") == 0)
    g_set_error_literal (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "'-' is not the name of a file, and umedptjson does not print; for "
        "standard output use output=text with fdsink after it.");
  else
    return TRUE;
  return FALSE;
}

static gboolean
gst_umedpt_json_open (GstUmedptJson *self, GError **error)
{
  g_autofree char *location = NULL;
  gboolean append = FALSE;

  GST_OBJECT_LOCK (self);
  location = g_strdup (self->location);
  append = self->append;
  self->text = self->output == GST_UMEDPT_JSON_TEXT;
  GST_OBJECT_UNLOCK (self);
  if (!check_location (location, self->text, error))
    return FALSE;
  if (!location || *location == '\0')
    return TRUE;
  self->file = gst_umedpt_json_file_new (location, append, self->poll, error);
  return self->file != NULL;
}

static gboolean
gst_umedpt_json_start (GstBaseTransform *trans)
{
  GstUmedptJson *self = GST_UMEDPT_JSON (trans);
  g_autoptr (GError) error = NULL;

  gst_poll_set_flushing (self->poll, FALSE);
  self->failed = self->live = FALSE;
  self->n_frames = 0;
  self->width = self->height = 0;
  if (!gst_umedpt_json_open (self, &error)) {
    GST_UMEDPT_ELEMENT_ERROR (self, error, GST_UMEDPT_WRITING);
    return FALSE;
  }
  gst_base_transform_set_passthrough (trans, !self->text);
  return TRUE;
}

static gboolean
gst_umedpt_json_stop (GstBaseTransform *trans)
{
  GstUmedptJson *self = GST_UMEDPT_JSON (trans);
  GstUmedptJsonFile *file = g_steal_pointer (&self->file);
  g_autoptr (GError) error = NULL;

  if (file && !gst_umedpt_json_file_close (file, &error) && !self->failed)
    GST_UMEDPT_ELEMENT_ERROR (self, error, GST_UMEDPT_WRITING);
  return TRUE;
}

static GstStateChangeReturn
gst_umedpt_json_change_state (GstElement *element, GstStateChange transition)
{
  /* nobody may read the pipe that we write to */
  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY)
    gst_poll_set_flushing (GST_UMEDPT_JSON (element)->poll, TRUE);
  return GST_ELEMENT_CLASS (gst_umedpt_json_parent_class)
      ->change_state (element, transition);
}

/* --- caps and allocation ------------------------------------------------ */

static GstCaps *
gst_umedpt_json_transform_caps (GstBaseTransform *trans,
    GstPadDirection direction, GstCaps *caps, GstCaps *filter)
{
  GstUmedptJson *self = GST_UMEDPT_JSON (trans);
  gboolean text = FALSE;
  GstCaps *result = NULL;

  GST_OBJECT_LOCK (self);
  text = self->output == GST_UMEDPT_JSON_TEXT;
  GST_OBJECT_UNLOCK (self);
  if (!text)
    result = gst_caps_ref (caps);
  else if (direction == GST_PAD_SINK)
    result = gst_caps_from_string (TEXT_CAPS);
  else
    result = gst_caps_new_any ();
  if (filter) {
    GstCaps *common =
        gst_caps_intersect_full (filter, result, GST_CAPS_INTERSECT_FIRST);
    gst_caps_replace (&result, common);
    gst_caps_unref (common);
  }
  return result;
}

/* What is not a picture has no size. */
static gboolean
gst_umedpt_json_set_caps (GstBaseTransform *trans, GstCaps *in, GstCaps *out)
{
  GstUmedptJson *self = GST_UMEDPT_JSON (trans);
  const GstStructure *s = gst_caps_get_structure (in, 0);

  if (!gst_structure_get_int (s, "width", &self->width) ||
      !gst_structure_get_int (s, "height", &self->height))
    self->width = self->height = 0;
  return TRUE;
}

/* Only metas are read, so any layout of the rows will do where the pictures
 * end here. */
static gboolean
gst_umedpt_json_propose_allocation (GstBaseTransform *trans,
    GstQuery *decide_query, GstQuery *query)
{
  if (!PARENT->propose_allocation (trans, decide_query, query))
    return FALSE;
  if (GST_UMEDPT_JSON (trans)->text)
    gst_query_add_allocation_meta (query, GST_VIDEO_META_API_TYPE, NULL);
  return TRUE;
}

/* --- lines -------------------------------------------------------------- */

static void
gst_umedpt_json_fail (GstUmedptJson *self, const GError *error)
{
  self->failed = TRUE;
  GST_UMEDPT_ELEMENT_ERROR (self, error, GST_UMEDPT_WRITING);
  gst_pad_push_event (GST_BASE_TRANSFORM_SRC_PAD (self),
      gst_umedpt_event_new_failed ());
}

/* Puts self->line into the file, if there is one. */
static gboolean
gst_umedpt_json_write (GstUmedptJson *self)
{
  g_autoptr (GError) error = NULL;
  gboolean at_once = FALSE;

  if (!self->file)
    return TRUE;
  GST_OBJECT_LOCK (self);
  at_once = self->flush_every_line;
  GST_OBJECT_UNLOCK (self);
  if (gst_umedpt_json_file_write (self->file, self->line->str, self->line->len,
          at_once, &error))
    return TRUE;
  gst_umedpt_json_fail (self, error);
  return FALSE;
}

static void
make_line (GstUmedptJson *self, GstBuffer *buffer)
{
  GstUmedptJsonContext context = {
    .frame = self->n_frames++,
    .width = self->width,
    .height = self->height,
    .segment = &GST_BASE_TRANSFORM (self)->segment,
    .live = self->live,
    .now = gst_element_get_current_running_time (GST_ELEMENT (self)),
  };

  GST_OBJECT_LOCK (self);
  context.embedding = self->embedding;
  context.masks = self->masks;
  GST_OBJECT_UNLOCK (self);
  g_string_truncate (self->line, 0);
  gst_umedpt_json_append_buffer (self->line, buffer, &context);
}

static GstBuffer *
line_to_buffer (GstUmedptJson *self)
{
  return gst_buffer_new_memdup (self->line->str, self->line->len);
}

static GstBuffer *
new_text (GstUmedptJson *self, GstBuffer *picture)
{
  GstBuffer *text = line_to_buffer (self);

  gst_buffer_copy_into (text, picture, GST_BUFFER_COPY_TIMESTAMPS, 0, -1);
  if (GST_BUFFER_IS_DISCONT (picture))
    GST_BUFFER_FLAG_SET (text, GST_BUFFER_FLAG_DISCONT);
  return text;
}

/* Not transform(), which gets a buffer made before, nor transform_ip(), which
 * cannot replace it. */
static GstFlowReturn
gst_umedpt_json_generate_output (GstBaseTransform *trans, GstBuffer **output)
{
  GstUmedptJson *self = GST_UMEDPT_JSON (trans);
  g_autoptr (GstBuffer) buffer = g_steal_pointer (&trans->queued_buf);

  *output = NULL;
  if (!buffer)
    return GST_FLOW_OK;
  if (self->failed)
    return GST_FLOW_ERROR;
  make_line (self, buffer);
  if (!gst_umedpt_json_write (self))
    return GST_FLOW_ERROR;
  *output = self->text ? new_text (self, buffer) : g_steal_pointer (&buffer);
  return GST_FLOW_OK;
}

/* --- events ------------------------------------------------------------- */

static gboolean
upstream_is_live (GstBaseTransform *trans)
{
  g_autoptr (GstQuery) query = gst_query_new_latency ();
  gboolean live = FALSE;

  if (gst_pad_peer_query (GST_BASE_TRANSFORM_SINK_PAD (trans), query))
    gst_query_parse_latency (query, &live, NULL, NULL);
  return live;
}

/* A tile that could not be read has a line in its place, lest it look like one
 * that was never there. */
static void
take_bad_tile (GstUmedptJson *self, const GstStructure *event)
{
  if (self->failed)
    return;
  g_string_truncate (self->line, 0);
  gst_umedpt_json_append_bad_tile (self->line, event);
  if (gst_umedpt_json_write (self) && self->text)
    gst_pad_push (GST_BASE_TRANSFORM_SRC_PAD (self), line_to_buffer (self));
}

static void
finish (GstUmedptJson *self)
{
  g_autoptr (GError) error = NULL;

  if (self->file && !self->failed &&
      !gst_umedpt_json_file_sync (self->file, &error))
    gst_umedpt_json_fail (self, error);
}

static gboolean
gst_umedpt_json_sink_event (GstBaseTransform *trans, GstEvent *event)
{
  GstUmedptJson *self = GST_UMEDPT_JSON (trans);

  switch (GST_EVENT_TYPE (event)) {
    case GST_EVENT_FLUSH_START:
      gst_poll_set_flushing (self->poll, TRUE);
      break;
    case GST_EVENT_FLUSH_STOP:
      gst_poll_set_flushing (self->poll, FALSE);
      break;
    case GST_EVENT_SEGMENT:
      self->live = upstream_is_live (trans);
      break;
    case GST_EVENT_CUSTOM_DOWNSTREAM:
      if (gst_event_has_name (event, GST_UMEDPT_EVENT_BAD_TILE))
        take_bad_tile (self, gst_event_get_structure (event));
      break;
    case GST_EVENT_EOS:
      finish (self);
      break;
    default:
      break;
  }
  return PARENT->sink_event (trans, event);
}

/* --- class -------------------------------------------------------------- */

#define STARTING \
  (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY)
#define RUNNING \
  (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING)

static void
install_file_properties (GObjectClass *object)
{
  /**
   * GstUmedptJson:location:
   *
   * The file for the lines. It is made at the start and written line by line,
   * so that it holds what happened even after a crash. A named pipe will do; a
   * slow reader then slows down the pipeline.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_LOCATION,
      g_param_spec_string ("location", "File", "File for the lines", NULL,
          STARTING));
  /**
   * GstUmedptJson:append:
   *
   * Whether to keep what the file holds and write after it.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_APPEND,
      g_param_spec_boolean ("append", "Append",
          "Write after what the file holds", FALSE, STARTING));
  /**
   * GstUmedptJson:flush-every-line:
   *
   * Whether every line is given to the system as soon as it is complete, where
   * a crash of the program cannot harm it; else 64 KiB are collected. At EOS
   * all is on the disk.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_FLUSH_EVERY_LINE,
      g_param_spec_boolean ("flush-every-line", "Flush every line",
          "Write every line at once", TRUE, RUNNING));
}

static void
install_line_properties (GObjectClass *object)
{
  /**
   * GstUmedptJson:output:
   *
   * What goes downstream: the buffers as they came (pass), or a buffer of text
   * with the line instead of each (text).
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_OUTPUT,
      g_param_spec_enum ("output", "Output", "What goes downstream",
          GST_TYPE_UMEDPT_JSON_OUTPUT, GST_UMEDPT_JSON_PASS, STARTING));
  /**
   * GstUmedptJson:embedding:
   *
   * Whether to write the embedding, if the buffer has one: hundreds of numbers
   * a line.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_EMBEDDING,
      g_param_spec_boolean ("embedding", "Embedding", "Write the embedding",
          FALSE, RUNNING));
  /**
   * GstUmedptJson:masks:
   *
   * What to write of a mask: nothing, the area of every class, or also the
   * mask itself, as runs.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_MASKS,
      g_param_spec_enum ("masks", "Masks", "What to write of a mask",
          GST_TYPE_UMEDPT_MASKS, GST_UMEDPT_MASKS_AREAS, RUNNING));
}

static void
gst_umedpt_json_class_init (GstUmedptJsonClass *klass)
{
  GObjectClass *object = G_OBJECT_CLASS (klass);
  GstElementClass *element = GST_ELEMENT_CLASS (klass);
  GstBaseTransformClass *trans = GST_BASE_TRANSFORM_CLASS (klass);

  object->set_property = gst_umedpt_json_set_property;
  object->get_property = gst_umedpt_json_get_property;
  object->finalize = gst_umedpt_json_finalize;
  install_file_properties (object);
  install_line_properties (object);
  gst_type_mark_as_plugin_api (GST_TYPE_UMEDPT_JSON_OUTPUT, 0);
  gst_type_mark_as_plugin_api (GST_TYPE_UMEDPT_MASKS, 0);

  gst_element_class_add_static_pad_template (element, &sink_template);
  gst_element_class_add_static_pad_template (element, &src_template);
  gst_element_class_set_static_metadata (element, "UMedPT results as JSON",
      "Filter/Converter", "Writes a line of JSON for every buffer",
      "The UMedPT in C authors");
  element->change_state = gst_umedpt_json_change_state;

  trans->start = gst_umedpt_json_start;
  trans->stop = gst_umedpt_json_stop;
  trans->transform_caps = gst_umedpt_json_transform_caps;
  trans->set_caps = gst_umedpt_json_set_caps;
  trans->propose_allocation = gst_umedpt_json_propose_allocation;
  trans->generate_output = gst_umedpt_json_generate_output;
  trans->sink_event = gst_umedpt_json_sink_event;
}

static void
gst_umedpt_json_init (GstUmedptJson *self)
{
  self->output = GST_UMEDPT_JSON_PASS;
  self->masks = GST_UMEDPT_MASKS_AREAS;
  self->flush_every_line = TRUE;
  self->poll = gst_poll_new (TRUE);
  self->line = g_string_new (NULL);
}
