/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The pixel-wise decoder: from the pyramid to an embedding per pixel, in the
 * style of U-Net (Ronneberger et al. 2015), shared by all segmentation tasks.
 */
#pragma once

#include "net/description.h"
#include "net/swin.h"

G_BEGIN_DECLS

typedef struct _UmedptPixelDecoder UmedptPixelDecoder;

UmedptPixelDecoder *
umedpt_pixel_decoder_new (const UmedptDescription *description,
    UmedptParameters *parameters, const char *prefix);
void umedpt_pixel_decoder_free (UmedptPixelDecoder *self);
UmedptTensor *umedpt_pixel_decoder_forward (UmedptPixelDecoder *self,
    UmedptContext *context, UmedptTensor *const pyramid[UMEDPT_SWIN_LEVELS],
    UmedptTensor *dense, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptPixelDecoder, umedpt_pixel_decoder_free)

G_END_DECLS
