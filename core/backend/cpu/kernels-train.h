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

typedef struct
{
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
