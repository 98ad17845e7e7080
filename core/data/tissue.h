/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Where tissue is: a mask of the whole slide at low power, and the share of
 * tissue in any rectangle, by an integral image.
 */
#pragma once

#include "data/slide.h"

G_BEGIN_DECLS

typedef struct _UmedptTissueMask UmedptTissueMask;

/* @mpp: micrometres per level-0 pixel, 0 = unknown. */
UmedptTissueMask *umedpt_tissue_mask_new (UmedptSlide *slide, double mpp,
    GError **error);
void umedpt_tissue_mask_free (UmedptTissueMask *mask);
/* The share of the level-0 rectangle that is tissue, 0 … 1; exact for the
 * mask's pixels taken as squares. */
double umedpt_tissue_mask_fraction (const UmedptTissueMask *mask, double x,
    double y, double width, double height);
/* Level-0 pixels per mask pixel, the saturation (0 … 255) above which a pixel
 * is tissue, and the mask itself: @width x @height bytes, 0 or 1. */
double umedpt_tissue_mask_get_downsample (const UmedptTissueMask *mask);
guint umedpt_tissue_mask_get_threshold (const UmedptTissueMask *mask);
const guint8 *umedpt_tissue_mask_get_pixels (const UmedptTissueMask *mask,
    gint *width, gint *height);

/* Otsu's threshold with its guards, on a histogram of saturations. */
guint umedpt_tissue_threshold (const guint64 histogram[256]);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptTissueMask, umedpt_tissue_mask_free)

G_END_DECLS
