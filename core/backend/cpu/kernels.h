/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The vector kernels of the CPU backend: everything that is not a matrix
 * product or a convolution. One source (kernels.c) is compiled once per
 * instruction set; each build is a table of functions, chosen at run time.
 */
#pragma once

#include "backend/backend.h"
#include "base/cpu.h"

G_BEGIN_DECLS

#define UMEDPT_HEAD_DIM 32 /* of every Swin model; other sizes go to ref */

/* One head of one window of attention. Rows are pointers, so that cyclic
 * shift, window cut and padding are a table and never a copy. */
typedef struct
{
  gint64 tokens; /* L = window^2, a multiple of 64 */
  const void *const *rows; /* [L] q of this head; k and v follow at +C, +2C */
  gint64 channels; /* C */
  void *const *dst; /* [L] where this head's output goes; NULL: drop */
  const gint32 *region; /* (nullable) [L]; NULL: no pair is masked */
  const float *bias; /* [L, L] */
  float scale;
  float bound; /* no logit is larger: scale + the largest bias */
  gboolean exact; /* logits may lie so far below the bound that exp
                     (l - bound) vanishes: find each row's maximum first */
  float *scratch; /* UMEDPT_ATTENTION_SCRATCH (L) floats, aligned */
} UmedptAttentionHead;

/* q or k transposed, v packed, both norms, and 8 rows of probabilities */
#define UMEDPT_ATTENTION_SCRATCH(L) \
  ((gsize) (L) * (2 * UMEDPT_HEAD_DIM + 2 + 8) + 64)

typedef struct
{
  const char *name;
  void (*f32_to_bf16) (const float *src, guint16 *dst, gsize n);
  void (*bf16_to_f32) (const guint16 *src, float *dst, gsize n);
  /* dst = src * scale */
  void (*u8_to_f32) (const guint8 *src, float *dst, gsize n, float scale);
  void (*activate_f32) (float *x, gsize n, UmedptActivation activation);
  void (*activate_bf16) (guint16 *x, gsize n, UmedptActivation activation);
  /* dst = residual + layer_norm (src), row by row; gamma, beta, residual may
   * be NULL; dst may be src or residual. All [rows, C]. */
  void (*norm_rows) (const float *src, gsize rows, gsize C, const float *gamma,
      const float *beta, float epsilon, const float *residual, float *dst);
  /* dst[C] = mean, maximum or both over positions of src [positions, C] */
  void (*pool) (const float *src, gsize positions, gsize C,
      UmedptPooling pooling, float *dst);
  void (*attention_f32) (const UmedptAttentionHead *head);
  void (*attention_bf16) (const UmedptAttentionHead *head); /* or NULL */
} UmedptKernels;

const UmedptKernels *umedpt_kernels_get (void);

extern const UmedptKernels umedpt_kernels_portable;
extern const UmedptKernels umedpt_kernels_avx2;
extern const UmedptKernels umedpt_kernels_avx512;
extern const UmedptKernels umedpt_kernels_avx512_bf16;

G_END_DECLS
