/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Backward passes of window attention and of the values derived from its
 * parameters, which count as parameters: their gradients are f32, and gather
 * over all images until the tape on which they were derived runs.
 */
#include "autograd/ops-private.h"

static gboolean
position_bias_backward (UmedptContext *context, gconstpointer data,
    UmedptTensor *diff_dst, GError **error)
{
  const UmedptPositionBiasArgs *f = data;
  UmedptPositionBiasBackwardArgs args = { .forward = *f, .diff_dst = diff_dst };

  return umedpt_tape_parameter_grad (f->w1, &args.diff_w1, error) &&
      umedpt_tape_parameter_grad (f->b1, &args.diff_b1, error) &&
      umedpt_tape_parameter_grad (f->w2, &args.diff_w2, error) &&
      UMEDPT_RUN (context, position_bias_backward, &args, error, diff_dst,
          args.diff_w1, args.diff_b1, args.diff_w2);
}

void
umedpt_record_position_bias (UmedptContext *context,
    const UmedptPositionBiasArgs *args)
{
  umedpt_tape_record (context, args->dst, position_bias_backward, args,
      sizeof *args, UMEDPT_TENSORS (args->w1, args->b1, args->w2));
}

/* diff_qkv is only ever written: a gradient that is there already is added
 * to it afterwards. */
static gboolean
window_attention_backward (UmedptContext *context, gconstpointer data,
    UmedptTensor *diff_dst, GError **error)
{
  const UmedptWindowAttentionArgs *f = data;
  g_autoptr (UmedptTensor) diff_qkv = NULL;
  UmedptWindowAttentionBackwardArgs args = { .forward = *f,
    .diff_dst = diff_dst };

  if (f->qkv->requires_grad &&
      !(diff_qkv = umedpt_new_like (f->qkv, f->qkv->dtype, error)))
    return FALSE;
  args.diff_qkv = diff_qkv;
  return umedpt_tape_parameter_grad (f->qkv_bias, &args.diff_qkv_bias, error) &&
      umedpt_tape_parameter_grad (f->scale, &args.diff_scale, error) &&
      umedpt_tape_parameter_grad (f->position_bias, &args.diff_position_bias,
          error) &&
      UMEDPT_RUN (context, window_attention_backward, &args, error, diff_dst,
          diff_qkv, args.diff_qkv_bias, args.diff_scale,
          args.diff_position_bias) &&
      umedpt_tape_give_grad (context, f->qkv, diff_qkv, error);
}

void
umedpt_record_window_attention (UmedptContext *context,
    const UmedptWindowAttentionArgs *args)
{
  umedpt_tape_record (context, args->dst, window_attention_backward, args,
      sizeof *args,
      UMEDPT_TENSORS (args->qkv, args->qkv_bias, args->scale,
          args->position_bias));
}

static gboolean
logit_scale_backward (UmedptContext *context, gconstpointer data,
    UmedptTensor *diff_dst, GError **error)
{
  const UmedptLogitScaleArgs *f = data;
  UmedptLogitScaleBackwardArgs args = { .forward = *f, .diff_dst = diff_dst };

  return umedpt_tape_parameter_grad (f->src, &args.diff_src, error) &&
      UMEDPT_RUN (context, logit_scale_backward, &args, error, diff_dst,
          args.diff_src);
}

void
umedpt_record_logit_scale (UmedptContext *context,
    const UmedptLogitScaleArgs *args)
{
  umedpt_tape_record (context, args->dst, logit_scale_backward, args,
      sizeof *args, UMEDPT_TENSORS (args->src));
}

static gboolean
mask_key_bias_backward (UmedptContext *context, gconstpointer data,
    UmedptTensor *diff_dst, GError **error)
{
  const UmedptMaskKeyBiasArgs *f = data;
  UmedptMaskKeyBiasBackwardArgs args = { .forward = *f, .diff_dst = diff_dst };

  return umedpt_tape_parameter_grad (f->src, &args.diff_src, error) &&
      UMEDPT_RUN (context, mask_key_bias_backward, &args, error, diff_dst,
          args.diff_src);
}

void
umedpt_record_mask_key_bias (UmedptContext *context,
    const UmedptMaskKeyBiasArgs *args)
{
  umedpt_tape_record (context, args->dst, mask_key_bias_backward, args,
      sizeof *args, UMEDPT_TENSORS (args->src));
}
