/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Boxes as GstAnalyticsODMtd, probabilities as GstAnalyticsClsMtd, masks as
 * GstAnalyticsSegmentationMtd with a GstAnalyticsClsMtd that names their
 * regions, tensors as GstTensorMeta. A number (regression) has no type there.
 *
 * A buffer has one GstAnalyticsRelationMeta for everybody. Its entries cannot
 * be taken out, and their numbers are the names by which entries of others
 * refer to them. So a result ends with an entry of a type of ours that tells
 * where it begins, and when a result is replaced the meta is made anew, with an
 * empty entry in the place of each old one: nobody's number changes.
 *
 * This file alone knows whether the library is there.
 */
#include "common/gstumedptanalytics.h"

#ifdef HAVE_GST_ANALYTICS

#include <gst/analytics/analytics.h>
#include <gst/video/video.h>
#include <math.h>
#include <string.h>

#include "common/gstumedptresults.h"

/* The meta has a matrix of all entries by all: a frame with more objects than
 * this would spend its time and memory there. They are sorted best first. */
#define MAX_OBJECTS 1024
#define ENTRY_SIZE 64 /* bytes, about; the meta grows where it is more */
#define UNDEFINED -1.0f /* the library's word for "no confidence" */
/* Far outside of any picture, and a difference of two is still an int. */
#define MAX_POSITION (1 << 29)

/* --- entries of a result ------------------------------------------------ */

/* The last entry of a result. */
typedef struct
{
  GQuark task;
  guint first; /* number of the result's first entry */
} End;

static const GstAnalyticsMtdImpl end_impl = { .name = "umedpt-result" };
static const GstAnalyticsMtdImpl empty_impl = { .name = "umedpt-empty" };

static GstAnalyticsRelationMeta *
open_meta (GstBuffer *buffer, gsize n_entries)
{
  GstAnalyticsRelationMetaInitParams params = { n_entries,
    n_entries * ENTRY_SIZE };

  return gst_buffer_add_analytics_relation_meta_full (buffer, &params);
}

/* The first and last entry of the task's result. */
static gboolean
find_result (GstAnalyticsRelationMeta *meta, GQuark task, guint *first,
    guint *last)
{
  const guint n = (guint) gst_analytics_relation_get_length (meta);

  for (guint id = 0; id < n; id++) {
    GstAnalyticsMtd mtd;
    const End *end = NULL;

    if (!gst_analytics_relation_meta_get_mtd (meta, id,
            (GstAnalyticsMtdType) &end_impl, &mtd))
      continue;
    end = gst_analytics_relation_meta_get_mtd_data (meta, id);
    if (end->task == task) {
      *first = end->first;
      *last = id;
      return TRUE;
    }
  }
  return FALSE;
}

static void
end_result (GstAnalyticsRelationMeta *meta, GQuark task, guint first)
{
  GstAnalyticsMtd mtd;
  End *end =
      gst_analytics_relation_meta_add_mtd (meta, &end_impl, sizeof *end, &mtd);

  end->task = task;
  end->first = first;
}

/* --- taking a result out ------------------------------------------------ */

static void
add_empty (GstAnalyticsRelationMeta *meta)
{
  GstAnalyticsMtd mtd;

  gst_analytics_relation_meta_add_mtd (meta, &empty_impl, 0, &mtd);
}

/* An entry may be of any type; its own function makes the copy a good one. */
static void
copy_entry (GstBuffer *to, GstAnalyticsRelationMeta *to_meta, GstBuffer *from,
    GstAnalyticsMtd *entry)
{
  const GstAnalyticsMtdImpl *impl =
      (const GstAnalyticsMtdImpl *) gst_analytics_mtd_get_mtd_type (entry);
  const gsize size = gst_analytics_mtd_get_size (entry);
  GstMetaTransformCopy whole = { .region = FALSE, .offset = 0, .size = -1 };
  GstAnalyticsMtd copy;
  gpointer data =
      gst_analytics_relation_meta_add_mtd (to_meta, impl, size, &copy);

  memcpy (data,
      gst_analytics_relation_meta_get_mtd_data (entry->meta, entry->id), size);
  if (impl->mtd_meta_transform)
    impl->mtd_meta_transform (to, &copy, from, _gst_meta_transform_copy,
        &whole);
}

static void
copy_relations (GstAnalyticsRelationMeta *to, GstAnalyticsRelationMeta *from,
    const gboolean *kept, guint n)
{
  for (guint a = 0; a < n; a++)
    for (guint b = 0; kept[a] && b < n; b++) {
      const GstAnalyticsRelTypes types =
          gst_analytics_relation_meta_get_relation (from, a, b);
      if (kept[b] && types != GST_ANALYTICS_REL_TYPE_NONE)
        gst_analytics_relation_meta_set_relation (to, types, a, b);
    }
}

/* @to gets the entries of @meta, a meta of @from, but empty ones for @first …
 * @last. */
static void
copy_others (GstBuffer *to, GstBuffer *from, GstAnalyticsRelationMeta *meta,
    guint first, guint last)
{
  const guint n = (guint) gst_analytics_relation_get_length (meta);
  GstAnalyticsRelationMeta *to_meta = open_meta (to, n);
  g_autofree gboolean *kept = g_new (gboolean, n);

  for (guint id = 0; id < n; id++) {
    GstAnalyticsMtd entry;

    kept[id] = (id < first || id > last) &&
        gst_analytics_relation_meta_get_mtd (meta, id,
            GST_ANALYTICS_MTD_TYPE_ANY, &entry);
    if (kept[id])
      copy_entry (to, to_meta, from, &entry);
    else
      add_empty (to_meta);
  }
  copy_relations (to_meta, meta, kept, n);
}

static void
drop_result (GstBuffer *buffer, GQuark task)
{
  GstAnalyticsRelationMeta *meta =
      gst_buffer_get_analytics_relation_meta (buffer);
  g_autoptr (GstBuffer) holder = NULL;
  guint first = 0, last = 0;

  if (!meta || !find_result (meta, task, &first, &last))
    return;
  if (first > 0 || last + 1 < gst_analytics_relation_get_length (meta)) {
    holder = gst_buffer_new ();
    copy_others (holder, buffer, meta, first, last);
  }
  gst_buffer_remove_meta (buffer, (GstMeta *) meta);
  if (holder)
    gst_buffer_copy_into (buffer, holder, GST_BUFFER_COPY_META, 0, -1);
}

/* --- adding one --------------------------------------------------------- */

typedef struct
{
  GstAnalyticsRelationMeta *meta;
  const char *task;
  const GstStructure *result;
  const char *const *labels;
  guint n_labels;
} Writer;

/* The name of a class; one without is called after its task. */
static GQuark
class_quark (const Writer *self, guint label)
{
  g_autofree char *name = NULL;

  if (label < self->n_labels)
    return g_quark_from_string (self->labels[label]);
  name = g_strdup_printf ("%s-%u", self->task, label);
  return g_quark_from_string (name);
}

/* Pixels of the library are whole ones; both sides are rounded, so that
 * neighbours stay neighbours. */
static gint
to_pixel (gdouble position)
{
  if (!(position > -MAX_POSITION)) /* not a number as well */
    return -MAX_POSITION;
  return (gint) floor (MIN (position, MAX_POSITION) + 0.5);
}

static gint
to_length (gdouble position, gdouble length)
{
  return MAX (to_pixel (position + length) - to_pixel (position), 0);
}

static void
add_objects (const Writer *self)
{
  guint n = 0;
  const GstUmedptBox *boxes = gst_umedpt_result_get_boxes (self->result, &n);

  for (guint i = 0; i < MIN (n, MAX_OBJECTS); i++) {
    const GstUmedptBox *box = &boxes[i];
    GstAnalyticsODMtd mtd;

    gst_analytics_relation_meta_add_od_mtd (self->meta,
        class_quark (self, (guint) MAX (box->label, 0)), to_pixel (box->x),
        to_pixel (box->y), to_length (box->x, box->width),
        to_length (box->y, box->height), box->score, &mtd);
  }
}

static void
add_classes (const Writer *self)
{
  guint n = 0;
  const gfloat *values = gst_umedpt_result_get_values (self->result, &n);
  g_autofree gfloat *levels = g_memdup2 (values, n * sizeof *values);
  g_autofree GQuark *names = g_new (GQuark, n);
  GstAnalyticsClsMtd mtd;

  for (guint i = 0; i < n; i++)
    names[i] = class_quark (self, i);
  gst_analytics_relation_meta_add_cls_mtd (self->meta, n, levels, names, &mtd);
}

/* A mask of which the pixels are one of @ids, which @names name. */
static void
add_regions (const Writer *self, const GstUmedptMask *mask, GstBuffer *pixels,
    guint *ids, GQuark *names, guint n)
{
  gsize offset[GST_VIDEO_MAX_PLANES] = { 0 };
  gint stride[GST_VIDEO_MAX_PLANES] = { mask->width };
  g_autofree gfloat *levels = g_new (gfloat, n);
  GstAnalyticsSegmentationMtd regions;
  GstAnalyticsClsMtd classes;

  for (guint i = 0; i < n; i++)
    levels[i] = UNDEFINED;
  gst_buffer_add_video_meta_full (pixels, GST_VIDEO_FRAME_FLAG_NONE,
      GST_VIDEO_FORMAT_GRAY8, (guint) mask->width, (guint) mask->height, 1,
      offset, stride);
  gst_analytics_relation_meta_add_segmentation_mtd (self->meta, pixels,
      GST_SEGMENTATION_TYPE_SEMANTIC, n, ids, to_pixel (mask->x),
      to_pixel (mask->y), (guint) to_length (mask->x, mask->w),
      (guint) to_length (mask->y, mask->h), &regions);
  gst_analytics_relation_meta_add_cls_mtd (self->meta, n, levels, names,
      &classes);
  gst_analytics_relation_meta_set_relation (self->meta,
      GST_ANALYTICS_REL_TYPE_RELATE_TO, regions.id, classes.id);
}

/* One class per pixel, of @n_classes. The pixels are not copied. */
static void
add_index_mask (const Writer *self, const GstUmedptMask *mask, guint n_classes)
{
  const gsize size = (gsize) mask->width * (gsize) mask->height;
  const guint n = MIN (n_classes, GST_UMEDPT_UNDECIDED);
  const gboolean undecided =
      memchr (mask->data, GST_UMEDPT_UNDECIDED, size) != NULL;
  GBytes *bytes =
      g_value_get_boxed (gst_structure_get_value (self->result, "mask"));
  guint ids[GST_UMEDPT_UNDECIDED + 1];
  GQuark names[GST_UMEDPT_UNDECIDED + 1];

  for (guint i = 0; i < n; i++) {
    ids[i] = i;
    names[i] = class_quark (self, i);
  }
  ids[n] = GST_UMEDPT_UNDECIDED;
  names[n] = g_quark_from_static_string ("undecided");
  add_regions (self, mask, gst_buffer_new_wrapped_bytes (bytes), ids, names,
      undecided ? n + 1 : n);
}

/* Classes that may overlap: a mask of 0 and 1 for each. */
static void
add_planes (const Writer *self, const GstUmedptMask *mask)
{
  const gsize size = (gsize) mask->width * (gsize) mask->height;
  guint ids[] = { 0, 1 };

  for (gint plane = 0; plane < mask->planes; plane++) {
    guint8 *pixels = g_malloc (size);
    GQuark names[] = { g_quark_from_static_string ("background"),
      class_quark (self, (guint) plane) };

    for (gsize i = 0; i < size; i++)
      pixels[i] = mask->data[i * (gsize) mask->planes + (gsize) plane];
    add_regions (self, mask, gst_buffer_new_wrapped (pixels, size), ids, names,
        G_N_ELEMENTS (ids));
  }
}

/* With a single class there is no other that a pixel could be of: its mask is
 * one of 0 and 1, whatever the task's kind. */
static void
add_mask (const Writer *self)
{
  gsize size = 0;
  guint n_classes = 0;
  GstUmedptMask mask;

  if (!gst_umedpt_result_get_mask (self->result, &mask))
    return;
  gst_umedpt_result_get_bytes (self->result, "colors", &size);
  n_classes = (guint) (size / sizeof (guint32));
  if (mask.planes > 1 || n_classes <= 1)
    add_planes (self, &mask);
  else
    add_index_mask (self, &mask, n_classes);
}

/* How many entries it takes, 0: it has no type there. */
static gsize
count_entries (const GstStructure *result)
{
  GstUmedptMask mask;
  guint n = 0;

  if (gst_umedpt_result_get_boxes (result, &n) && n > 0)
    return MIN (n, MAX_OBJECTS) + 1;
  if (gst_umedpt_result_get_mask (result, &mask))
    return 2 * (gsize) mask.planes + 1;
  if (gst_umedpt_result_get_values (result, &n) && n > 0 &&
      g_strcmp0 (gst_structure_get_string (result, "kind"), "regression") != 0)
    return 2;
  return 0;
}

void
gst_umedpt_analytics_add_result (GstBuffer *buffer, const char *task,
    const GstStructure *result)
{
  const char *const *labels = gst_umedpt_result_get_labels (result);
  const GQuark quark = g_quark_from_string (task);
  const gsize n = count_entries (result);
  Writer self = { NULL, task, result, labels,
    labels ? g_strv_length ((char **) labels) : 0 };
  guint first = 0;

  drop_result (buffer, quark);
  if (n == 0)
    return;
  self.meta = open_meta (buffer, n);
  first = (guint) gst_analytics_relation_get_length (self.meta);
  if (gst_structure_has_name (result, GST_UMEDPT_RESULT_BOXES))
    add_objects (&self);
  else if (gst_structure_has_name (result, GST_UMEDPT_RESULT_MASK))
    add_mask (&self);
  else
    add_classes (&self);
  end_result (self.meta, quark, first);
}

/* --- tensors ------------------------------------------------------------ */

void
gst_umedpt_analytics_add_tensor (GstBuffer *buffer,
    const GstUmedptTensorMeta *tensor)
{
  static const GstTensorDataType types[] = {
    [GST_UMEDPT_TENSOR_F32] = GST_TENSOR_DATA_TYPE_FLOAT32,
    [GST_UMEDPT_TENSOR_U8] = GST_TENSOR_DATA_TYPE_UINT8,
    [GST_UMEDPT_TENSOR_I32] = GST_TENSOR_DATA_TYPE_INT32,
  };
  GstTensor **list = NULL;

  if (tensor->num_dims == 0)
    return;
  /* a buffer of its own, with the same memory: a second reference would make
   * ours one that nobody may write */
  list = g_new (GstTensor *, 1);
  list[0] = gst_tensor_new_simple (tensor->id, types[tensor->data_type],
      gst_buffer_copy (tensor->data), GST_TENSOR_DIM_ORDER_ROW_MAJOR,
      tensor->num_dims, (gsize *) tensor->dims);
  /* one of our own: there may be several, and those of others stay as they
   * are */
  gst_tensor_meta_set (gst_buffer_add_tensor_meta (buffer), 1, list);
}

void
gst_umedpt_analytics_copy_tensor (GstBuffer *buffer,
    const GstUmedptTensorMeta *copy)
{
  /* that of 1.26 does not copy itself */
  if (!GST_TENSOR_META_INFO->transform_func)
    gst_umedpt_analytics_add_tensor (buffer, copy);
}

#else

void
gst_umedpt_analytics_add_result (GstBuffer *buffer, const char *task,
    const GstStructure *result)
{
}

void
gst_umedpt_analytics_add_tensor (GstBuffer *buffer,
    const GstUmedptTensorMeta *tensor)
{
}

void
gst_umedpt_analytics_copy_tensor (GstBuffer *buffer,
    const GstUmedptTensorMeta *copy)
{
}

#endif
