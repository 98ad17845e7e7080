/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * NumPy's .npy, version 1.0: the magic bytes, the length of the header, a
 * Python dictionary padded with spaces to a multiple of 64 bytes and ended by
 * a newline, then the elements in C order. 128 bytes hold any shape.
 */
#include "output/npy-file.h"

#include <string.h>

#include "base/atomic-file.h"
#include "output/row-buffer.h"

#define HEADER_SIZE 128
#define PREFIX_SIZE 10 /* magic, version, length of the rest */

struct _UmedptNpyFile
{
  UmedptAtomicFile *file;
  UmedptRowBuffer buffer;
  const char *descr;
  gsize element_size;
  guint n_columns;
  guint64 n_rows;
};

static void
make_header (UmedptNpyFile *self, guint n_columns, guint8 *header)
{
  static const guint8 magic[] = { 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0 };
  g_autofree char *columns =
      n_columns ? g_strdup_printf (" %u", n_columns) : g_strdup ("");
  g_autofree char *text = g_strdup_printf (
      "{'descr': '%s', 'fortran_order': False, 'shape': (%" G_GUINT64_FORMAT
      ",%s), }",
      self->descr, self->n_rows, columns);

  memset (header, ' ', HEADER_SIZE);
  memcpy (header, magic, sizeof magic);
  header[8] = HEADER_SIZE - PREFIX_SIZE;
  header[9] = 0;
  memcpy (header + PREFIX_SIZE, text, strlen (text));
  header[HEADER_SIZE - 1] = '\n';
}

UmedptNpyFile *
umedpt_npy_file_new (const char *path, gboolean overwrite, const char *descr,
    gsize element_size, GError **error)
{
  g_autoptr (UmedptNpyFile) self = g_new0 (UmedptNpyFile, 1);
  guint8 header[HEADER_SIZE];

  self->descr = descr;
  self->element_size = element_size;
  self->file = umedpt_atomic_file_new (path, overwrite, error);
  if (!self->file)
    return NULL;
  umedpt_row_buffer_init (&self->buffer, self->file);
  make_header (self, 0, header);
  if (!umedpt_row_buffer_append (&self->buffer, header, sizeof header, error))
    return NULL;
  return g_steal_pointer (&self);
}

gboolean
umedpt_npy_file_append (UmedptNpyFile *self, gconstpointer row, guint n_columns,
    GError **error)
{
  g_return_val_if_fail (!self->n_columns || self->n_columns == n_columns,
      FALSE);
  if (!umedpt_row_buffer_append (&self->buffer, row,
          n_columns * self->element_size, error))
    return FALSE;
  self->n_columns = n_columns;
  self->n_rows++;
  return TRUE;
}

gboolean
umedpt_npy_file_complete (UmedptNpyFile *self, guint n_columns, GError **error)
{
  guint8 header[HEADER_SIZE];

  make_header (self, self->n_columns ? self->n_columns : n_columns, header);
  return umedpt_row_buffer_flush (&self->buffer, error) &&
      umedpt_row_buffer_patch (&self->buffer, 0, header, sizeof header, error);
}

gboolean
umedpt_npy_file_commit (UmedptNpyFile *self, GError **error)
{
  return umedpt_atomic_file_commit (self->file, error);
}

void
umedpt_npy_file_free (UmedptNpyFile *self)
{
  if (!self)
    return;
  umedpt_row_buffer_clear (&self->buffer);
  g_clear_pointer (&self->file, umedpt_atomic_file_free);
  g_free (self);
}
