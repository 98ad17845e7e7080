/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Metrics of what comes in on standard input, as JSON, for check-metrics.py.
 *
 * compute-metrics KIND K: per image, numbers apart by white space
 *   classification            label p[K]
 *   multilabel                0 p[K] y[K] w[K]
 *   regression                value target
 *   segmentation              n prediction[n] truth[n]
 *   multilabel-segmentation   n prediction[n K] truth[n K]
 *   detection                 n (x1 y1 x2 y2 label score)[n]
 *                             m (x1 y1 x2 y2 label)[m]
 */
#include <stdio.h>
#include <stdlib.h>

#include "train/metrics.h"

static gboolean
get (double *value)
{
  return scanf ("%lf", value) == 1;
}

static double
need (void)
{
  double value;

  if (!get (&value)) {
    fprintf (stderr, "the input ends early\n");
    exit (1);
  }
  return value;
}

static gfloat *
get_floats (gsize n)
{
  gfloat *values = g_new (gfloat, n);

  for (gsize i = 0; i < n; i++)
    values[i] = (gfloat) need ();
  return values;
}

static guint8 *
get_bytes (gsize n)
{
  guint8 *values = g_new (guint8, n);

  for (gsize i = 0; i < n; i++)
    values[i] = (guint8) need ();
  return values;
}

static GArray *
get_boxes (guint n, gboolean scored)
{
  GArray *boxes = g_array_new (FALSE, FALSE, sizeof (UmedptBox));

  for (guint i = 0; i < n; i++) {
    UmedptBox box = { .score = 1 };

    box.x1 = (gfloat) need ();
    box.y1 = (gfloat) need ();
    box.x2 = (gfloat) need ();
    box.y2 = (gfloat) need ();
    box.label = (gint) need ();
    if (scored)
      box.score = (gfloat) need ();
    g_array_append_val (boxes, box);
  }
  return boxes;
}

/* The rest of an image that begins with @head. */
static void
add_image (UmedptMetrics *metrics, UmedptTaskKind kind, guint k, double head)
{
  g_autofree gfloat *a = NULL;
  g_autofree gfloat *b = NULL;
  g_autofree gfloat *c = NULL;
  g_autofree guint8 *prediction = NULL;
  g_autofree guint8 *truth = NULL;
  g_autoptr (GArray) boxes = NULL;
  g_autoptr (GArray) true_boxes = NULL;
  gsize n;

  switch (kind) {
    case UMEDPT_TASK_CLASSIFICATION:
      a = get_floats (k);
      umedpt_metrics_add_class (metrics, a, (gint) head);
      break;
    case UMEDPT_TASK_MULTILABEL:
      a = get_floats (k);
      b = get_floats (k);
      c = get_floats (k);
      umedpt_metrics_add_labels (metrics, a, b, c);
      break;
    case UMEDPT_TASK_REGRESSION:
      umedpt_metrics_add_value (metrics, head, need ());
      break;
    case UMEDPT_TASK_SEGMENTATION:
    case UMEDPT_TASK_MULTILABEL_SEGMENTATION:
      n = (gsize) head *
          (kind == UMEDPT_TASK_MULTILABEL_SEGMENTATION || k == 1 ? k : 1);
      prediction = get_bytes (n);
      truth = get_bytes (n);
      umedpt_metrics_add_mask (metrics, prediction, truth, (gsize) head);
      break;
    case UMEDPT_TASK_DETECTION:
      boxes = get_boxes ((guint) head, TRUE);
      true_boxes = get_boxes ((guint) need (), FALSE);
      umedpt_metrics_add_boxes (metrics, boxes, true_boxes);
      break;
  }
}

int
main (int argc, char **argv)
{
  g_autoptr (UmedptMetrics) metrics = NULL;
  g_autoptr (GPtrArray) labels = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *json = NULL;
  UmedptTaskDescription task = { .name = (char *) "task", .threshold = 0.5 };
  const guint k = argc == 3 ? (guint) g_ascii_strtod (argv[2], NULL) : 0;
  double head;

  if (!k || !umedpt_task_kind_parse (argv[1], &task.kind, NULL)) {
    fprintf (stderr, "usage: compute-metrics KIND K\n");
    return 2;
  }
  for (guint c = 0; c < k; c++)
    g_ptr_array_add (labels, g_strdup_printf ("%u", c));
  g_ptr_array_add (labels, NULL);
  if (task.kind != UMEDPT_TASK_REGRESSION)
    task.labels = (char **) labels->pdata;
  metrics = umedpt_metrics_new (&task);
  while (get (&head))
    add_image (metrics, task.kind, k, head);
  json = umedpt_metrics_to_json (metrics);
  puts (json);
  return 0;
}
