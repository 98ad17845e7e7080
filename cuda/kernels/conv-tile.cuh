/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A tile of a matrix product, rows x columns, by a block of 128 threads, out
 * of operands in shared memory: bf16 on tensor cores, f32 on the ordinary
 * units. What a thread holds of the sums it hands out again pair by pair or
 * one by one.
 *
 * Operands lie in shared memory in one of two ways: `by_row`, A [rows][k] and
 * B [columns][k], or A [k][rows] and B [k][columns]. `pitch` is the distance
 * of two lines; 16 bytes more than the line keep the accesses of a warp in
 * different banks.
 */
#pragma once

#include "kernels/kernel.cuh"

static const int conv_threads = 128;

/* Elements in 16 bytes. */
template <typename T> struct ConvVector
{
  static const int size = 16 / (int) sizeof (T);
};

template <typename T, int rows, int columns> struct ConvTile;

template <int rows, int columns> struct ConvTile<bf16, rows, columns>
{
  /* Warps side by side; each has 32 x (8 n) of the tile. */
  static const int across = 128 / rows;
  static const int n = columns / across / 8;
  static_assert (rows == 64 || rows == 128, "four warps of 32 rows");
  static_assert (n % 2 == 0, "columns are loaded 16 at a time");

  float d[2][n][4];

  static __device__ __forceinline__ int first_row (void)
  {
    return threadIdx.x / 32 / across * 32;
  }

  static __device__ __forceinline__ int first_column (void)
  {
    return threadIdx.x / 32 % across * (8 * n);
  }

  __device__ __forceinline__ void clear (void)
  {
    for (int i = 0; i < 2; i++)
      for (int j = 0; j < n; j++)
        for (int k = 0; k < 4; k++)
          d[i][j][k] = 0;
  }

  /* Adds the product of 32 of k. */
  template <bool by_row>
  __device__ __forceinline__ void step (const bf16 *a, const bf16 *b,
      int pitch_a, int pitch_b)
  {
    const int lane = threadIdx.x % 32, line = lane % 8;
    const int odd = lane / 8 % 2 * 8, upper = lane / 16 * 8;

#pragma unroll
    for (int k = 0; k < 32; k += 16) {
      uint32_t fa[2][4];

#pragma unroll
      for (int i = 0; i < 2; i++) {
        const int row = first_row () + 16 * i;
        if (by_row)
          ldmatrix_x4 (fa[i], a + (row + line + odd) * pitch_a + k + upper);
        else
          ldmatrix_x4_trans (fa[i],
              a + (k + line + upper) * pitch_a + row + odd);
      }
#pragma unroll
      for (int j = 0; j < n; j += 2) {
        const int column = first_column () + 8 * j;
        uint32_t fb[4];
        if (by_row)
          ldmatrix_x4 (fb, b + (column + line + upper) * pitch_b + k + odd);
        else
          ldmatrix_x4_trans (fb,
              b + (k + line + odd) * pitch_b + column + upper);
        const uint32_t low[2] = { fb[0], fb[1] }, high[2] = { fb[2], fb[3] };
#pragma unroll
        for (int i = 0; i < 2; i++) {
          mma_bf16 (d[i][j], fa[i], low);
          mma_bf16 (d[i][j + 1], fa[i], high);
        }
      }
    }
  }

  /* out (row, column, values) for two neighbours at a time. */
  template <typename Out>
  __device__ __forceinline__ void store (const Out &out) const
  {
    const int lane = threadIdx.x % 32;

#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
      for (int j = 0; j < n; j++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
          const float v[2] = { d[i][j][2 * half], d[i][j][2 * half + 1] };
          out (first_row () + 16 * i + 8 * half + lane / 4,
              first_column () + 8 * j + lane % 4 * 2, v);
        }
  }
};

template <int rows, int columns> struct ConvTile<float, rows, columns>
{
  /* Thread (y, x) of 8 x 16 has rows y, y + 8, … and columns x, x + 16, … */
  static const int m = rows / 8, n = columns / 16;

  float d[m][n];

  __device__ __forceinline__ void clear (void)
  {
    for (int i = 0; i < m; i++)
      for (int j = 0; j < n; j++)
        d[i][j] = 0;
  }

  /* Adds the product of 16 of k. */
  template <bool by_row>
  __device__ __forceinline__ void step (const float *a, const float *b,
      int pitch_a, int pitch_b)
  {
    const int y = threadIdx.x / 16, x = threadIdx.x % 16;

#pragma unroll 4
    for (int k = 0; k < 16; k++) {
      float va[m], vb[n];

#pragma unroll
      for (int i = 0; i < m; i++)
        va[i] =
            by_row ? a[(y + 8 * i) * pitch_a + k] : a[k * pitch_a + y + 8 * i];
#pragma unroll
      for (int j = 0; j < n; j++)
        vb[j] = by_row ? b[(x + 16 * j) * pitch_b + k]
                       : b[k * pitch_b + x + 16 * j];
#pragma unroll
      for (int i = 0; i < m; i++)
#pragma unroll
        for (int j = 0; j < n; j++)
          d[i][j] = fmaf (va[i], vb[j], d[i][j]);
    }
  }

  template <typename Out>
  __device__ __forceinline__ void store (const Out &out) const
  {
#pragma unroll
    for (int i = 0; i < m; i++)
#pragma unroll
      for (int j = 0; j < n; j++) {
        const float v[1] = { d[i][j] };
        out (threadIdx.x / 16 + 8 * i, threadIdx.x % 16 + 16 * j, v);
      }
  }
};
