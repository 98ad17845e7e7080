/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A training configuration from file to struct: the file is parsed, names are
 * checked, each group is read by the table (config-keys.c), and what the
 * groups say together is made sense of here and in config-model.c and
 * config-task.c.
 */
#include "base/error.h"
#include "train/config-private.h"

static void
task_destroy (gpointer data)
{
  umedpt_train_task_free (data);
}

/**
 * umedpt_train_config_free:
 * @self: (transfer full): a configuration
 *
 * Since: 0.1
 */
void
umedpt_train_config_free (UmedptTrainConfig *self)
{
  if (!self)
    return;
  g_free (self->path);
  g_free (self->folder);
  g_key_file_unref (self->keys);
  g_free (self->start);
  g_strfreev (self->frozen);
  g_free (self->device);
  if (self->description)
    umedpt_description_free (self->description);
  g_ptr_array_unref (self->tasks);
  g_free (self);
}

/* The key `folder` says where paths begin; it may itself be relative. */
static void
set_folder (UmedptTrainConfig *self, const char *folder)
{
  g_autofree char *said =
      g_key_file_get_string (self->keys, UMEDPT_CONFIG_TRAIN, "folder", NULL);
  g_autofree char *absolute = g_canonicalize_filename (folder, NULL);

  g_free (self->folder);
  self->folder = said ? g_canonicalize_filename (said, absolute)
                      : g_steal_pointer (&absolute);
}

/* What waits for validations would wait for ever without them. */
static gboolean
check_validation (const UmedptTrainConfig *self, GError **error)
{
  const gboolean plateau = self->schedule.kind == UMEDPT_SCHEDULE_PLATEAU;

  if (self->validate_every || !(plateau || self->patience))
    return TRUE;
  return umedpt_config_fail (self,
      plateau ? UMEDPT_CONFIG_SCHEDULE : UMEDPT_CONFIG_TRAIN,
      plateau ? "kind" : "patience", error,
      "there are no validations, by which it would go. Take "
      "[train] validate-every=0 out, or this.");
}

static gboolean
read_groups (UmedptTrainConfig *self, const char *folder, GError **error)
{
  if (!umedpt_config_read_group (self, UMEDPT_CONFIG_TRAIN, UMEDPT_CONFIG_TRAIN,
          self, error))
    return FALSE;
  set_folder (self, folder);
  return umedpt_config_read_group (self, UMEDPT_CONFIG_OPTIMIZER,
             UMEDPT_CONFIG_OPTIMIZER, self, error) &&
      umedpt_config_read_group (self, UMEDPT_CONFIG_SCHEDULE,
          UMEDPT_CONFIG_SCHEDULE, self, error) &&
      check_validation (self, error) &&
      umedpt_config_read_model (self, error) &&
      umedpt_config_read_tasks (self, error);
}

/**
 * umedpt_train_config_new_from_keys:
 * @keys: (transfer none): groups and keys; copied
 * @path: what to call it in messages
 * @folder: where relative paths in it begin
 * @error: return location for a #GError
 *
 * Reads and checks a configuration that a program has made or changed. The
 * data sets are not opened: umedpt_train_config_open_data().
 *
 * Returns: (transfer full): the configuration, or %NULL with @error set
 *   (%UMEDPT_ERROR_SETTINGS; errors of the model file to start with)
 *
 * Since: 0.1
 */
UmedptTrainConfig *
umedpt_train_config_new_from_keys (GKeyFile *keys, const char *path,
    const char *folder, GError **error)
{
  g_autoptr (UmedptTrainConfig) self = NULL;
  g_autofree char *text = NULL;
  gsize length;

  g_return_val_if_fail (keys && path && folder, NULL);
  self = g_new0 (UmedptTrainConfig, 1);
  self->path = g_strdup (path);
  self->tasks = g_ptr_array_new_with_free_func (task_destroy);
  self->keys = g_key_file_new ();
  text = g_key_file_to_data (keys, &length, NULL);
  if (!g_key_file_load_from_data (self->keys, text, length,
          G_KEY_FILE_KEEP_COMMENTS, error)) {
    g_prefix_error (error, "'%s': ", path);
    return NULL;
  }
  if (!umedpt_config_check_names (self, error))
    return NULL;
  if (!read_groups (self, folder, error))
    return NULL;
  return g_steal_pointer (&self);
}

/**
 * umedpt_train_config_new_from_file:
 * @path: (type filename): a configuration, an INI file as GLib reads it
 * @error: return location for a #GError
 *
 * Reads and checks everything but the data sets. A message names file, group,
 * key, the value found, and what is allowed.
 *
 * Returns: (transfer full): the configuration, or %NULL with @error set
 *   (%UMEDPT_ERROR_NOT_FOUND, %UMEDPT_ERROR_IO, %UMEDPT_ERROR_FORMAT,
 *   %UMEDPT_ERROR_SETTINGS; errors of the model file to start with)
 *
 * Since: 0.1
 */
UmedptTrainConfig *
umedpt_train_config_new_from_file (const char *path, GError **error)
{
  g_autoptr (GKeyFile) keys = g_key_file_new ();
  g_autofree char *shown = NULL;
  g_autofree char *folder = NULL;
  g_autoptr (GError) problem = NULL;

  g_return_val_if_fail (path != NULL, NULL);
  shown = g_filename_display_name (path);
  if (!g_key_file_load_from_file (keys, path, G_KEY_FILE_KEEP_COMMENTS,
          &problem)) {
    gboolean missing =
        g_error_matches (problem, G_FILE_ERROR, G_FILE_ERROR_NOENT);
    gboolean unreadable = problem->domain == G_FILE_ERROR;

    g_set_error (error, UMEDPT_ERROR,
        missing          ? UMEDPT_ERROR_NOT_FOUND
            : unreadable ? UMEDPT_ERROR_IO
                         : UMEDPT_ERROR_FORMAT,
        "Cannot read the configuration '%s': %s.%s", shown, problem->message,
        unreadable ? ""
                   : " Expected groups as [train] with lines as epochs=10.");
    return NULL;
  }
  folder = g_path_get_dirname (path);
  return umedpt_train_config_new_from_keys (keys, shown, folder, error);
}

static gboolean
same_labels (char *const *a, const char *const *b)
{
  static const char *const none[] = { NULL };

  return g_strv_equal (a ? (const char *const *) a : none, b ? b : none);
}

/* A task of the model to start with that is trained on must mean the same. */
static gboolean
check_same (const UmedptTrainConfig *self, const UmedptTrainTask *task,
    const UmedptTaskDescription *old, const char *const *labels, GError **error)
{
  if (old->kind == task->kind &&
      (task->kind == UMEDPT_TASK_REGRESSION ||
          same_labels (old->labels, labels)))
    return TRUE;
  return umedpt_config_fail (self, task->group, NULL, error,
      "the model '%s' has a task of this name with other labels or of another "
      "kind (%s). Give the task another name.",
      self->start, umedpt_task_kind_get_name (old->kind));
}

/* Takes the task out of the description, if a start model brought it. */
static gboolean
replace_task (UmedptTrainConfig *self, const UmedptTrainTask *task,
    const char *const *labels, GError **error)
{
  gint index = umedpt_description_find_task (self->description, task->name);

  if (index < 0)
    return TRUE;
  if (!check_same (self, task,
          g_ptr_array_index (self->description->tasks, index), labels, error))
    return FALSE;
  g_ptr_array_remove_index (self->description->tasks, index);
  return TRUE;
}

static gboolean
describe_task (UmedptTrainConfig *self, UmedptTrainTask *task, GError **error)
{
  const char *const *labels = umedpt_dataset_get_labels (task->dataset);
  const guint32 *colors = umedpt_dataset_get_colors (task->dataset);
  UmedptTaskDescription *added;

  if (!replace_task (self, task, labels, error))
    return FALSE;
  added = umedpt_description_add_task (self->description, task->name,
      task->kind, labels, error);
  if (!added) {
    g_prefix_error (error, "'%s', [%s]: ", self->path, task->group);
    return FALSE;
  }
  if (colors && labels && !added->colors)
    added->colors =
        g_memdup2 (colors, g_strv_length ((char **) labels) * sizeof *colors);
  added->input_width = task->train.augment.width;
  added->input_height = task->train.augment.height;
  added->threshold = task->threshold;
  added->range_min = task->range_min;
  added->range_max = task->range_max;
  added->grouped = task->train.grouped;
  return TRUE;
}

/* Tasks that only the start model has. */
static void
drop_tasks (UmedptTrainConfig *self)
{
  GPtrArray *tasks = self->description->tasks;

  for (guint i = tasks->len; i-- > 0;) {
    const UmedptTaskDescription *task = g_ptr_array_index (tasks, i);
    gboolean wanted = self->keep_tasks;

    for (guint k = 0; k < self->tasks->len && !wanted; k++) {
      const UmedptTrainTask *own = g_ptr_array_index (self->tasks, k);
      wanted = g_str_equal (own->name, task->name);
    }
    if (!wanted)
      g_ptr_array_remove_index (tasks, i);
  }
}

/**
 * umedpt_train_config_open_data:
 * @self: a configuration
 * @error: return location for a #GError
 *
 * Opens the data sets of all tasks, and completes the description of the
 * model by the tasks with the labels that the data have.
 *
 * Returns: %TRUE, or %FALSE with @error set: those of
 *   umedpt_dataset_new_from_keyfile(), or %UMEDPT_ERROR_SETTINGS where data
 *   and model do not fit
 *
 * Since: 0.1
 */
gboolean
umedpt_train_config_open_data (UmedptTrainConfig *self, GError **error)
{
  g_return_val_if_fail (self != NULL, FALSE);

  drop_tasks (self);
  for (guint i = 0; i < self->tasks->len; i++) {
    UmedptTrainTask *task = g_ptr_array_index (self->tasks, i);

    if (task->dataset)
      continue;
    task->dataset = umedpt_dataset_new_from_keyfile (self->keys, task->group,
        self->folder, task->kind, error);
    if (!task->dataset) {
      g_prefix_error (error, "'%s', [%s]: ", self->path, task->group);
      return FALSE;
    }
    if (!describe_task (self, task, error))
      return FALSE;
  }
  return TRUE;
}

char *
umedpt_train_config_to_text (const UmedptTrainConfig *config)
{
  g_autoptr (GKeyFile) keys = g_key_file_new ();
  g_autofree char *text = g_key_file_to_data (config->keys, NULL, NULL);

  g_key_file_load_from_data (keys, text, -1, G_KEY_FILE_KEEP_COMMENTS, NULL);
  g_key_file_set_string (keys, UMEDPT_CONFIG_TRAIN, "folder", config->folder);
  return g_key_file_to_data (keys, NULL, NULL);
}
