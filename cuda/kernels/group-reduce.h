/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Instances to groups on a CUDA device. All pointers are device memory; kernels
 * are only queued.
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
  int64_t instances, dimensions, heads, groups; /* all > 0 */
  int softmax; /* else weighted; heads is 1 then */
  const float *src; /* [N, D] */
  const float *weight; /* [N, heads] */
  const int32_t *index; /* [N]: the group of each; others belong to none */
} UmedptCudaGroupReduce;

/* Bytes of scratch memory, for both directions. */
size_t umedpt_cuda_group_reduce_scratch (const UmedptCudaGroupReduce *self);

/* dst [G, heads D] */
cudaError_t umedpt_cuda_launch_group_reduce (const UmedptCudaGroupReduce *self,
    float *dst, void *scratch, cudaStream_t stream);

/* Gradients may be NULL and are written. */
cudaError_t
umedpt_cuda_launch_group_reduce_backward (const UmedptCudaGroupReduce *self,
    const float *diff_dst, float *diff_src, float *diff_weight, void *scratch,
    cudaStream_t stream);

#ifdef __cplusplus
}
#endif
