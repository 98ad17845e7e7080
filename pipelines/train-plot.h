/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One plot: a measure over the share of training images, with a line per
 * starting model and mode.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* One run. */
typedef struct
{
  char *line; /* what the legend says */
  double fraction; /* 0 … 1 */
  double value; /* NaN: none */
} TrainPoint;

/* (transfer full) SVG text; @points: of TrainPoint, those of a line and
 * fraction are averaged, and their range is drawn. */
char *train_plot (const GArray *points, const char *title, const char *measure);

G_END_DECLS
