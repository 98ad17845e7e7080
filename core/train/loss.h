/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * From a task's logits and a batch's labels to its loss, and the gradient
 * into the tape. Every loss is about 1 at chance, so that no task dominates
 * and none needs a weight (Schäfer et al. 2024).
 */
#pragma once

#include "data/loader.h"
#include "net/model-private.h"

G_BEGIN_DECLS

/* The numbers are read where they were computed only at the end: a device
 * goes on meanwhile. */
#define UMEDPT_LOSS_STRIDE 4 /* of the rows of `values` */

typedef struct
{
  double total;
  guint n_parts;
  const char *names[4]; /* "dice", "focal", "class", "box", "centerness" */
  double parts[4];
  gboolean skipped; /* nothing in the batch counts: no gradient */
  /* (nullable) f32 [rows, stride], not read yet: n_parts (or 1) of a row are
   * summands of the parts */
  UmedptTensor *values;
} UmedptLoss;

/* What divides the sums over a whole batch, known before it is computed, so
 * that the batch may be computed in parts. */
typedef struct
{
  double rows, weights, positives, centerness;
} UmedptLossNormalizers;

/* Whether the loss of a batch is a sum over its images, whatever divides it. */
gboolean umedpt_loss_is_sum (UmedptTaskKind kind);
/* @batch: the whole batch. FALSE + UNSUPPORTED for kinds that cannot be
 * computed in parts (Dice is a ratio of sums over the batch). */
gboolean umedpt_loss_normalizers (const UmedptTaskDescription *task,
    const UmedptBatch *batch, UmedptLossNormalizers *normalizers,
    GError **error);
/* The loss of @output for images @first … of @batch (as many as @output has),
 * and with a tape on @context the seeds of the backward pass. @normalizers:
 * (nullable) of the part itself. @focal_gamma: classification, 0 = plain. */
gboolean umedpt_loss_compute (UmedptContext *context,
    const UmedptTaskDescription *task, const UmedptTaskOutput *output,
    const UmedptBatch *batch, guint first, double focal_gamma,
    const UmedptLossNormalizers *normalizers, UmedptLoss *loss, GError **error);
/* The same in two steps: all is computed, or queued on a device; then the
 * numbers are read. What was begun and is not wanted is to be cleared. */
gboolean umedpt_loss_begin (UmedptContext *context,
    const UmedptTaskDescription *task, const UmedptTaskOutput *output,
    const UmedptBatch *batch, guint first, double focal_gamma,
    const UmedptLossNormalizers *normalizers, UmedptLoss *loss, GError **error);
gboolean umedpt_loss_read (UmedptLoss *loss, GError **error);
void umedpt_loss_clear (UmedptLoss *loss);

/* targets.c: FCOS assignment for one image (Tian et al. 2019, section 3.1-3.2):
 * into row @image of target tensors of all levels. Adds to @positives and
 * @centerness. */
gboolean umedpt_detection_assign (const GArray *boxes, gint width, gint height,
    guint image, UmedptTensor *classes[UMEDPT_DETECTION_LEVELS],
    UmedptTensor *targets[UMEDPT_DETECTION_LEVELS], double *positives,
    double *centerness);

G_END_DECLS
