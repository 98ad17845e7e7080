/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The item: one image file with its labels, value or boxes. Folders of classes,
 * tables and the three box formats all make items; they are read alike. Boxes
 * are judged here: annotators' programs write boxes without an area (dropped,
 * with a warning) and boxes over the edge (clipped); one wholly outside means
 * that the annotation belongs to another image, which is an error.
 */
#include "data/dataset-files.h"

#include <math.h>

#include "base/error.h"

/* Counting from 1, or pixels as points, put a box so far over the edge. */
#define SLACK 1.0f

UmedptItem *
umedpt_item_new (UmedptDataset *self)
{
  UmedptItem *item = g_new0 (UmedptItem, 1);

  if (self->kind == UMEDPT_TASK_MULTILABEL)
    item->labels = g_new0 (gfloat, umedpt_dataset_get_n_labels (self) + 1);
  item->boxes = g_array_new (FALSE, FALSE, sizeof (UmedptBox));
  return item;
}

void
umedpt_item_free (gpointer data)
{
  UmedptItem *item = data;

  if (item == NULL)
    return;
  g_free (item->labels);
  g_free (item->weights);
  g_array_unref (item->boxes);
  g_free (item);
}

/* FALSE: outside; else @box is inside, and @cut says whether it was not. */
static gboolean
clip (UmedptBox *box, gint width, gint height, gboolean *cut)
{
  gfloat w = (gfloat) width, h = (gfloat) height;

  *cut = box->x1 < -SLACK || box->y1 < -SLACK || box->x2 > w + SLACK ||
      box->y2 > h + SLACK;
  if (box->x1 >= w || box->y1 >= h || box->x2 <= 0 || box->y2 <= 0)
    return FALSE;
  box->x1 = MAX (box->x1, 0);
  box->y1 = MAX (box->y1, 0);
  box->x2 = MIN (box->x2, w);
  box->y2 = MIN (box->y2, h);
  return TRUE;
}

static gboolean
fail_box (UmedptDataset *self, const char *where, const UmedptBox *box,
    const char *problem, const UmedptItem *item, GError **error)
{
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
      "%s/%s: the box from (%g, %g) to (%g, %g) %s (the image has %d x %d "
      "pixels).",
      self->root, where, box->x1, box->y1, box->x2, box->y2, problem,
      item->width, item->height);
  return FALSE;
}

gboolean
umedpt_item_add_box (UmedptDataset *self, UmedptItem *item, const char *where,
    const UmedptBox *given, GError **error)
{
  UmedptBox box = *given;
  gboolean cut = FALSE;

  item->n_seen++;
  if (!isfinite (box.x1) || !isfinite (box.y1) || !isfinite (box.x2) ||
      !isfinite (box.y2))
    return fail_box (self, where, given, "is not finite", item, error);
  if (!(box.x2 > box.x1 && box.y2 > box.y1)) {
    umedpt_dataset_warn (self, where,
        "the box from (%g, %g) to (%g, %g) has no area; it is left out", box.x1,
        box.y1, box.x2, box.y2);
    return TRUE;
  }
  if (item->width > 0 && !clip (&box, item->width, item->height, &cut))
    return fail_box (self, where, given, "lies outside the image", item, error);
  if (cut)
    umedpt_dataset_warn (self, where,
        "the box from (%g, %g) to (%g, %g) reaches over the edge of %d x %d "
        "pixels; it is clipped",
        given->x1, given->y1, given->x2, given->y2, item->width, item->height);
  g_array_append_val (item->boxes, box);
  if (item->labels != NULL && box.label >= 0)
    item->labels[box.label] = 1;
  return TRUE;
}

gint
umedpt_item_get_class (UmedptDataset *self, const UmedptItem *item)
{
  gint found = UMEDPT_IGNORE_LABEL;

  for (guint i = 0; i < item->boxes->len; i++) {
    gint label = g_array_index (item->boxes, UmedptBox, i).label;

    if (label < 0 || label == found)
      continue;
    if (found >= 0)
      return UMEDPT_IGNORE_LABEL;
    found = label;
  }
  return found;
}

void
umedpt_dataset_add_item (UmedptDataset *self, const char *name,
    UmedptItem *item)
{
  UmedptRecord *record;
  gint label = UMEDPT_IGNORE_LABEL;

  if (self->kind == UMEDPT_TASK_CLASSIFICATION) {
    label = umedpt_item_get_class (self, item);
    if (label < 0) {
      umedpt_dataset_warn (self, name,
          "its annotations are of no class or of several; as one class per "
          "image it is left out");
      umedpt_item_free (item);
      return;
    }
  }
  record = umedpt_dataset_add (self, name, item);
  record->label = label;
}

UmedptSample *
umedpt_dataset_read_image (UmedptDataset *self, const char *name,
    GError **error)
{
  g_autofree char *path = umedpt_dataset_path (self, name);
  g_autoptr (UmedptImageFile) image = umedpt_image_file_read (path, error);

  if (image == NULL)
    return NULL;
  return umedpt_image_file_to_sample (image, self->window_low,
      self->window_high);
}

static gboolean
copy_boxes (UmedptDataset *self, const UmedptRecord *record,
    UmedptSample *sample, GError **error)
{
  const UmedptItem *item = record->data;

  sample->boxes = g_array_new (FALSE, FALSE, sizeof (UmedptBox));
  for (guint i = 0; i < item->boxes->len; i++) {
    UmedptBox box = g_array_index (item->boxes, UmedptBox, i);
    gboolean cut;

    if (!clip (&box, sample->width, sample->height, &cut))
      return umedpt_dataset_fail (self, record->name, error,
          "box %u from (%g, %g) to (%g, %g) lies outside its %d x %d pixels",
          i + 1, box.x1, box.y1, box.x2, box.y2, sample->width, sample->height);
    g_array_append_val (sample->boxes, box);
  }
  return TRUE;
}

void
umedpt_item_fill (UmedptDataset *self, const UmedptItem *item,
    UmedptSample *sample)
{
  guint n = umedpt_dataset_get_n_labels (self);

  sample->value = item->value;
  if (item->labels != NULL)
    sample->labels = g_memdup2 (item->labels, n * sizeof (gfloat));
  if (item->weights != NULL)
    sample->weights = g_memdup2 (item->weights, n * sizeof (gfloat));
}

UmedptSample *
umedpt_item_read (UmedptDataset *self, const UmedptRecord *record,
    GError **error)
{
  g_autoptr (UmedptSample) sample =
      umedpt_dataset_read_image (self, record->name, error);
  const UmedptItem *item = record->data;

  if (sample == NULL)
    return NULL;
  sample->label = record->label;
  if (item == NULL)
    return g_steal_pointer (&sample);
  if (item->width > 0 &&
      (item->width != sample->width || item->height != sample->height)) {
    umedpt_dataset_fail (self, record->name, error,
        "the image has %d x %d pixels, its annotation says %d x %d",
        sample->width, sample->height, item->width, item->height);
    return NULL;
  }
  umedpt_item_fill (self, item, sample);
  if (self->kind == UMEDPT_TASK_DETECTION &&
      !copy_boxes (self, record, sample, error))
    return NULL;
  return g_steal_pointer (&sample);
}
