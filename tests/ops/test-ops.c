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
  OpInputs in = { { NULL } };
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

/* Whether the table expects the backend to leave this case to ref. */
static gboolean
is_left_to_ref (const Case *c)
{
  const gboolean products = c->row->kind->flops != NULL;

  if (c->row->left_to_ref)
    return TRUE;
  return products && compute_of (c->variant) == UMEDPT_DTYPE_BF16 &&
      umedpt_cpu_isa () < UMEDPT_ISA_AVX512_BF16;
}

/* What programs get where the backend refuses: ref's result, bit by bit. */
static void
check_fallback (const Case *c, const OpInputs *in, const UmedptTensor *expected,
    const GError *refusal)
{
  g_autoptr (UmedptContext) context =
      umedpt_context_new (c->backend, compute_of (c->variant));
  g_autoptr (UmedptTensor) found = c->row->kind->run (context, c->row,
      activations_of (c->variant), in, NULL);

  g_test_message ("left to ref: %s", refusal->message);
  n_fallbacks++;
  if (!is_left_to_ref (c))
    g_test_fail_printf ("the kernel for this row is not used: %s",
        refusal->message);
  g_assert_nonnull (found);
  g_assert_cmpmem (found->data, umedpt_tensor_get_size (found), expected->data,
      umedpt_tensor_get_size (expected));
}

/* The op on @backend alone. The dispatcher would quietly ask ref where a
 * backend refuses, unless the backend's memory is its own: so it says so. */
static UmedptTensor *
run (UmedptBackend *backend, const Case *c, const OpInputs *in, GError **error)
{
  gboolean host = backend->host_memory;
  g_autoptr (UmedptContext) context =
      umedpt_context_new (backend, compute_of (c->variant));
  UmedptTensor *dst;

  backend->host_memory = FALSE;
  dst = c->row->kind->run (context, c->row, activations_of (c->variant), in,
      error);
  backend->host_memory = host;
  return dst;
}

/* Relative L2 error, largest error, largest expected value. Infinite where
 * one side has a number and the other has none. */
static void
measure (const UmedptTensor *found, const UmedptTensor *expected, double *l2,
    double *max_error, double *max)
{
  double errors = 0, squares = 0;

  *max_error = *max = 0;
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
compare (const Case *c, const UmedptTensor *found, const UmedptTensor *expected)
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
  measure (found, expected, &l2, &max_error, &max);
  g_test_message ("max abs error %.2e of %.2e, relative L2 %.2e, allowed %.0e",
      max_error, max, l2, tolerance);
  n_compared++;
  if (!(l2 <= tolerance) || !(max_error <= MAX_RATIO * tolerance * max))
    g_test_fail_printf ("relative L2 %.2e, max abs %.2e: more than %.0e", l2,
        max_error, tolerance);
}

/* The same input gives the same bits, whoever of the workers computed what. */
static void
check_repeatable (const Case *c, const OpInputs *in, const UmedptTensor *first)
{
  g_autoptr (UmedptTensor) second = run (c->backend, c, in, NULL);

  g_assert_nonnull (second);
  if (memcmp (first->data, second->data, umedpt_tensor_get_size (first)) != 0)
    g_test_fail_printf ("a second run gives other bits");
}

static void
test_case (gconstpointer data)
{
  const Case *c = data;
  g_autoptr (GError) error = NULL;
  OpInputs in = make_inputs (c);
  g_autoptr (UmedptTensor) expected =
      run (umedpt_backend_ref (), c, &in, &error);
  g_autoptr (UmedptTensor) found = NULL;

  g_assert_no_error (error);
  found = run (c->backend, c, &in, &error);
  if (g_error_matches (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED)) {
    check_fallback (c, &in, expected, error);
  } else {
    g_assert_no_error (error);
    if (found) {
      compare (c, found, expected);
      check_repeatable (c, &in, found);
    }
  }
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

/* One run, in seconds: the best of some batches that take 0.1 s together, each
 * long enough for the clock. */
static double
time_case (const Case *c, const OpInputs *in)
{
  gint64 begin = g_get_monotonic_time ();
  g_autoptr (UmedptContext) context =
      umedpt_context_new (c->backend, compute_of (c->variant));
  double best = INFINITY;
  guint batch = 1;

  while (g_get_monotonic_time () - begin < 100000 || isinf (best)) {
    gint64 start = g_get_monotonic_time (), time;

    for (guint i = 0; i < batch; i++) {
      g_autoptr (UmedptTensor) dst = c->row->kind->run (context, c->row,
          activations_of (c->variant), in, NULL);
      if (!dst)
        return INFINITY;
    }
    time = g_get_monotonic_time () - start;
    if (time < 200)
      batch *= 2;
    else
      best = MIN (best, time / 1e6 / batch);
  }
  return best;
}

static void
bench_case (const Case *c)
{
  g_autoptr (GError) error = NULL;
  OpInputs in = make_inputs (c);
  g_autoptr (UmedptTensor) dst = run (c->backend, c, &in, &error);
  double bytes = dst ? umedpt_tensor_get_size (dst) : 0, seconds;

  g_print ("%-5s %-17s %-14s %-5s ", c->backend->name, c->row->kind->name,
      c->row->name, variant_names[g_bit_nth_lsf (c->variant, -1)]);
  if (!dst) {
    g_print ("%s\n", error->message);
  } else {
    for (guint i = 0; i < G_N_ELEMENTS (in.t); i++)
      bytes += in.t[i] ? umedpt_tensor_get_size (in.t[i]) : 0;
    seconds = time_case (c, &in);
    if (c->row->kind->flops)
      g_print ("%10.3f ms %9.1f GFLOP/s\n", seconds * 1e3,
          c->row->kind->flops (c->row) / seconds / 1e9);
    else
      g_print ("%10.3f ms %9.1f GB/s\n", seconds * 1e3, bytes / seconds / 1e9);
  }
  clear_inputs (&in);
}

/* Calls @func for all rows and variants on @backend. */
static void
for_each_case (UmedptBackend *backend, void (*func) (const Case *))
{
  for (guint i = 0; i < n_op_rows; i++)
    for (guint v = 0; v < N_VARIANTS; v++)
      if (op_rows[i].variants & (1u << v))
        func (&(Case){ backend, &op_rows[i], 1u << v });
}

static void
add_case (const Case *c)
{
  g_autofree char *path =
      g_strdup_printf ("/ops/%s/%s/%s/%s", c->backend->name, c->row->kind->name,
          c->row->name, variant_names[g_bit_nth_lsf (c->variant, -1)]);

  g_test_add_data_func_full (path, g_memdup2 (c, sizeof *c), test_case, g_free);
}

/* Kernels that this processor lacks would be tested under a wrong name. */
static gboolean
has_isa (void)
{
  const char *wanted = g_getenv ("UMEDPT_CPU");

  return !wanted || g_str_equal (wanted, umedpt_isa_name (umedpt_cpu_isa ()));
}

int
main (int argc, char **argv)
{
  static const char *const names[] = { "cpu", "cuda" };
  gboolean bench = argc > 1 && g_str_equal (argv[1], "--bench");

  if (!has_isa ()) {
    g_print ("1..0 # SKIP this processor has no %s\n", g_getenv ("UMEDPT_CPU"));
    return 0;
  }
  if (!bench) {
    g_test_init (&argc, &argv, NULL);
    g_test_set_nonfatal_assertions (); /* all rows, also after a bad one */
  }
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autoptr (GError) error = NULL;
    UmedptBackend *backend = umedpt_backend_find (names[i], &error);

    if (backend)
      for_each_case (backend, bench ? bench_case : add_case);
    else
      g_print ("# %s\n", error->message);
  }
  if (bench) {
    for_each_case (umedpt_backend_ref (), bench_case);
    return 0;
  }
  g_test_add_func ("/summary/compared", test_summary);
  return g_test_run ();
}
