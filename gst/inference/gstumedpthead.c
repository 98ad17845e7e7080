/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Properties and model of an element with one task. Names are looked up in the
 * model at each use, which takes less than a microsecond: so there is nothing
 * to be kept right when the model changes.
 */
#include "inference/gstumedpthead.h"

#include <string.h>

#include "common/gstumedptresults.h"
#include "common/gstumedpttasks.h"

/* A copy of the properties. */
typedef struct
{
  char *task;
  char *classes;
  double threshold; /* < 0: the model's */
} GstUmedptHeadPrivate;

typedef GstUmedptHeadPrivate Settings;

enum
{
  PROP_0,
  PROP_TASK,
  PROP_CLASSES,
  PROP_THRESHOLD,
};

G_DEFINE_ABSTRACT_TYPE_WITH_PRIVATE (GstUmedptHead, gst_umedpt_head,
    GST_TYPE_UMEDPT_BASE)

static void
settings_clear (Settings *self)
{
  g_free (self->task);
  g_free (self->classes);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Settings, settings_clear)

static Settings
get_settings (GstUmedptHead *self)
{
  const Settings *own = gst_umedpt_head_get_instance_private (self);
  Settings copy;

  GST_OBJECT_LOCK (self);
  copy = (Settings){ g_strdup (own->task), g_strdup (own->classes),
    own->threshold };
  GST_OBJECT_UNLOCK (self);
  return copy;
}

/* --- the model ---------------------------------------------------------- */

static gint
find_task (GstUmedptHead *self, UmedptSession *session,
    const Settings *settings, GError **error)
{
  return gst_umedpt_find_task (session, settings->task,
      GST_UMEDPT_HEAD_GET_CLASS (self)->kinds, error);
}

const UmedptTaskDescription *
gst_umedpt_head_get_task (GstUmedptHead *self, UmedptSession *session)
{
  g_auto (Settings) settings = get_settings (self);
  const gint task = find_task (self, session, &settings, NULL);

  g_return_val_if_fail (task >= 0, NULL);
  return gst_umedpt_get_task (session, task);
}

static void
choice_clear (GstUmedptChoice *self)
{
  g_free (self->keep);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (GstUmedptChoice, choice_clear)

static gboolean
choose (GstUmedptHead *self, UmedptSession *session, GstUmedptChoice *choice,
    GError **error)
{
  g_auto (Settings) settings = get_settings (self);
  const gint task = find_task (self, session, &settings, error);

  if (task < 0)
    return FALSE;
  choice->task = (guint) task;
  choice->own = gst_umedpt_get_task (session, task);
  choice->n_classes =
      (guint) umedpt_task_description_get_n_outputs (choice->own);
  choice->threshold =
      settings.threshold < 0 ? choice->own->threshold : settings.threshold;
  choice->keep =
      gst_umedpt_select_classes (choice->own, settings.classes, error);
  if (!choice->keep)
    return FALSE;
  choice->all = !memchr (choice->keep, 0, choice->n_classes);
  return TRUE;
}

static gboolean
gst_umedpt_head_check (GstUmedptBase *base, UmedptSession *session,
    GError **error)
{
  g_auto (GstUmedptChoice) choice = { 0 };

  return choose (GST_UMEDPT_HEAD (base), session, &choice, error);
}

static void
gst_umedpt_head_get_input (GstUmedptBase *base, UmedptSession *session,
    gint *width, gint *height)
{
  GstUmedptHead *self = GST_UMEDPT_HEAD (base);
  g_auto (Settings) settings = get_settings (self);
  const gint task = find_task (self, session, &settings, NULL);

  gst_umedpt_get_task_input (session, MAX (task, 0), width, height);
}

static gboolean
gst_umedpt_head_needs_features (GstUmedptBase *base)
{
  return TRUE;
}

static gboolean
gst_umedpt_head_settle (GstUmedptBase *base, UmedptEncoding *encoding,
    GError **error)
{
  g_auto (GstUmedptChoice) choice = { 0 };

  return choose (GST_UMEDPT_HEAD (base), umedpt_encoding_get_session (encoding),
             &choice, error) &&
      umedpt_encoding_settle (encoding, &choice.task, 1, FALSE, error);
}

static gboolean
gst_umedpt_head_process (GstUmedptBase *base, const GstUmedptLook *look,
    GstBuffer *buffer, GError **error)
{
  GstUmedptHead *self = GST_UMEDPT_HEAD (base);
  g_auto (GstUmedptChoice) choice = { 0 };

  return choose (self, look->session, &choice, error) &&
      GST_UMEDPT_HEAD_GET_CLASS (self)->run (self, look, &choice, buffer,
          error);
}

static void
gst_umedpt_head_describe (GstUmedptBase *base, GstBuffer *buffer,
    GstStructure *message)
{
  const GstStructure *results = gst_buffer_get_umedpt_results (buffer);

  if (results)
    gst_structure_set (message, "results", GST_TYPE_STRUCTURE, results, NULL);
}

/* --- properties, class -------------------------------------------------- */

static void
gst_umedpt_head_set_property (GObject *object, guint id, const GValue *value,
    GParamSpec *pspec)
{
  Settings *settings =
      gst_umedpt_head_get_instance_private (GST_UMEDPT_HEAD (object));

  GST_OBJECT_LOCK (object);
  switch (id) {
    case PROP_TASK:
      g_free (settings->task);
      settings->task = g_value_dup_string (value);
      break;
    case PROP_CLASSES:
      g_free (settings->classes);
      settings->classes = g_value_dup_string (value);
      break;
    case PROP_THRESHOLD:
      settings->threshold = g_value_get_double (value);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  GST_OBJECT_UNLOCK (object);
}

static void
gst_umedpt_head_get_property (GObject *object, guint id, GValue *value,
    GParamSpec *pspec)
{
  const Settings *settings =
      gst_umedpt_head_get_instance_private (GST_UMEDPT_HEAD (object));

  GST_OBJECT_LOCK (object);
  switch (id) {
    case PROP_TASK:
      g_value_set_string (value, settings->task);
      break;
    case PROP_CLASSES:
      g_value_set_string (value, settings->classes);
      break;
    case PROP_THRESHOLD:
      g_value_set_double (value, settings->threshold);
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID (object, id, pspec);
      break;
  }
  GST_OBJECT_UNLOCK (object);
}

static void
gst_umedpt_head_finalize (GObject *object)
{
  settings_clear (
      gst_umedpt_head_get_instance_private (GST_UMEDPT_HEAD (object)));
  G_OBJECT_CLASS (gst_umedpt_head_parent_class)->finalize (object);
}

static void
install_properties (GObjectClass *object)
{
  const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS;

  /**
   * GstUmedptHead:task:
   *
   * The task to run; not needed where the model has only one of its kind.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_TASK,
      g_param_spec_string ("task", "Task",
          "The task to run, if the model has several", NULL,
          flags | GST_PARAM_MUTABLE_READY));
  /**
   * GstUmedptHead:classes:
   *
   * Names of the classes to report, separated by commas; without any, all.
   * Pixels of other classes become class 0, boxes of others are left out.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_CLASSES,
      g_param_spec_string ("classes", "Classes",
          "Classes to report, as \"a,b\" (default: all)", NULL,
          flags | GST_PARAM_MUTABLE_READY));
  /**
   * GstUmedptHead:threshold:
   *
   * The least score of a box (class times centerness; with 0 the boxes are
   * those that "umedpt-train eval" measures), or probability of a pixel's best
   * class, below which it is undecided (255); of multi-label tasks a pixel
   * belongs to a class that is more probable. Negative: the threshold that the
   * model file states.
   *
   * Since: 0.1
   */
  g_object_class_install_property (object, PROP_THRESHOLD,
      g_param_spec_double ("threshold", "Threshold",
          "The least score or probability (negative = the model's)", -1, 1, -1,
          flags | GST_PARAM_MUTABLE_PLAYING));
}

static void
gst_umedpt_head_class_init (GstUmedptHeadClass *klass)
{
  GObjectClass *object = G_OBJECT_CLASS (klass);
  GstUmedptBaseClass *base = GST_UMEDPT_BASE_CLASS (klass);

  object->set_property = gst_umedpt_head_set_property;
  object->get_property = gst_umedpt_head_get_property;
  object->finalize = gst_umedpt_head_finalize;
  install_properties (object);
  gst_type_mark_as_plugin_api (GST_TYPE_UMEDPT_HEAD, 0);

  base->check = gst_umedpt_head_check;
  base->get_input = gst_umedpt_head_get_input;
  base->needs_features = gst_umedpt_head_needs_features;
  base->settle = gst_umedpt_head_settle;
  base->process = gst_umedpt_head_process;
  base->describe = gst_umedpt_head_describe;
}

static void
gst_umedpt_head_init (GstUmedptHead *self)
{
  Settings *settings = gst_umedpt_head_get_instance_private (self);

  settings->threshold = -1;
}
