/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The regions of a mask as objects, so that they are shown and hidden by the
 * rules of boxes. Whole regions rather than pixels: with a count per pixel, a
 * region that moves would draw a tail and lose its front.
 */
#pragma once

#include "overlay/gstumedptpaintmask.h"

G_BEGIN_DECLS

/* Joins @runs of one map, in the order of gst_umedpt_runs_find(), to regions
 * (pixels of a class that share sides), and adds the largest of them, the
 * largest first: to @boxes (of GstUmedptBox, in pixels of the mask, score 1)
 * the box around one, to @shapes a GBytes with its runs. */
void gst_umedpt_regions_find (const GstUmedptRun *runs, guint n_runs,
    GArray *boxes, GPtrArray *shapes);
/* Sets the pixels of a region in a map u8 [height, width]. */
void gst_umedpt_regions_paint (guint8 *map, gint width, GBytes *shape);

G_END_DECLS
