/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Boxes: overlap, and non-maximum suppression. Suppression is greedy and per
 * class, as in MMDetection: of two boxes of one class that overlap by more
 * than the threshold the one with the lower score goes. Equal scores keep the
 * order in which they came, so that results are the same on every run.
 */
#include "net/decode.h"

static double
area (const UmedptBox *box)
{
  return MAX ((double) box->x2 - box->x1, 0) *
      MAX ((double) box->y2 - box->y1, 0);
}

double
umedpt_box_iou (const UmedptBox *a, const UmedptBox *b)
{
  const double width =
      (double) MIN (a->x2, b->x2) - (double) MAX (a->x1, b->x1);
  const double height =
      (double) MIN (a->y2, b->y2) - (double) MAX (a->y1, b->y1);
  double both;

  if (width <= 0 || height <= 0)
    return 0;
  both = width * height;
  return both / (area (a) + area (b) - both);
}

/* Descending; g_array_sort() is stable. */
static gint
compare_scores (gconstpointer a, gconstpointer b)
{
  const gfloat x = ((const UmedptBox *) a)->score;
  const gfloat y = ((const UmedptBox *) b)->score;

  return (x < y) - (x > y);
}

static gboolean
is_suppressed (const UmedptBox *box, const GArray *kept, guint n,
    double iou_threshold)
{
  for (guint i = 0; i < n; i++) {
    const UmedptBox *other = &g_array_index (kept, UmedptBox, i);
    if (other->label == box->label &&
        umedpt_box_iou (other, box) > iou_threshold)
      return TRUE;
  }
  return FALSE;
}

void
umedpt_boxes_suppress (GArray *boxes, double iou_threshold, guint max_boxes)
{
  guint n = 0;

  g_array_sort (boxes, compare_scores);
  for (guint i = 0; i < boxes->len && n < max_boxes; i++) {
    const UmedptBox box = g_array_index (boxes, UmedptBox, i);
    if (!is_suppressed (&box, boxes, n, iou_threshold))
      g_array_index (boxes, UmedptBox, n++) = box;
  }
  g_array_set_size (boxes, n);
}
