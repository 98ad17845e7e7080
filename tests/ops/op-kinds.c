/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * How each op of the table is fed and called. The comment before a kind gives
 * the meaning of a row's numbers p[0], p[1], …
 */
#include "op-table.h"

#include <math.h>

#define EPSILON 1e-5f

static UmedptTensor *
src_new (const OpRow *row, UmedptDtype dtype, Lcg *lcg, guint n_dims,
    const gint64 *shape)
{
  return fill_random (lcg, dtype, row->amplitude, row->offset, n_dims, shape);
}

/* Weights with outputs of the size of the inputs: ± sqrt (3 / fan in). */
static UmedptTensor *
weight_new (Lcg *lcg, gint64 fan_in, guint n_dims, const gint64 *shape)
{
  return fill_random (lcg, UMEDPT_DTYPE_F32, sqrtf (3.0f / MAX (fan_in, 1)), 0,
      n_dims, shape);
}

static UmedptTensor *
vector_new (Lcg *lcg, gint64 n, float offset)
{
  return fill_random (lcg, UMEDPT_DTYPE_F32, 0.5f, offset, SHAPE (n));
}

/* gamma and beta in t[at] and t[at + 1] */
static void
make_affine (Lcg *lcg, gint64 n, gboolean wanted, OpInputs *in, guint at)
{
  if (wanted) {
    in->t[at] = vector_new (lcg, n, 1);
    in->t[at + 1] = vector_new (lcg, n, 0);
  }
}

/* convert: elements, from, to */
static void
make_convert (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  in->t[0] = src_new (row, row->p[1], lcg, SHAPE (row->p[0]));
}

static UmedptTensor *
run_convert (UmedptContext *context, const OpRow *row, UmedptDtype dtype,
    const OpInputs *in, GError **error)
{
  return umedpt_op_convert (context, in->t[0], row->p[2], error);
}

/* activate: elements, activation */
static void
make_activate (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  in->t[0] = src_new (row, dtype, lcg, SHAPE (row->p[0]));
}

static UmedptTensor *
run_activate (UmedptContext *context, const OpRow *row, UmedptDtype dtype,
    const OpInputs *in, GError **error)
{
  return umedpt_op_activate (context, in->t[0], row->p[1], error);
}

/* layer_norm: M, C, affine */
static void
make_layer_norm (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  in->t[0] = src_new (row, dtype, lcg, SHAPE (row->p[0], row->p[1]));
  make_affine (lcg, row->p[1], row->p[2], in, 1);
}

static UmedptTensor *
run_layer_norm (UmedptContext *context, const OpRow *row, UmedptDtype dtype,
    const OpInputs *in, GError **error)
{
  return umedpt_op_layer_norm (context, in->t[0], in->t[1], in->t[2], EPSILON,
      error);
}

/* group_norm: N, H, W, C, affine, groups */
static void
make_group_norm (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  in->t[0] = src_new (row, dtype, lcg,
      SHAPE (row->p[0], row->p[1], row->p[2], row->p[3]));
  make_affine (lcg, row->p[3], row->p[4], in, 1);
}

static UmedptTensor *
run_group_norm (UmedptContext *context, const OpRow *row, UmedptDtype dtype,
    const OpInputs *in, GError **error)
{
  return umedpt_op_group_norm (context, in->t[0], in->t[1], in->t[2], row->p[5],
      EPSILON, error);
}

/* global_pool: N, H, W, C, pooling */
static void
make_global_pool (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  in->t[0] = src_new (row, dtype, lcg,
      SHAPE (row->p[0], row->p[1], row->p[2], row->p[3]));
}

static UmedptTensor *
run_global_pool (UmedptContext *context, const OpRow *row, UmedptDtype dtype,
    const OpInputs *in, GError **error)
{
  return umedpt_op_global_pool (context, in->t[0], row->p[4], error);
}

/* linear: M, K, N, bias, activation */
static void
make_linear (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  gint64 m = row->p[0], k = row->p[1], n = row->p[2];

  in->t[0] = src_new (row, dtype, lcg, SHAPE (m, k));
  in->t[1] = weight_new (lcg, k, SHAPE (n, k));
  in->t[2] = row->p[3] ? vector_new (lcg, n, 0) : NULL;
}

static UmedptTensor *
run_linear (UmedptContext *context, const OpRow *row, UmedptDtype dtype,
    const OpInputs *in, GError **error)
{
  return umedpt_op_linear (context, in->t[0], in->t[1], in->t[2], row->p[4],
      dtype, error);
}

static double
flops_linear (const OpRow *row)
{
  return 2.0 * row->p[0] * row->p[1] * row->p[2];
}

/* linear_norm: M, K, N, affine, residual */
static void
make_linear_norm (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  gint64 m = row->p[0], k = row->p[1], n = row->p[2];

  in->t[0] = src_new (row, dtype, lcg, SHAPE (m, k));
  in->t[1] = weight_new (lcg, k, SHAPE (n, k));
  in->t[2] = vector_new (lcg, n, 0);
  make_affine (lcg, n, row->p[3], in, 3);
  if (row->p[4])
    in->t[5] = src_new (row, UMEDPT_DTYPE_F32, lcg, SHAPE (m, n));
}

static UmedptTensor *
run_linear_norm (UmedptContext *context, const OpRow *row, UmedptDtype dtype,
    const OpInputs *in, GError **error)
{
  return umedpt_op_linear_norm (context, in->t[0], in->t[1], in->t[2], in->t[3],
      in->t[4], in->t[5], in->t[AT_SCALE], EPSILON, error);
}

/* mlp_norm: M, C, hidden, affine */
static void
make_mlp_norm (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  gint64 m = row->p[0], c = row->p[1], hidden = row->p[2];

  in->t[0] = src_new (row, UMEDPT_DTYPE_F32, lcg, SHAPE (m, c));
  in->t[1] = weight_new (lcg, c, SHAPE (hidden, c));
  in->t[2] = vector_new (lcg, hidden, 0);
  in->t[3] = weight_new (lcg, hidden, SHAPE (c, hidden));
  in->t[4] = vector_new (lcg, c, 0);
  make_affine (lcg, c, row->p[3], in, 5);
}

static UmedptTensor *
run_mlp_norm (UmedptContext *context, const OpRow *row, UmedptDtype dtype,
    const OpInputs *in, GError **error)
{
  return umedpt_op_mlp_norm (context, in->t[0], in->t[1], in->t[2], in->t[3],
      in->t[4], in->t[5], in->t[6], in->t[AT_SCALE], EPSILON, error);
}

static double
flops_mlp_norm (const OpRow *row)
{
  return 4.0 * row->p[0] * row->p[1] * row->p[2];
}

/* patch_embed: N, H, W, C, affine, patch, u8 */
static void
make_patch_embed (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  const gint64 *p = row->p;

  in->t[0] = src_new (row, p[6] ? UMEDPT_DTYPE_U8 : UMEDPT_DTYPE_F32, lcg,
      SHAPE (p[0], p[1], p[2], 3));
  in->t[1] = weight_new (lcg, 3 * p[5] * p[5], SHAPE (p[3], 3, p[5], p[5]));
  in->t[2] = vector_new (lcg, p[3], 0);
  make_affine (lcg, p[3], p[4], in, 3);
}

static UmedptTensor *
run_patch_embed (UmedptContext *context, const OpRow *row, UmedptDtype dtype,
    const OpInputs *in, GError **error)
{
  return umedpt_op_patch_embed (context, in->t[0], in->t[1], in->t[2], in->t[3],
      in->t[4], EPSILON, error);
}

static double
flops_patch_embed (const OpRow *row)
{
  const gint64 *p = row->p;

  return 6.0 * p[0] * (p[1] / p[5] * p[5]) * (p[2] / p[5] * p[5]) * p[3];
}

/* patch_merge: N, H, W, C, affine */
static void
make_patch_merge (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  const gint64 *p = row->p;

  in->t[0] =
      src_new (row, UMEDPT_DTYPE_F32, lcg, SHAPE (p[0], p[1], p[2], p[3]));
  in->t[1] = weight_new (lcg, 4 * p[3], SHAPE (2 * p[3], 4 * p[3]));
  make_affine (lcg, 2 * p[3], p[4], in, 2);
}

static UmedptTensor *
run_patch_merge (UmedptContext *context, const OpRow *row, UmedptDtype dtype,
    const OpInputs *in, GError **error)
{
  return umedpt_op_patch_merge (context, in->t[0], in->t[1], in->t[2], in->t[3],
      EPSILON, error);
}

static double
flops_patch_merge (const OpRow *row)
{
  const gint64 *p = row->p;

  return 16.0 * p[0] * ((p[1] + 1) / 2) * ((p[2] + 1) / 2) * p[3] * p[3];
}

/* position_bias: window, heads, hidden */
static void
make_position_bias (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  in->t[0] = weight_new (lcg, 2, SHAPE (row->p[2], 2));
  in->t[1] = vector_new (lcg, row->p[2], 0);
  in->t[2] = weight_new (lcg, row->p[2], SHAPE (row->p[1], row->p[2]));
}

static UmedptTensor *
run_position_bias (UmedptContext *context, const OpRow *row, UmedptDtype dtype,
    const OpInputs *in, GError **error)
{
  return umedpt_op_position_bias (context, in->t[0], in->t[1], in->t[2],
      row->p[0], error);
}

/* window_attention: N, H, W, heads, head dimension, window, shift, scale */
static void
make_window_attention (const OpRow *row, UmedptDtype dtype, Lcg *lcg,
    OpInputs *in)
{
  const gint64 *p = row->p;
  gint64 c = p[3] * p[4], l = p[5] * p[5];

  in->t[0] = src_new (row, dtype, lcg, SHAPE (p[0], p[1], p[2], 3 * c));
  in->t[1] = vector_new (lcg, 3 * c, 0);
  for (gint64 i = c; i < 2 * c; i++) /* the k part is 0 by contract */
    UMEDPT_F32 (in->t[1])[i] = 0;
  in->t[2] = fill_random (lcg, UMEDPT_DTYPE_F32, 0.1f * p[7], 0.9f * p[7],
      SHAPE (p[3]));
  in->t[3] = fill_random (lcg, UMEDPT_DTYPE_F32, 8, 8, SHAPE (p[3], l, l));
}

static UmedptTensor *
run_window_attention (UmedptContext *context, const OpRow *row,
    UmedptDtype dtype, const OpInputs *in, GError **error)
{
  return umedpt_op_window_attention (context, in->t[0], in->t[1], in->t[2],
      in->t[3], row->p[3], row->p[5], row->p[6], error);
}

/* The products of whole windows, padding included. */
static double
flops_window_attention (const OpRow *row)
{
  const gint64 *p = row->p;
  gint64 rows = (p[1] + p[5] - 1) / p[5], columns = (p[2] + p[5] - 1) / p[5];
  double l = p[5] * p[5];

  return 4 * l * l * p[0] * rows * columns * p[3] * p[4];
}

/* conv2d: N, H, W, C, O, kernel, stride, padding, activation; with a bias
 * where there is an activation */
static void
make_conv2d (const OpRow *row, UmedptDtype dtype, Lcg *lcg, OpInputs *in)
{
  const gint64 *p = row->p;

  in->t[0] = src_new (row, dtype, lcg, SHAPE (p[0], p[1], p[2], p[3]));
  in->t[1] =
      weight_new (lcg, p[3] * p[5] * p[5], SHAPE (p[4], p[3], p[5], p[5]));
  in->t[2] = p[8] ? vector_new (lcg, p[4], 0) : NULL;
}

static UmedptTensor *
run_conv2d (UmedptContext *context, const OpRow *row, UmedptDtype dtype,
    const OpInputs *in, GError **error)
{
  return umedpt_op_conv2d (context, in->t[0], in->t[1], in->t[2], row->p[6],
      row->p[7], row->p[8], dtype, error);
}

static double
flops_conv2d (const OpRow *row)
{
  const gint64 *p = row->p;
  gint64 h = (p[1] + 2 * p[7] - p[5]) / p[6] + 1;
  gint64 w = (p[2] + 2 * p[7] - p[5]) / p[6] + 1;

  return 2.0 * p[0] * h * w * p[3] * p[4] * p[5] * p[5];
}

#define KIND(op, flops) \
  const OpKind kind_##op = { #op, make_##op, run_##op, flops }

KIND (convert, NULL);
KIND (activate, NULL);
KIND (layer_norm, NULL);
KIND (group_norm, NULL);
KIND (global_pool, NULL);
KIND (linear, flops_linear);
KIND (linear_norm, flops_linear);
KIND (mlp_norm, flops_mlp_norm);
KIND (patch_embed, flops_patch_embed);
KIND (patch_merge, flops_patch_merge);
KIND (position_bias, NULL);
KIND (window_attention, flops_window_attention);
KIND (conv2d, flops_conv2d);
