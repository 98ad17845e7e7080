/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The losses of one level of FCOS (Tian et al. 2019, arXiv:1904.01355, section
 * 3.1 and 3.2):
 *
 *   class       sigmoid focal, gamma 2, alpha 0.25, over all points and
 *               classes; background is "none of them" (Lin et al. 2017)
 *   box         -ln max (IoU, 1e-6) of positive points, each weighted by its
 *               centerness target (Yu et al. 2016, arXiv:1608.01471)
 *   centerness  cross entropy with
 *               sqrt (min (l, r) / max (l, r) min (t, b) / max (t, b))
 *
 * Both boxes of a point contain it, so with distances l, t, r, b to the sides
 * I = (min l + min r) (min t + min b). At equal distances, and where the bound
 * of the IoU is active, the gradient is 0.
 */
#include <math.h>

#include "backend/ref/ref.h"

#define ALPHA 0.25
#define MIN_IOU 1e-6
#define CENTERNESS_WEIGHT 0.2

/* Of a box target [l, t, r, b]. */
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

static double
class_loss (const UmedptDetectionLossArgs *args)
{
  gsize k = umedpt_ref_columns (args->classes);
  double scale = (double) args->class_scale / args->positives, sum = 0;

  for (gsize i = 0; i < args->classes->n_elements; i++) {
    gint32 target = umedpt_ref_index (args->target_classes, i / k);
    gboolean positive = target == (gint32) (i % k);
    double alpha = positive ? ALPHA : 1 - ALPHA, slope = 0;

    if (target != -2)
      sum += alpha *
          umedpt_ref_focal_of (UMEDPT_F32 (args->classes)[i], positive, &slope);
    umedpt_ref_put (args->diff_classes, i, scale * alpha * slope, FALSE);
  }
  return scale * sum;
}

/* Box and centerness, of positive points. */
static void
point_losses (const UmedptDetectionLossArgs *args, double *box, double *center)
{
  double scale = CENTERNESS_WEIGHT / args->positives;

  *box = *center = 0;
  for (gsize i = 0; i < args->centerness->n_elements; i++) {
    const float *target = UMEDPT_F32 (args->target_boxes) + 4 * i;
    gboolean positive = umedpt_ref_index (args->target_classes, i) >= 0;
    double z = UMEDPT_F32 (args->centerness)[i], diff[4] = { 0 };
    double t = positive ? centerness (target) : 0, slope = 0;

    if (positive) {
      *box += t / args->centerness_sum *
          box_loss (UMEDPT_F32 (args->boxes) + 4 * i, target, diff);
      *center += scale * umedpt_ref_binary_cross_entropy_of (z, t);
      slope = umedpt_ref_activation (z, UMEDPT_ACTIVATION_SIGMOID) - t;
    }
    umedpt_ref_put (args->diff_centerness, i, scale * slope, FALSE);
    for (guint j = 0; j < 4; j++)
      umedpt_ref_put (args->diff_boxes, 4 * i + j,
          t / args->centerness_sum * diff[j], FALSE);
  }
}

gboolean
umedpt_ref_detection_loss (UmedptBackend *backend,
    const UmedptDetectionLossArgs *args, GError **error)
{
  double box, center;

  point_losses (args, &box, &center);
  umedpt_ref_set (args->loss, 0, class_loss (args));
  umedpt_ref_set (args->loss, 1, box);
  umedpt_ref_set (args->loss, 2, center);
  return TRUE;
}
