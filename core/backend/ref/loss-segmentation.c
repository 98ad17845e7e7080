/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Dice and focal loss of label maps. p is the softmax over the classes, or the
 * sigmoid where several may hold; y is 1 where a class is so, else 0; pixels
 * (with several labels: entries) labelled 255 are left out of all sums.
 *
 *   dice   mean over classes of 1 - 2 sum p y / max (sum (p + y), 1e-7), sums
 *          over the batch; a class that is nowhere y = 1 gives 0, and counts
 *          in the mean (Milletari et al. 2016, arXiv:1606.04797, in the form
 *          without squares)
 *   focal  (1 - q)^2 (-ln q), q the probability of what is so by a sigmoid of
 *          the class's logit alone (Lin et al. 2017, arXiv:1708.02002); summed
 *          over classes, mean over pixels; with several labels the mean over
 *          all entries
 *
 * If nothing is labelled, both are 0. With I = sum p y and U = sum (p + y):
 * d dice / d p = -2 (y / U - I / U^2) / K.
 */
#include <math.h>

#include "backend/ref/ref.h"

#define IGNORED 255

/* The sums of one class, and d dice / d p where y is 0 and 1. */
typedef struct
{
  double intersection, sum, positives;
  double slope[2];
} Class;

/* Of an entry: 0 or 1, or -1: left out. */
static gint
label_of (const UmedptSegmentationLossArgs *args, gsize pixel, gsize k, gsize j)
{
  guint8 label =
      UMEDPT_U8 (args->labels)[args->multilabel ? pixel * k + j : pixel];

  if (label == IGNORED)
    return -1;
  return args->multilabel ? label : label == j;
}

/* p [k] of a pixel. */
static void
probabilities (const UmedptSegmentationLossArgs *args, gsize pixel, gsize k,
    double *p)
{
  double max = -INFINITY, sum = 0;

  for (gsize j = 0; j < k; j++) {
    p[j] = UMEDPT_F32 (args->logits)[pixel * k + j];
    max = MAX (max, p[j]);
  }
  for (gsize j = 0; j < k; j++)
    if (args->multilabel)
      p[j] = umedpt_ref_activation (p[j], UMEDPT_ACTIVATION_SIGMOID);
    else
      sum += p[j] = exp (p[j] - max);
  for (gsize j = 0; !args->multilabel && j < k; j++)
    p[j] /= sum;
}

/* Sums over all pixels. Returns the number of entries that count. */
static gsize
sum_classes (const UmedptSegmentationLossArgs *args, Class *classes, double *p)
{
  gsize m = umedpt_ref_rows (args->logits), entries = 0;
  gsize k = umedpt_ref_columns (args->logits);

  for (gsize i = 0; i < m; i++) {
    probabilities (args, i, k, p);
    for (gsize j = 0; j < k; j++) {
      gint y = label_of (args, i, k, j);

      if (y < 0)
        continue;
      entries++;
      classes[j].intersection += p[j] * y;
      classes[j].sum += p[j] + y;
      classes[j].positives += y;
    }
  }
  return entries;
}

static double
dice (Class *classes, gsize k)
{
  double loss = 0;

  for (gsize j = 0; j < k; j++) {
    Class *c = &classes[j];
    double sum = MAX (c->sum, 1e-7);

    if (c->positives == 0)
      continue;
    loss += (1 - 2 * c->intersection / sum) / k;
    c->slope[0] = 2 * c->intersection / (sum * sum) / k;
    c->slope[1] = c->slope[0] - 2 / sum / k;
  }
  return loss;
}

/* The gradient of dice in pixel @i, through softmax or sigmoid: diff [k]. */
static void
dice_backward (const UmedptSegmentationLossArgs *args, const Class *classes,
    gsize i, gsize k, const double *p, double *diff)
{
  double mean = 0;

  for (gsize j = 0; j < k; j++) {
    gint y = label_of (args, i, k, j);

    diff[j] = y < 0 ? 0 : classes[j].slope[y];
    mean += p[j] * diff[j];
  }
  for (gsize j = 0; j < k; j++)
    diff[j] = args->multilabel ? p[j] * (1 - p[j]) * diff[j]
                               : p[j] * (diff[j] - mean);
}

gboolean
umedpt_ref_segmentation_loss (UmedptBackend *backend,
    const UmedptSegmentationLossArgs *args, GError **error)
{
  gsize m = umedpt_ref_rows (args->logits);
  gsize k = umedpt_ref_columns (args->logits);
  g_autofree double *p = g_new (double, k);
  g_autofree double *diff = g_new (double, k);
  g_autofree Class *classes = g_new0 (Class, k);
  gsize entries = sum_classes (args, classes, p);
  double scale = entries
      ? args->focal_scale / (double) (args->multilabel ? entries : entries / k)
      : 0;
  double focal = 0, slope;

  umedpt_ref_set (args->loss, 0, dice (classes, k));
  for (gsize i = 0; i < m; i++) {
    probabilities (args, i, k, p);
    dice_backward (args, classes, i, k, p, diff);
    for (gsize j = 0; j < k; j++) {
      gint y = label_of (args, i, k, j);

      if (y >= 0) {
        focal += umedpt_ref_focal_of (UMEDPT_F32 (args->logits)[i * k + j],
            y == 1, &slope);
        diff[j] += scale * slope;
      }
      umedpt_ref_put (args->diff_logits, i * k + j, diff[j], FALSE);
    }
  }
  umedpt_ref_set (args->loss, 1, scale * focal);
  return TRUE;
}
