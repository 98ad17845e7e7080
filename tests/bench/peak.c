/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The machine's matrix peak: multiply-adds between registers, nothing else, in
 * f32 (VFMADD231PS) and bf16 (VDPBF16PS, two multiply-adds per f32 lane), on 1
 * to n threads. What an encoder reaches is given as a share of this, measured
 * in the same run, so that clock, turbo and neighbours cancel.
 *
 * A loop keeps 24 (AVX-512) or 12 (AVX2) independent sums: more than latency
 * times throughput of any processor so far, and few enough to stay in
 * registers. The operands are read from volatile memory and the sums written
 * to it, so that no compiler can fold the loop.
 *
 * peak [--threads N] [--seconds S] [--json]
 */
#define _GNU_SOURCE
#include <glib.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define ROUNDS 2000000 /* of one call: about a hundredth of a second */

typedef void (*Loop) (guint n_rounds);

typedef struct
{
  const char *type; /* as in the output */
  const char *name;
  Loop loop;
  guint flops; /* per round */
} Kernel;

static volatile float operand_a = 0.999f, operand_b = 1e-6f;
static volatile float sink;

#if defined(__x86_64__)

__attribute__ ((target ("avx512f"))) static void
loop_f32_avx512 (guint n_rounds)
{
  __m512 a = _mm512_set1_ps (operand_a), b = _mm512_set1_ps (operand_b);
  __m512 sum[24];

  for (int i = 0; i < 24; i++)
    sum[i] = _mm512_set1_ps (operand_b * i);
  for (guint n = 0; n < n_rounds; n++) {
#pragma GCC unroll 24
    for (int i = 0; i < 24; i++)
      sum[i] = _mm512_fmadd_ps (sum[i], a, b);
  }
  for (int i = 1; i < 24; i++)
    sum[0] = _mm512_add_ps (sum[0], sum[i]);
  sink = _mm512_reduce_add_ps (sum[0]);
}

__attribute__ ((target ("avx512f,avx512bf16"))) static void
loop_bf16_avx512 (guint n_rounds)
{
  __m512 f = _mm512_set1_ps (operand_a), g = _mm512_set1_ps (operand_b);
  __m512bh a = _mm512_cvtne2ps_pbh (f, f), b = _mm512_cvtne2ps_pbh (g, g);
  __m512 sum[24];

  for (int i = 0; i < 24; i++)
    sum[i] = _mm512_set1_ps (operand_b * i);
  for (guint n = 0; n < n_rounds; n++) {
#pragma GCC unroll 24
    for (int i = 0; i < 24; i++)
      sum[i] = _mm512_dpbf16_ps (sum[i], a, b);
  }
  for (int i = 1; i < 24; i++)
    sum[0] = _mm512_add_ps (sum[0], sum[i]);
  sink = _mm512_reduce_add_ps (sum[0]);
}

__attribute__ ((target ("avx2,fma"))) static void
loop_f32_avx2 (guint n_rounds)
{
  __m256 a = _mm256_set1_ps (operand_a), b = _mm256_set1_ps (operand_b);
  __m256 sum[12];
  float out[8];

  for (int i = 0; i < 12; i++)
    sum[i] = _mm256_set1_ps (operand_b * i);
  for (guint n = 0; n < n_rounds; n++) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; i++)
      sum[i] = _mm256_fmadd_ps (sum[i], a, b);
  }
  for (int i = 1; i < 12; i++)
    sum[0] = _mm256_add_ps (sum[0], sum[i]);
  _mm256_storeu_ps (out, sum[0]);
  sink = out[0];
}

#endif

/* Whatever the compiler makes of it on other machines. */
static void
loop_f32_portable (guint n_rounds)
{
  float a = operand_a, b = operand_b, sum[32];

  for (int i = 0; i < 32; i++)
    sum[i] = b * i;
  for (guint n = 0; n < n_rounds; n++)
    for (int i = 0; i < 32; i++)
      sum[i] = sum[i] * a + b;
  for (int i = 1; i < 32; i++)
    sum[0] += sum[i];
  sink = sum[0];
}

static guint
choose_kernels (Kernel *kernels)
{
  guint n = 0;

#if defined(__x86_64__)
  __builtin_cpu_init ();
  if (__builtin_cpu_supports ("avx512f"))
    kernels[n++] =
        (Kernel){ "f32", "vfmadd231ps zmm", loop_f32_avx512, 24 * 16 * 2 };
  else if (__builtin_cpu_supports ("avx2") && __builtin_cpu_supports ("fma"))
    kernels[n++] =
        (Kernel){ "f32", "vfmadd231ps ymm", loop_f32_avx2, 12 * 8 * 2 };
  if (__builtin_cpu_supports ("avx512bf16"))
    kernels[n++] =
        (Kernel){ "bf16", "vdpbf16ps zmm", loop_bf16_avx512, 24 * 32 * 2 };
#endif
  if (n == 0)
    kernels[n++] = (Kernel){ "f32", "plain C", loop_f32_portable, 32 * 2 };
  return n;
}

typedef struct
{
  const Kernel *kernel;
  guint n_threads, n_calls;
  gint arrived; /* atomic: threads that are ready */
} Job;

/* All begin together; nobody sleeps in a barrier. */
static gpointer
worker (gpointer data)
{
  Job *job = data;

  g_atomic_int_inc (&job->arrived);
  while (g_atomic_int_get (&job->arrived) < (gint) job->n_threads)
    ;
  for (guint i = 0; i < job->n_calls; i++)
    job->kernel->loop (ROUNDS);
  return NULL;
}

/* GFLOP/s of all threads together, over @n_calls calls each. */
static double
measure (const Kernel *kernel, guint n_threads, guint n_calls)
{
  Job job = { kernel, n_threads, n_calls, 0 };
  g_autofree GThread **threads = g_new (GThread *, n_threads);
  gint64 start;

  for (guint i = 1; i < n_threads; i++)
    threads[i] = g_thread_new ("peak", worker, &job);
  while (g_atomic_int_get (&job.arrived) < (gint) n_threads - 1)
    ;
  start = g_get_monotonic_time ();
  worker (&job);
  for (guint i = 1; i < n_threads; i++)
    g_thread_join (threads[i]);
  return (double) kernel->flops * ROUNDS * n_calls * n_threads /
      (g_get_monotonic_time () - start) * 1e-3;
}

static int
compare_doubles (gconstpointer a, gconstpointer b)
{
  double x = *(const double *) a, y = *(const double *) b;
  return (x > y) - (x < y);
}

static void
run (const Kernel *kernel, guint n_threads, double seconds, double *median,
    double *best)
{
  g_autoptr (GArray) results = g_array_new (FALSE, FALSE, sizeof (double));
  gint64 end = g_get_monotonic_time () + (gint64) (seconds * 1e6);

  measure (kernel, n_threads, 1); /* wakes the clock up */
  do {
    double result = measure (kernel, n_threads, 4);
    g_array_append_val (results, result);
  } while (g_get_monotonic_time () < end);
  g_array_sort (results, compare_doubles);
  *median = g_array_index (results, double, results->len / 2);
  *best = g_array_index (results, double, results->len - 1);
}

static guint
count_cpus (void)
{
  cpu_set_t set;

  return sched_getaffinity (0, sizeof set, &set) == 0 ? CPU_COUNT (&set) : 1;
}

int
main (int argc, char **argv)
{
  gint only_threads = 0;
  double seconds = 1;
  gboolean json = FALSE, first = TRUE;
  const GOptionEntry entries[] = {
    { "threads", 0, 0, G_OPTION_ARG_INT, &only_threads,
        "threads (default: 1 to as many as processors)", "N" },
    { "seconds", 0, 0, G_OPTION_ARG_DOUBLE, &seconds, "time per loop", "S" },
    { "json", 0, 0, G_OPTION_ARG_NONE, &json, "print JSON", NULL },
    { NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_autoptr (GError) error = NULL;
  Kernel kernels[2];
  guint n_kernels = choose_kernels (kernels);

  g_option_context_set_summary (context,
      "Measures multiply-adds between registers, in GFLOP/s.");
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error)) {
    fprintf (stderr, "%s\n", error->message);
    return 2;
  }
  if (json)
    printf ("[");
  for (guint i = 0; i < n_kernels; i++)
    for (guint n = only_threads > 0 ? only_threads : 1;
         n <= (only_threads > 0 ? (guint) only_threads : count_cpus ()); n++) {
      double median, best;

      run (&kernels[i], n, seconds, &median, &best);
      if (json)
        printf ("%s{\"type\": \"%s\", \"loop\": \"%s\", \"threads\": %u, "
                "\"median_gflops\": %.2f, \"best_gflops\": %.2f}",
            first ? "" : ", ", kernels[i].type, kernels[i].name, n, median,
            best);
      else
        printf ("%-4s  %-16s  %u threads  median %7.1f  best %7.1f GFLOP/s\n",
            kernels[i].type, kernels[i].name, n, median, best);
      first = FALSE;
    }
  if (json)
    printf ("]\n");
  return 0;
}
