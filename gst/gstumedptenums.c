/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * GEnum types; the nicks are what a launch line says.
 */
#include "gstumedptenums.h"

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

// clang-format off
DEFINE_ENUM (gst_umedpt_precision_get_type, "GstUmedptPrecision", precisions)
DEFINE_ENUM (gst_umedpt_tissue_get_type, "GstUmedptTissue", tissues)
DEFINE_ENUM (gst_umedpt_order_get_type, "GstUmedptOrder", orders)
// clang-format on
