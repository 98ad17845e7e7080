/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Losses of vectors: cross entropy of classes (a warp per row), binary cross
 * entropy and squared error (element by element). They are computed in double
 * as ref does: these tensors are small, and a good prediction's loss is a small
 * difference.
 */
#include "kernels/loss.cuh"

#define WARPS (BLOCK / 32)

/* The loss of one row z [k], by a warp. @target is in 0 … k - 1. */
static __device__ double
cross_entropy_row (const float *z, int32_t target, float *diff, int64_t k,
    double gamma, double scale)
{
  int lane = threadIdx.x % 32;
  float max = -INFINITY; /* loses a NaN, the exponentials do not */
  double others = 0, own, sum, q, weight, log_p, c;

  for (int64_t j = lane; j < k; j += 32)
    max = fmaxf (max, z[j]);
  max = warp_max (max);
  for (int64_t j = lane; j < k; j += 32)
    others += j == target ? 0 : exp ((double) z[j] - max);
  others = warp_sum_f64 (others);
  own = exp ((double) z[target] - max);
  sum = own + others;
  q = others / sum; /* not 1 - p, which would lose its digits */
  log_p = (double) z[target] - max - log (sum);
  weight = pow (q, gamma);
  c = -weight;
  if (gamma > 0 && q > 0)
    c += gamma * pow (q, gamma - 1) * (own / sum) * log_p;
  for (int64_t j = lane; diff && j < k; j += 32)
    diff[j] = (float) (scale * c *
        (j == target ? q : -exp ((double) z[j] - max) / sum));
  return -weight * log_p;
}

/* Where there is no target, or one that cannot be. */
static __device__ double
row_without_target (int32_t target, float *diff, int64_t k)
{
  float value = target < 0 ? 0 : NAN;

  for (int64_t j = threadIdx.x % 32; diff && j < k; j += 32)
    diff[j] = value;
  return value;
}

static __global__ void
cross_entropy (const float *logits, const int32_t *targets, float *loss,
    float *diff, int64_t m, int64_t k, double gamma, double scale,
    double *partials)
{
  double sum = 0;

  for (int64_t i = (int64_t) blockIdx.x * WARPS + threadIdx.x / 32; i < m;
       i += (int64_t) gridDim.x * WARPS) {
    float *row = diff ? diff + i * k : NULL;
    int32_t target = targets[i];

    sum += target < 0 || target >= k
        ? row_without_target (target, row, k)
        : cross_entropy_row (logits + i * k, target, row, k, gamma, scale);
  }
  put_sum (threadIdx.x % 32 ? 0 : sum, 0, scale, partials, loss);
}

static __global__ void
binary_cross_entropy (const float *logits, const float *targets,
    const float *weights, float *loss, float *diff, int64_t n, double scale,
    double *partials)
{
  double sum = 0;

  for (int64_t i = (int64_t) blockIdx.x * BLOCK + threadIdx.x; i < n;
       i += (int64_t) gridDim.x * BLOCK) {
    double z = logits[i], t = targets[i], w = weights ? weights[i] : 1;
    double slope = 0;

    if (w != 0) { /* else not labelled, whatever it holds */
      sum += w * binary_cross_entropy_of (z, t);
      slope = scale * w * (sigmoid_of (z) - t);
    }
    if (diff)
      diff[i] = (float) slope;
  }
  put_sum (sum, 0, scale, partials, loss);
}

static __global__ void
squared_error (const float *src, const float *targets, float *loss, float *diff,
    int64_t n, double scale, double *partials)
{
  double sum = 0;

  for (int64_t i = (int64_t) blockIdx.x * BLOCK + threadIdx.x; i < n;
       i += (int64_t) gridDim.x * BLOCK) {
    double x = (double) src[i] - targets[i];

    sum += x * x;
    if (diff)
      diff[i] = (float) (2 * scale * x);
  }
  put_sum (sum, 0, scale, partials, loss);
}

extern "C" cudaError_t
umedpt_cuda_loss_class (const float *logits, const int32_t *targets,
    float *loss, float *diff, int64_t m, int64_t k, double gamma, double scale,
    void *scratch, cudaStream_t stream)
{
  double *partials = (double *) scratch;
  int blocks = loss_blocks (m, WARPS);
  cudaError_t status = UMEDPT_LAUNCH (cross_entropy, blocks, BLOCK, 0, stream,
      logits, targets, loss, diff, m, k, gamma, scale, partials);
  Scales scales = { { scale } };

  return finish_loss (status, partials, blocks, scales, 1, loss, stream);
}

extern "C" cudaError_t
umedpt_cuda_loss_binary (const float *logits, const float *targets,
    const float *weights, float *loss, float *diff, int64_t n, double scale,
    void *scratch, cudaStream_t stream)
{
  double *partials = (double *) scratch;
  int blocks = loss_blocks (n, 4 * BLOCK);
  cudaError_t status = UMEDPT_LAUNCH (binary_cross_entropy, blocks, BLOCK, 0,
      stream, logits, targets, weights, loss, diff, n, scale, partials);
  Scales scales = { { scale } };

  return finish_loss (status, partials, blocks, scales, 1, loss, stream);
}

extern "C" cudaError_t
umedpt_cuda_loss_square (const float *src, const float *targets, float *loss,
    float *diff, int64_t n, double scale, void *scratch, cudaStream_t stream)
{
  double *partials = (double *) scratch;
  int blocks = loss_blocks (n, 4 * BLOCK);
  cudaError_t status = UMEDPT_LAUNCH (squared_error, blocks, BLOCK, 0, stream,
      src, targets, loss, diff, n, scale, partials);
  Scales scales = { { scale } };

  return finish_loss (status, partials, blocks, scales, 1, loss, stream);
}
