/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The results of discs.h. What a tile shows of a disc is the disc cut by the
 * tile's rectangle; its box is the exact one of that piece, not of the disc.
 */
#include "discs.h"

#include <math.h>

#include "common/gstumedptresults.h"

#define SLIVER 0.25 /* pixels of the tile; nobody would find less */

void
test_set_bytes (GstStructure *result, const char *field, gconstpointer data,
    gsize size)
{
  g_autoptr (GBytes) bytes = g_bytes_new (data, size);

  gst_structure_set (result, field, G_TYPE_BYTES, bytes, NULL);
}

GstStructure *
test_new_result (const char *what, const char *kind, const char *labels,
    guint first, guint n_colors)
{
  const guint32 colors[] = { DISC_COLORS };
  g_auto (GStrv) names = g_strsplit (labels, ",", -1);
  GstStructure *result = gst_structure_new (what, "kind", G_TYPE_STRING, kind,
      "labels", G_TYPE_STRV, names, "model", G_TYPE_STRING, "0123", "pts",
      G_TYPE_UINT64, (guint64) 0, NULL);

  test_set_bytes (result, "colors", colors + first, n_colors * sizeof *colors);
  return result;
}

void
test_add_result (GstBuffer *buffer, const char *task, GstStructure *result)
{
  GstCustomMeta *meta =
      gst_buffer_get_custom_meta (buffer, GST_UMEDPT_RESULTS_META_NAME);

  if (!meta)
    meta = gst_buffer_add_custom_meta (buffer, GST_UMEDPT_RESULTS_META_NAME);
  gst_structure_set (gst_custom_meta_get_structure (meta), task,
      GST_TYPE_STRUCTURE, result, NULL);
  gst_structure_free (result);
}

GstStructure *
test_new_mask (const char *labels, gint n, gint planes, gboolean background,
    gint size, const guint8 *data)
{
  g_auto (GStrv) names = g_strsplit (labels, ",", -1);
  GstStructure *result = test_new_result (GST_UMEDPT_RESULT_MASK,
      planes > 1 ? "multilabel-segmentation" : "segmentation", labels,
      background ? 0 : 1, MAX (g_strv_length (names), 1));

  test_set_bytes (result, "mask", data, (gsize) (n * n * planes));
  // clang-format off
  gst_structure_set (result,
      "mask-width", G_TYPE_INT, n,
      "mask-height", G_TYPE_INT, n,
      "planes", G_TYPE_INT, planes,
      "background", G_TYPE_BOOLEAN, background,
      "x", G_TYPE_DOUBLE, 0.0,
      "y", G_TYPE_DOUBLE, 0.0,
      "width", G_TYPE_DOUBLE, (double) size,
      "height", G_TYPE_DOUBLE, (double) size,
      NULL);
  // clang-format on
  return result;
}

/* The box of what lies in [@x, @x + @side) x [@y, @y + @side), level 0; FALSE
 * if nothing does. */
static gboolean
cut_disc (const TestDisc *disc, double x, double y, double side, double box[4])
{
  const double dx = MAX (MAX (x - disc->x, disc->x - x - side), 0);
  const double dy = MAX (MAX (y - disc->y, disc->y - y - side), 0);
  const double r = disc->radius;
  double reach_x, reach_y;

  if (dx * dx + dy * dy >= r * r)
    return FALSE;
  reach_x = sqrt (r * r - dy * dy);
  reach_y = sqrt (r * r - dx * dx);
  box[0] = MAX (disc->x - reach_x, x);
  box[1] = MAX (disc->y - reach_y, y);
  box[2] = MIN (disc->x + reach_x, x + side) - box[0];
  box[3] = MIN (disc->y + reach_y, y + side) - box[1];
  return TRUE;
}

void
test_add_boxes (GstBuffer *buffer, const TestTile *tile, const GArray *discs)
{
  g_autoptr (GArray) boxes = g_array_new (FALSE, FALSE, sizeof (GstUmedptBox));
  GstStructure *result = test_new_result (GST_UMEDPT_RESULT_BOXES, "detection",
      "a,b,c", 1, DISC_CLASSES);

  for (guint i = 0; i < discs->len; i++) {
    const TestDisc *disc = &g_array_index (discs, TestDisc, i);
    const double ds = tile->downsample;
    double box[4];

    if (cut_disc (disc, (double) tile->x, (double) tile->y, tile->size * ds,
            box) &&
        MIN (box[2], box[3]) > SLIVER * ds) {
      GstUmedptBox found = {
        (gfloat) ((box[0] - (double) tile->x) / ds),
        (gfloat) ((box[1] - (double) tile->y) / ds),
        (gfloat) (box[2] / ds),
        (gfloat) (box[3] / ds),
        0.9f,
        disc->label,
      };

      g_array_append_val (boxes, found);
    }
  }
  test_set_bytes (result, "boxes", boxes->data,
      boxes->len * sizeof (GstUmedptBox));
  test_add_result (buffer, "cells", result);
}

/* Sets the pixels whose centre is in @disc. @scale: level-0 pixels per pixel of
 * the mask. */
static void
draw_disc (const TestDisc *disc, const TestTile *tile, double scale, gint n,
    guint8 *mask)
{
  const double x = (disc->x - (double) tile->x) / scale - 0.5;
  const double y = (disc->y - (double) tile->y) / scale - 0.5;
  const double r = disc->radius / scale;

  for (gint j = (gint) MAX (ceil (y - r), 0); j <= MIN (y + r, n - 1); j++)
    for (gint i = (gint) MAX (ceil (x - r), 0); i <= MIN (x + r, n - 1); i++)
      if ((i - x) * (i - x) + (j - y) * (j - y) < r * r)
        mask[j * n + i] = (guint8) (disc->label + 1);
}

void
test_add_mask (GstBuffer *buffer, const TestTile *tile, const GArray *discs,
    gint n)
{
  g_autofree guint8 *mask = g_malloc0 ((gsize) (n * n));

  for (guint i = 0; i < discs->len; i++)
    draw_disc (&g_array_index (discs, TestDisc, i), tile,
        tile->size * tile->downsample / n, n, mask);
  test_add_result (buffer, "tissue",
      test_new_mask ("background,a,b,c", n, 1, TRUE, tile->size, mask));
}
