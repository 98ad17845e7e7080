/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Pictures larger than the network's input: the parts to look at, and their
 * results put together as if the picture had been looked at in one.
 */
#pragma once

#include "base/task.h"

G_BEGIN_DECLS

/* A part of a picture, in its pixels. */
typedef struct
{
  gint x, y, width, height;
} UmedptRegion;

/* Regions of @side pixels (or the whole of a shorter side) that cover a picture
 * of @width x @height, spread evenly, with at least @overlap pixels in common
 * (of more than half a side, that half); row by row, at even positions. (transfer full) (element-type UmedptRegion) */
UMEDPT_API
GArray *umedpt_regions_tile (gint width, gint height, gint side, gint overlap);

/* Boxes of several regions, made one list: suppression over all of them, where
 * a box that an inner side of its region has cut also gives way to one that
 * holds most of it. */
typedef struct
{
  UmedptBox box; /* in pixels of the picture */
  gboolean cut; /* reaches a side of its region that is none of the picture's */
} UmedptRegionBox;

/* @size_x, @size_y: of the region as the network saw it; @boxes of it (of
 * UmedptBox), appended to @all (of UmedptRegionBox) with @x and @y scaled. */
UMEDPT_API
void umedpt_regions_add_boxes (GArray *all, const UmedptRegion *region,
    gint width, gint height, gint size_x, gint size_y, const GArray *boxes);
/* (transfer full) (element-type UmedptBox): best first */
UMEDPT_API
GArray *umedpt_regions_merge_boxes (GArray *all, double iou_threshold,
    guint max_boxes);

/* Probabilities of several regions on one canvas of half the picture's size;
 * where regions overlap, each counts the more the farther its own border is. */
typedef struct _UmedptCanvas UmedptCanvas;

UMEDPT_API
UmedptCanvas *umedpt_canvas_new (gint width, gint height, gint n_classes,
    GError **error);
UMEDPT_API
void umedpt_canvas_free (UmedptCanvas *self);
/* (out) its size in pixels: half the picture's, rounded up */
UMEDPT_API
void umedpt_canvas_get_size (const UmedptCanvas *self, gint *width,
    gint *height);
/* @probabilities: f32 [rows, columns, K] of @region */
UMEDPT_API
void umedpt_canvas_add (UmedptCanvas *self, const UmedptRegion *region,
    gint columns, gint rows, const gfloat *probabilities);
/* @mask: u8 [height, width], the class of the largest mean probability, or
 * UMEDPT_IGNORE_PIXEL below @threshold and where no region was; @multilabel:
 * u8 [height, width, K] of 0 and 1. */
UMEDPT_API
void umedpt_canvas_decide (const UmedptCanvas *self, gboolean multilabel,
    double threshold, guint8 *mask);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptCanvas, umedpt_canvas_free)

G_END_DECLS
