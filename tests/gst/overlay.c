/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The harness of overlay.h.
 */
#include "overlay.h"

void
overlay_set_caps (Overlay *overlay, const char *format, gint width, gint height)
{
  g_autofree char *text = g_strdup_printf ("video/x-raw,format=%s,width=%d,"
                                           "height=%d,framerate=25/1",
      format, width, height);
  g_autoptr (GstCaps) caps = gst_caps_from_string (text);

  g_assert_true (gst_video_info_from_caps (&overlay->info, caps));
  gst_harness_set_src_caps_str (overlay->h, text);
}

void
overlay_init (Overlay *overlay, const char *format, gint width, gint height)
{
  overlay->element = gst_element_factory_make ("umedptoverlay", NULL);
  g_assert_nonnull (overlay->element);
  gst_object_ref_sink (overlay->element);
  g_object_set (overlay->element, "show-state", FALSE, "line-width", 2, NULL);
  overlay->h = gst_harness_new_with_element (overlay->element, "sink", "src");
  overlay_set_caps (overlay, format, width, height);
}

void
overlay_clear (Overlay *overlay)
{
  gst_harness_teardown (overlay->h);
  gst_object_unref (overlay->element);
}

void
overlay_set (Overlay *overlay, const char *property, const char *value)
{
  gst_util_set_object_arg (G_OBJECT (overlay->element), property, value);
}

GstBuffer *
overlay_frame (const Overlay *overlay, GstClockTime pts)
{
  const gsize size = GST_VIDEO_INFO_SIZE (&overlay->info);
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, size, NULL);

  gst_buffer_memset (buffer, 0, GREY, size);
  GST_BUFFER_PTS (buffer) = pts;
  return buffer;
}

GstBuffer *
overlay_pass (Overlay *overlay, GstBuffer *buffer)
{
  g_assert_cmpint (gst_harness_push (overlay->h, buffer), ==, GST_FLOW_OK);
  buffer = gst_harness_pull (overlay->h);
  g_assert_nonnull (buffer);
  return buffer;
}

void
overlay_begin_stream (Overlay *overlay, const char *name)
{
  GstSegment segment;
  g_autoptr (GstCaps) caps = gst_video_info_to_caps (&overlay->info);

  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (overlay->h, gst_event_new_stream_start (name));
  gst_harness_push_event (overlay->h, gst_event_new_caps (caps));
  gst_harness_push_event (overlay->h, gst_event_new_segment (&segment));
}

void
overlay_flush (Overlay *overlay, double rate)
{
  GstSegment segment;

  gst_segment_init (&segment, GST_FORMAT_TIME);
  segment.rate = rate;
  gst_harness_push_event (overlay->h, gst_event_new_flush_start ());
  gst_harness_push_event (overlay->h, gst_event_new_flush_stop (TRUE));
  gst_harness_push_event (overlay->h, gst_event_new_segment (&segment));
}

GstBuffer *
overlay_draw (Overlay *overlay, GstClockTime pts, GstStructure *result)
{
  GstBuffer *buffer = overlay_frame (overlay, pts);

  if (result)
    test_attach (buffer, "things", result);
  return overlay_pass (overlay, buffer);
}

guint
overlay_count_in (const Overlay *overlay, GstBuffer *buffer, guint plane,
    gint x0, gint y0, gint x1, gint y1)
{
  GstVideoFrame frame;
  guint n = 0;
  gint bytes = 0;

  g_assert_true (gst_video_frame_map (&frame, &overlay->info, buffer,
      GST_MAP_READ));
  bytes = GST_VIDEO_FRAME_COMP_PSTRIDE (&frame, plane);
  for (gint y = y0; y < y1; y++) {
    const guint8 *row =
        (const guint8 *) GST_VIDEO_FRAME_PLANE_DATA (&frame, plane) +
        y * GST_VIDEO_FRAME_PLANE_STRIDE (&frame, plane);

    for (gint i = x0 * bytes; i < x1 * bytes; i++)
      n += row[i] != GREY;
  }
  gst_video_frame_unmap (&frame);
  return n;
}

guint
overlay_count (const Overlay *overlay, GstBuffer *buffer)
{
  return overlay_count_in (overlay, buffer, 0, 0, 0,
      GST_VIDEO_INFO_WIDTH (&overlay->info),
      GST_VIDEO_INFO_HEIGHT (&overlay->info));
}

guint
overlay_count_drawn (Overlay *overlay, GstClockTime pts, GstStructure *result)
{
  g_autoptr (GstBuffer) buffer = overlay_draw (overlay, pts, result);

  return overlay_count (overlay, buffer);
}

guint32
overlay_pixel (const Overlay *overlay, GstBuffer *buffer, gint x, gint y)
{
  GstMapInfo map = GST_MAP_INFO_INIT;
  guint32 color = 0;
  const guint8 *p = NULL;

  g_assert_true (gst_buffer_map (buffer, &map, GST_MAP_READ));
  p = map.data + y * GST_VIDEO_INFO_PLANE_STRIDE (&overlay->info, 0) +
      x * GST_VIDEO_INFO_COMP_PSTRIDE (&overlay->info, 0);
  color = (guint32) p[0] << 16 | (guint32) p[1] << 8 | p[2];
  gst_buffer_unmap (buffer, &map);
  return color;
}

static const GstUmedptBox box_here = { 20, 30, 40, 20, 0.9f, 0 };

GstStructure *
overlay_one_box (GstClockTime pts)
{
  return test_boxes (pts, &box_here, 1);
}

void
overlay_check_passes (Overlay *overlay, GstStructure *result)
{
  GstBuffer *buffer = overlay_frame (overlay, 0);
  g_autoptr (GstBuffer) held = gst_buffer_ref (buffer);
  g_autoptr (GstBuffer) out = NULL;

  gst_buffer_unref (held);
  if (result)
    test_attach (buffer, "things", result);
  gst_buffer_ref (held);
  out = overlay_pass (overlay, buffer);
  g_assert_true (out == held);
  g_assert_cmpuint (overlay_count (overlay, out), ==, 0);
}
