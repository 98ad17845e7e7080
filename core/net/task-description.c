/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The tasks of a description: adding and finding them, and what must hold for
 * them, wherever the description comes from. A task's name becomes part of
 * file names, of parameter names and of element properties, so it is made of
 * letters, digits, "_" and "-" alone.
 */
#include <string.h>

#include "base/error.h"
#include "net/description-private.h"

#define MAX_NAME 100 /* bytes */
#define MAX_MASK_LABELS 255 /* an index mask has 0 … 254; 255 is ignored */
#define NAME_CHARACTERS \
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

static gboolean fail (gint code, GError **error, const char *format, ...)
    G_GNUC_PRINTF (3, 4);

static gboolean
fail (gint code, GError **error, const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list args;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, UMEDPT_ERROR, code, message);
  return FALSE;
}

gboolean
umedpt_task_kind_is_dense (UmedptTaskKind kind)
{
  return kind == UMEDPT_TASK_SEGMENTATION ||
      kind == UMEDPT_TASK_MULTILABEL_SEGMENTATION ||
      kind == UMEDPT_TASK_DETECTION;
}

/* With a name, the defaults, and nothing else. */
UmedptTaskDescription *
umedpt_task_description_alloc (void)
{
  UmedptTaskDescription *task = g_new0 (UmedptTaskDescription, 1);

  task->threshold = 0.5;
  task->range_max = 1;
  return task;
}

static gboolean
check_name (const char *name, gint code, GError **error)
{
  const gsize length = strlen (name);

  if (length == 0)
    return fail (code, error, "its name is empty");
  if (length > MAX_NAME || strspn (name, NAME_CHARACTERS) != length)
    return fail (code, error,
        "the name '%.120s' cannot be used in file names and pipelines; at most "
        "%d of the characters A-Z, a-z, 0-9, _ and - are allowed",
        name, MAX_NAME);
  return TRUE;
}

static gboolean
check_labels (const UmedptTaskDescription *task, gint code, GError **error)
{
  const guint n = task->labels ? g_strv_length (task->labels) : 0;
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; i < n; i++) {
    if (!*task->labels[i])
      return fail (code, error, "label %u is empty", i + 1);
    if (!g_hash_table_add (seen, task->labels[i]))
      return fail (code, error, "two labels are called '%.40s'",
          task->labels[i]);
  }
  if (task->kind == UMEDPT_TASK_REGRESSION && n > 1)
    return fail (code, error, "regression has one value; found %u labels", n);
  if (task->kind == UMEDPT_TASK_SEGMENTATION && n > MAX_MASK_LABELS)
    return fail (code, error,
        "an index mask has room for %d labels; found %u labels",
        MAX_MASK_LABELS, n);
  return TRUE;
}

/* Sizes and numbers of one task. */
static gboolean
check_values (const UmedptTaskDescription *task, gint code, GError **error)
{
  const gint sides[] = { task->input_width, task->input_height };

  for (guint i = 0; i < 2; i++)
    if (sides[i] != 0 && (sides[i] < 32 || sides[i] > 4096))
      return fail (code, error,
          "its input is %d pixels along a side; 32 to 4096 are allowed, or 0 "
          "for the model's",
          sides[i]);
  if ((sides[0] == 0) != (sides[1] == 0))
    return fail (code, error,
        "its input is %dx%d pixels; give both sides, or 0 for the model's",
        sides[0], sides[1]);
  if (!(task->threshold >= 0 && task->threshold <= 1))
    return fail (code, error, "its threshold is %g; 0 to 1 is allowed",
        task->threshold);
  if (!(task->mpp >= 0 && task->mpp <= 1000))
    return fail (code, error, "its mpp is %g; 0 to 1000 is allowed", task->mpp);
  if (task->range_min < task->range_max && task->range_min >= -1e30 &&
      task->range_max <= 1e30)
    return TRUE;
  return fail (code, error,
      "its range is %g to %g; the second number must be larger than the first",
      task->range_min, task->range_max);
}

/* What a task needs of the model. */
static gboolean
check_blocks (const UmedptDescription *self, const UmedptTaskDescription *task,
    gint code, GError **error)
{
  const char *kind = umedpt_kind_names[task->kind];

  if (task->kind == UMEDPT_TASK_DETECTION) {
    if (!self->detection_decoder)
      return fail (code, error, "detection needs 'detection_decoder'");
  } else if (umedpt_task_kind_is_dense (task->kind) && !self->pixel_decoder)
    return fail (code, error, "%s needs 'pixel_decoder'", kind);
  if (!task->grouped)
    return TRUE;
  if (umedpt_task_kind_is_dense (task->kind))
    return fail (code, error,
        "%s cannot be grouped: it has a result for every image", kind);
  if (self->grouper == UMEDPT_GROUPER_NONE)
    return fail (code, error, "grouped tasks need a 'grouper'");
  return TRUE;
}

static gboolean
check_task (const UmedptDescription *self, const UmedptTaskDescription *task,
    gint code, GError **error)
{
  return check_name (task->name, code, error) &&
      check_labels (task, code, error) && check_values (task, code, error) &&
      check_blocks (self, task, code, error);
}

/* Whether tasks and the blocks that they need fit together; errors have
 * @code. */
gboolean
umedpt_description_check_tasks (const UmedptDescription *self, gint code,
    GError **error)
{
  if (self->pixel_channels < 1 || self->pixel_channels > 1024 ||
      self->pixel_hidden < 1 || self->pixel_hidden > 4096)
    return fail (code, error,
        "the pixel decoder has %d channels and at most %d inside; 1 to 1024 "
        "and 1 to 4096 are allowed",
        self->pixel_channels, self->pixel_hidden);
  if (self->detection_channels < 32 || self->detection_channels > 2048 ||
      self->detection_channels % 32 != 0)
    return fail (code, error,
        "the detection decoder has %d channels; multiples of 32 from 32 to "
        "2048 are allowed",
        self->detection_channels);
  for (guint i = 0; i < self->tasks->len; i++) {
    const UmedptTaskDescription *task = g_ptr_array_index (self->tasks, i);

    if (!check_task (self, task, code, error)) {
      g_prefix_error (error, "task '%.40s': ", task->name);
      return FALSE;
    }
    if (umedpt_description_find_task (self, task->name) != (gint) i)
      return fail (code, error, "two tasks are called '%.40s'", task->name);
  }
  return TRUE;
}

/**
 * umedpt_description_find_task:
 * @self: a description
 * @name: the name of a task
 *
 * Returns: the index of the task in @self's tasks, or -1 if there is none
 *
 * Since: 0.1
 */
gint
umedpt_description_find_task (const UmedptDescription *self, const char *name)
{
  g_return_val_if_fail (self != NULL && name != NULL, -1);

  for (guint i = 0; i < self->tasks->len; i++) {
    const UmedptTaskDescription *task = g_ptr_array_index (self->tasks, i);
    if (strcmp (task->name, name) == 0)
      return (gint) i;
  }
  return -1;
}

/**
 * umedpt_task_description_get_n_outputs:
 * @task: a task
 *
 * Returns: how many values it has per image, case, pixel or point: as many as
 *   labels, or 1 if it has none
 *
 * Since: 0.1
 */
gint
umedpt_task_description_get_n_outputs (const UmedptTaskDescription *task)
{
  g_return_val_if_fail (task != NULL, 0);
  return task->labels && task->labels[0] ? (gint) g_strv_length (task->labels)
                                         : 1;
}

/**
 * umedpt_description_add_task:
 * @self: a description
 * @name: of the new task; letters, digits, "_" and "-"
 * @kind: what it predicts
 * @labels: (nullable) (array zero-terminated=1): one per output; none: one
 *   output
 * @error: return location for a #GError
 *
 * Appends a task with the defaults (threshold 0.5, the model's input size,
 * values from 0 to 1), and the decoder that it needs if it is not there. A
 * grouped task is one whose `grouped` is set afterwards; it needs a grouper
 * in @self.
 *
 * Returns: (transfer none): the task, or %NULL with @error set
 *   (%UMEDPT_ERROR_SETTINGS) and @self unchanged
 *
 * Since: 0.1
 */
UmedptTaskDescription *
umedpt_description_add_task (UmedptDescription *self, const char *name,
    UmedptTaskKind kind, const char *const *labels, GError **error)
{
  g_autoptr (UmedptTaskDescription) task = NULL;

  g_return_val_if_fail (self != NULL && name != NULL, NULL);
  g_return_val_if_fail (kind <= UMEDPT_TASK_DETECTION, NULL);

  if (umedpt_description_find_task (self, name) >= 0) {
    fail (UMEDPT_ERROR_SETTINGS, error,
        "The model has a task '%s' already; choose another name.", name);
    return NULL;
  }
  task = umedpt_task_description_alloc ();
  task->name = g_strdup (name);
  task->kind = kind;
  task->labels = g_strdupv ((char **) labels);
  if (!check_name (name, UMEDPT_ERROR_SETTINGS, error) ||
      !check_labels (task, UMEDPT_ERROR_SETTINGS, error)) {
    g_prefix_error (error, "The task '%.40s' cannot be added: ", name);
    return NULL;
  }
  if (kind == UMEDPT_TASK_DETECTION)
    self->detection_decoder = TRUE;
  else if (umedpt_task_kind_is_dense (kind))
    self->pixel_decoder = TRUE;
  g_ptr_array_add (self->tasks, task);
  return g_steal_pointer (&task);
}
