/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Batches that run beside the stream, on a device with memory of its own: what
 * comes out is what would come out if each were waited for, and nothing waits
 * for a frame that may never come. Runs on the device of tests/net/guarded.
 */
#include "heads.h"

#include <stdlib.h>
#include <string.h>

#define CAPS_64 "video/x-raw,format=RGB,width=64,height=64,framerate=25/1"
#define FRAME_TIME (40 * GST_MSECOND)
#define SEGMENT "umedptsegment name=e MODEL task=tissue threshold=0"
#define N 11
#define MANY 100

static guint
number_of (GstBuffer *buffer)
{
  return (guint) (GST_BUFFER_PTS (buffer) / FRAME_TIME);
}

/* --- in order, with the right results ------------------------------------ */

static gboolean
is_gap (guint i)
{
  return i % 5 == 3;
}

static void
push_with_gaps (GstHarness *h, const GstVideoInfo *info)
{
  for (guint i = 0; i < N; i++) {
    GstBuffer *frame = test_frame (info, i);

    if (is_gap (i))
      GST_BUFFER_FLAG_SET (frame, GST_BUFFER_FLAG_GAP);
    g_assert_cmpint (gst_harness_push (h, frame), ==, GST_FLOW_OK);
  }
}

static void
check_order (guint batch, const char *more)
{
  g_autofree char *line =
      g_strdup_printf (SEGMENT " batch-size=%u %s", batch, more);
  g_autoptr (UmedptSession) session = test_task_session (test_task_model ());
  GstVideoInfo info;
  GstHarness *h = test_line_harness (line, CAPS_64, &info);

  push_with_gaps (h, &info);
  g_assert_true (gst_harness_push_event (h, gst_event_new_eos ()));
  test_received (h, N);
  for (guint i = 0; i < N; i++) {
    g_autoptr (GstBuffer) out = test_pull (h);
    g_autoptr (GstBuffer) frame = test_frame (&info, i);
    g_autoptr (UmedptEncoding) encoding = NULL;

    g_assert_cmpuint (number_of (out), ==, i);
    if (is_gap (i)) {
      g_assert_null (gst_buffer_get_umedpt_results (out));
      continue;
    }
    encoding = test_encode (session, frame, &info, "tissue", NULL);
    test_assert_mask (out, "tissue", &info, encoding, 0);
  }
  gst_harness_teardown (h);
}

static void
test_order (void)
{
  check_order (1, "");
  check_order (2, "");
  check_order (4, "");
  check_order (3, "! umedptdetect MODEL task=cells");
}

/* Two elements that share their features, each with batches of its own. */
static void
test_shared (void)
{
  g_autoptr (UmedptSession) session = test_task_session (test_task_model ());
  GstVideoInfo info;
  GstHarness *h = test_line_harness (SEGMENT
      " batch-size=3 ! umedptdetect name=d MODEL task=cells threshold=0.1 "
      "batch-size=2",
      CAPS_64, &info);
  g_autoptr (GstElement) first = test_get (h, "e");
  g_autoptr (GstElement) second = test_get (h, "d");

  test_push_frames (h, &info, 0, N);
  g_assert_true (gst_harness_push_event (h, gst_event_new_eos ()));
  test_received (h, N);
  g_assert_cmpuint (test_stat (first, "encoded"), ==, N);
  g_assert_cmpuint (test_stat (second, "encoded"), ==, 0);
  for (guint i = 0; i < N; i++) {
    g_autoptr (GstBuffer) out = test_pull (h);
    g_autoptr (GstBuffer) frame = test_frame (&info, i);
    g_autoptr (UmedptEncoding) encoding =
        test_encode (session, frame, &info, "tissue", NULL);

    g_assert_cmpuint (number_of (out), ==, i);
    test_assert_mask (out, "tissue", &info, encoding, 0);
    test_assert_boxes (out, "cells", &info, encoding, 0.1);
  }
  gst_harness_teardown (h);
}

/* --- without a next frame ------------------------------------------------- */

/* Nothing follows, no event either: what is complete leaves by itself. */
static void
test_alone (void)
{
  GstVideoInfo info;
  GstHarness *h = test_embed_harness (2, FALSE, CAPS_64, &info);

  test_push_frames (h, &info, 0, 2);
  for (guint i = 0; i < 2; i++) {
    g_autoptr (GstBuffer) out = gst_harness_pull (h);

    g_assert_nonnull (out);
    g_assert_cmpuint (number_of (out), ==, i);
  }
  gst_harness_teardown (h);
}

/* The partial batch runs when the wait is over. */
static void
test_timeout (void)
{
  GstVideoInfo info;
  GstHarness *h = test_embed_harness (8, FALSE, CAPS_64, &info);
  g_autoptr (GstBuffer) out = NULL;

  g_object_set (h->element, "batch-timeout", 10 * GST_MSECOND, NULL);
  test_push_frames (h, &info, 0, 1);
  out = gst_harness_pull (h);
  g_assert_nonnull (out);
  gst_harness_teardown (h);
}

/* Live frames are not kept back: each push returns with its result. */
static void
test_live (void)
{
  GstVideoInfo info;
  GstHarness *h = test_embed_harness (1, TRUE, CAPS_64, &info);

  for (guint i = 0; i < 3; i++) {
    test_push_frames (h, &info, i, 1);
    g_assert_cmpuint (gst_harness_buffers_received (h), ==, i + 1);
  }
  gst_harness_teardown (h);
}

/* --- events ---------------------------------------------------------------- */

static void
push_mark (GstHarness *h, guint i)
{
  g_assert_true (gst_harness_push_event (h,
      gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM,
          gst_structure_new ("mark", "i", G_TYPE_UINT, i, NULL))));
}

typedef struct
{
  guint frames, marks;
} Seen;

/* Mark i follows frame 5 i + 4. */
static GstPadProbeReturn
note (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Seen *seen = data;
  GstEvent *event = GST_PAD_PROBE_INFO_EVENT (info);
  guint i = 0;

  if (GST_PAD_PROBE_INFO_TYPE (info) & GST_PAD_PROBE_TYPE_BUFFER) {
    seen->frames++;
  } else if (GST_EVENT_TYPE (event) == GST_EVENT_CUSTOM_DOWNSTREAM) {
    gst_structure_get_uint (gst_event_get_structure (event), "i", &i);
    g_assert_cmpuint (seen->frames, ==, 5 * (i + 1));
    seen->marks++;
  }
  return GST_PAD_PROBE_OK;
}

static void
test_events (void)
{
  GstVideoInfo info;
  GstHarness *h = test_embed_harness (2, FALSE, CAPS_64, &info);
  Seen seen = { 0 };

  gst_pad_add_probe (h->sinkpad,
      GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, note,
      &seen, NULL);
  for (guint i = 0; i < 4; i++) {
    test_push_frames (h, &info, 5 * i, 5);
    push_mark (h, i);
  }
  g_assert_cmpuint (seen.marks, ==, 4);
  gst_harness_teardown (h);
}

/* What was under way before a flush never comes out. */
static void
test_flush (void)
{
  GstVideoInfo info;
  GstHarness *h = test_embed_harness (2, FALSE, CAPS_64, &info);

  for (guint round = 0; round < 10; round++) {
    GstSegment segment;
    guint before = 0;

    gst_segment_init (&segment, GST_FORMAT_TIME);
    test_push_frames (h, &info, 0, 1 + round % 5);
    g_assert_true (gst_harness_push_event (h, gst_event_new_flush_start ()));
    before = gst_harness_buffers_received (h);
    g_assert_true (gst_harness_push_event (h, gst_event_new_flush_stop (TRUE)));
    g_assert_true (gst_harness_push_event (h,
        gst_event_new_segment (&segment)));
    test_push_frames (h, &info, 100, 3);
    push_mark (h, 0);
    g_assert_cmpuint (gst_harness_buffers_received (h), ==, before + 3);
    while (gst_harness_buffers_in_queue (h))
      gst_buffer_unref (gst_harness_pull (h));
  }
  gst_harness_teardown (h);
}

/* --- another model --------------------------------------------------------- */

static const char *
model_of (GstBuffer *buffer)
{
  const GstStructure *result = test_result (buffer, "tissue");

  return gst_structure_get_string (result, "model");
}

/* Frames of the old model are out before the new one is announced. */
static GstPadProbeReturn
check_model (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  g_autoptr (GstEvent) event =
      gst_pad_get_sticky_event (pad, GST_EVENT_CUSTOM_DOWNSTREAM_STICKY, 0);

  g_assert_nonnull (event);
  g_assert_cmpstr (model_of (GST_PAD_PROBE_INFO_BUFFER (info)), ==,
      gst_structure_get_string (gst_event_get_structure (event), "hash"));
  return GST_PAD_PROBE_OK;
}

static void
test_reload (void)
{
  GstVideoInfo info;
  GstHarness *h = test_line_harness (SEGMENT " batch-size=2", CAPS_64, &info);
  g_autoptr (GstElement) e = test_get (h, "e");
  guint next = 0;

  gst_pad_add_probe (h->sinkpad, GST_PAD_PROBE_TYPE_BUFFER, check_model, NULL,
      NULL);
  for (guint i = 0; i < 4; i++) {
    const char *file = i % 2 ? test_task_model () : test_other_task_model ();

    g_assert_true (test_change_model (h, &info, e, file, &next));
    test_push_frames (h, &info, next, 4);
    next += 4;
  }
  g_assert_true (gst_harness_push_event (h, gst_event_new_eos ()));
  test_received (h, next);
  gst_harness_teardown (h);
}

/* --- failures, and back-pressure -------------------------------------------- */

/* "I have enough" reaches the source some frames later. */
static void
test_flow (void)
{
  GstVideoInfo info;
  GstHarness *h = test_embed_harness (2, FALSE, CAPS_64, &info);
  GstFlowReturn flow = GST_FLOW_OK;

  gst_pad_set_chain_function (h->sinkpad, test_refuse);
  for (guint i = 0; flow == GST_FLOW_OK && i < MANY; i++)
    flow = gst_harness_push (h, test_frame (&info, i));
  g_assert_cmpint (flow, ==, GST_FLOW_EOS);
  gst_harness_teardown (h);
}

/* A frame that cannot be read: those before it come out, in whole batches. */
static void
test_bad_frame (void)
{
  GstVideoInfo info;
  GstHarness *h = test_embed_harness (2, FALSE, CAPS_64, &info);
  g_autoptr (GstBus) bus = test_bus (h->element);
  g_autoptr (GstMessage) error = NULL, another = NULL;
  GstFlowReturn flow = GST_FLOW_OK;
  guint i = 0;

  for (; flow == GST_FLOW_OK && i < MANY; i++) {
    GstBuffer *frame = test_frame (&info, i);

    if (i == 5)
      gst_buffer_set_size (frame, 100);
    flow = gst_harness_push (h, frame);
  }
  g_assert_cmpint (flow, ==, GST_FLOW_ERROR);
  g_assert_cmpuint (gst_harness_buffers_received (h), ==, 4);
  error = test_pop (bus, GST_MESSAGE_ERROR);
  g_assert_nonnull (error);
  another = test_pop (bus, GST_MESSAGE_ERROR);
  g_assert_null (another);
  gst_element_set_bus (h->element, NULL);
  gst_harness_teardown (h);
}

/* A sink that takes its time. */
typedef struct
{
  GMutex lock;
  GCond cond;
  gboolean open;
  guint received;
} Gate;

static GstPadProbeReturn
wait_at_gate (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Gate *gate = data;

  g_mutex_lock (&gate->lock);
  while (!gate->open)
    g_cond_wait (&gate->cond, &gate->lock);
  gate->received++;
  g_mutex_unlock (&gate->lock);
  return GST_PAD_PROBE_OK;
}

typedef struct
{
  GstHarness *h;
  const GstVideoInfo *info;
  gint pushed; /* atomic */
} Pusher;

static gpointer
push_many (gpointer data)
{
  Pusher *pusher = data;

  for (guint i = 0; i < MANY; i++) {
    test_push_frames (pusher->h, pusher->info, i, 1);
    g_atomic_int_inc (&pusher->pushed);
  }
  return NULL;
}

/* With a sink that waits, no more frames are taken than two batches under way
 * and one before and behind them. */
static void
test_back_pressure (void)
{
  GstVideoInfo info;
  GstHarness *h = test_embed_harness (2, FALSE, CAPS_64, &info);
  Pusher pusher = { h, &info, 0 };
  Gate gate = { .open = FALSE };
  GThread *thread = NULL;
  gint pushed = 0;

  g_mutex_init (&gate.lock);
  g_cond_init (&gate.cond);
  gst_pad_add_probe (h->sinkpad, GST_PAD_PROBE_TYPE_BUFFER, wait_at_gate, &gate,
      NULL);
  thread = g_thread_new ("push", push_many, &pusher);
  g_usleep (500 * 1000);
  pushed = g_atomic_int_get (&pusher.pushed);
  g_assert_cmpint (pushed, >, 0);
  g_assert_cmpint (pushed, <=, 8);
  g_mutex_lock (&gate.lock);
  gate.open = TRUE;
  g_cond_broadcast (&gate.cond);
  g_mutex_unlock (&gate.lock);
  g_thread_join (thread);
  push_mark (h, 0);
  g_assert_cmpuint (gate.received, ==, MANY);
  gst_harness_teardown (h);
  g_cond_clear (&gate.cond);
  g_mutex_clear (&gate.lock);
}

/* Stopped at any moment, and started again. */
static void
test_stop (void)
{
  GstVideoInfo info;
  GstHarness *h = test_embed_harness (2, FALSE, CAPS_64, &info);

  for (guint round = 0; round < 20; round++) {
    GstSegment segment;

    gst_segment_init (&segment, GST_FORMAT_TIME);
    test_push_frames (h, &info, 0, 1 + round % 6);
    g_usleep (round * 1000);
    g_assert_cmpint (gst_element_set_state (h->element, GST_STATE_READY), ==,
        GST_STATE_CHANGE_SUCCESS);
    g_assert_cmpint (gst_element_set_state (h->element, GST_STATE_PLAYING), ==,
        GST_STATE_CHANGE_SUCCESS);
    gst_harness_push_event (h, gst_event_new_stream_start ("again"));
    gst_harness_set_src_caps_str (h, CAPS_64);
    gst_harness_push_event (h, gst_event_new_segment (&segment));
  }
  gst_harness_teardown (h);
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/ahead/order", test_order);
  g_test_add_func ("/ahead/shared", test_shared);
  g_test_add_func ("/ahead/alone", test_alone);
  g_test_add_func ("/ahead/timeout", test_timeout);
  g_test_add_func ("/ahead/live", test_live);
  g_test_add_func ("/ahead/events", test_events);
  g_test_add_func ("/ahead/flush", test_flush);
  g_test_add_func ("/ahead/reload", test_reload);
  g_test_add_func ("/ahead/flow", test_flow);
  g_test_add_func ("/ahead/bad-frame", test_bad_frame);
  g_test_add_func ("/ahead/back-pressure", test_back_pressure);
  g_test_add_func ("/ahead/stop", test_stop);
  return test_run ();
}
