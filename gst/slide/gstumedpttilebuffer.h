/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A tile's pixels as a buffer.
 */
#pragma once

#include <gst/video/video.h>

#include "data/tiles.h"

G_BEGIN_DECLS

/* @info: RGB of the tile's size. The pixels are shared, unless @copy_rows asks
 * for rows padded as GStreamer pads them. Time is the tile's index in seconds.
 * (transfer full) */
GstBuffer *gst_umedpt_tile_buffer_new (const GstVideoInfo *info,
    gboolean copy_rows, const UmedptTile *tile, GBytes *pixels);

G_END_DECLS
