/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the user asks of umedptslidesink: its properties as a plain struct,
 * which the outputs read.
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

/* The files, in the order in which they are completed and named. */
typedef enum
{
  GST_UMEDPT_SLIDE_FILE_REGIONS,
  GST_UMEDPT_SLIDE_FILE_MASK,
  GST_UMEDPT_SLIDE_FILE_DETECTIONS,
  GST_UMEDPT_SLIDE_FILE_TABLE,
  GST_UMEDPT_SLIDE_FILE_HEATMAP,
  GST_UMEDPT_SLIDE_FILE_FEATURES,
  GST_UMEDPT_SLIDE_N_FILES,
} GstUmedptSlideFile;

typedef struct
{
  char *paths[GST_UMEDPT_SLIDE_N_FILES]; /* (nullable) NULL: not asked for */
  gboolean overwrite;
  char *detections_tasks, *instances; /* (nullable) as given */
  char *mask_task, *heatmap_task; /* (nullable) NULL: the first */
  double min_area; /* µm² */
  guint mask_reduction; /* 0: as the masks come */
} GstUmedptSlideOutputSettings;

/* Property number of a file is 1 + its number. */
enum
{
  GST_UMEDPT_SLIDE_OUTPUT_PROP_OVERWRITE = GST_UMEDPT_SLIDE_N_FILES + 1,
  GST_UMEDPT_SLIDE_OUTPUT_PROP_DETECTIONS_TASKS,
  GST_UMEDPT_SLIDE_OUTPUT_PROP_INSTANCES,
  GST_UMEDPT_SLIDE_OUTPUT_PROP_MASK_TASK,
  GST_UMEDPT_SLIDE_OUTPUT_PROP_HEATMAP_TASK,
  GST_UMEDPT_SLIDE_OUTPUT_PROP_MIN_AREA,
  GST_UMEDPT_SLIDE_OUTPUT_PROP_MASK_REDUCTION,
};

void gst_umedpt_slide_output_settings_install (GObjectClass *klass);
/* Of texts that are empty, NULL. */
void
gst_umedpt_slide_output_settings_copy (const GstUmedptSlideOutputSettings *self,
    GstUmedptSlideOutputSettings *copy);
void
gst_umedpt_slide_output_settings_clear (GstUmedptSlideOutputSettings *self);
/* FALSE if @id is not one of the above. */
gboolean
gst_umedpt_slide_output_settings_set (GstUmedptSlideOutputSettings *self,
    guint id, const GValue *value);
gboolean
gst_umedpt_slide_output_settings_get (const GstUmedptSlideOutputSettings *self,
    guint id, GValue *value);
/* Something is asked for, and no file twice. */
gboolean
gst_umedpt_slide_output_settings_check (const GstUmedptSlideOutputSettings
                                            *self,
    GError **error);
/* None of the files is @slide, which would be lost. */
gboolean
gst_umedpt_slide_output_settings_check_slide (const GstUmedptSlideOutputSettings
                                                  *self,
    const char *slide, GError **error);
/* "detections" … */
const char *gst_umedpt_slide_file_name (GstUmedptSlideFile file);

G_END_DECLS
