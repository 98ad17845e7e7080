/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Batches made ahead of their use. Threads claim one sample after the other,
 * of the oldest batch that has unclaimed ones, read, augment and store it in
 * the batch's tensors; so all of them work for the batch that is needed next,
 * and the number of batches in the making bounds the memory. Threads of their
 * own, not the worker pool: reading waits for disks, and computing must not
 * wait for reading. They begin with the first batch asked for.
 */
#include <string.h>

#include "base/error.h"
#include "data/loader-private.h"
#include "tensor/storage.h"

#define MAX_THREADS 64

/* A batch in the making. It leaves the queue when it is handed out or not
 * wanted any more; a thread that still works for it holds a reference. */
typedef struct
{
  guint refs; /* guarded by the loader's lock */
  guint64 epoch;
  guint number;
  UmedptOrder *order;
  guint first, n; /* positions in the order */
  guint claimed, done;
  UmedptBatch *batch;
  GError *error; /* of the first sample that could not be read … */
  guint error_at; /* … which is this one */
} Slot;

struct _UmedptLoader
{
  UmedptDataset *dataset;
  UmedptLoaderSettings settings;
  UmedptBatchShape shape;
  guint n_planes;
  guint n_batches;
  guint part, n_parts; /* of each batch */
  UmedptUnits *units;
  UmedptSampleCache *cache; /* (nullable) */
  GPtrArray *threads;

  GMutex lock; /* guards all below */
  GCond work; /* for the threads: something to claim, or the end */
  GCond ready; /* for next(): a batch is complete, or cancelled */
  gboolean quit;
  guint64 epoch, open_epoch; /* handed out next; put into the queue next */
  guint number, open_number;
  UmedptOrder *order; /* of open_epoch; NULL: not made yet */
  GQueue slots; /* of Slot, in order */
  gint64 waited; /* microseconds */
};

static void
slot_unref (Slot *slot)
{
  if (--slot->refs > 0)
    return;
  umedpt_order_unref (slot->order);
  umedpt_batch_free (slot->batch);
  g_clear_error (&slot->error);
  g_free (slot);
}

static void
drop_slots (UmedptLoader *self)
{
  Slot *slot;

  while ((slot = g_queue_pop_head (&self->slots)))
    slot_unref (slot);
}

static void
advance (UmedptLoader *self, guint64 *epoch, guint *number)
{
  if (++*number >= self->n_batches) {
    *number = 0;
    ++*epoch;
  }
}

static void
set_groups (const Slot *slot)
{
  const gint32 *cases = (const gint32 *) slot->order->cases->data;

  memcpy (umedpt_tensor_get_data_writable (slot->batch->groups),
      cases + slot->first, slot->n * sizeof (gint32));
}

/* Where this loader's part of a batch is: positions in the order. */
static void
place_slot (UmedptLoader *self, Slot *slot)
{
  const guint *first = self->order->first + slot->number;
  guint64 n = first[1] - first[0];
  guint begin = (guint) (n * self->part / self->n_parts);

  slot->first = first[0] + begin;
  slot->n = (guint) (n * (self->part + 1) / self->n_parts) - begin;
}

/* The first batch not yet in the queue enters it. */
static Slot *
open_slot (UmedptLoader *self)
{
  Slot *slot = g_new0 (Slot, 1);
  guint n_groups = 0;

  if (!self->order)
    self->order =
        umedpt_order_new (self->units, &self->settings, self->open_epoch);
  slot->refs = 1;
  slot->epoch = self->open_epoch;
  slot->number = self->open_number;
  slot->order = umedpt_order_ref (self->order);
  place_slot (self, slot);
  if (self->settings.grouped)
    n_groups = 1 +
        (guint) g_array_index (self->order->cases, gint32,
            slot->first + slot->n - 1);
  slot->batch =
      umedpt_batch_new (&self->shape, slot->n, n_groups, &slot->error);
  if (!slot->batch)
    slot->claimed = slot->done = slot->n;
  else
    slot->batch->first = slot->first - self->order->first[slot->number];
  if (slot->batch && n_groups > 0)
    set_groups (slot);
  g_queue_push_tail (&self->slots, slot);
  advance (self, &self->open_epoch, &self->open_number);
  if (self->open_number == 0)
    g_clear_pointer (&self->order, umedpt_order_unref);
  return slot;
}

/* The next sample to make, or NULL. */
static Slot *
claim (UmedptLoader *self, guint *item)
{
  Slot *slot = NULL;

  for (GList *l = self->slots.head; l && !slot; l = l->next) {
    Slot *candidate = l->data;

    if (candidate->claimed < candidate->n)
      slot = candidate;
  }
  if (!slot && self->slots.length < self->settings.ahead)
    slot = open_slot (self);
  if (!slot || slot->claimed == slot->n)
    return NULL;
  *item = slot->claimed++;
  slot->refs++;
  return slot;
}

static UmedptSample *
read_sample (UmedptLoader *self, guint index, GError **error)
{
  g_autoptr (UmedptSample) sample = NULL;

  if (self->cache)
    sample = umedpt_sample_cache_lookup (self->cache, index);
  if (sample)
    return g_steal_pointer (&sample);
  sample = umedpt_dataset_read (self->dataset, index, error);
  if (!sample || !umedpt_batch_check (&self->shape, sample, error))
    return NULL;
  if (self->cache)
    umedpt_sample_cache_insert (self->cache, index, sample);
  return g_steal_pointer (&sample);
}

/* The row of a batch's targets that the image at @position decides, or -1. */
static gint
target_row (UmedptLoader *self, const Slot *slot, guint position)
{
  const gint32 *cases = (const gint32 *) slot->order->cases->data;

  if (!self->settings.grouped)
    return (gint) (position - slot->first);
  if (position > slot->first && cases[position] == cases[position - 1])
    return -1;
  return cases[position];
}

/* Reads, augments and stores one sample; runs without the lock. */
static gboolean
make (UmedptLoader *self, Slot *slot, guint item, GError **error)
{
  guint position = slot->first + item;
  guint index = g_array_index (slot->order->samples, guint, position);
  g_autofree char *name = g_strdup_printf ("augment/%" G_GUINT64_FORMAT "/%u",
      slot->epoch, position);
  g_autoptr (UmedptSample) sample = NULL;
  g_autoptr (UmedptSample) result = NULL;
  UmedptRandom random;

  sample = read_sample (self, index, error);
  if (!sample) {
    const char *file = umedpt_dataset_get_name (self->dataset, index);

    if (error && *error && file && !strstr ((*error)->message, file))
      g_prefix_error (error, "%s: ", file);
    return FALSE;
  }
  umedpt_random_init_named (&random, self->settings.seed, name);
  result = umedpt_augment (sample, self->n_planes, &self->settings.augment,
      &random, &slot->batch->maps[item]);
  if (!result) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY,
        "%s: there is no memory for an image of %d x %d pixels.",
        umedpt_dataset_get_name (self->dataset, index),
        self->settings.augment.width, self->settings.augment.height);
    return FALSE;
  }
  slot->batch->indices[item] = index;
  umedpt_batch_store (slot->batch, &self->shape, item,
      target_row (self, slot, position), result);
  return TRUE;
}

static void
finish (UmedptLoader *self, Slot *slot, guint item, GError *error)
{
  if (error && (!slot->error || item < slot->error_at)) {
    g_clear_error (&slot->error);
    slot->error = error;
    slot->error_at = item;
  } else {
    g_clear_error (&error);
  }
  if (++slot->done == slot->n)
    g_cond_broadcast (&self->ready);
  slot_unref (slot);
}

static gpointer
run (gpointer data)
{
  UmedptLoader *self = data;

  umedpt_storage_set_counted (FALSE); /* batches are no activations */
  g_mutex_lock (&self->lock);
  while (!self->quit) {
    GError *error = NULL;
    guint item;
    Slot *slot = claim (self, &item);

    if (!slot) {
      /* A batch for which there was no memory, and a part without images, are
       * ready without any work. */
      g_cond_broadcast (&self->ready);
      g_cond_wait (&self->work, &self->lock);
      continue;
    }
    g_mutex_unlock (&self->lock);
    make (self, slot, item, &error);
    g_mutex_lock (&self->lock);
    finish (self, slot, item, error);
  }
  g_mutex_unlock (&self->lock);
  return NULL;
}

/* FALSE with @error set if the system gives not even one thread. */
static gboolean
start (UmedptLoader *self, GError **error)
{
  g_autoptr (GError) local = NULL;

  for (guint i = 0; i < self->settings.threads && !local; i++) {
    GThread *thread = g_thread_try_new ("umedpt-loader", run, self, &local);

    if (thread)
      g_ptr_array_add (self->threads, thread);
  }
  if (self->threads->len > 0)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY,
      "Cannot start a thread to read samples: %s.", local->message);
  return FALSE;
}

/**
 * umedpt_loader_new:
 * @dataset: where the samples are
 * @indices: (element-type guint): which of them to use; copied
 * @settings: copied
 *
 * Reads nothing yet: the threads start with the first batch asked for. With
 * `grouped`, `batch` counts cases; without `shuffle`, `max_group` images of a
 * case are spread evenly and the same in each epoch. With `balanced`, an epoch
 * has as many samples (cases) as there are, but rare classes come several
 * times and frequent ones not as a whole; it implies a random order.
 *
 * Returns: (transfer full): the loader, with umedpt_loader_free()
 *
 * Since: 0.1
 */
UmedptLoader *
umedpt_loader_new (UmedptDataset *dataset, const GArray *indices,
    const UmedptLoaderSettings *settings)
{
  UmedptLoader *self;
  const char *const *labels;

  g_return_val_if_fail (UMEDPT_IS_DATASET (dataset) && indices, NULL);
  g_return_val_if_fail (settings->augment.width > 0, NULL);
  g_return_val_if_fail (settings->augment.height > 0, NULL);

  self = g_new0 (UmedptLoader, 1);
  self->dataset = g_object_ref (dataset);
  self->settings = *settings;
  self->settings.batch = MAX (settings->batch, 1);
  self->settings.threads = CLAMP (settings->threads, 1, MAX_THREADS);
  self->settings.ahead = settings->ahead ? settings->ahead : 2;
  labels = umedpt_dataset_get_labels (dataset);
  self->shape = (UmedptBatchShape){ umedpt_dataset_get_kind (dataset),
    settings->augment.width, settings->augment.height,
    labels ? g_strv_length ((char **) labels) : 1, settings->grouped };
  self->n_planes = self->shape.kind == UMEDPT_TASK_MULTILABEL ||
          self->shape.kind == UMEDPT_TASK_MULTILABEL_SEGMENTATION
      ? self->shape.n_labels
      : 1;
  self->units = umedpt_units_new (dataset, indices, settings->grouped);
  self->n_batches = self->units->n / self->settings.batch +
      (self->units->n % self->settings.batch > 0);
  if (settings->cache_bytes > 0)
    self->cache =
        umedpt_sample_cache_new (settings->cache_bytes, self->n_planes);
  self->n_parts = 1;
  self->threads = g_ptr_array_new ();
  g_mutex_init (&self->lock);
  g_cond_init (&self->work);
  g_cond_init (&self->ready);
  g_queue_init (&self->slots);
  return self;
}

/**
 * umedpt_loader_free:
 * @self: (nullable) (transfer full): a loader
 *
 * Stops the threads, which finish the sample at hand, and frees everything.
 *
 * Since: 0.1
 */
void
umedpt_loader_free (UmedptLoader *self)
{
  if (!self)
    return;
  g_mutex_lock (&self->lock);
  self->quit = TRUE;
  g_cond_broadcast (&self->work);
  g_mutex_unlock (&self->lock);
  for (guint i = 0; i < self->threads->len; i++)
    g_thread_join (self->threads->pdata[i]);
  drop_slots (self);
  g_clear_pointer (&self->order, umedpt_order_unref);
  g_ptr_array_unref (self->threads);
  umedpt_sample_cache_free (self->cache);
  umedpt_units_free (self->units);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->work);
  g_cond_clear (&self->ready);
  g_object_unref (self->dataset);
  g_free (self);
}

/**
 * umedpt_loader_get_n_batches:
 * @self: a loader
 *
 * Returns: batches per epoch, the last perhaps smaller; 0 without samples
 *
 * Since: 0.1
 */
guint
umedpt_loader_get_n_batches (UmedptLoader *self)
{
  return self->n_batches;
}

/**
 * umedpt_loader_seek:
 * @self: a loader
 * @epoch: from 0
 * @batch: from 0; beyond the end of an epoch it counts on in the next
 *
 * The next batch will be this one. What was made ahead is dropped.
 *
 * Since: 0.1
 */
void
umedpt_loader_seek (UmedptLoader *self, guint64 epoch, guint batch)
{
  guint n = MAX (self->n_batches, 1);

  g_mutex_lock (&self->lock);
  drop_slots (self);
  g_clear_pointer (&self->order, umedpt_order_unref);
  self->epoch = self->open_epoch = epoch + batch / n;
  self->number = self->open_number = batch % n;
  g_cond_broadcast (&self->work);
  g_mutex_unlock (&self->lock);
}

/**
 * umedpt_loader_tell:
 * @self: a loader
 * @epoch: (out): of the next batch
 * @batch: (out): its number
 *
 * Which batch umedpt_loader_next() gives next; all that must be remembered to
 * go on there later.
 *
 * Since: 0.1
 */
void
umedpt_loader_tell (UmedptLoader *self, guint64 *epoch, guint *batch)
{
  g_mutex_lock (&self->lock);
  *epoch = self->epoch;
  *batch = self->number;
  g_mutex_unlock (&self->lock);
}

/**
 * umedpt_loader_set_part:
 * @self: a loader that has not given a batch yet, not of cases
 * @part: from 0
 * @n_parts: at least 1
 *
 * Makes this part of each batch only, for loaders of several processes that
 * share the work: of n images those from @part n / @n_parts on, up to the next
 * part; perhaps none. Together the parts are the batch, with the same bits.
 *
 * Since: 0.1
 */
void
umedpt_loader_set_part (UmedptLoader *self, guint part, guint n_parts)
{
  g_return_if_fail (self && part < n_parts && self->threads->len == 0);
  g_return_if_fail (n_parts == 1 || !self->settings.grouped);

  self->part = part;
  self->n_parts = n_parts;
}

static gboolean
is_ready (UmedptLoader *self)
{
  Slot *slot = g_queue_peek_head (&self->slots);

  return slot && slot->done == slot->n;
}

/* Takes the complete batch at the head. After an error the position stays, and
 * the batch is made anew if it is asked for again. */
static UmedptBatch *
take (UmedptLoader *self, GError **error)
{
  Slot *slot = g_queue_peek_head (&self->slots);
  UmedptBatch *batch = NULL;

  if (slot->error) {
    g_propagate_error (error, g_steal_pointer (&slot->error));
    drop_slots (self);
    g_clear_pointer (&self->order, umedpt_order_unref);
    self->open_epoch = self->epoch;
    self->open_number = self->number;
    return NULL;
  }
  batch = g_steal_pointer (&slot->batch);
  slot_unref (g_queue_pop_head (&self->slots));
  advance (self, &self->epoch, &self->number);
  g_cond_broadcast (&self->work);
  return batch;
}

static void
on_cancelled (GCancellable *cancellable, gpointer data)
{
  UmedptLoader *self = data;

  g_mutex_lock (&self->lock);
  g_cond_broadcast (&self->ready);
  g_mutex_unlock (&self->lock);
}

static void
wait_for_batch (UmedptLoader *self, GCancellable *cancellable)
{
  gint64 begin = g_get_monotonic_time ();
  gulong handler = 0;

  if (cancellable)
    handler = g_cancellable_connect (cancellable, G_CALLBACK (on_cancelled),
        self, NULL);
  g_mutex_lock (&self->lock);
  g_cond_broadcast (&self->work);
  while (!is_ready (self) && !g_cancellable_is_cancelled (cancellable))
    g_cond_wait (&self->ready, &self->lock);
  self->waited += g_get_monotonic_time () - begin;
  g_mutex_unlock (&self->lock);
  if (cancellable)
    g_cancellable_disconnect (cancellable, handler);
}

/**
 * umedpt_loader_next:
 * @self: a loader; one thread at a time
 * @cancellable: (nullable): wakes a waiting call
 * @error: return location for a #GError
 *
 * Waits for the next batch. After an error (a file that cannot be read,
 * %UMEDPT_ERROR_CANCELLED) the same batch comes next.
 *
 * Returns: (transfer full): the batch, with umedpt_batch_free(), or %NULL with
 *   @error set
 *
 * Since: 0.1
 */
UmedptBatch *
umedpt_loader_next (UmedptLoader *self, GCancellable *cancellable,
    GError **error)
{
  UmedptBatch *batch = NULL;

  g_return_val_if_fail (self && (!error || !*error), NULL);

  if (self->n_batches == 0) {
    g_set_error_literal (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
        "There are no samples to make a batch of: this part of the data set is "
        "empty.");
    return NULL;
  }
  if (self->threads->len == 0 && !start (self, error))
    return NULL;
  wait_for_batch (self, cancellable);
  g_mutex_lock (&self->lock);
  if (g_cancellable_is_cancelled (cancellable))
    g_set_error_literal (error, UMEDPT_ERROR, UMEDPT_ERROR_CANCELLED,
        "Reading a batch was cancelled.");
  else
    batch = take (self, error);
  g_mutex_unlock (&self->lock);
  return batch;
}

/**
 * umedpt_loader_take_wait:
 * @self: a loader
 *
 * Returns: seconds that umedpt_loader_next() has waited since this was last
 *   asked
 *
 * Since: 0.1
 */
double
umedpt_loader_take_wait (UmedptLoader *self)
{
  gint64 waited;

  g_mutex_lock (&self->lock);
  waited = self->waited;
  self->waited = 0;
  g_mutex_unlock (&self->lock);
  return (double) waited / G_USEC_PER_SEC;
}
