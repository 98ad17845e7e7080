/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the parts of building a scene share.
 */
#pragma once

#include "overlay/gstumedptoverlayscene.h"

G_BEGIN_DECLS

typedef struct
{
  GstUmedptScene *scene;
  const GstUmedptOverlaySettings *settings;
  GstUmedptHysteresisRule rule;
  gboolean hysteresis; /* it is on, and there is a time */
  gboolean backward;
  gboolean any; /* results on this frame */
  gint64 now; /* G_MININT64: unknown */
} GstUmedptBuild;

/* Or a dot, if it is not @confirmed and such ones are shown. */
void gst_umedpt_build_add_box (GstUmedptBuild *build,
    const GstUmedptOverlayTask *task, const GstUmedptBox *box,
    gboolean confirmed);
/* The mask of @result, which is one of @at. */
void gst_umedpt_build_mask (GstUmedptBuild *build, GstUmedptOverlayTask *task,
    const GstStructure *result, gint64 at);
/* What hysteresis holds of a mask, on a frame that has none. */
void gst_umedpt_build_held_mask (GstUmedptBuild *build,
    GstUmedptOverlayTask *task);

G_END_DECLS
