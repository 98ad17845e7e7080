/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the tests of umedptoverlay share: the element in a harness, grey frames,
 * and counting what is no longer grey.
 */
#pragma once

#include "common.h"
#include "overlay-results.h"

G_BEGIN_DECLS

#define GREY 0x60
#define FRAME_TIME (40 * GST_MSECOND)
#define ORANGE 0xe69f00

/* All that it draws into. */
static const char *const overlay_formats[] = { "RGB", "BGR", "RGBx", "BGRx",
  "RGBA", "BGRA", "I420", "NV12", "GRAY8" };

typedef struct
{
  GstHarness *h;
  GstElement *element;
  GstVideoInfo info;
} Overlay;

/* An overlay without its state mark, lines two pixels wide. */
void overlay_init (Overlay *overlay, const char *format, gint width,
    gint height);
void overlay_clear (Overlay *overlay);
void overlay_set_caps (Overlay *overlay, const char *format, gint width,
    gint height);
void overlay_set (Overlay *overlay, const char *property, const char *value);
/* Another stream of the same caps; a seek. */
void overlay_begin_stream (Overlay *overlay, const char *name);
void overlay_flush (Overlay *overlay, double rate);

/* A grey frame. */
GstBuffer *overlay_frame (const Overlay *overlay, GstClockTime pts);
/* (transfer full) both ways */
GstBuffer *overlay_pass (Overlay *overlay, GstBuffer *buffer);
/* A grey frame with @result (transfer full, nullable) of the task "things",
 * drawn. (transfer full) */
GstBuffer *overlay_draw (Overlay *overlay, GstClockTime pts,
    GstStructure *result);
/* A buffer with @result that others hold, too, comes out itself. */
void overlay_check_passes (Overlay *overlay, GstStructure *result);
/* One box of 40 x 20 pixels at (20, 30). */
GstStructure *overlay_one_box (GstClockTime pts);

/* How many bytes of a part of a plane, of the first plane, of that of a frame
 * made for it, are no longer grey. */
guint overlay_count_in (const Overlay *overlay, GstBuffer *buffer, guint plane,
    gint x0, gint y0, gint x1, gint y1);
guint overlay_count (const Overlay *overlay, GstBuffer *buffer);
guint overlay_count_drawn (Overlay *overlay, GstClockTime pts,
    GstStructure *result);
/* The first three bytes of a pixel as a number. */
guint32 overlay_pixel (const Overlay *overlay, GstBuffer *buffer, gint x,
    gint y);

G_END_DECLS
