/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * From errno to a code and to advice, in one place, so that all that write files
 * say the same.
 */
#include "base/file-error.h"

#include <errno.h>

#include "base/error.h"

static UmedptError
error_code (int number)
{
  switch (number) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return UMEDPT_ERROR_NO_SPACE;
    case ENOENT:
    case ENOTDIR:
      return UMEDPT_ERROR_NOT_FOUND;
    case EEXIST:
      return UMEDPT_ERROR_EXISTS;
    default:
      return UMEDPT_ERROR_IO;
  }
}

/* What can be done about the failure @number, for the end of a message. */
static const char *
advice (int number)
{
  switch (number) {
    case ENOSPC:
      return " Free some space, or choose another disk.";
    case EDQUOT:
      return " The disk quota is used up: free some space, or choose another "
             "disk.";
    case EFBIG:
      return " The file is larger than the file system or the limit of this "
             "process (ulimit -f) allows.";
    case EACCES:
    case EPERM:
    case EROFS:
      return " Choose a folder that you may write to.";
    case ENOENT:
    case ENOTDIR:
      return " Make the folder first, or choose another.";
    case EISDIR:
      return " Give the name of a file.";
    case ENXIO:
      return " Nobody reads this pipe: start its reader first.";
    case EPIPE:
      return " The reader of this pipe has left.";
    default:
      return "";
  }
}

/**
 * umedpt_file_error_set: (skip)
 * @error: return location for a #GError
 * @number: of errno
 * @what: what failed, as "open"
 * @path: the file
 *
 * Sets @error to %UMEDPT_ERROR_NO_SPACE, %UMEDPT_ERROR_NOT_FOUND,
 * %UMEDPT_ERROR_EXISTS or %UMEDPT_ERROR_IO, with what can be done.
 *
 * Returns: %FALSE
 *
 * Since: 0.1
 */
gboolean
umedpt_file_error_set (GError **error, int number, const char *what,
    const char *path)
{
  g_set_error (error, UMEDPT_ERROR, error_code (number),
      "Cannot %s '%s': %s.%s", what, path, g_strerror (number),
      advice (number));
  return FALSE;
}
