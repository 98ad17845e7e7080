/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Masks of all kinds as label images; see gstumedptslidelabels.h.
 */
#include "slide/gstumedptslidelabels.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

#define MAX_SIDE 32768 /* pixels of a tile's mask */

guint
gst_umedpt_slide_count_classes (const GstStructure *result)
{
  const char *const *labels = gst_umedpt_result_get_labels (result);
  const guint n_labels = labels ? g_strv_length ((char **) labels) : 0;
  gsize size = 0;

  gst_umedpt_result_get_bytes (result, "colors", &size);
  return MAX (MAX (n_labels, (guint) (size / sizeof (guint32))), 1);
}

GStrv
gst_umedpt_slide_class_names (const char *task, const GstStructure *result,
    guint n)
{
  const char *const *labels = gst_umedpt_result_get_labels (result);
  const guint n_labels = labels ? g_strv_length ((char **) labels) : 0;
  g_autoptr (GStrvBuilder) names = g_strv_builder_new ();

  for (guint i = 0; i < n; i++) {
    g_autofree char *number = g_strdup_printf ("%s %u", task, i);

    if (i < n_labels)
      g_strv_builder_add (names, labels[i]);
    else
      g_strv_builder_add (names, n > 1 ? number : task);
  }
  return g_strv_builder_end (names);
}

/* Puts "background" before the task's own classes. */
static void
add_background (GstUmedptSlideLabels *self)
{
  char **names = g_new0 (char *, self->n + 2);

  names[0] = g_strdup ("background");
  memcpy (names + 1, self->names, self->n * sizeof *names);
  g_free (self->names);
  self->names = names;
  self->colors = g_renew (guint32, self->colors, self->n + 1);
  memmove (self->colors + 1, self->colors, self->n * sizeof *self->colors);
  self->colors[0] = 0xffffffu;
  self->n++;
  self->background = TRUE;
}

GstUmedptSlideLabels *
gst_umedpt_slide_labels_new (const char *task, const GstStructure *result,
    const GstUmedptMask *mask)
{
  GstUmedptSlideLabels *self = g_new0 (GstUmedptSlideLabels, 1);

  self->task = g_strdup (task);
  self->planes = (guint) mask->planes;
  self->n =
      mask->planes > 1 ? self->planes : gst_umedpt_slide_count_classes (result);
  self->yes_or_no = mask->planes > 1 || (self->n == 1 && !mask->background);
  self->background = mask->background;
  self->names = gst_umedpt_slide_class_names (task, result, self->n);
  self->colors = g_new (guint32, self->n);
  for (guint i = 0; i < self->n; i++)
    self->colors[i] = gst_umedpt_result_get_color (result, i);
  if (self->yes_or_no)
    add_background (self);
  return self;
}

GstUmedptSlideLabels *
gst_umedpt_slide_labels_new_empty (const char *task)
{
  GstUmedptSlideLabels *self = g_new0 (GstUmedptSlideLabels, 1);

  self->task = g_strdup (task ? task : "mask");
  self->names = g_new0 (char *, 1);
  add_background (self);
  return self;
}

void
gst_umedpt_slide_labels_free (GstUmedptSlideLabels *self)
{
  if (!self)
    return;
  g_free (self->task);
  g_strfreev (self->names);
  g_free (self->colors);
  g_free (self);
}

/* --- masks -------------------------------------------------------------- */

gboolean
gst_umedpt_slide_get_mask (const GstStructure *result, const char *task,
    const GstUmedptSlideLabels *self, GstUmedptMask *mask, GError **error)
{
  if (!gst_umedpt_result_get_mask (result, mask) || mask->width > MAX_SIDE ||
      mask->height > MAX_SIDE || !(mask->w > 0) || !(mask->h > 0) ||
      !isfinite (mask->x + mask->w) || !isfinite (mask->y + mask->h)) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
        "The mask of the task '%s' is damaged: its size is not what it says.",
        task);
    return FALSE;
  }
  if (mask->planes < G_MAXUINT8 &&
      (!self || (guint) mask->planes == self->planes))
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE,
      "The mask of the task '%s' has %d planes; %u are expected, at most %d.",
      task, mask->planes, self ? self->planes : 1, G_MAXUINT8 - 1);
  return FALSE;
}

/* The last class of @values that is set, counted from 1; 0 without one. */
static guint8
last_set (const guint8 *values, guint n)
{
  while (n > 0 && !values[n - 1])
    n--;
  return (guint8) n;
}

gboolean
gst_umedpt_slide_labels_read (const GstUmedptSlideLabels *self,
    const GstUmedptMask *mask, guint8 *labels, GError **error)
{
  const gsize n = (gsize) mask->width * (gsize) mask->height;

  if (self->yes_or_no) {
    for (gsize i = 0; i < n; i++)
      labels[i] = last_set (mask->data + i * self->planes, self->planes);
    return TRUE;
  }
  for (gsize i = 0; i < n; i++) {
    labels[i] = mask->data[i];
    if (labels[i] < self->n || labels[i] == GST_UMEDPT_UNDECIDED)
      continue;
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
        "The mask of the task '%s' has a pixel of class %u; there are %u "
        "classes, counted from 0.",
        self->task, labels[i], self->n);
    return FALSE;
  }
  return TRUE;
}
