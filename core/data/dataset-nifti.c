/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Format `nifti`: volumes as stacks of slices, with label volumes of the same
 * size or with a table of one label per volume. A volume is a case: its slices
 * stay together. Scanners' numbers have no unit, so each volume is brought to
 * 0 … 1 by percentiles of its own, unless a window is given (CT). Slices are
 * taken as they are stored; voxels are taken as square.
 */
#include "data/dataset-files.h"
#include "data/dataset-volumes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define CACHE_BYTES ((gsize) 256 * 1024 * 1024)
#define MAX_PIXELS ((guint64) 1 << 27) /* of a slice */
#define MAX_RANKED 1000000 /* voxels that percentiles are taken of */

typedef struct
{
  UmedptVolumes *volumes;
  UmedptMaskMap map;
  gint axis; /* 0: z, 1: y, 2: x */
  gint channel, step;
  double low, high; /* percentiles */
  gboolean labelled, windowed;
  double window_low, window_high;
} State;

/* What the slices of a volume share. */
typedef struct
{
  grefcount ref_count; /* opening and closing are of one thread */
  char *image, *label; /* relative; label (nullable) */
  UmedptItem *item; /* (nullable) labels of the volume */
} Case;

typedef struct
{
  Case *volume;
  gint index;
} Slice;

static void
case_unref (Case *volume)
{
  if (!g_ref_count_dec (&volume->ref_count))
    return;
  g_free (volume->image);
  g_free (volume->label);
  umedpt_item_free (volume->item);
  g_free (volume);
}

static void
slice_free (gpointer data)
{
  Slice *slice = data;

  case_unref (slice->volume);
  g_free (slice);
}

static void
state_free (gpointer data)
{
  State *state = data;

  umedpt_volumes_free (state->volumes);
  g_free (state);
}

static int
compare_floats (gconstpointer a, gconstpointer b)
{
  gfloat x = *(const gfloat *) a, y = *(const gfloat *) b;

  return (x > y) - (x < y);
}

/* The value below which @percent of the sorted values are. */
static double
get_percentile (const gfloat *sorted, gsize n, double percent)
{
  double at = percent / 100 * (double) (n - 1);
  gsize i = (gsize) at;
  double next = (double) sorted[MIN (i + 1, n - 1)];

  return (double) sorted[i] + (at - (double) i) * (next - (double) sorted[i]);
}

static void
find_range (const State *state, const UmedptVolume *volume, double *low,
    double *high)
{
  gsize n = (gsize) volume->header.width * volume->header.height *
      volume->header.depth;
  gsize step = (n + MAX_RANKED - 1) / MAX_RANKED, m = 0;
  g_autofree gfloat *ranked = g_new (gfloat, n / step + 1);

  for (gsize i = 0; i < n; i += step)
    ranked[m++] = volume->data[i];
  qsort (ranked, m, sizeof (gfloat), compare_floats);
  *low = get_percentile (ranked, m, state->low);
  *high = get_percentile (ranked, m, state->high);
  if (!(*high > *low)) { /* almost all background */
    *low = (double) ranked[0];
    *high = (double) ranked[m - 1];
  }
}

static void
normalize (UmedptVolume *volume, gpointer data)
{
  const State *state = data;
  gsize n = (gsize) volume->header.width * volume->header.height *
      volume->header.depth;
  double low = state->window_low, high = state->window_high, range;

  if (!state->windowed)
    find_range (state, volume, &low, &high);
  range = high > low ? high - low : 1;
  for (gsize i = 0; i < n; i++) {
    double value = ((double) volume->data[i] - low) / range;

    volume->data[i] = (gfloat) CLAMP (value, 0, 1);
  }
}

/* Width, height and number of slices along the axis. */
static void
get_slicing (const State *state, const UmedptNiftiHeader *header, gint *width,
    gint *height, gint *n)
{
  *width = state->axis == 2 ? header->height : header->width;
  *height = state->axis == 0 ? header->height : header->depth;
  *n = state->axis == 0  ? header->depth
      : state->axis == 1 ? header->height
                         : header->width;
}

/* [height, width] of a slice. */
static gfloat *
cut_slice (const State *state, const UmedptVolume *volume, gint index,
    gint *width, gint *height)
{
  const UmedptNiftiHeader *h = &volume->header;
  gsize row = (gsize) h->width, plane = row * (gsize) h->height;
  gsize dx = state->axis == 2 ? row : 1;
  gsize dy = state->axis == 0 ? row : plane;
  gsize start = (gsize) index *
      (state->axis == 0          ? plane
              : state->axis == 1 ? row
                                 : 1);
  gfloat *out;
  gint n;

  get_slicing (state, h, width, height, &n);
  out = g_new (gfloat, (gsize) *width * *height);
  for (gint y = 0; y < *height; y++)
    for (gint x = 0; x < *width; x++)
      out[(gsize) y * *width + x] = volume->data[start + y * dy + x * dx];
  return out;
}

static void
add_slice (UmedptDataset *self, const UmedptRecord *like, Case *volume,
    gint index)
{
  g_autofree char *name = g_strdup_printf ("%s#%d", volume->image, index);
  Slice *slice = g_new0 (Slice, 1);
  UmedptRecord *record;

  g_ref_count_inc (&volume->ref_count);
  slice->volume = volume;
  slice->index = index;
  record = umedpt_dataset_add (self, name, slice);
  g_free (record->case_id);
  record->case_id = g_strdup (like->case_id);
  record->split = like->split;
  record->label = like->label;
}

static UmedptVolume *
get_volume (UmedptDataset *self, const char *name, gboolean label,
    GError **error)
{
  State *state = self->state;
  g_autofree char *path = umedpt_dataset_path (self, name);

  return umedpt_volumes_get (state->volumes, path, label ? 0 : state->channel,
      label ? NULL : normalize, state, error);
}

/* Does a slice of the label volume name anything but 0? */
static gboolean
is_labelled (const State *state, const UmedptVolume *labels, gint index)
{
  gint width, height;
  g_autofree gfloat *slice = cut_slice (state, labels, index, &width, &height);

  for (gsize i = 0; i < (gsize) width * height; i++)
    if (slice[i] != 0)
      return TRUE;
  return FALSE;
}

/* Image and labels must be of one size; told by the headers. */
static gboolean
check_sizes (UmedptDataset *self, const Case *volume, UmedptNiftiHeader *header,
    GError **error)
{
  const State *state = self->state;
  g_autofree char *path = umedpt_dataset_path (self, volume->image);
  UmedptNiftiHeader other;

  if (!umedpt_nifti_read_header (path, header, error))
    return FALSE;
  if (state->channel >= header->channels)
    return umedpt_dataset_fail (self, volume->image, error,
        "it has %d channels and no channel %d (they count from 0)",
        header->channels, state->channel);
  if (volume->label == NULL)
    return TRUE;
  g_free (path);
  path = umedpt_dataset_path (self, volume->label);
  if (!umedpt_nifti_read_header (path, &other, error))
    return FALSE;
  if (other.width == header->width && other.height == header->height &&
      other.depth == header->depth)
    return TRUE;
  return umedpt_dataset_fail (self, volume->label, error,
      "the labels have %d x %d x %d voxels, their image %d x %d x %d",
      other.width, other.height, other.depth, header->width, header->height,
      header->depth);
}

static gboolean
add_slices (UmedptDataset *self, const UmedptRecord *like, Case *volume,
    GError **error)
{
  const State *state = self->state;
  g_autoptr (UmedptVolume) labels = NULL;
  UmedptNiftiHeader header;
  gint width, height, n;

  if (!check_sizes (self, volume, &header, error))
    return FALSE;
  get_slicing (state, &header, &width, &height, &n);
  if ((guint64) width * (guint64) height > MAX_PIXELS)
    return umedpt_dataset_fail (self, volume->image, error,
        "its slices have %d x %d pixels, more than %d million", width, height,
        (gint) (MAX_PIXELS / 1000000));
  if (state->labelled && volume->label != NULL) {
    labels = get_volume (self, volume->label, TRUE, error);
    if (labels == NULL)
      return FALSE;
  }
  for (gint i = 0; i < n; i += state->step)
    if (labels == NULL || is_labelled (state, labels, i))
      add_slice (self, like, volume, i);
  return TRUE;
}

/* The labels of "images/a.nii.gz": "labels/a.nii.gz" or "labels/a.nii". */
static char *
find_label (UmedptDataset *self, const char *folder, const char *suffix,
    const char *image)
{
  static const char *const types[] = { ".nii.gz", ".nii" };
  g_autofree char *base = g_path_get_basename (image);
  g_autofree char *stem = umedpt_dataset_stem (base);

  for (guint i = 0; i < G_N_ELEMENTS (types); i++) {
    g_autofree char *file = g_strconcat (stem, suffix, types[i], NULL);
    g_autofree char *name = umedpt_dataset_join (folder, file);

    if (umedpt_dataset_has (self, name))
      return g_steal_pointer (&name);
  }
  return NULL;
}

/* Replaces the records, one per volume so far, by those of slices. */
static gboolean
expand (UmedptDataset *self, const char *folder, const char *suffix,
    GError **error)
{
  g_autoptr (GArray) volumes = g_steal_pointer (&self->records);
  gboolean ok = TRUE;

  self->records = g_array_new (FALSE, FALSE, sizeof (UmedptRecord));
  self->record_free = slice_free;
  for (guint i = 0; i < volumes->len; i++) {
    UmedptRecord *record = &g_array_index (volumes, UmedptRecord, i);
    Case *volume = g_new0 (Case, 1);

    g_ref_count_init (&volume->ref_count);
    volume->image = g_strdup (record->name);
    volume->item = record->data;
    if (folder != NULL)
      volume->label = find_label (self, folder, suffix, record->name);
    if (ok && folder != NULL && volume->label == NULL)
      ok = umedpt_dataset_fail (self, record->name, error,
          "it has no labels in “%s” (.nii.gz or .nii)", folder);
    ok = ok && add_slices (self, record, volume, error);
    case_unref (volume);
    g_free (record->name);
    g_free (record->case_id);
  }
  return ok;
}

static gboolean
read_settings (UmedptDataset *self, GKeyFile *file, const char *group,
    GError **error)
{
  static const char *const axes[] = { "z", "y", "x", NULL };
  static const char *const which[] = { "all", "labelled", NULL };
  State *state = self->state;
  g_auto (GStrv) list =
      umedpt_dataset_get_key_list (file, group, "percentiles");
  double step, channel;
  gint labelled;

  if (!umedpt_dataset_get_key_choice (file, group, "axis", axes, &state->axis,
          error) ||
      !umedpt_dataset_get_key_choice (file, group, "slices", which, &labelled,
          error) ||
      !umedpt_dataset_get_key_number (file, group, "slice-step", 1, 10000, 1,
          &step, error) ||
      !umedpt_dataset_get_key_number (file, group, "channel", 0, 65535, 0,
          &channel, error))
    return FALSE;
  state->labelled = labelled == 1;
  state->step = (gint) step;
  state->channel = (gint) channel;
  state->low = 0.5;
  state->high = 99.5;
  if (list != NULL) {
    char *ends[2] = { NULL, NULL };

    if (g_strv_length (list) == 2) {
      state->low = g_ascii_strtod (list[0], &ends[0]);
      state->high = g_ascii_strtod (list[1], &ends[1]);
    }
    if (ends[0] == NULL || *ends[0] != '\0' || *ends[1] != '\0' ||
        !(state->low >= 0 && state->low < state->high && state->high <= 100))
      return umedpt_dataset_fail_key (file, group, "percentiles", error,
          "expected two numbers from 0 to 100: 0.5;99.5");
  }
  state->window_low = self->window_low;
  state->window_high = self->window_high;
  state->windowed = state->window_low < state->window_high;
  return TRUE;
}

/* One record per volume: all files of the folder, or those of the table. */
static gboolean
list_volumes (UmedptDataset *self, GKeyFile *file, const char *group,
    gboolean table, GError **error)
{
  static const char *const suffixes[] = { ".nii", ".nii.gz", NULL };
  g_autofree char *images = umedpt_dataset_find_place (self, file, group,
      "images", "images", FALSE, error);
  g_autoptr (GPtrArray) names = NULL;

  if (images == NULL)
    return FALSE;
  if (table)
    return umedpt_dataset_open_table (self, file, group, "table", error);
  if (!umedpt_dataset_load_classes (self, file, group, error))
    return FALSE;
  names = umedpt_dataset_list (self, images, suffixes, error);
  for (guint i = 0; names != NULL && i < names->len; i++) {
    g_autofree char *name = umedpt_dataset_join (images, names->pdata[i]);

    umedpt_dataset_add (self, name, NULL);
  }
  return names != NULL;
}

static gboolean
open_nifti (UmedptDataset *self, GKeyFile *file, const char *group,
    GError **error)
{
  State *state = g_new0 (State, 1);
  gboolean table = self->kind == UMEDPT_TASK_CLASSIFICATION ||
      self->kind == UMEDPT_TASK_REGRESSION ||
      g_key_file_has_key (file, group, "table", NULL);
  g_autofree char *folder = NULL;
  g_autofree char *suffix =
      umedpt_dataset_get_key (file, group, "mask-suffix", "");

  self->state = state;
  self->state_free = state_free;
  state->volumes = umedpt_volumes_new (CACHE_BYTES);
  if (table && self->kind != UMEDPT_TASK_CLASSIFICATION &&
      self->kind != UMEDPT_TASK_REGRESSION &&
      self->kind != UMEDPT_TASK_MULTILABEL)
    return umedpt_dataset_fail_key (file, group, "table", error,
        "a table of labels per volume is not for segmentation");
  if (!read_settings (self, file, group, error) ||
      !list_volumes (self, file, group, table, error))
    return FALSE;
  if (!table) {
    folder = umedpt_dataset_find_place (self, file, group, "annotations",
        "labels", FALSE, error);
    if (folder == NULL ||
        !umedpt_mask_map_init (&state->map, self, file, group, error))
      return FALSE;
  }
  return expand (self, folder, suffix, error);
}

static UmedptSample *
read_image (UmedptDataset *self, const Slice *slice, GError **error)
{
  g_autoptr (UmedptVolume) volume =
      get_volume (self, slice->volume->image, FALSE, error);
  g_autofree gfloat *pixels = NULL;
  UmedptSample *sample;
  gint width, height;

  if (volume == NULL)
    return NULL;
  pixels = cut_slice (self->state, volume, slice->index, &width, &height);
  sample = umedpt_sample_new (width, height);
  for (gsize i = 0; i < (gsize) width * height * 3; i++)
    sample->image[i] = pixels[i / 3];
  return sample;
}

static UmedptSample *
read_nifti (UmedptDataset *self, const UmedptRecord *record, GError **error)
{
  const State *state = self->state;
  const Slice *slice = record->data;
  g_autoptr (UmedptSample) sample = read_image (self, slice, error);
  g_autoptr (UmedptVolume) labels = NULL;
  g_autofree gfloat *numbers = NULL;
  g_autofree char *where = NULL;
  gint width, height;

  if (sample == NULL)
    return NULL;
  sample->label = record->label;
  if (slice->volume->item != NULL) {
    umedpt_item_fill (self, slice->volume->item, sample);
    return g_steal_pointer (&sample);
  }
  labels = get_volume (self, slice->volume->label, TRUE, error);
  if (labels == NULL)
    return NULL;
  where = g_strdup_printf ("%s#%d", slice->volume->label, slice->index);
  numbers = cut_slice (state, labels, slice->index, &width, &height);
  if (!umedpt_mask_map_apply (&state->map, self, numbers, sample, where, error))
    return NULL;
  return g_steal_pointer (&sample);
}

const UmedptDatasetFormat umedpt_dataset_nifti = {
  .name = "nifti",
  .kinds = 1u << UMEDPT_TASK_SEGMENTATION |
      1u << UMEDPT_TASK_MULTILABEL_SEGMENTATION | 1u << UMEDPT_TASK_MULTILABEL |
      1u << UMEDPT_TASK_CLASSIFICATION | 1u << UMEDPT_TASK_REGRESSION,
  .open = open_nifti,
  .read = read_nifti,
};
