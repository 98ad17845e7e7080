/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A two-dimensional array in NumPy's .npy format, version 1.0, appended row by
 * row: https://numpy.org/neps/nep-0001-npy-format.html. The header has a fixed
 * 128 bytes and is written again at the end, when the rows are counted.
 */
#pragma once

#include "base/macros.h"

G_BEGIN_DECLS

typedef struct _UmedptNpyFile UmedptNpyFile;

/* @descr: NumPy's type, as "<f4"; @element_size: its bytes. */
UmedptNpyFile *umedpt_npy_file_new (const char *path, gboolean overwrite,
    const char *descr, gsize element_size, GError **error);
/* The first row fixes @n_columns. */
gboolean umedpt_npy_file_append (UmedptNpyFile *file, gconstpointer row,
    guint n_columns, GError **error);
/* Completes the bytes, still under the temporary name. Without rows the shape
 * is (0, @n_columns), or (0,) if @n_columns is 0. */
gboolean umedpt_npy_file_complete (UmedptNpyFile *file, guint n_columns,
    GError **error);
gboolean umedpt_npy_file_commit (UmedptNpyFile *file, GError **error);
void umedpt_npy_file_free (UmedptNpyFile *file);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptNpyFile, umedpt_npy_file_free)

G_END_DECLS
