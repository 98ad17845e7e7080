/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The loader: what a batch contains depends on seed, epoch and number alone,
 * not on threads, the cache or what was asked before. The data set is that of
 * samples.h.
 */
#include <string.h>

#include "base/error.h"
#include "data/loader-private.h"
#include "samples.h"

static void
hash_tensor (GChecksum *sum, UmedptTensor *tensor)
{
  if (tensor)
    g_checksum_update (sum, umedpt_tensor_get_data (tensor),
        (gssize) umedpt_tensor_get_size (tensor));
}

/* A digest of all that a batch holds. */
static char *
digest (const UmedptBatch *batch)
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);

  g_checksum_update (sum, (const guchar *) batch->indices,
      (gssize) (batch->n * sizeof (guint)));
  hash_tensor (sum, batch->images);
  hash_tensor (sum, batch->groups);
  hash_tensor (sum, batch->targets);
  hash_tensor (sum, batch->weights);
  for (guint i = 0; batch->boxes && i < batch->n; i++) {
    GArray *boxes = batch->boxes->pdata[i];

    g_checksum_update (sum, (const guchar *) boxes->data,
        (gssize) (boxes->len * sizeof (UmedptBox)));
  }
  return g_strdup (g_checksum_get_string (sum));
}

static GPtrArray *
digests (UmedptLoader *loader, guint n)
{
  GPtrArray *list = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < n; i++) {
    g_autoptr (UmedptBatch) batch = samples_next (loader);

    g_ptr_array_add (list, digest (batch));
  }
  return list;
}

static void
assert_equal_from (GPtrArray *a, guint first, GPtrArray *b)
{
  for (guint i = 0; i < b->len; i++)
    g_assert_cmpstr (a->pdata[first + i], ==, b->pdata[i]);
}

static void
test_once_per_epoch (void)
{
  g_autoptr (UmedptDataset) dataset =
      samples_dataset (UMEDPT_TASK_CLASSIFICATION, 50);
  UmedptLoaderSettings settings = samples_settings (8);
  g_autoptr (UmedptLoader) loader = samples_loader (dataset, &settings);
  guint orders[3][50];

  g_assert_cmpuint (umedpt_loader_get_n_batches (loader), ==, 7);
  for (guint epoch = 0; epoch < 3; epoch++) {
    guint seen[50] = { 0 }, at = 0;

    for (guint b = 0; b < 7; b++) {
      guint64 told_epoch;
      guint told_batch;
      g_autoptr (UmedptBatch) batch = NULL;

      umedpt_loader_tell (loader, &told_epoch, &told_batch);
      g_assert_cmpuint (told_epoch, ==, epoch);
      g_assert_cmpuint (told_batch, ==, b);
      batch = samples_next (loader);
      g_assert_cmpuint (batch->n, ==, b < 6 ? 8 : 2);
      for (guint i = 0; i < batch->n; i++) {
        seen[batch->indices[i]]++;
        orders[epoch][at++] = batch->indices[i];
      }
    }
    for (guint i = 0; i < 50; i++)
      g_assert_cmpuint (seen[i], ==, 1);
  }
  g_assert_cmpint (memcmp (orders[0], orders[1], sizeof orders[0]), !=, 0);
  g_assert_cmpint (memcmp (orders[1], orders[2], sizeof orders[0]), !=, 0);
}

static void
test_plain_order (void)
{
  g_autoptr (UmedptDataset) dataset =
      samples_dataset (UMEDPT_TASK_CLASSIFICATION, 10);
  g_autoptr (GArray) indices = g_array_new (FALSE, FALSE, sizeof (guint));
  UmedptLoaderSettings settings = samples_settings (4);
  g_autoptr (UmedptLoader) loader = NULL;

  for (guint i = 1; i < 10; i += 2)
    g_array_append_val (indices, i);
  settings.shuffle = FALSE;
  loader = umedpt_loader_new (dataset, indices, &settings);
  for (guint epoch = 0; epoch < 2; epoch++) {
    g_autoptr (UmedptBatch) one = samples_next (loader);
    g_autoptr (UmedptBatch) two = samples_next (loader);

    g_assert_cmpuint (one->n, ==, 4);
    g_assert_cmpuint (two->n, ==, 1);
    for (guint i = 0; i < 4; i++)
      g_assert_cmpuint (one->indices[i], ==, 2 * i + 1);
    g_assert_cmpuint (two->indices[0], ==, 9);
  }
}

/* The same batches whatever the threads, the cache and the depth. */
static void
test_deterministic (void)
{
  for (guint kind = 0; kind < UMEDPT_N_TASK_KINDS; kind++) {
    g_autoptr (UmedptDataset) dataset = samples_dataset (kind, 23);
    UmedptLoaderSettings settings = samples_settings (5);
    g_autoptr (GPtrArray) expected = NULL;
    g_autoptr (UmedptLoader) first = NULL;

    settings.threads = 1;
    settings.ahead = 1;
    first = samples_loader (dataset, &settings);
    expected = digests (first, 15);
    for (guint threads = 1; threads <= 5; threads += 2)
      for (guint cache = 0; cache < 3; cache++) {
        g_autoptr (UmedptLoader) loader = NULL;
        g_autoptr (GPtrArray) found = NULL;

        settings.threads = threads;
        settings.ahead = threads + 1;
        settings.cache_bytes = cache * 30000;
        loader = samples_loader (dataset, &settings);
        found = digests (loader, 15);
        assert_equal_from (expected, 0, found);
      }
  }
}

static void
test_seek (void)
{
  g_autoptr (UmedptDataset) dataset =
      samples_dataset (UMEDPT_TASK_SEGMENTATION, 30);
  UmedptLoaderSettings settings = samples_settings (4);
  g_autoptr (UmedptLoader) straight = samples_loader (dataset, &settings);
  g_autoptr (UmedptLoader) other = samples_loader (dataset, &settings);
  g_autoptr (GPtrArray) all = digests (straight, 32);
  static const guint places[] = { 0, 13, 7, 8, 30, 3, 16 };

  for (guint i = 0; i < G_N_ELEMENTS (places); i++) {
    g_autoptr (GPtrArray) found = NULL;
    guint64 epoch;
    guint batch;

    umedpt_loader_seek (other, places[i] / 8, places[i] % 8);
    umedpt_loader_tell (other, &epoch, &batch);
    g_assert_cmpuint (epoch * 8 + batch, ==, places[i]);
    found = digests (other, MIN (3, 32 - places[i]));
    assert_equal_from (all, places[i], found);
  }
  umedpt_loader_seek (other, 1, 9);
  g_autoptr (GPtrArray) beyond = digests (other, 2);
  assert_equal_from (all, 17, beyond);
}

static void
test_seeds_differ (void)
{
  g_autoptr (UmedptDataset) dataset =
      samples_dataset (UMEDPT_TASK_CLASSIFICATION, 30);
  UmedptLoaderSettings settings = samples_settings (30);
  g_autoptr (UmedptLoader) one = samples_loader (dataset, &settings);
  g_autoptr (UmedptLoader) two = NULL;
  g_autoptr (GPtrArray) a = NULL;
  g_autoptr (GPtrArray) b = NULL;

  settings.seed++;
  two = samples_loader (dataset, &settings);
  a = digests (one, 1);
  b = digests (two, 1);
  g_assert_cmpstr (a->pdata[0], !=, b->pdata[0]);
}

static void
test_balanced (void)
{
  g_autoptr (UmedptDataset) dataset =
      samples_dataset (UMEDPT_TASK_CLASSIFICATION, 100);
  UmedptLoaderSettings settings = samples_settings (10);
  g_autoptr (UmedptLoader) loader = NULL;
  guint counts[SAMPLES_LABELS] = { 0 }, seen[100] = { 0 };

  settings.balanced = TRUE;
  loader = samples_loader (dataset, &settings);
  for (guint b = 0; b < 10; b++) {
    g_autoptr (UmedptBatch) batch = samples_next (loader);

    for (guint i = 0; i < batch->n; i++) {
      counts[umedpt_dataset_peek_label (dataset, batch->indices[i])]++;
      seen[batch->indices[i]]++;
    }
  }
  for (guint c = 0; c < SAMPLES_LABELS; c++)
    g_assert_true (counts[c] == 33 || counts[c] == 34);
  for (guint i = 0; i < 100; i++) { /* 60, 30 and 10 samples */
    if (umedpt_dataset_peek_label (dataset, i) == 0)
      g_assert_cmpuint (seen[i], <=, 1);
    else if (umedpt_dataset_peek_label (dataset, i) == 2)
      g_assert_true (seen[i] == 3 || seen[i] == 4);
  }
}

/* Whole cases; 20 records are 8 cases, of 1, 2, 3 and 4 samples. */
static void
check_grouped (UmedptTaskKind kind, guint max_group, gboolean shuffle)
{
  g_autoptr (UmedptDataset) dataset = samples_dataset (kind, 20);
  UmedptLoaderSettings settings = samples_settings (3);
  g_autoptr (UmedptLoader) loader = NULL;
  guint n_cases = 0;

  settings.grouped = TRUE;
  settings.shuffle = shuffle;
  settings.max_group = max_group;
  loader = samples_loader (dataset, &settings);
  g_assert_cmpuint (umedpt_loader_get_n_batches (loader), ==, 3);
  for (guint b = 0; b < 3; b++) {
    g_autoptr (UmedptBatch) batch = samples_next (loader);
    const gint32 *groups = umedpt_tensor_get_data (batch->groups);
    const gint32 *targets = umedpt_tensor_get_data (batch->targets);
    guint size = 0;

    g_assert_cmpuint (batch->n_groups, ==, b < 2 ? 3 : 2);
    g_assert_cmpint (umedpt_tensor_get_dim (batch->targets, 0), ==,
        batch->n_groups);
    for (guint i = 0; i < batch->n; i++) {
      guint index = batch->indices[i];
      gboolean first = i == 0 || groups[i] != groups[i - 1];

      g_assert_cmpint (groups[i], ==,
          i == 0 ? 0 : groups[i - 1] + (first ? 1 : 0));
      if (first) {
        g_assert_cmpint (targets[groups[i]], ==, index % SAMPLES_LABELS);
        n_cases++;
      } else {
        g_assert_cmpuint (index, >, batch->indices[i - 1]);
        g_assert_cmpstr (umedpt_dataset_get_case (dataset, index), ==,
            umedpt_dataset_get_case (dataset, batch->indices[i - 1]));
      }
      size = first ? 1 : size + 1;
      g_assert_cmpuint (size, <=, max_group ? max_group : 4);
    }
  }
  g_assert_cmpuint (n_cases, ==, 8);
  g_assert_cmpint (samples_n_reads, >=, max_group == 2 ? 14 : 20);
}

static void
test_grouped (void)
{
  check_grouped (UMEDPT_TASK_CLASSIFICATION, 0, TRUE);
  check_grouped (UMEDPT_TASK_CLASSIFICATION, 2, TRUE);
  check_grouped (UMEDPT_TASK_CLASSIFICATION, 2, FALSE);
  check_grouped (UMEDPT_TASK_CLASSIFICATION, 0, FALSE);
}

/* Images of a large case change from epoch to epoch, but not in validation. */
static void
test_group_draws (void)
{
  for (guint shuffle = 0; shuffle < 2; shuffle++) {
    g_autoptr (UmedptDataset) dataset =
        samples_dataset (UMEDPT_TASK_CLASSIFICATION, 10);
    UmedptLoaderSettings settings = samples_settings (4);
    g_autoptr (UmedptLoader) loader = NULL;
    guint seen[10] = { 0 };

    settings.grouped = TRUE;
    settings.shuffle = shuffle;
    settings.max_group = 1;
    loader = samples_loader (dataset, &settings);
    for (guint epoch = 0; epoch < 30; epoch++) {
      g_autoptr (UmedptBatch) batch = samples_next (loader);

      g_assert_cmpuint (batch->n, ==, 4);
      for (guint i = 0; i < 4; i++)
        seen[batch->indices[i]]++;
    }
    for (guint i = 6; i < 10; i++) /* the case of four */
      if (shuffle)
        g_assert_cmpuint (seen[i], >, 0);
      else
        g_assert_true (seen[i] == 0 || seen[i] == 30);
  }
}

static void
check_shape (UmedptTensor *tensor, UmedptDtype dtype, guint n_dims,
    const gint64 *dims)
{
  g_assert_nonnull (tensor);
  g_assert_cmpint (umedpt_tensor_get_dtype (tensor), ==, dtype);
  g_assert_cmpuint (umedpt_tensor_get_n_dims (tensor), ==, n_dims);
  for (guint i = 0; i < n_dims; i++)
    g_assert_cmpint (umedpt_tensor_get_dim (tensor, (gint) i), ==, dims[i]);
}

static void
test_targets (void)
{
  static const UmedptDtype types[] = { UMEDPT_DTYPE_I32, UMEDPT_DTYPE_F32,
    UMEDPT_DTYPE_F32, UMEDPT_DTYPE_U8, UMEDPT_DTYPE_U8 };
  static const guint n_dims[] = { 1, 2, 1, 3, 4 };
  static const gint64 dims[][4] = { { 6 }, { 6, SAMPLES_LABELS }, { 6 },
    { 6, SAMPLES_HEIGHT, SAMPLES_WIDTH },
    { 6, SAMPLES_HEIGHT, SAMPLES_WIDTH, SAMPLES_LABELS } };

  for (guint kind = 0; kind < UMEDPT_N_TASK_KINDS; kind++) {
    g_autoptr (UmedptDataset) dataset = samples_dataset (kind, 6);
    UmedptLoaderSettings settings = samples_settings (6);
    g_autoptr (UmedptLoader) loader = NULL;
    g_autoptr (UmedptBatch) batch = NULL;

    settings.shuffle = FALSE;
    settings.augment = (UmedptAugmentSettings){ SAMPLES_WIDTH, SAMPLES_HEIGHT,
      UMEDPT_AUGMENT_NONE, UMEDPT_FIT_STRETCH, 1, FALSE };
    loader = samples_loader (dataset, &settings);
    batch = samples_next (loader);
    g_assert_cmpint (batch->kind, ==, kind);
    check_shape (batch->images, UMEDPT_DTYPE_F32, 4,
        (gint64[]){ 6, SAMPLES_HEIGHT, SAMPLES_WIDTH, 3 });
    g_assert_null (batch->groups);
    g_assert_true ((batch->weights != NULL) == (kind == 1));
    if (kind == UMEDPT_TASK_DETECTION)
      g_assert_null (batch->targets);
    else
      check_shape (batch->targets, types[kind], n_dims[kind], dims[kind]);
    for (guint i = 0; i < 6; i++) {
      g_autoptr (UmedptSample) sample = umedpt_dataset_read (dataset, i, NULL);
      gsize n = SAMPLES_WIDTH * SAMPLES_HEIGHT,
            planes = kind == 4 ? SAMPLES_LABELS : 1;
      const gfloat *image = umedpt_tensor_get_data (batch->images);
      const void *data =
          batch->targets ? umedpt_tensor_get_data (batch->targets) : NULL;

      g_assert_cmpmem (image + 3 * n * i, 12 * n, sample->image, 12 * n);
      if (kind == 0)
        g_assert_cmpint (((const gint32 *) data)[i], ==, sample->label);
      else if (kind == 1)
        g_assert_cmpmem ((const gfloat *) data + SAMPLES_LABELS * i, 12,
            sample->labels, 12);
      else if (kind == 2)
        g_assert_cmpfloat (((const gfloat *) data)[i], ==, sample->value);
      else if (kind < 5)
        g_assert_cmpmem ((const guint8 *) data + n * planes * i, n * planes,
            sample->mask, n * planes);
      else
        g_assert_cmpuint (((GArray *) batch->boxes->pdata[i])->len, ==, i % 4);
      if (kind == 1)
        g_assert_cmpfloat (((const gfloat *)
                                   umedpt_tensor_get_data (batch->weights))
                               [SAMPLES_LABELS * i],
            ==, i % 2 ? (gfloat) i : 1);
    }
  }
}

static void
test_cache (void)
{
  g_autoptr (UmedptDataset) dataset =
      samples_dataset (UMEDPT_TASK_DETECTION, 20);
  UmedptLoaderSettings settings = samples_settings (10);
  g_autoptr (UmedptLoader) loader = NULL;
  g_autoptr (UmedptSampleCache) small = NULL;

  settings.cache_bytes = 1024 * 1024;
  loader = samples_loader (dataset, &settings);
  for (guint i = 0; i < 8; i++)
    umedpt_batch_free (samples_next (loader));
  /* Some may be read twice by two threads before the first is kept. */
  g_assert_cmpint (samples_n_reads, <=, 22);

  small = umedpt_sample_cache_new (6000, 1);
  for (guint round = 0; round < 3; round++)
    for (guint i = 0; i < 20; i++) {
      g_autoptr (UmedptSample) sample = umedpt_dataset_read (dataset, i, NULL);
      g_autoptr (UmedptSample) kept = NULL;

      umedpt_sample_cache_insert (small, i, sample);
      g_assert_cmpuint (umedpt_sample_cache_get_bytes (small), <=, 6000);
      kept = umedpt_sample_cache_lookup (small, i);
      if (!kept) /* larger than the cache: floats of three channels */
        continue;
      g_assert_cmpmem (kept->image, 12 * SAMPLES_WIDTH * SAMPLES_HEIGHT,
          sample->image, 12 * SAMPLES_WIDTH * SAMPLES_HEIGHT);
      g_assert_cmpint (kept->label, ==, sample->label);
      g_assert_cmpuint (kept->boxes->len, ==, sample->boxes->len);
    }
  g_assert_cmpuint (umedpt_sample_cache_get_bytes (small), >, 0);
  g_assert_null (umedpt_sample_cache_lookup (small, 0)); /* long unused */
}

/* Batches in the making are bounded: nobody reads on and on. */
static void
test_ahead (void)
{
  g_autoptr (UmedptDataset) dataset =
      samples_dataset (UMEDPT_TASK_CLASSIFICATION, 100);
  UmedptLoaderSettings settings = samples_settings (4);
  g_autoptr (UmedptLoader) loader = NULL;

  settings.threads = 4;
  settings.ahead = 3;
  loader = samples_loader (dataset, &settings);
  for (gint taken = 1; taken < 4; taken++) {
    gint bound = 4 * (taken + 3);

    umedpt_batch_free (samples_next (loader));
    while (g_atomic_int_get (&samples_n_reads) <
        bound) /* as far as they may … */
      g_usleep (1000);
    g_usleep (10000); /* … and no farther */
    g_assert_cmpint (g_atomic_int_get (&samples_n_reads), ==, bound);
  }
}

static void
test_error (void)
{
  g_autoptr (UmedptDataset) dataset =
      samples_dataset (UMEDPT_TASK_CLASSIFICATION, 12);
  UmedptLoaderSettings settings = samples_settings (4);
  g_autoptr (UmedptLoader) loader = NULL;
  guint64 epoch;
  guint batch;

  settings.shuffle = FALSE;
  samples_bad = 6;
  loader = samples_loader (dataset, &settings);
  umedpt_batch_free (samples_next (loader));
  for (guint i = 0; i < 2; i++) { /* asked again, it is said again */
    g_autoptr (GError) error = NULL;

    g_assert_null (umedpt_loader_next (loader, NULL, &error));
    g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT);
    g_assert_cmpstr (error->message, ==, "images/6.png: it is no image");
    umedpt_loader_tell (loader, &epoch, &batch);
    g_assert_cmpuint (epoch, ==, 0);
    g_assert_cmpuint (batch, ==, 1);
  }
  umedpt_loader_seek (loader, 0, 2);
  umedpt_batch_free (samples_next (loader));
}

static void
test_empty (void)
{
  g_autoptr (UmedptDataset) dataset =
      samples_dataset (UMEDPT_TASK_CLASSIFICATION, 2);
  g_autoptr (GArray) none = g_array_new (FALSE, FALSE, sizeof (guint));
  UmedptLoaderSettings settings = samples_settings (4);
  g_autoptr (UmedptLoader) loader =
      umedpt_loader_new (dataset, none, &settings);
  g_autoptr (GError) error = NULL;

  g_assert_cmpuint (umedpt_loader_get_n_batches (loader), ==, 0);
  g_assert_null (umedpt_loader_next (loader, NULL, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA);
}

static gpointer
cancel_soon (gpointer cancellable)
{
  g_usleep (30000);
  g_cancellable_cancel (cancellable);
  return NULL;
}

static void
test_cancel (void)
{
  g_autoptr (UmedptDataset) dataset =
      samples_dataset (UMEDPT_TASK_CLASSIFICATION, 8);
  UmedptLoaderSettings settings = samples_settings (8);
  g_autoptr (UmedptLoader) loader = NULL;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptBatch) batch = NULL;
  GThread *thread;

  loader = samples_loader (dataset, &settings);
  samples_gate = 3;
  g_atomic_int_set (&samples_gate_closed, 1);
  thread = g_thread_new ("cancel", cancel_soon, cancellable);
  g_assert_null (umedpt_loader_next (loader, cancellable, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_CANCELLED);
  g_thread_join (thread);
  g_assert_cmpfloat (umedpt_loader_take_wait (loader), >, 0);
  g_assert_cmpfloat (umedpt_loader_take_wait (loader), ==, 0);
  g_clear_error (&error);
  g_assert_null (umedpt_loader_next (loader, cancellable, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_CANCELLED);
  g_atomic_int_set (&samples_gate_closed, 0);
  batch = samples_next (loader);
  g_assert_cmpuint (batch->n, ==, 8);
}

/* Freed with threads at work, and before any began. */
static void
test_free_early (void)
{
  g_autoptr (UmedptDataset) dataset =
      samples_dataset (UMEDPT_TASK_MULTILABEL_SEGMENTATION, 40);
  UmedptLoaderSettings settings = samples_settings (2);

  settings.threads = 3;
  for (guint i = 0; i < 20; i++) {
    g_autoptr (UmedptLoader) loader = samples_loader (dataset, &settings);

    for (guint k = 0; k < i % 4; k++) {
      umedpt_batch_free (samples_next (loader));
      umedpt_loader_seek (loader, i, k);
    }
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/loader/once-per-epoch", test_once_per_epoch);
  g_test_add_func ("/loader/plain-order", test_plain_order);
  g_test_add_func ("/loader/deterministic", test_deterministic);
  g_test_add_func ("/loader/seek", test_seek);
  g_test_add_func ("/loader/seeds-differ", test_seeds_differ);
  g_test_add_func ("/loader/balanced", test_balanced);
  g_test_add_func ("/loader/grouped", test_grouped);
  g_test_add_func ("/loader/group-draws", test_group_draws);
  g_test_add_func ("/loader/targets", test_targets);
  g_test_add_func ("/loader/cache", test_cache);
  g_test_add_func ("/loader/ahead", test_ahead);
  g_test_add_func ("/loader/error", test_error);
  g_test_add_func ("/loader/empty", test_empty);
  g_test_add_func ("/loader/cancel", test_cancel);
  g_test_add_func ("/loader/free-early", test_free_early);
  return g_test_run ();
}
