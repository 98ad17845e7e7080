/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What is left after something failed in the middle: one message that says
 * what, from the element where it happened, and no file. The trap is EOS:
 * sources push it after every error, as if the slide had ended.
 */
#include "common.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#define BROKEN 3 /* the tile at which things go wrong */

typedef void (*Breaker) (GstBuffer *buffer);

typedef struct
{
  Breaker break_buffer;
  gint eos; /* atomic: EOS has been through the sink */
} Run;

/* The frame is smaller than its caps say: the embedder cannot read it. */
static void
cut (GstBuffer *buffer)
{
  gst_buffer_set_size (buffer, 100);
}

static void
remove_tensor (GstBuffer *buffer)
{
  GstMeta *meta = (GstMeta *) gst_buffer_get_umedpt_tensor_meta (buffer, NULL);

  g_assert_true (gst_buffer_remove_meta (buffer, meta));
}

static void
remove_tile (GstBuffer *buffer)
{
  GstMeta *meta =
      (GstMeta *) gst_buffer_get_custom_meta (buffer, "GstUmedptTileMeta");

  g_assert_true (gst_buffer_remove_meta (buffer, meta));
}

static void
spoil_tensor (GstBuffer *buffer)
{
  const float nan = NAN;

  gst_buffer_fill (gst_buffer_get_umedpt_tensor_meta (buffer, NULL)->data, 8,
      &nan, sizeof nan);
}

static GstPadProbeReturn
on_buffer (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  Run *run = data;
  GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER (info);

  if (GST_BUFFER_PTS (buffer) == BROKEN * GST_SECOND) {
    buffer = gst_buffer_make_writable (buffer);
    run->break_buffer (buffer);
    GST_PAD_PROBE_INFO_DATA (info) = buffer;
  }
  return GST_PAD_PROBE_OK;
}

/* An EVENT probe sees an event before its pad does, this one afterwards. */
static gboolean
on_event (GstPad *pad, GstObject *parent, GstEvent *event)
{
  Run *run = g_object_get_data (G_OBJECT (pad), "run");
  GstPadEventFunction inner = g_object_get_data (G_OBJECT (pad), "inner");
  gboolean eos = GST_EVENT_TYPE (event) == GST_EVENT_EOS;
  gboolean ok = inner (pad, parent, event);

  if (eos)
    g_atomic_int_set (&run->eos, 1);
  return ok;
}

static void
watch_eos (GstElement *sink, Run *run)
{
  g_autoptr (GstPad) pad = gst_element_get_static_pad (sink, "sink");

  g_object_set_data (G_OBJECT (pad), "run", run);
  g_object_set_data (G_OBJECT (pad), "inner", GST_PAD_EVENTFUNC (pad));
  gst_pad_set_event_function (pad, on_event);
}

/* Errors of our elements; the source adds GStreamer's "Internal data stream
 * error", which programs stop before. */
static guint
count_errors (GstBus *bus, const char *culprit)
{
  guint n = 0;

  while (TRUE) {
    g_autoptr (GstMessage) message = test_pop (bus, GST_MESSAGE_ERROR);
    g_autoptr (GError) error = NULL;

    if (!message)
      return n;
    gst_message_parse_error (message, &error, NULL);
    g_test_message ("%s: %s", GST_MESSAGE_SRC_NAME (message), error->message);
    if (n == 0)
      g_assert_cmpstr (GST_MESSAGE_SRC_NAME (message), ==, culprit);
    n += g_str_equal (GST_MESSAGE_SRC_NAME (message), "e") ||
        g_str_equal (GST_MESSAGE_SRC_NAME (message), "f");
  }
}

static void
check_failure (Breaker breaker, const char *culprit, guint batch)
{
  Run run = { breaker, 0 };
  g_autofree char *path = test_path ("failed.h5");
  g_autofree char *line =
      g_strdup_printf ("umedptslidesrc tissue=none tile-size=128 location=%s ! "
                       "umedptembed name=e model-file=%s batch-size=%u ! "
                       "umedptslidesink name=f features-location=%s",
          test_slide (), test_model (), batch, path);
  g_autoptr (GstElement) pipeline = gst_parse_launch (line, NULL);
  g_autoptr (GstElement) embed = gst_bin_get_by_name (GST_BIN (pipeline), "e");
  g_autoptr (GstElement) sink = gst_bin_get_by_name (GST_BIN (pipeline), "f");
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  g_autoptr (GstPad) pad =
      gst_element_get_static_pad (embed, breaker == cut ? "sink" : "src");

  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, on_buffer, &run, NULL);
  watch_eos (sink, &run);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  for (guint i = 0; i < 30000 && !g_atomic_int_get (&run.eos); i++)
    g_usleep (1000);
  g_assert_true (g_atomic_int_get (&run.eos));
  g_assert_cmpuint (count_errors (bus, culprit), ==, 1);
  gst_element_set_state (pipeline, GST_STATE_NULL);
  g_assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
}

static void
test_embedder (void)
{
  check_failure (cut, "e", 1);
  check_failure (cut, "e", 3);
  check_failure (cut, "e", 1000); /* runs at EOS only */
}

static void
test_sink (void)
{
  check_failure (remove_tensor, "f", 2);
  check_failure (remove_tile, "f", 2);
  check_failure (spoil_tensor, "f", 2);
}

/* The disk's folder vanishes between start and end. */
static void
test_folder_lost (void)
{
  g_autofree char *folder = test_path ("lost");
  g_autofree char *path = g_build_filename (folder, "f.h5", NULL);
  g_autofree char *line = g_strdup_printf (
      "umedptslidesrc tissue=none location=%s ! umedptembed model-file=%s ! "
      "umedptslidesink name=f features-location=%s",
      test_slide (), test_model (), path);
  g_autoptr (GstElement) pipeline = NULL;
  g_autoptr (GstBus) bus = NULL;
  g_autoptr (GstMessage) message = NULL;

  g_assert_cmpint (g_mkdir (folder, 0700), ==, 0);
  pipeline = gst_parse_launch (line, NULL);
  bus = gst_element_get_bus (pipeline);
  gst_element_set_state (pipeline, GST_STATE_READY);
  g_assert_cmpint (g_rmdir (folder), ==, 0);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  message = gst_bus_timed_pop_filtered (bus, 30 * GST_SECOND,
      GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  g_assert_nonnull (message);
  g_assert_cmpint (GST_MESSAGE_TYPE (message), ==, GST_MESSAGE_ERROR);
  g_assert_cmpstr (GST_MESSAGE_SRC_NAME (message), ==, "f");
  gst_element_set_state (pipeline, GST_STATE_NULL);
}

/* An element that could not start says so once; programs such as gst-launch
 * show all messages, and the last one stays in mind. */
static void
test_one_error (void)
{
  const char *lines[] = {
    "umedptslidesrc location=/no/such.svs ! fakesink",
    "umedptslidesrc ! fakesink",
    "fakesrc num-buffers=1 ! umedptslidesink",
    "videotestsrc num-buffers=1 ! umedptembed ! fakesink",
    "videotestsrc num-buffers=1 ! umedptembed model-file=/no/such ! fakesink",
  };

  for (guint i = 0; i < G_N_ELEMENTS (lines); i++) {
    g_autoptr (GstElement) pipeline = gst_parse_launch (lines[i], NULL);
    g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
    guint n = 0;

    g_assert_nonnull (pipeline);
    g_assert_cmpint (gst_element_set_state (pipeline, GST_STATE_PLAYING), ==,
        GST_STATE_CHANGE_FAILURE);
    while (TRUE) {
      g_autoptr (GstMessage) message = test_pop (bus, GST_MESSAGE_ERROR);
      g_autoptr (GError) error = NULL;

      if (!message)
        break;
      gst_message_parse_error (message, &error, NULL);
      g_test_message ("%s", error->message);
      n++;
    }
    g_assert_cmpuint (n, ==, 1);
    gst_element_set_state (pipeline, GST_STATE_NULL);
  }
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/failure/one-error", test_one_error);
  g_test_add_func ("/failure/embedder", test_embedder);
  g_test_add_func ("/failure/sink", test_sink);
  g_test_add_func ("/failure/folder-lost", test_folder_lost);
  return test_run ();
}
