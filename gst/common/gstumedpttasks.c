/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Names in properties against the model: tasks, classes, sizes.
 */
#include "common/gstumedpttasks.h"

#include <string.h>

#include "base/error.h"

const UmedptTaskDescription *
gst_umedpt_get_task (UmedptSession *session, gint task)
{
  UmedptModel *model = umedpt_session_get_model (session);

  return g_ptr_array_index (umedpt_model_get_description (model)->tasks, task);
}

void
gst_umedpt_get_task_input (UmedptSession *session, gint task, gint *width,
    gint *height)
{
  const UmedptDescription *description =
      umedpt_model_get_description (umedpt_session_get_model (session));
  const UmedptTaskDescription *own = gst_umedpt_get_task (session, task);

  *width = own->input_width ? own->input_width : description->input_width;
  *height = own->input_height ? own->input_height : description->input_height;
}

/* "a (detection), b (segmentation)", or "none" */
static char *
list_tasks (const UmedptDescription *description)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < description->tasks->len; i++) {
    const UmedptTaskDescription *task =
        g_ptr_array_index (description->tasks, i);
    g_string_append_printf (text, "%s%s (%s)", i ? ", " : "", task->name,
        umedpt_task_kind_get_name (task->kind));
  }
  return g_string_free (g_steal_pointer (&text), FALSE);
}

static char *
list_kinds (guint kinds)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < UMEDPT_N_TASK_KINDS; i++)
    if (kinds & (1u << i))
      g_string_append_printf (text, "%s%s", text->len ? " or " : "",
          umedpt_task_kind_get_name (i));
  return g_string_free (g_steal_pointer (&text), FALSE);
}

gint
gst_umedpt_find_task (UmedptSession *session, const char *name, guint kinds,
    GError **error)
{
  const UmedptDescription *description =
      umedpt_model_get_description (umedpt_session_get_model (session));
  g_autofree char *tasks = list_tasks (description);
  g_autofree char *wanted = list_kinds (kinds);
  gint found = -1;
  guint n = 0;

  for (guint i = 0; i < description->tasks->len; i++) {
    const UmedptTaskDescription *task =
        g_ptr_array_index (description->tasks, i);
    if (!(kinds & (1u << task->kind)) ||
        (name && *name && g_strcmp0 (name, task->name) != 0))
      continue;
    found = (gint) i;
    n++;
  }
  if (n == 1)
    return found;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "The model has %s task of the kind %s%s%s; its tasks are: %s. Name one "
      "of them (umedpt-info shows all), or take another model.",
      n ? "more than one" : "no", wanted, name && *name ? " called " : "",
      name ? name : "", *tasks ? tasks : "none");
  return -1;
}

/* --- classes ------------------------------------------------------------ */

static gint
find_label (const UmedptTaskDescription *task, const char *name)
{
  for (gint i = 0; task->labels && task->labels[i]; i++)
    if (g_str_equal (task->labels[i], name))
      return i;
  return -1;
}

char **
gst_umedpt_split_names (const char *names)
{
  g_auto (GStrv) parts = g_strsplit_set (names ? names : "", ",;", -1);
  GStrvBuilder *builder = g_strv_builder_new ();
  char **result = NULL;

  for (guint i = 0; parts[i]; i++)
    if (*g_strstrip (parts[i]))
      g_strv_builder_add (builder, parts[i]);
  result = g_strv_builder_end (builder);
  g_strv_builder_unref (builder);
  return result;
}

guint8 *
gst_umedpt_select_classes (const UmedptTaskDescription *task, const char *names,
    GError **error)
{
  const gsize n = (gsize) umedpt_task_description_get_n_outputs (task);
  g_auto (GStrv) wanted = gst_umedpt_split_names (names);
  guint8 *keep = g_malloc (n);

  memset (keep, wanted[0] == NULL, n);
  for (guint i = 0; wanted[i]; i++) {
    gint label = find_label (task, wanted[i]);
    g_autofree char *known = NULL;

    if (label >= 0) {
      keep[label] = TRUE;
      continue;
    }
    known = task->labels ? g_strjoinv (", ", task->labels) : g_strdup ("none");
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "Task '%s' has no class '%s'; its classes are: %s.", task->name,
        wanted[i], known);
    g_free (keep);
    return NULL;
  }
  return keep;
}
