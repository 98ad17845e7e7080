/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The report of a training run: one HTML file that can be mailed. Everything
 * in it is taken from the run's folder, so it can be made again at any time.
 * Pictures are embedded as data URIs.
 */
#include "output/run-report.h"

#include <math.h>
#include <string.h>

#include "base/atomic-file.h"
#include "base/error.h"
#include "output/report-private.h"

#define MAX_PICTURES 24 /* of one task */
#define MAX_PICTURE_BYTES (4 * 1024 * 1024)

static const char head[] =
    "<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'>"
    "<title>UMedPT training run</title><style>"
    "body{font:15px/1.5 system-ui,sans-serif;max-width:1180px;margin:2em "
    "auto;padding:0 1em;color:#1a1a1a}"
    "h1,h2,h3{line-height:1.2}pre{background:#f4f4f4;padding:1em;overflow:auto;"
    "font-size:13px}"
    "table{border-collapse:collapse;margin:.7em 0}td,th{border:1px solid #ccc;"
    "padding:.15em .55em;text-align:right}th{background:#f4f4f4}"
    "td:first-child,th:first-child{text-align:left}caption{font-size:12px;"
    "color:#555;text-align:left}"
    "figure{display:inline-block;margin:.5em 1em .5em 0;vertical-align:top}"
    "svg{width:560px;max-width:100%}svg text{font-size:11px;fill:#333}"
    ".title{font-weight:bold}.y{text-anchor:end}.x{text-anchor:middle}"
    ".grid{stroke:#e3e3e3}figcaption{font-size:12px;max-width:560px}"
    ".pictures img{max-width:340px;margin:3px;image-rendering:pixelated}"
    "</style></head><body>\n<h1>UMedPT training run</h1>\n";

static const UmedptRunEvent *
find_last (const GPtrArray *events, const char *type)
{
  for (guint i = events->len; i-- > 0;) {
    const UmedptRunEvent *event = g_ptr_array_index (events, i);
    if (g_str_equal (event->type, type))
      return event;
  }
  return NULL;
}

static void
append_cell (GString *html, double value)
{
  char buffer[G_ASCII_DTOSTR_BUF_SIZE];

  g_string_append_printf (html, "<td>%s</td>",
      isfinite (value) ? g_ascii_formatd (buffer, sizeof buffer, "%.4g", value)
                       : "&ndash;");
}

/* Command, versions, seed …: every plain value of the "start" line. */
static void
append_environment (GString *html, const GPtrArray *events)
{
  const UmedptRunEvent *start = find_last (events, "start");
  const UmedptRunEvent *stop = find_last (events, "stop");

  if (!start)
    return;
  g_string_append (html, "<h2>Environment</h2><table>");
  for (guint i = 0; i < start->leaves->len; i++) {
    const UmedptLeaf *leaf = g_ptr_array_index (start->leaves, i);

    if (g_str_equal (leaf->path, "type") || g_str_equal (leaf->path, "tasks") ||
        g_str_equal (leaf->path, "config"))
      continue;
    g_string_append (html, "<tr><td>");
    umedpt_report_append_text (html, leaf->path);
    g_string_append (html, "</td>");
    if (leaf->kind == UMEDPT_LEAF_NUMBER) {
      append_cell (html, leaf->number);
    } else {
      g_string_append (html, "<td><code>");
      umedpt_report_append_text (html, leaf->text);
      g_string_append (html, "</code></td>");
    }
    g_string_append (html, "</tr>");
  }
  g_string_append (html, "</table>");
  if (stop && umedpt_run_event_find (stop, "reason")) {
    g_string_append (html, "<p>The run ended: ");
    umedpt_report_append_text (html,
        umedpt_run_event_find (stop, "reason")->text);
    g_string_append (html, ".</p>\n");
  }
}

/* What of @path names a curve of @group: "losses/" has one per name below it,
 * "losses/nuclei" and "lr" are one themselves; NULL: not of the group. */
static const char *
curve_name (const char *path, const char *group)
{
  const gsize length = strlen (group);

  if (!g_str_has_prefix (path, group))
    return NULL;
  if (g_str_has_suffix (group, "/"))
    return path + length;
  return path[length] ? NULL : path;
}

/* All leaves of a group in events of a type, as curves over rounds. */
static GPtrArray *
collect (const GPtrArray *events, const char *type, const char *group)
{
  GPtrArray *curves = umedpt_curves_new ();

  for (guint i = 0; i < events->len; i++) {
    const UmedptRunEvent *event = g_ptr_array_index (events, i);

    if (!g_str_equal (event->type, type))
      continue;
    for (guint j = 0; j < event->leaves->len; j++) {
      const UmedptLeaf *leaf = g_ptr_array_index (event->leaves, j);
      const char *name = curve_name (leaf->path, group);

      if (name && leaf->kind == UMEDPT_LEAF_NUMBER)
        umedpt_curves_add (curves, name, (double) event->round, leaf->number);
    }
  }
  return curves;
}

static void
append_collected (GString *html, const GPtrArray *events, const char *title,
    const char *type, const char *group)
{
  g_autoptr (GPtrArray) curves = collect (events, type, group);

  umedpt_report_append_chart (html, title, "round", curves);
}

/* The names of tasks in a validation, in order. */
static GPtrArray *
list_tasks (const UmedptRunEvent *validation)
{
  GPtrArray *names = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < validation->leaves->len; i++) {
    const UmedptLeaf *leaf = g_ptr_array_index (validation->leaves, i);
    g_auto (GStrv) parts = g_strsplit (leaf->path, "/", 3);

    if (g_strv_length (parts) == 3 && g_str_equal (parts[0], "tasks") &&
        !g_ptr_array_find_with_equal_func (names, parts[1], g_str_equal, NULL))
      g_ptr_array_add (names, g_strdup (parts[1]));
  }
  return names;
}

/* Metrics over all classes: the leaves under "tasks/<task>/metrics/". */
static void
append_metrics (GString *html, const UmedptRunEvent *validation,
    const char *task)
{
  g_autofree char *prefix = g_strdup_printf ("tasks/%s/metrics/", task);

  g_string_append (html,
      "<table><tr><th>metric</th><th>last validation</th></tr>");
  for (guint i = 0; i < validation->leaves->len; i++) {
    const UmedptLeaf *leaf = g_ptr_array_index (validation->leaves, i);

    if (!g_str_has_prefix (leaf->path, prefix))
      continue;
    g_string_append (html, "<tr><td>");
    umedpt_report_append_text (html, leaf->path + strlen (prefix));
    g_string_append (html, "</td>");
    append_cell (html, leaf->number);
    g_string_append (html, "</tr>");
  }
  g_string_append (html, "</table>\n");
}

/* One row per class and metric: "tasks/<task>/per_class/<label>/<metric>". */
static void
append_classes (GString *html, const UmedptRunEvent *validation,
    const char *task)
{
  g_autofree char *prefix = g_strdup_printf ("tasks/%s/per_class/", task);
  g_autofree char *current = NULL;
  gboolean open = FALSE;

  for (guint i = 0; i < validation->leaves->len; i++) {
    const UmedptLeaf *leaf = g_ptr_array_index (validation->leaves, i);
    const char *slash = strrchr (leaf->path, '/');
    g_autofree char *label = NULL;

    if (!g_str_has_prefix (leaf->path, prefix) ||
        (gsize) (slash - leaf->path) < strlen (prefix))
      continue;
    label = g_strndup (leaf->path + strlen (prefix),
        slash - leaf->path - strlen (prefix));
    if (!open)
      g_string_append (html, "<table>");
    if (!current || !g_str_equal (current, label)) {
      g_string_append (html, open ? "</tr><tr><td>" : "<tr><td>");
      umedpt_report_append_text (html, label);
      g_string_append (html, "</td>");
      g_free (current);
      current = g_steal_pointer (&label);
    }
    open = TRUE;
    g_string_append (html, "<td>");
    umedpt_report_append_text (html, slash + 1);
    g_string_append (html, "</td>");
    append_cell (html, leaf->number);
  }
  if (open)
    g_string_append (html, "</tr></table>\n");
}

static void
append_picture (GString *html, const char *folder, const char *name)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  g_autofree char *data = NULL;
  g_autofree char *base64 = NULL;
  gsize size;

  if (!g_file_get_contents (path, &data, &size, NULL) ||
      size > MAX_PICTURE_BYTES)
    return;
  base64 = g_base64_encode ((const guchar *) data, size);
  g_string_append (html, "<img alt='");
  umedpt_report_append_text (html, name);
  g_string_append_printf (html, "' src='data:image/png;base64,%s'>", base64);
}

static gint
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

static void
append_pictures (GString *html, const char *run, const char *task)
{
  g_autofree char *folder = g_build_filename (run, "pictures", task, NULL);
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  const char *name;

  while (dir && (name = g_dir_read_name (dir)))
    if (g_str_has_suffix (name, ".png"))
      g_ptr_array_add (names, g_strdup (name));
  if (!names->len)
    return;
  g_ptr_array_sort (names, compare_names);
  g_string_append (html,
      "<p>Images of the validation part with predictions (full lines, fill) "
      "and truth (dashed):</p><div class='pictures'>");
  for (guint i = 0; i < MIN (names->len, MAX_PICTURES); i++)
    append_picture (html, folder, g_ptr_array_index (names, i));
  g_string_append (html, "</div>\n");
}

/* The labels of a task in the "start" line's list of tasks are not a leaf of
 * their own; validations may carry them as "tasks/<task>/labels". */
static void
append_task (GString *html, const char *folder, const GPtrArray *events,
    const UmedptRunEvent *validation, const char *task)
{
  g_autofree char *metrics = g_strdup_printf ("tasks/%s/metrics/", task);
  g_autofree char *loss = g_strdup_printf ("tasks/%s/loss", task);
  g_autofree char *train = g_strdup_printf ("losses/%s", task);
  g_autofree char *confusion = g_strdup_printf ("tasks/%s/confusion", task);
  g_autofree char *labels = g_strdup_printf ("tasks/%s/labels", task);
  const UmedptLeaf *matrix = umedpt_run_event_find (validation, confusion);
  const UmedptLeaf *names = umedpt_run_event_find (validation, labels);

  g_string_append (html, "<h2>");
  umedpt_report_append_text (html, task);
  g_string_append (html, "</h2>\n");
  append_collected (html, events, "training loss", "round", train);
  append_collected (html, events, "validation loss", "validation", loss);
  append_collected (html, events, "validation metrics", "validation", metrics);
  append_metrics (html, validation, task);
  append_classes (html, validation, task);
  if (matrix && matrix->kind == UMEDPT_LEAF_ARRAY)
    umedpt_report_append_confusion (html, matrix->text,
        names ? names->text : NULL);
  append_pictures (html, folder, task);
}

static void
append_config (GString *html, const char *folder)
{
  g_autofree char *path = g_build_filename (folder, "config.ini", NULL);
  g_autofree char *text = NULL;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return;
  g_string_append (html, "<h2>Configuration</h2><pre>");
  umedpt_report_append_text (html, text);
  g_string_append (html, "</pre>\n");
}

static void
append_body (GString *html, const char *folder, const GPtrArray *events)
{
  const UmedptRunEvent *validation = find_last (events, "validation");

  append_collected (html, events, "training loss per task", "round", "losses/");
  append_collected (html, events, "score of validations (lower is better)",
      "validation", "score");
  append_collected (html, events, "learning rate", "round", "lr");
  append_collected (html, events, "norm of the shared gradient", "round",
      "grad_norm");
  append_collected (html, events, "images per second", "round",
      "images_per_second");
  if (validation) {
    g_autoptr (GPtrArray) tasks = list_tasks (validation);
    for (guint i = 0; i < tasks->len; i++)
      append_task (html, folder, events, validation,
          g_ptr_array_index (tasks, i));
  }
  append_environment (html, events);
  append_config (html, folder);
}

/**
 * umedpt_run_report_write: (skip)
 * @folder: the folder of a training run
 * @error: return location for a #GError
 *
 * Writes `report.html` into the folder.
 *
 * Returns: %TRUE, or %FALSE with @error set; an older report then stays
 *
 * Since: 0.1
 */
gboolean
umedpt_run_report_write (const char *folder, GError **error)
{
  g_autoptr (GPtrArray) events = NULL;
  g_autoptr (GString) html = g_string_new (head);
  g_autoptr (UmedptAtomicFile) file = NULL;
  g_autofree char *path = NULL;

  g_return_val_if_fail (folder != NULL, FALSE);

  events = umedpt_run_log_read (folder, error);
  if (!events)
    return FALSE;
  append_body (html, folder, events);
  g_string_append (html, "</body></html>\n");
  path = g_build_filename (folder, "report.html", NULL);
  file = umedpt_atomic_file_new (path, TRUE, error);
  return file && umedpt_atomic_file_write (file, html->str, html->len, error) &&
      umedpt_atomic_file_commit (file, error);
}
