/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What stands behind a slide: a reader that knows one kind of file. A reader
 * delivers pixels of one level as they are stored, as premultiplied ARGB
 * words (OpenSlide's format, which is cairo's); choosing the level, scaling
 * and laying on white is done once, in slide-read.c, for all of them.
 */
#pragma once

#include "data/slide.h"

G_BEGIN_DECLS

/* No reader decodes more than this at once (a block of 2048 x 2048 pixels,
 * 16 MiB); larger requests are split. */
#define UMEDPT_SLIDE_MAX_BLOCK_PIXELS (4 * 1024 * 1024)
/* The largest side of a slide that is taken seriously. */
#define UMEDPT_SLIDE_MAX_SIDE (G_GINT64_CONSTANT (1) << 31)

typedef struct _UmedptSlideReader UmedptSlideReader;

typedef struct
{
  /* Whether read_level() can begin between two pixels of a level, at every
   * whole pixel of level 0 (OpenSlide interpolates). */
  gboolean subpixel;
  /* Reads @width x @height pixels of @level whose top left corner is at
   * (*x, *y) in pixels of that level, and stores where they really begin;
   * that is less than one pixel away. What lies outside is 0. Thread-safe. */
  gboolean (*read_level) (UmedptSlideReader *reader, guint level, double *x,
      double *y, gint width, gint height, guint32 *argb, GError **error);
  void (*close) (UmedptSlideReader *reader);
} UmedptSlideReaderClass;

struct _UmedptSlideReader
{
  const UmedptSlideReaderClass *klass;
  char *path;
  char *vendor;
  GArray *levels; /* UmedptSlideLevel, finest first */
  GHashTable *properties; /* name -> value, strings */
};

/* Sets the common fields; the three below build on it. */
void umedpt_slide_reader_init (UmedptSlideReader *reader,
    const UmedptSlideReaderClass *klass, const char *path, const char *vendor);
void umedpt_slide_reader_clear (UmedptSlideReader *reader);
void umedpt_slide_reader_set (UmedptSlideReader *reader, const char *name,
    const char *value);
/* Appends a level; its downsample is the mean of both axes' ratios. */
void umedpt_slide_reader_add_level (UmedptSlideReader *reader, gint64 width,
    gint64 height);

UmedptSlideReader *umedpt_slide_reader_open_openslide (const char *path,
    const char *vendor, GError **error);
UmedptSlideReader *umedpt_slide_reader_open_tiff (const char *path,
    GError **error);
UmedptSlideReader *umedpt_slide_reader_open_image (const char *path,
    GError **error);

/* Decode a whole PNG or JPEG file; slide-png.c and slide-jpeg.c. */
guint32 *umedpt_png_decode (const guint8 *data, gsize size, gint *width,
    gint *height, GError **error);
guint32 *umedpt_jpeg_decode (const guint8 *data, gsize size, gint *width,
    gint *height, GError **error);
/* Memory for a whole plain image, or an error that says it is too large. */
guint32 *umedpt_image_alloc (guint64 width, guint64 height, GError **error);

/* The scale of level 0, from the reader's properties; slide-scale.c. */
typedef struct
{
  double mpp; /* 0 = unknown */
  UmedptMppSource source;
  double objective; /* 0 = unknown */
  char *problem; /* why there is no mpp */
} UmedptSlideScale;

void umedpt_slide_scale_find (UmedptSlideReader *reader,
    UmedptSlideScale *scale);

/* Bytes that tell this slide from others: the quickhash, or name and size. */
char *umedpt_slide_get_identity (UmedptSlide *self);
UmedptSlideReader *umedpt_slide_get_reader (UmedptSlide *self);
/* The level that reading at @downsample uses. */
guint umedpt_slide_best_level (UmedptSlide *self, double downsample);

G_END_DECLS
