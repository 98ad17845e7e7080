/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The module libumedpt-mpi.so: the messages of train/ranks.h by MPI. It is the
 * one file that knows MPI, and uses nothing of libumedpt.
 */
#include <mpi.h>
#include <stdlib.h>

#include "train/ranks.h"

UMEDPT_API
const UmedptMessages *umedpt_messages_open (void);

/* Bytes in one broadcast: MPI counts in int. */
#define PIECE ((gsize) 1 << 30)

static gboolean
gather (gconstpointer mine, gpointer all, gsize size)
{
  return MPI_Allgather (mine, (int) size, MPI_BYTE, all, (int) size, MPI_BYTE,
             MPI_COMM_WORLD) == MPI_SUCCESS;
}

static gboolean
exchange (gconstpointer mine, gpointer all, gsize size)
{
  return MPI_Alltoall (mine, (int) size, MPI_BYTE, all, (int) size, MPI_BYTE,
             MPI_COMM_WORLD) == MPI_SUCCESS;
}

static gboolean
broadcast (gpointer data, gsize size, guint root)
{
  for (gsize at = 0; at < size; at += PIECE)
    if (MPI_Bcast ((char *) data + at, (int) MIN (PIECE, size - at), MPI_BYTE,
            (int) root, MPI_COMM_WORLD) != MPI_SUCCESS)
      return FALSE;
  return TRUE;
}

/* Ranks end together, all with the same verdict, so this cannot wait long. */
static void
finalize (void)
{
  MPI_Finalize ();
}

const UmedptMessages *
umedpt_messages_open (void)
{
  static UmedptMessages messages = { UMEDPT_MESSAGES_VERSION, 0, 1, gather,
    exchange, broadcast };
  int provided, rank, size, there = 0;

  if (MPI_Initialized (&there) != MPI_SUCCESS)
    return NULL;
  if (!there) {
    if (MPI_Init_thread (NULL, NULL, MPI_THREAD_FUNNELED, &provided) !=
        MPI_SUCCESS)
      return NULL;
    atexit (finalize);
  }
  MPI_Comm_set_errhandler (MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  if (MPI_Comm_rank (MPI_COMM_WORLD, &rank) != MPI_SUCCESS ||
      MPI_Comm_size (MPI_COMM_WORLD, &size) != MPI_SUCCESS)
    return NULL;
  messages.rank = (guint) rank;
  messages.size = (guint) size;
  return &messages;
}
