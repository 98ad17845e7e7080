/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One round: a batch of each task in turn, forward and backward, each head
 * stepped as soon as its gradient is there, and at the end one step of the
 * shared blocks with the sum of all gradients (Schäfer et al. 2024, Methods).
 * Shared parameters change at the end only, so that all tasks of a round see
 * the same ones. Heads that several processes share step a little later, all
 * together (shares.c). A batch in which nothing counts adds nothing, and costs no
 * step. One task's activations are in memory at a time.
 */
#include <math.h>

#include "base/error.h"
#include "base/random.h"
#include "tensor/storage.h"
#include "train/trainer-private.h"

guint
umedpt_trainer_get_round_tasks (UmedptTrainer *self)
{
  return self->config->round_tasks ? self->config->round_tasks : self->n_tasks;
}

/* Dropout and stochastic depth draw from a stream of their own per pass. */
static guint64
pass_seed (UmedptTrainer *self, const UmedptRunTask *task, guint first)
{
  g_autofree char *name =
      g_strdup_printf ("pass/%s/%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT "/%u",
          task->config->name, self->state.epoch, self->state.pass, first);
  UmedptRandom random;

  umedpt_random_init_named (&random, self->config->seed, name);
  return umedpt_random_next (&random);
}

/* The files of a batch, for a message: the first few. */
static char *
name_files (const UmedptRunTask *task, const UmedptBatch *batch)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < MIN (batch->n, 16); i++)
    g_string_append_printf (text, "%s%s", i ? ", " : "",
        umedpt_dataset_get_name (task->config->dataset, batch->indices[i]));
  if (batch->n > 16)
    g_string_append_printf (text, " and %u more", batch->n - 16);
  return g_string_free (text, FALSE);
}

static gboolean
check_finite (UmedptTrainer *self, const UmedptRunTask *task,
    const UmedptBatch *batch, const UmedptLoss *loss, GError **error)
{
  g_autofree char *files = NULL;

  if (isfinite (loss->total))
    return TRUE;
  files = name_files (task, batch);
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
      "The loss of task '%s' is %g in round %" G_GUINT64_FORMAT
      " (epoch %" G_GUINT64_FORMAT ", files: %s). The last checkpoint is as it "
      "was before. Look at these files, lower [optimizer] lr, or add a warm-up.",
      task->config->name, loss->total, self->state.round, self->state.epoch,
      files);
  return FALSE;
}

static void
add_loss (UmedptLoss *sum, const UmedptLoss *part)
{
  sum->total += part->total;
  sum->n_parts = part->n_parts;
  for (guint i = 0; i < part->n_parts; i++) {
    sum->names[i] = part->names[i];
    sum->parts[i] += part->parts[i];
  }
}

/* Forward and loss of images @first … @first + @n; records. The features are
 * given up before the backward pass, which frees what it has used. */
static gboolean
forward (UmedptTrainer *self, UmedptRunTask *task, const UmedptBatch *batch,
    guint first, guint n, const UmedptLossNormalizers *normalizers,
    UmedptLoss *loss, GError **error)
{
  const UmedptPass pass = { self->config->dropout,
    pass_seed (self, task, batch->first + first),
    self->config->checkpoint_activations };
  UmedptFeatures features = { { 0 } };
  UmedptTaskOutput output = { 0 };
  g_autoptr (UmedptTensor) images =
      umedpt_train_rows (batch->images, first, n, error);
  gboolean ok = images &&
      umedpt_model_encode_features (self->model, self->context, images, &pass,
          &features, error) &&
      umedpt_model_run_task (self->model, self->context, &features, task->index,
          batch->groups, batch->n_groups, &output, error) &&
      umedpt_loss_begin (self->context, task->description, &output, batch,
          first, task->config->focal_gamma, normalizers, loss, error);

  umedpt_task_output_clear (&output);
  umedpt_features_clear (&features);
  return ok;
}

static gboolean
read_loss (UmedptTrainer *self, const UmedptRunTask *task,
    const UmedptBatch *batch, UmedptLoss *loss, UmedptLoss *sum, GError **error)
{
  if (!umedpt_loss_read (loss, error) ||
      !check_finite (self, task, batch, loss, error))
    return FALSE;
  add_loss (sum, loss);
  sum->skipped = FALSE;
  return TRUE;
}

/* On the host the loss is looked at before more is computed. A device would
 * wait, so there its backward pass is queued first. */
static gboolean
backward (UmedptTrainer *self, const UmedptRunTask *task,
    const UmedptBatch *batch, UmedptLoss *loss, UmedptLoss *sum, GError **error)
{
  if (umedpt_context_get_backend (self->context)->host_memory)
    return read_loss (self, task, batch, loss, sum, error) &&
        umedpt_tape_backward (self->tape, self->context, error);
  return umedpt_tape_backward (self->tape, self->context, error) &&
      read_loss (self, task, batch, loss, sum, error);
}

/* One part of a batch, or all of it. */
static gboolean
run_part (UmedptTrainer *self, UmedptRunTask *task, const UmedptBatch *batch,
    guint first, guint n, const UmedptLossNormalizers *normalizers,
    UmedptLoss *sum, GError **error)
{
  UmedptLoss loss = { 0 };
  gboolean ok;

  umedpt_context_set_tape (self->context, self->tape);
  ok = forward (self, task, batch, first, n, normalizers, &loss, error);
  umedpt_context_set_tape (self->context, NULL);
  if (ok && !loss.skipped)
    ok = backward (self, task, batch, &loss, sum, error);
  umedpt_loss_clear (&loss);
  if (umedpt_tape_get_n_recorded (self->tape)) { /* and not gone back over */
    umedpt_tape_free (self->tape); /* with what it holds */
    self->tape = umedpt_tape_new ();
  }
  return ok;
}

/* How many images at once: all, unless less are asked for and the loss can be
 * computed in parts. One by one saves memory, and a CPU computes them as fast;
 * a device needs many at once to be busy. */
static guint
part_size (UmedptTrainer *self, const UmedptRunTask *task,
    const UmedptBatch *batch)
{
  guint wanted = self->config->micro_batch;

  if (wanted == UMEDPT_TRAIN_AUTO)
    wanted =
        umedpt_context_get_backend (self->context)->host_memory ? 1 : batch->n;
  if (!wanted || wanted >= batch->n || batch->groups ||
      !umedpt_loss_is_sum (task->description->kind))
    return batch->n;
  return wanted;
}

/* @shared: @batch is a part of one that several processes share. */
static gboolean
run_batch (UmedptTrainer *self, UmedptRunTask *task, const UmedptBatch *batch,
    gboolean shared, UmedptLoss *loss, GError **error)
{
  UmedptLossNormalizers normalizers = task->whole;
  const guint size = part_size (self, task, batch);
  const gboolean in_parts = shared || size < batch->n;

  if (in_parts && !shared &&
      !umedpt_loss_normalizers (task->description, batch, &normalizers, error))
    return FALSE;
  loss->skipped = TRUE;
  for (guint first = 0; first < batch->n; first += size) {
    guint n = MIN (size, batch->n - first);

    if (!run_part (self, task, batch, first, n, in_parts ? &normalizers : NULL,
            loss, error))
      return FALSE;
  }
  return TRUE;
}

/* Adds where the gradient went wrong to what the optimiser says. */
static gboolean
step_head (UmedptTrainer *self, UmedptRunTask *task, const UmedptBatch *batch,
    double factor, GError **error)
{
  g_autofree char *files = NULL;

  if (umedpt_optimizer_step (task->optimizer, self->context, factor, NULL,
          error))
    return TRUE;
  files = name_files (task, batch);
  g_prefix_error (error, "Task '%s', round %" G_GUINT64_FORMAT " (files: %s): ",
      task->config->name, self->state.round, files);
  return FALSE;
}

/* The next batch of a task; what is shared is there already. */
static UmedptBatch *
take_batch (UmedptTrainer *self, UmedptRunTask *task, GError **error)
{
  UmedptBatch *batch = g_steal_pointer (&task->batch);

  if (batch)
    return batch;
  batch = umedpt_loader_next (task->loader, NULL, error);
  if (batch)
    self->last.loader_wait += umedpt_loader_take_wait (task->loader);
  return batch;
}

/* A batch of one task, from the loader to the step of its head. */
static gboolean
run_pass (UmedptTrainer *self, guint which, double factor, GError **error)
{
  UmedptRunTask *task = &self->tasks[which];
  const gboolean shared = umedpt_trainer_is_shared (self, which);
  g_autoptr (UmedptBatch) batch = take_batch (self, task, error);
  UmedptLoss loss = { 0 };
  gsize before, peak;

  if (!batch)
    return FALSE;
  umedpt_storage_get_peak (TRUE);
  before = umedpt_storage_get_peak (FALSE);
  if (!run_batch (self, task, batch, shared, &loss, error))
    return FALSE;
  peak = umedpt_storage_get_peak (FALSE);
  self->last.activations = MAX (self->last.activations, peak - before);
  self->last.images += batch->n;
  if (loss.skipped)
    return TRUE;
  add_loss (&self->last.losses[which], &loss);
  task->ran = TRUE;
  if (shared)
    return TRUE; /* steps with the parts of others */
  self->last.passes[which]++;
  return step_head (self, task, batch,
      self->config->schedule.heads ? factor : 1, error);
}

/* What the tasks of a round have gathered moves the shared blocks. */
static gboolean
step_shared (UmedptTrainer *self, double factor, GError **error)
{
  self->last.lr = self->config->optimizer.lr * factor;
  if (!umedpt_optimizer_step (self->shared, self->context, factor,
          &self->last.grad_norm, error)) {
    g_prefix_error (error, "Shared blocks, round %" G_GUINT64_FORMAT ": ",
        self->state.round);
    return FALSE;
  }
  umedpt_parameters_changed (umedpt_model_get_parameters (self->model));
  return !self->average ||
      umedpt_average_update (self->average, self->context, error);
}

static void
begin_last (UmedptTrainer *self)
{
  UmedptLoss *losses = self->last.losses;
  guint *passes = self->last.passes;

  for (guint i = 0; i < self->n_tasks; i++) {
    losses[i] = (UmedptLoss){ 0 };
    passes[i] = 0;
  }
  self->last = (UmedptRound){ .losses = losses, .passes = passes };
}

/* This rank's part of the passes before @end. */
static gboolean
run_passes (UmedptTrainer *self, guint64 end, double factor, GError **error)
{
  for (; self->state.pass < end; self->state.pass++) {
    guint task = umedpt_sampler_plan_get (self->plan, self->state.epoch,
        self->state.pass);

    if (umedpt_trainer_owns (self, task) &&
        !run_pass (self, task, factor, error))
      return FALSE;
  }
  return TRUE;
}

/* All passes of a round, on all ranks. */
static gboolean
run_round (UmedptTrainer *self, double factor, GError **error)
{
  const guint64 end = MIN (umedpt_sampler_plan_get_length (self->plan),
      self->state.pass + umedpt_trainer_get_round_tasks (self));
  gboolean ok = umedpt_model_begin_round (self->model, self->context, error);

  while (self->state.pass < end) {
    const guint64 meeting = umedpt_trainer_find_meeting (self, end);

    ok = ok && umedpt_trainer_load_shared (self, meeting, error);
    if (!umedpt_ranks_agree (self->ranks, ok, error) ||
        !umedpt_trainer_tell_shared (self, error))
      return FALSE;
    ok = run_passes (self, meeting, factor, error);
    if (!umedpt_ranks_agree (self->ranks, ok, error) ||
        !umedpt_trainer_step_shared_heads (self,
            self->config->schedule.heads ? factor : 1, error))
      return FALSE;
  }
  ok = ok && umedpt_model_end_round (self->model, self->context, error);
  return umedpt_ranks_agree (self->ranks, ok, error);
}

gboolean
umedpt_trainer_round (UmedptTrainer *self, GError **error)
{
  const gint64 start = g_get_monotonic_time ();
  double factor = umedpt_schedule_factor (&self->config->schedule,
      &self->state.schedule, self->state.round, (guint) self->state.epoch);
  gboolean ok;

  begin_last (self);
  if (!run_round (self, factor, error))
    return FALSE;
  ok = umedpt_optimizer_sum (self->shared, self->context, self->ranks, error) &&
      step_shared (self, factor, error);
  if (!umedpt_ranks_agree (self->ranks, ok, error) ||
      !umedpt_trainer_tell_round (self, error))
    return FALSE;
  self->state.round++;
  self->last.seconds =
      (double) (g_get_monotonic_time () - start) / G_USEC_PER_SEC;
  return TRUE;
}
