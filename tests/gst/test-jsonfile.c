/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The file of umedptjson: it holds every line as soon as the buffer is through,
 * is begun anew or continued as asked, and whatever is wrong with it is one
 * error and never the end of the process. Pipes that nobody reads, or that
 * their reader leaves, included.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common.h"
#include "stream.h"

#define LINE_START "{\"schema\":1,\"frame\":"

static GstElement *
new_json (const char *path, gboolean append)
{
  GstElement *element = gst_element_factory_make ("umedptjson", NULL);

  g_assert_nonnull (element);
  g_object_set (element, "location", path, "append", append, NULL);
  return gst_object_ref_sink (element);
}

/* A playing one. */
static GstHarness *
new_harness (const char *path, gboolean append)
{
  GstElement *element = new_json (path, append);
  GstHarness *h = gst_harness_new_with_element (element, "sink", "src");

  gst_harness_set_src_caps_str (h, "application/x-something");
  gst_object_unref (element);
  return h;
}

static GstFlowReturn
push (GstHarness *h)
{
  GstBuffer *buffer = gst_buffer_new ();

  GST_BUFFER_PTS (buffer) = 7;
  return gst_harness_push (h, buffer);
}

static void
expect_lines (const char *path, guint wanted)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  if (wanted == 0) {
    g_assert_cmpstr (text, ==, "");
    return;
  }
  g_assert_true (g_str_has_suffix (text, "\n"));
  lines = g_strsplit (text, "\n", -1);
  g_assert_cmpuint (g_strv_length (lines), ==, wanted + 1);
  for (guint i = 0; i < wanted; i++)
    g_assert_true (g_str_has_prefix (lines[i], LINE_START));
}

/* --- plain files -------------------------------------------------------- */

/* As after a crash: the file is read while the element runs. */
static void
test_at_once (void)
{
  g_autofree char *path = test_path ("lines.jsonl");
  GstHarness *h = new_harness (path, FALSE);

  expect_lines (path, 0);
  for (guint i = 1; i <= 3; i++) {
    g_assert_cmpint (push (h), ==, GST_FLOW_OK);
    expect_lines (path, i);
  }
  g_object_set (h->element, "flush-every-line", FALSE, NULL);
  g_assert_cmpint (push (h), ==, GST_FLOW_OK);
  g_assert_cmpint (push (h), ==, GST_FLOW_OK);
  expect_lines (path, 3);
  g_assert_true (gst_harness_push_event (h, gst_event_new_eos ()));
  expect_lines (path, 5);
  gst_harness_teardown (h);
  expect_lines (path, 5);
}

/* What is collected is not kept for ever, nor lost when it ends early. */
static void
test_collected (void)
{
  g_autofree char *path = test_path ("collected.jsonl");
  GstHarness *h = new_harness (path, FALSE);
  struct stat status;

  g_object_set (h->element, "flush-every-line", FALSE, NULL);
  for (guint i = 0; i < 1000; i++)
    g_assert_cmpint (push (h), ==, GST_FLOW_OK);
  g_assert_cmpint (stat (path, &status), ==, 0);
  g_assert_cmpint (status.st_size, >=, 64 * 1024);
  gst_harness_teardown (h);
  expect_lines (path, 1000);
}

static void
test_again (void)
{
  g_autofree char *path = test_path ("again.jsonl");
  GstHarness *h = new_harness (path, FALSE);
  FILE *file = NULL;

  push (h);
  push (h);
  gst_harness_teardown (h);
  h = new_harness (path, TRUE);
  push (h);
  gst_harness_teardown (h);
  expect_lines (path, 3);

  /* half a line, as a crash or a full disk leaves it */
  file = fopen (path, "a");
  fputs (LINE_START, file);
  fclose (file);
  h = new_harness (path, TRUE);
  push (h);
  gst_harness_teardown (h);
  expect_lines (path, 5);

  h = new_harness (path, FALSE);
  push (h);
  /* from READY on it is a new run, with the frames counted anew */
  gst_element_set_state (h->element, GST_STATE_READY);
  expect_lines (path, 1);
  gst_element_set_state (h->element, GST_STATE_PLAYING);
  expect_lines (path, 0);
  gst_harness_teardown (h);
}

/* What a log rotation empties does not get a hole at its beginning. */
static void
test_emptied (void)
{
  g_autofree char *path = test_path ("emptied.jsonl");
  GstHarness *h = new_harness (path, FALSE);

  push (h);
  g_assert_cmpint (truncate (path, 0), ==, 0);
  push (h);
  expect_lines (path, 1);
  gst_harness_teardown (h);
}

/* --- errors ------------------------------------------------------------- */

static void
test_start_errors (void)
{
  g_autofree char *missing = test_path ("no-such-folder/lines.jsonl");
  g_autofree char *folder = test_path ("");
  g_autofree char *pipe = test_path ("unread");
  const struct
  {
    const char *path;
    gint code;
    const char *says;
  } rows[] = {
    { NULL, GST_RESOURCE_ERROR_SETTINGS, "location" },
    { "", GST_RESOURCE_ERROR_SETTINGS, "location" },
    { "-", GST_RESOURCE_ERROR_SETTINGS, "output=text" },
    { missing, GST_RESOURCE_ERROR_NOT_FOUND, "Make the folder" },
    { folder, GST_RESOURCE_ERROR_WRITE, "name of a file" },
    { pipe, GST_RESOURCE_ERROR_WRITE, "start its reader" },
  };

  g_assert_cmpint (mkfifo (pipe, 0600), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    GstElement *element = new_json (rows[i].path, FALSE);
    g_autoptr (GError) error = test_start_error (element);

    g_assert_error (error, GST_RESOURCE_ERROR, rows[i].code);
    g_assert_nonnull (strstr (error->message, rows[i].says));
    gst_object_unref (element);
  }
}

/* Pushes until it fails; one error with that code, then silence. */
static void
expect_failure (GstHarness *h, gint code, const char *says)
{
  g_autoptr (GstBus) bus = test_bus (h->element);
  g_autoptr (GstMessage) message = NULL;
  g_autoptr (GError) error = NULL;
  GstFlowReturn flow = GST_FLOW_OK;

  for (guint i = 0; i < 1000 && flow == GST_FLOW_OK; i++)
    flow = push (h);
  g_assert_cmpint (flow, ==, GST_FLOW_ERROR);
  message = test_pop (bus, GST_MESSAGE_ERROR);
  g_assert_nonnull (message);
  gst_message_parse_error (message, &error, NULL);
  g_test_message ("%s", error->message);
  g_assert_error (error, GST_RESOURCE_ERROR, code);
  g_assert_nonnull (strstr (error->message, says));
  g_clear_pointer (&message, gst_message_unref);

  g_assert_cmpint (push (h), ==, GST_FLOW_ERROR);
  gst_harness_push_event (h, gst_event_new_eos ());
  gst_element_set_state (h->element, GST_STATE_NULL);
  message = test_pop (bus, GST_MESSAGE_ERROR);
  g_assert_null (message);
  gst_element_set_bus (h->element, NULL);
  gst_harness_teardown (h);
}

static void
test_full_disk (void)
{
  if (!g_file_test ("/dev/full", G_FILE_TEST_EXISTS)) {
    g_test_skip ("there is no /dev/full");
    return;
  }
  expect_failure (new_harness ("/dev/full", FALSE),
      GST_RESOURCE_ERROR_NO_SPACE_LEFT, "Free some space");
}

/* Those downstream that complete files hear of it. */
static void
test_tells (void)
{
  GstHarness *h = new_harness ("/dev/full", FALSE);
  gboolean told = FALSE;
  GstEvent *event = NULL;

  g_assert_cmpint (push (h), ==, GST_FLOW_ERROR);
  while ((event = gst_harness_try_pull_event (h))) {
    told = told || gst_event_has_name (event, "umedpt-failed");
    gst_event_unref (event);
  }
  g_assert_true (told);
  gst_harness_teardown (h);
}

/* As with `ulimit -f`, whose signal ends a process that does not expect it. */
static void
test_size_limit (void)
{
  g_autofree char *path = test_path ("limited.jsonl");
  struct rlimit before, limit;

  g_assert_cmpint (getrlimit (RLIMIT_FSIZE, &before), ==, 0);
  limit = before;
  limit.rlim_cur = 1000;
  g_assert_cmpint (setrlimit (RLIMIT_FSIZE, &limit), ==, 0);
  expect_failure (new_harness (path, FALSE), GST_RESOURCE_ERROR_NO_SPACE_LEFT,
      "ulimit");
  g_assert_cmpint (setrlimit (RLIMIT_FSIZE, &before), ==, 0);
}

/* --- pipes -------------------------------------------------------------- */

/* A pipe with a reader; its descriptor in @reader. */
static char *
make_pipe (const char *name, int *reader)
{
  char *path = test_path (name);

  g_assert_cmpint (mkfifo (path, 0600), ==, 0);
  *reader = open (path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  g_assert_cmpint (*reader, >=, 0);
  return path;
}

/* All that is there and comes until nothing has come for a while. */
static GString *
read_all (int reader)
{
  GString *text = g_string_new (NULL);
  char data[4096];

  for (guint quiet = 0; quiet < 50;) {
    ssize_t n = read (reader, data, sizeof data);
    if (n > 0) {
      g_string_append_len (text, data, n);
      quiet = 0;
    } else {
      g_usleep (2000);
      quiet++;
    }
  }
  return text;
}

static void
test_reader_leaves (void)
{
  int reader = -1;
  g_autofree char *path = make_pipe ("left", &reader);
  GstHarness *h = new_harness (path, FALSE);

  push (h);
  close (reader);
  expect_failure (h, GST_RESOURCE_ERROR_WRITE, "reader of this pipe has left");
}

static gpointer
push_1000 (gpointer data)
{
  gint pushed = 0;

  while (pushed < 1000 && push (data) == GST_FLOW_OK)
    pushed++;
  return GINT_TO_POINTER (pushed);
}

/* A pipe holds 64 KiB; the lines are more. */
static void
test_slow_reader (void)
{
  int reader = -1;
  g_autofree char *path = make_pipe ("slow", &reader);
  GstHarness *h = new_harness (path, FALSE);
  GThread *thread = g_thread_new ("push", push_1000, h);
  GString *text = NULL;
  guint lines = 0;

  g_usleep (100000);
  text = read_all (reader);
  g_assert_cmpint (GPOINTER_TO_INT (g_thread_join (thread)), ==, 1000);
  for (gsize i = 0; i < text->len; i++)
    lines += text->str[i] == '\n';
  g_assert_cmpuint (lines, ==, 1000);
  g_string_free (text, TRUE);
  gst_harness_teardown (h);
  close (reader);
}

/* Nobody reads: whoever waits is woken when it is time to stop. */
static void
test_stop_while_waiting (void)
{
  int reader = -1;
  g_autofree char *path = make_pipe ("stuck", &reader);
  GstHarness *h = new_harness (path, FALSE);
  GThread *thread = g_thread_new ("push", push_1000, h);

  g_usleep (100000);
  gst_element_set_state (h->element, GST_STATE_NULL);
  g_assert_cmpint (GPOINTER_TO_INT (g_thread_join (thread)), <, 1000);
  gst_harness_teardown (h);
  close (reader);
}

/* A flush wakes it as well, and cuts no line short. */
static void
test_flush_while_waiting (void)
{
  int reader = -1;
  g_autofree char *path = make_pipe ("flushed", &reader);
  GstHarness *h = new_harness (path, FALSE);
  GThread *thread = g_thread_new ("push", push_1000, h);
  g_auto (GStrv) lines = NULL;
  GString *text = NULL, *rest = NULL;
  GstSegment segment;

  g_usleep (100000);
  gst_harness_push_event (h, gst_event_new_flush_start ());
  g_assert_cmpint (GPOINTER_TO_INT (g_thread_join (thread)), <, 1000);
  gst_harness_push_event (h, gst_event_new_flush_stop (TRUE));
  gst_segment_init (&segment, GST_FORMAT_TIME);
  gst_harness_push_event (h, gst_event_new_segment (&segment));
  text = read_all (reader);
  g_assert_cmpint (push (h), ==, GST_FLOW_OK);
  rest = read_all (reader);
  g_string_append (text, rest->str);
  lines = g_strsplit (text->str, "\n", -1);
  g_assert_cmpuint (g_strv_length (lines), >, 100);
  for (guint i = 0; lines[i + 1]; i++) {
    g_autofree char *start = g_strdup_printf (LINE_START "%u,", i);
    g_assert_true (g_str_has_prefix (lines[i], start));
    g_assert_true (g_str_has_suffix (lines[i], "}"));
  }
  g_string_free (rest, TRUE);
  g_string_free (text, TRUE);
  gst_harness_teardown (h);
  close (reader);
}

int
main (int argc, char **argv)
{
  test_init (&argc, &argv);
  g_test_add_func ("/jsonfile/at-once", test_at_once);
  g_test_add_func ("/jsonfile/collected", test_collected);
  g_test_add_func ("/jsonfile/again", test_again);
  g_test_add_func ("/jsonfile/emptied", test_emptied);
  g_test_add_func ("/jsonfile/start-errors", test_start_errors);
  g_test_add_func ("/jsonfile/full-disk", test_full_disk);
  g_test_add_func ("/jsonfile/tells", test_tells);
  g_test_add_func ("/jsonfile/size-limit", test_size_limit);
  g_test_add_func ("/jsonfile/reader-leaves", test_reader_leaves);
  g_test_add_func ("/jsonfile/slow-reader", test_slow_reader);
  g_test_add_func ("/jsonfile/stop-while-waiting", test_stop_while_waiting);
  g_test_add_func ("/jsonfile/flush-while-waiting", test_flush_while_waiting);
  return test_run ();
}
