/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Objects of the whole slide: boxes of detection tasks, and of the tasks that
 * `instances` names each region of a class. Tiles give them with their whole
 * picture, overlap and all; the merger makes one of what is one, and whole
 * objects go to the GeoJSON file and the table as they leave it.
 */
#include "slide/gstumedptslideoutput.h"

#include <math.h>

#include "base/error.h"
#include "common/gstumedpttasks.h"
#include "output/geojson-writer.h"
#include "output/object-table.h"
#include "slide/gstumedptslideinstances.h"

/* A task whose results are objects; its number is its place in the list. */
typedef struct
{
  char *name;
  GstUmedptSlideLabels *labels; /* (nullable): of boxes */
  GStrv names; /* of classes of boxes */
  guint32 *colors;
  UmedptClassNames classes;
  guint n_classes;
} Task;

typedef struct
{
  const GstUmedptSlideRun *run;
  GStrv wanted_boxes, wanted_instances; /* names, as asked for */
  GPtrArray *tasks; /* of Task, as they are met */
  UmedptObjectMerger *merger; /* from the first tile on, as those below */
  UmedptGeojsonWriter *geojson; /* (nullable) */
  UmedptObjectTable *table; /* (nullable) */
  double min_area; /* square level-0 pixels */
  guint64 n_objects;
  GArray *found; /* UmedptObject of a tile */
  GByteArray *classes; /* of a tile's mask */
} Objects;

static void
free_task (gpointer data)
{
  Task *self = data;

  gst_umedpt_slide_labels_free (self->labels);
  g_strfreev (self->names);
  g_free (self->colors);
  g_free (self->name);
  g_free (self);
}

static void
clear_object (gpointer object)
{
  umedpt_object_clear (object);
}

/* --- starting ----------------------------------------------------------- */

static gboolean
objects_check (const GstUmedptSlideOutputSettings *settings, GError **error)
{
  const char *geojson = settings->paths[GST_UMEDPT_SLIDE_FILE_DETECTIONS];
  const char *table = settings->paths[GST_UMEDPT_SLIDE_FILE_TABLE];
  UmedptGeojsonInfo info = { 0 };
  g_autoptr (UmedptGeojsonWriter) geojson_probe = NULL;
  g_autoptr (UmedptObjectTable) table_probe = NULL;

  if (geojson &&
      !(geojson_probe = umedpt_geojson_writer_new (geojson, &info,
            settings->overwrite, error)))
    return FALSE;
  if (table)
    table_probe =
        umedpt_object_table_new (table, "", 0, settings->overwrite, error);
  return !table || table_probe;
}

static gpointer
objects_begin (const GstUmedptSlideRun *run)
{
  Objects *self = NULL;

  if (!run->settings->paths[GST_UMEDPT_SLIDE_FILE_DETECTIONS] &&
      !run->settings->paths[GST_UMEDPT_SLIDE_FILE_TABLE])
    return NULL;
  self = g_new0 (Objects, 1);
  self->run = run;
  self->wanted_boxes = gst_umedpt_split_names (run->settings->detections_tasks);
  self->wanted_instances = gst_umedpt_split_names (run->settings->instances);
  self->tasks = g_ptr_array_new_with_free_func (free_task);
  self->found = g_array_new (FALSE, FALSE, sizeof (UmedptObject));
  g_array_set_clear_func (self->found, clear_object);
  self->classes = g_byte_array_new ();
  return self;
}

/* A whole object, from the merger. */
static gboolean
on_object (const UmedptObject *object, gpointer data, GError **error)
{
  Objects *self = data;
  const Task *task = g_ptr_array_index (self->tasks, object->task);

  if (task->labels && object->area < self->min_area)
    return TRUE;
  self->n_objects++;
  if (self->table)
    umedpt_object_table_add (self->table, object);
  return !self->geojson ||
      umedpt_geojson_writer_add (self->geojson, object, &task->classes,
          "detection", error);
}

static gboolean
open_geojson (Objects *self, const char *model_hash, GError **error)
{
  const GstUmedptSlideRun *run = self->run;
  const char *path = run->settings->paths[GST_UMEDPT_SLIDE_FILE_DETECTIONS];
  g_autofree char *config_hash = gst_umedpt_slide_config_hash (run, model_hash);
  UmedptGeojsonInfo info = {
    .bounds_x = run->geometry.bounds_x,
    .bounds_y = run->geometry.bounds_y,
    .mpp = run->geometry.mpp,
    .slide = gst_structure_get_string (run->slide, "slide"),
    .model_hash = model_hash,
    .config_hash = config_hash,
  };

  if (!path)
    return TRUE;
  self->geojson =
      umedpt_geojson_writer_new (path, &info, run->settings->overwrite, error);
  return self->geojson != NULL;
}

static gboolean
open_table (Objects *self, GError **error)
{
  const GstUmedptSlideRun *run = self->run;
  const char *path = run->settings->paths[GST_UMEDPT_SLIDE_FILE_TABLE];
  const char *slide = gst_structure_get_string (run->slide, "slide");

  if (!path)
    return TRUE;
  self->table = umedpt_object_table_new (path, slide ? slide : "",
      run->geometry.mpp, run->settings->overwrite, error);
  return self->table != NULL;
}

/* Begins the files. @model_hash: (nullable): of the first tile's results */
static gboolean
open_files (Objects *self, const char *model_hash, GError **error)
{
  if (self->merger)
    return TRUE;
  if (!gst_umedpt_slide_min_area (self->run, &self->min_area, error) ||
      !open_geojson (self, model_hash, error) || !open_table (self, error))
    return FALSE;
  self->merger =
      umedpt_object_merger_new (UMEDPT_OBJECTS_MIN_OVERLAP, on_object, self);
  return TRUE;
}

/* --- tasks -------------------------------------------------------------- */

static void
add_task (Objects *self, Task *task)
{
  task->classes.task = task->name;
  if (self->table)
    umedpt_object_table_add_task (self->table, self->tasks->len,
        &task->classes);
  g_ptr_array_add (self->tasks, task);
}

/* The number of a detection task. */
static guint
get_box_task (Objects *self, const char *name, const GstStructure *result)
{
  Task *task = NULL;

  for (guint i = 0; i < self->tasks->len; i++) {
    task = g_ptr_array_index (self->tasks, i);
    if (!task->labels && g_str_equal (task->name, name))
      return i;
  }
  task = g_new0 (Task, 1);
  task->name = g_strdup (name);
  task->n_classes = gst_umedpt_slide_count_classes (result);
  task->names = gst_umedpt_slide_class_names (name, result, task->n_classes);
  task->colors = g_new (guint32, task->n_classes);
  for (guint i = 0; i < task->n_classes; i++)
    task->colors[i] = gst_umedpt_result_get_color (result, i);
  task->classes.labels = (const char *const *) task->names;
  task->classes.colors = task->colors;
  add_task (self, task);
  return self->tasks->len - 1;
}

/* The number of a segmentation task. Its background is no class of objects. */
static guint
get_mask_task (Objects *self, const char *name, const GstStructure *result,
    const GstUmedptMask *mask)
{
  Task *task = NULL;
  guint first = 0;

  for (guint i = 0; i < self->tasks->len; i++) {
    task = g_ptr_array_index (self->tasks, i);
    if (task->labels && g_str_equal (task->name, name))
      return i;
  }
  task = g_new0 (Task, 1);
  task->name = g_strdup (name);
  task->labels = gst_umedpt_slide_labels_new (name, result, mask);
  first = task->labels->background ? 1 : 0;
  task->n_classes = task->labels->n - first;
  task->classes.labels = (const char *const *) task->labels->names + first;
  task->classes.colors = task->labels->colors + first;
  add_task (self, task);
  return self->tasks->len - 1;
}

/* --- boxes -------------------------------------------------------------- */

static gboolean
add_box (Objects *self, const GstUmedptSlideTile *tile, guint number,
    const GstUmedptBox *box, GError **error)
{
  const Task *task = g_ptr_array_index (self->tasks, number);
  const double downsample = self->run->geometry.downsample;
  const double width = box->width * downsample;
  const double height = box->height * downsample;
  UmedptObject object = {
    .task = number,
    .label = box->label,
    .score = box->score,
    .x1 = (double) tile->x + box->x * downsample,
    .y1 = (double) tile->y + box->y * downsample,
    .area = width * height,
  };

  object.x2 = object.x1 + width;
  object.y2 = object.y1 + height;
  if (width > 0 && height > 0 && isfinite (object.x2) && isfinite (object.y2) &&
      box->score >= 0 && box->score <= 1 && box->label >= 0 &&
      (guint) box->label < task->n_classes) {
    g_array_append_val (self->found, object);
    return TRUE;
  }
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
      "Tile %" G_GUINT64_FORMAT " has a box of the task '%s' that makes no "
      "sense: %g x %g pixels at (%g, %g), score %g, class %d of %u.",
      tile->index, task->name, box->width, box->height, box->x, box->y,
      box->score, box->label, task->n_classes);
  return FALSE;
}

static gboolean
add_boxes (Objects *self, const GstUmedptSlideTile *tile, const char *name,
    const GstStructure *result, GError **error)
{
  const guint task = get_box_task (self, name, result);
  guint n = 0;
  const GstUmedptBox *boxes = gst_umedpt_result_get_boxes (result, &n);

  for (guint i = 0; i < n; i++)
    if (!add_box (self, tile, task, &boxes[i], error))
      return FALSE;
  return TRUE;
}

/* Of the tasks that are named; or of all, of which there must be one if
 * nothing else gives objects. */
static gboolean
take_boxes (Objects *self, const GstUmedptSlideTile *tile, GError **error)
{
  const GstStructure *result = NULL;
  const char *name = NULL;

  for (guint i = 0; self->wanted_boxes[i]; i++) {
    result = gst_umedpt_slide_find_result (tile, self->wanted_boxes[i],
        GST_UMEDPT_RESULT_BOXES, &name, error);
    if (!result || !add_boxes (self, tile, name, result, error))
      return FALSE;
  }
  if (self->wanted_boxes[0])
    return TRUE;
  for (guint i = 0; (result = gst_umedpt_results_nth (tile->results, i, &name));
       i++)
    if (gst_structure_has_name (result, GST_UMEDPT_RESULT_BOXES) &&
        !add_boxes (self, tile, name, result, error))
      return FALSE;
  return self->wanted_instances[0] ||
      gst_umedpt_slide_find_result (tile, NULL, GST_UMEDPT_RESULT_BOXES, NULL,
          error);
}

/* --- instances ---------------------------------------------------------- */

static gboolean
take_instances (Objects *self, const GstUmedptSlideTile *tile, const char *name,
    GError **error)
{
  GstUmedptSlideTracing tracing = { tile, 0, NULL, self->min_area,
    self->classes, self->found };
  const Task *task = NULL;
  GstUmedptMask mask;
  const GstStructure *result = gst_umedpt_slide_find_result (tile, name,
      GST_UMEDPT_RESULT_MASK, NULL, error);

  if (!result || !gst_umedpt_slide_get_mask (result, name, NULL, &mask, error))
    return FALSE;
  tracing.task = get_mask_task (self, name, result, &mask);
  task = g_ptr_array_index (self->tasks, tracing.task);
  tracing.labels = task->labels;
  return gst_umedpt_slide_get_mask (result, name, task->labels, &mask, error) &&
      gst_umedpt_slide_trace_instances (&tracing, &mask, error);
}

/* --- tiles -------------------------------------------------------------- */

/* The model that the first of the tasks is of. */
static const char *
find_model_hash (Objects *self, const GstUmedptSlideTile *tile)
{
  const GstStructure *result = NULL;

  if (self->wanted_boxes[0] || !self->wanted_instances[0])
    result = gst_umedpt_results_get (tile->results, self->wanted_boxes[0],
        GST_UMEDPT_RESULT_BOXES);
  else
    result = gst_umedpt_results_get (tile->results, self->wanted_instances[0],
        GST_UMEDPT_RESULT_MASK);
  return result ? gst_structure_get_string (result, "model") : NULL;
}

/* What was looked at: the core, as far as it lies on the slide. */
static double
get_area (const GstUmedptSlideTile *tile)
{
  const GstUmedptSlideGeometry *g = &tile->run->geometry;
  const double width =
      MIN (tile->core_x2, (double) g->width) - MAX (tile->core_x1, 0);
  const double height =
      MIN (tile->core_y2, (double) g->height) - MAX (tile->core_y1, 0);

  return MAX (width, 0) * MAX (height, 0);
}

/* The merger wants a core inside its tile; that of the grid may lie outside by
 * what rounding moved the tile. */
static UmedptObjectTile
find_place (const GstUmedptSlideTile *tile)
{
  const double side = tile->run->geometry.side;
  const double x1 = (double) tile->x, y1 = (double) tile->y;
  const double x2 = x1 + side, y2 = y1 + side;

  return (UmedptObjectTile){ x1, y1, x2, y2, MAX (tile->core_x1, x1),
    MAX (tile->core_y1, y1), MIN (tile->core_x2, x2), MIN (tile->core_y2, y2) };
}

static gboolean
objects_take (gpointer data, const GstUmedptSlideTile *tile, GError **error)
{
  Objects *self = data;
  UmedptObjectTile place;

  if (!open_files (self, find_model_hash (self, tile), error) ||
      !take_boxes (self, tile, error))
    return FALSE;
  for (guint i = 0; self->wanted_instances[i]; i++)
    if (!take_instances (self, tile, self->wanted_instances[i], error))
      return FALSE;
  if (self->table)
    umedpt_object_table_add_area (self->table, get_area (tile));
  place = find_place (tile);
  return umedpt_object_merger_add_tile (self->merger, &place, self->found,
      error);
}

/* --- the end ------------------------------------------------------------ */

static gboolean
objects_finish (gpointer data, GArray *written, GError **error)
{
  Objects *self = data;

  if (!open_files (self, NULL, error) ||
      !umedpt_object_merger_finish (self->merger, error))
    return FALSE;
  if (self->geojson) {
    if (!umedpt_geojson_writer_finish (self->geojson, error))
      return FALSE;
    gst_umedpt_slide_written (written, GST_UMEDPT_SLIDE_FILE_DETECTIONS,
        self->n_objects);
  }
  if (self->table) {
    if (!umedpt_object_table_finish (self->table, error))
      return FALSE;
    gst_umedpt_slide_written (written, GST_UMEDPT_SLIDE_FILE_TABLE,
        self->n_objects);
  }
  return TRUE;
}

static void
objects_free (gpointer data)
{
  Objects *self = data;

  /* before the files and tasks that its objects would go to */
  g_clear_pointer (&self->merger, umedpt_object_merger_free);
  g_clear_pointer (&self->geojson, umedpt_geojson_writer_free);
  g_clear_pointer (&self->table, umedpt_object_table_free);
  g_strfreev (self->wanted_boxes);
  g_strfreev (self->wanted_instances);
  g_ptr_array_unref (self->tasks);
  g_array_unref (self->found);
  g_byte_array_unref (self->classes);
  g_free (self);
}

const GstUmedptSlideOutputClass gst_umedpt_slide_objects = {
  objects_check,
  objects_begin,
  objects_take,
  NULL,
  objects_finish,
  objects_free,
};
