/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Slots of the losses. Values and gradients are written on the device; what
 * is to be shown is downloaded by whoever shows it. A batch without elements
 * has the loss 0.
 */
#include "cuda.h"
#include "kernels/loss.h"

gboolean
umedpt_cuda_cross_entropy (UmedptBackend *backend,
    const UmedptCrossEntropyArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  gpointer partials =
      umedpt_cuda_scratch (cuda, UMEDPT_CUDA_LOSS_SCRATCH (1), &scratch, error);

  if (!partials)
    return FALSE;
  return umedpt_cuda_check (umedpt_cuda_loss_class (UMEDPT_F32 (args->logits),
                                args->targets->data,
                                umedpt_cuda_output (cuda, args->loss),
                                umedpt_cuda_output (cuda, args->diff_logits),
                                umedpt_cuda_rows (args->logits),
                                umedpt_cuda_columns (args->logits), args->gamma,
                                (double) args->scale / args->normalizer,
                                partials, cuda->stream),
      "cross_entropy", error);
}

gboolean
umedpt_cuda_binary_cross_entropy (UmedptBackend *backend,
    const UmedptBinaryCrossEntropyArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  gpointer partials =
      umedpt_cuda_scratch (cuda, UMEDPT_CUDA_LOSS_SCRATCH (1), &scratch, error);

  if (!partials)
    return FALSE;
  return umedpt_cuda_check (umedpt_cuda_loss_binary (UMEDPT_F32 (args->logits),
                                UMEDPT_F32 (args->targets),
                                umedpt_cuda_data (args->weights),
                                umedpt_cuda_output (cuda, args->loss),
                                umedpt_cuda_output (cuda, args->diff_logits),
                                (gint64) args->logits->n_elements,
                                (double) args->scale / args->normalizer,
                                partials, cuda->stream),
      "binary_cross_entropy", error);
}

gboolean
umedpt_cuda_squared_error (UmedptBackend *backend,
    const UmedptSquaredErrorArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  gpointer partials =
      umedpt_cuda_scratch (cuda, UMEDPT_CUDA_LOSS_SCRATCH (1), &scratch, error);

  if (!partials)
    return FALSE;
  return umedpt_cuda_check (umedpt_cuda_loss_square (UMEDPT_F32 (args->src),
                                UMEDPT_F32 (args->targets),
                                umedpt_cuda_output (cuda, args->loss),
                                umedpt_cuda_output (cuda, args->diff_src),
                                (gint64) args->src->n_elements,
                                (double) args->scale / args->normalizer,
                                partials, cuda->stream),
      "squared_error", error);
}

gboolean
umedpt_cuda_segmentation_loss (UmedptBackend *backend,
    const UmedptSegmentationLossArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  gint64 k = umedpt_cuda_columns (args->logits);
  gpointer partials;

  if (k > G_MAXUINT8 + 1) { /* more than labels can tell apart */
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
        "segmentation_loss: %" G_GINT64_FORMAT " classes; 256 at most.", k);
    return FALSE;
  }
  partials = umedpt_cuda_scratch (cuda,
      UMEDPT_CUDA_SEGMENTATION_SCRATCH ((gsize) k), &scratch, error);
  if (!partials)
    return FALSE;
  return umedpt_cuda_check (
      umedpt_cuda_loss_segmentation (UMEDPT_F32 (args->logits),
          UMEDPT_U8 (args->labels), umedpt_cuda_output (cuda, args->loss),
          umedpt_cuda_output (cuda, args->diff_logits),
          umedpt_cuda_rows (args->logits), (int) k, args->multilabel,
          args->focal_scale, partials, cuda->stream),
      "segmentation_loss", error);
}

gboolean
umedpt_cuda_detection_loss (UmedptBackend *backend,
    const UmedptDetectionLossArgs *args, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  g_auto (UmedptCudaScratch) scratch = UMEDPT_CUDA_NO_SCRATCH;
  gpointer partials =
      umedpt_cuda_scratch (cuda, UMEDPT_CUDA_LOSS_SCRATCH (3), &scratch, error);
  UmedptCudaDetection level = {
    .classes = UMEDPT_F32 (args->classes),
    .boxes = UMEDPT_F32 (args->boxes),
    .centerness = UMEDPT_F32 (args->centerness),
    .target_classes = args->target_classes->data,
    .target_boxes = UMEDPT_F32 (args->target_boxes),
    .points = (gint64) args->target_classes->n_elements,
    .k = umedpt_cuda_columns (args->classes),
    .class_scale = (double) args->class_scale / args->positives,
    .centerness_scale = 0.2 / args->positives,
    .centerness_sum = args->centerness_sum,
  };

  if (!partials)
    return FALSE;
  level.loss = umedpt_cuda_output (cuda, args->loss);
  level.diff_classes = umedpt_cuda_output (cuda, args->diff_classes);
  level.diff_boxes = umedpt_cuda_output (cuda, args->diff_boxes);
  level.diff_centerness = umedpt_cuda_output (cuda, args->diff_centerness);
  return umedpt_cuda_check (umedpt_cuda_loss_detection (&level, partials,
                                cuda->stream),
      "detection_loss", error);
}
