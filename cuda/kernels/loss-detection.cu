/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The losses of one level of FCOS; formulas: core/backend/ref/loss-detection.c.
 * One kernel: the focal loss of all points and classes, element by element in
 * f32, then boxes and centerness, of which the few positive points have any, in
 * double.
 */
#include "kernels/loss.cuh"

#define ALPHA 0.25f
#define MIN_IOU 1e-6
#define IGNORED (-2)

typedef UmedptCudaDetection Level;

/* sqrt (min (l, r) / max (l, r) min (t, b) / max (t, b)) of [l, t, r, b] */
static __device__ double
centerness_of (const float *box)
{
  double across = fmaxf (box[0], box[2]), along = fmaxf (box[1], box[3]);

  if (across <= 0 || along <= 0)
    return 0;
  return sqrt (fminf (box[0], box[2]) / across *
      (fminf (box[1], box[3]) / along));
}

/* The smaller one, or a NaN of the box. */
static __device__ double
overlap (float box, float target)
{
  return box > target ? target : box;
}

/* -ln max (IoU, 1e-6) of two boxes around one point; diff [4] = d / d box. A
 * NaN stays one: no comparison with a bound is true for it. */
static __device__ double
box_loss (const float *box, const float *target, double *diff)
{
  double size[2], inner[2], area, other, intersection, both, iou;

  for (int i = 0; i < 2; i++) { /* across, along */
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
  for (int i = 0; i < 4; i++) {
    double d_area = size[1 - i % 2];
    double d_inner = box[i] < target[i] ? inner[1 - i % 2] : 0;

    diff[i] =
        iou <= MIN_IOU ? 0 : (d_area - d_inner) / both - d_inner / intersection;
  }
  return -log (iou <= MIN_IOU ? MIN_IOU : iou);
}

/* This thread's part of the sum over all points and classes. */
static __device__ double
class_part (const Level &level)
{
  const int64_t n = level.points * level.k;
  const bool narrow = n <= UINT32_MAX; /* a division of 64 bits is slow */
  const float scale = (float) level.class_scale;
  double sum = 0;

  for (int64_t i = (int64_t) blockIdx.x * BLOCK + threadIdx.x; i < n;
       i += (int64_t) gridDim.x * BLOCK) {
    int64_t point =
        narrow ? (int64_t) ((uint32_t) i / (uint32_t) level.k) : i / level.k;
    int32_t target = level.target_classes[point];
    bool positive = target == i - point * level.k;
    float alpha = positive ? ALPHA : 1 - ALPHA, slope = 0;

    if (target < IGNORED || target >= level.k)
      sum = NAN;
    else if (target != IGNORED)
      sum += alpha * focal_of (level.classes[i], positive, &slope);
    if (level.diff_classes)
      level.diff_classes[i] = scale * alpha * slope;
  }
  return sum;
}

/* Point @i: adds to both sums if it is positive. */
static __device__ void
add_point (const Level &level, int64_t i, double *box, double *center)
{
  double weight = 0, slope = 0, diff[4] = { 0, 0, 0, 0 };

  if (level.target_classes[i] >= 0) {
    double z = level.centerness[i];
    double t = centerness_of (level.target_boxes + 4 * i);

    weight = t / level.centerness_sum;
    *box += weight *
        box_loss (level.boxes + 4 * i, level.target_boxes + 4 * i, diff);
    *center += binary_cross_entropy_of (z, t);
    slope = level.centerness_scale * (sigmoid_of (z) - t);
  }
  if (level.diff_centerness)
    level.diff_centerness[i] = (float) slope;
  for (int j = 0; level.diff_boxes && j < 4; j++)
    level.diff_boxes[4 * i + j] = (float) (weight * diff[j]);
}

static __global__ void
detection (Level level, double *partials)
{
  double classes = class_part (level), box = 0, center = 0;

  for (int64_t i = (int64_t) blockIdx.x * BLOCK + threadIdx.x; i < level.points;
       i += (int64_t) gridDim.x * BLOCK)
    add_point (level, i, &box, &center);
  put_sum (classes, 0, level.class_scale, partials, level.loss);
  put_sum (box, 1, 1, partials, level.loss);
  put_sum (center, 2, level.centerness_scale, partials, level.loss);
}

extern "C" cudaError_t
umedpt_cuda_loss_detection (const UmedptCudaDetection *level, void *scratch,
    cudaStream_t stream)
{
  double *partials = (double *) scratch;
  int blocks = loss_blocks (level->points * level->k, 4 * BLOCK);
  Scales scales = { { level->class_scale, 1, level->centerness_scale } };
  cudaError_t status =
      UMEDPT_LAUNCH (detection, blocks, BLOCK, 0, stream, *level, partials);

  return finish_loss (status, partials, blocks, scales, 3, level->loss, stream);
}
