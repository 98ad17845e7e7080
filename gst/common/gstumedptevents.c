/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Makes and reads the events described in gstumedptevents.h.
 */
#include "common/gstumedptevents.h"

char *
gst_umedpt_slide_name (const char *path)
{
  /* compound extensions go as a whole, as TRIDENT does it */
  static const char *compound[] = { ".ome.tif", ".ome.tiff", ".ome.zarr" };
  g_autofree char *base = g_path_get_basename (path);
  g_autofree char *lower = g_ascii_strdown (base, -1);
  const char *dot = strrchr (base, '.');

  for (guint i = 0; i < G_N_ELEMENTS (compound); i++)
    if (g_str_has_suffix (lower, compound[i]))
      return g_strndup (base, strlen (base) - strlen (compound[i]));
  if (dot && dot != base)
    return g_strndup (base, dot - base);
  return g_steal_pointer (&base);
}

/* The region that was asked for, cut to the slide; else all of it. */
static void
get_region (const gint64 asked[4], const UmedptSlideLevel *level0,
    gint64 region[4])
{
  const gboolean all = asked[2] == 0;

  region[0] = all ? 0 : asked[0];
  region[1] = all ? 0 : asked[1];
  region[2] = all ? level0->width : MIN (asked[2], level0->width - asked[0]);
  region[3] = all ? level0->height : MIN (asked[3], level0->height - asked[1]);
}

GstEvent *
gst_umedpt_event_new_slide (UmedptTilePlan *plan, guint64 start_index)
{
  UmedptSlide *slide = umedpt_tile_plan_get_slide (plan);
  const UmedptTileOptions *options = umedpt_tile_plan_get_options (plan);
  const UmedptSlideLevel *level0 = umedpt_slide_get_level (slide, 0);
  g_autofree char *name = gst_umedpt_slide_name (umedpt_slide_get_path (slide));
  UmedptMppSource source = UMEDPT_MPP_UNKNOWN;
  double level0_mpp = umedpt_tile_plan_get_slide_mpp (plan, &source);
  gint64 region[4], bounds[4] = { 0, 0, 0, 0 };

  get_region (options->region, level0, region);
  umedpt_slide_get_bounds (slide, &bounds[0], &bounds[1], &bounds[2],
      &bounds[3]);
  // clang-format off
  return gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM_STICKY,
      gst_structure_new (GST_UMEDPT_EVENT_SLIDE,
          "slide", G_TYPE_STRING, name,
          "path", G_TYPE_STRING, umedpt_slide_get_path (slide),
          "vendor", G_TYPE_STRING, umedpt_slide_get_vendor (slide),
          "mpp-source", G_TYPE_STRING, umedpt_mpp_source_name (source),
          "plan-hash", G_TYPE_STRING, umedpt_tile_plan_get_hash (plan),
          "level0-width", G_TYPE_INT64, level0->width,
          "level0-height", G_TYPE_INT64, level0->height,
          "level0-mpp", G_TYPE_DOUBLE, level0_mpp,
          "bounds-x", G_TYPE_INT64, bounds[0],
          "bounds-y", G_TYPE_INT64, bounds[1],
          "region-x", G_TYPE_INT64, region[0],
          "region-y", G_TYPE_INT64, region[1],
          "region-width", G_TYPE_INT64, region[2],
          "region-height", G_TYPE_INT64, region[3],
          "mpp", G_TYPE_DOUBLE, umedpt_tile_plan_get_mpp (plan),
          "downsample", G_TYPE_DOUBLE, umedpt_tile_plan_get_downsample (plan),
          "tile-size", G_TYPE_INT, options->tile_size,
          "overlap", G_TYPE_INT, options->overlap,
          "n-tiles", G_TYPE_UINT64, umedpt_tile_plan_get_n_tiles (plan),
          "n-skipped", G_TYPE_UINT64, umedpt_tile_plan_get_n_skipped (plan),
          "start-index", G_TYPE_UINT64, start_index,
          NULL));
  // clang-format on
}

GstEvent *
gst_umedpt_event_new_model (const char *tensor, const char *arch,
    const char *hash, guint dim)
{
  return gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM_STICKY,
      gst_structure_new (GST_UMEDPT_EVENT_MODEL, "tensor", G_TYPE_STRING,
          tensor, "arch", G_TYPE_STRING, arch, "hash", G_TYPE_STRING, hash,
          "dim", G_TYPE_UINT, dim, NULL));
}

GstEvent *
gst_umedpt_event_new_bad_tile (const UmedptTile *tile, const char *reason)
{
  return gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM,
      gst_structure_new (GST_UMEDPT_EVENT_BAD_TILE, "index", G_TYPE_UINT64,
          tile->index, "x", G_TYPE_INT64, tile->x, "y", G_TYPE_INT64, tile->y,
          "reason", G_TYPE_STRING, reason, NULL));
}

GstEvent *
gst_umedpt_event_new_failed (void)
{
  return gst_event_new_custom (GST_EVENT_CUSTOM_DOWNSTREAM,
      gst_structure_new_empty (GST_UMEDPT_EVENT_FAILED));
}

/* --- reading ------------------------------------------------------------ */

gint64
gst_umedpt_get_int64 (const GstStructure *s, const char *field)
{
  gint64 value = 0;

  gst_structure_get_int64 (s, field, &value);
  return value;
}

guint64
gst_umedpt_get_uint64 (const GstStructure *s, const char *field)
{
  guint64 value = 0;

  gst_structure_get_uint64 (s, field, &value);
  return value;
}

static double
get_double (const GstStructure *s, const char *field)
{
  double value = 0;

  gst_structure_get_double (s, field, &value);
  return value;
}

static gint
get_int (const GstStructure *s, const char *field)
{
  gint value = 0;

  gst_structure_get_int (s, field, &value);
  return value;
}

UmedptFeatureInfo
gst_umedpt_slide_to_feature_info (const GstStructure *slide)
{
  // clang-format off
  return (UmedptFeatureInfo){
    .slide = gst_structure_get_string (slide, "slide"),
    .slide_path = gst_structure_get_string (slide, "path"),
    .vendor = gst_structure_get_string (slide, "vendor"),
    .mpp_source = gst_structure_get_string (slide, "mpp-source"),
    .level0_width = gst_umedpt_get_int64 (slide, "level0-width"),
    .level0_height = gst_umedpt_get_int64 (slide, "level0-height"),
    .level0_mpp = get_double (slide, "level0-mpp"),
    .mpp = get_double (slide, "mpp"),
    .downsample = get_double (slide, "downsample"),
    .tile_size = get_int (slide, "tile-size"),
    .overlap = get_int (slide, "overlap"),
  };
  // clang-format on
}
