/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A card that computes nothing and takes its time for it: in the place of
 * CUDA's module, every image keeps it busy for as long as UMEDPT_PACED_US says,
 * beside the processor, as a card's queue would. What a pipeline costs beyond
 * that is its own. What is read back is zero.
 */
#include <string.h>

#include "backend/backend.h"
#include "base/error.h"
#include "base/macros.h"

#define DEFAULT_US 200

static GRecMutex queue;
static GMutex lock;
static gint64 busy_until; /* monotonic µs, under the lock */
static double pace; /* µs per image */
static guint8 *staging; /* between feed_begin() and feed_end() */
static gsize staging_size;

static gpointer
paced_allocate (UmedptMemory *self, gsize size, GError **error)
{
  gpointer block = g_try_malloc (MAX (size, 1));

  if (!block)
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY,
        "There are no %" G_GSIZE_FORMAT " bytes.", size);
  return block;
}

static void
paced_release (UmedptMemory *self, gpointer data, gsize size)
{
  g_free (data);
}

static gboolean
paced_upload (UmedptMemory *self, gpointer dst, gconstpointer host, gsize size,
    GError **error)
{
  return TRUE;
}

/* Waits for what has been queued. */
static gboolean
paced_download (UmedptMemory *self, gpointer host, gconstpointer src,
    gsize size, GError **error)
{
  gint64 until, now;

  g_mutex_lock (&lock);
  until = busy_until;
  g_mutex_unlock (&lock);
  while ((now = g_get_monotonic_time ()) < until)
    g_usleep ((gulong) (until - now));
  memset (host, 0, size);
  return TRUE;
}

static gboolean
paced_copy (UmedptMemory *self, gpointer dst, gconstpointer src, gsize size,
    GError **error)
{
  return TRUE;
}

static gboolean
paced_zero (UmedptMemory *self, gpointer dst, gsize size, GError **error)
{
  return TRUE;
}

static UmedptMemory memory = {
  .name = "paced",
  .allocate = paced_allocate,
  .release = paced_release,
  .upload = paced_upload,
  .download = paced_download,
  .copy = paced_copy,
  .zero = paced_zero,
};

static gpointer
paced_feed_begin (UmedptBackend *backend, gsize size, GError **error)
{
  if (size > staging_size) {
    g_free (staging);
    staging = g_malloc (size);
    staging_size = size;
  }
  return staging;
}

static gboolean
paced_feed_end (UmedptBackend *backend, gpointer dst, gsize size,
    GError **error)
{
  return TRUE;
}

#define DEFINE_SLOT(slot, Type) \
  static gboolean paced_##slot (UmedptBackend *self, \
      const Umedpt##Type##Args *args, GError **error) \
  { \
    return TRUE; \
  }
UMEDPT_FOREACH_OP (DEFINE_SLOT)

/* The one op that each image goes through once. */
static gboolean
keep_busy (UmedptBackend *self, const UmedptPatchEmbedArgs *args,
    GError **error)
{
  const gint64 takes = (gint64) (pace * (double) args->src->shape[0]);

  g_mutex_lock (&lock);
  busy_until = MAX (busy_until, g_get_monotonic_time ()) + takes;
  g_mutex_unlock (&lock);
  return TRUE;
}

#define SET_SLOT(slot, Type) .slot = paced_##slot,
static UmedptBackend backend = { .api_version = UMEDPT_BACKEND_API_VERSION,
  .name = "cuda",
  .description = "a card that only takes time",
  .memory = &memory,
  .queue = &queue,
  .feed_begin = paced_feed_begin,
  .feed_end = paced_feed_end,
  UMEDPT_FOREACH_OP (SET_SLOT) };

UMEDPT_API
UmedptBackend *umedpt_backend_module_open (guint api_version,
    const UmedptBackendHost *host, GError **error);

UmedptBackend *
umedpt_backend_module_open (guint api_version, const UmedptBackendHost *host,
    GError **error)
{
  const char *text = g_getenv ("UMEDPT_PACED_US");

  pace = text ? g_ascii_strtod (text, NULL) : DEFAULT_US;
  backend.patch_embed = keep_busy;
  return &backend;
}
