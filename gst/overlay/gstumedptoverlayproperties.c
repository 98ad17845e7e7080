/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The properties of umedptoverlay. All can be set while it plays, and hold from
 * the next frame on. A setting is a field of a structure, so that reading and
 * writing are by the type of the field.
 */
#include "overlay/gstumedptoverlayprivate.h"

#include <stdlib.h>
#include <string.h>

#include "common/gstumedptenums.h"
#include "common/gstumedpttasks.h"

enum
{
  PROP_0,
  PROP_ENABLED,
  PROP_DRAW_BOXES,
  PROP_DRAW_LABELS,
  PROP_DRAW_SCORES,
  PROP_BOX_STYLE,
  PROP_MASK_STYLE,
  PROP_OPACITY,
  PROP_LINE_WIDTH,
  PROP_TEXT_SIZE,
  PROP_LEGEND,
  PROP_SHOW_STATE,
  PROP_STALE_AFTER,
  PROP_TASKS,
  PROP_MIN_SCORE,
  PROP_SHOW_AFTER_HITS,
  PROP_SHOW_WINDOW,
  PROP_HOLD,
  PROP_SHOW_PENDING,
  PROP_STATS,
};

#define FIELD(name) G_STRUCT_OFFSET (GstUmedptOverlaySettings, name)

static const glong fields[] = {
  [PROP_ENABLED] = FIELD (enabled),
  [PROP_DRAW_BOXES] = FIELD (draw_boxes),
  [PROP_DRAW_LABELS] = FIELD (draw_labels),
  [PROP_DRAW_SCORES] = FIELD (draw_scores),
  [PROP_BOX_STYLE] = FIELD (box_style),
  [PROP_MASK_STYLE] = FIELD (mask_style),
  [PROP_OPACITY] = FIELD (opacity),
  [PROP_LINE_WIDTH] = FIELD (line_width),
  [PROP_TEXT_SIZE] = FIELD (text_size),
  [PROP_LEGEND] = FIELD (legend),
  [PROP_SHOW_STATE] = FIELD (show_state),
  [PROP_STALE_AFTER] = FIELD (stale_after),
  [PROP_TASKS] = FIELD (tasks),
  [PROP_MIN_SCORE] = FIELD (min_score),
  [PROP_SHOW_AFTER_HITS] = FIELD (show_after_hits),
  [PROP_SHOW_WINDOW] = FIELD (show_window),
  [PROP_HOLD] = FIELD (hold),
  [PROP_SHOW_PENDING] = FIELD (show_pending),
};

/* A string is a list of names. */
static gboolean
write_field (gpointer field, const GValue *value)
{
  if (G_VALUE_HOLDS_BOOLEAN (value))
    *(gboolean *) field = g_value_get_boolean (value);
  else if (G_VALUE_HOLDS_ENUM (value))
    *(gint *) field = g_value_get_enum (value);
  else if (G_VALUE_HOLDS_UINT (value))
    *(guint *) field = g_value_get_uint (value);
  else if (G_VALUE_HOLDS_UINT64 (value))
    *(guint64 *) field = g_value_get_uint64 (value);
  else if (G_VALUE_HOLDS_DOUBLE (value))
    *(gdouble *) field = g_value_get_double (value);
  else if (G_VALUE_HOLDS_STRING (value)) {
    g_strfreev (*(gchar ***) field);
    *(gchar ***) field = g_value_get_string (value)
        ? gst_umedpt_split_names (g_value_get_string (value))
        : NULL;
  } else {
    return FALSE;
  }
  return TRUE;
}

static gboolean
read_field (gpointer field, GValue *value)
{
  if (G_VALUE_HOLDS_BOOLEAN (value))
    g_value_set_boolean (value, *(gboolean *) field);
  else if (G_VALUE_HOLDS_ENUM (value))
    g_value_set_enum (value, *(gint *) field);
  else if (G_VALUE_HOLDS_UINT (value))
    g_value_set_uint (value, *(guint *) field);
  else if (G_VALUE_HOLDS_UINT64 (value))
    g_value_set_uint64 (value, *(guint64 *) field);
  else if (G_VALUE_HOLDS_DOUBLE (value))
    g_value_set_double (value, *(gdouble *) field);
  else if (G_VALUE_HOLDS_STRING (value))
    g_value_take_string (value,
        *(gchar ***) field ? g_strjoinv (",", *(gchar ***) field) : NULL);
  else
    return FALSE;
  return TRUE;
}

void
gst_umedpt_overlay_set_property (GObject *object, guint id, const GValue *value,
    GParamSpec *pspec)
{
  GstUmedptOverlay *self = GST_UMEDPT_OVERLAY (object);
  gboolean known = FALSE;

  GST_OBJECT_LOCK (self);
  if (id > PROP_0 && id < G_N_ELEMENTS (fields))
    known =
        write_field (G_STRUCT_MEMBER_P (&self->settings, fields[id]), value);
  GST_OBJECT_UNLOCK (self);
  if (!known)
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

/* --- statistics --------------------------------------------------------- */

static int
compare_times (const void *a, const void *b)
{
  GstClockTime x = *(const GstClockTime *) a, y = *(const GstClockTime *) b;

  return (x > y) - (x < y);
}

static void
add_percentiles (GstStructure *stats, const char *p50, const char *p95,
    const GstUmedptOverlayTimes *times)
{
  GstClockTime sorted[GST_UMEDPT_OVERLAY_WINDOW] = { 0 };
  const guint n = (guint) MIN (times->n, GST_UMEDPT_OVERLAY_WINDOW);

  memcpy (sorted, times->recent, n * sizeof sorted[0]);
  qsort (sorted, n, sizeof sorted[0], compare_times);
  gst_structure_set (stats, p50, G_TYPE_UINT64, sorted[n ? (n - 1) / 2 : 0],
      p95, G_TYPE_UINT64, sorted[n ? (n - 1) * 95 / 100 : 0], NULL);
}

static GstStructure *
make_stats (const GstUmedptOverlay *self)
{
  static const char *const states[] = { "no-model", "ready", "stale" };
  // clang-format off
  GstStructure *stats = gst_structure_new ("application/x-umedpt-stats",
      "frames", G_TYPE_UINT64, self->frames,
      "drawn", G_TYPE_UINT64, self->drawn,
      "state", G_TYPE_STRING, states[self->state],
      NULL);
  // clang-format on

  add_percentiles (stats, "age-p50", "age-p95", &self->ages);
  add_percentiles (stats, "draw-p50", "draw-p95", &self->costs);
  return stats;
}

void
gst_umedpt_overlay_get_property (GObject *object, guint id, GValue *value,
    GParamSpec *pspec)
{
  GstUmedptOverlay *self = GST_UMEDPT_OVERLAY (object);
  gboolean known = TRUE;

  GST_OBJECT_LOCK (self);
  if (id == PROP_STATS)
    g_value_take_boxed (value, make_stats (self));
  else if (id > PROP_0 && id < G_N_ELEMENTS (fields))
    known = read_field (G_STRUCT_MEMBER_P (&self->settings, fields[id]), value);
  else
    known = FALSE;
  GST_OBJECT_UNLOCK (self);
  if (!known)
    G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
}

/* --- what there is ------------------------------------------------------ */

#define PLAYING \
  (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING)

#define DEFAULT_OPACITY 0.4
#define DEFAULT_STALE_AFTER (250 * GST_MSECOND)
#define DEFAULT_SHOW_WINDOW (200 * GST_MSECOND)

void
gst_umedpt_overlay_init_settings (GstUmedptOverlaySettings *settings)
{
  *settings = (GstUmedptOverlaySettings){
    .enabled = TRUE,
    .draw_boxes = TRUE,
    .draw_labels = TRUE,
    .draw_scores = TRUE,
    .box_style = GST_UMEDPT_BOX_STYLE_OUTLINE,
    .mask_style = GST_UMEDPT_MASK_STYLE_CONTOUR,
    .opacity = DEFAULT_OPACITY,
    .show_state = TRUE,
    .show_after_hits = 1,
    .show_window = DEFAULT_SHOW_WINDOW,
    .stale_after = DEFAULT_STALE_AFTER,
  };
}

static void
install_what (GObjectClass *object)
{
  /**
   * GstUmedptOverlay:enabled:
   *
   * Off: frames pass as they are, with their results.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_ENABLED,
      g_param_spec_boolean ("enabled", "Enabled", "Draw at all", TRUE,
          PLAYING));
  /**
   * GstUmedptOverlay:draw-boxes:
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_DRAW_BOXES,
      g_param_spec_boolean ("draw-boxes", "Draw boxes", "Draw boxes", TRUE,
          PLAYING));
  /**
   * GstUmedptOverlay:draw-labels:
   *
   * The class of a box, beside it; and the results of tasks that have but
   * values, as lines of text.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_DRAW_LABELS,
      g_param_spec_boolean ("draw-labels", "Draw labels",
          "Write the classes of boxes, and values", TRUE, PLAYING));
  /**
   * GstUmedptOverlay:draw-scores:
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_DRAW_SCORES,
      g_param_spec_boolean ("draw-scores", "Draw scores",
          "Write the scores of boxes and classes", TRUE, PLAYING));
  /**
   * GstUmedptOverlay:tasks:
   *
   * The names of the tasks to draw, separated by commas; empty: all.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_TASKS,
      g_param_spec_string ("tasks", "Tasks",
          "Names of the tasks to draw, by commas (empty = all)", NULL,
          PLAYING));
  /**
   * GstUmedptOverlay:min-score:
   *
   * Boxes and classes with a lower score are not drawn.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_MIN_SCORE,
      g_param_spec_double ("min-score", "Least score",
          "Boxes and classes with a lower score are not drawn", 0, 1, 0,
          PLAYING));
}

static void
install_style (GObjectClass *object)
{
  /**
   * GstUmedptOverlay:box-style:
   *
   * Corners cover less of the picture.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_BOX_STYLE,
      g_param_spec_enum ("box-style", "Box style", "How boxes are drawn",
          GST_TYPE_UMEDPT_BOX_STYLE, GST_UMEDPT_BOX_STYLE_OUTLINE, PLAYING));
  /**
   * GstUmedptOverlay:mask-style:
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_MASK_STYLE,
      g_param_spec_enum ("mask-style", "Mask style", "How masks are drawn",
          GST_TYPE_UMEDPT_MASK_STYLE, GST_UMEDPT_MASK_STYLE_CONTOUR, PLAYING));
  /**
   * GstUmedptOverlay:opacity:
   *
   * Of masks that are filled.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_OPACITY,
      g_param_spec_double ("opacity", "Opacity", "Of filled masks", 0, 1,
          DEFAULT_OPACITY, PLAYING));
  /**
   * GstUmedptOverlay:line-width:
   *
   * Of boxes and contours, pixels of the frame; 0: a pixel per 360 rows.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_LINE_WIDTH,
      g_param_spec_uint ("line-width", "Line width",
          "Of boxes and contours, pixels (0 = by the height of the frame)", 0,
          64, 0, PLAYING));
  /**
   * GstUmedptOverlay:text-size:
   *
   * The height of a line of text, pixels of the frame; 0: a 45th of the
   * frame's height, but 10 at least.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_TEXT_SIZE,
      g_param_spec_uint ("text-size", "Text size",
          "Height of text, pixels (0 = by the height of the frame)", 0, 256, 0,
          PLAYING));
  /**
   * GstUmedptOverlay:legend:
   *
   * The classes of the tasks that are drawn, with their colours, at the lower
   * left.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_LEGEND,
      g_param_spec_boolean ("legend", "Legend",
          "Show the classes and their colours", FALSE, PLAYING));
}

static void
install_state (GObjectClass *object)
{
  /**
   * GstUmedptOverlay:show-state:
   *
   * A mark at the upper left: "ready", "stale 320 ms", "no model". So that
   * nothing on the picture means that nothing was found.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_SHOW_STATE,
      g_param_spec_boolean ("show-state", "Show state",
          "Show whether there are results, and how old they are", TRUE,
          PLAYING));
  /**
   * GstUmedptOverlay:stale-after:
   *
   * The age in nanoseconds from which on a result is called stale: the time
   * from the frame that was looked at to the one on which it is drawn.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_STALE_AFTER,
      g_param_spec_uint64 ("stale-after", "Stale after",
          "Age from which on results are called stale, ns", 0, G_MAXINT64,
          DEFAULT_STALE_AFTER, PLAYING));
  /**
   * GstUmedptOverlay:stats:
   *
   * Since the start: frames, drawn (uint64: frames that were drawn on), state
   * (string: of the last frame, "ready", "stale" or "no-model"), age-p50,
   * age-p95 (uint64, ns: age of the results), draw-p50, draw-p95 (uint64, ns
   * per frame that was drawn on); percentiles of the last 512.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_STATS,
      g_param_spec_boxed ("stats", "Statistics",
          "Frames, ages of results and times since the start",
          GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
}

static void
install_hysteresis (GObjectClass *object)
{
  /**
   * GstUmedptOverlay:show-after-hits:
   *
   * An object is shown when it has been found so many times within
   * #GstUmedptOverlay:show-window. 1: at once.
   *
   * Objects are boxes and regions of masks; one is found again where another
   * of its class overlaps it (intersection over union 0.3), or, if it is
   * small, is near. The 2048 best boxes, or largest regions, are followed.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_SHOW_AFTER_HITS,
      g_param_spec_uint ("show-after-hits", "Show after hits",
          "Show what has been found so many times within show-window", 1,
          GST_UMEDPT_HYSTERESIS_MOST_HITS, 1, PLAYING));
  /**
   * GstUmedptOverlay:show-window:
   *
   * Nanoseconds.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_SHOW_WINDOW,
      g_param_spec_uint64 ("show-window", "Show window",
          "Time within which hits count, ns", 0, G_MAXINT64,
          DEFAULT_SHOW_WINDOW, PLAYING));
  /**
   * GstUmedptOverlay:hold:
   *
   * Nanoseconds for which an object that was shown is kept, where it was, after
   * it was found last.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_HOLD,
      g_param_spec_uint64 ("hold", "Hold",
          "Keep showing what is no longer found, ns", 0, G_MAXINT64, 0,
          PLAYING));
  /**
   * GstUmedptOverlay:show-pending:
   *
   * Whether what is found, and not to be shown yet, is marked with a dot.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_SHOW_PENDING,
      g_param_spec_boolean ("show-pending", "Show pending",
          "Mark what is not confirmed yet with a dot", FALSE, PLAYING));
}

void
gst_umedpt_overlay_install_properties (GObjectClass *object)
{
  install_what (object);
  install_style (object);
  install_state (object);
  install_hysteresis (object);
}
