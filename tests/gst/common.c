/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Everything a test needs is made here, at run time, from the library and
 * GStreamer's own elements; nothing binary is kept in the tree.
 */
#include "common.h"

#include <glib/gstdio.h>
#include <tiffio.h>
#include <unistd.h>

#include "net/model.h"

#define FRAME_TIME (40 * GST_MSECOND)

static char *folder;
static char *model, *slide, *damaged;

static const char *const plugins[] = { "coreelements", "videotestsrc",
  "videoconvertscale", "videocrop", "png", "app", "debug" };

static void
link_plugins (void)
{
  g_autofree char *system = g_build_filename (folder, "plugins", NULL);

  g_assert_cmpint (g_mkdir (system, 0700), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (plugins); i++) {
    g_autofree char *name = g_strdup_printf ("libgst%s.so", plugins[i]);
    g_autofree char *from =
        g_build_filename (g_getenv ("TEST_GST_PLUGINS_DIR"), name, NULL);
    g_autofree char *to = g_build_filename (system, name, NULL);
    g_assert_cmpint (symlink (from, to), ==, 0);
  }
  g_setenv ("GST_PLUGIN_SYSTEM_PATH_1_0", system, TRUE);
}

void
test_init (int *argc, char ***argv)
{
  g_autofree char *registry = NULL;

  g_test_init (argc, argv, G_TEST_OPTION_ISOLATE_DIRS, NULL);
  folder = g_dir_make_tmp ("umedpt-gst-XXXXXX", NULL);
  g_assert_nonnull (folder);
  link_plugins ();
  registry = test_path ("registry.bin");
  /* the name that wins over GST_REGISTRY. A registry of all plugins has names
   * enough to make GLib grow its table of quarks, which leaks the old one */
  g_setenv ("GST_REGISTRY_1_0", registry, TRUE);
  g_setenv ("GST_REGISTRY_FORK", "no", TRUE);
  gst_init (argc, argv);
}

static void
remove_tree (const char *path)
{
  if (g_file_test (path, G_FILE_TEST_IS_DIR) &&
      !g_file_test (path, G_FILE_TEST_IS_SYMLINK)) {
    g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
    const char *name = NULL;
    while (dir && (name = g_dir_read_name (dir))) {
      g_autofree char *child = g_build_filename (path, name, NULL);
      remove_tree (child);
    }
  }
  g_remove (path);
}

int
test_run (void)
{
  int rc = g_test_run ();

  remove_tree (folder);
  g_clear_pointer (&folder, g_free);
  g_clear_pointer (&model, g_free);
  g_clear_pointer (&slide, g_free);
  g_clear_pointer (&damaged, g_free);
  gst_deinit ();
  return rc;
}

char *
test_path (const char *name)
{
  return g_build_filename (folder, name, NULL);
}

const char *
test_model (void)
{
  g_autoptr (GError) error = NULL;

  if (!model) {
    g_autoptr (UmedptDescription) description =
        umedpt_description_new ("swinv2-nano", &error);
    g_autoptr (UmedptModel) made = NULL;

    g_assert_no_error (error);
    description->input_width = description->input_height = 64;
    made = umedpt_model_new_initialised (description, 1, &error);
    g_assert_no_error (error);
    model = test_path ("nano.safetensors");
    umedpt_model_save (made, model, &error);
    g_assert_no_error (error);
  }
  return model;
}

void
test_run_line (const char *line)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GstElement) pipeline = gst_parse_launch (line, &error);
  g_autoptr (GstBus) bus = NULL;
  g_autoptr (GstMessage) message = NULL;

  g_assert_no_error (error);
  bus = gst_element_get_bus (pipeline);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);
  message = gst_bus_timed_pop_filtered (bus, 30 * GST_SECOND,
      GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
  g_assert_nonnull (message);
  g_assert_cmpint (GST_MESSAGE_TYPE (message), ==, GST_MESSAGE_EOS);
  gst_element_set_state (pipeline, GST_STATE_NULL);
}

/* Set by the build for the tests that run on a device. */
static gboolean
on_device (void)
{
  return g_strcmp0 (g_getenv ("UMEDPT_BACKEND"), "cuda") == 0;
}

GstBuffer *
test_pull (GstHarness *h)
{
  GstBuffer *buffer =
      on_device () ? gst_harness_pull (h) : gst_harness_try_pull (h);

  g_assert_nonnull (buffer);
  return buffer;
}

void
test_received (GstHarness *h, guint n)
{
  for (guint ms = 0;
       on_device () && ms < 10000 && gst_harness_buffers_received (h) < n; ms++)
    g_usleep (1000);
  g_assert_cmpuint (gst_harness_buffers_received (h), ==, n);
}

GstFlowReturn
test_refuse (GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
  gst_buffer_unref (buffer);
  return GST_FLOW_EOS;
}

const char *
test_slide (void)
{
  if (!slide) {
    g_autofree char *line = NULL;
    slide = test_path ("slide.png");
    line = g_strdup_printf ("videotestsrc num-buffers=1 pattern=zone-plate "
                            "kx2=20 ky2=20 kt=1 ! video/x-raw,format=RGB,"
                            "width=640,height=400 ! pngenc ! "
                            "filesink location=%s",
        slide);
    test_run_line (line);
  }
  return slide;
}

static void
write_tiff (const char *path)
{
  TIFF *tiff = TIFFOpen (path, "w");
  guint8 tile[128 * 128 * 3];

  g_assert_nonnull (tiff);
  TIFFSetField (tiff, TIFFTAG_IMAGEWIDTH, 512);
  TIFFSetField (tiff, TIFFTAG_IMAGELENGTH, 512);
  TIFFSetField (tiff, TIFFTAG_TILEWIDTH, 128);
  TIFFSetField (tiff, TIFFTAG_TILELENGTH, 128);
  TIFFSetField (tiff, TIFFTAG_BITSPERSAMPLE, 8);
  TIFFSetField (tiff, TIFFTAG_SAMPLESPERPIXEL, 3);
  TIFFSetField (tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
  TIFFSetField (tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_RGB);
  TIFFSetField (tiff, TIFFTAG_COMPRESSION, COMPRESSION_ADOBE_DEFLATE);
  for (guint t = 0; t < 16; t++) {
    for (guint i = 0; i < sizeof tile; i++)
      tile[i] = (guint8) (i * 7 + i / 384 * 13 + t * 31);
    g_assert_cmpint (TIFFWriteEncodedTile (tiff, t, tile, sizeof tile), >, 0);
  }
  TIFFClose (tiff);
}

const char *
test_damaged_slide (void)
{
  if (!damaged) {
    guint8 rubbish[64];
    uint64_t *offsets = NULL;
    guint64 offset = 0;
    TIFF *tiff = NULL;
    FILE *file = NULL;

    damaged = test_path ("damaged.tiff");
    write_tiff (damaged);
    tiff = TIFFOpen (damaged, "r");
    g_assert_cmpint (TIFFGetField (tiff, TIFFTAG_TILEOFFSETS, &offsets), ==, 1);
    offset = offsets[2 * 4 + 1];
    TIFFClose (tiff);
    memset (rubbish, 0xff, sizeof rubbish);
    file = g_fopen (damaged, "r+b");
    g_assert_cmpint (fseek (file, (long) offset, SEEK_SET), ==, 0);
    g_assert_cmpint (fwrite (rubbish, sizeof rubbish, 1, file), ==, 1);
    fclose (file);
  }
  return damaged;
}

GstHarness *
test_embed_harness (guint batch_size, gboolean live, const char *caps,
    GstVideoInfo *info)
{
  GstElement *element = gst_element_factory_make ("umedptembed", NULL);
  g_autoptr (GstCaps) parsed = gst_caps_from_string (caps);
  GstHarness *h = NULL;

  g_assert_nonnull (element);
  gst_object_ref_sink (element);
  gst_util_set_object_arg (G_OBJECT (element), "precision", "f32");
  g_object_set (element, "model-file", test_model (), "batch-size", batch_size,
      NULL);
  g_assert_true (gst_video_info_from_caps (info, parsed));
  h = gst_harness_new_with_element (element, "sink", "src");
  gst_object_unref (element);
  gst_harness_set_live (h, live);
  gst_harness_set_src_caps_str (h, caps);
  return h;
}

GstBus *
test_bus (GstElement *element)
{
  GstBus *bus = gst_bus_new ();

  gst_element_set_bus (element, bus);
  return bus;
}

GError *
test_start_error (GstElement *element)
{
  g_autoptr (GstBus) bus = test_bus (element);
  g_autoptr (GstMessage) message = NULL;
  GError *error = NULL;

  g_assert_cmpint (gst_element_set_state (element, GST_STATE_READY), ==,
      GST_STATE_CHANGE_SUCCESS);
  g_assert_cmpint (gst_element_set_state (element, GST_STATE_PAUSED), ==,
      GST_STATE_CHANGE_FAILURE);
  message = test_pop (bus, GST_MESSAGE_ERROR);
  g_assert_nonnull (message);
  gst_message_parse_error (message, &error, NULL);
  /* one says it all; a second would come last and stay in mind */
  g_clear_pointer (&message, gst_message_unref);
  message = test_pop (bus, GST_MESSAGE_ERROR);
  g_assert_null (message);
  gst_element_set_state (element, GST_STATE_NULL);
  gst_element_set_bus (element, NULL);
  g_test_message ("%s", error->message);
  return error;
}

GstMessage *
test_pop (GstBus *bus, GstMessageType type)
{
  return gst_bus_timed_pop_filtered (bus, 0, type);
}

guint64
test_stat (GstElement *element, const char *field)
{
  g_autoptr (GstStructure) stats = NULL;
  guint64 value = 0;

  g_object_get (element, "stats", &stats, NULL);
  g_assert_true (gst_structure_get_uint64 (stats, field, &value));
  return value;
}

GstBuffer *
test_frame (const GstVideoInfo *info, guint i)
{
  GstBuffer *buffer =
      gst_buffer_new_allocate (NULL, GST_VIDEO_INFO_SIZE (info), NULL);
  GstMapInfo map = GST_MAP_INFO_INIT;

  g_assert_true (gst_buffer_map (buffer, &map, GST_MAP_WRITE));
  for (gsize b = 0; b < map.size; b++)
    map.data[b] = (guint8) (b * 5 + b / 97 * 3 + i * 17);
  gst_buffer_unmap (buffer, &map);
  GST_BUFFER_PTS (buffer) = i * FRAME_TIME;
  GST_BUFFER_DURATION (buffer) = FRAME_TIME;
  return buffer;
}
