/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Masks, masks per class, label images, volumes and frames: which number
 * becomes which class, which voxel becomes which pixel, and what is refused,
 * with value, count and place.
 */
#include "labelled.h"

#include <string.h>

#include "base/error.h"
#include "data/clip.h"

#define SEGMENT UMEDPT_TASK_SEGMENTATION
#define PLANES UMEDPT_TASK_MULTILABEL_SEGMENTATION

static const guint16 numbers[] = { 0, 1, 2, 0, 1, 255 }; /* 3 x 2 */

static void
begin_masks (void)
{
  labelled_begin ();
  labelled_grey ("images/a.png", 3, 2, 0);
  labelled_png ("masks/a.png", 3, 2, 8, numbers, FALSE);
  labelled_text ("classes.txt", "zero\none\ntwo\n");
}

static void
check_mask (const UmedptSample *sample, guint n, const char *expected)
{
  g_assert_nonnull (sample);
  for (guint i = 0; i < n; i++)
    g_assert_cmpint (sample->mask[i], ==,
        expected[i] == '*' ? UMEDPT_IGNORE_PIXEL : expected[i] - '0');
}

static UmedptSample *
read_first (const char *keys, UmedptTaskKind kind)
{
  g_autoptr (UmedptDataset) dataset = labelled_get (keys, kind);
  g_autoptr (GError) error = NULL;
  UmedptSample *sample = umedpt_dataset_read (dataset, 0, &error);

  g_assert_no_error (error);
  return sample;
}

static void
test_masks (void)
{
  g_autoptr (UmedptSample) a = NULL, b = NULL, c = NULL, d = NULL;

  begin_masks ();
  a = read_first ("format=masks\n", SEGMENT);
  check_mask (a, 6, "01201*");
  b = read_first ("format=masks\nignore-labels=one\n", SEGMENT);
  check_mask (b, 6, "0*10**");
  c = read_first ("format=masks\n", PLANES);
  check_mask (c, 18, "100010001100010***");
  d = read_first ("format=masks\nignore-labels=zero\n", UMEDPT_TASK_MULTILABEL);
  g_assert_true (d->labels[0] == 1 && d->labels[1] == 1);
}

/* Palettes and few bits keep their numbers; 0 and 255 by configuration. */
static void
test_masks_kinds (void)
{
  static const guint16 few[] = { 0, 1, 1, 0, 1, 0 };
  static const guint16 binary[] = { 0, 255, 255, 0, 255, 0 };
  g_autoptr (UmedptSample) a = NULL, b = NULL, c = NULL;

  begin_masks ();
  labelled_png ("masks/a.png", 3, 2, 1, few, FALSE);
  a = read_first ("format=masks\n", SEGMENT);
  check_mask (a, 6, "011010");
  labelled_png ("masks/a.png", 3, 2, 2, few, TRUE);
  b = read_first ("format=masks\n", SEGMENT);
  check_mask (b, 6, "011010");
  labelled_png ("labels/a-mask.png", 3, 2, 8, binary, FALSE);
  c = read_first ("format=masks\nannotations=labels\nmask-suffix=-mask\n"
                  "classes=no;yes\nmask-values=0;255\n",
      SEGMENT);
  check_mask (c, 6, "011010");
}

static void
test_masks_wrong (void)
{
  static const guint16 undeclared[] = { 0, 1, 2, 7, 1, 7 };
  g_autoptr (UmedptDataset) dataset = NULL, none = NULL;
  g_autofree char *text = NULL;
  gint n_fatal;

  begin_masks ();
  labelled_png ("masks/a.png", 3, 2, 8, undeclared, FALSE);
  dataset = labelled_get ("format=masks\n", SEGMENT);
  labelled_read_fails (dataset, 0, "masks/a.png", "2 pixels", "number 7",
      "zero, one, two", "0, 1", NULL);
  text = labelled_check (dataset, &n_fatal);
  g_assert_cmpint (n_fatal, ==, 1);
  labelled_png ("masks/a.png", 2, 3, 8, numbers, FALSE);
  labelled_read_fails (dataset, 0, "masks/a.png", "2 x 3", "3 x 2", NULL);
  labelled_png ("masks/a.png", 3, 2, 8, numbers, FALSE);
  none = labelled_get ("format=masks\nignore-value=none\n", SEGMENT);
  labelled_read_fails (none, 0, "number 255", NULL);
  labelled_write ("masks/a.png", "\x89PNG\r\n\x1a\nrubbish", 15);
  labelled_read_fails (dataset, 0, "masks/a.png", NULL);
  labelled_write ("masks/a.png", "\xff\xd8\xff\xe0", 4);
  labelled_read_fails (dataset, 0, "JPEG", "PNG or TIFF", NULL);
  labelled_fails ("format=masks\nmask-values=0;1\n", SEGMENT, "mask-values",
      NULL);
  labelled_fails ("format=masks\nmask-values=0;1;1\n", SEGMENT, "twice", NULL);
  labelled_fails ("format=masks\nignore-value=x\n", SEGMENT, "ignore-value",
      NULL);
  labelled_fails ("format=masks\nignore-labels=one;two\n", SEGMENT,
      "one class “zero”", "background", NULL);
  labelled_grey ("images/b.png", 3, 2, 0);
  labelled_fails ("format=masks\n", SEGMENT, "images/b.png", "no mask", NULL);
  labelled_fails ("format=masks\nclasses=none.txt;x\nimages=no\n", SEGMENT,
      "images=no", NULL);
}

static void
test_class_masks (void)
{
  static const guint16 p[] = { 0, 255, 255, 0, 0, 0 };
  static const guint16 q[] = { 0, 1, 0, 0, 0, 1 };
  static const guint16 bad[] = { 0, 255, 128, 0, 0, 1 };
  g_autoptr (UmedptSample) a = NULL, b = NULL, c = NULL;
  g_autoptr (UmedptDataset) dataset = NULL;

  labelled_begin ();
  labelled_grey ("images/a.png", 3, 2, 0);
  labelled_png ("masks/p/a.png", 3, 2, 8, p, FALSE);
  labelled_png ("masks/q/a.png", 3, 2, 8, q, FALSE);
  a = read_first ("format=class-masks\n", PLANES);
  check_mask (a, 12, "001110000001");
  labelled_text ("classes.txt", "p\nq\nr\n");
  labelled_fails ("format=class-masks\n", PLANES, "“r”", NULL);
  labelled_text ("masks/r/other.txt", "");
  labelled_fails ("format=class-masks\n", PLANES, "images/a.png", "“r”",
      "missing-masks=", NULL);
  b = read_first ("format=class-masks\nmissing-masks=ignore\n", PLANES);
  check_mask (b, 6, "00*11*");
  c = read_first ("format=class-masks\nmissing-masks=empty\n",
      UMEDPT_TASK_MULTILABEL);
  g_assert_true (c->labels[1] == 1 && c->labels[2] == 0);
  dataset = labelled_get ("format=class-masks\nclasses=p\n", PLANES);
  labelled_png ("masks/p/a.png", 3, 2, 8, bad, FALSE);
  labelled_read_fails (dataset, 0, "masks/p/a.png", "2, 0", "128", NULL);
  labelled_fails ("format=class-masks\nmissing-masks=maybe\n", PLANES,
      "error, empty, ignore", NULL);
}

static void
test_instances (void)
{
  static const guint16 objects[] = { 0, 300, 300, 7, 300, 0 };
  g_autoptr (UmedptSample) a = NULL, b = NULL, c = NULL;
  g_autoptr (UmedptDataset) dataset = NULL;
  const UmedptBox *boxes;

  labelled_begin ();
  labelled_grey ("images/a.png", 3, 2, 0);
  labelled_png ("instances/a.png", 3, 2, 16, objects, FALSE);
  a = read_first ("format=instances\n", UMEDPT_TASK_DETECTION);
  g_assert_cmpuint (a->boxes->len, ==, 2);
  boxes = (const UmedptBox *) a->boxes->data;
  g_assert_true (boxes[0].x1 == 0 && boxes[0].y1 == 1 && boxes[0].x2 == 1 &&
      boxes[0].y2 == 2); /* 7 before 300 */
  g_assert_true (boxes[1].x1 == 1 && boxes[1].y1 == 0 && boxes[1].x2 == 3 &&
      boxes[1].y2 == 2);
  b = read_first ("format=instances\nclasses=cell\n", SEGMENT);
  check_mask (b, 6, "011110");
  c = read_first ("format=instances\n", PLANES);
  check_mask (c, 6, "011110");
  dataset = labelled_get ("format=instances\nclasses=cell\n", SEGMENT);
  g_assert_cmpstr (umedpt_dataset_get_labels (dataset)[1], ==, "cell");
  labelled_fails ("format=instances\nclasses=a;b;c\n", SEGMENT, "classes",
      NULL);
}

/* 2 x 3 x 2 voxels, value = 100 z + 10 y + x. */
static void
write_volumes (gint datatype, gboolean swapped, double slope, double inter,
    const char *suffix)
{
  g_autofree char *image = g_strconcat ("images/v", suffix, NULL);
  g_autofree char *label = g_strconcat ("labels/v", suffix, NULL);
  double values[12], labels[12] = { 0 };

  for (guint i = 0; i < 12; i++)
    values[i] = 100 * (i / 6) + 10 * (i / 2 % 3) + i % 2;
  labels[6 + 2] = 1; /* x 0, y 1, z 1 */
  labels[6 + 5] = 2; /* x 1, y 2, z 1 */
  labelled_begin ();
  labelled_nifti (image, 2, 3, 2, datatype, swapped, slope, inter, values);
  labelled_nifti (label, 2, 3, 2, 16, !swapped, 0, 0, labels);
  labelled_text ("classes.txt", "zero\none\ntwo\n");
}

static void
check_grey (const UmedptSample *sample, gint x, gint y, double expected)
{
  for (guint c = 0; c < 3; c++)
    g_assert_cmpfloat_with_epsilon (sample->image[(y * sample->width + x) * 3 +
                                        c],
        expected, 1e-6);
}

static void
test_nifti (void)
{
  static const gint types[] = { 2, 4, 16 };

  for (guint i = 0; i < 6; i++) {
    g_autoptr (UmedptDataset) dataset = NULL;
    g_autoptr (UmedptSample) sample = NULL;

    write_volumes (types[i / 2], i % 2, 2, 1, i % 2 ? ".nii" : ".nii.gz");
    dataset = labelled_get ("format=nifti\nwindow=1;401\n", SEGMENT);
    g_assert_cmpuint (umedpt_dataset_get_n_samples (dataset), ==, 2);
    g_assert_cmpstr (umedpt_dataset_get_case (dataset, 0), ==,
        umedpt_dataset_get_case (dataset, 1));
    g_assert_true (g_str_has_suffix (umedpt_dataset_get_name (dataset, 1),
        "#1"));
    sample = umedpt_dataset_read (dataset, 1, NULL);
    g_assert_cmpint (sample->width, ==, 2);
    g_assert_cmpint (sample->height, ==, 3);
    check_grey (sample, 1, 2, (2 * 121 + 1 - 1) / 400.0);
    check_mask (sample, 6, "001002");
  }
}

static void
test_nifti_slices (void)
{
  g_autoptr (UmedptSample) x = NULL, y = NULL, p = NULL;
  g_autoptr (UmedptDataset) labelled = NULL, along = NULL, stepped = NULL;

  write_volumes (16, FALSE, 0, 0, ".nii.gz");
  x = read_first ("format=nifti\naxis=x\nwindow=0;400\n", SEGMENT);
  g_assert_cmpint (x->width, ==, 3); /* y */
  g_assert_cmpint (x->height, ==, 2); /* z */
  check_grey (x, 2, 1, 120 / 400.0);
  check_mask (x, 6, "000010");
  along = labelled_get ("format=nifti\naxis=y\nwindow=0;400\n", SEGMENT);
  g_assert_cmpuint (umedpt_dataset_get_n_samples (along), ==, 3);
  y = umedpt_dataset_read (along, 2, NULL);
  g_assert_cmpint (y->width, ==, 2);
  check_grey (y, 1, 1, 121 / 400.0);
  check_mask (y, 4, "0002");
  labelled = labelled_get ("format=nifti\nslices=labelled\n", SEGMENT);
  g_assert_cmpuint (umedpt_dataset_get_n_samples (labelled), ==, 1);
  g_assert_cmpstr (umedpt_dataset_get_name (labelled, 0), ==,
      "images/v.nii.gz#1");
  stepped = labelled_get ("format=nifti\naxis=y\nslice-step=2\n", SEGMENT);
  g_assert_cmpuint (umedpt_dataset_get_n_samples (stepped), ==, 2);
  p = read_first ("format=nifti\npercentiles=0;100\n", SEGMENT);
  check_grey (p, 0, 0, 0);
  check_grey (p, 1, 2, 21 / 121.0);
}

/* One label per volume: each slice has it, the volume is the case. */
static void
test_nifti_table (void)
{
  g_autoptr (UmedptDataset) dataset = NULL, value = NULL;
  g_autoptr (UmedptSample) sample = NULL;

  write_volumes (4, FALSE, 0, 0, ".nii");
  labelled_text ("t.csv", "file,case,label,value\nv.nii,P1,sick,4.5\n");
  dataset =
      labelled_get ("format=nifti\ntable=t.csv\n", UMEDPT_TASK_CLASSIFICATION);
  g_assert_cmpuint (umedpt_dataset_get_n_samples (dataset), ==, 2);
  g_assert_cmpint (umedpt_dataset_peek_label (dataset, 1), ==, 0);
  g_assert_cmpstr (umedpt_dataset_get_case (dataset, 1), ==, "P1");
  value = labelled_get ("format=nifti\ntable=t.csv\n", UMEDPT_TASK_REGRESSION);
  sample = umedpt_dataset_read (value, 1, NULL);
  g_assert_cmpfloat (sample->value, ==, 4.5);
}

static void
patch (const char *name, gsize at, const void *bytes, gsize n, gsize length)
{
  g_autofree char *path = labelled_path (name);
  g_autofree char *content = NULL;
  gsize size;

  g_assert_true (g_file_get_contents (path, &content, &size, NULL));
  if (n > 0)
    memcpy (content + at, bytes, n);
  g_assert_true (g_file_set_contents (path, content,
      (gssize) (length > 0 ? length : size), NULL));
}

static void
nifti_fails (gsize at, const void *bytes, gsize n, const char *word)
{
  write_volumes (16, FALSE, 0, 0, ".nii");
  patch ("images/v.nii", at, bytes, n, 0);
  labelled_fails ("format=nifti\n", SEGMENT, "v.nii", word, NULL);
}

static void
test_nifti_wrong (void)
{
  static const gint16 huge[] = { 3, 32767, 32767, 32767 }, none[] = { 3, 0 },
                      flat[] = { 9 }, rgb = 128;
  static const gfloat offset = 3, nan_value = __builtin_nanf ("");
  g_autoptr (UmedptDataset) dataset = NULL;

  nifti_fails (0, "abcd", 4, "no NIfTI");
  nifti_fails (344, "ni1", 4, "img");
  nifti_fails (344, "x+1", 4, "n+1");
  nifti_fails (40, huge, sizeof huge, "voxels");
  nifti_fails (40, none, sizeof none, "dimension 1");
  nifti_fails (40, flat, sizeof flat, "dimensions");
  nifti_fails (70, &rgb, sizeof rgb, "type 128");
  nifti_fails (108, &offset, sizeof offset, "byte 3");
  write_volumes (16, FALSE, 0, 0, ".nii");
  patch ("images/v.nii", 0, NULL, 0, 100);
  labelled_fails ("format=nifti\n", SEGMENT, "truncated", NULL);
  write_volumes (16, FALSE, 0, 0, ".nii");
  dataset = labelled_get ("format=nifti\n", SEGMENT);
  patch ("images/v.nii", 0, NULL, 0, 380);
  labelled_read_fails (dataset, 0, "v.nii", "truncated", NULL);
  write_volumes (16, FALSE, 0, 0, ".nii");
  g_clear_object (&dataset);
  dataset = labelled_get ("format=nifti\n", SEGMENT);
  patch ("images/v.nii", 352 + 4 * 3, &nan_value, 4, 0);
  labelled_read_fails (dataset, 0, "v.nii", "1, 1, 0", "finite", NULL);
  labelled_fails ("format=nifti\nchannel=1\n", SEGMENT, "channel 1", NULL);
  labelled_fails ("format=nifti\naxis=w\n", SEGMENT, "axis=w", NULL);
  labelled_fails ("format=nifti\npercentiles=9;1\n", SEGMENT, "percentiles",
      NULL);
  labelled_fails ("format=nifti\nclasses=a;b\nslices=labelled\n"
                  "ignore-labels=c\n",
      SEGMENT, "“c”", NULL);
  labelled_text ("images/w.nii", "");
  labelled_fails ("format=nifti\n", SEGMENT, "w.nii", "no labels", NULL);
}

/* gzip's own damage; labels of a class that is not declared. */
static void
test_nifti_damage (void)
{
  g_autoptr (UmedptDataset) dataset = NULL, few = NULL;
  double numbers_3d[12] = { 0 };

  write_volumes (16, FALSE, 0, 0, ".nii.gz");
  dataset = labelled_get ("format=nifti\n", SEGMENT);
  patch ("images/v.nii.gz", 0, NULL, 0, 60);
  labelled_read_fails (dataset, 0, "v.nii.gz", NULL);
  write_volumes (16, FALSE, 0, 0, ".nii.gz");
  few = labelled_get ("format=nifti\nclasses=zero;one\n", SEGMENT);
  labelled_read_fails (few, 1, "labels/v.nii.gz#1", "number 2", "1, 2", NULL);
  labelled_nifti ("labels/v.nii.gz", 3, 2, 2, 2, FALSE, 0, 0, numbers_3d);
  labelled_fails ("format=nifti\n", SEGMENT, "3 x 2 x 2", "2 x 3 x 2", NULL);
}

static void
test_frames (void)
{
  g_autoptr (UmedptDataset) dataset = NULL, outside = NULL, packed = NULL;
  g_autofree char *folder = NULL, *keys = NULL;
  g_autoptr (UmedptSample) sample = NULL;

  begin_masks ();
  labelled_text ("frames.csv",
      "clip,frame,mask,split\nc 1.mp4,3,masks/a.png,val\n");
  labelled_fails ("format=frames\n", SEGMENT, "frames.csv:2", "neither",
      "c 1.mp4", "frames/c 1/0003.png", NULL);
  labelled_text ("c 1.mp4", "no clip");
  if (umedpt_clips_supported ()) {
    packed = labelled_get ("format=frames\n", SEGMENT);
    labelled_read_fails (packed, 0, "frames.csv:2", "c 1.mp4", NULL);
  } else {
    labelled_fails ("format=frames\n", SEGMENT, "frames.csv:2",
        "gst-launch-1.0", "'location=c 1.mp4'", NULL);
  }
  labelled_grey ("frames/c 1/0003.png", 3, 2, 0);
  dataset = labelled_get ("format=frames\n", SEGMENT);
  g_assert_cmpstr (umedpt_dataset_get_case (dataset, 0), ==, "c 1.mp4");
  g_assert_cmpuint (labelled_count (dataset, UMEDPT_SPLIT_VAL), ==, 1);
  sample = umedpt_dataset_read (dataset, 0, NULL);
  check_mask (sample, 6, "01201*");
  /* unpacked elsewhere: the folder as an absolute path */
  labelled_grey ("elsewhere/c 1/0003.png", 3, 2, 0);
  folder = labelled_path ("elsewhere");
  keys = g_strdup_printf ("format=frames\nimages=%s\n", folder);
  outside = labelled_get (keys, SEGMENT);
  g_assert_true (g_path_is_absolute (umedpt_dataset_get_name (outside, 0)));
  labelled_text ("frames.csv", "image,mask\nimages/a.png,../m.png\n");
  labelled_fails ("format=frames\n", SEGMENT, "frames.csv:2", "inside", NULL);
  labelled_text ("frames.csv", "clip,frame,mask\n../../x,3,masks/a.png\n");
  labelled_fails ("format=frames\n", SEGMENT, "frames.csv:2", "inside", NULL);
  labelled_text ("frames.csv", "clip,frame,mask\nx,-3,masks/a.png\n");
  labelled_fails ("format=frames\n", SEGMENT, "frames.csv:2", "-3", NULL);
  labelled_text ("frames.csv", "clip,mask\nx,masks/a.png\n");
  labelled_fails ("format=frames\n", SEGMENT, "frames.csv:1", "frame", NULL);
}

int
main (int argc, char **argv)
{
  int result;

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/masks/masks", test_masks);
  g_test_add_func ("/masks/masks/kinds", test_masks_kinds);
  g_test_add_func ("/masks/masks/wrong", test_masks_wrong);
  g_test_add_func ("/masks/class-masks", test_class_masks);
  g_test_add_func ("/masks/instances", test_instances);
  g_test_add_func ("/masks/nifti", test_nifti);
  g_test_add_func ("/masks/nifti/slices", test_nifti_slices);
  g_test_add_func ("/masks/nifti/table", test_nifti_table);
  g_test_add_func ("/masks/nifti/wrong", test_nifti_wrong);
  g_test_add_func ("/masks/nifti/damage", test_nifti_damage);
  g_test_add_func ("/masks/frames", test_frames);
  result = g_test_run ();
  labelled_end ();
  return result;
}
