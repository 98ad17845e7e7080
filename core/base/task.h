/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The words that data sets, network and training share: what kinds of tasks
 * there are, and a box.
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

G_END_DECLS
