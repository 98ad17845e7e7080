/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Ops whose output may be one of their inputs (core/backend/backend.h): in
 * place they must give the same bits as beside. Checked on ref and cpu, or the
 * backend that is named, through the dispatcher, on sizes that make several
 * chunks.
 */
#include "backends.h"
#include "fill.h"

enum
{
  M = 331,
  C = 40,
  HIDDEN = 112
};

static UmedptMemory *memory; /* of the backend that is tested */

/* In the backend's memory. */
static UmedptTensor *
there (UmedptTensor *tensor)
{
  fill_move (tensor, memory);
  return tensor;
}

static UmedptTensor *
matrix (gint64 rows, gint64 columns, guint64 seed)
{
  return there (fill_random (&(Lcg){ seed }, UMEDPT_DTYPE_F32, 1, 0,
      SHAPE (rows, columns)));
}

static UmedptTensor *
vector (gint64 n, guint64 seed)
{
  return there (fill_random (&(Lcg){ seed }, UMEDPT_DTYPE_F32, 1, 0,
      SHAPE (n)));
}

static UmedptBackend *
select_backend (gconstpointer data)
{
  UmedptBackend *backend = (UmedptBackend *) data;

  memory = backend->memory;
  return backend;
}

/* Runs @call on copies: once into @beside, once into @inplace, which is the
 * input that it may overwrite. */
#define CHECK(slot, Type, make, field, ...) \
  do { \
    g_autoptr (GError) error = NULL; \
    g_autoptr (UmedptTensor) inplace = make; \
    g_autoptr (UmedptTensor) input = make; \
    g_autoptr (UmedptTensor) beside = make; \
    g_assert_true (umedpt_dispatch_##slot (backend, \
        &(Umedpt##Type##Args){ .field = input, .dst = beside, __VA_ARGS__ }, \
        &error)); \
    g_assert_no_error (error); \
    g_assert_true (umedpt_dispatch_##slot (backend, \
        &(Umedpt##Type##Args){ \
            .field = inplace, .dst = inplace, __VA_ARGS__ }, \
        &error)); \
    g_assert_no_error (error); \
    fill_move (inplace, NULL); \
    fill_move (beside, NULL); \
    g_assert_cmpmem (inplace->data, umedpt_tensor_get_size (inplace), \
        beside->data, umedpt_tensor_get_size (beside)); \
  } while (0)

static void
test_pointwise (gconstpointer data)
{
  UmedptBackend *backend = select_backend (data);

  CHECK (activate, Activate, matrix (M, C, 1), src,
      .activation = UMEDPT_ACTIVATION_GELU);
}

static void
test_norms (gconstpointer data)
{
  UmedptBackend *backend = select_backend (data);
  g_autoptr (UmedptTensor) gamma = vector (C, 2);
  g_autoptr (UmedptTensor) beta = vector (C, 3);

  CHECK (layer_norm, LayerNorm, matrix (M, C, 4), src, .gamma = gamma,
      .beta = beta, .epsilon = 1e-5f);
  for (gint64 groups = 1; groups <= C; groups *= C)
    CHECK (group_norm, GroupNorm,
        there (fill_random (&(Lcg){ 5 }, UMEDPT_DTYPE_F32, 1, 0,
            SHAPE (2, 9, 5, C))),
        src, .gamma = gamma, .beta = beta, .groups = groups, .epsilon = 1e-5f);
}

static void
test_branches (gconstpointer data)
{
  static const UmedptDtype computes[] = { UMEDPT_DTYPE_F32, UMEDPT_DTYPE_BF16 };
  UmedptBackend *backend = select_backend (data);
  g_autoptr (UmedptTensor) src = matrix (M, HIDDEN, 6);
  g_autoptr (UmedptTensor) fc1 = matrix (HIDDEN, C, 7);
  g_autoptr (UmedptTensor) fc2 = matrix (C, HIDDEN, 8);
  g_autoptr (UmedptTensor) b1 = vector (HIDDEN, 9);
  g_autoptr (UmedptTensor) b2 = vector (C, 10);

  for (guint i = 0; i < G_N_ELEMENTS (computes); i++) {
    CHECK (linear_norm, LinearNorm, matrix (M, C, 11), residual, .src = src,
        .weight = fc2, .bias = b2, .gamma = b2, .epsilon = 1e-5f,
        .compute = computes[i]);
    CHECK (mlp_norm, MlpNorm, matrix (M, C, 12), src, .fc1_weight = fc1,
        .fc1_bias = b1, .fc2_weight = fc2, .fc2_bias = b2, .gamma = b2,
        .epsilon = 1e-5f, .compute = computes[i]);
  }
}

int
main (int argc, char **argv)
{
  UmedptBackend *backends[MAX_BACKENDS];
  guint n;

  g_test_init (&argc, &argv, NULL);
  n = find_backends (argc, argv, backends);
  if (n == 0)
    return 0;
  for (guint i = 0; i < n; i++) {
    const char *name = backends[i]->name;
    g_autofree char *pointwise =
        g_strconcat ("/inplace/", name, "/pointwise", NULL);
    g_autofree char *norms = g_strconcat ("/inplace/", name, "/norms", NULL);
    g_autofree char *branches =
        g_strconcat ("/inplace/", name, "/branches", NULL);

    g_test_add_data_func (pointwise, backends[i], test_pointwise);
    g_test_add_data_func (norms, backends[i], test_norms);
    g_test_add_data_func (branches, backends[i], test_branches);
  }
  return g_test_run ();
}
