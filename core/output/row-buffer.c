/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One buffer, written when a megabyte is full; what is larger goes past it.
 */
#include "output/row-buffer.h"

#include <errno.h>
#include <unistd.h>

#include "base/error.h"

#define BUFFER_SIZE (1 << 20)

void
umedpt_row_buffer_init (UmedptRowBuffer *self, UmedptAtomicFile *file)
{
  self->file = file;
  self->bytes = g_byte_array_new ();
}

void
umedpt_row_buffer_clear (UmedptRowBuffer *self)
{
  g_clear_pointer (&self->bytes, g_byte_array_unref);
}

gboolean
umedpt_row_buffer_flush (UmedptRowBuffer *self, GError **error)
{
  if (!umedpt_atomic_file_write (self->file, self->bytes->data,
          self->bytes->len, error))
    return FALSE;
  g_byte_array_set_size (self->bytes, 0);
  return TRUE;
}

gboolean
umedpt_row_buffer_append (UmedptRowBuffer *self, gconstpointer data, gsize size,
    GError **error)
{
  if (self->bytes->len + size > BUFFER_SIZE &&
      !umedpt_row_buffer_flush (self, error))
    return FALSE;
  if (size > BUFFER_SIZE)
    return umedpt_atomic_file_write (self->file, data, size, error);
  g_byte_array_append (self->bytes, data, size);
  return TRUE;
}

gboolean
umedpt_row_buffer_patch (UmedptRowBuffer *self, guint64 offset,
    gconstpointer data, gsize size, GError **error)
{
  /* Seeking in a regular file fails only if a number is wrong. */
  int fd = umedpt_atomic_file_get_fd (self->file);
  gboolean ok = lseek (fd, (off_t) offset, SEEK_SET) >= 0;

  if (ok && !umedpt_atomic_file_write (self->file, data, size, error))
    return FALSE;
  ok = ok && lseek (fd, 0, SEEK_END) >= 0;
  if (!ok)
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_IO,
        "Cannot write the header of '%s': %s.",
        umedpt_atomic_file_get_temporary_path (self->file), g_strerror (errno));
  return ok;
}
