/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Plans and readers of tiles: options, geometry, order, the same tiles from
 * one and from eight threads, one damaged tile among good ones, cancelling,
 * starting in the middle, and readers made and dropped in every state.
 */
#include "fixture.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "data/tiles.h"

static char *slide_path, *unscaled_path;

static UmedptSynthOptions
synth_options (void)
{
  UmedptSynthOptions options = UMEDPT_SYNTH_OPTIONS_INIT;

  options.width = 2000;
  options.height = 1500;
  options.mpp = 0.5;
  return options;
}

static UmedptTilePlan *
make_plan (const char *path, const UmedptTileOptions *options)
{
  g_autoptr (UmedptSlide) slide = fixture_open (path);
  g_autoptr (GError) error = NULL;
  UmedptTilePlan *plan = umedpt_tile_plan_new (slide, options, &error);

  g_assert_no_error (error);
  return plan;
}

static void
expect_plan_error (const char *path, const UmedptTileOptions *options,
    const char *text)
{
  g_autoptr (UmedptSlide) slide = fixture_open (path);
  g_autoptr (GError) error = NULL;

  g_assert_null (umedpt_tile_plan_new (slide, options, &error));
  g_test_message ("%s", error->message);
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS);
  g_assert_nonnull (strstr (error->message, text));
}

static UmedptTileOptions
level_options (gint level)
{
  UmedptTileOptions options = UMEDPT_TILE_OPTIONS_INIT;

  options.level = level;
  options.tissue = UMEDPT_TISSUE_NONE;
  return options;
}

static void
test_options (void)
{
  UmedptTileOptions options = level_options (-1);

  expect_plan_error (slide_path, &options, "exactly one");
  options.level = 0;
  options.mpp = 0.5;
  expect_plan_error (slide_path, &options, "exactly one");
  options = level_options (9);
  expect_plan_error (slide_path, &options, "levels 0 … 2");
  options = level_options (0);
  options.tile_size = 0;
  expect_plan_error (slide_path, &options, "tile-size");
  options.tile_size = 256;
  options.overlap = 256;
  expect_plan_error (slide_path, &options, "overlap");
  options.overlap = 0;
  options.min_tissue = NAN;
  expect_plan_error (slide_path, &options, "min-tissue");
  options = level_options (0);
  options.region[2] = 100;
  expect_plan_error (slide_path, &options, "region");
  options.region[3] = 100;
  options.region[0] = 2000;
  expect_plan_error (slide_path, &options, "begin inside");
  options = level_options (-1);
  options.mpp = 1e-3;
  expect_plan_error (slide_path, &options, "level-0 pixels");
}

static void
test_scale (void)
{
  UmedptTileOptions options = level_options (-1);
  UmedptMppSource source;
  g_autoptr (UmedptTilePlan) plan = NULL;

  options.mpp = 0.5;
  expect_plan_error (unscaled_path, &options, "slide-mpp");
  options.mpp = 0;
  options.magnification = 20;
  expect_plan_error (unscaled_path, &options, "slide-mpp");
  options.slide_mpp = 0.25;
  plan = make_plan (unscaled_path, &options);
  g_assert_cmpfloat_with_epsilon (umedpt_tile_plan_get_downsample (plan), 2,
      1e-12);
  g_assert_cmpfloat_with_epsilon (umedpt_tile_plan_get_mpp (plan), 0.5, 1e-12);
  g_assert_cmpfloat (umedpt_tile_plan_get_slide_mpp (plan, &source), ==, 0.25);
  g_assert_cmpint (source, ==, UMEDPT_MPP_USER);
  g_clear_object (&plan);

  options = level_options (0);
  plan = make_plan (unscaled_path, &options);
  g_assert_cmpfloat (umedpt_tile_plan_get_mpp (plan), ==, 0);
}

/* The grid by the formula of tiles.h, with numbers worked out by hand. */
static void
test_grid (void)
{
  UmedptTileOptions options = level_options (-1);
  g_autoptr (UmedptTilePlan) plan = NULL;
  UmedptTile tile;

  options.mpp = 0.7; /* downsample 1.4: step 313.6, side 358.4 */
  options.overlap = 32;
  plan = make_plan (slide_path, &options);
  g_assert_cmpuint (umedpt_tile_plan_get_n_tiles (plan), ==, 7 * 5);
  umedpt_tile_plan_get_tile (plan, 1 * 7 + 6, &tile);
  g_assert_cmpint (tile.x, ==, 1882); /* 1881.6 */
  g_assert_cmpint (tile.y, ==, 314); /* 313.6 */
  g_assert_cmpint (tile.width, ==, 358);
  g_assert_cmpfloat_with_epsilon (tile.valid, (2000 - 1882) / 358.4, 1e-12);
  g_assert_cmpfloat (tile.tissue, ==, 1);
  g_assert_cmpfloat_with_epsilon (tile.mpp, 0.7, 1e-12);
  g_clear_object (&plan);

  options = level_options (0);
  options.region[0] = 100;
  options.region[1] = 50;
  options.region[2] = 512; /* exactly two tiles */
  options.region[3] = 513; /* one pixel more */
  plan = make_plan (slide_path, &options);
  g_assert_cmpuint (umedpt_tile_plan_get_n_tiles (plan), ==, 2 * 3);
  umedpt_tile_plan_get_tile (plan, 5, &tile);
  g_assert_cmpint (tile.x, ==, 356);
  g_assert_cmpint (tile.y, ==, 562);
  g_assert_cmpfloat (tile.valid, ==, 1);
}

static void
test_order (void)
{
  UmedptTileOptions options = level_options (0);
  static const gint64 want[3][4][2] = {
    { { 0, 0 }, { 256, 0 }, { 0, 256 }, { 256, 256 } },
    { { 0, 0 }, { 0, 256 }, { 256, 0 }, { 256, 256 } },
    { { 0, 0 }, { 256, 0 }, { 256, 256 }, { 0, 256 } },
  };
  g_autoptr (GHashTable) hashes = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GPtrArray) plans = g_ptr_array_new_with_free_func (g_object_unref);

  options.region[2] = options.region[3] = 512;
  for (gint order = 0; order < 3; order++) {
    UmedptTilePlan *plan;

    options.order = (UmedptOrder) order;
    plan = make_plan (slide_path, &options);
    g_ptr_array_add (plans, plan);
    for (guint64 i = 0; i < 4; i++) {
      UmedptTile tile;

      umedpt_tile_plan_get_tile (plan, i, &tile);
      g_assert_cmpuint (tile.index, ==, i);
      g_assert_cmpint (tile.x, ==, want[order][i][0]);
      g_assert_cmpint (tile.y, ==, want[order][i][1]);
    }
    g_hash_table_add (hashes, (char *) umedpt_tile_plan_get_hash (plan));
  }
  g_assert_cmpuint (g_hash_table_size (hashes), ==, 3);
  /* and the same plan has the same hash */
  g_ptr_array_add (plans, make_plan (slide_path, &options));
  g_assert_true (g_hash_table_contains (hashes,
      umedpt_tile_plan_get_hash (g_ptr_array_index (plans, 3))));
}

/* A checksum per tile; "bad" for those that could not be read. */
static GPtrArray *
read_all (const char *path, const UmedptTileOptions *options, guint n_threads,
    guint64 start)
{
  g_autoptr (UmedptTilePlan) plan = make_plan (path, options);
  g_autoptr (UmedptTileReader) reader =
      umedpt_tile_reader_new (plan, n_threads, start);
  GPtrArray *sums = g_ptr_array_new_with_free_func (g_free);
  UmedptTileStatus status;

  for (;;) {
    g_autoptr (GError) error = NULL;
    g_autoptr (GBytes) rgb = NULL;
    UmedptTile tile;

    status = umedpt_tile_reader_next (reader, &tile, &rgb, &error);
    if (status > UMEDPT_TILE_BAD)
      break;
    g_assert_cmpuint (tile.index, ==, start + sums->len);
    g_assert_true ((status == UMEDPT_TILE_BAD) == (rgb == NULL));
    g_assert_true ((status == UMEDPT_TILE_BAD) == (error != NULL));
    if (rgb != NULL)
      g_assert_cmpuint (g_bytes_get_size (rgb), ==,
          (gsize) options->tile_size * options->tile_size * 3);
    g_ptr_array_add (sums,
        rgb != NULL ? g_compute_checksum_for_bytes (G_CHECKSUM_MD5, rgb)
                    : g_strdup ("bad"));
  }
  g_assert_cmpint (status, ==, UMEDPT_TILE_END);
  g_assert_cmpuint (start + sums->len, ==, umedpt_tile_plan_get_n_tiles (plan));
  return sums;
}

static void
test_threads (void)
{
  UmedptTileOptions options = level_options (-1);
  g_autoptr (GPtrArray) one = NULL, eight = NULL, later = NULL, none = NULL;

  options.mpp = 0.61;
  options.tile_size = 100;
  options.overlap = 10;
  one = read_all (slide_path, &options, 1, 0);
  eight = read_all (slide_path, &options, 8, 0);
  later = read_all (slide_path, &options, 3, 77);
  g_assert_cmpuint (one->len, >, 200);
  g_assert_cmpuint (one->len, ==, eight->len);
  g_assert_cmpuint (one->len, ==, later->len + 77);
  for (guint i = 0; i < one->len; i++)
    g_assert_cmpstr (one->pdata[i], ==, eight->pdata[i]);
  for (guint i = 0; i < later->len; i++)
    g_assert_cmpstr (one->pdata[i + 77], ==, later->pdata[i]);
  none = read_all (slide_path, &options, 2, one->len);
  g_assert_cmpuint (none->len, ==, 0);
}

/* Exactly the damaged tiles are bad; all others are what they were, whatever
 * the number of threads that trip over them. */
static void
test_damaged (gconstpointer data)
{
  guint n_threads = GPOINTER_TO_UINT (data);
  UmedptSynthOptions synth = synth_options ();
  UmedptTileOptions options = level_options (0);
  g_autofree char *path = NULL;
  g_autoptr (GPtrArray) before = NULL, after = NULL;

  synth.width = synth.height = 2048; /* 8 x 8 tiles, on our grid */
  path = fixture_write_synth ("damaged.tiff", &synth);
  before = read_all (path, &options, n_threads, 0);
  fixture_damage (path, 0, 19, 0);
  fixture_damage (path, 0, 20, 0xff);
  fixture_damage (path, 0, 63, 0);
  fixture_cut_jpeg (path, 0, 27); /* OpenSlide would show it half grey */
  after = read_all (path, &options, n_threads, 0);
  g_assert_cmpuint (after->len, ==, 64);
  for (guint i = 0; i < 64; i++) {
    gboolean bad = i == 19 || i == 20 || i == 27 || i == 63;

    g_assert_cmpstr (before->pdata[i], !=, "bad");
    g_assert_cmpstr (after->pdata[i], ==, bad ? "bad" : before->pdata[i]);
  }
}

static gpointer
cancel_soon (gpointer data)
{
  g_usleep (20000);
  umedpt_tile_reader_cancel (data);
  return NULL;
}

static void
test_cancel (void)
{
  UmedptTileOptions options = level_options (0);
  g_autoptr (UmedptTilePlan) plan = NULL;
  g_autoptr (UmedptTileReader) reader = NULL;
  UmedptTileStatus status = UMEDPT_TILE_OK;
  UmedptTile tile;
  GThread *thread;

  options.tile_size = 16; /* 11750 tiles: the reader is still at work */
  plan = make_plan (slide_path, &options);
  reader = umedpt_tile_reader_new (plan, 2, 0);
  thread = g_thread_new ("cancel", cancel_soon, reader);
  while (status == UMEDPT_TILE_OK) {
    GBytes *rgb = NULL;

    status = umedpt_tile_reader_next (reader, &tile, &rgb, NULL);
    g_clear_pointer (&rgb, g_bytes_unref);
    g_usleep (100);
  }
  g_thread_join (thread);
  g_assert_cmpint (status, ==, UMEDPT_TILE_CANCELLED);
  for (guint i = 0; i < 3; i++) {
    GBytes *rgb = NULL;

    g_assert_cmpint (umedpt_tile_reader_next (reader, &tile, &rgb, NULL), ==,
        UMEDPT_TILE_CANCELLED);
    g_assert_null (rgb);
  }
}

static void
test_cycles (void)
{
  UmedptTileOptions options = level_options (0);
  g_autoptr (UmedptTilePlan) plan = make_plan (slide_path, &options);

  for (guint i = 0; i < 200; i++) {
    g_autoptr (UmedptTileReader) reader =
        umedpt_tile_reader_new (plan, i % 9, i % 7);

    for (guint k = 0; k < i % 4; k++) {
      g_autoptr (GBytes) rgb = NULL;
      UmedptTile tile;

      g_assert_cmpint (umedpt_tile_reader_next (reader, &tile, &rgb, NULL), ==,
          UMEDPT_TILE_OK);
    }
    if (i % 5 == 0)
      umedpt_tile_reader_cancel (reader);
  }
}

/* With a mask, background is skipped and counted. */
static void
test_mask (void)
{
  UmedptTileOptions options = level_options (0), all = level_options (0);
  g_autoptr (UmedptTilePlan) plan = NULL, full = NULL;
  guint64 n;

  options.tissue = UMEDPT_TISSUE_OTSU;
  options.tile_size = all.tile_size = 64;
  plan = make_plan (slide_path, &options);
  full = make_plan (slide_path, &all);
  n = umedpt_tile_plan_get_n_tiles (plan);
  g_assert_cmpuint (n, >, 0);
  g_assert_cmpuint (umedpt_tile_plan_get_n_skipped (plan), >, 0);
  g_assert_cmpuint (n + umedpt_tile_plan_get_n_skipped (plan), ==,
      umedpt_tile_plan_get_n_tiles (full));
  for (guint64 i = 0; i < n; i++) {
    UmedptTile tile;

    umedpt_tile_plan_get_tile (plan, i, &tile);
    g_assert_cmpfloat (tile.tissue, >=, 0.05);
    g_assert_cmpuint (tile.index, ==, i);
  }
  g_assert_cmpstr (umedpt_tile_plan_get_hash (plan), !=,
      umedpt_tile_plan_get_hash (full));
}

static void
test_real (void)
{
  g_autofree char *path = fixture_real ("cmu-1-small-region.svs");
  UmedptTileOptions options = UMEDPT_TILE_OPTIONS_INIT;
  g_autoptr (UmedptTilePlan) plan = NULL;
  g_autoptr (GPtrArray) sums = NULL;

  if (path == NULL)
    return;
  options.magnification = 10; /* of a 20x slide */
  plan = make_plan (path, &options);
  g_assert_cmpfloat (umedpt_tile_plan_get_downsample (plan), ==, 2);
  g_assert_cmpfloat_with_epsilon (umedpt_tile_plan_get_mpp (plan), 0.998, 1e-9);
  g_assert_cmpuint (umedpt_tile_plan_get_n_tiles (plan), >, 5);
  g_assert_cmpuint (umedpt_tile_plan_get_n_skipped (plan), >, 2);
  options.magnification = 0;
  options.mpp = 0.5;
  sums = read_all (path, &options, 2, 0);
  for (guint i = 0; i < sums->len; i++)
    g_assert_cmpstr (sums->pdata[i], !=, "bad");
}

int
main (int argc, char **argv)
{
  UmedptSynthOptions options = synth_options ();
  int status;

  g_test_init (&argc, &argv, NULL);
  slide_path = fixture_write_synth ("slide.tiff", &options);
  options.no_mpp = TRUE;
  unscaled_path = fixture_write_synth ("unscaled.tiff", &options);
  g_test_add_func ("/tiles/options", test_options);
  g_test_add_func ("/tiles/scale", test_scale);
  g_test_add_func ("/tiles/grid", test_grid);
  g_test_add_func ("/tiles/order", test_order);
  g_test_add_func ("/tiles/threads", test_threads);
  g_test_add_data_func ("/tiles/damaged-1-thread", GUINT_TO_POINTER (1),
      test_damaged);
  g_test_add_data_func ("/tiles/damaged-8-threads", GUINT_TO_POINTER (8),
      test_damaged);
  g_test_add_func ("/tiles/cancel", test_cancel);
  g_test_add_func ("/tiles/cycles", test_cycles);
  g_test_add_func ("/tiles/mask", test_mask);
  g_test_add_func ("/tiles/real", test_real);
  status = g_test_run ();
  fixture_remove ();
  g_free (slide_path);
  g_free (unscaled_path);
  return status;
}
