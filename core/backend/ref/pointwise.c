/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Ops that look at one element at a time.
 *
 *   convert    y = x between f32 and bf16 (nearest, ties to even);
 *              y = x / 255 from u8
 *   activate   relu     max (x, 0)
 *              gelu     x/2 (1 + erf (x / sqrt 2)), the exact form
 *                       (Hendrycks and Gimpel 2016, arXiv:1606.08415)
 *              sigmoid  1 / (1 + exp (-x))
 *
 * A NaN stays a NaN in all of them. Here denormal numbers are kept; a backend
 * may flush them to 0, as vector units do.
 */
#include <math.h>

#include "backend/ref/ref.h"

double
umedpt_ref_activation (double x, UmedptActivation activation)
{
  switch (activation) {
    case UMEDPT_ACTIVATION_RELU:
      return x < 0 ? 0 : x;
    case UMEDPT_ACTIVATION_GELU:
      /* erfc: 1 + erf loses all digits in the negative tail */
      return isinf (x) ? (x < 0 ? 0 : x) : x / 2 * erfc (-x / G_SQRT2);
    case UMEDPT_ACTIVATION_SIGMOID:
      return 1 / (1 + exp (-x));
    default:
      return x;
  }
}

gboolean
umedpt_ref_convert (UmedptBackend *backend, const UmedptConvertArgs *args,
    GError **error)
{
  double unit = args->src->dtype == UMEDPT_DTYPE_U8 ? 255 : 1;

  for (gsize i = 0; i < args->src->n_elements; i++)
    umedpt_ref_set (args->dst, i, umedpt_ref_get (args->src, i) / unit);
  return TRUE;
}

gboolean
umedpt_ref_activate (UmedptBackend *backend, const UmedptActivateArgs *args,
    GError **error)
{
  for (gsize i = 0; i < args->src->n_elements; i++)
    umedpt_ref_set (args->dst, i,
        umedpt_ref_activation (umedpt_ref_get (args->src, i),
            args->activation));
  return TRUE;
}
