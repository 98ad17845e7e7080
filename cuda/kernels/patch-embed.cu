/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The stem in one kernel. Its product is small (48 numbers in, some hundred
 * out), so that everything but image and result would only be written to be
 * read again: a warp takes 16 patches from pixels to normed rows in registers.
 *
 * With the order of the weight (channel, row, column) a channel of a patch is
 * the depth of one tensor core instruction: of the 16 numbers lane 4 g + t
 * holds columns 2 (t % 2) and the next, of rows t / 2 and t / 2 + 2, for the
 * patches g and g + 8. In all channels those are pixels that lie together.
 */
#include "kernels/patch-embed.h"

#include "kernels/vector.cuh"

#define WARPS 4
#define DEPTH 48
#define PITCH 56 /* of the weight in shared memory: no two lanes in one bank */
#define MAX_BLOCKS 1056

/* Two pixels, which lie together, of all channels: v[channel][pixel]. */
static __device__ __forceinline__ void
load_pair (float (&v)[3][2], const float *src)
{
  for (int i = 0; i < 3; i++) {
    const float2 x = *reinterpret_cast<const float2 *> (src + 2 * i);

    v[2 * i % 3][2 * i / 3] = x.x;
    v[(2 * i + 1) % 3][(2 * i + 1) / 3] = x.y;
  }
}

/* The product with 1 / 255 rounds to the same bf16 as the quotient. */
static __device__ __forceinline__ void
load_pair (float (&v)[3][2], const uint8_t *src)
{
  for (int i = 0; i < 3; i++) {
    const uint32_t x = *reinterpret_cast<const uint16_t *> (src + 2 * i);

    v[2 * i % 3][2 * i / 3] = (float) (x & 0xff) * (1.0f / 255.0f);
    v[(2 * i + 1) % 3][(2 * i + 1) / 3] = (float) (x >> 8) * (1.0f / 255.0f);
  }
}

/* Operands of the patch @row, of which a[channel][at] and a[channel][at + 2]
 * are set; 0 beyond the last. */
template <typename S>
static __device__ __forceinline__ void
load_patch (uint32_t (&a)[3][4], int at, const UmedptCudaPatchEmbed &self,
    int64_t row, int64_t rows)
{
  const int t = threadIdx.x % 4;
  const int64_t w = self.w / 4, h = self.h / 4;
  const int64_t line = row / w, x = row - line * w, n = line / h;
  const int64_t y = 4 * (line - n * h) + t / 2;
  const S *src = (const S *) self.src +
      3 * ((n * self.h + y) * self.w + 4 * x + 2 * (t % 2));
  float v[3][2];

  for (int half = 0; half < 2; half++) {
    if (row < rows)
      load_pair (v, src + 6 * half * self.w);
    for (int c = 0; c < 3; c++)
      a[c][at + 2 * half] = row < rows ? pack_bf16 (v[c][0], v[c][1]) : 0;
  }
}

/* The sum over the four lanes that hold a row. */
static __device__ __forceinline__ float
quad_sum (float x)
{
  x += __shfl_xor_sync (0xffffffffu, x, 1);
  return x + __shfl_xor_sync (0xffffffffu, x, 2);
}

/* Of a row, the numbers 2 half and 2 half + 1 of each d: becomes normed. The
 * mean's own rounding is taken out, as in norm-row.cuh. */
template <int tiles>
static __device__ __forceinline__ void
normalise (float (&d)[tiles][4], int half, float epsilon)
{
  const float unit = 1.0f / (8 * tiles);
  float sum = 0, rest = 0, squares = 0, scale;

#pragma unroll
  for (int j = 0; j < tiles; j++)
    sum += d[j][2 * half] + d[j][2 * half + 1];
  sum = quad_sum (sum) * unit;
#pragma unroll
  for (int j = 0; j < tiles; j++)
    for (int i = 2 * half; i < 2 * half + 2; i++) {
      d[j][i] -= sum;
      rest += d[j][i];
      squares += d[j][i] * d[j][i];
    }
  rest = quad_sum (rest) * unit;
  squares = quad_sum (squares) * unit - rest * rest;
  scale = 1.0f / sqrtf ((squares < 0 ? 0 : squares) + epsilon);
#pragma unroll
  for (int j = 0; j < tiles; j++)
    for (int i = 2 * half; i < 2 * half + 2; i++)
      d[j][i] = (d[j][i] - rest) * scale;
}

static __device__ __forceinline__ void
store_two (float *p, float x, float y)
{
  float2 v;

  v.x = x;
  v.y = y;
  *reinterpret_cast<float2 *> (p) = v;
}

/* Bias, norm and results of one of a lane's two rows. */
template <int tiles>
static __device__ __forceinline__ void
finish_row (const UmedptCudaPatchEmbed &self, float (&d)[tiles][4], int half,
    const float *parameters, int64_t row, int64_t rows)
{
  const int channels = 8 * tiles, first = 2 * (threadIdx.x % 4);
  const int i = 2 * half;

#pragma unroll
  for (int j = 0; j < tiles; j++) {
    d[j][i] += parameters[8 * j + first];
    d[j][i + 1] += parameters[8 * j + first + 1];
    if (self.saved && row < rows)
      store_two (self.saved + row * channels + 8 * j + first, d[j][i],
          d[j][i + 1]);
  }
  normalise (d, half, self.epsilon);
  if (row >= rows)
    return;
#pragma unroll
  for (int j = 0; j < tiles; j++) {
    const int c = 8 * j + first;
    const float *gamma = parameters + channels + c;
    const float *beta = parameters + 2 * channels + c;
    const float x = d[j][i] * gamma[0] + beta[0];
    const float y = d[j][i + 1] * gamma[1] + beta[1];

    store_two (self.dst + row * channels + c, x, y);
    *reinterpret_cast<uint32_t *> (self.shadow + row * channels + c) =
        pack_bf16 (x, y);
  }
}

/* Weight, and bias, gamma and beta, to shared memory. */
template <int channels>
static __device__ __forceinline__ void
load_shared (const UmedptCudaPatchEmbed &self, uint16_t *weight,
    float *parameters)
{
  for (int i = threadIdx.x; i < channels * DEPTH; i += 32 * WARPS)
    weight[i / DEPTH * PITCH + i % DEPTH] = self.weight[i];
  for (int i = threadIdx.x; i < channels; i += 32 * WARPS) {
    parameters[i] = self.bias[i];
    parameters[channels + i] = self.gamma ? self.gamma[i] : 1;
    parameters[2 * channels + i] = self.beta ? self.beta[i] : 0;
  }
  __syncthreads ();
}

template <typename S, int tiles>
static __global__ void __launch_bounds__ (32 * WARPS)
    patch_embed_kernel (UmedptCudaPatchEmbed self, int64_t rows)
{
  __shared__ __align__ (16) uint16_t weight[8 * tiles * PITCH];
  __shared__ float parameters[3 * 8 * tiles];
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  const int64_t step = (int64_t) gridDim.x * WARPS * 16;
  int64_t row = ((int64_t) blockIdx.x * WARPS + threadIdx.x / 32) * 16;

  load_shared<8 * tiles> (self, weight, parameters);
  for (; row < rows; row += step) {
    uint32_t a[3][4];
    float d[tiles][4] = {};

    load_patch<S> (a, 0, self, row + g, rows);
    load_patch<S> (a, 1, self, row + g + 8, rows);
#pragma unroll
    for (int j = 0; j < tiles; j++)
      for (int c = 0; c < 3; c++) {
        const uint16_t *at = weight + (8 * j + g) * PITCH + 16 * c + 2 * t;
        const uint32_t b[2] = { *reinterpret_cast<const uint32_t *> (at),
          *reinterpret_cast<const uint32_t *> (at + 8) };

        mma_bf16 (d[j], a[c], b);
      }
    finish_row (self, d, 0, parameters, row + g, rows);
    finish_row (self, d, 1, parameters, row + g + 8, rows);
  }
}

template <typename S>
static cudaError_t
launch (const UmedptCudaPatchEmbed *self, cudaStream_t stream)
{
  const int64_t rows = self->n * (self->h / 4) * (self->w / 4);
  const int64_t blocks = ceil_div (rows, 16 * WARPS);
  const unsigned int grid =
      (unsigned int) (blocks > MAX_BLOCKS ? MAX_BLOCKS : blocks);

  if (rows <= 0)
    return cudaSuccess;
  if (self->channels == 96)
    return UMEDPT_LAUNCH ((patch_embed_kernel<S, 12>), grid, 32 * WARPS, 0,
        stream, *self, rows);
  if (self->channels == 128)
    return UMEDPT_LAUNCH ((patch_embed_kernel<S, 16>), grid, 32 * WARPS, 0,
        stream, *self, rows);
  return cudaErrorInvalidValue;
}

/* Swin's tiny and small, and base. */
extern "C" int
umedpt_cuda_patch_embed_has (int64_t channels)
{
  return channels == 96 || channels == 128;
}

extern "C" cudaError_t
umedpt_cuda_launch_patch_embed (const UmedptCudaPatchEmbed *self,
    cudaStream_t stream)
{
  return self->src_bytes ? launch<uint8_t> (self, stream)
                         : launch<float> (self, stream);
}
