/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The pool of device memory (pool.c) and what it does for graphs.
 */
#pragma once

#include "cuda.h"

G_BEGIN_DECLS

typedef struct _UmedptCudaArena UmedptCudaArena;

UmedptCudaPool *umedpt_cuda_pool_new (void);
/* NULL sets @error (%UMEDPT_ERROR_NO_MEMORY). */
gpointer umedpt_cuda_pool_take (UmedptCudaPool *self, gsize size,
    GError **error);
void umedpt_cuda_pool_give (UmedptCudaPool *self, gpointer data);
void umedpt_cuda_pool_measure (UmedptCudaPool *self, gsize *held,
    gsize *in_use);

UmedptCudaArena *umedpt_cuda_pool_open_arena (UmedptCudaPool *self);
void umedpt_cuda_pool_leave_arena (UmedptCudaPool *self);
void umedpt_cuda_pool_close_arena (UmedptCudaPool *self,
    UmedptCudaArena *arena);

G_END_DECLS
