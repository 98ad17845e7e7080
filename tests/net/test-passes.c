/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What training adds to a forward pass: rounds, frozen blocks, random parts,
 * and blocks that are computed again in the backward pass. Gradients are
 * compared with PyTorch's in tests/reference/compare-tasks.py.
 */
#include <string.h>

#include "autograd/tape.h"
#include "base/error.h"
#include "formula.h"
#include "task-fixture.h"

/* Runs all tasks and their backward passes, with ones as gradients. */
static void
train (Fixture *f, const UmedptPass *pass)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptTape) tape = umedpt_tape_new ();

  umedpt_model_begin_round (f->model, f->context, &error);
  g_assert_no_error (error);
  umedpt_context_set_tape (f->context, tape);
  fixture_encode (f, pass);
  for (guint task = CLASS; task <= CASE; task++) {
    UmedptTaskOutput output = fixture_run (f, task);

    for (guint i = 0; i < output.n_outputs; i++) {
      UmedptTensor *out = output.outputs[i];
      g_autoptr (UmedptTensor) host =
          umedpt_tensor_new (UMEDPT_DTYPE_F32, out->n_dims, out->shape, NULL);
      g_autoptr (UmedptTensor) diff = NULL;

      for (gsize j = 0; j < host->n_elements; j++)
        UMEDPT_F32 (host)[j] = (float) (j % 7) - 2;
      diff = umedpt_tensor_to (host, out->memory, &error);
      g_assert_no_error (error);
      umedpt_tape_seed (out, diff, &error);
      g_assert_no_error (error);
    }
    umedpt_task_output_clear (&output);
  }
  umedpt_features_clear (&f->features);
  umedpt_context_set_tape (f->context, NULL);
  umedpt_tape_backward (tape, f->context, &error);
  g_assert_no_error (error);
  umedpt_model_end_round (f->model, f->context, &error);
  g_assert_no_error (error);
}

/* Every parameter that has an effect gets a gradient, the same with and
 * without checkpointing, with all that is random in a pass. */
static void
test_checkpoint (void)
{
  const UmedptPass plain = { .training = TRUE, .seed = 5 };
  const UmedptPass checkpoint = {
    .training = TRUE, .seed = 5, .checkpoint = TRUE
  };
  UmedptParameters *a, *b;
  Fixture f, g;

  fixture_set_up (&f);
  fixture_set_up (&g);
  fixture_set_trainable (&f, NULL, TRUE);
  fixture_set_trainable (&g, NULL, TRUE);
  train (&f, &plain);
  train (&g, &checkpoint);
  a = umedpt_model_get_parameters (f.model);
  b = umedpt_model_get_parameters (g.model);
  for (guint i = 0; i < umedpt_parameters_get_n (a); i++) {
    const UmedptTensor *x = umedpt_parameters_get_tensor (a, i);
    const UmedptTensor *y = umedpt_parameters_get_tensor (b, i);
    g_autoptr (UmedptTensor) x_grad = NULL;
    g_autoptr (UmedptTensor) y_grad = NULL;
    Difference difference;

    if (!x || !x->requires_grad)
      continue;
    g_assert_nonnull (x->grad);
    g_assert_nonnull (y->grad);
    x_grad = fixture_host (x->grad);
    y_grad = fixture_host (y->grad);
    difference = formula_compare (UMEDPT_F32 (y_grad), 1, UMEDPT_F32 (x_grad),
        x->n_elements);
    if (fixture_deviation (x->grad) >
        0) /* all images may have left the block out */
      g_assert_cmpfloat (difference.norm, <, 1e-4);
    else
      g_assert_cmpfloat (fixture_deviation (y->grad), ==, 0);
  }
  fixture_tear_down (&f);
  fixture_tear_down (&g);
}

/* The same seed gives the same bits, another seed others; what is frozen runs
 * as in inference. */
static void
test_random_parts (void)
{
  UmedptPass pass = { .training = TRUE, .seed = 5 };
  Fixture f;
  UmedptTensor *f4[4];
  g_autoptr (UmedptTensor) plain = NULL;
  gsize size;

  fixture_set_up (&f);
  for (guint i = 0; i < 4; i++) {
    fixture_set_trainable (&f, UMEDPT_ENCODER_PREFIX, i != 3);
    pass.seed = i == 2 ? 6 : 5;
    fixture_encode (&f, &pass);
    f4[i] = fixture_host (f.features.pyramid[3]);
  }
  fixture_encode (&f, NULL);
  plain = fixture_host (f.features.pyramid[3]);
  size = umedpt_tensor_get_size (f4[0]);
  g_assert_cmpint (memcmp (f4[0]->data, f4[1]->data, size), ==, 0);
  g_assert_cmpint (memcmp (f4[0]->data, f4[2]->data, size), !=, 0);
  g_assert_cmpint (memcmp (f4[0]->data, f4[3]->data, size), !=, 0);
  g_assert_cmpint (memcmp (plain->data, f4[3]->data, size), ==, 0);
  for (guint i = 0; i < 4; i++)
    umedpt_tensor_unref (f4[i]);
  fixture_tear_down (&f);
}

static void
test_dropout (void)
{
  UmedptPass pass = { .training = TRUE, .seed = 5 };
  UmedptTaskOutput on, off;
  Fixture f;

  fixture_set_up (&f);
  fixture_encode (&f, &pass); /* frozen */
  off = fixture_run (&f, CLASS);
  fixture_set_trainable (&f, "tasks.class.", TRUE);
  on = fixture_run (&f, CLASS);
  g_assert_cmpint (memcmp (on.outputs[0]->data, off.outputs[0]->data,
                       umedpt_tensor_get_size (on.outputs[0])),
      !=, 0);
  umedpt_task_output_clear (&on);
  umedpt_task_output_clear (&off);
  fixture_tear_down (&f);
}

/* Kept with probability 1 - p, and the mean stays. */
static void
test_draw (void)
{
  const UmedptPass pass = { .training = TRUE, .seed = 1 };
  const gint64 n = 100000;
  g_autoptr (UmedptContext) context =
      umedpt_context_new (umedpt_backend_ref (), UMEDPT_DTYPE_F32);
  g_autoptr (UmedptTensor) a =
      umedpt_pass_draw (&pass, context, "a", 0.2, 1, &n, NULL);
  g_autoptr (UmedptTensor) b =
      umedpt_pass_draw (&pass, context, "b", 0.2, 1, &n, NULL);
  double sum = 0;

  for (gint64 i = 0; i < n; i++) {
    const float x = UMEDPT_F32 (a)[i];
    g_assert_true (x == 0 || x == 1.25f);
    sum += x;
  }
  g_assert_cmpfloat_with_epsilon (sum / (double) n, 1, 0.01);
  g_assert_cmpint (memcmp (a->data, b->data, umedpt_tensor_get_size (a)), !=,
      0);
}

/* A frozen model leaves nothing behind; a head alone, its own ops. */
static void
test_frozen (void)
{
  const UmedptPass pass = { .training = TRUE, .checkpoint = TRUE };
  g_autoptr (UmedptTape) tape = umedpt_tape_new ();
  UmedptTaskOutput output;
  Fixture f;

  fixture_set_up (&f);
  umedpt_context_set_tape (f.context, tape);
  fixture_encode (&f, &pass); /* needs no round */
  output = fixture_run (&f, PIXELS);
  g_assert_cmpuint (umedpt_tape_get_n_recorded (tape), ==, 0);
  umedpt_task_output_clear (&output);
  fixture_set_trainable (&f, "tasks.pixels.", TRUE);
  output = fixture_run (&f, PIXELS);
  g_assert_cmpuint (umedpt_tape_get_n_recorded (tape), ==, 1);
  umedpt_task_output_clear (&output);
  umedpt_context_set_tape (f.context, NULL);
  fixture_tear_down (&f);
}

/* What would lose gradients in silence is an error. */
static void
test_round (void)
{
  g_autoptr (UmedptTape) tape = umedpt_tape_new ();
  g_autoptr (GError) error = NULL;
  Fixture f;

  fixture_set_up (&f);
  fixture_set_trainable (&f, UMEDPT_ENCODER_PREFIX, TRUE);
  umedpt_context_set_tape (f.context, tape);
  g_assert_false (umedpt_model_encode_features (f.model, f.context, f.images,
      NULL, &f.features, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS);
  g_clear_error (&error);
  g_assert_false (umedpt_model_end_round (f.model, f.context, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS);
  g_clear_error (&error);
  g_assert_true (umedpt_model_begin_round (f.model, f.context, &error));
  umedpt_parameters_changed (umedpt_model_get_parameters (f.model));
  g_assert_false (umedpt_model_encode_features (f.model, f.context, f.images,
      NULL, &f.features, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS);
  umedpt_context_set_tape (f.context, NULL);
  fixture_encode (&f, NULL); /* inference needs no round */
  fixture_tear_down (&f);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/passes/checkpoint", test_checkpoint);
  g_test_add_func ("/passes/random-parts", test_random_parts);
  g_test_add_func ("/passes/dropout", test_dropout);
  g_test_add_func ("/passes/draw", test_draw);
  g_test_add_func ("/passes/frozen", test_frozen);
  g_test_add_func ("/passes/round", test_round);
  return g_test_run ();
}
