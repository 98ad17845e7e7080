/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Objects that were found in a slide tile by tile, made whole and counted
 * once: what tiles that overlap have found twice, and what their seams have
 * cut, is merged while tiles come; an object leaves as soon as no later tile
 * can add to it. Positions are absolute level-0 pixels.
 */
#pragma once

#include "base/macros.h"
#include "data/polygon.h"

G_BEGIN_DECLS

typedef struct
{
  guint task; /* a number of the caller's; objects of different tasks differ */
  gint label; /* class, from 0 */
  gfloat score; /* 0 … 1 */
  double x1, y1, x2, y2; /* bounds */
  double area; /* square level-0 pixels */
  UmedptPolygon *outline; /* (nullable): of a box */
} UmedptObject;

/* Where a tile lies, and which part of it is its own: the tile less half the
 * overlap on each side that has (or could have) a neighbour. */
typedef struct
{
  double x1, y1, x2, y2;
  double core_x1, core_y1, core_x2, core_y2;
} UmedptObjectTile;

typedef struct _UmedptObjectMerger UmedptObjectMerger;

/* A whole object, valid during the call. FALSE with @error set ends the
 * work. */
typedef gboolean (*UmedptObjectFunc) (const UmedptObject *object, gpointer data,
    GError **error);

#define UMEDPT_OBJECTS_MIN_OVERLAP 0.5

/* @min_overlap: two objects of one task and class are the same if their
 * intersection is at least this share of the smaller one (of two that are cut,
 * of what both tiles have seen of them; half of it is enough for a piece whose
 * place is another tile's), and neither has a better counterpart in the other's
 * tile; or if both reach the seam between tiles that only meet, and meet there
 * over this share of the shorter contact. Of two classes, this must be the
 * share of their union. */
UMEDPT_API
UmedptObjectMerger *umedpt_object_merger_new (double min_overlap,
    UmedptObjectFunc func, gpointer data);
/* Takes the outlines of @objects (GArray of UmedptObject, in any order; it is
 * emptied). Tiles may come in any order; in rows, serpentine or columns, memory
 * is that of one or two of them. Tiles that begin in such an order and then
 * leave it may get objects twice that were thought complete. */
UMEDPT_API
gboolean umedpt_object_merger_add_tile (UmedptObjectMerger *self,
    const UmedptObjectTile *tile, GArray *objects, GError **error);
UMEDPT_API
gboolean umedpt_object_merger_finish (UmedptObjectMerger *self, GError **error);
UMEDPT_API
void umedpt_object_merger_free (UmedptObjectMerger *self);
/* Findings of tiles that wait for their neighbours. */
UMEDPT_API
guint umedpt_object_merger_get_n_waiting (UmedptObjectMerger *self);

UMEDPT_API
void umedpt_object_clear (UmedptObject *object);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptObjectMerger, umedpt_object_merger_free)

G_END_DECLS
