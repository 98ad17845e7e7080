/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Times the encoder on a device with memory of its own, images and results
 * staying there: what a pass costs without copies from and to the host, for
 * comparison with frameworks that are measured that way. A pass is a graph
 * where the backend has them, as in a session. Prints one line of JSON per
 * batch: milliseconds per pass, median and fastest of passes that are waited
 * for one by one ("alone"), and the mean of passes that are queued one behind
 * the other ("steady"), with and without the graph.
 *
 * With --tasks a pass is what a stream of images costs: from images in host
 * memory to the logits of a classification, a segmentation and a detection
 * there, by a session. "steady" then encodes the next images before it asks
 * for the results of those before.
 *
 * bench-device [--arch swinv2-tiny] [--batches 1,8,32,128] [--size 256]
 *   [--precision bf16|f32] [--passes 50] [--no-graph] [--tasks]
 */
#include <glib/gstdio.h>
#include <stdio.h>

#include "autograd/ops.h"
#include "infer/cache.h"
#include "infer/encoding.h"
#include "net/swin.h"

static const char *arch = "swinv2-tiny", *precision = "bf16",
                  *batches = "1,8,32,128";
static gint size = 256, passes = 50;
static gboolean no_graph, with_tasks;

static const GOptionEntry entries[] = {
  { "arch", 0, 0, G_OPTION_ARG_STRING, &arch, "encoder (swinv2-tiny)", "NAME" },
  { "batches", 0, 0, G_OPTION_ARG_STRING, &batches, "sizes (1,8,32,128)",
      "LIST" },
  { "precision", 0, 0, G_OPTION_ARG_STRING, &precision, "f32 or bf16 (bf16)",
      "P" },
  { "size", 0, 0, G_OPTION_ARG_INT, &size, "edge of an image (256)", "PX" },
  { "passes", 0, 0, G_OPTION_ARG_INT, &passes, "passes to time (50)", "N" },
  { "no-graph", 0, 0, G_OPTION_ARG_NONE, &no_graph, "only op by op", NULL },
  { "tasks", 0, 0, G_OPTION_ARG_NONE, &with_tasks,
      "from images to the logits of three tasks", NULL },
  { NULL },
};

typedef struct
{
  UmedptBackend *backend;
  UmedptDescription *description;
  UmedptParameters *parameters;
  UmedptSwin *swin;
  UmedptContext *context;
  UmedptTensor *images; /* u8 [N, size, size, 3] */
  gpointer graph;
} Bench;

static gboolean
bench_init (Bench *bench, GError **error)
{
  bench->backend = umedpt_backend_find ("cuda", error);
  bench->description =
      bench->backend ? umedpt_description_new (arch, error) : NULL;
  if (!bench->description)
    return FALSE;
  bench->parameters = umedpt_parameters_new ();
  bench->swin = umedpt_swin_new (bench->description, bench->parameters,
      "encoder.", error);
  bench->context = umedpt_context_new (bench->backend,
      g_str_equal (precision, "bf16") ? UMEDPT_DTYPE_BF16 : UMEDPT_DTYPE_F32);
  return bench->swin &&
      umedpt_parameters_initialise (bench->parameters, 1, error) &&
      umedpt_parameters_move (bench->parameters, bench->backend->memory, error);
}

static gboolean
make_images (Bench *bench, gint64 n, GError **error)
{
  const gint64 shape[] = { n, size, size, 3 };
  g_autoptr (GRand) random = g_rand_new_with_seed (1);
  g_autoptr (UmedptTensor) host =
      umedpt_tensor_new (UMEDPT_DTYPE_U8, 4, shape, error);

  for (gsize i = 0; host && i < host->n_elements; i++)
    UMEDPT_U8 (host)[i] = (guint8) g_rand_int_range (random, 0, 256);
  g_clear_pointer (&bench->images, umedpt_tensor_unref);
  if (host)
    bench->images = umedpt_tensor_to (host, bench->backend->memory, error);
  return bench->images != NULL;
}

static gboolean
forward (Bench *bench, GError **error)
{
  UmedptTensor *pyramid[UMEDPT_SWIN_LEVELS] = { NULL };

  if (!umedpt_swin_forward (bench->swin, bench->context, bench->images, NULL,
          pyramid, error))
    return FALSE;
  for (guint i = 0; i < UMEDPT_SWIN_LEVELS; i++)
    umedpt_tensor_unref (pyramid[i]);
  return TRUE;
}

static gboolean
run (Bench *bench, GError **error)
{
  return bench->graph
      ? bench->backend->graph_run (bench->backend, bench->graph, error)
      : forward (bench, error);
}

static gboolean
wait (Bench *bench, GError **error)
{
  guint8 byte;

  return bench->backend->memory->download (bench->backend->memory, &byte,
      bench->images->data, 1, error);
}

static int
compare_doubles (gconstpointer a, gconstpointer b)
{
  double x = *(const double *) a, y = *(const double *) b;
  return (x > y) - (x < y);
}

/* Milliseconds: @alone (sorted), and the mean of a queue of passes. */
static gboolean
measure (Bench *bench, GArray *alone, double *steady, GError **error)
{
  gint64 start;

  g_array_set_size (alone, 0);
  for (gint i = 0; i < passes; i++) {
    double ms;

    start = g_get_monotonic_time ();
    if (!run (bench, error) || !wait (bench, error))
      return FALSE;
    ms = (double) (g_get_monotonic_time () - start) / 1000;
    g_array_append_val (alone, ms);
  }
  g_array_sort (alone, compare_doubles);
  start = g_get_monotonic_time ();
  for (gint i = 0; i < passes; i++)
    if (!run (bench, error))
      return FALSE;
  if (!wait (bench, error))
    return FALSE;
  *steady = (double) (g_get_monotonic_time () - start) / 1000 / passes;
  return TRUE;
}

static void
print (const char *way, gint64 n, GArray *alone, double steady)
{
  printf ("{\"arch\": \"%s\", \"precision\": \"%s\", \"way\": \"%s\", "
          "\"batch\": %d, \"alone_ms\": %.4f, \"fastest_ms\": %.4f, "
          "\"steady_ms\": %.4f}\n",
      arch, precision, way, (gint) n,
      g_array_index (alone, double, alone->len / 2),
      g_array_index (alone, double, 0), steady);
  fflush (stdout);
}

static gboolean
record (Bench *bench, GError **error)
{
  UmedptBackend *backend = bench->backend;
  gboolean ok;

  g_rec_mutex_lock (backend->queue);
  ok = backend->graph_begin (backend, error) && forward (bench, error);
  bench->graph = backend->graph_end (backend, ok ? error : NULL);
  g_rec_mutex_unlock (backend->queue);
  return ok && bench->graph;
}

static gboolean
bench_batch (Bench *bench, gint64 n, GError **error)
{
  g_autoptr (GArray) alone = g_array_new (FALSE, FALSE, sizeof (double));
  double steady;

  if (!make_images (bench, n, error) || !forward (bench, error) ||
      !forward (bench, error) || !wait (bench, error) ||
      !measure (bench, alone, &steady, error))
    return FALSE;
  print ("ops", n, alone, steady);
  if (no_graph || !bench->backend->graph_begin)
    return TRUE;
  if (!record (bench, error) || !run (bench, error) || !wait (bench, error) ||
      !measure (bench, alone, &steady, error))
    return FALSE;
  print ("graph", n, alone, steady);
  bench->backend->graph_free (bench->backend, g_steal_pointer (&bench->graph));
  return TRUE;
}

/* --- tasks -------------------------------------------------------------- */

static const char *const labels[] = { "a", "b", "c", NULL };

/* What goes through a session. */
typedef struct
{
  UmedptSession *session;
  guint8 *pixels;
  UmedptImage *images; /* [n] */
  guint n;
} Stream;

static gboolean
write_model (const char *path, GError **error)
{
  static const UmedptTaskKind kinds[] = { UMEDPT_TASK_CLASSIFICATION,
    UMEDPT_TASK_SEGMENTATION, UMEDPT_TASK_DETECTION };
  g_autoptr (UmedptDescription) description =
      umedpt_description_new (arch, error);
  g_autoptr (UmedptModel) model = NULL;

  if (!description)
    return FALSE;
  description->input_width = description->input_height = size;
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++) {
    g_autofree char *name = g_strdup_printf ("task%u", i);

    if (!umedpt_description_add_task (description, name, kinds[i], labels,
            error))
      return FALSE;
  }
  model = umedpt_model_new_initialised (description, 1, error);
  return model && umedpt_model_save (model, path, error);
}

static UmedptEncoding *
encode (Stream *self, GError **error)
{
  return umedpt_session_encode (self->session, self->images, self->n, 0, 0,
      FALSE, NULL, error);
}

static gboolean
settle (UmedptEncoding *encoding, GError **error)
{
  static const guint tasks[] = { 0, 1, 2 };

  return umedpt_encoding_settle (encoding, tasks, G_N_ELEMENTS (tasks), FALSE,
      error);
}

static gboolean
run_alone (Stream *self, GError **error)
{
  g_autoptr (UmedptEncoding) encoding = encode (self, error);

  return encoding && settle (encoding, error);
}

/* All passes, each begun before the one before it has been asked for. */
static gboolean
run_steadily (Stream *self, GError **error)
{
  g_autoptr (UmedptEncoding) last = NULL;

  for (gint i = 0; i < passes; i++) {
    g_autoptr (UmedptEncoding) next = encode (self, error);

    if (!next || (last && !settle (last, error)))
      return FALSE;
    g_clear_pointer (&last, umedpt_encoding_unref);
    last = g_steal_pointer (&next);
  }
  return settle (last, error);
}

static gboolean
measure_stream (Stream *self, const char *way, GError **error)
{
  g_autoptr (GArray) alone = g_array_new (FALSE, FALSE, sizeof (double));
  gint64 start;

  for (gint i = 0; i < passes + 3; i++) { /* the first ones prepare */
    double ms;

    start = g_get_monotonic_time ();
    if (!run_alone (self, error))
      return FALSE;
    ms = (double) (g_get_monotonic_time () - start) / 1000;
    if (i >= 3)
      g_array_append_val (alone, ms);
  }
  g_array_sort (alone, compare_doubles);
  if (!run_steadily (self, error)) /* prepares as well */
    return FALSE;
  start = g_get_monotonic_time ();
  if (!run_steadily (self, error))
    return FALSE;
  print (way, self->n, alone,
      (double) (g_get_monotonic_time () - start) / 1000 / passes);
  return TRUE;
}

/* Random images, in memory of their own. */
static void
stream_fill (Stream *self, guint n)
{
  const gsize bytes = (gsize) size * (gsize) size * 3;
  g_autoptr (GRand) random = g_rand_new_with_seed (1);

  self->n = n;
  self->pixels = g_malloc (n * bytes);
  self->images = g_new0 (UmedptImage, n);
  for (gsize i = 0; i < n * bytes; i++)
    self->pixels[i] = (guint8) g_rand_int_range (random, 0, 256);
  for (guint i = 0; i < n; i++)
    self->images[i] = (UmedptImage){ .data = self->pixels + i * bytes,
      .width = size,
      .height = size,
      .stride = (gsize) size * 3,
      .pixels = UMEDPT_PIXELS_RGB };
}

static gboolean
bench_stream (UmedptSession *session, const char *way, guint n, GError **error)
{
  Stream stream = { .session = session };
  gboolean ok;

  stream_fill (&stream, n);
  ok = measure_stream (&stream, way, error);
  g_free (stream.images);
  g_free (stream.pixels);
  return ok;
}

static gboolean
bench_session (const char *path, const char *way, GError **error)
{
  g_auto (GStrv) list = g_strsplit (batches, ",", -1);
  UmedptSession *session = umedpt_session_open (path, "cuda",
      g_str_equal (precision, "bf16") ? UMEDPT_PRECISION_BF16
                                      : UMEDPT_PRECISION_F32,
      error);
  gboolean ok = session != NULL;

  for (guint i = 0; ok && list[i]; i++)
    ok = bench_stream (session, way,
        (guint) g_ascii_strtoull (list[i], NULL, 10), error);
  g_clear_object (&session);
  umedpt_cache_trim ();
  return ok;
}

static gboolean
bench_tasks (GError **error)
{
  UmedptBackend *backend = umedpt_backend_find ("cuda", error);
  gboolean (*begin) (UmedptBackend *, GError **) = NULL;
  g_autofree char *path = NULL;
  gint file;
  gboolean ok;

  if (!backend)
    return FALSE;
  file = g_file_open_tmp ("bench-device-XXXXXX", &path, error);
  if (file < 0)
    return FALSE;
  g_close (file, NULL);
  begin = backend->graph_begin;
  backend->graph_begin = NULL;
  ok = write_model (path, error) && bench_session (path, "tasks, ops", error);
  backend->graph_begin = begin;
  ok = ok && (no_graph || bench_session (path, "tasks, graphs", error));
  g_unlink (path);
  return ok;
}

static gboolean
bench_encoder (Bench *bench, GError **error)
{
  g_auto (GStrv) list = g_strsplit (batches, ",", -1);
  gboolean ok = bench_init (bench, error);

  for (guint i = 0; ok && list[i]; i++)
    ok = bench_batch (bench, g_ascii_strtoll (list[i], NULL, 10), error);
  return ok;
}

int
main (int argc, char **argv)
{
  g_autoptr (GOptionContext) options = g_option_context_new (NULL);
  g_autoptr (GError) error = NULL;
  Bench bench = { NULL };
  gboolean ok;

  g_option_context_add_main_entries (options, entries, NULL);
  ok = g_option_context_parse (options, &argc, &argv, &error) &&
      (with_tasks ? bench_tasks (&error) : bench_encoder (&bench, &error));
  if (!ok)
    g_printerr ("bench-device: %s\n", error->message);
  g_clear_pointer (&bench.images, umedpt_tensor_unref);
  g_clear_pointer (&bench.context, umedpt_context_free);
  g_clear_pointer (&bench.swin, umedpt_swin_free);
  g_clear_pointer (&bench.parameters, umedpt_parameters_free);
  g_clear_pointer (&bench.description, umedpt_description_free);
  return ok ? 0 : 1;
}
