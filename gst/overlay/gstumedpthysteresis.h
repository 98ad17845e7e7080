/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Which objects are shown, so that one that is found for a few frames, or lost
 * for a few, does not flicker. All limits are times, not numbers of frames: the
 * eye does not know the frame rate.
 *
 * An object is found again where one of its class is nearly at its place: by
 * the overlap of the boxes (IoU), or, since small boxes soon miss each other,
 * by the distance of their centres. It is shown from the time when it has been
 * found rule.hits times within rule.window, and for rule.hold after it was
 * found last. What has gone must be confirmed anew.
 *
 * A result that is held over several frames is one observation, however often
 * it is seen. Times are nanoseconds of any clock that runs forward; where it
 * jumps back, everything is forgotten.
 */
#pragma once

#include "common/gstumedptresults.h"

G_BEGIN_DECLS

#define GST_UMEDPT_HYSTERESIS_MOST_HITS 32
/* As many objects are followed; of more, the first. */
#define GST_UMEDPT_HYSTERESIS_MOST_OBJECTS 2048

typedef struct _GstUmedptHysteresis GstUmedptHysteresis;

typedef struct
{
  guint hits; /* 1 to MOST_HITS */
  gint64 window, hold; /* ns */
  gfloat small; /* pixels: sides up to this are matched by distance */
} GstUmedptHysteresisRule;

typedef struct
{
  GstUmedptBox box; /* where it was found last */
  GBytes *shape; /* (transfer none) (nullable) */
  gboolean confirmed; /* else found, and not to be shown yet */
} GstUmedptTracked;

GstUmedptHysteresis *gst_umedpt_hysteresis_new (void);
void gst_umedpt_hysteresis_free (GstUmedptHysteresis *self);
/* Forgets everything. */
void gst_umedpt_hysteresis_reset (GstUmedptHysteresis *self);

/* What was found at @at, best first; nothing, if that was seen before.
 * @shapes: (nullable): a GBytes for each box, kept with it. Boxes must have
 * finite positions. */
void gst_umedpt_hysteresis_observe (GstUmedptHysteresis *self,
    const GstUmedptHysteresisRule *rule, gint64 at, const GstUmedptBox *boxes,
    GBytes *const *shapes, guint n_boxes);
/* Appends to @tracked (of GstUmedptTracked) what is to be drawn at @now.
 * @present: the newest observation is that of the frame; else it has none, and
 * only what is held is shown. Valid until the next observation. */
void gst_umedpt_hysteresis_list (GstUmedptHysteresis *self,
    const GstUmedptHysteresisRule *rule, gint64 now, gboolean present,
    GArray *tracked);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (GstUmedptHysteresis, gst_umedpt_hysteresis_free)

G_END_DECLS
