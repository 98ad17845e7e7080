/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * From a configuration to what trains: the model, which of its parameters want
 * gradients, one optimiser for the shared blocks and one per head, a loader
 * per task, and the order of the tasks.
 */
#include <math.h>

#include "base/error.h"
#include "base/json.h"
#include "base/random.h"
#include "base/version.h"
#include "train/config-private.h"
#include "train/trainer-private.h"

static const char *const shared_prefixes[] = { UMEDPT_ENCODER_PREFIX,
  UMEDPT_SQUEEZER_PREFIX, UMEDPT_PIXEL_DECODER_PREFIX,
  UMEDPT_DETECTION_DECODER_PREFIX, UMEDPT_GROUPER_PREFIX, NULL };

/* A seed of its own for each purpose, so that one task more does not change
 * what the others draw. */
static guint64
derive_seed (guint64 seed, const char *purpose, const char *name)
{
  g_autofree char *text = g_strdup_printf ("%s/%s", purpose, name);
  UmedptRandom random;

  umedpt_random_init_named (&random, seed, text);
  return umedpt_random_next (&random);
}

/* The record in the model file; nothing in it depends on the time of day, so
 * that the same run makes the same file. */
static char *
make_record (UmedptTrainer *self)
{
  GString *json = g_string_new ("{");

  umedpt_log_string (json, "program", "umedpt-train");
  umedpt_log_string (json, "version", umedpt_get_version ());
  umedpt_log_count (json, "seed", self->config->seed);
  umedpt_log_string (json, "config", self->config_hash);
  umedpt_log_key (json, "tasks");
  g_string_append_c (json, '{');
  for (guint i = 0; i < self->config->tasks->len; i++) {
    const UmedptTrainTask *task = g_ptr_array_index (self->config->tasks, i);
    g_autoptr (GArray) train =
        umedpt_dataset_get_split (task->dataset, UMEDPT_SPLIT_TRAIN);

    umedpt_log_key (json, task->name);
    g_string_append_printf (json, "{\"n\":%u,\"fraction\":", train->len);
    umedpt_json_append_double (json, task->fraction);
    g_string_append_c (json, '}');
  }
  g_string_append (json, "}}");
  return g_string_free (json, FALSE);
}

/* Lets the branches of a new encoder's blocks begin small: gamma of both norms
 * of every block. The norm stands after the branch (Liu et al. 2022, section
 * 3.2), so that with gamma = 1 a deep stack of random branches drowns what
 * tells images apart, and the vector collapses to a constant before it has
 * learnt anything. The authors of Swin V2 begin with 0; a small value lets
 * gradients reach the branches from the first step. */
static void
scale_branches (UmedptModel *model, double gamma)
{
  UmedptParameters *parameters = umedpt_model_get_parameters (model);

  for (guint i = 0; i < umedpt_parameters_get_n (parameters); i++) {
    const char *name = umedpt_parameters_get_name (parameters, i);
    UmedptTensor *tensor = umedpt_parameters_get_tensor (parameters, i);

    if (!tensor || !g_str_has_prefix (name, UMEDPT_ENCODER_PREFIX) ||
        !(g_str_has_suffix (name, ".norm1.weight") ||
            g_str_has_suffix (name, ".norm2.weight")))
      continue;
    for (gsize j = 0; j < tensor->n_elements; j++)
      UMEDPT_F32 (tensor)[j] = (float) gamma;
    umedpt_tensor_drop_attachments (tensor);
  }
  umedpt_parameters_changed (parameters);
}

static gboolean
make_model (UmedptTrainer *self, const char *checkpoint, GError **error)
{
  UmedptTrainConfig *config = self->config;
  g_autoptr (UmedptModel) base = NULL;
  g_autofree char *path = NULL;

  if (checkpoint) {
    path = g_build_filename (checkpoint, UMEDPT_RUN_MODEL, NULL);
    self->model = umedpt_model_new_from_file (path, error);
    return self->model != NULL;
  }
  if (config->start) {
    base = umedpt_model_new_from_file (config->start, error);
    if (!base)
      return FALSE;
  }
  g_free (config->description->training);
  config->description->training = make_record (self);
  if (!config->description->source)
    config->description->source = g_strdup ("umedpt-train");
  self->model = umedpt_model_new_extended (base, config->description,
      derive_seed (config->seed, "model", ""), error);
  if (self->model && !base)
    scale_branches (self->model, config->residual_init);
  return self->model != NULL;
}

/* Heads of tasks that are only kept stay as they are. */
static gboolean
set_trainable (UmedptTrainer *self, GError **error)
{
  if (!umedpt_model_set_trainable (self->model, NULL, FALSE, error))
    return FALSE;
  for (guint i = 0; shared_prefixes[i]; i++)
    if (!umedpt_model_set_trainable (self->model, shared_prefixes[i], TRUE,
            error))
      return FALSE;
  for (guint i = 0; self->config->frozen && self->config->frozen[i]; i++)
    if (!umedpt_model_set_trainable (self->model,
            umedpt_config_block_prefix (self->config->frozen[i]), FALSE, error))
      return FALSE;
  for (guint i = 0; i < self->n_tasks; i++) {
    g_autofree char *prefix = g_strdup_printf (UMEDPT_TASKS_PREFIX "%s.",
        self->tasks[i].config->name);
    if (!umedpt_model_set_trainable (self->model, prefix, TRUE, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
make_optimizers (UmedptTrainer *self, GError **error)
{
  UmedptParameters *parameters = umedpt_model_get_parameters (self->model);

  self->shared = umedpt_optimizer_new (parameters, shared_prefixes,
      &self->config->optimizer);
  for (guint i = 0; i < self->n_tasks; i++) {
    UmedptRunTask *task = &self->tasks[i];
    g_autofree char *prefix =
        g_strdup_printf (UMEDPT_TASKS_PREFIX "%s.", task->config->name);
    const char *const prefixes[] = { prefix, NULL };
    UmedptOptimizerSettings settings = self->config->optimizer;

    settings.lr *= task->config->lr_factor;
    task->optimizer = umedpt_optimizer_new (parameters, prefixes, &settings);
  }
  if (self->config->average > 0) {
    self->average =
        umedpt_average_new (parameters, self->config->average, error);
    return self->average != NULL;
  }
  return TRUE;
}

static gboolean
make_loader (UmedptTrainer *self, UmedptRunTask *task, GError **error)
{
  const UmedptTrainTask *config = task->config;
  UmedptLoaderSettings settings = config->train;
  g_autoptr (GArray) all =
      umedpt_dataset_get_split (config->dataset, UMEDPT_SPLIT_TRAIN);

  if (config->fraction < 1)
    task->train = umedpt_dataset_subset (config->dataset, all, config->fraction,
        derive_seed (self->config->seed, "fraction", config->name));
  else
    task->train = g_steal_pointer (&all);
  task->val = umedpt_dataset_get_split (config->dataset, UMEDPT_SPLIT_VAL);
  if (!task->train->len) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
        "'%s', [%s]: the data set has no training images. See its split file.",
        self->config->path, config->group);
    return FALSE;
  }
  settings.seed = derive_seed (self->config->seed, "loader", config->name);
  task->loader = umedpt_loader_new (config->dataset, task->train, &settings);
  return TRUE;
}

static gboolean
make_tasks (UmedptTrainer *self, GError **error)
{
  GPtrArray *tasks = self->config->tasks;
  g_autofree guint *n_batches = g_new0 (guint, tasks->len);

  for (guint i = 0; i < self->n_tasks; i++) {
    if (!make_loader (self, &self->tasks[i], error))
      return FALSE;
    n_batches[i] = MAX (umedpt_loader_get_n_batches (self->tasks[i].loader), 1);
  }
  self->plan = umedpt_sampler_plan_new (self->config->sampler, self->n_tasks,
      n_batches, self->config->seed);
  return umedpt_trainer_distribute (self, error);
}

/* How long the training is, where the schedule wants to know. */
static void
count_rounds (UmedptTrainer *self)
{
  guint64 length = umedpt_sampler_plan_get_length (self->plan);
  guint per_round = umedpt_trainer_get_round_tasks (self);
  guint64 per_epoch = (length + per_round - 1) / per_round;

  self->n_rounds = per_epoch * self->config->epochs;
  if (self->config->rounds)
    self->n_rounds = MIN (self->n_rounds, self->config->rounds);
  if (!self->config->schedule.total)
    self->config->schedule.total = self->n_rounds;
}

static gboolean
find_tasks (UmedptTrainer *self, GError **error)
{
  const UmedptDescription *description =
      umedpt_model_get_description (self->model);

  for (guint i = 0; i < self->n_tasks; i++) {
    UmedptRunTask *task = &self->tasks[i];
    gint index = umedpt_description_find_task (description, task->config->name);

    if (index < 0) {
      g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
          "The checkpoint's model has no task '%s', which '%s' names. Start a "
          "new run.",
          task->config->name, self->config->path);
      return FALSE;
    }
    task->index = (guint) index;
    task->description = g_ptr_array_index (description->tasks, index);
  }
  return TRUE;
}

static void
make_arrays (UmedptTrainer *self)
{
  UmedptTrainConfig *config = self->config;

  self->n_tasks = config->tasks->len;
  self->tasks = g_new0 (UmedptRunTask, self->n_tasks);
  for (guint i = 0; i < self->n_tasks; i++)
    self->tasks[i].config = g_ptr_array_index (config->tasks, i);
  self->names = g_new0 (const char *, self->n_tasks);
  self->losses = g_new0 (double, self->n_tasks);
  self->val_losses = g_new0 (double, self->n_tasks);
  self->score = NAN;
  for (guint i = 0; i < self->n_tasks; i++) {
    self->names[i] = self->tasks[i].config->name;
    self->losses[i] = self->val_losses[i] = NAN;
  }
  self->last.losses = g_new0 (UmedptLoss, self->n_tasks);
  self->last.passes = g_new0 (guint, self->n_tasks);
}

gboolean
umedpt_trainer_set_up (UmedptTrainer *self, const char *checkpoint,
    GError **error)
{
  UmedptTrainConfig *config = self->config;

  make_arrays (self);
  self->context =
      umedpt_train_context_new (config->device, config->precision, error);
  if (!self->context || !make_model (self, checkpoint, error) ||
      !find_tasks (self, error) || !set_trainable (self, error) ||
      !umedpt_train_place (self->model, self->context, error) ||
      !make_tasks (self, error) || !make_optimizers (self, error))
    return FALSE;
  self->tape = umedpt_tape_new ();
  umedpt_schedule_init (&self->state.schedule);
  count_rounds (self);
  return TRUE;
}
