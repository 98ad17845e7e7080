/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Format `instances`: images, and for each a label image of 8 or 16 bits in
 * which 0 is background and every other number one object. Boxes are the
 * tightest round each object; segmentation is background and object; with
 * sigmoids (multilabel segmentation) the object alone.
 */
#include "data/image-file.h"
#include "data/dataset-files.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

static void
free_name (gpointer name)
{
  g_free (name);
}

/* One class of objects, called by the key classes; segmentation puts the
 * background before it. */
static gboolean
find_labels (UmedptDataset *self, GKeyFile *file, const char *group,
    GError **error)
{
  gboolean two = self->kind == UMEDPT_TASK_SEGMENTATION;
  guint n;

  if (!umedpt_dataset_load_classes (self, file, group, error))
    return FALSE;
  if (self->labels == NULL) {
    self->labels = g_new0 (char *, 2);
    self->labels[0] = g_strdup ("object");
  }
  n = g_strv_length (self->labels);
  if (two && n == 1) {
    char **labels = g_new0 (char *, 3);

    labels[0] = g_strdup ("background");
    labels[1] = self->labels[0];
    g_free (self->labels);
    self->labels = labels;
    return TRUE;
  }
  if (n == 1 || (two && n == 2))
    return TRUE;
  return umedpt_dataset_fail_key (file, group, "classes", error,
      "label images tell objects apart and not classes: expected the one name "
      "of an object");
}

static gboolean
open_instances (UmedptDataset *self, GKeyFile *file, const char *group,
    GError **error)
{
  g_autofree char *images = umedpt_dataset_find_place (self, file, group,
      "images", "images", FALSE, error);
  g_autofree char *folder = images == NULL
      ? NULL
      : umedpt_dataset_find_place (self, file, group, "annotations",
            "instances", FALSE, error);
  g_autofree char *suffix =
      umedpt_dataset_get_key (file, group, "mask-suffix", "");
  g_autoptr (GPtrArray) names = NULL;

  self->record_free = free_name;
  if (folder == NULL || !find_labels (self, file, group, error))
    return FALSE;
  names = umedpt_dataset_list (self, images, NULL, error);
  for (guint i = 0; names != NULL && i < names->len; i++) {
    g_autofree char *name = umedpt_dataset_join (images, names->pdata[i]);
    char *mask =
        umedpt_dataset_find_mask (self, folder, suffix, names->pdata[i]);

    if (mask == NULL)
      return umedpt_dataset_fail (self, name, error,
          "it has no label image in “%s” (.png or .tif)", folder);
    umedpt_dataset_add (self, name, mask);
  }
  return names != NULL;
}

static gboolean
fail_number (UmedptDataset *self, const char *where, const UmedptSample *sample,
    gsize at, gfloat value, GError **error)
{
  return umedpt_dataset_fail (self, where, error,
      "the pixel %d, %d has the number %g; expected whole numbers up to 65535",
      (gint) (at % sample->width), (gint) (at / sample->width), value);
}

/* Grows @box by pixel @at. */
static void
grow (UmedptBox *box, gint x, gint y)
{
  box->x1 = MIN (box->x1, (gfloat) x);
  box->y1 = MIN (box->y1, (gfloat) y);
  box->x2 = MAX (box->x2, (gfloat) (x + 1));
  box->y2 = MAX (box->y2, (gfloat) (y + 1));
}

/* The tight box of every number, in the order of the numbers. */
static gboolean
make_boxes (UmedptDataset *self, const gfloat *numbers, UmedptSample *sample,
    const char *where, GError **error)
{
  static const UmedptBox none = { INFINITY, INFINITY, -INFINITY, -INFINITY, 0,
    1 };
  gsize n = (gsize) sample->width * sample->height;
  g_autoptr (GArray) all = g_array_new (FALSE, FALSE, sizeof (UmedptBox));

  for (gsize i = 0; i < n; i++) {
    gfloat value = numbers[i];

    if (value < 0 || value > 65535 || value != floorf (value))
      return fail_number (self, where, sample, i, value, error);
    while (all->len < (guint) value)
      g_array_append_val (all, none);
    if (value > 0)
      grow (&g_array_index (all, UmedptBox, (guint) value - 1),
          (gint) (i % sample->width), (gint) (i / sample->width));
  }
  sample->boxes = g_array_new (FALSE, FALSE, sizeof (UmedptBox));
  for (guint i = 0; i < all->len; i++) {
    UmedptBox box = g_array_index (all, UmedptBox, i);

    if (box.x2 > box.x1)
      g_array_append_val (sample->boxes, box);
  }
  return TRUE;
}

static UmedptSample *
read_instances (UmedptDataset *self, const UmedptRecord *record, GError **error)
{
  g_autoptr (UmedptSample) sample =
      umedpt_dataset_read_image (self, record->name, error);
  g_autofree char *path = umedpt_dataset_path (self, record->data);
  g_autoptr (UmedptImageFile) mask = NULL;
  gsize n;

  if (sample == NULL)
    return NULL;
  mask = umedpt_image_file_read_as (path, UMEDPT_IMAGE_READ_INDICES, error);
  if (mask == NULL)
    return NULL;
  if (mask->width != sample->width || mask->height != sample->height) {
    umedpt_dataset_fail (self, record->data, error,
        "the label image has %d x %d pixels, its image %d x %d", mask->width,
        mask->height, sample->width, sample->height);
    return NULL;
  }
  if (self->kind == UMEDPT_TASK_DETECTION) {
    if (!make_boxes (self, mask->data, sample, record->data, error))
      return NULL;
    return g_steal_pointer (&sample);
  }
  n = (gsize) sample->width * sample->height;
  sample->mask = g_malloc (n);
  for (gsize i = 0; i < n; i++)
    sample->mask[i] = mask->data[i] != 0;
  return g_steal_pointer (&sample);
}

const UmedptDatasetFormat umedpt_dataset_instances = {
  .name = "instances",
  .kinds = 1u << UMEDPT_TASK_DETECTION | 1u << UMEDPT_TASK_SEGMENTATION |
      1u << UMEDPT_TASK_MULTILABEL_SEGMENTATION,
  .open = open_instances,
  .read = read_instances,
};
