/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The three formats of boxes, parsed from text into plain structures: without
 * files and configuration, so that each parser can be tested and fuzzed alone.
 * Errors say where in the text, not in which file.
 */
#pragma once

#include "base/task.h"

G_BEGIN_DECLS

/* COCO (cocodataset.org, format of object detection). */
typedef struct
{
  gint64 id;
  gint width, height; /* 0: not said */
  char *file_name;
} UmedptCocoImage;

typedef struct
{
  gint64 id, image_id, category_id; /* id 0: not said */
  gboolean has_box, crowd;
  double x, y, width, height; /* pixels */
} UmedptCocoAnnotation;

typedef struct
{
  gint64 id;
  char *name;
} UmedptCocoCategory;

typedef struct
{
  GArray *images, *annotations, *categories;
} UmedptCoco;

UmedptCoco *umedpt_coco_parse (const char *text, gsize length, GError **error);
void umedpt_coco_free (UmedptCoco *self);

/* Pascal VOC: one XML file per image. */
typedef struct
{
  char *name;
  guint line;
  gboolean difficult;
  double xmin, ymin, xmax, ymax; /* as written */
} UmedptVocObject;

typedef struct
{
  char *filename; /* (nullable) */
  gint width, height; /* 0: not said */
  GArray *objects;
} UmedptVoc;

UmedptVoc *umedpt_voc_parse (const char *text, gsize length, GError **error);
void umedpt_voc_free (UmedptVoc *self);

/* YOLO: a line per box, class and centre and size relative to the image's;
 * or a class and the corners of a polygon, whose bounding box is taken. */
typedef struct
{
  guint line;
  gint label;
  double x1, y1, x2, y2; /* relative, 0 … 1 */
} UmedptYoloBox;

/* Of UmedptYoloBox. */
GArray *umedpt_yolo_parse (const char *text, gsize length, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptCoco, umedpt_coco_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptVoc, umedpt_voc_free)

G_END_DECLS
