/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The volumes last used. Reading happens outside the lock, so threads do not
 * wait for each other's files; two that want the same one at the same time
 * read it twice, which is rare and harmless.
 */
#include "data/dataset-volumes.h"

#include <string.h>

struct _UmedptVolumes
{
  GMutex lock; /* guards all below */
  GQueue recent; /* of UmedptVolume, the last used first */
  gsize bytes, max_bytes;
};

static gsize
get_bytes (const UmedptVolume *volume)
{
  return (gsize) volume->header.width * (gsize) volume->header.height *
      (gsize) volume->header.depth * sizeof (gfloat);
}

void
umedpt_volume_unref (UmedptVolume *volume)
{
  if (!g_atomic_ref_count_dec (&volume->ref_count))
    return;
  g_free (volume->path);
  g_free (volume->data);
  g_free (volume);
}

UmedptVolumes *
umedpt_volumes_new (gsize max_bytes)
{
  UmedptVolumes *self = g_new0 (UmedptVolumes, 1);

  g_mutex_init (&self->lock);
  g_queue_init (&self->recent);
  self->max_bytes = max_bytes;
  return self;
}

void
umedpt_volumes_free (UmedptVolumes *self)
{
  UmedptVolume *volume;

  while ((volume = g_queue_pop_head (&self->recent)) != NULL)
    umedpt_volume_unref (volume);
  g_mutex_clear (&self->lock);
  g_free (self);
}

static UmedptVolume *
look_up (UmedptVolumes *self, const char *path)
{
  UmedptVolume *found = NULL;

  g_mutex_lock (&self->lock);
  for (GList *i = self->recent.head; i != NULL && found == NULL; i = i->next)
    if (strcmp (((UmedptVolume *) i->data)->path, path) == 0) {
      found = i->data;
      g_atomic_ref_count_inc (&found->ref_count);
      g_queue_unlink (&self->recent, i);
      g_queue_push_head_link (&self->recent, i);
      break;
    }
  g_mutex_unlock (&self->lock);
  return found;
}

static void
keep (UmedptVolumes *self, UmedptVolume *volume)
{
  g_mutex_lock (&self->lock);
  g_atomic_ref_count_inc (&volume->ref_count);
  g_queue_push_head (&self->recent, volume);
  self->bytes += get_bytes (volume);
  while (self->bytes > self->max_bytes && self->recent.length > 1) {
    UmedptVolume *old = g_queue_pop_tail (&self->recent);

    self->bytes -= get_bytes (old);
    umedpt_volume_unref (old);
  }
  g_mutex_unlock (&self->lock);
}

UmedptVolume *
umedpt_volumes_get (UmedptVolumes *self, const char *path, gint channel,
    UmedptVolumeFunc prepare, gpointer data, GError **error)
{
  UmedptVolume *volume = look_up (self, path);
  UmedptNiftiHeader header;
  gfloat *numbers;

  if (volume != NULL)
    return volume;
  numbers = umedpt_nifti_read (path, channel, &header, error);
  if (numbers == NULL)
    return NULL;
  volume = g_new0 (UmedptVolume, 1);
  g_atomic_ref_count_init (&volume->ref_count);
  volume->path = g_strdup (path);
  volume->header = header;
  volume->data = numbers;
  if (prepare != NULL)
    prepare (volume, data);
  keep (self, volume);
  return volume;
}
