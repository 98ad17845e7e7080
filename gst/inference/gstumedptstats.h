/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What an inference element counts and times since it was started.
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_UMEDPT_STATS_WINDOW 512

/* The last times of a kind. */
typedef struct
{
  guint64 n; /* all there were */
  GstClockTime recent[GST_UMEDPT_STATS_WINDOW];
} GstUmedptTimes;

typedef struct
{
  guint64 frames_in;
  guint64 inferred; /* frames that got a result of their own */
  guint64 encoded; /* images that went through the encoder */
  guint64 skipped_late, skipped_gap, skipped_interval;
  GstClockTime overhead; /* own time outside inference, pushing excluded */
  GstClockTime model_load;
  GstUmedptTimes batches; /* of inference */
  GstUmedptTimes delays; /* of frames in the element; one per frame out */
  GstUmedptTimes ages; /* of the results on frames */
} GstUmedptStats;

void gst_umedpt_stats_add_batch (GstUmedptStats *self, guint n_frames,
    GstClockTime took);
/* A frame leaves. */
void gst_umedpt_stats_add_delay (GstUmedptStats *self, GstClockTime delay);
/* … with results that are @age old. */
void gst_umedpt_stats_add_age (GstUmedptStats *self, GstClockTime age);
/* (transfer full) */
GstStructure *gst_umedpt_stats_to_structure (const GstUmedptStats *self);

G_END_DECLS
