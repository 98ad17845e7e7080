/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Kernels that are bound by memory move 16 bytes per thread and access: here
 * are such accesses for all element types, always with f32 in registers, and
 * the loop of kernels that look at one element at a time.
 *
 * bf16 in memory has two types here: `bf16` is rounded by the processor;
 * uint16_t on the bits, as umedpt_f32_to_bf16() in core/tensor does it, so that
 * both sides agree to the last bit, also about NaN.
 */
#pragma once

#include "kernels/kernel.cuh"

static __device__ __forceinline__ float
float_of_bits (uint32_t bits)
{
  union
  {
    uint32_t u;
    float f;
  } x;

  x.u = bits;
  return x.f;
}

static __device__ __forceinline__ uint32_t
bits_of_float (float value)
{
  union
  {
    float f;
    uint32_t u;
  } x;

  x.f = value;
  return x.u;
}

/* To nearest, ties to even; a NaN stays a NaN with the same leading bits. */
static __device__ __forceinline__ uint32_t
round_bits (float value)
{
  uint32_t u = bits_of_float (value);

  if ((u & 0x7fffffff) > 0x7f800000)
    return (u >> 16) | 0x40;
  return (u + 0x7fff + ((u >> 16) & 1)) >> 16;
}

/* ---- Loads: v = p[0 …], p aligned to all of them together ---- */

static __device__ __forceinline__ void
load (float (&v)[1], const float *p)
{
  v[0] = *p;
}

static __device__ __forceinline__ void
load (float (&v)[1], const bf16 *p)
{
  v[0] = to_f32 (*p);
}

static __device__ __forceinline__ void
load (float (&v)[1], const uint16_t *p)
{
  v[0] = float_of_bits ((uint32_t) *p << 16);
}

static __device__ __forceinline__ void
load (float (&v)[1], const uint8_t *p)
{
  v[0] = *p;
}

static __device__ __forceinline__ void
load (float (&v)[4], const float *p)
{
  const float4 x = *reinterpret_cast<const float4 *> (p);

  v[0] = x.x;
  v[1] = x.y;
  v[2] = x.z;
  v[3] = x.w;
}

static __device__ __forceinline__ void
load (float (&v)[4], const uint16_t *p)
{
  const uint2 x = *reinterpret_cast<const uint2 *> (p);

  v[0] = float_of_bits (x.x << 16);
  v[1] = float_of_bits (x.x & 0xffff0000u);
  v[2] = float_of_bits (x.y << 16);
  v[3] = float_of_bits (x.y & 0xffff0000u);
}

static __device__ __forceinline__ void
load (float (&v)[4], const uint8_t *p)
{
  const uint32_t x = *reinterpret_cast<const uint32_t *> (p);

  for (int i = 0; i < 4; i++)
    v[i] = (float) ((x >> (8 * i)) & 0xff);
}

static __device__ __forceinline__ void
load (float (&v)[8], const bf16 *p)
{
  const uint4 x = *reinterpret_cast<const uint4 *> (p);
  const uint32_t pairs[4] = { x.x, x.y, x.z, x.w };

  for (int i = 0; i < 4; i++) {
    v[2 * i] = float_of_bits (pairs[i] << 16);
    v[2 * i + 1] = float_of_bits (pairs[i] & 0xffff0000u);
  }
}

/* ---- Stores ---- */

static __device__ __forceinline__ void
store (float *p, const float (&v)[1])
{
  *p = v[0];
}

static __device__ __forceinline__ void
store (bf16 *p, const float (&v)[1])
{
  *p = from_f32<bf16> (v[0]);
}

static __device__ __forceinline__ void
store (uint16_t *p, const float (&v)[1])
{
  *p = (uint16_t) round_bits (v[0]);
}

static __device__ __forceinline__ void
store (float *p, const float (&v)[4])
{
  float4 x;

  x.x = v[0];
  x.y = v[1];
  x.z = v[2];
  x.w = v[3];
  *reinterpret_cast<float4 *> (p) = x;
}

static __device__ __forceinline__ void
store (uint16_t *p, const float (&v)[4])
{
  uint2 x;

  x.x = round_bits (v[0]) | round_bits (v[1]) << 16;
  x.y = round_bits (v[2]) | round_bits (v[3]) << 16;
  *reinterpret_cast<uint2 *> (p) = x;
}

static __device__ __forceinline__ void
store (bf16 *p, const float (&v)[8])
{
  uint4 x;

  x.x = pack_bf16 (v[0], v[1]);
  x.y = pack_bf16 (v[2], v[3]);
  x.z = pack_bf16 (v[4], v[5]);
  x.w = pack_bf16 (v[6], v[7]);
  *reinterpret_cast<uint4 *> (p) = x;
}

/* p = v, or p += v: gradients of activations. */
template <int width, typename T>
static __device__ __forceinline__ void
put (T *p, float (&v)[width], bool accumulate)
{
  if (accumulate) {
    float old[width];

    load (old, p);
    for (int i = 0; i < width; i++)
      v[i] += old[i];
  }
  store (p, v);
}

/* Whether a (nullable) pointer may be accessed @bytes at a time. */
static inline bool
is_aligned (const void *p, size_t bytes)
{
  return reinterpret_cast<uintptr_t> (p) % bytes == 0;
}

/* ---- Element by element ---- */

/* step.run<width> (i) handles elements i … i + width - 1; what fills no vector
 * is handled singly. */
template <typename Step>
static __global__ void
each_kernel (Step step, int64_t vectors, int64_t n)
{
  const int64_t stride = (int64_t) gridDim.x * blockDim.x;
  const int64_t first = (int64_t) blockIdx.x * blockDim.x + threadIdx.x;

  for (int64_t i = first; i < vectors; i += stride)
    step.template run<Step::width> (i * Step::width);
  for (int64_t i = vectors * Step::width + first; i < n; i += stride)
    step.template run<1> (i);
}

/* @aligned: whether all pointers are, for Step::width elements. */
template <typename Step>
static cudaError_t
launch_each (const Step &step, bool aligned, int64_t n, cudaStream_t stream)
{
  const int64_t vectors = aligned ? n / Step::width : 0;
  const int64_t rest = n - vectors * Step::width;
  const int64_t threads = vectors > rest ? vectors : rest;
  int64_t blocks = ceil_div (threads, 256);

  /* an empty tensor is no work; an empty grid would be an error */
  if (n <= 0)
    return cudaSuccess;
  if (blocks > 4096)
    blocks = 4096;
  return UMEDPT_LAUNCH (each_kernel<Step>, (unsigned int) blocks, 256, 0,
      stream, step, vectors, n);
}
