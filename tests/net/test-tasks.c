/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Decoders, groupers and heads in a model, and what training adds to a forward
 * pass: rounds, frozen blocks, random parts, checkpointing. The numbers are
 * compared with PyTorch's in tests/reference/compare-tasks.py.
 */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "autograd/tape.h"
#include "base/error.h"
#include "formula.h"
#include "net/decode.h"
#include "net/detection-decoder.h"
#include "net/pixel-decoder.h"

static const char *const two[] = { "a", "b", NULL };

enum
{
  CLASS,
  PIXELS,
  BOXES,
  CASE,
};

/* A nano model with four tasks. */
static UmedptDescription *
describe (void)
{
  UmedptDescription *self = umedpt_description_new ("swinv2-nano", NULL);
  UmedptTaskDescription *task;

  self->grouper = UMEDPT_GROUPER_GATED;
  self->stochastic_depth = 0.5;
  umedpt_description_add_task (self, "class", UMEDPT_TASK_CLASSIFICATION, two,
      NULL);
  umedpt_description_add_task (self, "pixels", UMEDPT_TASK_SEGMENTATION, two,
      NULL);
  umedpt_description_add_task (self, "boxes", UMEDPT_TASK_DETECTION, two, NULL);
  task = umedpt_description_add_task (self, "case", UMEDPT_TASK_MULTILABEL, two,
      NULL);
  task->grouped = TRUE;
  return self;
}

typedef struct
{
  UmedptModel *model;
  UmedptContext *context;
  UmedptTensor *images; /* two, u8 */
  UmedptTensor *groups; /* one case */
  UmedptFeatures features;
} Fixture;

static void
set_up_model (Fixture *self, UmedptModel *model)
{
  const gint64 shape[] = { 2, 64, 96, 3 }, n = 2;
  g_autoptr (GError) error = NULL;
  UmedptBackend *backend = umedpt_backend_find (NULL, &error);

  g_assert_no_error (error);
  memset (self, 0, sizeof *self);
  self->model = model;
  self->context = umedpt_context_new (backend, UMEDPT_DTYPE_F32);
  self->images = umedpt_tensor_new (UMEDPT_DTYPE_U8, 4, shape, NULL);
  for (guint i = 0; i < 2; i++) {
    g_autoptr (UmedptTensor) image = formula_image (i, 64, 96);
    memcpy (UMEDPT_U8 (self->images) + i * image->n_elements, image->data,
        image->n_elements);
  }
  self->groups = umedpt_tensor_new_zeros (UMEDPT_DTYPE_I32, 1, &n, NULL);
}

static void
set_up (Fixture *self)
{
  g_autoptr (UmedptDescription) description = describe ();
  g_autoptr (GError) error = NULL;
  UmedptModel *model = umedpt_model_new_initialised (description, 1, &error);

  g_assert_no_error (error);
  formula_fill (umedpt_model_get_parameters (model));
  set_up_model (self, model);
}

static void
tear_down (Fixture *self)
{
  umedpt_features_clear (&self->features);
  umedpt_tensor_unref (self->groups);
  umedpt_tensor_unref (self->images);
  umedpt_context_free (self->context);
  g_object_unref (self->model);
}

static void
encode (Fixture *self, const UmedptPass *pass)
{
  g_autoptr (GError) error = NULL;

  umedpt_model_encode_features (self->model, self->context, self->images, pass,
      &self->features, &error);
  g_assert_no_error (error);
}

static UmedptTaskOutput
run (Fixture *self, guint task)
{
  g_autoptr (GError) error = NULL;
  UmedptTaskOutput output = { 0 };

  umedpt_model_run_task (self->model, self->context, &self->features, task,
      task == CASE ? self->groups : NULL, 1, &output, &error);
  g_assert_no_error (error);
  return output;
}

static void
assert_counts (const char *arch, guint64 pixels, guint64 detection)
{
  g_autoptr (UmedptDescription) description =
      umedpt_description_new (arch, NULL);
  g_autoptr (UmedptParameters) parameters = umedpt_parameters_new ();
  g_autoptr (UmedptPixelDecoder) pixel_decoder =
      umedpt_pixel_decoder_new (description, parameters, "p.");
  g_autoptr (UmedptDetectionDecoder) detection_decoder =
      umedpt_detection_decoder_new (description, parameters, "d.");

  g_assert_nonnull (pixel_decoder);
  g_assert_nonnull (detection_decoder);
  g_assert_cmpuint (umedpt_parameters_count (parameters, "p."), ==, pixels);
  g_assert_cmpuint (umedpt_parameters_count (parameters, "d."), ==, detection);
}

/* Those of the paper's library. */
static void
test_counts (void)
{
  assert_counts ("swinv2-tiny", 1346416, 2093056);
  assert_counts ("swinv2-small", 1346416, 2093056);
  assert_counts ("swinv2-base", 1724272, 2150400);
}

static UmedptTensor *
parameter (UmedptModel *model, const char *name)
{
  UmedptParameters *parameters = umedpt_model_get_parameters (model);

  for (guint i = 0; i < umedpt_parameters_get_n (parameters); i++)
    if (strcmp (umedpt_parameters_get_name (parameters, i), name) == 0)
      return umedpt_parameters_get_tensor (parameters, i);
  g_error ("no parameter %s", name);
}

static double
deviation (const UmedptTensor *tensor)
{
  double sum = 0;

  for (gsize i = 0; i < tensor->n_elements; i++)
    sum += (double) UMEDPT_F32 (tensor)[i] * UMEDPT_F32 (tensor)[i];
  return sqrt (sum / (double) tensor->n_elements);
}

static void
test_initial_values (void)
{
  g_autoptr (UmedptDescription) description = describe ();
  g_autoptr (UmedptModel) model =
      umedpt_model_new_initialised (description, 3, NULL);
  const UmedptTensor *tower =
      parameter (model, "fcosfpn.clf_convs.2.conv.weight");
  const UmedptTensor *prior =
      parameter (model, "tasks.boxes.task_modules.head.conv_cls.bias");
  const UmedptTensor *classes =
      parameter (model, "tasks.boxes.task_modules.head.conv_cls.weight");
  const UmedptTensor *scale =
      parameter (model, "tasks.boxes.task_modules.head.scales.4.scale");
  const UmedptTensor *conv =
      parameter (model, "decoder.model.decoder.blocks.1.conv1.0.weight");
  const UmedptTensor *head = parameter (model,
      "tasks.class.task_modules.classification_head.2.weight");

  g_assert_cmpfloat_with_epsilon (deviation (tower), sqrt (2.0 / (128 * 9)),
      5e-4);
  g_assert_cmpfloat_with_epsilon (UMEDPT_F32 (prior)[1], -log (99), 1e-5);
  g_assert_cmpfloat_with_epsilon (deviation (classes), 0.01, 1e-3);
  g_assert_cmpuint (scale->n_dims, ==, 0);
  g_assert_cmpfloat (UMEDPT_F32 (scale)[0], ==, 1);
  /* Uniform on +-1 / sqrt (fan in) */
  g_assert_cmpfloat_with_epsilon (deviation (conv),
      1 / sqrt (3 * (96 + 64) * 9.0), 2e-3);
  g_assert_cmpfloat_with_epsilon (deviation (head), 0.02, 3e-3);
}

/* Shapes of images that are no multiple of anything, and each part computed
 * once. */
static void
test_shapes (void)
{
  Fixture f;
  const gint64 shape[] = { 1, 50, 71, 3 };
  UmedptTaskOutput first, second, boxes;
  const UmedptTensor *pixels, *dense;

  set_up (&f);
  umedpt_tensor_unref (f.images);
  f.images = umedpt_tensor_new_zeros (UMEDPT_DTYPE_U8, 4, shape, NULL);
  encode (&f, NULL);
  first = run (&f, PIXELS);
  pixels = f.features.pixels;
  dense = f.features.dense;
  g_assert_cmpint (first.outputs[0]->shape[1], ==, 24);
  g_assert_cmpint (first.outputs[0]->shape[2], ==, 34);
  g_assert_cmpint (first.outputs[0]->shape[3], ==, 2);
  boxes = run (&f, BOXES);
  for (guint i = 0; i < UMEDPT_DETECTION_LEVELS; i++)
    for (guint j = 0; j < 3; j++) {
      const gint64 channels[] = { 2, 4, 1 };
      const UmedptTensor *out = boxes.outputs[3 * i + j];
      g_assert_cmpint (out->shape[1], ==, umedpt_detection_level_size (i, 50));
      g_assert_cmpint (out->shape[2], ==, umedpt_detection_level_size (i, 71));
      g_assert_cmpint (out->shape[3], ==, channels[j]);
    }
  second = run (&f, PIXELS);
  g_assert_true (f.features.pixels == pixels);
  g_assert_true (f.features.dense == dense);
  g_assert_cmpmem (first.outputs[0]->data,
      umedpt_tensor_get_size (first.outputs[0]), second.outputs[0]->data,
      umedpt_tensor_get_size (second.outputs[0]));
  umedpt_task_output_clear (&first);
  umedpt_task_output_clear (&second);
  umedpt_task_output_clear (&boxes);
  tear_down (&f);
}

/* The error is about this task. */
static void
test_groups (void)
{
  g_autoptr (GError) error = NULL;
  UmedptTaskOutput output = { 0 };
  Fixture f;

  set_up (&f);
  encode (&f, NULL);
  g_assert_false (umedpt_model_run_task (f.model, f.context, &f.features, CASE,
      NULL, 0, &output, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS);
  g_assert_nonnull (strstr (error->message, "'case' is grouped"));
  g_clear_error (&error);
  g_assert_false (umedpt_model_run_task (f.model, f.context, &f.features, CLASS,
      f.groups, 1, &output, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS);
  output = run (&f, CASE);
  g_assert_cmpint (output.outputs[0]->shape[0], ==, 1);
  umedpt_task_output_clear (&output);
  tear_down (&f);
}

/* Runs all tasks and their backward passes, with ones as gradients. */
static void
train (Fixture *f, const UmedptPass *pass)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptTape) tape = umedpt_tape_new ();

  umedpt_model_begin_round (f->model, f->context, &error);
  g_assert_no_error (error);
  umedpt_context_set_tape (f->context, tape);
  encode (f, pass);
  for (guint task = CLASS; task <= CASE; task++) {
    UmedptTaskOutput output = run (f, task);

    for (guint i = 0; i < output.n_outputs; i++) {
      UmedptTensor *out = output.outputs[i];
      g_autoptr (UmedptTensor) diff =
          umedpt_tensor_new (UMEDPT_DTYPE_F32, out->n_dims, out->shape, NULL);
      for (gsize j = 0; j < diff->n_elements; j++)
        UMEDPT_F32 (diff)[j] = (float) (j % 7) - 2;
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

static void
set_trainable (Fixture *f, const char *prefix, gboolean trainable)
{
  g_autoptr (GError) error = NULL;

  umedpt_model_set_trainable (f->model, prefix, trainable, &error);
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

  set_up (&f);
  set_up (&g);
  set_trainable (&f, NULL, TRUE);
  set_trainable (&g, NULL, TRUE);
  train (&f, &plain);
  train (&g, &checkpoint);
  a = umedpt_model_get_parameters (f.model);
  b = umedpt_model_get_parameters (g.model);
  for (guint i = 0; i < umedpt_parameters_get_n (a); i++) {
    const UmedptTensor *x = umedpt_parameters_get_tensor (a, i);
    const UmedptTensor *y = umedpt_parameters_get_tensor (b, i);
    Difference difference;

    if (!x || !x->requires_grad)
      continue;
    g_assert_nonnull (x->grad);
    g_assert_nonnull (y->grad);
    difference = formula_compare (UMEDPT_F32 (y->grad), 1, UMEDPT_F32 (x->grad),
        x->n_elements);
    if (deviation (x->grad) > 0) /* all images may have left the block out */
      g_assert_cmpfloat (difference.norm, <, 1e-4);
    else
      g_assert_cmpfloat (deviation (y->grad), ==, 0);
  }
  tear_down (&f);
  tear_down (&g);
}

/* The same seed gives the same bits, another seed others; what is frozen runs
 * as in inference. */
static void
test_random_parts (void)
{
  UmedptPass pass = { .training = TRUE, .seed = 5 };
  Fixture f;
  UmedptTensor *f4[4];
  gsize size;

  set_up (&f);
  for (guint i = 0; i < 4; i++) {
    set_trainable (&f, UMEDPT_ENCODER_PREFIX, i != 3);
    pass.seed = i == 2 ? 6 : 5;
    encode (&f, &pass);
    f4[i] = umedpt_tensor_ref (f.features.pyramid[3]);
  }
  encode (&f, NULL);
  size = umedpt_tensor_get_size (f4[0]);
  g_assert_cmpint (memcmp (f4[0]->data, f4[1]->data, size), ==, 0);
  g_assert_cmpint (memcmp (f4[0]->data, f4[2]->data, size), !=, 0);
  g_assert_cmpint (memcmp (f4[0]->data, f4[3]->data, size), !=, 0);
  g_assert_cmpint (memcmp (f.features.pyramid[3]->data, f4[3]->data, size), ==,
      0);
  for (guint i = 0; i < 4; i++)
    umedpt_tensor_unref (f4[i]);
  tear_down (&f);
}

static void
test_dropout (void)
{
  UmedptPass pass = { .training = TRUE, .seed = 5 };
  UmedptTaskOutput on, off;
  Fixture f;

  set_up (&f);
  encode (&f, &pass); /* frozen */
  off = run (&f, CLASS);
  set_trainable (&f, "tasks.class.", TRUE);
  on = run (&f, CLASS);
  g_assert_cmpint (memcmp (on.outputs[0]->data, off.outputs[0]->data,
                       umedpt_tensor_get_size (on.outputs[0])),
      !=, 0);
  umedpt_task_output_clear (&on);
  umedpt_task_output_clear (&off);
  tear_down (&f);
}

/* Kept with probability 1 - p, and the mean stays. */
static void
test_draw (void)
{
  const UmedptPass pass = { .training = TRUE, .seed = 1 };
  const gint64 n = 100000;
  g_autoptr (UmedptTensor) a = umedpt_pass_draw (&pass, "a", 0.2, 1, &n, NULL);
  g_autoptr (UmedptTensor) b = umedpt_pass_draw (&pass, "b", 0.2, 1, &n, NULL);
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

  set_up (&f);
  umedpt_context_set_tape (f.context, tape);
  encode (&f, &pass); /* needs no round */
  output = run (&f, PIXELS);
  g_assert_cmpuint (umedpt_tape_get_n_recorded (tape), ==, 0);
  umedpt_task_output_clear (&output);
  set_trainable (&f, "tasks.pixels.", TRUE);
  output = run (&f, PIXELS);
  g_assert_cmpuint (umedpt_tape_get_n_recorded (tape), ==, 1);
  umedpt_task_output_clear (&output);
  umedpt_context_set_tape (f.context, NULL);
  tear_down (&f);
}

/* What would lose gradients in silence is an error. */
static void
test_round (void)
{
  g_autoptr (UmedptTape) tape = umedpt_tape_new ();
  g_autoptr (GError) error = NULL;
  Fixture f;

  set_up (&f);
  set_trainable (&f, UMEDPT_ENCODER_PREFIX, TRUE);
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
  encode (&f, NULL); /* inference needs no round */
  tear_down (&f);
}

/* A saved model computes the same; what it lies in is not written to. */
static void
test_round_trip (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_dir_make_tmp ("umedpt-tasks-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "model", NULL);
  const char *name = "tasks.class.task_modules.classification_head.2.bias";
  UmedptTaskOutput before, after;
  const UmedptTensor *mapped;
  UmedptTensor *own;
  Fixture f, g;

  set_up (&f);
  g_assert_true (umedpt_model_save (f.model, path, &error));
  set_up_model (&g, umedpt_model_new_from_file (path, &error));
  g_assert_no_error (error);
  g_assert_true (umedpt_model_verify (g.model, &error));
  encode (&f, NULL);
  encode (&g, NULL);
  for (guint task = CLASS; task <= CASE; task++) {
    before = run (&f, task);
    after = run (&g, task);
    for (guint i = 0; i < before.n_outputs; i++)
      g_assert_cmpmem (before.outputs[i]->data,
          umedpt_tensor_get_size (before.outputs[i]), after.outputs[i]->data,
          umedpt_tensor_get_size (after.outputs[i]));
    umedpt_task_output_clear (&before);
    umedpt_task_output_clear (&after);
  }
  mapped = parameter (g.model, name);
  set_trainable (&g, "tasks.class.", TRUE);
  own = parameter (g.model, name);
  g_assert_true (own != mapped);
  g_assert_cmpfloat (UMEDPT_F32 (own)[0], ==,
      UMEDPT_F32 (parameter (f.model, name))[0]);
  ((float *) umedpt_tensor_get_data_writable (own))[0] = 42;
  g_assert_true (own->requires_grad);
  set_trainable (&g, NULL, FALSE);
  g_assert_false (own->requires_grad);
  tear_down (&f);
  tear_down (&g);
  g_unlink (path);
  g_rmdir (folder);
}

/* More tasks, and a head of another size: all else keeps its values. */
static void
test_extended (void)
{
  g_autoptr (GError) error = NULL;
  const char *const three[] = { "a", "b", "c", NULL };
  const char *cls = "tasks.class.task_modules.classification_head.2.weight";
  const char *added = "tasks.new.task_modules.classification_head.2.weight";
  g_autoptr (UmedptDescription) description = describe ();
  g_autoptr (UmedptModel) model = NULL;
  UmedptParameters *old;
  UmedptTaskDescription *task = g_ptr_array_index (description->tasks, CLASS);
  Fixture f;

  set_up (&f);
  g_strfreev (task->labels);
  task->labels = g_strdupv ((char **) three);
  umedpt_description_add_task (description, "new", UMEDPT_TASK_CLASSIFICATION,
      two, &error);
  model = umedpt_model_new_extended (f.model, description, 9, &error);
  g_assert_no_error (error);
  old = umedpt_model_get_parameters (f.model);
  for (guint i = 0; i < umedpt_parameters_get_n (old); i++) {
    const char *name = umedpt_parameters_get_name (old, i);
    const UmedptTensor *x = umedpt_parameters_get_tensor (old, i);
    const UmedptTensor *y = x ? parameter (model, name) : NULL;

    if (!x || g_str_has_prefix (name, "tasks.class."))
      continue;
    g_assert_true (x->data != y->data);
    g_assert_cmpmem (x->data, umedpt_tensor_get_size (x), y->data,
        umedpt_tensor_get_size (y));
  }
  g_assert_cmpint (parameter (model, cls)->shape[0], ==, 3);
  g_assert_cmpfloat (deviation (parameter (model, cls)), <, 0.03);
  g_assert_cmpfloat (deviation (parameter (model, added)), >, 0.01);
  tear_down (&f);
}

static void
test_refused (void)
{
  g_autoptr (UmedptDescription) description = describe ();
  g_autoptr (GError) error = NULL;

  description->pixel_decoder = FALSE;
  g_assert_null (umedpt_model_new_initialised (description, 1, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS);
  g_assert_nonnull (strstr (error->message,
      "task 'pixels': segmentation needs 'pixel_decoder'"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/tasks/counts", test_counts);
  g_test_add_func ("/tasks/initial-values", test_initial_values);
  g_test_add_func ("/tasks/shapes", test_shapes);
  g_test_add_func ("/tasks/groups", test_groups);
  g_test_add_func ("/tasks/checkpoint", test_checkpoint);
  g_test_add_func ("/tasks/random-parts", test_random_parts);
  g_test_add_func ("/tasks/dropout", test_dropout);
  g_test_add_func ("/tasks/draw", test_draw);
  g_test_add_func ("/tasks/frozen", test_frozen);
  g_test_add_func ("/tasks/round", test_round);
  g_test_add_func ("/tasks/round-trip", test_round_trip);
  g_test_add_func ("/tasks/extended", test_extended);
  g_test_add_func ("/tasks/refused", test_refused);
  return g_test_run ();
}
