/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Small things that a run asks of the machine: a context on the device it is
 * to compute on, with the model moved there, how much memory the process has,
 * and views of batches.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/error.h"
#include "tensor/tensor-private.h"
#include "train/trainer-private.h"

UmedptContext *
umedpt_train_context_new (const char *device, UmedptPrecision precision,
    GError **error)
{
  UmedptBackend *backend = umedpt_backend_find (device, error);
  gboolean native = umedpt_cpu_isa () >= UMEDPT_ISA_AVX512_BF16;

  if (!backend)
    return NULL;
  if (precision == UMEDPT_PRECISION_AUTO)
    precision =
        !backend->host_memory || (backend == umedpt_backend_cpu () && native)
        ? UMEDPT_PRECISION_BF16
        : UMEDPT_PRECISION_F32;
  if (precision == UMEDPT_PRECISION_BF16 && backend == umedpt_backend_cpu () &&
      !native) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
        "Precision bf16 needs a processor with AVX512_BF16; this one (or "
        "UMEDPT_CPU) offers %s. Set precision to f32 or auto.",
        umedpt_isa_name (umedpt_cpu_isa ()));
    return NULL;
  }
  return umedpt_context_new (backend,
      precision == UMEDPT_PRECISION_BF16 ? UMEDPT_DTYPE_BF16
                                         : UMEDPT_DTYPE_F32);
}

gboolean
umedpt_train_place (UmedptModel *model, UmedptContext *context, GError **error)
{
  return umedpt_model_move (model, umedpt_context_get_backend (context)->memory,
      error);
}

/* Bytes of this process in memory: the second number of statm (proc(5)). */
gsize
umedpt_train_get_rss (void)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) numbers = NULL;
  guint64 pages = 0;

  if (!g_file_get_contents ("/proc/self/statm", &text, NULL, NULL))
    return 0;
  numbers = g_strsplit (text, " ", 3);
  if (!numbers[0] || !numbers[1] ||
      !g_ascii_string_to_unsigned (numbers[1], 10, 0, G_MAXUINT64 >> 16, &pages,
          NULL))
    return 0;
  return (gsize) pages * (gsize) sysconf (_SC_PAGESIZE);
}

UmedptTensor *
umedpt_train_rows (UmedptTensor *tensor, guint first, guint n, GError **error)
{
  gint64 shape[UMEDPT_MAX_DIMS];
  gsize row = tensor->n_elements / (gsize) tensor->shape[0];

  if (first == 0 && n == tensor->shape[0])
    return umedpt_tensor_ref (tensor);
  for (guint i = 0; i < tensor->n_dims; i++)
    shape[i] = tensor->shape[i];
  shape[0] = n;
  return umedpt_tensor_new_view (tensor, first * row, tensor->n_dims, shape,
      error);
}
