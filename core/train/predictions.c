/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Truth and prediction as lines of JSON. Numbers have as many digits as bring
 * back the same float; masks are runs, value and length in turn, a list per
 * plane, so that a line is short and still has every pixel.
 */
#include "train/predictions.h"

#include <math.h>

#include "base/atomic-file.h"
#include "base/json.h"

struct _UmedptPredictionWriter
{
  UmedptAtomicFile *file;
  GString *line;
};

static void
add_key (GString *line, const char *key)
{
  const char last = line->len ? line->str[line->len - 1] : '{';

  if (last != '{')
    g_string_append_c (line, ',');
  umedpt_json_append_string (line, key);
  g_string_append_c (line, ':');
}

static void
append_float (GString *line, gfloat value)
{
  char text[G_ASCII_DTOSTR_BUF_SIZE];

  if (isfinite (value))
    g_string_append (line,
        g_ascii_formatd (text, sizeof text, "%.9g", (double) value));
  else
    g_string_append (line, "null");
}

static void
add_float (GString *line, const char *key, gfloat value)
{
  add_key (line, key);
  append_float (line, value);
}

static void
add_double (GString *line, const char *key, double value)
{
  add_key (line, key);
  umedpt_json_append_double (line, value);
}

static void
add_string (GString *line, const char *key, const char *value)
{
  add_key (line, key);
  if (value)
    umedpt_json_append_string (line, value);
  else
    g_string_append (line, "null");
}

static void
add_int (GString *line, const char *key, gint value)
{
  add_key (line, key);
  g_string_append_printf (line, "%d", value);
}

/* (nullable) */
static const char *
get_label (const UmedptPrediction *p, gint class)
{
  char **labels = p->description->labels;

  return labels && class >= 0 && (guint) class < g_strv_length (labels)
      ? labels[class]
      : NULL;
}

/* --- values ------------------------------------------------------------- */

/* A class without a label goes by its number; without a weight, the value is
 * not known. */
static void
add_values (GString *line, const UmedptPrediction *p, const gfloat *values,
    const gfloat *weights)
{
  const gint k = umedpt_task_description_get_n_outputs (p->description);

  add_key (line, "values");
  g_string_append_c (line, '{');
  for (gint i = 0; i < k; i++) {
    const char *label = get_label (p, i);
    g_autofree char *number = g_strdup_printf ("%d", i);

    add_float (line, label ? label : number,
        weights && !(weights[i] > 0) ? NAN : values[i]);
  }
  g_string_append_c (line, '}');
}

static void
add_true_values (GString *line, const UmedptPrediction *p)
{
  const gfloat value = (gfloat) p->value;

  switch (p->description->kind) {
    case UMEDPT_TASK_CLASSIFICATION:
      add_int (line, "class", p->label);
      add_string (line, "label", get_label (p, p->label));
      break;
    case UMEDPT_TASK_MULTILABEL:
      add_values (line, p, p->labels, p->weights);
      break;
    default:
      add_values (line, p, &value, NULL);
      break;
  }
}

/* --- boxes -------------------------------------------------------------- */

static void
add_boxes (GString *line, const UmedptPrediction *p, const GArray *boxes,
    gboolean truth)
{
  add_key (line, "boxes");
  g_string_append_c (line, '[');
  for (guint i = 0; i < boxes->len; i++) {
    const UmedptBox *box = &g_array_index (boxes, UmedptBox, i);

    g_string_append (line, i ? ",{" : "{");
    add_float (line, "x", box->x1);
    add_float (line, "y", box->y1);
    add_float (line, "width", box->x2 - box->x1);
    add_float (line, "height", box->y2 - box->y1);
    if (!truth)
      add_float (line, "score", box->score);
    add_int (line, "class", box->label);
    add_string (line, "label", get_label (p, box->label));
    g_string_append_c (line, '}');
  }
  g_string_append_c (line, ']');
}

/* --- masks -------------------------------------------------------------- */

static void
append_runs (GString *line, const guint8 *plane, gsize n, gsize step)
{
  gsize begin = 0;

  g_string_append_c (line, '[');
  for (gsize i = 1; i <= n; i++) {
    if (i < n && plane[i * step] == plane[begin * step])
      continue;
    g_string_append_printf (line, "%s%u,%" G_GSIZE_FORMAT, begin ? "," : "",
        plane[begin * step], i - begin);
    begin = i;
  }
  g_string_append_c (line, ']');
}

static void
add_mask (GString *line, const UmedptPrediction *p, const guint8 *mask)
{
  const gsize n = (gsize) p->width * (gsize) p->height;
  const gsize planes = p->description->kind == UMEDPT_TASK_SEGMENTATION
      ? 1
      : (gsize) umedpt_task_description_get_n_outputs (p->description);

  add_key (line, "mask");
  g_string_append_c (line, '{');
  add_int (line, "width", p->width);
  add_int (line, "height", p->height);
  add_key (line, "runs");
  g_string_append_c (line, '[');
  for (gsize i = 0; i < planes; i++) {
    if (i)
      g_string_append_c (line, ',');
    append_runs (line, mask + i, n, planes);
  }
  g_string_append (line, "]}");
}

/* --- lines -------------------------------------------------------------- */

static void
add_head (GString *line, const UmedptPrediction *p)
{
  /* names of files need not be UTF-8; JSON has to */
  g_autofree char *file = g_utf8_make_valid (p->file, -1);
  g_autofree char *group = p->group ? g_utf8_make_valid (p->group, -1) : NULL;

  add_string (line, "task", p->task);
  add_string (line, "kind", umedpt_task_kind_get_name (p->description->kind));
  add_string (line, "file", file);
  if (group)
    add_string (line, "case", group);
  add_int (line, "width", p->width);
  add_int (line, "height", p->height);
  add_key (line, "covers");
  g_string_append_c (line, '{');
  add_double (line, "x", p->map.bx);
  add_double (line, "y", p->map.by);
  add_double (line, "width", p->map.ax * p->width);
  add_double (line, "height", p->map.ay * p->height);
  g_string_append_c (line, '}');
}

static void
add_result (GString *line, const UmedptPrediction *p, gboolean truth)
{
  if (p->mask)
    add_mask (line, p, truth ? p->mask_truth : p->mask);
  else if (p->boxes)
    add_boxes (line, p, truth ? p->boxes_truth : p->boxes, truth);
  else if (truth)
    add_true_values (line, p);
  else
    add_values (line, p, p->probabilities, NULL);
}

/**
 * umedpt_prediction_writer_new: (skip)
 * @path: of the file; an older one is replaced when this one is complete
 * @error: return location for a #GError
 *
 * Returns: (transfer full): a writer, or %NULL with @error set
 *   (%UMEDPT_ERROR_IO)
 *
 * Since: 0.1
 */
UmedptPredictionWriter *
umedpt_prediction_writer_new (const char *path, GError **error)
{
  g_autoptr (UmedptPredictionWriter) self = g_new0 (UmedptPredictionWriter, 1);

  g_return_val_if_fail (path != NULL, NULL);

  self->line = g_string_new (NULL);
  self->file = umedpt_atomic_file_new (path, TRUE, error);
  return self->file ? g_steal_pointer (&self) : NULL;
}

/**
 * umedpt_prediction_writer_add: (skip)
 * @self: a writer
 * @prediction: truth and prediction of an image
 * @error: return location for a #GError
 *
 * Writes a line.
 *
 * Returns: %TRUE, or %FALSE with @error set (%UMEDPT_ERROR_NO_SPACE,
 *   %UMEDPT_ERROR_IO)
 *
 * Since: 0.1
 */
gboolean
umedpt_prediction_writer_add (UmedptPredictionWriter *self,
    const UmedptPrediction *prediction, GError **error)
{
  GString *line = self->line;

  g_return_val_if_fail (prediction != NULL, FALSE);

  g_string_assign (line, "{");
  add_head (line, prediction);
  add_result (line, prediction, FALSE);
  add_key (line, "truth");
  g_string_append_c (line, '{');
  add_result (line, prediction, TRUE);
  g_string_append (line, "}}\n");
  return umedpt_atomic_file_write (self->file, line->str, line->len, error);
}

/**
 * umedpt_prediction_writer_finish: (skip)
 * @self: a writer
 * @error: return location for a #GError
 *
 * Makes the file appear under its name.
 *
 * Returns: %TRUE, or %FALSE with @error set
 *
 * Since: 0.1
 */
gboolean
umedpt_prediction_writer_finish (UmedptPredictionWriter *self, GError **error)
{
  g_return_val_if_fail (self != NULL, FALSE);
  return umedpt_atomic_file_commit (self->file, error);
}

/**
 * umedpt_prediction_writer_free: (skip)
 * @self: (nullable) (transfer full): a writer
 *
 * Frees the writer, and drops a file that is not finished.
 *
 * Since: 0.1
 */
void
umedpt_prediction_writer_free (UmedptPredictionWriter *self)
{
  if (!self)
    return;
  g_clear_pointer (&self->file, umedpt_atomic_file_free);
  if (self->line)
    g_string_free (self->line, TRUE);
  g_free (self);
}
