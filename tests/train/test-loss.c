/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Losses: parts of a batch sum to the whole, in value and gradient; what does
 * not count is skipped and leaves no gradient; masks are read at the nearest
 * pixel; labels that cannot be are refused. Which point learns which box, by
 * hand. (The numbers against torch: check-losses.py.)
 */
#include <math.h>
#include <string.h>

#include "autograd/tape.h"
#include "base/error.h"
#include "base/random.h"
#include "net/decode.h"
#include "train/loss.h"

#define N 5
#define K 3
#define SIZE 96 /* pixels of a detection image */

typedef struct
{
  UmedptContext *context;
  UmedptTape *tape;
  UmedptTaskDescription task;
  UmedptTaskOutput output;
  UmedptBatch *batch;
} Fixture;

static UmedptTensor *
make_tensor (UmedptDtype dtype, guint n_dims, const gint64 *shape)
{
  g_autoptr (GError) error = NULL;
  UmedptTensor *tensor = umedpt_tensor_new_zeros (dtype, n_dims, shape, &error);

  g_assert_no_error (error);
  return tensor;
}

static void
fill (UmedptTensor *tensor, const char *name, double low, double high)
{
  UmedptRandom random;

  umedpt_random_init_named (&random, 1, name);
  umedpt_random_fill_uniform (&random, UMEDPT_F32 (tensor), tensor->n_elements,
      low, high);
}

static UmedptTensor *
make_logits (guint n_dims, const gint64 *shape, const char *name)
{
  UmedptTensor *logits = make_tensor (UMEDPT_DTYPE_F32, n_dims, shape);

  fill (logits, name, -3, 3);
  logits->requires_grad = TRUE;
  return logits;
}

static void
make_detection (Fixture *self)
{
  static const float boxes[][6] = { { 0, 3, 3, 40, 50, 1 },
    { 0, 20, 30, 90, 95, 2 }, { 2, 10, 0, 96, 96, 0 }, { 3, 0, 0, 50, 50, -1 },
    { 4, 60, 10, 94, 60, 1 } };
  static const gint64 channels[] = { K, 4, 1 };

  self->output.n_outputs = 15;
  for (guint i = 0; i < 15; i++) {
    const gint64 side = umedpt_detection_level_size (i / 3, SIZE);
    const gint64 shape[] = { N, side, side, channels[i % 3] };
    g_autofree char *name = g_strdup_printf ("output %u", i);

    self->output.outputs[i] = make_logits (4, shape, name);
    if (i % 3 == 1)
      fill (self->output.outputs[i], name, 0.1, 4);
  }
  self->batch->boxes =
      g_ptr_array_new_with_free_func ((GDestroyNotify) g_array_unref);
  for (guint i = 0; i < N; i++)
    g_ptr_array_add (self->batch->boxes,
        g_array_new (FALSE, FALSE, sizeof (UmedptBox)));
  for (guint i = 0; i < G_N_ELEMENTS (boxes); i++) {
    const float *b = boxes[i];
    const UmedptBox box = { b[1], b[2], b[3], b[4], (gint) b[5], 1 };
    g_array_append_val ((GArray *) self->batch->boxes->pdata[(guint) b[0]],
        box);
  }
}

static void
make_rows (Fixture *self)
{
  const gboolean classes = self->task.kind == UMEDPT_TASK_CLASSIFICATION;
  const gboolean several = self->task.kind == UMEDPT_TASK_MULTILABEL;
  const gint64 shape[] = { N, classes || several ? K : 1 };

  self->output.n_outputs = 1;
  self->output.outputs[0] = make_logits (2, shape, "logits");
  if (classes) {
    self->batch->targets = make_tensor (UMEDPT_DTYPE_I32, 1, shape);
    memcpy (self->batch->targets->data, (gint32[N]){ 2, 0, -1, 1, 1 },
        N * sizeof (gint32));
    return;
  }
  self->batch->targets = make_tensor (UMEDPT_DTYPE_F32, several ? 2 : 1, shape);
  fill (self->batch->targets, "targets", 0, 1);
  if (several) {
    self->batch->weights = make_tensor (UMEDPT_DTYPE_F32, 2, shape);
    fill (self->batch->weights, "weights", 0, 2);
    UMEDPT_F32 (self->batch->weights)[4] = 0;
  }
}

/* Logits of half the masks' size. */
static void
make_masks (Fixture *self, gint64 k)
{
  const gint64 mask[] = { N, 8, 12, k };
  const gint64 shape[] = { N, 4, 6, k };
  const gboolean several =
      self->task.kind == UMEDPT_TASK_MULTILABEL_SEGMENTATION;

  self->output.n_outputs = 1;
  self->output.outputs[0] = make_logits (4, shape, "logits");
  self->batch->targets = make_tensor (UMEDPT_DTYPE_U8, several ? 4 : 3, mask);
}

static void
fixture_init (Fixture *self, UmedptTaskKind kind)
{
  const gint64 images[] = { N, SIZE, SIZE, 3 };

  self->context =
      umedpt_context_new (umedpt_backend_find (NULL, NULL), UMEDPT_DTYPE_F32);
  self->tape = umedpt_tape_new ();
  umedpt_context_set_tape (self->context, self->tape);
  self->task = (UmedptTaskDescription){
    .name = (char *) "a task", .kind = kind, .range_min = -1, .range_max = 3
  };
  self->output.kind = kind;
  self->batch = g_new0 (UmedptBatch, 1);
  self->batch->kind = kind;
  self->batch->n = N;
  self->batch->images = make_tensor (UMEDPT_DTYPE_F32, 4, images);
  if (kind == UMEDPT_TASK_DETECTION)
    make_detection (self);
  else if (kind < UMEDPT_TASK_SEGMENTATION)
    make_rows (self);
  else
    make_masks (self, K);
}

static void
fixture_clear (Fixture *self)
{
  umedpt_task_output_clear (&self->output);
  umedpt_batch_free (self->batch);
  umedpt_tape_free (self->tape);
  umedpt_context_free (self->context);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Fixture, fixture_clear)

static UmedptLoss
compute (Fixture *self, const UmedptTaskOutput *output, guint first,
    const UmedptLossNormalizers *normalizers)
{
  g_autoptr (GError) error = NULL;
  UmedptLoss loss;
  gboolean ok = umedpt_loss_compute (self->context, &self->task, output,
      self->batch, first, 0, normalizers, &loss, &error);

  g_assert_no_error (error);
  g_assert_true (ok);
  return loss;
}

static void
assert_fails (Fixture *self, guint first, gint code, const char *word)
{
  g_autoptr (GError) error = NULL;
  UmedptLoss loss;

  g_assert_false (umedpt_loss_compute (self->context, &self->task,
      &self->output, self->batch, first, 0, NULL, &loss, &error));
  g_assert_error (error, UMEDPT_ERROR, code);
  g_assert_nonnull (strstr (error->message, word));
}

/* Copies of rows @first … @first + @n - 1 of all outputs. */
static void
take_part (const UmedptTaskOutput *whole, guint first, guint n,
    UmedptTaskOutput *part)
{
  *part = *whole;
  for (guint i = 0; i < whole->n_outputs; i++) {
    const UmedptTensor *from = whole->outputs[i];
    const gsize row = from->n_elements / N;
    gint64 shape[UMEDPT_MAX_DIMS];

    memcpy (shape, from->shape, sizeof shape);
    shape[0] = n;
    part->outputs[i] = make_tensor (UMEDPT_DTYPE_F32, from->n_dims, shape);
    memcpy (part->outputs[i]->data, UMEDPT_F32 (from) + first * row,
        n * row * sizeof (float));
    part->outputs[i]->requires_grad = TRUE;
  }
}

static void
assert_part_of_gradient (const UmedptTaskOutput *whole,
    const UmedptTaskOutput *part, guint first)
{
  for (guint i = 0; i < whole->n_outputs; i++) {
    const float *all = UMEDPT_F32 (whole->outputs[i]->grad);
    const UmedptTensor *grad = part->outputs[i]->grad;
    const gsize row = whole->outputs[i]->n_elements / N;

    for (gsize j = 0; grad && j < grad->n_elements; j++)
      g_assert_cmpfloat_with_epsilon (UMEDPT_F32 (grad)[j],
          all[first * row + j], 1e-6);
    for (gsize j = 0; !grad && j < part->outputs[i]->n_elements; j++)
      g_assert_cmpfloat (all[first * row + j], ==, 0); /* skipped */
  }
}

/* 5 = 2 + 1 + 2 */
static void
test_parts (gconstpointer data)
{
  static const guint starts[] = { 0, 2, 3, N };
  g_auto (Fixture) f = { 0 };
  g_autoptr (GError) error = NULL;
  UmedptLossNormalizers normalizers;
  UmedptLoss whole, sum = { 0 };

  fixture_init (&f, GPOINTER_TO_INT (data));
  g_assert_true (umedpt_loss_normalizers (&f.task, f.batch, &normalizers,
      &error));
  whole = compute (&f, &f.output, 0, NULL);
  g_assert_cmpfloat (whole.total, >, 0);
  for (guint p = 0; p < 3; p++) {
    UmedptTaskOutput part;
    UmedptLoss loss;

    take_part (&f.output, starts[p], starts[p + 1] - starts[p], &part);
    loss = compute (&f, &part, starts[p], &normalizers);
    sum.total += loss.total;
    for (guint i = 0; i < whole.n_parts; i++)
      sum.parts[i] += loss.parts[i];
    assert_part_of_gradient (&f.output, &part, starts[p]);
    umedpt_task_output_clear (&part);
  }
  g_assert_cmpfloat_with_epsilon (sum.total, whole.total, 1e-5 * whole.total);
  for (guint i = 0; i < whole.n_parts; i++)
    g_assert_cmpfloat_with_epsilon (sum.parts[i], whole.parts[i],
        1e-5 * whole.total);
}

static void
test_no_parts (void)
{
  g_auto (Fixture) f = { 0 };
  g_autoptr (GError) error = NULL;
  UmedptLossNormalizers normalizers;

  fixture_init (&f, UMEDPT_TASK_SEGMENTATION);
  g_assert_false (umedpt_loss_normalizers (&f.task, f.batch, &normalizers,
      &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED);
}

/* Without a tape, or with logits that want none, there is no gradient. */
static void
test_no_gradient (gconstpointer data)
{
  g_auto (Fixture) f = { 0 };
  double first;

  fixture_init (&f, GPOINTER_TO_INT (data));
  umedpt_context_set_tape (f.context, NULL);
  first = compute (&f, &f.output, 0, NULL).total;
  for (guint i = 0; i < f.output.n_outputs; i++) {
    g_assert_null (f.output.outputs[i]->grad);
    f.output.outputs[i]->requires_grad = FALSE;
  }
  umedpt_context_set_tape (f.context, f.tape);
  g_assert_cmpfloat (compute (&f, &f.output, 0, NULL).total, ==, first);
  for (guint i = 0; i < f.output.n_outputs; i++)
    g_assert_null (f.output.outputs[i]->grad);
}

/* Nothing labelled: no loss, no seed. */
static void
test_skipped (gconstpointer data)
{
  const UmedptTaskKind kind = GPOINTER_TO_INT (data);
  const UmedptBox everything = { 0, 0, SIZE, SIZE, UMEDPT_IGNORE_LABEL, 1 };
  g_auto (Fixture) f = { 0 };
  UmedptLoss loss;

  fixture_init (&f, kind);
  if (kind == UMEDPT_TASK_MULTILABEL)
    memset (f.batch->weights->data, 0,
        umedpt_tensor_get_size (f.batch->weights));
  else if (kind != UMEDPT_TASK_DETECTION) /* -1, or 255 */
    memset (f.batch->targets->data, 0xff,
        umedpt_tensor_get_size (f.batch->targets));
  else
    for (guint i = 0; i < N; i++) {
      g_array_set_size (f.batch->boxes->pdata[i], 0);
      g_array_append_val ((GArray *) f.batch->boxes->pdata[i], everything);
    }
  loss = compute (&f, &f.output, 0, NULL);
  if (kind == UMEDPT_TASK_DETECTION) { /* points beyond the image's edge */
    g_assert_cmpfloat (loss.parts[1], ==, 0);
    g_assert_cmpfloat (loss.parts[2], ==, 0);
    return;
  }
  g_assert_true (loss.skipped);
  g_assert_cmpfloat (loss.total, ==, 0);
  g_assert_null (f.output.outputs[0]->grad);
}

/* Pixel (y, x) of the logits has the label of the mask's (2 y, 2 x): with all
 * others ignored nothing changes. */
static void
test_nearest (gconstpointer data)
{
  const UmedptTaskKind kind = GPOINTER_TO_INT (data);
  g_auto (Fixture) f = { 0 };
  guint8 *mask;
  gint64 planes;
  UmedptLoss all, even;

  fixture_init (&f, kind);
  mask = UMEDPT_U8 (f.batch->targets);
  planes = kind == UMEDPT_TASK_SEGMENTATION ? 1 : K;
  for (gsize i = 0; i < f.batch->targets->n_elements; i++)
    mask[i] = (guint8) (i * 7 / 3 % (planes == 1 ? K : 2));
  all = compute (&f, &f.output, 0, NULL);
  g_assert_cmpuint (all.n_parts, ==, 2);
  g_assert_cmpfloat (all.total, ==, all.parts[0] + all.parts[1]);
  for (gint64 y = 0; y < N * 8; y++)
    for (gint64 x = 0; x < 12; x++)
      for (gint64 p = 0; p < planes; p++)
        if (y % 2 || x % 2)
          mask[(y * 12 + x) * planes + p] = UMEDPT_IGNORE_PIXEL;
  even = compute (&f, &f.output, 0, NULL);
  g_assert_cmpfloat (all.total, ==, even.total);
}

/* One label is there or not: as multilabel segmentation with one plane. */
static void
test_one_label (void)
{
  g_auto (Fixture) f = { 0 };
  double first;

  fixture_init (&f, UMEDPT_TASK_SEGMENTATION);
  umedpt_task_output_clear (&f.output);
  g_clear_pointer (&f.batch->targets, umedpt_tensor_unref);
  make_masks (&f, 1);
  for (gsize i = 0; i < f.batch->targets->n_elements; i++)
    UMEDPT_U8 (f.batch->targets)[i] = i % 5 == 0;
  first = compute (&f, &f.output, 0, NULL).total;
  f.task.kind = UMEDPT_TASK_MULTILABEL_SEGMENTATION;
  g_assert_cmpfloat (compute (&f, &f.output, 0, NULL).total, ==, first);
  UMEDPT_U8 (f.batch->targets)[24] = 2;
  assert_fails (&f, 0, UMEDPT_ERROR_DATA, "a task");
}

static void
test_refused (void)
{
  g_auto (Fixture) masks = { 0 };
  g_auto (Fixture) rows = { 0 };
  g_auto (Fixture) boxes = { 0 };

  fixture_init (&masks, UMEDPT_TASK_SEGMENTATION);
  UMEDPT_U8 (masks.batch->targets)[2 * 12 + 4] = K;
  assert_fails (&masks, 0, UMEDPT_ERROR_DATA, "value 3");
  assert_fails (&masks, 1, UMEDPT_ERROR_SHAPE, "a task");
  fixture_init (&rows, UMEDPT_TASK_CLASSIFICATION);
  assert_fails (&rows, 1, UMEDPT_ERROR_SHAPE, "row 6");
  fixture_init (&boxes, UMEDPT_TASK_DETECTION);
  assert_fails (&boxes, 1, UMEDPT_ERROR_SHAPE, "5 images");
}

/* Of cases, there are fewer labels than images. */
static void
test_cases (void)
{
  const gint64 images[] = { N }, cases[] = { 2, K };
  g_auto (Fixture) f = { 0 };
  double ce = 0;

  fixture_init (&f, UMEDPT_TASK_CLASSIFICATION);
  umedpt_task_output_clear (&f.output);
  f.output.n_outputs = 1;
  f.output.outputs[0] = make_logits (2, cases, "cases");
  umedpt_tensor_unref (f.batch->targets);
  f.batch->targets = make_tensor (UMEDPT_DTYPE_I32, 1, cases);
  f.batch->groups = make_tensor (UMEDPT_DTYPE_I32, 1, images);
  f.batch->n_groups = 2;
  for (guint i = 0; i < 2; i++) { /* both are of class 0 */
    const float *z = UMEDPT_F32 (f.output.outputs[0]) + i * K;
    ce += log (exp (z[0]) + exp (z[1]) + exp (z[2])) - z[0];
  }
  g_assert_cmpfloat_with_epsilon (compute (&f, &f.output, 0, NULL).total,
      ce / 2 / log (K), 1e-5);
}

/* The points of all levels for a list of boxes. */
typedef struct
{
  UmedptTensor *classes[UMEDPT_DETECTION_LEVELS];
  UmedptTensor *targets[UMEDPT_DETECTION_LEVELS];
  double positives, centerness;
} Targets;

static void
targets_clear (Targets *self)
{
  for (guint l = 0; l < UMEDPT_DETECTION_LEVELS; l++) {
    g_clear_pointer (&self->classes[l], umedpt_tensor_unref);
    g_clear_pointer (&self->targets[l], umedpt_tensor_unref);
  }
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Targets, targets_clear)

static void
assign (Targets *self, const UmedptBox *boxes, guint n)
{
  g_autoptr (GArray) list = g_array_new (FALSE, FALSE, sizeof (UmedptBox));

  targets_clear (self);
  g_array_append_vals (list, boxes, n);
  self->positives = self->centerness = 0;
  for (guint l = 0; l < UMEDPT_DETECTION_LEVELS; l++) {
    const gint64 side = umedpt_detection_level_size (l, SIZE);
    const gint64 shape[] = { 1, side, side, 4 };
    self->classes[l] = make_tensor (UMEDPT_DTYPE_I32, 3, shape);
    self->targets[l] = make_tensor (UMEDPT_DTYPE_F32, 4, shape);
  }
  g_assert_true (umedpt_detection_assign (list, SIZE, SIZE, 0, self->classes,
      self->targets, &self->positives, &self->centerness));
}

/* The class of point (x, y) on the first level. */
static gint32
class_at (Targets *self, gint64 x, gint64 y)
{
  return ((const gint32 *) self->classes[0]->data)[y * (SIZE / 8) + x];
}

static void
test_targets (void)
{
  /* the point (1, 2) of stride 8 lies at (12, 20) */
  const UmedptBox one = { 10, 16, 18, 24, 4, 1 };
  const UmedptBox touching = { 12, 16, 18, 24, 4, 1 };
  const UmedptBox nested[] = { { 0, 0, 60, 60, 1, 1 }, { 8, 16, 16, 24, 2, 1 },
    { 8, 16, 16, 24, 3, 1 }, { 0, 0, 96, 30, UMEDPT_IGNORE_LABEL, 1 } };
  const UmedptBox odd[] = { { NAN, 0, 50, 50, 0, 1 }, { 50, 50, 10, 10, 0, 1 },
    { 5, 5, 5, 50, 0, 1 }, { -INFINITY, -9, -1, 1e30f, 0, 1 } };
  const float expected[] = { 0.25f, 0.5f, 0.75f, 0.5f };
  g_auto (Targets) t = { 0 };

  assign (&t, &one, 1);
  g_assert_cmpfloat (t.positives, ==, 1);
  g_assert_cmpint (class_at (&t, 1, 2), ==, 4);
  g_assert_cmpint (class_at (&t, 2, 2), ==, -1);
  for (guint i = 0; i < 4; i++)
    g_assert_cmpfloat (UMEDPT_F32 (t.targets[0])[4 * (2 * 12 + 1) + i], ==,
        expected[i]);
  g_assert_cmpfloat_with_epsilon (t.centerness, sqrt (0.25 / 0.75), 1e-12);
  assign (&t, &touching, 1); /* strictly inside, or not */
  g_assert_cmpfloat (t.positives, ==, 0);
  assign (&t, nested, G_N_ELEMENTS (nested));
  g_assert_cmpint (class_at (&t, 1, 2), ==, 2); /* the smallest, the first */
  g_assert_cmpint (class_at (&t, 0, 0), ==, 1); /* an object in a region */
  g_assert_cmpint (class_at (&t, 11, 0), ==, -2);
  g_assert_cmpint (class_at (&t, 11, 11), ==, -1);
  assign (&t, odd, 3);
  g_assert_cmpfloat (t.positives, ==, 0);
  assign (&t, odd + 3, 1);
  g_assert_cmpfloat (t.positives, ==, 0);
}

#define ADD(name, kind, function) \
  g_test_add_data_func ("/loss/" name, GINT_TO_POINTER (UMEDPT_TASK_##kind), \
      function)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("parts/classification", CLASSIFICATION, test_parts);
  ADD ("parts/multilabel", MULTILABEL, test_parts);
  ADD ("parts/regression", REGRESSION, test_parts);
  ADD ("parts/detection", DETECTION, test_parts);
  g_test_add_func ("/loss/parts/segmentation", test_no_parts);
  ADD ("no-gradient/classification", CLASSIFICATION, test_no_gradient);
  ADD ("no-gradient/segmentation", SEGMENTATION, test_no_gradient);
  ADD ("no-gradient/detection", DETECTION, test_no_gradient);
  ADD ("skipped/classification", CLASSIFICATION, test_skipped);
  ADD ("skipped/multilabel", MULTILABEL, test_skipped);
  ADD ("skipped/segmentation", SEGMENTATION, test_skipped);
  ADD ("skipped/multilabel-segmentation", MULTILABEL_SEGMENTATION,
      test_skipped);
  ADD ("skipped/detection", DETECTION, test_skipped);
  ADD ("nearest/segmentation", SEGMENTATION, test_nearest);
  ADD ("nearest/multilabel-segmentation", MULTILABEL_SEGMENTATION,
      test_nearest);
  g_test_add_func ("/loss/one-label", test_one_label);
  g_test_add_func ("/loss/cases", test_cases);
  g_test_add_func ("/loss/refused", test_refused);
  g_test_add_func ("/targets/by-hand", test_targets);
  return g_test_run ();
}
