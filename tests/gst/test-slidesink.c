/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * umedptslidesink: when a file appears under its final name, and when not; and
 * states of all elements that need no model.
 */
#include "common.h"

#include <math.h>
#include <string.h>

#define DIM 5

static GstElement *
new_sink (const char *path, gboolean overwrite)
{
  GstElement *element = gst_element_factory_make ("umedptslidesink", NULL);

  g_assert_nonnull (element);
  g_object_set (element, "features-location", path, "overwrite", overwrite,
      NULL);
  return gst_object_ref_sink (element);
}

static GstHarness *
new_harness (GstElement *element)
{
  GstHarness *h = gst_harness_new_with_element (element, "sink", NULL);

  gst_harness_set_src_caps_str (h,
      "video/x-raw,format=RGB,width=8,height=8,framerate=1/1");
  return h;
}

static void
push_slide (GstHarness *h, guint64 n_tiles)
{
  // clang-format off
  gst_harness_push_event (h,
      gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM_STICKY,
          gst_structure_new ("umedpt-slide",
              "slide", G_TYPE_STRING, "s",
              "path", G_TYPE_STRING, "/s.svs",
              "vendor", G_TYPE_STRING, "test",
              "mpp-source", G_TYPE_STRING, "user",
              "plan-hash", G_TYPE_STRING, "0123",
              "level0-width", G_TYPE_INT64, (gint64) 100,
              "level0-height", G_TYPE_INT64, (gint64) 100,
              "level0-mpp", G_TYPE_DOUBLE, 0.5,
              "mpp", G_TYPE_DOUBLE, 0.5,
              "downsample", G_TYPE_DOUBLE, 1.0,
              "tile-size", G_TYPE_INT, 8,
              "overlap", G_TYPE_INT, 0,
              "n-tiles", G_TYPE_UINT64, n_tiles,
              "n-skipped", G_TYPE_UINT64, (guint64) 0,
              "start-index", G_TYPE_UINT64, (guint64) 0,
              NULL)));
  // clang-format on
}

static void
add_tile (GstBuffer *buffer, guint64 i)
{
  GstCustomMeta *meta =
      gst_buffer_add_custom_meta (buffer, GST_UMEDPT_TILE_META_NAME);

  gst_structure_set (gst_custom_meta_get_structure (meta), "index",
      G_TYPE_UINT64, i, "x", G_TYPE_INT64, (gint64) (8 * i), "y", G_TYPE_INT64,
      (gint64) 16, NULL);
}

/* As another plugin would attach it, from the public header. */
static void
add_tensor (GstBuffer *buffer, float value)
{
  float values[DIM] = { 1, 2, 3, 4, value };
  GstUmedptTensorMeta *meta =
      (GstUmedptTensorMeta *) gst_buffer_add_meta (buffer,
          gst_meta_get_info (GST_UMEDPT_TENSOR_META_NAME), NULL);

  meta->id = g_quark_from_static_string (GST_UMEDPT_TENSOR_EMBEDDING);
  meta->data_type = GST_UMEDPT_TENSOR_F32;
  meta->num_dims = 1;
  meta->dims[0] = DIM;
  meta->data = gst_buffer_new_memdup (values, sizeof values);
}

static GstFlowReturn
push_tile (GstHarness *h, guint64 i, gboolean tile, gboolean tensor,
    float value)
{
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, 8 * 8 * 3, NULL);

  GST_BUFFER_PTS (buffer) = i * GST_SECOND;
  if (tile)
    add_tile (buffer, i);
  if (tensor)
    add_tensor (buffer, value);
  return gst_harness_push (h, buffer);
}

static void
push_bad (GstHarness *h, guint64 i)
{
  gst_harness_push_event (h,
      gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM,
          gst_structure_new ("umedpt-bad-tile", "index", G_TYPE_UINT64, i, "x",
              G_TYPE_INT64, (gint64) (8 * i), "y", G_TYPE_INT64, (gint64) 16,
              "reason", G_TYPE_STRING, "torn", NULL)));
}

static guint64
message_count (GstMessage *message, const char *field)
{
  guint64 value = 0;

  g_assert_true (gst_structure_get_uint64 (gst_message_get_structure (message),
      field, &value));
  return value;
}

/* Nothing but what tests leave there themselves: no temporary file either. */
static void
assert_folder_without (const char *prefix)
{
  g_autofree char *folder = test_path ("");
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name = NULL;

  while ((name = g_dir_read_name (dir)))
    if (strstr (name, prefix))
      g_error ("%s is left behind", name);
}

/* --- writing ------------------------------------------------------------ */

/* Pushes @n of @expected tiles and @n_bad bad ones, ends, and returns the
 * WARNING, if any. */
static GstMessage *
write_file (const char *path, guint n, guint n_bad, guint expected)
{
  GstElement *element = new_sink (path, TRUE);
  g_autoptr (GstBus) bus = test_bus (element);
  GstHarness *h = new_harness (element);
  g_autoptr (GstMessage) message = NULL;

  push_slide (h, expected);
  for (guint i = 0; i < n; i++)
    g_assert_cmpint (push_tile (h, i, TRUE, TRUE, 5), ==, GST_FLOW_OK);
  for (guint i = n; i < n + n_bad; i++)
    push_bad (h, i);
  g_assert_false (n > 0 && g_file_test (path, G_FILE_TEST_EXISTS));
  g_assert_true (gst_harness_push_event (h, gst_event_new_eos ()));
  g_assert_true (g_file_test (path, G_FILE_TEST_EXISTS));
  message = test_pop (bus, GST_MESSAGE_ELEMENT);
  g_assert_nonnull (message);
  g_assert_true (gst_message_has_name (message, "umedpt-features-written"));
  g_assert_cmpuint (message_count (message, "rows"), ==, n);
  g_assert_cmpuint (message_count (message, "bad-tiles"), ==, n_bad);
  g_assert_cmpuint (message_count (message, "expected"), ==, expected);
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
  GstElement *element = new_sink (path, FALSE);
  g_autoptr (GstBus) bus = test_bus (element);
  GstHarness *h = new_harness (element);
  g_autoptr (GstMessage) message = NULL;
  GstSegment segment;

  push_slide (h, 4);
  for (guint i = 0; i < 3; i++)
    push_tile (h, i, TRUE, TRUE, 5);
  gst_harness_push_event (h, gst_event_new_flush_start ());
  gst_harness_push_event (h, gst_event_new_flush_stop (TRUE));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (h, gst_event_new_segment (&segment));
  for (guint i = 0; i < 4; i++)
    g_assert_cmpint (push_tile (h, i, TRUE, TRUE, 5), ==, GST_FLOW_OK);
  g_assert_true (gst_harness_push_event (h, gst_event_new_eos ()));
  message = test_pop (bus, GST_MESSAGE_ELEMENT);
  g_assert_cmpuint (message_count (message, "rows"), ==, 4);
  gst_harness_teardown (h);
  gst_element_set_bus (element, NULL);
  gst_object_unref (element);
}

/* --- files that are there ----------------------------------------------- */

static GstMessage *
run_to_end (GstElement *element, GstBus *bus, guint n, gboolean eos)
{
  GstHarness *h = new_harness (element);

  push_slide (h, n);
  for (guint i = 0; i < n; i++)
    g_assert_cmpint (push_tile (h, i, TRUE, TRUE, 5), ==, GST_FLOW_OK);
  if (eos)
    g_assert_true (gst_harness_push_event (h, gst_event_new_eos ()));
  gst_element_set_state (element, GST_STATE_READY);
  gst_harness_teardown (h);
  return test_pop (bus, GST_MESSAGE_ELEMENT);
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
  GstElement *element = new_sink (path, TRUE);
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
  GstElement *element = new_sink (NULL, FALSE);
  g_autoptr (GstBus) bus = test_bus (element);

  for (guint i = 1; i <= 3; i++) {
    g_autofree char *name = g_strdup_printf ("next-%u.h5", i);
    g_autofree char *path = test_path (name);
    g_autoptr (GstMessage) message = NULL;

    g_object_set (element, "features-location", path, NULL);
    message = run_to_end (element, bus, i, TRUE);
    g_assert_cmpuint (message_count (message, "rows"), ==, i);
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
    GstElement *element = new_sink (path, overwrite);
    g_autoptr (GstBus) bus = test_bus (element);
    GstHarness *h = new_harness (element);
    g_autoptr (GstMessage) message = NULL;
    g_autoptr (GError) error = NULL;
    GstSegment segment;

    push_slide (h, 1);
    g_assert_cmpint (push_tile (h, 0, TRUE, TRUE, 5), ==, GST_FLOW_OK);
    g_assert_true (gst_harness_push_event (h, gst_event_new_eos ()));
    gst_harness_push_event (h, gst_event_new_flush_start ());
    gst_harness_push_event (h, gst_event_new_flush_stop (TRUE));
    gst_segment_init (&segment, GST_FORMAT_TIME);
    gst_harness_push_event (h, gst_event_new_segment (&segment));
    g_assert_cmpint (push_tile (h, 0, TRUE, TRUE, 5), ==,
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
  GstElement *element = new_sink (path, FALSE);
  GstHarness *h = new_harness (element);

  push_slide (h, 4);
  for (guint i = 0; i < 3; i++)
    push_tile (h, i, TRUE, TRUE, 5);
  gst_harness_teardown (h);
  gst_object_unref (element);
  assert_folder_without ("stopped");
}

/* Stopped in the middle and played again: no row of the first run is left. */
static void
test_second_run (void)
{
  g_autofree char *path = test_path ("second.h5");
  GstElement *element = new_sink (path, FALSE);
  g_autoptr (GstBus) bus = test_bus (element);

  for (guint run = 0; run < 2; run++) {
    GstHarness *h = new_harness (element);
    g_autoptr (GstMessage) message = NULL;

    push_slide (h, 2);
    for (guint i = 0; i <= run; i++)
      g_assert_cmpint (push_tile (h, i, TRUE, TRUE, 5), ==, GST_FLOW_OK);
    if (run == 1) {
      g_assert_true (gst_harness_push_event (h, gst_event_new_eos ()));
      message = test_pop (bus, GST_MESSAGE_ELEMENT);
      g_assert_cmpuint (message_count (message, "rows"), ==, 2);
    }
    gst_element_set_state (element, GST_STATE_READY);
    g_assert_cmpint (g_file_test (path, G_FILE_TEST_EXISTS), ==, run);
    gst_harness_teardown (h);
  }
  gst_element_set_bus (element, NULL);
  gst_object_unref (element);
}

static void
test_wrong_tiles (void)
{
  const struct
  {
    gboolean slide, tile, tensor;
    float value;
    const char *says;
  } rows[] = {
    { FALSE, FALSE, TRUE, 0, "umedptslidesrc" },
    { TRUE, FALSE, TRUE, 0, "umedptslidesrc" },
    { TRUE, TRUE, FALSE, 0, "umedptembed" },
    { TRUE, TRUE, TRUE, NAN, "24" }, /* x of tile 3 */
    { TRUE, TRUE, TRUE, INFINITY, "24" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree char *path = test_path ("wrong.h5");
    GstElement *element = new_sink (path, FALSE);
    g_autoptr (GstBus) bus = test_bus (element);
    GstHarness *h = new_harness (element);
    g_autoptr (GstMessage) message = NULL;
    g_autoptr (GError) error = NULL;

    if (rows[i].slide)
      push_slide (h, 4);
    g_assert_cmpint (push_tile (h, 3, rows[i].tile, rows[i].tensor,
                         rows[i].value),
        ==, GST_FLOW_ERROR);
    message = test_pop (bus, GST_MESSAGE_ERROR);
    g_assert_nonnull (message);
    gst_message_parse_error (message, &error, NULL);
    g_test_message ("%s", error->message);
    g_assert_cmpint (error->domain, ==, GST_STREAM_ERROR);
    g_assert_nonnull (strstr (error->message, rows[i].says));
    gst_harness_teardown (h);
    gst_element_set_bus (element, NULL);
    gst_object_unref (element);
    assert_folder_without ("wrong");
  }
}

/* A stream that was never a slide. */
static void
test_no_slide (void)
{
  g_autofree char *path = test_path ("no-slide.h5");
  GstElement *element = new_sink (path, FALSE);
  g_autoptr (GstBus) bus = test_bus (element);
  GstHarness *h = new_harness (element);
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_false (gst_harness_push_event (h, gst_event_new_eos ()));
  message = test_pop (bus, GST_MESSAGE_ERROR);
  g_assert_nonnull (message);
  gst_message_parse_error (message, &error, NULL);
  g_assert_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT);
  gst_harness_teardown (h);
  gst_element_set_bus (element, NULL);
  gst_object_unref (element);
  assert_folder_without ("no-slide");
}

/* Tensors of other plugins, or of a wrong one: no vector of floats. */
static void
test_wrong_tensors (void)
{
  for (guint i = 0; i < 4; i++) {
    g_autofree char *path = test_path ("tensor.h5");
    GstElement *element = new_sink (path, FALSE);
    g_autoptr (GstBus) bus = test_bus (element);
    GstHarness *h = new_harness (element);
    GstBuffer *buffer = gst_buffer_new_allocate (NULL, 8 * 8 * 3, NULL);
    g_autoptr (GstMessage) message = NULL;
    GstUmedptTensorMeta *meta = NULL;

    push_slide (h, 1);
    add_tile (buffer, 0);
    add_tensor (buffer, 5);
    meta = (GstUmedptTensorMeta *) gst_buffer_get_umedpt_tensor_meta (buffer,
        NULL);
    if (i == 0)
      meta->data_type = GST_UMEDPT_TENSOR_I32;
    else if (i == 1)
      meta->num_dims = 2;
    else if (i == 2)
      meta->dims[0] = DIM + 1;
    else
      meta->dims[0] = 0;
    g_assert_cmpint (gst_harness_push (h, buffer), ==, GST_FLOW_ERROR);
    message = test_pop (bus, GST_MESSAGE_ERROR);
    g_assert_nonnull (message);
    gst_harness_teardown (h);
    gst_element_set_bus (element, NULL);
    gst_object_unref (element);
    assert_folder_without ("tensor.h5");
  }
}

/* All before the first tile is computed. */
static void
test_start_errors (void)
{
  g_autofree char *existing = test_path ("existing.h5");
  g_autofree char *suffix = test_path ("features.xyz");
  g_autofree char *folder = test_path ("no-such-folder/features.h5");
  const struct
  {
    const char *path;
    gint code;
  } rows[] = {
    { NULL, GST_RESOURCE_ERROR_SETTINGS },
    { existing, GST_RESOURCE_ERROR_OPEN_WRITE },
    { suffix, GST_RESOURCE_ERROR_SETTINGS },
    { folder, GST_RESOURCE_ERROR_NOT_FOUND },
    { "/sys/features.h5", GST_RESOURCE_ERROR_WRITE },
  };
  g_autofree char *content = NULL;

  g_assert_true (g_file_set_contents (existing, "mine", -1, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    GstElement *element = new_sink (rows[i].path, FALSE);
    g_autoptr (GError) error = test_start_error (element);

    g_assert_cmpint (error->domain, ==, GST_RESOURCE_ERROR);
    g_assert_cmpint (error->code, ==, rows[i].code);
    gst_object_unref (element);
  }
  g_assert_true (g_file_get_contents (existing, &content, NULL, NULL));
  g_assert_cmpstr (content, ==, "mine");
}

/* --- states ------------------------------------------------------------- */

/* Every element of the plugin can be made and looked at without a model. */
static void
test_states (void)
{
  const char *names[] = { "umedptslidesrc", "umedptembed", "umedptslidesink" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    for (guint k = 0; k < 3; k++) {
      GstElement *element = gst_element_factory_make (names[i], NULL);
      g_autoptr (GError) error = NULL;

      g_assert_nonnull (element);
      gst_object_ref_sink (element);
      error = test_start_error (element);
      g_assert_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS);
      gst_object_unref (element);
    }
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/slidesink/states", test_states);
  g_test_add_func ("/slidesink/write", test_write);
  g_test_add_func ("/slidesink/empty", test_empty);
  g_test_add_func ("/slidesink/incomplete", test_incomplete);
  g_test_add_func ("/slidesink/flush", test_flush);
  g_test_add_func ("/slidesink/stop", test_stop);
  g_test_add_func ("/slidesink/second-run", test_second_run);
  g_test_add_func ("/slidesink/wrong-tiles", test_wrong_tiles);
  g_test_add_func ("/slidesink/overwrite", test_overwrite);
  g_test_add_func ("/slidesink/next-file", test_next_file);
  g_test_add_func ("/slidesink/seek-after-end", test_seek_after_end);
  g_test_add_func ("/slidesink/no-slide", test_no_slide);
  g_test_add_func ("/slidesink/wrong-tensors", test_wrong_tensors);
  g_test_add_func ("/slidesink/start-errors", test_start_errors);
  return test_run ();
}
