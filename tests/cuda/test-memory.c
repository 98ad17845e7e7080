/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The host side of the CUDA module: memory that is recycled, the end of
 * memory, graphs, and input that travels beside the computing. Runs on a
 * device, if there is one, and on the emulated one, whose memory can be made
 * small.
 */
#include <string.h>

#include "autograd/ops.h"
#include "base/error.h"
#include "../ops/fill.h"

static UmedptBackend *cuda;

static UmedptTensor *
new_there (guint n_dims, const gint64 *shape)
{
  g_autoptr (GError) error = NULL;
  UmedptTensor *tensor = umedpt_tensor_new_in (cuda->memory, UMEDPT_DTYPE_F32,
      n_dims, shape, &error);

  g_assert_no_error (error);
  return tensor;
}

static UmedptTensor *
random_there (guint64 seed, guint n_dims, const gint64 *shape)
{
  UmedptTensor *tensor =
      fill_random (&(Lcg){ seed }, UMEDPT_DTYPE_F32, 1, 0, n_dims, shape);
  g_autoptr (GError) error = NULL;

  umedpt_tensor_move (tensor, cuda->memory, &error);
  g_assert_no_error (error);
  return tensor;
}

static UmedptTensor *
copy_here (UmedptTensor *tensor)
{
  g_autoptr (GError) error = NULL;
  UmedptTensor *here = umedpt_tensor_to (tensor, NULL, &error);

  g_assert_no_error (error);
  return here;
}

static void
assert_same (UmedptTensor *a, UmedptTensor *b)
{
  g_autoptr (UmedptTensor) x = copy_here (a);
  g_autoptr (UmedptTensor) y = copy_here (b);

  g_assert_cmpmem (x->data, umedpt_tensor_get_size (x), y->data,
      umedpt_tensor_get_size (y));
}

/* There and back, in sizes below, at and above those of pinned buffers. */
static void
test_round_trip (void)
{
  static const gint64 sizes[] = { 1, 7, 1 << 21, (1 << 21) + 1, 5000001 };

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++) {
    g_autoptr (UmedptTensor) here =
        fill_random (&(Lcg){ i }, UMEDPT_DTYPE_F32, 1, 0, SHAPE (sizes[i]));
    g_autoptr (UmedptTensor) there = random_there (i, SHAPE (sizes[i]));
    g_autoptr (UmedptTensor) copied = new_there (SHAPE (sizes[i]));

    assert_same (here, there);
    g_assert_true (umedpt_tensor_copy (copied, there, NULL));
    g_assert_true (umedpt_tensor_zero (there, NULL));
    assert_same (here, copied);
  }
}

/* Some part of it while others fetch theirs, and while the queue is held. */
static gpointer
fetch (gpointer data)
{
  const guint seed = GPOINTER_TO_UINT (data);
  const gint64 n = (gint64) (1 << 21) * (seed % 3) + 1000 + seed;
  g_autoptr (UmedptTensor) here =
      fill_random (&(Lcg){ seed }, UMEDPT_DTYPE_F32, 1, 0, SHAPE (n));
  g_autoptr (UmedptTensor) there = random_there (seed, SHAPE (n));

  for (guint i = 0; i < 6; i++) {
    const gboolean held = (seed + i) % 3 == 0;

    if (held)
      g_rec_mutex_lock (cuda->queue);
    assert_same (here, there);
    if (held)
      g_rec_mutex_unlock (cuda->queue);
  }
  return NULL;
}

static void
test_fetch_together (void)
{
  GThread *threads[6];

  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("fetch", fetch, GUINT_TO_POINTER (i));
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
}

/* Host memory that was uploaded may be used again at once. */
static void
test_upload_is_done (void)
{
  g_autofree guint8 *host = g_malloc (3000000);
  g_autoptr (UmedptTensor) there = new_there (SHAPE (750000));
  g_autoptr (UmedptTensor) here = NULL;

  for (guint i = 1; i <= 5; i++) {
    memset (host, (int) i, 3000000);
    g_assert_true (cuda->memory->upload (cuda->memory, there->data, host,
        3000000, NULL));
    memset (host, 0xff, 3000000);
    g_clear_pointer (&here, umedpt_tensor_unref);
    here = copy_here (there);
    g_assert_cmpuint (((guint8 *) here->data)[2999999], ==, i);
  }
}

/* A block comes back although work on it is queued: in the queue's order. */
static void
test_recycling (void)
{
  g_autoptr (UmedptTensor) first = random_there (1, SHAPE (1000));
  g_autoptr (UmedptTensor) kept = new_there (SHAPE (1000));
  g_autoptr (UmedptTensor) expected =
      fill_random (&(Lcg){ 1 }, UMEDPT_DTYPE_F32, 1, 0, SHAPE (1000));
  g_autoptr (UmedptTensor) second = NULL;
  gpointer data = first->data;

  g_assert_true (umedpt_tensor_copy (kept, first, NULL));
  g_clear_pointer (&first, umedpt_tensor_unref);
  second = new_there (SHAPE (1000));
  g_assert_true (second->data == data);
  g_assert_true (umedpt_tensor_zero (second, NULL));
  assert_same (kept, expected);
}

/* The message has the numbers; what is recycled makes room; others go on. */
static void
test_out_of_memory (void)
{
  g_autoptr (UmedptTensor) kept = random_there (1, SHAPE (1000));
  g_autoptr (UmedptTensor) expected =
      fill_random (&(Lcg){ 1 }, UMEDPT_DTYPE_F32, 1, 0, SHAPE (1000));
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptTensor) large = NULL;

  if (!g_str_has_prefix (cuda->description, "emulated")) {
    g_test_skip ("the device's memory cannot be made small");
    return;
  }
  g_setenv ("UMEDPT_EMULATE_MEMORY", "200000000", TRUE);
  large = umedpt_tensor_new_in (cuda->memory, UMEDPT_DTYPE_F32,
      SHAPE (100, 1000000), &error);
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY);
  g_assert_nonnull (strstr (error->message, "400.0 MB"));
  g_assert_nonnull (strstr (error->message, "200.0 MB"));
  g_assert_null (large);
  for (gint64 i = 1; i <= 20; i++) { /* each in a size of its own */
    g_clear_pointer (&large, umedpt_tensor_unref);
    large = new_there (SHAPE (15000000 + i * 1500000));
  }
  assert_same (kept, expected);
  g_unsetenv ("UMEDPT_EMULATE_MEMORY");
}

/* An op that finds no memory for its intermediate results says so, and works
 * when there is some. */
static void
test_op_out_of_memory (void)
{
  g_autoptr (UmedptTensor) src = random_there (1, SHAPE (64, 128));
  g_autoptr (UmedptTensor) weight = random_there (2, SHAPE (96, 128));
  g_autoptr (UmedptTensor) dst = new_there (SHAPE (64, 96));
  UmedptLinearArgs args = { .src = src,
    .weight = weight,
    .dst = dst,
    .activation = UMEDPT_ACTIVATION_GELU,
    .compute = UMEDPT_DTYPE_BF16 };
  g_autoptr (GError) error = NULL;

  if (!g_str_has_prefix (cuda->description, "emulated")) {
    g_test_skip ("the device's memory cannot be made small");
    return;
  }
  g_setenv ("UMEDPT_EMULATE_MEMORY", "1", TRUE);
  if (!umedpt_dispatch_linear (cuda, &args, &error))
    g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY);
  g_unsetenv ("UMEDPT_EMULATE_MEMORY");
  g_clear_error (&error);
  umedpt_dispatch_linear (cuda, &args, &error);
  g_assert_no_error (error);
}

/* ---- Graphs ---- */

typedef struct
{
  UmedptTensor *src, *weight, *bias, *dst;
} Pass;

static void
pass_init (Pass *self)
{
  self->src = random_there (1, SHAPE (48, 64));
  self->weight = random_there (2, SHAPE (80, 64));
  self->bias = random_there (3, SHAPE (80));
  self->dst = NULL;
}

static void
pass_clear (Pass *self)
{
  umedpt_tensor_unref (self->src);
  umedpt_tensor_unref (self->weight);
  umedpt_tensor_unref (self->bias);
  g_clear_pointer (&self->dst, umedpt_tensor_unref);
}

/* dst = src + sigmoid (layer_norm (gelu (src W^T + b))) W', with tensors that
 * live as long as the pass only. */
static void
pass_run (Pass *self)
{
  g_autoptr (UmedptContext) context =
      umedpt_context_new (cuda, UMEDPT_DTYPE_BF16);
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptTensor) hidden =
      umedpt_op_linear (context, self->src, self->weight, self->bias,
          UMEDPT_ACTIVATION_GELU, UMEDPT_DTYPE_F32, &error);
  g_autoptr (UmedptTensor) normed = hidden
      ? umedpt_op_layer_norm (context, hidden, NULL, NULL, 1e-5f, &error)
      : NULL;

  g_clear_pointer (&self->dst, umedpt_tensor_unref);
  if (normed)
    self->dst =
        umedpt_op_activate (context, normed, UMEDPT_ACTIVATION_SIGMOID, &error);
  g_assert_no_error (error);
}

static gpointer
record (Pass *pass)
{
  g_autoptr (GError) error = NULL;
  gpointer graph;

  g_rec_mutex_lock (cuda->queue);
  g_assert_true (cuda->graph_begin (cuda, &error));
  g_assert_no_error (error);
  pass_run (pass);
  graph = cuda->graph_end (cuda, &error);
  g_assert_no_error (error);
  g_assert_nonnull (graph);
  g_rec_mutex_unlock (cuda->queue);
  return graph;
}

/* Other values in src, and what the pass makes of them, at once. */
static UmedptTensor *
next_input (Pass *pass, guint64 seed)
{
  g_autoptr (UmedptTensor) values =
      fill_random (&(Lcg){ seed }, UMEDPT_DTYPE_F32, 1, 0, SHAPE (48, 64));
  Pass direct = { .weight = pass->weight, .bias = pass->bias };
  UmedptTensor *expected;

  g_assert_true (umedpt_tensor_copy (pass->src, values, NULL));
  direct.src = random_there (seed, SHAPE (48, 64));
  pass_run (&direct);
  expected = copy_here (direct.dst);
  umedpt_tensor_unref (direct.src);
  umedpt_tensor_unref (direct.dst);
  return expected;
}

/* A graph gives what the ops give, again and again, although memory is taken
 * and given back in between, which might be the graph's. */
static void
test_graph (void)
{
  Pass pass;
  gpointer graph;
  g_autoptr (UmedptTensor) first = NULL;

  pass_init (&pass);
  pass_run (&pass); /* prepared forms of parameters */
  first = copy_here (pass.dst);
  graph = record (&pass);
  for (guint i = 10; i < 14; i++) {
    g_autoptr (UmedptTensor) expected = next_input (&pass, i);
    g_autoptr (UmedptTensor) other = random_there (i, SHAPE (48, 80));
    g_autoptr (UmedptTensor) values =
        fill_random (&(Lcg){ i }, UMEDPT_DTYPE_F32, 1, 0, SHAPE (48, 80));
    g_autoptr (GError) error = NULL;

    g_assert_true (cuda->graph_run (cuda, graph, &error));
    g_assert_no_error (error);
    assert_same (pass.dst, expected);
    assert_same (other, values);
  }
  cuda->graph_free (cuda, graph);
  pass_clear (&pass);
}

/* Nothing is computed while a graph is recorded. */
static void
test_graph_waits (void)
{
  Pass pass;
  gpointer graph;
  g_autoptr (UmedptTensor) expected = NULL;

  pass_init (&pass);
  pass_run (&pass);
  expected = copy_here (pass.dst);
  graph = record (&pass);
  g_assert_true (umedpt_tensor_zero (pass.dst, NULL));
  {
    g_autoptr (UmedptTensor) here = copy_here (pass.dst);

    g_assert_cmpfloat (UMEDPT_F32 (here)[0], ==, 0);
  }
  g_assert_true (cuda->graph_run (cuda, graph, NULL));
  assert_same (pass.dst, expected);
  cuda->graph_free (cuda, graph);
  pass_clear (&pass);
}

/* Two graphs have memory of their own. */
static void
test_two_graphs (void)
{
  Pass a, b;
  gpointer graph_a, graph_b;
  g_autoptr (UmedptTensor) expected_a = NULL;
  g_autoptr (UmedptTensor) expected_b = NULL;

  pass_init (&a);
  pass_init (&b);
  pass_run (&a);
  pass_run (&b);
  graph_a = record (&a);
  graph_b = record (&b);
  expected_a = next_input (&a, 20);
  expected_b = next_input (&b, 21);
  g_assert_true (cuda->graph_run (cuda, graph_a, NULL));
  g_assert_true (cuda->graph_run (cuda, graph_b, NULL));
  assert_same (a.dst, expected_a);
  assert_same (b.dst, expected_b);
  cuda->graph_free (cuda, graph_a);
  g_assert_true (cuda->graph_run (cuda, graph_b, NULL));
  assert_same (a.dst, expected_a); /* the tensor outlives the graph */
  assert_same (b.dst, expected_b);
  cuda->graph_free (cuda, graph_b);
  pass_clear (&a);
  pass_clear (&b);
}

/* Reading back while a graph is recorded is an error and spoils the graph;
 * after that all goes on. */
static void
test_spoilt_graph (void)
{
  Pass pass;
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptTensor) expected = NULL;
  float value;

  pass_init (&pass);
  pass_run (&pass);
  expected = copy_here (pass.dst);
  g_rec_mutex_lock (cuda->queue);
  g_assert_true (cuda->graph_begin (cuda, NULL));
  pass_run (&pass);
  g_assert_false (cuda->memory->download (cuda->memory, &value, pass.dst->data,
      sizeof value, &error));
  g_assert_nonnull (error);
  g_clear_error (&error);
  g_assert_null (cuda->graph_end (cuda, &error));
  g_assert_nonnull (error);
  g_rec_mutex_unlock (cuda->queue);
  pass_run (&pass);
  assert_same (pass.dst, expected);
  pass_clear (&pass);
}

/* ---- Feeding ---- */

/* Values that are fed arrive before the work that is queued after them, and
 * after the work that reads the ones before. */
static void
test_feed (void)
{
  Pass pass;
  UmedptTensor *expected[6] = { NULL }, *found[6] = { NULL };
  UmedptTensor *sources[2];

  if (!cuda->feed_begin) {
    g_test_skip ("this backend has no feed");
    return;
  }
  pass_init (&pass);
  for (guint i = 0; i < 6; i++)
    expected[i] = next_input (&pass, 30 + i);
  for (guint i = 0; i < 2; i++)
    sources[i] = new_there (SHAPE (48, 64));
  for (guint i = 0; i < 6; i++) {
    g_autoptr (UmedptTensor) values =
        fill_random (&(Lcg){ 30 + i }, UMEDPT_DTYPE_F32, 1, 0, SHAPE (48, 64));
    Pass run = pass;
    gsize size = umedpt_tensor_get_size (values);
    gpointer buffer = cuda->feed_begin (cuda, size, NULL);

    g_assert_nonnull (buffer);
    memcpy (buffer, values->data, size);
    if (i >= 2) /* nothing that is queued may use the tensor */
      umedpt_tensor_unref (copy_here (found[i - 2]));
    umedpt_tensor_drop_attachments (sources[i % 2]);
    g_assert_true (cuda->feed_end (cuda, sources[i % 2]->data, size, NULL));
    run.src = sources[i % 2];
    run.dst = NULL;
    pass_run (&run);
    found[i] = run.dst;
  }
  for (guint i = 0; i < 6; i++) {
    assert_same (found[i], expected[i]);
    g_clear_pointer (&found[i], umedpt_tensor_unref);
    g_clear_pointer (&expected[i], umedpt_tensor_unref);
  }
  for (guint i = 0; i < 2; i++)
    umedpt_tensor_unref (sources[i]);
  pass_clear (&pass);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;

  g_test_init (&argc, &argv, NULL);
  cuda = umedpt_backend_find ("cuda", &error);
  if (!cuda) {
    g_print ("1..0 # SKIP %s\n", error->message);
    return 0;
  }
  g_test_add_func ("/cuda/memory/round-trip", test_round_trip);
  g_test_add_func ("/cuda/memory/fetch-together", test_fetch_together);
  g_test_add_func ("/cuda/memory/upload-is-done", test_upload_is_done);
  g_test_add_func ("/cuda/memory/recycling", test_recycling);
  g_test_add_func ("/cuda/memory/out-of-memory", test_out_of_memory);
  g_test_add_func ("/cuda/memory/op-out-of-memory", test_op_out_of_memory);
  g_test_add_func ("/cuda/graph/same", test_graph);
  g_test_add_func ("/cuda/graph/waits", test_graph_waits);
  g_test_add_func ("/cuda/graph/two", test_two_graphs);
  g_test_add_func ("/cuda/graph/spoilt", test_spoilt_graph);
  g_test_add_func ("/cuda/feed/order", test_feed);
  return g_test_run ();
}
