/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The header of a safetensors file, parsed and checked: a function of bytes
 * alone, apart from where they come from.
 */
#pragma once

#include "tensor/tensor.h"

G_BEGIN_DECLS

#define UMEDPT_SAFETENSORS_MAX_HEADER ((guint64) 100000000)
#define UMEDPT_SAFETENSORS_METADATA "__metadata__"

/* One tensor of a file. */
typedef struct
{
  char *name;
  const char *dtype_name; /* as in the file: "F32" */
  gint dtype; /* UmedptDtype; -1: of the format, but not offered here */
  guint n_dims;
  gint64 shape[UMEDPT_MAX_DIMS];
  guint64 begin, end; /* bytes within the data section */
} UmedptSafetensorsEntry;

typedef struct
{
  GPtrArray *entries; /* of UmedptSafetensorsEntry, in the header's order */
  GHashTable *by_name; /* name -> entry, both borrowed */
  GHashTable *metadata; /* char * -> char * */
  gsize data_offset; /* of the data section in the file */
} UmedptSafetensorsHeader;

UmedptSafetensorsHeader *umedpt_safetensors_header_parse (const guint8 *data,
    gsize size, GError **error);
void umedpt_safetensors_header_free (UmedptSafetensorsHeader *self);

/* The format's name of @dtype, as "F32". */
const char *umedpt_safetensors_dtype_name (UmedptDtype dtype);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptSafetensorsHeader,
    umedpt_safetensors_header_free)

G_END_DECLS
