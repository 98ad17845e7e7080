/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * umedptslidesrc on a pyramid whose scale is known, or not: every tile is the
 * library's, in its order; what the plan says stands in the events; slides
 * without tissue, without a scale, with an absurd one.
 */
#include "common.h"

#include <math.h>

#include "data/synth.h"
#include "data/tiles.h"

static char *pyramid; /* 1200 x 900 at 0.25 µm, two levels */

static char *
write_slide (const char *name, gboolean no_mpp, gboolean absurd_dpi)
{
  UmedptSynthOptions options = UMEDPT_SYNTH_OPTIONS_INIT;
  g_autoptr (GError) error = NULL;
  char *path = test_path (name);

  options.width = 1200;
  options.height = 900;
  options.no_mpp = no_mpp;
  options.absurd_dpi = absurd_dpi;
  umedpt_synth_write (path, NULL, &options, &error);
  g_assert_no_error (error);
  return path;
}

static GstElement *
new_source (const char *location, const char *settings)
{
  g_autofree char *line =
      g_strdup_printf ("umedptslidesrc location=%s %s", location, settings);
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
  return h;
}

/* The next event of that type, of that name if it is a custom one. */
static GstEvent *
pull_event (GstHarness *h, GstEventType type, const char *name)
{
  GstEvent *event = NULL;

  while ((event = gst_harness_pull_event (h))) {
    if (GST_EVENT_TYPE (event) == type &&
        (!name || gst_event_has_name (event, name)))
      return event;
    gst_event_unref (event);
  }
  g_assert_not_reached ();
}

static void
wait_eos (GstHarness *h)
{
  gst_event_unref (pull_event (h, GST_EVENT_EOS, NULL));
}

/* --- every tile is the plan's ------------------------------------------- */

static double
get_double (const GstStructure *s, const char *field)
{
  double value = NAN;

  g_assert_true (gst_structure_get_double (s, field, &value));
  return value;
}

static void
assert_tile (GstBuffer *buffer, UmedptTilePlan *plan, guint64 i)
{
  const GstStructure *s = gst_buffer_get_umedpt_tile (buffer);
  UmedptTile tile = { 0 };
  guint64 index = 0, total = 0;
  gint64 x = 0, y = 0, width = 0, height = 0;

  umedpt_tile_plan_get_tile (plan, i, &tile);
  g_assert_true (gst_structure_get (s, "index", G_TYPE_UINT64, &index, "total",
      G_TYPE_UINT64, &total, "x", G_TYPE_INT64, &x, "y", G_TYPE_INT64, &y,
      "width", G_TYPE_INT64, &width, "height", G_TYPE_INT64, &height, NULL));
  g_assert_cmpuint (index, ==, i);
  g_assert_cmpuint (total, ==, umedpt_tile_plan_get_n_tiles (plan));
  g_assert_cmpint (x, ==, tile.x);
  g_assert_cmpint (y, ==, tile.y);
  g_assert_cmpint (width, ==, tile.width);
  g_assert_cmpint (height, ==, tile.height);
  g_assert_cmpfloat (get_double (s, "mpp"), ==, tile.mpp);
  g_assert_cmpfloat (get_double (s, "valid"), ==, tile.valid);
  g_assert_cmpfloat (get_double (s, "tissue"), ==, tile.tissue);
  g_assert_cmpfloat (get_double (s, "downsample"), ==,
      umedpt_tile_plan_get_downsample (plan));
  g_assert_cmpuint (GST_BUFFER_PTS (buffer), ==, i * GST_SECOND);
  g_assert_cmpuint (GST_BUFFER_DURATION (buffer), ==, GST_SECOND);
  g_assert_cmpuint (GST_BUFFER_OFFSET (buffer), ==, i);
  g_assert_cmpuint (GST_BUFFER_OFFSET_END (buffer), ==, i + 1);
}

static void
assert_slide_event (GstHarness *h, UmedptTilePlan *plan, const char *source)
{
  g_autoptr (GstEvent) event =
      pull_event (h, GST_EVENT_CUSTOM_DOWNSTREAM_STICKY, "umedpt-slide");
  const GstStructure *s = gst_event_get_structure (event);
  UmedptMppSource plan_source = UMEDPT_MPP_UNKNOWN;

  g_assert_cmpstr (gst_structure_get_string (s, "slide"), ==, "pyramid");
  g_assert_cmpstr (gst_structure_get_string (s, "path"), ==, pyramid);
  g_assert_cmpstr (gst_structure_get_string (s, "plan-hash"), ==,
      umedpt_tile_plan_get_hash (plan));
  g_assert_cmpstr (gst_structure_get_string (s, "mpp-source"), ==, source);
  g_assert_cmpfloat (get_double (s, "mpp"), ==,
      umedpt_tile_plan_get_mpp (plan));
  g_assert_cmpfloat (get_double (s, "downsample"), ==,
      umedpt_tile_plan_get_downsample (plan));
  g_assert_cmpfloat (get_double (s, "level0-mpp"), ==,
      umedpt_tile_plan_get_slide_mpp (plan, &plan_source));
}

static void
check_plan (const char *settings, const UmedptTileOptions *options,
    double downsample, const char *source)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptSlide) slide = umedpt_slide_open (pyramid, &error);
  g_autoptr (UmedptTilePlan) plan = NULL;
  g_autoptr (GstCaps) caps = NULL;
  GstHarness *h = new_harness (pyramid, settings);
  GstVideoInfo info;
  guint64 n = 0;

  g_assert_no_error (error);
  plan = umedpt_tile_plan_new (slide, options, &error);
  g_assert_no_error (error);
  n = umedpt_tile_plan_get_n_tiles (plan);
  g_assert_cmpuint (n, >, 0);
  g_assert_cmpfloat_with_epsilon (umedpt_tile_plan_get_downsample (plan),
      downsample, 1e-3);
  gst_harness_play (h);
  for (guint64 i = 0; i < n; i++) {
    g_autoptr (GstBuffer) buffer = gst_harness_pull (h);
    g_assert_nonnull (buffer);
    assert_tile (buffer, plan, i);
  }
  assert_slide_event (h, plan, source);
  wait_eos (h);
  g_assert_cmpuint (gst_harness_buffers_received (h), ==, n);
  g_assert_cmpuint (test_stat (h->element, "n-tiles"), ==, n);
  g_assert_cmpuint (test_stat (h->element, "n-skipped"), ==,
      umedpt_tile_plan_get_n_skipped (plan));
  caps = gst_pad_get_current_caps (h->sinkpad);
  g_assert_true (gst_video_info_from_caps (&info, caps));
  g_assert_cmpint (info.width, ==, options->tile_size);
  gst_harness_teardown (h);
}

static void
test_plan (void)
{
  UmedptTileOptions options = UMEDPT_TILE_OPTIONS_INIT;
  const UmedptTileOptions unset = options;

  options.tile_size = 100;
  options.overlap = 10;
  options.mpp = 0.5;
  check_plan ("tile-size=100 overlap=10 mpp=0.5", &options, 2,
      "tiff-resolution");

  options = unset;
  options.tile_size = 75; /* rows of 225 bytes */
  options.mpp = 0.45;
  options.slide_mpp = 0.3;
  options.order = UMEDPT_ORDER_SERPENTINE;
  check_plan ("tile-size=75 mpp=0.45 slide-mpp=0.3 order=serpentine", &options,
      1.5, "user");

  options = unset;
  options.tile_size = 64;
  options.level = 1;
  options.order = UMEDPT_ORDER_COLUMNS;
  options.min_tissue = 0.5;
  check_plan ("tile-size=64 level=1 order=columns min-tissue=0.5", &options, 2,
      "tiff-resolution");

  options = unset;
  options.tile_size = 128;
  options.magnification = 10; /* without an objective: of 10 µm / 0.25 µm */
  options.tissue = UMEDPT_TISSUE_NONE;
  check_plan ("tile-size=128 magnification=10 tissue=none", &options, 4,
      "tiff-resolution");

  options = unset;
  options.level = 0; /* if nothing is said */
  check_plan ("threads=1", &options, 1, "tiff-resolution");
}

/* --- a scale that is missing -------------------------------------------- */

static void
check_unknown_scale (const char *path)
{
  GstElement *element = new_source (path, "mpp=0.5");
  g_autoptr (GError) error = test_start_error (element);
  GstHarness *h = NULL;
  g_autoptr (GstBuffer) buffer = NULL;

  g_assert_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS);
  gst_object_unref (element);
  /* the user knows better */
  h = new_harness (path, "mpp=0.5 slide-mpp=0.25 tissue=none");
  gst_harness_play (h);
  buffer = gst_harness_pull (h);
  g_assert_cmpfloat (get_double (gst_buffer_get_umedpt_tile (buffer),
                         "downsample"),
      ==, 2);
  gst_harness_teardown (h);
}

static void
test_unknown_scale (void)
{
  g_autofree char *none = write_slide ("no-mpp.tiff", TRUE, FALSE);
  g_autofree char *absurd = write_slide ("dpi.tiff", FALSE, TRUE);

  check_unknown_scale (none);
  check_unknown_scale (absurd);
}

/* Two scales at once, a level that is not there, tiles no one can mean. */
static void
test_errors (void)
{
  const char *settings[] = { "mpp=0.5 magnification=20", "mpp=0.5 level=1",
    "magnification=20 level=0", "level=17", "mpp=0.0001", "region=1200,0,10,10",
    "region=5", "region=0,0,10,-10", "overlap=256", "tile-size=16 overlap=16",
    "start-index=1000000" };

  for (guint i = 0; i < G_N_ELEMENTS (settings); i++) {
    GstElement *element = new_source (pyramid, settings[i]);
    g_autoptr (GError) error = test_start_error (element);

    g_assert_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS);
    gst_object_unref (element);
  }
}

/* --- nothing to send ---------------------------------------------------- */

/* Glass alone: no tile, but all that a sink needs to write an empty file. */
static void
test_no_tissue (void)
{
  g_autofree char *path = test_path ("glass.png");
  g_autofree char *line = g_strdup_printf (
      "videotestsrc num-buffers=1 pattern=white ! video/x-raw,format=RGB,"
      "width=600,height=500 ! pngenc ! filesink location=%s",
      path);
  GstHarness *h = NULL;

  test_run_line (line);
  h = new_harness (path, "tile-size=64");
  gst_harness_play (h);
  wait_eos (h);
  g_assert_cmpuint (gst_harness_buffers_received (h), ==, 0);
  g_assert_cmpuint (test_stat (h->element, "n-tiles"), ==, 0);
  g_assert_cmpuint (test_stat (h->element, "n-skipped"), ==, 80);
  for (guint i = 0; i < 3; i++) {
    const GstEventType types[] = { GST_EVENT_STREAM_START, GST_EVENT_CAPS,
      GST_EVENT_SEGMENT };
    g_autoptr (GstEvent) event =
        gst_pad_get_sticky_event (h->sinkpad, types[i], 0);
    g_assert_nonnull (event);
  }
  {
    g_autoptr (GstEvent) event = gst_pad_get_sticky_event (h->sinkpad,
        GST_EVENT_CUSTOM_DOWNSTREAM_STICKY, 0);
    g_assert_true (gst_event_has_name (event, "umedpt-slide"));
  }
  gst_harness_teardown (h);
}

/* --- memory ------------------------------------------------------------- */

static GstPadProbeReturn
offer_pool (GstPad *pad, GstPadProbeInfo *info, gpointer data)
{
  GstQuery *query = GST_PAD_PROBE_INFO_QUERY (info);

  if (GST_QUERY_TYPE (query) != GST_QUERY_ALLOCATION)
    return GST_PAD_PROBE_OK;
  gst_query_add_allocation_pool (query, data, 256 * 256 * 3, 8, 0);
  return GST_PAD_PROBE_HANDLED;
}

/* The tiles have memory of their own; a pool would be filled for nothing. */
static void
test_no_pool (void)
{
  GstHarness *h = new_harness (pyramid, "tissue=none");
  g_autoptr (GstBufferPool) pool = gst_buffer_pool_new ();
  g_autoptr (GstBuffer) buffer = NULL;
  g_autoptr (GstCaps) caps = gst_caps_new_empty_simple ("video/x-raw");
  GstStructure *config = gst_buffer_pool_get_config (pool);

  gst_buffer_pool_config_set_params (config, caps, 256 * 256 * 3, 8, 0);
  g_assert_true (gst_buffer_pool_set_config (pool, config));
  gst_pad_add_probe (h->sinkpad, GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM,
      offer_pool, pool, NULL);
  gst_harness_play (h);
  buffer = gst_harness_pull (h);
  g_assert_nonnull (buffer);
  g_assert_false (gst_buffer_pool_is_active (pool));
  gst_harness_teardown (h);
}

/* --- slide:// ----------------------------------------------------------- */

static void
test_uri (void)
{
  GstElement *element = new_source (pyramid, "");
  GstURIHandler *handler = GST_URI_HANDLER (element);
  g_autofree char *uri = gst_uri_handler_get_uri (handler);
  g_autoptr (GError) error = NULL;
  g_autoptr (GstElement) made =
      gst_element_make_from_uri (GST_URI_SRC, uri, NULL, NULL);

  g_assert_nonnull (made);
  g_assert_cmpint (gst_element_set_state (made, GST_STATE_PAUSED), !=,
      GST_STATE_CHANGE_FAILURE);
  g_assert_false (gst_uri_handler_set_uri (GST_URI_HANDLER (made), uri,
      &error));
  g_assert_error (error, GST_URI_ERROR, GST_URI_ERROR_BAD_STATE);
  g_clear_error (&error);
  gst_element_set_state (made, GST_STATE_NULL);
  g_assert_false (gst_uri_handler_set_uri (handler, "slide://", &error));
  g_assert_error (error, GST_URI_ERROR, GST_URI_ERROR_BAD_URI);
  gst_object_unref (element);
}

int
main (int argc, char **argv)
{
  int rc = 0;

  test_init (&argc, &argv);
  pyramid = write_slide ("pyramid.tiff", FALSE, FALSE);
  g_test_add_func ("/scale/plan", test_plan);
  g_test_add_func ("/scale/unknown", test_unknown_scale);
  g_test_add_func ("/scale/errors", test_errors);
  g_test_add_func ("/scale/no-tissue", test_no_tissue);
  g_test_add_func ("/scale/no-pool", test_no_pool);
  g_test_add_func ("/scale/uri", test_uri);
  rc = test_run ();
  g_free (pyramid);
  return rc;
}
