/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Registration, copying and writing of the metas described in
 * gstumedptmeta.h. A copy of a buffer shares the tensor's data: results are
 * never written again once attached.
 */
#include "common/gstumedptmetaprivate.h"

#include <string.h>

#include "common/gstumedptanalytics.h"

static gboolean
tensor_meta_init (GstMeta *meta, gpointer params, GstBuffer *buffer)
{
  GstUmedptTensorMeta *self = (GstUmedptTensorMeta *) meta;

  /* GStreamer does not clear the memory */
  self->id = 0;
  self->data_type = GST_UMEDPT_TENSOR_F32;
  self->num_dims = 0;
  self->data = NULL;
  self->model_arch = NULL;
  self->model_hash = NULL;
  return TRUE;
}

static void
tensor_meta_free (GstMeta *meta, GstBuffer *buffer)
{
  gst_clear_buffer (&((GstUmedptTensorMeta *) meta)->data);
}

/* A result belongs to the picture, not to its pixels: it stays with every
 * copy, converted or scaled. Only a copy of part of the bytes is no longer
 * the same picture. */
static gboolean
tensor_meta_transform (GstBuffer *dest, GstMeta *meta, GstBuffer *buffer,
    GQuark type, gpointer data)
{
  const GstUmedptTensorMeta *self = (const GstUmedptTensorMeta *) meta;
  GstUmedptTensorMeta *copy = NULL;

  if (GST_META_TRANSFORM_IS_COPY (type) &&
      ((GstMetaTransformCopy *) data)->region)
    return FALSE;
  copy = (GstUmedptTensorMeta *) gst_buffer_add_meta (dest, meta->info, NULL);
  copy->id = self->id;
  copy->data_type = self->data_type;
  copy->num_dims = self->num_dims;
  memcpy (copy->dims, self->dims, sizeof copy->dims);
  copy->data = gst_buffer_ref (self->data);
  copy->model_arch = self->model_arch;
  copy->model_hash = self->model_hash;
  gst_umedpt_analytics_copy_tensor (dest, copy);
  return TRUE;
}

static gsize
tensor_meta_register (void)
{
  static const char *tags[] = { NULL };
  GType api = gst_meta_api_type_register ("GstUmedptTensorMetaAPI", tags);

  return (gsize) gst_meta_register (api, GST_UMEDPT_TENSOR_META_NAME,
      sizeof (GstUmedptTensorMeta), tensor_meta_init, tensor_meta_free,
      tensor_meta_transform);
}

static const GstMetaInfo *
tensor_meta_info (void)
{
  static gsize info = 0;

  if (g_once_init_enter (&info))
    g_once_init_leave (&info, tensor_meta_register ());
  return (const GstMetaInfo *) info;
}

void
gst_umedpt_meta_register (void)
{
  static gsize done = 0;
  static const char *tags[] = { NULL };

  tensor_meta_info ();
  if (g_once_init_enter (&done)) {
    gst_meta_register_custom (GST_UMEDPT_TILE_META_NAME, tags, NULL, NULL,
        NULL);
    g_once_init_leave (&done, 1);
  }
}

/* @data: (transfer full) */
GstUmedptTensorMeta *
gst_buffer_add_umedpt_tensor_meta (GstBuffer *buffer, const char *id,
    GstUmedptTensorType data_type, guint num_dims, const gsize *dims,
    GstBuffer *data, const char *model_arch, const char *model_hash)
{
  GstUmedptTensorMeta *self = NULL;

  g_return_val_if_fail (num_dims <= GST_UMEDPT_TENSOR_MAX_DIMS, NULL);

  self = (GstUmedptTensorMeta *) gst_buffer_add_meta (buffer,
      tensor_meta_info (), NULL);
  self->id = g_quark_from_string (id);
  self->data_type = data_type;
  self->num_dims = num_dims;
  for (guint i = 0; i < num_dims; i++)
    self->dims[i] = dims[i];
  self->data = data;
  /* a handful of models per process: interning keeps copies free */
  self->model_arch = g_intern_string (model_arch);
  self->model_hash = g_intern_string (model_hash);
  gst_umedpt_analytics_add_tensor (buffer, self);
  return self;
}

void
gst_buffer_copy_umedpt_tensors (GstBuffer *to, GstBuffer *from)
{
  GstMetaTransformCopy all = { FALSE, 0, (gsize) -1 };
  gpointer state = NULL;
  GstMeta *meta = NULL;

  while ((meta = gst_buffer_iterate_meta_filtered (from, &state,
              tensor_meta_info ()->api)))
    tensor_meta_transform (to, meta, from, _gst_meta_transform_copy, &all);
}

void
gst_buffer_add_umedpt_tile (GstBuffer *buffer, const char *slide,
    const UmedptTile *tile, guint64 total, double downsample)
{
  GstCustomMeta *meta =
      gst_buffer_add_custom_meta (buffer, GST_UMEDPT_TILE_META_NAME);

  // clang-format off
  gst_structure_set (gst_custom_meta_get_structure (meta),
      "slide", G_TYPE_STRING, slide,
      "index", G_TYPE_UINT64, tile->index,
      "total", G_TYPE_UINT64, total,
      "x", G_TYPE_INT64, tile->x,
      "y", G_TYPE_INT64, tile->y,
      "width", G_TYPE_INT64, tile->width,
      "height", G_TYPE_INT64, tile->height,
      "mpp", G_TYPE_DOUBLE, tile->mpp,
      "downsample", G_TYPE_DOUBLE, downsample,
      "valid", G_TYPE_DOUBLE, tile->valid,
      "tissue", G_TYPE_DOUBLE, tile->tissue,
      NULL);
  // clang-format on
}
