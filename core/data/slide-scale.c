/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * How many micrometres a pixel of level 0 measures. The vendor's own tag is
 * trusted first, then the TIFF resolution, then the power of the objective
 * (10 / power). Every number must lie within 0.05 … 20 µm, because image
 * programs write 72 dpi (352.8 µm) into files that have no scale at all. The
 * axes may differ by 2 %, then their geometric mean counts; beyond, the pixels
 * are not square and the scale is called unknown. What was refused is kept as
 * a text, so that an error can say it.
 */
#include "data/slide-private.h"

#include <math.h>

#include <openslide.h>

#define MPP_MIN 0.05
#define MPP_MAX 20.0
#define MPP_MAX_RATIO 1.02

static gboolean
get_number (UmedptSlideReader *reader, const char *name, double *value)
{
  const char *text = g_hash_table_lookup (reader->properties, name);
  char *end = NULL;

  if (text == NULL)
    return FALSE;
  *value = g_ascii_strtod (text, &end);
  return end != text;
}

static gboolean
plausible (double mpp)
{
  return isfinite (mpp) && mpp >= MPP_MIN && mpp <= MPP_MAX;
}

/* Takes the pair, or adds to @refused why not. @stop: look no further. */
static gboolean
take_pair (UmedptSlideScale *scale, double x, double y, UmedptMppSource source,
    GString *refused, gboolean *stop)
{
  if (!plausible (x) || !plausible (y)) {
    g_string_append_printf (refused,
        "its %s of %g x %g µm per pixel is outside %g … %g µm and was "
        "refused; ",
        umedpt_mpp_source_name (source), x, y, MPP_MIN, MPP_MAX);
    return FALSE;
  }
  if (MAX (x, y) / MIN (x, y) > MPP_MAX_RATIO) {
    g_string_append_printf (refused,
        "its %s of %g x %g µm per pixel differs between the axes by more "
        "than 2 %% and was refused; ",
        umedpt_mpp_source_name (source), x, y);
    *stop = TRUE;
    return FALSE;
  }
  scale->mpp = x == y ? x : sqrt (x * y);
  scale->source = source;
  return TRUE;
}

static gboolean
from_vendor (UmedptSlideReader *reader, UmedptSlideScale *scale,
    GString *refused, gboolean *stop)
{
  double x, y;

  if (!get_number (reader, OPENSLIDE_PROPERTY_NAME_MPP_X, &x) ||
      !get_number (reader, OPENSLIDE_PROPERTY_NAME_MPP_Y, &y))
    return FALSE;
  /* OpenSlide 4 fills this for plain TIFF files from the resolution. */
  return take_pair (scale, x, y,
      g_str_equal (reader->vendor, "generic-tiff") ? UMEDPT_MPP_TIFF_RESOLUTION
                                                   : UMEDPT_MPP_VENDOR,
      refused, stop);
}

static gboolean
from_resolution (UmedptSlideReader *reader, UmedptSlideScale *scale,
    GString *refused, gboolean *stop)
{
  const char *unit =
      g_hash_table_lookup (reader->properties, "tiff.ResolutionUnit");
  double x, y, um;

  if (!get_number (reader, "tiff.XResolution", &x) ||
      !get_number (reader, "tiff.YResolution", &y))
    return FALSE;
  if (g_strcmp0 (unit, "centimeter") == 0)
    um = 10000.0;
  else if (g_strcmp0 (unit, "inch") == 0)
    um = 25400.0;
  else {
    g_string_append_printf (refused,
        "its TIFF resolution of %g x %g has no unit and was refused; ", x, y);
    return FALSE;
  }
  return take_pair (scale, um / x, um / y, UMEDPT_MPP_TIFF_RESOLUTION, refused,
      stop);
}

void
umedpt_slide_scale_find (UmedptSlideReader *reader, UmedptSlideScale *scale)
{
  g_autoptr (GString) refused = g_string_new (NULL);
  gboolean stop = FALSE;

  if (!get_number (reader, OPENSLIDE_PROPERTY_NAME_OBJECTIVE_POWER,
          &scale->objective) ||
      !isfinite (scale->objective) || scale->objective <= 0)
    scale->objective = 0;
  if (from_vendor (reader, scale, refused, &stop))
    return;
  if (!stop && from_resolution (reader, scale, refused, &stop))
    return;
  if (!stop && scale->objective > 0 &&
      take_pair (scale, 10.0 / scale->objective, 10.0 / scale->objective,
          UMEDPT_MPP_OBJECTIVE, refused, &stop))
    return;
  if (refused->len == 0)
    g_string_append (refused,
        "it has no vendor tag, no TIFF resolution and no objective power; ");
  scale->problem =
      g_strdup_printf ("The slide “%s” has no usable scale: %sgive "
                       "slide-mpp (µm per level-0 pixel), or ask "
                       "for a level.",
          reader->path, refused->str);
}

/**
 * umedpt_mpp_source_name:
 * @source: a source of the micrometres per pixel
 *
 * Returns: its name as written to files: "unknown", "user", "vendor",
 *   "tiff-resolution", "objective"
 *
 * Since: 0.1
 */
const char *
umedpt_mpp_source_name (UmedptMppSource source)
{
  static const char *const names[] = { "unknown", "user", "vendor",
    "tiff-resolution", "objective" };

  g_return_val_if_fail (source < G_N_ELEMENTS (names), NULL);
  return names[source];
}
