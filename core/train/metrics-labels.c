/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Multilabel classification: each label by itself, weighted (0: not labelled),
 * then the mean over the labels for which a number is defined. A soft target
 * counts as true from above 1/2. The probabilities are kept, 9 bytes per image
 * and label, for the curves.
 */
#include <math.h>

#include "train/metrics-private.h"

struct _UmedptLabelsMetrics
{
  guint k;
  double threshold;
  GArray **items; /* [k] of UmedptRanked */
};

UmedptLabelsMetrics *
umedpt_labels_metrics_new (guint k, double threshold)
{
  UmedptLabelsMetrics *self = g_new0 (UmedptLabelsMetrics, 1);

  self->k = k;
  self->threshold = threshold;
  self->items = g_new (GArray *, k);
  for (guint c = 0; c < k; c++)
    self->items[c] = g_array_new (FALSE, FALSE, sizeof (UmedptRanked));
  return self;
}

void
umedpt_labels_metrics_free (UmedptLabelsMetrics *self)
{
  if (!self)
    return;
  for (guint c = 0; c < self->k; c++)
    g_array_unref (self->items[c]);
  g_free (self->items);
  g_free (self);
}

/* FALSE: no label of the image has a weight. */
gboolean
umedpt_labels_metrics_add (UmedptLabelsMetrics *self,
    const gfloat *probabilities, const gfloat *labels, const gfloat *weights)
{
  gboolean counts = FALSE;

  for (guint c = 0; c < self->k; c++) {
    const UmedptRanked item = { probabilities[c], labels[c] > 0.5f,
      weights ? weights[c] : 1 };

    if (!(item.weight > 0))
      continue;
    g_array_append_val (self->items[c], item);
    counts = TRUE;
  }
  return counts;
}

enum
{
  AUC,
  AP,
  F1,
  ACCURACY,
  N_NUMBERS
};

static const char *const names[N_NUMBERS] = { "auc", "ap", "f1", "accuracy" };

static void
compute_label (UmedptLabelsMetrics *self, guint c, double *numbers)
{
  UmedptRanked *items = (UmedptRanked *) (gpointer) self->items[c]->data;
  const gsize n = self->items[c]->len;
  double truth = 0, predicted = 0, hits = 0, right = 0, all = 0;

  umedpt_rank_sort (items, n);
  numbers[AUC] = umedpt_rank_auc (items, n);
  numbers[AP] = umedpt_rank_average_precision (items, n);
  for (gsize i = 0; i < n; i++) {
    const gboolean yes = items[i].score > self->threshold;
    const double weight = items[i].weight;

    all += weight;
    truth += items[i].positive ? weight : 0;
    predicted += yes ? weight : 0;
    hits += yes && items[i].positive ? weight : 0;
    right += yes == items[i].positive ? weight : 0;
  }
  numbers[F1] = umedpt_ratio (2 * hits, truth + predicted);
  numbers[ACCURACY] = umedpt_ratio (right, all);
}

void
umedpt_labels_metrics_compute (UmedptLabelsMetrics *self,
    UmedptMetricList *list)
{
  g_autofree double *numbers = g_new (double, N_NUMBERS *(gsize) self->k);
  g_autofree double *column = g_new (double, self->k);

  for (guint c = 0; c < self->k; c++)
    compute_label (self, c, numbers + N_NUMBERS * (gsize) c);
  for (guint i = 0; i < N_NUMBERS; i++) {
    for (guint c = 0; c < self->k; c++)
      column[c] = numbers[N_NUMBERS * (gsize) c + i];
    umedpt_metric_list_add (list, names[i],
        umedpt_mean_of_defined (column, self->k), TRUE);
  }
  for (guint c = 0; c < self->k; c++)
    for (guint i = 0; i < N_NUMBERS; i++)
      umedpt_metric_list_add_class (list, c, names[i],
          numbers[N_NUMBERS * (gsize) c + i]);
}
