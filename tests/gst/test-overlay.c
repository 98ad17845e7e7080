/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What umedptoverlay draws, and where, in every format; and what it leaves
 * alone. Frames are grey, so that a pixel which is not has been drawn. Texts
 * are looked at only as far as no font matters.
 */
#include "overlay.h"

#include <cairo.h>
#include <string.h>

/* --- what passes as it is ----------------------------------------------- */

static void
test_passes (void)
{
  for (guint f = 0; f < G_N_ELEMENTS (overlay_formats); f++) {
    Overlay overlay;

    overlay_init (&overlay, overlay_formats[f], 128, 96);
    overlay_check_passes (&overlay, NULL);
    overlay_check_passes (&overlay, test_boxes (0, NULL, 0));
    overlay_set (&overlay, "enabled", "false");
    overlay_check_passes (&overlay, overlay_one_box (0));
    overlay_set (&overlay, "enabled", "true");
    g_assert_cmpuint (overlay_count_drawn (&overlay, 0, overlay_one_box (0)), >,
        0);
    overlay_set (&overlay, "draw-boxes", "false");
    overlay_check_passes (&overlay, overlay_one_box (0));
    g_assert_cmpuint (test_stat (overlay.element, "frames"), ==, 5);
    g_assert_cmpuint (test_stat (overlay.element, "drawn"), ==, 1);
    overlay_clear (&overlay);
  }
}

/* Drawing on a frame that others hold leaves theirs alone. */
static void
test_shared (void)
{
  g_autoptr (GstBuffer) held = NULL, out = NULL;
  Overlay overlay;
  GstBuffer *buffer = NULL;

  overlay_init (&overlay, "RGB", 128, 96);
  buffer = overlay_frame (&overlay, 0);
  test_attach (buffer, "things", overlay_one_box (0));
  held = gst_buffer_ref (buffer);
  out = overlay_pass (&overlay, buffer);
  g_assert_true (out != held);
  g_assert_cmpuint (overlay_count (&overlay, held), ==, 0);
  g_assert_cmpuint (overlay_count (&overlay, out), >, 0);
  g_assert_nonnull (gst_buffer_get_umedpt_results (out));
  overlay_clear (&overlay);
}

/* --- what is drawn ------------------------------------------------------ */

/* The four sides, two pixels wide and within the box, and no pixel more. */
static void
test_outline (void)
{
  g_autoptr (GstBuffer) out = NULL;
  Overlay overlay;

  overlay_init (&overlay, "RGB", 128, 96);
  g_object_set (overlay.element, "draw-labels", FALSE, "draw-scores", FALSE,
      NULL);
  out = overlay_draw (&overlay, 0, overlay_one_box (0));
  for (gint y = 0; y < 96; y++)
    for (gint x = 0; x < 128; x++) {
      const gboolean inside = x >= 20 && x < 60 && y >= 30 && y < 50;
      const gboolean deep = x >= 22 && x < 58 && y >= 32 && y < 48;

      g_assert_cmphex (overlay_pixel (&overlay, out, x, y), ==,
          inside && !deep ? ORANGE : 0x606060);
    }
  overlay_clear (&overlay);
}

static void
test_corners (void)
{
  g_autoptr (GstBuffer) out = NULL;
  Overlay overlay;

  overlay_init (&overlay, "RGB", 128, 96);
  g_object_set (overlay.element, "draw-labels", FALSE, "draw-scores", FALSE,
      NULL);
  overlay_set (&overlay, "box-style", "corners");
  out = overlay_draw (&overlay, 0, overlay_one_box (0));
  g_assert_cmphex (overlay_pixel (&overlay, out, 20, 30), ==, ORANGE);
  g_assert_cmphex (overlay_pixel (&overlay, out, 59, 49), ==, ORANGE);
  g_assert_cmphex (overlay_pixel (&overlay, out, 40, 30), ==, 0x606060);
  g_assert_cmphex (overlay_pixel (&overlay, out, 20, 40), ==, 0x606060);
  /* four corners of two arms of 5 x 2 pixels, less what they share */
  g_assert_cmpuint (overlay_count (&overlay, out), ==, 4 * (5 * 2 + 3 * 2) * 3);
  overlay_clear (&overlay);
}

/* The label stands above the box, or in it at the upper edge of the frame. */
static void
test_labels (void)
{
  const GstUmedptBox above = { 20, 40, 40, 20, 0.9f, 0 };
  const GstUmedptBox below = { 20, 0, 40, 40, 0.9f, 0 };
  g_autoptr (GstBuffer) first = NULL, second = NULL;
  Overlay overlay;

  overlay_init (&overlay, "RGB", 128, 96);
  first = overlay_draw (&overlay, 0, test_boxes (0, &above, 1));
  g_assert_cmpuint (overlay_count_in (&overlay, first, 0, 0, 0, 128, 40), >,
      20 * 10);
  g_assert_cmphex (overlay_pixel (&overlay, first, 20, 39), ==, ORANGE);
  second = overlay_draw (&overlay, 0, test_boxes (0, &below, 1));
  g_assert_cmphex (overlay_pixel (&overlay, second, 23, 8), !=, 0x606060);
  overlay_clear (&overlay);
}

/* BT.709 in video range, worked out by hand for 0xe69f00. */
static void
test_matrix (void)
{
  const GstUmedptBox box = { 0, 0, 8, 8, 1, 0 };
  g_autoptr (GstBuffer) out = NULL;
  GstMapInfo map = GST_MAP_INFO_INIT;
  Overlay overlay;

  overlay_init (&overlay, "I420", 16, 16);
  gst_harness_set_src_caps_str (overlay.h,
      "video/x-raw,format=I420,width=16,"
      "height=16,framerate=25/1,"
      "colorimetry=bt709");
  g_object_set (overlay.element, "draw-labels", FALSE, "draw-scores", FALSE,
      "line-width", 8, NULL);
  out = overlay_draw (&overlay, 0, test_boxes (0, &box, 1));
  g_assert_true (gst_buffer_map (out, &map, GST_MAP_READ));
  /* Y' = .2126 R + .7152 G = .6377; U = -.3437, V = .1680 */
  g_assert_cmpint (ABS (map.data[0] - 156), <=, 1);
  g_assert_cmpint (ABS (map.data[256] - 51), <=, 1);
  g_assert_cmpint (ABS (map.data[256 + 64] - 166), <=, 1);
  g_assert_cmpint (map.data[256 + 4], ==, GREY);
  gst_buffer_unmap (out, &map);
  overlay_clear (&overlay);
}

static void
test_alpha (void)
{
  g_autoptr (GstBuffer) out = NULL;
  GstMapInfo map = GST_MAP_INFO_INIT;
  Overlay overlay;

  overlay_init (&overlay, "RGBA", 128, 96);
  out = overlay_draw (&overlay, 0, overlay_one_box (0));
  g_assert_true (gst_buffer_map (out, &map, GST_MAP_READ));
  g_assert_cmpuint (map.data[(30 * 128 + 20) * 4 + 3], ==, 255);
  g_assert_cmpuint (map.data[3], ==, GREY);
  gst_buffer_unmap (out, &map);
  overlay_clear (&overlay);
}

/* A mask of 16 x 12 on 128 x 96: a contour on the border of the region, within
 * it, and nothing else. */
static void
test_contour (void)
{
  guint8 mask[12 * 16] = { 0 };
  g_autoptr (GstBuffer) out = NULL, filled = NULL;
  Overlay overlay;

  for (gint y = 4; y < 8; y++)
    memset (mask + y * 16 + 4, 1, 8); /* 32 … 96, 32 … 64 in the frame */
  overlay_init (&overlay, "RGB", 128, 96);
  out = overlay_draw (&overlay, 0, test_mask (0, mask, 16, 12, 1, 128, 96));
  g_assert_cmphex (overlay_pixel (&overlay, out, 64, 32), ==, 0x56b4e9);
  g_assert_cmphex (overlay_pixel (&overlay, out, 64, 33), ==, 0x56b4e9);
  g_assert_cmphex (overlay_pixel (&overlay, out, 64, 34), ==, 0x606060);
  g_assert_cmphex (overlay_pixel (&overlay, out, 64, 31), ==, 0x606060);
  g_assert_cmphex (overlay_pixel (&overlay, out, 32, 48), ==, 0x56b4e9);
  g_assert_cmphex (overlay_pixel (&overlay, out, 95, 48), ==, 0x56b4e9);
  g_assert_cmphex (overlay_pixel (&overlay, out, 96, 48), ==, 0x606060);
  g_assert_cmphex (overlay_pixel (&overlay, out, 64, 63), ==, 0x56b4e9);
  /* corners are cut, as marching squares cut them */
  g_assert_cmphex (overlay_pixel (&overlay, out, 32, 32), ==, 0x606060);
  g_assert_cmphex (overlay_pixel (&overlay, out, 48, 48), ==, 0x606060);
  overlay_set (&overlay, "mask-style", "fill");
  overlay_set (&overlay, "opacity", "0.5");
  filled = overlay_draw (&overlay, 0, test_mask (0, mask, 16, 12, 1, 128, 96));
  g_assert_cmphex (overlay_pixel (&overlay, filled, 64, 48), ==, 0x5b8aa5);
  g_assert_cmphex (overlay_pixel (&overlay, filled, 64, 31), ==, 0x606060);
  overlay_set (&overlay, "mask-style", "none");
  overlay_check_passes (&overlay, test_mask (0, mask, 16, 12, 1, 128, 96));
  overlay_clear (&overlay);
}

/* Marks what can be reached from (@x, @y) over grey pixels by their sides. */
static void
flood (const Overlay *overlay, GstBuffer *buffer, gint width, gint height,
    gint x, gint y, guint8 *reached)
{
  static const gint steps[][2] = { { 1, 0 }, { -1, 0 }, { 0, 1 }, { 0, -1 } };
  g_autoptr (GArray) queue = g_array_new (FALSE, FALSE, sizeof (gint));
  gint at = y * width + x;

  reached[at] = 1;
  g_array_append_val (queue, at);
  for (guint i = 0; i < queue->len; i++)
    for (guint s = 0; s < G_N_ELEMENTS (steps); s++) {
      const gint from = g_array_index (queue, gint, i);
      const gint u = from % width + steps[s][0];
      const gint v = from / width + steps[s][1];

      at = v * width + u;
      if (u < 0 || v < 0 || u >= width || v >= height || reached[at] ||
          overlay_pixel (overlay, buffer, u, v) != 0x606060)
        continue;
      reached[at] = 1;
      g_array_append_val (queue, at);
    }
}

/* Contours have no gaps, whatever the scale: nothing gets in. */
static void
test_closed (void)
{
  static const gint sizes[][2] = { { 80, 50 }, { 160, 100 }, { 200, 60 },
    { 60, 150 }, { 247, 163 }, { 40, 25 } };
  g_autofree guint8 *mask = test_ellipses (80, 50);

  for (guint s = 0; s < G_N_ELEMENTS (sizes); s++)
    for (guint line = 1; line <= 3; line++) {
      const gint width = sizes[s][0], height = sizes[s][1];
      g_autofree guint8 *reached = g_malloc0 ((gsize) width * height);
      g_autoptr (GstBuffer) out = NULL;
      Overlay overlay;

      overlay_init (&overlay, "BGRx", width, height);
      g_object_set (overlay.element, "line-width", line, NULL);
      out = overlay_draw (&overlay, 0,
          test_mask (0, mask, 80, 50, 1, width, height));
      flood (&overlay, out, width, height, 0, 0, reached);
      for (gint c = 1; c <= 3; c++)
        g_assert_false (reached[(3 + c) * height / 10 * width + c * width / 4]);
      overlay_clear (&overlay);
    }
}

/* One region as an index mask, and as a plane among others that are empty;
 * planes may overlap. */
static void
test_planes (void)
{
  guint8 planes[12 * 16 * 4] = { 0 };
  g_autoptr (GstBuffer) out = NULL;
  Overlay overlay;

  for (gint y = 2; y < 10; y++)
    for (gint x = 2; x < 14; x++) {
      planes[(y * 16 + x) * 4] = 1;
      planes[(y * 16 + x) * 4 + 3] = y >= 4 && y < 8 && x >= 4 && x < 12;
    }
  overlay_init (&overlay, "RGB", 128, 96);
  out = overlay_draw (&overlay, 0, test_mask (0, planes, 16, 12, 4, 128, 96));
  g_assert_cmphex (overlay_pixel (&overlay, out, 64, 16), ==, ORANGE);
  g_assert_cmphex (overlay_pixel (&overlay, out, 64, 32), ==, 0xf0e442);
  g_assert_cmphex (overlay_pixel (&overlay, out, 64, 24), ==, 0x606060);
  overlay_clear (&overlay);
}

/* --- a picture, and the same in all formats ----------------------------- */

#define SCENE_WIDTH 320
#define SCENE_HEIGHT 200

static void
attach_scene (GstBuffer *buffer)
{
  const GstUmedptBox boxes[] = { { 30, 120, 60, 50, 0.9f, 0 },
    { 280.4f, 150.6f, 90, 90, 0.8f, 1 }, { -20, -20, 60, 60, 0.7f, 2 },
    { 111, 131, 33, 21, 0.6f, 3 } };
  g_autofree guint8 *mask = test_ellipses (80, 50);

  test_attach (buffer, "things", test_boxes (0, boxes, G_N_ELEMENTS (boxes)));
  test_attach (buffer, "tissue",
      test_mask (0, mask, 80, 50, 1, SCENE_WIDTH, SCENE_HEIGHT));
}

/* @buffer (transfer full) in another format. */
static GstBuffer *
convert (GstBuffer *buffer, const GstVideoInfo *from, const GstVideoInfo *to)
{
  GstVideoConverter *converter = gst_video_converter_new (from, to, NULL);
  GstBuffer *out =
      gst_buffer_new_allocate (NULL, GST_VIDEO_INFO_SIZE (to), NULL);
  GstVideoFrame in_frame, out_frame;

  g_assert_nonnull (converter);
  g_assert_true (gst_video_frame_map (&in_frame, from, buffer, GST_MAP_READ));
  g_assert_true (gst_video_frame_map (&out_frame, to, out, GST_MAP_WRITE));
  gst_video_converter_frame (converter, &in_frame, &out_frame);
  gst_video_frame_unmap (&in_frame);
  gst_video_frame_unmap (&out_frame);
  gst_video_converter_free (converter);
  gst_buffer_unref (buffer);
  return out;
}

/* A smooth coloured ground, so that what is translucent shows. */
static GstBuffer *
ground (void)
{
  GstBuffer *buffer =
      gst_buffer_new_allocate (NULL, SCENE_WIDTH * SCENE_HEIGHT * 4, NULL);
  GstMapInfo map = GST_MAP_INFO_INIT;

  g_assert_true (gst_buffer_map (buffer, &map, GST_MAP_WRITE));
  for (gint y = 0; y < SCENE_HEIGHT; y++)
    for (gint x = 0; x < SCENE_WIDTH; x++) {
      guint8 *p = map.data + (y * SCENE_WIDTH + x) * 4;

      p[0] = (guint8) (60 + x / 4);
      p[1] = (guint8) (40 + y / 3);
      p[2] = (guint8) (150 - x / 8);
      p[3] = 255;
    }
  gst_buffer_unmap (buffer, &map);
  GST_BUFFER_PTS (buffer) = 0;
  return buffer;
}

/* The scene drawn in @format, as BGRx. Without @before it is drawn in BGRx and
 * converted after, there and back. */
static GstBuffer *
draw_scene (const char *format, const char *style, gboolean before)
{
  Overlay overlay;
  GstVideoInfo bgrx, other;
  GstBuffer *buffer = ground ();

  gst_video_info_set_format (&bgrx, GST_VIDEO_FORMAT_BGRx, SCENE_WIDTH,
      SCENE_HEIGHT);
  overlay_init (&overlay, before ? format : "BGRx", SCENE_WIDTH, SCENE_HEIGHT);
  g_object_set (overlay.element, "draw-labels", FALSE, "draw-scores", FALSE,
      NULL);
  overlay_set (&overlay, "mask-style", style);
  gst_video_info_set_format (&other, gst_video_format_from_string (format),
      SCENE_WIDTH, SCENE_HEIGHT);
  if (before)
    buffer = convert (buffer, &bgrx, &other);
  GST_BUFFER_PTS (buffer) = 0;
  attach_scene (buffer);
  buffer = overlay_pass (&overlay, buffer);
  if (!before)
    buffer = convert (buffer, &bgrx, &other);
  overlay_clear (&overlay);
  return convert (buffer, &other, &bgrx);
}

/* The mean difference of colours, and the share of those over @far, %. */
static void
compare_pictures (const guint8 *a, gsize stride_a, const guint8 *b,
    gsize stride_b, gint far, double *mean, double *over)
{
  guint64 sum = 0, n_far = 0;

  for (gint y = 0; y < SCENE_HEIGHT; y++)
    for (gint x = 0; x < SCENE_WIDTH; x++)
      for (gint c = 0; c < 3; c++) {
        const gint d =
            ABS (a[y * stride_a + x * 4 + c] - b[y * stride_b + x * 4 + c]);
        sum += (guint64) d;
        n_far += d > far;
      }
  *mean = (double) sum / (SCENE_WIDTH * SCENE_HEIGHT * 3);
  *over = 100.0 * (double) n_far / (SCENE_WIDTH * SCENE_HEIGHT * 3);
}

static void
test_formats (void)
{
  static const char *const styles[] = { "contour", "fill" };

  for (guint f = 0; f < G_N_ELEMENTS (overlay_formats); f++)
    for (guint s = 0; s < G_N_ELEMENTS (styles); s++) {
      g_autoptr (GstBuffer) own =
          draw_scene (overlay_formats[f], styles[s], TRUE);
      g_autoptr (GstBuffer) other =
          draw_scene (overlay_formats[f], styles[s], FALSE);
      GstMapInfo a = GST_MAP_INFO_INIT, b = GST_MAP_INFO_INIT;
      double mean = 0, over = 0;

      g_assert_true (gst_buffer_map (own, &a, GST_MAP_READ));
      g_assert_true (gst_buffer_map (other, &b, GST_MAP_READ));
      compare_pictures (a.data, SCENE_WIDTH * 4, b.data, SCENE_WIDTH * 4, 24,
          &mean, &over);
      g_test_message ("%s %s: mean %.3f, far %.3f %%", overlay_formats[f],
          styles[s], mean, over);
      g_assert_cmpfloat (mean, <, 0.5);
      g_assert_cmpfloat (over, <, 0.5);
      gst_buffer_unmap (own, &a);
      gst_buffer_unmap (other, &b);
    }
}

/* A new picture, to look at and to put in the place of the old one, is left in
 * the current folder where they differ. */
static void
check_picture (const char *name, const char *style)
{
  g_autofree char *file = g_strdup_printf ("overlay-%s.png", name);
  g_autofree char *path =
      g_build_filename (g_getenv ("TEST_GST_PICTURES"), file, NULL);
  g_autoptr (GstBuffer) drawn = draw_scene ("BGRx", style, TRUE);
  cairo_surface_t *kept = cairo_image_surface_create_from_png (path);
  cairo_surface_t *made = NULL;
  GstMapInfo map = GST_MAP_INFO_INIT;
  double mean = 255, over = 100;

  g_assert_true (gst_buffer_map (drawn, &map, GST_MAP_READWRITE));
  if (cairo_surface_status (kept) == CAIRO_STATUS_SUCCESS &&
      cairo_image_surface_get_width (kept) == SCENE_WIDTH &&
      cairo_image_surface_get_height (kept) == SCENE_HEIGHT)
    compare_pictures (map.data, SCENE_WIDTH * 4,
        cairo_image_surface_get_data (kept),
        (gsize) cairo_image_surface_get_stride (kept), 8, &mean, &over);
  if (mean > 0.05 || over > 0.1) {
    made = cairo_image_surface_create_for_data (map.data, CAIRO_FORMAT_RGB24,
        SCENE_WIDTH, SCENE_HEIGHT, SCENE_WIDTH * 4);
    cairo_surface_write_to_png (made, file);
    cairo_surface_destroy (made);
  }
  g_assert_cmpfloat (mean, <, 0.05);
  g_assert_cmpfloat (over, <, 0.1);
  gst_buffer_unmap (drawn, &map);
  cairo_surface_destroy (kept);
}

static void
test_pictures (void)
{
  check_picture ("contour", "contour");
  check_picture ("fill", "fill");
}

/* --- settings ----------------------------------------------------------- */

static void
test_min_score (void)
{
  Overlay overlay;

  overlay_init (&overlay, "RGB", 128, 96);
  g_object_set (overlay.element, "min-score", 0.95, NULL);
  overlay_check_passes (&overlay, overlay_one_box (0));
  g_object_set (overlay.element, "min-score", 0.85, NULL);
  g_assert_cmpuint (overlay_count_drawn (&overlay, 0, overlay_one_box (0)), >,
      0);
  overlay_clear (&overlay);
}

static void
test_tasks (void)
{
  g_autofree char *tasks = NULL;
  Overlay overlay;

  overlay_init (&overlay, "RGB", 128, 96);
  g_object_set (overlay.element, "tasks", "others, more", NULL);
  g_object_get (overlay.element, "tasks", &tasks, NULL);
  g_assert_cmpstr (tasks, ==, "others,more");
  overlay_check_passes (&overlay, overlay_one_box (0));
  g_object_set (overlay.element, "tasks", "others, things", NULL);
  g_assert_cmpuint (overlay_count_drawn (&overlay, 0, overlay_one_box (0)), >,
      0);
  g_object_set (overlay.element, "tasks", NULL, NULL);
  g_assert_cmpuint (overlay_count_drawn (&overlay, 0, overlay_one_box (0)), >,
      0);
  overlay_clear (&overlay);
}

static GstStructure *
values_of (const char *kind, gfloat first)
{
  const gfloat values[] = { first, 0.3f, 0.1f, 0.05f };
  GstStructure *result = test_result (GST_UMEDPT_RESULT_VALUES, kind, 0);

  test_set_bytes (result, "values", values, sizeof values);
  return result;
}

static void
test_values (void)
{
  Overlay overlay;

  overlay_init (&overlay, "RGB", 128, 96);
  g_assert_cmpuint (overlay_count_drawn (&overlay, 0,
                        values_of ("regression", 7)),
      >, overlay_count_drawn (&overlay, 0, values_of ("classification", 0.9f)));
  g_assert_cmpuint (overlay_count_drawn (&overlay, 0,
                        values_of ("multilabel", 0.9f)),
      >, 0);
  overlay_check_passes (&overlay, values_of ("multilabel", 0.2f));
  g_object_set (overlay.element, "min-score", 0.95, NULL);
  overlay_check_passes (&overlay, values_of ("classification", 0.9f));
  overlay_clear (&overlay);
}

/* In the lower left corner, also on frames without results, until another
 * stream comes. */
static void
test_legend (void)
{
  g_autoptr (GstBuffer) first = NULL, second = NULL;
  Overlay overlay;

  overlay_init (&overlay, "RGB", 128, 96);
  g_object_set (overlay.element, "legend", TRUE, "draw-boxes", TRUE, NULL);
  overlay_check_passes (&overlay, NULL);
  first = overlay_draw (&overlay, 0, test_boxes (0, NULL, 0));
  second = overlay_draw (&overlay, FRAME_TIME, NULL);
  g_assert_cmpuint (overlay_count_in (&overlay, first, 0, 0, 48, 64, 96), >,
      600);
  g_assert_cmpuint (overlay_count (&overlay, first), ==,
      overlay_count (&overlay, second));
  overlay_begin_stream (&overlay, "another");
  overlay_check_passes (&overlay, NULL);
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
    { "passes", test_passes },
    { "shared", test_shared },
    { "outline", test_outline },
    { "corners", test_corners },
    { "labels", test_labels },
    { "matrix", test_matrix },
    { "alpha", test_alpha },
    { "contour", test_contour },
    { "closed", test_closed },
    { "planes", test_planes },
    { "formats", test_formats },
    { "pictures", test_pictures },
    { "min-score", test_min_score },
    { "tasks", test_tasks },
    { "values", test_values },
    { "legend", test_legend },
  };

  test_init (&argc, &argv);
  for (guint i = 0; i < G_N_ELEMENTS (tests); i++) {
    g_autofree char *path = g_strconcat ("/gst/overlay/", tests[i].path, NULL);
    g_test_add_func (path, tests[i].func);
  }
  return test_run ();
}
