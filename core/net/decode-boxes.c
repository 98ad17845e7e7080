/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * From the outputs of an FCOS head (Tian et al. 2019) to boxes, in the order
 * of MMDetection: the threshold applies to the class's score alone, then the
 * best candidates of each level are decoded, then the score becomes class
 * times centerness, then overlaps are suppressed over all levels. Points are
 * the centres of a level's cells, ((x + 0.5) stride, (y + 0.5) stride);
 * distances to the sides are in units of the stride.
 */
#include <math.h>

#include "net/decode.h"

gint64
umedpt_detection_level_size (guint level, gint64 size)
{
  gint64 result = size / 4; /* F1; each level after it halves, rounded up */

  g_return_val_if_fail (level < UMEDPT_DETECTION_LEVELS, 0);
  for (guint i = 0; i <= level; i++)
    result = (result + 1) / 2;
  return result;
}

gint
umedpt_detection_level_stride (guint level)
{
  return 8 << level;
}

static float
sigmoid (float x)
{
  return (float) (1 / (1 + exp (-(double) x)));
}

/* A point and a class whose score is high enough. */
typedef struct
{
  float score; /* of the class */
  gint64 point; /* y width + x */
  gint label;
} Candidate;

/* Descending; g_array_sort() is stable. */
static gint
compare_candidates (gconstpointer a, gconstpointer b)
{
  const float x = ((const Candidate *) a)->score;
  const float y = ((const Candidate *) b)->score;

  return (x < y) - (x > y);
}

/* The @n best of what image @index has above the threshold. */
static GArray *
find_candidates (const UmedptTensor *classes, gint64 index, double threshold,
    guint n)
{
  GArray *found = g_array_new (FALSE, FALSE, sizeof (Candidate));
  const gint64 points = classes->shape[1] * classes->shape[2];
  const gint64 k = classes->shape[3];
  const float *logits = UMEDPT_F32 (classes) + index * points * k;

  for (gint64 i = 0; i < points * k; i++) {
    const Candidate candidate = { sigmoid (logits[i]), i / k, (gint) (i % k) };
    if (candidate.score > threshold)
      g_array_append_val (found, candidate);
  }
  g_array_sort (found, compare_candidates);
  if (found->len > n)
    g_array_set_size (found, n);
  return found;
}

static float
clip (double value, gint size)
{
  return (float) CLAMP (value, 0, size);
}

static void
decode_level (const UmedptTaskOutput *output, guint level, gint64 index,
    gint width, gint height, const UmedptDetectionSettings *settings,
    GArray *boxes)
{
  const UmedptTensor *classes = output->outputs[3 * level];
  const gint64 columns = classes->shape[2];
  const gint64 points = classes->shape[1] * columns;
  const float *sides =
      UMEDPT_F32 (output->outputs[3 * level + 1]) + index * points * 4;
  const float *centerness =
      UMEDPT_F32 (output->outputs[3 * level + 2]) + index * points;
  const double stride = umedpt_detection_level_stride (level);
  g_autoptr (GArray) found = find_candidates (classes, index,
      settings->score_threshold, settings->per_level);

  for (guint i = 0; i < found->len; i++) {
    const Candidate *c = &g_array_index (found, Candidate, i);
    const float *side = sides + 4 * c->point;
    const double x = ((double) (c->point % columns) + 0.5) * stride;
    const double y = ((double) (c->point / columns) + 0.5) * stride;
    const UmedptBox box = {
      .x1 = clip (x - side[0] * stride, width),
      .y1 = clip (y - side[1] * stride, height),
      .x2 = clip (x + side[2] * stride, width),
      .y2 = clip (y + side[3] * stride, height),
      .label = c->label,
      .score = c->score * sigmoid (centerness[c->point]),
    };

    if (box.x2 > box.x1 && box.y2 > box.y1)
      g_array_append_val (boxes, box);
  }
}

void
umedpt_decode_boxes (const UmedptTaskOutput *output, gint64 index, gint width,
    gint height, const UmedptDetectionSettings *settings, GArray *boxes)
{
  g_autoptr (GArray) all = g_array_new (FALSE, FALSE, sizeof (UmedptBox));

  g_return_if_fail (output->kind == UMEDPT_TASK_DETECTION);
  g_return_if_fail (index >= 0 && index < output->outputs[0]->shape[0]);

  for (guint level = 0; level < UMEDPT_DETECTION_LEVELS; level++)
    decode_level (output, level, index, width, height, settings, all);
  umedpt_boxes_suppress (all, settings->iou_threshold, settings->max_boxes);
  g_array_append_vals (boxes, all->data, all->len);
}
