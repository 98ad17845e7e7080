/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Frames of clips: that frame N is frame N, in whatever order and from however
 * many threads it is asked for, in containers with and without time stamps; and
 * that damage is refused in words, without a crash and without a line of
 * libav's own.
 */
#include <math.h>
#include <string.h>

#include <glib/gstdio.h>

#include "base/error.h"
#include "clip-fixture.h"
#include "data/clip.h"
#include "labelled.h"

#define N 40
#define ALL ((gsize) 64 << 20)

static const ClipFixture plain = { 70, 50, N, 12, 2, NULL };

static char *
write_clip (const char *name, const ClipFixture *clip)
{
  char *path;

  labelled_begin ();
  path = labelled_path (name);
  clip_fixture_write (path, clip);
  return path;
}

/* Studio range to 0 … 255; the codec loses a little. */
static void
check_frame (const UmedptImageFile *image, const ClipFixture *clip,
    guint number)
{
  double expected = (clip_fixture_luma (number) - 16) * 255.0 / 219;
  gsize n = (gsize) clip->width * (gsize) clip->height * 3;

  g_assert_cmpint (image->width, ==, clip->width);
  g_assert_cmpint (image->height, ==, clip->height);
  g_assert_cmpint (image->channels, ==, 3);
  g_assert_cmpfloat (image->max, ==, 255);
  for (gsize i = 0; i < n; i++)
    g_assert_cmpfloat (fabs (image->data[i] - expected), <, 2.5);
}

static void
read_and_check (UmedptClips *clips, const char *path, const ClipFixture *clip,
    guint number)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (UmedptImageFile) image =
      umedpt_clips_read (clips, path, number, &error);

  g_assert_no_error (error);
  check_frame (image, clip, number);
}

/* 7 and 40 have no common divisor: each frame once. */
static void
check_all (const char *path, const ClipFixture *clip, gsize max_bytes,
    gboolean want)
{
  g_autoptr (UmedptClips) clips = umedpt_clips_new (max_bytes);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; want && i < N; i++)
    umedpt_clips_want (clips, path, i);
  g_assert_cmpuint (umedpt_clips_count (clips, path, &error), ==, N);
  for (guint i = 0; i < N; i++)
    read_and_check (clips, path, clip, i * 7 % N);
  for (guint i = 0; i < N; i++)
    read_and_check (clips, path, clip, i);
}

static void
test_order (gconstpointer name)
{
  const gsize frame = 70 * 50 * 3;
  const ClipFixture clip = { 70, 50, N, 12,
    strcmp (name, "a.avi") == 0 || strcmp (name, "a.m4v") == 0 ? 0 : 2, NULL };
  g_autofree char *path = write_clip (name, &clip);

  check_all (path, &clip, ALL, TRUE);
  check_all (path, &clip, 6 * frame, TRUE); /* less than lies between keys */
  check_all (path, &clip, 0, FALSE); /* nothing is kept */
}

/* The codec of most clips, if this libav can encode it. Groups are open: frames
 * that are shown before a key frame are stored after it. */
static void
test_h264 (void)
{
  const ClipFixture clip = { 70, 50, N, 12, 3, "libx264" };
  g_autofree char *path = NULL;

  if (!clip_fixture_has (clip.codec)) {
    g_test_skip ("libav has no encoder libx264");
    return;
  }
  path = write_clip ("a.mp4", &clip);
  check_all (path, &clip, ALL, TRUE);
  check_all (path, &clip, 0, FALSE);
}

/* Frames of a group are decoded once. */
static void
test_kept (void)
{
  g_autofree char *path = write_clip ("a.mp4", &plain);
  g_autoptr (UmedptClips) clips = umedpt_clips_new (ALL);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < 6; i++)
    umedpt_clips_want (clips, path, i);
  read_and_check (clips, path, &plain, 3);
  g_assert_cmpint (g_unlink (path), ==, 0);
  for (guint i = 0; i < 6; i++)
    read_and_check (clips, path, &plain, i);
  /* 7 was not wanted, and the file is gone */
  g_assert_null (umedpt_clips_read (clips, path, 7, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NOT_FOUND);
}

typedef struct
{
  UmedptClips *clips;
  const char *path;
  guint seed;
} Job;

static gpointer
run_job (gpointer data)
{
  const Job *job = data;

  for (guint i = 0; i < 2 * N; i++)
    read_and_check (job->clips, job->path, &plain,
        (i * 11 + job->seed * 5) % N);
  return NULL;
}

static void
test_threads (void)
{
  g_autofree char *path = write_clip ("a.mp4", &plain);
  g_autoptr (UmedptClips) clips = umedpt_clips_new (20 * 70 * 50 * 3);
  GThread *threads[4];
  Job jobs[4];

  for (guint i = 0; i < N; i++)
    umedpt_clips_want (clips, path, i);
  for (guint i = 0; i < 4; i++) {
    jobs[i] = (Job){ clips, path, i };
    threads[i] = g_thread_new ("reader", run_job, &jobs[i]);
  }
  for (guint i = 0; i < 4; i++)
    g_thread_join (threads[i]);
}

static void
check_fails (const char *name, guint number, const char *word)
{
  g_autofree char *path = labelled_path (name);
  g_autoptr (UmedptClips) clips = umedpt_clips_new (ALL);
  g_autoptr (GError) error = NULL;
  gint level = clip_fixture_get_log_level ();

  g_assert_null (umedpt_clips_read (clips, path, number, &error));
  g_assert_nonnull (error);
  g_assert_true (error->domain == UMEDPT_ERROR);
  g_assert_nonnull (strstr (error->message, name));
  if (strstr (error->message, word) == NULL)
    g_error ("“%s” lacks “%s”", error->message, word);
  g_assert_cmpint (clip_fixture_get_log_level (), ==, level);
}

static void
test_wrong (void)
{
  g_autofree char *path = write_clip ("a.mp4", &plain), *sound = NULL;

  g_assert_true (g_file_test (path, G_FILE_TEST_EXISTS));
  check_fails ("a.mp4", N, "there is no frame 40");
  check_fails ("b.mp4", 0, "no file");
  labelled_text ("c.mp4", "no clip at all, but a few words of text");
  check_fails ("c.mp4", 0, "no video clip");
  labelled_write ("d.mp4", "", 0);
  check_fails ("d.mp4", 0, "no video clip");
  sound = labelled_path ("e.avi");
  clip_fixture_write_sound (sound);
  check_fails ("e.avi", 0, "no video stream");
  /* a play list would open what it names */
  labelled_text ("f.m3u8",
      "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\na.mp4\n#EXT-X-ENDLIST\n");
  check_fails ("f.m3u8", 0, "no video clip");
  labelled_text ("g.txt", "ffconcat version 1.0\nfile a.mp4\n");
  check_fails ("g.txt", 0, "no video clip");
}

/* Every frame of a file cut at @length is right, or an error. Returns how many
 * are right. Without @sure a frame of the last group may be another one: if its
 * neighbours are stored after it and are lost, Matroska has no way to tell. */
static guint
count_right (const char *name, const char *content, gsize length, gboolean sure)
{
  g_autofree char *path = labelled_path (name);
  g_autoptr (UmedptClips) clips = umedpt_clips_new (ALL);
  guint right = 0;

  labelled_write (name, content, (gssize) length);
  for (guint i = 0; i < N; i++)
    umedpt_clips_want (clips, path, i);
  for (guint i = 0; i < N; i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (UmedptImageFile) image =
        umedpt_clips_read (clips, path, i, &error);

    g_assert_true ((image == NULL) == (error != NULL));
    if (image != NULL && (sure || i < N - 4))
      check_frame (image, &plain, i);
    right += image != NULL;
  }
  return right;
}

/* The index of an MP4 file is at its end and needed, Matroska's is not. */
static void
test_truncated (gconstpointer name)
{
  g_autofree char *path = write_clip (name, &plain);
  g_autofree char *content = NULL;
  gsize length = 0;
  guint most = 0;

  g_assert_true (g_file_get_contents (path, &content, &length, NULL));
  for (gsize i = 0; i < length; i += 1 + length / 97)
    most = MAX (most, count_right (name, content, i, FALSE));
  if (strcmp (name, "a.mkv") == 0)
    g_assert_cmpuint (most, >, N / 2);
  g_assert_cmpuint (count_right (name, content, length, TRUE), ==, N);
}

/* Bytes changed in the middle: what comes out may be wrong where the codec has
 * no way to know, but nothing crashes and all sizes are right. */
static void
test_garbled (void)
{
  g_autofree char *path = write_clip ("a.mp4", &plain);
  g_autofree char *content = NULL;
  gsize length = 0;

  g_assert_true (g_file_get_contents (path, &content, &length, NULL));
  for (guint at = 0; at < 60; at++) {
    g_autofree char *copy = g_memdup2 (content, length);
    g_autoptr (UmedptClips) clips = umedpt_clips_new (ALL);

    for (guint i = 0; i < 4; i++)
      copy[(at * length / 60 + i * 13) % length] ^= (char) (0x55 + i);
    labelled_write ("a.mp4", copy, (gssize) length);
    for (guint i = 0; i < N; i += 5) {
      g_autoptr (GError) error = NULL;
      g_autoptr (UmedptImageFile) image =
          umedpt_clips_read (clips, path, i, &error);

      g_assert_true ((image == NULL) == (error != NULL));
    }
  }
}

/* Through the data set: the table's line in what is wrong, sparse frames. */
static void
test_dataset (void)
{
  g_autofree char *path = write_clip ("c 1.mp4", &plain);
  g_autoptr (UmedptDataset) dataset = NULL;
  g_autoptr (UmedptSample) sample = NULL;
  g_autofree guint16 *mask = g_new0 (guint16, 70 * 50);
  g_autofree char *problems = NULL;
  gint n_fatal;

  g_assert_true (g_file_test (path, G_FILE_TEST_EXISTS));
  mask[1] = 1;
  labelled_png ("m.png", 70, 50, 8, mask, FALSE);
  labelled_text ("classes.txt", "zero\none\n");
  labelled_text ("frames.csv",
      "clip,frame,mask,split\nc 1.mp4,17,m.png,val\nc 1.mp4,3,m.png,train\n"
      "c 1.mp4,40,m.png,train\n");
  dataset = labelled_get ("format=frames\n", UMEDPT_TASK_SEGMENTATION);
  g_assert_cmpstr (umedpt_dataset_get_name (dataset, 0), ==, "c 1.mp4#17");
  g_assert_cmpstr (umedpt_dataset_get_case (dataset, 0), ==, "c 1.mp4");
  sample = umedpt_dataset_read (dataset, 0, NULL);
  g_assert_nonnull (sample);
  g_assert_cmpint (sample->mask[1], ==, 1);
  g_assert_cmpfloat (fabs (sample->image[0] -
                         (clip_fixture_luma (17) - 16) / 219.0),
      <, 0.01);
  labelled_read_fails (dataset, 2, "frames.csv:4", "40 frames", "c 1.mp4",
      NULL);
  problems = labelled_check (dataset, &n_fatal);
  g_assert_cmpint (n_fatal, ==, 1);
  g_assert_nonnull (strstr (problems, "frames.csv:4"));
}

int
main (int argc, char **argv)
{
  int result;

  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/clip/order/mp4", "a.mp4", test_order);
  g_test_add_data_func ("/clip/order/matroska", "a.mkv", test_order);
  g_test_add_data_func ("/clip/order/transport", "a.ts", test_order);
  g_test_add_data_func ("/clip/order/avi", "a.avi", test_order);
  g_test_add_data_func ("/clip/order/bare", "a.m4v", test_order);
  g_test_add_func ("/clip/order/h264", test_h264);
  g_test_add_func ("/clip/kept", test_kept);
  g_test_add_func ("/clip/threads", test_threads);
  g_test_add_func ("/clip/wrong", test_wrong);
  g_test_add_data_func ("/clip/truncated/mp4", "a.mp4", test_truncated);
  g_test_add_data_func ("/clip/truncated/matroska", "a.mkv", test_truncated);
  g_test_add_func ("/clip/garbled", test_garbled);
  g_test_add_func ("/clip/dataset", test_dataset);
  result = g_test_run ();
  labelled_end ();
  return result;
}
