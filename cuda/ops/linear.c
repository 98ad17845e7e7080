/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Linear maps of rows, alone and with the norm that ends Swin V2's attention
 * branch (core/backend/ref/linear.c has the formulas).
 */
#include "ops/rows.h"

static UmedptCudaMap
map_of (const UmedptTensor *src, const UmedptTensor *weight,
    UmedptDtype compute)
{
  return (UmedptCudaMap){ .m = umedpt_cuda_rows (src),
    .n = weight->shape[0],
    .k = weight->shape[1],
    .compute = compute };
}

gboolean
umedpt_cuda_linear (UmedptBackend *backend, const UmedptLinearArgs *args,
    GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  g_auto (UmedptCudaScratch) src = UMEDPT_CUDA_NO_SCRATCH;
  g_auto (UmedptCudaScratch) weight = UMEDPT_CUDA_NO_SCRATCH;
  const UmedptCudaMap map = map_of (args->src, args->weight, args->compute);
  UmedptCudaGemm gemm = { .m = map.m,
    .n = map.n,
    .k = map.k,
    .half = args->compute == UMEDPT_DTYPE_BF16,
    .b_transposed = TRUE,
    .bias = args->bias,
    .activation = args->activation,
    .c_half = umedpt_cuda_is_bf16 (args->dst) };

  cuda->half = gemm.half;
  if (args->dst->n_elements == 0)
    return TRUE;
  gemm.a = umedpt_cuda_operand (cuda, args->src, args->compute, &src, error);
  if (!gemm.a)
    return FALSE;
  gemm.b =
      umedpt_cuda_operand (cuda, args->weight, args->compute, &weight, error);
  if (!gemm.b)
    return FALSE;
  gemm.c = umedpt_cuda_output (cuda, args->dst);
  return umedpt_cuda_gemm (cuda, &gemm, error);
}

gboolean
umedpt_cuda_linear_norm (UmedptBackend *backend,
    const UmedptLinearNormArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  const UmedptCudaMap map = map_of (args->src, args->weight, args->compute);
  UmedptCudaNorm norm = umedpt_cuda_norm_of (map.m, map.n, args->gamma,
      args->beta, args->epsilon);
  const void *src;

  cuda->half = args->compute == UMEDPT_DTYPE_BF16;
  if (args->dst->n_elements == 0)
    return TRUE;
  src = umedpt_cuda_operand (cuda, args->src, args->compute, &scratch, error);
  if (!src)
    return FALSE;
  umedpt_cuda_norm_set_branch (&norm, args->branch_scale);
  norm.residual = umedpt_cuda_data (args->residual);
  return umedpt_cuda_map_and_norm (cuda, &map, src, args->weight, args->bias,
      &norm, args->saved_product, args->dst, error);
}
