/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the files of the oneDNN bridge share: the engine with its workers
 * (onednn.c), packed weights (onednn-weights.c), the cache of primitives
 * (onednn-primitive.c), and what they compute: products with packed weights
 * (onednn-product.c), weight gradients (onednn-gradient.c).
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

/* Weights in one layout of oneDNN's, in memory of ours. */
struct _UmedptPackedWeights
{
  ShimDesc desc;
  dnnl_memory_t memory;
  gpointer data;
  gsize size;
  UmedptPackedWeights *next;
};

struct _UmedptPacked
{
  UmedptTensor *weight; /* not owned: it owns us */
  UmedptWeightsLayout layout;
  UmedptDtype compute;
  gint64 O, C, kh, kw; /* of the product; linear: N, K, 1, 1 */
  GMutex lock;
  /* one per layout that primitives wanted, hardly ever more than one */
  UmedptPackedWeights *weights;
};

typedef enum
{
  UMEDPT_PRIMITIVE_LINEAR,
  UMEDPT_PRIMITIVE_CONV,
  UMEDPT_PRIMITIVE_LINEAR_GRADIENT,
  UMEDPT_PRIMITIVE_CONV_GRADIENT,
} UmedptPrimitiveKind;

/* What distinguishes primitives. Compared as bytes: clear it before use. */
typedef struct
{
  gint64 O, C, kh, kw;
  UmedptBand band; /* of a linear map: rows in src_rows, the rest 0 */
  gint64 diff_stride; /* of a linear gradient */
  UmedptPrimitiveKind kind;
  UmedptDtype compute, dst_dtype;
  gboolean with_bias;
} UmedptPrimitiveKey;

/* Operands of one worker. `weights` is not used where they are packed ones. */
typedef struct
{
  dnnl_memory_t src, weights, bias, dst, scratchpad;
} UmedptSlot;

struct _UmedptPrimitive
{
  gatomicrefcount ref_count;
  UmedptPrimitiveKey key;
  dnnl_primitive_t primitive;
  ShimDesc weights_desc; /* of weights, or of a convolution's gradient */
  gsize scratchpad_size;
  UmedptSlot *slots; /* one per worker */
  guint64 last_use; /* of the cache */
};

/* Operands by name of argument; weights may be left to the slots. */
typedef struct
{
  ShimDesc src, weights, bias, dst;
} UmedptDescs;

/* Makes what is not in the cache. @data: the maker's. */
typedef dnnl_status_t (*UmedptDescribeFunc) (const UmedptPrimitiveKey *key,
    gpointer data, UmedptDescs *descs, dnnl_primitive_desc_t *pd);

UmedptOnednnRuntime *umedpt_onednn_get_runtime (void);
gboolean umedpt_onednn_check (dnnl_status_t status, const char *what,
    GError **error);
gboolean umedpt_onednn_is_reference (const_dnnl_primitive_desc_t pd);
/* Attributes with a scratchpad of the user, and a sum with what is there. */
dnnl_status_t umedpt_onednn_attributes (gboolean add, dnnl_primitive_attr_t *);

/* On this thread, held to one OpenMP thread. */
dnnl_status_t umedpt_onednn_reorder (ShimConstDesc from_desc, gpointer from,
    ShimConstDesc to_desc, gpointer to);

static inline dnnl_data_type_t
umedpt_onednn_type (UmedptDtype dtype)
{
  return dtype == UMEDPT_DTYPE_BF16 ? dnnl_bf16 : dnnl_f32;
}

/* (transfer full) */
UmedptPrimitive *umedpt_primitive_get (const UmedptPrimitiveKey *key,
    UmedptDescribeFunc describe, gpointer data, GError **error);
gboolean umedpt_primitive_execute (UmedptPrimitive *self, guint worker, int n,
    dnnl_exec_arg_t *args);
void umedpt_descs_clear (UmedptDescs *descs);

/* Under the packed form's lock; owned by it. */
UmedptPackedWeights *umedpt_packed_take_weights (UmedptPacked *self,
    ShimConstDesc desc, GError **error);

G_END_DECLS
