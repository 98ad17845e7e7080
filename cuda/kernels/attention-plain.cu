/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Window attention of any type and size, in f32: a block has 64 queries of one
 * head and 32 channels of their output, for one window after the other. Keys
 * come 64 at a time, as in attention-wide.cu.
 */
#include "kernels/attention-plain.cuh"

template <typename T>
static __device__ void
store_rows (const PlainAttention<T> &p, const Place &place, int head, int first,
    int chunk, const float (&sums)[4][2], const float (&factors)[4])
{
  for (int a = 0; a < 4; a++) {
    int token = first + threadIdx.x / 16 + 16 * a;
    int pixel = token < p.g.tokens ? find_token (p, place, token) : -1;

    for (int i = 0; i < 2; i++) {
      int channel = chunk * PLAIN_CHANNELS + threadIdx.x % 16 * 2 + i;

      if (pixel >= 0 && channel < p.g.dim)
        p.dst[((int64_t) pixel * p.g.heads + head) * p.g.dim + channel] =
            from_f32<T> (sums[a][i] * factors[a]);
    }
  }
}

template <typename T>
static __device__ void
attend_plain_queries (const PlainAttention<T> &p, const Place &place, int head,
    int first, int chunk, PlainShared *shared)
{
  float most[4], sums[4], result[4][2], factors[4];

  for (int a = 0; a < 4; a++) {
    most[a] = -INFINITY;
    sums[a] = result[a][0] = result[a][1] = 0;
  }
  for (int key = 0; key < p.g.tokens; key += PLAIN_TILE) {
    float cosines[4][4], x[4][4];

    form_logits (p, place, head, first, key, false, shared, cosines, x);
    add_logits (x, most, sums, factors);
#pragma unroll
    for (int a = 0; a < 4; a++) {
      result[a][0] *= factors[a];
      result[a][1] *= factors[a];
#pragma unroll
      for (int b = 0; b < 4; b++)
        x[a][b] = expf (x[a][b] - most[a]);
    }
    weigh_part (p, place, head, PART_V, key, chunk, x, shared, result);
  }
  for (int a = 0; a < 4; a++)
    factors[a] = 1 / row_sum (sums[a]);
  store_rows (p, place, head, first, chunk, result, factors);
}

template <typename T>
__global__ void
__launch_bounds__ (PLAIN_THREADS, PLAIN_BLOCKS_PER_SM)
    attend_plain (PlainAttention<T> p)
{
  __shared__ PlainShared shared;
  int head = blockIdx.x % p.g.heads, tile = blockIdx.x / p.g.heads;

  for (int window = blockIdx.y; window < p.g.windows; window += gridDim.y)
    attend_plain_queries (p, find_window (p.g, window), head, tile * PLAIN_TILE,
        blockIdx.z, &shared);
}

template <typename T>
static cudaError_t
run (const UmedptCudaAttention *self, void *dst, cudaStream_t stream)
{
  PlainAttention<T> p = make_plain<T> (self);
  int64_t rows = self->heads * p.tiles;
  int64_t blocks = umedpt_cuda_attention_blocks (p.g.windows, rows * p.chunks,
      self->multiprocessors * PLAIN_BLOCKS_PER_SM);

  p.dst = (T *) dst;
  return UMEDPT_LAUNCH (attend_plain<T>,
      dim3 ((unsigned) rows, (unsigned) blocks, (unsigned) p.chunks),
      PLAIN_THREADS, 0, stream, p);
}

cudaError_t
umedpt_cuda_attention_plain (const UmedptCudaAttention *self, void *dst,
    cudaStream_t stream)
{
  return self->bf16 ? run<bf16> (self, dst, stream)
                    : run<float> (self, dst, stream);
}
