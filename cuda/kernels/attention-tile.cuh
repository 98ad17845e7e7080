/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Pieces of window attention on tensor cores, for bf16 and head dimension 32.
 *
 * A tile is 64 tokens of one head, bf16 [64, 32] in shared memory: rows of
 * four chunks of 16 bytes, chunk c of row r in place c ^ (r / 2 % 4), so that
 * the eight rows of an ldmatrix lie in different banks.
 *
 * A block is four warps. Lane 4 g + t of warp w owns the token rows 8 w + g and
 * 32 + 8 w + g everywhere: it loads their chunk t, they are rows g and g + 8 of
 * its warp's matrix fragments (16 rows), and it stores their chunk t.
 */
#pragma once

#include "kernels/attention-window.cuh"

#define TILE 64 /* tokens */
#define HEAD 32 /* channels */
#define TILE_BYTES (TILE * HEAD * 2)
#define TILE_THREADS 128
#define LOG2_E 1.4426950408889634f

/* Chunk @chunk of row @row. */
static __device__ __forceinline__ bf16 *
tile_at (bf16 *tile, int row, int chunk)
{
  return tile + row * HEAD + (chunk ^ (row >> 1 & 3)) * 8;
}

/* Row 0 … 15 of a warp's fragments as a row of the tile. */
static __device__ __forceinline__ int
own_row (int warp, int row)
{
  return warp * 8 + (row & 7) + (row >> 3) * 32;
}

/* The warp's own 16 rows as the left side of a product. */
static __device__ __forceinline__ void
load_own_rows (uint32_t (&a)[2][4], bf16 *tile, int warp, int lane)
{
  for (int k = 0; k < 2; k++)
    ldmatrix_x4 (a[k],
        tile_at (tile, own_row (warp, lane & 15), 2 * k + (lane >> 4)));
}

/* sum [16, 8] = a [16, 32] x rows 8 n … 8 n + 7 of a tile, transposed. */
static __device__ __forceinline__ void
multiply_rows (float (&sum)[4], const uint32_t (&a)[2][4], bf16 *tile, int n,
    int lane)
{
  uint32_t r[4];

  ldmatrix_x4 (r, tile_at (tile, 8 * n + (lane & 7), lane >> 3));
  uint32_t first[2] = { r[0], r[1] }, second[2] = { r[2], r[3] };
  sum[0] = sum[1] = sum[2] = sum[3] = 0;
  mma_bf16 (sum, a[0], first);
  mma_bf16 (sum, a[1], second);
}

/* sum [16, 32] += a [16, 16] x rows 16 k … 16 k + 15 of a tile. */
static __device__ __forceinline__ void
weigh_rows (float (&sum)[4][4], const uint32_t (&a)[4], bf16 *tile, int k,
    int lane)
{
#pragma unroll
  for (int pair = 0; pair < 2; pair++) {
    uint32_t r[4];

    ldmatrix_x4_trans (r,
        tile_at (tile, 16 * k + (lane & 15), 2 * pair + (lane >> 4)));
    uint32_t first[2] = { r[0], r[1] }, second[2] = { r[2], r[3] };
    mma_bf16 (sum[2 * pair], a, first);
    mma_bf16 (sum[2 * pair + 1], a, second);
  }
}

/* sums [16, any column] += the rows of a [16, 16], added up. */
static __device__ __forceinline__ void
add_columns (float (&sums)[4], const uint32_t (&a)[4])
{
  const uint32_t ones[2] = { 0x3f803f80u, 0x3f803f80u };

  mma_bf16 (sums, a, ones);
}

/* Results of columns 16 k … 16 k + 15, from their two fragments, as the left
 * side of the next product. */
static __device__ __forceinline__ void
pack_left (uint32_t (&a)[4], const float (&first)[4], const float (&second)[4])
{
  a[0] = pack_bf16 (first[0], first[1]);
  a[1] = pack_bf16 (first[2], first[3]);
  a[2] = pack_bf16 (second[0], second[1]);
  a[3] = pack_bf16 (second[2], second[3]);
}

/* The two numbers that a register of a fragment holds. */
static __device__ __forceinline__ float2
unpack_bf16 (uint32_t pair)
{
  return __bfloat1622float2 (*reinterpret_cast<__nv_bfloat162 *> (&pair));
}

/* Over the four lanes that share a row. */
static __device__ __forceinline__ float
quad_sum (float x)
{
  x += __shfl_xor_sync (0xffffffffu, x, 1);
  return x + __shfl_xor_sync (0xffffffffu, x, 2);
}

static __device__ __forceinline__ float
quad_max (float x)
{
  x = fmaxf (x, __shfl_xor_sync (0xffffffffu, x, 1));
  return fmaxf (x, __shfl_xor_sync (0xffffffffu, x, 2));
}

/* 1 / max (|row|, 1e-12) of the lane's two rows of a fragment: the diagonal of
 * the fragment times its own transposed. */
static __device__ __forceinline__ void
invert_norms (float (&inverse)[2], const uint32_t (&a)[2][4], int lane)
{
  int g = lane >> 2, diagonal = (lane & ~3) | g >> 1; /* who has it */
  float low[4] = {}, high[4] = {};

#pragma unroll
  for (int k = 0; k < 2; k++) {
    uint32_t first[2] = { a[k][0], a[k][2] }, second[2] = { a[k][1], a[k][3] };

    mma_bf16 (low, a[k], first);
    mma_bf16 (high, a[k], second);
  }
  inverse[0] = g & 1 ? low[1] : low[0];
  inverse[1] = g & 1 ? high[3] : high[2];
#pragma unroll
  for (int half = 0; half < 2; half++)
    inverse[half] =
        rsqrtf (fmaxf (__shfl_sync (0xffffffffu, inverse[half], diagonal),
            1e-24f));
}

/* Writes down the inverse norms of the warp's own keys, for all warps. */
static __device__ __forceinline__ void
note_inverse (float *inverse, const float (&own)[2], int warp, int lane)
{
  if ((lane & 3) == 0) {
    inverse[own_row (warp, lane >> 2)] = own[0];
    inverse[own_row (warp, (lane >> 2) + 8)] = own[1];
  }
}

/* A chunk of padding: eight numbers of qkv's bias, or zeros. */
static __device__ __forceinline__ void
fill_chunk (bf16 *chunk, const float *bias)
{
  uint4 x = { 0, 0, 0, 0 };

  if (bias) {
    x.x = pack_bf16 (bias[0], bias[1]);
    x.y = pack_bf16 (bias[2], bias[3]);
    x.z = pack_bf16 (bias[4], bias[5]);
    x.w = pack_bf16 (bias[6], bias[7]);
  }
  *reinterpret_cast<uint4 *> (chunk) = x;
}

/* Writes the warp's rows of a result, sum [16, 32] times @factors of its two
 * rows, to the map: through @staging, rows of a tile that nobody else uses, so
 * that a lane has 16 bytes. @dst: at the head and part. */
static __device__ __forceinline__ void
store_own_rows (const float (&sum)[4][4], const float (&factors)[2],
    bf16 *staging, bf16 *dst, int stride, const int (&pixels)[2], int warp,
    int lane)
{
  int g = lane >> 2, t = lane & 3;

  __syncwarp ();
#pragma unroll
  for (int n = 0; n < 4; n++)
#pragma unroll
    for (int half = 0; half < 2; half++)
      *reinterpret_cast<uint32_t *> (tile_at (staging,
                                         own_row (warp, g + 8 * half), n) +
          2 * t) = pack_bf16 (sum[n][2 * half] * factors[half],
          sum[n][2 * half + 1] * factors[half]);
  __syncwarp ();
#pragma unroll
  for (int half = 0; half < 2; half++)
    if (pixels[half] >= 0)
      *reinterpret_cast<uint4 *> (dst + (int64_t) pixels[half] * stride +
          t * 8) = *reinterpret_cast<const uint4 *> (tile_at (staging,
          own_row (warp, g + 8 * half), t));
}

/* What a thread knows of the two tokens that it owns. */
struct Own
{
  int warp, lane;
  int y[2], x[2]; /* in the window */
  bool token[2]; /* there is one: the window has so many */
};

/* All rows of all tiles are pixels of the map: the usual case. */
static __device__ __forceinline__ bool
is_whole (const Geometry &g)
{
  return !g.padded && g.tokens % TILE == 0;
}

/* Of the tile of a window that begins at token @first. */
static __device__ __forceinline__ Own
find_own (const Geometry &g, int first)
{
  Own own;

  own.warp = threadIdx.x / 32;
  own.lane = threadIdx.x % 32;
#pragma unroll
  for (int half = 0; half < 2; half++) {
    int token = first + own_row (own.warp, (own.lane >> 2) + 8 * half);

    own.token[half] = token < g.tokens;
    own.y[half] = token / g.window;
    own.x[half] = token % g.window;
  }
  return own;
}

/* Starts loading the thread's chunk of one of its rows. @src: at the head and
 * part; @bias: (nullable) what it is for padded pixels, else zeros. A row
 * beyond the window's tokens is zeros. */
static __device__ __forceinline__ void
load_chunk (const Own &own, int half, int pixel, bf16 *tile, const bf16 *src,
    const float *bias, int stride)
{
  int chunk = own.lane & 3;
  bf16 *at =
      tile_at (tile, own_row (own.warp, (own.lane >> 2) + 8 * half), chunk);

  if (own.token[half] && pixel < 0)
    fill_chunk (at, bias ? bias + chunk * 8 : bias);
  else
    copy_async_16 (at,
        src + (pixel < 0 ? 0 : (int64_t) pixel * stride + chunk * 8),
        pixel >= 0);
}

/* Starts loading the thread's rows of parts @first … @last (q, k, v: 0, 1, 2)
 * to as many tiles, one after the other. */
template <int first, int last>
static __device__ __forceinline__ void
load_parts (const Geometry &g, const Own &own, const int (&pixels)[2],
    bf16 *tiles, const bf16 *qkv, const float *qkv_bias, int head)
{
  int c = g.heads * HEAD, chunk = own.lane & 3;

  qkv += head * HEAD + first * c;
#pragma unroll
  for (int half = 0; half < 2; half++) {
    int row = own_row (own.warp, (own.lane >> 2) + 8 * half);
    if (is_whole (g)) {
      const bf16 *src = qkv + (int64_t) pixels[half] * 3 * c + chunk * 8;

#pragma unroll
      for (int part = first; part <= last; part++, src += c)
        copy_async_16 (tile_at (tiles + (part - first) * TILE * HEAD, row,
                           chunk),
            src, true);
    } else
#pragma unroll
      for (int part = first; part <= last; part++)
        load_chunk (own, half, pixels[half],
            tiles + (part - first) * TILE * HEAD, qkv + (part - first) * c,
            part == 1 ? nullptr : qkv_bias + part * c + head * HEAD, 3 * c);
  }
}

static __device__ __forceinline__ void
find_own_pixels (const Geometry &g, const Place &place, const Own &own,
    int (&pixels)[2])
{
#pragma unroll
  for (int half = 0; half < 2; half++)
    pixels[half] =
        own.token[half] ? find_pixel (g, place, own.y[half], own.x[half]) : -1;
}

/* Writes down the regions of the block's 64 tokens. */
static __device__ __forceinline__ void
note_regions (const Geometry &g, const Own &own, uint8_t *regions)
{
#pragma unroll
  for (int half = 0; half < 2; half++)
    if ((own.lane & 3) == 0)
      regions[own_row (own.warp, (own.lane >> 2) + 8 * half)] =
          (uint8_t) find_region (g, own.y[half], own.x[half]);
}

/* The position bias of the thread's two query rows and 64 keys that begin
 * with @first, as a fragment, times log2 (e); minus infinity where there is no
 * key. @bias: of the head. */
static __device__ __forceinline__ void
load_bias (const Geometry &g, const float *bias, const int (&queries)[2],
    int first, int lane, float (&fragment)[8][4])
{
  bool pairs = g.tokens % 2 == 0;

#pragma unroll
  for (int half = 0; half < 2; half++) {
    bool token = queries[half] < g.tokens;
    const float *row = bias + (int64_t) queries[half] * g.tokens;

#pragma unroll
    for (int n = 0; n < 8; n++) {
      int key = first + 8 * n + 2 * (lane & 3);
      float2 pair = { 0, 0 };

      if (token && pairs && key < g.tokens)
        pair = __ldg (reinterpret_cast<const float2 *> (row + key));
      else if (token && key < g.tokens) {
        pair.x = row[key];
        pair.y = key + 1 < g.tokens ? row[key + 1] : 0;
      }
      fragment[n][2 * half] = key < g.tokens ? pair.x * LOG2_E : -INFINITY;
      fragment[n][2 * half + 1] =
          key + 1 < g.tokens ? pair.y * LOG2_E : -INFINITY;
    }
  }
}

/* logits [16, 64] of the warp's queries times log2 (e): @q is their fragment,
 * @scales is 1 / |q| times the head's scale times log2 (e), as @bias; @inverse
 * is 1 / |k| of the 64 keys. */
static __device__ __forceinline__ void
form_logits (float (&s)[8][4], const uint32_t (&q)[2][4],
    const float (&scales)[2], bf16 *keys, const float *inverse,
    const float (&bias)[8][4], int lane)
{
#pragma unroll
  for (int n = 0; n < 8; n++) {
    const float2 w =
        *reinterpret_cast<const float2 *> (inverse + 8 * n + 2 * (lane & 3));

    multiply_rows (s[n], q, keys, n, lane);
    s[n][0] = fmaf (s[n][0] * scales[0], w.x, bias[n][0]);
    s[n][1] = fmaf (s[n][1] * scales[0], w.y, bias[n][1]);
    s[n][2] = fmaf (s[n][2] * scales[1], w.x, bias[n][2]);
    s[n][3] = fmaf (s[n][3] * scales[1], w.y, bias[n][3]);
  }
}

/* Parts the regions of a window that has @edges. @regions: of the keys;
 * @queries: of the thread's two. */
static __device__ __forceinline__ void
mask_logits (float (&s)[8][4], int edges, const uint8_t *regions,
    const int (&queries)[2], int lane)
{
#pragma unroll
  for (int n = 0; n < 8; n++)
#pragma unroll
    for (int i = 0; i < 4; i++)
      s[n][i] += LOG2_E *
          mask_between (edges, queries[i >> 1],
              regions[8 * n + 2 * (lane & 3) + (i & 1)]);
}

/* The greatest of each of the two rows, @most at least. */
static __device__ __forceinline__ void
find_most (const float (&s)[8][4], float (&most)[2])
{
#pragma unroll
  for (int half = 0; half < 2; half++) {
#pragma unroll
    for (int n = 0; n < 8; n++)
      most[half] =
          fmaxf (most[half], fmaxf (s[n][2 * half], s[n][2 * half + 1]));
    most[half] = quad_max (most[half]);
  }
}

/* s = 2^(s - most); adds this thread's share to @sums. */
static __device__ __forceinline__ void
exponentiate (float (&s)[8][4], const float (&most)[2], float (&sums)[2])
{
#pragma unroll
  for (int n = 0; n < 8; n++)
#pragma unroll
    for (int i = 0; i < 4; i++) {
      s[n][i] = exp2_approx (s[n][i] - most[i >> 1]);
      sums[i >> 1] += s[n][i];
    }
}
