/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Format `frames`: single frames of video clips with a mask each, listed in a
 * table with the columns mask and either image, or clip and frame. A clip is a
 * case. Frames are read from the clips (clip.h), unless somebody unpacked them
 * to image files; where this library cannot read clips, the error says how to
 * do that. Opening does not look into clips: a frame that one does not have is
 * told when it is read, with the line of the table.
 */
#include "data/dataset-files.h"

#include <string.h>

#include "base/error.h"
#include "data/clip.h"

/* Of frames as bytes; the loader keeps samples besides. */
#define CACHE_BYTES ((gsize) 256 << 20)

typedef struct
{
  UmedptMaskMap map;
  UmedptClips *clips;
  char *table; /* its name, for messages */
} State;

/* What a record's data is. */
typedef struct
{
  char *mask;
  char *clip; /* path; NULL: the record's name is an image file */
  guint frame;
  guint line;
} Row;

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
free_row (gpointer data)
{
  Row *row = data;

  g_free (row->mask);
  g_free (row->clip);
  g_free (row);
}

static void
free_state (gpointer data)
{
  State *state = data;

  umedpt_clips_free (state->clips);
  g_free (state->table);
  g_free (state);
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
      "%s:%u: there is no frame “%s”, and this library was built without "
      "FFmpeg to read clips, which have to be unpacked once then: "
      "cd %s && mkdir -p %s && gst-launch-1.0 filesrc %s ! decodebin ! "
      "videoconvert ! pngenc ! multifilesink %s",
      table->csv->name, row->line, name, quoted_root, quoted_folder,
      quoted_source, quoted_target);
  return FALSE;
}

/* The name of a row's frame: of an image file, checked to exist, or, with @found
 * filled, of a clip. */
static char *
find_frame (UmedptDataset *self, const Table *table, const UmedptCsvRow *row,
    Row *found, GError **error)
{
  const char *clip = row->cells[table->clip], *cell = row->cells[table->frame];
  g_autofree char *stem = umedpt_dataset_stem (clip);
  g_autofree char *name = NULL;
  guint64 frame = 0;

  if (!g_ascii_string_to_unsigned (cell, 10, 0, 99999999, &frame, NULL)) {
    fail (table, row, error, "is no number of a frame", cell);
    return NULL;
  }
  name = g_strdup_printf ("%s%s%s/%04" G_GUINT64_FORMAT ".png", table->folder,
      *table->folder ? "/" : "", stem, frame);
  if (!umedpt_dataset_name_is_inside (clip))
    fail (table, row, error, "is no name of a file inside the data set", clip);
  else if (umedpt_dataset_has (self, name))
    return g_steal_pointer (&name);
  else if (!umedpt_dataset_has (self, clip))
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NOT_FOUND,
        "%s:%u: neither the clip “%s” nor its frame “%s” exists.",
        table->csv->name, row->line, clip, name);
  else if (!umedpt_clips_supported ())
    fail_packed (self, table, row, name, stem, error);
  else {
    found->clip = umedpt_dataset_path (self, clip);
    found->frame = (guint) frame;
    return g_strdup_printf ("%s#%u", clip, found->frame);
  }
  return NULL;
}

static char *
find_image (UmedptDataset *self, const Table *table, const UmedptCsvRow *row,
    Row *found, GError **error)
{
  const char *name;

  if (table->image < 0)
    return find_frame (self, table, row, found, error);
  name = row->cells[table->image];
  if (!umedpt_dataset_name_is_inside (name))
    fail (table, row, error, "is no name of a file inside the data set", name);
  else if (umedpt_dataset_has (self, name))
    return g_strdup (name);
  else
    fail (table, row, error, "does not exist", name);
  return NULL;
}

static gboolean
add_row (UmedptDataset *self, const Table *table, const UmedptCsvRow *row,
    GError **error)
{
  State *state = self->state;
  const char *mask = row->cells[table->mask];
  Row found = { .line = row->line };
  g_autofree char *name = NULL, *clip = NULL;
  UmedptRecord *record;
  gint split = -1;

  name = find_image (self, table, row, &found, error);
  clip = found.clip;
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
  if (clip != NULL)
    umedpt_clips_want (state->clips, clip, found.frame);
  found.mask = g_strdup (mask);
  found.clip = g_steal_pointer (&clip);
  record = umedpt_dataset_add (self, name, g_memdup2 (&found, sizeof found));
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
  State *state = g_new0 (State, 1);

  self->record_free = free_row;
  self->state = state;
  self->state_free = free_state;
  state->clips = umedpt_clips_new (CACHE_BYTES);
  if (!umedpt_dataset_load_classes (self, file, group, error) ||
      !umedpt_mask_map_init (&state->map, self, file, group, error) ||
      !load (&table, self, file, group, error))
    return FALSE;
  state->table = g_strdup (table.csv->name);
  for (guint i = 0; i < table.csv->rows->len; i++) {
    const UmedptCsvRow *row = &g_array_index (table.csv->rows, UmedptCsvRow, i);
    gboolean keep;

    if (!umedpt_dataset_filter (file, group, table.csv, row, &keep, error) ||
        (keep && !add_row (self, &table, row, error)))
      return FALSE;
  }
  return TRUE;
}

static UmedptSample *
read_image (UmedptDataset *self, const UmedptRecord *record, GError **error)
{
  const State *state = self->state;
  const Row *row = record->data;
  g_autoptr (UmedptImageFile) image = NULL;

  if (row->clip == NULL)
    return umedpt_dataset_read_image (self, record->name, error);
  image = umedpt_clips_read (state->clips, row->clip, row->frame, error);
  if (image == NULL) {
    g_prefix_error (error, "%s:%u: ", state->table, row->line);
    return NULL;
  }
  return umedpt_image_file_to_sample (image, self->window_low,
      self->window_high);
}

static UmedptSample *
read_frame (UmedptDataset *self, const UmedptRecord *record, GError **error)
{
  const State *state = self->state;
  const Row *row = record->data;
  g_autoptr (UmedptSample) sample = read_image (self, record, error);

  if (sample == NULL ||
      !umedpt_mask_map_load (&state->map, self, row->mask, sample, error))
    return NULL;
  return g_steal_pointer (&sample);
}

const UmedptDatasetFormat umedpt_dataset_frames = {
  .name = "frames",
  .kinds = 1u << UMEDPT_TASK_SEGMENTATION | 1u << UMEDPT_TASK_MULTILABEL |
      1u << UMEDPT_TASK_MULTILABEL_SEGMENTATION,
  .open = open_frames,
  .read = read_frame,
};
