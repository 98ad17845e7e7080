/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Metrics of a task over a split, gathered batch by batch with bounded memory
 * where the metric allows, and equal to scikit-learn's and pycocotools'.
 */
#pragma once

#include "data/loader.h"
#include "net/decode.h"

G_BEGIN_DECLS

typedef struct _UmedptMetrics UmedptMetrics;

typedef struct
{
  const char *name; /* "accuracy", "f1", "auc", "dice", "iou", "ap50", "ap",
                       "mae", "rmse", "r2" …; the first is the one to select
                       models by */
  double value; /* NaN: not defined for these data */
  gboolean higher_is_better;
  const char *label; /* (nullable) of one class; NULL: over all */
} UmedptMetric;

UmedptMetrics *umedpt_metrics_new (const UmedptTaskDescription *task);
void umedpt_metrics_free (UmedptMetrics *self);
/* One image or case: probabilities and truth. */
void umedpt_metrics_add_class (UmedptMetrics *self, const gfloat *probabilities,
    gint label);
void umedpt_metrics_add_labels (UmedptMetrics *self,
    const gfloat *probabilities, const gfloat *labels, const gfloat *weights);
void umedpt_metrics_add_value (UmedptMetrics *self, double value,
    double target);
/* u8 [n_pixels], or [n_pixels, K] for multilabel; prediction 255 = no class */
void umedpt_metrics_add_mask (UmedptMetrics *self, const guint8 *prediction,
    const guint8 *truth, gsize n_pixels);
void umedpt_metrics_add_boxes (UmedptMetrics *self, const GArray *prediction,
    const GArray *truth);
/* All images of @batch (from @first) and @output, decoded; masks are compared
 * at the batch's size, boxes in the network's pixels. */
void umedpt_metrics_add_output (UmedptMetrics *self,
    const UmedptTaskOutput *output, const UmedptBatch *batch, guint first);

/* (transfer full) of UmedptMetric; valid while @self is. */
GArray *umedpt_metrics_compute (UmedptMetrics *self);
/* The number of images or cases. */
guint64 umedpt_metrics_get_n (UmedptMetrics *self);
/* (nullable) (transfer none) [K, K] counts, row = truth: classification,
 * segmentation (pixels). */
const guint64 *umedpt_metrics_get_confusion (UmedptMetrics *self, guint *k);
/* {"n": …, "metrics": {…}, "per_class": {label: {…}}, "confusion": [[…]]} */
char *umedpt_metrics_to_json (UmedptMetrics *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptMetrics, umedpt_metrics_free)

G_END_DECLS
