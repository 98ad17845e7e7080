/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A small picture of the slide with results on it. The task is the one asked
 * for; else the first with a mask, else the first classification. A mask is
 * drawn as it is, less what is background or undecided. Of a classification,
 * the core of each tile takes the colour of the most probable class, the more
 * opaque the more probable it is. Boxes are dots, drawn by the tile in whose
 * core their centre lies.
 */
#include "slide/gstumedptslideoutput.h"

#include <math.h>
#include <string.h>

#include "common/gstumedpttasks.h"
#include "output/heatmap.h"
#include "slide/gstumedptslidelabels.h"

#define OPACITY 0.6 /* of a class whose probability is 1 */

typedef struct
{
  const GstUmedptSlideRun *run;
  UmedptHeatmap *heatmap; /* from the first tile on */
  char *task; /* of masks or values; (nullable) */
  GStrv boxes; /* tasks, as asked for; empty: all */
  GHashTable *in_legend; /* set of names */
  GstUmedptSlideLabels *labels; /* (nullable): of a mask */
  GByteArray *classes; /* of a tile's mask */
  guint64 n_tiles;
} Heatmap;

/* --- starting ----------------------------------------------------------- */

static gboolean
heatmap_check (const GstUmedptSlideOutputSettings *settings, GError **error)
{
  const char *path = settings->paths[GST_UMEDPT_SLIDE_FILE_HEATMAP];
  g_autoptr (UmedptHeatmap) probe = NULL;

  if (!path)
    return TRUE;
  probe = umedpt_heatmap_new (path, NULL, 1, 1, settings->overwrite, error);
  return probe != NULL;
}

static gpointer
heatmap_begin (const GstUmedptSlideRun *run)
{
  const GstUmedptSlideOutputSettings *settings = run->settings;
  Heatmap *self = NULL;

  if (!settings->paths[GST_UMEDPT_SLIDE_FILE_HEATMAP])
    return NULL;
  self = g_new0 (Heatmap, 1);
  self->run = run;
  self->task = g_strdup (settings->heatmap_task ? settings->heatmap_task
                                                : settings->mask_task);
  self->boxes = gst_umedpt_split_names (settings->detections_tasks);
  self->in_legend =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  self->classes = g_byte_array_new ();
  return self;
}

static gboolean
open_heatmap (Heatmap *self, GError **error)
{
  const GstUmedptSlideRun *run = self->run;

  if (!self->heatmap)
    self->heatmap =
        umedpt_heatmap_new (run->settings->paths[GST_UMEDPT_SLIDE_FILE_HEATMAP],
            gst_structure_get_string (run->slide, "path"), run->geometry.width,
            run->geometry.height, run->settings->overwrite, error);
  return self->heatmap != NULL;
}

/* Names each class once. */
static void
add_legend (Heatmap *self, const char *name, guint32 color)
{
  if (g_hash_table_add (self->in_legend, g_strdup (name)))
    umedpt_heatmap_add_legend (self->heatmap, name, color);
}

/* --- masks -------------------------------------------------------------- */

static void
begin_mask (Heatmap *self, const char *task, const GstStructure *result,
    const GstUmedptMask *mask)
{
  if (self->labels)
    return;
  self->labels = gst_umedpt_slide_labels_new (task, result, mask);
  for (guint i = self->labels->background ? 1 : 0; i < self->labels->n; i++)
    add_legend (self, self->labels->names[i], self->labels->colors[i]);
}

/* Which of @n pixels have their centre in [@from, @to); they begin at @start
 * and are @size wide. */
static void
find_pixels (double from, double to, double start, double size, gint n,
    gint *first, gint *last)
{
  const double a = ceil ((from - start) / size - 0.5);
  const double b = ceil ((to - start) / size - 0.5);

  *first = (gint) CLAMP (a, 0, n);
  *last = (gint) CLAMP (b, *first, n);
}

/* The pixels of the mask in the tile's core, moved together. */
static void
draw_core (Heatmap *self, const GstUmedptSlideTile *tile,
    const GstUmedptMask *mask)
{
  const double downsample = self->run->geometry.downsample;
  const double x = (double) tile->x + mask->x * downsample;
  const double y = (double) tile->y + mask->y * downsample;
  const double w = mask->w * downsample / mask->width;
  const double h = mask->h * downsample / mask->height;
  guint8 *classes = self->classes->data;
  gint x1, x2, y1, y2;

  find_pixels (tile->core_x1, tile->core_x2, x, w, mask->width, &x1, &x2);
  find_pixels (tile->core_y1, tile->core_y2, y, h, mask->height, &y1, &y2);
  if (x1 == x2 || y1 == y2)
    return;
  for (gint j = y1; j < y2; j++)
    memmove (classes + (gsize) (j - y1) * (gsize) (x2 - x1),
        classes + (gsize) j * (gsize) mask->width + x1, (gsize) (x2 - x1));
  umedpt_heatmap_add_mask (self->heatmap, x + x1 * w, y + y1 * h, (x2 - x1) * w,
      (y2 - y1) * h, classes, x2 - x1, y2 - y1, self->labels->background,
      self->labels->colors, self->labels->n);
}

static gboolean
draw_mask (Heatmap *self, const GstUmedptSlideTile *tile, const char *task,
    const GstStructure *result, GError **error)
{
  GstUmedptMask mask;

  if (!gst_umedpt_slide_get_mask (result, task, self->labels, &mask, error))
    return FALSE;
  begin_mask (self, task, result, &mask);
  g_byte_array_set_size (self->classes,
      (guint) ((gsize) mask.width * (gsize) mask.height));
  if (!gst_umedpt_slide_labels_read (self->labels, &mask, self->classes->data,
          error))
    return FALSE;
  draw_core (self, tile, &mask);
  return TRUE;
}

/* --- values and boxes --------------------------------------------------- */

/* Probabilities; not the numbers of a regression. */
static gboolean
is_classification (const GstStructure *result)
{
  const char *kind = gst_structure_get_string (result, "kind");

  return gst_structure_has_name (result, GST_UMEDPT_RESULT_VALUES) &&
      (g_strcmp0 (kind, "classification") == 0 ||
          g_strcmp0 (kind, "multilabel") == 0);
}

static void
draw_values (Heatmap *self, const GstUmedptSlideTile *tile, const char *task,
    const GstStructure *result)
{
  guint n = 0, best = 0;
  const gfloat *values = gst_umedpt_result_get_values (result, &n);
  const guint n_classes = MAX (n, 1);
  g_auto (GStrv) names = gst_umedpt_slide_class_names (task, result, n_classes);

  for (guint i = 0; i < n; i++) {
    if (values[i] > values[best])
      best = i;
    add_legend (self, names[i], gst_umedpt_result_get_color (result, i));
  }
  if (n > 0 && values[best] > 0)
    umedpt_heatmap_add_area (self->heatmap, tile->core_x1, tile->core_y1,
        tile->core_x2 - tile->core_x1, tile->core_y2 - tile->core_y1,
        gst_umedpt_result_get_color (result, best),
        OPACITY * MIN (values[best], 1));
}

static void
draw_boxes (Heatmap *self, const GstUmedptSlideTile *tile, const char *task,
    const GstStructure *result)
{
  const double downsample = self->run->geometry.downsample;
  const guint n_classes = gst_umedpt_slide_count_classes (result);
  g_auto (GStrv) names = gst_umedpt_slide_class_names (task, result, n_classes);
  guint n = 0;
  const GstUmedptBox *boxes = gst_umedpt_result_get_boxes (result, &n);

  for (guint i = 0; i < n_classes; i++)
    add_legend (self, names[i], gst_umedpt_result_get_color (result, i));
  for (guint i = 0; i < n; i++) {
    const double x =
        (double) tile->x + (boxes[i].x + boxes[i].width / 2) * downsample;
    const double y =
        (double) tile->y + (boxes[i].y + boxes[i].height / 2) * downsample;

    if (x >= tile->core_x1 && x < tile->core_x2 && y >= tile->core_y1 &&
        y < tile->core_y2)
      umedpt_heatmap_add_point (self->heatmap, x, y,
          gst_umedpt_result_get_color (result, (guint) boxes[i].label));
  }
}

/* --- tiles -------------------------------------------------------------- */

/* What colours the tiles: a mask before a classification. */
static const GstStructure *
find_ground (Heatmap *self, const GstUmedptSlideTile *tile, const char **task)
{
  const char *kinds[] = { GST_UMEDPT_RESULT_MASK, GST_UMEDPT_RESULT_VALUES };

  for (guint k = 0; k < G_N_ELEMENTS (kinds); k++) {
    const GstStructure *result = NULL;

    for (guint i = 0;
         (result = gst_umedpt_results_nth (tile->results, i, task)); i++)
      if (gst_structure_has_name (result, kinds[k]) &&
          (k == 0 || is_classification (result)) &&
          (!self->task || g_str_equal (self->task, *task)))
        return result;
  }
  return NULL;
}

static gboolean
draw_ground (Heatmap *self, const GstUmedptSlideTile *tile, gboolean *drawn,
    GError **error)
{
  const char *task = NULL;
  const GstStructure *result = find_ground (self, tile, &task);

  *drawn = result != NULL;
  if (!result && self->task) { /* who names a task wants that one */
    gst_umedpt_slide_set_missing (tile, "a mask or classes", self->task,
        "umedptsegment, or umedptembed with tasks,", error);
    return FALSE;
  }
  if (!result)
    return TRUE;
  if (!self->task)
    self->task = g_strdup (task);
  if (gst_structure_has_name (result, GST_UMEDPT_RESULT_MASK))
    return draw_mask (self, tile, task, result, error);
  draw_values (self, tile, task, result);
  return TRUE;
}

static gboolean
heatmap_take (gpointer data, const GstUmedptSlideTile *tile, GError **error)
{
  Heatmap *self = data;
  const GstStructure *result = NULL;
  const char *task = NULL;
  gboolean drawn = FALSE;

  if (!open_heatmap (self, error) || !draw_ground (self, tile, &drawn, error))
    return FALSE;
  for (guint i = 0; (result = gst_umedpt_results_nth (tile->results, i, &task));
       i++)
    if (gst_structure_has_name (result, GST_UMEDPT_RESULT_BOXES) &&
        (!self->boxes[0] ||
            g_strv_contains ((const char *const *) self->boxes, task))) {
      draw_boxes (self, tile, task, result);
      drawn = TRUE;
    }
  self->n_tiles++;
  if (!drawn)
    gst_umedpt_slide_set_missing (tile, "anything to draw", NULL,
        "umedptsegment, umedptdetect, or umedptembed with tasks,", error);
  return drawn;
}

/* --- the end ------------------------------------------------------------ */

static gboolean
heatmap_finish (gpointer data, GArray *written, GError **error)
{
  Heatmap *self = data;

  if (!open_heatmap (self, error) ||
      !umedpt_heatmap_finish (self->heatmap, error))
    return FALSE;
  gst_umedpt_slide_written (written, GST_UMEDPT_SLIDE_FILE_HEATMAP,
      self->n_tiles);
  return TRUE;
}

static void
heatmap_free (gpointer data)
{
  Heatmap *self = data;

  g_clear_pointer (&self->heatmap, umedpt_heatmap_free);
  gst_umedpt_slide_labels_free (self->labels);
  g_hash_table_unref (self->in_legend);
  g_byte_array_unref (self->classes);
  g_strfreev (self->boxes);
  g_free (self->task);
  g_free (self);
}

const GstUmedptSlideOutputClass gst_umedpt_slide_heatmap = {
  heatmap_check,
  heatmap_begin,
  heatmap_take,
  NULL,
  heatmap_finish,
  heatmap_free,
};
