/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Checked ops around matrix products: linear maps, their fused forms, patches
 * and convolutions. Each is the same three steps: check, make dst, dispatch.
 * Formulas: backend/backend.h.
 */
#include "autograd/ops-private.h"

#include "base/error.h"

/* [..., C] of @src with the last dimension replaced. */
static UmedptTensor *
new_rows (const UmedptTensor *src, UmedptDtype dtype, gint64 columns,
    GError **error)
{
  gint64 shape[UMEDPT_MAX_DIMS];

  for (guint i = 0; i < src->n_dims; i++)
    shape[i] = src->shape[i];
  shape[src->n_dims - 1] = columns;
  return umedpt_tensor_new (dtype, src->n_dims, shape, error);
}

static gint64
columns_of (const UmedptTensor *tensor)
{
  return tensor->shape[tensor->n_dims - 1];
}

/* src [..., K], weight [N, K], bias [N] or NULL. */
static gboolean
check_linear (const char *op, const UmedptTensor *src,
    const UmedptTensor *weight, const UmedptTensor *bias, GError **error)
{
  if (!umedpt_check_input (op, "src", src, UMEDPT_IS_FLOAT, 0, error) ||
      !umedpt_check_input (op, "weight", weight, UMEDPT_IS_F32, 2, error))
    return FALSE;
  return umedpt_check_shape (op, "weight", weight,
             UMEDPT_SHAPE (weight->shape[0], columns_of (src)), error) &&
      umedpt_check_range (op, "columns of weight", weight->shape[1], 1,
          G_MAXINT64, error) &&
      (!bias ||
          umedpt_check_param (op, "bias", bias, UMEDPT_SHAPE (weight->shape[0]),
              error));
}

static gboolean
check_float (const char *op, UmedptDtype dtype, GError **error)
{
  if (dtype == UMEDPT_DTYPE_F32 || dtype == UMEDPT_DTYPE_BF16)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DTYPE,
      "%s: an output of %s is asked for; it may be f32 or bf16.", op,
      umedpt_dtype_name (dtype));
  return FALSE;
}

/* src [..., K] -> [..., N] */
UmedptTensor *
umedpt_op_linear (UmedptContext *context, UmedptTensor *src,
    UmedptTensor *weight, UmedptTensor *bias, UmedptActivation activation,
    UmedptDtype dst_dtype, GError **error)
{
  g_autoptr (UmedptTensor) dst = NULL;
  gint64 start;
  gboolean ok;

  if (!check_linear ("linear", src, weight, bias, error) ||
      !check_float ("linear", dst_dtype, error))
    return NULL;
  dst = new_rows (src, dst_dtype, weight->shape[0], error);
  if (!dst)
    return NULL;
  start = umedpt_op_begin (context, UMEDPT_OP_linear, src, dst);
  ok = umedpt_dispatch_linear (context->backend,
      &(UmedptLinearArgs){ .src = src,
          .weight = weight,
          .bias = bias,
          .dst = dst,
          .activation = activation,
          .compute = context->compute },
      error);
  return umedpt_op_end (context, UMEDPT_OP_linear, start, ok, &dst, error);
}

/* src [..., K], residual [..., N] or NULL -> [..., N] */
UmedptTensor *
umedpt_op_linear_norm (UmedptContext *context, UmedptTensor *src,
    UmedptTensor *weight, UmedptTensor *bias, UmedptTensor *gamma,
    UmedptTensor *beta, UmedptTensor *residual, UmedptTensor *branch_scale,
    float epsilon, GError **error)
{
  g_autoptr (UmedptTensor) dst = NULL;
  gint64 start;
  gboolean ok;

  if (!check_linear ("linear_norm", src, weight, bias, error) ||
      !umedpt_check_affine ("linear_norm", gamma, beta, weight->shape[0],
          error))
    return NULL;
  dst = new_rows (src, UMEDPT_DTYPE_F32, weight->shape[0], error);
  if (!dst ||
      (residual &&
          !umedpt_check_param ("linear_norm", "residual", residual, dst->n_dims,
              dst->shape, error)))
    return NULL;
  start = umedpt_op_begin (context, UMEDPT_OP_linear_norm, src, dst);
  ok = umedpt_dispatch_linear_norm (context->backend,
      &(UmedptLinearNormArgs){ .src = src,
          .weight = weight,
          .bias = bias,
          .gamma = gamma,
          .beta = beta,
          .residual = residual,
          .branch_scale = branch_scale,
          .dst = dst,
          .epsilon = epsilon,
          .compute = context->compute },
      error);
  return umedpt_op_end (context, UMEDPT_OP_linear_norm, start, ok, &dst, error);
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
  c = columns_of (src);
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
  gint64 start;
  gboolean ok;

  if (!check_mlp (src, fc1_weight, fc1_bias, fc2_weight, fc2_bias, error) ||
      !umedpt_check_affine ("mlp_norm", gamma, beta, columns_of (src), error))
    return NULL;
  dst = new_rows (src, UMEDPT_DTYPE_F32, columns_of (src), error);
  if (!dst)
    return NULL;
  start = umedpt_op_begin (context, UMEDPT_OP_mlp_norm, src, dst);
  ok = umedpt_dispatch_mlp_norm (context->backend,
      &(UmedptMlpNormArgs){ .src = src,
          .fc1_weight = fc1_weight,
          .fc1_bias = fc1_bias,
          .fc2_weight = fc2_weight,
          .fc2_bias = fc2_bias,
          .gamma = gamma,
          .beta = beta,
          .dst = dst,
          .branch_scale = branch_scale,
          .epsilon = epsilon,
          .compute = context->compute },
      error);
  return umedpt_op_end (context, UMEDPT_OP_mlp_norm, start, ok, &dst, error);
}

/* src [N, H, W, 3], weight [C, 3, patch, patch] */
static gboolean
check_patch_embed (const UmedptTensor *src, const UmedptTensor *weight,
    const UmedptTensor *bias, GError **error)
{
  const char *op = "patch_embed";
  gint64 c, patch;

  if (!umedpt_check_input (op, "src", src, UMEDPT_IS_F32 | UMEDPT_IS_U8, 4,
          error) ||
      !umedpt_check_shape (op, "src", src,
          UMEDPT_SHAPE (src->shape[0], src->shape[1], src->shape[2], 3),
          error) ||
      !umedpt_check_input (op, "weight", weight, UMEDPT_IS_F32, 4, error))
    return FALSE;
  c = weight->shape[0];
  patch = weight->shape[2];
  if (!umedpt_check_shape (op, "weight", weight,
          UMEDPT_SHAPE (c, 3, patch, patch), error) ||
      !umedpt_check_param (op, "bias", bias, UMEDPT_SHAPE (c), error))
    return FALSE;
  if (patch > 0 && src->shape[1] >= patch && src->shape[2] >= patch)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE,
      "%s: an image of %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT
      " pixels holds no patch of %" G_GINT64_FORMAT "; use a larger image.",
      op, src->shape[2], src->shape[1], patch);
  return FALSE;
}

/* src [N, H, W, 3] -> [N, H / patch, W / patch, C] */
UmedptTensor *
umedpt_op_patch_embed (UmedptContext *context, UmedptTensor *src,
    UmedptTensor *weight, UmedptTensor *bias, UmedptTensor *gamma,
    UmedptTensor *beta, float epsilon, GError **error)
{
  g_autoptr (UmedptTensor) dst = NULL;
  gint64 start, patch;
  gboolean ok;

  if (!check_patch_embed (src, weight, bias, error) ||
      !umedpt_check_affine ("patch_embed", gamma, beta, weight->shape[0],
          error))
    return NULL;
  patch = weight->shape[2];
  dst = umedpt_tensor_new (UMEDPT_DTYPE_F32,
      UMEDPT_SHAPE (src->shape[0], src->shape[1] / patch, src->shape[2] / patch,
          weight->shape[0]),
      error);
  if (!dst)
    return NULL;
  start = umedpt_op_begin (context, UMEDPT_OP_patch_embed, src, dst);
  ok = umedpt_dispatch_patch_embed (context->backend,
      &(UmedptPatchEmbedArgs){ .src = src,
          .weight = weight,
          .bias = bias,
          .gamma = gamma,
          .beta = beta,
          .dst = dst,
          .epsilon = epsilon,
          .compute = context->compute },
      error);
  return umedpt_op_end (context, UMEDPT_OP_patch_embed, start, ok, &dst, error);
}

/* src [N, H, W, C] -> [N, ceil (H / 2), ceil (W / 2), 2C] */
UmedptTensor *
umedpt_op_patch_merge (UmedptContext *context, UmedptTensor *src,
    UmedptTensor *weight, UmedptTensor *gamma, UmedptTensor *beta,
    float epsilon, GError **error)
{
  const char *op = "patch_merge";
  g_autoptr (UmedptTensor) dst = NULL;
  gint64 start, c;
  gboolean ok;

  if (!umedpt_check_input (op, "src", src, UMEDPT_IS_F32, 4, error))
    return NULL;
  c = src->shape[3];
  if (!umedpt_check_param (op, "weight", weight, UMEDPT_SHAPE (2 * c, 4 * c),
          error) ||
      !umedpt_check_affine (op, gamma, beta, 2 * c, error))
    return NULL;
  dst = umedpt_tensor_new (UMEDPT_DTYPE_F32,
      UMEDPT_SHAPE (src->shape[0], (src->shape[1] + 1) / 2,
          (src->shape[2] + 1) / 2, 2 * c),
      error);
  if (!dst)
    return NULL;
  start = umedpt_op_begin (context, UMEDPT_OP_patch_merge, src, dst);
  ok = umedpt_dispatch_patch_merge (context->backend,
      &(UmedptPatchMergeArgs){ .src = src,
          .weight = weight,
          .gamma = gamma,
          .beta = beta,
          .dst = dst,
          .epsilon = epsilon,
          .compute = context->compute },
      error);
  return umedpt_op_end (context, UMEDPT_OP_patch_merge, start, ok, &dst, error);
}

/* The output's size along one axis; -1: the kernel does not fit. */
static gint64
conv_size (gint64 size, gint64 kernel, gint64 stride, gint64 padding)
{
  gint64 room = size + 2 * padding - kernel;

  return kernel > 0 && room >= 0 ? room / stride + 1 : -1;
}

static gboolean
check_conv2d (const UmedptTensor *src, const UmedptTensor *weight,
    const UmedptTensor *bias, gint64 stride, gint64 padding, GError **error)
{
  const char *op = "conv2d";

  if (!umedpt_check_input (op, "src", src, UMEDPT_IS_FLOAT, 4, error) ||
      !umedpt_check_input (op, "weight", weight, UMEDPT_IS_F32, 4, error) ||
      !umedpt_check_shape (op, "weight", weight,
          UMEDPT_SHAPE (weight->shape[0], src->shape[3], weight->shape[2],
              weight->shape[3]),
          error) ||
      !umedpt_check_range (op, "channels", src->shape[3], 1, G_MAXINT64,
          error) ||
      !umedpt_check_range (op, "stride", stride, 1, 1 << 16, error) ||
      !umedpt_check_range (op, "padding", padding, 0, 1 << 16, error))
    return FALSE;
  return !bias ||
      umedpt_check_param (op, "bias", bias, UMEDPT_SHAPE (weight->shape[0]),
          error);
}

/* src [N, H, W, C], weight [O, C, kh, kw] -> [N, OH, OW, O] */
UmedptTensor *
umedpt_op_conv2d (UmedptContext *context, UmedptTensor *src,
    UmedptTensor *weight, UmedptTensor *bias, gint64 stride, gint64 padding,
    UmedptActivation activation, UmedptDtype dst_dtype, GError **error)
{
  g_autoptr (UmedptTensor) dst = NULL;
  gint64 start, oh, ow;
  gboolean ok;

  if (!check_conv2d (src, weight, bias, stride, padding, error) ||
      !check_float ("conv2d", dst_dtype, error))
    return NULL;
  oh = conv_size (src->shape[1], weight->shape[2], stride, padding);
  ow = conv_size (src->shape[2], weight->shape[3], stride, padding);
  if (oh < 0 || ow < 0) {
    g_autofree char *map = umedpt_tensor_describe (src);
    g_autofree char *kernel = umedpt_tensor_describe (weight);
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE,
        "conv2d: the kernel, %s, does not fit into the map, %s, with a padding "
        "of %" G_GINT64_FORMAT ".",
        kernel, map, padding);
    return NULL;
  }
  dst = umedpt_tensor_new (dst_dtype,
      UMEDPT_SHAPE (src->shape[0], oh, ow, weight->shape[0]), error);
  if (!dst)
    return NULL;
  start = umedpt_op_begin (context, UMEDPT_OP_conv2d, src, dst);
  ok = umedpt_dispatch_conv2d (context->backend,
      &(UmedptConv2dArgs){ .src = src,
          .weight = weight,
          .bias = bias,
          .dst = dst,
          .stride = stride,
          .padding = padding,
          .activation = activation,
          .compute = context->compute },
      error);
  return umedpt_op_end (context, UMEDPT_OP_conv2d, start, ok, &dst, error);
}
