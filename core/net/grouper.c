/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Multiple-instance learning (Ilse et al. 2018), as UMedPT does it. With x the
 * vectors [N, D] of the images of a case:
 *
 *   weighted    sum of sigmoid (w x + b) x, over the number of images
 *   attention   a = softmax over the case of W2 tanh (W1 x);
 *               M (sum of a x)                      (equation 8)
 *   gated       the same with W (tanh (V x) * sigmoid (U x))   (equation 9)
 *
 * W1, V, U: D -> D / 3; one attention head. Attention is not less than 1e-5,
 * so that no image is left without a gradient.
 */
#include "net/grouper.h"

#include "base/error.h"

struct _UmedptGrouperBlock
{
  UmedptGrouper kind;
  UmedptLinear weight; /* the last layer: one number per image */
  UmedptLinear v, u; /* attention: v alone */
  UmedptLinear mapper; /* not for weighted */
};

static void
declare (UmedptLinear *linear, UmedptParameters *parameters, const char *prefix,
    const char *name, gint64 inputs, gint64 outputs)
{
  g_autofree char *path = g_strconcat (prefix, "reducer.", name, ".", NULL);

  umedpt_linear_declare (linear, parameters, path, inputs, outputs, TRUE);
}

/* Declares all parameters in @parameters under names that begin with @prefix
 * ("grouper."). */
UmedptGrouperBlock *
umedpt_grouper_block_new (const UmedptDescription *description,
    UmedptParameters *parameters, const char *prefix)
{
  UmedptGrouperBlock *self = g_new0 (UmedptGrouperBlock, 1);
  const gint64 d = umedpt_description_get_embedding_size (description);
  const gint64 hidden = MAX (d / 3, 1);

  self->kind = description->grouper;
  if (self->kind == UMEDPT_GROUPER_WEIGHTED) {
    declare (&self->weight, parameters, prefix, "weightgiver", d, 1);
    return self;
  }
  if (self->kind == UMEDPT_GROUPER_GATED) {
    declare (&self->v, parameters, prefix, "attention_v.0", d, hidden);
    declare (&self->u, parameters, prefix, "attention_u.0", d, hidden);
    declare (&self->weight, parameters, prefix, "attention", hidden, 1);
  } else {
    declare (&self->v, parameters, prefix, "attention.0", d, hidden);
    declare (&self->weight, parameters, prefix, "attention.2", hidden, 1);
  }
  declare (&self->mapper, parameters, prefix, "mapper", d, d);
  return self;
}

void
umedpt_grouper_block_free (UmedptGrouperBlock *self)
{
  g_free (self);
}

/* activation (linear (x)); recorded, so two ops. */
static UmedptTensor *
run_linear (const UmedptLinear *linear, UmedptContext *context, UmedptTensor *x,
    UmedptActivation activation, GError **error)
{
  g_autoptr (UmedptTensor) y = umedpt_op_linear (context, x, linear->weight,
      linear->bias, UMEDPT_ACTIVATION_NONE, UMEDPT_DTYPE_F32, error);

  if (!y || activation == UMEDPT_ACTIVATION_NONE)
    return g_steal_pointer (&y);
  return umedpt_op_activate (context, y, activation, error);
}

/* The logit of each image's attention, f32 [N, 1]. */
static UmedptTensor *
attend (const UmedptGrouperBlock *self, UmedptContext *context, UmedptTensor *x,
    GError **error)
{
  g_autoptr (UmedptTensor) hidden = NULL;
  g_autoptr (UmedptTensor) gate = NULL;

  hidden = run_linear (&self->v, context, x, UMEDPT_ACTIVATION_TANH, error);
  if (!hidden)
    return NULL;
  if (self->kind == UMEDPT_GROUPER_GATED) {
    UmedptTensor *gated;

    gate = run_linear (&self->u, context, x, UMEDPT_ACTIVATION_SIGMOID, error);
    if (!gate)
      return NULL;
    gated = umedpt_op_multiply (context, hidden, gate, error);
    umedpt_tensor_unref (hidden);
    hidden = gated;
    if (!hidden)
      return NULL;
  }
  return run_linear (&self->weight, context, hidden, UMEDPT_ACTIVATION_NONE,
      error);
}

/* Whether every group is 0 … @n_groups - 1, and none is without an image: a
 * device uses them as indices, and cannot look first as the op does. */
static gboolean
check_groups (const UmedptTensor *groups, gint64 n_groups, GError **error)
{
  const gint64 n = (gint64) groups->n_elements;
  g_autofree gboolean *found = g_new0 (gboolean, MAX (n, 1));
  gint64 n_found = 0;
  gboolean good = groups->dtype == UMEDPT_DTYPE_I32 && n_groups <= n;

  for (gint64 i = 0; good && i < n; i++) {
    const gint32 group = ((const gint32 *) groups->data)[i];

    good = group >= 0 && group < n_groups;
    if (!good)
      break;
    n_found += !found[group];
    found[group] = TRUE;
  }
  if (good && n_found == n_groups)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
      "The cases of images must be i32 from 0 to %" G_GINT64_FORMAT
      ", each with an image.",
      n_groups - 1);
  return FALSE;
}

/* @groups where @context computes. */
static UmedptTensor *
place_groups (UmedptContext *context, UmedptTensor *groups, gint64 n_groups,
    GError **error)
{
  UmedptMemory *memory = umedpt_context_get_backend (context)->memory;

  if (groups->memory == memory)
    return umedpt_tensor_ref (groups);
  if (!groups->memory && !check_groups (groups, n_groups, error))
    return NULL;
  return umedpt_tensor_to (groups, memory, error);
}

/* vectors: f32 [N, D]; groups: i32 [N], 0 … n_groups - 1, each at least once,
 * wherever they lie. Returns f32 [n_groups, D]. */
UmedptTensor *
umedpt_grouper_block_forward (UmedptGrouperBlock *self, UmedptContext *context,
    UmedptTensor *vectors, UmedptTensor *groups, gint64 n_groups,
    GError **error)
{
  g_autoptr (UmedptTensor) placed = NULL;
  g_autoptr (UmedptTensor) weights = NULL;
  g_autoptr (UmedptTensor) reduced = NULL;

  placed = place_groups (context, groups, n_groups, error);
  if (!placed)
    return NULL;
  if (self->kind == UMEDPT_GROUPER_WEIGHTED) {
    weights = run_linear (&self->weight, context, vectors,
        UMEDPT_ACTIVATION_SIGMOID, error);
    if (!weights)
      return NULL;
    return umedpt_op_group_reduce (context, vectors, weights, placed, n_groups,
        UMEDPT_GROUPING_WEIGHTED, error);
  }
  weights = attend (self, context, vectors, error);
  if (!weights)
    return NULL;
  reduced = umedpt_op_group_reduce (context, vectors, weights, placed, n_groups,
      UMEDPT_GROUPING_SOFTMAX, error);
  if (!reduced)
    return NULL;
  return run_linear (&self->mapper, context, reduced, UMEDPT_ACTIVATION_NONE,
      error);
}
