/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Preprocessing against the definition, written plainly: an output pixel of a
 * shrunk axis is the integral of the source over the interval it covers; of a
 * grown axis, linear between pixel centres.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/random.h"
#include "infer/preprocess.h"

/* Source value i of an axis [n] with repeated borders. */
static double
at (const double *values, gint n, gint i)
{
  return values[CLAMP (i, 0, n - 1)];
}

/* One axis by the definition; the integral by 1/64 pixel steps would be
 * inexact, so the overlap of each source pixel is computed. */
static void
resample (const double *src, gint n, double *dst, gint size)
{
  for (gint i = 0; i < size; i++) {
    const double a = (double) i * n / size, b = (double) (i + 1) * n / size;
    const double x = (i + 0.5) * n / size - 0.5;
    double sum = 0;

    if (n < size) {
      dst[i] = (1 - (x - floor (x))) * at (src, n, (gint) floor (x)) +
          (x - floor (x)) * at (src, n, (gint) floor (x) + 1);
      continue;
    }
    for (gint k = 0; k < n; k++)
      sum += src[k] * MAX (0, MIN (b, k + 1) - MAX (a, k));
    dst[i] = sum * size / n;
  }
}

/* Channel @c of @image, resized, at @dst [height, width]. */
static void
reference (const UmedptImage *image, gint bytes, gint offset, gint width,
    gint height, double *dst)
{
  g_autofree double *rows = g_new (double, image->width *height);
  g_autofree double *in = g_new (double, MAX (image->height, image->width));
  g_autofree double *out = g_new (double, MAX (height, width));

  for (gint x = 0; x < image->width; x++) {
    for (gint y = 0; y < image->height; y++)
      in[y] = image->data[y * image->stride + x * bytes + offset];
    resample (in, image->height, out, height);
    for (gint y = 0; y < height; y++)
      rows[y * image->width + x] = out[y];
  }
  for (gint y = 0; y < height; y++)
    resample (rows + y * image->width, image->width, dst + y * width, width);
}

/* Value i, 0 … 255: images of the right size are bytes, others floats. */
static double
value_of (const UmedptTensor *tensor, gsize i)
{
  return tensor->dtype == UMEDPT_DTYPE_U8 ? UMEDPT_U8 (tensor)[i]
                                          : 255.0 * UMEDPT_F32 (tensor)[i];
}

static const struct
{
  UmedptPixels pixels;
  gint bytes, offsets[3];
} formats[] = {
  { UMEDPT_PIXELS_RGB, 3, { 0, 1, 2 } },
  { UMEDPT_PIXELS_BGR, 3, { 2, 1, 0 } },
  { UMEDPT_PIXELS_RGBX, 4, { 0, 1, 2 } },
  { UMEDPT_PIXELS_BGRX, 4, { 2, 1, 0 } },
  { UMEDPT_PIXELS_GRAY8, 1, { 0, 0, 0 } },
};

static const struct
{
  gint width, height; /* of the source; the target is 48 x 40 */
} sizes[] = { { 48, 40 }, { 96, 80 }, { 131, 97 }, { 20, 13 }, { 100, 17 },
  { 48, 41 }, { 47, 40 }, { 1, 1 }, { 1, 300 }, { 2, 2 }, { 49, 39 } };

static void
check (guint format, gint width, gint height)
{
  const gint bytes = formats[format].bytes;
  const gsize stride = (gsize) (width * bytes + 7);
  g_autofree guint8 *data = g_malloc (stride * height);
  const UmedptImage image = { data, width, height, stride,
    formats[format].pixels };
  g_autofree double *expected = g_new (double, 48 * 40);
  g_autofree guint8 *bytes_out = g_malloc (48 * 40 * 3);
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptTensor) tensor = NULL;
  UmedptRandom random;

  umedpt_random_init (&random, (guint64) (width * 1000 + height));
  for (gsize i = 0; i < stride * height; i++)
    data[i] = (guint8) umedpt_random_next (&random);
  tensor = umedpt_preprocess_image (&image, 48, 40, &error);
  g_assert_no_error (error);
  umedpt_preprocess_into (&image, 48, 40, bytes_out, &error);
  g_assert_no_error (error);
  g_assert_cmpint (tensor->shape[1], ==, 40);
  g_assert_cmpint (tensor->shape[2], ==, 48);
  for (gint c = 0; c < 3; c++) {
    reference (&image, bytes, formats[format].offsets[c], 48, 40, expected);
    for (gint i = 0; i < 48 * 40; i++) {
      const gsize at = (gsize) (3 * i + c);

      g_assert_cmpfloat (fabs (value_of (tensor, at) - expected[i]), <=, 1e-3);
      g_assert_cmpfloat (fabs (bytes_out[at] - expected[i]), <=, 0.51);
    }
  }
}

static void
test_resize (void)
{
  for (guint f = 0; f < G_N_ELEMENTS (formats); f++)
    for (guint s = 0; s < G_N_ELEMENTS (sizes); s++)
      check (f, sizes[s].width, sizes[s].height);
}

/* A constant image stays constant, as bytes to the bit, white as well: weights
 * sum to 1 well enough at every ratio. */
static void
test_constant (void)
{
  g_autofree guint8 *data = g_malloc (700 * 700);
  g_autofree guint8 *bytes = g_malloc (224 * 32 * 3);

  for (gint value = 0; value < 256; value += 51) {
    memset (data, value, 700 * 700);
    for (gint size = 1; size <= 700; size += 23) {
      const UmedptImage image = { data, size, 701 - size, 700,
        UMEDPT_PIXELS_GRAY8 };
      g_autoptr (GError) error = NULL;
      g_autoptr (UmedptTensor) tensor =
          umedpt_preprocess_image (&image, 224, 32, &error);
      g_assert_no_error (error);
      for (gsize i = 0; i < tensor->n_elements; i++)
        g_assert_cmpfloat (fabs (value_of (tensor, i) - value), <=, 1e-3);
      umedpt_preprocess_into (&image, 224, 32, bytes, &error);
      g_assert_no_error (error);
      for (gsize i = 0; i < tensor->n_elements; i++)
        g_assert_cmpint (bytes[i], ==, value);
    }
  }
}

static void
assert_refused (UmedptImage image, UmedptError code)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (umedpt_preprocess_image (&image, 32, 32, &error));
  g_assert_error (error, UMEDPT_ERROR, (gint) code);
}

static void
test_bad_images (void)
{
  const guint8 data[64] = { 0 };

  assert_refused ((UmedptImage){ data, 0, 4, 12, UMEDPT_PIXELS_RGB },
      UMEDPT_ERROR_SHAPE);
  assert_refused ((UmedptImage){ data, 4, -1, 12, UMEDPT_PIXELS_RGB },
      UMEDPT_ERROR_SHAPE);
  assert_refused ((UmedptImage){ data, 4, 4, 11, UMEDPT_PIXELS_RGB },
      UMEDPT_ERROR_SHAPE);
  assert_refused ((UmedptImage){ data, 4, 4, 15, UMEDPT_PIXELS_RGBX },
      UMEDPT_ERROR_SHAPE);
  assert_refused ((UmedptImage){ data, G_MAXINT, 1, G_MAXSIZE,
                      UMEDPT_PIXELS_RGBX },
      UMEDPT_ERROR_SHAPE);
  assert_refused ((UmedptImage){ NULL, 4, 4, 12, UMEDPT_PIXELS_RGB },
      UMEDPT_ERROR_SHAPE);
  assert_refused ((UmedptImage){ data, 4, 4, 12, (UmedptPixels) 17 },
      UMEDPT_ERROR_SETTINGS);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/preprocess/resize", test_resize);
  g_test_add_func ("/preprocess/constant", test_constant);
  g_test_add_func ("/preprocess/bad-images", test_bad_images);
  return g_test_run ();
}
