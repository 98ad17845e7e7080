/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Gathers small appends to an atomic file into writes of a megabyte, since a
 * row is some kilobytes, and overwrites a header once its numbers are known.
 */
#pragma once

#include "base/atomic-file.h"

G_BEGIN_DECLS

typedef struct
{
  UmedptAtomicFile *file; /* not owned */
  GByteArray *bytes;
} UmedptRowBuffer;

void umedpt_row_buffer_init (UmedptRowBuffer *buffer, UmedptAtomicFile *file);
void umedpt_row_buffer_clear (UmedptRowBuffer *buffer);
gboolean umedpt_row_buffer_append (UmedptRowBuffer *buffer, gconstpointer data,
    gsize size, GError **error);
gboolean umedpt_row_buffer_flush (UmedptRowBuffer *buffer, GError **error);
/* Overwrites bytes that were flushed; the end of the file stays the place of
 * the next append. */
gboolean umedpt_row_buffer_patch (UmedptRowBuffer *buffer, guint64 offset,
    gconstpointer data, gsize size, GError **error);

G_END_DECLS
