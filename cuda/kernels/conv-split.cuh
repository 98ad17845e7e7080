/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A tile of 32 x 32 of a bf16 matrix product whose k is divided among the eight
 * warps of a block (conv-split.cu): a warp's sums, its walk along its part of
 * k, and how the warps' sums are added.
 *
 * Operands lie in shared memory by row, A [rows][k] and B [columns][k], or as
 * A [k][rows] and B [k][columns], 32 x 32 each, in the order of split_place ().
 */
#pragma once

#include "kernels/kernel.cuh"
#include "kernels/vector.cuh"

static const int split_warps = 8, split_stages = 3;
static const int split_tile = 32; /* rows, columns, and k of a step */
static const int split_size =
    2 * split_tile * split_tile; /* of both operands */
static const int split_pitch = split_tile + 8; /* of sums */
static const size_t split_shared =
    (size_t) split_warps * split_stages * split_size * sizeof (bf16);

static_assert (split_shared >=
        (split_warps + 1) * split_tile * split_pitch * sizeof (float),
    "sums take the place of operands");

/* n / d without a division, for 0 <= n < 2^31 (Granlund and Montgomery 1994,
 * "Division by invariant integers using multiplication"). */
typedef struct
{
  uint32_t factor;
  int shift;
} Divider;

static Divider
divider (int64_t d)
{
  int shift = 0;

  while (((int64_t) 1 << shift) < d)
    shift++;
  return { (uint32_t) (((((uint64_t) 1 << shift) - d) << 32) / d + 1), shift };
}

static __device__ __forceinline__ int
divide (int n, const Divider &d)
{
  const uint32_t high = (uint32_t) ((uint64_t) (uint32_t) n * d.factor >> 32);

  return (int) ((high + (uint32_t) n) >> d.shift);
}

/* @x, in a register from now on: the compiler would rather compute it again in
 * each step. */
static __device__ __forceinline__ int
keep (int x)
{
  return __shfl_sync (0xffffffffu, x, threadIdx.x % 32);
}

/* Where 8 elements of a line of 32 lie: a warp's accesses to 8 lines meet
 * different banks. */
static __device__ __forceinline__ int
split_place (int line, int vector)
{
  return line * split_tile + (vector ^ (line / 2 % 4)) * 8;
}

/* A warp's sums for the tile. */
struct SplitTile
{
  float d[2][4][4];

  __device__ __forceinline__ void clear (void)
  {
#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
      for (int j = 0; j < 4; j++)
#pragma unroll
        for (int k = 0; k < 4; k++)
          d[i][j][k] = 0;
  }

  template <bool by_row>
  static __device__ __forceinline__ void get (uint32_t (&r)[4],
      const bf16 *operand, int line, int k, int to_line, int to_k)
  {
    if (by_row)
      ldmatrix_x4 (r, operand + split_place (line + to_line, (k + to_k) / 8));
    else
      ldmatrix_x4_trans (r,
          operand + split_place (k + to_k, (line + to_line) / 8));
  }

  template <bool a_by_row, bool b_by_row>
  __device__ __forceinline__ void step (const bf16 *a, const bf16 *b)
  {
    const int lane = threadIdx.x % 32, line = lane % 8;
    const int odd = lane / 8 % 2 * 8, upper = lane / 16 * 8;

#pragma unroll
    for (int k = 0; k < split_tile; k += 16) {
      uint32_t fa[2][4];

      /* 8 lines of the matrices are lines of k if they are transposed */
#pragma unroll
      for (int i = 0; i < 2; i++)
        if (a_by_row)
          get<a_by_row> (fa[i], a, 16 * i, k, line + odd, upper);
        else
          get<a_by_row> (fa[i], a, 16 * i, k, odd, line + upper);
#pragma unroll
      for (int j = 0; j < 4; j += 2) {
        uint32_t fb[4];

        if (b_by_row)
          get<b_by_row> (fb, b, 8 * j, k, line + upper, odd);
        else
          get<b_by_row> (fb, b, 8 * j, k, upper, line + odd);
        const uint32_t low[2] = { fb[0], fb[1] }, high[2] = { fb[2], fb[3] };
#pragma unroll
        for (int i = 0; i < 2; i++) {
          mma_bf16 (d[i][j], fa[i], low);
          mma_bf16 (d[i][j + 1], fa[i], high);
        }
      }
    }
  }

  /* sums += those of the rows of @a, in each column. */
  template <bool by_row>
  static __device__ __forceinline__ void sum_rows (float (&sums)[2][4],
      const bf16 *a)
  {
    const int lane = threadIdx.x % 32, line = lane % 8;
    const int odd = lane / 8 % 2 * 8, upper = lane / 16 * 8;
    const uint32_t ones[2] = { 0x3f803f80u, 0x3f803f80u };

#pragma unroll
    for (int k = 0; k < split_tile; k += 16)
#pragma unroll
      for (int i = 0; i < 2; i++) {
        uint32_t fa[4];

        if (by_row)
          get<by_row> (fa, a, 16 * i, k, line + odd, upper);
        else
          get<by_row> (fa, a, 16 * i, k, odd, line + upper);
        mma_bf16 (sums[i], fa, ones);
      }
  }

  /* To @sums [32][split_pitch]. */
  __device__ __forceinline__ void put (float *sums) const
  {
    const int lane = threadIdx.x % 32;

#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
      for (int j = 0; j < 4; j++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
          const float2 pair = { d[i][j][2 * half], d[i][j][2 * half + 1] };
          float *at = sums + (16 * i + 8 * half + lane / 4) * split_pitch +
              8 * j + lane % 4 * 2;
          *reinterpret_cast<float2 *> (at) = pair;
        }
  }
};

/* This warp's part of @steps: load (step, operands) copies, use (a, b) sums
 * up. All threads may use all shared memory afterwards. */
template <typename Load, typename Use>
static __device__ __forceinline__ void
split_walk (bf16 *shared, int steps, const Load &load, const Use &use)
{
  const int warp = threadIdx.x / 32;
  bf16 *mine = shared + warp * split_stages * split_size;
  int next = warp, stage = 0;

  /* unrolled, the code would be longer than the work */
#pragma unroll 1
  for (int i = 0; i < split_stages; i++) {
    if (next < steps)
      load (next, mine + i * split_size);
    copy_async_commit ();
    next += split_warps;
  }
#pragma unroll 1
  for (int step = warp; step < steps; step += split_warps) {
    bf16 *now = mine + stage * split_size;

    copy_async_wait<split_stages - 1> ();
    __syncwarp ();
    use (now, now + split_size / 2);
    __syncwarp ();
    if (next < steps)
      load (next, now);
    copy_async_commit ();
    next += split_warps;
    stage = stage + 1 < split_stages ? stage + 1 : 0;
  }
  __syncthreads ();
}

/* Adds the tiles of all warps that had work. v: what this thread has of it,
 * row threadIdx.x / 8, columns threadIdx.x % 8 * 4 …. */
static __device__ __forceinline__ void
split_add (float *sums, const SplitTile &tile, int steps, float (&v)[4])
{
  const int size = split_tile * split_pitch;
  const int at = threadIdx.x / 8 * split_pitch + threadIdx.x % 8 * 4;

  tile.put (sums + threadIdx.x / 32 * size);
  __syncthreads ();
  load (v, sums + at);
  for (int i = 1; i < split_warps && i < steps; i++) {
    float more[4];

    load (more, sums + i * size + at);
    for (int j = 0; j < 4; j++)
      v[j] += more[j];
  }
}
