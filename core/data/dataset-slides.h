/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Slides with annotations as a data set of windows: what a slide has of them,
 * and which windows are cut.
 */
#pragma once

#include "base/random.h"
#include "data/dataset-files.h"
#include "data/polygon.h"
#include "data/slide.h"

G_BEGIN_DECLS

/* A shape of a class that is not asked for: as if it were not there. */
#define UMEDPT_SLIDES_UNKNOWN (-2)

typedef struct
{
  double x1, y1, x2, y2; /* bounds, near for quick search */
  gint label; /* class, UMEDPT_IGNORE_LABEL, UMEDPT_SLIDES_UNKNOWN */
  char *class_name; /* (nullable), until labels are known */
  UmedptPolygon *shape;
} UmedptSlideShape;

typedef struct
{
  char *name; /* of the file, relative to the data set */
  double width, height, mpp;
  double origin_x, origin_y; /* of the annotation's coordinates */
  GArray *shapes; /* of UmedptSlideShape, the largest first */
  UmedptSlide *slide; /* (nullable): open */
} UmedptSlideFile;

typedef struct
{
  guint slide;
  double x, y, downsample; /* level-0 pixels */
  gint label;
} UmedptSlideWindow;

typedef struct
{
  GPtrArray *slides; /* of UmedptSlideFile */
  GArray *mpps; /* double: µm per pixel of windows; empty: level 0 */
  gint size; /* pixels per side */
  guint max_windows; /* per region */
  guint64 seed;
  gint background; /* class of what is not annotated, or UMEDPT_IGNORE_PIXEL */
  GMutex lock; /* guards slides' handles and the next */
  GQueue used; /* of UmedptSlideFile with an open slide, latest first */
} UmedptSlides;

/* dataset-slides-windows.c: appends the windows of slide number @slide, of
 * UmedptSlideWindow; the same for the same seed and name. */
void umedpt_slides_plan (const UmedptSlides *self, guint slide,
    UmedptTaskKind kind, GArray *windows);
/* The part of the window that is inside the shape, 0 … 1. */
double umedpt_slides_inside (const UmedptPolygon *shape, double x, double y,
    double side);

/* dataset-slides-labels.c: shapes' labels from their classes' names. */
gboolean umedpt_slides_set_labels (UmedptDataset *dataset, UmedptSlides *self,
    GKeyFile *file, const char *group, GError **error);

G_END_DECLS
