/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Shifted-window cosine attention of Swin V2 and its position bias (Liu et
 * al. 2022, arXiv:2111.09883, sections 3.2 and 3.3; windows and shift: Liu et
 * al. 2021, arXiv:2103.14030, section 3.2).
 *
 *   S_ij = cos (q_i, k_j) scale_h + B_h[i, j] + mask_ij
 *   o_i  = sum over j of softmax_j (S_ij) v_j
 *
 * The map is padded right and bottom to whole windows, rolled by minus the
 * shift, cut into windows; pixel (y, x) of the rolled map is pixel
 * ((y + shift) mod H', (x + shift) mod W') of the padded one. The roll brings
 * together pixels from opposite edges: the mask parts them. Padded pixels are
 * the qkv of a zero pixel, so q = v = bias and k = 0 (the k bias is 0 by
 * design), and take part as keys: S = B for them, not minus infinity.
 *
 *   B_h[i, j] = 16 sigmoid (w2 relu (w1 t + b1))_h, t the log-spaced offset
 *
 * For bf16 maps the probabilities are operands of the second product, and
 * are rounded as such.
 */
#include <math.h>

#include "backend/ref/ref.h"

/* One axis of the map. */
typedef struct
{
  gint64 size; /* of the map */
  gint64 padded; /* to whole windows */
  gint64 window;
  gint64 shift; /* the effective one */
} Axis;

/* One token of a window, for one head. */
typedef struct
{
  gint64 y, x; /* in the padded map */
  gint64 region; /* tokens of different regions do not see each other */
  gboolean inside; /* of the map */
} Token;

static Axis
make_axis (gint64 size, gint64 window, gint64 shift)
{
  Axis axis = { size, (size + window - 1) / window * window, window, shift };

  if (window >= axis.padded)
    axis.shift = 0;
  return axis;
}

/* Which slice of the rolled axis @i lies in: [0, -window), [-window, -shift),
 * [-shift, end). */
static gint64
slice (const Axis *axis, gint64 i)
{
  if (axis->shift == 0 || i < axis->padded - axis->window)
    return 0;
  return i < axis->padded - axis->shift ? 1 : 2;
}

static Token
make_token (const Axis *rows, const Axis *columns, gint64 y, gint64 x)
{
  Token token = { (y + rows->shift) % rows->padded,
    (x + columns->shift) % columns->padded,
    3 * slice (rows, y) + slice (columns, x), FALSE };

  token.inside = token.y < rows->size && token.x < columns->size;
  return token;
}

/* out [d] = q, k or v (@part 0, 1, 2) of a token for head @h. */
static void
load (const UmedptWindowAttentionArgs *args, gint64 n, const Token *token,
    gint64 part, gint64 h, float *out)
{
  const gint64 *shape = args->qkv->shape; /* [N, H, W, 3C] */
  gint64 c = shape[3] / 3, d = c / args->heads, first = part * c + h * d;
  gint64 pixel = (n * shape[1] + token->y) * shape[2] + token->x;

  for (gint64 i = 0; i < d; i++)
    if (token->inside)
      out[i] = umedpt_ref_get (args->qkv, pixel * shape[3] + first + i);
    else if (part == 1)
      out[i] = 0;
    else
      out[i] = umedpt_ref_round (UMEDPT_F32 (args->qkv_bias)[first + i],
          args->qkv->dtype);
}

static double
norm (const float *x, gint64 d)
{
  double sum = 0;

  for (gint64 i = 0; i < d; i++)
    sum += (double) x[i] * x[i];
  return MAX (sqrt (sum), 1e-12);
}

/* s [l]: logits in, probabilities out. */
static void
softmax (double *s, gint64 l)
{
  double max = -INFINITY, sum = 0;

  for (gint64 j = 0; j < l; j++)
    max = MAX (max, s[j]);
  for (gint64 j = 0; j < l; j++)
    sum += s[j] = exp (s[j] - max);
  for (gint64 j = 0; j < l; j++)
    s[j] /= sum;
}

/* One head of one window; @qkv is scratch for its tokens, [3, l, d]. */
static void
attend (const UmedptWindowAttentionArgs *args, gint64 n, gint64 h,
    const Token *tokens, float *qkv, double *s)
{
  const gint64 *out = args->dst->shape; /* [N, H, W, C] */
  gint64 l = args->window * args->window, d = out[3] / args->heads;
  const float *q = qkv, *k = qkv + l * d, *v = qkv + 2 * l * d;
  const float *bias = UMEDPT_F32 (args->position_bias) + h * l * l;
  double scale = UMEDPT_F32 (args->scale)[h];

  for (gint64 part = 0; part < 3; part++)
    for (gint64 i = 0; i < l; i++)
      load (args, n, &tokens[i], part, h, qkv + (part * l + i) * d);
  for (gint64 i = 0; i < l; i++) {
    if (!tokens[i].inside)
      continue;
    for (gint64 j = 0; j < l; j++) {
      double dot = 0;

      for (gint64 e = 0; e < d; e++)
        dot += (double) q[i * d + e] * k[j * d + e];
      s[j] = dot / (norm (q + i * d, d) * norm (k + j * d, d)) * scale +
          bias[i * l + j] + (tokens[i].region == tokens[j].region ? 0 : -100);
    }
    softmax (s, l);
    for (gint64 e = 0; e < d; e++) {
      gint64 pixel = (n * out[1] + tokens[i].y) * out[2] + tokens[i].x;
      double sum = 0;

      for (gint64 j = 0; j < l; j++)
        sum += (double) umedpt_ref_round ((float) s[j], args->qkv->dtype) *
            v[j * d + e];
      umedpt_ref_set (args->dst, pixel * out[3] + h * d + e, sum);
    }
  }
}

gboolean
umedpt_ref_window_attention (UmedptBackend *backend,
    const UmedptWindowAttentionArgs *args, GError **error)
{
  const gint64 *out = args->dst->shape; /* [N, H, W, C] */
  gint64 w = args->window, l = w * w, d = out[3] / args->heads;
  Axis rows = make_axis (out[1], w, args->shift);
  Axis columns = make_axis (out[2], w, args->shift);
  g_autofree Token *tokens = g_new (Token, l);
  g_autofree float *qkv = g_new (float, 3 * l * d);
  g_autofree double *s = g_new (double, l);

  for (gint64 n = 0; n < out[0]; n++)
    for (gint64 y = 0; y < rows.padded; y += w)
      for (gint64 x = 0; x < columns.padded; x += w) {
        for (gint64 i = 0; i < l; i++)
          tokens[i] = make_token (&rows, &columns, y + i / w, x + i % w);
        for (gint64 h = 0; h < args->heads; h++)
          attend (args, n, h, tokens, qkv, s);
      }
  return TRUE;
}

/* Equation 4 of the paper, with the offsets scaled to [-8, 8] as in the
 * authors' and torchvision's implementation; the result lies in [-1, 1]. */
static double
log_spaced (gint64 offset, gint64 window)
{
  double t = window > 1 ? 8.0 * offset / (window - 1) : 0;

  return copysign (log2 (fabs (t) + 1) / 3, t);
}

/* out [heads] = the bias between a query and the key @dy, @dx before it. */
static void
bias_of_offset (const UmedptPositionBiasArgs *args, gint64 dy, gint64 dx,
    double *out)
{
  gint64 hidden = args->w1->shape[0], heads = args->w2->shape[0];
  double ty = log_spaced (dy, args->window), tx = log_spaced (dx, args->window);

  for (gint64 h = 0; h < heads; h++)
    out[h] = 0;
  for (gint64 i = 0; i < hidden; i++) {
    double x = UMEDPT_F32 (args->w1)[2 * i] * ty +
        UMEDPT_F32 (args->w1)[2 * i + 1] * tx + UMEDPT_F32 (args->b1)[i];

    x = umedpt_ref_activation (x, UMEDPT_ACTIVATION_RELU);
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

  for (gint64 dy = 1 - w; dy < w; dy++)
    for (gint64 dx = 1 - w; dx < w; dx++) {
      bias_of_offset (args, dy, dx, bias);
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
