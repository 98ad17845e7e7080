/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * umedptembed, and by it the base class: what goes in comes out, in order and
 * untouched, whatever events, batches and clocks do.
 */
#include "common.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CAPS_64 "video/x-raw,format=RGB,width=64,height=64,framerate=25/1"
#define FRAME_TIME (40 * GST_MSECOND)
#define MAX_OVERHEAD (50 * GST_USECOND)

static const GstUmedptTensorMeta *
get_tensor (GstBuffer *buffer)
{
  return gst_buffer_get_umedpt_tensor_meta (buffer,
      GST_UMEDPT_TENSOR_EMBEDDING);
}

/* Pushes frames first … first + n - 1. */
static void
push_frames (GstHarness *h, const GstVideoInfo *info, guint first, guint n)
{
  for (guint i = first; i < first + n; i++)
    g_assert_cmpint (gst_harness_push (h, test_frame (info, i)), ==,
        GST_FLOW_OK);
}

/* @buffer is frame @i as it was pushed, with an embedding. */
static void
assert_frame (GstBuffer *buffer, const GstVideoInfo *info, guint i)
{
  g_autoptr (GstBuffer) wanted = test_frame (info, i);
  const GstUmedptTensorMeta *tensor = get_tensor (buffer);
  GstMapInfo map = GST_MAP_INFO_INIT;

  g_assert_cmpuint (GST_BUFFER_PTS (buffer), ==, i * FRAME_TIME);
  g_assert_cmpuint (GST_BUFFER_DURATION (buffer), ==, FRAME_TIME);
  g_assert_true (gst_buffer_map (wanted, &map, GST_MAP_READ));
  g_assert_cmpuint (gst_buffer_get_size (buffer), ==, map.size);
  g_assert_cmpint (gst_buffer_memcmp (buffer, 0, map.data, map.size), ==, 0);
  gst_buffer_unmap (wanted, &map);

  g_assert_nonnull (tensor);
  g_assert_cmpint (tensor->data_type, ==, GST_UMEDPT_TENSOR_F32);
  g_assert_cmpuint (tensor->num_dims, ==, 1);
  g_assert_cmpuint (tensor->dims[0] * sizeof (float), ==,
      gst_buffer_get_size (tensor->data));
  g_assert_cmpstr (tensor->model_arch, ==, "swinv2-nano");
  g_assert_cmpuint (strlen (tensor->model_hash), ==, 64);
}

/* --- without a model, with a wrong one ---------------------------------- */

static void
test_model_errors (void)
{
  g_autofree char *missing = test_path ("no-such-file.safetensors");
  g_autofree char *text = test_path ("text.safetensors");
  const struct
  {
    const char *file;
    GQuark domain;
    gint code;
  } rows[] = {
    { NULL, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS },
    { missing, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND },
    { text, GST_STREAM_ERROR, GST_STREAM_ERROR_WRONG_TYPE },
  };

  g_assert_true (g_file_set_contents (text, "This is no model at all.", -1,
      NULL));
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    GstElement *element = gst_element_factory_make ("umedptembed", NULL);
    g_autoptr (GError) error = NULL;

    gst_object_ref_sink (element);
    g_object_set (element, "model-file", rows[i].file, NULL);
    error = test_start_error (element);
    g_assert_error (error, rows[i].domain, rows[i].code);
    /* a corrected element starts */
    g_object_set (element, "model-file", test_model (), NULL);
    g_assert_cmpint (gst_element_set_state (element, GST_STATE_PAUSED), ==,
        GST_STATE_CHANGE_SUCCESS);
    gst_element_set_state (element, GST_STATE_NULL);
    gst_object_unref (element);
  }
}

/* --- batches and events ------------------------------------------------- */

static void
check_batch (guint batch, guint n)
{
  GstVideoInfo info;
  GstHarness *h = test_embed_harness (batch, FALSE, CAPS_64, &info);

  for (guint i = 0; i < n; i++) {
    GstBuffer *frame = test_frame (&info, i);
    if (i == 0)
      GST_BUFFER_FLAG_SET (frame, GST_BUFFER_FLAG_DISCONT);
    if (i % 3 == 1)
      GST_BUFFER_FLAG_SET (frame, GST_BUFFER_FLAG_MARKER);
    g_assert_cmpint (gst_harness_push (h, frame), ==, GST_FLOW_OK);
  }
  test_received (h, n / batch * batch);
  g_assert_true (gst_harness_push_event (h, gst_event_new_eos ()));
  test_received (h, n);
  for (guint i = 0; i < n; i++) {
    g_autoptr (GstBuffer) out = test_pull (h);
    assert_frame (out, &info, i);
    g_assert_cmpint (GST_BUFFER_IS_DISCONT (out), ==, i == 0);
    g_assert_cmpint (GST_BUFFER_FLAG_IS_SET (out, GST_BUFFER_FLAG_MARKER) != 0,
        ==, i % 3 == 1);
  }
  g_assert_cmpuint (test_stat (h->element, "frames-in"), ==, n);
  g_assert_cmpuint (test_stat (h->element, "frames-out"), ==, n);
  g_assert_cmpuint (test_stat (h->element, "inferred"), ==, n);
  g_assert_cmpuint (test_stat (h->element, "batches"), ==,
      (n + batch - 1) / batch);
  gst_harness_teardown (h);
}

static void
test_batches (void)
{
  const guint batches[] = { 1, 3, 4, 16 };

  for (guint i = 0; i < G_N_ELEMENTS (batches); i++) {
    check_batch (batches[i], 0);
    check_batch (batches[i], 1);
    check_batch (batches[i], batches[i] - 1);
    check_batch (batches[i], batches[i]);
    check_batch (batches[i], batches[i] + 1);
  }
}

/* A discontinuity in the middle stays with its own frame. */
static void
test_discont (void)
{
  GstVideoInfo info;
  GstHarness *h = test_embed_harness (4, FALSE, CAPS_64, &info);
  GstBuffer *frame = test_frame (&info, 2);

  push_frames (h, &info, 0, 2);
  GST_BUFFER_FLAG_SET (frame, GST_BUFFER_FLAG_DISCONT);
  g_assert_cmpint (gst_harness_push (h, frame), ==, GST_FLOW_OK);
  push_frames (h, &info, 3, 3);
  test_received (h, 6);
  for (guint i = 0; i < 6; i++) {
    g_autoptr (GstBuffer) out = test_pull (h);
    assert_frame (out, &info, i);
    if (i > 0)
      g_assert_cmpint (GST_BUFFER_IS_DISCONT (out), ==, i == 2);
  }
  gst_harness_teardown (h);
}

static GstEvent *
make_event (GstEventType type)
{
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  switch (type) {
    case GST_EVENT_STREAM_START:
      return gst_event_new_stream_start ("another");
    case GST_EVENT_SEGMENT:
      return gst_event_new_segment (&segment);
    case GST_EVENT_GAP:
      return gst_event_new_gap (2 * FRAME_TIME, FRAME_TIME);
    case GST_EVENT_TAG:
      return gst_event_new_tag (gst_tag_list_new (GST_TAG_TITLE, "x", NULL));
    default:
      return gst_event_new_custom (type, gst_structure_new_empty ("test"));
  }
}

/* Whether @type arrives behind the frames pushed before it. */
static void
check_event (GstEventType type, gboolean drains)
{
  GstVideoInfo info;
  GstHarness *h = test_embed_harness (4, FALSE, CAPS_64, &info);
  guint before = 0;
  gboolean seen = FALSE;

  push_frames (h, &info, 0, 2);
  before = gst_harness_events_received (h);
  g_assert_true (gst_harness_push_event (h, make_event (type)));
  g_assert_cmpuint (gst_harness_events_received (h), >, before);
  test_received (h, drains ? 2 : 0);
  while (gst_harness_events_in_queue (h) > 0) {
    g_autoptr (GstEvent) event = gst_harness_pull_event (h);
    seen |= GST_EVENT_TYPE (event) == type;
  }
  g_assert_true (seen);
  push_frames (h, &info, 2, 2);
  g_assert_true (gst_harness_push_event (h, gst_event_new_eos ()));
  test_received (h, 4);
  for (guint i = 0; i < 4; i++) {
    g_autoptr (GstBuffer) out = test_pull (h);
    assert_frame (out, &info, i);
  }
  gst_harness_teardown (h);
}

static void
test_events (void)
{
  check_event (GST_EVENT_STREAM_START, TRUE);
  check_event (GST_EVENT_SEGMENT, TRUE);
  check_event (GST_EVENT_GAP, TRUE);
  check_event (GST_EVENT_CUSTOM_DOWNSTREAM, TRUE);
  check_event (GST_EVENT_CUSTOM_DOWNSTREAM_STICKY, TRUE);
  check_event (GST_EVENT_TAG, FALSE);
  check_event (GST_EVENT_CUSTOM_DOWNSTREAM_OOB, FALSE);
}

static void
test_flush (void)
{
  GstVideoInfo info;
  GstHarness *h = test_embed_harness (4, FALSE, CAPS_64, &info);

  push_frames (h, &info, 0, 2);
  g_assert_true (gst_harness_push_event (h, gst_event_new_flush_start ()));
  g_assert_true (gst_harness_push_event (h, gst_event_new_flush_stop (TRUE)));
  g_assert_true (gst_harness_push_event (h, make_event (GST_EVENT_SEGMENT)));
  push_frames (h, &info, 10, 5);
  g_assert_true (gst_harness_push_event (h, gst_event_new_eos ()));
  test_received (h, 5);
  for (guint i = 10; i < 15; i++) {
    g_autoptr (GstBuffer) out = test_pull (h);
    assert_frame (out, &info, i);
  }
  gst_harness_teardown (h);
}

/* The old batch runs with the old size. */
static void
test_caps_change (void)
{
  GstVideoInfo small, big;
  GstHarness *h = test_embed_harness (4, FALSE, CAPS_64, &small);
  const char *caps = "video/x-raw,format=BGRx,width=101,height=53,"
                     "framerate=25/1";
  g_autoptr (GstCaps) parsed = gst_caps_from_string (caps);

  g_assert_true (gst_video_info_from_caps (&big, parsed));
  push_frames (h, &small, 0, 3);
  gst_harness_set_src_caps_str (h, caps);
  test_received (h, 3);
  push_frames (h, &big, 3, 2);
  g_assert_true (gst_harness_push_event (h, gst_event_new_eos ()));
  for (guint i = 0; i < 5; i++) {
    g_autoptr (GstBuffer) out = test_pull (h);
    assert_frame (out, i < 3 ? &small : &big, i);
  }
  gst_harness_teardown (h);
}

/* A buffer that stands for nothing passes without inference. */
static void
test_gap_buffer (void)
{
  GstVideoInfo info;
  GstHarness *h = test_embed_harness (1, FALSE, CAPS_64, &info);
  GstBuffer *frame = test_frame (&info, 0);
  g_autoptr (GstBuffer) out = NULL;

  GST_BUFFER_FLAG_SET (frame, GST_BUFFER_FLAG_GAP);
  g_assert_cmpint (gst_harness_push (h, frame), ==, GST_FLOW_OK);
  out = test_pull (h);
  g_assert_null (get_tensor (out));
  g_assert_cmpuint (test_stat (h->element, "skipped-gap"), ==, 1);
  g_assert_cmpuint (test_stat (h->element, "inferred"), ==, 0);
  gst_harness_teardown (h);
}

static void
test_model_event (void)
{
  GstVideoInfo info;
  GstHarness *h = test_embed_harness (1, FALSE, CAPS_64, &info);
  g_autoptr (GstEvent) event = NULL;
  const GstStructure *s = NULL;
  guint dim = 0;

  push_frames (h, &info, 0, 1);
  event = gst_pad_get_sticky_event (h->sinkpad,
      GST_EVENT_CUSTOM_DOWNSTREAM_STICKY, 0);
  g_assert_nonnull (event);
  s = gst_event_get_structure (event);
  g_assert_true (gst_structure_has_name (s, "umedpt-model"));
  g_assert_cmpstr (gst_structure_get_string (s, "arch"), ==, "swinv2-nano");
  g_assert_true (gst_structure_get_uint (s, "dim", &dim));
  {
    g_autoptr (GstBuffer) out = test_pull (h);
    g_assert_cmpuint (dim, ==, get_tensor (out)->dims[0]);
  }
  gst_harness_teardown (h);
}

/* --- flow --------------------------------------------------------------- */

/* "I have enough" reaches the source, at once or, after an event drained the
 * batch, with the next frame. (Beside the stream: test-ahead.c.) */
static void
test_flow (void)
{
  GstVideoInfo info;
  GstHarness *h = test_embed_harness (2, FALSE, CAPS_64, &info);

  push_frames (h, &info, 0, 1);
  gst_pad_set_chain_function (h->sinkpad, test_refuse);
  g_assert_cmpint (gst_harness_push (h, test_frame (&info, 1)), ==,
      GST_FLOW_EOS);
  gst_harness_teardown (h);

  h = test_embed_harness (2, FALSE, CAPS_64, &info);
  push_frames (h, &info, 0, 1);
  gst_pad_set_chain_function (h->sinkpad, test_refuse);
  gst_harness_push_event (h, make_event (GST_EVENT_GAP));
  g_assert_cmpint (gst_harness_push (h, test_frame (&info, 1)), ==,
      GST_FLOW_EOS);
  gst_harness_teardown (h);
}

/* The caller keeps its frames; the results go on copies of them. */
static void
test_shared_frame (void)
{
  GstVideoInfo info;
  GstHarness *h = test_embed_harness (1, FALSE, CAPS_64, &info);
  g_autoptr (GstBuffer) mine = test_frame (&info, 0);
  g_autoptr (GstBuffer) out = NULL;

  g_assert_cmpint (gst_harness_push (h, gst_buffer_ref (mine)), ==,
      GST_FLOW_OK);
  out = test_pull (h);
  g_assert_null (get_tensor (mine));
  g_assert_nonnull (get_tensor (out));
  g_assert_true (gst_buffer_peek_memory (mine, 0) ==
      gst_buffer_peek_memory (out, 0));
  gst_harness_teardown (h);
}

/* --- pixels ------------------------------------------------------------- */

/* The embedding of the same picture in @format with @padding extra bytes per
 * row. (transfer full) */
static float *
embed_picture (GstVideoFormat format, guint padding, gsize *dim)
{
  const gint width = 75, height = 50; /* RGB rows of 225 bytes: padded to 228 */
  g_autofree char *caps =
      g_strdup_printf ("video/x-raw,format=%s,width=%d,height=%d,framerate=0/1",
          gst_video_format_to_string (format), width, height);
  GstVideoInfo info;
  GstHarness *h = test_embed_harness (1, FALSE, caps, &info);
  gint bytes = GST_VIDEO_INFO_COMP_PSTRIDE (&info, 0);
  gint stride[4] = { GST_VIDEO_INFO_PLANE_STRIDE (&info, 0) + padding };
  gsize offset[4] = { 0 };
  GstBuffer *frame = gst_buffer_new_allocate (NULL, stride[0] * height, NULL);
  g_autoptr (GstBuffer) out = NULL;
  const GstUmedptTensorMeta *tensor = NULL;
  gpointer values = NULL;
  gsize size = 0;
  GstMapInfo map = GST_MAP_INFO_INIT;

  g_assert_true (gst_buffer_map (frame, &map, GST_MAP_WRITE));
  memset (map.data, 0xaa, map.size);
  for (gint y = 0; y < height; y++)
    for (gint x = 0; x < width; x++)
      for (gint c = 0; c < GST_VIDEO_INFO_N_COMPONENTS (&info); c++)
        map.data[y * stride[0] + x * bytes +
            GST_VIDEO_INFO_COMP_POFFSET (&info, c)] = (guint8) (x * 3 + y * 5 +
            (format == GST_VIDEO_FORMAT_GRAY8 ? 0 : c * 60));
  gst_buffer_unmap (frame, &map);
  if (padding)
    gst_buffer_add_video_meta_full (frame, GST_VIDEO_FRAME_FLAG_NONE, format,
        width, height, 1, offset, stride);
  g_assert_cmpint (gst_harness_push (h, frame), ==, GST_FLOW_OK);
  out = test_pull (h);
  tensor = get_tensor (out);
  g_assert_nonnull (tensor);
  gst_buffer_extract_dup (tensor->data, 0, -1, &values, &size);
  *dim = tensor->dims[0];
  gst_harness_teardown (h);
  return values;
}

/* The same colours give the same bits in every layout and with any stride;
 * others give other ones. */
static void
test_formats (void)
{
  const GstVideoFormat formats[] = { GST_VIDEO_FORMAT_RGB, GST_VIDEO_FORMAT_BGR,
    GST_VIDEO_FORMAT_RGBx, GST_VIDEO_FORMAT_RGBA, GST_VIDEO_FORMAT_BGRx,
    GST_VIDEO_FORMAT_BGRA };
  gsize dim = 0;
  g_autofree float *wanted = embed_picture (GST_VIDEO_FORMAT_RGB, 0, &dim);
  g_autofree float *gray = embed_picture (GST_VIDEO_FORMAT_GRAY8, 0, &dim);
  g_autofree float *gray_padded =
      embed_picture (GST_VIDEO_FORMAT_GRAY8, 21, &dim);

  for (guint i = 0; i < G_N_ELEMENTS (formats); i++)
    for (guint padding = 0; padding <= 28; padding += 28) {
      g_autofree float *got = embed_picture (formats[i], padding, &dim);
      g_assert_cmpmem (got, dim * sizeof *got, wanted, dim * sizeof *wanted);
    }
  g_assert_cmpmem (gray, dim * sizeof *gray, gray_padded,
      dim * sizeof *gray_padded);
  g_assert_cmpint (memcmp (gray, wanted, dim * sizeof *gray), !=, 0);
}

static void
test_conversion (void)
{
  g_autofree char *line = g_strdup_printf (
      "umedptembed model-file=%s ! videoconvert ! video/x-raw,format=I420 ! "
      "videoscale ! capsfilter caps=video/x-raw,width=32,height=32",
      test_model ());
  GstHarness *h = gst_harness_new_parse (line);
  g_autoptr (GstCaps) caps = gst_caps_from_string (CAPS_64);
  g_autoptr (GstBuffer) out = NULL;
  GstVideoInfo info;

  g_assert_true (gst_video_info_from_caps (&info, caps));
  gst_harness_set_src_caps_str (h, CAPS_64);
  g_assert_cmpint (gst_harness_push (h, test_frame (&info, 0)), ==,
      GST_FLOW_OK);
  out = test_pull (h);
  g_assert_cmpuint (gst_buffer_get_size (out), ==, 32 * 32 * 3 / 2);
  g_assert_nonnull (get_tensor (out));
  gst_harness_teardown (h);
}

/* --- life --------------------------------------------------------------- */

static gsize
resident_pages (void)
{
  g_autofree char *text = NULL;
  gsize total = 0, resident = 0;

  g_assert_true (g_file_get_contents ("/proc/self/statm", &text, NULL, NULL));
  g_assert_cmpint (sscanf (text, "%zu %zu", &total, &resident), ==, 2);
  return resident;
}

static void
start_and_stop (guint n)
{
  for (guint i = 0; i < n; i++) {
    GstVideoInfo info;
    GstHarness *h = test_embed_harness (4, FALSE, CAPS_64, &info);
    /* three of four: the batch is never complete */
    push_frames (h, &info, 0, 3);
    gst_harness_teardown (h);
  }
}

static void
test_restart (void)
{
  gsize before = 0, after = 0;

  start_and_stop (20);
  before = resident_pages ();
  start_and_stop (100);
  after = resident_pages ();
  g_test_message ("resident after 20: %zu kB, after 120: %zu kB",
      before * getpagesize () / 1024, after * getpagesize () / 1024);
#ifndef __SANITIZE_ADDRESS__ /* which keeps freed memory for a while */
  g_assert_cmpuint (after * getpagesize (), <,
      before * getpagesize () + (8 << 20));
#endif
}

static void
test_stress (void)
{
  GstVideoInfo info;
  GstHarness *h = test_embed_harness (4, FALSE, CAPS_64, &info);
  g_autoptr (GstCaps) caps = gst_caps_from_string (CAPS_64);
  g_autoptr (GstBuffer) frame = test_frame (&info, 0);
  GstHarnessThread *states = NULL, *push = NULL;
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_set_drop_buffers (h, TRUE);
  states = gst_harness_stress_statechange_start (h);
  push = gst_harness_stress_push_buffer_start (h, caps, &segment, frame);
  g_usleep (G_USEC_PER_SEC / 2);
  g_assert_cmpuint (gst_harness_stress_thread_stop (states), >, 0);
  g_assert_cmpuint (gst_harness_stress_thread_stop (push), >, 0);
  gst_harness_teardown (h);
}

/* --- reports ------------------------------------------------------------ */

static void
test_overhead (void)
{
  GstVideoInfo info;
  GstHarness *h = test_embed_harness (8, FALSE, CAPS_64, &info);
  guint64 overhead = 0;

  gst_harness_set_drop_buffers (h, TRUE);
  push_frames (h, &info, 0, 400);
  overhead = test_stat (h->element, "overhead-per-frame");
  g_test_message ("%" G_GUINT64_FORMAT " ns per frame outside inference "
                  "(p50 of a batch of 8: %" G_GUINT64_FORMAT " ns)",
      overhead, test_stat (h->element, "inference-p50"));
  g_assert_cmpuint (overhead, >, 0);
  g_assert_cmpuint (overhead, <, MAX_OVERHEAD);
  g_assert_cmpuint (test_stat (h->element, "inference-p95"), >=,
      test_stat (h->element, "inference-p50"));
  g_assert_cmpuint (test_stat (h->element, "model-load"), >, 0);
  gst_harness_teardown (h);
}

static void
test_messages (void)
{
  GstVideoInfo info;
  GstHarness *h = test_embed_harness (1, FALSE, CAPS_64, &info);
  g_autoptr (GstBus) bus = test_bus (h->element);
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GstBuffer) data = NULL, out = NULL;
  guint64 timestamp = 0;

  g_object_set (h->element, "post-messages", TRUE, NULL);
  push_frames (h, &info, 3, 1);
  out = test_pull (h);
  message = test_pop (bus, GST_MESSAGE_ELEMENT);
  g_assert_nonnull (message);
  g_assert_true (gst_message_has_name (message, GST_UMEDPT_TENSOR_EMBEDDING));
  g_assert_true (gst_structure_get (gst_message_get_structure (message),
      "timestamp", G_TYPE_UINT64, &timestamp, "data", GST_TYPE_BUFFER, &data,
      NULL));
  g_assert_cmpuint (timestamp, ==, 3 * FRAME_TIME);
  g_assert_cmpuint (gst_buffer_get_size (data), ==,
      gst_buffer_get_size (get_tensor (out)->data));
  gst_element_set_bus (h->element, NULL);
  gst_harness_teardown (h);
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/embed/model-errors", test_model_errors);
  g_test_add_func ("/embed/batches", test_batches);
  g_test_add_func ("/embed/discont", test_discont);
  g_test_add_func ("/embed/events", test_events);
  g_test_add_func ("/embed/flush", test_flush);
  g_test_add_func ("/embed/caps-change", test_caps_change);
  g_test_add_func ("/embed/gap-buffer", test_gap_buffer);
  g_test_add_func ("/embed/model-event", test_model_event);
  g_test_add_func ("/embed/flow", test_flow);
  g_test_add_func ("/embed/shared-frame", test_shared_frame);
  g_test_add_func ("/embed/formats", test_formats);
  g_test_add_func ("/embed/conversion", test_conversion);
  g_test_add_func ("/embed/restart", test_restart);
  g_test_add_func ("/embed/stress", test_stress);
  g_test_add_func ("/embed/overhead", test_overhead);
  g_test_add_func ("/embed/messages", test_messages);
  return test_run ();
}
