/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * LayerNorm over the columns of rows on a CUDA device, alone and as the end of
 * a branch with residual post-norm:
 *
 *   dst = residual + branch_scale[sample] * (u gamma + beta),
 *   u = (x - mean) / sqrt (var + epsilon), x = product + bias
 *
 * All pointers are device memory; kernels are only queued.
 */
#pragma once

#include <cuda_runtime_api.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct
{
  int64_t rows, columns;
  const void *product; /* f32, or bf16 if @half: [rows, columns] */
  int half;
  const float *bias; /* (nullable) [columns] */
  const float *gamma; /* (nullable) [columns] */
  const float *beta; /* (nullable) [columns] */
  /* (nullable) f32 [samples]: row r counts as first_row + r and belongs to
   * sample (first_row + r) / rows_per_sample */
  const float *branch_scale;
  int64_t first_row, rows_per_sample;
  float epsilon;
  /* forward: */
  const float *residual; /* (nullable) [rows, columns] */
  float *dst; /* [rows, columns]; may be product or residual */
  uint16_t *shadow; /* (nullable) bf16: dst once more */
  float *saved; /* (nullable) [rows, columns]: 0 where a branch is off */
  /* backward, with diff = branch_scale[sample] * diff_dst: */
  const float *diff_dst; /* [rows, columns] */
  void *diff_product; /* (nullable) f32, or bf16 if @diff_half */
  int diff_half;
  int accumulate; /* f32: diff_product is added to */
  /* (nullable) [columns], added to; diff_bias: the sum of diff_product */
  float *diff_gamma, *diff_beta, *diff_bias;
} UmedptCudaNorm;

cudaError_t umedpt_cuda_norm (const UmedptCudaNorm *self, cudaStream_t stream);

/* The product is f32 and has its bias (self->bias is not looked at). @scratch:
 * umedpt_cuda_norm_scratch() bytes. */
int64_t umedpt_cuda_norm_scratch (const UmedptCudaNorm *self);
cudaError_t umedpt_cuda_norm_backward (const UmedptCudaNorm *self,
    float *scratch, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
