/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * umedptembed on live input: what it says about its latency, how long it
 * waits, and that late frames lose their inference, never themselves.
 */
#include "common.h"

#include <gst/check/gsttestclock.h>

#define CAPS_64 "video/x-raw,format=RGB,width=64,height=64,framerate=25/1"
#define FRAME_TIME (40 * GST_MSECOND)

static const GstUmedptTensorMeta *
get_tensor (GstBuffer *buffer)
{
  return gst_buffer_get_umedpt_tensor_meta (buffer,
      GST_UMEDPT_TENSOR_EMBEDDING);
}

static void
test_latency (void)
{
  GstVideoInfo info;

  for (guint batch = 1; batch <= 8; batch *= 2) {
    GstHarness *h = test_embed_harness (batch, TRUE, CAPS_64, &info);
    gst_harness_set_upstream_latency (h, 7 * GST_MSECOND);
    g_assert_cmpuint (gst_harness_query_latency (h), ==,
        7 * GST_MSECOND + (batch - 1) * FRAME_TIME);
    gst_harness_teardown (h);
  }
}

/* After a measured inference the answer covers it, and the pipeline hears. */
static void
test_head_room (void)
{
  GstVideoInfo info;
  GstHarness *h = test_embed_harness (1, TRUE, CAPS_64, &info);
  g_autoptr (GstBus) bus = test_bus (h->element);
  g_autoptr (GstMessage) message = NULL;
  GstClockTime inference = 0;

  g_assert_cmpuint (gst_harness_query_latency (h), ==, 0);
  gst_harness_push (h, test_frame (&info, 0));
  inference = test_stat (h->element, "inference-p50");
  g_assert_cmpuint (gst_harness_query_latency (h), >=, inference);
  message = test_pop (bus, GST_MESSAGE_LATENCY);
  if (inference > GST_MSECOND)
    g_assert_nonnull (message);
  gst_element_set_bus (h->element, NULL);
  gst_harness_teardown (h);
}

/* A live source that pauses does not leave frames stranded. */
static void
test_timeout (void)
{
  GstVideoInfo info;
  GstHarness *h = test_embed_harness (4, TRUE, CAPS_64, &info);

  for (guint i = 0; i < 2; i++)
    gst_harness_push (h, test_frame (&info, i));
  for (guint i = 0; i < 2; i++) {
    /* pull() waits for up to a minute */
    g_autoptr (GstBuffer) out = gst_harness_pull (h);
    g_assert_nonnull (out);
    g_assert_cmpuint (GST_BUFFER_PTS (out), ==, i * FRAME_TIME);
    g_assert_nonnull (get_tensor (out));
  }
  gst_harness_teardown (h);
}

/* Without live input a batch waits for its frames, unless told otherwise. */
static void
test_no_timeout (void)
{
  GstVideoInfo info;
  GstHarness *h = test_embed_harness (4, FALSE, CAPS_64, &info);

  gst_harness_push (h, test_frame (&info, 0));
  g_usleep (300000);
  g_assert_cmpuint (gst_harness_buffers_received (h), ==, 0);
  gst_harness_teardown (h);

  h = test_embed_harness (4, FALSE, CAPS_64, &info);
  g_object_set (h->element, "batch-timeout", (guint64) 20 * GST_MSECOND, NULL);
  gst_harness_push (h, test_frame (&info, 0));
  gst_buffer_unref (gst_harness_pull (h));
  gst_harness_teardown (h);
}

/* The timer pushes while states change, flushes come and more frames arrive. */
static void
test_timer_races (void)
{
  for (guint i = 0; i < 60; i++) {
    GstVideoInfo info;
    GstHarness *h = test_embed_harness (4, TRUE, CAPS_64, &info);

    g_object_set (h->element, "batch-timeout", (guint64) GST_MSECOND, NULL);
    gst_harness_push (h, test_frame (&info, 0));
    g_usleep (i * 50);
    if (i % 3 == 0) {
      gst_harness_push_event (h, gst_event_new_flush_start ());
      gst_harness_push_event (h, gst_event_new_flush_stop (TRUE));
    } else if (i % 3 == 1) {
      gst_harness_push (h, test_frame (&info, 1));
      gst_harness_push_event (h, gst_event_new_eos ());
      g_assert_cmpuint (gst_harness_buffers_received (h), ==, 2);
    }
    gst_harness_teardown (h);
  }
}

static void
push_late (GstHarness *h, const GstVideoInfo *info)
{
  /* the sink showed frame 0 late by 2.5 frames: all before frame 5 are late */
  gst_harness_push_upstream_event (h,
      gst_event_new_qos (GST_QOS_TYPE_UNDERFLOW, 1.5, 100 * GST_MSECOND, 0));
  for (guint i = 1; i < 9; i++)
    g_assert_cmpint (gst_harness_push (h, test_frame (info, i)), ==,
        GST_FLOW_OK);
  g_assert_cmpuint (gst_harness_buffers_received (h), ==, 8);
}

static void
test_late_live (void)
{
  GstVideoInfo info;
  GstHarness *h = test_embed_harness (1, TRUE, CAPS_64, &info);
  g_autoptr (GstBus) bus = test_bus (h->element);
  g_autoptr (GstMessage) message = NULL;
  guint64 processed = 0, skipped = 0;
  GstFormat format = GST_FORMAT_UNDEFINED;

  push_late (h, &info);
  for (guint i = 1; i < 9; i++) {
    g_autoptr (GstBuffer) out = gst_harness_try_pull (h);
    g_assert_nonnull (out);
    g_assert_cmpuint (GST_BUFFER_PTS (out), ==, i * FRAME_TIME);
    g_assert_cmpint (get_tensor (out) != NULL, ==, i >= 5);
  }
  g_assert_cmpuint (test_stat (h->element, "skipped-late"), ==, 4);
  g_assert_cmpuint (test_stat (h->element, "inferred"), ==, 4);
  message = test_pop (bus, GST_MESSAGE_QOS);
  g_assert_nonnull (message);
  gst_message_parse_qos_stats (message, &format, &processed, &skipped);
  g_assert_cmpint (format, ==, GST_FORMAT_BUFFERS);
  g_assert_cmpuint (skipped, ==, 1);
  gst_element_set_bus (h->element, NULL);
  gst_harness_teardown (h);
}

/* qos=false and input that is not live get every inference. */
static void
test_late_all (void)
{
  for (guint live = 0; live < 2; live++) {
    GstVideoInfo info;
    GstHarness *h = test_embed_harness (1, live, CAPS_64, &info);

    g_object_set (h->element, "qos", !live, NULL);
    push_late (h, &info);
    g_assert_cmpuint (test_stat (h->element, "skipped-late"), ==, 0);
    g_assert_cmpuint (test_stat (h->element, "inferred"), ==, 8);
    gst_harness_teardown (h);
  }
}

/* --- a live pipeline ---------------------------------------------------- */

/* Hides what the element adds to the latency, as if it did not answer. */
static GstPadProbeReturn
hide_latency (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstQuery *query = GST_PAD_PROBE_INFO_QUERY (info);

  if (GST_QUERY_TYPE (query) == GST_QUERY_LATENCY)
    gst_query_set_latency (query, TRUE, 0, GST_CLOCK_TIME_NONE);
  return GST_PAD_PROBE_OK;
}

/* Lets the clock run, but only when somebody waits for it: computing takes no
 * time, however busy the machine is. All is in one thread, so at most one
 * waits. */
static void
run_to_eos (GstElement *pipeline, GstTestClock *clock)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  gint64 end = g_get_monotonic_time () + 60 * G_TIME_SPAN_SECOND;

  while (g_get_monotonic_time () < end) {
    g_autoptr (GstMessage) message = gst_bus_pop (bus);

    if (gst_test_clock_peek_id_count (clock) > 0)
      gst_test_clock_crank (clock);
    else if (!message)
      g_usleep (100);
    if (!message)
      continue;
    g_assert_cmpint (GST_MESSAGE_TYPE (message), !=, GST_MESSAGE_ERROR);
    if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_LATENCY)
      gst_bin_recalculate_latency (GST_BIN (pipeline));
    if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_EOS)
      return;
  }
  g_assert_not_reached ();
}

/* What a sink drops of 60 live frames if it allows them 20 ms. */
static guint64
count_dropped (gboolean hide)
{
  g_autofree char *line = g_strdup_printf (
      "videotestsrc is-live=true num-buffers=60 ! %s ! "
      "umedptembed name=e model-file=%s batch-size=4 ! "
      "fakesink name=s sync=true qos=true max-lateness=20000000",
      CAPS_64, test_model ());
  g_autoptr (GstElement) pipeline = gst_parse_launch (line, NULL);
  g_autoptr (GstElement) embed = gst_bin_get_by_name (GST_BIN (pipeline), "e");
  g_autoptr (GstElement) sink = gst_bin_get_by_name (GST_BIN (pipeline), "s");
  g_autoptr (GstPad) pad = gst_element_get_static_pad (embed, "src");
  g_autoptr (GstClock) clock = gst_test_clock_new ();
  g_autoptr (GstStructure) stats = NULL;
  guint64 dropped = 0, rendered = 0;

  /* a thread of its own would push a batch when the real clock says so */
  g_object_set (embed, "batch-timeout", (guint64) 3600 * GST_SECOND, NULL);
  if (hide)
    gst_pad_add_probe (pad,
        GST_PAD_PROBE_TYPE_QUERY_UPSTREAM | GST_PAD_PROBE_TYPE_PULL,
        hide_latency, NULL, NULL);
  gst_pipeline_use_clock (GST_PIPELINE (pipeline), clock);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  run_to_eos (pipeline, GST_TEST_CLOCK (clock));
  g_object_get (sink, "stats", &stats, NULL);
  gst_structure_get (stats, "dropped", G_TYPE_UINT64, &dropped, "rendered",
      G_TYPE_UINT64, &rendered, NULL);
  g_test_message ("rendered %" G_GUINT64_FORMAT ", dropped %" G_GUINT64_FORMAT,
      rendered, dropped);
  g_assert_cmpuint (rendered + dropped, ==, 60);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  return dropped;
}

/* With the latency announced, every frame is shown; without it, the first of
 * each batch, at least, would be late. */
static void
test_live_pipeline (void)
{
  g_assert_cmpuint (count_dropped (FALSE), ==, 0);
  g_assert_cmpuint (count_dropped (TRUE), >=, 15);
}

/* Upstream hears how many frames we hold; padded rows are welcome only where
 * downstream reads them as well. */
static void
test_allocation (void)
{
  for (guint reads = 0; reads < 2; reads++) {
    GstVideoInfo info;
    GstHarness *h = test_embed_harness (4, FALSE, CAPS_64, &info);
    g_autoptr (GstCaps) caps = gst_caps_from_string (CAPS_64);
    g_autoptr (GstQuery) query = gst_query_new_allocation (caps, TRUE);
    guint min = 0;

    if (reads)
      gst_harness_add_propose_allocation_meta (h, GST_VIDEO_META_API_TYPE,
          NULL);
    gst_harness_push (h, test_frame (&info, 0));
    g_assert_true (gst_pad_peer_query (h->srcpad, query));
    g_assert_cmpint (gst_query_find_allocation_meta (query,
                         GST_VIDEO_META_API_TYPE, NULL),
        ==, reads);
    g_assert_cmpuint (gst_query_get_n_allocation_pools (query), ==, 1);
    gst_query_parse_nth_allocation_pool (query, 0, NULL, NULL, &min, NULL);
    g_assert_cmpuint (min, ==, 5);
    gst_harness_teardown (h);
  }
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/live/latency", test_latency);
  g_test_add_func ("/live/head-room", test_head_room);
  g_test_add_func ("/live/timeout", test_timeout);
  g_test_add_func ("/live/no-timeout", test_no_timeout);
  g_test_add_func ("/live/timer-races", test_timer_races);
  g_test_add_func ("/live/late", test_late_live);
  g_test_add_func ("/live/late-all", test_late_all);
  g_test_add_func ("/live/pipeline", test_live_pipeline);
  g_test_add_func ("/live/allocation", test_allocation);
  return test_run ();
}
