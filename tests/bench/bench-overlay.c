/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Times umedptoverlay: milliseconds for a frame of 1920 x 1080 with 50 boxes
 * that have labels and scores, and the contours of three classes of a mask of
 * 640 x 360. One thread, each format in turn; the results change from frame to
 * frame, and so do the frames, of which there are more than fit a small cache.
 * The time is that of the whole element, with finding contours, and the copy
 * that a shared frame would need left out.
 *
 * bench-overlay [--frames N] [--fill] [--hysteresis]
 *
 * --fill: translucent colour within the contours; --hysteresis: objects are
 * followed and shown after 3 hits.
 */
#include <gst/check/gstharness.h>
#include <gst/video/video.h>
#include <stdio.h>
#include <stdlib.h>

#include "overlay-results.h"

#define WIDTH 1920
#define HEIGHT 1080
#define MASK_WIDTH 640
#define MASK_HEIGHT 360
#define N_BOXES 50
#define N_BUFFERS 4

static gint n_frames = 300;
static gboolean fill, hysteresis;

static const GOptionEntry entries[] = {
  { "frames", 0, 0, G_OPTION_ARG_INT, &n_frames, "frames per format (300)",
      "N" },
  { "fill", 0, 0, G_OPTION_ARG_NONE, &fill, "fill the masks", NULL },
  { "hysteresis", 0, 0, G_OPTION_ARG_NONE, &hysteresis, "follow objects",
      NULL },
  { NULL },
};

static void
attach_results (GstBuffer *buffer, GRand *random, const guint8 *mask)
{
  const GstClockTime pts = GST_BUFFER_PTS (buffer);
  GstUmedptBox boxes[N_BOXES];

  for (guint i = 0; i < N_BOXES; i++)
    boxes[i] = (GstUmedptBox){ (gfloat) g_rand_double_range (random, 0, 1700),
      (gfloat) g_rand_double_range (random, 0, 900),
      (gfloat) g_rand_double_range (random, 60, 300),
      (gfloat) g_rand_double_range (random, 60, 300),
      (gfloat) g_rand_double_range (random, 0.5, 1), (gint) i % 4 };
  test_attach (buffer, "objects", test_boxes (pts, boxes, N_BOXES));
  test_attach (buffer, "tissue",
      test_mask (pts, mask, MASK_WIDTH, MASK_HEIGHT, 1, WIDTH, HEIGHT));
}

static int
compare_doubles (gconstpointer a, gconstpointer b)
{
  double x = *(const double *) a, y = *(const double *) b;
  return (x > y) - (x < y);
}

/* Each buffer comes back from the element and is pushed again. */
static void
measure (GstHarness *h, gsize size, GArray *times)
{
  g_autofree guint8 *mask = test_ellipses (MASK_WIDTH, MASK_HEIGHT);
  g_autoptr (GRand) random = g_rand_new_with_seed (1);
  GstBuffer *buffers[N_BUFFERS];

  for (guint i = 0; i < N_BUFFERS; i++) {
    buffers[i] = gst_buffer_new_allocate (NULL, size, NULL);
    gst_buffer_memset (buffers[i], 0, 0x60, size);
  }
  for (gint i = -10; i < n_frames; i++) {
    GstBuffer **buffer = &buffers[(i + 10) % N_BUFFERS];
    gint64 begin, end;
    double ms;

    GST_BUFFER_PTS (*buffer) = (guint) (i + 10) * 40 * GST_MSECOND;
    attach_results (*buffer, random, mask);
    begin = (gint64) gst_util_get_timestamp ();
    gst_harness_push (h, g_steal_pointer (buffer));
    end = (gint64) gst_util_get_timestamp ();
    *buffer = gst_harness_pull (h);
    ms = (double) (end - begin) / 1e6;
    if (i >= 0) /* the first ones render the texts */
      g_array_append_val (times, ms);
  }
  for (guint i = 0; i < N_BUFFERS; i++)
    gst_buffer_unref (buffers[i]);
}

static gboolean
run (const char *format)
{
  g_autoptr (GArray) times = g_array_new (FALSE, FALSE, sizeof (double));
  g_autoptr (GstCaps) caps = gst_caps_new_simple ("video/x-raw", "format",
      G_TYPE_STRING, format, "width", G_TYPE_INT, WIDTH, "height", G_TYPE_INT,
      HEIGHT, "framerate", GST_TYPE_FRACTION, 25, 1, NULL);
  GstElement *element = gst_element_factory_make ("umedptoverlay", NULL);
  GstHarness *h = NULL;
  GstVideoInfo info;

  if (!element || !gst_video_info_from_caps (&info, caps)) {
    fprintf (stderr, "There is no umedptoverlay; set GST_PLUGIN_PATH.\n");
    return FALSE;
  }
  gst_object_ref_sink (element);
  gst_util_set_object_arg (G_OBJECT (element), "mask-style",
      fill ? "fill" : "contour");
  if (hysteresis)
    g_object_set (element, "show-after-hits", 3, "hold", 200 * GST_MSECOND,
        NULL);
  h = gst_harness_new_with_element (element, "sink", "src");
  gst_harness_set_src_caps (h, g_steal_pointer (&caps));
  measure (h, GST_VIDEO_INFO_SIZE (&info), times);
  gst_harness_teardown (h);
  gst_object_unref (element);
  g_array_sort (times, compare_doubles);
  printf ("%-5s median %.3f  min %.3f  p95 %.3f ms/frame\n", format,
      g_array_index (times, double, times->len / 2),
      g_array_index (times, double, 0),
      g_array_index (times, double, times->len * 95 / 100));
  return TRUE;
}

int
main (int argc, char **argv)
{
  static const char *const formats[] = { "RGB", "BGRx", "I420", "NV12" };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_autoptr (GError) error = NULL;
  gboolean ok = TRUE;

  g_option_context_set_summary (context, "Times umedptoverlay.");
  g_option_context_add_main_entries (context, entries, NULL);
  g_option_context_add_group (context, gst_init_get_option_group ());
  if (!g_option_context_parse (context, &argc, &argv, &error) || n_frames < 1) {
    fprintf (stderr, "%s\n", error ? error->message : "--frames: at least 1");
    return 2;
  }
  for (guint i = 0; ok && i < G_N_ELEMENTS (formats); i++)
    ok = run (formats[i]);
  return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
