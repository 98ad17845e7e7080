/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Results as elements make them, written by hand, and the looks at them with
 * which the tests of GstAnalytics work.
 */
#include "test-analytics-common.h"

void
test_analytics_init (int *argc, char ***argv)
{
  g_unsetenv ("GST_PLUGIN_PATH_1_0");
  test_init (argc, argv);
  gst_umedpt_meta_register ();
  gst_umedpt_results_register ();
}

/* --- results to add ----------------------------------------------------- */

static GstStructure *
new_result (const char *what, const char *kind, const char *const *labels,
    guint n_classes)
{
  g_autofree guint32 *colors = g_new0 (guint32, n_classes);
  g_autoptr (GBytes) bytes = g_bytes_new (colors, n_classes * sizeof *colors);

  return gst_structure_new (what, "kind", G_TYPE_STRING, kind, "labels",
      G_TYPE_STRV, labels, "colors", G_TYPE_BYTES, bytes, NULL);
}

static void
set_bytes (GstStructure *result, const char *field, gconstpointer data,
    gsize size)
{
  g_autoptr (GBytes) bytes = g_bytes_new (data, size);

  gst_structure_set (result, field, G_TYPE_BYTES, bytes, NULL);
}

static const char *const cells[] = { "lymphocyte", "tumour", NULL };
static const char *const none[] = { NULL };

GstStructure *
test_new_boxes (const GstUmedptBox *boxes, guint n)
{
  GstStructure *result =
      new_result (GST_UMEDPT_RESULT_BOXES, "detection", cells, 2);

  set_bytes (result, "boxes", boxes, n * sizeof *boxes);
  return result;
}

GstStructure *
test_new_box (gfloat x)
{
  const GstUmedptBox box = { x, 20, 8, 6, 0.5f, 1 };

  return test_new_boxes (&box, 1);
}

GstStructure *
test_new_values (const char *kind, const gfloat *values, guint n)
{
  GstStructure *result =
      new_result (GST_UMEDPT_RESULT_VALUES, kind, n == 2 ? cells : none, n);

  set_bytes (result, "values", values, n * sizeof *values);
  return result;
}

GstStructure *
test_new_mask (const guint8 *pixels, gint planes, guint n_classes)
{
  GstStructure *result = new_result (GST_UMEDPT_RESULT_MASK, "segmentation",
      n_classes == 2 ? cells : none, n_classes);

  set_bytes (result, "mask", pixels, 2 * 3 * (gsize) planes);
  gst_structure_set (result, "mask-width", G_TYPE_INT, 3, "mask-height",
      G_TYPE_INT, 2, "planes", G_TYPE_INT, planes, "background", G_TYPE_BOOLEAN,
      FALSE, "x", G_TYPE_DOUBLE, 10.0, "y", G_TYPE_DOUBLE, 40.0, "width",
      G_TYPE_DOUBLE, 30.0, "height", G_TYPE_DOUBLE, 20.0, NULL);
  return result;
}

/* --- what is there ------------------------------------------------------ */

GstAnalyticsMtd
test_get_entry (GstBuffer *buffer, GstAnalyticsMtdType type, guint nth)
{
  GstAnalyticsRelationMeta *meta =
      gst_buffer_get_analytics_relation_meta (buffer);
  gpointer state = NULL;
  GstAnalyticsMtd mtd = { 0 };

  g_assert_nonnull (meta);
  for (guint i = 0; i <= nth; i++)
    g_assert_true (gst_analytics_relation_meta_iterate (meta, &state, type,
        &mtd));
  return mtd;
}

guint
test_count_entries (GstBuffer *buffer, GstAnalyticsMtdType type)
{
  GstAnalyticsRelationMeta *meta =
      gst_buffer_get_analytics_relation_meta (buffer);
  gpointer state = NULL;
  GstAnalyticsMtd mtd;
  guint n = 0;

  while (meta && gst_analytics_relation_meta_iterate (meta, &state, type, &mtd))
    n++;
  return n;
}

void
test_assert_object (GstBuffer *buffer, guint nth, const char *name, gint x,
    gint y, gint width, gint height, gfloat confidence)
{
  GstAnalyticsODMtd mtd =
      test_get_entry (buffer, gst_analytics_od_mtd_get_mtd_type (), nth);
  gint rect[4];
  gfloat level = 0;

  g_assert_true (gst_analytics_od_mtd_get_location (&mtd, &rect[0], &rect[1],
      &rect[2], &rect[3], &level));
  g_assert_cmpstr (g_quark_to_string (gst_analytics_od_mtd_get_obj_type (&mtd)),
      ==, name);
  g_assert_cmpint (rect[0], ==, x);
  g_assert_cmpint (rect[1], ==, y);
  g_assert_cmpint (rect[2], ==, width);
  g_assert_cmpint (rect[3], ==, height);
  g_assert_cmpfloat (level, ==, confidence);
}

void
test_assert_class (GstAnalyticsClsMtd *mtd, gsize index, const char *name,
    gfloat level)
{
  g_assert_cmpstr (g_quark_to_string (gst_analytics_cls_mtd_get_quark (mtd,
                       index)),
      ==, name);
  g_assert_cmpfloat (gst_analytics_cls_mtd_get_level (mtd, index), ==, level);
}

void
test_assert_mask (GstBuffer *buffer, guint nth, const guint8 *pixels)
{
  GstAnalyticsSegmentationMtd mtd = test_get_entry (buffer,
      gst_analytics_segmentation_mtd_get_mtd_type (), nth);
  gint left = 0, top = 0;
  guint width = 0, height = 0;
  g_autoptr (GstBuffer) mask = gst_analytics_segmentation_mtd_get_mask (&mtd,
      &left, &top, &width, &height);
  GstVideoMeta *video = gst_buffer_get_video_meta (mask);
  GstVideoInfo info;
  GstVideoFrame frame;

  g_assert_cmpint (left, ==, 10);
  g_assert_cmpint (top, ==, 40);
  g_assert_cmpuint (width, ==, 30);
  g_assert_cmpuint (height, ==, 20);
  g_assert_cmpint (video->format, ==, GST_VIDEO_FORMAT_GRAY8);
  g_assert_cmpuint (video->width, ==, 3);
  g_assert_cmpuint (video->height, ==, 2);
  gst_video_info_set_format (&info, video->format, video->width, video->height);
  g_assert_true (gst_video_frame_map (&frame, &info, mask, GST_MAP_READ));
  for (gint y = 0; y < 2; y++)
    g_assert_cmpmem ((guint8 *) GST_VIDEO_FRAME_PLANE_DATA (&frame, 0) +
            y * GST_VIDEO_FRAME_PLANE_STRIDE (&frame, 0),
        3, pixels + y * 3, 3);
  gst_video_frame_unmap (&frame);
}

void
test_assert_region (GstBuffer *buffer, guint nth, gsize index, guint id,
    const char *name)
{
  GstAnalyticsSegmentationMtd mtd = test_get_entry (buffer,
      gst_analytics_segmentation_mtd_get_mtd_type (), nth);
  GstAnalyticsClsMtd classes;
  gpointer state = NULL;

  g_assert_cmpuint (gst_analytics_segmentation_mtd_get_region_id (&mtd, index),
      ==, id);
  g_assert_true (gst_analytics_relation_meta_get_direct_related (mtd.meta,
      mtd.id, GST_ANALYTICS_REL_TYPE_RELATE_TO,
      gst_analytics_cls_mtd_get_mtd_type (), &state, &classes));
  g_assert_cmpuint (gst_analytics_cls_mtd_get_length (&classes), ==,
      gst_analytics_segmentation_mtd_get_region_count (&mtd));
  test_assert_class (&classes, index, name, -1);
}

/* --- tensors ------------------------------------------------------------ */

static const gfloat features[] = { 1, 2, 3, 4, 5, 6 };

void
test_add_features (GstBuffer *buffer)
{
  const gsize dims[] = { 2, 3 };

  gst_buffer_add_umedpt_tensor_meta (buffer, GST_UMEDPT_TENSOR_EMBEDDING,
      GST_UMEDPT_TENSOR_F32, 2, dims,
      gst_buffer_new_memdup (features, sizeof features), "swinv2-nano", "0123");
}

void
test_assert_features (GstBuffer *buffer)
{
  const GstUmedptTensorMeta *own =
      gst_buffer_get_umedpt_tensor_meta (buffer, NULL);
  GstTensorMeta *meta = gst_buffer_get_tensor_meta (buffer);
  const GstTensor *tensor = NULL;

  g_assert_nonnull (own);
  g_assert_nonnull (meta);
  g_assert_cmpuint (gst_buffer_get_n_meta (buffer, GST_TENSOR_META_API_TYPE),
      ==, 1);
  g_assert_cmpuint (gst_buffer_get_n_meta (buffer, own->meta.info->api), ==, 1);
  g_assert_cmpuint (meta->num_tensors, ==, 1);
  tensor = gst_tensor_meta_get (meta, 0);
  g_assert_cmpstr (g_quark_to_string (tensor->id), ==,
      GST_UMEDPT_TENSOR_EMBEDDING);
  g_assert_cmpint (tensor->data_type, ==, GST_TENSOR_DATA_TYPE_FLOAT32);
  g_assert_cmpint (tensor->dims_order, ==, GST_TENSOR_DIM_ORDER_ROW_MAJOR);
  g_assert_cmpuint (tensor->num_dims, ==, 2);
  g_assert_cmpuint (tensor->dims[0], ==, 2);
  g_assert_cmpuint (tensor->dims[1], ==, 3);
  g_assert_cmpuint (gst_buffer_get_size (tensor->data), ==, sizeof features);
  g_assert_cmpint (gst_buffer_memcmp (tensor->data, 0, features,
                       sizeof features),
      ==, 0);
  g_assert_true (gst_buffer_peek_memory (tensor->data, 0) ==
      gst_buffer_peek_memory (own->data, 0));
}
