/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Backward pass of window attention (attention.c). For one head of a window,
 * with u = q / |q|, w = k / |k|, C_ij = u_i w_j, S = scale C + B + mask,
 * P = softmax (S), o = P v, and d_i = dL / d o_i (0 for padded pixels, whose
 * output is dropped):
 *
 *   dv_j = sum_i P_ij d_i        dP_ij = d_i v_j
 *   dS_ij = P_ij (dP_ij - sum_j P_ij dP_ij)
 *   dB += dS                     dscale += sum_ij dS_ij C_ij
 *   du_i = scale sum_j dS_ij w_j  dw_j = scale sum_i dS_ij u_i
 *   dq = (du - u (u du)) / |q|   dk likewise
 *
 * Where |q| is below the eps of the norm, that eps is a constant: dq = du /
 * eps. For bf16 maps P and dS are operands of products, and are rounded as
 * such. Padded pixels are constants of the map but for the bias, which gets
 * their dq and dv.
 */
#include <math.h>

#include "backend/ref/attention.h"

typedef struct
{
  const UmedptWindowAttentionBackwardArgs *args;
  gint64 l, d; /* tokens of a window, head dimension */
  UmedptRefToken *tokens; /* [l] */
  float *qkv; /* [3, l, d] */
  double *diff_qkv; /* [3, l, d] */
  double *norms; /* [2, l]: of q and k */
  double *cosines, *p, *ds; /* [l, l] */
  double *diff_bias; /* [3C] */
  double *diff_scale; /* [heads] */
  double *diff_position_bias; /* [heads, l, l] */
} Work;

static void
work_clear (Work *self)
{
  g_free (self->tokens);
  g_free (self->qkv);
  g_free (self->diff_qkv);
  g_free (self->norms);
  g_free (self->cosines);
  g_free (self->p);
  g_free (self->ds);
  g_free (self->diff_bias);
  g_free (self->diff_scale);
  g_free (self->diff_position_bias);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Work, work_clear)

static void
work_init (Work *self, const UmedptWindowAttentionBackwardArgs *args)
{
  const UmedptWindowAttentionArgs *f = &args->forward;
  gint64 l = f->window * f->window, d = f->qkv->shape[3] / 3 / f->heads;

  *self = (Work){ .args = args, .l = l, .d = d };
  self->tokens = g_new (UmedptRefToken, l);
  self->qkv = g_new (float, 3 * l * d);
  self->diff_qkv = g_new (double, 3 * l * d);
  self->norms = g_new (double, 2 * l);
  self->cosines = g_new (double, l *l);
  self->p = g_new (double, l *l);
  self->ds = g_new (double, l *l);
  self->diff_bias = g_new0 (double, f->qkv->shape[3]);
  self->diff_scale = g_new0 (double, f->heads);
  self->diff_position_bias = g_new0 (double, f->heads *l *l);
}

/* q, k, v of head @h and its probabilities, as in the forward pass. */
static void
recompute (Work *self, gint64 n, gint64 h)
{
  const UmedptWindowAttentionArgs *f = &self->args->forward;
  gint64 l = self->l, d = self->d;
  const float *q = self->qkv, *k = q + l * d;
  const float *bias = UMEDPT_F32 (f->position_bias) + h * l * l;
  double scale = UMEDPT_F32 (f->scale)[h];

  for (gint64 part = 0; part < 3; part++)
    for (gint64 i = 0; i < l; i++)
      umedpt_ref_load_token (f, n, &self->tokens[i], part, h,
          self->qkv + (part * l + i) * d);
  for (gint64 i = 0; i < 2 * l; i++)
    self->norms[i] = umedpt_ref_norm (q + i * d, d);
  for (gint64 i = 0; i < l; i++) {
    for (gint64 j = 0; j < l; j++) {
      double dot = 0;

      for (gint64 e = 0; e < d; e++)
        dot += (double) q[i * d + e] * k[j * d + e];
      dot /= self->norms[i] * self->norms[l + j];
      self->cosines[i * l + j] = dot;
      self->p[i * l + j] = dot * scale + bias[i * l + j] +
          (self->tokens[i].region == self->tokens[j].region ? 0 : -100);
    }
    umedpt_ref_softmax (self->p + i * l, l);
  }
}

/* Gradients of v and of the logits of query @i. */
static void
backward_values (Work *self, gint64 n, gint64 h, gint64 i)
{
  const UmedptTensor *diff_dst = self->args->diff_dst; /* [N, H, W, C] */
  const gint64 *shape = diff_dst->shape;
  const UmedptRefToken *token = &self->tokens[i];
  gint64 l = self->l, d = self->d;
  gint64 at = ((n * shape[1] + token->y) * shape[2] + token->x) * shape[3];
  const float *v = self->qkv + 2 * l * d;
  double *dv = self->diff_qkv + 2 * l * d;
  double *p = self->p + i * l, *ds = self->ds + i * l, mean = 0;

  for (gint64 j = 0; j < l; j++)
    ds[j] = 0;
  for (gint64 j = 0; token->inside && j < l; j++) {
    for (gint64 e = 0; e < d; e++) {
      double diff = umedpt_ref_get (diff_dst, at + h * d + e);

      ds[j] += diff * v[j * d + e];
      dv[j * d + e] += diff * umedpt_ref_round ((float) p[j], diff_dst->dtype);
    }
    mean += p[j] * ds[j];
  }
  for (gint64 j = 0; token->inside && j < l; j++)
    ds[j] = p[j] * (ds[j] - mean);
}

/* Gradients of all that the logits are made of. */
static void
backward_logits (Work *self, gint64 h)
{
  const UmedptWindowAttentionArgs *f = &self->args->forward;
  gint64 l = self->l, d = self->d;
  const float *q = self->qkv, *k = q + l * d;
  double *du = self->diff_qkv, *dw = du + l * d;
  double scale = UMEDPT_F32 (f->scale)[h];

  for (gint64 i = 0; i < l; i++)
    for (gint64 j = 0; j < l; j++) {
      double ds = self->ds[i * l + j];

      self->diff_position_bias[(h * l + i) * l + j] += ds;
      self->diff_scale[h] += ds * self->cosines[i * l + j];
      ds = umedpt_ref_round ((float) ds, f->qkv->dtype) * scale;
      for (gint64 e = 0; e < d; e++) {
        du[i * d + e] += ds * k[j * d + e] / self->norms[l + j];
        dw[j * d + e] += ds * q[i * d + e] / self->norms[i];
      }
    }
}

/* From the gradient of x / |x| to that of x, in place, for q and k. */
static void
backward_norms (Work *self)
{
  gint64 d = self->d;

  for (gint64 i = 0; i < 2 * self->l; i++) {
    const float *x = self->qkv + i * d;
    double *diff = self->diff_qkv + i * d, norm = self->norms[i], dot = 0;

    for (gint64 e = 0; norm > 1e-12 && e < d; e++)
      dot += x[e] / norm * diff[e];
    for (gint64 e = 0; e < d; e++)
      diff[e] = (diff[e] - x[e] / norm * dot) / norm;
  }
}

/* Hands the gradients of the tokens to the map, or to the bias. */
static void
put_tokens (Work *self, gint64 n, gint64 h)
{
  const gint64 *shape = self->args->forward.qkv->shape; /* [N, H, W, 3C] */
  gint64 l = self->l, d = self->d, c = shape[3] / 3;

  for (gint64 part = 0; part < 3; part++)
    for (gint64 i = 0; i < l; i++)
      for (gint64 e = 0; e < d; e++) {
        const UmedptRefToken *token = &self->tokens[i];
        double diff = self->diff_qkv[(part * l + i) * d + e];
        gint64 pixel = (n * shape[1] + token->y) * shape[2] + token->x;
        gint64 channel = part * c + h * d + e;

        if (token->inside)
          umedpt_ref_put (self->args->diff_qkv, pixel * shape[3] + channel,
              diff, FALSE);
        else if (part != 1) /* a padded k is 0 */
          self->diff_bias[channel] += diff;
      }
}

static void
backward_window (Work *self, gint64 n, gint64 h)
{
  for (gint64 i = 0; i < 3 * self->l * self->d; i++)
    self->diff_qkv[i] = 0;
  recompute (self, n, h);
  for (gint64 i = 0; i < self->l; i++)
    backward_values (self, n, h, i);
  backward_logits (self, h);
  backward_norms (self);
  put_tokens (self, n, h);
}

gboolean
umedpt_ref_window_attention_backward (UmedptBackend *backend,
    const UmedptWindowAttentionBackwardArgs *args, GError **error)
{
  const UmedptWindowAttentionArgs *f = &args->forward;
  gint64 w = f->window;
  UmedptRefAxis rows = umedpt_ref_make_axis (f->qkv->shape[1], w, f->shift);
  UmedptRefAxis columns = umedpt_ref_make_axis (f->qkv->shape[2], w, f->shift);
  g_auto (Work) work = { 0 };

  work_init (&work, args);
  for (gint64 n = 0; n < f->qkv->shape[0]; n++)
    for (gint64 y = 0; y < rows.padded; y += w)
      for (gint64 x = 0; x < columns.padded; x += w) {
        for (gint64 i = 0; i < work.l; i++)
          work.tokens[i] =
              umedpt_ref_make_token (&rows, &columns, y + i / w, x + i % w);
        for (gint64 h = 0; h < f->heads; h++)
          backward_window (&work, n, h);
      }
  umedpt_ref_add_sums (args->diff_qkv_bias, work.diff_bias, f->qkv->shape[3]);
  umedpt_ref_add_sums (args->diff_scale, work.diff_scale, f->heads);
  umedpt_ref_add_sums (args->diff_position_bias, work.diff_position_bias,
      f->heads * work.l * work.l);
  return TRUE;
}
