/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Draws into video frames in the format that they have: nothing is converted,
 * and only the pixels that are drawn are touched.
 *
 * Whatever the format, a frame is one to three layers of samples of 1 to 4
 * bytes; a layer may have one sample for 2 x 2 pixels. A colour is the bytes
 * that a sample has in each layer, an "ink", and everything is drawn as blocks
 * of samples. Where a block covers a part of a sample, it is mixed by area.
 *
 * Positions are pixels; what lies outside the frame is cut off.
 */
#pragma once

#include <gst/video/video.h>

G_BEGIN_DECLS

#define GST_UMEDPT_OPAQUE 256

typedef struct
{
  guint8 *data;
  gint stride; /* bytes from row to row */
  gint width, height; /* samples */
  guint8 bytes; /* of a sample, 1 to 4 */
  guint8 shift; /* a sample covers 1 << shift pixels each way */
} GstUmedptLayer;

typedef struct
{
  gint width, height; /* pixels */
  guint n_layers;
  GstUmedptLayer layers[3];
  GstVideoInfo info;
} GstUmedptCanvas;

/* What a sample of each layer gets. */
typedef struct
{
  guint8 samples[3][4];
} GstUmedptInk;

typedef struct
{
  gint x0, y0, x1, y1; /* the pixels from x0 to before x1 */
} GstUmedptBlock;

/* The formats that are drawn into. */
#define GST_UMEDPT_PAINT_FORMATS \
  "{ RGB, BGR, RGBx, BGRx, RGBA, BGRA, I420, NV12, GRAY8 }"

/* @frame: mapped for writing, and longer than the canvas is used. */
void gst_umedpt_canvas_init (GstUmedptCanvas *self, GstVideoFrame *frame);
/* The ink of a colour, 0xRRGGBB, by the matrix and range of the frame. */
GstUmedptInk gst_umedpt_canvas_get_ink (const GstUmedptCanvas *self,
    guint32 color);

/* @alpha: 0 to GST_UMEDPT_OPAQUE. */
void gst_umedpt_canvas_fill (const GstUmedptCanvas *self, GstUmedptBlock block,
    const GstUmedptInk *ink, guint alpha);
/* The same with whole samples only: translucent blocks that lie side by side
 * join without a seam. */
void gst_umedpt_canvas_fill_joined (const GstUmedptCanvas *self,
    GstUmedptBlock block, const GstUmedptInk *ink, guint alpha);
/* Only into layer number @layer: @coverage u8 [height, width], how much of each
 * of its samples is drawn, the first one that at (@x, @y). */
void gst_umedpt_canvas_stamp (const GstUmedptCanvas *self, guint layer, gint x,
    gint y, const guint8 *coverage, gint width, gint height,
    const GstUmedptInk *ink);
/* The edge of @block, within it, @line pixels wide. */
void gst_umedpt_canvas_outline (const GstUmedptCanvas *self,
    GstUmedptBlock block, gint line, const GstUmedptInk *ink);
/* Only the corners of that edge. */
void gst_umedpt_canvas_corners (const GstUmedptCanvas *self,
    GstUmedptBlock block, gint line, const GstUmedptInk *ink);

/* @value as a position in a frame, whatever it is. */
static inline gint
gst_umedpt_to_pixel (gdouble value)
{
  return value > -1e6
      ? (value < 1e6 ? (gint) (value + 1e6 + 0.5) - 1000000 : 1000000)
      : -1000000;
}

G_END_DECLS
