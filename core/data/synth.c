/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Writing of a synthetic slide, tile row by tile row, in memory that grows with
 * the width alone: each row of tiles is painted and compressed by several
 * threads, and averaged 2 x 2 into the rows of the next level. TIFF wants one
 * level after the other, so the compressed tiles of the upper levels wait in an
 * unnamed file. The levels are chained directories with NewSubfileType 1 and
 * their own resolution, which OpenSlide 3.4 and 4, tifffile and QuPath all see
 * (sub-directories they do not). Format: TIFF 6.0 and its Technical Note 2 for
 * JPEG, where every tile may carry its own tables; BigTIFF above 4 GB.
 */
#define _GNU_SOURCE
#include "data/synth.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>
#include <jpeglib.h>
#include <tiffio.h>
#include <zlib.h>

#include "base/cpu.h"
#include "base/error.h"
#include "data/synth-scene.h"

#define TILE UMEDPT_SYNTH_TILE
#define TILE_BYTES (TILE * TILE * 3)
#define MAX_LEVELS 16
#define SMALLEST 512 /* no level is added below this longest side */
#define MAX_SIDE (1 << 21)

typedef struct
{
  guint8 *data;
  gulong size;
} Packed;

typedef struct
{
  gint64 width, height;
  gint64 columns;
  guint8 *band; /* level >= 1: TILE rows of columns * TILE pixels */
  gint64 filled; /* rows in the band */
  GArray *sizes; /* level >= 1: guint32, of the tiles in the file */
  FILE *file;
} Level;

typedef struct
{
  const UmedptSynthOptions *options;
  UmedptSynthScene *scene;
  const char *path;
  TIFF *tiff;
  char message[256];
  Packed blank; /* a tile of background, compressed once */
  Level levels[MAX_LEVELS];
  guint n_levels;
  GThreadPool *pool;

  /* The row of tiles at hand. */
  guint level;
  gint64 y;
  Packed *row;
  GMutex lock;
  GCond done;
  gint64 pending;
} Writer;

static int
on_error (TIFF *tiff, void *data, const char *module, const char *format,
    va_list args)
{
  Writer *writer = data;

  if (writer->message[0] == '\0')
    g_vsnprintf (writer->message, sizeof writer->message, format, args);
  return 1;
}

static int
on_warning (TIFF *tiff, void *data, const char *module, const char *format,
    va_list args)
{
  return 1;
}

static void
pack_jpeg (const guint8 *rgb, int quality, Packed *packed)
{
  struct jpeg_error_mgr manager;
  struct jpeg_compress_struct info = { .err = jpeg_std_error (&manager) };

  jpeg_create_compress (&info);
  jpeg_mem_dest (&info, &packed->data, &packed->size);
  info.image_width = info.image_height = TILE;
  info.input_components = 3;
  info.in_color_space = JCS_RGB;
  jpeg_set_defaults (&info);
  jpeg_set_quality (&info, quality, TRUE);
  jpeg_start_compress (&info, TRUE);
  while (info.next_scanline < TILE) {
    JSAMPROW row = (JSAMPROW) rgb + (gsize) info.next_scanline * TILE * 3;

    jpeg_write_scanlines (&info, &row, 1);
  }
  jpeg_finish_compress (&info);
  jpeg_destroy_compress (&info);
}

/* libjpeg allocates by malloc(), so this must as well. */
static void
pack (const guint8 *rgb, int quality, Packed *packed)
{
  if (quality > 0) {
    pack_jpeg (rgb, quality, packed);
    return;
  }
  packed->size = compressBound (TILE_BYTES);
  packed->data = malloc (packed->size); /* like libjpeg; allow: malloc */
  compress2 (packed->data, &packed->size, rgb, TILE_BYTES, 3);
}

static void
fill_background (guint8 *rgb, gsize n)
{
  for (gsize i = 0; i < n; i++)
    memcpy (rgb + 3 * i, umedpt_synth_background, 3);
}

/* Averages a tile 2 x 2 into the band of the next level. */
static void
shrink (const guint8 *rgb, Level *next, gint64 column, gint64 row)
{
  for (gint j = 0; j < TILE / 2; j++) {
    gsize at = (gsize) (row + j) * next->columns * TILE + column * (TILE / 2);
    guint8 *out = next->band + at * 3;
    const guint8 *a = rgb + (gsize) (2 * j) * TILE * 3, *b = a + TILE * 3;

    for (gint i = 0; i < TILE / 2; i++)
      for (gint c = 0; c < 3; c++)
        out[3 * i + c] = (guint8) ((a[6 * i + c] + a[6 * i + 3 + c] +
                                       b[6 * i + c] + b[6 * i + 3 + c] + 2) /
            4);
  }
}

/* What a tile of an upper level shows, from its band. */
static void
cut_from_band (const Level *level, gint64 column, guint8 *rgb)
{
  for (gint j = 0; j < TILE; j++)
    memcpy (rgb + (gsize) j * TILE * 3,
        level->band + ((gsize) j * level->columns + column) * TILE * 3,
        TILE * 3);
}

/* Works on one tile of the row at hand; @data is its column + 1. */
static void
work (gpointer data, gpointer user_data)
{
  Writer *writer = user_data;
  gint64 column = GPOINTER_TO_SIZE (data) - 1;
  Level *level = &writer->levels[writer->level], *next = level + 1;
  g_autofree guint8 *rgb = g_malloc (TILE_BYTES);
  gboolean blank = FALSE;

  if (writer->level > 0)
    cut_from_band (level, column, rgb);
  else if (!umedpt_synth_scene_render (writer->scene, column * TILE, writer->y,
               rgb)) {
    blank = TRUE;
    fill_background (rgb, TILE * TILE);
  }
  if (!blank)
    pack (rgb, writer->options->quality, &writer->row[column]);
  /* The last column of an odd count has no room in the next level. */
  if (writer->level + 1 < writer->n_levels &&
      column * (TILE / 2) + TILE / 2 <= next->columns * TILE)
    shrink (rgb, next, column, next->filled);

  g_mutex_lock (&writer->lock);
  if (--writer->pending == 0)
    g_cond_signal (&writer->done);
  g_mutex_unlock (&writer->lock);
}

static gboolean
write_failed (Writer *writer, GError **error)
{
  int code = errno;

  g_set_error (error, UMEDPT_ERROR,
      code == ENOSPC ? UMEDPT_ERROR_NO_SPACE : UMEDPT_ERROR_IO,
      "Cannot write the slide “%s”: %s.", writer->path,
      writer->message[0] != '\0' ? writer->message : g_strerror (code));
  return FALSE;
}

/* Writes the row's tiles: level 0 into the TIFF, others into their file. */
static gboolean
store_row (Writer *writer, guint k, GError **error)
{
  Level *level = &writer->levels[k];
  gint64 row = writer->y / TILE;
  gboolean ok = TRUE;

  for (gint64 i = 0; i < level->columns; i++) {
    Packed *packed = &writer->row[i];
    const Packed *tile = packed->data != NULL ? packed : &writer->blank;

    errno = 0;
    if (ok && k == 0) {
      ok = TIFFWriteRawTile (writer->tiff, (guint32) (row * level->columns + i),
               tile->data, (tmsize_t) tile->size) >= 0;
    } else if (ok) {
      guint32 size = (guint32) tile->size;

      ok = fwrite (tile->data, 1, tile->size, level->file) == tile->size;
      g_array_append_val (level->sizes, size);
    }
    free (packed->data);
    packed->data = NULL;
  }
  return ok || write_failed (writer, error);
}

/* One row of tiles of level @k, and upwards whatever it completes. */
static gboolean
do_row (Writer *writer, guint k, gint64 y, GError **error)
{
  Level *level = &writer->levels[k], *next = level + 1;

  writer->level = k;
  writer->y = y;
  writer->pending = level->columns;
  for (gint64 i = 0; i < level->columns; i++)
    g_thread_pool_push (writer->pool, GSIZE_TO_POINTER (i + 1), NULL);
  g_mutex_lock (&writer->lock);
  while (writer->pending > 0)
    g_cond_wait (&writer->done, &writer->lock);
  g_mutex_unlock (&writer->lock);
  if (!store_row (writer, k, error))
    return FALSE;
  if (k + 1 == writer->n_levels)
    return TRUE;

  next->filled += TILE / 2;
  if (next->filled == TILE || y + TILE >= level->height) {
    gint64 next_y = y / 2 / TILE * TILE;

    next->filled = 0;
    if (next_y < next->height && !do_row (writer, k + 1, next_y, error))
      return FALSE;
    fill_background (next->band, (gsize) next->columns * TILE * TILE);
  }
  return TRUE;
}

static void
set_fields (Writer *writer, guint k)
{
  const UmedptSynthOptions *o = writer->options;
  const Level *level = &writer->levels[k];
  TIFF *tiff = writer->tiff;
  double mpp =
      o->mpp * (double) writer->levels[0].width / (double) level->width;

  TIFFSetField (tiff, TIFFTAG_SUBFILETYPE, k > 0 ? FILETYPE_REDUCEDIMAGE : 0);
  TIFFSetField (tiff, TIFFTAG_IMAGEWIDTH, (guint32) level->width);
  TIFFSetField (tiff, TIFFTAG_IMAGELENGTH, (guint32) level->height);
  TIFFSetField (tiff, TIFFTAG_TILEWIDTH, TILE);
  TIFFSetField (tiff, TIFFTAG_TILELENGTH, TILE);
  TIFFSetField (tiff, TIFFTAG_BITSPERSAMPLE, 8);
  TIFFSetField (tiff, TIFFTAG_SAMPLESPERPIXEL, 3);
  TIFFSetField (tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
  TIFFSetField (tiff, TIFFTAG_SOFTWARE, "umedpt-synth");
  if (o->quality > 0) {
    TIFFSetField (tiff, TIFFTAG_COMPRESSION, COMPRESSION_JPEG);
    TIFFSetField (tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_YCBCR);
    TIFFSetField (tiff, TIFFTAG_YCBCRSUBSAMPLING, 2, 2);
  } else {
    TIFFSetField (tiff, TIFFTAG_COMPRESSION, COMPRESSION_ADOBE_DEFLATE);
    TIFFSetField (tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_RGB);
  }
  if (o->no_mpp)
    return;
  TIFFSetField (tiff, TIFFTAG_RESOLUTIONUNIT,
      o->absurd_dpi ? RESUNIT_INCH : RESUNIT_CENTIMETER);
  TIFFSetField (tiff, TIFFTAG_XRESOLUTION, o->absurd_dpi ? 72.0 : 1e4 / mpp);
  TIFFSetField (tiff, TIFFTAG_YRESOLUTION, o->absurd_dpi ? 72.0 : 1e4 / mpp);
}

/* Appends an upper level from its file. */
static gboolean
append_level (Writer *writer, guint k, GError **error)
{
  Level *level = &writer->levels[k];
  g_autoptr (GByteArray) buffer = g_byte_array_new ();

  rewind (level->file);
  set_fields (writer, k);
  for (guint i = 0; i < level->sizes->len; i++) {
    guint32 size = g_array_index (level->sizes, guint32, i);

    g_byte_array_set_size (buffer, size);
    errno = 0;
    if (fread (buffer->data, 1, size, level->file) != size ||
        TIFFWriteRawTile (writer->tiff, i, buffer->data, (tmsize_t) size) < 0)
      return write_failed (writer, error);
  }
  return TIFFWriteDirectory (writer->tiff) || write_failed (writer, error);
}

static gboolean
open_levels (Writer *writer, GError **error)
{
  gint64 w = writer->options->width, h = writer->options->height;

  while (writer->n_levels < MAX_LEVELS) {
    Level *level = &writer->levels[writer->n_levels];

    level->width = w;
    level->height = h;
    level->columns = (w + TILE - 1) / TILE;
    if (writer->n_levels++ > 0) {
      gsize pixels = (gsize) level->columns * TILE * TILE;

      level->sizes = g_array_new (FALSE, FALSE, sizeof (guint32));
      level->band = g_malloc (pixels * 3);
      fill_background (level->band, pixels);
      level->file = tmpfile ();
      if (level->file == NULL) {
        g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_IO,
            "Cannot make a temporary file: %s.", g_strerror (errno));
        return FALSE;
      }
    }
    /* OpenSlide 3.4.1 shifts a level that is lower than one tile, by what is
     * missing. */
    if (MAX (w, h) <= SMALLEST || MIN (w, h) / 2 < TILE)
      break;
    w /= 2;
    h /= 2;
  }
  return TRUE;
}

static gboolean
open_tiff (Writer *writer, GError **error)
{
  const UmedptSynthOptions *o = writer->options;
  /* An upper bound of the file's size: a byte per pixel and all levels. */
  double bytes = (double) o->width * (double) o->height *
      (o->quality > 0 ? 1.0 : 3.0) * 1.4;
  TIFFOpenOptions *options = TIFFOpenOptionsAlloc ();

  errno = 0;
  if (options != NULL) {
    TIFFOpenOptionsSetErrorHandlerExtR (options, on_error, writer);
    TIFFOpenOptionsSetWarningHandlerExtR (options, on_warning, writer);
    writer->tiff =
        TIFFOpenExt (writer->path, bytes > 4e9 ? "w8" : "w", options);
    TIFFOpenOptionsFree (options);
  }
  return writer->tiff != NULL || write_failed (writer, error);
}

static gboolean
write_levels (Writer *writer, GError **error)
{
  set_fields (writer, 0);
  for (gint64 y = 0; y < writer->options->height; y += TILE)
    if (!do_row (writer, 0, y, error))
      return FALSE;
  if (!TIFFWriteDirectory (writer->tiff))
    return write_failed (writer, error);
  for (guint k = 1; k < writer->n_levels; k++)
    if (!append_level (writer, k, error))
      return FALSE;
  return TRUE;
}

static void
writer_close (Writer *writer)
{
  if (writer->pool != NULL)
    g_thread_pool_free (writer->pool, FALSE, TRUE);
  if (writer->tiff != NULL)
    TIFFClose (writer->tiff);
  for (guint k = 1; k < writer->n_levels; k++) {
    Level *level = &writer->levels[k];

    g_free (level->band);
    g_clear_pointer (&level->sizes, g_array_unref);
    g_clear_pointer (&level->file, fclose);
  }
  free (writer->blank.data);
  g_free (writer->row);
  g_mutex_clear (&writer->lock);
  g_cond_clear (&writer->done);
}

static gboolean
write_slide (const char *path, const UmedptSynthOptions *options,
    UmedptSynthScene *scene, GError **error)
{
  Writer writer = { options, scene, path };
  g_autofree guint8 *rgb = g_malloc (TILE_BYTES);
  guint n_threads =
      options->n_threads > 0 ? options->n_threads : umedpt_cpu_count ();
  gboolean ok;

  g_mutex_init (&writer.lock);
  g_cond_init (&writer.done);
  fill_background (rgb, TILE * TILE);
  pack (rgb, options->quality, &writer.blank);
  writer.row = g_new0 (Packed, (options->width + TILE - 1) / TILE);
  writer.pool =
      g_thread_pool_new (work, &writer, (gint) n_threads, FALSE, error);
  ok = writer.pool != NULL && open_levels (&writer, error) &&
      open_tiff (&writer, error) && write_levels (&writer, error);
  writer_close (&writer);
  /* Never remove a device or a pipe that somebody named as the output. */
  if (!ok && g_file_test (path, G_FILE_TEST_IS_REGULAR))
    g_unlink (path);
  return ok;
}

static gboolean
check_options (const UmedptSynthOptions *o, GError **error)
{
  if (o->width >= 1 && o->height >= 1 && o->width <= MAX_SIDE &&
      o->height <= MAX_SIDE && o->mpp >= 0.05 && o->mpp <= 2 &&
      o->quality >= 0 && o->quality <= 100 && o->n_nuclei >= -1)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "Cannot make a slide of %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT
      " pixels at %g µm per pixel and JPEG quality %d: sides must be 1 … %d, "
      "the scale 0.05 … 2, the quality 1 … 100 or 0 for lossless.",
      o->width, o->height, o->mpp, o->quality, MAX_SIDE);
  return FALSE;
}

/**
 * umedpt_synth_write:
 * @path: the TIFF file to write; an existing one is replaced
 * @truth_path: (nullable): a JSON file for what the slide shows
 * @options: size, scale, seed
 * @error: return location for an error
 *
 * Writes a synthetic slide. Same options, same bytes, whatever the number of
 * threads.
 *
 * Returns: %FALSE with @error set: %UMEDPT_ERROR_SETTINGS, %UMEDPT_ERROR_IO or
 *   %UMEDPT_ERROR_NO_SPACE; no file is left then
 *
 * Since: 0.1
 */
gboolean
umedpt_synth_write (const char *path, const char *truth_path,
    const UmedptSynthOptions *options, GError **error)
{
  g_autoptr (UmedptSynthScene) scene = NULL;

  g_return_val_if_fail (path != NULL && options != NULL, FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  if (!check_options (options, error))
    return FALSE;
  scene = umedpt_synth_scene_new (options, error);
  if (scene == NULL || !write_slide (path, options, scene, error))
    return FALSE;
  return truth_path == NULL ||
      umedpt_synth_truth_write (scene, options, truth_path, error);
}
