/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Decoders, groupers and heads in a model: how they begin, shapes, files, and
 * extended models. The numbers are compared with PyTorch's in
 * tests/reference/compare-tasks.py.
 */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "net/decode.h"
#include "net/detection-decoder.h"
#include "net/pixel-decoder.h"
#include "task-fixture.h"

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

static void
test_initial_values (void)
{
  g_autoptr (UmedptDescription) description = fixture_describe ();
  g_autoptr (UmedptModel) model =
      umedpt_model_new_initialised (description, 3, NULL);
  UmedptTensor *tower =
      fixture_parameter (model, "fcosfpn.clf_convs.2.conv.weight");
  UmedptTensor *prior =
      fixture_parameter (model, "tasks.boxes.task_modules.head.conv_cls.bias");
  UmedptTensor *classes = fixture_parameter (model,
      "tasks.boxes.task_modules.head.conv_cls.weight");
  const UmedptTensor *scale =
      fixture_parameter (model, "tasks.boxes.task_modules.head.scales.4.scale");
  UmedptTensor *conv = fixture_parameter (model,
      "decoder.model.decoder.blocks.1.conv1.0.weight");
  UmedptTensor *head = fixture_parameter (model,
      "tasks.class.task_modules.classification_head.2.weight");

  g_assert_cmpfloat_with_epsilon (fixture_deviation (tower),
      sqrt (2.0 / (128 * 9)), 5e-4);
  g_assert_cmpfloat_with_epsilon (UMEDPT_F32 (prior)[1], -log (99), 1e-5);
  g_assert_cmpfloat_with_epsilon (fixture_deviation (classes), 0.01, 1e-3);
  g_assert_cmpuint (scale->n_dims, ==, 0);
  g_assert_cmpfloat (UMEDPT_F32 (scale)[0], ==, 1);
  /* Uniform on +-1 / sqrt (fan in) */
  g_assert_cmpfloat_with_epsilon (fixture_deviation (conv),
      1 / sqrt (3 * (96 + 64) * 9.0), 2e-3);
  g_assert_cmpfloat_with_epsilon (fixture_deviation (head), 0.02, 3e-3);
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

  fixture_set_up (&f);
  umedpt_tensor_unref (f.images);
  f.images = umedpt_tensor_new_zeros (UMEDPT_DTYPE_U8, 4, shape, NULL);
  fixture_encode (&f, NULL);
  first = fixture_run (&f, PIXELS);
  pixels = f.features.pixels;
  dense = f.features.dense;
  g_assert_cmpint (first.outputs[0]->shape[1], ==, 24);
  g_assert_cmpint (first.outputs[0]->shape[2], ==, 34);
  g_assert_cmpint (first.outputs[0]->shape[3], ==, 2);
  boxes = fixture_run (&f, BOXES);
  for (guint i = 0; i < UMEDPT_DETECTION_LEVELS; i++)
    for (guint j = 0; j < 3; j++) {
      const gint64 channels[] = { 2, 4, 1 };
      const UmedptTensor *out = boxes.outputs[3 * i + j];
      g_assert_cmpint (out->shape[1], ==, umedpt_detection_level_size (i, 50));
      g_assert_cmpint (out->shape[2], ==, umedpt_detection_level_size (i, 71));
      g_assert_cmpint (out->shape[3], ==, channels[j]);
    }
  second = fixture_run (&f, PIXELS);
  g_assert_true (f.features.pixels == pixels);
  g_assert_true (f.features.dense == dense);
  g_assert_cmpmem (first.outputs[0]->data,
      umedpt_tensor_get_size (first.outputs[0]), second.outputs[0]->data,
      umedpt_tensor_get_size (second.outputs[0]));
  umedpt_task_output_clear (&first);
  umedpt_task_output_clear (&second);
  umedpt_task_output_clear (&boxes);
  fixture_tear_down (&f);
}

/* The error is about this task. */
static void
test_groups (void)
{
  g_autoptr (GError) error = NULL;
  UmedptTaskOutput output = { 0 };
  Fixture f;

  fixture_set_up (&f);
  fixture_encode (&f, NULL);
  g_assert_false (umedpt_model_run_task (f.model, f.context, &f.features, CASE,
      NULL, 0, &output, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS);
  g_assert_nonnull (strstr (error->message, "'case' is grouped"));
  g_clear_error (&error);
  g_assert_false (umedpt_model_run_task (f.model, f.context, &f.features, CLASS,
      f.groups, 1, &output, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS);
  output = fixture_run (&f, CASE);
  g_assert_cmpint (output.outputs[0]->shape[0], ==, 1);
  umedpt_task_output_clear (&output);
  fixture_tear_down (&f);
}

/* A saved model computes the same; what it lies in is not written to. */
static void
test_round_trip (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_dir_make_tmp ("umedpt-tasks-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "model", NULL);
  const char *name = "tasks.class.task_modules.classification_head.2.bias";
  g_autoptr (UmedptTensor) copy = NULL;
  g_autoptr (UmedptTensor) original = NULL;
  UmedptTaskOutput before, after;
  const UmedptTensor *mapped;
  UmedptTensor *own;
  Fixture f, g;

  fixture_set_up (&f);
  g_assert_true (umedpt_model_save (f.model, path, &error));
  fixture_set_up_model (&g, umedpt_model_new_from_file (path, &error));
  g_assert_no_error (error);
  g_assert_true (umedpt_model_verify (g.model, &error));
  fixture_encode (&f, NULL);
  fixture_encode (&g, NULL);
  for (guint task = CLASS; task <= CASE; task++) {
    before = fixture_run (&f, task);
    after = fixture_run (&g, task);
    for (guint i = 0; i < before.n_outputs; i++)
      g_assert_cmpmem (before.outputs[i]->data,
          umedpt_tensor_get_size (before.outputs[i]), after.outputs[i]->data,
          umedpt_tensor_get_size (after.outputs[i]));
    umedpt_task_output_clear (&before);
    umedpt_task_output_clear (&after);
  }
  mapped = fixture_parameter (g.model, name);
  fixture_set_trainable (&g, "tasks.class.", TRUE);
  own = fixture_parameter (g.model, name);
  copy = fixture_host (own);
  original = fixture_host (fixture_parameter (f.model, name));
  g_assert_cmpfloat (UMEDPT_F32 (copy)[0], ==, UMEDPT_F32 (original)[0]);
  if (!own->memory) { /* else it left the file when it moved */
    g_assert_true (own != mapped);
    ((float *) umedpt_tensor_get_data_writable (own))[0] = 42;
  }
  g_assert_true (own->requires_grad);
  fixture_set_trainable (&g, NULL, FALSE);
  g_assert_false (own->requires_grad);
  fixture_tear_down (&f);
  fixture_tear_down (&g);
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
  g_autoptr (UmedptDescription) description = fixture_describe ();
  g_autoptr (UmedptModel) model = NULL;
  UmedptParameters *old;
  UmedptTaskDescription *task = g_ptr_array_index (description->tasks, CLASS);
  Fixture f;

  fixture_set_up (&f);
  g_strfreev (task->labels);
  task->labels = g_strdupv ((char **) three);
  umedpt_description_add_task (description, "new", UMEDPT_TASK_CLASSIFICATION,
      fixture_labels, &error);
  model = umedpt_model_new_extended (f.model, description, 9, &error);
  g_assert_no_error (error);
  old = umedpt_model_get_parameters (f.model);
  for (guint i = 0; i < umedpt_parameters_get_n (old); i++) {
    const char *name = umedpt_parameters_get_name (old, i);
    UmedptTensor *tensor = umedpt_parameters_get_tensor (old, i);
    const UmedptTensor *y = tensor ? fixture_parameter (model, name) : NULL;
    g_autoptr (UmedptTensor) x = NULL;

    if (!tensor || g_str_has_prefix (name, "tasks.class."))
      continue;
    g_assert_true (tensor->data != y->data);
    x = fixture_host (tensor);
    g_assert_cmpmem (x->data, umedpt_tensor_get_size (x), y->data,
        umedpt_tensor_get_size (y));
  }
  g_assert_cmpint (fixture_parameter (model, cls)->shape[0], ==, 3);
  g_assert_cmpfloat (fixture_deviation (fixture_parameter (model, cls)), <,
      0.03);
  g_assert_cmpfloat (fixture_deviation (fixture_parameter (model, added)), >,
      0.01);
  fixture_tear_down (&f);
}

static void
test_refused (void)
{
  g_autoptr (UmedptDescription) description = fixture_describe ();
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
  g_test_add_func ("/tasks/round-trip", test_round_trip);
  g_test_add_func ("/tasks/extended", test_extended);
  g_test_add_func ("/tasks/refused", test_refused);
  return g_test_run ();
}
