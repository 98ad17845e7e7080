/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The continuous relative position bias of Swin V2 (Liu et al. 2022,
 * arXiv:2111.09883, section 3.3), forward and backward:
 *
 *   B_h[i, j] = 16 sigmoid (w2 relu (w1 t + b1))_h, t the log-spaced offset
 *
 * All pairs of query and key with one offset share a value, and backward they
 * share their gradients.
 */
#include <math.h>

#include "backend/ref/ref.h"

/* Equation 4 of the paper, with the offsets scaled to [-8, 8] as in the
 * authors' and torchvision's implementation; the result lies in [-1, 1]. */
static double
log_spaced (gint64 offset, gint64 window)
{
  double t = window > 1 ? 8.0 * offset / (window - 1) : 0;

  return copysign (log2 (fabs (t) + 1) / 3, t);
}

/* out [heads] = the bias between a query and the key @dy, @dx before it;
 * middle [hidden] = the hidden layer. */
static void
bias_of_offset (const UmedptPositionBiasArgs *args, gint64 dy, gint64 dx,
    double *out, double *middle)
{
  gint64 hidden = args->w1->shape[0], heads = args->w2->shape[0];
  double ty = log_spaced (dy, args->window), tx = log_spaced (dx, args->window);

  for (gint64 h = 0; h < heads; h++)
    out[h] = 0;
  for (gint64 i = 0; i < hidden; i++) {
    double x = UMEDPT_F32 (args->w1)[2 * i] * ty +
        UMEDPT_F32 (args->w1)[2 * i + 1] * tx + UMEDPT_F32 (args->b1)[i];

    middle[i] = x = umedpt_ref_activation (x, UMEDPT_ACTIVATION_RELU);
    for (gint64 h = 0; h < heads; h++)
      out[h] += x * UMEDPT_F32 (args->w2)[h * hidden + i];
  }
  for (gint64 h = 0; h < heads; h++)
    out[h] = 16 * umedpt_ref_activation (out[h], UMEDPT_ACTIVATION_SIGMOID);
}

gboolean
umedpt_ref_position_bias (UmedptBackend *backend,
    const UmedptPositionBiasArgs *args, GError **error)
{
  gint64 w = args->window, l = w * w, heads = args->w2->shape[0];
  g_autofree double *bias = g_new (double, heads);
  g_autofree double *middle = g_new (double, args->w1->shape[0]);

  for (gint64 dy = 1 - w; dy < w; dy++)
    for (gint64 dx = 1 - w; dx < w; dx++) {
      bias_of_offset (args, dy, dx, bias, middle);
      /* every query (y, x) whose key (y - dy, x - dx) is in the window */
      for (gint64 y = MAX (dy, 0); y < MIN (w, w + dy); y++)
        for (gint64 x = MAX (dx, 0); x < MIN (w, w + dx); x++)
          for (gint64 h = 0; h < heads; h++) {
            gint64 query = y * w + x, key = (y - dy) * w + x - dx;
            umedpt_ref_set (args->dst, (h * l + query) * l + key, bias[h]);
          }
    }
  return TRUE;
}

/* The sums over offsets: gradients of the three parameters. */
typedef struct
{
  double *w1, *b1, *w2;
  double *bias; /* [heads]: of an offset */
  double *middle; /* [hidden]: of an offset */
} Sums;

static void
sums_clear (Sums *self)
{
  g_free (self->w1);
  g_free (self->b1);
  g_free (self->w2);
  g_free (self->bias);
  g_free (self->middle);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Sums, sums_clear)

/* What all pairs of one offset have got, for head @h. */
static double
diff_of_offset (const UmedptPositionBiasBackwardArgs *args, gint64 h, gint64 dy,
    gint64 dx)
{
  gint64 w = args->forward.window, l = w * w;
  double sum = 0;

  for (gint64 y = MAX (dy, 0); y < MIN (w, w + dy); y++)
    for (gint64 x = MAX (dx, 0); x < MIN (w, w + dx); x++) {
      gint64 query = y * w + x, key = (y - dy) * w + x - dx;
      sum += UMEDPT_F32 (args->diff_dst)[(h * l + query) * l + key];
    }
  return sum;
}

static void
add_offset (const UmedptPositionBiasBackwardArgs *args, Sums *sums, gint64 dy,
    gint64 dx)
{
  const UmedptPositionBiasArgs *f = &args->forward;
  gint64 hidden = f->w1->shape[0], heads = f->w2->shape[0];
  double ty = log_spaced (dy, f->window), tx = log_spaced (dx, f->window);

  bias_of_offset (f, dy, dx, sums->bias, sums->middle);
  for (gint64 h = 0; h < heads; h++) {
    double y = sums->bias[h] / 16;
    double diff = diff_of_offset (args, h, dy, dx) * 16 * y * (1 - y);

    for (gint64 i = 0; i < hidden; i++) {
      double x = diff * UMEDPT_F32 (f->w2)[h * hidden + i];

      sums->w2[h * hidden + i] += diff * sums->middle[i];
      if (sums->middle[i] <= 0)
        continue;
      sums->w1[2 * i] += x * ty;
      sums->w1[2 * i + 1] += x * tx;
      sums->b1[i] += x;
    }
  }
}

gboolean
umedpt_ref_position_bias_backward (UmedptBackend *backend,
    const UmedptPositionBiasBackwardArgs *args, GError **error)
{
  const UmedptPositionBiasArgs *f = &args->forward;
  gint64 w = f->window, hidden = f->w1->shape[0], heads = f->w2->shape[0];
  g_auto (Sums) sums = { g_new0 (double, 2 * hidden), g_new0 (double, hidden),
    g_new0 (double, heads *hidden), g_new (double, heads),
    g_new (double, hidden) };

  for (gint64 dy = 1 - w; dy < w; dy++)
    for (gint64 dx = 1 - w; dx < w; dx++)
      add_offset (args, &sums, dy, dx);
  umedpt_ref_add_sums (args->diff_w1, sums.w1, 2 * hidden);
  umedpt_ref_add_sums (args->diff_b1, sums.b1, hidden);
  umedpt_ref_add_sums (args->diff_w2, sums.w2, heads * hidden);
  return TRUE;
}
