/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Evaluation of a model that is finished, by the function that validation
 * uses; and image vectors of a data set.
 */
#include <math.h>

#include "base/error.h"
#include "train/trainer-private.h"

/* The task of the model that @task names, if it means the same. */
static gint
find_task (UmedptModel *model, const UmedptTrainTask *task, GError **error)
{
  const UmedptDescription *description = umedpt_model_get_description (model);
  gint index = umedpt_description_find_task (description, task->name);
  const UmedptTaskDescription *own =
      index < 0 ? NULL : g_ptr_array_index (description->tasks, index);
  const char *const *labels = umedpt_dataset_get_labels (task->dataset);
  static const char *const none[] = { NULL };

  if (own && own->kind == task->kind &&
      (own->kind == UMEDPT_TASK_REGRESSION ||
          g_strv_equal (own->labels ? (const char *const *) own->labels : none,
              labels ? labels : none)))
    return index;
  if (own)
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "Task '%s' of the model is of the kind %s with %u labels; the data set "
        "is for %s with %u, or calls them differently.",
        task->name, umedpt_task_kind_get_name (own->kind),
        own->labels ? g_strv_length (own->labels) : 0,
        umedpt_task_kind_get_name (task->kind),
        labels ? g_strv_length ((char **) labels) : 0);
  else
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NOT_FOUND,
        "The model has no task '%s'. 'umedpt-info FILE' lists those it has.",
        task->name);
  return -1;
}

static gboolean
check_indices (const UmedptTrainTask *task, const GArray *indices,
    GError **error)
{
  if (indices->len)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
      "The data set of task '%s' has no images in this part. Choose another of "
      "train, val, test and all.",
      task->name);
  return FALSE;
}

/**
 * umedpt_evaluate:
 * @model: a model that has the task
 * @task: the task, its data set opened
 * @split: the part of the data set
 * @device: (nullable): as for umedpt_session_open()
 * @precision: of matrix products
 * @observer: (nullable): for pictures
 * @cancellable: (nullable): to stop
 * @error: return location for a #GError
 *
 * Computes loss and metrics of a task over a part of its data. The model's
 * parameters stay where the device needs them, and nobody else may use it
 * meanwhile.
 *
 * Returns: (transfer full): a JSON object with "loss", "n", "metrics",
 *   "per_class" and, for classes, "confusion"; or %NULL with @error set
 *   (%UMEDPT_ERROR_NOT_FOUND: the model has no such task;
 *   %UMEDPT_ERROR_SETTINGS: with other labels; %UMEDPT_ERROR_DATA: no images)
 *
 * Since: 0.1
 */
char *
umedpt_evaluate (UmedptModel *model, UmedptTrainTask *task, UmedptSplit split,
    const char *device, UmedptPrecision precision,
    const UmedptTrainObserver *observer, GCancellable *cancellable,
    GError **error)
{
  UmedptValidation validation = { 0 };
  g_autoptr (GArray) indices = NULL;
  g_autoptr (UmedptContext) context = NULL;
  char *json = NULL;
  gint index;

  g_return_val_if_fail (UMEDPT_IS_MODEL (model), NULL);
  g_return_val_if_fail (task != NULL && task->dataset != NULL, NULL);

  index = find_task (model, task, error);
  if (index < 0)
    return NULL;
  indices = umedpt_dataset_get_split (task->dataset, split);
  if (!check_indices (task, indices, error))
    return NULL;
  context = umedpt_train_context_new (device, precision, error);
  if (!context || !umedpt_train_place (model, context, error))
    return NULL;
  if (umedpt_validate (model, (guint) index, context, task, indices, observer,
          cancellable, &validation, error))
    json = umedpt_validation_to_json (&validation,
        g_ptr_array_index (umedpt_model_get_description (model)->tasks, index));
  umedpt_validation_clear (&validation);
  return json;
}

typedef struct
{
  UmedptModel *model;
  UmedptContext *context;
  UmedptTrainTask *task;
  UmedptEmbedFunc func;
  gpointer data;
} Embed;

static gboolean
embed_batch (const Embed *embed, const UmedptBatch *batch, GError **error)
{
  UmedptTensor *pyramid[UMEDPT_SWIN_LEVELS] = { NULL };
  g_autoptr (UmedptTensor) vectors = NULL; /* f32 [n, D] */
  g_autoptr (UmedptTensor) host = NULL;
  guint size;

  if (!umedpt_model_encode (embed->model, embed->context, batch->images,
          pyramid, error))
    return FALSE;
  vectors = umedpt_model_squeeze (embed->model, embed->context,
      pyramid[UMEDPT_SWIN_LEVELS - 1], NULL, error);
  for (guint i = 0; i < UMEDPT_SWIN_LEVELS; i++)
    umedpt_tensor_unref (pyramid[i]);
  host = vectors ? umedpt_tensor_to (vectors, NULL, error) : NULL;
  if (!host)
    return FALSE;
  size = (guint) umedpt_tensor_get_dim (vectors, 1);
  for (guint i = 0; i < batch->n; i++)
    if (!embed->func (embed->task->dataset, batch->indices[i],
            (const gfloat *) umedpt_tensor_get_data (host) + (gsize) i * size,
            size, embed->data, error))
      return FALSE;
  return TRUE;
}

static gboolean
embed_all (const Embed *embed, const GArray *indices, GCancellable *cancellable,
    GError **error)
{
  UmedptLoaderSettings settings = embed->task->val;
  g_autoptr (UmedptLoader) loader = NULL;
  guint n;

  settings.grouped = FALSE;
  loader = umedpt_loader_new (embed->task->dataset, indices, &settings);
  n = umedpt_loader_get_n_batches (loader);
  for (guint i = 0; i < n; i++) {
    g_autoptr (UmedptBatch) batch =
        umedpt_loader_next (loader, cancellable, error);

    if (!batch || !embed_batch (embed, batch, error))
      return FALSE;
  }
  return TRUE;
}

/**
 * umedpt_embed_dataset:
 * @model: a model
 * @task: where the data set is, opened, and to which size images are brought
 * @split: the part of the data set
 * @device: (nullable): as for umedpt_session_open()
 * @precision: of matrix products
 * @func: (scope call): called for each image, in the order of the data set
 * @data: for @func
 * @cancellable: (nullable): to stop
 * @error: return location for a #GError
 *
 * Computes the image vector of each image of a data set. The model's
 * parameters stay where the device needs them, and nobody else may use it
 * meanwhile.
 *
 * Returns: %TRUE, or %FALSE with @error set
 *
 * Since: 0.1
 */
gboolean
umedpt_embed_dataset (UmedptModel *model, UmedptTrainTask *task,
    UmedptSplit split, const char *device, UmedptPrecision precision,
    UmedptEmbedFunc func, gpointer data, GCancellable *cancellable,
    GError **error)
{
  g_autoptr (GArray) indices = NULL;
  g_autoptr (UmedptContext) context = NULL;
  Embed embed = { model, NULL, task, func, data };

  g_return_val_if_fail (UMEDPT_IS_MODEL (model), FALSE);
  g_return_val_if_fail (task != NULL && task->dataset != NULL, FALSE);
  g_return_val_if_fail (func != NULL, FALSE);

  indices = umedpt_dataset_get_split (task->dataset, split);
  if (!check_indices (task, indices, error))
    return FALSE;
  context = umedpt_train_context_new (device, precision, error);
  if (!context || !umedpt_train_place (model, context, error))
    return FALSE;
  embed.context = context;
  return embed_all (&embed, indices, cancellable, error);
}
