/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * TIFF (revision 6.0) by libtiff, into floats: strips or tiles, contiguous or
 * planar, unsigned and signed integers of 8, 16 and 32 bits, floats of 32 and
 * 64; grey, RGB, palette, and YCbCr inside JPEG. libtiff's RGBA interface would
 * cut all of it to 8 bits. Its messages go to the error, never to standard
 * error (handlers per handle: libtiff 4.5).
 */
#include "data/image-file.h"

#include <string.h>

#include <tiffio.h>

#include "base/error.h"

/* What libtiff may allocate at once; one strip or tile must fit. */
#define MAX_ALLOC (1024 * 1024 * 1024)

typedef struct
{
  TIFF *tiff;
  UmedptImageRead what;
  gboolean decoding; /* then a warning of the JPEG codec means damage */
  gboolean damaged;
  char message[256];
  guint32 width, height;
  guint32 block_width, block_height; /* of a strip or tile */
  guint16 bits, samples, format, photometric, planar;
  const guint16 *red, *green, *blue; /* of a palette */
  gboolean palette_8_bit;
  guint16 used; /* samples that are pixels: 1 or 3 */
  double max;
  UmedptImageFile *image;
} Tiff;

static int
on_error (TIFF *tiff, void *data, const char *module, const char *format,
    va_list args)
{
  Tiff *self = data;

  if (self->message[0] == '\0') /* the first is the cause */
    g_vsnprintf (self->message, sizeof self->message, format, args);
  return 1;
}

/* The JPEG codec only warns where the data end early or make no sense. */
static int
on_warning (TIFF *tiff, void *data, const char *module, const char *format,
    va_list args)
{
  Tiff *self = data;
  char text[256];

  if (!self->decoding || g_strcmp0 (module, "JPEGLib") != 0)
    return 1;
  g_vsnprintf (text, sizeof text, format, args);
  if (strstr (text, "extraneous bytes") == NULL) { /* those are harmless */
    self->damaged = TRUE;
    g_strlcpy (self->message, text, sizeof self->message);
  }
  return 1;
}

static gboolean
refuse (GError **error, const char *what, gint value, const char *allowed)
{
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
      "it is a TIFF with %s %d; %s can be read (convert it to PNG)", what,
      value, allowed);
  return FALSE;
}

static gboolean
fail (Tiff *self, GError **error)
{
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT,
      "it is truncated or damaged (%s)",
      self->message[0] != '\0' ? self->message : "no decodable pixels");
  return FALSE;
}

/* What white is; 0 if such numbers cannot be read. */
static double
find_max (const Tiff *self)
{
  gboolean is_signed = self->format == SAMPLEFORMAT_INT;

  if (self->format == SAMPLEFORMAT_IEEEFP)
    return self->bits == 32 || self->bits == 64 ? 1 : 0;
  if (self->format != SAMPLEFORMAT_UINT && !is_signed)
    return 0;
  switch (self->bits) {
    case 8:
      return is_signed ? G_MAXINT8 : G_MAXUINT8;
    case 16:
      return is_signed ? G_MAXINT16 : G_MAXUINT16;
    case 32:
      return is_signed ? G_MAXINT32 : G_MAXUINT32;
    default:
      return 0;
  }
}

/* Palettes of old programs hold 8 bits where 16 belong. */
static gboolean
read_palette (Tiff *self, GError **error)
{
  guint16 *red = NULL, *green = NULL, *blue = NULL;

  if (self->bits != 8)
    return refuse (error, "a palette and bits per sample", self->bits, "8");
  if (!TIFFGetField (self->tiff, TIFFTAG_COLORMAP, &red, &green, &blue))
    return fail (self, error);
  self->red = red;
  self->green = green;
  self->blue = blue;
  self->palette_8_bit = TRUE;
  for (gint i = 0; i < 256; i++)
    if (red[i] > 255 || green[i] > 255 || blue[i] > 255)
      self->palette_8_bit = FALSE;
  return TRUE;
}

static gboolean
read_photometric (Tiff *self, GError **error)
{
  guint16 compression = COMPRESSION_NONE;

  TIFFGetFieldDefaulted (self->tiff, TIFFTAG_COMPRESSION, &compression);
  if (!TIFFIsCODECConfigured (compression))
    return refuse (error, "compression", compression, "common compressions");
  self->used = 1;
  switch (self->photometric) {
    case PHOTOMETRIC_MINISBLACK:
    case PHOTOMETRIC_MINISWHITE:
      return TRUE;
    case PHOTOMETRIC_PALETTE:
      return read_palette (self, error);
    case PHOTOMETRIC_YCBCR:
      if (compression != COMPRESSION_JPEG)
        break;
      TIFFSetField (self->tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
      self->used = 3;
      return TRUE;
    case PHOTOMETRIC_RGB:
      self->used = 3;
      return TRUE;
    default:
      break;
  }
  return refuse (error, "colour model (PhotometricInterpretation)",
      self->photometric, "grey, RGB, palette, and YCbCr in JPEG");
}

/* Size and kind of the pixels of the first page. */
static gboolean
read_header (Tiff *self, GError **error)
{
  TIFF *tiff = self->tiff;

  if (!TIFFGetField (tiff, TIFFTAG_IMAGEWIDTH, &self->width) ||
      !TIFFGetField (tiff, TIFFTAG_IMAGELENGTH, &self->height) ||
      !TIFFGetField (tiff, TIFFTAG_PHOTOMETRIC, &self->photometric))
    return fail (self, error);
  TIFFGetFieldDefaulted (tiff, TIFFTAG_BITSPERSAMPLE, &self->bits);
  TIFFGetFieldDefaulted (tiff, TIFFTAG_SAMPLESPERPIXEL, &self->samples);
  TIFFGetFieldDefaulted (tiff, TIFFTAG_SAMPLEFORMAT, &self->format);
  TIFFGetFieldDefaulted (tiff, TIFFTAG_PLANARCONFIG, &self->planar);
  if (self->format == SAMPLEFORMAT_VOID)
    self->format = SAMPLEFORMAT_UINT;
  self->max = find_max (self);
  if (self->max == 0)
    return refuse (error, "bits per sample", self->bits,
        "integers of 8, 16 or 32 bits and floats of 32 or 64");
  if (!read_photometric (self, error))
    return FALSE;
  if (self->samples < self->used || self->samples > 32)
    return refuse (error, "samples per pixel", self->samples,
        "1 for grey, 3 for colour, and alpha");
  if (self->red != NULL && self->what != UMEDPT_IMAGE_READ_INDICES)
    self->max = self->palette_8_bit ? 255 : 65535;
  return TRUE;
}

/* Number @i of @data, decoded but as stored. */
static double
get_number (const Tiff *self, const guint8 *data, gsize i)
{
  gboolean is_signed = self->format == SAMPLEFORMAT_INT;

  if (self->format == SAMPLEFORMAT_IEEEFP)
    return self->bits == 32 ? (double) ((const gfloat *) data)[i]
                            : ((const double *) data)[i];
  switch (self->bits) {
    case 8:
      return is_signed ? ((const gint8 *) data)[i] : data[i];
    case 16:
      return is_signed ? ((const gint16 *) data)[i]
                       : ((const guint16 *) data)[i];
    default:
      return is_signed ? ((const gint32 *) data)[i]
                       : ((const guint32 *) data)[i];
  }
}

static void
put_pixel (const Tiff *self, const guint8 *data, gsize at, guint plane,
    gfloat *out)
{
  gboolean planes = self->planar == PLANARCONFIG_SEPARATE;

  if (self->red != NULL && self->what == UMEDPT_IMAGE_READ_PIXELS) {
    guint index = data[at];

    out[0] = self->red[index];
    out[1] = self->green[index];
    out[2] = self->blue[index];
    return;
  }
  for (guint c = 0; c < (planes ? 1 : self->used); c++) {
    double value = get_number (self, data, at + c);

    if (self->photometric == PHOTOMETRIC_MINISWHITE &&
        self->what == UMEDPT_IMAGE_READ_PIXELS)
      value = self->max - value;
    out[planes ? plane : c] = (gfloat) value;
  }
}

/* Copies the part of a strip or tile that lies inside the image. */
static void
put_block (Tiff *self, const guint8 *data, guint32 x0, guint32 y0, guint plane)
{
  gsize step = self->planar == PLANARCONFIG_SEPARATE ? 1 : self->samples;
  guint32 w = MIN (self->block_width, self->width - x0);
  guint32 h = MIN (self->block_height, self->height - y0);

  for (guint32 y = 0; y < h; y++) {
    gfloat *out = self->image->data +
        ((gsize) (y0 + y) * self->width + x0) * self->image->channels;

    for (guint32 x = 0; x < w; x++, out += self->image->channels)
      put_pixel (self, data, ((gsize) y * self->block_width + x) * step, plane,
          out);
  }
}

static gboolean
read_block (Tiff *self, guint32 x, guint32 y, guint plane, guint8 *buffer,
    tmsize_t size, GError **error)
{
  gsize step = self->planar == PLANARCONFIG_SEPARATE ? 1 : self->samples;
  guint32 rows = MIN (self->block_height, self->height - y);
  tmsize_t wanted = size, got;

  if (TIFFIsTiled (self->tiff)) {
    guint32 tile = TIFFComputeTile (self->tiff, x, y, 0, (guint16) plane);

    got = TIFFReadEncodedTile (self->tiff, tile, buffer, size);
  } else {
    guint32 strip = TIFFComputeStrip (self->tiff, y, (guint16) plane);

    wanted = (tmsize_t) ((gsize) rows * self->width * step * self->bits / 8);
    got = TIFFReadEncodedStrip (self->tiff, strip, buffer, wanted);
  }
  if (got < wanted || self->damaged)
    return fail (self, error);
  return TRUE;
}

static gboolean
read_blocks (Tiff *self, GError **error)
{
  guint planes = self->planar == PLANARCONFIG_SEPARATE ? self->used : 1;
  gsize step = self->planar == PLANARCONFIG_SEPARATE ? 1 : self->samples;
  g_autofree guint8 *buffer = NULL;
  gsize size;

  self->block_width = self->width;
  if (TIFFIsTiled (self->tiff)) {
    TIFFGetField (self->tiff, TIFFTAG_TILEWIDTH, &self->block_width);
    TIFFGetField (self->tiff, TIFFTAG_TILELENGTH, &self->block_height);
  } else {
    TIFFGetFieldDefaulted (self->tiff, TIFFTAG_ROWSPERSTRIP,
        &self->block_height);
    self->block_height = MIN (self->block_height, self->height);
  }
  if (!g_size_checked_mul (&size, self->block_width, self->block_height) ||
      !g_size_checked_mul (&size, size, step * self->bits / 8) || size == 0 ||
      size > MAX_ALLOC)
    return refuse (error, "pieces of a height of", (gint) self->block_height,
        "less than 1 GiB");
  /* libtiff's own idea of a piece must be ours, or numbers would shift */
  if (TIFFIsTiled (self->tiff) && (gsize) TIFFTileSize (self->tiff) != size)
    return fail (self, error);
  buffer = g_try_malloc0 (size);
  if (buffer == NULL) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY,
        "there is no memory for its pieces");
    return FALSE;
  }
  for (guint plane = 0; plane < planes; plane++)
    for (guint32 y = 0; y < self->height; y += self->block_height)
      for (guint32 x = 0; x < self->width; x += self->block_width) {
        if (!read_block (self, x, y, plane, buffer, (tmsize_t) size, error))
          return FALSE;
        put_block (self, buffer, x, y, plane);
      }
  return TRUE;
}

static gboolean
decode (Tiff *self, GError **error)
{
  gboolean colour;

  if (!read_header (self, error))
    return FALSE;
  colour = self->used == 3 ||
      (self->red != NULL && self->what != UMEDPT_IMAGE_READ_INDICES);
  self->image = umedpt_image_file_alloc (self->width, self->height,
      colour ? 3 : 1, self->max, self->what, error);
  if (self->image == NULL || self->what == UMEDPT_IMAGE_READ_HEADER)
    return self->image != NULL;
  self->decoding = TRUE;
  return read_blocks (self, error);
}

UmedptImageFile *
umedpt_image_file_decode_tiff (const char *path, UmedptImageRead what,
    GError **error)
{
  Tiff self = { .what = what, .planar = PLANARCONFIG_CONTIG };
  TIFFOpenOptions *options = TIFFOpenOptionsAlloc ();
  gboolean ok;

  if (options != NULL) {
    TIFFOpenOptionsSetMaxSingleMemAlloc (options, MAX_ALLOC);
    TIFFOpenOptionsSetErrorHandlerExtR (options, on_error, &self);
    TIFFOpenOptionsSetWarningHandlerExtR (options, on_warning, &self);
    self.tiff = TIFFOpenExt (path, "rm", options);
    TIFFOpenOptionsFree (options);
  }
  ok = self.tiff != NULL ? decode (&self, error) : fail (&self, error);
  if (self.tiff != NULL)
    TIFFClose (self.tiff);
  if (!ok)
    g_clear_pointer (&self.image, umedpt_image_file_free);
  return self.image;
}
