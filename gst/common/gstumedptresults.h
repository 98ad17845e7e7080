/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What heads found in a picture: values, a mask, boxes, by the name of the
 * task. For elements and applications alike; the functions are inline, so an
 * application includes this header and need not link with the plugin.
 *
 * All results of a buffer are in one GstCustomMeta, "GstUmedptResults". Each
 * field of its structure is a task, and holds a structure again:
 *
 *   its name  what it is: "umedpt-values", "umedpt-mask" or "umedpt-boxes"
 *   kind      string: the task's kind, as "classification" or "detection"
 *   labels    GStrv: its classes, may be empty
 *   colors    GBytes: guint32 0xRRGGBB per class (at least one)
 *   model     string: hex SHA-256 of the model
 *   pts       guint64: time stamp of the picture that was looked at; another
 *             than the buffer's where a result is held
 *   values    GBytes (umedpt-values): f32 [K], probabilities or numbers
 *   boxes     GBytes (umedpt-boxes): GstUmedptBox [n], best first
 *   mask      GBytes (umedpt-mask): u8 [mask-height, mask-width, planes]
 *   mask-width, mask-height, planes   int: planes = 1: class per pixel, 255 =
 *             undecided; else, and where the task has one class, 0 or 1 per
 *             class
 *   background  boolean (umedpt-mask): class 0 is what is not looked for
 *   x, y, width, height   double (umedpt-mask): the part of the picture that
 *             the mask covers, pixels
 *
 * Python reads it without help of ours:
 *   results = buf.get_custom_meta("GstUmedptResults").get_structure()
 *   boxes = results.get_value("nuclei").get_value("boxes").get_data()
 *
 * Positions are in pixels of the picture that carries them: the meta is tagged
 * with size, so that converters which scale the picture scale them with it,
 * and those which cut it drop them.
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_UMEDPT_RESULTS_META_NAME "GstUmedptResults"

#define GST_UMEDPT_RESULT_VALUES "umedpt-values"
#define GST_UMEDPT_RESULT_MASK "umedpt-mask"
#define GST_UMEDPT_RESULT_BOXES "umedpt-boxes"

/* A pixel of a mask about which nothing was decided. */
#define GST_UMEDPT_UNDECIDED 255

/**
 * GstUmedptBox:
 * @x: left side, pixels of the picture; the pixel (0, 0) covers 0 … 1
 * @y: upper side
 * @width: pixels
 * @height: pixels
 * @score: 0 … 1
 * @label: number of the class, from 0
 *
 * An object. An array of them is also an array of 24-byte records for NumPy:
 * "f4,f4,f4,f4,f4,i4".
 *
 * Since: 0.1
 */
typedef struct
{
  gfloat x, y, width, height;
  gfloat score;
  gint32 label;
} GstUmedptBox;

/**
 * GstUmedptMask:
 * @data: (transfer none): u8 [height, width, planes]
 * @width: pixels of the mask, not of the picture
 * @height: pixels of the mask
 * @planes: 1: a class per pixel; else, and where the task has one class, 0 or
 *   1 for each class
 * @background: class 0 is what is not looked for
 * @x: left side of what the mask covers, pixels of the picture
 * @y: upper side
 * @w: pixels of the picture
 * @h: pixels of the picture
 *
 * Since: 0.1
 */
typedef struct
{
  const guint8 *data;
  gint width, height, planes;
  gboolean background;
  gdouble x, y, w, h;
} GstUmedptMask;

/**
 * gst_buffer_get_umedpt_results:
 * @buffer: a buffer
 *
 * Returns: (transfer none) (nullable): a structure with a field per task,
 *   owned by @buffer
 *
 * Since: 0.1
 */
static inline const GstStructure *
gst_buffer_get_umedpt_results (GstBuffer *buffer)
{
  GstCustomMeta *meta = NULL;

  /* asking for an unregistered name would be a critical */
  if (!gst_meta_get_info (GST_UMEDPT_RESULTS_META_NAME))
    return NULL;
  meta = gst_buffer_get_custom_meta (buffer, GST_UMEDPT_RESULTS_META_NAME);
  return meta ? gst_custom_meta_get_structure (meta) : NULL;
}

/**
 * gst_umedpt_results_nth:
 * @results: (nullable): what gst_buffer_get_umedpt_results() returned
 * @n: from 0 on
 * @task: (out) (optional) (transfer none): the name of the task
 *
 * Returns: (transfer none) (nullable): result number @n, or %NULL after the
 *   last one
 *
 * Since: 0.1
 */
static inline const GstStructure *
gst_umedpt_results_nth (const GstStructure *results, guint n, const char **task)
{
  const char *name = NULL;

  if (!results || n >= (guint) gst_structure_n_fields (results))
    return NULL;
  name = gst_structure_nth_field_name (results, n);
  if (task)
    *task = name;
  return gst_value_get_structure (gst_structure_get_value (results, name));
}

/**
 * gst_umedpt_results_get:
 * @results: (nullable): what gst_buffer_get_umedpt_results() returned
 * @task: (nullable): the name of a task; %NULL: the first one
 * @what: (nullable): %GST_UMEDPT_RESULT_BOXES or another; %NULL: any
 *
 * Returns: (transfer none) (nullable): the result of that task
 *
 * Since: 0.1
 */
static inline const GstStructure *
gst_umedpt_results_get (const GstStructure *results, const char *task,
    const char *what)
{
  const GstStructure *result = NULL;
  const char *name = NULL;

  for (guint i = 0; (result = gst_umedpt_results_nth (results, i, &name)); i++)
    if ((!task || g_str_equal (task, name)) &&
        (!what || gst_structure_has_name (result, what)))
      return result;
  return NULL;
}

static inline gconstpointer
gst_umedpt_result_get_bytes (const GstStructure *result, const char *field,
    gsize *size)
{
  const GValue *value = gst_structure_get_value (result, field);
  GBytes *bytes = value && G_VALUE_HOLDS (value, G_TYPE_BYTES)
      ? (GBytes *) g_value_get_boxed (value)
      : NULL;

  *size = 0;
  return bytes ? g_bytes_get_data (bytes, size) : NULL;
}

/**
 * gst_umedpt_result_get_boxes:
 * @result: a result
 * @n: (out): how many
 *
 * Returns: (transfer none) (array length=n) (nullable): boxes, best first,
 *   owned by @result
 *
 * Since: 0.1
 */
static inline const GstUmedptBox *
gst_umedpt_result_get_boxes (const GstStructure *result, guint *n)
{
  gsize size = 0;
  gconstpointer data = gst_umedpt_result_get_bytes (result, "boxes", &size);

  *n = (guint) (size / sizeof (GstUmedptBox));
  return (const GstUmedptBox *) data;
}

/**
 * gst_umedpt_result_get_values:
 * @result: a result
 * @n: (out): how many
 *
 * Returns: (transfer none) (array length=n) (nullable): probabilities of the
 *   classes, or the number of a regression; owned by @result
 *
 * Since: 0.1
 */
static inline const gfloat *
gst_umedpt_result_get_values (const GstStructure *result, guint *n)
{
  gsize size = 0;
  gconstpointer data = gst_umedpt_result_get_bytes (result, "values", &size);

  *n = (guint) (size / sizeof (gfloat));
  return (const gfloat *) data;
}

/**
 * gst_umedpt_result_get_mask:
 * @result: a result
 * @mask: (out caller-allocates): the mask
 *
 * Returns: whether @result has a mask, as large as it says
 *
 * Since: 0.1
 */
static inline gboolean
gst_umedpt_result_get_mask (const GstStructure *result, GstUmedptMask *mask)
{
  gsize size = 0;

  mask->data =
      (const guint8 *) gst_umedpt_result_get_bytes (result, "mask", &size);
  return mask->data &&
      gst_structure_get_int (result, "mask-width", &mask->width) &&
      gst_structure_get_int (result, "mask-height", &mask->height) &&
      gst_structure_get_int (result, "planes", &mask->planes) &&
      mask->width > 0 && mask->height > 0 && mask->planes > 0 &&
      size ==
      (gsize) mask->width * (gsize) mask->height * (gsize) mask->planes &&
      gst_structure_get_boolean (result, "background", &mask->background) &&
      gst_structure_get_double (result, "x", &mask->x) &&
      gst_structure_get_double (result, "y", &mask->y) &&
      gst_structure_get_double (result, "width", &mask->w) &&
      gst_structure_get_double (result, "height", &mask->h);
}

/**
 * gst_umedpt_result_get_labels:
 * @result: a result
 *
 * Returns: (transfer none) (nullable) (array zero-terminated=1): the names of
 *   the classes, owned by @result
 *
 * Since: 0.1
 */
static inline const char *const *
gst_umedpt_result_get_labels (const GstStructure *result)
{
  const GValue *value = gst_structure_get_value (result, "labels");

  return value && G_VALUE_HOLDS (value, G_TYPE_STRV)
      ? (const char *const *) g_value_get_boxed (value)
      : NULL;
}

/**
 * gst_umedpt_result_get_color:
 * @result: a result
 * @label: number of a class
 *
 * Returns: its colour, 0xRRGGBB
 *
 * Since: 0.1
 */
static inline guint32
gst_umedpt_result_get_color (const GstStructure *result, guint label)
{
  gsize size = 0;
  const guint32 *colors =
      (const guint32 *) gst_umedpt_result_get_bytes (result, "colors", &size);

  return size >= sizeof *colors ? colors[label % (size / sizeof *colors)]
                                : 0xffffffu;
}

/**
 * gst_umedpt_result_get_pts:
 * @result: a result
 *
 * Returns: the time stamp of the picture that was looked at, or
 *   %GST_CLOCK_TIME_NONE
 *
 * Since: 0.1
 */
static inline GstClockTime
gst_umedpt_result_get_pts (const GstStructure *result)
{
  guint64 pts = GST_CLOCK_TIME_NONE;

  gst_structure_get_uint64 (result, "pts", &pts);
  return pts;
}

G_END_DECLS
