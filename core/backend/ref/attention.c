/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Shifted-window cosine attention of Swin V2 (Liu et al. 2022,
 * arXiv:2111.09883, section 3.2; windows and shift: Liu et al. 2021,
 * arXiv:2103.14030, section 3.2).
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
 * For bf16 maps the probabilities are operands of the second product, and
 * are rounded as such.
 */
#include <math.h>

#include "backend/ref/attention.h"

UmedptRefAxis
umedpt_ref_make_axis (gint64 size, gint64 window, gint64 shift)
{
  UmedptRefAxis axis = { size, (size + window - 1) / window * window, window,
    shift };

  if (window >= axis.padded)
    axis.shift = 0;
  return axis;
}

/* Which slice of the rolled axis @i lies in: [0, -window), [-window, -shift),
 * [-shift, end). */
static gint64
slice (const UmedptRefAxis *axis, gint64 i)
{
  if (axis->shift == 0 || i < axis->padded - axis->window)
    return 0;
  return i < axis->padded - axis->shift ? 1 : 2;
}

UmedptRefToken
umedpt_ref_make_token (const UmedptRefAxis *rows, const UmedptRefAxis *columns,
    gint64 y, gint64 x)
{
  UmedptRefToken token = { (y + rows->shift) % rows->padded,
    (x + columns->shift) % columns->padded,
    3 * slice (rows, y) + slice (columns, x), FALSE };

  token.inside = token.y < rows->size && token.x < columns->size;
  return token;
}

/* out [d] = q, k or v (@part 0, 1, 2) of a token for head @h. */
void
umedpt_ref_load_token (const UmedptWindowAttentionArgs *args, gint64 n,
    const UmedptRefToken *token, gint64 part, gint64 h, float *out)
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

double
umedpt_ref_norm (const float *x, gint64 d)
{
  double sum = 0;

  for (gint64 i = 0; i < d; i++)
    sum += (double) x[i] * x[i];
  return MAX (sqrt (sum), 1e-12);
}

/* s [l]: logits in, probabilities out. */
void
umedpt_ref_softmax (double *s, gint64 l)
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
    const UmedptRefToken *tokens, float *qkv, double *s)
{
  const gint64 *out = args->dst->shape; /* [N, H, W, C] */
  gint64 l = args->window * args->window, d = out[3] / args->heads;
  const float *q = qkv, *k = qkv + l * d, *v = qkv + 2 * l * d;
  const float *bias = UMEDPT_F32 (args->position_bias) + h * l * l;
  double scale = UMEDPT_F32 (args->scale)[h];

  for (gint64 part = 0; part < 3; part++)
    for (gint64 i = 0; i < l; i++)
      umedpt_ref_load_token (args, n, &tokens[i], part, h,
          qkv + (part * l + i) * d);
  for (gint64 i = 0; i < l; i++) {
    if (!tokens[i].inside)
      continue;
    for (gint64 j = 0; j < l; j++) {
      double dot = 0;

      for (gint64 e = 0; e < d; e++)
        dot += (double) q[i * d + e] * k[j * d + e];
      s[j] = dot /
              (umedpt_ref_norm (q + i * d, d) *
                  umedpt_ref_norm (k + j * d, d)) *
              scale +
          bias[i * l + j] + (tokens[i].region == tokens[j].region ? 0 : -100);
    }
    umedpt_ref_softmax (s, l);
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
  UmedptRefAxis rows = umedpt_ref_make_axis (out[1], w, args->shift);
  UmedptRefAxis columns = umedpt_ref_make_axis (out[2], w, args->shift);
  g_autofree UmedptRefToken *tokens = g_new (UmedptRefToken, l);
  g_autofree float *qkv = g_new (float, 3 * l * d);
  g_autofree double *s = g_new (double, l);

  for (gint64 n = 0; n < out[0]; n++)
    for (gint64 y = 0; y < rows.padded; y += w)
      for (gint64 x = 0; x < columns.padded; x += w) {
        for (gint64 i = 0; i < l; i++)
          tokens[i] =
              umedpt_ref_make_token (&rows, &columns, y + i / w, x + i % w);
        for (gint64 h = 0; h < args->heads; h++)
          attend (args, n, h, tokens, qkv, s);
      }
  return TRUE;
}
