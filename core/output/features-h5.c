/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Features as HDF5 in the layout of TRIDENT (arXiv:2502.06750): data sets
 * "features" f32 [N, D] and "coords" int64 [N, 2] with its attributes. Ours
 * are attributes of the file itself (the root group) and the data sets
 * "bad_tiles" int64 [M, 3] (index, x, y) and "bad_tiles_reason" [M].
 *
 * Chunks hold many rows, not one as TRIDENT's, which changes speed and size
 * and nothing for readers. Times are not stored: the same run gives the same
 * bytes. The calls to HDF5, with their lock and errors, are in h5-calls.c.
 */
#include "output/features-private.h"

#include "base/atomic-file.h"
#include "output/h5-calls.h"

#define CHUNK_BYTES (1 << 20)
#define CHUNK_ROWS 256 /* at most */
#define SMALL_CHUNK_ROWS 1024 /* of coords and bad tiles: 16 and 24 KiB */

typedef struct
{
  UmedptAtomicFile *file;
  const UmedptFeatureRecord *record;
  UmedptH5 *h5;
  UmedptH5Array *features, *coords; /* made by the first row */
  guint chunk_rows, n_features;
  GArray *rows; /* gfloat, up to a chunk */
  GArray *positions; /* gint64, two for each of these rows */
} H5Features;

static void
h5_free (gpointer file)
{
  H5Features *self = file;

  if (!self)
    return;
  /* Arrays belong to the file and go with it. */
  g_clear_pointer (&self->h5, umedpt_h5_free);
  g_clear_pointer (&self->file, umedpt_atomic_file_free);
  g_clear_pointer (&self->rows, g_array_unref);
  g_clear_pointer (&self->positions, g_array_unref);
  g_free (self);
}

static gpointer
h5_open (const char *path, gboolean overwrite,
    const UmedptFeatureRecord *record, GError **error)
{
  H5Features *self = g_new0 (H5Features, 1);

  self->record = record;
  self->rows = g_array_new (FALSE, FALSE, sizeof (gfloat));
  self->positions = g_array_new (FALSE, FALSE, sizeof (gint64));
  self->file = umedpt_atomic_file_new (path, overwrite, error);
  if (self->file)
    self->h5 =
        umedpt_h5_new (umedpt_atomic_file_get_fd (self->file), path, error);
  if (self->h5)
    return self;
  h5_free (self);
  return NULL;
}

/* @n_features 0 = there was no row: features have shape [0] then. */
static gboolean
make_arrays (H5Features *self, guint n_features, GError **error)
{
  UmedptAttribute attributes[UMEDPT_MAX_ATTRIBUTES];
  guint n;

  self->n_features = n_features;
  self->chunk_rows = CLAMP (CHUNK_BYTES / sizeof (gfloat) / MAX (n_features, 1),
      1, CHUNK_ROWS);
  self->features = umedpt_h5_add_array (self->h5, "features", UMEDPT_H5_F32,
      n_features, self->chunk_rows, error);
  if (!self->features)
    return FALSE;
  self->coords = umedpt_h5_add_array (self->h5, "coords", UMEDPT_H5_I64, 2,
      SMALL_CHUNK_ROWS, error);
  if (!self->coords)
    return FALSE;
  n = umedpt_feature_record_features_attributes (self->record, attributes);
  if (!umedpt_h5_set_attributes (self->h5, self->features, attributes, n,
          error))
    return FALSE;
  n = umedpt_feature_record_coords_attributes (self->record, attributes);
  return umedpt_h5_set_attributes (self->h5, self->coords, attributes, n,
      error);
}

static gboolean
write_rows (H5Features *self, GError **error)
{
  guint n_rows = self->positions->len / 2;

  if (!umedpt_h5_append (self->h5, self->features, self->rows->data, n_rows,
          error) ||
      !umedpt_h5_append (self->h5, self->coords, self->positions->data, n_rows,
          error))
    return FALSE;
  g_array_set_size (self->rows, 0);
  g_array_set_size (self->positions, 0);
  return TRUE;
}

static gboolean
h5_append (gpointer file, gint64 x, gint64 y, const gfloat *row,
    guint n_features, GError **error)
{
  H5Features *self = file;
  gint64 position[2] = { x, y };

  if (!self->features && !make_arrays (self, n_features, error))
    return FALSE;
  g_array_append_vals (self->rows, row, n_features);
  g_array_append_vals (self->positions, position, 2);
  if (self->positions->len / 2 < self->chunk_rows)
    return TRUE;
  return write_rows (self, error);
}

static gboolean
write_bad_tiles (H5Features *self, GError **error)
{
  GArray *tiles = self->record->bad_tiles;
  g_autofree gint64 *numbers = g_new (gint64, 3 * (gsize) tiles->len);
  g_autofree const char **reasons = g_new (const char *, tiles->len);
  UmedptH5Array *positions, *texts;

  for (guint i = 0; i < tiles->len; i++) {
    const UmedptBadTile *tile = &g_array_index (tiles, UmedptBadTile, i);

    numbers[3 * i] = tile->index;
    numbers[3 * i + 1] = tile->x;
    numbers[3 * i + 2] = tile->y;
    reasons[i] = tile->reason;
  }
  positions = umedpt_h5_add_array (self->h5, "bad_tiles", UMEDPT_H5_I64, 3,
      SMALL_CHUNK_ROWS, error);
  if (!positions ||
      !umedpt_h5_append (self->h5, positions, numbers, tiles->len, error))
    return FALSE;
  texts = umedpt_h5_add_array (self->h5, "bad_tiles_reason", UMEDPT_H5_STRING,
      0, SMALL_CHUNK_ROWS, error);
  return texts &&
      umedpt_h5_append (self->h5, texts, reasons, tiles->len, error);
}

static gboolean
h5_finish (gpointer file, GError **error)
{
  H5Features *self = file;
  UmedptAttribute attributes[UMEDPT_MAX_ATTRIBUTES];
  guint n = umedpt_feature_record_file_attributes (self->record, attributes);

  if (!self->features && !make_arrays (self, 0, error))
    return FALSE;
  return write_rows (self, error) && write_bad_tiles (self, error) &&
      umedpt_h5_set_attributes (self->h5, NULL, attributes, n, error) &&
      umedpt_h5_close (self->h5, error) &&
      umedpt_atomic_file_commit (self->file, error);
}

const UmedptFeatureFormat umedpt_feature_format_h5 = {
  { ".h5", ".hdf5" },
  h5_open,
  h5_append,
  h5_finish,
  h5_free,
};
