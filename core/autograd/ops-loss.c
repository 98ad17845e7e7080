/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Checked losses. Shapes, types and divisors are checked, and every target is:
 * backends use it as an index. Formulas: backend/backend.h.
 */
#include "autograd/ops-private.h"

#include <math.h>

#include "base/error.h"

/* The values of a loss, and the (nullable) gradient of one of its inputs. */
static gboolean
check_outputs (const char *op, const UmedptTensor *loss, gint64 n,
    const UmedptTensor *diff, const char *name, const UmedptTensor *src,
    GError **error)
{
  return umedpt_check_param (op, "loss", loss, UMEDPT_SHAPE (n), error) &&
      (!diff || umedpt_check_same (op, name, diff, src, error));
}

/* Numbers by which sums are divided, or that scale them. */
static gboolean
check_number (const char *op, const char *name, double value, gboolean positive,
    GError **error)
{
  if (isfinite (value) && (value > 0 || !positive))
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "%s: %s is %g; %s is expected.", op, name, value,
      positive ? "a number above 0" : "a finite number");
  return FALSE;
}

/* i32 targets of a shape, each from @min to @max. */
static gboolean
check_targets (const UmedptContext *context, const char *op, const char *name,
    const UmedptTensor *targets, guint n_dims, const gint64 *shape, gint64 min,
    gint64 max, GError **error)
{
  const gint32 *values;

  if (!umedpt_check_input (op, name, targets, UMEDPT_IS_I32, n_dims, error) ||
      !umedpt_check_shape (op, name, targets, n_dims, shape, error))
    return FALSE;
  values = targets->data;
  for (gsize i = 0; context->backend->host_memory && i < targets->n_elements;
       i++)
    if (values[i] < min || values[i] > max) {
      g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
          "%s: element %" G_GSIZE_FORMAT " of %s is %d; %" G_GINT64_FORMAT
          " to %" G_GINT64_FORMAT " is allowed.",
          op, i, name, values[i], min, max);
      return FALSE;
    }
  return TRUE;
}

gboolean
umedpt_op_cross_entropy (UmedptContext *context,
    const UmedptCrossEntropyArgs *args, GError **error)
{
  const char *op = "cross_entropy";
  const UmedptTensor *logits = args->logits;

  if (!umedpt_check_input (op, "logits", logits, UMEDPT_IS_F32, 2, error) ||
      !umedpt_check_range (op, "classes", logits->shape[1], 1, G_MAXINT32,
          error) ||
      !check_targets (context, op, "targets", args->targets,
          UMEDPT_SHAPE (logits->shape[0]), -1, logits->shape[1] - 1, error) ||
      !check_outputs (op, args->loss, 1, args->diff_logits, "diff_logits",
          logits, error) ||
      !check_number (op, "normalizer", args->normalizer, TRUE, error) ||
      !check_number (op, "scale", args->scale, FALSE, error))
    return FALSE;
  if (!(args->gamma >= 0 && isfinite (args->gamma))) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "%s: gamma is %g; 0 (plain cross entropy) or more is expected.", op,
        args->gamma);
    return FALSE;
  }
  return UMEDPT_RUN (context, cross_entropy, args, error, logits, args->loss,
      args->diff_logits);
}

gboolean
umedpt_op_binary_cross_entropy (UmedptContext *context,
    const UmedptBinaryCrossEntropyArgs *args, GError **error)
{
  const char *op = "binary_cross_entropy";
  const UmedptTensor *logits = args->logits;

  if (!umedpt_check_input (op, "logits", logits, UMEDPT_IS_F32, 0, error) ||
      !umedpt_check_same (op, "targets", args->targets, logits, error) ||
      (args->weights &&
          !umedpt_check_same (op, "weights", args->weights, logits, error)) ||
      !check_outputs (op, args->loss, 1, args->diff_logits, "diff_logits",
          logits, error) ||
      !check_number (op, "normalizer", args->normalizer, TRUE, error) ||
      !check_number (op, "scale", args->scale, FALSE, error))
    return FALSE;
  return UMEDPT_RUN (context, binary_cross_entropy, args, error, logits,
      args->loss, args->diff_logits);
}

gboolean
umedpt_op_squared_error (UmedptContext *context,
    const UmedptSquaredErrorArgs *args, GError **error)
{
  const char *op = "squared_error";

  if (!umedpt_check_input (op, "src", args->src, UMEDPT_IS_F32, 0, error) ||
      !umedpt_check_same (op, "targets", args->targets, args->src, error) ||
      !check_outputs (op, args->loss, 1, args->diff_src, "diff_src", args->src,
          error) ||
      !check_number (op, "normalizer", args->normalizer, TRUE, error) ||
      !check_number (op, "scale", args->scale, FALSE, error))
    return FALSE;
  return UMEDPT_RUN (context, squared_error, args, error, args->src, args->loss,
      args->diff_src);
}

/* u8 labels: below @n, or 255. */
static gboolean
check_labels (const UmedptContext *context, const char *op,
    const UmedptTensor *labels, gint64 n, GError **error)
{
  for (gsize i = 0; context->backend->host_memory && i < labels->n_elements;
       i++) {
    guint8 label = UMEDPT_U8 (labels)[i];

    if (label < n || label == 255)
      continue;
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
        "%s: element %" G_GSIZE_FORMAT
        " of labels is %u; 0 to %" G_GINT64_FORMAT
        ", or 255 for what is not labelled, is allowed.",
        op, i, label, n - 1);
    return FALSE;
  }
  return TRUE;
}

gboolean
umedpt_op_segmentation_loss (UmedptContext *context,
    const UmedptSegmentationLossArgs *args, GError **error)
{
  const char *op = "segmentation_loss";
  const UmedptTensor *logits = args->logits;
  guint label_dims = args->multilabel ? 4 : 3;
  gint64 k;

  if (!umedpt_check_input (op, "logits", logits, UMEDPT_IS_F32, 4, error))
    return FALSE;
  k = logits->shape[3];
  if (!umedpt_check_range (op, "classes", k, 1, 255, error) ||
      !umedpt_check_input (op, "labels", args->labels, UMEDPT_IS_U8, label_dims,
          error) ||
      !umedpt_check_shape (op, "labels", args->labels, label_dims,
          logits->shape, error) ||
      !check_outputs (op, args->loss, 2, args->diff_logits, "diff_logits",
          logits, error) ||
      !check_number (op, "focal_scale", args->focal_scale, FALSE, error) ||
      !check_labels (context, op, args->labels, args->multilabel ? 2 : k,
          error))
    return FALSE;
  return UMEDPT_RUN (context, segmentation_loss, args, error, logits,
      args->loss, args->diff_logits);
}

static gboolean
check_detection (const char *op, const UmedptDetectionLossArgs *args,
    GError **error)
{
  const gint64 *s;

  if (!umedpt_check_input (op, "classes", args->classes, UMEDPT_IS_F32, 4,
          error))
    return FALSE;
  s = args->classes->shape; /* [N, H, W, K] */
  return umedpt_check_range (op, "number of classes", s[3], 1, G_MAXINT32,
             error) &&
      umedpt_check_param (op, "boxes", args->boxes,
          UMEDPT_SHAPE (s[0], s[1], s[2], 4), error) &&
      umedpt_check_param (op, "centerness", args->centerness,
          UMEDPT_SHAPE (s[0], s[1], s[2], 1), error) &&
      umedpt_check_param (op, "target_boxes", args->target_boxes,
          UMEDPT_SHAPE (s[0], s[1], s[2], 4), error) &&
      check_outputs (op, args->loss, 3, args->diff_classes, "diff_classes",
          args->classes, error) &&
      check_outputs (op, args->loss, 3, args->diff_boxes, "diff_boxes",
          args->boxes, error) &&
      check_outputs (op, args->loss, 3, args->diff_centerness,
          "diff_centerness", args->centerness, error);
}

gboolean
umedpt_op_detection_loss (UmedptContext *context,
    const UmedptDetectionLossArgs *args, GError **error)
{
  const char *op = "detection_loss";

  if (!check_detection (op, args, error) ||
      !check_targets (context, op, "target_classes", args->target_classes, 3,
          args->classes->shape, -2, args->classes->shape[3] - 1, error) ||
      !check_number (op, "class_scale", args->class_scale, FALSE, error) ||
      !check_number (op, "positives", args->positives, TRUE, error) ||
      !check_number (op, "centerness_sum", args->centerness_sum, TRUE, error))
    return FALSE;
  return UMEDPT_RUN (context, detection_loss, args, error, args->classes,
      args->loss, args->diff_classes, args->diff_boxes, args->diff_centerness);
}
