/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Real public sets, each opened by a few lines: parts, classes, and sums of
 * labels over all samples. The sums were computed by other readers (Python's
 * json, csv and xml, Pillow). Needs UMEDPT_TEST_DATA; skips visibly without.
 */
#include "labelled.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "data/clip.h"

typedef struct
{
  const char *folder, *keys;
  UmedptTaskKind kind;
  guint parts[3]; /* train, val, test */
  const char *labels; /* joined by ";" */
  guint64 sums[13]; /* per class: samples, boxes or pixels; 0 … */
  guint ignored; /* boxes */
} Real;

// clang-format off
static const Real sets[] = {
  { "blood-cells", "format=voc", UMEDPT_TASK_DETECTION, { 254, 55, 55 },
    "Platelets;RBC;WBC", { 361, 4153, 372 } }, /* two without an area */
  { "red-cells", "format=coco", UMEDPT_TASK_DETECTION, { 237, 51, 51 },
    "normal cell;macrocyte;microcyte;spherocyte;target cell;stomatocyte;"
    "ovalocyte;teardrop;burr cell;schistocyte;uncategorised;hypochromia;"
    "elliptocyte",
    { 5628, 317, 321, 3213, 2152, 1893, 1970, 154, 469, 611, 169, 809, 1052 } },
  { "red-cells", "format=coco\nfilter=coverage>=0.8", UMEDPT_TASK_DETECTION,
    { 72, 20, 16 }, NULL, { 0 } },
  { "nuclei", "format=coco", UMEDPT_TASK_DETECTION, { 459, 103, 102 },
    "nucleus", { 28986 } },
  { "nuclei", "format=instances\nclasses=nucleus", UMEDPT_TASK_DETECTION,
    { 459, 103, 102 }, "nucleus", { 28986 } },
  { "nuclei", "format=instances\nclasses=nucleus", UMEDPT_TASK_SEGMENTATION,
    { 459, 103, 102 }, "background;nucleus", { 0, 13712949 } },
  { "colon-nuclei", "format=coco\nignore-labels=nucleus-unclassified",
    UMEDPT_TASK_DETECTION, { 56, 12, 12 },
    "epithelial;inflammatory;fibroblast;others", { 6229, 5199, 4536, 1837 },
    5454 },
  { "colon-nuclei-crops", "format=imagefolder", UMEDPT_TASK_CLASSIFICATION,
    { 1600, 400, 0 }, "epithelial;fibroblast;inflammatory;others",
    { 500, 500, 500, 500 } },
  { "bacteria", "format=masks", UMEDPT_TASK_SEGMENTATION, { 194, 43, 43 },
    "background;erythrocyte;spirochaete", { 62039780, 10566968, 794778 } },
  { "membranes", "format=masks", UMEDPT_TASK_SEGMENTATION, { 21, 4, 5 },
    "cell;membrane", { 6137070, 1727250 } },
  { "chest-xray", "format=class-masks", UMEDPT_TASK_MULTILABEL_SEGMENTATION,
    { 30, 7, 7 },
    "left-lung;right-lung;cardiomediastinum;airways;ground-glass;consolidation",
    { 2975022, 2706583, 2087815, 403323, 1961539, 493599 } },
  { "chest-xray", "format=csv\nannotations=multilabel.csv",
    UMEDPT_TASK_MULTILABEL, { 30, 7, 7 }, NULL,
    { 44, 44, 6, 15, 6, 43, 43, 15, 7, 1, 1, 43, 8 } },
  { "bleeding", "format=yolo", UMEDPT_TASK_DETECTION, { 684, 158, 158 },
    "bleeding", { 742 } },
  { "bleeding", "format=csv\nannotations=classification.csv\ncase-column=run",
    UMEDPT_TASK_CLASSIFICATION, { 684, 158, 158 }, "bleeding;normal",
    { 500, 500 } },
  { "hippocampus", "format=nifti", UMEDPT_TASK_SEGMENTATION, { 3243, 721, 717 },
    "background;anterior;posterior", { 7806936, 223493, 207937 } },
  { "ct-contrast", "format=csv\nannotations=cases.csv\nwindow=0;4095",
    UMEDPT_TASK_CLASSIFICATION, { 65, 18, 17 }, "contrast;plain", { 50, 50 } },
};
// clang-format on

static UmedptDataset *
open_real (const Real *real)
{
  const char *root = g_getenv ("UMEDPT_TEST_DATA");
  g_autofree char *path =
      root != NULL ? g_build_filename (root, real->folder, NULL) : NULL;
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  UmedptDataset *dataset;

  if (path == NULL || !g_file_test (path, G_FILE_TEST_IS_DIR)) {
    g_test_skip ("UMEDPT_TEST_DATA has no such data set");
    return NULL;
  }
  text = g_strdup_printf ("[t]\npath=%s\n%s\n", real->folder, real->keys);
  g_assert_true (g_key_file_load_from_data (file, text, -1, 0, NULL));
  dataset =
      umedpt_dataset_new_from_keyfile (file, "t", root, real->kind, &error);
  g_assert_no_error (error);
  return dataset;
}

static void
add_sample (const Real *real, const UmedptSample *sample, guint n_labels,
    guint64 *sums, guint *ignored)
{
  gsize n = (gsize) sample->width * sample->height;

  for (guint i = 0; sample->boxes != NULL && i < sample->boxes->len; i++) {
    const UmedptBox *box = &g_array_index (sample->boxes, UmedptBox, i);

    g_assert_true (box->x1 >= 0 && box->x2 <= sample->width);
    g_assert_true (box->x1 < box->x2 && box->y1 < box->y2);
    if (box->label < 0)
      (*ignored)++;
    else
      sums[box->label]++;
  }
  if (sample->label >= 0)
    sums[sample->label]++;
  for (guint k = 0; sample->labels != NULL && k < n_labels; k++)
    sums[k] += sample->labels[k] == 1;
  if (sample->mask == NULL)
    return;
  if (real->kind == UMEDPT_TASK_SEGMENTATION)
    for (gsize i = 0; i < n; i++)
      sums[sample->mask[i]]++;
  else
    for (gsize i = 0; i < n * n_labels; i++)
      sums[i % n_labels] += sample->mask[i] == 1;
}

static void
check_range (const UmedptSample *sample)
{
  gsize n = (gsize) sample->width * sample->height * 3;
  gfloat low = 1, high = 0;

  for (gsize i = 0; i < n; i++) {
    low = MIN (low, sample->image[i]);
    high = MAX (high, sample->image[i]);
  }
  g_assert_true (low >= 0 && high <= 1);
}

static void
test_real (gconstpointer data)
{
  const Real *real = data;
  g_autoptr (UmedptDataset) dataset = open_real (real);
  g_autofree char *labels = NULL;
  guint64 sums[256] = { 0 };
  guint ignored = 0, n_labels;

  if (dataset == NULL)
    return;
  for (guint part = 0; part < 3; part++)
    g_assert_cmpuint (labelled_count (dataset, part), ==, real->parts[part]);
  labels = g_strjoinv (";", (char **) umedpt_dataset_get_labels (dataset));
  n_labels = g_strv_length ((char **) umedpt_dataset_get_labels (dataset));
  if (real->labels != NULL)
    g_assert_cmpstr (labels, ==, real->labels);
  for (guint i = 0; i < umedpt_dataset_get_n_samples (dataset); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (UmedptSample) sample = umedpt_dataset_read (dataset, i, &error);

    g_assert_no_error (error);
    g_assert_cmpint (sample->label, ==, umedpt_dataset_peek_label (dataset, i));
    check_range (sample);
    add_sample (real, sample, n_labels, sums, &ignored);
  }
  for (guint k = 0; k < n_labels; k++)
    if (real->sums[k] > 0)
      g_assert_cmpuint (sums[k], ==, real->sums[k]);
  g_assert_cmpuint (ignored, ==, real->ignored);
}

/* Nothing in a real set is fatal; the known oddities are told. */
static void
test_check (void)
{
  g_autoptr (UmedptDataset) dataset = open_real (&sets[0]);
  g_autofree char *text = NULL;
  gint n_fatal;

  if (dataset == NULL)
    return;
  text = labelled_check (dataset, &n_fatal);
  g_assert_cmpint (n_fatal, ==, 0);
  g_assert_nonnull (strstr (text, "BloodImage_00338.xml:159:"));
  g_assert_nonnull (strstr (text, "BloodImage_00343.xml:51:"));
}

/* A case may have slices of both labels, and stays in one part. */
static void
test_cases (void)
{
  g_autoptr (UmedptDataset) dataset =
      open_real (&sets[G_N_ELEMENTS (sets) - 1]);
  g_autoptr (GHashTable) cases = g_hash_table_new (g_str_hash, g_str_equal);

  if (dataset == NULL)
    return;
  for (guint i = 0; i < umedpt_dataset_get_n_samples (dataset); i++)
    g_hash_table_add (cases, (gpointer) umedpt_dataset_get_case (dataset, i));
  g_assert_cmpuint (g_hash_table_size (cases), ==, 54);
}

// clang-format off
static const Real clips = { "video", "format=frames", UMEDPT_TASK_SEGMENTATION,
  { 132, 26, 0 },
  "void;vocal folds;other tissue;glottal space;pathology;surgical tool;"
  "intubation",
  { 1433787, 23482112, 5580851, 8191060, 336769, 1079620, 1314553 } };
// clang-format on

/* The path of a file of the clips; skips without. */
static char *
find_clip (const char *name)
{
  const char *root = g_getenv ("UMEDPT_TEST_DATA");
  g_autofree char *path =
      root != NULL ? g_build_filename (root, clips.folder, name, NULL) : NULL;

  if (path != NULL && g_file_test (path, G_FILE_TEST_EXISTS))
    return g_steal_pointer (&path);
  g_test_skip ("UMEDPT_TEST_DATA has no clips");
  return NULL;
}

/* Clips as they are, or what to do where this library cannot read them. */
static void
test_clips (void)
{
  g_autofree char *path = find_clip ("");
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GError) error = NULL;

  if (path == NULL)
    return;
  if (umedpt_clips_supported ()) {
    test_real (&clips);
    return;
  }
  g_key_file_set_string (file, "t", "path", path);
  g_key_file_set_string (file, "t", "format", "frames");
  g_assert_null (umedpt_dataset_new_from_keyfile (file, "t", "/", clips.kind,
      &error));
  g_assert_nonnull (strstr (error->message, "gst-launch-1.0 filesrc"));
}

/* Frame @number of the clip and of those that were unpacked into @folder. The
 * fast path of videoconvert rounds down. */
static void
compare_frame (UmedptClips *reader, const char *path, const char *folder,
    guint number)
{
  g_autofree char *name = g_strdup_printf ("%s/%04u.png", folder, number);
  g_autoptr (UmedptImageFile) ours =
      umedpt_clips_read (reader, path, number, NULL);
  g_autoptr (UmedptImageFile) theirs = umedpt_image_file_read (name, NULL);
  double sum = 0, most = 0;
  gsize n;

  g_assert_true (ours != NULL && theirs != NULL);
  g_assert_cmpint (ours->width, ==, theirs->width);
  g_assert_cmpint (ours->height, ==, theirs->height);
  n = (gsize) ours->width * ours->height * 3;
  for (gsize i = 0; i < n; i++) {
    double difference = fabs (ours->data[i] - theirs->data[i]);

    sum += difference;
    most = MAX (most, difference);
  }
  g_assert_cmpfloat (sum / n, <, 2);
  g_assert_cmpfloat (most, <, 8);
}

/* The frames that GStreamer unpacks; neighbours differ by far more. */
static void
test_clips_unpacked (void)
{
  g_autofree char *path = find_clip ("patient1_seq1.mp4");
  g_autofree char *tool = g_find_program_in_path ("gst-launch-1.0");
  g_autofree char *folder = NULL, *source = NULL, *line = NULL;
  g_autoptr (UmedptClips) reader = umedpt_clips_new ((gsize) 64 << 20);
  gint status = 0;

  if (path == NULL)
    return;
  if (!umedpt_clips_supported () || tool == NULL) {
    g_test_skip ("no FFmpeg, or no gst-launch-1.0");
    return;
  }
  labelled_begin ();
  folder = labelled_path ("");
  source = g_shell_quote (path);
  line = g_strdup_printf (
      "gst-launch-1.0 -q filesrc location=%s ! decodebin ! videoconvert ! "
      "video/x-raw,format=RGB ! pngenc ! multifilesink location=%s/%%04d.png",
      source, folder);
  if (!g_spawn_command_line_sync (line, NULL, NULL, &status, NULL) ||
      status != 0)
    g_test_skip ("this GStreamer cannot unpack the clip");
  for (guint i = 0; i < 32; i++)
    umedpt_clips_want (reader, path, i);
  for (guint i = 0; status == 0 && i < 32; i++)
    compare_frame (reader, path, folder, i * 5 % 32);
  labelled_end ();
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (sets); i++) {
    g_autofree char *name =
        g_strdup_printf ("/real/%02u-%s", i, sets[i].folder);

    g_test_add_data_func (name, &sets[i], test_real);
  }
  g_test_add_func ("/real/check", test_check);
  g_test_add_func ("/real/cases", test_cases);
  g_test_add_func ("/real/clips", test_clips);
  g_test_add_func ("/real/clips/unpacked", test_clips_unpacked);
  return g_test_run ();
}
