/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A record of what happened must survive a crash, so lines are in the file as
 * soon as they are written, and the file has its name from the start; that is
 * why this is no UmedptAtomicFile.
 *
 * Somebody else may read the other end. A slow reader is waited for, but never
 * longer than the pipeline wants to run: the descriptor does not block, GstPoll
 * does, and can be told to stop. A reader that leaves is an error, and not the
 * signal that would end the process.
 */
#define _GNU_SOURCE
#include "json/gstumedptjsonfile.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file-error.h"

#define MOST_WAITING (64 * 1024) /* bytes */

struct _GstUmedptJsonFile
{
  char *path;
  GstPoll *poll; /* the caller's */
  GstPollFD fd;
  gboolean regular;
  GString *waiting; /* not written yet */
};

/* --- errors ------------------------------------------------------------- */

static gboolean
fail (GstUmedptJsonFile *self, int number, const char *what, GError **error)
{
  return umedpt_file_error_set (error, number, what, self->path);
}

/* --- opening ------------------------------------------------------------ */

/* A run that crashed may have left half a line, which the next one must not
 * continue. */
static void
end_last_line (GstUmedptJsonFile *self, const struct stat *status)
{
  int fd = -1;
  char last = '\n';

  if (!self->regular || status->st_size == 0)
    return;
  fd = open (self->path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return;
  if (pread (fd, &last, 1, status->st_size - 1) == 1 && last != '\n')
    g_string_append_c (self->waiting, '\n');
  close (fd);
}

/* O_APPEND in any case: whoever empties the file while it is written (as
 * logrotate does) shall not get a hole at its beginning. */
static gboolean
open_file (GstUmedptJsonFile *self, gboolean append, GError **error)
{
  struct stat status;

  self->fd.fd = open (self->path,
      O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC |
          (append ? 0 : O_TRUNC),
      0666);
  if (self->fd.fd < 0)
    return fail (self, errno, "open", error);
  if (fstat (self->fd.fd, &status) != 0)
    return fail (self, errno, "examine", error);
  self->regular = S_ISREG (status.st_mode);
  end_last_line (self, &status);
  gst_poll_add_fd (self->poll, &self->fd);
  gst_poll_fd_ctl_write (self->poll, &self->fd, TRUE);
  return TRUE;
}

static int
release (GstUmedptJsonFile *self)
{
  int number = 0;

  if (self->fd.fd >= 0) {
    gst_poll_remove_fd (self->poll, &self->fd);
    number = close (self->fd.fd) == 0 ? 0 : errno;
    self->fd.fd = -1;
  }
  return number;
}

static void
free_file (GstUmedptJsonFile *self)
{
  release (self);
  g_string_free (self->waiting, TRUE);
  g_free (self->path);
  g_free (self);
}

GstUmedptJsonFile *
gst_umedpt_json_file_new (const char *path, gboolean append, GstPoll *poll,
    GError **error)
{
  GstUmedptJsonFile *self = g_new0 (GstUmedptJsonFile, 1);

  self->path = g_strdup (path);
  self->poll = poll;
  gst_poll_fd_init (&self->fd);
  self->waiting = g_string_new (NULL);
  if (open_file (self, append, error))
    return self;
  free_file (self);
  return NULL;
}

/* --- writing ------------------------------------------------------------ */

/* write() whose failures are only errors: without this, a pipe that nobody
 * reads any more, or a file at the limit of its size, ends the process. */
static ssize_t
write_quietly (int fd, const char *data, gsize size)
{
  const struct timespec at_once = { 0, 0 };
  sigset_t signals, before;
  ssize_t n;
  int number;

  sigemptyset (&signals);
  sigaddset (&signals, SIGPIPE);
  sigaddset (&signals, SIGXFSZ);
  pthread_sigmask (SIG_BLOCK, &signals, &before);
  n = write (fd, data, size);
  number = errno;
  if (n < 0 && (number == EPIPE || number == EFBIG))
    while (sigtimedwait (&signals, NULL, &at_once) < 0 && errno == EINTR)
      ;
  pthread_sigmask (SIG_SETMASK, &before, NULL);
  errno = number;
  return n;
}

/* Whether there is room for more; FALSE when it is time to stop. */
static gboolean
wait_for_room (GstUmedptJsonFile *self)
{
  int n;

  do
    n = gst_poll_wait (self->poll, GST_CLOCK_TIME_NONE);
  while (n < 0 && (errno == EINTR || errno == EAGAIN));
  return n >= 0;
}

/* What a flush interrupts goes on waiting, so that no line is cut short. */
static gboolean
drain (GstUmedptJsonFile *self, gboolean patient, GError **error)
{
  gsize written = 0;
  int number = 0;

  while (written < self->waiting->len && number == 0) {
    ssize_t n = write_quietly (self->fd.fd, self->waiting->str + written,
        MIN (self->waiting->len - written, (gsize) 1 << 30));
    if (n >= 0)
      written += (gsize) n;
    else if (errno != EINTR && errno != EAGAIN)
      number = errno;
    else if (errno == EAGAIN && !(patient && wait_for_room (self)))
      break;
  }
  g_string_erase (self->waiting, 0, (gssize) written);
  return number == 0 || fail (self, number, "write", error);
}

gboolean
gst_umedpt_json_file_write (GstUmedptJsonFile *self, const char *line,
    gsize length, gboolean at_once, GError **error)
{
  g_string_append_len (self->waiting, line, (gssize) length);
  return (!at_once && self->waiting->len < MOST_WAITING) ||
      drain (self, TRUE, error);
}

gboolean
gst_umedpt_json_file_sync (GstUmedptJsonFile *self, GError **error)
{
  if (!drain (self, TRUE, error))
    return FALSE;
  /* a network drive may tell only now that it is full */
  return !self->regular || fsync (self->fd.fd) == 0 ||
      fail (self, errno, "write", error);
}

gboolean
gst_umedpt_json_file_close (GstUmedptJsonFile *self, GError **error)
{
  gboolean ok = drain (self, FALSE, error);
  int number = release (self);

  if (ok && number)
    ok = fail (self, number, "write", error);
  free_file (self);
  return ok;
}
