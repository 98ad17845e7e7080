/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The factor on the learning rate. All kinds begin with a warm-up of w rounds,
 * (round + 1) / (w + 1): linear from 0, of which no step is made, to 1. Then
 *
 *   constant  1
 *   cosine    m + (1 - m) (1 + cos (pi t)) / 2, t = (round - w) / (total - w)
 *             up to 1 (Loshchilov and Hutter 2017, arXiv:1608.03983, eq. 5)
 *   step      gamma^floor (epoch / step)
 *   plateau   times gamma whenever the validation loss has not got better by a
 *             relative `threshold` in more than `patience` epochs, as PyTorch's
 *             ReduceLROnPlateau does in its modes "min" and "rel"
 *
 * A pure function of settings, state, round and epoch: nothing drifts, and a
 * run that is resumed has the factor it would have had.
 */
#include <math.h>

#include "train/optimizer.h"

void
umedpt_schedule_init (UmedptScheduleState *state)
{
  *state = (UmedptScheduleState){ .best = INFINITY, .factor = 1 };
}

static double
cosine (const UmedptScheduleSettings *settings, guint64 round)
{
  double t = 1;

  if (round < settings->warmup)
    t = 0;
  else if (round < settings->total)
    t = (double) (round - settings->warmup) /
        (double) (settings->total - settings->warmup);
  return settings->minimum +
      (1 - settings->minimum) * 0.5 * (1 + cos (G_PI * t));
}

double
umedpt_schedule_factor (const UmedptScheduleSettings *settings,
    const UmedptScheduleState *state, guint64 round, guint epoch)
{
  double factor = 1;

  switch (settings->kind) {
    case UMEDPT_SCHEDULE_CONSTANT:
      break;
    case UMEDPT_SCHEDULE_COSINE:
      factor = cosine (settings, round);
      break;
    case UMEDPT_SCHEDULE_STEP:
      factor = pow (settings->gamma, epoch / MAX (settings->step, 1));
      break;
    case UMEDPT_SCHEDULE_PLATEAU:
      factor = state->factor;
      break;
  }
  if (round < settings->warmup)
    factor *= ((double) round + 1) / ((double) settings->warmup + 1);
  return factor;
}

/* A loss that is NaN is no improvement. */
void
umedpt_schedule_epoch (const UmedptScheduleSettings *settings,
    UmedptScheduleState *state, double loss)
{
  if (settings->kind != UMEDPT_SCHEDULE_PLATEAU)
    return;
  if (loss < state->best * (1 - settings->threshold)) {
    state->best = loss;
    state->bad_epochs = 0;
  } else if (++state->bad_epochs > settings->patience) {
    state->factor *= settings->gamma;
    state->bad_epochs = 0;
  }
}
