/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Optimiser steps and sums of squares, of one tensor or many. A step changes
 * parameters in their place, so their bf16 forms are dropped, or written along.
 */
#include "ops/optimizer.h"

#include <math.h>

#include "kernels/optimizer.h"

/* Where the bf16 form of @parameter goes, in *@bf16: NULL if there is to be
 * none. Vectors are never operands of matrix products. */
static gboolean
prepare_parameter (UmedptCuda *cuda, UmedptTensor *parameter, gboolean wanted,
    gpointer *bf16, GError **error)
{
  *bf16 = NULL;
  umedpt_cuda_output (cuda, parameter);
  if (!wanted || parameter->n_dims != 2)
    return TRUE;
  *bf16 = umedpt_cuda_bf16_output (cuda, parameter, error);
  return *bf16 != NULL;
}

static gboolean
queue_adamw (UmedptCuda *cuda, const UmedptAdamwArgs *args, guint n,
    gboolean bf16, GError **error)
{
  g_autofree UmedptCudaStep *steps = g_new0 (UmedptCudaStep, n);
  UmedptCudaRule rule = { 0 };

  for (guint i = 0; i < n; i++) {
    const UmedptAdamwArgs *a = &args[i];

    steps[i] = (UmedptCudaStep){ .parameter = UMEDPT_F32 (a->parameter),
      .gradient = UMEDPT_F32 (a->gradient),
      .moment1 = umedpt_cuda_output (cuda, a->moment1),
      .moment2 = umedpt_cuda_output (cuda, a->moment2),
      .n = (gint64) a->parameter->n_elements,
      .decay = a->lr * a->weight_decay,
      .rate = a->lr / (1 - pow (a->beta1, (double) a->step)),
      .root = sqrt (1 - pow (a->beta2, (double) a->step)) };
    if (!prepare_parameter (cuda, a->parameter, bf16, &steps[i].bf16, error))
      return FALSE;
  }
  if (n == 0)
    return TRUE;
  rule.gradient_scale = args->gradient_scale;
  rule.beta1 = args->beta1;
  rule.beta2 = args->beta2;
  rule.epsilon = args->epsilon;
  return umedpt_cuda_check (umedpt_cuda_steps_adamw (steps, (int) n, &rule,
                                cuda->stream),
      "adamw", error);
}

gboolean
umedpt_cuda_adamw_many (UmedptBackend *backend, const UmedptAdamwArgs *args,
    guint n, gboolean bf16, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  gboolean ok = queue_adamw (cuda, args, n, bf16, error);

  for (guint i = 0; !ok && i < n; i++) /* no bf16 form that nobody fills */
    umedpt_cuda_output (cuda, args[i].parameter);
  return ok;
}

static gboolean
queue_sgd (UmedptCuda *cuda, const UmedptSgdArgs *args, guint n, gboolean bf16,
    GError **error)
{
  g_autofree UmedptCudaStep *steps = g_new0 (UmedptCudaStep, n);
  UmedptCudaRule rule = { 0 };

  for (guint i = 0; i < n; i++) {
    const UmedptSgdArgs *a = &args[i];

    steps[i] = (UmedptCudaStep){ .parameter = UMEDPT_F32 (a->parameter),
      .gradient = UMEDPT_F32 (a->gradient),
      .moment1 = umedpt_cuda_output (cuda, a->moment),
      .n = (gint64) a->parameter->n_elements,
      .decay = a->weight_decay,
      .rate = a->lr,
      .root = a->step > 1 };
    if (!prepare_parameter (cuda, a->parameter, bf16, &steps[i].bf16, error))
      return FALSE;
  }
  if (n == 0)
    return TRUE;
  rule.gradient_scale = args->gradient_scale;
  rule.momentum = args->momentum;
  rule.nesterov = args->nesterov;
  return umedpt_cuda_check (umedpt_cuda_steps_sgd (steps, (int) n, &rule,
                                cuda->stream),
      "sgd", error);
}

gboolean
umedpt_cuda_sgd_many (UmedptBackend *backend, const UmedptSgdArgs *args,
    guint n, gboolean bf16, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  gboolean ok = queue_sgd (cuda, args, n, bf16, error);

  for (guint i = 0; !ok && i < n; i++) /* no bf16 form that nobody fills */
    umedpt_cuda_output (cuda, args[i].parameter);
  return ok;
}

gboolean
umedpt_cuda_square_sum_many (UmedptBackend *backend, UmedptTensor *const *src,
    guint n, double *results, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  g_autofree const float **data = g_new (const float *, n);
  g_autofree gint64 *sizes = g_new (gint64, n);
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  gsize parts = 0;
  double *sums; /* [n], then the parts */

  if (n == 0)
    return TRUE;
  for (guint i = 0; i < n; i++) {
    data[i] = UMEDPT_F32 (src[i]);
    sizes[i] = (gint64) src[i]->n_elements;
    parts += (gsize) umedpt_cuda_square_parts (sizes[i]);
  }
  sums = umedpt_cuda_scratch (cuda, (n + parts) * sizeof (double), &scratch,
      error);
  if (!sums)
    return FALSE;
  return umedpt_cuda_check (umedpt_cuda_square_sums (data, sizes, (int) n,
                                sums + n, sums, cuda->stream),
             "square_sum", error) &&
      umedpt_cuda_check (cudaMemcpyAsync (results, sums, n * sizeof (double),
                             cudaMemcpyDeviceToHost, cuda->stream),
          "reading a sum of squares", error) &&
      umedpt_cuda_check (cudaStreamSynchronize (cuda->stream),
          "waiting for a sum of squares", error);
}

gboolean
umedpt_cuda_adamw (UmedptBackend *backend, const UmedptAdamwArgs *args,
    GError **error)
{
  return umedpt_cuda_adamw_many (backend, args, 1, FALSE, error);
}

gboolean
umedpt_cuda_sgd (UmedptBackend *backend, const UmedptSgdArgs *args,
    GError **error)
{
  return umedpt_cuda_sgd_many (backend, args, 1, FALSE, error);
}

gboolean
umedpt_cuda_square_sum (UmedptBackend *backend, const UmedptSquareSumArgs *args,
    GError **error)
{
  return umedpt_cuda_square_sum_many (backend, &args->src, 1, args->result,
      error);
}
