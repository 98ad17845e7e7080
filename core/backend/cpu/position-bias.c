/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The continuous relative position bias of Swin V2 (Liu et al. 2022, section
 * 3.3), forwards and backwards; formulas: ref/position-bias.c. In training it
 * runs for each block and step.
 *
 * The T = (2 window - 1)^2 offsets go through the small network once; the bias
 * [heads, L, L] is a table look-up. Along an offset's row the table is kept
 * backwards, so that the keys of one row of the window lie side by side.
 * Backwards the look-up comes first, as sums; then slices of the hidden layer
 * are independent of each other.
 */
#include <math.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels-train.h"

#define SLICE 64 /* hidden units of a chunk */

typedef struct
{
  const UmedptPositionBiasArgs *args;
  const UmedptPositionBiasBackwardArgs *backward; /* or NULL */
  gint64 window, heads;
  gsize hidden, side, T; /* 2 window - 1, and its square */
  float *w1; /* [2, hidden]: for y, for x */
  float *coordinates; /* [3, T]: t of y, of x, and 1 */
  float *middle; /* [T, hidden] relu (…) */
  float *table; /* [heads, T] sigmoid (…) */
  float *diff; /* [heads, T], then [T, heads]: gradient before the sigmoid */
  float *diff_middle; /* [T, hidden] */
} BiasJob;

/* Equation 4 of the paper, with the offsets scaled to [-8, 8]. */
static double
log_spaced (gint64 offset, gint64 window)
{
  double t = window > 1 ? 8.0 * offset / (window - 1) : 0;

  return copysign (log2 (fabs (t) + 1) / 3, t);
}

/* All offsets of one dy; the first has the largest dx. */
static void
table_chunk (gpointer data, guint worker, guint row)
{
  const BiasJob *job = data;
  const UmedptTrainKernels *kernels = umedpt_train_kernels_get ();
  const UmedptPositionBiasArgs *args = job->args;

  for (gsize t = row * job->side; t < (row + 1) * job->side; t++) {
    float *middle = job->middle + t * job->hidden;

    memcpy (middle, args->b1->data, job->hidden * sizeof *middle);
    for (gsize axis = 0; axis < 2; axis++)
      kernels->multiply (job->w1 + axis * job->hidden,
          job->coordinates + axis * job->T + t, TRUE, middle, job->hidden,
          TRUE);
    umedpt_kernels_get ()->activate_f32 (middle, job->hidden,
        UMEDPT_ACTIVATION_RELU);
    for (gint64 h = 0; h < job->heads; h++) {
      float z = kernels->dot (middle,
          UMEDPT_F32 (args->w2) + (gsize) h * job->hidden, job->hidden);
      job->table[(gsize) h * job->T + t] = (float) (1 / (1 + exp (-z)));
    }
  }
}

/* Where in the table the keys of row @key_y of the window are, for a query. */
static gsize
find_keys (const BiasJob *job, gint64 query, gint64 key_y)
{
  gint64 w = job->window, y = query / w, x = query % w;

  return (gsize) (y - key_y + w - 1) * job->side + (gsize) (w - 1 - x);
}

static void
look_up_chunk (gpointer data, guint worker, guint h)
{
  const BiasJob *job = data;
  const gint64 w = job->window, L = w * w;
  const float *table = job->table + h * job->T;
  float *dst = UMEDPT_F32 (job->args->dst) + h * L * L;

  for (gint64 query = 0; query < L; query++)
    for (gint64 y = 0; y < w; y++) {
      const float *from = table + find_keys (job, query, y);
      for (gint64 x = 0; x < w; x++)
        *dst++ = 16 * from[x];
    }
}

/* The look-up backwards, and the sigmoid. */
static void
sum_chunk (gpointer data, guint worker, guint h)
{
  const BiasJob *job = data;
  const gint64 w = job->window, L = w * w;
  const float *src = UMEDPT_F32 (job->backward->diff_dst) + h * L * L;
  const float *table = job->table + h * job->T;
  float *sums = job->diff + h * job->T;

  memset (sums, 0, job->T * sizeof *sums);
  for (gint64 query = 0; query < L; query++)
    for (gint64 y = 0; y < w; y++) {
      float *to = sums + find_keys (job, query, y);
      for (gint64 x = 0; x < w; x++)
        to[x] += *src++;
    }
  for (gsize t = 0; t < job->T; t++)
    sums[t] *= 16 * table[t] * (1 - table[t]);
}

/* Adds the sum over n of a[n] rows[n] to @dst (may be NULL), of which every
 * @stride-th element is meant. */
static void
add_combination (const float *a, gsize n, const float *rows, gsize row,
    gsize count, float *dst, gsize stride)
{
  float sums[SLICE];

  if (!dst)
    return;
  umedpt_train_kernels_get ()->combine (a, n, rows, row, sums, count);
  for (gsize i = 0; i < count; i++)
    dst[i * stride] += sums[i];
}

/* @tensor's element @i; NULL if there is none. */
static float *
element (UmedptTensor *tensor, gsize i)
{
  return tensor ? UMEDPT_F32 (tensor) + i : NULL;
}

/* A slice of the hidden layer. */
static void
slice_chunk (gpointer data, guint worker, guint chunk)
{
  const BiasJob *job = data;
  const UmedptPositionBiasBackwardArgs *args = job->backward;
  const UmedptTrainKernels *kernels = umedpt_train_kernels_get ();
  const gsize T = job->T, hidden = job->hidden, begin = chunk * SLICE;
  const gsize n = MIN (SLICE, hidden - begin), heads = (gsize) job->heads;
  const float *by_offset = job->diff + heads * T; /* [T, heads] */
  float *diff = job->diff_middle + begin;

  for (gsize t = 0; t < T; t++) {
    kernels->combine (by_offset + t * heads, heads,
        UMEDPT_F32 (args->forward.w2) + begin, hidden, diff + t * hidden, n);
    kernels->activate_diff_f32 (job->middle + t * hidden + begin,
        diff + t * hidden, diff + t * hidden, n, UMEDPT_ACTIVATION_RELU, FALSE);
  }
  for (gsize h = 0; h < heads; h++)
    add_combination (job->diff + h * T, T, job->middle + begin, hidden, n,
        element (args->diff_w2, h * hidden + begin), 1);
  for (gsize axis = 0; axis < 2; axis++)
    add_combination (job->coordinates + axis * T, T, diff, hidden, n,
        element (args->diff_w1, 2 * begin + axis), 2);
  add_combination (job->coordinates + 2 * T, T, diff, hidden, n,
      element (args->diff_b1, begin), 1);
}

/* @memory: to be freed after the job. */
static gboolean
begin_job (BiasJob *job, float **memory, GError **error)
{
  gsize heads, maps = job->backward ? 2 : 1, sums = job->backward ? 3 : 1, n;

  job->window = job->args->window;
  job->heads = job->args->w2->shape[0];
  job->hidden = (gsize) job->args->w1->shape[0];
  job->side = (gsize) (2 * job->window - 1);
  job->T = job->side * job->side;
  heads = (gsize) job->heads;
  n = (2 + maps * job->T) * job->hidden + (3 + sums * heads) * job->T;
  *memory = g_try_new (float, n);
  if (!*memory) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY,
        "out of memory for the %" G_GSIZE_FORMAT " offsets of a position bias.",
        job->T);
    return FALSE;
  }
  job->w1 = *memory;
  job->middle = job->w1 + 2 * job->hidden;
  job->diff_middle = job->middle + job->T * job->hidden;
  job->coordinates = job->middle + maps * job->T * job->hidden;
  job->table = job->coordinates + 3 * job->T;
  job->diff = job->table + heads * job->T;
  for (gsize i = 0; i < 2 * job->hidden; i++)
    job->w1[i % 2 * job->hidden + i / 2] = UMEDPT_F32 (job->args->w1)[i];
  for (gsize t = 0; t < job->T; t++) {
    gint64 y = (gint64) (t / job->side), x = (gint64) (t % job->side);
    job->coordinates[t] = (float) log_spaced (y + 1 - job->window, job->window);
    job->coordinates[job->T + t] =
        (float) log_spaced (job->window - 1 - x, job->window);
    job->coordinates[2 * job->T + t] = 1;
  }
  return umedpt_cpu_run ((guint) job->side, table_chunk, job, NULL, error);
}

gboolean
umedpt_cpu_position_bias (UmedptBackend *backend,
    const UmedptPositionBiasArgs *args, GError **error)
{
  BiasJob job = { .args = args };
  g_autofree float *memory = NULL;

  return begin_job (&job, &memory, error) &&
      umedpt_cpu_run ((guint) job.heads, look_up_chunk, &job, NULL, error);
}

gboolean
umedpt_cpu_position_bias_backward (UmedptBackend *backend,
    const UmedptPositionBiasBackwardArgs *args, GError **error)
{
  BiasJob job = { .args = &args->forward, .backward = args };
  g_autofree float *memory = NULL;

  if (!begin_job (&job, &memory, error) ||
      !umedpt_cpu_run ((guint) job.heads, sum_chunk, &job, NULL, error))
    return FALSE;
  for (gsize t = 0; t < job.T; t++)
    for (gsize h = 0; h < (gsize) job.heads; h++)
      job.diff[(job.T + t) * job.heads + h] = job.diff[h * job.T + t];
  return umedpt_cpu_run ((guint) ((job.hidden + SLICE - 1) / SLICE),
      slice_chunk, &job, NULL, error);
}
