/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * write-features PATH ROWS WIDTH [BAD]: writes a features file whose contents
 * follow from a formula that read-back.py knows as well: row i, column j is
 * i + j / 1024, the position (1000 i - 5, 2^33 + i); BAD tiles follow.
 */
#include <stdio.h>
#include <stdlib.h>

#include "output/features.h"

static const UmedptFeatureInfo info = {
  .slide = "sl\303\244ide 1",
  .slide_path = "/slides/sl\303\244ide 1.svs",
  .vendor = NULL, /* unknown: left out */
  .encoder = "swinv2-tiny",
  .model_hash = "0123abcd",
  .config_hash = "89ef4567",
  .mpp_source = "vendor",
  .level0_width = G_GINT64_CONSTANT (5000000000),
  .level0_height = 80001,
  .level0_mpp = 0.2634,
  .mpp = 0.5,
  .downsample = 0.5 / 0.2634,
  .tile_size = 256,
  .overlap = 16,
  .n_expected = 1234,
};

static gboolean
write_rows (UmedptFeatureWriter *writer, guint64 n_rows, guint n_columns,
    GError **error)
{
  g_autofree gfloat *row = g_new (gfloat, n_columns + 1);

  for (guint64 i = 0; i < n_rows; i++) {
    for (guint j = 0; j < n_columns; j++)
      row[j] = i + j / 1024.0f;
    if (!umedpt_feature_writer_append (writer, i, 1000 * (gint64) i - 5,
            (G_GINT64_CONSTANT (1) << 33) + (gint64) i, row, n_columns, error))
      return FALSE;
  }
  return TRUE;
}

int
main (int argc, char **argv)
{
  g_autoptr (UmedptFeatureWriter) writer = NULL;
  g_autoptr (GError) error = NULL;
  guint64 n_rows;
  guint n_columns, n_bad;

  if (argc < 4)
    return 2;
  n_rows = g_ascii_strtoull (argv[2], NULL, 10);
  n_columns = (guint) g_ascii_strtoull (argv[3], NULL, 10);
  n_bad = argc > 4 ? (guint) g_ascii_strtoull (argv[4], NULL, 10) : 0;
  writer = umedpt_feature_writer_new (argv[1], &info, FALSE, &error);
  if (writer && write_rows (writer, n_rows, n_columns, &error)) {
    for (guint i = 0; i < n_bad; i++) {
      g_autofree char *reason = g_strdup_printf ("damag\303\251 %u", i % 3);
      umedpt_feature_writer_add_bad_tile (writer, n_rows + i, i, 2 * i, reason);
    }
    umedpt_feature_writer_finish (writer, &error);
  }
  if (error)
    fprintf (stderr, "%s\n", error->message);
  return error ? EXIT_FAILURE : EXIT_SUCCESS;
}
