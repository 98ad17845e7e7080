/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Fuzz target: annotations of slides. Whatever the text is, it is read or
 * refused with a reason; what was read can be measured and filled.
 */
#include <stdlib.h>

#include "base/error.h"
#include "data/geojson.h"
#include "fuzz.h"

static void
use (const UmedptPolygon *shape)
{
  UmedptRaster raster = { shape->x1 - 1, shape->y1 - 1,
    (shape->x2 - shape->x1 + 2) / 32, 32, 32 };
  guint8 mask[32 * 32] = { 0 };

  if (!(shape->area > 0 && shape->x1 <= shape->x2 && shape->y1 <= shape->y2))
    abort ();
  umedpt_polygon_fill (shape, &raster, mask, 1, 1);
  umedpt_polygon_contains (shape, shape->x1, shape->y1);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptGeojson) json =
      umedpt_geojson_parse ((const char *) data, size, &error);

  if ((json == NULL) != (error != NULL))
    abort ();
  if (error && error->domain != UMEDPT_ERROR)
    abort ();
  for (guint i = 0; json && i < json->features->len; i++)
    use (((UmedptFeature *) json->features->pdata[i])->shape);
  return 0;
}
