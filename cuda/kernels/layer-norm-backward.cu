/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * LayerNorm backward. With d the gradient of a row's normed branch, u the
 * normed row and g = gamma d:
 *
 *   dx = (g - mean (g) - u mean (g u)) / sqrt (var + epsilon)
 *   dgamma += d u,  dbeta += d,  dbias += dx, summed over rows
 *
 * (Ba et al. 2016, arXiv:1607.06450.) A warp goes over several rows and keeps
 * its part of the three sums in registers; the warps of a block join theirs,
 * and a second kernel joins those of the blocks.
 */
#include "kernels/norm-row.cuh"
#include "kernels/sums.cuh"

#define WARPS 4

/* Parts of each sum: as many as it takes to keep an H100 with its 132
 * processors busy, more blocks where a thread has less to do. The number must
 * not depend on the device: the order of the sums does on it. */
static int
count_blocks (const UmedptCudaNorm *self)
{
  const bool vector = norm_is_vector (self);
  const int64_t blocks = vector ? ceil_div (self->rows, WARPS) : self->rows;
  const int64_t most = self->columns <= 256 ? 1056
      : self->columns <= 512                ? 528
                                            : 264;

  return (int) (blocks > most ? most : blocks);
}

/* g = gamma d, rounded. Fused with what follows, g - mean (g) of equal values
 * would be the rounding error of g, multiplied by up to 1 / sqrt (epsilon). */
static __device__ __forceinline__ float
scaled (float d, float gamma)
{
  return __fmul_rn (d, gamma);
}

/* The sums of a lane's columns. */
template <int n> struct Sums
{
  float gamma[n][4], beta[n][4], bias[n][4];
};

/* u and d of a row become dx. */
template <int n>
static __device__ __forceinline__ void
diff_row (const UmedptCudaNorm &norm, const float (&u)[n][4], float (&d)[n][4],
    float scale, int lane, Sums<n> &sums)
{
  const float unit = 1.0f / (float) norm.columns;
  float mean = 0, slope = 0;

#pragma unroll
  for (int i = 0; i < n; i++) {
    const int c = 4 * (32 * i + lane);
    float gamma[4] = { 0, 0, 0, 0 };

    if (c < (int) norm.columns)
      load_parameters (gamma, norm.gamma, c, 1);
    for (int j = 0; j < 4; j++) {
      sums.gamma[i][j] += d[i][j] * u[i][j];
      sums.beta[i][j] += d[i][j];
      d[i][j] = scaled (d[i][j], gamma[j]);
      mean += d[i][j];
      slope += d[i][j] * u[i][j];
    }
  }
  mean = warp_sum (mean) * unit;
  slope = warp_sum (slope) * unit;
#pragma unroll
  for (int i = 0; i < n; i++) {
    if (4 * (32 * i + lane) >= (int) norm.columns)
      continue;
    for (int j = 0; j < 4; j++) {
      d[i][j] = (d[i][j] - mean - u[i][j] * slope) * scale;
      sums.bias[i][j] += d[i][j];
    }
  }
}

template <int n>
static __device__ __forceinline__ void
store_diff (const UmedptCudaNorm &norm, float (&d)[n][4], int64_t row, int lane)
{
#pragma unroll
  for (int i = 0; i < n; i++) {
    const int c = 4 * (32 * i + lane);
    const int64_t at = row * norm.columns + c;

    if (c >= (int) norm.columns)
      continue;
    if (norm.diff_half)
      store ((uint16_t *) norm.diff_product + at, d[i]);
    else
      put ((float *) norm.diff_product + at, d[i], norm.accumulate);
  }
}

/* Joins what the warps of a block have, one after the other. */
template <int n>
static __device__ __forceinline__ void
join_warps (const float (&sums)[n][4], float *shared, float *part, int columns)
{
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;

  for (int w = 0; w < WARPS; w++) {
    if (w == warp)
      for (int i = 0; i < n; i++)
        for (int j = 0; j < 4; j++) {
          float *at = shared + 4 * (32 * i + lane) + j;
          *at = w == 0 ? sums[i][j] : *at + sums[i][j];
        }
    __syncthreads ();
  }
  for (int c = threadIdx.x; c < columns; c += 32 * WARPS)
    part[c] = shared[c];
  __syncthreads ();
}

/* parts (nullable): [blocks, 3, columns]. */
template <int n>
static __global__ void __launch_bounds__ (32 * WARPS)
    norm_backward_warp_kernel (UmedptCudaNorm norm, float *parts)
{
  __shared__ float shared[128 * n];
  const int lane = threadIdx.x % 32, columns = (int) norm.columns;
  const int64_t first = (int64_t) blockIdx.x * WARPS + threadIdx.x / 32;
  Sums<n> sums = {};

  for (int64_t row = first; row < norm.rows;
       row += (int64_t) gridDim.x * WARPS) {
    const float branch = branch_scale_of (norm, row);
    float u[n][4] = {}, d[n][4] = {};

    if (branch != 0) {
      const float *x = (const float *) norm.product + row * norm.columns;
      float scale;

      load_row (u, x, lane, columns);
      load_row (d, norm.diff_dst + row * norm.columns, lane, columns);
      for (int i = 0; i < n; i++)
        for (int j = 0; j < 4; j++)
          d[i][j] *= branch;
      scale = normalise_row (u, lane, columns, norm.epsilon);
      diff_row (norm, u, d, scale, lane, sums);
    }
    if (norm.diff_product)
      store_diff (norm, d, row, lane);
  }
  if (!parts)
    return;
  parts += (int64_t) blockIdx.x * 3 * norm.columns;
  join_warps (sums.gamma, shared, parts, columns);
  join_warps (sums.beta, shared, parts + norm.columns, columns);
  join_warps (sums.bias, shared, parts + 2 * norm.columns, columns);
}

/* d of a row becomes dx by a whole block; a thread adds to its own columns of
 * @parts. */
static __device__ void
diff_row_by_block (const UmedptCudaNorm &norm, int64_t row, float branch,
    float *parts, float *shared)
{
  const float *x = (const float *) norm.product + row * norm.columns;
  const float *diff = norm.diff_dst + row * norm.columns;
  float mean, scale, sum = 0, slope = 0;

  block_moments ([=] (int64_t c) { return x[c]; }, norm.columns, norm.epsilon,
      shared, &mean, &scale);
  for (int64_t c = threadIdx.x; c < norm.columns; c += blockDim.x) {
    const float g = scaled (diff[c] * branch, norm.gamma ? norm.gamma[c] : 1);

    sum += g;
    slope += g * (x[c] - mean) * scale;
  }
  sum = block_sum (sum, shared) / (float) norm.columns;
  slope = block_sum (slope, shared) / (float) norm.columns;
  for (int64_t c = threadIdx.x; c < norm.columns; c += blockDim.x) {
    const int64_t at = row * norm.columns + c;
    const float u = (x[c] - mean) * scale, d = diff[c] * branch;
    float dx[1] = {
      (scaled (d, norm.gamma ? norm.gamma[c] : 1) - sum - u * slope) * scale
    };

    if (parts) {
      parts[c] += d * u;
      parts[norm.columns + c] += d;
      parts[2 * norm.columns + c] += dx[0];
    }
    if (norm.diff_product && norm.diff_half)
      store ((uint16_t *) norm.diff_product + at, dx);
    else if (norm.diff_product)
      put ((float *) norm.diff_product + at, dx, norm.accumulate);
  }
}

static __global__ void
norm_backward_block_kernel (UmedptCudaNorm norm, float *parts)
{
  __shared__ float shared[32];

  if (parts) {
    parts += (int64_t) blockIdx.x * 3 * norm.columns;
    for (int64_t c = threadIdx.x; c < norm.columns; c += blockDim.x)
      parts[c] = parts[norm.columns + c] = parts[2 * norm.columns + c] = 0;
  }
  for (int64_t row = blockIdx.x; row < norm.rows; row += gridDim.x) {
    const float branch = branch_scale_of (norm, row);

    if (branch != 0) {
      diff_row_by_block (norm, row, branch, parts, shared);
      continue;
    }
    if (!norm.diff_product || (norm.accumulate && !norm.diff_half))
      continue;
    for (int64_t c = threadIdx.x; c < norm.columns; c += blockDim.x) {
      const float zero[1] = { 0 };

      if (norm.diff_half)
        store ((uint16_t *) norm.diff_product + row * norm.columns + c, zero);
      else
        store ((float *) norm.diff_product + row * norm.columns + c, zero);
    }
  }
}

template <int n>
static cudaError_t
launch_warps (const UmedptCudaNorm *self, float *parts, cudaStream_t stream)
{
  return UMEDPT_LAUNCH (norm_backward_warp_kernel<n>,
      (unsigned int) count_blocks (self), 32 * WARPS, 0, stream, *self, parts);
}

static cudaError_t
launch (const UmedptCudaNorm *self, float *parts, cudaStream_t stream)
{
  if (!norm_is_vector (self))
    return UMEDPT_LAUNCH (norm_backward_block_kernel,
        (unsigned int) count_blocks (self), norm_block_size (self->columns), 0,
        stream, *self, parts);
  switch (ceil_div (self->columns, 128)) {
    case 1:
      return launch_warps<1> (self, parts, stream);
    case 2:
      return launch_warps<2> (self, parts, stream);
    case 3:
      return launch_warps<3> (self, parts, stream);
    case 4:
      return launch_warps<4> (self, parts, stream);
    case 5:
    case 6:
      return launch_warps<6> (self, parts, stream);
    default:
      return launch_warps<8> (self, parts, stream);
  }
}

extern "C" int64_t
umedpt_cuda_norm_scratch (const UmedptCudaNorm *self)
{
  return (int64_t) sizeof (float) * 3 * self->columns * count_blocks (self);
}

extern "C" cudaError_t
umedpt_cuda_norm_backward (const UmedptCudaNorm *self, float *scratch,
    cudaStream_t stream)
{
  float *const sums[3] = { self->diff_gamma, self->diff_beta, self->diff_bias };
  const bool wanted = self->diff_gamma || self->diff_beta || self->diff_bias;
  cudaError_t status;

  if (self->rows <= 0 || self->columns <= 0)
    return cudaSuccess;
  status = launch (self, wanted ? scratch : nullptr, stream);
  if (wanted && status == cudaSuccess)
    status = add_parts (scratch, count_blocks (self), self->columns, sums, 3,
        stream);
  return status;
}
