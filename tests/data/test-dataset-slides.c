/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Annotated slides as a data set: a synthetic slide with a tumour that has a
 * hole, stroma beside it, and small objects. Windows lie where they may, masks
 * and boxes are those of the annotation, and all is the same when opened again.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <glib/gstdio.h>

#include "base/error.h"
#include "data/dataset-slides.h"
#include "fixture.h"

#define OBJECTS 12

static char *folder;

static char *
in_folder (const char *name)
{
  return g_build_filename (folder, name, NULL);
}

static void
append_square (GString *text, const char *class_name, double x, double y,
    double w, double h, const char *hole)
{
  g_string_append_printf (text,
      "%s{\"type\":\"Feature\",\"geometry\":{\"type\":\"Polygon\","
      "\"coordinates\":[[[%g,%g],[%g,%g],[%g,%g],[%g,%g],[%g,%g]]%s]},"
      "\"properties\":{\"objectType\":\"annotation\",\"classification\":"
      "{\"name\":\"%s\",\"color\":[1,2,3]}}}",
      text->len > 1 ? "," : "", x, y, x + w, y, x + w, y + h, x, y + h, x, y,
      hole, class_name);
}

/* Objects of 40 x 30 on a diagonal; the 3rd of another class. */
static void
object_place (guint i, double *x, double *y)
{
  *x = 1200 + 60 * (i % 4);
  *y = 900 + 100 * (i / 4);
}

static void
write_annotation (const char *name)
{
  g_autofree char *path = in_folder (name);
  g_autoptr (GString) text = g_string_new ("[");

  append_square (text, "Tumor", 100, 100, 800, 600,
      ",[[400,300],[400,500],[600,500],[600,300],[400,300]]");
  append_square (text, "stroma", 1000, 100, 600, 600, "");
  append_square (text, "TUMOR", 100, 800, 500, 500, "");
  append_square (text, "Pen mark", 0, 0, 90, 90, "");
  for (guint i = 0; i < OBJECTS; i++) {
    double x, y;

    object_place (i, &x, &y);
    append_square (text, i == 3 ? "Mitosis" : "Nucleus", x, y, 40, 30, "");
  }
  g_string_append_c (text, ']');
  g_assert_true (g_file_set_contents (path, text->str, (gssize) text->len,
      NULL));
}

static void
write_slide (const char *name)
{
  g_autofree char *path = in_folder (name);
  UmedptSynthOptions options = UMEDPT_SYNTH_OPTIONS_INIT;
  g_autoptr (GError) error = NULL;

  options.width = 1800;
  options.height = 1400;
  options.mpp = 0.5;
  options.quality = 0;
  umedpt_synth_write (path, NULL, &options, &error);
  g_assert_no_error (error);
}

static UmedptDataset *
open_set (const char *keys, UmedptTaskKind kind, GError **error)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autofree char *text =
      g_strdup_printf ("[data]\nformat=slides\npath=%s\n%s", folder, keys);

  g_assert_true (g_key_file_load_from_data (file, text, (gsize) -1, 0, NULL));
  return umedpt_dataset_new_from_keyfile (file, "data", "/", kind, error);
}

static UmedptDataset *
open_good (const char *keys, UmedptTaskKind kind)
{
  g_autoptr (GError) error = NULL;
  UmedptDataset *dataset = open_set (keys, kind, &error);

  g_assert_no_error (error);
  g_assert_cmpuint (umedpt_dataset_get_n_samples (dataset), >, 0);
  return dataset;
}

static void
get_window (UmedptDataset *dataset, guint index, double window[3])
{
  const char *name = umedpt_dataset_get_name (dataset, index);

  g_assert_cmpint (sscanf (name, "a.tif#%lf,%lf,%lf", &window[0], &window[1],
                       &window[2]),
      ==, 3);
  g_assert_cmpstr (umedpt_dataset_get_case (dataset, index), ==, "a.tif");
}

static UmedptSample *
read_good (UmedptDataset *dataset, guint index)
{
  g_autoptr (GError) error = NULL;
  UmedptSample *sample = umedpt_dataset_read (dataset, index, &error);

  g_assert_no_error (error);
  return sample;
}

/* 0: tumour, 1: stroma, -1: neither. */
static gint
region_at (double x, double y)
{
  if (x >= 100 && x < 900 && y >= 100 && y < 700)
    return x >= 400 && x < 600 && y >= 300 && y < 500 ? -1 : 0;
  if (x >= 1000 && x < 1600 && y >= 100 && y < 700)
    return 1;
  return x >= 100 && x < 600 && y >= 800 && y < 1300 ? 0 : -1;
}

static void
test_classification (void)
{
  g_autoptr (UmedptDataset) dataset =
      open_good ("classes=tumor;Stroma\nwindow-size=64\nmpp=1\nmax-windows=20\n"
                 "split=1;0;0\n",
          UMEDPT_TASK_CLASSIFICATION);
  guint counts[2] = { 0 };

  for (guint i = 0; i < umedpt_dataset_get_n_samples (dataset); i++) {
    gint label = umedpt_dataset_peek_label (dataset, i);
    double w[3];
    guint inside = 0;

    get_window (dataset, i, w);
    g_assert_cmpfloat (w[2], ==, 128);
    for (guint k = 0; k < 1024; k++)
      inside +=
          region_at (w[0] + 4 * (k % 32) + 2, w[1] + 4 * (k / 32) + 2) == label;
    g_assert_cmpuint (inside, >=, 920); /* 0.9; the grid differs */
    counts[label]++;
    if (i % 10 == 0) {
      g_autoptr (UmedptSample) sample = read_good (dataset, i);

      g_assert_cmpint (sample->width, ==, 64);
      g_assert_cmpint (sample->label, ==, label);
    }
  }
  g_assert_cmpuint (counts[0], >, 20); /* two regions */
  g_assert_cmpuint (counts[0], <=, 40);
  g_assert_cmpuint (counts[1], >, 10);
}

static void
test_segmentation (void)
{
  g_autoptr (UmedptDataset) dataset =
      open_good ("classes=tumor;stroma\nwindow-size=128\nmax-windows=10\n",
          UMEDPT_TASK_SEGMENTATION);
  guint seen[3] = { 0 };

  for (guint i = 0; i < umedpt_dataset_get_n_samples (dataset); i++) {
    g_autoptr (UmedptSample) sample = read_good (dataset, i);
    double w[3];

    get_window (dataset, i, w);
    for (guint k = 0; k < 128 * 128; k++) {
      gint expected = region_at (w[0] + k % 128 + 0.5, w[1] + k / 128 + 0.5);

      g_assert_cmpint (sample->mask[k], ==,
          expected < 0 ? UMEDPT_IGNORE_PIXEL : expected);
      seen[expected + 1]++;
    }
  }
  g_assert_true (seen[0] > 0 && seen[1] > 0 && seen[2] > 0);
}

/* Objects are drawn over regions, ignored ones do not count, the rest is
 * background; the pixels are those of the slide. */
static void
test_background (void)
{
  g_autoptr (UmedptDataset) dataset =
      open_good ("classes=Background;Nucleus;Mitosis\nignore-labels=Mitosis\n"
                 "background=background\nwindow-size=256\n",
          UMEDPT_TASK_SEGMENTATION);
  g_autofree char *path = in_folder ("a.tif");
  g_autoptr (UmedptSlide) slide = fixture_open (path);
  g_autofree guint8 *rgb = g_malloc (256 * 256 * 3);

  g_assert_cmpuint (umedpt_dataset_get_n_labels (dataset), ==, 2);
  for (guint i = 0; i < umedpt_dataset_get_n_samples (dataset); i++) {
    g_autoptr (UmedptSample) sample = read_good (dataset, i);
    g_autofree guint8 *expected = g_malloc0 (256 * 256);
    double w[3], x, y;

    get_window (dataset, i, w);
    for (guint k = 0; k < OBJECTS; k++) {
      object_place (k, &x, &y);
      for (guint p = 0; p < 256 * 256; p++) {
        double px = w[0] + p % 256, py = w[1] + p / 256;

        if (px >= x && px < x + 40 && py >= y && py < y + 30)
          expected[p] = k == 3 ? UMEDPT_IGNORE_PIXEL : 1;
      }
    }
    g_assert_cmpmem (sample->mask, 256 * 256, expected, 256 * 256);
    g_assert_true (umedpt_slide_read (slide, w[0], w[1], 1, 256, 256, rgb,
        256 * 3, NULL, NULL, NULL));
    for (guint p = 0; p < 256 * 256 * 3; p += 97)
      g_assert_cmpfloat (sample->image[p], ==, (gfloat) rgb[p] / 255.0f);
  }
}

/* Every object is seen as a whole in some window; several share one. */
static void
test_detection (void)
{
  g_autoptr (UmedptDataset) dataset =
      open_good ("classes=nucleus;mitosis\nwindow-size=128\nmpp=0.5;1\n",
          UMEDPT_TASK_DETECTION);
  guint n = umedpt_dataset_get_n_samples (dataset);
  gboolean seen[OBJECTS] = { FALSE };

  g_assert_cmpuint (n, <, OBJECTS);
  for (guint i = 0; i < n; i++) {
    g_autoptr (UmedptSample) sample = read_good (dataset, i);
    double w[3], x, y, scale;

    get_window (dataset, i, w);
    scale = w[2] / 128;
    g_assert_cmpuint (sample->boxes->len, >, 0);
    for (guint b = 0; b < sample->boxes->len; b++) {
      UmedptBox box = g_array_index (sample->boxes, UmedptBox, b);

      g_assert_true (box.x1 >= 0 && box.y1 >= 0 && box.x2 <= 128 &&
          box.y2 <= 128 && box.x2 > box.x1 && box.y2 > box.y1);
      for (guint k = 0; k < OBJECTS; k++) {
        object_place (k, &x, &y);
        if (fabs (w[0] + (double) box.x1 * scale - x) < 0.1 &&
            fabs (w[1] + (double) box.y1 * scale - y) < 0.1 &&
            fabs (w[0] + (double) box.x2 * scale - x - 40) < 0.1 &&
            fabs (w[1] + (double) box.y2 * scale - y - 30) < 0.1) {
          g_assert_cmpint (box.label, ==, k == 3);
          seen[k] = TRUE;
        }
      }
    }
  }
  for (guint k = 0; k < OBJECTS; k++)
    g_assert_true (seen[k]);
}

static void
test_same_again (void)
{
  g_autoptr (UmedptDataset) one =
      open_good ("window-size=64\n", UMEDPT_TASK_CLASSIFICATION);
  g_autoptr (UmedptDataset) two =
      open_good ("window-size=64\n", UMEDPT_TASK_CLASSIFICATION);
  g_autoptr (UmedptDataset) other =
      open_good ("window-size=64\nwindow-seed=2\n", UMEDPT_TASK_CLASSIFICATION);
  UmedptDataset *sets[3] = { one, two, other };
  guint differ = 0, n;

  n = umedpt_dataset_get_n_samples (sets[0]);
  g_assert_cmpuint (umedpt_dataset_get_n_samples (sets[1]), ==, n);
  for (guint i = 0; i < n; i++) {
    g_assert_cmpstr (umedpt_dataset_get_name (sets[0], i), ==,
        umedpt_dataset_get_name (sets[1], i));
    if (i < umedpt_dataset_get_n_samples (sets[2]))
      differ += strcmp (umedpt_dataset_get_name (sets[0], i),
                    umedpt_dataset_get_name (sets[2], i)) != 0;
  }
  g_assert_cmpuint (differ, >, n / 2);
  /* Without the key the classes are the names, once each, in order. */
  g_assert_cmpstrv (umedpt_dataset_get_labels (sets[0]),
      ((const char *[]){
          "Mitosis", "Nucleus", "Pen mark", "stroma", "TUMOR", NULL }));
}

static void
test_match (void)
{
  g_autoptr (UmedptDataset) part =
      open_good ("classes=tum;str\nmatch=part\nwindow-size=64\n",
          UMEDPT_TASK_CLASSIFICATION);
  g_autoptr (UmedptDataset) regex =
      open_good ("classes=(tumor|stroma)$;N.*s\nmatch=regex\n"
                 "window-size=64\n",
          UMEDPT_TASK_CLASSIFICATION);
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (umedpt_dataset_peek_label (part, 0), ==, 0);
  g_assert_cmpint (umedpt_dataset_peek_label (regex, 0), ==, 0);
  g_assert_null (open_set ("classes=t;m\nmatch=part\n",
      UMEDPT_TASK_CLASSIFICATION, &error));
  g_assert_nonnull (strstr (error->message, "a.tif"));
  g_clear_error (&error);
  g_assert_null (open_set ("classes=(\nmatch=regex\n",
      UMEDPT_TASK_CLASSIFICATION, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS);
}

static void
test_refused (void)
{
  static const char *const keys[] = { "mpp=fine\n", "window-size=4\n",
    "classes=a;b\nbackground=c\n", "annotation-suffix=.json\n", "match=fuzzy\n",
    "classes=lung\n", "annotations=nowhere\n" };

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (open_set (keys[i], UMEDPT_TASK_SEGMENTATION, &error));
    g_assert_true (error->domain == UMEDPT_ERROR);
  }
}

/* A damaged annotation, and a slide that went away, name their files. */
static void
test_damaged (void)
{
  g_autofree char *annotation = in_folder ("a.geojson");
  g_autofree char *slide = in_folder ("a.tif");
  g_autofree char *aside = in_folder ("a.bak");
  g_autoptr (UmedptDataset) dataset =
      open_good ("window-size=64\n", UMEDPT_TASK_CLASSIFICATION);
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (g_rename (slide, aside), ==, 0);
  g_assert_null (umedpt_dataset_read (dataset, 0, &error));
  g_assert_nonnull (strstr (error->message, "a.tif"));
  g_assert_cmpint (g_rename (aside, slide), ==, 0);
  g_clear_error (&error);

  g_assert_true (g_file_set_contents (annotation, "[{\"type\":", -1, NULL));
  g_assert_null (open_set ("", UMEDPT_TASK_CLASSIFICATION, &error));
  g_assert_nonnull (strstr (error->message, "a.geojson"));
  write_annotation ("a.geojson");
}

int
main (int argc, char **argv)
{
  static const char *const files[] = { "a.tif", "a.geojson" };
  int result;

  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("umedpt-slides-XXXXXX", NULL);
  g_assert_nonnull (folder);
  write_slide ("a.tif");
  write_annotation ("a.geojson");
  g_test_add_func ("/slides/classification", test_classification);
  g_test_add_func ("/slides/segmentation", test_segmentation);
  g_test_add_func ("/slides/background", test_background);
  g_test_add_func ("/slides/detection", test_detection);
  g_test_add_func ("/slides/same-again", test_same_again);
  g_test_add_func ("/slides/match", test_match);
  g_test_add_func ("/slides/refused", test_refused);
  g_test_add_func ("/slides/damaged", test_damaged);
  result = g_test_run ();
  for (guint i = 0; i < G_N_ELEMENTS (files); i++) {
    g_autofree char *path = in_folder (files[i]);

    g_unlink (path);
  }
  g_rmdir (folder);
  g_free (folder);
  return result;
}
