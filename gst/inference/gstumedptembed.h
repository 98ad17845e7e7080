/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * umedptembed: one embedding per picture.
 */
#pragma once

#include "inference/gstumedptbase.h"

G_BEGIN_DECLS

#define GST_TYPE_UMEDPT_EMBED (gst_umedpt_embed_get_type ())
G_DECLARE_FINAL_TYPE (GstUmedptEmbed, gst_umedpt_embed, GST, UMEDPT_EMBED,
    GstUmedptBase)

GST_ELEMENT_REGISTER_DECLARE (umedptembed);

G_END_DECLS
