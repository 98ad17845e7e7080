/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One row per tile: the embedding that an inference element attached, at the
 * tile's place. The file is begun with the first tile, which tells the model.
 */
#include "slide/gstumedptslideoutput.h"

#include "base/error.h"
#include "common/gstumedptevents.h"
#include "common/gstumedptmeta.h"
#include "output/features.h"

typedef struct
{
  const GstUmedptSlideRun *run;
  UmedptFeatureWriter *writer; /* from the first tile on */
} Features;

static const char *
get_path (const GstUmedptSlideOutputSettings *settings)
{
  return settings->paths[GST_UMEDPT_SLIDE_FILE_FEATURES];
}

static gboolean
features_check (const GstUmedptSlideOutputSettings *settings, GError **error)
{
  UmedptFeatureInfo nothing = { 0 };
  g_autoptr (UmedptFeatureWriter) probe = NULL;

  if (!get_path (settings))
    return TRUE;
  probe = umedpt_feature_writer_new (get_path (settings), &nothing,
      settings->overwrite, error);
  return probe != NULL;
}

static gpointer
features_begin (const GstUmedptSlideRun *run)
{
  Features *self = NULL;

  if (!get_path (run->settings))
    return NULL;
  self = g_new0 (Features, 1);
  self->run = run;
  return self;
}

/* @meta: (nullable): the tensor of the first tile, if there is one */
static gboolean
open_writer (Features *self, const GstUmedptTensorMeta *meta, GError **error)
{
  const GstUmedptSlideRun *run = self->run;
  UmedptFeatureInfo info;
  const char *arch = NULL, *hash = NULL;
  g_autofree char *config_hash = NULL;

  if (self->writer)
    return TRUE;
  if (meta) {
    arch = meta->model_arch;
    hash = meta->model_hash;
  } else if (run->model) {
    arch = gst_structure_get_string (run->model, "arch");
    hash = gst_structure_get_string (run->model, "hash");
  }
  config_hash = gst_umedpt_slide_config_hash (run, hash);
  info = gst_umedpt_slide_to_feature_info (run->slide);
  info.encoder = arch;
  info.model_hash = hash;
  info.config_hash = config_hash;
  info.n_expected = gst_umedpt_slide_n_expected (run->slide);
  self->writer = umedpt_feature_writer_new (get_path (run->settings), &info,
      run->settings->overwrite, error);
  return self->writer != NULL;
}

static gboolean
check_tensor (const GstUmedptTensorMeta *meta, GError **error)
{
  gsize size = meta->num_dims == 1 ? meta->dims[0] * sizeof (float) : 0;

  if (meta->data_type == GST_UMEDPT_TENSOR_F32 && size > 0 &&
      gst_buffer_get_size (meta->data) == size)
    return TRUE;
  g_set_error (error, UMEDPT_ERROR, UMEDPT_ERROR_SHAPE,
      "The tensor '%s' is not a vector of 32-bit floats: type %d, %u "
      "dimensions, %" G_GSIZE_FORMAT " bytes.",
      g_quark_to_string (meta->id), meta->data_type, meta->num_dims,
      gst_buffer_get_size (meta->data));
  return FALSE;
}

static gboolean
append (Features *self, const GstUmedptSlideTile *tile,
    const GstUmedptTensorMeta *meta, GError **error)
{
  GstMapInfo map = GST_MAP_INFO_INIT;
  gboolean ok = FALSE;

  if (!check_tensor (meta, error) || !open_writer (self, meta, error))
    return FALSE;
  if (!gst_buffer_map (meta->data, &map, GST_MAP_READ)) {
    g_set_error_literal (error, UMEDPT_ERROR, UMEDPT_ERROR_DATA,
        "The memory of a tile's features cannot be read.");
    return FALSE;
  }
  ok = umedpt_feature_writer_append (self->writer, tile->index, tile->x,
      tile->y, (const float *) map.data, meta->dims[0], error);
  gst_buffer_unmap (meta->data, &map);
  return ok;
}

static gboolean
features_take (gpointer data, const GstUmedptSlideTile *tile, GError **error)
{
  const GstUmedptTensorMeta *meta =
      gst_buffer_get_umedpt_tensor_meta (tile->buffer,
          GST_UMEDPT_TENSOR_EMBEDDING);

  if (meta)
    return append (data, tile, meta, error);
  g_set_error (error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
      "Tile %" G_GUINT64_FORMAT " has arrived without features; the pipeline "
      "needs umedptembed between umedptslidesrc and umedptslidesink.",
      tile->index);
  return FALSE;
}

static gboolean
features_bad_tile (gpointer data, const GstStructure *tile, GError **error)
{
  Features *self = data;

  if (!open_writer (self, NULL, error))
    return FALSE;
  umedpt_feature_writer_add_bad_tile (self->writer,
      gst_umedpt_get_uint64 (tile, "index"), gst_umedpt_get_int64 (tile, "x"),
      gst_umedpt_get_int64 (tile, "y"),
      gst_structure_get_string (tile, "reason"));
  return TRUE;
}

/* An empty file if there was no tissue at all. */
static gboolean
features_finish (gpointer data, GArray *written, GError **error)
{
  Features *self = data;

  if (!open_writer (self, NULL, error) ||
      !umedpt_feature_writer_finish (self->writer, error))
    return FALSE;
  gst_umedpt_slide_written (written, GST_UMEDPT_SLIDE_FILE_FEATURES,
      umedpt_feature_writer_get_n_rows (self->writer));
  return TRUE;
}

static void
features_free (gpointer data)
{
  Features *self = data;

  umedpt_feature_writer_free (self->writer);
  g_free (self);
}

const GstUmedptSlideOutputClass gst_umedpt_slide_features = {
  features_check,
  features_begin,
  features_take,
  features_bad_tile,
  features_finish,
  features_free,
};
