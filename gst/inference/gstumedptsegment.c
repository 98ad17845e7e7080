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

#include "common/gstumedptenums.h"
#include "common/gstumedptresultsprivate.h"
#include "common/gstumedpttasks.h"
#include "inference/gstumedptcuda.h"
#include "inference/gstumedptsegmentpicture.h"

struct _GstUmedptSegment
{
  GstUmedptHead parent;

  GstUmedptSegmentOutput output; /* under the object lock */
};

enum
{
  PROP_0,
  PROP_OUTPUT,
};

GST_DEBUG_CATEGORY_STATIC (gst_umedpt_segment_debug);
#define GST_CAT_DEFAULT gst_umedpt_segment_debug

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE ("sink",
    GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS (GST_UMEDPT_CAPS));
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE ("src",
    GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS (GST_UMEDPT_CAPS));

G_DEFINE_TYPE_WITH_CODE (GstUmedptSegment, gst_umedpt_segment,
    GST_TYPE_UMEDPT_HEAD,
    GST_DEBUG_CATEGORY_INIT (gst_umedpt_segment_debug, "umedptsegment", 0,
        "Masks of pictures"));
GST_ELEMENT_REGISTER_DEFINE (umedptsegment, "umedptsegment", GST_RANK_NONE,
    GST_TYPE_UMEDPT_SEGMENT);

/* --- results ------------------------------------------------------------ */

static gboolean
is_multilabel (const UmedptTaskDescription *task)
{
  return task->kind == UMEDPT_TASK_MULTILABEL_SEGMENTATION ||
      umedpt_task_description_get_n_outputs (task) == 1;
}

/* The mask of the one view of all of the frame. */
static guint8 *
decide_whole (const GstUmedptLook *look, const GstUmedptChoice *choice,
    GstUmedptMask *mask, GError **error)
{
  const GstUmedptView *view = &look->views[0];
  guint8 *data = NULL;

  umedpt_encoding_get_mask_size (view->encoding, &mask->width, &mask->height);
  mask->w = look->width;
  mask->h = look->height;
  data = g_malloc ((gsize) mask->width * (gsize) mask->height *
      (gsize) mask->planes);
  if (umedpt_encoding_get_mask (view->encoding, view->index, choice->task,
          choice->threshold, data, error))
    return data;
  g_free (data);
  return NULL;
}

static gboolean
add_view (UmedptCanvas *canvas, const GstUmedptView *view,
    const GstUmedptChoice *choice, GError **error)
{
  g_autofree gfloat *probabilities = NULL;
  gint width, height;

  umedpt_encoding_get_mask_size (view->encoding, &width, &height);
  probabilities =
      g_new (gfloat, (gsize) width * (gsize) height * choice->n_classes);
  if (!umedpt_encoding_get_probabilities (view->encoding, view->index,
          choice->task, probabilities, error))
    return FALSE;
  umedpt_canvas_add (canvas, &view->region, width, height, probabilities);
  return TRUE;
}

/* The mask of all views together, at half the frame's resolution. */
static guint8 *
decide_views (const GstUmedptLook *look, const GstUmedptChoice *choice,
    GstUmedptMask *mask, GError **error)
{
  g_autoptr (UmedptCanvas) canvas = umedpt_canvas_new (look->width,
      look->height, (gint) choice->n_classes, error);
  guint8 *data = NULL;

  if (!canvas)
    return NULL;
  for (guint i = 0; i < look->n_views; i++)
    if (!add_view (canvas, &look->views[i], choice, error))
      return NULL;
  umedpt_canvas_get_size (canvas, &mask->width, &mask->height);
  mask->w = 2.0 * mask->width;
  mask->h = 2.0 * mask->height;
  data = g_malloc ((gsize) mask->width * (gsize) mask->height *
      (gsize) mask->planes);
  umedpt_canvas_decide (canvas, is_multilabel (choice->own), choice->threshold,
      data);
  return data;
}

/* Other classes become class 0, of multi-label tasks none. */
static void
drop_classes (guint8 *data, const GstUmedptMask *mask,
    const GstUmedptChoice *choice)
{
  const gsize n = (gsize) mask->width * (gsize) mask->height;
  const gsize planes = (gsize) mask->planes;

  if (choice->all)
    return;
  if (choice->n_classes == planes) {
    for (gsize i = 0; i < n * planes; i++)
      data[i] = data[i] && choice->keep[i % planes];
    return;
  }
  for (gsize i = 0; i < n; i++)
    if (data[i] < choice->n_classes && !choice->keep[data[i]])
      data[i] = 0;
}

static gboolean
gst_umedpt_segment_run (GstUmedptHead *head, const GstUmedptLook *look,
    const GstUmedptChoice *choice, GstBuffer *buffer, GError **error)
{
  GstUmedptMask mask = {
    .planes = is_multilabel (choice->own) ? (gint) choice->n_classes : 1
  };
  g_autofree guint8 *data = look->whole
      ? decide_whole (look, choice, &mask, error)
      : decide_views (look, choice, &mask, error);

  if (!data)
    return FALSE;
  drop_classes (data, &mask, choice);
  mask.data = data;
  gst_buffer_add_umedpt_result (buffer, choice->own->name,
      gst_umedpt_result_new_mask (umedpt_session_get_model (look->session),
          choice->task, look->pts, &mask));
  return TRUE;
}

/* --- the mask as a picture ---------------------------------------------- */

static gboolean
makes_pictures (gpointer element)
{
  gboolean result;

  GST_OBJECT_LOCK (element);
  result = GST_UMEDPT_SEGMENT (element)->output == GST_UMEDPT_SEGMENT_MASK;
  GST_OBJECT_UNLOCK (element);
  return result;
}

/* Of the frame's masks it takes this element's. Where there is none nothing is
 * decided, or with bits for classes none is set. */
static GstBuffer *
gst_umedpt_segment_finish (GstUmedptBase *base, UmedptSession *session,
    GstBuffer *buffer, const GstVideoInfo *info)
{
  const UmedptTaskDescription *own = NULL;

  if (!makes_pictures (base))
    return buffer;
  own = gst_umedpt_head_get_task (GST_UMEDPT_HEAD (base), session);
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
  GstUmedptSegment *self = GST_UMEDPT_SEGMENT (object);

  GST_OBJECT_LOCK (object);
  switch (id) {
    case PROP_OUTPUT:
      self->output = g_value_get_enum (value);
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
  GstUmedptSegment *self = GST_UMEDPT_SEGMENT (object);

  GST_OBJECT_LOCK (object);
  switch (id) {
    case PROP_OUTPUT:
      g_value_set_enum (value, (gint) self->output);
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
          G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS |
              GST_PARAM_MUTABLE_READY));
}

static void
gst_umedpt_segment_class_init (GstUmedptSegmentClass *klass)
{
  GObjectClass *object = G_OBJECT_CLASS (klass);
  GstElementClass *element = GST_ELEMENT_CLASS (klass);
  GstUmedptBaseClass *base = GST_UMEDPT_BASE_CLASS (klass);
  GstUmedptHeadClass *head = GST_UMEDPT_HEAD_CLASS (klass);

  object->set_property = gst_umedpt_segment_set_property;
  object->get_property = gst_umedpt_segment_get_property;
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
  base->finish = gst_umedpt_segment_finish;
  head->kinds = GST_UMEDPT_MASK_KINDS;
  head->run = gst_umedpt_segment_run;
}

static void
gst_umedpt_segment_init (GstUmedptSegment *self)
{
}
