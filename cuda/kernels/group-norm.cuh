/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the three ways to a group norm share (see group-norm.cu): the numbers
 * of a group, those of a channel, and sums of a thread.
 *
 * Numbers are taken relative to the first of their group: the mean of numbers
 * near 1000 keeps its digits. M2, the sum of squared differences from the
 * mean, is formed around the first number that a thread sees, so that it holds
 * even if the group's first lies far off.
 */
#pragma once

#include "kernels/group-norm.h"
#include "kernels/tiling.cuh"

/* Of one group of one sample. */
struct Moments
{
  float base; /* the first number */
  float mean; /* relative to it */
  float scale; /* 1 / sqrt (var + eps) */
  /* the same, or 0: a single value is its own mean, and its gradient is exactly
   * 0, without rounding errors */
  float slope;
};

static __device__ __forceinline__ Moments
make_moments (float base, float mean, float m2, float n, float epsilon)
{
  Moments m;

  m.base = base;
  m.mean = mean;
  m.scale = 1 / sqrtf (m2 / n + epsilon);
  m.slope = n == 1 ? 0 * m.scale : m.scale;
  return m;
}

template <int width>
static __device__ __forceinline__ void
load_parameters (float (&v)[width], const float *parameters, int64_t channel,
    float fallback)
{
  for (int j = 0; j < width; j++)
    v[j] = parameters ? parameters[channel + j] : fallback;
}

/* Means and M2 of a thread's pixels, one after the other. */
template <int width>
static __device__ __forceinline__ void
own_moments (const float *src, const Tiling &t, const Place &p,
    const float (&base)[width], float (&mean)[width], float (&m2)[width])
{
  float x[width], shift[width], sum[width] = { 0 }, square[width] = { 0 };
  float count = 0;

  load (shift, src + p.from * t.channels);
  for (int j = 0; j < width; j++)
    shift[j] -= base[j];
  for (int64_t i = p.from; i < p.to; i += t.lanes, count++) {
    load (x, src + i * t.channels);
    for (int j = 0; j < width; j++) {
      const float y = x[j] - base[j] - shift[j];

      sum[j] += y;
      square[j] += y * y;
    }
  }
  for (int j = 0; j < width; j++) {
    mean[j] = shift[j] + sum[j] / count;
    m2[j] = square[j] - sum[j] * (sum[j] / count);
    m2[j] = m2[j] < 0 ? 0 : m2[j]; /* a NaN stays one */
  }
}

template <int width>
static inline size_t
lanes_size (const Tiling &t)
{
  return tiling_threads (t) * width * sizeof (float);
}

#define RUN(...) \
  do { \
    const cudaError_t run_status = UMEDPT_LAUNCH (__VA_ARGS__); \
    if (run_status != cudaSuccess) \
      return run_status; \
  } while (0)

/* The arguments of umedpt_cuda_launch_group_norm_backward(). */
struct GroupNormGradients
{
  const float *gamma, *diff_dst;
  float *diff_src;
  uint16_t *shadow;
  bool accumulate;
  float *diff_gamma, *diff_beta;
};

/* diff_beta, diff_gamma [C] (nullable) += partials [rows, C, 2], summed. */
cudaError_t umedpt_cuda_group_norm_add_parameters (const float *partials,
    int64_t rows, int64_t channels, const GroupNormGradients &gradients,
    cudaStream_t stream);

/* group-norm-small.cu: whether a few threads should have all of a group. */
bool umedpt_cuda_group_norm_is_small (const UmedptCudaGroupNorm *self);
cudaError_t umedpt_cuda_group_norm_small (const UmedptCudaGroupNorm *self,
    const float *src, const float *gamma, const float *beta, float *dst,
    cudaStream_t stream);
/* scratch: floats [N, C, 2] */
cudaError_t
umedpt_cuda_group_norm_small_backward (const UmedptCudaGroupNorm *self,
    const float *src, const GroupNormGradients &gradients, float *scratch,
    cudaStream_t stream);

/* group-norm-one.cu: one group, with moments that are there already. */
bool umedpt_cuda_group_norm_is_one (const UmedptCudaGroupNorm *self,
    bool aligned);
cudaError_t umedpt_cuda_group_norm_one (const UmedptCudaGroupNorm *self,
    const float *src, const float *moments, const float *gamma,
    const float *beta, float *dst, cudaStream_t stream);
/* scratch: floats [N, chunks, C + tiles, 2] */
cudaError_t
umedpt_cuda_group_norm_one_backward (const UmedptCudaGroupNorm *self,
    const float *src, const float *moments, const GroupNormGradients &gradients,
    float *scratch, cudaStream_t stream);
