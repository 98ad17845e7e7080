/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Masks on frames: their regions as translucent colour, and contours. Both are
 * found once at the resolution of the mask, which is a small part of that of
 * the frame, and then scaled; so a contour is a smooth line also where a mask
 * pixel covers many of the frame.
 */
#pragma once

#include "common/gstumedptresults.h"
#include "overlay/gstumedptpaint.h"

G_BEGIN_DECLS

/* Pixels of one class side by side. */
typedef struct
{
  gint y, x0, x1; /* from x0 to before x1, pixels of the mask */
  gint label;
} GstUmedptRun;

/* A piece of a contour, a line between the middles of two sides of the square
 * between four pixels' centres. */
typedef struct
{
  gint x0, y0, x1, y1; /* in halves of mask pixels; y0 <= y1 */
  gint8 side_x,
      side_y; /* where the region is: -1 left, upper; 1 right, lower */
  guint8 label;
} GstUmedptEdge;

/* Classes that are drawn, by number. 255 is never one. */
typedef struct
{
  gboolean drawn[256];
} GstUmedptClasses;

/* Adds the runs of the map u8 [height, width], of the classes that are drawn,
 * row by row. */
void gst_umedpt_runs_find (GArray *runs, const guint8 *map, gint width,
    gint height, const GstUmedptClasses *classes);
/* Adds the edges of its regions, those at the border of the map as well. */
void gst_umedpt_edges_find (GArray *edges, const guint8 *map, gint width,
    gint height, const GstUmedptClasses *classes);

/* @mask: for its size and place; @inks: [256], by class. */
void gst_umedpt_canvas_fill_runs (const GstUmedptCanvas *self,
    const GstUmedptMask *mask, const GstUmedptRun *runs, guint n_runs,
    const GstUmedptInk *inks, guint alpha);
/* @line: pixels of the frame, within the region */
void gst_umedpt_canvas_draw_edges (const GstUmedptCanvas *self,
    const GstUmedptMask *mask, const GstUmedptEdge *edges, guint n_edges,
    const GstUmedptInk *inks, gint line);

G_END_DECLS
