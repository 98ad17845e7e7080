/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The tasks of a scene: what is known of them beyond one frame. Labels and
 * colours are copied, since a held object outlives the result it came in.
 */
#include "overlay/gstumedptoverlaytask.h"

#include <string.h>

#define MOST_TASKS 64

static const guint32 white = 0xffffff;

static void
task_free (gpointer data)
{
  GstUmedptOverlayTask *self = data;

  g_free (self->name);
  g_strfreev (self->labels);
  g_free (self->colors);
  gst_umedpt_hysteresis_free (self->objects);
  g_free (self);
}

GPtrArray *
gst_umedpt_overlay_tasks_new (void)
{
  return g_ptr_array_new_with_free_func (task_free);
}

static GstUmedptOverlayTask *
find_task (GPtrArray *tasks, const char *name)
{
  GstUmedptOverlayTask *self = NULL;

  for (guint i = 0; i < tasks->len; i++) {
    self = g_ptr_array_index (tasks, i);
    if (g_str_equal (self->name, name))
      return self;
  }
  if (tasks->len >= MOST_TASKS)
    return NULL;
  self = g_new0 (GstUmedptOverlayTask, 1);
  self->name = g_strdup (name);
  self->labels = g_new0 (char *, 1);
  self->colors = g_memdup2 (&white, sizeof white);
  self->n_colors = 1;
  self->objects = gst_umedpt_hysteresis_new ();
  g_ptr_array_add (tasks, self);
  return self;
}

static void
set_labels (GstUmedptOverlayTask *self, const char *const *labels)
{
  static const char *const none[] = { NULL };

  labels = labels ? labels : none;
  if (g_strv_equal ((const gchar *const *) self->labels, labels))
    return;
  g_strfreev (self->labels);
  self->labels = g_strdupv ((char **) labels);
  self->n_labels = g_strv_length (self->labels);
  gst_umedpt_hysteresis_reset (self->objects); /* of another model */
}

static void
set_colors (GstUmedptOverlayTask *self, gconstpointer colors, gsize size)
{
  size -= size % sizeof white;
  if (size == 0) {
    colors = &white;
    size = sizeof white;
  }
  if (self->n_colors * sizeof white == size &&
      memcmp (self->colors, colors, size) == 0)
    return;
  g_free (self->colors);
  self->colors = g_memdup2 (colors, size);
  self->n_colors = (guint) (size / sizeof white);
}

GstUmedptOverlayTask *
gst_umedpt_overlay_tasks_get (GPtrArray *tasks, const char *name,
    const GstStructure *result)
{
  GstUmedptOverlayTask *self = find_task (tasks, name);
  gsize size = 0;
  gconstpointer colors = gst_umedpt_result_get_bytes (result, "colors", &size);

  if (!self)
    return NULL;
  set_labels (self, gst_umedpt_result_get_labels (result));
  set_colors (self, colors, size);
  return self;
}

const char *
gst_umedpt_overlay_task_get_label (const GstUmedptOverlayTask *self, gint label)
{
  return label >= 0 && (guint) label < self->n_labels ? self->labels[label]
                                                      : self->name;
}

guint32
gst_umedpt_overlay_task_get_color (const GstUmedptOverlayTask *self, gint label)
{
  return self->colors[(guint) label % self->n_colors];
}
