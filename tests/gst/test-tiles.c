/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Frames in parts: tiles, and regions that others have marked. What comes out is
 * what the library makes of the same parts one by one.
 */
#include "heads.h"

#include <string.h>

#define CAPS_BIG "video/x-raw,format=RGB,width=201,height=150,framerate=25/1"
#define CAPS_SMALL "video/x-raw,format=GRAY8,width=41,height=30,framerate=25/1"

/* --- what is expected --------------------------------------------------- */

static void
assert_mask (GstBuffer *out, const char *task, GstBuffer *frame,
    const GstVideoInfo *info, const GArray *regions, double threshold)
{
  g_autoptr (UmedptSession) session = test_task_session (test_task_model ());
  const guint number = test_task_number (session, task);
  const gboolean multilabel = g_str_equal (task, "marks");
  const gint k = multilabel ? 2 : 3;
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptCanvas) canvas =
      umedpt_canvas_new (GST_VIDEO_INFO_WIDTH (info),
          GST_VIDEO_INFO_HEIGHT (info), k, &error);
  g_autofree guint8 *wanted = NULL;
  GstUmedptMask mask;
  gint width = 0, height = 0;
  gsize size = 0;

  g_assert_no_error (error);
  for (guint i = 0; i < regions->len; i++) {
    const UmedptRegion *region = &g_array_index (regions, UmedptRegion, i);
    g_autoptr (UmedptEncoding) encoding =
        test_encode (session, frame, info, task, region);
    g_autofree gfloat *values = NULL;

    umedpt_encoding_get_mask_size (encoding, &width, &height);
    values = g_new (gfloat, width * height * k);
    umedpt_encoding_get_probabilities (encoding, 0, number, values, &error);
    g_assert_no_error (error);
    umedpt_canvas_add (canvas, region, width, height, values);
  }
  umedpt_canvas_get_size (canvas, &width, &height);
  size = (gsize) width * (gsize) height * (multilabel ? 2 : 1);
  wanted = g_malloc (size);
  umedpt_canvas_decide (canvas, multilabel, threshold, wanted);
  g_assert_true (gst_umedpt_result_get_mask (test_result (out, task), &mask));
  g_assert_cmpint (mask.width, ==, width);
  g_assert_cmpint (mask.height, ==, height);
  g_assert_cmpmem (mask.data,
      (gsize) mask.width * (gsize) mask.height * (gsize) mask.planes, wanted,
      size);
  /* two pixels of the picture each, also the last ones of an odd size */
  g_assert_cmpfloat (mask.w, ==, 2 * width);
  g_assert_cmpfloat (mask.h, ==, 2 * height);
}

static guint
assert_boxes (GstBuffer *out, GstBuffer *frame, const GstVideoInfo *info,
    const GArray *regions)
{
  const UmedptDetectionSettings settings = UMEDPT_DETECTION_DEFAULTS;
  g_autoptr (UmedptSession) session = test_task_session (test_task_model ());
  g_autoptr (GArray) all = g_array_new (FALSE, FALSE, sizeof (UmedptRegionBox));
  g_autoptr (GArray) merged = NULL;
  guint n = 0;
  const GstUmedptBox *boxes =
      gst_umedpt_result_get_boxes (test_result (out, "cells"), &n);

  for (guint i = 0; i < regions->len; i++) {
    const UmedptRegion *region = &g_array_index (regions, UmedptRegion, i);
    g_autoptr (UmedptEncoding) encoding =
        test_encode (session, frame, info, "cells", region);
    g_autoptr (GArray) found = g_array_new (FALSE, FALSE, sizeof (UmedptBox));
    g_autoptr (GError) error = NULL;

    umedpt_encoding_get_boxes (encoding, 0, test_task_number (session, "cells"),
        &settings, found, &error);
    g_assert_no_error (error);
    umedpt_regions_add_boxes (all, region, GST_VIDEO_INFO_WIDTH (info),
        GST_VIDEO_INFO_HEIGHT (info), 64, 64, found);
  }
  merged = umedpt_regions_merge_boxes (all, 0.5, 100);
  g_assert_cmpuint (n, ==, merged->len);
  for (guint i = 0; i < n; i++) {
    const UmedptBox *box = &g_array_index (merged, UmedptBox, i);
    g_assert_cmpfloat (boxes[i].x, ==, box->x1);
    g_assert_cmpfloat (boxes[i].y, ==, box->y1);
    g_assert_cmpfloat (boxes[i].score, ==, box->score);
    g_assert_cmpfloat (boxes[i].x + boxes[i].width, <=,
        GST_VIDEO_INFO_WIDTH (info) + 0.01);
    g_assert_cmpfloat (boxes[i].y + boxes[i].height, <=,
        GST_VIDEO_INFO_HEIGHT (info) + 0.01);
  }
  return n;
}

/* --- tiles -------------------------------------------------------------- */

static void
check_tiles (const char *caps, guint side, guint overlap)
{
  const char *const lines[] = {
    "umedptsegment name=e MODEL task=tissue threshold=0.34",
    "umedptsegment name=e MODEL task=marks threshold=0.5",
    "umedptdetect name=e MODEL threshold=0",
  };

  for (guint i = 0; i < G_N_ELEMENTS (lines); i++) {
    g_autofree char *line = g_strdup_printf (
        "%s inference-region=tiles tile-size=%u tile-overlap=%u", lines[i],
        side, overlap);
    GstVideoInfo info;
    GstHarness *h = test_line_harness (line, caps, &info);
    g_autoptr (GstElement) e = test_get (h, "e");
    g_autoptr (GArray) tiles =
        umedpt_regions_tile (GST_VIDEO_INFO_WIDTH (&info),
            GST_VIDEO_INFO_HEIGHT (&info), side ? (gint) side : 64,
            (gint) overlap);
    g_autoptr (GstBuffer) frame = test_padded_frame (&info, i, 8);
    g_autoptr (GstBuffer) out = NULL;

    g_assert_cmpint (gst_harness_push (h, gst_buffer_ref (frame)), ==,
        GST_FLOW_OK);
    out = test_pull (h);
    g_assert_cmpuint (test_stat (e, "encoded"), ==, tiles->len);
    if (i < 2)
      assert_mask (out, i ? "marks" : "tissue", frame, &info, tiles,
          i ? 0.5 : 0.34);
    else
      g_assert_cmpuint (assert_boxes (out, frame, &info, tiles), >, 0);
    gst_harness_teardown (h);
  }
}

static void
test_tiles (void)
{
  check_tiles (CAPS_BIG, 0, 32);
  check_tiles (CAPS_BIG, 0, 0);
  check_tiles (CAPS_BIG, 128, 20);
  /* more than half a tile is half of one */
  check_tiles (CAPS_BIG, 70, 8192);
  /* larger than the frame, in one direction or both */
  check_tiles (CAPS_BIG, 160, 32);
  check_tiles (CAPS_BIG, 16384, 8192);
  check_tiles (CAPS_SMALL, 0, 32);
}

/* Tiles of all frames of a batch go together, and come apart again. */
static void
test_batch (void)
{
  GstVideoInfo info;
  GstHarness *h = test_line_harness (
      "umedptsegment name=e MODEL task=tissue threshold=0.34 batch-size=3 "
      "inference-region=tiles",
      CAPS_BIG, &info);
  g_autoptr (GArray) tiles = umedpt_regions_tile (201, 150, 64, 32);

  test_push_frames (h, &info, 0, 3);
  for (guint i = 0; i < 3; i++) {
    g_autoptr (GstBuffer) frame = test_frame (&info, i);
    g_autoptr (GstBuffer) out = test_pull (h);
    assert_mask (out, "tissue", frame, &info, tiles, 0.34);
  }
  gst_harness_teardown (h);
}

/* A tile as large as the frame is the frame. */
static void
test_one_tile (void)
{
  GstVideoInfo info;
  GstHarness *h = test_line_harness (
      "umedptdetect MODEL threshold=0.1 inference-region=tiles tile-size=512",
      CAPS_BIG, &info);
  g_autoptr (UmedptSession) session = test_task_session (test_task_model ());
  g_autoptr (GstBuffer) frame = test_frame (&info, 0);
  g_autoptr (UmedptEncoding) encoding =
      test_encode (session, frame, &info, "cells", NULL);
  g_autoptr (GstBuffer) out = NULL;

  test_push_frames (h, &info, 0, 1);
  out = test_pull (h);
  test_assert_boxes (out, "cells", &info, encoding, 0.1);
  gst_harness_teardown (h);
}

/* --- regions of others -------------------------------------------------- */

/* Two of type "a", one "b", one that sticks out, one outside, an empty one. */
static void
mark (GstBuffer *frame)
{
  const struct
  {
    const char *type;
    guint x, y, w, h;
  } rois[] = {
    { "a", 10, 20, 64, 64 },
    { "b", 0, 0, 50, 30 },
    { "a", 151, 100, 100, 4000000000u },
    { "a", 300, 10, 10, 10 },
    { "a", 20, 20, 0, 10 },
    { "b", 4000000000u, 4000000000u, 4000000000u, 4000000000u },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rois); i++)
    gst_buffer_add_video_region_of_interest_meta (frame, rois[i].type,
        rois[i].x, rois[i].y, rois[i].w, rois[i].h);
}

static GArray *
marked (const char *type)
{
  const UmedptRegion regions[] = { { 10, 20, 64, 64 }, { 0, 0, 50, 30 },
    { 151, 100, 50, 50 } };
  GArray *all = g_array_new (FALSE, FALSE, sizeof (UmedptRegion));

  for (guint i = 0; i < G_N_ELEMENTS (regions); i++)
    if (!*type || g_str_equal (type, i == 1 ? "b" : "a"))
      g_array_append_val (all, regions[i]);
  return all;
}

static void
check_embeddings (GstBuffer *out, GstBuffer *frame, const GstVideoInfo *info,
    const GArray *regions)
{
  g_autoptr (UmedptSession) session = test_task_session (test_task_model ());
  const gsize dim = umedpt_session_get_embedding_size (session);
  const GstUmedptTensorMeta *tensor =
      gst_buffer_get_umedpt_tensor_meta (out, GST_UMEDPT_TENSOR_EMBEDDING);
  g_autofree float *wanted = g_new (float, dim);
  guint n = 0;
  const gfloat *values =
      gst_umedpt_result_get_values (test_result (out, "kind"), &n);
  gfloat probabilities[3];

  g_assert_cmpuint (tensor->num_dims, ==, 2);
  g_assert_cmpuint (tensor->dims[0], ==, regions->len);
  g_assert_cmpuint (tensor->dims[1], ==, dim);
  g_assert_cmpuint (n, ==, 3 * regions->len);
  for (guint i = 0; i < regions->len; i++) {
    g_autoptr (UmedptEncoding) encoding = test_encode (session, frame, info,
        "kind", &g_array_index (regions, UmedptRegion, i));

    umedpt_encoding_get_embedding (encoding, 0, wanted, NULL);
    g_assert_cmpint (gst_buffer_memcmp (tensor->data, i * dim * sizeof *wanted,
                         wanted, dim * sizeof *wanted),
        ==, 0);
    umedpt_encoding_get_values (encoding, 0, test_task_number (session, "kind"),
        probabilities, NULL);
    g_assert_cmpmem (values + 3 * i, sizeof probabilities, probabilities,
        sizeof probabilities);
  }
}

static void
check_rois (const char *type, gboolean any)
{
  const char *const lines[] = {
    "umedptsegment MODEL task=tissue threshold=0",
    "umedptdetect MODEL threshold=0",
    "umedptembed MODEL tasks=kind",
  };
  g_autoptr (GArray) regions = marked (any ? type : "none");

  for (guint i = 0; i < G_N_ELEMENTS (lines); i++) {
    g_autofree char *line =
        g_strdup_printf ("%s inference-region=roi-list object-class=\"%s\"",
            lines[i], type);
    GstVideoInfo info;
    GstHarness *h = test_line_harness (line, CAPS_BIG, &info);
    GstBuffer *frame = test_frame (&info, i);
    g_autoptr (GstBuffer) pixels = test_frame (&info, i);
    g_autoptr (GstBuffer) out = NULL;

    if (any)
      mark (frame);
    g_assert_cmpint (gst_harness_push (h, frame), ==, GST_FLOW_OK);
    out = test_pull (h);
    if (i == 0)
      assert_mask (out, "tissue", pixels, &info, regions, 0);
    else if (i == 1)
      assert_boxes (out, pixels, &info, regions);
    else
      check_embeddings (out, pixels, &info, regions);
    gst_harness_teardown (h);
  }
}

static void
test_rois (void)
{
  check_rois ("", TRUE);
  check_rois ("a", TRUE);
  check_rois ("b", TRUE);
  check_rois ("", FALSE);
}

/* A detector's boxes are regions for the next element. */
static void
test_boxes_as_regions (void)
{
  GstVideoInfo info;
  GstHarness *h = test_line_harness (
      "umedptdetect MODEL threshold=0 max-detections=3 ! umedptembed name=e "
      "MODEL inference-region=roi-list",
      CAPS_BIG, &info);
  g_autoptr (GstElement) e = test_get (h, "e");
  g_autoptr (GstBuffer) out = NULL;

  test_push_frames (h, &info, 0, 1);
  out = test_pull (h);
  g_assert_cmpuint (test_stat (e, "encoded"), ==, 3);
  gst_harness_teardown (h);
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/tiles/tiles", test_tiles);
  g_test_add_func ("/tiles/batch", test_batch);
  g_test_add_func ("/tiles/one-tile", test_one_tile);
  g_test_add_func ("/tiles/rois", test_rois);
  g_test_add_func ("/tiles/boxes-as-regions", test_boxes_as_regions);
  return test_run ();
}
