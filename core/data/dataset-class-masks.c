/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Format `class-masks`: images, and per class a folder of masks of 0 and 255
 * (or 0 and 1), MASKS/CLASS/STEM.png. Classes may overlap: one plane each, for
 * multilabel segmentation, or the classes present. What a missing file means
 * only the data set's author knows, so it is an error unless the configuration
 * says.
 */
#include "data/image-file.h"
#include "data/dataset-files.h"

#include <string.h>

#include "base/error.h"

typedef enum
{
  MISSING_ERROR,
  MISSING_EMPTY,
  MISSING_IGNORE,
} Missing;

typedef struct
{
  char *folder, *suffix;
  gint missing;
} State;

static void
state_free (gpointer data)
{
  State *state = data;

  g_free (state->folder);
  g_free (state->suffix);
  g_free (state);
}

static gboolean
find_classes (UmedptDataset *self, State *state, GKeyFile *file,
    const char *group, GError **error)
{
  g_autofree gint *map = NULL;

  if (!umedpt_dataset_load_classes (self, file, group, error))
    return FALSE;
  if (self->labels == NULL) {
    g_autoptr (GPtrArray) folders =
        umedpt_dataset_list_folders (self, state->folder);

    self->labels = g_new0 (char *, folders->len + 1);
    for (guint i = 0; i < folders->len; i++)
      self->labels[i] = g_strdup (folders->pdata[i]);
  }
  map = umedpt_dataset_ignore_labels (self, file, group, error);
  if (map == NULL)
    return FALSE;
  for (guint i = 0; self->labels[i] != NULL; i++) {
    g_autofree char *folder =
        umedpt_dataset_join (state->folder, self->labels[i]);

    if (!umedpt_dataset_name_is_inside (folder) ||
        !umedpt_dataset_has (self, folder))
      return umedpt_dataset_fail (self, state->folder, error,
          "it has no folder “%s” for this class", self->labels[i]);
  }
  return TRUE;
}

/* The mask of image @name (in its folder) and a class; NULL: there is none. */
static char *
find_mask (UmedptDataset *self, const State *state, const char *label,
    const char *name)
{
  g_autofree char *base = g_path_get_basename (name);
  g_autofree char *folder = umedpt_dataset_join (state->folder, label);

  return umedpt_dataset_find_mask (self, folder, state->suffix, base);
}

static gboolean
check_masks (UmedptDataset *self, const State *state, const char *name,
    GError **error)
{
  for (guint i = 0; self->labels[i] != NULL; i++) {
    g_autofree char *mask = find_mask (self, state, self->labels[i], name);

    if (mask != NULL || state->missing != MISSING_ERROR)
      continue;
    return umedpt_dataset_fail (self, name, error,
        "it has no mask of the class “%s” in “%s” (say with missing-masks= "
        "what that means)",
        self->labels[i], state->folder);
  }
  return TRUE;
}

static gboolean
open_class_masks (UmedptDataset *self, GKeyFile *file, const char *group,
    GError **error)
{
  static const char *const choices[] = { "error", "empty", "ignore", NULL };
  State *state = g_new0 (State, 1);
  g_autofree char *images = umedpt_dataset_find_place (self, file, group,
      "images", "images", FALSE, error);
  g_autoptr (GPtrArray) names = NULL;

  self->state = state;
  self->state_free = state_free;
  if (images == NULL ||
      !umedpt_dataset_get_key_choice (file, group, "missing-masks", choices,
          &state->missing, error))
    return FALSE;
  state->suffix = umedpt_dataset_get_key (file, group, "mask-suffix", "");
  state->folder = umedpt_dataset_find_place (self, file, group, "annotations",
      "masks", FALSE, error);
  if (state->folder == NULL || !find_classes (self, state, file, group, error))
    return FALSE;
  names = umedpt_dataset_list (self, images, NULL, error);
  for (guint i = 0; names != NULL && i < names->len; i++) {
    g_autofree char *name = umedpt_dataset_join (images, names->pdata[i]);

    if (!check_masks (self, state, name, error))
      return FALSE;
    umedpt_dataset_add (self, name, NULL);
  }
  return names != NULL;
}

static gboolean
fail_number (UmedptDataset *self, const char *name, const UmedptImageFile *mask,
    gsize at, GError **error)
{
  return umedpt_dataset_fail (self, name, error,
      "the pixel %d, %d has the number %g; masks of one class have 0 and 255 "
      "(or 0 and 1)",
      (gint) (at % mask->width), (gint) (at / mask->width), mask->data[at]);
}

/* Plane @k of the sample: 0 and 1. */
static gboolean
read_plane (UmedptDataset *self, const char *name, guint k, guint n_labels,
    guint8 *planes, const UmedptSample *sample, GError **error)
{
  g_autofree char *path = umedpt_dataset_path (self, name);
  g_autoptr (UmedptImageFile) mask =
      umedpt_image_file_read_as (path, UMEDPT_IMAGE_READ_INDICES, error);
  gsize n = (gsize) sample->width * sample->height;
  gfloat one = 0;

  if (mask == NULL)
    return FALSE;
  if (mask->width != sample->width || mask->height != sample->height)
    return umedpt_dataset_fail (self, name, error,
        "the mask has %d x %d pixels, its image %d x %d", mask->width,
        mask->height, sample->width, sample->height);
  for (gsize i = 0; i < n; i++) {
    gfloat value = mask->data[i];

    if (value == 0)
      continue;
    if ((value != 1 && value != 255) || (one != 0 && value != one))
      return fail_number (self, name, mask, i, error);
    one = value;
    planes[i * n_labels + k] = 1;
  }
  return TRUE;
}

static void
fill_plane (guint8 *planes, gsize n, guint k, guint n_labels, guint8 value)
{
  for (gsize i = 0; i < n; i++)
    planes[i * n_labels + k] = value;
}

/* Multilabel: a class is present if a pixel has it, unknown without a mask. */
static void
make_labels (UmedptSample *sample, guint n_labels)
{
  gsize n = (gsize) sample->width * sample->height;

  sample->labels = g_new0 (gfloat, n_labels);
  sample->weights = g_new0 (gfloat, n_labels);
  for (guint k = 0; k < n_labels; k++) {
    sample->weights[k] = sample->mask[k] == UMEDPT_IGNORE_PIXEL ? 0 : 1;
    for (gsize i = 0; i < n; i++)
      if (sample->mask[i * n_labels + k] == 1)
        sample->labels[k] = 1;
  }
  g_clear_pointer (&sample->mask, g_free);
}

static UmedptSample *
read_class_masks (UmedptDataset *self, const UmedptRecord *record,
    GError **error)
{
  const State *state = self->state;
  g_autoptr (UmedptSample) sample =
      umedpt_dataset_read_image (self, record->name, error);
  guint n_labels = umedpt_dataset_get_n_labels (self);
  gsize n, size;

  if (sample == NULL)
    return NULL;
  n = (gsize) sample->width * sample->height;
  if (!g_size_checked_mul (&size, n, n_labels) ||
      (sample->mask = g_try_malloc0 (size)) == NULL) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY,
        "There is no memory for the %u masks of “%s”.", n_labels, record->name);
    return NULL;
  }
  for (guint k = 0; k < n_labels; k++) {
    g_autofree char *name =
        find_mask (self, state, self->labels[k], record->name);

    if (name == NULL && state->missing == MISSING_IGNORE)
      fill_plane (sample->mask, n, k, n_labels, UMEDPT_IGNORE_PIXEL);
    if (name != NULL &&
        !read_plane (self, name, k, n_labels, sample->mask, sample, error))
      return NULL;
  }
  if (self->kind == UMEDPT_TASK_MULTILABEL)
    make_labels (sample, n_labels);
  return g_steal_pointer (&sample);
}

const UmedptDatasetFormat umedpt_dataset_class_masks = {
  .name = "class-masks",
  .kinds =
      1u << UMEDPT_TASK_MULTILABEL_SEGMENTATION | 1u << UMEDPT_TASK_MULTILABEL,
  .open = open_class_masks,
  .read = read_class_masks,
};
