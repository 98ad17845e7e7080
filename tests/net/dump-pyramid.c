/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A test program, for tests/reference/compare-full.py:
 *
 *   dump-pyramid init ARCH SEED MODEL        writes an initialised model file
 *   dump-pyramid run MODEL f32|bf16 IN OUT   runs the encoder and squeezer on
 *                   tensor "image" of IN (u8 [1, H, W, 3]) and writes "F1" to
 *                   "F4" and "z" to OUT; both are safetensors files
 *
 * The backend is the one that UMEDPT_BACKEND names.
 */
#include <string.h>

#include "autograd/ops.h"
#include "net/model-private.h"

static gboolean
init (const char *arch, const char *seed, const char *path, GError **error)
{
  g_autoptr (UmedptDescription) description =
      umedpt_description_new (arch, error);
  g_autoptr (UmedptModel) model = NULL;

  if (!description)
    return FALSE;
  model = umedpt_model_new_initialised (description,
      g_ascii_strtoull (seed, NULL, 10), error);
  return model && umedpt_model_save (model, path, error);
}

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

static gboolean
run (const char *path, const char *precision, const char *in, const char *out,
    GError **error)
{
  static const char *names[] = { "F1", "F2", "F3", "F4" };
  g_autoptr (UmedptModel) model = umedpt_model_new_from_file (path, error);
  g_autoptr (UmedptSafetensors) file = NULL;
  g_autoptr (UmedptTensor) image = NULL, vector = NULL;
  g_autoptr (UmedptContext) context = NULL;
  g_autoptr (UmedptSafetensorsWriter) writer = umedpt_safetensors_writer_new ();
  UmedptBackend *backend = umedpt_backend_find (NULL, error);
  UmedptTensor *pyramid[UMEDPT_SWIN_LEVELS];

  if (!model || !backend)
    return FALSE;
  file = umedpt_safetensors_open (in, error);
  image = file ? umedpt_safetensors_get_tensor (file, "image", error) : NULL;
  if (!image)
    return FALSE;
  context = umedpt_context_new (backend,
      strcmp (precision, "bf16") == 0 ? UMEDPT_DTYPE_BF16 : UMEDPT_DTYPE_F32);
  if (!umedpt_model_move (model, backend->memory, error) ||
      !umedpt_model_encode (model, context, image, pyramid, error))
    return FALSE;
  vector = umedpt_model_squeeze (model, context, pyramid[3], NULL, error);
  for (gint i = 0; i < UMEDPT_SWIN_LEVELS; i++) {
    if (!add (writer, names[i], pyramid[i], error))
      return FALSE;
    umedpt_tensor_unref (pyramid[i]);
  }
  return vector && add (writer, "z", vector, error) &&
      umedpt_safetensors_writer_write (writer, out, error);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  gboolean ok;

  if (argc == 5 && strcmp (argv[1], "init") == 0)
    ok = init (argv[2], argv[3], argv[4], &error);
  else if (argc == 6 && strcmp (argv[1], "run") == 0)
    ok = run (argv[2], argv[3], argv[4], argv[5], &error);
  else {
    g_printerr ("Usage: %s init ARCH SEED MODEL | run MODEL f32|bf16 IN OUT\n",
        argv[0]);
    return 2;
  }
  if (!ok)
    g_printerr ("%s\n", error->message);
  return ok ? 0 : 1;
}
