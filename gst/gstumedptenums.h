/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * GEnum types of the library's closed sets, for properties.
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_TYPE_UMEDPT_PRECISION (gst_umedpt_precision_get_type ())
GType gst_umedpt_precision_get_type (void);

#define GST_TYPE_UMEDPT_TISSUE (gst_umedpt_tissue_get_type ())
GType gst_umedpt_tissue_get_type (void);

#define GST_TYPE_UMEDPT_ORDER (gst_umedpt_order_get_type ())
GType gst_umedpt_order_get_type (void);

G_END_DECLS
