/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Kernels of the op convert: u8 -> f32 divided by 255, and f32 <-> bf16 to
 * nearest, ties to even, a NaN stays a NaN. The rounding is done on the bits,
 * as umedpt_f32_to_bf16() does in core/tensor/tensor-private.h, so that both
 * sides agree to the last bit, also about NaN.
 */
#include "convert.h"

static const unsigned int block_size = 256;

static __device__ inline size_t
element (void)
{
  return (size_t) blockIdx.x * blockDim.x + threadIdx.x;
}

static __global__ void
u8_to_f32 (const uint8_t *src, float *dst, size_t n)
{
  size_t i = element ();

  if (i < n)
    dst[i] = __fdiv_rn ((float) src[i], 255.0f);
}

static __global__ void
f32_to_bf16 (const float *src, uint16_t *dst, size_t n)
{
  size_t i = element ();

  if (i < n) {
    uint32_t u = __float_as_uint (src[i]);

    if ((u & 0x7fffffff) > 0x7f800000)
      dst[i] = (uint16_t) ((u >> 16) | 0x40);
    else
      dst[i] = (uint16_t) ((u + 0x7fff + ((u >> 16) & 1)) >> 16);
  }
}

static __global__ void
bf16_to_f32 (const uint16_t *src, float *dst, size_t n)
{
  size_t i = element ();

  if (i < n)
    dst[i] = __uint_as_float ((uint32_t) src[i] << 16);
}

/* Blocks for @n elements; 0 if a grid cannot hold them. */
static unsigned int
blocks (size_t n)
{
  size_t count = (n + block_size - 1) / block_size;

  return count <= 0x7fffffff ? (unsigned int) count : 0;
}

/* An empty tensor is no work; an empty grid would be an error. */
#define LAUNCH(kernel) \
  do { \
    if (n == 0) \
      return cudaSuccess; \
    if (blocks (n) == 0) \
      return cudaErrorInvalidValue; \
    kernel<<<blocks (n), block_size, 0, stream>>> (src, dst, n); \
    return cudaGetLastError (); \
  } while (0)

extern "C" cudaError_t
umedpt_cuda_u8_to_f32 (const uint8_t *src, float *dst, size_t n,
    cudaStream_t stream)
{
  LAUNCH (u8_to_f32);
}

extern "C" cudaError_t
umedpt_cuda_f32_to_bf16 (const float *src, uint16_t *dst, size_t n,
    cudaStream_t stream)
{
  LAUNCH (f32_to_bf16);
}

extern "C" cudaError_t
umedpt_cuda_bf16_to_f32 (const uint16_t *src, float *dst, size_t n,
    cudaStream_t stream)
{
  LAUNCH (bf16_to_f32);
}
