/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What umedptslidesink writes, one unit per kind of result. A unit checks its
 * files before the first tile, takes every tile, and completes its files at the
 * end; the element (gstumedptslidesink.c) does the rest.
 *
 * Positions are absolute level-0 pixels. A tile's core is the tile less half
 * the overlap on each side inside the grid; at the grid's border it is whole.
 * Cores are reckoned from the grid and not from the tiles, whose corners are
 * rounded, so that they leave no gap and share no pixel.
 */
#pragma once

#include <gst/gst.h>

#include "slide/gstumedptslideoutputsettings.h"

G_BEGIN_DECLS

/* The "umedpt-slide" event in numbers. */
typedef struct
{
  double downsample; /* level-0 pixels per tile pixel */
  double side, step, half; /* of a tile, of the grid, of the overlap */
  gint64 width, height; /* of the slide */
  gint64 region_x, region_y, region_width, region_height; /* of the grid */
  double bounds_x, bounds_y;
  double mpp; /* µm per level-0 pixel, 0: unknown */
} GstUmedptSlideGeometry;

/* A pass over a slide, from its first tile to its end. */
typedef struct
{
  const GstUmedptSlideOutputSettings *settings;
  GstStructure *slide; /* of the "umedpt-slide" event */
  GstStructure *model; /* (nullable) of the "umedpt-model" event */
  GstUmedptSlideGeometry geometry;
} GstUmedptSlideRun;

typedef struct
{
  const GstUmedptSlideRun *run;
  GstBuffer *buffer;
  const GstStructure *results; /* (nullable) gstumedptresults.h */
  guint64 index;
  gint64 x, y;
  double core_x1, core_y1, core_x2, core_y2;
} GstUmedptSlideTile;

/* A file that is whole. */
typedef struct
{
  GstUmedptSlideFile file;
  guint64 count; /* of what it holds */
} GstUmedptSlideWritten;

typedef struct
{
  /* Could its files be made? Before the first tile; leaves nothing. TRUE if
   * there are none of them. */
  gboolean (*check) (const GstUmedptSlideOutputSettings *settings,
      GError **error);
  /* (transfer full) (nullable): NULL if no file of its is asked for. */
  gpointer (*begin) (const GstUmedptSlideRun *run);
  gboolean (*take) (gpointer self, const GstUmedptSlideTile *tile,
      GError **error);
  /* (nullable) @tile: of the "umedpt-bad-tile" event */
  gboolean (*bad_tile) (gpointer self, const GstStructure *tile,
      GError **error);
  /* Completes its files, appends a GstUmedptSlideWritten for each. */
  gboolean (*finish) (gpointer self, GArray *written, GError **error);
  /* Without a successful finish, nothing is left. */
  void (*free) (gpointer self);
} GstUmedptSlideOutputClass;

extern const GstUmedptSlideOutputClass gst_umedpt_slide_features;
extern const GstUmedptSlideOutputClass gst_umedpt_slide_objects;
extern const GstUmedptSlideOutputClass gst_umedpt_slide_mask;
extern const GstUmedptSlideOutputClass gst_umedpt_slide_heatmap;

/* @slide, @model: copied. NULL with @error set if the event makes no sense.
 * (transfer full) */
GstUmedptSlideRun *
gst_umedpt_slide_run_new (const GstUmedptSlideOutputSettings *settings,
    const GstStructure *slide, const GstStructure *model, GError **error);
void gst_umedpt_slide_run_free (GstUmedptSlideRun *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (GstUmedptSlideRun, gst_umedpt_slide_run_free)

/* @meta: GstUmedptTileMeta. FALSE if it is none of the grid. */
gboolean gst_umedpt_slide_tile_init (GstUmedptSlideTile *self,
    const GstUmedptSlideRun *run, GstBuffer *buffer, const GstStructure *meta,
    GError **error);

/* Tiles that should arrive. */
guint64 gst_umedpt_slide_n_expected (const GstStructure *slide);
void gst_umedpt_slide_written (GArray *written, GstUmedptSlideFile file,
    guint64 count);
/* Posts what was written: of GstUmedptSlideWritten. */
void gst_umedpt_slide_report (GstElement *element, const GstUmedptSlideRun *run,
    const GArray *written, guint64 n_tiles, guint64 n_bad);
/* One name for the tiling and the model that gave a result. (transfer full) */
char *gst_umedpt_slide_config_hash (const GstUmedptSlideRun *run,
    const char *model_hash);
/* The error of a tile that lacks @thing (of @task, nullable), which @elements
 * would have made. */
void gst_umedpt_slide_set_missing (const GstUmedptSlideTile *tile,
    const char *thing, const char *task, const char *elements, GError **error);
/* The result of @task (nullable: the first) of that kind,
 * GST_UMEDPT_RESULT_MASK or _BOXES; or the error above. @name (out) (optional):
 * its task. */
const GstStructure *
gst_umedpt_slide_find_result (const GstUmedptSlideTile *tile, const char *task,
    const char *what, const char **name, GError **error);
/* min-area in square level-0 pixels */
gboolean gst_umedpt_slide_min_area (const GstUmedptSlideRun *run, double *area,
    GError **error);

G_END_DECLS
