/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The reader of CSV: one pass over the text with one cell in hand. Strict
 * where tables go wrong unnoticed: rows with too few or too many cells, a
 * quote that never ends, two columns of one name.
 */
#include "data/csv.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "data/dataset-files.h"

#define MAX_COLUMNS 100000

typedef struct
{
  const char *name, *at, *end;
  char separator;
  guint line; /* of what `at` points to */
} Reader;

static gboolean
fail (const Reader *self, guint line, const char *problem, GError **error)
{
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT, "%s:%u: %s.",
      self->name, line, problem);
  return FALSE;
}

static char
find_separator (const char *text, const char *end)
{
  char found = ',';

  for (const char *c = text; c < end && *c != '\n'; c++) {
    if (*c == ',')
      return ',';
    if ((*c == ';' || *c == '\t') && found == ',')
      found = *c;
  }
  return found;
}

/* The rest of a cell whose opening quote has been read. */
static gboolean
read_quoted (Reader *self, GString *cell, GError **error)
{
  guint line = self->line;

  while (self->at < self->end) {
    char c = *self->at++;

    if (c == '\n')
      self->line++;
    if (c != '"') {
      g_string_append_c (cell, c);
    } else if (self->at < self->end && *self->at == '"') {
      g_string_append_c (cell, '"');
      self->at++;
    } else {
      return TRUE;
    }
  }
  return fail (self, line, "a quoted cell begins here and never ends", error);
}

/* One cell; @more: another one follows in this row. */
static gboolean
read_cell (Reader *self, char **value, gboolean *more, GError **error)
{
  g_autoptr (GString) cell = g_string_new (NULL);

  *more = FALSE;
  while (self->at < self->end && *self->at == ' ' && self->separator != ' ')
    self->at++;
  if (self->at < self->end && *self->at == '"') {
    self->at++;
    if (!read_quoted (self, cell, error))
      return FALSE;
    while (self->at < self->end && (*self->at == ' ' || *self->at == '\r'))
      self->at++;
    if (self->at < self->end && *self->at != self->separator &&
        *self->at != '\n')
      return fail (self, self->line, "text follows the quote that ends a cell",
          error);
  }
  while (self->at < self->end && *self->at != self->separator &&
      *self->at != '\n')
    g_string_append_c (cell, *self->at++);
  if (self->at < self->end) {
    *more = *self->at == self->separator;
    self->line += *self->at == '\n';
    self->at++;
  }
  *value = g_strstrip (g_strdup (cell->str));
  return TRUE;
}

/* A row, or NULL cells for an empty line. */
static gboolean
read_row (Reader *self, UmedptCsvRow *row, guint *n, GError **error)
{
  g_autoptr (GPtrArray) cells = g_ptr_array_new_with_free_func (g_free);
  gboolean more = TRUE;

  row->line = self->line;
  while (more) {
    char *value = NULL;

    if (!read_cell (self, &value, &more, error))
      return FALSE;
    g_ptr_array_add (cells, value);
    if (cells->len > MAX_COLUMNS)
      return fail (self, row->line, "a row has more than 100000 cells", error);
  }
  *n = cells->len;
  if (cells->len == 1 && *(char *) cells->pdata[0] == '\0') {
    row->cells = NULL;
    return TRUE;
  }
  g_ptr_array_add (cells, NULL);
  row->cells = (char **) g_ptr_array_free (g_steal_pointer (&cells), FALSE);
  return TRUE;
}

static gboolean
check_header (const Reader *reader, UmedptCsv *self, GError **error)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; i < self->n_columns; i++)
    if (!g_hash_table_add (seen, self->header[i])) {
      g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT,
          "%s:1: two columns are called “%s”.", self->name, self->header[i]);
      return FALSE;
    }
  return TRUE;
}

static gboolean
read_rows (Reader *reader, UmedptCsv *self, GError **error)
{
  while (reader->at < reader->end) {
    UmedptCsvRow row = { 0 };
    guint n = 0;

    if (!read_row (reader, &row, &n, error))
      return FALSE;
    if (row.cells == NULL)
      continue;
    if (self->header == NULL) {
      self->header = row.cells;
      self->n_columns = n;
      if (!check_header (reader, self, error))
        return FALSE;
      continue;
    }
    g_array_append_val (self->rows, row);
    if (n != self->n_columns) {
      g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT,
          "%s:%u: %u cells, where the header has %u columns (quote cells that "
          "hold a comma).",
          self->name, row.line, n, self->n_columns);
      return FALSE;
    }
  }
  if (self->header == NULL)
    return fail (reader, 1, "the table is empty; expected a header line",
        error);
  return TRUE;
}

static void
row_clear (gpointer row)
{
  g_strfreev (((UmedptCsvRow *) row)->cells);
}

UmedptCsv *
umedpt_csv_parse (const char *name, const char *text, gsize length,
    GError **error)
{
  g_autoptr (UmedptCsv) self = g_new0 (UmedptCsv, 1);
  Reader reader = { name, text, text + length, ',', 1 };
  const char *bad;

  self->name = g_strdup (name);
  self->rows = g_array_new (FALSE, FALSE, sizeof (UmedptCsvRow));
  g_array_set_clear_func (self->rows, row_clear);
  if (!g_utf8_validate_len (text, length, &bad)) {
    guint line = 1;

    for (const char *c = text; c < bad; c++)
      line += *c == '\n';
    fail (&reader, line, "a byte is not UTF-8 text; save the table as UTF-8",
        error);
    return NULL;
  }
  if (length >= 3 && memcmp (text, "\xef\xbb\xbf", 3) == 0)
    reader.at += 3; /* the mark that spreadsheets put first */
  reader.separator = find_separator (reader.at, reader.end);
  if (!read_rows (&reader, self, error))
    return NULL;
  return g_steal_pointer (&self);
}

UmedptCsv *
umedpt_csv_load (const char *path, GError **error)
{
  g_autofree char *text = NULL;
  gsize length;

  text = umedpt_dataset_load_text (path, &length, error);
  return text != NULL ? umedpt_csv_parse (path, text, length, error) : NULL;
}

void
umedpt_csv_free (UmedptCsv *self)
{
  g_free (self->name);
  g_strfreev (self->header);
  g_clear_pointer (&self->rows, g_array_unref);
  g_free (self);
}

gint
umedpt_csv_find_column (const UmedptCsv *self, const char *name)
{
  for (guint i = 0; i < self->n_columns; i++)
    if (strcmp (self->header[i], name) == 0)
      return (gint) i;
  return -1;
}

gboolean
umedpt_csv_get_number (const UmedptCsv *self, const UmedptCsvRow *row,
    guint column, double *value, GError **error)
{
  const char *cell = row->cells[column];
  char *end = NULL;

  *value = g_ascii_strtod (cell, &end);
  if (*cell != '\0' && *end == '\0' && isfinite (*value))
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT,
      "%s:%u: the column “%s” holds “%s”; expected a finite number.",
      self->name, row->line, self->header[column], cell);
  return FALSE;
}
