/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Percentiles come from a window of the last batches: exact, in constant
 * memory, and sorted only when somebody asks.
 */
#include "inference/gstumedptstats.h"

#include <stdlib.h>
#include <string.h>

static void
add (GstUmedptTimes *self, GstClockTime took)
{
  self->recent[self->n % GST_UMEDPT_STATS_WINDOW] = took;
  self->n++;
}

void
gst_umedpt_stats_add_batch (GstUmedptStats *self, guint n_frames,
    GstClockTime took)
{
  add (&self->batches, took);
  self->inferred += n_frames;
}

void
gst_umedpt_stats_add_delay (GstUmedptStats *self, GstClockTime delay)
{
  add (&self->delays, delay);
}

void
gst_umedpt_stats_add_age (GstUmedptStats *self, GstClockTime age)
{
  add (&self->ages, age);
}

static int
compare_times (const void *a, const void *b)
{
  GstClockTime x = *(const GstClockTime *) a, y = *(const GstClockTime *) b;

  return (x > y) - (x < y);
}

static void
percentiles (const GstUmedptTimes *self, GstClockTime *p50, GstClockTime *p95)
{
  GstClockTime sorted[GST_UMEDPT_STATS_WINDOW];
  guint n = (guint) MIN (self->n, GST_UMEDPT_STATS_WINDOW);

  *p50 = *p95 = 0;
  if (n == 0)
    return;
  memcpy (sorted, self->recent, n * sizeof sorted[0]);
  qsort (sorted, n, sizeof sorted[0], compare_times);
  *p50 = sorted[(n - 1) / 2];
  *p95 = sorted[(n - 1) * 95 / 100];
}

GstStructure *
gst_umedpt_stats_to_structure (const GstUmedptStats *self)
{
  GstClockTime batch50, batch95, delay50, delay95, age50, age95;
  const guint64 batches = self->batches.n;

  percentiles (&self->batches, &batch50, &batch95);
  percentiles (&self->delays, &delay50, &delay95);
  percentiles (&self->ages, &age50, &age95);
  // clang-format off
  return gst_structure_new ("application/x-umedpt-stats",
      "frames-in", G_TYPE_UINT64, self->frames_in,
      "frames-out", G_TYPE_UINT64, self->delays.n,
      "inferred", G_TYPE_UINT64, self->inferred,
      "encoded", G_TYPE_UINT64, self->encoded,
      "skipped-late", G_TYPE_UINT64, self->skipped_late,
      "skipped-gap", G_TYPE_UINT64, self->skipped_gap,
      "skipped-interval", G_TYPE_UINT64, self->skipped_interval,
      "batches", G_TYPE_UINT64, batches,
      "mean-fill", G_TYPE_DOUBLE,
          batches ? (double) self->inferred / (double) batches : 0.0,
      "inference-p50", G_TYPE_UINT64, batch50,
      "inference-p95", G_TYPE_UINT64, batch95,
      "picture-p50", G_TYPE_UINT64, delay50,
      "picture-p95", G_TYPE_UINT64, delay95,
      "age-p50", G_TYPE_UINT64, age50,
      "age-p95", G_TYPE_UINT64, age95,
      "overhead-per-frame", G_TYPE_UINT64,
          self->frames_in ? self->overhead / self->frames_in : 0,
      "model-load", G_TYPE_UINT64, self->model_load,
      NULL);
  // clang-format on
}
