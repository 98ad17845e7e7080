/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Inside of the metrics: one gatherer per kind of task, each with a state of
 * its own that knows nothing of labels' names or of JSON, and the curves that
 * they share. metrics.c is what callers see. Formulas: docs/metrics.md.
 */
#pragma once

#include "train/metrics.h"

G_BEGIN_DECLS

/* Where a gatherer puts its results: over all first, then class by class. */
typedef struct
{
  GArray *metrics; /* of UmedptMetric */
  const char *const *labels; /* of the classes */
} UmedptMetricList;

void umedpt_metric_list_add (UmedptMetricList *self, const char *name,
    double value, gboolean higher_is_better);
void umedpt_metric_list_add_class (UmedptMetricList *self, guint class,
    const char *name, double value);
/* The mean of what is not NaN; NaN of nothing. */
double umedpt_mean_of_defined (const double *values, guint n);
/* part / whole; NaN of 0 / 0. */
double umedpt_ratio (double part, double whole);

/* metrics-rank.c: of one class, where higher scores shall be positives. */
typedef struct
{
  gfloat score;
  gboolean positive;
  gfloat weight; /* > 0 */
} UmedptRanked;

/* Sorts @items by falling score. */
void umedpt_rank_sort (UmedptRanked *items, gsize n);
/* Of sorted items; NaN if all or none are positive. */
double umedpt_rank_auc (const UmedptRanked *items, gsize n);
/* Of sorted items; NaN if none is positive. */
double umedpt_rank_average_precision (const UmedptRanked *items, gsize n);

/* metrics-class.c */
typedef struct _UmedptClassMetrics UmedptClassMetrics;

UmedptClassMetrics *umedpt_class_metrics_new (guint k);
void umedpt_class_metrics_free (UmedptClassMetrics *self);
gboolean umedpt_class_metrics_add (UmedptClassMetrics *self,
    const gfloat *probabilities, gint label);
void umedpt_class_metrics_compute (UmedptClassMetrics *self,
    UmedptMetricList *list);
const guint64 *umedpt_class_metrics_get_confusion (UmedptClassMetrics *self);

/* metrics-labels.c */
typedef struct _UmedptLabelsMetrics UmedptLabelsMetrics;

UmedptLabelsMetrics *umedpt_labels_metrics_new (guint k, double threshold);
void umedpt_labels_metrics_free (UmedptLabelsMetrics *self);
gboolean umedpt_labels_metrics_add (UmedptLabelsMetrics *self,
    const gfloat *probabilities, const gfloat *labels, const gfloat *weights);
void umedpt_labels_metrics_compute (UmedptLabelsMetrics *self,
    UmedptMetricList *list);

/* metrics-value.c: a plain state. */
typedef struct
{
  guint64 n;
  double sum_absolute, sum_squares, max_error;
  double mean, deviations; /* of targets: mean, sum of squared deviations */
} UmedptValueMetrics;

gboolean umedpt_value_metrics_add (UmedptValueMetrics *self, double value,
    double target);
void umedpt_value_metrics_compute (const UmedptValueMetrics *self,
    UmedptMetricList *list);

/* metrics-mask.c */
typedef struct _UmedptMaskMetrics UmedptMaskMetrics;

UmedptMaskMetrics *umedpt_mask_metrics_new (guint k, gboolean multilabel);
void umedpt_mask_metrics_free (UmedptMaskMetrics *self);
gboolean umedpt_mask_metrics_add (UmedptMaskMetrics *self,
    const guint8 *prediction, const guint8 *truth, gsize n_pixels);
void umedpt_mask_metrics_compute (UmedptMaskMetrics *self,
    UmedptMetricList *list);
/* (nullable) */
const guint64 *umedpt_mask_metrics_get_confusion (UmedptMaskMetrics *self);

/* metrics-boxes.c */
typedef struct _UmedptBoxMetrics UmedptBoxMetrics;

UmedptBoxMetrics *umedpt_box_metrics_new (guint k);
void umedpt_box_metrics_free (UmedptBoxMetrics *self);
gboolean umedpt_box_metrics_add (UmedptBoxMetrics *self,
    const GArray *prediction, const GArray *truth);
void umedpt_box_metrics_compute (UmedptBoxMetrics *self,
    UmedptMetricList *list);

G_END_DECLS
