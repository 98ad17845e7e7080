/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Encodings that come back in the same size run as graphs: with the bits that
 * ops give one by one, whatever is asked for in which order, however many are
 * alive, and when recording, running or memory fails.
 */
#include <string.h>

#include "answers.h"
#include "base/error.h"
#include "infer/session-private.h"
#include "watched.h"

#define N_STEPS 8 /* that all takes: encoder, 3 that heads share, 4 heads */

static const guint tasks[] = { CLASS, PIXELS, BOXES, CASE };

/* --- as it should be ---------------------------------------------------- */

/* The first time op by op, the second time recorded, then graphs and nothing
 * else. */
static void
test_steady (gconstpointer precision)
{
  Answers expected;
  UmedptSession *session;

  answers_expect_each (&expected, GPOINTER_TO_INT (precision), 5, SMALL);
  session = answers_open_session (GPOINTER_TO_INT (precision));
  for (guint i = 0; i < 5; i++) {
    watch_reset ();
    answers_run_frame (session, &expected, i);
    g_assert_cmpint (watched.n_records, ==, i == 1 ? N_STEPS : 0);
    g_assert_cmpint (watched.n_runs, ==, i == 0 ? 0 : N_STEPS);
    if (i < 2)
      g_assert_cmpint (watched.n_ops, >, N_STEPS);
    else
      g_assert_cmpint (watched.n_ops, ==, 0);
  }
  answers_close_session (session);
  answers_clear (&expected);
}

/* Several images at once. */
static void
test_batch (void)
{
  Answers expected[2];
  UmedptSession *session;

  for (guint i = 0; i < 2; i++)
    answers_expect (&expected[i], UMEDPT_PRECISION_BF16, 3 * i, 3, SMALL);
  session = answers_open_session (UMEDPT_PRECISION_BF16);
  watch_reset ();
  for (guint round = 0; round < 4; round++) {
    const guint k = round % 2;
    g_autoptr (GError) error = NULL;
    g_autoptr (UmedptEncoding) encoding =
        answers_encode (session, 3 * k, 3, SMALL, &error);

    g_assert_no_error (error);
    for (guint i = 0; i < 3; i++)
      for (guint ask = 0; ask < N_ASKS; ask++)
        answers_check (encoding, i, ask, expected[k].of[i][ask]);
  }
  g_assert_cmpint (watched.n_runs, ==, 3 * N_STEPS);
  answers_close_session (session);
  answers_clear (&expected[0]);
  answers_clear (&expected[1]);
}

/* Any order, and not always all: what one step leaves must not be what another
 * one's graph was recorded with. */
static void
test_order (gconstpointer precision)
{
  g_autoptr (GRand) random = g_rand_new_with_seed (7);
  Answers expected;
  UmedptSession *session;

  answers_expect_each (&expected, GPOINTER_TO_INT (precision), 3, SMALL);
  session = answers_open_session (GPOINTER_TO_INT (precision));
  for (guint round = 0; round < (watch_is_slow () ? 10 : 24); round++) {
    g_autoptr (UmedptEncoding) encoding =
        answers_encode_one (session, round % 3);
    const gint n = g_rand_int_range (random, 0, N_ASKS + 2);

    for (gint i = 0; i < n; i++) {
      const guint ask = (guint) g_rand_int_range (random, 0, N_ASKS);

      answers_check (encoding, 0, ask, expected.of[round % 3][ask]);
    }
  }
  answers_close_session (session);
  answers_clear (&expected);
}

/* What is asked for later than the encoder has its graph: op by op on what the
 * graph has made, then recorded. No form of it may be kept from one image to
 * the next. */
static void
test_late (gconstpointer precision)
{
  static const guint asks[N_ASKS] = { VECTOR, PIXELS, BOXES, CASE, CLASS };
  Answers expected;
  UmedptSession *session;

  answers_expect_each (&expected, GPOINTER_TO_INT (precision), 5, SMALL);
  session = answers_open_session (GPOINTER_TO_INT (precision));
  for (guint round = 0; round < 10; round++) {
    const guint image = round % 5;
    g_autoptr (UmedptEncoding) encoding = answers_encode_one (session, image);

    for (guint i = 0; i < MIN (round, N_ASKS); i++)
      answers_check (encoding, 0, asks[i], expected.of[image][asks[i]]);
  }
  answers_close_session (session);
  answers_clear (&expected);
}

/* Two at a time, asked in turns; and more than there are slots for. */
static void
test_alive (gconstpointer precision)
{
  UmedptEncoding *all[MAX_IMAGES] = { NULL };
  Answers expected;
  UmedptSession *session;

  answers_expect_each (&expected, GPOINTER_TO_INT (precision), MAX_IMAGES,
      SMALL);
  session = answers_open_session (GPOINTER_TO_INT (precision));
  for (guint round = 0; round < 4; round++) {
    const guint n = round < 3 ? 2 : MAX_IMAGES;

    for (guint i = 0; i < n; i++)
      all[i] = answers_encode_one (session, i);
    for (guint ask = 0; ask < N_ASKS; ask++)
      for (guint i = 0; i < n; i++)
        answers_check (all[i], 0, (ask + i) % N_ASKS,
            expected.of[i][(ask + i) % N_ASKS]);
    for (guint i = 0; i < n; i++)
      g_clear_pointer (&all[i], umedpt_encoding_unref);
  }
  answers_close_session (session);
  answers_clear (&expected);
}

/* Sizes that come once are not recorded, and do not drive out one that comes
 * again and again. */
static void
test_sizes (void)
{
  Answers expected;
  UmedptSession *session;

  answers_expect_each (&expected, UMEDPT_PRECISION_F32, 1, SMALL);
  session = answers_open_session (UMEDPT_PRECISION_F32);
  for (guint i = 0; i < 2; i++)
    answers_run_frame (session, &expected, 0);
  for (gint i = 1; i <= 9; i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (UmedptEncoding) other = NULL;

    watch_reset ();
    other = answers_encode (session, 0, 1, SMALL + i, &error);
    g_assert_no_error (error);
    g_assert_cmpint (watched.n_runs + watched.n_records, ==, 0);
    watch_reset ();
    answers_run_frame (session, &expected, 0);
    g_assert_cmpint (watched.n_ops, ==, 0);
    g_assert_cmpint (watched.n_runs, ==, N_STEPS);
  }
  answers_close_session (session);
  answers_clear (&expected);
}

/* --- as it should not be ------------------------------------------------ */

/* A step that cannot be recorded, or run, is done op by op; so is what reads
 * its results. @countdown: to the failure, which is the @n-th at most. */
static void
run_failures (gint *countdown, gint n)
{
  Answers expected;

  answers_expect_each (&expected, UMEDPT_PRECISION_F32, 4, SMALL);
  for (gint k = 1; k <= n; k++) {
    UmedptSession *session = answers_open_session (UMEDPT_PRECISION_F32);

    *countdown = k;
    for (guint i = 0; i < 4; i++) {
      watch_reset ();
      answers_run_frame (session, &expected, i);
    }
    g_assert_cmpint (*countdown, ==, 0);
    g_assert_cmpint (watched.n_ops, >, 0);
    g_assert_cmpint (watched.n_runs, <, N_STEPS);
    answers_close_session (session);
  }
  answers_clear (&expected);
}

static void
test_not_recorded (void)
{
  run_failures (&watched.fail_record, N_STEPS);
}

/* At the first run, or after a good one. */
static void
test_not_run (void)
{
  run_failures (&watched.fail_run, 2 * N_STEPS);
}

/* A piece of memory that is not to be had, whichever it is: it goes on. */
static void
test_allocation (void)
{
  Answers expected;
  gint k = 1;

  answers_expect_each (&expected, UMEDPT_PRECISION_F32, 3, SMALL);
  for (gboolean failed = TRUE; failed; k += 1 + k / 8) {
    UmedptSession *session = answers_open_session (UMEDPT_PRECISION_F32);

    watched.fail_allocation = k;
    for (guint i = 0; i < 3; i++)
      answers_run_frame (session, &expected, i);
    failed = watched.fail_allocation == 0;
    watched.fail_allocation = 0;
    answers_close_session (session);
  }
  g_assert_cmpint (k, >, 100);
  answers_clear (&expected);
}

/* Where ops fit and graphs beside them do not, ops go on. */
static void
test_budget (void)
{
  Answers expected;
  UmedptSession *session;
  gsize rest;

  answers_expect_each (&expected, UMEDPT_PRECISION_F32, 3, SMALL);
  session = answers_open_session (UMEDPT_PRECISION_F32);
  rest = watched.in_use;
  watched.peak = 0;
  answers_run_frame (session, &expected, 0);
  g_assert_cmpuint (watched.peak, >, rest);
  watched.budget = watched.peak + (watched.peak - rest) / 8;
  for (guint round = 0; round < 12; round++)
    answers_run_frame (session, &expected, round % 3);
  watched.budget = 0;
  answers_close_session (session);
  answers_clear (&expected);
}

/* Not to the bit: that takes as many images at once. */
static void
assert_values_close (UmedptEncoding *encoding, guint index,
    const GByteArray *expected)
{
  gfloat found[2], values[2];
  g_autoptr (GError) error = NULL;

  umedpt_encoding_get_values (encoding, index, CLASS, found, &error);
  g_assert_no_error (error);
  memcpy (values, expected->data, sizeof values);
  g_assert_cmpfloat_with_epsilon (found[0], values[0], 1e-4);
  g_assert_cmpfloat_with_epsilon (found[1], values[1], 1e-4);
}

static void
run_batch (UmedptSession *session, guint n, const Answers *expected)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptEncoding) encoding =
      answers_encode (session, 0, n, SMALL, &error);

  g_assert_no_error (error);
  answers_settle (encoding);
  for (guint i = 0; i < n; i++)
    assert_values_close (encoding, i, expected->of[i][CLASS]);
}

/* Where all images together do not fit, fewer go through at once, and heads
 * find the right ones. */
static void
test_smaller_parts (void)
{
  Answers expected;
  UmedptSession *session;

  answers_expect_each (&expected, UMEDPT_PRECISION_F32, 6, SMALL);
  session = answers_open_session (UMEDPT_PRECISION_F32);
  watched.peak_piece = 0;
  run_batch (session, 2, &expected);
  g_assert_cmpuint (umedpt_device_pass_get_max_batch (
                        umedpt_session_get_device_pass (session)),
      ==, UMEDPT_DEVICE_BATCH);
  watched.largest = watched.peak_piece;
  for (guint round = 0; round < 3; round++) {
    run_batch (session, 6, &expected);
    g_assert_cmpuint (umedpt_device_pass_get_max_batch (
                          umedpt_session_get_device_pass (session)),
        ==, 2);
  }
  watched.largest = 0;
  answers_close_session (session);
  answers_clear (&expected);
}

/* The emulated device, with less and less memory: right, or a plain error. */
static void
test_small_device (void)
{
  static const char *const sizes[] = { "33554432", "16777216", "1" };
  Answers expected;
  guint n_failed = 0;

  answers_expect_each (&expected, UMEDPT_PRECISION_F32, 3, SMALL);
  for (guint size = 0; size < G_N_ELEMENTS (sizes); size++) {
    UmedptSession *session = answers_open_session (UMEDPT_PRECISION_F32);

    for (guint i = 0; i < 6; i++) {
      g_autoptr (GError) error = NULL;
      g_autoptr (UmedptEncoding) encoding = NULL;

      if (i == 2)
        g_setenv ("UMEDPT_EMULATE_MEMORY", sizes[size], TRUE);
      if (i == 4)
        g_unsetenv ("UMEDPT_EMULATE_MEMORY");
      encoding =
          answers_encode (session, i % 3, 1, i & 2 ? SMALL + 2 : SMALL, &error);
      if (encoding)
        umedpt_encoding_settle (encoding, tasks, G_N_ELEMENTS (tasks), TRUE,
            &error);
      if (error && i / 2 == 1) {
        g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY);
        n_failed++;
        continue;
      }
      g_assert_no_error (error);
      if (!(i & 2))
        answers_check_all (encoding, &expected, i % 3);
    }
    answers_close_session (session);
  }
  g_assert_cmpuint (n_failed, >, 0);
  answers_clear (&expected);
}

/* --- threads ------------------------------------------------------------ */

typedef struct
{
  UmedptSession *session;
  const Answers *expected; /* of one image at a time, of SMALL and … */
  const Answers *larger; /* … SIDE */
  guint number;
} Worker;

static gpointer
work (gpointer data)
{
  const Worker *worker = data;
  g_autoptr (GRand) random = g_rand_new_with_seed (worker->number);

  for (guint round = 0; round < (watch_is_slow () ? 4 : 12); round++) {
    const guint image = (worker->number + round) % 3;
    const gboolean large = round % 4 == 3;
    const Answers *expected = large ? worker->larger : worker->expected;
    g_autoptr (GError) error = NULL;
    g_autoptr (UmedptEncoding) encoding = answers_encode (worker->session,
        image, 1, large ? SIDE : SMALL, &error);

    g_assert_no_error (error);
    if (worker->number == 0)
      answers_settle (encoding);
    for (guint i = 0; i < 3; i++) {
      const guint ask = (guint) g_rand_int_range (random, 0, N_ASKS);

      answers_check (encoding, 0, ask, expected->of[image][ask]);
    }
  }
  return NULL;
}

static void
test_threads (void)
{
  Answers expected, larger;
  UmedptSession *session;
  GThread *threads[5];
  Worker workers[5];

  answers_expect_each (&expected, UMEDPT_PRECISION_F32, 3, SMALL);
  answers_expect_each (&larger, UMEDPT_PRECISION_F32, 3, SIDE);
  session = answers_open_session (UMEDPT_PRECISION_F32);
  watch_reset ();
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++) {
    workers[i] = (Worker){ session, &expected, &larger, i };
    threads[i] = g_thread_new ("ask", work, &workers[i]);
  }
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  g_assert_cmpint (watched.n_runs, >, 0);
  answers_close_session (session);
  answers_clear (&expected);
  answers_clear (&larger);
}

/* --- all ---------------------------------------------------------------- */

static void
add_tests (void)
{
  static const struct
  {
    const char *name;
    UmedptPrecision precision;
  } precisions[] = { { "f32", UMEDPT_PRECISION_F32 },
    { "bf16", UMEDPT_PRECISION_BF16 } };
  static const struct
  {
    const char *name;
    void (*run) (gconstpointer precision);
  } tests[] = { { "steady", test_steady }, { "order", test_order },
    { "late", test_late }, { "alive", test_alive } };

  /* what a slow device has of its own is bf16 */
  for (guint i = 0; i < G_N_ELEMENTS (tests); i++)
    for (guint j = watch_is_slow () ? 1 : 0; j < G_N_ELEMENTS (precisions);
         j++) {
      g_autofree char *path =
          g_strdup_printf ("/graphs/%s/%s", tests[i].name, precisions[j].name);
      g_test_add_data_func (path, GINT_TO_POINTER (precisions[j].precision),
          tests[i].run);
    }
  g_test_add_func ("/graphs/batch", test_batch);
  g_test_add_func ("/graphs/threads", test_threads);
  if (watch_is_slow ()) {
    /* what a failure leaves behind is the host's, and the same on others */
    g_test_add_func ("/graphs/small-device", test_small_device);
    return;
  }
  g_test_add_func ("/graphs/sizes", test_sizes);
  g_test_add_func ("/graphs/not-recorded", test_not_recorded);
  g_test_add_func ("/graphs/not-run", test_not_run);
  g_test_add_func ("/graphs/allocation", test_allocation);
  g_test_add_func ("/graphs/budget", test_budget);
  g_test_add_func ("/graphs/smaller-parts", test_smaller_parts);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  int result;

  g_test_init (&argc, &argv, NULL);
  if (!watch_backend (&error)) {
    g_print ("1..0 # SKIP %s\n", error->message);
    return 0;
  }
  answers_set_up ();
  add_tests ();
  result = g_test_run ();
  answers_tear_down ();
  return result;
}
