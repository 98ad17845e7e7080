/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * umedptslidesrc: the tiles of a whole slide as a stream of pictures.
 */
#pragma once

#include <gst/base/gstpushsrc.h>

G_BEGIN_DECLS

#define GST_TYPE_UMEDPT_SLIDE_SRC (gst_umedpt_slide_src_get_type ())
G_DECLARE_FINAL_TYPE (GstUmedptSlideSrc, gst_umedpt_slide_src, GST,
    UMEDPT_SLIDE_SRC, GstPushSrc)

GST_ELEMENT_REGISTER_DECLARE (umedptslidesrc);

G_END_DECLS
