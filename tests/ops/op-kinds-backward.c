/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Kinds of the op table: backward passes. The numbers of a row mean what they
 * mean for the forward op. Inputs are those of the forward op, dL / d dst, and
 * what the forward pass saves, which `ref` computes. A gradient that is to be
 * written starts as NaN, one that is to be added to as numbers, or, for
 * parameters, as 0.
 */
#include <math.h>

#include "op-table.h"

#define EPSILON 1e-5f

static UmedptBackend *
backend_of (UmedptContext *context)
{
  return umedpt_context_get_backend (context);
}

/* The gradient of an activation, if it is wanted. */
static UmedptTensor *
written (OpOutputs *out, guint at, const OpRow *row, const UmedptTensor *of)
{
  if (!of || row->flags & OP_NO_SRC)
    return NULL;
  if (!out->t[at] && row->flags & OP_ADD)
    out->t[at] = op_moved (fill_random (&(Lcg){ at }, of->dtype, 1, 0,
        of->n_dims, of->shape));
  return op_output (out, at, of->dtype, of->n_dims, of->shape);
}

/* The same where a backward pass only writes. */
static UmedptTensor *
only_written (OpOutputs *out, guint at, const OpRow *row,
    const UmedptTensor *of)
{
  return row->flags & OP_NO_SRC
      ? NULL
      : op_output (out, at, of->dtype, of->n_dims, of->shape);
}

/* The gradient of a parameter, if there is one and it is wanted. */
static UmedptTensor *
added (OpOutputs *out, guint at, const OpRow *row, const UmedptTensor *of)
{
  if (!of || row->flags & OP_NO_PARAMETERS)
    return NULL;
  if (!out->t[at])
    out->t[at] = op_moved (fill_random (&(Lcg){ at }, UMEDPT_DTYPE_F32,
        row->flags & OP_ADD ? 1 : 0, 0, of->n_dims, of->shape));
  return out->t[at];
}

static gboolean
adds (const OpRow *row)
{
  return (row->flags & OP_ADD) != 0;
}

static void
make_diff (Lcg *lcg, OpInputs *in, UmedptDtype dtype, guint n_dims,
    const gint64 *shape)
{
  in->t[AT_DIFF] = fill_random (lcg, dtype, 1, 0, n_dims, shape);
}

/* What a forward pass saves, by ref. */
static void
assert_ran (gboolean ok, GError *error)
{
  g_assert_no_error (error);
  g_assert_true (ok);
}

#define FORWARD(slot, ...) \
  do { \
    GError *forward_error = NULL; \
    assert_ran (umedpt_dispatch_##slot (umedpt_backend_ref (), __VA_ARGS__, \
                    &forward_error), \
        forward_error); \
  } while (0)

static void
make_activate (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  kind_activate.make (row, dtype, lcg, in);
  make_diff (lcg, in, dtype, SHAPE (row->p[0]));
}

static gboolean
run_activate (UmedptContext *context, const OpRow *row, const OpInputs *in,
    OpOutputs *out, GError **error)
{
  UmedptActivateBackwardArgs args = {
    .forward = { .src = in->t[0], .activation = row->p[1] },
    .diff_dst = in->t[AT_DIFF],
    .diff_src = written (out, 0, row, in->t[0]),
    .accumulate = adds (row),
  };

  return umedpt_dispatch_activate_backward (backend_of (context), &args, error);
}

static void
make_layer_norm (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  kind_layer_norm.make (row, dtype, lcg, in);
  make_diff (lcg, in, dtype, SHAPE (row->p[0], row->p[1]));
}

static gboolean
run_layer_norm (UmedptContext *context, const OpRow *row, const OpInputs *in,
    OpOutputs *out, GError **error)
{
  UmedptLayerNormBackwardArgs args = {
    .forward = { .src = in->t[0],
        .gamma = in->t[1],
        .beta = in->t[2],
        .epsilon = EPSILON },
    .diff_dst = in->t[AT_DIFF],
    .diff_src = written (out, 0, row, in->t[0]),
    .diff_gamma = added (out, 1, row, in->t[1]),
    .diff_beta = added (out, 2, row, in->t[2]),
    .accumulate = adds (row),
  };

  return umedpt_dispatch_layer_norm_backward (backend_of (context), &args,
      error);
}

static void
make_group_norm (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  kind_group_norm.make (row, dtype, lcg, in);
  make_diff (lcg, in, dtype,
      SHAPE (row->p[0], row->p[1], row->p[2], row->p[3]));
}

static gboolean
run_group_norm (UmedptContext *context, const OpRow *row, const OpInputs *in,
    OpOutputs *out, GError **error)
{
  UmedptGroupNormBackwardArgs args = {
    .forward = { .src = in->t[0],
        .gamma = in->t[1],
        .beta = in->t[2],
        .groups = row->p[5],
        .epsilon = EPSILON },
    .diff_dst = in->t[AT_DIFF],
    .diff_src = written (out, 0, row, in->t[0]),
    .diff_gamma = added (out, 1, row, in->t[1]),
    .diff_beta = added (out, 2, row, in->t[2]),
    .accumulate = adds (row),
  };

  return umedpt_dispatch_group_norm_backward (backend_of (context), &args,
      error);
}

static void
make_global_pool (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  kind_global_pool.make (row, dtype, lcg, in);
  make_diff (lcg, in, dtype, SHAPE (row->p[0], row->p[3]));
}

static gboolean
run_global_pool (UmedptContext *context, const OpRow *row, const OpInputs *in,
    OpOutputs *out, GError **error)
{
  UmedptGlobalPoolBackwardArgs args = {
    .forward = { .src = in->t[0], .pooling = row->p[4] },
    .diff_dst = in->t[AT_DIFF],
    .diff_src = written (out, 0, row, in->t[0]),
    .accumulate = adds (row),
  };

  return umedpt_dispatch_global_pool_backward (backend_of (context), &args,
      error);
}

static void
make_linear (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  kind_linear.make (row, dtype, lcg, in);
  make_diff (lcg, in, row->flags & OP_HALF_DST ? UMEDPT_DTYPE_BF16 : dtype,
      SHAPE (row->p[0], row->p[2]));
}

static gboolean
run_linear (UmedptContext *context, const OpRow *row, const OpInputs *in,
    OpOutputs *out, GError **error)
{
  UmedptLinearBackwardArgs args = {
    .forward = { .src = in->t[0],
        .weight = in->t[1],
        .bias = in->t[2],
        .compute = in->compute },
    .diff_dst = in->t[AT_DIFF],
    .diff_src = written (out, 0, row, in->t[0]),
    .diff_weight = added (out, 1, row, in->t[1]),
    .diff_bias = added (out, 2, row, in->t[2]),
    .accumulate = adds (row),
  };

  return umedpt_dispatch_linear_backward (backend_of (context), &args, error);
}

static double
flops_linear (const OpRow *row)
{
  return 2 * kind_linear.flops (row);
}

static void
make_linear_norm (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  UmedptLinearNormArgs args;
  g_autoptr (UmedptTensor) dst =
      fill_new (UMEDPT_DTYPE_F32, SHAPE (row->p[0], row->p[2]));

  kind_linear_norm_train.make (row, dtype, lcg, in);
  make_diff (lcg, in, UMEDPT_DTYPE_F32, SHAPE (row->p[0], row->p[2]));
  in->t[AT_SAVED] = fill_new (UMEDPT_DTYPE_F32, SHAPE (row->p[0], row->p[2]));
  args = op_linear_norm_args (row, in);
  args.dst = dst;
  FORWARD (linear_norm, &args);
}

static gboolean
run_linear_norm (UmedptContext *context, const OpRow *row, const OpInputs *in,
    OpOutputs *out, GError **error)
{
  UmedptLinearNormBackwardArgs args = {
    .forward = op_linear_norm_args (row, in),
    .diff_dst = in->t[AT_DIFF],
    .diff_src = written (out, 0, row, in->t[0]),
    .diff_weight = added (out, 1, row, in->t[1]),
    .diff_bias = added (out, 2, row, in->t[2]),
    .diff_gamma = added (out, 3, row, in->t[3]),
    .diff_beta = added (out, 4, row, in->t[4]),
    .accumulate = adds (row),
  };

  return umedpt_dispatch_linear_norm_backward (backend_of (context), &args,
      error);
}

static void
make_mlp_norm (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  const gint64 *p = row->p;
  UmedptMlpNormArgs args;
  g_autoptr (UmedptTensor) dst =
      fill_new (UMEDPT_DTYPE_F32, SHAPE (p[0], p[1]));

  kind_mlp_norm_train.make (row, dtype, lcg, in);
  make_diff (lcg, in, UMEDPT_DTYPE_F32, SHAPE (p[0], p[1]));
  in->t[AT_SAVED] = fill_new (UMEDPT_DTYPE_F32, SHAPE (p[0], p[1]));
  in->t[AT_HIDDEN] = fill_new (in->compute, SHAPE (p[0], p[2]));
  args = op_mlp_norm_args (row, in);
  args.dst = dst;
  FORWARD (mlp_norm, &args);
}

/* With OP_ADD (there is nothing to add to) diff_src is diff_dst, changed in
 * place. */
static gboolean
run_mlp_norm (UmedptContext *context, const OpRow *row, const OpInputs *in,
    OpOutputs *out, GError **error)
{
  UmedptMlpNormBackwardArgs args = {
    .forward = op_mlp_norm_args (row, in),
    .diff_dst = in->t[AT_DIFF],
    .diff_src = only_written (out, 0, row, in->t[0]),
    .diff_fc1_weight = added (out, 1, row, in->t[1]),
    .diff_fc1_bias = added (out, 2, row, in->t[2]),
    .diff_fc2_weight = added (out, 3, row, in->t[3]),
    .diff_fc2_bias = added (out, 4, row, in->t[4]),
    .diff_gamma = added (out, 5, row, in->t[5]),
    .diff_beta = added (out, 6, row, in->t[6]),
  };

  if (adds (row) && args.diff_src) {
    op_copy (args.diff_src, args.diff_dst);
    args.diff_dst = args.diff_src;
  }
  return umedpt_dispatch_mlp_norm_backward (backend_of (context), &args, error);
}

static double
flops_mlp_norm (const OpRow *row)
{
  return 2 * kind_mlp_norm.flops (row);
}

static void
make_patch_embed (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  const gint64 *p = row->p;
  gint64 shape[4] = { p[0], p[1] / p[5], p[2] / p[5], p[3] };
  UmedptPatchEmbedArgs args;
  g_autoptr (UmedptTensor) dst = fill_new (UMEDPT_DTYPE_F32, 4, shape);

  kind_patch_embed.make (row, dtype, lcg, in);
  make_diff (lcg, in, UMEDPT_DTYPE_F32, 4, shape);
  in->t[AT_SAVED] = fill_new (UMEDPT_DTYPE_F32, 4, shape);
  args = op_patch_embed_args (row, in);
  args.dst = dst;
  FORWARD (patch_embed, &args);
}

static gboolean
run_patch_embed (UmedptContext *context, const OpRow *row, const OpInputs *in,
    OpOutputs *out, GError **error)
{
  UmedptPatchEmbedBackwardArgs args = {
    .forward = op_patch_embed_args (row, in),
    .diff_dst = in->t[AT_DIFF],
    .diff_weight = added (out, 1, row, in->t[1]),
    .diff_bias = added (out, 2, row, in->t[2]),
    .diff_gamma = added (out, 3, row, in->t[3]),
    .diff_beta = added (out, 4, row, in->t[4]),
  };

  return umedpt_dispatch_patch_embed_backward (backend_of (context), &args,
      error);
}

static double
flops_patch_embed (const OpRow *row)
{
  return kind_patch_embed.flops (row);
}

static void
make_patch_merge (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  const gint64 *p = row->p;
  gint64 shape[4] = { p[0], (p[1] + 1) / 2, (p[2] + 1) / 2, 2 * p[3] };
  UmedptPatchMergeArgs args;
  g_autoptr (UmedptTensor) dst = fill_new (UMEDPT_DTYPE_F32, 4, shape);

  kind_patch_merge.make (row, dtype, lcg, in);
  make_diff (lcg, in, UMEDPT_DTYPE_F32, 4, shape);
  in->t[AT_SAVED] = fill_new (UMEDPT_DTYPE_F32, 4, shape);
  args = op_patch_merge_args (row, in);
  args.dst = dst;
  FORWARD (patch_merge, &args);
}

static gboolean
run_patch_merge (UmedptContext *context, const OpRow *row, const OpInputs *in,
    OpOutputs *out, GError **error)
{
  UmedptPatchMergeBackwardArgs args = {
    .forward = op_patch_merge_args (row, in),
    .diff_dst = in->t[AT_DIFF],
    .diff_src = written (out, 0, row, in->t[0]),
    .diff_weight = added (out, 1, row, in->t[1]),
    .diff_gamma = added (out, 2, row, in->t[2]),
    .diff_beta = added (out, 3, row, in->t[3]),
    .accumulate = adds (row),
  };

  return umedpt_dispatch_patch_merge_backward (backend_of (context), &args,
      error);
}

static double
flops_patch_merge (const OpRow *row)
{
  return 2 * kind_patch_merge.flops (row);
}

static void
make_position_bias (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  gint64 l = row->p[0] * row->p[0];

  kind_position_bias.make (row, dtype, lcg, in);
  make_diff (lcg, in, UMEDPT_DTYPE_F32, SHAPE (row->p[1], l, l));
}

static gboolean
run_position_bias (UmedptContext *context, const OpRow *row, const OpInputs *in,
    OpOutputs *out, GError **error)
{
  UmedptPositionBiasBackwardArgs args = {
    .forward = { .w1 = in->t[0],
        .b1 = in->t[1],
        .w2 = in->t[2],
        .window = row->p[0] },
    .diff_dst = in->t[AT_DIFF],
    .diff_w1 = added (out, 0, row, in->t[0]),
    .diff_b1 = added (out, 1, row, in->t[1]),
    .diff_w2 = added (out, 2, row, in->t[2]),
  };

  return umedpt_dispatch_position_bias_backward (backend_of (context), &args,
      error);
}

static void
make_window_attention (const OpRow *row, UmedptDtype dtype, Lcg *lcg,
    OpInputs *in)
{
  const gint64 *p = row->p;

  kind_window_attention.make (row, dtype, lcg, in);
  make_diff (lcg, in, dtype, SHAPE (p[0], p[1], p[2], p[3] * p[4]));
}

static gboolean
run_window_attention (UmedptContext *context, const OpRow *row,
    const OpInputs *in, OpOutputs *out, GError **error)
{
  UmedptWindowAttentionBackwardArgs args = {
    .forward = { .qkv = in->t[0],
        .qkv_bias = in->t[1],
        .scale = in->t[2],
        .position_bias = in->t[3],
        .heads = row->p[3],
        .window = row->p[5],
        .shift = row->p[6] },
    .diff_dst = in->t[AT_DIFF],
    .diff_qkv = only_written (out, 0, row, in->t[0]),
    .diff_qkv_bias = added (out, 1, row, in->t[1]),
    .diff_scale = added (out, 2, row, in->t[2]),
    .diff_position_bias = added (out, 3, row, in->t[3]),
  };

  return umedpt_dispatch_window_attention_backward (backend_of (context), &args,
      error);
}

static double
flops_window_attention (const OpRow *row)
{
  return 2.5 * kind_window_attention.flops (row);
}

static void
make_conv2d (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  const gint64 *p = row->p;

  kind_conv2d.make (row, dtype, lcg, in);
  make_diff (lcg, in, row->flags & OP_HALF_DST ? UMEDPT_DTYPE_BF16 : dtype,
      SHAPE (p[0], (p[1] + 2 * p[7] - p[5]) / p[6] + 1,
          (p[2] + 2 * p[7] - p[5]) / p[6] + 1, p[4]));
}

/* p[8] only says whether there is a bias. */
static gboolean
run_conv2d (UmedptContext *context, const OpRow *row, const OpInputs *in,
    OpOutputs *out, GError **error)
{
  UmedptConv2dBackwardArgs args = {
    .forward = { .src = in->t[0],
        .weight = in->t[1],
        .bias = in->t[2],
        .stride = row->p[6],
        .padding = row->p[7],
        .compute = in->compute },
    .diff_dst = in->t[AT_DIFF],
    .diff_src = written (out, 0, row, in->t[0]),
    .diff_weight = added (out, 1, row, in->t[1]),
    .diff_bias = added (out, 2, row, in->t[2]),
    .accumulate = adds (row),
  };

  return umedpt_dispatch_conv2d_backward (backend_of (context), &args, error);
}

static double
flops_conv2d (const OpRow *row)
{
  return 2 * kind_conv2d.flops (row);
}

static void
make_multiply (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  kind_multiply.make (row, dtype, lcg, in);
  make_diff (lcg, in, dtype, SHAPE (row->p[0]));
}

static gboolean
run_multiply (UmedptContext *context, const OpRow *row, const OpInputs *in,
    OpOutputs *out, GError **error)
{
  UmedptMultiplyBackwardArgs args = {
    .forward = { .a = in->t[0], .b = in->t[1] },
    .diff_dst = in->t[AT_DIFF],
    .diff_a = written (out, 0, row, in->t[0]),
    .diff_b = in->t[1]->n_elements == 1 ? added (out, 1, row, in->t[1])
                                        : written (out, 1, row, in->t[1]),
    .accumulate_a = adds (row),
    .accumulate_b = adds (row),
  };

  return umedpt_dispatch_multiply_backward (backend_of (context), &args, error);
}

static void
make_upsample_concat (const OpRow *row, UmedptDtype dtype, Lcg *lcg,
    OpInputs *in)
{
  const gint64 *p = row->p;

  kind_upsample_concat.make (row, dtype, lcg, in);
  make_diff (lcg, in, dtype, SHAPE (p[0], p[4], p[5], p[3] + p[6]));
}

static gboolean
run_upsample_concat (UmedptContext *context, const OpRow *row,
    const OpInputs *in, OpOutputs *out, GError **error)
{
  UmedptUpsampleConcatBackwardArgs args = {
    .forward = { .src = in->t[0], .skip = in->t[1] },
    .diff_dst = in->t[AT_DIFF],
    .diff_src = written (out, 0, row, in->t[0]),
    .diff_skip = written (out, 1, row, in->t[1]),
    .accumulate = adds (row),
    .accumulate_skip = adds (row),
  };

  return umedpt_dispatch_upsample_concat_backward (backend_of (context), &args,
      error);
}

static void
make_upsample_add (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  const gint64 *p = row->p;

  kind_upsample_concat.make (row, dtype, lcg, in);
  make_diff (lcg, in, dtype, SHAPE (p[0], p[4], p[5], p[3]));
}

static gboolean
run_upsample_add (UmedptContext *context, const OpRow *row, const OpInputs *in,
    OpOutputs *out, GError **error)
{
  UmedptUpsampleAddBackwardArgs args = {
    .forward = { .src = in->t[0] },
    .diff_dst = in->t[AT_DIFF],
    .diff_src = written (out, 0, row, in->t[0]),
    .accumulate = adds (row),
  };

  return umedpt_dispatch_upsample_add_backward (backend_of (context), &args,
      error);
}

static void
make_logit_scale (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  in->t[0] = fill_random (lcg, dtype, row->amplitude, row->offset,
      SHAPE (row->p[0], 1, 1));
  make_diff (lcg, in, dtype, SHAPE (row->p[0]));
}

static gboolean
run_logit_scale (UmedptContext *context, const OpRow *row, const OpInputs *in,
    OpOutputs *out, GError **error)
{
  UmedptLogitScaleBackwardArgs args = {
    .forward = { .src = in->t[0] },
    .diff_dst = in->t[AT_DIFF],
    .diff_src = added (out, 0, row, in->t[0]),
  };

  return umedpt_dispatch_logit_scale_backward (backend_of (context), &args,
      error);
}

static void
make_mask_key_bias (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  in->t[0] = fill_random (lcg, dtype, 1, 0, SHAPE (3 * row->p[0]));
  make_diff (lcg, in, dtype, SHAPE (3 * row->p[0]));
}

static gboolean
run_mask_key_bias (UmedptContext *context, const OpRow *row, const OpInputs *in,
    OpOutputs *out, GError **error)
{
  UmedptMaskKeyBiasBackwardArgs args = {
    .forward = { .src = in->t[0] },
    .diff_dst = in->t[AT_DIFF],
    .diff_src = added (out, 0, row, in->t[0]),
  };

  return umedpt_dispatch_mask_key_bias_backward (backend_of (context), &args,
      error);
}

static void
make_group_reduce (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  kind_group_reduce.make (row, dtype, lcg, in);
  make_diff (lcg, in, dtype, SHAPE (row->p[2], row->p[3] * row->p[1]));
}

static gboolean
run_group_reduce (UmedptContext *context, const OpRow *row, const OpInputs *in,
    OpOutputs *out, GError **error)
{
  UmedptGroupReduceBackwardArgs args = {
    .forward = { .src = in->t[0],
        .weight = in->t[1],
        .groups = in->t[2],
        .grouping = row->p[4] },
    .diff_dst = in->t[AT_DIFF],
    .diff_src = only_written (out, 0, row, in->t[0]),
    .diff_weight = row->flags & OP_NO_PARAMETERS
        ? NULL
        : only_written (out, 1, row, in->t[1]),
  };

  return umedpt_dispatch_group_reduce_backward (backend_of (context), &args,
      error);
}

#define KIND(op, count_flops, has_no_cpu_kernel) \
  const OpKind kind_##op##_backward = { .name = #op "_backward", \
    .make = make_##op, \
    .run_all = run_##op, \
    .flops = count_flops, \
    .left_to_ref = has_no_cpu_kernel }

KIND (activate, NULL, FALSE);
KIND (layer_norm, NULL, FALSE);
KIND (group_norm, NULL, FALSE);
KIND (global_pool, NULL, FALSE);
KIND (linear, flops_linear, TRUE);
KIND (linear_norm, flops_linear, TRUE);
KIND (mlp_norm, flops_mlp_norm, TRUE);
KIND (patch_embed, flops_patch_embed, TRUE);
KIND (patch_merge, flops_patch_merge, TRUE);
KIND (position_bias, NULL, FALSE);
KIND (window_attention, flops_window_attention, FALSE);
KIND (conv2d, flops_conv2d, TRUE);
KIND (multiply, NULL, FALSE);
KIND (upsample_concat, NULL, FALSE);
KIND (upsample_add, NULL, FALSE);
KIND (logit_scale, NULL, TRUE);
KIND (mask_key_bias, NULL, TRUE);
KIND (group_reduce, NULL, TRUE);
