/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the elements attach to buffers, for elements and applications alike.
 *
 * GstUmedptTensorMeta carries one result tensor; a buffer may have several.
 * GstUmedptTileMeta is an untagged GstCustomMeta (GStreamer 1.20) with the
 * place of a tile on its slide; any language reads it without our help:
 * buf.get_custom_meta("GstUmedptTileMeta").get_structure() in Python.
 *
 * Both metas are untagged on purpose: metas tagged with "video" or "size"
 * vanish in videocrop, videobox and others, untagged ones are copied by every
 * transform (and, within one process, by encoders and decoders too).
 *
 * The functions that read are inline: an application includes this header and
 * need not link with the plugin, which GStreamer loads at run time.
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS

#define GST_UMEDPT_TENSOR_META_NAME "GstUmedptTensorMeta"
#define GST_UMEDPT_TILE_META_NAME "GstUmedptTileMeta"

/* The id of the embedding of a whole image: f32 [D]. */
#define GST_UMEDPT_TENSOR_EMBEDDING "umedpt-embedding-v1"

#define GST_UMEDPT_TENSOR_MAX_DIMS 5

/**
 * GstUmedptTensorType:
 * @GST_UMEDPT_TENSOR_F32: IEEE 754 binary32, native byte order
 * @GST_UMEDPT_TENSOR_U8: unsigned, 8 bits
 * @GST_UMEDPT_TENSOR_I32: signed, 32 bits
 *
 * Element types of the tensors that elements attach.
 *
 * Since: 0.1
 */
typedef enum
{
  GST_UMEDPT_TENSOR_F32,
  GST_UMEDPT_TENSOR_U8,
  GST_UMEDPT_TENSOR_I32,
} GstUmedptTensorType;

/**
 * GstUmedptTensorMeta:
 * @meta: parent
 * @id: what the tensor is, as #GST_UMEDPT_TENSOR_EMBEDDING
 * @data_type: type of its elements
 * @num_dims: number of dimensions
 * @dims: the dimensions; the last one varies fastest, without padding
 * @data: (transfer none): the elements
 * @model_arch: (nullable): interned name of the architecture
 * @model_hash: (nullable): interned hex SHA-256 of the model
 *
 * The fields mean what those of GstTensor (GStreamer 1.26) mean.
 *
 * Since: 0.1
 */
typedef struct
{
  GstMeta meta;

  GQuark id;
  GstUmedptTensorType data_type;
  guint num_dims;
  gsize dims[GST_UMEDPT_TENSOR_MAX_DIMS];
  GstBuffer *data;
  const char *model_arch;
  const char *model_hash;
} GstUmedptTensorMeta;

/**
 * gst_buffer_get_umedpt_tensor_meta:
 * @buffer: a buffer
 * @id: (nullable): the wanted tensor, as #GST_UMEDPT_TENSOR_EMBEDDING, or
 *   %NULL for the first of any kind
 *
 * Returns: (transfer none) (nullable): the tensor, owned by @buffer
 *
 * Since: 0.1
 */
static inline const GstUmedptTensorMeta *
gst_buffer_get_umedpt_tensor_meta (GstBuffer *buffer, const char *id)
{
  const GstMetaInfo *info = gst_meta_get_info (GST_UMEDPT_TENSOR_META_NAME);
  GQuark quark = id ? g_quark_try_string (id) : 0;
  gpointer state = NULL;
  GstMeta *meta = NULL;

  if (!info || (id && !quark))
    return NULL;
  while ((meta = gst_buffer_iterate_meta (buffer, &state))) {
    const GstUmedptTensorMeta *tensor = (const GstUmedptTensorMeta *) meta;
    if (meta->info == info && (!id || tensor->id == quark))
      return tensor;
  }
  return NULL;
}

/**
 * gst_buffer_get_umedpt_tile:
 * @buffer: a buffer
 *
 * The place of a tile on its slide: `slide` (string, the slide's name),
 * `index` and `total` (uint64, in the plan), `x`, `y`, `width`, `height`
 * (int64, absolute level-0 pixels), `mpp` (double, µm per pixel of the tile,
 * 0 = unknown), `downsample` (double, level-0 pixels per pixel of the tile),
 * `valid` (double, fraction inside the slide) and `tissue` (double, fraction
 * by the mask).
 *
 * Returns: (transfer none) (nullable): the structure, owned by @buffer
 *
 * Since: 0.1
 */
static inline const GstStructure *
gst_buffer_get_umedpt_tile (GstBuffer *buffer)
{
  GstCustomMeta *meta = NULL;

  /* asking for an unregistered name would be a critical */
  if (!gst_meta_get_info (GST_UMEDPT_TILE_META_NAME))
    return NULL;
  meta = gst_buffer_get_custom_meta (buffer, GST_UMEDPT_TILE_META_NAME);
  return meta ? gst_custom_meta_get_structure (meta) : NULL;
}

G_END_DECLS
