/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Fuzz target: COCO's JSON. What parses has names, and numbers that are finite.
 */
#define _GNU_SOURCE
#include <math.h>

#include "data/dataset-annotations.h"
#include "fuzz-labels.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptCoco) coco =
      umedpt_coco_parse ((const char *) data, size, &error);

  if (coco == NULL) {
    fuzz_check_error (error);
    return 0;
  }
  for (guint i = 0; i < coco->images->len; i++)
    if (g_array_index (coco->images, UmedptCocoImage, i).file_name == NULL)
      abort ();
  for (guint i = 0; i < coco->categories->len; i++)
    if (g_array_index (coco->categories, UmedptCocoCategory, i).name == NULL)
      abort ();
  for (guint i = 0; i < coco->annotations->len; i++) {
    const UmedptCocoAnnotation *a =
        &g_array_index (coco->annotations, UmedptCocoAnnotation, i);

    if (!isfinite (a->x + a->y + a->width + a->height))
      abort ();
  }
  return 0;
}
