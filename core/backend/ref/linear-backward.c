/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Backward passes of the linear maps of rows. With d = dL / d y of a row:
 *
 *   y = x W^T + b       dx = d W,  dW += d^T x,  db += d
 *   y = r + s LN (z)    dz = LN' (z) (s d); then as above; dr = d
 *   y = x + s LN (W2 a + b2), a = gelu (h), h = W1 x + b1:
 *                       da = dz W2,  dh = gelu' (h) da,  dx = d + dh W1
 *
 * z and h are the saved ones; a is computed again.
 */
#include "backend/ref/ref.h"

gboolean
umedpt_ref_linear_backward (UmedptBackend *backend,
    const UmedptLinearBackwardArgs *args, GError **error)
{
  const UmedptLinearArgs *f = &args->forward;
  gsize m = umedpt_ref_rows (f->src), k = umedpt_ref_columns (f->src);
  gsize n = f->weight->shape[0];
  g_auto (UmedptRefProductSums) product = { 0 };
  g_autoptr (UmedptTensor) src = umedpt_ref_operand (f->src, f->compute, error);
  g_autofree double *diff = g_new (double, n);
  g_autofree double *diff_row = g_new (double, k);

  if (!src ||
      !umedpt_ref_product_sums_init (&product, n, k, f->weight, f->compute,
          args->diff_weight != NULL, error))
    return FALSE;
  for (gsize i = 0; i < m; i++) {
    for (gsize j = 0; j < n; j++)
      diff[j] = umedpt_ref_get (args->diff_dst, i * n + j);
    umedpt_ref_product_backward (&product, diff, UMEDPT_F32 (src) + i * k,
        diff_row);
    for (gsize j = 0; j < k; j++)
      umedpt_ref_put (args->diff_src, i * k + j, diff_row[j], args->accumulate);
  }
  umedpt_ref_product_sums_add (&product, args->diff_weight, args->diff_bias);
  return TRUE;
}

gboolean
umedpt_ref_linear_norm_backward (UmedptBackend *backend,
    const UmedptLinearNormBackwardArgs *args, GError **error)
{
  const UmedptLinearNormArgs *f = &args->forward;
  gsize m = umedpt_ref_rows (f->src), k = umedpt_ref_columns (f->src);
  gsize n = f->weight->shape[0];
  g_auto (UmedptRefNormSums) norm = { 0 };
  g_auto (UmedptRefProductSums) product = { 0 };
  g_autoptr (UmedptTensor) src = umedpt_ref_operand (f->src, f->compute, error);
  g_autofree double *diff = g_new (double, n);
  g_autofree double *diff_row = g_new (double, k);

  umedpt_ref_norm_sums_init (&norm, n, umedpt_ref_values (f->gamma),
      f->epsilon);
  if (!src ||
      !umedpt_ref_product_sums_init (&product, n, k, f->weight, f->compute,
          args->diff_weight != NULL, error))
    return FALSE;
  for (gsize i = 0; i < m; i++) {
    for (gsize j = 0; j < n; j++)
      diff[j] = UMEDPT_F32 (args->diff_dst)[i * n + j] *
          umedpt_ref_branch_scale (f->branch_scale, i, m);
    umedpt_ref_normalise_backward (&norm, UMEDPT_F32 (f->saved_product) + i * n,
        diff);
    umedpt_ref_product_backward (&product, diff, UMEDPT_F32 (src) + i * k,
        diff_row);
    for (gsize j = 0; j < k; j++)
      umedpt_ref_put (args->diff_src, i * k + j, diff_row[j], args->accumulate);
  }
  umedpt_ref_norm_sums_add (&norm, args->diff_gamma, args->diff_beta);
  umedpt_ref_product_sums_add (&product, args->diff_weight, args->diff_bias);
  return TRUE;
}

/* What one row of mlp_norm's backward pass works on. */
typedef struct
{
  UmedptRefNormSums norm;
  UmedptRefProductSums fc1, fc2;
  UmedptTensor *src; /* operands */
  double *diff; /* [c] */
  double *diff_hidden; /* [hidden] */
  float *middle; /* [hidden]: a, as an operand */
} Mlp;

static void
mlp_clear (Mlp *self)
{
  umedpt_ref_norm_sums_clear (&self->norm);
  umedpt_ref_product_sums_clear (&self->fc1);
  umedpt_ref_product_sums_clear (&self->fc2);
  g_clear_pointer (&self->src, umedpt_tensor_unref);
  g_free (self->diff);
  g_free (self->diff_hidden);
  g_free (self->middle);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Mlp, mlp_clear)

static gboolean
mlp_init (Mlp *self, const UmedptMlpNormBackwardArgs *args, GError **error)
{
  const UmedptMlpNormArgs *f = &args->forward;
  gsize c = umedpt_ref_columns (f->src), hidden = f->fc1_weight->shape[0];

  umedpt_ref_norm_sums_init (&self->norm, c, umedpt_ref_values (f->gamma),
      f->epsilon);
  self->diff = g_new (double, c);
  self->diff_hidden = g_new (double, hidden);
  self->middle = g_new (float, hidden);
  self->src = umedpt_ref_operand (f->src, f->compute, error);
  return self->src &&
      umedpt_ref_product_sums_init (&self->fc1, hidden, c, f->fc1_weight,
          f->compute, args->diff_fc1_weight != NULL, error) &&
      umedpt_ref_product_sums_init (&self->fc2, c, hidden, f->fc2_weight,
          f->compute, args->diff_fc2_weight != NULL, error);
}

/* diff [c]: of the normed branch, in; of src through the branch, out. */
static void
mlp_row (Mlp *self, const UmedptMlpNormArgs *f, gsize i)
{
  gsize c = self->norm.n, hidden = self->fc1.n;

  for (gsize j = 0; j < hidden; j++) {
    float h = umedpt_ref_get (f->saved_hidden, i * hidden + j);
    self->middle[j] = umedpt_ref_round ((float) umedpt_ref_activation (h,
                                            UMEDPT_ACTIVATION_GELU),
        f->compute);
  }
  umedpt_ref_normalise_backward (&self->norm,
      UMEDPT_F32 (f->saved_product) + i * c, self->diff);
  umedpt_ref_product_backward (&self->fc2, self->diff, self->middle,
      self->diff_hidden);
  for (gsize j = 0; j < hidden; j++)
    self->diff_hidden[j] *=
        umedpt_ref_activation_slope (umedpt_ref_get (f->saved_hidden,
                                         i * hidden + j),
            UMEDPT_ACTIVATION_GELU);
  umedpt_ref_product_backward (&self->fc1, self->diff_hidden,
      UMEDPT_F32 (self->src) + i * c, self->diff);
}

gboolean
umedpt_ref_mlp_norm_backward (UmedptBackend *backend,
    const UmedptMlpNormBackwardArgs *args, GError **error)
{
  const UmedptMlpNormArgs *f = &args->forward;
  gsize m = umedpt_ref_rows (f->src), c = umedpt_ref_columns (f->src);
  g_auto (Mlp) mlp = { 0 };

  if (!mlp_init (&mlp, args, error))
    return FALSE;
  for (gsize i = 0; i < m; i++) {
    const float *diff = UMEDPT_F32 (args->diff_dst) + i * c;

    for (gsize j = 0; j < c; j++)
      mlp.diff[j] = diff[j] * umedpt_ref_branch_scale (f->branch_scale, i, m);
    mlp_row (&mlp, f, i);
    /* diff_src may be diff_dst: each element is read before it is written */
    for (gsize j = 0; j < c; j++)
      umedpt_ref_put (args->diff_src, i * c + j, diff[j] + mlp.diff[j], FALSE);
  }
  umedpt_ref_norm_sums_add (&mlp.norm, args->diff_gamma, args->diff_beta);
  umedpt_ref_product_sums_add (&mlp.fc1, args->diff_fc1_weight,
      args->diff_fc1_bias);
  umedpt_ref_product_sums_add (&mlp.fc2, args->diff_fc2_weight,
      args->diff_fc2_bias);
  return TRUE;
}
