/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Metrics as callers see them: one object per task that gathers what is added,
 * whatever the kind, and says it as a list or as JSON. What is computed is in
 * metrics-*.c and in docs/metrics.md.
 */
#include "train/metrics.h"

#include <math.h>

#include "base/json.h"
#include "train/metrics-private.h"

struct _UmedptMetrics
{
  const UmedptTaskDescription *task; /* not owned */
  UmedptTaskKind kind; /* of segmentation with one label: multilabel */
  guint k;
  guint64 n;
  char **labels; /* [k] and NULL */
  UmedptClassMetrics *classes; /* one of these */
  UmedptLabelsMetrics *multilabel;
  UmedptValueMetrics value;
  UmedptMaskMetrics *masks;
  UmedptBoxMetrics *boxes;
};

double
umedpt_ratio (double part, double whole)
{
  return whole > 0 ? part / whole : NAN;
}

double
umedpt_mean_of_defined (const double *values, guint n)
{
  double sum = 0;
  guint n_defined = 0;

  for (guint i = 0; i < n; i++)
    if (!isnan (values[i])) {
      sum += values[i];
      n_defined++;
    }
  return umedpt_ratio (sum, n_defined);
}

void
umedpt_metric_list_add (UmedptMetricList *self, const char *name, double value,
    gboolean higher_is_better)
{
  const UmedptMetric metric = { name, value, higher_is_better, NULL };

  g_array_append_val (self->metrics, metric);
}

void
umedpt_metric_list_add_class (UmedptMetricList *self, guint class,
    const char *name, double value)
{
  const UmedptMetric metric = { name, value, TRUE, self->labels[class] };

  g_array_append_val (self->metrics, metric);
}

static void
make_gatherer (UmedptMetrics *self)
{
  switch (self->kind) {
    case UMEDPT_TASK_CLASSIFICATION:
      self->classes = umedpt_class_metrics_new (self->k);
      break;
    case UMEDPT_TASK_MULTILABEL:
      self->multilabel =
          umedpt_labels_metrics_new (self->k, self->task->threshold);
      break;
    case UMEDPT_TASK_REGRESSION:
      break;
    case UMEDPT_TASK_SEGMENTATION:
    case UMEDPT_TASK_MULTILABEL_SEGMENTATION:
      self->masks = umedpt_mask_metrics_new (self->k,
          self->kind == UMEDPT_TASK_MULTILABEL_SEGMENTATION);
      break;
    case UMEDPT_TASK_DETECTION:
      self->boxes = umedpt_box_metrics_new (self->k);
      break;
  }
}

/* @task must stay alive. Classes without a label are called "0", "1", … */
UmedptMetrics *
umedpt_metrics_new (const UmedptTaskDescription *task)
{
  UmedptMetrics *self = g_new0 (UmedptMetrics, 1);
  const guint n_labels = task->labels ? g_strv_length (task->labels) : 0;

  self->task = task;
  self->kind = task->kind;
  self->k = (guint) umedpt_task_description_get_n_outputs (task);
  if (self->kind == UMEDPT_TASK_SEGMENTATION && self->k == 1)
    self->kind = UMEDPT_TASK_MULTILABEL_SEGMENTATION;
  self->labels = g_new0 (char *, self->k + 1);
  for (guint c = 0; c < self->k; c++)
    self->labels[c] =
        c < n_labels ? g_strdup (task->labels[c]) : g_strdup_printf ("%u", c);
  make_gatherer (self);
  return self;
}

void
umedpt_metrics_free (UmedptMetrics *self)
{
  if (!self)
    return;
  umedpt_class_metrics_free (self->classes);
  umedpt_labels_metrics_free (self->multilabel);
  umedpt_mask_metrics_free (self->masks);
  umedpt_box_metrics_free (self->boxes);
  g_strfreev (self->labels);
  g_free (self);
}

/* An image without a label (@label < 0) does not count. */
void
umedpt_metrics_add_class (UmedptMetrics *self, const gfloat *probabilities,
    gint label)
{
  g_return_if_fail (self->classes != NULL);
  self->n += umedpt_class_metrics_add (self->classes, probabilities, label);
}

/* @weights: (nullable); what has the weight 0 does not count. */
void
umedpt_metrics_add_labels (UmedptMetrics *self, const gfloat *probabilities,
    const gfloat *labels, const gfloat *weights)
{
  g_return_if_fail (self->multilabel != NULL);
  self->n += umedpt_labels_metrics_add (self->multilabel, probabilities, labels,
      weights);
}

/* A @target that is NaN does not count. */
void
umedpt_metrics_add_value (UmedptMetrics *self, double value, double target)
{
  g_return_if_fail (self->kind == UMEDPT_TASK_REGRESSION);
  self->n += umedpt_value_metrics_add (&self->value, value, target);
}

/* Pixels whose truth is 255 do not count, nor an image of such alone. */
void
umedpt_metrics_add_mask (UmedptMetrics *self, const guint8 *prediction,
    const guint8 *truth, gsize n_pixels)
{
  g_return_if_fail (self->masks != NULL);
  self->n += umedpt_mask_metrics_add (self->masks, prediction, truth, n_pixels);
}

/* Both of UmedptBox; true boxes with a label < 0 are regions to ignore. */
void
umedpt_metrics_add_boxes (UmedptMetrics *self, const GArray *prediction,
    const GArray *truth)
{
  g_return_if_fail (self->boxes != NULL);
  self->n += umedpt_box_metrics_add (self->boxes, prediction, truth);
}

static void
add_values (UmedptMetrics *self, const UmedptTaskOutput *output, guint i,
    const UmedptBatch *batch, guint row)
{
  g_autofree gfloat *values = g_new (gfloat, self->k);
  const gsize at = (gsize) row * self->k;

  umedpt_decode_values (output, self->task, i, values);
  if (self->kind == UMEDPT_TASK_CLASSIFICATION)
    umedpt_metrics_add_class (self, values,
        ((const gint32 *) umedpt_tensor_get_data (batch->targets))[row]);
  else if (self->kind == UMEDPT_TASK_MULTILABEL)
    umedpt_metrics_add_labels (self, values, UMEDPT_F32 (batch->targets) + at,
        batch->weights ? UMEDPT_F32 (batch->weights) + at : NULL);
  else
    umedpt_metrics_add_value (self, values[0],
        UMEDPT_F32 (batch->targets)[row]);
}

static void
add_mask (UmedptMetrics *self, const UmedptTaskOutput *output, guint i,
    const UmedptBatch *batch, guint row)
{
  const gint height = (gint) umedpt_tensor_get_dim (batch->images, 1);
  const gint width = (gint) umedpt_tensor_get_dim (batch->images, 2);
  const gsize n_pixels = (gsize) height * (gsize) width;
  const gsize planes =
      self->kind == UMEDPT_TASK_MULTILABEL_SEGMENTATION ? self->k : 1;
  g_autofree guint8 *mask = g_new (guint8, n_pixels * planes);

  umedpt_decode_mask (output, self->task, i, self->task->threshold, width,
      height, mask);
  umedpt_metrics_add_mask (self, mask,
      UMEDPT_U8 (batch->targets) + row * n_pixels * planes, n_pixels);
}

static void
add_boxes (UmedptMetrics *self, const UmedptTaskOutput *output, guint i,
    const UmedptBatch *batch, guint row)
{
  const UmedptDetectionSettings settings = UMEDPT_DETECTION_DEFAULTS;
  g_autoptr (GArray) boxes = g_array_new (FALSE, FALSE, sizeof (UmedptBox));

  umedpt_decode_boxes (output, i,
      (gint) umedpt_tensor_get_dim (batch->images, 2),
      (gint) umedpt_tensor_get_dim (batch->images, 1), &settings, boxes);
  umedpt_metrics_add_boxes (self, boxes, batch->boxes->pdata[row]);
}

void
umedpt_metrics_add_output (UmedptMetrics *self, const UmedptTaskOutput *output,
    const UmedptBatch *batch, guint first)
{
  const guint n = (guint) umedpt_tensor_get_dim (output->outputs[0], 0);

  for (guint i = 0; i < n; i++)
    switch (self->kind) {
      case UMEDPT_TASK_SEGMENTATION:
      case UMEDPT_TASK_MULTILABEL_SEGMENTATION:
        add_mask (self, output, i, batch, first + i);
        break;
      case UMEDPT_TASK_DETECTION:
        add_boxes (self, output, i, batch, first + i);
        break;
      default:
        add_values (self, output, i, batch, first + i);
        break;
    }
}

GArray *
umedpt_metrics_compute (UmedptMetrics *self)
{
  UmedptMetricList list = {
    .metrics = g_array_new (FALSE, FALSE, sizeof (UmedptMetric)),
    .labels = (const char *const *) self->labels,
  };

  if (self->classes)
    umedpt_class_metrics_compute (self->classes, &list);
  else if (self->multilabel)
    umedpt_labels_metrics_compute (self->multilabel, &list);
  else if (self->masks)
    umedpt_mask_metrics_compute (self->masks, &list);
  else if (self->boxes)
    umedpt_box_metrics_compute (self->boxes, &list);
  else
    umedpt_value_metrics_compute (&self->value, &list);
  return list.metrics;
}

guint64
umedpt_metrics_get_n (UmedptMetrics *self)
{
  return self->n;
}

const guint64 *
umedpt_metrics_get_confusion (UmedptMetrics *self, guint *k)
{
  *k = self->k;
  if (self->classes)
    return umedpt_class_metrics_get_confusion (self->classes);
  return self->masks ? umedpt_mask_metrics_get_confusion (self->masks) : NULL;
}

/* "name":value; what is not defined is null. */
static void
append_metric (GString *json, const UmedptMetric *metric, gboolean first)
{
  if (!first)
    g_string_append_c (json, ',');
  umedpt_json_append_string (json, metric->name);
  g_string_append_c (json, ':');
  if (isfinite (metric->value))
    umedpt_json_append_double (json, metric->value);
  else
    g_string_append (json, "null");
}

/* The classes' metrics, which follow each other in @metrics. */
static void
append_per_class (GString *json, const GArray *metrics)
{
  const char *label = NULL;

  g_string_append (json, ",\"per_class\":{");
  for (guint i = 0; i < metrics->len; i++) {
    const UmedptMetric *metric = &g_array_index (metrics, UmedptMetric, i);
    const gboolean first = metric->label != label;

    if (!metric->label)
      continue;
    if (first) {
      g_string_append (json, label ? "}," : "");
      umedpt_json_append_string (json, metric->label);
      g_string_append (json, ":{");
      label = metric->label;
    }
    append_metric (json, metric, first);
  }
  g_string_append (json, label ? "}}" : "}");
}

static void
append_confusion (GString *json, UmedptMetrics *self)
{
  guint k;
  const guint64 *confusion = umedpt_metrics_get_confusion (self, &k);

  if (!confusion)
    return;
  g_string_append (json, ",\"confusion\":[");
  for (guint i = 0; i < k; i++) {
    g_string_append (json, i ? ",[" : "[");
    for (guint j = 0; j < k; j++)
      g_string_append_printf (json, "%s%" G_GUINT64_FORMAT, j ? "," : "",
          confusion[(gsize) i * k + j]);
    g_string_append_c (json, ']');
  }
  g_string_append_c (json, ']');
}

/* (transfer full). "confusion" only where there is one. */
char *
umedpt_metrics_to_json (UmedptMetrics *self)
{
  g_autoptr (GArray) metrics = umedpt_metrics_compute (self);
  GString *json = g_string_new (NULL);

  g_string_append_printf (json, "{\"n\":%" G_GUINT64_FORMAT ",\"metrics\":{",
      self->n);
  for (guint i = 0; i < metrics->len; i++) {
    const UmedptMetric *metric = &g_array_index (metrics, UmedptMetric, i);
    if (!metric->label)
      append_metric (json, metric, i == 0);
  }
  g_string_append_c (json, '}');
  append_per_class (json, metrics);
  append_confusion (json, self);
  return g_string_free (g_string_append_c (json, '}'), FALSE);
}
