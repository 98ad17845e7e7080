/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * From the caller's image to what the encoder takes: u8 RGB of one size.
 */
#pragma once

#include "infer/session.h"
#include "tensor/tensor-private.h"

G_BEGIN_DECLS

gboolean umedpt_preprocess_check (const UmedptImage *image, GError **error);
/* Of a known format: bytes per pixel, and where red, green and blue are. */
void umedpt_preprocess_describe (UmedptPixels pixels, gint *bytes,
    gint offsets[3]);
gboolean umedpt_preprocess_into (const UmedptImage *image, gint width,
    gint height, guint8 *out, GError **error);
UmedptTensor *umedpt_preprocess_image (const UmedptImage *image, gint width,
    gint height, GError **error);

G_END_DECLS
