/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Fuzz target: YOLO's label files. Boxes of what parses are ordered and finite.
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
  g_autoptr (GArray) boxes =
      umedpt_yolo_parse ((const char *) data, size, &error);

  if (boxes == NULL) {
    fuzz_check_error (error);
    return 0;
  }
  for (guint i = 0; i < boxes->len; i++) {
    const UmedptYoloBox *box = &g_array_index (boxes, UmedptYoloBox, i);

    if (box->label < 0 || box->line < 1 || !(box->x1 <= box->x2) ||
        !(box->y1 <= box->y2) || !isfinite (box->x2 - box->x1))
      abort ();
  }
  return 0;
}
