/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Device memory, recycled. A block that is given back is handed out again at
 * once, although queued work may still use it: all work is on one stream, so
 * whatever the next owner queues runs after that. Asking the driver costs as
 * much as a small layer, and giving back to it waits for the device; so it is
 * asked once per size, and given back to only when memory runs out.
 *
 * Sizes are rounded up to an eighth of a power of two, so that few classes
 * exist and at most an eighth is wasted.
 *
 * While a graph is recorded (graph.c) blocks for the thread that records it come
 * from an arena of its own: its work runs again later, when the pool would have
 * given them to others. Other threads take what they want from the pool.
 */
#include <string.h>

#include "pool.h"

#define MIN_SIZE ((gsize) 512)
#define N_CLASSES (64 * 8)

typedef struct
{
  gpointer data;
  gsize size; /* rounded */
  guint index; /* of the class */
  UmedptCudaArena *arena; /* (nullable) a graph's */
} Block;

/* Free blocks per class: of the pool, or of a graph. */
struct _UmedptCudaArena
{
  GPtrArray *free_blocks[N_CLASSES]; /* (nullable) of Block */
  guint n_used; /* blocks that somebody has */
  gboolean closed; /* the graph is gone */
};

struct _UmedptCudaPool
{
  GMutex lock;
  GHashTable *blocks; /* data -> Block, all there are */
  UmedptCudaArena common;
  UmedptCudaArena *recorded; /* (nullable) a graph's while it is recorded … */
  GThread *recorder; /* … by this thread */
  gsize held; /* bytes from the driver */
  gsize in_use; /* of them, handed out */
};

/* The class that holds @size bytes, and its rounded size. */
static guint
size_class (gsize size, gsize *rounded)
{
  guint bits = 9;
  gsize step;
  guint n;

  size = MAX (size, MIN_SIZE);
  while (((gsize) 2 << bits) <= size && bits < 60)
    bits++;
  step = MAX (((gsize) 1 << bits) / 8, MIN_SIZE);
  n = (guint) ((size - ((gsize) 1 << bits) + step - 1) / step);
  *rounded = ((gsize) 1 << bits) + n * step;
  return MIN (bits * 8 + n, N_CLASSES - 1);
}

UmedptCudaPool *
umedpt_cuda_pool_new (void)
{
  UmedptCudaPool *self = g_new0 (UmedptCudaPool, 1);

  g_mutex_init (&self->lock);
  self->blocks = g_hash_table_new (NULL, NULL);
  return self;
}

static Block *
take_free (UmedptCudaArena *arena, guint index, gsize size)
{
  GPtrArray *list = arena->free_blocks[index];
  Block *block;

  if (!list || list->len == 0)
    return NULL;
  block = g_ptr_array_index (list, list->len - 1);
  if (block->size < size) /* the last class has several sizes */
    return NULL;
  g_ptr_array_set_size (list, (gint) list->len - 1);
  return block;
}

static void
put_free (UmedptCudaArena *arena, Block *block)
{
  GPtrArray **list = &arena->free_blocks[block->index];

  if (!*list)
    *list = g_ptr_array_new ();
  g_ptr_array_add (*list, block);
}

/* Gives a block back to the driver. */
static void
destroy_block (UmedptCudaPool *self, Block *block)
{
  cudaFree (block->data);
  self->held -= block->size;
  g_hash_table_remove (self->blocks, block->data);
  g_free (block);
}

static void
destroy_free_blocks (UmedptCudaPool *self, UmedptCudaArena *arena)
{
  for (guint i = 0; i < N_CLASSES; i++) {
    GPtrArray *list = g_steal_pointer (&arena->free_blocks[i]);

    for (guint j = 0; list && j < list->len; j++)
      destroy_block (self, g_ptr_array_index (list, j));
    if (list)
      g_ptr_array_unref (list);
  }
}

static Block *
ask_driver (UmedptCudaPool *self, guint index, gsize size)
{
  gpointer data = NULL;
  Block *block;

  if (cudaMalloc (&data, size) != cudaSuccess) {
    cudaGetLastError (); /* it would be reported again */
    destroy_free_blocks (self, &self->common);
    if (cudaMalloc (&data, size) != cudaSuccess) {
      cudaGetLastError ();
      return NULL;
    }
  }
  block = g_new0 (Block, 1);
  block->data = data;
  block->size = size;
  block->index = index;
  g_hash_table_insert (self->blocks, data, block);
  self->held += size;
  return block;
}

static void
tell_out_of_memory (UmedptCudaPool *self, gsize size, GError **error)
{
  gsize available = 0, total = 0;

  if (cudaMemGetInfo (&available, &total) != cudaSuccess)
    cudaGetLastError ();
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY,
      "Out of memory on the GPU: %.1f MB were wanted; this program uses %.1f "
      "MB, %.1f of %.1f MB are free. Use a smaller batch or image.",
      size / 1e6, self->in_use / 1e6, available / 1e6, total / 1e6);
}

static UmedptCudaArena *
arena_of_thread (UmedptCudaPool *self)
{
  return self->recorded && self->recorder == g_thread_self () ? self->recorded
                                                              : &self->common;
}

gpointer
umedpt_cuda_pool_take (UmedptCudaPool *self, gsize size, GError **error)
{
  gsize rounded = 0;
  guint index = size_class (size, &rounded);
  UmedptCudaArena *arena;
  Block *block = NULL;

  g_mutex_lock (&self->lock);
  arena = arena_of_thread (self);
  if (size <= G_MAXSIZE / 4) {
    block = take_free (arena, index, rounded);
    if (!block)
      block = ask_driver (self, index, rounded);
  }
  if (block) {
    block->arena = arena;
    arena->n_used++;
    self->in_use += block->size;
  } else {
    tell_out_of_memory (self, size, error);
  }
  g_mutex_unlock (&self->lock);
  return block ? block->data : NULL;
}

/* What nobody has of a closed arena goes at once, so that results that outlive
 * their graph keep no more than themselves. */
static void
free_arena_if_done (UmedptCudaPool *self, UmedptCudaArena *arena)
{
  if (!arena->closed)
    return;
  destroy_free_blocks (self, arena);
  if (arena->n_used == 0)
    g_free (arena);
}

void
umedpt_cuda_pool_give (UmedptCudaPool *self, gpointer data)
{
  UmedptCudaArena *arena;
  Block *block;

  if (!data)
    return;
  g_mutex_lock (&self->lock);
  block = g_hash_table_lookup (self->blocks, data);
  if (block) {
    arena = block->arena;
    arena->n_used--;
    self->in_use -= block->size;
    put_free (arena, block);
    free_arena_if_done (self, arena);
  }
  g_mutex_unlock (&self->lock);
}

/* From now on what this thread takes is a graph's. */
UmedptCudaArena *
umedpt_cuda_pool_open_arena (UmedptCudaPool *self)
{
  UmedptCudaArena *arena = g_new0 (UmedptCudaArena, 1);

  g_mutex_lock (&self->lock);
  self->recorded = arena;
  self->recorder = g_thread_self ();
  g_mutex_unlock (&self->lock);
  return arena;
}

/* From now on it is the pool's again; the graph keeps what it has. */
void
umedpt_cuda_pool_leave_arena (UmedptCudaPool *self)
{
  g_mutex_lock (&self->lock);
  self->recorded = NULL;
  self->recorder = NULL;
  g_mutex_unlock (&self->lock);
}

/* The graph is gone; blocks that are in use follow when they are given back. */
void
umedpt_cuda_pool_close_arena (UmedptCudaPool *self, UmedptCudaArena *arena)
{
  g_mutex_lock (&self->lock);
  arena->closed = TRUE;
  free_arena_if_done (self, arena);
  g_mutex_unlock (&self->lock);
}

/* Bytes from the driver, and those of them in use. */
void
umedpt_cuda_pool_measure (UmedptCudaPool *self, gsize *held, gsize *in_use)
{
  g_mutex_lock (&self->lock);
  *held = self->held;
  *in_use = self->in_use;
  g_mutex_unlock (&self->lock);
}

gpointer
umedpt_cuda_scratch (UmedptCuda *cuda, gsize size, UmedptCudaScratch *scratch,
    GError **error)
{
  umedpt_cuda_scratch_clear (scratch);
  scratch->data = umedpt_cuda_pool_take (cuda->pool, MAX (size, 1), error);
  scratch->cuda = cuda;
  scratch->size = size;
  return scratch->data;
}

void
umedpt_cuda_scratch_clear (UmedptCudaScratch *scratch)
{
  if (scratch->data)
    umedpt_cuda_pool_give (scratch->cuda->pool, scratch->data);
  memset (scratch, 0, sizeof *scratch);
}
