/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Which part (training, validation, test) each sample is in: by a table, by
 * what the format said (folders, a column), or drawn. Parts are drawn by whole
 * cases, because images of one patient are too alike to be on both sides, and
 * class by class, so that rare ones occur everywhere. The draw depends on the
 * seed and the cases' names alone.
 */
#include "data/dataset-files.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/random.h"

gint
umedpt_split_parse (const char *name)
{
  static const struct
  {
    const char *name;
    UmedptSplit split;
  } names[] = { { "train", UMEDPT_SPLIT_TRAIN },
    { "training", UMEDPT_SPLIT_TRAIN }, { "val", UMEDPT_SPLIT_VAL },
    { "valid", UMEDPT_SPLIT_VAL }, { "validation", UMEDPT_SPLIT_VAL },
    { "test", UMEDPT_SPLIT_TEST }, { "testing", UMEDPT_SPLIT_TEST } };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    if (g_ascii_strcasecmp (names[i].name, name) == 0)
      return (gint) names[i].split;
  return -1;
}

/* Filters */

static gboolean
compare (const char *op, const char *cell, const char *wanted)
{
  char *end_a = NULL, *end_b = NULL;
  double a = g_ascii_strtod (cell, &end_a), b = g_ascii_strtod (wanted, &end_b);
  gboolean numbers =
      *cell != '\0' && *end_a == '\0' && *wanted != '\0' && *end_b == '\0';

  if (strcmp (op, "=") == 0)
    return numbers ? a == b : strcmp (cell, wanted) == 0;
  if (strcmp (op, "!=") == 0)
    return numbers ? a != b : strcmp (cell, wanted) != 0;
  if (!numbers)
    return FALSE;
  if (strcmp (op, ">=") == 0)
    return a >= b;
  if (strcmp (op, "<=") == 0)
    return a <= b;
  return *op == '>' ? a > b : a < b;
}

/* "coverage>=0.8" into its three parts. */
static gboolean
parse_condition (GKeyFile *file, const char *group, const char *condition,
    char **column, char **op, char **value, GError **error)
{
  gsize n = strcspn (condition, "<>=!");
  gsize m = strspn (condition + n, "<>=!");
  static const char *const ops[] = { "=", "!=", ">=", "<=", ">", "<", NULL };

  *column = g_strstrip (g_strndup (condition, n));
  *op = g_strndup (condition + n, m);
  *value = g_strstrip (g_strdup (condition + n + m));
  if (**column != '\0' && g_strv_contains (ops, *op))
    return TRUE;
  return umedpt_dataset_fail_key (file, group, "filter", error,
      "“%s” is no condition; expected a column, one of = != >= <= > <, and a "
      "value",
      condition);
}

gboolean
umedpt_dataset_filter (GKeyFile *file, const char *group, const UmedptCsv *csv,
    const UmedptCsvRow *row, gboolean *keep, GError **error)
{
  g_auto (GStrv) list = umedpt_dataset_get_key_list (file, group, "filter");

  *keep = TRUE;
  for (guint i = 0; list != NULL && list[i] != NULL; i++) {
    g_autofree char *column = NULL, *op = NULL, *value = NULL;
    gint at;

    if (!parse_condition (file, group, list[i], &column, &op, &value, error))
      return FALSE;
    at = umedpt_csv_find_column (csv, column);
    if (at >= 0 && !compare (op, row->cells[at], value))
      *keep = FALSE;
  }
  return TRUE;
}

/* Has one of the tables of labels this column? */
static gboolean
has_column (UmedptDataset *self, GKeyFile *file, const char *group,
    const char *column)
{
  g_autofree char *annotations =
      umedpt_dataset_get_key (file, group, "annotations", "");
  g_autofree char *table = umedpt_dataset_get_key (file, group, "table", "");
  const char *const names[] = { annotations, table, "labels.csv",
    "frames.csv" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *path = umedpt_dataset_path (self, names[i]);
    g_autoptr (UmedptCsv) csv = NULL;

    if (!g_str_has_suffix (names[i], ".csv") ||
        !umedpt_dataset_name_is_inside (names[i]))
      continue;
    csv = umedpt_csv_load (path, NULL);
    if (csv != NULL && umedpt_csv_find_column (csv, column) >= 0)
      return TRUE;
  }
  return FALSE;
}

/* Every column of the filter must be in one of the tables. */
static gboolean
check_filter (UmedptDataset *self, GKeyFile *file, const char *group,
    const UmedptCsv *csv, GError **error)
{
  g_auto (GStrv) list = umedpt_dataset_get_key_list (file, group, "filter");

  for (guint i = 0; list != NULL && list[i] != NULL; i++) {
    g_autofree char *column = NULL, *op = NULL, *value = NULL;

    if (!parse_condition (file, group, list[i], &column, &op, &value, error))
      return FALSE;
    if ((csv == NULL || umedpt_csv_find_column (csv, column) < 0) &&
        !has_column (self, file, group, column))
      return umedpt_dataset_fail_key (file, group, "filter", error,
          "no table of the data set has a column “%s”", column);
  }
  return TRUE;
}

/* The table */

/* What tables call the record: its file, with or without the folder of images;
 * a slice goes by its volume's name. Returns the row + 1, or NULL. */
static gpointer
find_row (GHashTable *rows, const UmedptRecord *record, const char *folder)
{
  const char *below = record->name;
  gsize n = strlen (folder);
  const char *hash = strrchr (record->name, '#');
  gpointer found;

  if (n > 0 && strncmp (below, folder, n) == 0 && below[n] == '/')
    below += n + 1;
  found = g_hash_table_lookup (rows, below);
  if (found == NULL)
    found = g_hash_table_lookup (rows, record->name);
  if (found == NULL && hash != NULL && hash > below) {
    g_autofree char *file = g_strndup (record->name, hash - record->name);

    found = g_hash_table_lookup (rows, file + (below - record->name));
    if (found == NULL)
      found = g_hash_table_lookup (rows, file);
  }
  return found;
}

typedef struct
{
  UmedptCsv *csv;
  gint file, split, case_id; /* columns, -1 */
  GHashTable *rows; /* file → row + 1 */
  guint8 *used; /* per row: 1 a record, 2 filtered out */
  gboolean *keep;
  char *images; /* folder */
} Table;

static void
table_clear (Table *table)
{
  g_clear_pointer (&table->csv, umedpt_csv_free);
  g_clear_pointer (&table->rows, g_hash_table_unref);
  g_free (table->used);
  g_free (table->keep);
  g_free (table->images);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Table, table_clear)

static gboolean
find_columns (Table *table, GKeyFile *file, const char *group, GError **error)
{
  g_autofree char *name =
      umedpt_dataset_get_key (file, group, "split-column", "split");
  g_autofree char *case_name =
      umedpt_dataset_get_key (file, group, "case-column", "case");

  table->file = umedpt_csv_find_column (table->csv, "file");
  table->split = umedpt_csv_find_column (table->csv, name);
  table->case_id = umedpt_csv_find_column (table->csv, case_name);
  if (table->file >= 0 && table->split >= 0)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT,
      "%s:1: expected the columns “file” and “%s”.", table->csv->name, name);
  return FALSE;
}

static gboolean
read_row (Table *table, guint i, GKeyFile *file, const char *group,
    GError **error)
{
  const UmedptCsvRow *row = &g_array_index (table->csv->rows, UmedptCsvRow, i);
  const char *name = row->cells[table->file];
  const char *part = row->cells[table->split];
  gpointer before = g_hash_table_lookup (table->rows, name);

  if (before != NULL) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
        "%s:%u: “%s” has been named in line %u already.", table->csv->name,
        row->line, name,
        g_array_index (table->csv->rows, UmedptCsvRow,
            GPOINTER_TO_UINT (before) - 1)
            .line);
    return FALSE;
  }
  if (umedpt_split_parse (part) < 0) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
        "%s:%u: “%s” is no part; expected train, val or test.",
        table->csv->name, row->line, part);
    return FALSE;
  }
  g_hash_table_insert (table->rows, (gpointer) name, GUINT_TO_POINTER (i + 1));
  return umedpt_dataset_filter (file, group, table->csv, row, &table->keep[i],
      error);
}

static gboolean
table_load (Table *table, UmedptDataset *self, const char *name, GKeyFile *file,
    const char *group, GError **error)
{
  g_autofree char *path = umedpt_dataset_path (self, name);

  table->csv = umedpt_csv_load (path, error);
  if (table->csv == NULL || !find_columns (table, file, group, error))
    return FALSE;
  table->images = umedpt_dataset_get_key (file, group, "images", "images");
  table->rows = g_hash_table_new (g_str_hash, g_str_equal);
  table->used = g_new0 (guint8, table->csv->rows->len + 1);
  table->keep = g_new0 (gboolean, table->csv->rows->len + 1);
  for (guint i = 0; i < table->csv->rows->len; i++)
    if (!read_row (table, i, file, group, error))
      return FALSE;
  return TRUE;
}

/* Brings one record into its part; FALSE: the filter drops it. */
static gboolean
table_place (Table *table, UmedptDataset *self, UmedptRecord *record)
{
  gpointer found = find_row (table->rows, record, table->images);
  const UmedptCsvRow *row;
  guint i;

  if (found == NULL) {
    umedpt_dataset_warn (self, record->name,
        "the table of parts does not name it; it is in no part");
    record->split = -1;
    return TRUE;
  }
  i = GPOINTER_TO_UINT (found) - 1;
  row = &g_array_index (table->csv->rows, UmedptCsvRow, i);
  table->used[i] = 1;
  record->split = umedpt_split_parse (row->cells[table->split]);
  if (table->case_id >= 0) {
    g_free (record->case_id);
    record->case_id = g_strdup (row->cells[table->case_id]);
  }
  return table->keep[i];
}

/* A row about a file that is not there is a mistake, unless the format left
 * the file out. */
static gboolean
table_check_unused (Table *table, UmedptDataset *self, GError **error)
{
  for (guint i = 0; i < table->csv->rows->len; i++) {
    const UmedptCsvRow *row =
        &g_array_index (table->csv->rows, UmedptCsvRow, i);
    const char *name = row->cells[table->file];
    g_autofree char *below = umedpt_dataset_join (table->images, name);

    if (table->used[i])
      continue;
    if (umedpt_dataset_name_is_inside (name) &&
        (umedpt_dataset_has (self, name) || umedpt_dataset_has (self, below)))
      continue;
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NOT_FOUND,
        "%s:%u: there is no image “%s” in “%s”.", table->csv->name, row->line,
        name, self->root);
    return FALSE;
  }
  return TRUE;
}

static gboolean
split_by_table (UmedptDataset *self, const char *name, GKeyFile *file,
    const char *group, GError **error)
{
  g_auto (Table) table = { 0 };
  guint kept = 0;

  if (!table_load (&table, self, name, file, group, error) ||
      !check_filter (self, file, group, table.csv, error))
    return FALSE;
  for (guint i = 0; i < self->records->len; i++) {
    UmedptRecord record = g_array_index (self->records, UmedptRecord, i);

    if (table_place (&table, self, &record)) {
      g_array_index (self->records, UmedptRecord, kept++) = record;
      continue;
    }
    g_free (record.name);
    g_free (record.case_id);
    if (self->record_free != NULL)
      self->record_free (record.data);
  }
  g_array_set_size (self->records, kept);
  return table_check_unused (&table, self, error);
}

/* Shares */

static gboolean
read_shares (GKeyFile *file, const char *group, double *shares, GError **error)
{
  g_auto (GStrv) list = umedpt_dataset_get_key_list (file, group, "split");
  double sum = 0;
  guint n;

  shares[0] = 0.7;
  shares[1] = shares[2] = 0.15;
  if (list == NULL)
    return TRUE;
  n = g_strv_length (list);
  shares[2] = 0;
  for (guint i = 0; i < n && i < 3; i++) {
    char *end = NULL;

    shares[i] = g_ascii_strtod (list[i], &end);
    if (*end != '\0' || !(shares[i] >= 0))
      shares[i] = NAN;
  }
  for (guint i = 0; i < 3; i++)
    sum += shares[i];
  if ((n == 2 || n == 3) && fabs (sum - 1) < 1e-6)
    return TRUE;
  return umedpt_dataset_fail_key (file, group, "split", error,
      "expected two or three shares that add up to 1: 0.7;0.15;0.15");
}

/* The part that is furthest from its share once @size more are placed. */
static gint
most_wanting (const double *shares, const guint *placed, guint size)
{
  double total = (double) placed[0] + placed[1] + placed[2] + size;
  double most = -G_MAXDOUBLE;
  gint found = 0;

  for (gint i = 0; i < 3; i++)
    if (shares[i] > 0 && shares[i] * total - placed[i] > most) {
      most = shares[i] * total - placed[i];
      found = i;
    }
  return found;
}

static gboolean
split_by_shares (UmedptDataset *self, GKeyFile *file, const char *group,
    GError **error)
{
  g_autoptr (GArray) all = umedpt_dataset_get_split (self, UMEDPT_SPLIT_ALL);
  g_autoptr (GPtrArray) cases = NULL;
  double shares[3], seed;
  guint placed[3] = { 0 };

  if (!read_shares (file, group, shares, error) ||
      !umedpt_dataset_get_key_number (file, group, "split-seed", 0, 1e15, 1,
          &seed, error))
    return FALSE;
  cases = umedpt_dataset_draw_cases (self, all, (guint64) seed, TRUE);
  for (guint i = 0; i < cases->len; i++) {
    const GArray *members = g_ptr_array_index (cases, i);
    gint part = most_wanting (shares, placed, members->len);

    placed[part] += members->len;
    for (guint j = 0; j < members->len; j++)
      g_array_index (self->records, UmedptRecord,
          g_array_index (members, guint, j))
          .split = part;
  }
  return TRUE;
}

gboolean
umedpt_dataset_split (UmedptDataset *self, GKeyFile *file, const char *group,
    GError **error)
{
  g_autofree char *shares = umedpt_dataset_get_key (file, group, "split", NULL);
  g_autofree char *given =
      umedpt_dataset_get_key (file, group, "split-file", NULL);
  gboolean said = FALSE;

  for (guint i = 0; i < self->records->len; i++)
    said |= g_array_index (self->records, UmedptRecord, i).split >= 0;
  if (given != NULL || (!said && umedpt_dataset_has (self, "split.csv"))) {
    g_autofree char *name = umedpt_dataset_find_place (self, file, group,
        "split-file", "split.csv", FALSE, error);

    if (name == NULL || !split_by_table (self, name, file, group, error))
      return FALSE;
    if (shares == NULL)
      return TRUE;
  } else if (!check_filter (self, file, group, NULL, error)) {
    return FALSE;
  }
  if (said && shares == NULL)
    return TRUE;
  return split_by_shares (self, file, group, error);
}
