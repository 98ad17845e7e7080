/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What an inference element counts and times since it was started.
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_UMEDPT_STATS_WINDOW 512

typedef struct
{
  guint64 frames_in, frames_out;
  guint64 inferred; /* frames that got a result */
  guint64 skipped_late, skipped_gap;
  guint64 batches;
  GstClockTime overhead; /* own time outside inference, pushing excluded */
  GstClockTime model_load;
  GstClockTime recent[GST_UMEDPT_STATS_WINDOW]; /* of the last batches */
} GstUmedptStats;

void gst_umedpt_stats_add_batch (GstUmedptStats *self, guint n_frames,
    GstClockTime took);
/* (transfer full) */
GstStructure *gst_umedpt_stats_to_structure (const GstUmedptStats *self);

G_END_DECLS
