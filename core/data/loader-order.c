/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the batches of an epoch contain, as a function of seed and epoch. The
 * unit that is drawn is a sample or, for grouped tasks, a case. Balanced
 * drawing gives every class the same number of places in an epoch, up to one;
 * each class goes through its units in random order, again and again.
 */
#include "base/random.h"
#include "data/loader-private.h"

static UmedptUnits *
units_alloc (guint n, guint n_members)
{
  UmedptUnits *self = g_new0 (UmedptUnits, 1);

  self->n = n;
  self->start = g_new0 (guint, (gsize) n + 1);
  self->members = g_new0 (guint, MAX (n_members, 1));
  self->labels = g_new0 (gint, MAX (n, 1));
  return self;
}

/* Cases in the order of their first samples; @case_of (out): the case of
 * every position of @indices. Returns how many there are. */
static guint
number_cases (UmedptDataset *dataset, const GArray *indices, gboolean grouped,
    guint *case_of)
{
  g_autoptr (GHashTable) known = g_hash_table_new (g_str_hash, g_str_equal);
  guint n = 0;

  for (guint i = 0; i < indices->len; i++) {
    guint index = g_array_index (indices, guint, i);
    gpointer number, name = (gpointer) umedpt_dataset_get_case (dataset, index);

    if (!grouped || !name) {
      case_of[i] = n++;
    } else if (g_hash_table_lookup_extended (known, name, NULL, &number)) {
      case_of[i] = GPOINTER_TO_UINT (number);
    } else {
      g_hash_table_insert (known, name, GUINT_TO_POINTER (n));
      case_of[i] = n++;
    }
  }
  return n;
}

UmedptUnits *
umedpt_units_new (UmedptDataset *dataset, const GArray *indices,
    gboolean grouped)
{
  g_autofree guint *case_of = g_new (guint, MAX (indices->len, 1));
  guint n = number_cases (dataset, indices, grouped, case_of);
  UmedptUnits *self = units_alloc (n, indices->len);
  g_autofree guint *filled = g_new0 (guint, MAX (n, 1));

  for (guint i = 0; i < indices->len; i++)
    self->start[case_of[i] + 1]++;
  for (guint i = 0; i < n; i++)
    self->start[i + 1] += self->start[i];
  for (guint i = 0; i < indices->len; i++) {
    guint c = case_of[i];

    self->members[self->start[c] + filled[c]++] =
        g_array_index (indices, guint, i);
  }
  for (guint i = 0; i < n; i++)
    self->labels[i] =
        umedpt_dataset_peek_label (dataset, self->members[self->start[i]]);
  return self;
}

void
umedpt_units_free (UmedptUnits *self)
{
  if (!self)
    return;
  g_free (self->start);
  g_free (self->members);
  g_free (self->labels);
  g_free (self);
}

static void
shuffle (guint *values, guint n, UmedptRandom *random)
{
  for (guint i = n; i > 1; i--) {
    guint k = (guint) umedpt_random_below (random, i);
    guint kept = values[i - 1];

    values[i - 1] = values[k];
    values[k] = kept;
  }
}

static void
members_free (gpointer members)
{
  g_array_unref (members);
}

/* The units of the classes that occur, one array per class. */
static GPtrArray *
units_by_class (const UmedptUnits *units)
{
  g_autoptr (GPtrArray) classes = g_ptr_array_new_with_free_func (members_free);
  gint max = -1;

  for (guint i = 0; i < units->n; i++)
    max = MAX (max, units->labels[i]);
  for (gint c = 0; c <= max; c++)
    g_ptr_array_add (classes, g_array_new (FALSE, FALSE, sizeof (guint)));
  for (guint i = 0; i < units->n; i++)
    if (units->labels[i] >= 0)
      g_array_append_val ((GArray *) classes->pdata[units->labels[i]], i);
  for (guint c = classes->len; c > 0; c--)
    if (((GArray *) classes->pdata[c - 1])->len == 0)
      g_ptr_array_remove_index (classes, c - 1);
  return g_steal_pointer (&classes);
}

/* Fills @order with as many units as there are, the classes in turn, so that
 * every batch holds them equally often: what all images have in common, which
 * is most of an untrained network's vector, then cancels in the gradient of
 * the head. FALSE if none has a class. */
static gboolean
draw_balanced (const UmedptUnits *units, guint *order, UmedptRandom *random)
{
  g_autoptr (GPtrArray) classes = units_by_class (units);
  g_autofree guint *at = NULL;
  g_autofree guint *turn = NULL;

  if (classes->len == 0)
    return FALSE;
  at = g_new0 (guint, classes->len);
  turn = g_new (guint, classes->len);
  for (guint c = 0; c < classes->len; c++)
    turn[c] = c;
  /* Which classes get one place more than the others is random as well. */
  shuffle (turn, classes->len, random);
  for (guint i = 0; i < units->n; i++) {
    guint c = turn[i % classes->len];
    GArray *members = classes->pdata[c];

    if (at[c] % members->len == 0)
      shuffle ((guint *) members->data, members->len, random);
    order[i] = g_array_index (members, guint, at[c]++ % members->len);
  }
  return TRUE;
}

/* Positions of @m of @n members, ascending: drawn, or evenly spaced. */
static void
choose (guint *chosen, guint n, guint m, gboolean drawn, UmedptRandom *random)
{
  guint taken = 0;

  for (guint i = 0; i < n && taken < m; i++) {
    gboolean take = drawn ? umedpt_random_below (random, n - i) < m - taken
                          : (guint64) i * m / n >= taken;

    if (take)
      chosen[taken++] = i;
  }
}

static void
append_unit (UmedptOrder *self, const UmedptUnits *units, guint unit,
    guint case_number, const UmedptLoaderSettings *settings,
    UmedptRandom *random)
{
  guint n = units->start[unit + 1] - units->start[unit], m = n;
  g_autofree guint *chosen = NULL;
  gint32 number = (gint32) case_number;

  if (settings->grouped && settings->max_group > 0)
    m = MIN (n, settings->max_group);
  chosen = g_new (guint, m);
  choose (chosen, n, m, settings->shuffle && m < n, random);
  for (guint i = 0; i < m; i++) {
    g_array_append_val (self->samples,
        units->members[units->start[unit] + chosen[i]]);
    g_array_append_val (self->cases, number);
  }
}

static void
order_clear (gpointer data)
{
  UmedptOrder *self = data;

  g_free (self->first);
  g_array_unref (self->samples);
  g_array_unref (self->cases);
}

/* (transfer full): with umedpt_order_unref(). */
UmedptOrder *
umedpt_order_new (const UmedptUnits *units,
    const UmedptLoaderSettings *settings, guint64 epoch)
{
  UmedptOrder *self = g_atomic_rc_box_new0 (UmedptOrder);
  g_autofree char *name = g_strdup_printf ("order/%" G_GUINT64_FORMAT, epoch);
  g_autofree guint *order = g_new (guint, MAX (units->n, 1));
  UmedptRandom random;

  umedpt_random_init_named (&random, settings->seed, name);
  for (guint i = 0; i < units->n; i++)
    order[i] = i;
  if (!settings->balanced || !draw_balanced (units, order, &random))
    if (settings->shuffle)
      shuffle (order, units->n, &random);
  self->samples = g_array_new (FALSE, FALSE, sizeof (guint));
  self->cases = g_array_new (FALSE, FALSE, sizeof (gint32));
  self->n_batches =
      units->n / settings->batch + (units->n % settings->batch > 0);
  self->first = g_new0 (guint, (gsize) self->n_batches + 1);
  for (guint i = 0; i < units->n; i++) {
    append_unit (self, units, order[i], i % settings->batch, settings, &random);
    self->first[i / settings->batch + 1] = self->samples->len;
  }
  return self;
}

UmedptOrder *
umedpt_order_ref (UmedptOrder *self)
{
  return g_atomic_rc_box_acquire (self);
}

void
umedpt_order_unref (UmedptOrder *self)
{
  g_atomic_rc_box_release_full (self, order_clear);
}
