/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the tape promises (core/autograd/tape.h): gradients add up over passes
 * and over the uses of a tensor, nothing is recorded where nothing is wanted,
 * residuals are handed over without a copy, activations are freed as the
 * backward pass goes on, checkpoints change the memory and not a single bit,
 * and tapes can be nested in time.
 */
#include <math.h>
#include <string.h>

#include "../ops/fill.h"
#include "autograd/tape.h"
#include "tensor/storage.h"

enum
{
  C = 6,
  HIDDEN = 10,
  LAYERS = 8
};

static UmedptContext *context;

typedef UmedptTensor *T;

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
    T op_result = umedpt_op_##call (context, __VA_ARGS__, &op_error); \
    checked (op_result, op_error); \
  })

/* Calls a function that must return TRUE. */
#define OK(call, ...) \
  do { \
    GError *ok_error = NULL; \
    gboolean ok_result = call (__VA_ARGS__, &ok_error); \
    g_assert_no_error (ok_error); \
    g_assert_true (ok_result); \
  } while (0)

static T
random_new (guint64 seed, guint n_dims, const gint64 *shape)
{
  Lcg lcg = { seed };

  return fill_random (&lcg, UMEDPT_DTYPE_F32, 1, 0, n_dims, shape);
}

static T
wanted (T tensor)
{
  tensor->requires_grad = TRUE;
  return tensor;
}

static UmedptTape *
begin (void)
{
  UmedptTape *tape = umedpt_tape_new ();

  umedpt_context_set_tape (context, tape);
  return tape;
}

/* Backward from @dst with a gradient of ones. Takes the tape. */
static void
finish (UmedptTape *tape, T dst)
{
  g_autoptr (UmedptTensor) ones =
      fill_random (&(Lcg){ 1 }, dst->dtype, 0, 1, dst->n_dims, dst->shape);

  umedpt_context_set_tape (context, NULL);
  OK (umedpt_tape_seed, dst, ones);
  OK (umedpt_tape_backward, tape, context);
  g_assert_cmpuint (umedpt_tape_get_n_recorded (tape), ==, 0);
  umedpt_tape_free (tape);
}

static void
assert_close (T found, T expected, double tolerance)
{
  g_assert_nonnull (found);
  g_assert_true (umedpt_tensor_same_shape (found, expected));
  for (gsize i = 0; i < found->n_elements; i++)
    if (!(fabs (fill_get (found, i) - fill_get (expected, i)) <= tolerance))
      g_error ("element %" G_GSIZE_FORMAT ": %.9g is not %.9g", i,
          fill_get (found, i), fill_get (expected, i));
}

static void
assert_same_bits (T found, T expected)
{
  g_assert_nonnull (found);
  g_assert_cmpmem (found->data, umedpt_tensor_get_size (found), expected->data,
      umedpt_tensor_get_size (expected));
}

/* Bytes of recycled memory in use. */
static gsize
in_use (void)
{
  umedpt_storage_get_peak (TRUE);
  return umedpt_storage_get_peak (TRUE);
}

/* A batch at once, and its samples one by one without clearing. */
static void
test_accumulation (void)
{
  g_autoptr (UmedptTensor) batch = random_new (1, SHAPE (2, C));
  g_autoptr (UmedptTensor) weight = wanted (random_new (2, SHAPE (HIDDEN, C)));
  g_autoptr (UmedptTensor) bias = wanted (random_new (3, SHAPE (HIDDEN)));
  g_autoptr (UmedptTensor) both_weight = NULL;
  g_autoptr (UmedptTensor) both_bias = NULL;

  for (guint pass = 0; pass < 3; pass++) {
    g_autoptr (UmedptTensor) x =
        fill_new (UMEDPT_DTYPE_F32, SHAPE (pass ? 1 : 2, C));
    UmedptTape *tape = begin ();
    g_autoptr (UmedptTensor) y = NULL;

    memcpy (x->data, UMEDPT_F32 (batch) + (pass == 2 ? C : 0),
        umedpt_tensor_get_size (x));
    y = OP (linear, x, weight, bias, UMEDPT_ACTIVATION_GELU, UMEDPT_DTYPE_F32);
    finish (tape, y);
    if (pass == 0) {
      both_weight = g_steal_pointer (&weight->grad);
      both_bias = g_steal_pointer (&bias->grad);
    }
  }
  assert_close (weight->grad, both_weight, 1e-6);
  assert_close (bias->grad, both_bias, 1e-6);
}

/* A tensor that is used in several ways gets the sum: x + x + x x, and x
 * beside itself. */
static void
test_fan_out (void)
{
  g_autoptr (UmedptTensor) x = wanted (random_new (4, SHAPE (3, 5)));
  UmedptTape *tape = begin ();
  g_autoptr (UmedptTensor) twice = OP (add, x, x);
  g_autoptr (UmedptTensor) square = OP (multiply, x, x);
  g_autoptr (UmedptTensor) sum = OP (add, twice, square);

  finish (tape, sum);
  for (gsize i = 0; i < x->n_elements; i++)
    g_assert_cmpfloat_with_epsilon (UMEDPT_F32 (x->grad)[i],
        2 + 2 * UMEDPT_F32 (x)[i], 1e-6);
}

static void
test_concat_itself (void)
{
  g_autoptr (UmedptTensor) x = wanted (random_new (4, SHAPE (1, 2, 2, 3)));
  UmedptTape *tape = begin ();
  g_autoptr (UmedptTensor) y = OP (upsample_concat, x, x, 2, 2);

  finish (tape, y);
  for (gsize i = 0; i < x->n_elements; i++)
    g_assert_cmpfloat (UMEDPT_F32 (x->grad)[i], ==, 2);
}

/* The gradient of a sum goes to two tensors, each of which is then changed
 * by others: they must not be one piece of memory. */
static void
test_add_shares_nothing (void)
{
  g_autoptr (UmedptTensor) a = wanted (random_new (5, SHAPE (7)));
  g_autoptr (UmedptTensor) b = wanted (random_new (6, SHAPE (7)));
  UmedptTape *tape = begin ();
  g_autoptr (UmedptTensor) sum = OP (add, a, b);

  finish (tape, sum);
  g_assert_true (a->grad->data != b->grad->data);
  assert_same_bits (a->grad, b->grad);
}

/* bf16 activations have bf16 gradients, which add up too. */
static void
test_half_fan_out (void)
{
  g_autoptr (UmedptTensor) x = wanted (random_new (7, SHAPE (4, 4)));
  UmedptTape *tape = begin ();
  g_autoptr (UmedptTensor) half = OP (convert, x, UMEDPT_DTYPE_BF16);
  g_autoptr (UmedptTensor) a = OP (convert, half, UMEDPT_DTYPE_F32);
  g_autoptr (UmedptTensor) b = OP (convert, half, UMEDPT_DTYPE_F32);
  g_autoptr (UmedptTensor) sum = OP (add, a, b);

  finish (tape, sum);
  g_assert_cmpint (x->grad->dtype, ==, UMEDPT_DTYPE_F32);
  for (gsize i = 0; i < x->n_elements; i++)
    g_assert_cmpfloat (UMEDPT_F32 (x->grad)[i], ==, 2);
}

static void
test_reshape (void)
{
  g_autoptr (UmedptTensor) x = wanted (random_new (8, SHAPE (2, 3)));
  g_autoptr (UmedptTensor) factor = random_new (9, SHAPE (6));
  UmedptTape *tape = begin ();
  g_autoptr (UmedptTensor) flat = OP (reshape, x, SHAPE (6));
  g_autoptr (UmedptTensor) y = OP (multiply, flat, factor);

  g_assert_true (flat->data == x->data);
  finish (tape, y);
  g_assert_true (umedpt_tensor_same_shape (x, x->grad));
  g_assert_cmpmem (x->grad->data, 24, factor->data, 24);
}

/* Frozen parameters and plain inputs leave nothing on the tape, nor in
 * memory; what is frozen gets no gradient where others do. */
static void
test_frozen (void)
{
  g_autoptr (UmedptTensor) x = random_new (10, SHAPE (4, C));
  g_autoptr (UmedptTensor) fc1 = random_new (11, SHAPE (HIDDEN, C));
  g_autoptr (UmedptTensor) fc2 = random_new (12, SHAPE (C, HIDDEN));
  g_autoptr (UmedptTensor) b1 = random_new (13, SHAPE (HIDDEN));
  g_autoptr (UmedptTensor) b2 = random_new (14, SHAPE (C));
  UmedptTape *tape = begin ();
  gsize before = in_use (), plain;
  g_autoptr (UmedptTensor) y =
      OP (mlp_norm, x, fc1, b1, fc2, b2, NULL, NULL, NULL, 1e-5f);
  g_autoptr (UmedptTensor) z = NULL;

  plain = in_use () - before;
  g_assert_cmpuint (umedpt_tape_get_n_recorded (tape), ==, 0);
  g_assert_false (y->requires_grad);
  b2->requires_grad = TRUE;
  z = OP (mlp_norm, y, fc1, b1, fc2, b2, NULL, NULL, NULL, 1e-5f);
  g_assert_cmpuint (umedpt_tape_get_n_recorded (tape), ==, 1);
  g_assert_cmpuint (in_use () - before, >, 2 * plain);
  finish (tape, z);
  g_assert_nonnull (b2->grad);
  g_assert_null (fc1->grad);
  g_assert_null (fc2->grad);
  g_assert_null (y->grad);
}

/* The gradient of a residual is the very memory of that of the output. */
static void
test_residual_in_place (void)
{
  g_autoptr (UmedptTensor) x = wanted (random_new (15, SHAPE (4, C)));
  g_autoptr (UmedptTensor) src = random_new (16, SHAPE (4, HIDDEN));
  g_autoptr (UmedptTensor) fc1 = random_new (17, SHAPE (HIDDEN, C));
  g_autoptr (UmedptTensor) fc2 = random_new (18, SHAPE (C, HIDDEN));
  g_autoptr (UmedptTensor) b1 = random_new (19, SHAPE (HIDDEN));
  g_autoptr (UmedptTensor) b2 = random_new (20, SHAPE (C));
  g_autoptr (UmedptTensor) diff = random_new (21, SHAPE (4, C));
  g_autoptr (UmedptTape) tape = begin ();
  g_autoptr (UmedptTensor) y =
      OP (linear_norm, src, fc2, b2, NULL, NULL, x, NULL, 1e-5f);
  g_autoptr (UmedptTensor) z =
      OP (mlp_norm, y, fc1, b1, fc2, b2, NULL, NULL, NULL, 1e-5f);

  umedpt_context_set_tape (context, NULL);
  OK (umedpt_tape_seed, z, diff);
  OK (umedpt_tape_backward, tape, context);
  g_assert_true (x->grad == diff);
}

/* LAYERS fused branches, one after the other. */
typedef struct
{
  T fc1, fc2, b1, b2;
  gboolean freed;
} Mlp;

static T
layer (UmedptContext *ops, gpointer data, T x, GError **error)
{
  Mlp *mlp = data;

  return umedpt_op_mlp_norm (ops, x, mlp->fc1, mlp->b1, mlp->fc2, mlp->b2, NULL,
      NULL, NULL, 1e-5f, error);
}

static void
mlp_init (Mlp *mlp, guint64 seed)
{
  *mlp = (Mlp){ wanted (random_new (seed, SHAPE (HIDDEN, C))),
    wanted (random_new (seed + 1, SHAPE (C, HIDDEN))),
    wanted (random_new (seed + 2, SHAPE (HIDDEN))),
    wanted (random_new (seed + 3, SHAPE (C))), FALSE };
}

static void
mlp_clear (Mlp *mlp)
{
  umedpt_tensor_unref (mlp->fc1);
  umedpt_tensor_unref (mlp->fc2);
  umedpt_tensor_unref (mlp->b1);
  umedpt_tensor_unref (mlp->b2);
}

static void
note_freed (gpointer data)
{
  ((Mlp *) data)->freed = TRUE;
}

/* A pass over all layers, with checkpoints or without. Returns the peak of the
 * memory in use during it, less what was in use before. */
static gsize
run_layers (Mlp *layers, T x, gboolean checkpoints)
{
  gsize before = in_use ();
  UmedptTape *tape = begin ();
  g_autoptr (UmedptTensor) y = umedpt_tensor_ref (x);

  for (guint i = 0; i < LAYERS; i++) {
    GError *error = NULL;
    T next = checkpoints ? umedpt_tape_checkpoint (context, layer, &layers[i],
                               note_freed, y, &error)
                         : layer (context, &layers[i], y, &error);

    checked (next, error);
    umedpt_tensor_unref (y);
    y = next;
  }
  g_assert_cmpuint (umedpt_tape_get_n_recorded (tape), ==, LAYERS);
  finish (tape, y);
  return umedpt_storage_get_peak (TRUE) - before;
}

static void
test_checkpoint (void)
{
  g_autoptr (UmedptTensor) x = wanted (random_new (30, SHAPE (500, C)));
  g_autoptr (UmedptTensor) diff_x = NULL;
  Mlp layers[LAYERS];
  T grads[LAYERS];
  gsize plain, saving;

  for (guint i = 0; i < LAYERS; i++)
    mlp_init (&layers[i], 40 + 4 * i);
  plain = run_layers (layers, x, FALSE);
  diff_x = g_steal_pointer (&x->grad);
  for (guint i = 0; i < LAYERS; i++) {
    grads[i] = g_steal_pointer (&layers[i].fc1->grad);
    g_clear_pointer (&layers[i].fc2->grad, umedpt_tensor_unref);
    g_clear_pointer (&layers[i].b1->grad, umedpt_tensor_unref);
    g_clear_pointer (&layers[i].b2->grad, umedpt_tensor_unref);
  }
  saving = run_layers (layers, x, TRUE);
  assert_same_bits (x->grad, diff_x);
  for (guint i = 0; i < LAYERS; i++) {
    assert_same_bits (layers[i].fc1->grad, grads[i]);
    g_assert_true (layers[i].freed);
    umedpt_tensor_unref (grads[i]);
    mlp_clear (&layers[i]);
  }
  g_test_message ("peak %" G_GSIZE_FORMAT
                  " bytes, with checkpoints %" G_GSIZE_FORMAT,
      plain, saving);
  g_assert_cmpuint (2 * saving, <, plain);
}

/* A frozen block is not run again; one inside of another is no trouble. */
static T
nested (UmedptContext *ops, gpointer data, T x, GError **error)
{
  return umedpt_tape_checkpoint (ops, layer, data, NULL, x, error);
}

static void
test_checkpoint_frozen (void)
{
  g_autoptr (UmedptTensor) x = random_new (50, SHAPE (5, C));
  g_autoptr (UmedptTensor) expected = NULL;
  g_autoptr (UmedptTensor) y = NULL;
  g_autoptr (UmedptTensor) z = NULL;
  UmedptTape *tape = begin ();
  Mlp mlp;

  mlp_init (&mlp, 60);
  mlp.fc1->requires_grad = mlp.fc2->requires_grad = FALSE;
  mlp.b1->requires_grad = mlp.b2->requires_grad = FALSE;
  y = umedpt_tape_checkpoint (context, nested, &mlp, note_freed, x, NULL);
  g_assert_nonnull (y);
  g_assert_true (mlp.freed);
  g_assert_cmpuint (umedpt_tape_get_n_recorded (tape), ==, 0);
  wanted (mlp.b1);
  z = layer (context, &mlp, x, NULL);
  finish (tape, z);
  expected = g_steal_pointer (&mlp.b1->grad);
  g_clear_pointer (&z, umedpt_tensor_unref);
  tape = begin ();
  z = umedpt_tape_checkpoint (context, nested, &mlp, NULL, x, NULL);
  g_assert_cmpuint (umedpt_tape_get_n_recorded (tape), ==, 1);
  finish (tape, z);
  assert_same_bits (mlp.b1->grad, expected);
  mlp_clear (&mlp);
}

/* After the forward pass all activations are held; the backward pass frees
 * them as it goes, so it never needs more than one layer more. */
static void
test_memory (void)
{
  g_autoptr (UmedptTensor) x = random_new (70, SHAPE (1000, C));
  g_autoptr (UmedptTensor) y = umedpt_tensor_ref (x);
  g_autoptr (UmedptTensor) ones = NULL;
  g_autoptr (UmedptTape) tape = begin ();
  Mlp layers[LAYERS];
  gsize before, recorded, peak;

  for (guint i = 0; i < LAYERS; i++)
    mlp_init (&layers[i], 80 + 4 * i);
  before = in_use ();
  for (guint i = 0; i < LAYERS; i++) {
    T next = layer (context, &layers[i], y, NULL);

    umedpt_tensor_unref (y);
    y = next;
  }
  umedpt_context_set_tape (context, NULL);
  ones = fill_random (&(Lcg){ 1 }, UMEDPT_DTYPE_F32, 0, 1, SHAPE (1000, C));
  OK (umedpt_tape_seed, y, ones);
  g_clear_pointer (&ones, umedpt_tensor_unref);
  g_clear_pointer (&y, umedpt_tensor_unref);
  recorded = in_use () - before;
  OK (umedpt_tape_backward, tape, context);
  peak = umedpt_storage_get_peak (TRUE) - before;
  for (guint i = 0; i < LAYERS; i++)
    mlp_clear (&layers[i]);
  g_test_message ("%" G_GSIZE_FORMAT " bytes recorded, peak %" G_GSIZE_FORMAT,
      recorded, peak);
  g_assert_cmpuint (recorded, >, LAYERS * 1000 * (C + HIDDEN) * 4);
  g_assert_cmpuint (peak, <, recorded + recorded / LAYERS);
}

/* Values derived from parameters on a tape of their own, used by two images on
 * two tapes: one backward pass through the derivation for both. */
static void
test_nested_tapes (void)
{
  g_autoptr (UmedptTensor) bias = wanted (random_new (90, SHAPE (12)));
  g_autoptr (UmedptTape) outer = begin ();
  g_autoptr (UmedptTensor) masked = OP (mask_key_bias, bias);
  g_autoptr (UmedptTensor) scale =
      fill_random (&(Lcg){ 1 }, UMEDPT_DTYPE_F32, 0, 3, SHAPE (2));
  g_autoptr (UmedptTensor) position = random_new (91, SHAPE (2, 4, 4));
  g_autoptr (UmedptTensor) first = NULL;

  for (guint i = 0; i < 2; i++) { /* one pixel in a window of 2 x 2 */
    g_autoptr (UmedptTensor) qkv = random_new (92 + i, SHAPE (1, 1, 1, 12));
    UmedptTape *tape = begin ();
    g_autoptr (UmedptTensor) y =
        OP (window_attention, qkv, masked, scale, position, 2, 2, 0);

    finish (tape, y);
    if (i == 0)
      first = fill_values (SHAPE (12), 12, UMEDPT_F32 (masked->grad));
  }
  g_assert_null (bias->grad);
  g_assert_cmpuint (umedpt_tape_get_n_recorded (outer), ==, 1);
  for (guint i = 8; i < 12; i++) /* both have added to v */
    g_assert_cmpfloat (UMEDPT_F32 (masked->grad)[i], >, UMEDPT_F32 (first)[i]);
  OK (umedpt_tape_backward, outer, context);
  g_assert_null (masked->grad);
  for (guint i = 4; i < 12; i++)
    g_assert_true ((UMEDPT_F32 (bias->grad)[i] == 0) == (i < 8));
}

/* Recorded, an activation is an op of its own; the numbers are the same. */
static void
test_activation (void)
{
  g_autoptr (UmedptTensor) x = random_new (100, SHAPE (4, C));
  g_autoptr (UmedptTensor) weight = random_new (101, SHAPE (HIDDEN, C));
  g_autoptr (UmedptTensor) fused =
      OP (linear, x, weight, NULL, UMEDPT_ACTIVATION_RELU, UMEDPT_DTYPE_F32);
  g_autoptr (UmedptTape) tape = begin ();
  g_autoptr (UmedptTensor) apart = NULL;

  wanted (weight);
  apart =
      OP (linear, x, weight, NULL, UMEDPT_ACTIVATION_RELU, UMEDPT_DTYPE_F32);
  umedpt_context_set_tape (context, NULL);
  g_assert_cmpuint (umedpt_tape_get_n_recorded (tape), ==, 2);
  assert_same_bits (apart, fused);
}

/* Outputs that nobody used get no gradient, and their inputs none. */
static void
test_unused (void)
{
  g_autoptr (UmedptTensor) x = wanted (random_new (110, SHAPE (3)));
  g_autoptr (UmedptTensor) other = wanted (random_new (111, SHAPE (3)));
  UmedptTape *tape = begin ();
  g_autoptr (UmedptTensor) y = OP (activate, x, UMEDPT_ACTIVATION_SIGMOID);
  g_autoptr (UmedptTensor) unused =
      OP (activate, other, UMEDPT_ACTIVATION_SIGMOID);

  g_assert_true (unused->requires_grad);
  finish (tape, y);
  g_assert_nonnull (x->grad);
  g_assert_null (other->grad);
}

static void
test_bad_seed (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptTensor) x = random_new (120, SHAPE (3));
  g_autoptr (UmedptTensor) diff = random_new (121, SHAPE (4));

  g_assert_false (umedpt_tape_seed (x, diff, &error));
  g_assert_nonnull (strstr (error->message, "f32 [4]"));
  g_assert_null (x->grad);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  context = umedpt_context_new (umedpt_backend_ref (), UMEDPT_DTYPE_F32);
  g_test_add_func ("/tape/accumulation", test_accumulation);
  g_test_add_func ("/tape/fan-out", test_fan_out);
  g_test_add_func ("/tape/concat-itself", test_concat_itself);
  g_test_add_func ("/tape/add-shares-nothing", test_add_shares_nothing);
  g_test_add_func ("/tape/half-fan-out", test_half_fan_out);
  g_test_add_func ("/tape/reshape", test_reshape);
  g_test_add_func ("/tape/frozen", test_frozen);
  g_test_add_func ("/tape/residual-in-place", test_residual_in_place);
  g_test_add_func ("/tape/checkpoint", test_checkpoint);
  g_test_add_func ("/tape/checkpoint-frozen", test_checkpoint_frozen);
  g_test_add_func ("/tape/memory", test_memory);
  g_test_add_func ("/tape/nested-tapes", test_nested_tapes);
  g_test_add_func ("/tape/activation", test_activation);
  g_test_add_func ("/tape/unused", test_unused);
  g_test_add_func ("/tape/bad-seed", test_bad_seed);
  argc = g_test_run ();
  umedpt_context_free (context);
  return argc;
}
