/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The tensor: shape arithmetic with overflow checks, reference counting, and
 * the attachments of tensor-private.h. Nothing here computes on elements.
 */
#define _DEFAULT_SOURCE
#include "tensor/storage.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"

struct _UmedptAttachment
{
  gconstpointer key;
  gpointer data;
  GDestroyNotify destroy;
  gint version; /* of the storage when it was made */
  UmedptAttachment *next;
};

static void
attachments_free (UmedptAttachment *list)
{
  while (list) {
    UmedptAttachment *next = list->next;
    if (list->destroy)
      list->destroy (list->data);
    g_free (list);
    list = next;
  }
}

static const struct
{
  const char *name;
  gsize size;
} dtypes[UMEDPT_N_DTYPES] = {
  { "f32", 4 },
  { "bf16", 2 },
  { "f16", 2 },
  { "i32", 4 },
  { "i64", 8 },
  { "u8", 1 },
};

G_DEFINE_BOXED_TYPE (UmedptTensor, umedpt_tensor, umedpt_tensor_ref,
    umedpt_tensor_unref)

/**
 * umedpt_dtype_size:
 * @dtype: an element type
 *
 * Returns: the bytes of one element
 *
 * Since: 0.1
 */
gsize
umedpt_dtype_size (UmedptDtype dtype)
{
  g_return_val_if_fail (dtype < UMEDPT_N_DTYPES, 0);
  return dtypes[dtype].size;
}

/**
 * umedpt_dtype_name:
 * @dtype: an element type
 *
 * Returns: its short name, as "bf16"
 *
 * Since: 0.1
 */
const char *
umedpt_dtype_name (UmedptDtype dtype)
{
  g_return_val_if_fail (dtype < UMEDPT_N_DTYPES, NULL);
  return dtypes[dtype].name;
}

/* The number of elements and bytes of a shape; FALSE on a bad or huge one. */
static gboolean
measure (UmedptDtype dtype, guint n_dims, const gint64 *shape,
    gsize *n_elements, gsize *size, GError **error)
{
  *n_elements = 1;
  for (guint i = 0; i < n_dims; i++)
    if (shape[i] < 0 ||
        !g_size_checked_mul (n_elements, *n_elements, (gsize) shape[i])) {
      g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE,
          "Dimension %u of a tensor is %" G_GINT64_FORMAT
          "; it must not be negative, and the whole must fit into memory.",
          i, shape[i]);
      return FALSE;
    }
  if (!g_size_checked_mul (size, *n_elements, dtypes[dtype].size)) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE,
        "A tensor of %" G_GSIZE_FORMAT " elements does not fit into memory.",
        *n_elements);
    return FALSE;
  }
  return TRUE;
}

/* Takes @storage. */
static UmedptTensor *
make_tensor (UmedptDtype dtype, guint n_dims, const gint64 *shape,
    gsize n_elements, UmedptStorage *storage, gpointer data)
{
  UmedptTensor *tensor = g_new0 (UmedptTensor, 1);

  g_atomic_ref_count_init (&tensor->ref_count);
  g_mutex_init (&tensor->lock);
  tensor->dtype = dtype;
  tensor->n_dims = n_dims;
  for (guint i = 0; i < n_dims; i++)
    tensor->shape[i] = shape[i];
  tensor->n_elements = n_elements;
  tensor->storage = storage;
  tensor->data = data;
  tensor->memory = storage->memory;
  return tensor;
}

/**
 * umedpt_tensor_new:
 * @dtype: element type
 * @n_dims: number of dimensions, at most %UMEDPT_MAX_DIMS
 * @shape: (array length=n_dims): the dimensions; 0 is allowed
 * @error: return location for a #GError
 *
 * Makes a tensor in host memory, 64-byte aligned. Its elements are undefined.
 *
 * Returns: (transfer full): the tensor, or %NULL with @error set
 *   (%UMEDPT_ERROR_SHAPE, %UMEDPT_ERROR_NO_MEMORY)
 *
 * Since: 0.1
 */
UmedptTensor *
umedpt_tensor_new (UmedptDtype dtype, guint n_dims, const gint64 *shape,
    GError **error)
{
  return umedpt_tensor_new_in (NULL, dtype, n_dims, shape, error);
}

UmedptTensor *
umedpt_tensor_new_in (UmedptMemory *memory, UmedptDtype dtype, guint n_dims,
    const gint64 *shape, GError **error)
{
  gsize n_elements, size;
  UmedptStorage *storage;

  g_return_val_if_fail (dtype < UMEDPT_N_DTYPES, NULL);
  g_return_val_if_fail (n_dims <= UMEDPT_MAX_DIMS, NULL);

  if (!measure (dtype, n_dims, shape, &n_elements, &size, error))
    return NULL;
  storage = umedpt_storage_new_in (memory, size, error);
  if (!storage)
    return NULL;
  return make_tensor (dtype, n_dims, shape, n_elements, storage, storage->data);
}

/**
 * umedpt_tensor_new_zeros:
 * @dtype: element type
 * @n_dims: number of dimensions, at most %UMEDPT_MAX_DIMS
 * @shape: (array length=n_dims): the dimensions
 * @error: return location for a #GError
 *
 * As umedpt_tensor_new(), with all elements 0.
 *
 * Returns: (transfer full): the tensor, or %NULL with @error set
 *
 * Since: 0.1
 */
UmedptTensor *
umedpt_tensor_new_zeros (UmedptDtype dtype, guint n_dims, const gint64 *shape,
    GError **error)
{
  return umedpt_tensor_new_zeros_in (NULL, dtype, n_dims, shape, error);
}

/**
 * umedpt_tensor_new_wrapped:
 * @dtype: element type
 * @n_dims: number of dimensions, at most %UMEDPT_MAX_DIMS
 * @shape: (array length=n_dims): the dimensions
 * @data: the elements
 * @size: the bytes at @data
 * @destroy: (nullable): called with @user_data when the memory is unused
 * @user_data: for @destroy
 * @error: return location for a #GError
 *
 * Makes a tensor of memory that exists, without a copy. On failure @destroy
 * is not called.
 *
 * Returns: (transfer full): the tensor, or %NULL with @error set
 *   (%UMEDPT_ERROR_SHAPE if @size does not hold @shape)
 *
 * Since: 0.1
 */
UmedptTensor *
umedpt_tensor_new_wrapped (UmedptDtype dtype, guint n_dims, const gint64 *shape,
    gpointer data, gsize size, GDestroyNotify destroy, gpointer user_data,
    GError **error)
{
  gsize n_elements, needed;

  g_return_val_if_fail (dtype < UMEDPT_N_DTYPES, NULL);
  g_return_val_if_fail (n_dims <= UMEDPT_MAX_DIMS, NULL);

  if (!measure (dtype, n_dims, shape, &n_elements, &needed, error))
    return NULL;
  if (needed > size) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE,
        "The shape needs %" G_GSIZE_FORMAT " bytes, but %" G_GSIZE_FORMAT
        " were given.",
        needed, size);
    return NULL;
  }
  return make_tensor (dtype, n_dims, shape, n_elements,
      umedpt_storage_new_wrapped (data, size, destroy, user_data), data);
}

/**
 * umedpt_tensor_reshape:
 * @tensor: a tensor
 * @n_dims: number of dimensions of the view
 * @shape: (array length=n_dims): its dimensions
 * @error: return location for a #GError
 *
 * Makes a tensor that shares @tensor's memory under another shape with as
 * many elements.
 *
 * Returns: (transfer full): the view, or %NULL with @error set
 *   (%UMEDPT_ERROR_SHAPE)
 *
 * Since: 0.1
 */
UmedptTensor *
umedpt_tensor_reshape (UmedptTensor *tensor, guint n_dims, const gint64 *shape,
    GError **error)
{
  gsize n_elements, size;

  g_return_val_if_fail (tensor != NULL, NULL);
  g_return_val_if_fail (n_dims <= UMEDPT_MAX_DIMS, NULL);

  if (!measure (tensor->dtype, n_dims, shape, &n_elements, &size, error))
    return NULL;
  if (n_elements != tensor->n_elements) {
    g_autofree char *is = umedpt_tensor_describe (tensor);
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE,
        "A tensor %s cannot be viewed as %" G_GSIZE_FORMAT " elements.", is,
        n_elements);
    return NULL;
  }
  return make_tensor (tensor->dtype, n_dims, shape, n_elements,
      umedpt_storage_ref (tensor->storage), tensor->data);
}

/* A tensor of elements of @tensor, from @first on. */
UmedptTensor *
umedpt_tensor_new_view (UmedptTensor *tensor, gsize first, guint n_dims,
    const gint64 *shape, GError **error)
{
  gsize n_elements, size;

  if (!measure (tensor->dtype, n_dims, shape, &n_elements, &size, error))
    return NULL;
  if (first > tensor->n_elements || n_elements > tensor->n_elements - first) {
    g_autofree char *is = umedpt_tensor_describe (tensor);
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE,
        "A tensor %s has no %" G_GSIZE_FORMAT
        " elements after element %" G_GSIZE_FORMAT ".",
        is, n_elements, first);
    return NULL;
  }
  return make_tensor (tensor->dtype, n_dims, shape, n_elements,
      umedpt_storage_ref (tensor->storage),
      (guint8 *) tensor->data + first * dtypes[tensor->dtype].size);
}

/* Gives @tensor the storage @storage of the same size. Takes it. */
void
umedpt_tensor_set_storage (UmedptTensor *tensor, UmedptStorage *storage)
{
  umedpt_tensor_drop_attachments (tensor);
  umedpt_storage_unref (tensor->storage);
  tensor->storage = storage;
  tensor->data = storage->data;
  tensor->memory = storage->memory;
}

/**
 * umedpt_tensor_ref:
 * @tensor: a tensor
 *
 * Returns: (transfer full): @tensor with one more reference
 *
 * Since: 0.1
 */
UmedptTensor *
umedpt_tensor_ref (UmedptTensor *tensor)
{
  g_return_val_if_fail (tensor != NULL, NULL);
  g_atomic_ref_count_inc (&tensor->ref_count);
  return tensor;
}

/**
 * umedpt_tensor_unref:
 * @tensor: (transfer full): a tensor
 *
 * Gives a reference up; the last one frees the tensor.
 *
 * Since: 0.1
 */
void
umedpt_tensor_unref (UmedptTensor *tensor)
{
  g_return_if_fail (tensor != NULL);
  if (!g_atomic_ref_count_dec (&tensor->ref_count))
    return;
  attachments_free (tensor->attachments);
  g_mutex_clear (&tensor->lock);
  g_clear_pointer (&tensor->grad, umedpt_tensor_unref);
  umedpt_storage_unref (tensor->storage);
  g_free (tensor);
}

/**
 * umedpt_tensor_get_dtype:
 * @tensor: a tensor
 *
 * Returns: the element type
 *
 * Since: 0.1
 */
UmedptDtype
umedpt_tensor_get_dtype (const UmedptTensor *tensor)
{
  g_return_val_if_fail (tensor != NULL, UMEDPT_DTYPE_F32);
  return tensor->dtype;
}

/**
 * umedpt_tensor_get_n_dims:
 * @tensor: a tensor
 *
 * Returns: the number of dimensions; 0 is a scalar
 *
 * Since: 0.1
 */
guint
umedpt_tensor_get_n_dims (const UmedptTensor *tensor)
{
  g_return_val_if_fail (tensor != NULL, 0);
  return tensor->n_dims;
}

/**
 * umedpt_tensor_get_shape: (skip)
 * @tensor: a tensor
 *
 * Returns: (transfer none): its dimensions, as many as
 *   umedpt_tensor_get_n_dims() says
 *
 * Since: 0.1
 */
const gint64 *
umedpt_tensor_get_shape (const UmedptTensor *tensor)
{
  g_return_val_if_fail (tensor != NULL, NULL);
  return tensor->shape;
}

/**
 * umedpt_tensor_get_dim:
 * @tensor: a tensor
 * @axis: a dimension's index; negative counts from the end
 *
 * Returns: the size along @axis
 *
 * Since: 0.1
 */
gint64
umedpt_tensor_get_dim (const UmedptTensor *tensor, gint axis)
{
  g_return_val_if_fail (tensor != NULL, 0);
  if (axis < 0)
    axis += (gint) tensor->n_dims;
  g_return_val_if_fail (axis >= 0 && axis < (gint) tensor->n_dims, 0);
  return tensor->shape[axis];
}

/**
 * umedpt_tensor_get_n_elements:
 * @tensor: a tensor
 *
 * Returns: the product of the dimensions
 *
 * Since: 0.1
 */
gsize
umedpt_tensor_get_n_elements (const UmedptTensor *tensor)
{
  g_return_val_if_fail (tensor != NULL, 0);
  return tensor->n_elements;
}

/**
 * umedpt_tensor_get_size:
 * @tensor: a tensor
 *
 * Returns: the bytes of all elements
 *
 * Since: 0.1
 */
gsize
umedpt_tensor_get_size (const UmedptTensor *tensor)
{
  g_return_val_if_fail (tensor != NULL, 0);
  return tensor->n_elements * dtypes[tensor->dtype].size;
}

/**
 * umedpt_tensor_get_data: (skip)
 * @tensor: a tensor in host memory
 *
 * Returns: (transfer none): the elements, row-major
 *
 * Since: 0.1
 */
gconstpointer
umedpt_tensor_get_data (const UmedptTensor *tensor)
{
  g_return_val_if_fail (tensor != NULL, NULL);
  return tensor->data;
}

/**
 * umedpt_tensor_get_data_writable: (skip)
 * @tensor: a tensor in host memory
 *
 * As umedpt_tensor_get_data(), to change the elements: forms that a backend
 * has prepared from them (packed weights) are dropped; those of other tensors
 * that share the memory are not. Nobody else may use the tensor meanwhile, and
 * it must not be one of umedpt_safetensors_get_tensor(), whose memory is
 * read-only.
 *
 * Returns: (transfer none): the elements, row-major
 *
 * Since: 0.1
 */
gpointer
umedpt_tensor_get_data_writable (UmedptTensor *tensor)
{
  g_return_val_if_fail (tensor != NULL, NULL);
  umedpt_tensor_drop_attachments (tensor);
  return tensor->data;
}

/**
 * umedpt_tensor_describe:
 * @tensor: a tensor
 *
 * Returns: (transfer full): type and shape for messages, as
 *   "f32 [1, 64, 64, 96]"
 *
 * Since: 0.1
 */
char *
umedpt_tensor_describe (const UmedptTensor *tensor)
{
  g_autoptr (GString) text = NULL;

  g_return_val_if_fail (tensor != NULL, NULL);
  text = g_string_new (dtypes[tensor->dtype].name);
  g_string_append (text, " [");
  for (guint i = 0; i < tensor->n_dims; i++)
    g_string_append_printf (text, "%s%" G_GINT64_FORMAT, i ? ", " : "",
        tensor->shape[i]);
  g_string_append_c (text, ']');
  return g_string_free (g_steal_pointer (&text), FALSE);
}

gboolean
umedpt_tensor_same_shape (const UmedptTensor *a, const UmedptTensor *b)
{
  return a && b && a->n_dims == b->n_dims &&
      memcmp (a->shape, b->shape, a->n_dims * sizeof a->shape[0]) == 0;
}

/* Takes out what was made of @tensor before its memory got other values,
 * through this tensor or through another view of that memory. */
static UmedptAttachment *
take_stale (UmedptTensor *tensor, gint version)
{
  UmedptAttachment **at = &tensor->attachments, *stale = NULL;

  while (*at) {
    UmedptAttachment *found = *at;
    if (found->version == version) {
      at = &found->next;
      continue;
    }
    *at = found->next;
    found->next = stale;
    stale = found;
  }
  return stale;
}

/* The form prepared of @tensor under @key; made by @make on first use, while
 * the tensor is locked, so that it is made once. Owned by the tensor. */
gpointer
umedpt_tensor_attach (UmedptTensor *tensor, gconstpointer key,
    UmedptAttachFunc make, gpointer user_data, GDestroyNotify destroy,
    GError **error)
{
  gint version = g_atomic_int_get (&tensor->storage->version);
  UmedptAttachment *found;
  gpointer data;

  g_mutex_lock (&tensor->lock);
  attachments_free (take_stale (tensor, version));
  for (found = tensor->attachments; found; found = found->next)
    if (found->key == key)
      break;
  data = found ? found->data : make (tensor, user_data, error);
  if (!found && data) {
    found = g_new (UmedptAttachment, 1);
    *found =
        (UmedptAttachment){ key, data, destroy, version, tensor->attachments };
    tensor->attachments = found;
  }
  g_mutex_unlock (&tensor->lock);
  return data;
}

/* To be called when values have changed. Views of the same memory drop theirs
 * when they are next asked for. */
void
umedpt_tensor_drop_attachments (UmedptTensor *tensor)
{
  UmedptAttachment *list;

  g_atomic_int_inc (&tensor->storage->version);
  g_mutex_lock (&tensor->lock);
  list = g_steal_pointer (&tensor->attachments);
  g_mutex_unlock (&tensor->lock);
  attachments_free (list);
}

/* Lets the system forget the pages of a tensor that is mapped from a file:
 * they are read again if needed. Called when a packed copy has been made.
 * Does nothing to memory that is not such a mapping. */
void
umedpt_tensor_release_pages (UmedptTensor *tensor)
{
  gsize page = (gsize) sysconf (_SC_PAGESIZE);
  gsize begin = ((gsize) tensor->data + page - 1) / page * page;
  gsize end =
      ((gsize) tensor->data + umedpt_tensor_get_size (tensor)) / page * page;

  if (!tensor->storage->mapped || end <= begin)
    return;
  madvise ((gpointer) begin, end - begin, MADV_DONTNEED);
}
