/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What clip-ffmpeg.c, which decodes, uses of its neighbours: the conversion to
 * RGB, and silence.
 */
#pragma once

#include <glib.h>
#include <libavutil/frame.h>

G_BEGIN_DECLS

/* Around every use of libav. */
void umedpt_clip_begin_silence (void);
void umedpt_clip_end_silence (void);

#define UMEDPT_CLIP_MAX_PIXELS ((gint64) 1 << 27) /* as image files */

struct SwsContext;

/* [height, width, 3]; NULL: too large, no memory, or a format that cannot be
 * converted. @scale: kept for the next frame; NULL at first, to be freed. */
guint8 *umedpt_clip_to_rgb (const AVFrame *frame, struct SwsContext **scale);

G_END_DECLS
