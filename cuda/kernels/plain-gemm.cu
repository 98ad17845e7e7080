/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A matrix product of any size and alignment. Simple rather than fast: tiles
 * of 64 x 64 results, 4 x 4 per thread, with slices of both factors in shared
 * memory.
 */
#include "kernels/plain-gemm.h"

#include "kernels/vector.cuh"

#define TILE 64
#define SLICE 16
#define SIDE 16 /* threads on a side of the block */
#define EACH (TILE / SIDE)

/* dst [SLICE][TILE] = element (line first + j, depth begin + i) of a matrix of
 * @lines x @depth, or [depth, lines] if @transposed; 0 beyond it. */
template <typename T>
static __device__ __forceinline__ void
load_slice (float (*dst)[TILE + 1], const T *src, int64_t first, int64_t lines,
    int64_t begin, int64_t depth, bool transposed)
{
  const int thread = threadIdx.y * SIDE + threadIdx.x;

  for (int at = thread; at < TILE * SLICE; at += SIDE * SIDE) {
    /* neighbours read neighbours */
    const int i = transposed ? at / TILE : at % SLICE;
    const int j = transposed ? at % TILE : at / SLICE;
    const int64_t line = first + j, d = begin + i;
    float v[1] = { 0 };

    if (line < lines && d < depth)
      load (v, src + (transposed ? d * lines + line : line * depth + d));
    dst[i][j] = v[0];
  }
}

template <typename T, typename C>
static __global__ void
__launch_bounds__ (SIDE *SIDE) plain_gemm_kernel (UmedptCudaPlainGemm self)
{
  __shared__ float a[SLICE][TILE + 1], b[SLICE][TILE + 1];
  const int64_t row = (int64_t) blockIdx.x * TILE;
  const int64_t column = (int64_t) blockIdx.y * TILE;
  float sums[EACH][EACH] = {};

  for (int64_t begin = 0; begin < self.k; begin += SLICE) {
    load_slice (a, (const T *) self.a, row, self.m, begin, self.k,
        self.a_transposed);
    load_slice (b, (const T *) self.b, column, self.n, begin, self.k,
        !self.b_transposed);
    __syncthreads ();
    for (int d = 0; d < SLICE; d++)
      for (int i = 0; i < EACH; i++)
        for (int j = 0; j < EACH; j++)
          sums[i][j] +=
              a[d][threadIdx.y + SIDE * i] * b[d][threadIdx.x + SIDE * j];
    __syncthreads ();
  }
  for (int i = 0; i < EACH; i++)
    for (int j = 0; j < EACH; j++) {
      const int64_t y = row + threadIdx.y + SIDE * i;
      const int64_t x = column + threadIdx.x + SIDE * j;
      float v[1] = { sums[i][j] }, old[1];

      if (y >= self.m || x >= self.n)
        continue;
      if (self.add) {
        load (old, (const C *) self.add + y * self.n + x);
        v[0] += old[0];
      }
      store ((C *) self.c + y * self.n + x, v);
    }
}

template <typename T, typename C>
static cudaError_t
launch (const UmedptCudaPlainGemm *self, cudaStream_t stream)
{
  return UMEDPT_LAUNCH ((plain_gemm_kernel<T, C>),
      dim3 ((unsigned int) ceil_div (self->m, TILE),
          (unsigned int) ceil_div (self->n, TILE)),
      dim3 (SIDE, SIDE), 0, stream, *self);
}

extern "C" cudaError_t
umedpt_cuda_plain_gemm (const UmedptCudaPlainGemm *self, cudaStream_t stream)
{
  if (self->m <= 0 || self->n <= 0)
    return cudaSuccess;
  if (self->half)
    return self->c_half ? launch<uint16_t, uint16_t> (self, stream)
                        : launch<uint16_t, float> (self, stream);
  return self->c_half ? launch<float, uint16_t> (self, stream)
                      : launch<float, float> (self, stream);
}
