/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The events by which the elements tell those downstream about slide and
 * model. They are ordinary custom events, so queue, tee and others pass them.
 *
 * "umedpt-slide", sticky: slide, path, vendor, mpp-source, plan-hash
 *   (strings), level0-width, level0-height (int64), level0-mpp, mpp,
 *   downsample (double), tile-size, overlap (int), n-tiles, n-skipped,
 *   start-index (uint64); region-x, region-y, region-width, region-height
 *   (int64, level 0): what the grid of tiles covers; bounds-x, bounds-y (int64,
 *   level 0): where QuPath counts from, 0 if the slide has no bounds.
 * "umedpt-model", sticky: tensor (id of the results), arch, hash (strings),
 *   dim (uint, length of the embedding).
 * "umedpt-bad-tile", serialized, in the place of the tile that could not be
 *   read: index (uint64), x, y (int64, level 0), reason (string).
 * "umedpt-failed", serialized: an inference element has given up, with an
 *   ERROR on the bus; the EOS that sources push after that ends nothing whole.
 */
#pragma once

#include <gst/gst.h>

#include "data/tiles.h"
#include "output/features.h"

G_BEGIN_DECLS

#define GST_UMEDPT_EVENT_SLIDE "umedpt-slide"
#define GST_UMEDPT_EVENT_MODEL "umedpt-model"
#define GST_UMEDPT_EVENT_BAD_TILE "umedpt-bad-tile"
#define GST_UMEDPT_EVENT_FAILED "umedpt-failed"

/* The slide's name in results: the file's without folder and extension.
 * (transfer full) */
char *gst_umedpt_slide_name (const char *path);

GstEvent *gst_umedpt_event_new_slide (UmedptTilePlan *plan,
    guint64 start_index);
GstEvent *gst_umedpt_event_new_model (const char *tensor, const char *arch,
    const char *hash, guint dim);
GstEvent *gst_umedpt_event_new_bad_tile (const UmedptTile *tile,
    const char *reason);
GstEvent *gst_umedpt_event_new_failed (void);

/* What the "umedpt-slide" event says, for a file; strings belong to @slide. */
UmedptFeatureInfo gst_umedpt_slide_to_feature_info (const GstStructure *slide);
/* The field's value, 0 without it. */
gint64 gst_umedpt_get_int64 (const GstStructure *s, const char *field);
guint64 gst_umedpt_get_uint64 (const GstStructure *s, const char *field);

G_END_DECLS
