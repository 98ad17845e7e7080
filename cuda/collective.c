/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Sums over the GPUs of several processes by NCCL. Its library is opened when
 * it is first wanted: most runs have one process, and need none. All sums are
 * queued on the one stream, as one group, so the optimiser's kernels find them
 * done. The few types and numbers of NCCL's stable interface that are used stand
 * here, so that the build needs no nccl.h.
 *
 * The device is the first that the process sees (module.c lets it see one), which
 * is the current one of every thread. The group lives as long as the process:
 * when that ends, all have waited for their last sum long since.
 */
#include "collective.h"

#include <gmodule.h>
#include <string.h>

typedef struct
{
  char internal[UMEDPT_RANKS_ID_SIZE];
} NcclId; /* ncclUniqueId */

typedef gpointer NcclComm; /* ncclComm_t */

enum
{
  NCCL_FLOAT32 = 7, /* ncclDataType_t */
  NCCL_SUM = 0, /* ncclRedOp_t */
  NCCL_INVALID_USAGE = 5, /* ncclResult_t */
};

static struct
{
  int (*get_id) (NcclId *id);
  int (*join) (NcclComm *comm, int size, NcclId id, int rank);
  int (*sum) (const void *src, void *dst, size_t n, int type, int op,
      NcclComm comm, cudaStream_t stream);
  int (*group_begin) (void);
  int (*group_end) (void);
  int (*leave) (NcclComm comm);
  const char *(*tell) (int status);
  NcclComm comm;
} nccl;

static gboolean
load (GError **error)
{
  const struct
  {
    const char *name;
    gpointer *function;
  } symbols[] = {
    { "ncclGetUniqueId", (gpointer *) &nccl.get_id },
    { "ncclCommInitRank", (gpointer *) &nccl.join },
    { "ncclAllReduce", (gpointer *) &nccl.sum },
    { "ncclGroupStart", (gpointer *) &nccl.group_begin },
    { "ncclGroupEnd", (gpointer *) &nccl.group_end },
    { "ncclCommAbort", (gpointer *) &nccl.leave },
    { "ncclGetErrorString", (gpointer *) &nccl.tell },
  };
  GModule *module;

  if (nccl.tell)
    return TRUE;
  module = g_module_open ("libnccl.so.2", G_MODULE_BIND_LAZY);
  if (!module) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND,
        "NCCL (libnccl.so.2) cannot be loaded: %s.", g_module_error ());
    return FALSE;
  }
  g_module_make_resident (module);
  for (guint i = 0; i < G_N_ELEMENTS (symbols); i++)
    if (!g_module_symbol (module, symbols[i].name, symbols[i].function)) {
      g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND,
          "libnccl.so.2 has no function %s.", symbols[i].name);
      return FALSE;
    }
  return TRUE;
}

/* NCCL takes a GPU from one process only. */
static gboolean
check (int status, const char *step, GError **error)
{
  if (status == 0)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND,
      "NCCL: %s failed: %s (%d).%s", step, nccl.tell (status), status,
      status == NCCL_INVALID_USAGE
          ? " Start at most as many processes on a machine as it has GPUs."
          : "");
  return FALSE;
}

gboolean
umedpt_cuda_ranks_id (UmedptBackend *backend, guint8 id[UMEDPT_RANKS_ID_SIZE],
    GError **error)
{
  NcclId made;

  if (!load (error))
    return FALSE;
  if (!id)
    return TRUE;
  if (!check (nccl.get_id (&made), "making an id", error))
    return FALSE;
  memcpy (id, made.internal, sizeof made.internal);
  return TRUE;
}

gboolean
umedpt_cuda_ranks_join (UmedptBackend *backend, guint rank, guint size,
    const guint8 id[UMEDPT_RANKS_ID_SIZE], GError **error)
{
  NcclId group;

  memcpy (group.internal, id, sizeof group.internal);
  return load (error) &&
      check (nccl.join (&nccl.comm, (int) size, group, (int) rank),
          "joining the other processes", error);
}

gboolean
umedpt_cuda_ranks_sum (UmedptBackend *backend, UmedptTensor *const *tensors,
    guint n, GError **error)
{
  UmedptCuda *cuda = umedpt_cuda (backend);
  int status = 0, end;

  if (!check (nccl.group_begin (), "beginning a sum", error))
    return FALSE;
  for (guint i = 0; i < n && status == 0; i++) {
    gpointer data = umedpt_cuda_output (cuda, tensors[i]);

    if (tensors[i]->n_elements)
      status = nccl.sum (data, data, tensors[i]->n_elements, NCCL_FLOAT32,
          NCCL_SUM, nccl.comm, cuda->stream);
  }
  end = nccl.group_end ();
  return check (status ? status : end, "adding gradients", error);
}

void
umedpt_cuda_ranks_leave (UmedptBackend *backend)
{
  if (nccl.comm)
    nccl.leave (g_steal_pointer (&nccl.comm));
}
