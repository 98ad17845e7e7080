/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The gradient of a convolution's filter, as a matrix product like those of
 * conv-product.cuh: rows are channels of the result, columns those of the
 * source, a block has one tap, k are pixels, in parts that are added
 * afterwards. And what is around products: filters are turned, biases added,
 * columns summed.
 */
#include "kernels/conv.h"

#include "kernels/conv-product.cuh"
#include "kernels/vector.cuh"

/* ---- Results of others ---- */

template <typename S, typename D> struct ConvFinish
{
  static const int width = 4;
  const S *src;
  UmedptCudaConvOutput output;
  int64_t columns; /* a multiple of width, or nothing is aligned */

  template <int w> __device__ __forceinline__ void run (int64_t i) const
  {
    const int64_t column = i <= INT32_MAX && columns <= INT32_MAX
        ? (uint32_t) i % (uint32_t) columns
        : i % columns;
    float v[w];

    load (v, src + i);
    finish<D> (output, i, column, v);
  }
};

template <typename S, typename D>
static cudaError_t
finish_all (const void *src, int64_t rows, int64_t columns,
    const UmedptCudaConvOutput &output, cudaStream_t stream)
{
  const ConvFinish<S, D> step = { (const S *) src, output, columns };

  return launch_each (step,
      columns % 4 == 0 && is_aligned (src, 4 * sizeof (S)) &&
          is_aligned (output.dst, 4 * sizeof (D)),
      rows * columns, stream);
}

extern "C" cudaError_t
umedpt_cuda_conv_finish (const void *src, int half, int64_t rows,
    int64_t columns, const UmedptCudaConvOutput *output, cudaStream_t stream)
{
  if (half && output->dst_bf16)
    return finish_all<uint16_t, uint16_t> (src, rows, columns, *output, stream);
  if (half)
    return finish_all<uint16_t, float> (src, rows, columns, *output, stream);
  if (output->dst_bf16)
    return finish_all<float, uint16_t> (src, rows, columns, *output, stream);
  return finish_all<float, float> (src, rows, columns, *output, stream);
}

/* ---- Filters ---- */

/* dst [a, taps, b] = src [o, c, taps] with a = o, b = c, or swapped. */
template <typename D> struct ConvTurn
{
  static const int width = 1;
  const float *src;
  D *dst;
  int64_t b, taps, step_a, step_b;

  template <int w> __device__ __forceinline__ void run (int64_t i) const
  {
    const int64_t tap = i / b % taps;

    dst[i] = from_f32<D> (src[i / (b * taps) * step_a + i % b * step_b + tap]);
  }
};

template <typename D>
static cudaError_t
turn (const float *weight, void *dst, bool swapped, int64_t o, int64_t c,
    int64_t taps, cudaStream_t stream)
{
  const int64_t row = c * taps;
  const ConvTurn<D> step = { weight, (D *) dst, swapped ? o : c, taps,
    swapped ? taps : row, swapped ? row : taps };

  return launch_each (step, true, o * c * taps, stream);
}

extern "C" cudaError_t
umedpt_cuda_conv_weights (const float *weight, void *dst, int half, int swapped,
    int64_t o, int64_t c, int64_t taps, cudaStream_t stream)
{
  if (half)
    return turn<bf16> (weight, dst, swapped, o, c, taps, stream);
  return turn<float> (weight, dst, swapped, o, c, taps, stream);
}

template <typename S, typename Int> struct ConvAddTurned
{
  static const int width = 1;
  const S *src; /* [parts, o, taps, c] */
  float *dst; /* [o, c, taps] */
  int parts;
  Int c, taps, row; /* c taps */
  int64_t size;

  template <int w> __device__ __forceinline__ void run (int64_t i) const
  {
    const Int filter = (Int) i / row, rest = (Int) i - filter * row;
    const Int channel = rest / taps, tap = rest - channel * taps;
    const S *at = src + filter * row + tap * c + channel;
    float sum = 0;

#pragma unroll 4
    for (int part = 0; part < parts; part++)
      sum += to_f32 (at[part * size]);
    dst[i] += sum;
  }
};

template <typename S, typename Int>
static cudaError_t
add_turned (const void *src, int64_t parts, int64_t o, int64_t c, int64_t taps,
    float *diff_weight, cudaStream_t stream)
{
  const int64_t size = o * c * taps;
  const ConvAddTurned<S, Int> step = { (const S *) src, diff_weight,
    (int) parts, (Int) c, (Int) taps, (Int) (c * taps), size };

  return launch_each (step, true, size, stream);
}

extern "C" cudaError_t
umedpt_cuda_conv_add_weight_gradient (const void *src, int half, int64_t parts,
    int64_t o, int64_t c, int64_t taps, float *diff_weight, cudaStream_t stream)
{
  const bool small = o * c * taps <= INT32_MAX;

  if (half)
    return small ? add_turned<bf16, uint32_t> (src, parts, o, c, taps,
                       diff_weight, stream)
                 : add_turned<bf16, int64_t> (src, parts, o, c, taps,
                       diff_weight, stream);
  return small ? add_turned<float, uint32_t> (src, parts, o, c, taps,
                     diff_weight, stream)
               : add_turned<float, int64_t> (src, parts, o, c, taps,
                     diff_weight, stream);
}

/* ---- Forward, and the gradient of the source ---- */

/* Pixels, channels and the edges of a padded map are counted in 32 bits. */
extern "C" int
umedpt_cuda_conv_fits (const UmedptCudaConvSizes *s)
{
  const int64_t limit = 1 << 30;

  return s->n * s->h * s->w < limit && s->n * s->oh * s->ow < limit &&
      s->c < limit && s->o < limit && s->stride * (s->oh + s->kh) < limit &&
      s->stride * (s->ow + s->kw) < limit &&
      s->padding + s->kh + s->h < limit && s->padding + s->kw + s->w < limit &&
      ceil_div (s->o, 64) <= 65535 && ceil_div (s->c, 64) <= 65535;
}

extern "C" cudaError_t
umedpt_cuda_conv_forward (const UmedptCudaConvSizes *s, const void *src,
    const void *weight, int half, const UmedptCudaConvOutput *output,
    cudaStream_t stream)
{
  const ConvProduct p = { *output, src, weight, s->n * s->oh * s->ow, s->o,
    (int) s->oh, (int) s->ow, (int) s->h, (int) s->w, (int) s->c, (int) s->kh,
    (int) s->kw, (int) s->stride, (int) s->padding, false, false, false };

  return multiply (p, half, stream);
}

extern "C" cudaError_t
umedpt_cuda_conv_source_gradient (const UmedptCudaConvSizes *s,
    const void *diff, const void *weight, int half,
    const UmedptCudaConvOutput *output, cudaStream_t stream)
{
  const ConvProduct p = { *output, diff, weight, s->n * s->h * s->w, s->c,
    (int) s->h, (int) s->w, (int) s->oh, (int) s->ow, (int) s->o, (int) s->kh,
    (int) s->kw, (int) s->stride, (int) s->padding, true, false, false };

  return multiply (p, half, stream);
}

/* ---- The gradient of the filter ---- */

typedef struct
{
  UmedptCudaConvSizes s;
  const void *src, *diff;
  float *dst; /* [parts, o, kh, kw, c] */
  int64_t part; /* pixels of one */
  bool aligned_src, aligned_diff;
} ConvGradient;

static const int gradient_tile = 64;

/* Copies pixels @first … of both operands, up to @end. */
template <typename T>
static __device__ __forceinline__ void
copy_pixels (const ConvGradient &g, T *shared, int pitch, unsigned int first,
    unsigned int end, int o, int c, int u, int v)
{
  const UmedptCudaConvSizes &s = g.s;
  const int depth = 4 * ConvVector<T>::size,
            across = gradient_tile / ConvVector<T>::size;
  const int offset = threadIdx.x % across * ConvVector<T>::size;

  for (int line = threadIdx.x / across; line < depth;
       line += conv_threads / across) {
    const unsigned int pixel = first + line;
    const bool valid = pixel < end;
    const unsigned int row = pixel / (unsigned int) s.ow;
    const int y = (int) (row % (unsigned int) s.oh) * (int) s.stride + u -
        (int) s.padding;
    const int x = (int) (pixel % (unsigned int) s.ow) * (int) s.stride + v -
        (int) s.padding;
    const bool inside = valid && y >= 0 && x >= 0 && y < s.h && x < s.w;
    const int64_t seen =
        inside ? (row / (unsigned int) s.oh * s.h + y) * s.w + x : 0;

    copy_vector (shared + line * pitch + offset,
        (const T *) g.diff + (valid ? pixel : 0) * s.o, o + offset, (int) s.o,
        valid, g.aligned_diff);
    copy_vector (shared + (depth + line) * pitch + offset,
        (const T *) g.src + seen * s.c, c + offset, (int) s.c, inside,
        g.aligned_src);
  }
}

/* Blocks: x: tiles of c, taps, tiles of o; y: parts. */
template <typename T>
static __global__ void
__launch_bounds__ (conv_threads) gradient_kernel (ConvGradient g)
{
  const UmedptCudaConvSizes &s = g.s;
  const int depth = 4 * ConvVector<T>::size;
  const int pitch = gradient_tile + ConvVector<T>::size,
            size = 2 * depth * pitch;
  const int across = (int) ceil_div (s.c, gradient_tile);
  const int taps = (int) (s.kh * s.kw);
  const int c = (int) (blockIdx.x % across) * gradient_tile;
  const int tap = (int) (blockIdx.x / across % taps);
  const int o = (int) (blockIdx.x / across / taps) * gradient_tile;
  const int u = tap / (int) s.kw, v = tap % (int) s.kw;
  const int64_t pixels = s.n * s.oh * s.ow;
  const int64_t first = blockIdx.y * g.part;
  const int64_t end = first + g.part < pixels ? first + g.part : pixels;
  const int steps = (int) ceil_div (end - first, depth);
  UMEDPT_SHARED (T, shared);
  ConvTile<T, gradient_tile, gradient_tile> tile;

  tile.clear ();
  for (int i = 0; i < stages - 1; i++) {
    if (i < steps)
      copy_pixels (g, shared + i * size, pitch, first + i * depth, end, o, c, u,
          v);
    copy_async_commit ();
  }
  for (int i = 0; i < steps; i++) {
    const T *now = shared + i % stages * size;
    const int ahead = i + stages - 1;

    copy_async_wait<stages - 2> ();
    __syncthreads ();
    if (ahead < steps)
      copy_pixels (g, shared + ahead % stages * size, pitch,
          first + ahead * depth, end, o, c, u, v);
    copy_async_commit ();
    tile.template step<false> (now, now + depth * pitch, pitch, pitch);
  }
  tile.store ([&] (int row, int column, const auto &values) {
    float *dst =
        g.dst + ((blockIdx.y * s.o + o + row) * taps + tap) * s.c + c + column;

    for (int i = 0; i < (int) (sizeof values / sizeof values[0]); i++)
      if (o + row < s.o && c + column + i < s.c)
        dst[i] = values[i];
  });
}

/* Enough blocks for a large device, as long as each has some work. */
extern "C" int64_t
umedpt_cuda_conv_weight_gradient_parts (const UmedptCudaConvSizes *s)
{
  const int64_t tiles = ceil_div (s->o, gradient_tile) *
      ceil_div (s->c, gradient_tile) * s->kh * s->kw;
  const int64_t wanted = tiles > 0 ? ceil_div (512, tiles) : 1;
  const int64_t most = ceil_div (s->n * s->oh * s->ow, 256);

  return wanted < most ? wanted : most > 1 ? most : 1;
}

template <typename T>
static cudaError_t
launch_gradient (ConvGradient g, int64_t parts, cudaStream_t stream)
{
  const UmedptCudaConvSizes &s = g.s;
  const int64_t tiles = ceil_div (s.o, gradient_tile) *
      ceil_div (s.c, gradient_tile) * s.kh * s.kw;
  const size_t shared = (size_t) stages * 2 * 4 * ConvVector<T>::size *
      (gradient_tile + ConvVector<T>::size) * sizeof (T);
  const dim3 grid ((unsigned int) tiles, (unsigned int) parts);

  g.aligned_src = s.c % ConvVector<T>::size == 0 && is_aligned (g.src, 16);
  g.aligned_diff = s.o % ConvVector<T>::size == 0 && is_aligned (g.diff, 16);
  if (tiles > INT32_MAX)
    return cudaErrorInvalidValue;
  return UMEDPT_LAUNCH (gradient_kernel<T>, grid, conv_threads, shared, stream,
      g);
}

extern "C" cudaError_t
umedpt_cuda_conv_weight_gradient (const UmedptCudaConvSizes *s, const void *src,
    const void *diff, int half, int64_t parts, float *dst, cudaStream_t stream)
{
  const ConvGradient g = { *s, src, diff, dst,
    ceil_div (s->n * s->oh * s->ow, parts), false, false };

  if (s->o == 0 || s->c == 0)
    return cudaSuccess;
  return half ? launch_gradient<bf16> (g, parts, stream)
              : launch_gradient<float> (g, parts, stream);
}

/* ---- The gradient of the bias ---- */

/* Block (x, y): the sums of 32 or fewer columns over part y of the rows. */
template <typename T>
static __global__ void
column_sums_kernel (const T *src, float *parts, int64_t rows, int64_t columns,
    int64_t part, int width)
{
  __shared__ float sums[256];
  const int lane = threadIdx.x % width, lanes = blockDim.x / width;
  const int64_t column = (int64_t) blockIdx.x * width + lane;
  const int64_t first = blockIdx.y * part;
  const int64_t end = first + part < rows ? first + part : rows;
  float sum = 0;

  if (column < columns)
    for (int64_t row = first + threadIdx.x / width; row < end; row += lanes)
      sum += to_f32 (src[row * columns + column]);
  sums[threadIdx.x] = sum;
  __syncthreads ();
  for (int half = lanes / 2; half > 0; half /= 2) {
    if ((int) threadIdx.x < half * width)
      sums[threadIdx.x] += sums[threadIdx.x + half * width];
    __syncthreads ();
  }
  if ((int) threadIdx.x < width && column < columns)
    parts[blockIdx.y * columns + column] = sums[threadIdx.x];
}

/* A warp per column. */
static __global__ void
add_parts_kernel (const float *parts, float *dst, int64_t n, int64_t columns)
{
  const int64_t column =
      (int64_t) blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  float sum = 0;

  if (column < columns)
    for (int64_t i = threadIdx.x % 32; i < n; i += 32)
      sum += parts[i * columns + column];
  sum = warp_sum (sum);
  if (column < columns && threadIdx.x % 32 == 0)
    dst[column] += sum;
}

static int
column_width (int64_t columns)
{
  int width = 1;

  while (width < columns && width < 32)
    width *= 2;
  return width;
}

extern "C" int64_t
umedpt_cuda_conv_bias_gradient_parts (int64_t rows, int64_t columns)
{
  const int width = column_width (columns);
  const int64_t wanted = ceil_div (512, ceil_div (columns + 1, width));
  const int64_t most = ceil_div (rows, 4 * 256 / width);

  return wanted < most ? wanted : most > 1 ? most : 1;
}

extern "C" cudaError_t
umedpt_cuda_conv_bias_gradient (const void *diff, int half, int64_t rows,
    int64_t columns, float *scratch, float *diff_bias, cudaStream_t stream)
{
  const int64_t parts = umedpt_cuda_conv_bias_gradient_parts (rows, columns);
  const int64_t part = ceil_div (rows, parts);
  const int width = column_width (columns);
  const dim3 grid ((unsigned int) ceil_div (columns, width),
      (unsigned int) parts);
  cudaError_t status;

  if (columns == 0 || rows == 0)
    return cudaSuccess;
  status = half
      ? UMEDPT_LAUNCH (column_sums_kernel<bf16>, grid, 256, 0, stream,
            (const bf16 *) diff, scratch, rows, columns, part, width)
      : UMEDPT_LAUNCH (column_sums_kernel<float>, grid, 256, 0, stream,
            (const float *) diff, scratch, rows, columns, part, width);
  if (status != cudaSuccess)
    return status;
  return UMEDPT_LAUNCH (add_parts_kernel, (unsigned int) ceil_div (columns, 8),
      256, 0, stream, scratch, diff_bias, parts, columns);
}
