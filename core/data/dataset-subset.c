/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Cases in a random order, and subsets made of them: the experiments with few
 * data take the first so many per cent. The order does not depend on the
 * share, so a smaller subset lies in every larger one of the same seed.
 */
#include "data/dataset-files.h"

#include <math.h>
#include <string.h>

#include "base/random.h"

static const UmedptRecord *
get_record (UmedptDataset *self, guint index)
{
  return &g_array_index (self->records, UmedptRecord, index);
}

static void
free_members (gpointer members)
{
  g_array_unref (members);
}

static gint
compare_cases (gconstpointer a, gconstpointer b, gpointer data)
{
  const GArray *x = *(GArray *const *) a, *y = *(GArray *const *) b;
  UmedptDataset *self = data;

  return strcmp (get_record (self, g_array_index (x, guint, 0))->case_id,
      get_record (self, g_array_index (y, guint, 0))->case_id);
}

static gint
compare_labels (gconstpointer a, gconstpointer b, gpointer data)
{
  const GArray *x = *(GArray *const *) a, *y = *(GArray *const *) b;
  UmedptDataset *self = data;
  gint i = get_record (self, g_array_index (x, guint, 0))->label;
  gint j = get_record (self, g_array_index (y, guint, 0))->label;

  return (i > j) - (i < j);
}

/* The samples @indices by case, of GArray of guint, in an order drawn by @seed;
 * if @by_class those of a class together. */
GPtrArray *
umedpt_dataset_draw_cases (UmedptDataset *self, const GArray *indices,
    guint64 seed, gboolean by_class)
{
  g_autoptr (GHashTable) found = g_hash_table_new (g_str_hash, g_str_equal);
  GPtrArray *cases = g_ptr_array_new_with_free_func (free_members);
  UmedptRandom random;

  for (guint i = 0; i < indices->len; i++) {
    guint index = g_array_index (indices, guint, i);
    char *case_id = get_record (self, index)->case_id;
    GArray *members = g_hash_table_lookup (found, case_id);

    if (members == NULL) {
      members = g_array_new (FALSE, FALSE, sizeof (guint));
      g_hash_table_insert (found, case_id, members);
      g_ptr_array_add (cases, members);
    }
    g_array_append_val (members, index);
  }
  g_ptr_array_sort_with_data (cases, compare_cases, self);
  umedpt_random_init_named (&random, seed, "cases");
  for (guint i = cases->len; i > 1; i--) {
    guint j = (guint) umedpt_random_below (&random, i);
    gpointer swap = cases->pdata[i - 1];

    cases->pdata[i - 1] = cases->pdata[j];
    cases->pdata[j] = swap;
  }
  if (by_class) /* stable: the order within a class stays random */
    g_ptr_array_sort_with_data (cases, compare_labels, self);
  return cases;
}

static gint
compare_indices (gconstpointer a, gconstpointer b)
{
  guint i = *(const guint *) a, j = *(const guint *) b;

  return (i > j) - (i < j);
}

static void
take (GArray *subset, const GArray *members, gboolean *taken)
{
  g_array_append_vals (subset, members->data, members->len);
  *taken = TRUE;
}

/* The first case of every class that occurs. */
static void
take_one_per_class (UmedptDataset *self, const GPtrArray *cases, GArray *subset,
    gboolean *taken)
{
  guint n = umedpt_dataset_get_n_labels (self);
  g_autofree gboolean *seen = g_new0 (gboolean, n + 1);

  for (guint label = 0; label < n; label++)
    for (guint i = 0; i < cases->len && !seen[label]; i++) {
      const GArray *members = g_ptr_array_index (cases, i);
      gboolean has = FALSE;

      for (guint j = 0; j < members->len; j++)
        has |= get_record (self, g_array_index (members, guint, j))->label ==
            (gint) label;
      if (has && !taken[i])
        take (subset, members, &taken[i]);
      for (guint j = 0; has && j < members->len; j++) {
        gint other =
            get_record (self, g_array_index (members, guint, j))->label;

        if (other >= 0)
          seen[other] = TRUE;
      }
    }
}

/**
 * umedpt_dataset_subset: (skip)
 * @self: a data set
 * @indices: samples, of guint
 * @fraction: the share of them that is wanted, 0 to 1
 * @seed: number that draws
 *
 * Draws whole cases until about @fraction of @indices are together, for
 * classification beginning with one of every class. Of one seed, a subset
 * contains all smaller ones.
 *
 * Returns: (transfer full): the samples drawn, ascending, of guint
 *
 * Since: 0.1
 */
GArray *
umedpt_dataset_subset (UmedptDataset *self, const GArray *indices,
    double fraction, guint64 seed)
{
  g_autoptr (GPtrArray) cases =
      umedpt_dataset_draw_cases (self, indices, seed, FALSE);
  g_autofree gboolean *taken = g_new0 (gboolean, cases->len + 1);
  GArray *subset = g_array_new (FALSE, FALSE, sizeof (guint));
  double wanted = CLAMP (fraction, 0, 1) * indices->len;

  if (self->kind == UMEDPT_TASK_CLASSIFICATION)
    take_one_per_class (self, cases, subset, taken);
  for (guint i = 0; i < cases->len; i++) {
    const GArray *members = g_ptr_array_index (cases, i);
    double after = (double) subset->len + members->len;

    if (taken[i])
      continue;
    if (subset->len > 0 && after - wanted > wanted - subset->len)
      break;
    take (subset, members, &taken[i]);
  }
  g_array_sort (subset, compare_indices);
  return subset;
}
