/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Every line is complete in itself (it says the size of the picture and the
 * model), so that lines can be read one by one, filtered, cut and joined.
 */
#include "json/gstumedptjsonwrite.h"

#include <string.h>

#include "common/gstumedptmeta.h"
#include "common/gstumedptresults.h"
#include "json/gstumedptjsonvalue.h"

/* --- classes ------------------------------------------------------------ */

typedef struct
{
  const char *const *labels; /* (nullable) */
  guint n_labels;
  guint n; /* classes; a task without labels has one all the same */
} Classes;

static Classes
get_classes (const GstStructure *result)
{
  const char *const *labels = gst_umedpt_result_get_labels (result);
  const guint n_labels = labels ? g_strv_length ((char **) labels) : 0;
  gsize size = 0;

  gst_umedpt_result_get_bytes (result, "colors", &size);
  return (Classes){ labels, n_labels,
    MAX (n_labels, (guint) (size / sizeof (guint32))) };
}

/* A class without a label goes by its number. */
static void
add_class_key (GString *line, const Classes *classes, guint i)
{
  char number[16];

  if (i < classes->n_labels) {
    gst_umedpt_json_add_key (line, classes->labels[i]);
    return;
  }
  g_snprintf (number, sizeof number, "%u", i);
  gst_umedpt_json_add_key (line, number);
}

/* --- values and boxes --------------------------------------------------- */

static void
add_values (GString *line, const GstStructure *result)
{
  const Classes classes = get_classes (result);
  guint n = 0;
  const gfloat *values = gst_umedpt_result_get_values (result, &n);

  gst_umedpt_json_begin_object (line, "values");
  for (guint i = 0; i < n; i++) {
    add_class_key (line, &classes, i);
    gst_umedpt_json_append_float (line, values[i]);
  }
  g_string_append_c (line, '}');
}

static void
append_box (GString *line, const GstUmedptBox *box, const Classes *classes)
{
  const gboolean known =
      box->label >= 0 && (guint) box->label < classes->n_labels;

  gst_umedpt_json_separate (line);
  g_string_append_c (line, '{');
  gst_umedpt_json_add_float (line, "x", box->x);
  gst_umedpt_json_add_float (line, "y", box->y);
  gst_umedpt_json_add_float (line, "width", box->width);
  gst_umedpt_json_add_float (line, "height", box->height);
  gst_umedpt_json_add_float (line, "score", box->score);
  gst_umedpt_json_add_int (line, "class", box->label);
  gst_umedpt_json_add_string (line, "label",
      known ? classes->labels[box->label] : NULL);
  g_string_append_c (line, '}');
}

static void
add_boxes (GString *line, const GstStructure *result)
{
  const Classes classes = get_classes (result);
  guint n = 0;
  const GstUmedptBox *boxes = gst_umedpt_result_get_boxes (result, &n);

  gst_umedpt_json_begin_array (line, "boxes");
  for (guint i = 0; i < n; i++)
    append_box (line, &boxes[i], &classes);
  g_string_append_c (line, ']');
}

/* --- masks -------------------------------------------------------------- */

/* Whether a pixel holds the number of its class; else each class has a plane
 * of 0 and 1, and a single one is 1 where the only class is. */
static gboolean
is_index_mask (const GstUmedptMask *mask, const Classes *classes)
{
  return mask->planes == 1 && classes->n > 1;
}

/* Pixels of every class; of an index mask, of every value. (transfer full) */
static GArray *
count_pixels (const GstUmedptMask *mask, gboolean index)
{
  const gsize n = (gsize) mask->width * (gsize) mask->height;
  const gsize planes = (gsize) mask->planes;
  GArray *counts = g_array_new (FALSE, TRUE, sizeof (guint64));
  guint64 *count = NULL;

  g_array_set_size (counts, index ? 256 : (guint) planes);
  count = (guint64 *) (gpointer) counts->data;
  for (gsize i = 0; i < n; i++)
    if (index)
      count[mask->data[i]]++;
    else
      for (gsize p = 0; p < planes; p++)
        count[p] += mask->data[i * planes + p] == 1;
  return counts;
}

static void
add_area (GString *line, const Classes *classes, guint i, guint64 pixels,
    const GstUmedptMask *mask)
{
  add_class_key (line, classes, i);
  g_string_append_c (line, '{');
  gst_umedpt_json_add_uint (line, "pixels", pixels);
  gst_umedpt_json_add_double (line, "fraction",
      (double) pixels / ((double) mask->width * mask->height));
  g_string_append_c (line, '}');
}

/* All classes, so that every line has the same columns; other values only if
 * they occur. */
static void
add_areas (GString *line, const GstUmedptMask *mask, const Classes *classes)
{
  const gboolean index = is_index_mask (mask, classes);
  g_autoptr (GArray) counts = count_pixels (mask, index);

  gst_umedpt_json_begin_object (line, "areas");
  for (guint i = 0; i < counts->len; i++) {
    const guint64 pixels = g_array_index (counts, guint64, i);

    if (i < classes->n || (pixels > 0 && i != GST_UMEDPT_UNDECIDED))
      add_area (line, classes, i, pixels, mask);
  }
  g_string_append_c (line, '}');
  if (index)
    gst_umedpt_json_add_uint (line, "undecided",
        g_array_index (counts, guint64, GST_UMEDPT_UNDECIDED));
}

/* A plane, row after row: value, how often, value, how often, ... */
static void
append_runs (GString *line, const GstUmedptMask *mask, gsize plane)
{
  const gsize n = (gsize) mask->width * (gsize) mask->height;
  const gsize step = (gsize) mask->planes;

  gst_umedpt_json_separate (line);
  g_string_append_c (line, '[');
  for (gsize i = 0, end = 0; i < n; i = end) {
    const guint8 value = mask->data[i * step + plane];

    for (end = i + 1; end < n && mask->data[end * step + plane] == value; end++)
      ;
    gst_umedpt_json_separate (line);
    gst_umedpt_json_append_uint (line, value);
    g_string_append_c (line, ',');
    gst_umedpt_json_append_uint (line, end - i);
  }
  g_string_append_c (line, ']');
}

static void
add_mask (GString *line, const GstStructure *result, GstUmedptMasks how)
{
  const Classes classes = get_classes (result);
  GstUmedptMask mask = { 0 };

  if (how == GST_UMEDPT_MASKS_NONE ||
      !gst_umedpt_result_get_mask (result, &mask))
    return;
  gst_umedpt_json_begin_object (line, "mask");
  gst_umedpt_json_add_int (line, "width", mask.width);
  gst_umedpt_json_add_int (line, "height", mask.height);
  gst_umedpt_json_begin_object (line, "covers");
  gst_umedpt_json_add_double (line, "x", mask.x);
  gst_umedpt_json_add_double (line, "y", mask.y);
  gst_umedpt_json_add_double (line, "width", mask.w);
  gst_umedpt_json_add_double (line, "height", mask.h);
  g_string_append_c (line, '}');
  add_areas (line, &mask, &classes);
  if (how == GST_UMEDPT_MASKS_FULL) {
    gst_umedpt_json_begin_array (line, "runs");
    for (gint i = 0; i < mask.planes; i++)
      append_runs (line, &mask, (gsize) i);
    g_string_append_c (line, ']');
  }
  g_string_append_c (line, '}');
}

/* --- results ------------------------------------------------------------ */

/* A result of an earlier picture is stale, and as old as that one. */
static void
add_age (GString *line, GstClockTime pts, GstClockTime looked_at)
{
  const gboolean known =
      GST_CLOCK_TIME_IS_VALID (pts) && GST_CLOCK_TIME_IS_VALID (looked_at);

  gst_umedpt_json_add_time (line, "pts", looked_at);
  gst_umedpt_json_add_key (line, "age_ns");
  if (known)
    g_string_append_printf (line, "%" G_GINT64_FORMAT,
        GST_CLOCK_DIFF (looked_at, pts));
  else
    g_string_append (line, "null");
  gst_umedpt_json_add_boolean (line, "stale", known && pts != looked_at);
}

static void
add_result (GString *line, const char *task, const GstStructure *result,
    GstClockTime pts, GstUmedptMasks masks)
{
  gst_umedpt_json_begin_object (line, task);
  gst_umedpt_json_add_string (line, "kind",
      gst_structure_get_string (result, "kind"));
  gst_umedpt_json_add_string (line, "model",
      gst_structure_get_string (result, "model"));
  add_age (line, pts, gst_umedpt_result_get_pts (result));
  if (gst_structure_has_name (result, GST_UMEDPT_RESULT_VALUES))
    add_values (line, result);
  else if (gst_structure_has_name (result, GST_UMEDPT_RESULT_BOXES))
    add_boxes (line, result);
  else if (gst_structure_has_name (result, GST_UMEDPT_RESULT_MASK))
    add_mask (line, result, masks);
  g_string_append_c (line, '}');
}

static void
add_results (GString *line, GstBuffer *buffer, GstUmedptMasks masks)
{
  const GstStructure *results = gst_buffer_get_umedpt_results (buffer);
  const GstStructure *result = NULL;
  const char *task = NULL;

  gst_umedpt_json_begin_object (line, "results");
  for (guint i = 0; (result = gst_umedpt_results_nth (results, i, &task)); i++)
    add_result (line, task, result, GST_BUFFER_PTS (buffer), masks);
  g_string_append_c (line, '}');
}

/* --- embedding, tile ---------------------------------------------------- */

static void
append_floats (GString *line, GstBuffer *data)
{
  GstMapInfo map = GST_MAP_INFO_INIT;

  if (!gst_buffer_map (data, &map, GST_MAP_READ))
    return;
  for (gsize i = 0; i + sizeof (gfloat) <= map.size; i += sizeof (gfloat)) {
    gfloat value;

    memcpy (&value, map.data + i, sizeof value);
    gst_umedpt_json_separate (line);
    gst_umedpt_json_append_float (line, value);
  }
  gst_buffer_unmap (data, &map);
}

static void
add_embedding (GString *line, GstBuffer *buffer)
{
  const GstUmedptTensorMeta *tensor =
      gst_buffer_get_umedpt_tensor_meta (buffer, GST_UMEDPT_TENSOR_EMBEDDING);

  if (!tensor || tensor->data_type != GST_UMEDPT_TENSOR_F32)
    return;
  gst_umedpt_json_begin_object (line, "embedding");
  gst_umedpt_json_add_string (line, "encoder", tensor->model_arch);
  gst_umedpt_json_add_string (line, "model", tensor->model_hash);
  gst_umedpt_json_begin_array (line, "values");
  append_floats (line, tensor->data);
  g_string_append (line, "]}");
}

/* Fields that are not what gstumedptmeta.h says are left out. */
static gboolean
add_field (GQuark field, const GValue *value, gpointer line)
{
  const char *key = g_quark_to_string (field);

  if (G_VALUE_HOLDS_STRING (value))
    gst_umedpt_json_add_string (line, key, g_value_get_string (value));
  else if (G_VALUE_HOLDS_UINT64 (value))
    gst_umedpt_json_add_uint (line, key, g_value_get_uint64 (value));
  else if (G_VALUE_HOLDS_INT64 (value))
    gst_umedpt_json_add_int (line, key, g_value_get_int64 (value));
  else if (G_VALUE_HOLDS_DOUBLE (value))
    gst_umedpt_json_add_double (line, key, g_value_get_double (value));
  return TRUE;
}

static void
add_structure (GString *line, const char *key, const GstStructure *s)
{
  gst_umedpt_json_begin_object (line, key);
  gst_structure_foreach (s, add_field, line);
  g_string_append_c (line, '}');
}

/* --- lines -------------------------------------------------------------- */

static void
add_times (GString *line, GstBuffer *buffer,
    const GstUmedptJsonContext *context)
{
  const GstSegment *segment = context->segment;
  const gboolean timed = segment->format == GST_FORMAT_TIME;
  const GstClockTime pts = GST_BUFFER_PTS (buffer);
  const GstClockTime running = timed
      ? gst_segment_to_running_time (segment, GST_FORMAT_TIME, pts)
      : GST_CLOCK_TIME_NONE;

  gst_umedpt_json_add_time (line, "pts", pts);
  gst_umedpt_json_add_time (line, "duration", GST_BUFFER_DURATION (buffer));
  gst_umedpt_json_add_time (line, "stream_time",
      timed ? gst_segment_to_stream_time (segment, GST_FORMAT_TIME, pts)
            : GST_CLOCK_TIME_NONE);
  gst_umedpt_json_add_time (line, "running_time", running);
  if (context->live && GST_CLOCK_TIME_IS_VALID (running) &&
      GST_CLOCK_TIME_IS_VALID (context->now))
    gst_umedpt_json_add_int (line, "latency_ns",
        GST_CLOCK_DIFF (running, context->now));
}

/* When a live picture came by, for what is recorded elsewhere. */
static void
add_utc (GString *line)
{
  g_autoptr (GDateTime) now = g_date_time_new_now_utc ();
  g_autofree char *text = now ? g_date_time_format_iso8601 (now) : NULL;

  gst_umedpt_json_add_string (line, "utc", text);
}

static void
begin_line (GString *line)
{
  g_string_append_c (line, '{');
  gst_umedpt_json_add_int (line, "schema", GST_UMEDPT_JSON_SCHEMA);
}

void
gst_umedpt_json_append_buffer (GString *line, GstBuffer *buffer,
    const GstUmedptJsonContext *context)
{
  const GstStructure *tile = gst_buffer_get_umedpt_tile (buffer);

  begin_line (line);
  gst_umedpt_json_add_uint (line, "frame", context->frame);
  add_times (line, buffer, context);
  if (context->live)
    add_utc (line);
  if (context->width > 0 && context->height > 0) {
    gst_umedpt_json_add_int (line, "width", context->width);
    gst_umedpt_json_add_int (line, "height", context->height);
  }
  if (tile)
    add_structure (line, "tile", tile);
  if (context->embedding)
    add_embedding (line, buffer);
  add_results (line, buffer, context->masks);
  g_string_append (line, "}\n");
}

void
gst_umedpt_json_append_bad_tile (GString *line, const GstStructure *event)
{
  begin_line (line);
  add_structure (line, "bad_tile", event);
  g_string_append (line, "}\n");
}
