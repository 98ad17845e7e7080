/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The mask of the whole slide and the outlines of its regions. A pixel of the
 * slide's mask takes the class of the tile in whose core its centre lies, at
 * that place of the tile's mask, whatever the scale and wherever the tile lies
 * between pixels; so there is neither a gap nor a seam. Outlines are traced
 * from the finished mask, row by row, where regions are whole.
 */
#include "slide/gstumedptslideoutput.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "output/geojson-writer.h"
#include "output/mask-file.h"
#include "output/polygonize.h"
#include "slide/gstumedptslidelabels.h"

#define UNKNOWN_REDUCTION 2 /* of a slide without tiles: that of our networks */

typedef struct
{
  const GstUmedptSlideRun *run;
  GstUmedptSlideLabels *labels; /* from the first tile on, as all below */
  char *model_hash; /* (nullable) */
  double scale; /* level-0 pixels per pixel of the mask */
  gint64 width, height;
  UmedptMaskWriter *writer;
  UmedptGeojsonWriter *regions; /* (nullable) */
  double min_area; /* square level-0 pixels */
  GByteArray *classes; /* of a tile's mask */
  GByteArray *part; /* of the slide's */
  GArray *columns; /* gint: of a tile's mask, per column of part */
} Mask;

/* The slide's mask is wanted, be it only to trace it. */
static gboolean
is_wanted (const GstUmedptSlideOutputSettings *settings)
{
  return settings->paths[GST_UMEDPT_SLIDE_FILE_MASK] ||
      settings->paths[GST_UMEDPT_SLIDE_FILE_REGIONS];
}

/* --- starting ----------------------------------------------------------- */

static gboolean
check_regions (const GstUmedptSlideOutputSettings *settings, GError **error)
{
  const char *path = settings->paths[GST_UMEDPT_SLIDE_FILE_REGIONS];
  UmedptGeojsonInfo info = { 0 };
  g_autoptr (UmedptGeojsonWriter) probe = NULL;

  if (!path)
    return TRUE;
  probe = umedpt_geojson_writer_new (path, &info, settings->overwrite, error);
  return probe != NULL;
}

static gboolean
mask_check (const GstUmedptSlideOutputSettings *settings, GError **error)
{
  const char *path = settings->paths[GST_UMEDPT_SLIDE_FILE_MASK];
  const guint32 white = 0xffffffu;
  UmedptMaskInfo info = {
    .width = 1, .height = 1, .colors = &white, .n_colors = 1
  };
  g_autoptr (UmedptMaskWriter) probe = NULL;

  if (path) {
    probe = umedpt_mask_writer_new (path, &info, settings->overwrite, error);
    if (!probe)
      return FALSE;
  }
  return check_regions (settings, error);
}

static gpointer
mask_begin (const GstUmedptSlideRun *run)
{
  Mask *self = NULL;

  if (!is_wanted (run->settings))
    return NULL;
  self = g_new0 (Mask, 1);
  self->run = run;
  self->classes = g_byte_array_new ();
  self->part = g_byte_array_new ();
  self->columns = g_array_new (FALSE, FALSE, sizeof (gint));
  return self;
}

/* Where the mask is written that nobody asked for: beside the outlines, never
 * finished, so nothing is left of it. (transfer full) */
static char *
make_scratch_path (const char *regions)
{
  g_autofree char *folder = g_path_get_dirname (regions);

  return g_build_filename (folder, ".mask.tif", NULL);
}

static gboolean
open_mask (Mask *self, GError **error)
{
  const GstUmedptSlideRun *run = self->run;
  const char *path = run->settings->paths[GST_UMEDPT_SLIDE_FILE_MASK];
  g_autofree char *scratch = NULL;
  g_autofree char *config_hash =
      gst_umedpt_slide_config_hash (run, self->model_hash);
  UmedptMaskInfo info = {
    .width = self->width,
    .height = self->height,
    .mpp = run->geometry.mpp * self->scale,
    .labels = (const char *const *) self->labels->names,
    .colors = self->labels->colors,
    .n_colors = self->labels->n,
    .slide = gst_structure_get_string (run->slide, "slide"),
    .model_hash = self->model_hash,
    .config_hash = config_hash,
  };

  if (!path)
    path = scratch =
        make_scratch_path (run->settings->paths[GST_UMEDPT_SLIDE_FILE_REGIONS]);
  self->writer = umedpt_mask_writer_new (path, &info,
      scratch || run->settings->overwrite, error);
  return self->writer != NULL;
}

static gboolean
open_regions (Mask *self, GError **error)
{
  const GstUmedptSlideRun *run = self->run;
  const char *path = run->settings->paths[GST_UMEDPT_SLIDE_FILE_REGIONS];
  g_autofree char *config_hash =
      gst_umedpt_slide_config_hash (run, self->model_hash);
  UmedptGeojsonInfo info = {
    .bounds_x = run->geometry.bounds_x,
    .bounds_y = run->geometry.bounds_y,
    .mpp = run->geometry.mpp,
    .slide = gst_structure_get_string (run->slide, "slide"),
    .model_hash = self->model_hash,
    .config_hash = config_hash,
  };

  if (!path)
    return TRUE;
  self->regions =
      umedpt_geojson_writer_new (path, &info, run->settings->overwrite, error);
  return self->regions &&
      gst_umedpt_slide_min_area (run, &self->min_area, error);
}

/* Pixels along an axis: those whose centre lies on the slide. */
static gint64
count_pixels (gint64 length, double scale)
{
  return MAX (1, (gint64) ceil ((double) length / scale - 0.5));
}

/* Begins the files. @reduction: pixels of a tile per pixel of its mask. */
static gboolean
open_files (Mask *self, double reduction, GError **error)
{
  const GstUmedptSlideGeometry *g = &self->run->geometry;
  const guint asked = self->run->settings->mask_reduction;

  reduction = asked > 0 ? asked : MAX (floor (reduction + 0.5), 1);
  self->scale = g->downsample * reduction;
  self->width = count_pixels (g->width, self->scale);
  self->height = count_pixels (g->height, self->scale);
  return open_mask (self, error) && open_regions (self, error);
}

/* --- tiles -------------------------------------------------------------- */

/* The mask's pixels whose centres lie in [@from, @to). */
static void
find_pixels (const Mask *self, double from, double to, gint64 length,
    gint64 *first, gint64 *last)
{
  *first = (gint64) ceil (from / self->scale - 0.5);
  *last = (gint64) ceil (to / self->scale - 0.5);
  *first = CLAMP (*first, 0, length);
  *last = CLAMP (*last, *first, length);
}

/* The pixel of a tile's mask below the centre of the slide's pixel @i; -1 where
 * that mask does not reach. A tile's corner is rounded to a level-0 pixel, so
 * that a centre may lie a pixel outside. @corner: of the tile; @at, @size: of
 * what its mask covers, in pixels of the tile; @n: pixels of the mask. */
static gint
find_source (const Mask *self, gint64 i, gint64 corner, double at, double size,
    gint n)
{
  const double downsample = self->run->geometry.downsample;
  const double centre = ((double) i + 0.5) * self->scale;
  const double place = (centre - (double) corner) / downsample - at;
  const double slack = 1 / downsample;

  if (place < -slack || place > size + slack)
    return -1;
  return CLAMP ((gint) floor (place * n / size), 0, n - 1);
}

static gboolean
add_part (Mask *self, const GstUmedptSlideTile *tile, const GstUmedptMask *mask,
    GError **error)
{
  gint64 x1, x2, y1, y2;
  gsize width, height;
  gint *columns = NULL;

  find_pixels (self, tile->core_x1, tile->core_x2, self->width, &x1, &x2);
  find_pixels (self, tile->core_y1, tile->core_y2, self->height, &y1, &y2);
  if (x1 == x2 || y1 == y2)
    return TRUE;
  width = (gsize) (x2 - x1);
  height = (gsize) (y2 - y1);
  g_byte_array_set_size (self->part, (guint) (width * height));
  g_array_set_size (self->columns, (guint) width);
  columns = (gint *) (gpointer) self->columns->data;
  for (gsize i = 0; i < width; i++)
    columns[i] = find_source (self, x1 + (gint64) i, tile->x, mask->x, mask->w,
        mask->width);
  for (gsize j = 0; j < height; j++) {
    guint8 *row = self->part->data + j * width;
    const gint source = find_source (self, y1 + (gint64) j, tile->y, mask->y,
        mask->h, mask->height);
    const guint8 *from =
        self->classes->data + (gsize) MAX (source, 0) * (gsize) mask->width;

    for (gsize i = 0; i < width; i++)
      row[i] = source < 0 || columns[i] < 0 ? GST_UMEDPT_UNDECIDED
                                            : from[columns[i]];
  }
  return umedpt_mask_writer_add (self->writer, x1, y1, (gint) width,
      (gint) height, self->part->data, width, error);
}

static gboolean
mask_take (gpointer data, const GstUmedptSlideTile *tile, GError **error)
{
  Mask *self = data;
  const GstStructure *result = NULL;
  const char *task =
      self->labels ? self->labels->task : self->run->settings->mask_task;
  GstUmedptMask mask;

  result = gst_umedpt_slide_find_result (tile, task, GST_UMEDPT_RESULT_MASK,
      &task, error);
  if (!result ||
      !gst_umedpt_slide_get_mask (result, task, self->labels, &mask, error))
    return FALSE;
  if (!self->labels) {
    self->labels = gst_umedpt_slide_labels_new (task, result, &mask);
    self->model_hash = g_strdup (gst_structure_get_string (result, "model"));
    if (!open_files (self, mask.w / mask.width, error))
      return FALSE;
  }
  g_byte_array_set_size (self->classes,
      (guint) ((gsize) mask.width * (gsize) mask.height));
  return gst_umedpt_slide_labels_read (self->labels, &mask, self->classes->data,
             error) &&
      add_part (self, tile, &mask, error);
}

/* --- outlines ----------------------------------------------------------- */

typedef struct
{
  Mask *mask;
  UmedptPolygonizer *polygonizer;
  GByteArray *values;
} Tracing;

static gboolean
on_region (guint8 value, UmedptPolygon *polygon, gpointer data, GError **error)
{
  g_autoptr (UmedptPolygon) outline = polygon;
  const Tracing *tracing = data;
  const GstUmedptSlideLabels *labels = tracing->mask->labels;
  UmedptClassNames names = {
    labels->task,
    (const char *const *) labels->names,
    labels->colors,
  };
  UmedptObject object = {
    .label = labels->background ? value : value - 1,
    .score = 1,
    .x1 = outline->x1,
    .y1 = outline->y1,
    .x2 = outline->x2,
    .y2 = outline->y2,
    .area = outline->area,
    .outline = outline,
  };

  if (outline->area < tracing->mask->min_area)
    return TRUE;
  return umedpt_geojson_writer_add (tracing->mask->regions, &object, &names,
      "annotation", error);
}

/* To values of which 0 is no region: the background keeps its 0, without one
 * all classes move up. Undecided, 255, becomes 0. Without a branch, since
 * there may be 10^10 pixels. */
static gboolean
on_row (const guint8 *row, gpointer data, GError **error)
{
  Tracing *tracing = data;
  guint8 *values = tracing->values->data;
  const gsize n = tracing->values->len;

  if (tracing->mask->labels->background)
    for (gsize i = 0; i < n; i++)
      values[i] = row[i] == GST_UMEDPT_UNDECIDED ? 0 : row[i];
  else
    for (gsize i = 0; i < n; i++)
      values[i] = (guint8) (row[i] + 1);
  return umedpt_polygonizer_add_row (tracing->polygonizer, values, error);
}

static gboolean
trace_regions (Mask *self, GError **error)
{
  Tracing tracing = { self, NULL, g_byte_array_new () };
  g_autoptr (GByteArray) values = tracing.values;
  g_autoptr (UmedptPolygonizer) polygonizer =
      umedpt_polygonizer_new (self->width, 0, 0, self->scale, on_region,
          &tracing);

  tracing.polygonizer = polygonizer;
  g_byte_array_set_size (values, (guint) self->width);
  return umedpt_mask_writer_foreach_row (self->writer, on_row, &tracing,
             error) &&
      umedpt_polygonizer_finish (polygonizer, error);
}

/* --- the end ------------------------------------------------------------ */

static gboolean
finish_regions (Mask *self, GArray *written, GError **error)
{
  if (!self->regions)
    return TRUE;
  if (!trace_regions (self, error) ||
      !umedpt_geojson_writer_finish (self->regions, error))
    return FALSE;
  gst_umedpt_slide_written (written, GST_UMEDPT_SLIDE_FILE_REGIONS,
      umedpt_geojson_writer_get_n_features (self->regions));
  return TRUE;
}

static gboolean
mask_finish (gpointer data, GArray *written, GError **error)
{
  Mask *self = data;

  if (!self->labels) {
    self->labels =
        gst_umedpt_slide_labels_new_empty (self->run->settings->mask_task);
    if (!open_files (self, UNKNOWN_REDUCTION, error))
      return FALSE;
  }
  if (!finish_regions (self, written, error))
    return FALSE;
  if (!self->run->settings->paths[GST_UMEDPT_SLIDE_FILE_MASK])
    return TRUE;
  if (!umedpt_mask_writer_finish (self->writer, error))
    return FALSE;
  gst_umedpt_slide_written (written, GST_UMEDPT_SLIDE_FILE_MASK,
      self->labels->n);
  return TRUE;
}

static void
mask_free (gpointer data)
{
  Mask *self = data;

  g_clear_pointer (&self->writer, umedpt_mask_writer_free);
  g_clear_pointer (&self->regions, umedpt_geojson_writer_free);
  gst_umedpt_slide_labels_free (self->labels);
  g_byte_array_unref (self->classes);
  g_byte_array_unref (self->part);
  g_array_unref (self->columns);
  g_free (self->model_hash);
  g_free (self);
}

const GstUmedptSlideOutputClass gst_umedpt_slide_mask = {
  mask_check,
  mask_begin,
  mask_take,
  NULL,
  mask_finish,
  mask_free,
};
