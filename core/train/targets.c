/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Which point of which level learns which box: FCOS (Tian et al. 2019,
 * arXiv:1904.01355, section 3.1 and 3.2), without sampling of centres. The
 * point (x, y) of a level with stride s lies at ((x + 1/2) s, (y + 1/2) s). It
 * is positive for a box if it lies strictly inside and the largest of its
 * distances l, t, r, b to the sides is in the level's range, bounds included;
 * of several boxes the one of the smallest area counts, of those the first.
 *
 * Regions to ignore are no boxes of a class: where they cover what is not
 * positive, the point is neither background nor object.
 */
#include <math.h>

#include "net/decode.h"
#include "train/loss-private.h"
#include "train/loss.h"

#define BACKGROUND -1
#define IGNORED -2

/* The largest distance that a level is responsible for, in pixels; the next
 * one begins there. */
static const float level_ends[UMEDPT_DETECTION_LEVELS] = { 64, 128, 256, 512,
  1e8f };

/* One image on one level. */
typedef struct
{
  gint64 width, height; /* points */
  float stride;
  float begin, end; /* of the range */
  gint32 *classes; /* [height, width] */
  float *targets; /* [height, width, 4] */
  float *areas; /* [height, width]: of the box so far */
} Level;

/* The part of @box that is in the image; FALSE: nothing is, or it is no box
 * (also of NaN). */
static gboolean
clip (UmedptBox *box, gint width, gint height)
{
  if (!(box->x2 > box->x1 && box->y2 > box->y1))
    return FALSE;
  box->x1 = MAX (box->x1, 0);
  box->y1 = MAX (box->y1, 0);
  box->x2 = MIN (box->x2, (float) width);
  box->y2 = MIN (box->y2, (float) height);
  return box->x2 > box->x1 && box->y2 > box->y1;
}

/* Points @from … @to - 1 of @n include all that lie in (@low, @high). */
static void
point_range (float low, float high, float stride, gint64 n, gint64 *from,
    gint64 *to)
{
  *from = CLAMP ((gint64) floorf (low / stride - 0.5f), 0, n);
  *to = CLAMP ((gint64) ceilf (high / stride - 0.5f) + 1, 0, n);
}

static void
assign_box (Level *level, const UmedptBox *box)
{
  const float area = (box->x2 - box->x1) * (box->y2 - box->y1);
  gint64 x_from, x_to, y_from, y_to;

  point_range (box->x1, box->x2, level->stride, level->width, &x_from, &x_to);
  point_range (box->y1, box->y2, level->stride, level->height, &y_from, &y_to);
  for (gint64 y = y_from; y < y_to; y++)
    for (gint64 x = x_from; x < x_to; x++) {
      const gint64 i = y * level->width + x;
      const float px = ((float) x + 0.5f) * level->stride;
      const float py = ((float) y + 0.5f) * level->stride;
      const float l = px - box->x1, t = py - box->y1;
      const float r = box->x2 - px, b = box->y2 - py;
      const float largest = MAX (MAX (l, r), MAX (t, b));
      float *target = level->targets + 4 * i;

      if (MIN (MIN (l, r), MIN (t, b)) <= 0 || largest < level->begin ||
          largest > level->end || area >= level->areas[i])
        continue;
      level->areas[i] = area;
      level->classes[i] = box->label;
      target[0] = l / level->stride;
      target[1] = t / level->stride;
      target[2] = r / level->stride;
      target[3] = b / level->stride;
    }
}

static void
ignore_region (Level *level, const UmedptBox *box)
{
  gint64 x_from, x_to, y_from, y_to;

  point_range (box->x1, box->x2, level->stride, level->width, &x_from, &x_to);
  point_range (box->y1, box->y2, level->stride, level->height, &y_from, &y_to);
  for (gint64 y = y_from; y < y_to; y++)
    for (gint64 x = x_from; x < x_to; x++) {
      const float px = ((float) x + 0.5f) * level->stride;
      const float py = ((float) y + 0.5f) * level->stride;
      gint32 *class = level->classes + y * level->width + x;

      if (*class == BACKGROUND && px > box->x1 && px < box->x2 &&
          py > box->y1 && py < box->y2)
        *class = IGNORED;
    }
}

/* Equation 3 of FCOS. */
static double
centerness_of (const float *t)
{
  return sqrt ((double) MIN (t[0], t[2]) / MAX (t[0], t[2]) *
      ((double) MIN (t[1], t[3]) / MAX (t[1], t[3])));
}

static void
assign_level (Level *level, const GArray *boxes, gint width, gint height,
    double *positives, double *centerness)
{
  const gint64 n = level->width * level->height;

  for (gint64 i = 0; i < n; i++) {
    level->classes[i] = BACKGROUND;
    level->areas[i] = INFINITY;
  }
  for (gint64 i = 0; i < 4 * n; i++)
    level->targets[i] = 0;
  for (guint regions = 0; regions < 2; regions++) /* after all boxes */
    for (guint i = 0; i < boxes->len; i++) {
      UmedptBox box = g_array_index (boxes, UmedptBox, i);

      if ((box.label < 0) != regions || !clip (&box, width, height))
        continue;
      if (regions)
        ignore_region (level, &box);
      else
        assign_box (level, &box);
    }
  for (gint64 i = 0; i < n; i++)
    if (level->classes[i] >= 0) {
      *positives += 1;
      *centerness += centerness_of (level->targets + 4 * i);
    }
}

/* @boxes: of UmedptBox, in pixels of the image of @width x @height; those with
 * a negative label are regions to ignore; what is outside the image or has no
 * area is passed over. @classes: i32 [N, h, w], 0 … K-1, -1 background, -2
 * ignored; @targets: f32 [N, h, w, 4], l, t, r, b in units of the stride, 0
 * where not positive; of both, row @image is written. */
gboolean
umedpt_detection_assign (const GArray *boxes, gint width, gint height,
    guint image, UmedptTensor *classes[UMEDPT_DETECTION_LEVELS],
    UmedptTensor *targets[UMEDPT_DETECTION_LEVELS], double *positives,
    double *centerness)
{
  g_autofree float *areas = NULL;
  gint64 most = 0;

  for (guint l = 0; l < UMEDPT_DETECTION_LEVELS; l++) {
    g_return_val_if_fail (image < classes[l]->shape[0], FALSE);
    most = MAX (most, classes[l]->shape[1] * classes[l]->shape[2]);
  }
  areas = g_new (float, most);
  for (guint l = 0; l < UMEDPT_DETECTION_LEVELS; l++) {
    Level level = { .height = classes[l]->shape[1],
      .width = classes[l]->shape[2],
      .stride = (float) umedpt_detection_level_stride (l),
      .begin = l ? level_ends[l - 1] : -1,
      .end = level_ends[l],
      .areas = areas };
    const gint64 n = level.width * level.height;

    level.classes = (gint32 *) classes[l]->data + image * n;
    level.targets = UMEDPT_F32 (targets[l]) + 4 * image * n;
    assign_level (&level, boxes, width, height, positives, centerness);
  }
  return TRUE;
}

static void
clear_tensors (UmedptDetectionTargets *self)
{
  g_clear_pointer (&self->all_classes, umedpt_tensor_unref);
  g_clear_pointer (&self->all_boxes, umedpt_tensor_unref);
  for (guint l = 0; l < UMEDPT_DETECTION_LEVELS; l++) {
    g_clear_pointer (&self->classes[l], umedpt_tensor_unref);
    g_clear_pointer (&self->boxes[l], umedpt_tensor_unref);
  }
}

void
umedpt_detection_targets_clear (UmedptDetectionTargets *self)
{
  clear_tensors (self);
}

/* The levels of the tensors of all points. */
static gboolean
make_levels (UmedptDetectionTargets *self, guint n,
    const gint64 sizes[UMEDPT_DETECTION_LEVELS][2], GError **error)
{
  gsize first = 0;

  for (guint l = 0; l < UMEDPT_DETECTION_LEVELS; l++) {
    const gint64 shape[] = { n, sizes[l][0], sizes[l][1], 4 };

    self->classes[l] =
        umedpt_tensor_new_view (self->all_classes, first, 3, shape, error);
    if (!self->classes[l])
      return FALSE;
    self->boxes[l] =
        umedpt_tensor_new_view (self->all_boxes, 4 * first, 4, shape, error);
    if (!self->boxes[l])
      return FALSE;
    first += self->classes[l]->n_elements;
  }
  return TRUE;
}

static gboolean
make_tensors (UmedptDetectionTargets *self, guint n,
    const gint64 sizes[UMEDPT_DETECTION_LEVELS][2], GError **error)
{
  gint64 shape[] = { 0, 4 };

  for (guint l = 0; l < UMEDPT_DETECTION_LEVELS; l++)
    shape[0] += n * sizes[l][0] * sizes[l][1];
  self->all_classes = umedpt_tensor_new (UMEDPT_DTYPE_I32, 1, shape, error);
  if (!self->all_classes)
    return FALSE;
  self->all_boxes = umedpt_tensor_new (UMEDPT_DTYPE_F32, 2, shape, error);
  return self->all_boxes && make_levels (self, n, sizes, error);
}

/* Targets of images @first … @first + @n - 1 of @batch; @sizes [levels][2]:
 * height and width of the levels. */
gboolean
umedpt_detection_targets_make (UmedptDetectionTargets *self,
    const UmedptBatch *batch, guint first, guint n,
    const gint64 sizes[UMEDPT_DETECTION_LEVELS][2], GError **error)
{
  const gint height = (gint) umedpt_tensor_get_dim (batch->images, 1);
  const gint width = (gint) umedpt_tensor_get_dim (batch->images, 2);

  *self = (UmedptDetectionTargets){ 0 };
  if (!make_tensors (self, n, sizes, error)) {
    clear_tensors (self);
    return FALSE;
  }
  for (guint i = 0; i < n; i++)
    umedpt_detection_assign (batch->boxes->pdata[first + i], width, height, i,
        self->classes, self->boxes, &self->positives, &self->centerness);
  return TRUE;
}

gboolean
umedpt_detection_targets_place (UmedptDetectionTargets *self,
    const UmedptLossPart *part, GError **error)
{
  UmedptTensor *const *outputs = part->output->outputs;
  g_autoptr (UmedptTensor) classes = NULL;
  g_autoptr (UmedptTensor) boxes = NULL;
  gint64 sizes[UMEDPT_DETECTION_LEVELS][2];

  classes = umedpt_loss_place_labels (part, self->all_classes, IGNORED,
      outputs[0]->shape[3] - 1, error);
  if (!classes)
    return FALSE;
  boxes = umedpt_loss_place (part, self->all_boxes, error);
  if (!boxes)
    return FALSE;
  for (guint l = 0; l < UMEDPT_DETECTION_LEVELS; l++)
    for (guint axis = 0; axis < 2; axis++)
      sizes[l][axis] = self->classes[l]->shape[axis + 1];
  clear_tensors (self);
  self->all_classes = g_steal_pointer (&classes);
  self->all_boxes = g_steal_pointer (&boxes);
  return make_levels (self, part->n, sizes, error);
}
