/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A confusion matrix as an HTML table: rows are the truth, cells shaded by
 * their share of the row.
 */
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "output/report-private.h"

#define MAX_CLASSES 64 /* a larger table helps nobody */

static gboolean
read_row (UmedptJson *json, GArray *counts)
{
  gboolean first = TRUE, more = TRUE;

  if (!umedpt_json_begin (json, UMEDPT_JSON_ARRAY, NULL))
    return FALSE;
  for (;;) {
    double count = 0;

    if (!umedpt_json_next_element (json, &first, &more, NULL))
      return FALSE;
    if (!more)
      return TRUE;
    if (!umedpt_json_get_double (json, 0, 1e300, &count, NULL))
      return FALSE;
    g_array_append_val (counts, count);
  }
}

/* The matrix, row after row, and its side; FALSE if it is none. */
static gboolean
read_matrix (const char *text, GArray *counts, guint *side)
{
  UmedptJson json;
  gboolean first = TRUE, more = TRUE;
  guint rows = 0;

  if (!umedpt_json_init (&json, text, (gssize) strlen (text), NULL) ||
      !umedpt_json_begin (&json, UMEDPT_JSON_ARRAY, NULL))
    return FALSE;
  for (;;) {
    if (!umedpt_json_next_element (&json, &first, &more, NULL))
      return FALSE;
    if (!more)
      break;
    if (++rows > MAX_CLASSES || !read_row (&json, counts))
      return FALSE;
  }
  *side = rows;
  return rows > 0 && counts->len == rows * rows;
}

/* (nullable) NULL where there are none, or other than @n. */
static char **
read_labels (const char *text, guint n)
{
  g_autoptr (GStrvBuilder) labels = g_strv_builder_new ();
  UmedptJson json;
  gboolean first = TRUE, more = TRUE;
  guint count = 0;

  if (!text || !umedpt_json_init (&json, text, (gssize) strlen (text), NULL) ||
      !umedpt_json_begin (&json, UMEDPT_JSON_ARRAY, NULL))
    return NULL;
  for (;;) {
    g_autofree char *label = NULL;

    if (!umedpt_json_next_element (&json, &first, &more, NULL))
      return NULL;
    if (!more)
      break;
    if (!umedpt_json_get_string (&json, &label, NULL))
      return NULL;
    g_strv_builder_add (labels, label);
    count++;
  }
  return count == n ? g_strv_builder_end (labels) : NULL;
}

static void
append_label (GString *html, char **labels, guint index)
{
  g_string_append (html, "<th>");
  if (labels)
    umedpt_report_append_text (html, labels[index]);
  else
    g_string_append_printf (html, "%u", index);
  g_string_append (html, "</th>");
}

static void
append_row (GString *html, const double *counts, guint n, guint row)
{
  double sum = 0;

  for (guint i = 0; i < n; i++)
    sum += counts[i];
  for (guint i = 0; i < n; i++) {
    const double share = sum > 0 ? counts[i] / sum : 0;
    const char *color = i == row ? "0,158,115" : "213,94,0";

    g_string_append_printf (html,
        "<td style='background:rgba(%s,%d%%)'>%.0f</td>", color,
        (int) lround (share * 100), counts[i]);
  }
}

void
umedpt_report_append_confusion (GString *html, const char *json,
    const char *labels_json)
{
  g_autoptr (GArray) counts = g_array_new (FALSE, FALSE, sizeof (double));
  g_auto (GStrv) labels = NULL;
  guint n = 0;

  if (!read_matrix (json, counts, &n))
    return;
  labels = read_labels (labels_json, n);
  g_string_append (html,
      "<table class='confusion'><caption>rows: truth, columns: "
      "prediction</caption><tr><th></th>");
  for (guint i = 0; i < n; i++)
    append_label (html, labels, i);
  g_string_append (html, "</tr>");
  for (guint i = 0; i < n; i++) {
    g_string_append (html, "<tr>");
    append_label (html, labels, i);
    append_row (html, &g_array_index (counts, double, i *n), n, i);
    g_string_append (html, "</tr>");
  }
  g_string_append (html, "</table>\n");
}
