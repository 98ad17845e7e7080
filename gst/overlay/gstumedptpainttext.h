/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Text on frames. A text is rendered once, as coverage, and kept: labels and
 * scores come again frame after frame, and only the blending is left to do.
 */
#pragma once

#include "overlay/gstumedptpaint.h"

G_BEGIN_DECLS

typedef struct _GstUmedptTexts GstUmedptTexts;

/* A text as coverage, owned by the cache. */
typedef struct
{
  gint width, height; /* pixels; height is the same for all of a size */
  guint8 *coverage; /* u8 [height, width] */
  /* u8 [height / 2 + 1, width / 2 + 1]: of samples of 2 x 2 pixels, the mean,
   * where it begins at an even column and row, at an odd column, at an odd row,
   * at both; NULL until it is asked for */
  guint8 *halved[4];
} GstUmedptText;

GstUmedptTexts *gst_umedpt_texts_new (void);
void gst_umedpt_texts_free (GstUmedptTexts *self);
/* (transfer none) @text in letters of @size pixels, valid until
 * gst_umedpt_texts_trim(). Any bytes will do; what is not UTF-8 is replaced,
 * what is very long is cut. */
GstUmedptText *gst_umedpt_texts_get (GstUmedptTexts *self, const char *text,
    gint size);
/* Between frames: drops all texts if they have become many. */
void gst_umedpt_texts_trim (GstUmedptTexts *self);

/* Texts side by side on a ground of @color, their upper left corner at
 * (@x, @y); the letters are black or white, whatever is read better. @alpha:
 * of the ground. */
void gst_umedpt_canvas_write (const GstUmedptCanvas *self, gint x, gint y,
    GstUmedptText *const *texts, guint n_texts, guint32 color, guint alpha);
/* The size in pixels of what that covers. */
gint gst_umedpt_texts_get_width (GstUmedptText *const *texts, guint n_texts);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GstUmedptTexts, gst_umedpt_texts_free)

G_END_DECLS
