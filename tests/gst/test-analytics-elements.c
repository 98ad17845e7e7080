/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The plugin as it is loaded: what an inference element has put on a frame is
 * in GstAnalytics too when it comes out, and once, wherever the frame goes on.
 */
#include <gst/analytics/analytics.h>

#include "common.h"

#define CAPS_64 "video/x-raw,format=RGB,width=64,height=64,framerate=25/1"

static void
assert_embedding (GstBuffer *buffer)
{
  const GstUmedptTensorMeta *own =
      gst_buffer_get_umedpt_tensor_meta (buffer, GST_UMEDPT_TENSOR_EMBEDDING);
  GstTensorMeta *meta = gst_buffer_get_tensor_meta (buffer);
  const GstTensor *tensor = NULL;
  GstMapInfo map = GST_MAP_INFO_INIT;

  g_assert_nonnull (own);
  g_assert_nonnull (meta);
  g_assert_cmpuint (gst_buffer_get_n_meta (buffer, GST_TENSOR_META_API_TYPE),
      ==, 1);
  g_assert_cmpint (gst_tensor_meta_get_index_from_id (meta, own->id), ==, 0);
  tensor = gst_tensor_meta_get (meta, 0);
  g_assert_cmpint (tensor->data_type, ==, GST_TENSOR_DATA_TYPE_FLOAT32);
  g_assert_cmpuint (tensor->num_dims, ==, 1);
  g_assert_cmpuint (tensor->dims[0], ==, own->dims[0]);
  g_assert_true (gst_buffer_map (own->data, &map, GST_MAP_READ));
  g_assert_cmpuint (map.size, ==, own->dims[0] * sizeof (gfloat));
  g_assert_cmpint (gst_buffer_memcmp (tensor->data, 0, map.data, map.size), ==,
      0);
  gst_buffer_unmap (own->data, &map);
}

static void
test_embed (void)
{
  GstVideoInfo info;
  GstHarness *h = test_embed_harness (2, FALSE, CAPS_64, &info);

  for (guint i = 0; i < 3; i++)
    g_assert_cmpint (gst_harness_push (h, test_frame (&info, i)), ==,
        GST_FLOW_OK);
  g_assert_true (gst_harness_push_event (h, gst_event_new_eos ()));
  for (guint i = 0; i < 3; i++) {
    g_autoptr (GstBuffer) buffer = gst_harness_try_pull (h);
    g_assert_nonnull (buffer);
    assert_embedding (buffer);
  }
  gst_harness_teardown (h);
}

static void
on_handoff (GstElement *sink, GstBuffer *buffer, GstPad *pad, guint *n)
{
  assert_embedding (buffer);
  (*n)++;
}

static void
test_pipeline (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *line = g_strdup_printf ("videotestsrc num-buffers=5 ! "
                                           "video/x-raw,format=RGB,width=64,"
                                           "height=64 ! umedptembed "
                                           "model-file=%s ! queue ! "
                                           "videoconvertscale ! video/x-raw,"
                                           "format=I420,width=48,height=32 ! "
                                           "fakesink name=sink "
                                           "signal-handoffs=true",
      test_model ());
  g_autoptr (GstElement) pipeline = gst_parse_launch (line, &error);
  g_autoptr (GstElement) sink = NULL;
  g_autoptr (GstBus) bus = NULL;
  g_autoptr (GstMessage) message = NULL;
  guint n = 0;

  g_assert_no_error (error);
  sink = gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  bus = gst_element_get_bus (pipeline);
  g_signal_connect (sink, "handoff", G_CALLBACK (on_handoff), &n);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  message = gst_bus_timed_pop_filtered (bus, 30 * GST_SECOND,
      GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  g_assert_nonnull (message);
  g_assert_cmpint (GST_MESSAGE_TYPE (message), ==, GST_MESSAGE_EOS);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  g_assert_cmpuint (n, ==, 5);
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/analytics-elements/embed", test_embed);
  g_test_add_func ("/analytics-elements/pipeline", test_pipeline);
  return test_run ();
}
