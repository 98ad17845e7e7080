/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Plain images (PNG, JPEG) as slides of one level. They are decoded whole when
 * opened, since neither format can be read from the middle; so their size is
 * limited, and larger pictures belong into a tiled TIFF.
 */
#include "data/slide-private.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

/* 1 GiB decoded. */
#define MAX_PIXELS (256u * 1024u * 1024u)

typedef struct
{
  UmedptSlideReader parent;
  gint width, height;
  guint32 *argb;
} ImageReader;

static gboolean
image_read_level (UmedptSlideReader *reader, guint level, double *x, double *y,
    gint width, gint height, guint32 *argb, GError **error)
{
  ImageReader *self = (ImageReader *) reader;
  gint64 x0 = (gint64) floor (*x), y0 = (gint64) floor (*y);
  gint64 from = CLAMP (x0, 0, self->width);
  gint64 to = CLAMP (x0 + width, 0, self->width);

  *x = (double) x0;
  *y = (double) y0;
  memset (argb, 0, (gsize) width * height * sizeof (guint32));
  for (gint i = 0; i < height; i++)
    if (y0 + i >= 0 && y0 + i < self->height && to > from)
      memcpy (argb + (gsize) i * width + (from - x0),
          self->argb + (gsize) (y0 + i) * self->width + from,
          (gsize) (to - from) * sizeof (guint32));
  return TRUE;
}

static void
image_close (UmedptSlideReader *reader)
{
  ImageReader *self = (ImageReader *) reader;

  g_free (self->argb);
  umedpt_slide_reader_clear (reader);
  g_free (self);
}

static const UmedptSlideReaderClass image_reader_class = {
  .subpixel = FALSE,
  .read_level = image_read_level,
  .close = image_close,
};

guint32 *
umedpt_image_alloc (guint64 width, guint64 height, GError **error)
{
  guint32 *argb = NULL;

  if (width < 1 || height < 1 || width > MAX_PIXELS ||
      height > MAX_PIXELS / width) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
        "it has %" G_GUINT64_FORMAT " x %" G_GUINT64_FORMAT
        " pixels, and plain images are held in memory, up to %u million "
        "pixels; convert it to a tiled TIFF (vips tiffsave --tile --pyramid)",
        width, height, MAX_PIXELS / 1000000);
    return NULL;
  }
  argb = g_try_new (guint32, (gsize) (width * height));
  if (argb == NULL)
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY,
        "there is no memory for %" G_GUINT64_FORMAT " x %" G_GUINT64_FORMAT
        " pixels",
        width, height);
  return argb;
}

UmedptSlideReader *
umedpt_slide_reader_open_image (const char *path, GError **error)
{
  g_autoptr (GMappedFile) file = g_mapped_file_new (path, FALSE, NULL);
  const guint8 *data;
  guint32 *argb;
  gint width = 0, height = 0;
  GError *local = NULL;
  gboolean png;
  ImageReader *self;

  if (file == NULL || g_mapped_file_get_length (file) == 0) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_IO,
        "Cannot read the image “%s”.", path);
    return NULL;
  }
  data = (const guint8 *) g_mapped_file_get_contents (file);
  png = data[0] == 0x89;
  argb = (png ? umedpt_png_decode : umedpt_jpeg_decode) (data,
      g_mapped_file_get_length (file), &width, &height, &local);
  if (argb == NULL) {
    g_set_error (error, UMEDPT_ERROR, local->code,
        "Cannot read the %s image “%s”: %s.", png ? "PNG" : "JPEG", path,
        local->message);
    g_error_free (local);
    return NULL;
  }
  self = g_new0 (ImageReader, 1);
  umedpt_slide_reader_init (&self->parent, &image_reader_class, path, "image");
  self->width = width;
  self->height = height;
  self->argb = argb;
  umedpt_slide_reader_add_level (&self->parent, width, height);
  return &self->parent;
}
