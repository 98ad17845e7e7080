/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Backward passes of ops on elements: convert, reshape, activate, add,
 * multiply.
 *
 * One rule for all record-*.c: a tensor that has been given to
 * umedpt_tape_give_grad() belongs to the gradient that it has become, so an op
 * does that last, and for one input only.
 */
#include "autograd/ops-private.h"

/* The gradient is converted back; images of bytes have none. */
static gboolean
convert_backward (UmedptContext *context, gconstpointer data,
    UmedptTensor *diff_dst, GError **error)
{
  const UmedptConvertArgs *f = data;
  g_autoptr (UmedptTensor) diff = NULL;

  if (!f->src->requires_grad)
    return TRUE;
  diff = umedpt_op_convert (context, diff_dst, f->src->dtype, error);
  return diff && umedpt_tape_give_grad (context, f->src, diff, error);
}

void
umedpt_record_convert (UmedptContext *context, const UmedptConvertArgs *args)
{
  if (args->src->dtype != UMEDPT_DTYPE_U8)
    umedpt_tape_record (context, args->dst, convert_backward, args,
        sizeof *args, UMEDPT_TENSORS (args->src));
}

/* @data: the tensor that was reshaped. */
static gboolean
reshape_backward (UmedptContext *context, gconstpointer data,
    UmedptTensor *diff_dst, GError **error)
{
  UmedptTensor *src = *(UmedptTensor *const *) data;
  g_autoptr (UmedptTensor) diff =
      umedpt_tensor_reshape (diff_dst, src->n_dims, src->shape, error);

  return diff && umedpt_tape_give_grad (context, src, diff, error);
}

void
umedpt_record_reshape (UmedptContext *context, UmedptTensor *src,
    UmedptTensor *dst)
{
  umedpt_tape_record (context, dst, reshape_backward, &src, sizeof src,
      UMEDPT_TENSORS (src));
}

static gboolean
activate_backward (UmedptContext *context, gconstpointer data,
    UmedptTensor *diff_dst, GError **error)
{
  const UmedptActivateArgs *f = data;
  UmedptActivateBackwardArgs args = { .forward = *f, .diff_dst = diff_dst };

  return umedpt_tape_activation_grad (f->src, &args.diff_src, &args.accumulate,
             error) &&
      UMEDPT_RUN (context, activate_backward, &args, error, diff_dst,
          args.diff_src);
}

void
umedpt_record_activate (UmedptContext *context, const UmedptActivateArgs *args)
{
  umedpt_tape_record (context, args->dst, activate_backward, args, sizeof *args,
      UMEDPT_TENSORS (args->src));
}

/* A copy, made by the backend: x + 0 would lose the sign of a zero. */
static UmedptTensor *
copy_of (UmedptContext *context, UmedptTensor *src, GError **error)
{
  g_autoptr (UmedptTensor) copy = umedpt_new_like (src, src->dtype, error);
  UmedptActivateArgs args = {
    .src = src, .dst = copy, .activation = UMEDPT_ACTIVATION_NONE
  };

  if (!copy || !UMEDPT_RUN (context, activate, &args, error, src, copy))
    return NULL;
  return g_steal_pointer (&copy);
}

/* Both inputs get diff_dst. It can become the gradient of one; the other is
 * added to, or gets a copy. */
static gboolean
add_backward (UmedptContext *context, gconstpointer data,
    UmedptTensor *diff_dst, GError **error)
{
  const UmedptAddArgs *f = data;
  g_autoptr (UmedptTensor) copy = NULL;

  if (f->b->requires_grad && f->b->grad) {
    if (!umedpt_tape_give_grad (context, f->b, diff_dst, error))
      return FALSE;
  } else if (f->b->requires_grad && f->a->requires_grad) {
    copy = copy_of (context, diff_dst, error);
    if (!copy || !umedpt_tape_give_grad (context, f->b, copy, error))
      return FALSE;
  } else if (f->b->requires_grad) {
    return umedpt_tape_give_grad (context, f->b, diff_dst, error);
  }
  return umedpt_tape_give_grad (context, f->a, diff_dst, error);
}

void
umedpt_record_add (UmedptContext *context, const UmedptAddArgs *args)
{
  umedpt_tape_record (context, args->dst, add_backward, args, sizeof *args,
      UMEDPT_TENSORS (args->a, args->b));
}

/* A square has one input: a and b are then done one after the other. */
static gboolean
multiply_backward (UmedptContext *context, gconstpointer data,
    UmedptTensor *diff_dst, GError **error)
{
  const UmedptMultiplyArgs *f = data;
  UmedptMultiplyBackwardArgs args = { .forward = *f, .diff_dst = diff_dst };

  if (!umedpt_tape_activation_grad (f->a, &args.diff_a, &args.accumulate_a,
          error))
    return FALSE;
  if (f->a == f->b) {
    if (!UMEDPT_RUN (context, multiply_backward, &args, error, diff_dst,
            args.diff_a))
      return FALSE;
    args.diff_a = NULL;
  }
  if (f->b->n_elements == 1) {
    if (!umedpt_tape_parameter_grad (f->b, &args.diff_b, error))
      return FALSE;
  } else if (!umedpt_tape_activation_grad (f->b, &args.diff_b,
                 &args.accumulate_b, error)) {
    return FALSE;
  }
  return UMEDPT_RUN (context, multiply_backward, &args, error, diff_dst,
      args.diff_a, args.diff_b);
}

void
umedpt_record_multiply (UmedptContext *context, const UmedptMultiplyArgs *args)
{
  umedpt_tape_record (context, args->dst, multiply_backward, args, sizeof *args,
      UMEDPT_TENSORS (args->a, args->b));
}
