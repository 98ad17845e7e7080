/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One task over a part of its data, without gradients: loss, metrics, and the
 * first images with truth and prediction for who shows them. Validation during
 * training and evaluation of a finished model are this same function, so their
 * numbers are the same.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "train/trainer-private.h"

void
umedpt_validation_clear (UmedptValidation *self)
{
  g_clear_pointer (&self->metrics, umedpt_metrics_free);
  g_clear_pointer (&self->json, g_free);
}

char *
umedpt_validation_to_json (const UmedptValidation *self,
    const UmedptTaskDescription *task)
{
  g_autofree char *metrics = umedpt_metrics_to_json (self->metrics);
  GString *json = g_string_new ("{");

  umedpt_log_double (json, "loss", self->loss);
  umedpt_log_labels (json, task);
  if (metrics[0] == '{' && metrics[1] != '}')
    g_string_append_c (json, ',');
  g_string_append (json, metrics + 1);
  return g_string_free (json, FALSE);
}

/* Truth and prediction of a dense task; planes > 1: multilabel. */
static void
fill_mask (UmedptPrediction *prediction, const UmedptTaskOutput *output,
    const UmedptTaskDescription *task, const UmedptBatch *batch, guint image,
    guint8 **mask)
{
  gsize planes = task->kind == UMEDPT_TASK_MULTILABEL_SEGMENTATION
      ? (gsize) umedpt_task_description_get_n_outputs (task)
      : 1;
  gsize size = (gsize) prediction->width * (gsize) prediction->height * planes;

  *mask = g_malloc (size);
  umedpt_decode_mask (output, task, image, task->threshold, prediction->width,
      prediction->height, *mask);
  prediction->mask = *mask;
  prediction->mask_truth =
      (const guint8 *) umedpt_tensor_get_data (batch->targets) + image * size;
}

static void
fill_truth (UmedptPrediction *prediction, const UmedptTaskDescription *task,
    const UmedptBatch *batch, guint row)
{
  const gsize at =
      (gsize) row * (gsize) umedpt_task_description_get_n_outputs (task);
  gconstpointer targets =
      batch->targets ? umedpt_tensor_get_data (batch->targets) : NULL;

  switch (task->kind) {
    case UMEDPT_TASK_CLASSIFICATION:
      prediction->label = ((const gint32 *) targets)[row];
      break;
    case UMEDPT_TASK_MULTILABEL:
      prediction->labels = (const gfloat *) targets + at;
      if (batch->weights)
        prediction->weights = UMEDPT_F32 (batch->weights) + at;
      break;
    case UMEDPT_TASK_REGRESSION:
      prediction->value = ((const gfloat *) targets)[row];
      break;
    default:
      break;
  }
}

static void
show (const UmedptTrainObserver *observer, const UmedptTrainTask *config,
    const UmedptTaskDescription *task, const UmedptTaskOutput *output,
    const UmedptBatch *batch, guint image)
{
  const gint64 *shape = umedpt_tensor_get_shape (batch->images);
  const UmedptDetectionSettings settings = UMEDPT_DETECTION_DEFAULTS;
  guint row = batch->groups
      ? (guint) ((const gint32 *) umedpt_tensor_get_data (batch->groups))[image]
      : image;
  g_autofree gfloat *values =
      g_new0 (gfloat, umedpt_task_description_get_n_outputs (task));
  g_autofree guint8 *mask = NULL;
  g_autoptr (GArray) boxes = g_array_new (FALSE, FALSE, sizeof (UmedptBox));
  const guint index = batch->indices[image];
  UmedptPrediction prediction = { .task = config->name,
    .file = umedpt_dataset_get_name (config->dataset, index),
    .group =
        batch->groups ? umedpt_dataset_get_case (config->dataset, index) : NULL,
    .description = task,
    .width = (gint) shape[2],
    .height = (gint) shape[1],
    .map = batch->maps[image],
    .image = (const gfloat *) umedpt_tensor_get_data (batch->images) +
        image * shape[1] * shape[2] * 3,
    .label = -1 };

  if (task->kind <= UMEDPT_TASK_REGRESSION) {
    umedpt_decode_values (output, task, row, values);
    prediction.probabilities = values;
    fill_truth (&prediction, task, batch, row);
  } else if (task->kind == UMEDPT_TASK_DETECTION) {
    umedpt_decode_boxes (output, image, prediction.width, prediction.height,
        &settings, boxes);
    prediction.boxes = boxes;
    prediction.boxes_truth = g_ptr_array_index (batch->boxes, image);
  } else {
    fill_mask (&prediction, output, task, batch, image, &mask);
  }
  observer->prediction (&prediction, observer->data);
}

typedef struct
{
  UmedptModel *model;
  UmedptContext *context;
  guint task;
  const UmedptTaskDescription *description;
  UmedptTrainTask *config;
  const UmedptTrainObserver *observer;
  UmedptValidation *validation;
  guint shown;
  double sum, n; /* of the loss */
} Walk;

static void
take (Walk *walk, const UmedptTaskOutput *output, const UmedptBatch *batch,
    const UmedptLoss *loss)
{
  const UmedptTrainObserver *observer = walk->observer;
  guint rows = batch->n_groups ? batch->n_groups : batch->n;

  umedpt_metrics_add_output (walk->validation->metrics, output, batch, 0);
  if (!loss->skipped) {
    walk->sum += loss->total * rows;
    walk->n += rows;
  }
  if (!observer || !observer->prediction)
    return;
  for (guint i = 0; i < batch->n && walk->shown < observer->n_pictures; i++) {
    show (observer, walk->config, walk->description, output, batch, i);
    walk->shown++;
  }
}

static gboolean
run_batch (Walk *walk, const UmedptBatch *batch, GError **error)
{
  UmedptFeatures features = { { 0 } };
  UmedptTaskOutput output = { 0 };
  UmedptLoss loss = { 0 };
  gboolean ok = umedpt_model_encode_features (walk->model, walk->context,
                    batch->images, NULL, &features, error) &&
      umedpt_model_run_task (walk->model, walk->context, &features, walk->task,
          batch->groups, batch->n_groups, &output, error) &&
      umedpt_loss_compute (walk->context, walk->description, &output, batch, 0,
          walk->config->focal_gamma, NULL, &loss, error) &&
      umedpt_task_output_to_host (&output, error);

  if (ok)
    take (walk, &output, batch, &loss);
  umedpt_task_output_clear (&output);
  umedpt_features_clear (&features);
  return ok;
}

gboolean
umedpt_validate (UmedptModel *model, guint task, UmedptContext *context,
    UmedptTrainTask *config, const GArray *indices,
    const UmedptTrainObserver *observer, GCancellable *cancellable,
    UmedptValidation *validation, GError **error)
{
  const UmedptDescription *description = umedpt_model_get_description (model);
  Walk walk = { model, context, task,
    g_ptr_array_index (description->tasks, task), config, observer,
    validation };
  g_autoptr (UmedptLoader) loader =
      umedpt_loader_new (config->dataset, indices, &config->val);
  guint n = umedpt_loader_get_n_batches (loader);

  validation->metrics = umedpt_metrics_new (walk.description);
  for (guint i = 0; i < n; i++) {
    g_autoptr (UmedptBatch) batch = NULL;

    if (g_cancellable_is_cancelled (cancellable)) {
      g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_CANCELLED,
          "Stopped on request while task '%s' was evaluated.", config->name);
      return FALSE;
    }
    batch = umedpt_loader_next (loader, cancellable, error);
    if (!batch || !run_batch (&walk, batch, error))
      return FALSE;
  }
  validation->loss = walk.n > 0 ? walk.sum / walk.n : NAN;
  return TRUE;
}
