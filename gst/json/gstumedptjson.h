/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * umedptjson: what buffers carry, as lines of JSON.
 */
#pragma once

#include <gst/base/gstbasetransform.h>

G_BEGIN_DECLS

#define GST_TYPE_UMEDPT_JSON (gst_umedpt_json_get_type ())
G_DECLARE_FINAL_TYPE (GstUmedptJson, gst_umedpt_json, GST, UMEDPT_JSON,
    GstBaseTransform)

GST_ELEMENT_REGISTER_DECLARE (umedptjson);

G_END_DECLS
