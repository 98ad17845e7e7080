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

#include <string.h>

#include "common/gstumedptresultsprivate.h"
#include "common/gstumedpttasks.h"

/* A copy of the properties. */
typedef struct
{
  char *task;
  char *classes;
  double threshold; /* < 0: the model's */
  UmedptDetectionSettings detection;
} Settings;

struct _GstUmedptDetect
{
  GstUmedptBase parent;

  Settings settings; /* under the object lock */
};

enum
{
  PROP_0,
  PROP_TASK,
  PROP_CLASSES,
  PROP_THRESHOLD,
  PROP_IOU_THRESHOLD,
  PROP_MAX_DETECTIONS,
};

GST_DEBUG_CATEGORY_STATIC (gst_umedpt_detect_debug);
#define GST_CAT_DEFAULT gst_umedpt_detect_debug

#define CAPS GST_VIDEO_CAPS_MAKE (GST_UMEDPT_FORMATS)

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE ("sink",
    GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS (CAPS));
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE ("src",
    GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS (CAPS));

G_DEFINE_TYPE_WITH_CODE (GstUmedptDetect, gst_umedpt_detect,
    GST_TYPE_UMEDPT_BASE,
    GST_DEBUG_CATEGORY_INIT (gst_umedpt_detect_debug, "umedptdetect", 0,
        "Boxes of objects"));
GST_ELEMENT_REGISTER_DEFINE (umedptdetect, "umedptdetect", GST_RANK_NONE,
    GST_TYPE_UMEDPT_DETECT);

static void
settings_clear (Settings *self)
{
  g_free (self->task);
  g_free (self->classes);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Settings, settings_clear)

static void
get_settings (GstUmedptBase *base, Settings *settings)
{
  GstUmedptDetect *self = GST_UMEDPT_DETECT (base);

  GST_OBJECT_LOCK (self);
  *settings = self->settings;
  settings->task = g_strdup (self->settings.task);
  settings->classes = g_strdup (self->settings.classes);
  GST_OBJECT_UNLOCK (self);
}

/* --- the model ---------------------------------------------------------- */

static gboolean
gst_umedpt_detect_check (GstUmedptBase *base, UmedptSession *session,
    GError **error)
{
  g_auto (Settings) settings = { NULL };
  g_autofree guint8 *keep = NULL;
  gint task;

  get_settings (base, &settings);
  task = gst_umedpt_find_task (session, settings.task, GST_UMEDPT_BOX_KINDS,
      error);
  if (task < 0)
    return FALSE;
  keep = gst_umedpt_select_classes (gst_umedpt_get_task (session, task),
      settings.classes, error);
  return keep != NULL;
}

static void
gst_umedpt_detect_get_input (GstUmedptBase *base, UmedptSession *session,
    gint *width, gint *height)
{
  g_auto (Settings) settings = { NULL };
  gint task;

  get_settings (base, &settings);
  task =
      gst_umedpt_find_task (session, settings.task, GST_UMEDPT_BOX_KINDS, NULL);
  gst_umedpt_get_task_input (session, MAX (task, 0), width, height);
}

static gboolean
gst_umedpt_detect_needs_features (GstUmedptBase *base)
{
  return TRUE;
}

static gboolean
gst_umedpt_detect_settle (GstUmedptBase *base, UmedptEncoding *encoding,
    GError **error)
{
  g_auto (Settings) settings = { NULL };
  gint task;
  guint number;

  get_settings (base, &settings);
  task = gst_umedpt_find_task (umedpt_encoding_get_session (encoding),
      settings.task, GST_UMEDPT_BOX_KINDS, error);
  number = (guint) task;
  return task >= 0 &&
      umedpt_encoding_settle (encoding, &number, 1, FALSE, error);
}

/* --- results ------------------------------------------------------------ */

/* Boxes of all views, in pixels of the frame. (transfer full) */
static GArray *
find_boxes (const GstUmedptLook *look, gint task,
    const UmedptDetectionSettings *settings, GError **error)
{
  g_autoptr (GArray) all = g_array_new (FALSE, FALSE, sizeof (UmedptRegionBox));
  g_autoptr (GArray) boxes = g_array_new (FALSE, FALSE, sizeof (UmedptBox));

  for (guint i = 0; i < look->n_views; i++) {
    const GstUmedptView *view = &look->views[i];
    gint width, height;

    g_array_set_size (boxes, 0);
    if (!umedpt_encoding_get_boxes (view->encoding, view->index, (guint) task,
            settings, boxes, error))
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
gst_umedpt_detect_process (GstUmedptBase *base, const GstUmedptLook *look,
    GstBuffer *buffer, GError **error)
{
  g_auto (Settings) settings = { NULL };
  g_autoptr (GArray) boxes = NULL;
  g_autoptr (GArray) selected = NULL;
  g_autofree guint8 *keep = NULL;
  const UmedptTaskDescription *own = NULL;
  guint most;
  gint task;

  get_settings (base, &settings);
  task = gst_umedpt_find_task (look->session, settings.task,
      GST_UMEDPT_BOX_KINDS, error);
  if (task < 0)
    return FALSE;
  own = gst_umedpt_get_task (look->session, task);
  keep = gst_umedpt_select_classes (own, settings.classes, error);
  most = settings.detection.max_boxes;
  if (keep &&
      memchr (keep, 0, (gsize) umedpt_task_description_get_n_outputs (own)))
    settings.detection.max_boxes = G_MAXUINT; /* those of others do not count */
  boxes = keep ? find_boxes (look, task, &settings.detection, error) : NULL;
  if (!boxes)
    return FALSE;
  selected = select_boxes (boxes, keep,
      settings.threshold < 0 ? own->threshold : settings.threshold);
  g_array_set_size (selected, MIN (selected->len, most));
  gst_buffer_add_umedpt_result (buffer, own->name,
      gst_umedpt_result_new_boxes (umedpt_session_get_model (look->session),
          (guint) task, look->pts, selected));
  return TRUE;
}

static void
gst_umedpt_detect_describe (GstUmedptBase *base, GstBuffer *buffer,
    GstStructure *message)
{
  const GstStructure *results = gst_buffer_get_umedpt_results (buffer);

  if (results)
    gst_structure_set (message, "results", GST_TYPE_STRUCTURE, results, NULL);
}

/* --- properties, class -------------------------------------------------- */

static void
gst_umedpt_detect_set_property (GObject *object, guint id, const GValue *value,
    GParamSpec *pspec)
{
  Settings *settings = &GST_UMEDPT_DETECT (object)->settings;

  GST_OBJECT_LOCK (object);
  switch (id) {
    case PROP_TASK:
      g_free (settings->task);
      settings->task = g_value_dup_string (value);
      break;
    case PROP_CLASSES:
      g_free (settings->classes);
      settings->classes = g_value_dup_string (value);
      break;
    case PROP_THRESHOLD:
      settings->threshold = g_value_get_double (value);
      break;
    case PROP_IOU_THRESHOLD:
      settings->detection.iou_threshold = g_value_get_double (value);
      break;
    case PROP_MAX_DETECTIONS:
      settings->detection.max_boxes = g_value_get_uint (value);
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
  const Settings *settings = &GST_UMEDPT_DETECT (object)->settings;

  GST_OBJECT_LOCK (object);
  switch (id) {
    case PROP_TASK:
      g_value_set_string (value, settings->task);
      break;
    case PROP_CLASSES:
      g_value_set_string (value, settings->classes);
      break;
    case PROP_THRESHOLD:
      g_value_set_double (value, settings->threshold);
      break;
    case PROP_IOU_THRESHOLD:
      g_value_set_double (value, settings->detection.iou_threshold);
      break;
    case PROP_MAX_DETECTIONS:
      g_value_set_uint (value, settings->detection.max_boxes);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  GST_OBJECT_UNLOCK (object);
}

static void
gst_umedpt_detect_finalize (GObject *object)
{
  settings_clear (&GST_UMEDPT_DETECT (object)->settings);
  G_OBJECT_CLASS (gst_umedpt_detect_parent_class)->finalize (object);
}

#define FLAGS(mutable) \
  (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_##mutable)

static void
install_properties (GObjectClass *object)
{
  /**
   * GstUmedptDetect:task:
   *
   * The detection task to run; not needed where the model has only one.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_TASK,
      g_param_spec_string ("task", "Task",
          "The detection task, if the model has several", NULL, FLAGS (READY)));
  /**
   * GstUmedptDetect:classes:
   *
   * Names of the classes to report, separated by commas; without any, all.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_CLASSES,
      g_param_spec_string ("classes", "Classes",
          "Classes to report, as \"a,b\" (default: all)", NULL, FLAGS (READY)));
  /**
   * GstUmedptDetect:threshold:
   *
   * The least score (class times centerness) of a box. Negative: the
   * threshold that the model file states. With 0 the boxes are those that
   * "umedpt-train eval" measures.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_THRESHOLD,
      g_param_spec_double ("threshold", "Threshold",
          "The least score of a box (negative = the model's)", -1, 1, -1,
          FLAGS (PLAYING)));
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
          "Overlap above which two boxes are one object", 0, 1, 0.5,
          FLAGS (PLAYING)));
  /**
   * GstUmedptDetect:max-detections:
   *
   * How many boxes a frame (or region, in the first place) has at most.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_MAX_DETECTIONS,
      g_param_spec_uint ("max-detections", "Most detections",
          "How many boxes a frame has at most", 1, 100000, 100,
          FLAGS (PLAYING)));
}

static void
gst_umedpt_detect_class_init (GstUmedptDetectClass *klass)
{
  GObjectClass *object = G_OBJECT_CLASS (klass);
  GstElementClass *element = GST_ELEMENT_CLASS (klass);
  GstUmedptBaseClass *base = GST_UMEDPT_BASE_CLASS (klass);

  object->set_property = gst_umedpt_detect_set_property;
  object->get_property = gst_umedpt_detect_get_property;
  object->finalize = gst_umedpt_detect_finalize;
  install_properties (object);
  gst_element_class_add_static_pad_template (element, &sink_template);
  gst_element_class_add_static_pad_template (element, &src_template);
  gst_element_class_set_static_metadata (element, "UMedPT detector",
      "Filter/Analyzer/Video",
      "Attaches boxes of objects by a detection task of a UMedPT model",
      "The UMedPT in C authors");

  base->result = GST_UMEDPT_RESULT_BOXES;
  base->check = gst_umedpt_detect_check;
  base->get_input = gst_umedpt_detect_get_input;
  base->needs_features = gst_umedpt_detect_needs_features;
  base->settle = gst_umedpt_detect_settle;
  base->process = gst_umedpt_detect_process;
  base->describe = gst_umedpt_detect_describe;
}

static void
gst_umedpt_detect_init (GstUmedptDetect *self)
{
  self->settings.threshold = -1;
  self->settings.detection =
      (UmedptDetectionSettings) UMEDPT_DETECTION_DEFAULTS;
}
