/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Detection: average precision as the COCO evaluation defines it (Lin et al.
 * 2014, arXiv:1405.0312; cocodataset.org, "Detection Evaluation"): per image
 * and class the 100 best predictions, each matched in the order of its score
 * to the free box it overlaps most; precision made monotone and read at 101
 * recalls; the mean over IoU thresholds 0.5, 0.55 … 0.95, then over classes
 * that have boxes.
 *
 * A region to ignore (label < 0) is a COCO "crowd" of every class: what is left
 * and has enough of its own area inside counts neither way. Kept per prediction
 * are its score and two sets of bits, one bit per threshold.
 */
#include <math.h>

#include "train/metrics-private.h"

#define N_THRESHOLDS 10
#define N_RECALLS 101
#define MAX_PER_IMAGE 100
#define AT_50 0
#define AT_75 5

typedef struct
{
  gfloat score;
  guint16 hits, ignored; /* bit t: at threshold t */
} Detection;

typedef struct
{
  GArray *detections; /* of Detection, in the order of the images */
  guint64 n_truth;
} BoxClass;

struct _UmedptBoxMetrics
{
  guint k;
  BoxClass *classes;
};

/* One class of one image. */
typedef struct
{
  GArray *boxes; /* of UmedptBox, best first */
  GArray *truth, *regions; /* of UmedptBox */
  double *overlap; /* [boxes, truth + regions] */
  gboolean *taken; /* [truth] */
} Image;

UmedptBoxMetrics *
umedpt_box_metrics_new (guint k)
{
  UmedptBoxMetrics *self = g_new0 (UmedptBoxMetrics, 1);

  self->k = k;
  self->classes = g_new0 (BoxClass, k);
  for (guint c = 0; c < k; c++)
    self->classes[c].detections =
        g_array_new (FALSE, FALSE, sizeof (Detection));
  return self;
}

void
umedpt_box_metrics_free (UmedptBoxMetrics *self)
{
  if (!self)
    return;
  for (guint c = 0; c < self->k; c++)
    g_array_unref (self->classes[c].detections);
  g_free (self->classes);
  g_free (self);
}

static double
area (const UmedptBox *box)
{
  return ((double) box->x2 - box->x1) * ((double) box->y2 - box->y1);
}

/* The intersection over the union, or, with a region, over @box. */
static double
overlap (const UmedptBox *box, const UmedptBox *truth, gboolean region)
{
  const double width =
      (double) MIN (box->x2, truth->x2) - MAX (box->x1, truth->x1);
  const double height =
      (double) MIN (box->y2, truth->y2) - MAX (box->y1, truth->y1);
  double both;

  if (!(width > 0 && height > 0))
    return 0;
  both = width * height;
  return both / (region ? area (box) : area (box) + area (truth) - both);
}

static gint
compare_boxes (gconstpointer a, gconstpointer b)
{
  const gfloat x = ((const UmedptBox *) a)->score;
  const gfloat y = ((const UmedptBox *) b)->score;

  return (x < y) - (x > y);
}

static gint
compare_detections (gconstpointer a, gconstpointer b)
{
  const gfloat x = ((const Detection *) a)->score;
  const gfloat y = ((const Detection *) b)->score;

  return (x < y) - (x > y);
}

static void
image_clear (Image *self)
{
  g_array_unref (self->boxes);
  g_array_unref (self->truth);
  g_array_unref (self->regions);
  g_free (self->overlap);
  g_free (self->taken);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Image, image_clear)

static GArray *
of_class (const GArray *boxes, gint class)
{
  GArray *found = g_array_new (FALSE, FALSE, sizeof (UmedptBox));

  for (guint i = 0; i < boxes->len; i++) {
    UmedptBox box = g_array_index (boxes, UmedptBox, i);

    if (isnan (box.score))
      box.score = -INFINITY;
    if (box.label == class || (class < 0 && box.label < 0))
      g_array_append_val (found, box);
  }
  return found;
}

static void
image_init (Image *self, const GArray *prediction, const GArray *truth,
    gint class)
{
  guint columns;

  self->boxes = of_class (prediction, class);
  self->truth = of_class (truth, class);
  self->regions = of_class (truth, UMEDPT_IGNORE_LABEL);
  g_array_sort (self->boxes, compare_boxes);
  if (self->boxes->len > MAX_PER_IMAGE)
    g_array_set_size (self->boxes, MAX_PER_IMAGE);
  columns = self->truth->len + self->regions->len;
  self->taken = g_new (gboolean, self->truth->len);
  self->overlap = g_new (double, (gsize) self->boxes->len *columns);
  for (guint i = 0; i < self->boxes->len; i++)
    for (guint j = 0; j < columns; j++) {
      const gboolean region = j >= self->truth->len;
      const GArray *from = region ? self->regions : self->truth;
      const guint nth = region ? j - self->truth->len : j;

      self->overlap[(gsize) i * columns + j] =
          overlap (&g_array_index (self->boxes, UmedptBox, i),
              &g_array_index (from, UmedptBox, nth), region);
    }
}

/* Matches all predictions at one threshold; sets bit @bit of what it finds. */
static void
match (Image *self, double threshold, guint bit, Detection *detections)
{
  const guint n = self->truth->len, columns = n + self->regions->len;

  for (guint j = 0; j < n; j++)
    self->taken[j] = FALSE;
  for (guint i = 0; i < self->boxes->len; i++) {
    const double *row = self->overlap + (gsize) i * columns;
    double best = MIN (threshold, 1 - 1e-10);
    gint found = -1;

    for (guint j = 0; j < n; j++)
      if (!self->taken[j] && row[j] >= best) {
        best = row[j];
        found = (gint) j;
      }
    if (found >= 0) {
      self->taken[found] = TRUE;
      detections[i].hits |= (guint16) (1u << bit);
      continue;
    }
    for (guint j = n; j < columns; j++)
      if (row[j] >= best)
        detections[i].ignored |= (guint16) (1u << bit);
  }
}

static double
iou_threshold (guint nth)
{
  return 0.5 + nth * ((0.95 - 0.5) / (N_THRESHOLDS - 1));
}

static void
add_class (BoxClass *self, const GArray *prediction, const GArray *truth,
    gint class)
{
  g_auto (Image) image = { 0 };
  g_autofree Detection *found = NULL;

  image_init (&image, prediction, truth, class);
  self->n_truth += image.truth->len;
  found = g_new0 (Detection, image.boxes->len);
  for (guint i = 0; i < image.boxes->len; i++)
    found[i].score = g_array_index (image.boxes, UmedptBox, i).score;
  for (guint t = 0; t < N_THRESHOLDS; t++)
    match (&image, iou_threshold (t), t, found);
  if (image.boxes->len)
    g_array_append_vals (self->detections, found, image.boxes->len);
}

gboolean
umedpt_box_metrics_add (UmedptBoxMetrics *self, const GArray *prediction,
    const GArray *truth)
{
  for (guint c = 0; c < self->k; c++)
    add_class (&self->classes[c], prediction, truth, (gint) c);
  return TRUE;
}

/* Average precision at one threshold, and the recall of all predictions;
 * @precision: as many as there are predictions. */
static double
average_precision (const BoxClass *self, guint bit, double *precision,
    double *recall, double *last_recall)
{
  const Detection *detections = (Detection *) (gpointer) self->detections->data;
  double hits = 0, misses = 0, sum = 0;
  guint n = 0, at = 0;

  for (guint i = 0; i < self->detections->len; i++) {
    const gboolean hit = detections[i].hits >> bit & 1;

    if (detections[i].ignored >> bit & 1)
      continue;
    hits += hit;
    misses += !hit;
    recall[n] = hits / (double) self->n_truth;
    precision[n++] = hits / (hits + misses);
  }
  *last_recall = n ? recall[n - 1] : 0;
  for (guint i = n; i-- > 1;)
    precision[i - 1] = MAX (precision[i - 1], precision[i]);
  for (guint i = 0; i < N_RECALLS; i++) {
    while (at < n && recall[at] < i * 0.01)
      at++;
    sum += at < n ? precision[at] : 0;
  }
  return sum / N_RECALLS;
}

enum
{
  AP50,
  AP,
  AP75,
  AR,
  N_NUMBERS
};

static const char *const names[N_NUMBERS] = { "ap50", "ap", "ap75", "ar" };

/* NaN for a class that no image has. */
static void
compute_class (BoxClass *self, double *numbers)
{
  const gsize n = self->detections->len;
  g_autofree double *precision = g_new (double, n);
  g_autofree double *recall = g_new (double, n);
  double ap[N_THRESHOLDS], last_recall;

  for (guint i = 0; i < N_NUMBERS; i++)
    numbers[i] = self->n_truth ? 0 : NAN;
  if (!self->n_truth)
    return;
  g_array_sort (self->detections, compare_detections);
  for (guint t = 0; t < N_THRESHOLDS; t++) {
    ap[t] = average_precision (self, t, precision, recall, &last_recall);
    numbers[AP] += ap[t] / N_THRESHOLDS;
    numbers[AR] += last_recall / N_THRESHOLDS;
  }
  numbers[AP50] = ap[AT_50];
  numbers[AP75] = ap[AT_75];
}

void
umedpt_box_metrics_compute (UmedptBoxMetrics *self, UmedptMetricList *list)
{
  g_autofree double *numbers = g_new (double, N_NUMBERS *(gsize) self->k);
  g_autofree double *column = g_new (double, self->k);

  for (guint c = 0; c < self->k; c++)
    compute_class (&self->classes[c], numbers + N_NUMBERS * (gsize) c);
  for (guint i = 0; i < N_NUMBERS; i++) {
    for (guint c = 0; c < self->k; c++)
      column[c] = numbers[N_NUMBERS * (gsize) c + i];
    umedpt_metric_list_add (list, names[i],
        umedpt_mean_of_defined (column, self->k), TRUE);
  }
  for (guint c = 0; c < self->k; c++)
    for (guint i = 0; i < N_NUMBERS; i++)
      umedpt_metric_list_add_class (list, c, names[i],
          numbers[N_NUMBERS * (gsize) c + i]);
}
