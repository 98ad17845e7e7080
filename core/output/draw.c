/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Pictures of results on a cairo image surface. Masks are blended pixel by
 * pixel, since cairo has no notion of a class; lines and text are cairo's.
 */
#include "output/draw.h"

#include <cairo.h>
#include <string.h>

#include "base/atomic-file.h"
#include "base/error.h"

#define READABLE 320 /* pixels of the longer side from which text is readable */
#define FONT_SIZE 11.0

struct _UmedptPicture
{
  gint width, height; /* of the image */
  gint factor; /* picture pixels per image pixel */
  cairo_surface_t *surface;
};

static guint32
to_byte (gfloat value)
{
  return (guint32) (CLAMP (value, 0.0f, 1.0f) * 255.0f + 0.5f);
}

static guint32 *
pixel_at (const UmedptPicture *self, gint x, gint y)
{
  return (guint32 *) (void *) (cairo_image_surface_get_data (self->surface) +
             (gsize) y * cairo_image_surface_get_stride (self->surface)) +
      x;
}

static void
fill_image (UmedptPicture *self, const gfloat *image)
{
  for (gint y = 0; y < self->height * self->factor; y++)
    for (gint x = 0; x < self->width * self->factor; x++) {
      const gfloat *rgb = image +
          ((gsize) (y / self->factor) * self->width + x / self->factor) * 3;
      *pixel_at (self, x, y) = 0xff000000u | to_byte (rgb[0]) << 16 |
          to_byte (rgb[1]) << 8 | to_byte (rgb[2]);
    }
}

/**
 * umedpt_picture_new: (skip)
 * @image: f32 `[height, width, 3]`, RGB in 0 … 1
 * @width: in pixels
 * @height: in pixels
 *
 * Begins a picture with an image; a small one is enlarged by a whole factor,
 * so that what is written on it can be read.
 *
 * Returns: (transfer full): the picture
 *
 * Since: 0.1
 */
UmedptPicture *
umedpt_picture_new (const gfloat *image, gint width, gint height)
{
  UmedptPicture *self;

  g_return_val_if_fail (image != NULL, NULL);
  g_return_val_if_fail (width > 0 && height > 0, NULL);

  self = g_new0 (UmedptPicture, 1);
  self->width = width;
  self->height = height;
  self->factor =
      MAX (1, (READABLE + MAX (width, height) - 1) / MAX (width, height));
  self->surface = cairo_image_surface_create (CAIRO_FORMAT_RGB24,
      width * self->factor, height * self->factor);
  if (cairo_surface_status (self->surface) == CAIRO_STATUS_SUCCESS)
    fill_image (self, image);
  cairo_surface_mark_dirty (self->surface);
  return self;
}

/**
 * umedpt_picture_free: (skip)
 * @self: (nullable): a picture
 *
 * Since: 0.1
 */
void
umedpt_picture_free (UmedptPicture *self)
{
  if (!self)
    return;
  cairo_surface_destroy (self->surface);
  g_free (self);
}

/**
 * umedpt_palette_color:
 * @index: of a class
 *
 * Returns: 0xRRGGBB, distinct for people with colour deficiencies as well for
 *   the first eight (Okabe and Ito 2008, without black); later ones repeat
 *
 * Since: 0.1
 */
guint32
umedpt_palette_color (guint index)
{
  static const guint32 colors[] = { 0x56b4e9, 0xe69f00, 0x009e73, 0xf0e442,
    0x0072b2, 0xd55e00, 0xcc79a7, 0xffffff };

  return colors[index % G_N_ELEMENTS (colors)];
}

static guint32
color_of (const guint32 *colors, gint index)
{
  if (index < 0)
    return 0x808080;
  return colors ? colors[index] : umedpt_palette_color ((guint) index);
}

static guint32
blend (guint32 below, guint32 above, double opacity)
{
  guint32 result = 0;

  for (guint shift = 0; shift <= 16; shift += 8) {
    const double a = below >> shift & 0xff, b = above >> shift & 0xff;
    result |= (guint32) (a + (b - a) * opacity + 0.5) << shift;
  }
  return result | 0xff000000u;
}

/* What a plane shows at a pixel: a class, or -1. */
static gint
class_at (const UmedptPicture *self, const guint8 *mask, guint planes,
    guint plane, gboolean background, gint x, gint y)
{
  guint8 value;

  if (x < 0 || y < 0 || x >= self->width || y >= self->height)
    return -1;
  value = mask[((gsize) y * self->width + x) * planes + plane];
  if (value == UMEDPT_IGNORE_PIXEL)
    return -1;
  if (planes > 1)
    return value ? (gint) plane : -1;
  return value || !background ? value : -1;
}

static gboolean
on_contour (const UmedptPicture *self, const guint8 *mask, guint planes,
    guint plane, gboolean background, gint x, gint y, gint class)
{
  static const gint steps[4][2] = { { 1, 0 }, { -1, 0 }, { 0, 1 }, { 0, -1 } };

  for (guint i = 0; i < 4; i++)
    if (class_at (self, mask, planes, plane, background, x + steps[i][0],
            y + steps[i][1]) != class)
      return TRUE;
  return FALSE;
}

static void
blend_block (UmedptPicture *self, gint x, gint y, guint32 color, double opacity)
{
  for (gint dy = 0; dy < self->factor; dy++)
    for (gint dx = 0; dx < self->factor; dx++) {
      guint32 *pixel =
          pixel_at (self, x * self->factor + dx, y * self->factor + dy);
      *pixel = blend (*pixel, color, opacity);
    }
}

/**
 * umedpt_picture_draw_mask: (skip)
 * @self: a picture
 * @mask: u8 `[height, width]`: a class or 255; or with @planes > 1
 *   `[height, width, planes]` of 0 and 1
 * @planes: 1, or the number of classes
 * @background: whether class 0 is background, which is not drawn
 * @colors: (nullable): 0xRRGGBB per class; %NULL: the palette
 * @opacity: of the fill, 0 … 1; contours are drawn fully
 *
 * Since: 0.1
 */
void
umedpt_picture_draw_mask (UmedptPicture *self, const guint8 *mask, guint planes,
    gboolean background, const guint32 *colors, double opacity)
{
  g_return_if_fail (self != NULL && mask != NULL && planes > 0);

  cairo_surface_flush (self->surface);
  for (guint plane = 0; plane < planes; plane++)
    for (gint y = 0; y < self->height; y++)
      for (gint x = 0; x < self->width; x++) {
        const gint class =
            class_at (self, mask, planes, plane, background, x, y);
        if (class >= 0)
          blend_block (self, x, y, color_of (colors, class),
              on_contour (self, mask, planes, plane, background, x, y, class)
                  ? 1.0
                  : opacity);
      }
  cairo_surface_mark_dirty (self->surface);
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

/* Text with a dark ground, its top left corner at (x, y). */
static void
draw_text (cairo_t *cairo, double x, double y, guint32 color, const char *text)
{
  cairo_text_extents_t extents;

  set_font (cairo);
  cairo_text_extents (cairo, text, &extents);
  cairo_set_source_rgba (cairo, 0, 0, 0, 0.6);
  cairo_rectangle (cairo, x, y, extents.x_advance + 4, FONT_SIZE + 3);
  cairo_fill (cairo);
  set_color (cairo, color);
  cairo_move_to (cairo, x + 2, y + FONT_SIZE);
  cairo_show_text (cairo, text);
}

static char *
box_text (const UmedptBox *box, const char *const *labels)
{
  const char *name = labels && box->label >= 0 ? labels[box->label] : "";

  return box->score < 1.0f
      ? g_strdup_printf ("%s %.2f", name, (double) box->score)
      : g_strdup (name);
}

/**
 * umedpt_picture_draw_boxes: (skip)
 * @self: a picture
 * @boxes: (element-type UmedptBox): in pixels of the image
 * @labels: (nullable): names of the classes; %NULL: no text
 * @colors: (nullable): 0xRRGGBB per class; %NULL: the palette
 * @dashed: for the truth beside predictions
 *
 * Since: 0.1
 */
void
umedpt_picture_draw_boxes (UmedptPicture *self, const GArray *boxes,
    const char *const *labels, const guint32 *colors, gboolean dashed)
{
  static const double dashes[] = { 4, 3 };
  cairo_t *cairo;

  g_return_if_fail (self != NULL && boxes != NULL);

  cairo = cairo_create (self->surface);
  cairo_set_line_width (cairo, 1.5);
  if (dashed)
    cairo_set_dash (cairo, dashes, G_N_ELEMENTS (dashes), 0);
  for (guint i = 0; i < boxes->len; i++) {
    const UmedptBox *box = &g_array_index (boxes, UmedptBox, i);
    const guint32 color = color_of (colors, box->label);
    const double f = self->factor;

    set_color (cairo, color);
    cairo_rectangle (cairo, box->x1 * f, box->y1 * f, (box->x2 - box->x1) * f,
        (box->y2 - box->y1) * f);
    cairo_stroke (cairo);
    if (labels) {
      g_autofree char *text = box_text (box, labels);
      if (*text)
        draw_text (cairo, box->x1 * f, MAX (0, box->y1 * f - FONT_SIZE - 3),
            color, text);
    }
  }
  cairo_destroy (cairo);
}

/**
 * umedpt_picture_draw_caption: (skip)
 * @self: a picture
 * @text: UTF-8; each line is drawn below the last
 *
 * Writes into the bottom left corner.
 *
 * Since: 0.1
 */
void
umedpt_picture_draw_caption (UmedptPicture *self, const char *text)
{
  g_auto (GStrv) lines = NULL;
  cairo_t *cairo;
  guint n;

  g_return_if_fail (self != NULL && text != NULL);

  lines = g_strsplit (text, "\n", -1);
  n = g_strv_length (lines);
  cairo = cairo_create (self->surface);
  for (guint i = 0; i < n; i++)
    draw_text (cairo, 0,
        self->height * self->factor - (n - i) * (FONT_SIZE + 3), 0xffffff,
        lines[i]);
  cairo_destroy (cairo);
}

static cairo_status_t
write_bytes (void *data, const unsigned char *bytes, unsigned int length)
{
  g_byte_array_append (data, bytes, length);
  return CAIRO_STATUS_SUCCESS;
}

/**
 * umedpt_picture_save_png: (skip)
 * @self: a picture
 * @path: the file; replaced if it exists
 * @error: return location for a #GError
 *
 * Returns: %TRUE, or %FALSE with @error set; then @path is as it was
 *
 * Since: 0.1
 */
gboolean
umedpt_picture_save_png (UmedptPicture *self, const char *path, GError **error)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autoptr (UmedptAtomicFile) file = NULL;
  cairo_status_t status;

  g_return_val_if_fail (self != NULL && path != NULL, FALSE);

  status =
      cairo_surface_write_to_png_stream (self->surface, write_bytes, bytes);
  if (status != CAIRO_STATUS_SUCCESS) {
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY,
        "The picture '%s' of %d x %d pixels could not be drawn: %s.", path,
        self->width, self->height, cairo_status_to_string (status));
    return FALSE;
  }
  file = umedpt_atomic_file_new (path, TRUE, error);
  return file &&
      umedpt_atomic_file_write (file, bytes->data, bytes->len, error) &&
      umedpt_atomic_file_commit (file, error);
}
