/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Scalable Vector Graphics 1.1, by hand: the abscissa is logarithmic, as the
 * paper's figures of data efficiency have it. Colours are those of Okabe and
 * Ito (2008), which people with colour deficiencies can tell apart.
 */
#include "train-plot.h"

#include <math.h>

#define WIDTH 640.0
#define HEIGHT 420.0
#define LEFT 64.0
#define RIGHT 24.0
#define TOP 44.0
#define BOTTOM 56.0

static const char *const colors[] = { "#0072b2", "#d55e00", "#009e73",
  "#cc79a7", "#e69f00", "#56b4e9", "#000000" };

typedef struct
{
  double x_min, x_max, y_min, y_max;
} Frame;

static double
place_x (const Frame *frame, double fraction)
{
  double span = log (frame->x_max / frame->x_min);

  return LEFT +
      (WIDTH - LEFT - RIGHT) *
      (span > 0 ? log (fraction / frame->x_min) / span : 0.5);
}

static double
place_y (const Frame *frame, double value)
{
  return HEIGHT - BOTTOM -
      (HEIGHT - TOP - BOTTOM) * (value - frame->y_min) /
      (frame->y_max - frame->y_min);
}

static Frame
find_frame (const GArray *points)
{
  Frame frame = { 1, 0, G_MAXDOUBLE, -G_MAXDOUBLE };

  for (guint i = 0; i < points->len; i++) {
    const TrainPoint *point = &g_array_index (points, TrainPoint, i);

    if (isnan (point->value))
      continue;
    frame.x_min = MIN (frame.x_min, point->fraction);
    frame.x_max = MAX (frame.x_max, point->fraction);
    frame.y_min = MIN (frame.y_min, point->value);
    frame.y_max = MAX (frame.y_max, point->value);
  }
  if (frame.y_min > frame.y_max)
    return (Frame){ 0.01, 1, 0, 1 };
  frame.y_min = floor (frame.y_min * 10 - 1e-9) / 10;
  frame.y_max = ceil (frame.y_max * 10 + 1e-9) / 10;
  if (frame.y_max <= frame.y_min)
    frame.y_max = frame.y_min + 0.1;
  return frame;
}

static void
draw_axes (GString *svg, const Frame *frame, const GArray *points,
    const char *measure)
{
  double last = 0;

  for (guint i = 0; i <= 5; i++) {
    double value = frame->y_min + (frame->y_max - frame->y_min) * i / 5;
    double y = place_y (frame, value);

    g_string_append_printf (svg,
        "<line x1=\"%g\" x2=\"%g\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>"
        "<text x=\"%g\" y=\"%.1f\" text-anchor=\"end\">%.2f</text>\n",
        LEFT, WIDTH - RIGHT, y, y, LEFT - 6, y + 4, value);
  }
  for (guint i = 0; i < points->len; i++) {
    double fraction = g_array_index (points, TrainPoint, i).fraction;

    if (fraction == last || fraction < frame->x_min || fraction > frame->x_max)
      continue;
    last = fraction;
    g_string_append_printf (svg,
        "<text x=\"%.1f\" y=\"%g\" text-anchor=\"middle\">%g</text>\n",
        place_x (frame, fraction), HEIGHT - BOTTOM + 18, 100 * fraction);
  }
  g_string_append_printf (svg,
      "<text x=\"%g\" y=\"%g\" text-anchor=\"middle\">training images used "
      "(%%)</text>\n<text x=\"16\" y=\"%g\" transform=\"rotate(-90 16 %g)\" "
      "text-anchor=\"middle\">%s</text>\n",
      (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, HEIGHT / 2, HEIGHT / 2, measure);
}

/* Mean and range of a line at a fraction; FALSE: no point. */
static gboolean
average (const GArray *points, const char *line, double fraction, double *mean,
    double *low, double *high)
{
  double sum = 0;
  guint n = 0;

  *low = G_MAXDOUBLE;
  *high = -G_MAXDOUBLE;
  for (guint i = 0; i < points->len; i++) {
    const TrainPoint *point = &g_array_index (points, TrainPoint, i);

    if (!g_str_equal (point->line, line) || point->fraction != fraction ||
        isnan (point->value))
      continue;
    sum += point->value;
    n++;
    *low = MIN (*low, point->value);
    *high = MAX (*high, point->value);
  }
  *mean = n ? sum / n : 0;
  return n > 0;
}

/* Fractions rise along a line; they are few, so the next is searched. */
static double
next_fraction (const GArray *points, const char *line, double after)
{
  double next = 2;

  for (guint i = 0; i < points->len; i++) {
    const TrainPoint *point = &g_array_index (points, TrainPoint, i);

    if (g_str_equal (point->line, line) && point->fraction > after)
      next = MIN (next, point->fraction);
  }
  return next;
}

static void
draw_line (GString *svg, const Frame *frame, const GArray *points,
    const char *line, guint index)
{
  const char *color = colors[index % G_N_ELEMENTS (colors)];
  g_autoptr (GString) path = g_string_new (NULL);
  g_autofree char *text = g_markup_escape_text (line, -1);
  double mean, low, high;

  for (double f = next_fraction (points, line, 0); f <= 1;
       f = next_fraction (points, line, f)) {
    if (!average (points, line, f, &mean, &low, &high))
      continue;
    g_string_append_printf (path, "%s%.1f %.1f", path->len ? " L" : "M",
        place_x (frame, f), place_y (frame, mean));
    g_string_append_printf (svg,
        "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>"
        "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n",
        place_x (frame, f), place_x (frame, f), place_y (frame, low),
        place_y (frame, high), color, place_x (frame, f), place_y (frame, mean),
        color);
  }
  g_string_append_printf (svg,
      "<path d=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\"/>\n"
      "<text x=\"%g\" y=\"%g\" fill=\"%s\">%s</text>\n",
      path->str, color, LEFT + 10, TOP + 14 + 16.0 * index, color, text);
}

char *
train_plot (const GArray *points, const char *title, const char *measure)
{
  const Frame frame = find_frame (points);
  g_autoptr (GPtrArray) lines = g_ptr_array_new ();
  g_autofree char *title_text = g_markup_escape_text (title, -1);
  g_autofree char *measure_text = g_markup_escape_text (measure, -1);
  GString *svg = g_string_new (NULL);

  g_string_append_printf (svg,
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%g\" height=\"%g\" "
      "font-family=\"sans-serif\" font-size=\"12\">\n"
      "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"
      "<text x=\"%g\" y=\"24\" font-size=\"15\">%s</text>\n",
      WIDTH, HEIGHT, LEFT, title_text);
  draw_axes (svg, &frame, points, measure_text);
  for (guint i = 0; i < points->len; i++) {
    char *line = g_array_index (points, TrainPoint, i).line;

    if (g_ptr_array_find_with_equal_func (lines, line, g_str_equal, NULL))
      continue;
    draw_line (svg, &frame, points, line, lines->len);
    g_ptr_array_add (lines, line);
  }
  g_string_append (svg, "</svg>\n");
  return g_string_free (svg, FALSE);
}
