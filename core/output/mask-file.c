/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The mask writer as programs see it: parts go into a store of tiles, which
 * becomes a pyramid when all is there. A writer whose disk failed says so once
 * and then refuses everything.
 */
#include "output/mask-private.h"

#include <math.h>
#include <string.h>

#include "base/atomic-file.h"
#include "base/error.h"

#define TILE UMEDPT_MASK_TILE
#define MAX_SIDE (1 << 21)
/* Tiles in memory: a row of them, of the widest slides. */
#define STORE_BYTES (64 * 1024 * 1024)
#define BAND_BYTES (32 * 1024 * 1024)

struct _UmedptMaskWriter
{
  char *path;
  gboolean ome;
  UmedptMaskInfo info; /* its pointers lead to what follows */
  GStringChunk *strings;
  char **labels;
  guint32 *colors;
  UmedptAtomicFile *file;
  UmedptMaskStore *store;
  gboolean failed, finished;
};

static gboolean
choose_format (const char *path, gboolean *ome, GError **error)
{
  g_autofree char *lower = g_ascii_strdown (path, -1);

  *ome = g_str_has_suffix (lower, ".ome.tif") ||
      g_str_has_suffix (lower, ".ome.tiff");
  if (g_str_has_suffix (lower, ".tif") || g_str_has_suffix (lower, ".tiff"))
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "Cannot tell the format of the mask '%s' by its suffix. Use .tif or "
      ".tiff (OpenSlide, QuPath), .ome.tif or .ome.tiff (OME-TIFF).",
      path);
  return FALSE;
}

static gboolean
check_info (const char *path, const UmedptMaskInfo *info, GError **error)
{
  if (info->width < 1 || info->height < 1 || info->width > MAX_SIDE ||
      info->height > MAX_SIDE) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE,
        "The mask '%s' would have %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT
        " pixels; a side must have 1 to %d. Choose another scale.",
        path, info->width, info->height, MAX_SIDE);
    return FALSE;
  }
  if (info->n_colors < 1 || info->n_colors > UMEDPT_MASK_BLANK ||
      !info->colors) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "The mask '%s' would have %u classes; it can have 1 to %d, since a "
        "pixel is one byte and %d means that nothing was decided.",
        path, info->n_colors, UMEDPT_MASK_BLANK, UMEDPT_MASK_BLANK);
    return FALSE;
  }
  if (isfinite (info->mpp) && info->mpp >= 0)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "The mask '%s' cannot have %g micrometres per pixel. Give a positive "
      "number, or 0 if it is not known.",
      path, info->mpp);
  return FALSE;
}

static const char *
keep_string (UmedptMaskWriter *self, const char *string)
{
  return string ? g_string_chunk_insert_const (self->strings, string) : NULL;
}

static void
copy_info (UmedptMaskWriter *self, const UmedptMaskInfo *info)
{
  self->strings = g_string_chunk_new (256);
  self->info = *info;
  self->labels = g_strdupv ((char **) info->labels);
  self->info.labels = (const char *const *) self->labels;
  self->colors =
      g_memdup2 (info->colors, info->n_colors * sizeof *info->colors);
  self->info.colors = self->colors;
  self->info.slide = keep_string (self, info->slide);
  self->info.model_hash = keep_string (self, info->model_hash);
  self->info.config_hash = keep_string (self, info->config_hash);
}

/**
 * umedpt_mask_writer_new: (skip)
 * @path: the file to make: .tif or .tiff; or .ome.tif or .ome.tiff for
 *   OME-TIFF
 * @info: what is known about the mask; copied
 * @overwrite: whether an existing file may be replaced
 * @error: return location for a #GError
 *
 * Begins a mask. Until it is finished, what does not fit into memory (64 MiB
 * of tiles) lies in an unnamed file in the folder of @path.
 *
 * Returns: (transfer full): the writer, or %NULL with @error set
 *   (%UMEDPT_ERROR_SETTINGS for the suffix, the number of classes and the
 *   scale, %UMEDPT_ERROR_SHAPE, %UMEDPT_ERROR_EXISTS, %UMEDPT_ERROR_NOT_FOUND,
 *   %UMEDPT_ERROR_IO, %UMEDPT_ERROR_NO_SPACE)
 *
 * Since: 0.1
 */
UmedptMaskWriter *
umedpt_mask_writer_new (const char *path, const UmedptMaskInfo *info,
    gboolean overwrite, GError **error)
{
  g_autoptr (UmedptMaskWriter) self = NULL;
  gboolean ome;

  g_return_val_if_fail (path != NULL, NULL);
  g_return_val_if_fail (info != NULL, NULL);

  if (!choose_format (path, &ome, error) || !check_info (path, info, error))
    return NULL;
  self = g_new0 (UmedptMaskWriter, 1);
  self->path = g_strdup (path);
  self->ome = ome;
  copy_info (self, info);
  self->file = umedpt_atomic_file_new (path, overwrite, error);
  if (!self->file)
    return NULL;
  self->store =
      umedpt_mask_store_new (umedpt_atomic_file_get_temporary_path (self->file),
          STORE_BYTES);
  return g_steal_pointer (&self);
}

/**
 * umedpt_mask_writer_free: (skip)
 * @self: (nullable): a writer
 *
 * Unless the writer has finished, nothing is left of the file.
 *
 * Since: 0.1
 */
void
umedpt_mask_writer_free (UmedptMaskWriter *self)
{
  if (!self)
    return;
  umedpt_mask_store_free (self->store);
  umedpt_atomic_file_free (self->file);
  g_clear_pointer (&self->strings, g_string_chunk_free);
  g_strfreev (self->labels);
  g_free (self->colors);
  g_free (self->path);
  g_free (self);
}

static gboolean
check_usable (UmedptMaskWriter *self, GError **error)
{
  if (!self->failed && !self->finished)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_IO,
      self->finished ? "The mask '%s' is finished; nothing can be added to it."
                     : "Writing the mask '%s' failed before; nothing is "
                       "written to it any more.",
      self->path);
  return FALSE;
}

/**
 * umedpt_mask_writer_add: (skip)
 * @self: a writer
 * @x: left edge of the part, mask pixels
 * @y: upper edge
 * @width: of the part
 * @height: of the part
 * @mask: u8 `[height, width]`: a class, or 255 where nothing was decided
 * @stride: bytes from one row of @mask to the next
 * @error: return location for a #GError
 *
 * Puts a part into the mask, over what is there. What lies outside is cut off.
 * Parts may come in any order; row by row is fastest.
 *
 * Returns: %FALSE with @error set on failure (%UMEDPT_ERROR_NO_SPACE,
 *   %UMEDPT_ERROR_IO); then the writer can only be freed
 *
 * Since: 0.1
 */
gboolean
umedpt_mask_writer_add (UmedptMaskWriter *self, gint64 x, gint64 y, gint width,
    gint height, const guint8 *mask, gsize stride, GError **error)
{
  gint64 x1, y1, x2, y2;

  g_return_val_if_fail (self != NULL && mask != NULL, FALSE);
  g_return_val_if_fail (width > 0 && height > 0 && stride >= (gsize) width,
      FALSE);

  if (!check_usable (self, error))
    return FALSE;
  if (x >= self->info.width || y >= self->info.height || x <= -(gint64) width ||
      y <= -(gint64) height)
    return TRUE;
  x1 = MAX (x, 0);
  y1 = MAX (y, 0);
  x2 = MIN (x + width, self->info.width);
  y2 = MIN (y + height, self->info.height);
  for (gint64 j = y1 / TILE * TILE; j < y2; j += TILE)
    for (gint64 i = x1 / TILE * TILE; i < x2; i += TILE) {
      UmedptMaskPlace place = { 0, i / TILE, j / TILE };
      gint64 left = MAX (i, x1), top = MAX (j, y1);
      UmedptMaskRect rect = { (gint) (left - i), (gint) (top - j),
        (gint) (MIN (i + TILE, x2) - left), (gint) (MIN (j + TILE, y2) - top) };
      const guint8 *from = mask + (gsize) (top - y) * stride + (left - x);

      if (!umedpt_mask_store_write (self->store, &place, &rect, from, stride,
              error)) {
        self->failed = TRUE;
        return FALSE;
      }
    }
  return TRUE;
}

/* The rows y … y + n of one row of tiles. @tile: to work in. */
static gboolean
read_band (UmedptMaskWriter *self, gint64 y, gint n, guint8 *band, guint8 *tile,
    GError **error)
{
  const gsize width = (gsize) self->info.width;

  memset (band, UMEDPT_MASK_BLANK, (gsize) n * width);
  for (gsize x = 0; x < width; x += TILE) {
    UmedptMaskPlace place = { 0, (gint64) (x / TILE), y / TILE };
    gboolean blank;

    if (!umedpt_mask_store_read (self->store, &place, tile, &blank, error)) {
      self->failed = TRUE;
      return FALSE;
    }
    for (gint j = 0; !blank && j < n; j++)
      memcpy (band + (gsize) j * width + x,
          tile + (gsize) (y % TILE + j) * TILE, MIN (TILE, width - x));
  }
  return TRUE;
}

/**
 * umedpt_mask_writer_foreach_row: (skip)
 * @self: a writer that has not finished
 * @func: (scope call): is given each row, u8 `[width]`, from the top; %FALSE
 *   with its error set ends the work
 * @data: for @func
 * @error: return location for a #GError
 *
 * Reads what has been added so far.
 *
 * Returns: %FALSE with @error set if a row could not be read (%UMEDPT_ERROR_IO)
 *   or @func failed
 *
 * Since: 0.1
 */
gboolean
umedpt_mask_writer_foreach_row (UmedptMaskWriter *self, UmedptMaskRowFunc func,
    gpointer data, GError **error)
{
  g_autofree guint8 *band = NULL, *tile = NULL;
  gint64 width, height;
  gint rows;

  g_return_val_if_fail (self != NULL && func != NULL, FALSE);

  if (!check_usable (self, error))
    return FALSE;
  width = self->info.width;
  height = self->info.height;
  rows = (gint) CLAMP (BAND_BYTES / width, 1, TILE);
  band = g_malloc ((gsize) rows * (gsize) width);
  tile = g_malloc (UMEDPT_MASK_TILE_BYTES);
  for (gint64 y = 0; y < height;) {
    /* not over the end of a row of tiles */
    gint n = (gint) MIN (MIN (rows, TILE - y % TILE), height - y);

    if (!read_band (self, y, n, band, tile, error))
      return FALSE;
    for (gint j = 0; j < n; j++)
      if (!func (band + (gsize) j * (gsize) width, data, error))
        return FALSE;
    y += n;
  }
  return TRUE;
}

/**
 * umedpt_mask_writer_finish: (skip)
 * @self: a writer
 * @error: return location for a #GError
 *
 * Makes the smaller levels and the file, and gives it its name.
 *
 * Returns: %FALSE with @error set on failure (%UMEDPT_ERROR_NO_SPACE,
 *   %UMEDPT_ERROR_IO, %UMEDPT_ERROR_EXISTS); then there is no file
 *
 * Since: 0.1
 */
gboolean
umedpt_mask_writer_finish (UmedptMaskWriter *self, GError **error)
{
  g_return_val_if_fail (self != NULL, FALSE);

  if (!check_usable (self, error))
    return FALSE;
  self->failed = !umedpt_mask_write_tiff (
                     umedpt_atomic_file_get_temporary_path (self->file),
                     &self->info, self->ome, self->store, error) ||
      !umedpt_atomic_file_commit (self->file, error);
  self->finished = !self->failed;
  /* what they hold of the disk is free now */
  g_clear_pointer (&self->store, umedpt_mask_store_free);
  g_clear_pointer (&self->file, umedpt_atomic_file_free);
  return self->finished;
}
