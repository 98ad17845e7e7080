/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Annotations of slides in GeoJSON (RFC 7946) as QuPath writes it: areas and
 * lines in level-0 pixels, with the class in the properties.
 */
#pragma once

#include "data/polygon.h"

G_BEGIN_DECLS

typedef struct
{
  char *class_name; /* (nullable): not classified */
  char *object_type; /* (nullable) annotation, detection, cell, tile … */
  UmedptPolygon *shape;
} UmedptFeature;

typedef struct
{
  GPtrArray *features; /* of UmedptFeature, in the file's order */
  guint n_skipped; /* points, empty shapes, geometries that are none */
} UmedptGeojson;

UmedptGeojson *umedpt_geojson_parse (const char *text, gsize length,
    GError **error);
void umedpt_geojson_free (UmedptGeojson *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptGeojson, umedpt_geojson_free)

G_END_DECLS
