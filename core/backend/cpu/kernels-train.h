/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The vector kernels that only training needs: gradients of activations,
 * norms and attention, and losses. A table of its own, so that inference's
 * (kernels.h) stays small; compiled and chosen in the same way.
 */
#pragma once

#include "backend/cpu/kernels.h"

G_BEGIN_DECLS

/* One head of one window of attention, backwards. */
typedef struct
{
  UmedptAttentionHead head; /* as in the forward pass; no dst */
  const void *const *diff_dst; /* [L] rows of this head; zeros for padding */
  void *const *diff_qkv; /* [L] where dq goes, dk and dv at +C, +2C; NULL:
                            a padded pixel */
  float *diff_bias; /* [L, L], added to */
  float *diff_padding; /* [UMEDPT_HEAD_DIM], added to: dv of padded pixels */
  float diff_scale; /* added to */
} UmedptAttentionDiff;

/* k and v transposed, norms, P and dS [L, L], and q, k, dO packed */
#define UMEDPT_ATTENTION_DIFF_SCRATCH(L) ((gsize) (L) * (2 * (L) + 168) + 64)

/* What channel_moments gives per channel, one after the other: the mean, the
 * sum of squared differences from it, and with a gradient d: the sum of d and
 * that of d (x - mean). */
#define UMEDPT_N_MOMENTS 4

/* dst = (src - mean) a + diff b + c, by channel. */
typedef struct
{
  const float *mean, *a, *b, *c; /* [C]; b unused without diff */
} UmedptChannelMap;

typedef struct
{
  /* diff_src = diff_dst activation' (src); with @accumulate added */
  void (*activate_diff_f32) (const float *src, const float *diff_dst,
      float *diff_src, gsize n, UmedptActivation activation,
      gboolean accumulate);
  void (*activate_diff_bf16) (const guint16 *src, const guint16 *diff_dst,
      guint16 *diff_src, gsize n, UmedptActivation activation,
      gboolean accumulate);
  /* dst = a + b, and a b or dst + a b; with @one, b is one number */
  void (*add) (const float *a, const float *b, gboolean one, float *dst,
      gsize n);
  void (*multiply) (const float *a, const float *b, gboolean one, float *dst,
      gsize n, gboolean accumulate);
  float (*dot) (const float *a, const float *b, gsize n);
  /* dst[i] = the sum over n of a[n] rows[n * stride + i], i < count */
  void (*combine) (const float *a, gsize n, const float *rows, gsize stride,
      float *dst, gsize count);
  /* dst[C] = the sum of a block of pixels, or with @accumulate added */
  void (*sum_pixels) (const float *src, gsize rows, gsize row_stride,
      gsize columns, gsize pixel_stride, gsize C, float *dst,
      gboolean accumulate);
  /* The gradient of layer_norm, row by row. diff_src may be NULL, or diff_dst
   * itself without @accumulate; diff_gamma and diff_beta [C] are added to. */
  void (*norm_rows_diff) (const float *src, const float *diff_dst, gsize rows,
      gsize C, const float *gamma, float epsilon, float *diff_src,
      gboolean accumulate, float *diff_gamma, float *diff_beta);
  /* of src and diff (may be NULL) [positions, C]; out [N_MOMENTS, C] */
  void (*channel_moments) (const float *src, const float *diff, gsize positions,
      gsize C, float *out);
  void (*channel_map) (const float *src, const float *diff, gsize positions,
      gsize C, const UmedptChannelMap *map, float *dst, gboolean accumulate);
  void (*pool_diff) (const float *src, const float *diff_dst, gsize positions,
      gsize C, UmedptPooling pooling, float *diff_src, gboolean accumulate);
  /* head.scratch: UMEDPT_ATTENTION_DIFF_SCRATCH (L) floats, aligned */
  void (*attention_f32) (UmedptAttentionDiff *diff);
  void (*attention_bf16) (UmedptAttentionDiff *diff); /* or NULL */
} UmedptTrainKernels;

const UmedptTrainKernels *umedpt_train_kernels_get (void);

extern const UmedptTrainKernels umedpt_train_kernels_portable;
extern const UmedptTrainKernels umedpt_train_kernels_avx2;
extern const UmedptTrainKernels umedpt_train_kernels_avx512;
extern const UmedptTrainKernels umedpt_train_kernels_avx512_bf16;

G_END_DECLS
