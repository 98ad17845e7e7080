/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The vector kernels around matrix products in training (a chunk of rows that
 * lies in the cache), and those of the optimisers. Compiled and chosen as
 * kernels.h says. Sums by column are added to, for one group of rows at a
 * time: the caller adds the groups in order, whoever computed them.
 */
#pragma once

#include "backend/cpu/kernels.h"

G_BEGIN_DECLS

typedef struct
{
  float rate; /* lr / c1 */
  float decay; /* lr weight_decay */
  float beta1, beta2, rest1, rest2; /* rest = 1 - beta */
  float root; /* 1 / sqrt (c2) */
  float epsilon;
  float gradient_scale;
} UmedptAdamwStep;

typedef struct
{
  float rate, momentum, weight_decay, gradient_scale;
  gboolean nesterov, first;
} UmedptSgdStep;

typedef struct
{
  /* Through scale * (layer_norm (src) gamma + beta): dst, in bf16 if @half,
   * is d src. @sums [3, C]: of the gradients of gamma and beta, and of d src,
   * the bias before the norm. gamma may be NULL. */
  void (*norm_diff) (const float *src, const float *diff_dst, gsize rows,
      gsize C, const float *gamma, float scale, float epsilon, gpointer dst,
      gboolean half, float *sums);
  /* act = gelu (src), diff *= gelu' (src); @sums [C] of diff */
  void (*gelu_diff_f32) (const float *src, float *diff, float *act, gsize rows,
      gsize C, float *sums);
  void (*gelu_diff_bf16) (const guint16 *src, guint16 *diff, guint16 *act,
      gsize rows, gsize C, float *sums);
  void (*gelu_f32) (const float *src, float *dst, gsize n);
  void (*gelu_bf16) (const guint16 *src, guint16 *dst, gsize n);
  /* sums [C] += the columns of src [rows, C] */
  void (*column_sums_f32) (const float *src, gsize rows, gsize C, float *sums);
  void (*column_sums_bf16) (const guint16 *src, gsize rows, gsize C,
      float *sums);
  /* dst = src, dst = src + other, or dst += src (other = dst) */
  void (*add_f32) (const float *src, const float *other, float *dst, gsize n);
  void (*add_bf16) (const float *src, guint16 *dst, gsize n); /* dst += src */
  /* dst += scale * src */
  void (*add_scaled) (const float *src, float scale, float *dst, gsize n);

  void (*adamw) (const UmedptAdamwStep *step, gsize n, const float *gradient,
      float *parameter, float *moment1, float *moment2);
  void (*sgd) (const UmedptSgdStep *step, gsize n, const float *gradient,
      float *parameter, float *moment);
  double (*square_sum) (const float *src, gsize n);
} UmedptRowKernels;

const UmedptRowKernels *umedpt_row_kernels_get (void);

extern const UmedptRowKernels umedpt_row_kernels_portable;
extern const UmedptRowKernels umedpt_row_kernels_avx2;
extern const UmedptRowKernels umedpt_row_kernels_avx512;
extern const UmedptRowKernels umedpt_row_kernels_avx512_bf16;

G_END_DECLS
