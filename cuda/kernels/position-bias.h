/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Swin V2's position bias on a CUDA device. All pointers are device memory;
 * kernels are only queued.
 */
#pragma once

#include <cuda_runtime_api.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct
{
  int64_t window, hidden, heads; /* all > 0 */
  const float *w1, *b1, *w2; /* [hidden, 2], [hidden], [heads, hidden] */
} UmedptCudaPositionBias;

/* Bytes of scratch memory of the backward pass. */
size_t umedpt_cuda_position_bias_scratch (const UmedptCudaPositionBias *self);

/* dst [heads, L, L], L = window^2 */
cudaError_t
umedpt_cuda_launch_position_bias (const UmedptCudaPositionBias *self,
    float *dst, cudaStream_t stream);

/* Gradients may be NULL and are added to. */
cudaError_t
umedpt_cuda_launch_position_bias_backward (const UmedptCudaPositionBias *self,
    const float *diff_dst, float *diff_w1, float *diff_b1, float *diff_w2,
    void *scratch, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
