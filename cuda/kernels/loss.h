/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Losses, value and gradient, on the device; formulas: core/backend/ref/loss.c,
 * loss-segmentation.c and loss-detection.c. All pointers are device memory, the
 * loss's values too; diff_ may be NULL. Nothing waits.
 *
 * Targets on a device cannot be checked before: one that is out of its range
 * is never used as an index, and makes the loss a NaN.
 *
 * Blocks leave their sums in @scratch, doubles [sums, blocks], and a second
 * kernel adds them in order.
 */
#pragma once

#include <cuda_runtime_api.h>
#include <stdint.h>

/* Of a kernel that leaves sums, at most. */
#define UMEDPT_CUDA_LOSS_BLOCKS 1024

/* Bytes of @scratch for a loss of @n values. */
#define UMEDPT_CUDA_LOSS_SCRATCH(n) \
  ((n) *UMEDPT_CUDA_LOSS_BLOCKS * sizeof (double))

/* The same for label maps of @k classes, 256 at most. */
#define UMEDPT_CUDA_SEGMENTATION_SCRATCH(k) \
  (UMEDPT_CUDA_LOSS_SCRATCH (3 * (k) + 2) + (2 * (k) + 1) * sizeof (float))

#ifdef __cplusplus
extern "C" {
#endif

/* logits, diff [m, k], targets [m], loss [1]; @scale: scale / normalizer. */
cudaError_t umedpt_cuda_loss_class (const float *logits, const int32_t *targets,
    float *loss, float *diff, int64_t m, int64_t k, double gamma, double scale,
    void *scratch, cudaStream_t stream);

/* All [n], but loss [1]; weights may be NULL. */
cudaError_t umedpt_cuda_loss_binary (const float *logits, const float *targets,
    const float *weights, float *loss, float *diff, int64_t n, double scale,
    void *scratch, cudaStream_t stream);

/* All [n], but loss [1]. */
cudaError_t umedpt_cuda_loss_square (const float *src, const float *targets,
    float *loss, float *diff, int64_t n, double scale, void *scratch,
    cudaStream_t stream);

/* logits, diff [m, k], labels [m], or [m, k] if @multilabel; loss [2]. */
cudaError_t umedpt_cuda_loss_segmentation (const float *logits,
    const uint8_t *labels, float *loss, float *diff, int64_t m, int k,
    int multilabel, float focal_scale, void *scratch, cudaStream_t stream);

/* One level of FCOS, @points points. */
typedef struct
{
  const float *classes; /* [points, k] */
  const float *boxes; /* [points, 4] */
  const float *centerness; /* [points] */
  const int32_t *target_classes; /* [points] */
  const float *target_boxes; /* [points, 4] */
  float *loss; /* [3] */
  float *diff_classes, *diff_boxes, *diff_centerness;
  int64_t points, k;
  double class_scale; /* class_scale / positives */
  double centerness_scale; /* 0.2 / positives */
  double centerness_sum;
} UmedptCudaDetection;

cudaError_t umedpt_cuda_loss_detection (const UmedptCudaDetection *level,
    void *scratch, cudaStream_t stream);

#ifdef __cplusplus
}
#endif
