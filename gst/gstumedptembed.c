/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Computes the embedding of every frame and attaches it; all that is hard
 * about that is in the base class.
 */

/**
 * SECTION:element-umedptembed
 * @title: umedptembed
 *
 * Runs the encoder on every frame, of any size, and attaches its embedding as
 * a tensor meta "umedpt-embedding-v1", f32 [D] (gstumedptmeta.h). The frames
 * pass untouched and keep their size.
 *
 * Blocks while it computes; put a queue before it so that decoding goes on
 * meanwhile. On live input late frames pass without an embedding
 * (#GstUmedptBase:qos); otherwise every frame gets one.
 *
 * ## Example launch lines
 * |[
 * gst-launch-1.0 -e umedptslidesrc location=slide.svs tile-size=256 mpp=0.5 ! queue ! umedptembed model-file=model.safetensors batch-size=8 ! progressreport ! umedptslidesink features-location=slide.h5
 * ]|
 * Embeds the tiles of a whole slide into an HDF5 file.
 * |[
 * gst-launch-1.0 -m filesrc location=video.mp4 ! decodebin ! videoconvert ! umedptembed model-file=model.safetensors post-messages=true ! fakesink
 * ]|
 * Embeds the frames of a video and shows the messages that carry the results.
 *
 * Since: 0.1
 */
#include "gstumedptembed.h"

#include <gst/video/video.h>

#include "gstumedptmetaprivate.h"

struct _GstUmedptEmbed
{
  GstUmedptBase parent;

  float *embeddings; /* [n, D] of the last batch; streaming thread */
  gsize n_allocated; /* elements */
};

GST_DEBUG_CATEGORY_STATIC (gst_umedpt_embed_debug);
#define GST_CAT_DEFAULT gst_umedpt_embed_debug

#define CAPS GST_VIDEO_CAPS_MAKE ("{ RGB, BGR, RGBx, RGBA, BGRx, BGRA, GRAY8 }")

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE ("sink",
    GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS (CAPS));
static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE ("src",
    GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS (CAPS));

G_DEFINE_TYPE_WITH_CODE (GstUmedptEmbed, gst_umedpt_embed, GST_TYPE_UMEDPT_BASE,
    GST_DEBUG_CATEGORY_INIT (gst_umedpt_embed_debug, "umedptembed", 0,
        "Embeddings of pictures"));
GST_ELEMENT_REGISTER_DEFINE (umedptembed, "umedptembed", GST_RANK_NONE,
    GST_TYPE_UMEDPT_EMBED);

static gboolean
gst_umedpt_embed_infer (GstUmedptBase *base, UmedptSession *session,
    const UmedptImage *images, guint n_images, GCancellable *cancellable,
    GError **error)
{
  GstUmedptEmbed *self = GST_UMEDPT_EMBED (base);
  gsize wanted = (gsize) n_images * umedpt_session_get_embedding_size (session);

  if (wanted > self->n_allocated) {
    self->embeddings = g_renew (float, self->embeddings, wanted);
    self->n_allocated = wanted;
  }
  return umedpt_session_embed (session, images, n_images, self->embeddings,
      cancellable, error);
}

/* The buffer with embedding @i. (transfer full) */
static GstBuffer *
copy_embedding (GstUmedptEmbed *self, UmedptSession *session, guint i)
{
  gsize dim = umedpt_session_get_embedding_size (session);

  return gst_buffer_new_memdup (self->embeddings + i * dim,
      dim * sizeof (float));
}

static void
gst_umedpt_embed_attach (GstUmedptBase *base, UmedptSession *session, guint i,
    GstBuffer *buffer)
{
  UmedptModel *model = umedpt_session_get_model (session);
  gsize dim = umedpt_session_get_embedding_size (session);

  gst_buffer_add_umedpt_tensor_meta (buffer, GST_UMEDPT_TENSOR_EMBEDDING,
      GST_UMEDPT_TENSOR_F32, 1, &dim,
      copy_embedding (GST_UMEDPT_EMBED (base), session, i),
      umedpt_model_get_description (model)->arch,
      umedpt_model_get_hash (model));
}

/* The values as a GstBuffer, which every language can map. */
static void
gst_umedpt_embed_describe (GstUmedptBase *base, UmedptSession *session, guint i,
    GstStructure *message)
{
  g_autoptr (GstBuffer) data =
      copy_embedding (GST_UMEDPT_EMBED (base), session, i);

  gst_structure_set (message, "dim", G_TYPE_UINT,
      umedpt_session_get_embedding_size (session), "data", GST_TYPE_BUFFER,
      data, NULL);
}

static void
gst_umedpt_embed_finalize (GObject *object)
{
  g_free (GST_UMEDPT_EMBED (object)->embeddings);
  G_OBJECT_CLASS (gst_umedpt_embed_parent_class)->finalize (object);
}

static void
gst_umedpt_embed_class_init (GstUmedptEmbedClass *klass)
{
  GstElementClass *element = GST_ELEMENT_CLASS (klass);
  GstUmedptBaseClass *base = GST_UMEDPT_BASE_CLASS (klass);

  G_OBJECT_CLASS (klass)->finalize = gst_umedpt_embed_finalize;
  gst_element_class_add_static_pad_template (element, &sink_template);
  gst_element_class_add_static_pad_template (element, &src_template);
  gst_element_class_set_static_metadata (element, "UMedPT embedder",
      "Filter/Analyzer/Video",
      "Attaches the embedding of every frame by the UMedPT encoder",
      "The UMedPT in C authors");

  base->tensor = GST_UMEDPT_TENSOR_EMBEDDING;
  base->infer = gst_umedpt_embed_infer;
  base->attach = gst_umedpt_embed_attach;
  base->describe = gst_umedpt_embed_describe;
}

static void
gst_umedpt_embed_init (GstUmedptEmbed *self)
{
}
