/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the roads of window attention share: which one is taken, and the sums
 * over partial gradients of parameters.
 */
#include "kernels/attention.h"
#include "kernels/kernel.cuh"

#define MOST 0x7fffffff
#define MOST_DIM (1 << 20) /* the plain road has blocks for 32 each */
#define TILED_DIM 32
#define TILED_WINDOW 8
#define COLUMNS 32 /* of a block of sums */
#define SLICES 8

int
umedpt_cuda_attention_fits (const UmedptCudaAttention *self)
{
  /* as double: the products of sizes that do not fit may not fit either */
  double height =
      (double) ceil_div (self->height, self->window) * (double) self->window;
  double width =
      (double) ceil_div (self->width, self->window) * (double) self->window;

  return self->n * height * width < MOST &&
      3.0 * (double) self->heads * (double) self->dim < MOST &&
      self->dim <= MOST_DIM;
}

/* Rows of all tensors are then aligned to 16 bytes as well. */
int
umedpt_cuda_attention_is_tiled (const UmedptCudaAttention *self)
{
  return self->bf16 && self->dim == TILED_DIM &&
      (uintptr_t) self->qkv % 16 == 0 &&
      (uintptr_t) self->position_bias % 8 == 0;
}

cudaError_t
umedpt_cuda_attention (const UmedptCudaAttention *self, void *dst,
    cudaStream_t stream)
{
  if (!umedpt_cuda_attention_is_tiled (self) || (uintptr_t) dst % 16 != 0)
    return umedpt_cuda_attention_plain (self, dst, stream);
  if (self->window > TILED_WINDOW)
    return umedpt_cuda_attention_wide (self, dst, stream);
  return umedpt_cuda_attention_tiles (self, dst, stream);
}

/* Enough for either road: alignment of gradients is not known yet. */
size_t
umedpt_cuda_attention_backward_scratch (const UmedptCudaAttention *self)
{
  size_t plain = umedpt_cuda_attention_plain_scratch (self), tiles = 0;

  if (umedpt_cuda_attention_is_tiled (self) && self->window <= TILED_WINDOW)
    tiles = umedpt_cuda_attention_tiles_scratch (self);
  return plain > tiles ? plain : tiles;
}

cudaError_t
umedpt_cuda_attention_backward (const UmedptCudaAttention *self,
    const UmedptCudaAttentionGradients *gradients, void *scratch,
    cudaStream_t stream)
{
  if (umedpt_cuda_attention_is_tiled (self) && self->window <= TILED_WINDOW &&
      (uintptr_t) gradients->diff_dst % 16 == 0 &&
      (uintptr_t) gradients->diff_qkv % 16 == 0)
    return umedpt_cuda_attention_tiles_backward (self, gradients,
        (float *) scratch, stream);
  return umedpt_cuda_attention_plain_backward (self, gradients,
      (float *) scratch, stream);
}

struct AttentionPartials
{
  const float *data; /* [parts, n] */
  int64_t parts, n;
  UmedptCudaAttentionSums sums;
};

/* Element @i of the outputs; NULL: nobody wants it. */
static __device__ __forceinline__ float *
find_output (const UmedptCudaAttentionSums &sums, int64_t i)
{
#pragma unroll
  for (int k = 0; k < 3; k++) {
    if (i < sums.sizes[k])
      return sums.outputs[k] ? sums.outputs[k] + i : nullptr;
    i -= sums.sizes[k];
  }
  return nullptr;
}

/* A block has 32 elements; slice s adds parts s, s + 8, …, then the slices
 * are added in order. */
__global__ void
add_attention_partials (AttentionPartials p)
{
  __shared__ float sums[SLICES][COLUMNS];
  int column = threadIdx.x % COLUMNS, slice = threadIdx.x / COLUMNS;
  int64_t i = (int64_t) blockIdx.x * COLUMNS + column;
  float *output = find_output (p.sums, i);
  float sum = 0;

  for (int64_t part = slice; output && part < p.parts; part += SLICES)
    sum += p.data[part * p.n + i];
  sums[slice][column] = sum;
  __syncthreads ();
  if (!output || slice > 0)
    return;
  for (int s = 1; s < SLICES; s++)
    sum += sums[s][column];
  *output += sum;
}

cudaError_t
umedpt_cuda_attention_add_partials (const float *partials, int64_t parts,
    const UmedptCudaAttentionSums *sums, cudaStream_t stream)
{
  AttentionPartials p = { partials, parts,
    sums->sizes[0] + sums->sizes[1] + sums->sizes[2], *sums };

  if (!sums->outputs[0] && !sums->outputs[1] && !sums->outputs[2])
    return cudaSuccess;
  return UMEDPT_LAUNCH (add_attention_partials,
      (unsigned) ceil_div (p.n, COLUMNS), COLUMNS * SLICES, 0, stream, p);
}
