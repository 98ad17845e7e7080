/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Images that lie on a CUDA device, on their way to the network. All pointers
 * are device memory; kernels are only queued.
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
  const uint8_t *data;
  size_t stride; /* bytes from row to row */
  int width, height; /* > 0 */
  int bytes; /* per pixel */
  int offsets[3]; /* of red, green, blue in a pixel */
} UmedptCudaImage;

/* dst: u8 [height, width, 3], RGB: the bytes that core/infer/preprocess.c
 * makes of the same image. */
cudaError_t umedpt_cuda_launch_image (const UmedptCudaImage *image,
    uint8_t *dst, int width, int height, cudaStream_t stream);

/* sum += a number of the image's pixels, without what pads its rows, that
 * another picture hardly has. */
cudaError_t umedpt_cuda_launch_image_sum (const UmedptCudaImage *image,
    unsigned long long *sum, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
