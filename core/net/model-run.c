/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * From images to the logits of tasks. What tasks share — the image vector, the
 * pixel embedding, the detector's features — is computed when the first task
 * needs it and kept with the features, so that one encoder pass serves every
 * head, in inference and in training.
 */
#include "base/error.h"
#include "net/model-parts.h"

void
umedpt_features_clear (UmedptFeatures *self)
{
  for (gint i = 0; i < UMEDPT_SWIN_LEVELS; i++)
    g_clear_pointer (&self->pyramid[i], umedpt_tensor_unref);
  g_clear_pointer (&self->vector, umedpt_tensor_unref);
  g_clear_pointer (&self->dense, umedpt_tensor_unref);
  g_clear_pointer (&self->pixels, umedpt_tensor_unref);
  for (gint i = 0; i < UMEDPT_DETECTION_LEVELS; i++) {
    g_clear_pointer (&self->detect_classes[i], umedpt_tensor_unref);
    g_clear_pointer (&self->detect_boxes[i], umedpt_tensor_unref);
  }
  self->pass = (UmedptPass){ 0 };
}

void
umedpt_task_output_clear (UmedptTaskOutput *self)
{
  for (guint i = 0; i < G_N_ELEMENTS (self->outputs); i++)
    g_clear_pointer (&self->outputs[i], umedpt_tensor_unref);
  g_clear_pointer (&self->packed, umedpt_tensor_unref);
  self->n_outputs = 0;
}

/* The part of @all that begins with element @first, in the shape of @like. */
static UmedptTensor *
view_like (UmedptTensor *all, gsize first, const UmedptTensor *like,
    GError **error)
{
  return umedpt_tensor_new_view (all, first, like->n_dims, like->shape, error);
}

/* f32 [n], (transfer full). */
static UmedptTensor *
pack (const UmedptTaskOutput *self, GError **error)
{
  g_autoptr (UmedptTensor) all = NULL;
  gint64 n = 0;
  gsize at = 0;

  for (guint i = 0; i < self->n_outputs; i++)
    n += (gint64) self->outputs[i]->n_elements;
  all = umedpt_tensor_new_in (self->outputs[0]->memory, UMEDPT_DTYPE_F32, 1, &n,
      error);
  for (guint i = 0; all && i < self->n_outputs; i++) {
    g_autoptr (UmedptTensor) part =
        view_like (all, at, self->outputs[i], error);

    if (!part || !umedpt_tensor_copy (part, self->outputs[i], error))
      return NULL;
    at += part->n_elements;
  }
  return g_steal_pointer (&all);
}

gboolean
umedpt_task_output_pack (UmedptTaskOutput *self, GError **error)
{
  if (self->packed || self->n_outputs == 0 || !self->outputs[0]->memory)
    return TRUE;
  self->packed = self->n_outputs == 1 ? umedpt_tensor_ref (self->outputs[0])
                                      : pack (self, error);
  return self->packed != NULL;
}

/* A copy waits for the device: so all of them at once. */
gboolean
umedpt_task_output_to_host (UmedptTaskOutput *self, GError **error)
{
  g_autoptr (UmedptTensor) host = NULL;
  gsize at = 0;

  if (!umedpt_task_output_pack (self, error))
    return FALSE;
  if (!self->packed)
    return TRUE; /* they are there */
  host = umedpt_tensor_to (self->packed, NULL, error);
  if (!host)
    return FALSE;
  for (guint i = 0; i < self->n_outputs; i++) {
    UmedptTensor *copy = view_like (host, at, self->outputs[i], error);

    if (!copy)
      return FALSE;
    at += copy->n_elements;
    umedpt_tensor_unref (self->outputs[i]);
    self->outputs[i] = copy;
  }
  g_clear_pointer (&self->packed, umedpt_tensor_unref);
  return TRUE;
}

gboolean
umedpt_model_move (UmedptModel *self, UmedptMemory *memory, GError **error)
{
  gboolean ok;

  g_mutex_lock (&self->lock);
  ok = umedpt_parameters_move (self->parameters, memory, error);
  for (guint i = 0; ok && i < self->heads->len; i++)
    ok = umedpt_head_move (g_ptr_array_index (self->heads, i), memory, error);
  g_mutex_unlock (&self->lock);
  return ok;
}

gboolean
umedpt_model_encode (UmedptModel *self, UmedptContext *context,
    UmedptTensor *images, UmedptTensor *pyramid[UMEDPT_SWIN_LEVELS],
    GError **error)
{
  return umedpt_swin_forward (self->swin, context, images, NULL, pyramid,
      error);
}

static UmedptTensor *
make_dense (UmedptModel *self, UmedptContext *context, UmedptTensor *f4,
    GError **error)
{
  return self->description->squeeze_dense
      ? umedpt_squeezer_map (self->squeezer, context, f4, error)
      : umedpt_tensor_ref (f4);
}

UmedptTensor *
umedpt_model_squeeze (UmedptModel *self, UmedptContext *context,
    UmedptTensor *f4, UmedptTensor **dense, GError **error)
{
  g_autoptr (UmedptTensor) vector =
      umedpt_squeezer_vector (self->squeezer, context, f4, NULL, error);

  if (!vector)
    return NULL;
  if (dense) {
    *dense = make_dense (self, context, f4, error);
    if (!*dense)
      return NULL;
  }
  return g_steal_pointer (&vector);
}

gboolean
umedpt_model_encode_features (UmedptModel *self, UmedptContext *context,
    UmedptTensor *images, const UmedptPass *pass, UmedptFeatures *features,
    GError **error)
{
  umedpt_features_clear (features);
  if (pass)
    features->pass = *pass;
  return umedpt_swin_forward (self->swin, context, images, &features->pass,
      features->pyramid, error);
}

gboolean
umedpt_model_need_dense (UmedptModel *self, UmedptContext *context,
    UmedptFeatures *features, GError **error)
{
  if (!features->dense)
    features->dense = make_dense (self, context,
        features->pyramid[UMEDPT_SWIN_LEVELS - 1], error);
  return features->dense != NULL;
}

gboolean
umedpt_model_need_vector (UmedptModel *self, UmedptContext *context,
    UmedptFeatures *features, GError **error)
{
  /* pooled last, the vector is the mean of a map that dense heads may have
   * needed already */
  UmedptTensor *map = self->description->squeeze_dense ? features->dense : NULL;

  if (!features->vector)
    features->vector = umedpt_squeezer_vector (self->squeezer, context,
        features->pyramid[UMEDPT_SWIN_LEVELS - 1], map, error);
  return features->vector != NULL;
}

gboolean
umedpt_model_need_pixels (UmedptModel *self, UmedptContext *context,
    UmedptFeatures *features, GError **error)
{
  if (features->pixels)
    return TRUE;
  if (!umedpt_model_need_dense (self, context, features, error))
    return FALSE;
  features->pixels = umedpt_pixel_decoder_forward (self->pixel_decoder, context,
      features->pyramid, features->dense, error);
  return features->pixels != NULL;
}

gboolean
umedpt_model_need_detection (UmedptModel *self, UmedptContext *context,
    UmedptFeatures *features, GError **error)
{
  if (features->detect_boxes[0])
    return TRUE;
  return umedpt_model_need_dense (self, context, features, error) &&
      umedpt_detection_decoder_forward (self->detection_decoder, context,
          features->pyramid, features->dense, features->detect_classes,
          features->detect_boxes, error);
}

/* The image vectors, or those of cases. */
static gboolean
run_vector_task (UmedptModel *self, UmedptContext *context,
    UmedptFeatures *features, const UmedptTaskDescription *task,
    UmedptHead *head, UmedptTensor *groups, gint64 n_groups,
    UmedptTaskOutput *output, GError **error)
{
  g_autoptr (UmedptTensor) vector = NULL;

  if (task->grouped != (groups != NULL)) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "The task '%s' is %s, so it needs %s case of each image.", task->name,
        task->grouped ? "grouped" : "not grouped",
        task->grouped ? "the" : "no");
    return FALSE;
  }
  if (!umedpt_model_need_vector (self, context, features, error))
    return FALSE;
  vector = task->grouped ? umedpt_grouper_block_forward (self->grouper, context,
                               features->vector, groups, n_groups, error)
                         : umedpt_tensor_ref (features->vector);
  return vector &&
      umedpt_head_run_vector (head, context, &features->pass, vector, output,
          error);
}

gboolean
umedpt_model_run_task (UmedptModel *self, UmedptContext *context,
    UmedptFeatures *features, guint task, UmedptTensor *groups, gint64 n_groups,
    UmedptTaskOutput *output, GError **error)
{
  const UmedptTaskDescription *description;
  UmedptHead *head;
  gboolean ok = FALSE;

  g_return_val_if_fail (task < self->heads->len, FALSE);
  g_return_val_if_fail (features->pyramid[0] != NULL, FALSE);

  description = g_ptr_array_index (self->description->tasks, task);
  head = g_ptr_array_index (self->heads, task);
  umedpt_task_output_clear (output);
  switch (description->kind) {
    case UMEDPT_TASK_CLASSIFICATION:
    case UMEDPT_TASK_MULTILABEL:
    case UMEDPT_TASK_REGRESSION:
      ok = run_vector_task (self, context, features, description, head, groups,
          n_groups, output, error);
      break;
    case UMEDPT_TASK_SEGMENTATION:
    case UMEDPT_TASK_MULTILABEL_SEGMENTATION:
      ok = umedpt_model_need_pixels (self, context, features, error) &&
          umedpt_head_run_pixels (head, context, features->pixels, output,
              error);
      break;
    case UMEDPT_TASK_DETECTION:
      ok = umedpt_model_need_detection (self, context, features, error) &&
          umedpt_head_run_detection (head, context, features->detect_classes,
              features->detect_boxes, output, error);
      break;
  }
  if (!ok)
    umedpt_task_output_clear (output);
  return ok;
}

gboolean
umedpt_model_begin_round (UmedptModel *self, UmedptContext *context,
    GError **error)
{
  return umedpt_swin_begin_round (self->swin, context, error);
}

gboolean
umedpt_model_end_round (UmedptModel *self, UmedptContext *context,
    GError **error)
{
  return umedpt_swin_end_round (self->swin, context, error);
}

gboolean
umedpt_model_set_trainable (UmedptModel *self, const char *prefix,
    gboolean trainable, GError **error)
{
  return umedpt_parameters_set_requires_grad (self->parameters, prefix,
      trainable, error);
}

UmedptModel *
umedpt_model_new_extended (UmedptModel *base,
    const UmedptDescription *description, guint64 seed, GError **error)
{
  g_autoptr (UmedptModel) self = NULL;
  GError *local = NULL;

  self = umedpt_model_new_initialised (description, seed, error);
  if (!self)
    return NULL;
  if (base) {
    umedpt_parameters_copy_from (self->parameters, base->parameters, &local);
    if (local) {
      g_propagate_error (error, local);
      return NULL;
    }
  }
  return g_steal_pointer (&self);
}
