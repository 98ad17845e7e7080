/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What elements of others find in GstAnalytics: each kind of result, read back
 * by the library's own functions.
 *
 * The code under test is compiled in, for the plugin exports none of it.
 */
#include "test-analytics-common.h"

#define MAX_OBJECTS 1024 /* of gstumedptanalytics.c */

/* --- each kind ---------------------------------------------------------- */

static void
test_boxes (void)
{
  g_autoptr (GstBuffer) buffer = gst_buffer_new ();
  const GstUmedptBox boxes[] = {
    { 10.4f, 20.5f, 5.2f, 6.9f, 0.75f, 1 },
    { -3.6f, -0.2f, 10, 10, 0.5f, 0 },
    { 1, 2, 3, 4, 0.25f, 5 },
    { NAN, 2, 1e30f, 4, 0.125f, 0 },
  };

  gst_buffer_add_umedpt_result (buffer, "nuclei", test_new_boxes (boxes, 4));
  g_assert_cmpuint (test_count_entries (buffer,
                        gst_analytics_od_mtd_get_mtd_type ()),
      ==, 4);
  test_assert_object (buffer, 0, "tumour", 10, 21, 6, 6, 0.75f);
  test_assert_object (buffer, 1, "lymphocyte", -4, 0, 10, 10, 0.5f);
  test_assert_object (buffer, 2, "nuclei-5", 1, 2, 3, 4, 0.25f);
  /* nonsense comes out as nonsense, not as undefined behaviour */
  test_assert_object (buffer, 3, "lymphocyte", -(1 << 29), 2, 0, 4, 0.125f);
}

static void
test_many_boxes (void)
{
  const guint n = 3 * MAX_OBJECTS;
  g_autofree GstUmedptBox *boxes = g_new0 (GstUmedptBox, n);
  g_autoptr (GstBuffer) buffer = gst_buffer_new ();

  for (guint i = 0; i < n; i++) {
    const GstUmedptBox box = { (gfloat) i, 1, 2, 3, 0.5f, 0 };
    boxes[i] = box;
  }
  gst_buffer_add_umedpt_result (buffer, "nuclei", test_new_boxes (boxes, n));
  gst_buffer_add_umedpt_result (buffer, "mitoses", test_new_box (7));
  g_assert_cmpuint (test_count_entries (buffer,
                        gst_analytics_od_mtd_get_mtd_type ()),
      ==, MAX_OBJECTS + 1);
  test_assert_object (buffer, MAX_OBJECTS - 1, "lymphocyte", MAX_OBJECTS - 1, 1,
      2, 3, 0.5f);
  test_assert_object (buffer, MAX_OBJECTS, "tumour", 7, 20, 8, 6, 0.5f);
}

static void
test_values (void)
{
  static const gfloat two[] = { 0.25f, 0.75f }, three[] = { 0.5f, 0.125f, 1 };
  const GstAnalyticsMtdType type = gst_analytics_cls_mtd_get_mtd_type ();
  g_autoptr (GstBuffer) buffer = gst_buffer_new ();
  GstAnalyticsClsMtd mtd;

  /* a number is no confidence */
  gst_buffer_add_umedpt_result (buffer, "age",
      test_new_values ("regression", two, 1));
  g_assert_null (gst_buffer_get_analytics_relation_meta (buffer));

  gst_buffer_add_umedpt_result (buffer, "tissue",
      test_new_values ("classification", two, 2));
  gst_buffer_add_umedpt_result (buffer, "findings",
      test_new_values ("multilabel", three, 3));
  g_assert_cmpuint (test_count_entries (buffer, type), ==, 2);
  mtd = test_get_entry (buffer, type, 0);
  g_assert_cmpuint (gst_analytics_cls_mtd_get_length (&mtd), ==, 2);
  test_assert_class (&mtd, 0, "lymphocyte", 0.25f);
  test_assert_class (&mtd, 1, "tumour", 0.75f);
  mtd = test_get_entry (buffer, type, 1);
  g_assert_cmpuint (gst_analytics_cls_mtd_get_length (&mtd), ==, 3);
  test_assert_class (&mtd, 2, "findings-2", 1);
}

static void
test_mask (void)
{
  static const guint8 sure[] = { 0, 1, 1, 0, 0, 1 };
  static const guint8 unsure[] = { 0, 1, 255, 0, 0, 1 };
  g_autoptr (GstBuffer) buffer = gst_buffer_new ();
  GstAnalyticsSegmentationMtd mtd;

  gst_buffer_add_umedpt_result (buffer, "glands", test_new_mask (sure, 1, 2));
  gst_buffer_add_umedpt_result (buffer, "regions",
      test_new_mask (unsure, 1, 4));
  g_assert_cmpuint (test_count_entries (buffer,
                        gst_analytics_segmentation_mtd_get_mtd_type ()),
      ==, 2);
  mtd = test_get_entry (buffer, gst_analytics_segmentation_mtd_get_mtd_type (),
      0);
  g_assert_cmpuint (gst_analytics_segmentation_mtd_get_region_count (&mtd), ==,
      2);
  test_assert_mask (buffer, 0, sure);
  test_assert_region (buffer, 0, 0, 0, "lymphocyte");
  test_assert_region (buffer, 0, 1, 1, "tumour");
  mtd = test_get_entry (buffer, gst_analytics_segmentation_mtd_get_mtd_type (),
      1);
  g_assert_cmpuint (gst_analytics_segmentation_mtd_get_region_count (&mtd), ==,
      5);
  test_assert_mask (buffer, 1, unsure);
  test_assert_region (buffer, 1, 3, 3, "regions-3");
  test_assert_region (buffer, 1, 4, 255, "undecided");
}

static void
test_planes (void)
{
  static const guint8 pixels[] = { 1, 0, 1, 1, 0, 0, 1, 0, 0, 1, 0, 1 };
  static const guint8 first[] = { 1, 1, 0, 1, 0, 0 };
  static const guint8 second[] = { 0, 1, 0, 0, 1, 1 };
  g_autoptr (GstBuffer) buffer = gst_buffer_new ();

  gst_buffer_add_umedpt_result (buffer, "tissue", test_new_mask (pixels, 2, 2));
  gst_buffer_add_umedpt_result (buffer, "polyp", test_new_mask (second, 1, 1));
  g_assert_cmpuint (test_count_entries (buffer,
                        gst_analytics_segmentation_mtd_get_mtd_type ()),
      ==, 3);
  test_assert_mask (buffer, 0, first);
  test_assert_region (buffer, 0, 0, 0, "background");
  test_assert_region (buffer, 0, 1, 1, "lymphocyte");
  test_assert_mask (buffer, 1, second);
  test_assert_region (buffer, 1, 1, 1, "tumour");
  /* the only class of its task */
  test_assert_mask (buffer, 2, second);
  test_assert_region (buffer, 2, 0, 0, "background");
  test_assert_region (buffer, 2, 1, 1, "polyp-0");
}

/* --- tensors ------------------------------------------------------------ */

static void
test_tensor (void)
{
  g_autoptr (GstBuffer) buffer = gst_buffer_new_allocate (NULL, 16, NULL);
  g_autoptr (GstBuffer) copy = NULL;

  test_add_features (buffer);
  test_assert_features (buffer);
  g_assert_true (gst_buffer_is_writable (
      gst_buffer_get_umedpt_tensor_meta (buffer, NULL)->data));
  copy = gst_buffer_copy (buffer);
  test_assert_features (copy);
  test_assert_features (buffer);
}

int
main (int argc, char **argv)
{
  test_analytics_init (&argc, &argv);
  g_test_add_func ("/analytics/boxes", test_boxes);
  g_test_add_func ("/analytics/many-boxes", test_many_boxes);
  g_test_add_func ("/analytics/values", test_values);
  g_test_add_func ("/analytics/mask", test_mask);
  g_test_add_func ("/analytics/planes", test_planes);
  g_test_add_func ("/analytics/tensor", test_tensor);
  return test_run ();
}
