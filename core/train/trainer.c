/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The run as a whole: rounds, and at the end of each epoch validation, the
 * schedule, the best model, a checkpoint. The state says at every moment what
 * comes next, so a run that is resumed does just that.
 *
 * The best model is the one with the lowest mean over tasks of the validation
 * loss, as in the paper's library: losses are about 1 at chance whatever the
 * task, which metrics of different kinds are not.
 */
#include "train/trainer.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "base/atomic-file.h"
#include "base/error.h"
#include "train/config-private.h"
#include "train/trainer-private.h"

G_DEFINE_FINAL_TYPE (UmedptTrainer, umedpt_trainer, G_TYPE_OBJECT)

static void
clear_task (UmedptRunTask *task)
{
  g_clear_pointer (&task->loader, umedpt_loader_free);
  g_clear_pointer (&task->optimizer, umedpt_optimizer_free);
  g_clear_pointer (&task->train, g_array_unref);
  g_clear_pointer (&task->val, g_array_unref);
  g_clear_pointer (&task->batch, umedpt_batch_free);
}

static void
umedpt_trainer_finalize (GObject *object)
{
  UmedptTrainer *self = UMEDPT_TRAINER (object);

  for (guint i = 0; i < self->n_tasks; i++)
    clear_task (&self->tasks[i]);
  g_free (self->tasks);
  g_clear_pointer (&self->plan, umedpt_sampler_plan_free);
  g_clear_pointer (&self->average, umedpt_average_free);
  g_clear_pointer (&self->shared, umedpt_optimizer_free);
  g_clear_pointer (&self->tape, umedpt_tape_free);
  g_clear_object (&self->model);
  g_clear_pointer (&self->context, umedpt_context_free);
  g_clear_pointer (&self->log, umedpt_train_log_free);
  g_clear_pointer (&self->config, umedpt_train_config_free);
  g_free (self->names);
  g_free (self->losses);
  g_free (self->val_losses);
  g_free (self->last.losses);
  g_free (self->last.passes);
  g_strfreev (self->command);
  g_free (self->config_hash);
  g_free (self->folder);
  G_OBJECT_CLASS (umedpt_trainer_parent_class)->finalize (object);
}

static void
umedpt_trainer_class_init (UmedptTrainerClass *klass)
{
  G_OBJECT_CLASS (klass)->finalize = umedpt_trainer_finalize;
}

static void
umedpt_trainer_init (UmedptTrainer *self)
{
  self->resumed_from = -1;
}

/* SHA-256 of what a run must not change; how long it lasts, and where it
 * lies, may. */
static char *
hash_config (const UmedptTrainConfig *config)
{
  static const char *const free_keys[] = { "folder", "epochs", "rounds", "keep",
    "save-every", NULL };
  g_autofree char *text = umedpt_train_config_to_text (config);
  g_autofree char *rest = NULL;
  g_autoptr (GKeyFile) keys = g_key_file_new ();

  g_key_file_load_from_data (keys, text, -1, G_KEY_FILE_NONE, NULL);
  for (guint i = 0; free_keys[i]; i++)
    g_key_file_remove_key (keys, UMEDPT_CONFIG_TRAIN, free_keys[i], NULL);
  rest = g_key_file_to_data (keys, NULL, NULL);
  return g_compute_checksum_for_string (G_CHECKSUM_SHA256, rest, -1);
}

/* Without data and files yet. Takes @config. */
static UmedptTrainer *
make (UmedptTrainConfig *config, const char *folder)
{
  UmedptTrainer *self = g_object_new (UMEDPT_TYPE_TRAINER, NULL);

  self->config = config;
  self->folder = g_canonicalize_filename (folder, NULL);
  self->config_hash = hash_config (config);
  return self;
}

static gboolean
open_log (UmedptTrainer *self, gint64 size, GError **error)
{
  g_autofree char *path = g_build_filename (self->folder, UMEDPT_RUN_LOG, NULL);

  self->log = umedpt_train_log_new (path, size, error);
  return self->log != NULL;
}

static gboolean
make_folder (UmedptTrainer *self, GError **error)
{
  static const char *const traces[] = { UMEDPT_RUN_CONFIG, UMEDPT_RUN_LOG,
    UMEDPT_RUN_LATEST, UMEDPT_RUN_MODEL };

  if (g_mkdir_with_parents (self->folder, 0777) != 0) {
    int number = errno;
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_IO,
        "Cannot make the folder '%s': %s.", self->folder, g_strerror (number));
    return FALSE;
  }
  for (gsize i = 0; i < G_N_ELEMENTS (traces); i++) {
    g_autofree char *path = g_build_filename (self->folder, traces[i], NULL);

    if (!g_file_test (path, G_FILE_TEST_EXISTS))
      continue;
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_EXISTS,
        "The folder '%s' holds a run already (it has %s). Continue it with "
        "'umedpt-train resume', or choose another folder.",
        self->folder, traces[i]);
    return FALSE;
  }
  return TRUE;
}

static gboolean
write_config (UmedptTrainer *self, GError **error)
{
  g_autofree char *path =
      g_build_filename (self->folder, UMEDPT_RUN_CONFIG, NULL);
  g_autofree char *text = umedpt_train_config_to_text (self->config);
  g_autoptr (UmedptAtomicFile) file =
      umedpt_atomic_file_new (path, FALSE, error);

  return file && umedpt_atomic_file_write (file, text, strlen (text), error) &&
      umedpt_atomic_file_commit (file, error);
}

/**
 * umedpt_trainer_new:
 * @config: (transfer full): what to train
 * @folder: (type filename): where the run shall live; made if it is missing
 * @error: return location for a #GError
 *
 * Makes a run: opens the data sets, makes the model, writes the folder's
 * config.ini.
 *
 * Returns: (transfer full): the trainer, or %NULL with @error set
 *   (%UMEDPT_ERROR_EXISTS if @folder holds a run; those of
 *   umedpt_train_config_open_data() and of the model)
 *
 * Since: 0.1
 */
UmedptTrainer *
umedpt_trainer_new (UmedptTrainConfig *config, const char *folder,
    GError **error)
{
  g_autoptr (UmedptTrainer) self = NULL;
  gboolean ok;

  g_return_val_if_fail (config != NULL && folder != NULL, NULL);
  self = make (config, folder);
  if (!umedpt_trainer_join (self, error))
    return NULL;
  ok = umedpt_train_config_open_data (config, error) &&
      umedpt_trainer_set_up (self, NULL, error) &&
      (umedpt_ranks_get_rank (self->ranks) != 0 ||
          (make_folder (self, error) && write_config (self, error) &&
              open_log (self, -1, error)));
  if (!umedpt_ranks_agree (self->ranks, ok, error))
    return NULL;
  return g_steal_pointer (&self);
}

/**
 * umedpt_trainer_resume:
 * @folder: (type filename): of a run
 * @error: return location for a #GError
 *
 * Continues a run as its latest checkpoint left it; one that has none yet
 * begins again. What the log holds of the time after the checkpoint is
 * removed.
 *
 * Returns: (transfer full): the trainer, or %NULL with @error set
 *
 * Since: 0.1
 */
UmedptTrainer *
umedpt_trainer_resume (const char *folder, GError **error)
{
  g_autoptr (UmedptTrainer) self = NULL;
  g_autofree char *path = NULL;
  g_autofree char *checkpoint = NULL;
  UmedptTrainConfig *config;
  gint64 log_size = 0;
  gboolean ok;

  g_return_val_if_fail (folder != NULL, NULL);
  path = g_build_filename (folder, UMEDPT_RUN_CONFIG, NULL);
  config = umedpt_train_config_new_from_file (path, error);
  if (!config) {
    g_prefix_error (error, "'%s' is not the folder of a run: ", folder);
    return NULL;
  }
  self = make (config, folder);
  if (!umedpt_trainer_join (self, error))
    return NULL;
  checkpoint = umedpt_checkpoint_find (self->folder);
  ok = umedpt_train_config_open_data (config, error) &&
      umedpt_trainer_set_up (self, checkpoint, error) &&
      (!checkpoint ||
          umedpt_checkpoint_load (self, checkpoint, &log_size, error)) &&
      (umedpt_ranks_get_rank (self->ranks) != 0 ||
          open_log (self, log_size, error));
  if (!umedpt_ranks_agree (self->ranks, ok, error))
    return NULL;
  self->resumed_from = (gint64) self->state.round;
  return g_steal_pointer (&self);
}

/**
 * umedpt_trainer_set_observer:
 * @self: a trainer
 * @observer: (nullable): what to call, copied; %NULL: nobody
 *
 * Since: 0.1
 */
void
umedpt_trainer_set_observer (UmedptTrainer *self,
    const UmedptTrainObserver *observer)
{
  g_return_if_fail (UMEDPT_IS_TRAINER (self));
  self->observer = observer ? *observer : (UmedptTrainObserver){ 0 };
}

/**
 * umedpt_trainer_set_command:
 * @self: a trainer
 * @command: (array zero-terminated=1): the command line, for the log
 *
 * Since: 0.1
 */
void
umedpt_trainer_set_command (UmedptTrainer *self, const char *const *command)
{
  g_return_if_fail (UMEDPT_IS_TRAINER (self));
  g_strfreev (self->command);
  self->command = g_strdupv ((char **) command);
}

/**
 * umedpt_trainer_get_model:
 * @self: a trainer
 *
 * Returns: (transfer none): the model as it is being trained
 *
 * Since: 0.1
 */
UmedptModel *
umedpt_trainer_get_model (UmedptTrainer *self)
{
  g_return_val_if_fail (UMEDPT_IS_TRAINER (self), NULL);
  return self->model;
}

/* Seconds to the end: rounds at the speed of the last ones, and validations
 * as long as the last one. */
static double
estimate_left (UmedptTrainer *self)
{
  const UmedptTrainConfig *config = self->config;
  guint64 rounds = self->state.round < self->n_rounds
      ? self->n_rounds - self->state.round
      : 0;
  guint64 epochs = config->epochs > self->state.epoch
      ? config->epochs - self->state.epoch
      : 0;

  if (self->round_seconds <= 0)
    return NAN;
  if (!config->validate_every)
    epochs = 0;
  return (double) rounds * self->round_seconds +
      (double) (epochs / MAX (config->validate_every, 1)) *
      self->validation_seconds;
}

static void
take_round (UmedptTrainer *self)
{
  const double seconds = self->last.seconds;

  self->round_seconds = self->round_seconds > 0
      ? 0.9 * self->round_seconds + 0.1 * seconds
      : seconds;
  for (guint i = 0; i < self->n_tasks; i++)
    if (self->last.passes[i])
      self->losses[i] = self->last.losses[i].total / self->last.passes[i];
}

/**
 * umedpt_trainer_get_status:
 * @self: a trainer
 * @status: (out caller-allocates): where it is
 *
 * For the observer's functions, in the thread that trains.
 *
 * Since: 0.1
 */
void
umedpt_trainer_get_status (UmedptTrainer *self, UmedptTrainStatus *status)
{
  const UmedptRound *last = &self->last;

  g_return_if_fail (UMEDPT_IS_TRAINER (self) && status != NULL);
  *status = (UmedptTrainStatus){ .round = self->state.round,
    .n_rounds = self->n_rounds,
    .epoch = self->state.epoch,
    .n_epochs = self->config->epochs,
    .fraction = (double) self->state.pass /
        (double) umedpt_sampler_plan_get_length (self->plan),
    .seconds_left = estimate_left (self),
    .images_per_second =
        last->seconds > 0 ? (double) last->images / last->seconds : NAN,
    .rss = umedpt_train_get_rss (),
    .n_tasks = self->n_tasks,
    .tasks = self->names,
    .losses = self->losses,
    .val_losses = self->val_losses,
    .score = self->score,
    .best = self->best };
}

static void
tell_progress (UmedptTrainer *self)
{
  UmedptTrainStatus status;

  if (!self->observer.progress)
    return;
  umedpt_trainer_get_status (self, &status);
  self->observer.progress (status.fraction, status.seconds_left,
      self->observer.data);
}

/* The mean of the tasks' losses; NaN if no task has one. */
static double
compute_score (UmedptTrainer *self, const UmedptValidation *validations)
{
  double sum = 0;
  guint n = 0;

  for (guint i = 0; i < self->n_tasks; i++)
    if (self->tasks[i].val->len && !isnan (validations[i].loss)) {
      sum += validations[i].loss;
      n++;
    }
  return n ? sum / n : NAN;
}

static gboolean
validate_tasks (UmedptTrainer *self, UmedptValidation *validations,
    GCancellable *cancellable, GError **error)
{
  const gint64 start = g_get_monotonic_time ();
  gboolean ok = TRUE;

  if (self->average) {
    umedpt_average_swap (self->average);
    umedpt_parameters_changed (umedpt_model_get_parameters (self->model));
  }
  for (guint i = 0; i < self->n_tasks && ok; i++) {
    UmedptRunTask *task = &self->tasks[i];

    if (task->val->len && umedpt_trainer_leads (self, i))
      ok = umedpt_validate (self->model, task->index, self->context,
          task->config, task->val, &self->observer, cancellable,
          &validations[i], error);
  }
  if (self->average) {
    umedpt_average_swap (self->average);
    umedpt_parameters_changed (umedpt_model_get_parameters (self->model));
  }
  ok = umedpt_ranks_agree (self->ranks, ok, error);
  for (guint i = 0; i < self->n_tasks && ok; i++)
    if (self->tasks[i].val->len)
      ok = umedpt_trainer_tell_validation (self, i, &validations[i], error);
  self->validation_seconds =
      (double) (g_get_monotonic_time () - start) / G_USEC_PER_SEC;
  return ok;
}

/* Takes the result into the state; whether it is the best so far. */
static gboolean
take_score (UmedptTrainer *self, double score)
{
  UmedptRunState *state = &self->state;
  gboolean best = !isnan (score) && (!state->has_best || score < state->best);

  if (best) {
    state->has_best = TRUE;
    state->best = score;
    state->best_round = state->round;
    state->bad = 0;
  } else {
    state->bad++;
  }
  if (!isnan (score))
    umedpt_schedule_epoch (&self->config->schedule, &state->schedule, score);
  return best;
}

static gboolean
validate (UmedptTrainer *self, gboolean *best, GCancellable *cancellable,
    GError **error)
{
  g_autofree UmedptValidation *validations =
      g_new0 (UmedptValidation, self->n_tasks);
  gboolean ok = validate_tasks (self, validations, cancellable, error);

  if (ok) {
    double score = compute_score (self, validations);

    *best = take_score (self, score);
    self->score = score;
    self->best = *best;
    for (guint i = 0; i < self->n_tasks; i++)
      self->val_losses[i] = self->tasks[i].val->len ? validations[i].loss : NAN;
    ok = umedpt_trainer_log_validation (self, validations, score, *best, error);
    ok = umedpt_ranks_agree (self->ranks, ok, error);
  }
  for (guint i = 0; i < self->n_tasks; i++)
    umedpt_validation_clear (&validations[i]);
  return ok;
}

static gboolean
has_validation (UmedptTrainer *self)
{
  for (guint i = 0; i < self->n_tasks; i++)
    if (self->tasks[i].val->len)
      return self->config->validate_every > 0;
  return FALSE;
}

static gboolean
out_of_rounds (UmedptTrainer *self)
{
  return self->config->rounds && self->state.round >= self->config->rounds;
}

/* After the last round of an epoch (or of all). */
static gboolean
end_epoch (UmedptTrainer *self, GCancellable *cancellable, GError **error)
{
  UmedptRunState before = self->state;
  gboolean last =
      self->state.epoch + 1 >= self->config->epochs || out_of_rounds (self);
  gboolean best = FALSE;

  if (has_validation (self) &&
      (last || (self->state.epoch + 1) % self->config->validate_every == 0) &&
      !validate (self, &best, cancellable, error)) {
    self->state = before;
    return FALSE;
  }
  self->state.epoch++;
  self->state.pass = 0;
  if (best && !umedpt_checkpoint_save (self, UMEDPT_RUN_BEST, error))
    return FALSE;
  return umedpt_checkpoint_save (self, UMEDPT_RUN_LATEST, error);
}

static gboolean
stopped_early (UmedptTrainer *self)
{
  return self->config->patience && self->state.bad >= self->config->patience;
}

/* An epoch that the limit of rounds cut short is over as well. */
static gboolean
is_finished (UmedptTrainer *self)
{
  if (self->state.pass > 0)
    return FALSE;
  return self->state.epoch >= self->config->epochs || out_of_rounds (self) ||
      stopped_early (self);
}

static gboolean
train_round (UmedptTrainer *self, GError **error)
{
  if (!umedpt_trainer_round (self, error))
    return FALSE;
  take_round (self);
  if (!umedpt_ranks_agree (self->ranks, umedpt_trainer_log_round (self, error),
          error))
    return FALSE;
  tell_progress (self);
  if (self->config->save_every &&
      self->state.round % self->config->save_every == 0)
    return umedpt_checkpoint_save (self, UMEDPT_RUN_LATEST, error);
  return TRUE;
}

/* Writes where we are, and says so. */
static gboolean
stop_cancelled (UmedptTrainer *self, GError **error)
{
  if (!umedpt_checkpoint_save (self, UMEDPT_RUN_LATEST, error))
    return FALSE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_CANCELLED,
      "Stopped on request after round %" G_GUINT64_FORMAT
      ". Continue with 'umedpt-train resume %s'.",
      self->state.round, self->folder);
  return FALSE;
}

static gboolean
train (UmedptTrainer *self, GCancellable *cancellable, GError **error)
{
  guint64 length = umedpt_sampler_plan_get_length (self->plan);
  GError *problem = NULL;

  while (!is_finished (self)) {
    gboolean within = self->state.pass < length && !out_of_rounds (self);

    if (within)
      train_round (self, &problem);
    else
      end_epoch (self, cancellable, &problem);
    if (problem &&
        !g_error_matches (problem, UMEDPT_ERROR, UMEDPT_ERROR_CANCELLED)) {
      g_propagate_error (error, problem);
      return FALSE;
    }
    g_clear_error (&problem);
    if (umedpt_ranks_any (self->ranks,
            g_cancellable_is_cancelled (cancellable)) &&
        !is_finished (self))
      return stop_cancelled (self, error);
  }
  return TRUE;
}

/* The result of the run: the best model, or without validation the last. */
static gboolean
write_result (UmedptTrainer *self, GError **error)
{
  g_autofree char *from = g_build_filename (self->folder,
      self->state.has_best ? UMEDPT_RUN_BEST : UMEDPT_RUN_LATEST,
      UMEDPT_RUN_MODEL, NULL);
  g_autofree char *to = g_build_filename (self->folder, UMEDPT_RUN_MODEL, NULL);
  gboolean ok;

  if (self->state.has_best || !self->average)
    return umedpt_checkpoint_copy (from, to, error);
  umedpt_average_swap (self->average);
  ok = umedpt_model_save (self->model, to, error);
  umedpt_average_swap (self->average);
  return ok;
}

static void
log_failure (UmedptTrainer *self, const GError *error)
{
  gboolean cancelled =
      g_error_matches (error, UMEDPT_ERROR, UMEDPT_ERROR_CANCELLED);

  umedpt_trainer_log_stop (self, cancelled ? "cancelled" : "error",
      error->message);
}

/**
 * umedpt_trainer_run:
 * @self: a trainer
 * @cancellable: (nullable): to stop
 * @error: return location for a #GError
 *
 * Trains to the end: all epochs or rounds, or until validation no longer
 * improves. A run that is finished is left as it is.
 *
 * Returns: %TRUE, or %FALSE with @error set (%UMEDPT_ERROR_CANCELLED: the
 *   round was finished and a checkpoint written; %UMEDPT_ERROR_DATA: a loss or
 *   gradient is not finite; %UMEDPT_ERROR_NO_SPACE: the checkpoint before is
 *   whole)
 *
 * Since: 0.1
 */
gboolean
umedpt_trainer_run (UmedptTrainer *self, GCancellable *cancellable,
    GError **error)
{
  GError *problem = NULL;

  g_return_val_if_fail (UMEDPT_IS_TRAINER (self), FALSE);
  if (!umedpt_ranks_agree (self->ranks, umedpt_trainer_log_start (self, error),
          error))
    return FALSE;
  if (!train (self, cancellable, &problem) ||
      !umedpt_ranks_agree (self->ranks,
          !self->log || write_result (self, &problem), &problem)) {
    log_failure (self, problem);
    g_propagate_error (error, problem);
    return FALSE;
  }
  umedpt_trainer_log_stop (self, stopped_early (self) ? "early" : "finished",
      stopped_early (self) ? "validation no longer improved"
                           : "all rounds are done");
  return TRUE;
}
