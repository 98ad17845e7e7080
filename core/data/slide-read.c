/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Reading at any scale. The level is the coarsest that is still as fine as
 * what is wanted, so that pixels are averaged and never invented; only what
 * is finer than level 0 is magnified. If the wanted scale is that of the level
 * and the corner lies on its grid, pixels pass unchanged, as from
 * openslide_read_region(). Otherwise the area filter of resample.h runs over
 * the covered source pixels. Requests that cover very much are split, so that
 * memory stays bounded whatever the scale.
 */
#include "data/slide-private.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "data/resample.h"

#define SAME_SCALE 1e-9 /* relative: no resampling */
/* How much too coarse a level may be, relative: what the rounding of its size
 * explains (one pixel of its shorter side), and 1 % at most. Else a level at
 * 2.0005 would be passed over when 2 is wanted, for four times the work. */
#define LEVEL_SLACK_MIN 1e-6
#define LEVEL_SLACK_MAX 0.01
#define MAX_SIDE 65536 /* output pixels */

typedef struct
{
  UmedptSlideReader *reader;
  guint level;
  double scale; /* downsample of the level */
  double ratio; /* level pixels per output pixel */
  double extent_x, extent_y; /* end of the picture in level pixels */
} Plan;

guint
umedpt_slide_best_level (UmedptSlide *self, double downsample)
{
  UmedptSlideReader *reader = umedpt_slide_get_reader (self);
  guint best = 0;
  double best_scale = 0;

  for (guint i = 0; i < reader->levels->len; i++) {
    const UmedptSlideLevel *level =
        &g_array_index (reader->levels, UmedptSlideLevel, i);
    double scale = level->downsample;
    double slack = CLAMP (1.0 / (double) MIN (level->width, level->height),
        LEVEL_SLACK_MIN, LEVEL_SLACK_MAX);

    if (scale <= downsample * (1 + slack) && scale > best_scale) {
      best = i;
      best_scale = scale;
    }
  }
  return best;
}

static void
fill_white (guint8 *rgb, gsize stride, gint width, gint height)
{
  for (gint y = 0; y < height; y++)
    memset (rgb + (gsize) y * stride, 255, (gsize) width * 3);
}

/* Where the picture ends, in pixels of the level: the level's size is rounded,
 * so the last pixel is stretched or cut by less than one to fit level 0. */
static double
extent (gint64 level_size, gint64 full_size, double scale)
{
  double exact = (double) full_size / scale;

  return fabs (exact - (double) level_size) < 1.0 ? exact : (double) level_size;
}

static Plan
make_plan (UmedptSlide *self, double downsample)
{
  Plan plan = { umedpt_slide_get_reader (self) };
  const UmedptSlideLevel *first = umedpt_slide_get_level (self, 0), *level;

  plan.level = umedpt_slide_best_level (self, downsample);
  level = umedpt_slide_get_level (self, plan.level);
  plan.scale = level->downsample;
  plan.ratio = downsample / level->downsample;
  if (fabs (plan.ratio - 1.0) <= SAME_SCALE)
    plan.ratio = 1.0;
  plan.extent_x = extent (level->width, first->width, plan.scale);
  plan.extent_y = extent (level->height, first->height, plan.scale);
  return plan;
}

static gboolean
is_whole (double v)
{
  return fabs (v - floor (v + 0.5)) < 1e-6;
}

/* Whether the pixels of the level can be handed out as they are. */
static gboolean
is_direct (const Plan *plan, double x, double y)
{
  if (plan->ratio != 1.0)
    return FALSE;
  if (plan->reader->klass->subpixel)
    return is_whole (x * plan->scale) && is_whole (y * plan->scale);
  return is_whole (x) && is_whole (y);
}

static guint32 *
alloc_pixels (gint64 width, gint64 height, GError **error)
{
  guint32 *argb = g_try_new (guint32, (gsize) width * (gsize) height);

  if (argb == NULL)
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_NO_MEMORY,
        "No memory for a block of %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT
        " pixels of a slide.",
        width, height);
  return argb;
}

static gboolean
read_direct (const Plan *plan, double x, double y, gint width, gint height,
    guint8 *rgb, gsize stride, double *alpha, GError **error)
{
  g_autofree guint32 *argb = alloc_pixels (width, height, error);

  if (argb == NULL)
    return FALSE;
  if (!plan->reader->klass->read_level (plan->reader, plan->level, &x, &y,
          width, height, argb, error))
    return FALSE;
  *alpha += umedpt_flatten (argb, width, height, rgb, stride);
  return TRUE;
}

/* The source pixels [*first, *first + *n) that one axis of the output needs:
 * @margin more on both sides, cut to the level. */
static void
source_range (double origin, double length, gint margin, gint64 level_size,
    gint64 *first, gint64 *n)
{
  double lo = floor (origin) - margin, hi = ceil (origin + length) + margin;

  lo = CLAMP (lo, 0.0, (double) level_size);
  hi = CLAMP (hi, 0.0, (double) level_size);
  *first = (gint64) lo;
  *n = (gint64) (hi - lo);
}

static gboolean
read_scaled (const Plan *plan, double x, double y, gint width, gint height,
    gint64 first_x, gint64 first_y, gint64 n_x, gint64 n_y, guint8 *rgb,
    gsize stride, double *alpha, GError **error)
{
  g_autofree guint32 *argb = alloc_pixels (n_x, n_y, error);
  double from_x = (double) first_x, from_y = (double) first_y;
  UmedptTaps horizontal, vertical;

  if (argb == NULL)
    return FALSE;
  if (!plan->reader->klass->read_level (plan->reader, plan->level, &from_x,
          &from_y, (gint) n_x, (gint) n_y, argb, error))
    return FALSE;
  umedpt_taps_init (&horizontal, width, x - from_x, plan->ratio, (gint) n_x,
      -from_x, plan->extent_x - from_x);
  umedpt_taps_init (&vertical, height, y - from_y, plan->ratio, (gint) n_y,
      -from_y, plan->extent_y - from_y);
  *alpha +=
      umedpt_resample (argb, (gint) n_x, &horizontal, &vertical, rgb, stride);
  umedpt_taps_clear (&horizontal);
  umedpt_taps_clear (&vertical);
  return TRUE;
}

/* Reads one output rectangle whose corner is (x, y) in level pixels, halving
 * it until its source fits into a block. */
static gboolean
read_block (const Plan *plan, double x, double y, gint width, gint height,
    guint8 *rgb, gsize stride, double *alpha, GError **error)
{
  const UmedptSlideLevel *level =
      &g_array_index (plan->reader->levels, UmedptSlideLevel, plan->level);
  gboolean direct = is_direct (plan, x, y);
  gint64 first_x, first_y, n_x, n_y;
  gint margin = 0;

  /* Neighbours are needed for interpolation, and where the reader may begin
   * up to half a pixel beside the corner asked for. */
  if (plan->ratio < 1.0 ||
      (plan->reader->klass->subpixel && !is_whole (plan->scale)))
    margin = 1;
  source_range (x, width * plan->ratio, margin, level->width, &first_x, &n_x);
  source_range (y, height * plan->ratio, margin, level->height, &first_y, &n_y);
  if (n_x < 1 || n_y < 1) {
    fill_white (rgb, stride, width, height);
    return TRUE;
  }
  if (direct) { /* what lies outside is read as transparent */
    n_x = width;
    n_y = height;
  }
  if (n_x > UMEDPT_SLIDE_MAX_BLOCK_PIXELS / n_y && (width > 1 || height > 1)) {
    gint w = width > height ? width / 2 : width;
    gint h = width > height ? height : height / 2;
    double next_x = w < width ? x + w * plan->ratio : x;
    double next_y = h < height ? y + h * plan->ratio : y;
    gsize next = w < width ? (gsize) w * 3 : (gsize) h * stride;

    return read_block (plan, x, y, w, h, rgb, stride, alpha, error) &&
        read_block (plan, next_x, next_y, w < width ? width - w : w,
            h < height ? height - h : h, rgb + next, stride, alpha, error);
  }
  if (direct)
    return read_direct (plan, x, y, width, height, rgb, stride, alpha, error);
  return read_scaled (plan, x, y, width, height, first_x, first_y, n_x, n_y,
      rgb, stride, alpha, error);
}

/* The share of [start, start + length) that lies in [0, size). */
static double
share_inside (double start, double length, double size)
{
  double inside = MIN (start + length, size) - MAX (start, 0.0);

  return CLAMP (inside / length, 0.0, 1.0);
}

static gboolean
check_request (UmedptSlide *self, double x, double y, double downsample,
    gint width, gint height, GError **error)
{
  if (width > 0 && height > 0 && width <= MAX_SIDE && height <= MAX_SIDE &&
      isfinite (x) && isfinite (y) && fabs (x) < 1e12 && fabs (y) < 1e12 &&
      downsample >= 1.0 / 1024 && downsample <= 16384.0)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "Cannot read %d x %d pixels at (%g, %g) at a downsample of %g from "
      "“%s”: sides must be 1 … %d pixels, the downsample 1/1024 … 16384.",
      width, height, x, y, downsample, umedpt_slide_get_path (self), MAX_SIDE);
  return FALSE;
}

/**
 * umedpt_slide_read:
 * @self: a slide
 * @x: left edge in level-0 pixels; need not be whole, may lie outside
 * @y: upper edge in level-0 pixels
 * @downsample: level-0 pixels per output pixel, 1/1024 … 16384
 * @width: output pixels
 * @height: output pixels
 * @rgb: (out caller-allocates): @height rows of @width RGB bytes
 * @stride: bytes from one row of @rgb to the next, at least 3 * @width
 * @valid: (out) (optional): the fraction of the output inside the slide
 * @opaque: (out) (optional): the fraction inside and not transparent
 * @error: return location for an error
 *
 * Reads a rectangle at any scale. See slide.h for what becomes of the outside
 * and of transparent parts. May be called from any number of threads.
 *
 * Returns: %FALSE with @error set if the region is damaged
 *   (%UMEDPT_ERROR_FORMAT), or the request makes no sense
 *   (%UMEDPT_ERROR_SETTINGS); the content of @rgb is then undefined
 *
 * Since: 0.1
 */
gboolean
umedpt_slide_read (UmedptSlide *self, double x, double y, double downsample,
    gint width, gint height, guint8 *rgb, gsize stride, double *valid,
    double *opaque, GError **error)
{
  const UmedptSlideLevel *first;
  double alpha = 0, area = (double) width * height;
  Plan plan;

  g_return_val_if_fail (UMEDPT_IS_SLIDE (self), FALSE);
  g_return_val_if_fail (rgb != NULL && stride >= (gsize) MAX (width, 0) * 3,
      FALSE);
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);

  if (!check_request (self, x, y, downsample, width, height, error))
    return FALSE;
  first = umedpt_slide_get_level (self, 0);
  plan = make_plan (self, downsample);
  if (!read_block (&plan, x / plan.scale, y / plan.scale, width, height, rgb,
          stride, &alpha, error))
    return FALSE;
  if (valid != NULL)
    *valid = share_inside (x, width * downsample, (double) first->width) *
        share_inside (y, height * downsample, (double) first->height);
  if (opaque != NULL)
    *opaque = CLAMP (alpha / area, 0.0, 1.0);
  return TRUE;
}
