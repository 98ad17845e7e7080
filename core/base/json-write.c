/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The two kinds of JSON values that need care when they are written; braces
 * and commas are the callers' business.
 */
#include <math.h>
#include <string.h>

#include "base/json.h"

/* Appends @value (UTF-8) in quotes. */
void
umedpt_json_append_string (GString *text, const char *value)
{
  static const char names[] = "\"\\bfnrt", values[] = "\"\\\b\f\n\r\t";

  g_string_append_c (text, '"');
  for (const char *c = value; *c; c++) {
    const char *found = strchr (values, *c);
    if (found)
      g_string_append_printf (text, "\\%c", names[found - values]);
    else if ((guint8) *c < 0x20 || *c == 0x7f)
      g_string_append_printf (text, "\\u%04x", (guint8) *c);
    else
      g_string_append_c (text, *c);
  }
  g_string_append_c (text, '"');
}

/* Appends a finite number with as many digits as it needs to be read back
 * the same: 0.2, not 0.20000000000000001. */
void
umedpt_json_append_double (GString *text, double value)
{
  char buffer[G_ASCII_DTOSTR_BUF_SIZE];

  g_return_if_fail (isfinite (value));
  for (guint digits = 15; digits <= 17; digits++) {
    char format[8];
    g_snprintf (format, sizeof format, "%%.%ug", digits);
    g_ascii_formatd (buffer, sizeof buffer, format, value);
    if (g_ascii_strtod (buffer, NULL) == value)
      break;
  }
  g_string_append (text, buffer);
}
