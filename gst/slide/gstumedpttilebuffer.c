/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The tile reader's rows follow each other without padding; GStreamer's begin
 * at multiples of four bytes unless a GstVideoMeta says otherwise. For widths
 * that are multiples of four both are the same.
 */
#include "slide/gstumedpttilebuffer.h"

#include <string.h>

static GstBuffer *
copy_padded (const GstVideoInfo *info, GBytes *pixels)
{
  const guint8 *from = g_bytes_get_data (pixels, NULL);
  gsize row = (gsize) GST_VIDEO_INFO_WIDTH (info) * 3;
  gsize stride = GST_VIDEO_INFO_PLANE_STRIDE (info, 0);
  gint height = GST_VIDEO_INFO_HEIGHT (info);
  gsize size = GST_VIDEO_INFO_SIZE (info);
  guint8 *to = g_malloc0 (size);

  for (gint y = 0; y < height; y++)
    memcpy (to + y * stride, from + y * row, row);
  return gst_buffer_new_wrapped (to, size);
}

GstBuffer *
gst_umedpt_tile_buffer_new (const GstVideoInfo *info, gboolean copy_rows,
    const UmedptTile *tile, GBytes *pixels)
{
  gint size = GST_VIDEO_INFO_WIDTH (info);
  gint stride[GST_VIDEO_MAX_PLANES] = { size * 3 };
  gsize offset[GST_VIDEO_MAX_PLANES] = { 0 };
  GstBuffer *buffer = NULL;

  if (copy_rows) {
    buffer = copy_padded (info, pixels);
  } else {
    buffer = gst_buffer_new_wrapped_bytes (pixels);
    if (stride[0] != GST_VIDEO_INFO_PLANE_STRIDE (info, 0))
      gst_buffer_add_video_meta_full (buffer, GST_VIDEO_FRAME_FLAG_NONE,
          GST_VIDEO_FORMAT_RGB, size, size, 1, offset, stride);
  }
  GST_BUFFER_PTS (buffer) = tile->index * GST_SECOND;
  GST_BUFFER_DURATION (buffer) = GST_SECOND;
  GST_BUFFER_OFFSET (buffer) = tile->index;
  GST_BUFFER_OFFSET_END (buffer) = tile->index + 1;
  return buffer;
}
