/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The pyramid and its TIFF. A pixel of a level is the most frequent of the four
 * below it, which never makes a class that is not there. The levels are a
 * chain of directories with NewSubfileType 1 (TIFF 6.0), which OpenSlide and
 * all others see; in OME-TIFF they are sub-directories (Technical Note 1), as
 * its specification wants. Every tile is written, as OpenSlide 3.4 fails on a
 * TIFF that leaves some out. It also shifts a level that is smaller than its
 * tile, by what is missing, so small levels have small tiles.
 */
#include "output/mask-private.h"

#include <errno.h>
#include <string.h>

#include <tiffio.h>

#include "base/error.h"
#include "base/version.h"

#define TILE UMEDPT_MASK_TILE
#define SMALLEST 512 /* no level is added below this longest side … */
#define TILE_UNIT 16 /* … or this shortest one: TIFF has no smaller tiles */

typedef struct
{
  gint64 width, height;
  gint tile_width, tile_height; /* in the file; in the store all are TILE */
} Level;

typedef struct
{
  const char *path;
  const UmedptMaskInfo *info;
  UmedptMaskStore *store;
  TIFF *tiff;
  char message[256];
  Level levels[UMEDPT_MASK_MAX_LEVELS];
  guint n_levels;
  GByteArray *packed;
  GByteArray *blank; /* a whole tile of nothing, deflated */
  guint8 *tiles[2]; /* [TILE, TILE], to work in */
} Writer;

static int
on_error (TIFF *tiff, void *data, const char *module, const char *format,
    va_list args)
{
  Writer *self = data;
  const char *end;

  if (self->message[0] != '\0') /* the first is the cause */
    return 1;
  g_vsnprintf (self->message, sizeof self->message, format, args);
  if (!g_utf8_validate (self->message, -1, &end))
    self->message[end - self->message] = '\0';
  return 1;
}

static int
on_warning (TIFF *tiff, void *data, const char *module, const char *format,
    va_list args)
{
  return 1;
}

static gboolean
fail (Writer *self, GError **error)
{
  int number = errno;
  gboolean full = number == ENOSPC || number == EDQUOT || number == EFBIG;

  g_set_error (error, UMEDPT_ERROR,
      full ? UMEDPT_ERROR_NO_SPACE : UMEDPT_ERROR_IO,
      "Cannot write the mask '%s': %s%s.%s", self->path,
      self->message[0] ? self->message : g_strerror (number),
      self->message[0] && full ? " (the disk is full)" : "",
      full ? " Free some space, or choose another disk." : "");
  return FALSE;
}

static gint
choose_tile (gint64 side)
{
  return (gint) MAX (MIN (side, TILE) / TILE_UNIT * TILE_UNIT, TILE_UNIT);
}

static void
plan_levels (Writer *self)
{
  gint64 w = self->info->width, h = self->info->height;

  do {
    self->levels[self->n_levels++] =
        (Level){ w, h, choose_tile (w), choose_tile (h) };
    if (MAX (w, h) <= SMALLEST || MIN (w, h) / 2 < TILE_UNIT)
      break;
    w /= 2;
    h /= 2;
  } while (self->n_levels < UMEDPT_MASK_MAX_LEVELS);
}

/* The most frequent of four, in reading order; of two that are as frequent,
 * the first, but a class before nothing. */
static guint8
choose (guint8 a, guint8 b, guint8 c, guint8 d)
{
  const guint8 blank = UMEDPT_MASK_BLANK;

  if (a == b)
    return a == blank && c == d ? c : a;
  if (a == c)
    return a == blank && b == d ? b : a;
  if (a == d)
    return a == blank && b == c ? b : a;
  if (b == c || b == d)
    return b;
  if (c == d)
    return c;
  return a == blank ? b : a;
}

/* Makes a quarter of a tile from a tile of the level below. */
static void
shrink (const guint8 *below, guint8 *tile)
{
  for (gint y = 0; y < TILE / 2; y++) {
    const guint8 *a = below + (gsize) (2 * y) * TILE, *b = a + TILE;
    guint8 *out = tile + (gsize) y * TILE;

    for (gint x = 0; x < TILE / 2; x++)
      out[x] = choose (a[2 * x], a[2 * x + 1], b[2 * x], b[2 * x + 1]);
  }
}

static gboolean
make_tile (Writer *self, const UmedptMaskPlace *place, GError **error)
{
  guint8 *below = self->tiles[0], *tile = self->tiles[1];
  gboolean any = FALSE;

  memset (tile, UMEDPT_MASK_BLANK, UMEDPT_MASK_TILE_BYTES);
  for (gint i = 0; i < 4; i++) {
    UmedptMaskPlace from = { place->level - 1, place->column * 2 + i % 2,
      place->row * 2 + i / 2 };
    gboolean blank;

    if (!umedpt_mask_store_read (self->store, &from, below, &blank, error))
      return FALSE;
    if (blank)
      continue;
    shrink (below, tile + (i / 2 * TILE + i % 2) * (TILE / 2));
    any = TRUE;
  }
  return !any || umedpt_mask_store_put (self->store, place, tile, error);
}

/* Level @k from the one below. */
static gboolean
make_level (Writer *self, guint k, GError **error)
{
  const Level *level = &self->levels[k];
  UmedptMaskPlace place = { k };

  for (place.row = 0; place.row * TILE < level->height; place.row++)
    for (place.column = 0; place.column * TILE < level->width; place.column++)
      if (!make_tile (self, &place, error))
        return FALSE;
  return TRUE;
}

static void
set_color_map (Writer *self)
{
  guint16 map[3][256] = { { 0 } };

  for (guint c = 0; c < 3; c++) {
    for (guint i = 0; i < self->info->n_colors; i++)
      map[c][i] =
          (guint16) ((self->info->colors[i] >> (16 - 8 * c) & 0xff) * 257);
    map[c][UMEDPT_MASK_BLANK] = 0xffff;
  }
  TIFFSetField (self->tiff, TIFFTAG_COLORMAP, map[0], map[1], map[2]);
}

static void
set_fields (Writer *self, guint k)
{
  const Level *level = &self->levels[k];
  TIFF *tiff = self->tiff;
  /* a pixel of level k is exactly 2^k pixels wide */
  double per_cm = self->info->mpp > 0
      ? 1e4 / self->info->mpp / (double) ((guint64) 1 << k)
      : 0;

  TIFFSetField (tiff, TIFFTAG_SUBFILETYPE, k > 0 ? FILETYPE_REDUCEDIMAGE : 0);
  TIFFSetField (tiff, TIFFTAG_IMAGEWIDTH, (guint32) level->width);
  TIFFSetField (tiff, TIFFTAG_IMAGELENGTH, (guint32) level->height);
  TIFFSetField (tiff, TIFFTAG_TILEWIDTH, (guint32) level->tile_width);
  TIFFSetField (tiff, TIFFTAG_TILELENGTH, (guint32) level->tile_height);
  TIFFSetField (tiff, TIFFTAG_BITSPERSAMPLE, 8);
  TIFFSetField (tiff, TIFFTAG_SAMPLESPERPIXEL, 1);
  TIFFSetField (tiff, TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT);
  TIFFSetField (tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
  TIFFSetField (tiff, TIFFTAG_COMPRESSION, COMPRESSION_ADOBE_DEFLATE);
  TIFFSetField (tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_PALETTE);
  TIFFSetField (tiff, TIFFTAG_SOFTWARE, "UMedPT " UMEDPT_VERSION);
  set_color_map (self);
  if (per_cm > 0) {
    TIFFSetField (tiff, TIFFTAG_RESOLUTIONUNIT, RESUNIT_CENTIMETER);
    TIFFSetField (tiff, TIFFTAG_XRESOLUTION, per_cm);
    TIFFSetField (tiff, TIFFTAG_YRESOLUTION, per_cm);
  }
}

/* The deflated tile of the file whose upper left corner is at (x, y). Where it
 * is smaller than those of the store, the level has one row or one column of
 * those, so that it lies in one of them. */
static gboolean
get_packed (Writer *self, guint k, gint64 x, gint64 y, const guint8 **data,
    gsize *size, GError **error)
{
  const Level *level = &self->levels[k];
  const gint w = level->tile_width, h = level->tile_height;
  UmedptMaskPlace place = { k, x / TILE, y / TILE };
  const gint left = (gint) (x % TILE), top = (gint) (y % TILE);
  guint8 *from = self->tiles[0], *tile = self->tiles[1];
  gboolean blank;

  if (w == TILE && h == TILE) {
    if (!umedpt_mask_store_get_packed (self->store, &place, data, size, error))
      return FALSE;
    if (*size == 0) {
      *data = self->blank->data;
      *size = self->blank->len;
    }
    return TRUE;
  }
  if (!umedpt_mask_store_read (self->store, &place, from, &blank, error))
    return FALSE;
  memset (tile, UMEDPT_MASK_BLANK, UMEDPT_MASK_TILE_BYTES);
  for (gint j = 0; !blank && j < MIN (h, TILE - top); j++)
    memcpy (tile + (gsize) j * (gsize) w,
        from + (gsize) (top + j) * TILE + left, (gsize) MIN (w, TILE - left));
  if (!umedpt_mask_pack (tile, (gsize) w * (gsize) h, self->packed, error))
    return FALSE;
  *data = self->packed->data;
  *size = self->packed->len;
  return TRUE;
}

static gboolean
write_level (Writer *self, guint k, GError **error)
{
  const Level *level = &self->levels[k];
  guint32 index = 0;

  for (gint64 y = 0; y < level->height; y += level->tile_height)
    for (gint64 x = 0; x < level->width; x += level->tile_width) {
      const guint8 *data;
      gsize size;

      if (!get_packed (self, k, x, y, &data, &size, error))
        return FALSE;
      errno = 0;
      if (TIFFWriteRawTile (self->tiff, index++, (void *) data,
              (tmsize_t) size) < 0)
        return fail (self, error);
    }
  errno = 0;
  return TIFFWriteDirectory (self->tiff) || fail (self, error);
}

static gboolean
open_tiff (Writer *self, GError **error)
{
  TIFFOpenOptions *options = TIFFOpenOptionsAlloc ();

  errno = 0;
  if (options) {
    TIFFOpenOptionsSetErrorHandlerExtR (options, on_error, self);
    TIFFOpenOptionsSetWarningHandlerExtR (options, on_warning, self);
    self->tiff = TIFFOpenExt (self->path, "w8", options);
    TIFFOpenOptionsFree (options);
  }
  return self->tiff || fail (self, error);
}

static gboolean
write_levels (Writer *self, gboolean ome, GError **error)
{
  g_autofree char *description = ome ? umedpt_mask_describe_ome (self->info)
                                     : umedpt_mask_describe (self->info);
  toff_t offsets[UMEDPT_MASK_MAX_LEVELS] = { 0 }; /* libtiff fills them in */

  TIFFSetField (self->tiff, TIFFTAG_IMAGEDESCRIPTION, description);
  if (ome && self->n_levels > 1)
    TIFFSetField (self->tiff, TIFFTAG_SUBIFD, (int) self->n_levels - 1,
        offsets);
  for (guint k = 0; k < self->n_levels; k++) {
    if (k > 0 && !make_level (self, k, error))
      return FALSE;
    set_fields (self, k);
    if (!write_level (self, k, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
close_tiff (Writer *self, GError **error)
{
  errno = 0;
  TIFFClose (self->tiff);
  return self->message[0] == '\0' || fail (self, error);
}

gboolean
umedpt_mask_write_tiff (const char *path, const UmedptMaskInfo *info,
    gboolean ome, UmedptMaskStore *store, GError **error)
{
  Writer self = { path, info, store };
  gboolean ok = FALSE;

  plan_levels (&self);
  self.packed = g_byte_array_new ();
  self.blank = g_byte_array_new ();
  for (guint i = 0; i < 2; i++)
    self.tiles[i] = g_malloc (UMEDPT_MASK_TILE_BYTES);
  memset (self.tiles[0], UMEDPT_MASK_BLANK, UMEDPT_MASK_TILE_BYTES);
  if (umedpt_mask_store_flush (store, error) &&
      umedpt_mask_pack (self.tiles[0], UMEDPT_MASK_TILE_BYTES, self.blank,
          error) &&
      open_tiff (&self, error)) {
    ok = write_levels (&self, ome, error);
    ok = close_tiff (&self, ok ? error : NULL) && ok;
  }
  g_byte_array_unref (self.packed);
  g_byte_array_unref (self.blank);
  for (guint i = 0; i < 2; i++)
    g_free (self.tiles[i]);
  return ok;
}
