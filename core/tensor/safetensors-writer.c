/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The writer. As in the reference implementation, tensors are laid out by
 * falling size of their element type, then by name, and the header is padded
 * with blanks to a multiple of 8 bytes: so every tensor is aligned for its
 * type when the file is mapped. Metadata keys are sorted. The same content
 * gives the same bytes.
 */
#include <string.h>

#include "base/atomic-file.h"
#include "base/error.h"
#include "base/json.h"
#include "tensor/safetensors-header.h"
#include "tensor/safetensors.h"

typedef struct
{
  char *name;
  UmedptTensor *tensor;
} Item;

struct _UmedptSafetensorsWriter
{
  GPtrArray *items; /* of Item */
  GHashTable *names; /* borrowed from the items */
  GHashTable *metadata; /* char * -> char * */
};

static void
item_free (gpointer data)
{
  Item *item = data;

  umedpt_tensor_unref (item->tensor);
  g_free (item->name);
  g_free (item);
}

/**
 * umedpt_safetensors_writer_new:
 *
 * Returns: (transfer full): a writer without tensors
 *
 * Since: 0.1
 */
UmedptSafetensorsWriter *
umedpt_safetensors_writer_new (void)
{
  UmedptSafetensorsWriter *self = g_new0 (UmedptSafetensorsWriter, 1);

  self->items = g_ptr_array_new_with_free_func (item_free);
  self->names = g_hash_table_new (g_str_hash, g_str_equal);
  self->metadata =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  return self;
}

/**
 * umedpt_safetensors_writer_free:
 * @writer: (transfer full): a writer
 *
 * Since: 0.1
 */
void
umedpt_safetensors_writer_free (UmedptSafetensorsWriter *writer)
{
  if (!writer)
    return;
  g_hash_table_unref (writer->metadata);
  g_hash_table_unref (writer->names);
  g_ptr_array_unref (writer->items);
  g_free (writer);
}

/**
 * umedpt_safetensors_writer_set_metadata:
 * @writer: a writer
 * @key: a key, UTF-8
 * @value: its value, UTF-8; replaces an earlier one
 *
 * Adds to the string map "__metadata__".
 *
 * Since: 0.1
 */
void
umedpt_safetensors_writer_set_metadata (UmedptSafetensorsWriter *writer,
    const char *key, const char *value)
{
  g_return_if_fail (writer != NULL);
  g_return_if_fail (key != NULL && g_utf8_validate (key, -1, NULL));
  g_return_if_fail (value != NULL && g_utf8_validate (value, -1, NULL));
  g_hash_table_replace (writer->metadata, g_strdup (key), g_strdup (value));
}

/**
 * umedpt_safetensors_writer_add:
 * @writer: a writer
 * @name: its name, UTF-8, not given before
 * @tensor: a tensor in host memory; a reference is kept
 *
 * Since: 0.1
 */
void
umedpt_safetensors_writer_add (UmedptSafetensorsWriter *writer,
    const char *name, UmedptTensor *tensor)
{
  Item *item;

  g_return_if_fail (writer != NULL && tensor != NULL);
  g_return_if_fail (name != NULL && g_utf8_validate (name, -1, NULL));
  g_return_if_fail (strcmp (name, UMEDPT_SAFETENSORS_METADATA) != 0);
  g_return_if_fail (!g_hash_table_contains (writer->names, name));

  item = g_new (Item, 1);
  *item = (Item){ g_strdup (name), umedpt_tensor_ref (tensor) };
  g_ptr_array_add (writer->items, item);
  g_hash_table_add (writer->names, item->name);
}

static gint
compare_items (gconstpointer a, gconstpointer b)
{
  const Item *x = *(Item *const *) a, *y = *(Item *const *) b;
  gsize size_x = umedpt_dtype_size (umedpt_tensor_get_dtype (x->tensor));
  gsize size_y = umedpt_dtype_size (umedpt_tensor_get_dtype (y->tensor));

  if (size_x != size_y)
    return size_x > size_y ? -1 : 1;
  return strcmp (x->name, y->name);
}

static void
append_metadata (GString *text, GHashTable *metadata)
{
  g_autoptr (GList) keys =
      g_list_sort (g_hash_table_get_keys (metadata), (GCompareFunc) strcmp);

  if (!keys)
    return;
  g_string_append (text, "\"" UMEDPT_SAFETENSORS_METADATA "\":{");
  for (GList *key = keys; key; key = key->next) {
    if (key != keys)
      g_string_append_c (text, ',');
    umedpt_json_append_string (text, key->data);
    g_string_append_c (text, ':');
    umedpt_json_append_string (text, g_hash_table_lookup (metadata, key->data));
  }
  g_string_append_c (text, '}');
}

/* Appends one tensor's entry; its data begins at @begin. */
static void
append_entry (GString *text, const Item *item, guint64 begin)
{
  const gint64 *shape = umedpt_tensor_get_shape (item->tensor);
  guint n_dims = umedpt_tensor_get_n_dims (item->tensor);

  umedpt_json_append_string (text, item->name);
  g_string_append_printf (text, ":{\"dtype\":\"%s\",\"shape\":[",
      umedpt_safetensors_dtype_name (umedpt_tensor_get_dtype (item->tensor)));
  for (guint i = 0; i < n_dims; i++)
    g_string_append_printf (text, "%s%" G_GINT64_FORMAT, i ? "," : "",
        shape[i]);
  g_string_append_printf (text,
      "],\"data_offsets\":[%" G_GUINT64_FORMAT ",%" G_GUINT64_FORMAT "]}",
      begin, begin + umedpt_tensor_get_size (item->tensor));
}

/* The JSON header, padded. Sorts the items into the order of the data. */
static GString *
make_header (UmedptSafetensorsWriter *self)
{
  GString *text = g_string_new ("{");
  guint64 at = 0;

  g_ptr_array_sort (self->items, compare_items);
  append_metadata (text, self->metadata);
  for (guint i = 0; i < self->items->len; i++) {
    const Item *item = g_ptr_array_index (self->items, i);
    if (text->len > 1)
      g_string_append_c (text, ',');
    append_entry (text, item, at);
    at += umedpt_tensor_get_size (item->tensor);
  }
  g_string_append_c (text, '}');
  while (text->len % 8)
    g_string_append_c (text, ' ');
  return text;
}

static gboolean
write_content (UmedptSafetensorsWriter *self, UmedptAtomicFile *file,
    const GString *header, GError **error)
{
  guint64 length = header->len;

  if (!umedpt_atomic_file_write (file, &length, sizeof length, error) ||
      !umedpt_atomic_file_write (file, header->str, header->len, error))
    return FALSE;
  for (guint i = 0; i < self->items->len; i++) {
    const Item *item = g_ptr_array_index (self->items, i);
    if (!umedpt_atomic_file_write (file, umedpt_tensor_get_data (item->tensor),
            umedpt_tensor_get_size (item->tensor), error))
      return FALSE;
  }
  return TRUE;
}

/**
 * umedpt_safetensors_writer_write:
 * @writer: a writer
 * @path: the file to write; an existing one is replaced when the new one is
 *   whole
 * @error: return location for a #GError
 *
 * Writes to a temporary file beside @path, syncs and renames it.
 *
 * Returns: %TRUE, or %FALSE with @error set (%UMEDPT_ERROR_NO_SPACE,
 *   %UMEDPT_ERROR_NOT_FOUND if there is no such folder, %UMEDPT_ERROR_IO)
 *
 * Since: 0.1
 */
gboolean
umedpt_safetensors_writer_write (UmedptSafetensorsWriter *writer,
    const char *path, GError **error)
{
  g_autoptr (UmedptAtomicFile) file = NULL;
  g_autoptr (GString) header = NULL;

  g_return_val_if_fail (writer != NULL && path != NULL, FALSE);
  header = make_header (writer);
  if (header->len > UMEDPT_SAFETENSORS_MAX_HEADER) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
        "'%s' would have a header of %" G_GSIZE_FORMAT
        " bytes; the format allows 100000000. Store less metadata or fewer "
        "tensors.",
        path, header->len);
    return FALSE;
  }
  file = umedpt_atomic_file_new (path, TRUE, error);
  return file && write_content (writer, file, header, error) &&
      umedpt_atomic_file_commit (file, error);
}
