/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * umedptslidesink: when a file appears under its final name, and when not.
 */
#include "common.h"
#include "stream.h"

/* --- writing ------------------------------------------------------------ */

/* Pushes @n of @expected tiles and @n_bad bad ones, ends, and returns the
 * WARNING, if any. */
static GstMessage *
write_file (const char *path, guint n, guint n_bad, guint expected)
{
  GstElement *element = test_sink (path, TRUE);
  g_autoptr (GstBus) bus = test_bus (element);
  GstHarness *h = test_sink_harness (element);
  g_autoptr (GstMessage) message = NULL;

  test_push_slide (h, expected);
  for (guint i = 0; i < n; i++)
    g_assert_cmpint (test_push_tile (h, i, TRUE, TRUE, 5), ==, GST_FLOW_OK);
  for (guint i = n; i < n + n_bad; i++)
    test_push_bad (h, i);
  g_assert_false (n > 0 && g_file_test (path, G_FILE_TEST_EXISTS));
  g_assert_true (gst_harness_push_event (h, gst_event_new_eos ()));
  g_assert_true (g_file_test (path, G_FILE_TEST_EXISTS));
  message = test_pop (bus, GST_MESSAGE_ELEMENT);
  g_assert_nonnull (message);
  g_assert_true (gst_message_has_name (message, "umedpt-features-written"));
  g_assert_cmpuint (test_count (message, "rows"), ==, n);
  g_assert_cmpuint (test_count (message, "bad-tiles"), ==, n_bad);
  g_assert_cmpuint (test_count (message, "expected"), ==, expected);
  g_clear_pointer (&message, gst_message_unref);
  message = gst_bus_pop_filtered (bus, GST_MESSAGE_WARNING);
  gst_harness_teardown (h);
  gst_element_set_bus (element, NULL);
  gst_object_unref (element);
  return g_steal_pointer (&message);
}

static void
test_write (void)
{
  const char *suffixes[] = { "h5", "pt", "npy" };

  for (guint i = 0; i < G_N_ELEMENTS (suffixes); i++) {
    g_autofree char *name = g_strdup_printf ("written.%s", suffixes[i]);
    g_autofree char *path = test_path (name);
    g_autoptr (GstMessage) warning = write_file (path, 20, 2, 22);
    g_assert_null (warning);
  }
}

/* A slide without tissue, or without a readable tile, has its file as well. */
static void
test_empty (void)
{
  g_autofree char *path = test_path ("none.h5");
  g_autofree char *bad = test_path ("bad.h5");

  g_assert_null (write_file (path, 0, 0, 0));
  g_assert_null (write_file (bad, 0, 3, 3));
}

static void
test_incomplete (void)
{
  g_autofree char *path = test_path ("incomplete.h5");
  g_autoptr (GstMessage) warning = write_file (path, 7, 1, 10);

  g_assert_nonnull (warning);
}

/* What comes before a flush is void. */
static void
test_flush (void)
{
  g_autofree char *path = test_path ("flushed.h5");
  GstElement *element = test_sink (path, FALSE);
  g_autoptr (GstBus) bus = test_bus (element);
  GstHarness *h = test_sink_harness (element);
  g_autoptr (GstMessage) message = NULL;
  GstSegment segment;

  test_push_slide (h, 4);
  for (guint i = 0; i < 3; i++)
    test_push_tile (h, i, TRUE, TRUE, 5);
  gst_harness_push_event (h, gst_event_new_flush_start ());
  gst_harness_push_event (h, gst_event_new_flush_stop (TRUE));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (h, gst_event_new_segment (&segment));
  for (guint i = 0; i < 4; i++)
    g_assert_cmpint (test_push_tile (h, i, TRUE, TRUE, 5), ==, GST_FLOW_OK);
  g_assert_true (gst_harness_push_event (h, gst_event_new_eos ()));
  message = test_pop (bus, GST_MESSAGE_ELEMENT);
  g_assert_cmpuint (test_count (message, "rows"), ==, 4);
  gst_harness_teardown (h);
  gst_element_set_bus (element, NULL);
  gst_object_unref (element);
}

/* --- files that are there ----------------------------------------------- */

/* What was said of the features; what of all files is not asked for here. */
static GstMessage *
pop_features (GstBus *bus)
{
  GstMessage *found = test_pop (bus, GST_MESSAGE_ELEMENT);
  g_autoptr (GstMessage) other =
      found ? test_pop (bus, GST_MESSAGE_ELEMENT) : NULL;

  if (found) {
    g_assert_true (gst_message_has_name (found, "umedpt-features-written"));
    g_assert_true (gst_message_has_name (other, "umedpt-slide-written"));
  }
  return found;
}

static GstMessage *
run_to_end (GstElement *element, GstBus *bus, guint n, gboolean eos)
{
  GstHarness *h = test_sink_harness (element);

  test_push_slide (h, n);
  for (guint i = 0; i < n; i++)
    g_assert_cmpint (test_push_tile (h, i, TRUE, TRUE, 5), ==, GST_FLOW_OK);
  if (eos)
    g_assert_true (gst_harness_push_event (h, gst_event_new_eos ()));
  gst_element_set_state (element, GST_STATE_READY);
  gst_harness_teardown (h);
  return pop_features (bus);
}

static char *
read_file (const char *path, gsize *size)
{
  char *content = NULL;

  g_assert_true (g_file_get_contents (path, &content, size, NULL));
  return content;
}

/* The old file stays until the new one is complete. */
static void
test_overwrite (void)
{
  g_autofree char *path = test_path ("old.npy");
  g_autofree char *kept = NULL, *written = NULL;
  GstElement *element = test_sink (path, TRUE);
  g_autoptr (GstBus) bus = test_bus (element);
  g_autoptr (GstMessage) none = NULL, message = NULL;
  gsize size = 0;

  g_assert_true (g_file_set_contents (path, "old", -1, NULL));
  none = run_to_end (element, bus, 3, FALSE);
  g_assert_null (none);
  kept = read_file (path, &size);
  g_assert_cmpstr (kept, ==, "old");
  message = run_to_end (element, bus, 3, TRUE);
  g_assert_nonnull (message);
  written = read_file (path, &size);
  g_assert_cmpmem (written, 6, "\x93NUMPY", 6);
  gst_element_set_bus (element, NULL);
  gst_element_set_state (element, GST_STATE_NULL);
  gst_object_unref (element);
}

/* One element for slide after slide, as a cohort is run: READY is enough to
 * change the file. */
static void
test_next_file (void)
{
  GstElement *element = test_sink (NULL, FALSE);
  g_autoptr (GstBus) bus = test_bus (element);

  for (guint i = 1; i <= 3; i++) {
    g_autofree char *name = g_strdup_printf ("next-%u.h5", i);
    g_autofree char *path = test_path (name);
    g_autoptr (GstMessage) message = NULL;

    g_object_set (element, "features-location", path, NULL);
    message = run_to_end (element, bus, i, TRUE);
    g_assert_cmpuint (test_count (message, "rows"), ==, i);
    g_assert_cmpstr (
        gst_structure_get_string (gst_message_get_structure (message), "path"),
        ==, path);
    g_assert_true (g_file_test (path, G_FILE_TEST_EXISTS));
  }
  gst_element_set_bus (element, NULL);
  gst_element_set_state (element, GST_STATE_NULL);
  gst_object_unref (element);
}

/* After EOS the file is complete; who seeks back then must allow that it is
 * replaced. */
static void
test_seek_after_end (void)
{
  for (guint overwrite = 0; overwrite < 2; overwrite++) {
    g_autofree char *name = g_strdup_printf ("again-%u.h5", overwrite);
    g_autofree char *path = test_path (name);
    GstElement *element = test_sink (path, overwrite);
    g_autoptr (GstBus) bus = test_bus (element);
    GstHarness *h = test_sink_harness (element);
    g_autoptr (GstMessage) message = NULL;
    g_autoptr (GError) error = NULL;
    GstSegment segment;

    test_push_slide (h, 1);
    g_assert_cmpint (test_push_tile (h, 0, TRUE, TRUE, 5), ==, GST_FLOW_OK);
    g_assert_true (gst_harness_push_event (h, gst_event_new_eos ()));
    gst_harness_push_event (h, gst_event_new_flush_start ());
    gst_harness_push_event (h, gst_event_new_flush_stop (TRUE));
    gst_segment_init (&segment, GST_FORMAT_TIME);
    gst_harness_push_event (h, gst_event_new_segment (&segment));
    g_assert_cmpint (test_push_tile (h, 0, TRUE, TRUE, 5), ==,
        overwrite ? GST_FLOW_OK : GST_FLOW_ERROR);
    message = test_pop (bus, GST_MESSAGE_ERROR);
    g_assert_cmpint (message != NULL, ==, !overwrite);
    if (message) {
      gst_message_parse_error (message, &error, NULL);
      g_assert_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_OPEN_WRITE);
    }
    gst_harness_teardown (h);
    gst_element_set_bus (element, NULL);
    gst_object_unref (element);
    g_assert_true (g_file_test (path, G_FILE_TEST_EXISTS));
  }
}

/* --- not writing -------------------------------------------------------- */

static void
test_stop (void)
{
  g_autofree char *path = test_path ("stopped.h5");
  GstElement *element = test_sink (path, FALSE);
  GstHarness *h = test_sink_harness (element);

  test_push_slide (h, 4);
  for (guint i = 0; i < 3; i++)
    test_push_tile (h, i, TRUE, TRUE, 5);
  gst_harness_teardown (h);
  gst_object_unref (element);
  test_nothing_left ("stopped");
}

/* Stopped in the middle and played again: no row of the first run is left. */
static void
test_second_run (void)
{
  g_autofree char *path = test_path ("second.h5");
  GstElement *element = test_sink (path, FALSE);
  g_autoptr (GstBus) bus = test_bus (element);

  for (guint run = 0; run < 2; run++) {
    GstHarness *h = test_sink_harness (element);
    g_autoptr (GstMessage) message = NULL;

    test_push_slide (h, 2);
    for (guint i = 0; i <= run; i++)
      g_assert_cmpint (test_push_tile (h, i, TRUE, TRUE, 5), ==, GST_FLOW_OK);
    if (run == 1) {
      g_assert_true (gst_harness_push_event (h, gst_event_new_eos ()));
      message = test_pop (bus, GST_MESSAGE_ELEMENT);
      g_assert_cmpuint (test_count (message, "rows"), ==, 2);
    }
    gst_element_set_state (element, GST_STATE_READY);
    g_assert_cmpint (g_file_test (path, G_FILE_TEST_EXISTS), ==, run);
    gst_harness_teardown (h);
  }
  gst_element_set_bus (element, NULL);
  gst_object_unref (element);
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/slidesink/write", test_write);
  g_test_add_func ("/slidesink/empty", test_empty);
  g_test_add_func ("/slidesink/incomplete", test_incomplete);
  g_test_add_func ("/slidesink/flush", test_flush);
  g_test_add_func ("/slidesink/stop", test_stop);
  g_test_add_func ("/slidesink/second-run", test_second_run);
  g_test_add_func ("/slidesink/overwrite", test_overwrite);
  g_test_add_func ("/slidesink/next-file", test_next_file);
  g_test_add_func ("/slidesink/seek-after-end", test_seek_after_end);
  return test_run ();
}
