/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Kernels of instances to groups (formulas: core/backend/ref/group-reduce.c).
 * Groups need not be sorted: whoever works for a group goes through all
 * instances and takes its own, in their order. A slide may have ten thousand
 * instances in one group, so that blocks share them for the sums over vectors.
 */
#include "kernels/group-reduce.h"

#include "kernels/kernel.cuh"

typedef UmedptCudaGroupReduce Groups;

static const float min_attention = 1e-5f;
static const int columns = 32, rows = 8; /* of a block of sums */

/* The largest of a block, in all threads; @shared: 32 floats. */
static __device__ inline float
block_max (float x, float *shared)
{
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;

  x = warp_max (x);
  if (lane == 0)
    shared[warp] = x;
  __syncthreads ();
  x = warp_max (shared[lane < (int) (blockDim.x / 32) ? lane : 0]);
  __syncthreads ();
  return x;
}

/* counts [N, heads] = what instances count; for softmax without the bound. One
 * head of one group per block. */
static __global__ void
weights_kernel (Groups s, float *counts)
{
  __shared__ float shared[32];
  const int64_t group = blockIdx.x / s.heads, head = blockIdx.x % s.heads;
  float largest = -INFINITY, sum = 0;

  for (int64_t i = threadIdx.x; s.softmax && i < s.instances; i += blockDim.x)
    if (s.index[i] == group)
      largest = fmaxf (largest, s.weight[i * s.heads + head]);
  largest = block_max (largest, shared);
  for (int64_t i = threadIdx.x; i < s.instances; i += blockDim.x)
    if (s.index[i] == group)
      sum += s.softmax ? expf (s.weight[i * s.heads + head] - largest) : 1;
  sum = block_sum (sum, shared);
  for (int64_t i = threadIdx.x; i < s.instances; i += blockDim.x)
    if (s.index[i] == group) {
      const float x = s.weight[i * s.heads + head];

      counts[i * s.heads + head] = (s.softmax ? expf (x - largest) : x) / sum;
    }
}

/* The weight with which an instance is added. */
static __device__ __forceinline__ float
bounded (const Groups &s, float count)
{
  return s.softmax && count < min_attention ? min_attention : count;
}

/* partials [chunks, G heads, D]: blockIdx is (group and head, columns, chunk
 * of instances). */
static __global__ void
sums_kernel (Groups s, const float *counts, float *partials, int64_t chunk)
{
  __shared__ float shared[rows][columns];
  const int column = threadIdx.x % columns, row = threadIdx.x / columns;
  const int64_t group = blockIdx.x / s.heads, head = blockIdx.x % s.heads;
  const int64_t j = (int64_t) blockIdx.y * columns + column;
  const int64_t first = blockIdx.z * chunk;
  const int64_t end = first + chunk < s.instances ? first + chunk : s.instances;
  float sum = 0;

  for (int64_t i = first + row; i < end && j < s.dimensions; i += rows)
    if (s.index[i] == group)
      sum +=
          bounded (s, counts[i * s.heads + head]) * s.src[i * s.dimensions + j];
  shared[row][column] = sum;
  __syncthreads ();
  if (row == 0 && j < s.dimensions) {
    for (int r = 1; r < rows; r++)
      sum += shared[r][column];
    partials[((int64_t) blockIdx.z * gridDim.x + blockIdx.x) * s.dimensions +
        j] = sum;
  }
}

/* dst [n] = partials [chunks, n], summed */
static __global__ void
add_chunks_kernel (const float *partials, float *dst, int64_t n, int chunks)
{
  const int64_t i = (int64_t) blockIdx.x * blockDim.x + threadIdx.x;
  float sum = 0;

  if (i >= n)
    return;
  for (int k = 0; k < chunks; k++)
    sum += partials[k * n + i];
  dst[i] = sum;
}

/* ---- Backward ---- */

static __device__ __forceinline__ bool
has_group (const Groups &s, int64_t group)
{
  return group >= 0 && group < s.groups;
}

/* diff_src [N, D] = sum over heads of a d; a thread each. */
static __global__ void
diff_src_kernel (Groups s, const float *counts, const float *diff_dst,
    float *diff_src)
{
  const int64_t at = (int64_t) blockIdx.x * blockDim.x + threadIdx.x;
  float sum = 0;

  if (at >= s.instances * s.dimensions)
    return;
  const int64_t i = at / s.dimensions, j = at % s.dimensions;
  const int64_t group = s.index[i];
  for (int64_t h = 0; h < s.heads && has_group (s, group); h++)
    sum += bounded (s, counts[i * s.heads + h]) *
        diff_dst[(group * s.heads + h) * s.dimensions + j];
  diff_src[at] = sum;
}

/* diff [N, heads] = x d, the gradient of what instances count; 0 where the
 * bound is active. A warp each. */
static __global__ void
diff_counts_kernel (Groups s, const float *counts, const float *diff_dst,
    float *diff)
{
  const int lane = threadIdx.x % 32;
  const int64_t at = (int64_t) blockIdx.x * rows + threadIdx.x / 32;
  float sum = 0;

  if (at >= s.instances * s.heads)
    return; /* the whole warp */
  const int64_t i = at / s.heads, group = s.index[i];
  const bool wanted =
      has_group (s, group) && !(s.softmax && counts[at] < min_attention);
  const float *d = diff_dst + (group * s.heads + at % s.heads) * s.dimensions;
  for (int64_t j = lane; wanted && j < s.dimensions; j += 32)
    sum += s.src[i * s.dimensions + j] * d[j];
  sum = warp_sum (sum);
  if (lane == 0)
    diff[at] = sum;
}

/* diff [N, heads], of what instances count, becomes that of `weight`. One head
 * of one group per block. */
static __global__ void
diff_weight_kernel (Groups s, const float *counts, float *diff)
{
  __shared__ float shared[32];
  const int64_t group = blockIdx.x / s.heads, head = blockIdx.x % s.heads;
  float sum = 0;

  for (int64_t i = threadIdx.x; i < s.instances; i += blockDim.x)
    if (s.index[i] == group) {
      const int64_t at = i * s.heads + head;

      sum += s.softmax ? counts[at] * diff[at] : 1;
    }
  sum = block_sum (sum, shared);
  for (int64_t i = threadIdx.x; i < s.instances; i += blockDim.x)
    if (s.index[i] == group) {
      const int64_t at = i * s.heads + head;

      diff[at] = s.softmax ? counts[at] * (diff[at] - sum) : diff[at] / sum;
    }
}

/* ---- Launches ---- */

/* Parts of the instances: enough blocks, none with very few instances. */
static int64_t
count_chunks (const Groups &s)
{
  const int64_t blocks = ceil_div (s.dimensions, columns) * s.groups * s.heads;
  const int64_t wanted = ceil_div (132 * 4, blocks);
  const int64_t most = ceil_div (s.instances, 8 * rows);

  return wanted < most ? wanted : most;
}

static unsigned int
heads_of_groups (const Groups &s)
{
  return (unsigned int) (s.groups * s.heads);
}

extern "C" size_t
umedpt_cuda_group_reduce_scratch (const UmedptCudaGroupReduce *self)
{
  return (size_t) (self->instances * self->heads +
             count_chunks (*self) * self->groups * self->heads *
                 self->dimensions) *
      sizeof (float);
}

extern "C" cudaError_t
umedpt_cuda_launch_group_reduce (const UmedptCudaGroupReduce *self, float *dst,
    void *scratch, cudaStream_t stream)
{
  const Groups s = *self;
  const int64_t n = s.groups * s.heads * s.dimensions;
  const int64_t chunks = count_chunks (s);
  float *counts = (float *) scratch;
  float *partials = chunks > 1 ? counts + s.instances * s.heads : dst;
  const dim3 grid (heads_of_groups (s),
      (unsigned int) ceil_div (s.dimensions, columns), (unsigned int) chunks);
  cudaError_t status = UMEDPT_LAUNCH (weights_kernel, heads_of_groups (s), 256,
      0, stream, s, counts);

  if (status == cudaSuccess)
    status = UMEDPT_LAUNCH (sums_kernel, grid, columns * rows, 0, stream, s,
        counts, partials, ceil_div (s.instances, chunks));
  if (status == cudaSuccess && chunks > 1)
    status = UMEDPT_LAUNCH (add_chunks_kernel, (unsigned int) ceil_div (n, 256),
        256, 0, stream, partials, dst, n, (int) chunks);
  return status;
}

extern "C" cudaError_t
umedpt_cuda_launch_group_reduce_backward (const UmedptCudaGroupReduce *self,
    const float *diff_dst, float *diff_src, float *diff_weight, void *scratch,
    cudaStream_t stream)
{
  const Groups s = *self;
  float *counts = (float *) scratch;
  cudaError_t status = UMEDPT_LAUNCH (weights_kernel, heads_of_groups (s), 256,
      0, stream, s, counts);

  if (status == cudaSuccess && diff_src)
    status = UMEDPT_LAUNCH (diff_src_kernel,
        (unsigned int) ceil_div (s.instances * s.dimensions, 256), 256, 0,
        stream, s, counts, diff_dst, diff_src);
  if (status == cudaSuccess && diff_weight)
    status = UMEDPT_LAUNCH (diff_counts_kernel,
        (unsigned int) ceil_div (s.instances * s.heads, rows), 32 * rows, 0,
        stream, s, counts, diff_dst, diff_weight);
  if (status == cudaSuccess && diff_weight)
    status = UMEDPT_LAUNCH (diff_weight_kernel, heads_of_groups (s), 256, 0,
        stream, s, counts, diff_weight);
  return status;
}
