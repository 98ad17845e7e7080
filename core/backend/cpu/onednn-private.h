/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the files of the oneDNN bridge share: the engine with its workers
 * (onednn.c), packed weights (onednn-weights.c), and the primitives made for
 * them (onednn-primitive.c).
 */
#pragma once

#include "backend/cpu/dnnl-shim.h"
#include "backend/cpu/onednn.h"

G_BEGIN_DECLS

/* What belongs to one worker of the pool, under the pool's job lock. */
typedef struct
{
  dnnl_stream_t stream;
  gpointer scratchpad;
  gsize scratchpad_size;
  gboolean is_set_up;
} UmedptOnednnWorker;

typedef struct
{
  dnnl_engine_t engine; /* NULL if oneDNN could not be started */
  UmedptOnednnWorker *workers;
  guint n_workers;
} UmedptOnednnRuntime;

/* Packed weights, in memory of ours. */
typedef struct
{
  dnnl_memory_t memory;
  gpointer data;
} UmedptPackedWeights;

struct _UmedptPacked
{
  UmedptTensor *weight; /* not owned: it owns us */
  UmedptWeightsLayout layout;
  UmedptDtype compute;
  gint64 O, C, kh, kw; /* linear: N, K, 1, 1 */
  GMutex lock;
  ShimDesc desc; /* of the packed weights; NULL until the first primitive */
  UmedptPackedWeights *weights;
  UmedptPrimitive *primitives; /* a list */
};

UmedptOnednnRuntime *umedpt_onednn_get_runtime (void);
gboolean umedpt_onednn_check (dnnl_status_t status, const char *what,
    GError **error);

UmedptPackedWeights *umedpt_packed_make_weights (UmedptPacked *self,
    ShimConstDesc desc, GError **error);
void umedpt_packed_weights_free (UmedptPackedWeights *weights);
void umedpt_primitives_free (UmedptPrimitive *list);

G_END_DECLS
