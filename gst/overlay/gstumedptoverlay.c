/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Draws results on frames. What is to be drawn is decided before the buffer is
 * made writable, so that frames with nothing to draw pass as they are.
 */

/**
 * SECTION:element-umedptoverlay
 * @title: umedptoverlay
 *
 * Draws what umedptdetect, umedptsegment and others have attached to a frame
 * (gstumedptresults.h): boxes with labels and scores, contours of masks or
 * translucent colour, values as text, a legend, and the state: "ready", "stale
 * 320 ms" where the result is that of an older frame, "no model" where none has
 * come.
 *
 * It draws in the frame's own format, converts nothing, and touches only the
 * pixels that it draws; a frame on which there is nothing to draw, and every
 * frame with #GstUmedptOverlay:enabled off, passes as it is. Results that it
 * does not understand are ignored. It never stops the stream.
 *
 * Against flicker objects can be shown only when they are found several times
 * (#GstUmedptOverlay:show-after-hits within #GstUmedptOverlay:show-window), and
 * kept for a while after (#GstUmedptOverlay:hold). Objects are boxes, and
 * regions of masks. It needs time stamps; a seek begins anew.
 *
 * Put it right after the inference: other elements may drop the results.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 videotestsrc num-buffers=10 ! umedptoverlay ! fakesink
 * ]|
 * Frames without results: the state is shown, "no model".
 *
 * Since: 0.1
 */
#include "overlay/gstumedptoverlayprivate.h"

#include "common/gstumedptenums.h"

GST_DEBUG_CATEGORY_STATIC (gst_umedpt_overlay_debug);
#define GST_CAT_DEFAULT gst_umedpt_overlay_debug

#define CAPS GST_VIDEO_CAPS_MAKE (GST_UMEDPT_PAINT_FORMATS)

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE ("sink",
    GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS (CAPS));
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE ("src",
    GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS (CAPS));

G_DEFINE_TYPE_WITH_CODE (GstUmedptOverlay, gst_umedpt_overlay,
    GST_TYPE_BASE_TRANSFORM,
    GST_DEBUG_CATEGORY_INIT (gst_umedpt_overlay_debug, "umedptoverlay", 0,
        "Results drawn on pictures"));
GST_ELEMENT_REGISTER_DEFINE (umedptoverlay, "umedptoverlay", GST_RANK_NONE,
    GST_TYPE_UMEDPT_OVERLAY);

#define PARENT GST_BASE_TRANSFORM_CLASS (gst_umedpt_overlay_parent_class)

/* --- stream ------------------------------------------------------------- */

/* The first text makes fontconfig read its files: here, not at a frame. */
static gboolean
gst_umedpt_overlay_start (GstBaseTransform *trans)
{
  GstUmedptOverlay *self = GST_UMEDPT_OVERLAY (trans);

  gst_umedpt_texts_get (self->texts, "ready", 10);
  gst_umedpt_scene_reset (self->scene);
  GST_OBJECT_LOCK (self);
  self->frames = self->drawn = self->ages.n = self->costs.n = 0;
  self->state = GST_UMEDPT_OVERLAY_NO_MODEL;
  GST_OBJECT_UNLOCK (self);
  return TRUE;
}

static gboolean
gst_umedpt_overlay_stop (GstBaseTransform *trans)
{
  gst_umedpt_scene_reset (GST_UMEDPT_OVERLAY (trans)->scene);
  return TRUE;
}

/* What was seen is at other places now. */
static gboolean
gst_umedpt_overlay_set_caps (GstBaseTransform *trans, GstCaps *incaps,
    GstCaps *outcaps)
{
  GstUmedptOverlay *self = GST_UMEDPT_OVERLAY (trans);

  gst_umedpt_scene_flush (self->scene);
  return gst_video_info_from_caps (&self->info, incaps);
}

static gboolean
gst_umedpt_overlay_sink_event (GstBaseTransform *trans, GstEvent *event)
{
  GstUmedptOverlay *self = GST_UMEDPT_OVERLAY (trans);

  if (GST_EVENT_TYPE (event) == GST_EVENT_FLUSH_STOP)
    gst_umedpt_scene_flush (self->scene);
  else if (GST_EVENT_TYPE (event) == GST_EVENT_STREAM_START)
    gst_umedpt_scene_reset (self->scene);
  return PARENT->sink_event (trans, event);
}

/* We read padded rows, and whatever else comes passes on as it is. */
static gboolean
gst_umedpt_overlay_filter_meta (GstBaseTransform *trans, GstQuery *query,
    GType api, const GstStructure *params)
{
  return TRUE;
}

/* --- frames ------------------------------------------------------------- */

static void
take_settings (GstUmedptOverlay *self)
{
  g_strfreev (self->now.tasks);
  GST_OBJECT_LOCK (self);
  self->now = self->settings;
  self->now.tasks = g_strdupv (self->settings.tasks);
  self->frames++;
  GST_OBJECT_UNLOCK (self);
}

static void
add_time (GstUmedptOverlayTimes *times, GstClockTime time)
{
  times->recent[times->n++ % GST_UMEDPT_OVERLAY_WINDOW] = time;
}

static void
note_scene (GstUmedptOverlay *self)
{
  GST_OBJECT_LOCK (self);
  self->state = self->scene->state;
  if (self->scene->age >= 0)
    add_time (&self->ages, (GstClockTime) self->scene->age);
  GST_OBJECT_UNLOCK (self);
}

static GstFlowReturn
gst_umedpt_overlay_prepare (GstBaseTransform *trans, GstBuffer *in,
    GstBuffer **out)
{
  GstUmedptOverlay *self = GST_UMEDPT_OVERLAY (trans);

  self->began = gst_util_get_timestamp ();
  take_settings (self);
  self->empty = TRUE;
  if (self->now.enabled) {
    gst_umedpt_scene_build (self->scene, gst_buffer_get_umedpt_results (in),
        &self->now, GST_VIDEO_INFO_HEIGHT (&self->info), GST_BUFFER_PTS (in),
        trans->segment.rate < 0);
    self->empty = gst_umedpt_scene_is_empty (self->scene, &self->now);
    note_scene (self);
  }
  if (!self->empty)
    return PARENT->prepare_output_buffer (trans, in, out);
  *out = in;
  return GST_FLOW_OK;
}

static GstFlowReturn
gst_umedpt_overlay_transform_ip (GstBaseTransform *trans, GstBuffer *buffer)
{
  GstUmedptOverlay *self = GST_UMEDPT_OVERLAY (trans);
  GstUmedptCanvas canvas;
  GstVideoFrame frame;

  if (self->empty)
    return GST_FLOW_OK;
  if (!gst_video_frame_map (&frame, &self->info, buffer,
          GST_MAP_READWRITE | GST_VIDEO_FRAME_MAP_FLAG_NO_REF)) {
    GST_WARNING_OBJECT (self,
        "%" GST_PTR_FORMAT " cannot be mapped as a frame of its caps; it "
        "passes without drawing",
        buffer);
    return GST_FLOW_OK;
  }
  gst_umedpt_canvas_init (&canvas, &frame);
  gst_umedpt_scene_draw (self->scene, &self->now, self->texts, &canvas);
  gst_video_frame_unmap (&frame);
  GST_OBJECT_LOCK (self);
  self->drawn++;
  add_time (&self->costs, gst_util_get_timestamp () - self->began);
  GST_OBJECT_UNLOCK (self);
  return GST_FLOW_OK;
}

/* --- class -------------------------------------------------------------- */

static void
gst_umedpt_overlay_finalize (GObject *object)
{
  GstUmedptOverlay *self = GST_UMEDPT_OVERLAY (object);

  g_strfreev (self->settings.tasks);
  g_strfreev (self->now.tasks);
  gst_umedpt_scene_free (self->scene);
  gst_umedpt_texts_free (self->texts);
  G_OBJECT_CLASS (gst_umedpt_overlay_parent_class)->finalize (object);
}

static void
gst_umedpt_overlay_class_init (GstUmedptOverlayClass *klass)
{
  GObjectClass *object = G_OBJECT_CLASS (klass);
  GstElementClass *element = GST_ELEMENT_CLASS (klass);
  GstBaseTransformClass *trans = GST_BASE_TRANSFORM_CLASS (klass);

  object->set_property = gst_umedpt_overlay_set_property;
  object->get_property = gst_umedpt_overlay_get_property;
  object->finalize = gst_umedpt_overlay_finalize;
  gst_umedpt_overlay_install_properties (object);
  gst_type_mark_as_plugin_api (GST_TYPE_UMEDPT_MASK_STYLE, 0);
  gst_type_mark_as_plugin_api (GST_TYPE_UMEDPT_BOX_STYLE, 0);

  gst_element_class_add_static_pad_template (element, &sink_template);
  gst_element_class_add_static_pad_template (element, &src_template);
  gst_element_class_set_static_metadata (element, "UMedPT overlay",
      "Filter/Editor/Video", "Draws results of UMedPT models on the picture",
      "The UMedPT in C authors");

  trans->start = gst_umedpt_overlay_start;
  trans->stop = gst_umedpt_overlay_stop;
  trans->set_caps = gst_umedpt_overlay_set_caps;
  trans->sink_event = gst_umedpt_overlay_sink_event;
  trans->filter_meta = gst_umedpt_overlay_filter_meta;
  trans->prepare_output_buffer = gst_umedpt_overlay_prepare;
  trans->transform_ip = gst_umedpt_overlay_transform_ip;
}

static void
gst_umedpt_overlay_init (GstUmedptOverlay *self)
{
  gst_umedpt_overlay_init_settings (&self->settings);
  self->scene = gst_umedpt_scene_new ();
  self->texts = gst_umedpt_texts_new ();
  gst_base_transform_set_in_place (GST_BASE_TRANSFORM (self), TRUE);
  /* late frames are not ours to drop */
  gst_base_transform_set_qos_enabled (GST_BASE_TRANSFORM (self), FALSE);
}
