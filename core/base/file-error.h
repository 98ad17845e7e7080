/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a system call on a file has failed with, as an error that says what to
 * do.
 */
#pragma once

#include "base/macros.h"

G_BEGIN_DECLS

/* Sets @error: "Cannot @what '@path': ...". @number: of errno. Always FALSE. */
UMEDPT_API
gboolean umedpt_file_error_set (GError **error, int number, const char *what,
    const char *path);

G_END_DECLS
