/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One labelled image: what data sets deliver, augmentation changes, and the
 * loader collates. The image is f32 whatever the file held, so that 16-bit
 * and float data keep their precision and nothing is rounded on the way.
 */
#pragma once

#include <glib-object.h>

#include "base/task.h"

G_BEGIN_DECLS

typedef struct
{
  gint width, height; /* pixels */
  gfloat *image; /* [height, width, 3], RGB in 0 … 1; grey is repeated */
  /* by the kind of the data set's task: */
  gint label; /* classification: 0 … K-1 */
  gfloat *labels; /* multilabel: [K] in 0 … 1 */
  gfloat *weights; /* (nullable) multilabel: [K] >= 0 */
  gdouble value; /* regression */
  guint8 *mask; /* segmentation: [height, width], class or
                   UMEDPT_IGNORE_PIXEL; multilabel segmentation:
                   [height, width, K] of 0, 1, UMEDPT_IGNORE_PIXEL */
  GArray *boxes; /* detection: of UmedptBox, inside the image */
} UmedptSample;

UmedptSample *umedpt_sample_new (gint width, gint height);
UMEDPT_API
void umedpt_sample_free (UmedptSample *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptSample, umedpt_sample_free)

G_END_DECLS
