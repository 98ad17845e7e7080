/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The three formats of boxes: what the numbers mean in pixels, which class has
 * which number, what is left out with a warning, and what is refused, with the
 * place in the file.
 */
#include "labelled.h"

#include <string.h>

#include "base/error.h"

#define BOXES UMEDPT_TASK_DETECTION

static void
check_box (const UmedptSample *sample, guint i, double x1, double y1, double x2,
    double y2, gint label)
{
  const UmedptBox *box;

  g_assert_cmpuint (i, <, sample->boxes->len);
  box = &g_array_index (sample->boxes, UmedptBox, i);
  g_assert_cmpfloat_with_epsilon (box->x1, x1, 1e-4);
  g_assert_cmpfloat_with_epsilon (box->y1, y1, 1e-4);
  g_assert_cmpfloat_with_epsilon (box->x2, x2, 1e-4);
  g_assert_cmpfloat_with_epsilon (box->y2, y2, 1e-4);
  g_assert_cmpint (box->label, ==, label);
  g_assert_cmpfloat (box->score, ==, 1);
}

#define IMAGES \
  "\"images\":[{\"id\":7,\"file_name\":\"a.png\",\"width\":20,\"height\":10}," \
  "{\"id\":3,\"file_name\":\"b.png\"}]"
#define CATEGORIES \
  "\"categories\":[{\"id\":9,\"name\":\"nine\"},{\"id\":2,\"name\":\"two\"}]"

/* A COCO file with these annotations. */
static void
write_coco (const char *annotations)
{
  g_autofree char *text =
      g_strdup_printf ("{\"info\":{\"x\":[1,{}]},\"annotations\":[%s]," IMAGES
                       "," CATEGORIES "}",
          annotations);

  labelled_text ("coco.json", text);
}

static void
begin_images (void)
{
  labelled_begin ();
  labelled_grey ("images/a.png", 20, 10, 0);
  labelled_grey ("images/b.png", 20, 10, 99);
}

static void
test_coco (void)
{
  g_autoptr (UmedptDataset) dataset = NULL, other = NULL;
  g_autoptr (UmedptSample) a = NULL, b = NULL, c = NULL;
  g_autofree char *text = NULL;
  gint n_fatal;

  begin_images ();
  write_coco (
      "{\"id\":1,\"image_id\":7,\"category_id\":9,\"bbox\":[1,2,3.5,4],"
      "\"iscrowd\":0,\"segmentation\":[[1,2]]},"
      "{\"id\":2,\"image_id\":7,\"category_id\":2,\"bbox\":[-5,-0.5,10,10],"
      "\"iscrowd\":1},"
      "{\"id\":3,\"image_id\":7,\"category_id\":2,\"bbox\":[1,1,0,3]}");
  dataset = labelled_get ("format=coco\n", BOXES);
  g_assert_cmpstr (umedpt_dataset_get_labels (dataset)[0], ==, "two"); /* 2 */
  a = umedpt_dataset_read (dataset, labelled_find (dataset, "images/a.png"),
      NULL);
  g_assert_cmpuint (a->boxes->len, ==, 2);
  check_box (a, 0, 1, 2, 4.5, 6, 1);
  check_box (a, 1, 0, 0, 5, 9.5, UMEDPT_IGNORE_LABEL); /* a crowd, clipped */
  b = umedpt_dataset_read (dataset, labelled_find (dataset, "images/b.png"),
      NULL);
  g_assert_cmpuint (b->boxes->len, ==, 0);
  text = labelled_check (dataset, &n_fatal);
  g_assert_nonnull (strstr (text, "annotation 3 (number 3): the box"));
  g_assert_nonnull (strstr (text, "no area"));
  g_assert_nonnull (strstr (text, "reaches over the edge"));
  g_assert_cmpint (n_fatal, ==, 0);
  other = labelled_get ("format=coco\nignore-labels=two\n", BOXES);
  c = umedpt_dataset_read (other, labelled_find (other, "images/a.png"), NULL);
  check_box (c, 0, 1, 2, 4.5, 6, 0);
}

/* One class per image, and the classes present. */
static void
test_coco_classes (void)
{
  g_autoptr (UmedptDataset) one = NULL, many = NULL;
  g_autoptr (UmedptSample) a = NULL;

  begin_images ();
  write_coco ("{\"image_id\":7,\"category_id\":9},"
              "{\"image_id\":7,\"category_id\":2},"
              "{\"image_id\":3,\"category_id\":9},"
              "{\"image_id\":3,\"category_id\":9}");
  many = labelled_get ("format=coco\n", UMEDPT_TASK_MULTILABEL);
  a = umedpt_dataset_read (many, 0, NULL);
  g_assert_true (a->labels[0] == 1 && a->labels[1] == 1);
  one = labelled_get ("format=coco\n", UMEDPT_TASK_CLASSIFICATION);
  g_assert_cmpuint (umedpt_dataset_get_n_samples (one), ==, 1);
  g_assert_cmpstr (umedpt_dataset_get_name (one, 0), ==, "images/b.png");
  g_assert_cmpint (umedpt_dataset_peek_label (one, 0), ==, 1);
  labelled_fails ("format=coco\n", BOXES, "number 1", "bbox", NULL);
}

static void
coco_fails (const char *annotation, const char *word)
{
  write_coco (annotation);
  labelled_fails ("format=coco\n", BOXES, "coco.json", word, NULL);
}

static void
coco_text_fails (const char *text, const char *word)
{
  labelled_text ("coco.json", text);
  labelled_fails ("format=coco\n", BOXES, "coco.json", word, NULL);
}

static void
test_coco_wrong (void)
{
  begin_images ();
  coco_fails ("{\"image_id\":8,\"category_id\":9,\"bbox\":[1,2,3,4]}",
      "no image with the id 8");
  coco_fails ("{\"image_id\":7,\"category_id\":1,\"bbox\":[1,2,3,4]}",
      "no category with the id 1");
  coco_fails ("{\"image_id\":7,\"category_id\":9,\"bbox\":[1,2,3]}", "x, y");
  coco_fails ("{\"image_id\":7,\"category_id\":9,\"bbox\":[1,2,NaN,4]}",
      "byte");
  coco_fails ("{\"image_id\":7,\"category_id\":9,\"bbox\":[1,2,1e999,4]}",
      "bbox");
  coco_fails ("{\"image_id\":7,\"category_id\":9,\"bbox\":[100,2,3,4]}",
      "outside");
  coco_fails ("{\"image_id\":7,\"bbox\":[1,2,3,4]}", "lacks a key");
  coco_fails ("{\"image_id\":7,\"image_id\":7,\"category_id\":9}", "twice");
  coco_fails ("{\"id\":1,\"image_id\":7,\"category_id\":9},"
              "{\"id\":1,\"image_id\":7,\"category_id\":9}",
      "have the id 1");
  coco_fails ("{\"image_id\":7.5,\"category_id\":9}", "image_id");
  coco_fails ("{\"image_id\":7,\"category_id\":9", "number 1");
  coco_text_fails ("", "byte 0");
  coco_text_fails ("[]", "object");
  coco_text_fails ("{\"images\":[]}", "categories");
  coco_text_fails ("{\"images\":[{\"id\":1,\"file_name\":\"../a.png\"}],"
                   "\"annotations\":[]," CATEGORIES "}",
      "inside");
  coco_text_fails ("{\"images\":[{\"id\":1,\"file_name\":\"/etc/passwd\"}],"
                   "\"annotations\":[]," CATEGORIES "}",
      "inside");
  coco_text_fails ("{\"images\":[{\"id\":1,\"file_name\":\"c.png\"}],"
                   "\"annotations\":[]," CATEGORIES "}",
      "does not exist");
  coco_text_fails (
      "{\"images\":[{\"id\":1,\"file_name\":\"a.png\",\"width\":99999}],"
      "\"annotations\":[]," CATEGORIES "}",
      "width");
  labelled_text ("coco.json",
      "{" IMAGES ",\"annotations\":[],\"categories\":"
      "[{\"id\":1,\"name\":\"x\"},"
      "{\"id\":2,\"name\":\"x\"}]}");
  labelled_fails ("format=coco\n", BOXES, "“x”", "twice", NULL);
  write_coco ("");
  labelled_fails ("format=coco\nclasses=two\n", BOXES, "“nine”", NULL);
}

/* The annotation's size of the image must be the image's. */
static void
test_sizes (void)
{
  g_autoptr (UmedptDataset) dataset = NULL;

  begin_images ();
  labelled_grey ("images/a.png", 21, 10, 0);
  write_coco ("{\"image_id\":7,\"category_id\":9,\"bbox\":[1,2,3,4]},"
              "{\"image_id\":3,\"category_id\":9,\"bbox\":[100,2,3,4]}");
  dataset = labelled_get ("format=coco\n", BOXES);
  labelled_read_fails (dataset, 0, "images/a.png", "21 x 10", "20 x 10", NULL);
  labelled_read_fails (dataset, 1, "images/b.png", "outside", NULL);
}

#define XML_HEAD \
  "<?xml version='1.0'?>\n<annotation><filename>a.jpg</filename>\n" \
  "<size><width>20</width><height>10</height><depth>3</depth></size>\n"

static void
write_voc (const char *objects)
{
  g_autofree char *text =
      g_strconcat (XML_HEAD, objects, "</annotation>\n", NULL);

  labelled_text ("annotations/a.xml", text);
  labelled_text ("annotations/b.xml", XML_HEAD "</annotation>");
}

#define OBJECT(name, a, b, c, d, more) \
  "<object><name>" name "</name><bndbox><xmin>" a "</xmin><ymin>" b \
  "</ymin><xmax>" c "</xmax><ymax>" d "</ymax></bndbox>" more "</object>\n"

static void
test_voc (void)
{
  g_autoptr (UmedptDataset) dataset = NULL, zero = NULL;
  g_autoptr (UmedptSample) a = NULL, b = NULL;
  g_autofree char *text = NULL;
  gint n_fatal;

  begin_images ();
  write_voc (OBJECT ("x &amp; y", "1", "2", "20", "10",
      "<part><name>z</name></part>") OBJECT ("dog", " 3.5 ", "4", "6", "7",
      "<difficult>1</difficult>") OBJECT ("dog", "5", "5", "5", "5", ""));
  dataset = labelled_get ("format=voc\n", BOXES);
  g_assert_cmpstr (umedpt_dataset_get_labels (dataset)[1], ==, "x & y");
  a = umedpt_dataset_read (dataset, 0, NULL);
  g_assert_cmpuint (a->boxes->len, ==, 2);
  check_box (a, 0, 0, 1, 20, 10, 1); /* counted from 1, the last included */
  check_box (a, 1, 2.5, 3, 6, 7, UMEDPT_IGNORE_LABEL);
  text = labelled_check (dataset, &n_fatal);
  g_assert_nonnull (strstr (text, "annotations/a.xml:6: the box from (5, 5)"));
  zero = labelled_get ("format=voc\nbox-origin=0\n", BOXES);
  b = umedpt_dataset_read (zero, 0, NULL);
  check_box (b, 0, 1, 2, 20, 10, 1);
  labelled_fails ("format=voc\nclasses=dog\n", BOXES, "a.xml:4", "x & y", NULL);
}

static void
voc_fails (const char *objects, const char *word)
{
  write_voc (objects);
  labelled_fails ("format=voc\n", BOXES, "a.xml", word, NULL);
}

static void
test_voc_wrong (void)
{
  begin_images ();
  voc_fails (OBJECT ("a", "1", "2", "x", "4", ""), "expected a number");
  voc_fails (OBJECT ("a", "1", "2", "nan", "4", ""), "expected a number");
  voc_fails (OBJECT ("a", "", "2", "3", "4", ""), "expected a number");
  voc_fails (OBJECT ("a", "30", "2", "40", "4", ""), "outside");
  voc_fails (OBJECT ("", "1", "2", "3", "4", ""), "no <name>");
  voc_fails ("<object><name>a</name></object>", "no <bndbox>");
  voc_fails ("<object><name>a</name><name>b</name></object>", "two names");
  voc_fails ("<object>", "XML");
  voc_fails ("&bomb;", "XML");
  labelled_text ("annotations/a.xml", "");
  labelled_fails ("format=voc\n", BOXES, "a.xml", NULL);
  labelled_text ("annotations/a.xml", "<html/>");
  labelled_fails ("format=voc\n", BOXES, "a.xml", "<annotation>", NULL);
  labelled_text ("annotations/a.xml", "\x89PNG\xff\xfe");
  labelled_fails ("format=voc\n", BOXES, "a.xml", NULL);
  write_voc ("");
  labelled_grey ("images/c.png", 4, 4, 0);
  labelled_fails ("format=voc\n", BOXES, "c.png", "no annotation", NULL);
}

static void
test_yolo (void)
{
  g_autoptr (UmedptDataset) dataset = NULL;
  g_autoptr (UmedptSample) a = NULL, b = NULL;
  g_autofree char *text = NULL;
  gint n_fatal;

  begin_images ();
  labelled_grey ("images/c.png", 20, 10, 50);
  labelled_text ("classes.txt", "p\nq\r\n\n");
  labelled_text ("labels/a.txt",
      "1 0.5 0.5 0.5 0.2\r\n\n0\t0.1 0.1  0.4 0.1 0.2 0.9\n0 0.5 0.5 0 0.1\n");
  labelled_text ("labels/b.txt", "");
  dataset = labelled_get ("format=yolo\n", BOXES);
  a = umedpt_dataset_read (dataset, 0, NULL);
  g_assert_cmpuint (a->boxes->len, ==, 2);
  check_box (a, 0, 5, 4, 15, 6, 1);
  check_box (a, 1, 2, 1, 8, 9, 0); /* round a polygon */
  b = umedpt_dataset_read (dataset, 1, NULL);
  g_assert_cmpuint (b->boxes->len, ==, 0);
  text = labelled_check (dataset, &n_fatal);
  g_assert_nonnull (strstr (text, "labels/a.txt:4: the box"));
  g_assert_nonnull (strstr (text, "images/c.png: there is no"));
}

static void
yolo_fails (const char *text, const char *word)
{
  labelled_text ("labels/a.txt", text);
  labelled_fails ("format=yolo\n", BOXES, "a.txt", word, NULL);
}

static void
test_yolo_wrong (void)
{
  begin_images ();
  labelled_text ("labels/b.txt", "");
  labelled_fails ("format=yolo\n", BOXES, "classes.txt", NULL);
  labelled_text ("classes.txt", "p\n");
  yolo_fails ("1 0.5 0.5 0.1 0.1\n", "class 1 is not declared");
  yolo_fails ("-1 0.5 0.5 0.1 0.1\n", "line 1");
  yolo_fails ("\n0 0.5 0.5 0.1\n", "line 2");
  yolo_fails ("0 0.5 0.5 0.1 nan\n", "line 1");
  yolo_fails ("0 0.5 0.5 0.1 -0.1\n", "negative");
  yolo_fails ("0 320 240 50 50\n", "share");
  yolo_fails ("0 2.5 0.5 0.1 0.1\n", "outside");
  yolo_fails ("0 0.5 0.5 0.1 0.1 0.2\n", "polygon");
  yolo_fails ("\xff\xfe\n", "line 1");
  labelled_write ("labels/a.txt", "0 0\0 0", 6);
  labelled_fails ("format=yolo\n", BOXES, "no text", NULL);
  labelled_text ("labels/a.txt", "");
  labelled_text ("images/a.png", "no image");
  labelled_fails ("format=yolo\n", BOXES, "images/a.png", NULL);
}

int
main (int argc, char **argv)
{
  int result;

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/boxes/coco", test_coco);
  g_test_add_func ("/boxes/coco/classes", test_coco_classes);
  g_test_add_func ("/boxes/coco/wrong", test_coco_wrong);
  g_test_add_func ("/boxes/sizes", test_sizes);
  g_test_add_func ("/boxes/voc", test_voc);
  g_test_add_func ("/boxes/voc/wrong", test_voc_wrong);
  g_test_add_func ("/boxes/yolo", test_yolo);
  g_test_add_func ("/boxes/yolo/wrong", test_yolo_wrong);
  result = g_test_run ();
  labelled_end ();
  return result;
}
