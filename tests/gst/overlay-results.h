/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Results made by hand, field by field as gstumedptresults.h documents them, so
 * that the tests and the benchmark of umedptoverlay need no model. The element
 * has to be made before: the plugin registers the meta.
 */
#pragma once

#include <gst/gst.h>
#include <math.h>

#include "common/gstumedptresults.h"

static inline GBytes *
test_color_bytes (void)
{
  static const guint32 colors[] = { 0xe69f00, 0x56b4e9, 0x009e73, 0xf0e442 };

  return g_bytes_new_static (colors, sizeof colors);
}

/* What all kinds have; labels "alpha", "beta", "gamma", "delta". */
static inline GstStructure *
test_result (const char *what, const char *kind, GstClockTime pts)
{
  static const char *const labels[] = { "alpha", "beta", "gamma", "delta",
    NULL };
  g_autoptr (GBytes) colors = test_color_bytes ();

  // clang-format off
  return gst_structure_new (what,
      "kind", G_TYPE_STRING, kind,
      "labels", G_TYPE_STRV, labels,
      "colors", G_TYPE_BYTES, colors,
      "model", G_TYPE_STRING, "none",
      "pts", G_TYPE_UINT64, pts,
      NULL);
  // clang-format on
}

static inline void
test_set_bytes (GstStructure *result, const char *field, gconstpointer data,
    gsize size)
{
  g_autoptr (GBytes) bytes = g_bytes_new (data, size);

  gst_structure_set (result, field, G_TYPE_BYTES, bytes, NULL);
}

static inline GstStructure *
test_boxes (GstClockTime pts, const GstUmedptBox *boxes, guint n)
{
  GstStructure *result =
      test_result (GST_UMEDPT_RESULT_BOXES, "detection", pts);

  test_set_bytes (result, "boxes", boxes, n * sizeof *boxes);
  return result;
}

/* An index mask with background that covers @frame_width x @frame_height. */
static inline GstStructure *
test_mask (GstClockTime pts, const guint8 *mask, gint width, gint height,
    gint planes, double frame_width, double frame_height)
{
  GstStructure *result = test_result (GST_UMEDPT_RESULT_MASK,
      planes > 1 ? "multilabel-segmentation" : "segmentation", pts);

  test_set_bytes (result, "mask", mask,
      (gsize) width * (gsize) height * (gsize) planes);
  // clang-format off
  gst_structure_set (result,
      "mask-width", G_TYPE_INT, width,
      "mask-height", G_TYPE_INT, height,
      "planes", G_TYPE_INT, planes,
      "background", G_TYPE_BOOLEAN, planes == 1,
      "x", G_TYPE_DOUBLE, 0.0,
      "y", G_TYPE_DOUBLE, 0.0,
      "width", G_TYPE_DOUBLE, frame_width,
      "height", G_TYPE_DOUBLE, frame_height,
      NULL);
  // clang-format on
  return result;
}

/* A mask with an ellipse of each of the classes 1 to 3, beside each other.
 * (transfer full) */
static inline guint8 *
test_ellipses (gint width, gint height)
{
  guint8 *mask = g_malloc0 ((gsize) width * height);

  for (gint y = 0; y < height; y++)
    for (gint x = 0; x < width; x++)
      for (gint c = 1; c <= 3; c++) {
        const double u = ((x + 0.5) / width - 0.25 * c) / 0.11;
        const double v = ((y + 0.5) / height - 0.3 - 0.1 * c) / (0.1 * c);
        if (u * u + v * v < 1)
          mask[(gsize) y * width + x] = (guint8) c;
      }
  return mask;
}

/* Puts @result (transfer full) on a writable buffer. */
static inline void
test_attach (GstBuffer *buffer, const char *task, GstStructure *result)
{
  GstCustomMeta *meta =
      gst_buffer_get_custom_meta (buffer, GST_UMEDPT_RESULTS_META_NAME);

  if (!meta)
    meta = gst_buffer_add_custom_meta (buffer, GST_UMEDPT_RESULTS_META_NAME);
  gst_structure_set (gst_custom_meta_get_structure (meta), task,
      GST_TYPE_STRUCTURE, result, NULL);
  gst_structure_free (result);
}
