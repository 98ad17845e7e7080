/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * LayerNorm on rows, alone; kernels/layer-norm.cu.
 */
#include "ops/rows.h"

gboolean
umedpt_cuda_layer_norm (UmedptBackend *backend, const UmedptLayerNormArgs *args,
    GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  UmedptCudaNorm norm = umedpt_cuda_norm_of (umedpt_cuda_rows (args->src),
      umedpt_cuda_columns (args->src), args->gamma, args->beta, args->epsilon);

  norm.product = args->src->data;
  norm.dst = umedpt_cuda_output (cuda, args->dst);
  return umedpt_cuda_norm_run (cuda, &norm, error);
}

gboolean
umedpt_cuda_layer_norm_backward (UmedptBackend *backend,
    const UmedptLayerNormBackwardArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  const UmedptLayerNormArgs *f = &args->forward;
  UmedptCudaNorm norm = umedpt_cuda_norm_of (umedpt_cuda_rows (f->src),
      umedpt_cuda_columns (f->src), f->gamma, f->beta, f->epsilon);

  if (norm.rows == 0)
    return TRUE;
  norm.product = f->src->data;
  norm.diff_dst = UMEDPT_F32 (args->diff_dst);
  norm.diff_product = umedpt_cuda_output (cuda, args->diff_src);
  norm.accumulate = args->accumulate;
  norm.diff_gamma = umedpt_cuda_output (cuda, args->diff_gamma);
  norm.diff_beta = umedpt_cuda_output (cuda, args->diff_beta);
  return umedpt_cuda_norm_run_backward (cuda, &norm, error);
}
