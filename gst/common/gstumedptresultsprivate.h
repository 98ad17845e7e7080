/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The writing half of gstumedptresults.h, for the plugin's own elements.
 */
#pragma once

#include "common/gstumedptresults.h"

#include "net/model.h"

G_BEGIN_DECLS

/* Registers the meta; idempotent and thread-safe. */
void gst_umedpt_results_register (void);

/* (transfer full) Results of task number @task of @model; @pts: of the
 * picture. */
GstStructure *gst_umedpt_result_new_values (UmedptModel *model, guint task,
    GstClockTime pts, const gfloat *values, guint n);
/* @boxes: of GstUmedptBox, best first. */
GstStructure *gst_umedpt_result_new_boxes (UmedptModel *model, guint task,
    GstClockTime pts, const GArray *boxes);
/* @mask: its data is copied. */
GstStructure *gst_umedpt_result_new_mask (UmedptModel *model, guint task,
    GstClockTime pts, const GstUmedptMask *mask);

/* Puts @result (transfer full) under the name of its task on a writable
 * buffer; an earlier one of that task goes. Boxes also become
 * GstVideoRegionOfInterestMeta, and everything also types of GstAnalytics where
 * the build has it, for elements of others. */
void gst_buffer_add_umedpt_result (GstBuffer *buffer, const char *task,
    GstStructure *result);
/* Adds all results of @from to those of @to, a writable buffer. */
void gst_buffer_copy_umedpt_results (GstBuffer *to, GstBuffer *from);

G_END_DECLS
