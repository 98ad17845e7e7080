/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The worker pool: every chunk is computed once, by one worker at a time per
 * scratch buffer, whatever the numbers; callers from many threads queue; a
 * pool that sleeps wakes; thousands of tiny jobs in a row lose nothing.
 */
#include <stdatomic.h>
#include <string.h>

#include "base/pool.h"

#define MAX_CHUNKS 1000

typedef struct
{
  UmedptPool *pool;
  atomic_uint counts[MAX_CHUNKS];
  atomic_uint busy[16]; /* workers at work, by index */
  atomic_uint clashes;
  guint spin;
} Job;

static void
count_chunk (gpointer data, guint worker, guint chunk)
{
  Job *job = data;
  guint32 *scratch = umedpt_pool_get_scratch (job->pool, worker, 64);

  if (atomic_fetch_add (&job->busy[worker], 1) != 0)
    atomic_fetch_add (&job->clashes, 1);
  *scratch = chunk;
  for (volatile guint i = 0; i < job->spin; i++)
    ;
  if (*scratch != chunk)
    atomic_fetch_add (&job->clashes, 1);
  atomic_fetch_add (&job->counts[chunk], 1);
  atomic_fetch_sub (&job->busy[worker], 1);
}

static void
check_job (UmedptPool *pool, guint n_chunks, guint spin)
{
  Job job;

  memset (&job, 0, sizeof job);
  job.pool = pool;
  job.spin = spin;
  umedpt_pool_run (pool, n_chunks, count_chunk, &job);
  for (guint i = 0; i < MAX_CHUNKS; i++)
    g_assert_cmpuint (job.counts[i], ==, i < n_chunks ? 1 : 0);
  g_assert_cmpuint (job.clashes, ==, 0);
}

static void
test_every_chunk_once (void)
{
  for (guint workers = 1; workers <= 8; workers++) {
    UmedptPool *pool = umedpt_pool_new (workers);
    const guint numbers[] = { 0, 1, 2, 3, workers, 7, 64, MAX_CHUNKS };
    g_assert_cmpuint (umedpt_pool_get_n_workers (pool), ==, workers);
    for (guint i = 0; i < G_N_ELEMENTS (numbers); i++)
      check_job (pool, numbers[i], 100);
    umedpt_pool_free (pool);
  }
}

static void
test_many_small_jobs (void)
{
  UmedptPool *pool = umedpt_pool_new (4);

  for (guint i = 0; i < 5000; i++)
    check_job (pool, i % 5, 0);
  umedpt_pool_free (pool);
}

static void
test_wakes_from_sleep (void)
{
  UmedptPool *pool = umedpt_pool_new (4);

  for (guint i = 0; i < 20; i++) {
    g_usleep (5000); /* longer than any spin: the workers sleep */
    check_job (pool, 64, 2000);
  }
  umedpt_pool_free (pool);
}

static gpointer
call_often (gpointer pool)
{
  for (guint i = 0; i < 300; i++)
    check_job (pool, 1 + i % 17, 50);
  return NULL;
}

static void
test_callers_queue (void)
{
  UmedptPool *pool = umedpt_pool_new (3);
  GThread *callers[6];

  for (guint i = 0; i < G_N_ELEMENTS (callers); i++)
    callers[i] = g_thread_new ("caller", call_often, pool);
  for (guint i = 0; i < G_N_ELEMENTS (callers); i++)
    g_thread_join (callers[i]);
  umedpt_pool_free (pool);
}

static void
test_scratch_grows (void)
{
  UmedptPool *pool = umedpt_pool_new (1);
  char *small = umedpt_pool_get_scratch (pool, 0, 10);
  char *large;

  g_assert_nonnull (small);
  g_assert_cmpuint ((gsize) small % 64, ==, 0);
  large = umedpt_pool_get_scratch (pool, 0, 1 << 20);
  memset (large, 1, 1 << 20);
  g_assert_true (umedpt_pool_get_scratch (pool, 0, 100) == (gpointer) large);
  g_assert_null (umedpt_pool_get_scratch (pool, 0, G_MAXSIZE));
  umedpt_pool_free (pool);
}

static void
test_made_and_freed (void)
{
  for (guint i = 0; i < 200; i++) {
    UmedptPool *pool = umedpt_pool_new (1 + i % 4);
    check_job (pool, 10, 0);
    umedpt_pool_free (pool);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/pool/every-chunk-once", test_every_chunk_once);
  g_test_add_func ("/pool/many-small-jobs", test_many_small_jobs);
  g_test_add_func ("/pool/wakes-from-sleep", test_wakes_from_sleep);
  g_test_add_func ("/pool/callers-queue", test_callers_queue);
  g_test_add_func ("/pool/scratch-grows", test_scratch_grows);
  g_test_add_func ("/pool/made-and-freed", test_made_and_freed);
  return g_test_run ();
}
