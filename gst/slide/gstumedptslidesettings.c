/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The properties of umedptslidesrc and the plan that follows from them. All
 * apply when the element is started; none can change a running stream.
 */
#include "slide/gstumedptslidesettings.h"

#include "base/error.h"
#include "common/gstumedptenums.h"

void
gst_umedpt_slide_settings_init (GstUmedptSlideSettings *self)
{
  UmedptTileOptions options = UMEDPT_TILE_OPTIONS_INIT;

  *self = (GstUmedptSlideSettings){ .options = options };
}

void
gst_umedpt_slide_settings_copy (const GstUmedptSlideSettings *self,
    GstUmedptSlideSettings *copy)
{
  *copy = *self;
  copy->location = g_strdup (self->location);
  copy->region = g_strdup (self->region);
}

void
gst_umedpt_slide_settings_clear (GstUmedptSlideSettings *self)
{
  g_clear_pointer (&self->location, g_free);
  g_clear_pointer (&self->region, g_free);
}

gboolean
gst_umedpt_slide_settings_set (GstUmedptSlideSettings *self, guint id,
    const GValue *value)
{
  switch (id) {
    case GST_UMEDPT_SLIDE_PROP_LOCATION:
      g_free (self->location);
      self->location = g_value_dup_string (value);
      break;
    case GST_UMEDPT_SLIDE_PROP_TILE_SIZE:
      self->options.tile_size = g_value_get_int (value);
      break;
    case GST_UMEDPT_SLIDE_PROP_OVERLAP:
      self->options.overlap = g_value_get_int (value);
      break;
    case GST_UMEDPT_SLIDE_PROP_MPP:
      self->options.mpp = g_value_get_double (value);
      break;
    case GST_UMEDPT_SLIDE_PROP_MAGNIFICATION:
      self->options.magnification = g_value_get_double (value);
      break;
    case GST_UMEDPT_SLIDE_PROP_LEVEL:
      self->options.level = g_value_get_int (value);
      break;
    case GST_UMEDPT_SLIDE_PROP_SLIDE_MPP:
      self->options.slide_mpp = g_value_get_double (value);
      break;
    case GST_UMEDPT_SLIDE_PROP_REGION:
      g_free (self->region);
      self->region = g_value_dup_string (value);
      break;
    case GST_UMEDPT_SLIDE_PROP_TISSUE:
      self->options.tissue = g_value_get_enum (value);
      break;
    case GST_UMEDPT_SLIDE_PROP_MIN_TISSUE:
      self->options.min_tissue = g_value_get_double (value);
      break;
    case GST_UMEDPT_SLIDE_PROP_ORDER:
      self->options.order = g_value_get_enum (value);
      break;
    case GST_UMEDPT_SLIDE_PROP_THREADS:
      self->threads = g_value_get_uint (value);
      break;
    case GST_UMEDPT_SLIDE_PROP_START_INDEX:
      self->start_index = g_value_get_uint64 (value);
      break;
    default:
      return FALSE;
  }
  return TRUE;
}

gboolean
gst_umedpt_slide_settings_get (const GstUmedptSlideSettings *self, guint id,
    GValue *value)
{
  switch (id) {
    case GST_UMEDPT_SLIDE_PROP_LOCATION:
      g_value_set_string (value, self->location);
      break;
    case GST_UMEDPT_SLIDE_PROP_TILE_SIZE:
      g_value_set_int (value, self->options.tile_size);
      break;
    case GST_UMEDPT_SLIDE_PROP_OVERLAP:
      g_value_set_int (value, self->options.overlap);
      break;
    case GST_UMEDPT_SLIDE_PROP_MPP:
      g_value_set_double (value, self->options.mpp);
      break;
    case GST_UMEDPT_SLIDE_PROP_MAGNIFICATION:
      g_value_set_double (value, self->options.magnification);
      break;
    case GST_UMEDPT_SLIDE_PROP_LEVEL:
      g_value_set_int (value, self->options.level);
      break;
    case GST_UMEDPT_SLIDE_PROP_SLIDE_MPP:
      g_value_set_double (value, self->options.slide_mpp);
      break;
    case GST_UMEDPT_SLIDE_PROP_REGION:
      g_value_set_string (value, self->region);
      break;
    case GST_UMEDPT_SLIDE_PROP_TISSUE:
      g_value_set_enum (value, self->options.tissue);
      break;
    case GST_UMEDPT_SLIDE_PROP_MIN_TISSUE:
      g_value_set_double (value, self->options.min_tissue);
      break;
    case GST_UMEDPT_SLIDE_PROP_ORDER:
      g_value_set_enum (value, self->options.order);
      break;
    case GST_UMEDPT_SLIDE_PROP_THREADS:
      g_value_set_uint (value, self->threads);
      break;
    case GST_UMEDPT_SLIDE_PROP_START_INDEX:
      g_value_set_uint64 (value, self->start_index);
      break;
    default:
      return FALSE;
  }
  return TRUE;
}

/* --- the plan ----------------------------------------------------------- */

/* "x,y,width,height", level-0 pixels */
static gboolean
parse_region (const char *text, gint64 region[4], GError **error)
{
  g_auto (GStrv) parts = g_strsplit (text, ",", -1);
  gboolean ok = g_strv_length (parts) == 4;

  for (guint i = 0; ok && i < 4; i++)
    ok = g_ascii_string_to_signed (g_strstrip (parts[i]), 10,
        i < 2 ? G_MININT64 : 1, G_MAXINT64, &region[i], NULL);
  if (!ok)
    g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "The region '%s' is not of the form x,y,width,height in level-0 "
        "pixels, as in region=1000,2000,4096,4096.",
        text);
  return ok;
}

/* The first tile to send, or an error if the plan has no such tile. */
static gboolean
check_start_index (guint64 start, guint64 n_tiles, GError **error)
{
  if (start == 0 || start < n_tiles)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
      "start-index=%" G_GUINT64_FORMAT " lies behind the last of the plan's "
      "%" G_GUINT64_FORMAT " tiles; they are counted from 0.",
      start, n_tiles);
  return FALSE;
}

UmedptTilePlan *
gst_umedpt_slide_settings_plan (const GstUmedptSlideSettings *self,
    GError **error)
{
  UmedptTileOptions options = self->options;
  g_autoptr (UmedptSlide) slide = NULL;
  g_autoptr (UmedptTilePlan) plan = NULL;

  if (!self->location || *self->location == '\0') {
    g_set_error_literal (error, UMEDPT_ERROR, UMEDPT_ERROR_SETTINGS,
        "No slide is given; set location=FILE.");
    return NULL;
  }
  if (self->region && *self->region &&
      !parse_region (self->region, options.region, error))
    return NULL;
  if (options.mpp == 0 && options.magnification == 0 && options.level < 0)
    options.level = 0;
  slide = umedpt_slide_open (self->location, error);
  if (!slide)
    return NULL;
  plan = umedpt_tile_plan_new (slide, &options, error);
  if (!plan ||
      !check_start_index (self->start_index,
          umedpt_tile_plan_get_n_tiles (plan), error))
    return NULL;
  return g_steal_pointer (&plan);
}

/* --- properties --------------------------------------------------------- */

#define FLAGS \
  (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY)

static void
install_scale_properties (GObjectClass *object)
{
  /**
   * GstUmedptSlideSrc:mpp:
   *
   * Wanted micrometres per pixel; the best level is read and resampled to it
   * exactly. 0 = not asked for.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, GST_UMEDPT_SLIDE_PROP_MPP,
      g_param_spec_double ("mpp", "Micrometres per pixel",
          "Wanted scale of the tiles in µm per pixel (0 = unset)", 0, 1000, 0,
          FLAGS));
  /**
   * GstUmedptSlideSrc:magnification:
   *
   * Wanted objective power, as 20. 0 = not asked for.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, GST_UMEDPT_SLIDE_PROP_MAGNIFICATION,
      g_param_spec_double ("magnification", "Magnification",
          "Wanted objective power of the tiles (0 = unset)", 0, 1000, 0,
          FLAGS));
  /**
   * GstUmedptSlideSrc:level:
   *
   * The pyramid level to read as it is. -1 = not asked for; level 0 if no
   * other scale is given either.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, GST_UMEDPT_SLIDE_PROP_LEVEL,
      g_param_spec_int ("level", "Level",
          "Pyramid level to read as it is (-1 = unset; 0 if no scale is given)",
          -1, 1000, -1, FLAGS));
  /**
   * GstUmedptSlideSrc:slide-mpp:
   *
   * Micrometres per level-0 pixel, for slides that do not say or are wrong.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, GST_UMEDPT_SLIDE_PROP_SLIDE_MPP,
      g_param_spec_double ("slide-mpp", "Micrometres per pixel of the slide",
          "Your word on level 0 in µm per pixel (0 = ask the slide)", 0, 1000,
          0, FLAGS));
}

static void
install_choice_properties (GObjectClass *object)
{
  /**
   * GstUmedptSlideSrc:region:
   *
   * The part of the slide to read, as "x,y,width,height" in level-0 pixels.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, GST_UMEDPT_SLIDE_PROP_REGION,
      g_param_spec_string ("region", "Region",
          "Part to read: x,y,width,height in level-0 pixels (unset = all)",
          NULL, FLAGS));
  /**
   * GstUmedptSlideSrc:tissue:
   *
   * How tiles without tissue are recognised and left out.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, GST_UMEDPT_SLIDE_PROP_TISSUE,
      g_param_spec_enum ("tissue", "Tissue",
          "How background is recognised and left out", GST_TYPE_UMEDPT_TISSUE,
          UMEDPT_TISSUE_OTSU, FLAGS));
  /**
   * GstUmedptSlideSrc:min-tissue:
   *
   * The fraction of tissue that keeps a tile.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, GST_UMEDPT_SLIDE_PROP_MIN_TISSUE,
      g_param_spec_double ("min-tissue", "Least tissue",
          "Keep a tile with at least this fraction of tissue", 0, 1, 0.05,
          FLAGS));
  /**
   * GstUmedptSlideSrc:order:
   *
   * The order of the tiles.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, GST_UMEDPT_SLIDE_PROP_ORDER,
      g_param_spec_enum ("order", "Order", "Order of the tiles",
          GST_TYPE_UMEDPT_ORDER, UMEDPT_ORDER_ROWS, FLAGS));
  /**
   * GstUmedptSlideSrc:start-index:
   *
   * The first tile of the plan to send, to go on with interrupted work.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, GST_UMEDPT_SLIDE_PROP_START_INDEX,
      g_param_spec_uint64 ("start-index", "First tile",
          "Index of the first tile to send", 0, G_MAXUINT64 / GST_SECOND, 0,
          FLAGS));
}

static void
install_properties (GObjectClass *object)
{
  /**
   * GstUmedptSlideSrc:location:
   *
   * The slide: what OpenSlide reads, TIFF, PNG or JPEG.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, GST_UMEDPT_SLIDE_PROP_LOCATION,
      g_param_spec_string ("location", "Slide file", "The slide to read", NULL,
          FLAGS));
  /**
   * GstUmedptSlideSrc:tile-size:
   *
   * Width and height of the tiles in pixels.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, GST_UMEDPT_SLIDE_PROP_TILE_SIZE,
      g_param_spec_int ("tile-size", "Tile size",
          "Width and height of the tiles in pixels", 1, 16384, 256, FLAGS));
  /**
   * GstUmedptSlideSrc:overlap:
   *
   * Pixels that neighbouring tiles share.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, GST_UMEDPT_SLIDE_PROP_OVERLAP,
      g_param_spec_int ("overlap", "Overlap",
          "Pixels that neighbouring tiles share", 0, 16383, 0, FLAGS));
  /**
   * GstUmedptSlideSrc:threads:
   *
   * Threads that decode ahead of the stream. 0 = as many as cores.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, GST_UMEDPT_SLIDE_PROP_THREADS,
      g_param_spec_uint ("threads", "Decode threads",
          "Threads that decode ahead (0 = as many as cores)", 0, 256, 0,
          FLAGS));
}

void
gst_umedpt_slide_settings_install (GObjectClass *klass)
{
  install_properties (klass);
  install_scale_properties (klass);
  install_choice_properties (klass);
}
