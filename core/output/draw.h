/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Pictures of results: boxes with labels, masks as translucent colour with
 * contours, a caption. Drawn with cairo on an image in memory.
 */
#pragma once

#include "base/task.h"

G_BEGIN_DECLS

typedef struct _UmedptPicture UmedptPicture;

/* @image: f32 [height, width, 3] in 0 … 1. Small images are enlarged by a
 * whole factor, so that text is readable. Never NULL. */
UMEDPT_API
UmedptPicture *umedpt_picture_new (const gfloat *image, gint width,
    gint height);
UMEDPT_API
void umedpt_picture_free (UmedptPicture *self);
/* The default colour of class @index: distinct for people with colour
 * deficiencies as well (Okabe and Ito 2008), 0xRRGGBB. */
UMEDPT_API
guint32 umedpt_palette_color (guint index);
/* @labels, @colors: (nullable). @mask: u8 [height, width], or with @planes > 1
 * [height, width, planes] of 0 and 1. Class 0 of an index mask is not drawn
 * where @background is set. */
UMEDPT_API
void umedpt_picture_draw_mask (UmedptPicture *self, const guint8 *mask,
    guint planes, gboolean background, const guint32 *colors, double opacity);
UMEDPT_API
void umedpt_picture_draw_boxes (UmedptPicture *self, const GArray *boxes,
    const char *const *labels, const guint32 *colors, gboolean dashed);
UMEDPT_API
void umedpt_picture_draw_caption (UmedptPicture *self, const char *text);
UMEDPT_API
gboolean umedpt_picture_save_png (UmedptPicture *self, const char *path,
    GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptPicture, umedpt_picture_free)

G_END_DECLS
