/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Results to things to draw. Without hysteresis boxes and masks go straight
 * through; with it, they become observations, and what is drawn is what those
 * have confirmed.
 */
#include "overlay/gstumedptoverlayscene.h"

#include <math.h>
#include <string.h>

#include "overlay/gstumedptoverlaybuild.h"

#define NEVER G_MININT64

/* One whose data is never NULL, so that addresses in it may be taken. */
static GArray *
new_array (guint size)
{
  return g_array_sized_new (FALSE, FALSE, size, 16);
}

GstUmedptScene *
gst_umedpt_scene_new (void)
{
  GstUmedptScene *self = g_new0 (GstUmedptScene, 1);

  self->tasks = gst_umedpt_overlay_tasks_new ();
  self->boxes = new_array (sizeof (GstUmedptSceneBox));
  self->dots = new_array (sizeof (GstUmedptSceneBox));
  self->masks = new_array (sizeof (GstUmedptSceneMask));
  self->runs = new_array (sizeof (GstUmedptRun));
  self->edges = new_array (sizeof (GstUmedptEdge));
  self->found = new_array (sizeof (GstUmedptBox));
  self->tracked = new_array (sizeof (GstUmedptTracked));
  self->lines = g_ptr_array_new_with_free_func (g_free);
  gst_umedpt_scene_reset (self);
  return self;
}

void
gst_umedpt_scene_free (GstUmedptScene *self)
{
  g_ptr_array_unref (self->tasks);
  g_array_unref (self->boxes);
  g_array_unref (self->dots);
  g_array_unref (self->masks);
  g_array_unref (self->runs);
  g_array_unref (self->edges);
  g_array_unref (self->found);
  g_array_unref (self->tracked);
  g_ptr_array_unref (self->lines);
  g_free (self);
}

static void
clear_frame (GstUmedptScene *self)
{
  g_array_set_size (self->boxes, 0);
  g_array_set_size (self->dots, 0);
  g_array_set_size (self->masks, 0);
  g_array_set_size (self->runs, 0);
  g_array_set_size (self->edges, 0);
  g_array_set_size (self->tracked, 0);
  g_ptr_array_set_size (self->lines, 0);
}

void
gst_umedpt_scene_flush (GstUmedptScene *self)
{
  clear_frame (self);
  for (guint i = 0; i < self->tasks->len; i++) {
    GstUmedptOverlayTask *task = g_ptr_array_index (self->tasks, i);
    gst_umedpt_hysteresis_reset (task->objects);
  }
  self->observed = NEVER;
  self->age = -1;
}

void
gst_umedpt_scene_reset (GstUmedptScene *self)
{
  gst_umedpt_scene_flush (self);
  g_ptr_array_set_size (self->tasks, 0);
  self->seen = FALSE;
  self->state = GST_UMEDPT_OVERLAY_NO_MODEL;
}

/* --- boxes -------------------------------------------------------------- */

void
gst_umedpt_build_add_box (GstUmedptBuild *build,
    const GstUmedptOverlayTask *task, const GstUmedptBox *box,
    gboolean confirmed)
{
  const GstUmedptSceneBox item = { task, *box };

  if (confirmed)
    g_array_append_val (build->scene->boxes, item);
  else if (build->settings->show_pending)
    g_array_append_val (build->scene->dots, item);
}

static gboolean
is_drawable (const GstUmedptBox *box, gdouble min_score)
{
  return isfinite (box->x) && isfinite (box->y) && isfinite (box->width) &&
      isfinite (box->height) && box->width > 0 && box->height > 0 &&
      box->score >= min_score; /* so it is a number, too */
}

/* Into scene->found, those that are drawable. */
static void
find_boxes (GstUmedptBuild *build, const GstStructure *result)
{
  guint n = 0;
  const GstUmedptBox *boxes = gst_umedpt_result_get_boxes (result, &n);
  GstUmedptBox box;

  g_array_set_size (build->scene->found, 0);
  for (guint i = 0; i < n; i++) {
    /* other people's bytes may lie anywhere */
    memcpy (&box, (const guint8 *) boxes + i * sizeof box, sizeof box);
    if (is_drawable (&box, build->settings->min_score))
      g_array_append_val (build->scene->found, box);
  }
}

/* What hysteresis shows. */
static void
list_boxes (GstUmedptBuild *build, GstUmedptOverlayTask *task, gboolean present)
{
  GArray *tracked = build->scene->tracked;

  g_array_set_size (tracked, 0);
  gst_umedpt_hysteresis_list (task->objects, &build->rule, build->now, present,
      tracked);
  for (guint i = 0; i < tracked->len; i++) {
    const GstUmedptTracked *item =
        &g_array_index (tracked, GstUmedptTracked, i);
    gst_umedpt_build_add_box (build, task, &item->box, item->confirmed);
  }
}

static void
build_boxes (GstUmedptBuild *build, GstUmedptOverlayTask *task,
    const GstStructure *result, gint64 at)
{
  const GArray *found = build->scene->found;

  if (task->what != GST_UMEDPT_OVERLAY_BOXES)
    gst_umedpt_hysteresis_reset (task->objects);
  task->what = GST_UMEDPT_OVERLAY_BOXES;
  if (!build->settings->draw_boxes)
    return;
  find_boxes (build, result);
  if (build->hysteresis) {
    gst_umedpt_hysteresis_observe (task->objects, &build->rule, at,
        (const GstUmedptBox *) (gpointer) found->data, NULL, found->len);
    list_boxes (build, task, TRUE);
  } else {
    for (guint i = 0; i < found->len; i++)
      gst_umedpt_build_add_box (build, task,
          &g_array_index (found, GstUmedptBox, i), TRUE);
  }
}

/* --- values ------------------------------------------------------------- */

/* @label: number of the class; negative: a number that is of none. */
static void
add_line (GstUmedptBuild *build, const GstUmedptOverlayTask *task, gint label,
    gfloat value)
{
  GString *line = g_string_new (task->name);

  if (label < 0)
    g_string_append_printf (line, " %.3g", (gdouble) value);
  else if ((guint) label < task->n_labels)
    g_string_append_printf (line, " %s", task->labels[label]);
  else
    g_string_append_printf (line, " %d", label);
  if (label >= 0 && build->settings->draw_scores)
    g_string_append_printf (line, " %.2f", (gdouble) value);
  g_ptr_array_add (build->scene->lines, g_string_free (line, FALSE));
}

/* Of one of several classes the likeliest; of several at once those that are
 * likely; of numbers the numbers. */
static void
build_values (GstUmedptBuild *build, GstUmedptOverlayTask *task,
    const GstStructure *result)
{
  const char *kind = gst_structure_get_string (result, "kind");
  gsize size = 0;
  const guint8 *bytes = gst_umedpt_result_get_bytes (result, "values", &size);
  const gint n = (gint) MIN (size / sizeof (gfloat), 256);
  gfloat values[256];
  gint best = -1;

  task->what = GST_UMEDPT_OVERLAY_VALUES;
  if (n == 0 || !build->settings->draw_labels)
    return;
  memcpy (values, bytes, (gsize) n * sizeof (gfloat));
  for (gint i = 0; i < n; i++)
    if (g_strcmp0 (kind, "regression") == 0)
      add_line (build, task, -1, values[i]);
    else if (!(values[i] >= build->settings->min_score))
      continue;
    else if (g_strcmp0 (kind, "classification") != 0) {
      if (values[i] >= 0.5)
        add_line (build, task, i, values[i]);
    } else if (best < 0 || values[i] > values[best]) {
      best = i;
    }
  if (best >= 0)
    add_line (build, task, best, values[best]);
}

/* --- the frame ---------------------------------------------------------- */

static gint64
to_time (const GstUmedptBuild *build, GstClockTime pts)
{
  if (!GST_CLOCK_TIME_IS_VALID (pts) || pts > G_MAXINT64 / 2)
    return NEVER;
  return build->backward ? -(gint64) pts : (gint64) pts;
}

gboolean
gst_umedpt_overlay_draws_task (const GstUmedptOverlaySettings *settings,
    const char *name)
{
  gchar **tasks = settings->tasks;

  return !tasks || !tasks[0] ||
      g_strv_contains ((const gchar *const *) tasks, name);
}

/* The oldest result of a frame tells its age. */
static void
note_time (GstUmedptBuild *build, gint64 at)
{
  GstUmedptScene *scene = build->scene;

  scene->observed = build->any ? MIN (scene->observed, at) : at;
  scene->seen = build->any = TRUE;
}

static void
build_result (GstUmedptBuild *build, const char *name,
    const GstStructure *result)
{
  const gboolean boxes =
                     gst_structure_has_name (result, GST_UMEDPT_RESULT_BOXES),
                 mask = gst_structure_has_name (result, GST_UMEDPT_RESULT_MASK),
                 values =
                     gst_structure_has_name (result, GST_UMEDPT_RESULT_VALUES);
  GstUmedptOverlayTask *task = boxes || mask || values
      ? gst_umedpt_overlay_tasks_get (build->scene->tasks, name, result)
      : NULL;
  gint64 at = to_time (build, gst_umedpt_result_get_pts (result));

  if (!task)
    return;
  at = at == NEVER ? build->now : MIN (at, build->now);
  note_time (build, at);
  task->frame = build->scene->frame;
  if (boxes)
    build_boxes (build, task, result, at);
  else if (mask)
    gst_umedpt_build_mask (build, task, result, at);
  else
    build_values (build, task, result);
}

/* What is held of tasks that this frame has no results of. */
static void
build_held (GstUmedptBuild *build)
{
  const GPtrArray *tasks = build->scene->tasks;

  for (guint i = 0; i < tasks->len; i++) {
    GstUmedptOverlayTask *task = g_ptr_array_index (tasks, i);

    if (task->frame == build->scene->frame ||
        !gst_umedpt_overlay_draws_task (build->settings, task->name))
      continue;
    if (task->what == GST_UMEDPT_OVERLAY_BOXES && build->settings->draw_boxes)
      list_boxes (build, task, FALSE);
    else if (task->what == GST_UMEDPT_OVERLAY_MASK)
      gst_umedpt_build_held_mask (build, task);
  }
}

static void
build_state (GstUmedptBuild *build)
{
  GstUmedptScene *scene = build->scene;
  const gboolean timed = scene->observed != NEVER && build->now != NEVER;

  scene->age = timed ? MAX (build->now - scene->observed, 0) : -1;
  if (!scene->seen)
    scene->state = GST_UMEDPT_OVERLAY_NO_MODEL;
  else if (timed ? (guint64) scene->age <= build->settings->stale_after
                 : build->any)
    scene->state = GST_UMEDPT_OVERLAY_READY;
  else
    scene->state = GST_UMEDPT_OVERLAY_STALE;
}

void
gst_umedpt_scene_build (GstUmedptScene *self, const GstStructure *results,
    const GstUmedptOverlaySettings *settings, gint height, GstClockTime pts,
    gboolean backward)
{
  GstUmedptBuild build = {
    .scene = self, .settings = settings, .backward = backward
  };

  build.now = to_time (&build, pts);
  build.hysteresis = build.now != NEVER &&
      (settings->show_after_hits > 1 || settings->hold > 0);
  build.rule = (GstUmedptHysteresisRule){ settings->show_after_hits,
    (gint64) settings->show_window, (gint64) settings->hold,
    (gfloat) height / 16 };
  clear_frame (self);
  self->frame++;
  for (gint i = 0; results && i < gst_structure_n_fields (results); i++) {
    const char *name = gst_structure_nth_field_name (results, (guint) i);
    const GValue *value = gst_structure_get_value (results, name);

    if (GST_VALUE_HOLDS_STRUCTURE (value) && gst_value_get_structure (value) &&
        gst_umedpt_overlay_draws_task (settings, name))
      build_result (&build, name, gst_value_get_structure (value));
  }
  if (build.hysteresis)
    build_held (&build);
  build_state (&build);
}

gboolean
gst_umedpt_overlay_has_legend (const GstUmedptOverlaySettings *settings,
    const GstUmedptOverlayTask *task)
{
  return settings->legend && task->n_labels > 0 &&
      gst_umedpt_overlay_draws_task (settings, task->name) &&
      (task->what == GST_UMEDPT_OVERLAY_BOXES ? settings->draw_boxes
              : task->what == GST_UMEDPT_OVERLAY_MASK
              ? settings->mask_style != GST_UMEDPT_MASK_STYLE_NONE
              : FALSE);
}

gboolean
gst_umedpt_scene_is_empty (const GstUmedptScene *self,
    const GstUmedptOverlaySettings *settings)
{
  gboolean empty = !settings->show_state && self->boxes->len == 0 &&
      self->dots->len == 0 && self->masks->len == 0 && self->lines->len == 0;

  for (guint i = 0; empty && i < self->tasks->len; i++)
    empty = !gst_umedpt_overlay_has_legend (settings,
        g_ptr_array_index (self->tasks, i));
  return empty;
}
