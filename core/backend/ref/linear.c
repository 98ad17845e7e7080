/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Linear maps of rows, alone and with what follows them in Swin V2.
 *
 *   linear       y = f (x W^T + b)
 *   linear_norm  y = r + s LN (x W^T + b)
 *   mlp_norm     y = x + s LN (W2 gelu (W1 x + b1) + b2)
 *
 * The last two are the ends of the attention and MLP branches with residual
 * post-norm: the norm is applied to the branch, before it is added (Liu et
 * al. 2022, Swin Transformer V2, arXiv:2111.09883, section 3.2, figure 1).
 * s is the sample's factor of stochastic depth (Huang et al. 2016,
 * arXiv:1603.09382), 1 in inference. What backward passes need is saved.
 */
#include "backend/ref/ref.h"

gboolean
umedpt_ref_linear (UmedptBackend *backend, const UmedptLinearArgs *args,
    GError **error)
{
  gsize m = umedpt_ref_rows (args->src), k = umedpt_ref_columns (args->src);
  gsize n = args->weight->shape[0];
  g_autoptr (UmedptTensor) src =
      umedpt_ref_operand (args->src, args->compute, error);
  g_autoptr (UmedptTensor) weight =
      src ? umedpt_ref_operand (args->weight, args->compute, error) : NULL;
  g_autofree double *row = g_new (double, n);

  if (!weight)
    return FALSE;
  for (gsize i = 0; i < m; i++) {
    umedpt_ref_product (UMEDPT_F32 (src) + i * k, weight, args->bias, n, k,
        row);
    for (gsize j = 0; j < n; j++)
      umedpt_ref_set (args->dst, i * n + j,
          umedpt_ref_activation (row[j], args->activation));
  }
  return TRUE;
}

gboolean
umedpt_ref_linear_norm (UmedptBackend *backend,
    const UmedptLinearNormArgs *args, GError **error)
{
  gsize m = umedpt_ref_rows (args->src), k = umedpt_ref_columns (args->src);
  gsize n = args->weight->shape[0];
  g_autoptr (UmedptTensor) src =
      umedpt_ref_operand (args->src, args->compute, error);
  g_autoptr (UmedptTensor) weight =
      src ? umedpt_ref_operand (args->weight, args->compute, error) : NULL;
  g_autofree double *row = g_new (double, n);

  if (!weight)
    return FALSE;
  for (gsize i = 0; i < m; i++) {
    double scale = umedpt_ref_branch_scale (args->branch_scale, i, m);

    umedpt_ref_product (UMEDPT_F32 (src) + i * k, weight, args->bias, n, k,
        row);
    for (gsize j = 0; j < n; j++)
      umedpt_ref_put (args->saved_product, i * n + j, scale ? row[j] : 0,
          FALSE);
    umedpt_ref_normalise (row, n, args->gamma, args->beta, args->epsilon);
    for (gsize j = 0; j < n; j++)
      umedpt_ref_set (args->dst, i * n + j,
          row[j] * scale + umedpt_ref_param (args->residual, i * n + j, 0));
  }
  return TRUE;
}

gboolean
umedpt_ref_mlp_norm (UmedptBackend *backend, const UmedptMlpNormArgs *args,
    GError **error)
{
  gsize m = umedpt_ref_rows (args->src), c = umedpt_ref_columns (args->src);
  gsize hidden = args->fc1_weight->shape[0];
  g_autoptr (UmedptTensor) src =
      umedpt_ref_operand (args->src, args->compute, error);
  g_autoptr (UmedptTensor) fc1 =
      src ? umedpt_ref_operand (args->fc1_weight, args->compute, error) : NULL;
  g_autoptr (UmedptTensor) fc2 =
      fc1 ? umedpt_ref_operand (args->fc2_weight, args->compute, error) : NULL;
  g_autofree double *row = g_new (double, MAX (c, hidden));
  g_autofree float *middle = g_new (float, hidden);

  if (!fc2)
    return FALSE;
  for (gsize i = 0; i < m; i++) {
    double scale = umedpt_ref_branch_scale (args->branch_scale, i, m);

    umedpt_ref_product (UMEDPT_F32 (src) + i * c, fc1, args->fc1_bias, hidden,
        c, row);
    for (gsize j = 0; j < hidden; j++) {
      umedpt_ref_put (args->saved_hidden, i * hidden + j, scale ? row[j] : 0,
          FALSE);
      middle[j] = umedpt_ref_round ((float) umedpt_ref_activation (row[j],
                                        UMEDPT_ACTIVATION_GELU),
          args->compute);
    }
    umedpt_ref_product (middle, fc2, args->fc2_bias, c, hidden, row);
    for (gsize j = 0; j < c; j++)
      umedpt_ref_put (args->saved_product, i * c + j, scale ? row[j] : 0,
          FALSE);
    umedpt_ref_normalise (row, c, args->gamma, args->beta, args->epsilon);
    /* src itself, not its rounded form: the residual stream stays f32 */
    for (gsize j = 0; j < c; j++)
      umedpt_ref_set (args->dst, i * c + j,
          row[j] * scale + UMEDPT_F32 (args->src)[i * c + j]);
  }
  return TRUE;
}
