/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Window attention on tensor cores, windows of at most 8x8 tokens.
 *
 * A block stays with one head, whose position bias it holds in registers, and
 * takes one window after the other; while one is computed the next is on its
 * way to the other half of shared memory. A warp has 16 queries and all keys,
 * so logits and probabilities never leave its registers. The products are of
 * q and k as they are: the norms are divided out of the logits, in f32.
 *
 * Neighbouring blocks are neighbouring heads of the same pixels, then
 * neighbouring windows: what runs at the same time lies together in memory.
 */
#include "kernels/attention-tile.cuh"

#define BLOCKS_PER_SM 4

struct TilesForward
{
  Geometry g;
  const bf16 *qkv;
  const float *qkv_bias, *scale, *position_bias;
  bf16 *dst;
};

/* A window's tiles of q, k, v. */
struct Tiles
{
  uint4 q[TILE_BYTES / 16], k[TILE_BYTES / 16], v[TILE_BYTES / 16];
};

static __device__ __forceinline__ bf16 *
as_tile (uint4 *memory)
{
  return reinterpret_cast<bf16 *> (memory);
}

static __device__ __forceinline__ void
load_window (const TilesForward &f, const Own &own, const Place &place,
    int head, Tiles *tiles, int (&pixels)[2])
{
  find_own_pixels (f.g, place, own, pixels);
  load_parts<0, 2> (f.g, own, pixels, as_tile (tiles->q), f.qkv, f.qkv_bias,
      head);
  copy_async_commit ();
}

/* The warp's rows of one window whose tiles have come. The probabilities that
 * are added up are those that v is weighed by, as rounded. */
static __device__ __forceinline__ void
attend_window (const TilesForward &f, const Own &own, const uint32_t (&q)[2][4],
    const float (&scales)[2], const float (&bias)[8][4], Tiles *tiles,
    const float *inverse, const uint8_t *regions, int edges, int head,
    const int (&pixels)[2])
{
  float s[8][4], sum[4][4] = {}, total[4] = {};
  float most[2] = { -INFINITY, -INFINITY }, unused[2] = { 0, 0 };

  form_logits (s, q, scales, as_tile (tiles->k), inverse, bias, own.lane);
  if (edges) {
    int row = own_row (own.warp, own.lane >> 2);
    int own_regions[2] = { regions[row], regions[row + 32] };

    mask_logits (s, edges, regions, own_regions, own.lane);
  }
  find_most (s, most);
  exponentiate (s, most, unused);
#pragma unroll
  for (int k = 0; k < 4; k++) {
    uint32_t p[4];

    pack_left (p, s[2 * k], s[2 * k + 1]);
    add_columns (total, p);
    weigh_rows (sum, p, as_tile (tiles->v), k, own.lane);
  }
  float factors[2] = { __fdividef (1, total[0]), __fdividef (1, total[2]) };
  /* q's own rows were read by this warp alone */
  store_own_rows (sum, factors, as_tile (tiles->q), f.dst + head * HEAD,
      f.g.heads * HEAD, pixels, own.warp, own.lane);
}

__global__ void
__launch_bounds__ (TILE_THREADS, BLOCKS_PER_SM) attend_tiles (TilesForward f)
{
  __shared__ Tiles tiles[2];
  __shared__ float2 inverse_memory[2][TILE / 2];
  __shared__ uint8_t regions[TILE];
  const Own own = find_own (f.g, 0);
  const Place step = find_window (f.g, gridDim.y);
  int head = blockIdx.x, now = 0, pixels[2], next_pixels[2];
  int queries[2] = { own_row (own.warp, own.lane >> 2),
    own_row (own.warp, (own.lane >> 2) + 8) };
  float bias[8][4], scale = f.scale[head] * LOG2_E;
  Place place = find_window (f.g, blockIdx.y);

  load_window (f, own, place, head, &tiles[0], next_pixels);
  load_bias (f.g, f.position_bias + (int64_t) head * f.g.tokens * f.g.tokens,
      queries, 0, own.lane, bias);
  note_regions (f.g, own, regions);
  for (int window = blockIdx.y; window < f.g.windows; window += gridDim.y) {
    float *inverse = reinterpret_cast<float *> (inverse_memory[now]);
    int edges = find_edges (f.g, place);
    uint32_t q[2][4], k[2][4];
    float scales[2], inverse_k[2];

    copy_async_wait<0> ();
    __syncwarp (); /* the warp has its own rows */
    load_own_rows (q, as_tile (tiles[now].q), own.warp, own.lane);
    load_own_rows (k, as_tile (tiles[now].k), own.warp, own.lane);
    invert_norms (scales, q, own.lane);
    invert_norms (inverse_k, k, own.lane);
    note_inverse (inverse, inverse_k, own.warp, own.lane);
#pragma unroll
    for (int half = 0; half < 2; half++) {
      scales[half] *= scale;
      pixels[half] = next_pixels[half];
    }
    __syncthreads (); /* all have this window; none needs the last one */
    if (window + (int) gridDim.y < f.g.windows) {
      advance (f.g, step, &place);
      load_window (f, own, place, head, &tiles[now ^ 1], next_pixels);
    }
    attend_window (f, own, q, scales, bias, &tiles[now], inverse, regions,
        edges, head, pixels);
    now ^= 1;
  }
}

cudaError_t
umedpt_cuda_attention_tiles (const UmedptCudaAttention *self, void *dst,
    cudaStream_t stream)
{
  TilesForward f = { make_geometry (self), (const bf16 *) self->qkv,
    self->qkv_bias, self->scale, self->position_bias, (bf16 *) dst };
  int64_t blocks = umedpt_cuda_attention_blocks (f.g.windows, f.g.heads,
      self->multiprocessors * BLOCKS_PER_SM);

  return UMEDPT_LAUNCH (attend_tiles,
      dim3 ((unsigned) f.g.heads, (unsigned) blocks), TILE_THREADS, 0, stream,
      f);
}
