/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What becomes of results in GstAnalytics later: they are replaced, among
 * entries of others or alone, the buffer is copied, scaled, given back to its
 * pool.
 */
#include "test-analytics-common.h"

/* --- replaced results --------------------------------------------------- */

static void
test_replace_alone (void)
{
  g_autoptr (GstBuffer) buffer = gst_buffer_new ();

  for (guint i = 0; i < 5; i++)
    gst_buffer_add_umedpt_result (buffer, "nuclei", test_new_box ((gfloat) i));
  g_assert_cmpuint (gst_analytics_relation_get_length (
                        gst_buffer_get_analytics_relation_meta (buffer)),
      ==, 2);
  test_assert_object (buffer, 0, "tumour", 4, 20, 8, 6, 0.5f);
  gst_buffer_add_umedpt_result (buffer, "nuclei", test_new_boxes (NULL, 0));
  g_assert_cmpuint (test_count_entries (buffer, GST_ANALYTICS_MTD_TYPE_ANY), ==,
      0);
}

/* An object and a segmentation by an element of others, related. */
static void
add_foreign (GstBuffer *buffer, GstAnalyticsMtd *object, GstAnalyticsMtd *mask)
{
  GstAnalyticsRelationMeta *meta =
      gst_buffer_add_analytics_relation_meta (buffer);
  GstBuffer *pixels = gst_buffer_new_memdup ("\7\7\7\7", 4);
  guint id = 7;

  g_assert_true (gst_analytics_relation_meta_add_od_mtd (meta,
      g_quark_from_static_string ("foreign"), 1, 2, 3, 4, 1, object));
  gst_buffer_add_video_meta (pixels, GST_VIDEO_FRAME_FLAG_NONE,
      GST_VIDEO_FORMAT_GRAY8, 4, 1);
  g_assert_true (gst_analytics_relation_meta_add_segmentation_mtd (meta, pixels,
      GST_SEGMENTATION_TYPE_INSTANCE, 1, &id, 0, 0, 4, 1, mask));
  g_assert_true (gst_analytics_relation_meta_set_relation (meta,
      GST_ANALYTICS_REL_TYPE_CONTAIN, object->id, mask->id));
}

static void
assert_foreign (GstBuffer *buffer, guint object, guint mask)
{
  GstAnalyticsRelationMeta *meta =
      gst_buffer_get_analytics_relation_meta (buffer);
  GstAnalyticsMtd mtd;
  g_autoptr (GstBuffer) pixels = NULL;

  g_assert_true (gst_analytics_relation_meta_get_od_mtd (meta, object, &mtd));
  g_assert_cmpuint (gst_analytics_od_mtd_get_obj_type (&mtd), ==,
      g_quark_from_static_string ("foreign"));
  g_assert_true (gst_analytics_relation_meta_get_segmentation_mtd (meta, mask,
      &mtd));
  pixels =
      gst_analytics_segmentation_mtd_get_mask (&mtd, NULL, NULL, NULL, NULL);
  g_assert_cmpint (gst_buffer_memcmp (pixels, 0, "\7\7\7\7", 4), ==, 0);
  g_assert_cmpint (gst_analytics_relation_meta_get_relation (meta, object,
                       mask),
      ==, GST_ANALYTICS_REL_TYPE_CONTAIN);
  g_assert_cmpint (gst_analytics_relation_meta_get_relation (meta, mask,
                       object),
      ==, GST_ANALYTICS_REL_TYPE_NONE);
}

/* Two masks and boxes of ours around what others have put there; each of ours
 * is replaced, theirs keep their numbers, and nothing of the old ones stays. */
static void
test_replace_among_others (void)
{
  static const guint8 old[] = { 1, 1, 1, 1, 1, 1 };
  static const guint8 pixels[] = { 0, 1, 1, 0, 0, 1 };
  const GstAnalyticsMtdType masks =
      gst_analytics_segmentation_mtd_get_mtd_type ();
  const GstAnalyticsMtdType objects = gst_analytics_od_mtd_get_mtd_type ();
  g_autoptr (GstBuffer) buffer = gst_buffer_new ();
  g_autoptr (GstBuffer) copy = NULL;
  GstAnalyticsMtd object, mask;

  gst_buffer_add_umedpt_result (buffer, "glands", test_new_mask (old, 1, 2));
  gst_buffer_add_umedpt_result (buffer, "nuclei", test_new_box (1));
  add_foreign (buffer, &object, &mask);
  gst_buffer_add_umedpt_result (buffer, "regions",
      test_new_mask (pixels, 1, 2));
  for (guint i = 0; i < 3; i++) {
    gst_buffer_add_umedpt_result (buffer, "glands",
        test_new_mask (pixels, 1, 2));
    gst_buffer_add_umedpt_result (buffer, "nuclei", test_new_box (50));
    assert_foreign (buffer, object.id, mask.id);
  }
  copy = gst_buffer_copy (buffer);
  assert_foreign (copy, object.id, mask.id);
  g_assert_cmpuint (test_count_entries (copy, masks), ==, 3);
  g_assert_cmpuint (test_count_entries (copy, objects), ==, 2);
  g_assert_cmpuint (test_count_entries (copy,
                        gst_analytics_cls_mtd_get_mtd_type ()),
      ==, 2);
  /* theirs is the first of its type now, ours follow in the order of adding */
  test_assert_mask (copy, 1, pixels);
  test_assert_region (copy, 1, 1, 1, "tumour");
  test_assert_mask (copy, 2, pixels);
  test_assert_region (copy, 2, 1, 1, "tumour");
  test_assert_object (copy, 1, "tumour", 50, 20, 8, 6, 0.5f);
}

/* --- buffers that go on ------------------------------------------------- */

/* A frame of 64 x 48 through "videoconvertscale" to 32 x 48: everything is
 * there once, moved with the picture, and can still be replaced. */
static void
test_scale (void)
{
  static const guint8 pixels[] = { 0, 1, 1, 0, 0, 1 };
  GstHarness *h = gst_harness_new_parse ("videoconvertscale ! capsfilter caps="
                                         "video/x-raw,width=32,height=48");
  GstBuffer *frame = gst_buffer_new_allocate (NULL, 64 * 48 * 4, NULL);
  GstAnalyticsSegmentationMtd mtd;
  g_autoptr (GstBuffer) out = NULL;
  g_autoptr (GstBuffer) mask = NULL;
  const GstUmedptBox *boxes = NULL;
  gint x = 0;
  guint n = 0, width = 0, height = 0;

  gst_harness_set_src_caps_str (h,
      "video/x-raw,format=RGBx,width=64,"
      "height=48,framerate=25/1");
  gst_buffer_add_umedpt_result (frame, "nuclei", test_new_box (20));
  gst_buffer_add_umedpt_result (frame, "glands", test_new_mask (pixels, 1, 2));
  test_add_features (frame);
  out = gst_harness_push_and_pull (h, frame);
  g_assert_nonnull (out);
  out = gst_buffer_make_writable (out);
  boxes = gst_umedpt_result_get_boxes (
      gst_umedpt_results_get (gst_buffer_get_umedpt_results (out), "nuclei",
          NULL),
      &n);
  g_assert_cmpuint (n, ==, 1);
  g_assert_cmpfloat (boxes->x, ==, 10);
  test_assert_features (out);
  test_assert_object (out, 0, "tumour", 10, 20, 4, 6, 0.5f);
  mtd = test_get_entry (out, gst_analytics_segmentation_mtd_get_mtd_type (), 0);
  mask =
      gst_analytics_segmentation_mtd_get_mask (&mtd, &x, NULL, &width, &height);
  g_assert_cmpint (x, ==, 5);
  g_assert_cmpuint (width, ==, 15);
  g_assert_cmpuint (height, ==, 20);
  gst_buffer_add_umedpt_result (out, "nuclei", test_new_box (3));
  g_assert_cmpuint (test_count_entries (out,
                        gst_analytics_od_mtd_get_mtd_type ()),
      ==, 1);
  test_assert_object (out, 0, "tumour", 3, 20, 8, 6, 0.5f);
  gst_harness_teardown (h);
}

/* Held results: what was found in one frame goes onto the next, which may have
 * older ones of its own. */
static void
test_copy_results (void)
{
  static const gfloat values[] = { 0.25f, 0.75f };
  g_autoptr (GstBuffer) from = gst_buffer_new (), to = gst_buffer_new ();

  gst_buffer_add_umedpt_result (from, "nuclei", test_new_box (1));
  gst_buffer_add_umedpt_result (from, "tissue",
      test_new_values ("classification", values, 2));
  gst_buffer_add_umedpt_result (to, "nuclei", test_new_box (2));
  gst_buffer_copy_umedpt_results (to, from);
  g_assert_cmpuint (test_count_entries (to,
                        gst_analytics_od_mtd_get_mtd_type ()),
      ==, 1);
  g_assert_cmpuint (test_count_entries (to,
                        gst_analytics_cls_mtd_get_mtd_type ()),
      ==, 1);
  test_assert_object (to, 0, "tumour", 1, 20, 8, 6, 0.5f);
}

/* The library leaves its meta on a buffer of a pool, emptied. */
static void
test_pool (void)
{
  static const guint8 pixels[] = { 0, 1, 1, 0, 0, 1 };
  GstBufferPool *pool = gst_buffer_pool_new ();
  GstStructure *config = gst_buffer_pool_get_config (pool);

  gst_buffer_pool_config_set_params (config, NULL, 16, 1, 1);
  g_assert_true (gst_buffer_pool_set_config (pool, config));
  g_assert_true (gst_buffer_pool_set_active (pool, TRUE));
  for (guint i = 0; i < 4; i++) {
    GstBuffer *buffer = NULL;

    g_assert_cmpint (gst_buffer_pool_acquire_buffer (pool, &buffer, NULL), ==,
        GST_FLOW_OK);
    g_assert_cmpuint (test_count_entries (buffer, GST_ANALYTICS_MTD_TYPE_ANY),
        ==, 0);
    gst_buffer_add_umedpt_result (buffer, "glands",
        test_new_mask (pixels, 1, 2));
    gst_buffer_add_umedpt_result (buffer, "nuclei", test_new_box (1));
    gst_buffer_add_umedpt_result (buffer, "glands",
        test_new_mask (pixels, 1, 2));
    g_assert_cmpuint (test_count_entries (buffer,
                          gst_analytics_od_mtd_get_mtd_type ()),
        ==, 1);
    test_assert_mask (buffer, 0, pixels);
    gst_buffer_unref (buffer);
  }
  gst_buffer_pool_set_active (pool, FALSE);
  gst_object_unref (pool);
}

int
main (int argc, char **argv)
{
  test_analytics_init (&argc, &argv);
  g_test_add_func ("/analytics-later/replace-alone", test_replace_alone);
  g_test_add_func ("/analytics-later/replace-among-others",
      test_replace_among_others);
  g_test_add_func ("/analytics-later/scale", test_scale);
  g_test_add_func ("/analytics-later/copy-results", test_copy_results);
  g_test_add_func ("/analytics-later/pool", test_pool);
  return test_run ();
}
