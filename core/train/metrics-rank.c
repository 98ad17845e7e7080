/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What is computed from a ranking by score, with weights; items of equal score
 * are one step of the curve, whatever their order:
 *
 *   area under the ROC curve   the probability that a positive is ranked above
 *       a negative, ties half (Hanley and McNeil 1982, Mann-Whitney's U)
 *   average precision          sum over steps of precision times the recall
 *       gained there, no interpolation
 *
 * as scikit-learn's roc_auc_score and average_precision_score have them.
 */
#include <math.h>
#include <stdlib.h>

#include "train/metrics-private.h"

static gint
compare (const void *a, const void *b)
{
  const gfloat x = ((const UmedptRanked *) a)->score;
  const gfloat y = ((const UmedptRanked *) b)->score;

  return (x < y) - (x > y);
}

/* A score that is NaN is put last. */
void
umedpt_rank_sort (UmedptRanked *items, gsize n)
{
  for (gsize i = 0; i < n; i++)
    if (isnan (items[i].score))
      items[i].score = -INFINITY;
  if (n) /* qsort() takes no NULL */
    qsort (items, n, sizeof items[0], compare);
}

/* The weights of positives and negatives of the next step; returns its end. */
static gsize
next_step (const UmedptRanked *items, gsize n, gsize begin, double *positives,
    double *negatives)
{
  gsize i = begin;

  *positives = *negatives = 0;
  for (; i < n && items[i].score == items[begin].score; i++)
    *(items[i].positive ? positives : negatives) += items[i].weight;
  return i;
}

double
umedpt_rank_auc (const UmedptRanked *items, gsize n)
{
  double above = 0, below = 0, area = 0, positives, negatives;

  for (gsize i = 0; i < n;) {
    i = next_step (items, n, i, &positives, &negatives);
    area += negatives * (above + positives / 2);
    above += positives;
    below += negatives;
  }
  return umedpt_ratio (area, above * below);
}

double
umedpt_rank_average_precision (const UmedptRanked *items, gsize n)
{
  double hits = 0, all = 0, sum = 0, positives, negatives;

  for (gsize i = 0; i < n;) {
    i = next_step (items, n, i, &positives, &negatives);
    hits += positives;
    all += positives + negatives;
    sum += hits / all * positives;
  }
  return umedpt_ratio (sum, hits);
}
