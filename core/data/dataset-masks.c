/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Format `masks`: images, and for each a mask of the same size whose numbers
 * are classes (PNG or TIFF, grey or palette; number = line of classes.txt,
 * from 0, unless the configuration says otherwise). A number that no class has
 * is an error with the place where it stands. Masks serve segmentation,
 * one plane per class (multilabel segmentation), and the classes present.
 */
#include "data/image-file.h"
#include "data/dataset-files.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

#define UNKNOWN -2

static void
free_map (gpointer map)
{
  g_free (map);
}

/* The numbers of the classes in order, by the key mask-values. */
static gboolean
read_values (UmedptMaskMap *map, UmedptDataset *self, const gint *labels,
    GKeyFile *file, const char *group, GError **error)
{
  g_auto (GStrv) list =
      umedpt_dataset_get_key_list (file, group, "mask-values");

  if (list != NULL && g_strv_length (list) != map->n_declared)
    return umedpt_dataset_fail_key (file, group, "mask-values", error,
        "%u numbers for %u classes", g_strv_length (list), map->n_declared);
  for (guint i = 0; i < map->n_declared; i++) {
    guint64 value = i;

    if (list != NULL &&
        !g_ascii_string_to_unsigned (list[i], 10, 0, 255, &value, NULL))
      return umedpt_dataset_fail_key (file, group, "mask-values", error,
          "“%s” is no number from 0 to 255", list[i]);
    if (map->classes[value] != UNKNOWN)
      return umedpt_dataset_fail_key (file, group, "mask-values", error,
          "%" G_GUINT64_FORMAT " is given twice", value);
    map->classes[value] = labels[i];
  }
  return TRUE;
}

gboolean
umedpt_mask_map_init (UmedptMaskMap *map, UmedptDataset *self, GKeyFile *file,
    const char *group, GError **error)
{
  g_autofree char *ignored =
      umedpt_dataset_get_key (file, group, "ignore-value", "255");
  g_autofree gint *labels = NULL;
  guint64 value = 0;

  map->n_declared = umedpt_dataset_get_n_labels (self);
  if (map->n_declared == 0 || map->n_declared > 255) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "[%s]: %u classes are declared for the masks of “%s”; expected 1 to "
        "255, in classes.txt or with classes=.",
        group, map->n_declared, self->root);
    return FALSE;
  }
  labels = umedpt_dataset_ignore_labels (self, file, group, error);
  if (labels == NULL)
    return FALSE;
  for (guint i = 0; i < 256; i++)
    map->classes[i] = UNKNOWN;
  if (!read_values (map, self, labels, file, group, error))
    return FALSE;
  if (strcmp (ignored, "none") == 0)
    return TRUE;
  if (!g_ascii_string_to_unsigned (ignored, 10, 0, 255, &value, NULL))
    return umedpt_dataset_fail_key (file, group, "ignore-value", error,
        "expected a number from 0 to 255, or none");
  if (map->classes[value] == UNKNOWN)
    map->classes[value] = UMEDPT_IGNORE_LABEL;
  return TRUE;
}

static gint
look_up (const UmedptMaskMap *map, gfloat value)
{
  if (value < 0 || value > 255 || value != floorf (value))
    return UNKNOWN;
  return map->classes[(gint) value];
}

static gboolean
fail_value (const UmedptMaskMap *map, UmedptDataset *self, const gfloat *values,
    gsize first, const UmedptSample *sample, const char *where, GError **error)
{
  gsize n = (gsize) sample->width * sample->height, count = 0;
  g_autofree char *labels = umedpt_dataset_describe_labels (self);

  for (gsize i = first; i < n; i++)
    count += values[i] == values[first];
  return umedpt_dataset_fail (self, where, error,
      "%" G_GSIZE_FORMAT " pixels have the number %g, which is no declared "
      "class (%u are: %s); the first is at %d, %d",
      count, values[first], map->n_declared, labels,
      (gint) (first % sample->width), (gint) (first / sample->width));
}

gboolean
umedpt_mask_map_apply (const UmedptMaskMap *map, UmedptDataset *self,
    const gfloat *values, UmedptSample *sample, const char *where,
    GError **error)
{
  gsize n = (gsize) sample->width * sample->height;
  guint n_labels = umedpt_dataset_get_n_labels (self);
  gboolean planes = self->kind == UMEDPT_TASK_MULTILABEL_SEGMENTATION;

  if (self->kind == UMEDPT_TASK_MULTILABEL)
    sample->labels = g_new0 (gfloat, n_labels);
  else
    sample->mask = g_try_malloc0_n (n, planes ? n_labels : 1);
  if (sample->labels == NULL && sample->mask == NULL) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY,
        "There is no memory for the classes of “%s”.", where);
    return FALSE;
  }
  for (gsize i = 0; i < n; i++) {
    gint label = look_up (map, values[i]);

    if (label == UNKNOWN)
      return fail_value (map, self, values, i, sample, where, error);
    if (self->kind == UMEDPT_TASK_MULTILABEL) {
      if (label >= 0)
        sample->labels[label] = 1;
    } else if (!planes) {
      sample->mask[i] = (guint8) (label < 0 ? UMEDPT_IGNORE_PIXEL : label);
    } else if (label >= 0) {
      sample->mask[i * n_labels + (guint) label] = 1;
    } else {
      memset (sample->mask + i * n_labels, UMEDPT_IGNORE_PIXEL, n_labels);
    }
  }
  return TRUE;
}

static gboolean
open_masks (UmedptDataset *self, GKeyFile *file, const char *group,
    GError **error)
{
  g_autofree char *images = umedpt_dataset_find_place (self, file, group,
      "images", "images", FALSE, error);
  g_autofree char *masks = images == NULL
      ? NULL
      : umedpt_dataset_find_place (self, file, group, "annotations", "masks",
            FALSE, error);
  g_autofree char *suffix =
      umedpt_dataset_get_key (file, group, "mask-suffix", "");
  UmedptMaskMap *map;
  g_autoptr (GPtrArray) names = NULL;

  self->record_free = free_map; /* of the name of the mask */
  if (masks == NULL || !umedpt_dataset_load_classes (self, file, group, error))
    return FALSE;
  self->state = map = g_new0 (UmedptMaskMap, 1);
  self->state_free = free_map;
  names = umedpt_dataset_list (self, images, NULL, error);
  if (names == NULL || !umedpt_mask_map_init (map, self, file, group, error))
    return FALSE;
  for (guint i = 0; i < names->len; i++) {
    g_autofree char *name = umedpt_dataset_join (images, names->pdata[i]);
    char *mask =
        umedpt_dataset_find_mask (self, masks, suffix, names->pdata[i]);

    if (mask == NULL)
      return umedpt_dataset_fail (self, name, error,
          "it has no mask in “%s” (its name%s%s, and .png or .tif)", masks,
          *suffix != '\0' ? ", then " : "", suffix);
    umedpt_dataset_add (self, name, mask);
  }
  return TRUE;
}

gboolean
umedpt_mask_map_load (const UmedptMaskMap *map, UmedptDataset *self,
    const char *name, UmedptSample *sample, GError **error)
{
  g_autofree char *path = umedpt_dataset_path (self, name);
  g_autoptr (UmedptImageFile) mask =
      umedpt_image_file_read_as (path, UMEDPT_IMAGE_READ_INDICES, error);

  if (mask == NULL)
    return FALSE;
  if (mask->width != sample->width || mask->height != sample->height)
    return umedpt_dataset_fail (self, name, error,
        "the mask has %d x %d pixels, its image %d x %d", mask->width,
        mask->height, sample->width, sample->height);
  return umedpt_mask_map_apply (map, self, mask->data, sample, name, error);
}

static UmedptSample *
read_masks (UmedptDataset *self, const UmedptRecord *record, GError **error)
{
  g_autoptr (UmedptSample) sample =
      umedpt_dataset_read_image (self, record->name, error);

  if (sample == NULL ||
      !umedpt_mask_map_load (self->state, self, record->data, sample, error))
    return NULL;
  return g_steal_pointer (&sample);
}

const UmedptDatasetFormat umedpt_dataset_masks = {
  .name = "masks",
  .kinds = 1u << UMEDPT_TASK_SEGMENTATION | 1u << UMEDPT_TASK_MULTILABEL |
      1u << UMEDPT_TASK_MULTILABEL_SEGMENTATION,
  .open = open_masks,
  .read = read_masks,
};
