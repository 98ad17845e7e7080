/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Parts of batches, by the loaders of several processes: together they are the
 * batch, with the same bits, for every kind of task; some are empty.
 */
#include "samples.h"

static void
check_bytes (UmedptTensor *whole, UmedptTensor *part, guint first)
{
  const gsize size = umedpt_tensor_get_size (part);
  const gint64 rows = umedpt_tensor_get_dim (part, 0);
  const guint8 *data = umedpt_tensor_get_data (whole);

  if (rows > 0)
    g_assert_cmpmem (data + size / (gsize) rows * first, size,
        umedpt_tensor_get_data (part), size);
}

/* @part: what one of several has of @whole. */
static void
check_part (UmedptBatch *whole, UmedptBatch *part)
{
  g_assert_cmpuint (part->first + part->n, <=, whole->n);
  for (guint i = 0; i < part->n; i++)
    g_assert_cmpuint (part->indices[i], ==, whole->indices[part->first + i]);
  check_bytes (whole->images, part->images, part->first);
  if (whole->targets)
    check_bytes (whole->targets, part->targets, part->first);
  if (whole->weights)
    check_bytes (whole->weights, part->weights, part->first);
  for (guint i = 0; whole->boxes && i < part->n; i++) {
    GArray *all = g_ptr_array_index (whole->boxes, part->first + i);
    GArray *own = g_ptr_array_index (part->boxes, i);

    g_assert_cmpmem (all->data, all->len * sizeof (UmedptBox), own->data,
        own->len * sizeof (UmedptBox));
  }
}

/* Batches of 5, 5 and 1 by three loaders. */
static void
check_parts (UmedptTaskKind kind)
{
  g_autoptr (UmedptDataset) dataset = samples_dataset (kind, 11);
  UmedptLoaderSettings settings = samples_settings (5);
  g_autoptr (UmedptLoader) whole = samples_loader (dataset, &settings);
  UmedptLoader *parts[3];

  for (guint p = 0; p < 3; p++) {
    parts[p] = samples_loader (dataset, &settings);
    umedpt_loader_set_part (parts[p], p, 3);
    umedpt_loader_seek (parts[p], 1, 1);
  }
  umedpt_loader_seek (whole, 1, 1);
  for (guint b = 0; b < 7; b++) {
    g_autoptr (UmedptBatch) all = samples_next (whole);
    guint n = 0;

    for (guint p = 0; p < 3; p++) {
      g_autoptr (UmedptBatch) part = samples_next (parts[p]);

      g_assert_cmpuint (part->first, ==, n);
      check_part (all, part);
      n += part->n;
    }
    g_assert_cmpuint (n, ==, all->n);
  }
  for (guint p = 0; p < 3; p++)
    umedpt_loader_free (parts[p]);
}

static void
test_parts (void)
{
  for (guint kind = 0; kind < UMEDPT_N_TASK_KINDS; kind++)
    check_parts (kind);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/loader/parts", test_parts);
  return g_test_run ();
}
