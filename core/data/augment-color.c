/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Changes of colour, pixel by pixel, in place. Values stay within 0 … 1, as
 * they would in 8 bits, but are not rounded. Hue, saturation and value: A. R.
 * Smith, "Color gamut transform pairs", SIGGRAPH 1978.
 */
#include <math.h>

#include "data/augment-private.h"

#define CURVE 4096

void
umedpt_color_clip (gfloat *image, gsize n)
{
  for (gsize i = 0; i < n; i++)
    image[i] = MIN (MAX (image[i], 0.0f), 1.0f);
}

/* x^@gamma, by a table: powf would take as long as all the rest. */
void
umedpt_color_gamma (gfloat *image, gsize n_pixels, double gamma)
{
  g_autofree gfloat *curve = g_new (gfloat, CURVE + 2);

  for (guint i = 0; i <= CURVE; i++)
    curve[i] = (gfloat) pow ((double) i / CURVE, gamma);
  curve[CURVE + 1] = 1;
  for (gsize i = 0; i < 3 * n_pixels; i++) {
    gfloat at = image[i] * CURVE;
    gint k = (gint) at;

    image[i] = curve[k] + (at - (gfloat) k) * (curve[k + 1] - curve[k]);
  }
}

/* Noise of standard deviation @sigma. The sum of four uniforms is near enough
 * to a normal (it ends at 3.5 sigma) and takes one number of the generator. */
void
umedpt_color_noise (gfloat *image, gsize n_pixels, double sigma,
    UmedptRandom *random)
{
  gfloat scale = (gfloat) (sigma * sqrt (3.0) / 65536);

  for (gsize i = 0; i < 3 * n_pixels; i++) {
    guint64 bits = umedpt_random_next (random);
    gint sum = (gint) ((bits & 0xffff) + (bits >> 16 & 0xffff) +
        (bits >> 32 & 0xffff) + (bits >> 48));

    image[i] += scale * (gfloat) (sum - 131070);
  }
  umedpt_color_clip (image, 3 * n_pixels);
}

/* Hue in sixths of the circle, 0 … 6. */
static void
to_hsv (const gfloat *rgb, gfloat *h, gfloat *s, gfloat *v)
{
  gfloat r = rgb[0], g = rgb[1], b = rgb[2];
  gfloat high = MAX (r, MAX (g, b)), range = high - MIN (r, MIN (g, b));
  gfloat inverse = range > 0 ? 1 / range : 0;

  *v = high;
  *s = high > 0 ? range / high : 0;
  if (high == r)
    *h = (g - b) * inverse;
  else if (high == g)
    *h = (b - r) * inverse + 2;
  else
    *h = (r - g) * inverse + 4;
}

/* One channel of the colour, by its distance on the circle. */
static inline gfloat
from_hsv (gfloat offset, gfloat h, gfloat s, gfloat v)
{
  gfloat k = offset + h;
  gfloat t;

  k = k >= 6 ? k - 6 : k;
  t = MIN (k, 4 - k);
  return v - v * s * MAX (0.0f, MIN (t, 1.0f));
}

/* Turns the hue and adds to saturation and value. What has no colour has no
 * hue, so pixels that are nearly grey get little saturation: grey images stay
 * grey. */
void
umedpt_color_hsv (gfloat *image, gsize n_pixels, double hue_degrees,
    double saturation, double value)
{
  gfloat turn = (gfloat) (hue_degrees / 60), ds = (gfloat) saturation;

  for (gsize i = 0; i < n_pixels; i++) {
    gfloat *p = image + 3 * i, h, s, v;

    to_hsv (p, &h, &s, &v);
    h += turn;
    h = h < 0 ? h + 6 : h >= 6 ? h - 6 : h;
    s = CLAMP (s + ds * MIN (1.0f, 8 * s), 0.0f, 1.0f);
    v = CLAMP (v + (gfloat) value, 0.0f, 1.0f);
    p[0] = from_hsv (5, h, s, v);
    p[1] = from_hsv (3, h, s, v);
    p[2] = from_hsv (1, h, s, v);
  }
}

/* The luma of ITU-R BT.601 in all channels. */
void
umedpt_color_grey (gfloat *image, gsize n_pixels)
{
  for (gsize i = 0; i < n_pixels; i++) {
    gfloat *p = image + 3 * i;
    gfloat y = 0.299f * p[0] + 0.587f * p[1] + 0.114f * p[2];

    p[0] = p[1] = p[2] = MIN (y, 1.0f);
  }
}

void
umedpt_color_shuffle (gfloat *image, gsize n_pixels, const guint order[3])
{
  for (gsize i = 0; i < n_pixels; i++) {
    gfloat *p = image + 3 * i, old[3] = { p[0], p[1], p[2] };

    for (guint c = 0; c < 3; c++)
      p[c] = old[order[c]];
  }
}

/* @factor x + @offset: brightness, contrast, the negative. */
void
umedpt_color_linear (gfloat *image, gsize n_pixels, double factor,
    double offset)
{
  gfloat f = (gfloat) factor, o = (gfloat) offset;

  for (gsize i = 0; i < 3 * n_pixels; i++)
    image[i] = MIN (MAX (f * image[i] + o, 0.0f), 1.0f);
}
