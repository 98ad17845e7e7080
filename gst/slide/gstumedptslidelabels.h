/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The classes of a segmentation task as numbers of one label image. Where a
 * task says yes or no to each class (one label, or multilabel), there is a
 * class 0 for no; of several, the last one is what a pixel shows.
 */
#pragma once

#include <gst/gst.h>

#include "common/gstumedptresults.h"

G_BEGIN_DECLS

typedef struct
{
  char *task;
  GStrv names; /* one per class */
  guint32 *colors; /* 0xRRGGBB */
  guint n; /* classes */
  guint planes; /* of the task's masks */
  gboolean yes_or_no; /* class 0 is ours, not the task's */
  gboolean background; /* class 0 is what is not looked for */
} GstUmedptSlideLabels;

/* @mask: one of the task's. (transfer full) */
GstUmedptSlideLabels *gst_umedpt_slide_labels_new (const char *task,
    const GstStructure *result, const GstUmedptMask *mask);
/* One class and nothing known: of a slide without tiles. (transfer full) */
GstUmedptSlideLabels *gst_umedpt_slide_labels_new_empty (const char *task);
void gst_umedpt_slide_labels_free (GstUmedptSlideLabels *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (GstUmedptSlideLabels,
    gst_umedpt_slide_labels_free)

/* The mask of @result; an error if it is damaged, or another than those that
 * @self (nullable) is of. */
gboolean gst_umedpt_slide_get_mask (const GstStructure *result,
    const char *task, const GstUmedptSlideLabels *self, GstUmedptMask *mask,
    GError **error);
/* @labels: u8 [mask height, mask width], class or 255. */
gboolean gst_umedpt_slide_labels_read (const GstUmedptSlideLabels *self,
    const GstUmedptMask *mask, guint8 *labels, GError **error);

/* How the names of a result's classes are found in all outputs: its labels, or
 * made of the task's name. (transfer full) */
GStrv gst_umedpt_slide_class_names (const char *task,
    const GstStructure *result, guint n);
/* Classes that a result of boxes or values names, at least 1. */
guint gst_umedpt_slide_count_classes (const GstStructure *result);

G_END_DECLS
