/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Shifted-window cosine attention on a CUDA device (what it means:
 * backend/backend.h), C on one side, CUDA C++ on the other. Three roads:
 *
 *   tiles  bf16, head dimension 32, windows of at most 8x8 (all released
 *          models): tensor cores, a window's logits stay in registers
 *   wide   forward only: the same for larger windows, keys 64 at a time
 *   plain  everything else, all in f32
 */
#pragma once

#include <cuda_runtime_api.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Pointers are device memory; L = window^2. */
typedef struct
{
  int64_t n, height, width;
  int64_t heads, dim, window, shift;
  int64_t multiprocessors; /* of the device: sizes the grid */
  int bf16; /* the type of qkv, dst, diff_dst and diff_qkv; else f32 */
  const void *qkv; /* [n, height, width, 3, heads, dim] */
  const float *qkv_bias; /* [3, heads, dim] */
  const float *scale; /* [heads] */
  const float *position_bias; /* [heads, L, L] */
} UmedptCudaAttention;

typedef struct
{
  const void *diff_dst; /* [n, height, width, heads, dim] */
  void *diff_qkv; /* written; this and the others may be NULL */
  float *diff_qkv_bias, *diff_scale, *diff_position_bias; /* added to */
} UmedptCudaAttentionGradients;

/* How many blocks share the @windows of a head, one window after the other:
 * few enough that each has several where there are many (what a block knows
 * of its head is read once), enough to fill the device where there are few.
 * @slots: blocks that run at the same time; @rows: how many rows of blocks
 * there are, as a rule the number of heads. */
static inline int64_t
umedpt_cuda_attention_blocks (int64_t windows, int64_t rows, int64_t slots)
{
  int64_t blocks = slots / rows, each;

  if (blocks > windows)
    blocks = windows;
  if (blocks < 1)
    return 1;
  each = (windows + blocks - 1) / blocks;
  return (windows + each - 1) / each; /* the same time, with fewer blocks */
}

/* Whether indices fit: fewer than 2^31 pixels (padded ones included) and
 * channels. */
int umedpt_cuda_attention_fits (const UmedptCudaAttention *self);

/* dst [n, height, width, heads, dim], fully written. */
cudaError_t umedpt_cuda_attention (const UmedptCudaAttention *self, void *dst,
    cudaStream_t stream);

/* @scratch: as many bytes as the first function says. */
size_t umedpt_cuda_attention_backward_scratch (const UmedptCudaAttention *self);
cudaError_t umedpt_cuda_attention_backward (const UmedptCudaAttention *self,
    const UmedptCudaAttentionGradients *gradients, void *scratch,
    cudaStream_t stream);

/* ---- The roads; the functions above choose ---- */

int umedpt_cuda_attention_is_tiled (const UmedptCudaAttention *self);

cudaError_t umedpt_cuda_attention_tiles (const UmedptCudaAttention *self,
    void *dst, cudaStream_t stream);
cudaError_t umedpt_cuda_attention_wide (const UmedptCudaAttention *self,
    void *dst, cudaStream_t stream);
cudaError_t umedpt_cuda_attention_plain (const UmedptCudaAttention *self,
    void *dst, cudaStream_t stream);

size_t umedpt_cuda_attention_tiles_scratch (const UmedptCudaAttention *self);
cudaError_t
umedpt_cuda_attention_tiles_backward (const UmedptCudaAttention *self,
    const UmedptCudaAttentionGradients *gradients, float *scratch,
    cudaStream_t stream);
size_t umedpt_cuda_attention_plain_scratch (const UmedptCudaAttention *self);
cudaError_t
umedpt_cuda_attention_plain_backward (const UmedptCudaAttention *self,
    const UmedptCudaAttentionGradients *gradients, float *scratch,
    cudaStream_t stream);

/* Up to three gradients of parameters, (nullable), and their sizes. */
typedef struct
{
  float *outputs[3];
  int64_t sizes[3];
} UmedptCudaAttentionSums;

/* Adds the rows of @partials [parts, sum of sizes] in order, and to outputs. */
cudaError_t umedpt_cuda_attention_add_partials (const float *partials,
    int64_t parts, const UmedptCudaAttentionSums *sums, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
