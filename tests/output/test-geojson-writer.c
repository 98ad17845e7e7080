/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Objects as GeoJSON: what our own reader makes of them must be what was
 * written, ring by ring. `test-geojson-writer FOLDER` leaves files for
 * check-geojson.py, which knows QuPath's rules.
 */
#include "output/geojson-writer.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "base/error.h"
#include "base/random.h"
#include "data/geojson.h"
#include "output/polygonize.h"

static const char *const labels[] = { "Tumor", "in: two\nlines", "\"é\"",
  NULL };
static const guint32 colors[] = { 0xc80000, 0x00ff7f, 0x0000ff };
static const UmedptClassNames cells = { "cells", labels, colors };
static const UmedptClassNames glands = { "glands", NULL, colors };

typedef struct
{
  char *folder, *path;
  UmedptGeojsonInfo info;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  fixture->folder = g_dir_make_tmp ("umedpt-XXXXXX", NULL);
  fixture->path = g_build_filename (fixture->folder, "a.geojson", NULL);
  fixture->info =
      (UmedptGeojsonInfo){ 1000, 2000, 0.5, "slide \"1\"", "0a1b", "c0ffee" };
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_unlink (fixture->path);
  g_assert_cmpint (g_rmdir (fixture->folder), ==, 0); /* nothing else is left */
  g_free (fixture->path);
  g_free (fixture->folder);
}

static void
add_ring (UmedptPolygon *outline, gboolean hole, const double *xy, guint n)
{
  for (guint i = 0; i < n; i++)
    umedpt_polygon_add_point (outline, xy[2 * i], xy[2 * i + 1]);
  umedpt_polygon_end_ring (outline, hole);
}

static UmedptObject
object_of (UmedptPolygon *outline, gint label)
{
  UmedptObject object = { 0, label, 0.75f, 0, 0, 0, 0, 0, outline };

  g_assert_true (umedpt_polygon_finish (outline));
  object.x1 = outline->x1;
  object.y1 = outline->y1;
  object.x2 = outline->x2;
  object.y2 = outline->y2;
  object.area = outline->area;
  return object;
}

static UmedptObject
make_box (gint label, double x1, double y1, double x2, double y2)
{
  UmedptObject object = { 0, label, 0.123456f, x1, y1, x2, y2,
    (x2 - x1) * (y2 - y1), NULL };

  return object;
}

/* Two holes; all rings in the wanted direction. */
static UmedptPolygon *
make_holes (void)
{
  static const double outer[] = { 1000, 2000, 1100, 2000, 1100.25, 2100.5, 1000,
    2100 };
  static const double holes[][8] = { { 1010, 2010, 1010, 2020, 1020, 2020, 1020,
                                         2010 },
    { 1030, 2030, 1030, 2050.25, 1040, 2040, 1035, 2030 } };
  UmedptPolygon *outline = umedpt_polygon_new ();

  add_ring (outline, FALSE, outer, 4);
  add_ring (outline, TRUE, holes[0], 4);
  add_ring (outline, TRUE, holes[1], 4);
  return outline;
}

/* Two outer rings, one with a hole that holds a third one; their directions
 * and order say nothing. */
static UmedptPolygon *
make_islands (void)
{
  static const double rings[][8] = { { 20, 20, 30, 20, 30, 30, 20, 30 },
    { 15, 15, 40, 15, 40, 40, 15, 40 }, { 10, 10, 50, 10, 50, 50, 10, 50 },
    { 60, 10, 70, 10, 70, 20, 60, 20 } };
  static const gboolean is_hole[] = { FALSE, TRUE, FALSE, FALSE };
  UmedptPolygon *outline = umedpt_polygon_new ();

  for (guint i = 0; i < 4; i++)
    add_ring (outline, is_hole[i], rings[i], 4);
  return outline;
}

static void
add_all (UmedptGeojsonWriter *writer)
{
  g_autoptr (UmedptPolygon) holes = make_holes (), islands = make_islands ();
  const UmedptObject objects[] = { make_box (0, 1000.126, 2000.5, 1010, 2020),
    object_of (holes, 1), object_of (islands, 2),
    make_box (0, 912345678.25, 900000000.75, 912345679.5, 900000001),
    make_box (0, 5, 5, 5.001, 5.001) };
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (objects); i++) {
    umedpt_geojson_writer_add (writer, &objects[i], &cells, "detection",
        &error);
    g_assert_no_error (error);
    umedpt_geojson_writer_add (writer, &objects[i], &glands, "annotation",
        &error);
    g_assert_no_error (error);
  }
  g_assert_cmpuint (umedpt_geojson_writer_get_n_features (writer), ==, 10);
}

static void
write_all (const char *path, const UmedptGeojsonInfo *info)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptGeojsonWriter) writer =
      umedpt_geojson_writer_new (path, info, TRUE, &error);

  g_assert_no_error (error);
  add_all (writer);
  umedpt_geojson_writer_finish (writer, &error);
  g_assert_no_error (error);
}

static UmedptGeojson *
read_back (const char *path)
{
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  UmedptGeojson *geojson;
  gsize length;

  g_file_get_contents (path, &text, &length, &error);
  g_assert_no_error (error);
  geojson = umedpt_geojson_parse (text, length, &error);
  g_assert_no_error (error);
  return geojson;
}

/* Ring @r of the shape is that of the outline, less (@x, @y), with the first
 * point again. */
static void
check_ring (const UmedptPolygon *shape, const UmedptPolygon *outline, guint r,
    double x, double y)
{
  guint start = r ? g_array_index (outline->ends, guint, r - 1) : 0;
  guint n = g_array_index (outline->ends, guint, r) - start;

  g_assert_cmpuint (g_array_index (shape->ends, guint, r), ==,
      start + n + r + 1);
  for (guint i = 0; i <= n; i++) {
    const UmedptPoint *a =
        &g_array_index (shape->points, UmedptPoint, start + r + i);
    const UmedptPoint *b =
        &g_array_index (outline->points, UmedptPoint, start + i % n);

    g_assert_cmpfloat (a->x, ==, b->x - x);
    g_assert_cmpfloat (a->y, ==, b->y - y);
  }
}

static void
test_round_trip (Fixture *fixture, gconstpointer data)
{
  static const char *const names[] = { "Tumor", "glands", "in- two lines",
    "glands", "\"é\"" };
  g_autoptr (UmedptPolygon) holes = make_holes ();
  g_autoptr (UmedptGeojson) geojson = NULL;
  const UmedptFeature *feature;

  write_all (fixture->path, &fixture->info);
  geojson = read_back (fixture->path);
  g_assert_cmpuint (geojson->features->len, ==, 10);
  g_assert_cmpuint (geojson->n_skipped, ==, 0);
  for (guint i = 0; i < 10; i++) {
    feature = g_ptr_array_index (geojson->features, i);
    g_assert_cmpstr (feature->object_type, ==,
        i % 2 ? "annotation" : "detection");
    if (i < G_N_ELEMENTS (names))
      g_assert_cmpstr (feature->class_name, ==, names[i]);
  }
  feature = g_ptr_array_index (geojson->features, 0);
  g_assert_cmpfloat (feature->shape->x1, ==, 0.13); /* two decimals */
  g_assert_cmpfloat (feature->shape->y1, ==, 0.5);
  g_assert_cmpfloat (feature->shape->x2, ==, 10);
  feature = g_ptr_array_index (geojson->features, 2);
  g_assert_cmpuint (feature->shape->ends->len, ==, 3);
  for (guint r = 0; r < 3; r++)
    check_ring (feature->shape, holes, r, 1000, 2000);
  feature = g_ptr_array_index (geojson->features, 4);
  g_assert_cmpuint (feature->shape->ends->len, ==, 4);
  g_assert_cmpfloat_with_epsilon (feature->shape->area,
      40 * 40 - 25 * 25 + 100 + 100, 1e-6);
  g_assert_true (umedpt_polygon_contains (feature->shape, 25 - 1000,
      25 - 2000));
  g_assert_false (umedpt_polygon_contains (feature->shape, 17 - 1000,
      17 - 2000));
  feature = g_ptr_array_index (geojson->features, 6);
  g_assert_cmpfloat (feature->shape->x1, ==, 912344678.25);
  g_assert_cmpfloat (feature->shape->y2, ==, 899998001);
}

typedef struct
{
  UmedptGeojsonWriter *writer;
  GArray *areas; /* double */
  guint most_rings;
} Regions;

static gboolean
add_region (guint8 value, UmedptPolygon *polygon, gpointer data, GError **error)
{
  Regions *regions = data;
  UmedptObject object = object_of (polygon, value - 1);
  gboolean ok = umedpt_geojson_writer_add (regions->writer, &object, &cells,
      "annotation", error);

  g_array_append_val (regions->areas, object.area);
  regions->most_rings = MAX (regions->most_rings, polygon->ends->len);
  umedpt_polygon_free (polygon);
  return ok;
}

/* Regions of noise, with holes in holes: areas as they were. */
static guint
write_noise (const char *path, const UmedptGeojsonInfo *info, GArray *areas)
{
  const gint side = 200;
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptGeojsonWriter) writer =
      umedpt_geojson_writer_new (path, info, FALSE, &error);
  Regions regions = { writer, areas, 0 };
  g_autoptr (UmedptPolygonizer) polygonizer =
      umedpt_polygonizer_new (side, 1000, 2000, 2.5, add_region, &regions);
  guint8 row[200];
  UmedptRandom random;

  g_assert_no_error (error);
  umedpt_random_init (&random, 1);
  for (gint j = 0; j < side; j++) {
    for (gint i = 0; i < side; i++)
      row[i] = umedpt_random_below (&random, 10) < 6;
    umedpt_polygonizer_add_row (polygonizer, row, &error);
    g_assert_no_error (error);
  }
  umedpt_polygonizer_finish (polygonizer, &error);
  g_assert_no_error (error);
  umedpt_geojson_writer_finish (writer, &error);
  g_assert_no_error (error);
  return regions.most_rings;
}

static void
test_areas (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GArray) areas = g_array_new (FALSE, FALSE, sizeof (double));
  g_autoptr (UmedptGeojson) geojson = NULL;

  g_assert_cmpuint (write_noise (fixture->path, &fixture->info, areas), >, 100);
  geojson = read_back (fixture->path);
  g_assert_cmpuint (geojson->features->len, ==, areas->len);
  for (guint i = 0; i < areas->len; i++) {
    const UmedptFeature *feature = g_ptr_array_index (geojson->features, i);

    g_assert_cmpfloat (feature->shape->area, ==,
        g_array_index (areas, double, i));
  }
}

static char *
unpack (const char *path, gsize *length)
{
  g_autofree char *packed = NULL;
  g_autoptr (GZlibDecompressor) zip =
      g_zlib_decompressor_new (G_ZLIB_COMPRESSOR_FORMAT_GZIP);
  g_autoptr (GInputStream) memory = NULL, stream = NULL;
  g_autoptr (GOutputStream) out = g_memory_output_stream_new_resizable ();
  g_autoptr (GError) error = NULL;
  gsize size;

  g_file_get_contents (path, &packed, &size, &error);
  g_assert_no_error (error);
  memory = g_memory_input_stream_new_from_data (packed, (gssize) size, NULL);
  stream = g_converter_input_stream_new (memory, G_CONVERTER (zip));
  g_output_stream_splice (out, stream,
      G_OUTPUT_STREAM_SPLICE_CLOSE_SOURCE | G_OUTPUT_STREAM_SPLICE_CLOSE_TARGET,
      NULL, &error);
  g_assert_no_error (error);
  *length = g_memory_output_stream_get_data_size (G_MEMORY_OUTPUT_STREAM (out));
  return g_memory_output_stream_steal_data (G_MEMORY_OUTPUT_STREAM (out));
}

/* Some megabytes, so that the buffer is written more than once. */
static void
write_many (const char *path, const UmedptGeojsonInfo *info)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptGeojsonWriter) writer =
      umedpt_geojson_writer_new (path, info, TRUE, &error);

  g_assert_no_error (error);
  for (guint i = 0; i < 20000; i++) {
    UmedptObject object = make_box (0, i, i % 100, i + 10, i % 100 + 10);

    g_assert_true (umedpt_geojson_writer_add (writer, &object, &cells,
        "detection", NULL));
  }
  umedpt_geojson_writer_finish (writer, &error);
  g_assert_no_error (error);
}

/* The same bytes, twice and compressed; other ids with other settings. */
static void
test_bytes (Fixture *fixture, gconstpointer data)
{
  g_autofree char *packed =
      g_build_filename (fixture->folder, "b.GeoJSON.gz", NULL);
  g_autofree char *first = NULL, *second = NULL, *third = NULL, *other = NULL;
  gsize n_first, n_second, n_third, n_other;

  write_many (fixture->path, &fixture->info);
  g_assert_true (g_file_get_contents (fixture->path, &first, &n_first, NULL));
  g_assert_cmpuint (n_first, >, 3 << 20);
  write_many (fixture->path, &fixture->info);
  g_assert_true (g_file_get_contents (fixture->path, &second, &n_second, NULL));
  g_assert_cmpmem (first, n_first, second, n_second);
  write_many (packed, &fixture->info);
  third = unpack (packed, &n_third);
  g_assert_cmpmem (first, n_first, third, n_third);
  fixture->info.config_hash = "beef";
  write_many (fixture->path, &fixture->info);
  g_assert_true (g_file_get_contents (fixture->path, &other, &n_other, NULL));
  g_assert_cmpint (strncmp (strstr (first, "\"id\""), strstr (other, "\"id\""),
                       43),
      !=, 0);
  g_unlink (packed);
}

static void
test_empty (Fixture *fixture, gconstpointer data)
{
  const UmedptGeojsonInfo nothing = { 0 };
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptGeojsonWriter) writer =
      umedpt_geojson_writer_new (fixture->path, &nothing, FALSE, &error);
  g_autoptr (UmedptGeojson) geojson = NULL;

  g_assert_no_error (error);
  umedpt_geojson_writer_finish (writer, &error);
  g_assert_no_error (error);
  geojson = read_back (fixture->path);
  g_assert_cmpuint (geojson->features->len, ==, 0);
}

static void
test_refused (Fixture *fixture, gconstpointer data)
{
  UmedptObject bad[] = { make_box (3, 0, 0, 1, 1), make_box (-1, 0, 0, 1, 1),
    make_box (0, NAN, 0, 1, 1), make_box (0, 0, 0, 1e10, 1),
    make_box (0, 1, 0, 0, 1), make_box (0, 0, 0, 1, 1) };
  g_autofree char *wrong = g_build_filename (fixture->folder, "a.txt", NULL);
  g_autofree char *nowhere =
      g_build_filename (fixture->folder, "no", "a.json.gz", NULL);
  g_autoptr (UmedptGeojsonWriter) writer = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_null (umedpt_geojson_writer_new (wrong, &fixture->info, FALSE,
      &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS);
  g_clear_error (&error);
  g_assert_null (umedpt_geojson_writer_new (nowhere, &fixture->info, FALSE,
      &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NOT_FOUND);
  g_clear_error (&error);
  write_all (fixture->path, &fixture->info);
  g_assert_null (umedpt_geojson_writer_new (fixture->path, &fixture->info,
      FALSE, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_EXISTS);
  g_clear_error (&error);

  writer =
      umedpt_geojson_writer_new (fixture->path, &fixture->info, TRUE, &error);
  g_assert_no_error (error);
  bad[5].score = NAN;
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_assert_false (umedpt_geojson_writer_add (writer, &bad[i], &cells,
        "detection", &error));
    g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA);
    g_clear_error (&error);
  }
  fixture->info.mpp = INFINITY;
  g_assert_null (umedpt_geojson_writer_new (fixture->path, &fixture->info, TRUE,
      &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA);
}

/* The disk is full after some megabytes: one error, and no file. */
static void
test_full (Fixture *fixture, gconstpointer suffix)
{
  g_autofree char *path =
      g_strconcat (fixture->folder, "/full", (const char *) suffix, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptGeojsonWriter) writer =
      umedpt_geojson_writer_new (path, &fixture->info, FALSE, &error);
  struct rlimit old, now;
  gboolean ok = TRUE;

  g_assert_no_error (error);
  signal (SIGXFSZ, SIG_IGN);
  getrlimit (RLIMIT_FSIZE, &old);
  now = old;
  now.rlim_cur = 64 << 10;
  setrlimit (RLIMIT_FSIZE, &now);
  for (guint i = 0; ok && i < 100000; i++) {
    UmedptObject object = make_box (0, i, i % 100, i + 10, i % 100 + 10);

    ok = umedpt_geojson_writer_add (writer, &object, &cells, "detection",
        &error);
  }
  setrlimit (RLIMIT_FSIZE, &old);
  g_assert_false (ok);
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_SPACE);
  g_assert_nonnull (strstr (error->message, path));
}

static int
leave_files (const char *folder)
{
  const UmedptGeojsonInfo known = { 1000, 2000, 0.5, "slide \"1\"", "0a1b",
    "c0ffee" };
  const UmedptGeojsonInfo unknown = { 0 };
  g_autofree char *all = g_build_filename (folder, "all.geojson", NULL);
  g_autofree char *packed = g_build_filename (folder, "all.json.gz", NULL);
  g_autofree char *noise = g_build_filename (folder, "noise.geojson.gz", NULL);
  g_autofree char *bare = g_build_filename (folder, "bare.json", NULL);
  g_autoptr (GArray) areas = g_array_new (FALSE, FALSE, sizeof (double));

  write_all (all, &known);
  write_all (packed, &known);
  write_noise (noise, &known, areas);
  write_all (bare, &unknown);
  return 0;
}

int
main (int argc, char *argv[])
{
  if (argc == 2 && argv[1][0] != '-')
    return leave_files (argv[1]);
  g_test_init (&argc, &argv, NULL);
#define ADD(name, data, function) \
  g_test_add ("/geojson-writer/" name, Fixture, data, set_up, function, \
      tear_down)
  ADD ("round-trip", NULL, test_round_trip);
  ADD ("areas", NULL, test_areas);
  ADD ("bytes", NULL, test_bytes);
  ADD ("empty", NULL, test_empty);
  ADD ("refused", NULL, test_refused);
  ADD ("full/plain", ".json", test_full);
  ADD ("full/compressed", ".json.gz", test_full);
  return g_test_run ();
}
