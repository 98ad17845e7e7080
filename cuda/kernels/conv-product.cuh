/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Convolutions as matrix products whose operands are gathered on the way to
 * shared memory ("implicit GEMM"; Chetlur et al. 2014, arXiv:1410.0759). With
 * channels last, 16 bytes of a pixel's channels are 16 bytes of an operand:
 *
 *   forward    rows: pixels of the result, columns: its channels,
 *              k: taps x channels of the source
 *   source     the same with pixels and channels of the source for those of
 *              the result, taps taken backwards
 */
#pragma once

#include "kernels/activation.cuh"
#include "kernels/conv-tile.cuh"
#include "kernels/conv.h"
#include "kernels/vector.cuh"

/* ---- What becomes of a sum ---- */

/* @width sums, for columns @column …, as they are written or added. */
template <int width>
static __device__ __forceinline__ void
complete (const UmedptCudaConvOutput &output, int64_t column, float (&v)[width])
{
#pragma unroll
  for (int i = 0; i < width; i++) {
    if (output.bias)
      v[i] += output.bias[column + i];
    v[i] = activate (v[i], output.activation);
  }
}

/* To elements @at … of the result. */
template <typename D, int width>
static __device__ __forceinline__ void
finish (const UmedptCudaConvOutput &output, int64_t at, int64_t column,
    float (&v)[width])
{
  complete (output, column, v);
  put ((D *) output.dst + at, v, output.accumulate);
}

/* The same for two, by one access; @at is even. */
static __device__ __forceinline__ void
finish_pair (const UmedptCudaConvOutput &output, int64_t at, int64_t column,
    float (&v)[2])
{
  complete (output, column, v);
  if (output.dst_bf16) {
    uint32_t *dst = (uint32_t *) output.dst + at / 2;

    if (output.accumulate) {
      v[0] += float_of_bits (*dst << 16);
      v[1] += float_of_bits (*dst & 0xffff0000u);
    }
    *dst = round_bits (v[0]) | round_bits (v[1]) << 16;
  } else {
    float2 *dst = (float2 *) output.dst + at / 2;
    float2 sum = { v[0], v[1] };

    if (output.accumulate) {
      const float2 old = *dst;
      sum.x += old.x;
      sum.y += old.y;
    }
    *dst = sum;
  }
}

static __device__ __forceinline__ void
finish_one (const UmedptCudaConvOutput &output, int64_t at, int64_t column,
    float x)
{
  float v[1] = { x };

  if (output.dst_bf16)
    finish<uint16_t> (output, at, column, v);
  else
    finish<float> (output, at, column, v);
}

/* ---- Forward, and the gradient of the source ---- */

static const int stages = 4; /* copies under way, one of them computed with */

typedef struct
{
  UmedptCudaConvOutput output;
  const void *src, *weight; /* [n, sh, sw, k]; [columns, taps, k] */
  int64_t rows, columns; /* rows: n x h x w */
  int h, w, sh, sw, k;
  int kh, kw, stride, padding;
  bool backwards;
  bool aligned; /* k is a multiple of 16 bytes, and pointers are */
  bool pairs; /* results may be written by twos */
} ConvProduct;

/* Where an output pixel sees tap (0, 0) of its source. */
struct ConvOrigin
{
  int64_t sample; /* first pixel */
  int y, x;

  __device__ __forceinline__ void set (const ConvProduct &p, int64_t row)
  {
    const int64_t line = row / p.w;
    const int px = (int) (row % p.w), py = (int) (line % p.h);

    sample = line / p.h * p.sh * p.sw;
    y = p.backwards ? py + p.padding : py * p.stride - p.padding;
    x = p.backwards ? px + p.padding : px * p.stride - p.padding;
    if (row >= p.rows)
      y = INT32_MIN / 2; /* outside for all taps */
  }

  /* The pixel under tap (u, v), or -1. */
  __device__ __forceinline__ int64_t at (const ConvProduct &p, int u,
      int v) const
  {
    int sy = p.backwards ? y - u : y + u, sx = p.backwards ? x - v : x + v;

    if (sy < 0 || sx < 0)
      return -1;
    if (p.backwards && p.stride > 1) {
      if (sy % p.stride || sx % p.stride)
        return -1;
      sy /= p.stride;
      sx /= p.stride;
    }
    return sy < p.sh && sx < p.sw ? sample + (int64_t) sy * p.sw + sx : -1;
  }
};

/* 16 bytes from @src + c, of a line of @count elements, or zeros. */
template <typename T>
static __device__ __forceinline__ void
copy_vector (T *shared, const T *src, int c, int count, bool valid,
    bool aligned)
{
  if (aligned)
    copy_async_16 (shared, src + (valid && c < count ? c : 0),
        valid && c < count);
  else
    for (int i = 0; i < ConvVector<T>::size; i++)
      shared[i] = valid && c + i < count ? src[c + i] : from_f32<T> (0);
}

/* Copies one step of k after the other: taps, and in each its channels. */
template <typename T, int rows, int columns> struct ConvLoader
{
  static const int depth = 4 * ConvVector<T>::size,
                   pitch = 5 * ConvVector<T>::size;
  static const int lines = rows / (conv_threads / 4);

  ConvOrigin origins[lines];
  int u, v, c;

  __device__ __forceinline__ void start (const ConvProduct &p)
  {
    for (int i = 0; i < lines; i++)
      origins[i].set (p,
          (int64_t) blockIdx.x * rows + threadIdx.x / 4 + i * 32);
    u = v = c = 0;
  }

  __device__ __forceinline__ void next (const ConvProduct &p, T *shared)
  {
    const int line = threadIdx.x / 4;
    const int offset = threadIdx.x % 4 * ConvVector<T>::size;
    const T *src = (const T *) p.src, *weight = (const T *) p.weight;

#pragma unroll
    for (int i = 0; i < lines; i++) {
      const int64_t pixel = origins[i].at (p, u, v);
      copy_vector (shared + (line + 32 * i) * pitch + offset,
          src + (pixel < 0 ? 0 : pixel) * p.k, c + offset, p.k, pixel >= 0,
          p.aligned);
    }
    for (int i = line; i < columns; i += 32) {
      const int64_t column = (int64_t) blockIdx.y * columns + i;
      const bool valid = column < p.columns;
      const int64_t at = valid ? (column * p.kh + u) * p.kw + v : 0;
      copy_vector (shared + (rows + i) * pitch + offset, weight + at * p.k,
          c + offset, p.k, valid, p.aligned);
    }
    c += depth;
    if (c >= p.k) {
      c = 0;
      if (++v == p.kw) {
        v = 0;
        u++;
      }
    }
  }
};

template <typename T, int rows, int columns>
static __global__ void
__launch_bounds__ (conv_threads) product_kernel (ConvProduct p)
{
  typedef ConvLoader<T, rows, columns> Load;
  const int size = (rows + columns) * Load::pitch;
  const int steps = p.kh * p.kw * (int) ceil_div (p.k, Load::depth);
  UMEDPT_SHARED (T, shared);
  Load loader;
  ConvTile<T, rows, columns> tile;

  loader.start (p);
  tile.clear ();
  for (int i = 0; i < stages - 1; i++) {
    if (i < steps)
      loader.next (p, shared + i * size);
    copy_async_commit ();
  }
  for (int i = 0; i < steps; i++) {
    const T *now = shared + i % stages * size;

    copy_async_wait<stages - 2> ();
    __syncthreads ();
    /* into what all have done with: the step before */
    if (i + stages - 1 < steps)
      loader.next (p, shared + (i + stages - 1) % stages * size);
    copy_async_commit ();
    tile.template step<true> (now, now + rows * Load::pitch, Load::pitch,
        Load::pitch);
  }
  tile.store ([&] (int row, int column, const auto &v) {
    const int count = sizeof v / sizeof v[0];
    const int64_t r = (int64_t) blockIdx.x * rows + row;
    const int64_t c = (int64_t) blockIdx.y * columns + column;

    if (r >= p.rows || c >= p.columns)
      return;
    if (count == 2 && p.pairs) {
      float pair[2] = { v[0], v[count - 1] };
      finish_pair (p.output, r * p.columns + c, c, pair);
      return;
    }
    for (int i = 0; i < count; i++)
      if (c + i < p.columns)
        finish_one (p.output, r * p.columns + c + i, c + i, v[i]);
  });
}

template <typename T, int rows, int columns>
static cudaError_t
launch_product (const ConvProduct &p, cudaStream_t stream)
{
  const size_t shared = (size_t) stages * (rows + columns) *
      ConvLoader<T, rows, columns>::pitch * sizeof (T);
  const dim3 grid ((unsigned int) ceil_div (p.rows, rows),
      (unsigned int) ceil_div (p.columns, columns));

  return UMEDPT_LAUNCH ((product_kernel<T, rows, columns>), grid, conv_threads,
      shared, stream, p);
}

template <typename T>
static cudaError_t
multiply (ConvProduct p, cudaStream_t stream)
{
  p.aligned = p.k % ConvVector<T>::size == 0 && is_aligned (p.src, 16) &&
      is_aligned (p.weight, 16);
  p.pairs = p.columns % 2 == 0 && is_aligned (p.output.dst, 8);
  if (p.columns <= 16)
    return launch_product<T, 128, 16> (p, stream);
  return launch_product<T, 64, 64> (p, stream);
}

static cudaError_t
multiply (const ConvProduct &p, bool half, cudaStream_t stream)
{
  if (p.rows == 0 || p.columns == 0)
    return cudaSuccess;
  return half ? multiply<bf16> (p, stream) : multiply<float> (p, stream);
}
