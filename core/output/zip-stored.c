/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Local headers, central directory and the ZIP64 records of APPNOTE.TXT 4.3.
 *
 * Each local header reserves an extra field of at least 20 bytes: the room of
 * ZIP64 sizes, should the member outgrow 4 GiB, and else padding (tag "FB",
 * as PyTorch names it). It is made as long as needed for the data to begin at
 * a multiple of 64 bytes, so that a reader may map them.
 */
#include "output/zip-stored.h"

#include <string.h>
#include <zlib.h>

#include "base/atomic-file.h"
#include "output/row-buffer.h"

#define LOCAL_SIZE 30
#define ZIP64_EXTRA_SIZE 20 /* tag, length, two sizes */
#define ALIGNMENT 64
#define MAX_32 0xffffffffu
#define DOS_EPOCH 0x0021 /* 1 January 1980: the same bytes every run */

typedef struct
{
  char *name;
  guint64 offset, size;
  guint32 crc;
  guint16 extra_size;
} Member;

struct _UmedptZipStored
{
  UmedptAtomicFile *file;
  UmedptRowBuffer buffer;
  guint64 position;
  GArray *members; /* of Member */
};

static void
put_16 (GByteArray *bytes, guint16 value)
{
  value = GUINT16_TO_LE (value);
  g_byte_array_append (bytes, (const guint8 *) &value, sizeof value);
}

static void
put_32 (GByteArray *bytes, guint32 value)
{
  value = GUINT32_TO_LE (value);
  g_byte_array_append (bytes, (const guint8 *) &value, sizeof value);
}

static void
put_64 (GByteArray *bytes, guint64 value)
{
  value = GUINT64_TO_LE (value);
  g_byte_array_append (bytes, (const guint8 *) &value, sizeof value);
}

static void
member_clear (gpointer member)
{
  g_free (((Member *) member)->name);
}

static Member *
last_member (UmedptZipStored *self)
{
  return &g_array_index (self->members, Member, self->members->len - 1);
}

UmedptZipStored *
umedpt_zip_stored_new (const char *path, gboolean overwrite, GError **error)
{
  g_autoptr (UmedptZipStored) self = g_new0 (UmedptZipStored, 1);

  self->members = g_array_new (FALSE, TRUE, sizeof (Member));
  g_array_set_clear_func (self->members, member_clear);
  self->file = umedpt_atomic_file_new (path, overwrite, error);
  if (!self->file)
    return NULL;
  umedpt_row_buffer_init (&self->buffer, self->file);
  return g_steal_pointer (&self);
}

static gboolean
append (UmedptZipStored *self, gconstpointer data, gsize size, GError **error)
{
  if (!umedpt_row_buffer_append (&self->buffer, data, size, error))
    return FALSE;
  self->position += size;
  return TRUE;
}

/* Version 4.5 reads ZIP64, 2.0 the rest; no flags, stored, a fixed date. */
static void
put_common (GByteArray *bytes, const Member *member)
{
  gboolean large = member->size >= MAX_32;

  put_16 (bytes, large || member->offset >= MAX_32 ? 45 : 20);
  put_16 (bytes, 0);
  put_16 (bytes, 0);
  put_16 (bytes, 0);
  put_16 (bytes, DOS_EPOCH);
  put_32 (bytes, member->crc);
  put_32 (bytes, large ? MAX_32 : (guint32) member->size);
  put_32 (bytes, large ? MAX_32 : (guint32) member->size);
  put_16 (bytes, strlen (member->name));
}

static GByteArray *
make_local_header (const Member *member)
{
  GByteArray *bytes = g_byte_array_new ();
  guint padding = member->extra_size - 4;

  put_32 (bytes, 0x04034b50);
  put_common (bytes, member);
  put_16 (bytes, member->extra_size);
  g_byte_array_append (bytes, (const guint8 *) member->name,
      strlen (member->name));
  if (member->size >= MAX_32) {
    put_16 (bytes, 0x0001);
    put_16 (bytes, ZIP64_EXTRA_SIZE - 4);
    put_64 (bytes, member->size);
    put_64 (bytes, member->size);
    if (member->extra_size == ZIP64_EXTRA_SIZE)
      return bytes;
    padding = member->extra_size - ZIP64_EXTRA_SIZE - 4;
  }
  put_16 (bytes, 0x4246);
  put_16 (bytes, padding);
  while (padding--)
    g_byte_array_append (bytes, (const guint8 *) "", 1);
  return bytes;
}

gboolean
umedpt_zip_stored_begin (UmedptZipStored *self, const char *name,
    GError **error)
{
  Member member = { .name = g_strdup (name), .offset = self->position };
  guint64 end = self->position + LOCAL_SIZE + strlen (name) + ZIP64_EXTRA_SIZE;
  guint padding = (ALIGNMENT - end % ALIGNMENT) % ALIGNMENT;
  g_autoptr (GByteArray) header = NULL;

  /* What follows the ZIP64 field needs a head of 4 bytes of its own. */
  if (padding > 0 && padding < 4)
    padding += ALIGNMENT;
  member.extra_size = ZIP64_EXTRA_SIZE + padding;
  g_array_append_val (self->members, member);
  header = make_local_header (last_member (self));
  return append (self, header->data, header->len, error);
}

gboolean
umedpt_zip_stored_write (UmedptZipStored *self, gconstpointer data, gsize size,
    GError **error)
{
  Member *member = last_member (self);

  member->crc = crc32_z (member->crc, data, size);
  member->size += size;
  return append (self, data, size, error);
}

gboolean
umedpt_zip_stored_end (UmedptZipStored *self, GError **error)
{
  const Member *member = last_member (self);
  g_autoptr (GByteArray) header = make_local_header (member);

  return umedpt_row_buffer_flush (&self->buffer, error) &&
      umedpt_row_buffer_patch (&self->buffer, member->offset, header->data,
          header->len, error);
}

gboolean
umedpt_zip_stored_add (UmedptZipStored *self, const char *name,
    gconstpointer data, gsize size, GError **error)
{
  return umedpt_zip_stored_begin (self, name, error) &&
      umedpt_zip_stored_write (self, data, size, error) &&
      umedpt_zip_stored_end (self, error);
}

/* The directory's entry; ZIP64 holds only the numbers that need it. */
static void
put_entry (GByteArray *bytes, const Member *member)
{
  gboolean large = member->size >= MAX_32, far = member->offset >= MAX_32;
  guint extra = (large ? 16 : 0) + (far ? 8 : 0);

  put_32 (bytes, 0x02014b50);
  put_16 (bytes, large || far ? 45 : 20);
  put_common (bytes, member);
  put_16 (bytes, extra ? extra + 4 : 0);
  put_16 (bytes, 0); /* comment */
  put_16 (bytes, 0); /* disk */
  put_16 (bytes, 0); /* attributes, inside and outside */
  put_32 (bytes, 0);
  put_32 (bytes, far ? MAX_32 : (guint32) member->offset);
  g_byte_array_append (bytes, (const guint8 *) member->name,
      strlen (member->name));
  if (!extra)
    return;
  put_16 (bytes, 0x0001);
  put_16 (bytes, extra);
  if (large) {
    put_64 (bytes, member->size);
    put_64 (bytes, member->size);
  }
  if (far)
    put_64 (bytes, member->offset);
}

/* ZIP64's end record and its locator (4.3.14, 4.3.15). */
static void
put_zip64_end (GByteArray *bytes, guint n, guint64 size, guint64 start)
{
  put_32 (bytes, 0x06064b50);
  put_64 (bytes, 44);
  put_16 (bytes, 45);
  put_16 (bytes, 45);
  put_32 (bytes, 0);
  put_32 (bytes, 0);
  put_64 (bytes, n);
  put_64 (bytes, n);
  put_64 (bytes, size);
  put_64 (bytes, start);
  put_32 (bytes, 0x07064b50);
  put_32 (bytes, 0);
  put_64 (bytes, start + size);
  put_32 (bytes, 1);
}

gboolean
umedpt_zip_stored_complete (UmedptZipStored *self, GError **error)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  guint64 start = self->position;
  guint n = self->members->len;
  gsize size;

  for (guint i = 0; i < n; i++)
    put_entry (bytes, &g_array_index (self->members, Member, i));
  size = bytes->len;
  if (start >= MAX_32)
    put_zip64_end (bytes, n, size, start);
  put_32 (bytes, 0x06054b50);
  put_16 (bytes, 0);
  put_16 (bytes, 0);
  put_16 (bytes, n);
  put_16 (bytes, n);
  put_32 (bytes, size);
  put_32 (bytes, start >= MAX_32 ? MAX_32 : (guint32) start);
  put_16 (bytes, 0);
  return append (self, bytes->data, bytes->len, error) &&
      umedpt_row_buffer_flush (&self->buffer, error);
}

gboolean
umedpt_zip_stored_commit (UmedptZipStored *self, GError **error)
{
  return umedpt_atomic_file_commit (self->file, error);
}

void
umedpt_zip_stored_free (UmedptZipStored *self)
{
  if (!self)
    return;
  umedpt_row_buffer_clear (&self->buffer);
  g_clear_pointer (&self->file, umedpt_atomic_file_free);
  g_clear_pointer (&self->members, g_array_unref);
  g_free (self);
}
