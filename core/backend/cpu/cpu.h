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
 * depends on the number of rows and of workers; the result of a row depends on
 * neither. */
typedef struct
{
  gint64 rows; /* in all */
  gint64 chunk; /* rows of a chunk */
  guint n_chunks;
} UmedptRows;

UmedptRows umedpt_rows_split (gint64 rows);

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
  UmedptPrimitive *whole, *last;
  const float *bias;
} UmedptLinearMap;

gboolean umedpt_linear_map_init (UmedptLinearMap *map, UmedptTensor *weight,
    UmedptTensor *bias, UmedptWeightsLayout layout, UmedptDtype compute,
    UmedptDtype dst_dtype, const UmedptRows *rows, GError **error);
gboolean umedpt_linear_map_run (const UmedptLinearMap *map,
    const UmedptRows *rows, guint chunk, guint worker, gconstpointer src,
    gpointer dst);

/* Scale, shift and residual of a layer norm that ends an op. */
typedef struct
{
  const float *gamma, *beta, *residual; /* each may be NULL */
  float *dst;
  float epsilon;
} UmedptNormTail;

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
