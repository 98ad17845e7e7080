/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The op table: which ops are compared (and timed) on which shapes. A new op
 * is one entry of the kinds in op-kinds.c and some rows in op-table.c.
 */
#pragma once

#include "autograd/ops.h"
#include "fill.h"

/* In which types a row is run: the type in which products are formed, and
 * that of activations, where the op has a choice. */
typedef enum
{
  VARIANT_F32 = 1 << 0, /* f32, on f32 activations */
  VARIANT_BF16 = 1 << 1, /* bf16, on f32 activations */
  VARIANT_HALF = 1 << 2, /* bf16, on bf16 activations */
  VARIANT_MIXED = 1 << 3, /* f32, on bf16 activations */
} OpVariant;

#define N_VARIANTS 4

/* What a row of training asks for beyond its numbers. */
typedef enum
{
  OP_ADD = 1 << 0, /* gradients are there already: add to them */
  OP_NO_SRC = 1 << 1, /* no gradients of activations are wanted */
  OP_NO_PARAMETERS = 1 << 2, /* no gradients of parameters are wanted */
  OP_BRANCH_SCALE = 1 << 3, /* stochastic depth */
  OP_HALF_DST = 1 << 4, /* f32 in, bf16 out */
} OpFlags;

typedef struct
{
  UmedptDtype compute; /* as in the context that the op will run in */
  UmedptTensor *t[16];
} OpInputs;

typedef struct
{
  UmedptTensor *t[8]; /* (nullable) */
} OpOutputs;

typedef struct _OpRow OpRow;

/* What an op does with the numbers of a row. */
typedef struct
{
  const char *name;
  void (*make) (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in);
  UmedptTensor *(*run) (UmedptContext *context, const OpRow *row,
      UmedptDtype dtype, const OpInputs *in, GError **error);
  /* floating point operations of the matrix products; 0: bound by memory */
  double (*flops) (const OpRow *row);
  /* before run, for ops with several outputs or without a checked op; it
   * makes those that are not there yet */
  gboolean (*run_all) (UmedptContext *context, const OpRow *row,
      const OpInputs *in, OpOutputs *out, GError **error);
  gboolean left_to_ref; /* the cpu backend has no kernel for any row */
} OpKind;

struct _OpRow
{
  const OpKind *kind;
  const char *name;
  gint64 p[9]; /* meaning: see the kind */
  guint variants;
  /* largest relative L2 error: products in f32, and in bf16 */
  double tolerance, tolerance_bf16;
  float amplitude, offset; /* of src: uniform in offset ± amplitude */
  gboolean left_to_ref; /* the cpu backend has no kernel for this shape */
  guint flags; /* OpFlags */
  /* a gradient that should vanish is compared with this instead of itself */
  double floor;
};

extern const OpKind kind_convert, kind_activate, kind_layer_norm,
    kind_group_norm, kind_global_pool, kind_linear, kind_linear_norm,
    kind_mlp_norm, kind_patch_embed, kind_patch_merge, kind_position_bias,
    kind_window_attention, kind_conv2d;

/* op-kinds-train.c: forward passes that keep what training needs, new ops */
extern const OpKind kind_linear_norm_train, kind_mlp_norm_train,
    kind_patch_embed_train, kind_patch_merge_train, kind_add, kind_multiply,
    kind_upsample_concat, kind_upsample_add, kind_logit_scale,
    kind_mask_key_bias, kind_group_reduce;

/* op-kinds-backward.c */
extern const OpKind kind_activate_backward, kind_layer_norm_backward,
    kind_group_norm_backward, kind_global_pool_backward, kind_linear_backward,
    kind_linear_norm_backward, kind_mlp_norm_backward,
    kind_patch_embed_backward, kind_patch_merge_backward,
    kind_position_bias_backward, kind_window_attention_backward,
    kind_conv2d_backward, kind_multiply_backward, kind_upsample_concat_backward,
    kind_upsample_add_backward, kind_logit_scale_backward,
    kind_mask_key_bias_backward, kind_group_reduce_backward;

/* op-kinds-loss.c: losses and optimisers */
extern const OpKind kind_cross_entropy, kind_binary_cross_entropy,
    kind_squared_error, kind_segmentation_loss, kind_detection_loss, kind_adamw,
    kind_sgd, kind_square_sum;

/* Where the kinds of training keep what (op-kinds-train.c). */
enum
{
  AT_DIFF = 8, /* dL / d dst */
  AT_SAVED, /* the product before a norm */
  AT_HIDDEN, /* the MLP's hidden layer */
  AT_SCALE, /* of branches */
};

/* Where outputs are made: NULL, or the memory of the backend that runs. */
extern UmedptMemory *op_memory;

/* Takes @tensor, which lies in host memory; it ends up in op_memory. */
UmedptTensor *op_moved (UmedptTensor *tensor);
void op_copy (UmedptTensor *dst, const UmedptTensor *src);
UmedptTensor *op_output (OpOutputs *out, guint at, UmedptDtype dtype,
    guint n_dims, const gint64 *shape);
UmedptLinearNormArgs op_linear_norm_args (const OpRow *row, const OpInputs *in);
UmedptMlpNormArgs op_mlp_norm_args (const OpRow *row, const OpInputs *in);
UmedptPatchEmbedArgs op_patch_embed_args (const OpRow *row, const OpInputs *in);
UmedptPatchMergeArgs op_patch_merge_args (const OpRow *row, const OpInputs *in);

/* In the order of the pipeline, inference first. */
extern const OpRow op_rows[];
extern const guint n_op_rows;
extern const OpRow op_rows_train[];
extern const guint n_op_rows_train;
