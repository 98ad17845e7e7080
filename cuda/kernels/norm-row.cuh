/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A row of LayerNorm in the registers of one warp: lane l of a row with n
 * vectors per lane holds the columns 4 (32 i + l) … + 3 of its vector i. Mean
 * and variance are formed from differences to a first mean, whose own rounding
 * error is then taken out: rows with a mean far from 0 keep their digits.
 */
#pragma once

#include "kernels/layer-norm.h"
#include "kernels/vector.cuh"

/* Rows up to this length stay in registers; longer ones take a block each. */
#define NORM_MAX_COLUMNS 1024

/* What the branch of row @row is multiplied by. */
static __device__ __forceinline__ float
branch_scale_of (const UmedptCudaNorm &norm, int64_t row)
{
  return norm.branch_scale
      ? norm.branch_scale[(norm.first_row + row) / norm.rows_per_sample]
      : 1;
}

/* 4 parameters from column @c on, or @fallback. */
static __device__ __forceinline__ void
load_parameters (float (&v)[4], const float *p, int64_t c, float fallback)
{
  if (p)
    load (v, p + c);
  else
    for (int j = 0; j < 4; j++)
      v[j] = fallback;
}

/* Loads a row; columns beyond the end are 0. */
template <int n, typename T>
static __device__ __forceinline__ void
load_row (float (&x)[n][4], const T *row, int lane, int columns)
{
  for (int i = 0; i < n; i++) {
    const int c = 4 * (32 * i + lane);

    if (c < columns)
      load (x[i], row + c);
    else
      for (int j = 0; j < 4; j++)
        x[i][j] = 0;
  }
}

/* x becomes u = (x - mean) / sqrt (var + epsilon); the value is the latter's
 * reciprocal. Columns beyond the end are 0 again. */
template <int n>
static __device__ __forceinline__ float
normalise_row (float (&x)[n][4], int lane, int columns, float epsilon)
{
  const float unit = 1.0f / (float) columns;
  float sum = 0, rest = 0, squares = 0, mean, scale;

#pragma unroll
  for (int i = 0; i < n; i++)
    sum += (x[i][0] + x[i][1]) + (x[i][2] + x[i][3]);
  mean = warp_sum (sum) * unit;
#pragma unroll
  for (int i = 0; i < n; i++)
    for (int j = 0; j < 4; j++) {
      x[i][j] = 4 * (32 * i + lane) < columns ? x[i][j] - mean : 0;
      rest += x[i][j];
      squares += x[i][j] * x[i][j];
    }
  rest = warp_sum (rest) * unit;
  squares = warp_sum (squares) * unit - rest * rest;
  /* fmaxf would lose a NaN */
  scale = 1.0f / sqrtf ((squares < 0 ? 0 : squares) + epsilon);
#pragma unroll
  for (int i = 0; i < n; i++)
    for (int j = 0; j < 4; j++)
      x[i][j] = 4 * (32 * i + lane) < columns ? (x[i][j] - rest) * scale : 0;
  return scale;
}

/* Mean and 1 / sqrt (var + epsilon) of a row by a whole block, in the same
 * way. value (c): the row's value at column c. */
template <typename Value>
static __device__ __forceinline__ void
block_moments (Value value, int64_t columns, float epsilon, float *shared,
    float *mean, float *scale)
{
  float sum = 0, rest = 0, squares = 0, first;

  for (int64_t c = threadIdx.x; c < columns; c += blockDim.x)
    sum += value (c);
  first = block_sum (sum, shared) / (float) columns;
  for (int64_t c = threadIdx.x; c < columns; c += blockDim.x) {
    const float d = value (c) - first;

    rest += d;
    squares += d * d;
  }
  rest = block_sum (rest, shared) / (float) columns;
  squares = block_sum (squares, shared) / (float) columns - rest * rest;
  *mean = first + rest;
  *scale = 1.0f / sqrtf ((squares < 0 ? 0 : squares) + epsilon);
}

/* Whether rows can be read and written 4 columns at a time: all pointers to
 * f32 and bf16 are aligned for it. */
static inline bool
norm_is_vector (const UmedptCudaNorm *self)
{
  const void *const wide[] = { self->bias, self->gamma, self->beta,
    self->residual, self->dst, self->saved, self->diff_dst,
    self->half ? nullptr : self->product,
    self->diff_half ? nullptr : self->diff_product };
  const void *const narrow[] = { self->shadow,
    self->half ? self->product : nullptr,
    self->diff_half ? self->diff_product : nullptr };

  if (self->columns > NORM_MAX_COLUMNS || self->columns % 4 != 0)
    return false;
  for (const void *p : wide)
    if (!is_aligned (p, 16))
      return false;
  for (const void *p : narrow)
    if (!is_aligned (p, 8))
      return false;
  return true;
}

/* A block for one row of any length. */
static inline unsigned int
norm_block_size (int64_t columns)
{
  return columns >= 256 ? 256 : (unsigned int) ceil_div (columns, 32) * 32;
}
