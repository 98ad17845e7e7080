/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The parts of augmentation: the mapping from result to original pixels, the
 * resampling that follows it, the changes of colour, and the table of sets
 * that says how often each happens.
 */
#pragma once

#include "data/augment.h"

G_BEGIN_DECLS

/* augment-warp.c: the one mapping. A point of the result is displaced, then
 * goes through an affine map to the original. Coordinates are in pixels, the
 * centre of the first one at (0.5, 0.5). */
#define UMEDPT_WARP_CELLS 5

typedef enum
{
  UMEDPT_DISPLACE_NONE,
  UMEDPT_DISPLACE_OPTICAL, /* radial, by `k` */
  UMEDPT_DISPLACE_GRID, /* per axis, piecewise linear between `knots` */
} UmedptDisplace;

typedef struct
{
  gint width, height; /* of the result */
  gint source_width, source_height;
  double m[6]; /* x' = m0 x + m1 y + m2, y' = m3 x + m4 y + m5 */
  UmedptDisplace displace;
  double k;
  double knots_x[UMEDPT_WARP_CELLS + 1], knots_y[UMEDPT_WARP_CELLS + 1];
  gboolean reflect; /* beyond the border the image is mirrored … */
  gfloat fill; /* … or has this value */
} UmedptWarp;

/* One of the eight symmetries of the square, as a matrix of 0, 1 and -1. */
typedef struct
{
  gint xx, xy, yx, yy;
} UmedptSymmetry;

typedef struct
{
  double shift_x, shift_y; /* fractions of the result */
  double scale, degrees;
} UmedptMotion;

void umedpt_warp_init (UmedptWarp *self, const UmedptSample *sample,
    const UmedptAugmentSettings *settings, const UmedptSymmetry *symmetry,
    UmedptRandom *random);
void umedpt_warp_move (UmedptWarp *self, const UmedptMotion *motion);
void umedpt_warp_set_optical (UmedptWarp *self, double k);
void umedpt_warp_set_grid (UmedptWarp *self, double limit,
    UmedptRandom *random);
void umedpt_warp_to_source (const UmedptWarp *self, double x, double y,
    double *sx, double *sy);
void umedpt_warp_to_result (const UmedptWarp *self, double sx, double sy,
    double *x, double *y);
gboolean umedpt_warp_is_aligned (const UmedptWarp *self);
/* (transfer full) the boxes of the result. */
GArray *umedpt_warp_boxes (const UmedptWarp *self, const GArray *boxes);

/* augment-resample.c */
void umedpt_warp_image (const UmedptWarp *self, const gfloat *source,
    gfloat *image);
void umedpt_warp_mask (const UmedptWarp *self, const guint8 *source,
    guint n_planes, guint8 *mask);

/* augment-color.c, augment-filter.c, augment-contrast.c: in place, RGB in and
 * out within 0 … 1. */
void umedpt_color_clip (gfloat *image, gsize n);
void umedpt_color_gamma (gfloat *image, gsize n_pixels, double gamma);
void umedpt_color_noise (gfloat *image, gsize n_pixels, double sigma,
    UmedptRandom *random);
void umedpt_color_hsv (gfloat *image, gsize n_pixels, double hue_degrees,
    double saturation, double value);
void umedpt_color_grey (gfloat *image, gsize n_pixels);
void umedpt_color_shuffle (gfloat *image, gsize n_pixels, const guint order[3]);
void umedpt_color_linear (gfloat *image, gsize n_pixels, double factor,
    double offset);

typedef struct
{
  gint dx, dy;
  gfloat weight;
} UmedptFilterTap;

#define UMEDPT_FILTER_RADIUS 3

void umedpt_filter (gfloat *image, gint width, gint height,
    const UmedptFilterTap *taps, guint n_taps);
void umedpt_filter_3x3 (gfloat *image, gint width, gint height,
    const double kernel[9]);
void umedpt_filter_median (gfloat *image, gint width, gint height);
void umedpt_filter_motion (gfloat *image, gint width, gint height, gint length,
    double degrees);
void umedpt_clahe (gfloat *image, gint width, gint height, double clip_limit);

/* augment-sets.c */
gfloat umedpt_augmentation_get_fill (UmedptAugmentation augmentation);
gboolean umedpt_augmentation_get_reflect (UmedptAugmentation augmentation);
void umedpt_augmentation_draw_symmetry (UmedptAugmentation augmentation,
    UmedptRandom *random, UmedptSymmetry *symmetry);
void umedpt_augmentation_draw_motion (UmedptAugmentation augmentation,
    UmedptRandom *random, UmedptWarp *warp);
void umedpt_augmentation_draw_colors (UmedptAugmentation augmentation,
    UmedptRandom *random, UmedptSample *sample);

G_END_DECLS
