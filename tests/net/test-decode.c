/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * From logits to results: probabilities of every kind of task, masks with
 * threshold and other sizes, boxes with the order of thresholds, clipping and
 * suppression; one label as well as several.
 */
#include <math.h>
#include <string.h>

#include "net/decode.h"

static UmedptTensor *
make (guint n_dims, const gint64 *shape, float value)
{
  g_autoptr (GError) error = NULL;
  UmedptTensor *tensor =
      umedpt_tensor_new (UMEDPT_DTYPE_F32, n_dims, shape, &error);

  g_assert_no_error (error);
  for (gsize i = 0; i < tensor->n_elements; i++)
    UMEDPT_F32 (tensor)[i] = value;
  return tensor;
}

static UmedptTaskOutput
make_rows (UmedptTaskKind kind, gint64 n, gint64 k, const float *logits)
{
  const gint64 shape[] = { n, k };
  UmedptTaskOutput output = { .kind = kind, .n_outputs = 1 };

  output.outputs[0] = make (2, shape, 0);
  memcpy (output.outputs[0]->data, logits, (gsize) (n * k) * sizeof *logits);
  return output;
}

static void
test_values (void)
{
  const float logits[] = { 9, 9, 9, 1000, 1001, 999 };
  UmedptTaskDescription task = { .kind = UMEDPT_TASK_CLASSIFICATION };
  UmedptTaskOutput output = make_rows (task.kind, 2, 3, logits);
  gfloat values[3];

  umedpt_decode_values (&output, &task, 1, values);
  g_assert_cmpfloat_with_epsilon (values[0], 0.24472847, 1e-6);
  g_assert_cmpfloat_with_epsilon (values[1], 0.66524096, 1e-6);
  g_assert_cmpfloat_with_epsilon (values[2], 0.09003057, 1e-6);
  task.kind = UMEDPT_TASK_MULTILABEL;
  UMEDPT_F32 (output.outputs[0])[3] = 2;
  UMEDPT_F32 (output.outputs[0])[4] = -1000;
  umedpt_decode_values (&output, &task, 1, values);
  g_assert_cmpfloat_with_epsilon (values[0], 0.88079708, 1e-6);
  g_assert_cmpfloat (values[1], ==, 0);
  g_assert_cmpfloat (values[2], ==, 1);
  task.kind = UMEDPT_TASK_REGRESSION;
  umedpt_decode_values (&output, &task, 1, values);
  g_assert_cmpfloat (values[0], ==, 2);
  umedpt_task_output_clear (&output);
}

static void
test_one_class (void)
{
  const float logits[] = { -7, 0 };
  UmedptTaskDescription task = { .kind = UMEDPT_TASK_CLASSIFICATION };
  UmedptTaskOutput output = make_rows (task.kind, 2, 1, logits);
  gfloat value;

  umedpt_decode_values (&output, &task, 0, &value);
  g_assert_cmpfloat (value, ==, 1);
  task.kind = UMEDPT_TASK_MULTILABEL;
  umedpt_decode_values (&output, &task, 1, &value);
  g_assert_cmpfloat (value, ==, 0.5);
  umedpt_task_output_clear (&output);
}

/* Logits of two images of 2 x 3 pixels with @k classes. */
static UmedptTaskOutput
make_map (UmedptTaskKind kind, gint64 k)
{
  const gint64 shape[] = { 2, 2, 3, k };
  UmedptTaskOutput output = { .kind = kind, .n_outputs = 1 };

  output.outputs[0] = make (4, shape, 0);
  return output;
}

static void
test_mask (void)
{
  UmedptTaskDescription task = { .kind = UMEDPT_TASK_SEGMENTATION };
  UmedptTaskOutput output = make_map (task.kind, 3);
  float *second = UMEDPT_F32 (output.outputs[0]) + 2 * 3 * 3;
  guint8 mask[4 * 6];
  const guint8 expected[] = {
    2, 2, 255, 255, 1, 1, //
    2, 2, 255, 255, 1, 1, //
    255, 255, 255, 255, 0, 0, //
    255, 255, 255, 255, 0, 0, //
  };
  const guint8 one[] = { 2, 1 };

  second[0 * 3 + 2] = 5; /* pixel (0, 0): class 2 */
  second[2 * 3 + 1] = 5;
  second[5 * 3 + 0] = 5;
  umedpt_decode_mask (&output, &task, 1, 0.5, 6, 4, mask);
  g_assert_cmpmem (mask, 24, expected, 24);
  /* Equal logits have 1/3: no less than this threshold, and the first wins. */
  umedpt_decode_mask (&output, &task, 1, 0.3, 6, 4, mask);
  g_assert_cmpint (mask[2], ==, 0);
  /* Smaller than the logits: pixel centres at 1/4 and 3/4 of the width. */
  umedpt_decode_mask (&output, &task, 1, 0.5, 2, 1, mask);
  g_assert_cmpint (mask[0], ==, 255);
  umedpt_decode_mask (&output, &task, 1, 0.5, 3, 2, mask);
  g_assert_cmpint (mask[0], ==, one[0]);
  g_assert_cmpint (mask[2], ==, one[1]);
  umedpt_task_output_clear (&output);
}

static void
test_planes (void)
{
  UmedptTaskDescription task = { .kind = UMEDPT_TASK_MULTILABEL_SEGMENTATION };
  UmedptTaskOutput output = make_map (task.kind, 2);
  guint8 mask[2 * 3 * 2];

  UMEDPT_F32 (output.outputs[0])[2 * 4 + 0] = 1;
  UMEDPT_F32 (output.outputs[0])[2 * 4 + 1] = 2;
  umedpt_decode_mask (&output, &task, 0, 0.5, 3, 2, mask);
  for (gint i = 0; i < 12; i++) /* 0.5 itself is not above it */
    g_assert_cmpint (mask[i], ==, i == 8 || i == 9);
  umedpt_decode_mask (&output, &task, 0, 0.8, 3, 2, mask);
  g_assert_cmpint (mask[8], ==, 0);
  g_assert_cmpint (mask[9], ==, 1);
  umedpt_task_output_clear (&output);
}

/* One label: there is something to tell apart all the same. */
static void
test_one_label_mask (void)
{
  UmedptTaskDescription task = { .kind = UMEDPT_TASK_SEGMENTATION };
  UmedptTaskOutput output = make_map (task.kind, 1);
  guint8 mask[6];
  const guint8 expected[] = { 0, 1, 0, 0, 0, 0 };

  UMEDPT_F32 (output.outputs[0])[1] = 3;
  umedpt_decode_mask (&output, &task, 0, 0.5, 3, 2, mask);
  g_assert_cmpmem (mask, 6, expected, 6);
  umedpt_task_output_clear (&output);
}

static void
test_levels (void)
{
  const gint64 of_224[] = { 28, 14, 7, 4, 2 };
  const gint64 of_250[] = { 31, 16, 8, 4, 2 }; /* F1 has 62 */

  for (guint i = 0; i < UMEDPT_DETECTION_LEVELS; i++) {
    g_assert_cmpint (umedpt_detection_level_size (i, 224), ==, of_224[i]);
    g_assert_cmpint (umedpt_detection_level_size (i, 250), ==, of_250[i]);
    g_assert_cmpint (umedpt_detection_level_stride (i), ==, 8 << i);
  }
}

/* A head's outputs for two images of 64 x 96 pixels (height, width), all
 * background. */
static UmedptTaskOutput
make_detection (gint64 k)
{
  UmedptTaskOutput output = { .kind = UMEDPT_TASK_DETECTION,
    .n_outputs = 3 * UMEDPT_DETECTION_LEVELS };

  for (guint i = 0; i < UMEDPT_DETECTION_LEVELS; i++) {
    gint64 shape[] = { 2, umedpt_detection_level_size (i, 64),
      umedpt_detection_level_size (i, 96), k };
    output.outputs[3 * i] = make (4, shape, -20);
    shape[3] = 4;
    output.outputs[3 * i + 1] = make (4, shape, 0);
    shape[3] = 1;
    output.outputs[3 * i + 2] = make (4, shape, 0);
  }
  return output;
}

/* A box of the second image: class and centerness as logits. */
static void
set_box (UmedptTaskOutput *output, guint level, gint64 y, gint64 x,
    const float sides[4], gint label, float class, float centerness)
{
  UmedptTensor *classes = output->outputs[3 * level];
  const gint64 h = classes->shape[1], w = classes->shape[2];
  const gint64 point = (h + y) * w + x;

  UMEDPT_F32 (classes)[point * classes->shape[3] + label] = class;
  memcpy (UMEDPT_F32 (output->outputs[3 * level + 1]) + 4 * point, sides,
      4 * sizeof (float));
  UMEDPT_F32 (output->outputs[3 * level + 2])[point] = centerness;
}

static void
assert_box (const GArray *boxes, guint i, UmedptBox expected)
{
  const UmedptBox *box = &g_array_index (boxes, UmedptBox, i);

  g_assert_cmpfloat_with_epsilon (box->x1, expected.x1, 1e-4);
  g_assert_cmpfloat_with_epsilon (box->y1, expected.y1, 1e-4);
  g_assert_cmpfloat_with_epsilon (box->x2, expected.x2, 1e-4);
  g_assert_cmpfloat_with_epsilon (box->y2, expected.y2, 1e-4);
  g_assert_cmpint (box->label, ==, expected.label);
  g_assert_cmpfloat_with_epsilon (box->score, expected.score, 1e-5);
}

static void
test_boxes (void)
{
  const UmedptDetectionSettings settings = UMEDPT_DETECTION_DEFAULTS;
  const float half[] = { 0.5, 0.5, 0.5, 0.5 }, wide[] = { 9, 1, 9, 1 };
  const float flat[] = { 1, 0, 1, 0 };
  UmedptTaskOutput output = make_detection (2);
  g_autoptr (GArray) boxes = g_array_new (FALSE, FALSE, sizeof (UmedptBox));

  /* Stride 8, point (20, 12): the cell itself. */
  set_box (&output, 0, 1, 2, half, 1, 0, 0);
  /* Stride 32, point (48, 16), clipped at the left and right. */
  set_box (&output, 2, 0, 1, wide, 0, 2, 1);
  /* A class score below 0.05, and one above it whose product is below. */
  set_box (&output, 0, 6, 6, half, 0, -3, 20);
  set_box (&output, 0, 6, 8, half, 0, -2.5, -2.5);
  /* Without height. */
  set_box (&output, 1, 2, 2, flat, 0, 9, 9);

  umedpt_decode_boxes (&output, 0, 96, 64, &settings, boxes);
  g_assert_cmpuint (boxes->len, ==, 0);
  umedpt_decode_boxes (&output, 1, 96, 64, &settings, boxes);
  g_assert_cmpuint (boxes->len, ==, 3);
  assert_box (boxes, 0,
      (UmedptBox){ 0, 0, 96, 48, 0, 0.88079708f * 0.73105858f });
  assert_box (boxes, 1, (UmedptBox){ 16, 8, 24, 16, 1, 0.25 });
  assert_box (boxes, 2,
      (UmedptBox){ 64, 48, 72, 56, 0, 0.07585818f * 0.07585818f });
  umedpt_task_output_clear (&output);
}

/* Of each level only the best candidates by class score go on; of all, only
 * so many boxes. */
static void
test_limits (void)
{
  UmedptDetectionSettings settings = UMEDPT_DETECTION_DEFAULTS;
  const float half[] = { 0.5, 0.5, 0.5, 0.5 };
  UmedptTaskOutput output = make_detection (1);
  g_autoptr (GArray) boxes = g_array_new (FALSE, FALSE, sizeof (UmedptBox));

  for (gint64 i = 0; i < 8; i++)
    set_box (&output, 0, i, i, half, 0, (float) i, (float) -i);
  settings.per_level = 3;
  umedpt_decode_boxes (&output, 1, 96, 64, &settings, boxes);
  g_assert_cmpuint (boxes->len, ==, 3);
  assert_box (boxes, 0,
      (UmedptBox){ 40, 40, 48, 48, 0, 0.99330715f * 0.00669285f });
  settings.max_boxes = 2;
  umedpt_decode_boxes (&output, 1, 96, 64, &settings, boxes);
  g_assert_cmpuint (boxes->len, ==, 5);
  umedpt_task_output_clear (&output);
}

static void
test_iou (void)
{
  const UmedptBox a = { 0, 0, 4, 2 }, b = { 2, 1, 6, 3 }, far = { 4, 0, 5, 2 };
  const UmedptBox empty = { 1, 1, 1, 1 };

  g_assert_cmpfloat_with_epsilon (umedpt_box_iou (&a, &b), 2.0 / 14, 1e-9);
  g_assert_cmpfloat (umedpt_box_iou (&a, &a), ==, 1);
  g_assert_cmpfloat (umedpt_box_iou (&a, &far), ==, 0);
  g_assert_cmpfloat (umedpt_box_iou (&empty, &empty), ==, 0);
}

/* A box is suppressed by a better one of its class, not by one that was
 * suppressed itself, not by another class, and not at the threshold. */
static void
test_suppress (void)
{
  const UmedptBox all[] = {
    { 0, 0, 10, 10, 0, 0.5f }, /* suppressed by the second */
    { 2, 0, 12, 10, 0, 0.9f },
    { -3, 0, 7, 10, 0, 0.4f }, /* only the first overlaps it enough */
    { 2, 0, 12, 10, 1, 0.3f }, /* another class */
    { 2, 0, 12, 5, 0, 0.2f }, /* exactly half */
  };
  const float scores[] = { 0.9f, 0.4f, 0.3f, 0.2f };
  g_autoptr (GArray) boxes = g_array_new (FALSE, FALSE, sizeof (UmedptBox));

  g_array_append_vals (boxes, all, G_N_ELEMENTS (all));
  umedpt_boxes_suppress (boxes, 0.5, 100);
  g_assert_cmpuint (boxes->len, ==, 4);
  for (guint i = 0; i < 4; i++)
    g_assert_cmpfloat (g_array_index (boxes, UmedptBox, i).score, ==,
        scores[i]);
  umedpt_boxes_suppress (boxes, 0.5, 2);
  g_assert_cmpuint (boxes->len, ==, 2);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/decode/values", test_values);
  g_test_add_func ("/decode/one-class", test_one_class);
  g_test_add_func ("/decode/mask", test_mask);
  g_test_add_func ("/decode/planes", test_planes);
  g_test_add_func ("/decode/one-label-mask", test_one_label_mask);
  g_test_add_func ("/decode/levels", test_levels);
  g_test_add_func ("/decode/boxes", test_boxes);
  g_test_add_func ("/decode/limits", test_limits);
  g_test_add_func ("/decode/iou", test_iou);
  g_test_add_func ("/decode/suppress", test_suppress);
  return g_test_run ();
}
