/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the parts of the object merger share: objects as tiles found them, a
 * grid to find neighbours in, how two of them are compared, and what becomes
 * of those that belong together.
 */
#pragma once

#include "output/objects.h"

G_BEGIN_DECLS

/* Positions of tiles are rounded to whole level-0 pixels, so neighbours
 * without overlap may lie this far apart, or share as much. */
#define UMEDPT_OBJECTS_SEAM 1.0

typedef struct
{
  double x1, y1, x2, y2;
} UmedptRect;

/* objects-grid.c: a spatial hash. What is to be found in one begins with this
 * and must not move nor change its bounds meanwhile. */
typedef struct
{
  UmedptRect bounds;
  guint stamp; /* the last query that saw it */
} UmedptGridItem;

typedef struct _UmedptGrid UmedptGrid;

UmedptGrid *umedpt_grid_new (double cell);
void umedpt_grid_free (UmedptGrid *self);
void umedpt_grid_add (UmedptGrid *self, UmedptGridItem *item);
void umedpt_grid_remove (UmedptGrid *self, UmedptGridItem *item);
/* Empties @found and fills it with the items that touch @rect. */
void umedpt_grid_find (UmedptGrid *self, const UmedptRect *rect,
    GPtrArray *found);

/* A tile lives as long as an object of its, or the merger, needs it. */
typedef struct
{
  UmedptGridItem core; /* first */
  UmedptRect bounds;
  guint64 number; /* as they came */
  guint n_users;
} UmedptMergerTile;

enum
{
  UMEDPT_SIDE_LEFT = 1,
  UMEDPT_SIDE_TOP = 2,
  UMEDPT_SIDE_RIGHT = 4,
  UMEDPT_SIDE_BOTTOM = 8,
};

/* An object as one tile has found it. */
typedef struct
{
  UmedptGridItem item; /* first */
  UmedptObject object; /* owned */
  UmedptMergerTile *tile;
  guint sides; /* of the tile, that it touches */
  gboolean in_core; /* its centre is in the tile's core */
  gboolean owned; /* … or in the core of another tile that was added */
  gboolean met; /* another tile has found something there */
  GArray *links; /* of UmedptLink (nullable) */
  double best; /* while a tile is matched: its best counterpart there */
  guint index; /* while a component is resolved: by place, … */
  gboolean stays; /* … and whether it is (part of) a result */
  gboolean done; /* its results have been made */
} UmedptFound;

typedef enum
{
  UMEDPT_LINK_TWIN, /* both tiles saw the same: one of them stays */
  UMEDPT_LINK_COVERED, /* the other holds whole what is cut here */
  UMEDPT_LINK_COVERS,
  UMEDPT_LINK_UNION, /* each has a part */
} UmedptLinkKind;

typedef struct
{
  UmedptFound *other;
  UmedptLinkKind kind;
  double strength;
} UmedptLink;

void umedpt_found_free (UmedptFound *self);

/* objects-match.c: links the objects of a new tile with those of others in
 * @grid, where they are not yet. */
void umedpt_objects_match (GPtrArray *fresh, UmedptGrid *grid,
    double min_overlap);

/* objects-resolve.c: appends the whole objects that @component, all that are
 * linked with each other, make to @objects (of UmedptObject), which then owns
 * the outlines. */
void umedpt_objects_resolve (GPtrArray *component, GArray *objects);

/* objects-outline.c: outlines as sets of points. The areas of @a, of @b and
 * of what they share, all within @zone. */
void umedpt_outlines_measure (const UmedptPolygon *a, const UmedptPolygon *b,
    const UmedptRect *zone, double *area_a, double *area_b, double *shared);
/* The union of outlines (of UmedptPolygon): rings without an order, outer ones
 * with a positive sum of cross products. NULL if nothing is left to fill. */
UmedptPolygon *umedpt_outlines_unite (GPtrArray *outlines);

/* Level-0 pixels: closer than this is equal. */
#define UMEDPT_OUTLINES_SAME 1e-7

/* A piece of an outline, what it encloses being right of it (y points down). */
typedef struct
{
  UmedptPoint from, to;
  gboolean used;
  guint place; /* of from in the ring, plus 1; of the first that begins there */
} UmedptSegment;

/* objects-rings.c: sorts @segments (of UmedptSegment), which together close
 * every ring they begin. NULL if nothing is left to fill. */
UmedptPolygon *umedpt_segments_chain (GArray *segments);

G_END_DECLS
