/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Window attention on tensor cores for windows of more than 8x8 tokens: a
 * block has 64 queries of one head and window, and takes the keys 64 at a time
 * with the softmax that is put right as greater logits come (Milakov and
 * Gimelshein 2018, arXiv:1805.02867). The position bias, L x L for each head,
 * is read from the cache. Otherwise as attention-tiles.cu.
 */
#include "kernels/attention-tile.cuh"

#define BLOCKS_PER_SM 4

struct WideForward
{
  Geometry g;
  const bf16 *qkv;
  const float *qkv_bias, *scale, *position_bias;
  bf16 *dst;
  int query_tiles;
};

struct Keys
{
  uint4 k[TILE_BYTES / 16], v[TILE_BYTES / 16];
  float2 inverse[TILE / 2]; /* 1 / |k| */
  uint8_t regions[TILE];
};

/* What a warp has of its 16 queries so far. */
struct Rows
{
  uint32_t q[2][4];
  float scales[2]; /* the head's, over |q| */
  float most[2];
  float sum[4][4]; /* of v, weighed by exp (logit - most) */
  float total[4]; /* of the weights, as add_columns () has it */
};

static __device__ __forceinline__ bf16 *
as_tile (uint4 *memory)
{
  return reinterpret_cast<bf16 *> (memory);
}

static __device__ __forceinline__ void
load_keys (const WideForward &f, const Place &place, int first, int head,
    Keys *keys)
{
  Own own = find_own (f.g, first);
  int pixels[2];

  find_own_pixels (f.g, place, own, pixels);
  load_parts<1, 2> (f.g, own, pixels, as_tile (keys->k), f.qkv, f.qkv_bias,
      head);
  copy_async_commit ();
  note_regions (f.g, own, keys->regions);
}

/* Takes in the logits of 64 keys and their v. */
static __device__ __forceinline__ void
add_keys (Rows *rows, float (&s)[8][4], bf16 *v, int lane)
{
  float most[2] = { rows->most[0], rows->most[1] }, factors[2];
  float unused[2] = { 0, 0 };

  find_most (s, most);
#pragma unroll
  for (int half = 0; half < 2; half++) {
    factors[half] = exp2_approx (rows->most[half] - most[half]);
    rows->most[half] = most[half];
  }
#pragma unroll
  for (int i = 0; i < 4; i++) {
    rows->total[i] *= factors[i >> 1];
#pragma unroll
    for (int n = 0; n < 4; n++)
      rows->sum[n][i] *= factors[i >> 1];
  }
  exponentiate (s, most, unused);
#pragma unroll
  for (int k = 0; k < 4; k++) {
    uint32_t p[4];

    pack_left (p, s[2 * k], s[2 * k + 1]);
    add_columns (rows->total, p);
    weigh_rows (rows->sum, p, v, k, lane);
  }
}

/* Of queries that the warp has loaded. */
static __device__ __forceinline__ void
start_rows (Rows *rows, bf16 *queries, float scale, const Own &own)
{
  load_own_rows (rows->q, queries, own.warp, own.lane);
  invert_norms (rows->scales, rows->q, own.lane);
#pragma unroll
  for (int half = 0; half < 2; half++) {
    rows->scales[half] *= scale * LOG2_E;
    rows->most[half] = -INFINITY;
  }
#pragma unroll
  for (int i = 0; i < 4; i++) {
    rows->total[i] = 0;
#pragma unroll
    for (int n = 0; n < 4; n++)
      rows->sum[n][i] = 0;
  }
}

/* 64 queries, from @first, of one window and head. */
static __device__ __forceinline__ void
attend_queries (const WideForward &f, const Place &place, int first, int head,
    bf16 *queries, Keys *keys)
{
  const Own own = find_own (f.g, first);
  const float *bias =
      f.position_bias + (int64_t) head * f.g.tokens * f.g.tokens;
  int lane = own.lane, row = own_row (own.warp, lane >> 2);
  int at[2] = { first + row, first + row + 32 };
  int regions[2] = { find_region (f.g, own.y[0], own.x[0]),
    find_region (f.g, own.y[1], own.x[1]) };
  int pixels[2], edges = find_edges (f.g, place);
  Rows rows;

  find_own_pixels (f.g, place, own, pixels);
  load_parts<0, 0> (f.g, own, pixels, queries, f.qkv, f.qkv_bias, head);
  load_keys (f, place, 0, head, &keys[0]);
  for (int key = 0; key < f.g.tokens; key += TILE) {
    Keys *now = &keys[key / TILE % 2];
    float *inverse = reinterpret_cast<float *> (now->inverse);
    float s[8][4], part_bias[8][4], own_inverse[2];
    uint32_t k[2][4];

    load_bias (f.g, bias, at, key, lane, part_bias);
    copy_async_wait<0> ();
    __syncwarp (); /* the warp has its own rows */
    if (key == 0)
      start_rows (&rows, queries, f.scale[head], own);
    load_own_rows (k, as_tile (now->k), own.warp, lane);
    invert_norms (own_inverse, k, lane);
    note_inverse (inverse, own_inverse, own.warp, lane);
    __syncthreads (); /* all have these keys; none needs the last ones */
    if (key + TILE < f.g.tokens)
      load_keys (f, place, key + TILE, head, &keys[(key / TILE + 1) % 2]);
    form_logits (s, rows.q, rows.scales, as_tile (now->k), inverse, part_bias,
        lane);
    if (edges)
      mask_logits (s, edges, now->regions, regions, lane);
    add_keys (&rows, s, as_tile (now->v), lane);
  }
  float factors[2] = { __fdividef (1, rows.total[0]),
    __fdividef (1, rows.total[2]) };
  store_own_rows (rows.sum, factors, queries, f.dst + head * HEAD,
      f.g.heads * HEAD, pixels, own.warp, lane);
}

__global__ void
__launch_bounds__ (TILE_THREADS, BLOCKS_PER_SM) attend_wide (WideForward f)
{
  __shared__ uint4 queries[TILE_BYTES / 16];
  __shared__ Keys keys[2];
  int64_t items = (int64_t) f.g.windows * f.query_tiles;

  for (int64_t i = blockIdx.y; i < items; i += gridDim.y) {
    Place place = find_window (f.g, (int) (i / f.query_tiles));

    attend_queries (f, place, (int) (i % f.query_tiles) * TILE, blockIdx.x,
        as_tile (queries), keys);
    __syncthreads (); /* before the next window's keys come */
  }
}

cudaError_t
umedpt_cuda_attention_wide (const UmedptCudaAttention *self, void *dst,
    cudaStream_t stream)
{
  WideForward f = { make_geometry (self), (const bf16 *) self->qkv,
    self->qkv_bias, self->scale, self->position_bias, (bf16 *) dst, 0 };
  int64_t blocks;

  f.query_tiles = (int) ceil_div (f.g.tokens, TILE);
  blocks = umedpt_cuda_attention_blocks ((int64_t) f.g.windows * f.query_tiles,
      f.g.heads, self->multiprocessors * BLOCKS_PER_SM);
  return UMEDPT_LAUNCH (attend_wide,
      dim3 ((unsigned) f.g.heads, (unsigned) blocks), TILE_THREADS, 0, stream,
      f);
}
