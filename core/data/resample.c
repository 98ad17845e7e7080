/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The filters of resample.h. Geometry is double, weights and sums are float
 * (24 bits are ample for 8-bit pixels). Rows are combined first, because that
 * loop runs over contiguous bytes and the compiler vectorises it; the
 * horizontal loop then handles the four channels of a pixel together.
 */
#include "data/resample.h"

#include <math.h>
#include <string.h>

/* Where the channels of a native-endian ARGB word lie in memory. */
#if G_BYTE_ORDER == G_LITTLE_ENDIAN
enum
{
  CHANNEL_B,
  CHANNEL_G,
  CHANNEL_R,
  CHANNEL_A
};
#else
enum
{
  CHANNEL_A,
  CHANNEL_R,
  CHANNEL_G,
  CHANNEL_B
};
#endif

typedef float Pixel __attribute__ ((vector_size (16)));

/* Adds weight @w at source pixel @j; beyond the ends the last pixel counts. */
static void
add_tap (UmedptTaps *taps, gint i, gint64 j, double w, gint source_n)
{
  gint clamped = (gint) CLAMP (j, 0, source_n - 1);
  gint at;

  if (taps->count[i] == 0)
    taps->first[i] = clamped;
  at = clamped - taps->first[i];
  taps->weights[(gsize) i * taps->max_taps + at] += (float) w;
  taps->count[i] = MAX (taps->count[i], at + 1);
}

static void
area_taps (UmedptTaps *taps, gint i, double a, double b, double ratio,
    gint source_n)
{
  gint64 end = (gint64) ceil (b);

  for (gint64 j = (gint64) floor (a); j < end; j++) {
    double w = (MIN (b, (double) j + 1.0) - MAX (a, (double) j)) / ratio;

    if (w > 0)
      add_tap (taps, i, j, w, source_n);
  }
}

static void
linear_taps (UmedptTaps *taps, gint i, double centre, gint source_n)
{
  double s = centre - 0.5;
  gint64 j = (gint64) floor (s);
  double f = s - (double) j;

  add_tap (taps, i, j, 1.0 - f, source_n);
  if (f > 0)
    add_tap (taps, i, j + 1, f, source_n);
}

void
umedpt_taps_init (UmedptTaps *taps, gint n, double origin, double ratio,
    gint source_n, double lo, double hi)
{
  taps->n = n;
  taps->max_taps = (gint) ceil (MAX (ratio, 1.0)) + 2;
  taps->first = g_new0 (gint, n);
  taps->count = g_new0 (gint, n);
  taps->weights = g_new0 (float, (gsize) n * taps->max_taps);
  for (gint i = 0; i < n; i++) {
    double a = origin + i * ratio, b = origin + (i + 1) * ratio;

    if (ratio < 1.0 - 1e-9) {
      double centre = (a + b) / 2.0;

      if (centre >= lo && centre < hi)
        linear_taps (taps, i, centre, source_n);
    } else if (MIN (b, hi) > MAX (a, lo)) {
      area_taps (taps, i, MAX (a, lo), MIN (b, hi), ratio, source_n);
    }
  }
}

void
umedpt_taps_clear (UmedptTaps *taps)
{
  g_free (taps->first);
  g_free (taps->count);
  g_free (taps->weights);
}

/* sum[] += w * source[], over bytes. */
static void
add_row (float *restrict sum, const guint8 *restrict source, gsize n, float w)
{
  for (gsize i = 0; i < n; i++)
    sum[i] += w * (float) source[i];
}

/* One row of the output from one row of column sums. */
static double
filter_row (const UmedptTaps *taps, const Pixel *sums, guint8 *rgb)
{
  double alpha = 0;

  for (gint i = 0; i < taps->n; i++) {
    const float *w = taps->weights + (gsize) i * taps->max_taps;
    const Pixel *source = sums + taps->first[i];
    Pixel p = { 0, 0, 0, 0 };
    float white;

    for (gint k = 0; k < taps->count[i]; k++)
      p += w[k] * source[k];
    alpha += p[CHANNEL_A];
    white = 255.5f - p[CHANNEL_A];
    /* Rounding in the sums must not carry a channel past 255. */
    rgb[3 * i] = (guint8) MIN (p[CHANNEL_R] + white, 255.0f);
    rgb[3 * i + 1] = (guint8) MIN (p[CHANNEL_G] + white, 255.0f);
    rgb[3 * i + 2] = (guint8) MIN (p[CHANNEL_B] + white, 255.0f);
  }
  return alpha / 255.0;
}

double
umedpt_resample (const guint32 *argb, gint source_width,
    const UmedptTaps *horizontal, const UmedptTaps *vertical, guint8 *rgb,
    gsize stride)
{
  gsize n = (gsize) source_width * 4;
  Pixel *sums = g_aligned_alloc (source_width, sizeof (Pixel), 64);
  double alpha = 0;

  for (gint i = 0; i < vertical->n; i++) {
    const float *w = vertical->weights + (gsize) i * vertical->max_taps;

    memset (sums, 0, n * sizeof (float));
    for (gint k = 0; k < vertical->count[i]; k++)
      add_row ((float *) sums,
          (const guint8 *) (argb +
              (gsize) (vertical->first[i] + k) * source_width),
          n, w[k]);
    alpha += filter_row (horizontal, sums, rgb + (gsize) i * stride);
  }
  g_aligned_free (sums);
  return alpha;
}

/* The colours of an opaque pixel, red lowest. */
static guint32
colours (guint32 argb)
{
  return GUINT32_SWAP_LE_BE (argb) >> 8;
}

/* Four opaque pixels, 12 bytes. */
static void
pack_four (const guint32 *argb, guint8 *rgb)
{
  const guint64 first = (guint64) colours (argb[0]) |
      (guint64) colours (argb[1]) << 24 | (guint64) colours (argb[2]) << 48;
  const guint32 last = colours (argb[2]) >> 16 | colours (argb[3]) << 8;
  const guint64 low = GUINT64_TO_LE (first);
  const guint32 high = GUINT32_TO_LE (last);

  memcpy (rgb, &low, sizeof low);
  memcpy (rgb + sizeof low, &high, sizeof high);
}

/* A row in which every pixel is opaque, the usual case. */
static void
pack_row (const guint32 *restrict argb, gint width, guint8 *restrict rgb)
{
  gint i = 0;

  for (; i + 4 <= width; i += 4)
    pack_four (argb + i, rgb + 3 * i);
  for (; i < width; i++) {
    guint32 p = argb[i];

    rgb[3 * i] = (guint8) (p >> 16);
    rgb[3 * i + 1] = (guint8) (p >> 8);
    rgb[3 * i + 2] = (guint8) p;
  }
}

static guint64
blend_row (const guint32 *argb, gint width, guint8 *rgb)
{
  guint64 sum = 0;

  for (gint i = 0; i < width; i++) {
    guint32 p = argb[i], a = p >> 24, white = 255 - a;

    rgb[3 * i] = (guint8) MIN (((p >> 16) & 255) + white, 255);
    rgb[3 * i + 1] = (guint8) MIN (((p >> 8) & 255) + white, 255);
    rgb[3 * i + 2] = (guint8) MIN ((p & 255) + white, 255);
    sum += a;
  }
  return sum;
}

double
umedpt_flatten (const guint32 *argb, gint width, gint height, guint8 *rgb,
    gsize stride)
{
  guint64 sum = 0;

  for (gint y = 0; y < height; y++) {
    const guint32 *row = argb + (gsize) y * width;
    guint32 all = 0xff000000u;

    for (gint x = 0; x < width; x++)
      all &= row[x];
    if (all == 0xff000000u) {
      pack_row (row, width, rgb + (gsize) y * stride);
      sum += (guint64) width * 255;
    } else {
      sum += blend_row (row, width, rgb + (gsize) y * stride);
    }
  }
  return (double) sum / 255.0;
}
