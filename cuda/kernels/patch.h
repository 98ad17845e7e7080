/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Gathers of pixels into the rows of a matrix, for the two ops that change the
 * resolution in Swin, on a CUDA device. All pointers are device memory;
 * kernels are only queued.
 */
#pragma once

#include <cuda_runtime_api.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* dst [n * (h / patch) * (w / patch), 3 * patch * patch], columns in the order
 * channel, row, column, f32 or bf16 if @dst_half, = patches of src
 * [n, h, w, 3], f32 or, with @src_bytes, u8 (divided by 255). */
typedef struct
{
  int64_t n, h, w, patch;
  const void *src;
  int src_bytes;
  void *dst;
  int dst_half;
} UmedptCudaPatches;

cudaError_t umedpt_cuda_gather_patches (const UmedptCudaPatches *self,
    cudaStream_t stream);

/* The pixels (2y, 2x), (2y + 1, 2x), (2y, 2x + 1), (2y + 1, 2x + 1) of a map
 * [n, h, w, c], side by side in rows [n * ceil (h / 2) * ceil (w / 2), 4 c];
 * those beyond the map are 0. */
typedef struct
{
  int64_t n, h, w, c;
} UmedptCudaQuads;

/* rows = src, both f32, or both bf16 if @half. */
cudaError_t umedpt_cuda_gather_quads (const UmedptCudaQuads *self,
    const void *src, void *rows, int half, cudaStream_t stream);
/* dst = rows, or added to; f32. */
cudaError_t umedpt_cuda_scatter_quads (const UmedptCudaQuads *self,
    const float *rows, float *dst, int accumulate, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
