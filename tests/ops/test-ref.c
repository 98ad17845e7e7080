/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The reference against something that is not itself: small cases computed by
 * hand, properties that the mathematics promises, and fused ops against the
 * same thing made of simple ones. Window attention has a file of its own.
 */
#include <math.h>

#include "autograd/ops.h"
#include "fill.h"

typedef UmedptTensor *T;

static UmedptContext *f32;
static UmedptContext *bf16;

static T
checked (T tensor, GError *error)
{
  g_assert_no_error (error);
  g_assert_nonnull (tensor);
  return tensor;
}

/* Calls an op that must work. */
#define OP(call, ...) \
  ({ \
    GError *op_error = NULL; \
    T op_result = umedpt_op_##call (__VA_ARGS__, &op_error); \
    checked (op_result, op_error); \
  })

static void
assert_near (float found, double expected, double tolerance)
{
  if (!(fabs (found - expected) <= tolerance)) /* a NaN is not near */
    g_error ("%.9g is not %.9g ± %g", found, expected, tolerance);
}

static void
assert_values (T tensor, gsize n, const double *expected, double tolerance)
{
  g_assert_cmpuint (tensor->n_elements, ==, n);
  for (gsize i = 0; i < n; i++)
    assert_near (fill_get (tensor, i), expected[i], tolerance);
}

#define ASSERT_VALUES(tensor, tolerance, ...) \
  assert_values (tensor, G_N_ELEMENTS (((const double[]){ __VA_ARGS__ })), \
      (const double[]){ __VA_ARGS__ }, tolerance)

static void
assert_same (T found, T expected, double tolerance)
{
  g_assert_true (umedpt_tensor_same_shape (found, expected));
  for (gsize i = 0; i < found->n_elements; i++)
    assert_near (fill_get (found, i), fill_get (expected, i), tolerance);
}

static void
test_convert (void)
{
  guint8 bytes[] = { 0, 51, 255 };
  g_autoptr (UmedptTensor) u8 = umedpt_tensor_new_wrapped (UMEDPT_DTYPE_U8,
      SHAPE (3), bytes, sizeof bytes, NULL, NULL, NULL);
  /* 1 + 2^-8 lies between two bf16: to the even one; so does 1 + 3 2^-8 */
  g_autoptr (UmedptTensor) src = VALUES (SHAPE (6), 1.00390625f, 1.01171875f,
      1.00390637f, -3.0f, 3.4028235e38f, NAN);
  g_autoptr (UmedptTensor) unit = OP (convert, f32, u8, UMEDPT_DTYPE_F32);
  g_autoptr (UmedptTensor) half = OP (convert, f32, src, UMEDPT_DTYPE_BF16);
  g_autoptr (UmedptTensor) back = OP (convert, f32, half, UMEDPT_DTYPE_F32);
  g_autoptr (UmedptTensor) same = OP (convert, f32, src, UMEDPT_DTYPE_F32);

  ASSERT_VALUES (unit, 1e-7, 0, 0.2, 1);
  g_assert_cmpfloat (UMEDPT_F32 (back)[0], ==, 1.0f);
  g_assert_cmpfloat (UMEDPT_F32 (back)[1], ==, 1.015625f);
  g_assert_cmpfloat (UMEDPT_F32 (back)[2], ==, 1.0078125f);
  g_assert_cmpfloat (UMEDPT_F32 (back)[3], ==, -3.0f);
  g_assert_true (isinf (UMEDPT_F32 (back)[4]));
  g_assert_true (isnan (UMEDPT_F32 (back)[5]));
  g_assert_true (same == src);
}

static void
test_activate (void)
{
  g_autoptr (UmedptTensor) src = VALUES (SHAPE (5), -INFINITY, -1, 0, 1, 100);
  g_autoptr (UmedptTensor) relu =
      OP (activate, f32, src, UMEDPT_ACTIVATION_RELU);
  g_autoptr (UmedptTensor) gelu =
      OP (activate, f32, src, UMEDPT_ACTIVATION_GELU);
  g_autoptr (UmedptTensor) sigmoid =
      OP (activate, f32, src, UMEDPT_ACTIVATION_SIGMOID);

  ASSERT_VALUES (relu, 0, 0, 0, 0, 1, 100);
  ASSERT_VALUES (gelu, 1e-7, 0, -0.15865525393, 0, 0.84134474607, 100);
  ASSERT_VALUES (sigmoid, 1e-7, 0, 0.26894142137, 0.5, 0.73105857863, 1);
}

static void
test_linear (void)
{
  g_autoptr (UmedptTensor) src = VALUES (SHAPE (2, 1, 2), 1, 2, 3, 4);
  g_autoptr (UmedptTensor) weight = VALUES (SHAPE (3, 2), 1, 0, 0.5f, -1, 1, 1);
  g_autoptr (UmedptTensor) bias = VALUES (SHAPE (3), 10, 20, -5);
  g_autoptr (UmedptTensor) plain = OP (linear, f32, src, weight, NULL,
      UMEDPT_ACTIVATION_NONE, UMEDPT_DTYPE_F32);
  g_autoptr (UmedptTensor) relu = OP (linear, f32, src, weight, bias,
      UMEDPT_ACTIVATION_RELU, UMEDPT_DTYPE_BF16);

  ASSERT_VALUES (plain, 0, 1, -1.5, 3, 3, -2.5, 7);
  ASSERT_VALUES (relu, 0, 11, 18.5, 0, 13, 17.5, 2);
  g_assert_cmpint (relu->dtype, ==, UMEDPT_DTYPE_BF16);
  g_assert_cmpuint (relu->n_dims, ==, 3); /* leading dimensions stay */
  g_assert_cmpint (relu->shape[1], ==, 1);
}

/* Operands are rounded, the sum and the bias are not. */
static void
test_bf16 (void)
{
  g_autoptr (UmedptTensor) src = VALUES (SHAPE (1, 2), 1.00390625f, 1);
  g_autoptr (UmedptTensor) weight =
      VALUES (SHAPE (1, 2), 1, 0.001953125f /* 2^-9 */);
  g_autoptr (UmedptTensor) bias = VALUES (SHAPE (1), 1.00390625f);
  g_autoptr (UmedptTensor) exact = OP (linear, f32, src, weight, bias,
      UMEDPT_ACTIVATION_NONE, UMEDPT_DTYPE_F32);
  g_autoptr (UmedptTensor) rounded = OP (linear, bf16, src, weight, bias,
      UMEDPT_ACTIVATION_NONE, UMEDPT_DTYPE_F32);

  ASSERT_VALUES (exact, 0, 2.009765625);
  ASSERT_VALUES (rounded, 0, 2.005859375);
}

/* Mean 0 and variance var / (var + eps) before gamma and beta. */
static void
test_layer_norm (void)
{
  Lcg lcg = { 1 };
  gint64 c = 37;
  g_autoptr (UmedptTensor) src =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 3, 1000, SHAPE (5, c));
  g_autoptr (UmedptTensor) gamma =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 0, 2, SHAPE (c));
  g_autoptr (UmedptTensor) beta =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 0, -7, SHAPE (c));
  g_autoptr (UmedptTensor) dst = NULL;

  for (gint64 i = 0; i < c; i++) /* a constant row becomes beta */
    UMEDPT_F32 (src)[4 * c + i] = 1e6f;
  dst = OP (layer_norm, f32, src, gamma, beta, 1e-5f);
  for (gint64 row = 0; row < 4; row++) {
    double sum = 0, squares = 0;

    for (gint64 i = 0; i < c; i++) {
      double y = (UMEDPT_F32 (dst)[row * c + i] + 7) / 2;
      sum += y;
      squares += y * y;
    }
    g_assert_cmpfloat_with_epsilon (sum / c, 0, 1e-5);
    g_assert_cmpfloat_with_epsilon (squares / c, 1, 1e-4);
  }
  for (gint64 i = 0; i < c; i++)
    g_assert_cmpfloat (UMEDPT_F32 (dst)[4 * c + i], ==, -7);
}

/* By hand: eps is in the variance's root. (x - 2) / sqrt (1 + 3) */
static void
test_norm_by_hand (void)
{
  g_autoptr (UmedptTensor) row = VALUES (SHAPE (2), 1, 3);
  g_autoptr (UmedptTensor) map =
      VALUES (SHAPE (1, 1, 2, 2), 1, 10, 3, 30); /* two pixels, two channels */
  g_autoptr (UmedptTensor) gamma = VALUES (SHAPE (2), 1, 2);
  g_autoptr (UmedptTensor) beta = VALUES (SHAPE (2), 0, 1);
  g_autoptr (UmedptTensor) layer = OP (layer_norm, f32, row, NULL, NULL, 3);
  g_autoptr (UmedptTensor) instance =
      OP (group_norm, f32, map, gamma, beta, 2, 0);
  g_autoptr (UmedptTensor) whole = OP (group_norm, f32, map, NULL, NULL, 1, 0);

  ASSERT_VALUES (layer, 1e-7, -0.5, 0.5);
  ASSERT_VALUES (instance, 1e-7, -1, -1, 1, 3);
  /* mean 11, variance (100 + 1 + 64 + 361) / 4 = 131.5 */
  ASSERT_VALUES (whole, 1e-6, -10 / sqrt (131.5), -1 / sqrt (131.5),
      -8 / sqrt (131.5), 19 / sqrt (131.5));
}

static void
test_global_pool (void)
{
  g_autoptr (UmedptTensor) map =
      VALUES (SHAPE (2, 2, 1, 2), -1, 10, -3, 30, 5, 0, 7, -2);
  g_autoptr (UmedptTensor) mean =
      OP (global_pool, f32, map, UMEDPT_POOLING_AVERAGE);
  g_autoptr (UmedptTensor) max = OP (global_pool, f32, map, UMEDPT_POOLING_MAX);

  ASSERT_VALUES (mean, 1e-6, -2, 20, 6, -1);
  ASSERT_VALUES (max, 0, -1, 30, 7, 0);
}

/* A map of ones under a kernel of ones counts the pixels that it sees. */
static void
test_conv2d (void)
{
  Lcg lcg = { 2 };
  g_autoptr (UmedptTensor) ones =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 0, 1, SHAPE (1, 3, 3, 1));
  g_autoptr (UmedptTensor) kernel =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 0, 1, SHAPE (1, 1, 3, 3));
  g_autoptr (UmedptTensor) same = OP (conv2d, f32, ones, kernel, NULL, 1, 1,
      UMEDPT_ACTIVATION_NONE, UMEDPT_DTYPE_F32);
  g_autoptr (UmedptTensor) strided = OP (conv2d, f32, ones, kernel, NULL, 2, 1,
      UMEDPT_ACTIVATION_NONE, UMEDPT_DTYPE_F32);
  /* kernel [O = 1, C = 2, 1, 2] over one row of two pixels of two channels */
  g_autoptr (UmedptTensor) map = VALUES (SHAPE (1, 1, 2, 2), 1, 2, 3, 4);
  g_autoptr (UmedptTensor) order =
      VALUES (SHAPE (1, 2, 1, 2), 1, 10, 100, 1000);
  g_autoptr (UmedptTensor) bias = VALUES (SHAPE (1), -5000);
  g_autoptr (UmedptTensor) hand = OP (conv2d, f32, map, order, bias, 1, 0,
      UMEDPT_ACTIVATION_NONE, UMEDPT_DTYPE_F32);
  g_autoptr (UmedptTensor) relu = OP (conv2d, f32, map, order, bias, 1, 0,
      UMEDPT_ACTIVATION_RELU, UMEDPT_DTYPE_F32);

  ASSERT_VALUES (same, 0, 4, 6, 4, 6, 9, 6, 4, 6, 4);
  ASSERT_VALUES (strided, 0, 4, 4, 4, 4);
  /* channel 0: 1 + 10 * 3, channel 1: 100 * 2 + 1000 * 4 */
  ASSERT_VALUES (hand, 0, 4231 - 5000);
  ASSERT_VALUES (relu, 0, 0);
}

/* linear_norm and mlp_norm, from linear, layer_norm and a sum. */
static void
test_fused (void)
{
  Lcg lcg = { 3 };
  gint64 c = 12, hidden = 20;
  g_autoptr (UmedptTensor) src =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 1, 0, SHAPE (2, 3, c));
  g_autoptr (UmedptTensor) w1 =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 1, 0, SHAPE (hidden, c));
  g_autoptr (UmedptTensor) b1 =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 1, 0, SHAPE (hidden));
  g_autoptr (UmedptTensor) w2 =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 1, 0, SHAPE (c, hidden));
  g_autoptr (UmedptTensor) b2 =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 1, 0, SHAPE (c));
  g_autoptr (UmedptTensor) gamma =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 1, 0, SHAPE (c));
  g_autoptr (UmedptTensor) middle =
      OP (linear, f32, src, w1, b1, UMEDPT_ACTIVATION_GELU, UMEDPT_DTYPE_F32);
  g_autoptr (UmedptTensor) out = OP (linear, f32, middle, w2, b2,
      UMEDPT_ACTIVATION_NONE, UMEDPT_DTYPE_F32);
  g_autoptr (UmedptTensor) sum = OP (layer_norm, f32, out, gamma, b2, 1e-5f);
  g_autoptr (UmedptTensor) mlp =
      OP (mlp_norm, f32, src, w1, b1, w2, b2, gamma, b2, NULL, 1e-5f);
  g_autoptr (UmedptTensor) bare =
      OP (linear_norm, f32, middle, w2, b2, gamma, b2, NULL, NULL, 1e-5f);
  g_autoptr (UmedptTensor) full =
      OP (linear_norm, f32, middle, w2, b2, gamma, b2, src, NULL, 1e-5f);

  assert_same (bare, sum, 1e-6);
  for (gsize i = 0; i < sum->n_elements; i++)
    UMEDPT_F32 (sum)[i] += UMEDPT_F32 (src)[i];
  assert_same (full, sum, 1e-6);
  assert_same (mlp, sum, 2e-6);
}

/* In bf16 the hidden layer is an operand, hence rounded; the residual is not. */
static void
test_fused_bf16 (void)
{
  Lcg lcg = { 6 };
  gint64 c = 12, hidden = 20;
  g_autoptr (UmedptTensor) src =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 1, 0, SHAPE (5, c));
  g_autoptr (UmedptTensor) w1 =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 1, 0, SHAPE (hidden, c));
  g_autoptr (UmedptTensor) b1 =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 1, 0, SHAPE (hidden));
  g_autoptr (UmedptTensor) w2 =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 1, 0, SHAPE (c, hidden));
  g_autoptr (UmedptTensor) b2 =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 1, 0, SHAPE (c));
  g_autoptr (UmedptTensor) zero =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 0, 0, SHAPE (c));
  g_autoptr (UmedptTensor) middle =
      OP (linear, bf16, src, w1, b1, UMEDPT_ACTIVATION_GELU, UMEDPT_DTYPE_BF16);
  g_autoptr (UmedptTensor) expected =
      OP (linear_norm, bf16, middle, w2, b2, NULL, NULL, src, NULL, 1e-5f);
  g_autoptr (UmedptTensor) found =
      OP (mlp_norm, bf16, src, w1, b1, w2, b2, NULL, NULL, NULL, 1e-5f);
  g_autoptr (UmedptTensor) residual =
      OP (mlp_norm, bf16, src, w1, b1, w2, b2, zero, zero, NULL, 1e-5f);

  assert_same (found, expected, 1e-6);
  assert_same (residual, src, 0);
}

/* The stem is a strided convolution and a norm; u8 is the same image. */
static void
test_patch_embed (void)
{
  Lcg lcg = { 4 };
  g_autoptr (UmedptTensor) bytes =
      fill_random (&lcg, UMEDPT_DTYPE_U8, 1, 0, SHAPE (2, 11, 9, 3));
  g_autoptr (UmedptTensor) src = OP (convert, f32, bytes, UMEDPT_DTYPE_F32);
  g_autoptr (UmedptTensor) weight =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 1, 0, SHAPE (8, 3, 4, 4));
  g_autoptr (UmedptTensor) bias =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 1, 0, SHAPE (8));
  g_autoptr (UmedptTensor) gamma =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 1, 0, SHAPE (8));
  g_autoptr (UmedptTensor) conv = OP (conv2d, f32, src, weight, bias, 4, 0,
      UMEDPT_ACTIVATION_NONE, UMEDPT_DTYPE_F32);
  g_autoptr (UmedptTensor) expected =
      OP (layer_norm, f32, conv, gamma, bias, 1e-5f);
  g_autoptr (UmedptTensor) found =
      OP (patch_embed, f32, src, weight, bias, gamma, bias, 1e-5f);
  g_autoptr (UmedptTensor) from_bytes =
      OP (patch_embed, f32, bytes, weight, bias, gamma, bias, 1e-5f);

  g_assert_cmpint (found->shape[1], ==, 2);
  g_assert_cmpint (found->shape[2], ==, 2);
  assert_same (found, expected, 2e-6);
  assert_same (from_bytes, found, 0);
}

/* Merging, with the four pixels gathered by strided loops over a padded map,
 * one offset after the other, as x[:, 0::2, 0::2], x[:, 1::2, 0::2], … do. */
static void
test_patch_merge (void)
{
  Lcg lcg = { 5 };
  enum
  {
    H = 3,
    W = 5,
    C = 4
  };
  g_autoptr (UmedptTensor) src =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 1, 0, SHAPE (1, H, W, C));
  g_autoptr (UmedptTensor) weight =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 1, 0, SHAPE (2 * C, 4 * C));
  g_autoptr (UmedptTensor) gathered =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 0, 0, SHAPE (1, 2, 3, 4 * C));
  g_autoptr (UmedptTensor) expected = NULL;
  g_autoptr (UmedptTensor) found =
      OP (patch_merge, f32, src, weight, NULL, NULL, 1e-5f);

  for (gint part = 0; part < 4; part++)
    for (gint y = part % 2; y < H; y += 2)
      for (gint x = part / 2; x < W; x += 2)
        for (gint c = 0; c < C; c++)
          UMEDPT_F32 (gathered)
  [((y / 2) * 3 + x / 2) * 4 * C + part * C + c] =
      UMEDPT_F32 (src)[(y * W + x) * C + c];
  expected = OP (linear_norm, f32, gathered, weight, NULL, NULL, NULL, NULL,
      NULL, 1e-5f);
  assert_same (found, expected, 1e-6);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  f32 = umedpt_context_new (umedpt_backend_ref (), UMEDPT_DTYPE_F32);
  bf16 = umedpt_context_new (umedpt_backend_ref (), UMEDPT_DTYPE_BF16);
  g_test_add_func ("/ref/convert", test_convert);
  g_test_add_func ("/ref/activate", test_activate);
  g_test_add_func ("/ref/linear", test_linear);
  g_test_add_func ("/ref/bf16", test_bf16);
  g_test_add_func ("/ref/layer-norm", test_layer_norm);
  g_test_add_func ("/ref/norm-by-hand", test_norm_by_hand);
  g_test_add_func ("/ref/global-pool", test_global_pool);
  g_test_add_func ("/ref/conv2d", test_conv2d);
  g_test_add_func ("/ref/fused", test_fused);
  g_test_add_func ("/ref/fused-bf16", test_fused_bf16);
  g_test_add_func ("/ref/patch-embed", test_patch_embed);
  g_test_add_func ("/ref/patch-merge", test_patch_merge);
  argc = g_test_run ();
  umedpt_context_free (f32);
  umedpt_context_free (bf16);
  return argc;
}
