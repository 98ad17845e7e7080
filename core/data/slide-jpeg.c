/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Decoding of JPEG (ITU-T T.81) by libjpeg, from memory, into opaque ARGB.
 * libjpeg goes on after damage and fills the rest with grey; such warnings
 * are errors here, because a made-up picture must not pass as tissue. It
 * reports errors by longjmp(): what must survive it lives in the Jpeg
 * structure, and nothing is freed automatically.
 */
#include "data/slide-private.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "base/error.h"

typedef struct
{
  struct jpeg_error_mgr manager; /* first: libjpeg knows only this */
  jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
  guint32 *argb;
  guint8 *row;
  gint width, height;
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

/* Adobe's CMYK is stored inverted: 255 = no ink. */
static void
convert_row (Jpeg *self, int n_channels, guint32 *argb)
{
  const guint8 *p = self->row;

  for (gint i = 0; i < self->width; i++, p += n_channels) {
    guint32 r = p[0], g = p[1], b = p[2];

    if (n_channels == 4) {
      r = r * p[3] / 255;
      g = g * p[3] / 255;
      b = b * p[3] / 255;
    }
    argb[i] = 0xff000000u | r << 16 | g << 8 | b;
  }
}

static gboolean
decode (Jpeg *self, struct jpeg_decompress_struct *info, const guint8 *data,
    gsize size)
{
  if (setjmp (self->jump))
    return FALSE;
  jpeg_create_decompress (info);
  jpeg_mem_src (info, (guint8 *) data, (gulong) size);
  jpeg_read_header (info, TRUE);
  if (info->jpeg_color_space == JCS_CMYK || info->jpeg_color_space == JCS_YCCK)
    info->out_color_space = JCS_CMYK;
  else
    info->out_color_space = JCS_RGB;
  self->argb =
      umedpt_image_alloc (info->image_width, info->image_height, &self->error);
  if (self->argb == NULL)
    return FALSE;
  jpeg_start_decompress (info);
  self->width = (gint) info->output_width;
  self->height = (gint) info->output_height;
  self->row = g_malloc ((gsize) self->width * info->output_components);
  while (info->output_scanline < info->output_height) {
    guint32 *argb = self->argb + (gsize) info->output_scanline * self->width;

    jpeg_read_scanlines (info, &self->row, 1);
    convert_row (self, info->output_components, argb);
  }
  jpeg_finish_decompress (info);
  return TRUE;
}

guint32 *
umedpt_jpeg_decode (const guint8 *data, gsize size, gint *width, gint *height,
    GError **error)
{
  struct jpeg_decompress_struct info = { 0 };
  Jpeg self = { 0 };
  gboolean ok;

  info.err = jpeg_std_error (&self.manager);
  self.manager.error_exit = on_error;
  self.manager.emit_message = on_message;
  self.manager.output_message = on_output;
  ok = decode (&self, &info, data, size);
  jpeg_destroy_decompress (&info);
  g_free (self.row);
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
