/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The geometry of an object as RFC 7946 has it: which ring is a hole of which,
 * in what direction it goes, with how many decimals.
 */
#pragma once

#include "output/objects.h"

G_BEGIN_DECLS

/* Appends a Polygon, or MultiPolygon, relative to (@x, @y). */
void umedpt_geojson_append_shape (GString *text, const UmedptObject *object,
    double x, double y);

G_END_DECLS
