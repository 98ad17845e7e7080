/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Tiles in memory stand in a list, the last used first; the last of the list
 * leaves when there are too many. In the file a tile has a slot of a power of
 * two bytes; one that outgrows its slot gets another, and the old one is used
 * again, so that a mask which is written in any order does not fill the disk.
 * What is in the file is a zlib stream, which goes into the TIFF as it is.
 */
#define _GNU_SOURCE
#include "output/mask-store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>
#include <zlib.h>

#include "base/error.h"

#define SMALLEST_SLOT 9 /* 2^9 bytes: a tile of one value takes about 280 */
#define N_SLOT_SIZES 16
#define DEFLATE_LEVEL 6 /* on masks, half the bytes of level 1 */

typedef struct
{
  gint64 key; /* first: hashed by it */
  guint8 *data; /* (nullable): in memory */
  gboolean changed; /* since it was in the file */
  GList link; /* in the list of those in memory */
  guint64 offset; /* of the slot */
  guint32 size; /* in the slot; 0: not in the file */
  guint8 slot_size; /* log2 */
} Tile;

struct _UmedptMaskStore
{
  char *path;
  GHashTable *tiles; /* of Tile, by key */
  GQueue recent;
  guint max_recent;
  int fd; /* -1: not needed so far */
  guint64 end; /* of the file */
  GArray *free_slots[N_SLOT_SIZES]; /* guint64: offsets */
  GByteArray *packed;
};

static void
tile_free (gpointer data)
{
  Tile *tile = data;

  g_free (tile->data);
  g_free (tile);
}

UmedptMaskStore *
umedpt_mask_store_new (const char *path, gsize max_bytes)
{
  UmedptMaskStore *self = g_new0 (UmedptMaskStore, 1);

  self->path = g_strdup (path);
  self->tiles =
      g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, tile_free);
  g_queue_init (&self->recent);
  self->max_recent = (guint) MAX (max_bytes / UMEDPT_MASK_TILE_BYTES, 1);
  self->fd = -1;
  for (guint i = 0; i < N_SLOT_SIZES; i++)
    self->free_slots[i] = g_array_new (FALSE, FALSE, sizeof (guint64));
  self->packed = g_byte_array_new ();
  return self;
}

void
umedpt_mask_store_free (UmedptMaskStore *self)
{
  if (!self)
    return;
  if (self->fd >= 0)
    close (self->fd);
  g_hash_table_unref (self->tiles);
  for (guint i = 0; i < N_SLOT_SIZES; i++)
    g_array_unref (self->free_slots[i]);
  g_byte_array_unref (self->packed);
  g_free (self->path);
  g_free (self);
}

guint64
umedpt_mask_store_get_file_size (const UmedptMaskStore *self)
{
  return self->end;
}

gboolean
umedpt_mask_is_blank (const guint8 *data, gsize size)
{
  return size == 0 ||
      (data[0] == UMEDPT_MASK_BLANK && memcmp (data, data + 1, size - 1) == 0);
}

gboolean
umedpt_mask_pack (const guint8 *tile, gsize size, GByteArray *packed,
    GError **error)
{
  uLongf length = compressBound (size);

  g_byte_array_set_size (packed, (guint) length);
  if (compress2 (packed->data, &length, tile, size, DEFLATE_LEVEL) == Z_OK) {
    g_byte_array_set_size (packed, (guint) length);
    return TRUE;
  }
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY,
      "There is no memory to compress a tile of a mask.");
  return FALSE;
}

static gboolean
fail (UmedptMaskStore *self, int number, const char *what, GError **error)
{
  gboolean full = number == ENOSPC || number == EDQUOT || number == EFBIG;

  g_set_error (error, UMEDPT_ERROR,
      full ? UMEDPT_ERROR_NO_SPACE : UMEDPT_ERROR_IO,
      "Cannot %s the temporary file of the mask '%s': %s.%s", what, self->path,
      number ? g_strerror (number) : "it is shorter than it was",
      full ? " Free some space, or choose another disk." : "");
  return FALSE;
}

/* A file without a name, which cannot be left behind. */
static gboolean
open_file (UmedptMaskStore *self, GError **error)
{
  g_autofree char *folder = g_path_get_dirname (self->path);
  g_autofree char *name = NULL;

  if (self->fd >= 0)
    return TRUE;
  self->fd = open (folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (self->fd >= 0)
    return TRUE;
  /* Not every file system can do this. */
  name = g_build_filename (folder, ".umedpt-mask.XXXXXX.tmp", NULL);
  self->fd = g_mkstemp_full (name, O_RDWR | O_CLOEXEC, 0600);
  if (self->fd < 0)
    return fail (self, errno, "create", error);
  g_unlink (name);
  return TRUE;
}

static guint64
take_slot (UmedptMaskStore *self, guint slot_size)
{
  GArray *slots = self->free_slots[slot_size - SMALLEST_SLOT];
  guint64 offset = self->end;

  if (slots->len > 0) {
    offset = g_array_index (slots, guint64, slots->len - 1);
    g_array_set_size (slots, slots->len - 1);
  } else {
    self->end += (guint64) 1 << slot_size;
  }
  return offset;
}

static void
give_slot_back (UmedptMaskStore *self, Tile *tile)
{
  if (tile->size > 0)
    g_array_append_val (self->free_slots[tile->slot_size - SMALLEST_SLOT],
        tile->offset);
  tile->size = 0;
}

/* Puts what is in self->packed into the file, as the contents of @tile. */
static gboolean
write_packed (UmedptMaskStore *self, Tile *tile, GError **error)
{
  const guint size = self->packed->len;
  guint8 slot_size = (guint8) MAX (g_bit_storage (size - 1), SMALLEST_SLOT);
  gsize done = 0;

  if (!open_file (self, error))
    return FALSE;
  if (tile->size == 0 || tile->slot_size != slot_size) {
    give_slot_back (self, tile);
    tile->slot_size = slot_size;
    tile->offset = take_slot (self, slot_size);
  }
  tile->size = size;
  while (done < size) {
    ssize_t n = pwrite (self->fd, self->packed->data + done, size - done,
        (off_t) (tile->offset + done));

    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return fail (self, errno, "write", error);
    done += (gsize) n;
  }
  return TRUE;
}

/* Reads the deflated @tile into self->packed. */
static gboolean
read_packed (UmedptMaskStore *self, const Tile *tile, GError **error)
{
  gsize done = 0;

  g_byte_array_set_size (self->packed, tile->size);
  while (done < tile->size) {
    ssize_t n = pread (self->fd, self->packed->data + done, tile->size - done,
        (off_t) (tile->offset + done));

    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return fail (self, n < 0 ? errno : 0, "read", error);
    done += (gsize) n;
  }
  return TRUE;
}

static gboolean
unpack (UmedptMaskStore *self, const Tile *tile, guint8 *data, GError **error)
{
  uLongf length = UMEDPT_MASK_TILE_BYTES;

  if (!read_packed (self, tile, error))
    return FALSE;
  if (uncompress (data, &length, self->packed->data, self->packed->len) ==
          Z_OK &&
      length == UMEDPT_MASK_TILE_BYTES)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_IO,
      "The temporary file of the mask '%s' does not hold what was written to "
      "it. Check the disk.",
      self->path);
  return FALSE;
}

static gint64
make_key (const UmedptMaskPlace *place)
{
  return (gint64) place->level << 48 | place->row << 24 | place->column;
}

static Tile *
find_tile (UmedptMaskStore *self, const UmedptMaskPlace *place)
{
  gint64 key = make_key (place);

  return g_hash_table_lookup (self->tiles, &key);
}

static Tile *
add_tile (UmedptMaskStore *self, const UmedptMaskPlace *place)
{
  Tile *tile = g_new0 (Tile, 1);

  tile->key = make_key (place);
  tile->link.data = tile;
  g_hash_table_insert (self->tiles, &tile->key, tile);
  return tile;
}

/* Frees the memory of a tile; a blank one is no more. */
static gboolean
send_away (UmedptMaskStore *self, Tile *tile, GError **error)
{
  gboolean blank = umedpt_mask_is_blank (tile->data, UMEDPT_MASK_TILE_BYTES);

  if (tile->changed && !blank) {
    if (!umedpt_mask_pack (tile->data, UMEDPT_MASK_TILE_BYTES, self->packed,
            error) ||
        !write_packed (self, tile, error))
      return FALSE;
  }
  g_queue_unlink (&self->recent, &tile->link);
  g_clear_pointer (&tile->data, g_free);
  tile->changed = FALSE;
  if (blank) {
    give_slot_back (self, tile);
    g_hash_table_remove (self->tiles, &tile->key);
  }
  return TRUE;
}

/* Gets a tile into memory. */
static gboolean
fetch (UmedptMaskStore *self, Tile *tile, GError **error)
{
  if (tile->data) {
    g_queue_unlink (&self->recent, &tile->link);
    g_queue_push_head_link (&self->recent, &tile->link);
    return TRUE;
  }
  while (g_queue_get_length (&self->recent) >= self->max_recent)
    if (!send_away (self, g_queue_peek_tail (&self->recent), error))
      return FALSE;
  tile->data = g_malloc (UMEDPT_MASK_TILE_BYTES);
  g_queue_push_head_link (&self->recent, &tile->link);
  if (tile->size > 0)
    return unpack (self, tile, tile->data, error);
  memset (tile->data, UMEDPT_MASK_BLANK, UMEDPT_MASK_TILE_BYTES);
  return TRUE;
}

static gboolean
is_blank_part (const UmedptMaskRect *rect, const guint8 *mask, gsize stride)
{
  for (gint y = 0; y < rect->height; y++)
    if (!umedpt_mask_is_blank (mask + (gsize) y * stride, (gsize) rect->width))
      return FALSE;
  return TRUE;
}

gboolean
umedpt_mask_store_write (UmedptMaskStore *self, const UmedptMaskPlace *place,
    const UmedptMaskRect *rect, const guint8 *mask, gsize stride,
    GError **error)
{
  Tile *tile = find_tile (self, place);

  if (!tile) {
    if (is_blank_part (rect, mask, stride))
      return TRUE;
    tile = add_tile (self, place);
  }
  if (!fetch (self, tile, error))
    return FALSE;
  for (gint y = 0; y < rect->height; y++)
    memcpy (tile->data + (gsize) (rect->y + y) * UMEDPT_MASK_TILE + rect->x,
        mask + (gsize) y * stride, (gsize) rect->width);
  tile->changed = TRUE;
  return TRUE;
}

gboolean
umedpt_mask_store_read (UmedptMaskStore *self, const UmedptMaskPlace *place,
    guint8 *data, gboolean *blank, GError **error)
{
  const Tile *tile = find_tile (self, place);

  *blank = !tile || (!tile->data && tile->size == 0);
  if (*blank)
    return TRUE;
  if (!tile->data)
    return unpack (self, tile, data, error);
  memcpy (data, tile->data, UMEDPT_MASK_TILE_BYTES);
  return TRUE;
}

gboolean
umedpt_mask_store_put (UmedptMaskStore *self, const UmedptMaskPlace *place,
    const guint8 *data, GError **error)
{
  Tile *tile = find_tile (self, place);

  g_return_val_if_fail (!tile || !tile->data, FALSE);
  if (umedpt_mask_is_blank (data, UMEDPT_MASK_TILE_BYTES)) {
    if (tile)
      give_slot_back (self, tile);
    return TRUE;
  }
  if (!tile)
    tile = add_tile (self, place);
  return umedpt_mask_pack (data, UMEDPT_MASK_TILE_BYTES, self->packed, error) &&
      write_packed (self, tile, error);
}

gboolean
umedpt_mask_store_flush (UmedptMaskStore *self, GError **error)
{
  while (!g_queue_is_empty (&self->recent))
    if (!send_away (self, g_queue_peek_tail (&self->recent), error))
      return FALSE;
  return TRUE;
}

gboolean
umedpt_mask_store_get_packed (UmedptMaskStore *self,
    const UmedptMaskPlace *place, const guint8 **data, gsize *size,
    GError **error)
{
  const Tile *tile = find_tile (self, place);

  g_return_val_if_fail (!tile || !tile->data, FALSE);
  *size = 0;
  if (!tile || tile->size == 0)
    return TRUE;
  if (!read_packed (self, tile, error))
    return FALSE;
  *data = self->packed->data;
  *size = self->packed->len;
  return TRUE;
}
