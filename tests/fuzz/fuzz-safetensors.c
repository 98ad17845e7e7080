/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Fuzz target: the safetensors reader. Whatever the bytes are, it opens the
 * file or says why not; and if it opens, every byte of every tensor can be
 * read, and all metadata.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "fuzz.h"
#include "tensor/safetensors.h"

/* Reads all of @tensor; ASan would see a byte beyond the file. */
static guint
sum_bytes (UmedptTensor *tensor)
{
  const guint8 *bytes = umedpt_tensor_get_data (tensor);
  gsize size = umedpt_tensor_get_size (tensor);
  guint sum = 0;

  for (gsize i = 0; i < size; i++)
    sum += bytes[i];
  return sum;
}

static guint
read_all (UmedptSafetensors *file)
{
  g_autoptr (GList) keys = umedpt_safetensors_get_metadata_keys (file);
  guint sum = 0;

  for (GList *key = keys; key; key = key->next)
    sum += strlen (umedpt_safetensors_get_metadata (file, key->data));
  for (guint i = 0; i < umedpt_safetensors_get_n_tensors (file); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (UmedptTensor) tensor = umedpt_safetensors_get_tensor (file,
        umedpt_safetensors_get_name (file, i), &error);

    if ((tensor == NULL) != (error != NULL))
      abort ();
    if (tensor)
      sum += sum_bytes (tensor);
  }
  return sum;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GBytes) bytes = g_bytes_new_static (data, size);
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptSafetensors) file =
      umedpt_safetensors_open_bytes (bytes, "fuzz", &error);

  if ((file == NULL) != (error != NULL))
    abort ();
  if (error &&
      (error->domain != UMEDPT_ERROR ||
          !g_utf8_validate (error->message, -1, NULL)))
    abort ();
  if (file && read_all (file) == G_MAXUINT)
    g_print (" "); /* so that the compiler keeps the reads */
  return 0;
}
