/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Gradients of window attention of any type and size, in f32 (formulas:
 * backend/ref/attention-backward.c), by three kernels that each form P and dS
 * again rather than keep L x L numbers:
 *
 *   queries  dq, shares of dscale, and for each query three numbers that the
 *            others need: the greatest logit, 1 / the sum of exponentials, and
 *            the sum of P dP
 *   keys     dk, dv, shares of v's bias
 *   bias     dB: a block has one tile of it and sums over windows
 *
 * As always sums over windows are written per block and added in order.
 */
#include "kernels/attention-plain.cuh"

#define STATS 3

template <typename T>
static __device__ __forceinline__ float *
find_stats (const PlainAttention<T> &p, int window, int head, int query)
{
  return p.stats +
      (((int64_t) window * p.g.heads + head) * p.g.tokens + query) * STATS;
}

/* Writes a gradient of q, k or v, or adds it to @padding (nullable) if it is
 * that of a padded token. */
template <typename T>
static __device__ void
store_diff (const PlainAttention<T> &p, const Place &place, Part part, int head,
    int first, int chunk, const float (&diff)[4][2], float *padding)
{
  int c = p.g.heads * p.g.dim;

  for (int a = 0; a < 4; a++) {
    int token = first + threadIdx.x / 16 + 16 * a;
    int pixel = token < p.g.tokens ? find_token (p, place, token) : -1;

    for (int i = 0; i < 2; i++) {
      int channel = chunk * PLAIN_CHANNELS + threadIdx.x % 16 * 2 + i;

      if (token >= p.g.tokens || channel >= p.g.dim)
        continue;
      if (pixel < 0) {
        if (padding)
          padding[i] += diff[a][i];
      } else if (p.diff_qkv)
        p.diff_qkv[(int64_t) pixel * 3 * c + part * c + head * p.g.dim +
            channel] = from_f32<T> (diff[a][i]);
    }
  }
}

/* From the gradients of x / |x|, but for @scale, to those of x. @dots: of those
 * with x / |x|. */
template <typename T>
static __device__ void
differentiate_norms (const PlainAttention<T> &p, const Place &place, Part part,
    int head, int first, int chunk, const float *inverse,
    const float (&dots)[4], float (&diff)[4][2])
{
  float scale = p.scale[head];

  for (int a = 0; a < 4; a++) {
    int row = threadIdx.x / 16 + 16 * a, token = first + row;
    int pixel = token < p.g.tokens ? find_token (p, place, token) : -1;
    float w = inverse[row];

    for (int i = 0; i < 2; i++) {
      int channel = chunk * PLAIN_CHANNELS + threadIdx.x % 16 * 2 + i;

      if (pixel >= 0 && w < 1 / 1e-12f) /* else the norm is a constant */
        diff[a][i] -= get_value (p, part, pixel, head, channel) * w * dots[a];
      diff[a][i] *= w * scale;
    }
  }
}

/* exp (logit - most) / sum, by row. */
static __device__ __forceinline__ void
softmax_rows (const float (&logits)[4][4], const float (&most)[4],
    const float (&inverse_sums)[4], float (&probabilities)[4][4])
{
#pragma unroll
  for (int a = 0; a < 4; a++)
#pragma unroll
    for (int b = 0; b < 4; b++)
      probabilities[a][b] = expf (logits[a][b] - most[a]) * inverse_sums[a];
}

template <typename T>
static __device__ void
store_stats (const PlainAttention<T> &p, int window, int head, int first,
    const float (&most)[4], const float (&inverse_sums)[4],
    const float (&means)[4])
{
  for (int a = 0; a < 4; a++) {
    int query = first + threadIdx.x / 16 + 16 * a;

    if (threadIdx.x % 16 == 0 && query < p.g.tokens) {
      float *stats = find_stats (p, window, head, query);

      stats[0] = most[a];
      stats[1] = inverse_sums[a];
      stats[2] = means[a];
    }
  }
}

/* All of 64 queries, from @first. Where a window is one tile nothing is formed
 * twice. */
template <typename T>
static __device__ void
differentiate_queries (const PlainAttention<T> &p, int window, int head,
    int first, int chunk, PlainShared *shared, float *diff_scale)
{
  Place place = find_window (p.g, window);
  float most[4], sums[4], means[4], dots[4], factors[4], diff[4][2];
  float cosines[4][4], x[4][4], dp[4][4];

  for (int a = 0; a < 4; a++) {
    most[a] = -INFINITY;
    sums[a] = means[a] = dots[a] = diff[a][0] = diff[a][1] = 0;
  }
  for (int key = 0; key < p.g.tokens; key += PLAIN_TILE) {
    form_logits (p, place, head, first, key, false, shared, cosines, x);
    add_logits (x, most, sums, factors);
  }
  for (int a = 0; a < 4; a++)
    sums[a] = 1 / row_sum (sums[a]);
  for (int key = 0; key < p.g.tokens; key += PLAIN_TILE) {
    if (p.tiles > 1)
      form_logits (p, place, head, first, key, false, shared, cosines, x);
    softmax_rows (x, most, sums, x);
    multiply_parts (p, place, head, PART_DIFF, first, PART_V, key, false,
        shared, dp);
    for (int a = 0; a < 4; a++)
      for (int b = 0; b < 4; b++)
        means[a] = fmaf (x[a][b], dp[a][b], means[a]);
  }
  for (int a = 0; a < 4; a++)
    means[a] = row_sum (means[a]);
  if (chunk == 0)
    store_stats (p, window, head, first, most, sums, means);
  for (int key = 0; key < p.g.tokens; key += PLAIN_TILE) {
    if (p.tiles > 1) {
      form_logits (p, place, head, first, key, false, shared, cosines, x);
      softmax_rows (x, most, sums, x);
      multiply_parts (p, place, head, PART_DIFF, first, PART_V, key, false,
          shared, dp);
    }
    for (int a = 0; a < 4; a++)
      for (int b = 0; b < 4; b++) {
        x[a][b] *= dp[a][b] - means[a];
        dots[a] = fmaf (x[a][b], cosines[a][b], dots[a]);
        x[a][b] *= shared->inverse_columns[threadIdx.x % 16 + 16 * b];
      }
    weigh_part (p, place, head, PART_K, key, chunk, x, shared, diff);
  }
  for (int a = 0; a < 4; a++) {
    dots[a] = row_sum (dots[a]);
    if (threadIdx.x % 16 == 0)
      *diff_scale += dots[a];
  }
  differentiate_norms (p, place, PART_Q, head, first, chunk,
      shared->inverse_rows, dots, diff);
  store_diff (p, place, PART_Q, head, first, chunk, diff, nullptr);
}

/* @partials: dscale [windows' blocks, tiles, heads] */
template <typename T>
__global__ void
__launch_bounds__ (PLAIN_THREADS, PLAIN_BLOCKS_PER_SM)
    attend_plain_queries (PlainAttention<T> p)
{
  __shared__ PlainShared shared;
  __shared__ float sums[32];
  int head = blockIdx.x % p.g.heads, tile = blockIdx.x / p.g.heads;
  float diff_scale = 0;

  for (int window = blockIdx.y; window < p.g.windows; window += gridDim.y)
    differentiate_queries (p, window, head, tile * PLAIN_TILE, blockIdx.z,
        &shared, &diff_scale);
  diff_scale = block_sum (diff_scale, sums);
  if (blockIdx.z == 0 && threadIdx.x == 0)
    p.partials[((int64_t) blockIdx.y * p.tiles + tile) * p.g.heads + head] =
        diff_scale;
}

/* cosines, P (@x) and dS of a tile, from the numbers of its queries; 0 where
 * there is no query, or no key. */
template <typename T>
static __device__ void
form_gradients (const PlainAttention<T> &p, const Place &place, int window,
    int head, int row, int column, bool transposed, PlainShared *shared,
    float (&cosines)[4][4], float (&x)[4][4], float (&ds)[4][4])
{
  form_logits (p, place, head, row, column, transposed, shared, cosines, x);
  multiply_parts (p, place, head, transposed ? PART_V : PART_DIFF, row,
      transposed ? PART_DIFF : PART_V, column, false, shared, ds);
#pragma unroll
  for (int a = 0; a < 4; a++)
#pragma unroll
    for (int b = 0; b < 4; b++) {
      int query = transposed ? column + threadIdx.x % 16 + 16 * b
                             : row + threadIdx.x / 16 + 16 * a;

      if (query < p.g.tokens) {
        const float *stats = find_stats (p, window, head, query);

        x[a][b] = expf (x[a][b] - stats[0]) * stats[1];
        ds[a][b] = x[a][b] * (ds[a][b] - stats[2]);
      } else
        x[a][b] = ds[a][b] = 0;
    }
}

/* All of 64 keys, from @first. */
template <typename T>
static __device__ void
differentiate_keys (const PlainAttention<T> &p, int window, int head, int first,
    int chunk, PlainShared *shared, float *padding)
{
  Place place = find_window (p.g, window);
  float diff_k[4][2], diff_v[4][2], dots[4];
  float cosines[4][4], x[4][4], ds[4][4];

  for (int a = 0; a < 4; a++)
    dots[a] = diff_k[a][0] = diff_k[a][1] = diff_v[a][0] = diff_v[a][1] = 0;
  for (int query = 0; query < p.g.tokens; query += PLAIN_TILE) {
    form_gradients (p, place, window, head, first, query, true, shared, cosines,
        x, ds);
    weigh_part (p, place, head, PART_DIFF, query, chunk, x, shared, diff_v);
    for (int a = 0; a < 4; a++)
      for (int b = 0; b < 4; b++) {
        dots[a] = fmaf (ds[a][b], cosines[a][b], dots[a]);
        ds[a][b] *= shared->inverse_columns[threadIdx.x % 16 + 16 * b];
      }
    weigh_part (p, place, head, PART_Q, query, chunk, ds, shared, diff_k);
  }
  for (int a = 0; a < 4; a++)
    dots[a] = row_sum (dots[a]);
  differentiate_norms (p, place, PART_K, head, first, chunk,
      shared->inverse_rows, dots, diff_k);
  store_diff (p, place, PART_K, head, first, chunk, diff_k, nullptr);
  store_diff (p, place, PART_V, head, first, chunk, diff_v, padding);
}

/* @partials: v's bias [windows' blocks, tiles, heads, dim] */
template <typename T>
__global__ void
__launch_bounds__ (PLAIN_THREADS, PLAIN_BLOCKS_PER_SM)
    attend_plain_keys (PlainAttention<T> p)
{
  __shared__ PlainShared shared;
  int head = blockIdx.x % p.g.heads, tile = blockIdx.x / p.g.heads;
  float padding[2] = { 0, 0 };

  for (int window = blockIdx.y; window < p.g.windows; window += gridDim.y)
    differentiate_keys (p, window, head, tile * PLAIN_TILE, blockIdx.z, &shared,
        padding);
  __syncthreads ();
  for (int i = 0; i < 2; i++)
    shared
        .square[threadIdx.x / 16 * PLAIN_CHANNELS + threadIdx.x % 16 * 2 + i] =
        padding[i];
  __syncthreads ();
  int channel = blockIdx.z * PLAIN_CHANNELS + threadIdx.x;
  if (threadIdx.x < PLAIN_CHANNELS && channel < p.g.dim) {
    float sum = 0;

    for (int i = 0; i < PLAIN_THREADS / 16; i++)
      sum += shared.square[i * PLAIN_CHANNELS + threadIdx.x];
    p.partials[(((int64_t) blockIdx.y * p.tiles + tile) * p.g.heads + head) *
            p.g.dim +
        channel] = sum;
  }
}

/* @partials: dB [windows' blocks, heads, L, L] */
template <typename T>
__global__ void
__launch_bounds__ (PLAIN_THREADS, PLAIN_BLOCKS_PER_SM)
    attend_plain_bias (PlainAttention<T> p)
{
  __shared__ PlainShared shared;
  int head = blockIdx.x % p.g.heads, tile = blockIdx.x / p.g.heads;
  int row = tile / p.tiles * PLAIN_TILE, column = tile % p.tiles * PLAIN_TILE;
  int l = p.g.tokens;
  float sums[4][4] = {}, cosines[4][4], x[4][4], ds[4][4];

  for (int window = blockIdx.y; window < p.g.windows; window += gridDim.y) {
    form_gradients (p, find_window (p.g, window), window, head, row, column,
        false, &shared, cosines, x, ds);
    for (int a = 0; a < 4; a++)
      for (int b = 0; b < 4; b++)
        sums[a][b] += ds[a][b];
  }
  for (int a = 0; a < 4; a++)
    for (int b = 0; b < 4; b++) {
      int query = row + threadIdx.x / 16 + 16 * a;
      int key = column + threadIdx.x % 16 + 16 * b;

      if (query < l && key < l)
        p.partials[(((int64_t) blockIdx.y * p.g.heads + head) * l + query) * l +
            key] = sums[a][b];
    }
}

/* Numbers of blocks and where in the scratch memory what lies, in floats. */
struct PlainLayout
{
  int64_t rows, blocks; /* of queries and of keys */
  int64_t bias_rows, bias_blocks;
  int64_t scale, padding, bias, end; /* the numbers of the queries come first */
};

static PlainLayout
make_layout (const UmedptCudaAttention *self)
{
  PlainAttention<float> p = make_plain<float> (self);
  int64_t slots = self->multiprocessors * PLAIN_BLOCKS_PER_SM, l = p.g.tokens;
  PlainLayout layout;

  layout.rows = self->heads * p.tiles;
  layout.blocks =
      umedpt_cuda_attention_blocks (p.g.windows, layout.rows * p.chunks, slots);
  layout.bias_rows = layout.rows * p.tiles;
  layout.bias_blocks =
      umedpt_cuda_attention_blocks (p.g.windows, layout.bias_rows, slots);
  layout.scale = p.g.windows * self->heads * l * STATS;
  layout.padding = layout.scale + layout.blocks * layout.rows;
  layout.bias = layout.padding + layout.blocks * layout.rows * self->dim;
  layout.end = layout.bias + layout.bias_blocks * self->heads * l * l;
  return layout;
}

size_t
umedpt_cuda_attention_plain_scratch (const UmedptCudaAttention *self)
{
  return (size_t) make_layout (self).end * sizeof (float);
}

/* Adds up what the three kernels left. */
static cudaError_t
add_sums (const UmedptCudaAttention *self,
    const UmedptCudaAttentionGradients *gradients, const float *scratch,
    const PlainLayout *at, cudaStream_t stream)
{
  int64_t c = self->heads * self->dim, l = self->window * self->window;
  int64_t parts = at->rows / self->heads * at->blocks;
  const UmedptCudaAttentionSums scale = { { gradients->diff_scale },
    { self->heads } };
  const UmedptCudaAttentionSums padding = {
    { gradients->diff_qkv_bias ? gradients->diff_qkv_bias + 2 * c : nullptr },
    { c }
  };
  const UmedptCudaAttentionSums bias = { { gradients->diff_position_bias },
    { self->heads * l * l } };
  cudaError_t status;

  status = umedpt_cuda_attention_add_partials (scratch + at->scale, parts,
      &scale, stream);
  if (status == cudaSuccess)
    status = umedpt_cuda_attention_add_partials (scratch + at->padding, parts,
        &padding, stream);
  if (status == cudaSuccess)
    status = umedpt_cuda_attention_add_partials (scratch + at->bias,
        at->bias_blocks, &bias, stream);
  return status;
}

template <typename T>
static cudaError_t
run (const UmedptCudaAttention *self,
    const UmedptCudaAttentionGradients *gradients, float *scratch,
    cudaStream_t stream)
{
  PlainAttention<T> p = make_plain<T> (self);
  PlainLayout at = make_layout (self);
  dim3 grid ((unsigned) at.rows, (unsigned) at.blocks, (unsigned) p.chunks);
  dim3 bias_grid ((unsigned) at.bias_rows, (unsigned) at.bias_blocks);
  cudaError_t status;

  p.diff_dst = (const T *) gradients->diff_dst;
  p.diff_qkv = (T *) gradients->diff_qkv;
  p.vectors = p.vectors && (uintptr_t) p.diff_dst % 16 == 0;
  p.stats = scratch;
  p.partials = scratch + at.scale;
  status = UMEDPT_LAUNCH (attend_plain_queries<T>, grid, PLAIN_THREADS, 0,
      stream, p);
  p.partials = scratch + at.padding;
  if (status == cudaSuccess)
    status =
        UMEDPT_LAUNCH (attend_plain_keys<T>, grid, PLAIN_THREADS, 0, stream, p);
  p.partials = scratch + at.bias;
  if (status == cudaSuccess && gradients->diff_position_bias)
    status = UMEDPT_LAUNCH (attend_plain_bias<T>, bias_grid, PLAIN_THREADS, 0,
        stream, p);
  return status == cudaSuccess
      ? add_sums (self, gradients, scratch, &at, stream)
      : status;
}

cudaError_t
umedpt_cuda_attention_plain_backward (const UmedptCudaAttention *self,
    const UmedptCudaAttentionGradients *gradients, float *scratch,
    cudaStream_t stream)
{
  return self->bf16 ? run<bf16> (self, gradients, scratch, stream)
                    : run<float> (self, gradients, scratch, stream);
}
