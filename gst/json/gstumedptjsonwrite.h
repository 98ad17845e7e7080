/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a buffer carries, as one line of JSON; docs/json-lines.md describes it.
 */
#pragma once

#include <gst/gst.h>

#include "common/gstumedptenums.h"

G_BEGIN_DECLS

/* Of the lines; it changes when a reader would have to. */
#define GST_UMEDPT_JSON_SCHEMA 1

/* What is known beside the buffer. */
typedef struct
{
  guint64 frame; /* how many came before */
  gint width, height; /* of the picture, 0 = unknown */
  const GstSegment *segment;
  gboolean live;
  GstClockTime now; /* running time, or NONE */
  gboolean embedding; /* whether to write it */
  GstUmedptMasks masks;
} GstUmedptJsonContext;

/* Appends an object and a newline. */
void gst_umedpt_json_append_buffer (GString *line, GstBuffer *buffer,
    const GstUmedptJsonContext *context);
/* The same for a tile that could not be read; @event: of
 * GST_UMEDPT_EVENT_BAD_TILE. */
void gst_umedpt_json_append_bad_tile (GString *line, const GstStructure *event);

G_END_DECLS
