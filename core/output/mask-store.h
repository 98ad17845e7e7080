/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Tiles of a mask, of all levels, in bounded memory: those that have not been
 * used for a while are deflated and wait in an unnamed file. A tile in which
 * nothing was decided is nowhere.
 */
#pragma once

#include "base/macros.h"
#include "base/task.h"

G_BEGIN_DECLS

#define UMEDPT_MASK_TILE 512
#define UMEDPT_MASK_TILE_BYTES (UMEDPT_MASK_TILE * UMEDPT_MASK_TILE)
#define UMEDPT_MASK_BLANK UMEDPT_IGNORE_PIXEL

typedef struct _UmedptMaskStore UmedptMaskStore;

typedef struct
{
  guint level;
  gint64 column, row; /* below 2^24 */
} UmedptMaskPlace;

/* A rectangle within a tile. */
typedef struct
{
  gint x, y, width, height;
} UmedptMaskRect;

/* The unnamed file lies in the folder of @path, which messages name. */
UmedptMaskStore *umedpt_mask_store_new (const char *path, gsize max_bytes);
void umedpt_mask_store_free (UmedptMaskStore *self);
/* @mask: u8 [rect->height, rect->width], @stride bytes per row */
gboolean umedpt_mask_store_write (UmedptMaskStore *self,
    const UmedptMaskPlace *place, const UmedptMaskRect *rect,
    const guint8 *mask, gsize stride, GError **error);
/* @tile: (out) u8 [UMEDPT_MASK_TILE, UMEDPT_MASK_TILE], untouched if @blank:
 * then all of it is UMEDPT_MASK_BLANK. */
gboolean umedpt_mask_store_read (UmedptMaskStore *self,
    const UmedptMaskPlace *place, guint8 *tile, gboolean *blank,
    GError **error);
/* Replaces a whole tile, which goes to the file at once. */
gboolean umedpt_mask_store_put (UmedptMaskStore *self,
    const UmedptMaskPlace *place, const guint8 *tile, GError **error);
/* Sends all tiles to the file and frees their memory. */
gboolean umedpt_mask_store_flush (UmedptMaskStore *self, GError **error);
/* The deflated tile, which must not be in memory (as after flush); valid until
 * the next call. @size: 0 if it is blank. */
gboolean umedpt_mask_store_get_packed (UmedptMaskStore *self,
    const UmedptMaskPlace *place, const guint8 **data, gsize *size,
    GError **error);
/* What the file has taken, bytes. */
guint64 umedpt_mask_store_get_file_size (const UmedptMaskStore *self);

/* Deflates a tile of @size bytes, as TIFF wants it. @packed is filled anew. */
gboolean umedpt_mask_pack (const guint8 *tile, gsize size, GByteArray *packed,
    GError **error);
gboolean umedpt_mask_is_blank (const guint8 *data, gsize size);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptMaskStore, umedpt_mask_store_free)

G_END_DECLS
