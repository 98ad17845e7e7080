/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Slides by OpenSlide 3.4 and 4. All threads share one handle, because it is
 * thread-safe, decodes in parallel and holds a tile cache of 32 MiB that
 * neighbouring tiles profit from. But a handle that met one damaged tile keeps
 * that error for ever and returns cleared pixels for everything after it. So
 * the error is looked at after every read; a handle in error is retired, and
 * the read is tried once more on a fresh handle that nobody else uses (else
 * another thread's damaged tile could spoil the retry). A fresh handle that
 * proved good becomes the shared one.
 *
 * OpenSlide composes every region with cairo, which costs three times what
 * decoding costs. In the two formats where a level is nothing but a tiled TIFF
 * directory, pixels therefore come from slide-tiff.c, which yields the same
 * bytes; OpenSlide still says what the slide is, and reads whatever that way
 * fails: levels in JPEG 2000, tiles that are absent and taken from another
 * level, and corners between two pixels.
 */
#include "data/slide-private.h"

#include <math.h>

#include <openslide.h>

#include "base/debug.h"
#include "base/error.h"

typedef struct
{
  gatomicrefcount ref_count;
  openslide_t *osr;
} Handle;

typedef struct
{
  UmedptSlideReader parent;
  GMutex lock; /* guards shared */
  Handle *shared; /* NULL: to be opened by the next reader */
  UmedptSlideReader *tiff; /* or NULL */
  GArray *pages; /* gint: level -> level of tiff, -1 = none */
} OpenslideReader;

static void
handle_unref (Handle *handle)
{
  if (g_atomic_ref_count_dec (&handle->ref_count)) {
    openslide_close (handle->osr);
    g_free (handle);
  }
}

static Handle *
handle_open (const char *path, const char *vendor, GError **error)
{
  openslide_t *osr = openslide_open (path);
  const char *message = osr != NULL ? openslide_get_error (osr) : NULL;
  Handle *handle;

  if (osr == NULL || message != NULL) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT,
        "Cannot open the slide “%s” (format: %s): %s.", path, vendor,
        message != NULL
            ? message
            : "OpenSlide recognises the format but not the content; the file "
              "is truncated or of an unknown variant");
    g_clear_pointer (&osr, openslide_close);
    return NULL;
  }
  handle = g_new0 (Handle, 1);
  g_atomic_ref_count_init (&handle->ref_count);
  handle->osr = osr;
  return handle;
}

/* The shared handle, opened anew if the last one was retired. */
static Handle *
take_shared (OpenslideReader *self, GError **error)
{
  Handle *handle;

  g_mutex_lock (&self->lock);
  if (self->shared == NULL)
    self->shared = handle_open (self->parent.path, self->parent.vendor, error);
  handle = self->shared;
  if (handle != NULL)
    g_atomic_ref_count_inc (&handle->ref_count);
  g_mutex_unlock (&self->lock);
  return handle;
}

/* Gives back a handle; a failed one is no longer offered to anybody. */
static void
retire (OpenslideReader *self, Handle *handle)
{
  gboolean was_shared;

  g_mutex_lock (&self->lock);
  was_shared = self->shared == handle;
  if (was_shared)
    self->shared = NULL;
  g_mutex_unlock (&self->lock);
  if (was_shared)
    handle_unref (handle);
  handle_unref (handle);
}

/* Offers a good private handle to all, if there is none at the moment. */
static void
offer (OpenslideReader *self, Handle *handle)
{
  g_mutex_lock (&self->lock);
  if (self->shared == NULL)
    self->shared = g_steal_pointer (&handle);
  g_mutex_unlock (&self->lock);
  if (handle != NULL)
    handle_unref (handle);
}

static gboolean
read_openslide (OpenslideReader *self, guint level, double *x, double *y,
    gint width, gint height, guint32 *argb, GError **error)
{
  UmedptSlideReader *reader = &self->parent;
  double downsample =
      g_array_index (reader->levels, UmedptSlideLevel, level).downsample;
  gint64 x0 = (gint64) floor (*x * downsample + 0.5);
  gint64 y0 = (gint64) floor (*y * downsample + 0.5);
  Handle *handle = take_shared (self, error);
  const char *message;

  if (handle == NULL)
    return FALSE;
  *x = (double) x0 / downsample;
  *y = (double) y0 / downsample;
  openslide_read_region (handle->osr, argb, x0, y0, (gint32) level, width,
      height);
  if (openslide_get_error (handle->osr) == NULL) {
    handle_unref (handle);
    return TRUE;
  }
  if (umedpt_debug_enabled (UMEDPT_DEBUG_SLIDE))
    g_debug ("%s: reopened after “%s”", reader->path,
        openslide_get_error (handle->osr));
  retire (self, handle);

  handle = handle_open (reader->path, reader->vendor, error);
  if (handle == NULL)
    return FALSE;
  openslide_read_region (handle->osr, argb, x0, y0, (gint32) level, width,
      height);
  message = openslide_get_error (handle->osr);
  if (message == NULL) {
    offer (self, handle);
    return TRUE;
  }
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT,
      "Cannot read %d x %d pixels of level %u at (%" G_GINT64_FORMAT
      ", %" G_GINT64_FORMAT ") of “%s”: %s. The file is damaged there.",
      width, height, level, x0, y0, reader->path, message);
  handle_unref (handle);
  return FALSE;
}

static gboolean
is_whole (double v)
{
  return fabs (v - floor (v + 0.5)) < 1e-6;
}

/* Reads by the shorter way. FALSE without @error: to be read by OpenSlide. */
static gboolean
read_tiff (OpenslideReader *self, guint level, double *x, double *y, gint width,
    gint height, guint32 *argb, GError **error)
{
  gint page = g_array_index (self->pages, gint, level);
  double from_x = floor (*x + 0.5), from_y = floor (*y + 0.5);
  GError *local = NULL;

  if (page < 0 || !is_whole (*x) || !is_whole (*y))
    return FALSE;
  if (self->tiff->klass->read_level (self->tiff, (guint) page, &from_x, &from_y,
          width, height, argb, &local)) {
    *x = from_x;
    *y = from_y;
    return TRUE;
  }
  /* Pixels that are there but wrong: OpenSlide would show them. */
  if (g_error_matches (local, UMEDPT_ERROR, UMEDPT_ERROR_DATA))
    g_propagate_error (error, local);
  else
    g_error_free (local);
  return FALSE;
}

static gboolean
openslide_reader_read_level (UmedptSlideReader *reader, guint level, double *x,
    double *y, gint width, gint height, guint32 *argb, GError **error)
{
  OpenslideReader *self = (OpenslideReader *) reader;
  GError *local = NULL;

  if (read_tiff (self, level, x, y, width, height, argb, &local))
    return TRUE;
  if (local != NULL) {
    g_propagate_error (error, local);
    return FALSE;
  }
  return read_openslide (self, level, x, y, width, height, argb, error);
}
static void
openslide_reader_close (UmedptSlideReader *reader)
{
  OpenslideReader *self = (OpenslideReader *) reader;

  g_clear_pointer (&self->shared, handle_unref);
  if (self->tiff != NULL)
    self->tiff->klass->close (self->tiff);
  g_array_unref (self->pages);
  g_mutex_clear (&self->lock);
  umedpt_slide_reader_clear (reader);
  g_free (self);
}

static const UmedptSlideReaderClass openslide_reader_class = {
  .subpixel = TRUE,
  .read_level = openslide_reader_read_level,
  .close = openslide_reader_close,
};

/* Copies levels and properties, which stay valid without a handle. */
static gboolean
describe (OpenslideReader *self, openslide_t *osr, GError **error)
{
  UmedptSlideReader *reader = &self->parent;
  gint32 n = openslide_get_level_count (osr);

  for (gint32 i = 0; i < n; i++) {
    gint64 w = -1, h = -1;
    UmedptSlideLevel level;

    openslide_get_level_dimensions (osr, i, &w, &h);
    level.width = w;
    level.height = h;
    level.downsample = openslide_get_level_downsample (osr, i);
    if (w < 1 || h < 1 || w > UMEDPT_SLIDE_MAX_SIDE ||
        h > UMEDPT_SLIDE_MAX_SIDE || !(level.downsample >= 1.0)) {
      g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT,
          "Level %d of the slide “%s” claims %" G_GINT64_FORMAT
          " x %" G_GINT64_FORMAT
          " pixels at a downsample of %g, which cannot be right.",
          i, reader->path, w, h, level.downsample);
      return FALSE;
    }
    g_array_append_val (reader->levels, level);
  }
  if (n < 1) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT,
        "The slide “%s” has no level.", reader->path);
    return FALSE;
  }
  for (const char *const *name = openslide_get_property_names (osr);
       name != NULL && *name != NULL; name++)
    umedpt_slide_reader_set (reader, *name,
        openslide_get_property_value (osr, *name));
  return TRUE;
}

/* Finds the TIFF directory of each level, by its size. */
static void
find_pages (OpenslideReader *self)
{
  UmedptSlideReader *reader = &self->parent;
  gboolean plain = g_str_equal (reader->vendor, "aperio") ||
      g_str_equal (reader->vendor, "generic-tiff");

  if (plain)
    self->tiff = umedpt_slide_reader_open_tiff (reader->path, NULL);
  for (guint i = 0; i < reader->levels->len; i++) {
    const UmedptSlideLevel *level =
        &g_array_index (reader->levels, UmedptSlideLevel, i);
    gint page = -1;

    for (guint k = 0; self->tiff != NULL && k < self->tiff->levels->len; k++) {
      const UmedptSlideLevel *other =
          &g_array_index (self->tiff->levels, UmedptSlideLevel, k);

      if (other->width == level->width && other->height == level->height)
        page = (gint) k;
    }
    g_array_append_val (self->pages, page);
  }
}

UmedptSlideReader *
umedpt_slide_reader_open_openslide (const char *path, const char *vendor,
    GError **error)
{
  Handle *handle = handle_open (path, vendor, error);
  OpenslideReader *self;

  if (handle == NULL)
    return NULL;
  self = g_new0 (OpenslideReader, 1);
  umedpt_slide_reader_init (&self->parent, &openslide_reader_class, path,
      vendor);
  g_mutex_init (&self->lock);
  self->shared = handle;
  self->pages = g_array_new (FALSE, FALSE, sizeof (gint));
  if (!describe (self, handle->osr, error)) {
    openslide_reader_close (&self->parent);
    return NULL;
  }
  find_pages (self);
  return &self->parent;
}
