/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The worker pool. OpenMP's team is not used: after a parallel region its
 * threads spin in the default policy, and once something else holds a core a
 * fork-join takes milliseconds instead of one microsecond. Here a worker that
 * finds nothing to do spins briefly (SPIN pauses, some ten microseconds, the
 * gap between two ops of a network) and then sleeps in the kernel.
 *
 * A job is published as one 64-bit word, `ticket` = generation << 32 | chunks
 * left. Claiming a chunk is a compare-and-swap that takes one off, so a worker
 * that wakes late sees "0 left" or a newer job, never half of an old one; and
 * a claimed chunk pins the job, because its owner waits until all are done.
 * The caller computes too, as worker 0. One job runs at a time: callers queue
 * at a mutex, which is what keeps many streams from oversubscribing the cores.
 */
#define _GNU_SOURCE
#define G_LOG_DOMAIN "Umedpt"
#include "base/pool.h"

#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cpu.h"

#define SPIN 3000
#define CACHE_LINE 64

typedef struct
{
  gpointer data;
  gsize size;
} Scratch;

struct _UmedptPool
{
  guint n_workers;
  GThread **threads;
  Scratch *scratch;
  GMutex job_lock;

  /* the job; written while no chunk is left */
  UmedptPoolFunc func;
  gpointer data;
  guint n_chunks;

  _Alignas(CACHE_LINE) _Atomic uint64_t ticket;
  _Alignas(CACHE_LINE) _Atomic uint32_t unfinished; /* futex of the caller */
  _Atomic uint32_t caller_sleeps;
  _Alignas(CACHE_LINE) _Atomic uint32_t wake; /* futex of the workers */
  _Atomic uint32_t sleepers;
  _Atomic uint32_t stop;
};

typedef struct
{
  UmedptPool *pool;
  guint index;
} Worker;

static inline void
relax (void)
{
#if defined(__x86_64__)
  __builtin_ia32_pause ();
#else
  atomic_signal_fence (memory_order_seq_cst);
#endif
}

static void
futex_wait (_Atomic uint32_t *word, uint32_t value)
{
  syscall (SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void
futex_wake (_Atomic uint32_t *word)
{
  syscall (SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* Takes one chunk off the ticket; FALSE when none is left. */
static gboolean
claim (UmedptPool *pool, guint *left)
{
  uint64_t ticket = atomic_load_explicit (&pool->ticket, memory_order_acquire);

  while ((uint32_t) ticket != 0)
    if (atomic_compare_exchange_weak (&pool->ticket, &ticket, ticket - 1)) {
      *left = (uint32_t) ticket;
      return TRUE;
    }
  return FALSE;
}

/* Computes chunks until none is left. */
static void
work (UmedptPool *pool, guint index)
{
  guint left;

  while (claim (pool, &left)) {
    pool->func (pool->data, index, pool->n_chunks - left);
    if (atomic_fetch_sub (&pool->unfinished, 1) == 1 &&
        atomic_load (&pool->caller_sleeps))
      futex_wake (&pool->unfinished);
  }
}

static gboolean
has_work (UmedptPool *pool)
{
  return (uint32_t) atomic_load_explicit (&pool->ticket,
             memory_order_acquire) != 0 ||
      atomic_load_explicit (&pool->stop, memory_order_relaxed);
}

static void
wait_for_work (UmedptPool *pool)
{
  uint32_t seen;

  for (guint i = 0; i < SPIN; i++) {
    if (has_work (pool))
      return;
    relax ();
  }
  /* Announce first, then look again: the caller looks at `sleepers` after it
   * has published, so one of the two sees the other. */
  seen = atomic_load (&pool->wake);
  atomic_fetch_add (&pool->sleepers, 1);
  if (!has_work (pool))
    futex_wait (&pool->wake, seen);
  atomic_fetch_sub (&pool->sleepers, 1);
}

static gpointer
worker_main (gpointer data)
{
  g_autofree Worker *worker = data;
  UmedptPool *pool = worker->pool;

  while (!atomic_load (&pool->stop)) {
    work (pool, worker->index);
    wait_for_work (pool);
  }
  return NULL;
}

/* A pool of @n_workers, of which the calling thread will be one; of fewer,
 * where the system gives no more threads. */
UmedptPool *
umedpt_pool_new (guint n_workers)
{
  UmedptPool *pool;

  g_return_val_if_fail (n_workers >= 1, NULL);
  pool = g_aligned_alloc0 (1, sizeof *pool, CACHE_LINE);
  pool->n_workers = 1;
  g_mutex_init (&pool->job_lock);
  pool->scratch = g_new0 (Scratch, n_workers);
  pool->threads = g_new0 (GThread *, n_workers);
  for (guint i = 1; i < n_workers; i++) {
    Worker *worker = g_new (Worker, 1);
    *worker = (Worker){ pool, i };
    pool->threads[i] =
        g_thread_try_new ("umedpt-worker", worker_main, worker, NULL);
    if (!pool->threads[i]) {
      g_free (worker);
      break;
    }
    pool->n_workers++;
  }
  return pool;
}

void
umedpt_pool_free (UmedptPool *pool)
{
  atomic_store (&pool->stop, 1);
  atomic_fetch_add (&pool->wake, 1);
  futex_wake (&pool->wake);
  for (guint i = 1; i < pool->n_workers; i++)
    g_thread_join (pool->threads[i]);
  for (guint i = 0; i < pool->n_workers; i++)
    free (pool->scratch[i].data);
  g_free (pool->scratch);
  g_free (pool->threads);
  g_mutex_clear (&pool->job_lock);
  g_aligned_free (pool);
}

/* The process's pool, made on first use, as wide as the affinity mask was
 * then; UMEDPT_THREADS narrows it. */
UmedptPool *
umedpt_pool_get_default (void)
{
  static gsize pool;

  if (g_once_init_enter (&pool)) {
    const char *wanted = g_getenv ("UMEDPT_THREADS");
    guint64 n = wanted ? g_ascii_strtoull (wanted, NULL, 10) : 0;
    guint cores = umedpt_cpu_count ();
    g_once_init_leave (&pool,
        (gsize) umedpt_pool_new (n >= 1 && n < cores ? n : cores));
  }
  return (UmedptPool *) pool;
}

guint
umedpt_pool_get_n_workers (UmedptPool *pool)
{
  return pool->n_workers;
}

static void
publish (UmedptPool *pool, guint n_chunks)
{
  uint64_t generation = (atomic_load (&pool->ticket) >> 32) + 1;

  atomic_store (&pool->unfinished, n_chunks);
  atomic_store (&pool->ticket, generation << 32 | n_chunks);
  if (atomic_load (&pool->sleepers) > 0) {
    atomic_fetch_add (&pool->wake, 1);
    futex_wake (&pool->wake);
  }
}

static void
wait_for_workers (UmedptPool *pool)
{
  uint32_t left;

  for (guint i = 0; i < SPIN; i++) {
    if (atomic_load_explicit (&pool->unfinished, memory_order_acquire) == 0)
      return;
    relax ();
  }
  atomic_store (&pool->caller_sleeps, 1);
  while ((left = atomic_load (&pool->unfinished)) != 0)
    futex_wait (&pool->unfinished, left);
  atomic_store (&pool->caller_sleeps, 0);
}

/* Calls @func for the chunks 0 … @n_chunks-1, in parallel, and returns when
 * all are done. Not to be called from within a chunk. */
void
umedpt_pool_run (UmedptPool *pool, guint n_chunks, UmedptPoolFunc func,
    gpointer data)
{
  g_mutex_lock (&pool->job_lock);
  if (n_chunks <= 1 || pool->n_workers == 1) {
    for (guint i = 0; i < n_chunks; i++)
      func (data, 0, i);
  } else {
    pool->func = func;
    pool->data = data;
    pool->n_chunks = n_chunks;
    publish (pool, n_chunks);
    work (pool, 0);
    wait_for_workers (pool);
  }
  g_mutex_unlock (&pool->job_lock);
}

/* At least @size bytes of 64-byte aligned memory that belong to @worker until
 * its chunk ends; what an earlier call returned is invalid. NULL when memory
 * is exhausted. */
gpointer
umedpt_pool_get_scratch (UmedptPool *pool, guint worker, gsize size)
{
  Scratch *scratch = &pool->scratch[worker];

  if (size > G_MAXSIZE - 4095)
    return NULL;
  if (scratch->size < size) {
    free (scratch->data);
    scratch->size = (size + 4095) / 4096 * 4096;
    scratch->data = aligned_alloc (CACHE_LINE, scratch->size);
    if (!scratch->data)
      scratch->size = 0;
  }
  return scratch->data;
}
