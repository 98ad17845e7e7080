/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * umedptslidesrc's time in every way that applications move in it: seeks
 * before the start, with an end, without a flush, behind the last tile, in
 * quick succession while the reader is busy.
 */
#include "common.h"

#define N_TILES 70 /* 640 x 400 pixels in tiles of 64: 10 x 7 */

static GstHarness *
new_harness (const char *location, gint tile_size)
{
  GstElement *element = gst_element_factory_make ("umedptslidesrc", NULL);
  GstHarness *h = NULL;

  gst_util_set_object_arg (G_OBJECT (element), "tissue", "none");
  g_object_set (element, "location", location, "tile-size", tile_size,
      "threads", 3, NULL);
  /* the source starts with the first gst_harness_play() */
  h = gst_harness_new_with_element (element, NULL, "src");
  gst_object_unref (element);
  return h;
}

static GstEvent *
new_seek (GstSeekFlags flags, gint64 start, gint64 stop)
{
  return gst_event_new_seek (1.0, GST_FORMAT_TIME, flags, GST_SEEK_TYPE_SET,
      start, stop < 0 ? GST_SEEK_TYPE_NONE : GST_SEEK_TYPE_SET, stop);
}

/* Until the next EOS; the events go. */
static void
wait_eos (GstHarness *h)
{
  GstEventType type = GST_EVENT_UNKNOWN;

  while (type != GST_EVENT_EOS) {
    g_autoptr (GstEvent) event = gst_harness_pull_event (h);
    g_assert_nonnull (event);
    type = GST_EVENT_TYPE (event);
  }
}

static void
drop_buffers (GstHarness *h)
{
  GstBuffer *buffer = NULL;

  while ((buffer = gst_harness_try_pull (h)))
    gst_buffer_unref (buffer);
}

/* Exactly the tiles @first … @end - 1 are there. */
static void
assert_tiles (GstHarness *h, guint first, guint end)
{
  g_autoptr (GstBuffer) more = NULL;

  for (guint i = first; i < end; i++) {
    g_autoptr (GstBuffer) buffer = gst_harness_try_pull (h);
    g_assert_nonnull (buffer);
    g_assert_cmpuint (GST_BUFFER_PTS (buffer), ==, i * GST_SECOND);
    g_assert_cmpuint (GST_BUFFER_OFFSET (buffer), ==, i);
  }
  more = gst_harness_try_pull (h);
  g_assert_null (more);
}

/* An application that knows where to begin says so before it starts. */
static void
test_in_ready (void)
{
  GstHarness *h = new_harness (test_slide (), 64);

  gst_element_set_state (h->element, GST_STATE_READY);
  g_assert_true (gst_element_send_event (h->element,
      new_seek (GST_SEEK_FLAG_FLUSH, 60 * GST_SECOND, -1)));
  gst_harness_play (h);
  wait_eos (h);
  assert_tiles (h, 60, N_TILES);
  gst_harness_teardown (h);
}

static void
test_stop (void)
{
  GstHarness *h = new_harness (test_slide (), 64);

  gst_harness_play (h);
  wait_eos (h);
  drop_buffers (h);
  g_assert_true (gst_harness_push_upstream_event (h,
      new_seek (GST_SEEK_FLAG_FLUSH, 10 * GST_SECOND, 12 * GST_SECOND)));
  wait_eos (h);
  assert_tiles (h, 10, 12);
  gst_harness_teardown (h);
}

/* "From tile 66 on", without a thought for seconds. */
static void
test_in_tiles (void)
{
  GstHarness *h = new_harness (test_slide (), 64);
  gint64 value = 0;

  gst_harness_play (h);
  wait_eos (h);
  drop_buffers (h);
  g_assert_true (gst_harness_push_upstream_event (h,
      gst_event_new_seek (1.0, GST_FORMAT_DEFAULT, GST_SEEK_FLAG_FLUSH,
          GST_SEEK_TYPE_SET, 66, GST_SEEK_TYPE_SET, 68)));
  wait_eos (h);
  assert_tiles (h, 66, 68);
  g_assert_true (gst_pad_peer_query_convert (h->sinkpad, GST_FORMAT_TIME,
      7 * GST_SECOND + 1, GST_FORMAT_DEFAULT, &value));
  g_assert_cmpint (value, ==, 7);
  g_assert_false (gst_pad_peer_query_convert (h->sinkpad, GST_FORMAT_DEFAULT,
      G_MAXINT64, GST_FORMAT_TIME, &value));
  g_assert_false (gst_pad_peer_query_convert (h->sinkpad, GST_FORMAT_BYTES, 1,
      GST_FORMAT_TIME, &value));
  gst_harness_teardown (h);
}

/* Tile 9 of 16 is bad, and the last one asked for: no other in its place. */
static void
test_stop_at_bad_tile (void)
{
  GstHarness *h = new_harness (test_damaged_slide (), 128);

  gst_harness_play (h);
  wait_eos (h);
  drop_buffers (h);
  g_assert_true (gst_harness_push_upstream_event (h,
      new_seek (GST_SEEK_FLAG_FLUSH, 8 * GST_SECOND, 10 * GST_SECOND)));
  wait_eos (h);
  assert_tiles (h, 8, 9);
  gst_harness_teardown (h);
}

/* Nothing is there to send; the segment is, and EOS. */
static void
test_behind_end (void)
{
  GstHarness *h = new_harness (test_slide (), 64);
  g_autoptr (GstEvent) event = NULL;

  gst_harness_play (h);
  wait_eos (h);
  drop_buffers (h);
  g_assert_true (gst_harness_push_upstream_event (h,
      new_seek (GST_SEEK_FLAG_FLUSH, N_TILES * GST_SECOND, -1)));
  wait_eos (h);
  assert_tiles (h, 0, 0);
  event = gst_pad_get_sticky_event (h->sinkpad, GST_EVENT_SEGMENT, 0);
  g_assert_nonnull (event);
  gst_harness_teardown (h);
}

/* Refused, and the stream goes on. */
static void
test_backwards (void)
{
  GstHarness *h = new_harness (test_slide (), 64);

  gst_harness_play (h);
  g_assert_false (gst_harness_push_upstream_event (h,
      gst_event_new_seek (-1.0, GST_FORMAT_TIME, GST_SEEK_FLAG_NONE,
          GST_SEEK_TYPE_SET, 0, GST_SEEK_TYPE_SET, 5 * GST_SECOND)));
  wait_eos (h);
  assert_tiles (h, 0, N_TILES);
  gst_harness_teardown (h);
}

/* --- without a flush ---------------------------------------------------- */

typedef struct
{
  GstHarness *h;
  GMutex lock;
  GCond cond;
  gboolean held, open;
} Gate;

/* Holds tile 5 back until the gate is open. */
static GstPadProbeReturn
hold (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Gate *gate = data;

  if (GST_BUFFER_OFFSET (GST_PAD_PROBE_INFO_BUFFER (info)) == 5) {
    g_mutex_lock (&gate->lock);
    gate->held = TRUE;
    g_cond_broadcast (&gate->cond);
    while (!gate->open)
      g_cond_wait (&gate->cond, &gate->lock);
    g_mutex_unlock (&gate->lock);
  }
  return GST_PAD_PROBE_OK;
}

static gpointer
seek_thread (gpointer data)
{
  Gate *gate = data;

  return GINT_TO_POINTER (gst_harness_push_upstream_event (gate->h,
      new_seek (GST_SEEK_FLAG_NONE, 60 * GST_SECOND, -1)));
}

/* What is under way arrives, then the tiles from the new place on. */
static void
test_no_flush (void)
{
  Gate gate = { new_harness (test_slide (), 64), { 0 }, { 0 }, FALSE, FALSE };
  g_autoptr (GstPad) pad = gst_element_get_static_pad (gate.h->element, "src");
  GThread *thread = NULL;

  g_mutex_init (&gate.lock);
  g_cond_init (&gate.cond);
  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, hold, &gate, NULL);
  gst_harness_play (gate.h);
  g_mutex_lock (&gate.lock);
  while (!gate.held)
    g_cond_wait (&gate.cond, &gate.lock);
  g_mutex_unlock (&gate.lock);
  thread = g_thread_new ("seek", seek_thread, &gate);
  while (gst_pad_get_task_state (pad) != GST_TASK_PAUSED)
    g_usleep (1000);
  g_mutex_lock (&gate.lock);
  gate.open = TRUE;
  g_cond_broadcast (&gate.cond);
  g_mutex_unlock (&gate.lock);
  g_assert_true (GPOINTER_TO_INT (g_thread_join (thread)));
  wait_eos (gate.h);
  for (guint i = 0; i < 6; i++) {
    g_autoptr (GstBuffer) buffer = gst_harness_try_pull (gate.h);
    g_assert_cmpuint (GST_BUFFER_OFFSET (buffer), ==, i);
  }
  assert_tiles (gate.h, 60, N_TILES);
  gst_harness_teardown (gate.h);
  g_mutex_clear (&gate.lock);
  g_cond_clear (&gate.cond);
}

/* --- many --------------------------------------------------------------- */

/* Each cancels a reader that has its hands full. */
static void
test_many (void)
{
  GstHarness *h = new_harness (test_slide (), 64);
  GstBuffer *buffer = NULL;
  guint64 last = 0;

  gst_harness_play (h);
  for (guint i = 0; i < 100; i++) {
    g_assert_true (gst_harness_push_upstream_event (h,
        new_seek (GST_SEEK_FLAG_FLUSH, i * 7 % N_TILES * GST_SECOND, -1)));
    g_usleep (i % 4 * 300);
  }
  g_assert_true (gst_harness_push_upstream_event (h,
      new_seek (GST_SEEK_FLAG_FLUSH, 65 * GST_SECOND, -1)));
  /* earlier seeks may have come to their end as well */
  while (GST_BUFFER_OFFSET (buffer = gst_harness_pull (h)) != N_TILES - 1 ||
      last != N_TILES - 2) {
    last = GST_BUFFER_OFFSET (buffer);
    gst_buffer_unref (buffer);
  }
  gst_buffer_unref (buffer);
  gst_harness_teardown (h);
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/seek/in-ready", test_in_ready);
  g_test_add_func ("/seek/stop", test_stop);
  g_test_add_func ("/seek/in-tiles", test_in_tiles);
  g_test_add_func ("/seek/stop-at-bad-tile", test_stop_at_bad_tile);
  g_test_add_func ("/seek/behind-end", test_behind_end);
  g_test_add_func ("/seek/backwards", test_backwards);
  g_test_add_func ("/seek/no-flush", test_no_flush);
  g_test_add_func ("/seek/many", test_many);
  return test_run ();
}
