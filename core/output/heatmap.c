/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Results are drawn on two layers of the picture's size, which is all that is
 * kept: colours of areas, where later ones win, so that tiles which overlap do
 * not darken each other; and dots above them. A pixel takes what lies at its
 * centre. The slide itself is read at the end, a band at a time, and a legend
 * is put beside it.
 */
#include "output/heatmap.h"

#include <cairo.h>
#include <math.h>
#include <string.h>

#include "base/atomic-file.h"
#include "base/error.h"
#include "base/task.h"
#include "data/slide.h"
#include "output/draw.h"

#define LONGEST 2048
#define BAND 128 /* rows of the slide that are read at once */
#define MASK_OPACITY 0.5
#define DOT 1 /* pixels on each side of a dot's centre */

/* The legend. */
#define FONT_SIZE 16.0
#define LINE 24
#define PAD 10
#define MAX_TEXT 500 /* pixels */
#define MAX_LINES 1000 /* cairo's images end at 32767 rows */

typedef struct
{
  char *name;
  guint32 color;
} Entry;

struct _UmedptHeatmap
{
  char *path, *slide;
  UmedptAtomicFile *file;
  double scale; /* level-0 pixels per pixel */
  gint width, height; /* of the slide's part of the picture */
  guint32 *areas, *dots; /* [height, width], ARGB, premultiplied */
  GArray *legend; /* of Entry */
};

static void
clear_entry (gpointer data)
{
  g_free (((Entry *) data)->name);
}

static gint
picture_side (gint64 side, double scale)
{
  return (gint) CLAMP (ceil ((double) side / scale), 1, LONGEST);
}

/**
 * umedpt_heatmap_new: (skip)
 * @path: the PNG to make
 * @slide: (nullable): the slide, for the picture below the results; without
 *   one, or where it cannot be read, the ground is white
 * @width: of the slide, level-0 pixels
 * @height: of the slide, level-0 pixels
 * @overwrite: whether an existing file may be replaced
 * @error: return location for a #GError
 *
 * Begins a picture of a slide with results on it, at most 2048 pixels wide and
 * high without its legend; slides that are smaller keep their size.
 *
 * Returns: (transfer full): the picture, or %NULL with @error set
 *   (%UMEDPT_ERROR_SHAPE, %UMEDPT_ERROR_EXISTS, %UMEDPT_ERROR_NOT_FOUND,
 *   %UMEDPT_ERROR_IO, %UMEDPT_ERROR_NO_SPACE, %UMEDPT_ERROR_NO_MEMORY)
 *
 * Since: 0.1
 */
UmedptHeatmap *
umedpt_heatmap_new (const char *path, const char *slide, gint64 width,
    gint64 height, gboolean overwrite, GError **error)
{
  g_autoptr (UmedptHeatmap) self = NULL;
  gsize pixels;

  g_return_val_if_fail (path != NULL, NULL);

  if (width < 1 || height < 1) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE,
        "The picture '%s' is to show a slide of %" G_GINT64_FORMAT
        " x %" G_GINT64_FORMAT " pixels; both must be positive.",
        path, width, height);
    return NULL;
  }
  self = g_new0 (UmedptHeatmap, 1);
  self->path = g_strdup (path);
  self->slide = g_strdup (slide);
  self->legend = g_array_new (FALSE, FALSE, sizeof (Entry));
  g_array_set_clear_func (self->legend, clear_entry);
  self->scale = MAX (1.0, (double) MAX (width, height) / LONGEST);
  self->width = picture_side (width, self->scale);
  self->height = picture_side (height, self->scale);
  pixels = (gsize) self->width * (gsize) self->height;
  self->areas = g_new0 (guint32, pixels);
  self->dots = g_new0 (guint32, pixels);
  self->file = umedpt_atomic_file_new (path, overwrite, error);
  return self->file ? g_steal_pointer (&self) : NULL;
}

/**
 * umedpt_heatmap_free: (skip)
 * @self: (nullable): a picture
 *
 * Unless it has been finished, nothing is left of the file.
 *
 * Since: 0.1
 */
void
umedpt_heatmap_free (UmedptHeatmap *self)
{
  if (!self)
    return;
  umedpt_atomic_file_free (self->file);
  g_array_unref (self->legend);
  g_free (self->areas);
  g_free (self->dots);
  g_free (self->slide);
  g_free (self->path);
  g_free (self);
}

static guint32
premultiply (guint32 color, double opacity)
{
  const guint32 alpha = (guint32) (CLAMP (opacity, 0.0, 1.0) * 255 + 0.5);
  guint32 argb = alpha << 24;

  for (guint shift = 0; shift <= 16; shift += 8)
    argb |= ((color >> shift & 0xff) * alpha + 127) / 255 << shift;
  return argb;
}

/* The first pixel whose centre is at or after @at, in level-0 pixels. */
static gint
first_pixel (const UmedptHeatmap *self, double at, gint n)
{
  return (gint) CLAMP (ceil (at / self->scale - 0.5), 0, n);
}

typedef struct
{
  gint x1, y1, x2, y2;
} Rect;

static Rect
find_pixels (const UmedptHeatmap *self, double x, double y, double width,
    double height)
{
  if (!isfinite (x + y + width + height))
    return (Rect){ 0 };
  return (Rect){ first_pixel (self, x, self->width),
    first_pixel (self, y, self->height),
    first_pixel (self, x + width, self->width),
    first_pixel (self, y + height, self->height) };
}

static void
fill (guint32 *layer, gint stride, Rect rect, guint32 argb)
{
  for (gint y = rect.y1; y < rect.y2; y++)
    for (gint x = rect.x1; x < rect.x2; x++)
      layer[(gsize) y * (gsize) stride + (gsize) x] = argb;
}

/**
 * umedpt_heatmap_add_area: (skip)
 * @self: a picture
 * @x: left edge, level-0 pixels
 * @y: upper edge
 * @width: level-0 pixels
 * @height: level-0 pixels
 * @color: 0xRRGGBB
 * @opacity: 0 … 1
 *
 * Gives a rectangle a colour, in place of what colour it had.
 *
 * Since: 0.1
 */
void
umedpt_heatmap_add_area (UmedptHeatmap *self, double x, double y, double width,
    double height, guint32 color, double opacity)
{
  g_return_if_fail (self != NULL);

  fill (self->areas, self->width, find_pixels (self, x, y, width, height),
      premultiply (color, opacity));
}

/**
 * umedpt_heatmap_add_point: (skip)
 * @self: a picture
 * @x: level-0 pixels
 * @y: level-0 pixels
 * @color: 0xRRGGBB
 *
 * Draws a dot of three pixels where an object is, above all areas.
 *
 * Since: 0.1
 */
void
umedpt_heatmap_add_point (UmedptHeatmap *self, double x, double y,
    guint32 color)
{
  gint i, j;

  g_return_if_fail (self != NULL);

  x = floor (x / self->scale);
  y = floor (y / self->scale);
  if (!(x >= 0 && y >= 0 && x < self->width && y < self->height))
    return;
  i = (gint) x;
  j = (gint) y;
  fill (self->dots, self->width,
      (Rect){ MAX (i - DOT, 0), MAX (j - DOT, 0),
          MIN (i + DOT + 1, self->width), MIN (j + DOT + 1, self->height) },
      premultiply (color, 1));
}

/* The mask's pixel below a pixel's centre. */
static gint
mask_index (const UmedptHeatmap *self, gint pixel, double start, double length,
    gint n)
{
  double at = ((pixel + 0.5) * self->scale - start) / length * n;

  return (gint) CLAMP (at, 0, n - 1);
}

/**
 * umedpt_heatmap_add_mask: (skip)
 * @self: a picture
 * @x: left edge of what the mask covers, level-0 pixels
 * @y: upper edge
 * @width: level-0 pixels
 * @height: level-0 pixels
 * @mask: u8 `[mask_height, mask_width]`: a class, or 255
 * @mask_width: in pixels
 * @mask_height: in pixels
 * @background: whether class 0 is background, which is not drawn
 * @colors: 0xRRGGBB per class
 * @n_colors: number of classes; further ones have the palette's colours
 *
 * Since: 0.1
 */
void
umedpt_heatmap_add_mask (UmedptHeatmap *self, double x, double y, double width,
    double height, const guint8 *mask, gint mask_width, gint mask_height,
    gboolean background, const guint32 *colors, guint n_colors)
{
  guint32 argb[256] = { 0 }; /* 0: not drawn */
  Rect rect;

  g_return_if_fail (self != NULL && mask != NULL);
  g_return_if_fail (mask_width > 0 && mask_height > 0);
  g_return_if_fail (colors != NULL || n_colors == 0);

  for (guint i = background ? 1 : 0; i < UMEDPT_IGNORE_PIXEL; i++)
    argb[i] = premultiply (i < n_colors ? colors[i] : umedpt_palette_color (i),
        MASK_OPACITY);
  rect = find_pixels (self, x, y, width, height);
  for (gint j = rect.y1; j < rect.y2; j++) {
    const guint8 *row = mask +
        (gsize) mask_index (self, j, y, height, mask_height) *
            (gsize) mask_width;
    guint32 *out = self->areas + (gsize) j * (gsize) self->width;

    for (gint i = rect.x1; i < rect.x2; i++) {
      guint32 pixel = argb[row[mask_index (self, i, x, width, mask_width)]];

      if (pixel)
        out[i] = pixel;
    }
  }
}

/**
 * umedpt_heatmap_add_legend: (skip)
 * @self: a picture
 * @name: of what @color means
 * @color: 0xRRGGBB
 *
 * Adds a line to the legend, to the right of the slide.
 *
 * Since: 0.1
 */
void
umedpt_heatmap_add_legend (UmedptHeatmap *self, const char *name, guint32 color)
{
  Entry entry = { NULL, color };

  g_return_if_fail (self != NULL && name != NULL);

  if (self->legend->len == MAX_LINES)
    return;
  entry.name = g_utf8_make_valid (name, -1);
  g_array_append_val (self->legend, entry);
}

static void
set_color (cairo_t *cairo, guint32 color)
{
  cairo_set_source_rgb (cairo, (color >> 16 & 0xff) / 255.0,
      (color >> 8 & 0xff) / 255.0, (color & 0xff) / 255.0);
}

static void
set_font (cairo_t *cairo)
{
  cairo_select_font_face (cairo, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
      CAIRO_FONT_WEIGHT_NORMAL);
  cairo_set_font_size (cairo, FONT_SIZE);
}

/* How wide the legend is. */
static gint
measure_legend (const UmedptHeatmap *self)
{
  cairo_surface_t *surface =
      cairo_image_surface_create (CAIRO_FORMAT_RGB24, 1, 1);
  cairo_t *cairo = cairo_create (surface);
  double widest = 0;

  set_font (cairo);
  for (guint i = 0; i < self->legend->len; i++) {
    cairo_text_extents_t extents;

    cairo_text_extents (cairo, g_array_index (self->legend, Entry, i).name,
        &extents);
    widest = MAX (widest, extents.x_advance);
  }
  cairo_destroy (cairo);
  cairo_surface_destroy (surface);
  if (self->legend->len == 0)
    return 0;
  return 3 * PAD + LINE + (gint) ceil (MIN (widest, MAX_TEXT));
}

/* Lines too long are cut off by the picture's edge. */
static void
draw_legend (const UmedptHeatmap *self, cairo_t *cairo)
{
  set_font (cairo);
  for (guint i = 0; i < self->legend->len; i++) {
    const Entry *entry = &g_array_index (self->legend, Entry, i);
    const double x = self->width + PAD, y = PAD + (gint) i * LINE;

    cairo_rectangle (cairo, x + 0.5, y + 2.5, LINE - 5, LINE - 5);
    set_color (cairo, entry->color);
    cairo_fill_preserve (cairo);
    set_color (cairo, 0x404040); /* a border: colours may be white */
    cairo_set_line_width (cairo, 1);
    cairo_stroke (cairo);
    set_color (cairo, 0x000000);
    cairo_move_to (cairo, x + LINE + PAD / 2.0, y + LINE - 6);
    cairo_show_text (cairo, entry->name);
  }
}

/* Puts the slide below the results. A band that is damaged stays white: this
 * is a picture of the results, which others have reported on by now. */
static void
draw_slide (const UmedptHeatmap *self, cairo_surface_t *surface)
{
  g_autoptr (UmedptSlide) slide =
      self->slide ? umedpt_slide_open (self->slide, NULL) : NULL;
  const gsize stride = (gsize) self->width * 3;
  g_autofree guint8 *band = g_malloc (stride * BAND);
  guint8 *data = cairo_image_surface_get_data (surface);
  const gsize row_size = (gsize) cairo_image_surface_get_stride (surface);

  for (gint y = 0; slide && y < self->height; y += BAND) {
    const gint n = MIN (BAND, self->height - y);

    if (!umedpt_slide_read (slide, 0, y * self->scale, self->scale, self->width,
            n, band, stride, NULL, NULL, NULL))
      continue;
    for (gint j = 0; j < n; j++) {
      const guint8 *rgb = band + (gsize) j * stride;
      guint32 *out = (guint32 *) (void *) (data + (gsize) (y + j) * row_size);

      for (gint x = 0; x < self->width; x++, rgb += 3)
        out[x] = 0xff000000u | (guint32) rgb[0] << 16 | (guint32) rgb[1] << 8 |
            rgb[2];
    }
  }
}

static void
draw_layer (const UmedptHeatmap *self, cairo_t *cairo, guint32 *layer)
{
  cairo_surface_t *surface =
      cairo_image_surface_create_for_data ((guchar *) layer,
          CAIRO_FORMAT_ARGB32, self->width, self->height, self->width * 4);

  cairo_set_source_surface (cairo, surface, 0, 0);
  cairo_paint (cairo);
  cairo_surface_destroy (surface);
}

static cairo_surface_t *
draw_all (const UmedptHeatmap *self)
{
  const gint lines = (gint) self->legend->len;
  const gint height =
      MAX (self->height, lines > 0 ? lines * LINE + 2 * PAD : 0);
  cairo_surface_t *surface = cairo_image_surface_create (CAIRO_FORMAT_RGB24,
      self->width + measure_legend (self), height);
  cairo_t *cairo;

  if (cairo_surface_status (surface) != CAIRO_STATUS_SUCCESS)
    return surface;
  cairo = cairo_create (surface);
  set_color (cairo, 0xffffff);
  cairo_paint (cairo);
  cairo_surface_flush (surface);
  draw_slide (self, surface);
  cairo_surface_mark_dirty (surface);
  draw_layer (self, cairo, self->areas);
  draw_layer (self, cairo, self->dots);
  draw_legend (self, cairo);
  cairo_destroy (cairo);
  return surface;
}

typedef struct
{
  UmedptAtomicFile *file;
  GError *error;
} Output;

static cairo_status_t
write_bytes (void *data, const unsigned char *bytes, unsigned int length)
{
  Output *output = data;

  if (umedpt_atomic_file_write (output->file, bytes, length, &output->error))
    return CAIRO_STATUS_SUCCESS;
  return CAIRO_STATUS_WRITE_ERROR;
}

/**
 * umedpt_heatmap_finish: (skip)
 * @self: a picture
 * @error: return location for a #GError
 *
 * Reads the slide, which takes a moment if it has no small levels, and gives
 * the file its name. After this the picture can only be freed.
 *
 * Returns: %FALSE with @error set on failure (%UMEDPT_ERROR_NO_SPACE,
 *   %UMEDPT_ERROR_IO, %UMEDPT_ERROR_EXISTS, %UMEDPT_ERROR_NO_MEMORY); then
 *   there is no file
 *
 * Since: 0.1
 */
gboolean
umedpt_heatmap_finish (UmedptHeatmap *self, GError **error)
{
  Output output = { NULL };
  cairo_surface_t *surface;
  cairo_status_t status;
  gboolean ok = FALSE;

  g_return_val_if_fail (self != NULL, FALSE);

  if (!self->file) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_IO,
        "The picture '%s' is finished, or has failed before.", self->path);
    return FALSE;
  }
  surface = draw_all (self);
  output.file = self->file;
  status = cairo_surface_write_to_png_stream (surface, write_bytes, &output);
  cairo_surface_destroy (surface);
  if (output.error)
    g_propagate_error (error, output.error);
  else if (status != CAIRO_STATUS_SUCCESS)
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY,
        "The picture '%s' could not be drawn: %s.", self->path,
        cairo_status_to_string (status));
  else
    ok = umedpt_atomic_file_commit (self->file, error);
  g_clear_pointer (&self->file, umedpt_atomic_file_free);
  return ok;
}
