/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Maps UMEDPT_ERROR codes to GStreamer's error domains, so that an application
 * can tell a missing file (RESOURCE/NOT_FOUND) from a wrong one
 * (STREAM/WRONG_TYPE), a full disk from a failing device. The library's
 * message is a sentence for users and goes out as it is.
 */
#include "common/gstumedpterror.h"

typedef struct
{
  GQuark domain;
  gint code;
} Mapped;

static Mapped
map_file_error (GstUmedptActivity activity)
{
  if (activity == GST_UMEDPT_WRITING)
    return (Mapped){ GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_WRITE };
  if (activity == GST_UMEDPT_RUNNING)
    return (Mapped){ GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ };
  return (Mapped){ GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_OPEN_READ };
}

static Mapped
map_error (const GError *error, GstUmedptActivity activity)
{
  if (error->domain != UMEDPT_ERROR)
    return (Mapped){ GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_FAILED };

  switch ((UmedptError) error->code) {
    case UMEDPT_ERROR_FORMAT:
      return (Mapped){ GST_STREAM_ERROR, GST_STREAM_ERROR_WRONG_TYPE };
    case UMEDPT_ERROR_IO:
      return map_file_error (activity);
    case UMEDPT_ERROR_NOT_FOUND:
      return (Mapped){ GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND };
    case UMEDPT_ERROR_EXISTS:
      return (Mapped){ GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_OPEN_WRITE };
    case UMEDPT_ERROR_NO_SPACE:
      return (Mapped){ GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NO_SPACE_LEFT };
    case UMEDPT_ERROR_SETTINGS:
    case UMEDPT_ERROR_UNSUPPORTED:
      return (Mapped){ GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS };
    case UMEDPT_ERROR_BACKEND:
      return (Mapped){ GST_LIBRARY_ERROR,
        activity == GST_UMEDPT_READING ? GST_LIBRARY_ERROR_INIT
                                       : GST_LIBRARY_ERROR_FAILED };
    case UMEDPT_ERROR_NO_MEMORY:
      return (Mapped){ GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_FAILED };
    case UMEDPT_ERROR_SHAPE:
    case UMEDPT_ERROR_DTYPE:
    case UMEDPT_ERROR_DATA:
    case UMEDPT_ERROR_CANCELLED:
      break;
  }
  return (Mapped){ GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED };
}

void
gst_umedpt_post_error (GstElement *element, const GError *error,
    GstUmedptActivity activity, const char *file, const char *function,
    gint line)
{
  Mapped mapped = map_error (error, activity);

  gst_element_message_full (element, GST_MESSAGE_ERROR, mapped.domain,
      mapped.code, g_strdup (error->message),
      g_strdup_printf ("%s code %d", g_quark_to_string (error->domain),
          error->code),
      file, function, line);
}
