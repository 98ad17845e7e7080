/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Backward passes of norms, pooling, resizing and groups.
 */
#include "autograd/ops-private.h"

static gboolean
layer_norm_backward (UmedptContext *context, gconstpointer data,
    UmedptTensor *diff_dst, GError **error)
{
  const UmedptLayerNormArgs *f = data;
  UmedptLayerNormBackwardArgs args = { .forward = *f, .diff_dst = diff_dst };

  return umedpt_tape_activation_grad (f->src, &args.diff_src, &args.accumulate,
             error) &&
      umedpt_tape_parameter_grad (f->gamma, &args.diff_gamma, error) &&
      umedpt_tape_parameter_grad (f->beta, &args.diff_beta, error) &&
      UMEDPT_RUN (context, layer_norm_backward, &args, error, diff_dst,
          args.diff_src, args.diff_gamma, args.diff_beta);
}

void
umedpt_record_layer_norm (UmedptContext *context,
    const UmedptLayerNormArgs *args)
{
  umedpt_tape_record (context, args->dst, layer_norm_backward, args,
      sizeof *args, UMEDPT_TENSORS (args->src, args->gamma, args->beta));
}

static gboolean
group_norm_backward (UmedptContext *context, gconstpointer data,
    UmedptTensor *diff_dst, GError **error)
{
  const UmedptGroupNormArgs *f = data;
  UmedptGroupNormBackwardArgs args = { .forward = *f, .diff_dst = diff_dst };

  return umedpt_tape_activation_grad (f->src, &args.diff_src, &args.accumulate,
             error) &&
      umedpt_tape_parameter_grad (f->gamma, &args.diff_gamma, error) &&
      umedpt_tape_parameter_grad (f->beta, &args.diff_beta, error) &&
      UMEDPT_RUN (context, group_norm_backward, &args, error, diff_dst,
          args.diff_src, args.diff_gamma, args.diff_beta);
}

void
umedpt_record_group_norm (UmedptContext *context,
    const UmedptGroupNormArgs *args)
{
  umedpt_tape_record (context, args->dst, group_norm_backward, args,
      sizeof *args, UMEDPT_TENSORS (args->src, args->gamma, args->beta));
}

static gboolean
global_pool_backward (UmedptContext *context, gconstpointer data,
    UmedptTensor *diff_dst, GError **error)
{
  const UmedptGlobalPoolArgs *f = data;
  UmedptGlobalPoolBackwardArgs args = { .forward = *f, .diff_dst = diff_dst };

  return umedpt_tape_activation_grad (f->src, &args.diff_src, &args.accumulate,
             error) &&
      UMEDPT_RUN (context, global_pool_backward, &args, error, diff_dst,
          args.diff_src);
}

void
umedpt_record_global_pool (UmedptContext *context,
    const UmedptGlobalPoolArgs *args)
{
  umedpt_tape_record (context, args->dst, global_pool_backward, args,
      sizeof *args, UMEDPT_TENSORS (args->src));
}

/* A map beside itself has one gradient: both parts are done one by one. */
static gboolean
upsample_concat_backward (UmedptContext *context, gconstpointer data,
    UmedptTensor *diff_dst, GError **error)
{
  const UmedptUpsampleConcatArgs *f = data;
  UmedptUpsampleConcatBackwardArgs args = { .forward = *f,
    .diff_dst = diff_dst };

  if (!umedpt_tape_activation_grad (f->src, &args.diff_src, &args.accumulate,
          error))
    return FALSE;
  if (f->src == f->skip) {
    if (!UMEDPT_RUN (context, upsample_concat_backward, &args, error, diff_dst,
            args.diff_src))
      return FALSE;
    args.diff_src = NULL;
  }
  return umedpt_tape_activation_grad (f->skip, &args.diff_skip,
             &args.accumulate_skip, error) &&
      UMEDPT_RUN (context, upsample_concat_backward, &args, error, diff_dst,
          args.diff_src, args.diff_skip);
}

void
umedpt_record_upsample_concat (UmedptContext *context,
    const UmedptUpsampleConcatArgs *args)
{
  umedpt_tape_record (context, args->dst, upsample_concat_backward, args,
      sizeof *args, UMEDPT_TENSORS (args->src, args->skip));
}

static gboolean
upsample_add_backward (UmedptContext *context, gconstpointer data,
    UmedptTensor *diff_dst, GError **error)
{
  const UmedptUpsampleAddArgs *f = data;
  UmedptUpsampleAddBackwardArgs args = { .forward = *f, .diff_dst = diff_dst };

  return umedpt_tape_activation_grad (f->src, &args.diff_src, &args.accumulate,
             error) &&
      (!args.diff_src ||
          UMEDPT_RUN (context, upsample_add_backward, &args, error, diff_dst,
              args.diff_src)) &&
      umedpt_tape_give_grad (context, f->lateral, diff_dst, error);
}

void
umedpt_record_upsample_add (UmedptContext *context,
    const UmedptUpsampleAddArgs *args)
{
  umedpt_tape_record (context, args->dst, upsample_add_backward, args,
      sizeof *args, UMEDPT_TENSORS (args->src, args->lateral));
}

/* Both gradients are only ever written; those that are there already are added
 * to them afterwards. */
static gboolean
group_reduce_backward (UmedptContext *context, gconstpointer data,
    UmedptTensor *diff_dst, GError **error)
{
  const UmedptGroupReduceArgs *f = data;
  g_autoptr (UmedptTensor) diff_src = NULL;
  g_autoptr (UmedptTensor) diff_weight = NULL;
  UmedptGroupReduceBackwardArgs args = { .forward = *f, .diff_dst = diff_dst };

  if (f->src->requires_grad &&
      !(diff_src = umedpt_new_like (f->src, UMEDPT_DTYPE_F32, error)))
    return FALSE;
  if (f->weight->requires_grad &&
      !(diff_weight = umedpt_new_like (f->weight, UMEDPT_DTYPE_F32, error)))
    return FALSE;
  args.diff_src = diff_src;
  args.diff_weight = diff_weight;
  return UMEDPT_RUN (context, group_reduce_backward, &args, error, diff_dst,
             diff_src, diff_weight) &&
      umedpt_tape_give_grad (context, f->src, diff_src, error) &&
      umedpt_tape_give_grad (context, f->weight, diff_weight, error);
}

void
umedpt_record_group_reduce (UmedptContext *context,
    const UmedptGroupReduceArgs *args)
{
  umedpt_tape_record (context, args->dst, group_reduce_backward, args,
      sizeof *args, UMEDPT_TENSORS (args->src, args->weight, args->groups));
}
