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
/* Gives the file its name, or hands it to the thread's group
 * (atomic-group.h). */
gboolean umedpt_atomic_file_commit (UmedptAtomicFile *file, GError **error);
/* Removes the temporary file if it was not committed. */
void umedpt_atomic_file_free (UmedptAtomicFile *file);

/* For groups. Takes @file if this thread has one. */
gboolean umedpt_atomic_group_adopt (UmedptAtomicFile *file);
/* The whole of @file, which is an empty shell then. (transfer full) */
UmedptAtomicFile *umedpt_atomic_file_steal (UmedptAtomicFile *file);
/* Whether it could get its name now; gives it; takes it away again, unless it
 * was another's before. */
gboolean umedpt_atomic_file_check (UmedptAtomicFile *file, GError **error);
gboolean umedpt_atomic_file_publish (UmedptAtomicFile *file, GError **error);
void umedpt_atomic_file_retract (UmedptAtomicFile *file);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptAtomicFile, umedpt_atomic_file_free)

G_END_DECLS
