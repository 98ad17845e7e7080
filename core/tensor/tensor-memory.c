/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Tensors that may lie in a backend's memory: made there, copied there and
 * back, moved. The rest of the library reads and writes elements on the host
 * only; where it has a tensor that may lie elsewhere it asks for a copy here.
 */
#include <string.h>

#include "base/error.h"
#include "tensor/storage.h"

gboolean
umedpt_tensor_zero (UmedptTensor *tensor, GError **error)
{
  gsize size = umedpt_tensor_get_size (tensor);

  umedpt_tensor_drop_attachments (tensor);
  if (tensor->memory)
    return size == 0 ||
        tensor->memory->zero (tensor->memory, tensor->data, size, error);
  memset (tensor->data, 0, size);
  return TRUE;
}

UmedptTensor *
umedpt_tensor_new_zeros_in (UmedptMemory *memory, UmedptDtype dtype,
    guint n_dims, const gint64 *shape, GError **error)
{
  g_autoptr (UmedptTensor) tensor =
      umedpt_tensor_new_in (memory, dtype, n_dims, shape, error);

  if (!tensor || !umedpt_tensor_zero (tensor, error))
    return NULL;
  return g_steal_pointer (&tensor);
}

/* @size bytes, from and to any memory. Two backends meet on the host. */
static gboolean
copy_bytes (UmedptMemory *to, gpointer dst, UmedptMemory *from,
    gconstpointer src, gsize size, GError **error)
{
  g_autofree gpointer middle = NULL;

  if (size == 0)
    return TRUE;
  if (from && from == to)
    return to->copy (to, dst, src, size, error);
  if (from && !to)
    return from->download (from, dst, src, size, error);
  if (to && !from)
    return to->upload (to, dst, src, size, error);
  if (!from) {
    memmove (dst, src, size);
    return TRUE;
  }
  middle = g_malloc (size);
  return from->download (from, middle, src, size, error) &&
      to->upload (to, dst, middle, size, error);
}

gboolean
umedpt_tensor_copy (UmedptTensor *dst, const UmedptTensor *src, GError **error)
{
  g_autofree char *is = NULL;
  g_autofree char *expected = NULL;

  if (dst->dtype == src->dtype && dst->n_elements == src->n_elements) {
    umedpt_tensor_drop_attachments (dst);
    return copy_bytes (dst->memory, dst->data, src->memory, src->data,
        umedpt_tensor_get_size (src), error);
  }
  is = umedpt_tensor_describe (src);
  expected = umedpt_tensor_describe (dst);
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE,
      "A tensor %s cannot be copied into one of %s.", is, expected);
  return FALSE;
}

UmedptTensor *
umedpt_tensor_to (UmedptTensor *tensor, UmedptMemory *memory, GError **error)
{
  g_autoptr (UmedptTensor) copy = NULL;

  if (tensor->memory == memory)
    return umedpt_tensor_ref (tensor);
  copy = umedpt_tensor_new_in (memory, tensor->dtype, tensor->n_dims,
      tensor->shape, error);
  if (!copy || !umedpt_tensor_copy (copy, tensor, error))
    return NULL;
  return g_steal_pointer (&copy);
}

gboolean
umedpt_tensor_move (UmedptTensor *tensor, UmedptMemory *memory, GError **error)
{
  UmedptStorage *storage;
  gsize size = umedpt_tensor_get_size (tensor);
  gboolean counted;

  if (tensor->memory == memory)
    return TRUE;
  counted = umedpt_storage_set_counted (FALSE); /* it is there to stay */
  storage = umedpt_storage_new_in (memory, size, error);
  umedpt_storage_set_counted (counted);
  if (!storage)
    return FALSE;
  if (!copy_bytes (memory, storage->data, tensor->memory, tensor->data, size,
          error)) {
    umedpt_storage_unref (storage);
    return FALSE;
  }
  umedpt_tensor_set_storage (tensor, storage);
  return TRUE;
}
