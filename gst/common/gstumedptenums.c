/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * GEnum types; the nicks are what a launch line says.
 */
#include "common/gstumedptenums.h"

#include "data/tiles.h"
#include "infer/session.h"

#define DEFINE_ENUM(function, name, values) \
  GType function (void) \
  { \
    static gsize type = 0; \
    if (g_once_init_enter (&type)) \
      g_once_init_leave (&type, g_enum_register_static (name, values)); \
    return type; \
  }

static const GEnumValue precisions[] = {
  { UMEDPT_PRECISION_AUTO, "bf16 where the processor has it, else f32",
      "auto" },
  { UMEDPT_PRECISION_F32, "Single precision throughout", "f32" },
  { UMEDPT_PRECISION_BF16, "bf16 matrix products, f32 sums and norms", "bf16" },
  { 0, NULL, NULL },
};

static const GEnumValue tissues[] = {
  { UMEDPT_TISSUE_NONE, "Every tile of the grid", "none" },
  { UMEDPT_TISSUE_OTSU, "Otsu's threshold on saturation at low power", "otsu" },
  { 0, NULL, NULL },
};

static const GEnumValue orders[] = {
  { UMEDPT_ORDER_ROWS, "Left to right, then down", "rows" },
  { UMEDPT_ORDER_COLUMNS, "Down, then left to right", "columns" },
  { UMEDPT_ORDER_SERPENTINE, "Rows, every second one backwards", "serpentine" },
  { 0, NULL, NULL },
};

static const GEnumValue json_outputs[] = {
  { GST_UMEDPT_JSON_PASS, "The buffers as they came", "pass" },
  { GST_UMEDPT_JSON_TEXT, "A buffer of text instead of each", "text" },
  { 0, NULL, NULL },
};

static const GEnumValue masks[] = {
  { GST_UMEDPT_MASKS_NONE, "Nothing", "none" },
  { GST_UMEDPT_MASKS_AREAS, "The area of every class", "areas" },
  { GST_UMEDPT_MASKS_FULL, "Areas, and the mask as runs", "full" },
  { 0, NULL, NULL },
};

static const GEnumValue inference_regions[] = {
  { GST_UMEDPT_REGION_FULL_FRAME, "All of the frame, resized", "full-frame" },
  { GST_UMEDPT_REGION_TILES, "Tiles of it, results put together", "tiles" },
  { GST_UMEDPT_REGION_ROI_LIST, "Regions that others have marked", "roi-list" },
  { 0, NULL, NULL },
};

static const GEnumValue segment_outputs[] = {
  { GST_UMEDPT_SEGMENT_META, "The picture, with the mask attached", "meta" },
  { GST_UMEDPT_SEGMENT_MASK, "The mask as a picture, GRAY8", "mask" },
  { 0, NULL, NULL },
};

static const GEnumValue mask_styles[] = {
  { GST_UMEDPT_MASK_STYLE_NONE, "Not at all", "none" },
  { GST_UMEDPT_MASK_STYLE_CONTOUR, "A contour around each region", "contour" },
  { GST_UMEDPT_MASK_STYLE_FILL, "Translucent colour within the contour",
      "fill" },
  { 0, NULL, NULL },
};

static const GEnumValue box_styles[] = {
  { GST_UMEDPT_BOX_STYLE_OUTLINE, "All of the edge", "outline" },
  { GST_UMEDPT_BOX_STYLE_CORNERS, "Only its corners", "corners" },
  { 0, NULL, NULL },
};

// clang-format off
DEFINE_ENUM (gst_umedpt_inference_region_get_type,
    "GstUmedptInferenceRegion", inference_regions)
DEFINE_ENUM (gst_umedpt_segment_output_get_type, "GstUmedptSegmentOutput",
    segment_outputs)
DEFINE_ENUM (gst_umedpt_precision_get_type, "GstUmedptPrecision", precisions)
DEFINE_ENUM (gst_umedpt_tissue_get_type, "GstUmedptTissue", tissues)
DEFINE_ENUM (gst_umedpt_order_get_type, "GstUmedptOrder", orders)
DEFINE_ENUM (gst_umedpt_json_output_get_type, "GstUmedptJsonOutput",
    json_outputs)
DEFINE_ENUM (gst_umedpt_masks_get_type, "GstUmedptMasks", masks)
DEFINE_ENUM (gst_umedpt_mask_style_get_type, "GstUmedptMaskStyle", mask_styles)
DEFINE_ENUM (gst_umedpt_box_style_get_type, "GstUmedptBoxStyle", box_styles)
// clang-format on
