/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Backward passes of norms and pooling. For y = gamma u + beta with
 * u = (x - mean) / sqrt (var + eps) over n values, and d = dL / d y
 * (Ioffe and Szegedy 2015, arXiv:1502.03167, section 3, with g = gamma d):
 *
 *   dx     = (g - mean (g) - u mean (g u)) / sqrt (var + eps)
 *   dgamma += d u,  dbeta += d
 *
 * Mean and variance are formed again, from the same values as in the forward
 * pass. An average hands its gradient to all pixels alike, a maximum to the
 * first pixel that has it.
 */
#include <math.h>

#include "backend/ref/ref.h"

void
umedpt_ref_norm_sums_init (UmedptRefNormSums *self, gsize n, const float *gamma,
    double epsilon)
{
  *self = (UmedptRefNormSums){ .n = n, .gamma = gamma, .epsilon = epsilon };
  self->diff_gamma = g_new0 (double, n);
  self->diff_beta = g_new0 (double, n);
}

void
umedpt_ref_norm_sums_clear (UmedptRefNormSums *self)
{
  g_clear_pointer (&self->diff_gamma, g_free);
  g_clear_pointer (&self->diff_beta, g_free);
}

/* Hands the sums on to (nullable) gradients. */
void
umedpt_ref_norm_sums_add (UmedptRefNormSums *self, UmedptTensor *gamma,
    UmedptTensor *beta)
{
  umedpt_ref_add_sums (gamma, self->diff_gamma, self->n);
  umedpt_ref_add_sums (beta, self->diff_beta, self->n);
}

/* The norm of one row: @row [n] is its input, @diff [n] the gradient of its
 * output, and of its input afterwards. */
void
umedpt_ref_normalise_backward (UmedptRefNormSums *self, const float *row,
    double *diff)
{
  const gsize n = self->n;
  double mean = 0, var = 0, scale, mean_g = 0, mean_gu = 0;

  for (gsize i = 0; i < n; i++)
    mean += row[i];
  mean /= n;
  for (gsize i = 0; i < n; i++)
    var += (row[i] - mean) * (row[i] - mean);
  scale = 1 / sqrt (var / n + self->epsilon);
  for (gsize i = 0; i < n; i++) {
    double u = (row[i] - mean) * scale;

    self->diff_gamma[i] += diff[i] * u;
    self->diff_beta[i] += diff[i];
    diff[i] *= self->gamma ? self->gamma[i] : 1;
    mean_g += diff[i];
    mean_gu += diff[i] * u;
  }
  mean_g /= n;
  mean_gu /= n;
  for (gsize i = 0; i < n; i++)
    diff[i] = (diff[i] - mean_g - (row[i] - mean) * scale * mean_gu) * scale;
}

gboolean
umedpt_ref_layer_norm_backward (UmedptBackend *backend,
    const UmedptLayerNormBackwardArgs *args, GError **error)
{
  const UmedptLayerNormArgs *f = &args->forward;
  gsize m = umedpt_ref_rows (f->src), c = umedpt_ref_columns (f->src);
  g_auto (UmedptRefNormSums) norm = { 0 };
  g_autofree double *diff = g_new (double, c);

  umedpt_ref_norm_sums_init (&norm, c, umedpt_ref_values (f->gamma),
      f->epsilon);
  for (gsize i = 0; i < m; i++) {
    for (gsize j = 0; j < c; j++)
      diff[j] = UMEDPT_F32 (args->diff_dst)[i * c + j];
    umedpt_ref_normalise_backward (&norm, UMEDPT_F32 (f->src) + i * c, diff);
    for (gsize j = 0; j < c; j++)
      umedpt_ref_put (args->diff_src, i * c + j, diff[j], args->accumulate);
  }
  umedpt_ref_norm_sums_add (&norm, args->diff_gamma, args->diff_beta);
  return TRUE;
}

/* One group of one sample: @width channels from @first on. The pixels of the
 * group are gathered into one row, in which gamma and beta repeat. */
static void
group_backward (const UmedptGroupNormBackwardArgs *args, gsize n, gsize first,
    gsize width, double *diff_gamma, double *diff_beta)
{
  const UmedptGroupNormArgs *f = &args->forward;
  gsize pixels = f->src->shape[1] * f->src->shape[2], c = f->src->shape[3];
  gsize start = n * pixels * c + first;
  g_auto (UmedptRefNormSums) norm = { 0 };
  g_autofree float *row = g_new (float, pixels *width);
  g_autofree float *gamma = g_new (float, pixels *width);
  g_autofree double *diff = g_new (double, pixels *width);

  umedpt_ref_norm_sums_init (&norm, pixels * width, gamma, f->epsilon);
  for (gsize p = 0; p < pixels; p++)
    for (gsize j = 0; j < width; j++) {
      row[p * width + j] = UMEDPT_F32 (f->src)[start + p * c + j];
      gamma[p * width + j] = umedpt_ref_param (f->gamma, first + j, 1);
      diff[p * width + j] = UMEDPT_F32 (args->diff_dst)[start + p * c + j];
    }
  umedpt_ref_normalise_backward (&norm, row, diff);
  for (gsize p = 0; p < pixels; p++)
    for (gsize j = 0; j < width; j++) {
      gsize i = p * width + j;

      umedpt_ref_put (args->diff_src, start + p * c + j, diff[i],
          args->accumulate);
      diff_gamma[first + j] += norm.diff_gamma[i];
      diff_beta[first + j] += norm.diff_beta[i];
    }
}

gboolean
umedpt_ref_group_norm_backward (UmedptBackend *backend,
    const UmedptGroupNormBackwardArgs *args, GError **error)
{
  gsize c = umedpt_ref_columns (args->diff_dst);
  gsize width = c / args->forward.groups;
  g_autofree double *diff_gamma = g_new0 (double, c);
  g_autofree double *diff_beta = g_new0 (double, c);

  for (gsize n = 0; n < args->diff_dst->shape[0]; n++)
    for (gsize first = 0; first < c; first += width)
      group_backward (args, n, first, width, diff_gamma, diff_beta);
  umedpt_ref_add_sums (args->diff_gamma, diff_gamma, c);
  umedpt_ref_add_sums (args->diff_beta, diff_beta, c);
  return TRUE;
}

/* The first pixel of a channel that has the channel's maximum; a NaN is one. */
static gsize
find_maximum (const float *src, gsize pixels, gsize c)
{
  gsize at = 0;

  for (gsize p = 1; p < pixels && !isnan (src[at * c]); p++)
    if (src[p * c] > src[at * c] || isnan (src[p * c]))
      at = p;
  return at;
}

gboolean
umedpt_ref_global_pool_backward (UmedptBackend *backend,
    const UmedptGlobalPoolBackwardArgs *args, GError **error)
{
  const gint64 *shape = args->forward.src->shape; /* [N, H, W, C] */
  gsize pixels = shape[1] * shape[2], c = shape[3];
  UmedptPooling pooling = args->forward.pooling;
  double average = pooling == UMEDPT_POOLING_MAX ? 0 : 1.0 / pixels;
  double maximum = pooling == UMEDPT_POOLING_AVERAGE ? 0 : 1;

  for (gsize n = 0; n < shape[0]; n++)
    for (gsize j = 0; j < c; j++) {
      gsize start = n * pixels * c + j;
      gsize at =
          find_maximum (UMEDPT_F32 (args->forward.src) + start, pixels, c);
      double diff = UMEDPT_F32 (args->diff_dst)[n * c + j];

      for (gsize p = 0; p < pixels; p++)
        umedpt_ref_put (args->diff_src, start + p * c,
            diff * (average + (p == at ? maximum : 0)), args->accumulate);
    }
  return TRUE;
}
