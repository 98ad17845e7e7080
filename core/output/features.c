/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The writer as programs see it: the format is chosen by suffix, a row is
 * checked before a format sees it, bad tiles are kept until the end. A writer
 * whose disk failed says so once and then refuses everything, so that a
 * pipeline which goes on cannot finish a file with a hole in it.
 */
#include "output/features-private.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

struct _UmedptFeatureWriter
{
  char *path;
  const UmedptFeatureFormat *format;
  gpointer file;
  UmedptFeatureRecord record;
  guint n_features; /* 0 = no row yet */
  guint64 n_rows;
  gboolean failed, finished;
};

/* Reasons are for people; a library's long tale is cut. */
#define MAX_REASON 512

static const UmedptFeatureFormat *const formats[] = {
  &umedpt_feature_format_h5,
  &umedpt_feature_format_pt,
  &umedpt_feature_format_npy,
};

static const UmedptFeatureFormat *
choose_format (const char *path, GError **error)
{
  g_autofree char *name = g_path_get_basename (path);
  g_autofree char *lower = g_ascii_strdown (name, -1);

  for (guint i = 0; i < G_N_ELEMENTS (formats); i++)
    for (guint j = 0; formats[i]->suffixes[j]; j++)
      if (g_str_has_suffix (lower, formats[i]->suffixes[j]))
        return formats[i];
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "Cannot tell the features format of '%s' by its suffix. Use .h5 or "
      ".hdf5 (TRIDENT), .pt (CLAM) or .npy.",
      path);
  return NULL;
}

/* A copy that lives as long as the record, in valid UTF-8. */
static const char *
keep_string (UmedptFeatureRecord *record, const char *string)
{
  g_autofree char *valid = NULL;

  if (!string)
    return NULL;
  valid = g_utf8_make_valid (string, -1);
  return g_string_chunk_insert_const (record->strings, valid);
}

static void
fill_record (UmedptFeatureRecord *record, const UmedptFeatureInfo *info,
    const char *folder)
{
  record->strings = g_string_chunk_new (1024);
  record->bad_tiles = g_array_new (FALSE, FALSE, sizeof (UmedptBadTile));
  record->folder = keep_string (record, folder);
  record->info = *info;
  record->info.slide = keep_string (record, info->slide);
  record->info.slide_path = keep_string (record, info->slide_path);
  record->info.vendor = keep_string (record, info->vendor);
  record->info.encoder = keep_string (record, info->encoder);
  record->info.model_hash = keep_string (record, info->model_hash);
  record->info.config_hash = keep_string (record, info->config_hash);
  record->info.mpp_source = keep_string (record, info->mpp_source);
}

/**
 * umedpt_feature_writer_new: (skip)
 * @path: the file to make; its suffix chooses the format: .h5 or .hdf5
 *   (TRIDENT's layout), .pt (a tensor for torch.load, as CLAM reads it), .npy
 * @info: what is known about the slide and the run; copied
 * @overwrite: whether an existing file may be replaced
 * @error: return location for a #GError
 *
 * Begins a features file. Beside a .pt or .npy file, `NAME.coords.npy` takes
 * the positions and `NAME.info.json` what HDF5 keeps in attributes, since
 * these formats hold one array and nothing else.
 *
 * Returns: (transfer full): the writer, or %NULL with @error set
 *   (%UMEDPT_ERROR_SETTINGS for the suffix, %UMEDPT_ERROR_EXISTS,
 *   %UMEDPT_ERROR_NOT_FOUND, %UMEDPT_ERROR_IO, %UMEDPT_ERROR_NO_SPACE)
 *
 * Since: 0.1
 */
UmedptFeatureWriter *
umedpt_feature_writer_new (const char *path, const UmedptFeatureInfo *info,
    gboolean overwrite, GError **error)
{
  g_autoptr (UmedptFeatureWriter) self = NULL;
  const UmedptFeatureFormat *format;

  g_autofree char *absolute = NULL, *folder = NULL;

  g_return_val_if_fail (path != NULL, NULL);
  g_return_val_if_fail (info != NULL, NULL);

  format = choose_format (path, error);
  if (!format)
    return NULL;
  self = g_new0 (UmedptFeatureWriter, 1);
  self->format = format;
  self->path = g_strdup (path);
  absolute = g_canonicalize_filename (path, NULL);
  folder = g_path_get_dirname (absolute);
  fill_record (&self->record, info, folder);
  self->file = format->open (path, overwrite, &self->record, error);
  if (!self->file)
    return NULL;
  return g_steal_pointer (&self);
}

static gboolean
check_usable (UmedptFeatureWriter *self, GError **error)
{
  if (!self->failed && !self->finished)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_IO,
      self->finished ? "'%s' is finished; nothing can be added to it."
                     : "Writing '%s' failed before; nothing is written to it "
                       "any more.",
      self->path);
  return FALSE;
}

/* The row must be as wide as the others, and of finite numbers. */
static gboolean
check_row (UmedptFeatureWriter *self, guint64 index, gint64 x, gint64 y,
    const gfloat *features, guint n_features, GError **error)
{
  if (n_features == 0 || (self->n_features && n_features != self->n_features)) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE,
        "Tile %" G_GUINT64_FORMAT " has %u features; '%s' takes %u per tile.",
        index, n_features, self->path, MAX (self->n_features, 1));
    return FALSE;
  }
  for (guint i = 0; i < n_features; i++)
    if (!isfinite (features[i])) {
      g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
          "Feature %u of tile %" G_GUINT64_FORMAT " at (%" G_GINT64_FORMAT
          ", %" G_GINT64_FORMAT ") is %s; it must be a finite number. The "
          "model file may be damaged, or the precision too low: try f32.",
          i, index, x, y, isnan (features[i]) ? "NaN" : "infinite");
      return FALSE;
    }
  return TRUE;
}

/**
 * umedpt_feature_writer_append: (skip)
 * @writer: a writer
 * @index: the tile's number in the plan, for messages
 * @x: left edge, absolute level-0 pixels
 * @y: upper edge, absolute level-0 pixels
 * @features: (array length=n_features): f32 [D]
 * @n_features: D, the same for all rows; the first row fixes it
 * @error: return location for a #GError
 *
 * Adds one row. A row that is refused (%UMEDPT_ERROR_DATA for NaN or Inf,
 * %UMEDPT_ERROR_SHAPE) leaves the writer usable; a failure to write
 * (%UMEDPT_ERROR_NO_SPACE, %UMEDPT_ERROR_IO) does not.
 *
 * Returns: %FALSE with @error set on failure
 *
 * Since: 0.1
 */
gboolean
umedpt_feature_writer_append (UmedptFeatureWriter *self, guint64 index,
    gint64 x, gint64 y, const gfloat *features, guint n_features,
    GError **error)
{
  g_return_val_if_fail (self != NULL, FALSE);
  g_return_val_if_fail (features != NULL || n_features == 0, FALSE);

  if (!check_usable (self, error) ||
      !check_row (self, index, x, y, features, n_features, error))
    return FALSE;
  if (!self->format->append (self->file, x, y, features, n_features, error)) {
    self->failed = TRUE;
    return FALSE;
  }
  self->n_features = n_features;
  self->n_rows++;
  return TRUE;
}

/**
 * umedpt_feature_writer_add_bad_tile: (skip)
 * @writer: a writer
 * @index: the tile's number in the plan
 * @x: left edge, absolute level-0 pixels
 * @y: upper edge, absolute level-0 pixels
 * @reason: (nullable): why it could not be read
 *
 * Records a tile that has no row.
 *
 * Since: 0.1
 */
void
umedpt_feature_writer_add_bad_tile (UmedptFeatureWriter *self, guint64 index,
    gint64 x, gint64 y, const char *reason)
{
  g_autofree char *cut = g_strndup (reason ? reason : "unknown", MAX_REASON);
  UmedptBadTile tile = { (gint64) index, x, y, NULL };

  g_return_if_fail (self != NULL && !self->finished);

  /* Most tiles fail for one and the same reason, which is kept once. */
  tile.reason = keep_string (&self->record, cut);
  g_array_append_val (self->record.bad_tiles, tile);
}

/**
 * umedpt_feature_writer_get_n_rows: (skip)
 * @writer: a writer
 *
 * Returns: the rows taken so far
 *
 * Since: 0.1
 */
guint64
umedpt_feature_writer_get_n_rows (UmedptFeatureWriter *self)
{
  g_return_val_if_fail (self != NULL, 0);
  return self->n_rows;
}

/**
 * umedpt_feature_writer_finish: (skip)
 * @writer: a writer
 * @error: return location for a #GError
 *
 * Completes the file and gives it its name. Without rows the number of
 * features is unknown, and the array has shape [0].
 *
 * Returns: %FALSE with @error set on failure; nothing is left then under the
 *   final name, unless it was there before
 *
 * Since: 0.1
 */
gboolean
umedpt_feature_writer_finish (UmedptFeatureWriter *self, GError **error)
{
  g_return_val_if_fail (self != NULL, FALSE);

  if (!check_usable (self, error))
    return FALSE;
  if (!self->format->finish (self->file, error)) {
    self->failed = TRUE;
    return FALSE;
  }
  self->finished = TRUE;
  return TRUE;
}

/**
 * umedpt_feature_writer_free: (skip)
 * @writer: (nullable) (transfer full): a writer
 *
 * Frees it. What was not finished is removed.
 *
 * Since: 0.1
 */
void
umedpt_feature_writer_free (UmedptFeatureWriter *self)
{
  if (!self)
    return;
  self->format->free (self->file);
  g_clear_pointer (&self->record.bad_tiles, g_array_unref);
  g_clear_pointer (&self->record.strings, g_string_chunk_free);
  g_free (self->path);
  g_free (self);
}
