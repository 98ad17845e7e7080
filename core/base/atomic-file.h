/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A file that appears under its name only when it is whole: written to a
 * temporary name in the same folder, synced, renamed. Writers that need a
 * path (HDF5) take the temporary path; others take the descriptor.
 */
#pragma once

#include "base/macros.h"

G_BEGIN_DECLS

typedef struct _UmedptAtomicFile UmedptAtomicFile;

/* With @overwrite FALSE an existing @path is %UMEDPT_ERROR_EXISTS. */
UmedptAtomicFile *umedpt_atomic_file_new (const char *path, gboolean overwrite,
    GError **error);
const char *umedpt_atomic_file_get_temporary_path (UmedptAtomicFile *file);
int umedpt_atomic_file_get_fd (UmedptAtomicFile *file);
/* Writes all of @size bytes; a full disk is %UMEDPT_ERROR_NO_SPACE. */
gboolean umedpt_atomic_file_write (UmedptAtomicFile *file, gconstpointer data,
    gsize size, GError **error);
gboolean umedpt_atomic_file_commit (UmedptAtomicFile *file, GError **error);
/* Removes the temporary file if it was not committed. */
void umedpt_atomic_file_free (UmedptAtomicFile *file);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptAtomicFile, umedpt_atomic_file_free)

G_END_DECLS
