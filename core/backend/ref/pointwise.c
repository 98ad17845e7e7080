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
 *              tanh
 *   add        y = a + b, multiply y = a b; b may be one number for all
 *   logit_scale    exp (min (x, ln 100)): the inverse temperature of cosine
 *                  attention is learned as a logarithm and bounded
 *                  (Liu et al. 2022, arXiv:2111.09883, section 3.2)
 *   mask_key_bias  a third of the bias of q, k and v counts as 0: adding a
 *                  number to all keys moves all logits of a query alike
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
    case UMEDPT_ACTIVATION_TANH:
      return tanh (x);
    default:
      return x;
  }
}

/* The derivative at @x; that of relu at 0 is 0. */
double
umedpt_ref_activation_slope (double x, UmedptActivation activation)
{
  double y = umedpt_ref_activation (x, activation);

  switch (activation) {
    case UMEDPT_ACTIVATION_RELU:
      return x > 0 ? 1 : 0 * y; /* a NaN stays one */
    case UMEDPT_ACTIVATION_GELU:
      /* Phi (x) + x phi (x); the second part vanishes far out */
      return erfc (-x / G_SQRT2) / 2 +
          (isinf (x) ? 0 : x * exp (-x * x / 2) / sqrt (2 * G_PI));
    case UMEDPT_ACTIVATION_SIGMOID:
      return y * (1 - y);
    case UMEDPT_ACTIVATION_TANH:
      return 1 - y * y;
    default:
      return 1;
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

gboolean
umedpt_ref_activate_backward (UmedptBackend *backend,
    const UmedptActivateBackwardArgs *args, GError **error)
{
  for (gsize i = 0; i < args->diff_dst->n_elements; i++)
    umedpt_ref_put (args->diff_src, i,
        umedpt_ref_get (args->diff_dst, i) *
            umedpt_ref_activation_slope (umedpt_ref_get (args->forward.src, i),
                args->forward.activation),
        args->accumulate);
  return TRUE;
}

/* b at @i: its only element where it has one. */
static double
second (const UmedptTensor *b, gsize i)
{
  return UMEDPT_F32 (b)[b->n_elements == 1 ? 0 : i];
}

gboolean
umedpt_ref_add (UmedptBackend *backend, const UmedptAddArgs *args,
    GError **error)
{
  for (gsize i = 0; i < args->a->n_elements; i++)
    umedpt_ref_set (args->dst, i,
        UMEDPT_F32 (args->a)[i] + second (args->b, i));
  return TRUE;
}

gboolean
umedpt_ref_multiply (UmedptBackend *backend, const UmedptMultiplyArgs *args,
    GError **error)
{
  for (gsize i = 0; i < args->a->n_elements; i++)
    umedpt_ref_set (args->dst, i,
        UMEDPT_F32 (args->a)[i] * second (args->b, i));
  return TRUE;
}

gboolean
umedpt_ref_multiply_backward (UmedptBackend *backend,
    const UmedptMultiplyBackwardArgs *args, GError **error)
{
  const UmedptTensor *a = args->forward.a, *b = args->forward.b;
  gboolean one = b->n_elements == 1;
  double sum = 0;

  for (gsize i = 0; i < a->n_elements; i++) {
    double diff = UMEDPT_F32 (args->diff_dst)[i];

    sum += diff * UMEDPT_F32 (a)[i];
    umedpt_ref_put (args->diff_a, i, diff * second (b, i), args->accumulate_a);
    if (!one)
      umedpt_ref_put (args->diff_b, i, diff * UMEDPT_F32 (a)[i],
          args->accumulate_b);
  }
  if (one)
    umedpt_ref_put (args->diff_b, 0, sum, TRUE);
  return TRUE;
}

static const double max_logit = 4.605170185988092; /* ln 100 */

gboolean
umedpt_ref_logit_scale (UmedptBackend *backend,
    const UmedptLogitScaleArgs *args, GError **error)
{
  for (gsize i = 0; i < args->src->n_elements; i++) {
    double x = UMEDPT_F32 (args->src)[i];

    umedpt_ref_set (args->dst, i, exp (x > max_logit ? max_logit : x));
  }
  return TRUE;
}

gboolean
umedpt_ref_logit_scale_backward (UmedptBackend *backend,
    const UmedptLogitScaleBackwardArgs *args, GError **error)
{
  for (gsize i = 0; i < args->diff_dst->n_elements; i++) {
    double x = UMEDPT_F32 (args->forward.src)[i];

    umedpt_ref_put (args->diff_src, i,
        x > max_logit ? 0 : UMEDPT_F32 (args->diff_dst)[i] * exp (x), TRUE);
  }
  return TRUE;
}

static gboolean
is_key (const UmedptTensor *bias, gsize i)
{
  gsize c = bias->n_elements / 3;

  return i >= c && i < 2 * c;
}

gboolean
umedpt_ref_mask_key_bias (UmedptBackend *backend,
    const UmedptMaskKeyBiasArgs *args, GError **error)
{
  for (gsize i = 0; i < args->src->n_elements; i++)
    umedpt_ref_set (args->dst, i,
        is_key (args->src, i) ? 0 : UMEDPT_F32 (args->src)[i]);
  return TRUE;
}

gboolean
umedpt_ref_mask_key_bias_backward (UmedptBackend *backend,
    const UmedptMaskKeyBiasBackwardArgs *args, GError **error)
{
  for (gsize i = 0; i < args->diff_dst->n_elements; i++)
    if (!is_key (args->diff_dst, i))
      umedpt_ref_put (args->diff_src, i, UMEDPT_F32 (args->diff_dst)[i], TRUE);
  return TRUE;
}
