/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Ops that look at one element at a time, on a CUDA device: conversion of
 * types, activations, sums, products, and two small ones of attention's
 * parameters. All pointers are device memory of @n elements; kernels are only
 * queued.
 */
#pragma once

#include <cuda_runtime_api.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Rounded as umedpt_f32_to_bf16() does it; u8 is divided by 255. */
cudaError_t umedpt_cuda_u8_to_f32 (const uint8_t *src, float *dst, size_t n,
    cudaStream_t stream);
cudaError_t umedpt_cuda_u8_to_bf16 (const uint8_t *src, uint16_t *dst, size_t n,
    cudaStream_t stream);
cudaError_t umedpt_cuda_f32_to_bf16 (const float *src, uint16_t *dst, size_t n,
    cudaStream_t stream);
cudaError_t umedpt_cuda_bf16_to_f32 (const uint16_t *src, float *dst, size_t n,
    cudaStream_t stream);

/* The values of UmedptActivation; ops/elements.c checks that they are. */
enum
{
  UMEDPT_CUDA_ACTIVATE_NONE,
  UMEDPT_CUDA_ACTIVATE_RELU,
  UMEDPT_CUDA_ACTIVATE_GELU,
  UMEDPT_CUDA_ACTIVATE_SIGMOID,
  UMEDPT_CUDA_ACTIVATE_TANH,
};

/* f32, or bf16 if @half. shadow: (nullable) for f32, dst in bf16. */
cudaError_t umedpt_cuda_launch_activate (const void *src, void *dst,
    uint16_t *shadow, int64_t n, int activation, int half, cudaStream_t stream);
cudaError_t umedpt_cuda_launch_activate_backward (const void *src,
    const void *diff_dst, void *diff_src, int accumulate, int64_t n,
    int activation, int half, cudaStream_t stream);

/* dst = a + b or a b; @one: b is one element for all. dst may be a. */
cudaError_t umedpt_cuda_launch_add (const float *a, const float *b, int one,
    float *dst, int64_t n, cudaStream_t stream);
cudaError_t umedpt_cuda_launch_multiply (const float *a, const float *b,
    int one, float *dst, int64_t n, cudaStream_t stream);

/* Gradients may be NULL. With @one, diff_b is added to, by way of @scratch:
 * UMEDPT_CUDA_MULTIPLY_SCRATCH bytes (else NULL). */
#define UMEDPT_CUDA_MULTIPLY_SCRATCH (512 * sizeof (float))
cudaError_t umedpt_cuda_launch_multiply_backward (const float *a,
    const float *b, int one, const float *diff_dst, float *diff_a,
    int accumulate_a, float *diff_b, int accumulate_b, int64_t n,
    float *scratch, cudaStream_t stream);

/* dst = exp (min (src, ln 100)); backward: diff_src is added to. */
cudaError_t umedpt_cuda_launch_logit_scale (const float *src, float *dst,
    int64_t n, cudaStream_t stream);
cudaError_t umedpt_cuda_launch_logit_scale_backward (const float *src,
    const float *diff_dst, float *diff_src, int64_t n, cudaStream_t stream);

/* The middle third of @n elements is 0, and gets no gradient. */
cudaError_t umedpt_cuda_launch_mask_key_bias (const float *src, float *dst,
    int64_t n, cudaStream_t stream);
cudaError_t umedpt_cuda_launch_mask_key_bias_backward (const float *diff_dst,
    float *diff_src, int64_t n, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
