/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * From logits to results: probabilities, masks, boxes; the same functions for
 * validation, evaluation and streaming, so that all give the same numbers.
 * Logits are in host memory here (umedpt_task_output_to_host()).
 */
#pragma once

#include "net/model-private.h"

G_BEGIN_DECLS

/* The probabilities of image (or group) @index: softmax for classification
 * (K = 1: 1), sigmoid for multilabel, the value in the task's range for
 * regression. @values: K floats. */
void umedpt_decode_values (const UmedptTaskOutput *output,
    const UmedptTaskDescription *task, gint64 index, gfloat *values);

/* Softmax or sigmoid of the dense logits of image @index, at their own size:
 * f32 [rows, columns, K], and the mask that these decide, as below. */
void umedpt_decode_probabilities (const UmedptTaskOutput *output,
    const UmedptTaskDescription *task, gint64 index, gfloat *values);

/* The mask of image @index, @width x @height u8: the class of the largest
 * probability, or UMEDPT_IGNORE_PIXEL where that is below @threshold. Logits
 * are resized to the mask by the nearest pixel. Multilabel: K planes
 * [height, width, K] of 0 and 1. A segmentation task with one label is
 * multilabel with K = 1. */
void umedpt_decode_mask (const UmedptTaskOutput *output,
    const UmedptTaskDescription *task, gint64 index, double threshold,
    gint width, gint height, guint8 *mask);

/* The boxes of image @index of network input size @width x @height, best
 * first, clipped, as UmedptBox; appended to @boxes. Order and thresholds as
 * in FCOS of MMDetection: score = class * centerness. */
void umedpt_decode_boxes (const UmedptTaskOutput *output, gint64 index,
    gint width, gint height, const UmedptDetectionSettings *settings,
    GArray *boxes);

/* The size of detection level @level (0 … 4) for a network input of @size
 * pixels along an axis, and its stride. */
gint64 umedpt_detection_level_size (guint level, gint64 size);
gint umedpt_detection_level_stride (guint level);

/* box.c: intersection over union; class-wise greedy suppression in place, the
 * best first, of at most @max_boxes. */
double umedpt_box_iou (const UmedptBox *a, const UmedptBox *b);
void umedpt_boxes_suppress (GArray *boxes, double iou_threshold,
    guint max_boxes);

G_END_DECLS
