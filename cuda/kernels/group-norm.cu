/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Group norm (formulas: core/backend/ref/norm.c, norm-backward.c). There are
 * three ways, of which the first that can does it:
 *
 *   group-norm-small.cu   few numbers in a group: all of a group in one block
 *   group-norm-one.cu     one group of all channels
 *   here                  any number of groups
 *
 * A sample may be a map of a million numbers, so that many blocks share it:
 * each gives the mean and the sum of squared differences (M2) of its pixels
 * for every channel, a second kernel merges those of a group (Chan, Golub and
 * LeVeque 1983), and a third normalises.
 */
#include "kernels/group-norm.cuh"

/* Statistics of @width channels from @channel on. */
template <int width> struct Channels
{
  float base[width], mean[width], scale[width], slope[width];
};

template <int width>
static __device__ __forceinline__ void
load_moments (Channels<width> &m, const Moments *moments, int64_t sample,
    int64_t groups, int64_t channel, int64_t group_width)
{
  for (int j = 0; j < width; j++) {
    const Moments own = moments[sample * groups + (channel + j) / group_width];

    m.base[j] = own.base;
    m.mean[j] = own.mean;
    m.scale[j] = own.scale;
    m.slope[j] = own.slope;
  }
}

/* partials [N, chunks, C, 2] = mean (relative to the base) and M2 */
template <int width>
static __global__ void
partial_moments_kernel (const float *src, float *partials, Tiling t,
    int64_t group_width)
{
  UMEDPT_SHARED (float, shared);
  const Place p = find_place<width> (t);
  const float *sample = src + p.sample * t.pixels * t.channels;
  const float own = (float) ceil_div (p.to - p.from, t.lanes);
  const float all = (float) chunk_pixels (t, p.chunk);
  float base[width] = { 0 }, mean[width] = { 0 }, m2[width] = { 0 };
  float total[width];

  if (p.from < p.to) {
    for (int j = 0; j < width; j++)
      base[j] = sample[(p.channel + j) / group_width * group_width];
    own_moments (sample + p.channel, t, p, base, mean, m2);
  }
  for (int j = 0; j < width; j++)
    total[j] = p.from < p.to ? own * mean[j] : 0;
  sum_lanes (total, shared, t, p);
  for (int j = 0; j < width; j++) {
    const float off = mean[j] - total[j] / all;

    m2[j] = p.from < p.to ? m2[j] + own * off * off : 0;
  }
  sum_lanes (m2, shared, t, p);
  if (p.active && p.lane == 0) {
    float *out = partials +
        ((p.sample * t.chunks + p.chunk) * t.channels + p.channel) * 2;

    for (int j = 0; j < width; j++) {
      out[2 * j] = total[j] / all;
      out[2 * j + 1] = m2[j];
    }
  }
}

/* One block: the group blockIdx.x, of all samples' groups. */
static __global__ void
merge_moments_kernel (const float *src, const float *partials, Moments *moments,
    Tiling t, int64_t groups, float epsilon)
{
  __shared__ float shared[32];
  const int64_t sample = blockIdx.x / groups;
  const int width = (int) (t.channels / groups);
  const int64_t first = blockIdx.x % groups * width;
  const int64_t entries = t.chunks * width;
  const float n = (float) t.pixels * width;
  float mean = 0, m2 = 0;

  partials += (sample * t.chunks * t.channels + first) * 2;
  for (int64_t e = threadIdx.x; e < entries; e += blockDim.x) {
    const int64_t k = e / width, c = e % width;

    mean += (float) chunk_pixels (t, k) * partials[(k * t.channels + c) * 2];
  }
  mean = block_sum (mean, shared) / n;
  for (int64_t e = threadIdx.x; e < entries; e += blockDim.x) {
    const int64_t k = e / width, c = e % width;
    const float *entry = partials + (k * t.channels + c) * 2;
    const float off = entry[0] - mean;

    m2 += entry[1] + (float) chunk_pixels (t, k) * off * off;
  }
  m2 = block_sum (m2, shared);
  if (threadIdx.x == 0)
    moments[blockIdx.x] =
        make_moments (src[sample * t.pixels * t.channels + first], mean, m2, n,
            epsilon);
}

template <int width>
static __global__ void
normalise_kernel (const float *src, const float *gamma, const float *beta,
    const Moments *moments, float *dst, Tiling t, int64_t groups)
{
  const Place p = find_place<width> (t);
  const int64_t start = p.sample * t.pixels * t.channels + p.channel;
  Channels<width> m;
  float factor[width], offset[width];

  if (p.from >= p.to)
    return;
  load_moments (m, moments, p.sample, groups, p.channel, t.channels / groups);
  load_parameters (factor, gamma, p.channel, 1);
  load_parameters (offset, beta, p.channel, 0);
  for (int j = 0; j < width; j++)
    factor[j] *= m.scale[j];
  for (int64_t i = p.from; i < p.to; i += batch * t.lanes) {
    float x[batch][width];

    for (int k = 0; k < batch; k++)
      if (i + k * t.lanes < p.to)
        load (x[k], src + start + (i + k * t.lanes) * t.channels);
    for (int k = 0; k < batch; k++) {
      for (int j = 0; j < width; j++)
        x[k][j] = (x[k][j] - m.base[j] - m.mean[j]) * factor[j] + offset[j];
      if (i + k * t.lanes < p.to)
        store (dst + start + (i + k * t.lanes) * t.channels, x[k]);
    }
  }
}

/* ---- Backward ---- */

/* partials [N, chunks, C, 2] = sums of d and d u */
template <int width>
static __global__ void
partial_sums_kernel (const float *src, const float *diff_dst,
    const Moments *moments, float *partials, Tiling t, int64_t groups)
{
  UMEDPT_SHARED (float, shared);
  const Place p = find_place<width> (t);
  const int64_t start = p.sample * t.pixels * t.channels + p.channel;
  Channels<width> m;
  float sum[width] = { 0 }, product[width] = { 0 };

  if (p.from < p.to)
    load_moments (m, moments, p.sample, groups, p.channel, t.channels / groups);
  for (int64_t i = p.from; i < p.to; i += t.lanes) {
    float x[width], d[width];

    load (x, src + start + i * t.channels);
    load (d, diff_dst + start + i * t.channels);
    for (int j = 0; j < width; j++) {
      sum[j] += d[j];
      product[j] += d[j] * ((x[j] - m.base[j] - m.mean[j]) * m.scale[j]);
    }
  }
  sum_lanes (sum, shared, t, p);
  sum_lanes (product, shared, t, p);
  if (p.active && p.lane == 0) {
    float *out = partials +
        ((p.sample * t.chunks + p.chunk) * t.channels + p.channel) * 2;

    for (int j = 0; j < width; j++) {
      out[2 * j] = sum[j];
      out[2 * j + 1] = product[j];
    }
  }
}

/* means [N, groups, 2] = of g = gamma d, and of g u; a block each. */
static __global__ void
merge_sums_kernel (const float *partials, const float *gamma, float *means,
    Tiling t, int64_t groups)
{
  __shared__ float shared[32];
  const int64_t sample = blockIdx.x / groups;
  const int width = (int) (t.channels / groups);
  const int64_t first = blockIdx.x % groups * width;
  const float n = (float) t.pixels * width;
  float sum = 0, product = 0;

  partials += (sample * t.chunks * t.channels + first) * 2;
  for (int64_t e = threadIdx.x; e < t.chunks * width; e += blockDim.x) {
    const int64_t k = e / width, c = e % width;
    const float *entry = partials + (k * t.channels + c) * 2;
    const float factor = gamma ? gamma[first + c] : 1;

    sum += factor * entry[0];
    product += factor * entry[1];
  }
  sum = block_sum (sum, shared);
  product = block_sum (product, shared);
  if (threadIdx.x == 0) {
    means[2 * blockIdx.x] = sum / n;
    means[2 * blockIdx.x + 1] = product / n;
  }
}

/* diff_beta [C], diff_gamma [C] (nullable) += partials [rows, C, 2], summed;
 * 32 channels per block of 32 x 32 threads. */
static __global__ void
add_parameters_kernel (const float *partials, int64_t rows, int64_t channels,
    float *diff_gamma, float *diff_beta)
{
  __shared__ float sums[32][33], products[32][33];
  const int lane = threadIdx.x % 32, row = threadIdx.x / 32;
  const int64_t c = (int64_t) blockIdx.x * 32 + lane;
  float sum = 0, product = 0;

  for (int64_t r = row; r < rows && c < channels; r += 32) {
    sum += partials[(r * channels + c) * 2];
    product += partials[(r * channels + c) * 2 + 1];
  }
  sums[row][lane] = sum;
  products[row][lane] = product;
  __syncthreads ();
  /* now a warp has one channel, and a lane one of its rows */
  sum = warp_sum (sums[lane][row]);
  product = warp_sum (products[lane][row]);
  if (lane == 0 && (int64_t) blockIdx.x * 32 + row < channels) {
    if (diff_beta)
      diff_beta[(int64_t) blockIdx.x * 32 + row] += sum;
    if (diff_gamma)
      diff_gamma[(int64_t) blockIdx.x * 32 + row] += product;
  }
}

template <int width>
static __global__ void
normalise_backward_kernel (const float *src, GroupNormGradients g,
    const Moments *moments, const float *means, Tiling t, int64_t groups)
{
  const Place p = find_place<width> (t);
  const int64_t start = p.sample * t.pixels * t.channels + p.channel;
  const int64_t group_width = t.channels / groups;
  Channels<width> m;
  float factor[width], mean_g[width], mean_gu[width];

  if (p.from >= p.to)
    return;
  load_moments (m, moments, p.sample, groups, p.channel, group_width);
  load_parameters (factor, g.gamma, p.channel, 1);
  for (int j = 0; j < width; j++) {
    const int64_t group = p.sample * groups + (p.channel + j) / group_width;

    mean_g[j] = means[2 * group];
    mean_gu[j] = means[2 * group + 1];
  }
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
        const float u = (x[k][j] - m.base[j] - m.mean[j]) * m.scale[j];

        d[k][j] =
            (factor[j] * d[k][j] - mean_g[j] - u * mean_gu[j]) * m.slope[j];
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

/* What lies where in scratch memory. */
struct Layout
{
  Moments *moments; /* [N, groups] */
  float *means; /* [N, groups, 2] */
  float *partials; /* [N, chunks, C, 2] */
  size_t size;
};

static Layout
make_layout (const UmedptCudaGroupNorm *self, void *scratch, int64_t chunks)
{
  const size_t all = (size_t) (self->samples * self->groups);
  Layout l;

  l.moments = (Moments *) scratch;
  l.means = (float *) (l.moments + all);
  l.partials = l.means + 2 * all;
  l.size = all * (sizeof (Moments) + 2 * sizeof (float)) +
      (size_t) (self->samples * chunks * self->channels) * 2 * sizeof (float);
  return l;
}

extern "C" size_t
umedpt_cuda_group_norm_scratch (const UmedptCudaGroupNorm *self)
{
  const Tiling wide =
      make_tiling (self->samples, self->pixels, self->channels, 4);
  const Tiling narrow =
      make_tiling (self->samples, self->pixels, self->channels, 1);

  const int64_t chunks =
      wide.chunks > narrow.chunks ? wide.chunks : narrow.chunks;

  /* one group: sums for each tile of channels beside those of channels */
  return make_layout (self, NULL, chunks).size +
      (size_t) (self->samples * chunks * narrow.tiles) * 2 * sizeof (float);
}

template <int width>
static cudaError_t
find_moments (const UmedptCudaGroupNorm *self, const Tiling &t,
    const float *src, const Layout &l, cudaStream_t stream)
{
  RUN (partial_moments_kernel<width>, tiling_grid (t), tiling_threads (t),
      lanes_size<width> (t), stream, src, l.partials, t,
      self->channels / self->groups);
  RUN (merge_moments_kernel, (unsigned int) (self->samples * self->groups), 256,
      0, stream, src, l.partials, l.moments, t, self->groups, self->epsilon);
  return cudaSuccess;
}

template <int width>
static cudaError_t
group_norm (const UmedptCudaGroupNorm *self, const float *src,
    const float *gamma, const float *beta, float *dst, void *scratch,
    cudaStream_t stream)
{
  const Tiling t =
      make_tiling (self->samples, self->pixels, self->channels, width);
  const Layout l = make_layout (self, scratch, t.chunks);
  const cudaError_t status = find_moments<width> (self, t, src, l, stream);

  if (status != cudaSuccess)
    return status;
  RUN (normalise_kernel<width>, tiling_grid (t), tiling_threads (t), 0, stream,
      src, gamma, beta, l.moments, dst, t, self->groups);
  return cudaSuccess;
}

cudaError_t
umedpt_cuda_group_norm_add_parameters (const float *partials, int64_t rows,
    int64_t channels, const GroupNormGradients &g, cudaStream_t stream)
{
  return UMEDPT_LAUNCH (add_parameters_kernel,
      (unsigned int) ceil_div (channels, 32), 1024, 0, stream, partials, rows,
      channels, g.diff_gamma, g.diff_beta);
}

template <int width>
static cudaError_t
group_norm_backward (const UmedptCudaGroupNorm *self, const float *src,
    const GroupNormGradients &g, void *scratch, cudaStream_t stream)
{
  const Tiling t =
      make_tiling (self->samples, self->pixels, self->channels, width);
  const Layout l = make_layout (self, scratch, t.chunks);
  cudaError_t status = find_moments<width> (self, t, src, l, stream);

  if (status != cudaSuccess)
    return status;
  RUN (partial_sums_kernel<width>, tiling_grid (t), tiling_threads (t),
      lanes_size<width> (t), stream, src, g.diff_dst, l.moments, l.partials, t,
      self->groups);
  if (g.diff_gamma || g.diff_beta) {
    status = umedpt_cuda_group_norm_add_parameters (l.partials,
        t.samples * t.chunks, t.channels, g, stream);
    if (status != cudaSuccess)
      return status;
  }
  if (!g.diff_src)
    return cudaSuccess;
  RUN (merge_sums_kernel, (unsigned int) (self->samples * self->groups), 256, 0,
      stream, l.partials, g.gamma, l.means, t, self->groups);
  RUN (normalise_backward_kernel<width>, tiling_grid (t), tiling_threads (t), 0,
      stream, src, g, l.moments, l.means, t, self->groups);
  return cudaSuccess;
}

/* ---- Who does it ---- */

extern "C" cudaError_t
umedpt_cuda_launch_group_norm (const UmedptCudaGroupNorm *self,
    const float *src, const float *moments, const float *gamma,
    const float *beta, float *dst, void *scratch, cudaStream_t stream)
{
  if (umedpt_cuda_group_norm_is_small (self))
    return umedpt_cuda_group_norm_small (self, src, gamma, beta, dst, stream);
  if (moments)
    return umedpt_cuda_group_norm_one (self, src, moments, gamma, beta, dst,
        stream);
  if (self->channels % 4 == 0 && is_aligned (src, 16) && is_aligned (dst, 16))
    return group_norm<4> (self, src, gamma, beta, dst, scratch, stream);
  return group_norm<1> (self, src, gamma, beta, dst, scratch, stream);
}

extern "C" cudaError_t
umedpt_cuda_launch_group_norm_backward (const UmedptCudaGroupNorm *self,
    const float *src, const float *moments, const float *gamma,
    const float *diff_dst, float *diff_src, int accumulate, uint16_t *shadow,
    float *diff_gamma, float *diff_beta, void *scratch, cudaStream_t stream)
{
  const GroupNormGradients g = { gamma, diff_dst, diff_src, shadow,
    accumulate != 0, diff_gamma, diff_beta };

  if (umedpt_cuda_group_norm_is_small (self))
    return umedpt_cuda_group_norm_small_backward (self, src, g,
        (float *) scratch, stream);
  if (moments)
    return umedpt_cuda_group_norm_one_backward (self, src, moments, g,
        (float *) scratch, stream);
  if (self->channels % 4 == 0 && is_aligned (src, 16) &&
      is_aligned (diff_dst, 16) && is_aligned (diff_src, 16))
    return group_norm_backward<4> (self, src, g, scratch, stream);
  return group_norm_backward<1> (self, src, g, scratch, stream);
}
