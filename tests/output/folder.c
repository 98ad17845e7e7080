/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A folder per test, gone with it.
 */
#include "folder.h"

#include <glib/gstdio.h>

void
folder_init (Folder *self, const char *name)
{
  self->folder = g_dir_make_tmp ("umedpt-XXXXXX", NULL);
  g_assert_nonnull (self->folder);
  self->path = g_build_filename (self->folder, name, NULL);
}

void
folder_clear (Folder *self)
{
  g_autoptr (GDir) dir = g_dir_open (self->folder, 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (dir))) {
    g_autofree char *path = g_build_filename (self->folder, name, NULL);
    g_unlink (path);
  }
  g_assert_cmpint (g_rmdir (self->folder), ==, 0);
  g_free (self->folder);
  g_free (self->path);
}

guint
folder_count (const Folder *self)
{
  g_autoptr (GDir) dir = g_dir_open (self->folder, 0, NULL);
  guint n = 0;

  while (g_dir_read_name (dir))
    n++;
  return n;
}
