/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * LayerNorm forward. These kernels are bound by memory and move more bytes
 * than anything else in the encoder, so each value is read once and written
 * once: a warp keeps its row in registers, and what the next matrix product
 * will read is written along in bf16.
 */
#include "kernels/norm-row.cuh"

/* Rows per block of the kernel for short rows: few, so that a small batch has
 * blocks for all processors. */
#define WARPS 4

/* Residual and branch are joined; the value goes to dst and its shadow. */
template <int n>
static __device__ __forceinline__ void
store_row (const UmedptCudaNorm &norm, const float (&u)[n][4],
    const float (&residual)[n][4], float scale, int64_t row, int lane)
{
  const int columns = (int) norm.columns;

#pragma unroll
  for (int i = 0; i < n; i++) {
    const int c = 4 * (32 * i + lane);
    float gamma[4], beta[4], y[4];

    if (c >= columns)
      continue;
    load_parameters (gamma, norm.gamma, c, 1);
    load_parameters (beta, norm.beta, c, 0);
    for (int j = 0; j < 4; j++)
      y[j] = (u[i][j] * gamma[j] + beta[j]) * scale + residual[i][j];
    store (norm.dst + row * norm.columns + c, y);
    if (norm.shadow)
      store (norm.shadow + row * norm.columns + c, y);
  }
}

/* A row whose branch is off: what is left is the residual. */
template <int n>
static __device__ __forceinline__ void
skip_row (const UmedptCudaNorm &norm, const float (&residual)[n][4],
    int64_t row, int lane)
{
  const float zeros[4] = { 0, 0, 0, 0 };

#pragma unroll
  for (int i = 0; i < n; i++) {
    const int c = 4 * (32 * i + lane);
    const int64_t at = row * norm.columns + c;

    if (c >= (int) norm.columns)
      continue;
    store (norm.dst + at, residual[i]);
    if (norm.shadow)
      store (norm.shadow + at, residual[i]);
    if (norm.saved)
      store (norm.saved + at, zeros);
  }
}

template <typename T, int n>
static __global__ void __launch_bounds__ (32 * WARPS)
    norm_warp_kernel (UmedptCudaNorm norm)
{
  const int lane = threadIdx.x % 32, columns = (int) norm.columns;
  const int64_t row = (int64_t) blockIdx.x * WARPS + threadIdx.x / 32;
  float x[n][4], residual[n][4], scale;

  if (row >= norm.rows)
    return;
  scale = branch_scale_of (norm, row);
  if (norm.residual)
    load_row (residual, norm.residual + row * norm.columns, lane, columns);
  else
    for (int i = 0; i < n; i++)
      for (int j = 0; j < 4; j++)
        residual[i][j] = 0;
  if (scale == 0) {
    skip_row (norm, residual, row, lane);
    return;
  }
  load_row (x, (const T *) norm.product + row * norm.columns, lane, columns);
  if (norm.bias)
    for (int i = 0; i < n; i++) {
      const int c = 4 * (32 * i + lane);
      float bias[4];

      if (c >= columns)
        continue;
      load (bias, norm.bias + c);
      for (int j = 0; j < 4; j++)
        x[i][j] += bias[j];
    }
  normalise_row (x, lane, columns, norm.epsilon);
  store_row (norm, x, residual, scale, row, lane);
}

/* One block per row, for rows of any length and alignment. */
template <typename T>
static __global__ void
norm_block_kernel (UmedptCudaNorm norm)
{
  __shared__ float shared[32];
  const int64_t row = blockIdx.x, at = row * norm.columns;
  const T *product = (const T *) norm.product + at;
  const float branch = branch_scale_of (norm, row);
  float mean = 0, scale = 0;
  auto value = [&] (int64_t c) {
    float v[1];

    load (v, product + c);
    return v[0] + (norm.bias ? norm.bias[c] : 0);
  };

  if (branch != 0)
    block_moments (value, norm.columns, norm.epsilon, shared, &mean, &scale);
  for (int64_t c = threadIdx.x; c < norm.columns; c += blockDim.x) {
    float y[1] = { norm.residual ? norm.residual[at + c] : 0 };

    if (branch != 0)
      y[0] += branch *
          ((value (c) - mean) * scale * (norm.gamma ? norm.gamma[c] : 1) +
              (norm.beta ? norm.beta[c] : 0));
    else if (norm.saved)
      norm.saved[at + c] = 0;
    store (norm.dst + at + c, y);
    if (norm.shadow)
      store (norm.shadow + at + c, y);
  }
}

template <typename T, int n>
static cudaError_t
launch_warps (const UmedptCudaNorm *self, cudaStream_t stream)
{
  return UMEDPT_LAUNCH ((norm_warp_kernel<T, n>),
      (unsigned int) ceil_div (self->rows, WARPS), 32 * WARPS, 0, stream,
      *self);
}

template <typename T>
static cudaError_t
launch (const UmedptCudaNorm *self, cudaStream_t stream)
{
  if (!norm_is_vector (self))
    return UMEDPT_LAUNCH (norm_block_kernel<T>, (unsigned int) self->rows,
        norm_block_size (self->columns), 0, stream, *self);
  switch (ceil_div (self->columns, 128)) {
    case 1:
      return launch_warps<T, 1> (self, stream);
    case 2:
      return launch_warps<T, 2> (self, stream);
    case 3:
      return launch_warps<T, 3> (self, stream);
    case 4:
      return launch_warps<T, 4> (self, stream);
    case 5:
    case 6:
      return launch_warps<T, 6> (self, stream);
    default:
      return launch_warps<T, 8> (self, stream);
  }
}

extern "C" cudaError_t
umedpt_cuda_norm (const UmedptCudaNorm *self, cudaStream_t stream)
{
  if (self->rows <= 0 || self->columns <= 0)
    return cudaSuccess;
  return self->half ? launch<uint16_t> (self, stream)
                    : launch<float> (self, stream);
}
