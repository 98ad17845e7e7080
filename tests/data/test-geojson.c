/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Annotations: what QuPath writes is read, in any order of keys; what is wrong
 * is refused with a place; filled outlines have the pixels whose centres are
 * inside, counted one by one with another rule.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/random.h"
#include "data/geojson.h"

#define SQUARE "[[[10,10],[30,10],[30,30],[10,30],[10,10]]]"

static UmedptGeojson *
parse (const char *text)
{
  g_autoptr (GError) error = NULL;
  UmedptGeojson *json = umedpt_geojson_parse (text, strlen (text), &error);

  g_assert_no_error (error);
  return json;
}

static UmedptFeature *
only_feature (const UmedptGeojson *json)
{
  g_assert_cmpuint (json->features->len, ==, 1);
  return json->features->pdata[0];
}

static void
test_forms (void)
{
  static const char *const texts[] = {
    "{\"type\":\"FeatureCollection\",\"features\":[{\"type\":\"Feature\","
    "\"id\":\"0d5b\",\"geometry\":{\"type\":\"Polygon\",\"coordinates\":" SQUARE
    ",\"plane\":{\"c\":-1,\"z\":0,\"t\":0}},\"properties\":{\"objectType\":"
    "\"annotation\",\"classification\":{\"name\":\"Tumor\",\"color\":[200,0,0]}"
    ",\"isLocked\":true,\"measurements\":{\"Area\":4,\"x\":\"NaN\"}}}]}",
    /* the other way round, a bare array, a class as a string */
    "[{\"properties\":{\"classification\":\"Tumor\",\"object_type\":"
    "\"annotation\"},\"geometry\":{\"coordinates\":" SQUARE
    ",\"type\":\"Polygon\"},\"type\":\"Feature\"}]",
    "{\"type\":\"Feature\",\"properties\":{\"objectType\":\"annotation\","
    "\"classification\":{\"names\":[\"Tumor\"]}},\"geometry\":{\"type\":"
    "\"MultiPolygon\",\"coordinates\":[" SQUARE "]}}",
  };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autoptr (UmedptGeojson) json = parse (texts[i]);
    UmedptFeature *feature = only_feature (json);

    g_assert_cmpstr (feature->class_name, ==, "Tumor");
    g_assert_cmpstr (feature->object_type, ==, "annotation");
    g_assert_cmpfloat (feature->shape->area, ==, 400);
    g_assert_cmpfloat (feature->shape->x1, ==, 10);
    g_assert_cmpfloat (feature->shape->y2, ==, 30);
    g_assert_true (umedpt_polygon_contains (feature->shape, 20, 20));
    g_assert_false (umedpt_polygon_contains (feature->shape, 31, 20));
  }
}

static void
test_skipped (void)
{
  g_autoptr (UmedptGeojson) json = parse (
      "[{\"type\":\"Feature\",\"geometry\":null,\"properties\":null},"
      "{\"type\":\"Feature\",\"geometry\":{\"type\":\"Point\",\"coordinates\":"
      "[1,2]},\"properties\":{\"classification\":null}},"
      "{\"type\":\"Feature\",\"geometry\":{\"type\":\"Polygon\","
      "\"coordinates\":[]}},"
      "{\"type\":\"Feature\",\"geometry\":{\"type\":\"Polygon\","
      "\"coordinates\":[[[1,1],[5,1],[1,1]]]}},"
      "{\"type\":\"Feature\",\"properties\":{},\"geometry\":{\"type\":"
      "\"Polygon\",\"coordinates\":" SQUARE "}}]");

  g_assert_cmpuint (json->n_skipped, ==, 4);
  g_assert_null (only_feature (json)->class_name);
}

static void
test_refused (void)
{
  static const char *const texts[] = { "", "{}", "[1]", "{\"type\":\"Fish\"}",
    "{\"type\":\"FeatureCollection\",\"features\":[{}]}",
    "{\"type\":\"FeatureCollection\",\"features\":[{\"type\":"
    "\"FeatureCollection\"}]}",
    "[{\"type\":\"Feature\",\"type\":\"Feature\"}]",
    "[{\"type\":\"Feature\",\"geometry\":{\"type\":\"Polygon\"}}]",
    "[{\"type\":\"Feature\",\"geometry\":{\"coordinates\":[]}}]",
    "[{\"type\":\"Feature\",\"geometry\":{\"type\":\"Circle\","
    "\"coordinates\":[]}}]",
    "[{\"type\":\"Feature\",\"geometry\":{\"type\":\"Polygon\","
    "\"coordinates\":[[1,2]]}}]",
    "[{\"type\":\"Feature\",\"geometry\":{\"type\":\"Polygon\","
    "\"coordinates\":[[[1]]]}}]",
    "[{\"type\":\"Feature\",\"geometry\":{\"type\":\"Polygon\","
    "\"coordinates\":[[[1e300,1]]]}}]",
    "[{\"type\":\"Feature\",\"geometry\":{\"type\":\"Polygon\","
    "\"coordinates\":[[[1,2],\"x\"]]}}]",
    "[{\"type\":\"Feature\",\"properties\":{\"classification\":3}}]",
    "[{\"type\":\"Feature\"}", "[{\"type\":\"Feature\"}] x" };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (umedpt_geojson_parse (texts[i], strlen (texts[i]), &error));
    g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT);
  }
}

/* Deep nesting ends in an error, not in the end of the stack. */
static void
test_depth (void)
{
  g_autoptr (GString) text =
      g_string_new ("[{\"type\":\"Feature\",\"geometry\":{\"coordinates\":");
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < 200000; i++)
    g_string_append_c (text, '[');
  g_assert_null (umedpt_geojson_parse (text->str, text->len, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT);
}

/* Filling agrees with the test of single points, at any place and scale. */
static void
test_fill (void)
{
  UmedptRandom random;

  umedpt_random_init (&random, 5);
  for (guint round = 0; round < 200; round++) {
    g_autoptr (UmedptPolygon) shape = umedpt_polygon_new ();
    UmedptRaster raster = { 20 * umedpt_random_uniform (&random) - 10,
      20 * umedpt_random_uniform (&random) - 10,
      0.5 + 3 * umedpt_random_uniform (&random), 40, 30 };
    guint8 mask[40 * 30 * 2] = { 0 };

    for (guint ring = 0; ring < 1 + round % 3; ring++) {
      guint n = 3 + (guint) umedpt_random_below (&random, 12);

      for (guint i = 0; i < n; i++)
        umedpt_polygon_add_point (shape,
            100 * umedpt_random_uniform (&random) - 10,
            100 * umedpt_random_uniform (&random) - 10);
      if (round % 5 == 4)
        umedpt_polygon_end_line (shape);
      else
        umedpt_polygon_end_ring (shape, FALSE);
    }
    g_assert_true (umedpt_polygon_finish (shape));
    umedpt_polygon_fill (shape, &raster, mask + 1, 2, 7);
    for (guint i = 0; i < 40 * 30; i++) {
      double x = raster.x + (i % 40 + 0.5) * raster.scale;
      double y = raster.y + (i / 40 + 0.5) * raster.scale;

      g_assert_cmpint (mask[2 * i], ==, 0);
      g_assert_cmpint (mask[2 * i + 1], ==,
          umedpt_polygon_contains (shape, x, y) ? 7 : 0);
    }
  }
}

/* A ring in a ring is a hole; neighbours share no pixel and leave none out. */
static void
test_holes (void)
{
  g_autoptr (UmedptGeojson) json =
      parse ("[{\"type\":\"Feature\",\"geometry\":{\"type\":\"Polygon\","
             "\"coordinates\":[[[0,0],[20,0],[20,20],[0,20],[0,0]],"
             "[[5,5],[5,15],[15,15],[15,5],[5,5]]]}},"
             "{\"type\":\"Feature\",\"geometry\":{\"type\":\"Polygon\","
             "\"coordinates\":[[[5,5],[15,5],[15,15],[5,15],[5,5]]]}}]");
  UmedptRaster raster = { 0, 0, 0.5, 40, 40 };
  guint8 counts[1600] = { 0 };

  for (guint i = 0; i < 2; i++) {
    UmedptFeature *feature = json->features->pdata[i];
    guint8 mask[1600] = { 0 };
    guint n = 0;

    umedpt_polygon_fill (feature->shape, &raster, mask, 1, 1);
    for (guint k = 0; k < 1600; k++) {
      counts[k] += mask[k];
      n += mask[k];
    }
    g_assert_cmpfloat (feature->shape->area * 4, ==, n);
  }
  for (guint k = 0; k < 1600; k++)
    g_assert_cmpint (counts[k], ==, 1);
}

/* A line of length 100 is 20 wide: as far as the root of its length. */
static void
test_line (void)
{
  g_autoptr (UmedptGeojson) json =
      parse ("{\"type\":\"Feature\",\"geometry\":{\"type\":\"LineString\","
             "\"coordinates\":[[0,50],[60,50],[100,50]]}}");
  const UmedptPolygon *shape = only_feature (json)->shape;

  g_assert_cmpfloat (shape->radius, ==, 10);
  g_assert_cmpfloat (shape->area, ==, 2000);
  g_assert_true (umedpt_polygon_contains (shape, 50, 59));
  g_assert_false (umedpt_polygon_contains (shape, 50, 61));
  g_assert_true (umedpt_polygon_contains (shape, -9, 50));
  g_assert_false (umedpt_polygon_contains (shape, -9, 58));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/geojson/forms", test_forms);
  g_test_add_func ("/geojson/skipped", test_skipped);
  g_test_add_func ("/geojson/refused", test_refused);
  g_test_add_func ("/geojson/depth", test_depth);
  g_test_add_func ("/polygon/fill", test_fill);
  g_test_add_func ("/polygon/holes", test_holes);
  g_test_add_func ("/polygon/line", test_line);
  return g_test_run ();
}
