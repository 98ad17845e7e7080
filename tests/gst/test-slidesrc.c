/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * umedptslidesrc: which tiles come, with what time, place and pixels; seeking,
 * queries, damaged slides and wrong settings.
 */
#include "common.h"

#include <string.h>

#define N_TILES 70 /* 640 x 400 pixels in tiles of 64: 10 x 7 */

/* @settings: further properties as in a launch line, or NULL. The source waits
 * for the first gst_harness_play(). */
static GstElement *
new_source (const char *location, const char *settings)
{
  g_autofree char *line = g_strdup_printf ("umedptslidesrc tile-size=64 "
                                           "tissue=none location=%s %s",
      location, settings ? settings : "");
  g_autoptr (GError) error = NULL;
  GstElement *element = gst_parse_launch (line, &error);

  g_assert_no_error (error);
  return gst_object_ref_sink (element);
}

static GstHarness *
new_harness (const char *location, const char *settings)
{
  GstElement *element = new_source (location, settings);
  GstHarness *h = gst_harness_new_with_element (element, NULL, "src");

  gst_object_unref (element);
  gst_harness_play (h);
  return h;
}

static GstEvent *
pull_event (GstHarness *h, const char *name)
{
  GstEvent *event = NULL;

  while ((event = gst_harness_pull_event (h))) {
    if (gst_event_has_name (event, name))
      return event;
    gst_event_unref (event);
  }
  return NULL;
}

static void
wait_eos (GstHarness *h)
{
  while (TRUE) {
    g_autoptr (GstEvent) event = gst_harness_pull_event (h);
    g_assert_nonnull (event);
    if (GST_EVENT_TYPE (event) == GST_EVENT_EOS)
      return;
  }
}

static gint64
get_int64 (const GstStructure *s, const char *field)
{
  gint64 value = 0;

  g_assert_true (gst_structure_get_int64 (s, field, &value));
  return value;
}

static void
assert_tile (GstBuffer *buffer, guint64 i)
{
  const GstStructure *tile = gst_buffer_get_umedpt_tile (buffer);
  guint64 index = 0, total = 0;
  double valid = 0, tissue = 0, downsample = 0;

  g_assert_nonnull (tile);
  g_assert_true (gst_structure_get (tile, "index", G_TYPE_UINT64, &index,
      "total", G_TYPE_UINT64, &total, "valid", G_TYPE_DOUBLE, &valid, "tissue",
      G_TYPE_DOUBLE, &tissue, "downsample", G_TYPE_DOUBLE, &downsample, NULL));
  g_assert_cmpuint (index, ==, i);
  g_assert_cmpuint (total, ==, N_TILES);
  g_assert_cmpint (get_int64 (tile, "x"), ==, i % 10 * 64);
  g_assert_cmpint (get_int64 (tile, "y"), ==, i / 10 * 64);
  g_assert_cmpint (get_int64 (tile, "width"), ==, 64);
  g_assert_cmpint (get_int64 (tile, "height"), ==, 64);
  g_assert_cmpfloat (valid, ==, i < 60 ? 1 : 0.25);
  g_assert_cmpfloat (tissue, ==, 1);
  g_assert_cmpfloat (downsample, ==, 1);
  g_assert_cmpstr (gst_structure_get_string (tile, "slide"), ==, "slide");
  g_assert_cmpuint (GST_BUFFER_PTS (buffer), ==, i * GST_SECOND);
  g_assert_cmpuint (GST_BUFFER_DURATION (buffer), ==, GST_SECOND);
}

/* --- what comes --------------------------------------------------------- */

static void
test_tiles (void)
{
  GstHarness *h = new_harness (test_slide (), NULL);
  g_autoptr (GstCaps) caps = NULL;
  g_autoptr (GstEvent) event = NULL;
  GstVideoInfo info;
  guint64 n_tiles = 0;

  for (guint i = 0; i < N_TILES; i++) {
    g_autoptr (GstBuffer) buffer = gst_harness_pull (h);
    g_assert_nonnull (buffer);
    assert_tile (buffer, i);
    g_assert_cmpuint (gst_buffer_get_size (buffer), ==, 64 * 64 * 3);
  }
  caps = gst_pad_get_current_caps (h->sinkpad);
  g_assert_true (gst_video_info_from_caps (&info, caps));
  g_assert_cmpint (GST_VIDEO_INFO_FORMAT (&info), ==, GST_VIDEO_FORMAT_RGB);
  g_assert_cmpint (info.width, ==, 64);
  g_assert_cmpint (info.height, ==, 64);
  g_assert_cmpint (info.fps_n, ==, 1);
  event = pull_event (h, "umedpt-slide");
  g_assert_nonnull (event);
  g_assert_true (gst_structure_get_uint64 (gst_event_get_structure (event),
      "n-tiles", &n_tiles));
  g_assert_cmpuint (n_tiles, ==, N_TILES);
  wait_eos (h);
  g_assert_cmpuint (gst_harness_buffers_received (h), ==, N_TILES);
  g_assert_cmpuint (test_stat (h->element, "n-pushed"), ==, N_TILES);
  g_assert_cmpuint (test_stat (h->element, "n-bad"), ==, 0);
  gst_harness_teardown (h);
}

/* The pixels of one tile without row padding. (transfer full) */
static guint8 *
tile_pixels (gint side, gboolean reads_video_meta)
{
  g_autofree char *settings = g_strdup_printf ("tile-size=%d", side);
  GstElement *element = new_source (test_slide (), settings);
  GstHarness *h = gst_harness_new_with_element (element, NULL, "src");
  g_autoptr (GstBuffer) buffer = NULL;
  g_autoptr (GstCaps) caps = NULL;
  guint8 *pixels = g_malloc ((gsize) side * side * 3);
  GstVideoInfo info;
  GstVideoFrame frame;

  if (reads_video_meta)
    gst_harness_add_propose_allocation_meta (h, GST_VIDEO_META_API_TYPE, NULL);
  gst_harness_play (h);
  buffer = gst_harness_pull (h);
  caps = gst_pad_get_current_caps (h->sinkpad);
  g_assert_true (gst_video_info_from_caps (&info, caps));
  g_assert_cmpint (gst_buffer_get_video_meta (buffer) != NULL, ==,
      reads_video_meta && side % 4 != 0);
  g_assert_true (gst_video_frame_map (&frame, &info, buffer, GST_MAP_READ));
  for (gint y = 0; y < side; y++)
    memcpy (pixels + (gsize) y * side * 3,
        (guint8 *) GST_VIDEO_FRAME_PLANE_DATA (&frame, 0) +
            (gsize) y * GST_VIDEO_FRAME_PLANE_STRIDE (&frame, 0),
        (gsize) side * 3);
  gst_video_frame_unmap (&frame);
  gst_harness_teardown (h);
  gst_object_unref (element);
  return pixels;
}

/* Rows of 75 x 3 bytes are padded, or described by a meta where that is read;
 * the picture is the same, and the corner of a larger one. */
static void
test_row_padding (void)
{
  g_autofree guint8 *padded = tile_pixels (75, FALSE);
  g_autofree guint8 *described = tile_pixels (75, TRUE);
  g_autofree guint8 *large = tile_pixels (128, FALSE);

  g_assert_cmpmem (padded, 75 * 75 * 3, described, 75 * 75 * 3);
  for (gint y = 0; y < 75; y++)
    g_assert_cmpmem (padded + y * 75 * 3, 75 * 3, large + y * 128 * 3, 75 * 3);
}

static void
test_start_index (void)
{
  GstHarness *h = new_harness (test_slide (), "start-index=65");
  g_autoptr (GstEvent) event = NULL;
  const GstSegment *segment = NULL;

  for (guint i = 65; i < N_TILES; i++) {
    g_autoptr (GstBuffer) buffer = gst_harness_pull (h);
    assert_tile (buffer, i);
  }
  wait_eos (h);
  g_assert_cmpuint (gst_harness_buffers_received (h), ==, 5);
  event = gst_pad_get_sticky_event (h->sinkpad, GST_EVENT_SEGMENT, 0);
  gst_event_parse_segment (event, &segment);
  /* a sink that keeps time need not wait a minute for the first tile */
  g_assert_cmpuint (gst_segment_to_running_time (segment, GST_FORMAT_TIME,
                        65 * GST_SECOND),
      ==, 0);
  gst_harness_teardown (h);
}

static void
test_order_and_region (void)
{
  GstHarness *h =
      new_harness (test_slide (), "order=columns region=64,128,128,192");
  const gint64 places[6][2] = { { 64, 128 }, { 64, 192 }, { 64, 256 },
    { 128, 128 }, { 128, 192 }, { 128, 256 } };

  for (guint i = 0; i < 6; i++) {
    g_autoptr (GstBuffer) buffer = gst_harness_pull (h);
    const GstStructure *tile = gst_buffer_get_umedpt_tile (buffer);
    g_assert_cmpint (get_int64 (tile, "x"), ==, places[i][0]);
    g_assert_cmpint (get_int64 (tile, "y"), ==, places[i][1]);
  }
  wait_eos (h);
  g_assert_cmpuint (gst_harness_buffers_received (h), ==, 6);
  gst_harness_teardown (h);
}

/* --- time --------------------------------------------------------------- */

static void
test_queries (void)
{
  const struct
  {
    GstFormat format;
    gint64 per_tile;
  } rows[] = {
    { GST_FORMAT_TIME, GST_SECOND },
    { GST_FORMAT_DEFAULT, 1 },
    { GST_FORMAT_BUFFERS, 1 },
  };
  GstHarness *h = new_harness (test_slide (), NULL);

  for (guint i = 0; i < N_TILES; i++)
    gst_buffer_unref (gst_harness_pull (h));
  wait_eos (h);
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    gint64 value = 0;
    g_assert_true (gst_pad_peer_query_duration (h->sinkpad, rows[i].format,
        &value));
    g_assert_cmpint (value, ==, N_TILES * rows[i].per_tile);
    g_assert_true (gst_pad_peer_query_position (h->sinkpad, rows[i].format,
        &value));
    g_assert_cmpint (value, ==, N_TILES * rows[i].per_tile);
  }
  gst_harness_teardown (h);
}

static void
seek (GstHarness *h, gint64 start)
{
  g_assert_true (gst_harness_push_upstream_event (h,
      gst_event_new_seek (1.0, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH,
          GST_SEEK_TYPE_SET, start, GST_SEEK_TYPE_NONE, -1)));
}

/* Forwards, backwards, into the middle of a tile, and after the end. */
static void
test_seek (void)
{
  const guint targets[] = { 40, 3, 69 };
  GstHarness *h = new_harness (test_slide (), NULL);

  gst_buffer_unref (gst_harness_pull (h));
  for (guint i = 0; i < G_N_ELEMENTS (targets); i++) {
    GstBuffer *buffer = NULL;
    seek (h, targets[i] * GST_SECOND + i * GST_SECOND / 3);
    /* what was queued in the harness before the flush is still there */
    while ((buffer = gst_harness_pull (h)) &&
        GST_BUFFER_PTS (buffer) != targets[i] * GST_SECOND)
      gst_buffer_unref (buffer);
    g_assert_nonnull (buffer);
    assert_tile (buffer, targets[i]);
    gst_buffer_unref (buffer);
  }
  wait_eos (h);
  seek (h, 68 * GST_SECOND);
  for (guint i = 68; i < N_TILES; i++) {
    g_autoptr (GstBuffer) buffer = gst_harness_pull (h);
    assert_tile (buffer, i);
  }
  wait_eos (h);
  gst_harness_teardown (h);
}

/* --- damage ------------------------------------------------------------- */

static void
check_bad_event (GstHarness *h, gint64 x, gint64 y, guint64 wanted)
{
  g_autoptr (GstEvent) event = pull_event (h, "umedpt-bad-tile");
  const GstStructure *s = NULL;
  guint64 index = 0;

  g_assert_nonnull (event);
  s = gst_event_get_structure (event);
  g_assert_true (gst_structure_get_uint64 (s, "index", &index));
  g_assert_cmpuint (index, ==, wanted);
  g_assert_cmpint (get_int64 (s, "x"), ==, x);
  g_assert_cmpint (get_int64 (s, "y"), ==, y);
  g_assert_cmpuint (strlen (gst_structure_get_string (s, "reason")), >, 10);
}

/* Tiles of 128 pixels are those of the file: one is bad. No blank picture
 * comes in its place. */
static void
test_bad_tile (void)
{
  GstElement *element = new_source (test_damaged_slide (), "tile-size=128");
  g_autoptr (GstBus) bus = test_bus (element);
  GstHarness *h = gst_harness_new_with_element (element, NULL, "src");
  g_autoptr (GstMessage) message = NULL;

  gst_harness_play (h);
  for (guint i = 0; i < 15; i++) {
    g_autoptr (GstBuffer) buffer = gst_harness_pull (h);
    g_assert_nonnull (buffer);
    g_assert_cmpuint (GST_BUFFER_PTS (buffer), ==,
        (i < 9 ? i : i + 1) * GST_SECOND);
  }
  check_bad_event (h, 128, 256, 9);
  wait_eos (h);
  g_assert_cmpuint (gst_harness_buffers_received (h), ==, 15);
  g_assert_cmpuint (test_stat (element, "n-bad"), ==, 1);
  message = test_pop (bus, GST_MESSAGE_WARNING);
  g_assert_nonnull (message);
  gst_harness_teardown (h);
  gst_element_set_bus (element, NULL);
  gst_object_unref (element);
}

/* A region in which nothing can be read: events and EOS, no buffer. */
static void
test_all_bad (void)
{
  GstHarness *h = new_harness (test_damaged_slide (),
      "tile-size=128 region=128,256,128,128");

  check_bad_event (h, 128, 256, 0);
  wait_eos (h);
  g_assert_cmpuint (gst_harness_buffers_received (h), ==, 0);
  gst_harness_teardown (h);
}

/* --- settings ----------------------------------------------------------- */

static void
test_errors (void)
{
  g_autofree char *missing = test_path ("no-such-slide.svs");
  g_autofree char *text = test_path ("text.svs");
  const struct
  {
    const char *location, *settings;
    GQuark domain;
    gint code;
  } rows[] = {
    { "\"\"", NULL, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS },
    { missing, NULL, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND },
    { text, NULL, GST_STREAM_ERROR, GST_STREAM_ERROR_WRONG_TYPE },
    { test_slide (), "region=1,2,3", GST_RESOURCE_ERROR,
        GST_RESOURCE_ERROR_SETTINGS },
    { test_slide (), "region=1,2,3,x", GST_RESOURCE_ERROR,
        GST_RESOURCE_ERROR_SETTINGS },
    { test_slide (), "region=0,0,0,5", GST_RESOURCE_ERROR,
        GST_RESOURCE_ERROR_SETTINGS },
    { test_slide (), "start-index=70", GST_RESOURCE_ERROR,
        GST_RESOURCE_ERROR_SETTINGS },
    { test_slide (), "mpp=0.5 level=0", GST_RESOURCE_ERROR,
        GST_RESOURCE_ERROR_SETTINGS },
    { test_slide (), "overlap=64", GST_RESOURCE_ERROR,
        GST_RESOURCE_ERROR_SETTINGS },
    { test_slide (), "mpp=0.5", GST_RESOURCE_ERROR,
        GST_RESOURCE_ERROR_SETTINGS },
  };

  g_assert_true (g_file_set_contents (text, "This is no slide.", -1, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    GstElement *element = new_source (rows[i].location, rows[i].settings);
    g_autoptr (GError) error = test_start_error (element);

    g_assert_error (error, rows[i].domain, rows[i].code);
    gst_object_unref (element);
  }
}

static void
test_uri (void)
{
  g_autoptr (GError) error = NULL;
  GstElement *element = gst_element_factory_make ("umedptslidesrc", NULL);
  GstURIHandler *handler = GST_URI_HANDLER (element);
  g_autofree char *location = NULL, *uri = NULL;

  gst_object_ref_sink (element);
  g_assert_null (gst_uri_handler_get_uri (handler));
  g_assert_true (gst_uri_handler_set_uri (handler,
      "slide:///data/a%20slide.svs", &error));
  g_assert_no_error (error);
  g_object_get (element, "location", &location, NULL);
  g_assert_cmpstr (location, ==, "/data/a slide.svs");
  uri = gst_uri_handler_get_uri (handler);
  g_assert_cmpstr (uri, ==, "slide:///data/a%20slide.svs");
  gst_object_unref (element);
}

/* Stopped in the middle, with a full reader, over and over. */
static void
test_restart (void)
{
  for (guint i = 0; i < 100; i++) {
    GstHarness *h = new_harness (test_slide (), "threads=3");
    for (guint k = 0; k < i % 5; k++)
      gst_buffer_unref (gst_harness_pull (h));
    gst_harness_teardown (h);
  }
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/slidesrc/tiles", test_tiles);
  g_test_add_func ("/slidesrc/row-padding", test_row_padding);
  g_test_add_func ("/slidesrc/start-index", test_start_index);
  g_test_add_func ("/slidesrc/order-and-region", test_order_and_region);
  g_test_add_func ("/slidesrc/queries", test_queries);
  g_test_add_func ("/slidesrc/seek", test_seek);
  g_test_add_func ("/slidesrc/bad-tile", test_bad_tile);
  g_test_add_func ("/slidesrc/all-bad", test_all_bad);
  g_test_add_func ("/slidesrc/errors", test_errors);
  g_test_add_func ("/slidesrc/uri", test_uri);
  g_test_add_func ("/slidesrc/restart", test_restart);
  return test_run ();
}
