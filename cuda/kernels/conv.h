/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Kernels around convolutions: filters in the order in which products read
 * them, what is done to cuDNN's results, and convolutions of any shape, for
 * those that cuDNN cannot do or that are too small for it.
 *
 * Maps are dense and channels-last. Filters are
 *   checkpoint  [o, c, kh, kw], f32
 *   forward     [o, kh, kw, c], what cuDNN calls KRSC
 *   swapped     [c, kh, kw, o], for the gradient of the source
 * `bf16` says whether an operand is bf16 or else f32. The stream is last;
 * nothing here waits.
 */
#pragma once

#include <cuda_runtime_api.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct
{
  int64_t n, h, w, c; /* source */
  int64_t oh, ow, o; /* result: [n, oh, ow, o] */
  int64_t kh, kw; /* filter */
  int64_t stride, padding; /* of both axes */
} UmedptCudaConvSizes;

/* What becomes of a sum: dst = f (sum + bias), or dst += it. */
typedef struct
{
  const float *bias; /* (nullable) one per column */
  int activation; /* UMEDPT_CUDA_ACTIVATE_, elements.h */
  void *dst;
  int dst_bf16;
  int accumulate;
} UmedptCudaConvOutput;

/* Whether the three convolutions below can do this size. */
int umedpt_cuda_conv_fits (const UmedptCudaConvSizes *sizes);

/* @weight in the order of forward, or swapped, f32 or bf16. */
cudaError_t umedpt_cuda_conv_weights (const float *weight, void *dst, int bf16,
    int swapped, int64_t o, int64_t c, int64_t taps, cudaStream_t stream);

/* output of @src [rows, columns]. */
cudaError_t umedpt_cuda_conv_finish (const void *src, int bf16, int64_t rows,
    int64_t columns, const UmedptCudaConvOutput *output, cudaStream_t stream);

/* The convolution of @src [n, h, w, c] with @weight (forward). */
cudaError_t umedpt_cuda_conv_forward (const UmedptCudaConvSizes *sizes,
    const void *src, const void *weight, int bf16,
    const UmedptCudaConvOutput *output, cudaStream_t stream);

/* The gradient of the source for @diff [n, oh, ow, o], that of the result;
 * @weight: swapped. */
cudaError_t umedpt_cuda_conv_source_gradient (const UmedptCudaConvSizes *sizes,
    const void *diff, const void *weight, int bf16,
    const UmedptCudaConvOutput *output, cudaStream_t stream);

/* The gradient of the filter in @parts summands, f32 [parts, o, kh, kw, c];
 * their number for a shape is that of _parts (). */
int64_t
umedpt_cuda_conv_weight_gradient_parts (const UmedptCudaConvSizes *sizes);
cudaError_t umedpt_cuda_conv_weight_gradient (const UmedptCudaConvSizes *sizes,
    const void *src, const void *diff, int bf16, int64_t parts, float *dst,
    cudaStream_t stream);
/* diff_weight [o, c, kh, kw] += the sum over @parts of @src, f32 or bf16. */
cudaError_t umedpt_cuda_conv_add_weight_gradient (const void *src, int bf16,
    int64_t parts, int64_t o, int64_t c, int64_t taps, float *diff_weight,
    cudaStream_t stream);

/* ---- conv-split.cu: the same for bf16 operands and small maps ---- */

/* Whether these are made for a size; operands are aligned to 16 bytes, and
 * filters are those of forward for both directions. */
int umedpt_cuda_conv_split_suits (const UmedptCudaConvSizes *sizes,
    int backwards);
int umedpt_cuda_conv_split_suits_gradient (const UmedptCudaConvSizes *sizes);

cudaError_t umedpt_cuda_conv_split_forward (const UmedptCudaConvSizes *sizes,
    const void *src, const void *weight, const UmedptCudaConvOutput *output,
    cudaStream_t stream);
cudaError_t
umedpt_cuda_conv_split_source_gradient (const UmedptCudaConvSizes *sizes,
    const void *diff, const void *weight, const UmedptCudaConvOutput *output,
    cudaStream_t stream);
/* Both gradients of parameters are added to; diff_bias: (nullable). */
cudaError_t umedpt_cuda_conv_split_gradient (const UmedptCudaConvSizes *sizes,
    const void *src, const void *diff, float *diff_weight, float *diff_bias,
    cudaStream_t stream);

/* diff_bias [columns] += the sums of the columns of @diff [rows, columns].
 * @scratch: f32 [parts, columns], parts from _parts (). */
int64_t umedpt_cuda_conv_bias_gradient_parts (int64_t rows, int64_t columns);
cudaError_t umedpt_cuda_conv_bias_gradient (const void *diff, int bf16,
    int64_t rows, int64_t columns, float *scratch, float *diff_bias,
    cudaStream_t stream);

#ifdef __cplusplus
}
#endif
