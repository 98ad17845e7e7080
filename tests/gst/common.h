/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the element tests share: a private GStreamer, a small model, a small
 * slide, and reading the bus.
 */
#pragma once

#include <gst/check/gstharness.h>
#include <gst/gst.h>
#include <gst/video/video.h>

#include "common/gstumedptmeta.h"

G_BEGIN_DECLS

/* Makes a private registry with only the plugins needed, so that a run is
 * fast, touches no user's cache, and a leak checker sees only our leaks. */
void test_init (int *argc, char ***argv);
/* Runs the tests, removes all files. */
int test_run (void);

/* A folder for this run's files; a path in it. (transfer full) */
char *test_path (const char *name);
/* swinv2-nano for 64 x 64 pixels, made once per run. */
const char *test_model (void);
/* A PNG of 640 x 400 pixels with a different colour everywhere. */
const char *test_slide (void);
/* A tiled TIFF of 512 x 512 pixels in 128 pixel tiles, of which the one in
 * column 1, row 2 cannot be decoded. */
const char *test_damaged_slide (void);

/* A playing harness around one umedptembed; @caps for both @info and the
 * stream. A harness is a live source unless told otherwise. */
GstHarness *test_embed_harness (guint batch_size, gboolean live,
    const char *caps, GstVideoInfo *info);

/* Runs a launch line to its EOS. */
void test_run_line (const char *line);

/* The next buffer, which is there already; or soon will be, where sessions are
 * on a device and batches run beside the stream. (transfer full) */
GstBuffer *test_pull (GstHarness *h);
/* Asserts that so many came out, in the same sense. */
void test_received (GstHarness *h, guint n);

/* A chain function: "I have enough". */
GstFlowReturn test_refuse (GstPad *pad, GstObject *parent, GstBuffer *buffer);

GstBus *test_bus (GstElement *element);
/* Goes to PAUSED, which must fail, and returns the one error it posted. */
GError *test_start_error (GstElement *element);
/* Pops a message of that type or NULL; others are dropped. */
GstMessage *test_pop (GstBus *bus, GstMessageType type);
guint64 test_stat (GstElement *element, const char *field);

/* A frame of @caps' size, filled from @seed, PTS i * 40 ms. */
GstBuffer *test_frame (const GstVideoInfo *info, guint i);

G_END_DECLS
