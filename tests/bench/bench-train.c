/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Times training steps: forward, backward and AdamW, with stochastic depth, on
 * random images; of the encoder alone, or with the pixel and the detection
 * decoder. The loss is the mean of the squares of the image vectors, or the sum
 * of such means over the pixel embedding and each map of the detection towers:
 * it costs nothing. A batch is computed in parts of --micro images whose
 * gradients add up: the result is that of the whole batch and the activations
 * are those of one part. Prints milliseconds per step (median, fastest), images
 * per second, and the peak memory of the process.
 *
 * bench-train [--arch swinv2-tiny] [--batch 8] [--micro 1] [--precision f32|bf16]
 *   [--decoders] [--size 256] [--steps 5] [--json] [--serve]
 *
 * --serve: as bench-encoder; each line asks for that many steps. The backend is
 * the best there is, or what UMEDPT_BACKEND names. A GPU wants the whole batch
 * at once (--micro as --batch).
 */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "autograd/tape.h"
#include "bench-train-model.h"
#include "tensor/storage.h"
#include "train/optimizer.h"

/* Steps before the first that counts: on a device, memory is asked for, plans
 * are made and clocks rise. */
#define WARM_UP_HOST 1
#define WARM_UP_DEVICE 3

static const char *arch = "swinv2-tiny", *precision = "bf16";
static gint batch = 8, micro = 1, size = 256, steps = 5;
static gboolean json, serve, decoders;

static const GOptionEntry entries[] = {
  { "arch", 0, 0, G_OPTION_ARG_STRING, &arch, "encoder (swinv2-tiny)", "NAME" },
  { "batch", 0, 0, G_OPTION_ARG_INT, &batch, "images per step (8)", "N" },
  { "micro", 0, 0, G_OPTION_ARG_INT, &micro, "images at once (1)", "N" },
  { "precision", 0, 0, G_OPTION_ARG_STRING, &precision, "f32 or bf16 (bf16)",
      "P" },
  { "decoders", 0, 0, G_OPTION_ARG_NONE, &decoders,
      "with the pixel and the detection decoder", NULL },
  { "size", 0, 0, G_OPTION_ARG_INT, &size, "edge of an image (256)", "PX" },
  { "steps", 0, 0, G_OPTION_ARG_INT, &steps, "steps to time (5)", "N" },
  { "json", 0, 0, G_OPTION_ARG_NONE, &json, "print JSON", NULL },
  { "serve", 0, 0, G_OPTION_ARG_NONE, &serve,
      "take numbers of steps from standard input, line by line", NULL },
  { NULL },
};

typedef struct
{
  BenchModel model;
  UmedptContext *context;
  UmedptTape *tape;
  UmedptOptimizer *optimizer;
  UmedptBackend *backend;
  UmedptTensor *images; /* of one part */
  /* of UmedptTensor, f32 [1], as the outputs: the gradient of the loss is
   * factor * output */
  GPtrArray *factors;
  guint64 step;
} Bench;

static void
bench_clear (Bench *bench)
{
  g_clear_pointer (&bench->factors, g_ptr_array_unref);
  g_clear_pointer (&bench->images, umedpt_tensor_unref);
  g_clear_pointer (&bench->optimizer, umedpt_optimizer_free);
  g_clear_pointer (&bench->tape, umedpt_tape_free);
  g_clear_pointer (&bench->context, umedpt_context_free);
  bench_model_clear (&bench->model);
}

static void
tensor_destroy (gpointer tensor)
{
  umedpt_tensor_unref (tensor);
}

/* Random images, on the backend. */
static gboolean
make_images (Bench *bench, GError **error)
{
  const gint64 shape[] = { micro, size, size, 3 };
  g_autoptr (GRand) random = g_rand_new_with_seed (1);
  g_autoptr (UmedptTensor) images =
      umedpt_tensor_new (UMEDPT_DTYPE_F32, 4, shape, error);

  if (!images)
    return FALSE;
  for (gsize i = 0; i < images->n_elements; i++)
    UMEDPT_F32 (images)[i] = (float) g_rand_double (random);
  bench->images = umedpt_tensor_to (images, bench->backend->memory, error);
  return bench->images != NULL;
}

static gboolean
bench_init (Bench *bench, GError **error)
{
  static const char *const prefixes[] = { "", NULL };
  const UmedptOptimizerSettings settings = { .kind = UMEDPT_OPTIMIZER_ADAMW,
    .lr = 1e-4,
    .weight_decay = 0.05,
    .beta1 = 0.9,
    .beta2 = 0.999,
    .epsilon = 1e-8 };

  bench->backend = umedpt_backend_find (NULL, error);
  if (!bench->backend ||
      !bench_model_init (&bench->model, arch, decoders, bench->backend->memory,
          error) ||
      !make_images (bench, error))
    return FALSE;
  bench->factors = g_ptr_array_new_with_free_func (tensor_destroy);
  bench->context = umedpt_context_new (bench->backend,
      g_str_equal (precision, "bf16") ? UMEDPT_DTYPE_BF16 : UMEDPT_DTYPE_F32);
  bench->tape = umedpt_tape_new ();
  bench->optimizer =
      umedpt_optimizer_new (bench->model.parameters, prefixes, &settings);
  return TRUE;
}

/* What multiplies output number @i to give its gradient: 2 / elements of the
 * whole batch. Made when first needed, in the warm-up. */
static UmedptTensor *
get_factor (Bench *bench, guint i, const UmedptTensor *output, GError **error)
{
  const gint64 one = 1;
  g_autoptr (UmedptTensor) host = NULL;
  UmedptTensor *factor;

  if (i < bench->factors->len)
    return g_ptr_array_index (bench->factors, i);
  host = umedpt_tensor_new (UMEDPT_DTYPE_F32, 1, &one, error);
  if (!host)
    return NULL;
  UMEDPT_F32 (host)
  [0] = (float) (2.0 * micro / batch / (double) output->n_elements);
  factor = umedpt_tensor_to (host, bench->backend->memory, error);
  if (factor)
    g_ptr_array_add (bench->factors, factor);
  return factor;
}

/* The gradients of the loss of one part. */
static gboolean
seed_outputs (Bench *bench, GPtrArray *outputs, GError **error)
{
  for (guint i = 0; i < outputs->len; i++) {
    UmedptTensor *output = g_ptr_array_index (outputs, i);
    UmedptTensor *factor = get_factor (bench, i, output, error);
    g_autoptr (UmedptTensor) diff = factor
        ? umedpt_op_multiply (bench->context, output, factor, error)
        : NULL;

    if (!diff || !umedpt_tape_seed (output, diff, error))
      return FALSE;
  }
  return TRUE;
}

/* The outputs of one part, recorded, and the gradients of the loss. */
static gboolean
forward (Bench *bench, guint64 seed, GError **error)
{
  const UmedptPass pass = { TRUE, seed, FALSE };
  g_autoptr (GPtrArray) outputs =
      g_ptr_array_new_with_free_func (tensor_destroy);
  gboolean ok;

  umedpt_context_set_tape (bench->context, bench->tape);
  ok = bench_model_forward (&bench->model, bench->context, bench->images, &pass,
      outputs, error);
  umedpt_context_set_tape (bench->context, NULL);
  return ok && seed_outputs (bench, outputs, error);
}

/* Until a device has done all that is queued. */
static gboolean
wait (Bench *bench, GError **error)
{
  g_autoptr (UmedptTensor) factor =
      umedpt_tensor_to (g_ptr_array_index (bench->factors, 0), NULL, error);

  return factor != NULL;
}

static gboolean
run_step (Bench *bench, GError **error)
{
  UmedptSwin *swin = bench->model.swin;

  if (!umedpt_swin_begin_round (swin, bench->context, error))
    return FALSE;
  for (gint first = 0; first < batch; first += micro)
    if (!forward (bench, bench->step * batch + first, error) ||
        !umedpt_tape_backward (bench->tape, bench->context, error))
      return FALSE;
  bench->step++;
  if (!umedpt_swin_end_round (swin, bench->context, error) ||
      !umedpt_optimizer_step (bench->optimizer, bench->context, 1, NULL, error))
    return FALSE;
  umedpt_parameters_changed (bench->model.parameters);
  return wait (bench, error);
}

static int
compare_doubles (gconstpointer a, gconstpointer b)
{
  double x = *(const double *) a, y = *(const double *) b;
  return (x > y) - (x < y);
}

/* Of all threads: what a step costs even where others take the processors. */
static double
processor_ms (void)
{
  struct rusage u;

  if (getrusage (RUSAGE_SELF, &u) != 0)
    return 0;
  return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
      (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-3;
}

static long
peak_memory_kb (void)
{
  struct rusage usage;

  return getrusage (RUSAGE_SELF, &usage) == 0 ? usage.ru_maxrss : 0;
}

/* Milliseconds of each of @n steps. */
static gboolean
measure (Bench *bench, gint n, GArray *times, GError **error)
{
  g_array_set_size (times, 0);
  for (gint i = 0; i < n; i++) {
    gint64 start = g_get_monotonic_time ();
    double ms;

    if (!run_step (bench, error))
      return FALSE;
    ms = (double) (g_get_monotonic_time () - start) / 1000;
    g_array_append_val (times, ms);
  }
  return TRUE;
}

static void
report (GArray *times, double processors)
{
  double median;

  if (json || serve) {
    printf ("{\"peak_kb\": %ld, \"activations\": %" G_GSIZE_FORMAT
            ", \"times_ms\": [",
        peak_memory_kb (), umedpt_storage_get_peak (FALSE));
    for (guint i = 0; i < times->len; i++)
      printf ("%s%.3f", i ? ", " : "", g_array_index (times, double, i));
    printf ("]}\n");
    fflush (stdout);
    return;
  }
  g_array_sort (times, compare_doubles);
  median = g_array_index (times, double, times->len / 2);
  printf ("%s%s %s, %d px, batch %d in parts of %d: %.1f ms per step (fastest "
          "%.1f), %.2f images/s, %.0f ms of processors, peak RSS %.0f MB\n",
      arch, decoders ? " with decoders" : "", precision, size, batch, micro,
      median, g_array_index (times, double, 0), 1000 * batch / median,
      processors / times->len, (double) peak_memory_kb () / 1024);
}

static gboolean
run (Bench *bench, GError **error)
{
  g_autoptr (GArray) times = g_array_new (FALSE, FALSE, sizeof (double));
  double begin;
  char line[64];

  if (!bench_init (bench, error) ||
      !measure (bench, bench->backend->memory ? WARM_UP_DEVICE : WARM_UP_HOST,
          times, error))
    return FALSE;
  begin = processor_ms ();
  if (!serve) {
    if (!measure (bench, MAX (steps, 1), times, error))
      return FALSE;
    report (times, processor_ms () - begin);
    return TRUE;
  }
  printf ("{\"ready\": true}\n");
  fflush (stdout);
  while (fgets (line, sizeof line, stdin)) {
    gint64 wanted = 0;
    if (!g_ascii_string_to_signed (g_strstrip (line), 10, 1, 1000, &wanted,
            error) ||
        !measure (bench, (gint) wanted, times, error))
      return FALSE;
    report (times, 0);
  }
  return TRUE;
}

int
main (int argc, char **argv)
{
  g_autoptr (GOptionContext) options = g_option_context_new (NULL);
  g_autoptr (GError) error = NULL;
  Bench bench = { 0 };
  gboolean ok;

  g_option_context_add_main_entries (options, entries, NULL);
  ok = g_option_context_parse (options, &argc, &argv, &error);
  if (ok && (batch < 1 || micro < 1 || batch % micro != 0)) {
    g_printerr ("bench-train: --micro must divide --batch\n");
    return 2;
  }
  ok = ok && run (&bench, &error);
  if (!ok)
    g_printerr ("bench-train: %s\n", error->message);
  bench_clear (&bench);
  return ok ? 0 : 1;
}
