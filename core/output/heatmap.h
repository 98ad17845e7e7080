/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A small picture of a slide with results drawn on it: tiles as translucent
 * colour, objects as dots. A PNG to look at, not to measure.
 */
#pragma once

#include "base/macros.h"

G_BEGIN_DECLS

typedef struct _UmedptHeatmap UmedptHeatmap;

/* @slide: (nullable) path of the slide, for the picture below the results;
 * without one, or where it cannot be read, the ground is white. @width,
 * @height: of the slide, level-0 pixels. The longer side has 2048 pixels at
 * most; the legend comes beside that. */
UMEDPT_API
UmedptHeatmap *umedpt_heatmap_new (const char *path, const char *slide,
    gint64 width, gint64 height, gboolean overwrite, GError **error);
/* A rectangle in level-0 pixels gets @color (0xRRGGBB) with @opacity 0 … 1, in
 * place of what it had. */
UMEDPT_API
void umedpt_heatmap_add_area (UmedptHeatmap *self, double x, double y,
    double width, double height, guint32 color, double opacity);
/* An object's place, above all areas. */
UMEDPT_API
void umedpt_heatmap_add_point (UmedptHeatmap *self, double x, double y,
    guint32 color);
/* A label mask over a rectangle: u8 [mask_height, mask_width]; 255 is not
 * drawn, nor class 0 if @background. */
UMEDPT_API
void umedpt_heatmap_add_mask (UmedptHeatmap *self, double x, double y,
    double width, double height, const guint8 *mask, gint mask_width,
    gint mask_height, gboolean background, const guint32 *colors,
    guint n_colors);
/* Names for the legend. */
UMEDPT_API
void umedpt_heatmap_add_legend (UmedptHeatmap *self, const char *name,
    guint32 color);
/* Reads the slide and writes the file; then it can only be freed. */
UMEDPT_API
gboolean umedpt_heatmap_finish (UmedptHeatmap *self, GError **error);
UMEDPT_API
void umedpt_heatmap_free (UmedptHeatmap *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptHeatmap, umedpt_heatmap_free)

G_END_DECLS
