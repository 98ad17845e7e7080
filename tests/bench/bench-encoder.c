/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Times the encoder alone, through the public session: RGB bytes in,
 * embeddings out. Prints milliseconds per image (one call divided by its
 * batch), images per second, and the peak memory of the process.
 *
 * bench-encoder MODEL [--device cpu|cuda] [--precision f32|bf16|auto]
 *   [--batch N] [--threads N]
 *   [--size 256] [--seconds S] [--json] [--serve]
 *
 * --threads pins the process to that many processors before the library
 * starts, since its pool is as wide as the affinity mask. --serve reads
 * lines with a number of seconds from standard input and answers each with a
 * line of JSON: run-bench.py takes turns with other programs that way.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "infer/session.h"

static char *precision_name, *device;
static gint batch = 1, n_threads, size = 256;
static double seconds = 5;
static gboolean json, serve;
static char **files;

static const GOptionEntry entries[] = {
  { "precision", 0, 0, G_OPTION_ARG_STRING, &precision_name,
      "f32, bf16 or auto (default)", "P" },
  { "device", 0, 0, G_OPTION_ARG_STRING, &device, "cpu (default), cuda", "D" },
  { "batch", 0, 0, G_OPTION_ARG_INT, &batch, "images per call (1)", "N" },
  { "threads", 0, 0, G_OPTION_ARG_INT, &n_threads, "processors to use (all)",
      "N" },
  { "size", 0, 0, G_OPTION_ARG_INT, &size, "edge of an image (256)", "PX" },
  { "seconds", 0, 0, G_OPTION_ARG_DOUBLE, &seconds, "how long (5)", "S" },
  { "json", 0, 0, G_OPTION_ARG_NONE, &json, "print JSON", NULL },
  { "serve", 0, 0, G_OPTION_ARG_NONE, &serve,
      "take seconds from standard input, line by line", NULL },
  { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &files, NULL,
      "MODEL" },
  { NULL },
};

/* Keeps the first @n processors of the affinity mask. */
static gboolean
pin (guint n)
{
  cpu_set_t old, now;

  CPU_ZERO (&now);
  if (sched_getaffinity (0, sizeof old, &old) != 0)
    return FALSE;
  for (guint i = 0; i < CPU_SETSIZE && n > 0; i++)
    if (CPU_ISSET (i, &old)) {
      CPU_SET (i, &now);
      n--;
    }
  return n == 0 && sched_setaffinity (0, sizeof now, &now) == 0;
}

typedef struct
{
  UmedptSession *session;
  UmedptImage *images;
  guint8 *pixels;
  gfloat *embeddings;
} Bench;

static void
bench_clear (Bench *bench)
{
  g_clear_object (&bench->session);
  g_clear_pointer (&bench->images, g_free);
  g_clear_pointer (&bench->pixels, g_free);
  g_clear_pointer (&bench->embeddings, g_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Bench, bench_clear)

static gboolean
bench_init (Bench *bench, GError **error)
{
  static const struct
  {
    const char *name;
    UmedptPrecision value;
  } precisions[] = { { "auto", UMEDPT_PRECISION_AUTO },
    { "f32", UMEDPT_PRECISION_F32 }, { "bf16", UMEDPT_PRECISION_BF16 } };
  gsize bytes = (gsize) size * size * 3;
  UmedptPrecision precision = UMEDPT_PRECISION_AUTO;
  g_autoptr (GRand) random = g_rand_new_with_seed (1);

  for (guint i = 0; i < G_N_ELEMENTS (precisions); i++)
    if (g_strcmp0 (precision_name, precisions[i].name) == 0)
      precision = precisions[i].value;
  bench->session =
      umedpt_session_open (files[0], device ? device : "cpu", precision, error);
  if (!bench->session)
    return FALSE;
  bench->pixels = g_malloc (bytes * batch);
  for (gsize i = 0; i < bytes * batch; i++)
    bench->pixels[i] = (guint8) g_rand_int_range (random, 0, 256);
  bench->images = g_new0 (UmedptImage, batch);
  for (gint i = 0; i < batch; i++)
    bench->images[i] = (UmedptImage){ bench->pixels + i * bytes, size, size,
      (gsize) size * 3, UMEDPT_PIXELS_RGB };
  bench->embeddings = g_new0 (gfloat,
      (gsize) batch * umedpt_session_get_embedding_size (bench->session));
  return TRUE;
}

static int
compare_doubles (gconstpointer a, gconstpointer b)
{
  double x = *(const double *) a, y = *(const double *) b;
  return (x > y) - (x < y);
}

/* Milliseconds per image, one number per call, until @limit seconds are over
 * and at least three calls made. */
static gboolean
measure (Bench *bench, double limit, GArray *times, GError **error)
{
  gint64 begin = g_get_monotonic_time (), now = begin;

  g_array_set_size (times, 0);
  while (times->len < 3 || now - begin < limit * 1e6) {
    gint64 start = now;
    double ms;

    if (!umedpt_session_embed (bench->session, bench->images, batch,
            bench->embeddings, NULL, error))
      return FALSE;
    now = g_get_monotonic_time ();
    ms = (now - start) / 1000.0 / batch;
    g_array_append_val (times, ms);
  }
  return TRUE;
}

static long
peak_memory_kb (void)
{
  struct rusage usage;

  return getrusage (RUSAGE_SELF, &usage) == 0 ? usage.ru_maxrss : 0;
}

static void
print_json (GArray *times)
{
  printf ("{\"peak_kb\": %ld, \"times_ms\": [", peak_memory_kb ());
  for (guint i = 0; i < times->len; i++)
    printf ("%s%.4f", i ? ", " : "", g_array_index (times, double, i));
  printf ("]}\n");
  fflush (stdout);
}

static void
print_text (Bench *bench, GArray *times)
{
  static const char *const names[] = { "auto", "f32", "bf16" };
  double median, least, p95;

  g_array_sort (times, compare_doubles);
  least = g_array_index (times, double, 0);
  median = g_array_index (times, double, times->len / 2);
  p95 = g_array_index (times, double, (times->len * 95) / 100);
  printf ("%s  %s  batch %d  %d px: median %.2f  min %.2f  p95 %.2f ms/image, "
          "%.1f images/s, peak memory %.0f MB\n",
      umedpt_session_get_device (bench->session),
      names[umedpt_session_get_precision (bench->session)], batch, size, median,
      least, p95, 1000 / median, peak_memory_kb () / 1024.0);
}

static gboolean
run (Bench *bench, GError **error)
{
  g_autoptr (GArray) times = g_array_new (FALSE, FALSE, sizeof (double));
  char line[64];

  /* Not counted: packing, page faults, the clock. */
  if (!measure (bench, 0, times, error))
    return FALSE;
  if (!serve) {
    if (!measure (bench, seconds, times, error))
      return FALSE;
    if (json)
      print_json (times);
    else
      print_text (bench, times);
    return TRUE;
  }
  printf ("{\"ready\": true}\n");
  fflush (stdout);
  while (fgets (line, sizeof line, stdin)) {
    if (!measure (bench, g_ascii_strtod (line, NULL), times, error))
      return FALSE;
    print_json (times);
  }
  return TRUE;
}

int
main (int argc, char **argv)
{
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_autoptr (GError) error = NULL;
  g_auto (Bench) bench = { 0 };
  gboolean ok;

  g_option_context_set_summary (context, "Times the encoder alone.");
  g_option_context_add_main_entries (context, entries, NULL);
  ok = g_option_context_parse (context, &argc, &argv, &error);
  if (ok && (!files || files[1] || batch < 1 || size < 1)) {
    fprintf (stderr, "usage: bench-encoder MODEL [OPTION…]; see --help\n");
    return 2;
  }
  if (ok && n_threads > 0 && !pin (n_threads)) {
    fprintf (stderr, "There are no %d processors to use.\n", n_threads);
    return 2;
  }
  ok = ok && bench_init (&bench, &error) && run (&bench, &error);
  if (!ok)
    fprintf (stderr, "%s\n", error->message);
  return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
