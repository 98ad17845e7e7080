/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Time is tiles: tile i lasts from second i to second i + 1. So much for those
 * who ask how long a slide is, how far it has come, and where tile i begins.
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* Answers DURATION and POSITION in TIME, DEFAULT and BUFFERS (tiles), and
 * CONVERT between them, by which a seek in tiles becomes one in time. FALSE: it
 * is another query, or in another format. */
gboolean gst_umedpt_tile_time_answer (GstQuery *query, guint64 n_tiles,
    guint64 next);

G_END_DECLS
