/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Results of heads on the features of an encoding. A head runs on a whole part
 * at once, when it is first asked for; see encoding.c, encoding-steps.c.
 */
#include "base/error.h"
#include "infer/encoding-private.h"
#include "net/decode.h"

static guint
n_tasks (const UmedptEncoding *self)
{
  return umedpt_model_get_description (self->model)->tasks->len;
}

/* The logits of the part that image @index is in, or NULL with @error set. */
static const UmedptTaskOutput *
get_output (UmedptEncoding *self, guint index, guint task, GError **error)
{
  UmedptEncodingPart *part;
  gboolean ok;

  if (self->vectors) {
    g_set_error_literal (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "The images were encoded for their embeddings only; encode them with "
        "their features to run a task on them.");
    return NULL;
  }
  part = &self->parts[index / self->part_size];
  g_mutex_lock (&self->lock);
  ok = umedpt_encoding_need_output (self, part, task, error);
  g_mutex_unlock (&self->lock);
  return ok ? &part->outputs[task] : NULL;
}

static const UmedptTaskDescription *
get_task (UmedptEncoding *self, guint task)
{
  return g_ptr_array_index (umedpt_model_get_description (self->model)->tasks,
      task);
}

/* Queues all of it before it waits for the first. */
static gboolean
settle_part (UmedptEncoding *self, UmedptEncodingPart *part, const guint *tasks,
    guint n, gboolean embedding, GError **error)
{
  if (embedding && !part->vectors &&
      !umedpt_encoding_run (self, part, UMEDPT_STEP_VECTOR, error))
    return FALSE;
  for (guint i = 0; i < n; i++)
    if (!umedpt_encoding_run (self, part, UMEDPT_STEP_HEADS + tasks[i], error))
      return FALSE;
  if (embedding && !umedpt_encoding_need_vectors (self, part, error))
    return FALSE;
  for (guint i = 0; i < n; i++)
    if (!umedpt_encoding_need_output (self, part, tasks[i], error))
      return FALSE;
  umedpt_encoding_drop_features (self, part);
  return TRUE;
}

/**
 * umedpt_encoding_settle:
 * @self: an encoding
 * @tasks: (array length=n_tasks): numbers of the tasks that will be asked for
 * @n_tasks: how many
 * @embedding: whether embeddings will be asked for
 * @error: return location for a #GError
 *
 * Runs the heads on all images and frees the features, which are a hundred
 * times larger than their results. Asking for anything else afterwards is
 * %UMEDPT_ERROR_SETTINGS.
 *
 * Returns: %TRUE, or %FALSE with @error set
 *
 * Since: 0.1
 */
gboolean
umedpt_encoding_settle (UmedptEncoding *self, const guint *tasks, guint n_tasks,
    gboolean embedding, GError **error)
{
  gboolean ok = TRUE;

  g_return_val_if_fail (self != NULL, FALSE);

  g_mutex_lock (&self->lock);
  for (guint i = 0; ok && i < self->n_parts; i++)
    ok = settle_part (self, &self->parts[i], tasks, n_tasks, embedding, error);
  g_mutex_unlock (&self->lock);
  return ok;
}

/**
 * umedpt_encoding_get_values:
 * @self: an encoding
 * @index: number of the image
 * @task: number of a classification, multi-label or regression task
 * @values: (out caller-allocates): f32 [K]: probabilities (softmax, sigmoid),
 *   or the number in the task's units
 * @error: return location for a #GError
 *
 * Returns: %TRUE, or %FALSE with @error set
 *
 * Since: 0.1
 */
gboolean
umedpt_encoding_get_values (UmedptEncoding *self, guint index, guint task,
    gfloat *values, GError **error)
{
  const UmedptTaskOutput *output;

  g_return_val_if_fail (self != NULL && values != NULL, FALSE);
  g_return_val_if_fail (index < self->n_images && task < n_tasks (self), FALSE);
  g_return_val_if_fail (get_task (self, task)->kind <= UMEDPT_TASK_REGRESSION,
      FALSE);

  output = get_output (self, index, task, error);
  if (output)
    umedpt_decode_values (output, get_task (self, task),
        index % self->part_size, values);
  return output != NULL;
}

/**
 * umedpt_encoding_get_boxes:
 * @self: an encoding
 * @index: number of the image
 * @task: number of a detection task
 * @settings: which boxes count
 * @boxes: (element-type UmedptBox): boxes are appended, best first, in pixels
 *   of the encoded size
 * @error: return location for a #GError
 *
 * Returns: %TRUE, or %FALSE with @error set
 *
 * Since: 0.1
 */
gboolean
umedpt_encoding_get_boxes (UmedptEncoding *self, guint index, guint task,
    const UmedptDetectionSettings *settings, GArray *boxes, GError **error)
{
  const UmedptTaskOutput *output;

  g_return_val_if_fail (self != NULL && boxes != NULL, FALSE);
  g_return_val_if_fail (index < self->n_images && task < n_tasks (self), FALSE);
  g_return_val_if_fail (get_task (self, task)->kind == UMEDPT_TASK_DETECTION,
      FALSE);

  output = get_output (self, index, task, error);
  if (output)
    umedpt_decode_boxes (output, index % self->part_size, self->width,
        self->height, settings, boxes);
  return output != NULL;
}

/**
 * umedpt_encoding_get_mask_size:
 * @self: an encoding
 * @width: (out): of its masks, pixels
 * @height: (out): as well
 *
 * Since: 0.1
 */
void
umedpt_encoding_get_mask_size (const UmedptEncoding *self, gint *width,
    gint *height)
{
  g_return_if_fail (self != NULL);
  *width = self->width / 4 * 2;
  *height = self->height / 4 * 2;
}

static gboolean
is_segmentation (UmedptEncoding *self, guint task)
{
  UmedptTaskKind kind = get_task (self, task)->kind;

  return kind == UMEDPT_TASK_SEGMENTATION ||
      kind == UMEDPT_TASK_MULTILABEL_SEGMENTATION;
}

/**
 * umedpt_encoding_get_mask:
 * @self: an encoding
 * @index: number of the image
 * @task: number of a segmentation task
 * @threshold: of the best class's probability, or of each label's
 * @mask: (out caller-allocates): u8 [height, width] with the size of
 *   umedpt_encoding_get_mask_size(): the class, or %UMEDPT_IGNORE_PIXEL; for
 *   multi-label tasks, and those with one label, u8 [height, width, K] of 0
 *   and 1
 * @error: return location for a #GError
 *
 * Returns: %TRUE, or %FALSE with @error set
 *
 * Since: 0.1
 */
gboolean
umedpt_encoding_get_mask (UmedptEncoding *self, guint index, guint task,
    double threshold, guint8 *mask, GError **error)
{
  const UmedptTaskOutput *output;
  gint width, height;

  g_return_val_if_fail (self != NULL && mask != NULL, FALSE);
  g_return_val_if_fail (index < self->n_images && task < n_tasks (self), FALSE);
  g_return_val_if_fail (is_segmentation (self, task), FALSE);

  output = get_output (self, index, task, error);
  umedpt_encoding_get_mask_size (self, &width, &height);
  if (output)
    umedpt_decode_mask (output, get_task (self, task), index % self->part_size,
        threshold, width, height, mask);
  return output != NULL;
}

/**
 * umedpt_encoding_get_probabilities:
 * @self: an encoding
 * @index: number of the image
 * @task: number of a segmentation task
 * @probabilities: (out caller-allocates): f32 [height, width, K] with the size
 *   of umedpt_encoding_get_mask_size()
 * @error: return location for a #GError
 *
 * Returns: %TRUE, or %FALSE with @error set
 *
 * Since: 0.1
 */
gboolean
umedpt_encoding_get_probabilities (UmedptEncoding *self, guint index,
    guint task, gfloat *probabilities, GError **error)
{
  const UmedptTaskOutput *output;

  g_return_val_if_fail (self != NULL && probabilities != NULL, FALSE);
  g_return_val_if_fail (index < self->n_images && task < n_tasks (self), FALSE);
  g_return_val_if_fail (is_segmentation (self, task), FALSE);

  output = get_output (self, index, task, error);
  if (output)
    umedpt_decode_probabilities (output, get_task (self, task),
        index % self->part_size, probabilities);
  return output != NULL;
}
