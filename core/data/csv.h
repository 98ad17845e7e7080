/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Comma-separated values (RFC 4180): a header line, then rows with as many
 * cells. Quoted cells may hold commas, quotes and line breaks. Semicolons or
 * tabs separate where the header has no comma. Rows know their line, because
 * messages name it.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct
{
  guint line; /* from 1 */
  char **cells; /* as many as the header, blanks around them removed */
} UmedptCsvRow;

typedef struct
{
  char *name; /* of the file, for messages */
  char **header;
  guint n_columns;
  GArray *rows; /* of UmedptCsvRow */
} UmedptCsv;

UmedptCsv *umedpt_csv_parse (const char *name, const char *text, gsize length,
    GError **error);
UmedptCsv *umedpt_csv_load (const char *path, GError **error);
void umedpt_csv_free (UmedptCsv *self);
/* -1: there is none of this name. */
gint umedpt_csv_find_column (const UmedptCsv *self, const char *name);
/* A finite number; FALSE with @error set that names file, line and column. */
gboolean umedpt_csv_get_number (const UmedptCsv *self, const UmedptCsvRow *row,
    guint column, double *value, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptCsv, umedpt_csv_free)

G_END_DECLS
