/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the decoders of image files share, and the second way to read a file:
 * as indices. A mask's numbers are names of classes and not intensities, so
 * palettes are not expanded then and 1-bit grey stays 0 and 1.
 */
#pragma once

#include "data/dataset-private.h"

G_BEGIN_DECLS

typedef enum
{
  UMEDPT_IMAGE_READ_PIXELS,
  UMEDPT_IMAGE_READ_INDICES, /* one channel, the numbers as stored */
  UMEDPT_IMAGE_READ_HEADER, /* no data, only the size */
} UmedptImageRead;

UmedptImageFile *umedpt_image_file_read_as (const char *path,
    UmedptImageRead what, GError **error);

/* Without data if @what is HEADER. NULL if a side is above
 * UMEDPT_IMAGE_MAX_SIDE or there is no memory. */
UmedptImageFile *umedpt_image_file_alloc (guint64 width, guint64 height,
    gint channels, double max, UmedptImageRead what, GError **error);

/* Errors of these do not name the file. */
UmedptImageFile *umedpt_image_file_decode_png (const guint8 *data, gsize size,
    UmedptImageRead what, GError **error);
UmedptImageFile *umedpt_image_file_decode_jpeg (const guint8 *data, gsize size,
    UmedptImageRead what, GError **error);
UmedptImageFile *umedpt_image_file_decode_tiff (const char *path,
    UmedptImageRead what, GError **error);

G_END_DECLS
