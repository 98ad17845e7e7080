/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * umedpt-train check: finds before the training what would stop it at hour
 * three. Reads every image and annotation of every task.
 */
#include <stdio.h>
#include <unistd.h>

#include "train.h"

static struct
{
  gboolean keys, quick;
  char **changes;
} options;

static const GOptionEntry entries[] = {
  { "keys", 'k', 0, G_OPTION_ARG_NONE, &options.keys,
      "list all keys of a configuration, and leave", NULL },
  { "quick", 'q', 0, G_OPTION_ARG_NONE, &options.quick,
      "do not read the images", NULL },
  { "set", 's', 0, G_OPTION_ARG_STRING_ARRAY, &options.changes,
      "change the configuration; may be given several times",
      "GROUP.KEY=VALUE" },
  { NULL },
};

typedef struct
{
  const char *task;
  guint fatal, other;
} Count;

static void
on_problem (const char *where, const char *problem, gboolean fatal,
    gpointer data)
{
  Count *count = data;
  g_autofree char *text = g_strdup_printf ("%s: %s: %s: %s", count->task,
      fatal ? "error" : "warning", where, problem);
  g_autofree char *clean = program_clean (text);

  if (fatal)
    count->fatal++;
  else
    count->other++;
  g_print ("%s\n", clean);
}

static void
tell_sizes (const UmedptTrainTask *task)
{
  static const UmedptSplit splits[] = { UMEDPT_SPLIT_TRAIN, UMEDPT_SPLIT_VAL,
    UMEDPT_SPLIT_TEST };
  const char *const *labels = umedpt_dataset_get_labels (task->dataset);
  guint n[3];

  for (guint i = 0; i < 3; i++) {
    g_autoptr (GArray) indices =
        umedpt_dataset_get_split (task->dataset, splits[i]);
    n[i] = indices->len;
  }
  g_print ("%s: %s, %u images (train %u, val %u, test %u), %u labels\n",
      task->name, umedpt_task_kind_get_name (task->kind),
      umedpt_dataset_get_n_samples (task->dataset), n[0], n[1], n[2],
      labels ? g_strv_length ((char **) labels) : 0);
}

/* FALSE with @error set if it was stopped. */
static gboolean
check_task (UmedptTrainTask *task, Count *count, GError **error)
{
  g_autoptr (GArray) train =
      umedpt_dataset_get_split (task->dataset, UMEDPT_SPLIT_TRAIN);

  count->task = task->name;
  tell_sizes (task);
  if (!train->len)
    on_problem (task->group, "there are no training images", TRUE, count);
  return options.quick ||
      umedpt_dataset_check (task->dataset, on_problem, count, NULL,
          train_get_cancellable (), error) >= 0;
}

static int
check (UmedptTrainConfig *config)
{
  Count count = { 0 };
  g_autoptr (GError) error = NULL;

  if (!umedpt_train_config_open_data (config, &error))
    return train_fail (error);
  for (guint i = 0; i < config->tasks->len; i++)
    if (!check_task (g_ptr_array_index (config->tasks, i), &count, &error))
      return train_fail (error);
  g_print ("%u tasks, %u errors, %u warnings\n", config->tasks->len,
      count.fatal, count.other);
  if (count.fatal)
    return PROGRAM_FAILED;
  return program_end ();
}

int
train_check (char **args)
{
  g_auto (GStrv) rest = train_parse (args, entries,
      "CONFIG - look for what is wrong with CONFIG and its data", 0, 1,
      "Exit status 0: nothing is wrong that would stop the training; 1: "
      "something is.\n");
  g_autoptr (UmedptTrainConfig) config = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *keys = NULL;

  if (!rest)
    return PROGRAM_USAGE;
  if (options.keys) {
    keys = umedpt_train_config_describe_keys ();
    g_print ("%s", keys);
    return program_end ();
  }
  if (!rest[0])
    return program_complain (PROGRAM_USAGE, "check needs CONFIG, or --keys");
  train_catch_signals ();
  config = train_load_config (rest[0], options.changes, &error);
  return config ? check (config) : train_fail (error);
}
