/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Checked ops of linear maps, alone and fused. Each op is the same steps: check,
 * make dst, dispatch, and record itself where a gradient is wanted; what only
 * the backward pass needs is made only then. Formulas: backend/backend.h.
 */
#include "autograd/ops-private.h"

#include "base/error.h"

/* src [..., K], weight [N, K], bias [N] or NULL. */
static gboolean
check_linear (const char *op, const UmedptTensor *src,
    const UmedptTensor *weight, const UmedptTensor *bias, GError **error)
{
  if (!umedpt_check_input (op, "src", src, UMEDPT_IS_FLOAT, 0, error) ||
      !umedpt_check_input (op, "weight", weight, UMEDPT_IS_F32, 2, error))
    return FALSE;
  return umedpt_check_shape (op, "weight", weight,
             UMEDPT_SHAPE (weight->shape[0], umedpt_columns (src)), error) &&
      umedpt_check_range (op, "columns of weight", weight->shape[1], 1,
          G_MAXINT64, error) &&
      (!bias ||
          umedpt_check_param (op, "bias", bias, UMEDPT_SHAPE (weight->shape[0]),
              error));
}

/* src [..., K] -> [..., N]. Recorded without the activation, whose derivative
 * needs its input. */
UmedptTensor *
umedpt_op_linear (UmedptContext *context, UmedptTensor *src,
    UmedptTensor *weight, UmedptTensor *bias, UmedptActivation activation,
    UmedptDtype dst_dtype, GError **error)
{
  g_autoptr (UmedptTensor) dst = NULL;
  gboolean recorded =
      umedpt_tape_wants (context, UMEDPT_TENSORS (src, weight, bias));
  UmedptLinearArgs args;

  if (!check_linear ("linear", src, weight, bias, error) ||
      !umedpt_check_float ("linear", dst_dtype, error))
    return NULL;
  if (recorded && activation != UMEDPT_ACTIVATION_NONE) {
    g_autoptr (UmedptTensor) sum = umedpt_op_linear (context, src, weight, bias,
        UMEDPT_ACTIVATION_NONE, dst_dtype, error);

    return sum ? umedpt_op_activate (context, sum, activation, error) : NULL;
  }
  dst = umedpt_new_rows (src, dst_dtype, weight->shape[0], error);
  if (!dst)
    return NULL;
  args = (UmedptLinearArgs){ .src = src,
    .weight = weight,
    .bias = bias,
    .dst = dst,
    .activation = activation,
    .compute = context->compute };
  if (!UMEDPT_RUN (context, linear, &args, error, src, dst))
    return NULL;
  if (recorded)
    umedpt_record_linear (context, &args);
  return g_steal_pointer (&dst);
}

/* src [..., K], residual [..., N] or NULL -> [..., N] */
UmedptTensor *
umedpt_op_linear_norm (UmedptContext *context, UmedptTensor *src,
    UmedptTensor *weight, UmedptTensor *bias, UmedptTensor *gamma,
    UmedptTensor *beta, UmedptTensor *residual, UmedptTensor *branch_scale,
    float epsilon, GError **error)
{
  g_autoptr (UmedptTensor) dst = NULL;
  g_autoptr (UmedptTensor) product = NULL;
  gboolean recorded = umedpt_tape_wants (context,
      UMEDPT_TENSORS (src, weight, bias, gamma, beta, residual));
  UmedptLinearNormArgs args;

  if (!check_linear ("linear_norm", src, weight, bias, error) ||
      !umedpt_check_branch_scale ("linear_norm", branch_scale, src, error) ||
      !umedpt_check_affine ("linear_norm", gamma, beta, weight->shape[0],
          error))
    return NULL;
  dst = umedpt_new_rows (src, UMEDPT_DTYPE_F32, weight->shape[0], error);
  if (!dst ||
      (residual &&
          !umedpt_check_param ("linear_norm", "residual", residual, dst->n_dims,
              dst->shape, error)))
    return NULL;
  if (recorded && !(product = umedpt_new_like (dst, UMEDPT_DTYPE_F32, error)))
    return NULL;
  args = (UmedptLinearNormArgs){ .src = src,
    .weight = weight,
    .bias = bias,
    .gamma = gamma,
    .beta = beta,
    .residual = residual,
    .branch_scale = branch_scale,
    .dst = dst,
    .saved_product = product,
    .epsilon = epsilon,
    .compute = context->compute };
  if (!UMEDPT_RUN (context, linear_norm, &args, error, src, dst))
    return NULL;
  if (recorded)
    umedpt_record_linear_norm (context, &args);
  return g_steal_pointer (&dst);
}

static gboolean
check_mlp (const UmedptTensor *src, const UmedptTensor *fc1_weight,
    const UmedptTensor *fc1_bias, const UmedptTensor *fc2_weight,
    const UmedptTensor *fc2_bias, GError **error)
{
  const char *op = "mlp_norm";
  gint64 c, hidden;

  if (!umedpt_check_input (op, "src", src, UMEDPT_IS_F32, 0, error) ||
      !umedpt_check_input (op, "fc1_weight", fc1_weight, UMEDPT_IS_F32, 2,
          error))
    return FALSE;
  c = umedpt_columns (src);
  hidden = fc1_weight->shape[0];
  return umedpt_check_shape (op, "fc1_weight", fc1_weight,
             UMEDPT_SHAPE (hidden, c), error) &&
      umedpt_check_range (op, "hidden", hidden, 1, G_MAXINT64, error) &&
      umedpt_check_param (op, "fc1_bias", fc1_bias, UMEDPT_SHAPE (hidden),
          error) &&
      umedpt_check_param (op, "fc2_weight", fc2_weight,
          UMEDPT_SHAPE (c, hidden), error) &&
      umedpt_check_param (op, "fc2_bias", fc2_bias, UMEDPT_SHAPE (c), error);
}

/* src [..., C] -> [..., C] */
UmedptTensor *
umedpt_op_mlp_norm (UmedptContext *context, UmedptTensor *src,
    UmedptTensor *fc1_weight, UmedptTensor *fc1_bias, UmedptTensor *fc2_weight,
    UmedptTensor *fc2_bias, UmedptTensor *gamma, UmedptTensor *beta,
    UmedptTensor *branch_scale, float epsilon, GError **error)
{
  g_autoptr (UmedptTensor) dst = NULL;
  g_autoptr (UmedptTensor) hidden = NULL;
  g_autoptr (UmedptTensor) product = NULL;
  gboolean recorded = umedpt_tape_wants (context,
      UMEDPT_TENSORS (src, fc1_weight, fc1_bias, fc2_weight, fc2_bias, gamma,
          beta));
  UmedptMlpNormArgs args;

  if (!check_mlp (src, fc1_weight, fc1_bias, fc2_weight, fc2_bias, error) ||
      !umedpt_check_branch_scale ("mlp_norm", branch_scale, src, error) ||
      !umedpt_check_affine ("mlp_norm", gamma, beta, umedpt_columns (src),
          error))
    return NULL;
  dst = umedpt_new_rows (src, UMEDPT_DTYPE_F32, umedpt_columns (src), error);
  if (!dst)
    return NULL;
  if (recorded &&
      (!(hidden = umedpt_new_rows (src, context->compute, fc1_weight->shape[0],
             error)) ||
          !(product = umedpt_new_like (dst, UMEDPT_DTYPE_F32, error))))
    return NULL;
  args = (UmedptMlpNormArgs){ .src = src,
    .fc1_weight = fc1_weight,
    .fc1_bias = fc1_bias,
    .fc2_weight = fc2_weight,
    .fc2_bias = fc2_bias,
    .gamma = gamma,
    .beta = beta,
    .dst = dst,
    .branch_scale = branch_scale,
    .saved_hidden = hidden,
    .saved_product = product,
    .epsilon = epsilon,
    .compute = context->compute };
  if (!UMEDPT_RUN (context, mlp_norm, &args, error, src, dst))
    return NULL;
  if (recorded)
    umedpt_record_mlp_norm (context, &args);
  return g_steal_pointer (&dst);
}
