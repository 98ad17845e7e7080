/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The little of HDF5 that we write with, made safe: one lock for the whole
 * process (Debian's HDF5 is not thread-safe), HDF5's printing of errors off
 * while we call it, its innermost message in the GError, and a full disk told
 * from other failures.
 */
#pragma once

#include "output/features-private.h"

G_BEGIN_DECLS

typedef struct _UmedptH5 UmedptH5;
typedef struct _UmedptH5Array UmedptH5Array;

typedef enum
{
  UMEDPT_H5_F32,
  UMEDPT_H5_I64,
  UMEDPT_H5_STRING, /* variable length, UTF-8 */
} UmedptH5Type;

/* Writes to @fd, an empty file that stays the caller's and must outlive this;
 * @shown_path is its name in messages. */
UmedptH5 *umedpt_h5_new (int fd, const char *shown_path, GError **error);
/* A data set [0, @n_columns] that grows by rows; [0] if @n_columns is 0. It
 * belongs to the file. */
UmedptH5Array *umedpt_h5_add_array (UmedptH5 *h5, const char *name,
    UmedptH5Type type, guint n_columns, guint chunk_rows, GError **error);
gboolean umedpt_h5_append (UmedptH5 *h5, UmedptH5Array *array,
    gconstpointer rows, guint n_rows, GError **error);
/* Of @array, or of the file if NULL. Integers are int64, strings of variable
 * length in UTF-8, so that h5py returns int and str. */
gboolean umedpt_h5_set_attributes (UmedptH5 *h5, UmedptH5Array *array,
    const UmedptAttribute *attributes, guint n, GError **error);
/* Writes what is held back; nothing else may follow but free. */
gboolean umedpt_h5_close (UmedptH5 *h5, GError **error);
void umedpt_h5_free (UmedptH5 *h5);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptH5, umedpt_h5_free)

G_END_DECLS
