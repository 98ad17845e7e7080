/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Which process runs what. With at most as many processes as tasks each task
 * belongs to one of them. Further processes share tasks: each owner makes and
 * runs its part of every batch, scaled as if it had the whole one, and the
 * gradients are added. That is exact where the loss is a sum over images; a
 * ratio over the batch (Dice) and cases, whose images belong together, keep one
 * owner.
 *
 * A head that is shared steps when its gradient is there from all owners. All
 * ranks take part in that, those without a part with zeros, and all step, so
 * that no groups of ranks are needed (heads are small). They meet as late as
 * possible: at the end of a round, or before the second batch of a task that a
 * round sees twice. Until then nobody waits.
 */
#include "base/error.h"
#include "train/trainer-private.h"

guint
umedpt_trainer_get_owner (UmedptTrainer *self, guint task)
{
  return task % umedpt_ranks_get_size (self->ranks);
}

gboolean
umedpt_trainer_leads (UmedptTrainer *self, guint task)
{
  return umedpt_trainer_get_owner (self, task) ==
      umedpt_ranks_get_rank (self->ranks);
}

gboolean
umedpt_trainer_owns (UmedptTrainer *self, guint task)
{
  return self->tasks[task].part >= 0;
}

gboolean
umedpt_trainer_is_shared (UmedptTrainer *self, guint task)
{
  return self->tasks[task].n_owners > 1;
}

/* As many as can have an image of a batch each. */
static guint
max_owners (const UmedptRunTask *task)
{
  if (!umedpt_loss_is_sum (task->config->kind) || task->config->train.grouped)
    return 1;
  return MAX (MIN (task->config->train.batch, task->train->len), 1);
}

/* The task to help: of those that can be, that with the most images per owner
 * and epoch, the first of equals. -1: none can be. */
static gint
find_heaviest (UmedptTrainer *self, const guint64 *n_batches)
{
  double most = 0;
  gint found = -1;

  for (guint i = 0; i < self->n_tasks; i++) {
    const UmedptRunTask *task = &self->tasks[i];
    const guint batch = MIN (task->config->train.batch, task->train->len);
    const double load = (double) n_batches[i] * batch / task->n_owners;

    if (task->n_owners < max_owners (task) && load > most) {
      most = load;
      found = (gint) i;
    }
  }
  return found;
}

static void
add_owner (UmedptTrainer *self, guint task, guint rank)
{
  UmedptRunTask *which = &self->tasks[task];

  if (rank == umedpt_ranks_get_rank (self->ranks))
    which->part = (gint) which->n_owners;
  which->n_owners++;
}

static gboolean
add_further_owners (UmedptTrainer *self, GError **error)
{
  const guint size = umedpt_ranks_get_size (self->ranks);
  const guint64 length = umedpt_sampler_plan_get_length (self->plan);
  g_autofree guint64 *n_batches = g_new0 (guint64, self->n_tasks);

  for (guint64 i = 0; i < length; i++)
    n_batches[umedpt_sampler_plan_get (self->plan, self->state.epoch, i)]++;
  for (guint rank = self->n_tasks; rank < size; rank++) {
    gint task = find_heaviest (self, n_batches);

    if (task < 0) {
      g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
          "%u processes cannot share %u tasks: start at most %u. A process needs "
          "a task of its own, or an image of each batch of one; segmentation "
          "(Dice is a ratio over the batch) and tasks of cases are not shared.",
          size, self->n_tasks, rank);
      return FALSE;
    }
    add_owner (self, (guint) task, rank);
  }
  return TRUE;
}

gboolean
umedpt_trainer_distribute (UmedptTrainer *self, GError **error)
{
  for (guint i = 0; i < self->n_tasks; i++) {
    self->tasks[i].part = -1;
    self->tasks[i].n_owners = 0;
    add_owner (self, i, umedpt_trainer_get_owner (self, i));
  }
  if (umedpt_ranks_get_size (self->ranks) > self->n_tasks &&
      !add_further_owners (self, error))
    return FALSE;
  for (guint i = 0; i < self->n_tasks; i++)
    if (umedpt_trainer_owns (self, i))
      umedpt_loader_set_part (self->tasks[i].loader,
          (guint) self->tasks[i].part, self->tasks[i].n_owners);
  return TRUE;
}

guint64
umedpt_trainer_find_meeting (UmedptTrainer *self, guint64 end)
{
  g_autofree gboolean *seen = g_new0 (gboolean, self->n_tasks);

  for (guint64 pass = self->state.pass; pass < end; pass++) {
    guint task = umedpt_sampler_plan_get (self->plan, self->state.epoch, pass);

    if (seen[task])
      return pass;
    seen[task] = umedpt_trainer_is_shared (self, task);
  }
  return end;
}

static gboolean
load (UmedptTrainer *self, UmedptRunTask *task, GError **error)
{
  task->batch = umedpt_loader_next (task->loader, NULL, error);
  if (!task->batch)
    return FALSE;
  self->last.loader_wait += umedpt_loader_take_wait (task->loader);
  return task->batch->n == 0 ||
      umedpt_loss_normalizers (task->description, task->batch, &task->whole,
          error);
}

gboolean
umedpt_trainer_load_shared (UmedptTrainer *self, guint64 end, GError **error)
{
  for (guint i = 0; i < self->n_tasks; i++) {
    self->tasks[i].whole = (UmedptLossNormalizers){ 0 };
    self->tasks[i].pending = FALSE;
    self->tasks[i].ran = FALSE;
  }
  for (guint64 pass = self->state.pass; pass < end; pass++) {
    guint i = umedpt_sampler_plan_get (self->plan, self->state.epoch, pass);

    if (!umedpt_trainer_is_shared (self, i))
      continue;
    self->tasks[i].pending = TRUE;
    if (umedpt_trainer_owns (self, i) && !load (self, &self->tasks[i], error))
      return FALSE;
  }
  return TRUE;
}

static void
add_normalizers (UmedptLossNormalizers *sum, const UmedptLossNormalizers *part)
{
  sum->rows += part->rows;
  sum->weights += part->weights;
  sum->positives += part->positives;
  sum->centerness += part->centerness;
}

static gboolean
any_shared (UmedptTrainer *self)
{
  for (guint i = 0; i < self->n_tasks; i++)
    if (umedpt_trainer_is_shared (self, i))
      return TRUE;
  return FALSE;
}

gboolean
umedpt_trainer_tell_shared (UmedptTrainer *self, GError **error)
{
  const guint size = umedpt_ranks_get_size (self->ranks), n = self->n_tasks;
  g_autofree UmedptLossNormalizers *mine = NULL;
  g_autofree UmedptLossNormalizers *all = NULL;

  if (!any_shared (self))
    return TRUE;
  mine = g_new0 (UmedptLossNormalizers, n);
  all = g_new0 (UmedptLossNormalizers, (gsize) n * size);
  for (guint i = 0; i < n; i++)
    mine[i] = self->tasks[i].whole;
  if (!umedpt_ranks_gather (self->ranks, mine, all, n * sizeof *mine, error))
    return FALSE;
  for (guint i = 0; i < n; i++) {
    self->tasks[i].whole = (UmedptLossNormalizers){ 0 };
    for (guint r = 0; r < size; r++)
      add_normalizers (&self->tasks[i].whole, &all[(gsize) r * n + i]);
  }
  return TRUE;
}

/* If no owner's part counted, as if the batch had not been. */
static gboolean
step_head (UmedptTrainer *self, guint which, double factor, GError **error)
{
  UmedptRunTask *task = &self->tasks[which];

  if (!umedpt_ranks_any (self->ranks, task->ran))
    return TRUE;
  if (umedpt_trainer_leads (self, which))
    self->last.passes[which]++;
  if (umedpt_optimizer_sum (task->optimizer, self->context, self->ranks,
          error) &&
      umedpt_optimizer_step (task->optimizer, self->context, factor, NULL,
          error))
    return TRUE;
  g_prefix_error (error, "Task '%s', round %" G_GUINT64_FORMAT ": ",
      task->config->name, self->state.round);
  return FALSE;
}

gboolean
umedpt_trainer_step_shared_heads (UmedptTrainer *self, double factor,
    GError **error)
{
  for (guint i = 0; i < self->n_tasks; i++)
    if (self->tasks[i].pending &&
        !umedpt_ranks_agree (self->ranks, step_head (self, i, factor, error),
            error))
      return FALSE;
  return TRUE;
}
