/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Data sets as such: keys, folders of classes, tables, parts by table and by
 * shares, subsets, checks; and what each refuses, one small case per mistake.
 */
#include "labelled.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "data/csv.h"

#define CLASSES UMEDPT_TASK_CLASSIFICATION

/* n images per class below @parent. */
static void
write_classes (const char *parent, guint n, guint seed)
{
  static const char *const classes[] = { "b", "a", "c" };

  for (guint k = 0; k < 3; k++)
    for (guint i = 0; i < n; i++) {
      g_autofree char *name =
          g_strdup_printf ("%s%s/%02u.png", parent, classes[k], i);

      labelled_grey (name, 8, 6, seed + 40 * k + i);
    }
}

static void
test_keys (void)
{
  const UmedptDatasetKey *keys = umedpt_dataset_list_keys ();

  for (guint i = 0; keys[i].key != NULL; i++) {
    g_assert_true (keys[i].meaning != NULL && keys[i].value != NULL);
    for (guint j = 0; j < i; j++)
      g_assert_cmpstr (keys[i].key, !=, keys[j].key);
  }
  labelled_begin ();
  labelled_fails ("", CLASSES, "[task t]", "format", "imagefolder", NULL);
  labelled_fails ("format=tfrecord\n", CLASSES, "format=tfrecord", "coco",
      NULL);
  labelled_fails ("format=imagefolder\n", UMEDPT_TASK_DETECTION, "detection",
      "classification", NULL);
  labelled_fails ("format=imagefolder\npath=nowhere\n", CLASSES, "nowhere",
      NULL);
  labelled_fails ("format=imagefolder\n", CLASSES, "class", NULL);
  write_classes ("", 1, 0);
  labelled_fails ("format=imagefolder\nwindow=7\n", CLASSES, "window=7", NULL);
  labelled_fails ("format=imagefolder\nwindow=7;7\n", CLASSES, "window", NULL);
  labelled_fails ("format=imagefolder\nimages=../x\n", CLASSES, "images=../x",
      "below", NULL);
  labelled_fails ("format=imagefolder\ncolors=#ff0000;red;#0\n", CLASSES, "red",
      "#rrggbb", NULL);
}

/* docs/datasets.md has a row for every key, with the words of the table. */
static void
test_keys_documented (void)
{
  const UmedptDatasetKey *keys = umedpt_dataset_list_keys ();
  g_autofree char *text = NULL;
  guint n_rows = 0, n_keys = 0;

  g_assert_true (g_file_get_contents (DATASETS_MD, &text, NULL, NULL));
  for (; keys[n_keys].key != NULL; n_keys++) {
    g_autofree char *row = g_strdup_printf ("\n| `%s` | %s | %s |\n",
        keys[n_keys].key, keys[n_keys].meaning, keys[n_keys].value);

    if (strstr (text, row) == NULL)
      g_error ("docs/datasets.md lacks “%s”", row);
  }
  for (const char *at = strstr (text, "\n| key |"); at != NULL;
       at = strstr (at + 1, "\n| `"))
    n_rows++;
  g_assert_cmpuint (n_rows, ==, n_keys + 1);
}

static void
test_imagefolder (void)
{
  g_autoptr (UmedptDataset) dataset = NULL;
  g_autoptr (UmedptSample) sample = NULL;
  const char *const *labels;
  const guint32 *colors;
  guint i;

  labelled_begin ();
  write_classes ("train/", 3, 0);
  write_classes ("valid/", 2, 10);
  dataset =
      labelled_get ("format=imagefolder\ncolors=#000001;#0000ff;#ff0000\n",
          CLASSES);
  labels = umedpt_dataset_get_labels (dataset);
  colors = umedpt_dataset_get_colors (dataset);
  g_assert_cmpstr (labels[0], ==, "a"); /* sorted */
  g_assert_cmpstr (labels[1], ==, "b");
  g_assert_null (labels[3]);
  g_assert_cmphex (colors[2], ==, 0xff0000);
  g_assert_cmpuint (labelled_count (dataset, UMEDPT_SPLIT_TRAIN), ==, 9);
  g_assert_cmpuint (labelled_count (dataset, UMEDPT_SPLIT_VAL), ==, 6);
  g_assert_cmpuint (labelled_count (dataset, UMEDPT_SPLIT_TEST), ==, 0);
  g_assert_cmpuint (labelled_count (dataset, UMEDPT_SPLIT_ALL), ==, 15);
  i = labelled_find (dataset, "train/b/01.png");
  g_assert_cmpint (umedpt_dataset_peek_label (dataset, i), ==, 1);
  sample = umedpt_dataset_read (dataset, i, NULL);
  g_assert_cmpint (sample->label, ==, 1);
  g_assert_cmpint (sample->width, ==, 8);
  g_assert_cmpint (sample->height, ==, 6);
  /* pixel (2, 1) = 1 + 6 + 5, grey repeated */
  for (guint c = 0; c < 3; c++)
    g_assert_cmpfloat_with_epsilon (sample->image[(8 + 2) * 3 + c], 12 / 255.0,
        1e-7);
}

static void
test_imagefolder_classes (void)
{
  g_autoptr (UmedptDataset) dataset = NULL;

  labelled_begin ();
  write_classes ("", 4, 0);
  labelled_fails ("format=imagefolder\nclasses=a;b\n", CLASSES, "“c”",
      "classes=", NULL);
  labelled_fails ("format=imagefolder\nignore-labels=x\n", CLASSES, "“x”",
      "a, b, c", NULL);
  labelled_fails ("format=imagefolder\nclasses=a;b;a\n", CLASSES, "twice",
      NULL);
  labelled_fails ("format=imagefolder\nignore-labels=a;b;c\n", CLASSES,
      "no class", NULL);
  dataset =
      labelled_get ("format=imagefolder\nclasses=c;b;a\nignore-labels=b\n",
          CLASSES);
  g_assert_cmpuint (umedpt_dataset_get_n_samples (dataset), ==, 8);
  g_assert_cmpstr (umedpt_dataset_get_labels (dataset)[0], ==, "c");
  g_assert_cmpint (umedpt_dataset_peek_label (dataset,
                       labelled_find (dataset, "a/00.png")),
      ==, 1);
}

/* The shares of every class, and the same draw again. */
static void
test_shares (void)
{
  g_autoptr (UmedptDataset) a = NULL, b = NULL, c = NULL;
  guint differ = 0;

  labelled_begin ();
  write_classes ("", 20, 0);
  a = labelled_get ("format=imagefolder\nsplit=0.5;0.25;0.25\n", CLASSES);
  b = labelled_get ("format=imagefolder\nsplit=0.5;0.25;0.25\n", CLASSES);
  c = labelled_get ("format=imagefolder\nsplit=0.5;0.25;0.25\nsplit-seed=2\n",
      CLASSES);
  for (guint part = 0; part < 3; part++) {
    g_autoptr (GArray) indices = umedpt_dataset_get_split (a, part);
    guint counts[3] = { 0 };

    g_assert_cmpuint (indices->len, ==, part == 0 ? 30 : 15);
    for (guint i = 0; i < indices->len; i++)
      counts[umedpt_dataset_peek_label (a,
          g_array_index (indices, guint, i))]++;
    for (guint k = 0; k < 3; k++)
      g_assert_cmpint (ABS ((gint) counts[k] - (part == 0 ? 10 : 5)), <=, 1);
  }
  for (guint i = 0; i < 60; i++) {
    g_assert_cmpint (g_array_index (a->records, UmedptRecord, i).split, ==,
        g_array_index (b->records, UmedptRecord, i).split);
    differ += g_array_index (a->records, UmedptRecord, i).split !=
        g_array_index (c->records, UmedptRecord, i).split;
  }
  g_assert_cmpuint (differ, >, 5);
  labelled_fails ("format=imagefolder\nsplit=0.5;0.2\n", CLASSES, "split",
      "add up", NULL);
  labelled_fails ("format=imagefolder\nsplit=1.5;-0.5\n", CLASSES, "split",
      NULL);
  labelled_fails ("format=imagefolder\nsplit-seed=x\n", CLASSES, "split-seed",
      NULL);
}

/* 30 images of 10 cases, two classes per case at times. */
static void
write_cases (void)
{
  g_autoptr (GString) text = g_string_new ("image,case,label\n");

  for (guint i = 0; i < 30; i++) {
    g_autofree char *name = g_strdup_printf ("images/%02u.png", i);

    labelled_grey (name, 5, 4, 7 * i);
    g_string_append_printf (text, "%02u.png,P%u,%s\n", i, i / 3,
        i % 7 == 0 ? "rare" : "common");
  }
  labelled_text ("t.csv", text->str);
}

static void
test_cases (void)
{
  g_autoptr (UmedptDataset) dataset = NULL;
  GHashTable *parts = g_hash_table_new (g_str_hash, g_str_equal);

  labelled_begin ();
  write_cases ();
  dataset = labelled_get ("format=csv\nannotations=t.csv\n", CLASSES);
  g_assert_cmpuint (umedpt_dataset_get_n_samples (dataset), ==, 30);
  for (guint i = 0; i < 30; i++) {
    char *case_id = (char *) umedpt_dataset_get_case (dataset, i);
    gint split = g_array_index (dataset->records, UmedptRecord, i).split;
    gpointer before = g_hash_table_lookup (parts, case_id);

    g_assert_cmpint (split, >=, 0);
    if (before != NULL)
      g_assert_cmpint (GPOINTER_TO_INT (before), ==, split + 1);
    g_hash_table_insert (parts, case_id, GINT_TO_POINTER (split + 1));
  }
  g_assert_cmpuint (g_hash_table_size (parts), ==, 10);
  g_hash_table_unref (parts);
}

static gboolean
contains (const GArray *indices, guint index)
{
  for (guint i = 0; i < indices->len; i++)
    if (g_array_index (indices, guint, i) == index)
      return TRUE;
  return FALSE;
}

/* Whole cases, every class, about the share; smaller ones inside larger. */
static void
test_subset (void)
{
  static const double shares[] = { 0, 0.01, 0.1, 0.3, 0.5, 1 };
  g_autoptr (UmedptDataset) dataset = NULL;
  g_autoptr (GArray) all = NULL;
  GArray *before = NULL;

  labelled_begin ();
  write_cases ();
  dataset = labelled_get ("format=csv\nannotations=t.csv\n", CLASSES);
  all = umedpt_dataset_get_split (dataset, UMEDPT_SPLIT_ALL);
  for (guint s = 0; s < G_N_ELEMENTS (shares); s++) {
    GArray *subset = umedpt_dataset_subset (dataset, all, shares[s], 13);
    gboolean seen[2] = { FALSE };

    g_assert_cmpuint (subset->len % 3, ==, 0);
    g_assert_cmpuint (subset->len, >=, (guint) (30 * shares[s]) - 1u + (s < 2));
    g_assert_cmpuint (subset->len, <=, MAX (6, (guint) (30 * shares[s]) + 2));
    for (guint i = 0; i < subset->len; i++) {
      guint index = g_array_index (subset, guint, i);

      if (i > 0)
        g_assert_cmpuint (index, >, g_array_index (subset, guint, i - 1));
      seen[umedpt_dataset_peek_label (dataset, index)] = TRUE;
    }
    g_assert_true (seen[0] && seen[1]);
    for (guint i = 0; before != NULL && i < before->len; i++)
      g_assert_true (contains (subset, g_array_index (before, guint, i)));
    g_clear_pointer (&before, g_array_unref);
    before = subset;
  }
  g_assert_cmpuint (before->len, ==, 30);
  g_array_unref (before);
}

static void
test_csv_text (void)
{
  static const char text[] = "\xef\xbb\xbf"
                             "a,\"b \"\"x\"\"\",c\r\n"
                             "1,\"two\nlines, one comma\",\r\n"
                             "\r\n"
                             " 3 , \"\" ,5";
  g_autoptr (UmedptCsv) csv = umedpt_csv_parse ("f", text, strlen (text), NULL);
  g_autoptr (UmedptCsv) other = NULL;
  const UmedptCsvRow *row;
  double value;

  g_assert_nonnull (csv);
  g_assert_cmpuint (csv->n_columns, ==, 3);
  g_assert_cmpint (umedpt_csv_find_column (csv, "b \"x\""), ==, 1);
  g_assert_cmpint (umedpt_csv_find_column (csv, "d"), ==, -1);
  g_assert_cmpuint (csv->rows->len, ==, 2);
  row = &g_array_index (csv->rows, UmedptCsvRow, 0);
  g_assert_cmpstr (row->cells[1], ==, "two\nlines, one comma");
  g_assert_cmpstr (row->cells[2], ==, "");
  row = &g_array_index (csv->rows, UmedptCsvRow, 1);
  g_assert_cmpuint (row->line, ==, 5);
  g_assert_true (umedpt_csv_get_number (csv, row, 0, &value, NULL));
  g_assert_cmpfloat (value, ==, 3);
  g_assert_cmpstr (row->cells[1], ==, "");
  other = umedpt_csv_parse ("f", "a;b\n1,5;2\n", 10, NULL);
  g_assert_cmpstr (g_array_index (other->rows, UmedptCsvRow, 0).cells[0], ==,
      "1,5");
}

static void
csv_fails (const char *text, gsize length, const char *word)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (umedpt_csv_parse ("name", text, length, &error));
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT);
  g_assert_nonnull (strstr (error->message, word));
}

static void
test_csv_wrong (void)
{
  csv_fails ("", 0, "name:1");
  csv_fails ("\n\n", 2, "empty");
  csv_fails ("a,b\n1\n", 6, "name:2");
  csv_fails ("a,b\n1,2,3\n", 10, "name:2");
  csv_fails ("a,a\n", 4, "two columns");
  csv_fails ("a,b\n\n1,\"x\n\n", 11, "name:3");
  csv_fails ("a,b\n1,\"x\"y\n", 11, "name:2");
  csv_fails ("a,b\n1,\xff\n", 8, "name:2");
  csv_fails ("a\0b\n", 4, "UTF-8");
}

/* A table of two images with one row changed to @row. */
static void
table_fails (UmedptTaskKind kind, const char *row, const char *word)
{
  g_autofree char *text =
      g_strdup_printf ("image,split,label,x,y,value\na.png,train,p,0,1,3\n%s\n",
          row);

  labelled_text ("labels.csv", text);
  labelled_fails ("format=csv\nlabel-columns=x;y\nclasses=p;q\n", kind,
      "labels.csv:3", word, NULL);
}

static void
test_table_wrong (void)
{
  labelled_begin ();
  labelled_grey ("images/a.png", 4, 4, 0);
  labelled_grey ("images/b.png", 4, 4, 9);
  labelled_fails ("format=csv\n", CLASSES, "labels.csv", "annotations=", NULL);
  table_fails (CLASSES, "c.png,val,p,0,0,0", "does not exist");
  table_fails (CLASSES, "a.png,val,p,0,0,0", "before");
  table_fails (CLASSES, "../b.png,val,p,0,0,0", "inside");
  table_fails (CLASSES, "/etc/passwd,val,p,0,0,0", "does not exist");
  table_fails (CLASSES, "b.png,dev,p,0,0,0", "train, val or test");
  table_fails (CLASSES, "b.png,val,z,0,0,0", "“z”");
  table_fails (UMEDPT_TASK_MULTILABEL, "b.png,val,p,2,0,0", "0 to 1");
  table_fails (UMEDPT_TASK_MULTILABEL, "b.png,val,p,nan,0,0", "finite");
  table_fails (UMEDPT_TASK_REGRESSION, "b.png,val,p,0,0,1e999", "finite");
  table_fails (UMEDPT_TASK_REGRESSION, "b.png,val,p,0,0,", "finite");
  labelled_text ("labels.csv", "file,label\na.png,p\n");
  labelled_fails ("format=csv\nlabel-column=grade\n", CLASSES, "“grade”",
      "file, label", NULL);
  labelled_fails ("format=csv\nfile-column=image\n", CLASSES, "“image”", NULL);
  labelled_fails ("format=csv\n", UMEDPT_TASK_REGRESSION, "“value”", NULL);
  labelled_fails ("format=csv\nlabel-columns=q\n", UMEDPT_TASK_MULTILABEL,
      "“q”", NULL);
}

static void
test_table (void)
{
  g_autoptr (UmedptDataset) many = NULL, number = NULL;
  g_autoptr (UmedptSample) a = NULL, b = NULL;

  labelled_begin ();
  labelled_grey ("a.png", 4, 4, 0);
  labelled_grey ("b.png", 4, 4, 9);
  labelled_text ("labels.csv",
      "file,case,split,x,y,value\na.png,P,train,1,,-2.5\nb.png,Q,val,0,0.5,"
      "1e3\n");
  many = labelled_get ("format=csv\nignore-labels=value\n",
      UMEDPT_TASK_MULTILABEL);
  g_assert_cmpuint (g_strv_length ((char **) umedpt_dataset_get_labels (many)),
      ==, 2);
  a = umedpt_dataset_read (many, 0, NULL);
  g_assert_cmpfloat (a->labels[0], ==, 1);
  g_assert_cmpfloat (a->weights[0], ==, 1);
  g_assert_cmpfloat (a->weights[1], ==, 0); /* not known */
  g_assert_cmpint (umedpt_dataset_peek_label (many, 0), ==, -1);
  number = labelled_get ("format=csv\n", UMEDPT_TASK_REGRESSION);
  b = umedpt_dataset_read (number, 1, NULL);
  g_assert_cmpfloat (b->value, ==, 1000);
  g_assert_cmpstr (umedpt_dataset_get_labels (number)[0], ==, "value");
  g_assert_cmpstr (umedpt_dataset_get_case (number, 1), ==, "Q");
  g_assert_cmpuint (labelled_count (number, UMEDPT_SPLIT_VAL), ==, 1);
}

#define FOLDER "format=imagefolder\n"

static void
test_split_table (void)
{
  g_autoptr (UmedptDataset) dataset = NULL, some = NULL;
  g_autofree char *text = NULL;
  gint n_fatal;

  labelled_begin ();
  write_classes ("", 1, 0);
  labelled_grey ("b/#1.png", 8, 6, 77);
  labelled_text ("split.csv",
      "file,split,patient,quality\na/00.png,train,P1,0.9\n"
      "b/00.png,test,P2,0.8\nb/#1.png,val,P3,0.1\n");
  dataset = labelled_get (FOLDER "case-column=patient\n", CLASSES);
  g_assert_cmpuint (labelled_count (dataset, UMEDPT_SPLIT_TEST), ==, 1);
  g_assert_cmpuint (labelled_count (dataset, UMEDPT_SPLIT_VAL), ==, 1);
  g_assert_cmpuint (labelled_count (dataset, UMEDPT_SPLIT_ALL), ==, 4);
  g_assert_cmpstr (umedpt_dataset_get_case (dataset, 2), ==, "P2");
  text = labelled_check (dataset, &n_fatal);
  g_assert_cmpint (n_fatal, ==, 0);
  g_assert_nonnull (strstr (text, "c/00.png: the table of parts"));
  some = labelled_get (FOLDER "filter=quality>0.8\n", CLASSES);
  g_assert_cmpuint (labelled_count (some, UMEDPT_SPLIT_TRAIN), ==, 1);
  g_assert_cmpuint (labelled_count (some, UMEDPT_SPLIT_TEST), ==, 0);
  labelled_fails (FOLDER "filter=q>0.8\n", CLASSES, "“q”", NULL);
  labelled_fails (FOLDER "filter=quality\n", CLASSES, "filter=quality", NULL);
  labelled_fails (FOLDER "filter=quality=>1\n", CLASSES, "condition", NULL);
  labelled_fails (FOLDER "split-file=parts.csv\n", CLASSES, "parts.csv", NULL);
}

static void
test_split_table_wrong (void)
{
  labelled_begin ();
  write_classes ("", 1, 0);
  labelled_text ("split.csv", "file,part\na/00.png,train\n");
  labelled_fails (FOLDER, CLASSES, "split.csv:1", "“split”", NULL);
  labelled_text ("split.csv", "file,split\na/00.png,train\na/00.png,val\n");
  labelled_fails (FOLDER, CLASSES, "split.csv:3", "line 2", NULL);
  labelled_text ("split.csv", "file,split\na/00.png,holdout\n");
  labelled_fails (FOLDER, CLASSES, "split.csv:2", "holdout", NULL);
  labelled_text ("split.csv", "file,split\na/00.png,train\n\na/09.png,val\n");
  labelled_fails (FOLDER, CLASSES, "split.csv:4", "a/09.png", NULL);
}

/* What a check finds: in order, each with its file. */
static void
test_check (void)
{
  g_autoptr (UmedptDataset) dataset = NULL;
  g_autofree char *text = NULL, *again = NULL;
  guint16 flat[16] = { 0 };
  gint n_fatal;

  labelled_begin ();
  write_classes ("train/", 30, 0);
  labelled_grey ("val/a/00.png", 8, 6, 200);
  labelled_grey ("val/a/copy.png", 8, 6, 0); /* = train/b/00.png */
  labelled_png ("train/c/flat.png", 4, 4, 8, flat, FALSE);
  labelled_text ("train/a/bad.png", "no image");
  labelled_write ("train/b/cut.png", "\x89PNG\r\n\x1a\n\0\0", 10);
  dataset = labelled_get (FOLDER, CLASSES);
  text = labelled_check (dataset, &n_fatal);
  again = labelled_check (dataset, &n_fatal);
  g_assert_cmpstr (text, ==, again);
  g_assert_cmpint (n_fatal, ==, 2);
  g_assert_true (g_str_has_prefix (text, "!train/a/bad.png: Cannot read"));
  g_assert_nonnull (strstr (text, "\n!train/b/cut.png: Cannot read"));
  g_assert_nonnull (strstr (text, "\ntrain/c/flat.png: all its pixels"));
  g_assert_nonnull (strstr (text,
      "\nval/a/copy.png: the same pixels as “train/b/00.png”"));
}

static void
count_problem (const char *where, const char *problem, gboolean fatal,
    gpointer data)
{
  (*(guint *) data)++;
}

static void
test_check_cancel (void)
{
  g_autoptr (UmedptDataset) dataset = NULL;
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;
  guint n = 0;

  labelled_begin ();
  write_classes ("train/", 2, 0);
  dataset = labelled_get (FOLDER, CLASSES);
  g_cancellable_cancel (cancellable);
  g_assert_cmpint (umedpt_dataset_check (dataset, count_problem, &n, NULL,
                       cancellable, &error),
      ==, -1);
  g_assert_error (error, UMEDPT_ERROR, UMEDPT_ERROR_CANCELLED);
}

int
main (int argc, char **argv)
{
  int result;

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/dataset/keys", test_keys);
  g_test_add_func ("/dataset/keys/documented", test_keys_documented);
  g_test_add_func ("/dataset/imagefolder", test_imagefolder);
  g_test_add_func ("/dataset/imagefolder/classes", test_imagefolder_classes);
  g_test_add_func ("/dataset/shares", test_shares);
  g_test_add_func ("/dataset/cases", test_cases);
  g_test_add_func ("/dataset/subset", test_subset);
  g_test_add_func ("/dataset/csv/text", test_csv_text);
  g_test_add_func ("/dataset/csv/wrong-text", test_csv_wrong);
  g_test_add_func ("/dataset/csv", test_table);
  g_test_add_func ("/dataset/csv/wrong", test_table_wrong);
  g_test_add_func ("/dataset/split-table", test_split_table);
  g_test_add_func ("/dataset/split-table/wrong", test_split_table_wrong);
  g_test_add_func ("/dataset/check", test_check);
  g_test_add_func ("/dataset/check/cancel", test_check_cancel);
  result = g_test_run ();
  labelled_end ();
  return result;
}
