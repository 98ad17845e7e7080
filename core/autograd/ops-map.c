/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Checked ops on maps that need no weights beside a scale: norms, pooling,
 * resizing, and the reduction of instances to groups. Formulas:
 * backend/backend.h.
 */
#include "autograd/ops-private.h"

#include "base/error.h"

/* src [..., C] */
UmedptTensor *
umedpt_op_layer_norm (UmedptContext *context, UmedptTensor *src,
    UmedptTensor *gamma, UmedptTensor *beta, float epsilon, GError **error)
{
  const char *op = "layer_norm";
  g_autoptr (UmedptTensor) dst = NULL;
  UmedptLayerNormArgs args;

  if (!umedpt_check_input (op, "src", src, UMEDPT_IS_F32, 0, error) ||
      !umedpt_check_affine (op, gamma, beta, src->shape[src->n_dims - 1],
          error))
    return NULL;
  dst = umedpt_new_like (src, UMEDPT_DTYPE_F32, error);
  if (!dst)
    return NULL;
  args = (UmedptLayerNormArgs){
    .src = src, .gamma = gamma, .beta = beta, .dst = dst, .epsilon = epsilon
  };
  if (!UMEDPT_RUN (context, layer_norm, &args, error, src, dst))
    return NULL;
  if (umedpt_tape_wants (context, UMEDPT_TENSORS (src, gamma, beta)))
    umedpt_record_layer_norm (context, &args);
  return g_steal_pointer (&dst);
}

/* src [N, H, W, C] */
UmedptTensor *
umedpt_op_group_norm (UmedptContext *context, UmedptTensor *src,
    UmedptTensor *gamma, UmedptTensor *beta, gint64 groups, float epsilon,
    GError **error)
{
  const char *op = "group_norm";
  g_autoptr (UmedptTensor) dst = NULL;
  UmedptGroupNormArgs args;

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
  dst = umedpt_new_like (src, UMEDPT_DTYPE_F32, error);
  if (!dst)
    return NULL;
  args = (UmedptGroupNormArgs){ .src = src,
    .gamma = gamma,
    .beta = beta,
    .dst = dst,
    .groups = groups,
    .epsilon = epsilon };
  if (!UMEDPT_RUN (context, group_norm, &args, error, src, dst))
    return NULL;
  if (umedpt_tape_wants (context, UMEDPT_TENSORS (src, gamma, beta)))
    umedpt_record_group_norm (context, &args);
  return g_steal_pointer (&dst);
}

/* src [N, H, W, C] -> [N, C] */
UmedptTensor *
umedpt_op_global_pool (UmedptContext *context, UmedptTensor *src,
    UmedptPooling pooling, GError **error)
{
  const char *op = "global_pool";
  g_autoptr (UmedptTensor) dst = NULL;
  UmedptGlobalPoolArgs args;

  if (!umedpt_check_input (op, "src", src, UMEDPT_IS_F32, 4, error) ||
      !umedpt_check_range (op, "height", src->shape[1], 1, G_MAXINT64, error) ||
      !umedpt_check_range (op, "width", src->shape[2], 1, G_MAXINT64, error))
    return NULL;
  dst = umedpt_tensor_new_in (src->memory, UMEDPT_DTYPE_F32,
      UMEDPT_SHAPE (src->shape[0], src->shape[3]), error);
  if (!dst)
    return NULL;
  args = (UmedptGlobalPoolArgs){ .src = src, .dst = dst, .pooling = pooling };
  if (!UMEDPT_RUN (context, global_pool, &args, error, src, dst))
    return NULL;
  if (umedpt_tape_wants (context, UMEDPT_TENSORS (src)))
    umedpt_record_global_pool (context, &args);
  return g_steal_pointer (&dst);
}

/* Maps that are resized must have pixels to take. */
static gboolean
check_upsample (const char *op, const UmedptTensor *src, GError **error)
{
  return umedpt_check_input (op, "src", src, UMEDPT_IS_F32, 4, error) &&
      umedpt_check_range (op, "height", src->shape[1], 1, G_MAXINT32, error) &&
      umedpt_check_range (op, "width", src->shape[2], 1, G_MAXINT32, error);
}

/* src [N, h, w, C], skip [N, H, W, S] or NULL -> [N, H, W, C + S] */
UmedptTensor *
umedpt_op_upsample_concat (UmedptContext *context, UmedptTensor *src,
    UmedptTensor *skip, gint64 height, gint64 width, GError **error)
{
  const char *op = "upsample_concat";
  g_autoptr (UmedptTensor) dst = NULL;
  UmedptUpsampleConcatArgs args;

  if (!check_upsample (op, src, error) ||
      (skip &&
          (!umedpt_check_input (op, "skip", skip, UMEDPT_IS_F32, 4, error) ||
              !umedpt_check_shape (op, "skip", skip,
                  UMEDPT_SHAPE (src->shape[0], skip->shape[1], skip->shape[2],
                      skip->shape[3]),
                  error))))
    return NULL;
  if (skip) {
    height = skip->shape[1];
    width = skip->shape[2];
  }
  if (!umedpt_check_range (op, "height", height, 0, G_MAXINT32, error) ||
      !umedpt_check_range (op, "width", width, 0, G_MAXINT32, error))
    return NULL;
  dst = umedpt_tensor_new_in (src->memory, UMEDPT_DTYPE_F32,
      UMEDPT_SHAPE (src->shape[0], height, width,
          src->shape[3] + (skip ? skip->shape[3] : 0)),
      error);
  if (!dst)
    return NULL;
  args = (UmedptUpsampleConcatArgs){ .src = src, .skip = skip, .dst = dst };
  if (!UMEDPT_RUN (context, upsample_concat, &args, error, src, dst))
    return NULL;
  if (umedpt_tape_wants (context, UMEDPT_TENSORS (src, skip)))
    umedpt_record_upsample_concat (context, &args);
  return g_steal_pointer (&dst);
}

/* src [N, h, w, C], lateral [N, H, W, C] -> [N, H, W, C] */
UmedptTensor *
umedpt_op_upsample_add (UmedptContext *context, UmedptTensor *src,
    UmedptTensor *lateral, GError **error)
{
  const char *op = "upsample_add";
  g_autoptr (UmedptTensor) dst = NULL;
  UmedptUpsampleAddArgs args;

  if (!check_upsample (op, src, error) ||
      !umedpt_check_input (op, "lateral", lateral, UMEDPT_IS_F32, 4, error) ||
      !umedpt_check_shape (op, "lateral", lateral,
          UMEDPT_SHAPE (src->shape[0], lateral->shape[1], lateral->shape[2],
              src->shape[3]),
          error))
    return NULL;
  dst = umedpt_new_like (lateral, UMEDPT_DTYPE_F32, error);
  if (!dst)
    return NULL;
  args = (UmedptUpsampleAddArgs){ .src = src, .lateral = lateral, .dst = dst };
  if (!UMEDPT_RUN (context, upsample_add, &args, error, src, dst))
    return NULL;
  if (umedpt_tape_wants (context, UMEDPT_TENSORS (src, lateral)))
    umedpt_record_upsample_add (context, &args);
  return g_steal_pointer (&dst);
}

/* Every instance's group is 0 … @n_groups - 1, and none is empty. */
static gboolean
check_groups (const char *op, const UmedptTensor *groups, gint64 n_groups,
    GError **error)
{
  const gint32 *index = groups->data;
  g_autofree gboolean *found = g_new0 (gboolean, n_groups);
  gint64 n_found = 0;

  for (gsize i = 0; i < groups->n_elements; i++) {
    if (index[i] < 0 || index[i] >= n_groups) {
      g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
          "%s: instance %" G_GSIZE_FORMAT
          " is of group %d; there are groups 0 to %" G_GINT64_FORMAT ".",
          op, i, index[i], n_groups - 1);
      return FALSE;
    }
    n_found += !found[index[i]];
    found[index[i]] = TRUE;
  }
  if (n_found == n_groups)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
      "%s: %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT
      " groups have no instance; every group needs one.",
      op, n_groups - n_found, n_groups);
  return FALSE;
}

static gboolean
check_group_reduce (const char *op, const UmedptTensor *src,
    const UmedptTensor *weight, const UmedptTensor *groups, gint64 n_groups,
    UmedptGrouping grouping, GError **error)
{
  gint64 n;

  if (!umedpt_check_input (op, "src", src, UMEDPT_IS_F32, 2, error) ||
      !umedpt_check_input (op, "weight", weight, UMEDPT_IS_F32, 2, error) ||
      !umedpt_check_input (op, "groups", groups, UMEDPT_IS_I32, 1, error))
    return FALSE;
  n = src->shape[0];
  return umedpt_check_shape (op, "weight", weight,
             UMEDPT_SHAPE (n, weight->shape[1]), error) &&
      umedpt_check_range (op, "heads", weight->shape[1], 1,
          grouping == UMEDPT_GROUPING_WEIGHTED ? 1 : G_MAXINT32, error) &&
      umedpt_check_shape (op, "groups", groups, UMEDPT_SHAPE (n), error) &&
      umedpt_check_range (op, "number of groups", n_groups, 1, MAX (n, 1),
          error);
}

/* src [N, D], weight [N, heads], groups [N] -> [G, heads D] */
UmedptTensor *
umedpt_op_group_reduce (UmedptContext *context, UmedptTensor *src,
    UmedptTensor *weight, UmedptTensor *groups, gint64 n_groups,
    UmedptGrouping grouping, GError **error)
{
  const char *op = "group_reduce";
  g_autoptr (UmedptTensor) dst = NULL;
  UmedptGroupReduceArgs args;

  if (!check_group_reduce (op, src, weight, groups, n_groups, grouping,
          error) ||
      (context->backend->host_memory &&
          !check_groups (op, groups, n_groups, error)))
    return NULL;
  dst = umedpt_tensor_new_in (src->memory, UMEDPT_DTYPE_F32,
      UMEDPT_SHAPE (n_groups, weight->shape[1] * src->shape[1]), error);
  if (!dst)
    return NULL;
  args = (UmedptGroupReduceArgs){ .src = src,
    .weight = weight,
    .groups = groups,
    .dst = dst,
    .grouping = grouping };
  if (!UMEDPT_RUN (context, group_reduce, &args, error, src, dst))
    return NULL;
  if (umedpt_tape_wants (context, UMEDPT_TENSORS (src, weight)))
    umedpt_record_group_reduce (context, &args);
  return g_steal_pointer (&dst);
}
