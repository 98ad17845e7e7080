/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Objects and regions as QuPath imports them: GeoJSON (RFC 7946), one feature
 * after the other, so that a million of them need no memory; compressed where
 * the name ends in .gz.
 */
#pragma once

#include "base/macros.h"
#include "output/objects.h"

G_BEGIN_DECLS

/* What a task's classes are called and how they are coloured. */
typedef struct
{
  const char *task;
  const char *const *labels; /* (nullable): the task's name alone */
  const guint32 *colors; /* 0xRRGGBB per label (one if there are none) */
} UmedptClassNames;

typedef struct
{
  double bounds_x, bounds_y; /* level-0: QuPath counts from there */
  double mpp; /* micrometres per level-0 pixel; 0: unknown */
  const char *slide; /* (nullable) name; part of the objects' ids */
  const char *model_hash; /* (nullable) */
  const char *config_hash; /* (nullable) part of the objects' ids */
} UmedptGeojsonInfo;

typedef struct _UmedptGeojsonWriter UmedptGeojsonWriter;

/* @path ends in .geojson, .json, .geojson.gz or .json.gz. */
UMEDPT_API
UmedptGeojsonWriter *umedpt_geojson_writer_new (const char *path,
    const UmedptGeojsonInfo *info, gboolean overwrite, GError **error);
/* @object_type: "detection" or "annotation" (locked). An object that is refused
 * (UMEDPT_ERROR_DATA) harms nothing; after any other error, only free is left. */
UMEDPT_API
gboolean umedpt_geojson_writer_add (UmedptGeojsonWriter *self,
    const UmedptObject *object, const UmedptClassNames *names,
    const char *object_type, GError **error);
UMEDPT_API
guint64 umedpt_geojson_writer_get_n_features (UmedptGeojsonWriter *self);
UMEDPT_API
gboolean umedpt_geojson_writer_finish (UmedptGeojsonWriter *self,
    GError **error);
/* Without a successful finish, nothing is left under the final name. */
UMEDPT_API
void umedpt_geojson_writer_free (UmedptGeojsonWriter *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptGeojsonWriter, umedpt_geojson_writer_free)

G_END_DECLS
