/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Sums over rows, for gradients of parameters: each block of a first kernel
 * leaves its part of all sums in scratch memory, and this second kernel adds
 * the parts to the gradients, always in the same order.
 */
#pragma once

#include "kernels/kernel.cuh"

/* Gradients of @n elements each, NULL where one is not wanted. */
struct PartsTarget
{
  float *dst[3];
};

/* target.dst[y][i] += the sum over p of parts[p][y][i], y = blockIdx.y; parts:
 * [n_parts, gridDim.y, n]; blocks of (32, 32). */
static __global__ void
add_parts_kernel (const float *parts, int n_parts, int64_t n,
    PartsTarget target)
{
  __shared__ float shared[32][32];
  const int64_t i = (int64_t) blockIdx.x * 32 + threadIdx.x;
  float *dst = target.dst[blockIdx.y];
  float sum = 0;

  if (dst && i < n)
    for (int p = threadIdx.y; p < n_parts; p += 32)
      sum += parts[((int64_t) p * gridDim.y + blockIdx.y) * n + i];
  shared[threadIdx.y][threadIdx.x] = sum;
  __syncthreads ();
  if (threadIdx.y != 0 || i >= n || !dst)
    return;
  for (int p = 1; p < 32; p++)
    sum += shared[p][threadIdx.x];
  dst[i] += sum;
}

/* @dst: @n_dst (nullable) gradients. */
static inline cudaError_t
add_parts (const float *parts, int n_parts, int64_t n, float *const *dst,
    int n_dst, cudaStream_t stream)
{
  PartsTarget target = { { nullptr, nullptr, nullptr } };

  if (n <= 0)
    return cudaSuccess;
  for (int i = 0; i < n_dst; i++)
    target.dst[i] = dst[i];
  return UMEDPT_LAUNCH (add_parts_kernel,
      dim3 ((unsigned int) ceil_div (n, 32), (unsigned int) n_dst),
      dim3 (32, 32), 0, stream, parts, n_parts, n, target);
}
