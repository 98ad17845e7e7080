/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Registration, writing and scaling of the meta described in
 * gstumedptresults.h. A custom meta of GStreamer's own rather than types of
 * ours: every language reads it, and a copy of a buffer shares the data, which
 * lie in GBytes.
 */
#include "common/gstumedptresultsprivate.h"

#include <gst/video/video.h>
#include <string.h>

#include "common/gstumedptanalytics.h"
#include "output/draw.h"

#define ROI_PARAMS "detection" /* the name that others look for */

/* --- scaling ------------------------------------------------------------ */

typedef struct
{
  gdouble x, y;
} Factors;

static void
scale_boxes (GstStructure *result, const Factors *by)
{
  guint n = 0;
  const GstUmedptBox *boxes = gst_umedpt_result_get_boxes (result, &n);
  g_autoptr (GBytes) bytes = NULL;
  GstUmedptBox *scaled = NULL;

  if (n == 0)
    return;
  scaled = g_memdup2 (boxes, n * sizeof *boxes);
  for (guint i = 0; i < n; i++) {
    scaled[i].x = (gfloat) (boxes[i].x * by->x);
    scaled[i].y = (gfloat) (boxes[i].y * by->y);
    scaled[i].width = (gfloat) (boxes[i].width * by->x);
    scaled[i].height = (gfloat) (boxes[i].height * by->y);
  }
  bytes = g_bytes_new_take (scaled, n * sizeof *scaled);
  gst_structure_set (result, "boxes", G_TYPE_BYTES, bytes, NULL);
}

static void
scale_field (GstStructure *result, const char *field, gdouble by)
{
  gdouble value = 0;

  if (gst_structure_get_double (result, field, &value))
    gst_structure_set (result, field, G_TYPE_DOUBLE, value * by, NULL);
}

static gboolean
scale_result (GQuark field, GValue *value, gpointer data)
{
  GstStructure *result = g_value_get_boxed (value);
  const Factors *by = data;

  scale_boxes (result, by);
  scale_field (result, "x", by->x);
  scale_field (result, "width", by->x);
  scale_field (result, "y", by->y);
  scale_field (result, "height", by->y);
  return TRUE;
}

static GstStructure *
get_writable (GstBuffer *buffer)
{
  GstCustomMeta *meta =
      gst_buffer_get_custom_meta (buffer, GST_UMEDPT_RESULTS_META_NAME);

  if (!meta)
    meta = gst_buffer_add_custom_meta (buffer, GST_UMEDPT_RESULTS_META_NAME);
  return gst_custom_meta_get_structure (meta);
}

static gboolean
copy_result (GQuark field, const GValue *value, gpointer to)
{
  gst_structure_id_set_value (to, field, value);
  return TRUE;
}

/* A copy of part of the bytes is no longer the same picture; a scaled one is,
 * with results scaled. What else may happen to a picture is not known. */
static gboolean
transform (GstBuffer *to, GstCustomMeta *meta, GstBuffer *from, GQuark type,
    gpointer data, gpointer user_data)
{
  const gboolean scale = GST_VIDEO_META_TRANSFORM_IS_SCALE (type);
  GstStructure *results = NULL;

  if (!scale &&
      !(GST_META_TRANSFORM_IS_COPY (type) &&
          !((GstMetaTransformCopy *) data)->region))
    return FALSE;
  results = get_writable (to);
  gst_structure_foreach (gst_custom_meta_get_structure (meta), copy_result,
      results);
  if (scale) {
    const GstVideoMetaTransform *info = data;
    Factors by = {
      (gdouble) GST_VIDEO_INFO_WIDTH (info->out_info) /
          GST_VIDEO_INFO_WIDTH (info->in_info),
      (gdouble) GST_VIDEO_INFO_HEIGHT (info->out_info) /
          GST_VIDEO_INFO_HEIGHT (info->in_info),
    };
    gst_structure_map_in_place (results, scale_result, &by);
  }
  return TRUE;
}

void
gst_umedpt_results_register (void)
{
  static gsize done = 0;
  static const char *tags[] = { GST_META_TAG_VIDEO_STR,
    GST_META_TAG_VIDEO_SIZE_STR, NULL };

  if (g_once_init_enter (&done)) {
    gst_meta_register_custom (GST_UMEDPT_RESULTS_META_NAME, tags, transform,
        NULL, NULL);
    g_once_init_leave (&done, 1);
  }
}

/* --- writing ------------------------------------------------------------ */

static GBytes *
make_colors (const UmedptTaskDescription *task)
{
  const guint n = (guint) umedpt_task_description_get_n_outputs (task);
  guint32 *colors = g_new (guint32, n);

  for (guint i = 0; i < n; i++)
    colors[i] = task->colors ? task->colors[i] : umedpt_palette_color (i);
  return g_bytes_new_take (colors, n * sizeof *colors);
}

static GstStructure *
new_result (const char *what, UmedptModel *model, guint task, GstClockTime pts)
{
  static const char *const none[] = { NULL };
  const UmedptDescription *description = umedpt_model_get_description (model);
  const UmedptTaskDescription *own =
      g_ptr_array_index (description->tasks, task);
  g_autoptr (GBytes) colors = make_colors (own);

  // clang-format off
  return gst_structure_new (what,
      "kind", G_TYPE_STRING, umedpt_task_kind_get_name (own->kind),
      "labels", G_TYPE_STRV, own->labels ? own->labels : (char **) none,
      "colors", G_TYPE_BYTES, colors,
      "model", G_TYPE_STRING, umedpt_model_get_hash (model),
      "pts", G_TYPE_UINT64, pts,
      NULL);
  // clang-format on
}

static void
set_bytes (GstStructure *result, const char *field, gconstpointer data,
    gsize size)
{
  g_autoptr (GBytes) bytes = g_bytes_new (data, size);

  gst_structure_set (result, field, G_TYPE_BYTES, bytes, NULL);
}

GstStructure *
gst_umedpt_result_new_values (UmedptModel *model, guint task, GstClockTime pts,
    const gfloat *values, guint n)
{
  GstStructure *result =
      new_result (GST_UMEDPT_RESULT_VALUES, model, task, pts);

  set_bytes (result, "values", values, n * sizeof *values);
  return result;
}

GstStructure *
gst_umedpt_result_new_boxes (UmedptModel *model, guint task, GstClockTime pts,
    const GArray *boxes)
{
  GstStructure *result = new_result (GST_UMEDPT_RESULT_BOXES, model, task, pts);

  set_bytes (result, "boxes", boxes->data, boxes->len * sizeof (GstUmedptBox));
  return result;
}

/* Whether class 0 of a task is what it does not look for: of an index mask
 * with two classes and more it is, by convention of all formats of labels. */
static gboolean
has_background (const UmedptTaskDescription *task)
{
  return task->kind == UMEDPT_TASK_SEGMENTATION &&
      umedpt_task_description_get_n_outputs (task) > 1;
}

GstStructure *
gst_umedpt_result_new_mask (UmedptModel *model, guint task, GstClockTime pts,
    const GstUmedptMask *mask)
{
  const UmedptDescription *description = umedpt_model_get_description (model);
  GstStructure *result = new_result (GST_UMEDPT_RESULT_MASK, model, task, pts);

  set_bytes (result, "mask", mask->data,
      (gsize) mask->width * (gsize) mask->height * (gsize) mask->planes);
  // clang-format off
  gst_structure_set (result,
      "mask-width", G_TYPE_INT, mask->width,
      "mask-height", G_TYPE_INT, mask->height,
      "planes", G_TYPE_INT, mask->planes,
      "background", G_TYPE_BOOLEAN,
          has_background (g_ptr_array_index (description->tasks, task)),
      "x", G_TYPE_DOUBLE, mask->x,
      "y", G_TYPE_DOUBLE, mask->y,
      "width", G_TYPE_DOUBLE, mask->w,
      "height", G_TYPE_DOUBLE, mask->h,
      NULL);
  // clang-format on
  return result;
}

/* --- on buffers --------------------------------------------------------- */

static const char *
roi_task (GstMeta *meta)
{
  const GstStructure *params = NULL;

  if (meta->info->api != GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE)
    return NULL;
  params =
      gst_video_region_of_interest_meta_get_param ((GstVideoRegionOfInterestMeta
                                                           *) meta,
          ROI_PARAMS);
  return params ? gst_structure_get_string (params, "task") : NULL;
}

static gboolean
drop_roi (GstBuffer *buffer, GstMeta **meta, gpointer task)
{
  if (g_strcmp0 (roi_task (*meta), task) == 0)
    *meta = NULL;
  return TRUE;
}

/* The names of params are those that converters of others expect. */
static void
add_rois (GstBuffer *buffer, const char *task, const GstStructure *result)
{
  guint n = 0;
  const GstUmedptBox *boxes = gst_umedpt_result_get_boxes (result, &n);
  const char *const *labels = gst_umedpt_result_get_labels (result);
  const guint n_labels = labels ? g_strv_length ((char **) labels) : 0;

  for (guint i = 0; i < n; i++) {
    const GstUmedptBox *box = &boxes[i];
    const char *label = box->label >= 0 && (guint) box->label < n_labels
        ? labels[box->label]
        : task;
    const gdouble x = MAX (box->x, 0), y = MAX (box->y, 0);
    GstVideoRegionOfInterestMeta *roi =
        gst_buffer_add_video_region_of_interest_meta (buffer, label, (guint) x,
            (guint) y, (guint) (box->x + box->width + 0.5) - (guint) x,
            (guint) (box->y + box->height + 0.5) - (guint) y);

    roi->id = (gint) i;
    // clang-format off
    gst_video_region_of_interest_meta_add_param (roi,
        gst_structure_new (ROI_PARAMS,
            "confidence", G_TYPE_DOUBLE, (gdouble) box->score,
            "label", G_TYPE_STRING, label,
            "label_id", G_TYPE_INT, box->label,
            "task", G_TYPE_STRING, task,
            NULL));
    // clang-format on
  }
}

void
gst_buffer_add_umedpt_result (GstBuffer *buffer, const char *task,
    GstStructure *result)
{
  GstStructure *results = get_writable (buffer);
  GValue value = G_VALUE_INIT;

  if (gst_structure_has_field (results, task))
    gst_buffer_foreach_meta (buffer, drop_roi, (gpointer) task);
  add_rois (buffer, task, result);
  gst_umedpt_analytics_add_result (buffer, task, result);
  g_value_init (&value, GST_TYPE_STRUCTURE);
  g_value_take_boxed (&value, result);
  gst_structure_take_value (results, task, &value);
}

void
gst_buffer_copy_umedpt_results (GstBuffer *to, GstBuffer *from)
{
  const GstStructure *results = gst_buffer_get_umedpt_results (from);
  const GstStructure *result = NULL;
  const char *task = NULL;

  for (guint i = 0; (result = gst_umedpt_results_nth (results, i, &task)); i++)
    gst_buffer_add_umedpt_result (to, task, gst_structure_copy (result));
}
