/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The slide of outputs.h. The grid's formula is written here again, from
 * core/data/tiles.h, so that a mistake in the element does not hide in it.
 */
#include "outputs.h"

#include <math.h>
#include <string.h>

#include "common.h"
#include "stream.h"

const TestGrid test_one_tile = { 64, 0, 1, 64, 64 };
const TestGrid test_overlapping = { 64, 16, 1, 500, 400 };

const char *const test_suffixes[TEST_N_FILES] = { ".h5", ".geojson", ".tif",
  ".regions.geojson.gz", ".csv", ".png" };

static guint64
count_tiles (const TestGrid *grid, gint64 length)
{
  const double overlap = grid->overlap * grid->downsample;
  const double step = (grid->size - grid->overlap) * grid->downsample;

  return (guint64) MAX (1, ceil (((double) length - overlap) / step - 1e-6));
}

static gint64
side (const TestGrid *grid, guint axis)
{
  if (grid->region[2] > 0)
    return grid->region[2 + axis];
  return axis == 0 ? grid->width : grid->height;
}

guint64
test_grid_columns (const TestGrid *grid)
{
  return count_tiles (grid, side (grid, 0));
}

guint64
test_grid_rows (const TestGrid *grid)
{
  return count_tiles (grid, side (grid, 1));
}

void
test_grid_tile (const TestGrid *grid, guint64 column, guint64 row,
    TestTile *tile)
{
  const double step = (grid->size - grid->overlap) * grid->downsample;

  tile->x = grid->region[0] + (gint64) floor ((double) column * step + 0.5);
  tile->y = grid->region[1] + (gint64) floor ((double) row * step + 0.5);
  tile->size = grid->size;
  tile->downsample = grid->downsample;
}

GArray *
test_grid_discs (const TestGrid *grid, double radius)
{
  GArray *discs = g_array_new (FALSE, FALSE, sizeof (TestDisc));
  const double step = (grid->size - grid->overlap) * grid->downsample;
  const double half = grid->overlap * grid->downsample / 2;
  guint64 n = 0;

  for (guint64 j = 1; j < 2 * test_grid_rows (grid); j++)
    for (guint64 i = 1; i < 2 * test_grid_columns (grid); i++) {
      TestDisc disc = { (double) grid->region[0] + (double) i * step / 2 + half,
        (double) grid->region[1] + (double) j * step / 2 + half, radius,
        (gint) (n++ % DISC_CLASSES) };

      if (disc.x + radius <= (double) (grid->region[0] + side (grid, 0)) &&
          disc.y + radius <= (double) (grid->region[1] + side (grid, 1)))
        g_array_append_val (discs, disc);
    }
  return discs;
}

GArray *
test_make_discs (const TestGrid *grid)
{
  return test_grid_discs (grid, 6 * grid->downsample);
}

GstElement *
test_outputs_sink (const char *properties)
{
  g_autofree char *plain = test_path ("");
  g_autofree char *folder = g_strconcat (plain, "/", NULL);
  g_auto (GStrv) parts = g_strsplit (properties, "@", -1);
  g_autofree char *joined = g_strjoinv (folder, parts);
  g_autofree char *line = g_strdup_printf ("umedptslidesink %s", joined);
  g_autoptr (GError) error = NULL;
  GstElement *element = gst_parse_launch (line, &error);

  g_assert_no_error (error);
  return gst_object_ref_sink (element);
}

char *
test_all_files (const char *name)
{
  return g_strdup_printf ("features-location=@%1$s.h5 "
                          "detections-location=@%1$s.geojson "
                          "mask-location=@%1$s.tif "
                          "regions-location=@%1$s.regions.geojson.gz "
                          "table-location=@%1$s.csv "
                          "heatmap-location=@%1$s.png",
      name);
}

void
test_outputs_init (TestOutputs *self, const char *properties)
{
  self->element = test_outputs_sink (properties);
  self->bus = test_bus (self->element);
  self->h = test_sink_harness (self->element);
}

void
test_outputs_init_all (TestOutputs *self, const char *name, const char *more)
{
  g_autofree char *files = test_all_files (name);
  g_autofree char *properties = g_strconcat (files, " ", more, NULL);

  test_outputs_init (self, properties);
}

void
test_outputs_clear (TestOutputs *self)
{
  gst_harness_teardown (self->h);
  gst_element_set_bus (self->element, NULL);
  gst_object_unref (self->element);
  gst_object_unref (self->bus);
}

gboolean
test_outputs_end (TestOutputs *self)
{
  return gst_harness_push_event (self->h, gst_event_new_eos ());
}

void
test_outputs_error (TestOutputs *self, const char *says)
{
  g_autoptr (GstMessage) message = test_pop (self->bus, GST_MESSAGE_ERROR);
  g_autoptr (GError) error = NULL;

  g_assert_nonnull (message);
  gst_message_parse_error (message, &error, NULL);
  g_test_message ("%s", error->message);
  if (!strstr (error->message, says))
    g_error ("'%s' is not in: %s", says, error->message);
  g_clear_pointer (&message, gst_message_unref);
  message = test_pop (self->bus, GST_MESSAGE_ERROR);
  g_assert_null (message);
}

char *
test_read_file (const char *name)
{
  g_autofree char *path = test_path (name);
  char *content = NULL;

  g_assert_true (g_file_get_contents (path, &content, NULL, NULL));
  return content;
}

void
test_push_grid (GstHarness *h, const TestGrid *grid)
{
  // clang-format off
  gst_harness_push_event (h,
      gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM_STICKY,
          gst_structure_new ("umedpt-slide",
              "slide", G_TYPE_STRING, "s",
              "path", G_TYPE_STRING, "/no/such/slide.svs",
              "vendor", G_TYPE_STRING, "test",
              "mpp-source", G_TYPE_STRING, "user",
              "plan-hash", G_TYPE_STRING, "0123",
              "level0-width", G_TYPE_INT64, grid->width,
              "level0-height", G_TYPE_INT64, grid->height,
              "level0-mpp", G_TYPE_DOUBLE, 0.25,
              "mpp", G_TYPE_DOUBLE, 0.25 * grid->downsample,
              "downsample", G_TYPE_DOUBLE, grid->downsample,
              "tile-size", G_TYPE_INT, grid->size,
              "overlap", G_TYPE_INT, grid->overlap,
              "region-x", G_TYPE_INT64, grid->region[0],
              "region-y", G_TYPE_INT64, grid->region[1],
              "region-width", G_TYPE_INT64, side (grid, 0),
              "region-height", G_TYPE_INT64, side (grid, 1),
              "bounds-x", G_TYPE_INT64, (gint64) 0,
              "bounds-y", G_TYPE_INT64, (gint64) 0,
              "n-tiles", G_TYPE_UINT64,
                  test_grid_columns (grid) * test_grid_rows (grid),
              "n-skipped", G_TYPE_UINT64, (guint64) 0,
              "start-index", G_TYPE_UINT64, (guint64) 0,
              NULL)));
  // clang-format on
}

/* A buffer that is the tile in @column and @row, without results. */
static GstBuffer *
new_tile (const TestGrid *grid, guint64 column, guint64 row, TestTile *tile)
{
  GstBuffer *buffer = gst_buffer_new ();
  GstCustomMeta *meta =
      gst_buffer_add_custom_meta (buffer, GST_UMEDPT_TILE_META_NAME);
  const guint64 index = row * test_grid_columns (grid) + column;

  test_grid_tile (grid, column, row, tile);
  GST_BUFFER_PTS (buffer) = index * GST_SECOND;
  gst_structure_set (gst_custom_meta_get_structure (meta), "index",
      G_TYPE_UINT64, index, "x", G_TYPE_INT64, tile->x, "y", G_TYPE_INT64,
      tile->y, NULL);
  return buffer;
}

GstFlowReturn
test_push_discs (GstHarness *h, const TestGrid *grid, guint64 column,
    guint64 row, const GArray *discs, guint results)
{
  TestTile tile;
  GstBuffer *buffer = new_tile (grid, column, row, &tile);

  if (results & TEST_BOXES)
    test_add_boxes (buffer, &tile, discs);
  if (results & TEST_MASK)
    test_add_mask (buffer, &tile, discs, grid->size / 2);
  if (results & TEST_TENSOR)
    test_add_tensor (buffer, 5);
  return gst_harness_push (h, buffer);
}

GstFlowReturn
test_push_result (GstHarness *h, const TestGrid *grid, guint64 column,
    const char *task, GstStructure *result)
{
  TestTile tile;
  GstBuffer *buffer = new_tile (grid, column, 0, &tile);

  test_add_result (buffer, task, result);
  return gst_harness_push (h, buffer);
}

void
test_push_all (GstHarness *h, const TestGrid *grid, const GArray *discs,
    guint results)
{
  for (guint64 j = 0; j < test_grid_rows (grid); j++)
    for (guint64 i = 0; i < test_grid_columns (grid); i++)
      g_assert_cmpint (test_push_discs (h, grid, i, j, discs, results), ==,
          GST_FLOW_OK);
}

GstMessage *
test_pop_written (GstBus *bus)
{
  GstMessage *message = NULL;

  while ((message = test_pop (bus, GST_MESSAGE_ELEMENT)) &&
      !gst_message_has_name (message, "umedpt-slide-written"))
    gst_message_unref (message);
  return message;
}

guint64
test_written (GstMessage *message, const char *file)
{
  const GValue *value =
      gst_structure_get_value (gst_message_get_structure (message), file);
  const GstStructure *one = value ? gst_value_get_structure (value) : NULL;
  guint64 count = G_MAXUINT64;

  if (!one)
    return count;
  g_assert_true (g_file_test (gst_structure_get_string (one, "path"),
      G_FILE_TEST_EXISTS));
  g_assert_true (gst_structure_get_uint64 (one, "count", &count));
  return count;
}
