/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What umedptslidesink gets from its neighbours, without them: the events of a
 * slide, its tiles and their features, right or wrong.
 */
#pragma once

#include <gst/check/gstharness.h>
#include <gst/gst.h>

G_BEGIN_DECLS

#define DIM 5 /* features per tile */

/* (transfer full): a reference of the caller's own */
GstElement *test_sink (const char *path, gboolean overwrite);
GstHarness *test_sink_harness (GstElement *element);

/* The "umedpt-slide" event of a slide of @n_tiles tiles. */
void test_push_slide (GstHarness *h, guint64 n_tiles);
/* Tile @i of 8 x 8 pixels at (8 i, 16). */
void test_add_tile (GstBuffer *buffer, guint64 i);
/* Features 1, 2, 3, 4, @value. */
void test_add_tensor (GstBuffer *buffer, float value);
/* A buffer with what is TRUE of both. */
GstFlowReturn test_push_tile (GstHarness *h, guint64 i, gboolean tile,
    gboolean tensor, float value);
/* The "umedpt-bad-tile" event. */
void test_push_bad (GstHarness *h, guint64 i);

guint64 test_count (GstMessage *message, const char *field);
/* No file in the test's folder, hidden or temporary, has @prefix in its
 * name. */
void test_nothing_left (const char *prefix);

G_END_DECLS
