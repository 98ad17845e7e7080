/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Another model while frames flow: a good one takes over between two frames, a
 * bad one changes nothing; in any hurry, and up to the last moment. And starting
 * again and again, which loads nothing anew.
 */
#include "heads.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CAPS_64 "video/x-raw,format=RGB,width=64,height=64,framerate=25/1"

/* Elements that find, with their tasks. */
static const char *const lines[] = {
  "umedptembed name=e MODEL tasks=kind",
  "umedptsegment name=e MODEL task=tissue threshold=0 batch-size=2",
  "umedptdetect name=e MODEL threshold=0.1 wait-for-results=false",
};

static const char *
model_of (GstBuffer *out)
{
  const GstStructure *result =
      gst_umedpt_results_nth (gst_buffer_get_umedpt_results (out), 0, NULL);

  return result ? gst_structure_get_string (result, "model") : NULL;
}

static const char *
hash_of (UmedptSession *session)
{
  return umedpt_model_get_hash (umedpt_session_get_model (session));
}

/* Pushes frames until one that comes out has a result. (transfer full) */
static GstBuffer *
next_result (GstHarness *h, const GstVideoInfo *info, guint *next)
{
  for (guint tries = 0; tries < 5000; tries++) {
    GstBuffer *out = NULL;

    test_push_frames (h, info, (*next)++, 1);
    while ((out = gst_harness_try_pull (h))) {
      if (model_of (out))
        return out;
      gst_buffer_unref (out);
    }
    g_usleep (1000);
  }
  g_assert_not_reached ();
}

static void
assert_message (GstBus *bus, gboolean success, const char *path)
{
  g_autoptr (GstMessage) message = test_pop (bus, GST_MESSAGE_ELEMENT);
  const GstStructure *s = NULL;
  gboolean said = !success;

  g_assert_nonnull (message);
  s = gst_message_get_structure (message);
  g_assert_true (gst_structure_has_name (s, "umedpt-model-updated"));
  g_assert_true (gst_structure_get_boolean (s, "success", &said));
  g_assert_cmpint (said, ==, success);
  g_assert_cmpstr (gst_structure_get_string (s, "path"), ==, path);
  g_assert_cmpint (strlen (gst_structure_get_string (s, "message")) > 0, ==,
      !success);
}

static void
test_good (void)
{
  g_autoptr (UmedptSession) first = test_task_session (test_task_model ());
  g_autoptr (UmedptSession) second =
      test_task_session (test_other_task_model ());

  g_assert_cmpstr (hash_of (first), !=, hash_of (second));
  for (guint i = 0; i < G_N_ELEMENTS (lines); i++) {
    GstVideoInfo info;
    GstHarness *h = test_line_harness (lines[i], CAPS_64, &info);
    g_autoptr (GstElement) e = test_get (h, "e");
    g_autoptr (GstBus) bus = test_bus (h->element);
    g_autoptr (GstMessage) warning = NULL;
    g_autoptr (GstEvent) event = NULL;
    g_autoptr (GstBuffer) out = NULL;
    guint next = 0;

    out = next_result (h, &info, &next);
    g_assert_cmpstr (model_of (out), ==, hash_of (first));
    g_assert_true (test_change_model (h, &info, e, test_other_task_model (),
        &next));
    assert_message (bus, TRUE, test_other_task_model ());
    gst_clear_buffer (&out);
    out = next_result (h, &info, &next);
    g_assert_cmpstr (model_of (out), ==, hash_of (second));
    /* those downstream hear of it */
    event = gst_pad_get_sticky_event (h->sinkpad,
        GST_EVENT_CUSTOM_DOWNSTREAM_STICKY, 0);
    g_assert_cmpstr (gst_structure_get_string (gst_event_get_structure (event),
                         "hash"),
        ==, hash_of (second));
    warning = test_pop (bus, GST_MESSAGE_WARNING | GST_MESSAGE_ERROR);
    g_assert_null (warning);
    gst_element_set_bus (h->element, NULL);
    gst_harness_teardown (h);
  }
}

/* No file, no model, a model without the task: the old one works on. */
static void
test_bad (void)
{
  g_autofree char *missing = test_path ("no-such-file.safetensors");
  g_autofree char *text = test_path ("text.safetensors");
  const char *const files[] = { missing, text, test_model (), "" };
  g_autoptr (UmedptSession) session = test_task_session (test_task_model ());

  g_assert_true (g_file_set_contents (text, "This is no model.", -1, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (lines); i++) {
    GstVideoInfo info;
    GstHarness *h = test_line_harness (lines[i], CAPS_64, &info);
    g_autoptr (GstElement) e = test_get (h, "e");
    g_autoptr (GstBus) bus = test_bus (h->element);
    guint next = 0;

    for (guint k = 0; k < G_N_ELEMENTS (files); k++) {
      g_autoptr (GstMessage) warning = NULL;
      g_autoptr (GError) error = NULL;
      g_autoptr (GstBuffer) out = NULL;

      g_assert_false (test_change_model (h, &info, e, files[k], &next));
      warning = gst_bus_pop_filtered (bus, GST_MESSAGE_WARNING);
      g_assert_nonnull (warning);
      gst_message_parse_warning (warning, &error, NULL);
      g_test_message ("%s", error->message);
      g_assert_true (g_str_has_prefix (error->message,
          "The model is not changed: "));
      out = next_result (h, &info, &next);
      g_assert_cmpstr (model_of (out), ==, hash_of (session));
    }
    gst_element_set_bus (h->element, NULL);
    gst_harness_teardown (h);
  }
}

static void
test_bad_message (void)
{
  GstVideoInfo info;
  GstHarness *h = test_line_harness (lines[1], CAPS_64, &info);
  g_autoptr (GstElement) e = test_get (h, "e");
  g_autoptr (GstBus) bus = test_bus (h->element);
  guint next = 0;

  g_assert_false (test_change_model (h, &info, e, test_model (), &next));
  assert_message (bus, FALSE, test_model ());
  /* and the next good one is taken */
  g_assert_true (test_change_model (h, &info, e, test_other_task_model (),
      &next));
  gst_element_set_bus (h->element, NULL);
  gst_harness_teardown (h);
}

/* Of many wishes the last one counts. */
static void
test_many (void)
{
  g_autoptr (UmedptSession) first = test_task_session (test_task_model ());
  g_autoptr (UmedptSession) second =
      test_task_session (test_other_task_model ());

  /* both stay loaded, so that wishes come faster than they are fulfilled */
  g_assert_true (first != second);
  for (guint i = 0; i < G_N_ELEMENTS (lines); i++) {
    GstVideoInfo info;
    GstHarness *h = test_line_harness (lines[i], CAPS_64, &info);
    g_autoptr (GstElement) e = test_get (h, "e");
    const gint64 end = g_get_monotonic_time () + 60 * G_TIME_SPAN_SECOND;
    gboolean there = FALSE;
    guint next = 0;

    for (guint k = 0; k < 51; k++) {
      g_object_set (e, "model-file",
          k % 3 == 1  ? "no-such-file"
              : k % 2 ? test_task_model ()
                      : test_other_task_model (),
          NULL);
      if (k % 5 == 0)
        test_push_frames (h, &info, next++, 1);
    }
    while (!there) {
      g_autoptr (GstBuffer) out = next_result (h, &info, &next);
      there = g_str_equal (model_of (out), hash_of (second));
      g_assert_cmpint (g_get_monotonic_time (), <, end);
    }
    for (guint k = 0; k < 5; k++) {
      g_autoptr (GstBuffer) out = next_result (h, &info, &next);
      g_assert_cmpstr (model_of (out), ==, hash_of (second));
    }
    gst_harness_teardown (h);
  }
}

/* --- up to the last moment ---------------------------------------------- */

static void
test_change_and_stop (void)
{
  for (guint i = 0; i < 60; i++) {
    GstVideoInfo info;
    GstHarness *h =
        test_line_harness (lines[i % G_N_ELEMENTS (lines)], CAPS_64, &info);
    g_autoptr (GstElement) e = test_get (h, "e");

    test_push_frames (h, &info, 0, 2);
    g_object_set (e, "model-file",
        i % 4 ? test_other_task_model () : "no-such-file", NULL);
    g_usleep (i * 30);
    gst_harness_teardown (h);
  }
}

typedef struct
{
  GstElement *element;
  gint stop; /* atomic */
} Setter;

static gpointer
set_models (gpointer data)
{
  Setter *self = data;

  for (guint i = 0; !g_atomic_int_get (&self->stop); i++) {
    g_object_set (self->element, "model-file",
        i % 2 ? test_task_model () : test_other_task_model (), NULL);
    if (i % 7 == 0)
      g_usleep (50);
  }
  return NULL;
}

/* One sets models while another starts and stops: no thread is left behind
 * that works for an element that is gone. */
static void
test_race (void)
{
  for (guint i = 0; i < 3; i++) {
    const char *const names[] = { "umedptembed", "umedptsegment",
      "umedptdetect" };
    GstElement *element = gst_element_factory_make (names[i], NULL);
    Setter setter = { element, FALSE };
    GThread *thread = NULL;

    gst_object_ref_sink (element);
    g_object_set (element, "model-file", test_task_model (), NULL);
    if (i == 1)
      g_object_set (element, "task", "tissue", NULL);
    thread = g_thread_new ("setter", set_models, &setter);
    for (guint k = 0; k < 100; k++) {
      g_assert_cmpint (gst_element_set_state (element, GST_STATE_PAUSED), ==,
          GST_STATE_CHANGE_SUCCESS);
      g_assert_cmpint (gst_element_set_state (element, GST_STATE_NULL), ==,
          GST_STATE_CHANGE_SUCCESS);
    }
    g_atomic_int_set (&setter.stop, TRUE);
    g_thread_join (thread);
    gst_object_unref (element);
  }
}

/* --- starting again ----------------------------------------------------- */

static gsize
resident_bytes (void)
{
  g_autofree char *text = NULL;
  gsize total = 0, resident = 0;

  g_assert_true (g_file_get_contents ("/proc/self/statm", &text, NULL, NULL));
  g_assert_cmpint (sscanf (text, "%zu %zu", &total, &resident), ==, 2);
  return resident * (gsize) getpagesize ();
}

/* The harness would keep what comes in. */
static void
drop_events (GstHarness *h)
{
  GstEvent *event = NULL;

  while ((event = gst_harness_try_pull_event (h)))
    gst_event_unref (event);
  while ((event = gst_harness_try_pull_upstream_event (h)))
    gst_event_unref (event);
}

static void
restart (GstHarness *h, const GstVideoInfo *info, guint n)
{
  for (guint i = 0; i < n; i++) {
    g_assert_cmpint (gst_element_set_state (h->element,
                         i % 2 ? GST_STATE_NULL : GST_STATE_READY),
        ==, GST_STATE_CHANGE_SUCCESS);
    g_assert_cmpint (gst_element_set_state (h->element, GST_STATE_PLAYING), ==,
        GST_STATE_CHANGE_SUCCESS);
    if (i % 10 == 0) {
      gst_harness_set_src_caps_str (h, CAPS_64);
      test_push_frames (h, info, 0, 3);
    }
    drop_events (h);
  }
}

/* By how much memory grows over a thousand restarts: a thread that is the first
 * to do something has the allocator open a new arena, once; a leak is there in
 * every round. */
static gsize
least_growth (GstHarness *h, const GstVideoInfo *info)
{
  gsize least = G_MAXSIZE;

  for (guint round = 0; round < 3 && least > 0; round++) {
    gsize before = resident_bytes (), after = 0;

    restart (h, info, 1000);
    after = resident_bytes ();
    g_test_message ("resident before: %zu kB, after 1000 restarts: %zu kB",
        before / 1024, after / 1024);
    least = MIN (least, after > before ? after - before : 0);
  }
#ifdef __SANITIZE_ADDRESS__ /* which keeps freed memory for a while */
  least = 0;
#endif
  return least;
}

/* A thousand times in the memory of the first ones, with the one session. */
static void
test_restart (void)
{
  g_autoptr (UmedptSession) session = test_task_session (test_task_model ());
  const guint alone = G_OBJECT (session)->ref_count;

  for (guint i = 0; i < G_N_ELEMENTS (lines); i++) {
    GstVideoInfo info;
    GstHarness *h = test_line_harness (lines[i], CAPS_64, &info);
    g_autoptr (GstBuffer) out = NULL;
    guint next = 0;

    out = next_result (h, &info, &next); /* what inference needs is there */
    gst_harness_set_drop_buffers (h, TRUE);
    restart (h, &info, 500);
    g_assert_cmpuint (least_growth (h, &info), <, 1 << 20);
    g_assert_cmpuint (G_OBJECT (session)->ref_count, ==, alone + 1);
    gst_harness_teardown (h);
    g_assert_cmpuint (G_OBJECT (session)->ref_count, ==, alone);
  }
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/reload/good", test_good);
  g_test_add_func ("/reload/bad", test_bad);
  g_test_add_func ("/reload/bad-message", test_bad_message);
  g_test_add_func ("/reload/many", test_many);
  g_test_add_func ("/reload/change-and-stop", test_change_and_stop);
  g_test_add_func ("/reload/race", test_race);
  g_test_add_func ("/reload/restart", test_restart);
  return test_run ();
}
