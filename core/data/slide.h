/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A whole slide (or any image) as a pyramid that can be read at any scale.
 * OpenSlide first; TIFF by libtiff, PNG and JPEG as fallback. Coordinates are
 * absolute level-0 pixels; sizes are 64-bit; scales are doubles.
 */
#pragma once

#include <glib-object.h>

#include "base/macros.h"

G_BEGIN_DECLS

/* Where the micrometres per pixel come from, best first. */
typedef enum
{
  UMEDPT_MPP_UNKNOWN,
  UMEDPT_MPP_USER, /* given by the caller */
  UMEDPT_MPP_VENDOR, /* openslide.mpp-x/-y */
  UMEDPT_MPP_TIFF_RESOLUTION, /* if within 0.05 … 20 µm */
  UMEDPT_MPP_OBJECTIVE, /* 10 / objective power */
} UmedptMppSource;

typedef struct
{
  gint64 width, height;
  double downsample; /* level-0 pixels per pixel of this level, exact */
} UmedptSlideLevel;

#define UMEDPT_TYPE_SLIDE (umedpt_slide_get_type ())
UMEDPT_API
G_DECLARE_FINAL_TYPE (UmedptSlide, umedpt_slide, UMEDPT, SLIDE, GObject)

UMEDPT_API
UmedptSlide *umedpt_slide_open (const char *path, GError **error);
UMEDPT_API
const char *umedpt_slide_get_path (UmedptSlide *self);
/* "aperio", "generic-tiff", "tiff", "image" … */
UMEDPT_API
const char *umedpt_slide_get_vendor (UmedptSlide *self);
UMEDPT_API
guint umedpt_slide_get_n_levels (UmedptSlide *self);
UMEDPT_API
const UmedptSlideLevel *umedpt_slide_get_level (UmedptSlide *self, guint level);
/* 0 when unknown; @source (out) (optional). Never UMEDPT_MPP_USER. */
UMEDPT_API
double umedpt_slide_get_mpp (UmedptSlide *self, UmedptMppSource *source);
/* Why there is none, and what was refused, for messages; NULL if known. */
UMEDPT_API
const char *umedpt_slide_get_mpp_problem (UmedptSlide *self);
/* Objective power, 0 = unknown. */
UMEDPT_API
double umedpt_slide_get_objective (UmedptSlide *self);
/* openslide.bounds-*: FALSE if the slide has none. */
UMEDPT_API
gboolean umedpt_slide_get_bounds (UmedptSlide *self, gint64 *x, gint64 *y,
    gint64 *width, gint64 *height);
UMEDPT_API
const char *umedpt_slide_get_property (UmedptSlide *self, const char *name);
UMEDPT_API
const char *umedpt_mpp_source_name (UmedptMppSource source);

/* Reads the level-0 rectangle at (x, y) that a @width x @height image covers
 * at @downsample (level-0 pixels per output pixel), from the best level, with
 * an area filter, into RGB bytes. What lies outside the slide, and what the
 * slide leaves transparent, is white; @valid (out) (optional) is the fraction
 * of the output that lies inside the slide, @opaque (out) (optional) the
 * fraction that is inside and not transparent. Thread-safe. A damaged region
 * is an error, never a blank picture. */
UMEDPT_API
gboolean umedpt_slide_read (UmedptSlide *self, double x, double y,
    double downsample, gint width, gint height, guint8 *rgb, gsize stride,
    double *valid, double *opaque, GError **error);

G_END_DECLS
