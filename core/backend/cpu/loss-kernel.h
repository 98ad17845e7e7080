/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Losses on vectors; formulas: ref/loss.c, ref/loss-segmentation.c,
 * ref/loss-detection.c. Included by kernels-train.c.
 *
 * All rest on e = exp (-|z|), which cannot overflow: with q = 1 - p, the
 * probability of what is not so, one of p and q is e / (1 + e) and the other
 * 1 / (1 + e), and -ln p = max (-z, 0) + ln (1 + e). A NaN stays one.
 *
 * Softmax over the few classes of a pixel would waste lanes; so blocks of 64
 * pixels are transposed, and lanes are pixels.
 */
#pragma once

#include "backend/cpu/kernels-train.h"
#include "backend/cpu/norm-kernel.h"
#include "backend/cpu/simd.h"

#define PIXELS UMEDPT_LOSS_PIXELS
#define IGNORED 255

/* ln (1 + e) for e in [0, 1], relative error 2e-7. The polynomial for ln (1 +
 * f) on sqrt (1/2) <= 1 + f <= sqrt (2) is that of Cephes' logf. */
static inline vf
log_one_plus (vf e)
{
  vi large = e > vf_set (0.41421356f);
  vf f = vf_select (large, (e - vf_set (1)) * vf_set (0.5f), e);
  vf p = vf_set (7.0376836292e-2f), q = f * f;

  p = p * f + vf_set (-1.1514610310e-1f);
  p = p * f + vf_set (1.1676998740e-1f);
  p = p * f + vf_set (-1.2420140846e-1f);
  p = p * f + vf_set (1.4249322787e-1f);
  p = p * f + vf_set (-1.6668057665e-1f);
  p = p * f + vf_set (2.0000714765e-1f);
  p = p * f + vf_set (-2.4999993993e-1f);
  p = p * f + vf_set (3.3333331174e-1f);
  p = p * f * q - vf_set (0.5f) * q + f;
  return p + vf_select (large, vf_set (0.69314718f), vf_set (0));
}

/* -ln p, p and q = 1 - p of a logit @z for what is so. */
static inline vf
log_loss (vf z, vf *p, vf *q)
{
  vf e = vf_exp_below (-vf_abs (z), FALSE);
  vf more = vf_set (1) / (vf_set (1) + e), less = e * more;
  vi right = z > vf_set (0);

  *p = vf_select (right, more, less);
  *q = vf_select (right, less, more);
  return vf_max (vf_set (0), -z) + log_one_plus (e);
}

/* Focal loss with gamma 2, q^2 (-ln p); @slope = d / d z. */
static inline vf
focal_loss (vf z, vf *slope)
{
  vf p, q, loss = log_loss (z, &p, &q);

  *slope = -(q * q) * (vf_set (2) * p * loss + q);
  return q * q * loss;
}

/* ---- Label maps ---- */

/* Transposes up to 64 pixels: @z [K, 64], labels [K or 1, 64]; what is missing
 * is ignored. */
static inline void
load_pixels (const UmedptSegmentationPart *part, gsize first, gsize n, float *z,
    gint32 *labels)
{
  const gsize K = part->classes, n_labels = part->multilabel ? K : 1;
  const float *logits = part->logits + first * K;
  const guint8 *from = part->labels + first * n_labels;

  for (gsize k = 0; k < K; k++) {
    for (gsize i = 0; i < n; i++)
      z[k * PIXELS + i] = logits[i * K + k];
    for (gsize i = n; i < PIXELS; i++)
      z[k * PIXELS + i] = 0;
  }
  for (gsize k = 0; k < n_labels; k++) {
    for (gsize i = 0; i < n; i++)
      labels[k * PIXELS + i] = from[i * n_labels + k];
    for (gsize i = n; i < PIXELS; i++)
      labels[k * PIXELS + i] = IGNORED;
  }
}

/* One vector of pixels: p [K, 64] from z, softmax or sigmoid. */
static inline void
make_pixel_probabilities (const float *z, gsize K, gboolean multilabel,
    float *p)
{
  vf top = vf_load (z), sum = { 0 };

  if (multilabel) {
    for (gsize k = 0; k < K; k++) {
      vf q, x = vf_load (z + k * PIXELS), y;
      log_loss (x, &y, &q);
      vf_store (p + k * PIXELS, vf_select (x != x, x, y));
    }
    return;
  }
  for (gsize k = 1; k < K; k++)
    top = vf_max (top, vf_load (z + k * PIXELS));
  for (gsize k = 0; k < K; k++) {
    vf x = vf_load (z + k * PIXELS) - top;
    vf e = vf_select (x != x, x, vf_exp_below (x, FALSE));
    vf_store (p + k * PIXELS, e);
    sum = sum + e;
  }
  sum = vf_set (1) / sum;
  for (gsize k = 0; k < K; k++)
    vf_store (p + k * PIXELS, vf_load (p + k * PIXELS) * sum);
}

static inline vi
load_labels (const gint32 *labels)
{
  vi v;
  memcpy (&v, labels, sizeof v);
  return v;
}

/* Adds one vector of pixels to the lanes' sums [K, 4, LANES]. */
static inline void
sum_pixels_of (const float *p, const gint32 *labels, gsize K,
    gboolean multilabel, float *sums)
{
  const vf zero = { 0 }, one = vf_set (1);

  for (gsize k = 0; k < K; k++, sums += UMEDPT_N_CLASS_SUMS * LANES) {
    vi label = load_labels (labels + (multilabel ? k * PIXELS : 0));
    vi valid = label != IGNORED;
    vi is = label == (multilabel ? 1 : (gint32) k);
    vf x = vf_load (p + k * PIXELS);
    vf_store (sums, vf_load (sums) + vf_select (is, x, zero));
    vf_store (sums + LANES,
        vf_load (sums + LANES) + vf_select (valid, x, zero));
    vf_store (sums + 2 * LANES,
        vf_load (sums + 2 * LANES) + vf_select (is, one, zero));
    vf_store (sums + 3 * LANES,
        vf_load (sums + 3 * LANES) + vf_select (valid, one, zero));
  }
}

static void
segmentation_sums (const UmedptSegmentationPart *part, double *sums)
{
  const gsize K = part->classes, n_sums = K * UMEDPT_N_CLASS_SUMS;
  float *z = part->scratch, *p = z + K * PIXELS, *lanes = p + K * PIXELS;
  gint32 *labels = (gint32 *) (lanes + n_sums * LANES);

  memset (lanes, 0, n_sums * LANES * sizeof *lanes);
  for (gsize first = 0; first < part->pixels; first += PIXELS) {
    load_pixels (part, first, MIN (PIXELS, part->pixels - first), z, labels);
    for (gsize i = 0; i < PIXELS; i += LANES) {
      make_pixel_probabilities (z + i, K, part->multilabel, p + i);
      sum_pixels_of (p + i, labels + i, K, part->multilabel, lanes);
    }
  }
  for (gsize i = 0; i < n_sums; i++)
    sums[i] += vf_sum (vf_load (lanes + i * LANES));
}

/* One vector of pixels: from z and p to the gradient, in p's place. Returns
 * the focal losses. */
static inline vf
differentiate_pixels (const UmedptSegmentationPart *part, const float *z,
    float *p, const gint32 *labels)
{
  const vf zero = { 0 }, one = vf_set (1);
  const gsize K = part->classes;
  vf mean = { 0 }, losses = { 0 };

  for (gsize k = 0; !part->multilabel && k < K; k++) {
    vi label = load_labels (labels);
    vf slope = vf_select (label == (gint32) k, vf_set (part->slopes[K + k]),
        vf_set (part->slopes[k]));
    mean = mean +
        vf_load (p + k * PIXELS) * vf_select (label != IGNORED, slope, zero);
  }
  for (gsize k = 0; k < K; k++) {
    vi label = load_labels (labels + (part->multilabel ? k * PIXELS : 0));
    vi valid = label != IGNORED;
    vi is = label == (part->multilabel ? 1 : (gint32) k);
    vf x = vf_load (p + k * PIXELS), logit = vf_load (z + k * PIXELS), focal;
    vf diff =
        vf_select (is, vf_set (part->slopes[K + k]), vf_set (part->slopes[k]));
    vf loss = focal_loss (vf_select (is, logit, -logit), &focal);
    diff = part->multilabel ? x * (one - x) * diff : x * (diff - mean);
    focal = vf_select (is, focal, -focal) * vf_set (part->focal_scale);
    vf_store (p + k * PIXELS, vf_select (valid, diff + focal, zero));
    losses = losses + vf_select (valid, loss, zero);
  }
  return losses;
}

static double
segmentation_diff (const UmedptSegmentationPart *part)
{
  const gsize K = part->classes;
  float *z = part->scratch, *p = z + K * PIXELS;
  gint32 *labels = (gint32 *) (p + K * PIXELS);
  vf losses = { 0 };

  for (gsize first = 0; first < part->pixels; first += PIXELS) {
    gsize n = MIN (PIXELS, part->pixels - first);
    load_pixels (part, first, n, z, labels);
    for (gsize i = 0; i < PIXELS; i += LANES) {
      make_pixel_probabilities (z + i, K, part->multilabel, p + i);
      losses = losses + differentiate_pixels (part, z + i, p + i, labels + i);
    }
    for (gsize i = 0; part->diff && i < n; i++)
      for (gsize k = 0; k < K; k++)
        part->diff[(first + i) * K + k] = p[k * PIXELS + i];
  }
  return vf_sum (losses);
}

/* ---- Vectors ---- */

/* One vector at @i; what lies from @n on is 0. */
static inline vf
load_part (const float *src, gsize i, gsize n)
{
  float tail[LANES] = { 0 };

  if (i + LANES <= n)
    return vf_load (src + i);
  memcpy (tail, src + i, (n - i) * sizeof *tail);
  return vf_load (tail);
}

static inline void
store_part (float *dst, gsize i, gsize n, vf v)
{
  memcpy (dst + i, &v, MIN (LANES, n - i) * sizeof *dst);
}

static double
weighted_focal (const float *z, const float *signs, const float *weights,
    gsize n, float scale, float *diff)
{
  vf sum = { 0 };

  for (gsize i = 0; i < n; i += LANES) {
    vf sign = load_part (signs, i, n), weight = load_part (weights, i, n);
    vf slope, loss = focal_loss (load_part (z, i, n) * sign, &slope);
    vi counts = weight != vf_set (0);
    sum = sum + vf_select (counts, weight * loss, vf_set (0));
    if (diff)
      store_part (diff, i, n,
          vf_select (counts, slope * sign * weight * vf_set (scale),
              vf_set (0)));
  }
  return vf_sum (sum);
}

static double
binary_cross_entropy (const float *z, const float *targets,
    const float *weights, gsize n, float scale, float *diff)
{
  vf sum = { 0 };

  for (gsize i = 0; i < n; i += LANES) {
    vf x = load_part (z, i, n), t = load_part (targets, i, n), p, q;
    vf weight = weights ? load_part (weights, i, n) : vf_set (1);
    vi counts = weight != vf_set (0);
    /* what lies beyond the end counts ln 2 */
    vf loss = log_loss (-x, &q, &p) - x * t;
    p = vf_select (x != x, x, p);
    if (i + LANES > n)
      for (gsize k = n - i; k < LANES; k++)
        loss[k] = 0;
    sum = sum + vf_select (counts, weight * loss, vf_set (0));
    if (diff)
      store_part (diff, i, n,
          vf_select (counts, (p - t) * weight * vf_set (scale), vf_set (0)));
  }
  return vf_sum (sum);
}

static double
squared_error (const float *src, const float *targets, gsize n, float scale,
    float *diff)
{
  vf sum = { 0 };

  for (gsize i = 0; i < n; i += LANES) {
    vf x = load_part (src, i, n) - load_part (targets, i, n);
    sum = x * x + sum;
    if (diff)
      store_part (diff, i, n, x * vf_set (scale));
  }
  return vf_sum (sum);
}

/* exp (z - maximum) of a row; returns the maximum. */
static float
exponentials (const float *z, gsize n, float *dst)
{
  float top = z[0];

  for (gsize i = 1; i < n; i++)
    top = z[i] > top || z[i] != z[i] ? z[i] : top;
  for (gsize i = 0; i < n; i += LANES) {
    vf x = load_part (z, i, n) - vf_set (top);
    x = vf_select (x != x, x, vf_exp (x));
    store_part (dst, i, n, x);
  }
  return top;
}

static double
sum_up (const float *x, gsize n)
{
  return sum_shifted (x, n, 0, FALSE);
}
