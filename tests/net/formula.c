/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The C half of tests/reference/formula.py: the same integers, and floats that
 * are exact in single precision. See there for the choice of ranges.
 */
#include "formula.h"

#include <math.h>

static guint32
fnv1a (const char *text)
{
  guint32 value = 0x811c9dc5;

  for (; *text; text++)
    value = (value ^ (guint8) *text) * 0x01000193;
  return value;
}

static guint32
mix (guint32 x)
{
  x ^= x >> 16;
  x *= 0x85ebca6b;
  x ^= x >> 13;
  x *= 0xc2b2ae35;
  x ^= x >> 16;
  return x;
}

static void
value_range (const char *name, const UmedptTensor *tensor, float *centre,
    float *width)
{
  *centre = 0;
  if (g_str_has_suffix (name, "logit_scale"))
    *centre = 2.3f, *width = 1;
  else if (g_str_has_suffix (name, "cpb_mlp.0.weight"))
    *width = 1.5f;
  else if (g_str_has_suffix (name, "cpb_mlp.0.bias"))
    *width = 1;
  else if (g_str_has_suffix (name, "cpb_mlp.2.weight"))
    *width = 0.25f;
  else if (g_str_has_suffix (name, "bias"))
    *width = 0.3f;
  else if (tensor->n_dims <= 1)
    *centre = 1, *width = 0.5f;
  else
    *width =
        (float) sqrt (3.0 * tensor->shape[0] / (double) tensor->n_elements);
}

static void
fill_one (const char *name, UmedptTensor *tensor)
{
  const guint32 hash = fnv1a (name);
  float *data = umedpt_tensor_get_data_writable (tensor);
  float centre, width;

  value_range (name, tensor, &centre, &width);
  for (gsize i = 0; i < tensor->n_elements; i++) {
    const guint32 x = mix ((guint32) i * 0x9e3779b9 + hash);
    data[i] = centre + width * ((float) (x >> 8) * 0x1p-23f - 1);
  }
}

void
formula_fill (UmedptParameters *parameters)
{
  for (guint i = 0; i < umedpt_parameters_get_n (parameters); i++) {
    UmedptTensor *tensor = umedpt_parameters_get_tensor (parameters, i);
    if (tensor)
      fill_one (umedpt_parameters_get_name (parameters, i), tensor);
  }
  umedpt_parameters_changed (parameters);
}

UmedptTensor *
formula_image (guint index, gint height, gint width)
{
  const gint64 shape[] = { 1, height, width, 3 };
  g_autoptr (GError) error = NULL;
  UmedptTensor *image = umedpt_tensor_new (UMEDPT_DTYPE_U8, 4, shape, &error);

  g_assert_no_error (error);
  for (gint i = 0; i < height * width * 3; i++) {
    const gint c = i % 3, x = i / 3 % width, y = i / 3 / width;
    const guint32 noise = mix ((guint32) i + 1000003 * index) >> 26;
    UMEDPT_U8 (image)[i] = (guint8) (3 * x + 5 * y + 40 * c + (gint) noise);
  }
  return image;
}

Difference
formula_compare (const float *found, gsize stride, const float *expected,
    gsize n)
{
  double max = 0, largest = 0, dd = 0, ff = 0, ee = 0, fe = 0;

  for (gsize i = 0; i < n; i++) {
    const double f = found[i * stride], e = expected[i];
    if (!isfinite (f) || !isfinite (e))
      return (Difference){ NAN, NAN, NAN };
    max = MAX (max, fabs (f - e));
    largest = MAX (largest, fabs (e));
    dd += (f - e) * (f - e);
    ff += f * f;
    ee += e * e;
    fe += f * e;
  }
  return (Difference){ max / largest, sqrt (dd / ee), fe / sqrt (ff * ee) };
}
