/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Hands each tile to the outputs (gstumedptslideoutput.h) that the user asked
 * for. Slide and model come with sticky events (gstumedptevents.h), unreadable
 * tiles with events in their place. At EOS each output completes its files; when
 * all are whole, they get their names together, so that an error of one leaves
 * none of the others. What is stopped earlier leaves nothing behind.
 *
 * A flushing seek voids what came before, as everywhere in GStreamer: the files
 * are begun anew and hold what follows the seek. After EOS the files are there,
 * and whether others may replace them is up to overwrite, as ever.
 *
 * After an error, sources push EOS as if all was well. So the sink remembers
 * its own errors, and hears of the inference element's ("umedpt-failed"), lest
 * half a file be completed.
 */

/**
 * SECTION:element-umedptslidesink
 * @title: umedptslidesink
 *
 * Collects the results of a slide's tiles in files for pathology tools, all in
 * one pass:
 *
 * - #GstUmedptSlideSink:features-location: embeddings (umedptembed), as HDF5 in
 *   TRIDENT's layout (.h5), a tensor for CLAM (.pt) or NumPy (.npy)
 * - #GstUmedptSlideSink:detections-location: objects for QuPath, GeoJSON: boxes
 *   (umedptdetect), and regions of the tasks that
 *   #GstUmedptSlideSink:instances names (umedptsegment)
 * - #GstUmedptSlideSink:table-location: their counts per class, and per mm²
 * - #GstUmedptSlideSink:mask-location: the classes of all pixels
 *   (umedptsegment), a pyramidal TIFF
 * - #GstUmedptSlideSink:regions-location: the outlines of that mask, GeoJSON
 * - #GstUmedptSlideSink:heatmap-location: a small picture of it all
 *
 * Objects that tiles share, or that the border of a tile cuts, are merged and
 * counted once; let tiles overlap by twice the size of an object (overlap of
 * umedptslidesrc), so that some tile sees each of them whole.
 *
 * Takes tiles as fast as they come (sync=false) and never drops one. The files
 * get their names at the end, together; after an error there is none of them.
 *
 * Then an element message "umedpt-slide-written" is posted: slide (string),
 * tiles, bad-tiles, expected (uint64), and for each file a field (features,
 * detections, table, mask, regions, heatmap) that holds a structure with path
 * (string) and count (uint64) of what is in it; for features another one,
 * "umedpt-features-written" (path, rows, bad-tiles, expected). An INFO message
 * per file is for people.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 -e umedptslidesrc location=slide.svs tile-size=256 mpp=0.5 ! queue ! umedptembed model-file=model.safetensors batch-size=8 ! umedptslidesink features-location=slide.pt overwrite=true
 * ]|
 * Writes the features of a slide, for CLAM.
 * |[
 * gst-launch-1.0 -e umedptslidesrc location=slide.svs tile-size=256 overlap=64 mpp=0.5 ! queue ! umedptembed model-file=model.safetensors batch-size=8 ! umedptsegment model-file=model.safetensors task=tissue ! umedptdetect model-file=model.safetensors task=cells ! umedptslidesink features-location=slide.h5 detections-location=slide.geojson table-location=slide.csv mask-location=slide-mask.tif regions-location=slide-regions.geojson heatmap-location=slide.png
 * ]|
 * Writes everything in one pass over the slide; the encoder runs once.
 * |[
 * gst-launch-1.0 -e umedptslidesrc location=slide.svs tile-size=256 overlap=64 mpp=0.5 ! queue ! umedptsegment model-file=model.safetensors task=nuclei batch-size=8 ! umedptslidesink instances=nuclei min-area=5 detections-location=slide.geojson.gz table-location=slide.csv
 * ]|
 * Outlines and counts nuclei, as a segmentation shows them.
 *
 * Since: 0.1
 */
#include "slide/gstumedptslidesink.h"

#include <gst/video/video.h>

#include "base/atomic-group.h"
#include "common/gstumedpterror.h"
#include "common/gstumedptevents.h"
#include "common/gstumedptmetaprivate.h"
#include "slide/gstumedptslideoutput.h"

GST_DEBUG_CATEGORY_STATIC (gst_umedpt_slide_sink_debug);
#define GST_CAT_DEFAULT gst_umedpt_slide_sink_debug

/* In the order in which they complete their files. */
static const GstUmedptSlideOutputClass *const classes[] = {
  &gst_umedpt_slide_mask,
  &gst_umedpt_slide_objects,
  &gst_umedpt_slide_heatmap,
  &gst_umedpt_slide_features,
};

struct _GstUmedptSlideSink
{
  GstBaseSink parent;

  GstUmedptSlideOutputSettings settings; /* under the object lock */

  /* from READY to PAUSED and back; in between, the streaming thread's */
  GstUmedptSlideOutputSettings fixed; /* settings as they were at the start */
  gboolean failed; /* nothing is completed any more */
  GstStructure *slide; /* (nullable) of the "umedpt-slide" event */
  GstStructure *model; /* (nullable) of the "umedpt-model" event */
  GstUmedptSlideRun *run; /* from the first tile on, as the outputs */
  gpointer outputs[G_N_ELEMENTS (classes)]; /* (nullable) */
  guint64 n_tiles, n_bad;
};

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE ("sink",
    GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS_ANY);

G_DEFINE_TYPE_WITH_CODE (GstUmedptSlideSink, gst_umedpt_slide_sink,
    GST_TYPE_BASE_SINK,
    GST_DEBUG_CATEGORY_INIT (gst_umedpt_slide_sink_debug, "umedptslidesink", 0,
        "Results of a slide's tiles into files"));
GST_ELEMENT_REGISTER_DEFINE (umedptslidesink, "umedptslidesink", GST_RANK_NONE,
    GST_TYPE_UMEDPT_SLIDE_SINK);

static void
gst_umedpt_slide_sink_set_property (GObject *object, guint id,
    const GValue *value, GParamSpec *pspec)
{
  GstUmedptSlideSink *self = GST_UMEDPT_SLIDE_SINK (object);
  gboolean known = FALSE;

  GST_OBJECT_LOCK (self);
  known = gst_umedpt_slide_output_settings_set (&self->settings, id, value);
  GST_OBJECT_UNLOCK (self);
  if (!known)
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
gst_umedpt_slide_sink_get_property (GObject *object, guint id, GValue *value,
    GParamSpec *pspec)
{
  GstUmedptSlideSink *self = GST_UMEDPT_SLIDE_SINK (object);
  gboolean known = FALSE;

  GST_OBJECT_LOCK (self);
  known = gst_umedpt_slide_output_settings_get (&self->settings, id, value);
  GST_OBJECT_UNLOCK (self);
  if (!known)
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

static void
gst_umedpt_slide_sink_finalize (GObject *object)
{
  GstUmedptSlideSink *self = GST_UMEDPT_SLIDE_SINK (object);

  gst_umedpt_slide_output_settings_clear (&self->settings);
  G_OBJECT_CLASS (gst_umedpt_slide_sink_parent_class)->finalize (object);
}

/* Errors of a stream that is not what it should be come in GStreamer's own
 * domain. FALSE, always. */
static gboolean
fail (GstUmedptSlideSink *self, const GError *error)
{
  self->failed = TRUE;
  if (error->domain == GST_STREAM_ERROR)
    gst_element_message_full (GST_ELEMENT (self), GST_MESSAGE_ERROR,
        error->domain, error->code, g_strdup (error->message), NULL, __FILE__,
        GST_FUNCTION, __LINE__);
  else
    GST_UMEDPT_ELEMENT_ERROR (self, error, GST_UMEDPT_WRITING);
  return FALSE;
}

/* --- the outputs -------------------------------------------------------- */

/* Begins with the first tile, when slide and model are known. */
static gboolean
gst_umedpt_slide_sink_begin (GstUmedptSlideSink *self, GError **error)
{
  if (self->run)
    return TRUE;
  self->run =
      gst_umedpt_slide_run_new (&self->fixed, self->slide, self->model, error);
  if (!self->run)
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (classes); i++)
    self->outputs[i] = classes[i]->begin (self->run);
  return TRUE;
}

/* Unfinished files go. */
static void
gst_umedpt_slide_sink_abandon (GstUmedptSlideSink *self)
{
  for (guint i = 0; i < G_N_ELEMENTS (classes); i++)
    g_clear_pointer (&self->outputs[i], classes[i]->free);
  g_clear_pointer (&self->run, gst_umedpt_slide_run_free);
  self->n_tiles = self->n_bad = 0;
  self->failed = FALSE;
}

/* --- starting and stopping ---------------------------------------------- */

/* Asks the outputs whether they could write: an existing file or a read-only
 * folder shall not come to light after hours of work. */
static gboolean
check (const GstUmedptSlideOutputSettings *settings, GError **error)
{
  if (!gst_umedpt_slide_output_settings_check (settings, error))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (classes); i++)
    if (!classes[i]->check (settings, error))
      return FALSE;
  return TRUE;
}

static gboolean
gst_umedpt_slide_sink_prepare (GstUmedptSlideSink *self)
{
  g_autoptr (GError) error = NULL;

  GST_OBJECT_LOCK (self);
  gst_umedpt_slide_output_settings_copy (&self->settings, &self->fixed);
  GST_OBJECT_UNLOCK (self);
  if (check (&self->fixed, &error))
    return TRUE;
  gst_umedpt_slide_output_settings_clear (&self->fixed);
  return fail (self, error);
}

static void
gst_umedpt_slide_sink_reset (GstUmedptSlideSink *self)
{
  if (self->run)
    GST_INFO_OBJECT (self, "stopped before the end; nothing is written");
  gst_umedpt_slide_sink_abandon (self);
  g_clear_pointer (&self->slide, gst_structure_free);
  g_clear_pointer (&self->model, gst_structure_free);
  gst_umedpt_slide_output_settings_clear (&self->fixed);
}

/* Not start() and stop(): GstBaseSink calls them between NULL and READY, where
 * properties may still change and a second run begins without them. */
static GstStateChangeReturn
gst_umedpt_slide_sink_change_state (GstElement *element,
    GstStateChange transition)
{
  GstUmedptSlideSink *self = GST_UMEDPT_SLIDE_SINK (element);
  GstStateChangeReturn result = GST_STATE_CHANGE_FAILURE;

  if (transition == GST_STATE_CHANGE_READY_TO_PAUSED) {
    self->failed = FALSE;
    if (!gst_umedpt_slide_sink_prepare (self))
      return GST_STATE_CHANGE_FAILURE;
  }
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
hand_out (GstUmedptSlideSink *self, const GstUmedptSlideTile *tile,
    GError **error)
{
  for (guint i = 0; i < G_N_ELEMENTS (classes); i++)
    if (self->outputs[i] && !classes[i]->take (self->outputs[i], tile, error))
      return FALSE;
  return TRUE;
}

/* FALSE: an ERROR is posted. */
static gboolean
gst_umedpt_slide_sink_take (GstUmedptSlideSink *self, GstBuffer *buffer)
{
  const GstStructure *meta = gst_buffer_get_umedpt_tile (buffer);
  GstUmedptSlideTile tile;
  g_autoptr (GError) error = NULL;

  if (!meta || !self->slide)
    g_set_error (&error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
        "A picture without a place on a slide has arrived (%s); the pipeline "
        "needs umedptslidesrc as its source.",
        meta ? "no umedpt-slide event" : "no GstUmedptTileMeta");
  else if (gst_umedpt_slide_sink_begin (self, &error) &&
      gst_umedpt_slide_tile_init (&tile, self->run, buffer, meta, &error) &&
      hand_out (self, &tile, &error)) {
    self->n_tiles++;
    return TRUE;
  }
  return fail (self, error);
}

static GstFlowReturn
gst_umedpt_slide_sink_render (GstBaseSink *base, GstBuffer *buffer)
{
  GstUmedptSlideSink *self = GST_UMEDPT_SLIDE_SINK (base);

  if (self->failed || !gst_umedpt_slide_sink_take (self, buffer))
    return GST_FLOW_ERROR;
  return GST_FLOW_OK;
}

/* FALSE: an ERROR is posted. */
static gboolean
gst_umedpt_slide_sink_bad_tile (GstUmedptSlideSink *self, const GstStructure *s)
{
  g_autoptr (GError) error = NULL;

  if (!self->slide || self->failed)
    return TRUE;
  if (!gst_umedpt_slide_sink_begin (self, &error))
    return fail (self, error);
  self->n_bad++;
  for (guint i = 0; i < G_N_ELEMENTS (classes); i++)
    if (self->outputs[i] && classes[i]->bad_tile &&
        !classes[i]->bad_tile (self->outputs[i], s, &error))
      return fail (self, error);
  return TRUE;
}

/* --- the end ------------------------------------------------------------ */

/* What takes long and may fail is done for all outputs before the first file
 * appears. */
static gboolean
finish_all (GstUmedptSlideSink *self, GArray *written, GError **error)
{
  g_autoptr (UmedptAtomicGroup) group = umedpt_atomic_group_new ();
  gboolean ok = TRUE;

  umedpt_atomic_group_begin (group);
  for (guint i = 0; ok && i < G_N_ELEMENTS (classes); i++)
    ok = !self->outputs[i] ||
        classes[i]->finish (self->outputs[i], written, error);
  umedpt_atomic_group_end (group);
  return ok && umedpt_atomic_group_commit (group, error);
}

/* Completes the files; empty ones if there was no tissue at all. */
static gboolean
gst_umedpt_slide_sink_finish (GstUmedptSlideSink *self)
{
  g_autoptr (GArray) written =
      g_array_new (FALSE, FALSE, sizeof (GstUmedptSlideWritten));
  g_autoptr (GError) error = NULL;

  if (self->failed) {
    GST_INFO_OBJECT (self, "nothing is written after an error");
    return FALSE;
  }
  if (!self->slide)
    g_set_error_literal (&error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
        "The stream has ended without a slide (no umedpt-slide event); the "
        "pipeline needs umedptslidesrc as its source.");
  else if (gst_umedpt_slide_sink_begin (self, &error) &&
      finish_all (self, written, &error)) {
    gst_umedpt_slide_report (GST_ELEMENT (self), self->run, written,
        self->n_tiles, self->n_bad);
    gst_umedpt_slide_sink_abandon (self);
    return TRUE;
  }
  return fail (self, error);
}

/* --- events ------------------------------------------------------------- */

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
      gst_umedpt_slide_sink_abandon (self);
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

static void
gst_umedpt_slide_sink_class_init (GstUmedptSlideSinkClass *klass)
{
  GObjectClass *object = G_OBJECT_CLASS (klass);
  GstElementClass *element = GST_ELEMENT_CLASS (klass);
  GstBaseSinkClass *base = GST_BASE_SINK_CLASS (klass);

  object->set_property = gst_umedpt_slide_sink_set_property;
  object->get_property = gst_umedpt_slide_sink_get_property;
  object->finalize = gst_umedpt_slide_sink_finalize;
  gst_umedpt_slide_output_settings_install (object);

  gst_element_class_add_static_pad_template (element, &sink_template);
  gst_element_class_set_static_metadata (element, "UMedPT slide sink",
      "Sink/File", "Writes the results of a slide's tiles into files",
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
