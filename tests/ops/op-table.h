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

typedef struct
{
  UmedptTensor *t[8];
} OpInputs;

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
};

extern const OpKind kind_convert, kind_activate, kind_layer_norm,
    kind_group_norm, kind_global_pool, kind_linear, kind_linear_norm,
    kind_mlp_norm, kind_patch_embed, kind_patch_merge, kind_position_bias,
    kind_window_attention, kind_conv2d;

extern const OpRow op_rows[];
extern const guint n_op_rows;
