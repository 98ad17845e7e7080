/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * From the library's errors to GStreamer's, in one place.
 */
#pragma once

#include <gst/gst.h>

#include "base/error.h"

G_BEGIN_DECLS

/* What the element was doing decides the code for a file or device error. */
typedef enum
{
  GST_UMEDPT_READING, /* opening a slide or model */
  GST_UMEDPT_RUNNING, /* inference, decoding */
  GST_UMEDPT_WRITING, /* a result file */
} GstUmedptActivity;

/* Posts @error as an ERROR message; call it without any lock held. */
void gst_umedpt_post_error (GstElement *element, const GError *error,
    GstUmedptActivity activity, const char *file, const char *function,
    gint line);

#define GST_UMEDPT_ELEMENT_ERROR(element, error, activity) \
  gst_umedpt_post_error (GST_ELEMENT (element), (error), (activity), __FILE__, \
      GST_FUNCTION, __LINE__)

G_END_DECLS
