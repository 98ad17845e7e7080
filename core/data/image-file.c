/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Any image file as floats, with the numbers that it stores: which decoder it
 * needs is told by its first bytes, not by its name. Orientation tags (EXIF,
 * TIFF) are not applied, because masks and boxes were drawn on the pixels as
 * they are stored; alpha is dropped; of a TIFF with several pages the first
 * is read.
 */
#include "data/image-file.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include <glib/gstdio.h>

#include "base/error.h"
#include "tensor/storage.h"

#define MAX_FILE ((guint64) 1 << 30)
/* As a sample of three floats per pixel: 1.5 GiB. */
#define MAX_PIXELS ((guint64) 1 << 27)

UmedptImageFile *
umedpt_image_file_alloc (guint64 width, guint64 height, gint channels,
    double max, UmedptImageRead what, GError **error)
{
  UmedptImageFile *self = NULL;
  gfloat *data = NULL;

  if (width < 1 || height < 1 || width > UMEDPT_IMAGE_MAX_SIDE ||
      height > UMEDPT_IMAGE_MAX_SIDE || width * height > MAX_PIXELS) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
        "it has %" G_GUINT64_FORMAT " x %" G_GUINT64_FORMAT
        " pixels; images of 1 to %d pixels per side and at most %d "
        "million in all are read whole (larger ones as slides: format=slides)",
        width, height, UMEDPT_IMAGE_MAX_SIDE, (gint) (MAX_PIXELS / 1000000));
    return NULL;
  }
  if (what != UMEDPT_IMAGE_READ_HEADER) {
    data = umedpt_scratch_new ((gsize) (width * height * (guint64) channels) *
        sizeof (gfloat));
    if (data == NULL) {
      g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY,
          "there is no memory for %" G_GUINT64_FORMAT " x %" G_GUINT64_FORMAT
          " pixels",
          width, height);
      return NULL;
    }
  }
  self = g_new0 (UmedptImageFile, 1);
  self->width = (gint) width;
  self->height = (gint) height;
  self->channels = channels;
  self->max = max;
  self->data = data;
  return self;
}

void
umedpt_image_file_free (UmedptImageFile *self)
{
  umedpt_scratch_free (self->data);
  g_free (self);
}

/* The content of @path; a device or pipe is refused, which could block. */
static gboolean
load (const char *path, char **content, gsize *size, GError **error)
{
  GStatBuf info;

  if (g_stat (path, &info) != 0) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NOT_FOUND,
        "it does not exist or its folder cannot be entered");
    return FALSE;
  }
  if (!S_ISREG (info.st_mode) || (guint64) info.st_size > MAX_FILE) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
        "it is no regular file of at most 1 GiB");
    return FALSE;
  }
  if (!g_file_get_contents (path, content, size, NULL)) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_IO,
        "it cannot be read (is it yours?)");
    return FALSE;
  }
  return TRUE;
}

static UmedptImageFile *
decode (const char *path, UmedptImageRead what, GError **error)
{
  g_autofree char *content = NULL;
  const guint8 *data;
  gsize size = 0;

  if (!load (path, &content, &size, error))
    return NULL;
  data = (const guint8 *) content;
  if (size >= 8 && memcmp (data, "\x89PNG\r\n\x1a\n", 8) == 0)
    return umedpt_image_file_decode_png (data, size, what, error);
  if (size >= 3 && memcmp (data, "\xff\xd8\xff", 3) == 0) {
    if (what == UMEDPT_IMAGE_READ_INDICES) {
      g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
          "it is a JPEG, which changes numbers; masks must be PNG or TIFF");
      return NULL;
    }
    return umedpt_image_file_decode_jpeg (data, size, what, error);
  }
  if (size >= 4 &&
      (memcmp (data, "II", 2) == 0 || memcmp (data, "MM", 2) == 0)) {
    g_clear_pointer (&content, g_free);
    return umedpt_image_file_decode_tiff (path, what, error);
  }
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT,
      size == 0 ? "it is empty"
                : "it is no PNG, JPEG or TIFF by its first bytes");
  return NULL;
}

/* Numbers as they mean classes: one channel, or three that agree. */
static UmedptImageFile *
one_channel (UmedptImageFile *self, GError **error)
{
  gsize n = (gsize) self->width * self->height;

  if (self->channels == 1)
    return self;
  for (gsize i = 0; i < n; i++) {
    const gfloat *p = self->data + 3 * i;

    if (p[0] != p[1] || p[0] != p[2]) {
      g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT,
          "it is in colour (pixel %d, %d is %g, %g, %g); a mask has one number "
          "per pixel, grey or palette",
          (gint) (i % self->width), (gint) (i / self->width), p[0], p[1], p[2]);
      umedpt_image_file_free (self);
      return NULL;
    }
    self->data[i] = p[0];
  }
  self->channels = 1;
  return self;
}

/* Float images may hold anything; what is no number has no place in them. */
static UmedptImageFile *
all_finite (UmedptImageFile *self, GError **error)
{
  gsize n = (gsize) self->width * self->height * self->channels;

  for (gsize i = 0; i < n; i++)
    if (!isfinite (self->data[i])) {
      gsize at = i / self->channels;

      g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
          "pixel %d, %d is no finite number", (gint) (at % self->width),
          (gint) (at / self->width));
      umedpt_image_file_free (self);
      return NULL;
    }
  return self;
}

UmedptImageFile *
umedpt_image_file_read_as (const char *path, UmedptImageRead what,
    GError **error)
{
  GError *local = NULL;
  UmedptImageFile *self = decode (path, what, &local);

  if (self != NULL && self->data != NULL)
    self = all_finite (self, &local);
  if (self != NULL && what == UMEDPT_IMAGE_READ_INDICES)
    self = one_channel (self, &local);
  if (self == NULL) {
    g_autofree char *shown = g_filename_display_name (path);
    const char *end;

    if (!g_utf8_validate (local->message, -1, &end))
      local->message[end - local->message] = '\0';
    g_set_error (error, UMEDPT_ERROR, local->code,
        "Cannot read the image “%s”: %s.", shown, local->message);
    g_error_free (local);
  }
  return self;
}

UmedptImageFile *
umedpt_image_file_read (const char *path, GError **error)
{
  return umedpt_image_file_read_as (path, UMEDPT_IMAGE_READ_PIXELS, error);
}

gboolean
umedpt_image_file_size (const char *path, gint *width, gint *height,
    GError **error)
{
  g_autoptr (UmedptImageFile) self =
      umedpt_image_file_read_as (path, UMEDPT_IMAGE_READ_HEADER, error);

  if (self == NULL)
    return FALSE;
  *width = self->width;
  *height = self->height;
  return TRUE;
}

UmedptSample *
umedpt_image_file_to_sample (const UmedptImageFile *image, double window_low,
    double window_high)
{
  UmedptSample *sample = umedpt_sample_new (image->width, image->height);
  gsize n = (gsize) image->width * image->height;
  gboolean windowed = window_low != 0 || window_high != 0;
  double low = windowed ? window_low : 0;
  double range = windowed ? window_high - window_low : image->max;

  for (gsize i = 0; i < n; i++)
    for (gint c = 0; c < 3; c++) {
      double value =
          image->data[i * image->channels + (image->channels == 3 ? c : 0)];

      sample->image[3 * i + c] = (gfloat) CLAMP ((value - low) / range, 0, 1);
    }
  return sample;
}
