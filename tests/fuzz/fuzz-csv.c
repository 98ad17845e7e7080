/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Fuzz target: tables. Every row of what parses has as many cells as the
 * header, and lines that grow.
 */
#define _GNU_SOURCE
#include <string.h>

#include "data/csv.h"
#include "fuzz-labels.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptCsv) csv =
      umedpt_csv_parse ("fuzz", (const char *) data, size, &error);
  guint line = 0;

  if (csv == NULL) {
    fuzz_check_error (error);
    return 0;
  }
  if (error != NULL || g_strv_length (csv->header) != csv->n_columns)
    abort ();
  for (guint i = 0; i < csv->rows->len; i++) {
    const UmedptCsvRow *row = &g_array_index (csv->rows, UmedptCsvRow, i);
    g_autoptr (GError) bad = NULL;
    double value;

    if (g_strv_length (row->cells) != csv->n_columns || row->line <= line)
      abort ();
    line = row->line;
    if (!umedpt_csv_get_number (csv, row, 0, &value, &bad))
      fuzz_check_error (bad);
  }
  return 0;
}
