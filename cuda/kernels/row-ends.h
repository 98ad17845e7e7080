/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What follows a matrix product on a CUDA device where the product itself
 * cannot do it: bias and activation, GELU backward, sums over rows. All
 * pointers are device memory, matrices are [rows, columns]; kernels are only
 * queued.
 */
#pragma once

#include <cuda_runtime_api.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* dst = activation (src + bias), or dst + src if @accumulate. */
typedef struct
{
  int64_t rows, columns;
  const void *src; /* f32, or bf16 if @src_half */
  int src_half;
  const float *bias; /* (nullable) [columns] */
  int activation; /* kernels/elements.h */
  void *dst; /* f32, or bf16 if @dst_half; may be src, in its type */
  int dst_half;
  int accumulate; /* then there is neither bias nor activation */
  void *saved; /* (nullable) src + bias, in dst's type; may be src */
} UmedptCudaRowEnd;

cudaError_t umedpt_cuda_row_end (const UmedptCudaRowEnd *self,
    cudaStream_t stream);

/* From hidden, the input of a GELU, and diff, the gradient of its output:
 * diff becomes that of its input (changed in place), act = gelu (hidden)
 * (nullable). All of one type: f32, or bf16 if @half. diff_bias (nullable)
 * [columns] is added the sum of the rows of the new diff. */
typedef struct
{
  int64_t rows, columns;
  const void *hidden;
  void *diff, *act;
  int half;
  float *diff_bias;
} UmedptCudaGeluBackward;

/* @scratch: umedpt_cuda_column_scratch() bytes. */
cudaError_t umedpt_cuda_gelu_backward (const UmedptCudaGeluBackward *self,
    float *scratch, cudaStream_t stream);

/* dst[c] += the sum of column c of src (f32, or bf16 if @half). */
cudaError_t umedpt_cuda_column_sums (const void *src, int half, int64_t rows,
    int64_t columns, float *dst, float *scratch, cudaStream_t stream);

int64_t umedpt_cuda_column_scratch (int64_t rows, int64_t columns);

/* Sets the rows to 0 whose branch_scale[(first_row + row) / rows_per_sample]
 * is 0. @size: bytes per row. */
cudaError_t umedpt_cuda_clear_rows (void *data, int64_t rows, int64_t size,
    const float *branch_scale, int64_t first_row, int64_t rows_per_sample,
    cudaStream_t stream);

#ifdef __cplusplus
}
#endif
