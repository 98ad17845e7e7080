/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Checked ops on single elements. Each is the same steps: check, make dst,
 * dispatch, and record itself where a gradient is wanted. Formulas:
 * backend/backend.h.
 */
#include "autograd/ops-private.h"

#include "base/error.h"

/* f32 <-> bf16, u8 -> f32 in [0, 1]. A tensor that has the type already is
 * returned with one more reference. */
UmedptTensor *
umedpt_op_convert (UmedptContext *context, UmedptTensor *src, UmedptDtype dtype,
    GError **error)
{
  g_autoptr (UmedptTensor) dst = NULL;
  UmedptConvertArgs args;

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
  dst = umedpt_new_like (src, dtype, error);
  if (!dst)
    return NULL;
  args = (UmedptConvertArgs){ .src = src, .dst = dst };
  if (!UMEDPT_RUN (context, convert, &args, error, src, dst))
    return NULL;
  if (umedpt_tape_wants (context, UMEDPT_TENSORS (src)))
    umedpt_record_convert (context, &args);
  return g_steal_pointer (&dst);
}

UmedptTensor *
umedpt_op_activate (UmedptContext *context, UmedptTensor *src,
    UmedptActivation activation, GError **error)
{
  g_autoptr (UmedptTensor) dst = NULL;
  UmedptActivateArgs args;

  if (!umedpt_check_input ("activate", "src", src, UMEDPT_IS_FLOAT, 0, error))
    return NULL;
  dst = umedpt_new_like (src, src->dtype, error);
  if (!dst)
    return NULL;
  args =
      (UmedptActivateArgs){ .src = src, .dst = dst, .activation = activation };
  if (!UMEDPT_RUN (context, activate, &args, error, src, dst))
    return NULL;
  if (umedpt_tape_wants (context, UMEDPT_TENSORS (src)))
    umedpt_record_activate (context, &args);
  return g_steal_pointer (&dst);
}

/* A view with another shape of as many elements. */
UmedptTensor *
umedpt_op_reshape (UmedptContext *context, UmedptTensor *src, guint n_dims,
    const gint64 *shape, GError **error)
{
  UmedptTensor *dst;

  g_return_val_if_fail (src != NULL, NULL);
  dst = umedpt_tensor_reshape (src, n_dims, shape, error);
  if (dst && umedpt_tape_wants (context, UMEDPT_TENSORS (src)))
    umedpt_record_reshape (context, src, dst);
  return dst;
}

/* f32, and b of a's shape or of one element. */
static gboolean
check_pair (const char *op, const UmedptTensor *a, const UmedptTensor *b,
    GError **error)
{
  if (!umedpt_check_input (op, "a", a, UMEDPT_IS_F32, 0, error))
    return FALSE;
  if (b && b->n_elements == 1)
    return umedpt_check_param (op, "b", b, b->n_dims, b->shape, error);
  return umedpt_check_same (op, "b", b, a, error);
}

UmedptTensor *
umedpt_op_add (UmedptContext *context, UmedptTensor *a, UmedptTensor *b,
    GError **error)
{
  g_autoptr (UmedptTensor) dst = NULL;
  UmedptAddArgs args;

  if (!check_pair ("add", a, b, error))
    return NULL;
  if (umedpt_tape_wants (context, UMEDPT_TENSORS (b)) &&
      !umedpt_tensor_same_shape (a, b)) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
        "add: there is no gradient of a b that stands for all elements; add "
        "tensors of the same shape.");
    return NULL;
  }
  dst = umedpt_new_like (a, UMEDPT_DTYPE_F32, error);
  if (!dst)
    return NULL;
  args = (UmedptAddArgs){ .a = a, .b = b, .dst = dst };
  if (!UMEDPT_RUN (context, add, &args, error, a, dst))
    return NULL;
  if (umedpt_tape_wants (context, UMEDPT_TENSORS (a, b)))
    umedpt_record_add (context, &args);
  return g_steal_pointer (&dst);
}

/* Where b has one element it is a parameter. */
UmedptTensor *
umedpt_op_multiply (UmedptContext *context, UmedptTensor *a, UmedptTensor *b,
    GError **error)
{
  g_autoptr (UmedptTensor) dst = NULL;
  UmedptMultiplyArgs args;

  if (!check_pair ("multiply", a, b, error))
    return NULL;
  dst = umedpt_new_like (a, UMEDPT_DTYPE_F32, error);
  if (!dst)
    return NULL;
  args = (UmedptMultiplyArgs){ .a = a, .b = b, .dst = dst };
  if (!UMEDPT_RUN (context, multiply, &args, error, a, dst))
    return NULL;
  if (umedpt_tape_wants (context, UMEDPT_TENSORS (a, b)))
    umedpt_record_multiply (context, &args);
  return g_steal_pointer (&dst);
}
