/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What follows a matrix product where the product itself cannot do it. All
 * kernels but one walk over a matrix alike: a thread has 4 columns (or one,
 * where they do not divide) and goes down the rows, so that bias and sums of
 * its columns stay in registers.
 */
#include "kernels/row-ends.h"

#include "kernels/activation.cuh"
#include "kernels/sums.cuh"
#include "kernels/vector.cuh"

#define LANES 32 /* threads side by side */
#define LINES 8 /* threads one above the other */
#define MAX_WALKERS 512 /* blocks one above the other: parts of a sum */

static int
count_walkers (int64_t rows)
{
  const int64_t blocks = ceil_div (rows, 4 * LINES);

  return (int) (blocks > MAX_WALKERS ? MAX_WALKERS : blocks);
}

/* step.run (at, column, sums) handles Step::width elements from @at on, which
 * begin in @column; parts (nullable): [gridDim.y, columns]. */
template <typename Step>
static __global__ void
__launch_bounds__ (LANES *LINES)
    walk_kernel (Step step, int64_t rows, int64_t columns, float *parts)
{
  const int w = Step::width;
  __shared__ float shared[LINES][LANES * w];
  const int64_t column = ((int64_t) blockIdx.x * LANES + threadIdx.x) * w;
  const int64_t first = (int64_t) blockIdx.y * LINES + threadIdx.y;
  float sums[w] = {};

  if (column < columns) {
    step.begin (column);
    for (int64_t row = first; row < rows; row += (int64_t) gridDim.y * LINES)
      step.run (row * columns + column, sums);
  }
  if (!parts)
    return;
  for (int j = 0; j < w; j++)
    shared[threadIdx.y][threadIdx.x * w + j] = sums[j];
  __syncthreads ();
  if (threadIdx.y != 0 || column >= columns)
    return;
  for (int j = 0; j < w; j++) {
    for (int line = 1; line < LINES; line++)
      sums[j] += shared[line][threadIdx.x * w + j];
    parts[blockIdx.y * columns + column + j] = sums[j];
  }
}

template <typename Step>
static cudaError_t
walk (const Step &step, int64_t rows, int64_t columns, float *parts, float *dst,
    cudaStream_t stream)
{
  const int walkers = count_walkers (rows);
  cudaError_t status;

  if (rows <= 0 || columns <= 0)
    return cudaSuccess;
  status = UMEDPT_LAUNCH (walk_kernel<Step>,
      dim3 ((unsigned int) ceil_div (columns, LANES * Step::width),
          (unsigned int) walkers),
      dim3 (LANES, LINES), 0, stream, step, rows, columns,
      dst ? parts : nullptr);
  if (dst && status == cudaSuccess)
    status = add_parts (parts, walkers, columns, &dst, 1, stream);
  return status;
}

/* ---- Bias and activation ---- */

template <typename S, typename D, int w> struct RowEnd
{
  static const int width = w;
  const S *src;
  const float *bias;
  D *dst, *saved;
  int activation;
  bool accumulate;
  float offset[w]; /* the bias of a thread's columns */

  __device__ __forceinline__ void begin (int64_t column)
  {
    for (int j = 0; j < w; j++)
      offset[j] = bias ? bias[column + j] : 0;
  }

  __device__ __forceinline__ void run (int64_t at, float (&)[w])
  {
    float v[w];

    load (v, src + at);
    for (int j = 0; bias && j < w; j++)
      v[j] += offset[j];
    if (saved)
      store (saved + at, v);
    for (int j = 0; activation && j < w; j++)
      v[j] = activate (v[j], activation);
    put (dst + at, v, accumulate);
  }
};

template <typename S, typename D, int w>
static cudaError_t
row_end (const UmedptCudaRowEnd *self, cudaStream_t stream)
{
  const RowEnd<S, D, w> step = { (const S *) self->src, self->bias,
    (D *) self->dst, (D *) self->saved, self->activation, self->accumulate != 0,
    {} };

  return walk (step, self->rows, self->columns, nullptr, nullptr, stream);
}

template <typename S, typename D>
static cudaError_t
row_end_of (const UmedptCudaRowEnd *self, cudaStream_t stream)
{
  const bool vector = self->columns % 4 == 0 &&
      is_aligned (self->src, 4 * sizeof (S)) &&
      is_aligned (self->dst, 4 * sizeof (D)) &&
      is_aligned (self->saved, 4 * sizeof (D));

  return vector ? row_end<S, D, 4> (self, stream)
                : row_end<S, D, 1> (self, stream);
}

extern "C" cudaError_t
umedpt_cuda_row_end (const UmedptCudaRowEnd *self, cudaStream_t stream)
{
  if (self->src_half)
    return self->dst_half ? row_end_of<uint16_t, uint16_t> (self, stream)
                          : row_end_of<uint16_t, float> (self, stream);
  return self->dst_half ? row_end_of<float, uint16_t> (self, stream)
                        : row_end_of<float, float> (self, stream);
}

/* ---- GELU backward ---- */

/* Phi (x) and its derivative phi (x), in f32. */
static __device__ __forceinline__ void
normal_of (float x, float *, float &phi, float &density)
{
  density = expf (-0.5f * x * x) * inverse_sqrt_2_pi;
  phi = 0.5f * erfcf (-x * inverse_sqrt_2);
}

/* The same for bf16: absolute error 1e-7, one exponential for both (Abramowitz
 * and Stegun, Handbook of Mathematical Functions, 7.1.26). */
static __device__ __forceinline__ void
normal_of (float x, uint16_t *, float &phi, float &density)
{
  const float e = __expf (-0.5f * x * x);
  const float t = 1 / (1 + 0.3275911f * inverse_sqrt_2 * fabsf (x));
  float tail = 1.061405429f;

  tail = tail * t - 1.453152027f;
  tail = tail * t + 1.421413741f;
  tail = tail * t - 0.284496736f;
  tail = tail * t + 0.254829592f;
  tail *= 0.5f * t * e;
  density = e * inverse_sqrt_2_pi;
  phi = x < 0 ? tail : 1 - tail;
}

template <typename T, int w> struct GeluBackward
{
  static const int width = w;
  const T *hidden;
  T *diff, *act;

  __device__ __forceinline__ void begin (int64_t)
  {
  }

  __device__ __forceinline__ void run (int64_t at, float (&sums)[w])
  {
    float h[w], d[w];

    load (h, hidden + at);
    load (d, diff + at);
    for (int j = 0; j < w; j++) {
      float phi, density;

      normal_of (h[j], (T *) nullptr, phi, density);
      /* x phi (x) vanishes far out, where x may be infinite */
      d[j] *= phi + (fabsf (h[j]) > 1e15f ? 0 : h[j] * density);
      h[j] = h[j] < -1e30f ? 0 : h[j] * phi;
      sums[j] += d[j];
    }
    store (diff + at, d);
    if (act)
      store (act + at, h);
  }
};

template <typename T, int w>
static cudaError_t
gelu_backward (const UmedptCudaGeluBackward *self, float *scratch,
    cudaStream_t stream)
{
  const GeluBackward<T, w> step = { (const T *) self->hidden, (T *) self->diff,
    (T *) self->act };

  return walk (step, self->rows, self->columns, scratch, self->diff_bias,
      stream);
}

template <typename T>
static cudaError_t
gelu_backward_of (const UmedptCudaGeluBackward *self, float *scratch,
    cudaStream_t stream)
{
  const bool vector = self->columns % 4 == 0 &&
      is_aligned (self->hidden, 4 * sizeof (T)) &&
      is_aligned (self->diff, 4 * sizeof (T)) &&
      is_aligned (self->act, 4 * sizeof (T));

  return vector ? gelu_backward<T, 4> (self, scratch, stream)
                : gelu_backward<T, 1> (self, scratch, stream);
}

extern "C" cudaError_t
umedpt_cuda_gelu_backward (const UmedptCudaGeluBackward *self, float *scratch,
    cudaStream_t stream)
{
  return self->half ? gelu_backward_of<uint16_t> (self, scratch, stream)
                    : gelu_backward_of<float> (self, scratch, stream);
}

/* ---- Sums and zeros ---- */

template <typename T, int w> struct ColumnSums
{
  static const int width = w;
  const T *src;

  __device__ __forceinline__ void begin (int64_t)
  {
  }

  __device__ __forceinline__ void run (int64_t at, float (&sums)[w])
  {
    float v[w];

    load (v, src + at);
    for (int j = 0; j < w; j++)
      sums[j] += v[j];
  }
};

template <typename T>
static cudaError_t
column_sums (const T *src, int64_t rows, int64_t columns, float *dst,
    float *scratch, cudaStream_t stream)
{
  const ColumnSums<T, 4> vectors = { src };
  const ColumnSums<T, 1> singles = { src };

  return columns % 4 == 0 && is_aligned (src, 4 * sizeof (T))
      ? walk (vectors, rows, columns, scratch, dst, stream)
      : walk (singles, rows, columns, scratch, dst, stream);
}

extern "C" cudaError_t
umedpt_cuda_column_sums (const void *src, int half, int64_t rows,
    int64_t columns, float *dst, float *scratch, cudaStream_t stream)
{
  return half
      ? column_sums ((const uint16_t *) src, rows, columns, dst, scratch,
            stream)
      : column_sums ((const float *) src, rows, columns, dst, scratch, stream);
}

extern "C" int64_t
umedpt_cuda_column_scratch (int64_t rows, int64_t columns)
{
  return (int64_t) sizeof (float) * columns * count_walkers (rows);
}

/* A block per row; words of 2 bytes, which bf16 rows consist of. */
static __global__ void
clear_rows_kernel (uint16_t *data, int64_t words, const float *branch_scale,
    int64_t first_row, int64_t rows_per_sample)
{
  const int64_t row = blockIdx.x;

  if (branch_scale[(first_row + row) / rows_per_sample] != 0)
    return;
  for (int64_t i = threadIdx.x; i < words; i += blockDim.x)
    data[row * words + i] = 0;
}

extern "C" cudaError_t
umedpt_cuda_clear_rows (void *data, int64_t rows, int64_t size,
    const float *branch_scale, int64_t first_row, int64_t rows_per_sample,
    cudaStream_t stream)
{
  if (!branch_scale || rows <= 0 || size <= 0)
    return cudaSuccess;
  return UMEDPT_LAUNCH (clear_rows_kernel, (unsigned int) rows, 256, 0, stream,
      (uint16_t *) data, size / 2, branch_scale, first_row, rows_per_sample);
}
