/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A mask as a picture of its own, GRAY8, instead of the one that it was made
 * of.
 */
#pragma once

#include <gst/video/video.h>

G_BEGIN_DECLS

/* What the other pad can have if this one (@direction) has @caps. */
GstCaps *gst_umedpt_segment_picture_caps (GstPadDirection direction,
    GstCaps *caps);
/* @buffer: (transfer full), with @info's caps; @result: (nullable) its mask;
 * @nothing: the value of pixels that it does not cover. (transfer full) */
GstBuffer *gst_umedpt_segment_make_picture (GstBuffer *buffer,
    const GstStructure *result, guint8 nothing, const GstVideoInfo *info);

G_END_DECLS
