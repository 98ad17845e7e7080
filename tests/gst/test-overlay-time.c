/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What umedptoverlay makes of time stamps: the age of results, what is shown
 * and kept by hysteresis, and what a seek or another stream changes.
 */
#include "overlay.h"

/* --- state -------------------------------------------------------------- */

static void
check_state (Overlay *overlay, const char *wanted)
{
  g_autoptr (GstStructure) stats = NULL;

  g_object_get (overlay->element, "stats", &stats, NULL);
  g_assert_cmpstr (gst_structure_get_string (stats, "state"), ==, wanted);
}

/* The mark of a frame at @pts with a result that is @age old (NONE: without
 * result), by which others are compared. (transfer full) */
static GBytes *
get_mark (Overlay *overlay, GstClockTime pts, GstClockTime age)
{
  GstStructure *result =
      GST_CLOCK_TIME_IS_VALID (age) ? test_boxes (pts - age, NULL, 0) : NULL;
  g_autoptr (GstBuffer) out = overlay_draw (overlay, pts, result);
  gpointer copy = NULL;
  gsize size = 0;

  g_assert_cmpuint (overlay_count_in (overlay, out, 0, 0, 0, 64, 48), >, 100);
  g_assert_cmpuint (overlay_count_in (overlay, out, 0, 0, 48, 160, 96), ==, 0);
  gst_buffer_extract_dup (out, 0, (gsize) -1, &copy, &size);
  return g_bytes_new_take (copy, size);
}

static void
test_state (void)
{
  g_autoptr (GBytes) none = NULL, ready = NULL, aged = NULL, stale = NULL,
                     alike = NULL, older = NULL;
  Overlay overlay;

  overlay_init (&overlay, "RGB", 160, 96);
  g_object_set (overlay.element, "show-state", TRUE, NULL);
  none = get_mark (&overlay, 0, GST_CLOCK_TIME_NONE);
  check_state (&overlay, "no-model");
  ready = get_mark (&overlay, GST_SECOND, 0);
  check_state (&overlay, "ready");
  aged = get_mark (&overlay, GST_SECOND, 250 * GST_MSECOND);
  check_state (&overlay, "ready");
  stale = get_mark (&overlay, GST_SECOND, 320 * GST_MSECOND);
  check_state (&overlay, "stale");
  alike = get_mark (&overlay, GST_SECOND, 327 * GST_MSECOND);
  older = get_mark (&overlay, GST_SECOND, 900 * GST_MSECOND);
  g_assert_false (g_bytes_equal (none, ready));
  g_assert_true (g_bytes_equal (ready, aged));
  g_assert_false (g_bytes_equal (ready, stale));
  g_assert_true (g_bytes_equal (stale, alike));
  g_assert_false (g_bytes_equal (stale, older));
  overlay_clear (&overlay);
}

/* Frames without results get older and older. */
static void
test_state_without_results (void)
{
  Overlay overlay;

  overlay_init (&overlay, "RGB", 64, 48);
  overlay_count_drawn (&overlay, 0, overlay_one_box (0));
  check_state (&overlay, "ready");
  overlay_count_drawn (&overlay, 250 * GST_MSECOND, NULL);
  check_state (&overlay, "ready");
  overlay_count_drawn (&overlay, 251 * GST_MSECOND, NULL);
  check_state (&overlay, "stale");
  g_assert_cmpuint (test_stat (overlay.element, "age-p95"), ==,
      250 * GST_MSECOND);
  /* the model is still there after a seek; its results are not */
  overlay_flush (&overlay, 1);
  overlay_count_drawn (&overlay, GST_MSECOND, NULL);
  check_state (&overlay, "stale");
  overlay_count_drawn (&overlay, GST_MSECOND, overlay_one_box (GST_MSECOND));
  check_state (&overlay, "ready");
  overlay_begin_stream (&overlay, "another");
  overlay_count_drawn (&overlay, 0, NULL);
  check_state (&overlay, "no-model");
  /* without time stamps a result is as good as new */
  overlay_count_drawn (&overlay, GST_CLOCK_TIME_NONE, overlay_one_box (0));
  check_state (&overlay, "ready");
  overlay_clear (&overlay);
}

/* Of several tasks the oldest result counts. */
static void
test_state_of_tasks (void)
{
  GstBuffer *buffer = NULL;
  Overlay overlay;

  overlay_init (&overlay, "RGB", 64, 48);
  for (guint order = 0; order < 2; order++) {
    const GstClockTime now = GST_SECOND, old = 600 * GST_MSECOND;

    buffer = overlay_frame (&overlay, now);
    test_attach (buffer, "a", overlay_one_box (order ? now : old));
    test_attach (buffer, "b", overlay_one_box (order ? old : now));
    gst_buffer_unref (overlay_pass (&overlay, buffer));
    check_state (&overlay, "stale");
  }
  overlay_clear (&overlay);
}

/* --- hysteresis --------------------------------------------------------- */

/* Frame number @i: is anything drawn, with the box, or without? */
static gboolean
shows (Overlay *overlay, guint i, gboolean found)
{
  return overlay_count_drawn (overlay, i * FRAME_TIME,
             found ? overlay_one_box (i * FRAME_TIME) : NULL) > 0;
}

static void
hysteresis_init (Overlay *overlay)
{
  overlay_init (overlay, "RGB", 128, 96);
  g_object_set (overlay->element, "show-after-hits", 3, "show-window",
      200 * GST_MSECOND, "hold", 100 * GST_MSECOND, NULL);
}

static void
test_hysteresis (void)
{
  Overlay overlay;

  hysteresis_init (&overlay);
  g_assert_false (shows (&overlay, 0, TRUE));
  g_assert_false (shows (&overlay, 1, TRUE));
  g_assert_true (shows (&overlay, 2, TRUE));
  g_assert_true (shows (&overlay, 3, FALSE)); /* 40 ms */
  g_assert_true (shows (&overlay, 4, FALSE)); /* 80 ms */
  g_assert_false (shows (&overlay, 5, FALSE)); /* 120 ms */
  g_assert_false (shows (&overlay, 20, TRUE)); /* anew */
  g_assert_false (shows (&overlay, 21, TRUE));
  g_assert_true (shows (&overlay, 22, TRUE));
  overlay_clear (&overlay);
}

/* A result that is held is one hit, on however many frames. */
static void
test_hysteresis_held (void)
{
  Overlay overlay;

  hysteresis_init (&overlay);
  for (guint i = 0; i < 4; i++)
    g_assert_cmpuint (overlay_count_drawn (&overlay, i * FRAME_TIME,
                          overlay_one_box (0)),
        ==, 0);
  g_assert_false (shows (&overlay, 4, TRUE));
  g_assert_true (shows (&overlay, 5, TRUE));
  overlay_clear (&overlay);
}

static void
test_hysteresis_flush (void)
{
  Overlay overlay;

  hysteresis_init (&overlay);
  for (guint i = 0; i < 3; i++)
    shows (&overlay, i, TRUE);
  g_assert_true (shows (&overlay, 3, FALSE));
  overlay_flush (&overlay, 1);
  g_assert_false (shows (&overlay, 3, FALSE));
  g_assert_false (shows (&overlay, 4, TRUE));
  /* back without a flush */
  shows (&overlay, 5, TRUE);
  g_assert_true (shows (&overlay, 6, TRUE));
  g_assert_false (shows (&overlay, 0, TRUE));
  shows (&overlay, 1, TRUE);
  g_assert_true (shows (&overlay, 2, TRUE));
  /* another size: other places */
  overlay_set_caps (&overlay, "RGB", 96, 128);
  g_assert_false (shows (&overlay, 3, TRUE));
  overlay_clear (&overlay);
}

/* Played backwards, time runs the other way. */
static void
test_hysteresis_backward (void)
{
  Overlay overlay;

  hysteresis_init (&overlay);
  overlay_flush (&overlay, -1);
  g_assert_false (shows (&overlay, 20, TRUE));
  g_assert_false (shows (&overlay, 19, TRUE));
  g_assert_true (shows (&overlay, 18, TRUE));
  g_assert_true (shows (&overlay, 17, FALSE));
  g_assert_false (shows (&overlay, 14, FALSE));
  overlay_clear (&overlay);
}

/* Without time stamps there is none, and nothing is held back. */
static void
test_hysteresis_untimed (void)
{
  Overlay overlay;

  hysteresis_init (&overlay);
  g_assert_cmpuint (overlay_count_drawn (&overlay, GST_CLOCK_TIME_NONE,
                        overlay_one_box (0)),
      >, 0);
  g_assert_cmpuint (overlay_count_drawn (&overlay, GST_CLOCK_TIME_NONE, NULL),
      ==, 0);
  overlay_clear (&overlay);
}

static void
test_pending (void)
{
  g_autoptr (GstBuffer) out = NULL;
  Overlay overlay;

  hysteresis_init (&overlay);
  g_object_set (overlay.element, "show-pending", TRUE, NULL);
  out = overlay_draw (&overlay, 0, overlay_one_box (0));
  g_assert_cmphex (overlay_pixel (&overlay, out, 40, 40), ==, ORANGE);
  g_assert_cmphex (overlay_pixel (&overlay, out, 20, 30), ==, 0x606060);
  g_assert_cmpuint (overlay_count (&overlay, out), <, 12 * 12 * 3);
  overlay_clear (&overlay);
}

/* A region of a mask comes and goes like a box, apart from another of its
 * class that is there all the time. */
static guint
count_right (Overlay *overlay, guint i, gboolean left, gboolean right,
    gint planes)
{
  g_autofree guint8 *mask = g_malloc0 (16 * 12 * (gsize) planes);
  g_autoptr (GstBuffer) out = NULL;

  for (gint y = 4; y < 8; y++)
    for (gint x = 0; x < 16; x++)
      if ((left && x >= 2 && x < 6) || (right && x >= 10 && x < 14))
        mask[(y * 16 + x) * planes + (planes > 1)] = 1;
  out = overlay_draw (overlay, i * FRAME_TIME,
      test_mask (i * FRAME_TIME, mask, 16, 12, planes, 128, 96));
  if (i >= 2 && left)
    g_assert_cmpuint (overlay_count_in (overlay, out, 0, 0, 0, 64, 96), >, 0);
  return overlay_count_in (overlay, out, 0, 64, 0, 128, 96);
}

static void
check_regions (gint planes)
{
  Overlay overlay;

  hysteresis_init (&overlay);
  for (guint i = 0; i < 4; i++)
    g_assert_cmpuint (count_right (&overlay, i, TRUE, FALSE, planes), ==, 0);
  g_assert_cmpuint (count_right (&overlay, 4, TRUE, TRUE, planes), ==, 0);
  g_assert_cmpuint (count_right (&overlay, 5, TRUE, FALSE, planes), ==, 0);
  g_assert_cmpuint (count_right (&overlay, 6, TRUE, TRUE, planes), ==, 0);
  g_assert_cmpuint (count_right (&overlay, 7, TRUE, TRUE, planes), >, 0);
  g_assert_cmpuint (count_right (&overlay, 8, TRUE, FALSE, planes), >, 0);
  g_assert_cmpuint (overlay_count_drawn (&overlay, 9 * FRAME_TIME, NULL), >, 0);
  g_assert_cmpuint (count_right (&overlay, 10, TRUE, FALSE, planes), ==, 0);
  g_assert_cmpuint (overlay_count_drawn (&overlay, 20 * FRAME_TIME, NULL), ==,
      0);
  overlay_clear (&overlay);
}

static void
test_regions (void)
{
  check_regions (1);
  check_regions (3);
}

/* --- statistics --------------------------------------------------------- */

static void
test_stats (void)
{
  Overlay overlay;

  overlay_init (&overlay, "NV12", 128, 96);
  for (guint i = 0; i < 20; i++)
    gst_buffer_unref (overlay_draw (&overlay, GST_SECOND,
        overlay_one_box (GST_SECOND - i * GST_MSECOND)));
  g_assert_cmpuint (test_stat (overlay.element, "frames"), ==, 20);
  g_assert_cmpuint (test_stat (overlay.element, "drawn"), ==, 20);
  g_assert_cmpuint (test_stat (overlay.element, "age-p50"), ==,
      9 * GST_MSECOND);
  g_assert_cmpuint (test_stat (overlay.element, "age-p95"), ==,
      18 * GST_MSECOND);
  g_assert_cmpuint (test_stat (overlay.element, "draw-p50"), >, 0);
  g_assert_cmpuint (test_stat (overlay.element, "draw-p95"), >=,
      test_stat (overlay.element, "draw-p50"));
  overlay_clear (&overlay);
}

/* Every property while it plays, and the element again and again. */
static void
test_restart (void)
{
  Overlay overlay;

  overlay_init (&overlay, "RGB", 64, 48);
  for (guint i = 0; i < 3; i++) {
    overlay_count_drawn (&overlay, 0, overlay_one_box (0));
    g_assert_cmpint (gst_element_set_state (overlay.element, GST_STATE_NULL),
        ==, GST_STATE_CHANGE_SUCCESS);
    g_assert_cmpint (gst_element_set_state (overlay.element, GST_STATE_PLAYING),
        !=, GST_STATE_CHANGE_FAILURE);
    overlay_begin_stream (&overlay, "again");
    check_state (&overlay, "no-model");
    g_assert_cmpuint (test_stat (overlay.element, "frames"), ==, 0);
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
    { "state", test_state },
    { "state-without-results", test_state_without_results },
    { "state-of-tasks", test_state_of_tasks },
    { "hysteresis", test_hysteresis },
    { "hysteresis-held", test_hysteresis_held },
    { "hysteresis-flush", test_hysteresis_flush },
    { "hysteresis-backward", test_hysteresis_backward },
    { "hysteresis-untimed", test_hysteresis_untimed },
    { "pending", test_pending },
    { "regions", test_regions },
    { "stats", test_stats },
    { "restart", test_restart },
  };

  test_init (&argc, &argv);
  for (guint i = 0; i < G_N_ELEMENTS (tests); i++) {
    g_autofree char *path = g_strconcat ("/gst/overlay/", tests[i].path, NULL);
    g_test_add_func (path, tests[i].func);
  }
  return test_run ();
}
