/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Optimisers over a set of parameters: what steps and what stays, clipping by
 * the norm of the set, decay, gradients that are not finite, and a state that
 * continues with the same bits. (The numbers of AdamW and SGD themselves:
 * check-optimizers.py.) Schedules against their formulas; the average.
 */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "backend/backend.h"
#include "base/error.h"
#include "base/random.h"
#include "train/optimizer.h"

enum
{
  ENCODER_WEIGHT,
  ENCODER_BIAS,
  ENCODER_SCALE,
  HEAD_WEIGHT,
  N_SLOTS
};

typedef struct
{
  UmedptParameters *parameters;
  UmedptTensor *slots[N_SLOTS];
  UmedptContext *context;
} Fixture;

static const char *const names[N_SLOTS] = { "encoder.fc.weight",
  "encoder.fc.bias", "encoder.attn.logit_scale", "tasks.a.weight" };

static const UmedptOptimizerSettings adamw = { .kind = UMEDPT_OPTIMIZER_ADAMW,
  .lr = 1e-2,
  .weight_decay = 0.1,
  .beta1 = 0.9,
  .beta2 = 0.999,
  .epsilon = 1e-8 };
static const UmedptOptimizerSettings sgd = { .kind = UMEDPT_OPTIMIZER_SGD,
  .lr = 1e-2,
  .weight_decay = 0.1,
  .momentum = 0.8,
  .nesterov = TRUE };

static const char *const all[] = { "", NULL };

static void
fixture_init (Fixture *self, guint64 seed)
{
  g_autoptr (GError) error = NULL;
  const UmedptParameterSpec specs[N_SLOTS] = {
    { UMEDPT_INIT_LINEAR, 0, 0, 2, { 5, 7 } },
    { UMEDPT_INIT_ONE, 0, 0, 1, { 5 } },
    { UMEDPT_INIT_LOGIT_SCALE, 0, 0, 3, { 2, 1, 1 } },
    { UMEDPT_INIT_LINEAR, 0, 0, 2, { 1, 5 } },
  };

  self->parameters = umedpt_parameters_new ();
  for (guint i = 0; i < N_SLOTS; i++)
    umedpt_parameters_add (self->parameters, &self->slots[i], &specs[i], "",
        names[i]);
  g_assert_true (umedpt_parameters_initialise (self->parameters, seed, &error));
  for (guint i = 0; i < N_SLOTS; i++)
    self->slots[i]->requires_grad = TRUE;
  self->context =
      umedpt_context_new (umedpt_backend_find (NULL, NULL), UMEDPT_DTYPE_F32);
}

static void
fixture_clear (Fixture *self)
{
  umedpt_context_free (self->context);
  umedpt_parameters_free (self->parameters);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Fixture, fixture_clear)

/* A gradient for parameter @i, made of @step. */
static void
give_grad (Fixture *self, guint i, guint64 step)
{
  UmedptTensor *tensor = self->slots[i];
  UmedptRandom random;

  g_clear_pointer (&tensor->grad, umedpt_tensor_unref);
  tensor->grad =
      umedpt_tensor_new (UMEDPT_DTYPE_F32, tensor->n_dims, tensor->shape, NULL);
  umedpt_random_init_named (&random, step, names[i]);
  umedpt_random_fill_uniform (&random, UMEDPT_F32 (tensor->grad),
      tensor->n_elements, -1, 1);
}

static void
give_grads (Fixture *self, guint64 step)
{
  for (guint i = 0; i < N_SLOTS; i++)
    give_grad (self, i, step);
}

static void
step (Fixture *self, UmedptOptimizer *optimizer)
{
  g_autoptr (GError) error = NULL;
  gboolean ok =
      umedpt_optimizer_step (optimizer, self->context, 1, NULL, &error);

  g_assert_no_error (error);
  g_assert_true (ok);
}

static gboolean
same (Fixture *a, Fixture *b)
{
  for (guint i = 0; i < N_SLOTS; i++)
    if (memcmp (a->slots[i]->data, b->slots[i]->data,
            umedpt_tensor_get_size (a->slots[i])) != 0)
      return FALSE;
  return TRUE;
}

static gboolean
same_slot (Fixture *a, Fixture *b, guint i)
{
  return memcmp (a->slots[i]->data, b->slots[i]->data,
             umedpt_tensor_get_size (a->slots[i])) == 0;
}

/* Only the prefix's parameters that have a gradient move; gradients go. */
static void
test_set (void)
{
  g_auto (Fixture) f = { 0 };
  g_auto (Fixture) untouched = { 0 };
  g_autoptr (UmedptOptimizer) optimizer = NULL;
  const char *const prefixes[] = { "squeezer.", "encoder.", NULL };

  fixture_init (&f, 1);
  fixture_init (&untouched, 1);
  optimizer = umedpt_optimizer_new (f.parameters, prefixes, &adamw);
  give_grads (&f, 1);
  g_clear_pointer (&f.slots[ENCODER_BIAS]->grad, umedpt_tensor_unref);
  step (&f, optimizer);
  g_assert_false (same_slot (&f, &untouched, ENCODER_WEIGHT));
  g_assert_true (same_slot (&f, &untouched, ENCODER_BIAS));
  g_assert_false (same_slot (&f, &untouched, ENCODER_SCALE));
  g_assert_true (same_slot (&f, &untouched, HEAD_WEIGHT));
  g_assert_null (f.slots[ENCODER_WEIGHT]->grad);
  g_assert_nonnull (f.slots[HEAD_WEIGHT]->grad);

  give_grad (&f, ENCODER_WEIGHT, 2);
  umedpt_optimizer_zero (optimizer);
  g_assert_null (f.slots[ENCODER_WEIGHT]->grad);
}

/* A gradient of 0 leaves weight decay alone: p (1 - lr wd) for what decays. */
static void
test_decay (gconstpointer settings)
{
  for (guint decay_all = 0; decay_all < 2; decay_all++) {
    UmedptOptimizerSettings with = *(const UmedptOptimizerSettings *) settings;
    g_auto (Fixture) f = { 0 };
    g_auto (Fixture) before = { 0 };
    g_autoptr (UmedptOptimizer) optimizer = NULL;

    fixture_init (&f, 1);
    fixture_init (&before, 1);
    with.decay_all = decay_all;
    with.momentum = 0;
    optimizer = umedpt_optimizer_new (f.parameters, all, &with);
    for (guint i = 0; i < N_SLOTS; i++)
      f.slots[i]->grad = umedpt_tensor_new_zeros (UMEDPT_DTYPE_F32,
          f.slots[i]->n_dims, f.slots[i]->shape, NULL);
    step (&f, optimizer);
    for (guint i = 0; i < N_SLOTS; i++) {
      const gboolean decays =
          decay_all || i == ENCODER_WEIGHT || i == HEAD_WEIGHT;
      const float old = UMEDPT_F32 (before.slots[i])[0];
      const float expected = decays ? old * (1 - 1e-3f) : old;

      g_assert_cmpfloat_with_epsilon (UMEDPT_F32 (f.slots[i])[0], expected,
          1e-7);
    }
  }
}

/* Clipping to c is a step with gradients c / norm as large. */
static void
test_clip (void)
{
  UmedptOptimizerSettings clipped = sgd;
  g_auto (Fixture) a = { 0 };
  g_auto (Fixture) b = { 0 };
  g_autoptr (UmedptOptimizer) first = NULL;
  g_autoptr (UmedptOptimizer) second = NULL;
  double sum = 0, norm = 0;

  clipped.clip = 0.5;
  fixture_init (&a, 1);
  fixture_init (&b, 1);
  first = umedpt_optimizer_new (a.parameters, all, &clipped);
  second = umedpt_optimizer_new (b.parameters, all, &sgd);
  give_grads (&a, 1);
  give_grads (&b, 1);
  for (guint i = 0; i < N_SLOTS; i++)
    for (gsize j = 0; j < a.slots[i]->n_elements; j++)
      sum += pow (UMEDPT_F32 (a.slots[i]->grad)[j], 2);
  for (guint i = 0; i < N_SLOTS; i++)
    for (gsize j = 0; j < b.slots[i]->n_elements; j++)
      UMEDPT_F32 (b.slots[i]->grad)
  [j] *= (float) (0.5 / (sqrt (sum) + 1e-6));
  g_assert_true (umedpt_optimizer_step (first, a.context, 1, &norm, NULL));
  step (&b, second);
  g_assert_cmpfloat_with_epsilon (norm, sqrt (sum), 1e-6);
  for (guint i = 0; i < N_SLOTS; i++)
    for (gsize j = 0; j < a.slots[i]->n_elements; j++)
      g_assert_cmpfloat_with_epsilon (UMEDPT_F32 (a.slots[i])[j],
          UMEDPT_F32 (b.slots[i])[j], 1e-7);
}

/* One NaN or overflow: an error that names the parameter, and no bit moves,
 * not even in the state. */
static void
test_not_finite (gconstpointer settings)
{
  static const float bad[] = { NAN, INFINITY, -INFINITY };

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_auto (Fixture) f = { 0 };
    g_auto (Fixture) other = { 0 };
    g_autoptr (UmedptOptimizer) optimizer = NULL;
    g_autoptr (UmedptOptimizer) calm = NULL;
    g_autoptr (GError) error = NULL;
    double norm = 0;

    fixture_init (&f, 1);
    fixture_init (&other, 1);
    optimizer = umedpt_optimizer_new (f.parameters, all, settings);
    calm = umedpt_optimizer_new (other.parameters, all, settings);
    give_grads (&f, 1);
    UMEDPT_F32 (f.slots[HEAD_WEIGHT]->grad)[3] = bad[i];
    g_assert_false (umedpt_optimizer_step (optimizer, f.context, 1, &norm,
        &error));
    g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA);
    g_assert_nonnull (strstr (error->message, "tasks.a.weight"));
    g_assert_false (isfinite (norm));
    g_assert_true (same (&f, &other));
    give_grads (&f, 2);
    give_grads (&other, 2);
    step (&f, optimizer);
    step (&other, calm);
    g_assert_true (same (&f, &other));
  }
}

static char *
write_state (UmedptOptimizer *optimizer, UmedptAverage *average)
{
  g_autoptr (UmedptSafetensorsWriter) writer = umedpt_safetensors_writer_new ();
  g_autoptr (GError) error = NULL;
  char *path = g_strdup_printf ("%s/umedpt-state-%08x.safetensors",
      g_get_tmp_dir (), g_random_int ());
  gboolean ok =
      (!optimizer ||
          umedpt_optimizer_store (optimizer, writer, "shared.", &error)) &&
      (!average ||
          umedpt_average_store (average, writer, "average.", &error)) &&
      umedpt_safetensors_writer_write (writer, path, &error);

  g_assert_no_error (error);
  g_assert_true (ok);
  return path;
}

/* Stopped after three steps and continued: the bits of six steps at once. */
static void
test_continue (gconstpointer settings)
{
  g_auto (Fixture) whole = { 0 };
  g_auto (Fixture) begun = { 0 };
  g_auto (Fixture) again = { 0 };
  g_autoptr (UmedptOptimizer) one = NULL;
  g_autoptr (UmedptOptimizer) two = NULL;
  g_autoptr (UmedptOptimizer) three = NULL;
  g_autoptr (UmedptSafetensors) file = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL;

  fixture_init (&whole, 1);
  fixture_init (&begun, 1);
  fixture_init (&again, 2);
  one = umedpt_optimizer_new (whole.parameters, all, settings);
  two = umedpt_optimizer_new (begun.parameters, all, settings);
  three = umedpt_optimizer_new (again.parameters, all, settings);
  give_grads (&again, 77); /* what load() must forget */
  step (&again, three);
  for (guint64 i = 1; i <= 6; i++) {
    Fixture *f = i <= 3 ? &begun : &again;

    if (i == 4) {
      for (guint j = 0; j < N_SLOTS; j++)
        memcpy (again.slots[j]->data, begun.slots[j]->data,
            umedpt_tensor_get_size (again.slots[j]));
      path = write_state (two, NULL);
      file = umedpt_safetensors_open (path, &error);
      g_assert_true (umedpt_optimizer_load (three, file, "shared.", &error));
    }
    give_grads (&whole, i);
    give_grads (f, i);
    if (i < 5) { /* begins later: a step count of its own */
      g_clear_pointer (&whole.slots[HEAD_WEIGHT]->grad, umedpt_tensor_unref);
      g_clear_pointer (&f->slots[HEAD_WEIGHT]->grad, umedpt_tensor_unref);
    }
    step (&whole, one);
    step (f, i <= 3 ? two : three);
  }
  g_assert_true (same (&whole, &again));
  g_remove (path);
}

/* A state of another model is refused, and nothing is taken from it. */
static void
test_wrong_state (void)
{
  g_auto (Fixture) f = { 0 };
  g_auto (Fixture) other = { 0 };
  g_autoptr (UmedptOptimizer) optimizer = NULL;
  g_autoptr (UmedptOptimizer) momentum = NULL;
  g_autoptr (UmedptSafetensors) file = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL;

  fixture_init (&f, 1);
  fixture_init (&other, 1);
  momentum = umedpt_optimizer_new (f.parameters, all, &sgd);
  give_grads (&f, 1);
  step (&f, momentum);
  path = write_state (momentum, NULL);
  file = umedpt_safetensors_open (path, &error);
  g_assert_no_error (error);
  optimizer = umedpt_optimizer_new (other.parameters, all, &adamw);
  g_assert_false (umedpt_optimizer_load (optimizer, file, "shared.", &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NOT_FOUND);
  g_remove (path);
}

static void
test_schedule (void)
{
  UmedptScheduleSettings s = { .kind = UMEDPT_SCHEDULE_COSINE,
    .warmup = 4,
    .total = 24,
    .minimum = 0.1,
    .gamma = 0.5,
    .step = 3 };
  UmedptScheduleState state;

  umedpt_schedule_init (&state);
  for (guint64 round = 0; round < 30; round++) {
    const double ramp = round < 4 ? (double) (round + 1) / 5 : 1;
    const double t = round < 4 ? 0 : round > 24 ? 1 : (double) (round - 4) / 20;

    s.kind = UMEDPT_SCHEDULE_COSINE;
    g_assert_cmpfloat_with_epsilon (umedpt_schedule_factor (&s, &state, round,
                                        0),
        ramp * (0.1 + 0.9 * 0.5 * (1 + cos (G_PI * t))), 1e-12);
    s.kind = UMEDPT_SCHEDULE_CONSTANT;
    g_assert_cmpfloat (umedpt_schedule_factor (&s, &state, round, 0), ==, ramp);
    s.kind = UMEDPT_SCHEDULE_STEP;
    g_assert_cmpfloat (umedpt_schedule_factor (&s, &state, round, 7), ==,
        ramp * 0.25);
  }
  /* no warm-up: full from the first round; nothing to divide by */
  s = (UmedptScheduleSettings){ .kind = UMEDPT_SCHEDULE_COSINE, .minimum = 0 };
  g_assert_cmpfloat (umedpt_schedule_factor (&s, &state, 0, 0), ==, 0);
  s.total = 10;
  g_assert_cmpfloat (umedpt_schedule_factor (&s, &state, 0, 0), ==, 1);
}

/* The sequence that ReduceLROnPlateau (factor 0.5, patience 2, threshold 0.1)
 * gives for these losses. */
static void
test_plateau (void)
{
  static const double losses[] = { 1.0, 0.95, 0.91, 0.89, 0.88, 0.85, NAN, 0.82,
    0.5, 0.5, 0.5, 0.5, 0.44 };
  static const double factors[] = { 1, 1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5,
    0.25, 0.25 };
  const UmedptScheduleSettings s = { .kind = UMEDPT_SCHEDULE_PLATEAU,
    .gamma = 0.5,
    .patience = 2,
    .threshold = 0.1 };
  UmedptScheduleState state;

  umedpt_schedule_init (&state);
  for (guint i = 0; i < G_N_ELEMENTS (losses); i++) {
    umedpt_schedule_epoch (&s, &state, losses[i]);
    g_assert_cmpfloat (umedpt_schedule_factor (&s, &state, 9, i), ==,
        factors[i]);
  }
}

static void
set_all (Fixture *f, float value)
{
  for (guint i = 0; i < N_SLOTS; i++)
    for (gsize j = 0; j < f->slots[i]->n_elements; j++)
      UMEDPT_F32 (f->slots[i])[j] = value;
}

static void
assert_all (Fixture *f, double value)
{
  for (guint i = 0; i < N_SLOTS; i++)
    for (gsize j = 0; j < f->slots[i]->n_elements; j++)
      g_assert_cmpfloat_with_epsilon (UMEDPT_F32 (f->slots[i])[j], value,
          1e-6 * value);
}

static void
test_average (void)
{
  g_auto (Fixture) f = { 0 };
  g_autoptr (UmedptAverage) average = NULL;
  g_autoptr (UmedptAverage) restored = NULL;
  g_autoptr (UmedptSafetensors) file = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = NULL;
  double expected = 0;
  guint64 generation;

  fixture_init (&f, 1);
  set_all (&f, 0);
  average = umedpt_average_new (f.parameters, 0.5, &error);
  for (guint n = 1; n <= 20; n++) {
    const double decay = MIN (0.5, (1.0 + n) / (10.0 + n));

    set_all (&f, (float) n);
    g_assert_true (umedpt_average_update (average, f.context, &error));
    expected = decay * expected + (1 - decay) * n;
  }
  generation = umedpt_parameters_get_generation (f.parameters);
  umedpt_average_swap (average);
  assert_all (&f, expected);
  g_assert_cmpuint (umedpt_parameters_get_generation (f.parameters), >,
      generation);
  umedpt_average_swap (average);
  assert_all (&f, 20);

  path = write_state (NULL, average);
  file = umedpt_safetensors_open (path, &error);
  restored = umedpt_average_new (f.parameters, 0.5, &error);
  g_assert_true (umedpt_average_load (restored, file, "average.", &error));
  set_all (&f, 100);
  /* number 21: the decay is 0.5 */
  g_assert_true (umedpt_average_update (restored, f.context, &error));
  umedpt_average_swap (restored);
  assert_all (&f, (expected + 100) / 2);
  g_assert_false (umedpt_average_load (restored, file, "other.", &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT);
  g_remove (path);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/optimizer/set", test_set);
  g_test_add_func ("/optimizer/clip", test_clip);
  g_test_add_data_func ("/optimizer/decay/adamw", &adamw, test_decay);
  g_test_add_data_func ("/optimizer/decay/sgd", &sgd, test_decay);
  g_test_add_data_func ("/optimizer/not-finite/adamw", &adamw, test_not_finite);
  g_test_add_data_func ("/optimizer/not-finite/sgd", &sgd, test_not_finite);
  g_test_add_data_func ("/optimizer/continue/adamw", &adamw, test_continue);
  g_test_add_data_func ("/optimizer/continue/sgd", &sgd, test_continue);
  g_test_add_func ("/optimizer/wrong-state", test_wrong_state);
  g_test_add_func ("/schedule/formulas", test_schedule);
  g_test_add_func ("/schedule/plateau", test_plateau);
  g_test_add_func ("/average/swap", test_average);
  return g_test_run ();
}
