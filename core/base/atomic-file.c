/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Temporary name, fsync, rename, fsync of the folder: after commit the name
 * leads to the whole file even if power fails, and never to half of one. The
 * temporary file lies in the same folder, since rename() is atomic within one
 * file system only, and is hidden, so that "*.h5" does not find it.
 *
 * Without overwrite the last step is link(), which refuses an existing name
 * atomically: two programs that make the same file cannot replace each
 * other's. File systems without hard links (FAT, some network ones) get
 * renameat2(RENAME_NOREPLACE), and at last a check followed by a rename.
 */
#define _GNU_SOURCE
#include "base/atomic-file.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file-error.h"

struct _UmedptAtomicFile
{
  char *path; /* the final name */
  char *folder;
  char *temporary;
  int fd;
  gboolean overwrite;
  gboolean replaced; /* there was a file of that name */
  gboolean committed;
};

static gboolean
fail (UmedptAtomicFile *self, int number, const char *what, GError **error)
{
  return umedpt_file_error_set (error, number, what, self->path);
}

static gboolean
fail_exists (UmedptAtomicFile *self, GError **error)
{
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_EXISTS,
      "'%s' exists already. Choose another name, remove it, or ask for it to "
      "be replaced.",
      self->path);
  return FALSE;
}

/* Whether the final name may be taken; @mode (out): the permissions of the
 * file that is replaced, so that a private file stays private, else 0. A
 * device or pipe is refused: rename() would put a plain file in its place. */
static gboolean
check_target (UmedptAtomicFile *self, mode_t *mode, GError **error)
{
  struct stat status;

  *mode = 0;
  if (lstat (self->path, &status) != 0)
    return TRUE;
  if (!self->overwrite)
    return fail_exists (self, error);
  if (S_ISREG (status.st_mode))
    *mode = status.st_mode & 07777;
  if (S_ISREG (status.st_mode) || S_ISLNK (status.st_mode))
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_IO,
      "Cannot write '%s': it is a %s. Give the name of a file.", self->path,
      S_ISDIR (status.st_mode) ? "folder" : "device, pipe or socket");
  return FALSE;
}

/* Creates the temporary file: .NAME.XXXXXX.tmp, with the permissions that
 * the umask leaves to new files (g_mkstemp_full() honours it). */
static gboolean
create (UmedptAtomicFile *self, GError **error)
{
  g_autofree char *name = g_path_get_basename (self->path);
  mode_t mode;

  if (!check_target (self, &mode, error))
    return FALSE;
  /* A name of up to 255 bytes must stay one with the additions. */
  if (strlen (name) > 200)
    name[200] = '\0';
  self->temporary = g_strdup_printf ("%s/.%s.XXXXXX.tmp", self->folder, name);
  self->fd = g_mkstemp_full (self->temporary, O_RDWR | O_CLOEXEC, 0666);
  if (self->fd < 0) {
    int number = errno;
    g_clear_pointer (&self->temporary, g_free);
    return fail (self, number, "create", error);
  }
  if (mode && fchmod (self->fd, mode) != 0)
    return fail (self, errno, "set the permissions of", error);
  return TRUE;
}

/* Begins a file that will appear as @path when it is committed. A @path that
 * is a symbolic link is followed, so that the link stays a link. */
UmedptAtomicFile *
umedpt_atomic_file_new (const char *path, gboolean overwrite, GError **error)
{
  g_autoptr (UmedptAtomicFile) self = NULL;
  char *target;

  g_return_val_if_fail (path != NULL, NULL);
  self = g_new0 (UmedptAtomicFile, 1);
  self->fd = -1;
  self->overwrite = overwrite;
  target = overwrite ? realpath (path, NULL) : NULL;
  self->path = g_strdup (target ? target : path);
  free (target);
  self->folder = g_path_get_dirname (self->path);
  if (!create (self, error))
    return NULL;
  return g_steal_pointer (&self);
}

const char *
umedpt_atomic_file_get_temporary_path (UmedptAtomicFile *self)
{
  return self->temporary;
}

int
umedpt_atomic_file_get_fd (UmedptAtomicFile *self)
{
  return self->fd;
}

gboolean
umedpt_atomic_file_write (UmedptAtomicFile *self, gconstpointer data,
    gsize size, GError **error)
{
  const guint8 *bytes = data;

  while (size > 0) {
    /* Linux writes at most 2 GiB - 4 KiB at once. */
    ssize_t n = write (self->fd, bytes, MIN (size, (gsize) 1 << 30));
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return fail (self, errno, "write", error);
    bytes += n;
    size -= n;
  }
  return TRUE;
}

/* Gives the temporary file its name; errno on failure. */
static int
publish (UmedptAtomicFile *self)
{
  if (self->overwrite)
    return rename (self->temporary, self->path) == 0 ? 0 : errno;
  if (link (self->temporary, self->path) == 0) {
    unlink (self->temporary);
    return 0;
  }
  if (errno == EEXIST)
    return EEXIST;
  if (renameat2 (AT_FDCWD, self->temporary, AT_FDCWD, self->path,
          RENAME_NOREPLACE) == 0)
    return 0;
  if (errno != EINVAL && errno != ENOSYS)
    return errno;
  if (access (self->path, F_OK) == 0)
    return EEXIST;
  return rename (self->temporary, self->path) == 0 ? 0 : errno;
}

/* Makes the new name itself durable. Not every file system can sync a folder;
 * the file is whole by then, so that is no failure. */
static void
sync_folder (UmedptAtomicFile *self)
{
  int fd = open (self->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

  if (fd < 0)
    return;
  fsync (fd);
  close (fd);
}

/* Brings all bytes to the disk, then gives the file its name. On failure the
 * temporary file is removed. */
gboolean
umedpt_atomic_file_commit (UmedptAtomicFile *self, GError **error)
{
  int number;

  g_return_val_if_fail (!self->committed && self->temporary, FALSE);

  /* A writer with a path of its own has closed its descriptor; syncing ours
   * syncs the same file, unless it was replaced, which nobody does. */
  number = fsync (self->fd) == 0 ? 0 : errno;
  /* NFS reports a full disk only when the file is closed. */
  if (close (self->fd) != 0 && number == 0)
    number = errno;
  self->fd = -1;
  if (number)
    return fail (self, number, "write", error);
  return umedpt_atomic_group_adopt (self) ||
      umedpt_atomic_file_publish (self, error);
}

UmedptAtomicFile *
umedpt_atomic_file_steal (UmedptAtomicFile *self)
{
  UmedptAtomicFile *whole = g_memdup2 (self, sizeof *self);

  whole->path = g_strdup (self->path);
  self->folder = NULL;
  self->temporary = NULL;
  self->committed = TRUE;
  return whole;
}

gboolean
umedpt_atomic_file_check (UmedptAtomicFile *self, GError **error)
{
  mode_t mode;

  if (!check_target (self, &mode, error))
    return FALSE;
  if (access (self->folder, W_OK | X_OK) != 0)
    return fail (self, errno, "create", error);
  return TRUE;
}

gboolean
umedpt_atomic_file_publish (UmedptAtomicFile *self, GError **error)
{
  int number;

  g_return_val_if_fail (!self->committed && self->temporary, FALSE);

  self->replaced = self->overwrite && access (self->path, F_OK) == 0;
  number = publish (self);
  if (number == EEXIST && !self->overwrite)
    return fail_exists (self, error);
  if (number)
    return fail (self, number, "create", error);
  self->committed = TRUE;
  sync_folder (self);
  return TRUE;
}

void
umedpt_atomic_file_retract (UmedptAtomicFile *self)
{
  if (self->committed && !self->replaced)
    unlink (self->path);
}

void
umedpt_atomic_file_free (UmedptAtomicFile *self)
{
  if (!self)
    return;
  if (self->fd >= 0)
    close (self->fd);
  if (self->temporary && !self->committed)
    unlink (self->temporary);
  g_free (self->temporary);
  g_free (self->folder);
  g_free (self->path);
  g_free (self);
}
