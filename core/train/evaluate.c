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
 * Computes loss and metrics of a task over a part of its data.
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
  UmedptContext *context;
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
  if (!context)
    return NULL;
  if (umedpt_validate (model, (guint) index, context, task, indices, observer,
          cancellable, &validation, error))
    json = umedpt_validation_to_json (&validation,
        g_ptr_array_index (umedpt_model_get_description (model)->tasks, index));
  umedpt_validation_clear (&validation);
  umedpt_context_free (context);
  return json;
}
