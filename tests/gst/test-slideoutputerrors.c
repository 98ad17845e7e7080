/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * umedptslidesink with several files, and what goes wrong with one of them: one
 * clear error, at the start where that is possible; all files appear together
 * or none does.
 */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include "common.h"
#include "common/gstumedptresults.h"
#include "outputs.h"
#include "stream.h"

/* --- results ------------------------------------------------------------ */

/* A tile without what a file needs: the message names the element. */
static void
test_missing (void)
{
  const struct
  {
    const char *properties;
    guint results;
    const char *says;
  } rows[] = {
    { "features-location=@missing.h5", TEST_MASK, "umedptembed" },
    { "detections-location=@missing.geojson", TEST_MASK, "umedptdetect" },
    { "table-location=@missing.csv", TEST_MASK, "umedptdetect" },
    { "table-location=@missing.csv instances=tissue", TEST_BOXES,
        "umedptsegment" },
    { "table-location=@missing.csv instances=cells", TEST_BOXES, "'cells'" },
    { "table-location=@missing.csv detections-tasks=cells,others", TEST_BOXES,
        "'others'" },
    { "mask-location=@missing.tif", TEST_BOXES, "umedptsegment" },
    { "mask-location=@missing.tif mask-task=others", TEST_MASK, "'others'" },
    { "regions-location=@missing.geojson", TEST_BOXES, "umedptsegment" },
    { "heatmap-location=@missing.png", TEST_TENSOR, "umedptsegment" },
    { "heatmap-location=@missing.png heatmap-task=others", TEST_MASK,
        "'others'" },
  };
  const TestGrid *grid = &test_overlapping;
  g_autoptr (GArray) discs = test_make_discs (grid);

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_auto (TestOutputs) f = { 0 };

    test_outputs_init (&f, rows[i].properties);
    test_push_grid (f.h, grid);
    g_assert_cmpint (test_push_discs (f.h, grid, 0, 0, discs, rows[i].results),
        ==, GST_FLOW_ERROR);
    test_outputs_error (&f, rows[i].says);
    g_assert_false (test_outputs_end (&f));
    gst_element_set_state (f.element, GST_STATE_READY);
    test_nothing_left ("missing");
  }
}

/* Results that make no sense, one defect each. */
static GstStructure *
make_wrong (guint i)
{
  const GstUmedptBox boxes[] = {
    { NAN, 1, 2, 2, 0.5f, 0 },
    { 1, 1, -2, 2, 0.5f, 0 },
    { 1, 1, 2, INFINITY, 0.5f, 0 },
    { 1, 1, 2, 2, 1.5f, 0 },
    { 1, 1, 2, 2, NAN, 0 },
    { 1, 1, 2, 2, 0.5f, -1 },
    { 1, 1, 2, 2, 0.5f, DISC_CLASSES },
  };
  guint8 mask[32 * 32] = { 0 };
  GstStructure *result = NULL;

  if (i < G_N_ELEMENTS (boxes)) {
    result = test_new_result (GST_UMEDPT_RESULT_BOXES, "detection", "a,b,c", 1,
        DISC_CLASSES);
    test_set_bytes (result, "boxes", &boxes[i], sizeof boxes[i]);
    return result;
  }
  i -= G_N_ELEMENTS (boxes);
  mask[5] = i == 0 ? DISC_CLASSES + 1 : 0;
  result = test_new_mask ("background,a,b,c", 32, 1, TRUE, 64, mask);
  if (i == 1)
    gst_structure_set (result, "mask-width", G_TYPE_INT, 33, NULL);
  else if (i == 2)
    gst_structure_set (result, "width", G_TYPE_DOUBLE, 0.0, NULL);
  else if (i == 3)
    gst_structure_set (result, "x", G_TYPE_DOUBLE, NAN, NULL);
  else if (i == 4) /* its pixels are not square */
    gst_structure_set (result, "height", G_TYPE_DOUBLE, 32.0, NULL);
  return result;
}

static void
test_wrong_results (void)
{
  for (guint i = 0; i < 12; i++) {
    GstStructure *result = make_wrong (i);
    const gboolean boxes =
        gst_structure_has_name (result, GST_UMEDPT_RESULT_BOXES);
    g_auto (TestOutputs) f = { 0 };

    test_outputs_init (&f,
        boxes ? "detections-location=@wrong.geojson"
              : "detections-location=@wrong.geojson instances=wrong "
                "mask-location=@wrong.tif");
    test_push_grid (f.h, &test_one_tile);
    g_assert_cmpint (test_push_result (f.h, &test_one_tile, 0, "wrong", result),
        ==, GST_FLOW_ERROR);
    test_outputs_error (&f, "'wrong'");
    gst_element_set_state (f.element, GST_STATE_READY);
    test_nothing_left ("wrong");
  }
}

/* A mask of another kind than the first tile's. */
static void
test_planes_change (void)
{
  const TestGrid two_tiles = { 64, 0, 1, 128, 64 };
  guint8 mask[32 * 32 * 3] = { 0 };
  g_auto (TestOutputs) f = { 0 };

  test_outputs_init (&f, "mask-location=@planes.tif");
  test_push_grid (f.h, &two_tiles);
  g_assert_cmpint (test_push_result (f.h, &two_tiles, 0, "m",
                       test_new_mask ("a,b,c", 32, 3, FALSE, 64, mask)),
      ==, GST_FLOW_OK);
  g_assert_cmpint (test_push_result (f.h, &two_tiles, 1, "m",
                       test_new_mask ("background,a", 32, 1, TRUE, 64, mask)),
      ==, GST_FLOW_ERROR);
  test_outputs_error (&f, "planes");
  gst_element_set_state (f.element, GST_STATE_READY);
  test_nothing_left ("planes");
}

/* A tile that is none of the grid would have no core. */
static void
test_off_grid (void)
{
  TestGrid other = test_overlapping;
  g_autoptr (GArray) discs = test_make_discs (&other);
  g_auto (TestOutputs) f = { 0 };

  test_outputs_init (&f, "mask-location=@grid.tif");
  test_push_grid (f.h, &other);
  other.region[0] = 5;
  g_assert_cmpint (test_push_discs (f.h, &other, 1, 1, discs, TEST_MASK), ==,
      GST_FLOW_ERROR);
  test_outputs_error (&f, "grid");
}

/* The scale of the slide is not known, so µm² mean nothing. */
static void
test_unknown_scale (void)
{
  guint8 mask[32 * 32] = { 0 };
  g_auto (TestOutputs) f = { 0 };
  GstEvent *event = NULL;

  test_outputs_init (&f, "regions-location=@scale.geojson min-area=4");
  test_push_grid (f.h, &test_one_tile);
  event = gst_pad_get_sticky_event (f.h->srcpad,
      GST_EVENT_CUSTOM_DOWNSTREAM_STICKY, 0);
  event = gst_event_make_writable (event);
  gst_structure_set (gst_event_writable_structure (event), "level0-mpp",
      G_TYPE_DOUBLE, 0.0, NULL);
  gst_harness_push_event (f.h, event);
  g_assert_cmpint (test_push_result (f.h, &test_one_tile, 0, "m",
                       test_new_mask ("background,a", 32, 1, TRUE, 64, mask)),
      ==, GST_FLOW_ERROR);
  test_outputs_error (&f, "min-area");
}

/* --- files that are there ----------------------------------------------- */

/* All before the first tile is computed. */
static void
test_start_errors (void)
{
  const struct
  {
    const char *properties;
    gint code;
  } rows[] = {
    { "", GST_RESOURCE_ERROR_SETTINGS },
    { "instances=a features-location=@a.h5", GST_RESOURCE_ERROR_SETTINGS },
    { "detections-location=@a.json regions-location=@a.json",
        GST_RESOURCE_ERROR_SETTINGS },
    { "detections-location=@a.json regions-location=@./a.json",
        GST_RESOURCE_ERROR_SETTINGS },
    { "detections-location=@a.shp", GST_RESOURCE_ERROR_SETTINGS },
    { "mask-location=@a.png", GST_RESOURCE_ERROR_SETTINGS },
    { "regions-location=@a.tif", GST_RESOURCE_ERROR_SETTINGS },
    { "table-location=@a.xlsx", GST_RESOURCE_ERROR_SETTINGS },
    { "heatmap-location=@a.jpg", GST_RESOURCE_ERROR_SETTINGS },
    { "table-location=@no/a.csv", GST_RESOURCE_ERROR_NOT_FOUND },
    { "heatmap-location=@no/a.png", GST_RESOURCE_ERROR_NOT_FOUND },
    { "mask-location=@no/a.tif", GST_RESOURCE_ERROR_NOT_FOUND },
    { "regions-location=@no/a.json", GST_RESOURCE_ERROR_NOT_FOUND },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    GstElement *element = test_outputs_sink (rows[i].properties);
    g_autoptr (GError) error = test_start_error (element);

    g_assert_cmpint (error->domain, ==, GST_RESOURCE_ERROR);
    g_assert_cmpint (error->code, ==, rows[i].code);
    gst_object_unref (element);
    test_nothing_left ("a.");
  }
}

/* Any of the files that exists is refused at once; nothing is touched. */
static void
test_existing (void)
{
  for (guint i = 0; i < TEST_N_FILES; i++) {
    g_autofree char *name = g_strconcat ("mine", test_suffixes[i], NULL);
    g_autofree char *path = test_path (name);
    g_autofree char *properties = test_all_files ("mine");
    g_autofree char *content = NULL;
    GstElement *element = test_outputs_sink (properties);
    g_autoptr (GError) error = NULL;

    g_assert_true (g_file_set_contents (path, "mine", -1, NULL));
    error = test_start_error (element);
    g_assert_error (error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_OPEN_WRITE);
    g_assert_nonnull (strstr (error->message, path));
    gst_object_unref (element);
    content = test_read_file (name);
    g_assert_cmpstr (content, ==, "mine");
    g_assert_cmpint (g_remove (path), ==, 0);
    test_nothing_left ("mine");
  }
}

/* The slide itself is not overwritten, even where overwriting is allowed. */
static void
test_slide_itself (void)
{
  g_autofree char *slide = test_path ("slide-itself.tif");
  g_autofree char *content = NULL;
  g_auto (TestOutputs) f = { 0 };
  GstEvent *event = NULL;

  g_assert_true (g_file_set_contents (slide, "slide", -1, NULL));
  test_outputs_init (&f, "mask-location=@slide-itself.tif overwrite=true");
  test_push_grid (f.h, &test_one_tile);
  event = gst_pad_get_sticky_event (f.h->srcpad,
      GST_EVENT_CUSTOM_DOWNSTREAM_STICKY, 0);
  event = gst_event_make_writable (event);
  gst_structure_set (gst_event_writable_structure (event), "path",
      G_TYPE_STRING, slide, NULL);
  gst_harness_push_event (f.h, event);
  g_assert_false (test_outputs_end (&f));
  test_outputs_error (&f, "mask-location");
  content = test_read_file ("slide-itself.tif");
  g_assert_cmpstr (content, ==, "slide");
}

/* One file cannot get its name at the end: none of the others does. */
static void
test_together (void)
{
  const TestGrid *grid = &test_overlapping;
  g_autoptr (GArray) discs = test_make_discs (grid);

  for (guint k = 0; k < TEST_N_FILES; k++) {
    g_autofree char *name = g_strconcat ("together", test_suffixes[k], NULL);
    g_autofree char *path = test_path (name);
    g_autofree char *content = NULL;
    g_auto (TestOutputs) f = { 0 };

    test_outputs_init_all (&f, "together", "");
    test_push_grid (f.h, grid);
    test_push_all (f.h, grid, discs, TEST_BOXES | TEST_MASK | TEST_TENSOR);
    g_assert_true (g_file_set_contents (path, "mine", -1, NULL));
    g_assert_false (test_outputs_end (&f));
    test_outputs_error (&f, name);
    gst_element_set_state (f.element, GST_STATE_READY);
    content = test_read_file (name);
    g_assert_cmpstr (content, ==, "mine");
    g_assert_cmpint (g_remove (path), ==, 0);
    test_nothing_left ("together");
  }
}

/* Before the end nothing has its name; stopped, nothing is left. */
static void
test_stop (void)
{
  const TestGrid *grid = &test_overlapping;
  g_autoptr (GArray) discs = test_make_discs (grid);
  g_auto (TestOutputs) f = { 0 };

  test_outputs_init_all (&f, "stopped", "instances=tissue");
  test_push_grid (f.h, grid);
  test_push_all (f.h, grid, discs, TEST_BOXES | TEST_MASK | TEST_TENSOR);
  gst_element_set_state (f.element, GST_STATE_READY);
  test_nothing_left ("stopped");
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/slideoutputerrors/missing", test_missing);
  g_test_add_func ("/slideoutputerrors/wrong-results", test_wrong_results);
  g_test_add_func ("/slideoutputerrors/planes-change", test_planes_change);
  g_test_add_func ("/slideoutputerrors/off-grid", test_off_grid);
  g_test_add_func ("/slideoutputerrors/unknown-scale", test_unknown_scale);
  g_test_add_func ("/slideoutputerrors/start-errors", test_start_errors);
  g_test_add_func ("/slideoutputerrors/existing", test_existing);
  g_test_add_func ("/slideoutputerrors/slide-itself", test_slide_itself);
  g_test_add_func ("/slideoutputerrors/together", test_together);
  g_test_add_func ("/slideoutputerrors/stop", test_stop);
  return test_run ();
}
