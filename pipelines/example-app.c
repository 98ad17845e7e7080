/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Example: pictures of a program's own go in, results come out. appsrc takes
 * frames from memory, an inference element looks at them, appsink hands them
 * back, with the results as metas that gstumedptresults.h reads. Copy it and
 * replace make_frame() and print_results().
 *
 *   cc example-app.c -o example-app \
 *       $(pkg-config --cflags --libs gstreamer-app-1.0) -IFOLDER
 *
 * FOLDER: of gstumedptresults.h, include/umedpt-gst-1.0 of an installation.
 * example-app.py does the same in Python.
 */
#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <stdio.h>
#include <string.h>

#include "gstumedptresults.h"

#define WIDTH 320
#define HEIGHT 240
#define N_FRAMES 10
#define FRAME_TIME (40 * GST_MSECOND)
#define CAPS "video/x-raw,format=RGB,width=320,height=240,framerate=25/1"

/* --- frames in ---------------------------------------------------------- */

/* A bright square that moves over a dark ground. */
static GstBuffer *
make_frame (guint i)
{
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, WIDTH * HEIGHT * 3, NULL);
  GstMapInfo map;

  if (!gst_buffer_map (buffer, &map, GST_MAP_WRITE)) {
    gst_buffer_unref (buffer);
    return NULL;
  }
  memset (map.data, 40, map.size);
  for (guint y = 80; y < 160; y++)
    memset (map.data + 3 * (y * WIDTH + 20 * i), 220, 3 * 80);
  gst_buffer_unmap (buffer, &map);
  GST_BUFFER_PTS (buffer) = i * FRAME_TIME;
  GST_BUFFER_DURATION (buffer) = FRAME_TIME;
  return buffer;
}

/* --- results out -------------------------------------------------------- */

static const char *
label_of (const GstStructure *result, guint i)
{
  const char *const *labels = gst_umedpt_result_get_labels (result);

  return labels && i < g_strv_length ((char **) labels) ? labels[i] : "?";
}

static void
print_mask (const GstStructure *result)
{
  GstUmedptMask mask;
  guint n = 0;

  if (!gst_umedpt_result_get_mask (result, &mask))
    return;
  /* class 0 is the background, or nothing at all in a mask of yes and no */
  for (gint i = 0; i < mask.width * mask.height * mask.planes; i++)
    n += mask.data[i] != 0 && mask.data[i] != GST_UMEDPT_UNDECIDED;
  printf (" mask of %d x %d, %u pixels found", mask.width, mask.height, n);
}

static void
print_result (const GstStructure *result)
{
  guint n_values = 0, n_boxes = 0;
  const gfloat *values = gst_umedpt_result_get_values (result, &n_values);
  const GstUmedptBox *boxes = gst_umedpt_result_get_boxes (result, &n_boxes);

  for (guint i = 0; i < n_values; i++)
    printf (" %s %.3f", label_of (result, i), (double) values[i]);
  if (gst_structure_has_name (result, GST_UMEDPT_RESULT_BOXES))
    printf (" %u boxes", n_boxes);
  for (guint i = 0; i < MIN (n_boxes, 3); i++)
    printf ("; %s %.2f at %.0f,%.0f size %.0f,%.0f",
        label_of (result, (guint) boxes[i].label), (double) boxes[i].score,
        (double) boxes[i].x, (double) boxes[i].y, (double) boxes[i].width,
        (double) boxes[i].height);
  if (gst_structure_has_name (result, GST_UMEDPT_RESULT_MASK))
    print_mask (result);
}

static void
print_results (GstBuffer *buffer)
{
  const GstStructure *results = gst_buffer_get_umedpt_results (buffer);
  const GstStructure *result = NULL;
  const char *task = NULL;

  printf ("%4.2f s:", (double) GST_BUFFER_PTS (buffer) / (double) GST_SECOND);
  for (guint i = 0; (result = gst_umedpt_results_nth (results, i, &task));
       i++) {
    printf (" [%s]", task);
    print_result (result);
  }
  printf ("\n");
}

/* --- the pipeline ------------------------------------------------------- */

static GstElement *
make_pipeline (const char *model, const char *element, GError **error)
{
  g_autofree char *line =
      g_strdup_printf ("appsrc name=in format=time caps=" CAPS
                       " ! %s name=look ! "
                       "appsink name=out sync=false",
          element);
  GstElement *pipeline =
      gst_parse_launch_full (line, NULL, GST_PARSE_FLAG_FATAL_ERRORS, error);
  g_autoptr (GstElement) look = NULL;

  if (!pipeline)
    return NULL;
  look = gst_bin_get_by_name (GST_BIN (pipeline), "look");
  g_object_set (look, "model-file", model, NULL);
  return pipeline;
}

/* One frame in, one frame out: what a program does that needs its results at
 * once. FALSE: the pipeline has stopped, and its bus knows why. */
static gboolean
process (GstAppSrc *in, GstAppSink *out, guint i)
{
  g_autoptr (GstSample) sample = NULL;
  GstBuffer *frame = make_frame (i);

  /* takes the frame */
  if (!frame || gst_app_src_push_buffer (in, frame) != GST_FLOW_OK)
    return FALSE;
  sample = gst_app_sink_pull_sample (out);
  if (!sample)
    return FALSE;
  print_results (gst_sample_get_buffer (sample));
  return TRUE;
}

/* TRUE: the bus has an error, which is printed. */
static gboolean
report (GstElement *pipeline)
{
  g_autoptr (GstBus) bus = gst_element_get_bus (pipeline);
  g_autoptr (GstMessage) message =
      gst_bus_pop_filtered (bus, GST_MESSAGE_ERROR);
  g_autoptr (GError) error = NULL;

  if (!message)
    return FALSE;
  gst_message_parse_error (message, &error, NULL);
  fprintf (stderr, "%s\n", error->message);
  return TRUE;
}

static gboolean
run (GstElement *pipeline)
{
  g_autoptr (GstElement) in = gst_bin_get_by_name (GST_BIN (pipeline), "in");
  g_autoptr (GstElement) out = gst_bin_get_by_name (GST_BIN (pipeline), "out");
  gboolean ok = gst_element_set_state (pipeline, GST_STATE_PLAYING) !=
      GST_STATE_CHANGE_FAILURE;

  for (guint i = 0; ok && i < N_FRAMES; i++)
    ok = process (GST_APP_SRC (in), GST_APP_SINK (out), i);
  if (ok)
    gst_app_src_end_of_stream (GST_APP_SRC (in));
  ok = !report (pipeline) && ok;
  gst_element_set_state (pipeline, GST_STATE_NULL);
  return ok;
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GstElement) pipeline = NULL;

  gst_init (&argc, &argv);
  if (argc < 2 || argc > 3) {
    fprintf (stderr, "Usage: %s MODEL [\"umedptdetect threshold=0.3\"]\n",
        argv[0]);
    return 2;
  }
  pipeline =
      make_pipeline (argv[1], argc > 2 ? argv[2] : "umedptdetect", &error);
  if (!pipeline) {
    fprintf (stderr, "%s\n", error->message);
    return 1;
  }
  return run (pipeline) ? 0 : 1;
}
