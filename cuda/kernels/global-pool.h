/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Global pooling of maps [N, pixels, C] on a CUDA device. All pointers are
 * device memory; kernels are only queued.
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
  int64_t samples, pixels, channels; /* all > 0 */
  int average, maximum; /* which of the two, or both */
} UmedptCudaPooling;

size_t umedpt_cuda_global_pool_scratch (const UmedptCudaPooling *self);

/* src [N, pixels, C], dst [N, C] */
cudaError_t umedpt_cuda_launch_global_pool (const UmedptCudaPooling *self,
    const float *src, float *dst, void *scratch, cudaStream_t stream);

/* The gradient of a maximum goes to the first of equal values. */
cudaError_t
umedpt_cuda_launch_global_pool_backward (const UmedptCudaPooling *self,
    const float *src, const float *diff_dst, float *diff_src, int accumulate,
    void *scratch, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
