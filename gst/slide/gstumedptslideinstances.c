/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The regions of a tile's mask as objects. The whole mask is traced, not its
 * core alone: the merger compares what neighbours have seen of one object, and
 * knows by the tile's borders what is cut.
 */
#include "slide/gstumedptslideinstances.h"

#include <math.h>

#include "base/error.h"
#include "output/polygonize.h"

/* A layer: pixels of which 0 is no object. */
typedef struct
{
  const GstUmedptSlideTracing *tracing;
  gint label; /* of value 1 */
} Layer;

/* Whether more of it may lie in the next tile. */
static gboolean
is_cut (const GstUmedptSlideTile *tile, const UmedptPolygon *polygon)
{
  const GstUmedptSlideGeometry *g = &tile->run->geometry;
  const double slack = g->downsample;

  return polygon->x1 < (double) tile->x + slack ||
      polygon->y1 < (double) tile->y + slack ||
      polygon->x2 > (double) tile->x + g->side - slack ||
      polygon->y2 > (double) tile->y + g->side - slack;
}

static gboolean
on_region (guint8 value, UmedptPolygon *polygon, gpointer data, GError **error)
{
  const Layer *layer = data;
  const GstUmedptSlideTracing *tracing = layer->tracing;
  UmedptObject object = {
    .task = tracing->task,
    .label = layer->label + value - 1,
    .score = 1,
    .x1 = polygon->x1,
    .y1 = polygon->y1,
    .x2 = polygon->x2,
    .y2 = polygon->y2,
    .area = polygon->area,
    .outline = polygon,
  };

  /* specks by the thousand need not wait for their neighbours */
  if (polygon->area < tracing->min_area && !is_cut (tracing->tile, polygon))
    umedpt_object_clear (&object);
  else
    g_array_append_val (tracing->found, object);
  return TRUE;
}

/* @values: u8 [height, width] of @mask */
static gboolean
trace_layer (Layer *layer, const GstUmedptMask *mask, const guint8 *values,
    GError **error)
{
  const GstUmedptSlideTile *tile = layer->tracing->tile;
  const double downsample = tile->run->geometry.downsample;
  g_autoptr (UmedptPolygonizer) polygonizer =
      umedpt_polygonizer_new (mask->width,
          (double) tile->x + mask->x * downsample,
          (double) tile->y + mask->y * downsample,
          mask->w / mask->width * downsample, on_region, layer);

  for (gint y = 0; y < mask->height; y++)
    if (!umedpt_polygonizer_add_row (polygonizer,
            values + (gsize) y * (gsize) mask->width, error))
      return FALSE;
  return umedpt_polygonizer_finish (polygonizer, error);
}

/* Each class of yes or no has a layer of its own: they may lie on each
 * other. */
static gboolean
trace_planes (const GstUmedptSlideTracing *tracing, const GstUmedptMask *mask,
    guint8 *values, GError **error)
{
  Layer layer = { tracing, 0 };
  const gsize n = (gsize) mask->width * (gsize) mask->height;

  for (gint plane = 0; plane < mask->planes; plane++) {
    for (gsize i = 0; i < n; i++)
      values[i] = mask->data[i * (gsize) mask->planes + (gsize) plane] != 0;
    layer.label = plane;
    if (!trace_layer (&layer, mask, values, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
trace_classes (const GstUmedptSlideTracing *tracing, const GstUmedptMask *mask,
    guint8 *values, GError **error)
{
  Layer layer = { tracing, 0 };
  const GstUmedptSlideLabels *labels = tracing->labels;
  const gsize n = (gsize) mask->width * (gsize) mask->height;

  if (!gst_umedpt_slide_labels_read (labels, mask, values, error))
    return FALSE;
  for (gsize i = 0; i < n; i++)
    if (!labels->background || values[i] == GST_UMEDPT_UNDECIDED)
      values[i]++; /* undecided becomes 0 */
  return trace_layer (&layer, mask, values, error);
}

/* Outlines are made of squares. */
static gboolean
check_pixels (const GstUmedptMask *mask, const char *task, GError **error)
{
  const double x = mask->w / mask->width, y = mask->h / mask->height;

  if (fabs (x - y) <= 1e-6 * x)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE,
      "A pixel of the mask of the task '%s' covers %g x %g pixels of the tile; "
      "instances need square ones.",
      task, x, y);
  return FALSE;
}

gboolean
gst_umedpt_slide_trace_instances (const GstUmedptSlideTracing *self,
    const GstUmedptMask *mask, GError **error)
{
  if (!check_pixels (mask, self->labels->task, error))
    return FALSE;
  g_byte_array_set_size (self->values,
      (guint) ((gsize) mask->width * (gsize) mask->height));
  return self->labels->yes_or_no
      ? trace_planes (self, mask, self->values->data, error)
      : trace_classes (self, mask, self->values->data, error);
}
