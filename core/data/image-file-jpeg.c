/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * JPEG (ITU-T T.81) by libjpeg, from memory, into floats: grey stays grey,
 * colour becomes RGB, CMYK is refused, because what its inks look like is not
 * in the file. libjpeg goes on after damage and fills the rest with grey; such
 * warnings are errors here. It reports errors by longjmp(): what must survive
 * it lives in the Jpeg structure, and nothing is freed automatically.
 */
#include "data/image-file.h"

#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>
#include <jerror.h>

#include "base/error.h"

typedef struct
{
  struct jpeg_error_mgr manager; /* first: libjpeg knows only this */
  jmp_buf jump;
  UmedptImageRead what;
  char message[JMSG_LENGTH_MAX];
  guint8 *row;
  UmedptImageFile *image;
  GError *error;
} Jpeg;

static void
on_error (j_common_ptr info)
{
  Jpeg *self = (Jpeg *) info->err;

  info->err->format_message (info, self->message);
  longjmp (self->jump, 1);
}

/* Level -1 is a warning: of these only untidiness without effect on pixels
 * is let through. */
static void
on_message (j_common_ptr info, int level)
{
  int code = info->err->msg_code;

  if (level < 0 && code != JWRN_EXTRANEOUS_DATA && code != JWRN_ADOBE_XFORM &&
      code != JWRN_JFIF_MAJOR)
    on_error (info);
}

static void
on_output (j_common_ptr info)
{
}

/* FALSE with self->error set. */
static gboolean
prepare (Jpeg *self, struct jpeg_decompress_struct *info)
{
  gboolean grey = info->jpeg_color_space == JCS_GRAYSCALE;

  if (info->jpeg_color_space == JCS_CMYK ||
      info->jpeg_color_space == JCS_YCCK) {
    g_set_error (&self->error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
        "it is a CMYK JPEG; convert it to RGB (magick in.jpg -colorspace sRGB "
        "out.png)");
    return FALSE;
  }
  info->out_color_space = grey ? JCS_GRAYSCALE : JCS_RGB;
  self->image = umedpt_image_file_alloc (info->image_width, info->image_height,
      grey ? 1 : 3, 255, self->what, &self->error);
  return self->image != NULL;
}

static gboolean
decode (Jpeg *self, struct jpeg_decompress_struct *info, const guint8 *data,
    gsize size)
{
  gsize stride;

  if (setjmp (self->jump))
    return FALSE;
  jpeg_create_decompress (info);
  jpeg_mem_src (info, (guint8 *) data, (gulong) size);
  jpeg_read_header (info, TRUE);
  if (!prepare (self, info))
    return FALSE;
  if (self->what == UMEDPT_IMAGE_READ_HEADER)
    return TRUE;
  jpeg_start_decompress (info);
  stride = (gsize) self->image->width * self->image->channels;
  self->row = g_malloc (stride);
  while (info->output_scanline < info->output_height) {
    gfloat *out = self->image->data + info->output_scanline * stride;

    jpeg_read_scanlines (info, &self->row, 1);
    for (gsize i = 0; i < stride; i++)
      out[i] = self->row[i];
  }
  jpeg_finish_decompress (info);
  return TRUE;
}

UmedptImageFile *
umedpt_image_file_decode_jpeg (const guint8 *data, gsize size,
    UmedptImageRead what, GError **error)
{
  struct jpeg_decompress_struct info = { 0 };
  Jpeg self = { .what = what };
  gboolean ok;

  info.err = jpeg_std_error (&self.manager);
  self.manager.error_exit = on_error;
  self.manager.emit_message = on_message;
  self.manager.output_message = on_output;
  ok = decode (&self, &info, data, size);
  jpeg_destroy_decompress (&info);
  g_free (self.row);
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
