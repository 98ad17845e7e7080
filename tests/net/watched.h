/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The device "cuda", watched: what a test may see and upset.
 */
#pragma once

#include "backend/backend.h"

typedef struct
{
  gint n_ops, n_runs, n_records; /* of graphs the latter; atomic */
  gint fail_record, fail_run, fail_allocation; /* count down to a failure */
  gboolean no_graphs;
  gsize budget, largest; /* bytes there are, in all and in a piece; 0: all */
  gsize in_use, peak, peak_piece; /* bytes */
} Watched;

extern Watched watched;

/* NULL with @error set: there is none. */
UmedptBackend *watch_backend (GError **error);
/* Counts from 0 again. */
void watch_reset (void);
/* An emulated device takes a hundred times as long as others. */
gboolean watch_is_slow (void);
