/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The writing half of the metas, for the plugin's own elements.
 */
#pragma once

#include "common/gstumedptmeta.h"

#include "data/tiles.h"

G_BEGIN_DECLS

/* Registers both metas; idempotent and thread-safe. */
void gst_umedpt_meta_register (void);

GstUmedptTensorMeta *gst_buffer_add_umedpt_tensor_meta (GstBuffer *buffer,
    const char *id, GstUmedptTensorType data_type, guint num_dims,
    const gsize *dims, GstBuffer *data, const char *model_arch,
    const char *model_hash);

/* Adds the tensors of @from to @to, a writable buffer. */
void gst_buffer_copy_umedpt_tensors (GstBuffer *to, GstBuffer *from);

void gst_buffer_add_umedpt_tile (GstBuffer *buffer, const char *slide,
    const UmedptTile *tile, guint64 total, double downsample);

G_END_DECLS
