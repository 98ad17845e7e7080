/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * safetensors files (https://github.com/huggingface/safetensors, "Format"):
 * 8 bytes little-endian header length, a JSON header naming dtype, shape and
 * byte range of each tensor plus a string map "__metadata__", then the data.
 * The reader maps the file and checks every byte range before use.
 */
#pragma once

#include "tensor/tensor.h"

G_BEGIN_DECLS

typedef struct _UmedptSafetensors UmedptSafetensors; /* a file being read */
typedef struct _UmedptSafetensorsWriter UmedptSafetensorsWriter;

UMEDPT_API
UmedptSafetensors *umedpt_safetensors_open (const char *path, GError **error);
/* For tests and fuzzing: the same checks on bytes in memory. */
UMEDPT_API
UmedptSafetensors *umedpt_safetensors_open_bytes (GBytes *bytes,
    const char *name, GError **error);
UMEDPT_API
void umedpt_safetensors_free (UmedptSafetensors *file);
UMEDPT_API
guint umedpt_safetensors_get_n_tensors (UmedptSafetensors *file);
/* Names in file order. */
UMEDPT_API
const char *umedpt_safetensors_get_name (UmedptSafetensors *file, guint index);
/* (transfer full): shares the mapping and keeps it alive; NULL + NOT_FOUND.
 * The memory is read-only. */
UMEDPT_API
UmedptTensor *umedpt_safetensors_get_tensor (UmedptSafetensors *file,
    const char *name, GError **error);
/* (nullable): a value of "__metadata__" */
UMEDPT_API
const char *umedpt_safetensors_get_metadata (UmedptSafetensors *file,
    const char *key);
/* (transfer container): the keys of "__metadata__", sorted */
UMEDPT_API
GList *umedpt_safetensors_get_metadata_keys (UmedptSafetensors *file);

UMEDPT_API
UmedptSafetensorsWriter *umedpt_safetensors_writer_new (void);
UMEDPT_API
void umedpt_safetensors_writer_free (UmedptSafetensorsWriter *writer);
UMEDPT_API
void umedpt_safetensors_writer_set_metadata (UmedptSafetensorsWriter *writer,
    const char *key, const char *value);
/* Keeps a reference; a name given twice is a programming error. */
UMEDPT_API
void umedpt_safetensors_writer_add (UmedptSafetensorsWriter *writer,
    const char *name, UmedptTensor *tensor);
/* Writes to a temporary file beside @path, syncs, renames. */
UMEDPT_API
gboolean umedpt_safetensors_writer_write (UmedptSafetensorsWriter *writer,
    const char *path, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptSafetensors, umedpt_safetensors_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptSafetensorsWriter,
    umedpt_safetensors_writer_free)

G_END_DECLS
