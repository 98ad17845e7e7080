/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A device with memory of its own that no machine lacks: a module like that
 * for CUDA, whose memory may be touched while one of its ops runs and at no
 * other time (mprotect(2)); the ops are those of `ref`. Whoever reads a tensor
 * of the device on the host, or passes one of the host to an op, ends at that
 * line; and what is computed must have the bits of `ref`.
 *
 * Memory is handed out in powers of two and comes back full of NaN.
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
  } else
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY,
        "The guarded device has no %" G_GSIZE_FORMAT " bytes.", size);
  g_rec_mutex_unlock (&queue);
  return block;
}

static void
guarded_release (UmedptMemory *self, gpointer data, gsize size)
{
  g_rec_mutex_lock (&queue);
  g_ptr_array_add (free_blocks[class_of (size)], data);
  g_rec_mutex_unlock (&queue);
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
  return copy (dst, host, size);
}

static gboolean
guarded_download (UmedptMemory *self, gpointer host, gconstpointer src,
    gsize size, GError **error)
{
  g_assert (!is_inside (host, size) && is_inside (src, size));
  return copy (host, src, size);
}

static gboolean
guarded_copy (UmedptMemory *self, gpointer dst, gconstpointer src, gsize size,
    GError **error)
{
  g_assert (is_inside (dst, size) && is_inside (src, size));
  return copy (dst, src, size);
}

static gboolean
guarded_zero (UmedptMemory *self, gpointer dst, gsize size, GError **error)
{
  g_assert (is_inside (dst, size));
  open_arena ();
  memset (dst, 0, size);
  close_arena ();
  return TRUE;
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

/* All tensors of an op's arguments must be the device's. */
static void
check_args (const char *op, gconstpointer args, gsize size)
{
  for (gsize i = 0; i + sizeof (gpointer) <= size; i += sizeof (gpointer)) {
    UmedptTensor tensor;

    if (read_tensor ((const guint8 *) args + i, &tensor) &&
        (tensor.memory != &memory ||
            !is_inside (tensor.data, umedpt_tensor_get_size (&tensor))))
      g_error ("%s got a tensor on the host (word %" G_GSIZE_FORMAT ")", op,
          i / sizeof (gpointer));
  }
}

#define DEFINE_SLOT(slot, Type) \
  static gboolean guarded_##slot (UmedptBackend *self, \
      const Umedpt##Type##Args *args, GError **error) \
  { \
    UmedptBackend *ref = umedpt_backend_ref (); \
    gboolean ok; \
\
    check_args (#slot, args, sizeof *args); \
    open_arena (); \
    ok = ref->slot (ref, args, error); \
    close_arena (); \
    return ok; \
  }
UMEDPT_FOREACH_OP (DEFINE_SLOT)

#define SET_SLOT(slot, Type) .slot = guarded_##slot,
static UmedptBackend backend = { .api_version = UMEDPT_BACKEND_API_VERSION,
  .name = "cuda",
  .description = "a guarded device for tests",
  .memory = &memory,
  .queue = &queue,
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
  for (guint i = 0; i < N_CLASSES; i++)
    free_blocks[i] = g_ptr_array_new ();
  return &backend;
}
