/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Batches of one task, made ahead of their use by threads. What batch k of
 * epoch e contains follows from the seed, e and k alone: the order of an epoch
 * is a permutation drawn from (seed, epoch), the augmentation of a sample from
 * (seed, epoch, position). So the state of a loader is two numbers, and a run
 * that is resumed gets the same batches, whatever the number of threads.
 */
#pragma once

#include "data/augment.h"
#include "data/dataset.h"
#include "tensor/tensor.h"

G_BEGIN_DECLS

typedef struct _UmedptLoader UmedptLoader;

typedef struct
{
  guint batch; /* images, or cases of grouped tasks */
  UmedptAugmentSettings augment;
  guint64 seed;
  gboolean shuffle; /* and drop nothing: the last batch may be smaller */
  gboolean balanced; /* classification: draw classes equally often */
  gboolean grouped; /* a batch is whole cases; see max_group */
  guint max_group; /* images per case at most, drawn anew each epoch; 0: all */
  guint threads; /* 0: one */
  guint ahead; /* batches prepared in advance at most; 0: two */
  gsize cache_bytes; /* decoded samples kept; 0: none */
} UmedptLoaderSettings;

typedef struct
{
  UmedptTaskKind kind;
  guint n; /* images */
  guint first; /* of the whole batch; not 0 in parts of it */
  UmedptTensor *images; /* f32 [n, height, width, 3] */
  guint *indices; /* [n] into the data set */
  UmedptAugmentMap *maps; /* [n] */
  UmedptTensor *groups; /* (nullable) i32 [n]: case of each image, from 0 */
  guint n_groups; /* 0 if not grouped */
  /* by kind; of grouped tasks per case (the first image's): */
  UmedptTensor *targets; /* i32 [n] classes; f32 [n, K] multilabel; f32 [n]
                            regression; u8 [n, h, w] or [n, h, w, K] masks at
                            the images' size */
  UmedptTensor *weights; /* (nullable) f32 [n, K], multilabel */
  GPtrArray *boxes; /* (nullable) detection: GArray of UmedptBox per image */
} UmedptBatch;

/* @indices: the samples to use; copied. Holds a reference on @dataset. */
UmedptLoader *umedpt_loader_new (UmedptDataset *dataset, const GArray *indices,
    const UmedptLoaderSettings *settings);
void umedpt_loader_free (UmedptLoader *self);
guint umedpt_loader_get_n_batches (UmedptLoader *self);
/* The next batch will be number @batch of @epoch. */
void umedpt_loader_seek (UmedptLoader *self, guint64 epoch, guint batch);
void umedpt_loader_tell (UmedptLoader *self, guint64 *epoch, guint *batch);
/* Makes part @part of @n_parts of each batch only: images i n / @n_parts to
 * (i + 1) n / @n_parts of its n, perhaps none. The images are those of the
 * whole batch. To be called before the first batch is asked for; not for grouped
 * tasks. */
void umedpt_loader_set_part (UmedptLoader *self, guint part, guint n_parts);
/* The next batch; after the last of an epoch the first of the next one.
 * (transfer full). An unreadable image is an error that names the file. */
UmedptBatch *umedpt_loader_next (UmedptLoader *self, GCancellable *cancellable,
    GError **error);
/* Seconds that umedpt_loader_next() has waited since this was last asked. */
double umedpt_loader_take_wait (UmedptLoader *self);
void umedpt_batch_free (UmedptBatch *batch);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptLoader, umedpt_loader_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptBatch, umedpt_batch_free)

G_END_DECLS
