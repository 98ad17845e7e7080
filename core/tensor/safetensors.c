/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The reader: maps the file privately and read-only, has its header checked
 * (safetensors-header.c), and hands out tensors that share the mapping, so
 * that a model of any size opens at once and pages of weights that have been
 * packed can be dropped. A tensor that lies at an address its type must not
 * have (files of others may be packed without alignment) is copied.
 *
 * The file must not be cut short while it is in use: access beyond the new
 * end would raise SIGBUS, as for every mapped file. Our own writer replaces
 * files by rename(), which leaves mappings of the old one whole.
 */
#include "tensor/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "tensor/safetensors-header.h"
#include "tensor/storage.h"

struct _UmedptSafetensors
{
  char *name; /* for messages */
  UmedptStorage *storage; /* all bytes of the file */
  UmedptSafetensorsHeader *header;
};

/* Takes @storage. */
static UmedptSafetensors *
open_storage (UmedptStorage *storage, const char *name, GError **error)
{
  UmedptSafetensorsHeader *header =
      umedpt_safetensors_header_parse (storage->data, storage->size, error);
  UmedptSafetensors *self;

  if (!header) {
    g_prefix_error (error, "'%s' is not a valid safetensors file: ", name);
    umedpt_storage_unref (storage);
    return NULL;
  }
  self = g_new0 (UmedptSafetensors, 1);
  self->name = g_strdup (name);
  self->storage = storage;
  self->header = header;
  return self;
}

typedef struct
{
  gpointer data;
  gsize size;
} Mapping;

static void
mapping_free (gpointer data)
{
  Mapping *mapping = data;

  if (mapping->size)
    munmap (mapping->data, mapping->size);
  g_free (mapping);
}

static UmedptStorage *
fail_errno (const char *path, int number, GError **error)
{
  g_set_error (error, UMEDPT_ERROR,
      number == ENOENT || number == ENOTDIR ? UMEDPT_ERROR_NOT_FOUND
                                            : UMEDPT_ERROR_IO,
      "Cannot open the model file '%s': %s.", path, g_strerror (number));
  return NULL;
}

/* Maps what @fd is open on. An empty file cannot be mapped and needs not be. */
static UmedptStorage *
map_descriptor (int fd, const char *path, GError **error)
{
  static guint8 nothing[1];
  UmedptStorage *storage;
  struct stat status;
  gpointer data = nothing;
  Mapping *mapping;

  if (fstat (fd, &status) != 0)
    return fail_errno (path, errno, error);
  if (!S_ISREG (status.st_mode)) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_IO,
        "Cannot open the model file '%s': it is a %s. Give the name of a file.",
        path, S_ISDIR (status.st_mode) ? "folder" : "device, pipe or socket");
    return NULL;
  }
  if (status.st_size > 0)
    data = mmap (NULL, status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (data == MAP_FAILED)
    return fail_errno (path, errno, error);
  mapping = g_new (Mapping, 1);
  *mapping = (Mapping){ data, status.st_size };
  storage =
      umedpt_storage_new_wrapped (data, mapping->size, mapping_free, mapping);
  storage->mapped = TRUE;
  return storage;
}

/**
 * umedpt_safetensors_open:
 * @path: a safetensors file
 * @error: return location for a #GError
 *
 * Maps the file and checks all of its header; its tensors are read when they
 * are used. The file must not be made shorter while it is in use.
 *
 * Returns: (transfer full): the file, or %NULL with @error set
 *   (%UMEDPT_ERROR_NOT_FOUND, %UMEDPT_ERROR_IO, %UMEDPT_ERROR_FORMAT)
 *
 * Since: 0.1
 */
UmedptSafetensors *
umedpt_safetensors_open (const char *path, GError **error)
{
  UmedptStorage *storage;
  int fd;

  g_return_val_if_fail (path != NULL, NULL);
  /* O_NONBLOCK: opening a pipe must not wait for a writer. */
  fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    fail_errno (path, errno, error);
    return NULL;
  }
  storage = map_descriptor (fd, path, error);
  close (fd);
  return storage ? open_storage (storage, path, error) : NULL;
}

static void
bytes_free (gpointer data)
{
  g_bytes_unref (data);
}

/**
 * umedpt_safetensors_open_bytes:
 * @bytes: the bytes of a whole file
 * @name: what to call it in messages
 * @error: return location for a #GError
 *
 * As umedpt_safetensors_open(), of bytes in memory, which are kept alive.
 *
 * Returns: (transfer full): the file, or %NULL with @error set
 *   (%UMEDPT_ERROR_FORMAT)
 *
 * Since: 0.1
 */
UmedptSafetensors *
umedpt_safetensors_open_bytes (GBytes *bytes, const char *name, GError **error)
{
  gconstpointer data;
  gsize size;

  g_return_val_if_fail (bytes != NULL && name != NULL, NULL);
  data = g_bytes_get_data (bytes, &size);
  return open_storage (umedpt_storage_new_wrapped ((gpointer) data, size,
                           bytes_free, g_bytes_ref (bytes)),
      name, error);
}

/**
 * umedpt_safetensors_free:
 * @file: (transfer full): a file
 *
 * Closes the file. Tensors taken from it stay valid.
 *
 * Since: 0.1
 */
void
umedpt_safetensors_free (UmedptSafetensors *file)
{
  if (!file)
    return;
  umedpt_safetensors_header_free (file->header);
  umedpt_storage_unref (file->storage);
  g_free (file->name);
  g_free (file);
}

/**
 * umedpt_safetensors_get_n_tensors:
 * @file: a file
 *
 * Returns: the number of tensors
 *
 * Since: 0.1
 */
guint
umedpt_safetensors_get_n_tensors (UmedptSafetensors *file)
{
  g_return_val_if_fail (file != NULL, 0);
  return file->header->entries->len;
}

/**
 * umedpt_safetensors_get_name:
 * @file: a file
 * @index: 0 … umedpt_safetensors_get_n_tensors() - 1
 *
 * Returns: (transfer none): the name of a tensor, in the header's order
 *
 * Since: 0.1
 */
const char *
umedpt_safetensors_get_name (UmedptSafetensors *file, guint index)
{
  const UmedptSafetensorsEntry *entry;

  g_return_val_if_fail (file != NULL, NULL);
  g_return_val_if_fail (index < file->header->entries->len, NULL);
  entry = g_ptr_array_index (file->header->entries, index);
  return entry->name;
}

static void
storage_free (gpointer data)
{
  umedpt_storage_unref (data);
}

/* A tensor that shares the file's memory, or a copy where that is unaligned.
 * The storage says of itself whether its pages may be dropped. */
static UmedptTensor *
make_tensor (UmedptSafetensors *file, const UmedptSafetensorsEntry *entry,
    GError **error)
{
  guint8 *data =
      (guint8 *) file->storage->data + file->header->data_offset + entry->begin;
  gsize size = entry->end - entry->begin;
  UmedptTensor *tensor;

  if ((gsize) data % umedpt_dtype_size (entry->dtype) != 0) {
    tensor =
        umedpt_tensor_new (entry->dtype, entry->n_dims, entry->shape, error);
    if (tensor && size)
      memcpy (tensor->data, data, size);
    return tensor;
  }
  tensor = umedpt_tensor_new_wrapped (entry->dtype, entry->n_dims, entry->shape,
      data, size, storage_free, file->storage, error);
  if (tensor) {
    umedpt_storage_ref (file->storage);
    tensor->storage->mapped = file->storage->mapped;
  }
  return tensor;
}

/**
 * umedpt_safetensors_get_tensor:
 * @file: a file
 * @name: the name of a tensor
 * @error: return location for a #GError
 *
 * Makes a tensor of the file's bytes, without a copy where alignment allows.
 * The memory is read-only and outlives @file.
 *
 * Returns: (transfer full): the tensor, or %NULL with @error set
 *   (%UMEDPT_ERROR_NOT_FOUND; %UMEDPT_ERROR_UNSUPPORTED if its element type is
 *   of the format, but none of #UmedptDtype)
 *
 * Since: 0.1
 */
UmedptTensor *
umedpt_safetensors_get_tensor (UmedptSafetensors *file, const char *name,
    GError **error)
{
  const UmedptSafetensorsEntry *entry;
  UmedptTensor *tensor;

  g_return_val_if_fail (file != NULL && name != NULL, NULL);
  entry = g_hash_table_lookup (file->header->by_name, name);
  if (!entry) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NOT_FOUND,
        "'%s' has no tensor '%s'; it has %u others. It may belong to another "
        "architecture or program.",
        file->name, name, file->header->entries->len);
    return NULL;
  }
  if (entry->dtype < 0) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
        "Tensor '%s' of '%s' has the element type %s; F32, BF16, F16, I32, I64 "
        "and U8 can be read. Convert it with the program that wrote it.",
        name, file->name, entry->dtype_name);
    return NULL;
  }
  tensor = make_tensor (file, entry, error);
  if (!tensor)
    g_prefix_error (error, "Tensor '%s' of '%s': ", name, file->name);
  return tensor;
}

/**
 * umedpt_safetensors_get_metadata:
 * @file: a file
 * @key: a key of the string map "__metadata__"
 *
 * Returns: (transfer none) (nullable): its value
 *
 * Since: 0.1
 */
const char *
umedpt_safetensors_get_metadata (UmedptSafetensors *file, const char *key)
{
  g_return_val_if_fail (file != NULL && key != NULL, NULL);
  return g_hash_table_lookup (file->header->metadata, key);
}

/**
 * umedpt_safetensors_get_metadata_keys:
 * @file: a file
 *
 * Returns: (transfer container) (element-type utf8): the keys of
 *   "__metadata__", sorted
 *
 * Since: 0.1
 */
GList *
umedpt_safetensors_get_metadata_keys (UmedptSafetensors *file)
{
  g_return_val_if_fail (file != NULL, NULL);
  return g_list_sort (g_hash_table_get_keys (file->header->metadata),
      (GCompareFunc) strcmp);
}
