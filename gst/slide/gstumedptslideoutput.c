/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the outputs of gstumedptslideoutput.h share: the slide's numbers, the
 * place of a tile in the grid (core/data/tiles.h has the formula), and finding
 * a result on a tile, or saying which element is missing.
 */
#include "slide/gstumedptslideoutput.h"

#include <math.h>

#include "base/error.h"
#include "common/gstumedptevents.h"
#include "common/gstumedptmeta.h"
#include "common/gstumedptresults.h"

#define GRID_SLACK 1e-6 /* of a step, as in the plan */

/* --- the slide ---------------------------------------------------------- */

static double
get_double (const GstStructure *s, const char *field)
{
  double value = 0;

  gst_structure_get_double (s, field, &value);
  return value;
}

static gint
get_int (const GstStructure *s, const char *field)
{
  gint value = 0;

  gst_structure_get_int (s, field, &value);
  return value;
}

/* Without a region, the grid is the slide's. */
static void
read_region (GstUmedptSlideGeometry *self, const GstStructure *slide)
{
  self->region_x = gst_umedpt_get_int64 (slide, "region-x");
  self->region_y = gst_umedpt_get_int64 (slide, "region-y");
  self->region_width = gst_umedpt_get_int64 (slide, "region-width");
  self->region_height = gst_umedpt_get_int64 (slide, "region-height");
  if (self->region_width > 0 && self->region_height > 0)
    return;
  self->region_x = self->region_y = 0;
  self->region_width = self->width;
  self->region_height = self->height;
}

static gboolean
read_geometry (GstUmedptSlideGeometry *self, const GstStructure *slide,
    GError **error)
{
  const gint size = get_int (slide, "tile-size");
  const gint overlap = get_int (slide, "overlap");

  self->downsample = get_double (slide, "downsample");
  self->side = size * self->downsample;
  self->step = (size - overlap) * self->downsample;
  self->half = overlap * self->downsample / 2;
  self->width = gst_umedpt_get_int64 (slide, "level0-width");
  self->height = gst_umedpt_get_int64 (slide, "level0-height");
  self->bounds_x = (double) gst_umedpt_get_int64 (slide, "bounds-x");
  self->bounds_y = (double) gst_umedpt_get_int64 (slide, "bounds-y");
  self->mpp = get_double (slide, "level0-mpp");
  read_region (self, slide);
  if (self->downsample > 0 && isfinite (self->side) && overlap >= 0 &&
      self->step > 0 && self->width > 0 && self->height > 0 && self->mpp >= 0 &&
      isfinite (self->mpp))
    return TRUE;
  g_set_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
      "The slide is described by numbers that make no sense: %" G_GINT64_FORMAT
      " x %" G_GINT64_FORMAT " pixels in tiles of %d with overlap %d at "
      "downsample %g. The pipeline needs umedptslidesrc as its source.",
      self->width, self->height, size, overlap, self->downsample);
  return FALSE;
}

GstUmedptSlideRun *
gst_umedpt_slide_run_new (const GstUmedptSlideOutputSettings *settings,
    const GstStructure *slide, const GstStructure *model, GError **error)
{
  g_autoptr (GstUmedptSlideRun) self = g_new0 (GstUmedptSlideRun, 1);

  self->settings = settings;
  self->slide = gst_structure_copy (slide);
  self->model = model ? gst_structure_copy (model) : NULL;
  if (!read_geometry (&self->geometry, slide, error) ||
      !gst_umedpt_slide_output_settings_check_slide (settings,
          gst_structure_get_string (slide, "path"), error))
    return NULL;
  return g_steal_pointer (&self);
}

void
gst_umedpt_slide_run_free (GstUmedptSlideRun *self)
{
  if (!self)
    return;
  g_clear_pointer (&self->slide, gst_structure_free);
  g_clear_pointer (&self->model, gst_structure_free);
  g_free (self);
}

guint64
gst_umedpt_slide_n_expected (const GstStructure *slide)
{
  return gst_umedpt_get_uint64 (slide, "n-tiles") -
      gst_umedpt_get_uint64 (slide, "start-index");
}

char *
gst_umedpt_slide_config_hash (const GstUmedptSlideRun *run,
    const char *model_hash)
{
  const char *plan = gst_structure_get_string (run->slide, "plan-hash");
  g_autofree char *both =
      g_strconcat (plan ? plan : "", model_hash ? model_hash : "", NULL);

  return g_compute_checksum_for_string (G_CHECKSUM_SHA256, both, -1);
}

gboolean
gst_umedpt_slide_min_area (const GstUmedptSlideRun *run, double *area,
    GError **error)
{
  const double mpp = run->geometry.mpp;

  *area = 0;
  if (run->settings->min_area == 0)
    return TRUE;
  if (mpp > 0) {
    *area = run->settings->min_area / (mpp * mpp);
    return TRUE;
  }
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "min-area=%g is in µm², but the scale of the slide '%s' is unknown; set "
      "slide-mpp of umedptslidesrc, or leave min-area out.",
      run->settings->min_area, gst_structure_get_string (run->slide, "slide"));
  return FALSE;
}

/* --- tiles -------------------------------------------------------------- */

/* The core along one axis. @at: corner of the tile, @start, @length: of the
 * grid's region. FALSE if no tile of the grid has its corner there. */
static gboolean
find_core (const GstUmedptSlideGeometry *g, gint64 at, gint64 start,
    gint64 length, double *from, double *to)
{
  const double cell = floor ((double) (at - start) / g->step + 0.5);
  const double corner = (double) start + cell * g->step;
  const double end = (double) (start + length) - GRID_SLACK * g->step;

  if (cell < 0 || fabs (corner - (double) at) > 1)
    return FALSE;
  *from = cell > 0 ? corner + g->half : (double) at;
  *to = corner + g->side < end ? (double) start + (cell + 1) * g->step + g->half
                               : (double) at + g->side;
  return TRUE;
}

gboolean
gst_umedpt_slide_tile_init (GstUmedptSlideTile *self,
    const GstUmedptSlideRun *run, GstBuffer *buffer, const GstStructure *meta,
    GError **error)
{
  const GstUmedptSlideGeometry *g = &run->geometry;

  self->run = run;
  self->buffer = buffer;
  self->results = gst_buffer_get_umedpt_results (buffer);
  self->index = gst_umedpt_get_uint64 (meta, "index");
  self->x = gst_umedpt_get_int64 (meta, "x");
  self->y = gst_umedpt_get_int64 (meta, "y");
  if (find_core (g, self->x, g->region_x, g->region_width, &self->core_x1,
          &self->core_x2) &&
      find_core (g, self->y, g->region_y, g->region_height, &self->core_y1,
          &self->core_y2))
    return TRUE;
  g_set_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
      "Tile %" G_GUINT64_FORMAT " at (%" G_GINT64_FORMAT ", %" G_GINT64_FORMAT
      ") is none of the grid that the slide has: a tile every %g level-0 pixels "
      "from (%" G_GINT64_FORMAT ", %" G_GINT64_FORMAT ") on. The pipeline "
      "needs umedptslidesrc as its source.",
      self->index, self->x, self->y, g->step, g->region_x, g->region_y);
  return FALSE;
}

void
gst_umedpt_slide_written (GArray *written, GstUmedptSlideFile file,
    guint64 count)
{
  GstUmedptSlideWritten one = { file, count };

  g_array_append_val (written, one);
}

/* --- results ------------------------------------------------------------ */

static char *
list_tasks (const GstStructure *results)
{
  g_autoptr (GString) text = g_string_new (NULL);
  const GstStructure *result = NULL;
  const char *name = NULL;

  for (guint i = 0; (result = gst_umedpt_results_nth (results, i, &name)); i++)
    g_string_append_printf (text, "%s%s (%s)", i > 0 ? ", " : "", name,
        gst_structure_get_name (result));
  return g_strdup (text->len > 0 ? text->str : "none");
}

void
gst_umedpt_slide_set_missing (const GstUmedptSlideTile *tile, const char *thing,
    const char *task, const char *elements, GError **error)
{
  g_autofree char *of =
      task ? g_strdup_printf (" of the task '%s'", task) : g_strdup ("");
  g_autofree char *tasks = list_tasks (tile->results);

  g_set_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
      "Tile %" G_GUINT64_FORMAT " has arrived without %s%s; the pipeline needs "
      "%s between umedptslidesrc and umedptslidesink. Results on the tile: %s.",
      tile->index, thing, of, elements, tasks);
}

const GstStructure *
gst_umedpt_slide_find_result (const GstUmedptSlideTile *tile, const char *task,
    const char *what, const char **name, GError **error)
{
  const gboolean mask = g_str_equal (what, GST_UMEDPT_RESULT_MASK);
  const GstStructure *result = NULL;
  const char *found = NULL;

  for (guint i = 0;
       (result = gst_umedpt_results_nth (tile->results, i, &found)); i++)
    if (gst_structure_has_name (result, what) &&
        (!task || g_str_equal (task, found))) {
      if (name)
        *name = found;
      return result;
    }
  gst_umedpt_slide_set_missing (tile, mask ? "a mask" : "boxes", task,
      mask ? "umedptsegment" : "umedptdetect", error);
  return NULL;
}
