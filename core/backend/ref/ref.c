/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The reference backend: every op in plain C, written to be read beside the
 * papers. It is the specification: other backends are measured against it,
 * and it runs what they refuse. All sums are formed in double, so that its
 * own rounding can be neglected in every comparison.
 *
 * What compute = bf16 means is said here once, and holds for all ops:
 * - both operands of a matrix product are rounded to bf16 (nearest, ties to
 *   even), products and sums are not;
 * - what one product of a fused op hands to the next (the hidden layer of
 *   mlp_norm, the probabilities of attention) is such an operand;
 * - bias, residual, norm and activation see unrounded values;
 * - a backward pass is made of products as well: of diff and weight (gradient
 *   of src) and of diff and src (gradient of weight). Both operands are rounded
 *   in the same way, diff where it enters the product; sums, and with them the
 *   gradients of biases, norms and activations, see unrounded values, and the
 *   gradients of parameters are f32.
 */
#include "backend/ref/ref.h"

/* @tensor (f32, bf16) as f32 operands for products in @compute. */
UmedptTensor *
umedpt_ref_operand (UmedptTensor *tensor, UmedptDtype compute, GError **error)
{
  UmedptTensor *copy;

  if (tensor->dtype == UMEDPT_DTYPE_F32 && compute == UMEDPT_DTYPE_F32)
    return umedpt_tensor_ref (tensor);
  copy = umedpt_tensor_new (UMEDPT_DTYPE_F32, tensor->n_dims, tensor->shape,
      error);
  if (!copy)
    return NULL;
  for (gsize i = 0; i < tensor->n_elements; i++) {
    float value = umedpt_ref_get (tensor, i);
    UMEDPT_F32 (copy)[i] = umedpt_ref_round (value, compute);
  }
  return copy;
}

/* Four independent sums: a single one would wait for itself. */
static double
dot (const float *a, const float *b, gsize n)
{
  double sum[4] = { 0 };
  gsize i = 0;

  for (; i + 4 <= n; i += 4)
    for (guint j = 0; j < 4; j++)
      sum[j] += (double) a[i + j] * b[i + j];
  for (; i < n; i++)
    sum[0] += (double) a[i] * b[i];
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* out [n] = row [k] weight^T + bias, with @weight an operand of n rows of k. */
void
umedpt_ref_product (const float *row, const UmedptTensor *weight,
    const UmedptTensor *bias, gsize n, gsize k, double *out)
{
  for (gsize i = 0; i < n; i++)
    out[i] = dot (row, UMEDPT_F32 (weight) + i * k, k) +
        umedpt_ref_param (bias, i, 0);
}

/* Sums for out = row weight^T + bias. Free with
 * umedpt_ref_product_sums_clear(), also after a failure. */
gboolean
umedpt_ref_product_sums_init (UmedptRefProductSums *self, gsize n, gsize k,
    UmedptTensor *weight, UmedptDtype compute, gboolean wants_weight,
    GError **error)
{
  *self = (UmedptRefProductSums){ .n = n, .k = k, .compute = compute };
  self->weight = umedpt_ref_operand (weight, compute, error);
  if (!self->weight)
    return FALSE;
  self->diff_weight = wants_weight ? g_new0 (double, n *k) : NULL;
  self->diff_bias = g_new0 (double, n);
  self->operand = g_new (float, n);
  return TRUE;
}

void
umedpt_ref_product_sums_clear (UmedptRefProductSums *self)
{
  g_clear_pointer (&self->weight, umedpt_tensor_unref);
  g_clear_pointer (&self->diff_weight, g_free);
  g_clear_pointer (&self->diff_bias, g_free);
  g_clear_pointer (&self->operand, g_free);
}

/* Hands the sums on to (nullable) gradients. */
void
umedpt_ref_product_sums_add (UmedptRefProductSums *self, UmedptTensor *weight,
    UmedptTensor *bias)
{
  umedpt_ref_add_sums (weight, self->diff_weight, self->n * self->k);
  umedpt_ref_add_sums (bias, self->diff_bias, self->n);
}

/* For one row of out = row weight^T + bias, @diff [n] = dL / d out:
 * diff_row [k] (nullable) = diff weight; the sums gain diff^T row and diff. */
void
umedpt_ref_product_backward (UmedptRefProductSums *self, const double *diff,
    const float *row, double *diff_row)
{
  const float *weight = UMEDPT_F32 (self->weight);
  const gsize k = self->k;

  for (gsize j = 0; j < self->n; j++) {
    self->operand[j] = umedpt_ref_round ((float) diff[j], self->compute);
    self->diff_bias[j] += diff[j];
  }
  for (gsize j = 0; self->diff_weight && j < self->n; j++)
    for (gsize i = 0; i < k; i++)
      self->diff_weight[j * k + i] += (double) self->operand[j] * row[i];
  for (gsize i = 0; diff_row && i < k; i++)
    diff_row[i] = 0;
  for (gsize j = 0; diff_row && j < self->n; j++)
    for (gsize i = 0; i < k; i++)
      diff_row[i] += (double) self->operand[j] * weight[j * k + i];
}

/**
 * umedpt_backend_ref: (skip)
 *
 * Returns: (transfer none): the reference backend; it is always there
 */
UmedptBackend *
umedpt_backend_ref (void)
{
#define SLOT(slot, Type) .slot = umedpt_ref_##slot,
  static UmedptBackend backend = { .api_version = UMEDPT_BACKEND_API_VERSION,
    .name = "ref",
    .description = "reference, plain C, sums in double",
    .host_memory = TRUE,
    UMEDPT_FOREACH_OP (SLOT) };
#undef SLOT

  return &backend;
}
