/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Recycled host memory. Sizes are rounded up to a quarter of a power of two,
 * so that at most a fifth is wasted and few classes exist; each class keeps
 * its free blocks in a list. What is kept is bounded (KEEP_LIMIT); the bytes
 * in use and their peak are counted, because constant activation memory is a
 * promise of this library and must be measurable.
 */
#define G_LOG_DOMAIN "Umedpt"
#include "tensor/storage.h"

#include <stdlib.h>
#include <string.h>

#include "base/debug.h"
#include "base/error.h"

#define ALIGNMENT 64
#define N_CLASSES (64 * 4)
#define KEEP_LIMIT ((gsize) 256 << 20) /* bytes of free blocks kept */
#define KEEP_MIN ((gsize) 4096) /* smaller blocks go to malloc */

typedef struct _FreeBlock FreeBlock;
struct _FreeBlock
{
  FreeBlock *next;
};

static GMutex lock;
static FreeBlock *free_blocks[N_CLASSES];
static gsize kept, in_use, peak;
static GPrivate apart; /* non-NULL: this thread's memory is not counted */

/* The size class that holds @size bytes and its rounded size. */
static guint
size_class (gsize size, gsize *rounded)
{
  guint bits = 6; /* 64 bytes at least */
  gsize quarter;
  guint step;

  while (((gsize) 1 << (bits + 1)) <= size && bits < 61)
    bits++;
  quarter = MAX (((gsize) 1 << bits) / 4, 1);
  step = size <= ((gsize) 1 << bits)
      ? 0
      : (guint) ((size - ((gsize) 1 << bits) + quarter - 1) / quarter);
  *rounded = ((gsize) 1 << bits) + step * quarter;
  *rounded = (*rounded + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  return MIN (bits * 4 + step, N_CLASSES - 1);
}

/* Under the lock. */
static void
count_use (gsize bytes, gboolean counted)
{
  if (!counted)
    return;
  in_use += bytes;
  peak = MAX (peak, in_use);
}

static gpointer
take_block (gsize size, gboolean counted, gsize *bucket)
{
  guint index = size_class (size, bucket);
  FreeBlock *block;

  g_mutex_lock (&lock);
  block = free_blocks[index];
  if (block) {
    free_blocks[index] = block->next;
    kept -= *bucket;
    count_use (*bucket, counted);
  }
  g_mutex_unlock (&lock);
  if (block)
    return block;
  if (umedpt_debug_enabled (UMEDPT_DEBUG_ALLOC))
    g_debug ("alloc: %" G_GSIZE_FORMAT " bytes from the system", *bucket);
  block = aligned_alloc (ALIGNMENT, *bucket);
  if (block) { /* what was refused must not count */
    g_mutex_lock (&lock);
    count_use (*bucket, counted);
    g_mutex_unlock (&lock);
  }
  return block;
}

static void
give_block (gpointer data, gsize bucket, gboolean counted)
{
  gsize rounded;
  guint index = size_class (bucket, &rounded);
  FreeBlock *block = data;

  g_mutex_lock (&lock);
  if (counted)
    in_use -= bucket;
  if (bucket >= KEEP_MIN && kept + bucket <= KEEP_LIMIT && rounded == bucket) {
    block->next = free_blocks[index];
    free_blocks[index] = block;
    kept += bucket;
    block = NULL;
  }
  g_mutex_unlock (&lock);
  free (block);
}

UmedptStorage *
umedpt_storage_new (gsize size, GError **error)
{
  UmedptStorage *storage;
  gboolean counted = g_private_get (&apart) == NULL;
  gsize bucket = 0;
  gpointer data = size < G_MAXSIZE / 2
      ? take_block (MAX (size, 1), counted, &bucket)
      : NULL;

  if (!data) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY,
        "Out of memory: %" G_GSIZE_FORMAT " bytes were wanted. Use a smaller "
        "batch or image.",
        size);
    return NULL;
  }
  storage = g_new0 (UmedptStorage, 1);
  g_atomic_ref_count_init (&storage->ref_count);
  storage->data = data;
  storage->size = size;
  storage->bucket = bucket;
  storage->counted = counted;
  return storage;
}

static void
count_device (gsize size, gboolean taken)
{
  g_mutex_lock (&lock);
  if (taken)
    count_use (size, TRUE);
  else
    in_use -= size;
  g_mutex_unlock (&lock);
}

/* Memory of a backend, which recycles it itself; what is in use is counted
 * like the host's. */
UmedptStorage *
umedpt_storage_new_in (UmedptMemory *memory, gsize size, GError **error)
{
  UmedptStorage *storage;
  gpointer data;

  if (!memory)
    return umedpt_storage_new (size, error);
  data = memory->allocate (memory, MAX (size, 1), error);
  if (!data)
    return NULL;
  storage = g_new0 (UmedptStorage, 1);
  g_atomic_ref_count_init (&storage->ref_count);
  storage->data = data;
  storage->size = size;
  storage->memory = memory;
  storage->counted = g_private_get (&apart) == NULL;
  if (storage->counted)
    count_device (size, TRUE);
  return storage;
}

static void
release_device (UmedptStorage *storage)
{
  if (storage->counted)
    count_device (storage->size, FALSE);
  storage->memory->release (storage->memory, storage->data,
      MAX (storage->size, 1));
}

/* Memory of somebody else; @destroy (@user_data) is called when unused. */
UmedptStorage *
umedpt_storage_new_wrapped (gpointer data, gsize size, GDestroyNotify destroy,
    gpointer user_data)
{
  UmedptStorage *storage = g_new0 (UmedptStorage, 1);

  g_atomic_ref_count_init (&storage->ref_count);
  storage->data = data;
  storage->size = size;
  storage->destroy = destroy;
  storage->user_data = user_data;
  return storage;
}

UmedptStorage *
umedpt_storage_ref (UmedptStorage *storage)
{
  g_atomic_ref_count_inc (&storage->ref_count);
  return storage;
}

void
umedpt_storage_unref (UmedptStorage *storage)
{
  if (!g_atomic_ref_count_dec (&storage->ref_count))
    return;
  if (storage->memory)
    release_device (storage);
  else if (storage->bucket)
    give_block (storage->data, storage->bucket, storage->counted);
  else if (storage->destroy)
    storage->destroy (storage->user_data);
  g_free (storage);
}

/* Returns all kept free blocks to the system. */
void
umedpt_storage_trim (void)
{
  g_mutex_lock (&lock);
  for (guint i = 0; i < N_CLASSES; i++)
    while (free_blocks[i]) {
      FreeBlock *block = free_blocks[i];
      free_blocks[i] = block->next;
      free (block);
    }
  kept = 0;
  g_mutex_unlock (&lock);
}

/* The most bytes of recycled memory in use at once; @reset starts anew from
 * what is in use now. */
gsize
umedpt_storage_get_peak (gboolean reset)
{
  gsize value;

  g_mutex_lock (&lock);
  value = peak;
  if (reset)
    peak = in_use;
  g_mutex_unlock (&lock);
  return value;
}

gboolean
umedpt_storage_set_counted (gboolean counted)
{
  gboolean before = g_private_get (&apart) == NULL;

  g_private_set (&apart, GINT_TO_POINTER (!counted));
  return before;
}

/* The size class lies before the memory, which stays aligned. */
gpointer
umedpt_scratch_new (gsize size)
{
  gsize bucket = 0;
  guint8 *data = size < G_MAXSIZE / 2
      ? take_block (size + ALIGNMENT, FALSE, &bucket)
      : NULL;

  if (!data)
    return NULL;
  memcpy (data, &bucket, sizeof bucket);
  return data + ALIGNMENT;
}

void
umedpt_scratch_free (gpointer data)
{
  guint8 *block = data;
  gsize bucket;

  if (!block)
    return;
  block -= ALIGNMENT;
  memcpy (&bucket, block, sizeof bucket);
  give_block (block, bucket, FALSE);
}
