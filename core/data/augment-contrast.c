/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Local contrast: contrast limited adaptive histogram equalisation (K.
 * Zuiderveld, in Graphics Gems IV, 1994) of 8 x 8 tiles. It works on the luma
 * and moves the three channels by the same amount, which keeps the chroma and
 * spares the way to CIE L*a*b* and back.
 */
#include <string.h>

#include "data/augment-private.h"

#define TILES 8
#define BINS 256

typedef struct
{
  gint width, height;
  gfloat *luma;
  gfloat curve[TILES][TILES][BINS];
} Clahe;

static inline gint
bin (gfloat luma)
{
  return (gint) (luma * (BINS - 1) + 0.5f);
}

/* Counts above the limit are handed out evenly; then the cumulated histogram
 * is the curve. */
static void
make_curve (Clahe *self, gint tx, gint ty, double clip_limit)
{
  gint x0 = self->width * tx / TILES, x1 = self->width * (tx + 1) / TILES;
  gint y0 = self->height * ty / TILES, y1 = self->height * (ty + 1) / TILES;
  double n = (double) (x1 - x0) * (y1 - y0), excess = 0, sum = 0;
  double limit = MAX (clip_limit * n / BINS, 1), counts[BINS] = { 0 };
  gfloat *curve = self->curve[ty][tx];

  for (gint y = y0; y < y1; y++)
    for (gint x = x0; x < x1; x++)
      counts[bin (self->luma[(gsize) y * self->width + x])]++;
  for (guint i = 0; i < BINS; i++) {
    excess += MAX (counts[i] - limit, 0);
    counts[i] = MIN (counts[i], limit);
  }
  for (guint i = 0; i < BINS; i++) {
    sum += counts[i] + excess / BINS;
    curve[i] = (gfloat) (n > 0 ? MIN (sum / n, 1) : (double) i / (BINS - 1));
  }
}

/* Between which tile centres a pixel lies, and how far from the first. */
static inline gfloat
between (gint x, gint size, gint *first, gint *second)
{
  gfloat at = ((gfloat) x + 0.5f) * TILES / (gfloat) size - 0.5f;
  gint i = (gint) (at + 1) - 1;

  *first = MAX (i, 0);
  *second = MIN (i + 1, TILES - 1);
  return at - (gfloat) i;
}

static void
apply_row (const Clahe *self, gint y, gfloat *row)
{
  const gfloat *luma = self->luma + (gsize) y * self->width;
  gint up, down, left, right;
  gfloat v = between (y, self->height, &up, &down);

  for (gint x = 0; x < self->width; x++) {
    gfloat u = between (x, self->width, &left, &right);
    gint i = bin (luma[x]);
    gfloat top = self->curve[up][left][i], low = self->curve[down][left][i];
    gfloat change;

    top += u * (self->curve[up][right][i] - top);
    low += u * (self->curve[down][right][i] - low);
    change = top + v * (low - top) - luma[x];
    for (guint c = 0; c < 3; c++)
      row[3 * x + c] = CLAMP (row[3 * x + c] + change, 0.0f, 1.0f);
  }
}

/* @clip_limit: how often a bin may be fuller than in an even histogram. */
void
umedpt_clahe (gfloat *image, gint width, gint height, double clip_limit)
{
  g_autofree Clahe *self = g_new (Clahe, 1);
  gsize n = (gsize) width * height;
  g_autofree gfloat *luma = g_new (gfloat, n);

  self->width = width;
  self->height = height;
  self->luma = luma;
  for (gsize i = 0; i < n; i++)
    luma[i] = MIN (0.299f * image[3 * i] + 0.587f * image[3 * i + 1] +
            0.114f * image[3 * i + 2],
        1.0f);
  for (gint ty = 0; ty < TILES; ty++)
    for (gint tx = 0; tx < TILES; tx++)
      make_curve (self, tx, ty, clip_limit);
  for (gint y = 0; y < height; y++)
    apply_row (self, y, image + 3 * (gsize) y * width);
}
