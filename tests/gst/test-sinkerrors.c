/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * umedptslidesink with what it cannot write, or where it cannot write: one
 * clear error each, at the start where that is possible, and nothing left
 * behind.
 */
#include <math.h>
#include <string.h>

#include "common.h"
#include "stream.h"

/* A stream that was never a slide. */
static void
test_no_slide (void)
{
  g_autofree char *path = test_path ("no-slide.h5");
  GstElement *element = test_sink (path, FALSE);
  g_autoptr (GstBus) bus = test_bus (element);
  GstHarness *h = test_sink_harness (element);
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
  test_nothing_left ("no-slide");
}

/* Tensors of other plugins, or of a wrong one: no vector of floats. */
static void
test_wrong_tensors (void)
{
  for (guint i = 0; i < 4; i++) {
    g_autofree char *path = test_path ("tensor.h5");
    GstElement *element = test_sink (path, FALSE);
    g_autoptr (GstBus) bus = test_bus (element);
    GstHarness *h = test_sink_harness (element);
    GstBuffer *buffer = gst_buffer_new_allocate (NULL, 8 * 8 * 3, NULL);
    g_autoptr (GstMessage) message = NULL;
    GstUmedptTensorMeta *meta = NULL;

    test_push_slide (h, 1);
    test_add_tile (buffer, 0);
    test_add_tensor (buffer, 5);
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
    test_nothing_left ("tensor.h5");
  }
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
    GstElement *element = test_sink (path, FALSE);
    g_autoptr (GstBus) bus = test_bus (element);
    GstHarness *h = test_sink_harness (element);
    g_autoptr (GstMessage) message = NULL;
    g_autoptr (GError) error = NULL;

    if (rows[i].slide)
      test_push_slide (h, 4);
    g_assert_cmpint (test_push_tile (h, 3, rows[i].tile, rows[i].tensor,
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
    test_nothing_left ("wrong");
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
    GstElement *element = test_sink (rows[i].path, FALSE);
    g_autoptr (GError) error = test_start_error (element);

    g_assert_cmpint (error->domain, ==, GST_RESOURCE_ERROR);
    g_assert_cmpint (error->code, ==, rows[i].code);
    gst_object_unref (element);
  }
  g_assert_true (g_file_get_contents (existing, &content, NULL, NULL));
  g_assert_cmpstr (content, ==, "mine");
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/sinkerrors/no-slide", test_no_slide);
  g_test_add_func ("/sinkerrors/wrong-tensors", test_wrong_tensors);
  g_test_add_func ("/sinkerrors/wrong-tiles", test_wrong_tiles);
  g_test_add_func ("/sinkerrors/start-errors", test_start_errors);
  return test_run ();
}
