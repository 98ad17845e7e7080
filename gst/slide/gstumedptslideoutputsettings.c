/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The properties of umedptslidesink. All apply when the element is started;
 * none can change a running stream.
 */
#include "slide/gstumedptslideoutputsettings.h"

#include <stdlib.h>

#include "base/error.h"

static const char *const file_names[GST_UMEDPT_SLIDE_N_FILES] = {
  [GST_UMEDPT_SLIDE_FILE_REGIONS] = "regions",
  [GST_UMEDPT_SLIDE_FILE_MASK] = "mask",
  [GST_UMEDPT_SLIDE_FILE_DETECTIONS] = "detections",
  [GST_UMEDPT_SLIDE_FILE_TABLE] = "table",
  [GST_UMEDPT_SLIDE_FILE_HEATMAP] = "heatmap",
  [GST_UMEDPT_SLIDE_FILE_FEATURES] = "features",
};

const char *
gst_umedpt_slide_file_name (GstUmedptSlideFile file)
{
  return file_names[file];
}

/* An empty text is as good as none. */
static char *
copy_string (const char *text)
{
  return text && *text ? g_strdup (text) : NULL;
}

void
gst_umedpt_slide_output_settings_copy (const GstUmedptSlideOutputSettings *self,
    GstUmedptSlideOutputSettings *copy)
{
  *copy = *self;
  for (guint i = 0; i < GST_UMEDPT_SLIDE_N_FILES; i++)
    copy->paths[i] = copy_string (self->paths[i]);
  copy->detections_tasks = copy_string (self->detections_tasks);
  copy->instances = copy_string (self->instances);
  copy->mask_task = copy_string (self->mask_task);
  copy->heatmap_task = copy_string (self->heatmap_task);
}

void
gst_umedpt_slide_output_settings_clear (GstUmedptSlideOutputSettings *self)
{
  for (guint i = 0; i < GST_UMEDPT_SLIDE_N_FILES; i++)
    g_clear_pointer (&self->paths[i], g_free);
  g_clear_pointer (&self->detections_tasks, g_free);
  g_clear_pointer (&self->instances, g_free);
  g_clear_pointer (&self->mask_task, g_free);
  g_clear_pointer (&self->heatmap_task, g_free);
}

/* The string of property @id; NULL if it is none. */
static char **
find_string (GstUmedptSlideOutputSettings *self, guint id)
{
  if (id >= 1 && id <= GST_UMEDPT_SLIDE_N_FILES)
    return &self->paths[id - 1];
  switch (id) {
    case GST_UMEDPT_SLIDE_OUTPUT_PROP_DETECTIONS_TASKS:
      return &self->detections_tasks;
    case GST_UMEDPT_SLIDE_OUTPUT_PROP_INSTANCES:
      return &self->instances;
    case GST_UMEDPT_SLIDE_OUTPUT_PROP_MASK_TASK:
      return &self->mask_task;
    case GST_UMEDPT_SLIDE_OUTPUT_PROP_HEATMAP_TASK:
      return &self->heatmap_task;
    default:
      return NULL;
  }
}

gboolean
gst_umedpt_slide_output_settings_set (GstUmedptSlideOutputSettings *self,
    guint id, const GValue *value)
{
  char **string = find_string (self, id);

  if (string) {
    g_free (*string);
    *string = g_value_dup_string (value);
    return TRUE;
  }
  switch (id) {
    case GST_UMEDPT_SLIDE_OUTPUT_PROP_OVERWRITE:
      self->overwrite = g_value_get_boolean (value);
      return TRUE;
    case GST_UMEDPT_SLIDE_OUTPUT_PROP_MIN_AREA:
      self->min_area = g_value_get_double (value);
      return TRUE;
    case GST_UMEDPT_SLIDE_OUTPUT_PROP_MASK_REDUCTION:
      self->mask_reduction = g_value_get_uint (value);
      return TRUE;
    default:
      return FALSE;
  }
}

gboolean
gst_umedpt_slide_output_settings_get (const GstUmedptSlideOutputSettings *self,
    guint id, GValue *value)
{
  char **string = find_string ((GstUmedptSlideOutputSettings *) self, id);

  if (string) {
    g_value_set_string (value, *string);
    return TRUE;
  }
  switch (id) {
    case GST_UMEDPT_SLIDE_OUTPUT_PROP_OVERWRITE:
      g_value_set_boolean (value, self->overwrite);
      return TRUE;
    case GST_UMEDPT_SLIDE_OUTPUT_PROP_MIN_AREA:
      g_value_set_double (value, self->min_area);
      return TRUE;
    case GST_UMEDPT_SLIDE_OUTPUT_PROP_MASK_REDUCTION:
      g_value_set_uint (value, self->mask_reduction);
      return TRUE;
    default:
      return FALSE;
  }
}

/* --- checks ------------------------------------------------------------- */

/* One spelling for one file: a link that leads to it, a way round. A file that
 * is not there yet is found by its folder. (transfer full) */
static char *
make_canonical (const char *path)
{
  g_autofree char *absolute = g_canonicalize_filename (path, NULL);
  g_autofree char *folder = g_path_get_dirname (absolute);
  g_autofree char *name = g_path_get_basename (absolute);
  char *real = realpath (absolute, NULL);
  char *found = NULL;

  if (!real && (real = realpath (folder, NULL)))
    found = g_build_filename (real, name, NULL);
  else
    found = g_strdup (real ? real : absolute);
  free (real);
  return found;
}

static gboolean
same_file (const char *a, const char *b)
{
  g_autofree char *first = make_canonical (a);
  g_autofree char *second = make_canonical (b);

  return g_str_equal (first, second);
}

static gboolean
check_different (const GstUmedptSlideOutputSettings *self, guint a, guint b,
    GError **error)
{
  if (!self->paths[a] || !self->paths[b] ||
      !same_file (self->paths[a], self->paths[b]))
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "%s-location and %s-location are the same file, '%s'; give each its own.",
      file_names[a], file_names[b], self->paths[a]);
  return FALSE;
}

/* Files whose format has but one suffix; others are checked by their
 * writers. */
static gboolean
check_suffix (const GstUmedptSlideOutputSettings *self, guint file,
    const char *suffix, GError **error)
{
  const char *path = self->paths[file];
  g_autofree char *lower = path ? g_ascii_strdown (path, -1) : NULL;

  if (!path || g_str_has_suffix (lower, suffix))
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "'%s' is no name for %s-location. Use %s.", path, file_names[file],
      suffix);
  return FALSE;
}

/* Tasks of objects need a file for objects. */
static gboolean
check_uses (const GstUmedptSlideOutputSettings *self, GError **error)
{
  const gboolean objects = self->paths[GST_UMEDPT_SLIDE_FILE_DETECTIONS] ||
      self->paths[GST_UMEDPT_SLIDE_FILE_TABLE];

  if (objects || !(self->instances || self->detections_tasks))
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "%s is given, but no file for objects; set "
      "detections-location=FILE.geojson or table-location=FILE.csv.",
      self->instances ? "instances" : "detections-tasks");
  return FALSE;
}

gboolean
gst_umedpt_slide_output_settings_check (const GstUmedptSlideOutputSettings
                                            *self,
    GError **error)
{
  gboolean any = FALSE;

  for (guint i = 0; i < GST_UMEDPT_SLIDE_N_FILES; i++) {
    any = any || self->paths[i];
    for (guint j = 0; j < i; j++)
      if (!check_different (self, i, j, error))
        return FALSE;
  }
  if (any)
    return check_suffix (self, GST_UMEDPT_SLIDE_FILE_TABLE, ".csv", error) &&
        check_suffix (self, GST_UMEDPT_SLIDE_FILE_HEATMAP, ".png", error) &&
        check_uses (self, error);
  g_set_error_literal (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "No file is given for the results; set features-location=FILE.h5, "
      "detections-location=FILE.geojson, mask-location=FILE.tif, "
      "regions-location=FILE.geojson, table-location=FILE.csv or "
      "heatmap-location=FILE.png.");
  return FALSE;
}

gboolean
gst_umedpt_slide_output_settings_check_slide (const GstUmedptSlideOutputSettings
                                                  *self,
    const char *slide, GError **error)
{
  for (guint i = 0; slide && i < GST_UMEDPT_SLIDE_N_FILES; i++)
    if (self->paths[i] && same_file (self->paths[i], slide)) {
      g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
          "%s-location is the slide itself, '%s'; give another name.",
          file_names[i], slide);
      return FALSE;
    }
  return TRUE;
}

/* --- properties --------------------------------------------------------- */

#define FLAGS \
  (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY)

static void
install_string (GObjectClass *object, guint id, const char *name,
    const char *nick, const char *blurb)
{
  g_object_class_install_property (object, id,
      g_param_spec_string (name, nick, blurb, NULL, FLAGS));
}

static void
install_files (GObjectClass *object)
{
  /**
   * GstUmedptSlideSink:features-location:
   *
   * The file for the features; its suffix (.h5, .pt, .npy) chooses the format.
   *
   * Since: 0.1
   */
  install_string (object, 1 + GST_UMEDPT_SLIDE_FILE_FEATURES,
      "features-location", "Features file",
      "File for the features: .h5, .pt or .npy");
  /**
   * GstUmedptSlideSink:detections-location:
   *
   * The file for objects, as QuPath imports them: GeoJSON, compressed with
   * .geojson.gz. Objects that tiles share are merged. Positions count from the
   * slide's bounds (openslide.bounds-x and -y) where it has some, as QuPath
   * counts; those of features are absolute.
   *
   * Since: 0.1
   */
  install_string (object, 1 + GST_UMEDPT_SLIDE_FILE_DETECTIONS,
      "detections-location", "Detections file",
      "File for the objects: .geojson or .geojson.gz");
  /**
   * GstUmedptSlideSink:mask-location:
   *
   * The file for the mask of the whole slide, a pyramid: .tif or .tiff for
   * OpenSlide and QuPath, .ome.tif or .ome.tiff with sub-resolutions as
   * OME-TIFF has them. Pixels are numbers of classes, 255 where no tile was.
   *
   * Since: 0.1
   */
  install_string (object, 1 + GST_UMEDPT_SLIDE_FILE_MASK, "mask-location",
      "Mask file", "File for the mask: .tif, .tiff, .ome.tif or .ome.tiff");
  /**
   * GstUmedptSlideSink:regions-location:
   *
   * The file for the outlines of the mask's regions, with holes, as
   * annotations: GeoJSON, positions as in
   * #GstUmedptSlideSink:detections-location.
   *
   * Since: 0.1
   */
  install_string (object, 1 + GST_UMEDPT_SLIDE_FILE_REGIONS, "regions-location",
      "Regions file",
      "File for the outlines of the mask: .geojson or .geojson.gz");
  /**
   * GstUmedptSlideSink:table-location:
   *
   * The file for the counts of objects, per task and class.
   *
   * Since: 0.1
   */
  install_string (object, 1 + GST_UMEDPT_SLIDE_FILE_TABLE, "table-location",
      "Table file", "File for the counts of objects: .csv");
  /**
   * GstUmedptSlideSink:heatmap-location:
   *
   * The file for a small picture of the slide with results on it: the mask, or
   * the tiles in the colour of their most probable class, the more opaque the
   * more probable; objects as dots.
   *
   * Since: 0.1
   */
  install_string (object, 1 + GST_UMEDPT_SLIDE_FILE_HEATMAP, "heatmap-location",
      "Heatmap file", "File for a picture of the results: .png");
}

static void
install_tasks (GObjectClass *object)
{
  /**
   * GstUmedptSlideSink:detections-tasks:
   *
   * The detection tasks whose boxes are objects, as "a,b"; unset: all.
   *
   * Since: 0.1
   */
  install_string (object, GST_UMEDPT_SLIDE_OUTPUT_PROP_DETECTIONS_TASKS,
      "detections-tasks", "Detection tasks",
      "Tasks whose boxes are objects: NAME,NAME (unset = all)");
  /**
   * GstUmedptSlideSink:instances:
   *
   * The segmentation tasks whose regions are objects, as nuclei are, as "a,b".
   * What hangs together in one class, other than the background, is an object.
   *
   * Since: 0.1
   */
  install_string (object, GST_UMEDPT_SLIDE_OUTPUT_PROP_INSTANCES, "instances",
      "Instance tasks",
      "Segmentation tasks whose regions are objects: NAME,NAME");
  /**
   * GstUmedptSlideSink:mask-task:
   *
   * The segmentation task of the mask and its regions; unset: the first one.
   *
   * Since: 0.1
   */
  install_string (object, GST_UMEDPT_SLIDE_OUTPUT_PROP_MASK_TASK, "mask-task",
      "Mask task", "Segmentation task of the mask (unset = the first)");
  /**
   * GstUmedptSlideSink:heatmap-task:
   *
   * The task of the heatmap, a segmentation or a classification; unset: that
   * of the mask, else the first segmentation, else the first classification.
   *
   * Since: 0.1
   */
  install_string (object, GST_UMEDPT_SLIDE_OUTPUT_PROP_HEATMAP_TASK,
      "heatmap-task", "Heatmap task",
      "Segmentation or classification task of the heatmap (unset = the first)");
}

void
gst_umedpt_slide_output_settings_install (GObjectClass *object)
{
  install_files (object);
  install_tasks (object);
  /**
   * GstUmedptSlideSink:overwrite:
   *
   * Whether existing files may be replaced; that happens at the end, when all
   * new ones are complete.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object,
      GST_UMEDPT_SLIDE_OUTPUT_PROP_OVERWRITE,
      g_param_spec_boolean ("overwrite", "Overwrite", "Replace existing files",
          FALSE, FLAGS));
  /**
   * GstUmedptSlideSink:min-area:
   *
   * The smallest area of #GstUmedptSlideSink:instances and regions, in µm²;
   * smaller ones are specks and left out of objects and outlines. The mask
   * keeps them. Needs a slide whose scale is known.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object,
      GST_UMEDPT_SLIDE_OUTPUT_PROP_MIN_AREA,
      g_param_spec_double ("min-area", "Smallest area",
          "Smallest area of instances and regions in µm²", 0, 1e12, 0, FLAGS));
  /**
   * GstUmedptSlideSink:mask-reduction:
   *
   * Pixels of a tile along a pixel of the mask. 0 takes what the first tile's
   * mask has: networks decide masks at half the resolution of their input, so
   * a finer file would say no more.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object,
      GST_UMEDPT_SLIDE_OUTPUT_PROP_MASK_REDUCTION,
      g_param_spec_uint ("mask-reduction", "Mask reduction",
          "Pixels of a tile along a pixel of the mask (0 = as masks come)", 0,
          256, 0, FLAGS));
}
