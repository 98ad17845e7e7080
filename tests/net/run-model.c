/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A test program, for tests/reference/compare-tasks.py:
 *
 *   run-model init JSON SEED MODEL   writes an initialised model file for the
 *                   description in the file JSON
 *   run-model run MODEL f32|bf16 IN OUT [checkpoint]   runs all tasks on IN's
 *                   "images" (u8 [N, H, W, 3]), grouped ones by "groups" (i32
 *                   [N]), and the backward pass from "seed/TASK/I", the
 *                   gradients of outputs; writes "out/TASK/I" and "grad/NAME"
 *                   of all parameters to OUT
 *
 * The backend is the one that UMEDPT_BACKEND names.
 */
#include <string.h>

#include "autograd/tape.h"
#include "net/model-private.h"

static gboolean
init (const char *json, const char *seed, const char *path, GError **error)
{
  g_autofree char *text = NULL;
  g_autoptr (UmedptDescription) description = NULL;
  g_autoptr (UmedptModel) model = NULL;

  if (!g_file_get_contents (json, &text, NULL, error))
    return FALSE;
  description = umedpt_description_new_from_json (text, -1, error);
  if (!description)
    return FALSE;
  model = umedpt_model_new_initialised (description,
      g_ascii_strtoull (seed, NULL, 10), error);
  return model && umedpt_model_save (model, path, error);
}

typedef struct
{
  UmedptModel *model;
  UmedptContext *context;
  UmedptSafetensors *in;
  UmedptSafetensorsWriter *out;
  UmedptFeatures features;
  UmedptTensor *groups;
  gint64 n_groups;
} Run;

/* Keeps @tensor, wherever it lies. */
static gboolean
add (UmedptSafetensorsWriter *writer, const char *name, UmedptTensor *tensor,
    GError **error)
{
  g_autoptr (UmedptTensor) host = umedpt_tensor_to (tensor, NULL, error);

  if (host)
    umedpt_safetensors_writer_add (writer, name, host);
  return host != NULL;
}

/* Keeps the outputs, and seeds their gradients. */
static gboolean
run_task (Run *run, guint index, GError **error)
{
  const UmedptDescription *description =
      umedpt_model_get_description (run->model);
  const UmedptTaskDescription *task =
      g_ptr_array_index (description->tasks, index);
  UmedptTaskOutput output = { 0 };

  if (!umedpt_model_run_task (run->model, run->context, &run->features, index,
          task->grouped ? run->groups : NULL, run->n_groups, &output, error))
    return FALSE;
  for (guint i = 0; i < output.n_outputs; i++) {
    g_autofree char *out = g_strdup_printf ("out/%s/%u", task->name, i);
    g_autofree char *seed = g_strdup_printf ("seed/%s/%u", task->name, i);
    g_autoptr (UmedptTensor) mapped =
        umedpt_safetensors_get_tensor (run->in, seed, error);
    g_autoptr (UmedptTensor) diff = NULL;

    if (!mapped)
      return FALSE;
    if (!add (run->out, out, output.outputs[i], error))
      return FALSE;
    diff = umedpt_tensor_new_in (output.outputs[i]->memory, mapped->dtype,
        mapped->n_dims, mapped->shape,
        error); /* a backward function may take it over */
    if (!diff || !umedpt_tensor_copy (diff, mapped, error) ||
        !umedpt_tape_seed (output.outputs[i], diff, error))
      return FALSE;
  }
  umedpt_task_output_clear (&output);
  return TRUE;
}

static gboolean
write_gradients (Run *run, GError **error)
{
  UmedptParameters *parameters = umedpt_model_get_parameters (run->model);

  for (guint i = 0; i < umedpt_parameters_get_n (parameters); i++) {
    UmedptTensor *tensor = umedpt_parameters_get_tensor (parameters, i);
    g_autofree char *name =
        g_strconcat ("grad/", umedpt_parameters_get_name (parameters, i), NULL);

    if (tensor && tensor->grad && !add (run->out, name, tensor->grad, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
run_all (Run *run, gboolean checkpoint, GError **error)
{
  const guint n = umedpt_model_get_description (run->model)->tasks->len;
  const UmedptPass pass = { .checkpoint = checkpoint };
  g_autoptr (UmedptTape) tape = umedpt_tape_new ();
  g_autoptr (UmedptTensor) images =
      umedpt_safetensors_get_tensor (run->in, "images", error);
  gboolean ok = images &&
      umedpt_model_set_trainable (run->model, NULL, TRUE, error) &&
      umedpt_model_move (run->model,
          umedpt_context_get_backend (run->context)->memory, error) &&
      umedpt_model_begin_round (run->model, run->context, error);

  umedpt_context_set_tape (run->context, tape);
  ok = ok &&
      umedpt_model_encode_features (run->model, run->context, images, &pass,
          &run->features, error);
  for (guint i = 0; ok && i < n; i++)
    ok = run_task (run, i, error);
  umedpt_features_clear (&run->features);
  umedpt_context_set_tape (run->context, NULL);
  return ok && umedpt_tape_backward (tape, run->context, error) &&
      umedpt_model_end_round (run->model, run->context, error);
}

static gboolean
run (const char *path, const char *precision, const char *in, const char *out,
    gboolean checkpoint, GError **error)
{
  g_autoptr (UmedptModel) model = umedpt_model_new_from_file (path, error);
  g_autoptr (UmedptSafetensors) file = NULL;
  g_autoptr (UmedptSafetensorsWriter) writer = umedpt_safetensors_writer_new ();
  g_autoptr (UmedptContext) context = NULL;
  g_autoptr (UmedptTensor) groups = NULL;
  UmedptBackend *backend = umedpt_backend_find (NULL, error);
  Run run = { .model = model, .out = writer };

  if (!model || !backend)
    return FALSE;
  file = umedpt_safetensors_open (in, error);
  groups = file ? umedpt_safetensors_get_tensor (file, "groups", error) : NULL;
  if (!groups)
    return FALSE;
  context = umedpt_context_new (backend,
      strcmp (precision, "bf16") == 0 ? UMEDPT_DTYPE_BF16 : UMEDPT_DTYPE_F32);
  run.context = context;
  run.in = file;
  run.groups = groups;
  run.n_groups = ((gint32 *) groups->data)[groups->n_elements - 1] + 1;
  return run_all (&run, checkpoint, error) && write_gradients (&run, error) &&
      umedpt_safetensors_writer_write (writer, out, error);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  gboolean ok;

  if (argc == 5 && strcmp (argv[1], "init") == 0)
    ok = init (argv[2], argv[3], argv[4], &error);
  else if (argc >= 6 && strcmp (argv[1], "run") == 0)
    ok = run (argv[2], argv[3], argv[4], argv[5], argc > 6, &error);
  else {
    g_printerr ("Usage: %s init JSON SEED MODEL | run MODEL f32|bf16 IN OUT "
                "[checkpoint]\n",
        argv[0]);
    return 2;
  }
  if (!ok)
    g_printerr ("%s\n", error->message);
  return ok ? 0 : 1;
}
