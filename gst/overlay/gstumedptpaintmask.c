/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Runs and edges of a mask. Both are found run by run, since nearly all of a
 * mask is like its neighbour. Edges are those of marching squares at a half
 * (Lorensen and Cline 1987, in two dimensions): a corner of a region is a
 * slanted line, not a step.
 */
#include "overlay/gstumedptpaintmask.h"

#include <math.h>
#include <string.h>

#define OUTSIDE 255

/* --- runs --------------------------------------------------------------- */

/* The first column after @x with another class, or @width. */
static gint
run_end (const guint8 *row, gint x, gint width)
{
  const guint8 label = row[x];
  const guint64 same = label * G_GUINT64_CONSTANT (0x0101010101010101);
  guint64 next = 0;

  for (; x + (gint) sizeof next <= width; x += sizeof next) {
    memcpy (&next, row + x, sizeof next);
    if (next != same)
      break;
  }
  while (x < width && row[x] == label)
    x++;
  return x;
}

void
gst_umedpt_runs_find (GArray *runs, const guint8 *map, gint width, gint height,
    const GstUmedptClasses *classes)
{
  for (gint y = 0; y < height; y++, map += width)
    for (gint x = 0, end = 0; x < width; x = end) {
      end = run_end (map, x, width);
      if (classes->drawn[map[x]]) {
        const GstUmedptRun run = { y, x, end, map[x] };
        g_array_append_val (runs, run);
      }
    }
}

/* --- edges -------------------------------------------------------------- */

/* The middles of the sides of the square whose upper left pixel is (x, y), in
 * halves of pixels from it. */
enum
{
  UPPER,
  LOWER,
  LEFT,
  RIGHT,
};
static const struct
{
  gint x, y;
} middles[] = { { 2, 1 }, { 2, 3 }, { 1, 2 }, { 3, 2 } };

typedef struct
{
  gint8 from, to, side_x, side_y;
} Line;

/* By the pixels in the region: 1 upper left, 2 upper right, 4 lower left, 8
 * lower right. Two that touch at a corner only are apart. */
static const struct
{
  guint n;
  Line lines[2];
} squares[16] = {
  [1] = { 1, { { UPPER, LEFT, -1, -1 } } },
  [2] = { 1, { { UPPER, RIGHT, 1, -1 } } },
  [3] = { 1, { { LEFT, RIGHT, 0, -1 } } },
  [4] = { 1, { { LEFT, LOWER, -1, 1 } } },
  [5] = { 1, { { UPPER, LOWER, -1, 0 } } },
  [6] = { 2, { { UPPER, RIGHT, 1, -1 }, { LEFT, LOWER, -1, 1 } } },
  [7] = { 1, { { RIGHT, LOWER, -1, -1 } } },
  [8] = { 1, { { RIGHT, LOWER, 1, 1 } } },
  [9] = { 2, { { UPPER, LEFT, -1, -1 }, { RIGHT, LOWER, 1, 1 } } },
  [10] = { 1, { { UPPER, LOWER, 1, 0 } } },
  [11] = { 1, { { LEFT, LOWER, 1, -1 } } },
  [12] = { 1, { { LEFT, RIGHT, 0, 1 } } },
  [13] = { 1, { { UPPER, RIGHT, -1, 1 } } },
  [14] = { 1, { { UPPER, LEFT, 1, 1 } } },
};

static void
add_square (GArray *edges, gint x, gint y, const guint8 *pixels, guint8 label)
{
  guint which = 0;

  for (guint i = 0; i < 4; i++)
    which |= (guint) (pixels[i] == label) << i;
  for (guint i = 0; i < squares[which].n; i++) {
    const Line *line = &squares[which].lines[i];
    const GstUmedptEdge edge = { 2 * x + middles[line->from].x,
      2 * y + middles[line->from].y, 2 * x + middles[line->to].x,
      2 * y + middles[line->to].y, line->side_x, line->side_y, label };

    g_array_append_val (edges, edge);
  }
}

/* The square at (@x, @y), once for each class in it. */
static void
add_mixed (GArray *edges, gint x, gint y, const guint8 *pixels,
    const GstUmedptClasses *classes)
{
  for (guint i = 0; i < 4; i++) {
    gboolean done = !classes->drawn[pixels[i]];

    for (guint before = 0; before < i; before++)
      done |= pixels[before] == pixels[i];
    if (!done)
      add_square (edges, x, y, pixels, pixels[i]);
  }
}

/* Between two runs one above the other, @x0 to before @x1. */
static void
add_level (GArray *edges, gint x0, gint x1, gint y, guint8 label, gint8 side)
{
  const GstUmedptEdge edge = { 2 * x0 + 1, 2 * y + 2, 2 * x1 - 1, 2 * y + 2, 0,
    side, label };

  g_array_append_val (edges, edge);
}

/* Between row @y and the next. */
static void
find_between (GArray *edges, gint y, const guint8 *upper, const guint8 *lower,
    gint width, const GstUmedptClasses *classes)
{
  for (gint x = -1, end = 0; x < width; x = end) {
    guint8 pixels[4] = { OUTSIDE, OUTSIDE, OUTSIDE, OUTSIDE };

    if (x >= 0) {
      pixels[0] = upper[x];
      pixels[2] = lower[x];
      end = MIN (run_end (upper, x, width), run_end (lower, x, width));
    }
    if (pixels[0] != pixels[2] && end - x > 1) {
      if (classes->drawn[pixels[0]])
        add_level (edges, x, end, y, pixels[0], -1);
      if (classes->drawn[pixels[2]])
        add_level (edges, x, end, y, pixels[2], 1);
    }
    if (end < width) {
      pixels[1] = upper[end];
      pixels[3] = lower[end];
    }
    add_mixed (edges, end - 1, y, pixels, classes);
  }
}

void
gst_umedpt_edges_find (GArray *edges, const guint8 *map, gint width,
    gint height, const GstUmedptClasses *classes)
{
  g_autofree guint8 *outside = g_malloc ((gsize) width);

  memset (outside, OUTSIDE, (gsize) width);
  for (gint y = -1; y < height; y++)
    find_between (edges, y, y < 0 ? outside : map + (gsize) y * width,
        y + 1 < height ? map + (gsize) (y + 1) * width : outside, width,
        classes);
}

/* --- drawing ------------------------------------------------------------ */

void
gst_umedpt_canvas_fill_runs (const GstUmedptCanvas *self,
    const GstUmedptMask *mask, const GstUmedptRun *runs, guint n_runs,
    const GstUmedptInk *inks, guint alpha)
{
  const gdouble sx = mask->w / mask->width, sy = mask->h / mask->height;

  for (guint i = 0; i < n_runs; i++) {
    const GstUmedptRun *run = &runs[i];
    const GstUmedptBlock block = { gst_umedpt_to_pixel (mask->x + run->x0 * sx),
      gst_umedpt_to_pixel (mask->y + run->y * sy),
      gst_umedpt_to_pixel (mask->x + run->x1 * sx),
      gst_umedpt_to_pixel (mask->y + (run->y + 1) * sy) };

    gst_umedpt_canvas_fill_joined (self, block, &inks[run->label], alpha);
  }
}

typedef struct
{
  gdouble x0, y0, x1, y1; /* pixels of the frame */
  gint side_x, side_y;
} Stroke;

/* @at: where the region begins, @line: how far to its inside */
static void
to_inside (gint at, gint side, gint line, gint *from, gint *to)
{
  *from = side < 0 ? at - line : at;
  *to = side < 0 ? at : at + line;
}

static void
draw_upright (const GstUmedptCanvas *self, const Stroke *stroke,
    const GstUmedptInk *ink, gint line)
{
  GstUmedptBlock block = { .y0 = gst_umedpt_to_pixel (stroke->y0),
    .y1 = gst_umedpt_to_pixel (stroke->y1) };

  to_inside (gst_umedpt_to_pixel (stroke->x0), stroke->side_x, line, &block.x0,
      &block.x1);
  block.y1 = MAX (block.y1, block.y0 + 1);
  gst_umedpt_canvas_fill (self, block, ink, GST_UMEDPT_OPAQUE);
}

static void
draw_level (const GstUmedptCanvas *self, const Stroke *stroke,
    const GstUmedptInk *ink, gint line)
{
  GstUmedptBlock block = { .x0 = gst_umedpt_to_pixel (stroke->x0),
    .x1 = gst_umedpt_to_pixel (stroke->x1) };

  to_inside (gst_umedpt_to_pixel (stroke->y0), stroke->side_y, line, &block.y0,
      &block.y1);
  block.x1 = MAX (block.x1, block.x0 + 1);
  gst_umedpt_canvas_fill (self, block, ink, GST_UMEDPT_OPAQUE);
}

/* Row by row: all that the line touches, and from there to the inside. */
static void
draw_slanted (const GstUmedptCanvas *self, const Stroke *stroke,
    const GstUmedptInk *ink, gint line)
{
  const gdouble slope = (stroke->x1 - stroke->x0) / (stroke->y1 - stroke->y0);
  const gint length = (gint) ceil (line * G_SQRT2);
  const gint first = gst_umedpt_to_pixel (floor (stroke->y0));
  const gint last = gst_umedpt_to_pixel (ceil (stroke->y1));

  for (gint y = MAX (first, 0); y < MIN (MAX (last, first + 1), self->height);
       y++) {
    const gdouble a = stroke->x0 + (MAX (y, stroke->y0) - stroke->y0) * slope;
    const gdouble b =
        stroke->x0 + (MIN (y + 1, stroke->y1) - stroke->y0) * slope;
    GstUmedptBlock block = { gst_umedpt_to_pixel (floor (MIN (a, b))), y,
      gst_umedpt_to_pixel (ceil (MAX (a, b))), y + 1 };

    if (stroke->side_x < 0)
      block.x0 = MIN (block.x0, block.x1 - length);
    else
      block.x1 = MAX (block.x1, block.x0 + length);
    gst_umedpt_canvas_fill (self, block, ink, GST_UMEDPT_OPAQUE);
  }
}

void
gst_umedpt_canvas_draw_edges (const GstUmedptCanvas *self,
    const GstUmedptMask *mask, const GstUmedptEdge *edges, guint n_edges,
    const GstUmedptInk *inks, gint line)
{
  const gdouble sx = mask->w / mask->width / 2, sy = mask->h / mask->height / 2;

  for (guint i = 0; i < n_edges; i++) {
    const GstUmedptEdge *edge = &edges[i];
    const GstUmedptInk *ink = &inks[edge->label];
    const Stroke stroke = { mask->x + edge->x0 * sx, mask->y + edge->y0 * sy,
      mask->x + edge->x1 * sx, mask->y + edge->y1 * sy, edge->side_x,
      edge->side_y };

    if (!edge->side_y)
      draw_upright (self, &stroke, ink, line);
    else if (!edge->side_x)
      draw_level (self, &stroke, ink, line);
    else
      draw_slanted (self, &stroke, ink, line);
  }
}
