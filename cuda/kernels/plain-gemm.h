/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A matrix product of any size and alignment on a CUDA device, for what
 * cuBLASLt refuses and to find out who is to blame:
 *
 *   c [m, n] = op (a) [m, k] op (b) [k, n] (+ add)
 *
 * All matrices are dense and row-major in device memory; a transposed a is
 * [k, m], a transposed b [n, k]. Sums are f32. The kernel is only queued.
 */
#pragma once

#include <cuda_runtime_api.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct
{
  int64_t m, n, k;
  const void *a, *b; /* f32, or bf16 if @half */
  int half;
  int a_transposed, b_transposed;
  void *c; /* f32, or bf16 if @c_half */
  int c_half;
  const void *add; /* (nullable) of c's type; may be c */
} UmedptCudaPlainGemm;

cudaError_t umedpt_cuda_plain_gemm (const UmedptCudaPlainGemm *self,
    cudaStream_t stream);

#ifdef __cplusplus
}
#endif
