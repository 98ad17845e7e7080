/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The element "umedptdetect": boxes of a detection task.
 */
#pragma once

#include "inference/gstumedpthead.h"

G_BEGIN_DECLS

#define GST_TYPE_UMEDPT_DETECT (gst_umedpt_detect_get_type ())
G_DECLARE_FINAL_TYPE (GstUmedptDetect, gst_umedpt_detect, GST, UMEDPT_DETECT,
    GstUmedptHead)
GST_ELEMENT_REGISTER_DECLARE (umedptdetect);

G_END_DECLS
