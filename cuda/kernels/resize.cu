/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Kernels of nearest-neighbour resizing: row y of H is row floor (y h / H) of
 * h. A block has one row of one map, so that rows are divided once per block
 * and only columns once per pixel; a thread stays with its channels. Gradients
 * are gathered: a source pixel knows which rectangle shows it.
 *
 *   blockIdx.x   sample * rows + row
 *   blockIdx.y   tile of channels
 *   threadIdx.x  lane (pixel of the row) * across + vector of channels
 */
#include "kernels/resize.h"

#include "kernels/tiling.cuh"

/* One row of a map per block; fields as in Tiling. */
struct RowTiling
{
  int across, lanes, tiles;
};

static RowTiling
make_rows (int64_t channels, int width)
{
  const int64_t vectors = ceil_div (channels, width);
  RowTiling r;

  r.tiles = (int) ceil_div (vectors, 256);
  r.across = (int) ceil_div (vectors, r.tiles);
  r.lanes = 256 / r.across;
  return r;
}

static dim3
row_grid (const RowTiling &r, int64_t rows)
{
  return dim3 ((unsigned int) rows, (unsigned int) r.tiles);
}

/* Numbers below 2^32 are divided as such by CUDA's 64-bit division. */
static __device__ __forceinline__ int64_t
nearest (int64_t i, int64_t from, int64_t to)
{
  return (int64_t) ((uint64_t) i * (uint64_t) from / (uint64_t) to);
}

/* The first of @to that shows @i of @from, or a later one. */
static __device__ __forceinline__ int64_t
first_copy (int64_t i, int64_t from, int64_t to)
{
  return (int64_t) (((uint64_t) i * (uint64_t) to + (uint64_t) from - 1) /
      (uint64_t) from);
}

/* The channels of dst that begin at @channel, of pixel @x of a row whose first
 * pixel is @row of dst and @from of src. */
template <int width, bool add>
static __device__ __forceinline__ void
load_resized (float (&v)[width], const UmedptCudaResize &m, const float *src,
    const float *other, int64_t from, int64_t row, int64_t x, int64_t channel)
{
  const int64_t column = from + nearest (x, m.src_width, m.width);

  if (channel < m.channels)
    load (v, src + column * m.channels + channel);
  else
    load (v, other + (row + x) * m.skip + channel - m.channels);
  if (add) {
    float w[width];

    load (w, other + (row + x) * m.channels + channel);
    for (int j = 0; j < width; j++)
      v[j] += w[j];
  }
}

/* add: dst = src resized + other; else: other beside it. */
template <int width, bool add>
static __global__ void
upsample_kernel (UmedptCudaResize m, const float *src, const float *other,
    float *dst, uint16_t *shadow, RowTiling r)
{
  const int64_t sample = blockIdx.x / m.height, y = blockIdx.x % m.height;
  const int64_t all = m.channels + m.skip;
  const int64_t channel =
      ((int64_t) blockIdx.y * r.across + threadIdx.x % r.across) * width;
  const int64_t row = blockIdx.x * m.width;
  const int64_t from =
      (sample * m.src_height + nearest (y, m.src_height, m.height)) *
      m.src_width;
  const int lane = threadIdx.x / r.across;

  if (lane >= r.lanes || channel >= all)
    return;
  for (int64_t x = lane; x < m.width; x += batch * r.lanes) {
    float v[batch][width];

    for (int k = 0; k < batch; k++)
      if (x + k * r.lanes < m.width)
        load_resized<width, add> (v[k], m, src, other, from, row,
            x + k * r.lanes, channel);
    for (int k = 0; k < batch; k++)
      if (x + k * r.lanes < m.width) {
        const int64_t at = (row + x + k * r.lanes) * all + channel;

        store (dst + at, v[k]);
        if (shadow)
          store (shadow + at, v[k]);
      }
  }
}

/* One row of diff_src per block. Columns of a row are summed first. */
template <int width>
static __global__ void
gather_kernel (UmedptCudaResize m, const float *diff_dst, float *diff_src,
    bool accumulate, RowTiling r)
{
  const int64_t sample = blockIdx.x / m.src_height;
  const int64_t row = blockIdx.x % m.src_height;
  const int64_t all = m.channels + m.skip;
  const int64_t channel =
      ((int64_t) blockIdx.y * r.across + threadIdx.x % r.across) * width;
  const int64_t top = first_copy (row, m.src_height, m.height);
  const int64_t bottom = first_copy (row + 1, m.src_height, m.height);
  const int lane = threadIdx.x / r.across;

  if (lane >= r.lanes || channel >= m.channels)
    return;
  diff_dst += sample * m.height * m.width * all + channel;
  for (int64_t column = lane; column < m.src_width; column += r.lanes) {
    const int64_t left = first_copy (column, m.src_width, m.width);
    const int64_t right = first_copy (column + 1, m.src_width, m.width);
    float sum[width] = { 0 };

    for (int64_t y = top; y < bottom; y++) {
      float part[width] = { 0 };

      for (int64_t x = left; x < right; x++) {
        float v[width];

        load (v, diff_dst + (y * m.width + x) * all);
        for (int j = 0; j < width; j++)
          part[j] += v[j];
      }
      for (int j = 0; j < width; j++)
        sum[j] += part[j];
    }
    put (diff_src + (blockIdx.x * m.src_width + column) * m.channels + channel,
        sum, accumulate);
  }
}

/* Tiled over diff_skip [N, H W, S]. */
template <int width>
static __global__ void
take_skip_kernel (const float *diff_dst, float *diff_skip, bool accumulate,
    int64_t before, Tiling t)
{
  const Place p = find_place<width> (t);
  const int64_t all = before + t.channels;

  for (int64_t i = p.from; i < p.to; i += t.lanes) {
    const int64_t pixel = p.sample * t.pixels + i;
    float v[width];

    load (v, diff_dst + pixel * all + before + p.channel);
    put (diff_skip + pixel * t.channels + p.channel, v, accumulate);
  }
}

/* ---- Launches ---- */

template <int width, bool add>
static cudaError_t
upsample (const UmedptCudaResize *self, const float *src, const float *other,
    float *dst, uint16_t *shadow, cudaStream_t stream)
{
  const RowTiling r = make_rows (self->channels + self->skip, width);
  const int64_t rows = self->samples * self->height;

  if (rows * self->width * (self->channels + self->skip) == 0)
    return cudaSuccess;
  return UMEDPT_LAUNCH ((upsample_kernel<width, add>), row_grid (r, rows), 256,
      0, stream, *self, src, other, dst, shadow, r);
}

static bool
is_wide (const UmedptCudaResize *self, const void *a, const void *b,
    const void *c)
{
  return self->channels % 4 == 0 && self->skip % 4 == 0 && is_aligned (a, 16) &&
      is_aligned (b, 16) && is_aligned (c, 16);
}

extern "C" cudaError_t
umedpt_cuda_launch_upsample_concat (const UmedptCudaResize *self,
    const float *src, const float *skip, float *dst, uint16_t *shadow,
    cudaStream_t stream)
{
  if (is_wide (self, src, skip, dst))
    return upsample<4, false> (self, src, skip, dst, shadow, stream);
  return upsample<1, false> (self, src, skip, dst, shadow, stream);
}

extern "C" cudaError_t
umedpt_cuda_launch_upsample_add (const UmedptCudaResize *self, const float *src,
    const float *lateral, float *dst, uint16_t *shadow, cudaStream_t stream)
{
  if (is_wide (self, src, lateral, dst))
    return upsample<4, true> (self, src, lateral, dst, shadow, stream);
  return upsample<1, true> (self, src, lateral, dst, shadow, stream);
}

template <int width>
static cudaError_t
gather (const UmedptCudaResize *self, const float *diff_dst, float *diff_src,
    bool accumulate, cudaStream_t stream)
{
  const RowTiling r = make_rows (self->channels, width);
  const int64_t rows = self->samples * self->src_height;

  if (rows * self->src_width * self->channels == 0)
    return cudaSuccess;
  return UMEDPT_LAUNCH (gather_kernel<width>, row_grid (r, rows), 256, 0,
      stream, *self, diff_dst, diff_src, accumulate, r);
}

extern "C" cudaError_t
umedpt_cuda_launch_gather_copies (const UmedptCudaResize *self,
    const float *diff_dst, float *diff_src, int accumulate, cudaStream_t stream)
{
  if (is_wide (self, diff_dst, diff_src, NULL))
    return gather<4> (self, diff_dst, diff_src, accumulate != 0, stream);
  return gather<1> (self, diff_dst, diff_src, accumulate != 0, stream);
}

template <int width>
static cudaError_t
take_skip (const UmedptCudaResize *self, const float *diff_dst,
    float *diff_skip, bool accumulate, cudaStream_t stream)
{
  const int64_t pixels = self->height * self->width;

  if (self->samples * pixels * self->skip == 0)
    return cudaSuccess;
  const Tiling t = make_tiling (self->samples, pixels, self->skip, width);
  return UMEDPT_LAUNCH (take_skip_kernel<width>, tiling_grid (t),
      tiling_threads (t), 0, stream, diff_dst, diff_skip, accumulate,
      self->channels, t);
}

extern "C" cudaError_t
umedpt_cuda_launch_take_skip (const UmedptCudaResize *self,
    const float *diff_dst, float *diff_skip, int accumulate,
    cudaStream_t stream)
{
  if (is_wide (self, diff_dst, diff_skip, NULL))
    return take_skip<4> (self, diff_dst, diff_skip, accumulate != 0, stream);
  return take_skip<1> (self, diff_dst, diff_skip, accumulate != 0, stream);
}
