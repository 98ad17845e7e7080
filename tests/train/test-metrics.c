/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Metrics by hand: which is the first of each kind, what is not defined, what
 * does not count, JSON that a strict reader accepts, and whole outputs of a
 * network that are right. (Random data against others: check-metrics.py.)
 */
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "net/decode.h"
#include "train/metrics.h"

static char *three[] = { (char *) "a", (char *) "b \"quoted\"", (char *) "c",
  NULL };
static char *one[] = { (char *) "only", NULL };

static UmedptTaskDescription
describe (UmedptTaskKind kind, char **labels)
{
  return (UmedptTaskDescription){ .name = (char *) "task",
    .kind = kind,
    .labels = kind == UMEDPT_TASK_REGRESSION ? NULL : labels,
    .threshold = 0.5,
    .range_max = 10 };
}

/* The value of a metric; NaN if there is none of that name. */
static double
get (UmedptMetrics *metrics, const char *name, const char *label)
{
  g_autoptr (GArray) list = umedpt_metrics_compute (metrics);

  for (guint i = 0; i < list->len; i++) {
    const UmedptMetric *metric = &g_array_index (list, UmedptMetric, i);
    if (strcmp (metric->name, name) == 0 &&
        g_strcmp0 (metric->label, label) == 0)
      return metric->value;
  }
  return NAN;
}

static const UmedptTaskKind kinds[] = { UMEDPT_TASK_CLASSIFICATION,
  UMEDPT_TASK_MULTILABEL, UMEDPT_TASK_REGRESSION, UMEDPT_TASK_SEGMENTATION,
  UMEDPT_TASK_MULTILABEL_SEGMENTATION, UMEDPT_TASK_DETECTION };

/* Of no data at all: every number is undefined, and the JSON is JSON. */
static void
test_empty (void)
{
  static const char *const first[] = { "f1", "auc", "mae", "dice", "dice",
    "ap50" };

  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++) {
    const UmedptTaskDescription task = describe (kinds[i], three);
    g_autoptr (UmedptMetrics) metrics = umedpt_metrics_new (&task);
    g_autoptr (GArray) list = umedpt_metrics_compute (metrics);
    g_autoptr (GError) error = NULL;
    g_autofree char *text = umedpt_metrics_to_json (metrics);
    UmedptJson json;

    g_assert_cmpuint (umedpt_metrics_get_n (metrics), ==, 0);
    g_assert_cmpstr (g_array_index (list, UmedptMetric, 0).name, ==, first[i]);
    g_assert_null (g_array_index (list, UmedptMetric, 0).label);
    g_assert_true (g_array_index (list, UmedptMetric, 0).higher_is_better ==
        (kinds[i] != UMEDPT_TASK_REGRESSION));
    for (guint j = 0; j < list->len; j++)
      g_assert_true (isnan (g_array_index (list, UmedptMetric, j).value));
    g_assert_true (umedpt_json_init (&json, text, strlen (text), &error));
    g_assert_true (umedpt_json_skip (&json, &error));
    g_assert_true (umedpt_json_finish (&json, &error));
    g_assert_nonnull (strstr (text, "null"));
  }
}

static void
test_json (void)
{
  const UmedptTaskDescription task =
      describe (UMEDPT_TASK_CLASSIFICATION, three);
  const gfloat sure[] = { 1, 0, 0 };
  g_autoptr (UmedptMetrics) metrics = umedpt_metrics_new (&task);
  g_autofree char *text = NULL;

  umedpt_metrics_add_class (metrics, sure, 0);
  umedpt_metrics_add_class (metrics, sure, -1); /* no label */
  umedpt_metrics_add_class (metrics, sure, 3);
  text = umedpt_metrics_to_json (metrics);
  g_assert_cmpstr (text, ==,
      "{\"n\":1,\"metrics\":{\"f1\":1,\"accuracy\":1,\"balanced_accuracy\":1,"
      "\"auc\":null,\"precision\":1,\"recall\":1},\"per_class\":{"
      "\"a\":{\"f1\":1,\"precision\":1,\"recall\":1,\"auc\":null},"
      "\"b \\\"quoted\\\"\":{\"f1\":null,\"precision\":null,\"recall\":null,"
      "\"auc\":null},"
      "\"c\":{\"f1\":null,\"precision\":null,\"recall\":null,\"auc\":null}},"
      "\"confusion\":[[1,0,0],[0,0,0],[0,0,0]]}");
}

/* Scores that are NaN rank last instead of spoiling the sort. */
static void
test_nan_scores (void)
{
  const UmedptTaskDescription task = describe (UMEDPT_TASK_MULTILABEL, one);
  g_autoptr (UmedptMetrics) metrics = umedpt_metrics_new (&task);
  const gfloat scores[] = { NAN, 0.9f, 0.8f, 0.1f };
  const gfloat truth[] = { 0, 1, 1, 0 };

  for (guint i = 0; i < 4; i++)
    umedpt_metrics_add_labels (metrics, &scores[i], &truth[i], NULL);
  g_assert_cmpfloat (get (metrics, "auc", NULL), ==, 1);
  g_assert_cmpfloat (get (metrics, "ap", "only"), ==, 1);
}

/* Truth 0 0 1 1 and one pixel that does not count; no class said once. */
static void
test_masks (void)
{
  const UmedptTaskDescription task = describe (UMEDPT_TASK_SEGMENTATION, three);
  const guint8 truth[] = { 0, 0, 1, 1, UMEDPT_IGNORE_PIXEL };
  const guint8 said[] = { 0, 1, 1, UMEDPT_IGNORE_PIXEL, 2 };
  g_autoptr (UmedptMetrics) metrics = umedpt_metrics_new (&task);
  const guint64 *confusion;
  guint k;

  umedpt_metrics_add_mask (metrics, said, truth, 5);
  umedpt_metrics_add_mask (metrics, said + 4, truth + 4, 1);
  g_assert_cmpuint (umedpt_metrics_get_n (metrics), ==, 1);
  g_assert_cmpfloat_with_epsilon (get (metrics, "dice", "a"), 2 / 3.0, 1e-12);
  g_assert_cmpfloat_with_epsilon (get (metrics, "dice", "b \"quoted\""), 0.5,
      1e-12);
  g_assert_true (isnan (get (metrics, "dice", "c")));
  g_assert_cmpfloat (get (metrics, "image_dice", "c"), ==, 1);
  g_assert_cmpfloat_with_epsilon (get (metrics, "dice", NULL), 3.5 / 6, 1e-12);
  g_assert_cmpfloat_with_epsilon (get (metrics, "image_iou", NULL),
      (1 / 2.0 + 1 / 3.0 + 1) / 3, 1e-12);
  g_assert_cmpfloat (get (metrics, "pixel_accuracy", NULL), ==, 0.5);
  confusion = umedpt_metrics_get_confusion (metrics, &k);
  g_assert_cmpuint (k, ==, 3);
  g_assert_cmpuint (confusion[0] + confusion[1] + confusion[4], ==, 3);
}

static void
add_boxes (UmedptMetrics *metrics, const UmedptBox *found, guint n_found,
    const UmedptBox *truth, guint n_truth)
{
  g_autoptr (GArray) a = g_array_new (FALSE, FALSE, sizeof (UmedptBox));
  g_autoptr (GArray) b = g_array_new (FALSE, FALSE, sizeof (UmedptBox));

  if (n_found)
    g_array_append_vals (a, found, n_found);
  if (n_truth)
    g_array_append_vals (b, truth, n_truth);
  umedpt_metrics_add_boxes (metrics, a, b);
}

/* In a region to ignore, any number of predictions count neither way. */
static void
test_regions (void)
{
  const UmedptTaskDescription task = describe (UMEDPT_TASK_DETECTION, three);
  const UmedptBox truth[] = { { 0, 0, 10, 10, 0, 1 },
    { 50, 0, 150, 100, UMEDPT_IGNORE_LABEL, 1 } };
  const UmedptBox found[] = { { 60, 10, 70, 20, 0, 0.9f },
    { 60, 30, 70, 40, 0, 0.8f }, { 60, 30, 70, 40, 1, 0.8f },
    { 0, 0, 10, 10, 0, 0.5f } };
  g_autoptr (UmedptMetrics) with = umedpt_metrics_new (&task);
  g_autoptr (UmedptMetrics) without = umedpt_metrics_new (&task);

  add_boxes (with, found, 4, truth, 2);
  add_boxes (without, found, 4, truth, 1);
  g_assert_cmpfloat_with_epsilon (get (with, "ap50", "a"), 1, 1e-12);
  g_assert_cmpfloat_with_epsilon (get (without, "ap50", "a"), 1 / 3.0, 1e-12);
  g_assert_true (isnan (get (with, "ap50", "c")));
  g_assert_cmpfloat_with_epsilon (get (with, "ar", NULL), 1, 1e-12);
  add_boxes (with, NULL, 0, NULL, 0);
  add_boxes (with, NULL, 0, truth, 1); /* missed */
  g_assert_cmpuint (umedpt_metrics_get_n (with), ==, 3);
  g_assert_cmpfloat_with_epsilon (get (with, "ar", NULL), 0.5, 1e-12);
}

static UmedptTensor *
make (UmedptDtype dtype, guint n_dims, const gint64 *shape)
{
  return umedpt_tensor_new_zeros (dtype, n_dims, shape, NULL);
}

/* Two images of 64 x 32, of which the network sees everything; @first says
 * which of the batch's three images the output begins with. */
#define FIRST 1
#define HEIGHT 64
#define WIDTH 32

static void
make_values (UmedptTaskOutput *output, UmedptBatch *batch)
{
  const gboolean classes = batch->kind == UMEDPT_TASK_CLASSIFICATION;
  const gint64 k = batch->kind == UMEDPT_TASK_REGRESSION ? 1 : 3;
  const gint64 shape[] = { 2, k }, targets[] = { 3, k };

  output->outputs[0] = make (UMEDPT_DTYPE_F32, 2, shape);
  batch->targets = make (classes ? UMEDPT_DTYPE_I32 : UMEDPT_DTYPE_F32,
      batch->kind == UMEDPT_TASK_MULTILABEL ? 2 : 1, targets);
  for (gint64 i = 0; i < 3; i++)
    for (gint64 c = 0; c < k; c++) {
      const gboolean yes = c == i % k;
      if (classes && yes)
        ((gint32 *) batch->targets->data)[i] = (gint32) c;
      else if (batch->kind == UMEDPT_TASK_MULTILABEL)
        UMEDPT_F32 (batch->targets)[i * k + c] = yes;
      else if (batch->kind == UMEDPT_TASK_REGRESSION)
        UMEDPT_F32 (batch->targets)[i] = 2 + i;
      if (i >= FIRST)
        UMEDPT_F32 (output->outputs[0])
      [(i - FIRST) * k + c] = k == 1 ? 2 + i : yes ? 9 : -9;
    }
}

/* Classes in blocks of 2 x 2 pixels, one per pixel of the logits. */
static void
make_masks (UmedptTaskOutput *output, UmedptBatch *batch, gint64 k)
{
  const gboolean several =
      batch->kind == UMEDPT_TASK_MULTILABEL_SEGMENTATION || k == 1;
  const gint64 h = HEIGHT / 2, w = WIDTH / 2;
  const gint64 shape[] = { 2, h, w, k }, mask[] = { 3, HEIGHT, WIDTH, k };

  output->outputs[0] = make (UMEDPT_DTYPE_F32, 4, shape);
  batch->targets = make (UMEDPT_DTYPE_U8, several && k > 1 ? 4 : 3, mask);
  for (gint64 i = 0; i < 3 * HEIGHT * WIDTH; i++) {
    const gint64 image = i / (HEIGHT * WIDTH);
    const gint64 y = i / WIDTH % HEIGHT / 2, x = i % WIDTH / 2;
    const gint64 class = (image + y + x) % (k == 1 ? 2 : k);

    for (gint64 c = 0; c < k; c++) {
      const gboolean yes = k == 1 ? class == 1 : class == c;
      if (several)
        UMEDPT_U8 (batch->targets)[i * k + c] = yes;
      else if (yes)
        UMEDPT_U8 (batch->targets)[i] = (guint8) c;
      if (image >= FIRST)
        UMEDPT_F32 (output->outputs[0])
      [(((image - FIRST) * h + y) * w + x) * k + c] = yes ? 9 : -9;
    }
  }
}

/* One box per image, said by one point of the first level. */
static void
make_boxes (UmedptTaskOutput *output, UmedptBatch *batch)
{
  static const gint64 channels[] = { 3, 4, 1 };

  output->n_outputs = 15;
  for (guint i = 0; i < 15; i++) {
    const gint64 shape[] = { 2, umedpt_detection_level_size (i / 3, HEIGHT),
      umedpt_detection_level_size (i / 3, WIDTH), channels[i % 3] };
    output->outputs[i] = make (UMEDPT_DTYPE_F32, 4, shape);
    for (gsize j = 0; j < output->outputs[i]->n_elements; j++)
      UMEDPT_F32 (output->outputs[i])[j] = i % 3 == 1 ? 1 : -9;
  }
  batch->boxes =
      g_ptr_array_new_with_free_func ((GDestroyNotify) g_array_unref);
  for (gint image = 0; image < 3; image++) {
    /* around the point (2, 3 + image), 20 x 12 pixels */
    const float x = 2.5f * 8, y = (3.5f + (float) image) * 8;
    const UmedptBox box = { x - 10, y - 6, x + 10, y + 6, image, 1 };
    GArray *boxes = g_array_new (FALSE, FALSE, sizeof (UmedptBox));
    const gint64 at = ((image - FIRST) * 8 + 3 + image) * 4 + 2;
    const float sides[] = { 10 / 8.0f, 6 / 8.0f, 10 / 8.0f, 6 / 8.0f };

    g_array_append_val (boxes, box);
    g_ptr_array_add (batch->boxes, boxes);
    if (image < FIRST)
      continue;
    UMEDPT_F32 (output->outputs[0])[at * 3 + image] = 9;
    memcpy (UMEDPT_F32 (output->outputs[1]) + at * 4, sides, sizeof sides);
    UMEDPT_F32 (output->outputs[2])[at] = 9;
  }
}

static void
check_output (UmedptTaskKind kind, char **labels)
{
  const gint64 images[] = { 3, HEIGHT, WIDTH, 3 };
  const UmedptTaskDescription task = describe (kind, labels);
  g_autoptr (UmedptMetrics) metrics = umedpt_metrics_new (&task);
  g_autoptr (UmedptBatch) batch = g_new0 (UmedptBatch, 1);
  g_autoptr (GArray) list = NULL;
  UmedptTaskOutput output = { .kind = kind, .n_outputs = 1 };
  const UmedptMetric *first;

  batch->kind = kind;
  batch->n = 3;
  batch->images = make (UMEDPT_DTYPE_F32, 4, images);
  if (kind == UMEDPT_TASK_DETECTION)
    make_boxes (&output, batch);
  else if (kind < UMEDPT_TASK_SEGMENTATION)
    make_values (&output, batch);
  else
    make_masks (&output, batch, labels == one ? 1 : 3);
  umedpt_metrics_add_output (metrics, &output, batch, FIRST);
  g_assert_cmpuint (umedpt_metrics_get_n (metrics), ==, 2);
  list = umedpt_metrics_compute (metrics);
  first = &g_array_index (list, UmedptMetric, 0);
  g_assert_cmpfloat_with_epsilon (first->value, first->higher_is_better ? 1 : 0,
      1e-5);
  umedpt_task_output_clear (&output);
}

static void
test_output (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    check_output (kinds[i], three);
  check_output (UMEDPT_TASK_SEGMENTATION, one);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/metrics/empty", test_empty);
  g_test_add_func ("/metrics/json", test_json);
  g_test_add_func ("/metrics/nan-scores", test_nan_scores);
  g_test_add_func ("/metrics/masks", test_masks);
  g_test_add_func ("/metrics/regions", test_regions);
  g_test_add_func ("/metrics/output", test_output);
  return g_test_run ();
}
