/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Backward passes of linear maps, alone and fused. A residual hands the
 * gradient of the output over to its input as it is, once nobody else needs
 * it; the rule is in record-elements.c.
 */
#include "autograd/ops-private.h"

static gboolean
linear_backward (UmedptContext *context, gconstpointer data,
    UmedptTensor *diff_dst, GError **error)
{
  const UmedptLinearArgs *f = data;
  UmedptLinearBackwardArgs args = { .forward = *f, .diff_dst = diff_dst };

  return umedpt_tape_activation_grad (f->src, &args.diff_src, &args.accumulate,
             error) &&
      umedpt_tape_parameter_grad (f->weight, &args.diff_weight, error) &&
      umedpt_tape_parameter_grad (f->bias, &args.diff_bias, error) &&
      UMEDPT_RUN (context, linear_backward, &args, error, diff_dst,
          args.diff_src, args.diff_weight, args.diff_bias);
}

void
umedpt_record_linear (UmedptContext *context, const UmedptLinearArgs *args)
{
  umedpt_tape_record (context, args->dst, linear_backward, args, sizeof *args,
      UMEDPT_TENSORS (args->src, args->weight, args->bias));
}

static gboolean
linear_norm_backward (UmedptContext *context, gconstpointer data,
    UmedptTensor *diff_dst, GError **error)
{
  const UmedptLinearNormArgs *f = data;
  UmedptLinearNormBackwardArgs args = { .forward = *f, .diff_dst = diff_dst };

  return umedpt_tape_activation_grad (f->src, &args.diff_src, &args.accumulate,
             error) &&
      umedpt_tape_parameter_grad (f->weight, &args.diff_weight, error) &&
      umedpt_tape_parameter_grad (f->bias, &args.diff_bias, error) &&
      umedpt_tape_parameter_grad (f->gamma, &args.diff_gamma, error) &&
      umedpt_tape_parameter_grad (f->beta, &args.diff_beta, error) &&
      UMEDPT_RUN (context, linear_norm_backward, &args, error, diff_dst,
          args.diff_src, args.diff_weight, args.diff_bias, args.diff_gamma,
          args.diff_beta) &&
      umedpt_tape_give_grad (context, f->residual, diff_dst, error);
}

void
umedpt_record_linear_norm (UmedptContext *context,
    const UmedptLinearNormArgs *args)
{
  umedpt_tape_record (context, args->dst, linear_norm_backward, args,
      sizeof *args,
      UMEDPT_TENSORS (args->src, args->weight, args->bias, args->gamma,
          args->beta, args->residual, args->branch_scale, args->saved_product));
}

/* The gradient of the input is made in the memory of that of the output. */
static gboolean
mlp_norm_backward (UmedptContext *context, gconstpointer data,
    UmedptTensor *diff_dst, GError **error)
{
  const UmedptMlpNormArgs *f = data;
  UmedptMlpNormBackwardArgs args = { .forward = *f,
    .diff_dst = diff_dst,
    .diff_src = f->src->requires_grad ? diff_dst : NULL };

  return umedpt_tape_parameter_grad (f->fc1_weight, &args.diff_fc1_weight,
             error) &&
      umedpt_tape_parameter_grad (f->fc1_bias, &args.diff_fc1_bias, error) &&
      umedpt_tape_parameter_grad (f->fc2_weight, &args.diff_fc2_weight,
          error) &&
      umedpt_tape_parameter_grad (f->fc2_bias, &args.diff_fc2_bias, error) &&
      umedpt_tape_parameter_grad (f->gamma, &args.diff_gamma, error) &&
      umedpt_tape_parameter_grad (f->beta, &args.diff_beta, error) &&
      UMEDPT_RUN (context, mlp_norm_backward, &args, error, diff_dst,
          args.diff_src, args.diff_fc1_weight, args.diff_fc1_bias,
          args.diff_fc2_weight, args.diff_fc2_bias, args.diff_gamma,
          args.diff_beta) &&
      umedpt_tape_give_grad (context, f->src, diff_dst, error);
}

void
umedpt_record_mlp_norm (UmedptContext *context, const UmedptMlpNormArgs *args)
{
  umedpt_tape_record (context, args->dst, mlp_norm_backward, args, sizeof *args,
      UMEDPT_TENSORS (args->src, args->fc1_weight, args->fc1_bias,
          args->fc2_weight, args->fc2_bias, args->gamma, args->beta,
          args->branch_scale, args->saved_hidden, args->saved_product));
}
