/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * From logits to probabilities and masks. Softmax and sigmoid are computed in
 * double, so that nothing overflows and a single class has the probability 1.
 * A mask is decided at the logits' resolution, half the image's, and enlarged
 * by the nearest pixel, as in the paper's library.
 */
#include "net/decode.h"

#include <math.h>

static double
sigmoid (double x)
{
  return 1 / (1 + exp (-x));
}

/* The index of the largest logit, the first of equals, and its softmax
 * probability. */
static gint64
find_best (const float *logits, gint64 k, double *probability)
{
  gint64 best = 0;
  double sum = 0;

  for (gint64 i = 1; i < k; i++)
    if (logits[i] > logits[best])
      best = i;
  for (gint64 i = 0; i < k; i++)
    sum += exp ((double) logits[i] - logits[best]);
  *probability = 1 / sum;
  return best;
}

static void
softmax (const float *logits, gint64 k, gfloat *values)
{
  double best;
  const gint64 index = find_best (logits, k, &best);

  for (gint64 i = 0; i < k; i++)
    values[i] = (gfloat) (best * exp ((double) logits[i] - logits[index]));
}

void
umedpt_decode_values (const UmedptTaskOutput *output,
    const UmedptTaskDescription *task, gint64 index, gfloat *values)
{
  const UmedptTensor *tensor = output->outputs[0];
  const gint64 k = tensor->shape[1];
  const float *logits = UMEDPT_F32 (tensor) + index * k;

  g_return_if_fail (!output->outputs[1] && tensor->n_dims == 2);
  g_return_if_fail (index >= 0 && index < tensor->shape[0]);

  if (task->kind == UMEDPT_TASK_CLASSIFICATION) {
    softmax (logits, k, values);
    return;
  }
  for (gint64 i = 0; i < k; i++)
    values[i] = task->kind == UMEDPT_TASK_MULTILABEL
        ? (gfloat) sigmoid (logits[i])
        : logits[i];
}

static gboolean
is_multilabel (const UmedptTaskDescription *task, gint64 k)
{
  return task->kind == UMEDPT_TASK_MULTILABEL_SEGMENTATION || k == 1;
}

void
umedpt_decode_probabilities (const UmedptTaskOutput *output,
    const UmedptTaskDescription *task, gint64 index, gfloat *values)
{
  const UmedptTensor *tensor = output->outputs[0];
  const gint64 k = tensor->shape[3];
  const gint64 pixels = tensor->shape[1] * tensor->shape[2];
  const float *logits = UMEDPT_F32 (tensor) + index * pixels * k;

  g_return_if_fail (tensor->n_dims == 4);
  g_return_if_fail (index >= 0 && index < tensor->shape[0]);

  if (is_multilabel (task, k)) {
    for (gint64 i = 0; i < pixels * k; i++)
      values[i] = (gfloat) sigmoid (logits[i]);
    return;
  }
  for (gint64 i = 0; i < pixels; i++)
    softmax (logits + i * k, k, values + i * k);
}

/* The mask's value of a pixel, k of them if @multilabel. */
static void
decide (const float *logits, gint64 k, gboolean multilabel, double threshold,
    guint8 *values)
{
  double probability;
  gint64 best;

  if (multilabel) {
    for (gint64 i = 0; i < k; i++)
      values[i] = sigmoid (logits[i]) > threshold;
    return;
  }
  best = find_best (logits, k, &probability);
  *values = probability < threshold ? UMEDPT_IGNORE_PIXEL : (guint8) best;
}

/* The source row or column whose centre is nearest to that of @i. */
static gint64
nearest (gint i, gint64 from, gint to)
{
  return MIN ((2 * (gint64) i + 1) * from / (2 * (gint64) to), from - 1);
}

void
umedpt_decode_mask (const UmedptTaskOutput *output,
    const UmedptTaskDescription *task, gint64 index, double threshold,
    gint width, gint height, guint8 *mask)
{
  const UmedptTensor *tensor = output->outputs[0];
  const gint64 rows = tensor->shape[1], columns = tensor->shape[2];
  const gint64 k = tensor->shape[3];
  const gboolean multilabel = is_multilabel (task, k);
  const gint64 planes = multilabel ? k : 1;
  g_autofree guint8 *small = g_malloc_n ((gsize) (rows * columns), planes);
  const float *logits;

  g_return_if_fail (tensor->n_dims == 4);
  g_return_if_fail (index >= 0 && index < tensor->shape[0]);

  logits = UMEDPT_F32 (tensor) + index * rows * columns * k;
  for (gint64 i = 0; i < rows * columns; i++)
    decide (logits + i * k, k, multilabel, threshold, small + i * planes);
  for (gint y = 0; y < height; y++) {
    const guint8 *row = small + nearest (y, rows, height) * columns * planes;
    for (gint x = 0; x < width; x++) {
      const guint8 *pixel = row + nearest (x, columns, width) * planes;
      for (gint64 c = 0; c < planes; c++)
        *mask++ = pixel[c];
    }
  }
}
