/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What all kernels share: how one is launched, element types, sums over warps
 * and blocks, and the tensor core instructions under readable names.
 *
 * Kernels are written against this header and plain CUDA C++ alone, so that
 * tests/cuda/emulate can compile the same files for the processor, thread by
 * thread, and compare them with the reference where there is no GPU. Hence:
 * - a launch is UMEDPT_LAUNCH (kernel, grid, block, shared, stream, args...);
 *   a kernel with several template arguments goes into parentheses;
 * - dynamic shared memory is UMEDPT_SHARED (type, name), static is __shared__;
 * - PTX is used through the functions below only.
 *
 * Results must not depend on timing: no atomic additions of floating point
 * numbers; partial sums go to scratch memory and are added in a fixed order.
 */
#pragma once

#include <stdint.h>

#ifdef UMEDPT_CUDA_EMULATE
#include "emulate.h"
#else
#include <cuda_bf16.h>
#include <cuda_runtime.h>

/* Queues a kernel; the value is the cudaError_t of doing so. */
#define UMEDPT_LAUNCH(kernel, grid, block, shared, stream, ...) \
  (kernel<<<(grid), (block), (shared), (stream)>>> (__VA_ARGS__), \
      cudaGetLastError ())

/* @name: type *, 16-byte aligned. */
#define UMEDPT_SHARED(type, name) \
  extern __shared__ __align__ (16) unsigned char umedpt_shared_bytes[]; \
  type *name = reinterpret_cast<type *> (umedpt_shared_bytes)

/* More than 48 KiB of dynamic shared memory must be asked for. */
#define UMEDPT_ALLOW_SHARED(kernel, bytes) \
  cudaFuncSetAttribute (kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, \
      (int) (bytes))

/* D += A B for one warp: A 16x16 row-major, B 16x8 column-major, bf16 pairs in
 * registers; D 16x8 in f32. Which lane holds what: PTX ISA, mma.m16n8k16.
 * lane = 4 g + t: a[0] = A[g][2t..], a[1] = A[g + 8][2t..], a[2] =
 * A[g][2t + 8..], a[3] = A[g + 8][2t + 8..]; b[0] = B[2t..][g], b[1] =
 * B[2t + 8..][g]; d[0], d[1] = D[g][2t..], d[2], d[3] = D[g + 8][2t..]. */
static __device__ __forceinline__ void
mma_bf16 (float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
{
  asm volatile ("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]),
                "r"(b[1]));
}

/* Four 8x8 matrices of 16-bit elements from shared memory: lane l gives the
 * address (16 bytes, aligned) of row l % 8 of matrix l / 8; r[i] of lane
 * 4 g + t receives elements 2t, 2t + 1 of row g of matrix i; with _trans, of
 * the transposed matrix. */
static __device__ __forceinline__ void
ldmatrix_x4 (uint32_t (&r)[4], const void *row)
{
  uint32_t address = (uint32_t) __cvta_generic_to_shared (row);
  asm volatile ("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                : "r"(address)
                : "memory");
}

static __device__ __forceinline__ void
ldmatrix_x4_trans (uint32_t (&r)[4], const void *row)
{
  uint32_t address = (uint32_t) __cvta_generic_to_shared (row);
  asm volatile (
      "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
      : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
      : "r"(address)
      : "memory");
}

/* 16 bytes from global to shared memory, without waiting; zeros if !@valid. */
static __device__ __forceinline__ void
copy_async_16 (void *shared, const void *global, bool valid)
{
  uint32_t address = (uint32_t) __cvta_generic_to_shared (shared);
  int size = valid ? 16 : 0;
  asm volatile ("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                :
                : "r"(address), "l"(global), "r"(size)
                : "memory");
}

static __device__ __forceinline__ void
copy_async_commit (void)
{
  asm volatile ("cp.async.commit_group;" ::: "memory");
}

/* Until at most @n of this thread's groups are under way. */
template <int n>
static __device__ __forceinline__ void
copy_async_wait (void)
{
  asm volatile ("cp.async.wait_group %0;" : : "n"(n) : "memory");
}

/* 2^x to about 22 bits in one instruction; below 2^-126 it is 0. */
static __device__ __forceinline__ float
exp2_approx (float x)
{
  float y;
  asm ("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
#endif

typedef __nv_bfloat16 bf16;

static __device__ __forceinline__ float
to_f32 (float x)
{
  return x;
}

static __device__ __forceinline__ float
to_f32 (bf16 x)
{
  return __bfloat162float (x);
}

template <typename T>
static __device__ __forceinline__ T from_f32 (float x);

template <>
__device__ __forceinline__ float
from_f32<float> (float x)
{
  return x;
}

template <>
__device__ __forceinline__ bf16
from_f32<bf16> (float x)
{
  return __float2bfloat16_rn (x);
}

/* Two numbers as one register of an mma operand; @low is the first. */
static __device__ __forceinline__ uint32_t
pack_bf16 (float low, float high)
{
  __nv_bfloat162 pair = __floats2bfloat162_rn (low, high);
  return *reinterpret_cast<uint32_t *> (&pair);
}

/* The sum over a warp, in all lanes; all lanes must call. */
static __device__ __forceinline__ float
warp_sum (float x)
{
  for (int offset = 16; offset > 0; offset /= 2)
    x += __shfl_xor_sync (0xffffffffu, x, offset);
  return x;
}

static __device__ __forceinline__ float
warp_max (float x)
{
  for (int offset = 16; offset > 0; offset /= 2)
    x = fmaxf (x, __shfl_xor_sync (0xffffffffu, x, offset));
  return x;
}

/* The sum over a block of a multiple of 32 threads, in all threads. @shared:
 * 32 floats; it may be used again at once. */
static __device__ inline float
block_sum (float x, float *shared)
{
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32;

  x = warp_sum (x);
  if (lane == 0)
    shared[warp] = x;
  __syncthreads ();
  x = lane < (int) (blockDim.x / 32) ? shared[lane] : 0;
  x = warp_sum (x);
  __syncthreads ();
  return x;
}

static __host__ __device__ inline int64_t
ceil_div (int64_t a, int64_t b)
{
  return (a + b - 1) / b;
}
