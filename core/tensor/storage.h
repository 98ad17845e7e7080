/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The reference-counted memory behind tensors. Host memory is 64-byte aligned
 * and recycled: activations of the same sizes come back for every image, and
 * asking the system each time would fault every page again (0.5 ms for 5 MB).
 */
#pragma once

#include "tensor/tensor-private.h"

G_BEGIN_DECLS

struct _UmedptStorage
{
  gatomicrefcount ref_count;
  gpointer data;
  gsize size; /* usable bytes */
  gsize bucket; /* size class for recycling, 0 = foreign memory */
  UmedptMemory *memory; /* a backend's; NULL: the host's */
  gboolean counted; /* in umedpt_storage_get_peak() */
  GDestroyNotify destroy; /* of foreign memory */
  gpointer user_data;
  gboolean mapped; /* read-only pages of a file, may be dropped */
  gint version; /* grows when values change; atomic */
};

UmedptStorage *umedpt_storage_new (gsize size, GError **error);
/* @memory: NULL is the host's. */
UmedptStorage *umedpt_storage_new_in (UmedptMemory *memory, gsize size,
    GError **error);
UmedptStorage *umedpt_storage_new_wrapped (gpointer data, gsize size,
    GDestroyNotify destroy, gpointer user_data);
UmedptStorage *umedpt_storage_ref (UmedptStorage *storage);
void umedpt_storage_unref (UmedptStorage *storage);
void umedpt_storage_trim (void);
gsize umedpt_storage_get_peak (gboolean reset);
/* Whether memory that the calling thread asks for from now on is counted in
 * the peak: what is made ahead or stays is no activation. Returns what was set
 * before, at first TRUE. */
gboolean umedpt_storage_set_counted (gboolean counted);

void umedpt_tensor_set_storage (UmedptTensor *tensor, UmedptStorage *storage);

/* Recycled memory without a tensor: large, short-lived buffers of threads
 * that come and go, which each of malloc's arenas would keep. Not counted, not
 * cleared; NULL if there is none. */
gpointer umedpt_scratch_new (gsize size);
void umedpt_scratch_free (gpointer data);

G_END_DECLS
