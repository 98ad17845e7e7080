/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Optimiser steps and the sum of squares for clipping: one pass over memory,
 * in pieces of fixed size, so that sums do not depend on the workers.
 */
#include <math.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels-rows.h"

#define PIECE ((gsize) 32768) /* elements */

typedef struct
{
  gsize n;
  const float *gradient;
  float *parameter, *moment1, *moment2;
  UmedptAdamwStep adamw;
  UmedptSgdStep sgd;
  double *sums; /* one per piece */
} StepJob;

static guint
count_pieces (gsize n)
{
  return (guint) ((n + PIECE - 1) / PIECE);
}

static void
adamw_piece (gpointer data, guint worker, guint piece)
{
  StepJob *job = data;
  gsize i = piece * PIECE;

  umedpt_row_kernels_get ()->adamw (&job->adamw, MIN (PIECE, job->n - i),
      job->gradient + i, job->parameter + i, job->moment1 + i,
      job->moment2 + i);
}

gboolean
umedpt_cpu_adamw (UmedptBackend *backend, const UmedptAdamwArgs *args,
    GError **error)
{
  const double c1 = 1 - pow (args->beta1, (double) args->step);
  const double c2 = 1 - pow (args->beta2, (double) args->step);
  StepJob job = { .n = args->parameter->n_elements,
    .gradient = UMEDPT_F32 (args->gradient),
    .parameter = UMEDPT_F32 (args->parameter),
    .moment1 = UMEDPT_F32 (args->moment1),
    .moment2 = UMEDPT_F32 (args->moment2),
    .adamw = { .rate = (float) (args->lr / c1),
        .decay = (float) (args->lr * args->weight_decay),
        .beta1 = (float) args->beta1,
        .beta2 = (float) args->beta2,
        .rest1 = (float) (1 - args->beta1),
        .rest2 = (float) (1 - args->beta2),
        .root = (float) (1 / sqrt (c2)),
        .epsilon = (float) args->epsilon,
        .gradient_scale = (float) args->gradient_scale } };

  umedpt_pool_run (umedpt_pool_get_default (), count_pieces (job.n),
      adamw_piece, &job);
  return TRUE;
}

static void
sgd_piece (gpointer data, guint worker, guint piece)
{
  StepJob *job = data;
  gsize i = piece * PIECE;

  umedpt_row_kernels_get ()->sgd (&job->sgd, MIN (PIECE, job->n - i),
      job->gradient + i, job->parameter + i, job->moment1 + i);
}

gboolean
umedpt_cpu_sgd (UmedptBackend *backend, const UmedptSgdArgs *args,
    GError **error)
{
  StepJob job = { .n = args->parameter->n_elements,
    .gradient = UMEDPT_F32 (args->gradient),
    .parameter = UMEDPT_F32 (args->parameter),
    .moment1 = UMEDPT_F32 (args->moment),
    .sgd = { .rate = (float) args->lr,
        .momentum = (float) args->momentum,
        .weight_decay = (float) args->weight_decay,
        .gradient_scale = (float) args->gradient_scale,
        .nesterov = args->nesterov,
        .first = args->step <= 1 } };

  umedpt_pool_run (umedpt_pool_get_default (), count_pieces (job.n), sgd_piece,
      &job);
  return TRUE;
}

static void
square_piece (gpointer data, guint worker, guint piece)
{
  StepJob *job = data;
  gsize i = piece * PIECE;

  job->sums[piece] = umedpt_row_kernels_get ()->square_sum (job->gradient + i,
      MIN (PIECE, job->n - i));
}

gboolean
umedpt_cpu_square_sum (UmedptBackend *backend, const UmedptSquareSumArgs *args,
    GError **error)
{
  StepJob job = { .n = args->src->n_elements,
    .gradient = UMEDPT_F32 (args->src) };
  guint n = count_pieces (job.n);
  g_autofree double *sums = job.sums = g_new0 (double, n + 1);

  umedpt_pool_run (umedpt_pool_get_default (), n, square_piece, &job);
  *args->result = 0;
  for (guint i = 0; i < n; i++)
    *args->result += sums[i];
  return TRUE;
}
