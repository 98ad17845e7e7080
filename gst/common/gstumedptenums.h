/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * GEnum types of closed sets, the library's and our own, for properties.
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

/* What of a frame goes through the network. */
typedef enum
{
  GST_UMEDPT_REGION_FULL_FRAME,
  GST_UMEDPT_REGION_TILES,
  GST_UMEDPT_REGION_ROI_LIST,
} GstUmedptInferenceRegion;

#define GST_TYPE_UMEDPT_INFERENCE_REGION \
  (gst_umedpt_inference_region_get_type ())
GType gst_umedpt_inference_region_get_type (void);

/* What umedptsegment makes of the picture. */
typedef enum
{
  GST_UMEDPT_SEGMENT_META,
  GST_UMEDPT_SEGMENT_MASK,
} GstUmedptSegmentOutput;

#define GST_TYPE_UMEDPT_SEGMENT_OUTPUT (gst_umedpt_segment_output_get_type ())
GType gst_umedpt_segment_output_get_type (void);

/* What goes downstream. */
typedef enum
{
  GST_UMEDPT_JSON_PASS,
  GST_UMEDPT_JSON_TEXT,
} GstUmedptJsonOutput;

#define GST_TYPE_UMEDPT_JSON_OUTPUT (gst_umedpt_json_output_get_type ())
GType gst_umedpt_json_output_get_type (void);

/* How much of a mask is written. */
typedef enum
{
  GST_UMEDPT_MASKS_NONE,
  GST_UMEDPT_MASKS_AREAS, /* pixels of every class */
  GST_UMEDPT_MASKS_FULL, /* also the mask, as runs */
} GstUmedptMasks;

#define GST_TYPE_UMEDPT_MASKS (gst_umedpt_masks_get_type ())
GType gst_umedpt_masks_get_type (void);

typedef enum
{
  GST_UMEDPT_MASK_STYLE_NONE,
  GST_UMEDPT_MASK_STYLE_CONTOUR,
  GST_UMEDPT_MASK_STYLE_FILL,
} GstUmedptMaskStyle;

#define GST_TYPE_UMEDPT_MASK_STYLE (gst_umedpt_mask_style_get_type ())
GType gst_umedpt_mask_style_get_type (void);

typedef enum
{
  GST_UMEDPT_BOX_STYLE_OUTLINE,
  GST_UMEDPT_BOX_STYLE_CORNERS,
} GstUmedptBoxStyle;

#define GST_TYPE_UMEDPT_BOX_STYLE (gst_umedpt_box_style_get_type ())
GType gst_umedpt_box_style_get_type (void);

G_END_DECLS
