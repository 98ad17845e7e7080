/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The group of processes above the messages. A sum is in the order of the
 * ranks, so that it has the same bits on all of them and in every run: each
 * rank gets one slice of what all have, adds it up, and hands the result to
 * all. That moves twice the data, whatever the number of ranks.
 */
#include "train/ranks.h"

#include <gmodule.h>
#include <string.h>

#include "base/error.h"
#include "tensor/tensor-private.h"
#include "train/trainer.h"

#ifndef UMEDPT_BACKEND_DIR
#define UMEDPT_BACKEND_DIR "/usr/lib/umedpt-1.0"
#endif

/* Floats that travel at once; bounds the memory of a sum. */
#define PIECE ((gsize) 1 << 24)

struct _UmedptRanks
{
  const UmedptMessages *messages;
  gboolean device_asked, device_joined;
};

/* Number of processes and number of this one, as launchers tell them. Slurm's
 * are those of a step: in a batch script itself there is one process. */
static const char *const variables[][2] = {
  { "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK" },
  { "PMI_SIZE", "PMI_RANK" },
  { "PMIX_SIZE", "PMIX_RANK" },
  { "SLURM_STEP_NUM_TASKS", "SLURM_PROCID" },
};

static guint
read_number (const char *name)
{
  const char *text = g_getenv (name);
  guint64 value = 0;

  return text &&
          g_ascii_string_to_unsigned (text, 10, 0, G_MAXINT, &value, NULL)
      ? (guint) value
      : 0;
}

static guint
find_launcher (guint *rank)
{
  for (guint i = 0; i < G_N_ELEMENTS (variables); i++) {
    guint size = read_number (variables[i][0]);

    *rank = size > 1 ? read_number (variables[i][1]) : 0;
    if (size > 1)
      return size;
  }
  return 1;
}

/**
 * umedpt_trainer_get_rank:
 *
 * The number of this process among those that a launcher (mpirun, srun) has
 * started, from the environment. Only 0 should tell people something.
 *
 * Returns: the number; 0 without a launcher
 *
 * Since: 0.1
 */
guint
umedpt_trainer_get_rank (void)
{
  guint rank;

  find_launcher (&rank);
  return rank;
}

static GModule *
load_module (GError **error)
{
  const char *variable = g_getenv ("UMEDPT_BACKEND_PATH");
  g_autofree char *path = g_strjoin (G_SEARCHPATH_SEPARATOR_S,
      variable ? variable : "", UMEDPT_BACKEND_DIR, NULL);
  g_auto (GStrv) folders = g_strsplit (path, G_SEARCHPATH_SEPARATOR_S, -1);

  for (guint i = 0; folders[i]; i++) {
    g_autofree char *file =
        g_build_filename (folders[i], "libumedpt-mpi.so", NULL);
    GModule *module;

    if (!folders[i][0] || !g_file_test (file, G_FILE_TEST_EXISTS))
      continue;
    module = g_module_open (file, G_MODULE_BIND_LAZY);
    if (module)
      return module;
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND,
        "The MPI module cannot be loaded: %s.", g_module_error ());
    return NULL;
  }
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NOT_FOUND,
      "Several processes were started, but the module libumedpt-mpi.so by which "
      "they would talk is not installed (looked in %s). Set "
      "UMEDPT_BACKEND_PATH if it is elsewhere, or start one process.",
      path);
  return NULL;
}

static const UmedptMessages *
open_messages (guint size, GError **error)
{
  GModule *module = load_module (error);
  const UmedptMessages *messages = NULL;
  UmedptMessagesOpenFunc open;

  if (!module)
    return NULL;
  g_module_make_resident (module);
  if (g_module_symbol (module, UMEDPT_MESSAGES_SYMBOL, (gpointer *) &open))
    messages = open ();
  if (!messages || messages->version != UMEDPT_MESSAGES_VERSION) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND,
        "%s: MPI does not start, or the module is not of this release.",
        g_module_name (module));
    return NULL;
  }
  if (messages->size == size)
    return messages;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND,
      "The launcher started %u processes, but MPI knows of %u: the launcher "
      "and the library of the MPI module are not of one kind. With srun, "
      "choose another --mpi (srun --mpi=list).",
      size, messages->size);
  return NULL;
}

UmedptRanks *
umedpt_ranks_open (GError **error)
{
  static UmedptRanks self;
  guint rank;
  guint size = find_launcher (&rank);

  if (size == 1)
    return NULL;
  if (!self.messages)
    self.messages = open_messages (size, error);
  return self.messages ? &self : NULL;
}

guint
umedpt_ranks_get_rank (UmedptRanks *self)
{
  return self ? self->messages->rank : 0;
}

guint
umedpt_ranks_get_size (UmedptRanks *self)
{
  return self ? self->messages->size : 1;
}

static gboolean
check (gboolean ok, GError **error)
{
  if (!ok)
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_IO,
        "A message between the processes was lost (MPI).");
  return ok;
}

gboolean
umedpt_ranks_broadcast (UmedptRanks *self, gpointer data, gsize size,
    guint root, GError **error)
{
  return !self || check (self->messages->broadcast (data, size, root), error);
}

gboolean
umedpt_ranks_gather (UmedptRanks *self, gconstpointer mine, gpointer all,
    gsize size, GError **error)
{
  if (self)
    return check (self->messages->gather (mine, all, size), error);
  memcpy (all, mine, size);
  return TRUE;
}

gboolean
umedpt_ranks_read_tensor (UmedptTensor *tensor, gpointer host, GError **error)
{
  gsize size = umedpt_tensor_get_size (tensor);

  if (tensor->memory)
    return tensor->memory->download (tensor->memory, host, tensor->data, size,
        error);
  memcpy (host, tensor->data, size);
  return TRUE;
}

static gboolean
write_tensor (UmedptTensor *tensor, gconstpointer host, GError **error)
{
  gsize size = umedpt_tensor_get_size (tensor);

  umedpt_tensor_drop_attachments (tensor);
  if (tensor->memory)
    return tensor->memory->upload (tensor->memory, tensor->data, host, size,
        error);
  memcpy (tensor->data, host, size);
  return TRUE;
}

/* A rank whose device fails goes on to take part, and tells afterwards. */
gboolean
umedpt_ranks_broadcast_tensor (UmedptRanks *self, UmedptTensor *tensor,
    guint root, GError **error)
{
  g_autofree guint8 *host = NULL;
  gsize size;
  gboolean ok = TRUE;

  if (!self)
    return TRUE;
  size = umedpt_tensor_get_size (tensor);
  host = g_malloc0 (MAX (size, 1));
  if (root == self->messages->rank)
    ok = umedpt_ranks_read_tensor (tensor, host, error);
  if (!umedpt_ranks_broadcast (self, host, size, root, ok ? error : NULL))
    return FALSE;
  if (ok && root != self->messages->rank)
    ok = write_tensor (tensor, host, error);
  return ok;
}

/* @n floats, at most PIECE. @work: twice as many, rounded up to slices. */
static gboolean
sum_piece (UmedptRanks *self, float *values, gsize n, float *work)
{
  const UmedptMessages *m = self->messages;
  gsize slice = (n + m->size - 1) / m->size;
  float *mine = work, *all = work + slice * m->size;

  memcpy (mine, values, n * sizeof (float));
  memset (mine + n, 0, (slice * m->size - n) * sizeof (float));
  if (!m->exchange (mine, all, slice * sizeof (float)))
    return FALSE;
  for (guint r = 1; r < m->size; r++)
    for (gsize i = 0; i < slice; i++)
      all[i] += all[r * slice + i];
  if (!m->gather (all, mine, slice * sizeof (float)))
    return FALSE;
  memcpy (values, mine, n * sizeof (float));
  return TRUE;
}

static gboolean
sum_host (UmedptRanks *self, float *values, gsize n, GError **error)
{
  g_autofree float *work =
      g_new (float, 2 * (MIN (n, PIECE) + self->messages->size));
  gboolean ok = TRUE;

  for (gsize first = 0; first < n && ok; first += PIECE)
    ok = sum_piece (self, values + first, MIN (PIECE, n - first), work);
  return check (ok, error);
}

/* Whether the devices of all ranks can add up; where one cannot, it tells why,
 * once. What one lacks would keep the others waiting. @id: made by rank 0. */
static gboolean
offer_device (UmedptRanks *self, UmedptBackend *backend,
    guint8 id[UMEDPT_RANKS_ID_SIZE])
{
  g_autoptr (GError) why = NULL;
  gboolean can = FALSE;

  if (backend->ranks_id)
    can = backend->ranks_id (backend, self->messages->rank == 0 ? id : NULL,
        &why);
  if (why)
    g_info ("Gradients are summed by MPI: %s", why->message);
  return !umedpt_ranks_any (self, !can);
}

/* Leaves sums to the devices if that is possible; asked once. */
static gboolean
join_device (UmedptRanks *self, UmedptBackend *backend, GError **error)
{
  guint8 id[UMEDPT_RANKS_ID_SIZE] = { 0 };
  const UmedptMessages *m = self->messages;
  gboolean ok;

  if (self->device_asked)
    return TRUE;
  self->device_asked = TRUE;
  if (!offer_device (self, backend, id))
    return TRUE;
  if (!umedpt_ranks_broadcast (self, id, sizeof id, 0, error))
    return FALSE;
  ok = backend->ranks_join (backend, m->rank, m->size, id, error);
  self->device_joined = umedpt_ranks_agree (self, ok, error);
  if (self->device_joined)
    g_info ("Gradients are summed by the devices.");
  else
    backend->ranks_leave (backend);
  return self->device_joined;
}

static gboolean
sum_by_host (UmedptRanks *self, UmedptTensor *const *tensors, guint n,
    GError **error)
{
  g_autofree float *values = NULL;
  gsize total = 0, at = 0;
  gboolean ok = TRUE;

  for (guint i = 0; i < n; i++)
    total += tensors[i]->n_elements;
  values = g_new0 (float, MAX (total, 1));
  for (guint i = 0; i < n && ok; at += tensors[i++]->n_elements)
    ok = umedpt_ranks_read_tensor (tensors[i], values + at, error);
  if (!umedpt_ranks_agree (self, ok, error) ||
      !sum_host (self, values, total, error))
    return FALSE;
  at = 0;
  for (guint i = 0; i < n && ok; at += tensors[i++]->n_elements)
    ok = write_tensor (tensors[i], values + at, error);
  return ok;
}

/* Before anybody waits for the sums, all know that all have queued them. */
static gboolean
sum_by_device (UmedptRanks *self, UmedptBackend *backend,
    UmedptTensor *const *tensors, guint n, GError **error)
{
  gboolean ok;

  g_rec_mutex_lock (backend->queue);
  ok = backend->ranks_sum (backend, tensors, n, error);
  g_rec_mutex_unlock (backend->queue);
  if (umedpt_ranks_agree (self, ok, error))
    return TRUE;
  backend->ranks_leave (backend);
  self->device_joined = FALSE;
  return FALSE;
}

gboolean
umedpt_ranks_sum (UmedptRanks *self, UmedptContext *context,
    UmedptTensor *const *tensors, guint n, GError **error)
{
  UmedptBackend *backend = umedpt_context_get_backend (context);

  if (!self)
    return TRUE;
  for (guint i = 0; i < n; i++)
    g_return_val_if_fail (tensors[i]->dtype == UMEDPT_DTYPE_F32, FALSE);
  if (!join_device (self, backend, error))
    return FALSE;
  return self->device_joined ? sum_by_device (self, backend, tensors, n, error)
                             : sum_by_host (self, tensors, n, error);
}

gboolean
umedpt_ranks_any (UmedptRanks *self, gboolean here)
{
  g_autofree gint32 *all = NULL;
  const gint32 mine = here;
  gboolean any = FALSE;

  if (!self)
    return here;
  all = g_new0 (gint32, self->messages->size);
  self->messages->gather (&mine, all, sizeof mine);
  for (guint i = 0; i < self->messages->size; i++)
    any = any || all[i];
  return any;
}

typedef struct
{
  gint32 failed, code;
  char message[2040];
} Verdict;

gboolean
umedpt_ranks_agree (UmedptRanks *self, gboolean here, GError **error)
{
  g_autofree gint32 *all = NULL;
  Verdict verdict = { !here, UMEDPT_ERROR_IO, "" };
  guint first = 0;

  if (!self)
    return here;
  if (!here && error && *error) {
    g_strlcpy (verdict.message, (*error)->message, sizeof verdict.message);
    if ((*error)->domain == UMEDPT_ERROR)
      verdict.code = (*error)->code;
  }
  all = g_new0 (gint32, self->messages->size);
  if (!self->messages->gather (&verdict.failed, all, sizeof verdict.failed))
    return check (FALSE, here ? error : NULL);
  while (first < self->messages->size && !all[first])
    first++;
  if (first == self->messages->size)
    return TRUE;
  if (!self->messages->broadcast (&verdict, sizeof verdict, first))
    return check (FALSE, here ? error : NULL);
  if (error && first != self->messages->rank) {
    g_clear_error (error);
    g_set_error (error, UMEDPT_ERROR, verdict.code, "Process %u of %u: %s",
        first, self->messages->size, verdict.message);
  }
  return FALSE;
}
