/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Another model while frames flow: a thread opens it and checks that the
 * element can work with it; the streaming thread puts it in place of the old
 * one between two batches. A file that will not do changes nothing: the old
 * model works on, and a warning says why.
 */
#include "common/gstumedpterror.h"
#include "inference/gstumedptbaseprivate.h"

GST_DEBUG_CATEGORY_EXTERN (gst_umedpt_base_debug);
#define GST_CAT_DEFAULT gst_umedpt_base_debug

/* One attempt. Lives until it is taken or the element stops. */
struct _GstUmedptReload
{
  GThread *thread;
  char *path;
  UmedptSession *session; /* (nullable) under the object lock, as: */
  gboolean done;
  gboolean superseded; /* another file has been named meanwhile */
};

static void
tell (GstUmedptBase *self, gboolean ok, const char *path, const char *message)
{
  // clang-format off
  gst_element_post_message (GST_ELEMENT (self),
      gst_message_new_element (GST_OBJECT (self),
          gst_structure_new ("umedpt-model-updated",
              "success", G_TYPE_BOOLEAN, ok,
              "path", G_TYPE_STRING, path,
              "message", G_TYPE_STRING, message,
              NULL)));
  // clang-format on
  g_signal_emit_by_name (self, "model-updated", ok, path);
}

static void
refuse (GstUmedptBase *self, const char *path, const GError *error)
{
  GST_ELEMENT_WARNING (self, RESOURCE, SETTINGS,
      ("The model is not changed: %s", error->message), ("file '%s'", path));
  tell (self, FALSE, path, error->message);
}

static gpointer
load (gpointer data)
{
  GstUmedptBase *self = GST_UMEDPT_BASE (data);
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  GstUmedptReload *reload = NULL;
  gboolean again = TRUE;

  GST_OBJECT_LOCK (self);
  reload = priv->reload;
  GST_OBJECT_UNLOCK (self);
  while (again) {
    g_autoptr (GError) error = NULL;
    g_autofree char *path = NULL;
    UmedptSession *session = NULL;

    GST_OBJECT_LOCK (self);
    reload->superseded = FALSE;
    path = g_strdup (priv->model_file);
    GST_OBJECT_UNLOCK (self);
    session = gst_umedpt_base_open_session (self, &error);
    if (session &&
        !GST_UMEDPT_BASE_GET_CLASS (self)->check (self, session, &error))
      g_clear_object (&session);
    if (!session)
      refuse (self, path ? path : "", error);
    GST_OBJECT_LOCK (self);
    again = reload->superseded;
    if (again) {
      g_clear_object (&session);
    } else {
      reload->session = session;
      g_free (reload->path);
      reload->path = g_steal_pointer (&path);
      reload->done = TRUE;
    }
    GST_OBJECT_UNLOCK (self);
  }
  return NULL;
}

static void
reload_free (GstUmedptReload *self)
{
  g_thread_join (self->thread);
  g_clear_object (&self->session);
  g_free (self->path);
  g_free (self);
}

void
gst_umedpt_reload_begin (GstUmedptBase *self)
{
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  GstUmedptReload *old = NULL;

  GST_OBJECT_LOCK (self);
  if (priv->reload && !priv->reload->done) {
    priv->reload->superseded = TRUE;
  } else if (priv->session) { /* else stopped meanwhile */
    old = priv->reload;
    priv->reload = g_new0 (GstUmedptReload, 1);
    priv->reload->thread = g_thread_new ("umedpt-reload", load, self);
  }
  GST_OBJECT_UNLOCK (self);
  if (old)
    reload_free (old);
}

gboolean
gst_umedpt_reload_is_done (GstUmedptBase *self)
{
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  gboolean done = FALSE;

  GST_OBJECT_LOCK (self);
  done = priv->reload && priv->reload->done;
  GST_OBJECT_UNLOCK (self);
  return done;
}

void
gst_umedpt_reload_take (GstUmedptBase *self)
{
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  GstUmedptReload *reload = NULL;
  UmedptSession *old = NULL;

  GST_OBJECT_LOCK (self);
  if (priv->reload && priv->reload->done) {
    reload = g_steal_pointer (&priv->reload);
    if (reload->session) {
      old = priv->session;
      g_atomic_pointer_set (&priv->session, g_steal_pointer (&reload->session));
    }
  }
  GST_OBJECT_UNLOCK (self);
  if (!reload)
    return;
  if (old) {
    GST_INFO_OBJECT (self, "working with %s from here on", reload->path);
    g_object_unref (old);
    gst_umedpt_base_forget_results (self);
    priv->model_sent = FALSE;
    gst_umedpt_base_push_model (self);
    /* who shares features with whom must be found out anew */
    gst_base_transform_reconfigure_sink (GST_BASE_TRANSFORM (self));
    tell (self, TRUE, reload->path, "");
  }
  reload_free (reload);
}

void
gst_umedpt_reload_end (GstUmedptBase *self)
{
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  GstUmedptReload *reload = NULL;

  GST_OBJECT_LOCK (self);
  reload = priv->reload;
  if (reload)
    reload->superseded = FALSE;
  GST_OBJECT_UNLOCK (self);
  if (!reload)
    return;
  /* the thread itself looks for it there */
  g_thread_join (reload->thread);
  GST_OBJECT_LOCK (self);
  priv->reload = NULL;
  GST_OBJECT_UNLOCK (self);
  g_clear_object (&reload->session);
  g_free (reload->path);
  g_free (reload);
}
