/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Format `frames`: single frames of video clips with a mask each, listed in a
 * table with the columns mask and either image, or clip and frame. A clip is a
 * case. Frames are image files: this library does not decode video, and seeking
 * to single frames of a compressed clip in random order would be slow anyway.
 * Where only clips lie, the error says how to unpack them once.
 */
#include "data/dataset-files.h"

#include <string.h>

#include "base/error.h"

typedef struct
{
  UmedptCsv *csv;
  char *folder; /* of unpacked frames */
  gint image, clip, frame, mask, case_id, split; /* columns, -1 */
} Table;

static void
table_clear (Table *table)
{
  g_clear_pointer (&table->csv, umedpt_csv_free);
  g_free (table->folder);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Table, table_clear)

static void
free_data (gpointer data)
{
  g_free (data);
}

static gboolean
fail (const Table *table, const UmedptCsvRow *row, GError **error,
    const char *problem, const char *name)
{
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA, "%s:%u: “%s” %s.",
      table->csv->name, row->line, name, problem);
  return FALSE;
}

static gboolean
find_columns (Table *table, GKeyFile *file, const char *group, GError **error)
{
  g_autofree char *image =
      umedpt_dataset_get_key (file, group, "file-column", "image");
  g_autofree char *case_id =
      umedpt_dataset_get_key (file, group, "case-column", "clip");
  g_autofree char *split =
      umedpt_dataset_get_key (file, group, "split-column", "split");

  table->image = umedpt_csv_find_column (table->csv, image);
  table->clip = umedpt_csv_find_column (table->csv, "clip");
  table->frame = umedpt_csv_find_column (table->csv, "frame");
  table->mask = umedpt_csv_find_column (table->csv, "mask");
  table->case_id = umedpt_csv_find_column (table->csv, case_id);
  table->split = umedpt_csv_find_column (table->csv, split);
  if (table->mask >= 0 &&
      (table->image >= 0 || (table->clip >= 0 && table->frame >= 0)))
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT,
      "%s:1: expected the column “mask” and either “%s” or “clip” and “frame”.",
      table->csv->name, image);
  return FALSE;
}

/* The clip lies there, its frames do not. */
static gboolean
fail_packed (UmedptDataset *self, const Table *table, const UmedptCsvRow *row,
    const char *name, const char *stem, GError **error)
{
  const char *clip = row->cells[table->clip];
  g_autofree char *folder = umedpt_dataset_join (table->folder, stem);
  g_autofree char *quoted_root = g_shell_quote (self->root);
  g_autofree char *quoted_folder = g_shell_quote (folder);
  g_autofree char *target = g_strconcat (folder, "/%04d.png", NULL);
  g_autofree char *source_part = g_strconcat ("location=", clip, NULL);
  g_autofree char *target_part = g_strconcat ("location=", target, NULL);
  g_autofree char *quoted_source = g_shell_quote (source_part);
  g_autofree char *quoted_target = g_shell_quote (target_part);

  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NOT_FOUND,
      "%s:%u: there is no frame “%s”; clips have to be unpacked once: "
      "cd %s && mkdir -p %s && gst-launch-1.0 filesrc %s ! decodebin ! "
      "videoconvert ! pngenc ! multifilesink %s",
      table->csv->name, row->line, name, quoted_root, quoted_folder,
      quoted_source, quoted_target);
  return FALSE;
}

/* The image of a row, relative and checked to exist. */
static char *
find_image (UmedptDataset *self, const Table *table, const UmedptCsvRow *row,
    GError **error)
{
  g_autofree char *name = NULL, *stem = NULL;
  const char *given = row->cells[MAX (table->image, 0)];
  guint64 frame = 0;

  if (table->image >= 0) {
    name = g_strdup (row->cells[table->image]);
  } else {
    if (!g_ascii_string_to_unsigned (row->cells[table->frame], 10, 0, 99999999,
            &frame, NULL)) {
      fail (table, row, error, "is no number of a frame",
          row->cells[table->frame]);
      return NULL;
    }
    given = row->cells[table->clip];
    stem = umedpt_dataset_stem (given);
    name = g_strdup_printf ("%s%s%s/%04" G_GUINT64_FORMAT ".png", table->folder,
        *table->folder ? "/" : "", stem, frame);
  }
  if (!umedpt_dataset_name_is_inside (given))
    fail (table, row, error, "is no name of a file inside the data set", given);
  else if (umedpt_dataset_has (self, name))
    return g_steal_pointer (&name);
  else if (stem != NULL)
    fail_packed (self, table, row, name, stem, error);
  else
    fail (table, row, error, "does not exist", name);
  return NULL;
}

static gboolean
add_row (UmedptDataset *self, const Table *table, const UmedptCsvRow *row,
    GError **error)
{
  const char *mask = row->cells[table->mask];
  g_autofree char *name = find_image (self, table, row, error);
  UmedptRecord *record;
  gint split = -1;

  if (name == NULL)
    return FALSE;
  if (!umedpt_dataset_name_is_inside (mask))
    return fail (table, row, error, "is no name of a file inside the data set",
        mask);
  if (!umedpt_dataset_has (self, mask))
    return fail (table, row, error, "does not exist", mask);
  if (table->split >= 0) {
    split = umedpt_split_parse (row->cells[table->split]);
    if (split < 0)
      return fail (table, row, error, "is no part; expected train, val or test",
          row->cells[table->split]);
  }
  record = umedpt_dataset_add (self, name, g_strdup (mask));
  record->split = split;
  if (table->case_id >= 0) {
    g_free (record->case_id);
    record->case_id = g_strdup (row->cells[table->case_id]);
  }
  return TRUE;
}

static gboolean
load (Table *table, UmedptDataset *self, GKeyFile *file, const char *group,
    GError **error)
{
  g_autofree char *name = umedpt_dataset_find_place (self, file, group,
      "annotations", "frames.csv", FALSE, error);
  g_autofree char *path = NULL;

  if (name == NULL)
    return FALSE;
  /* it need not exist: then the error says how to fill it; it may be anywhere,
   * because data sets are often read-only */
  table->folder = umedpt_dataset_get_key (file, group, "images", "frames");
  path = umedpt_dataset_path (self, name);
  table->csv = umedpt_csv_load (path, error);
  return table->csv != NULL && find_columns (table, file, group, error);
}

static gboolean
open_frames (UmedptDataset *self, GKeyFile *file, const char *group,
    GError **error)
{
  g_auto (Table) table = { 0 };
  UmedptMaskMap *map = g_new0 (UmedptMaskMap, 1);

  self->record_free = free_data; /* of the name of the mask */
  self->state = map;
  self->state_free = free_data;
  if (!umedpt_dataset_load_classes (self, file, group, error) ||
      !umedpt_mask_map_init (map, self, file, group, error) ||
      !load (&table, self, file, group, error))
    return FALSE;
  for (guint i = 0; i < table.csv->rows->len; i++) {
    const UmedptCsvRow *row = &g_array_index (table.csv->rows, UmedptCsvRow, i);
    gboolean keep;

    if (!umedpt_dataset_filter (file, group, table.csv, row, &keep, error) ||
        (keep && !add_row (self, &table, row, error)))
      return FALSE;
  }
  return TRUE;
}

const UmedptDatasetFormat umedpt_dataset_frames = {
  .name = "frames",
  .kinds = 1u << UMEDPT_TASK_SEGMENTATION | 1u << UMEDPT_TASK_MULTILABEL |
      1u << UMEDPT_TASK_MULTILABEL_SEGMENTATION,
  .open = open_frames,
  .read = umedpt_mask_read,
};
