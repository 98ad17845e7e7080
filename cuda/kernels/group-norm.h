/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Group norm of maps [N, pixels, C] on a CUDA device. All pointers are device
 * memory; kernels are only queued.
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
  int64_t groups;
  float epsilon;
} UmedptCudaGroupNorm;

/* Bytes of scratch memory, for both directions. */
size_t umedpt_cuda_group_norm_scratch (const UmedptCudaGroupNorm *self);

/* Bytes of the moments of src, if the norm wants them; 0: it does not. They can
 * be kept as long as src has the same values: another norm of src with one
 * group, and the backward pass, want the same. */
size_t umedpt_cuda_group_norm_moments_size (const UmedptCudaGroupNorm *self,
    const float *src);
cudaError_t
umedpt_cuda_launch_group_norm_moments (const UmedptCudaGroupNorm *self,
    const float *src, float *moments, cudaStream_t stream);

/* moments: NULL if none are wanted. gamma, beta [C] may be NULL; dst may be
 * src. */
cudaError_t umedpt_cuda_launch_group_norm (const UmedptCudaGroupNorm *self,
    const float *src, const float *moments, const float *gamma,
    const float *beta, float *dst, void *scratch, cudaStream_t stream);

/* Gradients may be NULL; diff_gamma and diff_beta [C] are added to. shadow:
 * (nullable) diff_src in bf16. */
cudaError_t
umedpt_cuda_launch_group_norm_backward (const UmedptCudaGroupNorm *self,
    const float *src, const float *moments, const float *gamma,
    const float *diff_dst, float *diff_src, int accumulate, uint16_t *shadow,
    float *diff_gamma, float *diff_beta, void *scratch, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
