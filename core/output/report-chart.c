/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Line charts as inline SVG, so that a report needs neither script nor file.
 * Long curves are averaged over equal stretches of x: a report of a long run
 * stays as small as that of a short one, and noise is smoothed.
 */
#include <math.h>

#include "base/json.h"
#include "output/draw.h"
#include "output/report-private.h"

#define WIDTH 560
#define HEIGHT 240
#define LEFT 52
#define RIGHT 10
#define TOP 26
#define BOTTOM 34
#define MAX_POINTS 300
#define N_TICKS 5

typedef struct
{
  double x0, x1, y0, y1;
} Range;

static void
curve_free (gpointer data)
{
  UmedptCurve *curve = data;

  g_free (curve->name);
  g_array_unref (curve->x);
  g_array_unref (curve->y);
  g_free (curve);
}

GPtrArray *
umedpt_curves_new (void)
{
  return g_ptr_array_new_with_free_func (curve_free);
}

void
umedpt_curves_add (GPtrArray *curves, const char *name, double x, double y)
{
  UmedptCurve *curve = NULL;

  if (!isfinite (x) || !isfinite (y))
    return;
  for (guint i = 0; i < curves->len && !curve; i++) {
    curve = g_ptr_array_index (curves, i);
    if (!g_str_equal (curve->name, name))
      curve = NULL;
  }
  if (!curve) {
    curve = g_new0 (UmedptCurve, 1);
    curve->name = g_strdup (name);
    curve->x = g_array_new (FALSE, FALSE, sizeof (double));
    curve->y = g_array_new (FALSE, FALSE, sizeof (double));
    g_ptr_array_add (curves, curve);
  }
  g_array_append_val (curve->x, x);
  g_array_append_val (curve->y, y);
}

void
umedpt_report_append_text (GString *html, const char *text)
{
  g_autofree char *escaped = g_markup_escape_text (text, -1);

  g_string_append (html, escaped);
}

static double
at (const GArray *values, guint i)
{
  return g_array_index (values, double, i);
}

static Range
find_range (const GPtrArray *curves)
{
  Range range = { INFINITY, -INFINITY, INFINITY, -INFINITY };

  for (guint c = 0; c < curves->len; c++) {
    const UmedptCurve *curve = g_ptr_array_index (curves, c);
    for (guint i = 0; i < curve->x->len; i++) {
      range.x0 = fmin (range.x0, at (curve->x, i));
      range.x1 = fmax (range.x1, at (curve->x, i));
      range.y0 = fmin (range.y0, at (curve->y, i));
      range.y1 = fmax (range.y1, at (curve->y, i));
    }
  }
  if (range.x1 <= range.x0)
    range.x1 = range.x0 + 1;
  if (range.y0 > 0 && range.y0 < 0.5 * range.y1)
    range.y0 = 0;
  if (range.y1 <= range.y0)
    range.y1 = range.y0 + 1;
  return range;
}

static double
map_x (const Range *range, double x)
{
  return LEFT +
      (x - range->x0) / (range->x1 - range->x0) * (WIDTH - LEFT - RIGHT);
}

static double
map_y (const Range *range, double y)
{
  return HEIGHT - BOTTOM -
      (y - range->y0) / (range->y1 - range->y0) * (HEIGHT - TOP - BOTTOM);
}

/* Numbers in SVG and on axes, whatever the locale. */
static void
append_number (GString *html, const char *format, double value)
{
  char buffer[G_ASCII_DTOSTR_BUF_SIZE];

  g_string_append (html,
      g_ascii_formatd (buffer, sizeof buffer, format, value));
}

static void
append_line (GString *html, double x0, double y0, double x1, double y1)
{
  g_string_append_printf (html,
      "<line x1='%d' y1='%d' x2='%d' y2='%d' class='grid'/>", (int) x0,
      (int) y0, (int) x1, (int) y1);
}

static void
append_axes (GString *html, const Range *range, const char *x_label)
{
  for (guint i = 0; i <= N_TICKS; i++) {
    const double x = range->x0 + (range->x1 - range->x0) * i / N_TICKS;
    const double y = range->y0 + (range->y1 - range->y0) * i / N_TICKS;

    append_line (html, LEFT, map_y (range, y), WIDTH - RIGHT, map_y (range, y));
    g_string_append_printf (html, "<text x='%d' y='%d' class='y'>", LEFT - 5,
        (int) map_y (range, y) + 4);
    append_number (html, "%.3g", y);
    g_string_append_printf (html, "</text><text x='%d' y='%d' class='x'>",
        (int) map_x (range, x), HEIGHT - BOTTOM + 14);
    append_number (html, "%.4g", x);
    g_string_append (html, "</text>");
  }
  g_string_append_printf (html, "<text x='%d' y='%d' class='x'>",
      (LEFT + WIDTH) / 2, HEIGHT - 4);
  umedpt_report_append_text (html, x_label);
  g_string_append (html, "</text>");
}

/* The mean of each stretch of points as one point of the line. */
static void
append_curve (GString *html, const Range *range, const UmedptCurve *curve,
    guint32 color)
{
  const guint n = curve->x->len;
  const guint step = (n + MAX_POINTS - 1) / MAX_POINTS;

  g_string_append_printf (html,
      "<polyline fill='none' stroke='#%06x' stroke-width='1.6' points='",
      color);
  for (guint i = 0; i < n; i += step) {
    const guint count = MIN (step, n - i);
    double x = 0, y = 0;

    for (guint j = i; j < i + count; j++) {
      x += at (curve->x, j) / count;
      y += at (curve->y, j) / count;
    }
    append_number (html, "%.1f", map_x (range, x));
    g_string_append_c (html, ',');
    append_number (html, "%.1f ", map_y (range, y));
  }
  g_string_append (html, "'/>");
}

/* The palette, with the colours that vanish on white made darker. */
static guint32
line_color (guint index)
{
  const guint32 color = umedpt_palette_color (index);

  return color == 0xffffff ? 0x000000 : color == 0xf0e442 ? 0xb8a800 : color;
}

void
umedpt_report_append_chart (GString *html, const char *title,
    const char *x_label, const GPtrArray *curves)
{
  Range range;

  if (!curves->len)
    return;
  range = find_range (curves);
  g_string_append_printf (html,
      "<figure><svg viewBox='0 0 %d %d' role='img' aria-label='", WIDTH,
      HEIGHT);
  umedpt_report_append_text (html, title);
  g_string_append_printf (html, "'><text x='%d' y='14' class='title'>", LEFT);
  umedpt_report_append_text (html, title);
  g_string_append (html, "</text>");
  append_axes (html, &range, x_label);
  for (guint i = 0; i < curves->len; i++)
    append_curve (html, &range, g_ptr_array_index (curves, i), line_color (i));
  g_string_append (html, "</svg><figcaption>");
  for (guint i = 0; i < curves->len; i++) {
    const UmedptCurve *curve = g_ptr_array_index (curves, i);
    g_string_append_printf (html, "<span style='color:#%06x'>&#9632;</span> ",
        line_color (i));
    umedpt_report_append_text (html, curve->name);
    g_string_append (html, " ");
    append_number (html, "%.4g", at (curve->y, curve->y->len - 1));
    g_string_append (html, "&emsp;");
  }
  g_string_append (html, "</figcaption></figure>\n");
}
