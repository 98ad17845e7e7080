/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A decoded frame as RGB, the very numbers of `ffmpeg -pix_fmt rgb24`: matrix
 * and range as the stream says (ITU-T H.273), BT.601 and studio range where it
 * does not, and the scaler's usual way to bring chroma to full size. The
 * numbers of GStreamer's videoconvert are 1 or 2 of 255 lower, at most 5.
 */
#include <string.h>

#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>

#include "data/clip-ffmpeg.h"
#include "data/dataset-private.h"

static gboolean
set_colours (const AVFrame *frame, struct SwsContext **scale)
{
  const AVPixFmtDescriptor *format = av_pix_fmt_desc_get (frame->format);
  gboolean full = frame->color_range == AVCOL_RANGE_JPEG;
  const int *matrix = sws_getCoefficients (frame->colorspace);

  if (format == NULL)
    return FALSE;
  if (frame->color_range == AVCOL_RANGE_UNSPECIFIED)
    full = g_str_has_prefix (format->name, "yuvj");
  *scale = sws_getCachedContext (*scale, frame->width, frame->height,
      frame->format, frame->width, frame->height, AV_PIX_FMT_RGB24, SWS_BICUBIC,
      NULL, NULL, NULL);
  if (*scale == NULL)
    return FALSE;
  /* refused where there is nothing to set: RGB, grey */
  sws_setColorspaceDetails (*scale, matrix, full, matrix, 1, 0, 1 << 16,
      1 << 16);
  return TRUE;
}

/* [height, width, 3]; NULL: no memory, or a format that cannot be converted */
guint8 *
umedpt_clip_to_rgb (const AVFrame *frame, struct SwsContext **scale)
{
  gint width = frame->width, height = frame->height;
  gsize row = (gsize) width * 3;
  guint8 *planes[4] = { NULL }, *rgb = NULL;
  gint strides[4] = { 0 };

  if (width < 1 || height < 1 || width > UMEDPT_IMAGE_MAX_SIDE ||
      height > UMEDPT_IMAGE_MAX_SIDE ||
      (gint64) width * height > UMEDPT_CLIP_MAX_PIXELS ||
      !set_colours (frame, scale))
    return NULL;
  /* rows end where the widest vector does */
  if (av_image_alloc (planes, strides, width, height, AV_PIX_FMT_RGB24, 64) < 0)
    return NULL;
  if (sws_scale (*scale, (const guint8 *const *) frame->data, frame->linesize,
          0, height, planes, strides) == height)
    rgb = g_try_malloc_n ((gsize) height, row);
  for (gint y = 0; rgb != NULL && y < height; y++)
    memcpy (rgb + (gsize) y * row, planes[0] + (gsize) y * (gsize) strides[0],
        row);
  av_freep (&planes[0]);
  return rgb;
}
