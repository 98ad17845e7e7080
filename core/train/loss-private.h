/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the files of the losses share: loss.c has what is per image (or case),
 * loss-dense.c what is per pixel or point, targets.c the points' targets.
 */
#pragma once

#include "autograd/tape.h"
#include "train/loss.h"

G_BEGIN_DECLS

/* The arguments of umedpt_loss_compute(), together. */
typedef struct
{
  UmedptContext *context;
  const UmedptTaskDescription *task;
  const UmedptTaskOutput *output;
  const UmedptBatch *batch;
  guint first, n; /* images or cases of the batch */
  double focal_gamma;
  const UmedptLossNormalizers *normalizers; /* (nullable) */
} UmedptLossPart;

/* Levels are parts of one tensor each, which goes to a device at once. */
typedef struct
{
  UmedptTensor *all_classes, *all_boxes; /* i32 [points], f32 [points, 4] */
  UmedptTensor *classes[UMEDPT_DETECTION_LEVELS]; /* i32 [n, h, w] */
  UmedptTensor *boxes[UMEDPT_DETECTION_LEVELS]; /* f32 [n, h, w, 4] */
  double positives, centerness;
} UmedptDetectionTargets;

void umedpt_detection_targets_clear (UmedptDetectionTargets *self);
gboolean umedpt_detection_targets_make (UmedptDetectionTargets *self,
    const UmedptBatch *batch, guint first, guint n,
    const gint64 sizes[UMEDPT_DETECTION_LEVELS][2], GError **error);
/* Moves them to where the context computes. */
gboolean umedpt_detection_targets_place (UmedptDetectionTargets *self,
    const UmedptLossPart *part, GError **error);

/* 1 / ln max (K, 2): cross entropy of uniform probabilities becomes 1. */
double umedpt_loss_class_scale (gint64 k);
/* The place for the gradient of @logits; *@diff NULL if none is wanted. */
gboolean umedpt_loss_new_diff (const UmedptLossPart *part, UmedptTensor *logits,
    UmedptTensor **diff, GError **error);
/* Where the loss's numbers appear: @loss gets them, zeros, and *@row shows one
 * row of @n. */
gboolean umedpt_loss_new_values (const UmedptLossPart *part, guint rows,
    UmedptLoss *loss, GError **error);
UmedptTensor *umedpt_loss_values_row (const UmedptLoss *loss, guint row,
    guint n, GError **error);
/* @labels (i32) where the context computes. There they are used as indices,
 * and a device cannot look first as the ops do: they must be @min to @max. */
UmedptTensor *umedpt_loss_place_labels (const UmedptLossPart *part,
    UmedptTensor *labels, gint64 min, gint64 max, GError **error);
UmedptTensor *umedpt_loss_place (const UmedptLossPart *part,
    UmedptTensor *tensor, GError **error);
/* Seeds @logits with @diff (nullable). */
gboolean umedpt_loss_seed (UmedptTensor *logits, UmedptTensor *diff,
    GError **error);

gboolean umedpt_loss_segmentation (const UmedptLossPart *part, UmedptLoss *loss,
    GError **error);
gboolean umedpt_loss_detection (const UmedptLossPart *part, UmedptLoss *loss,
    GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (UmedptDetectionTargets,
    umedpt_detection_targets_clear)

G_END_DECLS
