/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Copies between host and device, and the rest of UmedptMemory. See
 * transfer.c.
 */
#pragma once

#include "cuda.h"

G_BEGIN_DECLS

/* Fills cuda->memory. FALSE sets @error. */
gboolean umedpt_cuda_transfer_init (UmedptCuda *cuda, GError **error);

/* For the slots feed_begin and feed_end of UmedptBackend. */
gpointer umedpt_cuda_feed_begin (UmedptBackend *backend, gsize size,
    GError **error);
gboolean umedpt_cuda_feed_end (UmedptBackend *backend, gpointer dst, gsize size,
    GError **error);

/* Work of others on the stream of the feeds, which has nothing to do with what
 * is queued: from lock to unlock, which waits until the work is done. */
cudaStream_t umedpt_cuda_feed_lock (void);
gboolean umedpt_cuda_feed_unlock (GError **error);

G_END_DECLS
