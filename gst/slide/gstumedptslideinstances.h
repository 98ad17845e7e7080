/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * From a tile's mask to objects: what hangs together in one class.
 */
#pragma once

#include "output/objects.h"
#include "slide/gstumedptslidelabels.h"
#include "slide/gstumedptslideoutput.h"

G_BEGIN_DECLS

typedef struct
{
  const GstUmedptSlideTile *tile;
  guint task; /* number of the objects' task */
  const GstUmedptSlideLabels *labels; /* of the mask */
  double min_area; /* square level-0 pixels; of what is not cut by the tile */
  GByteArray *values; /* to work in */
  GArray *found; /* of UmedptObject, appended to */
} GstUmedptSlideTracing;

/* Objects' classes are those of the labels, less the background: from 0. */
gboolean gst_umedpt_slide_trace_instances (const GstUmedptSlideTracing *self,
    const GstUmedptMask *mask, GError **error);

G_END_DECLS
