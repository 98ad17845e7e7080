/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A scene of umedptoverlay on a frame.
 */
#pragma once

#include "overlay/gstumedptoverlayscene.h"
#include "overlay/gstumedptpainttext.h"

G_BEGIN_DECLS

/* As the state is written: "no model", "ready", "stale 320 ms". */
char *gst_umedpt_scene_get_state_text (const GstUmedptScene *self);

void gst_umedpt_scene_draw (const GstUmedptScene *self,
    const GstUmedptOverlaySettings *settings, GstUmedptTexts *texts,
    const GstUmedptCanvas *canvas);

G_END_DECLS
