/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Losses: values that can be worked out by hand (a model that knows nothing
 * has a loss of about 1; nothing labelled gives 0), a NaN that must not turn
 * into a number on the way (training stops at it), and the checks of targets.
 * On every backend with host memory.
 */
#include <math.h>
#include <string.h>

#include "../ops/op-table.h"
#include "base/error.h"

static UmedptContext *context;
static UmedptTensor *loss; /* [3], for calls by hand */

static UmedptTensor *
zeros (UmedptDtype dtype, guint n_dims, const gint64 *shape)
{
  g_autoptr (GError) error = NULL;
  UmedptTensor *tensor = umedpt_tensor_new_zeros (dtype, n_dims, shape, &error);

  g_assert_no_error (error);
  return tensor;
}

static void
assert_near (float found, double expected)
{
  g_assert_cmpfloat_with_epsilon (found, expected, 1e-5);
}

/* Cross entropy over ln K, and BCE over ln 2, of equal logits. */
static void
test_chance (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptTensor) logits = zeros (UMEDPT_DTYPE_F32, SHAPE (4, 10));
  g_autoptr (UmedptTensor) targets = zeros (UMEDPT_DTYPE_I32, SHAPE (4));
  g_autoptr (UmedptTensor) soft = zeros (UMEDPT_DTYPE_F32, SHAPE (4, 10));
  g_autoptr (UmedptTensor) value = zeros (UMEDPT_DTYPE_F32, SHAPE (1));
  UmedptCrossEntropyArgs ce = { .logits = logits,
    .targets = targets,
    .loss = value,
    .scale = (float) (1 / log (10)),
    .normalizer = 4 };
  UmedptBinaryCrossEntropyArgs bce = { .logits = logits,
    .targets = soft,
    .loss = value,
    .scale = (float) (1 / log (2)),
    .normalizer = 40 };

  g_assert_true (umedpt_op_cross_entropy (context, &ce, &error));
  assert_near (UMEDPT_F32 (value)[0], 1);
  g_assert_true (umedpt_op_binary_cross_entropy (context, &bce, &error));
  assert_near (UMEDPT_F32 (value)[0], 1);
  UMEDPT_F32 (logits)[0] = 1000; /* sure and right: 0; wrong: a number */
  ((gint32 *) targets->data)[1] = -1;
  ((gint32 *) targets->data)[2] = -1;
  ((gint32 *) targets->data)[3] = -1;
  g_assert_true (umedpt_op_cross_entropy (context, &ce, &error));
  assert_near (UMEDPT_F32 (value)[0], 0);
  ((gint32 *) targets->data)[0] = 5;
  g_assert_true (umedpt_op_cross_entropy (context, &ce, &error));
  assert_near (UMEDPT_F32 (value)[0] * log (10) / 1000, 0.25);
}

/* Two classes, four pixels, equal logits: p = 1/2 everywhere. */
static void
test_segmentation (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptTensor) logits =
      zeros (UMEDPT_DTYPE_F32, SHAPE (1, 2, 2, 3));
  g_autoptr (UmedptTensor) labels = zeros (UMEDPT_DTYPE_U8, SHAPE (1, 2, 2));
  g_autoptr (UmedptTensor) diff = zeros (UMEDPT_DTYPE_F32, SHAPE (1, 2, 2, 3));
  g_autoptr (UmedptTensor) value = zeros (UMEDPT_DTYPE_F32, SHAPE (2));
  UmedptSegmentationLossArgs args = { .logits = logits,
    .labels = labels,
    .loss = value,
    .diff_logits = diff,
    .focal_scale = 1 };

  UMEDPT_U8 (labels)[3] = 1;
  for (guint i = 0; i < 4; i++) /* the third class: never, and nowhere so */
    UMEDPT_F32 (logits)[3 * i + 2] = -100;
  g_assert_true (umedpt_op_segmentation_loss (context, &args, &error));
  /* class 0: 1 - 2 1.5 / (2 + 3); class 1: 1 - 2 0.5 / (2 + 1); class 2: 0 */
  assert_near (UMEDPT_F32 (value)[0], (0.4 + 2 / 3.0 + 0) / 3);
  assert_near (UMEDPT_F32 (value)[1], 2 * 0.25 * log (2));
  memset (labels->data, 255, 4);
  memset (diff->data, 255, 48);
  g_assert_true (umedpt_op_segmentation_loss (context, &args, &error));
  for (guint i = 0; i < 12; i++)
    g_assert_cmpfloat (UMEDPT_F32 (diff)[i], ==, 0);
  g_assert_cmpfloat (UMEDPT_F32 (value)[0], ==, 0);
  g_assert_cmpfloat (UMEDPT_F32 (value)[1], ==, 0);
}

/* A box of half the size, centered: IoU 1/4, centerness 1. */
static void
test_detection (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptTensor) classes =
      zeros (UMEDPT_DTYPE_F32, SHAPE (1, 1, 1, 1));
  g_autoptr (UmedptTensor) boxes = VALUES (SHAPE (1, 1, 1, 4), 1, 1, 1, 1);
  g_autoptr (UmedptTensor) center =
      zeros (UMEDPT_DTYPE_F32, SHAPE (1, 1, 1, 1));
  g_autoptr (UmedptTensor) target = VALUES (SHAPE (1, 1, 1, 4), 2, 2, 2, 2);
  g_autoptr (UmedptTensor) which = zeros (UMEDPT_DTYPE_I32, SHAPE (1, 1, 1));
  UmedptDetectionLossArgs args = { .classes = classes,
    .boxes = boxes,
    .centerness = center,
    .target_classes = which,
    .target_boxes = target,
    .loss = loss,
    .class_scale = (float) (1 / log (2)),
    .positives = 1,
    .centerness_sum = 1 };

  g_assert_true (umedpt_op_detection_loss (context, &args, &error));
  assert_near (UMEDPT_F32 (loss)[0], 0.25 * 0.25);
  assert_near (UMEDPT_F32 (loss)[1], log (4));
  assert_near (UMEDPT_F32 (loss)[2], 0.2 * log (2));
  ((gint32 *) which->data)[0] = -2;
  g_assert_true (umedpt_op_detection_loss (context, &args, &error));
  for (guint i = 0; i < 3; i++)
    g_assert_cmpfloat (UMEDPT_F32 (loss)[i], ==, 0);
}

/* clang-format off */
static const OpRow rows[] = {
  { &kind_cross_entropy, "plain", { 3, 5, 0, 0 }, VARIANT_F32, 0, 0, 1, 0 },
  { &kind_cross_entropy, "focal", { 3, 19, 200, 2 }, VARIANT_F32, 0, 0, 1, 0 },
  { &kind_binary_cross_entropy, "plain", { 3, 7, 0 }, VARIANT_F32, 0, 0, 1, 0 },
  { &kind_binary_cross_entropy, "weights", { 3, 7, 1 }, VARIANT_F32, 0, 0, 1, 0 },
  { &kind_squared_error, "odd", { 19 }, VARIANT_F32, 0, 0, 1, 0 },
  { &kind_segmentation_loss, "odd", { 1, 3, 2, 3, 0, 3, 4 }, VARIANT_F32, 0, 0, 1, 0 },
  { &kind_segmentation_loss, "multilabel", { 1, 3, 2, 3, 1, 3, 4 }, VARIANT_F32, 0, 0, 1, 0 },
  { &kind_detection_loss, "odd", { 1, 3, 2, 3, 3 }, VARIANT_F32, 0, 0, 1, 0 },
};
/* clang-format on */

static gboolean
sum_is_nan (const OpRow *row, const OpInputs *in)
{
  OpOutputs out = { { NULL } };
  float sum = 0;

  g_assert_true (row->kind->run_all (context, row, in, &out, NULL));
  for (gsize i = 0; i < out.t[0]->n_elements; i++)
    sum += UMEDPT_F32 (out.t[0])[i];
  for (guint i = 0; i < G_N_ELEMENTS (out.t); i++)
    g_clear_pointer (&out.t[i], umedpt_tensor_unref);
  return isnan (sum);
}

/* A NaN in every element that has a gradient, one after the other. */
static void
check_nan_row (const OpRow *row)
{
  OpInputs in = { .compute = UMEDPT_DTYPE_F32 };
  OpOutputs clean = { { NULL } };

  row->kind->make (row, UMEDPT_DTYPE_F32, &(Lcg){ 3 }, &in);
  g_assert_true (row->kind->run_all (context, row, &in, &clean, NULL));
  for (guint k = 1; k < G_N_ELEMENTS (clean.t); k++)
    for (gsize i = 0; clean.t[k] && i < clean.t[k]->n_elements; i++) {
      float *x = UMEDPT_F32 (in.t[k - 1]) + i, saved = *x;

      if (UMEDPT_F32 (clean.t[k])[i] == 0)
        continue;
      *x = NAN;
      if (!sum_is_nan (row, &in))
        g_error ("%s/%s: a NaN in element %" G_GSIZE_FORMAT
                 " of input %u is lost",
            row->kind->name, row->name, i, k - 1);
      *x = saved;
    }
  for (guint i = 0; i < G_N_ELEMENTS (in.t); i++)
    g_clear_pointer (&in.t[i], umedpt_tensor_unref);
  for (guint i = 0; i < G_N_ELEMENTS (clean.t); i++)
    g_clear_pointer (&clean.t[i], umedpt_tensor_unref);
}

static void
test_nan (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    check_nan_row (&rows[i]);
}

/* What backends must never see. */
static void
assert_refused (gboolean ok, GError *error, int code, const char *words)
{
  g_assert_false (ok);
  g_assert_error (error, UMEDPT_ERROR, code);
  if (!strstr (error->message, words))
    g_error ("'%s' is not in: %s", words, error->message);
  g_error_free (error);
}

#define REFUSED(code, words, op, ...) \
  do { \
    GError *refused_error = NULL; \
    gboolean refused_ok = \
        umedpt_op_##op (context, __VA_ARGS__, &refused_error); \
    assert_refused (refused_ok, refused_error, UMEDPT_ERROR_##code, words); \
  } while (0)

static void
test_targets (void)
{
  g_autoptr (UmedptTensor) logits = zeros (UMEDPT_DTYPE_F32, SHAPE (2, 3));
  g_autoptr (UmedptTensor) targets = zeros (UMEDPT_DTYPE_I32, SHAPE (2));
  g_autoptr (UmedptTensor) value = zeros (UMEDPT_DTYPE_F32, SHAPE (1));
  UmedptCrossEntropyArgs ce = { .logits = logits,
    .targets = targets,
    .loss = value,
    .scale = 1,
    .normalizer = 1 };

  ((gint32 *) targets->data)[1] = 3;
  REFUSED (DATA, "element 1 of targets is 3; -1 to 2", cross_entropy, &ce);
  ((gint32 *) targets->data)[1] = -2;
  REFUSED (DATA, "targets is -2", cross_entropy, &ce);
  ((gint32 *) targets->data)[1] = -1;
  ce.normalizer = 0;
  REFUSED (SETTINGS, "normalizer is 0", cross_entropy, &ce);
  ce.normalizer = 1;
  ce.gamma = NAN;
  REFUSED (SETTINGS, "gamma is nan", cross_entropy, &ce);
  ce.gamma = 0;
  ce.diff_logits = targets;
  REFUSED (DTYPE, "diff_logits is i32", cross_entropy, &ce);
  ce.diff_logits = NULL;
  ce.loss = logits;
  REFUSED (SHAPE, "[1] is expected", cross_entropy, &ce);
  ce.loss = NULL;
  REFUSED (SETTINGS, "loss is missing", cross_entropy, &ce);
}

static void
test_labels (void)
{
  g_autoptr (UmedptTensor) logits =
      zeros (UMEDPT_DTYPE_F32, SHAPE (1, 1, 2, 3));
  g_autoptr (UmedptTensor) labels = zeros (UMEDPT_DTYPE_U8, SHAPE (1, 1, 2));
  g_autoptr (UmedptTensor) value = zeros (UMEDPT_DTYPE_F32, SHAPE (2));
  UmedptSegmentationLossArgs args = {
    .logits = logits, .labels = labels, .loss = value, .focal_scale = 1
  };

  UMEDPT_U8 (labels)[1] = 3;
  REFUSED (DATA, "element 1 of labels is 3; 0 to 2", segmentation_loss, &args);
  args.multilabel = TRUE;
  REFUSED (SHAPE, "4 dimensions are expected", segmentation_loss, &args);
}

static void
test_groups (void)
{
  g_autoptr (UmedptTensor) src = zeros (UMEDPT_DTYPE_F32, SHAPE (3, 2));
  g_autoptr (UmedptTensor) weight = zeros (UMEDPT_DTYPE_F32, SHAPE (3, 1));
  g_autoptr (UmedptTensor) groups = zeros (UMEDPT_DTYPE_I32, SHAPE (3));
  GError *error = NULL;

  umedpt_op_group_reduce (context, src, weight, groups, 2,
      UMEDPT_GROUPING_WEIGHTED, &error);
  assert_refused (FALSE, error, UMEDPT_ERROR_DATA, "1 of 2 groups");
  ((gint32 *) groups->data)[2] = 2;
  error = NULL;
  umedpt_op_group_reduce (context, src, weight, groups, 2,
      UMEDPT_GROUPING_WEIGHTED, &error);
  assert_refused (FALSE, error, UMEDPT_ERROR_DATA, "instance 2 is of group 2");
}

static gpointer
make_attachment (UmedptTensor *tensor, gpointer user_data, GError **error)
{
  return user_data;
}

static void
note_dropped (gpointer data)
{
  *(gboolean *) data = TRUE;
}

/* Packed weights of a parameter are stale after a step. */
static void
test_step (void)
{
  static const char key;
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptTensor) p = VALUES (SHAPE (2), 1, 2);
  g_autoptr (UmedptTensor) g = VALUES (SHAPE (2), 1, 1);
  g_autoptr (UmedptTensor) m = zeros (UMEDPT_DTYPE_F32, SHAPE (2));
  g_autoptr (UmedptTensor) v = zeros (UMEDPT_DTYPE_F32, SHAPE (2));
  UmedptAdamwArgs adamw = { p, g, m, v, 0.1, 0.9, 0.999, 1e-8, 0, 1, 1 };
  UmedptSgdArgs sgd = { p, g, m, 0.1, 0.9, 0, 1, FALSE, 1 };
  gboolean dropped = FALSE;

  umedpt_tensor_attach (p, &key, make_attachment, &dropped, note_dropped, NULL);
  g_assert_true (umedpt_op_adamw (context, &adamw, &error));
  g_assert_true (dropped);
  assert_near (UMEDPT_F32 (p)[0], 0.9); /* the first step is lr */
  dropped = FALSE;
  umedpt_tensor_attach (p, &key, make_attachment, &dropped, note_dropped, NULL);
  g_assert_true (umedpt_op_sgd (context, &sgd, &error));
  g_assert_true (dropped);
  assert_near (UMEDPT_F32 (p)[0], 0.8);
  adamw.step = 0;
  REFUSED (SETTINGS, "step is 0", adamw, &adamw);
  adamw.step = 1;
  adamw.moment2 = loss;
  REFUSED (SHAPE, "moment2 is f32 [3]", adamw, &adamw);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  UmedptBackend *backend = umedpt_backend_find (NULL, &error);

  g_test_init (&argc, &argv, NULL);
  g_assert_no_error (error);
  context = umedpt_context_new (backend, UMEDPT_DTYPE_F32);
  loss = zeros (UMEDPT_DTYPE_F32, SHAPE (3));
  g_test_add_func ("/losses/chance", test_chance);
  g_test_add_func ("/losses/segmentation", test_segmentation);
  g_test_add_func ("/losses/detection", test_detection);
  g_test_add_func ("/losses/nan", test_nan);
  g_test_add_func ("/losses/targets", test_targets);
  g_test_add_func ("/losses/labels", test_labels);
  g_test_add_func ("/losses/groups", test_groups);
  g_test_add_func ("/losses/step", test_step);
  argc = g_test_run ();
  umedpt_tensor_unref (loss);
  umedpt_context_free (context);
  return argc;
}
