/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The vector kernels of training: gradients of activations and norms, sums by
 * channel, products. Compiled once per instruction set (UMEDPT_VARIANT names
 * it), with attention's and the losses' in the headers included here.
 *
 * Sums of one call are f32: callers cut long ones, and add the parts in
 * double.
 */
#include "backend/cpu/kernels-train.h"

#include "backend/cpu/activation-kernel.h"
#include "backend/cpu/attention-backward-kernel.h"
#include "backend/cpu/loss-kernel.h"
#include "backend/cpu/norm-kernel.h"

/* One vector at @i; what lies from @end on is 0. */
ALWAYS_INLINE vf
load_some (gconstpointer src, gsize i, gsize end, gboolean half)
{
  float tail[LANES] = { 0 };

  if (i + LANES <= end)
    return half ? vf_load_bf16 ((const guint16 *) src + i)
                : vf_load ((const float *) src + i);
  for (gsize j = i; j < end; j++)
    tail[j - i] = half ? umedpt_bf16_to_f32 (((const guint16 *) src)[j])
                       : ((const float *) src)[j];
  return vf_load (tail);
}

ALWAYS_INLINE void
store_some (gpointer dst, gsize i, gsize end, gboolean half, vf v)
{
  guint16 tail[LANES];

  if (i + LANES <= end) {
    if (half)
      vf_store_bf16 ((guint16 *) dst + i, v);
    else
      vf_store ((float *) dst + i, v);
  } else if (half) {
    vf_store_bf16 (tail, v);
    memcpy ((guint16 *) dst + i, tail, (end - i) * sizeof *tail);
  } else {
    memcpy ((float *) dst + i, &v, (end - i) * sizeof (float));
  }
}

ALWAYS_INLINE void
activate_diff (gconstpointer src, gconstpointer diff_dst, gpointer diff_src,
    gsize n, UmedptActivation activation, gboolean accumulate, gboolean half)
{
  for (gsize i = 0; i < n; i += LANES) {
    vf x = load_some (src, i, n, half), d = load_some (diff_dst, i, n, half);
    d = d * activation_slope (x, activation, half);
    if (accumulate)
      d = d + load_some (diff_src, i, n, half);
    store_some (diff_src, i, n, half, d);
  }
}

/* A loop for each activation. */
#define ACTIVATE_DIFF(half) \
  switch (activation) { \
    case UMEDPT_ACTIVATION_RELU: \
      activate_diff (src, diff_dst, diff_src, n, UMEDPT_ACTIVATION_RELU, \
          accumulate, half); \
      break; \
    case UMEDPT_ACTIVATION_GELU: \
      activate_diff (src, diff_dst, diff_src, n, UMEDPT_ACTIVATION_GELU, \
          accumulate, half); \
      break; \
    default: \
      activate_diff (src, diff_dst, diff_src, n, activation, accumulate, \
          half); \
      break; \
  }

static void
activate_diff_f32 (const float *src, const float *diff_dst, float *diff_src,
    gsize n, UmedptActivation activation, gboolean accumulate)
{
  ACTIVATE_DIFF (FALSE);
}

static void
activate_diff_bf16 (const guint16 *src, const guint16 *diff_dst,
    guint16 *diff_src, gsize n, UmedptActivation activation,
    gboolean accumulate)
{
  ACTIVATE_DIFF (TRUE);
}

static void
add (const float *a, const float *b, gboolean one, float *dst, gsize n)
{
  const vf first = vf_set (b[0]);

  for (gsize i = 0; i < n; i += LANES)
    store_some (dst, i, n, FALSE,
        load_some (a, i, n, FALSE) +
            (one ? first : load_some (b, i, n, FALSE)));
}

static void
multiply (const float *a, const float *b, gboolean one, float *dst, gsize n,
    gboolean accumulate)
{
  const vf first = vf_set (b[0]);

  for (gsize i = 0; i < n; i += LANES) {
    vf y =
        load_some (a, i, n, FALSE) * (one ? first : load_some (b, i, n, FALSE));
    if (accumulate)
      y = y + load_some (dst, i, n, FALSE);
    store_some (dst, i, n, FALSE, y);
  }
}

static float
dot (const float *a, const float *b, gsize n)
{
  vf s[4] = { { 0 } };
  gsize i = 0;

  for (; i + 4 * LANES <= n; i += 4 * LANES) {
    UNROLL (4)
    for (int k = 0; k < 4; k++)
      s[k] = vf_load (a + i + k * LANES) * vf_load (b + i + k * LANES) + s[k];
  }
  for (; i < n; i += LANES)
    s[0] = load_some (a, i, n, FALSE) * load_some (b, i, n, FALSE) + s[0];
  return vf_sum ((s[0] + s[1]) + (s[2] + s[3]));
}

static void
combine (const float *a, gsize n, const float *rows, gsize stride, float *dst,
    gsize count)
{
  gsize i = 0;

  for (; i + 4 * LANES <= count; i += 4 * LANES) {
    vf s[4] = { { 0 } };
    for (gsize k = 0; k < n; k++) {
      UNROLL (4)
      for (int v = 0; v < 4; v++)
        s[v] =
            vf_set (a[k]) * vf_load (rows + k * stride + i + v * LANES) + s[v];
    }
    for (int v = 0; v < 4; v++)
      vf_store (dst + i + v * LANES, s[v]);
  }
  for (; i < count; i += LANES) {
    vf s = { 0 };
    for (gsize k = 0; k < n; k++)
      s = vf_set (a[k]) * load_some (rows + k * stride, i, count, FALSE) + s;
    store_some (dst, i, count, FALSE, s);
  }
}

static void
sum_pixels (const float *src, gsize rows, gsize row_stride, gsize columns,
    gsize pixel_stride, gsize C, float *dst, gboolean accumulate)
{
  for (gsize c = 0; c < C; c += LANES) {
    vf s = accumulate ? load_some (dst, c, C, FALSE) : vf_set (0);
    for (gsize y = 0; y < rows; y++)
      for (gsize x = 0; x < columns; x++)
        s = s +
            load_some (src + y * row_stride + x * pixel_stride, c, C, FALSE);
    store_some (dst, c, C, FALSE, s);
  }
}

/* One row: adds to the gradients of gamma and beta; the mean of g = gamma d
 * and that of g u, u the normalised row. */
ALWAYS_INLINE void
sum_row_diff (const float *x, const float *d, gsize C, const float *gamma,
    float mean, float rstd, float *diff_gamma, float *diff_beta, float means[2])
{
  vf sum = { 0 }, sum_u = { 0 };

  for (gsize i = 0; i < C; i += LANES) {
    vf diff = load_some (d, i, C, FALSE), g = diff;
    vf u = (load_some (x, i, C, FALSE) - vf_set (mean)) * vf_set (rstd);
    store_some (diff_gamma, i, C, FALSE,
        diff * u + load_some (diff_gamma, i, C, FALSE));
    store_some (diff_beta, i, C, FALSE,
        diff + load_some (diff_beta, i, C, FALSE));
    if (gamma)
      g = g * load_some (gamma, i, C, FALSE);
    sum = sum + g;
    sum_u = sum_u + g * u;
  }
  means[0] = vf_sum (sum) / C;
  means[1] = vf_sum (sum_u) / C;
}

static void
norm_rows_diff (const float *src, const float *diff_dst, gsize rows, gsize C,
    const float *gamma, float epsilon, float *diff_src, gboolean accumulate,
    float *diff_gamma, float *diff_beta)
{
  for (gsize r = 0; r < rows; r++) {
    const float *x = src + r * C, *d = diff_dst + r * C;
    float *out = diff_src ? diff_src + r * C : NULL, means[2];
    float mean = sum_shifted (x, C, 0, FALSE) / C;
    float var = sum_shifted (x, C, mean, TRUE) / C;
    float rstd = 1 / __builtin_sqrtf (var + epsilon);
    /* a single value is its own mean: exactly 0, without rounding errors */
    float scale = C > 1 ? rstd : 0;

    sum_row_diff (x, d, C, gamma, mean, rstd, diff_gamma, diff_beta, means);
    for (gsize i = 0; out && i < C; i += LANES) {
      vf u = (load_some (x, i, C, FALSE) - vf_set (mean)) * vf_set (rstd);
      vf g = load_some (d, i, C, FALSE);
      if (gamma)
        g = g * load_some (gamma, i, C, FALSE);
      g = (g - vf_set (means[0]) - u * vf_set (means[1])) * vf_set (scale);
      if (accumulate)
        g = g + load_some (out, i, C, FALSE);
      store_some (out, i, C, FALSE, g);
    }
  }
}

/* Channels [@c, @end) of channel_moments, one vector; the positions' sums run
 * in turns in four accumulators. */
ALWAYS_INLINE void
vector_moments (const float *src, const float *diff, gsize positions, gsize C,
    gsize c, gsize end, float *out)
{
  vf s[4] = { { 0 } }, q[4] = { { 0 } }, d[4] = { { 0 } }, mean;

  for (gsize p = 0; p < positions; p++)
    s[p % 4] = s[p % 4] + load_some (src + p * C, c, end, FALSE);
  mean = ((s[0] + s[1]) + (s[2] + s[3])) / vf_set (positions);
  memset (s, 0, sizeof s);
  for (gsize p = 0; p < positions; p++) {
    vf x = load_some (src + p * C, c, end, FALSE) - mean;
    q[p % 4] = x * x + q[p % 4];
    if (diff) {
      vf y = load_some (diff + p * C, c, end, FALSE);
      s[p % 4] = s[p % 4] + y;
      d[p % 4] = x * y + d[p % 4];
    }
  }
  store_some (out, c, end, FALSE, mean);
  store_some (out + C, c, end, FALSE, (q[0] + q[1]) + (q[2] + q[3]));
  store_some (out + 2 * C, c, end, FALSE, (s[0] + s[1]) + (s[2] + s[3]));
  store_some (out + 3 * C, c, end, FALSE, (d[0] + d[1]) + (d[2] + d[3]));
}

static void
channel_moments (const float *src, const float *diff, gsize positions, gsize C,
    float *out)
{
  for (gsize c = 0; c < C; c += LANES)
    if (diff)
      vector_moments (src, diff, positions, C, c, C, out);
    else
      vector_moments (src, NULL, positions, C, c, C, out);
}

static void
channel_map (const float *src, const float *diff, gsize positions, gsize C,
    const UmedptChannelMap *map, float *dst, gboolean accumulate)
{
  for (gsize p = 0; p < positions; p++)
    for (gsize c = 0; c < C; c += LANES) {
      gsize i = p * C + c, end = (p + 1) * C;
      vf y = (load_some (src, i, end, FALSE) -
                 load_some (map->mean, c, C, FALSE)) *
              load_some (map->a, c, C, FALSE) +
          load_some (map->c, c, C, FALSE);
      if (diff)
        y = load_some (diff, i, end, FALSE) * load_some (map->b, c, C, FALSE) +
            y;
      if (accumulate)
        y = y + load_some (dst, i, end, FALSE);
      store_some (dst, i, end, FALSE, y);
    }
}

/* The first position of each channel's maximum; of a NaN, if there is one. */
ALWAYS_INLINE vi
find_tops (const float *src, gsize positions, gsize C, gsize c)
{
  vf top = load_some (src, c, C, FALSE);
  vi at = { 0 };

  for (gsize p = 1; p < positions; p++) {
    vf x = load_some (src + p * C, c, C, FALSE);
    vi more = ((x > top) | (x != x)) & (top == top);
    top = vf_select (more, x, top);
    at = (more & (at - at + (gint32) p)) | (~more & at);
  }
  return at;
}

static void
pool_diff (const float *src, const float *diff_dst, gsize positions, gsize C,
    UmedptPooling pooling, float *diff_src, gboolean accumulate)
{
  for (gsize c = 0; c < C; c += LANES) {
    vf d = load_some (diff_dst, c, C, FALSE), average = d, extra = d;
    vi at = { 0 };

    if (pooling == UMEDPT_POOLING_MAX)
      average = vf_set (0);
    else
      average = d / vf_set (positions);
    if (pooling != UMEDPT_POOLING_AVERAGE)
      at = find_tops (src, positions, C, c);
    else
      extra = vf_set (0);
    for (gsize p = 0; p < positions; p++) {
      vf y = average + vf_select (at == (gint32) p, extra, vf_set (0));
      if (accumulate)
        y = y + load_some (diff_src + p * C, c, C, FALSE);
      store_some (diff_src + p * C, c, C, FALSE, y);
    }
  }
}

const UmedptTrainKernels CONCAT (umedpt_train_kernels_, UMEDPT_VARIANT) = {
  .activate_diff_f32 = activate_diff_f32,
  .activate_diff_bf16 = activate_diff_bf16,
  .add = add,
  .multiply = multiply,
  .dot = dot,
  .combine = combine,
  .sum_pixels = sum_pixels,
  .norm_rows_diff = norm_rows_diff,
  .channel_moments = channel_moments,
  .channel_map = channel_map,
  .pool_diff = pool_diff,
  .segmentation_sums = segmentation_sums,
  .segmentation_diff = segmentation_diff,
  .weighted_focal = weighted_focal,
  .binary_cross_entropy = binary_cross_entropy,
  .squared_error = squared_error,
  .exponentials = exponentials,
  .sum_up = sum_up,
  .attention_f32 = attention_backward_f32,
#if defined(__AVX512BF16__)
  .attention_bf16 = attention_backward_bf16,
#endif
};
