/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Corners of outlines as the polygonizer collects them, and what they become.
 */
#pragma once

#include "data/polygon.h"

G_BEGIN_DECLS

#define UMEDPT_NO_CORNER G_MAXUINT32

typedef struct
{
  guint32 x : 31;
  guint32 touches : 1; /* a cell of the same value across the corner */
  guint32 y : 31;
  guint32 seen : 1;
  guint32 next; /* of the outline, clockwise */
  guint32 other; /* another corner of the region, or of the free ones */
} UmedptCorner;

/* The polygon of the region whose corners are @first and its others; their
 * outlines are closed. Changes next and seen. */
UmedptPolygon *umedpt_corners_to_polygon (UmedptCorner *corners, guint32 first,
    double x, double y, double scale);

G_END_DECLS
