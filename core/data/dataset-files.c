/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Files and folders of a data set. Names in annotation files come from
 * strangers: one that leads out of the data set's folder ("../", "/etc") is
 * refused before anything is opened. Listings are sorted, so that the order of
 * a directory never decides which sample has which number.
 */
#include "data/dataset-files.h"

#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <glib/gstdio.h>

#include "base/error.h"

#define MAX_TEXT ((guint64) 1 << 30)

/* No absolute name, no "..", no control characters. */
gboolean
umedpt_dataset_name_is_inside (const char *name)
{
  g_auto (GStrv) parts = g_strsplit_set (name, "/\\", -1);

  if (*name == '\0' || *name == '/' || !g_utf8_validate (name, -1, NULL))
    return FALSE;
  for (const char *c = name; *c != '\0'; c++)
    if (g_ascii_iscntrl (*c))
      return FALSE;
  for (guint i = 0; parts[i] != NULL; i++)
    if (strcmp (parts[i], "..") == 0)
      return FALSE;
  return TRUE;
}

char *
umedpt_dataset_path (UmedptDataset *self, const char *name)
{
  if (g_path_is_absolute (name)) /* only from the configuration */
    return g_strdup (name);
  return g_build_filename (self->root, name, NULL);
}

gboolean
umedpt_dataset_has (UmedptDataset *self, const char *name)
{
  g_autofree char *path = umedpt_dataset_path (self, name);

  return g_file_test (path, G_FILE_TEST_EXISTS);
}

char *
umedpt_dataset_join (const char *folder, const char *name)
{
  return *folder != '\0' ? g_strconcat (folder, "/", name, NULL)
                         : g_strdup (name);
}

char *
umedpt_dataset_load_text (const char *path, gsize *length, GError **error)
{
  GStatBuf info;
  char *text = NULL;

  if (g_stat (path, &info) != 0)
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NOT_FOUND,
        "“%s” does not exist or its folder cannot be entered.", path);
  else if (!S_ISREG (info.st_mode) || (guint64) info.st_size > MAX_TEXT)
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
        "“%s” is no regular file of at most 1 GiB.", path);
  else if (!g_file_get_contents (path, &text, length, NULL))
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_IO,
        "“%s” cannot be read (is it yours?).", path);
  return text;
}

char *
umedpt_dataset_find_place (UmedptDataset *self, GKeyFile *file,
    const char *group, const char *key, const char *fallback, gboolean optional,
    GError **error)
{
  g_autofree char *name = umedpt_dataset_get_key (file, group, key, NULL);

  if (name == NULL) {
    if (umedpt_dataset_has (self, fallback))
      return g_strdup (fallback);
    if (optional)
      return g_strdup ("");
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NOT_FOUND,
        "[%s]: “%s” has no “%s”; say with %s= where it is.", group, self->root,
        fallback, key);
    return NULL;
  }
  while (g_str_has_suffix (name, "/"))
    name[strlen (name) - 1] = '\0';
  if (strcmp (name, ".") == 0)
    return g_strdup ("");
  if (!umedpt_dataset_name_is_inside (name)) {
    umedpt_dataset_fail_key (file, group, key, error,
        "expected a name below the data set's folder “%s”", self->root);
    return NULL;
  }
  if (!umedpt_dataset_has (self, name)) {
    umedpt_dataset_fail_key (file, group, key, error,
        "“%s” has no such file or folder", self->root);
    return NULL;
  }
  return g_steal_pointer (&name);
}

static const char *const image_suffixes[] = { ".png", ".jpg", ".jpeg", ".tif",
  ".tiff", NULL };

static gboolean
has_suffix (const char *name, const char *const *suffixes)
{
  g_autofree char *lower = g_ascii_strdown (name, -1);

  for (guint i = 0; suffixes[i] != NULL; i++)
    if (g_str_has_suffix (lower, suffixes[i]))
      return TRUE;
  return FALSE;
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

static GPtrArray *
list (UmedptDataset *self, const char *folder, const char *const *suffixes,
    gboolean folders, GError **error)
{
  g_autofree char *path = umedpt_dataset_path (self, folder);
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  GPtrArray *names = NULL;
  const char *name;

  if (dir == NULL) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NOT_FOUND,
        "“%s” is no folder that can be read.", path);
    return NULL;
  }
  names = g_ptr_array_new_with_free_func (g_free);
  while ((name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *below = g_build_filename (path, name, NULL);

    if (*name == '.' || !g_utf8_validate (name, -1, NULL))
      continue;
    if (folders ? g_file_test (below, G_FILE_TEST_IS_DIR)
                : has_suffix (name, suffixes))
      g_ptr_array_add (names, g_strdup (name));
  }
  g_ptr_array_sort (names, compare_names);
  return names;
}

GPtrArray *
umedpt_dataset_list (UmedptDataset *self, const char *folder,
    const char *const *suffixes, GError **error)
{
  return list (self, folder, suffixes != NULL ? suffixes : image_suffixes,
      FALSE, error);
}

GPtrArray *
umedpt_dataset_list_folders (UmedptDataset *self, const char *folder)
{
  GPtrArray *names = list (self, folder, NULL, TRUE, NULL);

  return names != NULL ? names : g_ptr_array_new_with_free_func (g_free);
}

char *
umedpt_dataset_stem (const char *name)
{
  const char *dot = strrchr (name, '.');
  const char *slash = strrchr (name, '/');

  if (g_str_has_suffix (name, ".nii.gz"))
    return g_strndup (name, strlen (name) - strlen (".nii.gz"));
  if (dot == NULL || (slash != NULL && dot < slash))
    return g_strdup (name);
  return g_strndup (name, dot - name);
}

char *
umedpt_dataset_find_mask (UmedptDataset *self, const char *folder,
    const char *suffix, const char *name)
{
  static const char *const types[] = { ".png", ".tif", ".tiff" };
  g_autofree char *stem = umedpt_dataset_stem (name);

  for (guint i = 0; i < G_N_ELEMENTS (types); i++) {
    g_autofree char *file = g_strconcat (stem, suffix, types[i], NULL);
    g_autofree char *mask = umedpt_dataset_join (folder, file);

    if (umedpt_dataset_has (self, mask))
      return g_steal_pointer (&mask);
  }
  return NULL;
}

void
umedpt_dataset_warn (UmedptDataset *self, const char *where, const char *format,
    ...)
{
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_ptr_array_add (self->warnings, g_strdup_printf ("%s: %s", where, text));
}

gboolean
umedpt_dataset_fail (UmedptDataset *self, const char *name, GError **error,
    const char *format, ...)
{
  g_autofree char *path = umedpt_dataset_path (self, name);
  g_autofree char *text = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA, "%s: %s.", path, text);
  return FALSE;
}

UmedptRecord *
umedpt_dataset_add (UmedptDataset *self, const char *name, gpointer data)
{
  UmedptRecord record = { g_strdup (name), g_strdup (name), -1,
    UMEDPT_IGNORE_LABEL, data };

  g_array_append_val (self->records, record);
  return &g_array_index (self->records, UmedptRecord, self->records->len - 1);
}
