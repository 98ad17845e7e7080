/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Losses of vectors, value and gradient in one pass. s = scale / normalizer:
 *
 *   cross_entropy  s sum of (1 - p)^gamma (-ln p), p the softmax probability
 *                  of the target (focal: Lin et al. 2017, arXiv:1708.02002,
 *                  equation 4). With q = 1 - p and c = gamma q^(gamma-1) p ln p
 *                  - q^gamma: d / d z_k = s c ([k = target] - p_k)
 *   binary_cross_entropy  s sum of w (max (z, 0) - z t + ln (1 + e^-|z|));
 *                  d / d z = s w (sigmoid (z) - t)
 *   squared_error  s sum of (x - t)^2
 *
 * q is the sum of the other probabilities, not 1 - p, which would lose its
 * digits where the prediction is good.
 */
#include <math.h>

#include "backend/ref/ref.h"

/* p [k]: logits in, softmax out. Returns ln p of @target; *@others = 1 - p. */
static double
log_softmax (const float *logits, gsize k, gsize target, double *p,
    double *others)
{
  double max = -INFINITY, sum = 0;

  for (gsize j = 0; j < k; j++)
    max = logits[j] > max || isnan (logits[j]) ? logits[j] : max;
  for (gsize j = 0; j < k; j++)
    sum += p[j] = exp (logits[j] - max);
  *others = 0;
  for (gsize j = 0; j < k; j++) {
    p[j] /= sum;
    *others += j == target ? 0 : p[j];
  }
  return logits[target] - max - log (sum);
}

gboolean
umedpt_ref_cross_entropy (UmedptBackend *backend,
    const UmedptCrossEntropyArgs *args, GError **error)
{
  gsize m = umedpt_ref_rows (args->logits);
  gsize k = umedpt_ref_columns (args->logits);
  double scale = (double) args->scale / args->normalizer, gamma = args->gamma;
  g_autofree double *p = g_new (double, k);
  double sum = 0;

  for (gsize i = 0; i < m; i++) {
    gint32 target = umedpt_ref_index (args->targets, i);
    double q = 0, c = 0, log_p = 0;

    if (target >= 0) {
      log_p = log_softmax (UMEDPT_F32 (args->logits) + i * k, k, target, p, &q);
      sum -= pow (q, gamma) * log_p;
      c = -pow (q, gamma);
      if (gamma > 0 && q > 0)
        c += gamma * pow (q, gamma - 1) * p[target] * log_p;
    }
    for (gsize j = 0; j < k; j++) {
      double toward = target < 0 ? 0 : j == target ? q : -p[j];
      umedpt_ref_put (args->diff_logits, i * k + j, scale * c * toward, FALSE);
    }
  }
  umedpt_ref_set (args->loss, 0, scale * sum);
  return TRUE;
}

gboolean
umedpt_ref_binary_cross_entropy (UmedptBackend *backend,
    const UmedptBinaryCrossEntropyArgs *args, GError **error)
{
  double scale = (double) args->scale / args->normalizer, sum = 0;

  for (gsize i = 0; i < args->logits->n_elements; i++) {
    double z = UMEDPT_F32 (args->logits)[i];
    double t = UMEDPT_F32 (args->targets)[i];
    double w = umedpt_ref_param (args->weights, i, 1);

    if (w == 0) { /* what is not labelled counts nothing, whatever it holds */
      umedpt_ref_put (args->diff_logits, i, 0, FALSE);
      continue;
    }
    sum += w * umedpt_ref_binary_cross_entropy_of (z, t);
    umedpt_ref_put (args->diff_logits, i,
        scale * w * (umedpt_ref_activation (z, UMEDPT_ACTIVATION_SIGMOID) - t),
        FALSE);
  }
  umedpt_ref_set (args->loss, 0, scale * sum);
  return TRUE;
}

gboolean
umedpt_ref_squared_error (UmedptBackend *backend,
    const UmedptSquaredErrorArgs *args, GError **error)
{
  double scale = (double) args->scale / args->normalizer, sum = 0;

  for (gsize i = 0; i < args->src->n_elements; i++) {
    double x =
        (double) UMEDPT_F32 (args->src)[i] - UMEDPT_F32 (args->targets)[i];

    sum += x * x;
    umedpt_ref_put (args->diff_src, i, 2 * scale * x, FALSE);
  }
  umedpt_ref_set (args->loss, 0, scale * sum);
  return TRUE;
}

/* Of one logit against a target in [0, 1]; no overflow. */
double
umedpt_ref_binary_cross_entropy_of (double z, double target)
{
  return (z < 0 ? 0 : z) - z * target + log1p (exp (-fabs (z)));
}

/* Focal loss with gamma 2 of one logit, without alpha: (1 - p)^2 (-ln p), p the
 * probability of what is so (@positive or not). *@slope = d / d z. */
double
umedpt_ref_focal_of (double z, gboolean positive, double *slope)
{
  double sign = positive ? 1 : -1;
  double loss = umedpt_ref_binary_cross_entropy_of (z, positive ? 1 : 0);
  double q = 1 / (1 + exp (sign * z)); /* 1 - p */

  *slope = sign * q * q * (-2 * (1 - q) * loss - q);
  return q * q * loss;
}
