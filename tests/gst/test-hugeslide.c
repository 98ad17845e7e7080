/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A slide of 200 000 x 200 000 pixels, a tenth of it tissue full of nuclei,
 * into all files of umedptslidesink: the peak of memory. No such slide is
 * written or read; its tiles' results are made one by one and pushed, as an
 * inference element would.
 */
#include <math.h>
#include <sys/resource.h>

#include "common.h"
#include "outputs.h"

#define SIDE 200000
#define SPACING 80 /* of nuclei, level-0 pixels */
#define RADIUS 14
#define LIMIT 512 /* MiB */

static const TestGrid grid = { 512, 64, 1, SIDE, SIDE };

static const TestDisc islands[] = {
  { 40000, 40000, 15000, 0 },
  { 120000, 30000, 18000, 0 },
  { 60000, 110000, 20000, 0 },
  { 150000, 120000, 17000, 0 },
  { 100000, 170000, 16000, 0 },
};

static gboolean
is_tissue (double x, double y)
{
  for (guint i = 0; i < G_N_ELEMENTS (islands); i++)
    if (hypot (x - islands[i].x, y - islands[i].y) < islands[i].radius)
      return TRUE;
  return FALSE;
}

/* Those that @tile may show. */
static void
find_discs (const TestTile *tile, GArray *discs)
{
  const gint64 end_x = tile->x + tile->size + RADIUS;
  const gint64 end_y = tile->y + tile->size + RADIUS;

  g_array_set_size (discs, 0);
  for (gint64 j = MAX (tile->y - RADIUS, SPACING) / SPACING;
       j * SPACING <= end_y; j++)
    for (gint64 i = MAX (tile->x - RADIUS, SPACING) / SPACING;
         i * SPACING <= end_x; i++) {
      TestDisc disc = { (double) (i * SPACING), (double) (j * SPACING), RADIUS,
        (gint) ((i + j) % DISC_CLASSES) };

      if (is_tissue (disc.x, disc.y))
        g_array_append_val (discs, disc);
    }
}

static guint64
count_discs (void)
{
  guint64 n = 0;

  for (gint j = 1; j * SPACING < SIDE; j++)
    for (gint i = 1; i * SPACING < SIDE; i++)
      n += is_tissue (i * SPACING, j * SPACING);
  return n;
}

/* All tiles with tissue; how many. */
static guint64
push_tissue (GstHarness *h)
{
  g_autoptr (GArray) discs = g_array_new (FALSE, FALSE, sizeof (TestDisc));
  guint64 n = 0;

  for (guint64 j = 0; j < test_grid_rows (&grid); j++)
    for (guint64 i = 0; i < test_grid_columns (&grid); i++) {
      TestTile tile;

      test_grid_tile (&grid, i, j, &tile);
      find_discs (&tile, discs);
      if (discs->len == 0)
        continue;
      g_assert_cmpint (test_push_discs (h, &grid, i, j, discs,
                           TEST_BOXES | TEST_MASK | TEST_TENSOR),
          ==, GST_FLOW_OK);
      n++;
    }
  return n;
}

static void
test_memory (void)
{
  g_autoptr (GstMessage) message = NULL;
  g_auto (TestOutputs) f = { 0 };
  const guint64 n_discs = count_discs ();
  gint64 start = g_get_monotonic_time ();
  struct rusage usage;
  guint64 n_tiles = 0;

  test_outputs_init (&f,
      "features-location=@h.h5 detections-location=@h.geojson.gz "
      "mask-location=@h.tif regions-location=@h.regions.geojson.gz "
      "table-location=@h.csv heatmap-location=@h.png instances=tissue");
  test_push_grid (f.h, &grid);
  n_tiles = push_tissue (f.h);
  g_test_message ("%.1f s until the end",
      (double) (g_get_monotonic_time () - start) / 1e6);
  start = g_get_monotonic_time ();
  g_assert_true (test_outputs_end (&f));
  message = test_pop_written (f.bus);
  g_assert_cmpuint (test_written (message, "features"), ==, n_tiles);
  g_assert_cmpuint (test_written (message, "detections"), ==, 2 * n_discs);
  g_assert_cmpuint (test_written (message, "regions"), ==, n_discs);
  getrusage (RUSAGE_SELF, &usage);
  g_test_message ("%" G_GUINT64_FORMAT " nuclei in %" G_GUINT64_FORMAT
                  " tiles, %.1f s for the end, %ld MiB at most",
      n_discs, n_tiles, (double) (g_get_monotonic_time () - start) / 1e6,
      usage.ru_maxrss / 1024);
  g_assert_cmpint (usage.ru_maxrss / 1024, <, LIMIT);
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/hugeslide/memory", test_memory);
  return test_run ();
}
