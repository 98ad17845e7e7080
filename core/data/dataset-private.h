/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What stands behind a data set: a format that lists records and reads one.
 * Splits, subsets, names and checks are done once, in dataset.c, for all.
 */
#pragma once

#include "data/dataset.h"

G_BEGIN_DECLS

typedef struct _UmedptDatasetFormat UmedptDatasetFormat;

typedef struct
{
  char *name; /* see umedpt_dataset_get_name() */
  char *case_id;
  gint split; /* UmedptSplit, or -1: not said */
  gint label; /* what peek_label() tells, -1 */
  gpointer data; /* the format's own */
} UmedptRecord;

/* Everything that a format knows of the set; filled by its open(). */
struct _UmedptDataset
{
  GObject parent_instance;

  const UmedptDatasetFormat *format;
  UmedptTaskKind kind;
  char *root; /* folder of the data set */
  char **labels;
  guint32 *colors; /* (nullable) */
  GArray *records; /* of UmedptRecord */
  GDestroyNotify record_free; /* (nullable) of UmedptRecord.data */
  GPtrArray *warnings; /* strings "where: problem" that open() survived */
  gpointer state; /* (nullable) the format's own */
  GDestroyNotify state_free;
  double window_low, window_high; /* intensities to 0 … 1; both 0: by type */
};

struct _UmedptDatasetFormat
{
  const char *name; /* the value of the key `format` */
  guint kinds; /* 1 << UmedptTaskKind of those it can serve */
  gboolean (*open) (UmedptDataset *self, GKeyFile *file, const char *group,
      GError **error);
  UmedptSample *(*read) (UmedptDataset *self, const UmedptRecord *record,
      GError **error);
};

/* One per file dataset-<name>.c; listed in dataset.c. */
extern const UmedptDatasetFormat umedpt_dataset_imagefolder, umedpt_dataset_csv,
    umedpt_dataset_masks, umedpt_dataset_class_masks, umedpt_dataset_coco,
    umedpt_dataset_voc, umedpt_dataset_yolo, umedpt_dataset_instances,
    umedpt_dataset_nifti, umedpt_dataset_frames, umedpt_dataset_slides;

/* image-file.c: any image file of at most UMEDPT_IMAGE_MAX_SIDE pixels per
 * side: PNG (1 to 16 bits), JPEG, TIFF (8, 16, 32 bits, float), grey, RGB,
 * palette, alpha dropped. */
#define UMEDPT_IMAGE_MAX_SIDE 32768

typedef struct
{
  gint width, height, channels; /* 1 or 3 */
  double max; /* what white is: 255, 65535, 1 */
  gfloat *data; /* [height, width, channels], as stored */
} UmedptImageFile;

UmedptImageFile *umedpt_image_file_read (const char *path, GError **error);
void umedpt_image_file_free (UmedptImageFile *self);
/* Only the header: width and height. */
gboolean umedpt_image_file_size (const char *path, gint *width, gint *height,
    GError **error);
/* A sample's image: the window of @self (low → 0, high → 1, clipped), or
 * 0 … max → 0 … 1. */
UmedptSample *umedpt_image_file_to_sample (const UmedptImageFile *image,
    double window_low, double window_high);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptImageFile, umedpt_image_file_free)

G_END_DECLS
