/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Gradients of the reference backend, recorded by the tape, against central
 * differences of its own forward pass, element by element, with one step of
 * Richardson's extrapolation (the error is then of order h^4; what is left is
 * the rounding of f32 outputs). Rows are kinds of the op table on small shapes
 * with all that is odd: padding and shifts, one pixel, one class, nothing
 * labelled, no bias. The same ops in bf16 must give about the same gradients.
 */
#include <math.h>
#include <string.h>

#include "../ops/op-table.h"
#include "autograd/tape.h"

#define DEFAULT_STEP 0.015625f /* 2^-6 */
/* smaller, where a kink is near (a ReLU, the side of a box) */
#define STEP(x) .floor = x
#define NONE UMEDPT_ACTIVATION_NONE
#define RELU UMEDPT_ACTIVATION_RELU
#define GELU UMEDPT_ACTIVATION_GELU
#define SIGMOID UMEDPT_ACTIVATION_SIGMOID
#define TANH UMEDPT_ACTIVATION_TANH
#define BRANCH .flags = OP_BRANCH_SCALE
#define F32 VARIANT_F32
#define BOTH (VARIANT_F32 | VARIANT_BF16)
#define MAPS (VARIANT_F32 | VARIANT_HALF)

/* numbers: see the kinds in ../ops; variants, tolerance in f32 and bf16,
 * amplitude, offset */
/* clang-format off */
static const OpRow rows[] = {
  { &kind_activate, "relu", { 31, RELU }, F32, 1e-4, 0, 3, 0 },
  { &kind_activate, "gelu", { 31, GELU }, F32, 1e-4, 0, 3, 0 },
  { &kind_activate, "sigmoid", { 31, SIGMOID }, F32, 1e-4, 0, 3, 0 },
  { &kind_activate, "tanh", { 31, TANH }, F32, 1e-4, 0, 2, 0 },
  { &kind_activate, "none", { 31, NONE }, F32, 1e-4, 0, 3, 0 },
  { &kind_layer_norm, "affine", { 3, 7, 1 }, F32, 2e-4, 0, 1, 0 },
  { &kind_layer_norm, "bare", { 2, 5, 0 }, F32, 2e-4, 0, 1, 2 },
  { &kind_group_norm, "groups", { 2, 2, 3, 6, 1, 3 }, F32, 2e-4, 0, 1, 0 },
  { &kind_group_norm, "one-group", { 2, 1, 2, 4, 1, 1 }, F32, 2e-4, 0, 1, 1 },
  { &kind_group_norm, "instance", { 1, 3, 2, 3, 0, 3 }, F32, 2e-4, 0, 1, 0 },
  { &kind_global_pool, "average", { 2, 3, 2, 3, UMEDPT_POOLING_AVERAGE }, F32, 1e-4, 0, 1, 0 },
  { &kind_global_pool, "max", { 2, 3, 2, 3, UMEDPT_POOLING_MAX }, F32, 1e-4, 0, 1, 0 },
  { &kind_global_pool, "combined", { 2, 3, 2, 3, UMEDPT_POOLING_COMBINED }, F32, 1e-4, 0, 1, 0 },
  { &kind_linear, "one", { 1, 1, 1, 1, NONE }, BOTH, 1e-4, 2e-2, 1, 0 },
  { &kind_linear, "bias", { 3, 4, 5, 1, NONE }, BOTH, 1e-4, 2e-2, 1, 0 },
  { &kind_linear, "no-bias", { 3, 4, 5, 0, NONE }, BOTH, 1e-4, 2e-2, 1, 0 },
  { &kind_linear, "gelu", { 3, 4, 5, 1, GELU }, BOTH, 1e-4, 2e-2, 1, 0 },
  { &kind_linear, "half", { 3, 4, 5, 1, TANH }, VARIANT_HALF, 0, 3e-2, 1, 0 },
  { &kind_linear_norm, "residual", { 3, 4, 5, 1, 1 }, BOTH, 2e-4, 3e-2, 1, 0 },
  { &kind_linear_norm, "bare", { 3, 4, 5, 0, 0 }, BOTH, 2e-4, 3e-2, 1, 0 },
  { &kind_linear_norm_train, "branch", { 6, 4, 5, 1, 1 }, BOTH, 2e-4, 3e-2, 1, 0, BRANCH },
  { &kind_mlp_norm, "affine", { 3, 4, 7, 1 }, BOTH, 3e-4, 5e-2, 1, 0 },
  { &kind_mlp_norm, "bare", { 2, 4, 6, 0 }, BOTH, 3e-4, 5e-2, 1, 0 },
  { &kind_mlp_norm_train, "branch", { 6, 4, 7, 1 }, BOTH, 3e-4, 5e-2, 1, 0, BRANCH },
  { &kind_patch_embed, "odd", { 2, 5, 7, 4, 1, 2, 0 }, BOTH, 3e-4, 3e-2, 0.5, 0.5 },
  { &kind_patch_embed, "u8", { 1, 4, 5, 3, 0, 2, 1 }, BOTH, 3e-4, 3e-2, 1, 0 },
  { &kind_patch_merge, "odd", { 2, 3, 5, 2, 1 }, BOTH, 3e-4, 3e-2, 1, 0 },
  { &kind_patch_merge, "pixel", { 1, 1, 1, 3, 0 }, BOTH, 3e-4, 3e-2, 1, 0 },
  { &kind_conv2d, "point", { 1, 2, 2, 3, 2, 1, 1, 0, NONE }, BOTH, 1e-4, 2e-2, 1, 0 },
  { &kind_conv2d, "pad", { 2, 3, 4, 2, 3, 3, 1, 1, GELU }, BOTH, 1e-4, 2e-2, 1, 0 },
  { &kind_conv2d, "stride", { 1, 5, 4, 2, 3, 3, 2, 1, NONE }, BOTH, 1e-4, 2e-2, 1, 0 },
  { &kind_conv2d, "wide-pad", { 1, 2, 2, 2, 2, 3, 2, 3, SIGMOID }, BOTH, 1e-4, 2e-2, 1, 0 },
  { &kind_position_bias, "window-3", { 3, 2, 5 }, F32, 1e-3, 0, 1, 0, STEP (0.001) },
  { &kind_position_bias, "window-1", { 1, 2, 5 }, F32, 1e-3, 0, 1, 0 },
  { &kind_window_attention, "whole", { 1, 4, 4, 2, 3, 2, 0, 3 }, MAPS, 3e-4, 5e-2, 1, 0 },
  { &kind_window_attention, "shift", { 1, 4, 4, 1, 3, 2, 1, 3 }, MAPS, 3e-4, 5e-2, 1, 0 },
  { &kind_window_attention, "pad", { 1, 3, 5, 2, 3, 4, 0, 3 }, MAPS, 3e-4, 5e-2, 1, 0 },
  { &kind_window_attention, "pad-shift", { 2, 3, 5, 1, 4, 2, 1, 3 }, MAPS, 3e-4, 5e-2, 1, 0 },
  { &kind_window_attention, "one-axis", { 1, 2, 7, 1, 3, 3, 1, 3 }, MAPS, 3e-4, 5e-2, 1, 0 },
  { &kind_window_attention, "pixel", { 1, 1, 1, 1, 3, 2, 1, 3 }, MAPS, 3e-4, 5e-2, 1, 0 },
  { &kind_window_attention, "window-1", { 1, 2, 2, 1, 3, 1, 0, 3 }, MAPS, 3e-4, 5e-2, 1, 0 },
  { &kind_add, "maps", { 13, 0 }, F32, 1e-4, 0, 1, 0 },
  { &kind_multiply, "maps", { 13, 0 }, F32, 1e-4, 0, 1, 0 },
  { &kind_multiply, "number", { 13, 1 }, F32, 1e-4, 0, 1, 0 },
  { &kind_multiply, "one", { 1, 0 }, F32, 1e-4, 0, 1, 0 },
  { &kind_upsample_concat, "odd", { 2, 2, 3, 2, 5, 4, 3 }, F32, 1e-4, 0, 1, 0 },
  { &kind_upsample_concat, "no-skip", { 1, 2, 3, 2, 4, 6, 0 }, F32, 1e-4, 0, 1, 0 },
  { &kind_upsample_concat, "smaller", { 1, 5, 4, 2, 2, 3, 1 }, F32, 1e-4, 0, 1, 0 },
  { &kind_upsample_add, "odd", { 2, 2, 3, 2, 5, 4 }, F32, 1e-4, 0, 1, 0 },
  { &kind_logit_scale, "bounded", { 7 }, F32, 1e-4, 0, 2, 4 },
  { &kind_mask_key_bias, "third", { 4 }, F32, 1e-4, 0, 1, 0 },
  { &kind_group_reduce, "weighted", { 7, 3, 3, 1, UMEDPT_GROUPING_WEIGHTED }, F32, 1e-4, 0, 1, 0 },
  { &kind_group_reduce, "softmax", { 7, 3, 3, 2, UMEDPT_GROUPING_SOFTMAX }, F32, 3e-4, 0, 1, 0 },
};

static const OpRow losses[] = {
  { &kind_cross_entropy, "odd", { 7, 5, 0, 3 }, F32, 1e-4, 0, 2, 0 },
  { &kind_cross_entropy, "focal", { 7, 5, 200, 3 }, F32, 1e-4, 0, 2, 0 },
  { &kind_cross_entropy, "focal-half", { 7, 5, 50, 0 }, F32, 1e-4, 0, 2, 0 },
  { &kind_cross_entropy, "one-class", { 3, 1, 0, 0 }, F32, 1e-4, 0, 2, 0 },
  { &kind_cross_entropy, "one-class-focal", { 3, 1, 50, 0 }, F32, 1e-4, 0, 2, 0 },
  { &kind_cross_entropy, "none", { 3, 4, 0, 1 }, F32, 1e-4, 0, 2, 0 },
  { &kind_binary_cross_entropy, "odd", { 5, 3, 0 }, F32, 1e-4, 0, 3, 0 },
  { &kind_binary_cross_entropy, "weights", { 5, 3, 1 }, F32, 1e-4, 0, 3, 0 },
  { &kind_squared_error, "odd", { 7 }, F32, 1e-4, 0, 1, 0 },
  { &kind_segmentation_loss, "odd", { 2, 3, 2, 4, 0, 4, 5 }, F32, 3e-4, 0, 2, 0 },
  { &kind_segmentation_loss, "absent", { 1, 3, 3, 4, 0, 2, 4 }, F32, 3e-4, 0, 2, 0 },
  { &kind_segmentation_loss, "one-class", { 1, 3, 3, 1, 0, 1, 0 }, F32, 3e-4, 0, 2, 0 },
  { &kind_segmentation_loss, "all-ignored", { 1, 3, 3, 3, 0, 3, 1 }, F32, 1e-4, 0, 2, 0 },
  { &kind_segmentation_loss, "multilabel", { 2, 3, 2, 3, 1, 3, 5 }, F32, 3e-4, 0, 2, 0 },
  { &kind_segmentation_loss, "multilabel-one", { 1, 3, 3, 1, 1, 1, 4 }, F32, 3e-4, 0, 2, 0 },
  { &kind_segmentation_loss, "multilabel-none", { 1, 3, 3, 2, 1, 2, 1 }, F32, 1e-4, 0, 2, 0 },
  { &kind_detection_loss, "odd", { 1, 3, 4, 3, 2 }, F32, 5e-4, 0, 2, 0 },
  { &kind_detection_loss, "one-class", { 1, 3, 4, 1, 2 }, F32, 5e-4, 0, 2, 0, STEP (0.004) },
  { &kind_detection_loss, "no-positives", { 1, 3, 4, 3, 0 }, F32, 3e-4, 0, 2, 0 },
};
/* clang-format on */

static OpInputs
make_inputs (const OpRow *row, UmedptDtype compute, UmedptDtype dtype)
{
  OpInputs in = { .compute = compute };
  Lcg lcg = { g_str_hash (row->name) };

  row->kind->make (row, dtype, &lcg, &in);
  if (row->kind == &kind_detection_loss) /* a bound of the IoU is a kink */
    UMEDPT_F32 (in.t[1])[0] = UMEDPT_F32 (in.t[1])[2] = 1.5f;
  return in;
}

static void
clear_tensors (guint n, UmedptTensor **tensors)
{
  for (guint i = 0; i < n; i++)
    g_clear_pointer (&tensors[i], umedpt_tensor_unref);
}

/* Images, groups and factors of branches have no gradient. */
static gboolean
has_gradient (const OpRow *row, const OpInputs *in, guint i)
{
  const char *kind = row->kind->name;

  if (!in->t[i] || i == AT_SCALE ||
      (in->t[i]->dtype != UMEDPT_DTYPE_F32 &&
          in->t[i]->dtype != UMEDPT_DTYPE_BF16))
    return FALSE;
  return !(i == 0 && g_str_has_prefix (kind, "patch_embed"));
}

/* sum of weight y, in double. */
static double
value (UmedptContext *context, const OpRow *row, UmedptDtype dtype,
    const OpInputs *in, const UmedptTensor *weight)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptTensor) dst =
      row->kind->run (context, row, dtype, in, &error);
  double sum = 0;

  g_assert_no_error (error);
  for (gsize i = 0; i < dst->n_elements; i++)
    sum += (double) fill_get (dst, i) * fill_get (weight, i);
  return sum;
}

/* The sum of the values of a loss. */
static double
loss_value (UmedptContext *context, const OpRow *row, const OpInputs *in)
{
  g_autoptr (GError) error = NULL;
  OpOutputs out = { { NULL } };
  double sum = 0;

  g_assert_true (row->kind->run_all (context, row, in, &out, &error));
  g_assert_no_error (error);
  for (gsize i = 0; i < out.t[0]->n_elements; i++)
    sum += UMEDPT_F32 (out.t[0])[i];
  clear_tensors (G_N_ELEMENTS (out.t), out.t);
  return sum;
}

/* (f (x + h) - f (x - h)) / 2h, for the h that f32 makes of it. */
static double
difference (UmedptContext *context, const OpRow *row, const OpInputs *in,
    const UmedptTensor *weight, float *x, float h)
{
  const float saved = *x;
  volatile float above = saved + h, below = saved - h;
  double f[2];

  for (guint i = 0; i < 2; i++) {
    *x = i ? below : above;
    f[i] = weight ? value (context, row, UMEDPT_DTYPE_F32, in, weight)
                  : loss_value (context, row, in);
  }
  *x = saved;
  return (f[0] - f[1]) / ((double) above - below);
}

/* The gradient of one input against differences of all its elements. */
static void
check_differences (UmedptContext *context, const OpRow *row, const OpInputs *in,
    const UmedptTensor *weight, guint at, const UmedptTensor *grad)
{
  UmedptTensor *x = in->t[at];
  float step = row->floor > 0 ? (float) row->floor : DEFAULT_STEP;
  double errors = 0, squares = 0, l2;

  g_assert_nonnull (grad);
  g_assert_true (umedpt_tensor_same_shape (x, grad));
  for (gsize i = 0; i < x->n_elements; i++) {
    float *at_x = UMEDPT_F32 (x) + i;
    double near = difference (context, row, in, weight, at_x, step);
    double far = difference (context, row, in, weight, at_x, 2 * step);
    double expected = (4 * near - far) / 3;
    double error = UMEDPT_F32 (grad)[i] - expected;

    errors += error * error;
    squares += expected * expected;
  }
  /* no gradient at all is a gradient: 0, but for rounding */
  l2 = sqrt (errors / MAX (squares, 1e-2));
  g_test_message ("input %u: relative L2 %.2e", at, l2);
  if (!(l2 <= row->tolerance))
    g_test_fail_printf ("input %u: relative L2 %.2e: more than %.0e", at, l2,
        row->tolerance);
}

/* Runs forward and backward on a tape; gradients hang on the inputs. */
static UmedptTensor *
record (UmedptContext *context, const OpRow *row, UmedptDtype dtype,
    OpInputs *in)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptTape) tape = umedpt_tape_new ();
  g_autoptr (UmedptTensor) dst = NULL;
  UmedptTensor *weight;
  Lcg lcg = { 99 };

  for (guint i = 0; i < G_N_ELEMENTS (in->t); i++)
    if (has_gradient (row, in, i))
      in->t[i]->requires_grad = TRUE;
  umedpt_context_set_tape (context, tape);
  dst = row->kind->run (context, row, dtype, in, &error);
  umedpt_context_set_tape (context, NULL);
  g_assert_no_error (error);
  weight = fill_random (&lcg, dst->dtype, 1, 0, dst->n_dims, dst->shape);
  { /* the tape may change what it is given */
    g_autoptr (UmedptTensor) diff =
        fill_new (dst->dtype, dst->n_dims, dst->shape);

    memcpy (diff->data, weight->data, umedpt_tensor_get_size (diff));
    g_assert_true (umedpt_tape_seed (dst, diff, &error));
  }
  g_assert_true (umedpt_tape_backward (tape, context, &error));
  g_assert_no_error (error);
  g_assert_null (dst->grad);
  return weight;
}

static void
test_row (gconstpointer data)
{
  const OpRow *row = data;
  g_autoptr (UmedptContext) context =
      umedpt_context_new (umedpt_backend_ref (), UMEDPT_DTYPE_F32);
  OpInputs in = make_inputs (row, UMEDPT_DTYPE_F32, UMEDPT_DTYPE_F32);
  g_autoptr (UmedptTensor) weight =
      record (context, row, UMEDPT_DTYPE_F32, &in);

  for (guint i = 0; i < G_N_ELEMENTS (in.t); i++)
    if (has_gradient (row, &in, i)) {
      g_autoptr (UmedptTensor) grad = g_steal_pointer (&in.t[i]->grad);

      check_differences (context, row, &in, weight, i, grad);
    }
  clear_tensors (G_N_ELEMENTS (in.t), in.t);
}

/* bf16 rounds operands, and nothing worse: close to f32. */
static void
test_half (gconstpointer data)
{
  const OpRow *row = data;
  UmedptDtype dtype =
      row->variants & VARIANT_HALF ? UMEDPT_DTYPE_BF16 : UMEDPT_DTYPE_F32;
  g_autoptr (UmedptContext) f32 =
      umedpt_context_new (umedpt_backend_ref (), UMEDPT_DTYPE_F32);
  g_autoptr (UmedptContext) bf16 =
      umedpt_context_new (umedpt_backend_ref (), UMEDPT_DTYPE_BF16);
  OpInputs a = make_inputs (row, UMEDPT_DTYPE_F32, UMEDPT_DTYPE_F32);
  OpInputs b = make_inputs (row, UMEDPT_DTYPE_BF16, dtype);

  umedpt_tensor_unref (record (f32, row, UMEDPT_DTYPE_F32, &a));
  umedpt_tensor_unref (record (bf16, row, dtype, &b));
  for (guint i = 0; i < G_N_ELEMENTS (a.t); i++) {
    double errors = 0, squares = 1e-2;

    if (!has_gradient (row, &a, i))
      continue;
    for (gsize j = 0; j < a.t[i]->n_elements; j++) {
      double expected = fill_get (a.t[i]->grad, j);

      errors += pow (fill_get (b.t[i]->grad, j) - expected, 2);
      squares += expected * expected;
    }
    g_test_message ("input %u: relative L2 %.2e", i, sqrt (errors / squares));
    g_assert_cmpfloat (sqrt (errors / squares), <=, row->tolerance_bf16);
  }
  clear_tensors (G_N_ELEMENTS (a.t), a.t);
  clear_tensors (G_N_ELEMENTS (b.t), b.t);
}

/* Losses compute their gradients themselves: output 1 + i is that of input i. */
static void
test_loss (gconstpointer data)
{
  const OpRow *row = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptContext) context =
      umedpt_context_new (umedpt_backend_ref (), UMEDPT_DTYPE_F32);
  OpInputs in = make_inputs (row, UMEDPT_DTYPE_F32, UMEDPT_DTYPE_F32);
  OpOutputs out = { { NULL } };

  g_assert_true (row->kind->run_all (context, row, &in, &out, &error));
  g_assert_no_error (error);
  for (guint i = 1; i < G_N_ELEMENTS (out.t); i++)
    if (out.t[i])
      check_differences (context, row, &in, NULL, i - 1, out.t[i]);
  clear_tensors (G_N_ELEMENTS (in.t), in.t);
  clear_tensors (G_N_ELEMENTS (out.t), out.t);
}

static void
add_test (const char *group, const OpRow *row, GTestDataFunc test)
{
  g_autofree char *path =
      g_strdup_printf ("/%s/%s/%s", group, row->kind->name, row->name);

  g_test_add_data_func (path, row, test);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    if (rows[i].variants & VARIANT_F32)
      add_test ("gradients", &rows[i], test_row);
    if (rows[i].variants & (VARIANT_BF16 | VARIANT_HALF))
      add_test ("bf16", &rows[i], test_half);
  }
  for (guint i = 0; i < G_N_ELEMENTS (losses); i++)
    add_test ("losses", &losses[i], test_loss);
  return g_test_run ();
}
