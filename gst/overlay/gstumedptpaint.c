/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Blocks of one ink, from which everything else is made. The loops work on a
 * pattern of 48 bytes, a multiple of every sample's size, so that one loop
 * serves all formats and the compiler can vectorise it.
 */
#include "overlay/gstumedptpaint.h"

#include <string.h>

#define PATTERN 48

/* --- canvas ------------------------------------------------------------- */

static GstUmedptLayer
make_layer (GstVideoFrame *frame, gint plane, guint8 bytes, guint8 shift)
{
  const gint round = (1 << shift) - 1;

  return (GstUmedptLayer){
    .data = GST_VIDEO_FRAME_PLANE_DATA (frame, plane),
    .stride = GST_VIDEO_FRAME_PLANE_STRIDE (frame, plane),
    .width = (GST_VIDEO_FRAME_WIDTH (frame) + round) >> shift,
    .height = (GST_VIDEO_FRAME_HEIGHT (frame) + round) >> shift,
    .bytes = bytes,
    .shift = shift,
  };
}

void
gst_umedpt_canvas_init (GstUmedptCanvas *self, GstVideoFrame *frame)
{
  const GstVideoFormat format = GST_VIDEO_FRAME_FORMAT (frame);

  self->width = GST_VIDEO_FRAME_WIDTH (frame);
  self->height = GST_VIDEO_FRAME_HEIGHT (frame);
  self->info = frame->info;
  self->n_layers = GST_VIDEO_FRAME_N_PLANES (frame);
  self->layers[0] = make_layer (frame, 0,
      (guint8) GST_VIDEO_FRAME_COMP_PSTRIDE (frame, 0), 0);
  if (format == GST_VIDEO_FORMAT_NV12)
    self->layers[1] = make_layer (frame, 1, 2, 1);
  for (guint i = 1; format == GST_VIDEO_FORMAT_I420 && i < 3; i++)
    self->layers[i] = make_layer (frame, (gint) i, 1, 1);
}

/* R, G, B or Y, U, V in 0 … 1 (U, V: -0.5 … 0.5) */
static void
to_components (const GstVideoInfo *info, guint32 color, gdouble *out)
{
  const gdouble rgb[] = { (color >> 16 & 0xff) / 255.0,
    (color >> 8 & 0xff) / 255.0, (color & 0xff) / 255.0 };
  gdouble kr = 0.299, kb = 0.114;

  if (GST_VIDEO_INFO_IS_RGB (info)) {
    memcpy (out, rgb, sizeof rgb);
    return;
  }
  if (!gst_video_color_matrix_get_Kr_Kb (info->colorimetry.matrix, &kr, &kb)) {
    kr = 0.299;
    kb = 0.114;
  }
  out[0] = kr * rgb[0] + (1 - kr - kb) * rgb[1] + kb * rgb[2];
  out[1] = (rgb[2] - out[0]) / (2 * (1 - kb));
  out[2] = (rgb[0] - out[0]) / (2 * (1 - kr));
}

/* A fourth byte is alpha, or nothing: what is drawn is opaque. */
GstUmedptInk
gst_umedpt_canvas_get_ink (const GstUmedptCanvas *self, guint32 color)
{
  const GstVideoFormatInfo *format = self->info.finfo;
  GstUmedptInk ink;
  gdouble components[3] = { 0, 0, 0 };
  gint offset[4], scale[4];

  memset (&ink, 0xff, sizeof ink);
  to_components (&self->info, color, components);
  gst_video_color_range_offsets (self->info.colorimetry.range, format, offset,
      scale);
  for (guint c = 0; c < MIN (GST_VIDEO_FORMAT_INFO_N_COMPONENTS (format), 3);
       c++)
    ink.samples[GST_VIDEO_FORMAT_INFO_PLANE (format, c)]
               [GST_VIDEO_FORMAT_INFO_POFFSET (format, c)] =
        (guint8) CLAMP (offset[c] + components[c] * scale[c] + 0.5, 0, 255);
  return ink;
}

/* --- blocks of samples -------------------------------------------------- */

static inline guint8 *
sample_at (const GstUmedptLayer *layer, gint x, gint y)
{
  return layer->data + (gssize) y * layer->stride + (gssize) x * layer->bytes;
}

static void
make_pattern (guint8 *pattern, const GstUmedptLayer *layer, const guint8 *ink)
{
  const guint bytes = layer->bytes;

  for (guint i = 0; i < PATTERN; i += bytes)
    for (guint b = 0; b < bytes; b++)
      pattern[i + b] = ink[b];
}

static void
set_row (guint8 *row, gsize n, const guint8 *pattern)
{
  for (; n >= PATTERN; n -= PATTERN, row += PATTERN)
    memcpy (row, pattern, PATTERN);
  memcpy (row, pattern, n);
}

static void
set_samples (const GstUmedptLayer *layer, GstUmedptBlock block, gsize n,
    const guint8 *ink)
{
  guint8 pattern[PATTERN];

  if (layer->bytes == 1) {
    for (gint y = block.y0; y < block.y1; y++)
      memset (sample_at (layer, block.x0, y), ink[0], n);
    return;
  }
  make_pattern (pattern, layer, ink);
  for (gint y = block.y0; y < block.y1; y++)
    set_row (sample_at (layer, block.x0, y), n, pattern);
}

static inline guint8
mix (guint8 below, guint8 above, guint alpha)
{
  return (guint8) ((below * (GST_UMEDPT_OPAQUE - alpha) + above * alpha +
                       128) >>
      8);
}

/* @weighted: pattern times alpha plus a half; @rest: 256 - alpha */
static void
blend_row (guint8 *row, gsize n, const guint16 *weighted, guint16 rest)
{
  guint8 part[PATTERN];

  for (; n >= PATTERN; n -= PATTERN, row += PATTERN) {
    memcpy (part, row, PATTERN);
    for (guint i = 0; i < PATTERN; i++)
      part[i] = (guint8) ((guint16) (part[i] * rest + weighted[i]) >> 8);
    memcpy (row, part, PATTERN);
  }
  for (gsize i = 0; i < n; i++)
    row[i] = (guint8) ((guint16) (row[i] * rest + weighted[i]) >> 8);
}

/* What is narrow, as the half samples at a block's sides. */
static void
blend_narrow (const GstUmedptLayer *layer, GstUmedptBlock block, gsize n,
    const guint8 *ink, guint alpha)
{
  for (gint y = block.y0; y < block.y1; y++) {
    guint8 *row = sample_at (layer, block.x0, y);

    for (gsize i = 0; i < n; i += layer->bytes)
      for (guint b = 0; b < layer->bytes; b++)
        row[i + b] = mix (row[i + b], ink[b], alpha);
  }
}

static void
blend_samples (const GstUmedptLayer *layer, GstUmedptBlock block, gsize n,
    const guint8 *ink, guint alpha)
{
  guint8 pattern[PATTERN];
  guint16 weighted[PATTERN];

  make_pattern (pattern, layer, ink);
  for (guint i = 0; i < PATTERN; i++)
    weighted[i] = (guint16) (pattern[i] * alpha + 128);
  for (gint y = block.y0; y < block.y1; y++)
    blend_row (sample_at (layer, block.x0, y), n, weighted,
        (guint16) (GST_UMEDPT_OPAQUE - alpha));
}

/* @block: in samples, within the layer */
static void
fill_samples (const GstUmedptLayer *layer, GstUmedptBlock block,
    const guint8 *ink, guint alpha)
{
  const gsize n = (gsize) MAX (block.x1 - block.x0, 0) * layer->bytes;

  if (n == 0 || block.y1 <= block.y0 || alpha == 0)
    return;
  if (alpha >= GST_UMEDPT_OPAQUE)
    set_samples (layer, block, n, ink);
  else if (n < 16)
    blend_narrow (layer, block, n, ink, alpha);
  else
    blend_samples (layer, block, n, ink, alpha);
}

/* --- blocks of pixels --------------------------------------------------- */

static gboolean
clip (const GstUmedptCanvas *self, GstUmedptBlock *block)
{
  block->x0 = MAX (block->x0, 0);
  block->y0 = MAX (block->y0, 0);
  block->x1 = MIN (block->x1, self->width);
  block->y1 = MIN (block->y1, self->height);
  return block->x0 < block->x1 && block->y0 < block->y1;
}

/* What @from to before @to covers of samples of two pixels: a half one, whole
 * ones, a half one; each may be missing. */
typedef struct
{
  gint begin[3], end[3];
} Parts;

static Parts
cut (gint from, gint to, gint size)
{
  /* the last sample of an odd size has but one pixel */
  const gint last = to == size ? to + (size & 1) : to;

  return (Parts){
    .begin = { from >> 1, (from + 1) >> 1, last >> 1 },
    .end = { (from + 1) >> 1, last >> 1, (last + 1) >> 1 },
  };
}

static void
fill_halved (const GstUmedptCanvas *self, const GstUmedptLayer *layer,
    GstUmedptBlock block, const guint8 *ink, guint alpha)
{
  const Parts x = cut (block.x0, block.x1, self->width);
  const Parts y = cut (block.y0, block.y1, self->height);

  for (guint i = 0; i < 3; i++)
    for (guint j = 0; y.begin[i] < y.end[i] && j < 3; j++)
      if (x.begin[j] < x.end[j])
        fill_samples (layer,
            (GstUmedptBlock){ x.begin[j], y.begin[i], x.end[j], y.end[i] }, ink,
            alpha >> ((i != 1) + (j != 1)));
}

void
gst_umedpt_canvas_fill (const GstUmedptCanvas *self, GstUmedptBlock block,
    const GstUmedptInk *ink, guint alpha)
{
  if (!clip (self, &block))
    return;
  for (guint l = 0; l < self->n_layers; l++)
    if (self->layers[l].shift)
      fill_halved (self, &self->layers[l], block, ink->samples[l], alpha);
    else
      fill_samples (&self->layers[l], block, ink->samples[l], alpha);
}

void
gst_umedpt_canvas_fill_joined (const GstUmedptCanvas *self,
    GstUmedptBlock block, const GstUmedptInk *ink, guint alpha)
{
  if (!clip (self, &block))
    return;
  for (guint l = 0; l < self->n_layers; l++) {
    const guint8 shift = self->layers[l].shift;

    fill_samples (&self->layers[l],
        (GstUmedptBlock){ (block.x0 + shift) >> shift,
            (block.y0 + shift) >> shift, (block.x1 + shift) >> shift,
            (block.y1 + shift) >> shift },
        ink->samples[l], alpha);
  }
}

/* --- coverage ----------------------------------------------------------- */

/* Coverage 0 to 255 as a weight 0 to 256. */
static inline guint16
to_alpha (guint8 coverage)
{
  return (guint16) (coverage + (coverage >> 7));
}

/* Samples of a byte, 16 at once. */
static void
stamp_bytes (guint8 *samples, const guint8 *coverage, gint n, guint8 ink)
{
  guint8 part[16], cover[16];

  for (; n >= 16; n -= 16, samples += 16, coverage += 16) {
    memcpy (part, samples, sizeof part);
    memcpy (cover, coverage, sizeof cover);
    for (guint i = 0; i < 16; i++) {
      const guint16 alpha = to_alpha (cover[i]);
      const guint16 below = (guint16) (part[i] * (GST_UMEDPT_OPAQUE - alpha));

      part[i] = (guint8) ((guint16) (below + ink * alpha + 128) >> 8);
    }
    memcpy (samples, part, sizeof part);
  }
  for (gint i = 0; i < n; i++)
    samples[i] = mix (samples[i], ink, to_alpha (coverage[i]));
}

static void
stamp_samples (guint8 *samples, guint8 bytes, const guint8 *coverage, gint n,
    const guint8 *ink)
{
  for (gint i = 0; i < n; i++, samples += bytes) {
    const guint16 alpha = to_alpha (coverage[i]);

    for (guint b = 0; alpha && b < bytes; b++)
      samples[b] = mix (samples[b], ink[b], alpha);
  }
}

void
gst_umedpt_canvas_stamp (const GstUmedptCanvas *self, guint l, gint x, gint y,
    const guint8 *coverage, gint width, gint height, const GstUmedptInk *ink)
{
  const GstUmedptLayer *layer = &self->layers[l];
  const GstUmedptBlock part = { MAX (-x, 0), MAX (-y, 0),
    MIN (width, layer->width - x), MIN (height, layer->height - y) };

  for (gint j = part.y0; j < part.y1; j++) {
    const guint8 *row = coverage + (gsize) j * width + part.x0;
    guint8 *samples = sample_at (layer, x + part.x0, y + j);

    if (layer->bytes == 1)
      stamp_bytes (samples, row, part.x1 - part.x0, ink->samples[l][0]);
    else
      stamp_samples (samples, layer->bytes, row, part.x1 - part.x0,
          ink->samples[l]);
  }
}

/* --- edges -------------------------------------------------------------- */

static void
fill_opaque (const GstUmedptCanvas *self, gint x0, gint y0, gint x1, gint y1,
    const GstUmedptInk *ink)
{
  gst_umedpt_canvas_fill (self, (GstUmedptBlock){ x0, y0, x1, y1 }, ink,
      GST_UMEDPT_OPAQUE);
}

void
gst_umedpt_canvas_outline (const GstUmedptCanvas *self, GstUmedptBlock b,
    gint line, const GstUmedptInk *ink)
{
  if (b.x1 - b.x0 <= 2 * line || b.y1 - b.y0 <= 2 * line) {
    fill_opaque (self, b.x0, b.y0, b.x1, b.y1, ink);
    return;
  }
  fill_opaque (self, b.x0, b.y0, b.x1, b.y0 + line, ink);
  fill_opaque (self, b.x0, b.y1 - line, b.x1, b.y1, ink);
  fill_opaque (self, b.x0, b.y0 + line, b.x0 + line, b.y1 - line, ink);
  fill_opaque (self, b.x1 - line, b.y0 + line, b.x1, b.y1 - line, ink);
}

/* One corner at (x, y); @dx, @dy: the way to the inside, 1 or -1. */
static void
draw_corner (const GstUmedptCanvas *self, gint x, gint y, gint dx, gint dy,
    gint arm, gint line, const GstUmedptInk *ink)
{
  const gint ax = x + dx * arm, lx = x + dx * line;
  const gint ay = y + dy * arm, ly = y + dy * line;

  fill_opaque (self, MIN (x, ax), MIN (y, ly), MAX (x, ax), MAX (y, ly), ink);
  fill_opaque (self, MIN (x, lx), MIN (ly, ay), MAX (x, lx), MAX (ly, ay), ink);
}

void
gst_umedpt_canvas_corners (const GstUmedptCanvas *self, GstUmedptBlock b,
    gint line, const GstUmedptInk *ink)
{
  const gint side = MIN (b.x1 - b.x0, b.y1 - b.y0);
  const gint arm = MAX (side / 4, 2 * line);

  if (2 * arm >= side) {
    gst_umedpt_canvas_outline (self, b, line, ink);
    return;
  }
  draw_corner (self, b.x0, b.y0, 1, 1, arm, line, ink);
  draw_corner (self, b.x1, b.y0, -1, 1, arm, line, ink);
  draw_corner (self, b.x0, b.y1, 1, -1, arm, line, ink);
  draw_corner (self, b.x1, b.y1, -1, -1, arm, line, ink);
}
