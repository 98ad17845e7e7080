/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The losses of one level of FCOS; formulas: ref/loss-detection.c. The focal
 * loss of all points and classes is a vector's; boxes and centerness concern
 * the few positive points and are computed one by one.
 */
#include <math.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels-train.h"

#define POINTS 256 /* of a part */
#define ALPHA 0.25f
#define MIN_IOU 1e-6
#define CENTERNESS_WEIGHT 0.2
#define N_LOSSES 3

typedef struct
{
  const UmedptDetectionLossArgs *args;
  gsize points, K;
  double *sums; /* [parts, N_LOSSES] */
  atomic_int failed;
} DetectionJob;

/* Signs and weights of the focal loss for points [@begin, @begin + n). */
static double
sum_classes (const DetectionJob *job, gsize begin, gsize n, float *scratch)
{
  const UmedptDetectionLossArgs *args = job->args;
  const gint32 *targets = (const gint32 *) args->target_classes->data + begin;
  const gsize K = job->K;
  float *signs = scratch, *weights = scratch + n * K;

  for (gsize i = 0; i < n; i++) {
    float weight = targets[i] == -2 ? 0 : 1 - ALPHA;
    for (gsize k = 0; k < K; k++) {
      signs[i * K + k] = -1;
      weights[i * K + k] = weight;
    }
    if (targets[i] >= 0) {
      signs[i * K + (gsize) targets[i]] = 1;
      weights[i * K + (gsize) targets[i]] = ALPHA;
    }
  }
  return umedpt_train_kernels_get ()
      ->weighted_focal (UMEDPT_F32 (args->classes) + begin * K, signs, weights,
          n * K, args->class_scale / args->positives,
          args->diff_classes ? UMEDPT_F32 (args->diff_classes) + begin * K
                             : NULL);
}

/* sqrt (min (l, r) / max (l, r) min (t, b) / max (t, b)) of [l, t, r, b] */
static double
centerness (const float *box)
{
  double across = MAX (box[0], box[2]), along = MAX (box[1], box[3]);

  if (across <= 0 || along <= 0)
    return 0;
  return sqrt (MIN (box[0], box[2]) / across * (MIN (box[1], box[3]) / along));
}

/* The smaller one, or a NaN of the box. */
static double
overlap (float box, float target)
{
  return box > target ? target : box;
}

/* -ln max (IoU, 1e-6) of two boxes around one point; diff [4] = d / d box. A
 * NaN stays one: no comparison with a bound is true for it. */
static double
box_loss (const float *box, const float *target, double *diff)
{
  double size[2], inner[2], area, other, intersection, both, iou;

  for (guint i = 0; i < 2; i++) { /* across, along */
    size[i] = (double) box[i] + box[i + 2];
    inner[i] =
        overlap (box[i], target[i]) + overlap (box[i + 2], target[i + 2]);
  }
  area = size[0] * size[1];
  other = ((double) target[0] + target[2]) * ((double) target[1] + target[3]);
  intersection = inner[0] * inner[1];
  both = area + other - intersection;
  both = both < MIN_IOU ? MIN_IOU : both;
  iou = intersection / both;
  for (guint i = 0; i < 4; i++) {
    double d_area = size[1 - i % 2];
    double d_inner = box[i] < target[i] ? inner[1 - i % 2] : 0;

    diff[i] =
        iou <= MIN_IOU ? 0 : (d_area - d_inner) / both - d_inner / intersection;
  }
  return -log (iou <= MIN_IOU ? MIN_IOU : iou);
}

/* A positive point: adds its losses of box and centerness. */
static void
add_point (const UmedptDetectionLossArgs *args, gsize i, double *sums)
{
  const float *target = UMEDPT_F32 (args->target_boxes) + 4 * i;
  double z = UMEDPT_F32 (args->centerness)[i], t = centerness (target);
  double weight = t / args->centerness_sum, diff[4];
  double scale = CENTERNESS_WEIGHT / args->positives;
  float *diff_box =
      args->diff_boxes ? UMEDPT_F32 (args->diff_boxes) + 4 * i : NULL;
  float *diff_centerness =
      args->diff_centerness ? UMEDPT_F32 (args->diff_centerness) : NULL;

  sums[1] += weight * box_loss (UMEDPT_F32 (args->boxes) + 4 * i, target, diff);
  sums[2] += scale * ((z < 0 ? 0 : z) - z * t + log1p (exp (-fabs (z))));
  for (guint j = 0; diff_box && j < 4; j++)
    diff_box[j] = (float) (weight * diff[j]);
  if (diff_centerness)
    diff_centerness[i] = (float) (scale * (1 / (1 + exp (-z)) - t));
}

static void
detection_part (gpointer data, guint worker, guint part)
{
  DetectionJob *job = data;
  const UmedptDetectionLossArgs *args = job->args;
  const gint32 *targets = args->target_classes->data;
  gsize begin = (gsize) part * POINTS, n = MIN (POINTS, job->points - begin);
  double *sums = job->sums + part * N_LOSSES;
  float *scratch = umedpt_cpu_scratch (worker, 2 * n * job->K * sizeof (float));

  if (!scratch) {
    atomic_store (&job->failed, 1);
    return;
  }
  sums[0] = sum_classes (job, begin, n, scratch);
  if (args->diff_boxes)
    memset (UMEDPT_F32 (args->diff_boxes) + 4 * begin, 0,
        4 * n * sizeof (float));
  if (args->diff_centerness)
    memset (UMEDPT_F32 (args->diff_centerness) + begin, 0, n * sizeof (float));
  for (gsize i = begin; i < begin + n; i++)
    if (targets[i] >= 0)
      add_point (args, i, sums);
}

gboolean
umedpt_cpu_detection_loss (UmedptBackend *backend,
    const UmedptDetectionLossArgs *args, GError **error)
{
  DetectionJob job = { .args = args,
    .points = args->target_classes->n_elements,
    .K = (gsize) args->classes->shape[args->classes->n_dims - 1] };
  gsize parts = (job.points + POINTS - 1) / POINTS;
  g_autofree double *sums = g_new0 (double, (parts + 1) * N_LOSSES);
  double *totals = sums + parts * N_LOSSES;

  job.sums = sums;
  if (!umedpt_cpu_run ((guint) parts, detection_part, &job, &job.failed, error))
    return FALSE;
  for (gsize i = 0; i < parts * N_LOSSES; i++)
    totals[i % N_LOSSES] += sums[i];
  totals[0] *= (double) args->class_scale / args->positives;
  for (gsize i = 0; i < N_LOSSES; i++)
    UMEDPT_F32 (args->loss)[i] = (float) totals[i];
  return TRUE;
}
