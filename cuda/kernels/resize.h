/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Nearest-neighbour resizing of maps on a CUDA device, with what follows it in
 * decoders. All pointers are device memory; kernels are only queued.
 */
#pragma once

#include <cuda_runtime_api.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct
{
  int64_t samples;
  int64_t src_height, src_width; /* of src [N, h, w, C] */
  int64_t height, width; /* of dst [N, H, W, C + S] */
  int64_t channels; /* C */
  int64_t skip; /* S */
} UmedptCudaResize;

/* dst = src resized, then skip [N, H, W, S] (NULL: S is 0). shadow: (nullable)
 * dst in bf16. */
cudaError_t umedpt_cuda_launch_upsample_concat (const UmedptCudaResize *self,
    const float *src, const float *skip, float *dst, uint16_t *shadow,
    cudaStream_t stream);

/* dst = src resized + lateral [N, H, W, C]; S is 0. */
cudaError_t umedpt_cuda_launch_upsample_add (const UmedptCudaResize *self,
    const float *src, const float *lateral, float *dst, uint16_t *shadow,
    cudaStream_t stream);

/* diff_src = the first C channels of diff_dst [N, H, W, C + S], summed over the
 * copies of each pixel. */
cudaError_t umedpt_cuda_launch_gather_copies (const UmedptCudaResize *self,
    const float *diff_dst, float *diff_src, int accumulate,
    cudaStream_t stream);

/* diff_skip = the last S channels of diff_dst. */
cudaError_t umedpt_cuda_launch_take_skip (const UmedptCudaResize *self,
    const float *diff_dst, float *diff_skip, int accumulate,
    cudaStream_t stream);

#ifdef __cplusplus
}
#endif
