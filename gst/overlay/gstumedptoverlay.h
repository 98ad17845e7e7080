/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * umedptoverlay: results drawn on the picture.
 */
#pragma once

#include <gst/base/gstbasetransform.h>

G_BEGIN_DECLS

#define GST_TYPE_UMEDPT_OVERLAY (gst_umedpt_overlay_get_type ())
G_DECLARE_FINAL_TYPE (GstUmedptOverlay, gst_umedpt_overlay, GST, UMEDPT_OVERLAY,
    GstBaseTransform)

GST_ELEMENT_REGISTER_DECLARE (umedptoverlay);

G_END_DECLS
