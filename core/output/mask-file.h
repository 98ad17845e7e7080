/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A slide's mask as a pyramid that viewers open: a tiled, deflated BigTIFF of
 * labels with a colour map and resolutions, its levels in a chain (OpenSlide,
 * QuPath), or as OME-TIFF with the levels in SubIFDs where the name ends in
 * .ome.tif or .ome.tiff. Parts are written in any order, in bounded memory. A
 * writer belongs to one thread at a time.
 */
#pragma once

#include <gio/gio.h>

#include "base/macros.h"

G_BEGIN_DECLS

typedef struct
{
  gint64 width, height; /* of the mask, pixels; 2^21 at most */
  double mpp; /* micrometres per mask pixel; 0: unknown, no resolution */
  const char *const *labels; /* (nullable) NULL-terminated */
  const guint32 *colors; /* 0xRRGGBB per label */
  guint n_colors; /* 1 … 255: the number of classes */
  const char *slide; /* (nullable) name, for the description */
  const char *model_hash; /* (nullable) */
  const char *config_hash; /* (nullable) */
} UmedptMaskInfo;

typedef struct _UmedptMaskWriter UmedptMaskWriter;

/* @path ends in .tif, .tiff, .ome.tif or .ome.tiff. Values: class, 255 where
 * nothing was decided, which is also what has not been written. */
UMEDPT_API
UmedptMaskWriter *umedpt_mask_writer_new (const char *path,
    const UmedptMaskInfo *info, gboolean overwrite, GError **error);
/* @mask: u8 [height, width] with @stride bytes per row, put at (@x, @y) in
 * mask pixels; what lies outside is cut off. Later parts win. */
UMEDPT_API
gboolean umedpt_mask_writer_add (UmedptMaskWriter *self, gint64 x, gint64 y,
    gint width, gint height, const guint8 *mask, gsize stride, GError **error);

/* @row: u8 [width]; FALSE with @error set ends the work. */
typedef gboolean (*UmedptMaskRowFunc) (const guint8 *row, gpointer data,
    GError **error);
/* Reads what has been written, row by row from the top; for outlines. Before
 * finish. */
UMEDPT_API
gboolean umedpt_mask_writer_foreach_row (UmedptMaskWriter *self,
    UmedptMaskRowFunc func, gpointer data, GError **error);
/* Makes the smaller levels, completes the file and gives it its name. */
UMEDPT_API
gboolean umedpt_mask_writer_finish (UmedptMaskWriter *self, GError **error);
/* Without a successful finish, nothing is left. */
UMEDPT_API
void umedpt_mask_writer_free (UmedptMaskWriter *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptMaskWriter, umedpt_mask_writer_free)

G_END_DECLS
