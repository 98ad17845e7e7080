/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * CUDA C++ for the processor: what cuda/kernels/kernel.cuh includes instead of
 * CUDA's headers when it is compiled by a C++ compiler. Types and bf16 are
 * those of the toolkit, whose headers work for host code; what a kernel does
 * is here, with the meaning of the PTX ISA, and checked more strictly than a
 * GPU does: whoever does not come to a barrier or to an exchange within the
 * warp ends the program with a sentence about it.
 *
 * The threads of a block are fibers (fiber.cc), one block runs at a time, and
 * nothing runs in parallel. So static shared memory is a static variable, and
 * the current thread a global one.
 */
#pragma once

#include <cuda_runtime_api.h>
#include <vector_functions.h>
#include <vector_types.h>
#include <cuda_bf16.h>

#include <functional>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <tuple>
#include <type_traits>

#undef __global__
#undef __device__
#undef __host__
#undef __constant__
#undef __shared__
#undef __launch_bounds__
#undef __grid_constant__
#define __global__
#define __device__
#define __host__
#define __constant__
#define __shared__ static
#define __launch_bounds__(...)
#define __grid_constant__
#define __builtin_assume(condition) ((void) 0)

/* ---- fiber.cc ---- */

/* The thread that runs. */
struct EmulateThread
{
  uint3 index;
  int result; /* of the last barrier */
};

extern EmulateThread *emulate_self;
extern uint3 emulate_block_index;
extern dim3 emulate_block_dim, emulate_grid_dim;
extern unsigned char *emulate_shared; /* dynamic, of the block */

/* Waits for all threads of the block; the number of those with @value. */
int emulate_barrier (int value, const char *file, int line);

/* Waits for the lanes in @mask; the last to come calls @complete with what
 * each lane gave, NULL for lanes beyond the mask. */
typedef void (*EmulateComplete) (void **data);
void emulate_collective (const char *name, unsigned mask, void *data,
    EmulateComplete complete, const char *file, int line);

/* A copy that is under way until it is waited for. */
void emulate_copy_async (void *shared, const void *global, bool valid);
void emulate_copy_commit (void);
void emulate_copy_wait (int n);

[[noreturn]] void emulate_fail (const char *format, ...)
    __attribute__ ((format (printf, 1, 2)));

/* ---- runtime.cc ---- */

cudaError_t emulate_launch (const char *name, const void *kernel, dim3 grid,
    dim3 block, size_t shared, cudaStream_t stream,
    std::function<void ()> body);

template <typename... P, typename... A>
static inline cudaError_t
emulate_call (const char *name, void (*kernel) (P...), dim3 grid, dim3 block,
    size_t shared, cudaStream_t stream, A &&...args)
{
  std::tuple<std::decay_t<P>...> copy (static_cast<P> (args)...);

  return emulate_launch (name, (const void *) kernel, grid, block, shared,
      stream, [kernel, copy] { std::apply (kernel, copy); });
}

template <typename... P>
static inline cudaError_t
emulate_allow_shared (void (*kernel) (P...), int bytes)
{
  return cudaFuncSetAttribute ((const void *) kernel,
      cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
}

#define UMEDPT_LAUNCH(kernel, grid, block, shared, stream, ...) \
  emulate_call (#kernel, kernel, (grid), (block), (shared), (stream), \
      ##__VA_ARGS__)
#define UMEDPT_SHARED(type, name) \
  type *name = reinterpret_cast<type *> (emulate_shared)
#define UMEDPT_ALLOW_SHARED(kernel, bytes) \
  emulate_allow_shared (kernel, (int) (bytes))

/* ---- The thread and its block ---- */

#define threadIdx (emulate_self->index)
#define blockIdx emulate_block_index
#define blockDim emulate_block_dim
#define gridDim emulate_grid_dim
static const int warpSize = 32;

/* Where the caller stands. */
#define EMULATE_HERE \
  const char *file = __builtin_FILE(), int line = __builtin_LINE()

static inline void
__syncthreads (EMULATE_HERE)
{
  emulate_barrier (0, file, line);
}

static inline int
__syncthreads_count (int value, EMULATE_HERE)
{
  return emulate_barrier (value != 0, file, line);
}

static inline int
__syncthreads_or (int value, EMULATE_HERE)
{
  return emulate_barrier (value != 0, file, line) != 0;
}

static inline int
__syncthreads_and (int value, EMULATE_HERE)
{
  return emulate_barrier (value == 0, file, line) == 0;
}

static inline void
__threadfence (void)
{
}

static inline void
__threadfence_block (void)
{
}

/* ---- The warp ---- */

static inline void
__syncwarp (unsigned mask = 0xffffffffu, EMULATE_HERE)
{
  emulate_collective ("__syncwarp", mask, NULL, NULL, file, line);
}

/* How a shuffle finds the lane to read. */
enum EmulateShuffle
{
  EMULATE_INDEX,
  EMULATE_UP,
  EMULATE_DOWN,
  EMULATE_XOR
};

struct EmulateLane
{
  uint64_t given, received;
  EmulateShuffle kind;
  int argument, width;
};

/* One lane reads another; a lane that takes no part gives rubbish. */
static inline void
emulate_shuffle_lane (void **data, int lane)
{
  EmulateLane *self = (EmulateLane *) data[lane];
  int first = lane & ~(self->width - 1), last = first + self->width - 1;
  int from = lane;

  if (self->kind == EMULATE_INDEX)
    from = first + (self->argument & (self->width - 1));
  else if (self->kind == EMULATE_UP)
    from = lane - self->argument < first ? lane : lane - self->argument;
  else if (self->kind == EMULATE_DOWN)
    from = lane + self->argument > last ? lane : lane + self->argument;
  else if ((lane ^ self->argument) <= last)
    from = lane ^ self->argument;
  self->received =
      data[from] ? ((EmulateLane *) data[from])->given : ~(uint64_t) 0;
}

static inline void
emulate_shuffle_complete (void **data)
{
  for (int lane = 0; lane < 32; lane++)
    if (data[lane])
      emulate_shuffle_lane (data, lane);
}

template <typename T>
static inline T
emulate_shuffle (const char *name, unsigned mask, T value, EmulateShuffle kind,
    int argument, int width, const char *file, int line)
{
  static_assert (sizeof (T) <= 8, "a shuffle moves up to 8 bytes");
  EmulateLane lane = { 0, 0, kind, argument, width };

  memcpy (&lane.given, &value, sizeof value);
  emulate_collective (name, mask, &lane, emulate_shuffle_complete, file, line);
  memcpy ((void *) &value, &lane.received, sizeof value);
  return value;
}

template <typename T>
static inline T
__shfl_sync (unsigned mask, T value, int from, int width = 32, EMULATE_HERE)
{
  return emulate_shuffle ("__shfl_sync", mask, value, EMULATE_INDEX, from,
      width, file, line);
}

template <typename T>
static inline T
__shfl_up_sync (unsigned mask, T value, unsigned delta, int width = 32,
    EMULATE_HERE)
{
  return emulate_shuffle ("__shfl_up_sync", mask, value, EMULATE_UP,
      (int) delta, width, file, line);
}

template <typename T>
static inline T
__shfl_down_sync (unsigned mask, T value, unsigned delta, int width = 32,
    EMULATE_HERE)
{
  return emulate_shuffle ("__shfl_down_sync", mask, value, EMULATE_DOWN,
      (int) delta, width, file, line);
}

template <typename T>
static inline T
__shfl_xor_sync (unsigned mask, T value, int lanes, int width = 32,
    EMULATE_HERE)
{
  return emulate_shuffle ("__shfl_xor_sync", mask, value, EMULATE_XOR, lanes,
      width, file, line);
}

static inline void
emulate_ballot_complete (void **data)
{
  unsigned set = 0;

  for (int lane = 0; lane < 32; lane++)
    if (data[lane] && ((EmulateLane *) data[lane])->given)
      set |= 1u << lane;
  for (int lane = 0; lane < 32; lane++)
    if (data[lane])
      ((EmulateLane *) data[lane])->received = set;
}

static inline unsigned
__ballot_sync (unsigned mask, int value, EMULATE_HERE)
{
  EmulateLane lane = { value != 0, 0, EMULATE_INDEX, 0, 32 };

  emulate_collective ("__ballot_sync", mask, &lane, emulate_ballot_complete,
      file, line);
  return (unsigned) lane.received;
}

static inline int
__any_sync (unsigned mask, int value, EMULATE_HERE)
{
  return __ballot_sync (mask, value, file, line) != 0;
}

static inline int
__all_sync (unsigned mask, int value, EMULATE_HERE)
{
  return __ballot_sync (mask, value, file, line) == mask;
}

/* Threads run one after the other between barriers: nothing to lock. */
#define EMULATE_ATOMIC(name, expression) \
  template <typename T> \
  static inline T name (T *address, std::common_type_t<T> value) \
  { \
    static_assert (std::is_integral<T>::value, \
        "no atomics on floating point numbers: sums would depend on timing"); \
    T old = *address; \
    *address = (T) (expression); \
    return old; \
  }
EMULATE_ATOMIC (atomicAdd, old + value)
EMULATE_ATOMIC (atomicSub, old - value)
EMULATE_ATOMIC (atomicMax, old > value ? old : value)
EMULATE_ATOMIC (atomicMin, old < value ? old : value)
EMULATE_ATOMIC (atomicAnd, old &value)
EMULATE_ATOMIC (atomicOr, old | value)
EMULATE_ATOMIC (atomicXor, old ^ value)
EMULATE_ATOMIC (atomicExch, value)
EMULATE_ATOMIC (atomicInc, old >= value ? 0 : old + 1)
#undef EMULATE_ATOMIC

template <typename T>
static inline T
atomicCAS (T *address, std::common_type_t<T> expected,
    std::common_type_t<T> value)
{
  T old = *address;

  if (old == expected)
    *address = value;
  return old;
}

#include "emulate-math.h"
#include "emulate-mma.h"
