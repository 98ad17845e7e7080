/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * ALLOCATION queries, asked and answered. GstBaseTransform asks nothing for
 * elements that work in place, so this one asks by itself, when its caps have
 * gone downstream and whenever somebody there wants to be asked anew. It learns
 * which later elements can use its pass of the encoder.
 */
#include "inference/gstumedptbaseprivate.h"
#include "inference/gstumedptfeatures.h"

GST_DEBUG_CATEGORY_EXTERN (gst_umedpt_base_debug);
#define GST_CAT_DEFAULT gst_umedpt_base_debug

/* An answer of "no" may still carry what elements on the way have said. */
void
gst_umedpt_base_ask_downstream (GstUmedptBase *self)
{
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  GstPad *pad = GST_BASE_TRANSFORM_SRC_PAD (self);
  g_autoptr (GstCaps) caps = gst_pad_get_current_caps (pad);
  g_autoptr (GstQuery) query = NULL;
  GArray *wanted = NULL;

  if (!caps)
    return;
  query = gst_query_new_allocation (caps, FALSE);
  gst_pad_peer_query (pad, query);
  wanted = gst_umedpt_features_parse (query);
  GST_DEBUG_OBJECT (self, "%u elements downstream want features", wanted->len);
  GST_OBJECT_LOCK (self);
  g_clear_pointer (&priv->wanted, g_array_unref);
  priv->wanted = wanted;
  GST_OBJECT_UNLOCK (self);
}

/* Whole frames that an element before this one has encoded need not be
 * encoded again. */
static void
propose_features (GstUmedptBase *self, GstUmedptBasePrivate *priv,
    GstQuery *query)
{
  GstUmedptBaseClass *klass = GST_UMEDPT_BASE_GET_CLASS (self);
  g_autoptr (UmedptSession) session = NULL;
  GstUmedptWanted wanted = { NULL, 0, 0 };

  GST_OBJECT_LOCK (self);
  if (priv->session && !priv->beside &&
      priv->look.region == GST_UMEDPT_REGION_FULL_FRAME)
    session = g_object_ref (priv->session);
  GST_OBJECT_UNLOCK (self);
  if (!session)
    return;
  wanted.session = session;
  klass->get_input (self, session, &wanted.width, &wanted.height);
  gst_umedpt_features_propose (query, &wanted);
}

static gboolean
passes_frames (GstBaseTransform *trans)
{
  g_autoptr (GstCaps) in =
      gst_pad_get_current_caps (GST_BASE_TRANSFORM_SINK_PAD (trans));
  g_autoptr (GstCaps) out =
      gst_pad_get_current_caps (GST_BASE_TRANSFORM_SRC_PAD (trans));

  return in && out && gst_caps_is_equal (in, out);
}

/* Frames that pass as they are go to those downstream, so their answer comes
 * first: padded rows (GstVideoMeta) are welcome only where they are read there,
 * too. We hold a batch; a smaller pool would stall upstream. */
gboolean
gst_umedpt_base_propose_allocation (GstBaseTransform *trans,
    GstQuery *decide_query, GstQuery *query)
{
  GstUmedptBase *self = GST_UMEDPT_BASE (trans);
  GstUmedptBasePrivate *priv = gst_umedpt_base_get_private (self);
  GstCaps *caps = NULL;
  GstVideoInfo info;

  gst_query_parse_allocation (query, &caps, NULL);
  if (!caps || !gst_video_info_from_caps (&info, caps))
    return FALSE;
  if (passes_frames (trans))
    gst_pad_peer_query (GST_BASE_TRANSFORM_SRC_PAD (trans), query);
  else
    gst_query_add_allocation_meta (query, GST_VIDEO_META_API_TYPE, NULL);
  propose_features (self, priv, query);
  if (gst_query_get_n_allocation_pools (query) == 0)
    gst_query_add_allocation_pool (query, NULL, GST_VIDEO_INFO_SIZE (&info),
        priv->capacity + 1, 0);
  return TRUE;
}
