/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Decoding of PNG (ISO/IEC 15948) by libpng, from memory, into premultiplied
 * ARGB. Palette, grey, transparency and 16 bits are expanded or cut to 8-bit
 * RGBA. libpng reports errors by longjmp(): everything that must survive it
 * lives in the Png structure, and nothing is freed automatically.
 */
#include "data/slide-private.h"

#include <setjmp.h>
#include <string.h>

#include <png.h>

#include "base/error.h"

typedef struct
{
  const guint8 *data;
  gsize size, offset;
  char message[160];
  guint32 *argb;
  guint8 *rows; /* RGBA of the whole image for interlaced files, or a row */
  png_bytep *row_pointers;
  gint width, height;
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

static guint32
multiply (guint32 v, guint32 a)
{
  return (v * a + 127) / 255;
}

static void
premultiply (const guint8 *rgba, guint32 *argb, gint n)
{
  for (gint i = 0; i < n; i++, rgba += 4) {
    guint32 a = rgba[3];

    argb[i] = a << 24 | multiply (rgba[0], a) << 16 |
        multiply (rgba[1], a) << 8 | multiply (rgba[2], a);
  }
}

/* FALSE with self->error set: no memory, or too large. */
static gboolean
prepare (Png *self, png_structp png, png_infop info)
{
  gsize n_rows;

  png_read_info (png, info);
  png_set_expand (png);
  png_set_scale_16 (png);
  png_set_gray_to_rgb (png);
  png_set_add_alpha (png, 255, PNG_FILLER_AFTER);
  n_rows = png_set_interlace_handling (png) > 1
      ? png_get_image_height (png, info)
      : 1;
  png_read_update_info (png, info);
  self->argb = umedpt_image_alloc (png_get_image_width (png, info),
      png_get_image_height (png, info), &self->error);
  if (self->argb == NULL)
    return FALSE;
  self->width = (gint) png_get_image_width (png, info);
  self->height = (gint) png_get_image_height (png, info);
  self->rows = g_try_malloc_n (n_rows * self->width, 4);
  self->row_pointers = g_try_new (png_bytep, n_rows);
  if (self->rows == NULL || self->row_pointers == NULL) {
    g_set_error (&self->error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY,
        "there is no memory for its rows");
    return FALSE;
  }
  for (gsize i = 0; i < n_rows; i++)
    self->row_pointers[i] = self->rows + i * self->width * 4;
  return TRUE;
}

static gboolean
decode (Png *self, png_structp png, png_infop info)
{
  if (setjmp (png_jmpbuf (png)))
    return FALSE;
  if (!prepare (self, png, info))
    return FALSE;
  if (png_get_interlace_type (png, info) != PNG_INTERLACE_NONE) {
    png_read_image (png, self->row_pointers);
    premultiply (self->rows, self->argb, self->width * self->height);
  } else {
    for (gint y = 0; y < self->height; y++) {
      png_read_row (png, self->rows, NULL);
      premultiply (self->rows, self->argb + (gsize) y * self->width,
          self->width);
    }
  }
  png_read_end (png, NULL);
  return TRUE;
}

guint32 *
umedpt_png_decode (const guint8 *data, gsize size, gint *width, gint *height,
    GError **error)
{
  Png self = { data, size };
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
  if (ok) {
    *width = self.width;
    *height = self.height;
    return self.argb;
  }
  g_free (self.argb);
  if (self.error != NULL)
    g_propagate_error (error, self.error);
  else
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT, "it is damaged (%s)",
        self.message);
  return NULL;
}
