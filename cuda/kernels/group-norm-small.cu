/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Group norm where the numbers of one group of one sample are few: a team of
 * threads, some warps of a block, has them all, and there is one launch. Teams
 * of a block have different samples of the same group, so that a block knows
 * the gradients of its channels' parameters if it has all samples.
 *
 * A thread stays with `width` channels and goes through pixels. What it has
 * stays in its registers (`held`) if it is not too much; else it is read again
 * for each of the sums, from the cache.
 *
 *   blockIdx.x    part of the samples * groups + group
 *   threadIdx.x   team * threads + lane (pixel) * across + vector of channels
 */
#include "kernels/group-norm.cuh"

static const int most_held = 4; /* pixels of a thread */
static const int most_threads = 512;

struct Teams
{
  int64_t samples, pixels, channels, groups;
  int64_t rounds; /* samples of a team, one after the other */
  int group_width; /* channels */
  int across, lanes; /* vectors of channels of a group, pixels at a time */
  int threads, teams; /* of a team (whole warps), of a block */
  float epsilon;
};

/* The part of one thread. */
struct Seat
{
  int team, lane, across;
  int64_t part, channel; /* of the samples, of all channels */
  bool active;
};

template <int width>
static __device__ __forceinline__ Seat
find_seat (const Teams &t)
{
  Seat s;

  s.team = threadIdx.x / t.threads;
  s.lane = threadIdx.x % t.threads / t.across;
  s.across = threadIdx.x % t.threads % t.across;
  s.part = blockIdx.x / t.groups;
  s.channel = blockIdx.x % t.groups * t.group_width + s.across * width;
  s.active = s.lane < t.lanes;
  return s;
}

/* a and b are summed over the team, in all its threads; all threads of the
 * block must call. @shared: 64 floats. */
static __device__ __forceinline__ void
team_sums (float &a, float &b, float *shared, const Teams &t)
{
  const int warp = threadIdx.x / 32, count = t.threads / 32;
  const int first = warp / count * count;

  a = warp_sum (a);
  b = warp_sum (b);
  if (count == 1)
    return;
  if (threadIdx.x % 32 == 0) {
    shared[2 * warp] = a;
    shared[2 * warp + 1] = b;
  }
  __syncthreads ();
  a = b = 0;
  for (int i = first; i < first + count; i++) {
    a += shared[2 * i];
    b += shared[2 * i + 1];
  }
  __syncthreads ();
}

/* A thread's pixels of a sample. */
template <int width, bool held> struct Pixels
{
  static const int count = held ? most_held : 1;
  int64_t from, lanes, to, stride;

  /* step (slot, offset of the pixel from the sample's first number), for each;
   * slots are those of registers */
  template <typename Step>
  __device__ __forceinline__ void each (Step step) const
  {
    if (held) {
#pragma unroll
      for (int k = 0; k < count; k++)
        if (from + k * lanes < to)
          step (k, (from + k * lanes) * stride);
    } else {
#pragma unroll 2
      for (int64_t i = from; i < to; i += lanes)
        step (0, i * stride);
    }
  }
};

template <int width, bool held>
static __device__ __forceinline__ Pixels<width, held>
find_pixels (const Teams &t, const Seat &s, int64_t sample)
{
  Pixels<width, held> p;

  p.lanes = t.lanes;
  p.to = t.pixels;
  p.from = s.active && sample < t.samples ? s.lane : p.to;
  p.stride = t.channels;
  return p;
}

/* Reads what is held, in x, on the way. @src: the sample's first number of the
 * thread's channels; @first: of the group. */
template <int width, bool held>
static __device__ __forceinline__ Moments
find_moments (const Teams &t, const Pixels<width, held> &p, const float *src,
    const float *first, float (&x)[Pixels<width, held>::count][width],
    float *shared)
{
  const float n = (float) t.pixels * t.group_width;
  const float base = p.from < p.to ? *first : 0;
  float mean = 0, m2 = 0, none = 0;

  p.each ([&] (int k, int64_t i) {
    load (x[k], src + i);
    for (int j = 0; j < width; j++)
      mean += x[k][j] - base;
  });
  team_sums (mean, none, shared, t);
  mean /= n;
  p.each ([&] (int k, int64_t i) {
    if (!held)
      load (x[k], src + i);
    for (int j = 0; j < width; j++) {
      const float off = x[k][j] - base - mean;

      m2 += off * off;
    }
  });
  team_sums (m2, none, shared, t);
  return make_moments (base, mean, m2, n, t.epsilon);
}

template <int width, bool held>
static __global__ void __launch_bounds__ (512, 1) small_kernel (const float *src,
    const float *gamma, const float *beta, float *dst, Teams t)
{
  __shared__ float shared[64];
  const Seat s = find_seat<width> (t);
  const int64_t sample = s.part * t.teams + s.team;
  const int64_t start = sample * t.pixels * t.channels + s.channel;
  const Pixels<width, held> p = find_pixels<width, held> (t, s, sample);
  float x[Pixels<width, held>::count][width];
  float factor[width], offset[width];

  if (p.from < p.to) {
    load_parameters (factor, gamma, s.channel, 1);
    load_parameters (offset, beta, s.channel, 0);
  }
  const Moments m = find_moments (t, p, src + start,
      src + start - s.across * width, x, shared);
  p.each ([&] (int k, int64_t i) {
    if (!held)
      load (x[k], src + start + i);
    for (int j = 0; j < width; j++)
      x[k][j] = (x[k][j] - m.base - m.mean) * (factor[j] * m.scale) + offset[j];
    store (dst + start + i, x[k]);
  });
}

/* ---- Backward ---- */

/* Sums of d and d u of a thread's channels, over all its samples. */
template <int width> struct ChannelSums
{
  float d[width], du[width];
};

/* Adds a sample's part of them; sum_g, sum_gu: of g = gamma d and g u. */
template <int width, bool held>
static __device__ __forceinline__ void
add_sums (const Pixels<width, held> &p, const Moments &m, const float *src,
    const float *diff_dst, const float (&gamma)[width],
    float (&x)[Pixels<width, held>::count][width],
    float (&d)[Pixels<width, held>::count][width], ChannelSums<width> &sums,
    float &sum_g, float &sum_gu)
{
  float own[width] = { 0 }, own_u[width] = { 0 };

  p.each ([&] (int k, int64_t i) {
    if (!held) {
      load (x[k], src + i);
      load (d[k], diff_dst + i);
    }
    for (int j = 0; j < width; j++) {
      own[j] += d[k][j];
      own_u[j] += d[k][j] * ((x[k][j] - m.base - m.mean) * m.scale);
    }
  });
  for (int j = 0; j < width && p.from < p.to; j++) {
    sums.d[j] += own[j];
    sums.du[j] += own_u[j];
    sum_g += gamma[j] * own[j];
    sum_gu += gamma[j] * own_u[j];
  }
}

/* Hands the sums over all lanes and teams on: to the parameters if the block
 * has all samples, else to partials [parts, C, 2]. @shared: 2 width floats for
 * each thread. */
template <int width>
static __device__ __forceinline__ void
hand_on (const Teams &t, const Seat &s, const ChannelSums<width> &sums,
    float *shared, float *partials, float *diff_gamma, float *diff_beta)
{
  const int rows = t.teams * t.lanes, row = s.team * t.lanes + s.lane;
  float *own = shared + (row * t.across + s.across) * 2 * width;

  for (int j = 0; j < width && s.active; j++) {
    own[j] = sums.d[j];
    own[width + j] = sums.du[j];
  }
  for (int half = half_of (rows); half > 0; half /= 2) {
    __syncthreads ();
    if (s.active && row < half && row + half < rows)
      for (int j = 0; j < 2 * width; j++)
        own[j] += own[half * t.across * 2 * width + j];
  }
  if (!s.active || row > 0)
    return;
  for (int j = 0; j < width; j++) {
    const int64_t c = s.channel + j;

    if (partials) {
      partials[(s.part * t.channels + c) * 2] = own[j];
      partials[(s.part * t.channels + c) * 2 + 1] = own[width + j];
      continue;
    }
    if (diff_beta)
      diff_beta[c] += own[j];
    if (diff_gamma)
      diff_gamma[c] += own[width + j];
  }
}

template <int width, bool held>
static __global__ void __launch_bounds__ (512, 1)
    small_backward_kernel (const float *src, GroupNormGradients g,
        float *partials, Teams t)
{
  UMEDPT_SHARED (float, lanes_shared);
  __shared__ float shared[64];
  const Seat s = find_seat<width> (t);
  const float n = (float) t.pixels * t.group_width;
  ChannelSums<width> sums = { { 0 }, { 0 } };
  float gamma[width] = { 0 };

  if (s.active)
    load_parameters (gamma, g.gamma, s.channel, 1);
  for (int64_t r = 0; r < t.rounds; r++) {
    const int64_t sample = (s.part * t.rounds + r) * t.teams + s.team;
    const int64_t start = sample * t.pixels * t.channels + s.channel;
    const Pixels<width, held> p = find_pixels<width, held> (t, s, sample);
    float x[Pixels<width, held>::count][width];
    float d[Pixels<width, held>::count][width];
    float mean_g = 0, mean_gu = 0;

    if (held)
      p.each ([&] (int k, int64_t i) { load (d[k], g.diff_dst + start + i); });
    const Moments m = find_moments (t, p, src + start,
        src + start - s.across * width, x, shared);
    add_sums (p, m, src + start, g.diff_dst + start, gamma, x, d, sums, mean_g,
        mean_gu);
    if (!g.diff_src)
      continue;
    team_sums (mean_g, mean_gu, shared, t);
    mean_g /= n;
    mean_gu /= n;
    p.each ([&] (int k, int64_t i) {
      if (!held) {
        load (x[k], src + start + i);
        load (d[k], g.diff_dst + start + i);
      }
      for (int j = 0; j < width; j++) {
        const float u = (x[k][j] - m.base - m.mean) * m.scale;

        d[k][j] = (gamma[j] * d[k][j] - mean_g - u * mean_gu) * m.slope;
      }
      put (g.diff_src + start + i, d[k], g.accumulate);
      if (g.shadow)
        store (g.shadow + start + i, d[k]);
    });
  }
  if (g.diff_gamma || g.diff_beta)
    hand_on (t, s, sums, lanes_shared, partials, g.diff_gamma, g.diff_beta);
}

/* ---- Launches ---- */

/* Numbers of a group up to which a team has them all. One group has a way of
 * its own with few launches; others have not. */
bool
umedpt_cuda_group_norm_is_small (const UmedptCudaGroupNorm *self)
{
  const int64_t width = self->channels / self->groups;
  const int64_t most = self->groups == 1 ? 16384 : (width < 4 ? 4096 : 65536);

  return width <= most_threads && self->pixels * width <= most;
}

/* Teams whose threads have @each pixels, or more if they are many. */
static Teams
make_teams (const UmedptCudaGroupNorm *self, int width, int64_t each)
{
  Teams t;
  int64_t threads;

  t.samples = self->samples;
  t.pixels = self->pixels;
  t.channels = self->channels;
  t.groups = self->groups;
  t.epsilon = self->epsilon;
  t.group_width = (int) (self->channels / self->groups);
  t.across = t.group_width / width;
  threads = ceil_div (ceil_div (t.pixels, each) * t.across, 32) * 32;
  t.threads = (int) (threads < most_threads ? threads : most_threads);
  t.lanes = t.threads / t.across;
  t.rounds = 1;
  t.teams = 1;
  return t;
}

static bool
is_held (const Teams &t)
{
  return t.pixels <= (int64_t) most_held * t.lanes;
}

static unsigned int
teams_grid (const Teams &t)
{
  return (unsigned int) (t.groups * ceil_div (t.samples, t.rounds * t.teams));
}

static void
share_block (Teams *t, int threads)
{
  const int64_t fit = threads / t->threads;

  t->teams = (int) (fit < 1 ? 1 : fit < t->samples ? fit : t->samples);
}

template <int width>
static cudaError_t
small (const UmedptCudaGroupNorm *self, const float *src, const float *gamma,
    const float *beta, float *dst, cudaStream_t stream)
{
  Teams t = make_teams (self, width, 2);

  share_block (&t, 128);
  if (is_held (t))
    return UMEDPT_LAUNCH ((small_kernel<width, true>), teams_grid (t),
        (unsigned int) (t.threads * t.teams), 0, stream, src, gamma, beta, dst,
        t);
  return UMEDPT_LAUNCH ((small_kernel<width, false>), teams_grid (t),
      (unsigned int) (t.threads * t.teams), 0, stream, src, gamma, beta, dst,
      t);
}

static bool
is_wide (const UmedptCudaGroupNorm *self, const void *a, const void *b,
    const void *c)
{
  return self->channels / self->groups % 4 == 0 && is_aligned (a, 16) &&
      is_aligned (b, 16) && is_aligned (c, 16);
}

cudaError_t
umedpt_cuda_group_norm_small (const UmedptCudaGroupNorm *self, const float *src,
    const float *gamma, const float *beta, float *dst, cudaStream_t stream)
{
  if (is_wide (self, src, dst, NULL))
    return small<4> (self, src, gamma, beta, dst, stream);
  return small<1> (self, src, gamma, beta, dst, stream);
}

/* Where all samples of a group are little work, one block has them, and the
 * gradients of parameters need no second launch. */
static void
share_samples (Teams *t, int width)
{
  const int64_t all = t->samples * t->pixels * t->group_width / width;

  if (all > 2 * most_held * most_threads) {
    share_block (t, 256);
    return;
  }
  share_block (t, most_threads);
  t->rounds = ceil_div (t->samples, t->teams);
}

template <int width>
static cudaError_t
small_backward (const UmedptCudaGroupNorm *self, const float *src,
    const GroupNormGradients &g, float *scratch, cudaStream_t stream)
{
  const bool parameters = g.diff_gamma || g.diff_beta;
  Teams t = make_teams (self, width, most_held);

  if (parameters)
    share_samples (&t, width);
  else
    share_block (&t, 128);

  const int64_t parts = ceil_div (t.samples, t.rounds * t.teams);
  const unsigned int threads = (unsigned int) (t.threads * t.teams);
  const size_t shared = parameters ? threads * 2 * width * sizeof (float) : 0;
  float *partials = parameters && parts > 1 ? scratch : NULL;

  if (is_held (t))
    RUN ((small_backward_kernel<width, true>), teams_grid (t), threads, shared,
        stream, src, g, partials, t);
  else
    RUN ((small_backward_kernel<width, false>), teams_grid (t), threads, shared,
        stream, src, g, partials, t);
  if (partials)
    return umedpt_cuda_group_norm_add_parameters (partials, parts, t.channels,
        g, stream);
  return cudaSuccess;
}

cudaError_t
umedpt_cuda_group_norm_small_backward (const UmedptCudaGroupNorm *self,
    const float *src, const GroupNormGradients &g, float *scratch,
    cudaStream_t stream)
{
  if (is_wide (self, src, g.diff_dst, g.diff_src))
    return small_backward<4> (self, src, g, scratch, stream);
  return small_backward<1> (self, src, g, scratch, stream);
}
