/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Checked ops on elements, norms, pooling and attention. Each is the same
 * three steps: check, make dst, dispatch. Formulas: backend/backend.h. The
 * ops around matrix products are in ops-linear.c.
 */
#include "autograd/ops-private.h"

#include "base/error.h"

/* Windows are 8 or 16 in practice; the bound keeps window^4 in range. */
#define MAX_WINDOW 128

static UmedptTensor *
new_like (const UmedptTensor *src, UmedptDtype dtype, GError **error)
{
  return umedpt_tensor_new (dtype, src->n_dims, src->shape, error);
}

/* f32 <-> bf16, u8 -> f32 in [0, 1]. A tensor that has the type already is
 * returned with one more reference. */
UmedptTensor *
umedpt_op_convert (UmedptContext *context, UmedptTensor *src, UmedptDtype dtype,
    GError **error)
{
  g_autoptr (UmedptTensor) dst = NULL;
  gint64 start;
  gboolean ok;

  g_return_val_if_fail (src != NULL, NULL);
  if (src->dtype == dtype)
    return umedpt_tensor_ref (src);
  if (!(src->dtype == UMEDPT_DTYPE_F32 && dtype == UMEDPT_DTYPE_BF16) &&
      !(src->dtype == UMEDPT_DTYPE_BF16 && dtype == UMEDPT_DTYPE_F32) &&
      !(src->dtype == UMEDPT_DTYPE_U8 && dtype == UMEDPT_DTYPE_F32)) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DTYPE,
        "convert: from %s to %s is not offered; there are f32 to bf16, bf16 to "
        "f32 and u8 to f32.",
        umedpt_dtype_name (src->dtype), umedpt_dtype_name (dtype));
    return NULL;
  }
  dst = new_like (src, dtype, error);
  if (!dst)
    return NULL;
  start = umedpt_op_begin (context, UMEDPT_OP_convert, src, dst);
  ok = umedpt_dispatch_convert (context->backend,
      &(UmedptConvertArgs){ .src = src, .dst = dst }, error);
  return umedpt_op_end (context, UMEDPT_OP_convert, start, ok, &dst, error);
}

UmedptTensor *
umedpt_op_activate (UmedptContext *context, UmedptTensor *src,
    UmedptActivation activation, GError **error)
{
  g_autoptr (UmedptTensor) dst = NULL;
  gint64 start;
  gboolean ok;

  if (!umedpt_check_input ("activate", "src", src, UMEDPT_IS_FLOAT, 0, error))
    return NULL;
  dst = new_like (src, src->dtype, error);
  if (!dst)
    return NULL;
  start = umedpt_op_begin (context, UMEDPT_OP_activate, src, dst);
  ok = umedpt_dispatch_activate (context->backend,
      &(UmedptActivateArgs){ .src = src, .dst = dst, .activation = activation },
      error);
  return umedpt_op_end (context, UMEDPT_OP_activate, start, ok, &dst, error);
}

/* src [..., C] */
UmedptTensor *
umedpt_op_layer_norm (UmedptContext *context, UmedptTensor *src,
    UmedptTensor *gamma, UmedptTensor *beta, float epsilon, GError **error)
{
  const char *op = "layer_norm";
  g_autoptr (UmedptTensor) dst = NULL;
  gint64 start;
  gboolean ok;

  if (!umedpt_check_input (op, "src", src, UMEDPT_IS_F32, 0, error) ||
      !umedpt_check_affine (op, gamma, beta, src->shape[src->n_dims - 1],
          error))
    return NULL;
  dst = new_like (src, UMEDPT_DTYPE_F32, error);
  if (!dst)
    return NULL;
  start = umedpt_op_begin (context, UMEDPT_OP_layer_norm, src, dst);
  ok = umedpt_dispatch_layer_norm (context->backend,
      &(UmedptLayerNormArgs){ .src = src,
          .gamma = gamma,
          .beta = beta,
          .dst = dst,
          .epsilon = epsilon },
      error);
  return umedpt_op_end (context, UMEDPT_OP_layer_norm, start, ok, &dst, error);
}

/* src [N, H, W, C] */
UmedptTensor *
umedpt_op_group_norm (UmedptContext *context, UmedptTensor *src,
    UmedptTensor *gamma, UmedptTensor *beta, gint64 groups, float epsilon,
    GError **error)
{
  const char *op = "group_norm";
  g_autoptr (UmedptTensor) dst = NULL;
  gint64 start;
  gboolean ok;

  if (!umedpt_check_input (op, "src", src, UMEDPT_IS_F32, 4, error) ||
      !umedpt_check_affine (op, gamma, beta, src->shape[3], error))
    return NULL;
  if (groups < 1 || src->shape[3] % groups != 0) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE,
        "group_norm: %" G_GINT64_FORMAT
        " channels cannot be parted into %" G_GINT64_FORMAT " equal groups.",
        src->shape[3], groups);
    return NULL;
  }
  dst = new_like (src, UMEDPT_DTYPE_F32, error);
  if (!dst)
    return NULL;
  start = umedpt_op_begin (context, UMEDPT_OP_group_norm, src, dst);
  ok = umedpt_dispatch_group_norm (context->backend,
      &(UmedptGroupNormArgs){ .src = src,
          .gamma = gamma,
          .beta = beta,
          .dst = dst,
          .groups = groups,
          .epsilon = epsilon },
      error);
  return umedpt_op_end (context, UMEDPT_OP_group_norm, start, ok, &dst, error);
}

/* src [N, H, W, C] -> [N, C] */
UmedptTensor *
umedpt_op_global_pool (UmedptContext *context, UmedptTensor *src,
    UmedptPooling pooling, GError **error)
{
  const char *op = "global_pool";
  g_autoptr (UmedptTensor) dst = NULL;
  gint64 start;
  gboolean ok;

  if (!umedpt_check_input (op, "src", src, UMEDPT_IS_F32, 4, error) ||
      !umedpt_check_range (op, "height", src->shape[1], 1, G_MAXINT64, error) ||
      !umedpt_check_range (op, "width", src->shape[2], 1, G_MAXINT64, error))
    return NULL;
  dst = umedpt_tensor_new (UMEDPT_DTYPE_F32,
      UMEDPT_SHAPE (src->shape[0], src->shape[3]), error);
  if (!dst)
    return NULL;
  start = umedpt_op_begin (context, UMEDPT_OP_global_pool, src, dst);
  ok = umedpt_dispatch_global_pool (context->backend,
      &(UmedptGlobalPoolArgs){ .src = src, .dst = dst, .pooling = pooling },
      error);
  return umedpt_op_end (context, UMEDPT_OP_global_pool, start, ok, &dst, error);
}

/* w1 [hidden, 2], b1 [hidden], w2 [heads, hidden] -> [heads, L, L] */
UmedptTensor *
umedpt_op_position_bias (UmedptContext *context, UmedptTensor *w1,
    UmedptTensor *b1, UmedptTensor *w2, gint64 window, GError **error)
{
  const char *op = "position_bias";
  g_autoptr (UmedptTensor) dst = NULL;
  gint64 start, hidden, l;
  gboolean ok;

  if (!umedpt_check_range (op, "window", window, 1, MAX_WINDOW, error) ||
      !umedpt_check_input (op, "w1", w1, UMEDPT_IS_F32, 2, error) ||
      !umedpt_check_input (op, "w2", w2, UMEDPT_IS_F32, 2, error))
    return NULL;
  hidden = w1->shape[0];
  l = window * window;
  if (!umedpt_check_shape (op, "w1", w1, UMEDPT_SHAPE (hidden, 2), error) ||
      !umedpt_check_param (op, "b1", b1, UMEDPT_SHAPE (hidden), error) ||
      !umedpt_check_shape (op, "w2", w2, UMEDPT_SHAPE (w2->shape[0], hidden),
          error))
    return NULL;
  dst = umedpt_tensor_new (UMEDPT_DTYPE_F32, UMEDPT_SHAPE (w2->shape[0], l, l),
      error);
  if (!dst)
    return NULL;
  start = umedpt_op_begin (context, UMEDPT_OP_position_bias, w1, dst);
  ok = umedpt_dispatch_position_bias (context->backend,
      &(UmedptPositionBiasArgs){
          .w1 = w1, .b1 = b1, .w2 = w2, .dst = dst, .window = window },
      error);
  return umedpt_op_end (context, UMEDPT_OP_position_bias, start, ok, &dst,
      error);
}

static gboolean
check_attention (const UmedptTensor *qkv, const UmedptTensor *qkv_bias,
    const UmedptTensor *scale, const UmedptTensor *position_bias, gint64 heads,
    gint64 window, gint64 shift, GError **error)
{
  const char *op = "window_attention";
  gint64 l;

  if (!umedpt_check_input (op, "qkv", qkv, UMEDPT_IS_FLOAT, 4, error) ||
      !umedpt_check_range (op, "window", window, 1, MAX_WINDOW, error) ||
      !umedpt_check_range (op, "shift", shift, 0, window - 1, error) ||
      !umedpt_check_range (op, "heads", heads, 1, G_MAXINT, error))
    return FALSE;
  if (qkv->shape[3] % (3 * heads) != 0) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE,
        "%s: %" G_GINT64_FORMAT
        " channels cannot be q, k and v of %" G_GINT64_FORMAT " equal heads.",
        op, qkv->shape[3], heads);
    return FALSE;
  }
  l = window * window;
  return umedpt_check_param (op, "qkv_bias", qkv_bias,
             UMEDPT_SHAPE (qkv->shape[3]), error) &&
      umedpt_check_param (op, "scale", scale, UMEDPT_SHAPE (heads), error) &&
      umedpt_check_param (op, "position_bias", position_bias,
          UMEDPT_SHAPE (heads, l, l), error);
}

/* qkv [N, H, W, 3C] -> [N, H, W, C] */
UmedptTensor *
umedpt_op_window_attention (UmedptContext *context, UmedptTensor *qkv,
    UmedptTensor *qkv_bias, UmedptTensor *scale, UmedptTensor *position_bias,
    gint64 heads, gint64 window, gint64 shift, GError **error)
{
  g_autoptr (UmedptTensor) dst = NULL;
  gint64 start;
  gboolean ok;

  if (!check_attention (qkv, qkv_bias, scale, position_bias, heads, window,
          shift, error))
    return NULL;
  dst = umedpt_tensor_new (qkv->dtype,
      UMEDPT_SHAPE (qkv->shape[0], qkv->shape[1], qkv->shape[2],
          qkv->shape[3] / 3),
      error);
  if (!dst)
    return NULL;
  start = umedpt_op_begin (context, UMEDPT_OP_window_attention, qkv, dst);
  ok = umedpt_dispatch_window_attention (context->backend,
      &(UmedptWindowAttentionArgs){ .qkv = qkv,
          .qkv_bias = qkv_bias,
          .scale = scale,
          .position_bias = position_bias,
          .dst = dst,
          .heads = heads,
          .window = window,
          .shift = shift },
      error);
  return umedpt_op_end (context, UMEDPT_OP_window_attention, start, ok, &dst,
      error);
}
