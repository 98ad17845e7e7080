/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Regression: errors, and the coefficient of determination, from running sums
 * (Welford 1962 for the variance, which loses no digits to a large mean). The
 * cases without variance are scikit-learn's: R2 is 1 if the prediction is
 * exact, else 0, and not defined for fewer than two values.
 */
#include <math.h>

#include "train/metrics-private.h"

/* FALSE: @target is no number, the image does not count. */
gboolean
umedpt_value_metrics_add (UmedptValueMetrics *self, double value, double target)
{
  const double error = fabs (value - target);
  const double deviation = target - self->mean;

  if (!isfinite (target))
    return FALSE;
  self->n++;
  self->sum_absolute += error;
  self->sum_squares += error * error;
  self->max_error =
      error > self->max_error || isnan (error) ? error : self->max_error;
  self->mean += deviation / (double) self->n;
  self->deviations += deviation * (target - self->mean);
  return TRUE;
}

void
umedpt_value_metrics_compute (const UmedptValueMetrics *self,
    UmedptMetricList *list)
{
  const double n = (double) self->n;
  double r2 = NAN;

  if (self->n > 1 && self->deviations > 0)
    r2 = 1 - self->sum_squares / self->deviations;
  else if (self->n > 1)
    r2 = self->sum_squares == 0 ? 1 : 0;
  umedpt_metric_list_add (list, "mae", umedpt_ratio (self->sum_absolute, n),
      FALSE);
  umedpt_metric_list_add (list, "rmse",
      sqrt (umedpt_ratio (self->sum_squares, n)), FALSE);
  umedpt_metric_list_add (list, "r2", r2, TRUE);
  umedpt_metric_list_add (list, "max_error", self->n ? self->max_error : NAN,
      FALSE);
}
