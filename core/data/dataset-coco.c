/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Format `coco`: one JSON file with images, annotations and categories, for
 * boxes, for the classes present, or for one class per image. Classes are the
 * categories by ascending id. Crowds and classes that do not count become
 * regions that do not count.
 */
#include "data/dataset-annotations.h"
#include "data/dataset-files.h"

#include <string.h>

#include "base/error.h"

typedef struct
{
  UmedptCoco *coco;
  char *file, *images; /* relative names */
  GHashTable *labels; /* category id → label + 2 */
  GHashTable *items; /* image id → UmedptItem, owned by `order` until added */
  GPtrArray *order; /* items like coco->images */
} State;

static void
state_clear (State *state)
{
  g_clear_pointer (&state->coco, umedpt_coco_free);
  g_clear_pointer (&state->labels, g_hash_table_unref);
  g_clear_pointer (&state->items, g_hash_table_unref);
  g_clear_pointer (&state->order, g_ptr_array_unref);
  g_free (state->file);
  g_free (state->images);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (State, state_clear)

static gint
compare_categories (gconstpointer a, gconstpointer b)
{
  const UmedptCocoCategory *x = a, *y = b;

  return (x->id > y->id) - (x->id < y->id);
}

/* The classes that the configuration orders must be the categories. */
static gboolean
find_labels (State *state, UmedptDataset *self, GKeyFile *file,
    const char *group, GError **error)
{
  GArray *categories = state->coco->categories;
  g_auto (GStrv) declared = NULL;
  g_autofree gint *map = NULL;

  g_array_sort (categories, compare_categories);
  if (g_key_file_has_key (file, group, "classes", NULL)) {
    if (!umedpt_dataset_load_classes (self, file, group, error))
      return FALSE;
  } else {
    self->labels = g_new0 (char *, categories->len + 1);
    for (guint i = 0; i < categories->len; i++)
      self->labels[i] =
          g_strdup (g_array_index (categories, UmedptCocoCategory, i).name);
  }
  declared = g_strdupv (self->labels);
  map = umedpt_dataset_ignore_labels (self, file, group, error);
  if (map == NULL)
    return FALSE;
  for (guint i = 0; i < categories->len; i++) {
    UmedptCocoCategory *category =
        &g_array_index (categories, UmedptCocoCategory, i);
    guint k = 0;

    while (declared[k] != NULL && strcmp (declared[k], category->name) != 0)
      k++;
    if (declared[k] == NULL)
      return umedpt_dataset_fail (self, state->file, error,
          "the category “%s” is no declared class (add it to classes= or to "
          "ignore-labels=)",
          category->name);
    g_hash_table_insert (state->labels, &category->id,
        GINT_TO_POINTER (map[k] + 2));
  }
  return TRUE;
}

static gboolean
make_items (State *state, UmedptDataset *self, GError **error)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; i < state->coco->images->len; i++) {
    UmedptCocoImage *image =
        &g_array_index (state->coco->images, UmedptCocoImage, i);
    g_autofree char *name = NULL;
    UmedptItem *item;

    if (!umedpt_dataset_name_is_inside (image->file_name))
      return umedpt_dataset_fail (self, state->file, error,
          "image %" G_GINT64_FORMAT
          ": “%s” is no name of a file inside the data set",
          image->id, image->file_name);
    name = umedpt_dataset_join (state->images, image->file_name);
    if (!umedpt_dataset_has (self, name))
      return umedpt_dataset_fail (self, state->file, error,
          "image %" G_GINT64_FORMAT ": “%s” does not exist", image->id, name);
    if (!g_hash_table_add (seen, image->file_name))
      return umedpt_dataset_fail (self, state->file, error,
          "image %" G_GINT64_FORMAT ": “%s” belongs to another image, too",
          image->id, image->file_name);
    item = umedpt_item_new (self);
    if (image->width > 0 && image->height > 0) {
      item->width = image->width;
      item->height = image->height;
    }
    g_ptr_array_add (state->order, item);
    g_hash_table_insert (state->items, &image->id, item);
  }
  return TRUE;
}

/* Class by annotation alone, where there is no box: one of no extent. */
static gboolean
add_class (UmedptDataset *self, UmedptItem *item, gint label)
{
  UmedptBox box = { .label = label, .score = 1 };

  g_array_append_val (item->boxes, box);
  if (item->labels != NULL && label >= 0)
    item->labels[label] = 1;
  return TRUE;
}

static gboolean
add_annotation (State *state, UmedptDataset *self, guint i, GError **error)
{
  const UmedptCocoAnnotation *annotation =
      &g_array_index (state->coco->annotations, UmedptCocoAnnotation, i);
  UmedptItem *item = g_hash_table_lookup (state->items, &annotation->image_id);
  gpointer label =
      g_hash_table_lookup (state->labels, &annotation->category_id);
  g_autofree char *where =
      g_strdup_printf ("%s: annotation %" G_GINT64_FORMAT " (number %u)",
          state->file, annotation->id, i + 1);
  UmedptBox box = { (gfloat) annotation->x, (gfloat) annotation->y,
    (gfloat) (annotation->x + annotation->width),
    (gfloat) (annotation->y + annotation->height), GPOINTER_TO_INT (label) - 2,
    1 };

  if (item == NULL || label == NULL) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
        "%s/%s: there is no %s with the id %" G_GINT64_FORMAT ".", self->root,
        where, item == NULL ? "image" : "category",
        item == NULL ? annotation->image_id : annotation->category_id);
    return FALSE;
  }
  if (annotation->crowd)
    box.label = UMEDPT_IGNORE_LABEL;
  if (self->kind != UMEDPT_TASK_DETECTION)
    return add_class (self, item, box.label);
  if (annotation->has_box)
    return umedpt_item_add_box (self, item, where, &box, error);
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
      "%s/%s: it has no bbox, which detection needs.", self->root, where);
  return FALSE;
}

static gboolean
load (State *state, UmedptDataset *self, GKeyFile *file, const char *group,
    GError **error)
{
  g_autofree char *path = NULL, *text = NULL;
  gsize length;

  state->images = umedpt_dataset_find_place (self, file, group, "images",
      "images", TRUE, error);
  if (state->images == NULL)
    return FALSE;
  state->file = umedpt_dataset_find_place (self, file, group, "annotations",
      "coco.json", FALSE, error);
  if (state->file == NULL)
    return FALSE;
  path = umedpt_dataset_path (self, state->file);
  text = umedpt_dataset_load_text (path, &length, error);
  if (text == NULL)
    return FALSE;
  state->coco = umedpt_coco_parse (text, length, error);
  if (state->coco == NULL)
    g_prefix_error (error, "%s: ", path);
  return state->coco != NULL;
}

static gboolean
open_coco (UmedptDataset *self, GKeyFile *file, const char *group,
    GError **error)
{
  g_auto (State) state = { 0 };

  self->record_free = umedpt_item_free;
  state.labels = g_hash_table_new (g_int64_hash, g_int64_equal);
  state.items = g_hash_table_new (g_int64_hash, g_int64_equal);
  state.order = g_ptr_array_new_with_free_func (umedpt_item_free);
  if (!load (&state, self, file, group, error) ||
      !find_labels (&state, self, file, group, error) ||
      !make_items (&state, self, error))
    return FALSE;
  for (guint i = 0; i < state.coco->annotations->len; i++)
    if (!add_annotation (&state, self, i, error))
      return FALSE;
  for (guint i = 0; i < state.order->len; i++) {
    g_autofree char *name = umedpt_dataset_join (state.images,
        g_array_index (state.coco->images, UmedptCocoImage, i).file_name);

    umedpt_dataset_add_item (self, name,
        g_steal_pointer (&state.order->pdata[i]));
  }
  return TRUE;
}

const UmedptDatasetFormat umedpt_dataset_coco = {
  .name = "coco",
  .kinds = 1u << UMEDPT_TASK_DETECTION | 1u << UMEDPT_TASK_MULTILABEL |
      1u << UMEDPT_TASK_CLASSIFICATION,
  .open = open_coco,
  .read = umedpt_item_read,
};
