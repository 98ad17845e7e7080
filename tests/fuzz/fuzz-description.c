/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Fuzz target: the description of a model. Whatever the text is, it is read
 * or refused with a reason; what was read can be written, and what was
 * written reads back the same.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "fuzz.h"
#include "net/description.h"

static void
round_trip (const UmedptDescription *description)
{
  g_autofree char *first = umedpt_description_to_json (description);
  g_autoptr (UmedptDescription) copy = umedpt_description_copy (description);
  g_autoptr (UmedptDescription) again =
      umedpt_description_new_from_json (first, -1, NULL);
  g_autofree char *second = NULL;
  g_autofree char *copied = NULL;

  if (!again)
    abort ();
  second = umedpt_description_to_json (again);
  copied = umedpt_description_to_json (copy);
  if (strcmp (first, second) != 0 || strcmp (first, copied) != 0)
    abort ();
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptDescription) description =
      umedpt_description_new_from_json ((const char *) data, (gssize) size,
          &error);

  if ((description == NULL) != (error != NULL))
    abort ();
  if (error &&
      (error->domain != UMEDPT_ERROR ||
          !g_utf8_validate (error->message, -1, NULL)))
    abort ();
  if (description)
    round_trip (description);
  return 0;
}
