/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Gathers of pixels: pure copies, bound by memory. A thread moves as much as
 * lies together: a row of a patch, 16 bytes of a pixel of a map.
 */
#include "kernels/patch.h"

#include "kernels/vector.cuh"

#define BLOCK 256

static unsigned int
count_blocks (int64_t threads)
{
  return (unsigned int) ceil_div (threads, BLOCK);
}

/* Indices are divided several times per thread, which 64 bits would make
 * dearer than the copy: I is unsigned int where it can be. */
template <typename I>
static __device__ __forceinline__ I
thread_index (void)
{
  return (I) blockIdx.x * BLOCK + threadIdx.x;
}

static bool
is_small (int64_t threads, int64_t elements)
{
  return threads < (1ll << 31) && elements < (1ll << 31);
}

/* ---- Patches ---- */

/* 3 p values that lie together: p pixels. */
template <int p, typename S>
static __device__ __forceinline__ void
load_pixels (float (&v)[3 * p], const S *src)
{
  for (int i = 0; i < 3 * p; i++)
    v[i] = to_f32 (src[i]);
}

template <>
__device__ __forceinline__ void
load_pixels<4, float> (float (&v)[12], const float *src)
{
  float quad[4];

  for (int i = 0; i < 3; i++) {
    load (quad, src + 4 * i);
    for (int j = 0; j < 4; j++)
      v[4 * i + j] = quad[j];
  }
}

template <>
__device__ __forceinline__ void
load_pixels<4, uint8_t> (float (&v)[12], const uint8_t *src)
{
  float quad[4];

  for (int i = 0; i < 3; i++) {
    load (quad, src + 4 * i);
    for (int j = 0; j < 4; j++)
      v[4 * i + j] = quad[j];
  }
}

/* Patches of 4 x 4, rows of the image aligned: one row of one patch. */
template <typename S, typename D, typename I>
static __global__ void
__launch_bounds__ (BLOCK) gather_patches_4_kernel (UmedptCudaPatches self)
{
  const I w = self.w / 4, h = self.h / 4, t = thread_index<I> ();
  const I x = t % w, line = t / w; /* line: of the patches, 4 each */
  const I i = line % 4, y = line / 4 % h, n = line / 4 / h;
  const float unit = sizeof (S) == 1 ? 255.0f : 1;
  float v[12];

  if (n >= (I) self.n)
    return;
  load_pixels<4> (v,
      (const S *) self.src + 3 * ((n * self.h + 4 * y + i) * self.w + 4 * x));
  for (int c = 0; c < 3; c++) {
    float row[4];

    for (int j = 0; j < 4; j++)
      row[j] = sizeof (S) == 1 ? v[3 * j + c] / unit : v[3 * j + c];
    store ((D *) self.dst + ((n * h + y) * w + x) * 48 + (4 * c + i) * 4, row);
  }
}

/* Any patch: one element. */
template <typename S, typename D, typename I>
static __global__ void
__launch_bounds__ (BLOCK) gather_patches_kernel (UmedptCudaPatches self)
{
  const I p = self.patch, w = self.w / p, h = self.h / p, k = 3 * p * p;
  const I t = thread_index<I> (), row = t / k, column = t % k;
  const I c = column / (p * p), i = column / p % p, j = column % p;
  const I x = row % w, y = row / w % h, n = row / w / h;
  float v[1];

  if (n >= (I) self.n)
    return;
  load (v,
      (const S *) self.src +
          3 * ((n * self.h + y * p + i) * self.w + x * p + j) + c);
  if (sizeof (S) == 1)
    v[0] /= 255.0f;
  store ((D *) self.dst + t, v);
}

template <typename S, typename D>
static cudaError_t
gather_patches (const UmedptCudaPatches *self, cudaStream_t stream)
{
  const int64_t p = self->patch;
  const int64_t rows = self->n * (self->h / p) * (self->w / p);
  const bool small =
      is_small (rows * 3 * p * p, 3 * self->n * self->h * self->w);

  if (rows <= 0)
    return cudaSuccess;
  if (p == 4 && self->w % 4 == 0 && is_aligned (self->src, 4 * sizeof (S)) &&
      is_aligned (self->dst, 4 * sizeof (D)))
    return small ? UMEDPT_LAUNCH ((gather_patches_4_kernel<S, D, unsigned int>),
                       count_blocks (4 * rows), BLOCK, 0, stream, *self)
                 : UMEDPT_LAUNCH ((gather_patches_4_kernel<S, D, int64_t>),
                       count_blocks (4 * rows), BLOCK, 0, stream, *self);
  return small ? UMEDPT_LAUNCH ((gather_patches_kernel<S, D, unsigned int>),
                     count_blocks (rows * 3 * p * p), BLOCK, 0, stream, *self)
               : UMEDPT_LAUNCH ((gather_patches_kernel<S, D, int64_t>),
                     count_blocks (rows * 3 * p * p), BLOCK, 0, stream, *self);
}

extern "C" cudaError_t
umedpt_cuda_gather_patches (const UmedptCudaPatches *self, cudaStream_t stream)
{
  if (self->src_bytes)
    return self->dst_half ? gather_patches<uint8_t, uint16_t> (self, stream)
                          : gather_patches<uint8_t, float> (self, stream);
  return self->dst_half ? gather_patches<float, uint16_t> (self, stream)
                        : gather_patches<float, float> (self, stream);
}

/* ---- Quads ---- */

/* Copies units of a pixel: 16 bytes, or an element. */
template <typename U, typename I>
static __global__ void
__launch_bounds__ (BLOCK) gather_quads_kernel (UmedptCudaQuads self,
    const U *src, U *rows, I units, U zero)
{
  const I w = (self.w + 1) / 2, h = (self.h + 1) / 2;
  const I t = thread_index<I> (), u = t % units, part = t / units;
  const I row = part / 4, y = row / w % h, n = row / w / h;
  const I sy = 2 * y + part % 2, sx = 2 * (row % w) + part / 2 % 2;

  if (n >= (I) self.n)
    return;
  rows[t] = sy < (I) self.h && sx < (I) self.w
      ? src[((n * (I) self.h + sy) * (I) self.w + sx) * units + u]
      : zero;
}

template <typename U>
static cudaError_t
gather_quads (const UmedptCudaQuads *self, const void *src, void *rows,
    int64_t units, cudaStream_t stream)
{
  const int64_t m = self->n * ((self->h + 1) / 2) * ((self->w + 1) / 2);

  if (m * units <= 0)
    return cudaSuccess;
  if (is_small (4 * m * units, 4 * m * units))
    return UMEDPT_LAUNCH ((gather_quads_kernel<U, unsigned int>),
        count_blocks (4 * m * units), BLOCK, 0, stream, *self, (const U *) src,
        (U *) rows, (unsigned int) units, U ());
  return UMEDPT_LAUNCH ((gather_quads_kernel<U, int64_t>),
      count_blocks (4 * m * units), BLOCK, 0, stream, *self, (const U *) src,
      (U *) rows, units, U ());
}

extern "C" cudaError_t
umedpt_cuda_gather_quads (const UmedptCudaQuads *self, const void *src,
    void *rows, int half, cudaStream_t stream)
{
  const int64_t bytes = self->c * (half ? 2 : 4);

  if (bytes % 16 == 0 && is_aligned (src, 16) && is_aligned (rows, 16))
    return gather_quads<uint4> (self, src, rows, bytes / 16, stream);
  return half ? gather_quads<uint16_t> (self, src, rows, self->c, stream)
              : gather_quads<float> (self, src, rows, self->c, stream);
}

/* Each pixel is in one row only: one thread for each vector of dst. */
template <int width, typename I>
static __global__ void
__launch_bounds__ (BLOCK) scatter_quads_kernel (UmedptCudaQuads self,
    const float *rows, float *dst, bool accumulate)
{
  const I w = (self.w + 1) / 2, h = (self.h + 1) / 2;
  const I units = self.c / width, t = thread_index<I> ();
  const I u = t % units, pixel = t / units;
  const I x = pixel % (I) self.w, y = pixel / (I) self.w % (I) self.h;
  const I n = pixel / (I) self.w / (I) self.h;
  const int64_t row = (int64_t) (n * h + y / 2) * w + x / 2;
  float v[width];

  if (n >= (I) self.n)
    return;
  load (v, rows + (4 * row + 2 * (x % 2) + y % 2) * self.c + u * width);
  put (dst + (int64_t) t * width, v, accumulate);
}

template <int width>
static cudaError_t
scatter_quads (const UmedptCudaQuads *self, const float *rows, float *dst,
    bool accumulate, cudaStream_t stream)
{
  const int64_t threads = self->n * self->h * self->w * (self->c / width);

  if (threads <= 0)
    return cudaSuccess;
  if (is_small (threads, threads))
    return UMEDPT_LAUNCH ((scatter_quads_kernel<width, unsigned int>),
        count_blocks (threads), BLOCK, 0, stream, *self, rows, dst, accumulate);
  return UMEDPT_LAUNCH ((scatter_quads_kernel<width, int64_t>),
      count_blocks (threads), BLOCK, 0, stream, *self, rows, dst, accumulate);
}

extern "C" cudaError_t
umedpt_cuda_scatter_quads (const UmedptCudaQuads *self, const float *rows,
    float *dst, int accumulate, cudaStream_t stream)
{
  if (self->c % 4 == 0 && is_aligned (rows, 16) && is_aligned (dst, 16))
    return scatter_quads<4> (self, rows, dst, accumulate != 0, stream);
  return scatter_quads<1> (self, rows, dst, accumulate != 0, stream);
}
