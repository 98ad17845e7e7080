/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A batch: tensors as large as its samples need, which threads fill each at
 * its own place, so that nothing is collated afterwards.
 */
#include <string.h>

#include "base/error.h"
#include "data/loader-private.h"

static gboolean
has_planes (UmedptTaskKind kind)
{
  return kind == UMEDPT_TASK_MULTILABEL ||
      kind == UMEDPT_TASK_MULTILABEL_SEGMENTATION;
}

static void
boxes_free (gpointer boxes)
{
  g_array_unref (boxes);
}

/* The tensor of targets; the labels are per case if there are cases. */
static UmedptTensor *
new_targets (const UmedptBatchShape *shape, guint n, guint n_cases,
    GError **error)
{
  gint64 rows = n_cases > 0 ? n_cases : n;
  gint64 labels[] = { rows, shape->n_labels };
  gint64 mask[] = { n, shape->height, shape->width, shape->n_labels };

  switch (shape->kind) {
    case UMEDPT_TASK_CLASSIFICATION:
      return umedpt_tensor_new_zeros (UMEDPT_DTYPE_I32, 1, labels, error);
    case UMEDPT_TASK_REGRESSION:
      return umedpt_tensor_new_zeros (UMEDPT_DTYPE_F32, 1, labels, error);
    case UMEDPT_TASK_MULTILABEL:
      return umedpt_tensor_new_zeros (UMEDPT_DTYPE_F32, 2, labels, error);
    default:
      return umedpt_tensor_new (UMEDPT_DTYPE_U8,
          has_planes (shape->kind) ? 4 : 3, mask, error);
  }
}

/* 1 where a sample says nothing. */
static UmedptTensor *
new_weights (const UmedptBatchShape *shape, gint64 rows, GError **error)
{
  gint64 dims[] = { rows, shape->n_labels };
  UmedptTensor *weights = umedpt_tensor_new (UMEDPT_DTYPE_F32, 2, dims, error);
  gfloat *data;

  if (!weights)
    return NULL;
  data = umedpt_tensor_get_data_writable (weights);
  for (gsize i = 0; i < umedpt_tensor_get_n_elements (weights); i++)
    data[i] = 1;
  return weights;
}

/* @n_groups: cases, 0 if the batch is not grouped. */
UmedptBatch *
umedpt_batch_new (const UmedptBatchShape *shape, guint n, guint n_groups,
    GError **error)
{
  g_autoptr (UmedptBatch) self = g_new0 (UmedptBatch, 1);
  gint64 images[] = { n, shape->height, shape->width, 3 };

  self->kind = shape->kind;
  self->n = n;
  self->n_groups = n_groups;
  self->indices = g_new0 (guint, n);
  self->maps = g_new0 (UmedptAugmentMap, n);
  self->images = umedpt_tensor_new (UMEDPT_DTYPE_F32, 4, images, error);
  if (!self->images)
    return NULL;
  if (n_groups > 0) {
    self->groups = umedpt_tensor_new_zeros (UMEDPT_DTYPE_I32, 1, images, error);
    if (!self->groups)
      return NULL;
  }
  if (shape->kind == UMEDPT_TASK_MULTILABEL) {
    self->weights = new_weights (shape, n_groups > 0 ? n_groups : n, error);
    if (!self->weights)
      return NULL;
  }
  if (shape->kind == UMEDPT_TASK_DETECTION) {
    self->boxes = g_ptr_array_new_with_free_func (boxes_free);
    for (guint i = 0; i < n; i++)
      g_ptr_array_add (self->boxes,
          g_array_new (FALSE, FALSE, sizeof (UmedptBox)));
    return g_steal_pointer (&self);
  }
  self->targets = new_targets (shape, n, n_groups, error);
  return self->targets ? g_steal_pointer (&self) : NULL;
}

/* FALSE with @error set if @sample lacks what its kind must have. */
gboolean
umedpt_batch_check (const UmedptBatchShape *shape, const UmedptSample *sample,
    GError **error)
{
  const char *missing = NULL;

  if (shape->kind == UMEDPT_TASK_MULTILABEL && !sample->labels)
    missing = "labels";
  if (shape->kind == UMEDPT_TASK_DETECTION && !sample->boxes)
    missing = "boxes";
  if ((shape->kind == UMEDPT_TASK_SEGMENTATION ||
          shape->kind == UMEDPT_TASK_MULTILABEL_SEGMENTATION) &&
      !sample->mask)
    missing = "a mask";
  if (!missing)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
      "The sample has no annotation; expected %s.", missing);
  return FALSE;
}

static void
store_labels (UmedptBatch *self, guint n_labels, gint target,
    const UmedptSample *sample)
{
  gsize at = (gsize) target * n_labels;
  gfloat *data = umedpt_tensor_get_data_writable (self->targets);

  memcpy (data + at, sample->labels, n_labels * sizeof (gfloat));
  if (!sample->weights)
    return;
  data = umedpt_tensor_get_data_writable (self->weights);
  memcpy (data + at, sample->weights, n_labels * sizeof (gfloat));
}

/* Puts image @i in place. @target: the row of its label, or -1 if another
 * image of its case has given it. */
void
umedpt_batch_store (UmedptBatch *self, const UmedptBatchShape *shape, guint i,
    gint target, UmedptSample *sample)
{
  gsize n = (gsize) shape->width * shape->height;
  gsize planes = has_planes (shape->kind) ? shape->n_labels : 1;
  gfloat *images = umedpt_tensor_get_data_writable (self->images);
  gpointer targets =
      self->targets ? umedpt_tensor_get_data_writable (self->targets) : NULL;

  memcpy (images + 3 * n * i, sample->image, 3 * n * sizeof (gfloat));
  if (shape->kind == UMEDPT_TASK_DETECTION) {
    g_array_unref (self->boxes->pdata[i]);
    self->boxes->pdata[i] = g_steal_pointer (&sample->boxes);
  } else if (shape->kind == UMEDPT_TASK_SEGMENTATION ||
      shape->kind == UMEDPT_TASK_MULTILABEL_SEGMENTATION) {
    memcpy ((guint8 *) targets + n * planes * i, sample->mask, n * planes);
  } else if (target >= 0) {
    if (shape->kind == UMEDPT_TASK_CLASSIFICATION)
      ((gint32 *) targets)[target] = sample->label;
    else if (shape->kind == UMEDPT_TASK_REGRESSION)
      ((gfloat *) targets)[target] = (gfloat) sample->value;
    else
      store_labels (self, shape->n_labels, target, sample);
  }
}

/**
 * umedpt_batch_free:
 * @batch: (nullable) (transfer full): a batch
 *
 * Frees a batch and its references on tensors.
 *
 * Since: 0.1
 */
void
umedpt_batch_free (UmedptBatch *batch)
{
  if (!batch)
    return;
  g_clear_pointer (&batch->images, umedpt_tensor_unref);
  g_clear_pointer (&batch->groups, umedpt_tensor_unref);
  g_clear_pointer (&batch->targets, umedpt_tensor_unref);
  g_clear_pointer (&batch->weights, umedpt_tensor_unref);
  g_clear_pointer (&batch->boxes, g_ptr_array_unref);
  g_free (batch->indices);
  g_free (batch->maps);
  g_free (batch);
}
