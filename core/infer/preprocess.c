/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Resizing and channel order. Each axis on its own: a box filter where the
 * image shrinks (every source pixel counts by the part of it that an output
 * pixel covers, so nothing is skipped and nothing aliases), bilinear with
 * pixel centres at halves where it grows, a copy where it stays. The vertical
 * pass comes first and works on whole rows of bytes in whatever order their
 * channels are; the horizontal pass then picks red, green and blue. Sums are
 * float; for a device they are rounded to bytes once at the end, elsewhere they
 * stay as they are, which is what training sees.
 */
#include "infer/preprocess.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

#define MAX_SIDE 65536 /* pixels; beyond it a caller has mixed up its fields */

static const struct
{
  gint bytes; /* per pixel */
  gint offsets[3]; /* of red, green, blue */
} formats[] = {
  [UMEDPT_PIXELS_RGB] = { 3, { 0, 1, 2 } },
  [UMEDPT_PIXELS_BGR] = { 3, { 2, 1, 0 } },
  [UMEDPT_PIXELS_RGBX] = { 4, { 0, 1, 2 } },
  [UMEDPT_PIXELS_BGRX] = { 4, { 2, 1, 0 } },
  [UMEDPT_PIXELS_GRAY8] = { 1, { 0, 0, 0 } },
};

/* How one axis is resampled: output i is the sum over k < counts[i] of
 * weights[i * max_count + k] * source[starts[i] + k]. */
typedef struct
{
  gint size; /* of the output */
  gint max_count;
  gint *starts;
  gint *counts;
  float *weights;
} Axis;

static void
axis_clear (Axis *axis)
{
  g_free (axis->starts);
  g_free (axis->counts);
  g_free (axis->weights);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Axis, axis_clear)

/* Output i covers [i, i + 1) * scale of the source. */
static void
set_box (Axis *axis, gint i, gint source)
{
  const double scale = (double) source / axis->size;
  const double begin = i * scale;
  const double end = MIN ((i + 1) * scale, source);
  float *weights = axis->weights + (gsize) i * axis->max_count;

  axis->starts[i] = (gint) floor (begin);
  axis->counts[i] = MIN ((gint) ceil (end), source) - axis->starts[i];
  for (gint k = 0; k < axis->counts[i]; k++) {
    const double pixel = axis->starts[i] + k;
    const double part = MIN (pixel + 1, end) - MAX (pixel, begin);
    weights[k] = (float) (MAX (part, 0) / scale);
  }
}

/* The centre of output i lies between two source centres; the border pixel is
 * repeated outward. */
static void
set_linear (Axis *axis, gint i, gint source)
{
  const double centre = (i + 0.5) * source / axis->size - 0.5;
  const double x = CLAMP (centre, 0, source - 1);
  const gint first = MIN ((gint) x, MAX (source - 2, 0));
  float *weights = axis->weights + (gsize) i * axis->max_count;

  axis->starts[i] = first;
  axis->counts[i] = source > 1 ? 2 : 1;
  weights[0] = source > 1 ? (float) (1 - (x - first)) : 1;
  weights[1] = (float) (x - first);
}

static void
axis_init (Axis *axis, gint source, gint size)
{
  axis->size = size;
  axis->max_count = source > size ? source / size + 2 : 2;
  axis->starts = g_new (gint, size);
  axis->counts = g_new (gint, size);
  axis->weights = g_new0 (float, (gsize) size * axis->max_count);
  for (gint i = 0; i < size; i++)
    if (source >= size)
      set_box (axis, i, source);
    else
      set_linear (axis, i, source);
}

/* row += weight * src, [n] bytes */
static void
accumulate (float *restrict row, const guint8 *restrict src, gsize n,
    float weight)
{
  for (gsize i = 0; i < n; i++)
    row[i] += weight * src[i];
}

/* Output pixels [size, 3], in 0 … 255, of the weighted sums [width * bytes] of
 * rows. */
static void
resample_row (const Axis *axis, const float *row, UmedptPixels pixels,
    float *dst)
{
  const gint bytes = formats[pixels].bytes;

  for (gint x = 0; x < axis->size; x++) {
    const float *weights = axis->weights + (gsize) x * axis->max_count;
    for (gint c = 0; c < 3; c++) {
      const float *src =
          row + axis->starts[x] * bytes + formats[pixels].offsets[c];
      float sum = 0;
      for (gint k = 0; k < axis->counts[x]; k++)
        sum += weights[k] * src[k * bytes];
      dst[3 * x + c] = sum;
    }
  }
}

static void
store_bytes (const float *row, gsize n, guint8 *out)
{
  for (gsize i = 0; i < n; i++)
    out[i] = (guint8) CLAMP (row[i] + 0.5f, 0.0f, 255.0f);
}

static void
store_floats (const float *row, gsize n, float *out)
{
  for (gsize i = 0; i < n; i++)
    out[i] = row[i] / 255;
}

/* To u8 at @bytes, or to f32 in 0 … 1 at @floats. */
static void
resize (const UmedptImage *image, gint width, gint height, guint8 *bytes,
    float *floats)
{
  const gsize n = (gsize) image->width * (gsize) formats[image->pixels].bytes;
  const gsize n_out = (gsize) width * 3;
  g_autofree float *row = g_new (float, n);
  g_autofree float *out = g_new (float, n_out);
  g_auto (Axis) vertical = { 0 };
  g_auto (Axis) horizontal = { 0 };

  axis_init (&vertical, image->height, height);
  axis_init (&horizontal, image->width, width);
  for (gint y = 0; y < height; y++) {
    memset (row, 0, n * sizeof *row);
    for (gint k = 0; k < vertical.counts[y]; k++)
      accumulate (row,
          image->data + (gsize) (vertical.starts[y] + k) * image->stride, n,
          vertical.weights[(gsize) y * vertical.max_count + k]);
    resample_row (&horizontal, row, image->pixels, out);
    if (bytes)
      store_bytes (out, n_out, bytes + y * n_out);
    else
      store_floats (out, n_out, floats + y * n_out);
  }
}

/* Same size: only the order of the channels changes. */
static void
copy (const UmedptImage *image, guint8 *out)
{
  const gint bytes = formats[image->pixels].bytes;
  const gint *offsets = formats[image->pixels].offsets;
  const gsize row = (gsize) image->width * 3;

  for (gint y = 0; y < image->height; y++) {
    const guint8 *src = image->data + (gsize) y * image->stride;
    guint8 *dst = out + (gsize) y * row;

    if (image->pixels == UMEDPT_PIXELS_RGB) {
      memcpy (dst, src, row);
      continue;
    }
    for (gint x = 0; x < image->width; x++, src += bytes, dst += 3) {
      dst[0] = src[offsets[0]];
      dst[1] = src[offsets[1]];
      dst[2] = src[offsets[2]];
    }
  }
}

void
umedpt_preprocess_describe (UmedptPixels pixels, gint *bytes, gint offsets[3])
{
  *bytes = formats[pixels].bytes;
  memcpy (offsets, formats[pixels].offsets, sizeof formats[pixels].offsets);
}

/* Whether the fields of @image can describe an image. */
gboolean
umedpt_preprocess_check (const UmedptImage *image, GError **error)
{
  if ((guint) image->pixels >= G_N_ELEMENTS (formats)) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "An image has the unknown pixel format %d.", (gint) image->pixels);
    return FALSE;
  }
  if (image->width < 1 || image->height < 1 || image->width > MAX_SIDE ||
      image->height > MAX_SIDE) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE,
        "An image is %dx%d pixels; its sides must be 1 to %d.", image->width,
        image->height, MAX_SIDE);
    return FALSE;
  }
  if (!image->data ||
      image->stride <
          (gsize) image->width * (gsize) formats[image->pixels].bytes) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE,
        "An image of %d pixels per row with %d bytes each has a stride of "
        "%" G_GSIZE_FORMAT " bytes%s.",
        image->width, formats[image->pixels].bytes, image->stride,
        image->data ? "; it must hold a row" : ", and no data");
    return FALSE;
  }
  return TRUE;
}

/* u8 [height, width, 3], RGB, at @out. */
gboolean
umedpt_preprocess_into (const UmedptImage *image, gint width, gint height,
    guint8 *out, GError **error)
{
  if (!umedpt_preprocess_check (image, error))
    return FALSE;
  if (image->width == width && image->height == height)
    copy (image, out);
  else
    resize (image, width, height, out, NULL);
  return TRUE;
}

/* [1, height, width, 3], RGB: u8 if the image has that size, else f32 in
 * 0 … 1. */
UmedptTensor *
umedpt_preprocess_image (const UmedptImage *image, gint width, gint height,
    GError **error)
{
  const gint64 shape[] = { 1, height, width, 3 };
  const gboolean same = image->width == width && image->height == height;
  g_autoptr (UmedptTensor) out =
      umedpt_tensor_new (same ? UMEDPT_DTYPE_U8 : UMEDPT_DTYPE_F32, 4, shape,
          error);

  if (!out || !umedpt_preprocess_check (image, error))
    return NULL;
  if (same)
    copy (image, UMEDPT_U8 (out));
  else
    resize (image, width, height, NULL, UMEDPT_F32 (out));
  return g_steal_pointer (&out);
}
