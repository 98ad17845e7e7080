/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * umedptjson: what its lines say of buffers that carry everything there is, and
 * that it is a tap: buffers come out as they came in. The metas are made from
 * the public headers alone, as another plugin would make them; check-json.py
 * reads lines as users do. Files are in test-jsonfile.c.
 */
#include <math.h>
#include <string.h>

#include "common.h"
#include "common/gstumedptresults.h"
#include "stream.h"

#define CAPS_64 "video/x-raw,format=RGB,width=64,height=48,framerate=25/1"
#define FRAME_TIME (40 * GST_MSECOND)

/* --- buffers ------------------------------------------------------------ */

static GstBuffer *
new_frame (guint i)
{
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, 64 * 48 * 3, NULL);

  GST_BUFFER_PTS (buffer) = i * FRAME_TIME;
  GST_BUFFER_DURATION (buffer) = FRAME_TIME;
  return buffer;
}

static void
set_bytes (GstStructure *s, const char *field, gconstpointer data, gsize size)
{
  g_autoptr (GBytes) bytes = g_bytes_new (data, size);

  gst_structure_set (s, field, G_TYPE_BYTES, bytes, NULL);
}

/* @labels: (nullable), of @n_classes classes */
static GstStructure *
new_result (const char *what, const char *kind, const char *const *labels,
    guint n_classes, GstClockTime pts)
{
  static const char *const none[] = { NULL };
  const guint32 colors[8] = { 0 };
  GstStructure *s = gst_structure_new (what, "kind", G_TYPE_STRING, kind,
      "labels", G_TYPE_STRV, labels ? labels : none, "model", G_TYPE_STRING,
      "c0ffee", "pts", G_TYPE_UINT64, pts, NULL);

  set_bytes (s, "colors", colors, n_classes * sizeof *colors);
  return s;
}

static GstStructure *
new_mask (const char *kind, const char *const *labels, guint n_classes,
    const guint8 *data, gint width, gint height, gint planes)
{
  GstStructure *s =
      new_result (GST_UMEDPT_RESULT_MASK, kind, labels, n_classes, 0);

  set_bytes (s, "mask", data, (gsize) (width * height * planes));
  // clang-format off
  gst_structure_set (s,
      "mask-width", G_TYPE_INT, width,
      "mask-height", G_TYPE_INT, height,
      "planes", G_TYPE_INT, planes,
      "background", G_TYPE_BOOLEAN, n_classes > 1,
      "x", G_TYPE_DOUBLE, 0.0,
      "y", G_TYPE_DOUBLE, 1.5,
      "width", G_TYPE_DOUBLE, 64.0,
      "height", G_TYPE_DOUBLE, 45.0,
      NULL);
  // clang-format on
  return s;
}

static void
add_result (GstBuffer *buffer, const char *task, GstStructure *result)
{
  GstCustomMeta *meta =
      gst_buffer_get_custom_meta (buffer, GST_UMEDPT_RESULTS_META_NAME);
  GValue value = G_VALUE_INIT;

  if (!meta)
    meta = gst_buffer_add_custom_meta (buffer, GST_UMEDPT_RESULTS_META_NAME);
  g_value_init (&value, GST_TYPE_STRUCTURE);
  g_value_take_boxed (&value, result);
  gst_structure_take_value (gst_custom_meta_get_structure (meta), task, &value);
}

/* --- the element -------------------------------------------------------- */

/* @settings: as in a launch line */
static GstHarness *
json_harness (const char *settings)
{
  g_autofree char *line = g_strdup_printf ("umedptjson %s", settings);
  g_autoptr (GstElement) element = gst_parse_launch (line, NULL);
  GstHarness *h = NULL;

  g_assert_nonnull (element);
  gst_object_ref_sink (element);
  h = gst_harness_new_with_element (element, "sink", "src");
  gst_harness_set_live (h, FALSE);
  gst_harness_set_src_caps_str (h, CAPS_64);
  return h;
}

/* With output=text, so that lines can be pulled. */
static GstHarness *
text_harness (const char *settings)
{
  g_autofree char *both = g_strdup_printf ("output=text %s", settings);

  return json_harness (both);
}

/* (transfer full) */
static char *
pull_line (GstHarness *h)
{
  g_autoptr (GstBuffer) out = gst_harness_try_pull (h);
  gpointer text = NULL;
  gsize size = 0;

  g_assert_nonnull (out);
  gst_buffer_extract_dup (out, 0, gst_buffer_get_size (out), &text, &size);
  g_assert_cmpuint (size, >, 0);
  g_assert_cmpint (((char *) text)[size - 1], ==, '\n');
  ((char *) text)[size - 1] = '\0';
  return text;
}

static char *
line_of (GstHarness *h, GstBuffer *buffer)
{
  g_assert_cmpint (gst_harness_push (h, buffer), ==, GST_FLOW_OK);
  return pull_line (h);
}

static void
expect_part (const char *line, const char *part)
{
  if (!strstr (line, part))
    g_error ("%s\nis not in\n%s", part, line);
}

/* --- what lines say ----------------------------------------------------- */

static void
test_nothing_found (void)
{
  GstHarness *h = text_harness ("");
  g_autofree char *line = line_of (h, new_frame (3));

  g_assert_cmpstr (line, ==,
      "{\"schema\":1,\"frame\":0,\"pts\":120000000,\"duration\":40000000,"
      "\"stream_time\":120000000,\"running_time\":120000000,"
      "\"width\":64,\"height\":48,\"results\":{}}");
  gst_harness_teardown (h);
}

static void
test_values (void)
{
  static const char *const labels[] = { "benign", "\"a\\b\"\n\x7f", "c\xff",
    NULL };
  const gfloat values[] = { 0.1f, 1 / 3.0f, NAN, -1e-20f, INFINITY };
  GstHarness *h = text_harness ("");
  GstBuffer *buffer = new_frame (0);
  g_autofree char *line = NULL;
  GstStructure *result = new_result (GST_UMEDPT_RESULT_VALUES, "classification",
      labels, 3, FRAME_TIME);

  set_bytes (result, "values", values, sizeof values);
  add_result (buffer, "grade", result);
  line = line_of (h, buffer);
  expect_part (line,
      "\"results\":{\"grade\":{\"kind\":\"classification\",\"model\":"
      "\"c0ffee\",\"pts\":40000000,\"age_ns\":-40000000,\"stale\":true,"
      "\"values\":{\"benign\":0.1,\"\\\"a\\\\b\\\"\\u000a\\u007f\":0.33333334,"
      "\"c\xef\xbf\xbd\":null,\"3\":-1e-20,\"4\":null}}}}");
  gst_harness_teardown (h);
}

static void
test_boxes (void)
{
  static const char *const labels[] = { "polyp", NULL };
  const GstUmedptBox boxes[] = {
    { 1.5f, 2, 10.1f, 20, 0.9f, 0 },
    { -0.25f, 0, 16777216, 1e6f, 0.5f, 7 },
  };
  GstHarness *h = text_harness ("");
  GstBuffer *buffer = new_frame (5);
  g_autofree char *line = NULL;
  GstStructure *result = new_result (GST_UMEDPT_RESULT_BOXES, "detection",
      labels, 1, 3 * FRAME_TIME);

  set_bytes (result, "boxes", boxes, sizeof boxes);
  add_result (buffer, "polyps", result);
  add_result (buffer, "none",
      new_result (GST_UMEDPT_RESULT_BOXES, "detection", NULL, 1,
          GST_CLOCK_TIME_NONE));
  line = line_of (h, buffer);
  expect_part (line,
      "\"pts\":120000000,\"age_ns\":80000000,\"stale\":true,\"boxes\":["
      "{\"x\":1.5,\"y\":2,\"width\":10.1,\"height\":20,\"score\":0.9,"
      "\"class\":0,\"label\":\"polyp\"},"
      "{\"x\":-0.25,\"y\":0,\"width\":16777216,\"height\":1e+06,\"score\":0.5,"
      "\"class\":7,\"label\":null}]}");
  expect_part (line,
      "\"none\":{\"kind\":\"detection\",\"model\":\"c0ffee\",\"pts\":null,"
      "\"age_ns\":null,\"stale\":false,\"boxes\":[]}");
  gst_harness_teardown (h);
}

/* Classes of an index mask, with pixels of no label and undecided ones. */
static void
test_index_mask (void)
{
  static const char *const labels[] = { "background", "tumour", "never", NULL };
  const guint8 mask[] = { 0, 0, 1, 1, 1, 255, 9, 0 };
  GstHarness *h = text_harness ("masks=full");
  const char *areas =
      "\"mask\":{\"width\":4,\"height\":2,\"covers\":{\"x\":0,\"y\":1.5,"
      "\"width\":64,\"height\":45},\"areas\":{"
      "\"background\":{\"pixels\":3,\"fraction\":0.375},"
      "\"tumour\":{\"pixels\":3,\"fraction\":0.375},"
      "\"never\":{\"pixels\":0,\"fraction\":0},"
      "\"9\":{\"pixels\":1,\"fraction\":0.125}},\"undecided\":1";

  for (guint i = 0; i < 3; i++) {
    GstBuffer *buffer = new_frame (0);
    g_autofree char *line = NULL;

    gst_util_set_object_arg (G_OBJECT (h->element), "masks",
        i == 0       ? "full"
            : i == 1 ? "areas"
                     : "none");
    add_result (buffer, "t",
        new_mask ("segmentation", labels, 3, mask, 4, 2, 1));
    line = line_of (h, buffer);
    if (i < 2)
      expect_part (line, areas);
    else
      expect_part (line, "\"stale\":false}}}");
    if (i == 0)
      expect_part (line, "\"runs\":[[0,2,1,3,255,1,9,1,0,1]]}");
    else
      g_assert_null (strstr (line, "runs"));
  }
  gst_harness_teardown (h);
}

/* A plane per class; a single plane belongs to the only class there is. */
static void
test_plane_masks (void)
{
  static const char *const two[] = { "a", "b", NULL };
  const guint8 planes[] = { 1, 0, 1, 1, 0, 1, 0, 1 };
  const guint8 single[] = { 1, 0, 1, 1 };
  GstHarness *h = text_harness ("masks=full");
  GstBuffer *buffer = new_frame (0);
  g_autofree char *line = NULL;

  add_result (buffer, "two",
      new_mask ("multilabel-segmentation", two, 2, planes, 2, 2, 2));
  add_result (buffer, "one",
      new_mask ("segmentation", NULL, 1, single, 2, 2, 1));
  line = line_of (h, buffer);
  expect_part (line,
      "\"areas\":{\"a\":{\"pixels\":2,\"fraction\":0.5},\"b\":{\"pixels\":3,"
      "\"fraction\":0.75}},\"runs\":[[1,2,0,2],[0,1,1,3]]}");
  expect_part (line,
      "\"areas\":{\"0\":{\"pixels\":3,\"fraction\":0.75}},"
      "\"runs\":[[1,1,0,1,1,2]]}");
  gst_harness_teardown (h);
}

/* A mask that is not as large as it says is not looked into. */
static void
test_wrong_mask (void)
{
  const guint8 mask[4] = { 0 };
  GstHarness *h = text_harness ("masks=full");
  GstBuffer *buffer = new_frame (0);
  g_autofree char *line = NULL;
  GstStructure *result = new_mask ("segmentation", NULL, 2, mask, 2, 2, 1);

  gst_structure_set (result, "mask-height", G_TYPE_INT, 1 << 30, NULL);
  add_result (buffer, "t", result);
  line = line_of (h, buffer);
  g_assert_null (strstr (line, "mask"));
  gst_harness_teardown (h);
}

static void
test_embedding (void)
{
  for (guint wanted = 0; wanted < 2; wanted++) {
    GstHarness *h = text_harness (wanted ? "embedding=true" : "");
    GstBuffer *buffer = new_frame (0);
    g_autofree char *line = NULL;

    test_add_tensor (buffer, 0.7f);
    line = line_of (h, buffer);
    if (wanted)
      expect_part (line,
          "\"embedding\":{\"encoder\":null,\"model\":null,"
          "\"values\":[1,2,3,4,0.7]},\"results\":{}}");
    else
      g_assert_null (strstr (line, "embedding"));
    gst_harness_teardown (h);
  }
}

/* Tiles, and those that could not be read, in their order. */
static void
test_tiles (void)
{
  GstHarness *h = text_harness ("");
  GstBuffer *buffer = new_frame (0);
  g_autofree char *tile = NULL, *bad = NULL;

  test_add_tile (buffer, 3);
  tile = line_of (h, buffer);
  expect_part (tile, "\"tile\":{\"index\":3,\"x\":24,\"y\":16},");
  test_push_bad (h, 4);
  bad = pull_line (h);
  g_assert_cmpstr (bad, ==,
      "{\"schema\":1,\"bad_tile\":{\"index\":4,\"x\":32,\"y\":16,"
      "\"reason\":\"torn\"}}");
  gst_harness_teardown (h);
}

/* --- times -------------------------------------------------------------- */

static void
push_segment (GstHarness *h, GstFormat format, guint64 start, guint64 time)
{
  GstSegment segment;

  gst_segment_init (&segment, format);
  segment.start = start;
  segment.time = time;
  gst_harness_push_event (h, gst_event_new_segment (&segment));
}

static void
test_times (void)
{
  GstHarness *h = text_harness ("");
  g_autofree char *seeked = NULL, *bytes = NULL;
  GstBuffer *buffer = new_frame (0);

  push_segment (h, GST_FORMAT_TIME, 2 * FRAME_TIME, 10 * FRAME_TIME);
  seeked = line_of (h, new_frame (3));
  expect_part (seeked,
      "\"frame\":0,\"pts\":120000000,\"duration\":40000000,"
      "\"stream_time\":440000000,\"running_time\":40000000,");
  push_segment (h, GST_FORMAT_BYTES, 0, 0);
  GST_BUFFER_PTS (buffer) = GST_BUFFER_DURATION (buffer) = GST_CLOCK_TIME_NONE;
  bytes = line_of (h, buffer);
  expect_part (bytes,
      "\"frame\":1,\"pts\":null,\"duration\":null,\"stream_time\":null,"
      "\"running_time\":null,\"width\"");
  gst_harness_teardown (h);
}

/* A flush is no new beginning. */
static void
test_flush (void)
{
  GstHarness *h = text_harness ("");
  g_autofree char *before = line_of (h, new_frame (8)), *after = NULL;

  gst_harness_push_event (h, gst_event_new_flush_start ());
  gst_harness_push_event (h, gst_event_new_flush_stop (TRUE));
  push_segment (h, GST_FORMAT_TIME, 0, 0);
  after = line_of (h, new_frame (1));
  expect_part (before, "\"frame\":0,\"pts\":320000000");
  expect_part (after, "\"frame\":1,\"pts\":40000000");
  gst_harness_teardown (h);
}

/* On live input lines say how long after the picture they are, and when. */
static void
test_live (void)
{
  GstHarness *h = text_harness ("");
  g_autofree char *line = NULL;

  gst_harness_set_live (h, TRUE);
  push_segment (h, GST_FORMAT_TIME, 0, 0);
  gst_harness_set_time (h, 3 * FRAME_TIME + 7 * GST_MSECOND);
  line = line_of (h, new_frame (3));
  expect_part (line,
      "\"running_time\":120000000,\"latency_ns\":7000000,"
      "\"utc\":\"20");
  gst_harness_teardown (h);
}

/* --- what passes -------------------------------------------------------- */

/* Not even a buffer that others hold is copied. */
static void
test_pass (void)
{
  GstHarness *h = json_harness ("location=/dev/null");

  for (guint i = 0; i < 3; i++) {
    g_autoptr (GstBuffer) in = new_frame (i);
    g_autoptr (GstBuffer) out = NULL;

    GST_BUFFER_FLAG_SET (in, GST_BUFFER_FLAG_MARKER);
    g_assert_cmpint (gst_harness_push (h, gst_buffer_ref (in)), ==,
        GST_FLOW_OK);
    out = gst_harness_try_pull (h);
    g_assert_true (out == in);
  }
  gst_harness_teardown (h);
}

static void
test_text (void)
{
  GstHarness *h = text_harness ("");
  g_autoptr (GstCaps) caps = NULL;
  g_autoptr (GstCaps) wanted = gst_caps_from_string ("text/x-raw,format=utf8");
  g_autoptr (GstBuffer) out = NULL;
  GstBuffer *in = new_frame (2);

  GST_BUFFER_FLAG_SET (in, GST_BUFFER_FLAG_DISCONT);
  gst_harness_push (h, in);
  out = gst_harness_try_pull (h);
  g_assert_nonnull (out);
  g_assert_cmpuint (GST_BUFFER_PTS (out), ==, 2 * FRAME_TIME);
  g_assert_cmpuint (GST_BUFFER_DURATION (out), ==, FRAME_TIME);
  g_assert_true (GST_BUFFER_IS_DISCONT (out));
  caps = gst_pad_get_current_caps (h->sinkpad);
  g_assert_true (gst_caps_is_equal (caps, wanted));
  gst_harness_teardown (h);
}

/* Not only pictures come by; and a picture's size may change. */
static void
test_caps (void)
{
  GstHarness *h = text_harness ("");
  g_autofree char *large = NULL, *none = NULL;

  gst_harness_set_src_caps_str (h,
      "video/x-raw,format=RGB,width=640,height=480,framerate=25/1");
  large = line_of (h, new_frame (0));
  expect_part (large, "\"width\":640,\"height\":480,");
  gst_harness_set_src_caps_str (h, "application/x-something");
  none = line_of (h, new_frame (1));
  g_assert_null (strstr (none, "width"));
  gst_harness_teardown (h);
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/json/nothing-found", test_nothing_found);
  g_test_add_func ("/json/values", test_values);
  g_test_add_func ("/json/boxes", test_boxes);
  g_test_add_func ("/json/index-mask", test_index_mask);
  g_test_add_func ("/json/plane-masks", test_plane_masks);
  g_test_add_func ("/json/wrong-mask", test_wrong_mask);
  g_test_add_func ("/json/embedding", test_embedding);
  g_test_add_func ("/json/tiles", test_tiles);
  g_test_add_func ("/json/times", test_times);
  g_test_add_func ("/json/flush", test_flush);
  g_test_add_func ("/json/live", test_live);
  g_test_add_func ("/json/pass", test_pass);
  g_test_add_func ("/json/text", test_text);
  g_test_add_func ("/json/caps", test_caps);
  return test_run ();
}
