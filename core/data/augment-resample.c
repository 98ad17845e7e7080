/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Pixels by a mapping, interpolated once. Aligned maps separate into rows and
 * columns and use the area filter of resample.c. Others take bilinear samples,
 * four per pixel where the image shrinks, of the image itself or, if it
 * shrinks by two and more, of the means of blocks of whole pixels: so every
 * pixel of the original counts about equally and nothing aliases.
 */
#include "data/augment-private.h"

#include <math.h>
#include <string.h>

#include "data/resample.h"

/* Means of @kx x @ky blocks; the last ones may be smaller. Only blocks from
 * (x0, y0) on are there. */
typedef struct
{
  const gfloat *data;
  gfloat *owned;
  gint x0, y0, width, height;
  gint kx, ky;
} Blocks;

/* Result row @n long, source taps along it; the mirror image if @ratio < 0. */
static void
init_taps (UmedptTaps *taps, gint n, double origin, double ratio, gint source_n)
{
  double start = ratio < 0 ? origin + n * ratio : origin;

  umedpt_taps_init (taps, n, start, fabs (ratio), source_n, 0, source_n);
}

static void
add_row (gfloat *restrict sum, const gfloat *restrict row, gsize n, gfloat w)
{
  for (gsize i = 0; i < n; i++)
    sum[i] += w * row[i];
}

static void
filter_row (const UmedptTaps *taps, const gfloat *sums, gboolean mirrored,
    gfloat *out)
{
  for (gint i = 0; i < taps->n; i++) {
    const float *w = taps->weights + (gsize) i * taps->max_taps;
    const gfloat *p = sums + 3 * (gsize) taps->first[i];
    gfloat *o = out + 3 * (gsize) (mirrored ? taps->n - 1 - i : i);
    gfloat r = 0, g = 0, b = 0;

    for (gint k = 0; k < taps->count[i]; k++) {
      r += w[k] * p[3 * k];
      g += w[k] * p[3 * k + 1];
      b += w[k] * p[3 * k + 2];
    }
    o[0] = r;
    o[1] = g;
    o[2] = b;
  }
}

/* What is missing of a weight of 1 lies outside and has the border's value. */
static void
fill_outside (const UmedptTaps *taps, gfloat inside_y, gfloat fill,
    gboolean mirrored, gfloat *out)
{
  for (gint i = 0; i < taps->n; i++) {
    const float *w = taps->weights + (gsize) i * taps->max_taps;
    gfloat *o = out + 3 * (gsize) (mirrored ? taps->n - 1 - i : i);
    gfloat inside = 0, rest;

    for (gint k = 0; k < taps->count[i]; k++)
      inside += w[k];
    rest = (1 - inside * inside_y) * fill;
    if (rest > 1e-5f)
      for (guint c = 0; c < 3; c++)
        o[c] += rest;
  }
}

static void
warp_aligned (const UmedptWarp *self, const gfloat *source, gfloat *image)
{
  const double *m = self->m;
  gsize n = 3 * (gsize) self->source_width;
  g_autofree gfloat *sums = g_new (gfloat, n);
  UmedptTaps across, down;

  init_taps (&across, self->width, m[2], m[0], self->source_width);
  init_taps (&down, self->height, m[5], m[4], self->source_height);
  for (gint y = 0; y < self->height; y++) {
    gint at = m[4] < 0 ? self->height - 1 - y : y;
    const float *w = down.weights + (gsize) at * down.max_taps;
    gfloat *out = image + 3 * (gsize) y * self->width;
    gfloat inside = 0;

    memset (sums, 0, n * sizeof (gfloat));
    for (gint k = 0; k < down.count[at]; k++) {
      add_row (sums, source + (gsize) (down.first[at] + k) * n, n, w[k]);
      inside += w[k];
    }
    filter_row (&across, sums, m[0] < 0, out);
    if (self->fill > 0)
      fill_outside (&across, inside, self->fill, m[0] < 0, out);
  }
  umedpt_taps_clear (&across);
  umedpt_taps_clear (&down);
}

/* Mirrored about the border into 0 … @n; a hair less than @n at most. */
static double
fold (double x, double n)
{
  x = fmod (fabs (x), 2 * n);
  if (x >= n)
    x = 2 * n - x;
  return MIN (x, n - 1e-6);
}

/* Source coordinates of the points (x + @dx, @y) of a row. */
static void
row_to_source (const UmedptWarp *self, gboolean reflect, double dx, double y,
    double *sx, double *sy)
{
  const double *m = self->m;

  if (self->displace == UMEDPT_DISPLACE_NONE)
    for (gint x = 0; x < self->width; x++) {
      sx[x] = m[0] * (x + dx) + m[1] * y + m[2];
      sy[x] = m[3] * (x + dx) + m[4] * y + m[5];
    }
  else
    for (gint x = 0; x < self->width; x++)
      umedpt_warp_to_source (self, x + dx, y, &sx[x], &sy[x]);
  if (reflect)
    for (gint x = 0; x < self->width; x++) {
      sx[x] = fold (sx[x], self->source_width);
      sy[x] = fold (sy[x], self->source_height);
    }
}

/* The part of the source that the result can show, with a margin. */
static void
find_region (const UmedptWarp *self, gint region[4])
{
  double low[2] = { G_MAXDOUBLE, G_MAXDOUBLE }, high[2] = { 0, 0 };
  double size[2] = { self->source_width, self->source_height };

  for (guint i = 0; i < 64; i++) {
    double side = (i & 1) ? 1 : 0, at = (double) (i / 4) / 15, p[2];

    umedpt_warp_to_source (self, self->width * ((i & 2) ? side : at),
        self->height * ((i & 2) ? at : side), &p[0], &p[1]);
    for (guint k = 0; k < 2; k++) {
      low[k] = MIN (low[k], p[k]);
      high[k] = MAX (high[k], p[k]);
    }
  }
  for (guint k = 0; k < 2; k++) {
    double margin = 2 + 0.05 * (high[k] - low[k]);

    region[k] = (gint) CLAMP (low[k] - margin, 0, size[k] - 1);
    region[k + 2] = (gint) CLAMP (high[k] + margin, 1, size[k]);
    if (self->reflect) {
      region[k] = 0;
      region[k + 2] = (gint) size[k];
    }
  }
}

static void
mean_block_row (const gfloat *sums, gint n, gint x0, gint kx, gint source_width,
    gint rows, gfloat *out)
{
  for (gint i = 0; i < n; i++) {
    gint first = (x0 + i) * kx, last = MIN (first + kx, source_width);
    gfloat scale = 1.0f / (gfloat) ((last - first) * rows), sum[3] = { 0 };

    for (gint x = first; x < last; x++)
      for (guint c = 0; c < 3; c++)
        sum[c] += sums[3 * (gsize) x + c];
    for (guint c = 0; c < 3; c++)
      out[3 * i + c] = sum[c] * scale;
  }
}

static void
reduce (const UmedptWarp *self, const gfloat *source, Blocks *blocks)
{
  gint region[4], sw = self->source_width, kx = blocks->kx, ky = blocks->ky;
  g_autofree gfloat *sums = g_new (gfloat, 3 * (gsize) sw);

  find_region (self, region);
  blocks->x0 = region[0] / kx;
  blocks->y0 = region[1] / ky;
  blocks->width = (region[2] + kx - 1) / kx - blocks->x0;
  blocks->height = (region[3] + ky - 1) / ky - blocks->y0;
  blocks->owned = g_new (gfloat, 3 * (gsize) blocks->width * blocks->height);
  blocks->data = blocks->owned;
  for (gint y = 0; y < blocks->height; y++) {
    gint first = (blocks->y0 + y) * ky;
    gint last = MIN (first + ky, self->source_height);
    gsize left = 3 * (gsize) blocks->x0 * kx;
    gsize n = 3 * (gsize) MIN (sw, (blocks->x0 + blocks->width) * kx) - left;

    memset (sums + left, 0, n * sizeof (gfloat));
    for (gint row = first; row < last; row++)
      add_row (sums + left, source + 3 * (gsize) row * sw + left, n, 1);
    mean_block_row (sums, blocks->width, blocks->x0, kx, sw, last - first,
        blocks->owned + 3 * (gsize) y * blocks->width);
  }
}

/* Adds the bilinear sample at source point (sx, sy). */
static inline void
add_sample (const Blocks *b, double sx, double sy, gfloat *sum)
{
  double u = sx - 0.5 - b->x0, v = sy - 0.5 - b->y0;
  double fu = floor (u), fv = floor (v);
  gfloat p = (gfloat) (u - fu), q = (gfloat) (v - fv);
  gint x = (gint) fu, y = (gint) fv;
  gint left = CLAMP (x, 0, b->width - 1),
       right = CLAMP (x + 1, 0, b->width - 1);
  gint up = CLAMP (y, 0, b->height - 1), down = CLAMP (y + 1, 0, b->height - 1);
  const gfloat *top = b->data + 3 * (gsize) up * b->width;
  const gfloat *bottom = b->data + 3 * (gsize) down * b->width;

  for (guint c = 0; c < 3; c++) {
    gfloat t = top[3 * left + c], s = bottom[3 * left + c];

    t += p * (top[3 * right + c] - t);
    s += p * (bottom[3 * right + c] - s);
    sum[c] += t + q * (s - t);
  }
}

static void
sample_row (const UmedptWarp *self, const Blocks *blocks, const double *sx,
    const double *sy, gfloat *sum)
{
  double ix = 1.0 / blocks->kx, iy = 1.0 / blocks->ky;

  for (gint x = 0; x < self->width; x++) {
    if (sx[x] >= 0 && sx[x] < self->source_width && sy[x] >= 0 &&
        sy[x] < self->source_height)
      add_sample (blocks, sx[x] * ix, sy[x] * iy, sum + 3 * x);
    else
      for (guint c = 0; c < 3; c++)
        sum[3 * x + c] += self->fill;
  }
}

static void
warp_general (const UmedptWarp *self, const gfloat *source, gfloat *image)
{
  const double *m = self->m;
  double across = hypot (m[0], m[1]), down = hypot (m[3], m[4]);
  Blocks blocks = { .data = source,
    .width = self->source_width,
    .height = self->source_height,
    .kx = (gint) MAX (across, 1),
    .ky = (gint) MAX (down, 1) };
  guint n = MAX (across / blocks.kx, down / blocks.ky) > 1.25 ? 2 : 1;
  g_autofree double *sx = g_new (double, self->width);
  g_autofree double *sy = g_new (double, self->width);
  gsize row_size = 3 * (gsize) self->width;

  if (blocks.kx > 1 || blocks.ky > 1)
    reduce (self, source, &blocks);
  for (gint y = 0; y < self->height; y++) {
    gfloat *out = image + (gsize) y * row_size;

    memset (out, 0, row_size * sizeof (gfloat));
    for (guint i = 0; i < n * n; i++) {
      row_to_source (self, self->reflect, (i % n + 0.5) / n,
          y + (i / n + 0.5) / n, sx, sy);
      sample_row (self, &blocks, sx, sy, out);
    }
    if (n > 1)
      for (gsize i = 0; i < row_size; i++)
        out[i] *= 0.25f;
  }
  g_free (blocks.owned);
}

/* Whether an aligned map shows nothing but the image. */
static gboolean
is_inside (const UmedptWarp *self)
{
  const double *m = self->m;
  double x = m[2] + m[0] * self->width, y = m[5] + m[4] * self->height;

  return MIN (m[2], x) >= -1e-6 && MIN (m[5], y) >= -1e-6 &&
      MAX (m[2], x) <= self->source_width + 1e-6 &&
      MAX (m[5], y) <= self->source_height + 1e-6;
}

/* @source: RGB of the map's source size; @image: of its result. */
void
umedpt_warp_image (const UmedptWarp *self, const gfloat *source, gfloat *image)
{
  if (umedpt_warp_is_aligned (self) && (!self->reflect || is_inside (self)))
    warp_aligned (self, source, image);
  else
    warp_general (self, source, image);
}

/* The nearest pixel of a mask of @n_planes values per pixel; outside
 * UMEDPT_IGNORE_PIXEL, also where the image is mirrored: what is seen twice must
 * not count twice. */
void
umedpt_warp_mask (const UmedptWarp *self, const guint8 *source, guint n_planes,
    guint8 *mask)
{
  g_autofree double *sx = g_new (double, self->width);
  g_autofree double *sy = g_new (double, self->width);

  for (gint y = 0; y < self->height; y++) {
    guint8 *out = mask + (gsize) y * self->width * n_planes;

    row_to_source (self, FALSE, 0.5, y + 0.5, sx, sy);
    for (gint x = 0; x < self->width; x++, out += n_planes) {
      gsize at;

      if (!(sx[x] >= 0 && sx[x] < self->source_width && sy[x] >= 0 &&
              sy[x] < self->source_height)) {
        memset (out, UMEDPT_IGNORE_PIXEL, n_planes);
        continue;
      }
      at = (gsize) sy[x] * self->source_width + (gsize) sx[x];
      memcpy (out, source + at * n_planes, n_planes);
    }
  }
}
