/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The backward pass of y = norm (x W^T + b), with or without the norm, where
 * x's rows may be gathered from a map: linear, linear_norm, patch_embed,
 * patch_merge.
 */
#pragma once

#include "backend/cpu/gradient.h"

G_BEGIN_DECLS

typedef struct _UmedptRowsBackward UmedptRowsBackward;

struct _UmedptRowsBackward
{
  gint64 M, K, N;
  UmedptTensor *weight; /* [N, K] in memory */
  UmedptDtype compute;
  UmedptTensor *diff_dst; /* [M, N] */
  /* of the norm; product NULL: there is none */
  UmedptTensor *product, *gamma;
  float epsilon;
  UmedptBranch branch;
  /* rows of the source: a tensor, or gathered one by one */
  UmedptTensor *src;
  void (*gather) (const UmedptRowsBackward *job, gint64 row, float *dst);
  /* its gradient; @scatter: row by row */
  UmedptTensor *diff_src; /* NULL: not wanted */
  gboolean accumulate;
  void (*scatter) (const UmedptRowsBackward *job, gint64 row, const float *src);
  gconstpointer geometry; /* of gather and scatter */
  float *diff_weight, *diff_bias, *diff_gamma, *diff_beta; /* or NULL */

  /* the job's own */
  UmedptRows rows;
  UmedptLinearMap map; /* diff x W */
  UmedptTensor *diff, *operand; /* [M, N], [M, K]: of the compute type */
  UmedptGroupSums sums;
  atomic_int failed;
};

gboolean umedpt_rows_backward (UmedptRowsBackward *job, GError **error);

G_END_DECLS
