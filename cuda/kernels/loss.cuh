/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the kernels of losses share: sums in double, from threads to the value,
 * and the cross entropies of one logit. Blocks have BLOCK threads.
 */
#pragma once

#include <math.h>

#include "kernels/kernel.cuh"
#include "kernels/loss.h"

#define BLOCK 256
#define MAX_VALUES 3 /* of a loss */

/* The sum over a warp, in all lanes. */
static __device__ __forceinline__ double
warp_sum_f64 (double x)
{
  for (int offset = 16; offset > 0; offset /= 2)
    x += __shfl_xor_sync (0xffffffffu, x, offset);
  return x;
}

/* The sum over a block, in all threads. @shared: 32 doubles. */
static __device__ inline double
block_sum_f64 (double x, double *shared)
{
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32;

  x = warp_sum_f64 (x);
  if (lane == 0)
    shared[warp] = x;
  __syncthreads ();
  x = lane < (int) (blockDim.x / 32) ? shared[lane] : 0;
  x = warp_sum_f64 (x);
  __syncthreads ();
  return x;
}

/* By all threads of a block: the block's part @x of value @at. A block that is
 * alone has all of it; else finish_loss() adds the parts. */
static __device__ inline void
put_sum (double x, int at, double scale, double *partials, float *loss)
{
  __shared__ double shared[32];

  x = block_sum_f64 (x, shared);
  if (threadIdx.x != 0)
    return;
  if (gridDim.x == 1)
    loss[at] = (float) (scale * x);
  else
    partials[(int64_t) at * gridDim.x + blockIdx.x] = x;
}

typedef struct
{
  double value[MAX_VALUES];
} Scales;

/* One block per value; partials [values, n]. */
static __global__ void
add_partials (const double *partials, int n, Scales scales, float *loss)
{
  __shared__ double shared[32];
  double sum = 0;

  for (int i = threadIdx.x; i < n; i += BLOCK)
    sum += partials[(int64_t) blockIdx.x * n + i];
  sum = block_sum_f64 (sum, shared);
  if (threadIdx.x == 0)
    loss[blockIdx.x] = (float) (scales.value[blockIdx.x] * sum);
}

/* How many blocks share @n items, @each of which are one block's turn. */
static inline int
loss_blocks (int64_t n, int64_t each)
{
  int64_t blocks = ceil_div (n, each);

  return blocks < 1                      ? 1
      : blocks > UMEDPT_CUDA_LOSS_BLOCKS ? UMEDPT_CUDA_LOSS_BLOCKS
                                         : (int) blocks;
}

/* After a kernel of @blocks blocks that calls put_sum(). */
static inline cudaError_t
finish_loss (cudaError_t status, const double *partials, int blocks,
    Scales scales, int values, float *loss, cudaStream_t stream)
{
  if (status != cudaSuccess || blocks == 1)
    return status;
  return UMEDPT_LAUNCH (add_partials, values, BLOCK, 0, stream, partials,
      blocks, scales, loss);
}

/* Of one logit against a target in [0, 1]; no overflow. */
static __device__ __forceinline__ double
binary_cross_entropy_of (double z, double target)
{
  return (z < 0 ? 0 : z) - z * target + log1p (exp (-fabs (z)));
}

static __device__ __forceinline__ double
sigmoid_of (double z)
{
  return 1 / (1 + exp (-z));
}

/* Focal loss with gamma 2 of one logit, without alpha: q^2 (-ln (1 - q)), q the
 * probability of what is not so, and d / d z. f32 is enough: q and 1 - q are
 * each computed without a difference. */
static __device__ __forceinline__ float
focal_of (float z, bool positive, float *slope)
{
  float a = expf (-fabsf (z)), large = 1 / (1 + a), small = a * large;
  float sign = positive ? 1.0f : -1.0f;
  float q = sign * z < 0 ? large : small, p = sign * z < 0 ? small : large;
  float loss = (z < 0 ? 0 : z) - z * (positive ? 1.0f : 0.0f) + log1pf (a);

  *slope = sign * q * q * (-2 * p * loss - q);
  return q * q * loss;
}
