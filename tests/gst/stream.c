/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The stream of stream.h, made from GStreamer's functions and the public header
 * of the metas alone, as another plugin would make it.
 */
#include "stream.h"

#include <string.h>

#include "common.h"

GstElement *
test_sink (const char *path, gboolean overwrite)
{
  GstElement *element = gst_element_factory_make ("umedptslidesink", NULL);

  g_assert_nonnull (element);
  g_object_set (element, "features-location", path, "overwrite", overwrite,
      NULL);
  return gst_object_ref_sink (element);
}

GstHarness *
test_sink_harness (GstElement *element)
{
  GstHarness *h = gst_harness_new_with_element (element, "sink", NULL);

  gst_harness_set_src_caps_str (h,
      "video/x-raw,format=RGB,width=8,height=8,framerate=1/1");
  return h;
}

void
test_push_slide (GstHarness *h, guint64 n_tiles)
{
  // clang-format off
  gst_harness_push_event (h,
      gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM_STICKY,
          gst_structure_new ("umedpt-slide",
              "slide", G_TYPE_STRING, "s",
              "path", G_TYPE_STRING, "/s.svs",
              "vendor", G_TYPE_STRING, "test",
              "mpp-source", G_TYPE_STRING, "user",
              "plan-hash", G_TYPE_STRING, "0123",
              "level0-width", G_TYPE_INT64, (gint64) 100,
              "level0-height", G_TYPE_INT64, (gint64) 100,
              "level0-mpp", G_TYPE_DOUBLE, 0.5,
              "mpp", G_TYPE_DOUBLE, 0.5,
              "downsample", G_TYPE_DOUBLE, 1.0,
              "tile-size", G_TYPE_INT, 8,
              "overlap", G_TYPE_INT, 0,
              "n-tiles", G_TYPE_UINT64, n_tiles,
              "n-skipped", G_TYPE_UINT64, (guint64) 0,
              "start-index", G_TYPE_UINT64, (guint64) 0,
              NULL)));
  // clang-format on
}

void
test_add_tile (GstBuffer *buffer, guint64 i)
{
  GstCustomMeta *meta =
      gst_buffer_add_custom_meta (buffer, GST_UMEDPT_TILE_META_NAME);

  gst_structure_set (gst_custom_meta_get_structure (meta), "index",
      G_TYPE_UINT64, i, "x", G_TYPE_INT64, (gint64) (8 * i), "y", G_TYPE_INT64,
      (gint64) 16, NULL);
}

/* As another plugin would attach it, from the public header. */
void
test_add_tensor (GstBuffer *buffer, float value)
{
  float values[DIM] = { 1, 2, 3, 4, value };
  GstUmedptTensorMeta *meta =
      (GstUmedptTensorMeta *) gst_buffer_add_meta (buffer,
          gst_meta_get_info (GST_UMEDPT_TENSOR_META_NAME), NULL);

  meta->id = g_quark_from_static_string (GST_UMEDPT_TENSOR_EMBEDDING);
  meta->data_type = GST_UMEDPT_TENSOR_F32;
  meta->num_dims = 1;
  meta->dims[0] = DIM;
  meta->data = gst_buffer_new_memdup (values, sizeof values);
}

GstFlowReturn
test_push_tile (GstHarness *h, guint64 i, gboolean tile, gboolean tensor,
    float value)
{
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, 8 * 8 * 3, NULL);

  GST_BUFFER_PTS (buffer) = i * GST_SECOND;
  if (tile)
    test_add_tile (buffer, i);
  if (tensor)
    test_add_tensor (buffer, value);
  return gst_harness_push (h, buffer);
}

void
test_push_bad (GstHarness *h, guint64 i)
{
  gst_harness_push_event (h,
      gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM,
          gst_structure_new ("umedpt-bad-tile", "index", G_TYPE_UINT64, i, "x",
              G_TYPE_INT64, (gint64) (8 * i), "y", G_TYPE_INT64, (gint64) 16,
              "reason", G_TYPE_STRING, "torn", NULL)));
}

guint64
test_count (GstMessage *message, const char *field)
{
  guint64 value = 0;

  g_assert_true (gst_structure_get_uint64 (gst_message_get_structure (message),
      field, &value));
  return value;
}

/* Nothing but what tests leave there themselves: no temporary file either. */
void
test_nothing_left (const char *prefix)
{
  g_autofree char *folder = test_path ("");
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name = NULL;

  while ((name = g_dir_read_name (dir)))
    if (strstr (name, prefix))
      g_error ("%s is left behind", name);
}
