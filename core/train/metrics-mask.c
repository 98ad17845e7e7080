/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Segmentation, in two ways that answer different questions:
 *
 *   dice, iou              from the counts of pixels over the whole split, per
 *                          class, then the mean over classes that occur
 *   image_dice, image_iou  per image and class, 1 where the class is in neither
 *                          mask; the mean over images, then over classes
 *                          (UMedPT's own IoU)
 *
 * Pixels without a label are left out; a prediction of no class (255) is wrong
 * for the class that is there and a hit for none.
 */
#include <math.h>
#include <string.h>

#include "train/metrics-private.h"

typedef struct
{
  guint64 both, truth, predicted;
} Counts;

struct _UmedptMaskMetrics
{
  guint k;
  gboolean multilabel;
  guint64 *table; /* of one image, [k, k + 1]: the last column is no class */
  guint64 *confusion; /* (nullable) [k, k] */
  guint64 n_right, n_pixels; /* pixels, or (pixel, label) entries */
  Counts *counts; /* [k] over the split */
  double *image_dice, *image_iou; /* [k] sums over images */
  guint64 *n_images; /* [k] */
};

UmedptMaskMetrics *
umedpt_mask_metrics_new (guint k, gboolean multilabel)
{
  UmedptMaskMetrics *self = g_new0 (UmedptMaskMetrics, 1);

  self->k = k;
  self->multilabel = multilabel;
  self->counts = g_new0 (Counts, k);
  self->image_dice = g_new0 (double, k);
  self->image_iou = g_new0 (double, k);
  self->n_images = g_new0 (guint64, k);
  if (!multilabel) {
    self->table = g_new (guint64, (gsize) k * (k + 1));
    self->confusion = g_new0 (guint64, (gsize) k * k);
  }
  return self;
}

void
umedpt_mask_metrics_free (UmedptMaskMetrics *self)
{
  if (!self)
    return;
  g_free (self->table);
  g_free (self->confusion);
  g_free (self->counts);
  g_free (self->image_dice);
  g_free (self->image_iou);
  g_free (self->n_images);
  g_free (self);
}

const guint64 *
umedpt_mask_metrics_get_confusion (UmedptMaskMetrics *self)
{
  return self->confusion;
}

static void
add_image (UmedptMaskMetrics *self, guint c, const Counts *image)
{
  const double sum = (double) (image->truth + image->predicted);
  const double both = (double) image->both;

  self->image_dice[c] += sum > 0 ? 2 * both / sum : 1;
  self->image_iou[c] += sum > 0 ? both / (sum - both) : 1;
  self->n_images[c]++;
  self->counts[c].both += image->both;
  self->counts[c].truth += image->truth;
  self->counts[c].predicted += image->predicted;
}

/* From the table of one image. */
static void
add_table (UmedptMaskMetrics *self)
{
  const gsize k = self->k;

  for (guint c = 0; c < k; c++) {
    Counts image = { .both = self->table[c * (k + 1) + c] };

    for (guint i = 0; i < k; i++) {
      image.truth += self->table[c * (k + 1) + i];
      image.predicted += self->table[i * (k + 1) + c];
      self->confusion[c * k + i] += self->table[c * (k + 1) + i];
    }
    image.truth += self->table[c * (k + 1) + k];
    self->n_right += image.both;
    self->n_pixels += image.truth;
    add_image (self, c, &image);
  }
}

static gboolean
add_classes (UmedptMaskMetrics *self, const guint8 *prediction,
    const guint8 *truth, gsize n_pixels)
{
  const guint k = self->k;
  gboolean counts = FALSE;

  memset (self->table, 0, (gsize) k * (k + 1) * sizeof self->table[0]);
  for (gsize i = 0; i < n_pixels; i++)
    if (truth[i] < k) {
      self->table[truth[i] * (k + 1) + MIN (prediction[i], k)]++;
      counts = TRUE;
    }
  if (counts)
    add_table (self);
  return counts;
}

static gboolean
add_labels (UmedptMaskMetrics *self, const guint8 *prediction,
    const guint8 *truth, gsize n_pixels)
{
  gboolean any = FALSE;

  for (guint c = 0; c < self->k; c++) {
    Counts image = { 0 };
    guint64 n = 0;

    for (gsize i = c; i < n_pixels * self->k; i += self->k) {
      const gboolean counts = truth[i] != UMEDPT_IGNORE_PIXEL;
      const gboolean is = counts && truth[i] != 0;
      const gboolean said = counts && prediction[i] == 1;

      n += counts;
      image.truth += is;
      image.predicted += said;
      image.both += is && said;
    }
    if (n == 0)
      continue;
    any = TRUE;
    self->n_pixels += n;
    self->n_right += n - image.truth - image.predicted + 2 * image.both;
    add_image (self, c, &image);
  }
  return any;
}

/* FALSE: the image has no labelled pixel. */
gboolean
umedpt_mask_metrics_add (UmedptMaskMetrics *self, const guint8 *prediction,
    const guint8 *truth, gsize n_pixels)
{
  return self->multilabel ? add_labels (self, prediction, truth, n_pixels)
                          : add_classes (self, prediction, truth, n_pixels);
}

enum
{
  DICE,
  IOU,
  IMAGE_DICE,
  IMAGE_IOU,
  N_NUMBERS
};

static const char *const names[N_NUMBERS] = { "dice", "iou", "image_dice",
  "image_iou" };

static double
number (const UmedptMaskMetrics *self, guint which, guint c)
{
  const Counts *counts = &self->counts[c];
  const double sum = (double) (counts->truth + counts->predicted);
  const double both = (double) counts->both;
  const double n = (double) self->n_images[c];

  switch (which) {
    case DICE:
      return umedpt_ratio (2 * both, sum);
    case IOU:
      return umedpt_ratio (both, sum - both);
    case IMAGE_DICE:
      return umedpt_ratio (self->image_dice[c], n);
    default:
      return umedpt_ratio (self->image_iou[c], n);
  }
}

void
umedpt_mask_metrics_compute (UmedptMaskMetrics *self, UmedptMetricList *list)
{
  g_autofree double *column = g_new (double, self->k);

  for (guint i = 0; i < N_NUMBERS; i++) {
    for (guint c = 0; c < self->k; c++)
      column[c] = number (self, i, c);
    umedpt_metric_list_add (list, names[i],
        umedpt_mean_of_defined (column, self->k), TRUE);
  }
  umedpt_metric_list_add (list, "pixel_accuracy",
      umedpt_ratio ((double) self->n_right, (double) self->n_pixels), TRUE);
  for (guint c = 0; c < self->k; c++)
    for (guint i = 0; i < N_NUMBERS; i++)
      umedpt_metric_list_add_class (list, c, names[i], number (self, i, c));
}
