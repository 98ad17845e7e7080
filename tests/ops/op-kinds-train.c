/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Kinds of the op table: forward passes as training runs them (with what they
 * save, and stochastic depth), and ops that only training and decoders need.
 * The comment before a kind gives the meaning of a row's numbers, where it is
 * not that of the kind for inference.
 */
#include <math.h>

#include "op-table.h"

#define EPSILON 1e-5f
#define N_SAMPLES(m) ((m) % 3 == 0 ? 3 : 1)

static double
flops_linear_norm (const OpRow *row)
{
  return kind_linear_norm.flops (row);
}

static double
flops_mlp_norm (const OpRow *row)
{
  return kind_mlp_norm.flops (row);
}

static double
flops_patch_embed (const OpRow *row)
{
  return kind_patch_embed.flops (row);
}

static double
flops_patch_merge (const OpRow *row)
{
  return kind_patch_merge.flops (row);
}

UmedptMemory *op_memory;

UmedptTensor *
op_moved (UmedptTensor *tensor)
{
  fill_move (tensor, op_memory);
  return tensor;
}

void
op_copy (UmedptTensor *dst, const UmedptTensor *src)
{
  g_autoptr (GError) error = NULL;

  umedpt_tensor_copy (dst, src, &error);
  g_assert_no_error (error);
}

/* The output at @at, new where it is not there yet: all NaN, for it must be
 * written. */
UmedptTensor *
op_output (OpOutputs *out, guint at, UmedptDtype dtype, guint n_dims,
    const gint64 *shape)
{
  if (!out->t[at])
    out->t[at] =
        op_moved (fill_random (&(Lcg){ 1 }, dtype, 0, NAN, n_dims, shape));
  return out->t[at];
}

/* A factor per sample; 0 for the one that is dropped. */
static void
make_branch_scale (const OpRow *row, gint64 m, Lcg *lcg, OpInputs *in)
{
  if (!(row->flags & OP_BRANCH_SCALE))
    return;
  in->t[AT_SCALE] =
      fill_random (lcg, UMEDPT_DTYPE_F32, 0.5f, 1.5f, SHAPE (N_SAMPLES (m)));
  UMEDPT_F32 (in->t[AT_SCALE])[N_SAMPLES (m) / 2] = N_SAMPLES (m) > 1 ? 0 : 2;
}

static UmedptTensor *
run_linear_norm (UmedptContext *context, const OpRow *row, UmedptDtype dtype,
    const OpInputs *in, GError **error)
{
  return kind_linear_norm.run (context, row, dtype, in, error);
}

static UmedptTensor *
run_mlp_norm (UmedptContext *context, const OpRow *row, UmedptDtype dtype,
    const OpInputs *in, GError **error)
{
  return kind_mlp_norm.run (context, row, dtype, in, error);
}

static UmedptTensor *
run_patch_embed (UmedptContext *context, const OpRow *row, UmedptDtype dtype,
    const OpInputs *in, GError **error)
{
  return kind_patch_embed.run (context, row, dtype, in, error);
}

static UmedptTensor *
run_patch_merge (UmedptContext *context, const OpRow *row, UmedptDtype dtype,
    const OpInputs *in, GError **error)
{
  return kind_patch_merge.run (context, row, dtype, in, error);
}

static void
make_linear_norm_train (const OpRow *row, UmedptDtype dtype, Lcg *lcg,
    OpInputs *in)
{
  kind_linear_norm.make (row, dtype, lcg, in);
  make_branch_scale (row, row->p[0], lcg, in);
}

UmedptLinearNormArgs
op_linear_norm_args (const OpRow *row, const OpInputs *in)
{
  return (UmedptLinearNormArgs){ .src = in->t[0],
    .weight = in->t[1],
    .bias = in->t[2],
    .gamma = in->t[3],
    .beta = in->t[4],
    .residual = in->t[5],
    .branch_scale = in->t[AT_SCALE],
    .saved_product = in->t[AT_SAVED],
    .epsilon = EPSILON,
    .compute = in->compute };
}

static gboolean
run_linear_norm_train (UmedptContext *context, const OpRow *row,
    const OpInputs *in, OpOutputs *out, GError **error)
{
  UmedptLinearNormArgs args = op_linear_norm_args (row, in);

  args.dst = op_output (out, 0, UMEDPT_DTYPE_F32, SHAPE (row->p[0], row->p[2]));
  args.saved_product =
      op_output (out, 1, UMEDPT_DTYPE_F32, SHAPE (row->p[0], row->p[2]));
  return umedpt_dispatch_linear_norm (umedpt_context_get_backend (context),
      &args, error);
}

static void
make_mlp_norm_train (const OpRow *row, UmedptDtype dtype, Lcg *lcg,
    OpInputs *in)
{
  kind_mlp_norm.make (row, dtype, lcg, in);
  make_branch_scale (row, row->p[0], lcg, in);
}

UmedptMlpNormArgs
op_mlp_norm_args (const OpRow *row, const OpInputs *in)
{
  return (UmedptMlpNormArgs){ .src = in->t[0],
    .fc1_weight = in->t[1],
    .fc1_bias = in->t[2],
    .fc2_weight = in->t[3],
    .fc2_bias = in->t[4],
    .gamma = in->t[5],
    .beta = in->t[6],
    .branch_scale = in->t[AT_SCALE],
    .saved_hidden = in->t[AT_HIDDEN],
    .saved_product = in->t[AT_SAVED],
    .epsilon = EPSILON,
    .compute = in->compute };
}

static gboolean
run_mlp_norm_train (UmedptContext *context, const OpRow *row,
    const OpInputs *in, OpOutputs *out, GError **error)
{
  UmedptMlpNormArgs args = op_mlp_norm_args (row, in);
  const gint64 *p = row->p;

  args.dst = op_output (out, 0, UMEDPT_DTYPE_F32, SHAPE (p[0], p[1]));
  args.saved_product = op_output (out, 1, UMEDPT_DTYPE_F32, SHAPE (p[0], p[1]));
  args.saved_hidden = op_output (out, 2, in->compute, SHAPE (p[0], p[2]));
  return umedpt_dispatch_mlp_norm (umedpt_context_get_backend (context), &args,
      error);
}

UmedptPatchEmbedArgs
op_patch_embed_args (const OpRow *row, const OpInputs *in)
{
  return (UmedptPatchEmbedArgs){ .src = in->t[0],
    .weight = in->t[1],
    .bias = in->t[2],
    .gamma = in->t[3],
    .beta = in->t[4],
    .saved_product = in->t[AT_SAVED],
    .epsilon = EPSILON,
    .compute = in->compute };
}

static gboolean
run_patch_embed_train (UmedptContext *context, const OpRow *row,
    const OpInputs *in, OpOutputs *out, GError **error)
{
  UmedptPatchEmbedArgs args = op_patch_embed_args (row, in);
  const gint64 *p = row->p;
  gint64 h = p[1] / p[5], w = p[2] / p[5];

  args.dst = op_output (out, 0, UMEDPT_DTYPE_F32, SHAPE (p[0], h, w, p[3]));
  args.saved_product =
      op_output (out, 1, UMEDPT_DTYPE_F32, SHAPE (p[0], h, w, p[3]));
  return umedpt_dispatch_patch_embed (umedpt_context_get_backend (context),
      &args, error);
}

UmedptPatchMergeArgs
op_patch_merge_args (const OpRow *row, const OpInputs *in)
{
  return (UmedptPatchMergeArgs){ .src = in->t[0],
    .weight = in->t[1],
    .gamma = in->t[2],
    .beta = in->t[3],
    .saved_product = in->t[AT_SAVED],
    .epsilon = EPSILON,
    .compute = in->compute };
}

static gboolean
run_patch_merge_train (UmedptContext *context, const OpRow *row,
    const OpInputs *in, OpOutputs *out, GError **error)
{
  UmedptPatchMergeArgs args = op_patch_merge_args (row, in);
  const gint64 *p = row->p;
  gint64 h = (p[1] + 1) / 2, w = (p[2] + 1) / 2;

  args.dst = op_output (out, 0, UMEDPT_DTYPE_F32, SHAPE (p[0], h, w, 2 * p[3]));
  args.saved_product =
      op_output (out, 1, UMEDPT_DTYPE_F32, SHAPE (p[0], h, w, 2 * p[3]));
  return umedpt_dispatch_patch_merge (umedpt_context_get_backend (context),
      &args, error);
}

static void
make_patch (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  if (row->kind == &kind_patch_embed_train)
    kind_patch_embed.make (row, dtype, lcg, in);
  else
    kind_patch_merge.make (row, dtype, lcg, in);
}

/* add, multiply: elements, 1 for a b of one element */
static void
make_pair (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  for (guint i = 0; i < 2; i++)
    in->t[i] = fill_random (lcg, dtype, row->amplitude, row->offset,
        SHAPE (i && row->p[1] ? 1 : row->p[0]));
}

static UmedptTensor *
run_add (UmedptContext *context, const OpRow *row, UmedptDtype dtype,
    const OpInputs *in, GError **error)
{
  return umedpt_op_add (context, in->t[0], in->t[1], error);
}

static UmedptTensor *
run_multiply (UmedptContext *context, const OpRow *row, UmedptDtype dtype,
    const OpInputs *in, GError **error)
{
  return umedpt_op_multiply (context, in->t[0], in->t[1], error);
}

/* upsample_concat: N, h, w, C, H, W, S; upsample_add: S is not used */
static void
make_upsample (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  const gint64 *p = row->p;
  gint64 channels = row->kind == &kind_upsample_add ? p[3] : p[6];

  in->t[0] = fill_random (lcg, dtype, row->amplitude, row->offset,
      SHAPE (p[0], p[1], p[2], p[3]));
  if (channels)
    in->t[1] = fill_random (lcg, dtype, row->amplitude, row->offset,
        SHAPE (p[0], p[4], p[5], channels));
}

static UmedptTensor *
run_upsample_concat (UmedptContext *context, const OpRow *row,
    UmedptDtype dtype, const OpInputs *in, GError **error)
{
  return umedpt_op_upsample_concat (context, in->t[0], in->t[1], row->p[4],
      row->p[5], error);
}

static UmedptTensor *
run_upsample_add (UmedptContext *context, const OpRow *row, UmedptDtype dtype,
    const OpInputs *in, GError **error)
{
  return umedpt_op_upsample_add (context, in->t[0], in->t[1], error);
}

/* logit_scale: heads; mask_key_bias: C */
static void
make_parameter (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  if (row->kind == &kind_logit_scale)
    in->t[0] = fill_random (lcg, dtype, row->amplitude, row->offset,
        SHAPE (row->p[0], 1, 1));
  else
    in->t[0] = fill_random (lcg, dtype, row->amplitude, row->offset,
        SHAPE (3 * row->p[0]));
}

static UmedptTensor *
run_logit_scale (UmedptContext *context, const OpRow *row, UmedptDtype dtype,
    const OpInputs *in, GError **error)
{
  return umedpt_op_logit_scale (context, in->t[0], error);
}

static UmedptTensor *
run_mask_key_bias (UmedptContext *context, const OpRow *row, UmedptDtype dtype,
    const OpInputs *in, GError **error)
{
  return umedpt_op_mask_key_bias (context, in->t[0], error);
}

/* group_reduce: instances, D, groups, heads, grouping */
static void
make_group_reduce (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  const gint64 *p = row->p;

  in->t[0] =
      fill_random (lcg, dtype, row->amplitude, row->offset, SHAPE (p[0], p[1]));
  in->t[1] = fill_random (lcg, dtype, p[4] == UMEDPT_GROUPING_SOFTMAX ? 8 : 1,
      0, SHAPE (p[0], p[3]));
  in->t[2] = fill_new (UMEDPT_DTYPE_I32, SHAPE (p[0]));
  for (gint64 i = 0; i < p[0]; i++) /* the last groups are small */
    ((gint32 *) in->t[2]->data)[i] =
        (gint32) (i < p[2] ? p[2] - 1 - i : (i * i) % (p[2] + 1) / 2);
}

static UmedptTensor *
run_group_reduce (UmedptContext *context, const OpRow *row, UmedptDtype dtype,
    const OpInputs *in, GError **error)
{
  return umedpt_op_group_reduce (context, in->t[0], in->t[1], in->t[2],
      row->p[2], row->p[4], error);
}

#define TRAIN(op, make_inputs) \
  const OpKind kind_##op##_train = { .name = #op "_train", \
    .make = make_inputs, \
    .run = run_##op, \
    .run_all = run_##op##_train, \
    .flops = flops_##op }

TRAIN (linear_norm, make_linear_norm_train);
TRAIN (mlp_norm, make_mlp_norm_train);
TRAIN (patch_embed, make_patch);
TRAIN (patch_merge, make_patch);

#define SIMPLE(op, make_inputs, has_no_cpu_kernel) \
  const OpKind kind_##op = { .name = #op, \
    .make = make_inputs, \
    .run = run_##op, \
    .left_to_ref = has_no_cpu_kernel }

SIMPLE (add, make_pair, FALSE);
SIMPLE (multiply, make_pair, FALSE);
SIMPLE (upsample_concat, make_upsample, FALSE);
SIMPLE (upsample_add, make_upsample, FALSE);
SIMPLE (logit_scale, make_parameter, TRUE);
SIMPLE (mask_key_bias, make_parameter, TRUE);
SIMPLE (group_reduce, make_group_reduce, TRUE);
