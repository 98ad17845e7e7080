/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The rows of a report. A row has a title for the table and a key for JSON;
 * either may be missing where a value is of use to one reader alone.
 */
#include "report.h"

#include "program.h"

typedef struct
{
  gboolean section;
  char *title; /* (nullable) not in the table */
  char *key; /* (nullable) not in JSON */
  char *text;
  char *json;
} Row;

struct _Report
{
  GPtrArray *rows;
};

static void
row_free (gpointer data)
{
  Row *row = data;

  g_free (row->title);
  g_free (row->key);
  g_free (row->text);
  g_free (row->json);
  g_free (row);
}

Report *
report_new (void)
{
  Report *report = g_new (Report, 1);

  report->rows = g_ptr_array_new_with_free_func (row_free);
  return report;
}

void
report_free (Report *report)
{
  if (!report)
    return;
  g_ptr_array_unref (report->rows);
  g_free (report);
}

/* @text as a JSON string. */
char *
report_quote (const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  GString *quoted = g_string_new ("\"");

  for (const char *c = valid; *c; c++)
    if (*c == '"' || *c == '\\')
      g_string_append_printf (quoted, "\\%c", *c);
    else if ((guchar) *c < 0x20 || *c == 0x7f)
      g_string_append_printf (quoted, "\\u%04x", (guchar) *c);
    else
      g_string_append_c (quoted, *c);
  g_string_append_c (quoted, '"');
  return g_string_free (quoted, FALSE);
}

static void
add (Report *report, gboolean section, const char *title, const char *key,
    const char *text, const char *json)
{
  Row *row = g_new (Row, 1);

  *row = (Row){ section, title ? program_clean (title) : NULL, g_strdup (key),
    text ? program_clean (text) : NULL, g_strdup (json) };
  g_ptr_array_add (report->rows, row);
}

/* Begins a section. */
void
report_section (Report *report, const char *title, const char *key)
{
  add (report, TRUE, title, key, NULL, NULL);
}

/* A row of text. */
void
report_text (Report *report, const char *title, const char *key,
    const char *format, ...)
{
  g_autofree char *text = NULL;
  g_autofree char *json = NULL;
  va_list args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  json = report_quote (text);
  add (report, FALSE, title, key, text, json);
}

/* A row that the table and JSON show differently. */
void
report_both (Report *report, const char *title, const char *key,
    const char *text, const char *json)
{
  add (report, FALSE, title, key, text, json);
}

/* The table: sections, titles in one column. */
void
report_print (const Report *report)
{
  glong width = 0;

  for (guint i = 0; i < report->rows->len; i++) {
    const Row *row = g_ptr_array_index (report->rows, i);
    if (row->title && !row->section)
      width = MAX (width, g_utf8_strlen (row->title, -1));
  }
  for (guint i = 0; i < report->rows->len; i++) {
    const Row *row = g_ptr_array_index (report->rows, i);
    if (!row->title)
      continue;
    if (row->section)
      g_print ("%s%s\n", i ? "\n" : "", row->title);
    else
      g_print ("  %s%*s  %s\n", row->title,
          (int) (width - g_utf8_strlen (row->title, -1)), "", row->text);
  }
}

/* {"section": {"key": value, …}, …} */
void
report_print_json (const Report *report)
{
  g_autoptr (GString) text = g_string_new ("{");
  gboolean open = FALSE, first = TRUE;

  for (guint i = 0; i < report->rows->len; i++) {
    const Row *row = g_ptr_array_index (report->rows, i);
    g_autofree char *key = row->key ? report_quote (row->key) : NULL;

    if (!key)
      continue;
    if (row->section) {
      g_string_append_printf (text, "%s\n  %s: {", open ? "\n  }," : "", key);
      open = first = TRUE;
      continue;
    }
    g_string_append_printf (text, "%s\n    %s: %s", first ? "" : ",", key,
        row->json);
    first = FALSE;
  }
  g_print ("%s%s\n}\n", text->str, open ? "\n  }" : "");
}
