/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The parts of the loader: what an epoch's batches contain, decoded samples
 * that are kept, and a batch that threads fill.
 */
#pragma once

#include "data/loader.h"

G_BEGIN_DECLS

/* loader-order.c: what is drawn as a whole, samples or cases, and the order
 * of an epoch made of it. */
typedef struct
{
  guint n; /* units */
  guint *start; /* [n + 1] into members */
  guint *members; /* indices into the data set */
  gint *labels; /* [n], of the first member */
} UmedptUnits;

typedef struct
{
  guint n_batches;
  guint *first; /* [n_batches + 1] position at which each begins */
  GArray *samples; /* guint per position: index into the data set */
  GArray *cases; /* gint32 per position: case within its batch */
} UmedptOrder;

UmedptUnits *umedpt_units_new (UmedptDataset *dataset, const GArray *indices,
    gboolean grouped);
void umedpt_units_free (UmedptUnits *self);
UmedptOrder *umedpt_order_new (const UmedptUnits *units,
    const UmedptLoaderSettings *settings, guint64 epoch);
UmedptOrder *umedpt_order_ref (UmedptOrder *self);
void umedpt_order_unref (UmedptOrder *self);

/* loader-cache.c: bounded in bytes, the longest unused go first. Thread-safe.
 * What comes out is bit for bit what went in. @n_masks as in augment.h. */
typedef struct _UmedptSampleCache UmedptSampleCache;

UmedptSampleCache *umedpt_sample_cache_new (gsize max_bytes, guint n_masks);
void umedpt_sample_cache_free (UmedptSampleCache *self);
UmedptSample *umedpt_sample_cache_lookup (UmedptSampleCache *self, guint index);
void umedpt_sample_cache_insert (UmedptSampleCache *self, guint index,
    const UmedptSample *sample);
gsize umedpt_sample_cache_get_bytes (UmedptSampleCache *self);

/* batch.c */
typedef struct
{
  UmedptTaskKind kind;
  gint width, height;
  guint n_labels;
  gboolean grouped;
} UmedptBatchShape;

UmedptBatch *umedpt_batch_new (const UmedptBatchShape *shape, guint n,
    guint n_groups, GError **error);
/* What the kind needs must be there. Different @i from different threads. */
gboolean umedpt_batch_check (const UmedptBatchShape *shape,
    const UmedptSample *sample, GError **error);
void umedpt_batch_store (UmedptBatch *self, const UmedptBatchShape *shape,
    guint i, gint target, UmedptSample *sample);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptUnits, umedpt_units_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptOrder, umedpt_order_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptSampleCache, umedpt_sample_cache_free)

G_END_DECLS
