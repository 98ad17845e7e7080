/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Backward passes of convolutions and patches.
 */
#include "autograd/ops-private.h"

static gboolean
patch_embed_backward (UmedptContext *context, gconstpointer data,
    UmedptTensor *diff_dst, GError **error)
{
  const UmedptPatchEmbedArgs *f = data;
  UmedptPatchEmbedBackwardArgs args = { .forward = *f, .diff_dst = diff_dst };

  return umedpt_tape_parameter_grad (f->weight, &args.diff_weight, error) &&
      umedpt_tape_parameter_grad (f->bias, &args.diff_bias, error) &&
      umedpt_tape_parameter_grad (f->gamma, &args.diff_gamma, error) &&
      umedpt_tape_parameter_grad (f->beta, &args.diff_beta, error) &&
      UMEDPT_RUN (context, patch_embed_backward, &args, error, diff_dst,
          args.diff_weight, args.diff_bias, args.diff_gamma, args.diff_beta);
}

void
umedpt_record_patch_embed (UmedptContext *context,
    const UmedptPatchEmbedArgs *args)
{
  umedpt_tape_record (context, args->dst, patch_embed_backward, args,
      sizeof *args,
      UMEDPT_TENSORS (args->src, args->weight, args->bias, args->gamma,
          args->beta, args->saved_product));
}

static gboolean
patch_merge_backward (UmedptContext *context, gconstpointer data,
    UmedptTensor *diff_dst, GError **error)
{
  const UmedptPatchMergeArgs *f = data;
  UmedptPatchMergeBackwardArgs args = { .forward = *f, .diff_dst = diff_dst };

  return umedpt_tape_activation_grad (f->src, &args.diff_src, &args.accumulate,
             error) &&
      umedpt_tape_parameter_grad (f->weight, &args.diff_weight, error) &&
      umedpt_tape_parameter_grad (f->gamma, &args.diff_gamma, error) &&
      umedpt_tape_parameter_grad (f->beta, &args.diff_beta, error) &&
      UMEDPT_RUN (context, patch_merge_backward, &args, error, diff_dst,
          args.diff_src, args.diff_weight, args.diff_gamma, args.diff_beta);
}

void
umedpt_record_patch_merge (UmedptContext *context,
    const UmedptPatchMergeArgs *args)
{
  umedpt_tape_record (context, args->dst, patch_merge_backward, args,
      sizeof *args,
      UMEDPT_TENSORS (args->src, args->weight, args->gamma, args->beta,
          args->saved_product));
}

static gboolean
conv2d_backward (UmedptContext *context, gconstpointer data,
    UmedptTensor *diff_dst, GError **error)
{
  const UmedptConv2dArgs *f = data;
  UmedptConv2dBackwardArgs args = { .forward = *f, .diff_dst = diff_dst };

  return umedpt_tape_activation_grad (f->src, &args.diff_src, &args.accumulate,
             error) &&
      umedpt_tape_parameter_grad (f->weight, &args.diff_weight, error) &&
      umedpt_tape_parameter_grad (f->bias, &args.diff_bias, error) &&
      UMEDPT_RUN (context, conv2d_backward, &args, error, diff_dst,
          args.diff_src, args.diff_weight, args.diff_bias);
}

void
umedpt_record_conv2d (UmedptContext *context, const UmedptConv2dArgs *args)
{
  umedpt_tape_record (context, args->dst, conv2d_backward, args, sizeof *args,
      UMEDPT_TENSORS (args->src, args->weight, args->bias));
}
