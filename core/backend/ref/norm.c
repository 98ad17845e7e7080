/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Normalisation and pooling.
 *
 *   layer_norm   y = (x - mean) / sqrt (var + eps) gamma + beta, mean and
 *                biased variance over the last dimension
 *                (Ba et al. 2016, arXiv:1607.06450)
 *   group_norm   the same over H, W and the C/groups channels of one group of
 *                one sample; gamma and beta by channel
 *                (Wu and He 2018, arXiv:1803.08494); groups = C is instance
 *                norm, groups = 1 the norm of UMedPT's shared blocks
 *   global_pool  mean or maximum over H and W
 *
 * The variance is the mean of squared differences, in a second pass: the
 * difference of two large sums would cancel for rows with a large mean.
 */
#include <math.h>

#include "backend/ref/ref.h"

/* Mean and 1 / sqrt (var + eps) of the values; a constant row gives exactly
 * 1 / sqrt (eps). */
typedef struct
{
  double mean;
  double scale;
} Moments;

/* Normalises row [n] in place. */
void
umedpt_ref_normalise (double *row, gsize n, const UmedptTensor *gamma,
    const UmedptTensor *beta, double epsilon)
{
  double mean = 0, var = 0, scale;

  for (gsize i = 0; i < n; i++)
    mean += row[i];
  mean /= n;
  for (gsize i = 0; i < n; i++)
    var += (row[i] - mean) * (row[i] - mean);
  var /= n;
  scale = 1 / sqrt (var + epsilon);
  for (gsize i = 0; i < n; i++)
    row[i] = (row[i] - mean) * scale * umedpt_ref_param (gamma, i, 1) +
        umedpt_ref_param (beta, i, 0);
}

gboolean
umedpt_ref_layer_norm (UmedptBackend *backend, const UmedptLayerNormArgs *args,
    GError **error)
{
  gsize m = umedpt_ref_rows (args->src), c = umedpt_ref_columns (args->src);
  g_autofree double *row = g_new (double, c);

  for (gsize i = 0; i < m; i++) {
    for (gsize j = 0; j < c; j++)
      row[j] = UMEDPT_F32 (args->src)[i * c + j];
    umedpt_ref_normalise (row, c, args->gamma, args->beta, args->epsilon);
    for (gsize j = 0; j < c; j++)
      umedpt_ref_set (args->dst, i * c + j, row[j]);
  }
  return TRUE;
}

/* Of @width channels at @src, over @pixels pixels of @c channels. */
static Moments
group_moments (const float *src, gsize pixels, gsize c, gsize width,
    double epsilon)
{
  double mean = 0, var = 0, n = (double) pixels * width;

  for (gsize p = 0; p < pixels; p++)
    for (gsize j = 0; j < width; j++)
      mean += src[p * c + j];
  mean /= n;
  for (gsize p = 0; p < pixels; p++)
    for (gsize j = 0; j < width; j++)
      var += (src[p * c + j] - mean) * (src[p * c + j] - mean);
  return (Moments){ mean, 1 / sqrt (var / n + epsilon) };
}

gboolean
umedpt_ref_group_norm (UmedptBackend *backend, const UmedptGroupNormArgs *args,
    GError **error)
{
  const gint64 *shape = args->src->shape; /* [N, H, W, C] */
  gsize pixels = shape[1] * shape[2], c = shape[3], width = c / args->groups;

  for (gsize n = 0; n < shape[0]; n++)
    for (gsize first = 0; first < c; first += width) {
      gsize start = n * pixels * c + first;
      Moments m = group_moments (UMEDPT_F32 (args->src) + start, pixels, c,
          width, args->epsilon);

      for (gsize p = 0; p < pixels; p++)
        for (gsize j = 0; j < width; j++) {
          gsize i = start + p * c + j;
          umedpt_ref_set (args->dst, i,
              (UMEDPT_F32 (args->src)[i] - m.mean) * m.scale *
                      umedpt_ref_param (args->gamma, first + j, 1) +
                  umedpt_ref_param (args->beta, first + j, 0));
        }
    }
  return TRUE;
}

static double
pool_channel (const float *src, gsize pixels, gsize c, UmedptPooling pooling)
{
  double result = pooling == UMEDPT_POOLING_MAX ? src[0] : 0;

  if (pooling == UMEDPT_POOLING_COMBINED)
    return pool_channel (src, pixels, c, UMEDPT_POOLING_AVERAGE) +
        pool_channel (src, pixels, c, UMEDPT_POOLING_MAX);
  for (gsize p = 0; p < pixels; p++) {
    double x = src[p * c];

    if (pooling == UMEDPT_POOLING_AVERAGE)
      result += x / pixels;
    else if (x > result || isnan (x)) /* a NaN must not get lost */
      result = x;
  }
  return result;
}

gboolean
umedpt_ref_global_pool (UmedptBackend *backend,
    const UmedptGlobalPoolArgs *args, GError **error)
{
  const gint64 *shape = args->src->shape; /* [N, H, W, C] */
  gsize pixels = shape[1] * shape[2], c = shape[3];

  for (gsize n = 0; n < shape[0]; n++)
    for (gsize j = 0; j < c; j++)
      umedpt_ref_set (args->dst, n * c + j,
          pool_channel (UMEDPT_F32 (args->src) + n * pixels * c + j, pixels, c,
              args->pooling));
  return TRUE;
}
