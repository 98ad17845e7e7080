/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Which tiles of a slide, and reading them ahead of their use: a plan is a
 * list of positions made once; a reader decodes them in several threads and
 * hands them out in the plan's order, with bounded memory.
 *
 * The geometry, in doubles, S = µm per level-0 pixel (the user's slide_mpp,
 * else the slide's), T = tile_size, O = overlap, (X, Y, W, H) = the region cut
 * to the slide:
 *
 *   D = mpp / S, or level's downsample, or objective / magnification (without
 *       an objective power, or with the user's slide_mpp, 10 / (magnification
 *       * S))                            level-0 pixels per output pixel
 *   step = (T - O) * D,  side = T * D
 *   columns = max (1, ceil ((W - O * D) / step - 1e-6)), rows likewise by H
 *   x = X + floor (column * step + 0.5),  y = Y + floor (row * step + 0.5)
 *   width = height = floor (side + 0.5)
 *
 * Pixels are read from [x, x + side) x [y, y + side), so coordinates are
 * rounded once and errors never add up. The last column and row reach over the
 * region's edge; what lies outside the slide is white and not counted in
 * the valid fraction. With a tissue mask a tile is kept if its tissue fraction
 * is above 0 and at least min_tissue.
 */
#pragma once

#include <gio/gio.h>

#include "data/slide.h"

G_BEGIN_DECLS

typedef enum
{
  UMEDPT_TISSUE_NONE, /* every tile */
  UMEDPT_TISSUE_OTSU, /* Otsu's threshold on saturation at low power */
} UmedptTissue;

typedef enum
{
  UMEDPT_ORDER_ROWS, /* left to right, then down */
  UMEDPT_ORDER_COLUMNS, /* down, then left to right */
  UMEDPT_ORDER_SERPENTINE, /* rows, every second one backwards */
} UmedptOrder;

/* Set exactly one of mpp, magnification and level (-1 = unset). */
typedef struct
{
  gint tile_size; /* output pixels, 256 */
  gint overlap; /* output pixels shared by neighbours, 0 */
  double mpp; /* wanted µm per output pixel, 0 = unset */
  double magnification; /* wanted objective power, 0 = unset */
  gint level; /* the pyramid level as it is, -1 = unset */
  double slide_mpp; /* the user's word on level 0, 0 = ask the slide */
  gint64 region[4]; /* x, y, width, height at level 0; width 0 = all */
  UmedptTissue tissue;
  double min_tissue; /* keep a tile with at least this fraction, 0.05 */
  UmedptOrder order;
} UmedptTileOptions;

#define UMEDPT_TILE_OPTIONS_INIT \
  { \
    256, 0, 0, 0, -1, 0, { 0, 0, 0, 0 }, UMEDPT_TISSUE_OTSU, 0.05, \
        UMEDPT_ORDER_ROWS \
  }

typedef struct
{
  guint64 index; /* in the plan */
  gint64 x, y; /* absolute level-0 pixels, top left */
  gint64 width, height; /* level-0 pixels covered, rounded */
  double mpp; /* of the output; 0 = unknown */
  double valid; /* fraction inside the slide */
  double tissue; /* fraction by the mask; 1 without one */
} UmedptTile;

#define UMEDPT_TYPE_TILE_PLAN (umedpt_tile_plan_get_type ())
UMEDPT_API
G_DECLARE_FINAL_TYPE (UmedptTilePlan, umedpt_tile_plan, UMEDPT, TILE_PLAN,
    GObject)

UMEDPT_API
UmedptTilePlan *umedpt_tile_plan_new (UmedptSlide *slide,
    const UmedptTileOptions *options, GError **error);
UMEDPT_API
UmedptSlide *umedpt_tile_plan_get_slide (UmedptTilePlan *self);
UMEDPT_API
const UmedptTileOptions *umedpt_tile_plan_get_options (UmedptTilePlan *self);
UMEDPT_API
guint64 umedpt_tile_plan_get_n_tiles (UmedptTilePlan *self);
/* Tiles of the grid that the tissue mask left out. */
UMEDPT_API
guint64 umedpt_tile_plan_get_n_skipped (UmedptTilePlan *self);
UMEDPT_API
void umedpt_tile_plan_get_tile (UmedptTilePlan *self, guint64 index,
    UmedptTile *tile);
/* Level-0 pixels per output pixel; the µm per output pixel (0 = unknown); the
 * µm per level-0 pixel and whence. */
UMEDPT_API
double umedpt_tile_plan_get_downsample (UmedptTilePlan *self);
UMEDPT_API
double umedpt_tile_plan_get_mpp (UmedptTilePlan *self);
UMEDPT_API
double umedpt_tile_plan_get_slide_mpp (UmedptTilePlan *self,
    UmedptMppSource *source);
/* Hex SHA-256 of everything that decides the tiles' pixels and order. */
UMEDPT_API
const char *umedpt_tile_plan_get_hash (UmedptTilePlan *self);

typedef struct _UmedptTileReader UmedptTileReader;

/* @n_threads 0 = as many as cores. Reading begins at @start_index. */
UMEDPT_API
UmedptTileReader *umedpt_tile_reader_new (UmedptTilePlan *plan, guint n_threads,
    guint64 start_index);
UMEDPT_API
void umedpt_tile_reader_free (UmedptTileReader *reader);

typedef enum
{
  UMEDPT_TILE_OK, /* @tile and the pixels are valid */
  UMEDPT_TILE_BAD, /* @tile is valid, its pixels could not be read;
                            @error says why; go on with the next call */
  UMEDPT_TILE_END, /* no more */
  UMEDPT_TILE_CANCELLED, /* umedpt_tile_reader_cancel() was called */
} UmedptTileStatus;

/* The next tile in order. @rgb (out) (transfer full): RGB rows without
 * padding, tile_size x tile_size x 3 bytes. Blocks until decoded. */
UMEDPT_API
UmedptTileStatus umedpt_tile_reader_next (UmedptTileReader *reader,
    UmedptTile *tile, GBytes **rgb, GError **error);
/* Wakes a blocked next(), from any thread; for flushing and shutdown. */
UMEDPT_API
void umedpt_tile_reader_cancel (UmedptTileReader *reader);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptTileReader, umedpt_tile_reader_free)

G_END_DECLS
