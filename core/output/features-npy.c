/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Features as NumPy's .npy: NAME.npy, f32 [N, D], with the positions and what
 * else is known beside it (sidecar.h).
 */
#include "output/features-private.h"
#include "output/npy-file.h"
#include "output/sidecar.h"

#if G_BYTE_ORDER != G_LITTLE_ENDIAN
#error "features are written in the byte order of the machine: little-endian"
#endif

typedef struct
{
  UmedptNpyFile *features;
  UmedptSidecar *sidecar;
} NpyFeatures;

static void
npy_free (gpointer file)
{
  NpyFeatures *self = file;

  if (!self)
    return;
  g_clear_pointer (&self->features, umedpt_npy_file_free);
  g_clear_pointer (&self->sidecar, umedpt_sidecar_free);
  g_free (self);
}

static gpointer
npy_open (const char *path, gboolean overwrite,
    const UmedptFeatureRecord *record, GError **error)
{
  NpyFeatures *self = g_new0 (NpyFeatures, 1);

  self->features =
      umedpt_npy_file_new (path, overwrite, "<f4", sizeof (gfloat), error);
  if (self->features)
    self->sidecar = umedpt_sidecar_new (path, overwrite, record, error);
  if (self->sidecar)
    return self;
  npy_free (self);
  return NULL;
}

static gboolean
npy_append (gpointer file, gint64 x, gint64 y, const gfloat *row,
    guint n_features, GError **error)
{
  NpyFeatures *self = file;

  return umedpt_npy_file_append (self->features, row, n_features, error) &&
      umedpt_sidecar_append (self->sidecar, x, y, error);
}

static gboolean
npy_finish (gpointer file, GError **error)
{
  NpyFeatures *self = file;

  if (!umedpt_npy_file_complete (self->features, 0, error) ||
      !umedpt_sidecar_commit (self->sidecar, error))
    return FALSE;
  if (umedpt_npy_file_commit (self->features, error))
    return TRUE;
  umedpt_sidecar_withdraw (self->sidecar);
  return FALSE;
}

const UmedptFeatureFormat umedpt_feature_format_npy = {
  { ".npy" },
  npy_open,
  npy_append,
  npy_finish,
  npy_free,
};
