/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A run as its user sees it: a line of progress on a terminal, a line per
 * validation anywhere, every event as JSON if asked for; the event file for
 * TensorBoard, and the report. Nothing here decides anything about training.
 */
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "output/run-report.h"
#include "train.h"
#include "train-pictures.h"

typedef struct
{
  UmedptTrainer *trainer;
  const TrainShow *show;
  const char *folder;
  gboolean first; /* of several processes: the one that speaks */
  gboolean terminal;
  gint64 last_line; /* µs */
  UmedptEventWriter *events; /* (nullable) */
  TrainPictures *pictures; /* (nullable) */
} View;

/* "1:02:03" */
static void
append_time (GString *text, double seconds)
{
  guint64 s = isfinite (seconds) && seconds >= 0 ? (guint64) seconds : 0;

  if (!isfinite (seconds))
    g_string_append (text, "?");
  else
    g_string_append_printf (text, "%u:%02u:%02u", (guint) (s / 3600),
        (guint) (s / 60 % 60), (guint) (s % 60));
}

static void
append_losses (GString *text, const UmedptTrainStatus *status,
    const double *losses)
{
  const guint n = MIN (status->n_tasks, 8); /* what a line can hold */

  for (guint i = 0; i < n; i++)
    if (isfinite (losses[i]))
      g_string_append_printf (text, " %s %.3f", status->tasks[i], losses[i]);
  if (n < status->n_tasks)
    g_string_append (text, " …");
}

static void
append_speed (GString *text, const UmedptTrainStatus *status)
{
  if (isfinite (status->images_per_second))
    g_string_append_printf (text, ", %.1f images/s", status->images_per_second);
  g_string_append_printf (text, ", %.0f MB, ", (double) status->rss / 1e6);
  append_time (text, status->seconds_left);
  g_string_append (text, " left");
}

static void
append_bar (GString *text, double fraction)
{
  const int width = 20;
  int done = (int) (CLAMP (fraction, 0, 1) * width);

  g_string_append_c (text, '[');
  for (int i = 0; i < width; i++)
    g_string_append_c (text, i < done ? '#' : '.');
  g_string_append (text, "] ");
}

static void
on_progress (double fraction, double seconds_left, gpointer data)
{
  View *view = data;
  const gint64 now = g_get_monotonic_time ();
  g_autoptr (GString) text = g_string_new ("\r");
  UmedptTrainStatus status;

  if (!view->terminal || now - view->last_line < G_USEC_PER_SEC / 5)
    return;
  view->last_line = now;
  umedpt_trainer_get_status (view->trainer, &status);
  g_string_append_printf (text,
      "epoch %" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT " ", status.epoch + 1,
      status.n_epochs);
  append_bar (text, fraction);
  append_losses (text, &status, status.losses);
  append_speed (text, &status);
  g_string_append (text, "\033[K");
  fputs (text->str, stderr);
  fflush (stderr);
}

/* One line per validation, which stays. */
static void
tell_validation (View *view)
{
  g_autoptr (GString) text = g_string_new (NULL);
  UmedptTrainStatus status;

  umedpt_trainer_get_status (view->trainer, &status);
  g_string_append_printf (text,
      "%sepoch %" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT
      ", round %" G_GUINT64_FORMAT ": validation loss %.4f%s (of",
      view->terminal ? "\r\033[K" : "", status.epoch + 1, status.n_epochs,
      status.round, status.score, status.best ? ", best" : "");
  append_losses (text, &status, status.val_losses);
  g_string_append_c (text, ')');
  append_speed (text, &status);
  fprintf (stderr, "%s\n", text->str);
}

static void
on_event (const char *type, const char *json, gpointer data)
{
  View *view = data;
  g_autoptr (GError) error = NULL;

  if (view->first && view->show->json_lines) {
    g_print ("%s\n", json);
    fflush (stdout);
  }
  if (view->events && !umedpt_event_writer_add (view->events, json, &error)) {
    program_complain (PROGRAM_FAILED, "no more TensorBoard events: %s",
        error->message);
    g_clear_pointer (&view->events, umedpt_event_writer_free);
  }
  if (g_str_equal (type, "validation")) {
    if (view->pictures)
      train_pictures_restart (view->pictures);
    if (view->first && !view->show->quiet && !view->show->json_lines)
      tell_validation (view);
  }
}

static void
on_prediction (const UmedptPrediction *prediction, gpointer data)
{
  View *view = data;

  if (view->pictures)
    train_pictures_add (view->pictures, prediction);
}

static void
write_report (const char *folder)
{
  g_autoptr (GError) error = NULL;

  if (!umedpt_run_report_write (folder, &error))
    program_complain (PROGRAM_FAILED, "no report: %s", error->message);
}

static void
view_open (View *view)
{
  g_autoptr (GError) error = NULL;

  if (view->first)
    view->events = umedpt_event_writer_new (view->folder, &error);
  if (error)
    program_complain (PROGRAM_FAILED, "no TensorBoard events: %s",
        error->message);
  if (view->show->pictures > 0)
    view->pictures = train_pictures_new (view->folder);
}

static void
view_close (View *view)
{
  g_clear_pointer (&view->events, umedpt_event_writer_free);
  g_clear_pointer (&view->pictures, train_pictures_free);
  if (view->terminal)
    fputs ("\r\033[K", stderr);
}

int
train_go (UmedptTrainer *trainer, const char *folder, const TrainShow *show)
{
  const gboolean first = umedpt_trainer_get_rank () == 0;
  View view = { trainer, show, folder, first,
    first && !show->quiet && !show->json_lines && isatty (STDERR_FILENO) };
  const UmedptTrainObserver observer = { on_event, on_progress, on_prediction,
    &view, show->pictures > 0 ? (guint) show->pictures : 0 };
  g_autoptr (GError) error = NULL;
  gboolean ok;

  view_open (&view);
  umedpt_trainer_set_observer (trainer, &observer);
  umedpt_trainer_set_command (trainer,
      (const char *const *) train_command_line);
  ok = umedpt_trainer_run (trainer, train_get_cancellable (), &error);
  view_close (&view);
  umedpt_trainer_set_observer (trainer, NULL);
  if (first)
    write_report (folder);
  if (!ok)
    return train_fail (error);
  if (first && !show->quiet && !show->json_lines)
    g_print ("%s/model.safetensors\n", folder);
  return program_end ();
}

gboolean
train_silently (UmedptTrainer *trainer, GError **error)
{
  umedpt_trainer_set_command (trainer,
      (const char *const *) train_command_line);
  return umedpt_trainer_run (trainer, train_get_cancellable (), error);
}
