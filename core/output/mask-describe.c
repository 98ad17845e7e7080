/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a mask's file says of itself: which class a value is, how it is called
 * and drawn, and what made it. A plain TIFF says it as JSON. OME-XML has no
 * place for the classes of a label image, so they are key-value pairs there
 * (MapAnnotation), which OMERO shows and Bio-Formats hands on.
 */
#include "output/mask-private.h"

#include "base/json.h"
#include "base/version.h"

static guint
count_labels (const UmedptMaskInfo *info)
{
  return info->labels ? g_strv_length ((char **) info->labels) : 0;
}

/* The name of a class; @number has room for one made up. */
static const char *
label_at (const UmedptMaskInfo *info, guint i, char number[16])
{
  if (i < count_labels (info))
    return info->labels[i];
  g_snprintf (number, 16, "class %u", i);
  return number;
}

static void
add_json (GString *json, const char *key, const char *value)
{
  g_autofree char *valid = value ? g_utf8_make_valid (value, -1) : NULL;

  if (!valid)
    return;
  g_string_append_printf (json, "\"%s\":", key);
  umedpt_json_append_string (json, valid);
  g_string_append_c (json, ',');
}

char *
umedpt_mask_describe (const UmedptMaskInfo *info)
{
  GString *json = g_string_new ("{");
  char number[16];

  add_json (json, "software", "UMedPT " UMEDPT_VERSION);
  add_json (json, "slide", info->slide);
  add_json (json, "model_hash", info->model_hash);
  add_json (json, "config_hash", info->config_hash);
  if (info->mpp > 0) {
    g_string_append (json, "\"mpp\":");
    umedpt_json_append_double (json, info->mpp);
    g_string_append_c (json, ',');
  }
  g_string_append_printf (json, "\"undecided\":%d,\"classes\":[",
      UMEDPT_MASK_BLANK);
  for (guint i = 0; i < info->n_colors; i++) {
    g_string_append_printf (json, "%s{\"value\":%u,", i > 0 ? "," : "", i);
    add_json (json, "name", label_at (info, i, number));
    g_string_append_printf (json, "\"color\":\"#%06x\"}",
        info->colors[i] & 0xffffff);
  }
  g_string_append (json, "]}");
  return g_string_free (json, FALSE);
}

/* As text or in quotes. XML 1.0 has no place for control characters. */
static char *
escape_xml (const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text ? text : "", -1);

  for (char *c = valid; *c; c++)
    if ((guchar) *c < 0x20 || *c == 0x7f)
      *c = ' ';
  return g_markup_escape_text (valid, -1);
}

static void
add_pair (GString *xml, const char *key, const char *value)
{
  g_autofree char *escaped = escape_xml (value);

  if (value)
    g_string_append_printf (xml, "<M K=\"%s\">%s</M>", key, escaped);
}

static void
begin_map (GString *xml, guint id, const char *name)
{
  g_string_append_printf (xml,
      "<MapAnnotation ID=\"Annotation:%u\" Namespace=\"umedpt/%s\"><Value>", id,
      name);
}

static void
add_annotations (GString *xml, const UmedptMaskInfo *info)
{
  static const char end[] = "</Value></MapAnnotation>";
  char text[16], key[16];

  g_string_append (xml, "<StructuredAnnotations>");
  begin_map (xml, 0, "classes");
  for (guint i = 0; i < info->n_colors; i++) {
    g_snprintf (key, sizeof key, "%u", i);
    add_pair (xml, key, label_at (info, i, text));
  }
  g_string_append (xml, end);
  begin_map (xml, 1, "colors");
  for (guint i = 0; i < info->n_colors; i++) {
    g_snprintf (key, sizeof key, "%u", i);
    g_snprintf (text, sizeof text, "#%06x", info->colors[i] & 0xffffff);
    add_pair (xml, key, text);
  }
  g_string_append (xml, end);
  begin_map (xml, 2, "mask");
  g_snprintf (text, sizeof text, "%d", UMEDPT_MASK_BLANK);
  add_pair (xml, "undecided", text);
  add_pair (xml, "model_hash", info->model_hash);
  add_pair (xml, "config_hash", info->config_hash);
  g_string_append (xml, end);
  g_string_append (xml, "</StructuredAnnotations>");
}

static void
add_physical_size (GString *xml, char axis, double mpp)
{
  g_string_append_printf (xml, " PhysicalSize%c=\"", axis);
  umedpt_json_append_double (xml, mpp);
  g_string_append_printf (xml, "\" PhysicalSize%cUnit=\"µm\"", axis);
}

char *
umedpt_mask_describe_ome (const UmedptMaskInfo *info)
{
  GString *xml = g_string_new ("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
  g_autofree char *slide = escape_xml (info->slide ? info->slide : "mask");

  g_string_append (xml,
      "<OME xmlns=\"http://www.openmicroscopy.org/Schemas/OME/2016-06\" "
      "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" "
      "xsi:schemaLocation=\"http://www.openmicroscopy.org/Schemas/OME/2016-06 "
      "http://www.openmicroscopy.org/Schemas/OME/2016-06/ome.xsd\" "
      "Creator=\"UMedPT " UMEDPT_VERSION "\">");
  g_string_append_printf (xml, "<Image ID=\"Image:0\" Name=\"%s\">", slide);
  g_string_append_printf (xml,
      "<Pixels ID=\"Pixels:0\" DimensionOrder=\"XYCZT\" Type=\"uint8\" "
      "SizeX=\"%" G_GINT64_FORMAT "\" SizeY=\"%" G_GINT64_FORMAT "\" "
      "SizeC=\"1\" SizeZ=\"1\" SizeT=\"1\"",
      info->width, info->height);
  if (info->mpp > 0) {
    add_physical_size (xml, 'X', info->mpp);
    add_physical_size (xml, 'Y', info->mpp);
  }
  g_string_append (xml,
      "><Channel ID=\"Channel:0:0\" Name=\"class\" SamplesPerPixel=\"1\"/>"
      "<TiffData IFD=\"0\" PlaneCount=\"1\"/></Pixels>"
      "<AnnotationRef ID=\"Annotation:0\"/><AnnotationRef "
      "ID=\"Annotation:1\"/><AnnotationRef ID=\"Annotation:2\"/></Image>");
  add_annotations (xml, info);
  g_string_append (xml, "</OME>");
  return g_string_free (xml, FALSE);
}
