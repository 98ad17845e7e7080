/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The encoder's features of a frame, handed from one inference element to the
 * next so that the encoder runs once, however many heads follow. They travel
 * only where a later element has asked for them in its answer to the
 * ALLOCATION query, and leave the buffer at the last one that did. Whatever
 * draws on the picture between the two neither sees them nor takes them off, so
 * they are good only for pixels with the same checksum.
 */
#pragma once

#include "inference/gstumedptbase.h"

G_BEGIN_DECLS

/* Features that an element can use: of this session, whole frames brought to
 * this size. */
typedef struct
{
  UmedptSession *session; /* compared, never used */
  gint width, height;
} GstUmedptWanted;

/* Says in an answer to an ALLOCATION query that @wanted is welcome. */
void gst_umedpt_features_propose (GstQuery *query,
    const GstUmedptWanted *wanted);
/* What elements downstream want, of GstUmedptWanted. (transfer full) */
GArray *gst_umedpt_features_parse (GstQuery *query);

/* Of a frame's pixels, without what pads its rows. */
guint64 gst_umedpt_features_checksum (const GstVideoFrame *frame);
/* @index: of the frame in @encoding. Others of that session and size go. */
void gst_umedpt_features_attach (GstBuffer *buffer, UmedptEncoding *encoding,
    guint index, guint64 checksum);
/* (transfer none) (nullable): features of @buffer as @wanted; @checksum: of the
 * frame that they are of. */
UmedptEncoding *gst_umedpt_features_get (GstBuffer *buffer,
    const GstUmedptWanted *wanted, guint *index, guint64 *checksum);
/* Removes features that nobody downstream wants. */
void gst_umedpt_features_release (GstBuffer *buffer, const GArray *wanted);
gboolean gst_umedpt_features_are_wanted (const GArray *wanted,
    const GstUmedptWanted *features);

G_END_DECLS
