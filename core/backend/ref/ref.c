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
 * - bias, residual, norm and activation see unrounded values.
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

/**
 * umedpt_backend_ref: (skip)
 *
 * Returns: (transfer none): the reference backend; it is always there
 */
UmedptBackend *
umedpt_backend_ref (void)
{
#define SLOT(slot, Type) .slot = umedpt_ref_##slot,
/* clang-format off */
#define HAVE(X) X (convert, ) X (activate, ) X (layer_norm, ) X (group_norm, ) \
  X (global_pool, ) X (linear, ) X (linear_norm, ) X (mlp_norm, ) \
  X (patch_embed, ) X (patch_merge, ) X (position_bias, ) \
  X (window_attention, ) X (conv2d, )
  /* clang-format on */
  static UmedptBackend backend = { .api_version = UMEDPT_BACKEND_API_VERSION,
    .name = "ref",
    .description = "reference, plain C, sums in double",
    .host_memory = TRUE,
    HAVE (SLOT) };
#undef SLOT

  return &backend;
}
