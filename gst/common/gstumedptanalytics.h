/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Results a second time, in the types of GStreamer's own analytics library
 * (gstreamer-analytics-1.0, 1.26 or later), so that elements of others read
 * them. In a build without that library the functions do nothing.
 */
#pragma once

#include "common/gstumedptmeta.h"

G_BEGIN_DECLS

/* Adds @result of @task to the GstAnalyticsRelationMeta of @buffer, which is
 * writable; what an earlier result of that task added there goes. */
void gst_umedpt_analytics_add_result (GstBuffer *buffer, const char *task,
    const GstStructure *result);

/* Adds a GstTensorMeta with the data of @tensor, which is one of @buffer's. */
void gst_umedpt_analytics_add_tensor (GstBuffer *buffer,
    const GstUmedptTensorMeta *tensor);
/* The same for a copy of a tensor, where the library's own meta has not come
 * along. */
void gst_umedpt_analytics_copy_tensor (GstBuffer *buffer,
    const GstUmedptTensorMeta *copy);

G_END_DECLS
