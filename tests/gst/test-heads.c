/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * umedptsegment, umedptdetect and the tasks of umedptembed, one at a time: what
 * they say of a frame is what the library says of the same picture, and what
 * they are told is done. Results on their way downstream: test-results.c.
 */
#include "heads.h"

#include <string.h>

#define CAPS_64 "video/x-raw,format=RGB,width=64,height=64,framerate=25/1"
#define FRAME_TIME (40 * GST_MSECOND)

static const char *const pictures[] = {
  CAPS_64,
  "video/x-raw,format=RGB,width=101,height=53,framerate=25/1",
  "video/x-raw,format=BGRx,width=37,height=129,framerate=25/1",
  "video/x-raw,format=GRAY8,width=63,height=65,framerate=25/1",
};

/* --- numbers ------------------------------------------------------------ */

static void
check_picture (const char *caps, gint padding)
{
  const char *const tasks[] = { "tissue", "marks", "big", "cells", "kind",
    "age", "view" };
  const char *const lines[] = {
    "umedptsegment MODEL task=tissue threshold=0.36",
    "umedptsegment MODEL task=marks threshold=0.5",
    "umedptsegment MODEL task=big threshold=0",
    "umedptdetect MODEL threshold=0.1",
    "umedptembed MODEL tasks=kind",
    "umedptembed MODEL tasks=\"age; kind\"",
    "umedptembed MODEL tasks=view embedding=false",
  };
  const double thresholds[] = { 0.36, 0.5, 0, 0.1 };
  g_autoptr (UmedptSession) session = test_task_session (test_task_model ());

  for (guint i = 0; i < G_N_ELEMENTS (lines); i++) {
    GstVideoInfo info;
    GstHarness *h = test_line_harness (lines[i], caps, &info);
    g_autoptr (GstBuffer) frame =
        padding ? test_padded_frame (&info, i, padding) : test_frame (&info, i);
    g_autoptr (UmedptEncoding) encoding =
        test_encode (session, frame, &info, tasks[i], NULL);
    g_autoptr (GstBuffer) out = NULL;

    g_assert_cmpint (gst_harness_push (h, gst_buffer_ref (frame)), ==,
        GST_FLOW_OK);
    out = test_pull (h);
    if (i < 3)
      test_assert_mask (out, tasks[i], &info, encoding, thresholds[i]);
    else if (i == 3)
      test_assert_boxes (out, tasks[i], &info, encoding, thresholds[i]);
    else
      test_assert_values (out, tasks[i], encoding);
    if (i == 4 || i == 5)
      test_assert_embedding (out, encoding);
    if (i == 6)
      g_assert_null (gst_buffer_get_umedpt_tensor_meta (out, NULL));
    g_assert_cmpuint (gst_umedpt_result_get_pts (test_result (out, tasks[i])),
        ==, i * FRAME_TIME);
    gst_harness_teardown (h);
  }
}

static void
test_numbers (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (pictures); i++) {
    check_picture (pictures[i], 0);
    check_picture (pictures[i], 23);
  }
}

/* Batches give the same as single frames. */
static void
test_batches (void)
{
  GstVideoInfo info;
  GstHarness *h = test_line_harness (
      "umedptsegment MODEL task=tissue batch-size=4 threshold=0", CAPS_64,
      &info);
  g_autoptr (UmedptSession) session = test_task_session (test_task_model ());

  test_push_frames (h, &info, 0, 6);
  gst_harness_push_event (h, gst_event_new_eos ());
  for (guint i = 0; i < 6; i++) {
    g_autoptr (GstBuffer) frame = test_frame (&info, i);
    g_autoptr (UmedptEncoding) encoding =
        test_encode (session, frame, &info, "tissue", NULL);
    g_autoptr (GstBuffer) out = test_pull (h);
    test_assert_mask (out, "tissue", &info, encoding, 0);
  }
  gst_harness_teardown (h);
}

/* --- settings ----------------------------------------------------------- */

static guint
count_boxes (GstHarness *h, const GstVideoInfo *info, double threshold,
    guint most)
{
  g_autoptr (GstElement) e = test_get (h, "e");
  g_autoptr (GstBuffer) out = NULL;
  const GstUmedptBox *boxes = NULL;
  guint n = 0;

  g_object_set (e, "threshold", threshold, "max-detections", most, NULL);
  test_push_frames (h, info, 1, 1);
  out = test_pull (h);
  boxes = gst_umedpt_result_get_boxes (test_result (out, "cells"), &n);
  for (guint i = 0; i < n; i++) {
    g_assert_cmpfloat (boxes[i].score, >=, threshold);
    g_assert_true (i == 0 || boxes[i].score <= boxes[i - 1].score);
  }
  return n;
}

static void
test_detect_settings (void)
{
  GstVideoInfo info;
  GstHarness *h =
      test_line_harness ("umedptdetect name=e MODEL", CAPS_64, &info);
  const guint all = count_boxes (h, &info, 0, 1000);

  g_assert_cmpuint (all, >, 4);
  g_assert_cmpuint (count_boxes (h, &info, 0, all + 1), ==, all);
  g_assert_cmpuint (count_boxes (h, &info, 0, 3), ==, 3);
  g_assert_cmpuint (count_boxes (h, &info, 1, 1000), ==, 0);
  g_assert_cmpuint (count_boxes (h, &info, 0, 1000), ==, all);
  gst_harness_teardown (h);
}

/* Boxes of other classes neither come out nor take up room. */
static void
test_detect_classes (void)
{
  GstVideoInfo info;
  guint n[3] = { 0 };
  const char *const classes[] = { "", "classes=p", "classes=\"q,\"" };

  for (guint i = 0; i < 3; i++) {
    g_autofree char *line = g_strdup_printf (
        "umedptdetect name=e MODEL max-detections=1000 threshold=0 %s",
        classes[i]);
    GstHarness *h = test_line_harness (line, CAPS_64, &info);
    g_autoptr (GstBuffer) out = NULL;
    const GstUmedptBox *boxes = NULL;

    test_push_frames (h, &info, 0, 1);
    out = test_pull (h);
    boxes = gst_umedpt_result_get_boxes (test_result (out, "cells"), &n[i]);
    for (guint k = 0; i > 0 && k < n[i]; k++)
      g_assert_cmpint (boxes[k].label, ==, i - 1);
    g_assert_cmpuint (count_boxes (h, &info, 0, 1), ==, 1);
    gst_harness_teardown (h);
  }
  g_assert_cmpuint (n[1], >, 0);
  g_assert_cmpuint (n[2], >, 0);
  g_assert_cmpuint (n[0], ==, n[1] + n[2]);
}

/* (transfer full) u8 [32 * 32 * planes] */
static guint8 *
mask_of (const char *settings, const char *task, gsize *size)
{
  g_autofree char *line =
      g_strdup_printf ("umedptsegment MODEL task=%s %s", task, settings);
  GstVideoInfo info;
  GstHarness *h = test_line_harness (line, CAPS_64, &info);
  g_autoptr (GstBuffer) out = NULL;
  GstUmedptMask mask;
  guint8 *data = NULL;

  test_push_frames (h, &info, 0, 1);
  out = test_pull (h);
  g_assert_true (gst_umedpt_result_get_mask (test_result (out, task), &mask));
  *size = (gsize) mask.width * (gsize) mask.height * (gsize) mask.planes;
  data = g_memdup2 (mask.data, *size);
  gst_harness_teardown (h);
  return data;
}

/* Others become background; what is undecided stays so. */
static void
test_segment_classes (void)
{
  gsize n = 0;
  g_autofree guint8 *all = mask_of ("threshold=0.35", "tissue", &n);
  g_autofree guint8 *one = mask_of ("threshold=0.35 classes=a", "tissue", &n);
  g_autofree guint8 *labels = NULL, *label = NULL;
  guint seen[256] = { 0 };

  for (gsize i = 0; i < n; i++) {
    seen[all[i]]++;
    g_assert_cmpuint (one[i], ==, all[i] == 2 ? 0 : all[i]);
  }
  g_assert_cmpuint (seen[0] + seen[1] + seen[2] + seen[255], ==, n);
  g_assert_cmpuint (seen[1] + seen[2], >, 0);
  labels = mask_of ("threshold=0.4", "marks", &n);
  label = mask_of ("threshold=0.4 classes=y", "marks", &n);
  for (gsize i = 0; i < n; i += 2) {
    g_assert_cmpuint (label[i], ==, 0);
    g_assert_cmpuint (label[i + 1], ==, labels[i + 1]);
  }
}

static void
test_segment_threshold (void)
{
  GstVideoInfo info;
  GstHarness *h = test_line_harness ("umedptsegment name=e MODEL task=tissue",
      CAPS_64, &info);
  g_autoptr (GstElement) e = test_get (h, "e");

  for (guint i = 0; i < 3; i++) {
    const double thresholds[] = { 1, 0, 1 };
    g_autoptr (GstBuffer) out = NULL;
    GstUmedptMask mask;

    g_object_set (e, "threshold", thresholds[i], NULL);
    test_push_frames (h, &info, i, 1);
    out = test_pull (h);
    g_assert_true (gst_umedpt_result_get_mask (test_result (out, "tissue"),
        &mask));
    for (gint k = 0; k < mask.width * mask.height; k++)
      g_assert_cmpint (mask.data[k] == GST_UMEDPT_UNDECIDED, ==, i != 1);
  }
  gst_harness_teardown (h);
}

/* --- errors ------------------------------------------------------------- */

static void
check_error (const char *factory, const char *property, const char *value,
    const char *const *names)
{
  GstElement *element = gst_element_factory_make (factory, NULL);
  g_autoptr (GError) error = NULL;

  gst_object_ref_sink (element);
  g_object_set (element, "model-file", test_task_model (), NULL);
  if (property)
    gst_util_set_object_arg (G_OBJECT (element), property, value);
  error = test_start_error (element);
  g_assert_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS);
  for (guint i = 0; names[i]; i++)
    g_assert_nonnull (strstr (error->message, names[i]));
  gst_object_unref (element);
}

static void
test_errors (void)
{
  const char *const several[] = { "more than one", "tissue (segmentation)",
    "marks (multilabel-segmentation)", NULL };
  const char *const no_such[] = { "called nuclei", "tissue", NULL };
  const char *const kind[] = { "called kind", "kind (classification)", NULL };
  const char *const boxes[] = { "called tissue", "cells (detection)", NULL };
  const char *const nothing[] = { "nothing to do", NULL };
  const char *const sizes[] = { "'view'", "96x80", "64x64", NULL };
  g_autoptr (GError) error = NULL;
  GstElement *element = NULL;

  check_error ("umedptsegment", NULL, NULL, several);
  check_error ("umedptsegment", "task", "nuclei", no_such);
  check_error ("umedptsegment", "task", "kind", kind);
  check_error ("umedptdetect", "task", "tissue", boxes);
  check_error ("umedptembed", "tasks", "kind,nuclei", no_such);
  check_error ("umedptembed", "embedding", "false", nothing);
  check_error ("umedptembed", "tasks", "view", sizes);
  check_error ("umedptembed", "tasks", "all", sizes);

  /* a class, of the one detection task */
  element =
      gst_object_ref_sink (gst_element_factory_make ("umedptdetect", NULL));
  g_object_set (element, "model-file", test_task_model (), "classes", "p, zz",
      NULL);
  error = test_start_error (element);
  g_assert_nonnull (strstr (error->message, "'cells'"));
  g_assert_nonnull (strstr (error->message, "'zz'"));
  g_assert_nonnull (strstr (error->message, "p, q"));
  g_object_set (element, "classes", "p, q", NULL);
  g_assert_cmpint (gst_element_set_state (element, GST_STATE_PAUSED), ==,
      GST_STATE_CHANGE_SUCCESS);
  gst_element_set_state (element, GST_STATE_NULL);
  gst_object_unref (element);
}

/* A model without tasks */
static void
test_no_tasks (void)
{
  GstElement *element = gst_element_factory_make ("umedptdetect", NULL);
  g_autoptr (GError) error = NULL;

  gst_object_ref_sink (element);
  g_object_set (element, "model-file", test_model (), NULL);
  error = test_start_error (element);
  g_assert_nonnull (strstr (error->message, "none"));
  gst_object_unref (element);
}

/* --- the mask as a picture ---------------------------------------------- */

static guint8
pixel_of (const GstUmedptMask *mask, gint x, gint y, const GstVideoInfo *info)
{
  const gint i = (2 * x + 1) * mask->width / (2 * GST_VIDEO_INFO_WIDTH (info));
  const gint j =
      (2 * y + 1) * mask->height / (2 * GST_VIDEO_INFO_HEIGHT (info));
  const guint8 *pixel = mask->data + (j * mask->width + i) * mask->planes;
  guint8 bits = 0;

  if (mask->planes == 1)
    return *pixel;
  for (gint k = 0; k < mask->planes; k++)
    bits |= (guint8) (pixel[k] << k);
  return bits;
}

/* Of @frame by @line, and no other picture's layout. */
static void
check_mask_picture (const char *line, const char *task, const char *caps,
    gint padding)
{
  GstVideoInfo info, out_info;
  GstHarness *h = test_line_harness (line, caps, &info);
  g_autoptr (GstBuffer) out = NULL;
  g_autoptr (GstCaps) out_caps = NULL;
  GstVideoFrame picture;
  GstUmedptMask mask;

  g_assert_cmpint (gst_harness_push (h,
                       padding ? test_padded_frame (&info, 0, padding)
                               : test_frame (&info, 0)),
      ==, GST_FLOW_OK);
  out = test_pull (h);
  out_caps = gst_pad_get_current_caps (h->sinkpad);
  g_assert_true (gst_video_info_from_caps (&out_info, out_caps));
  g_assert_cmpint (GST_VIDEO_INFO_FORMAT (&out_info), ==,
      GST_VIDEO_FORMAT_GRAY8);
  g_assert_cmpint (GST_VIDEO_INFO_WIDTH (&out_info), ==,
      GST_VIDEO_INFO_WIDTH (&info));
  g_assert_null (gst_buffer_get_video_meta (out));
  g_assert_cmpuint (gst_buffer_get_size (out), ==,
      GST_VIDEO_INFO_SIZE (&out_info));
  g_assert_cmpuint (GST_BUFFER_DURATION (out), ==, FRAME_TIME);
  g_assert_true (gst_umedpt_result_get_mask (test_result (out, task), &mask));
  g_assert_true (gst_video_frame_map (&picture, &out_info, out, GST_MAP_READ));
  for (gint y = 0; y < GST_VIDEO_INFO_HEIGHT (&info); y++)
    for (gint x = 0; x < GST_VIDEO_INFO_WIDTH (&info); x++)
      g_assert_cmpuint (((guint8 *) GST_VIDEO_FRAME_PLANE_DATA (&picture,
                            0))[y * GST_VIDEO_FRAME_PLANE_STRIDE (&picture, 0) +
                            x],
          ==, pixel_of (&mask, x, y, &info));
  gst_video_frame_unmap (&picture);
  gst_harness_teardown (h);
}

static void
test_mask_pictures (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (pictures); i++)
    for (gint padding = 0; padding <= 31; padding += 31) {
      check_mask_picture (
          "umedptsegment MODEL task=tissue output=mask threshold=0.35",
          "tissue", pictures[i], padding);
      check_mask_picture (
          "umedptsegment MODEL task=marks output=mask threshold=0.5", "marks",
          pictures[i], padding);
    }
}

/* The mask is this element's, though the frame carries another one; and of
 * frames that nobody looked at nothing is said. */
static void
test_mask_choice (void)
{
  const struct
  {
    const char *task, *other;
    guint8 nothing;
  } rows[] = { { "tissue", "marks", 255 }, { "marks", "tissue", 0 } };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree char *line = g_strdup_printf (
        "umedptsegment MODEL task=%s threshold=0.5 ! umedptsegment MODEL "
        "task=%s output=mask inference-interval=2 threshold=0.5",
        rows[i].other, rows[i].task);
    GstVideoInfo info;
    GstHarness *h = test_line_harness (line, CAPS_64, &info);

    test_push_frames (h, &info, 0, 2);
    for (guint k = 0; k < 2; k++) {
      g_autoptr (GstBuffer) out = test_pull (h);
      GstMapInfo map = GST_MAP_INFO_INIT;
      GstUmedptMask mask;

      g_assert_true (gst_buffer_map (out, &map, GST_MAP_READ));
      if (k == 0)
        g_assert_true (gst_umedpt_result_get_mask (test_result (out,
                                                       rows[i].task),
            &mask));
      for (gint p = 0; p < 64 * 64; p++)
        g_assert_cmpuint (map.data[p], ==,
            k == 0 ? pixel_of (&mask, p % 64, p / 64, &info) : rows[i].nothing);
      gst_buffer_unmap (out, &map);
    }
    gst_harness_teardown (h);
  }
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/heads/numbers", test_numbers);
  g_test_add_func ("/heads/batches", test_batches);
  g_test_add_func ("/heads/detect-settings", test_detect_settings);
  g_test_add_func ("/heads/detect-classes", test_detect_classes);
  g_test_add_func ("/heads/segment-classes", test_segment_classes);
  g_test_add_func ("/heads/segment-threshold", test_segment_threshold);
  g_test_add_func ("/heads/errors", test_errors);
  g_test_add_func ("/heads/no-tasks", test_no_tasks);
  g_test_add_func ("/heads/mask-pictures", test_mask_pictures);
  g_test_add_func ("/heads/mask-choice", test_mask_choice);
  return test_run ();
}
