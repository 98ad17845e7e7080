/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A small model with a task of each shape of result, two images, and the calls
 * that tests make of them; whatever fails, fails the test.
 */
#include "task-fixture.h"

#include <math.h>
#include <string.h>

#include "autograd/tape.h"
#include "formula.h"

const char *const fixture_labels[] = { "a", "b", NULL };

/* A nano model with four tasks. */
UmedptDescription *
fixture_describe (void)
{
  UmedptDescription *self = umedpt_description_new ("swinv2-nano", NULL);
  UmedptTaskDescription *task;

  self->grouper = UMEDPT_GROUPER_GATED;
  self->stochastic_depth = 0.5;
  umedpt_description_add_task (self, "class", UMEDPT_TASK_CLASSIFICATION,
      fixture_labels, NULL);
  umedpt_description_add_task (self, "pixels", UMEDPT_TASK_SEGMENTATION,
      fixture_labels, NULL);
  umedpt_description_add_task (self, "boxes", UMEDPT_TASK_DETECTION,
      fixture_labels, NULL);
  task = umedpt_description_add_task (self, "case", UMEDPT_TASK_MULTILABEL,
      fixture_labels, NULL);
  task->grouped = TRUE;
  return self;
}

void
fixture_write_model (const char *path, gint side)
{
  g_autoptr (UmedptDescription) description = fixture_describe ();
  g_autoptr (UmedptModel) model = NULL;
  g_autoptr (GError) error = NULL;

  description->input_width = description->input_height = side;
  model = umedpt_model_new_initialised (description, 1, &error);
  g_assert_no_error (error);
  formula_fill (umedpt_model_get_parameters (model));
  umedpt_model_save (model, path, &error);
  g_assert_no_error (error);
}

void
fixture_set_up_model (Fixture *self, UmedptModel *model)
{
  const gint64 shape[] = { 2, 64, 96, 3 }, n = 2;
  g_autoptr (GError) error = NULL;
  UmedptBackend *backend = umedpt_backend_find (NULL, &error);

  g_assert_no_error (error);
  memset (self, 0, sizeof *self);
  self->model = model;
  self->context = umedpt_context_new (backend, UMEDPT_DTYPE_F32);
  umedpt_model_move (model, backend->memory, &error);
  g_assert_no_error (error);
  self->images = umedpt_tensor_new (UMEDPT_DTYPE_U8, 4, shape, NULL);
  for (guint i = 0; i < 2; i++) {
    g_autoptr (UmedptTensor) image = formula_image (i, 64, 96);
    memcpy (UMEDPT_U8 (self->images) + i * image->n_elements, image->data,
        image->n_elements);
  }
  self->groups = umedpt_tensor_new_zeros (UMEDPT_DTYPE_I32, 1, &n, NULL);
}

void
fixture_set_up (Fixture *self)
{
  g_autoptr (UmedptDescription) description = fixture_describe ();
  g_autoptr (GError) error = NULL;
  UmedptModel *model = umedpt_model_new_initialised (description, 1, &error);

  g_assert_no_error (error);
  formula_fill (umedpt_model_get_parameters (model));
  fixture_set_up_model (self, model);
}

void
fixture_tear_down (Fixture *self)
{
  umedpt_features_clear (&self->features);
  umedpt_tensor_unref (self->groups);
  umedpt_tensor_unref (self->images);
  umedpt_context_free (self->context);
  g_object_unref (self->model);
}

void
fixture_encode (Fixture *self, const UmedptPass *pass)
{
  g_autoptr (GError) error = NULL;

  umedpt_model_encode_features (self->model, self->context, self->images, pass,
      &self->features, &error);
  g_assert_no_error (error);
}

UmedptTaskOutput
fixture_run (Fixture *self, guint task)
{
  g_autoptr (GError) error = NULL;
  UmedptTaskOutput output = { 0 };

  umedpt_model_run_task (self->model, self->context, &self->features, task,
      task == CASE ? self->groups : NULL, 1, &output, &error);
  g_assert_no_error (error);
  if (!umedpt_context_get_tape (self->context))
    umedpt_task_output_to_host (&output, &error);
  g_assert_no_error (error);
  return output;
}

UmedptTensor *
fixture_parameter (UmedptModel *model, const char *name)
{
  UmedptParameters *parameters = umedpt_model_get_parameters (model);

  for (guint i = 0; i < umedpt_parameters_get_n (parameters); i++)
    if (strcmp (umedpt_parameters_get_name (parameters, i), name) == 0)
      return umedpt_parameters_get_tensor (parameters, i);
  g_error ("no parameter %s", name);
}

UmedptTensor *
fixture_host (UmedptTensor *tensor)
{
  g_autoptr (GError) error = NULL;
  UmedptTensor *host = umedpt_tensor_to (tensor, NULL, &error);

  g_assert_no_error (error);
  return host;
}

double
fixture_deviation (UmedptTensor *tensor)
{
  g_autoptr (UmedptTensor) host = fixture_host (tensor);
  double sum = 0;

  for (gsize i = 0; i < host->n_elements; i++)
    sum += (double) UMEDPT_F32 (host)[i] * UMEDPT_F32 (host)[i];
  return sqrt (sum / (double) tensor->n_elements);
}

void
fixture_set_trainable (Fixture *f, const char *prefix, gboolean trainable)
{
  g_autoptr (GError) error = NULL;

  umedpt_model_set_trainable (f->model, prefix, trainable, &error);
  g_assert_no_error (error);
}
