/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * From a label image to outlines with holes, row by row: the image may be a
 * whole slide's and need not be in memory. Memory is that of the regions that
 * the last row touches.
 */
#pragma once

#include <gio/gio.h>

#include "base/macros.h"
#include "data/polygon.h"

G_BEGIN_DECLS

typedef struct _UmedptPolygonizer UmedptPolygonizer;

/* A region that is complete: pixels of @value that hang together by their
 * sides. @polygon (transfer full), finished: its outline, then its holes, with
 * points where they turn only. No ring touches itself; two may touch at a
 * point. The area is exact. FALSE with @error set ends the work: then the
 * polygonizer can only be freed. */
typedef gboolean (*UmedptRegionFunc) (guint8 value, UmedptPolygon *polygon,
    gpointer data, GError **error);

/* @width: pixels per row, below G_MAXINT32. Pixel (i, j) covers
 * [x + i scale, x + (i + 1) scale) and so on. Value 0 is no region. Regions
 * come in the order in which their last rows end. */
UMEDPT_API
UmedptPolygonizer *umedpt_polygonizer_new (gint64 width, double x, double y,
    double scale, UmedptRegionFunc func, gpointer data);
/* @row: u8 [width] */
UMEDPT_API
gboolean umedpt_polygonizer_add_row (UmedptPolygonizer *self, const guint8 *row,
    GError **error);
/* After the last row. */
UMEDPT_API
gboolean umedpt_polygonizer_finish (UmedptPolygonizer *self, GError **error);
UMEDPT_API
void umedpt_polygonizer_free (UmedptPolygonizer *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptPolygonizer, umedpt_polygonizer_free)

G_END_DECLS
