/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The interface by which umedptslidesrc is found for slide:// URIs.
 */
#include "slide/gstumedptslideuri.h"

static GstURIType
gst_umedpt_slide_uri_get_type (GType type)
{
  return GST_URI_SRC;
}

static const char *const *
gst_umedpt_slide_uri_get_protocols (GType type)
{
  static const char *const protocols[] = { "slide", NULL };

  return protocols;
}

static char *
gst_umedpt_slide_uri_get_uri (GstURIHandler *handler)
{
  g_autofree char *location = NULL, *absolute = NULL, *escaped = NULL;

  g_object_get (handler, "location", &location, NULL);
  if (!location)
    return NULL;
  absolute = g_canonicalize_filename (location, NULL);
  escaped = g_uri_escape_string (absolute, G_URI_RESERVED_CHARS_ALLOWED_IN_PATH,
      TRUE);
  return g_strconcat ("slide://", escaped, NULL);
}

static gboolean
gst_umedpt_slide_uri_set_uri (GstURIHandler *handler, const char *uri,
    GError **error)
{
  g_autofree char *location = gst_uri_get_location (uri);
  gboolean running = FALSE;

  GST_OBJECT_LOCK (handler);
  running = GST_STATE (handler) > GST_STATE_READY;
  GST_OBJECT_UNLOCK (handler);
  if (running) {
    g_set_error_literal (error, GST_URI_ERROR, GST_URI_ERROR_BAD_STATE,
        "The slide cannot be changed while one is being read; set the "
        "element to READY first.");
    return FALSE;
  }
  if (!location || *location == '\0') {
    g_set_error (error, GST_URI_ERROR, GST_URI_ERROR_BAD_URI,
        "'%s' names no file; write slide:///path/to/slide.svs", uri);
    return FALSE;
  }
  g_object_set (handler, "location", location, NULL);
  return TRUE;
}

void
gst_umedpt_slide_uri_init (gpointer iface, gpointer data)
{
  GstURIHandlerInterface *uri = iface;

  uri->get_type = gst_umedpt_slide_uri_get_type;
  uri->get_protocols = gst_umedpt_slide_uri_get_protocols;
  uri->get_uri = gst_umedpt_slide_uri_get_uri;
  uri->set_uri = gst_umedpt_slide_uri_set_uri;
}
