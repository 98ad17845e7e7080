/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the files of umedptoverlay share.
 */
#pragma once

#include "overlay/gstumedptoverlay.h"
#include "overlay/gstumedptoverlaydraw.h"

G_BEGIN_DECLS

#define GST_UMEDPT_OVERLAY_WINDOW 512

/* Times of the last frames that had one. */
typedef struct
{
  guint64 n;
  GstClockTime recent[GST_UMEDPT_OVERLAY_WINDOW];
} GstUmedptOverlayTimes;

struct _GstUmedptOverlay
{
  GstBaseTransform parent;

  /* under the object lock */
  GstUmedptOverlaySettings settings;
  guint64 frames, drawn;
  GstUmedptOverlayTimes ages, costs;
  GstUmedptOverlayState state; /* of the last frame */

  /* streaming thread */
  GstVideoInfo info;
  GstUmedptScene *scene;
  GstUmedptTexts *texts;
  GstUmedptOverlaySettings now; /* those of this frame */
  gboolean empty; /* nothing is to be drawn on it */
  GstClockTime began;
};

void gst_umedpt_overlay_install_properties (GObjectClass *object);
void gst_umedpt_overlay_init_settings (GstUmedptOverlaySettings *settings);
void gst_umedpt_overlay_set_property (GObject *object, guint id,
    const GValue *value, GParamSpec *pspec);
void gst_umedpt_overlay_get_property (GObject *object, guint id, GValue *value,
    GParamSpec *pspec);

G_END_DECLS
