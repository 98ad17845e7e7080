/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * bf16 convolutions of small maps in one launch. Such a product has few tiles
 * and a long k, so a block that walks along k waits most of the time. Here the
 * eight warps of a block share one tile of 32 x 32 and have every eighth step
 * of k each, with copies of their own under way and no barrier in between; the
 * eight sums are added at the end, always in the same order.
 *
 *   product    rows: pixels, columns: channels, k: taps x channels, as in
 *              conv-product.cuh
 *   gradient   of the filter: rows: channels of the result, columns: taps x
 *              channels of the source, k: pixels; the sums of the rows of the
 *              first operand, the bias's gradient, are had along the way
 */
#include "kernels/conv.h"

#include "kernels/conv-product.cuh"
#include "kernels/conv-split.cuh"
#include "kernels/vector.cuh"

/* ---- Forward, and the gradient of the source ---- */

/* Channels are counted in vectors of 8, `uint4`. Filters are in the order of
 * forward: [columns, taps, k], or [8 k, taps, columns / 8] backwards. */
typedef struct
{
  UmedptCudaConvOutput output;
  const uint4 *src, *weight; /* src: [n, sh, sw, k] */
  int rows, columns; /* rows: n x h x w */
  int h, w, sh, sw, k;
  int kw, taps, stride, padding;
  int chunks; /* steps of a tap */
  bool quads; /* results may be written by fours */
  Divider by_w, by_h, by_kw, by_chunks, by_stride;
} SplitProduct;

enum
{
  SPLIT_FORWARD,
  SPLIT_BACKWARD, /* the gradient of the source */
  SPLIT_BACKWARD_STRIDE, /* the same for a stride of more than 1 */
};

/* Where an output pixel sees tap (0, 0) of its source, as ConvOrigin. */
template <int kind> struct SplitOrigin
{
  int y, x;
  int first; /* its first vector; with a stride, that of the sample */

  __device__ __forceinline__ void set (const SplitProduct &p, int row)
  {
    const int line = divide (row, p.by_w), n = divide (line, p.by_h);
    const int step = kind == SPLIT_FORWARD ? p.stride : 1;
    const int edge = kind == SPLIT_FORWARD ? -p.padding : p.padding;
    const int top = (line - n * p.h) * step + edge;

    x = keep ((row - line * p.w) * step + edge);
    first = keep (kind == SPLIT_BACKWARD_STRIDE
            ? n * p.sh * p.sw * p.k
            : ((n * p.sh + top) * p.sw + x) * p.k);
    y = keep (row < p.rows ? top : INT32_MIN / 2); /* outside for all taps */
  }

  /* Whether there is a pixel (dy, dx) away; @at: its first vector, for @move
   * from that of (0, 0). */
  __device__ __forceinline__ bool find (const SplitProduct &p, int dy, int dx,
      int move, int &at) const
  {
    const int sy = y + dy, sx = x + dx;

    if (kind != SPLIT_BACKWARD_STRIDE) {
      at = first + move;
      return (unsigned int) sy < (unsigned int) p.sh &&
          (unsigned int) sx < (unsigned int) p.sw;
    }
    const int qy = divide (sy, p.by_stride), qx = divide (sx, p.by_stride);
    const bool there = sy >= 0 && sx >= 0 && qy * p.stride == sy &&
        qx * p.stride == sx && qy < p.sh && qx < p.sw;

    at = there ? first + (qy * p.sw + qx) * p.k : 0;
    return there;
  }
};

/* Where a thread finds its vectors of the filter: number i is 8 lines after
 * number i - 1. */
template <int kind> struct SplitFilter
{
  int first, size; /* of line 0, for tap 0; vectors of a line of all taps */
  int lines; /* before they end, from this one on */

  __device__ __forceinline__ void set (const SplitProduct &p)
  {
    const int line = threadIdx.x % 32 / 4, vector = threadIdx.x % 4;
    const int across = blockIdx.y * split_tile;

    if (kind == SPLIT_FORWARD) {
      size = p.taps * p.k;
      first = keep ((across + line) * size + vector);
      lines = keep (p.columns - across - line);
    } else {
      size = p.taps * (p.columns / 8);
      first = keep (line * size + across / 8 + vector);
      lines = keep (across + vector * 8 < p.columns ? p.k * 8 - line : 0);
    }
  }

  /* The first vector for channels of k from vector @c on, and how many lines
   * there are. */
  __device__ __forceinline__ int start (const SplitProduct &p, int tap, int c,
      int &count) const
  {
    if (kind == SPLIT_FORWARD) {
      count = c + (int) threadIdx.x % 4 < p.k ? lines : 0;
      return first + tap * p.k + c;
    }
    count = lines - c * 8;
    return first + c * 8 * size + tap * (p.columns / 8);
  }
};

template <int kind>
static __global__ void
__launch_bounds__ (split_warps * 32) split_product_kernel (SplitProduct p)
{
  const int lane = threadIdx.x % 32, vector = lane % 4;
  const int first = blockIdx.x * split_tile, across = blockIdx.y * split_tile;
  const int place = keep (split_place (lane / 4, vector));
  UMEDPT_SHARED (bf16, shared);
  SplitOrigin<kind> origins[4];
  SplitFilter<kind> filter;
  SplitTile tile;
  float v[4];

#pragma unroll
  for (int i = 0; i < 4; i++)
    origins[i].set (p, first + lane / 4 + 8 * i);
  filter.set (p);
  tile.clear ();
  split_walk (
      shared, p.taps * p.chunks,
      [&] (int step, bf16 *to) {
        const int tap = divide (step, p.by_chunks), u = divide (tap, p.by_kw);
        const int dy = kind == SPLIT_FORWARD ? u : -u;
        const int dx = kind == SPLIT_FORWARD ? tap - u * p.kw : u * p.kw - tap;
        const int c = (step - tap * p.chunks) * 4;
        const int move = (dy * p.sw + dx) * p.k;
        int filters;
        const int from = filter.start (p, tap, c, filters);

#pragma unroll
        for (int i = 0; i < 4; i++) {
          /* 8 lines further a vector has the same place in its line */
          bf16 *to_line = to + place + 8 * i * split_tile;
          int at;
          const bool seen =
              origins[i].find (p, dy, dx, move, at) && c + vector < p.k;
          const bool valid = 8 * i < filters;

          copy_async_16 (to_line, p.src + (seen ? at + c + vector : 0), seen);
          copy_async_16 (to_line + split_size / 2,
              p.weight + (valid ? from + 8 * i * filter.size : 0), valid);
        }
      },
      [&] (const bf16 *a, const bf16 *b) {
        tile.template step<true, kind == SPLIT_FORWARD> (a, b);
      });
  split_add (reinterpret_cast<float *> (shared), tile, p.taps * p.chunks, v);

  const int64_t row = first + threadIdx.x / 8;
  const int64_t column = across + threadIdx.x % 8 * 4;
  const int64_t at = row * p.columns + column;

  if (row >= p.rows)
    return;
  if (!p.quads) {
    for (int i = 0; i < 4; i++)
      if (column + i < p.columns)
        finish_one (p.output, at + i, column + i, v[i]);
  } else if (column < p.columns) {
    if (p.output.dst_bf16)
      finish<uint16_t> (p.output, at, column, v);
    else
      finish<float> (p.output, at, column, v);
  }
}

template <int kind>
static cudaError_t
launch_split_product (SplitProduct p, cudaStream_t stream)
{
  const dim3 grid ((unsigned int) ceil_div (p.rows, split_tile),
      (unsigned int) ceil_div (p.columns, split_tile));
  cudaError_t status;

  if (p.rows == 0 || p.columns == 0)
    return cudaSuccess;
  p.chunks = (int) ceil_div (p.k, split_tile / 8);
  p.quads = p.columns % 4 == 0 &&
      is_aligned (p.output.dst, p.output.dst_bf16 ? 8 : 16);
  p.by_w = divider (p.w);
  p.by_h = divider (p.h);
  p.by_kw = divider (p.kw);
  p.by_chunks = divider (p.chunks > 0 ? p.chunks : 1);
  p.by_stride = divider (p.stride);
  status = UMEDPT_ALLOW_SHARED (split_product_kernel<kind>, split_shared);
  if (status != cudaSuccess)
    return status;
  return UMEDPT_LAUNCH (split_product_kernel<kind>, grid, split_warps * 32,
      split_shared, stream, p);
}

extern "C" cudaError_t
umedpt_cuda_conv_split_forward (const UmedptCudaConvSizes *s, const void *src,
    const void *weight, const UmedptCudaConvOutput *output, cudaStream_t stream)
{
  SplitProduct p = {};

  p.output = *output;
  p.src = (const uint4 *) src;
  p.weight = (const uint4 *) weight;
  p.rows = (int) (s->n * s->oh * s->ow);
  p.columns = (int) s->o;
  p.h = (int) s->oh;
  p.w = (int) s->ow;
  p.sh = (int) s->h;
  p.sw = (int) s->w;
  p.k = (int) (s->c / 8);
  p.kw = (int) s->kw;
  p.taps = (int) (s->kh * s->kw);
  p.stride = (int) s->stride;
  p.padding = (int) s->padding;
  return launch_split_product<SPLIT_FORWARD> (p, stream);
}

extern "C" cudaError_t
umedpt_cuda_conv_split_source_gradient (const UmedptCudaConvSizes *s,
    const void *diff, const void *weight, const UmedptCudaConvOutput *output,
    cudaStream_t stream)
{
  SplitProduct p = {};

  p.output = *output;
  p.src = (const uint4 *) diff;
  p.weight = (const uint4 *) weight;
  p.rows = (int) (s->n * s->h * s->w);
  p.columns = (int) s->c;
  p.h = (int) s->h;
  p.w = (int) s->w;
  p.sh = (int) s->oh;
  p.sw = (int) s->ow;
  p.k = (int) (s->o / 8);
  p.kw = (int) s->kw;
  p.taps = (int) (s->kh * s->kw);
  p.stride = (int) s->stride;
  p.padding = (int) s->padding;
  if (p.stride > 1)
    return launch_split_product<SPLIT_BACKWARD_STRIDE> (p, stream);
  return launch_split_product<SPLIT_BACKWARD> (p, stream);
}

/* ---- The gradients of filter and bias ---- */

/* c and o are counted in vectors of 8. */
typedef struct
{
  const uint4 *src, *diff; /* [pixels of the source, c]; [pixels, o] */
  float *diff_weight; /* [8 o, 8 c, taps] */
  float *diff_bias; /* (nullable) */
  int pixels, h, w, c, oh, ow, o, kw, taps, stride, padding;
  Divider by_oh, by_ow, by_kw, by_c;
} SplitGradient;

/* Whether @pixel of the result sees one of the source under tap (0, 0) moved by
 * (dy, dx); @seen: that. */
static __device__ __forceinline__ bool
split_find (const SplitGradient &g, int pixel, int dy, int dx, int &seen)
{
  const int line = divide (pixel, g.by_ow), sample = divide (line, g.by_oh);
  const int x = (pixel - line * g.ow) * g.stride + dx;
  const int y = (line - sample * g.oh) * g.stride + dy;

  seen = (sample * g.h + y) * g.w + x;
  return (unsigned int) y < (unsigned int) g.h &&
      (unsigned int) x < (unsigned int) g.w;
}

/* Blocks: x: tiles of taps x c; y: of o. */
static __global__ void
__launch_bounds__ (split_warps * 32) split_gradient_kernel (SplitGradient g)
{
  const int lane = threadIdx.x % 32, vector = lane % 4;
  const int steps = (g.pixels + split_tile - 1) / split_tile;
  const int o = blockIdx.y * (split_tile / 8),
            q = blockIdx.x * (split_tile / 8);
  const int tap = divide (q + vector, g.by_c), u = divide (tap, g.by_kw);
  const int c = keep (q + vector - tap * g.c);
  const int dy = keep (u - g.padding), dx = keep (tap - u * g.kw - g.padding);
  /* channels outside: pixels outside */
  const int seen_end = keep (tap < g.taps ? g.pixels : 0);
  const int diff_end = keep (o + vector < g.o ? g.pixels : 0);
  const int place = keep (split_place (lane / 4, vector));
  const bool with_bias = g.diff_bias && blockIdx.x == 0;
  UMEDPT_SHARED (bf16, shared);
  float *sums = reinterpret_cast<float *> (shared);
  float *biases = sums + split_warps * split_tile * split_pitch;
  SplitTile tile;
  float bias[2][4] = {}; /* of the tile's rows, in all columns */
  float found[4];

  tile.clear ();
  split_walk (
      shared, steps,
      [&] (int step, bf16 *to) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
          const int pixel = step * split_tile + lane / 4 + 8 * i;
          bf16 *to_line = to + place + 8 * i * split_tile;
          int seen;
          const bool valid = pixel < diff_end;
          const bool there =
              split_find (g, pixel, dy, dx, seen) && pixel < seen_end;

          copy_async_16 (to_line,
              g.diff + (valid ? pixel * g.o + o + vector : 0), valid);
          copy_async_16 (to_line + split_size / 2,
              g.src + (there ? seen * g.c + c : 0), there);
        }
      },
      [&] (const bf16 *a, const bf16 *b) {
        tile.step<false, false> (a, b);
        if (with_bias)
          SplitTile::sum_rows<false> (bias, a);
      });
  if (lane % 4 == 0)
    for (int i = 0; i < 4; i++)
      biases[threadIdx.x / 32 * split_tile + 8 * i + lane / 4] =
          bias[i / 2][i % 2 * 2];
  split_add (sums, tile, steps, found);

  const int row = o * 8 + threadIdx.x / 8, column = q * 8 + threadIdx.x % 8 * 4;
  const int bias_row = o * 8 + threadIdx.x;

  if (with_bias && threadIdx.x < split_tile && bias_row < g.o * 8) {
    float sum = 0;

    for (int i = 0; i < split_warps; i++)
      sum += biases[i * split_tile + threadIdx.x];
    g.diff_bias[bias_row] += sum;
  }
  if (row >= g.o * 8 || column >= g.taps * g.c * 8)
    return;

  /* four columns are of one tap */
  const int at = divide (column / 8, g.by_c);
  float *dst = g.diff_weight +
      ((int64_t) row * g.c * 8 + column - at * g.c * 8) * g.taps + at;

  for (int i = 0; i < 4; i++)
    dst[(int64_t) i * g.taps] += found[i];
}

extern "C" cudaError_t
umedpt_cuda_conv_split_gradient (const UmedptCudaConvSizes *s, const void *src,
    const void *diff, float *diff_weight, float *diff_bias, cudaStream_t stream)
{
  const SplitGradient g = { (const uint4 *) src, (const uint4 *) diff,
    diff_weight, diff_bias, (int) (s->n * s->oh * s->ow), (int) s->h,
    (int) s->w, (int) (s->c / 8), (int) s->oh, (int) s->ow, (int) (s->o / 8),
    (int) s->kw, (int) (s->kh * s->kw), (int) s->stride, (int) s->padding,
    divider (s->oh), divider (s->ow), divider (s->kw), divider (s->c / 8) };
  const dim3 grid ((unsigned int) ceil_div (s->kh * s->kw * s->c, split_tile),
      (unsigned int) ceil_div (s->o, split_tile));
  cudaError_t status;

  status = UMEDPT_ALLOW_SHARED (split_gradient_kernel, split_shared);
  if (status != cudaSuccess)
    return status;
  return UMEDPT_LAUNCH (split_gradient_kernel, grid, split_warps * 32,
      split_shared, stream, g);
}

/* ---- What is small ---- */

/* Blocks times steps of k, with what begin and end of a block cost in steps. */
static double
split_cost (int64_t rows, int64_t columns, int64_t k)
{
  return (double) ceil_div (rows, split_tile) * ceil_div (columns, split_tile) *
      (ceil_div (k, split_tile) + 16);
}

/* Whether all indices fit. */
static bool
split_counts (const UmedptCudaConvSizes *s)
{
  const int64_t limit = (int64_t) 1 << 30;

  return s->kh < 1024 && s->kw < 1024 && s->c <= 65535 && s->o <= 65535 &&
      s->kh * s->kw * s->c < limit && s->kh * s->kw * s->c * s->o < limit &&
      s->kh * s->kw * s->o < limit && s->kh * s->w * s->c < limit &&
      s->kh * s->ow * s->o < limit && s->n * s->h * s->w * s->c < limit &&
      s->n * s->oh * s->ow * s->o < limit;
}

/* About 10 microseconds of an H200 are 20000. */
extern "C" int
umedpt_cuda_conv_split_suits (const UmedptCudaConvSizes *s, int backwards)
{
  const int64_t k = backwards ? s->o : s->c;
  const int64_t rows = backwards ? s->n * s->h * s->w : s->n * s->oh * s->ow;

  /* a tap begins with a step of its own */
  const int64_t depth = s->kh * s->kw * ceil_div (k, split_tile) * split_tile;

  return k % 8 == 0 && (!backwards || s->c % 8 == 0) && depth <= 16384 &&
      split_counts (s) &&
      split_cost (rows, backwards ? s->c : s->o, depth) <= 20000;
}

/* A block has all pixels, so they must not be many, however few the tiles. */
extern "C" int
umedpt_cuda_conv_split_suits_gradient (const UmedptCudaConvSizes *s)
{
  const int64_t pixels = s->n * s->oh * s->ow;

  return s->c % 8 == 0 && s->o % 8 == 0 && s->c > 0 && split_counts (s) &&
      pixels <= 8192 &&
      split_cost (s->o, s->kh * s->kw * s->c, pixels) <= 40000;
}
