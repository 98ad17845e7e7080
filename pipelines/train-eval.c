/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * umedpt-train eval: metrics of a model on the data sets of a configuration,
 * as tables and as JSON; on request also what they were computed from.
 */
#include "train-eval.h"

#include "train/predictions.h"

static struct
{
  char **tasks, **changes;
  char *split, *output, *predictions, *device, *precision;
  gboolean json;
} options;

static const GOptionEntry entries[] = {
  { "task", 't', 0, G_OPTION_ARG_STRING_ARRAY, &options.tasks,
      "only this task; may be given several times", "NAME" },
  { "split", 0, 0, G_OPTION_ARG_STRING, &options.split,
      "part of the data: train, val (default), test, all", "PART" },
  { "output", 'o', 0, G_OPTION_ARG_FILENAME, &options.output,
      "write the JSON to FILE as well", "FILE" },
  { "predictions", 0, 0, G_OPTION_ARG_FILENAME, &options.predictions,
      "write truth and prediction of every image to FILE, a line of JSON each",
      "FILE" },
  { "json", 'j', 0, G_OPTION_ARG_NONE, &options.json,
      "print JSON instead of tables", NULL },
  { "device", 'd', 0, G_OPTION_ARG_STRING, &options.device,
      "auto (default), cpu, cuda, ref", "NAME" },
  { "precision", 0, 0, G_OPTION_ARG_STRING, &options.precision,
      "auto (default), f32, bf16", "NAME" },
  { "set", 's', 0, G_OPTION_ARG_STRING_ARRAY, &options.changes,
      "change the configuration; may be given several times",
      "GROUP.KEY=VALUE" },
  { NULL },
};

/* Takes the groups of all tasks out of @keys that are not in @names. */
static gboolean
keep_tasks (GKeyFile *keys, char *const *names, GError **error)
{
  g_auto (GStrv) groups = g_key_file_get_groups (keys, NULL);

  for (guint i = 0; names[i]; i++) {
    g_autofree char *group = g_strdup_printf ("task %s", names[i]);

    if (g_key_file_has_group (keys, group))
      continue;
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NOT_FOUND,
        "the configuration has no group [%s]", group);
    return FALSE;
  }
  for (guint i = 0; groups[i]; i++)
    if (g_str_has_prefix (groups[i], "task ") &&
        !g_strv_contains ((const char *const *) names, groups[i] + 5))
      g_key_file_remove_group (keys, groups[i], NULL);
  return TRUE;
}

UmedptTrainConfig *
train_open_config (const char *path, char *const *changes, char *const *tasks,
    GError **error)
{
  g_autoptr (GKeyFile) keys = train_load_keys (path, changes, error);
  g_autofree char *folder = g_path_get_dirname (path);
  g_autoptr (UmedptTrainConfig) config = NULL;

  if (!keys || (tasks && !keep_tasks (keys, tasks, error)))
    return NULL;
  config = umedpt_train_config_new_from_keys (keys, path, folder, error);
  if (!config || !umedpt_train_config_open_data (config, error))
    return NULL;
  return g_steal_pointer (&config);
}

/* What is evaluated, and where each image's result goes. */
typedef struct
{
  UmedptModel *model;
  UmedptTrainConfig *config;
  UmedptSplit split;
  UmedptPrecision precision;
  UmedptPredictionWriter *writer; /* (nullable) */
  GError *problem; /* of the writer */
} Evaluation;

static void
on_prediction (const UmedptPrediction *prediction, gpointer data)
{
  Evaluation *self = data;

  if (!self->problem &&
      !umedpt_prediction_writer_add (self->writer, prediction, &self->problem))
    g_cancellable_cancel (train_get_cancellable ());
}

/* One task as JSON, its table printed on the way. */
static char *
evaluate_task (Evaluation *self, UmedptTrainTask *task, GError **error)
{
  const UmedptTrainObserver observer = { NULL, NULL, on_prediction, self,
    G_MAXUINT };
  g_autofree char *result = umedpt_evaluate (self->model, task, self->split,
      options.device, self->precision, self->writer ? &observer : NULL,
      train_get_cancellable (), error);
  g_autofree char *text =
      result ? umedpt_evaluation_to_text (result, error) : NULL;

  if (self->problem) { /* and not that it was stopped for it */
    g_clear_error (error);
    g_propagate_error (error, g_steal_pointer (&self->problem));
    return NULL;
  }
  if (!text)
    return NULL;
  if (!options.json)
    g_print ("%s (%s)\n%s", task->name, umedpt_task_kind_get_name (task->kind),
        text);
  return g_steal_pointer (&result);
}

/* A task without images in this part is passed over if another has some. */
static gboolean
passes_over (const UmedptTrainConfig *config, const UmedptTrainTask *task,
    UmedptSplit split)
{
  guint n_with = 0, own = 0;

  for (guint i = 0; i < config->tasks->len; i++) {
    const UmedptTrainTask *other = g_ptr_array_index (config->tasks, i);
    g_autoptr (GArray) indices =
        umedpt_dataset_get_split (other->dataset, split);

    n_with += indices->len > 0;
    own = other == task ? indices->len : own;
  }
  if (own || !n_with)
    return FALSE;
  g_printerr ("%s: no images in this part\n", task->name);
  return TRUE;
}

/* All tasks as one JSON object; tables are printed on the way. */
static char *
evaluate_all (Evaluation *self, GError **error)
{
  g_autoptr (GString) json = g_string_new (NULL);

  g_string_append_printf (json,
      "{\"model\":\"%s\",\"split\":\"%s\",\"tasks\":{",
      umedpt_model_get_hash (self->model),
      options.split ? options.split : "val");
  for (guint i = 0; i < self->config->tasks->len; i++) {
    UmedptTrainTask *task = g_ptr_array_index (self->config->tasks, i);
    g_autofree char *result = NULL;

    /* names of tasks are letters, digits, - and _ */
    g_string_append_printf (json, "%s\"%s\":", i ? "," : "", task->name);
    if (passes_over (self->config, task, self->split)) {
      g_string_append (json, "null");
      continue;
    }
    result = evaluate_task (self, task, error);
    if (!result)
      return NULL;
    g_string_append (json, result);
  }
  g_string_append (json, "}}");
  return g_string_free (g_steal_pointer (&json), FALSE);
}

/* The same, with the file of predictions. */
static char *
evaluate (Evaluation *self, GError **error)
{
  g_autoptr (UmedptPredictionWriter) writer = NULL;
  g_autofree char *json = NULL;

  if (options.predictions) {
    writer = umedpt_prediction_writer_new (options.predictions, error);
    if (!writer)
      return NULL;
  }
  self->writer = writer;
  json = evaluate_all (self, error);
  if (json && writer && !umedpt_prediction_writer_finish (writer, error))
    return NULL;
  return g_steal_pointer (&json);
}

int
train_eval (char **args)
{
  g_auto (GStrv) rest = train_parse (args, entries,
      "MODEL CONFIG - metrics of MODEL on the data of CONFIG", 2, 2, NULL);
  Evaluation evaluation = { .split = UMEDPT_SPLIT_VAL,
    .precision = UMEDPT_PRECISION_AUTO };
  g_autoptr (UmedptTrainConfig) config = NULL;
  g_autoptr (UmedptModel) model = NULL;
  g_autofree char *json = NULL;
  g_autoptr (GError) error = NULL;

  if (!rest ||
      (options.split &&
          !train_parse_split (options.split, &evaluation.split)) ||
      (options.precision &&
          !train_parse_precision (options.precision, &evaluation.precision)))
    return PROGRAM_USAGE;
  train_catch_signals ();
  model = umedpt_model_new_from_file (rest[0], &error);
  if (model)
    config =
        train_open_config (rest[1], options.changes, options.tasks, &error);
  evaluation.model = model;
  evaluation.config = config;
  if (config)
    json = evaluate (&evaluation, &error);
  if (!json)
    return train_fail (error);
  if (options.json)
    g_print ("%s\n", json);
  if (options.output && !train_write (options.output, json, &error))
    return train_fail (error);
  return program_end ();
}
