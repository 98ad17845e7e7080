/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * How blocks share out maps [N, pixels, C] where each channel is treated by
 * itself: a thread stays with `width` channels (1 or 4) and goes through
 * pixels, so that what belongs to a channel stays in registers and neighbours
 * read neighbours.
 *
 *   blockIdx.x   sample * chunks + chunk of pixels
 *   blockIdx.y   tile of channels
 *   threadIdx.x  lane * across + vector of channels
 */
#pragma once

#include "kernels/vector.cuh"

struct Tiling
{
  int64_t samples, pixels, channels;
  int64_t chunk, chunks; /* pixels per block, blocks per sample */
  int across, lanes; /* vectors of channels in a tile, pixels at a time */
  int tiles; /* of channels */
};

/* The part of one thread. */
struct Place
{
  int64_t sample, chunk;
  int64_t from, to; /* pixels: from, from + lanes, … */
  int64_t channel;
  int across, lane;
  bool active; /* whether it has channels at all */
};

/* Blocks that fill a large GPU some times over. A constant, so that sums do
 * not depend on the card. */
static const int64_t blocks_wanted = 132 * 8;

/* Pixels that a thread loads before it stores the first: src and dst may be
 * one, so the compiler does not put loads before stores. */
static const int batch = 4;

static inline Tiling
make_tiling (int64_t samples, int64_t pixels, int64_t channels, int width)
{
  const int64_t vectors = ceil_div (channels, width);
  Tiling t;
  int64_t chunks, least;

  t.samples = samples;
  t.pixels = pixels;
  t.channels = channels;
  t.tiles = (int) ceil_div (vectors, 256);
  t.across = (int) ceil_div (vectors, t.tiles);
  t.lanes = 256 / t.across;
  chunks = ceil_div (blocks_wanted, samples * t.tiles);
  least = 4 * t.lanes;
  t.chunk = ceil_div (pixels, chunks);
  if (t.chunk < least)
    t.chunk = least;
  t.chunks = ceil_div (pixels, t.chunk);
  return t;
}

static inline dim3
tiling_grid (const Tiling &t)
{
  return dim3 ((unsigned int) (t.samples * t.chunks), (unsigned int) t.tiles);
}

/* Whole warps: the last may have threads without a lane. */
static inline unsigned int
tiling_threads (const Tiling &t)
{
  return (unsigned int) ceil_div (t.across * t.lanes, 32) * 32;
}

template <int width>
static __device__ __forceinline__ Place
find_place (const Tiling &t)
{
  Place p;

  p.sample = blockIdx.x / t.chunks;
  p.chunk = blockIdx.x % t.chunks;
  p.across = threadIdx.x % t.across;
  p.lane = threadIdx.x / t.across;
  p.channel = ((int64_t) blockIdx.y * t.across + p.across) * width;
  p.active = p.lane < t.lanes && p.channel < t.channels;
  p.from = p.chunk * t.chunk + p.lane;
  p.to = (p.chunk + 1) * t.chunk;
  if (p.to > t.pixels)
    p.to = t.pixels;
  if (!p.active)
    p.from = p.to;
  return p;
}

/* Pixels of chunk @k. */
static __device__ __forceinline__ int64_t
chunk_pixels (const Tiling &t, int64_t k)
{
  const int64_t left = t.pixels - k * t.chunk;

  return left < t.chunk ? left : t.chunk;
}

static __device__ __forceinline__ int
half_of (int lanes)
{
  int half = 1;

  while (2 * half < lanes)
    half *= 2;
  return half;
}

/* v = the sum of v over all lanes, for each channel; all threads of the block
 * must call. @shared: width floats for each thread. */
template <int width>
static __device__ __forceinline__ void
sum_lanes (float (&v)[width], float *shared, const Tiling &t, const Place &p)
{
  float *own = shared + (p.lane * t.across + p.across) * width;

  if (p.lane < t.lanes)
    for (int j = 0; j < width; j++)
      own[j] = v[j];
  for (int half = half_of (t.lanes); half > 0; half /= 2) {
    __syncthreads ();
    if (p.lane < half && p.lane + half < t.lanes)
      for (int j = 0; j < width; j++)
        own[j] += own[half * t.across * width + j];
  }
  __syncthreads ();
  for (int j = 0; j < width; j++)
    v[j] = shared[p.across * width + j];
  __syncthreads ();
}
