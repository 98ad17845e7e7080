/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Boxes of a detection head, of a frame or of its regions, in pixels of the
 * frame. All that is hard about streams is in the base class.
 */

/**
 * SECTION:element-umedptdetect
 * @title: umedptdetect
 *
 * Finds objects with a detection task of the model and attaches their boxes
 * with class and score, best first: as a result "umedpt-boxes"
 * (gstumedptresults.h), and as #GstVideoRegionOfInterestMeta for elements of
 * others. Frames pass untouched and keep their size.
 *
 * Small objects in large frames: inference-region=tiles looks at the frame in
 * its own resolution, in tiles that overlap, and merges what they find.
 *
 * After another inference element with the same model it uses that one's pass
 * of the encoder.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 filesrc location=video.mp4 ! decodebin ! videoconvert ! umedptdetect model-file=model.safetensors task=cells threshold=0.3 ! fakesink
 * ]|
 *
 * Since: 0.1
 */
#include "inference/gstumedptdetect.h"

#include "common/gstumedptresultsprivate.h"
#include "common/gstumedpttasks.h"
#include "inference/gstumedptcuda.h"

struct _GstUmedptDetect
{
  GstUmedptHead parent;

  UmedptDetectionSettings settings; /* under the object lock */
};

enum
{
  PROP_0,
  PROP_IOU_THRESHOLD,
  PROP_MAX_DETECTIONS,
};

GST_DEBUG_CATEGORY_STATIC (gst_umedpt_detect_debug);
#define GST_CAT_DEFAULT gst_umedpt_detect_debug

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE ("sink",
    GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS (GST_UMEDPT_CAPS));
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE ("src",
    GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS (GST_UMEDPT_CAPS));

G_DEFINE_TYPE_WITH_CODE (GstUmedptDetect, gst_umedpt_detect,
    GST_TYPE_UMEDPT_HEAD,
    GST_DEBUG_CATEGORY_INIT (gst_umedpt_detect_debug, "umedptdetect", 0,
        "Boxes of objects"));
GST_ELEMENT_REGISTER_DEFINE (umedptdetect, "umedptdetect", GST_RANK_NONE,
    GST_TYPE_UMEDPT_DETECT);

/* --- results ------------------------------------------------------------ */

/* Boxes of all views, in pixels of the frame. (transfer full) */
static GArray *
find_boxes (const GstUmedptLook *look, guint task,
    const UmedptDetectionSettings *settings, GError **error)
{
  g_autoptr (GArray) all = g_array_new (FALSE, FALSE, sizeof (UmedptRegionBox));
  g_autoptr (GArray) boxes = g_array_new (FALSE, FALSE, sizeof (UmedptBox));

  for (guint i = 0; i < look->n_views; i++) {
    const GstUmedptView *view = &look->views[i];
    gint width, height;

    g_array_set_size (boxes, 0);
    if (!umedpt_encoding_get_boxes (view->encoding, view->index, task, settings,
            boxes, error))
      return NULL;
    umedpt_encoding_get_size (view->encoding, &width, &height);
    umedpt_regions_add_boxes (all, &view->region, look->width, look->height,
        width, height, boxes);
  }
  g_array_set_size (boxes, 0);
  if (!look->whole)
    return umedpt_regions_merge_boxes (all, settings->iou_threshold,
        settings->max_boxes);
  for (guint i = 0; i < all->len; i++)
    g_array_append_val (boxes, g_array_index (all, UmedptRegionBox, i).box);
  return g_steal_pointer (&boxes);
}

/* Of GstUmedptBox. */
static GArray *
select_boxes (const GArray *boxes, const guint8 *keep, double threshold)
{
  GArray *selected = g_array_new (FALSE, FALSE, sizeof (GstUmedptBox));

  for (guint i = 0; i < boxes->len; i++) {
    const UmedptBox *box = &g_array_index (boxes, UmedptBox, i);
    const GstUmedptBox out = { box->x1, box->y1, box->x2 - box->x1,
      box->y2 - box->y1, box->score, box->label };

    if (keep[box->label] && box->score >= threshold)
      g_array_append_val (selected, out);
  }
  return selected;
}

static gboolean
gst_umedpt_detect_run (GstUmedptHead *head, const GstUmedptLook *look,
    const GstUmedptChoice *choice, GstBuffer *buffer, GError **error)
{
  UmedptDetectionSettings settings;
  g_autoptr (GArray) boxes = NULL;
  g_autoptr (GArray) selected = NULL;
  guint most;

  GST_OBJECT_LOCK (head);
  settings = GST_UMEDPT_DETECT (head)->settings;
  GST_OBJECT_UNLOCK (head);
  most = settings.max_boxes;
  if (!choice->all)
    settings.max_boxes = G_MAXUINT; /* those of others do not count */
  boxes = find_boxes (look, choice->task, &settings, error);
  if (!boxes)
    return FALSE;
  selected = select_boxes (boxes, choice->keep, choice->threshold);
  g_array_set_size (selected, MIN (selected->len, most));
  gst_buffer_add_umedpt_result (buffer, choice->own->name,
      gst_umedpt_result_new_boxes (umedpt_session_get_model (look->session),
          choice->task, look->pts, selected));
  return TRUE;
}

/* --- properties, class -------------------------------------------------- */

static void
gst_umedpt_detect_set_property (GObject *object, guint id, const GValue *value,
    GParamSpec *pspec)
{
  UmedptDetectionSettings *settings = &GST_UMEDPT_DETECT (object)->settings;

  GST_OBJECT_LOCK (object);
  switch (id) {
    case PROP_IOU_THRESHOLD:
      settings->iou_threshold = g_value_get_double (value);
      break;
    case PROP_MAX_DETECTIONS:
      settings->max_boxes = g_value_get_uint (value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  GST_OBJECT_UNLOCK (object);
}

static void
gst_umedpt_detect_get_property (GObject *object, guint id, GValue *value,
    GParamSpec *pspec)
{
  const UmedptDetectionSettings *settings =
      &GST_UMEDPT_DETECT (object)->settings;

  GST_OBJECT_LOCK (object);
  switch (id) {
    case PROP_IOU_THRESHOLD:
      g_value_set_double (value, settings->iou_threshold);
      break;
    case PROP_MAX_DETECTIONS:
      g_value_set_uint (value, settings->max_boxes);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  GST_OBJECT_UNLOCK (object);
}

static void
install_properties (GObjectClass *object)
{
  const GParamFlags flags =
      G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING;

  /**
   * GstUmedptDetect:iou-threshold:
   *
   * Of two boxes of a class whose intersection over union is above this, the
   * worse one goes.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_IOU_THRESHOLD,
      g_param_spec_double ("iou-threshold", "IoU threshold",
          "Overlap above which two boxes are one object", 0, 1, 0.5, flags));
  /**
   * GstUmedptDetect:max-detections:
   *
   * How many boxes a frame (or region, in the first place) has at most.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_MAX_DETECTIONS,
      g_param_spec_uint ("max-detections", "Most detections",
          "How many boxes a frame has at most", 1, 100000, 100, flags));
}

static void
gst_umedpt_detect_class_init (GstUmedptDetectClass *klass)
{
  GObjectClass *object = G_OBJECT_CLASS (klass);
  GstElementClass *element = GST_ELEMENT_CLASS (klass);
  GstUmedptBaseClass *base = GST_UMEDPT_BASE_CLASS (klass);
  GstUmedptHeadClass *head = GST_UMEDPT_HEAD_CLASS (klass);

  object->set_property = gst_umedpt_detect_set_property;
  object->get_property = gst_umedpt_detect_get_property;
  install_properties (object);
  gst_element_class_add_static_pad_template (element, &sink_template);
  gst_element_class_add_static_pad_template (element, &src_template);
  gst_element_class_set_static_metadata (element, "UMedPT detector",
      "Filter/Analyzer/Video",
      "Attaches boxes of objects by a detection task of a UMedPT model",
      "The UMedPT in C authors");

  base->result = GST_UMEDPT_RESULT_BOXES;
  head->kinds = GST_UMEDPT_BOX_KINDS;
  head->run = gst_umedpt_detect_run;
}

static void
gst_umedpt_detect_init (GstUmedptDetect *self)
{
  self->settings = (UmedptDetectionSettings) UMEDPT_DETECTION_DEFAULTS;
}
