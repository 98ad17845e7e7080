/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A NaN must not turn into a number on the way through a network: it is how
 * damaged parameters are found. Ops that choose (max, relu) or clamp (the exp
 * of a sigmoid) could lose it, in the vector part of a row or in its tail, so
 * it is put everywhere once. Checked on ref and cpu, or the backend that is named.
 */
#include <math.h>

#include "backends.h"
#include "fill.h"

#define N 37 /* two of the widest vectors and a tail */

static void
test_activate (gconstpointer data)
{
  static const UmedptActivation activations[] = { UMEDPT_ACTIVATION_NONE,
    UMEDPT_ACTIVATION_RELU, UMEDPT_ACTIVATION_GELU, UMEDPT_ACTIVATION_SIGMOID,
    UMEDPT_ACTIVATION_TANH };
  static const UmedptDtype dtypes[] = { UMEDPT_DTYPE_F32, UMEDPT_DTYPE_BF16 };
  UmedptBackend *backend = (UmedptBackend *) data;

  for (guint k = 0; k < G_N_ELEMENTS (activations) * 2 * N; k++) {
    const gsize at = k % N;
    const UmedptDtype dtype = dtypes[k / N % 2];
    g_autoptr (GError) error = NULL;
    g_autoptr (UmedptTensor) src =
        fill_random (&(Lcg){ k }, dtype, 3, 0, SHAPE (N));
    g_autoptr (UmedptTensor) dst = fill_new (dtype, SHAPE (N));

    if (dtype == UMEDPT_DTYPE_F32)
      UMEDPT_F32 (src)[at] = NAN;
    else
      UMEDPT_BF16 (src)[at] = umedpt_f32_to_bf16 (NAN);
    fill_move (src, backend->memory);
    fill_move (dst, backend->memory);
    umedpt_dispatch_activate (backend,
        &(UmedptActivateArgs){
            .src = src, .dst = dst, .activation = activations[k / N / 2] },
        &error);
    g_assert_no_error (error);
    fill_move (dst, NULL);
    for (gsize i = 0; i < N; i++)
      g_assert_cmpint (!!isnan (fill_get (dst, i)), ==, i == at);
  }
}

static void
test_pool (gconstpointer data)
{
  static const UmedptPooling poolings[] = { UMEDPT_POOLING_AVERAGE,
    UMEDPT_POOLING_MAX, UMEDPT_POOLING_COMBINED };
  UmedptBackend *backend = (UmedptBackend *) data;

  for (guint k = 0; k < G_N_ELEMENTS (poolings) * 4 * N; k++) {
    const gsize channel = k % N, pixel = k / N % 4;
    g_autoptr (GError) error = NULL;
    g_autoptr (UmedptTensor) src =
        fill_random (&(Lcg){ k }, UMEDPT_DTYPE_F32, 3, 0, SHAPE (1, 2, 2, N));
    g_autoptr (UmedptTensor) dst = fill_new (UMEDPT_DTYPE_F32, SHAPE (1, N));

    UMEDPT_F32 (src)[pixel * N + channel] = NAN;
    fill_move (src, backend->memory);
    fill_move (dst, backend->memory);
    umedpt_dispatch_global_pool (backend,
        &(UmedptGlobalPoolArgs){
            .src = src, .dst = dst, .pooling = poolings[k / N / 4] },
        &error);
    g_assert_no_error (error);
    fill_move (dst, NULL);
    for (gsize i = 0; i < N; i++)
      g_assert_cmpint (!!isnan (UMEDPT_F32 (dst)[i]), ==, i == channel);
  }
}

/* A label map's loss with a NaN among logits of @pixels pixels of 3 classes. */
static gboolean
segmentation_loss (UmedptBackend *backend, UmedptTensor *logits,
    gboolean multilabel, float *loss)
{
  const gint64 *shape = logits->shape;
  g_autoptr (UmedptTensor) labels = multilabel
      ? fill_new (UMEDPT_DTYPE_U8, 4, shape)
      : fill_new (UMEDPT_DTYPE_U8, 3, shape);
  g_autoptr (UmedptTensor) losses = fill_new (UMEDPT_DTYPE_F32, SHAPE (2));
  gboolean ok;

  for (gsize i = 0; i < labels->n_elements; i++)
    UMEDPT_U8 (labels)[i] = i % 2;
  fill_move (labels, backend->memory);
  fill_move (losses, backend->memory);
  ok = umedpt_dispatch_segmentation_loss (backend,
      &(UmedptSegmentationLossArgs){ .logits = logits,
          .labels = labels,
          .loss = losses,
          .multilabel = multilabel,
          .focal_scale = 1 },
      NULL);
  fill_move (losses, NULL);
  *loss = UMEDPT_F32 (losses)[0] + UMEDPT_F32 (losses)[1];
  return ok;
}

static gboolean
row_loss (UmedptBackend *backend, UmedptTensor *logits, gboolean binary,
    float *loss)
{
  const gint64 rows = (gint64) logits->n_elements / 3;
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptTensor) flat =
      umedpt_tensor_reshape (logits, SHAPE (rows, 3), &error);
  g_autoptr (UmedptTensor) targets = binary
      ? fill_random (&(Lcg){ 1 }, UMEDPT_DTYPE_F32, 0.5f, 0.5f, SHAPE (rows, 3))
      : fill_new (UMEDPT_DTYPE_I32, SHAPE (rows));
  g_autoptr (UmedptTensor) value = fill_new (UMEDPT_DTYPE_F32, SHAPE (1));
  gboolean ok;

  g_assert_no_error (error);
  for (gint64 i = 0; !binary && i < rows; i++)
    ((gint32 *) targets->data)[i] = i % 3;
  fill_move (targets, backend->memory);
  fill_move (value, backend->memory);
  ok = binary ? umedpt_dispatch_binary_cross_entropy (backend,
                    &(UmedptBinaryCrossEntropyArgs){ .logits = flat,
                        .targets = targets,
                        .loss = value,
                        .scale = 1,
                        .normalizer = 1 },
                    NULL)
              : umedpt_dispatch_cross_entropy (backend,
                    &(UmedptCrossEntropyArgs){ .logits = flat,
                        .targets = targets,
                        .loss = value,
                        .scale = 1,
                        .normalizer = 1 },
                    NULL);
  fill_move (value, NULL);
  *loss = UMEDPT_F32 (value)[0];
  return ok;
}

/* The loss of @logits, which are in host memory, in @loss. */
static gboolean
compute_loss (UmedptBackend *backend, UmedptTensor *logits, guint which,
    float *loss)
{
  g_autoptr (UmedptTensor) there =
      umedpt_tensor_to (logits, backend->memory, NULL);

  g_assert_nonnull (there);
  return which < 2 ? segmentation_loss (backend, there, which % 2, loss)
                   : row_loss (backend, there, which % 2, loss);
}

/* The trainer stops at a loss that is no number: none may hide. */
static void
test_losses (gconstpointer data)
{
  UmedptBackend *backend = (UmedptBackend *) data;

  for (gsize at = 0; at < 3 * 3 * N; at++) {
    g_autoptr (UmedptTensor) logits =
        fill_random (&(Lcg){ at }, UMEDPT_DTYPE_F32, 3, 0, SHAPE (1, 3, N, 3));
    float loss;

    for (guint k = 0; k < 4; k++) {
      UMEDPT_F32 (logits)[at] = 1;
      g_assert_true (compute_loss (backend, logits, k, &loss));
      g_assert_true (isfinite (loss));
      UMEDPT_F32 (logits)[at] = NAN;
      g_assert_true (compute_loss (backend, logits, k, &loss));
      g_assert_true (isnan (loss));
    }
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
    g_autofree char *activate =
        g_strconcat ("/nan/", backends[i]->name, "/activate", NULL);
    g_autofree char *pool =
        g_strconcat ("/nan/", backends[i]->name, "/pool", NULL);
    g_autofree char *losses =
        g_strconcat ("/nan/", backends[i]->name, "/losses", NULL);

    g_test_add_data_func (activate, backends[i], test_activate);
    g_test_add_data_func (pool, backends[i], test_pool);
    g_test_add_data_func (losses, backends[i], test_losses);
  }
  return g_test_run ();
}
