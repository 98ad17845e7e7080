/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * [task NAME]: one task with its data set. Keys that mean nothing for its
 * kind are refused rather than passed over: who writes them expects an effect.
 */
#include <string.h>

#include "base/error.h"
#include "train/config-private.h"

#define MAX_NAME 64

#define BIT(kind) (1u << UMEDPT_TASK_##kind)
#define VECTOR_KINDS \
  (BIT (CLASSIFICATION) | BIT (MULTILABEL) | BIT (REGRESSION))

/* Keys that only some kinds have. */
static const struct
{
  const char *key;
  guint kinds;
  const char *what;
} special[] = {
  { "balanced", BIT (CLASSIFICATION), "classification" },
  { "focal-gamma", BIT (CLASSIFICATION), "classification" },
  { "range", BIT (REGRESSION), "regression" },
  { "grouped", VECTOR_KINDS, "classification, multilabel and regression" },
  { "max-group", VECTOR_KINDS, "classification, multilabel and regression" },
};

void
umedpt_train_task_free (UmedptTrainTask *task)
{
  if (!task)
    return;
  g_free (task->name);
  g_free (task->group);
  g_clear_object (&task->dataset);
  g_free (task);
}

/* The name becomes a part of parameter and file names: no dots, no slashes. */
static gboolean
check_name (const UmedptTrainConfig *config, const UmedptTrainTask *task,
    GError **error)
{
  gsize length = strlen (task->name);

  if (length && length <= MAX_NAME &&
      strspn (task->name,
          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
          length)
    return TRUE;
  return umedpt_config_fail (config, task->group, NULL, error,
      "found the name '%.80s'; expected up to %d letters, digits, - and _",
      task->name, MAX_NAME);
}

static gboolean
check_kind (const UmedptTrainConfig *config, const UmedptTrainTask *task,
    GError **error)
{
  for (gsize i = 0; i < G_N_ELEMENTS (special); i++)
    if (!(special[i].kinds & 1u << task->kind) &&
        umedpt_config_has (config, task->group, special[i].key))
      return umedpt_config_fail (config, task->group, special[i].key, error,
          "this key is for tasks of the kind %s; this one is %s. Leave it out.",
          special[i].what, umedpt_task_kind_get_name (task->kind));
  if (!task->train.grouped &&
      umedpt_config_has (config, task->group, "max-group"))
    return umedpt_config_fail (config, task->group, "max-group", error,
        "the task is not grouped. Add grouped=true, or leave it out.");
  return TRUE;
}

static gboolean
check_needed (const UmedptTrainConfig *config, const UmedptTrainTask *task,
    GError **error)
{
  static const char *const needed[] = { "kind", "format", "path", NULL };

  for (guint i = 0; needed[i]; i++)
    if (!umedpt_config_has (config, task->group, needed[i]))
      return umedpt_config_fail (config, task->group, needed[i], error,
          "it is missing; a task needs kind, format and path");
  return TRUE;
}

/* What follows from other keys. */
static void
complete (const UmedptTrainConfig *config, UmedptTrainTask *task)
{
  UmedptAugmentSettings *augment = &task->train.augment;
  guint val_batch = task->val.batch;

  if (!augment->width) {
    augment->width = config->description->input_width;
    augment->height = config->description->input_height;
  }
  augment->random = TRUE;
  task->train.shuffle = TRUE;
  task->val = task->train;
  task->val.batch = val_batch ? val_batch : task->train.batch;
  task->val.shuffle = FALSE;
  task->val.balanced = FALSE;
  task->val.augment.random = FALSE;
  task->val.augment.augmentation = UMEDPT_AUGMENT_NONE;
  /* not for validation, which reads every image once and forgets its loader */
  task->train.cache_bytes = (gsize) task->cache << 20;
}

static UmedptTrainTask *
read_task (const UmedptTrainConfig *config, const char *group, GError **error)
{
  UmedptTrainTask *task = g_new0 (UmedptTrainTask, 1);

  task->group = g_strdup (group);
  task->name = g_strdup (group + strlen (UMEDPT_CONFIG_TASK_PREFIX));
  if (!check_name (config, task, error) ||
      !check_needed (config, task, error) ||
      !umedpt_config_read_group (config, UMEDPT_CONFIG_TASK, group, task,
          error) ||
      !check_kind (config, task, error)) {
    umedpt_train_task_free (task);
    return NULL;
  }
  complete (config, task);
  return task;
}

gboolean
umedpt_config_read_tasks (UmedptTrainConfig *config, GError **error)
{
  g_auto (GStrv) groups = g_key_file_get_groups (config->keys, NULL);

  for (guint i = 0; groups[i]; i++) {
    UmedptTrainTask *task;

    if (!g_str_has_prefix (groups[i], UMEDPT_CONFIG_TASK_PREFIX))
      continue;
    task = read_task (config, groups[i], error);
    if (!task)
      return FALSE;
    if (task->train.grouped &&
        config->description->grouper == UMEDPT_GROUPER_NONE)
      config->description->grouper = UMEDPT_GROUPER_WEIGHTED;
    g_ptr_array_add (config->tasks, task);
  }
  if (config->tasks->len)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "'%s' has no task; expected a group [task NAME] for each, with kind, "
      "format and path",
      config->path);
  return FALSE;
}
