/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Instances to groups: slices to volumes, tiles to slides.
 *
 *   weighted  y_g = sum of w_i x_i over the group / its number of instances
 *   softmax   y_gh = sum of a_ih x_i, a = max (p, 1e-5), p the softmax of w_h
 *             over the group's instances; heads h side by side. Attention
 *             pooling of Ilse et al. 2018, arXiv:1802.04712, equation 8, with
 *             a lower bound that keeps the gradients of x alive
 *
 * Backward, for d = dL / d y_gh: dx_i = sum over h of a_ih d, and where the
 * bound is not active da_ih = x_i d, dw_ih = p_ih (da_ih - sum_j p_jh da_jh).
 */
#include <math.h>

#include "backend/ref/ref.h"

#define MIN_ATTENTION 1e-5

/* out [N, heads] = what the instances count; for softmax p, without the
 * bound. */
static double *
make_weights (const UmedptGroupReduceArgs *args, gsize groups)
{
  gsize n = args->weight->shape[0], heads = args->weight->shape[1];
  g_autofree double *max = g_new (double, groups *heads);
  g_autofree double *sum = g_new0 (double, groups *heads);
  double *out = g_new (double, n *heads);

  for (gsize i = 0; i < groups * heads; i++)
    max[i] = -INFINITY;
  for (gsize i = 0; i < n * heads; i++) {
    gsize g = umedpt_ref_index (args->groups, i / heads) * heads + i % heads;

    out[i] = UMEDPT_F32 (args->weight)[i];
    max[g] = MAX (max[g], out[i]);
    if (args->grouping == UMEDPT_GROUPING_WEIGHTED)
      sum[g] += 1;
  }
  for (gsize i = 0; args->grouping == UMEDPT_GROUPING_SOFTMAX && i < n * heads;
       i++) {
    gsize g = umedpt_ref_index (args->groups, i / heads) * heads + i % heads;

    sum[g] += out[i] = exp (out[i] - max[g]);
  }
  for (gsize i = 0; i < n * heads; i++)
    out[i] /=
        sum[umedpt_ref_index (args->groups, i / heads) * heads + i % heads];
  return out;
}

/* The weight with which an instance is added. */
static double
bounded (const UmedptGroupReduceArgs *args, double weight)
{
  return args->grouping == UMEDPT_GROUPING_SOFTMAX && weight < MIN_ATTENTION
      ? MIN_ATTENTION
      : weight;
}

gboolean
umedpt_ref_group_reduce (UmedptBackend *backend,
    const UmedptGroupReduceArgs *args, GError **error)
{
  gsize n = args->src->shape[0], d = args->src->shape[1];
  gsize heads = args->weight->shape[1], groups = args->dst->shape[0];
  g_autofree double *weights = make_weights (args, groups);
  g_autofree double *sums = g_new0 (double, args->dst->n_elements);

  for (gsize i = 0; i < n; i++)
    for (gsize h = 0; h < heads; h++)
      for (gsize j = 0; j < d; j++) {
        gsize g = umedpt_ref_index (args->groups, i);
        sums[(g * heads + h) * d + j] +=
            bounded (args, weights[i * heads + h]) *
            UMEDPT_F32 (args->src)[i * d + j];
      }
  for (gsize i = 0; i < args->dst->n_elements; i++)
    umedpt_ref_set (args->dst, i, sums[i]);
  return TRUE;
}

/* out [N, heads] = x_i d, the gradient of what instances count; 0 where the
 * bound is active. */
static double *
make_diff_weights (const UmedptGroupReduceBackwardArgs *args,
    const double *weights)
{
  const UmedptGroupReduceArgs *f = &args->forward;
  gsize n = f->src->shape[0], d = f->src->shape[1];
  gsize heads = f->weight->shape[1];
  double *out = g_new0 (double, n *heads);

  for (gsize i = 0; i < n; i++)
    for (gsize h = 0; h < heads; h++) {
      gsize g = umedpt_ref_index (f->groups, i) * heads + h;

      if (f->grouping == UMEDPT_GROUPING_SOFTMAX &&
          weights[i * heads + h] < MIN_ATTENTION)
        continue;
      for (gsize j = 0; j < d; j++)
        out[i * heads + h] += (double) UMEDPT_F32 (f->src)[i * d + j] *
            UMEDPT_F32 (args->diff_dst)[g * d + j];
    }
  return out;
}

/* From the gradient of what instances count to that of `weight`. */
static void
put_diff_weight (const UmedptGroupReduceBackwardArgs *args,
    const double *weights, const double *diff)
{
  const UmedptGroupReduceArgs *f = &args->forward;
  gsize n = f->weight->n_elements, heads = f->weight->shape[1];
  gsize groups = args->diff_dst->shape[0];
  g_autofree double *sums = g_new0 (double, groups *heads); /* of p da, or 1 */

  for (gsize i = 0; i < n; i++) {
    gsize g = umedpt_ref_index (f->groups, i / heads) * heads + i % heads;
    sums[g] +=
        f->grouping == UMEDPT_GROUPING_SOFTMAX ? weights[i] * diff[i] : 1;
  }
  for (gsize i = 0; i < n; i++) {
    gsize g = umedpt_ref_index (f->groups, i / heads) * heads + i % heads;
    umedpt_ref_put (args->diff_weight, i,
        f->grouping == UMEDPT_GROUPING_SOFTMAX
            ? weights[i] * (diff[i] - sums[g])
            : diff[i] / sums[g],
        FALSE);
  }
}

gboolean
umedpt_ref_group_reduce_backward (UmedptBackend *backend,
    const UmedptGroupReduceBackwardArgs *args, GError **error)
{
  const UmedptGroupReduceArgs *f = &args->forward;
  gsize n = f->src->shape[0], d = f->src->shape[1];
  gsize heads = f->weight->shape[1];
  g_autofree double *weights = make_weights (f, args->diff_dst->shape[0]);
  g_autofree double *diff = make_diff_weights (args, weights);

  for (gsize i = 0; i < n; i++)
    for (gsize j = 0; j < d; j++) {
      double sum = 0;

      for (gsize h = 0; h < heads; h++) {
        gsize g = umedpt_ref_index (f->groups, i) * heads + h;
        sum += bounded (f, weights[i * heads + h]) *
            UMEDPT_F32 (args->diff_dst)[g * d + j];
      }
      umedpt_ref_put (args->diff_src, i * d + j, sum, FALSE);
    }
  put_diff_weight (args, weights, diff);
  return TRUE;
}
