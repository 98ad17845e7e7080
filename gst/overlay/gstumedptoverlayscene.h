/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What is to be drawn on a frame: the results that it carries, by the settings,
 * after what was seen on the frames before. Knows no pixels, so that a frame on
 * which nothing is to be drawn need not be touched.
 *
 * Results are taken as they come: what has another form than
 * gstumedptresults.h says is left out.
 */
#pragma once

#include "common/gstumedptenums.h"
#include "overlay/gstumedptoverlaytask.h"
#include "overlay/gstumedptpaintmask.h"

G_BEGIN_DECLS

/* Times are ns, sizes pixels of the frame. */
typedef struct
{
  gboolean enabled;
  gboolean draw_boxes, draw_labels, draw_scores;
  GstUmedptBoxStyle box_style;
  GstUmedptMaskStyle mask_style;
  gdouble opacity;
  guint line_width, text_size; /* 0: by the height of the frame */
  gboolean legend, show_state, show_pending;
  gchar **tasks; /* (nullable) NULL or empty: all */
  gdouble min_score;
  guint show_after_hits;
  guint64 show_window, hold, stale_after;
} GstUmedptOverlaySettings;

typedef enum
{
  GST_UMEDPT_OVERLAY_NO_MODEL, /* no result has come on this stream */
  GST_UMEDPT_OVERLAY_READY,
  GST_UMEDPT_OVERLAY_STALE,
} GstUmedptOverlayState;

typedef struct
{
  const GstUmedptOverlayTask *task;
  GstUmedptBox box;
  gboolean confirmed; /* else only a dot */
} GstUmedptSceneBox;

typedef struct
{
  const GstUmedptOverlayTask *task;
  GstUmedptMask mask; /* no data */
  guint first_run, n_runs;
  guint first_edge, n_edges;
} GstUmedptSceneMask;

typedef struct
{
  GPtrArray *tasks; /* of GstUmedptOverlayTask, in the order of appearance */
  gboolean seen; /* a result has come */
  gint64 observed; /* time of the oldest of the last results; MININT64: none */

  /* of the frame */
  guint64 frame; /* its number */
  GArray *boxes; /* of GstUmedptSceneBox */
  GArray *dots; /* the same: boxes and regions that are pending */
  GArray *masks; /* of GstUmedptSceneMask */
  GArray *runs, *edges;
  GArray *found; /* of GstUmedptBox, GstUmedptTracked: scratch */
  GArray *tracked;
  GPtrArray *lines; /* of char *: values as text */
  GstUmedptOverlayState state;
  gint64 age; /* ns, -1: unknown */
} GstUmedptScene;

GstUmedptScene *gst_umedpt_scene_new (void);
void gst_umedpt_scene_free (GstUmedptScene *self);
/* The stream jumps: forgets what was seen, and when. */
void gst_umedpt_scene_flush (GstUmedptScene *self);
/* Another stream: forgets the tasks as well. */
void gst_umedpt_scene_reset (GstUmedptScene *self);

/* @results: (nullable). @height: of the frame, pixels. @pts: of the frame, or
 * NONE; @backward: the stream is played so. */
void gst_umedpt_scene_build (GstUmedptScene *self, const GstStructure *results,
    const GstUmedptOverlaySettings *settings, gint height, GstClockTime pts,
    gboolean backward);
/* Whether there is anything to draw. */
gboolean gst_umedpt_scene_is_empty (const GstUmedptScene *self,
    const GstUmedptOverlaySettings *settings);

/* Whether anything of a task is drawn. */
gboolean
gst_umedpt_overlay_draws_task (const GstUmedptOverlaySettings *settings,
    const char *name);
/* Whether its classes are in the legend: those of values, which have their
 * labels beside them, are not. */
gboolean
gst_umedpt_overlay_has_legend (const GstUmedptOverlaySettings *settings,
    const GstUmedptOverlayTask *task);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GstUmedptScene, gst_umedpt_scene_free)

G_END_DECLS
