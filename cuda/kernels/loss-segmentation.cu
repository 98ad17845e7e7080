/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Dice and focal loss of label maps [m pixels, k classes]; formulas:
 * core/backend/ref/loss-segmentation.c. Three kernels: the sums of all classes
 * and of the focal loss; the values, and the coefficients of the gradient; the
 * gradient, if it is wanted.
 *
 * A pixel is the work of a group of lanes of a warp, lane j has the classes j,
 * j + lanes, ...: memory is read in order, softmax is a few shuffles, and what
 * is summed for a class stays in registers of the lanes that own it.
 */
#include "kernels/loss.cuh"

#define WARPS (BLOCK / 32)
#define IGNORED 255
#define FINISH_BLOCK 512
#define MAX_CLASSES 256

typedef struct
{
  const float *logits;
  const uint8_t *labels;
  int64_t m;
  int k;
  bool multilabel;
} Map;

/* Of each class: sum p y, sum p, sum y; of all: focal loss, entries (pixels, or
 * with several labels, entries) that count. */
#define N_CLASS_SUMS 3

/* One pixel as the lanes of its group see it. */
template <int slots> struct Pixel
{
  bool valid; /* else beyond the last */
  float z[slots], p[slots], rest[slots]; /* rest = 1 - p, if multilabel */
  int y[slots]; /* 0, 1; -1: does not count */
};

/* The sum, the maximum over a group of lanes. */
template <int lanes>
static __device__ __forceinline__ float
group_sum (float x)
{
  for (int offset = lanes / 2; offset > 0; offset /= 2)
    x += __shfl_xor_sync (0xffffffffu, x, offset);
  return x;
}

template <int lanes>
static __device__ __forceinline__ float
group_max (float x)
{
  for (int offset = lanes / 2; offset > 0; offset /= 2)
    x = fmaxf (x, __shfl_xor_sync (0xffffffffu, x, offset));
  return x;
}

template <int lanes, int slots>
static __device__ __forceinline__ void
softmax (Pixel<slots> *pixel)
{
  float max = -INFINITY, sum = 0; /* loses a NaN, the exponentials do not */

  for (int s = 0; s < slots; s++)
    max = fmaxf (max, pixel->z[s]);
  max = group_max<lanes> (max);
  for (int s = 0; s < slots; s++) {
    pixel->p[s] = expf (pixel->z[s] - max);
    sum += pixel->p[s];
  }
  sum = group_sum<lanes> (sum);
  for (int s = 0; s < slots; s++)
    pixel->p[s] /= sum;
}

template <int slots>
static __device__ __forceinline__ void
sigmoids (Pixel<slots> *pixel)
{
  for (int s = 0; s < slots; s++) {
    float z = pixel->z[s], a = expf (-fabsf (z));
    float large = 1 / (1 + a), small = a * large;

    pixel->p[s] = z < 0 ? small : large;
    pixel->rest[s] = z < 0 ? large : small;
  }
}

/* Pixel @at (may be beyond the last). All lanes of a warp must call. Adds a NaN
 * to @focal for a label that cannot be. */
template <int lanes, int slots>
static __device__ __forceinline__ Pixel<slots>
read_pixel (const Map &map, int64_t at, float *focal)
{
  const int lane = threadIdx.x % lanes, last = map.multilabel ? 1 : map.k - 1;
  Pixel<slots> pixel;
  int label = IGNORED;

  pixel.valid = at < map.m;
  if (pixel.valid && !map.multilabel)
    label = map.labels[at];
  for (int s = 0; s < slots; s++) {
    int j = lane + s * lanes;
    bool here = pixel.valid && j < map.k;

    pixel.z[s] = here ? map.logits[at * map.k + j] : -INFINITY;
    if (here && map.multilabel)
      label = map.labels[at * map.k + j];
    pixel.y[s] = !here || label == IGNORED ? -1
        : map.multilabel                   ? label != 0
                                           : label == j;
    if (here && label != IGNORED && label > last)
      *focal += NAN;
  }
  if (map.multilabel)
    sigmoids (&pixel);
  else
    softmax<lanes> (&pixel);
  return pixel;
}

/* out[class * gridDim.x] = the block's sum of each class. @shared: a double for
 * each warp, slot and lane of a group. */
template <int lanes, int slots, typename T>
static __device__ inline void
put_class_sums (const T (&x)[slots], int k, double *shared, double *out)
{
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;

  for (int s = 0; s < slots; s++) {
    double sum = x[s];

    for (int offset = lanes; offset < 32; offset *= 2)
      sum += __shfl_xor_sync (0xffffffffu, sum, offset);
    if (lane < lanes)
      shared[(warp * slots + s) * lanes + lane] = sum;
  }
  __syncthreads ();
  for (int j = threadIdx.x; j < k; j += BLOCK) {
    double sum = 0;

    for (int w = 0; w < WARPS; w++)
      sum += shared[w * slots * lanes + j];
    out[(int64_t) j * gridDim.x] = sum;
  }
  __syncthreads ();
}

/* partials [3 k + 2, blocks] */
template <int lanes, int slots>
static __global__ void
sum_map (Map map, double *partials)
{
  const int groups = BLOCK / lanes;
  __shared__ double shared[WARPS * slots * lanes];
  __shared__ double sums[32];
  float both[slots] = {}, total[slots] = {}, focal = 0;
  int positives[slots] = {}, entries = 0;
  double all;

  for (int64_t begin = (int64_t) blockIdx.x * groups; begin < map.m;
       begin += (int64_t) gridDim.x * groups) {
    Pixel<slots> pixel =
        read_pixel<lanes, slots> (map, begin + threadIdx.x / lanes, &focal);

    for (int s = 0; s < slots; s++) {
      float slope;

      if (pixel.y[s] < 0)
        continue;
      entries += map.multilabel || (s == 0 && threadIdx.x % lanes == 0);
      positives[s] += pixel.y[s];
      both[s] += pixel.y[s] ? pixel.p[s] : 0;
      total[s] += pixel.p[s];
      focal += focal_of (pixel.z[s], pixel.y[s] == 1, &slope);
    }
  }
  partials += blockIdx.x;
  put_class_sums<lanes, slots> (both, map.k, shared, partials);
  partials += (int64_t) map.k * gridDim.x;
  put_class_sums<lanes, slots> (total, map.k, shared, partials);
  partials += (int64_t) map.k * gridDim.x;
  put_class_sums<lanes, slots> (positives, map.k, shared, partials);
  partials += (int64_t) map.k * gridDim.x;
  all = block_sum_f64 (focal, sums);
  if (threadIdx.x == 0)
    partials[0] = all;
  all = block_sum_f64 (entries, sums);
  if (threadIdx.x == 0)
    partials[gridDim.x] = all;
}

/* The loss of one class, and its coefficients d dice / d p where y is 0, 1. */
static __device__ double
dice_of (double both, double total, double positives, int k, float *slope0,
    float *slope1)
{
  double sum = total + positives, slope;

  *slope0 = *slope1 = 0;
  if (sum < 1e-7) /* a NaN stays one */
    sum = 1e-7;
  if (positives == 0)
    return 0;
  slope = 2 * both / (sum * sum) / k;
  *slope0 = (float) slope;
  *slope1 = (float) (slope - 2 / sum / k);
  return (1 - 2 * both / sum) / k;
}

/* One block: loss [2], coefficients [2 k + 1]: both of dice, that of focal. */
static __global__ void
finish_map (const double *partials, int blocks, int k, float focal_scale,
    float *loss, float *coefficients)
{
  __shared__ double totals[N_CLASS_SUMS * MAX_CLASSES + 2];
  __shared__ double sums[32];
  const int n = N_CLASS_SUMS * k + 2;
  double dice = 0, entries, scale;

  for (int i = threadIdx.x / 32; i < n; i += FINISH_BLOCK / 32) {
    double sum = 0;

    for (int b = threadIdx.x % 32; b < blocks; b += 32)
      sum += partials[(int64_t) i * blocks + b];
    sum = warp_sum_f64 (sum);
    if (threadIdx.x % 32 == 0)
      totals[i] = sum;
  }
  __syncthreads ();
  if ((int) threadIdx.x < k)
    dice = dice_of (totals[threadIdx.x], totals[k + threadIdx.x],
        totals[2 * k + threadIdx.x], k, &coefficients[threadIdx.x],
        &coefficients[k + threadIdx.x]);
  dice = block_sum_f64 (dice, sums);
  if (threadIdx.x != 0)
    return;
  entries = totals[n - 1];
  scale = entries > 0 ? focal_scale / entries : 0;
  loss[0] = (float) dice;
  loss[1] = (float) (scale * totals[n - 2]);
  coefficients[2 * k] = (float) scale;
}

template <int lanes, int slots>
static __global__ void
differentiate_map (Map map, const float *coefficients, float *diff)
{
  const int groups = BLOCK / lanes, lane = threadIdx.x % lanes;
  const float scale = coefficients[2 * map.k];
  float slope0[slots], slope1[slots], wrong = 0;

  for (int s = 0; s < slots; s++) {
    int j = lane + s * lanes;

    slope0[s] = j < map.k ? coefficients[j] : 0;
    slope1[s] = j < map.k ? coefficients[map.k + j] : 0;
  }
  for (int64_t begin = (int64_t) blockIdx.x * groups; begin < map.m;
       begin += (int64_t) gridDim.x * groups) {
    const int64_t at = begin + threadIdx.x / lanes;
    Pixel<slots> pixel = read_pixel<lanes, slots> (map, at, &wrong);
    float dice[slots], mean = 0;

    for (int s = 0; s < slots; s++) {
      int y = pixel.y[s];

      dice[s] = y < 0 ? 0 : y ? slope1[s] : slope0[s];
      mean += pixel.p[s] * dice[s];
    }
    if (!map.multilabel)
      mean = group_sum<lanes> (mean);
    for (int s = 0; s < slots; s++) {
      int j = lane + s * lanes;
      float value = map.multilabel ? pixel.p[s] * pixel.rest[s] * dice[s]
                                   : pixel.p[s] * (dice[s] - mean);
      float slope = 0;

      if (pixel.y[s] >= 0)
        focal_of (pixel.z[s], pixel.y[s] == 1, &slope);
      if (pixel.valid && j < map.k)
        diff[at * map.k + j] = value + scale * slope;
    }
  }
}

template <int lanes, int slots>
static cudaError_t
run (const Map &map, float *loss, float *diff, float focal_scale, void *scratch,
    cudaStream_t stream)
{
  int64_t turns = ceil_div (map.m, BLOCK / lanes);
  int blocks = loss_blocks (map.m, BLOCK / lanes);
  double *partials = (double *) scratch;
  float *coefficients = (float *) (partials +
      (N_CLASS_SUMS * map.k + 2) * (int64_t) UMEDPT_CUDA_LOSS_BLOCKS);
  cudaError_t status = UMEDPT_LAUNCH ((sum_map<lanes, slots>), blocks, BLOCK, 0,
      stream, map, partials);

  if (status == cudaSuccess)
    status = UMEDPT_LAUNCH (finish_map, 1, FINISH_BLOCK, 0, stream, partials,
        blocks, map.k, focal_scale, loss, coefficients);
  if (status != cudaSuccess || !diff || map.m == 0)
    return status;
  blocks = (int) (turns < 4096 ? turns : 4096);
  return UMEDPT_LAUNCH ((differentiate_map<lanes, slots>), blocks, BLOCK, 0,
      stream, map, coefficients, diff);
}

extern "C" cudaError_t
umedpt_cuda_loss_segmentation (const float *logits, const uint8_t *labels,
    float *loss, float *diff, int64_t m, int k, int multilabel,
    float focal_scale, void *scratch, cudaStream_t stream)
{
  Map map = { logits, labels, m, k, multilabel != 0 };

#define RUN(lanes, slots) \
  if (k <= lanes * slots) \
  return run<lanes, slots> (map, loss, diff, focal_scale, scratch, stream)
  RUN (1, 1);
  RUN (2, 1);
  RUN (4, 1);
  RUN (8, 1);
  RUN (16, 1);
  RUN (32, 1);
  RUN (32, 2);
  RUN (32, 4);
  RUN (32, 8);
#undef RUN
  return cudaErrorInvalidValue;
}
