/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Coordinates as .npy, everything else as JSON. If the main file cannot get
 * its name, they are removed again: positions beside the features of another
 * run would be worse than none.
 */
#include "output/sidecar.h"

#include <glib/gstdio.h>
#include <string.h>

#include "output/npy-file.h"

struct _UmedptSidecar
{
  const UmedptFeatureRecord *record;
  char *coords_path, *info_path;
  UmedptNpyFile *coords;
  UmedptAtomicFile *info;
  gboolean coords_committed, info_committed;
};

UmedptSidecar *
umedpt_sidecar_new (const char *main_path, gboolean overwrite,
    const UmedptFeatureRecord *record, GError **error)
{
  g_autoptr (UmedptSidecar) self = g_new0 (UmedptSidecar, 1);
  gsize stem = strrchr (main_path, '.') - main_path;

  self->record = record;
  self->coords_path =
      g_strdup_printf ("%.*s.coords.npy", (int) stem, main_path);
  self->info_path = g_strdup_printf ("%.*s.info.json", (int) stem, main_path);
  self->coords = umedpt_npy_file_new (self->coords_path, overwrite, "<i8",
      sizeof (gint64), error);
  if (!self->coords)
    return NULL;
  self->info = umedpt_atomic_file_new (self->info_path, overwrite, error);
  if (!self->info)
    return NULL;
  return g_steal_pointer (&self);
}

gboolean
umedpt_sidecar_append (UmedptSidecar *self, gint64 x, gint64 y, GError **error)
{
  gint64 row[2] = { GINT64_TO_LE (x), GINT64_TO_LE (y) };

  return umedpt_npy_file_append (self->coords, row, 2, error);
}

static gboolean
commit_coords (UmedptSidecar *self, GError **error)
{
  if (!umedpt_npy_file_complete (self->coords, 2, error) ||
      !umedpt_npy_file_commit (self->coords, error))
    return FALSE;
  self->coords_committed = TRUE;
  return TRUE;
}

static gboolean
commit_info (UmedptSidecar *self, GError **error)
{
  g_autofree char *json = umedpt_feature_record_to_json (self->record);

  if (!umedpt_atomic_file_write (self->info, json, strlen (json), error) ||
      !umedpt_atomic_file_write (self->info, "\n", 1, error) ||
      !umedpt_atomic_file_commit (self->info, error))
    return FALSE;
  self->info_committed = TRUE;
  return TRUE;
}

gboolean
umedpt_sidecar_commit (UmedptSidecar *self, GError **error)
{
  if (commit_coords (self, error) && commit_info (self, error))
    return TRUE;
  umedpt_sidecar_withdraw (self);
  return FALSE;
}

void
umedpt_sidecar_withdraw (UmedptSidecar *self)
{
  if (self->coords_committed)
    g_unlink (self->coords_path);
  if (self->info_committed)
    g_unlink (self->info_path);
  self->coords_committed = self->info_committed = FALSE;
}

void
umedpt_sidecar_free (UmedptSidecar *self)
{
  if (!self)
    return;
  g_clear_pointer (&self->coords, umedpt_npy_file_free);
  g_clear_pointer (&self->info, umedpt_atomic_file_free);
  g_free (self->coords_path);
  g_free (self->info_path);
  g_free (self);
}
