/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The tape as a plain array of nodes. A node keeps the op's arguments by
 * value and the tensors they refer to by reference. The output is referred to
 * as well: its gradient hangs on it, and views of its memory may live on in
 * later nodes.
 */
#include "autograd/tape.h"

#include <string.h>

#include "autograd/ops-private.h"
#include "base/error.h"
#include "tensor/storage.h"

typedef struct
{
  UmedptBackwardFunc backward;
  UmedptTensor *dst;
  gpointer args;
  GDestroyNotify destroy; /* (nullable) of args; NULL: g_free */
  guint n_held;
  UmedptTensor *held[UMEDPT_TAPE_MAX_HELD];
} Node;

struct _UmedptTape
{
  GPtrArray *nodes;
};

static void
node_free (gpointer data)
{
  Node *node = data;

  for (guint i = 0; i < node->n_held; i++)
    umedpt_tensor_unref (node->held[i]);
  umedpt_tensor_unref (node->dst);
  if (node->destroy)
    node->destroy (node->args);
  else
    g_free (node->args);
  g_free (node);
}

UmedptTape *
umedpt_tape_new (void)
{
  UmedptTape *self = g_new0 (UmedptTape, 1);

  self->nodes = g_ptr_array_new_with_free_func (node_free);
  return self;
}

/* Drops what is recorded, and gradients of activations with it. */
void
umedpt_tape_free (UmedptTape *self)
{
  if (!self)
    return;
  g_ptr_array_unref (self->nodes);
  g_free (self);
}

guint
umedpt_tape_get_n_recorded (const UmedptTape *self)
{
  return self->nodes->len;
}

void
umedpt_context_set_tape (UmedptContext *context, UmedptTape *tape)
{
  g_return_if_fail (context != NULL);
  context->tape = tape;
}

UmedptTape *
umedpt_context_get_tape (const UmedptContext *context)
{
  return context->tape;
}

gboolean
umedpt_tape_wants (const UmedptContext *context, guint n,
    UmedptTensor *const *inputs)
{
  gboolean wanted = FALSE;

  for (guint i = 0; i < n && (context->tape || context->probe); i++)
    wanted |= inputs[i] && inputs[i]->requires_grad;
  if (wanted && context->probe)
    *context->probe = TRUE;
  return wanted && context->tape;
}

static Node *
add_node (UmedptTape *tape, UmedptTensor *dst, UmedptBackwardFunc backward,
    guint n_held, UmedptTensor *const *held)
{
  Node *node = g_new0 (Node, 1);

  g_assert (n_held <= UMEDPT_TAPE_MAX_HELD);
  node->backward = backward;
  node->dst = umedpt_tensor_ref (dst);
  for (guint i = 0; i < n_held; i++)
    if (held[i])
      node->held[node->n_held++] = umedpt_tensor_ref (held[i]);
  dst->requires_grad = TRUE;
  g_ptr_array_add (tape->nodes, node);
  return node;
}

void
umedpt_tape_record (UmedptContext *context, UmedptTensor *dst,
    UmedptBackwardFunc backward, gconstpointer args, gsize size, guint n_held,
    UmedptTensor *const *held)
{
  Node *node = add_node (context->tape, dst, backward, n_held, held);

  node->args = g_memdup2 (args, size);
}

/* sum += diff, of the same type and shape, in host memory. */
static void
add_on_host (UmedptTensor *sum, const UmedptTensor *diff)
{
  const gsize n = sum->n_elements;
  guint16 *half = UMEDPT_BF16 (sum);

  if (sum->dtype == UMEDPT_DTYPE_F32)
    for (gsize i = 0; i < n; i++)
      UMEDPT_F32 (sum)[i] += UMEDPT_F32 (diff)[i];
  else
    for (gsize i = 0; i < n; i++)
      half[i] = umedpt_f32_to_bf16 (umedpt_bf16_to_f32 (half[i]) +
          umedpt_bf16_to_f32 (UMEDPT_BF16 (diff)[i]));
}

/* The same in any memory. It is rare that an output is seeded twice, so there
 * is no op for it. */
static gboolean
add_into (UmedptTensor *sum, UmedptTensor *diff, GError **error)
{
  g_autoptr (UmedptTensor) host_sum = umedpt_tensor_to (sum, NULL, error);
  g_autoptr (UmedptTensor) host_diff =
      host_sum ? umedpt_tensor_to (diff, NULL, error) : NULL;

  if (!host_diff)
    return FALSE;
  add_on_host (host_sum, host_diff);
  return host_sum == sum || umedpt_tensor_copy (sum, host_sum, error);
}

static gboolean
check_diff (const UmedptTensor *tensor, const UmedptTensor *diff,
    GError **error)
{
  g_autofree char *is = NULL;
  g_autofree char *expected = NULL;

  if (diff->dtype == tensor->dtype && umedpt_tensor_same_shape (tensor, diff))
    return TRUE;
  is = umedpt_tensor_describe (diff);
  expected = umedpt_tensor_describe (tensor);
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE,
      "The gradient of a tensor %s is %s; it must have its type and shape.",
      expected, is);
  return FALSE;
}

gboolean
umedpt_tape_seed (UmedptTensor *tensor, UmedptTensor *diff, GError **error)
{
  if (!check_diff (tensor, diff, error))
    return FALSE;
  if (tensor->grad)
    return add_into (tensor->grad, diff, error);
  tensor->grad = umedpt_tensor_ref (diff);
  return TRUE;
}

gboolean
umedpt_tape_backward (UmedptTape *self, UmedptContext *context, GError **error)
{
  UmedptTape *recording = context->tape;
  gboolean ok = TRUE;

  context->tape = NULL; /* gradients of gradients are not wanted */
  while (ok && self->nodes->len) {
    Node *node = g_ptr_array_steal_index (self->nodes, self->nodes->len - 1);
    g_autoptr (UmedptTensor) diff = g_steal_pointer (&node->dst->grad);

    if (diff)
      ok = node->backward (context, node->args, diff, error);
    node_free (node);
  }
  context->tape = recording;
  return ok;
}

gboolean
umedpt_tape_activation_grad (UmedptTensor *tensor, UmedptTensor **diff,
    gboolean *accumulate, GError **error)
{
  *diff = NULL;
  *accumulate = FALSE;
  if (!tensor || !tensor->requires_grad)
    return TRUE;
  *accumulate = tensor->grad != NULL;
  if (!tensor->grad)
    tensor->grad = umedpt_tensor_new_in (tensor->memory, tensor->dtype,
        tensor->n_dims, tensor->shape, error);
  *diff = tensor->grad;
  return *diff != NULL;
}

gboolean
umedpt_tape_parameter_grad (UmedptTensor *tensor, UmedptTensor **diff,
    GError **error)
{
  gboolean counted;

  *diff = NULL;
  if (!tensor || !tensor->requires_grad)
    return TRUE;
  if (!tensor->grad) { /* it stays, so it is no activation */
    counted = umedpt_storage_set_counted (FALSE);
    tensor->grad = umedpt_tensor_new_zeros_in (tensor->memory, UMEDPT_DTYPE_F32,
        tensor->n_dims, tensor->shape, error);
    umedpt_storage_set_counted (counted);
  }
  *diff = tensor->grad;
  return *diff != NULL;
}

/* sum += diff in bf16, by way of f32, so that backends need no op for it. */
static gboolean
add_half (UmedptContext *context, UmedptTensor *sum, UmedptTensor *diff,
    GError **error)
{
  g_autoptr (UmedptTensor) a =
      umedpt_op_convert (context, sum, UMEDPT_DTYPE_F32, error);
  g_autoptr (UmedptTensor) b =
      a ? umedpt_op_convert (context, diff, UMEDPT_DTYPE_F32, error) : NULL;
  UmedptAddArgs add = { .a = a, .b = b, .dst = a };
  UmedptConvertArgs back = { .src = a, .dst = sum };

  return b && UMEDPT_RUN (context, add, &add, error, b, a) &&
      UMEDPT_RUN (context, convert, &back, error, a, sum);
}

gboolean
umedpt_tape_give_grad (UmedptContext *context, UmedptTensor *tensor,
    UmedptTensor *diff, GError **error)
{
  UmedptAddArgs args;

  if (!tensor || !tensor->requires_grad)
    return TRUE;
  if (!check_diff (tensor, diff, error))
    return FALSE;
  if (!tensor->grad) {
    tensor->grad = umedpt_tensor_ref (diff);
    return TRUE;
  }
  if (tensor->dtype != UMEDPT_DTYPE_F32)
    return add_half (context, tensor->grad, diff, error);
  args = (UmedptAddArgs){ .a = tensor->grad, .b = diff, .dst = tensor->grad };
  return UMEDPT_RUN (context, add, &args, error, diff, tensor->grad);
}

typedef struct
{
  UmedptForwardFunc forward;
  gpointer data;
  GDestroyNotify destroy;
  UmedptTensor *x;
} Checkpoint;

static void
checkpoint_free (gpointer data)
{
  Checkpoint *self = data;

  if (self->destroy)
    self->destroy (self->data);
  g_free (self);
}

/* Runs the forward pass again on a view of x, with a tape of its own. */
static gboolean
checkpoint_backward (UmedptContext *context, gconstpointer args,
    UmedptTensor *diff_dst, GError **error)
{
  const Checkpoint *self = args;
  g_autoptr (UmedptTape) tape = umedpt_tape_new ();
  g_autoptr (UmedptTensor) x = NULL;
  g_autoptr (UmedptTensor) y = NULL;

  x = umedpt_tensor_reshape (self->x, self->x->n_dims, self->x->shape, error);
  if (!x)
    return FALSE;
  x->requires_grad = self->x->requires_grad;
  context->tape = tape;
  y = self->forward (context, self->data, x, error);
  context->tape = NULL;
  if (!y || !umedpt_tape_seed (y, diff_dst, error) ||
      !umedpt_tape_backward (tape, context, error))
    return FALSE;
  return !x->grad || umedpt_tape_give_grad (context, self->x, x->grad, error);
}

UmedptTensor *
umedpt_tape_checkpoint (UmedptContext *context, UmedptForwardFunc forward,
    gpointer data, GDestroyNotify destroy, UmedptTensor *x, GError **error)
{
  UmedptTape *tape = context->tape;
  gboolean *outer = context->probe, wanted = FALSE;
  Checkpoint *args = g_new (Checkpoint, 1);
  UmedptTensor *y;
  Node *node;

  *args = (Checkpoint){ forward, data, destroy, x };
  context->tape = NULL;
  context->probe = &wanted;
  y = forward (context, data, x, error);
  context->tape = tape;
  context->probe = outer;
  if (outer)
    *outer |= wanted;
  if (!y || !tape || !wanted) { /* all of it is frozen */
    checkpoint_free (args);
    return y;
  }
  node = add_node (tape, y, checkpoint_backward, 1, &x);
  node->args = args;
  node->destroy = checkpoint_free;
  return y;
}
