/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Volumes in memory: slices of a volume are asked for one by one and in any
 * order, but a file is compressed as a whole. The last used ones are kept, up
 * to a number of bytes, and shared between threads.
 */
#pragma once

#include "data/nifti.h"

G_BEGIN_DECLS

typedef struct
{
  gatomicrefcount ref_count;
  char *path;
  UmedptNiftiHeader header;
  gfloat *data; /* [depth, height, width] */
} UmedptVolume;

typedef struct _UmedptVolumes UmedptVolumes;

/* Called once per volume that is read, to bring its numbers to a range. */
typedef void (*UmedptVolumeFunc) (UmedptVolume *volume, gpointer data);

UmedptVolumes *umedpt_volumes_new (gsize max_bytes);
void umedpt_volumes_free (UmedptVolumes *self);
/* (transfer full); thread-safe. @prepare: (nullable). */
UmedptVolume *umedpt_volumes_get (UmedptVolumes *self, const char *path,
    gint channel, UmedptVolumeFunc prepare, gpointer data, GError **error);
void umedpt_volume_unref (UmedptVolume *volume);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptVolume, umedpt_volume_unref)

G_END_DECLS
