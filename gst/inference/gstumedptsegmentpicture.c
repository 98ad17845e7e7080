/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The mask is enlarged by the nearest pixel: between two classes there is
 * nothing to interpolate.
 */
#include "inference/gstumedptsegmentpicture.h"

#include <string.h>

#include "common/gstumedptresults.h"
#include "inference/gstumedptcuda.h"
#include "inference/gstumedptfeatures.h"

#define MAX_BITS 8 /* labels of a multi-label mask that fit into a pixel */

/* Formats and colours of one pad say nothing about those of the other; and the
 * mask is made in system memory, wherever the picture is. */
GstCaps *
gst_umedpt_segment_picture_caps (GstPadDirection direction, GstCaps *caps)
{
  GstCaps *result = gst_caps_copy (caps);
  g_auto (GValue) formats = G_VALUE_INIT;

  g_value_init (&formats, GST_TYPE_LIST);
  gst_value_deserialize (&formats, GST_UMEDPT_FORMATS);
  for (guint i = 0; i < gst_caps_get_size (result); i++) {
    GstStructure *s = gst_caps_get_structure (result, i);

    gst_structure_remove_fields (s, "format", "colorimetry", "chroma-site",
        NULL);
    if (direction == GST_PAD_SINK)
      gst_structure_set (s, "format", G_TYPE_STRING, "GRAY8", NULL);
    else
      gst_structure_set_value (s, "format", &formats);
    gst_caps_set_features (result, i, NULL);
  }
  if (direction == GST_PAD_SRC)
    gst_umedpt_cuda_add_caps (result);
  return result;
}

/* The value of the picture's pixel for that of the mask. */
static guint8
pack (const guint8 *pixel, gint planes)
{
  guint8 bits = 0;

  if (planes == 1)
    return *pixel;
  for (gint i = 0; i < MIN (planes, MAX_BITS); i++)
    bits |= (guint8) (pixel[i] << i);
  return bits;
}

/* The mask's row or column under the centre of the picture's @i, or -1. */
static gint
under (gint i, gdouble at, gdouble size, gint n)
{
  const gdouble position = (i + 0.5 - at) / size * n;

  return position >= 0 && position < n ? (gint) position : -1;
}

static void
fill (const GstUmedptMask *mask, gint width, gint height, gsize stride,
    guint8 *data)
{
  g_autofree gint *columns = g_new (gint, width);

  for (gint x = 0; x < width; x++)
    columns[x] = under (x, mask->x, mask->w, mask->width);
  for (gint y = 0; y < height; y++) {
    const gint row = under (y, mask->y, mask->h, mask->height);
    guint8 *out = data + (gsize) y * stride;

    for (gint x = 0; row >= 0 && x < width; x++)
      if (columns[x] >= 0)
        out[x] = pack (mask->data +
                ((gsize) row * (gsize) mask->width + (gsize) columns[x]) *
                    (gsize) mask->planes,
            mask->planes);
  }
}

GstBuffer *
gst_umedpt_segment_make_picture (GstBuffer *buffer, const GstStructure *result,
    guint8 nothing, const GstVideoInfo *info)
{
  const gint width = GST_VIDEO_INFO_WIDTH (info);
  const gint height = GST_VIDEO_INFO_HEIGHT (info);
  const gsize stride = GST_ROUND_UP_4 ((gsize) width);
  const gsize size = stride * (gsize) height;
  guint8 *data = g_malloc (size);
  GstBuffer *picture = NULL;
  GstVideoMeta *layout = NULL;
  GstUmedptMask mask;

  memset (data, nothing, size);
  if (result && gst_umedpt_result_get_mask (result, &mask))
    fill (&mask, width, height, stride, data);
  picture = gst_buffer_new_wrapped (data, size);
  gst_buffer_copy_into (picture, buffer,
      GST_BUFFER_COPY_FLAGS | GST_BUFFER_COPY_TIMESTAMPS | GST_BUFFER_COPY_META,
      0, -1);
  layout = gst_buffer_get_video_meta (picture);
  if (layout) /* of the other picture's bytes */
    gst_buffer_remove_meta (picture, &layout->meta);
  gst_umedpt_features_release (picture, NULL); /* as well */
  gst_buffer_unref (buffer);
  return picture;
}
