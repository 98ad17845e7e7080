/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Format `voc`: images, and for each a Pascal VOC file of the same stem with
 * its boxes. VOC counts pixels from 1 and includes the last; the box that
 * xmin = 1, xmax = 1 names covers 0 … 1 here. Objects marked difficult become
 * regions that do not count, as in VOC's own evaluation.
 */
#include "data/dataset-annotations.h"
#include "data/dataset-files.h"

#include <string.h>

#include "base/error.h"

typedef struct
{
  char *images, *folder; /* relative names */
  GPtrArray *names; /* of images */
  GPtrArray *files; /* UmedptVoc of each */
  double origin;
  char **declared;
  gint *map;
} State;

static void
free_voc (gpointer voc)
{
  umedpt_voc_free (voc);
}

static void
state_clear (State *state)
{
  g_free (state->images);
  g_free (state->folder);
  g_clear_pointer (&state->names, g_ptr_array_unref);
  g_clear_pointer (&state->files, g_ptr_array_unref);
  g_strfreev (state->declared);
  g_free (state->map);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (State, state_clear)

/* "annotations/a.xml" of the image "a.jpg". */
static char *
annotation_name (const State *state, guint i)
{
  g_autofree char *stem = umedpt_dataset_stem (state->names->pdata[i]);
  g_autofree char *file = g_strconcat (stem, ".xml", NULL);

  return umedpt_dataset_join (state->folder, file);
}

static gboolean
parse_files (State *state, UmedptDataset *self, GError **error)
{
  for (guint i = 0; i < state->names->len; i++) {
    g_autofree char *name = annotation_name (state, i);
    g_autofree char *path = umedpt_dataset_path (self, name);
    g_autofree char *text = NULL;
    gsize length;
    UmedptVoc *voc;

    text = umedpt_dataset_load_text (path, &length, error);
    if (text == NULL) {
      g_prefix_error (error, "The image “%s” has no annotation: ",
          (char *) state->names->pdata[i]);
      return FALSE;
    }
    voc = umedpt_voc_parse (text, length, error);
    if (voc == NULL) {
      g_prefix_error (error, "%s: ", path);
      return FALSE;
    }
    g_ptr_array_add (state->files, voc);
  }
  return TRUE;
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

/* The classes that occur, sorted. */
static void
collect_classes (State *state, UmedptDataset *self)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GPtrArray) labels = g_ptr_array_new ();

  for (guint i = 0; i < state->files->len; i++) {
    const UmedptVoc *voc = state->files->pdata[i];

    for (guint j = 0; j < voc->objects->len; j++) {
      char *name = g_array_index (voc->objects, UmedptVocObject, j).name;

      if (g_hash_table_add (seen, name))
        g_ptr_array_add (labels, g_strdup (name));
    }
  }
  g_ptr_array_sort (labels, compare_names);
  g_ptr_array_add (labels, NULL);
  self->labels = (char **) g_ptr_array_free (g_steal_pointer (&labels), FALSE);
}

static gboolean
find_labels (State *state, UmedptDataset *self, GKeyFile *file,
    const char *group, GError **error)
{
  if (!umedpt_dataset_load_classes (self, file, group, error))
    return FALSE;
  if (self->labels == NULL)
    collect_classes (state, self);
  state->declared = g_strdupv (self->labels);
  state->map = umedpt_dataset_ignore_labels (self, file, group, error);
  return state->map != NULL;
}

static gboolean
add_object (State *state, UmedptDataset *self, UmedptItem *item,
    const char *name, const UmedptVocObject *object, GError **error)
{
  g_autofree char *where = g_strdup_printf ("%s:%u", name, object->line);
  double shift = state->origin;
  UmedptBox box = { (gfloat) (object->xmin - shift),
    (gfloat) (object->ymin - shift), (gfloat) object->xmax,
    (gfloat) object->ymax, UMEDPT_IGNORE_LABEL, 1 };
  guint k = 0;

  while (state->declared[k] != NULL &&
      strcmp (state->declared[k], object->name) != 0)
    k++;
  if (state->declared[k] == NULL) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
        "%s/%s: “%s” is no declared class (add it to classes= or to "
        "ignore-labels=).",
        self->root, where, object->name);
    return FALSE;
  }
  if (!object->difficult)
    box.label = state->map[k];
  /* one pixel wide by VOC's rules, but in truth a click without a drag */
  if (object->xmax <= object->xmin || object->ymax <= object->ymin) {
    box.x1 = (gfloat) object->xmin;
    box.y1 = (gfloat) object->ymin;
  }
  return umedpt_item_add_box (self, item, where, &box, error);
}

static gboolean
add_image (State *state, UmedptDataset *self, guint i, GError **error)
{
  const UmedptVoc *voc = state->files->pdata[i];
  g_autofree char *image =
      umedpt_dataset_join (state->images, state->names->pdata[i]);
  g_autofree char *name = annotation_name (state, i);
  UmedptItem *item = umedpt_item_new (self);

  if (voc->width > 0 && voc->height > 0) {
    item->width = voc->width;
    item->height = voc->height;
  }
  for (guint j = 0; j < voc->objects->len; j++)
    if (!add_object (state, self, item, name,
            &g_array_index (voc->objects, UmedptVocObject, j), error)) {
      umedpt_item_free (item);
      return FALSE;
    }
  umedpt_dataset_add_item (self, image, item);
  return TRUE;
}

static gboolean
open_voc (UmedptDataset *self, GKeyFile *file, const char *group,
    GError **error)
{
  g_auto (State) state = { 0 };

  self->record_free = umedpt_item_free;
  state.files = g_ptr_array_new_with_free_func (free_voc);
  state.images = umedpt_dataset_find_place (self, file, group, "images",
      "images", FALSE, error);
  if (state.images == NULL)
    return FALSE;
  state.folder = umedpt_dataset_find_place (self, file, group, "annotations",
      "annotations", FALSE, error);
  if (state.folder == NULL)
    return FALSE;
  state.names = umedpt_dataset_list (self, state.images, NULL, error);
  if (state.names == NULL ||
      !umedpt_dataset_get_key_number (file, group, "box-origin", 0, 1, 1,
          &state.origin, error) ||
      !parse_files (&state, self, error) ||
      !find_labels (&state, self, file, group, error))
    return FALSE;
  for (guint i = 0; i < state.names->len; i++)
    if (!add_image (&state, self, i, error))
      return FALSE;
  return TRUE;
}

const UmedptDatasetFormat umedpt_dataset_voc = {
  .name = "voc",
  .kinds = 1u << UMEDPT_TASK_DETECTION | 1u << UMEDPT_TASK_MULTILABEL |
      1u << UMEDPT_TASK_CLASSIFICATION,
  .open = open_voc,
  .read = umedpt_item_read,
};
