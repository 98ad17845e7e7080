/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The report of a training run, made of a log that the test writes: what must
 * be in the page, what must not (scripts, addresses, unescaped text), and what
 * happens to damaged logs. `test-run-report FOLDER` leaves the files for
 * read-events.py, which reads the event file as TensorBoard does.
 */
#include <glib/gstdio.h>
#include <string.h>

#include "base/error.h"
#include "output/draw.h"
#include "output/run-log.h"
#include "output/run-report.h"

static const char log_text[] =
    "{\"type\":\"start\",\"version\":\"0.1\",\"command\":[\"umedpt-train\","
    "\"run\",\"<a&b>.ini\"],\"seed\":7,\"device\":\"cpu\"}\n"
    "{\"type\":\"round\",\"round\":1,\"epoch\":1,\"losses\":{\"cells\":1.5,"
    "\"cells2\":0.5},\"lr\":0.001,\"grad_norm\":null}\n"
    "{\"type\":\"round\",\"round\":2,\"epoch\":1,\"losses\":{\"cells\":1.25,"
    "\"cells2\":0.25},\"lr\":0.0005,\"grad_norm\":3.5}\n"
    "{\"type\":\"validation\",\"round\":2,\"epoch\":1,\"score\":0.75,\"best\":"
    "true,\"tasks\":{\"cells\":{\"loss\":0.75,\"labels\":[\"a<b\",\"c\"],"
    "\"metrics\":{\"f1\":0.875},\"per_class\":{\"a<b\":{\"f1\":0.5}},"
    "\"confusion\":[[3,1],[0,4]]}}}\n"
    "{\"type\":\"stop\",\"reason\":\"finished\"}\n";

static void
make_run (const char *folder, const char *text)
{
  g_autofree char *path = g_build_filename (folder, "log.jsonl", NULL);
  g_autofree char *config = g_build_filename (folder, "config.ini", NULL);
  g_autoptr (GError) error = NULL;

  g_file_set_contents (path, text, -1, &error);
  g_assert_no_error (error);
  g_file_set_contents (config, "[train]\nseed=7 # <&>\n", -1, &error);
  g_assert_no_error (error);
}

static void
remove_folder (const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree char *path = g_build_filename (folder, name, NULL);
    if (g_file_test (path, G_FILE_TEST_IS_DIR))
      remove_folder (path);
    else
      g_unlink (path);
  }
  g_rmdir (folder);
}

static void
add_picture (const char *folder)
{
  static const guint8 mask[16] = { 0, 0, 1, 1, 0, 0, 1, 1, 255 };
  static const gfloat image[48] = { 0.5f, 1.5f, -1.0f };
  const UmedptBox box = { 0.5f, 0.5f, 3.0f, 2.0f, 1, 0.75f };
  const char *labels[] = { "a", "b", NULL };
  g_autoptr (GArray) boxes = g_array_new (FALSE, FALSE, sizeof box);
  g_autoptr (UmedptPicture) picture = umedpt_picture_new (image, 4, 4);
  g_autofree char *dir = g_build_filename (folder, "pictures", "cells", NULL);
  g_autofree char *path = g_build_filename (dir, "0.png", NULL);
  g_autoptr (GError) error = NULL;

  g_array_append_val (boxes, box);
  umedpt_picture_draw_mask (picture, mask, 1, TRUE, NULL, 0.4);
  umedpt_picture_draw_boxes (picture, boxes, labels, NULL, TRUE);
  umedpt_picture_draw_caption (picture, "truth: a\nfound: b");
  g_assert_cmpint (g_mkdir_with_parents (dir, 0755), ==, 0);
  umedpt_picture_save_png (picture, path, &error);
  g_assert_no_error (error);
}

static void
assert_contains (const char *html, const char *part)
{
  if (!strstr (html, part))
    g_error ("the report lacks: %s", part);
}

static void
test_report (void)
{
  g_autofree char *folder = g_dir_make_tmp ("umedpt-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "report.html", NULL);
  g_autofree char *html = NULL;
  g_autoptr (GError) error = NULL;

  make_run (folder, log_text);
  add_picture (folder);
  umedpt_run_report_write (folder, &error);
  g_assert_no_error (error);
  g_assert_true (g_file_get_contents (path, &html, NULL, NULL));
  assert_contains (html, "&lt;a&amp;b&gt;.ini");
  assert_contains (html, "a&lt;b");
  assert_contains (html, "seed=7 # &lt;&amp;&gt;");
  assert_contains (html, "<polyline");
  assert_contains (html, "rgba(0,158,115,75%)'>3</td>");
  assert_contains (html, "<td>f1</td><td>0.875</td>");
  assert_contains (html, "data:image/png;base64,iVBOR");
  assert_contains (html, "The run ended: finished.");
  g_assert_null (strstr (html, "<script"));
  g_assert_null (strstr (html, "http"));
  g_assert_null (strstr (html, "nan"));
  remove_folder (folder);
}

/* A process that was killed leaves half a line; anything else is damage. */
static void
test_damaged (void)
{
  static const char *const bad[] = { "{\"type\":\"round\"\n", "[1]\n", "\n",
    "{\"a\":1e999}\n" };
  g_autofree char *folder = g_dir_make_tmp ("umedpt-XXXXXX", NULL);
  g_autofree char *half = g_strconcat (log_text, "{\"type\":\"rou", NULL);
  g_autofree char *log = g_build_filename (folder, "log.jsonl", NULL);
  g_autoptr (GPtrArray) events = NULL;
  g_autoptr (GError) error = NULL;

  make_run (folder, half);
  events = umedpt_run_log_read (folder, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (events->len, ==, 5);
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autofree char *text = g_strconcat (log_text, bad[i], NULL);

    make_run (folder, text);
    g_assert_null (umedpt_run_log_read (folder, &error));
    g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT);
    g_assert_nonnull (strstr (error->message, "Line 6 of "));
    g_clear_error (&error);
  }
  g_unlink (log);
  g_assert_false (umedpt_run_report_write (folder, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_IO);
  remove_folder (folder);
}

/* Writes half of the log through a writer, then opens a second one, as a run
 * that is resumed does: one file with everything must remain. */
static int
leave_events (const char *folder)
{
  g_autoptr (UmedptEventWriter) first = NULL;
  g_autoptr (UmedptEventWriter) second = NULL;
  g_autoptr (GError) error = NULL;

  make_run (folder, log_text);
  first = umedpt_event_writer_new (folder, &error);
  g_assert_no_error (error);
  second = umedpt_event_writer_new (folder, &error);
  g_assert_no_error (error);
  umedpt_event_writer_add (second,
      "{\"type\":\"round\",\"round\":300,\"lr\":0.25}", &error);
  g_assert_no_error (error);
  return 0;
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  if (argc > 1)
    return leave_events (argv[1]);
  g_test_add_func ("/run-report/page", test_report);
  g_test_add_func ("/run-report/damaged", test_damaged);
  return g_test_run ();
}
