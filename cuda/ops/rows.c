/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Pieces of which the ops on rows consist, see rows.h.
 *
 * In inference a product that only its norm will read is kept in bf16 where
 * products are formed in bf16: its rounding is that of one more operand, and
 * the norm is bound by what it reads. Its bias is added by the norm, in f32.
 */
#include "ops/rows.h"

#include "kernels/elements.h"

/* Such a product is made and used up in parts that stay in the device's cache
 * (50 MB on an H100) meanwhile. */
#define PRODUCT_BYTES ((gint64) 24 << 20)
#define MIN_PART_ROWS 1024

static const void *
operand_to_f32 (UmedptCuda *cuda, const UmedptTensor *tensor,
    UmedptCudaScratch *scratch, GError **error)
{
  float *copy;

  if (!umedpt_cuda_is_bf16 (tensor))
    return tensor->data;
  copy = umedpt_cuda_scratch (cuda, tensor->n_elements * sizeof (float),
      scratch, error);
  if (!copy ||
      !umedpt_cuda_check (umedpt_cuda_bf16_to_f32 (UMEDPT_BF16 (tensor), copy,
                              tensor->n_elements, cuda->stream),
          "converting to f32", error))
    return NULL;
  return copy;
}

const void *
umedpt_cuda_operand (UmedptCuda *cuda, UmedptTensor *tensor,
    UmedptDtype compute, UmedptCudaScratch *scratch, GError **error)
{
  return compute == UMEDPT_DTYPE_BF16
      ? umedpt_cuda_bf16 (cuda, tensor, error)
      : operand_to_f32 (cuda, tensor, scratch, error);
}

const void *
umedpt_cuda_diff_operand (UmedptCuda *cuda, UmedptTensor *tensor,
    UmedptDtype compute, UmedptCudaScratch *scratch, GError **error)
{
  guint16 *copy;

  if (compute != UMEDPT_DTYPE_BF16)
    return operand_to_f32 (cuda, tensor, scratch, error);
  if (umedpt_cuda_is_bf16 (tensor))
    return tensor->data;
  copy = umedpt_cuda_scratch (cuda, tensor->n_elements * sizeof *copy, scratch,
      error);
  if (!copy ||
      !umedpt_cuda_check (umedpt_cuda_f32_to_bf16 (UMEDPT_F32 (tensor), copy,
                              tensor->n_elements, cuda->stream),
          "converting to bf16", error))
    return NULL;
  return copy;
}

gboolean
umedpt_cuda_map_backward_data (UmedptCuda *cuda, const UmedptCudaMap *map,
    const void *diff, UmedptTensor *weight, UmedptTensor *diff_src,
    gboolean accumulate, GError **error)
{
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  UmedptCudaGemm gemm = { .m = map->m,
    .n = map->k,
    .k = map->n,
    .a = diff,
    .half = map->compute == UMEDPT_DTYPE_BF16 };

  if (!diff_src)
    return TRUE;
  gemm.b = umedpt_cuda_operand (cuda, weight, map->compute, &scratch, error);
  if (!gemm.b)
    return FALSE;
  gemm.c = umedpt_cuda_output (cuda, diff_src);
  gemm.c_half = umedpt_cuda_is_bf16 (diff_src);
  gemm.add = accumulate ? gemm.c : NULL;
  return umedpt_cuda_gemm (cuda, &gemm, error);
}

gboolean
umedpt_cuda_map_backward_weight (UmedptCuda *cuda, const UmedptCudaMap *map,
    const void *diff, const void *src, UmedptTensor *diff_weight,
    GError **error)
{
  UmedptCudaGemm gemm = { .m = map->n,
    .n = map->k,
    .k = map->m,
    .a = diff,
    .b = src,
    .half = map->compute == UMEDPT_DTYPE_BF16,
    .a_transposed = TRUE };

  if (!diff_weight)
    return TRUE;
  gemm.c = umedpt_cuda_output (cuda, diff_weight);
  gemm.add = gemm.c;
  return umedpt_cuda_gemm (cuda, &gemm, error);
}

UmedptCudaNorm
umedpt_cuda_norm_of (gint64 rows, gint64 columns, const UmedptTensor *gamma,
    const UmedptTensor *beta, float epsilon)
{
  return (UmedptCudaNorm){ .rows = rows,
    .columns = columns,
    .gamma = umedpt_cuda_data (gamma),
    .beta = umedpt_cuda_data (beta),
    .rows_per_sample = 1,
    .epsilon = epsilon };
}

void
umedpt_cuda_norm_set_branch (UmedptCudaNorm *norm,
    const UmedptTensor *branch_scale)
{
  if (!branch_scale || branch_scale->n_elements == 0)
    return;
  norm->branch_scale = UMEDPT_F32 (branch_scale);
  norm->rows_per_sample =
      MAX (norm->rows / (gint64) branch_scale->n_elements, 1);
}

gboolean
umedpt_cuda_norm_set_dst (UmedptCuda *cuda, UmedptCudaNorm *norm,
    UmedptTensor *dst, UmedptDtype compute, GError **error)
{
  norm->dst = UMEDPT_F32 (dst);
  if (compute != UMEDPT_DTYPE_BF16) {
    umedpt_cuda_output (cuda, dst);
    return TRUE;
  }
  norm->shadow = umedpt_cuda_bf16_output (cuda, dst, error);
  return norm->shadow != NULL;
}

gboolean
umedpt_cuda_norm_run (UmedptCuda *cuda, const UmedptCudaNorm *norm,
    GError **error)
{
  return umedpt_cuda_check (umedpt_cuda_norm (norm, cuda->stream),
      "a layer norm", error);
}

gboolean
umedpt_cuda_norm_run_backward (UmedptCuda *cuda, const UmedptCudaNorm *norm,
    GError **error)
{
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  float *parts = NULL;

  if ((norm->diff_gamma || norm->diff_beta || norm->diff_bias) &&
      !(parts = umedpt_cuda_scratch (cuda,
            (gsize) umedpt_cuda_norm_scratch (norm), &scratch, error)))
    return FALSE;
  return umedpt_cuda_check (umedpt_cuda_norm_backward (norm, parts,
                                cuda->stream),
      "the backward pass of a layer norm", error);
}

gint64
umedpt_cuda_rows_per_part (gint64 m, gint64 bytes_per_row, gint64 bytes)
{
  const gint64 fit = MAX (bytes / MAX (bytes_per_row, 1), MIN_PART_ROWS);
  const gint64 parts = (m + fit - 1) / fit;

  return parts <= 1 ? m : ((m + parts - 1) / parts + 127) / 128 * 128;
}

/* Some rows of the product, and their norm. */
static gboolean
run_part (UmedptCuda *cuda, const UmedptCudaGemm *product,
    const UmedptCudaNorm *whole, gint64 begin, gint64 rows, GError **error)
{
  UmedptCudaGemm gemm = *product;
  UmedptCudaNorm norm = *whole;
  const gint64 at = begin * norm.columns;

  gemm.m = norm.rows = rows;
  gemm.a = (const guint8 *) gemm.a + begin * gemm.k * (gemm.half ? 2 : 4);
  norm.first_row += begin;
  norm.dst += at;
  if (norm.shadow)
    norm.shadow += at;
  if (norm.residual)
    norm.residual += at;
  return umedpt_cuda_gemm (cuda, &gemm, error) &&
      umedpt_cuda_norm_run (cuda, &norm, error);
}

gboolean
umedpt_cuda_map_and_norm (UmedptCuda *cuda, const UmedptCudaMap *map,
    const void *src, UmedptTensor *weight, UmedptTensor *bias,
    UmedptCudaNorm *norm, UmedptTensor *product, UmedptTensor *dst,
    GError **error)
{
  g_auto (UmedptCudaScratch) weights = UMEDPT_CUDA_NO_SCRATCH;
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  const gboolean half = map->compute == UMEDPT_DTYPE_BF16;
  UmedptCudaGemm gemm = {
    .k = map->k, .n = map->n, .a = src, .half = half, .b_transposed = TRUE
  };
  gint64 part = map->m;

  gemm.b = umedpt_cuda_operand (cuda, weight, map->compute, &weights, error);
  if (!gemm.b)
    return FALSE;
  if (product) {
    gemm.c = umedpt_cuda_output (cuda, product);
    gemm.bias = bias;
    norm->saved = norm->branch_scale ? gemm.c : NULL;
  } else {
    /* odd rows are no load for anybody */
    gemm.c_half = half && map->n % 8 == 0;
    part = umedpt_cuda_rows_per_part (map->m, map->n * (gemm.c_half ? 2 : 4),
        PRODUCT_BYTES);
    gemm.c = umedpt_cuda_scratch (cuda,
        (gsize) part * (gsize) map->n * (gemm.c_half ? 2 : 4), &scratch, error);
    norm->bias = umedpt_cuda_data (bias);
  }
  norm->product = gemm.c;
  norm->half = gemm.c_half;
  if (!gemm.c ||
      (!norm->dst &&
          !umedpt_cuda_norm_set_dst (cuda, norm, dst, map->compute, error)))
    return FALSE;
  for (gint64 begin = 0; begin < map->m; begin += part)
    if (!run_part (cuda, &gemm, norm, begin, MIN (part, map->m - begin), error))
      return FALSE;
  return TRUE;
}

const void *
umedpt_cuda_norm_diff (UmedptCuda *cuda, UmedptCudaNorm *norm,
    UmedptDtype compute, UmedptCudaScratch *scratch, GError **error)
{
  norm->diff_half = compute == UMEDPT_DTYPE_BF16;
  norm->diff_product = umedpt_cuda_scratch (cuda,
      (gsize) norm->rows * (gsize) norm->columns *
          umedpt_cuda_element_size (compute),
      scratch, error);
  if (!norm->diff_product || !umedpt_cuda_norm_run_backward (cuda, norm, error))
    return NULL;
  return norm->diff_product;
}
