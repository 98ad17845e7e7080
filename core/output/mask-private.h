/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The parts of the mask writer: what the file says of itself, and the pyramid.
 */
#pragma once

#include "output/mask-file.h"
#include "output/mask-store.h"

G_BEGIN_DECLS

#define UMEDPT_MASK_MAX_LEVELS 16

/* The ImageDescription: one JSON object; or OME-XML (OME 2016-06). */
char *umedpt_mask_describe (const UmedptMaskInfo *info);
char *umedpt_mask_describe_ome (const UmedptMaskInfo *info);

/* Writes a TIFF of all levels from the level 0 that is in @store, into @path,
 * which exists. */
gboolean umedpt_mask_write_tiff (const char *path, const UmedptMaskInfo *info,
    gboolean ome, UmedptMaskStore *store, GError **error);

G_END_DECLS
