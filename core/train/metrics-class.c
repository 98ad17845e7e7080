/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Classification: counts in a confusion matrix, and for up to 25 classes the
 * probabilities, for the area under the ROC curve, one class against the rest
 * (with two classes by the second one's probability). More classes get top-5
 * accuracy instead, so that memory stays bounded: 104 bytes per image at most.
 *
 * Means are over the classes that occur, in truth or among the predictions,
 * as scikit-learn's macro averages are.
 */
#include <math.h>

#include "train/metrics-private.h"

#define MAX_RANKED_CLASSES 25
#define TOP 5

struct _UmedptClassMetrics
{
  guint k;
  guint64 *confusion; /* [k, k], row = truth */
  guint64 n, n_top;
  GArray *probabilities; /* of gfloat [n, k] */
  GArray *labels; /* of gint32 [n] */
};

UmedptClassMetrics *
umedpt_class_metrics_new (guint k)
{
  UmedptClassMetrics *self = g_new0 (UmedptClassMetrics, 1);

  self->k = k;
  self->confusion = g_new0 (guint64, (gsize) k * k);
  self->probabilities = g_array_new (FALSE, FALSE, sizeof (gfloat));
  self->labels = g_array_new (FALSE, FALSE, sizeof (gint32));
  return self;
}

void
umedpt_class_metrics_free (UmedptClassMetrics *self)
{
  if (!self)
    return;
  g_free (self->confusion);
  g_array_unref (self->probabilities);
  g_array_unref (self->labels);
  g_free (self);
}

/* FALSE: @label is none, the image does not count. */
gboolean
umedpt_class_metrics_add (UmedptClassMetrics *self, const gfloat *probabilities,
    gint label)
{
  guint best = 0, above = 0;

  if (label < 0 || (guint) label >= self->k)
    return FALSE;
  for (guint c = 0; c < self->k; c++) {
    if (probabilities[c] > probabilities[best])
      best = c;
    above += probabilities[c] > probabilities[label];
  }
  self->n++;
  self->n_top += above < TOP;
  self->confusion[(gsize) label * self->k + best]++;
  if (self->k <= MAX_RANKED_CLASSES) {
    g_array_append_vals (self->probabilities, probabilities, self->k);
    g_array_append_val (self->labels, label);
  }
  return TRUE;
}

const guint64 *
umedpt_class_metrics_get_confusion (UmedptClassMetrics *self)
{
  return self->confusion;
}

/* Class @c against the rest; NaN if there is no other, or none of it. */
static double
one_against_rest (UmedptClassMetrics *self, guint c)
{
  const gsize n = self->labels->len;
  g_autofree UmedptRanked *items = g_new (UmedptRanked, n);

  for (gsize i = 0; i < n; i++) {
    items[i].score =
        g_array_index (self->probabilities, gfloat, i * self->k + c);
    items[i].positive = g_array_index (self->labels, gint32, i) == (gint32) c;
    items[i].weight = 1;
  }
  umedpt_rank_sort (items, n);
  return umedpt_rank_auc (items, n);
}

typedef struct
{
  double *f1, *precision, *recall, *auc; /* [k] */
} PerClass;

/* Of classes that occur; NaN of others. Where a ratio is 0 / 0 (precision of
 * a class that was never predicted) it is 0. */
static void
count_class (const UmedptClassMetrics *self, guint c, PerClass *per_class)
{
  double truth = 0, predicted = 0, hits = 0;

  for (guint i = 0; i < self->k; i++) {
    truth += (double) self->confusion[(gsize) c * self->k + i];
    predicted += (double) self->confusion[(gsize) i * self->k + c];
  }
  hits = (double) self->confusion[(gsize) c * self->k + c];
  per_class->f1[c] = umedpt_ratio (2 * hits, truth + predicted);
  per_class->precision[c] = predicted > 0 ? hits / predicted
      : truth > 0                         ? 0
                                          : NAN;
  per_class->recall[c] = truth > 0 ? hits / truth : predicted > 0 ? 0 : NAN;
}

/* The mean recall of classes that occur in truth. */
static double
balanced_accuracy (const UmedptClassMetrics *self, const double *recall)
{
  double sum = 0;
  guint n = 0;

  for (guint c = 0; c < self->k; c++) {
    guint64 truth = 0;
    for (guint i = 0; i < self->k; i++)
      truth += self->confusion[(gsize) c * self->k + i];
    sum += truth ? recall[c] : 0;
    n += truth > 0;
  }
  return umedpt_ratio (sum, n);
}

static void
add_all (UmedptClassMetrics *self, const PerClass *per_class,
    UmedptMetricList *list)
{
  const guint k = self->k;
  guint64 hits = 0;

  for (guint c = 0; c < k; c++)
    hits += self->confusion[(gsize) c * k + c];
  umedpt_metric_list_add (list, "f1", umedpt_mean_of_defined (per_class->f1, k),
      TRUE);
  umedpt_metric_list_add (list, "accuracy",
      umedpt_ratio ((double) hits, (double) self->n), TRUE);
  umedpt_metric_list_add (list, "balanced_accuracy",
      balanced_accuracy (self, per_class->recall), TRUE);
  if (per_class->auc)
    umedpt_metric_list_add (list, "auc",
        k == 2 ? per_class->auc[1] : umedpt_mean_of_defined (per_class->auc, k),
        TRUE);
  else
    umedpt_metric_list_add (list, "top5",
        umedpt_ratio ((double) self->n_top, (double) self->n), TRUE);
  umedpt_metric_list_add (list, "precision",
      umedpt_mean_of_defined (per_class->precision, k), TRUE);
  umedpt_metric_list_add (list, "recall",
      umedpt_mean_of_defined (per_class->recall, k), TRUE);
}

void
umedpt_class_metrics_compute (UmedptClassMetrics *self, UmedptMetricList *list)
{
  g_autofree double *values = g_new (double, 4 * (gsize) self->k);
  PerClass per_class = { .f1 = values,
    .precision = values + self->k,
    .recall = values + 2 * (gsize) self->k };

  if (self->k <= MAX_RANKED_CLASSES)
    per_class.auc = values + 3 * (gsize) self->k;
  for (guint c = 0; c < self->k; c++) {
    count_class (self, c, &per_class);
    if (per_class.auc)
      per_class.auc[c] = one_against_rest (self, c);
  }
  add_all (self, &per_class, list);
  for (guint c = 0; c < self->k; c++) {
    umedpt_metric_list_add_class (list, c, "f1", per_class.f1[c]);
    umedpt_metric_list_add_class (list, c, "precision", per_class.precision[c]);
    umedpt_metric_list_add_class (list, c, "recall", per_class.recall[c]);
    if (per_class.auc)
      umedpt_metric_list_add_class (list, c, "auc", per_class.auc[c]);
  }
}
