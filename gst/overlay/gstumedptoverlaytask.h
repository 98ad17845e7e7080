/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A task of which umedptoverlay has seen results on its stream.
 */
#pragma once

#include "overlay/gstumedpthysteresis.h"

G_BEGIN_DECLS

typedef enum
{
  GST_UMEDPT_OVERLAY_VALUES,
  GST_UMEDPT_OVERLAY_BOXES,
  GST_UMEDPT_OVERLAY_MASK,
} GstUmedptOverlayWhat;

typedef struct
{
  char *name;
  char **labels; /* may be empty */
  guint n_labels;
  guint32 *colors; /* 0xRRGGBB, at least one */
  guint n_colors;
  GstUmedptOverlayWhat what;
  gboolean per_class; /* its masks have a plane for each class */
  GstUmedptMask mask; /* the newest one's size and place, no data */
  guint64 frame; /* number of the last frame with a result */
  GstUmedptHysteresis *objects; /* boxes, or regions of masks */
} GstUmedptOverlayTask;

/* (element-type GstUmedptOverlayTask) In the order of their appearance. */
GPtrArray *gst_umedpt_overlay_tasks_new (void);
/* (transfer none) (nullable) The task of that name, made at its first result,
 * with the labels and colours of @result. NULL: there are too many. */
GstUmedptOverlayTask *gst_umedpt_overlay_tasks_get (GPtrArray *tasks,
    const char *name, const GstStructure *result);
/* (transfer none) The name of a class, or else of the task. */
const char *gst_umedpt_overlay_task_get_label (const GstUmedptOverlayTask *self,
    gint label);
/* 0xRRGGBB */
guint32 gst_umedpt_overlay_task_get_color (const GstUmedptOverlayTask *self,
    gint label);

G_END_DECLS
