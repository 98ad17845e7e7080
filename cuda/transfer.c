/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Between host and device. The driver can copy from pinned memory only, at
 * full speed and without waiting; so what goes up passes through one of two
 * pinned buffers, which take turns. Small and one-off copies go through the
 * compute stream in the order of the queue. What a stream of images feeds goes
 * through a stream of its own, beside the computing, and an event tells the
 * compute stream when it is there.
 *
 * Who waits for results does not hold the queue meanwhile, so that others queue
 * work for the device to go on with.
 */
#include "transfer.h"

#include <string.h>

#include "pool.h"

#define N_STAGES 2
#define STAGE_SIZE ((gsize) 8 << 20) /* bytes; grows for a feed */

/* A pinned buffer, and when the device has read it. */
typedef struct
{
  gpointer data;
  gsize size;
  cudaEvent_t done;
  gboolean pending;
} Stage;

typedef struct
{
  GMutex lock; /* of the stages for uploads */
  Stage stages[N_STAGES];
  guint next;
  GMutex down_lock; /* of which buffers for downloads are taken */
  GCond down_free;
  Stage downs[N_STAGES];
  gboolean taken[N_STAGES];
  GMutex feed_lock; /* from begin to end */
  Stage feeds[N_STAGES];
  guint next_feed;
  cudaStream_t feed_stream;
  cudaEvent_t fed;
} Transfer;

static Transfer transfer; /* one device per process */

static UmedptCuda *
cuda_of (UmedptMemory *memory)
{
  return (UmedptCuda *) ((guint8 *) memory -
      G_STRUCT_OFFSET (UmedptCuda, memory));
}

static gpointer
allocate (UmedptMemory *memory, gsize size, GError **error)
{
  return umedpt_cuda_pool_take (cuda_of (memory)->pool, size, error);
}

static void
release (UmedptMemory *memory, gpointer data, gsize size)
{
  umedpt_cuda_pool_give (cuda_of (memory)->pool, data);
}

/* Waits until the buffer may be written, and makes it large enough. */
static gboolean
stage_ready (Stage *stage, gsize size, GError **error)
{
  if (stage->pending &&
      !umedpt_cuda_check (cudaEventSynchronize (stage->done),
          "waiting for a copy", error))
    return FALSE;
  stage->pending = FALSE;
  if (stage->size >= size)
    return TRUE;
  if (stage->data)
    cudaFreeHost (stage->data);
  stage->data = NULL;
  stage->size = 0;
  if (!umedpt_cuda_check (cudaMallocHost (&stage->data, size),
          "allocating pinned memory", error))
    return FALSE;
  stage->size = size;
  return TRUE;
}

static gboolean
stage_used (Stage *stage, cudaStream_t stream, GError **error)
{
  stage->pending = TRUE;
  return umedpt_cuda_check (cudaEventRecord (stage->done, stream),
      "recording an event", error);
}

static gboolean
upload_part (UmedptCuda *cuda, guint8 *dst, const guint8 *host, gsize size,
    GError **error)
{
  Stage *stage = &transfer.stages[transfer.next++ % N_STAGES];

  if (!stage_ready (stage, STAGE_SIZE, error))
    return FALSE;
  memcpy (stage->data, host, size);
  return umedpt_cuda_check (cudaMemcpyAsync (dst, stage->data, size,
                                cudaMemcpyHostToDevice, cuda->stream),
             "copying to the GPU", error) &&
      stage_used (stage, cuda->stream, error);
}

static gboolean
upload (UmedptMemory *memory, gpointer dst, gconstpointer host, gsize size,
    GError **error)
{
  gboolean ok = TRUE;

  g_rec_mutex_lock (cuda_of (memory)->base.queue);
  g_mutex_lock (&transfer.lock);
  for (gsize at = 0; ok && at < size; at += STAGE_SIZE)
    ok = upload_part (cuda_of (memory), (guint8 *) dst + at,
        (const guint8 *) host + at, MIN (STAGE_SIZE, size - at), error);
  g_mutex_unlock (&transfer.lock);
  g_rec_mutex_unlock (cuda_of (memory)->base.queue);
  return ok;
}

/* A buffer for one part. Whoever has one gives it back without the queue, so it
 * may be waited for with it. */
static guint
take_down (void)
{
  guint i = 0;

  g_mutex_lock (&transfer.down_lock);
  for (;;) {
    for (i = 0; i < N_STAGES && transfer.taken[i];)
      i++;
    if (i < N_STAGES)
      break;
    g_cond_wait (&transfer.down_free, &transfer.down_lock);
  }
  transfer.taken[i] = TRUE;
  g_mutex_unlock (&transfer.down_lock);
  return i;
}

static void
give_down (guint i)
{
  g_mutex_lock (&transfer.down_lock);
  transfer.taken[i] = FALSE;
  g_cond_signal (&transfer.down_free);
  g_mutex_unlock (&transfer.down_lock);
}

static gboolean
queue_down (UmedptCuda *cuda, Stage *stage, const guint8 *src, gsize size,
    GError **error)
{
  return stage_ready (stage, STAGE_SIZE, error) &&
      umedpt_cuda_check (cudaMemcpyAsync (stage->data, src, size,
                             cudaMemcpyDeviceToHost, cuda->stream),
          "copying from the GPU", error) &&
      stage_used (stage, cuda->stream, error);
}

static gboolean
download_part (UmedptCuda *cuda, guint8 *host, const guint8 *src, gsize size,
    GError **error)
{
  gboolean ok;
  guint i;

  g_rec_mutex_lock (cuda->base.queue);
  i = take_down ();
  ok = queue_down (cuda, &transfer.downs[i], src, size, error);
  g_rec_mutex_unlock (cuda->base.queue);
  ok = ok &&
      umedpt_cuda_check (cudaEventSynchronize (transfer.downs[i].done),
          "computing on the GPU", error);
  if (ok)
    memcpy (host, transfer.downs[i].data, size);
  give_down (i);
  return ok;
}

static gboolean
download (UmedptMemory *memory, gpointer host, gconstpointer src, gsize size,
    GError **error)
{
  gboolean ok = TRUE;

  for (gsize at = 0; ok && at < size; at += STAGE_SIZE)
    ok = download_part (cuda_of (memory), (guint8 *) host + at,
        (const guint8 *) src + at, MIN (STAGE_SIZE, size - at), error);
  return ok;
}

static gboolean
copy (UmedptMemory *memory, gpointer dst, gconstpointer src, gsize size,
    GError **error)
{
  cudaError_t status;

  g_rec_mutex_lock (cuda_of (memory)->base.queue);
  status = cudaMemcpyAsync (dst, src, size, cudaMemcpyDeviceToDevice,
      cuda_of (memory)->stream);
  g_rec_mutex_unlock (cuda_of (memory)->base.queue);
  return umedpt_cuda_check (status, "copying on the GPU", error);
}

static gboolean
zero (UmedptMemory *memory, gpointer dst, gsize size, GError **error)
{
  cudaError_t status;

  g_rec_mutex_lock (cuda_of (memory)->base.queue);
  status = cudaMemsetAsync (dst, 0, size, cuda_of (memory)->stream);
  g_rec_mutex_unlock (cuda_of (memory)->base.queue);
  return umedpt_cuda_check (status, "clearing GPU memory", error);
}

gpointer
umedpt_cuda_feed_begin (UmedptBackend *backend, gsize size, GError **error)
{
  Stage *stage;

  g_mutex_lock (&transfer.feed_lock);
  stage = &transfer.feeds[transfer.next_feed % N_STAGES];
  if (stage_ready (stage, size, error))
    return stage->data;
  g_mutex_unlock (&transfer.feed_lock);
  return NULL;
}

/* The copy runs on a stream of its own; the compute stream waits for it. */
static gboolean
queue_feed (UmedptCuda *cuda, Stage *stage, gpointer dst, gsize size,
    GError **error)
{
  return umedpt_cuda_check (cudaMemcpyAsync (dst, stage->data, size,
                                cudaMemcpyHostToDevice, transfer.feed_stream),
             "copying to the GPU", error) &&
      stage_used (stage, transfer.feed_stream, error) &&
      umedpt_cuda_check (cudaEventRecord (transfer.fed, transfer.feed_stream),
          "recording an event", error) &&
      umedpt_cuda_check (cudaStreamWaitEvent (cuda->stream, transfer.fed, 0),
          "waiting for an event", error);
}

gboolean
umedpt_cuda_feed_end (UmedptBackend *backend, gpointer dst, gsize size,
    GError **error)
{
  gboolean ok = TRUE;

  if (dst) {
    Stage *stage = &transfer.feeds[transfer.next_feed++ % N_STAGES];

    g_rec_mutex_lock (backend->queue);
    ok = queue_feed (umedpt_cuda (backend), stage, dst, size, error);
    g_rec_mutex_unlock (backend->queue);
  }
  g_mutex_unlock (&transfer.feed_lock);
  return ok;
}

cudaStream_t
umedpt_cuda_feed_lock (void)
{
  g_mutex_lock (&transfer.feed_lock);
  return transfer.feed_stream;
}

gboolean
umedpt_cuda_feed_unlock (GError **error)
{
  gboolean ok = umedpt_cuda_check (cudaStreamSynchronize (transfer.feed_stream),
      "feeding the GPU", error);

  g_mutex_unlock (&transfer.feed_lock);
  return ok;
}

static gboolean
make_event (cudaEvent_t *event, GError **error)
{
  return umedpt_cuda_check (cudaEventCreateWithFlags (event,
                                cudaEventDisableTiming),
      "making an event", error);
}

gboolean
umedpt_cuda_transfer_init (UmedptCuda *cuda, GError **error)
{
  g_mutex_init (&transfer.lock);
  g_mutex_init (&transfer.down_lock);
  g_cond_init (&transfer.down_free);
  g_mutex_init (&transfer.feed_lock);
  cuda->memory = (UmedptMemory){ .name = "cuda",
    .allocate = allocate,
    .release = release,
    .upload = upload,
    .download = download,
    .copy = copy,
    .zero = zero };
  for (guint i = 0; i < N_STAGES; i++)
    if (!make_event (&transfer.stages[i].done, error) ||
        !make_event (&transfer.downs[i].done, error) ||
        !make_event (&transfer.feeds[i].done, error))
      return FALSE;
  return make_event (&transfer.fed, error) &&
      umedpt_cuda_check (cudaStreamCreateWithFlags (&transfer.feed_stream,
                             cudaStreamNonBlocking),
          "making a stream", error);
}
