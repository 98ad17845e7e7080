/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Kernels of global pooling: mean or maximum, or both, of a channel over all
 * pixels. Blocks share a map as in tiling.cuh; a second kernel merges what
 * they found, in the order of pixels.
 *
 * A NaN counts as the maximum, so that it is not lost; backward, the gradient
 * of a maximum goes to the first pixel that has it, or to the first NaN.
 */
#include "kernels/global-pool.h"

#include "kernels/tiling.cuh"

/* A pixel that may be the maximum; -1: none. */
struct Best
{
  float value;
  int64_t pixel;
};

/* What a chunk of pixels gives for a channel. */
struct Found
{
  Best best;
  float mean; /* its part of the mean */
};

static __device__ __forceinline__ bool
is_nan (float x)
{
  return x != x;
}

/* Whether @a comes before @b. */
static __device__ __forceinline__ bool
is_better (const Best &a, const Best &b)
{
  if (a.pixel < 0 || b.pixel < 0)
    return a.pixel >= 0;
  if (is_nan (a.value) || is_nan (b.value))
    return is_nan (a.value) && (!is_nan (b.value) || a.pixel < b.pixel);
  return a.value > b.value || (a.value == b.value && a.pixel < b.pixel);
}

/* The best of all lanes, in lane 0; all threads must call. @shared: width
 * for each thread. */
template <int width>
static __device__ __forceinline__ void
best_of_lanes (Best (&v)[width], Best *shared, const Tiling &t, const Place &p)
{
  Best *own = shared + (p.lane * t.across + p.across) * width;

  if (p.lane < t.lanes)
    for (int j = 0; j < width; j++)
      own[j] = v[j];
  for (int half = half_of (t.lanes); half > 0; half /= 2) {
    __syncthreads ();
    if (p.lane < half && p.lane + half < t.lanes)
      for (int j = 0; j < width; j++) {
        const Best other = own[half * t.across * width + j];

        if (is_better (other, own[j]))
          own[j] = other;
      }
  }
  __syncthreads ();
  for (int j = 0; j < width; j++)
    v[j] = shared[p.across * width + j];
  __syncthreads ();
}

/* found [N, chunks, C] */
template <int width>
static __global__ void
search_kernel (const float *src, Found *found, Tiling t, bool maximum)
{
  UMEDPT_SHARED (Best, shared);
  const Place p = find_place<width> (t);
  const int64_t start = p.sample * t.pixels * t.channels + p.channel;
  const float part = 1 / (float) t.pixels;
  float mean[width] = { 0 };
  Best best[width];

  for (int j = 0; j < width; j++) {
    best[j].value = 0;
    best[j].pixel = -1;
  }
  for (int64_t i = p.from; i < p.to; i += t.lanes) {
    float x[width];

    load (x, src + start + i * t.channels);
    for (int j = 0; j < width; j++) {
      mean[j] += x[j] * part;
      /* later pixels of a thread never win by their position */
      if (best[j].pixel < 0 || x[j] > best[j].value ||
          (is_nan (x[j]) && !is_nan (best[j].value))) {
        best[j].value = x[j];
        best[j].pixel = i;
      }
    }
  }
  sum_lanes (mean, reinterpret_cast<float *> (shared), t, p);
  if (maximum)
    best_of_lanes (best, shared, t, p);
  if (p.active && p.lane == 0)
    for (int j = 0; j < width; j++) {
      Found *out =
          found + (p.sample * t.chunks + p.chunk) * t.channels + p.channel + j;

      out->best = best[j];
      out->mean = mean[j];
    }
}

/* The chunks of one channel of one sample, merged. */
static __device__ __forceinline__ Found
merge_chunks (const Found *found, const Tiling &t, int64_t sample, int64_t c)
{
  Found all;

  found += sample * t.chunks * t.channels + c;
  all = *found;
  for (int64_t k = 1; k < t.chunks; k++) {
    const Found next = found[k * t.channels];

    all.mean += next.mean;
    if (is_better (next.best, all.best))
      all.best = next.best;
  }
  return all;
}

/* dst [N, C]; a thread each */
static __global__ void
pool_kernel (const Found *found, float *dst, Tiling t, bool average,
    bool maximum)
{
  const int64_t i = (int64_t) blockIdx.x * blockDim.x + threadIdx.x;

  if (i >= t.samples * t.channels)
    return;
  const Found all = merge_chunks (found, t, i / t.channels, i % t.channels);
  dst[i] = (average ? all.mean : 0) + (maximum ? all.best.value : 0);
}

/* at [N, C] = the pixel of the maximum */
static __global__ void
locate_kernel (const Found *found, int64_t *at, Tiling t)
{
  const int64_t i = (int64_t) blockIdx.x * blockDim.x + threadIdx.x;

  if (i < t.samples * t.channels)
    at[i] = merge_chunks (found, t, i / t.channels, i % t.channels).best.pixel;
}

/* @at (nullable): no gradient of a maximum. */
template <int width>
static __global__ void
spread_kernel (const float *diff_dst, const int64_t *at, float *diff_src,
    Tiling t, bool average, bool accumulate)
{
  const Place p = find_place<width> (t);
  const int64_t start = p.sample * t.pixels * t.channels + p.channel;
  const int64_t channel = p.sample * t.channels + p.channel;
  const float part = average ? 1 / (float) t.pixels : 0;
  float diff[width];
  int64_t place[width];

  if (p.from >= p.to)
    return;
  for (int j = 0; j < width; j++) {
    diff[j] = diff_dst[channel + j];
    place[j] = at ? at[channel + j] : -1;
  }
  for (int64_t i = p.from; i < p.to; i += t.lanes) {
    float v[width];

    for (int j = 0; j < width; j++)
      v[j] = diff[j] * (part + (i == place[j] ? 1.0f : 0.0f));
    put (diff_src + start + i * t.channels, v, accumulate);
  }
}

/* ---- Launches ---- */

static Tiling
pool_tiling (const UmedptCudaPooling *self, int width)
{
  return make_tiling (self->samples, self->pixels, self->channels, width);
}

/* The places of maxima lie before what chunks found. */
extern "C" size_t
umedpt_cuda_global_pool_scratch (const UmedptCudaPooling *self)
{
  const int64_t wide = pool_tiling (self, 4).chunks;
  const int64_t narrow = pool_tiling (self, 1).chunks;

  return (size_t) (self->samples * self->channels) *
      (sizeof (int64_t) + (wide > narrow ? wide : narrow) * sizeof (Found));
}

static unsigned int
blocks_of_channels (const UmedptCudaPooling *self)
{
  return (unsigned int) ceil_div (self->samples * self->channels, 128);
}

template <int width>
static cudaError_t
search (const UmedptCudaPooling *self, const float *src, Found *found,
    cudaStream_t stream)
{
  const Tiling t = pool_tiling (self, width);

  return UMEDPT_LAUNCH (search_kernel<width>, tiling_grid (t),
      tiling_threads (t), tiling_threads (t) * width * sizeof (Best), stream,
      src, found, t, self->maximum != 0);
}

extern "C" cudaError_t
umedpt_cuda_launch_global_pool (const UmedptCudaPooling *self, const float *src,
    float *dst, void *scratch, cudaStream_t stream)
{
  Found *found = (Found *) scratch;
  const bool wide = self->channels % 4 == 0 && is_aligned (src, 16);
  const cudaError_t status = wide ? search<4> (self, src, found, stream)
                                  : search<1> (self, src, found, stream);

  if (status != cudaSuccess)
    return status;
  return UMEDPT_LAUNCH (pool_kernel, blocks_of_channels (self), 128, 0, stream,
      found, dst, pool_tiling (self, wide ? 4 : 1), self->average != 0,
      self->maximum != 0);
}

template <int width>
static cudaError_t
global_pool_backward (const UmedptCudaPooling *self, const float *src,
    const float *diff_dst, float *diff_src, bool accumulate, void *scratch,
    cudaStream_t stream)
{
  const Tiling t = pool_tiling (self, width);
  int64_t *at = self->maximum ? (int64_t *) scratch : NULL;
  cudaError_t status = cudaSuccess;

  if (at) {
    Found *found = (Found *) (at + self->samples * self->channels);

    status = search<width> (self, src, found, stream);
    if (status == cudaSuccess)
      status = UMEDPT_LAUNCH (locate_kernel, blocks_of_channels (self), 128, 0,
          stream, found, at, t);
  }
  if (status != cudaSuccess)
    return status;
  return UMEDPT_LAUNCH (spread_kernel<width>, tiling_grid (t),
      tiling_threads (t), 0, stream, diff_dst, at, diff_src, t,
      self->average != 0, accumulate);
}

extern "C" cudaError_t
umedpt_cuda_launch_global_pool_backward (const UmedptCudaPooling *self,
    const float *src, const float *diff_dst, float *diff_src, int accumulate,
    void *scratch, cudaStream_t stream)
{
  if (self->channels % 4 == 0 && is_aligned (src, 16) &&
      is_aligned (diff_src, 16))
    return global_pool_backward<4> (self, src, diff_dst, diff_src,
        accumulate != 0, scratch, stream);
  return global_pool_backward<1> (self, src, diff_dst, diff_src,
      accumulate != 0, scratch, stream);
}
