/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Row kernels of training, and the optimisers. Compiled once per instruction
 * set (UMEDPT_VARIANT names it).
 *
 * Norm backward, with x^ = (x - mean) / s, s = sqrt (var + eps), and
 * g = scale gamma d:  dx = (g - mean (g) - x^ mean (g x^)) / s.
 */
#include "backend/cpu/kernels-rows.h"

#include "backend/cpu/activation-kernel.h"
#include "backend/cpu/norm-kernel.h"

#define INLINE static inline __attribute__ ((always_inline))

typedef double vd __attribute__ ((vector_size (8 * LANES)));

/* LANES elements at @i of f32 or bf16, those from @end on as 0. */
INLINE vf
get (gconstpointer src, gsize i, gsize end, gboolean half)
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

INLINE void
put (gpointer dst, gsize i, gsize end, gboolean half, vf v)
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

INLINE void
norm_diff_row (const float *x, const float *d, gsize C, const float *gamma,
    float scale, float epsilon, gpointer dst, gboolean half, float *sums)
{
  const float mean = sum_shifted (x, C, 0, FALSE) / C;
  const float rstd =
      1 / __builtin_sqrtf (sum_shifted (x, C, mean, TRUE) / C + epsilon);
  vf sum_g = vf_set (0), sum_gx = vf_set (0);
  float mean_g, mean_gx;

  for (gsize i = 0; i < C; i += LANES) {
    vf y = get (d, i, C, FALSE) * vf_set (scale);
    vf n = (get (x, i, C, FALSE) - vf_set (mean)) * vf_set (rstd);
    vf g = gamma ? y * get (gamma, i, C, FALSE) : y;
    sum_g = sum_g + g;
    sum_gx = sum_gx + g * n;
    put (sums, i, C, FALSE, y * n + get (sums, i, C, FALSE));
    put (sums + C, i, C, FALSE, y + get (sums + C, i, C, FALSE));
  }
  mean_g = vf_sum (sum_g) / C;
  mean_gx = vf_sum (sum_gx) / C;
  for (gsize i = 0; i < C; i += LANES) {
    vf g = get (d, i, C, FALSE) * vf_set (scale);
    vf n = (get (x, i, C, FALSE) - vf_set (mean)) * vf_set (rstd);
    if (gamma)
      g = g * get (gamma, i, C, FALSE);
    g = (g - vf_set (mean_g) - n * vf_set (mean_gx)) * vf_set (rstd);
    put (dst, i, C, half, g);
    put (sums + 2 * C, i, C, FALSE, g + get (sums + 2 * C, i, C, FALSE));
  }
}

static void
norm_diff (const float *src, const float *diff_dst, gsize rows, gsize C,
    const float *gamma, float scale, float epsilon, gpointer dst, gboolean half,
    float *sums)
{
  for (gsize r = 0; r < rows; r++)
    if (half)
      norm_diff_row (src + r * C, diff_dst + r * C, C, gamma, scale, epsilon,
          (guint16 *) dst + r * C, TRUE, sums);
    else
      norm_diff_row (src + r * C, diff_dst + r * C, C, gamma, scale, epsilon,
          (float *) dst + r * C, FALSE, sums);
}

/* One row of gelu_diff; the value and the slope share Phi. */
INLINE void
gelu_diff_row (gconstpointer src, gpointer diff, gpointer act, gsize C,
    float *sums, gboolean half)
{
  const vf limit = vf_set (13);

  for (gsize i = 0; i < C; i += LANES) {
    vf x = get (src, i, C, half), d = get (diff, i, C, half);
    vf phi = half ? normal_cdf_coarse (x) : normal_cdf (x);
    vf c = vf_max (vf_min (x, limit), -limit);
    vf density = vf_exp_below (c * c * vf_set (-0.5f), half);
    d = d * (c * density * vf_set (0.3989422804f) + phi);
    put (act, i, C, half, x * phi);
    put (diff, i, C, half, d);
    put (sums, i, C, FALSE, d + get (sums, i, C, FALSE));
  }
}

static void
gelu_diff_f32 (const float *src, float *diff, float *act, gsize rows, gsize C,
    float *sums)
{
  for (gsize r = 0; r < rows; r++)
    gelu_diff_row (src + r * C, diff + r * C, act + r * C, C, sums, FALSE);
}

static void
gelu_diff_bf16 (const guint16 *src, guint16 *diff, guint16 *act, gsize rows,
    gsize C, float *sums)
{
  for (gsize r = 0; r < rows; r++)
    gelu_diff_row (src + r * C, diff + r * C, act + r * C, C, sums, TRUE);
}

static void
gelu_f32 (const float *src, float *dst, gsize n)
{
  for (gsize i = 0; i < n; i += LANES)
    put (dst, i, n, FALSE, gelu (get (src, i, n, FALSE)));
}

static void
gelu_bf16 (const guint16 *src, guint16 *dst, gsize n)
{
  for (gsize i = 0; i < n; i += LANES)
    put (dst, i, n, TRUE, gelu_coarse (get (src, i, n, TRUE)));
}

/* Down a strip of columns, so that the sums stay in registers. */
INLINE void
column_sums (gconstpointer src, gsize rows, gsize C, float *sums, gboolean half)
{
  const gsize size = half ? sizeof (guint16) : sizeof (float);

  for (gsize i = 0; i < C; i += LANES) {
    vf s = get (sums, i, C, FALSE);
    for (gsize r = 0; r < rows; r++)
      s = s + get ((const char *) src + r * C * size, i, C, half);
    put (sums, i, C, FALSE, s);
  }
}

static void
column_sums_f32 (const float *src, gsize rows, gsize C, float *sums)
{
  column_sums (src, rows, C, sums, FALSE);
}

static void
column_sums_bf16 (const guint16 *src, gsize rows, gsize C, float *sums)
{
  column_sums (src, rows, C, sums, TRUE);
}

static void
add_f32 (const float *src, const float *other, float *dst, gsize n)
{
  if (!other)
    memmove (dst, src, n * sizeof *dst);
  else
    for (gsize i = 0; i < n; i += LANES)
      put (dst, i, n, FALSE, get (src, i, n, FALSE) + get (other, i, n, FALSE));
}

static void
add_bf16 (const float *src, guint16 *dst, gsize n)
{
  for (gsize i = 0; i < n; i += LANES)
    put (dst, i, n, TRUE, get (src, i, n, FALSE) + get (dst, i, n, TRUE));
}

static void
add_scaled (const float *src, float scale, float *dst, gsize n)
{
  for (gsize i = 0; i < n; i += LANES)
    put (dst, i, n, FALSE,
        get (src, i, n, FALSE) * vf_set (scale) + get (dst, i, n, FALSE));
}

static void
adamw (const UmedptAdamwStep *step, gsize n, const float *gradient,
    float *parameter, float *moment1, float *moment2)
{
  for (gsize i = 0; i < n; i += LANES) {
    vf g = get (gradient, i, n, FALSE) * vf_set (step->gradient_scale);
    vf p = get (parameter, i, n, FALSE);
    vf m = get (moment1, i, n, FALSE) * vf_set (step->beta1);
    vf v = get (moment2, i, n, FALSE) * vf_set (step->beta2);
    p = p - p * vf_set (step->decay);
    m = g * vf_set (step->rest1) + m;
    v = g * g * vf_set (step->rest2) + v;
    p = p -
        m * vf_set (step->rate) /
            (vf_sqrt (v) * vf_set (step->root) + vf_set (step->epsilon));
    put (parameter, i, n, FALSE, p);
    put (moment1, i, n, FALSE, m);
    put (moment2, i, n, FALSE, v);
  }
}

static void
sgd (const UmedptSgdStep *step, gsize n, const float *gradient,
    float *parameter, float *moment)
{
  for (gsize i = 0; i < n; i += LANES) {
    vf p = get (parameter, i, n, FALSE);
    vf g = get (gradient, i, n, FALSE) * vf_set (step->gradient_scale) +
        p * vf_set (step->weight_decay);
    vf u = g;
    if (!step->first)
      u = get (moment, i, n, FALSE) * vf_set (step->momentum) + g;
    put (moment, i, n, FALSE, u);
    if (step->nesterov)
      u = u * vf_set (step->momentum) + g;
    put (parameter, i, n, FALSE, p - u * vf_set (step->rate));
  }
}

static double
square_sum (const float *src, gsize n)
{
  vd a = { 0 }, b = { 0 };
  double sum = 0;

  for (gsize i = 0; i < n; i += 2 * LANES) {
    vd x = __builtin_convertvector(get (src, i, n, FALSE), vd);
    a += x * x;
    if (i + LANES < n) {
      x = __builtin_convertvector(get (src, i + LANES, n, FALSE), vd);
      b += x * x;
    }
  }
  a += b;
  for (int i = 0; i < LANES; i++)
    sum += a[i];
  return sum;
}

const UmedptRowKernels CONCAT (umedpt_row_kernels_, UMEDPT_VARIANT) = {
  .norm_diff = norm_diff,
  .gelu_diff_f32 = gelu_diff_f32,
  .gelu_diff_bf16 = gelu_diff_bf16,
  .gelu_f32 = gelu_f32,
  .gelu_bf16 = gelu_bf16,
  .column_sums_f32 = column_sums_f32,
  .column_sums_bf16 = column_sums_bf16,
  .add_f32 = add_f32,
  .add_bf16 = add_bf16,
  .add_scaled = add_scaled,
  .adamw = adamw,
  .sgd = sgd,
  .square_sum = square_sum,
};
