/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Matrix products of dense row-major matrices in device memory:
 *
 *   c [m, n] = activation (op (a) [m, k] op (b) [k, n] + bias)     or
 *   c [m, n] = add + op (a) op (b)
 *
 * A transposed a is [k, m], a transposed b [n, k]. So with src [M, K], weight
 * [N, K] and diff [M, N]: src weight^T has b transposed; diff weight, nothing;
 * diff^T src, a. Sums are f32, and the same bits come out every time.
 */
#pragma once

#include "cuda.h"

G_BEGIN_DECLS

typedef struct
{
  gint64 m, n, k;
  const void *a, *b; /* f32, or bf16 if @half */
  gboolean half;
  gboolean a_transposed, b_transposed;
  void *c; /* f32, or bf16 if @c_half */
  gboolean c_half;
  UmedptTensor *bias; /* (nullable) f32 [n] */
  UmedptActivation activation;
  void *saved; /* (nullable) c's type: what the activation was applied to */
  /* (nullable) of c's type, may be c; with neither bias nor activation */
  const void *add;
} UmedptCudaGemm;

/* bf16 results may have an approximate GELU and a bias rounded to bf16. */
gboolean umedpt_cuda_gemm (UmedptCuda *cuda, const UmedptCudaGemm *gemm,
    GError **error);

/* gemm-plan.c: one product as cuBLASLt does it. */

typedef enum
{
  UMEDPT_CUDA_GEMM_FAILED, /* error is set */
  UMEDPT_CUDA_GEMM_REFUSED, /* cuBLASLt has nothing for it */
  UMEDPT_CUDA_GEMM_QUEUED,
} UmedptCudaGemmResult;

/* @epilogue: what of @gemm's end is done along; bias, activation and saved are
 * looked at only if it says so. */
UmedptCudaGemmResult umedpt_cuda_gemm_lt (UmedptCuda *cuda,
    const UmedptCudaGemm *gemm, cublasLtEpilogue_t epilogue, GError **error);

G_END_DECLS
