/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What holds for every element of the plugin, in the manner of GStreamer's
 * generic/states and gst-inspect-1.0: it can be made, looked at, set and
 * dropped in any state without a file; it can be started again and again in
 * constant memory; and elements with one model share it.
 */
#include "common.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "infer/session.h"

#define CAPS_64 "video/x-raw,format=RGB,width=64,height=64,framerate=25/1"

/* The last one needs no file to start. */
static const char *const names[] = { "umedptslidesrc", "umedptembed",
  "umedptsegment", "umedptdetect", "umedptslidesink", "umedptjson",
  "umedptoverlay" };
#define N_WITH_FILE 6

static GstElement *
make (const char *name)
{
  GstElement *element = gst_element_factory_make (name, NULL);

  g_assert_nonnull (element);
  return gst_object_ref_sink (element);
}

/* --- states ------------------------------------------------------------- */

static void
walk (GstElement *element)
{
  const GstState states[] = { GST_STATE_READY, GST_STATE_PAUSED,
    GST_STATE_PLAYING, GST_STATE_PAUSED, GST_STATE_READY, GST_STATE_NULL };

  for (guint i = 0; i < G_N_ELEMENTS (states); i++)
    g_assert_cmpint (gst_element_set_state (element, states[i]), ==,
        GST_STATE_CHANGE_SUCCESS);
}

static void
test_walk (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    GstElement *element = make (names[i]);

    for (guint round = 0; i >= N_WITH_FILE && round < 3; round++)
      walk (element);
    for (guint round = 0; i < N_WITH_FILE && round < 3; round++) {
      g_autoptr (GError) error = test_start_error (element);
      g_assert_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS);
      g_assert_cmpint (gst_element_set_state (element, GST_STATE_READY), ==,
          GST_STATE_CHANGE_SUCCESS);
      g_assert_cmpint (gst_element_set_state (element, GST_STATE_PLAYING), ==,
          GST_STATE_CHANGE_FAILURE);
      g_assert_cmpint (gst_element_set_state (element, GST_STATE_NULL), ==,
          GST_STATE_CHANGE_SUCCESS);
    }
    gst_object_unref (element);
  }
}

/* Made and dropped in READY, and never started at all. */
static void
test_drop (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    GstElement *element = make (names[i]);

    gst_object_unref (element);
    element = make (names[i]);
    gst_element_set_state (element, GST_STATE_READY);
    gst_element_set_state (element, GST_STATE_NULL);
    gst_object_unref (element);
  }
}

/* Events and queries reach elements that have not started, too. */
static void
test_queries_in_null (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    GstElement *element = make (names[i]);
    GstIterator *pads = gst_element_iterate_pads (element);
    GValue item = G_VALUE_INIT;

    while (gst_iterator_next (pads, &item) == GST_ITERATOR_OK) {
      GstPad *pad = g_value_get_object (&item);
      g_autoptr (GstCaps) caps = gst_pad_query_caps (pad, NULL);
      g_autoptr (GstQuery) latency = gst_query_new_latency ();
      gint64 duration = -1, position = -1;

      g_assert_false (gst_caps_is_empty (caps));
      /* the answer is "no" or "unknown" */
      gst_pad_query_duration (pad, GST_FORMAT_TIME, &duration);
      g_assert_cmpint (duration, ==, -1);
      g_assert_false (gst_pad_query_position (pad, GST_FORMAT_DEFAULT,
          &position));
      gst_pad_query (pad, latency);
      g_value_unset (&item);
    }
    gst_iterator_free (pads);
    gst_object_unref (element);
  }
}

/* --- properties --------------------------------------------------------- */

static void
assert_round_trip (GObject *object, GParamSpec *spec, const GValue *value)
{
  g_auto (GValue) got = G_VALUE_INIT;

  g_value_init (&got, spec->value_type);
  g_object_set_property (object, spec->name, value);
  g_object_get_property (object, spec->name, &got);
  if (g_param_values_cmp (spec, value, &got) != 0)
    g_error ("%s.%s does not keep what is set", G_OBJECT_TYPE_NAME (object),
        spec->name);
}

static void
try_enum (GObject *object, GParamSpec *spec, GValue *value)
{
  GEnumClass *klass = g_type_class_ref (spec->value_type);

  for (guint i = 0; i < klass->n_values; i++) {
    g_value_set_enum (value, klass->values[i].value);
    assert_round_trip (object, spec, value);
  }
  g_type_class_unref (klass);
}

static void
try_string (GObject *object, GParamSpec *spec, GValue *value)
{
  const char *strings[] = { "", "a b\"c", "\xc3\xa4", NULL };

  for (guint i = 0; i < G_N_ELEMENTS (strings); i++) {
    g_value_set_string (value, strings[i]);
    assert_round_trip (object, spec, value);
  }
}

/* The least and the greatest value. */
static void
try_limits (GObject *object, GParamSpec *spec, GValue *value)
{
  for (guint end = 0; end < 2; end++) {
    if (G_IS_PARAM_SPEC_INT (spec))
      g_value_set_int (value,
          end ? G_PARAM_SPEC_INT (spec)->maximum
              : G_PARAM_SPEC_INT (spec)->minimum);
    else if (G_IS_PARAM_SPEC_UINT (spec))
      g_value_set_uint (value,
          end ? G_PARAM_SPEC_UINT (spec)->maximum
              : G_PARAM_SPEC_UINT (spec)->minimum);
    else if (G_IS_PARAM_SPEC_UINT64 (spec))
      g_value_set_uint64 (value,
          end ? G_PARAM_SPEC_UINT64 (spec)->maximum
              : G_PARAM_SPEC_UINT64 (spec)->minimum);
    else if (G_IS_PARAM_SPEC_DOUBLE (spec))
      g_value_set_double (value,
          end ? G_PARAM_SPEC_DOUBLE (spec)->maximum
              : G_PARAM_SPEC_DOUBLE (spec)->minimum);
    else if (G_IS_PARAM_SPEC_BOOLEAN (spec))
      g_value_set_boolean (value, end);
    else
      return;
    assert_round_trip (object, spec, value);
  }
}

static void
check_property (GObject *object, GParamSpec *spec)
{
  g_auto (GValue) value = G_VALUE_INIT;

  g_assert_cmpuint (strlen (g_param_spec_get_nick (spec)), >, 0);
  g_assert_cmpuint (strlen (g_param_spec_get_blurb (spec)), >, 0);
  g_value_init (&value, spec->value_type);
  g_object_get_property (object, spec->name, &value);
  if (!(spec->flags & G_PARAM_WRITABLE)) {
    g_assert_cmpstr (spec->name, ==, "stats");
    g_assert_nonnull (g_value_get_boxed (&value));
    return;
  }
  /* what gst-inspect shows as the default is the default */
  if (!g_param_value_defaults (spec, &value))
    g_error ("%s.%s does not begin with its default",
        G_OBJECT_TYPE_NAME (object), spec->name);
  if (G_IS_PARAM_SPEC_ENUM (spec))
    try_enum (object, spec, &value);
  else if (G_IS_PARAM_SPEC_STRING (spec))
    try_string (object, spec, &value);
  else
    try_limits (object, spec, &value);
}

static gboolean
is_ours (GParamSpec *spec)
{
  return g_str_has_prefix (g_type_name (spec->owner_type), "GstUmedpt");
}

static void
test_properties (void)
{
  const guint wanted[] = { 14, 17, 19, 20, 13, 6, 19 };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    GstElement *element = make (names[i]);
    guint n = 0, n_ours = 0;
    g_autofree GParamSpec **specs =
        g_object_class_list_properties (G_OBJECT_GET_CLASS (element), &n);

    for (guint k = 0; k < n; k++)
      if (is_ours (specs[k])) {
        check_property (G_OBJECT (element), specs[k]);
        n_ours++;
      }
    /* a new property that nobody tried would be here, too */
    g_assert_cmpuint (n_ours, ==, wanted[i]);
    gst_object_unref (element);
  }
}

static void
test_metadata (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    GstElementFactory *factory = gst_element_factory_find (names[i]);
    const char *keys[] = { GST_ELEMENT_METADATA_LONGNAME,
      GST_ELEMENT_METADATA_KLASS, GST_ELEMENT_METADATA_DESCRIPTION,
      GST_ELEMENT_METADATA_AUTHOR };

    g_assert_nonnull (factory);
    for (guint k = 0; k < G_N_ELEMENTS (keys); k++)
      g_assert_cmpuint (strlen (gst_element_factory_get_metadata (factory,
                            keys[k])),
          >, 5);
    /* nobody's decodebin picks them */
    g_assert_cmpuint (
        gst_plugin_feature_get_rank (GST_PLUGIN_FEATURE (factory)), ==,
        GST_RANK_NONE);
    gst_object_unref (factory);
  }
}

/* --- restarts ----------------------------------------------------------- */

static gsize
resident_bytes (void)
{
  g_autofree char *text = NULL;
  gsize total = 0, resident = 0;

  g_assert_true (g_file_get_contents ("/proc/self/statm", &text, NULL, NULL));
  g_assert_cmpint (sscanf (text, "%zu %zu", &total, &resident), ==, 2);
  return resident * (gsize) getpagesize ();
}

/* From READY into the middle of the slide and back. */
static void
restart (GstElement *pipeline, guint n)
{
  for (guint i = 0; i < n; i++) {
    GstState wanted = i % 2 ? GST_STATE_PLAYING : GST_STATE_PAUSED;

    g_assert_cmpint (gst_element_set_state (pipeline, wanted), ==,
        GST_STATE_CHANGE_ASYNC);
    if (i % 5) /* else it is stopped while it starts */
      g_assert_cmpint (gst_element_get_state (pipeline, NULL, NULL,
                           30 * GST_SECOND),
          ==, GST_STATE_CHANGE_SUCCESS);
    g_assert_cmpint (gst_element_set_state (pipeline, GST_STATE_READY), ==,
        GST_STATE_CHANGE_SUCCESS);
  }
}

static void
test_restart (void)
{
  g_autofree char *path = test_path ("restarted.h5");
  g_autofree char *line = g_strdup_printf (
      "umedptslidesrc tissue=none tile-size=64 location=%s ! queue ! "
      "umedptembed model-file=%s batch-size=4 ! "
      "umedptslidesink features-location=%s overwrite=true",
      test_slide (), test_model (), path);
  g_autoptr (GstElement) pipeline = gst_parse_launch (line, NULL);
  gsize before = 0, after = 0;

  gst_element_set_state (pipeline, GST_STATE_READY);
  restart (pipeline, 25);
  before = resident_bytes ();
  restart (pipeline, 100);
  after = resident_bytes ();
  gst_element_set_state (pipeline, GST_STATE_NULL);
  g_test_message ("resident after 25: %zu kB, after 125: %zu kB", before / 1024,
      after / 1024);
#ifndef __SANITIZE_ADDRESS__ /* which keeps freed memory for a while */
  g_assert_cmpuint (after, <, before + (8 << 20));
#endif
}

/* --- one model, several elements ---------------------------------------- */

/* The element's session is ours: it is a use more of the same object. */
static void
test_shared_session (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptSession) session =
      umedpt_session_open (test_model (), "auto", UMEDPT_PRECISION_F32, &error);
  guint alone = 0;
  GstHarness *h[2] = { NULL, NULL };
  GstVideoInfo info;
  g_autoptr (GstBuffer) first = NULL, second = NULL;
  GstMapInfo map = GST_MAP_INFO_INIT;
  GstBuffer *data[2] = { NULL, NULL };

  g_assert_no_error (error);
  alone = G_OBJECT (session)->ref_count;
  for (guint i = 0; i < 2; i++) {
    h[i] = test_embed_harness (1 + i, FALSE, CAPS_64, &info);
    g_assert_cmpuint (G_OBJECT (session)->ref_count, ==, alone + i + 1);
    gst_harness_push (h[i], test_frame (&info, 7));
    gst_harness_push_event (h[i], gst_event_new_eos ());
  }
  first = gst_harness_try_pull (h[0]);
  second = gst_harness_try_pull (h[1]);
  data[0] = gst_buffer_get_umedpt_tensor_meta (first, NULL)->data;
  data[1] = gst_buffer_get_umedpt_tensor_meta (second, NULL)->data;
  g_assert_true (gst_buffer_map (data[1], &map, GST_MAP_READ));
  g_assert_cmpuint (gst_buffer_get_size (data[0]), ==, map.size);
  g_assert_cmpint (gst_buffer_memcmp (data[0], 0, map.data, map.size), ==, 0);
  gst_buffer_unmap (data[1], &map);
  /* one may go; the other works on */
  gst_harness_teardown (h[0]);
  g_assert_cmpuint (G_OBJECT (session)->ref_count, ==, alone + 1);
  gst_harness_teardown (h[1]);
  g_assert_cmpuint (G_OBJECT (session)->ref_count, ==, alone);
}

/* One stream is blocked downstream, in its sink; that is no concern of the
 * other, which uses the same model meanwhile. */
static void
test_blocked_neighbour (void)
{
  g_autofree char *line =
      g_strdup_printf ("videotestsrc ! " CAPS_64
                       " ! umedptembed model-file=%s ! fakesink",
          test_model ());
  g_autofree char *free_line =
      g_strdup_printf ("videotestsrc num-buffers=30 ! " CAPS_64
                       " ! umedptembed model-file=%s ! fakesink",
          test_model ());
  g_autoptr (GstElement) blocked = gst_parse_launch (line, NULL);

  /* a prerolled sink keeps the streaming thread */
  gst_element_set_state (blocked, GST_STATE_PAUSED);
  g_assert_cmpint (gst_element_get_state (blocked, NULL, NULL, 30 * GST_SECOND),
      ==, GST_STATE_CHANGE_SUCCESS);
  test_run_line (free_line);
  gst_element_set_state (blocked, GST_STATE_NULL);
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/states/walk", test_walk);
  g_test_add_func ("/states/drop", test_drop);
  g_test_add_func ("/states/queries-in-null", test_queries_in_null);
  g_test_add_func ("/states/properties", test_properties);
  g_test_add_func ("/states/metadata", test_metadata);
  g_test_add_func ("/states/restart", test_restart);
  g_test_add_func ("/states/shared-session", test_shared_session);
  g_test_add_func ("/states/blocked-neighbour", test_blocked_neighbour);
  return test_run ();
}
