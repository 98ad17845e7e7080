/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Some steps of an optimiser on what is in a safetensors file, for
 * check-optimizers.py.
 *
 * run-optimizer IN OUT: "p<i>" are parameters, "g<step>.<i>" gradients (one
 * that is missing is none), step = 1, 2, … The metadata are the settings. OUT:
 * the parameters after the last step.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/optimizer.h"

static double
get_number (UmedptSafetensors *file, const char *key)
{
  const char *text = umedpt_safetensors_get_metadata (file, key);

  return text ? g_ascii_strtod (text, NULL) : 0;
}

static UmedptOptimizerSettings
read_settings (UmedptSafetensors *file)
{
  return (UmedptOptimizerSettings){
    .kind = get_number (file, "sgd") > 0 ? UMEDPT_OPTIMIZER_SGD
                                         : UMEDPT_OPTIMIZER_ADAMW,
    .lr = get_number (file, "lr"),
    .weight_decay = get_number (file, "weight_decay"),
    .beta1 = get_number (file, "beta1"),
    .beta2 = get_number (file, "beta2"),
    .epsilon = get_number (file, "epsilon"),
    .momentum = get_number (file, "momentum"),
    .nesterov = get_number (file, "nesterov") > 0,
    .clip = get_number (file, "clip"),
    .decay_all = TRUE,
  };
}

/* Declares p0, p1, … and copies their values. */
static UmedptParameters *
read_parameters (UmedptSafetensors *file, UmedptTensor **slots, guint n)
{
  UmedptParameters *parameters = umedpt_parameters_new ();

  for (guint i = 0; i < n; i++) {
    g_autofree char *name = g_strdup_printf ("p%u", i);
    g_autoptr (UmedptTensor) values =
        umedpt_safetensors_get_tensor (file, name, NULL);
    UmedptParameterSpec spec = { .n_dims = values->n_dims };

    memcpy (spec.shape, values->shape, sizeof spec.shape);
    umedpt_parameters_add (parameters, &slots[i], &spec, "", name);
  }
  umedpt_parameters_initialise (parameters, 0, NULL);
  for (guint i = 0; i < n; i++) {
    g_autofree char *name = g_strdup_printf ("p%u", i);
    g_autoptr (UmedptTensor) values =
        umedpt_safetensors_get_tensor (file, name, NULL);

    memcpy (slots[i]->data, values->data, umedpt_tensor_get_size (values));
    slots[i]->requires_grad = TRUE;
  }
  return parameters;
}

static gboolean
run (const char *in, const char *out, GError **error)
{
  g_autoptr (UmedptSafetensors) file = umedpt_safetensors_open (in, error);
  g_autoptr (UmedptContext) context =
      umedpt_context_new (umedpt_backend_find (NULL, NULL), UMEDPT_DTYPE_F32);
  g_autoptr (UmedptParameters) parameters = NULL;
  g_autoptr (UmedptOptimizer) optimizer = NULL;
  g_autoptr (UmedptSafetensorsWriter) writer = umedpt_safetensors_writer_new ();
  g_autofree UmedptTensor **slots = NULL;
  UmedptOptimizerSettings settings;
  UmedptMemory *memory;
  guint n;

  if (!file)
    return FALSE;
  n = (guint) get_number (file, "n");
  slots = g_new0 (UmedptTensor *, n);
  parameters = read_parameters (file, slots, n);
  settings = read_settings (file);
  memory = umedpt_context_get_backend (context)->memory;
  if (!umedpt_parameters_move (parameters, memory, error))
    return FALSE;
  optimizer = umedpt_optimizer_new (parameters, NULL, &settings);
  for (guint step = 1; step <= (guint) get_number (file, "steps"); step++) {
    for (guint i = 0; i < n; i++) {
      g_autofree char *name = g_strdup_printf ("g%u.%u", step, i);
      g_autoptr (UmedptTensor) grad =
          umedpt_safetensors_get_tensor (file, name, NULL);

      if (grad) /* else it has none in this step */
        slots[i]->grad = umedpt_tensor_to (grad, memory, NULL);
    }
    if (!umedpt_optimizer_step (optimizer, context, 1, NULL, error))
      return FALSE;
  }
  return umedpt_parameters_store (parameters, writer, error) &&
      umedpt_safetensors_writer_write (writer, out, error);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;

  if (argc != 3 || !run (argv[1], argv[2], &error)) {
    fprintf (stderr, "%s\n", error ? error->message : "see the source");
    return 1;
  }
  return 0;
}
