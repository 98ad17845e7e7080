/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Format `csv`: a table with a row per image: a class, columns of 0 and 1, or
 * a number; also the case and the part, if it has such columns. An empty cell
 * among the columns of 0 and 1 means that this label is not known for the
 * image; it then has no weight in the loss.
 */
#include "data/dataset-files.h"

#include <string.h>

#include "base/error.h"

typedef struct
{
  UmedptCsv *csv;
  char *images; /* folder */
  gint file, label, value, case_id, split; /* columns, -1 */
  GArray *columns; /* multilabel: of guint, a column per label */
  char **declared; /* classes before ignore-labels */
  gint *map; /* declared class → label */
} Table;

static void
table_clear (Table *table)
{
  g_clear_pointer (&table->csv, umedpt_csv_free);
  g_clear_pointer (&table->columns, g_array_unref);
  g_strfreev (table->declared);
  g_free (table->map);
  g_free (table->images);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Table, table_clear)

/* Column @key names, or @fallback; needed: an error if there is none. */
static gboolean
find_column (Table *table, GKeyFile *file, const char *group, const char *key,
    const char *fallback, gboolean needed, gint *column, GError **error)
{
  g_autofree char *given = umedpt_dataset_get_key (file, group, key, NULL);
  g_autofree char *have = NULL;

  *column = umedpt_csv_find_column (table->csv, given ? given : fallback);
  if (*column >= 0 || (given == NULL && !needed))
    return TRUE;
  have = g_strjoinv (", ", table->csv->header);
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "%s:1: there is no column “%s”, only %s (say with %s= of [%s] which it "
      "is).",
      table->csv->name, given ? given : fallback, have, key, group);
  return FALSE;
}

static gboolean
find_file_column (Table *table, GKeyFile *file, const char *group,
    GError **error)
{
  static const char *const usual[] = { "image", "file", "filename", "path" };

  if (!g_key_file_has_key (file, group, "file-column", NULL))
    for (guint i = 0; i < G_N_ELEMENTS (usual); i++) {
      table->file = umedpt_csv_find_column (table->csv, usual[i]);
      if (table->file >= 0)
        return TRUE;
    }
  return find_column (table, file, group, "file-column", "image", TRUE,
      &table->file, error);
}

/* Multilabel: columns by key, else all that mean nothing else. */
static gboolean
find_label_columns (Table *table, UmedptDataset *self, GKeyFile *file,
    const char *group, GError **error)
{
  g_auto (GStrv) list =
      umedpt_dataset_get_key_list (file, group, "label-columns");
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  g_auto (GStrv) ignored =
      umedpt_dataset_get_key_list (file, group, "ignore-labels");

  table->columns = g_array_new (FALSE, FALSE, sizeof (guint));
  for (guint i = 0; list == NULL && i < table->csv->n_columns; i++)
    if ((gint) i != table->file && (gint) i != table->case_id &&
        (gint) i != table->split &&
        (ignored == NULL ||
            !g_strv_contains ((const char *const *) ignored,
                table->csv->header[i])))
      g_array_append_val (table->columns, i);
  for (guint i = 0; list != NULL && list[i] != NULL; i++) {
    gint column = umedpt_csv_find_column (table->csv, list[i]);

    if (column < 0)
      return umedpt_dataset_fail_key (file, group, "label-columns", error,
          "%s has no column “%s”", table->csv->name, list[i]);
    g_array_append_val (table->columns, column);
  }
  if (table->columns->len == 0)
    return umedpt_dataset_fail_key (file, group, "label-columns", error,
        "%s has no column of labels", table->csv->name);
  for (guint i = 0; i < table->columns->len; i++)
    g_ptr_array_add (names,
        g_strdup (table->csv
                      ->header[g_array_index (table->columns, guint, i)]));
  g_ptr_array_add (names, NULL);
  self->labels = (char **) g_ptr_array_free (g_steal_pointer (&names), FALSE);
  return TRUE;
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

/* Classification: the classes that occur, sorted, unless declared. */
static void
collect_classes (Table *table, UmedptDataset *self)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GPtrArray) names = g_ptr_array_new ();

  for (guint i = 0; i < table->csv->rows->len; i++) {
    const UmedptCsvRow *row =
        &g_array_index (table->csv->rows, UmedptCsvRow, i);
    char *cell = row->cells[table->label];

    if (*cell != '\0' && g_hash_table_add (seen, cell))
      g_ptr_array_add (names, g_strdup (cell));
  }
  g_ptr_array_sort (names, compare_names);
  g_ptr_array_add (names, NULL);
  self->labels = (char **) g_ptr_array_free (g_steal_pointer (&names), FALSE);
}

static gboolean
find_labels (Table *table, UmedptDataset *self, GKeyFile *file,
    const char *group, GError **error)
{
  table->label = table->value = -1;
  if (self->kind == UMEDPT_TASK_REGRESSION)
    return find_column (table, file, group, "value-column", "value", TRUE,
        &table->value, error);
  if (self->kind == UMEDPT_TASK_MULTILABEL)
    return find_label_columns (table, self, file, group, error);
  if (!find_column (table, file, group, "label-column", "label", TRUE,
          &table->label, error))
    return FALSE;
  if (g_key_file_has_key (file, group, "classes", NULL) &&
      !umedpt_dataset_load_classes (self, file, group, error))
    return FALSE;
  if (self->labels == NULL)
    collect_classes (table, self);
  table->declared = g_strdupv (self->labels);
  table->map = umedpt_dataset_ignore_labels (self, file, group, error);
  return table->map != NULL;
}

/* Puts the labels of a row into @item; @label: the class, or -1 to leave the
 * row out. */
static gboolean
read_labels (Table *table, const UmedptCsvRow *row, UmedptItem *item,
    gint *label, GError **error)
{
  guint k = 0;

  for (guint i = 0; table->columns != NULL && i < table->columns->len; i++) {
    guint column = g_array_index (table->columns, guint, i);
    double value = 0;

    if (*row->cells[column] == '\0') {
      if (item->weights == NULL) {
        item->weights = g_new0 (gfloat, table->columns->len);
        for (guint j = 0; j < table->columns->len; j++)
          item->weights[j] = 1;
      }
      item->weights[i] = 0;
      continue;
    }
    if (!umedpt_csv_get_number (table->csv, row, column, &value, error))
      return FALSE;
    if (value < 0 || value > 1) {
      g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
          "%s:%u: the column “%s” holds %g; expected 0 to 1 (or nothing, if it "
          "is not known).",
          table->csv->name, row->line, table->csv->header[column], value);
      return FALSE;
    }
    item->labels[i] = (gfloat) value;
  }
  if (table->value >= 0)
    return umedpt_csv_get_number (table->csv, row, (guint) table->value,
        &item->value, error);
  if (table->label < 0)
    return TRUE;
  while (table->declared[k] != NULL &&
      strcmp (table->declared[k], row->cells[table->label]) != 0)
    k++;
  if (table->declared[k] == NULL) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
        "%s:%u: “%s” is no declared class (add it to classes= or to "
        "ignore-labels=).",
        table->csv->name, row->line, row->cells[table->label]);
    return FALSE;
  }
  *label = table->map[k];
  return TRUE;
}

static gboolean
check_name (Table *table, UmedptDataset *self, const UmedptCsvRow *row,
    const char *name, GHashTable *seen, GError **error)
{
  const char *problem = NULL;

  if (!umedpt_dataset_name_is_inside (name))
    problem = "is no name of a file inside the data set";
  else if (!umedpt_dataset_has (self, name))
    problem = "does not exist";
  else if (!g_hash_table_add (seen, g_strdup (name)))
    problem = "has been named before";
  if (problem == NULL)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA, "%s:%u: “%s” %s.",
      table->csv->name, row->line, name, problem);
  return FALSE;
}

static gboolean
add_row (Table *table, UmedptDataset *self, const UmedptCsvRow *row,
    GHashTable *seen, GError **error)
{
  g_autofree char *name =
      umedpt_dataset_join (table->images, row->cells[table->file]);
  UmedptItem *item;
  UmedptRecord *record;
  gint label = UMEDPT_IGNORE_LABEL, split = -1;

  if (!check_name (table, self, row, name, seen, error))
    return FALSE;
  if (table->split >= 0) {
    split = umedpt_split_parse (row->cells[table->split]);
    if (split < 0) {
      g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
          "%s:%u: “%s” is no part; expected train, val or test.",
          table->csv->name, row->line, row->cells[table->split]);
      return FALSE;
    }
  }
  item = umedpt_item_new (self);
  if (!read_labels (table, row, item, &label, error)) {
    umedpt_item_free (item);
    return FALSE;
  }
  if (table->label >= 0 && label < 0) { /* a class that does not count */
    umedpt_item_free (item);
    return TRUE;
  }
  record = umedpt_dataset_add (self, name, item);
  record->label = label;
  record->split = split;
  if (table->case_id >= 0) {
    g_free (record->case_id);
    record->case_id = g_strdup (row->cells[table->case_id]);
  }
  return TRUE;
}

static gboolean
load_table (Table *table, UmedptDataset *self, GKeyFile *file,
    const char *group, const char *key, GError **error)
{
  g_autofree char *name = umedpt_dataset_find_place (self, file, group, key,
      "labels.csv", FALSE, error);
  g_autofree char *path = NULL;

  if (name == NULL)
    return FALSE;
  path = umedpt_dataset_path (self, name);
  table->csv = umedpt_csv_load (path, error);
  if (table->csv == NULL)
    return FALSE;
  table->images = umedpt_dataset_find_place (self, file, group, "images",
      "images", TRUE, error);
  return table->images != NULL && find_file_column (table, file, group, error);
}

gboolean
umedpt_dataset_open_table (UmedptDataset *self, GKeyFile *file,
    const char *group, const char *key, GError **error)
{
  g_auto (Table) table = { 0 };
  g_autoptr (GHashTable) seen =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  self->record_free = umedpt_item_free;
  if (!load_table (&table, self, file, group, key, error))
    return FALSE;
  table.case_id = umedpt_csv_find_column (table.csv, "case");
  if (g_key_file_has_key (file, group, "case-column", NULL)) {
    g_autofree char *name =
        umedpt_dataset_get_key (file, group, "case-column", "case");

    table.case_id = umedpt_csv_find_column (table.csv, name);
  }
  if (!find_column (&table, file, group, "split-column", "split", FALSE,
          &table.split, error) ||
      !find_labels (&table, self, file, group, error))
    return FALSE;
  for (guint i = 0; i < table.csv->rows->len; i++) {
    const UmedptCsvRow *row = &g_array_index (table.csv->rows, UmedptCsvRow, i);
    gboolean keep;

    if (!umedpt_dataset_filter (file, group, table.csv, row, &keep, error) ||
        (keep && !add_row (&table, self, row, seen, error)))
      return FALSE;
  }
  return TRUE;
}

static gboolean
open_csv (UmedptDataset *self, GKeyFile *file, const char *group,
    GError **error)
{
  return umedpt_dataset_open_table (self, file, group, "annotations", error);
}

const UmedptDatasetFormat umedpt_dataset_csv = {
  .name = "csv",
  .kinds = 1u << UMEDPT_TASK_CLASSIFICATION | 1u << UMEDPT_TASK_MULTILABEL |
      1u << UMEDPT_TASK_REGRESSION,
  .open = open_csv,
  .read = umedpt_item_read,
};
