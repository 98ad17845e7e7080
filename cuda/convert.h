/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Conversion of element types on a CUDA device; C on one side, CUDA C++ on
 * the other, hence no GLib here. Results are 0 (cudaSuccess) or a cudaError_t.
 */
#pragma once

#include <cuda_runtime_api.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* All pointers are device memory of @n elements; the kernel is only queued. */
cudaError_t umedpt_cuda_u8_to_f32 (const uint8_t *src, float *dst, size_t n,
    cudaStream_t stream);
cudaError_t umedpt_cuda_f32_to_bf16 (const float *src, uint16_t *dst, size_t n,
    cudaStream_t stream);
cudaError_t umedpt_cuda_bf16_to_f32 (const uint16_t *src, float *dst, size_t n,
    cudaStream_t stream);

#ifdef __cplusplus
}
#endif
