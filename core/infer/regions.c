/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Which parts of a large picture are looked at, and how their results become
 * those of the whole. Masks: mean probabilities, weighted by a tent that is
 * small at a region's border, so that a decision never jumps at a seam. Boxes:
 * one suppression over all; an object that a seam has cut is seen whole by the
 * neighbour if the overlap is as large as the object.
 */
#include "infer/regions.h"

#include <math.h>

#include "base/error.h"
#include "net/decode.h"

/* Positions along an axis of @size pixels: even, so that pixels of half size
 * fall together, but for the last one, which ends at the border. Steps are even
 * and positions rounded up, so that none is farther from the next one. */
static GArray *
positions (gint size, gint side, gint overlap)
{
  GArray *at = g_array_new (FALSE, FALSE, sizeof (gint));
  const gint step = MAX ((side - CLAMP (overlap, 0, side / 2)) & ~1, 1);
  const gint span = MAX (size - side, 0);
  const gint n = span / step + (span % step > 0); /* steps */

  for (gint i = 0; i < n; i++) {
    const gint64 x = ((gint64) span * i + n - 1) / n;
    const gint even = (gint) (step > 1 ? (x + 1) & ~(gint64) 1 : x);
    g_array_append_val (at, even);
  }
  g_array_append_val (at, span);
  return at;
}

/**
 * umedpt_regions_tile:
 * @width: of the picture, pixels
 * @height: as well
 * @side: of a region, pixels
 * @overlap: that neighbours have in common at least; half of @side at most
 *
 * Returns: (transfer full) (element-type UmedptRegion): regions that cover the
 *   picture
 *
 * Since: 0.1
 */
GArray *
umedpt_regions_tile (gint width, gint height, gint side, gint overlap)
{
  GArray *regions = g_array_new (FALSE, FALSE, sizeof (UmedptRegion));
  g_autoptr (GArray) xs = NULL;
  g_autoptr (GArray) ys = NULL;

  g_return_val_if_fail (width > 0 && height > 0 && side > 0, regions);

  xs = positions (width, side, overlap);
  ys = positions (height, side, overlap);
  for (guint j = 0; j < ys->len; j++)
    for (guint i = 0; i < xs->len; i++) {
      const UmedptRegion region = { g_array_index (xs, gint, i),
        g_array_index (ys, gint, j), MIN (side, width), MIN (side, height) };
      g_array_append_val (regions, region);
    }
  return regions;
}

/* --- boxes -------------------------------------------------------------- */

/* Whether @box reaches a side of @region inside the picture. */
static gboolean
is_cut (const UmedptBox *box, const UmedptRegion *region, gint width,
    gint height)
{
  const float near = 1; /* pixel */
  const float x2 = (float) (region->x + region->width);
  const float y2 = (float) (region->y + region->height);

  return (region->x > 0 && box->x1 < (float) region->x + near) ||
      (region->y > 0 && box->y1 < (float) region->y + near) ||
      (x2 < (float) width && box->x2 > x2 - near) ||
      (y2 < (float) height && box->y2 > y2 - near);
}

/**
 * umedpt_regions_add_boxes:
 * @all: (element-type UmedptRegionBox): boxes are appended
 * @region: where the boxes were found
 * @width: of the picture, pixels
 * @height: as well
 * @size_x: width of the region as the network saw it
 * @size_y: height of it
 * @boxes: (element-type UmedptBox): in pixels of that size
 *
 * Since: 0.1
 */
void
umedpt_regions_add_boxes (GArray *all, const UmedptRegion *region, gint width,
    gint height, gint size_x, gint size_y, const GArray *boxes)
{
  const float sx = (float) region->width / (float) size_x;
  const float sy = (float) region->height / (float) size_y;

  for (guint i = 0; i < boxes->len; i++) {
    const UmedptBox *box = &g_array_index (boxes, UmedptBox, i);
    UmedptRegionBox mapped = { *box, FALSE };

    mapped.box.x1 = (float) region->x + box->x1 * sx;
    mapped.box.x2 = (float) region->x + box->x2 * sx;
    mapped.box.y1 = (float) region->y + box->y1 * sy;
    mapped.box.y2 = (float) region->y + box->y2 * sy;
    mapped.cut = is_cut (&mapped.box, region, width, height);
    g_array_append_val (all, mapped);
  }
}

/* Whole ones first, then by score. */
static gint
compare (gconstpointer a, gconstpointer b)
{
  const UmedptRegionBox *x = a, *y = b;

  if (x->cut != y->cut)
    return x->cut - y->cut;
  return (x->box.score < y->box.score) - (x->box.score > y->box.score);
}

static gint
compare_scores (gconstpointer a, gconstpointer b)
{
  const UmedptBox *x = a, *y = b;

  return (x->score < y->score) - (x->score > y->score);
}

static float
area (const UmedptBox *box)
{
  return (box->x2 - box->x1) * (box->y2 - box->y1);
}

/* How much of the smaller of two boxes the other covers, 0 … 1. */
static float
cover (const UmedptBox *a, const UmedptBox *b)
{
  const float w = MIN (a->x2, b->x2) - MAX (a->x1, b->x1);
  const float h = MIN (a->y2, b->y2) - MAX (a->y1, b->y1);
  const float smaller = MIN (area (a), area (b));

  return w > 0 && h > 0 && smaller > 0 ? w * h / smaller : 0;
}

/* Whether @box is one that @kept stands for already. */
static gboolean
is_same (const UmedptBox *kept, const UmedptRegionBox *box, double threshold)
{
  return kept->label == box->box.label &&
      (umedpt_box_iou (kept, &box->box) > threshold ||
          (box->cut && cover (kept, &box->box) > 0.5f));
}

/**
 * umedpt_regions_merge_boxes:
 * @all: (element-type UmedptRegionBox): boxes of all regions; reordered
 * @iou_threshold: of two boxes of a class that overlap more, one goes
 * @max_boxes: how many are kept
 *
 * Returns: (transfer full) (element-type UmedptBox): the boxes of the picture,
 *   best first
 *
 * Since: 0.1
 */
GArray *
umedpt_regions_merge_boxes (GArray *all, double iou_threshold, guint max_boxes)
{
  GArray *kept = g_array_new (FALSE, FALSE, sizeof (UmedptBox));

  g_array_sort (all, compare);
  for (guint i = 0; i < all->len; i++) {
    const UmedptRegionBox *box = &g_array_index (all, UmedptRegionBox, i);
    gboolean known = FALSE;

    for (guint k = 0; k < kept->len && !known; k++)
      known = is_same (&g_array_index (kept, UmedptBox, k), box, iou_threshold);
    if (!known)
      g_array_append_val (kept, box->box);
  }
  g_array_sort (kept, compare_scores);
  if (kept->len > max_boxes)
    g_array_set_size (kept, max_boxes);
  return kept;
}

/* --- masks -------------------------------------------------------------- */

struct _UmedptCanvas
{
  gint width, height, k;
  gfloat *sums; /* [height, width, k] */
  gfloat *weights; /* [height, width] */
};

/**
 * umedpt_canvas_new:
 * @width: of the picture, pixels
 * @height: as well
 * @n_classes: K
 * @error: return location for a #GError
 *
 * Returns: (transfer full): an empty canvas, or %NULL with @error set
 *   (%UMEDPT_ERROR_NO_MEMORY)
 *
 * Since: 0.1
 */
UmedptCanvas *
umedpt_canvas_new (gint width, gint height, gint n_classes, GError **error)
{
  UmedptCanvas *self = g_new0 (UmedptCanvas, 1);
  gsize n;

  self->width = width / 2 + width % 2;
  self->height = height / 2 + height % 2;
  self->k = n_classes;
  n = (gsize) self->width * (gsize) self->height;
  self->sums = g_try_new0 (gfloat, n * (gsize) n_classes);
  self->weights = g_try_new0 (gfloat, n);
  if (self->sums && self->weights)
    return self;
  umedpt_canvas_free (self);
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY,
      "There is not enough memory for the mask of a picture of %dx%d pixels "
      "with %d classes.",
      width, height, n_classes);
  return NULL;
}

/**
 * umedpt_canvas_free:
 * @self: (nullable) (transfer full): a canvas
 *
 * Since: 0.1
 */
void
umedpt_canvas_free (UmedptCanvas *self)
{
  if (!self)
    return;
  g_free (self->sums);
  g_free (self->weights);
  g_free (self);
}

/**
 * umedpt_canvas_get_size:
 * @self: a canvas
 * @width: (out): of its mask, pixels
 * @height: (out): as well
 *
 * Since: 0.1
 */
void
umedpt_canvas_get_size (const UmedptCanvas *self, gint *width, gint *height)
{
  g_return_if_fail (self != NULL);
  *width = self->width;
  *height = self->height;
}

/* How much a region counts at @i of its @n pixels along an axis. */
static float
tent (gint i, gint n)
{
  return (float) (MIN (i, n - 1 - i) + 1) / (float) n;
}

/* A region's pixels along an axis of the canvas: [from, to), and which of its
 * @n own pixels lies under each. */
typedef struct
{
  gint from, to;
  gint *source;
  float *weight;
} Span;

static void
span_init (Span *span, gint at, gint size, gint n, gint limit)
{
  span->from = at / 2;
  span->to = MIN ((at + size + 1) / 2, limit);
  span->source = g_new (gint, span->to - span->from);
  span->weight = g_new (float, span->to - span->from);
  for (gint i = span->from; i < span->to; i++) {
    const double centre = (2.0 * i + 1 - at) / size * n;
    const gint j = CLAMP ((gint) floor (centre), 0, n - 1);
    span->source[i - span->from] = j;
    span->weight[i - span->from] = tent (j, n);
  }
}

static void
span_clear (Span *span)
{
  g_free (span->source);
  g_free (span->weight);
}

/**
 * umedpt_canvas_add:
 * @self: a canvas
 * @region: a part of the picture
 * @columns: width of @probabilities
 * @rows: height of it
 * @probabilities: f32 [rows, columns, K]
 *
 * Since: 0.1
 */
void
umedpt_canvas_add (UmedptCanvas *self, const UmedptRegion *region, gint columns,
    gint rows, const gfloat *probabilities)
{
  const gsize k = (gsize) self->k;
  Span x, y;

  g_return_if_fail (self != NULL);
  g_return_if_fail (region->x >= 0 && region->y >= 0);

  span_init (&x, region->x, region->width, columns, self->width);
  span_init (&y, region->y, region->height, rows, self->height);
  for (gint j = y.from; j < y.to; j++)
    for (gint i = x.from; i < x.to; i++) {
      const gsize at = (gsize) j * (gsize) self->width + (gsize) i;
      const float w = x.weight[i - x.from] * y.weight[j - y.from];
      const gfloat *p = probabilities +
          ((gsize) y.source[j - y.from] * (gsize) columns +
              (gsize) x.source[i - x.from]) *
              k;
      for (gsize c = 0; c < k; c++)
        self->sums[at * k + c] += w * p[c];
      self->weights[at] += w;
    }
  span_clear (&x);
  span_clear (&y);
}

static guint8
best_of (const gfloat *sums, gint k, double least)
{
  gint best = 0;

  for (gint c = 1; c < k; c++)
    if (sums[c] > sums[best])
      best = c;
  return sums[best] < least ? UMEDPT_IGNORE_PIXEL : (guint8) best;
}

/**
 * umedpt_canvas_decide:
 * @self: a canvas
 * @multilabel: whether classes are independent of each other
 * @threshold: of a probability
 * @mask: (out caller-allocates): u8 [height, width], or [height, width, K] if
 *   @multilabel
 *
 * Since: 0.1
 */
void
umedpt_canvas_decide (const UmedptCanvas *self, gboolean multilabel,
    double threshold, guint8 *mask)
{
  const gsize n = (gsize) self->width * (gsize) self->height;
  const gsize k = (gsize) self->k;

  g_return_if_fail (self != NULL && mask != NULL);

  for (gsize i = 0; i < n; i++) {
    const gfloat *sums = self->sums + i * k;
    const double least = threshold * self->weights[i];

    if (multilabel)
      for (gsize c = 0; c < k; c++)
        mask[i * k + c] = self->weights[i] > 0 && sums[c] > least;
    else
      mask[i] = self->weights[i] > 0 ? best_of (sums, self->k, least)
                                     : UMEDPT_IGNORE_PIXEL;
  }
}
