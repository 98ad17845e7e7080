/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Group norm of large maps with one group. Each block of a first kernel leaves
 * mean and M2 of its pixels; they are so few that every block of the kernels
 * after it merges them by itself, which saves a launch for each sum. They are
 * kept from the forward to the backward pass.
 */
#include "kernels/group-norm.cuh"

/* How blocks share a map that is read @width channels at a time. */
static Tiling
tiling_of (const UmedptCudaGroupNorm *self, int width)
{
  return make_tiling (self->samples, self->pixels, self->channels, width);
}

static int
width_of (const UmedptCudaGroupNorm *self, bool aligned)
{
  return aligned && self->channels % 4 == 0 ? 4 : 1;
}

/* moments [N, chunks, 3] = the sample's first number (which a dst that is src
 * does not keep), mean relative to it, M2 */
template <int width>
static __global__ void
chunk_moments_kernel (const float *src, float *moments, Tiling t)
{
  __shared__ float shared[32];
  const Place p = find_place<width> (t);
  const float *sample = src + p.sample * t.pixels * t.channels;
  const float own = (float) ceil_div (p.to - p.from, t.lanes);
  float base[width], mean[width] = { 0 }, m2[width] = { 0 };
  float total = 0, rest = 0;

  for (int j = 0; j < width; j++)
    base[j] = *sample;
  if (p.from < p.to)
    own_moments (sample + p.channel, t, p, base, mean, m2);
  for (int j = 0; j < width && p.from < p.to; j++)
    total += own * mean[j];
  total = block_sum (total, shared) /
      ((float) chunk_pixels (t, p.chunk) * t.channels);
  for (int j = 0; j < width && p.from < p.to; j++)
    rest += m2[j] + own * (mean[j] - total) * (mean[j] - total);
  rest = block_sum (rest, shared);
  if (threadIdx.x == 0) {
    moments[3 * blockIdx.x] = base[0];
    moments[3 * blockIdx.x + 1] = total;
    moments[3 * blockIdx.x + 2] = rest;
  }
}

/* Of the sample @sample, in all threads of the block. @t: the tiling by which
 * the moments of its chunks were made. */
static __device__ inline Moments
merge_chunks (const float *moments, const Tiling &t, int64_t sample,
    float epsilon, float *shared)
{
  const float n = (float) t.pixels * t.channels;
  const float *entries = moments + sample * t.chunks * 3;
  float mean = 0, m2 = 0;

  for (int64_t k = threadIdx.x; k < t.chunks; k += blockDim.x)
    mean += (float) chunk_pixels (t, k) * entries[3 * k + 1];
  mean = block_sum (mean, shared) / (float) t.pixels;
  for (int64_t k = threadIdx.x; k < t.chunks; k += blockDim.x) {
    const float off = entries[3 * k + 1] - mean;

    m2 += entries[3 * k + 2] +
        (float) chunk_pixels (t, k) * t.channels * off * off;
  }
  m2 = block_sum (m2, shared);
  return make_moments (entries[0], mean, m2, n, epsilon);
}

template <int width>
static __global__ void
normalise_one_kernel (const float *src, const float *moments, Tiling of_moments,
    const float *gamma, const float *beta, float *dst, Tiling t, float epsilon)
{
  __shared__ float shared[32];
  const Place p = find_place<width> (t);
  const int64_t start = p.sample * t.pixels * t.channels + p.channel;
  const Moments m =
      merge_chunks (moments, of_moments, p.sample, epsilon, shared);
  float factor[width], offset[width];

  if (p.from >= p.to)
    return;
  load_parameters (factor, gamma, p.channel, 1);
  load_parameters (offset, beta, p.channel, 0);
  for (int j = 0; j < width; j++)
    factor[j] *= m.scale;
  for (int64_t i = p.from; i < p.to; i += batch * t.lanes) {
    float x[batch][width];

    for (int k = 0; k < batch; k++)
      if (i + k * t.lanes < p.to)
        load (x[k], src + start + (i + k * t.lanes) * t.channels);
    for (int k = 0; k < batch; k++) {
      for (int j = 0; j < width; j++)
        x[k][j] = (x[k][j] - m.base - m.mean) * factor[j] + offset[j];
      if (i + k * t.lanes < p.to)
        store (dst + start + (i + k * t.lanes) * t.channels, x[k]);
    }
  }
}

/* ---- Backward ---- */

/* partials [N, chunks, C, 2] = sums of d and d u; totals [N, chunks, tiles, 2] =
 * sums of g = gamma d and g u over channels */
template <int width>
static __global__ void
chunk_sums_kernel (const float *src, const float *moments, Tiling of_moments,
    GroupNormGradients g, float *partials, float *totals, Tiling t,
    float epsilon)
{
  UMEDPT_SHARED (float, lanes_shared);
  __shared__ float shared[32];
  const Place p = find_place<width> (t);
  const int64_t start = p.sample * t.pixels * t.channels + p.channel;
  const Moments m =
      merge_chunks (moments, of_moments, p.sample, epsilon, shared);
  float gamma[width] = { 0 }, sum[width] = { 0 }, product[width] = { 0 };
  float all = 0, all_u = 0;

  if (p.from < p.to)
    load_parameters (gamma, g.gamma, p.channel, 1);
  for (int64_t i = p.from; i < p.to; i += t.lanes) {
    float x[width], d[width];

    load (x, src + start + i * t.channels);
    load (d, g.diff_dst + start + i * t.channels);
    for (int j = 0; j < width; j++) {
      sum[j] += d[j];
      product[j] += d[j] * ((x[j] - m.base - m.mean) * m.scale);
    }
  }
  for (int j = 0; j < width && p.from < p.to; j++) {
    all += gamma[j] * sum[j];
    all_u += gamma[j] * product[j];
  }
  all = block_sum (all, shared);
  all_u = block_sum (all_u, shared);
  if (threadIdx.x == 0) {
    float *out = totals + 2 * (blockIdx.x * gridDim.y + blockIdx.y);

    out[0] = all;
    out[1] = all_u;
  }
  if (!g.diff_gamma && !g.diff_beta)
    return;
  sum_lanes (sum, lanes_shared, t, p);
  sum_lanes (product, lanes_shared, t, p);
  if (p.active && p.lane == 0) {
    float *out = partials + (blockIdx.x * t.channels + p.channel) * 2;

    for (int j = 0; j < width; j++) {
      out[2 * j] = sum[j];
      out[2 * j + 1] = product[j];
    }
  }
}

template <int width>
static __global__ void
normalise_one_backward_kernel (const float *src, const float *moments,
    Tiling of_moments, GroupNormGradients g, const float *totals, Tiling t,
    float epsilon)
{
  __shared__ float shared[32];
  const Place p = find_place<width> (t);
  const int64_t start = p.sample * t.pixels * t.channels + p.channel;
  const float n = (float) t.pixels * t.channels;
  const Moments m =
      merge_chunks (moments, of_moments, p.sample, epsilon, shared);
  float gamma[width], mean_g = 0, mean_gu = 0;

  totals += p.sample * t.chunks * t.tiles * 2;
  for (int64_t k = threadIdx.x; k < t.chunks * t.tiles; k += blockDim.x) {
    mean_g += totals[2 * k];
    mean_gu += totals[2 * k + 1];
  }
  mean_g = block_sum (mean_g, shared) / n;
  mean_gu = block_sum (mean_gu, shared) / n;
  if (p.from >= p.to)
    return;
  load_parameters (gamma, g.gamma, p.channel, 1);
  for (int64_t i = p.from; i < p.to; i += 2 * t.lanes) {
    float x[2][width], d[2][width];

    for (int k = 0; k < 2; k++)
      if (i + k * t.lanes < p.to) {
        load (x[k], src + start + (i + k * t.lanes) * t.channels);
        load (d[k], g.diff_dst + start + (i + k * t.lanes) * t.channels);
      }
    for (int k = 0; k < 2; k++) {
      const int64_t at = start + (i + k * t.lanes) * t.channels;

      for (int j = 0; j < width; j++) {
        const float u = (x[k][j] - m.base - m.mean) * m.scale;

        d[k][j] = (gamma[j] * d[k][j] - mean_g - u * mean_gu) * m.slope;
      }
      if (i + k * t.lanes >= p.to)
        continue;
      put (g.diff_src + at, d[k], g.accumulate);
      if (g.shadow)
        store (g.shadow + at, d[k]);
    }
  }
}

/* ---- Launches ---- */

/* @aligned: whether src is, to 16 bytes. */
bool
umedpt_cuda_group_norm_is_one (const UmedptCudaGroupNorm *self, bool aligned)
{
  /* a block of the first kernel has all channels */
  return self->groups == 1 && !umedpt_cuda_group_norm_is_small (self) &&
      self->channels <= (width_of (self, aligned) == 4 ? 1024 : 256);
}

extern "C" size_t
umedpt_cuda_group_norm_moments_size (const UmedptCudaGroupNorm *self,
    const float *src)
{
  const bool aligned = is_aligned (src, 16);

  if (!umedpt_cuda_group_norm_is_one (self, aligned))
    return 0;
  return (size_t) (self->samples *
             tiling_of (self, width_of (self, aligned)).chunks) *
      3 * sizeof (float);
}

extern "C" cudaError_t
umedpt_cuda_launch_group_norm_moments (const UmedptCudaGroupNorm *self,
    const float *src, float *moments, cudaStream_t stream)
{
  const int width = width_of (self, is_aligned (src, 16));
  const Tiling t = tiling_of (self, width);

  if (width == 4)
    return UMEDPT_LAUNCH (chunk_moments_kernel<4>, tiling_grid (t),
        tiling_threads (t), 0, stream, src, moments, t);
  return UMEDPT_LAUNCH (chunk_moments_kernel<1>, tiling_grid (t),
      tiling_threads (t), 0, stream, src, moments, t);
}

cudaError_t
umedpt_cuda_group_norm_one (const UmedptCudaGroupNorm *self, const float *src,
    const float *moments, const float *gamma, const float *beta, float *dst,
    cudaStream_t stream)
{
  const bool aligned = is_aligned (src, 16);
  const int width = width_of (self, aligned && is_aligned (dst, 16));
  const Tiling of_moments = tiling_of (self, width_of (self, aligned));
  const Tiling t = tiling_of (self, width);

  if (width == 4)
    return UMEDPT_LAUNCH (normalise_one_kernel<4>, tiling_grid (t),
        tiling_threads (t), 0, stream, src, moments, of_moments, gamma, beta,
        dst, t, self->epsilon);
  return UMEDPT_LAUNCH (normalise_one_kernel<1>, tiling_grid (t),
      tiling_threads (t), 0, stream, src, moments, of_moments, gamma, beta, dst,
      t, self->epsilon);
}

template <int width>
static cudaError_t
backward (const UmedptCudaGroupNorm *self, const float *src,
    const float *moments, const Tiling &of_moments, const GroupNormGradients &g,
    float *scratch, cudaStream_t stream)
{
  const Tiling t = tiling_of (self, width);
  float *partials = scratch + 2 * t.samples * t.chunks * t.tiles;

  RUN (chunk_sums_kernel<width>, tiling_grid (t), tiling_threads (t),
      lanes_size<width> (t), stream, src, moments, of_moments, g, partials,
      scratch, t, self->epsilon);
  if (g.diff_gamma || g.diff_beta) {
    const cudaError_t status = umedpt_cuda_group_norm_add_parameters (partials,
        t.samples * t.chunks, t.channels, g, stream);

    if (status != cudaSuccess)
      return status;
  }
  if (g.diff_src)
    RUN (normalise_one_backward_kernel<width>, tiling_grid (t),
        tiling_threads (t), 0, stream, src, moments, of_moments, g, scratch, t,
        self->epsilon);
  return cudaSuccess;
}

cudaError_t
umedpt_cuda_group_norm_one_backward (const UmedptCudaGroupNorm *self,
    const float *src, const float *moments, const GroupNormGradients &g,
    float *scratch, cudaStream_t stream)
{
  const bool aligned = is_aligned (src, 16);
  const Tiling of_moments = tiling_of (self, width_of (self, aligned));

  if (width_of (self,
          aligned && is_aligned (g.diff_dst, 16) &&
              is_aligned (g.diff_src, 16)) == 4)
    return backward<4> (self, src, moments, of_moments, g, scratch, stream);
  return backward<1> (self, src, moments, of_moments, g, scratch, stream);
}
