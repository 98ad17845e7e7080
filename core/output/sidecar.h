/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The companions of a features file that holds one array and nothing else
 * (.npy, .pt): NAME.coords.npy, int64 [N, 2], and NAME.info.json. They get
 * their names before the main file does, so whoever sees that has them too.
 */
#pragma once

#include "base/atomic-file.h"
#include "output/features-private.h"

typedef struct _UmedptSidecar UmedptSidecar;

UmedptSidecar *umedpt_sidecar_new (const char *main_path, gboolean overwrite,
    const UmedptFeatureRecord *record, GError **error);
gboolean umedpt_sidecar_append (UmedptSidecar *sidecar, gint64 x, gint64 y,
    GError **error);
gboolean umedpt_sidecar_commit (UmedptSidecar *sidecar, GError **error);
/* Removes what was committed, when the main file then failed. */
void umedpt_sidecar_withdraw (UmedptSidecar *sidecar);
void umedpt_sidecar_free (UmedptSidecar *sidecar);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptSidecar, umedpt_sidecar_free)
