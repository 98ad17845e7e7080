/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The stem of Swin in one kernel on a CUDA device: patches of 4 x 4 pixels, a
 * linear map with bf16 operands, LayerNorm. All pointers are device memory;
 * the kernel is only queued.
 */
#pragma once

#include <cuda_runtime_api.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct
{
  int64_t n, h, w; /* w is even */
  int64_t channels; /* umedpt_cuda_patch_embed_has () */
  const void *src; /* f32, or u8 (divided by 255) if @src_bytes: [n, h, w, 3] */
  int src_bytes;
  const uint16_t *weight; /* bf16 [channels, 3, 4, 4] */
  const float *bias; /* [channels] */
  const float *gamma; /* (nullable) [channels] */
  const float *beta; /* (nullable) [channels] */
  float epsilon;
  float *dst; /* [n, h / 4, w / 4, channels] */
  uint16_t *shadow; /* bf16: dst once more */
  float *saved; /* (nullable) like dst: before the norm */
} UmedptCudaPatchEmbed;

/* Whether there is a kernel for as many channels. */
int umedpt_cuda_patch_embed_has (int64_t channels);
cudaError_t umedpt_cuda_launch_patch_embed (const UmedptCudaPatchEmbed *self,
    cudaStream_t stream);

#ifdef __cplusplus
}
#endif
