/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The mapping of augmentation. It goes from the result back to the original,
 * because that is what resampling asks; boxes need the other direction, for
 * which the displacement, small and smooth, is undone by iteration. The
 * distortions are those of the usual toolkits: a radial lens model of second
 * and fourth order, and a grid whose cells are stretched along each axis.
 */
#include "data/augment-private.h"

#include <math.h>

#define KEPT_AREA 0.25 /* a box of which less remains is ignored */

/* m := m after n, with n applied to a point first. */
static void
compose (double m[6], const double n[6])
{
  double r[6] = { m[0] * n[0] + m[1] * n[3], m[0] * n[1] + m[1] * n[4],
    m[0] * n[2] + m[1] * n[5] + m[2], m[3] * n[0] + m[4] * n[3],
    m[3] * n[1] + m[4] * n[4], m[3] * n[2] + m[4] * n[5] + m[5] };

  for (guint i = 0; i < 6; i++)
    m[i] = r[i];
}

/* Where along one axis a window of @window of @size pixels begins. At the
 * image's own scale this is a whole number, so that pixels stay as they are. */
static double
place (double size, double window, gboolean exact, UmedptRandom *random)
{
  double start = (size - window) / 2;

  if (random && size > window)
    start = umedpt_random_uniform (random) * (size - window + (exact ? 1 : 0));
  return exact ? floor (start) : start;
}

/* The fit alone: result to an image of @sw x @sh pixels. */
static void
fit (double m[6], double sw, double sh, const UmedptAugmentSettings *settings,
    UmedptRandom *random)
{
  double w = settings->width, h = settings->height, f;

  for (guint i = 0; i < 6; i++)
    m[i] = 0;
  if (settings->fit == UMEDPT_FIT_STRETCH) {
    m[0] = sw / w;
    m[4] = sh / h;
    return;
  }
  if (settings->fit == UMEDPT_FIT_PAD) {
    f = MAX (sw / w, sh / h);
    random = NULL;
  } else {
    f = settings->scale > 0 ? 1 / settings->scale : 1;
  }
  m[0] = m[4] = f;
  m[2] = place (sw, f * w, f == 1, random);
  m[5] = place (sh, f * h, f == 1, random);
}

/* @random: (nullable) draws the part that is cropped; else it is the centre. */
void
umedpt_warp_init (UmedptWarp *self, const UmedptSample *sample,
    const UmedptAugmentSettings *settings, const UmedptSymmetry *symmetry,
    UmedptRandom *random)
{
  const UmedptSymmetry *s = symmetry;
  double sw = sample->width, sh = sample->height;
  gboolean transposed = s->xx == 0;
  double tw = transposed ? sh : sw, th = transposed ? sw : sh;
  double n[6];

  *self = (UmedptWarp){ .width = settings->width,
    .height = settings->height,
    .source_width = sample->width,
    .source_height = sample->height };
  self->m[0] = s->xx;
  self->m[1] = s->xy;
  self->m[2] = (sw - s->xx * tw - s->xy * th) / 2;
  self->m[3] = s->yx;
  self->m[4] = s->yy;
  self->m[5] = (sh - s->yx * tw - s->yy * th) / 2;
  fit (n, tw, th, settings, random);
  compose (self->m, n);
}

/* Shifts, magnifies and turns the result about its centre. */
void
umedpt_warp_move (UmedptWarp *self, const UmedptMotion *motion)
{
  double cx = self->width / 2.0, cy = self->height / 2.0;
  double radians = motion->degrees * G_PI / 180;
  double c = cos (radians) / motion->scale, s = sin (radians) / motion->scale;
  double px = cx + motion->shift_x * self->width;
  double py = cy + motion->shift_y * self->height;
  double n[6] = { c, s, cx - c * px - s * py, -s, c, cy + s * px - c * py };

  compose (self->m, n);
}

void
umedpt_warp_set_optical (UmedptWarp *self, double k)
{
  self->displace = UMEDPT_DISPLACE_OPTICAL;
  self->k = k;
}

static void
draw_knots (double *knots, double size, double limit, UmedptRandom *random)
{
  knots[0] = 0;
  for (guint i = 0; i < UMEDPT_WARP_CELLS; i++)
    knots[i + 1] =
        knots[i] + 1 + limit * (2 * umedpt_random_uniform (random) - 1);
  for (guint i = 1; i <= UMEDPT_WARP_CELLS; i++)
    knots[i] *= size / knots[UMEDPT_WARP_CELLS];
  knots[UMEDPT_WARP_CELLS] = size;
}

/* Cells of 1 - @limit … 1 + @limit of their size, scaled such that the whole
 * stays the whole. */
void
umedpt_warp_set_grid (UmedptWarp *self, double limit, UmedptRandom *random)
{
  self->displace = UMEDPT_DISPLACE_GRID;
  draw_knots (self->knots_x, self->width, limit, random);
  draw_knots (self->knots_y, self->height, limit, random);
}

static double
through_knots (const double *knots, double size, double x)
{
  double at = x * UMEDPT_WARP_CELLS / size;
  gint i = (gint) CLAMP (floor (at), 0, UMEDPT_WARP_CELLS - 1);

  return knots[i] + (at - i) * (knots[i + 1] - knots[i]);
}

static void
displace (const UmedptWarp *self, double *x, double *y)
{
  if (self->displace == UMEDPT_DISPLACE_OPTICAL) {
    double dx = *x - self->width / 2.0, dy = *y - self->height / 2.0;
    double size = MAX (self->width, self->height);
    double r2 = MIN ((dx * dx + dy * dy) / (size * size), 1.0);
    double factor = self->k * r2 * (1 + r2);

    *x += dx * factor;
    *y += dy * factor;
  } else if (self->displace == UMEDPT_DISPLACE_GRID) {
    *x = through_knots (self->knots_x, self->width, *x);
    *y = through_knots (self->knots_y, self->height, *y);
  }
}

void
umedpt_warp_to_source (const UmedptWarp *self, double x, double y, double *sx,
    double *sy)
{
  const double *m = self->m;

  displace (self, &x, &y);
  *sx = m[0] * x + m[1] * y + m[2];
  *sy = m[3] * x + m[4] * y + m[5];
}

void
umedpt_warp_to_result (const UmedptWarp *self, double sx, double sy, double *x,
    double *y)
{
  const double *m = self->m;
  double det = m[0] * m[4] - m[1] * m[3];
  double px = (m[4] * (sx - m[2]) - m[1] * (sy - m[5])) / det;
  double py = (m[0] * (sy - m[5]) - m[3] * (sx - m[2])) / det;

  *x = px;
  *y = py;
  if (self->displace == UMEDPT_DISPLACE_NONE)
    return;
  /* p + d(p) = q; a cell shrinks to 0.7 / 1.3 at worst, so each round leaves
   * less than 0.9 of the error and mostly far less. */
  for (guint i = 0; i < 32; i++) {
    double qx = *x, qy = *y;

    displace (self, &qx, &qy);
    *x += px - qx;
    *y += py - qy;
  }
}

/* Whether rows and columns of the result are those of the original: then the
 * resampling separates. */
gboolean
umedpt_warp_is_aligned (const UmedptWarp *self)
{
  return self->displace == UMEDPT_DISPLACE_NONE && self->m[1] == 0 &&
      self->m[3] == 0;
}

/* The axis-aligned hull of what @box becomes. A turned box has a hull that is
 * far larger than the object unless this fills its corners, and biological
 * ones do not: the corners are cut at 0.6 of the half sides, half way between
 * the hull of the box and that of the ellipse in it. Unturned boxes are
 * unchanged. */
static void
hull (const UmedptWarp *self, const UmedptBox *box, double *low, double *high)
{
  static const double at[] = { -1, -0.6, 0, 0.6 };
  double cx = (box->x1 + box->x2) / 2.0, cy = (box->y1 + box->y2) / 2.0;
  double hx = (box->x2 - box->x1) / 2.0, hy = (box->y2 - box->y1) / 2.0;

  low[0] = low[1] = G_MAXDOUBLE;
  high[0] = high[1] = -G_MAXDOUBLE;
  for (guint i = 1; i < 4; i++)
    for (guint side = 0; side < 4; side++) {
      double u = side & 1 ? -at[0] : at[0], v = at[i], p[2];

      if (side < 2)
        umedpt_warp_to_result (self, cx + u * hx, cy + v * hy, &p[0], &p[1]);
      else
        umedpt_warp_to_result (self, cx + v * hx, cy + u * hy, &p[0], &p[1]);
      for (guint k = 0; k < 2; k++) {
        low[k] = MIN (low[k], p[k]);
        high[k] = MAX (high[k], p[k]);
      }
    }
}

GArray *
umedpt_warp_boxes (const UmedptWarp *self, const GArray *boxes)
{
  GArray *moved = g_array_new (FALSE, FALSE, sizeof (UmedptBox));

  for (guint i = 0; i < boxes->len; i++) {
    UmedptBox box = g_array_index (boxes, UmedptBox, i);
    double low[2], high[2], whole, kept;

    hull (self, &box, low, high);
    whole = (high[0] - low[0]) * (high[1] - low[1]);
    box.x1 = (gfloat) MAX (low[0], 0);
    box.y1 = (gfloat) MAX (low[1], 0);
    box.x2 = (gfloat) MIN (high[0], self->width);
    box.y2 = (gfloat) MIN (high[1], self->height);
    if (!(box.x2 > box.x1 && box.y2 > box.y1))
      continue;
    kept = (double) (box.x2 - box.x1) * (box.y2 - box.y1);
    if (kept < KEPT_AREA * whole)
      box.label = UMEDPT_IGNORE_LABEL;
    g_array_append_val (moved, box);
  }
  return moved;
}
