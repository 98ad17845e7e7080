/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Backward passes of linear maps, alone and with the norm that ends Swin V2's
 * attention branch (core/backend/ref/linear-backward.c has the formulas).
 */
#include "kernels/row-ends.h"
#include "ops/rows.h"

static gboolean
add_column_sums (UmedptCuda *cuda, const UmedptTensor *diff, gint64 rows,
    gint64 columns, UmedptTensor *diff_bias, GError **error)
{
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  float *parts;

  if (!diff_bias)
    return TRUE;
  parts = umedpt_cuda_scratch (cuda,
      (gsize) umedpt_cuda_column_scratch (rows, columns), &scratch, error);
  return parts &&
      umedpt_cuda_check (umedpt_cuda_column_sums (diff->data,
                             umedpt_cuda_is_bf16 (diff), rows, columns,
                             umedpt_cuda_output (cuda, diff_bias), parts,
                             cuda->stream),
          "summing over rows", error);
}

/* The source is read for the weight's gradient alone. */
static gboolean
weight_backward (UmedptCuda *cuda, const UmedptCudaMap *map, const void *diff,
    UmedptTensor *src, UmedptTensor *diff_weight, GError **error)
{
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  const void *operand;

  if (!diff_weight)
    return TRUE;
  operand = umedpt_cuda_operand (cuda, src, map->compute, &scratch, error);
  return operand &&
      umedpt_cuda_map_backward_weight (cuda, map, diff, operand, diff_weight,
          error);
}

gboolean
umedpt_cuda_linear_backward (UmedptBackend *backend,
    const UmedptLinearBackwardArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  const UmedptLinearArgs *f = &args->forward;
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  const UmedptCudaMap map = { .m = umedpt_cuda_rows (f->src),
    .n = f->weight->shape[0],
    .k = f->weight->shape[1],
    .compute = f->compute };
  const void *diff;

  if (map.m == 0 || map.n == 0)
    return TRUE;
  if (!add_column_sums (cuda, args->diff_dst, map.m, map.n, args->diff_bias,
          error))
    return FALSE;
  if (!args->diff_src && !args->diff_weight)
    return TRUE;
  diff = umedpt_cuda_diff_operand (cuda, args->diff_dst, f->compute, &scratch,
      error);
  return diff &&
      weight_backward (cuda, &map, diff, f->src, args->diff_weight, error) &&
      umedpt_cuda_map_backward_data (cuda, &map, diff, f->weight,
          args->diff_src, args->accumulate, error);
}

gboolean
umedpt_cuda_linear_norm_backward (UmedptBackend *backend,
    const UmedptLinearNormBackwardArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  const UmedptLinearNormArgs *f = &args->forward;
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  const UmedptCudaMap map = { .m = umedpt_cuda_rows (f->src),
    .n = f->weight->shape[0],
    .k = f->weight->shape[1],
    .compute = f->compute };
  UmedptCudaNorm norm =
      umedpt_cuda_norm_of (map.m, map.n, f->gamma, f->beta, f->epsilon);
  const void *diff;

  if (map.m == 0 || map.n == 0)
    return TRUE;
  umedpt_cuda_norm_set_branch (&norm, f->branch_scale);
  norm.product = f->saved_product->data;
  norm.diff_dst = UMEDPT_F32 (args->diff_dst);
  norm.diff_gamma = umedpt_cuda_output (cuda, args->diff_gamma);
  norm.diff_beta = umedpt_cuda_output (cuda, args->diff_beta);
  norm.diff_bias = umedpt_cuda_output (cuda, args->diff_bias);
  diff = umedpt_cuda_norm_diff (cuda, &norm, f->compute, &scratch, error);
  return diff &&
      weight_backward (cuda, &map, diff, f->src, args->diff_weight, error) &&
      umedpt_cuda_map_backward_data (cuda, &map, diff, f->weight,
          args->diff_src, args->accumulate, error);
}
