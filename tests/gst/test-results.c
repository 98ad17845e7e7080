/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Results on their way: what a consumer finds on a frame and on the bus, and
 * that converters which scale the picture scale them, and those which cut it
 * drop them.
 */
#include "heads.h"

#include <string.h>

#define CAPS_64 "video/x-raw,format=RGB,width=64,height=64,framerate=25/1"
#define ALL \
  "umedptembed MODEL tasks=kind ! umedptsegment MODEL task=tissue " \
  "threshold=0 ! umedptdetect name=c MODEL threshold=0.1"

/* Frame 0 through @line. (transfer full) */
static GstBuffer *
run (const char *line)
{
  GstVideoInfo info;
  GstHarness *h = test_line_harness (line, CAPS_64, &info);
  GstBuffer *out = NULL;

  test_push_frames (h, &info, 0, 1);
  out = test_pull (h);
  gst_harness_teardown (h);
  return out;
}

/* --- what is in a result ------------------------------------------------ */

static void
test_fields (void)
{
  g_autoptr (GstBuffer) out = run (ALL);
  g_autoptr (UmedptSession) session = test_task_session (test_task_model ());
  const GstStructure *results = gst_buffer_get_umedpt_results (out);
  const struct
  {
    const char *task, *what, *kind, *labels;
  } rows[] = {
    { "kind", GST_UMEDPT_RESULT_VALUES, "classification", "r,s,t" },
    { "tissue", GST_UMEDPT_RESULT_MASK, "segmentation", "background,a,b" },
    { "cells", GST_UMEDPT_RESULT_BOXES, "detection", "p,q" },
  };

  g_assert_cmpint (gst_structure_n_fields (results), ==, 3);
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    const GstStructure *result =
        gst_umedpt_results_get (results, rows[i].task, rows[i].what);
    g_autofree char *labels = NULL;

    g_assert_nonnull (result);
    g_assert_true (result ==
        gst_umedpt_results_get (results, NULL, rows[i].what));
    g_assert_cmpstr (gst_structure_get_string (result, "kind"), ==,
        rows[i].kind);
    g_assert_cmpstr (gst_structure_get_string (result, "model"), ==,
        umedpt_model_get_hash (umedpt_session_get_model (session)));
    labels = g_strjoinv (",", (char **) gst_umedpt_result_get_labels (result));
    g_assert_cmpstr (labels, ==, rows[i].labels);
    g_assert_cmpuint (gst_umedpt_result_get_color (result, 0), !=,
        gst_umedpt_result_get_color (result, 1));
  }
  g_assert_null (gst_umedpt_results_get (results, "kind",
      GST_UMEDPT_RESULT_BOXES));
}

/* --- regions of interest ------------------------------------------------ */

static guint
count_rois (GstBuffer *buffer)
{
  gpointer state = NULL;
  guint n = 0;

  while (gst_buffer_iterate_meta_filtered (buffer, &state,
      GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE))
    n++;
  return n;
}

static void
test_rois (void)
{
  g_autoptr (GstBuffer) out = run (ALL);
  gpointer state = NULL;
  GstMeta *meta = NULL;
  guint n = 0, k = 0;
  const GstUmedptBox *boxes =
      gst_umedpt_result_get_boxes (test_result (out, "cells"), &n);
  const char *const *labels =
      gst_umedpt_result_get_labels (test_result (out, "cells"));

  g_assert_cmpuint (n, >, 0);
  g_assert_cmpuint (count_rois (out), ==, n);
  while ((meta = gst_buffer_iterate_meta_filtered (out, &state,
              GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE))) {
    GstVideoRegionOfInterestMeta *roi = (GstVideoRegionOfInterestMeta *) meta;
    const GstStructure *s =
        gst_video_region_of_interest_meta_get_param (roi, "detection");
    const char *label = labels[boxes[k].label];
    gdouble confidence = 0;
    gint id = -1;

    g_assert_cmpstr (g_quark_to_string (roi->roi_type), ==, label);
    g_assert_true (gst_structure_get (s, "confidence", G_TYPE_DOUBLE,
        &confidence, "label_id", G_TYPE_INT, &id, NULL));
    g_assert_cmpfloat ((float) confidence, ==, boxes[k].score);
    g_assert_cmpint (id, ==, boxes[k].label);
    g_assert_cmpstr (gst_structure_get_string (s, "label"), ==, label);
    g_assert_cmpstr (gst_structure_get_string (s, "task"), ==, "cells");
    g_assert_cmpuint (roi->x, <=, (guint) boxes[k].x);
    g_assert_cmpfloat (roi->x + roi->w, >=, boxes[k].x + boxes[k].width - 0.5);
    g_assert_cmpuint (roi->x + roi->w, <=, 64);
    g_assert_cmpuint (roi->y + roi->h, <=, 64);
    k++;
  }
  g_assert_cmpuint (k, ==, n);
}

/* The same task again replaces its boxes; regions of others stay. */
static void
test_again (void)
{
  GstVideoInfo info;
  GstHarness *h = test_line_harness (
      "umedptdetect MODEL threshold=0 ! umedptdetect MODEL threshold=0 "
      "max-detections=2",
      CAPS_64, &info);
  GstBuffer *frame = test_frame (&info, 0);
  g_autoptr (GstBuffer) out = NULL;
  guint n = 0;

  gst_buffer_add_video_region_of_interest_meta (frame, "mine", 1, 2, 3, 4);
  g_assert_cmpint (gst_harness_push (h, frame), ==, GST_FLOW_OK);
  out = test_pull (h);
  gst_umedpt_result_get_boxes (test_result (out, "cells"), &n);
  g_assert_cmpuint (n, ==, 2);
  g_assert_cmpuint (count_rois (out), ==, 3);
  gst_harness_teardown (h);
}

/* --- converters --------------------------------------------------------- */

/* @out is @wanted with its positions multiplied by @x and @y. */
static void
assert_scaled (GstBuffer *out, GstBuffer *wanted, double x, double y)
{
  guint n = 0, n_wanted = 0;
  const GstUmedptBox *boxes =
      gst_umedpt_result_get_boxes (test_result (out, "cells"), &n);
  const GstUmedptBox *wanted_boxes =
      gst_umedpt_result_get_boxes (test_result (wanted, "cells"), &n_wanted);
  GstUmedptMask mask, wanted_mask;

  g_assert_cmpuint (n, ==, n_wanted);
  for (guint i = 0; i < n; i++) {
    g_assert_cmpfloat (boxes[i].x, ==, (float) (wanted_boxes[i].x * x));
    g_assert_cmpfloat (boxes[i].width, ==, (float) (wanted_boxes[i].width * x));
    g_assert_cmpfloat (boxes[i].y, ==, (float) (wanted_boxes[i].y * y));
    g_assert_cmpfloat (boxes[i].height, ==,
        (float) (wanted_boxes[i].height * y));
    g_assert_cmpfloat (boxes[i].score, ==, wanted_boxes[i].score);
  }
  g_assert_true (gst_umedpt_result_get_mask (test_result (out, "tissue"),
      &mask));
  g_assert_true (gst_umedpt_result_get_mask (test_result (wanted, "tissue"),
      &wanted_mask));
  g_assert_cmpfloat (mask.x, ==, wanted_mask.x * x);
  g_assert_cmpfloat (mask.w, ==, wanted_mask.w * x);
  g_assert_cmpfloat (mask.y, ==, wanted_mask.y * y);
  g_assert_cmpfloat (mask.h, ==, wanted_mask.h * y);
  /* its pixels are not touched, not even copied */
  g_assert_cmpint (mask.width, ==, wanted_mask.width);
  g_assert_cmpmem (mask.data, (gsize) mask.width * (gsize) mask.height,
      wanted_mask.data, (gsize) mask.width * (gsize) mask.height);
  test_result (out, "kind");
  g_assert_nonnull (gst_buffer_get_umedpt_tensor_meta (out,
      GST_UMEDPT_TENSOR_EMBEDDING));
}

static void
test_converters (void)
{
  g_autoptr (GstBuffer) plain = run (ALL);
  g_autoptr (GstBuffer) converted =
      run (ALL " ! videoconvert ! video/x-raw,format=I420 ! identity ! "
               "videoconvert ! capsfilter caps=video/x-raw,format=BGRA");
  g_autoptr (GstBuffer) scaled =
      run (ALL " ! videoscale add-borders=false ! "
               "capsfilter caps=video/x-raw,width=128,height=32,"
               "pixel-aspect-ratio=1/4");
  g_autoptr (GstBuffer) copy = gst_buffer_copy_deep (plain);

  assert_scaled (converted, plain, 1, 1);
  assert_scaled (scaled, plain, 2, 0.5);
  assert_scaled (copy, plain, 1, 1);
  g_assert_cmpuint (gst_buffer_get_size (scaled), ==, 128 * 32 * 3);
}

/* Part of a frame is another picture. */
static void
test_cut (void)
{
  g_autoptr (GstBuffer) plain = run (ALL);
  g_autoptr (GstBuffer) part = gst_buffer_copy_region (plain,
      GST_BUFFER_COPY_ALL, 0, gst_buffer_get_size (plain) / 2);
  g_autoptr (GstElementFactory) crop = gst_element_factory_find ("videocrop");
  g_autoptr (GstBuffer) cropped = NULL;

  g_assert_null (gst_buffer_get_umedpt_results (part));
  if (!crop) {
    g_test_skip ("there is no videocrop");
    return;
  }
  cropped = run (ALL " ! videocrop left=10 top=4");
  g_assert_cmpuint (gst_buffer_get_size (cropped), ==,
      GST_ROUND_UP_4 (54 * 3) * 60);
  g_assert_null (gst_buffer_get_umedpt_results (cropped));
}

/* --- messages ----------------------------------------------------------- */

static void
test_messages (void)
{
  GstVideoInfo info;
  GstHarness *h = test_line_harness (ALL " post-messages=true", CAPS_64, &info);
  g_autoptr (GstBus) bus = test_bus (h->element);
  g_autoptr (GstMessage) message = NULL, more = NULL;
  const GstStructure *s = NULL, *results = NULL;
  guint64 timestamp = 0;
  guint n = 0;

  test_push_frames (h, &info, 3, 1);
  message = test_pop (bus, GST_MESSAGE_ELEMENT);
  g_assert_nonnull (message);
  g_assert_true (gst_message_has_name (message, GST_UMEDPT_RESULT_BOXES));
  s = gst_message_get_structure (message);
  g_assert_true (gst_structure_get_uint64 (s, "timestamp", &timestamp));
  g_assert_cmpuint (timestamp, ==, 120 * GST_MSECOND);
  g_assert_true (gst_structure_get_uint64 (s, "running-time", &timestamp));
  g_assert_cmpuint (timestamp, ==, 120 * GST_MSECOND);
  results = gst_value_get_structure (gst_structure_get_value (s, "results"));
  gst_umedpt_result_get_boxes (gst_umedpt_results_get (results, "cells", NULL),
      &n);
  g_assert_cmpuint (n, >, 0);
  more = test_pop (bus, GST_MESSAGE_ELEMENT);
  g_assert_null (more);
  gst_element_set_bus (h->element, NULL);
  gst_harness_teardown (h);
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/results/fields", test_fields);
  g_test_add_func ("/results/rois", test_rois);
  g_test_add_func ("/results/again", test_again);
  g_test_add_func ("/results/converters", test_converters);
  g_test_add_func ("/results/cut", test_cut);
  g_test_add_func ("/results/messages", test_messages);
  return test_run ();
}
