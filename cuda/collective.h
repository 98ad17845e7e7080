/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Sums over the GPUs of several processes.
 */
#pragma once

#include "cuda.h"

G_BEGIN_DECLS

gboolean umedpt_cuda_ranks_id (UmedptBackend *backend,
    guint8 id[UMEDPT_RANKS_ID_SIZE], GError **error);
gboolean umedpt_cuda_ranks_join (UmedptBackend *backend, guint rank, guint size,
    const guint8 id[UMEDPT_RANKS_ID_SIZE], GError **error);
gboolean umedpt_cuda_ranks_sum (UmedptBackend *backend,
    UmedptTensor *const *tensors, guint n, GError **error);
void umedpt_cuda_ranks_leave (UmedptBackend *backend);

G_END_DECLS
