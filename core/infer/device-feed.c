/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * How images come to a device with memory of its own: prepared on the host, by
 * all processors, and copied from pinned memory beside what the device is
 * computing. So their memory there must be none that queued work still uses:
 * it is recycled here, when its user has waited for the device. Images that are on
 * the device already go the same way, without the host (device-images.c).
 */
#include "infer/device-feed.h"

#include "base/error.h"
#include "base/pool.h"
#include "infer/device-images.h"
#include "infer/preprocess.h"

#define MAX_IDLE 4 /* pieces of memory that are kept for the next images */

struct _UmedptDeviceFeed
{
  UmedptBackend *backend;
  GMutex lock; /* one thread at a time prepares */
  GQueue idle; /* UmedptTensor, the last used first */
};

UmedptDeviceFeed *
umedpt_device_feed_new (UmedptBackend *backend)
{
  UmedptDeviceFeed *self = g_new0 (UmedptDeviceFeed, 1);

  self->backend = backend;
  g_mutex_init (&self->lock);
  g_queue_init (&self->idle);
  return self;
}

void
umedpt_device_feed_forget (UmedptDeviceFeed *self)
{
  UmedptTensor *memory;

  g_mutex_lock (&self->lock);
  while ((memory = g_queue_pop_head (&self->idle)))
    umedpt_tensor_unref (memory);
  g_mutex_unlock (&self->lock);
}

void
umedpt_device_feed_free (UmedptDeviceFeed *self)
{
  if (!self)
    return;
  umedpt_device_feed_forget (self);
  g_mutex_clear (&self->lock);
  g_free (self);
}

void
umedpt_fed_clear (UmedptFed *fed)
{
  g_clear_pointer (&fed->images, umedpt_tensor_unref);
  g_clear_pointer (&fed->memory, umedpt_tensor_unref);
}

void
umedpt_device_feed_return (UmedptDeviceFeed *self, UmedptFed *fed)
{
  UmedptTensor *memory = g_steal_pointer (&fed->memory);

  umedpt_fed_clear (fed);
  if (!memory)
    return;
  g_mutex_lock (&self->lock);
  g_queue_push_head (&self->idle, memory);
  if (g_queue_get_length (&self->idle) > MAX_IDLE)
    umedpt_tensor_unref (g_queue_pop_tail (&self->idle));
  g_mutex_unlock (&self->lock);
}

/* ---- Preparing ---- */

typedef struct
{
  const UmedptImage *images;
  gint width, height;
  guint8 *bytes;
} Preparation;

static void
prepare_image (gpointer data, guint worker, guint i)
{
  const Preparation *job = data;
  const gsize size = (gsize) job->width * (gsize) job->height * 3;

  umedpt_preprocess_into (&job->images[i], job->width, job->height,
      job->bytes + i * size, NULL); /* they are checked */
}

/* The images as the network takes them, at @bytes. By all processors: one
 * alone would keep a fast card waiting. */
static gboolean
prepare (const UmedptImage *images, const UmedptTensor *dst, guint8 *bytes,
    GError **error)
{
  const guint n = (guint) dst->shape[0];
  Preparation job = { images, (gint) dst->shape[2], (gint) dst->shape[1],
    bytes };

  for (guint i = 0; i < n; i++)
    if (!umedpt_preprocess_check (&images[i], error))
      return FALSE;
  umedpt_pool_run (umedpt_pool_get_default (), n, prepare_image, &job);
  return TRUE;
}

/* ---- Sending ---- */

/* Without a way beside the queue: through it. */
static gboolean
send_plainly (const UmedptImage *images, UmedptTensor *dst, GError **error)
{
  g_autoptr (UmedptTensor) host =
      umedpt_tensor_new (UMEDPT_DTYPE_U8, dst->n_dims, dst->shape, error);

  return host && prepare (images, dst, UMEDPT_U8 (host), error) &&
      umedpt_tensor_copy (dst, host, error);
}

static gboolean
send_ahead (UmedptDeviceFeed *self, const UmedptImage *images,
    UmedptTensor *dst, GError **error)
{
  UmedptBackend *backend = self->backend;
  gsize size = umedpt_tensor_get_size (dst);
  guint8 *bytes = backend->feed_begin (backend, size, error);

  if (!bytes)
    return FALSE;
  if (prepare (images, dst, bytes, error))
    return backend->feed_end (backend, dst->data, size, error);
  backend->feed_end (backend, NULL, size, NULL);
  return FALSE;
}

/* It may have been somebody's whose queued work still uses it, which input
 * that travels beside the queue must not meet: waited for, once. */
static UmedptTensor *
new_memory (UmedptDeviceFeed *self, gsize size, GError **error)
{
  const gint64 shape = (gint64) size;
  UmedptMemory *memory = self->backend->memory;
  g_autoptr (UmedptTensor) tensor =
      umedpt_tensor_new_zeros_in (memory, UMEDPT_DTYPE_U8, 1, &shape, error);
  guint8 byte;

  if (!tensor ||
      !memory->download (memory, &byte, tensor->data, sizeof byte, error))
    return NULL;
  return g_steal_pointer (&tensor);
}

/* The smallest that is large enough, or new memory. */
static UmedptTensor *
take_memory (UmedptDeviceFeed *self, gsize size, GError **error)
{
  GList *best = NULL;

  for (GList *at = self->idle.head; at; at = at->next) {
    const gsize found = umedpt_tensor_get_size (at->data);

    if (found >= size && (!best || found < umedpt_tensor_get_size (best->data)))
      best = at;
  }
  if (best) {
    UmedptTensor *memory = best->data;

    g_queue_delete_link (&self->idle, best);
    return memory;
  }
  return new_memory (self, size, error);
}

static gboolean
send_images (UmedptDeviceFeed *self, const UmedptImage *images,
    UmedptTensor *dst, GError **error)
{
  if (images->memory == UMEDPT_IMAGE_MEMORY_DEVICE)
    return umedpt_device_images_send (self->backend, images, dst, error);
  return self->backend->feed_begin ? send_ahead (self, images, dst, error)
                                   : send_plainly (images, dst, error);
}

gboolean
umedpt_device_feed_send (UmedptDeviceFeed *self, const UmedptImage *images,
    guint n, gint width, gint height, UmedptFed *fed, GError **error)
{
  const gint64 shape[] = { n, height, width, 3 };
  const gsize size = (gsize) width * (gsize) height * 3 * n;
  gboolean ok;

  g_mutex_lock (&self->lock);
  fed->memory = take_memory (self, size, error);
  if (fed->memory)
    fed->images = umedpt_tensor_new_view (fed->memory, 0, 4, shape, error);
  ok = fed->images && send_images (self, images, fed->images, error);
  g_mutex_unlock (&self->lock);
  if (!ok)
    umedpt_fed_clear (fed);
  return ok;
}
