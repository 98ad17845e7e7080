/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What stands between a module and a backend: the dispatcher polices backends
 * and falls back to ref; the checked ops refuse what backends must never see,
 * and say what was wrong.
 */
#include <math.h>
#include <string.h>

#include "autograd/ops.h"
#include "base/error.h"
#include "fill.h"

/* Backends with one op each, and one way to go about it. */
static gboolean
refuses (UmedptBackend *backend, const UmedptActivateArgs *args, GError **error)
{
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED, "Not today.");
  return FALSE;
}

static gboolean
fails (UmedptBackend *backend, const UmedptActivateArgs *args, GError **error)
{
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY, "No memory.");
  return FALSE;
}

static gboolean
fails_silently (UmedptBackend *backend, const UmedptActivateArgs *args,
    GError **error)
{
  return FALSE;
}

static gboolean
succeeds_with_error (UmedptBackend *backend, const UmedptActivateArgs *args,
    GError **error)
{
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_IO, "All is well.");
  return TRUE;
}

static gboolean
answers_42 (UmedptBackend *backend, const UmedptActivateArgs *args,
    GError **error)
{
  for (gsize i = 0; i < args->dst->n_elements; i++)
    UMEDPT_F32 (args->dst)[i] = 42;
  return TRUE;
}

/* TRUE by another value: C allows it. */
static gboolean
answers_42_truly (UmedptBackend *backend, const UmedptActivateArgs *args,
    GError **error)
{
  return 2 * answers_42 (backend, args, error);
}

typedef gboolean (*ActivateFunc) (UmedptBackend *, const UmedptActivateArgs *,
    GError **);

/* relu (-3) by a backend made of @func (may be NULL). */
static UmedptTensor *
relu_by (ActivateFunc func, gboolean host_memory, GError **error)
{
  UmedptBackend backend = { .api_version = UMEDPT_BACKEND_API_VERSION,
    .name = "odd",
    .host_memory = host_memory,
    .activate = func };
  g_autoptr (UmedptContext) context =
      umedpt_context_new (&backend, UMEDPT_DTYPE_F32);
  g_autoptr (UmedptTensor) src = VALUES (SHAPE (1), -3);

  return umedpt_op_activate (context, src, UMEDPT_ACTIVATION_RELU, error);
}

static void
assert_fails (UmedptTensor *result, GError *error, int code, const char *words)
{
  g_assert_null (result);
  g_assert_error (error, UMEDPT_ERROR, code);
  g_test_message ("%s", error->message);
  if (!strstr (error->message, words))
    g_error ("'%s' does not say '%s'", error->message, words);
  g_error_free (error);
}

#define ASSERT_FAILS(code, words, call, ...) \
  do { \
    GError *fails_error = NULL; \
    UmedptTensor *fails_result = call (__VA_ARGS__, &fails_error); \
    assert_fails (fails_result, fails_error, UMEDPT_ERROR_##code, words); \
  } while (0)

static void
test_answer (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptTensor) dst = relu_by (answers_42, FALSE, &error);

  g_assert_no_error (error);
  g_assert_cmpfloat (UMEDPT_F32 (dst)[0], ==, 42);
}

static void
test_fallback (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptTensor) refused = relu_by (refuses, TRUE, &error);
  g_autoptr (UmedptTensor) absent = relu_by (NULL, TRUE, &error);

  g_assert_no_error (error);
  g_assert_cmpfloat (UMEDPT_F32 (refused)[0], ==, 0);
  g_assert_cmpfloat (UMEDPT_F32 (absent)[0], ==, 0);
}

/* ref cannot compute on memory that it cannot read. */
static void
test_no_fallback (void)
{
  ASSERT_FAILS (UNSUPPORTED, "Not today", relu_by, refuses, FALSE);
  ASSERT_FAILS (UNSUPPORTED, "activate", relu_by, NULL, FALSE);
  ASSERT_FAILS (NO_MEMORY, "No memory", relu_by, fails, TRUE);
}

static void
test_police (void)
{
  ASSERT_FAILS (BACKEND, "odd: activate failed without", relu_by,
      fails_silently, TRUE);
  ASSERT_FAILS (BACKEND, "All is well", relu_by, succeeds_with_error, TRUE);
  /* any value but FALSE is success */
  {
    g_autoptr (GError) error = NULL;
    g_autoptr (UmedptTensor) dst = relu_by (answers_42_truly, TRUE, &error);

    g_assert_no_error (error);
    g_assert_cmpfloat (UMEDPT_F32 (dst)[0], ==, 42);
  }
}

/* A zoo of tensors for wrong arguments. */
typedef struct
{
  UmedptContext *context;
  UmedptTensor *v3, *v4, *v12, *m34, *m42, *map, *image, *bytes, *half;
} Zoo;

static Zoo
zoo_new (void)
{
  Lcg lcg = { 11 };
  UmedptDtype f32 = UMEDPT_DTYPE_F32;

  return (Zoo){ umedpt_context_new (umedpt_backend_ref (), f32),
    fill_random (&lcg, f32, 1, 0, SHAPE (3)),
    fill_random (&lcg, f32, 1, 0, SHAPE (4)),
    fill_random (&lcg, f32, 1, 0, SHAPE (12)),
    fill_random (&lcg, f32, 1, 0, SHAPE (3, 4)),
    fill_random (&lcg, f32, 1, 0, SHAPE (4, 2)),
    fill_random (&lcg, f32, 1, 0, SHAPE (1, 5, 5, 12)),
    fill_random (&lcg, f32, 1, 0, SHAPE (1, 3, 8, 3)),
    fill_random (&lcg, UMEDPT_DTYPE_U8, 1, 0, SHAPE (1, 8, 8, 4)),
    fill_random (&lcg, UMEDPT_DTYPE_BF16, 1, 0, SHAPE (3, 4)) };
}

static void
zoo_free (Zoo *zoo)
{
  umedpt_context_free (zoo->context);
  for (UmedptTensor **t = &zoo->v3; t <= &zoo->half; t++)
    umedpt_tensor_unref (*t);
}

static void
test_checks_linear (void)
{
  Zoo z = zoo_new ();

  ASSERT_FAILS (SHAPE, "weight is f32 [4, 2]; [4, 4] is expected",
      umedpt_op_linear, z.context, z.m34, z.m42, NULL, UMEDPT_ACTIVATION_NONE,
      UMEDPT_DTYPE_F32);
  ASSERT_FAILS (SHAPE, "bias is f32 [4]; [3] is expected", umedpt_op_linear,
      z.context, z.m34, z.m34, z.v4, UMEDPT_ACTIVATION_NONE, UMEDPT_DTYPE_F32);
  ASSERT_FAILS (SETTINGS, "weight is missing", umedpt_op_linear, z.context,
      z.m34, NULL, NULL, UMEDPT_ACTIVATION_NONE, UMEDPT_DTYPE_F32);
  ASSERT_FAILS (DTYPE, "f32 or bf16", umedpt_op_linear, z.context, z.bytes,
      z.m34, NULL, UMEDPT_ACTIVATION_NONE, UMEDPT_DTYPE_F32);
  ASSERT_FAILS (DTYPE, "i64", umedpt_op_linear, z.context, z.m34, z.m34, NULL,
      UMEDPT_ACTIVATION_NONE, UMEDPT_DTYPE_I64);
  ASSERT_FAILS (DTYPE, "weight is bf16", umedpt_op_linear, z.context, z.m34,
      z.half, NULL, UMEDPT_ACTIVATION_NONE, UMEDPT_DTYPE_F32);
  ASSERT_FAILS (SHAPE, "residual", umedpt_op_linear_norm, z.context, z.m34,
      z.m34, z.v3, NULL, NULL, z.m34, NULL, 1e-5f);
  ASSERT_FAILS (SHAPE, "gamma", umedpt_op_linear_norm, z.context, z.m34, z.m34,
      z.v3, z.v4, NULL, NULL, NULL, 1e-5f);
  ASSERT_FAILS (SHAPE, "fc2_weight", umedpt_op_mlp_norm, z.context, z.m34,
      z.m34, z.v3, z.m34, z.v4, NULL, NULL, NULL, 1e-5f);
  ASSERT_FAILS (DTYPE, "src is bf16", umedpt_op_mlp_norm, z.context, z.half,
      z.m34, z.v3, z.m34, z.v4, NULL, NULL, NULL, 1e-5f);
  zoo_free (&z);
}

static void
test_checks_maps (void)
{
  Zoo z = zoo_new ();
  Lcg lcg = { 12 };
  g_autoptr (UmedptTensor) stem =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 1, 0, SHAPE (3, 3, 4, 4));
  g_autoptr (UmedptTensor) flat =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 1, 0, SHAPE (1, 0, 5, 12));
  g_autoptr (UmedptTensor) kernel =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 1, 0, SHAPE (2, 12, 7, 7));

  ASSERT_FAILS (SHAPE, "holds no patch", umedpt_op_patch_embed, z.context,
      z.image, stem, z.v3, NULL, NULL, 1e-5f);
  ASSERT_FAILS (SHAPE, "[1, 8, 8, 3]", umedpt_op_patch_embed, z.context,
      z.bytes, stem, z.v3, NULL, NULL, 1e-5f);
  ASSERT_FAILS (SHAPE, "weight", umedpt_op_patch_merge, z.context, z.map, z.m34,
      NULL, NULL, 1e-5f);
  ASSERT_FAILS (SHAPE, "4 dimensions are expected", umedpt_op_patch_merge,
      z.context, z.m34, z.m34, NULL, NULL, 1e-5f);
  ASSERT_FAILS (SHAPE, "does not fit", umedpt_op_conv2d, z.context, z.map,
      kernel, NULL, 1, 0, UMEDPT_ACTIVATION_NONE, UMEDPT_DTYPE_F32);
  ASSERT_FAILS (SETTINGS, "stride is 0", umedpt_op_conv2d, z.context, z.map,
      kernel, NULL, 0, 1, UMEDPT_ACTIVATION_NONE, UMEDPT_DTYPE_F32);
  ASSERT_FAILS (SHAPE, "12 channels cannot be parted into 5",
      umedpt_op_group_norm, z.context, z.map, NULL, NULL, 5, 1e-5f);
  ASSERT_FAILS (SETTINGS, "height is 0", umedpt_op_global_pool, z.context, flat,
      UMEDPT_POOLING_MAX);
  ASSERT_FAILS (DTYPE, "from u8 to bf16", umedpt_op_convert, z.context, z.bytes,
      UMEDPT_DTYPE_BF16);
  zoo_free (&z);
}

static void
test_checks_attention (void)
{
  Zoo z = zoo_new ();
  Lcg lcg = { 13 };
  g_autoptr (UmedptTensor) bias =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 1, 0, SHAPE (4, 16, 16));

  ASSERT_FAILS (SHAPE, "q, k and v of 5 equal heads",
      umedpt_op_window_attention, z.context, z.map, z.v12, z.v4, bias, 5, 4, 0);
  ASSERT_FAILS (SETTINGS, "shift is 4; 0 to 3", umedpt_op_window_attention,
      z.context, z.map, z.v12, z.v4, bias, 4, 4, 4);
  ASSERT_FAILS (SETTINGS, "window", umedpt_op_window_attention, z.context,
      z.map, z.v12, z.v4, bias, 4, G_MAXINT64, 0);
  ASSERT_FAILS (SHAPE, "position_bias", umedpt_op_window_attention, z.context,
      z.map, z.v12, z.v4, bias, 4, 3, 0);
  ASSERT_FAILS (SHAPE, "scale", umedpt_op_window_attention, z.context, z.map,
      z.v12, z.v3, bias, 4, 4, 0);
  ASSERT_FAILS (SHAPE, "w1 is f32 [3, 4]; [3, 2]", umedpt_op_position_bias,
      z.context, z.m34, z.v3, z.m34, 4);
  ASSERT_FAILS (SHAPE, "w2 is f32 [4, 2]; [4, 4]", umedpt_op_position_bias,
      z.context, z.m42, z.v4, z.m42, 4);
  zoo_free (&z);
}

/* Sums over nothing: no backend has to cope with them. */
static void
test_checks_no_columns (void)
{
  Zoo z = zoo_new ();
  Lcg lcg = { 15 };
  g_autoptr (UmedptTensor) m30 =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 1, 0, SHAPE (3, 0));
  g_autoptr (UmedptTensor) m04 =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 1, 0, SHAPE (0, 4));
  g_autoptr (UmedptTensor) m40 =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 1, 0, SHAPE (4, 0));
  g_autoptr (UmedptTensor) none =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 1, 0, SHAPE (0));
  g_autoptr (UmedptTensor) map =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 1, 0, SHAPE (1, 3, 3, 0));
  g_autoptr (UmedptTensor) kernel =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 1, 0, SHAPE (2, 0, 3, 3));

  ASSERT_FAILS (SETTINGS, "columns of weight is 0", umedpt_op_linear, z.context,
      m30, m30, NULL, UMEDPT_ACTIVATION_NONE, UMEDPT_DTYPE_F32);
  ASSERT_FAILS (SETTINGS, "columns of weight is 0", umedpt_op_linear_norm,
      z.context, m30, m30, NULL, NULL, NULL, NULL, NULL, 1e-5f);
  ASSERT_FAILS (SETTINGS, "hidden is 0", umedpt_op_mlp_norm, z.context, z.m34,
      m04, none, m40, z.v4, NULL, NULL, NULL, 1e-5f);
  ASSERT_FAILS (SETTINGS, "channels is 0", umedpt_op_conv2d, z.context, map,
      kernel, NULL, 1, 1, UMEDPT_ACTIVATION_NONE, UMEDPT_DTYPE_F32);
  zoo_free (&z);
}

/* Empty batches are no work and no error. */
static void
test_empty (void)
{
  g_autoptr (GError) error = NULL;
  Lcg lcg = { 14 };
  g_autoptr (UmedptContext) context =
      umedpt_context_new (umedpt_backend_ref (), UMEDPT_DTYPE_F32);
  g_autoptr (UmedptTensor) none =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 1, 0, SHAPE (0, 4));
  g_autoptr (UmedptTensor) weight =
      fill_random (&lcg, UMEDPT_DTYPE_F32, 1, 0, SHAPE (2, 4));
  g_autoptr (UmedptTensor) dst = umedpt_op_linear (context, none, weight, NULL,
      UMEDPT_ACTIVATION_NONE, UMEDPT_DTYPE_F32, &error);

  g_assert_no_error (error);
  g_assert_cmpint (dst->shape[0], ==, 0);
  g_assert_cmpint (dst->shape[1], ==, 2);
}

static void
child_nan (void)
{
  g_autoptr (UmedptContext) context =
      umedpt_context_new (umedpt_backend_ref (), UMEDPT_DTYPE_F32);
  g_autoptr (UmedptTensor) src = VALUES (SHAPE (2), 1, INFINITY);

  ASSERT_FAILS (DATA, "layer_norm made a NaN: element 0", umedpt_op_layer_norm,
      context, src, NULL, NULL, 1e-5f);
}

static void
child_words (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptTensor) dst = relu_by (refuses, TRUE, &error);

  g_assert_no_error (error);
  g_assert_nonnull (dst);
}

static void
test_debug (void)
{
  g_setenv ("UMEDPT_DEBUG", "nan", TRUE);
  g_test_trap_subprocess ("/dispatch/subprocess/nan", 0, 0);
  g_test_trap_assert_passed ();
  g_setenv ("UMEDPT_DEBUG", "dispatch,shapes,timing", TRUE);
  g_test_trap_subprocess ("/dispatch/subprocess/words", 0, 0);
  g_unsetenv ("UMEDPT_DEBUG");
  g_test_trap_assert_passed ();
  g_test_trap_assert_stderr ("*activate: not on odd (Not today.)*");
  g_test_trap_assert_stderr ("*activate: f32 ?1? -> f32 ?1?*");
  g_test_trap_assert_stderr ("*time in ops on odd*activate*1 calls*");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/dispatch/answer", test_answer);
  g_test_add_func ("/dispatch/fallback", test_fallback);
  g_test_add_func ("/dispatch/no-fallback", test_no_fallback);
  g_test_add_func ("/dispatch/police", test_police);
  g_test_add_func ("/dispatch/debug", test_debug);
  g_test_add_func ("/dispatch/subprocess/nan", child_nan);
  g_test_add_func ("/dispatch/subprocess/words", child_words);
  g_test_add_func ("/checks/linear", test_checks_linear);
  g_test_add_func ("/checks/maps", test_checks_maps);
  g_test_add_func ("/checks/attention", test_checks_attention);
  g_test_add_func ("/checks/no-columns", test_checks_no_columns);
  g_test_add_func ("/checks/empty", test_empty);
  return g_test_run ();
}
