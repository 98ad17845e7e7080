/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Losses, value and gradient; formulas in ref/loss.c, ref/loss-detection.c and
 * ref/loss-segmentation.c. Each is cut into parts of a fixed size, whose sums
 * are added in order, in double: the same bits whoever computes.
 */
#include <math.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels-train.h"

#define PART 8192 /* elements */

/* Runs @func over @n parts; each writes its sum to sums[part] of the job,
 * which is @job's first member. The result is the sum of all. */
typedef struct
{
  double *sums;
  atomic_int failed;
} Parts;

static gboolean
run_parts (Parts *job, gsize n, gsize width, UmedptPoolFunc func,
    double *totals, GError **error)
{
  g_autofree double *sums = g_new0 (double, n *width + 1);

  job->sums = sums;
  if (!umedpt_cpu_run ((guint) n, func, job, &job->failed, error))
    return FALSE;
  for (gsize k = 0; k < width; k++) {
    totals[k] = 0;
    for (gsize i = 0; i < n; i++)
      totals[k] += sums[i * width + k];
  }
  return TRUE;
}

static gsize
count_parts (gsize n, gsize size)
{
  return (n + size - 1) / size;
}

typedef struct
{
  Parts parts;
  const UmedptBinaryCrossEntropyArgs *args;
} BinaryJob;

static void
binary_part (gpointer data, guint worker, guint part)
{
  const BinaryJob *job = data;
  const UmedptBinaryCrossEntropyArgs *args = job->args;
  gsize begin = (gsize) part * PART;
  gsize n = MIN (PART, args->logits->n_elements - begin);

  job->parts.sums[part] =
      umedpt_train_kernels_get ()
          ->binary_cross_entropy (UMEDPT_F32 (args->logits) + begin,
              UMEDPT_F32 (args->targets) + begin,
              args->weights ? UMEDPT_F32 (args->weights) + begin : NULL, n,
              args->scale / args->normalizer,
              args->diff_logits ? UMEDPT_F32 (args->diff_logits) + begin
                                : NULL);
}

gboolean
umedpt_cpu_binary_cross_entropy (UmedptBackend *backend,
    const UmedptBinaryCrossEntropyArgs *args, GError **error)
{
  BinaryJob job = { .args = args };
  double sum;

  if (!run_parts (&job.parts, count_parts (args->logits->n_elements, PART), 1,
          binary_part, &sum, error))
    return FALSE;
  UMEDPT_F32 (args->loss)
  [0] = (float) ((double) args->scale / args->normalizer * sum);
  return TRUE;
}

typedef struct
{
  Parts parts;
  const UmedptSquaredErrorArgs *args;
} SquareJob;

static void
square_part (gpointer data, guint worker, guint part)
{
  const SquareJob *job = data;
  const UmedptSquaredErrorArgs *args = job->args;
  gsize begin = (gsize) part * PART;
  gsize n = MIN (PART, args->src->n_elements - begin);

  job->parts.sums[part] =
      umedpt_train_kernels_get ()->squared_error (UMEDPT_F32 (args->src) +
              begin,
          UMEDPT_F32 (args->targets) + begin, n,
          2 * args->scale / args->normalizer,
          args->diff_src ? UMEDPT_F32 (args->diff_src) + begin : NULL);
}

gboolean
umedpt_cpu_squared_error (UmedptBackend *backend,
    const UmedptSquaredErrorArgs *args, GError **error)
{
  SquareJob job = { .args = args };
  double sum;

  if (!run_parts (&job.parts, count_parts (args->src->n_elements, PART), 1,
          square_part, &sum, error))
    return FALSE;
  UMEDPT_F32 (args->loss)
  [0] = (float) ((double) args->scale / args->normalizer * sum);
  return TRUE;
}

typedef struct
{
  Parts parts;
  const UmedptCrossEntropyArgs *args;
  gsize K, rows, rows_per_part;
} EntropyJob;

/* One row: its loss, and its gradient to @diff (may be NULL). @e: scratch. */
static double
differentiate_row (const EntropyJob *job, gsize row, float *e, float *diff)
{
  const UmedptCrossEntropyArgs *args = job->args;
  const UmedptTrainKernels *kernels = umedpt_train_kernels_get ();
  const float *z = UMEDPT_F32 (args->logits) + row * job->K;
  const gint32 target = ((const gint32 *) args->targets->data)[row];
  double scale = (double) args->scale / args->normalizer, gamma = args->gamma;
  double top, own, others, sum, q, log_p, c;
  float factor;

  if (target < 0) {
    if (diff)
      memset (diff, 0, job->K * sizeof *diff);
    return 0;
  }
  top = kernels->exponentials (z, job->K, e);
  own = e[target];
  e[target] = 0; /* 1 - p would lose digits: q is the sum of the others */
  others = kernels->sum_up (e, job->K);
  sum = own + others;
  q = others / sum;
  log_p = z[target] - top - log (sum);
  c = -pow (q, gamma);
  if (gamma > 0 && q > 0)
    c += gamma * pow (q, gamma - 1) * (own / sum) * log_p;
  factor = (float) (-scale * c / sum);
  if (diff) {
    kernels->multiply (e, &factor, TRUE, diff, job->K, FALSE);
    diff[target] = (float) (scale * c * q);
  }
  return -pow (q, gamma) * log_p;
}

static void
entropy_part (gpointer data, guint worker, guint part)
{
  EntropyJob *job = data;
  gsize begin = (gsize) part * job->rows_per_part;
  gsize end = MIN (begin + job->rows_per_part, job->rows);
  float *diff =
      job->args->diff_logits ? UMEDPT_F32 (job->args->diff_logits) : NULL;
  float *e = umedpt_cpu_scratch (worker, job->K * sizeof *e);

  if (!e) {
    atomic_store (&job->parts.failed, 1);
    return;
  }
  for (gsize i = begin; i < end; i++)
    job->parts.sums[part] +=
        differentiate_row (job, i, e, diff ? diff + i * job->K : NULL);
}

gboolean
umedpt_cpu_cross_entropy (UmedptBackend *backend,
    const UmedptCrossEntropyArgs *args, GError **error)
{
  EntropyJob job = { .args = args,
    .K = (gsize) args->logits->shape[args->logits->n_dims - 1] };
  double sum = 0;

  if (args->logits->n_elements) {
    job.rows = args->logits->n_elements / job.K;
    job.rows_per_part = MAX (PART / job.K, 1);
    if (!run_parts (&job.parts, count_parts (job.rows, job.rows_per_part), 1,
            entropy_part, &sum, error))
      return FALSE;
  }
  UMEDPT_F32 (args->loss)
  [0] = (float) ((double) args->scale / args->normalizer * sum);
  return TRUE;
}

/* ---- Label maps ---- */

typedef struct
{
  Parts parts;
  const UmedptSegmentationLossArgs *args;
  gsize pixels, K, pixels_per_part;
  float *slopes; /* [2, K], from the sums; NULL before */
  float focal_scale;
} SegmentationJob;

static void
segmentation_part (gpointer data, guint worker, guint chunk)
{
  SegmentationJob *job = data;
  const UmedptSegmentationLossArgs *args = job->args;
  const UmedptTrainKernels *kernels = umedpt_train_kernels_get ();
  gsize begin = (gsize) chunk * job->pixels_per_part;
  UmedptSegmentationPart part = { .logits = UMEDPT_F32 (args->logits) +
        begin * job->K,
    .labels =
        UMEDPT_U8 (args->labels) + begin * (args->multilabel ? job->K : 1),
    .pixels = MIN (job->pixels_per_part, job->pixels - begin),
    .classes = job->K,
    .multilabel = args->multilabel,
    .slopes = job->slopes,
    .focal_scale = job->focal_scale,
    .diff = args->diff_logits ? UMEDPT_F32 (args->diff_logits) + begin * job->K
                              : NULL,
    .scratch = umedpt_cpu_scratch (worker,
        UMEDPT_SEGMENTATION_SCRATCH (job->K) * sizeof (float)) };

  if (!part.scratch)
    atomic_store (&job->parts.failed, 1);
  else if (job->slopes)
    job->parts.sums[chunk] = kernels->segmentation_diff (&part);
  else
    kernels->segmentation_sums (&part,
        job->parts.sums + chunk * UMEDPT_N_CLASS_SUMS * job->K);
}

/* From the classes' sums: the dice loss, d dice / d p where y is 0 and 1, and
 * the number of entries that count. */
static double
dice (const double *sums, gsize K, float *slopes, double *entries)
{
  double loss = 0;

  *entries = 0;
  for (gsize k = 0; k < K; k++, sums += UMEDPT_N_CLASS_SUMS) {
    double sum = sums[1] + sums[2];

    *entries += sums[3];
    if (sum < 1e-7) /* not MAX: a NaN stays one */
      sum = 1e-7;
    if (sums[2] == 0)
      continue;
    loss += (1 - 2 * sums[0] / sum) / K;
    slopes[k] = (float) (2 * sums[0] / (sum * sum) / K);
    slopes[K + k] = (float) ((2 * sums[0] / (sum * sum) - 2 / sum) / K);
  }
  return loss;
}

gboolean
umedpt_cpu_segmentation_loss (UmedptBackend *backend,
    const UmedptSegmentationLossArgs *args, GError **error)
{
  const gsize K = (gsize) args->logits->shape[args->logits->n_dims - 1];
  SegmentationJob job = {
    .args = args, .K = K, .pixels = args->logits->n_elements / MAX (K, 1)
  };
  g_autofree float *slopes = g_new0 (float, 2 * K);
  g_autofree double *sums = g_new0 (double, K *UMEDPT_N_CLASS_SUMS);
  double entries, scale, focal = 0;
  gsize parts;

  job.pixels_per_part =
      MAX (PART / MAX (K, 1) / UMEDPT_LOSS_PIXELS, 1) * UMEDPT_LOSS_PIXELS;
  parts = count_parts (job.pixels, job.pixels_per_part);
  if (!run_parts (&job.parts, parts, K * UMEDPT_N_CLASS_SUMS, segmentation_part,
          sums, error))
    return FALSE;
  UMEDPT_F32 (args->loss)[0] = (float) dice (sums, K, slopes, &entries);
  entries = args->multilabel ? entries : entries / MAX (K, 1);
  scale = entries > 0 ? args->focal_scale / entries : 0;
  job.slopes = slopes;
  job.focal_scale = (float) scale;
  if (!run_parts (&job.parts, parts, 1, segmentation_part, &focal, error))
    return FALSE;
  UMEDPT_F32 (args->loss)[1] = (float) (scale * focal);
  return TRUE;
}
