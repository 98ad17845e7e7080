/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Checked ops of window attention: the op itself and the values that are
 * derived from its parameters once per step. Formulas: backend/backend.h.
 */
#include "autograd/ops-private.h"

#include "base/error.h"

/* Windows are 8 or 16 in practice; the bound keeps window^4 in range. */
#define MAX_WINDOW 128

/* w1 [hidden, 2], b1 [hidden], w2 [heads, hidden] -> [heads, L, L] */
UmedptTensor *
umedpt_op_position_bias (UmedptContext *context, UmedptTensor *w1,
    UmedptTensor *b1, UmedptTensor *w2, gint64 window, GError **error)
{
  const char *op = "position_bias";
  g_autoptr (UmedptTensor) dst = NULL;
  UmedptPositionBiasArgs args;
  gint64 hidden, l;

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
  dst = umedpt_tensor_new_in (w2->memory, UMEDPT_DTYPE_F32,
      UMEDPT_SHAPE (w2->shape[0], l, l), error);
  if (!dst)
    return NULL;
  args = (UmedptPositionBiasArgs){
    .w1 = w1, .b1 = b1, .w2 = w2, .dst = dst, .window = window
  };
  if (!UMEDPT_RUN (context, position_bias, &args, error, w1, dst))
    return NULL;
  if (umedpt_tape_wants (context, UMEDPT_TENSORS (w1, b1, w2)))
    umedpt_record_position_bias (context, &args);
  return g_steal_pointer (&dst);
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
  UmedptWindowAttentionArgs args;

  if (!check_attention (qkv, qkv_bias, scale, position_bias, heads, window,
          shift, error))
    return NULL;
  dst = umedpt_tensor_new_in (qkv->memory, qkv->dtype,
      UMEDPT_SHAPE (qkv->shape[0], qkv->shape[1], qkv->shape[2],
          qkv->shape[3] / 3),
      error);
  if (!dst)
    return NULL;
  args = (UmedptWindowAttentionArgs){ .qkv = qkv,
    .qkv_bias = qkv_bias,
    .scale = scale,
    .position_bias = position_bias,
    .dst = dst,
    .heads = heads,
    .window = window,
    .shift = shift };
  if (!UMEDPT_RUN (context, window_attention, &args, error, qkv, dst))
    return NULL;
  if (umedpt_tape_wants (context,
          UMEDPT_TENSORS (qkv, qkv_bias, scale, position_bias)))
    umedpt_record_window_attention (context, &args);
  return g_steal_pointer (&dst);
}

/* src [heads, 1, 1] -> [heads] */
UmedptTensor *
umedpt_op_logit_scale (UmedptContext *context, UmedptTensor *src,
    GError **error)
{
  const char *op = "logit_scale";
  g_autoptr (UmedptTensor) dst = NULL;
  UmedptLogitScaleArgs args;

  if (!umedpt_check_input (op, "src", src, UMEDPT_IS_F32, 3, error) ||
      !umedpt_check_shape (op, "src", src, UMEDPT_SHAPE (src->shape[0], 1, 1),
          error))
    return NULL;
  dst = umedpt_tensor_new_in (src->memory, UMEDPT_DTYPE_F32,
      UMEDPT_SHAPE (src->shape[0]), error);
  if (!dst)
    return NULL;
  args = (UmedptLogitScaleArgs){ .src = src, .dst = dst };
  if (!UMEDPT_RUN (context, logit_scale, &args, error, src, dst))
    return NULL;
  if (umedpt_tape_wants (context, UMEDPT_TENSORS (src)))
    umedpt_record_logit_scale (context, &args);
  return g_steal_pointer (&dst);
}

/* src [3C] -> [3C] */
UmedptTensor *
umedpt_op_mask_key_bias (UmedptContext *context, UmedptTensor *src,
    GError **error)
{
  const char *op = "mask_key_bias";
  g_autoptr (UmedptTensor) dst = NULL;
  UmedptMaskKeyBiasArgs args;

  if (!umedpt_check_input (op, "src", src, UMEDPT_IS_F32, 1, error) ||
      !umedpt_check_shape (op, "src", src, UMEDPT_SHAPE (src->shape[0] / 3 * 3),
          error))
    return NULL;
  dst = umedpt_new_like (src, UMEDPT_DTYPE_F32, error);
  if (!dst)
    return NULL;
  args = (UmedptMaskKeyBiasArgs){ .src = src, .dst = dst };
  if (!UMEDPT_RUN (context, mask_key_bias, &args, error, src, dst))
    return NULL;
  if (umedpt_tape_wants (context, UMEDPT_TENSORS (src)))
    umedpt_record_mask_key_bias (context, &args);
  return g_steal_pointer (&dst);
}
