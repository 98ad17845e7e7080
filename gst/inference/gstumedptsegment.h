/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The element "umedptsegment": masks of a segmentation task.
 */
#pragma once

#include "inference/gstumedpthead.h"

G_BEGIN_DECLS

#define GST_TYPE_UMEDPT_SEGMENT (gst_umedpt_segment_get_type ())
G_DECLARE_FINAL_TYPE (GstUmedptSegment, gst_umedpt_segment, GST, UMEDPT_SEGMENT,
    GstUmedptHead)
GST_ELEMENT_REGISTER_DECLARE (umedptsegment);

G_END_DECLS
