/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A ZIP archive of uncompressed members, written in one pass and constant
 * memory: the size and checksum of a member are filled in when it ends.
 * Format: PKWARE's APPNOTE.TXT 6.3, with ZIP64 where 4 GiB are not enough.
 */
#pragma once

#include "base/macros.h"

G_BEGIN_DECLS

typedef struct _UmedptZipStored UmedptZipStored;

UmedptZipStored *umedpt_zip_stored_new (const char *path, gboolean overwrite,
    GError **error);
/* One member: begin, any number of writes, end. @name: ASCII. */
gboolean umedpt_zip_stored_begin (UmedptZipStored *zip, const char *name,
    GError **error);
gboolean umedpt_zip_stored_write (UmedptZipStored *zip, gconstpointer data,
    gsize size, GError **error);
gboolean umedpt_zip_stored_end (UmedptZipStored *zip, GError **error);
/* The three in one. */
gboolean umedpt_zip_stored_add (UmedptZipStored *zip, const char *name,
    gconstpointer data, gsize size, GError **error);
/* Writes the directory, still under the temporary name. */
gboolean umedpt_zip_stored_complete (UmedptZipStored *zip, GError **error);
gboolean umedpt_zip_stored_commit (UmedptZipStored *zip, GError **error);
void umedpt_zip_stored_free (UmedptZipStored *zip);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptZipStored, umedpt_zip_stored_free)

G_END_DECLS
