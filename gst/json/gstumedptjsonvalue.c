/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Numbers are those that a reader gets back, bit by bit: as many digits as it
 * takes, a point whatever the locale, null for what JSON has no number for.
 */
#include "json/gstumedptjsonvalue.h"

#include <math.h>

void
gst_umedpt_json_separate (GString *line)
{
  const char last = line->len ? line->str[line->len - 1] : '\n';

  if (last != '{' && last != '[' && last != '\n')
    g_string_append_c (line, ',');
}

/* Names of files need not be UTF-8; JSON has to. */
void
gst_umedpt_json_append_string (GString *line, const char *value)
{
  g_autofree char *valid = g_utf8_make_valid (value, -1);

  g_string_append_c (line, '"');
  for (const char *c = valid; *c; c++) {
    if (*c == '"' || *c == '\\')
      g_string_append_printf (line, "\\%c", *c);
    else if ((guint8) *c < 0x20 || *c == 0x7f)
      g_string_append_printf (line, "\\u%04x", (guint8) *c);
    else
      g_string_append_c (line, *c);
  }
  g_string_append_c (line, '"');
}

/* With @digits digits, or up to @most if it takes them; @single: to be the
 * same as a float. */
static void
append_number (GString *line, double value, guint digits, guint most,
    gboolean single)
{
  char buffer[G_ASCII_DTOSTR_BUF_SIZE], format[8];

  if (!isfinite (value)) {
    g_string_append (line, "null");
    return;
  }
  for (; digits <= most; digits++) {
    double back;
    g_snprintf (format, sizeof format, "%%.%ug", digits);
    g_ascii_formatd (buffer, sizeof buffer, format, value);
    back = g_ascii_strtod (buffer, NULL);
    if (single ? (gfloat) back == (gfloat) value : back == value)
      break;
  }
  g_string_append (line, buffer);
}

void
gst_umedpt_json_append_double (GString *line, double value)
{
  append_number (line, value, 15, 17, FALSE);
}

void
gst_umedpt_json_append_float (GString *line, gfloat value)
{
  append_number (line, (double) value, 6, 9, TRUE);
}

void
gst_umedpt_json_append_uint (GString *line, guint64 value)
{
  g_string_append_printf (line, "%" G_GUINT64_FORMAT, value);
}

void
gst_umedpt_json_add_key (GString *line, const char *key)
{
  gst_umedpt_json_separate (line);
  gst_umedpt_json_append_string (line, key);
  g_string_append_c (line, ':');
}

void
gst_umedpt_json_begin_object (GString *line, const char *key)
{
  gst_umedpt_json_add_key (line, key);
  g_string_append_c (line, '{');
}

void
gst_umedpt_json_begin_array (GString *line, const char *key)
{
  gst_umedpt_json_add_key (line, key);
  g_string_append_c (line, '[');
}

void
gst_umedpt_json_add_string (GString *line, const char *key, const char *value)
{
  gst_umedpt_json_add_key (line, key);
  if (value)
    gst_umedpt_json_append_string (line, value);
  else
    g_string_append (line, "null");
}

void
gst_umedpt_json_add_uint (GString *line, const char *key, guint64 value)
{
  gst_umedpt_json_add_key (line, key);
  gst_umedpt_json_append_uint (line, value);
}

void
gst_umedpt_json_add_int (GString *line, const char *key, gint64 value)
{
  gst_umedpt_json_add_key (line, key);
  g_string_append_printf (line, "%" G_GINT64_FORMAT, value);
}

void
gst_umedpt_json_add_double (GString *line, const char *key, double value)
{
  gst_umedpt_json_add_key (line, key);
  gst_umedpt_json_append_double (line, value);
}

void
gst_umedpt_json_add_float (GString *line, const char *key, gfloat value)
{
  gst_umedpt_json_add_key (line, key);
  gst_umedpt_json_append_float (line, value);
}

void
gst_umedpt_json_add_boolean (GString *line, const char *key, gboolean value)
{
  gst_umedpt_json_add_key (line, key);
  g_string_append (line, value ? "true" : "false");
}

void
gst_umedpt_json_add_time (GString *line, const char *key, GstClockTime time)
{
  gst_umedpt_json_add_key (line, key);
  if (GST_CLOCK_TIME_IS_VALID (time))
    gst_umedpt_json_append_uint (line, time);
  else
    g_string_append (line, "null");
}
