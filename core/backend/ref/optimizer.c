/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Steps of optimisers on one parameter, and the norm that clipping needs.
 *
 *   adamw  g = c grad;  p *= 1 - lr wd;
 *          m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;
 *          p -= lr / (1 - b1^t) m / (sqrt (v) / sqrt (1 - b2^t) + eps)
 *          (Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2)
 *   sgd    g = c grad + wd p;  u = g in the first step, then mu u + g;
 *          p -= lr (g + mu u with Nesterov's form, else u)
 *          (Sutskever et al. 2013, as PyTorch writes it)
 *
 * c is the factor of clipping.
 */
#include <math.h>

#include "backend/ref/ref.h"

gboolean
umedpt_ref_adamw (UmedptBackend *backend, const UmedptAdamwArgs *args,
    GError **error)
{
  double c1 = 1 - pow (args->beta1, (double) args->step);
  double c2 = 1 - pow (args->beta2, (double) args->step);

  for (gsize i = 0; i < args->parameter->n_elements; i++) {
    double g = UMEDPT_F32 (args->gradient)[i] * args->gradient_scale;
    double p = UMEDPT_F32 (args->parameter)[i];
    double m = UMEDPT_F32 (args->moment1)[i];
    double v = UMEDPT_F32 (args->moment2)[i];

    p -= args->lr * args->weight_decay * p;
    m = args->beta1 * m + (1 - args->beta1) * g;
    v = args->beta2 * v + (1 - args->beta2) * g * g;
    p -= args->lr / c1 * m / (sqrt (v) / sqrt (c2) + args->epsilon);
    umedpt_ref_set (args->parameter, i, p);
    umedpt_ref_set (args->moment1, i, m);
    umedpt_ref_set (args->moment2, i, v);
  }
  return TRUE;
}

gboolean
umedpt_ref_sgd (UmedptBackend *backend, const UmedptSgdArgs *args,
    GError **error)
{
  for (gsize i = 0; i < args->parameter->n_elements; i++) {
    double p = UMEDPT_F32 (args->parameter)[i];
    double g = UMEDPT_F32 (args->gradient)[i] * args->gradient_scale +
        args->weight_decay * p;
    double u =
        args->step > 1 ? args->momentum * UMEDPT_F32 (args->moment)[i] + g : g;

    umedpt_ref_set (args->parameter, i,
        p - args->lr * (args->nesterov ? g + args->momentum * u : u));
    umedpt_ref_set (args->moment, i, u);
  }
  return TRUE;
}

gboolean
umedpt_ref_square_sum (UmedptBackend *backend, const UmedptSquareSumArgs *args,
    GError **error)
{
  double sum = 0;

  for (gsize i = 0; i < args->src->n_elements; i++)
    sum += (double) UMEDPT_F32 (args->src)[i] * UMEDPT_F32 (args->src)[i];
  *args->result = sum;
  return TRUE;
}
