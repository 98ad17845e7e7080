/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The ops of the optimiser over many tensors at once: a step of a network is a
 * few launches, and the norm of its gradients one wait. The slots of single
 * tensors are these with one.
 */
#pragma once

#include "cuda.h"

G_BEGIN_DECLS

/* For the slots of UmedptBackend. @bf16: matrices get their bf16 form in the
 * same pass (shadow.c), instead of when they are used next. */
gboolean umedpt_cuda_adamw_many (UmedptBackend *backend,
    const UmedptAdamwArgs *args, guint n, gboolean bf16, GError **error);
gboolean umedpt_cuda_sgd_many (UmedptBackend *backend,
    const UmedptSgdArgs *args, guint n, gboolean bf16, GError **error);
/* Waits for the stream, once. */
gboolean umedpt_cuda_square_sum_many (UmedptBackend *backend,
    UmedptTensor *const *src, guint n, double *results, GError **error);

G_END_DECLS
