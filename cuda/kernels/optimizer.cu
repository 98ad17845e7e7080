/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Steps of optimisers: one pass over memory. A launch takes a batch of tensors
 * as a kernel argument (4 KiB at most); a block finds by its number which piece
 * of which tensor is its own.
 *
 * Formulas are computed in double as in ref: on the cards that train, memory is
 * slower.
 */
#include <math.h>

#include "kernels/kernel.cuh"
#include "kernels/optimizer.h"

#define BLOCK 256
#define PIECE 8192 /* elements of a block */
#define STEPS 48 /* tensors of a launch */
#define SOURCES 160

typedef struct
{
  UmedptCudaStep step[STEPS];
  UmedptCudaRule rule;
  int first[STEPS + 1]; /* block of each tensor */
  bool vectors[STEPS]; /* 16 bytes at a time */
  int n;
} Steps;

typedef struct
{
  const float *src[SOURCES];
  int64_t size[SOURCES];
  int first[SOURCES + 1];
  int n;
} Sources;

static_assert (sizeof (Steps) <= 4000 && sizeof (Sources) <= 4000,
    "a kernel's arguments have 4 KiB");

/* Which tensor block @block works on; none is without blocks. */
static __device__ __forceinline__ int
find_tensor (const int *first, int n, int block)
{
  int low = 0, high = n;

  while (high - low > 1) {
    int middle = (low + high) / 2;

    if (first[middle] <= block)
      low = middle;
    else
      high = middle;
  }
  return low;
}

struct Adamw
{
  static const bool has_moment2 = true;

  static __device__ __forceinline__ void update (const UmedptCudaStep &step,
      const UmedptCudaRule &rule, double scale, float gradient,
      float *parameter, float *moment1, float *moment2)
  {
    double g = gradient * scale, p = *parameter, m = *moment1, v = *moment2;

    p -= step.decay * p;
    m = rule.beta1 * m + (1 - rule.beta1) * g;
    v = rule.beta2 * v + (1 - rule.beta2) * g * g;
    p -= step.rate * m / (sqrt (v) / step.root + rule.epsilon);
    *parameter = (float) p;
    *moment1 = (float) m;
    *moment2 = (float) v;
  }
};

struct Sgd
{
  static const bool has_moment2 = false;

  static __device__ __forceinline__ void update (const UmedptCudaStep &step,
      const UmedptCudaRule &rule, double scale, float gradient,
      float *parameter, float *moment, float *)
  {
    double p = *parameter, g = gradient * scale + step.decay * p;
    double u = step.root == 0 ? g : rule.momentum * *moment + g;

    p -= step.rate * (rule.nesterov ? g + rule.momentum * u : u);
    *parameter = (float) p;
    *moment = (float) u;
  }
};

/* Element @i. */
template <typename Rule>
static __device__ __forceinline__ void
step_one (const UmedptCudaStep &step, const UmedptCudaRule &rule, double scale,
    int64_t i)
{
  float p = step.parameter[i], m = step.moment1[i], v = 0;

  if (Rule::has_moment2)
    v = step.moment2[i];
  Rule::update (step, rule, scale, step.gradient[i], &p, &m, &v);
  step.parameter[i] = p;
  step.moment1[i] = m;
  if (Rule::has_moment2)
    step.moment2[i] = v;
  if (step.bf16)
    ((bf16 *) step.bf16)[i] = from_f32<bf16> (p);
}

/* Elements @i to @i + 3. */
template <typename Rule>
static __device__ __forceinline__ void
step_four (const UmedptCudaStep &step, const UmedptCudaRule &rule, double scale,
    int64_t i)
{
  float4 g = *reinterpret_cast<const float4 *> (step.gradient + i);
  float4 p = *reinterpret_cast<float4 *> (step.parameter + i);
  float4 m = *reinterpret_cast<float4 *> (step.moment1 + i);
  float4 v = { 0, 0, 0, 0 };

  if (Rule::has_moment2)
    v = *reinterpret_cast<float4 *> (step.moment2 + i);
  Rule::update (step, rule, scale, g.x, &p.x, &m.x, &v.x);
  Rule::update (step, rule, scale, g.y, &p.y, &m.y, &v.y);
  Rule::update (step, rule, scale, g.z, &p.z, &m.z, &v.z);
  Rule::update (step, rule, scale, g.w, &p.w, &m.w, &v.w);
  *reinterpret_cast<float4 *> (step.parameter + i) = p;
  *reinterpret_cast<float4 *> (step.moment1 + i) = m;
  if (Rule::has_moment2)
    *reinterpret_cast<float4 *> (step.moment2 + i) = v;
  if (step.bf16) {
    uint2 pair = { pack_bf16 (p.x, p.y), pack_bf16 (p.z, p.w) };
    *reinterpret_cast<uint2 *> ((bf16 *) step.bf16 + i) = pair;
  }
}

template <typename Rule>
static __global__ void
run_steps (const Steps steps)
{
  const int at = find_tensor (steps.first, steps.n, blockIdx.x);
  const UmedptCudaStep &step = steps.step[at];
  const UmedptCudaRule &rule = steps.rule;
  const int64_t begin = (int64_t) (blockIdx.x - steps.first[at]) * PIECE;
  const int64_t end = step.n - begin < PIECE ? step.n : begin + PIECE;
  int64_t rest = begin;
  double scale =
      rule.gradient_scale_at ? *rule.gradient_scale_at : rule.gradient_scale;

  if (rule.gradient_scale_at && !isfinite (scale)) {
    for (int64_t i = begin + threadIdx.x; step.bf16 && i < end; i += BLOCK)
      ((bf16 *) step.bf16)[i] = from_f32<bf16> (step.parameter[i]);
    return;
  }
  if (steps.vectors[at]) {
    rest = end - (end - begin) % 4;
    for (int64_t i = begin + 4 * threadIdx.x; i < rest; i += 4 * BLOCK)
      step_four<Rule> (step, rule, scale, i);
  }
  for (int64_t i = rest + threadIdx.x; i < end; i += BLOCK)
    step_one<Rule> (step, rule, scale, i);
}

static bool
is_aligned (const void *pointer, uintptr_t bytes)
{
  return (uintptr_t) pointer % bytes == 0; /* NULL is */
}

/* Adds a tensor, with @blocks so far. Returns the number with its own. */
static int64_t
add_step (Steps *batch, const UmedptCudaStep *step, int64_t blocks)
{
  const int at = batch->n++;

  batch->step[at] = *step;
  batch->first[at] = (int) blocks;
  batch->vectors[at] = is_aligned (step->parameter, 16) &&
      is_aligned (step->gradient, 16) && is_aligned (step->moment1, 16) &&
      is_aligned (step->moment2, 16) && is_aligned (step->bf16, 8);
  return blocks + ceil_div (step->n, PIECE);
}

template <typename Rule>
static cudaError_t
launch_steps (const UmedptCudaStep *steps, int n, const UmedptCudaRule *rule,
    cudaStream_t stream)
{
  cudaError_t status = cudaSuccess;

  for (int i = 0; i < n && status == cudaSuccess;) {
    Steps batch = {};
    int64_t blocks = 0;

    batch.rule = *rule;
    for (; i < n && batch.n < STEPS; i++)
      if (steps[i].n > 0)
        blocks = add_step (&batch, &steps[i], blocks);
    batch.first[batch.n] = (int) blocks;
    if (blocks > INT32_MAX)
      return cudaErrorInvalidValue;
    if (blocks > 0)
      status = UMEDPT_LAUNCH ((run_steps<Rule>), (int) blocks, BLOCK, 0, stream,
          batch);
  }
  return status;
}

extern "C" cudaError_t
umedpt_cuda_steps_adamw (const UmedptCudaStep *steps, int n,
    const UmedptCudaRule *rule, cudaStream_t stream)
{
  return launch_steps<Adamw> (steps, n, rule, stream);
}

extern "C" cudaError_t
umedpt_cuda_steps_sgd (const UmedptCudaStep *steps, int n,
    const UmedptCudaRule *rule, cudaStream_t stream)
{
  return launch_steps<Sgd> (steps, n, rule, stream);
}

/* ---- The norm of gradients ---- */

/* The sum over a block, in thread 0. */
static __device__ inline double
block_sum_f64 (double x)
{
  __shared__ double shared[BLOCK / 32];
  double sum = 0;

  for (int offset = 16; offset > 0; offset /= 2)
    x += __shfl_xor_sync (0xffffffffu, x, offset);
  if (threadIdx.x % 32 == 0)
    shared[threadIdx.x / 32] = x;
  __syncthreads ();
  for (int i = 0; threadIdx.x == 0 && i < BLOCK / 32; i++)
    sum += shared[i];
  __syncthreads ();
  return sum;
}

static __device__ __forceinline__ double
square (float x)
{
  return (double) x * x;
}

/* partials [blocks]: of one piece each. The order of the sum must not depend
 * on where a tensor lies, so those that are not aligned are read element by
 * element, but in the same order. */
static __global__ void
sum_squares (const Sources sources, double *partials)
{
  const int at = find_tensor (sources.first, sources.n, blockIdx.x);
  const int64_t begin = (int64_t) (blockIdx.x - sources.first[at]) * PIECE;
  const int64_t left = sources.size[at] - begin;
  const int n = left < PIECE ? (int) left : PIECE;
  const float *src = sources.src[at] + begin;
  const bool vectors = (uintptr_t) src % 16 == 0;
  double sum = 0;

  for (int i = 4 * threadIdx.x; i < n; i += 4 * BLOCK) {
    if (vectors && i + 4 <= n) {
      float4 x = *reinterpret_cast<const float4 *> (src + i);

      sum += (square (x.x) + square (x.y)) + (square (x.z) + square (x.w));
    } else {
      double x[4];

      for (int j = 0; j < 4; j++)
        x[j] = i + j < n ? square (src[i + j]) : 0;
      sum += (x[0] + x[1]) + (x[2] + x[3]);
    }
  }
  sum = block_sum_f64 (sum);
  if (threadIdx.x == 0)
    partials[blockIdx.x] = sum;
}

/* One block per tensor of @sources. */
static __global__ void
add_squares (const Sources sources, const double *partials, double *sums)
{
  const int end = sources.first[blockIdx.x + 1];
  double sum = 0;

  for (int i = sources.first[blockIdx.x] + threadIdx.x; i < end; i += BLOCK)
    sum += partials[i];
  sum = block_sum_f64 (sum);
  if (threadIdx.x == 0)
    sums[blockIdx.x] = sum;
}

extern "C" int64_t
umedpt_cuda_square_parts (int64_t n)
{
  return n > 0 ? ceil_div (n, PIECE) : 0;
}

static cudaError_t
launch_squares (const Sources &batch, int64_t blocks, double *partials,
    double *sums, cudaStream_t stream)
{
  cudaError_t status = cudaSuccess;

  if (blocks > INT32_MAX)
    return cudaErrorInvalidValue;
  if (blocks > 0)
    status = UMEDPT_LAUNCH (sum_squares, (int) blocks, BLOCK, 0, stream, batch,
        partials);
  if (status != cudaSuccess)
    return status;
  return UMEDPT_LAUNCH (add_squares, batch.n, BLOCK, 0, stream, batch, partials,
      sums);
}

extern "C" cudaError_t
umedpt_cuda_square_sums (const float *const *src, const int64_t *sizes, int n,
    double *partials, double *sums, cudaStream_t stream)
{
  cudaError_t status = cudaSuccess;

  for (int i = 0; i < n && status == cudaSuccess;) {
    Sources batch = {};
    int64_t blocks = 0;
    double *to = sums + i;

    for (; i < n && batch.n < SOURCES; i++, batch.n++) {
      batch.src[batch.n] = src[i];
      batch.size[batch.n] = sizes[i];
      batch.first[batch.n] = (int) blocks;
      blocks += umedpt_cuda_square_parts (sizes[i]);
    }
    batch.first[batch.n] = (int) blocks;
    status = launch_squares (batch, blocks, partials, to, stream);
    partials += blocks;
  }
  return status;
}

/* One block. */
static __global__ void
clip_scale (const double *sums, int n, double clip, double epsilon,
    double *result)
{
  double sum = 0, norm, scale = 1;

  for (int i = threadIdx.x; i < n; i += BLOCK)
    sum += sums[i];
  sum = block_sum_f64 (sum);
  if (threadIdx.x != 0)
    return;
  norm = sqrt (sum);
  if (clip > 0 && clip < norm + epsilon)
    scale = clip / (norm + epsilon);
  result[0] = norm;
  result[1] = isfinite (norm) ? scale : NAN;
}

extern "C" cudaError_t
umedpt_cuda_clip_scale (const double *sums, int n, double clip, double epsilon,
    double *result, cudaStream_t stream)
{
  return UMEDPT_LAUNCH (clip_scale, 1, BLOCK, 0, stream, sums, n, clip, epsilon,
      result);
}
