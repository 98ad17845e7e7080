/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Draws a scene: masks below, then boxes with their texts, then what stands at
 * the edges of the frame. Lines are opaque and narrow, since a physician has to
 * see what is under them; only a filled mask covers anything.
 */
#include "overlay/gstumedptoverlaydraw.h"

#define GROUND 0x202020
#define GROUND_ALPHA 160
/* of Okabe and Ito's palette: green, orange, and grey */
#define COLOR_READY 0x009e73
#define COLOR_STALE 0xe69f00
#define COLOR_NONE 0x999999

typedef struct
{
  const GstUmedptScene *scene;
  const GstUmedptOverlaySettings *settings;
  GstUmedptTexts *texts;
  const GstUmedptCanvas *canvas;
  gint line, text_size; /* pixels */
} Draw;

/* --- masks -------------------------------------------------------------- */

static void
draw_mask (const Draw *draw, const GstUmedptSceneMask *item)
{
  const GstUmedptScene *scene = draw->scene;
  const guint alpha =
      (guint) (draw->settings->opacity * GST_UMEDPT_OPAQUE + 0.5);
  GstUmedptInk inks[256];

  for (gint i = 0; i < 256; i++)
    inks[i] = gst_umedpt_canvas_get_ink (draw->canvas,
        gst_umedpt_overlay_task_get_color (item->task, i));
  gst_umedpt_canvas_fill_runs (draw->canvas, &item->mask,
      &g_array_index (scene->runs, GstUmedptRun, item->first_run), item->n_runs,
      inks, alpha);
  gst_umedpt_canvas_draw_edges (draw->canvas, &item->mask,
      &g_array_index (scene->edges, GstUmedptEdge, item->first_edge),
      item->n_edges, inks, draw->line);
}

/* --- boxes -------------------------------------------------------------- */

static GstUmedptBlock
to_block (const GstUmedptBox *box)
{
  return (GstUmedptBlock){ gst_umedpt_to_pixel (box->x),
    gst_umedpt_to_pixel (box->y),
    gst_umedpt_to_pixel ((gdouble) box->x + box->width),
    gst_umedpt_to_pixel ((gdouble) box->y + box->height) };
}

static gboolean
is_outside (const Draw *draw, const GstUmedptBlock *block)
{
  return block->x1 <= 0 || block->y1 <= 0 || block->x0 >= draw->canvas->width ||
      block->y0 >= draw->canvas->height;
}

static void
draw_box (const Draw *draw, const GstUmedptSceneBox *item)
{
  const GstUmedptBlock block = to_block (&item->box);
  const GstUmedptInk ink = gst_umedpt_canvas_get_ink (draw->canvas,
      gst_umedpt_overlay_task_get_color (item->task, item->box.label));

  if (draw->settings->box_style == GST_UMEDPT_BOX_STYLE_CORNERS)
    gst_umedpt_canvas_corners (draw->canvas, block, draw->line, &ink);
  else
    gst_umedpt_canvas_outline (draw->canvas, block, draw->line, &ink);
}

/* Above the box, or within it where there is no room. */
static void
draw_box_text (const Draw *draw, const GstUmedptSceneBox *item)
{
  const GstUmedptBlock block = to_block (&item->box);
  GstUmedptText *texts[2] = { NULL };
  guint n = 0;
  gint x, y;

  if (draw->settings->draw_labels)
    texts[n++] = gst_umedpt_texts_get (draw->texts,
        gst_umedpt_overlay_task_get_label (item->task, item->box.label),
        draw->text_size);
  if (draw->settings->draw_scores) {
    char score[16];

    g_snprintf (score, sizeof score, "%.2f", (gdouble) item->box.score);
    texts[n++] = gst_umedpt_texts_get (draw->texts, score, draw->text_size);
  }
  if (n == 0 || is_outside (draw, &block))
    return;
  x = MIN (block.x0,
      draw->canvas->width - gst_umedpt_texts_get_width (texts, n));
  y = block.y0 - texts[0]->height;
  gst_umedpt_canvas_write (draw->canvas, MAX (x, 0),
      y < 0 ? MAX (block.y0, 0) : y, texts, n,
      gst_umedpt_overlay_task_get_color (item->task, item->box.label),
      GST_UMEDPT_OPAQUE);
}

/* Something may be here: a dot in the middle, on a dark ground. */
static void
draw_dot (const Draw *draw, const GstUmedptSceneBox *item)
{
  const GstUmedptBox *box = &item->box;
  const GstUmedptInk dark = gst_umedpt_canvas_get_ink (draw->canvas, GROUND);
  const GstUmedptInk ink = gst_umedpt_canvas_get_ink (draw->canvas,
      gst_umedpt_overlay_task_get_color (item->task, box->label));
  const gint x = gst_umedpt_to_pixel ((gdouble) box->x + box->width / 2);
  const gint y = gst_umedpt_to_pixel ((gdouble) box->y + box->height / 2);

  for (gint part = 0; part < 2; part++) {
    const gint r = part == 0 ? 2 * draw->line : draw->line;

    gst_umedpt_canvas_fill (draw->canvas,
        (GstUmedptBlock){ x - r, y - r, x + r, y + r },
        part == 0 ? &dark : &ink, GST_UMEDPT_OPAQUE);
  }
}

/* --- the edges of the frame --------------------------------------------- */

char *
gst_umedpt_scene_get_state_text (const GstUmedptScene *self)
{
  const gint64 ms = self->age / (gint64) GST_MSECOND;

  switch (self->state) {
    case GST_UMEDPT_OVERLAY_NO_MODEL:
      return g_strdup ("no model");
    case GST_UMEDPT_OVERLAY_READY:
      return g_strdup ("ready");
    case GST_UMEDPT_OVERLAY_STALE:
    default:
      /* in steps that can be read */
      if (self->age < 0)
        return g_strdup ("stale");
      if (ms < 10000)
        return g_strdup_printf ("stale %d ms", (gint) (ms / 10 * 10));
      return g_strdup_printf ("stale %" G_GINT64_FORMAT " s", ms / 1000);
  }
}

/* Returns the row below it. */
static gint
write_line (const Draw *draw, gint x, gint y, const char *line)
{
  GstUmedptText *text =
      gst_umedpt_texts_get (draw->texts, line, draw->text_size);

  gst_umedpt_canvas_write (draw->canvas, x, y, &text, 1, GROUND, GROUND_ALPHA);
  return y + text->height;
}

static gint
draw_state (const Draw *draw, gint x, gint y)
{
  static const guint32 colors[] = { COLOR_NONE, COLOR_READY, COLOR_STALE };
  g_autofree char *text = gst_umedpt_scene_get_state_text (draw->scene);
  const GstUmedptInk ink =
      gst_umedpt_canvas_get_ink (draw->canvas, colors[draw->scene->state]);
  const gint width = draw->text_size / 2;
  const gint below = write_line (draw, x + width, y, text);

  gst_umedpt_canvas_fill (draw->canvas,
      (GstUmedptBlock){ x, y, x + width, below }, &ink, GST_UMEDPT_OPAQUE);
  return below;
}

/* Upwards from @y; what has no room in the lower half is left out. */
static gint
draw_task_legend (const Draw *draw, const GstUmedptOverlayTask *task, gint x,
    gint y)
{
  const gboolean background = task->what == GST_UMEDPT_OVERLAY_MASK &&
      !task->per_class && task->mask.background;

  for (guint i = task->n_labels; i > (background ? 1 : 0); i--) {
    GstUmedptText *text = gst_umedpt_texts_get (draw->texts,
        task->labels[i - 1], draw->text_size);

    if (y - text->height < draw->canvas->height / 2)
      break;
    y -= text->height;
    gst_umedpt_canvas_write (draw->canvas, x, y, &text, 1,
        gst_umedpt_overlay_task_get_color (task, (gint) i - 1),
        GST_UMEDPT_OPAQUE);
  }
  return y;
}

static void
draw_edges (const Draw *draw)
{
  const gint margin = draw->text_size / 2;
  gint y = margin;

  if (draw->settings->show_state)
    y = draw_state (draw, margin, y);
  for (guint i = 0; i < draw->scene->lines->len; i++)
    y = write_line (draw, margin, y, g_ptr_array_index (draw->scene->lines, i));
  y = draw->canvas->height - margin;
  for (guint i = 0; i < draw->scene->tasks->len; i++) {
    const GstUmedptOverlayTask *task =
        g_ptr_array_index (draw->scene->tasks, i);

    if (gst_umedpt_overlay_has_legend (draw->settings, task))
      y = draw_task_legend (draw, task, margin, y);
  }
}

void
gst_umedpt_scene_draw (const GstUmedptScene *self,
    const GstUmedptOverlaySettings *settings, GstUmedptTexts *texts,
    const GstUmedptCanvas *canvas)
{
  const Draw draw = { self, settings, texts, canvas,
    settings->line_width ? (gint) settings->line_width
                         : MAX ((canvas->height + 180) / 360, 1),
    settings->text_size ? (gint) settings->text_size
                        : MAX (canvas->height / 45, 10) };

  for (guint i = 0; i < self->masks->len; i++)
    draw_mask (&draw, &g_array_index (self->masks, GstUmedptSceneMask, i));
  for (guint i = 0; i < self->boxes->len; i++)
    draw_box (&draw, &g_array_index (self->boxes, GstUmedptSceneBox, i));
  /* weak ones first, so that they do not cover the texts of the best */
  for (guint i = self->boxes->len; i > 0; i--)
    draw_box_text (&draw,
        &g_array_index (self->boxes, GstUmedptSceneBox, i - 1));
  for (guint i = 0; i < self->dots->len; i++)
    draw_dot (&draw, &g_array_index (self->dots, GstUmedptSceneBox, i));
  draw_edges (&draw);
  gst_umedpt_texts_trim (texts);
}
