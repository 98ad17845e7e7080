/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Resizing and channel order, as core/infer/preprocess.c does them on the
 * host, and with its bits: the same numbers are added and multiplied in the
 * same order and type, and nothing is contracted to a fused multiply-add. That
 * is the columns of source pixels first, then the row of their sums; and since
 * a column's sum is only needed where its output pixel is made, a thread makes
 * a pixel from the source alone, without a picture in between.
 *
 *   blockIdx.x * blockDim.x + threadIdx.x   column of dst
 *   blockIdx.y                              row of dst
 *
 * Sums of pictures are integers, which may be added in any order.
 */
#include "kernels/image.h"

#include "kernels/kernel.cuh"

/* Weights of a row that are kept for its pixels; those of an image that is
 * more than so many times too high are computed anew for each. */
static const int max_kept = 1024;

/* What an output pixel is made of on one axis: source pixels from start on,
 * either by the part of them that [begin, end) covers, or two, of which the
 * second counts by how far it is from there to begin. */
struct Span
{
  double begin, end, scale;
  int start, count;
  bool box;
};

static __device__ __forceinline__ Span
find_span (int i, int source, int size)
{
  Span s;

  s.box = source >= size;
  if (s.box) {
    s.scale = (double) source / size;
    s.begin = __dmul_rn (i, s.scale);
    s.end = __dmul_rn (i + 1, s.scale);
    s.end = s.end < source ? s.end : source;
    s.start = (int) floor (s.begin);
    s.count = (int) ceil (s.end);
    s.count = (s.count < source ? s.count : source) - s.start;
  } else {
    s.begin = __dadd_rn (__dmul_rn (i + 0.5, source) / size, -0.5);
    s.begin = s.begin < 0 ? 0 : s.begin > source - 1 ? source - 1 : s.begin;
    s.start = (int) s.begin;
    if (s.start > source - 2)
      s.start = source > 1 ? source - 2 : 0;
    s.count = source > 1 ? 2 : 1;
    s.end = s.scale = 0;
  }
  return s;
}

/* Of source pixel start + k. */
static __device__ __forceinline__ float
weight_of (const Span &s, int k)
{
  const double pixel = s.start + k;

  if (s.box) {
    const double right = pixel + 1 < s.end ? pixel + 1 : s.end;
    const double left = pixel > s.begin ? pixel : s.begin;
    const double part = __dadd_rn (right, -left);

    return (float) ((part > 0 ? part : 0) / s.scale);
  }
  if (s.count == 1)
    return 1;
  return k == 0 ? (float) __dadd_rn (1, -__dadd_rn (s.begin, -pixel))
                : (float) __dadd_rn (s.begin, -(pixel - 1));
}

/* The sums of a source column's red, green and blue over the rows of the
 * span. */
static __device__ __forceinline__ void
sum_column (const UmedptCudaImage &image, const Span &rows, const float *kept,
    int x, float (&sum)[3])
{
  const uint8_t *src = image.data + (size_t) rows.start * image.stride +
      (size_t) x * image.bytes;

  sum[0] = sum[1] = sum[2] = 0;
  for (int k = 0; k < rows.count; k++, src += image.stride) {
    const float weight = rows.count <= max_kept ? kept[k] : weight_of (rows, k);

    for (int c = 0; c < 3; c++)
      sum[c] = __fadd_rn (sum[c], __fmul_rn (weight, src[image.offsets[c]]));
  }
}

static __device__ __forceinline__ uint8_t
to_byte (float x)
{
  x = __fadd_rn (x, 0.5f);
  return (uint8_t) (x < 0 ? 0 : x > 255 ? 255 : x);
}

static __global__ void
image_kernel (UmedptCudaImage image, uint8_t *dst, int width, int height)
{
  __shared__ float kept[max_kept];
  const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y;
  const Span rows = find_span (y, image.height, height);
  float sum[3] = { 0, 0, 0 };

  for (int k = threadIdx.x; k < rows.count && rows.count <= max_kept;
       k += blockDim.x)
    kept[k] = weight_of (rows, k);
  __syncthreads ();
  if (x >= width)
    return;
  const Span columns = find_span (x, image.width, width);

  for (int k = 0; k < columns.count; k++) {
    const float weight = weight_of (columns, k);
    float column[3];

    sum_column (image, rows, kept, columns.start + k, column);
    for (int c = 0; c < 3; c++)
      sum[c] = __fadd_rn (sum[c], __fmul_rn (weight, column[c]));
  }
  dst += ((size_t) y * width + x) * 3;
  for (int c = 0; c < 3; c++)
    dst[c] = to_byte (sum[c]);
}

extern "C" cudaError_t
umedpt_cuda_launch_image (const UmedptCudaImage *image, uint8_t *dst, int width,
    int height, cudaStream_t stream)
{
  const int threads = 128;
  const dim3 grid ((unsigned int) ceil_div (width, threads),
      (unsigned int) height);

  return UMEDPT_LAUNCH (image_kernel, grid, threads, 0, stream, *image, dst,
      width, height);
}

/* ---- Sums ---- */

static const int sum_threads = 256;

/* All bits of the result depend on all of @x (splitmix64). */
static __device__ __forceinline__ uint64_t
mix (uint64_t x)
{
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

/* Bytes @at … @at + 7 of a row of @n. */
static __device__ __forceinline__ uint64_t
load_word (const uint8_t *row, int64_t at, int64_t n)
{
  uint64_t word = 0;

  for (int i = 0; i < 8; i++)
    if (at + i < n)
      word |= (uint64_t) row[at + i] << (8 * i);
  return word;
}

static __global__ void
sum_kernel (UmedptCudaImage image, unsigned long long *result)
{
  __shared__ unsigned long long sums[sum_threads];
  const int64_t n = (int64_t) image.width * image.bytes;
  const int64_t words = ceil_div (n, 8), all = words * image.height;
  unsigned long long sum = 0;

  for (int64_t i = (int64_t) blockIdx.x * sum_threads + threadIdx.x; i < all;
       i += (int64_t) gridDim.x * sum_threads) {
    const uint8_t *row = image.data + (size_t) (i / words) * image.stride;

    /* the place counts, too */
    sum += mix (load_word (row, i % words * 8, n) +
        (uint64_t) (i + 1) * 0x9e3779b97f4a7c15ull);
  }
  sums[threadIdx.x] = sum;
  for (int half = sum_threads / 2; half > 0; half /= 2) {
    __syncthreads ();
    if ((int) threadIdx.x < half)
      sums[threadIdx.x] += sums[threadIdx.x + half];
  }
  if (threadIdx.x == 0)
    atomicAdd (result, sums[0]);
}

extern "C" cudaError_t
umedpt_cuda_launch_image_sum (const UmedptCudaImage *image,
    unsigned long long *sum, cudaStream_t stream)
{
  const int64_t words =
      ceil_div ((int64_t) image->width * image->bytes, 8) * image->height;
  const int64_t blocks = ceil_div (words, 8 * sum_threads);

  return UMEDPT_LAUNCH (sum_kernel,
      (unsigned int) (blocks < 512 ? blocks : 512), sum_threads, 0, stream,
      *image, sum);
}
