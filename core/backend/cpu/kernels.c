/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Row kernels: conversions, activations, norms, pooling. Compiled once per
 * instruction set (UMEDPT_VARIANT names it); attention is in its own file,
 * included at the end so that each build is one table.
 */
#include "backend/cpu/activation-kernel.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/norm-kernel.h"
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

/* The same for the tail as for the rest: what is a tail depends on how a map
 * was cut. */
static inline vf
activate_coarse (vf x, UmedptActivation activation)
{
  return activation == UMEDPT_ACTIVATION_GELU ? gelu_coarse (x)
                                              : activate (x, activation);
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
    vf_store_bf16 (tail, activate_coarse (vf_load_bf16 (tail), activation));
    memcpy (x + i, tail, (n - i) * sizeof *x);
  }
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
  .pool = pool,
  .attention_f32 = attention_f32,
#if defined(__AVX512BF16__)
  .attention_bf16 = attention_bf16,
#endif
};
