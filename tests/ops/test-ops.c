/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The op table test: each backend that works here against ref, row by row.
 * Two measures: the relative L2 error of the whole output, and the largest
 * error of one element against the largest element, with ten times the room,
 * so that one wrong element in a million does not hide. A refusal must be one
 * that the table knows, and the dispatcher must then give ref's bits: a kernel
 * that silently stopped being used is a failure.
 *
 *   test-ops             compare (TAP)
 *   test-ops --bench     time the same rows: GFLOP/s, or GB/s where an op is
 *                        bound by memory
 *   test-ops --sums      checksums of the cpu backend's outputs, for
 *                        test-workers.py
 *
 *   --backend NAME       "cpu" is compared if it is not said, all are timed
 *   --only TEXT          cases with TEXT in KIND/ROW/VARIANT
 *
 * UMEDPT_CPU chooses the kernels; the build runs the program once per level.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/cpu.h"
#include "base/error.h"
#include "op-table.h"

#define MAX_RATIO 10 /* single element : whole, see above */

static const char *const variant_names[N_VARIANTS] = { "f32", "bf16", "half",
  "mixed" };

static guint n_compared, n_fallbacks;
static const char *only; /* --only */

/* One test: a row in a variant on a backend. */
typedef struct
{
  UmedptBackend *backend;
  const OpRow *row;
  OpVariant variant;
} Case;

static UmedptDtype
compute_of (OpVariant variant)
{
  return variant & (VARIANT_BF16 | VARIANT_HALF) ? UMEDPT_DTYPE_BF16
                                                 : UMEDPT_DTYPE_F32;
}

static UmedptDtype
activations_of (OpVariant variant)
{
  return variant & (VARIANT_HALF | VARIANT_MIXED) ? UMEDPT_DTYPE_BF16
                                                  : UMEDPT_DTYPE_F32;
}

static OpInputs
make_inputs (const Case *c)
{
  OpInputs in = { .compute = compute_of (c->variant) };
  Lcg lcg = { g_str_hash (c->row->name) };

  c->row->kind->make (c->row, activations_of (c->variant), &lcg, &in);
  return in;
}

static void
clear_inputs (OpInputs *in)
{
  for (guint i = 0; i < G_N_ELEMENTS (in->t); i++)
    g_clear_pointer (&in->t[i], umedpt_tensor_unref);
}

static void
clear_outputs (OpOutputs *out)
{
  for (guint i = 0; i < G_N_ELEMENTS (out->t); i++)
    g_clear_pointer (&out->t[i], umedpt_tensor_unref);
}

/* Whether the table expects the cpu backend to leave this case to ref. */
static gboolean
is_left_to_ref (const Case *c)
{
  const gboolean products = c->row->kind->flops != NULL;

  if (c->row->left_to_ref || c->row->kind->left_to_ref)
    return TRUE;
  return products && compute_of (c->variant) == UMEDPT_DTYPE_BF16 &&
      umedpt_cpu_isa () < UMEDPT_ISA_AVX512_BF16;
}

static gboolean
to_memory (guint n, UmedptTensor **tensors, UmedptMemory *memory,
    GError **error)
{
  for (guint i = 0; i < n; i++) {
    UmedptTensor *moved;

    if (!tensors[i])
      continue;
    moved = umedpt_tensor_to (tensors[i], memory, error);
    if (!moved)
      return FALSE;
    umedpt_tensor_unref (tensors[i]);
    tensors[i] = moved;
  }
  return TRUE;
}

/* Inputs in @backend's memory; the caller clears them. */
static gboolean
move_inputs (const UmedptBackend *backend, const OpInputs *in, OpInputs *moved,
    GError **error)
{
  *moved = *in;
  for (guint i = 0; i < G_N_ELEMENTS (in->t); i++)
    if (moved->t[i])
      umedpt_tensor_ref (moved->t[i]);
  return to_memory (G_N_ELEMENTS (moved->t), moved->t, backend->memory, error);
}

/* The op on the context's backend, into @out, in the backend's memory. */
static gboolean
run_on (UmedptContext *context, const Case *c, const OpInputs *in,
    OpOutputs *out, GError **error)
{
  const OpKind *kind = c->row->kind;
  gboolean ok;

  if (kind->run_all) {
    op_memory = umedpt_context_get_backend (context)->memory;
    ok = kind->run_all (context, c->row, in, out, error);
    op_memory = NULL;
    return ok;
  }
  g_clear_pointer (&out->t[0], umedpt_tensor_unref);
  out->t[0] =
      kind->run (context, c->row, activations_of (c->variant), in, error);
  return out->t[0] != NULL;
}

/* What programs get where the backend refuses: ref's result, bit by bit. */
static void
check_fallback (const Case *c, const OpInputs *in, const OpOutputs *expected,
    const GError *refusal)
{
  g_autoptr (UmedptContext) context =
      umedpt_context_new (c->backend, compute_of (c->variant));
  OpOutputs found = { { NULL } };

  g_test_message ("left to ref: %s", refusal->message);
  n_fallbacks++;
  if (!is_left_to_ref (c))
    g_test_fail_printf ("the kernel for this row is not used: %s",
        refusal->message);
  g_assert_true (run_on (context, c, in, &found, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (found.t); i++)
    if (found.t[i])
      g_assert_cmpmem (found.t[i]->data, umedpt_tensor_get_size (found.t[i]),
          expected->t[i]->data, umedpt_tensor_get_size (expected->t[i]));
  clear_outputs (&found);
}

/* The op on @backend alone, inputs and outputs in host memory. The dispatcher
 * would quietly ask ref where a backend refuses, unless the backend's memory
 * is its own: so it says so. */
static gboolean
run (UmedptBackend *backend, const Case *c, const OpInputs *in, OpOutputs *out,
    GError **error)
{
  gboolean host = backend->host_memory, ok;
  OpInputs moved = { 0 };
  g_autoptr (UmedptContext) context =
      umedpt_context_new (backend, compute_of (c->variant));

  backend->host_memory = FALSE;
  ok = move_inputs (backend, in, &moved, error) &&
      run_on (context, c, &moved, out, error) &&
      to_memory (G_N_ELEMENTS (out->t), out->t, NULL, error);
  backend->host_memory = host;
  clear_inputs (&moved);
  return ok;
}

/* Relative L2 error, largest error, largest expected value. Infinite where
 * one side has a number and the other has none. What is expected counts with
 * @floor at least. */
static void
measure (const UmedptTensor *found, const UmedptTensor *expected, double floor,
    double *l2, double *max_error, double *max)
{
  double errors = 0, squares = floor * floor * expected->n_elements;

  *max_error = 0;
  *max = floor;
  for (gsize i = 0; i < expected->n_elements; i++) {
    double a = fill_get (found, i), b = fill_get (expected, i);
    double error = a == b ? 0 : fabs (a - b);

    if (isnan (error) || isinf (error))
      error = INFINITY;
    if (error < FLT_MIN) /* vector units flush denormal numbers to 0 */
      error = 0;
    *max_error = fmax (*max_error, error);
    if (!isfinite (b))
      continue;
    errors += error * error;
    squares += b * b;
    *max = fmax (*max, fabs (b));
  }
  *l2 = errors == 0 ? 0 : sqrt (errors / squares);
}

static void
compare (const Case *c, guint at, const UmedptTensor *found,
    const UmedptTensor *expected)
{
  double tolerance = compute_of (c->variant) == UMEDPT_DTYPE_BF16
      ? c->row->tolerance_bf16
      : c->row->tolerance;
  double l2, max_error, max;

  /* an output in bf16 is rounded: values near a tie go either way */
  if (c->variant == VARIANT_MIXED)
    tolerance = MAX (tolerance, c->row->tolerance_bf16);
  g_assert_true (umedpt_tensor_same_shape (found, expected));
  g_assert_cmpint (found->dtype, ==, expected->dtype);
  measure (found, expected, c->row->floor, &l2, &max_error, &max);
  g_test_message ("output %u: max abs error %.2e of %.2e, relative L2 %.2e, "
                  "allowed %.0e",
      at, max_error, max, l2, tolerance);
  n_compared++;
  if (!(l2 <= tolerance) || !(max_error <= MAX_RATIO * tolerance * max))
    g_test_fail_printf ("output %u: relative L2 %.2e, max abs %.2e: more than "
                        "%.0e",
        at, l2, max_error, tolerance);
}

/* The same input gives the same bits, whoever of the workers computed what. */
static void
check_repeatable (const Case *c, const OpInputs *in, const OpOutputs *first)
{
  OpOutputs second = { { NULL } };

  g_assert_true (run (c->backend, c, in, &second, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (first->t); i++)
    if (first->t[i] &&
        memcmp (first->t[i]->data, second.t[i]->data,
            umedpt_tensor_get_size (first->t[i])) != 0)
      g_test_fail_printf ("a second run gives other bits in output %u", i);
  clear_outputs (&second);
}

static void
test_case (gconstpointer data)
{
  const Case *c = data;
  g_autoptr (GError) error = NULL;
  OpInputs in = make_inputs (c);
  OpOutputs expected = { { NULL } }, found = { { NULL } };

  run (umedpt_backend_ref (), c, &in, &expected, &error);
  g_assert_no_error (error);
  run (c->backend, c, &in, &found, &error);
  if (c->backend->host_memory &&
      g_error_matches (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED)) {
    check_fallback (c, &in, &expected, error);
  } else {
    g_assert_no_error (error);
    for (guint i = 0; !error && i < G_N_ELEMENTS (found.t); i++)
      if (expected.t[i])
        compare (c, i, found.t[i], expected.t[i]);
    if (!error)
      check_repeatable (c, &in, &found);
  }
  clear_outputs (&expected);
  clear_outputs (&found);
  clear_inputs (&in);
}

/* Says what the run was worth; comparing nothing at all is a failure. */
static void
test_summary (void)
{
  g_test_message ("%u compared, %u fallbacks to ref, kernels %s", n_compared,
      n_fallbacks, umedpt_isa_name (umedpt_cpu_isa ()));
  g_assert_cmpuint (n_compared, >, 0);
}

/* Until all is done that is queued: reading anything back waits for it. */
static void
wait_for (const UmedptBackend *backend)
{
  g_autoptr (UmedptTensor) there = NULL;
  g_autoptr (UmedptTensor) here = NULL;

  if (!backend->memory)
    return;
  there = umedpt_tensor_new_zeros_in (backend->memory, UMEDPT_DTYPE_F32,
      SHAPE (1), NULL);
  if (there)
    here = umedpt_tensor_to (there, NULL, NULL);
}

/* One run, in seconds: the best of some batches that take 0.1 s together, each
 * long enough for the clock, and for waiting at its end to be little. Outputs
 * of run_all are made once. */
static double
time_case (const Case *c, const OpInputs *in, OpOutputs *out)
{
  const gint64 least = c->backend->memory ? 5000 : 200; /* us */
  gint64 begin = g_get_monotonic_time ();
  g_autoptr (UmedptContext) context =
      umedpt_context_new (c->backend, compute_of (c->variant));
  double best = INFINITY;
  guint batch = 1;

  while (g_get_monotonic_time () - begin < 100000 || isinf (best)) {
    gint64 start = g_get_monotonic_time (), time;

    for (guint i = 0; i < batch; i++)
      if (!run_on (context, c, in, out, NULL))
        return INFINITY;
    wait_for (c->backend);
    time = g_get_monotonic_time () - start;
    if (time < least)
      batch *= 2;
    else
      best = MIN (best, time / 1e6 / batch);
  }
  return best;
}

/* Bytes that must be moved at least. */
static double
count_bytes (guint n, UmedptTensor *const *tensors)
{
  double bytes = 0;

  for (guint i = 0; i < n; i++)
    bytes += tensors[i] ? umedpt_tensor_get_size (tensors[i]) : 0;
  return bytes;
}

static void
bench_case (const Case *c)
{
  g_autoptr (GError) error = NULL;
  OpInputs in = make_inputs (c), moved = { 0 };
  OpOutputs out = { { NULL } };

  g_print ("%-5s %-24s %-14s %-5s ", c->backend->name, c->row->kind->name,
      c->row->name, variant_names[g_bit_nth_lsf (c->variant, -1)]);
  if (!run (c->backend, c, &in, &out, &error) ||
      !move_inputs (c->backend, &in, &moved, &error)) {
    g_print ("%s\n", error->message);
  } else {
    double seconds, bytes;

    clear_outputs (&out); /* new ones, in the backend's memory */
    seconds = time_case (c, &moved, &out);
    bytes = count_bytes (G_N_ELEMENTS (in.t), in.t) +
        count_bytes (G_N_ELEMENTS (out.t), out.t);

    if (c->row->kind->flops)
      g_print ("%10.3f ms %9.1f GFLOP/s\n", seconds * 1e3,
          c->row->kind->flops (c->row) / seconds / 1e9);
    else
      g_print ("%10.3f ms %9.1f GB/s\n", seconds * 1e3, bytes / seconds / 1e9);
  }
  clear_outputs (&out);
  clear_inputs (&moved);
  clear_inputs (&in);
}

/* Where the backend refuses, nothing: that is ref's business. */
static void
sum_case (const Case *c)
{
  OpInputs in = make_inputs (c);
  OpOutputs out = { { NULL } };

  if (run (c->backend, c, &in, &out, NULL)) {
    g_print ("%s %s %s", c->row->kind->name, c->row->name,
        variant_names[g_bit_nth_lsf (c->variant, -1)]);
    for (guint i = 0; i < G_N_ELEMENTS (out.t); i++)
      if (out.t[i]) {
        g_autofree char *sum = g_compute_checksum_for_data (G_CHECKSUM_MD5,
            out.t[i]->data, umedpt_tensor_get_size (out.t[i]));
        g_print (" %s", sum);
      }
    g_print ("\n");
  }
  clear_outputs (&out);
  clear_inputs (&in);
}

/* "cuda/linear/swin-1-qkv/bf16" */
static char *
case_name (const Case *c)
{
  return g_strdup_printf ("%s/%s/%s/%s", c->backend->name, c->row->kind->name,
      c->row->name, variant_names[g_bit_nth_lsf (c->variant, -1)]);
}

static gboolean
is_wanted (const Case *c)
{
  g_autofree char *name = case_name (c);

  return !only || strstr (name, only);
}

/* Calls @func for all rows and variants on @backend that are wanted. */
static void
for_each_case (UmedptBackend *backend, void (*func) (const Case *))
{
  for (guint i = 0; i < n_op_rows + n_op_rows_train; i++) {
    const OpRow *row =
        i < n_op_rows ? &op_rows[i] : &op_rows_train[i - n_op_rows];

    for (guint v = 0; v < N_VARIANTS; v++) {
      Case c = { backend, row, 1u << v };

      if (row->variants & (1u << v) && is_wanted (&c))
        func (&c);
    }
  }
}

static void
add_case (const Case *c)
{
  g_autofree char *name = case_name (c);
  g_autofree char *path = g_strconcat ("/ops/", name, NULL);

  g_test_add_data_func_full (path, g_memdup2 (c, sizeof *c), test_case, g_free);
}

/* Kernels that this processor lacks would be tested under a wrong name. */
static gboolean
has_isa (void)
{
  const char *wanted = g_getenv ("UMEDPT_CPU");

  return !wanted || g_str_equal (wanted, umedpt_isa_name (umedpt_cpu_isa ()));
}

/* Removes the option @name and its value from the arguments. */
static const char *
take_option (int *argc, char **argv, const char *name)
{
  for (int i = 1; i + 1 < *argc; i++)
    if (g_str_equal (argv[i], name)) {
      const char *value = argv[i + 1];

      for (int j = i; j + 2 <= *argc; j++)
        argv[j] = argv[j + 2 > *argc ? *argc : j + 2];
      *argc -= 2;
      return value;
    }
  return NULL;
}

static void
bench (const char *backend)
{
  static const char *const names[] = { "cpu", "cuda", "ref" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autoptr (GError) error = NULL;
    UmedptBackend *found = NULL;

    if (backend && !g_str_equal (backend, names[i]))
      continue;
    found = umedpt_backend_find (names[i], &error);
    if (found)
      for_each_case (found, bench_case);
    else
      g_print ("# %s\n", error->message);
  }
}

int
main (int argc, char **argv)
{
  const char *name = take_option (&argc, argv, "--backend");
  g_autoptr (GError) error = NULL;
  UmedptBackend *backend;

  only = take_option (&argc, argv, "--only");
  if (!has_isa ()) {
    g_print ("1..0 # SKIP this processor has no %s\n", g_getenv ("UMEDPT_CPU"));
    return 0;
  }
  if (argc > 1 && g_str_equal (argv[1], "--sums")) {
    for_each_case (umedpt_backend_cpu (), sum_case);
    return 0;
  }
  if (argc > 1 && g_str_equal (argv[1], "--bench")) {
    bench (name);
    return 0;
  }
  g_test_init (&argc, &argv, NULL);
  g_test_set_nonfatal_assertions (); /* all rows, also after a bad one */
  backend = umedpt_backend_find (name ? name : "cpu", &error);
  if (!backend) {
    g_print ("1..0 # SKIP %s\n", error->message);
    return 0;
  }
  for_each_case (backend, add_case);
  g_test_add_func ("/summary/compared", test_summary);
  return g_test_run ();
}
