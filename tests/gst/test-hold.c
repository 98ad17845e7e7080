/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Frames that are not looked at themselves: which they are, what they carry of
 * others and for how long; and inference beside the stream, for which no frame
 * waits.
 */
#include "heads.h"

#include <string.h>

#define CAPS_64 "video/x-raw,format=RGB,width=64,height=64,framerate=25/1"
#define CAPS_ODD "video/x-raw,format=BGRx,width=101,height=53,framerate=25/1"
#define FRAME_TIME (40 * GST_MSECOND)
#define NONE -1

/* The number of the frame whose result of @task @out carries, or NONE. */
static gint
carried (GstBuffer *out, const char *task)
{
  const GstStructure *result =
      gst_umedpt_results_get (gst_buffer_get_umedpt_results (out), task, NULL);

  return result ? (gint) (gst_umedpt_result_get_pts (result) / FRAME_TIME)
                : NONE;
}

/* Frame @i comes out and carries @wanted. */
static void
assert_carries (GstHarness *h, guint i, const char *task, gint wanted)
{
  g_autoptr (GstBuffer) out = test_pull (h);

  g_assert_cmpuint (GST_BUFFER_PTS (out), ==, i * FRAME_TIME);
  g_assert_cmpint (carried (out, task), ==, wanted);
}

/* --- turns -------------------------------------------------------------- */

static void
check_interval (const char *settings, guint batch, gint hold_frames)
{
  g_autofree char *line = g_strdup_printf (
      "umedptdetect name=e MODEL threshold=0.1 inference-interval=3 "
      "batch-size=%u %s",
      batch, settings);
  GstVideoInfo info;
  GstHarness *h = test_line_harness (line, CAPS_64, &info);
  g_autoptr (GstElement) e = test_get (h, "e");

  test_push_frames (h, &info, 0, 8);
  gst_harness_push_event (h, gst_event_new_eos ());
  for (gint i = 0; i < 8; i++)
    assert_carries (h, (guint) i, "cells",
        i % 3 <= hold_frames ? i - i % 3 : NONE);
  g_assert_cmpuint (test_stat (e, "encoded"), ==, 3);
  g_assert_cmpuint (test_stat (e, "inferred"), ==, 3);
  g_assert_cmpuint (test_stat (e, "skipped-interval"), ==, 5);
  g_assert_cmpuint (test_stat (e, "frames-out"), ==, 8);
  gst_harness_teardown (h);
}

static void
test_interval (void)
{
  for (guint batch = 1; batch <= 4; batch++) {
    check_interval ("", batch, 0);
    check_interval ("hold-results=40000000", batch, 1);
    check_interval ("hold-results=79999999", batch, 1);
    check_interval ("hold-results=80000000", batch, 2);
  }
}

/* What other elements say of a frame is neither held nor overwritten. */
static void
test_others (void)
{
  GstVideoInfo info;
  GstHarness *h = test_line_harness (
      "umedptembed MODEL tasks=kind ! umedptdetect MODEL threshold=0.1 "
      "inference-interval=2 hold-results=1000000000",
      CAPS_64, &info);

  test_push_frames (h, &info, 0, 2);
  for (guint i = 0; i < 2; i++) {
    g_autoptr (GstBuffer) out = test_pull (h);
    g_assert_cmpint (carried (out, "kind"), ==, i);
    g_assert_cmpint (carried (out, "cells"), ==, 0);
  }
  gst_harness_teardown (h);

  h = test_line_harness (
      "umedptembed MODEL tasks=kind inference-interval=4 ! umedptdetect MODEL "
      "threshold=0.1 inference-interval=2 hold-results=1000000000",
      CAPS_64, &info);
  test_push_frames (h, &info, 0, 2);
  for (guint i = 0; i < 2; i++) {
    g_autoptr (GstBuffer) out = test_pull (h);
    g_assert_cmpint (carried (out, "kind"), ==, i ? NONE : 0);
    g_assert_cmpint (carried (out, "cells"), ==, 0);
  }
  gst_harness_teardown (h);
}

/* An embedding is of one picture; the tasks' results are held. */
static void
test_embedding (void)
{
  GstVideoInfo info;
  GstHarness *h =
      test_line_harness ("umedptembed MODEL tasks=kind inference-interval=2 "
                         "hold-results=1000000000",
          CAPS_64, &info);

  test_push_frames (h, &info, 0, 2);
  for (guint i = 0; i < 2; i++) {
    g_autoptr (GstBuffer) out = test_pull (h);
    g_assert_cmpint (carried (out, "kind"), ==, 0);
    g_assert_cmpint (gst_buffer_get_umedpt_tensor_meta (out, NULL) != NULL, ==,
        i == 0);
  }
  gst_harness_teardown (h);
}

/* Gaps take no turn. */
static void
test_gaps (void)
{
  GstVideoInfo info;
  GstHarness *h = test_line_harness (
      "umedptdetect name=e MODEL threshold=0.1 inference-interval=2 "
      "hold-results=1000000000",
      CAPS_64, &info);
  g_autoptr (GstElement) e = test_get (h, "e");
  const gint wanted[] = { NONE, 1, 1, 1, 1, 5 };

  for (guint i = 0; i < G_N_ELEMENTS (wanted); i++) {
    GstBuffer *frame = test_frame (&info, i);
    if (i % 2 == 0)
      GST_BUFFER_FLAG_SET (frame, GST_BUFFER_FLAG_GAP);
    g_assert_cmpint (gst_harness_push (h, frame), ==, GST_FLOW_OK);
    assert_carries (h, i, "cells", wanted[i]);
  }
  g_assert_cmpuint (test_stat (e, "skipped-gap"), ==, 3);
  g_assert_cmpuint (test_stat (e, "skipped-interval"), ==, 1);
  gst_harness_teardown (h);
}

/* Late frames of a live stream keep their picture and get what there is. */
static void
test_late (void)
{
  GstVideoInfo info;
  GstHarness *h = test_line_harness (
      "umedptdetect name=e MODEL threshold=0.1 hold-results=100000000", CAPS_64,
      &info);
  g_autoptr (GstElement) e = test_get (h, "e");
  const gint wanted[] = { 0, 0, 0, NONE, NONE, 5 };

  gst_harness_set_live (h, TRUE);
  gst_harness_query_latency (h);
  test_push_frames (h, &info, 0, 1);
  gst_harness_push_upstream_event (h,
      gst_event_new_qos (GST_QOS_TYPE_UNDERFLOW, 1.5, 100 * GST_MSECOND, 0));
  test_push_frames (h, &info, 1, 5);
  for (guint i = 0; i < G_N_ELEMENTS (wanted); i++)
    assert_carries (h, i, "cells", wanted[i]);
  g_assert_cmpuint (test_stat (e, "skipped-late"), ==, 4);
  /* 0, 0, 1 and 2 frames */
  g_assert_cmpuint (test_stat (e, "age-p95"), ==, FRAME_TIME);
  gst_harness_teardown (h);
}

/* --- what ends holding -------------------------------------------------- */

static void
test_forget (void)
{
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  for (guint i = 0; i < 3; i++) {
    GstVideoInfo info;
    GstHarness *h = test_line_harness (
        "umedptdetect name=e MODEL threshold=0.1 inference-interval=10 "
        "hold-results=10000000000",
        CAPS_64, &info);

    test_push_frames (h, &info, 0, 2);
    assert_carries (h, 0, "cells", 0);
    assert_carries (h, 1, "cells", 0);
    if (i == 0) { /* boxes would be in pixels of the other size */
      g_autoptr (GstCaps) caps = gst_caps_from_string (CAPS_ODD);
      g_assert_true (gst_video_info_from_caps (&info, caps));
      gst_harness_set_src_caps_str (h, CAPS_ODD);
    } else if (i == 1) { /* another stream, another scene */
      gst_harness_push_event (h, gst_event_new_stream_start ("another"));
      gst_harness_push_event (h, gst_event_new_segment (&segment));
    } else { /* a jump; the first frame after it is looked at */
      gst_harness_push_event (h, gst_event_new_flush_start ());
      gst_harness_push_event (h, gst_event_new_flush_stop (TRUE));
      gst_harness_push_event (h, gst_event_new_segment (&segment));
    }
    test_push_frames (h, &info, 2, 1);
    assert_carries (h, 2, "cells", i == 2 ? 2 : NONE);
    gst_harness_teardown (h);
  }
}

/* --- beside the stream -------------------------------------------------- */

#define BESIDE "umedptdetect name=e MODEL threshold=0.1 wait-for-results=false "

static void
wait_for (GstElement *element, const char *field, guint64 n)
{
  const gint64 end = g_get_monotonic_time () + 60 * G_TIME_SPAN_SECOND;

  while (test_stat (element, field) < n) {
    g_assert_cmpint (g_get_monotonic_time (), <, end);
    g_usleep (500);
  }
}

/* The slow backend has frames come by that nobody looks at; each is out before
 * the next one comes, and carries what is newest. */
static void
test_at_once (void)
{
  GstVideoInfo info;
  GstHarness *h =
      test_line_harness (BESIDE "device=ref batch-size=8", CAPS_64, &info);
  g_autoptr (GstElement) e = test_get (h, "e");
  gint last = NONE;

  for (guint i = 0; i < 12; i++) {
    g_autoptr (GstBuffer) frame = test_frame (&info, i);
    g_autoptr (GstBuffer) out = NULL;
    gint now;
    GstMapInfo map = GST_MAP_INFO_INIT;

    if (i == 8)
      wait_for (e, "inferred", test_stat (e, "inferred") + 1);
    g_assert_cmpint (gst_harness_push (h, gst_buffer_ref (frame)), ==,
        GST_FLOW_OK);
    out = test_pull (h);
    g_assert_cmpuint (GST_BUFFER_PTS (out), ==, i * FRAME_TIME);
    g_assert_true (gst_buffer_map (frame, &map, GST_MAP_READ));
    g_assert_cmpint (gst_buffer_memcmp (out, 0, map.data, map.size), ==, 0);
    gst_buffer_unmap (frame, &map);
    now = carried (out, "cells");
    g_assert_cmpint (now, >=, last);
    g_assert_cmpint (now, <, i);
    last = now;
  }
  g_assert_cmpint (last, >=, 0);
  g_assert_cmpuint (test_stat (e, "frames-out"), ==, 12);
  g_assert_cmpuint (gst_harness_query_latency (h), ==, 0);
  gst_harness_teardown (h);
}

/* The numbers of the frame that they say they are of. */
static void
test_beside_numbers (void)
{
  GstVideoInfo info;
  GstHarness *h = test_line_harness (BESIDE, CAPS_ODD, &info);
  g_autoptr (GstElement) e = test_get (h, "e");
  g_autoptr (UmedptSession) session = test_task_session (test_task_model ());

  for (guint i = 0; i < 8; i++) {
    g_autoptr (GstBuffer) out = NULL;

    test_push_frames (h, &info, i, 1);
    wait_for (e, "inferred", i + 1);
    out = test_pull (h);
    if (i > 0) {
      const gint looked_at = carried (out, "cells");
      g_autoptr (GstBuffer) frame = NULL;
      g_autoptr (UmedptEncoding) encoding = NULL;

      g_assert_cmpint (looked_at, ==, (gint) i - 1);
      frame = test_frame (&info, (guint) looked_at);
      encoding = test_encode (session, frame, &info, "cells", NULL);
      test_assert_boxes (out, "cells", &info, encoding, 0.1);
    }
  }
  gst_harness_teardown (h);
}

/* Results hold for a second, or what is said. */
static void
test_beside_age (void)
{
  const char *const settings[] = { "", "hold-results=2000000000" };

  for (guint i = 0; i < 2; i++) {
    g_autofree char *line =
        g_strdup_printf (BESIDE "inference-interval=1000 %s", settings[i]);
    GstVideoInfo info;
    GstHarness *h = test_line_harness (line, CAPS_64, &info);
    g_autoptr (GstElement) e = test_get (h, "e");

    test_push_frames (h, &info, 0, 1);
    assert_carries (h, 0, "cells", NONE);
    wait_for (e, "inferred", 1);
    test_push_frames (h, &info, 25, 2);
    assert_carries (h, 25, "cells", 0);
    assert_carries (h, 26, "cells", i ? 0 : NONE);
    gst_harness_teardown (h);
  }
}

/* A message for every result, though not for every frame. */
static void
test_beside_messages (void)
{
  GstVideoInfo info;
  GstHarness *h = test_line_harness (
      "umedptembed name=e MODEL wait-for-results=false post-messages=true",
      CAPS_64, &info);
  g_autoptr (GstElement) e = test_get (h, "e");
  g_autoptr (GstBus) bus = test_bus (h->element);
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GstBuffer) data = NULL;
  guint64 timestamp = 0;

  test_push_frames (h, &info, 5, 1);
  wait_for (e, "inferred", 1);
  test_push_frames (h, &info, 6, 1);
  message = test_pop (bus, GST_MESSAGE_ELEMENT);
  g_assert_nonnull (message);
  g_assert_true (gst_structure_get (gst_message_get_structure (message),
      "timestamp", G_TYPE_UINT64, &timestamp, "data", GST_TYPE_BUFFER, &data,
      NULL));
  g_assert_cmpuint (timestamp, ==, 5 * FRAME_TIME);
  gst_element_set_bus (h->element, NULL);
  gst_harness_teardown (h);
}

/* Whatever is under way when the stream jumps or its size changes is of no
 * frame that comes later, and a stop does not wait for long. */
static void
test_beside_jumps (void)
{
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  for (guint i = 0; i < 60; i++) {
    GstVideoInfo info;
    GstHarness *h = test_line_harness (BESIDE, CAPS_64, &info);
    guint next = 10;

    test_push_frames (h, &info, 9, 1);
    assert_carries (h, 9, "cells", NONE);
    g_usleep (i / 4 * 200);
    if (i % 4 == 0) {
      gst_harness_push_event (h, gst_event_new_flush_start ());
      gst_harness_push_event (h, gst_event_new_flush_stop (TRUE));
      gst_harness_push_event (h, gst_event_new_segment (&segment));
    } else if (i % 4 == 1) {
      g_autoptr (GstCaps) caps = gst_caps_from_string (CAPS_ODD);
      g_assert_true (gst_video_info_from_caps (&info, caps));
      gst_harness_set_src_caps_str (h, CAPS_ODD);
    } else if (i % 4 == 2) {
      gst_harness_push_event (h, gst_event_new_eos ());
    }
    for (gint got = NONE; i % 4 < 2 && got == NONE; next++) {
      g_autoptr (GstBuffer) out = NULL;

      test_push_frames (h, &info, next, 1);
      out = test_pull (h);
      got = carried (out, "cells");
      g_assert_true (got == NONE || got >= 10);
      g_usleep (500);
      if (next > 34) /* results of a slow thread are too old by then */
        break;
    }
    gst_harness_teardown (h);
  }
}

/* Frames that cannot be read: one error, and the stream ends. */
static void
test_beside_failure (void)
{
  GstVideoInfo info;
  GstHarness *h = test_line_harness (BESIDE, CAPS_64, &info);
  g_autoptr (GstBus) bus = test_bus (h->element);
  g_autoptr (GstMessage) message = NULL, more = NULL;
  GstFlowReturn flow = GST_FLOW_OK;

  for (guint i = 0; i < 10000 && flow == GST_FLOW_OK; i++) {
    GstBuffer *small = gst_buffer_new_allocate (NULL, 1000, NULL);

    GST_BUFFER_PTS (small) = i * FRAME_TIME;
    flow = gst_harness_push (h, small);
    g_usleep (1000);
  }
  g_assert_cmpint (flow, ==, GST_FLOW_ERROR);
  message = test_pop (bus, GST_MESSAGE_ERROR);
  g_assert_nonnull (message);
  g_usleep (20000); /* for a second one to come */
  more = test_pop (bus, GST_MESSAGE_ERROR);
  g_assert_null (more);
  gst_element_set_bus (h->element, NULL);
  gst_harness_teardown (h);
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/hold/interval", test_interval);
  g_test_add_func ("/hold/others", test_others);
  g_test_add_func ("/hold/embedding", test_embedding);
  g_test_add_func ("/hold/gaps", test_gaps);
  g_test_add_func ("/hold/late", test_late);
  g_test_add_func ("/hold/forget", test_forget);
  g_test_add_func ("/hold/at-once", test_at_once);
  g_test_add_func ("/hold/beside-numbers", test_beside_numbers);
  g_test_add_func ("/hold/beside-age", test_beside_age);
  g_test_add_func ("/hold/beside-messages", test_beside_messages);
  g_test_add_func ("/hold/beside-jumps", test_beside_jumps);
  g_test_add_func ("/hold/beside-failure", test_beside_failure);
  return test_run ();
}
