/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Which windows are cut from an annotated slide. Regions, larger than a
 * window, get windows on a jittered grid of half its side; for objects windows
 * are placed at random around one, and those that are wholly visible in it are
 * done with. Where several scales are allowed, one is drawn that favours
 * objects of half the window's area, both in pixels of the window: a rule that
 * mixes them with pixels of the slide favours something else at every scale.
 */
#include <math.h>

#include "data/dataset-slides.h"

#define INSIDE 16 /* samples per side to measure the part inside */
#define INSIDE_CLASS 0.95 /* of a window that has the class of its region */
#define INSIDE_MASK 0.25 /* of a window that shows a part of a region */
#define MIN_OBJECT_AREA 225 /* pixels */
#define MAX_OBJECT_SIDE 0.95 /* of the window's */
#define RETIRED 0.99 /* visible so much, an object needs no window */
#define TRIES 20 /* candidates per wanted window of a region */
#define MAX_LISTED 65536 /* cells of a grid that are gone through one by one */

typedef struct
{
  const UmedptSlides *slides;
  const UmedptSlideFile *file;
  guint number;
  UmedptRandom random;
  GArray *windows;
} Plan;

double
umedpt_slides_inside (const UmedptPolygon *shape, double x, double y,
    double side)
{
  guint8 mask[INSIDE * INSIDE] = { 0 };
  UmedptRaster raster = { x, y, side / INSIDE, INSIDE, INSIDE };
  guint count = 0;

  umedpt_polygon_fill (shape, &raster, mask, 1, 1);
  for (guint i = 0; i < INSIDE * INSIDE; i++)
    count += mask[i];
  return (double) count / (INSIDE * INSIDE);
}

static double
uniform (Plan *plan, double low, double high)
{
  return low + (high - low) * umedpt_random_uniform (&plan->random);
}

static guint
n_scales (const Plan *plan)
{
  return MAX (plan->slides->mpps->len, 1);
}

/* Level-0 pixels per pixel of the window. */
static double
scale_at (const Plan *plan, guint i)
{
  const GArray *mpps = plan->slides->mpps;

  return mpps->len > 0 ? g_array_index (mpps, double, i) / plan->file->mpp : 1;
}

/* Within the slide where it is large enough, else around its centre. */
static double
keep_inside (double x, double side, double size)
{
  return size > side ? CLAMP (x, 0, size - side) : (size - side) / 2;
}

static void
add_window (Plan *plan, double x, double y, double scale, gint label)
{
  double side = plan->slides->size * scale;
  UmedptSlideWindow window = { plan->number,
    floor (keep_inside (x, side, plan->file->width)),
    floor (keep_inside (y, side, plan->file->height)), scale, label };

  g_array_append_val (plan->windows, window);
}

typedef struct
{
  double x, y, step, scale;
  guint64 columns, rows;
} Grid;

static Grid
make_grid (const Plan *plan, const UmedptSlideShape *shape, double scale)
{
  double step = plan->slides->size * scale / 2;
  double x1 = MAX (shape->x1, 0), x2 = MIN (shape->x2, plan->file->width);
  double y1 = MAX (shape->y1, 0), y2 = MIN (shape->y2, plan->file->height);
  Grid grid = { x1 - 2 * step, y1 - 2 * step, step, scale, 0, 0 };

  if (x2 > x1 && y2 > y1) {
    grid.columns = (guint64) ceil ((x2 - grid.x) / step);
    grid.rows = (guint64) ceil ((y2 - grid.y) / step);
  }
  return grid;
}

/* The cell @cell of a grid, jittered, if enough of it is in the region. */
static gboolean
try_cell (Plan *plan, const Grid *grid, const UmedptSlideShape *shape,
    guint64 cell, double wanted)
{
  double side = plan->slides->size * grid->scale;
  double x = grid->x + (double) (cell % grid->columns) * grid->step +
      uniform (plan, -side / 4, side / 4);
  double y = grid->y + (double) (cell / grid->columns) * grid->step +
      uniform (plan, -side / 4, side / 4);

  x = keep_inside (x, side, plan->file->width);
  y = keep_inside (y, side, plan->file->height);
  if (umedpt_slides_inside (shape->shape, x, y, side) < wanted)
    return FALSE;
  add_window (plan, x, y, grid->scale, shape->label);
  return TRUE;
}

/* At most max_windows; returns how many. Scales at which a window is larger
 * than the region are left out. */
static guint
plan_region (Plan *plan, const UmedptSlideShape *shape, double wanted)
{
  guint max = plan->slides->max_windows, found = 0;
  g_autofree guint32 *order = NULL;

  for (guint s = 0; s < n_scales (plan) && found < max; s++) {
    double scale = scale_at (plan, s), side = plan->slides->size * scale;
    Grid grid = make_grid (plan, shape, scale);
    guint64 n = grid.columns * grid.rows, listed = MIN (n, MAX_LISTED);
    guint share = (max - found) / (n_scales (plan) - s), taken = 0;
    guint64 tries = MIN (n, MAX ((guint64) share * TRIES, 1000));

    if (side * side > shape->shape->area)
      continue;
    g_free (order);
    order = g_new (guint32, listed + 1);
    for (guint32 i = 0; i < listed; i++)
      order[i] = i;
    for (guint64 i = 0; i < tries && taken < share; i++) {
      guint64 cell;

      if (n <= MAX_LISTED) { /* without replacement */
        guint64 k = i + umedpt_random_below (&plan->random, n - i);
        guint32 kept = order[i];

        order[i] = order[k];
        order[k] = kept;
        cell = order[i];
      } else {
        cell = umedpt_random_below (&plan->random, n);
      }
      taken += try_cell (plan, &grid, shape, cell, wanted);
    }
    found += taken;
  }
  return found;
}

/* How well an object suits a scale, 0: not at all. */
static double
weigh (const Plan *plan, const UmedptSlideShape *shape, double scale)
{
  double size = plan->slides->size, w = (shape->x2 - shape->x1) / scale,
         h = (shape->y2 - shape->y1) / scale;

  if (w * h <= MIN_OBJECT_AREA || MAX (w, h) >= MAX_OBJECT_SIDE * size)
    return 0;
  return 1 - fabs (0.5 - w * h / (size * size));
}

/* Draws a scale by weight; 0: the shape is no object at any. */
static double
draw_scale (Plan *plan, const UmedptSlideShape *shape)
{
  double sum = 0, at, chosen = 0;

  for (guint i = 0; i < n_scales (plan); i++)
    sum += weigh (plan, shape, scale_at (plan, i));
  at = uniform (plan, 0, sum);
  for (guint i = 0; i < n_scales (plan); i++) {
    double scale = scale_at (plan, i), weight = weigh (plan, shape, scale);

    if (weight > 0 && (at >= 0 || chosen == 0))
      chosen = scale;
    at -= weight;
  }
  return chosen;
}

/* Objects that the last window shows as a whole need none of their own. */
static void
retire (const Plan *plan, guint8 *done)
{
  const UmedptSlideWindow *w =
      &g_array_index (plan->windows, UmedptSlideWindow, plan->windows->len - 1);
  double side = plan->slides->size * w->downsample;
  const GArray *shapes = plan->file->shapes;

  for (guint i = 0; i < shapes->len; i++) {
    const UmedptSlideShape *s = &g_array_index (shapes, UmedptSlideShape, i);
    double across = MIN (s->x2, w->x + side) - MAX (s->x1, w->x);
    double down = MIN (s->y2, w->y + side) - MAX (s->y1, w->y);

    if (across > 0 && down > 0 &&
        across * down >= RETIRED * (s->x2 - s->x1) * (s->y2 - s->y1))
      done[i] = TRUE;
  }
}

static guint *
shuffled (Plan *plan, guint n)
{
  guint *order = g_new (guint, MAX (n, 1));

  for (guint i = 0; i < n; i++)
    order[i] = i;
  for (guint i = n; i > 1; i--) {
    guint k = (guint) umedpt_random_below (&plan->random, i);
    guint kept = order[i - 1];

    order[i - 1] = order[k];
    order[k] = kept;
  }
  return order;
}

/* Windows with the objects, in random order; then those of regions. */
static void
plan_scenes (Plan *plan)
{
  const GArray *shapes = plan->file->shapes;
  g_autofree guint *order = shuffled (plan, shapes->len);
  g_autofree guint8 *done = g_new0 (guint8, MAX (shapes->len, 1));

  for (guint i = 0; i < shapes->len; i++) {
    const UmedptSlideShape *s =
        &g_array_index (shapes, UmedptSlideShape, order[i]);
    double scale, side;

    if (s->label < 0)
      done[order[i]] = TRUE;
    if (done[order[i]] || (scale = draw_scale (plan, s)) == 0)
      continue;
    side = plan->slides->size * scale;
    add_window (plan, uniform (plan, s->x2 - side, s->x1),
        uniform (plan, s->y2 - side, s->y1), scale, s->label);
    done[order[i]] = TRUE;
    retire (plan, done);
  }
  for (guint i = 0; i < shapes->len; i++)
    if (!done[i])
      plan_region (plan, &g_array_index (shapes, UmedptSlideShape, i),
          INSIDE_MASK);
}

/* Windows of one class each: within regions, or with an object in the middle
 * if it is smaller than a window. */
static void
plan_classes (Plan *plan)
{
  const GArray *shapes = plan->file->shapes;

  for (guint i = 0; i < shapes->len; i++) {
    const UmedptSlideShape *s = &g_array_index (shapes, UmedptSlideShape, i);
    double scale, side;

    if (s->label < 0 || plan_region (plan, s, INSIDE_CLASS) > 0 ||
        (scale = draw_scale (plan, s)) == 0)
      continue;
    side = plan->slides->size * scale;
    add_window (plan, (s->x1 + s->x2 - side) / 2, (s->y1 + s->y2 - side) / 2,
        scale, s->label);
  }
}

void
umedpt_slides_plan (const UmedptSlides *self, guint slide, UmedptTaskKind kind,
    GArray *windows)
{
  Plan plan = { self, self->slides->pdata[slide], slide, { { 0 }, 0, 0 },
    windows };

  umedpt_random_init_named (&plan.random, self->seed, plan.file->name);
  if (kind == UMEDPT_TASK_CLASSIFICATION)
    plan_classes (&plan);
  else
    plan_scenes (&plan);
}
