/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the library itself does with a model: the forward passes. A model can
 * be used from several threads and with several backends at once.
 */
#pragma once

#include "net/model.h"
#include "net/squeezer.h"
#include "net/swin.h"

G_BEGIN_DECLS

/* In files a parameter is called <prefix><name in the released checkpoint>. */
#define UMEDPT_ENCODER_PREFIX "encoder.model.wrapped_model."
#define UMEDPT_SQUEEZER_PREFIX "squeezer."

UmedptParameters *umedpt_model_get_parameters (UmedptModel *self);

/* images: u8 or f32 [N, H, W, 3]; see umedpt_swin_forward(). */
gboolean umedpt_model_encode (UmedptModel *self, UmedptContext *context,
    UmedptTensor *images, UmedptTensor *pyramid[UMEDPT_SWIN_LEVELS],
    GError **error);
/* F4, f32 [N, H, W, C4] -> z, f32 [N, D]; with @dense not NULL also the map
 * that dense heads get at level 4, f32 [N, H, W, D or C4]. */
UmedptTensor *umedpt_model_squeeze (UmedptModel *self, UmedptContext *context,
    UmedptTensor *f4, UmedptTensor **dense, GError **error);

G_END_DECLS
