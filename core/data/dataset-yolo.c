/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Format `yolo`: images, and for each a text file of the same stem with its
 * boxes (empty: no objects). Numbers of classes are lines of classes.txt, from
 * 0. The files hold shares of the image's size, so its header is read, too.
 */
#include "data/dataset-annotations.h"
#include "data/dataset-files.h"

#include <string.h>

#include "base/error.h"

typedef struct
{
  char *images, *folder;
  char **declared;
  gint *map;
  guint n_declared;
} State;

static void
state_clear (State *state)
{
  g_free (state->images);
  g_free (state->folder);
  g_strfreev (state->declared);
  g_free (state->map);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (State, state_clear)

static gboolean
add_boxes (State *state, UmedptDataset *self, UmedptItem *item,
    const char *name, const GArray *boxes, GError **error)
{
  for (guint i = 0; i < boxes->len; i++) {
    const UmedptYoloBox *given = &g_array_index (boxes, UmedptYoloBox, i);
    g_autofree char *where = g_strdup_printf ("%s:%u", name, given->line);
    UmedptBox box = { (gfloat) (given->x1 * item->width),
      (gfloat) (given->y1 * item->height), (gfloat) (given->x2 * item->width),
      (gfloat) (given->y2 * item->height), UMEDPT_IGNORE_LABEL, 1 };

    if (given->label >= (gint) state->n_declared) {
      g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
          "%s/%s: the class %d is not declared; %u are, from 0 (classes.txt or "
          "classes=).",
          self->root, where, given->label, state->n_declared);
      return FALSE;
    }
    box.label = state->map[given->label];
    if (!umedpt_item_add_box (self, item, where, &box, error))
      return FALSE;
  }
  return TRUE;
}

/* The boxes of a label file; one that is missing means none, as for YOLO's own
 * programs, but is mentioned. */
static GArray *
load_boxes (UmedptDataset *self, const char *image, const char *name,
    GError **error)
{
  g_autofree char *path = umedpt_dataset_path (self, name);
  g_autofree char *text = NULL;
  GArray *boxes;
  gsize length;

  if (!umedpt_dataset_has (self, name)) {
    umedpt_dataset_warn (self, image,
        "there is no “%s”; taken as an image without objects", name);
    return g_array_new (FALSE, TRUE, sizeof (UmedptYoloBox));
  }
  text = umedpt_dataset_load_text (path, &length, error);
  if (text == NULL)
    return NULL;
  boxes = umedpt_yolo_parse (text, length, error);
  if (boxes == NULL)
    g_prefix_error (error, "%s: ", path);
  return boxes;
}

static gboolean
add_image (State *state, UmedptDataset *self, const char *file, GError **error)
{
  g_autofree char *image = umedpt_dataset_join (state->images, file);
  g_autofree char *stem = umedpt_dataset_stem (file);
  g_autofree char *text = g_strconcat (stem, ".txt", NULL);
  g_autofree char *name = umedpt_dataset_join (state->folder, text);
  g_autofree char *path = umedpt_dataset_path (self, image);
  g_autoptr (GArray) boxes = load_boxes (self, image, name, error);
  UmedptItem *item;

  if (boxes == NULL)
    return FALSE;
  item = umedpt_item_new (self);
  if (!umedpt_image_file_size (path, &item->width, &item->height, error) ||
      !add_boxes (state, self, item, name, boxes, error)) {
    umedpt_item_free (item);
    return FALSE;
  }
  umedpt_dataset_add_item (self, image, item);
  return TRUE;
}

static gboolean
open_yolo (UmedptDataset *self, GKeyFile *file, const char *group,
    GError **error)
{
  g_auto (State) state = { 0 };
  g_autoptr (GPtrArray) names = NULL;

  self->record_free = umedpt_item_free;
  state.images = umedpt_dataset_find_place (self, file, group, "images",
      "images", FALSE, error);
  if (state.images == NULL)
    return FALSE;
  state.folder = umedpt_dataset_find_place (self, file, group, "annotations",
      "labels", FALSE, error);
  if (state.folder == NULL ||
      !umedpt_dataset_load_classes (self, file, group, error))
    return FALSE;
  if (self->labels == NULL) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "[%s]: YOLO's files only number their classes; name them in "
        "“%s/classes.txt” or with classes=.",
        group, self->root);
    return FALSE;
  }
  state.declared = g_strdupv (self->labels);
  state.n_declared = g_strv_length (state.declared);
  state.map = umedpt_dataset_ignore_labels (self, file, group, error);
  names = umedpt_dataset_list (self, state.images, NULL,
      state.map != NULL ? error : NULL);
  if (state.map == NULL || names == NULL)
    return FALSE;
  for (guint i = 0; i < names->len; i++)
    if (!add_image (&state, self, names->pdata[i], error))
      return FALSE;
  return TRUE;
}

const UmedptDatasetFormat umedpt_dataset_yolo = {
  .name = "yolo",
  .kinds = 1u << UMEDPT_TASK_DETECTION | 1u << UMEDPT_TASK_MULTILABEL |
      1u << UMEDPT_TASK_CLASSIFICATION,
  .open = open_yolo,
  .read = umedpt_item_read,
};
