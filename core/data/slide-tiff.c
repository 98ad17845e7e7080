/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * TIFF files that OpenSlide does not take, by libtiff (4.5 or later, for error
 * handlers per handle: nothing reaches standard error). libtiff's RGBA
 * interface decodes every photometric type; it runs on one tile, or on a band
 * of strips, at a time, and a small cache keeps what was decoded last, because
 * a row of our tiles needs the same strips again and again. A TIFF handle
 * belongs to one thread and one directory; idle ones wait in a list. The
 * orientation tag is ignored, as in all slide readers.
 */
#include "data/slide-private.h"

#include <math.h>
#include <string.h>

#include <tiffio.h>

#include "base/error.h"

#if TIFFLIB_VERSION < 20221213
#error "libtiff 4.5.0 or later is needed"
#endif

#define MAX_DIRECTORIES 256
/* What libtiff may allocate at once; one strip or tile must fit. */
#define MAX_ALLOC (512 * 1024 * 1024)
#define MAX_BLOCK_PIXELS (64 * 1024 * 1024)
#define BAND_PIXELS (1024 * 1024)
#define CACHE_PIXELS (8 * 1024 * 1024)
#define MAX_CACHE_PIXELS (64 * 1024 * 1024)
/* Sizes of a pyramid's levels are rounded; more than this is another image. */
#define ASPECT_SLACK 0.02

typedef struct
{
  guint64 offset; /* of the directory in the file */
  gint64 width, height;
  gint64 block_width, block_height; /* decoded at once */
  gboolean tiled;
} Page;

typedef struct
{
  TIFF *tiff;
  guint page;
  gboolean decoding; /* then a warning of the JPEG codec means damage */
  gboolean damaged;
  char message[256];
} TiffHandle;

typedef struct
{
  guint64 key; /* page << 48 | block */
  grefcount ref_count; /* under the reader's lock */
  gint width, height;
  guint32 *argb;
} Block;

typedef struct
{
  UmedptSlideReader parent;
  GArray *pages;
  GMutex lock; /* guards all below */
  GSList *idle;
  GQueue recent; /* of Block, the last used first */
  gint64 cached; /* pixels */
  gint64 max_cached;
} TiffReader;

static int
on_error (TIFF *tiff, void *data, const char *module, const char *format,
    va_list args)
{
  TiffHandle *handle = data;
  const char *end;

  if (handle->message[0] != '\0') /* the first is the cause */
    return 1;
  g_vsnprintf (handle->message, sizeof handle->message, format, args);
  if (!g_utf8_validate (handle->message, -1, &end))
    handle->message[end - handle->message] = '\0';
  return 1;
}

/* The JPEG codec only warns where the data end early or make no sense. */
static int
on_warning (TIFF *tiff, void *data, const char *module, const char *format,
    va_list args)
{
  TiffHandle *handle = data;

  char text[256];

  if (!handle->decoding || g_strcmp0 (module, "JPEGLib") != 0)
    return 1;
  g_vsnprintf (text, sizeof text, format, args);
  if (strstr (text, "extraneous bytes") == NULL) { /* those are harmless */
    handle->damaged = TRUE;
    g_strlcpy (handle->message, text, sizeof handle->message);
  }
  return 1;
}

static void
handle_free (gpointer data)
{
  TiffHandle *handle = data;

  if (handle->tiff != NULL)
    TIFFClose (handle->tiff);
  g_free (handle);
}

static TiffHandle *
handle_open (const char *path, GError **error)
{
  TiffHandle *handle = g_new0 (TiffHandle, 1);
  TIFFOpenOptions *options = TIFFOpenOptionsAlloc ();

  if (options != NULL) {
    TIFFOpenOptionsSetMaxSingleMemAlloc (options, MAX_ALLOC);
    TIFFOpenOptionsSetErrorHandlerExtR (options, on_error, handle);
    TIFFOpenOptionsSetWarningHandlerExtR (options, on_warning, handle);
    handle->tiff = TIFFOpenExt (path, "rm", options);
    TIFFOpenOptionsFree (options);
  }
  if (handle->tiff == NULL) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT,
        "Cannot open the TIFF file “%s”: %s. It is truncated or damaged.", path,
        handle->message);
    g_clear_pointer (&handle, handle_free);
  }
  return handle;
}

static TiffHandle *
take_handle (TiffReader *self, guint page, GError **error)
{
  TiffHandle *handle = NULL;

  g_mutex_lock (&self->lock);
  for (GSList *i = self->idle; i != NULL; i = i->next)
    if (((TiffHandle *) i->data)->page == page) {
      handle = i->data;
      self->idle = g_slist_delete_link (self->idle, i);
      break;
    }
  g_mutex_unlock (&self->lock);
  if (handle != NULL)
    return handle;
  handle = handle_open (self->parent.path, error);
  if (handle == NULL)
    return NULL;
  handle->page = page;
  if (!TIFFSetSubDirectory (handle->tiff,
          g_array_index (self->pages, Page, page).offset)) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT,
        "Cannot read level %u of “%s”: %s.", page, self->parent.path,
        handle->message);
    g_clear_pointer (&handle, handle_free);
  }
  return handle;
}

static void
give_handle (TiffReader *self, TiffHandle *handle)
{
  g_mutex_lock (&self->lock);
  self->idle = g_slist_prepend (self->idle, handle);
  g_mutex_unlock (&self->lock);
}

/* Under the lock. */
static void
block_unref (Block *block)
{
  if (g_ref_count_dec (&block->ref_count)) {
    g_free (block->argb);
    g_free (block);
  }
}

/* ABGR words of libtiff to ARGB. */
static void
swap_channels (guint32 *p, gsize n)
{
  for (gsize i = 0; i < n; i++)
    p[i] = (p[i] & 0xff00ff00u) | (p[i] & 0xff) << 16 | (p[i] >> 16 & 0xff);
}

/* Decodes w x h pixels at (x, y) of the handle's directory. */
static gboolean
decode (TiffHandle *handle, gint64 x, gint64 y, gint w, gint h, guint32 *argb)
{
  TIFFRGBAImage image;
  gboolean ok;

  handle->message[0] = '\0';
  handle->damaged = FALSE;
  TIFFSetField (handle->tiff, TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT);
  {
    char why[1024] = "";

    if (!TIFFRGBAImageBegin (&image, handle->tiff, 1, why)) {
      if (handle->message[0] == '\0')
        g_strlcpy (handle->message, why, sizeof handle->message);
      return FALSE;
    }
  }
  image.req_orientation = ORIENTATION_TOPLEFT;
  image.col_offset = (int) x;
  image.row_offset = (int) y;
  handle->decoding = TRUE;
  ok = TIFFRGBAImageGet (&image, argb, (guint32) w, (guint32) h);
  handle->decoding = FALSE;
  TIFFRGBAImageEnd (&image);
  if (!ok || handle->damaged)
    return FALSE;
  swap_channels (argb, (gsize) w * h);
  return TRUE;
}

static Block *
decode_block (TiffReader *self, guint page_index, gint64 bx, gint64 by,
    guint64 key, GError **error)
{
  const Page *page = &g_array_index (self->pages, Page, page_index);
  gint64 x = bx * page->block_width, y = by * page->block_height;
  gint w = (gint) MIN (page->block_width, page->width - x);
  gint h = (gint) MIN (page->block_height, page->height - y);
  g_autofree guint32 *argb = g_try_new (guint32, (gsize) w * h);
  TiffHandle *handle;
  Block *block;

  if (argb == NULL) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY,
        "No memory for %d x %d pixels of “%s”.", w, h, self->parent.path);
    return NULL;
  }
  handle = take_handle (self, page_index, error);
  if (handle == NULL)
    return NULL;
  if (!decode (handle, x, y, w, h, argb)) {
    g_set_error (error, UMEDPT_ERROR,
        handle->damaged ? UMEDPT_ERROR_DATA : UMEDPT_ERROR_FORMAT,
        "Cannot read %d x %d pixels of level %u at (%" G_GINT64_FORMAT
        ", %" G_GINT64_FORMAT ") of “%s”: %s. The file is damaged there.",
        w, h, page_index, x, y, self->parent.path,
        handle->message[0] != '\0' ? handle->message : "they do not decode");
    handle_free (handle);
    return NULL;
  }
  give_handle (self, handle);
  block = g_new0 (Block, 1);
  g_ref_count_init (&block->ref_count);
  block->key = key;
  block->width = w;
  block->height = h;
  block->argb = g_steal_pointer (&argb);
  return block;
}

/* Under the lock: the cached block, now the most recent, or NULL. */
static Block *
look_up (TiffReader *self, guint64 key)
{
  for (GList *i = self->recent.head; i != NULL; i = i->next) {
    Block *block = i->data;

    if (block->key == key) {
      g_queue_unlink (&self->recent, i);
      g_queue_push_head_link (&self->recent, i);
      g_ref_count_inc (&block->ref_count);
      return block;
    }
  }
  return NULL;
}

static Block *
get_block (TiffReader *self, guint page, gint64 bx, gint64 by, gint64 blocks_x,
    GError **error)
{
  guint64 key = (guint64) page << 48 | (guint64) (by * blocks_x + bx);
  Block *block;

  g_mutex_lock (&self->lock);
  block = look_up (self, key);
  g_mutex_unlock (&self->lock);
  if (block != NULL)
    return block;
  block = decode_block (self, page, bx, by, key, error);
  if (block == NULL)
    return NULL;

  g_mutex_lock (&self->lock);
  g_queue_push_head (&self->recent, block);
  g_ref_count_inc (&block->ref_count);
  self->cached += (gint64) block->width * block->height;
  while (self->cached > self->max_cached && self->recent.length > 1) {
    Block *old = g_queue_pop_tail (&self->recent);

    self->cached -= (gint64) old->width * old->height;
    block_unref (old);
  }
  g_mutex_unlock (&self->lock);
  return block;
}

/* Copies what block (bx, by) and the request have in common. */
static void
copy_block (const Block *block, gint64 left, gint64 top, gint64 x0, gint64 y0,
    gint width, gint height, guint32 *argb)
{
  gint64 from_x = MAX (left, x0), to_x = MIN (left + block->width, x0 + width);
  gint64 from_y = MAX (top, y0), to_y = MIN (top + block->height, y0 + height);

  for (gint64 y = from_y; y < to_y && from_x < to_x; y++)
    memcpy (argb + (gsize) (y - y0) * width + (from_x - x0),
        block->argb + (gsize) (y - top) * block->width + (from_x - left),
        (gsize) (to_x - from_x) * sizeof (guint32));
}

static gboolean
tiff_read_level (UmedptSlideReader *reader, guint level, double *x, double *y,
    gint width, gint height, guint32 *argb, GError **error)
{
  TiffReader *self = (TiffReader *) reader;
  const Page *page = &g_array_index (self->pages, Page, level);
  gint64 x0 = (gint64) floor (*x), y0 = (gint64) floor (*y);
  gint64 blocks_x = (page->width + page->block_width - 1) / page->block_width;
  gint64 end_x = MIN (x0 + width, page->width);
  gint64 end_y = MIN (y0 + height, page->height);

  *x = (double) x0;
  *y = (double) y0;
  memset (argb, 0, (gsize) width * height * sizeof (guint32));
  for (gint64 by = MAX (y0, 0) / page->block_height;
       by * page->block_height < end_y; by++)
    for (gint64 bx = MAX (x0, 0) / page->block_width;
         bx * page->block_width < end_x; bx++) {
      Block *block = get_block (self, level, bx, by, blocks_x, error);

      if (block == NULL)
        return FALSE;
      copy_block (block, bx * page->block_width, by * page->block_height, x0,
          y0, width, height, argb);
      g_mutex_lock (&self->lock);
      block_unref (block);
      g_mutex_unlock (&self->lock);
    }
  return TRUE;
}

static void
tiff_close (UmedptSlideReader *reader)
{
  TiffReader *self = (TiffReader *) reader;
  Block *block;

  while ((block = g_queue_pop_head (&self->recent)) != NULL)
    block_unref (block);
  g_slist_free_full (self->idle, handle_free);
  g_array_unref (self->pages);
  g_mutex_clear (&self->lock);
  umedpt_slide_reader_clear (reader);
  g_free (self);
}

static const UmedptSlideReaderClass tiff_reader_class = {
  .subpixel = FALSE,
  .read_level = tiff_read_level,
  .close = tiff_close,
};

/* Reads the current directory's geometry; FALSE with @why if it cannot be
 * used. */
static gboolean
read_page (TIFF *tiff, Page *page, char why[1024])
{
  guint32 w = 0, h = 0, bw = 0, bh = 0;
  guint16 compression = COMPRESSION_NONE;

  g_strlcpy (why, "it has no size", 1024);
  if (!TIFFGetField (tiff, TIFFTAG_IMAGEWIDTH, &w) ||
      !TIFFGetField (tiff, TIFFTAG_IMAGELENGTH, &h) || w < 1 || h < 1 ||
      w > G_MAXINT32 || h > G_MAXINT32)
    return FALSE;
  TIFFGetFieldDefaulted (tiff, TIFFTAG_COMPRESSION, &compression);
  if (!TIFFIsCODECConfigured (compression)) {
    g_snprintf (why, 1024, "libtiff has no decoder for its compression %u",
        compression);
    return FALSE;
  }
  if (!TIFFRGBAImageOK (tiff, why))
    return FALSE;
  if (TIFFIsTiled (tiff)) {
    TIFFGetField (tiff, TIFFTAG_TILEWIDTH, &bw);
    TIFFGetField (tiff, TIFFTAG_TILELENGTH, &bh);
  } else {
    TIFFGetFieldDefaulted (tiff, TIFFTAG_ROWSPERSTRIP, &bh);
    bw = w;
    bh = CLAMP (bh, 1, h);
    bh *= MAX (1, BAND_PIXELS / ((guint64) bw * bh));
    bh = MIN (bh, h);
  }
  if (bw < 1 || bh < 1 || (guint64) bw * bh > MAX_BLOCK_PIXELS) {
    g_snprintf (why, 1024,
        "it is stored in pieces of %u x %u pixels, which cannot be decoded in "
        "parts; convert it to a tiled TIFF (vips tiffsave --tile --pyramid)",
        bw, bh);
    return FALSE;
  }
  page->offset = TIFFCurrentDirOffset (tiff);
  page->width = w;
  page->height = h;
  page->block_width = bw;
  page->block_height = bh;
  page->tiled = TIFFIsTiled (tiff) != 0;
  return TRUE;
}

/* Whether @page is the same picture as the last level, only smaller. Between
 * the tiled levels of an Aperio slide stands a thumbnail in strips. */
static gboolean
is_next_level (TiffReader *self, const Page *page)
{
  const Page *first = &g_array_index (self->pages, Page, 0);
  const Page *last = &g_array_index (self->pages, Page, self->pages->len - 1);
  double rx = (double) first->width / (double) page->width;
  double ry = (double) first->height / (double) page->height;

  if (first->tiled && !page->tiled)
    return FALSE;
  return page->width < last->width && page->height < last->height &&
      fabs (rx / ry - 1.0) <=
      ASPECT_SLACK + 1.0 / MIN (page->width, page->height);
}

/* Levels are the sub-directories of the first page, or pages after it. */
static void
find_levels (TiffReader *self, TIFF *tiff)
{
  g_autofree guint64 *offsets = NULL;
  guint16 n = 0;
  toff_t *subs = NULL;
  char why[1024];
  Page page;

  if (TIFFGetField (tiff, TIFFTAG_SUBIFD, &n, &subs) && n > 0) {
    n = MIN (n, MAX_DIRECTORIES);
    offsets = g_memdup2 (subs, n * sizeof *subs);
  }
  for (guint i = 0; i < n; i++)
    if (TIFFSetSubDirectory (tiff, offsets[i]) &&
        read_page (tiff, &page, why) && is_next_level (self, &page))
      g_array_append_val (self->pages, page);
  if (self->pages->len > 1 || !TIFFSetDirectory (tiff, 0))
    return;
  for (guint i = 0; i < MAX_DIRECTORIES && TIFFReadDirectory (tiff); i++)
    if (read_page (tiff, &page, why) && is_next_level (self, &page))
      g_array_append_val (self->pages, page);
}

static void
set_number (UmedptSlideReader *reader, const char *name, double value)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];

  umedpt_slide_reader_set (reader, name,
      g_ascii_dtostr (text, sizeof text, value));
}

/* The properties under the names that OpenSlide gives them. */
static void
read_properties (UmedptSlideReader *reader, TIFF *tiff)
{
  static const char *const units[] = { "unknown", "none", "inch",
    "centimeter" };
  guint16 unit = RESUNIT_INCH;
  float value;
  char *text;

  if (TIFFGetField (tiff, TIFFTAG_XRESOLUTION, &value))
    set_number (reader, "tiff.XResolution", value);
  if (TIFFGetField (tiff, TIFFTAG_YRESOLUTION, &value))
    set_number (reader, "tiff.YResolution", value);
  TIFFGetFieldDefaulted (tiff, TIFFTAG_RESOLUTIONUNIT, &unit);
  umedpt_slide_reader_set (reader, "tiff.ResolutionUnit",
      units[unit < G_N_ELEMENTS (units) ? unit : 0]);
  if (TIFFGetField (tiff, TIFFTAG_IMAGEDESCRIPTION, &text) &&
      g_utf8_validate (text, -1, NULL))
    umedpt_slide_reader_set (reader, "tiff.ImageDescription", text);
}

UmedptSlideReader *
umedpt_slide_reader_open_tiff (const char *path, GError **error)
{
  TiffHandle *handle = handle_open (path, error);
  TiffReader *self;
  char why[1024];
  Page page;

  if (handle == NULL)
    return NULL;
  if (!read_page (handle->tiff, &page, why)) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_UNSUPPORTED,
        "The TIFF file “%s” cannot be used as an image: %s.", path, why);
    handle_free (handle);
    return NULL;
  }
  self = g_new0 (TiffReader, 1);
  umedpt_slide_reader_init (&self->parent, &tiff_reader_class, path, "tiff");
  g_mutex_init (&self->lock);
  g_queue_init (&self->recent);
  self->pages = g_array_new (FALSE, FALSE, sizeof (Page));
  g_array_append_val (self->pages, page);
  read_properties (&self->parent, handle->tiff);
  /* Strips: two rows of tiles of 256 pixels, so that neighbours find theirs. */
  self->max_cached = CACHE_PIXELS;
  if (page.block_width == page.width)
    self->max_cached = CLAMP (page.width * 512, CACHE_PIXELS, MAX_CACHE_PIXELS);
  find_levels (self, handle->tiff);
  handle_free (handle);
  for (guint i = 0; i < self->pages->len; i++) {
    const Page *p = &g_array_index (self->pages, Page, i);

    umedpt_slide_reader_add_level (&self->parent, p->width, p->height);
  }
  return &self->parent;
}
