/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What happens to parameters that are there: where they lie, which of them
 * want a gradient, and taking values over from another model. Parameters of a
 * loaded model lie in the mapped file, which is read-only and shared; what is
 * to change gets memory of its own first.
 */
#include <string.h>

#include "nn/parameters-private.h"
#include "tensor/storage.h"

static gboolean
move_entry (UmedptParameter *entry, UmedptMemory *memory, GError **error)
{
  UmedptTensor *tensor = entry->slot ? entry->tensor : NULL;

  return !tensor ||
      (umedpt_tensor_move (tensor, memory, error) &&
          (!tensor->grad || umedpt_tensor_move (tensor->grad, memory, error)));
}

/* Where the values are; all in one place. */
static UmedptMemory *
find_memory (UmedptParameters *self)
{
  for (guint i = 0; i < self->entries->len; i++) {
    const UmedptParameter *entry = umedpt_parameters_nth (self, i);

    if (entry->slot && entry->tensor)
      return entry->tensor->memory;
  }
  return NULL;
}

gboolean
umedpt_parameters_move (UmedptParameters *self, UmedptMemory *memory,
    GError **error)
{
  UmedptMemory *from = find_memory (self);

  if (from == memory)
    return TRUE;
  umedpt_parameters_changed (self);
  for (guint i = 0; i < self->entries->len; i++) {
    if (move_entry (umedpt_parameters_nth (self, i), memory, error))
      continue;
    for (guint j = 0; j <= i; j++)
      move_entry (umedpt_parameters_nth (self, j), from, NULL);
    return FALSE;
  }
  return TRUE;
}

static gboolean
is_trainable (const UmedptParameter *entry, const char *prefix)
{
  return entry->slot && entry->tensor &&
      !(entry->spec.flags & UMEDPT_PARAMETER_UNUSED) &&
      (!prefix || g_str_has_prefix (entry->name, prefix));
}

/* Moves the values to memory that may be written; a device's always may. */
static gboolean
make_writable (UmedptParameter *entry, GError **error)
{
  const UmedptTensor *tensor = entry->tensor;
  UmedptTensor *copy;

  if (tensor->storage->bucket || tensor->memory) /* ours already */
    return TRUE;
  copy =
      umedpt_tensor_new (tensor->dtype, tensor->n_dims, tensor->shape, error);
  if (!copy)
    return FALSE;
  memcpy (copy->data, tensor->data, umedpt_tensor_get_size (tensor));
  g_clear_pointer (&entry->tensor, umedpt_tensor_unref);
  entry->tensor = copy;
  *entry->slot = copy;
  return TRUE;
}

gboolean
umedpt_parameters_set_requires_grad (UmedptParameters *self, const char *prefix,
    gboolean requires_grad, GError **error)
{
  for (guint i = 0; i < self->entries->len; i++) {
    UmedptParameter *entry = umedpt_parameters_nth (self, i);

    if (!is_trainable (entry, prefix))
      continue;
    if (requires_grad && !make_writable (entry, error))
      return FALSE;
    entry->tensor->requires_grad = requires_grad;
    if (!requires_grad)
      g_clear_pointer (&entry->tensor->grad, umedpt_tensor_unref);
  }
  return TRUE;
}

gboolean
umedpt_parameters_requires_grad (UmedptParameters *self, const char *prefix)
{
  for (guint i = 0; i < self->entries->len; i++) {
    const UmedptParameter *entry = umedpt_parameters_nth (self, i);

    if (is_trainable (entry, prefix) && entry->tensor->requires_grad)
      return TRUE;
  }
  return FALSE;
}

static gboolean
same_spec (const UmedptParameterSpec *a, const UmedptParameterSpec *b)
{
  return a->n_dims == b->n_dims &&
      memcmp (a->shape, b->shape, a->n_dims * sizeof a->shape[0]) == 0;
}

/* @entry gets a copy of @source, which has the same shape. */
static gboolean
copy_values (UmedptParameter *entry, const UmedptTensor *source, GError **error)
{
  if (!entry->tensor) {
    UmedptTensor *tensor = umedpt_tensor_new (UMEDPT_DTYPE_F32,
        entry->spec.n_dims, entry->spec.shape, error);
    if (!tensor || !umedpt_parameter_set (entry, tensor, error))
      return FALSE;
  }
  if (!make_writable (entry, error))
    return FALSE;
  return umedpt_tensor_copy (entry->tensor, source, error);
}

guint
umedpt_parameters_copy_from (UmedptParameters *self, UmedptParameters *other,
    GError **error)
{
  guint n = 0;

  for (guint i = 0; i < self->entries->len; i++) {
    UmedptParameter *entry = umedpt_parameters_nth (self, i);
    const UmedptParameter *source =
        g_hash_table_lookup (other->by_name, entry->name);

    if (!entry->slot || !source || !source->slot || !source->tensor ||
        !same_spec (&entry->spec, &source->spec))
      continue;
    if (!copy_values (entry, source->tensor, error))
      return 0;
    n++;
  }
  umedpt_parameters_changed (self);
  return n;
}
