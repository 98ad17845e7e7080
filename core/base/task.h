/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The words that data sets, network and training share: what kinds of tasks
 * there are, a box, and which boxes of a detector count.
 */
#pragma once

#include "base/macros.h"

G_BEGIN_DECLS

typedef enum
{
  UMEDPT_TASK_CLASSIFICATION,
  UMEDPT_TASK_MULTILABEL,
  UMEDPT_TASK_REGRESSION,
  UMEDPT_TASK_SEGMENTATION,
  UMEDPT_TASK_MULTILABEL_SEGMENTATION,
  UMEDPT_TASK_DETECTION,
} UmedptTaskKind;

#define UMEDPT_N_TASK_KINDS 6

/* A label that does not count: pixels in masks, boxes. */
#define UMEDPT_IGNORE_PIXEL 255
#define UMEDPT_IGNORE_LABEL -1

typedef struct
{
  gfloat x1, y1, x2, y2; /* pixels; the pixel (0, 0) covers 0 … 1 */
  gint label; /* 0 … K-1; UMEDPT_IGNORE_LABEL: a region that does not count */
  gfloat score; /* 0 … 1; of annotations 1 */
} UmedptBox;

/* Which boxes of a detector count. */
typedef struct
{
  double score_threshold; /* of the class score, before centerness: 0.05 */
  double iou_threshold; /* class-wise non-maximum suppression: 0.5 */
  guint per_level; /* candidates kept per level: 1000 */
  guint max_boxes; /* 100 */
} UmedptDetectionSettings;

#define UMEDPT_DETECTION_DEFAULTS \
  { \
    0.05, 0.5, 1000, 100 \
  }

G_END_DECLS
