/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the user asks of umedptslidesrc: its properties as a plain struct, and
 * the plan that follows from them. Apart from the element, which only streams.
 */
#pragma once

#include <gst/gst.h>

#include "data/tiles.h"

G_BEGIN_DECLS

typedef struct
{
  char *location;
  char *region;
  UmedptTileOptions options;
  guint threads;
  guint64 start_index;
} GstUmedptSlideSettings;

enum
{
  GST_UMEDPT_SLIDE_PROP_LOCATION = 1,
  GST_UMEDPT_SLIDE_PROP_TILE_SIZE,
  GST_UMEDPT_SLIDE_PROP_OVERLAP,
  GST_UMEDPT_SLIDE_PROP_MPP,
  GST_UMEDPT_SLIDE_PROP_MAGNIFICATION,
  GST_UMEDPT_SLIDE_PROP_LEVEL,
  GST_UMEDPT_SLIDE_PROP_SLIDE_MPP,
  GST_UMEDPT_SLIDE_PROP_REGION,
  GST_UMEDPT_SLIDE_PROP_TISSUE,
  GST_UMEDPT_SLIDE_PROP_MIN_TISSUE,
  GST_UMEDPT_SLIDE_PROP_ORDER,
  GST_UMEDPT_SLIDE_PROP_THREADS,
  GST_UMEDPT_SLIDE_PROP_START_INDEX,
  GST_UMEDPT_SLIDE_PROP_LAST, /* the element's own begin here */
};

void gst_umedpt_slide_settings_install (GObjectClass *klass);
void gst_umedpt_slide_settings_init (GstUmedptSlideSettings *self);
void gst_umedpt_slide_settings_copy (const GstUmedptSlideSettings *self,
    GstUmedptSlideSettings *copy);
void gst_umedpt_slide_settings_clear (GstUmedptSlideSettings *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (GstUmedptSlideSettings,
    gst_umedpt_slide_settings_clear)
/* FALSE if @id is not one of the above. */
gboolean gst_umedpt_slide_settings_set (GstUmedptSlideSettings *self, guint id,
    const GValue *value);
gboolean gst_umedpt_slide_settings_get (const GstUmedptSlideSettings *self,
    guint id, GValue *value);
/* Opens the slide and plans its tiles; checks start-index. (transfer full) */
UmedptTilePlan *
gst_umedpt_slide_settings_plan (const GstUmedptSlideSettings *self,
    GError **error);

G_END_DECLS
