/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A batch: frames that go through the network together. It is filled in the
 * streaming thread, mapped there, then looked at in that thread or beside it
 * (gstumedptahead.c), and finished in the streaming thread again. Results lie
 * apart from the frames until then, so nothing of the stream is touched while
 * the network runs.
 */
#include "common/gstumedpterror.h"
#include "inference/gstumedptbaseprivate.h"
#include "inference/gstumedptcuda.h"

GstUmedptBatch *
gst_umedpt_batch_new (guint capacity)
{
  GstUmedptBatch *self = g_new0 (GstUmedptBatch, 1);

  self->frames = g_new0 (GstUmedptWaiting, capacity);
  return self;
}

static void
unmap (GstUmedptBatch *self)
{
  for (guint i = 0; i < self->n_mapped; i++)
    gst_video_frame_unmap (&self->mapped[i]);
  self->n_mapped = 0;
}

void
gst_umedpt_batch_free (GstUmedptBatch *self)
{
  if (!self)
    return;
  unmap (self);
  for (guint i = 0; i < self->n_looked; i++) {
    gst_umedpt_look_clear (&self->looks[i]);
    gst_clear_buffer (&self->results[i]);
  }
  for (guint i = 0; i < self->n; i++)
    gst_clear_buffer (&self->frames[i].buffer);
  g_free (self->looks);
  g_free (self->results);
  g_free (self->mapped);
  g_free (self->pictures);
  g_free (self->frames);
  g_clear_object (&self->session);
  g_clear_error (&self->error);
  g_free (self);
}

void
gst_umedpt_batch_add (GstUmedptBatch *self, const GstUmedptWaiting *frame)
{
  self->frames[self->n++] = *frame;
  self->n_skipped += frame->skip;
}

void
gst_umedpt_batch_map (GstUmedptBatch *self, UmedptSession *session,
    const GstVideoInfo *info)
{
  const guint n = self->n - self->n_skipped;
  GstMapFlags flags;
  guint next = 0;

  self->session = g_object_ref (session);
  self->n_looked = n;
  self->mapped = g_new0 (GstVideoFrame, MAX (n, 1));
  self->pictures = g_new0 (GstBuffer *, MAX (n, 1));
  self->looks = g_new0 (GstUmedptLook, MAX (n, 1));
  self->results = g_new0 (GstBuffer *, MAX (n, 1));
  for (guint i = 0; i < self->n; i++)
    if (!self->frames[i].skip)
      self->pictures[next++] = self->frames[i].buffer;
  flags = gst_umedpt_cuda_map_flags (session, self->pictures, n) |
      GST_VIDEO_FRAME_MAP_FLAG_NO_REF;
  for (guint i = 0; i < n; i++) {
    if (!gst_umedpt_cuda_map (&self->mapped[i], info, self->pictures[i],
            flags)) {
      g_set_error_literal (&self->error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
          "A video frame is smaller than its caps say or cannot be read.");
      return;
    }
    self->n_mapped++;
  }
}

/* Features that this element made and that no later one wants are of no more
 * use, and a hundred times larger than what was found in them. */
static gboolean
drop_features (GstUmedptLook *look, GError **error)
{
  if (look->shared || look->came_along)
    return TRUE;
  for (guint i = 0; i < look->n_views; i++)
    if (umedpt_encoding_has_features (look->views[i].encoding) &&
        !umedpt_encoding_settle (look->views[i].encoding, NULL, 0, FALSE,
            error))
      return FALSE;
  return TRUE;
}

static gboolean
look_at (GstUmedptBase *element, GstUmedptBatch *self, GError **error)
{
  GstUmedptBaseClass *klass = GST_UMEDPT_BASE_GET_CLASS (element);

  if (self->n_looked &&
      !gst_umedpt_look (element, self->session, self->mapped, self->pictures,
          self->n_looked, self->looks, error))
    return FALSE;
  for (guint i = 0; i < self->n_looked; i++) {
    self->results[i] = gst_buffer_new ();
    GST_BUFFER_PTS (self->results[i]) = GST_BUFFER_PTS (self->pictures[i]);
    if (!klass->process (element, &self->looks[i], self->results[i], error))
      return FALSE;
  }
  /* not before: frames may be in one encoding */
  for (guint i = 0; i < self->n_looked; i++)
    if (!drop_features (&self->looks[i], error))
      return FALSE;
  return TRUE;
}

void
gst_umedpt_batch_look (GstUmedptBase *element, GstUmedptBatch *self)
{
  const GstClockTime begin = gst_util_get_timestamp ();

  if (!self->error)
    look_at (element, self, &self->error);
  unmap (self);
  self->took = gst_util_get_timestamp () - begin;
}
