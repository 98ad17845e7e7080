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

/* Pixels of a label map, in turns of UMEDPT_LOSS_PIXELS. */
#define UMEDPT_LOSS_PIXELS 64

typedef struct
{
  const float *logits; /* [pixels, classes] */
  const guint8 *labels; /* [pixels]; multilabel: [pixels, classes] */
  gsize pixels, classes;
  gboolean multilabel;
  const float *slopes; /* [2, classes]: d dice / d p where y is 0, and 1 */
  float focal_scale;
  float *diff; /* may be NULL */
  float *scratch; /* UMEDPT_SEGMENTATION_SCRATCH (classes), aligned */
} UmedptSegmentationPart;

/* Per class: sum p y, sum p, sum y, number of entries that count. */
#define UMEDPT_N_CLASS_SUMS 4
/* logits, probabilities and labels of the pixels; 16 lanes of sums */
#define UMEDPT_SEGMENTATION_SCRATCH(K) \
  ((gsize) (K) * (3 * UMEDPT_LOSS_PIXELS + 16 * UMEDPT_N_CLASS_SUMS) + \
      UMEDPT_LOSS_PIXELS)

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
  /* sums [classes, N_CLASS_SUMS]: added to */
  void (*segmentation_sums) (const UmedptSegmentationPart *part, double *sums);
  double (*segmentation_diff) (const UmedptSegmentationPart *part); /* focal */
  /* Sums without scale; diff (may be NULL) with scale. What has weight 0
   * counts nothing. signs: 1 where it is so, else -1. */
  double (*weighted_focal) (const float *z, const float *signs,
      const float *weights, gsize n, float scale, float *diff);
  double (*binary_cross_entropy) (const float *z, const float *targets,
      const float *weights, gsize n, float scale, float *diff);
  double (*squared_error) (const float *src, const float *targets, gsize n,
      float scale, float *diff);
  /* dst = exp (z - maximum); returns the maximum */
  float (*exponentials) (const float *z, gsize n, float *dst);
  double (*sum_up) (const float *x, gsize n);
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
