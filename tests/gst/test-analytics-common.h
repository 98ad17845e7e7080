/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the tests of GstAnalytics share: results to add, and what elements of
 * others find of them, read by the library's own functions.
 */
#pragma once

#include <gst/analytics/analytics.h>
#include <math.h>

#include "common.h"
#include "common/gstumedptanalytics.h"
#include "common/gstumedptmetaprivate.h"
#include "common/gstumedptresultsprivate.h"

G_BEGIN_DECLS

/* Starts GStreamer without the plugin, which would register the same metas
 * once more. */
void test_analytics_init (int *argc, char ***argv);

/* (transfer full) Results of classes "lymphocyte" and "tumour", or of nameless
 * ones where there are not two. */
GstStructure *test_new_boxes (const GstUmedptBox *boxes, guint n);
/* One tumour at (@x, 20) of 8 x 6 pixels. */
GstStructure *test_new_box (gfloat x);
GstStructure *test_new_values (const char *kind, const gfloat *values, guint n);
/* @pixels: u8 [2, 3, @planes], for 30 x 20 pixels at (10, 40) */
GstStructure *test_new_mask (const guint8 *pixels, gint planes,
    guint n_classes);
/* f32 [2, 3] as %GST_UMEDPT_TENSOR_EMBEDDING */
void test_add_features (GstBuffer *buffer);

/* Entry number @nth of @type, which must be there. */
GstAnalyticsMtd test_get_entry (GstBuffer *buffer, GstAnalyticsMtdType type,
    guint nth);
guint test_count_entries (GstBuffer *buffer, GstAnalyticsMtdType type);
void test_assert_object (GstBuffer *buffer, guint nth, const char *name, gint x,
    gint y, gint width, gint height, gfloat confidence);
void test_assert_class (GstAnalyticsClsMtd *mtd, gsize index, const char *name,
    gfloat level);
/* Segmentation number @nth covers (10, 40) 30 x 20 with the 3 x 2 @pixels. */
void test_assert_mask (GstBuffer *buffer, guint nth, const guint8 *pixels);
/* Region number @index of segmentation @nth has that id and class. */
void test_assert_region (GstBuffer *buffer, guint nth, gsize index, guint id,
    const char *name);
/* One tensor of ours and one of the library, with the same data. */
void test_assert_features (GstBuffer *buffer);

G_END_DECLS
