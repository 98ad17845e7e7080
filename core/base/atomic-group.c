/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The thread's group is found by umedpt_atomic_file_commit(), as a main context
 * is by those who make a source: the writers in between have no argument for
 * it. What can fail, and what takes long, is done file by file before; what is
 * left is a rename each, checked beforehand. If one fails all the same, those
 * before it that replaced nothing are taken back.
 */
#include "base/atomic-group.h"

#include "base/atomic-file.h"

struct _UmedptAtomicGroup
{
  GPtrArray *files; /* of UmedptAtomicFile: complete, without their names */
  UmedptAtomicGroup *outer; /* the thread's before begin */
};

static GPrivate current = G_PRIVATE_INIT (NULL);

static void
free_file (gpointer file)
{
  umedpt_atomic_file_free (file);
}

/**
 * umedpt_atomic_group_new: (skip)
 *
 * Returns: (transfer full): a group without files
 *
 * Since: 0.1
 */
UmedptAtomicGroup *
umedpt_atomic_group_new (void)
{
  UmedptAtomicGroup *self = g_new0 (UmedptAtomicGroup, 1);

  self->files = g_ptr_array_new_with_free_func (free_file);
  return self;
}

/**
 * umedpt_atomic_group_begin: (skip)
 * @self: a group
 *
 * From here to umedpt_atomic_group_end(), what writers of this library finish
 * in this thread is complete on the disk, but has its name only after
 * umedpt_atomic_group_commit().
 *
 * Since: 0.1
 */
void
umedpt_atomic_group_begin (UmedptAtomicGroup *self)
{
  g_return_if_fail (self != NULL);

  self->outer = g_private_get (&current);
  g_private_set (&current, self);
}

/**
 * umedpt_atomic_group_end: (skip)
 * @self: the group that was begun last
 *
 * Since: 0.1
 */
void
umedpt_atomic_group_end (UmedptAtomicGroup *self)
{
  g_return_if_fail (self != NULL && g_private_get (&current) == self);

  g_private_set (&current, self->outer);
  self->outer = NULL;
}

gboolean
umedpt_atomic_group_adopt (UmedptAtomicFile *file)
{
  UmedptAtomicGroup *self = g_private_get (&current);

  if (self == NULL)
    return FALSE;
  g_ptr_array_add (self->files, umedpt_atomic_file_steal (file));
  return TRUE;
}

/**
 * umedpt_atomic_group_commit: (skip)
 * @self: a group after umedpt_atomic_group_end()
 * @error: return location for a #GError
 *
 * Gives all files their names, in the order in which they were finished. A
 * name that is taken, or whose folder is gone, is found before the first of
 * them appears.
 *
 * Returns: %FALSE with @error set on failure (%UMEDPT_ERROR_EXISTS,
 *   %UMEDPT_ERROR_NOT_FOUND, %UMEDPT_ERROR_IO); then no file appears, except
 *   that one that replaced another stays
 *
 * Since: 0.1
 */
gboolean
umedpt_atomic_group_commit (UmedptAtomicGroup *self, GError **error)
{
  g_return_val_if_fail (self != NULL, FALSE);

  for (guint i = 0; i < self->files->len; i++)
    if (!umedpt_atomic_file_check (g_ptr_array_index (self->files, i), error))
      return FALSE;
  for (guint i = 0; i < self->files->len; i++) {
    if (umedpt_atomic_file_publish (g_ptr_array_index (self->files, i), error))
      continue;
    while (i-- > 0)
      umedpt_atomic_file_retract (g_ptr_array_index (self->files, i));
    return FALSE;
  }
  g_ptr_array_set_size (self->files, 0);
  return TRUE;
}

/**
 * umedpt_atomic_group_free: (skip)
 * @self: (nullable) (transfer full): a group that is not between begin and end
 *
 * Frees it. What was not committed is removed.
 *
 * Since: 0.1
 */
void
umedpt_atomic_group_free (UmedptAtomicGroup *self)
{
  if (!self)
    return;
  g_ptr_array_unref (self->files);
  g_free (self);
}
