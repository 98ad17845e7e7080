/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The slide object: finds the reader for a file and answers questions about
 * it. OpenSlide comes first, because it knows the vendors' formats; it is
 * asked only for files that it recognises. Then the first bytes decide
 * between TIFF, PNG and JPEG.
 */
#include "data/slide-private.h"

#include <errno.h>
#include <string.h>

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <openslide.h>

#include "base/debug.h"
#include "base/error.h"

struct _UmedptSlide
{
  GObject parent_instance;

  char *path;
  gint64 file_size;
  UmedptSlideReader *reader;
  UmedptSlideScale scale;
};

G_DEFINE_FINAL_TYPE (UmedptSlide, umedpt_slide, G_TYPE_OBJECT)

typedef enum
{
  KIND_UNKNOWN,
  KIND_TIFF,
  KIND_IMAGE,
} FileKind;

static void
umedpt_slide_finalize (GObject *object)
{
  UmedptSlide *self = UMEDPT_SLIDE (object);

  if (self->reader != NULL)
    self->reader->klass->close (self->reader);
  g_free (self->scale.problem);
  g_free (self->path);
  G_OBJECT_CLASS (umedpt_slide_parent_class)->finalize (object);
}

static void
umedpt_slide_class_init (UmedptSlideClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = umedpt_slide_finalize;
}

static void
umedpt_slide_init (UmedptSlide *self)
{
}

void
umedpt_slide_reader_init (UmedptSlideReader *reader,
    const UmedptSlideReaderClass *klass, const char *path, const char *vendor)
{
  reader->klass = klass;
  reader->path = g_strdup (path);
  reader->vendor = g_strdup (vendor);
  reader->levels = g_array_new (FALSE, TRUE, sizeof (UmedptSlideLevel));
  reader->properties =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
}

void
umedpt_slide_reader_clear (UmedptSlideReader *reader)
{
  g_free (reader->path);
  g_free (reader->vendor);
  g_array_unref (reader->levels);
  g_hash_table_unref (reader->properties);
}

void
umedpt_slide_reader_set (UmedptSlideReader *reader, const char *name,
    const char *value)
{
  if (value != NULL)
    g_hash_table_insert (reader->properties, g_strdup (name),
        g_utf8_make_valid (value, -1));
}

void
umedpt_slide_reader_add_level (UmedptSlideReader *reader, gint64 width,
    gint64 height)
{
  UmedptSlideLevel level = { width, height, 1.0 };

  if (reader->levels->len > 0) {
    const UmedptSlideLevel *first =
        &g_array_index (reader->levels, UmedptSlideLevel, 0);

    /* The sizes of levels are rounded, so the axes differ a little; their
     * mean is what OpenSlide uses, and so everyone's coordinates. */
    level.downsample = ((double) first->width / (double) width +
                           (double) first->height / (double) height) /
        2.0;
  }
  g_array_append_val (reader->levels, level);
}

/* Looks at the first bytes; @found describes them for a message. */
static FileKind
sniff (const char *path, char **found, GError **error)
{
  guint8 head[8] = { 0 };
  FILE *file = g_fopen (path, "rb");
  gsize n;
  FileKind kind = KIND_UNKNOWN;

  if (file == NULL) {
    int code = errno;

    g_set_error (error, UMEDPT_ERROR,
        code == ENOENT ? UMEDPT_ERROR_NOT_FOUND : UMEDPT_ERROR_IO,
        "Cannot open the slide “%s”: %s.", path, g_strerror (code));
    return KIND_UNKNOWN;
  }
  n = fread (head, 1, sizeof head, file);
  fclose (file);

  if (n >= 4 &&
      (!memcmp (head, "II*\0", 4) || !memcmp (head, "MM\0*", 4) ||
          !memcmp (head, "II+\0", 4) || !memcmp (head, "MM\0+", 4)))
    kind = KIND_TIFF;
  else if (n >= 8 && !memcmp (head, "\x89PNG\r\n\x1a\n", 8))
    kind = KIND_IMAGE;
  else if (n >= 3 && !memcmp (head, "\xff\xd8\xff", 3))
    kind = KIND_IMAGE;
  else if (n == 0)
    *found = g_strdup ("no bytes that can be read");
  else
    *found = g_strdup_printf ("a file that begins with the bytes "
                              "%02x %02x %02x %02x %02x %02x %02x %02x",
        head[0], head[1], head[2], head[3], head[4], head[5], head[6], head[7]);
  return kind;
}

static UmedptSlideReader *
open_reader (const char *path, GError **error)
{
  g_autofree char *found = NULL;
  const char *vendor;
  GError *local = NULL;
  FileKind kind = sniff (path, &found, &local);

  if (local != NULL) {
    g_propagate_error (error, local);
    return NULL;
  }
  vendor = openslide_detect_vendor (path);
  if (vendor != NULL)
    return umedpt_slide_reader_open_openslide (path, vendor, error);
  if (kind == KIND_TIFF)
    return umedpt_slide_reader_open_tiff (path, error);
  if (kind == KIND_IMAGE)
    return umedpt_slide_reader_open_image (path, error);
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT,
      "“%s” is not a slide that can be read: found %s; supported are the "
      "formats of OpenSlide %s, TIFF, PNG and JPEG.",
      path, found, openslide_get_version ());
  return NULL;
}

/**
 * umedpt_slide_open:
 * @path: a file name
 * @error: return location for an error
 *
 * Opens a whole slide, or any TIFF, PNG or JPEG image, for reading at any
 * scale. Plain images are decoded here; the others as they are read.
 *
 * Returns: (transfer full) (nullable): the slide, or %NULL with @error set:
 *   %UMEDPT_ERROR_NOT_FOUND, %UMEDPT_ERROR_IO, %UMEDPT_ERROR_FORMAT (not an
 *   image, or damaged) or %UMEDPT_ERROR_UNSUPPORTED
 *
 * Since: 0.1
 */
UmedptSlide *
umedpt_slide_open (const char *path, GError **error)
{
  g_autoptr (UmedptSlide) self = NULL;
  GStatBuf info;

  g_return_val_if_fail (path != NULL, NULL);
  g_return_val_if_fail (error == NULL || *error == NULL, NULL);

  if (g_stat (path, &info) == 0 && !S_ISREG (info.st_mode)) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT,
        "“%s” is not a regular file; a slide is named by its file (a MIRAX "
        "slide by the .mrxs file beside its folder).",
        path);
    return NULL;
  }
  self = g_object_new (UMEDPT_TYPE_SLIDE, NULL);
  self->path = g_strdup (path);
  self->reader = open_reader (path, error);
  if (self->reader == NULL)
    return NULL;
  if (g_stat (path, &info) == 0)
    self->file_size = info.st_size;
  umedpt_slide_scale_find (self->reader, &self->scale);
  if (umedpt_debug_enabled (UMEDPT_DEBUG_SLIDE))
    g_debug ("%s: %s, %u levels, %g µm per pixel (%s)", path,
        self->reader->vendor, self->reader->levels->len, self->scale.mpp,
        umedpt_mpp_source_name (self->scale.source));
  return g_steal_pointer (&self);
}

/**
 * umedpt_slide_get_path:
 * @self: a slide
 *
 * Returns: the file name that the slide was opened with
 *
 * Since: 0.1
 */
const char *
umedpt_slide_get_path (UmedptSlide *self)
{
  g_return_val_if_fail (UMEDPT_IS_SLIDE (self), NULL);
  return self->path;
}

/**
 * umedpt_slide_get_vendor:
 * @self: a slide
 *
 * Returns: OpenSlide's name of the format ("aperio", "generic-tiff", …),
 *   "tiff" for what libtiff reads, "image" for PNG and JPEG
 *
 * Since: 0.1
 */
const char *
umedpt_slide_get_vendor (UmedptSlide *self)
{
  g_return_val_if_fail (UMEDPT_IS_SLIDE (self), NULL);
  return self->reader->vendor;
}

/**
 * umedpt_slide_get_n_levels:
 * @self: a slide
 *
 * Returns: the number of levels of the pyramid, at least 1
 *
 * Since: 0.1
 */
guint
umedpt_slide_get_n_levels (UmedptSlide *self)
{
  g_return_val_if_fail (UMEDPT_IS_SLIDE (self), 0);
  return self->reader->levels->len;
}

/**
 * umedpt_slide_get_level:
 * @self: a slide
 * @level: 0 (the finest) to the number of levels - 1
 *
 * The downsample is the mean of the ratios of the widths and of the heights,
 * in double precision, as OpenSlide defines it.
 *
 * Returns: (transfer none): size and downsample of a level
 *
 * Since: 0.1
 */
const UmedptSlideLevel *
umedpt_slide_get_level (UmedptSlide *self, guint level)
{
  g_return_val_if_fail (UMEDPT_IS_SLIDE (self), NULL);
  g_return_val_if_fail (level < self->reader->levels->len, NULL);
  return &g_array_index (self->reader->levels, UmedptSlideLevel, level);
}

/**
 * umedpt_slide_get_mpp:
 * @self: a slide
 * @source: (out) (optional): where the number comes from
 *
 * Returns: micrometres per level-0 pixel; 0 when unknown
 *
 * Since: 0.1
 */
double
umedpt_slide_get_mpp (UmedptSlide *self, UmedptMppSource *source)
{
  g_return_val_if_fail (UMEDPT_IS_SLIDE (self), 0);
  if (source != NULL)
    *source = self->scale.source;
  return self->scale.mpp;
}

/**
 * umedpt_slide_get_mpp_problem:
 * @self: a slide
 *
 * Returns: (nullable): why the slide's scale is unknown, with what was found
 *   and refused; %NULL if it is known
 *
 * Since: 0.1
 */
const char *
umedpt_slide_get_mpp_problem (UmedptSlide *self)
{
  g_return_val_if_fail (UMEDPT_IS_SLIDE (self), NULL);
  return self->scale.problem;
}

/**
 * umedpt_slide_get_objective:
 * @self: a slide
 *
 * Returns: the power of the scanner's objective as the file states it, or 0
 *
 * Since: 0.1
 */
double
umedpt_slide_get_objective (UmedptSlide *self)
{
  g_return_val_if_fail (UMEDPT_IS_SLIDE (self), 0);
  return self->scale.objective;
}

/**
 * umedpt_slide_get_bounds:
 * @self: a slide
 * @x: (out): left edge of the scanned area in level-0 pixels
 * @y: (out): its upper edge
 * @width: (out): its width
 * @height: (out): its height
 *
 * The box round what was scanned, which QuPath takes as the origin of its
 * coordinates. Everything in this library counts from the slide's own origin.
 *
 * Returns: %FALSE if the slide names no such box
 *
 * Since: 0.1
 */
gboolean
umedpt_slide_get_bounds (UmedptSlide *self, gint64 *x, gint64 *y, gint64 *width,
    gint64 *height)
{
  static const char *const names[4] = { OPENSLIDE_PROPERTY_NAME_BOUNDS_X,
    OPENSLIDE_PROPERTY_NAME_BOUNDS_Y, OPENSLIDE_PROPERTY_NAME_BOUNDS_WIDTH,
    OPENSLIDE_PROPERTY_NAME_BOUNDS_HEIGHT };
  gint64 values[4];

  g_return_val_if_fail (UMEDPT_IS_SLIDE (self), FALSE);
  for (guint i = 0; i < 4; i++) {
    const char *text = umedpt_slide_get_property (self, names[i]);

    if (text == NULL ||
        !g_ascii_string_to_signed (text, 10, 0, G_MAXINT64, &values[i], NULL))
      return FALSE;
  }
  *x = values[0];
  *y = values[1];
  *width = values[2];
  *height = values[3];
  return TRUE;
}

/**
 * umedpt_slide_get_property:
 * @self: a slide
 * @name: the name of a property, as OpenSlide spells it
 *
 * Returns: (nullable): its value, or %NULL if the file has none
 *
 * Since: 0.1
 */
const char *
umedpt_slide_get_property (UmedptSlide *self, const char *name)
{
  g_return_val_if_fail (UMEDPT_IS_SLIDE (self), NULL);
  g_return_val_if_fail (name != NULL, NULL);
  return g_hash_table_lookup (self->reader->properties, name);
}

char *
umedpt_slide_get_identity (UmedptSlide *self)
{
  const char *hash =
      umedpt_slide_get_property (self, OPENSLIDE_PROPERTY_NAME_QUICKHASH1);
  g_autofree char *name = NULL;

  if (hash != NULL)
    return g_strdup_printf ("quickhash-1 %s size %" G_GINT64_FORMAT, hash,
        self->file_size);
  name = g_path_get_basename (self->path);
  return g_strdup_printf ("name %s size %" G_GINT64_FORMAT, name,
      self->file_size);
}

UmedptSlideReader *
umedpt_slide_get_reader (UmedptSlide *self)
{
  return self->reader;
}
