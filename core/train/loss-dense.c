/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Losses of tasks with a result per pixel or point. Masks are brought to the
 * logits' size by the nearest pixel: row floor (i H / h) of the mask for row i
 * of the logits, so that 224 -> 112 takes pixels 2 i. Formulas and references:
 * docs/losses.md.
 */
#include <math.h>

#include "base/error.h"
#include "train/loss-private.h"

#define INVERSE_LN2 1.4426950408889634
#define MIN_CENTERNESS 1e-6

/* One row of one image; @planes values per pixel. FALSE: *@wrong is no label.
 */
static gboolean
resize_row (const guint8 *src, gint64 src_width, guint8 *dst, gint64 dst_width,
    gint64 planes, guint n_classes, gsize *n_labelled, guint8 *wrong)
{
  for (gint64 x = 0; x < dst_width; x++)
    for (gint64 p = 0; p < planes; p++) {
      const guint8 value = src[x * src_width / dst_width * planes + p];

      dst[x * planes + p] = value;
      if (value == UMEDPT_IGNORE_PIXEL)
        continue;
      ++*n_labelled;
      if (value >= n_classes) {
        *wrong = value;
        return FALSE;
      }
    }
  return TRUE;
}

/* @labels: u8 of the logits' size. The number of entries that count, or -1
 * with @error set. */
static gssize
resize_labels (const UmedptLossPart *part, gboolean multilabel,
    UmedptTensor *labels, GError **error)
{
  const UmedptTensor *masks = part->batch->targets;
  const gint64 height = labels->shape[1], width = labels->shape[2];
  const gint64 k = part->output->outputs[0]->shape[3];
  const gint64 planes = multilabel ? k : 1;
  const gint64 src_row = masks->shape[2] * planes;
  const guint n_classes = multilabel ? 2 : (guint) k;
  gsize n_labelled = 0;
  guint8 wrong = 0;

  for (gint64 i = 0; i < part->n; i++)
    for (gint64 y = 0; y < height; y++) {
      const gint64 src_y =
          (part->first + i) * masks->shape[1] + y * masks->shape[1] / height;
      guint8 *dst = UMEDPT_U8 (labels) + (i * height + y) * width * planes;

      if (!resize_row (UMEDPT_U8 (masks) + src_y * src_row, masks->shape[2],
              dst, width, planes, n_classes, &n_labelled, &wrong)) {
        g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
            "A mask of '%s' holds the value %u; allowed are 0 to %u, and %u "
            "for what does not count.",
            part->task->name, wrong, n_classes - 1, UMEDPT_IGNORE_PIXEL);
        return -1;
      }
    }
  return (gssize) n_labelled;
}

static gboolean
check_masks (const UmedptLossPart *part, gint64 planes, GError **error)
{
  const UmedptTensor *logits = part->output->outputs[0];
  const UmedptTensor *masks = part->batch->targets;
  g_autofree char *is = NULL;
  g_autofree char *of = NULL;

  if (masks->n_dims >= 3 && (gint64) part->first + part->n <= masks->shape[0] &&
      (gint64) masks->n_elements ==
          masks->shape[0] * masks->shape[1] * masks->shape[2] * planes)
    return TRUE;
  is = umedpt_tensor_describe (masks);
  of = umedpt_tensor_describe (logits);
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE,
      "Masks %s do not fit the logits %s of '%s'.", is, of, part->task->name);
  return FALSE;
}

static gboolean
run_segmentation (const UmedptLossPart *part, gboolean multilabel,
    UmedptTensor *labels, UmedptLoss *loss, GError **error)
{
  UmedptTensor *logits = part->output->outputs[0];
  g_autoptr (UmedptTensor) placed = NULL;
  g_autoptr (UmedptTensor) values = NULL; /* f32 [2] */
  g_autoptr (UmedptTensor) diff = NULL;

  placed = umedpt_loss_place (part, labels, error);
  if (!placed || !umedpt_loss_new_values (part, 1, loss, error))
    return FALSE;
  values = umedpt_loss_values_row (loss, 0, 2, error);
  return values && umedpt_loss_new_diff (part, logits, &diff, error) &&
      umedpt_op_segmentation_loss (part->context,
          &(UmedptSegmentationLossArgs){ .logits = logits,
              .labels = placed,
              .loss = values,
              .diff_logits = diff,
              .multilabel = multilabel,
              .focal_scale = (float) (multilabel
                      ? INVERSE_LN2
                      : umedpt_loss_class_scale (logits->shape[3])) },
          error) &&
      umedpt_loss_seed (logits, diff, error);
}

/* A single label is there or not: its mask is of 0 and 1. */
gboolean
umedpt_loss_segmentation (const UmedptLossPart *part, UmedptLoss *loss,
    GError **error)
{
  const UmedptTensor *logits = part->output->outputs[0];
  const gint64 k = logits->shape[3];
  const gboolean multilabel =
      k == 1 || part->task->kind == UMEDPT_TASK_MULTILABEL_SEGMENTATION;
  g_autoptr (UmedptTensor) labels = NULL;
  gssize n_labelled;

  if (!check_masks (part, multilabel ? k : 1, error))
    return FALSE;
  labels = umedpt_tensor_new (UMEDPT_DTYPE_U8, multilabel ? 4 : 3,
      logits->shape, error);
  if (!labels)
    return FALSE;
  n_labelled = resize_labels (part, multilabel, labels, error);
  if (n_labelled < 0)
    return FALSE;
  loss->n_parts = 2;
  loss->names[0] = "dice";
  loss->names[1] = "focal";
  loss->skipped = n_labelled == 0;
  return loss->skipped ||
      run_segmentation (part, multilabel, labels, loss, error);
}

/* One level's losses, in its row of @loss, and seeds. */
static gboolean
detection_level (const UmedptLossPart *part, guint level,
    const UmedptDetectionTargets *targets,
    const UmedptLossNormalizers *normalizers, UmedptLoss *loss, GError **error)
{
  UmedptTensor *const *outputs = part->output->outputs + 3 * level;
  g_autoptr (UmedptTensor) values = NULL; /* f32 [3] */
  g_autoptr (UmedptTensor) classes = NULL;
  g_autoptr (UmedptTensor) boxes = NULL;
  g_autoptr (UmedptTensor) centerness = NULL;

  values = umedpt_loss_values_row (loss, level, 3, error);
  if (!values || !umedpt_loss_new_diff (part, outputs[0], &classes, error) ||
      !umedpt_loss_new_diff (part, outputs[1], &boxes, error) ||
      !umedpt_loss_new_diff (part, outputs[2], &centerness, error) ||
      !umedpt_op_detection_loss (part->context,
          &(UmedptDetectionLossArgs){ .classes = outputs[0],
              .boxes = outputs[1],
              .centerness = outputs[2],
              .target_classes = targets->classes[level],
              .target_boxes = targets->boxes[level],
              .loss = values,
              .diff_classes = classes,
              .diff_boxes = boxes,
              .diff_centerness = centerness,
              .class_scale =
                  (float) umedpt_loss_class_scale (outputs[0]->shape[3]),
              .positives = (float) MAX (normalizers->positives, 1),
              .centerness_sum =
                  (float) MAX (normalizers->centerness, MIN_CENTERNESS) },
          error))
    return FALSE;
  return umedpt_loss_seed (outputs[0], classes, error) &&
      umedpt_loss_seed (outputs[1], boxes, error) &&
      umedpt_loss_seed (outputs[2], centerness, error);
}

/* Whether any point is object or background. */
static gboolean
any_point (const UmedptDetectionTargets *targets)
{
  for (guint l = 0; l < UMEDPT_DETECTION_LEVELS; l++)
    for (gsize i = 0; i < targets->classes[l]->n_elements; i++)
      if (((const gint32 *) targets->classes[l]->data)[i] >= -1)
        return TRUE;
  return FALSE;
}

gboolean
umedpt_loss_detection (const UmedptLossPart *part, UmedptLoss *loss,
    GError **error)
{
  g_auto (UmedptDetectionTargets) targets = { 0 };
  gint64 sizes[UMEDPT_DETECTION_LEVELS][2];
  UmedptLossNormalizers normalizers;

  if (part->first + part->n > part->batch->boxes->len) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE,
        "There are boxes of %u images, and logits of images %u to %u.",
        part->batch->boxes->len, part->first, part->first + part->n - 1);
    return FALSE;
  }
  for (guint l = 0; l < UMEDPT_DETECTION_LEVELS; l++)
    for (guint axis = 0; axis < 2; axis++)
      sizes[l][axis] = part->output->outputs[3 * l]->shape[axis + 1];
  if (!umedpt_detection_targets_make (&targets, part->batch, part->first,
          part->n, sizes, error))
    return FALSE;
  normalizers = (UmedptLossNormalizers){ .positives = targets.positives,
    .centerness = targets.centerness };
  if (part->normalizers)
    normalizers = *part->normalizers;
  loss->n_parts = 3;
  loss->names[0] = "class";
  loss->names[1] = "box";
  loss->names[2] = "centerness";
  loss->skipped = !any_point (&targets);
  if (loss->skipped)
    return TRUE;
  if (!umedpt_detection_targets_place (&targets, part, error) ||
      !umedpt_loss_new_values (part, UMEDPT_DETECTION_LEVELS, loss, error))
    return FALSE;
  for (guint l = 0; l < UMEDPT_DETECTION_LEVELS; l++)
    if (!detection_level (part, l, &targets, &normalizers, loss, error))
      return FALSE;
  return TRUE;
}
