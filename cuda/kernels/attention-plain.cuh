/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Pieces of window attention for any type, head dimension and window, in f32
 * without tensor cores: tiles of 64 tokens by 64 tokens, channels 32 at a time.
 *
 * A block is 16 x 16 threads; thread (y, x) has the results of rows y + 16 a
 * and columns x + 16 b of a tile, or of rows y + 16 a and channels 2 x,
 * 2 x + 1.
 */
#pragma once

#include "kernels/attention-window.cuh"

#define PLAIN_TILE 64
#define PLAIN_CHANNELS 32
#define PLAIN_THREADS 256
#define ROW_STRIDE 36 /* of 32 channels: other banks for the next row */
#define SQUARE_STRIDE 68
#define PLAIN_BLOCKS_PER_SM 2

/* What rows of a tile are made of. */
enum Part
{
  PART_Q,
  PART_K,
  PART_V,
  PART_DIFF /* dL / d output */
};

template <typename T> struct PlainAttention
{
  Geometry g;
  int tiles; /* of a window */
  int chunks; /* of a head's channels */
  bool vectors; /* four channels at a time are aligned */
  const T *qkv;
  const float *qkv_bias, *scale, *position_bias;
  T *dst;
  const T *diff_dst;
  T *diff_qkv;
  float *stats; /* [windows, heads, L, 3]: see attention-plain-backward.cu */
  float *partials;
};

struct PlainShared
{
  float rows[PLAIN_TILE * ROW_STRIDE], columns[PLAIN_TILE * ROW_STRIDE];
  float square[PLAIN_TILE * SQUARE_STRIDE];
  float inverse_rows[PLAIN_TILE], inverse_columns[PLAIN_TILE];
};

template <typename T>
static inline PlainAttention<T>
make_plain (const UmedptCudaAttention *a)
{
  PlainAttention<T> p = {};

  p.g = make_geometry (a);
  p.tiles = (int) ceil_div (p.g.tokens, PLAIN_TILE);
  p.chunks = (int) ceil_div (p.g.dim, PLAIN_CHANNELS);
  p.vectors = a->dim % 4 == 0 && (uintptr_t) a->qkv % 16 == 0;
  p.qkv = (const T *) a->qkv;
  p.qkv_bias = a->qkv_bias;
  p.scale = a->scale;
  p.position_bias = a->position_bias;
  return p;
}

static __device__ __forceinline__ void
load_four (float (&x)[4], const float *p)
{
  float4 v = *reinterpret_cast<const float4 *> (p);

  x[0] = v.x;
  x[1] = v.y;
  x[2] = v.z;
  x[3] = v.w;
}

static __device__ __forceinline__ void
load_four (float (&x)[4], const bf16 *p)
{
  uint2 v = *reinterpret_cast<const uint2 *> (p);
  float2 low = __bfloat1622float2 (*reinterpret_cast<__nv_bfloat162 *> (&v.x));
  float2 high = __bfloat1622float2 (*reinterpret_cast<__nv_bfloat162 *> (&v.y));

  x[0] = low.x;
  x[1] = low.y;
  x[2] = high.x;
  x[3] = high.y;
}

/* One number of a token at @pixel (-1: padding). */
template <typename T>
static __device__ __forceinline__ float
get_value (const PlainAttention<T> &p, Part part, int pixel, int head,
    int channel)
{
  int c = p.g.heads * p.g.dim, at = head * p.g.dim + channel;

  if (channel >= p.g.dim)
    return 0;
  if (part == PART_DIFF)
    return pixel < 0 ? 0 : to_f32 (p.diff_dst[(int64_t) pixel * c + at]);
  if (pixel >= 0)
    return to_f32 (p.qkv[(int64_t) pixel * 3 * c + part * c + at]);
  return part == PART_K
      ? 0
      : to_f32 (from_f32<T> (p.qkv_bias[part * c + at])); /* as in the map */
}

template <typename T>
static __device__ __forceinline__ int
find_token (const PlainAttention<T> &p, const Place &place, int token)
{
  return find_pixel (p.g, place, token / p.g.window, token % p.g.window);
}

/* tile [64, 32] = channels 32 @chunk … of 64 tokens from @first; zeros beyond.
 * Returns the sum of squares of this thread's eight numbers: four threads have
 * a row. */
template <typename T>
static __device__ float
load_rows (const PlainAttention<T> &p, const Place &place, Part part, int head,
    int first, int chunk, float *tile)
{
  int row = threadIdx.x / 4, token = first + row;
  int pixel = token < p.g.tokens ? find_token (p, place, token) : -1;
  int c = p.g.heads * p.g.dim;
  float squares = 0;

  for (int half = 0; half < 2; half++) {
    int column = threadIdx.x % 4 * 4 + half * 16;
    int channel = chunk * PLAIN_CHANNELS + column;
    float x[4] = { 0, 0, 0, 0 };

    if (p.vectors && pixel >= 0 && channel < p.g.dim)
      load_four (x,
          (part == PART_DIFF ? p.diff_dst + (int64_t) pixel * c
                             : p.qkv + (int64_t) pixel * 3 * c + part * c) +
              head * p.g.dim + channel);
    else if (token < p.g.tokens)
      for (int i = 0; i < 4; i++)
        x[i] = get_value (p, part, pixel, head, channel + i);
    for (int i = 0; i < 4; i++)
      squares = fmaf (x[i], x[i], squares);
    *reinterpret_cast<float4 *> (tile + row * ROW_STRIDE + column) =
        make_float4 (x[0], x[1], x[2], x[3]);
  }
  return squares;
}

/* sums += rows [64, 32] x columns [64, 32], transposed. */
static __device__ __forceinline__ void
multiply_tiles (float (&sums)[4][4], const float *rows, const float *columns)
{
  rows += threadIdx.x / 16 * ROW_STRIDE;
  columns += threadIdx.x % 16 * ROW_STRIDE;
#pragma unroll 2
  for (int e = 0; e < PLAIN_CHANNELS; e += 4) {
    float4 a[4], b[4];

#pragma unroll
    for (int i = 0; i < 4; i++) {
      a[i] = *reinterpret_cast<const float4 *> (rows + i * 16 * ROW_STRIDE + e);
      b[i] =
          *reinterpret_cast<const float4 *> (columns + i * 16 * ROW_STRIDE + e);
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
      for (int j = 0; j < 4; j++)
        sums[i][j] = fmaf (a[i].x, b[j].x,
            fmaf (a[i].y, b[j].y,
                fmaf (a[i].z, b[j].z, fmaf (a[i].w, b[j].w, sums[i][j]))));
  }
}

/* sums [64, 32] += square [64, 64] x tile [64, 32]. */
static __device__ __forceinline__ void
weigh_tile (float (&sums)[4][2], const float *square, const float *tile)
{
  square += threadIdx.x / 16 * SQUARE_STRIDE;
  tile += threadIdx.x % 16 * 2;
#pragma unroll 2
  for (int k = 0; k < PLAIN_TILE; k += 4) {
    float2 x[4];

#pragma unroll
    for (int i = 0; i < 4; i++)
      x[i] = *reinterpret_cast<const float2 *> (tile + (k + i) * ROW_STRIDE);
#pragma unroll
    for (int i = 0; i < 4; i++) {
      float4 w = *reinterpret_cast<const float4 *> (square +
          i * 16 * SQUARE_STRIDE + k);

      sums[i][0] = fmaf (w.x, x[0].x,
          fmaf (w.y, x[1].x,
              fmaf (w.z, x[2].x, fmaf (w.w, x[3].x, sums[i][0]))));
      sums[i][1] = fmaf (w.x, x[0].y,
          fmaf (w.y, x[1].y,
              fmaf (w.z, x[2].y, fmaf (w.w, x[3].y, sums[i][1]))));
    }
  }
}

/* 1 / max (|row|, 1e-12), from the shares of its four threads. */
static __device__ __forceinline__ void
note_inverse (float squares, float *inverse)
{
  squares += __shfl_xor_sync (0xffffffffu, squares, 1);
  squares += __shfl_xor_sync (0xffffffffu, squares, 2);
  if (threadIdx.x % 4 == 0)
    inverse[threadIdx.x / 4] = 1 / fmaxf (sqrtf (squares), 1e-12f);
}

/* products = @row_part of 64 tokens from @row x @column_part of 64 tokens from
 * @column. With @norms their inverse norms go to shared memory. */
template <typename T>
static __device__ void
multiply_parts (const PlainAttention<T> &p, const Place &place, int head,
    Part row_part, int row, Part column_part, int column, bool norms,
    PlainShared *shared, float (&products)[4][4])
{
  float row_squares = 0, column_squares = 0;

  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 4; j++)
      products[i][j] = 0;
  for (int chunk = 0; chunk < p.chunks; chunk++) {
    __syncthreads ();
    row_squares +=
        load_rows (p, place, row_part, head, row, chunk, shared->rows);
    column_squares +=
        load_rows (p, place, column_part, head, column, chunk, shared->columns);
    __syncthreads ();
    multiply_tiles (products, shared->rows, shared->columns);
  }
  if (norms) {
    note_inverse (row_squares, shared->inverse_rows);
    note_inverse (column_squares, shared->inverse_columns);
  }
  __syncthreads ();
}

/* cosines, and logits, of a tile. @transposed: rows are keys, columns queries.
 * Where there is no such key the logit is minus infinity. */
template <typename T>
static __device__ void
form_logits (const PlainAttention<T> &p, const Place &place, int head, int row,
    int column, bool transposed, PlainShared *shared, float (&cosines)[4][4],
    float (&logits)[4][4])
{
  int l = p.g.tokens, w = p.g.window;
  const float *bias = p.position_bias + (int64_t) head * l * l;
  float scale = p.scale[head];
  int edges = find_edges (p.g, place);

  multiply_parts (p, place, head, transposed ? PART_K : PART_Q, row,
      transposed ? PART_Q : PART_K, column, true, shared, cosines);
#pragma unroll
  for (int a = 0; a < 4; a++)
#pragma unroll
    for (int b = 0; b < 4; b++) {
      int i = threadIdx.x / 16 + 16 * a, j = threadIdx.x % 16 + 16 * b;
      int query = transposed ? column + j : row + i;
      int key = transposed ? row + i : column + j;

      cosines[a][b] *= shared->inverse_rows[i];
      cosines[a][b] *= shared->inverse_columns[j];
      logits[a][b] = cosines[a][b] * scale;
      if (key >= l)
        logits[a][b] = -INFINITY;
      else if (query < l)
        logits[a][b] += bias[(int64_t) query * l + key];
      if (edges)
        logits[a][b] +=
            mask_between (edges, find_region (p.g, query / w, query % w),
                find_region (p.g, key / w, key % w));
    }
}

/* Over the 16 threads that share rows. */
static __device__ __forceinline__ float
row_sum (float x)
{
  for (int offset = 8; offset > 0; offset /= 2)
    x += __shfl_xor_sync (0xffffffffu, x, offset);
  return x;
}

static __device__ __forceinline__ float
row_max (float x)
{
  for (int offset = 8; offset > 0; offset /= 2)
    x = fmaxf (x, __shfl_xor_sync (0xffffffffu, x, offset));
  return x;
}

/* Takes a tile's logits in: the greatest of each row so far, and this thread's
 * share of the sum of exp (logit - greatest). @factors: by which what was
 * summed before is to be multiplied. */
static __device__ __forceinline__ void
add_logits (const float (&logits)[4][4], float (&most)[4], float (&sums)[4],
    float (&factors)[4])
{
#pragma unroll
  for (int a = 0; a < 4; a++) {
    float before = most[a];

    for (int b = 0; b < 4; b++)
      most[a] = fmaxf (most[a], logits[a][b]);
    most[a] = row_max (most[a]);
    factors[a] = expf (before - most[a]);
    sums[a] *= factors[a];
    for (int b = 0; b < 4; b++)
      sums[a] += expf (logits[a][b] - most[a]);
  }
}

static __device__ __forceinline__ void
store_square (PlainShared *shared, const float (&x)[4][4])
{
#pragma unroll
  for (int a = 0; a < 4; a++)
#pragma unroll
    for (int b = 0; b < 4; b++)
      shared->square[(threadIdx.x / 16 + 16 * a) * SQUARE_STRIDE +
          threadIdx.x % 16 + 16 * b] = x[a][b];
}

/* sums += x [64, 64] times channels 32 @chunk … of 64 tokens from @first. */
template <typename T>
static __device__ void
weigh_part (const PlainAttention<T> &p, const Place &place, int head, Part part,
    int first, int chunk, const float (&x)[4][4], PlainShared *shared,
    float (&sums)[4][2])
{
  __syncthreads (); /* square and columns may be in use */
  store_square (shared, x);
  load_rows (p, place, part, head, first, chunk, shared->columns);
  __syncthreads ();
  weigh_tile (sums, shared->square, shared->columns);
}
