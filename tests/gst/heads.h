/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the tests of heads share: a model with a task of every kind, harnesses
 * around launch lines with it, and results computed without an element.
 */
#pragma once

#include "common.h"
#include "common/gstumedptresults.h"
#include "infer/encoding.h"
#include "infer/regions.h"

G_BEGIN_DECLS

/* A harness around a bin of @line, in which "MODEL" stands for the model file
 * below and f32. It is no live source. */
GstHarness *test_line_harness (const char *line, const char *caps,
    GstVideoInfo *info);
/* An element of its bin. (transfer full) */
GstElement *test_get (GstHarness *h, const char *name);
/* Pushes frames first … first + n - 1. */
void test_push_frames (GstHarness *h, const GstVideoInfo *info, guint first,
    guint n);
/* Sets the model-file and pushes frames from *@next on, which are dropped, until
 * the element has heard of it. Whether it works with it. */
gboolean test_change_model (GstHarness *h, const GstVideoInfo *info,
    GstElement *element, const char *file, guint *next);
/* A frame as test_frame()'s, with @padding bytes more in each row, which a
 * GstVideoMeta tells. */
GstBuffer *test_padded_frame (const GstVideoInfo *info, guint i, gint padding);

/* swinv2-nano for 64 x 64 pixels with the tasks tissue (segmentation:
 * background, a, b), marks (multi-label segmentation: x, y), cells (detection:
 * p, q; finds many), kind (classification: r, s, t), age (regression), and for
 * 96 x 80 pixels big (segmentation: u, v) and view (classification: v, w). */
const char *test_task_model (void);
/* The same with other parameters. */
const char *test_other_task_model (void);
/* (transfer full) */
UmedptSession *test_task_session (const char *file);
guint test_task_number (UmedptSession *session, const char *name);
/* The frame in its own size, or part of it, encoded for @task. (transfer full)
 */
UmedptEncoding *test_encode (UmedptSession *session, GstBuffer *frame,
    const GstVideoInfo *info, const char *task, const UmedptRegion *region);

/* The result of @task on @buffer. */
const GstStructure *test_result (GstBuffer *buffer, const char *task);
/* @buffer carries, number for number, what the task makes of image 0. */
void test_assert_mask (GstBuffer *buffer, const char *task,
    const GstVideoInfo *info, UmedptEncoding *encoding, double threshold);
void test_assert_boxes (GstBuffer *buffer, const char *task,
    const GstVideoInfo *info, UmedptEncoding *encoding, double threshold);
void test_assert_values (GstBuffer *buffer, const char *task,
    UmedptEncoding *encoding);
void test_assert_embedding (GstBuffer *buffer, UmedptEncoding *encoding);

G_END_DECLS
