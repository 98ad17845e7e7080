/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Losses of tasks with one result per image (or case): which op, which scale,
 * which divisor. The formulas and where they come from are in docs/losses.md;
 * scales are such that a loss is about 1 at chance (Schäfer et al. 2024).
 *
 * With one class there is no chance to be wrong: softmax gives 1, and the
 * scale is that of two classes instead of 1 / ln 1.
 */
#include <math.h>

#include "base/error.h"
#include "net/decode.h"
#include "train/loss-private.h"

#define INVERSE_LN2 1.4426950408889634

double
umedpt_loss_class_scale (gint64 k)
{
  return 1 / log ((double) MAX (k, 2));
}

gboolean
umedpt_loss_new_diff (const UmedptLossPart *part, UmedptTensor *logits,
    UmedptTensor **diff, GError **error)
{
  *diff = NULL;
  if (!umedpt_context_get_tape (part->context) || !logits->requires_grad)
    return TRUE;
  *diff = umedpt_tensor_new_in (logits->memory, UMEDPT_DTYPE_F32,
      logits->n_dims, logits->shape, error);
  return *diff != NULL;
}

gboolean
umedpt_loss_new_values (const UmedptLossPart *part, guint rows,
    UmedptLoss *loss, GError **error)
{
  const gint64 shape[] = { rows, UMEDPT_LOSS_STRIDE };

  loss->values =
      umedpt_tensor_new_zeros_in (umedpt_context_get_backend (part->context)
                                      ->memory,
          UMEDPT_DTYPE_F32, 2, shape, error);
  return loss->values != NULL;
}

UmedptTensor *
umedpt_loss_values_row (const UmedptLoss *loss, guint row, guint n,
    GError **error)
{
  const gint64 shape = n;

  return umedpt_tensor_new_view (loss->values, (gsize) row * UMEDPT_LOSS_STRIDE,
      1, &shape, error);
}

void
umedpt_loss_clear (UmedptLoss *loss)
{
  g_clear_pointer (&loss->values, umedpt_tensor_unref);
}

gboolean
umedpt_loss_read (UmedptLoss *loss, GError **error)
{
  g_autoptr (UmedptTensor) values = g_steal_pointer (&loss->values);
  g_autoptr (UmedptTensor) host = NULL;

  if (!values)
    return TRUE;
  host = umedpt_tensor_to (values, NULL, error);
  if (!host)
    return FALSE;
  for (gint64 row = 0; row < host->shape[0]; row++)
    for (guint i = 0; i < MAX (loss->n_parts, 1); i++) {
      const float value = UMEDPT_F32 (host)[row * UMEDPT_LOSS_STRIDE + i];

      if (loss->n_parts)
        loss->parts[i] += value;
      loss->total += value;
    }
  return TRUE;
}

UmedptTensor *
umedpt_loss_place (const UmedptLossPart *part, UmedptTensor *tensor,
    GError **error)
{
  return umedpt_tensor_to (tensor,
      umedpt_context_get_backend (part->context)->memory, error);
}

UmedptTensor *
umedpt_loss_place_labels (const UmedptLossPart *part, UmedptTensor *labels,
    gint64 min, gint64 max, GError **error)
{
  const gint32 *values = labels->data;

  for (gsize i = 0; i < labels->n_elements; i++)
    if (values[i] < min || values[i] > max) {
      g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
          "A label of '%s' is %d; %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT
          " is allowed.",
          part->task->name, values[i], min, max);
      return NULL;
    }
  return umedpt_loss_place (part, labels, error);
}

gboolean
umedpt_loss_seed (UmedptTensor *logits, UmedptTensor *diff, GError **error)
{
  return !diff || umedpt_tape_seed (logits, diff, error);
}

/* Rows @first … @first + @n - 1 of @tensor, in its memory. */
static UmedptTensor *
take_rows (UmedptTensor *tensor, guint first, guint n, GError **error)
{
  gint64 shape[UMEDPT_MAX_DIMS];

  if ((gint64) first + n > tensor->shape[0]) {
    g_autofree char *is = umedpt_tensor_describe (tensor);
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE,
        "The labels %s end before row %u, for which there are logits.", is,
        first + n);
    return NULL;
  }
  for (guint d = 0; d < tensor->n_dims; d++)
    shape[d] = tensor->shape[d];
  shape[0] = n;
  return umedpt_tensor_new_view (tensor,
      tensor->n_elements / (gsize) tensor->shape[0] * first, tensor->n_dims,
      shape, error);
}

static double
sum_weights (const UmedptTensor *weights)
{
  double sum = 0;

  for (gsize i = 0; i < weights->n_elements; i++)
    sum += UMEDPT_F32 (weights)[i];
  return sum;
}

/* What counts in these labels (and weights). */
static void
count (UmedptTaskKind kind, const UmedptTensor *targets,
    const UmedptTensor *weights, UmedptLossNormalizers *normalizers)
{
  *normalizers = (UmedptLossNormalizers){ .rows = (double) targets->shape[0] };
  if (kind == UMEDPT_TASK_CLASSIFICATION) {
    normalizers->rows = 0;
    for (gsize i = 0; i < targets->n_elements; i++)
      normalizers->rows += ((const gint32 *) targets->data)[i] >= 0;
  } else if (kind == UMEDPT_TASK_MULTILABEL) {
    normalizers->weights =
        weights ? sum_weights (weights) : (double) targets->n_elements;
  }
}

static gboolean
count_points (const UmedptBatch *batch, UmedptLossNormalizers *normalizers,
    GError **error)
{
  g_auto (UmedptDetectionTargets) targets = { 0 };
  gint64 sizes[UMEDPT_DETECTION_LEVELS][2];

  for (guint l = 0; l < UMEDPT_DETECTION_LEVELS; l++)
    for (guint axis = 0; axis < 2; axis++)
      sizes[l][axis] = umedpt_detection_level_size (l,
          umedpt_tensor_get_dim (batch->images, (gint) axis + 1));
  if (!umedpt_detection_targets_make (&targets, batch, 0, batch->n, sizes,
          error))
    return FALSE;
  *normalizers = (UmedptLossNormalizers){ .rows = batch->n,
    .positives = targets.positives,
    .centerness = targets.centerness };
  return TRUE;
}

/* Dice is a ratio of sums over the batch. */
gboolean
umedpt_loss_is_sum (UmedptTaskKind kind)
{
  return kind != UMEDPT_TASK_SEGMENTATION &&
      kind != UMEDPT_TASK_MULTILABEL_SEGMENTATION;
}

gboolean
umedpt_loss_normalizers (const UmedptTaskDescription *task,
    const UmedptBatch *batch, UmedptLossNormalizers *normalizers,
    GError **error)
{
  switch (task->kind) {
    case UMEDPT_TASK_CLASSIFICATION:
    case UMEDPT_TASK_MULTILABEL:
    case UMEDPT_TASK_REGRESSION:
      count (task->kind, batch->targets, batch->weights, normalizers);
      return TRUE;
    case UMEDPT_TASK_DETECTION:
      return count_points (batch, normalizers, error);
    default:
      break;
  }
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
      "The loss of '%s' cannot be computed in parts: Dice is a ratio of sums "
      "over the whole batch.",
      task->name);
  return FALSE;
}

/* One of the three ops; @loss: f32 [1]. */
static gboolean
run_op (const UmedptLossPart *part, const UmedptLossNormalizers *normalizers,
    UmedptTensor *targets, UmedptTensor *weights, UmedptTensor *loss,
    UmedptTensor *diff, GError **error)
{
  const UmedptTaskDescription *task = part->task;
  UmedptTensor *logits = part->output->outputs[0];
  const double range =
      task->range_max > task->range_min ? task->range_max - task->range_min : 1;

  if (task->kind == UMEDPT_TASK_CLASSIFICATION)
    return umedpt_op_cross_entropy (part->context,
        &(UmedptCrossEntropyArgs){ .logits = logits,
            .targets = targets,
            .loss = loss,
            .diff_logits = diff,
            .gamma = (float) part->focal_gamma,
            .scale = (float) umedpt_loss_class_scale (logits->shape[1]),
            .normalizer = (float) normalizers->rows },
        error);
  if (task->kind == UMEDPT_TASK_MULTILABEL)
    return umedpt_op_binary_cross_entropy (part->context,
        &(UmedptBinaryCrossEntropyArgs){ .logits = logits,
            .targets = targets,
            .weights = weights,
            .loss = loss,
            .diff_logits = diff,
            .scale = (float) INVERSE_LN2,
            .normalizer = (float) normalizers->weights },
        error);
  return umedpt_op_squared_error (part->context,
      &(UmedptSquaredErrorArgs){ .src = logits,
          .targets = targets,
          .loss = loss,
          .diff_src = diff,
          .scale = (float) (1 / (range * range)),
          .normalizer = (float) normalizers->rows },
      error);
}

/* What was taken on the host, where it is to be used; (transfer full) in and
 * out. */
static UmedptTensor *
place_targets (const UmedptLossPart *part, UmedptTensor *targets,
    GError **error)
{
  g_autoptr (UmedptTensor) host = targets;
  const UmedptTensor *logits = part->output->outputs[0];

  if (part->task->kind == UMEDPT_TASK_CLASSIFICATION)
    return umedpt_loss_place_labels (part, host, -1, logits->shape[1] - 1,
        error);
  return umedpt_loss_place (part, host, error);
}

static gboolean
run_rows (const UmedptLossPart *part, const UmedptLossNormalizers *normalizers,
    UmedptTensor *targets, UmedptTensor *weights, UmedptLoss *loss,
    GError **error)
{
  UmedptTensor *logits = part->output->outputs[0];
  g_autoptr (UmedptTensor) placed_weights = NULL;
  g_autoptr (UmedptTensor) value = NULL; /* f32 [1] */
  g_autoptr (UmedptTensor) diff = NULL;

  if (weights) {
    placed_weights = umedpt_loss_place (part, weights, error);
    if (!placed_weights)
      return FALSE;
  }
  if (!umedpt_loss_new_values (part, 1, loss, error))
    return FALSE;
  value = umedpt_loss_values_row (loss, 0, 1, error);
  return value && umedpt_loss_new_diff (part, logits, &diff, error) &&
      run_op (part, normalizers, targets, placed_weights, value, diff, error) &&
      umedpt_loss_seed (logits, diff, error);
}

static gboolean
loss_of_rows (const UmedptLossPart *part, UmedptLoss *loss, GError **error)
{
  UmedptTensor *logits = part->output->outputs[0];
  const gboolean regression = part->task->kind == UMEDPT_TASK_REGRESSION;
  UmedptLossNormalizers own;
  g_autoptr (UmedptTensor) targets = NULL;
  g_autoptr (UmedptTensor) weights = NULL;
  double divisor;

  targets = take_rows (part->batch->targets, part->first, part->n, error);
  if (!targets)
    return FALSE;
  if (part->batch->weights) {
    weights = take_rows (part->batch->weights, part->first, part->n, error);
    if (!weights)
      return FALSE;
  }
  if (regression) { /* [n], as the values are */
    UmedptTensor *column =
        umedpt_tensor_reshape (targets, logits->n_dims, logits->shape, error);
    if (!column)
      return FALSE;
    umedpt_tensor_unref (targets);
    targets = column;
  }
  count (part->task->kind, targets, weights, &own);
  divisor = part->task->kind == UMEDPT_TASK_MULTILABEL ? own.weights : own.rows;
  loss->skipped = !(divisor > 0);
  if (loss->skipped)
    return TRUE;
  targets = place_targets (part, targets, error);
  return targets &&
      run_rows (part, part->normalizers ? part->normalizers : &own, targets,
          weights, loss, error);
}

gboolean
umedpt_loss_begin (UmedptContext *context, const UmedptTaskDescription *task,
    const UmedptTaskOutput *output, const UmedptBatch *batch, guint first,
    double focal_gamma, const UmedptLossNormalizers *normalizers,
    UmedptLoss *loss, GError **error)
{
  const UmedptLossPart part = { .context = context,
    .task = task,
    .output = output,
    .batch = batch,
    .first = first,
    .n = (guint) output->outputs[0]->shape[0],
    .focal_gamma = focal_gamma,
    .normalizers = normalizers };
  gboolean ok;

  *loss = (UmedptLoss){ 0 };
  switch (task->kind) {
    case UMEDPT_TASK_SEGMENTATION:
    case UMEDPT_TASK_MULTILABEL_SEGMENTATION:
      ok = umedpt_loss_segmentation (&part, loss, error);
      break;
    case UMEDPT_TASK_DETECTION:
      ok = umedpt_loss_detection (&part, loss, error);
      break;
    default:
      ok = loss_of_rows (&part, loss, error);
      break;
  }
  if (!ok)
    umedpt_loss_clear (loss);
  return ok;
}

gboolean
umedpt_loss_compute (UmedptContext *context, const UmedptTaskDescription *task,
    const UmedptTaskOutput *output, const UmedptBatch *batch, guint first,
    double focal_gamma, const UmedptLossNormalizers *normalizers,
    UmedptLoss *loss, GError **error)
{
  return umedpt_loss_begin (context, task, output, batch, first, focal_gamma,
             normalizers, loss, error) &&
      umedpt_loss_read (loss, error);
}
