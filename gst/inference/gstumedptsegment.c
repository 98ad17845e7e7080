/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Masks of a segmentation head, of a frame or of its regions. A mask is
 * attached at the resolution at which it is decided, half the network's; who
 * draws or stores it scales it to the part of the frame that it covers. All
 * that is hard about streams is in the base class.
 */

/**
 * SECTION:element-umedptsegment
 * @title: umedptsegment
 *
 * Decides the class of every pixel by a segmentation task of the model, or,
 * for multi-label tasks, whether it belongs to each class, and attaches the
 * mask as a result "umedpt-mask" (gstumedptresults.h). Frames pass untouched
 * and keep their size; with #GstUmedptSegment:output=mask the mask leaves
 * instead of the picture, GRAY8, of the picture's size: the number of the
 * class, 255 where nothing was decided; of multi-label tasks bit i is set for
 * class i, up to the eighth.
 *
 * Frames much larger than the network's input: inference-region=tiles looks at
 * the frame in its own resolution, in tiles that overlap; their probabilities
 * are blended, so there are no seams.
 *
 * After another inference element with the same model it uses that one's pass
 * of the encoder.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 filesrc location=video.mp4 ! decodebin ! videoconvert ! umedptsegment model-file=model.safetensors task=tissue ! fakesink
 * ]|
 *
 * Since: 0.1
 */
#include "inference/gstumedptsegment.h"

#include <string.h>

#include "common/gstumedptenums.h"
#include "common/gstumedptresultsprivate.h"
#include "common/gstumedpttasks.h"
#include "inference/gstumedptsegmentpicture.h"

/* A copy of the properties. */
typedef struct
{
  char *task;
  char *classes;
  double threshold; /* < 0: the model's */
  GstUmedptSegmentOutput output;
} Settings;

struct _GstUmedptSegment
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
  PROP_OUTPUT,
};

GST_DEBUG_CATEGORY_STATIC (gst_umedpt_segment_debug);
#define GST_CAT_DEFAULT gst_umedpt_segment_debug

#define CAPS GST_VIDEO_CAPS_MAKE (GST_UMEDPT_FORMATS)

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE ("sink",
    GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS (CAPS));
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE ("src",
    GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS (CAPS));

G_DEFINE_TYPE_WITH_CODE (GstUmedptSegment, gst_umedpt_segment,
    GST_TYPE_UMEDPT_BASE,
    GST_DEBUG_CATEGORY_INIT (gst_umedpt_segment_debug, "umedptsegment", 0,
        "Masks of pictures"));
GST_ELEMENT_REGISTER_DEFINE (umedptsegment, "umedptsegment", GST_RANK_NONE,
    GST_TYPE_UMEDPT_SEGMENT);

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
  GstUmedptSegment *self = GST_UMEDPT_SEGMENT (base);

  GST_OBJECT_LOCK (self);
  *settings = self->settings;
  settings->task = g_strdup (self->settings.task);
  settings->classes = g_strdup (self->settings.classes);
  GST_OBJECT_UNLOCK (self);
}

/* --- the model ---------------------------------------------------------- */

static gboolean
gst_umedpt_segment_check (GstUmedptBase *base, UmedptSession *session,
    GError **error)
{
  g_auto (Settings) settings = { NULL };
  g_autofree guint8 *keep = NULL;
  gint task;

  get_settings (base, &settings);
  task = gst_umedpt_find_task (session, settings.task, GST_UMEDPT_MASK_KINDS,
      error);
  if (task < 0)
    return FALSE;
  keep = gst_umedpt_select_classes (gst_umedpt_get_task (session, task),
      settings.classes, error);
  return keep != NULL;
}

static void
gst_umedpt_segment_get_input (GstUmedptBase *base, UmedptSession *session,
    gint *width, gint *height)
{
  g_auto (Settings) settings = { NULL };
  gint task;

  get_settings (base, &settings);
  task = gst_umedpt_find_task (session, settings.task, GST_UMEDPT_MASK_KINDS,
      NULL);
  gst_umedpt_get_task_input (session, MAX (task, 0), width, height);
}

static gboolean
gst_umedpt_segment_needs_features (GstUmedptBase *base)
{
  return TRUE;
}

static gboolean
gst_umedpt_segment_settle (GstUmedptBase *base, UmedptEncoding *encoding,
    GError **error)
{
  g_auto (Settings) settings = { NULL };
  gint task;
  guint number;

  get_settings (base, &settings);
  task = gst_umedpt_find_task (umedpt_encoding_get_session (encoding),
      settings.task, GST_UMEDPT_MASK_KINDS, error);
  number = (guint) task;
  return task >= 0 &&
      umedpt_encoding_settle (encoding, &number, 1, FALSE, error);
}

/* --- results ------------------------------------------------------------ */

static gboolean
is_multilabel (const UmedptTaskDescription *task)
{
  return task->kind == UMEDPT_TASK_MULTILABEL_SEGMENTATION ||
      umedpt_task_description_get_n_outputs (task) == 1;
}

/* The mask of the one view of all of the frame. */
static guint8 *
decide_whole (const GstUmedptLook *look, gint task, double threshold,
    GstUmedptMask *mask, GError **error)
{
  const GstUmedptView *view = &look->views[0];
  guint8 *data = NULL;

  umedpt_encoding_get_mask_size (view->encoding, &mask->width, &mask->height);
  mask->w = look->width;
  mask->h = look->height;
  data = g_malloc ((gsize) mask->width * (gsize) mask->height *
      (gsize) mask->planes);
  if (umedpt_encoding_get_mask (view->encoding, view->index, (guint) task,
          threshold, data, error))
    return data;
  g_free (data);
  return NULL;
}

static gboolean
add_view (UmedptCanvas *canvas, const GstUmedptView *view, gint task, gint k,
    GError **error)
{
  g_autofree gfloat *probabilities = NULL;
  gint width, height;

  umedpt_encoding_get_mask_size (view->encoding, &width, &height);
  probabilities = g_new (gfloat, (gsize) width * (gsize) height * (gsize) k);
  if (!umedpt_encoding_get_probabilities (view->encoding, view->index,
          (guint) task, probabilities, error))
    return FALSE;
  umedpt_canvas_add (canvas, &view->region, width, height, probabilities);
  return TRUE;
}

/* The mask of all views together, at half the frame's resolution. */
static guint8 *
decide_views (const GstUmedptLook *look, gint task, double threshold,
    GstUmedptMask *mask, GError **error)
{
  const UmedptTaskDescription *own = gst_umedpt_get_task (look->session, task);
  const gint k = umedpt_task_description_get_n_outputs (own);
  g_autoptr (UmedptCanvas) canvas =
      umedpt_canvas_new (look->width, look->height, k, error);
  guint8 *data = NULL;

  if (!canvas)
    return NULL;
  for (guint i = 0; i < look->n_views; i++)
    if (!add_view (canvas, &look->views[i], task, k, error))
      return NULL;
  umedpt_canvas_get_size (canvas, &mask->width, &mask->height);
  mask->w = 2.0 * mask->width;
  mask->h = 2.0 * mask->height;
  data = g_malloc ((gsize) mask->width * (gsize) mask->height *
      (gsize) mask->planes);
  umedpt_canvas_decide (canvas, is_multilabel (own), threshold, data);
  return data;
}

/* Other classes become background, or undecided where there is none. */
static void
drop_classes (guint8 *data, const GstUmedptMask *mask, const guint8 *keep,
    guint n_classes)
{
  const gsize n = (gsize) mask->width * (gsize) mask->height;
  const gsize planes = (gsize) mask->planes;

  if (memchr (keep, 0, n_classes) == NULL)
    return;
  if (n_classes == planes) {
    for (gsize i = 0; i < n * planes; i++)
      data[i] = data[i] && keep[i % planes];
    return;
  }
  for (gsize i = 0; i < n; i++)
    if (data[i] < n_classes && data[i] != 0 && !keep[data[i]])
      data[i] = 0;
}

static gboolean
gst_umedpt_segment_process (GstUmedptBase *base, const GstUmedptLook *look,
    GstBuffer *buffer, GError **error)
{
  g_auto (Settings) settings = { NULL };
  g_autofree guint8 *keep = NULL, *data = NULL;
  const UmedptTaskDescription *own = NULL;
  GstUmedptMask mask = { .planes = 1 };
  double threshold;
  guint k;
  gint task;

  get_settings (base, &settings);
  task = gst_umedpt_find_task (look->session, settings.task,
      GST_UMEDPT_MASK_KINDS, error);
  if (task < 0)
    return FALSE;
  own = gst_umedpt_get_task (look->session, task);
  k = (guint) umedpt_task_description_get_n_outputs (own);
  keep = gst_umedpt_select_classes (own, settings.classes, error);
  if (!keep)
    return FALSE;
  threshold = settings.threshold < 0 ? own->threshold : settings.threshold;
  if (is_multilabel (own))
    mask.planes = (gint) k;
  data = look->whole ? decide_whole (look, task, threshold, &mask, error)
                     : decide_views (look, task, threshold, &mask, error);
  if (!data)
    return FALSE;
  drop_classes (data, &mask, keep, k);
  mask.data = data;
  gst_buffer_add_umedpt_result (buffer, own->name,
      gst_umedpt_result_new_mask (umedpt_session_get_model (look->session),
          (guint) task, look->pts, &mask));
  return TRUE;
}

static void
gst_umedpt_segment_describe (GstUmedptBase *base, GstBuffer *buffer,
    GstStructure *message)
{
  const GstStructure *results = gst_buffer_get_umedpt_results (buffer);

  if (results)
    gst_structure_set (message, "results", GST_TYPE_STRUCTURE, results, NULL);
}

/* --- the mask as a picture ---------------------------------------------- */

static gboolean
makes_pictures (gpointer element)
{
  gboolean result;

  GST_OBJECT_LOCK (element);
  result =
      GST_UMEDPT_SEGMENT (element)->settings.output == GST_UMEDPT_SEGMENT_MASK;
  GST_OBJECT_UNLOCK (element);
  return result;
}

/* Of the frame's masks it takes this element's. Where there is none nothing is
 * decided, or with bits for classes none is set. */
static GstBuffer *
gst_umedpt_segment_finish (GstUmedptBase *base, UmedptSession *session,
    GstBuffer *buffer, const GstVideoInfo *info)
{
  g_auto (Settings) settings = { NULL };
  const UmedptTaskDescription *own = NULL;
  gint task;

  if (!makes_pictures (base))
    return buffer;
  get_settings (base, &settings);
  task = gst_umedpt_find_task (session, settings.task, GST_UMEDPT_MASK_KINDS,
      NULL);
  own = gst_umedpt_get_task (session, MAX (task, 0));
  return gst_umedpt_segment_make_picture (buffer,
      gst_umedpt_results_get (gst_buffer_get_umedpt_results (buffer), own->name,
          GST_UMEDPT_RESULT_MASK),
      umedpt_task_description_get_n_outputs (own) > 1 && is_multilabel (own)
          ? 0
          : GST_UMEDPT_UNDECIDED,
      info);
}

static GstCaps *
gst_umedpt_segment_transform_caps (GstBaseTransform *trans,
    GstPadDirection direction, GstCaps *caps, GstCaps *filter)
{
  GstCaps *result = makes_pictures (trans)
      ? gst_umedpt_segment_picture_caps (direction, caps)
      : gst_caps_ref (caps);

  if (filter) {
    GstCaps *both =
        gst_caps_intersect_full (filter, result, GST_CAPS_INTERSECT_FIRST);
    gst_caps_unref (result);
    return both;
  }
  return result;
}

/* --- properties, class -------------------------------------------------- */

static void
gst_umedpt_segment_set_property (GObject *object, guint id, const GValue *value,
    GParamSpec *pspec)
{
  Settings *settings = &GST_UMEDPT_SEGMENT (object)->settings;

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
    case PROP_OUTPUT:
      settings->output = g_value_get_enum (value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  GST_OBJECT_UNLOCK (object);
}

static void
gst_umedpt_segment_get_property (GObject *object, guint id, GValue *value,
    GParamSpec *pspec)
{
  const Settings *settings = &GST_UMEDPT_SEGMENT (object)->settings;

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
    case PROP_OUTPUT:
      g_value_set_enum (value, (gint) settings->output);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  GST_OBJECT_UNLOCK (object);
}

static void
gst_umedpt_segment_finalize (GObject *object)
{
  settings_clear (&GST_UMEDPT_SEGMENT (object)->settings);
  G_OBJECT_CLASS (gst_umedpt_segment_parent_class)->finalize (object);
}

#define FLAGS(mutable) \
  (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_##mutable)

static void
install_properties (GObjectClass *object)
{
  /**
   * GstUmedptSegment:task:
   *
   * The segmentation task to run; not needed where the model has only one.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_TASK,
      g_param_spec_string ("task", "Task",
          "The segmentation task, if the model has several", NULL,
          FLAGS (READY)));
  /**
   * GstUmedptSegment:classes:
   *
   * Names of the classes to report, separated by commas; without any, all.
   * Pixels of the others become class 0.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_CLASSES,
      g_param_spec_string ("classes", "Classes",
          "Classes to report, as \"a,b\" (default: all)", NULL, FLAGS (READY)));
  /**
   * GstUmedptSegment:threshold:
   *
   * Pixels whose best class is less probable than this are undecided (255); of
   * multi-label tasks, a pixel belongs to a class that is more probable.
   * Negative: the threshold that the model file states.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_THRESHOLD,
      g_param_spec_double ("threshold", "Threshold",
          "The least probability of a class (negative = the model's)", -1, 1,
          -1, FLAGS (PLAYING)));
  /**
   * GstUmedptSegment:output:
   *
   * Whether the picture leaves with the mask attached, or the mask as a
   * picture.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_OUTPUT,
      g_param_spec_enum ("output", "Output",
          "The picture with its mask, or the mask as a picture",
          GST_TYPE_UMEDPT_SEGMENT_OUTPUT, GST_UMEDPT_SEGMENT_META,
          FLAGS (READY)));
}

static void
gst_umedpt_segment_class_init (GstUmedptSegmentClass *klass)
{
  GObjectClass *object = G_OBJECT_CLASS (klass);
  GstElementClass *element = GST_ELEMENT_CLASS (klass);
  GstUmedptBaseClass *base = GST_UMEDPT_BASE_CLASS (klass);

  object->set_property = gst_umedpt_segment_set_property;
  object->get_property = gst_umedpt_segment_get_property;
  object->finalize = gst_umedpt_segment_finalize;
  install_properties (object);
  gst_type_mark_as_plugin_api (GST_TYPE_UMEDPT_SEGMENT_OUTPUT, 0);
  gst_element_class_add_static_pad_template (element, &sink_template);
  gst_element_class_add_static_pad_template (element, &src_template);
  gst_element_class_set_static_metadata (element, "UMedPT segmenter",
      "Filter/Analyzer/Video",
      "Attaches masks by a segmentation task of a UMedPT model",
      "The UMedPT in C authors");
  GST_BASE_TRANSFORM_CLASS (klass)->transform_caps =
      gst_umedpt_segment_transform_caps;

  base->result = GST_UMEDPT_RESULT_MASK;
  base->check = gst_umedpt_segment_check;
  base->get_input = gst_umedpt_segment_get_input;
  base->needs_features = gst_umedpt_segment_needs_features;
  base->settle = gst_umedpt_segment_settle;
  base->process = gst_umedpt_segment_process;
  base->describe = gst_umedpt_segment_describe;
  base->finish = gst_umedpt_segment_finish;
}

static void
gst_umedpt_segment_init (GstUmedptSegment *self)
{
  self->settings.threshold = -1;
}
