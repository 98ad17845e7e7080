/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The cache of rendered texts. Cairo's simple text functions do for labels: one
 * line in the user's own sans-serif font, whatever the script.
 */
#include "overlay/gstumedptpainttext.h"

#include <cairo.h>
#include <math.h>
#include <string.h>

#define MOST_TEXTS 512
#define MOST_LETTERS 64
#define MOST_WIDTH 4096 /* pixels; a frame is hardly wider */

struct _GstUmedptTexts
{
  GHashTable *texts; /* "size text" -> GstUmedptText */
  cairo_t *scratch; /* to measure with */
  GString *key; /* kept: no allocation for a text that is known */
};

static void
text_free (gpointer data)
{
  GstUmedptText *text = data;

  g_free (text->coverage);
  for (guint i = 0; i < G_N_ELEMENTS (text->halved); i++)
    g_free (text->halved[i]);
  g_free (text);
}

GstUmedptTexts *
gst_umedpt_texts_new (void)
{
  GstUmedptTexts *self = g_new0 (GstUmedptTexts, 1);
  cairo_surface_t *surface = cairo_image_surface_create (CAIRO_FORMAT_A8, 1, 1);

  self->texts =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, text_free);
  self->key = g_string_new (NULL);
  self->scratch = cairo_create (surface);
  cairo_surface_destroy (surface);
  return self;
}

void
gst_umedpt_texts_free (GstUmedptTexts *self)
{
  g_hash_table_destroy (self->texts);
  g_string_free (self->key, TRUE);
  cairo_destroy (self->scratch);
  g_free (self);
}

void
gst_umedpt_texts_trim (GstUmedptTexts *self)
{
  if (g_hash_table_size (self->texts) > MOST_TEXTS)
    g_hash_table_remove_all (self->texts);
}

static void
set_font (cairo_t *cairo, gint size)
{
  cairo_select_font_face (cairo, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
      CAIRO_FONT_WEIGHT_NORMAL);
  cairo_set_font_size (cairo, size);
}

static char *
make_printable (const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);

  for (char *c = valid; *c; c++)
    if (g_ascii_iscntrl (*c))
      *c = ' ';
  return g_utf8_strlen (valid, -1) > MOST_LETTERS
      ? g_utf8_substring (valid, 0, MOST_LETTERS)
      : g_steal_pointer (&valid);
}

/* Nothing is drawn where cairo has no memory, or no font at all. */
static void
render (GstUmedptText *self, const char *text, double x, double y, gint size)
{
  cairo_surface_t *surface =
      cairo_image_surface_create (CAIRO_FORMAT_A8, self->width, self->height);
  cairo_t *cairo = cairo_create (surface);

  set_font (cairo, size);
  cairo_move_to (cairo, x, y);
  cairo_show_text (cairo, text);
  cairo_destroy (cairo);
  cairo_surface_flush (surface);
  if (cairo_surface_status (surface) == CAIRO_STATUS_SUCCESS)
    for (gint row = 0; row < self->height; row++)
      memcpy (self->coverage + (gsize) row * self->width,
          cairo_image_surface_get_data (surface) +
              (gsize) row * cairo_image_surface_get_stride (surface),
          self->width);
  cairo_surface_destroy (surface);
}

static GstUmedptText *
text_new (GstUmedptTexts *texts, const char *text, gint size)
{
  GstUmedptText *self = g_new0 (GstUmedptText, 1);
  g_autofree char *printable = make_printable (text);
  cairo_text_extents_t extents = { 0 };
  const gint margin = MAX (size / 6, 1);

  set_font (texts->scratch, size);
  cairo_text_extents (texts->scratch, printable, &extents);
  self->width =
      (gint) CLAMP (ceil (extents.x_advance), 0, MOST_WIDTH) + 2 * margin;
  self->height = size + 2 * margin;
  self->coverage = g_malloc0 ((gsize) self->width * self->height);
  /* about four fifths of a letter are above the line */
  render (self, printable, margin, margin + 0.82 * size, size);
  return self;
}

GstUmedptText *
gst_umedpt_texts_get (GstUmedptTexts *self, const char *text, gint size)
{
  GstUmedptText *found = NULL;

  g_string_printf (self->key, "%d %s", size, text);
  found = g_hash_table_lookup (self->texts, self->key->str);
  if (!found) {
    found = text_new (self, text, size);
    g_hash_table_insert (self->texts, g_strdup (self->key->str), found);
  }
  return found;
}

gint
gst_umedpt_texts_get_width (GstUmedptText *const *texts, guint n_texts)
{
  gint width = 0;

  for (guint i = 0; i < n_texts; i++)
    width += texts[i]->width;
  return width;
}

/* --- drawing ------------------------------------------------------------ */

static guint8 *
halve (const GstUmedptText *self, gint odd_x, gint odd_y)
{
  const gint width = self->width / 2 + 1, height = self->height / 2 + 1;
  guint8 *halved = g_malloc ((gsize) width * height);

  for (gint v = 0; v < height; v++)
    for (gint u = 0; u < width; u++) {
      guint sum = 2;

      for (gint y = 2 * v - odd_y; y < 2 * v - odd_y + 2; y++)
        for (gint x = 2 * u - odd_x; x < 2 * u - odd_x + 2; x++)
          if (x >= 0 && y >= 0 && x < self->width && y < self->height)
            sum += self->coverage[(gsize) y * self->width + x];
      halved[(gsize) v * width + u] = (guint8) (sum / 4);
    }
  return halved;
}

static void
stamp (const GstUmedptCanvas *canvas, gint x, gint y, GstUmedptText *text,
    const GstUmedptInk *ink)
{
  guint8 **halved = &text->halved[(x & 1) + 2 * (y & 1)];

  for (guint l = 0; l < canvas->n_layers; l++)
    if (canvas->layers[l].shift) {
      if (!*halved)
        *halved = halve (text, x & 1, y & 1);
      gst_umedpt_canvas_stamp (canvas, l, x >> 1, y >> 1, *halved,
          text->width / 2 + 1, text->height / 2 + 1, ink);
    } else {
      gst_umedpt_canvas_stamp (canvas, l, x, y, text->coverage, text->width,
          text->height, ink);
    }
}

static gboolean
is_light (guint32 color)
{
  return (color >> 16 & 0xff) * 299 + (color >> 8 & 0xff) * 587 +
      (color & 0xff) * 114 >
      140 * 1000;
}

void
gst_umedpt_canvas_write (const GstUmedptCanvas *self, gint x, gint y,
    GstUmedptText *const *texts, guint n_texts, guint32 color, guint alpha)
{
  const GstUmedptInk ground = gst_umedpt_canvas_get_ink (self, color);
  const GstUmedptInk ink =
      gst_umedpt_canvas_get_ink (self, is_light (color) ? 0x000000 : 0xffffff);

  if (n_texts == 0)
    return;
  gst_umedpt_canvas_fill (self,
      (GstUmedptBlock){ x, y, x + gst_umedpt_texts_get_width (texts, n_texts),
          y + texts[0]->height },
      &ground, alpha);
  for (guint i = 0; i < n_texts; i++) {
    stamp (self, x, y, texts[i], &ink);
    x += texts[i]->width;
  }
}
