/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A group of processes that a launcher (mpirun, srun) has started to train one
 * model: who this one is, sums and copies among all, and one error for all.
 * Messages go by MPI, through a module, so that programs need none; large sums
 * on a GPU go by what its backend offers (NCCL). All functions but the first
 * are to be called by all ranks, in the same order.
 */
#pragma once

#include "autograd/ops.h"

G_BEGIN_DECLS

typedef struct _UmedptRanks UmedptRanks;

/* What the module libumedpt-mpi.so gives. Functions return FALSE if the
 * library says that it failed. */
#define UMEDPT_MESSAGES_VERSION 1
#define UMEDPT_MESSAGES_SYMBOL "umedpt_messages_open"

typedef struct
{
  guint version;
  guint rank, size;
  /* each rank's @size bytes at @mine, into @all in the order of the ranks */
  gboolean (*gather) (gconstpointer mine, gpointer all, gsize size);
  /* part i of @size bytes of @mine goes to rank i */
  gboolean (*exchange) (gconstpointer mine, gpointer all, gsize size);
  gboolean (*broadcast) (gpointer data, gsize size, guint root);
} UmedptMessages;

typedef const UmedptMessages *(*UmedptMessagesOpenFunc) (void);

/* Opened once per process, lives as long. NULL without @error: this process
 * is alone. */
UmedptRanks *umedpt_ranks_open (GError **error);
/* (nullable) NULL: 0 of 1. */
guint umedpt_ranks_get_rank (UmedptRanks *self);
guint umedpt_ranks_get_size (UmedptRanks *self);

/* With NULL these do nothing and return TRUE. */
gboolean umedpt_ranks_broadcast (UmedptRanks *self, gpointer data, gsize size,
    guint root, GError **error);
gboolean umedpt_ranks_broadcast_tensor (UmedptRanks *self, UmedptTensor *tensor,
    guint root, GError **error);
/* @all: size of the group times @size. NULL copies. */
gboolean umedpt_ranks_gather (UmedptRanks *self, gconstpointer mine,
    gpointer all, gsize size, GError **error);
/* Adds f32 @tensors over all ranks, in place. By MPI, in the order of the
 * ranks; the result has the same bits on each. */
gboolean umedpt_ranks_sum (UmedptRanks *self, UmedptContext *context,
    UmedptTensor *const *tensors, guint n, GError **error);
/* The bytes of a tensor, wherever it is. */
gboolean umedpt_ranks_read_tensor (UmedptTensor *tensor, gpointer host,
    GError **error);
/* Whether any of the ranks says so. */
gboolean umedpt_ranks_any (UmedptRanks *self, gboolean here);
/* If a step has failed on any rank (@error is set there), it has on all, with
 * the message of the first. Returns whether it succeeded everywhere. @here:
 * what it returned on this rank. */
gboolean umedpt_ranks_agree (UmedptRanks *self, gboolean here, GError **error);

G_END_DECLS
