/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The worker pool: one per process, as wide as the affinity mask. A job is a
 * number of chunks that are the same in every run; idle workers claim
 * the next chunk, so a worker that lost its core to a neighbour delays one
 * chunk and not half the job, and results do not depend on who computed what.
 */
#pragma once

#include "base/macros.h"

G_BEGIN_DECLS

typedef struct _UmedptPool UmedptPool;

/* Computes chunk @chunk; @worker is 0 … n_workers-1, for scratch memory. */
typedef void (*UmedptPoolFunc) (gpointer data, guint worker, guint chunk);

UmedptPool *umedpt_pool_get_default (void);
UmedptPool *umedpt_pool_new (guint n_workers);
void umedpt_pool_free (UmedptPool *pool);
guint umedpt_pool_get_n_workers (UmedptPool *pool);
void umedpt_pool_run (UmedptPool *pool, guint n_chunks, UmedptPoolFunc func,
    gpointer data);
gpointer umedpt_pool_get_scratch (UmedptPool *pool, guint worker, gsize size);

G_END_DECLS
