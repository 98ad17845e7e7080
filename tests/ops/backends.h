/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Which backends a test runs on: those that are linked in, or the one that its
 * argument names.
 */
#pragma once

#include "backend/backend.h"

#define MAX_BACKENDS 2

/* Their number; 0 after a skip has been told. */
static inline guint
find_backends (int argc, char **argv, UmedptBackend **backends)
{
  g_autoptr (GError) error = NULL;

  if (argc < 2) {
    backends[0] = umedpt_backend_ref ();
    backends[1] = umedpt_backend_cpu ();
    return 2;
  }
  backends[0] = umedpt_backend_find (argv[1], &error);
  if (!backends[0])
    g_print ("1..0 # SKIP %s\n", error->message);
  return backends[0] ? 1 : 0;
}
