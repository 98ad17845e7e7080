/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * PNG (ISO/IEC 15948) of 1 to 16 bits by libpng, from memory, into floats.
 * Palettes become RGB and alpha is dropped, unless the numbers are asked for
 * as indices. libpng reports errors by longjmp(): everything that must
 * survive it lives in the Png structure, and nothing is freed automatically.
 */
#include "data/image-file.h"

#include <setjmp.h>
#include <string.h>

#include <png.h>

#include "base/error.h"

typedef struct
{
  const guint8 *data;
  gsize size, offset;
  UmedptImageRead what;
  char message[160];
  guint8 *rows; /* the whole image if interlaced, or a row */
  png_bytep *row_pointers;
  gint bit_depth, channels;
  UmedptImageFile *image;
  GError *error;
} Png;

static void
on_error (png_structp png, png_const_charp message)
{
  Png *self = png_get_error_ptr (png);

  g_strlcpy (self->message, message, sizeof self->message);
  png_longjmp (png, 1);
}

static void
on_warning (png_structp png, png_const_charp message)
{
}

static void
on_read (png_structp png, png_bytep out, size_t n)
{
  Png *self = png_get_io_ptr (png);

  if (n > self->size - self->offset)
    png_error (png, "the file is truncated");
  memcpy (out, self->data + self->offset, n);
  self->offset += n;
}

/* How libpng shall hand over the pixels; returns what white is. */
static double
set_transforms (Png *self, png_structp png, png_infop info)
{
  gint type = png_get_color_type (png, info);
  gint depth = png_get_bit_depth (png, info);

  if (depth < 8)
    png_set_packing (png);
  if (self->what != UMEDPT_IMAGE_READ_INDICES) {
    if (type == PNG_COLOR_TYPE_PALETTE)
      png_set_palette_to_rgb (png);
    else if (depth < 8)
      png_set_expand_gray_1_2_4_to_8 (png);
  }
  /* alpha that a tRNS chunk adds as well */
  png_set_strip_alpha (png);
  if (depth == 16)
    return 65535;
  if (self->what == UMEDPT_IMAGE_READ_INDICES && depth < 8)
    return (1 << depth) - 1;
  return 255;
}

/* FALSE with self->error set: no memory, or too large. */
static gboolean
prepare (Png *self, png_structp png, png_infop info)
{
  gsize n_rows, row_bytes;
  double max;

  png_read_info (png, info);
  max = set_transforms (self, png, info);
  n_rows = png_set_interlace_handling (png) > 1
      ? png_get_image_height (png, info)
      : 1;
  png_read_update_info (png, info);
  self->channels = png_get_channels (png, info);
  self->bit_depth = png_get_bit_depth (png, info);
  self->image = umedpt_image_file_alloc (png_get_image_width (png, info),
      png_get_image_height (png, info), self->channels, max, self->what,
      &self->error);
  if (self->image == NULL || self->what == UMEDPT_IMAGE_READ_HEADER)
    return self->image != NULL;
  row_bytes = png_get_rowbytes (png, info);
  self->rows = g_try_malloc_n (n_rows, row_bytes);
  self->row_pointers = g_try_new (png_bytep, n_rows);
  if (self->rows == NULL || self->row_pointers == NULL) {
    g_set_error (&self->error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY,
        "there is no memory for its rows");
    return FALSE;
  }
  for (gsize i = 0; i < n_rows; i++)
    self->row_pointers[i] = self->rows + i * row_bytes;
  return TRUE;
}

/* 16 bits are big-endian in PNG. */
static void
convert_row (const Png *self, const guint8 *row, gfloat *out)
{
  gsize n = (gsize) self->image->width * self->channels;

  if (self->bit_depth == 16)
    for (gsize i = 0; i < n; i++)
      out[i] = (gfloat) (row[2 * i] << 8 | row[2 * i + 1]);
  else
    for (gsize i = 0; i < n; i++)
      out[i] = row[i];
}

static gboolean
decode (Png *self, png_structp png, png_infop info)
{
  gsize stride;

  if (setjmp (png_jmpbuf (png)))
    return FALSE;
  if (!prepare (self, png, info))
    return FALSE;
  if (self->what == UMEDPT_IMAGE_READ_HEADER)
    return TRUE;
  stride = (gsize) self->image->width * self->channels;
  if (png_get_interlace_type (png, info) != PNG_INTERLACE_NONE)
    png_read_image (png, self->row_pointers);
  for (gint y = 0; y < self->image->height; y++) {
    const guint8 *row = self->rows;

    if (png_get_interlace_type (png, info) != PNG_INTERLACE_NONE)
      row = self->row_pointers[y];
    else
      png_read_row (png, self->rows, NULL);
    convert_row (self, row, self->image->data + (gsize) y * stride);
  }
  png_read_end (png, NULL);
  return TRUE;
}

UmedptImageFile *
umedpt_image_file_decode_png (const guint8 *data, gsize size,
    UmedptImageRead what, GError **error)
{
  Png self = { data, size, .what = what };
  png_structp png = png_create_read_struct (PNG_LIBPNG_VER_STRING, &self,
      on_error, on_warning);
  png_infop info = png != NULL ? png_create_info_struct (png) : NULL;
  gboolean ok = FALSE;

  if (info != NULL) {
    png_set_read_fn (png, &self, on_read);
    ok = decode (&self, png, info);
  }
  png_destroy_read_struct (&png, &info, NULL);
  g_free (self.rows);
  g_free (self.row_pointers);
  if (ok)
    return self.image;
  g_clear_pointer (&self.image, umedpt_image_file_free);
  if (self.error != NULL)
    g_propagate_error (error, self.error);
  else
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT,
        "it is truncated or damaged (%s)", self.message);
  return NULL;
}
