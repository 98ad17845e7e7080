/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Steps of optimisers, and the norm that clipping needs, over many tensors in
 * few launches: a network has hundreds of small parameters, and a launch costs
 * as much as a hundred thousand elements. Formulas: core/backend/ref/
 * optimizer.c. Arrays are host memory, what their pointers tell is on the
 * device. Nothing waits.
 */
#pragma once

#include <cuda_runtime_api.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One parameter, and what is its own in a step. */
typedef struct
{
  float *parameter; /* [n] */
  const float *gradient; /* [n] */
  float *moment1; /* [n] */
  float *moment2; /* [n]; sgd: not used */
  void *bf16; /* (nullable) bf16 [n]: the new parameter once more */
  int64_t n;
  double decay; /* adamw: lr wd; sgd: wd */
  double rate; /* adamw: lr / (1 - beta1^step); sgd: lr */
  /* adamw: sqrt (1 - beta2^step); sgd: 0 in the first step, where the moment
   * holds nothing yet, else 1 */
  double root;
} UmedptCudaStep;

/* What is the same for all. */
typedef struct
{
  double gradient_scale;
  /* (nullable) device [1], instead of gradient_scale. If it is not finite,
   * nothing is changed. */
  const double *gradient_scale_at;
  double beta1, beta2, epsilon; /* adamw */
  double momentum; /* sgd */
  int nesterov;
} UmedptCudaRule;

cudaError_t umedpt_cuda_steps_adamw (const UmedptCudaStep *steps, int n,
    const UmedptCudaRule *rule, cudaStream_t stream);
cudaError_t umedpt_cuda_steps_sgd (const UmedptCudaStep *steps, int n,
    const UmedptCudaRule *rule, cudaStream_t stream);

/* Doubles of @partials that a tensor of @n elements needs in square_sums. */
int64_t umedpt_cuda_square_parts (int64_t n);

/* sums [n] = the sum of squares of each tensor src[i] [sizes[i]], in double; of
 * an empty one 0. @partials: device, the parts of all tensors. */
cudaError_t umedpt_cuda_square_sums (const float *const *src,
    const int64_t *sizes, int n, double *partials, double *sums,
    cudaStream_t stream);

/* result [2] on the device = the norm of all, i.e. the root of the sum of
 * @sums [n], and min (1, clip / (norm + epsilon)), which is NaN if the norm is
 * not finite; 1 if @clip is 0. */
cudaError_t umedpt_cuda_clip_scale (const double *sums, int n, double clip,
    double epsilon, double *result, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
