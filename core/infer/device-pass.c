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
 * after it; before that, all that is only kept prepared goes.
 *
 * Tasks go another way (encoding.c), with the same input (device-feed.c) and
 * with graphs of their own (device-slots.c), which are kept here.
 */
#include "infer/device-pass.h"

#include "base/error.h"
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
  guint n;
  UmedptFed fed; /* its images */
  UmedptTensor *output; /* f32 [n, D] */
} Batch;

struct _UmedptDevicePass
{
  UmedptModel *model;
  UmedptContext *context;
  UmedptBackend *backend;
  gint width, height;
  guint size;

  UmedptDeviceFeed *feed;
  UmedptSlots *slots;
  GMutex computing; /* one thread at a time queues work, with the plans */
  GPtrArray *plans;
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
  self->feed = umedpt_device_feed_new (self->backend);
  self->slots = umedpt_slots_new (self->backend,
      umedpt_model_get_description (model)->tasks->len);
  g_mutex_init (&self->computing);
  return self;
}

void
umedpt_device_pass_free (UmedptDevicePass *self)
{
  if (!self)
    return;
  drop_plans (self);
  g_ptr_array_unref (self->plans);
  umedpt_slots_free (self->slots);
  umedpt_device_feed_free (self->feed);
  g_mutex_clear (&self->computing);
  g_free (self);
}

/* ---- Batches ---- */

/* Gives up a batch; its device has been waited for. */
static void
batch_clear (UmedptDevicePass *self, Batch *batch)
{
  umedpt_device_feed_return (self->feed, &batch->fed);
  g_clear_pointer (&batch->output, umedpt_tensor_unref);
}

/* A batch's memory for input is its own until its result has been fetched:
 * until then queued work reads it. */
static gboolean
feed (UmedptDevicePass *self, const UmedptImage *images, guint n, Batch *batch,
    GError **error)
{
  batch->n = n;
  return umedpt_device_feed_send (self->feed, images, n, self->width,
      self->height, &batch->fed, error);
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
  const gint64 shape[] = { n, self->height, self->width, 3 };
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
  plan->input = umedpt_tensor_new_in (self->backend->memory, UMEDPT_DTYPE_U8, 4,
      shape, error);
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
  UmedptTensor *output;

  if (!umedpt_tensor_copy (plan->input, batch->fed.images, error))
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

/* After a failure: waits until nothing uses the batch's memory. */
static void
abandon (UmedptDevicePass *self, Batch *batch)
{
  UmedptMemory *memory = self->backend->memory;
  guint8 byte;

  if (batch->fed.images)
    memory->download (memory, &byte, batch->fed.images->data, sizeof byte,
        NULL);
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
      umedpt_device_pass_get_max_batch (self));

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
    if (!current->fed.images && !feed_next (self, progress, current, error))
      return FALSE;
    if (!compute (self, current, error))
      return FALSE;
    if (progress->fed < progress->n_images &&
        !feed_next (self, progress, next, error))
      return FALSE;
    if (!fetch_one (self, progress, current, error))
      return FALSE;
    *current = *next;
    *next = (Batch){ 0 };
  }
  return TRUE;
}

/* ---- Memory ---- */

gboolean
umedpt_device_pass_forget (UmedptDevicePass *self)
{
  g_mutex_lock (&self->computing);
  drop_plans (self);
  g_mutex_unlock (&self->computing);
  umedpt_device_feed_forget (self->feed);
  return umedpt_slots_forget (self->slots);
}

gboolean
umedpt_device_pass_shrink (UmedptDevicePass *self, const GError *why)
{
  gint n = g_atomic_int_get (&self->max_batch);

  if (!g_error_matches (why, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY))
    return FALSE;
  if (umedpt_device_pass_forget (self))
    return TRUE; /* graphs of tasks held memory: as many images again */
  if (n <= 1)
    return FALSE;
  g_atomic_int_set (&self->max_batch, n / 2);
  return TRUE;
}

guint
umedpt_device_pass_get_max_batch (UmedptDevicePass *self)
{
  return (guint) g_atomic_int_get (&self->max_batch);
}

UmedptDeviceFeed *
umedpt_device_pass_get_feed (UmedptDevicePass *self)
{
  return self->feed;
}

UmedptSlots *
umedpt_device_pass_get_slots (UmedptDevicePass *self)
{
  return self->slots;
}

/* ---- All of it ---- */

gboolean
umedpt_device_pass_embed (UmedptDevicePass *self, const UmedptImage *images,
    guint n_images, gfloat *embeddings, GCancellable *cancellable,
    GError **error)
{
  Progress progress = { images, n_images, embeddings, 0, 0 };
  GError *local = NULL;

  for (;;) {
    Batch current = { 0 }, next = { 0 };
    gboolean ok =
        stream (self, &progress, &current, &next, cancellable, &local);

    if (ok)
      return TRUE;
    abandon (self, &current);
    abandon (self, &next);
    if (!umedpt_device_pass_shrink (self, local))
      break;
    g_clear_error (&local);
    progress.fed = progress.done;
  }
  g_propagate_error (error, local);
  return FALSE;
}
