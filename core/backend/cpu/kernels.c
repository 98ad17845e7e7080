/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Row kernels: conversions, activations, norms, pooling. Compiled once per
 * instruction set (UMEDPT_VARIANT names it); attention is in its own file,
 * included at the end so that each build is one table.
 *
 * GELU is exact in f32: Phi (x) - 1/2 = x P (x^2) / Q (x^2) on |x| <= 5.5,
 * absolute error of GELU below 1.1e-6 for |x| <= 12. For bf16 an odd
 * polynomial of seven terms on |x| <= 3.8 is enough (below 6e-4 there). Both were fitted
 * by weighted least squares (tests/reference/fit-gelu.py).
 */
#include "backend/cpu/kernels.h"
#include "backend/cpu/simd.h"

static void
f32_to_bf16 (const float *src, guint16 *dst, gsize n)
{
  gsize i = 0;

  for (; i + LANES <= n; i += LANES)
    vf_store_bf16 (dst + i, vf_load (src + i));
  for (; i < n; i++)
    dst[i] = umedpt_f32_to_bf16 (src[i]);
}

static void
bf16_to_f32 (const guint16 *src, float *dst, gsize n)
{
  gsize i = 0;

  for (; i + LANES <= n; i += LANES)
    vf_store (dst + i, vf_load_bf16 (src + i));
  for (; i < n; i++)
    dst[i] = umedpt_bf16_to_f32 (src[i]);
}

static void
u8_to_f32 (const guint8 *src, float *dst, gsize n, float scale)
{
  gsize i = 0;

  for (; i + LANES <= n; i += LANES) {
    vb b;
    memcpy (&b, src + i, sizeof b);
    vf_store (dst + i, __builtin_convertvector(b, vf) * vf_set (scale));
  }
  for (; i < n; i++)
    dst[i] = src[i] * scale;
}

/* Exact to single precision; see the head of this file. */
static inline vf
gelu (vf x)
{
  const vf limit = vf_set (5.5f);
  vf c = vf_max (vf_min (x, limit), -limit);
  vf q = c * c;
  vf p = vf_set (1.116141207235799e-10f);
  vf d = vf_set (7.467129034921527e-05f);

  p = p * q + vf_set (-2.3251335079521596e-08f);
  p = p * q + vf_set (3.6995061236666515e-06f);
  p = p * q + vf_set (0.00020503427367657423f);
  p = p * q + vf_set (0.004717825446277857f);
  p = p * q + vf_set (0.03909090906381607f);
  p = p * q + vf_set (0.3989415466785431f);
  d = d * q + vf_set (0.002023242646828294f);
  d = d * q + vf_set (0.030944785103201866f);
  d = d * q + vf_set (0.26464512944221497f);
  d = d * q + vf_set (1.0f);
  return x * (p * c / d + vf_set (0.5f));
}

/* Good to bf16. */
static inline vf
gelu_coarse (vf x)
{
  const vf limit = vf_set (3.8f);
  vf c = vf_max (vf_min (x, limit), -limit);
  vf q = c * c;
  vf p = vf_set (3.025252581778659e-08f);

  p = p * q + vf_set (-1.9569013147702208e-06f);
  p = p * q + vf_set (5.462112676468678e-05f);
  p = p * q + vf_set (-0.0008744171354919672f);
  p = p * q + vf_set (0.009045688435435295f);
  p = p * q + vf_set (-0.06513256579637527f);
  p = p * q + vf_set (0.3982565701007843f);
  return x * (p * c + vf_set (0.5f));
}

/* A NaN stays one. The processor's maximum gives its second operand then. */
static inline vf
activate (vf x, UmedptActivation activation)
{
  switch (activation) {
    case UMEDPT_ACTIVATION_RELU:
      return vf_max (vf_set (0), x);
    case UMEDPT_ACTIVATION_GELU:
      return gelu (x);
    case UMEDPT_ACTIVATION_SIGMOID:
      return vf_select (x != x, x, vf_set (1) / (vf_set (1) + vf_exp (-x)));
    case UMEDPT_ACTIVATION_NONE:
    default:
      return x;
  }
}

static void
activate_f32 (float *x, gsize n, UmedptActivation activation)
{
  gsize i = 0;

  if (activation == UMEDPT_ACTIVATION_GELU)
    for (; i + LANES <= n; i += LANES)
      vf_store (x + i, gelu (vf_load (x + i)));
  for (; i + LANES <= n; i += LANES)
    vf_store (x + i, activate (vf_load (x + i), activation));
  if (i < n) {
    float tail[LANES] = { 0 };
    memcpy (tail, x + i, (n - i) * sizeof *x);
    vf_store (tail, activate (vf_load (tail), activation));
    memcpy (x + i, tail, (n - i) * sizeof *x);
  }
}

static void
activate_bf16 (guint16 *x, gsize n, UmedptActivation activation)
{
  gsize i = 0;

  if (activation == UMEDPT_ACTIVATION_GELU)
    for (; i + LANES <= n; i += LANES)
      vf_store_bf16 (x + i, gelu_coarse (vf_load_bf16 (x + i)));
  for (; i + LANES <= n; i += LANES)
    vf_store_bf16 (x + i, activate (vf_load_bf16 (x + i), activation));
  if (i < n) {
    guint16 tail[LANES] = { 0 };
    memcpy (tail, x + i, (n - i) * sizeof *x);
    vf_store_bf16 (tail, activate (vf_load_bf16 (tail), activation));
    memcpy (x + i, tail, (n - i) * sizeof *x);
  }
}

/* Sum of x - shift, or of its square; four accumulators hide the latency. */
static inline float
sum_shifted (const float *x, gsize n, float shift, gboolean square)
{
  vf s[4] = { { 0 } };
  const vf m = vf_set (shift);
  gsize i = 0;
  float sum;

  for (; i + 4 * LANES <= n; i += 4 * LANES) {
    UNROLL (4)
    for (int k = 0; k < 4; k++) {
      vf d = vf_load (x + i + k * LANES) - m;
      s[k] = square ? d * d + s[k] : s[k] + d;
    }
  }
  for (; i + LANES <= n; i += LANES) {
    vf d = vf_load (x + i) - m;
    s[0] = square ? d * d + s[0] : s[0] + d;
  }
  sum = vf_sum ((s[0] + s[1]) + (s[2] + s[3]));
  for (; i < n; i++)
    sum += square ? (x[i] - shift) * (x[i] - shift) : x[i] - shift;
  return sum;
}

static void
norm_row (const float *src, gsize C, const float *gamma, const float *beta,
    float mean, float rstd, const float *residual, float *dst)
{
  gsize i = 0;

  for (; i + LANES <= C; i += LANES) {
    vf y = (vf_load (src + i) - vf_set (mean)) * vf_set (rstd);
    if (gamma)
      y = y * vf_load (gamma + i);
    if (beta)
      y = y + vf_load (beta + i);
    if (residual)
      y = y + vf_load (residual + i);
    vf_store (dst + i, y);
  }
  for (; i < C; i++)
    dst[i] = (src[i] - mean) * rstd * (gamma ? gamma[i] : 1) +
        (beta ? beta[i] : 0) + (residual ? residual[i] : 0);
}

static void
norm_rows (const float *src, gsize rows, gsize C, const float *gamma,
    const float *beta, float epsilon, const float *residual, float *dst)
{
  for (gsize r = 0; r < rows; r++) {
    const float *x = src + r * C;
    float mean = sum_shifted (x, C, 0, FALSE) / C;
    float var = sum_shifted (x, C, mean, TRUE) / C;
    norm_row (x, C, gamma, beta, mean, 1 / __builtin_sqrtf (var + epsilon),
        residual ? residual + r * C : NULL, dst + r * C);
  }
}

static void
norm_sample (const float *src, gsize positions, gsize C, const float *gamma,
    const float *beta, float epsilon, float *dst)
{
  gsize n = positions * C;
  double mean = 0, var = 0;

  /* Row sums in float, their sum in double: a map is too long for float. */
  for (gsize p = 0; p < positions; p++)
    mean += sum_shifted (src + p * C, C, 0, FALSE);
  mean /= n;
  for (gsize p = 0; p < positions; p++)
    var += sum_shifted (src + p * C, C, (float) mean, TRUE);
  var /= n;
  for (gsize p = 0; p < positions; p++)
    norm_row (src + p * C, C, gamma, beta, (float) mean,
        (float) (1 / __builtin_sqrt (var + epsilon)), NULL, dst + p * C);
}

/* A channel's mean, maximum, or their sum, LANES channels at a time. */
static inline float
pool_values (UmedptPooling pooling, float sum, float top, gsize positions)
{
  switch (pooling) {
    case UMEDPT_POOLING_AVERAGE:
      return sum / positions;
    case UMEDPT_POOLING_MAX:
      return top;
    case UMEDPT_POOLING_COMBINED:
    default:
      return sum / positions + top;
  }
}

static void
pool (const float *src, gsize positions, gsize C, UmedptPooling pooling,
    float *dst)
{
  gsize c = 0;

  for (; c + LANES <= C; c += LANES) {
    vf sum = vf_load (src + c), top = sum;
    for (gsize p = 1; p < positions; p++) {
      vf x = vf_load (src + p * C + c);
      sum = sum + x;
      top = vf_select ((x > top) | (x != x), x, top); /* a NaN stays */
    }
    for (int i = 0; i < LANES; i++)
      dst[c + i] = pool_values (pooling, sum[i], top[i], positions);
  }
  for (; c < C; c++) {
    float sum = src[c], top = sum;
    for (gsize p = 1; p < positions; p++) {
      float x = src[p * C + c];
      sum += x;
      top = x > top || x != x ? x : top;
    }
    dst[c] = pool_values (pooling, sum, top, positions);
  }
}

#include "backend/cpu/attention-kernel.h"

const UmedptKernels CONCAT (umedpt_kernels_, UMEDPT_VARIANT) = {
  .name = G_STRINGIFY (UMEDPT_VARIANT),
  .f32_to_bf16 = f32_to_bf16,
  .bf16_to_f32 = bf16_to_f32,
  .u8_to_f32 = u8_to_f32,
  .activate_f32 = activate_f32,
  .activate_bf16 = activate_bf16,
  .norm_rows = norm_rows,
  .norm_sample = norm_sample,
  .pool = pool,
  .attention_f32 = attention_f32,
#if defined(__AVX512BF16__)
  .attention_bf16 = attention_bf16,
#endif
};
