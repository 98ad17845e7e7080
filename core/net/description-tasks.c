/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The tasks of a description in JSON: an array of objects with name, kind,
 * labels, one colour per label ("#rrggbb"), threshold, and what differs from
 * the defaults. As strict as the rest of the description
 * (description-json.c); what holds for tasks from anywhere is checked in
 * task-description.c.
 */
#include <string.h>

#include "net/description-private.h"

#define MAX_TASKS 1000
#define MAX_LABELS 100000

static gboolean
read_labels (UmedptJson *json, char ***labels, GError **error)
{
  g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func (g_free);
  gboolean first = TRUE, more;

  if (!umedpt_json_begin (json, UMEDPT_JSON_ARRAY, error))
    return FALSE;
  for (;;) {
    char *label;

    if (!umedpt_json_next_element (json, &first, &more, error))
      return FALSE;
    if (!more)
      break;
    if (list->len == MAX_LABELS)
      return umedpt_json_fail (error, "more than %d labels", MAX_LABELS);
    if (!umedpt_json_get_string (json, &label, error))
      return FALSE;
    g_ptr_array_add (list, label);
  }
  g_ptr_array_add (list, NULL);
  *labels = (char **) g_ptr_array_steal (list, NULL);
  return TRUE;
}

/* "#rrggbb" for each label. */
static gboolean
read_colors (UmedptJson *json, guint32 **colors, guint *n, GError **error)
{
  g_autoptr (GArray) list = g_array_new (FALSE, FALSE, sizeof (guint32));
  gboolean first = TRUE, more;

  if (!umedpt_json_begin (json, UMEDPT_JSON_ARRAY, error))
    return FALSE;
  for (;;) {
    g_autofree char *text = NULL;
    guint32 color;

    if (!umedpt_json_next_element (json, &first, &more, error))
      return FALSE;
    if (!more)
      break;
    if (list->len == MAX_LABELS)
      return umedpt_json_fail (error, "more than %d colours", MAX_LABELS);
    if (!umedpt_json_get_string (json, &text, error))
      return FALSE;
    if (strlen (text) != 7 || text[0] != '#' ||
        strspn (text + 1, "0123456789abcdefABCDEF") != 6)
      return umedpt_json_fail (error,
          "found '%.40s'; expected a colour as '#ff8000'", text);
    color = (guint32) g_ascii_strtoull (text + 1, NULL, 16);
    g_array_append_val (list, color);
  }
  *n = list->len;
  *colors = (guint32 *) (gpointer) g_array_steal (list, NULL);
  return TRUE;
}

/* [min, max] */
static gboolean
read_range (UmedptJson *json, UmedptTaskDescription *task, GError **error)
{
  gboolean first = TRUE, more;
  double values[2] = { 0 };
  guint n = 0;

  if (!umedpt_json_begin (json, UMEDPT_JSON_ARRAY, error))
    return FALSE;
  for (;;) {
    if (!umedpt_json_next_element (json, &first, &more, error))
      return FALSE;
    if (!more || n == 2)
      break;
    if (!umedpt_json_get_double (json, -1e30, 1e30, &values[n++], error))
      return FALSE;
  }
  if (more || n != 2)
    return umedpt_json_fail (error, "expected two numbers, [min, max]");
  task->range_min = values[0];
  task->range_max = values[1];
  return TRUE;
}

static gboolean
read_side (UmedptJson *json, gint *value, GError **error)
{
  gint64 wide;

  if (!umedpt_json_get_integer (json, 0, 4096, &wide, error))
    return FALSE;
  *value = (gint) wide;
  return TRUE;
}

static const char *const task_keys[] = { "name", "kind", "labels", "colors",
  "threshold", "input_width", "input_height", "mpp", "range", "grouped", NULL };

static gboolean
read_task_member (UmedptJson *json, UmedptTaskDescription *task, gint which,
    guint *n_colors, GError **error)
{
  gint kind;

  switch (which) {
    case 0:
      return umedpt_json_get_string (json, &task->name, error);
    case 1:
      if (!umedpt_json_get_choice (json, umedpt_kind_names, &kind, error))
        return FALSE;
      task->kind = kind;
      return TRUE;
    case 2:
      return read_labels (json, &task->labels, error);
    case 3:
      return read_colors (json, &task->colors, n_colors, error);
    case 4:
      return umedpt_json_get_double (json, 0, 1, &task->threshold, error);
    case 5:
      return read_side (json, &task->input_width, error);
    case 6:
      return read_side (json, &task->input_height, error);
    case 7:
      return umedpt_json_get_double (json, 0, 1000, &task->mpp, error);
    case 8:
      return read_range (json, task, error);
    default:
      return umedpt_json_get_boolean (json, &task->grouped, error);
  }
}

static gboolean
check_task (const UmedptTaskDescription *task, guint seen, guint n_colors,
    GError **error)
{
  guint n_labels = task->labels ? g_strv_length (task->labels) : 0;

  if ((seen & 3) != 3)
    return umedpt_json_fail (error, "the key '%s' is missing",
        task_keys[seen & 1]);
  if ((seen & 8) && n_colors != n_labels)
    return umedpt_json_fail (error,
        "found %u colours for %u labels; expected one each", n_colors,
        n_labels);
  return TRUE;
}

static UmedptTaskDescription *
read_task (UmedptJson *json, GError **error)
{
  g_autoptr (UmedptTaskDescription) task = umedpt_task_description_alloc ();
  gboolean first = TRUE;
  guint seen = 0, n_colors = 0;

  if (!umedpt_json_begin (json, UMEDPT_JSON_OBJECT, error))
    return NULL;
  for (;;) {
    g_autofree char *key = NULL;
    gint which;

    if (!umedpt_json_next_key (json, &first, &key, error))
      return NULL;
    if (!key)
      break;
    which = umedpt_json_find_choice (key, task_keys, error);
    if (which < 0 ||
        ((seen & 1u << which) &&
            !umedpt_json_fail (error, "the key '%s' is given twice", key)))
      return NULL;
    seen |= 1u << which;
    if (!read_task_member (json, task, which, &n_colors, error)) {
      g_prefix_error (error, "'%s': ", key);
      return NULL;
    }
  }
  if (!check_task (task, seen, n_colors, error))
    return NULL;
  return g_steal_pointer (&task);
}

/* Appends what @json has to @tasks. */
gboolean
umedpt_description_read_tasks (UmedptJson *json, GPtrArray *tasks,
    GError **error)
{
  gboolean first = TRUE, more;

  if (!umedpt_json_begin (json, UMEDPT_JSON_ARRAY, error))
    return FALSE;
  for (;;) {
    UmedptTaskDescription *task;

    if (!umedpt_json_next_element (json, &first, &more, error))
      return FALSE;
    if (!more)
      return TRUE;
    if (tasks->len == MAX_TASKS)
      return umedpt_json_fail (error, "more than %d tasks", MAX_TASKS);
    task = read_task (json, error);
    if (!task) {
      g_prefix_error (error, "task %u: ", tasks->len + 1);
      return FALSE;
    }
    g_ptr_array_add (tasks, task);
  }
}

/* What differs from the default; texts, and hashes, of older files stay. */
static void
append_options (GString *text, const UmedptTaskDescription *task)
{
  if (task->input_width || task->input_height)
    g_string_append_printf (text, ",\"input_width\":%d,\"input_height\":%d",
        task->input_width, task->input_height);
  if (task->mpp != 0) {
    g_string_append (text, ",\"mpp\":");
    umedpt_json_append_double (text, task->mpp);
  }
  if (task->range_min != 0 || task->range_max != 1) {
    g_string_append (text, ",\"range\":[");
    umedpt_json_append_double (text, task->range_min);
    g_string_append_c (text, ',');
    umedpt_json_append_double (text, task->range_max);
    g_string_append_c (text, ']');
  }
  if (task->grouped)
    g_string_append (text, ",\"grouped\":true");
}

static void
append_task (GString *text, const UmedptTaskDescription *task)
{
  g_string_append (text, "{\"name\":");
  umedpt_json_append_string (text, task->name);
  g_string_append_printf (text, ",\"kind\":\"%s\"",
      umedpt_kind_names[task->kind]);
  if (task->labels) {
    g_string_append (text, ",\"labels\":[");
    for (guint i = 0; task->labels[i]; i++) {
      g_string_append (text, i ? "," : "");
      umedpt_json_append_string (text, task->labels[i]);
    }
    g_string_append_c (text, ']');
  }
  if (task->colors && task->labels) {
    g_string_append (text, ",\"colors\":[");
    for (guint i = 0; task->labels[i]; i++)
      g_string_append_printf (text, "%s\"#%06x\"", i ? "," : "",
          task->colors[i] & 0xffffff);
    g_string_append_c (text, ']');
  }
  g_string_append (text, ",\"threshold\":");
  umedpt_json_append_double (text, task->threshold);
  append_options (text, task);
  g_string_append_c (text, '}');
}

void
umedpt_description_append_tasks (GString *text, const GPtrArray *tasks)
{
  g_string_append_c (text, '[');
  for (guint i = 0; i < tasks->len; i++) {
    g_string_append (text, i ? "," : "");
    append_task (text, g_ptr_array_index (tasks, i));
  }
  g_string_append_c (text, ']');
}
