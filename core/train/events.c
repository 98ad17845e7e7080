/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The lines of log.jsonl as trainer.h describes them.
 */
#include <string.h>

#include "base/pool.h"
#include "base/version.h"
#include "base/json.h"
#include "train/trainer-private.h"

static GString *
begin (const char *type)
{
  GString *json = g_string_new ("{");

  umedpt_log_string (json, "type", type);
  return json;
}

static gboolean
finish (UmedptTrainer *self, const char *type, GString *json, GError **error)
{
  g_string_append_c (json, '}');
  if (!self->log) { /* another rank writes; but pictures begin anew here, too */
    if (self->observer.event)
      self->observer.event (type, json->str, self->observer.data);
    return TRUE;
  }
  return umedpt_train_log_add (self->log, type, json->str, &self->observer,
      error);
}

void
umedpt_log_labels (GString *json, const UmedptTaskDescription *task)
{
  umedpt_log_key (json, "labels");
  g_string_append_c (json, '[');
  for (guint i = 0; task->labels && task->labels[i]; i++) {
    g_string_append (json, i ? "," : "");
    umedpt_json_append_string (json, task->labels[i]);
  }
  g_string_append_c (json, ']');
}

static void
add_tasks (UmedptTrainer *self, GString *json)
{
  umedpt_log_key (json, "tasks");
  g_string_append_c (json, '[');
  for (guint i = 0; i < self->n_tasks; i++) {
    const UmedptRunTask *task = &self->tasks[i];

    g_string_append (json, i ? ",{" : "{");
    umedpt_log_string (json, "name", task->config->name);
    umedpt_log_string (json, "kind",
        umedpt_task_kind_get_name (task->config->kind));
    umedpt_log_labels (json, task->description);
    umedpt_log_count (json, "n_train", task->train->len);
    umedpt_log_count (json, "n_val", task->val->len);
    umedpt_log_count (json, "batch", task->config->train.batch);
    if (task->n_owners > 1)
      umedpt_log_count (json, "processes", task->n_owners);
    g_string_append_c (json, '}');
  }
  g_string_append_c (json, ']');
}

static char *
join_command (char *const *command)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; command && command[i]; i++) {
    g_autofree char *quoted = g_shell_quote (command[i]);
    gboolean plain = strspn (command[i],
                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                         "0123456789_-./=:,+@%") == strlen (command[i]);

    g_string_append_printf (text, "%s%s", i ? " " : "",
        plain && *command[i] ? command[i] : quoted);
  }
  return g_string_free (text, FALSE);
}

gboolean
umedpt_trainer_log_start (UmedptTrainer *self, GError **error)
{
  g_autoptr (GString) json = begin ("start");
  g_autoptr (GDateTime) now = g_date_time_new_now_utc ();
  g_autofree char *time = g_date_time_format_iso8601 (now);
  g_autofree char *command = join_command (self->command);

  umedpt_log_string (json, "version", umedpt_get_version ());
  umedpt_log_string (json, "time", time);
  umedpt_log_string (json, "command", command);
  umedpt_log_string (json, "config", self->config->path);
  umedpt_log_count (json, "seed", self->config->seed);
  umedpt_log_string (json, "device",
      umedpt_context_get_backend (self->context)->name);
  umedpt_log_string (json, "hardware",
      umedpt_context_get_backend (self->context)->description);
  umedpt_log_string (json, "precision",
      umedpt_context_get_compute (self->context) == UMEDPT_DTYPE_BF16 ? "bf16"
                                                                      : "f32");
  umedpt_log_count (json, "threads",
      umedpt_pool_get_n_workers (umedpt_pool_get_default ()));
  umedpt_log_string (json, "arch",
      umedpt_model_get_description (self->model)->arch);
  umedpt_log_count (json, "n_parameters",
      umedpt_model_get_n_parameters (self->model));
  umedpt_log_count (json, "n_rounds", self->n_rounds);
  if (self->ranks)
    umedpt_log_count (json, "processes", umedpt_ranks_get_size (self->ranks));
  umedpt_log_key (json, "resumed_from");
  if (self->resumed_from < 0)
    g_string_append (json, "null");
  else
    g_string_append_printf (json, "%" G_GINT64_FORMAT, self->resumed_from);
  add_tasks (self, json);
  return finish (self, "start", json, error);
}

static void
add_losses (UmedptTrainer *self, GString *json)
{
  umedpt_log_key (json, "losses");
  g_string_append_c (json, '{');
  for (guint i = 0; i < self->n_tasks; i++)
    if (self->last.passes[i])
      umedpt_log_double (json, self->tasks[i].config->name,
          self->last.losses[i].total / self->last.passes[i]);
  g_string_append_c (json, '}');
  umedpt_log_key (json, "parts");
  g_string_append_c (json, '{');
  for (guint i = 0; i < self->n_tasks; i++) {
    const UmedptLoss *loss = &self->last.losses[i];

    if (!self->last.passes[i])
      continue;
    umedpt_log_key (json, self->tasks[i].config->name);
    g_string_append_c (json, '{');
    for (guint k = 0; k < loss->n_parts; k++)
      umedpt_log_double (json, loss->names[k],
          loss->parts[k] / self->last.passes[i]);
    g_string_append_c (json, '}');
  }
  g_string_append_c (json, '}');
}

gboolean
umedpt_trainer_log_round (UmedptTrainer *self, GError **error)
{
  g_autoptr (GString) json = begin ("round");
  const UmedptRound *last = &self->last;

  umedpt_log_count (json, "round", self->state.round);
  umedpt_log_count (json, "epoch", self->state.epoch);
  add_losses (self, json);
  umedpt_log_double (json, "lr", last->lr);
  umedpt_log_double (json, "grad_norm", last->grad_norm);
  umedpt_log_double (json, "images_per_second",
      last->seconds > 0 ? (double) last->images / last->seconds : 0);
  umedpt_log_double (json, "seconds", last->seconds);
  umedpt_log_double (json, "loader_wait", last->loader_wait);
  umedpt_log_count (json, "rss", umedpt_train_get_rss ());
  umedpt_log_count (json, "activations", last->activations);
  return finish (self, "round", json, error);
}

gboolean
umedpt_trainer_log_validation (UmedptTrainer *self,
    const UmedptValidation *validations, double score, gboolean best,
    GError **error)
{
  g_autoptr (GString) json = begin ("validation");

  umedpt_log_count (json, "round", self->state.round);
  umedpt_log_count (json, "epoch", self->state.epoch);
  umedpt_log_double (json, "score", score);
  umedpt_log_key (json, "best");
  g_string_append (json, best ? "true" : "false");
  umedpt_log_double (json, "seconds", self->validation_seconds);
  umedpt_log_key (json, "tasks");
  g_string_append_c (json, '{');
  for (guint i = 0; i < self->n_tasks; i++) {
    g_autofree char *text = g_strdup (validations[i].json);

    if (!text && !validations[i].metrics)
      continue;
    if (!text)
      text = umedpt_validation_to_json (&validations[i],
          self->tasks[i].description);
    umedpt_log_key (json, self->tasks[i].config->name);
    g_string_append (json, text);
  }
  g_string_append_c (json, '}');
  return finish (self, "validation", json, error);
}

gboolean
umedpt_trainer_log_checkpoint (UmedptTrainer *self, const char *name,
    GError **error)
{
  g_autoptr (GString) json = begin ("checkpoint");

  umedpt_log_count (json, "round", self->state.round);
  umedpt_log_string (json, "path", name);
  return finish (self, "checkpoint", json, error);
}

/* The run ends anyway: that the line could not be written is no news. */
void
umedpt_trainer_log_stop (UmedptTrainer *self, const char *reason,
    const char *message)
{
  g_autoptr (GString) json = begin ("stop");

  umedpt_log_string (json, "reason", reason);
  umedpt_log_string (json, "message", message);
  finish (self, "stop", json, NULL);
}
