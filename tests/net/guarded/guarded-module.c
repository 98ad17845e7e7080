/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A device with memory of its own that no machine lacks: a module like that
 * for CUDA, whose memory may be touched while one of its ops runs and at no
 * other time (mprotect(2)); the ops are those of `ref`. Whoever reads a tensor
 * of the device on the host, or passes one of the host to an op, ends at that
 * line; and what is computed must have the bits of `ref`.
 *
 * Memory is handed out in powers of two and comes back full of NaN. That of a
 * graph is NaN again before each run, so that nothing of an earlier one is
 * taken for a result.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "backend/backend.h"
#include "base/error.h"
#include "base/macros.h"
#include "tensor/storage.h"

#define ARENA ((gsize) 1 << 30)
#define PAGE ((gsize) 2 << 20)
#define N_CLASSES 40
#define MIN_CLASS 6 /* 64 bytes */

static guint8 *arena;
static gsize arena_used;
static GPtrArray *free_blocks[N_CLASSES]; /* by the logarithm of their size */
static GRecMutex queue;

/* What a graph does again. */
typedef struct
{
  /* an op (NULL: a copy) with its arguments, and the tensors in them */
  gboolean (*op) (UmedptBackend *ref, gconstpointer args, GError **error);
  gpointer args;
  GPtrArray *tensors;
  gpointer dst;
  gconstpointer src; /* NULL: zeros */
  gsize size;
} Work;

typedef struct
{
  GArray *work; /* of Work */
  GHashTable *blocks; /* its memory -> class */
  GPtrArray *released; /* of it: for nobody else yet */
  gboolean spoilt;
} Graph;

static Graph *recorded; /* (nullable) under the queue, like … */
static GHashTable *owners; /* block -> Graph */

/* In huge pages, since the cost is per page. */
static void
protect (int how)
{
  const gsize size = (arena_used + PAGE - 1) / PAGE * PAGE;

  g_assert (mprotect (arena, size, how) == 0);
}

static void
open_arena (void)
{
  g_rec_mutex_lock (&queue);
  protect (PROT_READ | PROT_WRITE);
}

static void
close_arena (void)
{
  protect (PROT_NONE);
  g_rec_mutex_unlock (&queue);
}

/* Whether @data is the device's. */
static gboolean
is_inside (gconstpointer data, gsize size)
{
  const guint8 *at = data;

  return at >= arena && at + size <= arena + arena_used;
}

static guint
class_of (gsize size)
{
  return MAX ((guint) g_bit_storage (MAX (size, 1) - 1), MIN_CLASS);
}

static gpointer
guarded_allocate (UmedptMemory *self, gsize size, GError **error)
{
  const guint class = class_of (size);
  gpointer block = NULL;

  g_rec_mutex_lock (&queue);
  if (class < N_CLASSES && free_blocks[class]->len)
    block = g_ptr_array_steal_index_fast (free_blocks[class],
        free_blocks[class]->len - 1);
  else if (class < N_CLASSES && ((gsize) 1 << class) <= ARENA - arena_used) {
    block = arena + arena_used;
    arena_used += (gsize) 1 << class;
  }
  if (block) {
    open_arena ();
    memset (block, 0xff, (gsize) 1 << class);
    close_arena ();
    if (recorded) {
      g_hash_table_insert (owners, block, recorded);
      g_hash_table_insert (recorded->blocks, block, GUINT_TO_POINTER (class));
    }
  } else
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY,
        "The guarded device has no %" G_GSIZE_FORMAT " bytes.", size);
  g_rec_mutex_unlock (&queue);
  return block;
}

static void
guarded_release (UmedptMemory *self, gpointer data, gsize size)
{
  Graph *owner;

  g_rec_mutex_lock (&queue);
  owner = g_hash_table_lookup (owners, data);
  g_ptr_array_add (owner ? owner->released : free_blocks[class_of (size)],
      data);
  g_rec_mutex_unlock (&queue);
}

/* Between the host and the device nothing moves while a graph is recorded. */
static gboolean
check_not_recorded (GError **error)
{
  gboolean ok;

  g_rec_mutex_lock (&queue);
  ok = recorded == NULL;
  if (!ok) {
    recorded->spoilt = TRUE;
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND,
        "Something was copied from or to the host while a graph was recorded.");
  }
  g_rec_mutex_unlock (&queue);
  return ok;
}

static gboolean
copy (gpointer dst, gconstpointer src, gsize size)
{
  open_arena ();
  memmove (dst, src, size);
  close_arena ();
  return TRUE;
}

static gboolean
guarded_upload (UmedptMemory *self, gpointer dst, gconstpointer host,
    gsize size, GError **error)
{
  g_assert (is_inside (dst, size) && !is_inside (host, size));
  return check_not_recorded (error) && copy (dst, host, size);
}

static gboolean
guarded_download (UmedptMemory *self, gpointer host, gconstpointer src,
    gsize size, GError **error)
{
  g_assert (!is_inside (host, size) && is_inside (src, size));
  return check_not_recorded (error) && copy (host, src, size);
}

/* @src: NULL for zeros. */
static gboolean
queue_copy (gpointer dst, gconstpointer src, gsize size)
{
  const Work work = { .dst = dst, .src = src, .size = size };

  open_arena ();
  if (recorded)
    g_array_append_val (recorded->work, work);
  else if (src)
    memmove (dst, src, size);
  else
    memset (dst, 0, size);
  close_arena ();
  return TRUE;
}

static gboolean
guarded_copy (UmedptMemory *self, gpointer dst, gconstpointer src, gsize size,
    GError **error)
{
  g_assert (is_inside (dst, size) && is_inside (src, size));
  return queue_copy (dst, src, size);
}

static gboolean
guarded_zero (UmedptMemory *self, gpointer dst, gsize size, GError **error)
{
  g_assert (is_inside (dst, size));
  return queue_copy (dst, NULL, size);
}

static UmedptMemory memory = {
  .name = "guarded",
  .allocate = guarded_allocate,
  .release = guarded_release,
  .upload = guarded_upload,
  .download = guarded_download,
  .copy = guarded_copy,
  .zero = guarded_zero,
};

/* Copies @size bytes; FALSE where there is no such memory. */
static gboolean
read_safely (gconstpointer at, gpointer copied, gsize size)
{
  struct iovec to = { copied, size };
  struct iovec from = { (gpointer) at, size };

  return at && (gsize) at % sizeof (gpointer) == 0 &&
      process_vm_readv (getpid (), &to, 1, &from, 1, 0) == (gssize) size;
}

/* Whether the word at @at is a pointer to a tensor, copied to @tensor; all
 * that a tensor must be is looked at, so that numbers are not taken for one. */
static gboolean
read_tensor (gconstpointer at, UmedptTensor *tensor)
{
  UmedptStorage storage;
  gsize n = 1;

  if (!read_safely (*(gpointer const *) at, tensor, sizeof *tensor) ||
      (guint) tensor->dtype >= UMEDPT_N_DTYPES ||
      tensor->n_dims > UMEDPT_MAX_DIMS || tensor->ref_count < 1 ||
      !read_safely (tensor->storage, &storage, sizeof storage))
    return FALSE;
  for (guint i = 0; i < tensor->n_dims; i++)
    n *= (gsize) tensor->shape[i];
  return n == tensor->n_elements && storage.ref_count >= 1 &&
      storage.memory == tensor->memory &&
      (guint8 *) tensor->data >= (guint8 *) storage.data &&
      (guint8 *) tensor->data + umedpt_tensor_get_size (tensor) <=
      (guint8 *) storage.data + storage.size;
}

/* All tensors of an op's arguments must be the device's. (transfer full) */
static GPtrArray *
list_tensors (const char *op, gconstpointer args, gsize size)
{
  GPtrArray *tensors = g_ptr_array_new ();

  for (gsize i = 0; i + sizeof (gpointer) <= size; i += sizeof (gpointer)) {
    gpointer const *at = (gpointer const *) ((const guint8 *) args + i);
    UmedptTensor tensor;

    if (!read_tensor (at, &tensor))
      continue;
    if (tensor.memory != &memory ||
        !is_inside (tensor.data, umedpt_tensor_get_size (&tensor)))
      g_error ("%s got a tensor on the host (word %" G_GSIZE_FORMAT ")", op,
          i / sizeof (gpointer));
    g_ptr_array_add (tensors, *at);
  }
  return tensors;
}

static gboolean
run_work (const Work *work, GError **error)
{
  UmedptBackend *ref = umedpt_backend_ref ();

  if (work->op)
    return work->op (ref, work->args, error);
  if (work->src)
    memmove (work->dst, work->src, work->size);
  else
    memset (work->dst, 0, work->size);
  return TRUE;
}

/* Runs an op, or records it. */
static gboolean
queue_op (const char *name, Work work, gsize size, GError **error)
{
  g_autoptr (GPtrArray) tensors = list_tensors (name, work.args, size);
  gboolean ok = TRUE;

  open_arena ();
  if (recorded) {
    work.args = g_memdup2 (work.args, size);
    for (guint i = 0; i < tensors->len; i++)
      umedpt_tensor_ref (g_ptr_array_index (tensors, i));
    work.tensors = g_steal_pointer (&tensors);
    g_array_append_val (recorded->work, work);
  } else {
    ok = run_work (&work, error);
  }
  close_arena ();
  return ok;
}

#define DEFINE_SLOT(slot, Type) \
  static gboolean run_##slot (UmedptBackend *ref, gconstpointer args, \
      GError **error) \
  { \
    return ref->slot (ref, args, error); \
  } \
\
  static gboolean guarded_##slot (UmedptBackend *self, \
      const Umedpt##Type##Args *args, GError **error) \
  { \
    const Work work = { .op = run_##slot, .args = (gpointer) args }; \
\
    return queue_op (#slot, work, sizeof *args, error); \
  }
UMEDPT_FOREACH_OP (DEFINE_SLOT)

/* ---- Graphs ---- */

static void
work_clear (gpointer data)
{
  Work *work = data;

  for (guint i = 0; work->tensors && i < work->tensors->len; i++)
    umedpt_tensor_unref (g_ptr_array_index (work->tensors, i));
  g_clear_pointer (&work->tensors, g_ptr_array_unref);
  g_free (work->args);
}

static gboolean
graph_begin (UmedptBackend *self, GError **error)
{
  g_assert (!recorded);
  recorded = g_new0 (Graph, 1);
  recorded->work = g_array_new (FALSE, FALSE, sizeof (Work));
  g_array_set_clear_func (recorded->work, work_clear);
  recorded->blocks = g_hash_table_new (NULL, NULL);
  recorded->released = g_ptr_array_new ();
  return TRUE;
}

static gboolean
is_of (gpointer block, gpointer owner, gpointer graph)
{
  return owner == graph;
}

/* What is released of its memory is anybody's; the rest follows. */
static void
graph_free (UmedptBackend *self, gpointer data)
{
  Graph *graph = data;

  g_rec_mutex_lock (&queue);
  g_array_unref (graph->work);
  for (guint i = 0; i < graph->released->len; i++) {
    gpointer block = g_ptr_array_index (graph->released, i);

    g_ptr_array_add (free_blocks
                         [GPOINTER_TO_UINT (g_hash_table_lookup (graph->blocks,
                             block))],
        block);
  }
  g_hash_table_foreach_remove (owners, is_of, graph);
  g_ptr_array_unref (graph->released);
  g_hash_table_unref (graph->blocks);
  g_free (graph);
  g_rec_mutex_unlock (&queue);
}

static gpointer
graph_end (UmedptBackend *self, GError **error)
{
  Graph *graph = g_steal_pointer (&recorded);

  if (!graph->spoilt)
    return graph;
  graph_free (self, graph);
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_BACKEND,
      "What was recorded is no graph.");
  return NULL;
}

static gboolean
graph_run (UmedptBackend *self, gpointer data, GError **error)
{
  const Graph *graph = data;
  GHashTableIter iter;
  gpointer block, class;
  gboolean ok = TRUE;

  open_arena ();
  g_assert (!recorded);
  g_hash_table_iter_init (&iter, graph->blocks);
  while (g_hash_table_iter_next (&iter, &block, &class))
    memset (block, 0xff, (gsize) 1 << GPOINTER_TO_UINT (class));
  for (guint i = 0; ok && i < graph->work->len; i++)
    ok = run_work (&g_array_index (graph->work, Work, i), error);
  close_arena ();
  return ok;
}

#define SET_SLOT(slot, Type) .slot = guarded_##slot,
static UmedptBackend backend = { .api_version = UMEDPT_BACKEND_API_VERSION,
  .name = "cuda",
  .description = "a guarded device for tests",
  .memory = &memory,
  .queue = &queue,
  .graph_begin = graph_begin,
  .graph_end = graph_end,
  .graph_run = graph_run,
  .graph_free = graph_free,
  UMEDPT_FOREACH_OP (SET_SLOT) };

UMEDPT_API
UmedptBackend *umedpt_backend_module_open (guint api_version,
    const UmedptBackendHost *host, GError **error);

UmedptBackend *
umedpt_backend_module_open (guint api_version, const UmedptBackendHost *host,
    GError **error)
{
  arena = mmap (NULL, ARENA + PAGE, PROT_NONE,
      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  g_assert (arena != MAP_FAILED);
  arena += PAGE - (gsize) arena % PAGE;
  madvise (arena, ARENA, MADV_HUGEPAGE);
  owners = g_hash_table_new (NULL, NULL);
  for (guint i = 0; i < N_CLASSES; i++)
    free_blocks[i] = g_ptr_array_new ();
  return &backend;
}
