/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the backward passes of linear maps share: weight gradients over all
 * rows, and sums over rows that do not depend on who computed them.
 */
#pragma once

#include "backend/cpu/cpu.h"
#include "backend/cpu/kernels-rows.h"

G_BEGIN_DECLS

/* dW [N, K] += D^T S, with D [rows, N] and S [rows, K] of the compute type. */
typedef struct
{
  UmedptTensor *diff, *src;
  float *dst; /* NULL: not wanted */
  gint64 N, K;
  gint64 block; /* outputs of a job's chunk */
  UmedptPrimitive *whole, *last;
} UmedptWeightGradient;

/* Sums over the rows of each group, [groups, width]; then over all groups in
 * order. Columns [begin, begin + n) are added to @dst. */
typedef struct
{
  gint64 begin, n;
  float *dst; /* NULL: not wanted */
} UmedptSumPart;

#define UMEDPT_MAX_SUMS 4

typedef struct
{
  UmedptTensor *groups;
  gint64 width;
  UmedptSumPart parts[UMEDPT_MAX_SUMS];
} UmedptGroupSums;

gboolean umedpt_group_sums_init (UmedptGroupSums *sums, gint64 rows,
    gint64 width, GError **error);
/* Adds the groups' sums to where their parts belong. */
void umedpt_group_sums_finish (UmedptGroupSums *sums);
void umedpt_group_sums_clear (UmedptGroupSums *sums);

static inline float *
umedpt_group_sums_at (const UmedptGroupSums *sums, gint64 row)
{
  return UMEDPT_F32 (sums->groups) + row / UMEDPT_GROUP * sums->width;
}

/* Both in one job; @n gradients, which may be unwanted. */
gboolean umedpt_gradients_run (UmedptWeightGradient *gradients, guint n,
    UmedptGroupSums *sums, UmedptDtype compute, gint64 rows, GError **error);

/* dst = src, or dst += src, of the types' rows; @src is f32. */
void umedpt_store_rows (const float *src, gpointer dst, UmedptDtype dtype,
    gsize n, gboolean accumulate);

G_END_DECLS
