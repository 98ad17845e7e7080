/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Scaling of premultiplied ARGB pictures by separable filters with exact
 * geometry: when shrinking, every output pixel is the mean over the area it
 * covers, fractions of pixels included; when magnifying, it is interpolated
 * linearly between pixel centres.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The source pixels and weights of every output pixel along one axis. */
typedef struct
{
  gint n; /* output pixels */
  gint max_taps;
  gint *first; /* [n] first source pixel */
  gint *count; /* [n] number of source pixels, 0 = wholly outside */
  float *weights; /* [n * max_taps], each sums to the share inside */
} UmedptTaps;

/* Output pixel i covers [origin + i * ratio, origin + (i + 1) * ratio) of a
 * source of @source_n pixels, of which [lo, hi) is picture. */
void umedpt_taps_init (UmedptTaps *taps, gint n, double origin, double ratio,
    gint source_n, double lo, double hi);
void umedpt_taps_clear (UmedptTaps *taps);

/* Scales @argb (@source_width pixels a row) and lays it on white. Returns the
 * sum of the output's alpha, 1 for an opaque pixel. */
double umedpt_resample (const guint32 *argb, gint source_width,
    const UmedptTaps *horizontal, const UmedptTaps *vertical, guint8 *rgb,
    gsize stride);
/* The same without scaling. */
double umedpt_flatten (const guint32 *argb, gint width, gint height,
    guint8 *rgb, gsize stride);

G_END_DECLS
