/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A strict reader of GeoJSON (RFC 7946) in QuPath's dialect: a feature
 * collection, one feature, or a bare array of features; `classification` as a
 * string or as an object with `name` or `names`; `objectType` also by its
 * older names. Keys may come in any order, so coordinates that come before
 * their type are passed over and read when it is known. Nothing recurses
 * without bound, and what is unknown is skipped.
 */
#include "data/geojson.h"

#include <string.h>

#include "base/json.h"

#define MAX_COORDINATE 1e9
#define MAX_FEATURES 10000000

static void
feature_free (gpointer data)
{
  UmedptFeature *feature = data;

  g_free (feature->class_name);
  g_free (feature->object_type);
  umedpt_polygon_free (feature->shape);
  g_free (feature);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptFeature, feature_free)

void
umedpt_geojson_free (UmedptGeojson *self)
{
  if (!self)
    return;
  g_ptr_array_unref (self->features);
  g_free (self);
}

/* [x, y], perhaps with more numbers. */
static gboolean
parse_point (UmedptJson *json, UmedptPolygon *shape, GError **error)
{
  gboolean first = TRUE, more;
  double at[2] = { 0, 0 }, value;
  guint n = 0;

  if (!umedpt_json_begin (json, UMEDPT_JSON_ARRAY, error))
    return FALSE;
  for (;; n++) {
    if (!umedpt_json_next_element (json, &first, &more, error))
      return FALSE;
    if (!more)
      break;
    if (!umedpt_json_get_double (json, -MAX_COORDINATE, MAX_COORDINATE, &value,
            error))
      return FALSE;
    if (n < 2)
      at[n] = value;
  }
  if (n < 2)
    return umedpt_json_fail (error, "a position has %u numbers; expected 2", n);
  umedpt_polygon_add_point (shape, at[0], at[1]);
  return TRUE;
}

typedef enum
{
  SHAPE_LINE,
  SHAPE_LINES,
  SHAPE_POLYGON,
  SHAPE_POLYGONS,
  SHAPE_NONE, /* points, collections */
} Shape;

/* Arrays within arrays: @depth 0 is a ring or line of points. @index counts
 * within the parent, for the first ring of a polygon is its outside. */
static gboolean
parse_nested (UmedptJson *json, guint depth, gboolean line, guint index,
    UmedptPolygon *shape, GError **error)
{
  gboolean first = TRUE, more;
  guint n = 0;

  if (!umedpt_json_begin (json, UMEDPT_JSON_ARRAY, error))
    return FALSE;
  for (;; n++) {
    if (!umedpt_json_next_element (json, &first, &more, error))
      return FALSE;
    if (!more)
      break;
    if (depth == 0 ? !parse_point (json, shape, error)
                   : !parse_nested (json, depth - 1, line, n, shape, error))
      return FALSE;
  }
  if (depth == 0 && line)
    umedpt_polygon_end_line (shape);
  else if (depth == 0)
    umedpt_polygon_end_ring (shape, index > 0);
  return TRUE;
}

static gboolean
parse_coordinates (UmedptJson *json, Shape kind, UmedptPolygon **shape,
    GError **error)
{
  static const guint depths[] = { 0, 1, 1, 2 };
  g_autoptr (UmedptPolygon) polygon = umedpt_polygon_new ();

  if (!parse_nested (json, depths[kind], kind <= SHAPE_LINES, 0, polygon,
          error))
    return FALSE;
  if (umedpt_polygon_finish (polygon))
    *shape = g_steal_pointer (&polygon);
  return TRUE;
}

static gboolean
fail_twice (const char *key, GError **error)
{
  return umedpt_json_fail (error, "the key '%s' is there twice", key);
}

/* @shape stays NULL for what is no area or line. */
static gboolean
parse_geometry (UmedptJson *json, UmedptPolygon **shape, GError **error)
{
  static const char *const types[] = { "LineString", "MultiLineString",
    "Polygon", "MultiPolygon", "Point", "MultiPoint", "GeometryCollection",
    NULL };
  gboolean first = TRUE, has_coordinates = FALSE;
  UmedptJson coordinates = { 0 };
  gint type = -1;

  if (!umedpt_json_begin (json, UMEDPT_JSON_OBJECT, error))
    return FALSE;
  for (;;) {
    g_autofree char *key = NULL;
    gboolean ok;

    if (!umedpt_json_next_key (json, &first, &key, error))
      return FALSE;
    if (!key)
      break;
    if (strcmp (key, "type") == 0) {
      ok = type < 0 ? umedpt_json_get_choice (json, types, &type, error)
                    : fail_twice (key, error);
    } else if (strcmp (key, "coordinates") == 0) {
      if (has_coordinates)
        return fail_twice (key, error);
      has_coordinates = TRUE;
      umedpt_json_peek (json);
      coordinates = *json;
      ok = umedpt_json_skip (json, error);
    } else {
      ok = umedpt_json_skip (json, error);
    }
    if (!ok)
      return FALSE;
  }
  if (type < 0)
    return umedpt_json_fail (error, "a geometry has no type");
  if (type >= SHAPE_NONE)
    return TRUE;
  if (!has_coordinates)
    return umedpt_json_fail (error, "a geometry has no coordinates");
  return parse_coordinates (&coordinates, (Shape) type, shape, error);
}

/* The names of a derived class, joined as QuPath shows them. */
static gboolean
parse_names (UmedptJson *json, char **name, GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);
  gboolean first = TRUE, more;

  if (!umedpt_json_begin (json, UMEDPT_JSON_ARRAY, error))
    return FALSE;
  for (;;) {
    g_autofree char *part = NULL;

    if (!umedpt_json_next_element (json, &first, &more, error))
      return FALSE;
    if (!more)
      break;
    if (!umedpt_json_get_string (json, &part, error))
      return FALSE;
    g_string_append_printf (text, "%s%s", text->len ? ": " : "", part);
  }
  g_free (*name);
  *name = g_string_free (g_steal_pointer (&text), FALSE);
  return TRUE;
}

static gboolean
parse_classification (UmedptJson *json, char **name, GError **error)
{
  gboolean first = TRUE;

  if (umedpt_json_peek (json) == UMEDPT_JSON_NULL)
    return umedpt_json_skip (json, error);
  if (umedpt_json_peek (json) == UMEDPT_JSON_STRING)
    return umedpt_json_get_string (json, name, error);
  if (!umedpt_json_begin (json, UMEDPT_JSON_OBJECT, error))
    return FALSE;
  for (;;) {
    g_autofree char *key = NULL;
    gboolean ok;

    if (!umedpt_json_next_key (json, &first, &key, error))
      return FALSE;
    if (!key)
      return TRUE;
    if (strcmp (key, "name") == 0 && !*name)
      ok = umedpt_json_get_string (json, name, error);
    else if (strcmp (key, "name") == 0)
      ok = fail_twice (key, error);
    else if (strcmp (key, "names") == 0)
      ok = parse_names (json, name, error);
    else
      ok = umedpt_json_skip (json, error);
    if (!ok)
      return FALSE;
  }
}

static gboolean
parse_properties (UmedptJson *json, UmedptFeature *feature, GError **error)
{
  gboolean first = TRUE;

  if (umedpt_json_peek (json) == UMEDPT_JSON_NULL)
    return umedpt_json_skip (json, error);
  if (!umedpt_json_begin (json, UMEDPT_JSON_OBJECT, error))
    return FALSE;
  for (;;) {
    g_autofree char *key = NULL;
    gboolean is_type, ok;

    if (!umedpt_json_next_key (json, &first, &key, error))
      return FALSE;
    if (!key)
      return TRUE;
    is_type =
        strcmp (key, "objectType") == 0 || strcmp (key, "object_type") == 0;
    if (is_type && !feature->object_type)
      ok = umedpt_json_get_string (json, &feature->object_type, error);
    else if (strcmp (key, "classification") == 0 && !feature->class_name)
      ok = parse_classification (json, &feature->class_name, error);
    else if (is_type || strcmp (key, "classification") == 0)
      ok = fail_twice (key, error);
    else
      ok = umedpt_json_skip (json, error);
    if (!ok)
      return FALSE;
  }
}

static gboolean parse_features (UmedptJson *json, UmedptGeojson *self,
    GError **error);

static gboolean
take_feature (UmedptGeojson *self, UmedptFeature *feature, GError **error)
{
  if (!feature->shape) {
    self->n_skipped++;
    feature_free (feature);
    return TRUE;
  }
  g_ptr_array_add (self->features, feature);
  if (self->features->len <= MAX_FEATURES)
    return TRUE;
  return umedpt_json_fail (error, "there are more than %d features",
      MAX_FEATURES);
}

/* A value of the key @key of a feature or collection. */
static gboolean
parse_member (UmedptJson *json, const char *key, gboolean nested, gint *type,
    UmedptFeature *feature, UmedptGeojson *self, GError **error)
{
  static const char *const types[] = { "Feature", "FeatureCollection", NULL };

  if (strcmp (key, "type") == 0)
    return *type < 0 ? umedpt_json_get_choice (json, types, type, error)
                     : fail_twice (key, error);
  if (strcmp (key, "features") == 0 && !nested)
    return parse_features (json, self, error);
  if (strcmp (key, "properties") == 0)
    return parse_properties (json, feature, error);
  if (strcmp (key, "geometry") != 0 ||
      umedpt_json_peek (json) == UMEDPT_JSON_NULL)
    return umedpt_json_skip (json, error);
  if (feature->shape)
    return fail_twice (key, error);
  return parse_geometry (json, &feature->shape, error);
}

/* A feature, or, if not @nested, a collection of them. */
static gboolean
parse_object (UmedptJson *json, gboolean nested, UmedptGeojson *self,
    GError **error)
{
  g_autoptr (UmedptFeature) feature = g_new0 (UmedptFeature, 1);
  gboolean first = TRUE;
  gint type = -1;

  if (!umedpt_json_begin (json, UMEDPT_JSON_OBJECT, error))
    return FALSE;
  for (;;) {
    g_autofree char *key = NULL;

    if (!umedpt_json_next_key (json, &first, &key, error))
      return FALSE;
    if (!key)
      break;
    if (!parse_member (json, key, nested, &type, feature, self, error))
      return FALSE;
  }
  if (type < 0 || (nested && type == 1))
    return umedpt_json_fail (error,
        "an object has no type, or the wrong one; expected a Feature%s",
        nested ? "" : " or FeatureCollection");
  if (type == 1)
    return TRUE;
  return take_feature (self, g_steal_pointer (&feature), error);
}

static gboolean
parse_features (UmedptJson *json, UmedptGeojson *self, GError **error)
{
  gboolean first = TRUE, more;

  if (!umedpt_json_begin (json, UMEDPT_JSON_ARRAY, error))
    return FALSE;
  for (;;) {
    if (!umedpt_json_next_element (json, &first, &more, error))
      return FALSE;
    if (!more)
      return TRUE;
    if (!parse_object (json, TRUE, self, error))
      return FALSE;
  }
}

/* (transfer full), or NULL with @error set to "at byte N: …". */
UmedptGeojson *
umedpt_geojson_parse (const char *text, gsize length, GError **error)
{
  g_autoptr (UmedptGeojson) self = g_new0 (UmedptGeojson, 1);
  UmedptJson json;
  gboolean ok;

  self->features = g_ptr_array_new_with_free_func (feature_free);
  if (!umedpt_json_init (&json, text, length, error))
    return NULL;
  if (umedpt_json_peek (&json) == UMEDPT_JSON_ARRAY)
    ok = parse_features (&json, self, error);
  else
    ok = parse_object (&json, FALSE, self, error);
  if (!ok || !umedpt_json_finish (&json, error))
    return NULL;
  return g_steal_pointer (&self);
}
