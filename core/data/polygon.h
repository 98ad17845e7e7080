/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Outlines as annotation programs draw them: rings of points, filled by the
 * even-odd rule, so that an inner ring is a hole; or lines with a width. In
 * level-0 pixels of a slide, as doubles.
 */
#pragma once

#include "base/macros.h"

G_BEGIN_DECLS

typedef struct
{
  double x, y;
} UmedptPoint;

typedef struct
{
  GArray *points; /* of UmedptPoint, ring after ring */
  GArray *ends; /* guint: where each ring (or line) ends in points */
  double radius; /* half the width of lines; 0: rings */
  double area;
  double x1, y1, x2, y2; /* bounds */
} UmedptPolygon;

/* Which part of a slide a mask shows: its pixel (i, j) has its centre at
 * (x + (i + 0.5) scale, y + (j + 0.5) scale). */
typedef struct
{
  double x, y, scale;
  gint width, height;
} UmedptRaster;

UmedptPolygon *umedpt_polygon_new (void);
UMEDPT_API
void umedpt_polygon_free (UmedptPolygon *self);
void umedpt_polygon_add_point (UmedptPolygon *self, double x, double y);
/* Ends a ring; @hole: its area is taken away. */
void umedpt_polygon_end_ring (UmedptPolygon *self, gboolean hole);
/* Ends a line. They all become as wide as twice the root of their length. */
void umedpt_polygon_end_line (UmedptPolygon *self);
/* To be called when all is added; FALSE if nothing is left to fill. */
gboolean umedpt_polygon_finish (UmedptPolygon *self);
gboolean umedpt_polygon_contains (const UmedptPolygon *self, double x,
    double y);
/* Sets every @step-th byte of @mask whose centre is inside to @value. */
void umedpt_polygon_fill (const UmedptPolygon *self, const UmedptRaster *raster,
    guint8 *mask, guint step, guint8 value);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptPolygon, umedpt_polygon_free)

G_END_DECLS
