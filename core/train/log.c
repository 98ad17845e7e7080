/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Lines are written whole, by one write() each, so that who follows the file
 * sees no half line and a crash leaves at most one. The file is locked: two
 * processes must not train in one folder.
 */
#include "train/log.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json.h"

struct _UmedptTrainLog
{
  char *path;
  int fd;
};

static gboolean
fail (UmedptTrainLog *self, const char *what, GError **error)
{
  int number = errno;
  gboolean full = number == ENOSPC || number == EDQUOT || number == EFBIG;

  g_set_error (error, UMEDPT_ERROR,
      full ? UMEDPT_ERROR_NO_SPACE : UMEDPT_ERROR_IO, "Cannot %s '%s': %s.%s",
      what, self->path, g_strerror (number), full ? " Free some space." : "");
  return FALSE;
}

/* Where there are no locks (some network file systems) there is none. */
static gboolean
take_lock (UmedptTrainLog *self, GError **error)
{
  if (flock (self->fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_EXISTS,
      "'%s' is in use: another process trains in this folder. Wait for it, or "
      "stop it.",
      self->path);
  return FALSE;
}

UmedptTrainLog *
umedpt_train_log_new (const char *path, gint64 size, GError **error)
{
  g_autoptr (UmedptTrainLog) self = g_new0 (UmedptTrainLog, 1);
  struct stat status;

  self->path = g_strdup (path);
  self->fd = open (path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (self->fd < 0 || fstat (self->fd, &status) != 0) {
    fail (self, "open", error);
    return NULL;
  }
  if (!take_lock (self, error))
    return NULL;
  /* after a loss of power the file may be shorter than it was */
  if (size >= 0 && size < status.st_size && ftruncate (self->fd, size) != 0) {
    fail (self, "shorten", error);
    return NULL;
  }
  return g_steal_pointer (&self);
}

void
umedpt_train_log_free (UmedptTrainLog *self)
{
  if (!self)
    return;
  if (self->fd >= 0)
    close (self->fd);
  g_free (self->path);
  g_free (self);
}

gboolean
umedpt_train_log_add (UmedptTrainLog *self, const char *type, const char *json,
    const UmedptTrainObserver *observer, GError **error)
{
  g_autofree char *line = g_strdup_printf ("%s\n", json);
  gsize length = strlen (line);
  gssize done;

  do
    done = write (self->fd, line, length);
  while (done < 0 && errno == EINTR);
  if (done >= 0 && (gsize) done < length) {
    errno = ENOSPC;
    return fail (self, "write", error);
  }
  if (done < 0)
    return fail (self, "write", error);
  if (observer->event)
    observer->event (type, json, observer->data);
  return TRUE;
}

gint64
umedpt_train_log_sync (UmedptTrainLog *self, GError **error)
{
  struct stat status;

  if (fsync (self->fd) == 0 && fstat (self->fd, &status) == 0)
    return status.st_size;
  fail (self, "write", error);
  return -1;
}

void
umedpt_log_key (GString *json, const char *key)
{
  if (json->len && !strchr ("{[", json->str[json->len - 1]))
    g_string_append_c (json, ',');
  umedpt_json_append_string (json, key);
  g_string_append_c (json, ':');
}

void
umedpt_log_string (GString *json, const char *key, const char *value)
{
  g_autofree char *valid = g_utf8_make_valid (value, -1);

  umedpt_log_key (json, key);
  umedpt_json_append_string (json, valid);
}

void
umedpt_log_double (GString *json, const char *key, double value)
{
  umedpt_log_key (json, key);
  if (isfinite (value))
    umedpt_json_append_double (json, value);
  else
    g_string_append (json, "null");
}

void
umedpt_log_count (GString *json, const char *key, guint64 value)
{
  umedpt_log_key (json, key);
  g_string_append_printf (json, "%" G_GUINT64_FORMAT, value);
}
