/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Fuzz target: Pascal VOC's XML. Every object of what parses has a name and
 * finite numbers.
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
  g_autoptr (UmedptVoc) voc =
      umedpt_voc_parse ((const char *) data, size, &error);

  if (voc == NULL) {
    fuzz_check_error (error);
    return 0;
  }
  if (error != NULL || voc->width < 0 || voc->height < 0)
    abort ();
  for (guint i = 0; i < voc->objects->len; i++) {
    const UmedptVocObject *object =
        &g_array_index (voc->objects, UmedptVocObject, i);

    if (object->name == NULL || *object->name == '\0' || object->line < 1 ||
        !isfinite (object->xmin + object->ymin + object->xmax + object->ymax))
      abort ();
  }
  return 0;
}
