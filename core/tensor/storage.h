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
  GDestroyNotify destroy; /* of foreign memory */
  gpointer user_data;
  gboolean mapped; /* read-only pages of a file, may be dropped */
  gint version; /* grows when values change; atomic */
};

UmedptStorage *umedpt_storage_new (gsize size, GError **error);
UmedptStorage *umedpt_storage_new_wrapped (gpointer data, gsize size,
    GDestroyNotify destroy, gpointer user_data);
UmedptStorage *umedpt_storage_ref (UmedptStorage *storage);
void umedpt_storage_unref (UmedptStorage *storage);
void umedpt_storage_trim (void);
gsize umedpt_storage_get_peak (gboolean reset);

G_END_DECLS
