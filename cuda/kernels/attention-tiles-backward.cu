/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Gradients of window attention on tensor cores, windows of at most 8x8 tokens
 * (formulas: backend/ref/attention-backward.c). As in attention-tiles.cu, a
 * block stays with a head and takes one window after the other.
 *
 * A warp has 16 queries with all keys: it forms P and dS, adds dS to the sum
 * that it keeps in registers for dB, and has dq at once. dk and dv need all
 * queries: P and dS go through shared memory, and the warp takes 16 keys.
 * Operands of products are bf16: dS with 1 / |k| or 1 / |q| on it, so that the
 * other side is k or q as it is.
 *
 * A block's sums over its windows go to its own row of `partials`; another
 * kernel adds the rows in order.
 */
#include "kernels/attention-tile.cuh"

#define BLOCKS_PER_SM 3

struct TilesBackward
{
  Geometry g;
  const bf16 *qkv;
  const float *qkv_bias, *scale, *position_bias;
  const bf16 *diff_dst;
  bf16 *diff_qkv;
  float *partials;
};

struct Tiles
{
  uint4 q[TILE_BYTES / 16], k[TILE_BYTES / 16], v[TILE_BYTES / 16],
      diff[TILE_BYTES / 16];
};

struct Shared
{
  Tiles tiles[2];
  float4 bias[8][TILE_THREADS]; /* fragments of each thread */
  uint4 p[TILE * TILE / 8], ds[TILE * TILE / 8]; /* ds: over |q| */
  float2 inverse[2][TILE / 2]; /* 1 / |k| */
  float2 padding[4][TILE_THREADS]; /* each thread's sums: dv of padded keys */
  uint8_t regions[TILE];
};

/* A thread's sums over its block's windows. */
struct Sums
{
  float bias[8][4];
  float scale;
};

static __device__ __forceinline__ bf16 *
as_bf16 (uint4 *memory)
{
  return reinterpret_cast<bf16 *> (memory);
}

/* Chunk @chunk of row @row of a bf16 [64, 64]. */
static __device__ __forceinline__ bf16 *
square_at (uint4 *square, int row, int chunk)
{
  return as_bf16 (square) + row * TILE + (chunk ^ (row & 7)) * 8;
}

static __device__ __forceinline__ void
store_square (uint4 *square, int row, int n, int t, float first, float second)
{
  *reinterpret_cast<uint32_t *> (square_at (square, row, n) + 2 * t) =
      pack_bf16 (first, second);
}

/* sum [16, 32] = the warp's own 16 columns of @square, transposed, x @tile. */
static __device__ __forceinline__ void
weigh_columns (float (&sum)[4][4], uint4 *square, bf16 *tile, int warp,
    int lane)
{
#pragma unroll
  for (int n = 0; n < 4; n++)
    sum[n][0] = sum[n][1] = sum[n][2] = sum[n][3] = 0;
#pragma unroll
  for (int k = 0; k < 4; k++) {
    uint32_t a[4];

    ldmatrix_x4_trans (a,
        square_at (square, 16 * k + (lane >> 4) * 8 + (lane & 7),
            warp + (lane >> 3 & 1) * 4));
    weigh_rows (sum, a, tile, k, lane);
  }
}

/* From the gradient of x / |x| to that of x, but for the factor 1 / |x|.
 * @inverse: 1 / max (|x|, 1e-12); where that is the constant, nothing is to be
 * done. */
static __device__ __forceinline__ void
differentiate_norms (float (&sum)[4][4], const uint32_t (&x)[2][4],
    const float (&inverse)[2])
{
#pragma unroll
  for (int half = 0; half < 2; half++) {
    float dot = 0, u[4][2];

#pragma unroll
    for (int n = 0; n < 4; n++) {
      float2 pair = unpack_bf16 (x[n / 2][half + 2 * (n % 2)]);

      u[n][0] = pair.x * inverse[half];
      u[n][1] = pair.y * inverse[half];
      dot = fmaf (u[n][0], sum[n][2 * half],
          fmaf (u[n][1], sum[n][2 * half + 1], dot));
    }
    dot = quad_sum (dot);
    if (inverse[half] > 0.9999e12f)
      dot = 0;
#pragma unroll
    for (int n = 0; n < 4; n++) {
      sum[n][2 * half] -= u[n][0] * dot;
      sum[n][2 * half + 1] -= u[n][1] * dot;
    }
  }
}

static __device__ __forceinline__ void
load_window (const TilesBackward &f, const Own &own, const Place &place,
    int head, Tiles *tiles, int (&pixels)[2])
{
  find_own_pixels (f.g, place, own, pixels);
  load_parts<0, 2> (f.g, own, pixels, as_bf16 (tiles->q), f.qkv, f.qkv_bias,
      head);
#pragma unroll
  for (int half = 0; half < 2; half++)
    load_chunk (own, half, pixels[half], as_bf16 (tiles->diff),
        f.diff_dst + head * HEAD, nullptr, f.g.heads * HEAD);
  copy_async_commit ();
}

/* p [16, 64]: the probabilities of the warp's queries. */
static __device__ __forceinline__ void
form_probabilities (Shared *shared, Tiles *tiles, const float *inverse,
    const uint32_t (&q)[2][4], const float (&scales)[2], int edges,
    const Own &own, float (&p)[8][4])
{
  int lane = own.lane, row = own_row (own.warp, lane >> 2);
  float most[2] = { -INFINITY, -INFINITY }, sums[2] = { 0, 0 };

#pragma unroll
  for (int n = 0; n < 8; n++) {
    float4 bias = shared->bias[n][threadIdx.x];
    const float2 w =
        *reinterpret_cast<const float2 *> (inverse + 8 * n + 2 * (lane & 3));

    multiply_rows (p[n], q, as_bf16 (tiles->k), n, lane);
    p[n][0] = fmaf (p[n][0] * scales[0], w.x, bias.x);
    p[n][1] = fmaf (p[n][1] * scales[0], w.y, bias.y);
    p[n][2] = fmaf (p[n][2] * scales[1], w.x, bias.z);
    p[n][3] = fmaf (p[n][3] * scales[1], w.y, bias.w);
  }
  if (edges) {
    int regions[2] = { shared->regions[row], shared->regions[row + 32] };

    mask_logits (p, edges, shared->regions, regions, lane);
  }
  find_most (p, most);
  exponentiate (p, most, sums);
  sums[0] = __fdividef (1, quad_sum (sums[0]));
  sums[1] = __fdividef (1, quad_sum (sums[1]));
#pragma unroll
  for (int n = 0; n < 8; n++) {
#pragma unroll
    for (int i = 0; i < 4; i++)
      p[n][i] *= sums[i >> 1];
    store_square (shared->p, row, n, lane & 3, p[n][0], p[n][1]);
    store_square (shared->p, row + 32, n, lane & 3, p[n][2], p[n][3]);
  }
}

/* In place, p -> dS = P (dP - sum of P dP). */
static __device__ __forceinline__ void
differentiate_softmax (Tiles *tiles, const Own &own, float (&p)[8][4])
{
  uint32_t diff[2][4];
  float dp[8][4], means[2] = { 0, 0 };

  load_own_rows (diff, as_bf16 (tiles->diff), own.warp, own.lane);
#pragma unroll
  for (int n = 0; n < 8; n++) {
    multiply_rows (dp[n], diff, as_bf16 (tiles->v), n, own.lane);
#pragma unroll
    for (int i = 0; i < 4; i++)
      means[i >> 1] = fmaf (p[n][i], dp[n][i], means[i >> 1]);
  }
  means[0] = quad_sum (means[0]);
  means[1] = quad_sum (means[1]);
#pragma unroll
  for (int n = 0; n < 8; n++)
#pragma unroll
    for (int i = 0; i < 4; i++)
      p[n][i] *= dp[n][i] - means[i >> 1];
}

/* What follows from dS: shares of dscale, dq up to factors, and dS / |q| for
 * the other warps. */
static __device__ __forceinline__ void
differentiate_queries (Shared *shared, Tiles *tiles, const float *inverse,
    const uint32_t (&q)[2][4], const float (&inverse_q)[2], const Own &own,
    float (&ds)[8][4], float (&dq)[4][4], float *diff_scale)
{
  int lane = own.lane, row = own_row (own.warp, lane >> 2);
  float shares[2] = { 0, 0 };

#pragma unroll
  for (int n = 0; n < 8; n++) {
    float product[4];
    const float2 w =
        *reinterpret_cast<const float2 *> (inverse + 8 * n + 2 * (lane & 3));

    multiply_rows (product, q, as_bf16 (tiles->k), n, lane);
    store_square (shared->ds, row, n, lane & 3, ds[n][0] * inverse_q[0],
        ds[n][1] * inverse_q[0]);
    store_square (shared->ds, row + 32, n, lane & 3, ds[n][2] * inverse_q[1],
        ds[n][3] * inverse_q[1]);
#pragma unroll
    for (int i = 0; i < 4; i++) {
      ds[n][i] *= i % 2 ? w.y : w.x;
      shares[i >> 1] = fmaf (ds[n][i], product[i], shares[i >> 1]);
    }
  }
  *diff_scale += shares[0] * inverse_q[0] + shares[1] * inverse_q[1];
#pragma unroll
  for (int n = 0; n < 4; n++)
    dq[n][0] = dq[n][1] = dq[n][2] = dq[n][3] = 0;
#pragma unroll
  for (int k = 0; k < 4; k++) {
    uint32_t a[4];

    pack_left (a, ds[2 * k], ds[2 * k + 1]);
    weigh_rows (dq, a, as_bf16 (tiles->k), k, lane);
  }
  differentiate_norms (dq, q, inverse_q);
}

/* dv of padded keys are gradients of v's bias. */
static __device__ __forceinline__ void
add_padding (Shared *shared, const float (&dv)[4][4], const Own &own,
    const int (&pixels)[2])
{
#pragma unroll
  for (int half = 0; half < 2; half++)
    if (own.token[half] && pixels[half] < 0)
#pragma unroll
      for (int n = 0; n < 4; n++) {
        shared->padding[n][threadIdx.x].x += dv[n][2 * half];
        shared->padding[n][threadIdx.x].y += dv[n][2 * half + 1];
      }
}

/* One window whose tiles have come. @rows: the fragment of q. The second half
 * begins when all warps have written their rows of P and dS. From there on v is
 * free. */
static __device__ __forceinline__ void
differentiate_window (const TilesBackward &f, Shared *shared, Tiles *tiles,
    const float *inverse, const float (&inverse_q)[2],
    const float (&inverse_k)[2], uint32_t (&rows)[2][4], int edges, int head,
    const Own &own, const int (&pixels)[2], Sums *sums)
{
  bf16 *staging = as_bf16 (tiles->v);
  bf16 *diff_qkv = f.diff_qkv ? f.diff_qkv + head * HEAD : nullptr;
  int c = f.g.heads * HEAD;
  float scale = f.scale[head];
  float factors_q[2] = { inverse_q[0] * scale, inverse_q[1] * scale };
  float scales[2] = { factors_q[0] * LOG2_E, factors_q[1] * LOG2_E };
  float factors_k[2] = { inverse_k[0] * scale, inverse_k[1] * scale };
  const float ones[2] = { 1, 1 };
  float p[8][4], diff[4][4];

  form_probabilities (shared, tiles, inverse, rows, scales, edges, own, p);
  differentiate_softmax (tiles, own, p);
#pragma unroll
  for (int n = 0; n < 8; n++)
#pragma unroll
    for (int i = 0; i < 4; i++)
      sums->bias[n][i] += p[n][i];
  differentiate_queries (shared, tiles, inverse, rows, inverse_q, own, p, diff,
      &sums->scale);
  __syncthreads ();
  if (diff_qkv)
    store_own_rows (diff, factors_q, staging, diff_qkv, 3 * c, pixels, own.warp,
        own.lane);
  weigh_columns (diff, shared->p, as_bf16 (tiles->diff), own.warp, own.lane);
  add_padding (shared, diff, own, pixels);
  if (!diff_qkv)
    return;
  store_own_rows (diff, ones, staging, diff_qkv + 2 * c, 3 * c, pixels,
      own.warp, own.lane);
  weigh_columns (diff, shared->ds, as_bf16 (tiles->q), own.warp, own.lane);
  load_own_rows (rows, as_bf16 (tiles->k), own.warp, own.lane);
  differentiate_norms (diff, rows, inverse_k);
  store_own_rows (diff, factors_k, staging, diff_qkv + c, 3 * c, pixels,
      own.warp, own.lane);
}

/* The block's row of partial gradients; P is free. */
static __device__ __forceinline__ void
write_partials (const TilesBackward &f, const Own &own, const Sums &sums,
    int head, Shared *shared)
{
  float *memory = reinterpret_cast<float *> (shared->p);
  int64_t l = f.g.tokens, heads = f.g.heads;
  float *row = f.partials + blockIdx.y * heads * (l * l + HEAD + 1);
  float *bias = row + head * l * l;
  int g = own.lane >> 2, t = own.lane & 3;

#pragma unroll
  for (int n = 0; n < 8; n++)
#pragma unroll
    for (int i = 0; i < 4; i++) {
      int query = own_row (own.warp, g + (i >> 1) * 8);
      int key = 8 * n + 2 * t + (i & 1);

      if (query < l && key < l)
        bias[query * l + key] = sums.bias[n][i];
    }
#pragma unroll
  for (int n = 0; n < 4; n++)
#pragma unroll
    for (int i = 0; i < 2; i++) {
      float2 pair = shared->padding[n][threadIdx.x];
      float x = i ? pair.y : pair.x;

      for (int offset = 4; offset < 32; offset *= 2)
        x += __shfl_xor_sync (0xffffffffu, x, offset);
      if (g == 0)
        memory[own.warp * (HEAD + 1) + 8 * n + 2 * t + i] = x;
    }
  float scale = warp_sum (sums.scale);
  if (own.lane == 0)
    memory[own.warp * (HEAD + 1) + HEAD] = scale;
  __syncthreads ();
  if (threadIdx.x <= HEAD) {
    int i = threadIdx.x;
    float x = 0;

    for (int warp = 0; warp < TILE_THREADS / 32; warp++)
      x += memory[warp * (HEAD + 1) + i];
    row[heads * l * l + (i < HEAD ? head * HEAD + i : heads * HEAD + head)] = x;
  }
}

static __device__ __forceinline__ void
start_block (const TilesBackward &f, const Own &own, Shared *shared, int head,
    Sums *sums)
{
  int queries[2] = { own_row (own.warp, own.lane >> 2),
    own_row (own.warp, (own.lane >> 2) + 8) };
  float bias[8][4];

  load_bias (f.g, f.position_bias + (int64_t) head * f.g.tokens * f.g.tokens,
      queries, 0, own.lane, bias);
#pragma unroll
  for (int n = 0; n < 8; n++) {
    shared->bias[n][threadIdx.x] =
        make_float4 (bias[n][0], bias[n][1], bias[n][2], bias[n][3]);
    for (int i = 0; i < 4; i++)
      sums->bias[n][i] = 0;
  }
  for (int n = 0; n < 4; n++)
    shared->padding[n][threadIdx.x] = make_float2 (0, 0);
  sums->scale = 0;
  note_regions (f.g, own, shared->regions);
}

__global__ void
__launch_bounds__ (TILE_THREADS, BLOCKS_PER_SM)
    attend_tiles_backward (TilesBackward f)
{
  UMEDPT_SHARED (Shared, shared);
  const Own own = find_own (f.g, 0);
  const Place step = find_window (f.g, gridDim.y);
  int head = blockIdx.x, now = 0, pixels[2], next_pixels[2];
  Place place = find_window (f.g, blockIdx.y);
  Sums sums;

  load_window (f, own, place, head, &shared->tiles[0], next_pixels);
  start_block (f, own, shared, head, &sums);
  for (int window = blockIdx.y; window < f.g.windows; window += gridDim.y) {
    Tiles *tiles = &shared->tiles[now];
    float *inverse = reinterpret_cast<float *> (shared->inverse[now]);
    float inverse_q[2], inverse_k[2];
    int edges = find_edges (f.g, place);
    uint32_t rows[2][4];

    copy_async_wait<0> ();
    __syncwarp (); /* the warp has its own rows */
    load_own_rows (rows, as_bf16 (tiles->k), own.warp, own.lane);
    invert_norms (inverse_k, rows, own.lane);
    note_inverse (inverse, inverse_k, own.warp, own.lane);
    load_own_rows (rows, as_bf16 (tiles->q), own.warp, own.lane);
    invert_norms (inverse_q, rows, own.lane);
    pixels[0] = next_pixels[0];
    pixels[1] = next_pixels[1];
    __syncthreads (); /* all have this window; none needs the last one */
    if (window + (int) gridDim.y < f.g.windows) {
      advance (f.g, step, &place);
      load_window (f, own, place, head, &shared->tiles[now ^ 1], next_pixels);
    }
    differentiate_window (f, shared, tiles, inverse, inverse_q, inverse_k, rows,
        edges, head, own, pixels, &sums);
    now ^= 1;
  }
  __syncthreads (); /* P is free */
  write_partials (f, own, sums, head, shared);
}

static int64_t
count_blocks (const UmedptCudaAttention *self)
{
  return umedpt_cuda_attention_blocks (make_geometry (self).windows,
      self->heads, self->multiprocessors * BLOCKS_PER_SM);
}

size_t
umedpt_cuda_attention_tiles_scratch (const UmedptCudaAttention *self)
{
  int64_t l = self->window * self->window;

  return (size_t) (count_blocks (self) * self->heads * (l * l + HEAD + 1)) *
      sizeof (float);
}

cudaError_t
umedpt_cuda_attention_tiles_backward (const UmedptCudaAttention *self,
    const UmedptCudaAttentionGradients *gradients, float *scratch,
    cudaStream_t stream)
{
  TilesBackward f = { make_geometry (self), (const bf16 *) self->qkv,
    self->qkv_bias, self->scale, self->position_bias,
    (const bf16 *) gradients->diff_dst, (bf16 *) gradients->diff_qkv, scratch };
  int64_t blocks = count_blocks (self), c = self->heads * HEAD;
  const UmedptCudaAttentionSums sums = {
    { gradients->diff_position_bias,
        gradients->diff_qkv_bias ? gradients->diff_qkv_bias + 2 * c : nullptr,
        gradients->diff_scale },
    { self->heads * f.g.tokens * f.g.tokens, c, self->heads }
  };
  cudaError_t status;

  status = UMEDPT_ALLOW_SHARED (attend_tiles_backward, sizeof (Shared));
  if (status == cudaSuccess)
    status = UMEDPT_LAUNCH (attend_tiles_backward,
        dim3 ((unsigned) f.g.heads, (unsigned) blocks), TILE_THREADS,
        sizeof (Shared), stream, f);
  if (status == cudaSuccess)
    status =
        umedpt_cuda_attention_add_partials (scratch, blocks, &sums, stream);
  return status;
}
