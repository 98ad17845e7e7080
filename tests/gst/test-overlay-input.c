/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * umedptoverlay with frames of awkward sizes and padded rows, objects that
 * hardly fit, and results that are not as gstumedptresults.h has them: it draws
 * what it can, writes nowhere else, and the stream goes on.
 */
#include "overlay.h"

#include <string.h>

/* --- awkward frames ----------------------------------------------------- */

/* Boxes that a frame can hardly hold, or not at all. */
static const GstUmedptBox wild[] = {
  { -10, -10, 30, 25, 0.9f, 0 },
  { 5, 3, 1e30f, 1e30f, 0.8f, 1 },
  { -1e30f, -1e30f, 3e30f, 3e30f, 0.8f, 2 },
  { -3e38f, 0, 3.4e38f, 4, 0.8f, 2 },
  { 1e9f, 1e9f, 5, 5, 0.7f, 3 },
  { 2, 2, 1, 1, 0.6f, 77 },
  { 3, 1, 0.2f, 500, 0.6f, -5 },
  { 0, 0, 7, 7, 1.0f, G_MAXINT32 },
  { 1, 1, 9, 9, 1.0f, G_MININT32 },
  /* and what is none */
  { NAN, 2, 9, 9, 0.9f, 0 },
  { 2, 2, INFINITY, 9, 0.9f, 0 },
  { 2, 2, 9, 9, NAN, 0 },
  { 2, 2, 0, 9, 0.9f, 0 },
  { 2, 2, -9, -9, 0.9f, 0 },
};
#define N_SANE 9

/* A frame with @pad bytes after each row, all of them grey. */
static GstBuffer *
padded_frame (const Overlay *overlay, gint pad)
{
  const GstVideoInfo *info = &overlay->info;
  gsize offsets[GST_VIDEO_MAX_PLANES] = { 0 }, size = 0;
  gint strides[GST_VIDEO_MAX_PLANES] = { 0 };
  GstBuffer *buffer = NULL;

  for (guint p = 0; p < GST_VIDEO_INFO_N_PLANES (info); p++) {
    const guint component = p;

    strides[p] = GST_VIDEO_INFO_COMP_WIDTH (info, component) *
            GST_VIDEO_INFO_COMP_PSTRIDE (info, component) +
        pad;
    offsets[p] = size;
    size += (gsize) strides[p] * GST_VIDEO_INFO_COMP_HEIGHT (info, component);
  }
  buffer = gst_buffer_new_allocate (NULL, size, NULL);
  gst_buffer_memset (buffer, 0, GREY, size);
  gst_buffer_add_video_meta_full (buffer, GST_VIDEO_FRAME_FLAG_NONE,
      GST_VIDEO_INFO_FORMAT (info), GST_VIDEO_INFO_WIDTH (info),
      GST_VIDEO_INFO_HEIGHT (info), GST_VIDEO_INFO_N_PLANES (info), offsets,
      strides);
  GST_BUFFER_PTS (buffer) = 0;
  return buffer;
}

/* What lies between the rows is as it was. */
static void
check_padding (const Overlay *overlay, GstBuffer *buffer, gint pad)
{
  GstVideoFrame frame;

  g_assert_true (gst_video_frame_map (&frame, &overlay->info, buffer,
      GST_MAP_READ));
  for (guint p = 0; p < GST_VIDEO_FRAME_N_PLANES (&frame); p++)
    for (gint y = 0; y < GST_VIDEO_FRAME_COMP_HEIGHT (&frame, p); y++) {
      const gint stride = GST_VIDEO_FRAME_PLANE_STRIDE (&frame, p);
      const guint8 *row =
          (const guint8 *) GST_VIDEO_FRAME_PLANE_DATA (&frame, p) + y * stride;

      for (gint i = stride - pad; i < stride; i++)
        g_assert_cmpuint (row[i], ==, GREY);
    }
  gst_video_frame_unmap (&frame);
}

static void
check_size (const char *format, gint width, gint height)
{
  static const char *const styles[] = { "outline", "corners" };
  g_autofree guint8 *mask = test_ellipses (31, 17);

  for (guint s = 0; s < G_N_ELEMENTS (styles); s++)
    for (guint line = 1; line <= 3; line++) {
      g_autoptr (GstBuffer) out = NULL;
      GstBuffer *buffer = NULL;
      Overlay overlay;

      overlay_init (&overlay, format, width, height);
      g_object_set (overlay.element, "line-width", line, "show-state", TRUE,
          "legend", TRUE, "show-pending", TRUE, NULL);
      overlay_set (&overlay, "box-style", styles[s]);
      overlay_set (&overlay, "mask-style", "fill");
      buffer = padded_frame (&overlay, 5);
      test_attach (buffer, "things", test_boxes (0, wild, G_N_ELEMENTS (wild)));
      test_attach (buffer, "tissue",
          test_mask (0, mask, 31, 17, 1, width * 1.5, height * 0.7));
      out = overlay_pass (&overlay, buffer);
      g_assert_cmpuint (overlay_count (&overlay, out), >, 0);
      check_padding (&overlay, out, 5);
      overlay_clear (&overlay);
    }
}

static void
test_sizes (void)
{
  static const gint sizes[][2] = { { 1, 1 }, { 2, 1 }, { 1, 7 }, { 3, 5 },
    { 17, 13 }, { 64, 48 }, { 161, 91 } };

  for (guint f = 0; f < G_N_ELEMENTS (overlay_formats); f++)
    for (guint s = 0; s < G_N_ELEMENTS (sizes); s++)
      check_size (overlay_formats[f], sizes[s][0], sizes[s][1]);
}

/* Those that are no boxes draw nothing, alone. */
static void
test_no_boxes (void)
{
  Overlay overlay;

  overlay_init (&overlay, "RGB", 64, 48);
  for (guint i = N_SANE; i < G_N_ELEMENTS (wild); i++)
    overlay_check_passes (&overlay, test_boxes (0, &wild[i], 1));
  overlay_clear (&overlay);
}

static void
test_renegotiation (void)
{
  static const gint sizes[][2] = { { 128, 96 }, { 64, 64 }, { 321, 201 } };
  Overlay overlay;

  overlay_init (&overlay, "I420", 16, 16);
  for (guint s = 0; s < G_N_ELEMENTS (sizes); s++)
    for (guint f = 0; f < G_N_ELEMENTS (overlay_formats); f++) {
      g_autoptr (GstBuffer) out = NULL;

      overlay_set_caps (&overlay, overlay_formats[f], sizes[s][0], sizes[s][1]);
      out = overlay_draw (&overlay, 0, overlay_one_box (0));
      g_assert_cmpuint (overlay_count_in (&overlay, out, 0, 20, 30, 60, 50), >,
          100);
      g_assert_cmpuint (gst_buffer_get_size (out), ==,
          GST_VIDEO_INFO_SIZE (&overlay.info));
    }
  overlay_clear (&overlay);
}

/* A buffer too small for its caps passes. */
static void
test_short_buffer (void)
{
  g_autoptr (GstBuffer) out = NULL;
  GstBuffer *buffer = gst_buffer_new_allocate (NULL, 10, NULL);
  Overlay overlay;

  overlay_init (&overlay, "RGB", 128, 96);
  gst_buffer_memset (buffer, 0, GREY, 10);
  test_attach (buffer, "things", overlay_one_box (0));
  out = overlay_pass (&overlay, buffer);
  g_assert_cmpuint (gst_buffer_get_size (out), ==, 10);
  overlay_clear (&overlay);
}

/* --- results of other people -------------------------------------------- */

/* A frame with the field "things" set to anything. */
static void
check_ignored (Overlay *overlay, GType type, gconstpointer value)
{
  g_autoptr (GstBuffer) out = NULL;
  GstBuffer *buffer = overlay_frame (overlay, 0);
  GstCustomMeta *meta =
      gst_buffer_add_custom_meta (buffer, GST_UMEDPT_RESULTS_META_NAME);

  gst_structure_set (gst_custom_meta_get_structure (meta), "things", type,
      value, NULL);
  out = overlay_pass (overlay, buffer);
  g_assert_cmpuint (overlay_count (overlay, out), ==, 0);
}

static void
check_result_ignored (Overlay *overlay, GstStructure *result)
{
  check_ignored (overlay, GST_TYPE_STRUCTURE, result);
  gst_structure_free (result);
}

static GstStructure *
a_mask (void)
{
  const guint8 mask[4] = { 1, 1, 1, 1 };

  return test_mask (0, mask, 2, 2, 1, 64, 48);
}

static void
test_malformed (void)
{
  const char *const no_doubles[] = { "x", "y", "width", "height" };
  GstStructure *result = NULL;
  Overlay overlay;

  overlay_init (&overlay, "RGB", 64, 48);
  check_ignored (&overlay, G_TYPE_STRING, "not a structure");
  check_ignored (&overlay, G_TYPE_INT, GINT_TO_POINTER (3));
  check_result_ignored (&overlay, gst_structure_new_empty ("something-else"));
  check_result_ignored (&overlay,
      gst_structure_new_empty (GST_UMEDPT_RESULT_BOXES));
  check_result_ignored (&overlay,
      gst_structure_new_empty (GST_UMEDPT_RESULT_MASK));
  check_result_ignored (&overlay,
      gst_structure_new_empty (GST_UMEDPT_RESULT_VALUES));
  check_result_ignored (&overlay,
      gst_structure_new (GST_UMEDPT_RESULT_BOXES, "boxes", G_TYPE_STRING,
          "bytes", "labels", G_TYPE_INT, 3, "colors", G_TYPE_INT, 3, NULL));
  result = overlay_one_box (0);
  test_set_bytes (result, "boxes", "short", 5);
  check_result_ignored (&overlay, result);
  for (guint i = 0; i < G_N_ELEMENTS (no_doubles); i++) {
    result = a_mask ();
    gst_structure_set (result, no_doubles[i], G_TYPE_DOUBLE, (double) NAN,
        NULL);
    check_result_ignored (&overlay, result);
    result = a_mask ();
    gst_structure_remove_field (result, no_doubles[i]);
    check_result_ignored (&overlay, result);
  }
  result = a_mask ();
  gst_structure_set (result, "width", G_TYPE_DOUBLE, -64.0, NULL);
  check_result_ignored (&overlay, result);
  result = a_mask ();
  gst_structure_set (result, "mask-width", G_TYPE_INT, 0, NULL);
  test_set_bytes (result, "mask", NULL, 0);
  check_result_ignored (&overlay, result);
  result = a_mask ();
  gst_structure_set (result, "mask-width", G_TYPE_INT, 3, NULL);
  check_result_ignored (&overlay, result);
  /* and the good one is not */
  g_assert_cmpuint (overlay_count_drawn (&overlay, 0, a_mask ()), >, 0);
  overlay_clear (&overlay);
}

/* What can be drawn is, with whatever is missing left out. */
static void
test_strange (void)
{
  static const char *const labels[] = { "", "\xff\xfe not UTF-8", "a\nb\tc",
    "A very long label, longer than anybody would want to read on a picture, "
    "let alone to have in the way of what is below it",
    NULL };
  const gfloat values[] = { NAN, 0.7f, INFINITY, -INFINITY };
  const GstUmedptBox boxes[] = { { 2, 2, 20, 20, 0.9f, 0 },
    { 20, 20, 20, 20, 0.9f, 1 }, { 2, 20, 20, 20, 0.9f, 2 },
    { 20, 2, 20, 20, 0.9f, 3 } };
  guint8 all[256];
  GstStructure *result = NULL;
  Overlay overlay;

  overlay_init (&overlay, "I420", 64, 48);
  g_object_set (overlay.element, "legend", TRUE, NULL);
  result = test_boxes (0, boxes, G_N_ELEMENTS (boxes));
  gst_structure_set (result, "labels", G_TYPE_STRV, labels, NULL);
  test_set_bytes (result, "colors", "ab", 2);
  g_assert_cmpuint (overlay_count_drawn (&overlay, 0, result), >, 0);
  result = overlay_one_box (0);
  gst_structure_remove_fields (result, "labels", "colors", "pts", "kind",
      "model", NULL);
  g_assert_cmpuint (overlay_count_drawn (&overlay, 0, result), >, 0);
  /* every value that a mask can have */
  for (guint i = 0; i < 256; i++)
    all[i] = (guint8) i;
  g_assert_cmpuint (overlay_count_drawn (&overlay, 0,
                        test_mask (0, all, 16, 16, 1, 64, 48)),
      >, 0);
  result = test_mask (0, all, 16, 16, 1, 64, 48);
  gst_structure_remove_fields (result, "labels", "colors", NULL);
  g_assert_cmpuint (overlay_count_drawn (&overlay, 0, result), >, 0);
  result = test_result (GST_UMEDPT_RESULT_VALUES, "classification", 0);
  test_set_bytes (result, "values", values, sizeof values);
  g_assert_cmpuint (overlay_count_drawn (&overlay, 0, result), >, 0);
  overlay_clear (&overlay);
}

/* More tasks than are followed. Not more by far: GLib keeps their names for ever
 * (quarks), and reports a table that it outgrew as lost. */
static void
test_many_tasks (void)
{
  Overlay overlay;

  overlay_init (&overlay, "RGB", 64, 48);
  for (guint i = 0; i < 200; i++) {
    g_autofree char *name = g_strdup_printf ("task %u", i);
    GstBuffer *buffer = overlay_frame (&overlay, i * FRAME_TIME);

    test_attach (buffer, name, overlay_one_box (i * FRAME_TIME));
    gst_buffer_unref (overlay_pass (&overlay, buffer));
  }
  overlay_clear (&overlay);
}

int
main (int argc, char **argv)
{
  static const struct
  {
    const char *path;
    void (*func) (void);
  } tests[] = {
    { "sizes", test_sizes },
    { "no-boxes", test_no_boxes },
    { "renegotiation", test_renegotiation },
    { "short-buffer", test_short_buffer },
    { "malformed", test_malformed },
    { "strange", test_strange },
    { "many-tasks", test_many_tasks },
  };

  test_init (&argc, &argv);
  for (guint i = 0; i < G_N_ELEMENTS (tests); i++) {
    g_autofree char *path = g_strconcat ("/gst/overlay/", tests[i].path, NULL);
    g_test_add_func (path, tests[i].func);
  }
  return test_run ();
}
