/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The multi-scale decoder: from the pyramid to features for classes and for
 * boxes on five levels, shared by all detection tasks.
 */
#pragma once

#include "net/model-private.h"

G_BEGIN_DECLS

typedef struct _UmedptDetectionDecoder UmedptDetectionDecoder;

UmedptDetectionDecoder *
umedpt_detection_decoder_new (const UmedptDescription *description,
    UmedptParameters *parameters, const char *prefix);
void umedpt_detection_decoder_free (UmedptDetectionDecoder *self);
gboolean umedpt_detection_decoder_forward (UmedptDetectionDecoder *self,
    UmedptContext *context, UmedptTensor *const pyramid[UMEDPT_SWIN_LEVELS],
    UmedptTensor *dense, UmedptTensor *classes[UMEDPT_DETECTION_LEVELS],
    UmedptTensor *boxes[UMEDPT_DETECTION_LEVELS], GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (UmedptDetectionDecoder,
    umedpt_detection_decoder_free)

G_END_DECLS
