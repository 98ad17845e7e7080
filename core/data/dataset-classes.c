/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The classes of a data set: read from the configuration or from a file with
 * one per line, reduced by those that do not count. Their order is the order
 * of the network's outputs, so it never depends on what a folder lists first.
 */
#include "data/dataset-files.h"

#include <string.h>

#include "base/error.h"

#define MAX_CLASSES 10000

guint
umedpt_dataset_get_n_labels (UmedptDataset *self)
{
  return self->labels != NULL ? g_strv_length (self->labels) : 0;
}

gint
umedpt_dataset_find_label (UmedptDataset *self, const char *name)
{
  for (guint i = 0; self->labels != NULL && self->labels[i] != NULL; i++)
    if (strcmp (self->labels[i], name) == 0)
      return (gint) i;
  return -1;
}

/* "a, b, c", and no more than a message can bear. */
char *
umedpt_dataset_describe_labels (UmedptDataset *self)
{
  GString *text = g_string_new (NULL);
  guint n = umedpt_dataset_get_n_labels (self);

  for (guint i = 0; i < n && i < 20; i++)
    g_string_append_printf (text, "%s%s", i > 0 ? ", " : "", self->labels[i]);
  if (n > 20)
    g_string_append_printf (text, " and %u more", n - 20);
  return g_string_free (text, FALSE);
}

static char **
read_lines (UmedptDataset *self, const char *name, GError **error)
{
  g_autofree char *path = umedpt_dataset_path (self, name);
  gsize length;
  g_autofree char *text = umedpt_dataset_load_text (path, &length, error);
  g_auto (GStrv) lines = NULL;
  g_autoptr (GPtrArray) kept = NULL;

  if (text == NULL)
    return NULL;
  if (!g_utf8_validate_len (text, length, NULL)) {
    umedpt_dataset_fail (self, name, error, "it is no UTF-8 text");
    return NULL;
  }
  kept = g_ptr_array_new ();
  lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++)
    if (*g_strstrip (lines[i]) != '\0')
      g_ptr_array_add (kept, g_strdup (lines[i]));
  g_ptr_array_add (kept, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&kept), FALSE);
}

/* As many as can be, and no two of one name: only the first would be met. */
gboolean
umedpt_dataset_check_classes (UmedptDataset *self, const char *group,
    GError **error)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  guint n = umedpt_dataset_get_n_labels (self);

  if (n < 1 || n > MAX_CLASSES) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "[%s]: “%s” declares %u classes; expected 1 to %d.", group, self->root,
        n, MAX_CLASSES);
    return FALSE;
  }
  for (guint i = 0; i < n; i++)
    if (!g_hash_table_add (seen, self->labels[i])) {
      g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
          "[%s]: the class “%s” of “%s” is declared twice.", group,
          self->labels[i], self->root);
      return FALSE;
    }
  return TRUE;
}

/* Leaves self->labels NULL if nothing declares any. */
gboolean
umedpt_dataset_load_classes (UmedptDataset *self, GKeyFile *file,
    const char *group, GError **error)
{
  g_auto (GStrv) list = umedpt_dataset_get_key_list (file, group, "classes");

  if (list != NULL && g_strv_length (list) == 1 &&
      umedpt_dataset_name_is_inside (list[0]) &&
      umedpt_dataset_has (self, list[0]))
    self->labels = read_lines (self, list[0], error);
  else if (list != NULL)
    self->labels = g_steal_pointer (&list);
  else if (umedpt_dataset_has (self, "classes.txt"))
    self->labels = read_lines (self, "classes.txt", error);
  else
    return TRUE;
  return self->labels != NULL &&
      umedpt_dataset_check_classes (self, group, error);
}

gint *
umedpt_dataset_ignore_labels (UmedptDataset *self, GKeyFile *file,
    const char *group, GError **error)
{
  g_auto (GStrv) ignored =
      umedpt_dataset_get_key_list (file, group, "ignore-labels");
  guint n = umedpt_dataset_get_n_labels (self), kept = 0;
  g_autofree gint *map = g_new0 (gint, n + 1);

  for (guint i = 0; ignored != NULL && ignored[i] != NULL; i++)
    if (umedpt_dataset_find_label (self, ignored[i]) < 0) {
      g_autofree char *labels = umedpt_dataset_describe_labels (self);

      umedpt_dataset_fail_key (file, group, "ignore-labels", error,
          "“%s” is no class of “%s”, which has %s", ignored[i], self->root,
          labels);
      return NULL;
    }
  for (guint i = 0; i < n; i++) {
    char *label = self->labels[i];

    if (ignored != NULL &&
        g_strv_contains ((const char *const *) ignored, label)) {
      map[i] = UMEDPT_IGNORE_LABEL;
      g_free (label);
      continue;
    }
    map[i] = (gint) kept;
    self->labels[kept++] = label;
  }
  if (self->labels != NULL)
    self->labels[kept] = NULL;
  if (kept > 0)
    return g_steal_pointer (&map);
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "[%s]: no class of “%s” is left.", group, self->root);
  return NULL;
}

gboolean
umedpt_dataset_load_colors (UmedptDataset *self, GKeyFile *file,
    const char *group, GError **error)
{
  g_auto (GStrv) list = umedpt_dataset_get_key_list (file, group, "colors");
  guint n = list != NULL ? g_strv_length (list) : 0;
  guint n_labels = umedpt_dataset_get_n_labels (self);

  if (list == NULL)
    return TRUE;
  self->colors = g_new0 (guint32, n + 1);
  for (guint i = 0; i < n; i++) {
    guint64 value = 0;

    if (list[i][0] != '#' || strlen (list[i]) != 7 ||
        !g_ascii_string_to_unsigned (list[i] + 1, 16, 0, 0xffffff, &value,
            NULL))
      return umedpt_dataset_fail_key (file, group, "colors", error,
          "“%s” is no colour; expected #rrggbb", list[i]);
    self->colors[i] = (guint32) value;
  }
  if (n == n_labels)
    return TRUE;
  return umedpt_dataset_fail_key (file, group, "colors", error,
      "%u colours for %u classes", n, n_labels);
}
