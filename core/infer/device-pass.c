/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Images go through a device in batches. While one is computed, the next is
 * prepared on the host and copied beside it; only then is the first one's
 * result waited for, so the device rests between two batches for no longer
 * than it takes to start one.
 *
 *   feed 0 | run 0 | feed 1 | fetch 0 | run 1 | feed 2 | fetch 1 | ...
 *
 * The second batch of a size is recorded as a graph where the backend has
 * them; the first one has prepared what is made only once (weights, choice of
 * algorithms). Graphs have fixed addresses, so each batch is copied into the
 * graph's own input.
 *
 * A batch for which there is not enough memory is halved, and so are those
 * after it.
 */
#include "infer/device-pass.h"

#include <string.h>

#include "base/error.h"
#include "base/pool.h"
#include "infer/preprocess.h"
#include "net/model-private.h"

#define MAX_PLANS 8 /* sizes of batches that are kept prepared */

/* A size of batch that has been seen. */
typedef struct
{
  guint n;
  gboolean tried; /* to record it */
  UmedptTensor *input; /* u8 [n, H, W, 3] */
  UmedptTensor *output; /* (nullable) f32 [n, D]: the graph's */
  gpointer graph; /* (nullable) */
} Plan;

/* A batch on its way. */
typedef struct
{
  UmedptTensor *feed; /* u8 [n or more, H, W, 3]: its images */
  UmedptTensor *output; /* f32 [n, D] */
  guint n;
} Batch;

struct _UmedptDevicePass
{
  UmedptModel *model;
  UmedptContext *context;
  UmedptBackend *backend;
  gint width, height;
  guint size;

  GMutex feeding; /* one thread at a time prepares input */
  GMutex computing; /* … and one queues work, with the plans */
  GPtrArray *plans;
  GQueue feeds; /* idle UmedptTensor, under feeding */
  gint max_batch; /* atomic */
};

static void
plan_free (UmedptDevicePass *self, Plan *plan)
{
  if (plan->graph)
    self->backend->graph_free (self->backend, plan->graph);
  g_clear_pointer (&plan->output, umedpt_tensor_unref);
  g_clear_pointer (&plan->input, umedpt_tensor_unref);
  g_free (plan);
}

static void
lock_queue (UmedptDevicePass *self)
{
  if (self->backend->queue)
    g_rec_mutex_lock (self->backend->queue);
}

static void
unlock_queue (UmedptDevicePass *self)
{
  if (self->backend->queue)
    g_rec_mutex_unlock (self->backend->queue);
}

static void
drop_plans (UmedptDevicePass *self)
{
  lock_queue (self);
  for (guint i = 0; i < self->plans->len; i++)
    plan_free (self, g_ptr_array_index (self->plans, i));
  g_ptr_array_set_size (self->plans, 0);
  unlock_queue (self);
}

static void
drop_feeds (UmedptDevicePass *self)
{
  UmedptTensor *feed;

  while ((feed = g_queue_pop_head (&self->feeds)))
    umedpt_tensor_unref (feed);
}

UmedptDevicePass *
umedpt_device_pass_new (UmedptModel *model, UmedptContext *context, gint width,
    gint height, guint size)
{
  UmedptDevicePass *self = g_new0 (UmedptDevicePass, 1);

  self->model = model;
  self->context = context;
  self->backend = umedpt_context_get_backend (context);
  self->width = width;
  self->height = height;
  self->size = size;
  self->plans = g_ptr_array_new ();
  self->max_batch = UMEDPT_DEVICE_BATCH;
  g_mutex_init (&self->feeding);
  g_mutex_init (&self->computing);
  g_queue_init (&self->feeds);
  return self;
}

void
umedpt_device_pass_free (UmedptDevicePass *self)
{
  if (!self)
    return;
  drop_plans (self);
  g_ptr_array_unref (self->plans);
  drop_feeds (self);
  g_mutex_clear (&self->feeding);
  g_mutex_clear (&self->computing);
  g_free (self);
}

static gsize
image_bytes (const UmedptDevicePass *self)
{
  return (gsize) self->width * (gsize) self->height * 3;
}

static UmedptTensor *
new_images (UmedptDevicePass *self, guint n, GError **error)
{
  const gint64 shape[] = { n, self->height, self->width, 3 };

  return umedpt_tensor_new_in (self->backend->memory, UMEDPT_DTYPE_U8, 4, shape,
      error);
}

/* ---- Feeding ---- */

typedef struct
{
  UmedptDevicePass *pass;
  const UmedptImage *images;
  guint8 *bytes;
} Preparation;

static void
prepare_image (gpointer data, guint worker, guint i)
{
  const Preparation *job = data;

  umedpt_preprocess_into (&job->images[i], job->pass->width, job->pass->height,
      job->bytes + i * image_bytes (job->pass), NULL); /* they are checked */
}

/* The images as the network takes them, at @bytes. By all processors: one
 * alone would keep a fast card waiting. */
static gboolean
prepare (UmedptDevicePass *self, const UmedptImage *images, guint n,
    guint8 *bytes, GError **error)
{
  Preparation job = { self, images, bytes };

  for (guint i = 0; i < n; i++)
    if (!umedpt_preprocess_check (&images[i], error))
      return FALSE;
  umedpt_pool_run (umedpt_pool_get_default (), n, prepare_image, &job);
  return TRUE;
}

/* Without a way beside the queue: through it. */
static gboolean
feed_plainly (UmedptDevicePass *self, const UmedptImage *images, guint n,
    UmedptTensor *feed, GError **error)
{
  g_autofree guint8 *bytes = g_malloc (n * image_bytes (self));
  UmedptMemory *memory = self->backend->memory;

  return prepare (self, images, n, bytes, error) &&
      memory->upload (memory, feed->data, bytes, n * image_bytes (self), error);
}

static gboolean
feed_ahead (UmedptDevicePass *self, const UmedptImage *images, guint n,
    UmedptTensor *feed, GError **error)
{
  UmedptBackend *backend = self->backend;
  gsize size = n * image_bytes (self);
  guint8 *bytes = backend->feed_begin (backend, size, error);

  if (!bytes)
    return FALSE;
  if (prepare (self, images, n, bytes, error))
    return backend->feed_end (backend, feed->data, size, error);
  backend->feed_end (backend, NULL, size, NULL);
  return FALSE;
}

static void
batch_clear (UmedptDevicePass *self, Batch *batch)
{
  g_mutex_lock (&self->feeding);
  if (batch->feed)
    g_queue_push_head (&self->feeds, g_steal_pointer (&batch->feed));
  g_mutex_unlock (&self->feeding);
  g_clear_pointer (&batch->output, umedpt_tensor_unref);
}

/* Memory for input. It may have been somebody's whose queued work still uses
 * it, which input that travels beside the queue must not meet: waited for,
 * once. */
static UmedptTensor *
new_feed (UmedptDevicePass *self, guint n, GError **error)
{
  g_autoptr (UmedptTensor) feed = new_images (self, n, error);
  UmedptMemory *memory = self->backend->memory;
  guint8 byte;

  if (!feed || !umedpt_tensor_zero (feed, error) ||
      !memory->download (memory, &byte, feed->data, sizeof byte, error))
    return NULL;
  return g_steal_pointer (&feed);
}

/* A batch's memory for input is its own until its result has been fetched:
 * until then queued work reads it. */
static gboolean
feed (UmedptDevicePass *self, const UmedptImage *images, guint n, Batch *batch,
    GError **error)
{
  gboolean ok;

  g_mutex_lock (&self->feeding);
  batch->n = n;
  batch->feed = g_queue_pop_head (&self->feeds);
  if (batch->feed && batch->feed->shape[0] < n)
    g_clear_pointer (&batch->feed, umedpt_tensor_unref);
  if (!batch->feed)
    batch->feed = new_feed (self, n, error);
  ok = batch->feed &&
      (self->backend->feed_begin
              ? feed_ahead (self, images, n, batch->feed, error)
              : feed_plainly (self, images, n, batch->feed, error));
  g_mutex_unlock (&self->feeding);
  return ok;
}

/* ---- Computing ---- */

static UmedptTensor *
forward (UmedptDevicePass *self, UmedptTensor *images, GError **error)
{
  UmedptTensor *pyramid[UMEDPT_SWIN_LEVELS] = { NULL };
  UmedptTensor *vector; /* f32 [n, D] */

  if (!umedpt_model_encode (self->model, self->context, images, pyramid, error))
    return NULL;
  vector = umedpt_model_squeeze (self->model, self->context,
      pyramid[UMEDPT_SWIN_LEVELS - 1], NULL, error);
  for (gint i = 0; i < UMEDPT_SWIN_LEVELS; i++)
    umedpt_tensor_unref (pyramid[i]);
  return vector;
}

static Plan *
get_plan (UmedptDevicePass *self, guint n, GError **error)
{
  Plan *plan;

  for (guint i = 0; i < self->plans->len; i++) {
    plan = g_ptr_array_index (self->plans, i);
    if (plan->n == n)
      return plan;
  }
  if (self->plans->len >= MAX_PLANS)
    drop_plans (self);
  plan = g_new0 (Plan, 1);
  plan->n = n;
  plan->input = new_images (self, n, error);
  if (!plan->input) {
    g_free (plan);
    return NULL;
  }
  g_ptr_array_add (self->plans, plan);
  return plan;
}

/* Records the pass on the plan's input. Where that fails it is computed op by
 * op as before. The caller holds the queue. */
static void
record (UmedptDevicePass *self, Plan *plan)
{
  UmedptBackend *backend = self->backend;
  UmedptTensor *output;

  plan->tried = TRUE;
  if (!backend->graph_begin || !backend->graph_begin (backend, NULL))
    return;
  output = forward (self, plan->input, NULL);
  plan->graph = backend->graph_end (backend, NULL);
  if (plan->graph && output)
    plan->output = g_steal_pointer (&output);
  else if (plan->graph)
    backend->graph_free (backend, g_steal_pointer (&plan->graph));
  g_clear_pointer (&output, umedpt_tensor_unref);
}

/* The next run of the graph writes over its output: hence a copy. */
static UmedptTensor *
run_graph (UmedptDevicePass *self, Plan *plan, GError **error)
{
  g_autoptr (UmedptTensor) output = umedpt_tensor_new_in (self->backend->memory,
      UMEDPT_DTYPE_F32, 2, plan->output->shape, error);

  if (!output ||
      !self->backend->graph_run (self->backend, plan->graph, error) ||
      !umedpt_tensor_copy (output, plan->output, error))
    return NULL;
  return g_steal_pointer (&output);
}

static UmedptTensor *
run_plan (UmedptDevicePass *self, Plan *plan, const Batch *batch,
    GError **error)
{
  UmedptMemory *memory = self->backend->memory;
  UmedptTensor *output;

  if (!memory->copy (memory, plan->input->data, batch->feed->data,
          plan->n * image_bytes (self), error))
    return NULL;
  if (plan->graph)
    return run_graph (self, plan, error);
  output = forward (self, plan->input, error);
  if (output && !plan->tried)
    record (self, plan); /* for the next time */
  return output;
}

/* Queues the work. */
static gboolean
compute (UmedptDevicePass *self, Batch *batch, GError **error)
{
  Plan *plan;

  g_mutex_lock (&self->computing);
  lock_queue (self);
  plan = get_plan (self, batch->n, error);
  batch->output = plan ? run_plan (self, plan, batch, error) : NULL;
  unlock_queue (self);
  g_mutex_unlock (&self->computing);
  return batch->output != NULL;
}

/* Waits for the result; the batch is over then. */
static gboolean
fetch (UmedptDevicePass *self, Batch *batch, gfloat *embeddings, GError **error)
{
  UmedptMemory *memory = self->backend->memory;
  gboolean ok = memory->download (memory, embeddings, batch->output->data,
      (gsize) batch->n * self->size * sizeof *embeddings, error);

  batch_clear (self, batch);
  return ok;
}

/* ---- All of it ---- */

/* After a failure: waits until nothing uses the batch's memory. */
static void
abandon (UmedptDevicePass *self, Batch *batch)
{
  UmedptMemory *memory = self->backend->memory;
  guint8 byte;

  if (batch->feed)
    memory->download (memory, &byte, batch->feed->data, sizeof byte, NULL);
  batch_clear (self, batch);
}

/* What is known while images go through: [0, fed) are prepared, [0, done) have
 * their embeddings. */
typedef struct
{
  const UmedptImage *images;
  guint n_images;
  gfloat *embeddings;
  guint fed, done;
} Progress;

static gboolean
feed_next (UmedptDevicePass *self, Progress *progress, Batch *batch,
    GError **error)
{
  guint n = MIN (progress->n_images - progress->fed,
      (guint) g_atomic_int_get (&self->max_batch));

  if (!feed (self, progress->images + progress->fed, n, batch, error))
    return FALSE;
  progress->fed += n;
  return TRUE;
}

static gboolean
fetch_one (UmedptDevicePass *self, Progress *progress, Batch *batch,
    GError **error)
{
  guint n = batch->n;

  if (!fetch (self, batch,
          progress->embeddings + (gsize) progress->done * self->size, error))
    return FALSE;
  progress->done += n;
  return TRUE;
}

static gboolean
check_cancelled (GCancellable *cancellable, const Progress *progress,
    GError **error)
{
  if (!g_cancellable_is_cancelled (cancellable))
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_CANCELLED,
      "Stopped on request after %u of %u images.", progress->done,
      progress->n_images);
  return FALSE;
}

/* From where @progress stands to the end, or to an error. */
static gboolean
stream (UmedptDevicePass *self, Progress *progress, Batch *current, Batch *next,
    GCancellable *cancellable, GError **error)
{
  while (progress->done < progress->n_images) {
    if (!check_cancelled (cancellable, progress, error))
      return FALSE;
    if (!current->feed && !feed_next (self, progress, current, error))
      return FALSE;
    if (!compute (self, current, error))
      return FALSE;
    if (progress->fed < progress->n_images &&
        !feed_next (self, progress, next, error))
      return FALSE;
    if (!fetch_one (self, progress, current, error))
      return FALSE;
    *current = *next;
    *next = (Batch){ NULL };
  }
  return TRUE;
}

/* Whether to go on with smaller batches. What could be forgotten is. */
static gboolean
shrink (UmedptDevicePass *self, const GError *why)
{
  gint n = g_atomic_int_get (&self->max_batch);

  if (!g_error_matches (why, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY) || n <= 1)
    return FALSE;
  g_mutex_lock (&self->computing);
  drop_plans (self);
  g_mutex_unlock (&self->computing);
  g_mutex_lock (&self->feeding);
  drop_feeds (self);
  g_mutex_unlock (&self->feeding);
  g_atomic_int_set (&self->max_batch, n / 2);
  return TRUE;
}

gboolean
umedpt_device_pass_embed (UmedptDevicePass *self, const UmedptImage *images,
    guint n_images, gfloat *embeddings, GCancellable *cancellable,
    GError **error)
{
  Progress progress = { images, n_images, embeddings, 0, 0 };
  GError *local = NULL;

  for (;;) {
    Batch current = { NULL }, next = { NULL };
    gboolean ok =
        stream (self, &progress, &current, &next, cancellable, &local);

    if (ok)
      return TRUE;
    abandon (self, &current);
    abandon (self, &next);
    if (!shrink (self, local))
      break;
    g_clear_error (&local);
    progress.fed = progress.done;
  }
  g_propagate_error (error, local);
  return FALSE;
}
