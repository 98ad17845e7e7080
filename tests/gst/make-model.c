/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * make-model ARCH SIDE FILE: an initialised model for the pipeline tests, of
 * the architecture named, for pictures of SIDE x SIDE pixels.
 */
#include <stdlib.h>

#include "net/model.h"

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptDescription) description = NULL;
  g_autoptr (UmedptModel) model = NULL;

  if (argc != 4) {
    g_printerr ("usage: %s ARCH SIDE FILE\n", argv[0]);
    return 2;
  }
  description = umedpt_description_new (argv[1], &error);
  if (description) {
    description->input_width = description->input_height =
        (gint) g_ascii_strtoll (argv[2], NULL, 10);
    model = umedpt_model_new_initialised (description, 1, &error);
  }
  if (!model || !umedpt_model_save (model, argv[3], &error)) {
    g_printerr ("%s\n", error->message);
    return 1;
  }
  return 0;
}
