/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One pass of the encoder for all elements with one model, wherever they are in
 * the pipeline and whatever happens to it; and only where it is allowed: the
 * same picture, the same size, the same parameters. Results never tell.
 */
#include "heads.h"

#include <string.h>

#define CAPS_64 "video/x-raw,format=RGB,width=64,height=64,framerate=25/1"
#define CAPS_ODD "video/x-raw,format=BGRx,width=101,height=53,framerate=25/1"
#define FRAMES 6

/* Umedpt elements a, b and c, of which c is none in some. */
static GstHarness *
make (const char *line, const char *caps, GstVideoInfo *info)
{
  g_autoptr (GString) text = g_string_new (line);
  g_autofree char *other =
      g_strdup_printf ("model-file=%s precision=f32", test_other_task_model ());

  g_string_replace (text, "OTHER", other, 0);
  return test_line_harness (text->str, caps, info);
}

static guint64
encoded_by (GstHarness *h, const char *name)
{
  g_autoptr (GstElement) element =
      gst_bin_get_by_name (GST_BIN (h->element), name);

  return element ? test_stat (element, "encoded") : 0;
}

static gboolean
has_features (GstBuffer *buffer)
{
  gpointer state = NULL;
  GstMeta *meta = NULL;

  while ((meta = gst_buffer_iterate_meta (buffer, &state)))
    if (g_str_equal (g_type_name (meta->info->api), "GstUmedptFeaturesMetaAPI"))
      return TRUE;
  return FALSE;
}

/* What comes out of frame @i has every result of @model's that a, b, c make. */
static void
assert_results (GstBuffer *out, const GstVideoInfo *info, guint i,
    const char *tasks, UmedptSession *session)
{
  g_auto (GStrv) names = g_strsplit (tasks, ",", -1);
  g_autoptr (GstBuffer) frame = test_frame (info, i);

  g_assert_false (has_features (out));
  for (guint k = 0; names[k]; k++) {
    g_autoptr (UmedptEncoding) encoding = test_encode (session, frame, info,
        g_str_equal (names[k], "embedding") ? "kind" : names[k], NULL);

    if (g_str_equal (names[k], "embedding"))
      test_assert_embedding (out, encoding);
    else if (g_str_equal (names[k], "kind") || g_str_equal (names[k], "age"))
      test_assert_values (out, names[k], encoding);
    else if (g_str_equal (names[k], "cells"))
      test_assert_boxes (out, names[k], info, encoding, 0.1);
    else
      test_assert_mask (out, names[k], info, encoding, 0);
  }
}

static void
pull_all (GstHarness *h, const GstVideoInfo *info, guint first, guint n,
    const char *tasks, UmedptSession *session)
{
  for (guint i = first; i < first + n; i++) {
    g_autoptr (GstBuffer) out = gst_harness_pull (h);
    g_assert_cmpuint (GST_BUFFER_PTS (out), ==, i * 40 * GST_MSECOND);
    assert_results (out, info, i, tasks, session);
  }
}

#define EMBED "umedptembed name=a MODEL"
#define SEGMENT "umedptsegment MODEL task=tissue threshold=0"
#define DETECT "umedptdetect name=c MODEL threshold=0.1"

static const struct
{
  const char *line;
  const char *tasks; /* of MODEL */
  guint encoded[3]; /* per frame, by a, b, c */
} rows[] = {
  { EMBED " tasks=kind,age ! " SEGMENT " name=b ! " DETECT,
      "embedding,kind,age,tissue,cells", { 1, 0, 0 } },
  { EMBED " ! queue ! " SEGMENT " name=b ! queue ! identity ! " DETECT,
      "embedding,tissue,cells", { 1, 0, 0 } },
  { EMBED " batch-size=4 ! " SEGMENT " name=b batch-size=4 ! " DETECT
          " batch-size=4",
      "embedding,tissue,cells", { 1, 0, 0 } },
  { EMBED " batch-size=4 ! " SEGMENT " name=b batch-size=3 ! " DETECT,
      "embedding,tissue,cells", { 1, 0, 0 } },
  { "umedptsegment name=a MODEL task=tissue threshold=0 ! umedptembed name=b "
    "MODEL",
      "embedding,tissue", { 1, 0, 0 } },
  { EMBED " ! umedptembed name=b MODEL", "embedding", { 1, 0, 0 } },
  /* another size */
  { EMBED " ! umedptsegment name=b MODEL task=big threshold=0 ! " DETECT,
      "embedding,big,cells", { 1, 1, 0 } },
  { "umedptsegment name=a MODEL task=big threshold=0 ! umedptembed name=b "
    "MODEL tasks=view embedding=false",
      "big", { 1, 0, 0 } },
  /* another model */
  { EMBED " ! umedptsegment name=b OTHER task=marks ! " DETECT,
      "embedding,cells", { 1, 1, 0 } },
  /* not the whole frame; not in the stream's thread */
  { EMBED " ! umedptsegment name=b MODEL task=marks inference-region=tiles "
          "tile-size=512 ! " DETECT,
      "embedding,cells", { 1, 1, 0 } },
  { "umedptdetect name=a MODEL inference-region=roi-list ! " SEGMENT " name=b",
      "tissue", { 0, 1, 0 } },
};

static void
check_row (guint row, const char *caps)
{
  GstVideoInfo info;
  GstHarness *h = make (rows[row].line, caps, &info);
  g_autoptr (UmedptSession) session = test_task_session (test_task_model ());
  const guint64 before = umedpt_session_get_n_encoded (session);
  const char *const names[] = { "a", "b", "c" };
  guint64 wanted = 0;

  test_push_frames (h, &info, 0, FRAMES);
  gst_harness_push_event (h, gst_event_new_eos ());
  while (gst_harness_buffers_received (h) < FRAMES)
    g_usleep (1000); /* through queues */
  for (guint i = 0; i < 3; i++) {
    g_assert_cmpuint (encoded_by (h, names[i]), ==,
        rows[row].encoded[i] * FRAMES);
    wanted += rows[row].encoded[i] * FRAMES;
  }
  if (strstr (rows[row].line, "OTHER"))
    wanted -= FRAMES;
  g_assert_cmpuint (umedpt_session_get_n_encoded (session) - before, ==,
      wanted);
  pull_all (h, &info, 0, FRAMES, rows[row].tasks, session);
  gst_harness_teardown (h);
}

static void
test_once (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_test_message ("%s", rows[i].line);
    check_row (i, CAPS_64);
    check_row (i, CAPS_ODD);
  }
}

/* --- where features are ------------------------------------------------- */

static GstPadProbeReturn
note_features (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  *(gboolean *) data = has_features (GST_PAD_PROBE_INFO_BUFFER (info));
  return GST_PAD_PROBE_OK;
}

static void
probe (GstHarness *h, const char *name, GstPadProbeCallback callback,
    gpointer data)
{
  g_autoptr (GstElement) element = test_get (h, name);
  g_autoptr (GstPad) pad = gst_element_get_static_pad (element, "sink");

  gst_pad_add_probe (pad, GST_PAD_PROBE_TYPE_BUFFER, callback, data, NULL);
}

/* They end with the last one that can use them. */
static void
test_travel (void)
{
  GstVideoInfo info;
  GstHarness *h = make (EMBED " ! " SEGMENT " name=b ! umedptdetect name=c "
                              "OTHER threshold=0.1",
      CAPS_64, &info);
  gboolean at_b = FALSE, at_c = TRUE;
  g_autoptr (GstBuffer) out = NULL;

  probe (h, "b", note_features, &at_b);
  probe (h, "c", note_features, &at_c);
  test_push_frames (h, &info, 0, 1);
  out = test_pull (h);
  g_assert_true (at_b);
  g_assert_false (at_c);
  g_assert_false (has_features (out));
  gst_harness_teardown (h);

  /* nobody asks */
  h = make (EMBED, CAPS_64, &info);
  test_push_frames (h, &info, 0, 1);
  gst_clear_buffer (&out);
  out = test_pull (h);
  g_assert_false (has_features (out));
  gst_harness_teardown (h);
}

static GstPadProbeReturn
draw (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstBuffer *buffer =
      gst_buffer_make_writable (GST_PAD_PROBE_INFO_BUFFER (info));
  GstMapInfo map = GST_MAP_INFO_INIT;

  g_assert_true (gst_buffer_map (buffer, &map, GST_MAP_READWRITE));
  map.data[*(gsize *) data] ^= 1;
  gst_buffer_unmap (buffer, &map);
  GST_PAD_PROBE_INFO_DATA (info) = buffer;
  return GST_PAD_PROBE_OK;
}

/* Somebody between draws on the picture, in place, be it one pixel. */
static void
test_drawn (void)
{
  gsize places[] = { 0, 64 * 64 * 3 - 1, 5000 };

  for (guint i = 0; i < G_N_ELEMENTS (places); i++) {
    GstVideoInfo info;
    GstHarness *h =
        make (EMBED " ! " SEGMENT " name=b ! " DETECT, CAPS_64, &info);
    g_autoptr (UmedptSession) session = test_task_session (test_task_model ());
    g_autoptr (GstBuffer) frame = test_frame (&info, 0);
    g_autoptr (UmedptEncoding) encoding = NULL;
    g_autoptr (GstBuffer) out = NULL;
    GstMapInfo map = GST_MAP_INFO_INIT;

    probe (h, "b", draw, &places[i]);
    test_push_frames (h, &info, 0, 1);
    out = test_pull (h);
    g_assert_cmpuint (encoded_by (h, "a"), ==, 1);
    g_assert_cmpuint (encoded_by (h, "b"), ==, 1);
    g_assert_cmpuint (encoded_by (h, "c"), ==, 0);
    g_assert_true (gst_buffer_map (frame, &map, GST_MAP_READWRITE));
    map.data[places[i]] ^= 1;
    gst_buffer_unmap (frame, &map);
    encoding = test_encode (session, frame, &info, "tissue", NULL);
    test_assert_mask (out, "tissue", &info, encoding, 0);
    test_assert_boxes (out, "cells", &info, encoding, 0.1);
    g_assert_false (has_features (out));
    gst_harness_teardown (h);
  }
}

/* Padded rows are the same picture; another layout is encoded anew. */
static void
test_layouts (void)
{
  GstVideoInfo info;
  GstHarness *h = make (EMBED " ! " SEGMENT " name=b", CAPS_ODD, &info);
  g_autoptr (GstBuffer) out = NULL;

  g_assert_cmpint (gst_harness_push (h, test_padded_frame (&info, 0, 12)), ==,
      GST_FLOW_OK);
  g_assert_cmpuint (encoded_by (h, "b"), ==, 0);
  gst_harness_teardown (h);

  h = make (EMBED " ! videoconvert ! video/x-raw,format=RGB ! " SEGMENT
                  " name=b",
      CAPS_ODD, &info);
  test_push_frames (h, &info, 0, 1);
  out = test_pull (h);
  g_assert_cmpuint (encoded_by (h, "b"), ==, 1);
  g_assert_false (has_features (out));
  gst_harness_teardown (h);
}

/* A picture of the mask is another picture. */
static void
test_mask_picture (void)
{
  GstVideoInfo info;
  GstHarness *h =
      make ("umedptsegment name=a MODEL task=tissue output=mask ! " DETECT,
          CAPS_64, &info);
  g_autoptr (GstBuffer) out = NULL;
  gboolean at_c = TRUE;

  probe (h, "c", note_features, &at_c);
  test_push_frames (h, &info, 0, 1);
  out = test_pull (h);
  g_assert_false (at_c);
  g_assert_cmpuint (encoded_by (h, "c"), ==, 1);
  gst_harness_teardown (h);
}

/* --- changes ------------------------------------------------------------ */

static void
test_flush_and_caps (void)
{
  GstVideoInfo info;
  GstHarness *h = make (EMBED " batch-size=2 ! " SEGMENT " name=b ! " DETECT,
      CAPS_64, &info);
  g_autoptr (UmedptSession) session = test_task_session (test_task_model ());
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  test_push_frames (h, &info, 0, 3);
  pull_all (h, &info, 0, 2, "embedding,tissue,cells", session);
  gst_harness_push_event (h, gst_event_new_flush_start ());
  gst_harness_push_event (h, gst_event_new_flush_stop (TRUE));
  gst_harness_push_event (h, gst_event_new_segment (&segment));
  test_push_frames (h, &info, 10, 2);
  pull_all (h, &info, 10, 2, "embedding,tissue,cells", session);
  g_assert_cmpuint (encoded_by (h, "a"), ==, 4);

  gst_video_info_init (&info);
  {
    g_autoptr (GstCaps) caps = gst_caps_from_string (CAPS_ODD);
    g_assert_true (gst_video_info_from_caps (&info, caps));
  }
  gst_harness_set_src_caps_str (h, CAPS_ODD);
  test_push_frames (h, &info, 12, 2);
  pull_all (h, &info, 12, 2, "embedding,tissue,cells", session);
  g_assert_cmpuint (encoded_by (h, "a"), ==, 6);
  g_assert_cmpuint (encoded_by (h, "b") + encoded_by (h, "c"), ==, 0);
  gst_harness_teardown (h);
}

/* One after the other goes over to another model. */
static void
test_model_changes (void)
{
  GstVideoInfo info;
  GstHarness *h =
      make (EMBED " ! " SEGMENT " name=b ! " DETECT, CAPS_64, &info);
  g_autoptr (UmedptSession) other =
      test_task_session (test_other_task_model ());
  const char *const names[] = { "c", "a", "b" };
  const guint encoded[3][3] = { { 1, 0, 1 }, { 1, 1, 0 }, { 1, 0, 0 } };
  guint next = 0;

  for (guint i = 0; i < 3; i++) {
    g_autoptr (GstElement) element = test_get (h, names[i]);
    guint64 a, b, c;

    g_assert_true (test_change_model (h, &info, element,
        test_other_task_model (), &next));
    a = encoded_by (h, "a"), b = encoded_by (h, "b"), c = encoded_by (h, "c");
    test_push_frames (h, &info, next, 4);
    g_assert_cmpuint (encoded_by (h, "a") - a, ==, 4 * encoded[i][0]);
    g_assert_cmpuint (encoded_by (h, "b") - b, ==, 4 * encoded[i][1]);
    g_assert_cmpuint (encoded_by (h, "c") - c, ==, 4 * encoded[i][2]);
    pull_all (h, &info, next, 4,
        i == 2       ? "embedding,tissue,cells"
            : i == 1 ? "embedding,cells"
                     : "cells",
        other);
    next += 4;
  }
  gst_harness_teardown (h);
}

/* Who joins later is heard, and who leaves missed. */
static void
test_relink (void)
{
  g_autofree char *line = g_strdup_printf (
      "appsrc name=in format=time caps=" CAPS_64 " ! umedptembed name=a "
      "model-file=%s ! identity name=i ! fakesink name=out async=false",
      test_task_model ());
  g_autoptr (GstElement) pipeline = gst_parse_launch (line, NULL);
  g_autoptr (GstElement) in = gst_bin_get_by_name (GST_BIN (pipeline), "in");
  g_autoptr (GstElement) i = gst_bin_get_by_name (GST_BIN (pipeline), "i");
  g_autoptr (GstElement) a = gst_bin_get_by_name (GST_BIN (pipeline), "a");
  g_autoptr (GstElement) out = gst_bin_get_by_name (GST_BIN (pipeline), "out");
  GstElement *b = gst_element_factory_make ("umedptsegment", NULL);
  g_autoptr (GstCaps) caps = gst_caps_from_string (CAPS_64);
  GstVideoInfo info;
  GstFlowReturn flow = GST_FLOW_ERROR;

  g_assert_true (gst_video_info_from_caps (&info, caps));
  g_object_set (b, "model-file", test_task_model (), "task", "tissue", NULL);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  for (guint frame = 0; frame < 4; frame++) {
    g_autoptr (GstBuffer) buffer = test_frame (&info, frame);

    g_signal_emit_by_name (in, "push-buffer", buffer, &flow);
    g_assert_cmpint (flow, ==, GST_FLOW_OK);
    while (test_stat (a, "frames-out") <= frame)
      g_usleep (1000);
    if (frame == 1) {
      /* nothing flows: the source is waiting for us */
      g_usleep (20000);
      gst_bin_add (GST_BIN (pipeline), b);
      gst_element_unlink (i, out);
      g_assert_true (gst_element_sync_state_with_parent (b));
      g_assert_true (gst_element_link_many (i, b, out, NULL));
    }
  }
  while (test_stat (b, "frames-out") < 2)
    g_usleep (1000);
  g_assert_cmpuint (test_stat (a, "encoded"), ==, 4);
  g_assert_cmpuint (test_stat (b, "encoded"), ==, 0);
  gst_element_set_state (pipeline, GST_STATE_NULL);
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/share/once", test_once);
  g_test_add_func ("/share/travel", test_travel);
  g_test_add_func ("/share/drawn", test_drawn);
  g_test_add_func ("/share/layouts", test_layouts);
  g_test_add_func ("/share/mask-picture", test_mask_picture);
  g_test_add_func ("/share/flush-and-caps", test_flush_and_caps);
  g_test_add_func ("/share/model-changes", test_model_changes);
  g_test_add_func ("/share/relink", test_relink);
  return test_run ();
}
