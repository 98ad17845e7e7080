/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * YOLO's label files: "class cx cy w h", or "class x1 y1 x2 y2 x3 y3 …" for a
 * polygon, all relative to the image's size. An empty file is an image without
 * objects.
 */
#include "data/dataset-annotations.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

#define MAX_NUMBERS 100000
/* Far outside the image a number is no share of its side. */
#define MAX_SHARE 4

static gboolean
fail (guint line, const char *problem, const char *word, GError **error)
{
  g_autofree char *shown = g_utf8_make_valid (word, -1);

  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_FORMAT, "line %u: %s%s%s%s",
      line, problem, *word ? ", not “" : "", shown, *word ? "”" : "");
  return FALSE;
}

static gboolean
read_share (const char *word, guint line, double *value, GError **error)
{
  char *end = NULL;

  *value = g_ascii_strtod (word, &end);
  if (*end == '\0' && fabs (*value) <= MAX_SHARE)
    return TRUE;
  return fail (line, "expected a share of the image's side, 0 to 1", word,
      error);
}

/* The box round the corners. */
static gboolean
read_polygon (char **words, guint n, UmedptYoloBox *box, GError **error)
{
  box->x1 = box->y1 = INFINITY;
  box->x2 = box->y2 = -INFINITY;
  for (guint i = 0; i < n; i += 2) {
    double x, y;

    if (!read_share (words[i], box->line, &x, error) ||
        !read_share (words[i + 1], box->line, &y, error))
      return FALSE;
    box->x1 = MIN (box->x1, x);
    box->y1 = MIN (box->y1, y);
    box->x2 = MAX (box->x2, x);
    box->y2 = MAX (box->y2, y);
  }
  return TRUE;
}

static gboolean
read_box (char **words, UmedptYoloBox *box, GError **error)
{
  double v[4];

  for (guint i = 0; i < 4; i++)
    if (!read_share (words[i], box->line, &v[i], error))
      return FALSE;
  if (v[2] < 0 || v[3] < 0)
    return fail (box->line, "width and height must not be negative", "", error);
  box->x1 = v[0] - v[2] / 2;
  box->y1 = v[1] - v[3] / 2;
  box->x2 = v[0] + v[2] / 2;
  box->y2 = v[1] + v[3] / 2;
  return TRUE;
}

static gboolean
read_line (const char *text, UmedptYoloBox *box, gboolean *some, GError **error)
{
  g_auto (GStrv) split = g_strsplit_set (text, " \t\r", MAX_NUMBERS);
  guint n = 0;
  guint64 label;

  for (guint i = 0; split[i] != NULL; i++) { /* runs of blanks are one */
    if (*split[i] == '\0')
      g_free (split[i]);
    else
      split[n++] = split[i];
  }
  split[n] = NULL;
  *some = n > 0;
  if (n == 0)
    return TRUE;
  if (!g_ascii_string_to_unsigned (split[0], 10, 0, 1000000, &label, NULL))
    return fail (box->line, "expected the number of a class", split[0], error);
  box->label = (gint) label;
  if (n == 5)
    return read_box (split + 1, box, error);
  if (n >= 7 && n % 2 == 1)
    return read_polygon (split + 1, n - 1, box, error);
  return fail (box->line,
      "expected a class, then centre and size (4 numbers) or a polygon (6 and "
      "more)",
      "", error);
}

GArray *
umedpt_yolo_parse (const char *text, gsize length, GError **error)
{
  g_autoptr (GArray) boxes = g_array_new (FALSE, TRUE, sizeof (UmedptYoloBox));
  const char *at = text, *end = text + length;

  if (memchr (text, '\0', length) != NULL) {
    fail (1, "it is no text", "", error);
    return NULL;
  }
  for (guint line = 1; at < end; line++) {
    const char *stop = memchr (at, '\n', (gsize) (end - at));
    g_autofree char *one = NULL;
    UmedptYoloBox box = { .line = line };
    gboolean some;

    if (stop == NULL)
      stop = end;
    one = g_strndup (at, (gsize) (stop - at));
    if (!read_line (one, &box, &some, error))
      return NULL;
    if (some)
      g_array_append_val (boxes, box);
    at = stop < end ? stop + 1 : end;
  }
  return g_steal_pointer (&boxes);
}
