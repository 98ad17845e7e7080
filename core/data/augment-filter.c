/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Small filters: a weighted sum over neighbours (sharpening, embossing, box
 * and motion blur are such) and the median of 3 x 3. They read a copy with the
 * border pixels repeated, so that the inner loops have no special cases and
 * run over channels and pixels alike.
 */
#include <math.h>
#include <string.h>

#include "data/augment-private.h"

#define R UMEDPT_FILTER_RADIUS

/* (transfer full) (@width + 2 R) x (@height + 2 R) pixels. */
static gfloat *
pad (const gfloat *image, gint width, gint height)
{
  gsize stride = 3 * (gsize) (width + 2 * R);
  gfloat *padded = g_new (gfloat, stride * (gsize) (height + 2 * R));

  for (gint y = -R; y < height + R; y++) {
    const gfloat *row =
        image + 3 * (gsize) CLAMP (y, 0, height - 1) * (gsize) width;
    gfloat *out = padded + (gsize) (y + R) * stride;

    memcpy (out + 3 * R, row, 3 * (gsize) width * sizeof (gfloat));
    for (gint x = 0; x < R; x++) {
      memcpy (out + 3 * x, row, 3 * sizeof (gfloat));
      memcpy (out + 3 * (width + R + x), row + 3 * (width - 1),
          3 * sizeof (gfloat));
    }
  }
  return padded;
}

static void
add_scaled (gfloat *restrict out, const gfloat *restrict in, gsize n, gfloat w)
{
  for (gsize i = 0; i < n; i++)
    out[i] += w * in[i];
}

/* Taps reach UMEDPT_FILTER_RADIUS at most. The result is clipped. */
void
umedpt_filter (gfloat *image, gint width, gint height,
    const UmedptFilterTap *taps, guint n_taps)
{
  g_autofree gfloat *padded = pad (image, width, height);
  gsize n = 3 * (gsize) width, stride = n + 6 * R;

  for (gint y = 0; y < height; y++) {
    gfloat *out = image + (gsize) y * n;

    memset (out, 0, n * sizeof (gfloat));
    for (guint k = 0; k < n_taps; k++)
      add_scaled (out,
          padded + (gsize) (y + R + taps[k].dy) * stride +
              3 * (gsize) (R + taps[k].dx),
          n, taps[k].weight);
    umedpt_color_clip (out, n);
  }
}

void
umedpt_filter_3x3 (gfloat *image, gint width, gint height,
    const double kernel[9])
{
  UmedptFilterTap taps[9];
  guint n = 0;

  for (gint i = 0; i < 9; i++)
    if (kernel[i] != 0)
      taps[n++] = (UmedptFilterTap){ i % 3 - 1, i / 3 - 1, (gfloat) kernel[i] };
  umedpt_filter (image, width, height, taps, n);
}

/* A blur along a line of @length (odd, 3 to 7) pixels through the centre. */
void
umedpt_filter_motion (gfloat *image, gint width, gint height, gint length,
    double degrees)
{
  UmedptFilterTap taps[2 * R + 1];
  double c = cos (degrees * G_PI / 180), s = sin (degrees * G_PI / 180);
  gint half = CLAMP (length / 2, 1, R);

  for (gint i = -half; i <= half; i++)
    taps[i + half] = (UmedptFilterTap){ (gint) floor (i * c + 0.5),
      (gint) floor (i * s + 0.5), 1.0f / (gfloat) (2 * half + 1) };
  umedpt_filter (image, width, height, taps, 2 * half + 1);
}

static inline void
sort2 (gfloat *a, gfloat *b)
{
  gfloat low = MIN (*a, *b);

  *b = MAX (*a, *b);
  *a = low;
}

/* The median of nine by 19 exchanges: Paeth, "Median finding on a 3 x 3 grid",
 * Graphics Gems, 1990, in the order of Smith, 1996. */
static inline gfloat
median9 (gfloat p[9])
{
  static const guint8 pairs[19][2] = { { 1, 2 }, { 4, 5 }, { 7, 8 }, { 0, 1 },
    { 3, 4 }, { 6, 7 }, { 1, 2 }, { 4, 5 }, { 7, 8 }, { 0, 3 }, { 5, 8 },
    { 4, 7 }, { 3, 6 }, { 1, 4 }, { 2, 5 }, { 4, 7 }, { 4, 2 }, { 6, 4 },
    { 4, 2 } };

#pragma GCC unroll 19
  for (guint i = 0; i < 19; i++)
    sort2 (&p[pairs[i][0]], &p[pairs[i][1]]);
  return p[4];
}

void
umedpt_filter_median (gfloat *image, gint width, gint height)
{
  g_autofree gfloat *padded = pad (image, width, height);
  gsize n = 3 * (gsize) width, stride = n + 6 * R;

  for (gint y = 0; y < height; y++) {
    const gfloat *up = padded + (gsize) (y + R - 1) * stride + 3 * (R - 1);
    const gfloat *mid = up + stride, *down = mid + stride;
    gfloat *restrict out = image + (gsize) y * n;

    for (gsize i = 0; i < n; i++) {
      gfloat p[9] = { up[i], up[i + 3], up[i + 6], mid[i], mid[i + 3],
        mid[i + 6], down[i], down[i + 3], down[i + 6] };

      out[i] = median9 (p);
    }
  }
}
