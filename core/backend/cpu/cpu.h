/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the files of the CPU backend share: the ops they fill, and how rows are
 * cut into chunks.
 */
#pragma once

#include <stdatomic.h>

#include "backend/backend.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/onednn.h"
#include "base/error.h"
#include "base/pool.h"

G_BEGIN_DECLS

/* Rows cut into chunks of equal size (the last may be smaller). The size
 * depends on the number of rows, and on that of workers only where a row's
 * result does not depend on its chunk. */
typedef struct
{
  gint64 rows; /* in all */
  gint64 chunk; /* rows of a chunk */
  guint n_chunks;
} UmedptRows;

UmedptRows umedpt_rows_split (gint64 rows);
/* In chunks of whole groups of UMEDPT_GROUP rows, for sums over rows: one sum
 * per group does not depend on the chunks. */
UmedptRows umedpt_rows_split_groups (gint64 rows);

#define UMEDPT_GROUP 32

static inline gint64
umedpt_rows_begin (const UmedptRows *rows, guint chunk)
{
  return chunk * rows->chunk;
}

static inline gint64
umedpt_rows_count (const UmedptRows *rows, guint chunk)
{
  return MIN (rows->chunk, rows->rows - chunk * rows->chunk);
}

/* A linear map over chunks: one primitive for whole ones, one for the last. */
typedef struct
{
  gint64 K, N;
  UmedptProduct whole, last;
  const float *bias;
} UmedptLinearMap;

gboolean umedpt_linear_map_init (UmedptLinearMap *map, UmedptTensor *weight,
    UmedptTensor *bias, UmedptWeightsLayout layout, UmedptDtype compute,
    UmedptDtype dst_dtype, const UmedptRows *rows, GError **error);
gboolean umedpt_linear_map_run (const UmedptLinearMap *map,
    const UmedptRows *rows, guint chunk, guint worker, gconstpointer src,
    gpointer dst);
void umedpt_linear_map_clear (UmedptLinearMap *map);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (UmedptLinearMap, umedpt_linear_map_clear)

/* Scale, shift and residual of a layer norm that ends an op. */
typedef struct
{
  const float *gamma, *beta, *residual; /* each may be NULL */
  float *dst;
  float epsilon;
} UmedptNormTail;

/* Stochastic depth: the factor of a row's branch is that of its sample. */
typedef struct
{
  const float *scale; /* NULL: 1 for all */
  gint64 sample_rows;
} UmedptBranch;

static inline UmedptBranch
umedpt_branch (UmedptTensor *scale, gint64 rows)
{
  return scale ? (UmedptBranch){ UMEDPT_F32 (scale),
    rows / MAX ((gint64) scale->n_elements, 1) }
               : (UmedptBranch){ 0 };
}

/* How many of the @n rows from @row on have its factor, which is returned in
 * @scale. */
static inline gint64
umedpt_branch_run (const UmedptBranch *branch, gint64 row, gint64 n,
    float *scale)
{
  gint64 sample;

  *scale = 1;
  if (!branch->scale)
    return n;
  sample = row / branch->sample_rows;
  *scale = branch->scale[sample];
  return MIN (n, (sample + 1) * branch->sample_rows - row);
}

/* Whether all of these rows' branches are switched off. */
static inline gboolean
umedpt_branch_is_off (const UmedptBranch *branch, gint64 row, gint64 n)
{
  for (gint64 end = row + n; row < end;) {
    float scale;
    row += umedpt_branch_run (branch, row, end - row, &scale);
    if (scale != 0)
      return FALSE;
  }
  return TRUE;
}

static inline gpointer
umedpt_row (UmedptTensor *tensor, gint64 row, gint64 columns)
{
  return (char *) tensor->data +
      (gsize) (row * columns) * umedpt_dtype_size (tensor->dtype);
}

/* Runs @func over the chunks of @rows with oneDNN set up. @failed is the
 * job's flag that a chunk could not be computed. */
gboolean umedpt_cpu_run (guint n_chunks, UmedptPoolFunc func, gpointer job,
    atomic_int *failed, GError **error);

/* What this backend cannot multiply is left to ref, with a reason. */
gboolean umedpt_cpu_check_compute (UmedptDtype compute, GError **error);

static inline gpointer
umedpt_cpu_scratch (guint worker, gsize size)
{
  return umedpt_pool_get_scratch (umedpt_pool_get_default (), worker, size);
}

static inline const float *
umedpt_f32_or_null (UmedptTensor *tensor)
{
  return tensor ? UMEDPT_F32 (tensor) : NULL;
}

/* Rounded up so that the next part of a scratch buffer is aligned. */
static inline gsize
umedpt_cpu_aligned (gsize bytes)
{
  return (bytes + 63) / 64 * 64;
}

#define UMEDPT_CPU_OP(slot, Type) \
  gboolean umedpt_cpu_##slot (UmedptBackend *backend, \
      const Umedpt##Type##Args *args, GError **error);
UMEDPT_FOREACH_OP (UMEDPT_CPU_OP)
#undef UMEDPT_CPU_OP

G_END_DECLS
