/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Answers to queries about tiles as time, see gstumedpttiletime.h.
 */
#include "slide/gstumedpttiletime.h"

/* Units per tile, 0 if the format does not mean tiles. */
static gint64
units_of (GstFormat format)
{
  if (format == GST_FORMAT_TIME)
    return GST_SECOND;
  return format == GST_FORMAT_DEFAULT || format == GST_FORMAT_BUFFERS;
}

static gboolean
answer_convert (GstQuery *query)
{
  GstFormat from = GST_FORMAT_UNDEFINED, to = GST_FORMAT_UNDEFINED;
  gint64 value = 0, converted = 0;

  gst_query_parse_convert (query, &from, &value, &to, NULL);
  if (!units_of (from) || !units_of (to) || value < 0)
    return FALSE;
  converted = gst_util_uint64_scale (value, units_of (to), units_of (from));
  if (converted < 0) /* more than an int64 takes */
    return FALSE;
  gst_query_set_convert (query, from, value, to, converted);
  return TRUE;
}

gboolean
gst_umedpt_tile_time_answer (GstQuery *query, guint64 n_tiles, guint64 next)
{
  GstFormat format = GST_FORMAT_UNDEFINED;

  switch (GST_QUERY_TYPE (query)) {
    case GST_QUERY_DURATION:
      gst_query_parse_duration (query, &format, NULL);
      if (!units_of (format))
        return FALSE;
      gst_query_set_duration (query, format, n_tiles * units_of (format));
      return TRUE;
    case GST_QUERY_POSITION:
      gst_query_parse_position (query, &format, NULL);
      if (!units_of (format))
        return FALSE;
      gst_query_set_position (query, format, next * units_of (format));
      return TRUE;
    case GST_QUERY_CONVERT:
      return answer_convert (query);
    default:
      return FALSE;
  }
}
