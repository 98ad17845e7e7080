/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * slide:///path/to/slide.svs, for elements with a property "location".
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* For G_IMPLEMENT_INTERFACE (GST_TYPE_URI_HANDLER, …). */
void gst_umedpt_slide_uri_init (gpointer iface, gpointer data);

G_END_DECLS
