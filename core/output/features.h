/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Tile features of one slide, appended while they come and put under the
 * final name when complete. The suffix chooses the format: .h5 as TRIDENT
 * lays it out, .pt for CLAM (torch.load), .npy (with coordinates beside it).
 */
#pragma once

#include "base/macros.h"

G_BEGIN_DECLS

/* What is recorded with the features; strings may be NULL (= unknown). */
typedef struct
{
  const char *slide; /* name without folder and extension */
  const char *slide_path;
  const char *vendor;
  const char *encoder; /* architecture, as "swinv2-tiny" */
  const char *model_hash;
  const char *config_hash; /* of tiling and model together */
  const char *mpp_source;
  gint64 level0_width, level0_height;
  double level0_mpp; /* µm per level-0 pixel, 0 = unknown */
  double mpp; /* µm per tile pixel, 0 = unknown */
  double downsample; /* level-0 pixels per tile pixel */
  gint tile_size, overlap; /* tile pixels */
  guint64 n_expected; /* tiles in the plan, 0 = unknown */
} UmedptFeatureInfo;

typedef struct _UmedptFeatureWriter UmedptFeatureWriter;

/* Fails early: unknown suffix, existing file without @overwrite, folder not
 * writable. */
UMEDPT_API
UmedptFeatureWriter *umedpt_feature_writer_new (const char *path,
    const UmedptFeatureInfo *info, gboolean overwrite, GError **error);
/* One row; @x, @y absolute level-0 pixels. The first row fixes @n_features.
 * NaN or Inf is %UMEDPT_ERROR_DATA and names the tile. */
UMEDPT_API
gboolean umedpt_feature_writer_append (UmedptFeatureWriter *writer,
    guint64 index, gint64 x, gint64 y, const gfloat *features, guint n_features,
    GError **error);
/* A tile that could not be read. */
UMEDPT_API
void umedpt_feature_writer_add_bad_tile (UmedptFeatureWriter *writer,
    guint64 index, gint64 x, gint64 y, const char *reason);
UMEDPT_API
guint64 umedpt_feature_writer_get_n_rows (UmedptFeatureWriter *writer);
/* Completes the file and gives it its name. */
UMEDPT_API
gboolean umedpt_feature_writer_finish (UmedptFeatureWriter *writer,
    GError **error);
/* Without a successful finish, nothing is left under the final name. */
UMEDPT_API
void umedpt_feature_writer_free (UmedptFeatureWriter *writer);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptFeatureWriter, umedpt_feature_writer_free)

G_END_DECLS
