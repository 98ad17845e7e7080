/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Kernels of Swin V2's continuous position bias (formulas:
 * core/backend/ref/position-bias.c). A window of 8 has 225 offsets, for which
 * a small network is evaluated: one warp for each offset and head, which then
 * spreads the result over all pairs of query and key with that offset.
 * Backward, it sums the gradients of those pairs, and a second kernel forms the
 * gradients of all parameters from these sums.
 *
 * An offset has the number (dy + window - 1) (2 window - 1) + dx + window - 1,
 * with dy, dx = query - key. Tables are [heads, offsets].
 */
#include "kernels/position-bias.h"

#include "kernels/vector.cuh"

typedef UmedptCudaPositionBias Bias;

static const int warps = 8; /* per block */

static __host__ __device__ inline int
side_of (const Bias &b)
{
  return (int) (2 * b.window - 1);
}

/* Coordinates of offsets in [-1, 1], log-spaced (equation 4 of the paper). */
static __device__ inline float
log_spaced (int offset, int window)
{
  const float d = window > 1 ? 8.0f * offset / (window - 1) : 0;

  return copysignf (log2f (fabsf (d) + 1) / 3, d);
}

static __device__ inline float
coordinate_y (const Bias &b, int offset)
{
  return log_spaced (offset / side_of (b) - (int) (b.window - 1),
      (int) b.window);
}

static __device__ inline float
coordinate_x (const Bias &b, int offset)
{
  return log_spaced (offset % side_of (b) - (int) (b.window - 1),
      (int) b.window);
}

/* Unit @i of the hidden layer; a NaN stays one. */
static __device__ __forceinline__ float
hidden_unit (const Bias &b, int64_t i, float y, float x)
{
  const float sum = b.w1[2 * i] * y + b.w1[2 * i + 1] * x + b.b1[i];

  return sum < 0 ? 0 : sum;
}

static __device__ __forceinline__ void
load_pairs (float (&a)[1], float (&b)[1], const float *p)
{
  a[0] = p[0];
  b[0] = p[1];
}

/* p: pairs (a, b), aligned to 16 bytes */
static __device__ __forceinline__ void
load_pairs (float (&a)[4], float (&b)[4], const float *p)
{
  for (int j = 0; j < 4; j += 2) {
    float v[4];

    load (v, p + 2 * j);
    a[j] = v[0];
    b[j] = v[1];
    a[j + 1] = v[2];
    b[j + 1] = v[3];
  }
}

/* The warp's part of the logit (before the sigmoid) of an offset: units
 * @width at a time. */
template <int width>
static __device__ __forceinline__ float
logit_part (const Bias &b, int64_t head, float y, float x)
{
  float sum = 0;

#pragma unroll 4
  for (int64_t i = threadIdx.x % 32 * width; i < b.hidden; i += 32 * width) {
    float wy[width], wx[width], bias[width], w2[width];

    load_pairs (wy, wx, b.w1 + 2 * i);
    load (bias, b.b1 + i);
    load (w2, b.w2 + head * b.hidden + i);
    for (int j = 0; j < width; j++) {
      const float unit = wy[j] * y + wx[j] * x + bias[j];

      sum += (unit < 0 ? 0 : unit) * w2[j];
    }
  }
  return sum;
}

/* The pairs of an offset: all queries whose keys are in the window. */
struct Pairs
{
  int top, left, width, count; /* queries */
  int shift; /* query - key */
};

static __device__ __forceinline__ Pairs
find_pairs (int offset, int window)
{
  const int side = 2 * window - 1;
  const int dy = offset / side - (window - 1);
  const int dx = offset % side - (window - 1);
  Pairs p;

  p.top = dy > 0 ? dy : 0;
  p.left = dx > 0 ? dx : 0;
  p.width = window - (dx < 0 ? -dx : dx);
  p.count = (window - (dy < 0 ? -dy : dy)) * p.width;
  p.shift = dy * window + dx;
  return p;
}

/* Where the pair @i of a head's lies in [L, L]. */
static __device__ __forceinline__ int64_t
pair_at (const Pairs &p, int i, int window)
{
  const int query = (p.top + i / p.width) * window + p.left + i % p.width;

  return (int64_t) query * window * window + query - p.shift;
}

/* A warp per head and offset. Forward: dst [heads, L, L]. Backward, with
 * @diff_dst: diff [heads, offsets] = what the gradients of all pairs sum up to
 * before the sigmoid. */
template <int width>
static __global__ void
offsets_kernel (Bias b, float *dst, const float *diff_dst, float *diff)
{
  const int lane = threadIdx.x % 32, w = (int) b.window;
  const int64_t l = b.window * b.window;
  const int64_t offsets = (int64_t) side_of (b) * side_of (b);
  const int64_t i = (int64_t) blockIdx.x * warps + threadIdx.x / 32;
  const int64_t h = i / offsets;
  const int offset = (int) (i % offsets);
  const Pairs p = find_pairs (offset, w);
  float logit, sum = 0;

  if (h >= b.heads)
    return; /* the whole warp */
  for (int k = lane; k < p.count && diff_dst; k += 32)
    sum += diff_dst[h * l * l + pair_at (p, k, w)];
  logit = warp_sum (logit_part<width> (b, h, coordinate_y (b, offset),
      coordinate_x (b, offset)));
  for (int k = lane; k < p.count && dst; k += 32)
    dst[h * l * l + pair_at (p, k, w)] = 16 / (1 + expf (-logit));
  sum = warp_sum (sum);
  if (diff && lane == 0) {
    /* y (1 - y) of the sigmoid; 1 - y would lose its digits near 1 */
    const float e = expf (-fabsf (logit));

    diff[i] = sum * 16 * (e / ((1 + e) * (1 + e)));
  }
}

/* ---- Gradients of parameters ---- */

/* A block has 8 units of the hidden layer; a thread has one of them and every
 * 32nd offset, 8 at a time in registers. */
static const int units = 8, slices = 32, own = 8;
static const int some_heads = 32; /* whose sums are in shared memory */

/* v, summed over the slices of a warp: lanes of the same unit. */
static __device__ __forceinline__ float
sum_slices (float v)
{
  v += __shfl_xor_sync (0xffffffffu, v, 8);
  v += __shfl_xor_sync (0xffffffffu, v, 16);
  return v;
}

/* What a thread knows of its offsets: coordinates and hidden unit, of which
 * those that there are not have 0. */
struct Offsets
{
  float y[own], x[own], hidden[own];
};

static __device__ __forceinline__ void
find_offsets (Offsets &f, const Bias &b, int64_t unit, int first, int offsets)
{
#pragma unroll
  for (int k = 0; k < own; k++) {
    const int o = first + k * slices;

    f.y[k] = f.x[k] = f.hidden[k] = 0;
    if (o >= offsets || unit >= b.hidden)
      continue;
    f.y[k] = coordinate_y (b, o);
    f.x[k] = coordinate_x (b, o);
    f.hidden[k] = hidden_unit (b, unit, f.y[k], f.x[k]);
  }
}

/* Sums over a thread's offsets, for w1 (y, x) and b1. */
struct UnitSums
{
  float y, x, one;
};

/* Adds the part of heads @from … @to. sums [heads, 8 warps, units]: of w2. All
 * lanes must call. */
static __device__ __forceinline__ void
add_heads (const Bias &b, const float *diff, const Offsets &f, int64_t unit,
    int first, int offsets, int64_t from, int64_t to, float *sums, UnitSums &u)
{
  float d[own] = { 0 };

#pragma unroll 4
  for (int64_t h = from; h < to; h++) {
    const float w2 = unit < b.hidden ? b.w2[h * b.hidden + unit] : 0;
    float sum = 0;

#pragma unroll
    for (int k = 0; k < own; k++) {
      const int o = first + k * slices;
      const float v = o < offsets ? diff[h * offsets + o] : 0;

      sum += v * f.hidden[k];
      d[k] += v * w2;
    }
    sum = sum_slices (sum);
    if (threadIdx.x % 32 < units)
      sums[(h - from) * warps * units] += sum;
  }
#pragma unroll
  for (int k = 0; k < own; k++)
    if (first + k * slices < offsets && !(f.hidden[k] <= 0)) {
      u.y += d[k] * f.y[k];
      u.x += d[k] * f.x[k];
      u.one += d[k];
    }
}

/* The sum over warps of sums [8 warps, units]. */
static __device__ __forceinline__ float
sum_warps (const float *sums)
{
  float sum = 0;

  for (int i = 0; i < warps; i++)
    sum += sums[i * units];
  return sum;
}

static __device__ __forceinline__ void
add_to (float *gradient, int64_t i, float value)
{
  if (gradient)
    gradient[i] += value;
}

/* diff_w1 [hidden, 2], diff_b1 [hidden], diff_w2 [heads, hidden] (nullable) are
 * added to; blocks of 8 warps. */
static __global__ void
parameters_kernel (Bias b, const float *diff, float *diff_w1, float *diff_b1,
    float *diff_w2)
{
  __shared__ float sums[some_heads + 3][warps][units];
  const int offsets = side_of (b) * side_of (b), warp = threadIdx.x / 32;
  const int own_unit = threadIdx.x % units, slice = threadIdx.x / units;
  const int64_t first_unit = (int64_t) blockIdx.x * units;
  const int64_t unit = first_unit + own_unit;
  UnitSums u = { 0, 0, 0 };

  for (int64_t from = 0; from < b.heads; from += some_heads) {
    const int64_t to =
        from + some_heads < b.heads ? from + some_heads : b.heads;

    for (int i = threadIdx.x; i < some_heads * warps * units; i += blockDim.x)
      (&sums[0][0][0])[i] = 0;
    __syncthreads ();
    for (int first = slice; first - slice < offsets; first += own * slices) {
      Offsets f;

      find_offsets (f, b, unit, first, offsets);
      add_heads (b, diff, f, unit, first, offsets, from, to,
          &sums[0][warp][own_unit], u);
    }
    __syncthreads ();
    for (int64_t i = threadIdx.x; i < (to - from) * units; i += blockDim.x)
      if (first_unit + i % units < b.hidden)
        add_to (diff_w2, (from + i / units) * b.hidden + first_unit + i % units,
            sum_warps (&sums[i / units][0][i % units]));
    __syncthreads ();
  }
  u.y = sum_slices (u.y);
  u.x = sum_slices (u.x);
  u.one = sum_slices (u.one);
  if (threadIdx.x % 32 < units) {
    sums[some_heads][warp][own_unit] = u.y;
    sums[some_heads + 1][warp][own_unit] = u.x;
    sums[some_heads + 2][warp][own_unit] = u.one;
  }
  __syncthreads ();
  if (threadIdx.x >= units || unit >= b.hidden)
    return;
  add_to (diff_w1, 2 * unit, sum_warps (&sums[some_heads][0][own_unit]));
  add_to (diff_w1, 2 * unit + 1,
      sum_warps (&sums[some_heads + 1][0][own_unit]));
  add_to (diff_b1, unit, sum_warps (&sums[some_heads + 2][0][own_unit]));
}

/* ---- Launches ---- */

extern "C" size_t
umedpt_cuda_position_bias_scratch (const UmedptCudaPositionBias *self)
{
  return (size_t) self->heads * side_of (*self) * side_of (*self) *
      sizeof (float);
}

static cudaError_t
run_offsets (const UmedptCudaPositionBias *self, float *dst,
    const float *diff_dst, float *diff, cudaStream_t stream)
{
  const int64_t table = self->heads * side_of (*self) * side_of (*self);
  const unsigned int blocks = (unsigned int) ceil_div (table, warps);

  if (self->hidden % 4 == 0 && is_aligned (self->w1, 16) &&
      is_aligned (self->b1, 16) && is_aligned (self->w2, 16))
    return UMEDPT_LAUNCH (offsets_kernel<4>, blocks, 32 * warps, 0, stream,
        *self, dst, diff_dst, diff);
  return UMEDPT_LAUNCH (offsets_kernel<1>, blocks, 32 * warps, 0, stream, *self,
      dst, diff_dst, diff);
}

extern "C" cudaError_t
umedpt_cuda_launch_position_bias (const UmedptCudaPositionBias *self,
    float *dst, cudaStream_t stream)
{
  return run_offsets (self, dst, NULL, NULL, stream);
}

extern "C" cudaError_t
umedpt_cuda_launch_position_bias_backward (const UmedptCudaPositionBias *self,
    const float *diff_dst, float *diff_w1, float *diff_b1, float *diff_w2,
    void *scratch, cudaStream_t stream)
{
  float *diff = (float *) scratch;
  const cudaError_t status = run_offsets (self, NULL, diff_dst, diff, stream);

  if (status != cudaSuccess)
    return status;
  return UMEDPT_LAUNCH (parameters_kernel,
      (unsigned int) ceil_div (self->hidden, units), 32 * warps, 0, stream,
      *self, diff, diff_w1, diff_b1, diff_w2);
}
