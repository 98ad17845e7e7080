/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Format `imagefolder`: a folder per class with its images, either directly
 * (CLASS/a.png, parts drawn or by table) or below the parts (train/CLASS/a.png,
 * val/CLASS/b.png), as torchvision's ImageFolder has it. Classes are sorted by
 * name unless the configuration orders them.
 */
#include "data/dataset-files.h"

#include <string.h>

#include "base/error.h"

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

/* The classes are the folders' names, of all parts together. */
static void
find_classes (UmedptDataset *self, const GPtrArray *parents)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GPtrArray) names = g_ptr_array_new ();

  for (guint i = 0; i < parents->len; i++) {
    g_autoptr (GPtrArray) folders =
        umedpt_dataset_list_folders (self, g_ptr_array_index (parents, i));

    for (guint j = 0; j < folders->len; j++)
      if (!g_hash_table_contains (seen, folders->pdata[j])) {
        char *name = g_strdup (folders->pdata[j]);

        g_hash_table_add (seen, name);
        g_ptr_array_add (names, name);
      }
  }
  g_ptr_array_sort (names, compare_names);
  g_ptr_array_add (names, NULL);
  self->labels = (char **) g_ptr_array_free (g_steal_pointer (&names), FALSE);
}

/* Folders of parts below the data set, or its own. */
static GPtrArray *
find_parents (UmedptDataset *self, const char *top, gboolean *parts)
{
  g_autoptr (GPtrArray) folders = umedpt_dataset_list_folders (self, top);
  GPtrArray *parents = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < folders->len; i++)
    if (umedpt_split_parse (folders->pdata[i]) >= 0)
      g_ptr_array_add (parents, umedpt_dataset_join (top, folders->pdata[i]));
  *parts = parents->len > 0;
  if (parents->len == 0)
    g_ptr_array_add (parents, g_strdup (top));
  return parents;
}

static gboolean
add_class (UmedptDataset *self, const char *parent, const char *folder,
    gint label, gint split, GError **error)
{
  g_autofree char *below = umedpt_dataset_join (parent, folder);
  g_autoptr (GPtrArray) names = umedpt_dataset_list (self, below, NULL, error);

  if (names == NULL)
    return FALSE;
  if (names->len == 0)
    umedpt_dataset_warn (self, below, "the folder of a class has no image");
  for (guint i = 0; i < names->len; i++) {
    g_autofree char *name = umedpt_dataset_join (below, names->pdata[i]);
    UmedptRecord *record = umedpt_dataset_add (self, name, NULL);

    record->label = label;
    record->split = split;
  }
  return TRUE;
}

static gboolean
add_parent (UmedptDataset *self, const char *parent, const gint *map,
    char **declared, gboolean part, GError **error)
{
  g_autoptr (GPtrArray) folders = umedpt_dataset_list_folders (self, parent);
  g_autofree char *base = g_path_get_basename (parent);
  gint split = part ? umedpt_split_parse (base) : -1;

  for (guint i = 0; i < folders->len; i++) {
    const char *folder = folders->pdata[i];
    guint k = 0;

    while (declared[k] != NULL && strcmp (declared[k], folder) != 0)
      k++;
    if (declared[k] == NULL)
      return umedpt_dataset_fail (self, parent, error,
          "the folder “%s” is no declared class (add it to classes= or to "
          "ignore-labels=)",
          folder);
    if (map[k] >= 0 && !add_class (self, parent, folder, map[k], split, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
open_imagefolder (UmedptDataset *self, GKeyFile *file, const char *group,
    GError **error)
{
  g_autofree char *top = umedpt_dataset_find_place (self, file, group, "images",
      "images", TRUE, error);
  g_autoptr (GPtrArray) parents = NULL;
  g_auto (GStrv) declared = NULL;
  g_autofree gint *map = NULL;
  gboolean parts;

  if (top == NULL)
    return FALSE;
  parents = find_parents (self, top, &parts);
  if (!umedpt_dataset_load_classes (self, file, group, error))
    return FALSE;
  if (self->labels == NULL)
    find_classes (self, parents);
  declared = g_strdupv (self->labels);
  map = umedpt_dataset_ignore_labels (self, file, group, error);
  if (map == NULL)
    return FALSE;
  for (guint i = 0; i < parents->len; i++)
    if (!add_parent (self, parents->pdata[i], map, declared, parts, error))
      return FALSE;
  return TRUE;
}

const UmedptDatasetFormat umedpt_dataset_imagefolder = {
  .name = "imagefolder",
  .kinds = 1u << UMEDPT_TASK_CLASSIFICATION,
  .open = open_imagefolder,
  .read = umedpt_item_read,
};
