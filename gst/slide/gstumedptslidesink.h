/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * umedptslidesink: the results of a slide's tiles into files.
 */
#pragma once

#include <gst/base/gstbasesink.h>

G_BEGIN_DECLS

#define GST_TYPE_UMEDPT_SLIDE_SINK (gst_umedpt_slide_sink_get_type ())
G_DECLARE_FINAL_TYPE (GstUmedptSlideSink, gst_umedpt_slide_sink, GST,
    UMEDPT_SLIDE_SINK, GstBaseSink)

GST_ELEMENT_REGISTER_DECLARE (umedptslidesink);

G_END_DECLS
