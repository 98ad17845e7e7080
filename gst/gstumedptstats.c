/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Percentiles come from a window of the last batches: exact, in constant
 * memory, and sorted only when somebody asks.
 */
#include "gstumedptstats.h"

#include <stdlib.h>
#include <string.h>

void
gst_umedpt_stats_add_batch (GstUmedptStats *self, guint n_frames,
    GstClockTime took)
{
  self->recent[self->batches % GST_UMEDPT_STATS_WINDOW] = took;
  self->batches++;
  self->inferred += n_frames;
}

static int
compare_times (const void *a, const void *b)
{
  GstClockTime x = *(const GstClockTime *) a, y = *(const GstClockTime *) b;

  return (x > y) - (x < y);
}

GstStructure *
gst_umedpt_stats_to_structure (const GstUmedptStats *self)
{
  GstClockTime sorted[GST_UMEDPT_STATS_WINDOW];
  guint n = MIN (self->batches, GST_UMEDPT_STATS_WINDOW);
  GstClockTime p50 = 0, p95 = 0;

  if (n > 0) {
    memcpy (sorted, self->recent, n * sizeof sorted[0]);
    qsort (sorted, n, sizeof sorted[0], compare_times);
    p50 = sorted[(n - 1) / 2];
    p95 = sorted[(n - 1) * 95 / 100];
  }
  // clang-format off
  return gst_structure_new ("application/x-umedpt-stats",
      "frames-in", G_TYPE_UINT64, self->frames_in,
      "frames-out", G_TYPE_UINT64, self->frames_out,
      "inferred", G_TYPE_UINT64, self->inferred,
      "skipped-late", G_TYPE_UINT64, self->skipped_late,
      "skipped-gap", G_TYPE_UINT64, self->skipped_gap,
      "batches", G_TYPE_UINT64, self->batches,
      "mean-fill", G_TYPE_DOUBLE,
          self->batches ? (double) self->inferred / self->batches : 0.0,
      "inference-p50", G_TYPE_UINT64, p50,
      "inference-p95", G_TYPE_UINT64, p95,
      "overhead-per-frame", G_TYPE_UINT64,
          self->frames_in ? self->overhead / self->frames_in : 0,
      "model-load", G_TYPE_UINT64, self->model_load,
      NULL);
  // clang-format on
}
